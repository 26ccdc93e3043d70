//! Python's own arithmetic on sizes, which a graph with a dynamic batch has beside its operators: `_operator.mul`,
//! `torch.sym_max`, `math.trunc`. Knows numbers, no tensors.

use super::dispatch::Value;
use anyhow::{Context as _, Result, bail};

/// What is computed of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symbolic {
    Add,
    Sub,
    Mul,
    FloorDiv,
    TrueDiv,
    Mod,
    Pow,
    Neg,
    Pos,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
    ShiftLeft,
    ShiftRight,
    Not,
    ToInt,
    ToFloat,
    Trunc,
    IfThenElse,
    Max,
    Min,
    Sqrt,
}

const NAMES: [(&str, Symbolic); 27] = [
    ("_operator.add", Symbolic::Add),
    ("_operator.sub", Symbolic::Sub),
    ("_operator.mul", Symbolic::Mul),
    ("_operator.floordiv", Symbolic::FloorDiv),
    ("_operator.truediv", Symbolic::TrueDiv),
    ("_operator.mod", Symbolic::Mod),
    ("_operator.pow", Symbolic::Pow),
    ("_operator.neg", Symbolic::Neg),
    ("_operator.pos", Symbolic::Pos),
    ("_operator.eq", Symbolic::Eq),
    ("_operator.ne", Symbolic::Ne),
    ("_operator.lt", Symbolic::Lt),
    ("_operator.le", Symbolic::Le),
    ("_operator.gt", Symbolic::Gt),
    ("_operator.ge", Symbolic::Ge),
    ("_operator.and_", Symbolic::And),
    ("_operator.or_", Symbolic::Or),
    ("_operator.lshift", Symbolic::ShiftLeft),
    ("_operator.rshift", Symbolic::ShiftRight),
    ("torch.sym_not", Symbolic::Not),
    ("torch.sym_int", Symbolic::ToInt),
    ("torch.sym_float", Symbolic::ToFloat),
    ("math.trunc", Symbolic::Trunc),
    ("torch.sym_ite", Symbolic::IfThenElse),
    ("torch.sym_max", Symbolic::Max),
    ("torch.sym_min", Symbolic::Min),
    ("torch.sym_sqrt", Symbolic::Sqrt),
];

impl Symbolic {
    pub fn named(target: &str) -> Option<Self> {
        // `torch.sym_sqrt` is written by its defining module, too.
        let target = target.replace("torch._sym_", "torch.sym_");
        NAMES.iter().find(|(name, _)| *name == target).map(|(_, symbolic)| *symbolic)
    }

    /// Of its operands as Python has it: // and % round down, / is a float, a power of whole numbers is whole.
    ///
    /// # Errors
    /// Operands that are no numbers or too few, a division by 0, a number too large.
    pub fn of(self, operands: &[Value]) -> Result<Value> {
        let numbers: Vec<Number> = operands.iter().map(number).collect::<Result<_>>()?;
        let [a, b] = [0, 1].map(|at| numbers.get(at).copied().context("an operand is missing"));
        let a = a?;
        Ok(match self {
            Self::Pos => a.value(),
            Self::Neg => match a {
                Number::Int(a) => Value::Int(a.checked_neg().context(LARGE)?),
                Number::Float(a) => Value::Float(-a),
            },
            Self::Not => Value::Bool(a.float() == 0.0),
            Self::ToFloat => Value::Float(a.float()),
            Self::ToInt | Self::Trunc => Value::Int(match a {
                Number::Int(a) => a,
                Number::Float(a) if a.trunc().abs() < i64::MAX as f64 => a.trunc() as i64,
                Number::Float(_) => bail!(LARGE),
            }),
            Self::Sqrt => Value::Float(a.float().sqrt()),
            Self::IfThenElse => {
                let otherwise = numbers.get(2).context("an operand is missing")?;
                if a.float() != 0.0 { b?.value() } else { otherwise.value() }
            }
            Self::Eq => Value::Bool(a.compare(b?).is_eq()),
            Self::Ne => Value::Bool(a.compare(b?).is_ne()),
            Self::Lt => Value::Bool(a.compare(b?).is_lt()),
            Self::Le => Value::Bool(a.compare(b?).is_le()),
            Self::Gt => Value::Bool(a.compare(b?).is_gt()),
            Self::Ge => Value::Bool(a.compare(b?).is_ge()),
            Self::Max => b.map(|b| if a.compare(b).is_ge() { a } else { b })?.value(),
            Self::Min => b.map(|b| if a.compare(b).is_le() { a } else { b })?.value(),
            Self::TrueDiv => {
                let b = b?.float();
                if b == 0.0 {
                    bail!("a division by 0");
                }
                Value::Float(a.float() / b)
            }
            Self::And | Self::Or => {
                let logical = matches!(operands, [Value::Bool(_), Value::Bool(_)]);
                let (Number::Int(a), Number::Int(b)) = (a, b?) else { bail!("bits of a float") };
                let bits = if self == Self::And { a & b } else { a | b };
                if logical { Value::Bool(bits != 0) } else { Value::Int(bits) }
            }
            Self::Add | Self::Sub | Self::Mul | Self::FloorDiv | Self::Mod | Self::Pow => self.arithmetic(a, b?)?,
            Self::ShiftLeft | Self::ShiftRight => self.arithmetic(a, b?)?,
        })
    }

