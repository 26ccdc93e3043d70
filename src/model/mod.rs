//! Models as functions of one flat θ. The seam: a [`Model`] names each slice of θ, and of the buffers beside it, as
//! PyTorch would (`conv1.weight`, `fc1.bias`), and gives outputs that can be differentiated. [`Network`] is what our
//! grammar writes, on a data set. Knows nothing of losses or training.

mod layout;
mod mlp;
mod network;
mod parse;
pub mod program;
mod weights;

pub use layout::{Initial, Layout, Slot};
pub use mlp::Mlp;
pub use network::{Network, one_dnn_wanted};
pub(crate) use parse::as_text;
pub use parse::{Architecture, Named};
pub use weights::Weights;

use anyhow::{Result, bail};
use std::sync::Arc;
use tch::Tensor;

/// What a pass through a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// A step of training in mini-batches: what normalises by its batch does so, and updates its running statistics in
    /// the buffers, in place. No other pass changes anything.
    Train,
    /// An evaluation, by the running statistics; it may be differentiated once.
    Evaluate,
    /// The same by operations of which libtorch knows the second derivatives too.
    Curvature,
}

/// A model for one data set, as a function of its weights. It draws nothing at random: the same weights and inputs give
/// the same outputs.
pub trait Model: Send + Sync {
    /// How θ and the buffers are cut.
    fn layout(&self) -> Layout;

    /// Outputs [n, …] of inputs `x` [n, input…], logits of classes or values as the loss takes them, differentiable in the `slices` of θ and in
    /// `x`, which are of one kind (tokens of theirs) on one device; slices and `buffers` as the layout cuts them.
    ///
    /// # Errors
    /// libtorch's: shapes that do not fit, memory.
    fn outputs(&self, slices: &[Tensor], buffers: &[Tensor], x: &Tensor, pass: Pass) -> Result<Tensor>;

    /// Whether it normalises by running statistics of batches that [`Self::recalibrate`] can take anew.
    fn has_running_statistics(&self) -> bool {
        false
    }

    /// Moves those statistics, in the `buffers`, by a `share` of the way to those of a batch `x`: by 1/k at the k-th of
    /// several batches they become these batches' mean, as `torch.optim.swa_utils.update_bn` takes them anew (variances
    /// unbiased, each batch normalised by its own, nothing dropped).
    ///
    /// # Errors
    /// Those of [`Self::outputs`]; where there are no such statistics.
    fn recalibrate(&self, _slices: &[Tensor], _buffers: &[Tensor], _x: &Tensor, _share: f64) -> Result<()> {
        bail!("the model has no running statistics to be taken anew")
    }

    /// Where it is a network of our grammar: backends know those. What they do not know, libtorch computes.
    fn network(&self) -> Option<&Network> {
        None
    }
}

impl<M: Model + ?Sized> Model for Arc<M> {
    fn layout(&self) -> Layout {
        (**self).layout()
    }

    fn outputs(&self, slices: &[Tensor], buffers: &[Tensor], x: &Tensor, pass: Pass) -> Result<Tensor> {
        (**self).outputs(slices, buffers, x, pass)
    }

    fn has_running_statistics(&self) -> bool {
        (**self).has_running_statistics()
    }

    fn recalibrate(&self, slices: &[Tensor], buffers: &[Tensor], x: &Tensor, share: f64) -> Result<()> {
        (**self).recalibrate(slices, buffers, x, share)
    }

    fn network(&self) -> Option<&Network> {
        (**self).network()
    }
}
