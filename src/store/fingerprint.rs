//! Names of records: a stable hash of all that a trial depends on. Knows no study, only its trial as JSON.

use crate::files::sha256;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// Names a trial's record: a stable hash of all it depends on.
///
/// A trial that builds on another names it by fingerprint, so that its own covers it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Fingerprint(String);

impl TryFrom<String> for Fingerprint {
    type Error = String;

    /// Only what [`Self::of`] makes: it becomes part of a file's name.
    fn try_from(text: String) -> Result<Self, String> {
        let is_one = text.len() == LENGTH && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_one { Ok(Self(text)) } else { Err(format!("'{text}' is no fingerprint of a trial")) }
    }
}

/// 96 bits in hexadecimal: no two trials will ever share them.
const LENGTH: usize = 24;

impl Fingerprint {
    /// Of a trial (as JSON) of an experiment at a version, on a kind of device and a data set.
    pub fn of(experiment: &str, version: u32, device_kind: &str, data: Option<&str>, trial: &Value) -> Self {
        let mut whole = serde_json::json!({
            "device": device_kind, "experiment": experiment, "trial": trial, "version": version,
        });
        if let Some(data) = data {
            whole["data"] = data.into();
        }
        let mut canonical = String::new();
        write_canonical(&whole, &mut canonical);
        let mut digest = sha256(canonical.as_bytes());
        digest.truncate(LENGTH);
        Self(digest)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// All that a fingerprint covers, as it stands in a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    pub experiment: String,
    pub version: u32,
    /// Kind of device: "cpu" or "cuda".
    pub device: String,
    /// Identity of the data set, where the study has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    pub trial: Value,
}

impl Identity {
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.experiment, self.version, &self.device, self.data.as_deref(), &self.trial)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// JSON with sorted keys, whatever order the map type keeps them in.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for key in keys {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_canonical(&map[key], out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        // In a form of our own: how a JSON library prints 0.00001 differs between its versions.
        Value::Number(number) if number.is_f64() => {
            out.push_str(&format!("{:e}", number.as_f64().unwrap_or(f64::NAN)));
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_cover_everything_and_no_order() {
        let trial: Value = serde_json::from_str(r#"{"b": 1, "a": {"d": 0.001, "c": "x"}}"#).unwrap();
        let same: Value = serde_json::from_str(r#"{"a": {"c": "x", "d": 1e-3}, "b": 1}"#).unwrap();
        let base = Fingerprint::of("simulate", 1, "cpu", None, &trial);
        assert_eq!(base, Fingerprint::of("simulate", 1, "cpu", None, &same));
        let changed: Value = serde_json::from_str(r#"{"a": {"c": "x", "d": 0.002}, "b": 1}"#).unwrap();
        for other in [
            Fingerprint::of("simulate", 2, "cpu", None, &trial),
            Fingerprint::of("simulate", 1, "cuda", None, &trial),
            Fingerprint::of("simulate", 1, "cpu", Some("mnist"), &trial),
            Fingerprint::of("other", 1, "cpu", None, &trial),
            Fingerprint::of("simulate", 1, "cpu", None, &changed),
        ] {
            assert_ne!(base, other);
        }
    }
}
