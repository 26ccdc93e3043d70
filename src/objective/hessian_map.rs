//! Hessian-vector products (Pearlmutter 1994): of a loss whose graph is kept, and of a model's over many samples in
//! blocks.

use super::autograd::Loss;
use crate::data::Samples;
use crate::model::{Layout, Model, Pass, Weights};
use anyhow::{Result, ensure};
use tch::{Kind, Tensor};

/// ∇²L at one θ, as a map.
pub trait HessianMap {
    /// ∇²L·v for `v` [P], or of each row of [k, P], in its shape and in float64; computed in θ's kind.
    ///
    /// # Errors
    /// Those of `observe`, which is called now and then, and libtorch's.
    fn times(&self, v: &Tensor, observe: &mut dyn FnMut() -> Result<()>) -> Result<Tensor>;
}

/// Any twice differentiable loss: the graph of the gradient is kept, and each product is one backward pass through it.
/// On a kink of ReLU its derivative counts as 0, as in PyTorch.
pub struct GraphHessian {
    theta: Tensor,
    gradient: Tensor,
}

impl GraphHessian {
    /// At a flat `theta` [P], of a `loss` that is a scalar and differentiable in it.
    ///
    /// # Errors
    /// libtorch's, and a loss that does not depend on θ.
    pub fn new(theta: &Tensor, loss: impl FnOnce(&Tensor) -> Tensor) -> Result<Self> {
        let theta = theta.f_detach()?.copy().f_set_requires_grad(true)?;
        let gradient = tch::with_grad(|| Tensor::f_run_backward(&[loss(&theta)], &[&theta], true, true))?.remove(0);
        Ok(Self { theta, gradient })
    }
}

impl HessianMap for GraphHessian {
    fn times(&self, v: &Tensor, observe: &mut dyn FnMut() -> Result<()>) -> Result<Tensor> {
        let mut products = Vec::new();
        for v in rows(v)? {
            let v = v.f_to_device(self.theta.device())?.f_to_kind(self.theta.kind())?;
            let root = tch::with_grad(|| self.gradient.f_dot(&v))?;
            products.push(gradients(&root, std::slice::from_ref(&self.theta))?.remove(0).f_to_kind(Kind::Double)?);
            observe()?;
        }
        Ok(Tensor::f_stack(&products, 0)?.f_reshape(v.size())?)
    }
}

/// The rows of [k, P]; [P] is one.
fn rows(v: &Tensor) -> Result<Vec<Tensor>> {
    let length = v.size().last().copied().unwrap_or(0);
    Ok(v.f_reshape([-1, length])?.f_unbind(0)?)
}

/// ∂root/∂input of each input, 0 where it has no influence.
fn gradients(root: &Tensor, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    if !root.requires_grad() {
        return Ok(inputs.iter().map(Tensor::f_zeros_like).collect::<Result<_, _>>()?);
    }
    let found = Tensor::f_run_backward(&[root], inputs, true, false)?;
    or_zero(found, inputs)
}

fn or_zero(found: Vec<Tensor>, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    let or_zero = |(found, input): (Tensor, &Tensor)| if found.defined() { Ok(found) } else { input.f_zeros_like() };
    Ok(found.into_iter().zip(inputs).map(or_zero).collect::<Result<_, _>>()?)
}

/// A model's mean loss over all of some samples.
///
/// A product passes over the samples in blocks: its memory is that of one block, and one pass serves all rows that are
/// multiplied together. Sums over blocks are in float64: with float32 products carry a relative error of about 1e-6, so
/// ask Lanczos for no less than 1e-5.
pub(super) struct BlockHessian<'a> {
    model: &'a dyn Model,
    layout: &'a Layout,
    samples: &'a Samples,
    loss: Loss,
    /// θ's slices: one gradient for each is far cheaper than one for θ, padded for every slice.
    leaves: Vec<Tensor>,
    buffers: Vec<Tensor>,
}

/// Samples at a time, so that activations stay in the cache.
const BLOCK: i64 = 200;

