//! Any model under any loss, over samples of which a block at a time is looked at: by libtorch's graphs, for measuring what
//! is trained. Memory is that of a block beside θ, its gradient, and one more copy of θ.

use super::autograd::Autograd;
use super::block_curvature::Over;
use super::input_vjp::AutogradVjp;
use super::loss::Criterion;
use super::{Evaluation, HessianMap, InputVjp, Loss, Matrix, Objective, Scalar, Sums, blocks_like, by_graphs, by_hand};
use crate::data::Samples;
use crate::model::{Layout, Model, Pass, Weights};
use anyhow::{Result, ensure};
use tch::{Kind, Tensor};

/// The objective of any model under any loss, with `block` samples at a time in all that goes over all of them. Samples stay
/// where and as they are, and each block of them takes the kind and device of θ. Nothing is computed in our kernels.
///
/// Gradients over all samples are summed in float64.
///
/// # Errors
/// Where weights are not the layout's, a block has no samples, or no target counts.
pub fn under(
    model: impl Model + 'static,
    weights: impl Into<Weights>,
    samples: &Samples,
    loss: Loss,
    block: i64,
) -> Result<Box<dyn Objective>> {
    let (layout, weights) = (model.layout(), weights.into());
    weights.check(&layout)?;
    ensure!(block > 0, "blocks of {block} samples: take at least one at a time");
    ensure!(!samples.is_empty(), "a loss over no samples: it needs at least one");
    let total = loss.weight(&samples.targets)?;
    ensure!(total > 0, "all targets are {}, and none of them counts: name the class of one", crate::data::IGNORED);
    let autograd = Autograd::new(model, &layout, &weights, Criterion::looking(loss));
    let gradient = no_gradient(&weights.theta)?;
    Ok(Box::new(General { autograd, layout, weights, samples: samples.share(), gradient, total, block }))
}

/// Zeros [P] that take no memory.
fn no_gradient(theta: &Tensor) -> Result<Tensor> {
    Ok(Tensor::f_zeros([1], (theta.kind(), theta.device()))?.f_expand(theta.size(), false)?)
}

struct General {
    autograd: Autograd,
    layout: Layout,
    weights: Weights,
    samples: Samples,
    gradient: Tensor,
    /// [`Loss::weight`] of all samples.
    total: i64,
    block: i64,
}

impl Objective for General {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn samples(&self) -> i64 {
        self.samples.len()
    }

    fn gradient(&self) -> &Tensor {
        &self.gradient
    }

    fn loss_and_gradient(&mut self) -> Result<Scalar> {
        self.gradient_and(&mut || Ok(()))
    }

    /// `observe` is called before each block.
    fn gradient_and(&mut self, observe: &mut dyn FnMut() -> Result<()>) -> Result<Scalar> {
        let Self { autograd, layout, weights, samples, gradient, total, block } = self;
        let theta = &weights.theta;
        // The last one's memory is free before more is taken.
        *gradient = no_gradient(theta)?;
        let sum = Tensor::f_zeros(theta.size(), (Kind::Double, theta.device()))?;
        let sums = layout.views(&sum);
        let mut loss = Scalar::Host(0.0);
        for of_block in blocks_like(samples, *block, Some(theta)) {
            observe()?;
            let (x, targets) = of_block?;
            let weight = autograd.criterion.weight(&targets)?;
            if weight == 0 {
                continue;
            }
            let share = weight as f64 / *total as f64;
            let found = autograd.by_slices(&x, &targets, Pass::Evaluate)?;
            loss = loss + Scalar::from(found.loss.f_to_kind(Kind::Double)?.f_mul_scalar(share)?);
            // Slice by slice, so that there is no further flat copy.
            for (sum, of_block) in sums.iter().zip(found.gradients).filter(|(_, of_block)| of_block.defined()) {
                let part = of_block.f_to_kind(Kind::Double)?.f_mul_scalar(share)?;
                let _ = sum.shallow_clone().f_add_(&part)?;
            }
        }
        *gradient = sum.f_to_kind(theta.kind())?;
        Ok(loss)
    }

    /// The gradient stays as it was.
    fn loss(&mut self) -> Result<Scalar> {
        let sums = self.autograd.sums_over(&self.samples, self.block, &mut |_| Ok(()))?;
        Ok(Scalar::from(sums.loss) / sums.counted as f64)
    }

    fn batch(&mut self, index: &Tensor) -> Result<Sums> {
        let (x, targets) = self.samples.batch(index)?;
        let batch = Samples::new(x, targets, self.samples.target);
        let batch = batch.of_kind(&self.weights.theta);
        let (gradient, sums) = self.autograd.differentiate(&batch.inputs()?, &batch.targets, Pass::Train)?;
        self.gradient = gradient;
        Ok(sums)
    }

    /// An error of `visit` ends it.
    fn evaluate_and(&mut self, visit: &mut dyn FnMut(&Tensor) -> Result<()>) -> Result<Evaluation> {
        self.autograd.sums_over(&self.samples, self.block, visit)?.means()
    }

    fn curvature(&self, matrix: Matrix, slots: Option<&[usize]>) -> Result<Box<dyn HessianMap + '_>> {
        let Self { autograd, layout, weights, samples, block, .. } = self;
        let (model, criterion, block) = (&*autograd.model, autograd.criterion, *block);
        let over = Over { model, layout, weights, samples, criterion, block };
        by_hand(&over, matrix, slots)?.map_or_else(|| by_graphs(&over, matrix, slots), Ok)
    }

    fn by_inputs(&self) -> Result<Box<dyn InputVjp + '_>> {
        Ok(Box::new(AutogradVjp::new(&*self.autograd.model, &self.layout, &self.weights)))
    }
}
