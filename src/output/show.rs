//! `hw1 show`: the studies of a run directory, how far each is, of what and when; as text and as JSON.

use crate::output::{provenance::timestamp, study_folder::StudyFolder, typed::typed};
use crate::store::progress::{Now, ShardProgress, Whole, duration};
use crate::store::{RunDir, Stored};
use crate::terminal::{counted, paragraph, plain, table};
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A study whose last call did not come to its end, by the settings that it left.
pub struct Unfinished {
    /// Its subcommand.
    pub experiment: &'static str,
    pub preset: String,
    /// The folder that its last call named for data.
    pub data_dir: Option<PathBuf>,
    pub device_kind: &'static str,
    pub done: usize,
    /// Trials that can be named so far.
    pub total: usize,
    /// Of those that are not done the ones that failed when they last ran, and why.
    pub failed: Vec<(String, String)>,
}

impl Unfinished {
    /// What goes on with it, where its folder is this one of that run directory.
    pub fn command(&self, folder: &Path, run_dir: &Path) -> String {
        let config = path_word(&folder.join("settings.toml"));
        let mut words = format!("hw1 {} --config {config} --out {}", self.experiment, path_word(run_dir));
        if let Some(data_dir) = &self.data_dir {
            words.push_str(&format!(" --data-dir {}", path_word(data_dir)));
        }
        if self.device_kind != "cpu" {
            words.push_str(&format!(" --device {}", self.device_kind));
        }
        words
    }
}

/// Tells how far a study is whose last call did not come to its end.
type Look<'a> = &'a dyn Fn(&StudyFolder) -> Result<Unfinished>;

/// The studies of a run directory.
#[derive(Serialize)]
pub struct Listing {
    run_dir: String,
    /// Whether another process works in it.
    in_use: bool,
    /// How far that process is, where it says so.
    progress: Option<Whole>,
    /// The same of each shard that is under way, or was killed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shards: Vec<ShardProgress>,
    studies: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    study: String,
    state: Completeness,
    trials_done: usize,
    /// Null where it cannot be told.
    trials_total: Option<usize>,
    /// Trials that failed when they last ran, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<Failed>,
    records: usize,
    preset: Option<String>,
    seeds: Vec<u64>,
    data: Option<String>,
    start: Option<String>,
    /// Of the last call that came to its end, else of the last record.
    end: Option<String>,
    /// In which trials of its own ran, of this call or of others.
    seconds: Option<f64>,
    problems: Vec<String>,
    /// Goes on with what is unfinished.
    command: Option<String>,
}

#[derive(Serialize)]
struct Failed {
    trial: String,
    reason: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Completeness {
    Complete,
    Unfinished,
    Damaged,
}

impl Listing {
    pub fn new(run_dir: &RunDir, folders: &[StudyFolder], look: Look) -> Self {
        let studies = folders.iter().map(|folder| Listed::new(folder, run_dir.root(), look)).collect();
        let (in_use, progress, shards) = (run_dir.is_in_use(), run_dir.progress(), run_dir.shards());
        Self { run_dir: run_dir.root().display().to_string(), in_use, progress, shards, studies }
    }

