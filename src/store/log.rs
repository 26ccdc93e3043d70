//! `log.jsonl` of a study: what ran when, how long and on what, one line an event. Only ever added to. Of several processes
//! at a time each has one of its own, `log.<host>-<process>.jsonl`; who works there alone next puts them together.

use crate::files::{Sharing, process_name};
use crate::store::Fingerprint;
use crate::store::run_dir::{StudyDir, names, read, unwritable};
use anyhow::Result;
use serde::Deserialize as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const LOG: &str = "log.jsonl";
const OF_PROCESS: &str = "log.";
const JSONL: &str = ".jsonl";

/// Now, as lines of logs have it under `time`.
pub fn log_time() -> String {
    humantime::format_rfc3339_millis(SystemTime::now().max(SystemTime::UNIX_EPOCH)).to_string()
}

/// Adds lines to a file, in one write.
fn append(path: &Path, mut lines: Vec<u8>) -> Result<()> {
    let mut append = || {
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let mut last = [b'\n'];
        if file.seek(SeekFrom::End(0))? > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        if last != *b"\n" {
            lines.insert(0, b'\n');
        }
        file.write_all(&lines)
    };
    append().map_err(|error| unwritable(path, &error))
}

impl StudyDir {
    /// Adds a line to the log, in one write, whatever half a line a full disk left there.
    pub fn log(&self, entry: &Value) -> Result<()> {
        let path = match self.sharing {
            Sharing::Nobody => self.root().join(LOG),
            Sharing::Others => self.root().join(format!("{OF_PROCESS}{}{JSONL}", process_name())),
        };
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        append(&path, line)
    }

    /// Puts the logs of processes into the one of the study. For who is alone there; killed in the midst of it, some lines
    /// are there twice.
    pub fn gather_logs(&self) -> Result<()> {
        let logs = self.logs_of_processes()?;
        if logs.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for line in self.in_order(&logs)? {
            bytes.extend_from_slice(line.to_string().as_bytes());
            bytes.push(b'\n');
        }
        append(&self.root().join(LOG), bytes)?;
        logs.iter().try_for_each(|path| fs::remove_file(path).map_err(|error| unwritable(path, &error)))
    }

    fn logs_of_processes(&self) -> Result<Vec<PathBuf>> {
        let logs = names(self.root())?
            .into_iter()
            .filter(|name| name != LOG && name.starts_with(OF_PROCESS) && name.ends_with(JSONL));
        Ok(logs.map(|name| self.root().join(name)).collect())
    }

    /// The lines of logs that make sense (a power cut in the middle of one makes none), in the order of their times; one
    /// without stays behind the one before it.
    fn in_order(&self, logs: &[PathBuf]) -> Result<Vec<Value>> {
        let mut lines = Vec::new();
        for path in logs {
            let text = read(path)?.unwrap_or_default();
            let mut time = String::new();
            for line in text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok())
            {
                if let Some(of_line) = line["time"].as_str() {
                    of_line.clone_into(&mut time);
                }
                lines.push((time.clone(), line));
            }
        }
        lines.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(lines.into_iter().map(|(_, line)| line).collect())
    }

    /// All lines of all its logs, in the order of their times.
    pub fn logged(&self) -> Result<Vec<Value>> {
        let of_processes = if self.root().is_dir() { self.logs_of_processes()? } else { Vec::new() };
        self.in_order(&[vec![self.root().join(LOG)], of_processes].concat())
    }

    /// The last line of the log on each trial that was done.
    pub fn last_done(&self) -> Result<BTreeMap<Fingerprint, Value>> {
        let done = self.logged()?.into_iter().filter(|line| line["event"] == "done");
        Ok(done.filter_map(|line| Some((Fingerprint::deserialize(&line["fingerprint"]).ok()?, line))).collect())
    }

    /// Why trials failed that nobody has begun again since, by the last line of the log on each.
    pub fn last_failures(&self) -> Result<BTreeMap<Fingerprint, String>> {
        let mut failures = BTreeMap::new();
        for line in self.logged()? {
            let Ok(fingerprint) = Fingerprint::deserialize(&line["fingerprint"]) else { continue };
            match (line["event"].as_str(), line["reason"].as_str()) {
                (Some("failed"), Some(reason)) => failures.insert(fingerprint, reason.to_owned()),
                _ => failures.remove(&fingerprint),
            };
        }
        Ok(failures)
    }

    /// From when to when trials ran that were done, in seconds since 1970: each the last time.
    pub fn times(&self) -> Result<Vec<(Fingerprint, [f64; 2])>> {
        let span = |line: &Value| {
            let end = humantime::parse_rfc3339(line["time"].as_str()?).ok()?;
            let end = end.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs_f64();
            line["seconds"].as_f64().map(|seconds| [end - seconds, end])
        };
        let done = self.last_done()?.into_iter();
        Ok(done.filter_map(|(fingerprint, line)| Some((fingerprint, span(&line)?))).collect())
    }

    /// Seconds that trials took, by the log: the last time each was run.
    pub fn durations(&self) -> Result<BTreeMap<Fingerprint, f64>> {
        let done = self.last_done()?.into_iter();
        Ok(done.filter_map(|(fingerprint, line)| Some((fingerprint, line["seconds"].as_f64()?))).collect())
    }
}

