//! The record of a finished trial, with the weights it names: encoded, published, loaded and checked. What was
//! measured is JSON here; who loads it gives the function that reads it.

use crate::backend::Backend;
use crate::files::sha256;
use crate::store::Stored;
use crate::store::fingerprint::{Fingerprint, Identity};
use crate::store::run_dir::{StudyDir, read, write_atomically};
use crate::store::weights::{self, Tensors};
use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;

/// What `trials/<fingerprint>.json` holds.
#[derive(Clone, Serialize, Deserialize)]
struct RecordFile {
    schema: u32,
    #[serde(flatten)]
    identity: Identity,
    /// What computed it, as the [`Backend`] of then says; `None` in records from before it was said. Of no account
    /// for whose record it is, and so never a reason to refuse it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backend: Option<Value>,
    /// SHA-256 of `trials/<fingerprint>.safetensors`, null where the trial saves no weights.
    weights_sha256: Option<String>,
    record: Value,
}

const SCHEMA: u32 = 1;

impl RecordFile {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let file: Self = serde_json::from_slice(bytes)?;
        ensure!(file.schema == SCHEMA, "its schema is {}, this program's {SCHEMA}", file.schema);
        Ok(file)
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
    /// Where the weights have no form on disk.
    pub fn new(identity: Identity, backend: &Backend, record: Value, weights: &Tensors) -> Result<Self> {
        let weights = if weights.is_empty() { None } else { Some(weights::encode(weights, None)?) };
        let (backend, weights_sha256) = (Some(serde_json::to_value(backend)?), weights.as_deref().map(sha256));
        Ok(Self { file: RecordFile { schema: SCHEMA, identity, backend, weights_sha256, record }, weights })
    }
}

/// Whose a record is that was found to be whole, with its weights.
pub struct Checked {
    pub identity: Identity,
    /// What computed it, where the record says so.
    pub backend: Option<Value>,
}

impl StudyDir {
    /// The record of a trial, if it is done, as `decode` reads it, and what computed it, where the record says so. Its
    /// `identity`, whose fingerprint this is, is asked for only where there is a file. Changes nothing.
    pub fn load<R>(
        &self,
        fingerprint: &Fingerprint,
        identity: impl FnOnce() -> Identity,
        decode: impl FnOnce(Value) -> Result<R>,
    ) -> Result<Stored<(R, Option<Value>)>> {
        let path = self.of(fingerprint, "json");
        let Some(bytes) = read(&path)? else { return Ok(Stored::Nothing) };
        let parsed = RecordFile::parse(&bytes).and_then(|mut file| {
            let record = decode(file.record.take())?;
            ensure!(file.identity == identity(), "it belongs to another trial");
            Ok((file, record))
        });
        let (file, record) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return Ok(Stored::Invalid(format!("{} is no record of it: {error:#}", path.display()))),
        };
        if let Some(expected) = file.weights_sha256 {
            let path = self.of(fingerprint, "safetensors");
            let bytes = read(&path)?;
            if bytes.as_deref().map(sha256) != Some(expected) {
                let what = if bytes.is_some() { "are not those its record names" } else { "are missing" };
                return Ok(Stored::Invalid(format!("its weights {} {what}", path.display())));
            }
        }
        Ok(Stored::Valid((record, file.backend)))
    }

    /// Checks a record of an experiment against its name, and its weights against it. `diverged` reads the record,
    /// and says whether its weights need not be finite.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(
        &self,
        fingerprint: &Fingerprint,
        experiment: &str,
        diverged: impl FnOnce(Value) -> Result<bool>,
    ) -> Result<Checked> {
        let bytes = read(&self.of(fingerprint, "json"))?.context("it is gone")?;
        let RecordFile { identity, backend, weights_sha256, record, .. } = RecordFile::parse(&bytes)?;
        let diverged = diverged(record)?;
        ensure!(identity.fingerprint() == *fingerprint, "it belongs to another trial");
        ensure!(identity.experiment == experiment, "it is of {}", identity.experiment);
        if let Some(expected) = weights_sha256 {
            let bytes = read(&self.of(fingerprint, "safetensors"))?.context("its weights are missing")?;
            ensure!(sha256(&bytes) == expected, "its weights are not those it names");
            let (tensors, _) = weights::decode(&bytes).context("its weights")?;
            if let Some((name, _)) = tensors.iter().find(|(_, tensor)| !diverged && !tensor.is_finite()) {
                bail!("its weights {name} are not finite");
            }
        }
        Ok(Checked { identity, backend })
    }

    /// What of a trial that was run again is not as it stands: "the record's numbers", "the weights". What the
    /// standing record says or does not say of its backend is no difference.
    pub fn differs(&self, fingerprint: &Fingerprint, again: &Encoded) -> Result<Option<&'static str>> {
        let bytes = read(&self.of(fingerprint, "json"))?.unwrap_or_default();
        let record = match serde_json::from_slice::<RecordFile>(&bytes) {
            Err(_) => true,
            Ok(RecordFile { backend, .. }) => bytes != RecordFile { backend, ..again.file.clone() }.bytes()?,
        };
        let weights = match &again.weights {
            Some(weights) => read(&self.of(fingerprint, "safetensors"))?.is_none_or(|bytes| bytes != *weights),
            None => false,
        };
        Ok(match (record, weights) {
            (false, false) => None,
            (true, false) => Some("the record's numbers"),
            // The record names the weights' digest.
            (_, true) => Some("the weights"),
        })
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
        let record = self.of(fingerprint, "json");
        let text = fs::read(&record).with_context(|| format!("cannot read {}", record.display()))?;
        let names: Names = serde_json::from_slice(&text).with_context(|| record.display().to_string())?;
        let path = self.of(fingerprint, "safetensors");
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        ensure!(
            names.weights_sha256.as_deref() == Some(sha256(&bytes).as_str()),
            "{} is not what its record names; the same command runs its trial again",
            path.display()
        );
        Ok(bytes)
    }

    /// Publishes a finished trial: its weights, then its record, whose existence means that the trial is done; its
    /// checkpoint goes.
    pub fn publish(&self, fingerprint: &Fingerprint, encoded: &Encoded) -> Result<()> {
        if let Some(weights) = &encoded.weights {
            write_atomically(&self.of(fingerprint, "safetensors"), weights)?;
        }
        write_atomically(&self.of(fingerprint, "json"), &encoded.file.bytes()?)?;
        self.remove_checkpoint(fingerprint)
    }

    /// Gives a trial's record and weights other names, so that nothing is lost when it runs again; those names.
    pub fn set_aside(&self, fingerprint: &Fingerprint) -> Result<Vec<String>> {
        self.set_aside_files(&[self.of(fingerprint, "json"), self.of(fingerprint, "safetensors")])
    }
}
