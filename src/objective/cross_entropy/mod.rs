//! Cross entropy of a classifier over mini-batches, and its accuracy.

mod explicit;
mod input_vjp;

pub use input_vjp::InputVjp;

use super::{Scalar, in_kernels};
use crate::data::batches::Samples;
use crate::model::{Classifier, Layout};
use anyhow::Result;
use explicit::Explicit;
use std::cell::RefCell;
use tch::{Device, Kind, Tensor};

/// Cross entropy of a classifier over mini-batches.
pub struct CrossEntropy {
    model: Classifier,
    layout: Layout,
    theta: Tensor,
    implementation: Implementation,
}

enum Implementation {
    /// Float32 on a CPU: our own convolutions, and matrix products into buffers made once.
    Explicit(RefCell<Explicit>),
    /// θ's slices: leaves of the graph that share its memory. One gradient for each is far cheaper
    /// than one for θ, which would be padded to full length for every slice.
    Autograd(Vec<Tensor>),
}

/// Sums over some samples, as tensors on the device: read once an epoch, not once a batch.
pub struct BatchSums {
    /// Sum of the samples' losses.
    pub loss: Tensor,
    /// How many were classified right.
    pub correct: Tensor,
}

/// Means over a set of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    pub loss: f64,
    /// In 0…1.
    pub accuracy: f64,
}

impl CrossEntropy {
    pub fn new(model: &Classifier, theta: Tensor) -> Self {
        if in_kernels(&theta) { Self::explicit(model, theta) } else { Self::by_autograd(model, theta) }
    }

    fn explicit(model: &Classifier, theta: Tensor) -> Self {
        let implementation = Implementation::Explicit(RefCell::new(Explicit::new(model, &theta)));
        Self { model: model.clone(), layout: model.layout(), theta, implementation }
    }

    fn by_autograd(model: &Classifier, theta: Tensor) -> Self {
        let layout = model.layout();
        let leaves = layout.views(&theta).iter().map(|view| view.detach().set_requires_grad(true)).collect();
        Self { model: model.clone(), layout, theta, implementation: Implementation::Autograd(leaves) }
    }

    /// θ, flat; change it in place.
    pub fn theta(&self) -> &Tensor {
        &self.theta
    }

    /// The gradient, flat, of the mean cross entropy over a batch `x` [n, 784], `labels` [n]; and
    /// the batch's sums, without a graph.
    pub fn gradient(&self, x: &Tensor, labels: &Tensor) -> (Tensor, BatchSums) {
        self.with_gradient(x, labels, Tensor::copy)
    }

    /// What `visit` makes of [`Self::gradient`], of which no copy is made; it cannot evaluate this objective.
    pub fn with_gradient<R>(&self, x: &Tensor, labels: &Tensor, visit: impl FnOnce(&Tensor) -> R) -> (R, BatchSums) {
        let leaves = match &self.implementation {
            Implementation::Explicit(explicit) => {
                let explicit = &mut *explicit.borrow_mut();
                let sums = explicit.differentiate(&self.theta, x, labels);
                return (visit(&explicit.gradient), sums);
            }
            Implementation::Autograd(leaves) => leaves,
        };
        let logits = self.model.logits(leaves, x);
        let loss = logits.cross_entropy_for_logits(labels);
        let gradients = Tensor::run_backward(&[&loss], leaves, false, false);
        let _no_grad = tch::no_grad_guard();
        let flat: Vec<Tensor> = gradients.iter().map(|gradient| gradient.reshape(-1)).collect();
        let samples = labels.size()[0] as f64;
        let sums = BatchSums { loss: loss.detach() * samples, correct: correct(&logits, labels) };
        (visit(&Tensor::cat(&flat, 0)), sums)
    }

    /// The mean loss over all of `samples` and its gradient, flat: the weighted mean of blocks' gradients, so that
    /// activations stay small. The loss stays on the device until it is asked for.
    pub fn loss_and_gradient_over(&self, samples: &Samples) -> Result<(Scalar, Tensor)> {
        let n = samples.len() as f64;
        let (mut loss, mut gradient) = (Scalar::Host(0.0), self.theta.f_zeros_like()?);
        for (x, labels) in samples.blocks(GRADIENT_BLOCK) {
            let share = labels.size()[0] as f64 / n;
            let add = |of_block: &Tensor| gradient.f_add(&of_block.f_mul_scalar(share)?);
            let (sum, sums) = self.with_gradient(&x, &labels, add);
            gradient = sum?;
            loss = loss + Scalar::from(sums.loss) / n;
        }
        Ok((loss, gradient))
    }

