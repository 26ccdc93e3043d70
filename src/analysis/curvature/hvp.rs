//! Hessian-vector products (Pearlmutter 1994): of any loss of one θ, and of a classifier's over many samples.

use crate::data::batches::Samples;
use crate::model::{Classifier, Layout};
use anyhow::{Result, ensure};
use tch::{Kind, Reduction, Tensor};

/// ∇²L at one θ as a map, for any twice differentiable loss: the graph of the gradient is kept, and each
/// product is one backward pass through it. On a kink of ReLU its derivative counts as 0, as in PyTorch.
pub struct LossHessian {
    theta: Tensor,
    gradient: Tensor,
}

impl LossHessian {
    /// At a flat `theta` [P], of a `loss` that is a scalar and differentiable in it.
    ///
    /// # Errors
    /// libtorch's, and a loss that does not depend on θ.
    pub fn new(theta: &Tensor, loss: impl FnOnce(&Tensor) -> Tensor) -> Result<Self> {
        let theta = theta.f_detach()?.copy().f_set_requires_grad(true)?;
        let gradient = Tensor::f_run_backward(&[loss(&theta)], &[&theta], true, true)?.remove(0);
        Ok(Self { theta, gradient })
    }

    /// ∇²L·v [P] for `v` [P], in float64; computed in θ's kind.
    pub fn times(&self, v: &Tensor) -> Result<Tensor> {
        let root = self.gradient.f_dot(&v.f_to_device(self.theta.device())?.f_to_kind(self.theta.kind())?)?;
        Ok(gradients(&root, std::slice::from_ref(&self.theta))?.remove(0).f_to_kind(Kind::Double)?)
    }
}

/// ∂root/∂input of each input, 0 where it has no influence.
fn gradients(root: &Tensor, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    if !root.requires_grad() {
        return Ok(inputs.iter().map(Tensor::f_zeros_like).collect::<Result<_, _>>()?);
    }
    let found = Tensor::f_run_backward(&[root], inputs, true, false)?;
    let or_zero = |(found, input): (Tensor, &Tensor)| if found.defined() { Ok(found) } else { input.f_zeros_like() };
    Ok(found.into_iter().zip(inputs).map(or_zero).collect::<Result<_, _>>()?)
}

/// ∇²L at one θ as a map, for a classifier's mean cross entropy L over all of some samples.
///
/// A product passes over the samples in blocks: its memory is that of one block. It computes in θ's kind
/// (samples are converted), sums over blocks in float64: with float32 products carry a relative error of
/// about 1e-6, so ask Lanczos for no less than 1e-5.
pub struct ClassifierHessian<'a> {
    model: &'a Classifier,
    layout: Layout,
    samples: &'a Samples,
    /// θ's slices: one gradient for each is far cheaper than one for θ, padded for every slice.
    leaves: Vec<Tensor>,
}

/// Samples at a time, so that activations stay in the cache.
const BLOCK: i64 = 200;

impl<'a> ClassifierHessian<'a> {
    /// At a flat `theta` [P] as the model's layout has it, on the device of `samples`.
    ///
    /// # Errors
    /// Where there are no samples, and libtorch's.
    pub fn new(model: &'a Classifier, theta: &Tensor, samples: &'a Samples) -> Result<Self> {
        ensure!(!samples.is_empty(), "the curvature of a loss needs at least one sample");
        let layout = model.layout();
        let theta = theta.f_detach()?.copy();
        let leaf = |view: &Tensor| view.f_detach()?.f_set_requires_grad(true);
        let leaves = layout.views(&theta).iter().map(leaf).collect::<Result<_, _>>()?;
        Ok(Self { model, layout, samples, leaves })
    }

    /// P.
    pub fn parameters(&self) -> i64 {
        self.layout.parameters()
    }

