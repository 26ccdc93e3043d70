//! Any model, of any kind, anywhere: libtorch's own derivatives.

use super::Sums;
use crate::data::Samples;
use crate::model::{Layout, Model, Pass, Weights};
use anyhow::{Result, ensure};
use tch::{Kind, Reduction, Tensor};

/// What an output costs beside its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Of logits [n, classes], of so many, and classes [n].
    CrossEntropy(i64),
    /// Of outputs and values, [n, m] both: the sum of squares over a sample's outputs.
    SquaredError,
}

impl Loss {
    /// What broadcasting, or an index, would make something else of.
    fn check(self, outputs: &Tensor, targets: &Tensor) -> Result<()> {
        let (found, n) = (outputs.size(), targets.size()[0]);
        let expected = match self {
            Self::CrossEntropy(classes) => vec![n, classes],
            Self::SquaredError => targets.size(),
        };
        ensure!(found == expected, "the model gives outputs of shape {found:?}; the data needs {expected:?}");
        Ok(())
    }

    /// The mean over the samples, a scalar.
    pub fn mean(self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor> {
        self.check(outputs, targets)?;
        Ok(match self {
            Self::CrossEntropy(_) => {
                let log_p = outputs.f_log_softmax(-1, outputs.kind())?;
                log_p.f_nll_loss::<Tensor>(targets, None, Reduction::Mean, -100)?
            }
            Self::SquaredError => {
                let squares = outputs.f_sub(targets)?.f_square()?.f_sum(outputs.kind())?;
                squares.f_div_scalar(targets.size()[0] as f64)?
            }
        })
    }

    /// Over the samples, in float64.
    pub fn sums(self, outputs: &Tensor, targets: &Tensor) -> Result<Sums> {
        self.check(outputs, targets)?;
        Ok(match self {
            Self::CrossEntropy(_) => {
                let log_p = outputs.f_log_softmax(-1, outputs.kind())?;
                let loss = log_p.f_gather(1, &targets.f_unsqueeze(1)?, false)?.f_neg()?.f_sum(Kind::Double)?;
                Sums { loss, correct: self.correct(outputs, targets)? }
            }
            Self::SquaredError => {
                let error = outputs.f_to_kind(Kind::Double)?.f_sub(&targets.f_to_kind(Kind::Double)?)?;
                Sums { loss: error.f_square()?.f_sum(Kind::Double)?, correct: None }
            }
        })
    }

    fn correct(self, outputs: &Tensor, targets: &Tensor) -> Result<Option<Tensor>> {
        Ok(match self {
            Self::CrossEntropy(_) => Some(outputs.f_argmax(-1, false)?.f_eq_tensor(targets)?.f_sum(Kind::Int64)?),
            Self::SquaredError => None,
        })
    }
}

/// A model under a loss, by libtorch's graphs.
pub(super) struct Autograd {
    model: Box<dyn Model>,
    /// θ's slices: leaves of the graph that share its memory. One gradient for each is far cheaper
    /// than one for θ, which would be padded to full length for every slice.
    leaves: Vec<Tensor>,
    buffers: Vec<Tensor>,
    loss: Loss,
}

impl Autograd {
    pub fn new(model: impl Model + 'static, layout: &Layout, weights: &Weights, loss: Loss) -> Self {
        let leaf = |view: &Tensor| view.detach().set_requires_grad(true);
        Self {
            model: Box::new(model),
            leaves: layout.views(&weights.theta).iter().map(leaf).collect(),
            buffers: layout.buffer_views(&weights.buffers),
            loss,
        }
    }

    /// The gradient, flat, of the mean loss over a batch, and the batch's sums, without a graph.
    pub fn differentiate(&self, x: &Tensor, targets: &Tensor, pass: Pass) -> Result<(Tensor, Sums)> {
        let (outputs, loss, gradients) = tch::with_grad(|| -> Result<_> {
            let outputs = self.model.outputs(&self.leaves, &self.buffers, x, pass)?;
            let loss = self.loss.mean(&outputs, targets)?;
            let gradients = Tensor::f_run_backward(&[&loss], &self.leaves, false, false)?;
            Ok((outputs, loss, gradients))
        })?;
        let _no_grad = tch::no_grad_guard();
        // A slice that has no part in the loss has no gradient.
        let flat = gradients.iter().zip(&self.leaves).map(|(gradient, leaf)| {
            if gradient.defined() { gradient.f_reshape([-1]) } else { leaf.f_zeros_like()?.f_reshape([-1]) }
        });
        let gradient = Tensor::f_cat(&flat.collect::<Result<Vec<_>, _>>()?, 0)?;
        let loss = loss.f_detach()?.f_mul_scalar(targets.size()[0] as f64)?;
        Ok((gradient, Sums { loss, correct: self.loss.correct(&outputs, targets)? }))
    }

    /// The sums over a block, and its outputs.
    pub fn sums(&self, x: &Tensor, targets: &Tensor) -> Result<(Sums, Tensor)> {
        let _no_grad = tch::no_grad_guard();
        let outputs = self.model.outputs(&self.leaves, &self.buffers, x, Pass::Evaluate)?;
        Ok((self.loss.sums(&outputs, targets)?, outputs))
    }

    /// The sums over all samples, so many at a time, while `visit` sees the outputs of each block.
    pub fn sums_over(
        &self,
        samples: &Samples,
        block: i64,
        visit: &mut dyn FnMut(&Tensor) -> Result<()>,
    ) -> Result<Sums> {
        let mut all = Sums::zero(samples.targets.device());
        for block in samples.blocks(block) {
            let (x, targets) = block?;
            let (sums, outputs) = self.sums(&x, &targets)?;
            visit(&outputs)?;
            all.add(sums);
        }
        Ok(all)
    }
}
