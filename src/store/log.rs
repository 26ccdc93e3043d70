//! `log.jsonl` of a study: what ran when, how long and on what, one line an event. Only ever added to.

use crate::store::Fingerprint;
use crate::store::run_dir::{StudyDir, read, unwritable};
use anyhow::Result;
use serde::Deserialize as _;
use serde_json::Value;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
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

    /// Seconds that trials took, by `log.jsonl`: the last time each was run.
    pub fn durations(&self) -> Result<BTreeMap<Fingerprint, f64>> {
        let done = self.last_done()?.into_iter();
        Ok(done.filter_map(|(fingerprint, line)| Some((fingerprint, line["seconds"].as_f64()?))).collect())
    }
}