    /// ∇²L·v [P] in float64 for `v` [P].
    ///
    /// # Errors
    /// Those of `observe`, which is called after every block, and libtorch's.
    pub fn times(&self, v: &Tensor, mut observe: impl FnMut() -> Result<()>) -> Result<Tensor> {
        let (kind, device) = (self.leaves[0].kind(), self.leaves[0].device());
        let v = self.layout.views(&v.f_to_device(device)?.f_to_kind(kind)?);
        let n = self.samples.len() as f64;
        let mut sum = Tensor::f_zeros([self.parameters()], (Kind::Double, device))?;
        for (x, labels) in self.samples.blocks(BLOCK) {
            let x = x.f_to_kind(kind)?;
            let log_p = self.model.plain_logits(&self.leaves, &x).f_log_softmax(-1, kind)?;
            let loss = log_p.f_nll_loss::<Tensor>(&labels, None, Reduction::Mean, -100)?;
            let gradient = Tensor::f_run_backward(&[loss], &self.leaves, true, true)?;
            let mut root = Tensor::f_zeros([], (kind, device))?;
            for (gradient, v) in gradient.iter().zip(&v) {
                root = root.f_add(&gradient.f_mul(v)?.f_sum(kind)?)?;
            }
            let product = gradients(&root, &self.leaves)?;
            let flat: Vec<Tensor> = product.iter().map(|part| part.f_reshape(-1)).collect::<Result<_, _>>()?;
            let of_block = Tensor::f_cat(&flat, 0)?.f_to_kind(Kind::Double)?;
            let _ = sum.f_add_(&of_block.f_mul_scalar(labels.size()[0] as f64 / n)?)?;
            observe()?;
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TIGHT, assert_close, rng, values};
    use super::super::{Wanted, hutchinson, lanczos, rademacher, spectral_density};
    use super::*;
    use crate::analysis::hessian::{Spectrum, by_double_backward, of_mean_squared_error};
    use crate::data::batches::{DataSpec, DatasetName};
    use crate::model::Mlp;
    use tch::Device;

    #[test]
    fn products_are_those_of_the_whole_hessian_of_a_network() {
        let model: Mlp = "1-6-5-4-1".parse().unwrap();
        let x = Tensor::linspace(-2.0, 2.0, 80, (Kind::Double, Device::Cpu)).view([1, 80]);
        let y = (&x * 2.0).sin();
        let theta = model.layout().initial(5, "curvature", Kind::Double, Device::Cpu);
        let loss = |theta: &Tensor| (model.forward(theta, &x) - &y).square().mean(Kind::Double);
        let hessian = LossHessian::new(&theta, loss).unwrap();
        let exact = of_mean_squared_error(&model, &theta, &x, &y).unwrap();
        for seed in 0..3 {
            let v = rademacher(theta.size()[0], &mut rng(seed)).unwrap();
            let error = (hessian.times(&v).unwrap() - exact.mv(&v)).norm() / exact.mv(&v).norm();
            assert!(error.double_value(&[]) < 1e-12);
        }
        // And so are its extreme eigenvalues, its trace and its density.
        let spectrum = Spectrum::of(&exact).unwrap().eigenvalues;
        let n = theta.size()[0];
        let apply = |v: &Tensor| hessian.times(v);
        let found = lanczos(n, Wanted { tolerance: 1e-11, ..TIGHT }, &mut rng(0), apply).unwrap();
        let from_top: Vec<f64> = spectrum.iter().rev().take(4).copied().collect();
        assert_close(&values(&found.top), &from_top, 1e-9 * from_top[0]);
        assert_close(&values(&found.bottom), &spectrum[..3], 1e-9 * from_top[0]);
        assert!(found.converged);
        let trace = hutchinson(n, 400, &mut rng(1), apply).unwrap();
        let sum: f64 = spectrum.iter().sum();
        assert!((trace.value - sum).abs() < 4.0 * trace.standard_error, "{trace:?} against {sum}");
        assert!(trace.standard_error < 0.2 * sum.abs());
        let density = spectral_density(n, 300, 15, &mut rng(2), apply).unwrap();
        let share = density.integral(|value| f64::from(u8::from(value > 0.5 * from_top[3])));
        let expected = spectrum.iter().filter(|value| **value > 0.5 * from_top[3]).count() as f64 / n as f64;
        assert!((share / expected - 1.0).abs() < 0.25, "{share} against {expected}");
    }

    #[test]
    fn losses_without_curvature_have_products_of_zero() {
        let theta = Tensor::from_slice(&[1.0, 2.0, 3.0]);
        let linear = LossHessian::new(&theta, |theta| (theta * 2.0).sum(Kind::Double)).unwrap();
        assert_eq!(Vec::<f64>::try_from(linear.times(&theta).unwrap()).unwrap(), [0.0; 3]);
        let quadratic = LossHessian::new(&theta, |theta| theta.square().sum(Kind::Double) * 1.5).unwrap();
        assert_eq!(Vec::<f64>::try_from(quadratic.times(&theta).unwrap()).unwrap(), [3.0, 6.0, 9.0]);
    }

    #[test]
    fn products_of_classifiers_are_those_of_double_backward() {
        let spec = DataSpec { dataset: DatasetName::Synthetic, train_size: 250, test_size: 1 };
        let samples = spec.load(None, |_| Ok(())).unwrap().train;
        for text in ["784-3-10", "conv2-conv2-4-10", "conv1-10"] {
            let model: Classifier = text.parse().unwrap();
            let theta = model.layout().initial(4, "curvature", Kind::Double, Device::Cpu);
            let v = (Tensor::arange(theta.size()[0], (Kind::Double, Device::Cpu)) * 0.37).cos();
            // Two blocks here, one there.
            let whole = LossHessian::new(&theta, |theta| {
                let logits = model.logits(&model.layout().views(theta), &samples.images.to_kind(Kind::Double));
                logits.log_softmax(-1, Kind::Double).nll_loss(&samples.labels)
            });
            let expected = whole.unwrap().times(&v).unwrap();
            let close = |theta: &Tensor, tolerance: f64| {
                let hessian = ClassifierHessian::new(&model, theta, &samples).unwrap();
                let found = hessian.times(&v, || Ok(())).unwrap();
                let error = ((found - &expected).norm() / expected.norm()).double_value(&[]);
                assert!(error < tolerance, "{text}: {error}");
            };
            close(&theta, 1e-12);
            close(&theta.to_kind(Kind::Float), 1e-4);
        }
    }

    #[test]
    fn extremes_of_a_classifier_are_those_of_its_whole_hessian() {
        let spec = DataSpec { dataset: DatasetName::Synthetic, train_size: 40, test_size: 1 };
        let mut samples = spec.load(None, |_| Ok(())).unwrap().train;
        // All but 12 pixels dark, so that the whole Hessian, of the weights of those, is small.
        let seen = samples.images.narrow(1, 300, 12).copy();
        samples.images = samples.images.zeros_like();
        samples.images.narrow(1, 300, 12).copy_(&(seen + 1.0));
        let model: Classifier = "784-2-10".parse().unwrap();
        let theta = model.layout().initial(6, "curvature", Kind::Double, Device::Cpu);
        let hessian = ClassifierHessian::new(&model, &theta, &samples).unwrap();
        let n = theta.size()[0];
        let used: Vec<i64> = (0..n).filter(|&at| at >= 2 * 784 || (300..312).contains(&(at % 784))).collect();
        let used = Tensor::from_slice(&used);
        let small = by_double_backward(&theta.index_select(0, &used), |part| {
            let whole =
                Tensor::zeros([n], (Kind::Double, Device::Cpu)).index_put(&[Some(used.shallow_clone())], part, false);
            let logits = model.logits(&model.layout().views(&whole), &samples.images.to_kind(Kind::Double));
            logits.log_softmax(-1, Kind::Double).nll_loss(&samples.labels)
        });
        let spectrum = Spectrum::of(&small.unwrap()).unwrap().eigenvalues;
        let wanted = Wanted { top: 3, bottom: 2, tolerance: 1e-8, steps: 200, sweeps: 1 };
        let found = lanczos(n, wanted, &mut rng(7), |v| hessian.times(v, || Ok(()))).unwrap();
        assert!(found.converged);
        let from_top: Vec<f64> = spectrum.iter().rev().take(3).copied().collect();
        assert_close(&values(&found.top), &from_top, 1e-10);
        assert_close(&values(&found.bottom), &spectrum[..2], 1e-10);
        assert!(hessian.times(&theta, || anyhow::bail!("enough")).is_err());
    }
}
