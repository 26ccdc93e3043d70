//! metrics.json: one set of types, which writes it and which everything here reads it with. A field that another
//! version did not write is `None` or empty; what only other programs read is skipped in reading, above all the series,
//! which are most of its bytes. Knows no record and no study.

use crate::backend::Said;
use crate::data::Normalisation;
use crate::files::sha256;
use crate::plot;
use crate::study::claim::{self, Point, Verdict};
use crate::study::{Measurements, Planned, numbers};
use anyhow::{Result, ensure};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fs, io::ErrorKind, path::Path};

/// Raised when what stands in metrics.json no longer means the same.
pub const SCHEMA: u32 = 1;

/// What a study's last complete call showed.
#[derive(Serialize, Deserialize)]
pub struct Metrics {
    pub schema: u32,
    pub experiment: String,
    #[serde(skip_deserializing)]
    pub folder: String,
    /// What the study asks, in a few sentences.
    pub asked: Option<String>,
    pub settings: Map<String, Value>,
    pub provenance: Provenance,
    /// In declared order.
    pub trials: Vec<Trial>,
    /// Trials that failed, so that all this is of the others only.
    #[serde(default)]
    pub failures: Vec<Failure>,
    /// Trials that have not run yet, as far as they can be named.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing: usize,
    pub table: Option<Table>,
    #[serde(skip_deserializing)]
    pub summary: Map<String, Value>,
    pub figures: Option<Vec<Figure>>,
    pub claims: Vec<Claim>,
    /// SHA-256 of the other files that were written, by their paths from the study's folder.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A trial that failed, and why.
#[derive(Serialize, Deserialize)]
pub struct Failure {
    pub trial: String,
    pub why: String,
}

/// Where the numbers come from: what ran, when and on what.
#[derive(Serialize, Deserialize)]
pub struct Provenance {
    pub version: Option<String>,
    pub commit: Option<String>,
    pub device: Option<String>,
    #[serde(flatten, serialize_with = "without_nulls")]
    pub backend: Said,
    /// What computed trials that were reused, with their number, where it was something else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_backends: Vec<Map<String, Value>>,
    /// Trials at a time.
    pub jobs: Option<usize>,
    pub preset: Option<String>,
    pub command: Option<Vec<String>>,
    /// `None` where points are computed.
    pub data: Option<Data>,
    /// RFC 3339, as `end`.
    pub start: Option<String>,
    pub end: Option<String>,
    pub seconds: Option<f64>,
}

fn without_nulls<S: Serializer>(backend: &Said, serializer: S) -> Result<S::Ok, S::Error> {
    let mut parts = serde_json::to_value(backend).map_err(S::Error::custom)?;
    parts.as_object_mut().into_iter().for_each(|parts| parts.retain(|_, part| !part.is_null()));
    parts.serialize(serializer)
}

/// The data set a study trained on.
#[derive(Serialize, Deserialize)]
pub struct Data {
    pub name: String,
    /// What fingerprints cover.
    pub identity: String,
    pub synthetic: Option<bool>,
    /// The set in whose place it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_place_of: Option<String>,
    /// What its numbers are normalised by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalised_by: Option<Normalisation>,
    /// What was decided in reading it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Data {
    /// "synthetic digits in place of MNIST"; an older file says of what it stands in the place of that it is the report's.
    pub fn substitution(&self) -> Option<String> {
        let of = self.in_place_of.as_deref().unwrap_or("the report's data");
        (self.synthetic == Some(true)).then(|| format!("{} in place of {of}", self.name))
    }
}

/// One trial.
#[derive(Serialize, Deserialize)]
pub struct Trial {
    /// Unique together with the seed.
    pub label: String,
    pub seed: u64,
    #[serde(default)]
    pub fingerprint: String,
    pub parameters: i64,
    /// Null in the file for a number that is not finite.
    #[serde(with = "numbers::map")]
    pub scalars: BTreeMap<String, f64>,
    #[serde(skip_deserializing, serialize_with = "numbers::series::serialize")]
    pub series: BTreeMap<String, Vec<f64>>,
    /// How many numbers are null.
    #[serde(skip_deserializing)]
    pub non_finite: usize,
}

impl Trial {
    pub fn new(planned: &Planned, measured: &Measurements) -> Self {
        let Measurements { parameters, scalars, series } = measured.clone();
        let (label, fingerprint) = (planned.label.clone(), planned.fingerprint.to_string());
        Self { label, seed: planned.seed, fingerprint, parameters, scalars, series, non_finite: measured.non_finite() }
    }
}

/// The table on standard output.
#[derive(Serialize, Deserialize)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
    pub notes: Vec<String>,
}

