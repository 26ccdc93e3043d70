//! The run directory: every path, every write. A file appears whole or not at all; a trial's
//! record appears last, so its existence means that the trial is done.

use crate::backend::Backend;
use crate::error::Unwritable;
use crate::files::{self, sha256};
use crate::store::checkpoint::{self, State};
use crate::store::weights::{self, Tensors};
use crate::study::{AnyRecord, Fingerprint, Planned, Study};
use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// `--out`: one folder of it for each study.
pub struct RunDir {
    root: PathBuf,
}

/// Held while a process works in a run directory; the system lets go when the process ends.
pub struct Lock {
    _file: File,
}

impl RunDir {
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    #[must_use]
    pub fn study(&self, folder: &str) -> StudyDir {
        StudyDir::at(self.root.join(folder))
    }

    /// Writes a file of the directory whole, and returns its path.
    ///
    /// # Errors
    /// Where it cannot be written; what stood there before still stands then.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.root.join(name);
        write_atomically(&path, bytes)?;
        Ok(path)
    }

    /// Whether a process works in it now; changes nothing.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        let lock = File::open(self.root.join(".lock"));
        lock.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// The folders of the studies in it, sorted by name.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn studies(&self) -> Result<Vec<(String, StudyDir)>> {
        let studies = names(&self.root)?.into_iter().map(|name| (name.clone(), self.study(&name)));
        Ok(studies.filter(|(_, dir)| dir.stands()).collect())
    }

    /// Makes the directory and takes its lock; `None` while another process holds it.
    ///
    /// # Errors
    /// Where the directory cannot be made or written.
    pub fn try_lock(&self) -> Result<Option<Lock>> {
        create_folder(&self.root)?;
        let path = self.root.join(".lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot write {}; choose another folder with --out", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}; choose another folder with --out", path.display()))
            }
        }
    }
}

/// The folder of one study in a run directory.
#[derive(Clone)]
pub struct StudyDir {
    root: PathBuf,
}

/// What `trials/<fingerprint>.json` holds.
#[derive(Clone, Serialize, Deserialize)]
struct RecordFile {
    schema: u32,
    experiment: String,
    version: u32,
    device: String,
    /// Identity of the data set, where the study has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    trial: Value,
    /// What computed it, as the [`Backend`] of then says; `None` in records from before it was said. Of no account
    /// for whose record it is, and so never a reason to refuse it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backend: Option<Value>,
    /// SHA-256 of `trials/<fingerprint>.safetensors`, null where the trial saves no weights.
    weights_sha256: Option<String>,
    record: Value,
}

const RECORD_SCHEMA: u32 = 1;

impl RecordFile {
    /// Of the trial that it says it is of.
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.experiment, self.version, &self.device, self.data.as_deref(), &self.trial)
    }

    /// As it stands on disk.
    fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// A finished trial as bytes.
pub struct Encoded {
    file: RecordFile,
    weights: Option<Vec<u8>>,
}

impl Encoded {
    /// # Errors
    /// Where the record or the weights have no form on disk.
    pub fn new(
        study: &dyn Study,
        planned: &Planned,
        device_kind: &str,
        backend: &Backend,
        record: &AnyRecord,
        weights: &Tensors,
    ) -> Result<Self> {
        let weights = if weights.is_empty() { None } else { Some(weights::encode(weights, None)?) };
        let file = RecordFile {
            schema: RECORD_SCHEMA,
            experiment: study.experiment().to_owned(),
            version: study.version(),
            device: device_kind.to_owned(),
            data: study.data().map(|spec| spec.identity()),
            trial: planned.trial.clone(),
            backend: Some(serde_json::to_value(backend)?),
            weights_sha256: weights.as_deref().map(sha256),
            record: study.encode(record)?,
        };
        Ok(Self { file, weights })
    }
}

/// A record that stands, with its weights.
pub struct Standing {
    pub fingerprint: Fingerprint,
    /// Identity of the data set, where the study has one.
    pub data: Option<String>,
    /// The trial as JSON.
    pub trial: Value,
    /// What computed it, where the record says so.
    pub backend: Option<Value>,
}

/// What an interrupted call left of a trial.
pub enum Kept {
    Nothing,
    State(State, Tensors),
    /// Something that this trial cannot go on from, and why.
    Spoilt(String),
}

/// What is on disk for a trial.
pub enum Stored {
    Nothing,
    /// With what computed it, where the record says so.
    Record(AnyRecord, Option<Value>),
    /// Something that is not the trial's record with its weights, and why.
    Spoilt(String),
}

