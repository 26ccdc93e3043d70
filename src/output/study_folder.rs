//! The studies of a run directory, for the commands that look at runs: what metrics.json says, and what the folder
//! does where there is none. Reads, never writes.

use crate::output::metrics::Metrics;
use crate::store::{Stored, StudyDir, covered};
use crate::terminal::counted;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io::ErrorKind, time::SystemTime};

/// A study's folder in a run directory.
pub struct StudyFolder {
    pub name: String,
    pub path: PathBuf,
    /// metrics.json; nothing where no call has come to its end.
    pub metrics_file: Stored<Box<Metrics>>,
    /// Of the last call, whether it came to its end or not; `None` where settings.toml cannot be read.
    pub settings: Option<Map<String, Value>>,
    /// Records on disk, of whatever settings.
    pub records: usize,
    /// When the last record came.
    pub last_record: Option<SystemTime>,
}

impl StudyFolder {
    /// The metrics, where they can be read.
    pub fn metrics(&self) -> Option<&Metrics> {
        match &self.metrics_file {
            Stored::Valid(metrics) => Some(metrics),
            _ => None,
        }
    }

    /// Seconds in which at least one of its trials ran, by its log: of those that metrics.json has, or of all. Reads the log.
    pub fn own_seconds(&self) -> Option<f64> {
        let mut times = StudyDir::at(self.path.clone()).times().ok()?;
        if let Some(metrics) = self.metrics() {
            let own: BTreeSet<&str> = metrics.trials.iter().map(|trial| trial.fingerprint.as_str()).collect();
            times.retain(|(fingerprint, _)| own.contains(fingerprint.to_string().as_str()));
        }
        let spans: Vec<[f64; 2]> = times.into_iter().map(|(_, span)| span).collect();
        (!spans.is_empty()).then(|| covered(spans))
    }

    /// Whether the last call came to its end, as far as the settings that it left say.
    pub fn is_complete(&self) -> bool {
        let is_whole = |metrics: &&Metrics| metrics.failures.is_empty() && metrics.missing == 0;
        let Some(metrics) = self.metrics().filter(is_whole) else { return false };
        self.settings.as_ref().is_none_or(|settings| *settings == metrics.settings)
    }

    /// Why a study has no metrics, or none of its last call.
    pub fn problem(&self) -> Option<String> {
        match &self.metrics_file {
            Stored::Valid(_) if self.is_complete() => None,
            Stored::Valid(metrics) if !metrics.failures.is_empty() => Some(format!(
                "partial: {} failed, and this is what the others show",
                counted(metrics.failures.len(), "trial", "trials")
            )),
            Stored::Valid(metrics) if metrics.missing > 0 => Some(format!(
                "partial: {} not run yet, and this is what the others show",
                counted(metrics.missing, "trial has", "trials have")
            )),
            Stored::Valid(_) => {
                Some("metrics.json is of an earlier call; the last one, with other settings, is unfinished".into())
            }
            Stored::Nothing => Some(format!(
                "unfinished ({}), so it has no metrics.json yet",
                counted(self.records, "record", "records")
            )),
            Stored::Invalid(reason) => Some(format!("metrics.json is damaged: {reason}")),
        }
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
    let metrics_file = match Metrics::read(&path.join("metrics.json")) {
        Ok(Some(metrics)) => Stored::Valid(Box::new(metrics)),
        Ok(None) => Stored::Nothing,
        Err(error) => Stored::Invalid(format!("{error:#}")),
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
    StudyFolder { name, path, metrics_file, settings, records, last_record }
}

/// Without the preset, as metrics.json has them.
fn read_settings(path: &Path) -> Option<Map<String, Value>> {
    let text = path.is_file().then(|| fs::read_to_string(path).ok()).flatten()?;
    let mut settings: Map<String, Value> = toml::from_str(&text).ok()?;
    settings.remove("preset");
    Some(settings)
}