#[derive(Serialize, Deserialize)]
pub struct Figure {
    pub name: String,
    pub title: String,
    pub caption: String,
    /// What speaks against taking it at face value, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

impl From<&plot::Figure> for Figure {
    fn from(plot::Figure { name, title, caption, doubts, .. }: &plot::Figure) -> Self {
        Self { name: name.clone(), title: title.clone(), caption: caption.clone(), doubts: doubts.clone() }
    }
}

/// A claim with its verdict.
#[derive(Serialize, Deserialize)]
pub struct Claim {
    pub id: String,
    pub statement: String,
    pub verdict: Verdict,
    #[serde(flatten, skip_serializing_if = "Effect::is_none")]
    pub effect: Effect,
    /// The numbers behind the verdict, in words.
    pub detail: String,
    /// The numbers behind the verdict, by name.
    #[serde(default)]
    pub evidence: Value,
    /// The study's figures that show it, by their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<String>,
    /// The numbers it was judged by, one entry a case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<Point>,
    /// What would decide it, or overturn it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_change: Option<String>,
}

/// How much there is to a claim, as far as a study states it.
#[derive(Default, Serialize, Deserialize)]
pub struct Effect {
    /// What the effect is a number of.
    pub effect_of: Option<String>,
    pub effect: Option<f64>,
    /// Of the effect, lower end first.
    pub interval: Option<[Option<f64>; 2]>,
    /// Cases, such as seeds, that it rests on.
    pub n: Option<usize>,
}

impl Effect {
    fn is_none(&self) -> bool {
        self.effect.is_none()
    }
}

impl From<claim::Claim> for Claim {
    fn from(claim: claim::Claim) -> Self {
        let claim::Claim { id, statement, verdict, effect, detail, evidence, figures, points, would_change, .. } =
            claim;
        let effect = effect.map(|claim::Effect { effect_of, effect, interval, n }| Effect {
            effect_of: Some(effect_of),
            effect: Some(effect),
            interval: interval.map(|ends| ends.map(Some)),
            n: Some(n),
        });
        let effect = effect.unwrap_or_default();
        Self { id, statement, verdict, effect, detail, evidence, figures, points, would_change }
    }
}

/// What stands before the digest at the end of metrics.json.
const DIGEST: &[u8] = b",\"sha256\":\"";

impl Metrics {
    /// metrics.json: a line whose last field is the SHA-256 of the line without that field.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(self)?;
        let digest = sha256(&bytes);
        bytes.pop();
        bytes.extend([DIGEST, digest.as_bytes(), b"\"}\n"].concat());
        Ok(bytes)
    }

    /// Whether these bytes are [`Metrics::to_json`]'s; `None` where they have no digest, as an older version wrote them.
    pub fn is_as_written(bytes: &[u8]) -> Option<bool> {
        let at = bytes.windows(DIGEST.len()).rposition(|window| window == DIGEST)?;
        let digest = sha256(&[&bytes[..at], b"}"].concat());
        Some(bytes[at..] == [DIGEST, digest.as_bytes(), b"\"}\n"].concat())
    }

    /// What stands in a metrics.json; `None` where there is no such file.
    ///
    /// # Errors
    /// Where it is no file, of another schema, or lacks what every version has written.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
            // Opening a pipe would wait for ever.
            Ok(metadata) => ensure!(metadata.is_file(), "it is no file"),
        }
        // What it says of itself first: another schema need not fit the types above.
        #[derive(Deserialize)]
        struct Head {
            schema: u32,
        }
        let bytes = fs::read(path)?;
        let head: Head = serde_json::from_slice(&bytes)?;
        ensure!(head.schema == SCHEMA, "its schema is {}, this program's {SCHEMA}", head.schema);
        Ok(Some(serde_json::from_slice(&bytes)?))
    }
}

#[cfg(test)]
mod tests {
    use super::Data;

    #[test]
    fn a_substitute_is_said_in_whose_place_it_stands() {
        let said = |json: serde_json::Value| serde_json::from_value::<Data>(json).unwrap().substitution();
        let mut data =
            serde_json::json!({"name": "drawn", "identity": "1", "synthetic": true, "in_place_of": "photographs"});
        assert_eq!(said(data.clone()).unwrap(), "drawn in place of photographs");
        // An older file.
        data.as_object_mut().unwrap().remove("in_place_of");
        assert_eq!(said(data.clone()).unwrap(), "drawn in place of the report's data");
        data["synthetic"] = false.into();
        assert_eq!(said(data), None);
    }
}
