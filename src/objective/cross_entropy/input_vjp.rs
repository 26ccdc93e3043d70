//! The vector-Jacobian product of a classifier's logits by its input.

use super::super::in_kernels;
use super::explicit::Explicit;
use crate::model::Classifier;
use tch::Tensor;

/// A classifier's logits, and their vector-Jacobian product by the images: what its answers to small changes of an
/// image are made of. θ carries no gradient here, so that no training can notice.
pub struct InputVjp {
    model: Classifier,
    theta: Tensor,
    implementation: VjpImplementation,
}

enum VjpImplementation {
    Explicit(Explicit),
    /// θ's slices. After a forward pass, the first layer's output z₁ and the logits with a graph down to it:
    /// the first layer is linear in x, so from there to x it is a plain product.
    Autograd(Vec<Tensor>, Option<(Tensor, Tensor)>),
}

impl InputVjp {
    pub fn new(model: &Classifier, theta: &Tensor) -> Self {
        let theta = theta.detach();
        let implementation = if in_kernels(&theta) {
            VjpImplementation::Explicit(Explicit::new(model, &theta))
        } else {
            VjpImplementation::Autograd(model.layout().views(&theta), None)
        };
        Self { model: model.clone(), theta, implementation }
    }

    /// [n, 10], without a graph, of `x` [n, 784].
    pub fn logits(&mut self, x: &Tensor) -> Tensor {
        match &mut self.implementation {
            VjpImplementation::Explicit(explicit) => explicit.logits(&self.theta, x),
            VjpImplementation::Autograd(slices, passed) => {
                let z1 = self.model.first(slices, &x.detach()).set_requires_grad(true);
                let logits = self.model.rest(slices, &z1);
                passed.insert((z1, logits)).1.detach()
            }
        }
    }

    /// Jᵀ·seed of each sample of the last [`Self::logits`], [n, 784], with J = ∂logits/∂x and `cotangents` [n, 10].
    ///
    /// # Panics
    /// Where there was no forward pass.
    pub fn vjp(&mut self, cotangents: &Tensor) -> Tensor {
        match &mut self.implementation {
            VjpImplementation::Explicit(explicit) => explicit.vjp(&self.theta, cotangents),
            VjpImplementation::Autograd(_, None) => panic!("a vjp without its forward pass"),
            VjpImplementation::Autograd(slices, Some((z1, logits))) => {
                let root = (&*logits * cotangents).sum(logits.kind());
                let delta = Tensor::run_backward(&[root], &[&*z1], true, false).remove(0);
                let _no_grad = tch::no_grad_guard();
                self.model.first_transposed(slices, &delta)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::relative;
    use super::super::tests::rough_batch;
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn the_vjp_to_the_images_is_autograds() {
        for model in ["784-10", "784-22-11-10", "conv8-10", "conv5-conv15-32-10", "conv3-conv7-conv10-12-10"] {
            let model: Classifier = model.parse().unwrap();
            let theta = model.layout().initial(3, "probe", Kind::Float, Device::Cpu);
            let (mut explicit, mut autograd) =
                (InputVjp::new(&model, &theta), InputVjp::new(&model, &theta.to_kind(Kind::Double)));
            assert!(
                matches!(explicit.implementation, VjpImplementation::Explicit(_))
                    && matches!(autograd.implementation, VjpImplementation::Autograd(..))
            );
            for samples in [20, 128, 1] {
                let x = rough_batch(samples);
                let logits = [explicit.logits(&x), autograd.logits(&x.to_kind(Kind::Double))];
                assert!(relative(&logits[0], &logits[1]) < 1e-5, "{model}");
                for turn in 0..2 {
                    let cotangents = (Tensor::arange(samples * 10, (Kind::Double, Device::Cpu)) + turn).cos();
                    let cotangents = cotangents.view([samples, 10]);
                    let found = explicit.vjp(&cotangents.to_kind(Kind::Float));
                    let error = relative(&found, &autograd.vjp(&cotangents));
                    assert!(found.size() == [samples, 784] && error < 1e-5, "{model} on {samples}: {error}");
                }
            }
        }
    }
}