    fn arithmetic(self, a: Number, b: Number) -> Result<Value> {
        if let (Number::Int(a), Number::Int(b)) = (a, b) {
            let shift = u32::try_from(b).ok().filter(|b| *b < 63);
            let found = match self {
                Self::Add => a.checked_add(b),
                Self::Sub => a.checked_sub(b),
                Self::Mul => a.checked_mul(b),
                Self::FloorDiv | Self::Mod if b == 0 => bail!("a division by 0"),
                Self::FloorDiv => a.checked_div(b).map(|down| down - i64::from(a % b != 0 && (a < 0) != (b < 0))),
                Self::Mod => {
                    a.checked_rem(b).map(|rest| if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
                }
                Self::Pow if b < 0 => return Ok(Value::Float((a as f64).powf(b as f64))),
                Self::Pow => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
                Self::ShiftLeft => shift.and_then(|b| a.checked_mul(1 << b)),
                Self::ShiftRight => shift.map(|b| a >> b),
                _ => bail!("no arithmetic"),
            };
            return Ok(Value::Int(found.context(LARGE)?));
        }
        let (a, b) = (a.float(), b.float());
        Ok(Value::Float(match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::FloorDiv | Self::Mod if b == 0.0 => bail!("a division by 0"),
            Self::FloorDiv => (a / b).floor(),
            Self::Mod => a - b * (a / b).floor(),
            Self::Pow => a.powf(b),
            _ => bail!("a shift of a float"),
        }))
    }
}

const LARGE: &str = "a number of sizes that is too large";

#[derive(Clone, Copy)]
enum Number {
    Int(i64),
    Float(f64),
}

fn number(value: &Value) -> Result<Number> {
    Ok(match value {
        Value::Int(number) => Number::Int(*number),
        Value::Bool(is) => Number::Int(i64::from(*is)),
        Value::Float(number) => Number::Float(*number),
        _ => bail!("an operand that is no number"),
    })
}

