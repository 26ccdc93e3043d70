//! The vector-Jacobian product of a model's outputs by its inputs.

use super::explicit::Explicit;
use crate::model::{Layout, Model, Pass, Weights};
use anyhow::{Context as _, Result};
use tch::Tensor;

/// A model's outputs, and their vector-Jacobian product by the inputs: what its answers to small changes of an
/// input are made of. θ carries no gradient here, so that no training can notice.
pub trait InputVjp {
    /// [n, m], without a graph, of `x` [n, input…] on θ's device, in θ's kind.
    ///
    /// # Errors
    /// Where nothing can be derived by such inputs; libtorch's.
    fn outputs(&mut self, x: &Tensor) -> Result<Tensor>;

    /// Jᵀ·c of each sample of the last [`Self::outputs`], flattened, [n, numbers of an input], with J = ∂outputs/∂x and
    /// `cotangents` [n, m].
    ///
    /// # Errors
    /// Where there was no forward pass.
    fn vjp(&mut self, cotangents: &Tensor) -> Result<Tensor>;
}

/// By our kernels.
pub(super) struct ExplicitVjp {
    pub theta: Tensor,
    pub explicit: Explicit,
}

impl InputVjp for ExplicitVjp {
    fn outputs(&mut self, x: &Tensor) -> Result<Tensor> {
        Ok(self.explicit.logits(&self.theta, &x.f_to_kind(self.theta.kind())?))
    }

    fn vjp(&mut self, cotangents: &Tensor) -> Result<Tensor> {
        self.explicit.vjp(&self.theta, cotangents).context(NO_PASS)
    }
}

const NO_PASS: &str = "a vector-Jacobian product without its forward pass";

const NO_NUMBERS: &str = "nothing can be derived by inputs that are whole numbers, such as tokens";

/// By libtorch's graphs.
pub(super) struct AutogradVjp<'a> {
    model: &'a dyn Model,
    slices: Vec<Tensor>,
    buffers: Vec<Tensor>,
    /// Inputs and outputs of the last forward pass.
    passed: Option<(Tensor, Tensor)>,
}

impl<'a> AutogradVjp<'a> {
    pub fn new(model: &'a dyn Model, layout: &Layout, weights: &Weights) -> Self {
        let weights = weights.each(|flat| flat.detach().copy());
        let (slices, buffers) = (layout.views(&weights.theta), layout.buffer_views(&weights.buffers));
        Self { model, slices, buffers, passed: None }
    }
}

impl InputVjp for AutogradVjp<'_> {
    fn outputs(&mut self, x: &Tensor) -> Result<Tensor> {
        let x = x.f_detach()?.f_set_requires_grad(true).context(NO_NUMBERS)?;
        let outputs = tch::with_grad(|| self.model.outputs(&self.slices, &self.buffers, &x, Pass::Evaluate))?;
        Ok(self.passed.insert((x, outputs)).1.f_detach()?)
    }

    fn vjp(&mut self, cotangents: &Tensor) -> Result<Tensor> {
        let (x, outputs) = self.passed.as_ref().context(NO_PASS)?;
        let root = tch::with_grad(|| outputs.f_mul(cotangents)?.f_sum(outputs.kind()))?;
        Ok(Tensor::f_run_backward(&[root], &[x], true, false)?.remove(0).f_flatten(1, -1)?)
    }
}
