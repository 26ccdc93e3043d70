//! The finished trials of a study, as an export wants them: what they are called, what they measured, at which settings
//! and when. What metrics.json names, and of a study that is unfinished every other record.

use crate::output::study_folder::StudyFolder;
use crate::store::{Fingerprint, Identity, StudyDir};
use crate::study::numbers;
use crate::{files::sha256, output::metrics::Provenance};
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::SystemTime;

/// Numbers as metrics.json and records have them; null is NaN.
#[derive(Default, Deserialize)]
pub(super) struct Measured {
    pub parameters: Option<i64>,
    #[serde(default, deserialize_with = "numbers::map::deserialize")]
    pub scalars: BTreeMap<String, f64>,
    #[serde(default, deserialize_with = "numbers::series::deserialize")]
    pub series: BTreeMap<String, Vec<f64>>,
}

/// A trial of metrics.json, with the series that others skip.
#[derive(Deserialize)]
struct Listed {
    label: String,
    seed: u64,
    /// Nothing in an older file.
    #[serde(default)]
    fingerprint: String,
    #[serde(flatten)]
    measured: Measured,
}

/// A finished trial.
pub(super) struct Trial {
    pub label: String,
    pub seed: Option<u64>,
    /// Its fingerprint, or what stands in its place where an older version wrote none.
    pub key: String,
    /// Beginning and end, in seconds since 1970.
    pub times: [f64; 2],
    /// `None` where only the record has them.
    measured: Option<Measured>,
}

/// The finished trials of a study, and what is to be said of them.
pub(super) struct Finished {
    pub trials: Vec<Trial>,
    pub notes: Vec<String>,
}

/// A record, without what of it is its study's own.
#[derive(Deserialize)]
struct Record {
    #[serde(flatten)]
    identity: Identity,
    record: Measured,
}

impl Record {
    fn read(study: &StudyFolder, key: &str) -> Result<Self> {
        let path = study.path.join(format!("trials/{key}.json"));
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let record: Self =
            serde_json::from_slice(&bytes).with_context(|| format!("{} is no record", path.display()))?;
        ensure!(record.identity.fingerprint().as_str() == key, "{} belongs to another trial", path.display());
        Ok(record)
    }
}

impl Trial {
    /// What it measured, and its settings by name where its record is there.
    ///
    /// # Errors
    /// Where they can be had of the record alone, and it cannot be read.
    pub fn read(self, study: &StudyFolder) -> Result<(Measured, BTreeMap<String, Value>)> {
        let record = Record::read(study, &self.key);
        let mut settings = BTreeMap::new();
        if let Ok(record) = &record {
            flatten("", &record.identity.trial, &mut settings);
        }
        for (name, value) in [
            ("study", study.name.as_str().into()),
            ("trial", self.label.into()),
            ("seed", self.seed.map_or(Value::Null, Value::from)),
        ] {
            settings.entry(name.to_owned()).or_insert(value);
        }
        let measured = self.measured.map_or_else(|| record.map(|record| record.record), Ok)?;
        Ok((measured, settings))
    }
}

/// Settings within settings by their path, with dots.
fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, value, into);
            }
        }
        value => {
            into.insert(path.to_owned(), value.clone());
        }
    }
}

/// Seconds since 1970 of the end of the call that wrote metrics.json; 0 where it does not say.
pub(super) fn end_of_call(provenance: Option<&Provenance>) -> f64 {
    let end = provenance.and_then(|provenance| humantime::parse_rfc3339(provenance.end.as_deref()?).ok());
    let seconds = end.and_then(|end| end.duration_since(SystemTime::UNIX_EPOCH).ok());
    seconds.map_or(0.0, |seconds| seconds.as_secs_f64())
}

