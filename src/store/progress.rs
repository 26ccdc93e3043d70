//! How far a run is as a whole, as a process that works in a run directory leaves it there for those who look.

use crate::files::write_atomically;
use crate::store::RunDir;
use serde::{Deserialize, Serialize};
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

/// "6m 12s", "2h 5m": the two largest units.
pub fn duration(seconds: f64) -> String {
    let text = humantime::format_duration(Duration::from_secs(seconds.clamp(0.0, 1e9) as u64)).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// Hidden, as nothing of it is a result.
const NAME: &str = ".progress.json";

impl RunDir {
    /// Leaves word of a run. Where that cannot be done the run goes on: what matters is written elsewhere.
    pub fn tell_progress(&self, whole: &Whole) {
        let _ = serde_json::to_vec(whole).map(|bytes| write_atomically(&self.root().join(NAME), &bytes));
    }

    /// Takes it away when the run is over.
    pub fn end_progress(&self) {
        let _ = std::fs::remove_file(self.root().join(NAME));
    }

    /// What a run that is under way left; `None` where none is.
    pub fn progress(&self) -> Option<Whole> {
        let bytes = self.is_in_use().then(|| std::fs::read(self.root().join(NAME)).ok()).flatten()?;
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