impl StudyDir {
    #[must_use]
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether it is the folder of a study at all.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.has_trials() || self.metrics().exists()
    }

    /// Whether it has a place for records.
    #[must_use]
    pub fn has_trials(&self) -> bool {
        self.trials().is_dir()
    }

    #[must_use]
    pub fn figures(&self) -> PathBuf {
        self.root.join("figures")
    }

    #[must_use]
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.json")
    }

    fn trials(&self) -> PathBuf {
        self.root.join("trials")
    }

    fn record(&self, fingerprint: &Fingerprint) -> PathBuf {
        self.trials().join(format!("{fingerprint}.json"))
    }

    fn weights(&self, fingerprint: &Fingerprint) -> PathBuf {
        self.trials().join(format!("{fingerprint}.safetensors"))
    }

    fn checkpoint(&self, fingerprint: &Fingerprint) -> PathBuf {
        self.trials().join(format!("{fingerprint}.checkpoint"))
    }

    /// Makes the folders, and takes away what a killed process left unfinished. For the holder
    /// of the run directory's lock.
    ///
    /// # Errors
    /// Where they cannot be made.
    pub fn prepare(&self) -> Result<()> {
        for folder in [self.root.clone(), self.trials(), self.figures()] {
            create_folder(&folder)?;
            files::remove_leftovers(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        }
        Ok(())
    }

    /// The record of a trial, if it is done. Changes nothing.
    ///
    /// # Errors
    /// Where there is a file of its name that cannot be read.
    pub fn load(&self, study: &dyn Study, planned: &Planned, device_kind: &str) -> Result<Stored> {
        let path = self.record(&planned.fingerprint);
        let Some(bytes) = read(&path)? else { return Ok(Stored::Nothing) };
        let parsed = parse_record(study, &bytes).and_then(|(file, record)| {
            ensure!(
                file.fingerprint() == planned.fingerprint
                    && (file.experiment.as_str(), file.version, file.device.as_str())
                        == (study.experiment(), study.version(), device_kind)
                    && file.trial == planned.trial,
                "it belongs to another trial"
            );
            Ok((file, record))
        });
        let (file, record) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return Ok(Stored::Spoilt(format!("{} is no record of it: {error:#}", path.display()))),
        };
        if let Some(expected) = file.weights_sha256 {
            let path = self.weights(&planned.fingerprint);
            let what = match read(&path)? {
                Some(bytes) if sha256(&bytes) == expected => return Ok(Stored::Record(record, file.backend)),
                Some(_) => "are not those its record names",
                None => "are missing",
            };
            return Ok(Stored::Spoilt(format!("its weights {} {what}", path.display())));
        }
        Ok(Stored::Record(record, file.backend))
    }

    /// Gives a trial's record and weights other names, so that nothing is lost when it runs again;
    /// those names.
    ///
    /// # Errors
    /// Where a file cannot be renamed.
    pub fn set_aside(&self, fingerprint: &Fingerprint) -> Result<Vec<String>> {
        self.set_aside_files(&[self.record(fingerprint), self.weights(fingerprint)])
    }

    fn set_aside_files(&self, paths: &[PathBuf]) -> Result<Vec<String>> {
        let named = |path: &Path, n: u32| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".set-aside-{n}"));
            PathBuf::from(name)
        };
        let is_free = |n: &u32| paths.iter().all(|path| named(path, *n).symlink_metadata().is_err());
        let n = (1..u32::MAX).find(is_free).context("no name is left to set a file aside under")?;
        let mut names = Vec::new();
        for path in paths {
            let to = named(path, n);
            match fs::rename(path, &to) {
                Ok(()) => names.extend(to.file_name().map(|name| name.to_string_lossy().into_owned())),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(unwritable(path, &error)),
            }
        }
        Ok(names)
    }

    /// What an interrupted call kept of a trial. `origin` is what its file has to name.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn read_checkpoint(&self, fingerprint: &Fingerprint, origin: &str) -> Result<Kept> {
        let path = self.checkpoint(fingerprint);
        let Some(bytes) = read(&path)? else { return Ok(Kept::Nothing) };
        let spoilt = |why: String| Ok(Kept::Spoilt(format!("{}: {why}", path.display())));
        match checkpoint::decode(&bytes) {
            Ok((found, ..)) if found != origin => {
                let (found, here) = without_common(&found, origin);
                spoilt(format!("it is of {found}, and this is {here}"))
            }
            Ok((_, state, weights)) => Ok(Kept::State(state, weights)),
            Err(error) => spoilt(format!("{error:#}")),
        }
    }

    /// Keeps what a trial can go on from.
    ///
    /// # Errors
    /// Where it cannot be written; what stood there before still stands then.
    pub fn write_checkpoint(
        &self,
        fingerprint: &Fingerprint,
        origin: &str,
        state: &State,
        weights: &Tensors,
    ) -> Result<()> {
        write_atomically(&self.checkpoint(fingerprint), &checkpoint::encode(origin, state, weights)?)
    }

    /// Gives a trial's checkpoint another name; that name.
    ///
    /// # Errors
    /// Where it cannot be renamed.
    pub fn set_checkpoint_aside(&self, fingerprint: &Fingerprint) -> Result<Vec<String>> {
        self.set_aside_files(&[self.checkpoint(fingerprint)])
    }

    /// Takes away a trial's checkpoint, if there is one.
    ///
    /// # Errors
    /// Where it stands and cannot be taken away.
    pub fn remove_checkpoint(&self, fingerprint: &Fingerprint) -> Result<()> {
        let path = self.checkpoint(fingerprint);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(unwritable(&path, &error)),
            _ => Ok(()),
        }
    }

    /// Names of the files beside the records, and theirs, sorted.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn trial_files(&self) -> Result<Vec<String>> {
        names(&self.trials())
    }

    /// Checks a record against its name, and its weights against it.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self, study: &dyn Study, fingerprint: &Fingerprint) -> Result<Standing> {
        let bytes = read(&self.record(fingerprint))?.context("it is gone")?;
        let (file, record) = parse_record(study, &bytes)?;
        ensure!(file.fingerprint() == *fingerprint, "it belongs to another trial");
        ensure!(file.experiment == study.experiment(), "it is of {}", file.experiment);
        if let Some(expected) = &file.weights_sha256 {
            let bytes = read(&self.weights(fingerprint))?.context("its weights are missing")?;
            ensure!(sha256(&bytes) == *expected, "its weights are not those it names");
            let (tensors, _) = weights::decode(&bytes).context("its weights")?;
            let diverged = study.measurements(&record)?.diverged();
            if let Some((name, _)) = tensors.iter().find(|(_, tensor)| !diverged && !tensor.is_finite()) {
                bail!("its weights {name} are not finite");
            }
        }
        let RecordFile { data, trial, backend, .. } = file;
        Ok(Standing { fingerprint: fingerprint.clone(), data, trial, backend })
    }

    /// Checks that a checkpoint of this file name is whole.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_checkpoint(&self, name: &str) -> Result<()> {
        let bytes = read(&self.trials().join(name))?;
        // One that is gone by now has served its purpose.
        bytes.map_or(Ok(()), |bytes| checkpoint::decode(&bytes).map(drop))
    }

    /// What of a trial that was run again is not as it stands: "the record's numbers", "the weights". What the
    /// standing record says or does not say of its backend is no difference.
    ///
    /// # Errors
    /// Where what stands cannot be read.
    pub fn differs(&self, fingerprint: &Fingerprint, again: &Encoded) -> Result<Option<&'static str>> {
        let record = match read(&self.record(fingerprint))? {
            None => true,
            Some(bytes) => match serde_json::from_slice::<RecordFile>(&bytes) {
                Err(_) => true,
                Ok(RecordFile { backend, .. }) => bytes != RecordFile { backend, ..again.file.clone() }.bytes()?,
            },
        };
        let weights = match &again.weights {
            Some(weights) => read(&self.weights(fingerprint))?.is_none_or(|bytes| bytes != *weights),
            None => false,
        };
        Ok(match (record, weights) {
            (false, false) => None,
            (true, false) => Some("the record's numbers"),
            // The record names the weights' digest.
            (_, true) => Some("the weights"),
        })
    }

    /// The last line of `log.jsonl` on each trial that was done. Lines that make no sense (a power cut
    /// in the middle of one) are passed over.
    ///
    /// # Errors
    /// Where the log stands and cannot be read.
    pub fn last_done(&self) -> Result<BTreeMap<Fingerprint, Value>> {
        let text = read(&self.root.join("log.jsonl"))?.unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        let done = lines.filter(|line| line["event"] == "done");
        Ok(done.filter_map(|line| Some((Fingerprint::deserialize(&line["fingerprint"]).ok()?, line))).collect())
    }

    /// The weights file of a finished trial.
    ///
    /// # Errors
    /// Where there is none, or it is not the one its record names.
    pub fn read_weights(&self, fingerprint: &Fingerprint) -> Result<Vec<u8>> {
        #[derive(Deserialize)]
        struct Names {
            weights_sha256: Option<String>,
        }
        let record = self.record(fingerprint);
        let text = fs::read(&record).with_context(|| format!("cannot read {}", record.display()))?;
        let names: Names = serde_json::from_slice(&text).with_context(|| record.display().to_string())?;
        let path = self.weights(fingerprint);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        ensure!(
            names.weights_sha256.as_deref() == Some(sha256(&bytes).as_str()),
            "{} is not what its record names; the same command runs its trial again",
            path.display()
        );
        Ok(bytes)
    }

    /// Publishes a finished trial: its weights, then its record; its checkpoint goes.
    ///
    /// # Errors
    /// Where a file cannot be written; nothing half-written stays.
    pub fn publish(&self, fingerprint: &Fingerprint, encoded: &Encoded) -> Result<()> {
        if let Some(weights) = &encoded.weights {
            write_atomically(&self.weights(fingerprint), weights)?;
        }
        write_atomically(&self.record(fingerprint), &encoded.file.bytes()?)?;
        self.remove_checkpoint(fingerprint)
    }

    /// Adds a line to `log.jsonl`, in one write, whatever half a line a full disk left there.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn log(&self, entry: &Value) -> Result<()> {
        let path = self.root.join("log.jsonl");
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

    /// Seconds that trials took, by `log.jsonl`: the last time each was run.
    ///
    /// # Errors
    /// Where the log stands and cannot be read.
    pub fn durations(&self) -> Result<BTreeMap<Fingerprint, f64>> {
        let done = self.last_done()?.into_iter();
        Ok(done.filter_map(|(fingerprint, line)| Some((fingerprint, line["seconds"].as_f64()?))).collect())
    }

    /// Writes a file of the study's folder whole.
    ///
    /// # Errors
    /// Where it cannot be written; what stood there before still stands then.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        write_atomically(&self.root.join(name), bytes)
    }
}

