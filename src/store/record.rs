//! The record of a finished trial, with the weights it names: encoded, published, loaded and checked. What was
//! measured is JSON here; who loads it gives the function that reads it.

use crate::backend::Backend;
use crate::files::{self, Once, sha256};
use crate::store::Stored;
use crate::store::fingerprint::{Fingerprint, Identity};
use crate::store::run_dir::{StudyDir, read, unwritable, write_atomically};
use crate::store::weights::{self, Tensors};
use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

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
    /// SHA-256 of the weights, null where the trial saves none. They are in `trials/<fingerprint>.<16 digits of it>.safetensors`,
    /// or, of records from before names had it, in `trials/<fingerprint>.safetensors`.
    weights_sha256: Option<String>,
    record: Value,
}

const SCHEMA: u32 = 1;

impl RecordFile {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let file: Self = serde_json::from_slice(bytes)?;
        ensure!(file.schema == SCHEMA, "its schema is {}, this program's {SCHEMA}", file.schema);
        if let Some(digest) = &file.weights_sha256 {
            // A part of it is part of a file's name.
            let is_digest = digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            ensure!(is_digest, "weights_sha256 is no SHA-256");
        }
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

/// What came of publishing a finished trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    Ours,
    /// Another process had published the trial before; its record stands.
    Theirs,
}