    /// Loss and accuracy over all of `samples`, in blocks small enough for the cache.
    pub fn evaluate(&self, samples: &Samples) -> Accuracy {
        self.evaluate_and(samples, |_| {})
    }

    /// The same, with the class that each of `samples` is taken for, [n] in int64, and its probability, [n]: of the
    /// one forward pass that loss and accuracy are of.
    pub fn classify(&self, samples: &Samples) -> (Accuracy, Tensor, Tensor) {
        let (mut classes, mut probabilities) = (Vec::new(), Vec::new());
        let found = self.evaluate_and(samples, |logits| {
            // By the logits, as accuracy counts: probabilities of two of them may be the same.
            let class = logits.argmax(-1, false);
            probabilities.push(logits.softmax(-1, Kind::Float).gather(1, &class.unsqueeze(1), false).squeeze_dim(1));
            classes.push(class);
        });
        (found, Tensor::cat(&classes, 0), Tensor::cat(&probabilities, 0))
    }

    /// Loss and accuracy, while `visit` sees each block's logits [block, 10].
    fn evaluate_and(&self, samples: &Samples, mut visit: impl FnMut(&Tensor)) -> Accuracy {
        let _no_grad = tch::no_grad_guard();
        let mut sums = BatchSums::zero(samples.labels.device());
        let slices = self.layout.views(&self.theta);
        for (x, labels) in samples.blocks(EVALUATION_BLOCK) {
            sums.add(match &self.implementation {
                Implementation::Explicit(explicit) => {
                    let mut explicit = explicit.borrow_mut();
                    let sums = explicit.sums(&self.theta, &x, &labels);
                    visit(&explicit.last_logits(x.size()[0]));
                    sums
                }
                Implementation::Autograd(_) => {
                    let logits = self.model.logits(&slices, &x);
                    let log_p = logits.log_softmax(-1, Kind::Float);
                    let loss = -log_p.gather(1, &labels.unsqueeze(1), false).sum(Kind::Double);
                    visit(&logits);
                    BatchSums { loss, correct: correct(&logits, &labels) }
                }
            });
        }
        sums.means(samples.len())
    }
}
/// Samples at a time in an evaluation: the fastest of those that were tried.
const EVALUATION_BLOCK: i64 = 128;

/// Samples at a time in [`CrossEntropy::loss_and_gradient_over`]: activations of more would take much memory.
pub const GRADIENT_BLOCK: i64 = 1000;

fn correct(logits: &Tensor, labels: &Tensor) -> Tensor {
    logits.argmax(-1, false).eq_tensor(labels).sum(Kind::Int64)
}

impl BatchSums {
    pub fn zero(device: Device) -> Self {
        Self { loss: Tensor::zeros([], (Kind::Float, device)), correct: Tensor::zeros([], (Kind::Int64, device)) }
    }

    /// Adds another batch's, on the device.
    pub fn add(&mut self, other: Self) {
        self.loss = &self.loss + other.loss;
        self.correct = &self.correct + other.correct;
    }

