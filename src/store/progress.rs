//! How far a run is as a whole, as a process that works in a run directory leaves it there for those who look.

use crate::files::{Sharing, process_name, write_atomically};
use crate::store::RunDir;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// A run while it is under way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Whole {
    /// Trials that can be named so far; some name further ones when they are done.
    pub trials: usize,
    /// Of them, and of these the ones that an earlier call had done.
    pub done: usize,
    pub reused: usize,
    /// Begun from a checkpoint by this call.
    pub resumed: usize,
    pub failed: usize,
    /// `None` before there is anything to judge by.
    pub seconds_left: Option<f64>,
    pub running: Vec<Now>,
    /// Of a shard alone: "3/10".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
}

/// A shard of a run, as one of its processes last told of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShardProgress {
    /// "node7-4711": host and process.
    pub process: String,
    /// Since then.
    pub seconds_ago: f64,
    /// Whether that is so long that it must have been killed.
    pub is_lost: bool,
    #[serde(flatten)]
    pub whole: Whole,
}

/// A trial that runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Now {
    /// With its study: "simulate-sin-sq: DNN_1, seed 0".
    pub name: String,
    pub seconds: f64,
    /// Of its epochs or steps, from 0 to 1; `None` before the first is told of.
    pub share: Option<f64>,
    /// "epoch 3 of 10, loss 3.2e-2".
    pub state: Option<String>,
}

impl Whole {
    /// "14 of 231 trials done (3 before, 2 resumed), 1 failed; about 6m 12s left".
    pub fn line(&self) -> String {
        let mut line = format!("{} of {} trials done", self.done, self.trials);
        let counts = [(self.reused, "before"), (self.resumed, "resumed")];
        let told: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        if !told.is_empty() {
            line.push_str(&format!(" ({})", told.join(", ")));
        }
        if self.failed > 0 {
            line.push_str(&format!(", {} failed", self.failed));
        }
        let left = self.seconds_left.map(|seconds| format!("; about {} left", duration(seconds)));
        line + left.as_deref().unwrap_or("")
    }
}

impl ShardProgress {
    /// "shard 3/10 on node7-4711: 4 of 12 trials done; about 3m left", or that it is lost.
    pub fn line(&self) -> String {
        let shard = self.whole.shard.as_deref().unwrap_or("?");
        let lost = match self.is_lost {
            true => format!("; lost: no word for {}", duration(self.seconds_ago)),
            false => String::new(),
        };
        format!("shard {shard} on {}: {}{lost}", self.process, self.whole.line())
    }
}

