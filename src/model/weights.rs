//! Where a model is in the space of its weights.

use super::{Initial, Layout};
use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

/// What a model computes with: θ, and beside it what is no parameter.
#[derive(Debug)]
pub struct Weights {
    /// Flat, [parameters].
    pub theta: Tensor,
    /// Running statistics and their like, flat, [numbers]; of most models none.
    pub buffers: Tensor,
}

impl Weights {
    /// What a training begins with: see [`Layout::initial`]; buffers begin as constants.
    pub fn initial(layout: &Layout, seed: u64, trial: &str, kind: Kind, device: Device) -> Self {
        let theta = layout.initial(seed, trial, kind, device);
        let buffers = Tensor::zeros([layout.buffer_numbers()], (kind, device));
        for slot in &layout.buffers {
            if let Initial::Constant(value) = slot.initial {
                let _ = slot.view(&buffers).fill_(value);
            }
        }
        Self { theta, buffers }
    }

    /// That they are a layout's.
    ///
    /// # Errors
    /// Where they have other lengths.
    pub fn check(&self, layout: &Layout) -> Result<()> {
        let [found, expected] =
            [[self.theta.size(), self.buffers.size()], [vec![layout.parameters()], vec![layout.buffer_numbers()]]];
        ensure!(found == expected, "weights of shapes {found:?} for a model of {expected:?}: parameters, and buffers");
        Ok(())
    }

    /// Both, each changed.
    pub fn each(&self, of: impl Fn(&Tensor) -> Tensor) -> Self {
        Self { theta: of(&self.theta), buffers: of(&self.buffers) }
    }

    /// Handles that share the memory.
    pub fn share(&self) -> Self {
        self.each(Tensor::shallow_clone)
    }

    /// Another θ beside the same buffers.
    pub fn at(&self, theta: Tensor) -> Self {
        Self { theta, buffers: self.buffers.shallow_clone() }
    }

    /// Takes over the numbers of `other`, in place.
    ///
    /// # Errors
    /// Where they have other lengths.
    pub fn copy_from(&self, other: &Self) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        for (own, other) in [(&self.theta, &other.theta), (&self.buffers, &other.buffers)] {
            let [own_size, size] = [own, other].map(Tensor::size);
            ensure!(own_size == size, "weights of shape {size:?} for a model of {own_size:?}");
            own.shallow_clone().f_copy_(other)?;
        }
        Ok(())
    }
}

/// A θ without buffers.
impl From<Tensor> for Weights {
    fn from(theta: Tensor) -> Self {
        let buffers = Tensor::zeros([0], (theta.kind(), theta.device()));
        Self { theta, buffers }
    }
}
