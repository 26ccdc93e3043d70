//! Numbers as people write them, for settings: `.001`, `1.` and `1e2` beside what TOML takes. Knows nothing of which
//! settings there are.

use super::check::plain;
use toml::{Table, Value};

/// The largest whole number that TOML, and with it a record, has.
const MOST: u64 = i64::MAX as u64;
/// 2⁶³ as a number, the first that is too large.
const BEYOND: f64 = 9_223_372_036_854_775_808.0;

/// A whole number from 0 up: 1000, 1e3.
pub fn whole(text: &str) -> Result<u64, String> {
    let (text, too_large) = (text.trim(), || format!("{text} is too large: it is at most {MOST}"));
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().filter(|number| *number <= MOST).ok_or_else(too_large);
    }
    match number(text) {
        Some(number) if number.fract() != 0.0 || number < 0.0 => {}
        Some(number) if number < BEYOND => return Ok(number as u64),
        Some(_) => return Err(too_large()),
        None => {}
    }
    Err(format!("'{text}' is not a whole number from 0 up"))
}

/// A finite number that begins as one: no word.
fn number(text: &str) -> Option<f64> {
    let begins = text.trim_start_matches(['+', '-']).starts_with(|first: char| first.is_ascii_digit() || first == '.');
    text.parse().ok().filter(|number: &f64| begins && number.is_finite())
}

/// A value as TOML would read it; else, where the setting is `like` a number or a list of them, as people write those;
/// else the bare text.
pub(super) fn value(text: &str, like: Option<&Value>) -> Value {
    let table: Option<Table> = (!text.contains('\n')).then(|| format!("value = {text}").parse().ok()).flatten();
    let is_number = |like: &Value| matches!(like, Value::Integer(_) | Value::Float(_));
    let as_meant = || match like? {
        like if is_number(like) => number(text).map(Value::Float),
        Value::Array(entries) if entries.iter().all(is_number) => {
            let inner = text.strip_prefix('[')?.strip_suffix(']')?.trim_end().trim_end_matches(',');
            let numbers = inner.split(',').map(|entry| number(entry.trim()).map(Value::Float));
            numbers.collect::<Option<Vec<_>>>().map(Value::Array)
        }
        _ => None,
    };
    let of_toml = table.and_then(|mut table| table.remove("value"));
    of_toml.or_else(as_meant).unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Makes a number that is whole one, 1e2 to 100, where the setting is `like` one.
///
/// # Errors
/// Where it is too large.
pub(super) fn settle(key: &str, value: &mut Value, like: &Value) -> Result<(), String> {
    match (like, value) {
        (Value::Integer(_), value) => {
            if let Value::Float(number) = *value
                && number.fract() == 0.0
            {
                if number.abs() >= BEYOND {
                    return Err(format!("{key} is {}: too large, a whole number is at most {MOST}", plain(number)));
                }
                *value = Value::Integer(number as i64);
            }
        }
        (Value::Array(of), Value::Array(entries)) => {
            let Some(like) = of.first() else { return Ok(()) };
            entries.iter_mut().try_for_each(|entry| settle(key, entry, like))?;
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_was_meant() {
        let float = Value::Float(1.0);
        for (text, number) in [(".001", 0.001), ("1.", 1.0), ("-.5", -0.5), ("1e2", 100.0), ("+2.", 2.0)] {
            assert_eq!(value(text, Some(&float)), Value::Float(number), "{text}");
        }
        assert_eq!(value("[.5, 1., 2e0]", Some(&Value::Array(vec![float.clone()]))).as_array().unwrap().len(), 3);
        // Text stays text.
        for (text, like) in [(".5", Some(Value::String("x".into()))), (".5", None), ("fast", Some(float))] {
            assert_eq!(value(text, like.as_ref()), Value::String(text.to_owned()));
        }
        let settled = |mut value: Value, like: Value| settle("seed", &mut value, &like).map(|()| value);
        assert_eq!(settled(Value::Float(100.0), Value::Integer(1)), Ok(Value::Integer(100)));
        assert_eq!(settled(Value::Float(0.5), Value::Integer(1)), Ok(Value::Float(0.5)));
        assert_eq!(settled(Value::Float(100.0), Value::Float(1.0)), Ok(Value::Float(100.0)));
        let list = |value: Value| Value::Array(vec![value]);
        assert_eq!(settled(list(Value::Float(1e3)), list(Value::Integer(1))), Ok(list(Value::Integer(1000))));
        assert!(settled(Value::Float(1e20), Value::Integer(1)).unwrap_err().contains("seed is 1e20: too large"));
    }

    #[test]
    fn whole_numbers_say_what_they_are_not() {
        assert_eq!([whole("12"), whole("1e3"), whole("2.0")], [Ok(12), Ok(1000), Ok(2)]);
        assert_eq!(whole("9223372036854775807"), Ok(MOST));
        for text in ["9223372036854775808", "99999999999999999999", "1e300"] {
            assert!(whole(text).unwrap_err().contains("too large: it is at most 9223372036854775807"), "{text}");
        }
        for text in ["", "-1", "1.5", "x", "inf", "1e-3"] {
            assert!(whole(text).unwrap_err().contains("not a whole number"), "{text}");
        }
    }
}
