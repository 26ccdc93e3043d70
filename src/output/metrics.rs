//! The reader's side of metrics.json: what the commands that look at runs need of it, typed; the
//! series, which are most of its bytes, are skipped. report.rs writes it. Reads, never writes.

use crate::backend::Said;
use crate::store::run_dir::StudyDir;
use crate::study::claim::Verdict;
use anyhow::{Context as _, Result, bail, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Raised when what stands in metrics.json no longer means the same.
pub const SCHEMA: u32 = 1;

/// What a study's last complete call showed.
#[derive(Deserialize)]
pub struct Metrics {
    pub experiment: String,
    pub settings: Map<String, Value>,
    pub provenance: Provenance,
    /// In declared order.
    pub trials: Vec<Trial>,
    pub claims: Vec<Claim>,
    /// Trials that failed, so that all this is of the others only.
    #[serde(default)]
    pub failures: Vec<Failure>,
}

/// A trial that failed, and why.
#[derive(Deserialize, Serialize)]
pub struct Failure {
    pub trial: String,
    pub why: String,
}

/// Where the numbers come from. A field that another version did not write is `None`.
#[derive(Deserialize)]
pub struct Provenance {
    pub version: Option<String>,
    pub commit: Option<String>,
    pub device: Option<String>,
    #[serde(flatten)]
    pub backend: Said,
    /// What computed trials that were reused, with their number, where it was something else.
    pub other_backends: Option<Value>,
    pub preset: Option<String>,
    /// `None` where points are computed.
    pub data: Option<Data>,
    /// RFC 3339, as `end`.
    pub start: Option<String>,
    pub end: Option<String>,
    pub seconds: Option<f64>,
}

/// The images a study trained on.
#[derive(Deserialize)]
pub struct Data {
    pub name: String,
    /// What fingerprints cover.
    pub identity: String,
}

/// One trial, without its series.
#[derive(Deserialize)]
pub struct Trial {
    /// Unique together with the seed.
    pub label: String,
    pub seed: u64,
    pub parameters: i64,
    /// `None` for a number that is not finite.
    pub scalars: BTreeMap<String, Option<f64>>,
}

/// A claim with its verdict; the evidence in full is for other readers.
#[derive(Deserialize, Serialize)]
pub struct Claim {
    pub id: String,
    pub statement: String,
    pub verdict: Verdict,
    /// The numbers behind the verdict, in words.
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<f64>,
    /// What the effect is a number of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect_of: Option<String>,
    /// Of the effect, lower end first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<[Option<f64>; 2]>,
    /// Cases, such as seeds, that it rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
}

/// A claim of two run directories: of one study, by its id.
#[derive(Serialize)]
pub struct LinedUp {
    pub study: String,
    pub id: String,
    /// As B has it, else as A has it.
    pub statement: String,
    pub a: Option<Verdict>,
    pub b: Option<Verdict>,
    pub answer: Answer,
}

/// What two run directories say of one claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Agree,
    Differ,
    OnlyInA,
    OnlyInB,
}

/// All claims of two run directories, lined up by study and id: each study's as B has them, then those
/// that only A has.
#[must_use]
pub fn lined_up(a: &[StudyFolder], b: &[StudyFolder]) -> Vec<LinedUp> {
    let names: BTreeSet<&str> = a.iter().chain(b).map(|folder| folder.name.as_str()).collect();
    let claims = |folders: &'_ [StudyFolder], name: &str| -> Vec<(String, String, Verdict)> {
        let metrics = folders.iter().find(|folder| folder.name == name).and_then(StudyFolder::metrics);
        let claims = metrics.map_or(&[][..], |metrics| &metrics.claims);
        claims.iter().map(|claim| (claim.id.clone(), claim.statement.clone(), claim.verdict)).collect()
    };
    let mut lined_up = Vec::new();
    for name in names {
        let (in_a, in_b) = (claims(a, name), claims(b, name));
        let only_in_a = in_a.iter().filter(|(id, ..)| !in_b.iter().any(|(other, ..)| other == id));
        for (id, statement, _) in in_b.iter().chain(only_in_a) {
            let verdict = |claims: &[(String, String, Verdict)]| {
                claims.iter().find(|(other, ..)| other == id).map(|(.., verdict)| *verdict)
            };
            let (a, b) = (verdict(&in_a), verdict(&in_b));
            let answer = match (a, b) {
                (Some(a), Some(b)) if a == b => Answer::Agree,
                (Some(_), Some(_)) => Answer::Differ,
                (Some(_), None) => Answer::OnlyInA,
                (None, _) => Answer::OnlyInB,
            };
            let (study, id, statement) = (name.to_owned(), id.clone(), statement.clone());
            lined_up.push(LinedUp { study, id, statement, a, b, answer });
        }
    }
    lined_up
}