/// Seconds that at least one of these spans covers, each from one to the other.
pub fn covered(mut spans: Vec<[f64; 2]>) -> f64 {
    spans.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let (mut total, mut until) = (0.0, f64::NEG_INFINITY);
    for [begin, end] in spans {
        total += (end - begin.max(until)).max(0.0);
        until = until.max(end);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RunDir;
    use serde_json::json;

    #[test]
    fn logs_of_processes_are_read_together_and_put_together() {
        let folder = tempfile::tempdir().unwrap();
        let alone = StudyDir::at(folder.path().to_owned());
        let line = |second: u32, n: u32| json!({"time": format!("1970-01-01T00:00:{second:02}Z"), "n": n});
        let write = |name: &str, lines: &[String]| fs::write(folder.path().join(name), lines.join("\n")).unwrap();
        write("log.jsonl", &[line(1, 1).to_string(), line(5, 5).to_string(), "{\"cut".to_owned()]);
        // A line without a time is of the one before it.
        write("log.node-7.jsonl", &[line(2, 2).to_string(), json!({"n": 3}).to_string(), line(6, 6).to_string()]);
        write("log.node-8.jsonl", &[line(4, 4).to_string()]);
        let numbers = || alone.logged().unwrap().iter().map(|line| line["n"].as_u64().unwrap()).collect::<Vec<_>>();
        assert_eq!(numbers(), [1, 2, 3, 4, 5, 6]);
        let among = RunDir::new(folder.path().parent().unwrap().to_owned()).among_others();
        let among = among.study(folder.path().file_name().unwrap().to_str().unwrap());
        among.log(&line(7, 7)).unwrap();
        assert!(folder.path().join(format!("log.{}.jsonl", process_name())).is_file());
        alone.log(&line(8, 8)).unwrap();
        assert_eq!(numbers(), [1, 2, 3, 4, 5, 6, 7, 8]);
        alone.gather_logs().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(numbers(), [1, 2, 3, 4, 5, 6, 7, 8]);
        alone.gather_logs().unwrap();
        assert_eq!(StudyDir::at(folder.path().join("none")).logged().unwrap(), [json!(null); 0]);
    }

    #[test]
    fn a_trial_ran_from_its_seconds_before_the_line_on() {
        let folder = tempfile::tempdir().unwrap();
        let study = StudyDir::at(folder.path().to_owned());
        let fingerprint = "4ed7cc97d9465fa8957d164f";
        let line = |event: &str, time: &str, seconds: f64| {
            study.log(&json!({"event": event, "time": time, "seconds": seconds, "fingerprint": fingerprint})).unwrap();
        };
        line("done", "1970-01-01T00:01:00Z", 30.0);
        line("interrupted", "1970-01-01T00:02:00.000Z", 5.0);
        line("done", "1970-01-01T00:03:00.500Z", 10.0);
        let times = study.times().unwrap();
        assert_eq!(times.len(), 1);
        assert_eq!((times[0].0.to_string().as_str(), times[0].1), (fingerprint, [170.5, 180.5]));
        assert_eq!(study.durations().unwrap().into_values().collect::<Vec<_>>(), [10.0]);
        assert_eq!(study.last_failures().unwrap(), BTreeMap::new());
    }

    #[test]
    fn a_failure_is_the_last_word_on_a_trial() {
        let folder = tempfile::tempdir().unwrap();
        let study = StudyDir::at(folder.path().to_owned());
        let [a, b] = ["4ed7cc97d9465fa8957d164f", "8ed7cc97d9465fa8957d164f"];
        let line = |event: &str, minute: u32, of: &str| {
            let (time, reason) = (format!("1970-01-01T00:{minute:02}:00Z"), (event == "failed").then_some("full"));
            study.log(&json!({"event": event, "time": time, "fingerprint": of, "reason": reason})).unwrap();
        };
        let failed = || study.last_failures().unwrap().into_keys().map(|of| of.to_string()).collect::<Vec<_>>();
        line("failed", 1, a);
        line("failed", 2, b);
        study.log(&json!({"event": "call", "time": "1970-01-01T00:02:30Z"})).unwrap();
        assert_eq!(failed(), [a, b]);
        line("done", 3, a);
        line("failed", 4, b);
        assert_eq!(failed(), [b]);
        assert_eq!(study.last_failures().unwrap().into_values().collect::<Vec<_>>(), ["full"]);
    }

    #[test]
    fn what_spans_cover_together_counts_once() {
        for (spans, seconds) in [
            (vec![], 0.0),
            (vec![[1.0, 3.0]], 2.0),
            (vec![[1.0, 3.0], [1.0, 3.0], [2.0, 2.5]], 2.0),
            (vec![[10.0, 12.0], [1.0, 2.0]], 3.0),
            (vec![[4.0, 6.0], [1.0, 5.0], [2.0, 3.0]], 5.0),
        ] {
            assert_eq!(covered(spans.clone()), seconds, "{spans:?}");
        }
    }
}