/// "6m 12s", "2h 5m": the two largest units.
pub fn duration(seconds: f64) -> String {
    let text = humantime::format_duration(Duration::from_secs(seconds.clamp(0.0, 1e9) as u64)).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// Hidden, as nothing of it is a result.
const NAME: &str = ".progress.json";
/// Of shards, each process its own.
const OF_PROCESS: &str = ".progress-";
const JSON: &str = ".json";

/// Between two words of a run. A thousand shards would be too much for a file server that often.
const TELL_EVERY: Duration = Duration::from_secs(2);
const TELL_EVERY_OF_SHARD: Duration = Duration::from_secs(30);

/// Who has not said a word for so long is gone.
const LOST_AFTER: Duration = Duration::from_secs(180);

impl RunDir {
    /// Between two words of a run.
    pub fn tell_every(&self) -> Duration {
        if self.sharing() == Sharing::Others { TELL_EVERY_OF_SHARD } else { TELL_EVERY }
    }

    /// Leaves word of a run. Where that cannot be done the run goes on: what matters is written elsewhere.
    pub fn tell_progress(&self, whole: &Whole) {
        let _ = serde_json::to_vec(whole).map(|bytes| write_atomically(&self.progress_file(), &bytes));
    }

    /// Takes it away when the run is over.
    pub fn end_progress(&self) {
        let _ = fs::remove_file(self.progress_file());
    }

    fn progress_file(&self) -> PathBuf {
        match self.sharing() {
            Sharing::Nobody => self.root().join(NAME),
            Sharing::Others => self.root().join(format!("{OF_PROCESS}{}{JSON}", process_name())),
        }
    }

    /// What shards that are under way last told, or were when they were killed; by shard.
    pub fn shards(&self) -> Vec<ShardProgress> {
        let told = self.told_by_shards().into_iter().filter_map(|(process, path)| {
            let whole: Whole = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
            let ago = fs::metadata(&path).and_then(|found| found.modified()).ok()?.elapsed().unwrap_or_default();
            Some(ShardProgress { process, seconds_ago: ago.as_secs_f64(), is_lost: ago > LOST_AFTER, whole })
        });
        let mut told: Vec<ShardProgress> = told.collect();
        // A lost one is forgotten once another does its shard.
        let alive: BTreeSet<String> =
            told.iter().filter(|of| !of.is_lost).filter_map(|of| of.whole.shard.clone()).collect();
        told.retain(|of| !of.is_lost || of.whole.shard.as_ref().is_none_or(|shard| !alive.contains(shard)));
        let number = |of: &ShardProgress| of.whole.shard.as_ref()?.split('/').next()?.parse::<u32>().ok();
        told.sort_by_key(|of| (number(of), of.process.clone()));
        told
    }

    /// Takes away what shards told. For who is alone in the run directory: none is under way.
    pub fn forget_shards(&self) {
        self.told_by_shards().into_iter().for_each(|(_, path)| drop(fs::remove_file(path)));
    }

    fn told_by_shards(&self) -> Vec<(String, PathBuf)> {
        let entries = fs::read_dir(self.root()).into_iter().flatten().filter_map(Result::ok);
        let of_process = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let process = name.strip_prefix(OF_PROCESS)?.strip_suffix(JSON)?.to_owned();
            Some((process, entry.path()))
        };
        entries.filter_map(of_process).collect()
    }

    /// What a run that is under way left; `None` where none is.
    pub fn progress(&self) -> Option<Whole> {
        let bytes = self.is_in_use().then(|| fs::read(self.root().join(NAME)).ok()).flatten()?;
        serde_json::from_slice(&bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_told_in_a_line() {
        let run = Whole { trials: 231, done: 14, ..Whole::default() };
        for (whole, line) in [
            (run.clone(), "14 of 231 trials done"),
            (Whole { seconds_left: Some(372.9), ..run.clone() }, "14 of 231 trials done; about 6m 12s left"),
            (
                Whole { reused: 3, resumed: 2, failed: 1, seconds_left: Some(0.4), ..run.clone() },
                "14 of 231 trials done (3 before, 2 resumed), 1 failed; about 0s left",
            ),
            (
                Whole { seconds_left: Some(f64::INFINITY), resumed: 1, ..run },
                "14 of 231 trials done (1 resumed); about 31years 8months left",
            ),
        ] {
            assert_eq!(whole.line(), line);
        }
    }

    #[test]
    fn shards_tell_of_themselves_each() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let (alone, among) = (RunDir::new(path.clone()), RunDir::new(path.clone()).among_others());
        let whole = |shard: &str| Whole { trials: 4, done: 1, shard: Some(shard.to_owned()), ..Whole::default() };
        let other = serde_json::to_vec(&whole("2/10")).unwrap();
        fs::write(path.join(".progress-node7-4711.json"), other).unwrap();
        fs::write(path.join(".progress-node8-1.json"), "{").unwrap();
        among.tell_progress(&whole("10/12"));
        // By their numbers; what makes no sense is passed over.
        let found = alone.shards();
        let told: Vec<(&str, &Whole)> = found.iter().map(|one| (one.process.as_str(), &one.whole)).collect();
        assert_eq!(told, [("node7-4711", &whole("2/10")), (process_name(), &whole("10/12"))]);
        assert!(found.iter().all(|one| !one.is_lost && one.seconds_ago < 60.0));
        let long_ago = std::time::SystemTime::now() - 2 * LOST_AFTER;
        fs::File::open(path.join(".progress-node7-4711.json")).unwrap().set_modified(long_ago).unwrap();
        assert!(alone.shards()[0].is_lost && !alone.shards()[1].is_lost);
        // Requeued elsewhere.
        fs::write(path.join(".progress-node9-1.json"), serde_json::to_vec(&whole("2/10")).unwrap()).unwrap();
        assert_eq!(alone.shards()[0].process, "node9-1");
        fs::remove_file(path.join(".progress-node9-1.json")).unwrap();
        among.end_progress();
        assert_eq!(alone.shards().len(), 1);
        alone.forget_shards();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        assert!(among.tell_every() > alone.tell_every());
    }

    #[test]
    fn who_looks_sees_what_a_run_under_way_left_and_nothing_of_one_that_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let run_dir = RunDir::new(folder.path().join("run"));
        let whole = Whole { trials: 2, running: vec![Now::default()], ..Whole::default() };
        assert_eq!(run_dir.progress(), None);
        let lock = run_dir.try_lock().unwrap();
        run_dir.tell_progress(&whole);
        assert_eq!(run_dir.progress(), Some(whole));
        drop(lock);
        // Killed: the file stands, but nobody works there.
        assert_eq!(run_dir.progress(), None);
        let _lock = run_dir.try_lock().unwrap();
        run_dir.end_progress();
        assert_eq!(run_dir.progress(), None);
    }
}
