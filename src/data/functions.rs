//! Target functions of the function studies: the report's by name, or any expression in x.
//!
//! Evaluated in f64 on the host; how an expression is read is `expression`'s.

use super::expression::{self, LONGEST, ascii, check, evaluate};
use nanoexpr::{Instruction, Program};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use std::fmt;
use std::str::FromStr;

/// A function of one variable to be learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    Named(&'static NamedFunction),
    /// An expression in x that parses; it may still be undefined somewhere.
    Expression(String),
}

/// A function that goes by a name in the settings.
#[derive(Debug)]
pub struct NamedFunction {
    pub name: &'static str,
    /// As one would print it.
    pub formula: &'static str,
    function: fn(f64) -> f64,
}

impl PartialEq for NamedFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

static NAMED: [NamedFunction; 4] = [
    NamedFunction { name: "sin-sq", formula: "sin(x) + x²", function: |x| x.sin() + x * x },
    // The sign of 0 is 0, as in NumPy; f64::signum would give 1.
    NamedFunction {
        name: "sign-sin",
        formula: "sign(sin(5πx))",
        function: |x| {
            let sine = (5.0 * PI * x).sin();
            if sine == 0.0 { 0.0 } else { sine.signum() }
        },
    },
    NamedFunction { name: "sin-plus-x", formula: "sin(x) + x", function: |x| x.sin() + x },
    NamedFunction { name: "cos-over-x", formula: "cos(x)/x", function: |x| x.cos() / x },
];

/// Functions that go by a name.
pub fn names() -> Vec<&'static str> {
    NAMED.iter().map(|named| named.name).collect()
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(named) = NAMED.iter().find(|named| named.name == text) {
            return Ok(Self::Named(named));
        }
        if text.len() > LONGEST {
            return Err(format!("the expression has {} bytes; at most {LONGEST} are read", text.len()));
        }
        let explain = |problem: &str| {
            format!(
                "function {text:?}: {problem}; give one of {} or an expression in x, like \"exp(-x^2)*sin(9*x)\"",
                names().join(", ")
            )
        };
        if text.is_empty() {
            return Err(explain("it is empty"));
        }
        let similar = text.to_ascii_lowercase().replace(['_', ' '], "-");
        if let Some(named) = NAMED.iter().find(|named| named.name == similar) {
            return Err(explain(&format!("did you mean {}?", named.name)));
        }
        // What it says alone, whatever x is: where it is undefined `values` tells.
        check(&ascii(text)).map_err(|problem| explain(&problem))?;
        Ok(Self::Expression(text.to_owned()))
    }
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

/// The name or the expression, as the settings have it.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Named(named) => named.name,
            Self::Expression(text) => text,
        })
    }
}

impl Target {
    /// As a caption prints it: "sin(x) + x²".
    pub fn formula(&self) -> &str {
        match self {
            Self::Named(named) => named.formula,
            Self::Expression(text) => text,
        }
    }

    /// The function's values at `xs`.
    ///
    /// # Errors
    /// Names the first x where the function is not a finite number, and why where that is known.
    pub fn values(&self, xs: &[f64]) -> Result<Vec<f64>, String> {
        let text = match self {
            Self::Named(_) => String::new(),
            Self::Expression(text) => ascii(text),
        };
        // Compiled, an expression takes a tenth of the time that reading it at each x would.
        let mut code = vec![Instruction::default(); text.len() + 1];
        let program: Option<Program<f64>> = nanoexpr::compile(&text, &mut code).ok();
        xs.iter()
            .map(|&x| {
                let undefined = |why: &str| {
                    format!(
                        "function '{self}' is not finite at x = {x}{why}; choose where it is with --domain LOW:HIGH"
                    )
                };
                let value = match self {
                    Self::Named(named) => (named.function)(x),
                    Self::Expression(text) => match &program {
                        Some(program) => program.evaluate(&expression::names(x)),
                        None => evaluate(text, x),
                    }
                    .map_err(|error| undefined(&format!(" ({})", error.kind.description())))?,
                };
                if value.is_finite() { Ok(value) } else { Err(undefined("")) }
            })
            .collect()
    }
}

/// `count` evenly spaced points from `low` to `high`, both among them.
pub fn evenly_spaced(range: [f64; 2], count: usize) -> Vec<f64> {
    (0..count).map(|i| evenly_spaced_point(range, count, i)).collect()
}