impl Finished {
    /// Those of a study in whose run directory another process may be at work.
    ///
    /// # Errors
    /// Where a file of it cannot be read.
    pub fn of(study: &StudyFolder, in_use: bool) -> Result<Self> {
        let dir = StudyDir::at(study.path.clone());
        // Before the log, which names a record only after it is there.
        let records = if dir.has_trials() { dir.trial_files()? } else { Vec::new() };
        let times: BTreeMap<Fingerprint, [f64; 2]> = dir.times()?.into_iter().collect();
        let end = end_of_call(study.metrics().map(|metrics| &metrics.provenance));
        let times_of = |key: &str| {
            let known = Fingerprint::try_from(key.to_owned()).ok().and_then(|fingerprint| times.get(&fingerprint));
            known.copied().unwrap_or([end; 2])
        };
        let (mut trials, mut notes): (Vec<Trial>, Vec<String>) = (Vec::new(), study.problem().into_iter().collect());
        for Listed { label, seed, fingerprint, measured } in listed(study)? {
            let key = if fingerprint.is_empty() { stand_in(&label, seed, &measured) } else { fingerprint };
            trials.push(Trial { times: times_of(&key), label, seed: Some(seed), key, measured: Some(measured) });
        }
        if study.is_complete() {
            return Ok(Self { trials, notes });
        }
        let named: BTreeSet<String> = trials.iter().map(|trial| trial.key.clone()).collect();
        let log = dir.last_done()?;
        let others =
            records.iter().filter_map(|name| Fingerprint::try_from(name.strip_suffix(".json")?.to_owned()).ok());
        for fingerprint in others.filter(|fingerprint| !named.contains(fingerprint.as_str())) {
            let key = fingerprint.to_string();
            let line = log.get(&fingerprint);
            // It stands there before the log says what it is called; where nobody works any more, nothing will.
            if line.is_none() && in_use {
                continue;
            }
            if let Err(error) = Record::read(study, &key) {
                notes.push(format!("left out: {error:#}"));
                continue;
            }
            let label = line.and_then(|line| line["label"].as_str()).unwrap_or(&key).to_owned();
            let seed = line.and_then(|line| line["seed"].as_u64());
            trials.push(Trial { times: times_of(&key), label, seed, key, measured: None });
        }
        Ok(Self { trials, notes })
    }
}

/// The trials of metrics.json, where there is one to be read.
fn listed(study: &StudyFolder) -> Result<Vec<Listed>> {
    #[derive(Deserialize)]
    struct Trials {
        trials: Vec<Listed>,
    }
    if study.metrics().is_none() {
        return Ok(Vec::new());
    }
    let path = study.path.join("metrics.json");
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let Trials { trials } = serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?;
    Ok(trials)
}

/// For a trial without a fingerprint: of all that is known of it.
fn stand_in(label: &str, seed: u64, measured: &Measured) -> String {
    let mut text = format!("{label}\n{seed}\n{:?}\n", measured.parameters);
    for (name, value) in &measured.scalars {
        text.push_str(&format!("{name} {value:e}\n"));
    }
    for (name, values) in &measured.series {
        let values: Vec<String> = values.iter().map(|value| format!("{value:e}")).collect();
        text.push_str(&format!("{name} {}\n", values.join(" ")));
    }
    let mut digest = sha256(text.as_bytes());
    digest.truncate(24);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_within_settings_have_a_path() {
        let trial = json!({"block": {"alphas": [0.5, 1.0], "seed": 0}, "optimizer": "adam", "start": null});
        let mut settings = BTreeMap::new();
        flatten("", &trial, &mut settings);
        let expected = [
            ("block.alphas", json!([0.5, 1.0])),
            ("block.seed", json!(0)),
            ("optimizer", json!("adam")),
            ("start", json!(null)),
        ];
        assert_eq!(settings, expected.map(|(name, value)| (name.to_owned(), value)).into());
    }

    #[test]
    fn an_older_file_has_no_fingerprint_and_need_not_have_all() {
        let listed: Listed = serde_json::from_value(json!({
            "label": "A", "seed": 3, "scalars": {"loss": null, "epochs_run": 2}, "series": {"loss": [1, null]},
        }))
        .unwrap();
        assert!(listed.measured.scalars["loss"].is_nan() && listed.measured.series["loss"][1].is_nan());
        assert_eq!((listed.measured.parameters, listed.fingerprint.as_str()), (None, ""));
        let key = stand_in(&listed.label, listed.seed, &listed.measured);
        assert_eq!(key.len(), 24);
        assert_ne!(key, stand_in("B", listed.seed, &listed.measured));
    }
}
