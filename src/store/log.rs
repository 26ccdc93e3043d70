//! `log.jsonl` of a study: what ran when, how long and on what, one line an event. Only ever added to.

use crate::store::Fingerprint;
use crate::store::run_dir::{StudyDir, read, unwritable};
use anyhow::Result;
use serde::Deserialize as _;
use serde_json::Value;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::time::SystemTime;
use std::{collections::BTreeMap, fs::OpenOptions};

const LOG: &str = "log.jsonl";

impl StudyDir {
    /// Adds a line to `log.jsonl`, in one write, whatever half a line a full disk left there.
    pub fn log(&self, entry: &Value) -> Result<()> {
        let path = self.root().join(LOG);
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let mut append = || {
            let mut file = OpenOptions::new().create(true).read(true).append(true).open(&path)?;
            let mut last = [b'\n'];
            if file.seek(SeekFrom::End(0))? > 0 {
                file.seek(SeekFrom::End(-1))?;
                file.read_exact(&mut last)?;
            }
            if last != *b"\n" {
                line.insert(0, b'\n');
            }
            file.write_all(&line)
        };
        append().map_err(|error| unwritable(&path, &error))
    }

    /// The last line of `log.jsonl` on each trial that was done. Lines that make no sense (a power cut
    /// in the middle of one) are passed over.
    pub fn last_done(&self) -> Result<BTreeMap<Fingerprint, Value>> {
        let text = read(&self.root().join(LOG))?.unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        let done = lines.filter(|line| line["event"] == "done");
        Ok(done.filter_map(|line| Some((Fingerprint::deserialize(&line["fingerprint"]).ok()?, line))).collect())
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

    /// Seconds that trials took, by `log.jsonl`: the last time each was run.
    pub fn durations(&self) -> Result<BTreeMap<Fingerprint, f64>> {
        let done = self.last_done()?.into_iter();
        Ok(done.filter_map(|(fingerprint, line)| Some((fingerprint, line["seconds"].as_f64()?))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
    }
}