/// Number `i` of [`evenly_spaced`] points.
pub fn evenly_spaced_point([low, high]: [f64; 2], count: usize, i: usize) -> f64 {
    if count == 1 { low } else { low + (high - low) * (i as f64 / (count - 1) as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(expression: &str, x: f64) -> f64 {
        expression.parse::<Target>().unwrap().values(&[x]).unwrap()[0]
    }

    #[test]
    fn precedence_and_unary_minus_are_mathematics() {
        for (expression, expected) in [
            ("-x^2", -9.0),
            ("(-x)^2", 9.0),
            ("2^-x", 0.125),
            ("2^x^2", 512.0),
            ("-2^2", -4.0),
            ("2*-x", -6.0),
            ("1-x-1", -3.0),
            ("12/x/2", 2.0),
            ("1/2*x", 1.5),
            ("2+3*x^2", 29.0),
            ("--x", 3.0),
            ("-x*-x", 9.0),
            ("-x²", -9.0),
            ("x³ − 2·x", 21.0),
        ] {
            assert_eq!(at(expression, 3.0), expected, "{expression}");
        }
    }

    #[test]
    fn the_usual_functions_are_numpys() {
        let x: f64 = 0.7;
        for (expression, expected) in [
            ("sin(x)", x.sin()),
            ("cos(x)", x.cos()),
            ("tan(x)", x.tan()),
            ("tanh(x)", x.tanh()),
            ("exp(x)", x.exp()),
            ("log(x)", x.ln()),
            ("ln(x)", x.ln()),
            ("log(x, 2)", x.log2()),
            ("sqrt(x)", x.sqrt()),
            ("abs(-x)", x),
            ("sign(-x)", -1.0),
            ("max(x, 1)", 1.0),
            ("pi*x", PI * x),
            ("sin(5*π*x)", (5.0 * PI * x).sin()),
            ("e^x", x.exp()),
            ("exp(-x^2)*sin(9*x)", (-x * x).exp() * (9.0 * x).sin()),
        ] {
            assert!((at(expression, x) - expected).abs() < 1e-15, "{expression}");
        }
    }

    #[test]
    fn compiled_expressions_give_the_same_bits_and_the_same_errors() {
        for text in [
            "exp(-x^2)*sin(9*x)",
            "log(1 - x) / x + min(x, 0.3, 2*pi)",
            "1/(x - 1)",
            "sqrt(x) - cbrt(x) * 2^x % 3",
            "exp(exp(exp(9*x)))",
            "x² − 3·x",
            &format!("{}x{}", "(".repeat(25), ")".repeat(25)),
            // Too much for the compiler's stack.
            &format!("{}x{}", "max(1, x, 2*x, -x, ".repeat(9), ")".repeat(9)),
        ] {
            let target: Target = text.parse().unwrap();
            for x in (-40..=40).map(|i| f64::from(i) / 20.0) {
                let found = target.values(&[x]);
                match evaluate(text, x) {
                    Ok(value) if value.is_finite() => {
                        assert_eq!(found.unwrap()[0].to_bits(), value.to_bits(), "{text} at {x}")
                    }
                    Ok(_) => assert!(found.is_err()),
                    Err(error) => assert!(found.unwrap_err().contains(error.kind.description()), "{text} at {x}"),
                }
            }
        }
    }

    #[test]
    fn named_functions_are_the_reports() {
        assert_eq!(at("sin-sq", 1.5), 1.5f64.sin() + 2.25);
        assert_eq!(at("sin-plus-x", 1.5), 1.5f64.sin() + 1.5);
        assert_eq!(at("cos-over-x", 1.5), 1.5f64.cos() / 1.5);
        assert_eq!([at("sign-sin", 0.1), at("sign-sin", 0.3), at("sign-sin", 0.0)], [1.0, -1.0, 0.0]);
    }

    #[test]
    fn unparsable_expressions_say_what_and_where() {
        for (bad, reason) in [
            ("", "empty"),
            ("sin-cube", "unknown variable at 'sin'"),
            ("sin(", "unexpected end"),
            ("2*(x+1", "unclosed parenthesis"),
            ("2*y", "unknown variable at 'y'"),
            ("foo(x)", "unknown function at 'foo"),
            ("sin(x, x)", "wrong number of arguments"),
            ("x x", "unexpected token at 'x' (products as 2*x"),
            ("Sin-Sq", "did you mean sin-sq?"),
            ("x $ 2", "unexpected character at '$'"),
        ] {
            let error = bad.parse::<Target>().unwrap_err();
            assert!(error.contains(reason) && error.contains("sin-sq, sign-sin"), "{bad}: {error}");
        }
        let deep = format!("{}x{}", "(".repeat(400), ")".repeat(400));
        assert!(deep.parse::<Target>().unwrap_err().contains("nested too deep"));
        assert!("x+".repeat(1000).parse::<Target>().unwrap_err().contains("at most 1000"));
    }

    #[test]
    fn undefined_points_are_named() {
        for (expression, x, reason) in [
            ("1/x", 0.0, "x = 0 (division by zero)"),
            ("log(x)", -1.0, "x = -1 (operand out of domain)"),
            ("sqrt(x)", -2.0, "x = -2"),
            ("exp(exp(exp(x)))", 9.0, "x = 9 (overflow)"),
            ("cos-over-x", 0.0, "x = 0"),
        ] {
            let error = expression.parse::<Target>().unwrap().values(&[1.0, x]).unwrap_err();
            assert!(error.contains(reason), "{expression}: {error}");
        }
    }

    #[test]
    fn points_are_evenly_spaced_with_both_ends() {
        assert_eq!(evenly_spaced([-2.0, 2.0], 5), [-2.0, -1.0, 0.0, 1.0, 2.0]);
        let points = evenly_spaced([1.0, 5.0], 1000);
        assert_eq!((points[0], points[999]), (1.0, 5.0));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,60}|[-+*/^()x0-9a-z., ]{0,200}") {
            if let Ok(target) = text.parse::<Target>() {
                let _ = target.values(&[-1.0, 0.0, 2.5]);
            }
        }
    }
}