impl<'a> BlockHessian<'a> {
    /// At these weights as the model's layout has them, on the device and in the kind of `samples`.
    ///
    /// # Errors
    /// Where there are no samples, and libtorch's.
    pub(super) fn new(
        model: &'a dyn Model,
        layout: &'a Layout,
        weights: &Weights,
        samples: &'a Samples,
        loss: Loss,
    ) -> Result<Self> {
        ensure!(!samples.is_empty(), "the curvature of a loss needs at least one sample");
        let theta = weights.theta.f_detach()?.copy();
        let leaf = |view: &Tensor| view.f_detach()?.f_set_requires_grad(true);
        let leaves = layout.views(&theta).iter().map(leaf).collect::<Result<_, _>>()?;
        let buffers = layout.buffer_views(&weights.buffers.copy());
        Ok(Self { model, layout, samples, loss, leaves, buffers })
    }

    /// By each of the leaves, with a graph.
    fn gradient(&self, x: &Tensor, targets: &Tensor) -> Result<Vec<Tensor>> {
        let outputs = self.model.outputs(&self.leaves, &self.buffers, x, Pass::Curvature)?;
        let loss = self.loss.mean(&outputs, targets)?;
        or_zero(Tensor::f_run_backward(&[loss], &self.leaves, true, true)?, &self.leaves)
    }
}