/// Whether a record may take the place of one that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacing {
    Nothing,
    /// The trial was to run again.
    Standing,
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
            let (path, bytes) = self.weights(fingerprint, &expected)?;
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
            let bytes = self.weights(fingerprint, &expected)?.1.context("its weights are missing")?;
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
        let standing = RecordFile::parse(&bytes).ok().and_then(|file| file.weights_sha256);
        let weights = match (&again.weights, standing) {
            (Some(weights), Some(digest)) => {
                self.weights(fingerprint, &digest)?.1.is_none_or(|bytes| bytes != *weights)
            }
            (Some(_), None) => true,
            (None, _) => false,
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
        let record = self.of(fingerprint, "json");
        let text = fs::read(&record).with_context(|| format!("cannot read {}", record.display()))?;
        let file = RecordFile::parse(&text).with_context(|| record.display().to_string())?;
        let expected = file.weights_sha256.with_context(|| format!("{} names no weights", record.display()))?;
        let (path, bytes) = self.weights(fingerprint, &expected)?;
        let bytes = bytes.with_context(|| format!("cannot read {}: there is no such file", path.display()))?;
        ensure!(
            expected == sha256(&bytes),
            "{} is not what its record names; the same command runs its trial again",
            path.display()
        );
        Ok(bytes)
    }

    /// Publishes a finished trial: its weights, under a name of their own, then its record, which names them, and whose
    /// existence means that the trial is done; its checkpoint goes. Of several processes that finish the same trial, whose
    /// bytes may differ where their processors do, the first one's record stands.
    pub fn publish(&self, fingerprint: &Fingerprint, encoded: &Encoded, replacing: Replacing) -> Result<Published> {
        if let (Some(weights), Some(digest)) = (&encoded.weights, &encoded.file.weights_sha256) {
            write_atomically(&self.weights_path(fingerprint, digest), weights)?;
        }
        let (path, bytes) = (self.of(fingerprint, "json"), encoded.file.bytes()?);
        let published = match replacing {
            Replacing::Standing => write_atomically(&path, &bytes).map(|()| Published::Ours)?,
            Replacing::Nothing => match files::write_once(&path, &bytes).map_err(|error| unwritable(&path, &error))? {
                Once::Written => Published::Ours,
                Once::Stood => Published::Theirs,
            },
        };
        self.remove_checkpoint(fingerprint)?;
        Ok(published)
    }

    /// Gives a trial's record and weights other names, so that nothing is lost when it runs again; those names.
    pub fn set_aside(&self, fingerprint: &Fingerprint) -> Result<Vec<String>> {
        let mut paths = vec![self.of(fingerprint, "json"), self.of(fingerprint, "safetensors")];
        let weights =
            self.trial_files()?.into_iter().filter(|name| owner_of_weights(name).as_ref() == Some(fingerprint));
        paths.extend(weights.map(|name| self.trials().join(name)));
        self.set_aside_files(&paths)
    }

    /// Takes away weights that no record names: of who came second, or was killed before its record was there. For who is
    /// alone in the run directory. How many.
    pub fn remove_orphans(&self) -> Result<usize> {
        let mut named: BTreeMap<Fingerprint, Option<String>> = BTreeMap::new();
        let mut removed = 0;
        for name in self.trial_files()? {
            let Some(fingerprint) = owner_of_weights(&name) else { continue };
            if !named.contains_key(&fingerprint) {
                let record = read(&self.of(&fingerprint, "json"))?;
                // What cannot be read may name them.
                let Some(digest) =
                    record.map_or(Some(None), |bytes| Some(RecordFile::parse(&bytes).ok()?.weights_sha256))
                else {
                    continue;
                };
                named.insert(fingerprint.clone(), digest);
            }
            let is_named = named[&fingerprint].as_ref().is_some_and(|digest| name.contains(&digest[..DIGITS]));
            if !is_named {
                let path = self.trials().join(&name);
                fs::remove_file(&path).map_err(|error| unwritable(&path, &error))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// The weights of this digest, and where they are or would be.
    fn weights(&self, fingerprint: &Fingerprint, digest: &str) -> Result<(PathBuf, Option<Vec<u8>>)> {
        let path = self.weights_path(fingerprint, digest);
        if let Some(bytes) = read(&path)? {
            return Ok((path, Some(bytes)));
        }
        let before = self.of(fingerprint, "safetensors");
        Ok(match read(&before)? {
            Some(bytes) => (before, Some(bytes)),
            None => (path, None),
        })
    }

    fn weights_path(&self, fingerprint: &Fingerprint, digest: &str) -> PathBuf {
        self.of(fingerprint, &format!("{}.safetensors", digest.get(..DIGITS).unwrap_or(digest)))
    }
}

/// So many digits of a digest are in the name of the weights.
const DIGITS: usize = 16;

/// Whose weights are in a file of this name, where it has a digest in it.
fn owner_of_weights(name: &str) -> Option<Fingerprint> {
    let (fingerprint, digest) = name.strip_suffix(".safetensors")?.split_once('.')?;
    (digest.len() == DIGITS).then(|| Fingerprint::try_from(fingerprint.to_owned()).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::device::DeviceChoice;
    use crate::store::weights::NamedTensor;
    use serde_json::json;

    fn whose() -> Identity {
        Identity { experiment: "toy".into(), version: 1, device: "cpu".into(), data: None, trial: json!({"seed": 0}) }
    }

    /// A study's folder without records, and the trial of which there will be one.
    fn empty() -> (tempfile::TempDir, StudyDir, Fingerprint) {
        let folder = tempfile::tempdir().unwrap();
        let dir = StudyDir::at(folder.path().to_owned());
        dir.prepare().unwrap();
        (folder, dir, whose().fingerprint())
    }

    /// What a processor that computes this number would publish.
    fn encoded(number: f64) -> Encoded {
        let weights = [("final.w".to_owned(), NamedTensor::of_numbers(&[number]))].into();
        Encoded::new(whose(), &Backend::of(DeviceChoice::Cpu), json!({ "loss": number }), &weights).unwrap()
    }

    fn loaded(dir: &StudyDir) -> Option<f64> {
        match dir.load(&whose().fingerprint(), whose, |record| Ok(record["loss"].as_f64())).unwrap() {
            Stored::Valid((loss, _)) => loss,
            Stored::Nothing | Stored::Invalid(_) => None,
        }
    }

    fn weights_files(dir: &StudyDir) -> usize {
        dir.trial_files().unwrap().iter().filter(|name| owner_of_weights(name).is_some()).count()
    }

    #[test]
    fn the_first_record_stands_whoever_comes_later() {
        let (_folder, dir, fingerprint) = empty();
        let publish = |number, replacing| dir.publish(&fingerprint, &encoded(number), replacing).unwrap();
        assert_eq!(publish(1.0, Replacing::Nothing), Published::Ours);
        assert_eq!(publish(2.0, Replacing::Nothing), Published::Theirs);
        assert_eq!((loaded(&dir), weights_files(&dir)), (Some(1.0), 2));
        assert!(dir.read_weights(&fingerprint).unwrap() == encoded(1.0).weights.unwrap());
        assert_eq!(dir.differs(&fingerprint, &encoded(1.0)).unwrap(), None);
        assert_eq!(dir.differs(&fingerprint, &encoded(2.0)).unwrap(), Some("the weights"));
        // The second one's weights are nobody's, the first one's are its.
        assert_eq!((dir.remove_orphans().unwrap(), dir.remove_orphans().unwrap()), (1, 0));
        assert_eq!((loaded(&dir), weights_files(&dir)), (Some(1.0), 1));
        // Asked for again, it is replaced.
        assert_eq!(publish(3.0, Replacing::Standing), Published::Ours);
        assert_eq!((loaded(&dir), dir.remove_orphans().unwrap()), (Some(3.0), 1));
    }

    #[test]
    fn weights_without_a_record_are_orphans_and_of_one_that_cannot_be_read_not() {
        let (_folder, dir, fingerprint) = empty();
        dir.publish(&fingerprint, &encoded(1.0), Replacing::Nothing).unwrap();
        let record = dir.of(&fingerprint, "json");
        let good = fs::read(&record).unwrap();
        fs::write(&record, &good[..20]).unwrap();
        assert_eq!((dir.remove_orphans().unwrap(), weights_files(&dir)), (0, 1));
        // With a record that is set aside go the weights.
        assert_eq!(dir.set_aside(&fingerprint).unwrap().len(), 2);
        assert_eq!(weights_files(&dir), 0);
        dir.publish(&fingerprint, &encoded(1.0), Replacing::Nothing).unwrap();
        fs::remove_file(&record).unwrap();
        assert_eq!((dir.remove_orphans().unwrap(), weights_files(&dir)), (1, 0));
        // Not ours: whatever else lies there.
        for name in ["notes.safetensors", "a.b.safetensors", &format!("{fingerprint}.safetensors")] {
            fs::write(dir.trials().join(name), "x").unwrap();
        }
        assert_eq!(dir.remove_orphans().unwrap(), 0);
    }

    #[test]
    fn a_record_names_weights_by_a_digest_and_nothing_else() {
        let (_folder, dir, fingerprint) = empty();
        dir.publish(&fingerprint, &encoded(1.0), Replacing::Nothing).unwrap();
        let record = dir.of(&fingerprint, "json");
        let good = fs::read_to_string(&record).unwrap();
        let digest = sha256(encoded(1.0).weights.as_ref().unwrap());
        for other in ["../../etc/passwd", "", &digest[..63], &digest.to_uppercase(), &format!("é{}", &digest[2..])] {
            fs::write(&record, good.replace(&digest, other)).unwrap();
            assert_eq!(loaded(&dir), None, "{other}");
            assert!(dir.read_weights(&fingerprint).is_err() && dir.remove_orphans().unwrap() == 0, "{other}");
        }
        fs::write(&record, &good).unwrap();
        assert_eq!(loaded(&dir), Some(1.0));
        // As they were named before.
        fs::rename(dir.weights_path(&fingerprint, &digest), dir.of(&fingerprint, "safetensors")).unwrap();
        assert_eq!(loaded(&dir), Some(1.0));
        assert!(dir.read_weights(&fingerprint).is_ok());
        assert_eq!(dir.set_aside(&fingerprint).unwrap().len(), 2);
    }
}