    /// A table, and a line for each study that is not complete.
    pub fn text(&self, width: Option<usize>) -> String {
        let unfinished = self.studies.iter().filter(|study| study.state != Completeness::Complete).count();
        let mut text = format!("{}: {}", plain(&self.run_dir), counted(self.studies.len(), "study", "studies"));
        if unfinished > 0 {
            text.push_str(&format!(", {unfinished} unfinished"));
        }
        text.push_str(if self.in_use { "; another hw1 works here now\n" } else { "\n" });
        if let Some(whole) = &self.progress {
            text.push_str(&format!("{}\n", whole.line()));
            text.push_str(&running(whole, width));
        }
        if self.shards.len() > 1 {
            text.push_str(&paragraph(&together(&self.shards), 0, width));
        }
        for shard in self.shards.iter().take(MOST_LINES) {
            text.push_str(&paragraph(&plain(&shard.line()), 0, width));
            if !shard.is_lost {
                text.push_str(&running(&shard.whole, width));
            }
        }
        text.push_str(&further(self.shards.len(), "shards"));
        let columns = ["study", "trials", "preset", "seeds", "data", "ended", "took"].map(String::from);
        let rows: Vec<Vec<String>> = self.studies.iter().map(Listed::row).collect();
        text.push_str(&table(&columns, &rows, width));
        text.push('\n');
        for study in &self.studies {
            text.push_str(&study.remarks(self.in_use, width));
        }
        text
    }
}

/// So many lines of a kind, no more.
const MOST_LINES: usize = 20;

/// "  and 980 more shards: --json", where there are more than lines.
fn further(all: usize, what: &str) -> String {
    if all > MOST_LINES { format!("  and {} more {what}: --json has them\n", all - MOST_LINES) } else { String::new() }
}

/// "40 shards at work, 2 lost; 300 of their 1000 trials done, 1 failed; about 6m left": the longest of them.
fn together(shards: &[ShardProgress]) -> String {
    let lost = shards.iter().filter(|shard| shard.is_lost).count();
    let sum = |of: fn(&Whole) -> usize| shards.iter().map(|shard| of(&shard.whole)).sum::<usize>();
    let (done, trials, failed) = (sum(|of| of.done), sum(|of| of.trials), sum(|of| of.failed));
    let mut text = format!("{} at work", counted(shards.len() - lost, "shard", "shards"));
    if lost > 0 {
        text.push_str(&format!(", {lost} lost"));
    }
    text.push_str(&format!("; {done} of their {trials} trials done"));
    if failed > 0 {
        text.push_str(&format!(", {failed} failed"));
    }
    let left = shards.iter().filter(|shard| !shard.is_lost).map(|shard| shard.whole.seconds_left);
    // Not known where it is not known of one.
    if let Some(left) = left.collect::<Option<Vec<f64>>>().filter(|left| !left.is_empty()) {
        text.push_str(&format!("; about {} left", duration(left.into_iter().fold(0.0, f64::max))));
    }
    text
}

/// A line for each trial that runs.
fn running(whole: &Whole, width: Option<usize>) -> String {
    let line = |now: &Now| {
        let share = now.share.map(|share| format!("{:.0} %", 100.0 * share));
        let said: Vec<&str> = share.as_deref().into_iter().chain(now.state.as_deref()).collect();
        paragraph(&plain(&format!("{}: {}", now.name, said.join(", "))), 2, width)
    };
    whole.running.iter().map(line).collect()
}

impl Listed {
    fn new(folder: &StudyFolder, run_dir: &Path, look: Look) -> Self {
        let metrics = folder.metrics();
        let provenance = metrics.map(|metrics| &metrics.provenance);
        let mut problems = Vec::new();
        let mut state = if folder.is_complete() { Completeness::Complete } else { Completeness::Unfinished };
        if let Stored::Invalid(reason) = &folder.metrics_file {
            state = Completeness::Damaged;
            problems.push(format!("metrics.json is damaged: {reason}"));
        }
        let (mut done, mut total, mut command, mut failed) = (folder.records, None, None, Vec::new());
        let mut preset = provenance.and_then(|provenance| provenance.preset.clone());
        if state == Completeness::Complete {
            done = metrics.map_or(0, |metrics| metrics.trials.len());
            total = Some(done);
        } else {
            match look(folder) {
                Ok(unfinished) => {
                    command = Some(unfinished.command(&folder.path, run_dir));
                    failed = unfinished.failed.into_iter().map(|(trial, reason)| Failed { trial, reason }).collect();
                    (done, total, preset) = (unfinished.done, Some(unfinished.total), Some(unfinished.preset));
                }
                Err(error) => problems.push(format!("how many trials it has cannot be told: {error:#}")),
            }
        }
        let of_record = || folder.last_record.and_then(timestamp);
        let text = |field: &Option<String>| field.as_deref().map(plain);
        let seeds: BTreeSet<u64> = metrics.into_iter().flat_map(|of| &of.trials).map(|trial| trial.seed).collect();
        Self {
            study: folder.name.clone(),
            state,
            trials_done: done,
            trials_total: total,
            failed,
            records: folder.records,
            preset: text(&preset),
            seeds: seeds.into_iter().collect(),
            data: provenance.and_then(|provenance| provenance.data.as_ref()).map(|data| plain(&data.name)),
            start: provenance.and_then(|provenance| text(&provenance.start)),
            end: provenance.and_then(|provenance| text(&provenance.end)).or_else(of_record),
            seconds: folder.own_seconds(),
            problems,
            command,
        }
    }

    fn row(&self) -> Vec<String> {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let total = self.trials_total.map_or_else(|| "?".into(), |total| total.to_string());
        // To the minute, and one word.
        let minute = |time: &String| time.get(..16).map_or_else(|| time.clone(), |minute| format!("{minute}Z"));
        vec![
            plain(&self.study),
            format!("{} of {total}", self.trials_done),
            or_none(self.preset.clone()),
            if self.seeds.is_empty() { "-".into() } else { ranges(&self.seeds) },
            or_none(self.data.clone()),
            or_none(self.end.as_ref().map(minute)),
            or_none(self.seconds.and_then(took)),
        ]
    }