/// A study's folder in a run directory.
pub struct StudyFolder {
    pub name: String,
    pub path: PathBuf,
    pub state: State,
    /// Of the last call, whether it came to its end or not; `None` where settings.toml cannot be read.
    pub settings: Option<Map<String, Value>>,
    /// Records on disk, of whatever settings.
    pub records: usize,
    /// When the last record came.
    pub last_record: Option<SystemTime>,
}

/// What can be said of a study's folder.
pub enum State {
    /// metrics.json is whole.
    Reported(Box<Metrics>),
    /// There is no metrics.json: no call has come to its end.
    Unreported,
    /// There is one that cannot be read, and why.
    Damaged(String),
}

impl StudyFolder {
    /// The metrics, where they can be read.
    #[must_use]
    pub fn metrics(&self) -> Option<&Metrics> {
        match &self.state {
            State::Reported(metrics) => Some(metrics),
            _ => None,
        }
    }

    /// Whether the last call came to its end, as far as the settings that it left say.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let Some(metrics) = self.metrics().filter(|metrics| metrics.failures.is_empty()) else { return false };
        self.settings.as_ref().is_none_or(|settings| *settings == metrics.settings)
    }
}

/// All studies of a run directory, by name; what is none of a study's is passed over.
///
/// # Errors
/// Where the directory is missing, cannot be read or holds no study, with the way out.
pub fn read_run_dir(run_dir: &Path) -> Result<Vec<StudyFolder>> {
    let shown = run_dir.display();
    let entries = match fs::read_dir(run_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("there is no run directory {shown}{}", others(run_dir))
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read the run directory {shown}")),
    };
    if is_study(run_dir) {
        let parent = run_dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        bail!("{shown} is the folder of one study: name the run directory that it is in, {}", parent.display());
    }
    let mut folders = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read the run directory {shown}"))?.path();
        if path.is_dir() && is_study(&path) {
            folders.push(study_folder(path));
        }
    }
    ensure!(
        !folders.is_empty(),
        "{shown} holds no study: an experiment such as `hw1 simulate` makes one with --out{}",
        others(run_dir)
    );
    folders.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(folders)
}

fn is_study(path: &Path) -> bool {
    StudyDir::at(path.to_owned()).stands()
}

/// ", but there are …" where the folder beside has run directories.
fn others(run_dir: &Path) -> String {
    let Some(parent) = run_dir.parent() else { return String::new() };
    let beside = fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path());
    let has_study = |path: &PathBuf| {
        let mut inside = fs::read_dir(path).into_iter().flatten().flatten();
        inside.any(|entry| is_study(&entry.path()))
    };
    let mut found: Vec<PathBuf> = beside.filter(|path| path.as_path() != run_dir).filter(has_study).collect();
    found.sort();
    let found: Vec<String> = found.iter().take(5).map(|path| path.display().to_string()).collect();
    if found.is_empty() { String::new() } else { format!("; beside it: {}", found.join(", ")) }
}

fn study_folder(path: PathBuf) -> StudyFolder {
    let state = match read(&path.join("metrics.json")) {
        Ok(Some(metrics)) => State::Reported(Box::new(metrics)),
        Ok(None) => State::Unreported,
        Err(error) => State::Damaged(format!("{error:#}")),
    };
    let mut records = 0;
    let mut last_record = None;
    for entry in fs::read_dir(path.join("trials")).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "json") {
            records += 1;
            last_record = last_record.max(entry.metadata().and_then(|metadata| metadata.modified()).ok());
        }
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let settings = read_settings(&path.join("settings.toml"));
    StudyFolder { name, path, state, settings, records, last_record }
}

/// Without the preset, as metrics.json has them.
fn read_settings(path: &Path) -> Option<Map<String, Value>> {
    let text = path.is_file().then(|| fs::read_to_string(path).ok()).flatten()?;
    let mut settings: Map<String, Value> = toml::from_str(&text).ok()?;
    settings.remove("preset");
    Some(settings)
}

/// What a reader needs of a metrics.json; `None` where there is no such file.
///
/// # Errors
/// Where it is no file, of another schema, or lacks what `T` needs.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
        // Opening a pipe would wait for ever.
        Ok(metadata) => ensure!(metadata.is_file(), "it is no file"),
    }
    // What it says of itself first: another schema need not fit the types below.
    #[derive(Deserialize)]
    struct Head {
        schema: u32,
    }
    let bytes = fs::read(path)?;
    let head: Head = serde_json::from_slice(&bytes)?;
    ensure!(head.schema == SCHEMA, "its schema is {}, this program's {SCHEMA}", head.schema);
    Ok(Some(serde_json::from_slice(&bytes)?))
}
