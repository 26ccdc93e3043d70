//! Where the weights are from that a trial looks at.

use crate::files::sha256;
use crate::model::{Layout, Weights};
use crate::study::{Context, Fingerprint, SavedWeights};
use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::PathBuf;
use tch::Kind;

/// A finished trial of the same study, or a file from elsewhere. As JSON, which a trial's fingerprint covers, the one is
/// its fingerprint alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Source {
    Trial(Fingerprint),
    /// Of safetensors.
    File {
        path: PathBuf,
        /// Of its bytes, in lower-case hexadecimal.
        sha256: String,
    },
}

impl From<Fingerprint> for Source {
    fn from(trial: Fingerprint) -> Self {
        Self::Trial(trial)
    }
}

impl Source {
    /// Whether it is this trial.
    pub fn is(&self, trial: &Fingerprint) -> bool {
        matches!(self, Self::Trial(own) if own == trial)
    }

    /// All that was saved there.
    ///
    /// # Errors
    /// Where a trial has no weights; where a file cannot be read, is not the one that was named, or is none of
    /// safetensors.
    pub fn read(&self, cx: &Context) -> Result<SavedWeights> {
        match self {
            Self::Trial(trial) => cx.saved(trial),
            Self::File { path, sha256: expected } => {
                let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
                let found = sha256(&bytes);
                ensure!(
                    found.eq_ignore_ascii_case(expected),
                    "{} has changed since it was named: the SHA-256 of its contents is {found}, not {expected}; name it \
                     again, or put the other file back",
                    path.display()
                );
                SavedWeights::decode(&bytes, path.display().to_string(), cx.device)
            }
        }
    }

    /// The weights that a training ended with, in float32, as networks compute.
    pub fn solution(&self, layout: &Layout, cx: &Context) -> Result<Weights> {
        Ok(self.read(cx)?.solution(layout)?.each(|flat| flat.to_kind(Kind::Float)))
    }
}