    fn remarks(&self, in_use: bool, width: Option<usize>) -> String {
        let name = plain(&self.study);
        let mut text = String::new();
        for problem in &self.problems {
            text.push_str(&paragraph(&format!("{name}: {}", plain(problem)), 0, width));
        }
        if self.state == Completeness::Complete || self.trials_total.is_none() {
            return text;
        }
        let go_on = match &self.command {
            Some(command) if !in_use => format!("; go on: {}", plain(command)),
            _ => String::new(),
        };
        let state = if self.state == Completeness::Damaged { "" } else { "unfinished, " };
        let records = match self.records.saturating_sub(self.trials_done) {
            0 => String::new(),
            other => format!(" ({} of other settings beside)", counted(other, "record", "records")),
        };
        let total = self.trials_total.unwrap_or_default();
        // Not wrapped: a command is to be copied.
        text.push_str(&format!("{name}: {state}{} of {total} trials are done{records}{go_on}\n", self.trials_done));
        for Failed { trial, reason } in self.failed.iter().take(MOST_LINES) {
            text.push_str(&paragraph(&plain(&format!("failed: {trial}: {reason}")), 2, width));
        }
        text.push_str(&further(self.failed.len(), "failed"));
        text
    }
}

/// A path as a shell and hw1 take it: none is taken for a flag or for standard input.
pub fn path_word(path: &Path) -> String {
    let is_flag = path.as_os_str().as_encoded_bytes().starts_with(b"-");
    let path = if is_flag { &Path::new(".").join(path) } else { path };
    typed(path.as_os_str())
}

/// "0 to 9, 20" of sorted numbers.
fn ranges(numbers: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let text =
        |(first, last): &(u64, u64)| if first == last { first.to_string() } else { format!("{first} to {last}") };
    runs.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// "4m 12s"; tenths below ten seconds. `None` where it is no duration.
fn took(seconds: f64) -> Option<String> {
    let rounded = if seconds < 10.0 { (seconds * 10.0).round() / 10.0 } else { seconds.round() };
    let duration = Duration::try_from_secs_f64(rounded).ok()?;
    Some(if rounded < 10.0 { format!("{rounded:.1}s") } else { humantime::format_duration(duration).to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_whatever_its_name() {
        for (path, word) in [
            ("runs/a", "runs/a"),
            ("-x", "./-x"),
            ("-", "./-"),
            ("it's", r"'it'\''s'"),
            ("a\nb'\u{1b}1", r"$'a\nb\'\x1b1'"),
            ("\u{202e}", r"$'\xe2\x80\xae'"),
        ] {
            assert_eq!(path_word(Path::new(path)), word);
        }
    }

    #[test]
    fn seeds_are_told_as_ranges() {
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0 to 2, 5, 7 to 8");
        assert_eq!(ranges(&[u64::MAX]), u64::MAX.to_string());
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(took(0.44).as_deref(), Some("0.4s"));
        assert_eq!(took(252.4).as_deref(), Some("4m 12s"));
        assert_eq!(took(-1.0), None);
        assert_eq!(took(f64::NAN), None);
    }

    fn shard(is_lost: bool, [trials, done, failed]: [usize; 3], seconds_left: Option<f64>) -> ShardProgress {
        let whole = Whole { trials, done, failed, seconds_left, ..Whole::default() };
        ShardProgress { process: "node-1".into(), seconds_ago: 1.0, is_lost, whole }
    }

    #[test]
    fn shards_are_told_together() {
        let (known, unknown, lost) =
            (shard(false, [9, 3, 0], Some(61.0)), shard(false, [4, 1, 1], None), shard(true, [5, 0, 0], Some(9e3)));
        for (shards, told) in [
            (vec![known.clone(), known.clone()], "2 shards at work; 6 of their 18 trials done; about 1m 1s left"),
            (vec![known.clone(), unknown], "2 shards at work; 4 of their 13 trials done, 1 failed"),
            (vec![known, lost.clone()], "1 shard at work, 1 lost; 3 of their 14 trials done; about 1m 1s left"),
            (vec![lost.clone(), lost], "0 shards at work, 2 lost; 0 of their 10 trials done"),
        ] {
            assert_eq!(together(&shards), told);
        }
        assert_eq!(
            (further(20, "shards"), further(21, "shards").as_str()),
            (String::new(), "  and 1 more shards: --json has them\n")
        );
    }
}