    /// The means over `n` samples: waits for the device.
    pub fn means(&self, n: i64) -> Accuracy {
        Accuracy {
            loss: self.loss.double_value(&[]) / n as f64,
            accuracy: self.correct.int64_value(&[]) as f64 / n as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{norm, tests::relative};
    use super::*;
    use crate::data::batches::{DataSpec, DatasetName};

    /// A batch of `samples` pictures that are no digits.
    pub fn batch(samples: i64) -> (Tensor, Tensor) {
        let x = Tensor::linspace(-3.0, 5.0, samples * 784, (Kind::Float, Device::Cpu)).sin().view([samples, 784]);
        (x, (Tensor::arange(samples, (Kind::Int64, Device::Cpu)) * 7).remainder(10))
    }

    /// One without close neighbours, between whose convolutions rounding could decide.
    pub fn rough_batch(samples: i64) -> Tensor {
        let x = (Tensor::arange(samples * 784, (Kind::Double, Device::Cpu)) * 12.9898).sin() * 43758.5453;
        ((&x - x.floor()) * 4.0 - 1.0).to_kind(Kind::Float).view([samples, 784])
    }

    #[test]
    fn accuracy_is_the_diagonal_of_the_confusion_matrix_to_the_last_sample() {
        // Many near ties: all but equal rows of a last layer, where another way of adding decides otherwise.
        for model in ["784-16-10", "conv8-conv16-12-10"] {
            let model: Classifier = model.parse().unwrap();
            let theta = model.layout().initial(5, "ties", Kind::Float, Device::Cpu) * 1e-3;
            let samples = Samples { images: rough_batch(1500), labels: batch(1500).1 };
            for objective in
                [CrossEntropy::explicit(&model, theta.copy()), CrossEntropy::by_autograd(&model, theta.copy())]
            {
                let (found, classes, _) = objective.classify(&samples);
                let right = classes.eq_tensor(&samples.labels).sum(Kind::Int64).int64_value(&[]);
                assert_eq!(found.accuracy, right as f64 / 1500.0, "{model}");
                assert_eq!(found, objective.evaluate(&samples), "{model}");
            }
        }
    }

    #[test]
    fn the_gradient_over_blocks_is_that_of_one_batch_of_all() {
        let spec = DataSpec { dataset: DatasetName::Synthetic, train_size: 1300, test_size: 1 };
        let samples = spec.load(None, |_| Ok(())).unwrap().train;
        let model: Classifier = "784-7-10".parse().unwrap();
        let objective = CrossEntropy::new(&model, model.layout().initial(0, "t", Kind::Float, Device::Cpu));
        let (loss, blocks) = objective.loss_and_gradient_over(&samples).unwrap();
        let (whole, sums) = objective.gradient(&samples.images, &samples.labels);
        let [difference, length] = [&blocks - &whole, whole].map(|v| norm(&v).unwrap().get().unwrap());
        assert!(difference < 1e-5 * length, "{difference}");
        assert!((loss.get().unwrap() - sums.loss.double_value(&[]) / 1300.0).abs() < 1e-5);
    }

    #[test]
    fn a_loss_of_nan_is_reported_as_nan() {
        for model in ["784-4-10", "conv2-10"] {
            let model: Classifier = model.parse().unwrap();
            let theta = model.layout().initial(3, "nan", Kind::Float, Device::Cpu);
            let _ = theta.get(0).fill_(f64::NAN);
            let (x, labels) = batch(20);
            assert!(CrossEntropy::explicit(&model, theta).gradient(&x, &labels).1.means(20).loss.is_nan());
        }
    }

    #[test]
    fn cross_entropy_is_the_textbooks() {
        let model: Classifier = "784-3-10".parse().unwrap();
        let theta = model.layout().initial(2, "entropy", Kind::Float, Device::Cpu);
        let objective = CrossEntropy::new(&model, theta.copy());
        let x = Tensor::linspace(-1.0, 1.0, 130 * 784, (Kind::Float, Device::Cpu)).cos().view([130, 784]);
        let labels = Tensor::arange(130, (Kind::Int64, Device::Cpu)).remainder(10);
        // -log softmax by hand, in f64, sample by sample.
        let slices = model.layout().views(&theta);
        let logits: Vec<f64> = model.logits(&slices, &x).view(-1).to_kind(Kind::Double).try_into().unwrap();
        let (mut loss, mut right) = (0.0, 0);
        for (sample, logits) in logits.chunks_exact(10).enumerate() {
            let sum: f64 = logits.iter().map(|z| z.exp()).sum();
            loss += sum.ln() - logits[sample % 10];
            right += usize::from(logits.iter().all(|z| *z <= logits[sample % 10]));
        }
        let samples = Samples { images: x.shallow_clone(), labels: labels.shallow_clone() };
        let found = objective.evaluate(&samples);
        assert!((found.loss - loss / 130.0).abs() < 1e-6, "{} against {}", found.loss, loss / 130.0);
        assert_eq!(found.accuracy, right as f64 / 130.0);
        let (gradient, sums) = objective.gradient(&x, &labels);
        assert!((sums.means(130).loss - found.loss).abs() < 1e-6);
        assert_eq!(sums.means(130).accuracy, found.accuracy);
        // The classes and probabilities beside them, of the same pass.
        let (again, classes, probabilities) = objective.classify(&samples);
        assert_eq!(again, found);
        let classes: Vec<i64> = classes.try_into().unwrap();
        let probabilities: Vec<f64> = probabilities.to_kind(Kind::Double).try_into().unwrap();
        for (sample, logits) in logits.chunks_exact(10).enumerate() {
            let sum: f64 = logits.iter().map(|z| z.exp()).sum();
            let class = classes[sample] as usize;
            assert!(logits.iter().all(|z| *z <= logits[class] + 1e-6));
            assert!((probabilities[sample] - logits[class].exp() / sum).abs() < 1e-6);
        }
        // The gradient of θ as one leaf.
        let whole = theta.copy().set_requires_grad(true);
        let logits = model.logits(&model.layout().views(&whole), &x);
        let expected = Tensor::run_backward(&[logits.cross_entropy_for_logits(&labels)], &[&whole], false, false);
        assert!(relative(&gradient, &expected[0]) < 1e-6);
    }
}
