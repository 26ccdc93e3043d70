//! The run directory: every path, every write. A file appears whole or not at all; a trial's
//! record appears last, so its existence means that the trial is done.

use crate::experiment::{AnyRecord, Fingerprint, Planned, Study, Weights};
use crate::files::{self, sha256};
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use tch::Kind;

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
        StudyDir { root: self.root.join(folder) }
    }

    /// Names of the folders that hold a study, in no order.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn folders(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| format!("cannot read {}", self.root.display()))?,
        };
        let mut folders = Vec::new();
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let study = self.study(&name);
            if study.trials().is_dir() || study.metrics().is_file() {
                folders.push(name);
            }
        }
        Ok(folders)
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
#[derive(Serialize, Deserialize)]
struct RecordFile {
    schema: u32,
    experiment: String,
    version: u32,
    device: String,
    /// Identity of the data set, where the study has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    trial: Value,
    /// SHA-256 of `trials/<fingerprint>.safetensors`, null where the trial saves no weights.
    weights_sha256: Option<String>,
    record: Value,
}

const RECORD_SCHEMA: u32 = 1;

/// A finished trial as bytes.
pub struct Encoded {
    record: Vec<u8>,
    weights: Option<Vec<u8>>,
}

impl Encoded {
    /// # Errors
    /// Where the record or the weights have no form on disk.
    pub fn new(
        study: &dyn Study,
        planned: &Planned,
        device_kind: &str,
        record: &AnyRecord,
        weights: &Weights,
    ) -> Result<Self> {
        let weights = if weights.0.is_empty() { None } else { Some(encode_weights(weights)?) };
        let file = RecordFile {
            schema: RECORD_SCHEMA,
            experiment: study.experiment().to_owned(),
            version: study.version(),
            device: device_kind.to_owned(),
            data: study.data().map(|spec| spec.identity()),
            trial: planned.trial.clone(),
            weights_sha256: weights.as_deref().map(sha256),
            record: study.encode(record)?,
        };
        let mut record = serde_json::to_vec(&file)?;
        record.push(b'\n');
        Ok(Self { record, weights })
    }
}

/// What is on disk for a trial.
pub enum Stored {
    Nothing,
    Record(AnyRecord),
    /// The record stands but its weights are missing or not its own.
    WithoutWeights,
}

impl StudyDir {
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
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

    /// The record of a trial, if it is done.
    ///
    /// # Errors
    /// Where there is a file of its name that is not its record.
    pub fn load(&self, study: &dyn Study, planned: &Planned, device_kind: &str) -> Result<Stored> {
        let path = self.record(&planned.fingerprint);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Stored::Nothing),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let (file, record) = parse_record(study, &bytes)
            .and_then(|(file, record)| {
                ensure!(
                    Fingerprint::of(&file.experiment, file.version, &file.device, file.data.as_deref(), &file.trial)
                        == planned.fingerprint
                        && (file.experiment.as_str(), file.version, file.device.as_str())
                            == (study.experiment(), study.version(), device_kind)
                        && file.trial == planned.trial,
                    "it belongs to another trial"
                );
                Ok((file, record))
            })
            .with_context(|| {
                format!(
                    "{} is not the record of {}: move it away, or run all trials again with --force",
                    path.display(),
                    planned.name()
                )
            })?;
        if let Some(expected) = file.weights_sha256 {
            let weights = self.weights(&planned.fingerprint);
            match fs::read(&weights) {
                Ok(bytes) if sha256(&bytes) == expected => {}
                Ok(_) => return Ok(Stored::WithoutWeights),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Stored::WithoutWeights),
                Err(error) => return Err(error).with_context(|| format!("cannot read {}", weights.display())),
            }
        }
        Ok(Stored::Record(record))
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
            "{} is not what its record names; run again with --force",
            path.display()
        );
        Ok(bytes)
    }

    /// Publishes a finished trial: its weights, then its record.
    ///
    /// # Errors
    /// Where a file cannot be written; nothing half-written stays.
    pub fn publish(&self, fingerprint: &Fingerprint, encoded: &Encoded) -> Result<()> {
        if let Some(weights) = &encoded.weights {
            write_atomically(&self.weights(fingerprint), weights)?;
        }
        write_atomically(&self.record(fingerprint), &encoded.record)
    }

    /// Adds a line to `log.jsonl`, in one write.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn log(&self, entry: &Value) -> Result<()> {
        let path = self.root.join("log.jsonl");
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(&line))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Seconds that trials took, by `log.jsonl`: the last time each was run. Lines that make no sense
    /// (a power cut in the middle of one) are passed over.
    ///
    /// # Errors
    /// Where the log stands and cannot be read.
    pub fn durations(&self) -> Result<BTreeMap<Fingerprint, f64>> {
        #[derive(Deserialize)]
        struct Line {
            event: String,
            fingerprint: Fingerprint,
            seconds: Option<f64>,
        }
        let path = self.root.join("log.jsonl");
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            read => read.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let done = lines.filter(|line| line.event == "done");
        Ok(done.filter_map(|line| Some((line.fingerprint, line.seconds?))).collect())
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

/// Tensors in the safetensors format, names in sorted order: equal weights give equal bytes.
fn encode_weights(weights: &Weights) -> Result<Vec<u8>> {
    let mut views = Vec::new();
    for (name, tensor) in &weights.0 {
        let dtype = match tensor.kind {
            Kind::Float => Dtype::F32,
            Kind::Double => Dtype::F64,
            other => bail!("weights of kind {other:?} have no place in a weights file"),
        };
        views.push((name, TensorView::new(dtype, tensor.shape.clone(), &tensor.bytes)?));
    }
    Ok(safetensors::serialize(views, None)?)
}

fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path)
        .with_context(|| format!("cannot create the folder {}; choose another with --out", path.display()))
}

/// [`files::write_atomically`] with an error that says what to do.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    files::write_atomically(path, bytes).map_err(|error| {
        // The kind alone: tempfile's own text names a path that nobody asked for.
        let kind = error.kind();
        let way_out = match kind {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                "; free some space, or choose another folder with --out"
            }
            _ => "",
        };
        anyhow!("cannot write {}: {kind}{way_out}", path.display())
    })
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
