//! The numbers of a source as tensors, as they are stored. Knows no file.

use super::decoded::About;
use anyhow::Result;
use tch::Tensor;

/// One split as it is stored: inputs [n, input…] in bytes, float32 or (tokens) int64; targets [n] of classes, [n, m] of
/// values, [n, places…] of classes by place.
pub struct Stored {
    pub inputs: Tensor,
    pub targets: Tensor,
}

impl Stored {
    pub(super) fn share(&self) -> Self {
        Self { inputs: self.inputs.shallow_clone(), targets: self.targets.shallow_clone() }
    }
}

/// The numbers of a split in the shapes of its inputs and targets.
pub(super) fn shaped(about: &About, inputs: Tensor, targets: Tensor) -> Result<Stored> {
    let shape = [&[-1], &about.input[..]].concat();
    let of_targets = [&[-1], &about.signature().target_shape()[..]].concat();
    let targets = targets.f_view(&of_targets[..])?;
    Ok(Stored { inputs: inputs.f_view(&shape[..])?, targets })
}