impl HessianMap for BlockHessian<'_> {
    fn times(&self, v: &Tensor, observe: &mut dyn FnMut() -> Result<()>) -> Result<Tensor> {
        let (kind, device) = (self.leaves[0].kind(), self.leaves[0].device());
        let rows = rows(&v.f_to_device(device)?.f_to_kind(kind)?)?;
        let rows: Vec<Vec<Tensor>> = rows.iter().map(|row| self.layout.views(row)).collect();
        let n = self.samples.len() as f64;
        let sum = Tensor::f_zeros([rows.len() as i64, self.layout.parameters()], (Kind::Double, device))?;
        for block in self.samples.blocks(BLOCK) {
            let (x, targets) = block?;
            let gradient = tch::with_grad(|| self.gradient(&x, &targets))?;
            for (index, v) in (0..).zip(&rows) {
                let root = tch::with_grad(|| {
                    let zero = Tensor::f_zeros([], (kind, device));
                    let add =
                        |root: Tensor, (gradient, v): (&Tensor, &Tensor)| root.f_add(&gradient.f_mul(v)?.f_sum(kind)?);
                    gradient.iter().zip(v).try_fold(zero?, add)
                })?;
                let product = gradients(&root, &self.leaves)?;
                let flat: Vec<Tensor> = product.iter().map(|part| part.f_reshape([-1])).collect::<Result<_, _>>()?;
                let of_block = Tensor::f_cat(&flat, 0)?.f_to_kind(Kind::Double)?;
                let _ = sum.f_get(index)?.f_add_(&of_block.f_mul_scalar(targets.size()[0] as f64 / n)?)?;
                observe()?;
            }
        }
        Ok(sum.f_reshape(v.size())?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{network, relative, rough_batch};
    use super::super::{CrossEntropy, Objective as _, by_double_backward};
    use super::*;
    use tch::Device;

    fn calm() -> Result<()> {
        Ok(())
    }

    #[test]
    fn losses_without_curvature_have_products_of_zero() {
        let theta = Tensor::from_slice(&[1.0, 2.0, 3.0]);
        let times = |hessian: GraphHessian| Vec::<f64>::try_from(hessian.times(&theta, &mut calm).unwrap()).unwrap();
        assert_eq!(times(GraphHessian::new(&theta, |theta| (theta * 2.0).sum(Kind::Double)).unwrap()), [0.0; 3]);
        let quadratic = |theta: &Tensor| theta.square().sum(Kind::Double) * 1.5;
        assert_eq!(times(GraphHessian::new(&theta, quadratic).unwrap()), [3.0, 6.0, 9.0]);
    }

    #[test]
    fn products_of_classifiers_are_those_of_double_backward_one_or_several_at_once() {
        let samples = rough_batch(250);
        for text in ["784-3-10", "conv2-conv2-4-10", "conv1-10"] {
            let model = network(text);
            let layout = model.layout();
            let theta = layout.initial(4, "curvature", Kind::Double, Device::Cpu);
            let rows = (Tensor::arange(2 * theta.size()[0], (Kind::Double, Device::Cpu)) * 0.37).cos().view([2, -1]);
            // Two blocks here, one there.
            let whole = GraphHessian::new(&theta, |theta| {
                let x = samples.inputs().unwrap().to_kind(Kind::Double);
                let logits = model.outputs(&layout.views(theta), &[], &x, Pass::Curvature).unwrap();
                logits.log_softmax(-1, Kind::Double).nll_loss(&samples.targets)
            });
            let expected = whole.unwrap().times(&rows, &mut calm).unwrap();
            for (kind, tolerance) in [(Kind::Double, 1e-12), (Kind::Float, 1e-4)] {
                let objective = CrossEntropy::new(&model, theta.to_kind(kind), &samples).unwrap();
                let hessian = objective.hessian().unwrap();
                let found = hessian.times(&rows, &mut calm).unwrap();
                assert!(found.size() == rows.size() && relative(&found, &expected) < tolerance, "{text}");
                let one = hessian.times(&rows.get(1), &mut calm).unwrap();
                assert_eq!(one, found.get(1), "{text}");
                assert!(hessian.times(&rows, &mut || anyhow::bail!("enough")).is_err());
            }
        }
    }

    #[test]
    fn derivatives_are_there_where_nobody_wants_a_graph() {
        let (model, samples) = (network("conv2-10"), rough_batch(20));
        let theta = model.layout().initial(4, "no graph", Kind::Double, Device::Cpu);
        let v = theta.cos();
        let mut objective = CrossEntropy::new(&model, theta, &samples).unwrap();
        let mut all = || {
            let loss = objective.loss_and_gradient().unwrap().get().unwrap();
            let product = objective.hessian().unwrap().times(&v, &mut calm).unwrap();
            let mut by_inputs = objective.by_inputs().unwrap();
            let outputs = by_inputs.outputs(&samples.inputs().unwrap().to_kind(Kind::Double)).unwrap();
            let by_inputs = by_inputs.vjp(&outputs).unwrap();
            [Tensor::from(loss), objective.gradient().copy(), product, by_inputs]
        };
        let expected = all();
        let _no_grad = tch::no_grad_guard();
        assert_eq!(all(), expected);
        let theta = Tensor::from_slice(&[1.0, 2.0]);
        let quadratic = GraphHessian::new(&theta, |theta| theta.square().sum(Kind::Double)).unwrap();
        assert_eq!(quadratic.times(&theta, &mut calm).unwrap(), &theta * 2.0);
    }

    #[test]
    fn a_hessian_stays_at_its_theta() {
        let (model, samples) = (network("784-2-10"), rough_batch(20));
        let theta = model.layout().initial(4, "stays", Kind::Double, Device::Cpu);
        let v = theta.cos();
        let objective = CrossEntropy::new(&model, theta.copy(), &samples).unwrap();
        let hessian = objective.hessian().unwrap();
        let before = hessian.times(&v, &mut calm).unwrap();
        let _ = objective.theta().shallow_clone().zero_();
        assert_eq!(hessian.times(&v, &mut calm).unwrap(), before);
        assert_ne!(objective.hessian().unwrap().times(&v, &mut calm).unwrap(), before);
    }

    #[test]
    fn a_whole_hessian_by_rows_is_double_backwards() {
        let (model, samples) = (network("784-1-10"), rough_batch(5));
        let theta = model.layout().initial(4, "rows", Kind::Double, Device::Cpu);
        let objective = CrossEntropy::new(&model, theta.copy(), &samples).unwrap();
        let found = objective.whole_hessian(&mut calm).unwrap();
        let expected = by_double_backward(&theta, |theta| {
            let x = samples.inputs().unwrap().to_kind(Kind::Double);
            let logits = model.outputs(&model.layout().views(theta), &[], &x, Pass::Curvature).unwrap();
            logits.log_softmax(-1, Kind::Double).nll_loss(&samples.targets)
        });
        assert!(relative(&found, &expected.unwrap()) < 1e-12);
    }
}
