//! A curvature as a map of vectors, and the Hessian-vector products (Pearlmutter 1994) of a loss whose graph is kept. Knows
//! no model: one over many samples is in `block_curvature`.

use super::second::explained;
use anyhow::Result;
use tch::{Kind, Tensor};

/// ∇²L at one θ, or another of its [`super::Matrix`], as a map.
pub trait HessianMap {
    /// The matrix times `v` [p], or times each row of [k, p], in its shape and in float64; computed in θ's kind. p is the
    /// length of θ, or of the slices that were asked for, one after the other.
    ///
    /// # Errors
    /// Those of `observe`, which is called now and then, [`super::NoSecondDerivative`], and libtorch's.
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
        let gradient = tch::with_grad(|| Tensor::f_run_backward(&[loss(&theta)], &[&theta], true, true));
        Ok(Self { gradient: gradient.map_err(explained)?.remove(0), theta })
    }
}

impl HessianMap for GraphHessian {
    fn times(&self, v: &Tensor, observe: &mut dyn FnMut() -> Result<()>) -> Result<Tensor> {
        let mut products = Vec::new();
        for v in rows(v)? {
            let v = v.f_to_device(self.theta.device())?.f_to_kind(self.theta.kind())?;
            let root = tch::with_grad(|| self.gradient.f_dot(&v))?;
            let product = gradients(&root, std::slice::from_ref(&self.theta)).map_err(explained)?.remove(0);
            products.push(product.f_to_kind(Kind::Double)?);
            observe()?;
        }
        Ok(Tensor::f_stack(&products, 0)?.f_reshape(v.size())?)
    }
}

/// The rows of [k, p]; [p] is one.
pub(super) fn rows(v: &Tensor) -> Result<Vec<Tensor>> {
    let length = v.size().last().copied().unwrap_or(0);
    Ok(v.f_reshape([-1, length])?.f_unbind(0)?)
}

/// ∂root/∂input of each input, 0 where it has no influence. The graph is kept.
pub(super) fn gradients(root: &Tensor, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    by_inputs(root, inputs, false)
}

/// The same with graphs of their own.
pub(super) fn gradients_with_graph(root: &Tensor, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    by_inputs(root, inputs, true)
}

fn by_inputs(root: &Tensor, inputs: &[Tensor], with_graph: bool) -> Result<Vec<Tensor>> {
    if !root.requires_grad() {
        return Ok(inputs.iter().map(Tensor::f_zeros_like).collect::<Result<_, _>>()?);
    }
    let found = Tensor::f_run_backward(&[root], inputs, true, with_graph)?;
    let or_zero = |(found, input): (Tensor, &Tensor)| if found.defined() { Ok(found) } else { input.f_zeros_like() };
    Ok(found.into_iter().zip(inputs).map(or_zero).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{network, relative, rough_batch};
    use super::super::{CrossEntropy, Objective as _, by_double_backward};
    use super::*;
    use crate::model::{Model as _, Pass};
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
                assert!(relative(&one, &found.get(1)) < tolerance * 1e-2, "{text}");
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
