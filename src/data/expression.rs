//! Expressions in x: what they may name and call, and whether a text is one. Knows nothing of who asks.
//!
//! Through nanoexpr, where `-x^2` is `-(x²)`, `^` is right-associative, nesting is bounded and angles are in radians.

use nanoexpr::{Context, ErrorKind, Functions, Instruction, Math, Program};

/// Longer expressions are refused before they are parsed.
pub(super) const LONGEST: usize = 1000;

/// What an expression may call, for error messages and help: a macro, so that `concat!` takes it.
macro_rules! functions {
    () => {
        "sin, cos, tan, asin, acos, atan, atan2, sinh, cosh, tanh, asinh, acosh, atanh, exp, log, ln, log2, log10, \
         sqrt, cbrt, pow, hypot, abs, sign, floor, ceil, round, trunc, min, max, clamp, fact"
    };
}

/// Of what an expression may be made, for help.
macro_rules! made_of {
    () => {
        concat!("made of + - * / ^ mod, comparisons, a ? b : c, pi, e, tau, ", $crate::data::expression::functions!())
    };
}
pub(crate) use {functions, made_of};

/// A number as people write one: 3, 1e-3, pi/2.
///
/// # Errors
/// Where it is none.
pub fn constant(text: &str) -> Result<f64, String> {
    let text = text.trim();
    // Words such as inf are numbers too, and refused where they do not fit.
    let value = text.parse().ok().or_else(|| nanoexpr::evaluate_with(&ascii(text), &Math).ok());
    value.ok_or_else(|| format!("'{text}' is no number"))
}

/// That an expression is written as one, and calls and names what there is: before anything is computed, since how
/// far an evaluation gets is decided by values.
pub(super) fn check(text: &str) -> Result<(), String> {
    let mut code = vec![Instruction::default(); 2 * text.len() + 1];
    let compiled: Result<Program<f64, LONGEST>, _> = nanoexpr::compile(text, &mut code);
    if let Err(error) = compiled {
        let place = match text.get(error.span.start..error.span.end) {
            Some(place) if !place.is_empty() => format!(" at '{place}'"),
            _ => String::new(),
        };
        let hint = match error.kind {
            ErrorKind::UnexpectedToken => " (products as 2*x, arguments as sin(x))",
            _ => "",
        };
        return Err(format!("{}{place}{hint}", error.kind.description()));
    }
    named(text).into_iter().try_for_each(|(name, arguments)| check_name(name, arguments))
}

/// The names in an expression that is written as one, each with the number of its arguments where it is called.
fn named(text: &str) -> Vec<(&str, Option<usize>)> {
    let (mut found, mut at) = (Vec::new(), 0);
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    while let Some((rest, byte)) = text.get(at..).and_then(|rest| Some((rest, *rest.as_bytes().first()?))) {
        let length = if byte.is_ascii_digit() || byte == b'.' {
            // Digits, and an exponent, whose sign or digit stands behind its e.
            let digits = |text: &str| text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
            let (mantissa, behind) = rest.split_at(digits(rest));
            let power = behind.strip_prefix(['e', 'E']).unwrap_or_default();
            let unsigned = power.strip_prefix(['+', '-']).unwrap_or(power);
            let exponent = 1 + power.len() - unsigned.len() + digits(unsigned);
            mantissa.len() + if digits(unsigned) > 0 { exponent } else { 0 }
        } else if is_of_name(byte) {
            let length = rest.bytes().take_while(|byte| is_of_name(*byte)).count();
            let (name, behind) = rest.split_at(length);
            if name != REMAINDER {
                found.push((name, behind.trim_start().strip_prefix('(').map(arguments)));
            }
            length
        } else {
            // No character of several bytes is in what is written as an expression.
            1
        };
        at += length;
    }
    found
}

/// The operator that is a word.
const REMAINDER: &str = "mod";

/// How many arguments stand in front of a call's closing parenthesis.
fn arguments(text: &str) -> usize {
    let (mut depth, mut commas, mut is_empty) = (0, 0, true);
    for byte in text.bytes() {
        match byte {
            b')' if depth == 0 => break,
            b')' => depth -= 1,
            b'(' => depth += 1,
            b',' if depth == 0 => commas += 1,
            _ => {}
        }
        is_empty &= byte.is_ascii_whitespace();
    }
    if is_empty { 0 } else { commas + 1 }
}

/// More arguments than any call is tried with.
const MOST_ARGUMENTS: usize = 8;

