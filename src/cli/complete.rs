//! What `hw1 report` makes of records that no call has made results of, such as those of shards: metrics, tables and figures
//! of what there is, and a line on what is missing. Trains nothing.

use crate::backend::device::DeviceChoice;
use crate::cli::registry::{logged_data_dir, study_in};
use crate::data::Access;
use crate::error::{one_line, say};
use crate::output::provenance::Call;
use crate::output::show::Unfinished;
use crate::output::study_folder::{StudyFolder, read_run_dir};
use crate::output::{self, metrics::Metrics};
use crate::runner::{Job, Signals};
use crate::store::{Lock, RunDir};
use crate::study::Study;
use crate::terminal::counted;
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Kinds of devices that records are of.
const DEVICE_KINDS: [&str; 2] = ["cpu", "cuda"];

/// The trials of a study on the kind of device on which most are done.
///
/// # Errors
/// Where they cannot be named, or a record cannot be read.
pub fn furthest<'a>(study: &'a dyn Study, run_dir: &RunDir, preset: &'a str) -> Result<(&'static str, Job<'a>)> {
    let mut furthest: Option<(&str, Job)> = None;
    for kind in DEVICE_KINDS {
        let mut job = Job::new(study, run_dir, preset);
        job.due(kind, false)?;
        if furthest.as_ref().is_none_or(|(_, furthest)| furthest.finished.len() < job.finished.len()) {
            furthest = Some((kind, job));
        }
        if furthest.as_ref().is_some_and(|(_, furthest)| furthest.finished.len() == furthest.planned.len()) {
            break;
        }
    }
    furthest.context("no device")
}

/// How far a study is, by the trials that [`furthest`] found.
pub fn unfinished(
    (experiment, preset): (&'static str, &str),
    data_dir: Option<PathBuf>,
    (device_kind, job): (&'static str, &Job),
) -> Unfinished {
    let (done, total) = (job.finished.len(), job.planned.len());
    let failed = failed(job);
    Unfinished { experiment, preset: preset.to_owned(), data_dir, device_kind, done, total, failed }
}

/// The trials that are not done and failed when they last ran, and why.
fn failed(job: &Job) -> Vec<(String, String)> {
    let reasons = job.dir.last_failures().unwrap_or_default();
    let due = job.planned.iter().filter(|planned| !job.finished.contains_key(&planned.fingerprint));
    due.filter_map(|planned| Some((planned.name(), reasons.get(&planned.fingerprint)?.clone()))).collect()
}

/// Makes results of the studies that have more records than results show, and takes away what killed or slower processes
/// left. Where others work in the run directory, or it cannot be read or written, all stays as it is: what is wrong, the page
/// says.
pub fn complete(run_dir: &RunDir, signals: &Signals) {
    let Ok(folders) = read_run_dir(run_dir.root()) else { return };
    let Ok(lock) = run_dir.try_lock() else { return };
    let Some(lock) = lock else {
        say(&format!(
            "hw1: others work in {} now: the page shows what has results; hw1 report, again, makes those of the rest",
            run_dir.root().display()
        ));
        return;
    };
    if lock.is_alone() {
        run_dir.forget_shards();
    }
    for folder in &folders {
        // Of one without records the page says all there is.
        if let Err(error) = of_study(run_dir, folder, &lock, signals)
            && folder.records > 0
        {
            say(&format!("hw1: {}: no results are made of its records: {}", folder.name, one_line(&error)));
        }
    }
}

fn of_study(run_dir: &RunDir, folder: &StudyFolder, lock: &Lock, signals: &Signals) -> Result<()> {
    let dir = run_dir.study(&folder.name);
    if lock.is_alone() && dir.has_trials() {
        lock.remove_leftovers(&dir)?;
        dir.gather_logs()?;
        dir.remove_orphans()?;
    }
    let shown = folder.metrics().map_or(0, |metrics| metrics.trials.len());
    // Where it is not complete records are opened by name: a listing may be stale.
    if folder.is_complete() && folder.records <= shown || !dir.has_trials() {
        return Ok(());
    }
    let access = Access { data_dir: logged_data_dir(&dir), ..Access::default() };
    let (entry, layers, study) = study_in(&folder.name, &dir, &access)?;
    let preset = layers.preset();
    let (device_kind, mut job) = furthest(study.as_ref(), run_dir, preset)?;
    if job.finished.is_empty() {
        return Ok(());
    }
    let missing: Vec<String> = job
        .planned
        .iter()
        .filter(|planned| !job.finished.contains_key(&planned.fingerprint))
        .map(|of| of.name())
        .collect();
    let mut failures = Vec::new();
    if !missing.is_empty() {
        let unfinished = unfinished((entry.name, preset), access.data_dir.clone(), (device_kind, &job));
        let go_on = unfinished.command(dir.root(), run_dir.root());
        say(&format!("hw1: {}", told(&folder.name, &missing, unfinished.total, &go_on)));
        failures = unfinished.failed;
    }
    if !has_more(&job, folder.metrics()) {
        return Ok(());
    }
    job.failures = failures;
    let choice = if device_kind == "cpu" { DeviceChoice::Cpu } else { DeviceChoice::Cuda(0) };
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    output::write(&job, &Call::now(choice, threads, preset), signals).map(drop)
}

/// Whether a study's records show more than its results do.
fn has_more(job: &Job, metrics: Option<&Metrics>) -> bool {
    let Some(metrics) = metrics else { return !job.finished.is_empty() };
    let shown: BTreeSet<&str> = metrics.trials.iter().map(|trial| trial.fingerprint.as_str()).collect();
    let is_new = job.finished.keys().any(|fingerprint| !shown.contains(fingerprint.to_string().as_str()));
    is_new && job.finished.len() > shown.len()
}

/// So many are named, no more.
const MOST_NAMES: usize = 4;

/// "simulate-sin-sq: 3 of 15 trials are missing: DNN_1, seed 0; …; go on: hw1 …"
fn told(study: &str, missing: &[String], planned: usize, go_on: &str) -> String {
    let mut names = missing.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join("; ");
    if missing.len() > MOST_NAMES {
        names.push_str(&format!("; and {} more", missing.len() - MOST_NAMES));
    }
    let are = if missing.len() == 1 { "is" } else { "are" };
    format!(
        "{study}: {} of {} {are} missing: {names}; go on: {go_on}",
        missing.len(),
        counted(planned, "trial", "trials")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_and_not_all_of_many() {
        let names = |n: usize| (0..n).map(|i| format!("A, seed {i}")).collect::<Vec<_>>();
        assert_eq!(told("s", &names(1), 2, "hw1"), "s: 1 of 2 trials is missing: A, seed 0; go on: hw1");
        let many = told("s", &names(9), 9, "hw1");
        assert!(many.ends_with("A, seed 2; A, seed 3; and 5 more; go on: hw1"), "{many}");
    }
}