impl Number {
    fn float(self) -> f64 {
        match self {
            Self::Int(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    fn value(self) -> Value {
        match self {
            Self::Int(number) => Value::Int(number),
            Self::Float(number) => Value::Float(number),
        }
    }

    fn compare(self, other: Self) -> std::cmp::Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(&b),
            _ => self.float().total_cmp(&other.float()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_pythons() {
        use Value::{Bool, Float, Int};
        let table = [
            ("_operator.add", vec![Int(2), Int(3)], "Int(5)"),
            ("_operator.add", vec![Int(2), Float(0.5)], "Float(2.5)"),
            ("_operator.sub", vec![Int(2), Int(3)], "Int(-1)"),
            ("_operator.mul", vec![Int(-2), Int(3)], "Int(-6)"),
            ("_operator.floordiv", vec![Int(7), Int(2)], "Int(3)"),
            ("_operator.floordiv", vec![Int(-7), Int(2)], "Int(-4)"),
            ("_operator.floordiv", vec![Int(7), Int(-2)], "Int(-4)"),
            ("_operator.floordiv", vec![Int(-8), Int(2)], "Int(-4)"),
            ("_operator.floordiv", vec![Int(-7), Int(-2)], "Int(3)"),
            ("_operator.floordiv", vec![Float(-7.0), Int(2)], "Float(-4.0)"),
            ("_operator.mod", vec![Int(7), Int(3)], "Int(1)"),
            ("_operator.mod", vec![Int(-7), Int(3)], "Int(2)"),
            ("_operator.mod", vec![Int(7), Int(-3)], "Int(-2)"),
            ("_operator.mod", vec![Int(6), Int(-3)], "Int(0)"),
            ("_operator.mod", vec![Float(-7.5), Int(2)], "Float(0.5)"),
            ("_operator.truediv", vec![Int(7), Int(2)], "Float(3.5)"),
            ("_operator.pow", vec![Int(3), Int(4)], "Int(81)"),
            ("_operator.pow", vec![Int(2), Int(-1)], "Float(0.5)"),
            ("_operator.neg", vec![Int(3)], "Int(-3)"),
            ("_operator.neg", vec![Float(3.0)], "Float(-3.0)"),
            ("_operator.pos", vec![Int(3)], "Int(3)"),
            ("_operator.eq", vec![Int(3), Int(3)], "Bool(true)"),
            ("_operator.eq", vec![Int(3), Float(3.0)], "Bool(true)"),
            ("_operator.ne", vec![Int(3), Int(3)], "Bool(false)"),
            ("_operator.lt", vec![Int(2), Int(3)], "Bool(true)"),
            ("_operator.le", vec![Int(3), Int(3)], "Bool(true)"),
            ("_operator.gt", vec![Int(3), Int(3)], "Bool(false)"),
            ("_operator.ge", vec![Int(3), Int(4)], "Bool(false)"),
            ("_operator.and_", vec![Bool(true), Bool(false)], "Bool(false)"),
            ("_operator.and_", vec![Int(6), Int(3)], "Int(2)"),
            ("_operator.or_", vec![Bool(true), Bool(false)], "Bool(true)"),
            ("_operator.or_", vec![Int(6), Int(1)], "Int(7)"),
            ("_operator.lshift", vec![Int(3), Int(2)], "Int(12)"),
            ("_operator.rshift", vec![Int(13), Int(2)], "Int(3)"),
            ("torch.sym_not", vec![Bool(true)], "Bool(false)"),
            ("torch.sym_int", vec![Float(-2.7)], "Int(-2)"),
            ("torch.sym_float", vec![Int(2)], "Float(2.0)"),
            ("math.trunc", vec![Float(2.7)], "Int(2)"),
            ("torch.sym_ite", vec![Bool(true), Int(1), Int(2)], "Int(1)"),
            ("torch.sym_ite", vec![Bool(false), Int(1), Int(2)], "Int(2)"),
            ("torch.sym_max", vec![Int(1), Int(2)], "Int(2)"),
            ("torch.sym_min", vec![Int(1), Int(2)], "Int(1)"),
            ("torch._sym_sqrt", vec![Int(4)], "Float(2.0)"),
        ];
        for (target, operands, expected) in table {
            let found = Symbolic::named(target).unwrap().of(&operands).unwrap();
            assert_eq!(format!("{found:?}"), expected, "{target} {operands:?}");
        }
    }

    #[test]
    fn what_cannot_be_computed_is_an_error() {
        use Value::{Float, Int, Text};
        for (target, operands) in [
            ("_operator.floordiv", vec![Int(1), Int(0)]),
            ("_operator.mod", vec![Int(1), Int(0)]),
            ("_operator.mod", vec![Float(1.0), Int(0)]),
            ("_operator.truediv", vec![Int(1), Int(0)]),
            ("_operator.floordiv", vec![Int(i64::MIN), Int(-1)]),
            ("_operator.mod", vec![Int(i64::MIN), Int(-1)]),
            ("_operator.mul", vec![Int(i64::MAX), Int(2)]),
            ("_operator.pow", vec![Int(10), Int(40)]),
            ("_operator.lshift", vec![Int(1), Int(64)]),
            ("_operator.neg", vec![Int(i64::MIN)]),
            ("torch.sym_int", vec![Float(f64::NAN)]),
            ("torch.sym_int", vec![Float(1e30)]),
            ("_operator.add", vec![Int(1)]),
            ("_operator.add", vec![]),
            ("_operator.add", vec![Int(1), Text("x".into())]),
            ("_operator.and_", vec![Float(1.0), Int(1)]),
            ("torch.sym_ite", vec![Int(0), Int(1)]),
        ] {
            assert!(Symbolic::named(target).unwrap().of(&operands).is_err(), "{target} {operands:?}");
        }
        assert_eq!(Symbolic::named("_operator.getitem"), None);
    }
}