/// That there is such a function of so many arguments, or such a number.
fn check_name(name: &str, arguments: Option<usize>) -> Result<(), String> {
    let names = names(0.5);
    let is_function = |name: &str| names.call(name, &[]).is_some();
    let is_number = |name: &str| names.variable(name).is_some();
    let lower = name.to_ascii_lowercase();
    let Some(given) = arguments else {
        return match name {
            _ if is_number(name) => Ok(()),
            _ if is_function(name) => Err(format!("unknown variable at '{name}' (the function is written {name}(x))")),
            _ if is_number(&lower) => Err(format!("unknown variable at '{name}' (did you mean {lower}?)")),
            _ => Err(format!("unknown variable at '{name}' (there are x, pi, e and tau)")),
        };
    };
    if is_function(name) {
        let takes = |count: usize| {
            let result = names.call(name, &vec![0.5; count]);
            !matches!(result, None | Some(Err(ErrorKind::ArgumentCount | ErrorKind::TooManyArguments)))
        };
        if takes(given) {
            return Ok(());
        }
        let counts: Vec<usize> = (1..MOST_ARGUMENTS).filter(|count| takes(*count)).collect();
        let wanted = match counts[..] {
            [only] => only.to_string(),
            [one, other] => format!("{one} or {other}"),
            _ => "1 or more".to_owned(),
        };
        return Err(format!("wrong number of arguments at '{name}': it takes {wanted}, and is given {given}"));
    }
    Err(match name {
        _ if is_number(name) => format!("unknown function at '{name}' (products as {name}*(x+1))"),
        _ if is_function(&lower) => format!("unknown function at '{name}' (did you mean {lower}?)"),
        _ => format!("unknown function at '{name}' (there are {})", functions!()),
    })
}

/// The expression as the parser wants it: people write x² and π.
pub(super) fn ascii(expression: &str) -> String {
    [("²", "^2"), ("³", "^3"), ("π", "pi"), ("−", "-"), ("·", "*"), ("×", "*")]
        .iter()
        .fold(expression.to_owned(), |text, (symbol, plain)| text.replace(symbol, plain))
}

pub(super) fn evaluate(expression: &str, x: f64) -> Result<f64, nanoexpr::Error> {
    nanoexpr::evaluate_with(&ascii(expression), &names(x))
}

/// What an expression may name: x and the functions.
pub(super) fn names(x: f64) -> impl Context<f64> {
    // In numerical work `log` is the natural logarithm; nanoexpr's own is a calculator's.
    let natural_log = Functions(|name: &str, arguments: &[f64]| match (name, arguments) {
        ("log", [x]) if *x > 0.0 => Some(Ok(x.ln())),
        ("log", [_]) => Some(Err(ErrorKind::Domain)),
        _ => None,
    });
    ([("x", x)], (natural_log, Math))
}

#[cfg(test)]
mod tests {
    use super::super::functions::Target;
    use super::*;
    use std::f64::consts::PI;

    #[test]
    fn names_and_arguments_are_checked_whatever_x_is() {
        for (bad, reason) in [
            ("sqrt(x-1)+y", "unknown variable at 'y' (there are x, pi, e and tau)"),
            ("x > 5 ? frob(x) : (x > 3 ? y : 1)", "unknown function at 'frob'"),
            ("x > 5 ? 1 : (x > 3 ? y : 1)", "unknown variable at 'y'"),
            ("1/(x-x) + log(x, 2, 3)", "at 'log': it takes 1 or 2, and is given 3"),
            ("sqrt(-1) + max()", "at 'max': it takes 1 or more, and is given 0"),
            ("hypot (x)", "at 'hypot': it takes 2, and is given 1"),
            ("clamp(x, min(1, 2, 3))", "at 'clamp': it takes 3, and is given 2"),
            ("sqrt(x-1)+", "unexpected end"),
            ("X", "unknown variable at 'X' (did you mean x?)"),
            ("Sin(x)", "unknown function at 'Sin' (did you mean sin?)"),
            ("x(x+1)", "unknown function at 'x' (products as x*(x+1))"),
            ("sin", "the function is written sin(x)"),
            ("2e3 + 1.5E-2*E3", "unknown variable at 'E3'"),
        ] {
            let error = bad.parse::<Target>().unwrap_err();
            assert!(error.contains(reason), "{bad}: {error}");
        }
        for good in ["2e3+.5e-1*x", "E*PI*tau", "x mod 2", "max(1, (x, x))", "min(1,2,3,4,5,6)", "sqrt(x - 100)", "5!"]
        {
            assert_eq!(good.parse::<Target>().is_ok(), !good.contains("(x, x)"), "{good}");
        }
    }

    #[test]
    fn every_function_that_works_is_listed() {
        let listed: Vec<&str> = functions!().split(", ").collect();
        for name in &listed {
            assert!(names(0.5).call(name, &[]).is_some(), "{name}");
        }
        // Those of nanoexpr's `Math`.
        for name in [
            "sqrt", "cbrt", "abs", "sign", "exp", "ln", "log2", "log10", "log", "sin", "cos", "tan", "asin", "acos",
            "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "floor", "ceil", "round", "trunc",
            "pow", "hypot", "min", "max", "clamp", "fact",
        ] {
            assert!(listed.contains(&name), "{name}");
        }
    }

    #[test]
    fn constants_are_numbers_and_what_is_made_of_them() {
        let close = |text: &str, value: f64| assert!((constant(text).unwrap() - value).abs() < 1e-15, "{text}");
        close("-pi", -PI);
        close("2*π", 2.0 * PI);
        close(" 1e-3 ", 1e-3);
        close(".5", 0.5);
        assert_eq!(constant("inf"), Ok(f64::INFINITY));
        for bad in ["x", "", "a", "1:2", "1/0"] {
            assert!(constant(bad).is_err(), "{bad}");
        }
    }
}
