//! Any model, of any kind, anywhere: libtorch's own first derivatives, of a batch. Knows no order of batches and keeps no
//! sums of gradients.

use super::loss::Criterion;
use super::{Sums, blocks_like};
use crate::data::Samples;
use crate::model::{Layout, Model, Pass, Weights};
use anyhow::Result;
use tch::Tensor;

/// A model under a loss, by libtorch's graphs.
pub(super) struct Autograd {
    pub model: Box<dyn Model>,
    /// θ's slices: leaves of the graph that share its memory. One gradient for each is far cheaper
    /// than one for θ, which would be padded to full length for every slice.
    leaves: Vec<Tensor>,
    buffers: Vec<Tensor>,
    pub criterion: Criterion,
}

/// What a batch gives.
pub(super) struct Differentiated {
    outputs: Tensor,
    /// The mean, without a graph.
    pub loss: Tensor,
    counted: i64,
    /// By each slice of θ; undefined where it has no part in the loss.
    pub gradients: Vec<Tensor>,
}

impl Autograd {
    pub fn new(model: impl Model + 'static, layout: &Layout, weights: &Weights, criterion: Criterion) -> Self {
        let leaf = |view: &Tensor| view.detach().set_requires_grad(true);
        Self {
            model: Box::new(model),
            leaves: layout.views(&weights.theta).iter().map(leaf).collect(),
            buffers: layout.buffer_views(&weights.buffers),
            criterion,
        }
    }

    /// The mean loss over a batch and its derivative by each slice.
    pub fn by_slices(&self, x: &Tensor, targets: &Tensor, pass: Pass) -> Result<Differentiated> {
        tch::with_grad(|| {
            let outputs = self.model.outputs(&self.leaves, &self.buffers, x, pass)?;
            let counted = self.criterion.counted(&outputs, targets)?;
            let loss = self.criterion.loss.mean_of(&outputs, targets, counted)?;
            let gradients = Tensor::f_run_backward(&[&loss], &self.leaves, false, false)?;
            Ok(Differentiated { outputs: outputs.f_detach()?, loss: loss.f_detach()?, counted, gradients })
        })
    }

    /// The gradient, flat, of the mean loss over a batch, and the batch's sums, without a graph.
    pub fn differentiate(&self, x: &Tensor, targets: &Tensor, pass: Pass) -> Result<(Tensor, Sums)> {
        let Differentiated { outputs, loss, counted, gradients } = self.by_slices(x, targets, pass)?;
        let _no_grad = tch::no_grad_guard();
        // A slice that has no part in the loss has no gradient.
        let flat = gradients.iter().zip(&self.leaves).map(|(gradient, leaf)| {
            if gradient.defined() { gradient.f_reshape([-1]) } else { leaf.f_zeros_like()?.f_reshape([-1]) }
        });
        let gradient = Tensor::f_cat(&flat.collect::<Result<Vec<_>, _>>()?, 0)?;
        let loss = loss.f_mul_scalar(counted as f64)?;
        Ok((gradient, Sums { loss, correct: self.criterion.loss.correct(&outputs, targets)?, counted }))
    }

    /// The sums over a block, and its outputs.
    pub fn sums(&self, x: &Tensor, targets: &Tensor) -> Result<(Sums, Tensor)> {
        let _no_grad = tch::no_grad_guard();
        let outputs = self.model.outputs(&self.leaves, &self.buffers, x, Pass::Evaluate)?;
        Ok((self.criterion.sums(&outputs, targets)?, outputs))
    }

    /// The sums over all samples, so many at a time, while `visit` sees the outputs of each block.
    pub fn sums_over(
        &self,
        samples: &Samples,
        block: i64,
        visit: &mut dyn FnMut(&Tensor) -> Result<()>,
    ) -> Result<Sums> {
        let mut all = Sums::zero(self.leaves.first().map_or_else(|| samples.targets.device(), Tensor::device));
        for block in blocks_like(samples, block, self.leaves.first()) {
            let (x, targets) = block?;
            let (sums, outputs) = self.sums(&x, &targets)?;
            visit(&outputs)?;
            all.add(sums);
        }
        Ok(all)
    }
}