fn parse_record(study: &dyn Study, bytes: &[u8]) -> Result<(RecordFile, AnyRecord)> {
    let mut file: RecordFile = serde_json::from_slice(bytes)?;
    if file.schema != RECORD_SCHEMA {
        bail!("its schema is {}, this program's {RECORD_SCHEMA}", file.schema);
    }
    let record = study.decode(file.record.take())?;
    Ok((file, record))
}

/// Two origins of checkpoints without the parts, between semicolons, that they share: what tells them apart. As they
/// are where they are of other forms.
fn without_common(a: &str, b: &str) -> (String, String) {
    let parts = |text: &str| text.split("; ").map(str::to_owned).collect::<Vec<_>>();
    let (mut a, mut b) = (parts(a), parts(b));
    if a.len() == b.len() {
        (a, b) = a.into_iter().zip(b).filter(|(a, b)| a != b).unzip();
    }
    (a.join("; "), b.join("; "))
}

fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path)
        .with_context(|| format!("cannot create the folder {}; choose another with --out", path.display()))
}

/// Names in a folder, sorted; not those that begin with a dot.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.with_context(|| format!("cannot read {}", folder.display()))?.file_name();
        names.extend(name.into_string().ok().filter(|name| !name.starts_with('.')));
    }
    names.sort();
    Ok(names)
}

/// A file's bytes; `None` where there is none. What is no file at all reads as nothing, which no
/// parser takes for what it looks for.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::IsADirectory => Ok(Some(Vec::new())),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// [`files::write_atomically`] with an error that says what to do.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    files::write_atomically(path, bytes).map_err(|error| unwritable(path, &error))
}

/// What to do about a file that cannot be written.
fn unwritable(path: &Path, error: &std::io::Error) -> anyhow::Error {
    // The kind alone: tempfile's own text names a path that nobody asked for.
    let kind = error.kind();
    let way_out = match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; free some space, or choose another folder with --out",
        _ => "",
    };
    Unwritable(format!("cannot write {}: {kind}{way_out}", path.display())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let run_dir = RunDir::new(folder.path().join("a/b"));
        assert!(!run_dir.is_in_use());
        let lock = run_dir.try_lock().unwrap();
        assert!(lock.is_some() && run_dir.is_in_use());
        assert!(run_dir.try_lock().unwrap().is_none());
        drop(lock);
        assert!(!run_dir.is_in_use());
        assert!(run_dir.try_lock().unwrap().is_some());
    }
}
