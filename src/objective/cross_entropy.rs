//! Cross entropy of a classifier over some samples, its accuracy, and the steps of a training in mini-batches.

use super::autograd::Autograd;
use super::block_curvature::{self, Over};
use super::explicit::Explicit;
use super::input_vjp::{AutogradVjp, ExplicitVjp};
use super::loss::Criterion;
use super::{
    Evaluation, HessianMap, InputVjp, Matrix, MiniBatchRequest, MiniBatchRun, Objective, Scalar, Sums, by_blocks,
    by_graphs, by_hand, in_kernels,
};
use crate::data::Samples;
use crate::model::{Layout, Model, Pass, Weights};
use anyhow::{Result, ensure};
use tch::{Device, Tensor};

/// Mean cross entropy of a model's logits over some samples.
pub struct CrossEntropy {
    model: Box<dyn Model>,
    layout: Layout,
    weights: Weights,
    samples: Samples,
    gradient: Tensor,
    criterion: Criterion,
    implementation: Implementation,
}

enum Implementation {
    /// Float32 on a CPU: our own convolutions, and matrix products into buffers made once.
    Explicit(Explicit),
    Autograd(Autograd),
}

impl CrossEntropy {
    /// Of weights as the model's layout has them, whose kind and device the samples take.
    ///
    /// # Errors
    /// Where the samples have no classes.
    pub fn new(model: &(impl Model + Clone + 'static), weights: impl Into<Weights>, samples: &Samples) -> Result<Self> {
        let weights = weights.into();
        weights.check(&model.layout())?;
        let criterion = Criterion::of_classes(samples.target.outputs(), &samples.targets)?;
        // The kernels know of one class a sample.
        let network = model.network().filter(|_| in_kernels(&weights.theta) && criterion.is_plain());
        let implementation = match network.and_then(|network| Explicit::new(network, &weights.theta)) {
            Some(explicit) => Implementation::Explicit(explicit),
            None => by_autograd(model.clone(), &weights, criterion),
        };
        Self::by(model, weights, samples, criterion, implementation)
    }

    fn by(
        model: &(impl Model + Clone + 'static),
        weights: Weights,
        samples: &Samples,
        criterion: Criterion,
        implementation: Implementation,
    ) -> Result<Self> {
        let what = samples.target.what();
        ensure!(samples.target.classes().is_some(), "cross entropy is for classes here, and the data has {what}");
        let (samples, gradient) = (samples.of_kind(&weights.theta), weights.theta.zeros_like());
        let (model, layout) = (Box::new(model.clone()), model.layout());
        Ok(Self { model, layout, weights, samples, gradient, criterion, implementation })
    }

    /// Over all samples, in blocks small enough for the cache.
    fn sums(&mut self, visit: &mut dyn FnMut(&Tensor) -> Result<()>) -> Result<Sums> {
        let _no_grad = tch::no_grad_guard();
        let Self { weights, samples, implementation, .. } = self;
        let explicit = match implementation {
            Implementation::Explicit(explicit) => explicit,
            Implementation::Autograd(autograd) => {
                let on_cpu = weights.theta.device() == Device::Cpu;
                let block = if on_cpu { EVALUATION_BLOCK } else { EVALUATION_BLOCK_OF_DEVICE };
                return autograd.sums_over(samples, block, visit);
            }
        };
        let mut sums = Sums::zero(samples.targets.device());
        for block in samples.blocks(EVALUATION_BLOCK) {
            let (x, labels) = block?;
            sums.add(explicit.sums(&weights.theta, &x, &labels));
            visit(&explicit.last_logits(x.size()[0]))?;
        }
        Ok(sums)
    }
}

#[cfg(test)]
impl CrossEntropy {
    /// Whether the kernels compute it.
    pub fn is_explicit(&self) -> bool {
        matches!(self.implementation, Implementation::Explicit(_))
    }
}

fn by_autograd(model: impl Model + 'static, weights: &Weights, criterion: Criterion) -> Implementation {
    let layout = model.layout();
    Implementation::Autograd(Autograd::new(model, &layout, weights, criterion))
}

impl Implementation {
    /// The gradient of a batch, and its sums.
    fn differentiate(&mut self, theta: &Tensor, x: &Tensor, labels: &Tensor, pass: Pass) -> Result<(Tensor, Sums)> {
        match self {
            Self::Explicit(explicit) => {
                let sums = explicit.differentiate(theta, x, labels);
                Ok((explicit.gradient.shallow_clone(), sums))
            }
            Self::Autograd(autograd) => autograd.differentiate(x, labels, pass),
        }
    }
}

impl Objective for CrossEntropy {
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
        let Self { weights, samples, gradient, criterion, implementation, .. } = self;
        let of_block = |x: &Tensor, y: &Tensor| implementation.differentiate(&weights.theta, x, y, Pass::Evaluate);
        let loss;
        (loss, *gradient) = by_blocks(samples, *criterion, gradient, of_block)?;
        Ok(loss)
    }

    fn loss(&mut self) -> Result<Scalar> {
        let sums = self.sums(&mut |_| Ok(()))?;
        Ok(Scalar::from(sums.loss) / sums.counted as f64)
    }

    fn mini_batches_on_card(&self, request: &MiniBatchRequest) -> Result<Option<MiniBatchRun>> {
        let Some(network) = self.model.network().filter(|_| self.criterion.is_plain()) else { return Ok(None) };
        MiniBatchRun::new(network, &self.weights.theta, &self.samples, request)
    }

    fn batch(&mut self, index: &Tensor) -> Result<Sums> {
        let (x, labels) = self.samples.batch(index)?;
        let (gradient, sums) = self.implementation.differentiate(&self.weights.theta, &x, &labels, Pass::Train)?;
        self.gradient = gradient;
        Ok(sums)
    }

    fn evaluate_and(&mut self, visit: &mut dyn FnMut(&Tensor) -> Result<()>) -> Result<Evaluation> {
        self.sums(visit)?.means()
    }

    fn curvature(&self, matrix: Matrix, slots: Option<&[usize]>) -> Result<Box<dyn HessianMap + '_>> {
        let Self { model, layout, weights, samples, criterion, .. } = self;
        let (model, block) = (&**model, block_curvature::BLOCK);
        let over = Over { model, layout, weights, samples, criterion: *criterion, block };
        by_hand(&over, matrix, slots)?.map_or_else(|| by_graphs(&over, matrix, slots), Ok)
    }

    fn by_inputs(&self) -> Result<Box<dyn InputVjp + '_>> {
        let theta = self.weights.theta.detach().copy();
        let network = self.model.network().filter(|_| in_kernels(&theta));
        Ok(match network.and_then(|network| Explicit::new(network, &theta)) {
            Some(explicit) => Box::new(ExplicitVjp { theta, explicit }),
            None => Box::new(AutogradVjp::new(&*self.model, &self.layout, &self.weights)),
        })
    }
}

/// Samples at a time in an evaluation: the fastest of those that were tried.
const EVALUATION_BLOCK: i64 = 128;
/// A device is busy with no fewer.
const EVALUATION_BLOCK_OF_DEVICE: i64 = 2048;

#[cfg(test)]
mod tests {
    use super::super::norm;
    use super::super::tests::{batch, network, relative, rough_batch, step};
    use super::*;
    use crate::model::Network;
    use tch::Kind;

    fn both(model: &Network, theta: &Tensor, samples: &Samples) -> [CrossEntropy; 2] {
        let criterion = Criterion::of_classes(10, &samples.targets).unwrap();
        let autograd = by_autograd(model.clone(), &theta.shallow_clone().into(), criterion);
        [
            CrossEntropy::new(model, theta.shallow_clone(), samples).unwrap(),
            CrossEntropy::by(model, theta.shallow_clone().into(), samples, criterion, autograd).unwrap(),
        ]
    }

    #[test]
    fn accuracy_is_that_of_the_classes_that_are_seen_to_the_last_sample() {
        // Many near ties: all but equal rows of a last layer, where another way of adding decides otherwise.
        for model in ["784-16-10", "conv8-conv16-12-10"] {
            let model = network(model);
            let theta = model.layout().initial(5, "ties", Kind::Float, Device::Cpu) * 1e-3;
            let samples = rough_batch(1500);
            for mut objective in both(&model, &theta, &samples) {
                let mut classes = Vec::new();
                let found = objective.evaluate_and(&mut |logits| {
                    classes.push(logits.argmax(-1, false));
                    Ok(())
                });
                let right = Tensor::cat(&classes, 0).eq_tensor(&samples.targets).sum(Kind::Int64).int64_value(&[]);
                let found = found.unwrap();
                assert_eq!(found.accuracy, right as f64 / 1500.0, "{model}");
                assert_eq!(found, objective.evaluate().unwrap(), "{model}");
            }
        }
    }

    #[test]
    fn the_gradient_over_blocks_is_that_of_one_batch_of_all() {
        let (model, samples) = (network("784-7-10"), rough_batch(1300));
        let theta = model.layout().initial(0, "t", Kind::Float, Device::Cpu);
        for mut objective in both(&model, &theta, &samples) {
            let loss = objective.loss_and_gradient().unwrap().get().unwrap();
            let blocks = objective.gradient().copy();
            let (whole, means) = step(&mut objective);
            let [difference, length] = [&blocks - &whole, whole].map(|v| norm(&v).unwrap().get().unwrap());
            assert!(difference < 1e-5 * length, "{difference}");
            assert!((loss - means.loss).abs() < 1e-5);
        }
    }

    #[test]
    fn a_loss_of_nan_is_reported_as_nan() {
        for model in ["784-4-10", "conv2-10"] {
            let model = network(model);
            let theta = model.layout().initial(3, "nan", Kind::Float, Device::Cpu);
            let _ = theta.get(0).fill_(f64::NAN);
            let mut objective = CrossEntropy::new(&model, theta, &batch(20)).unwrap();
            assert!(objective.is_explicit() && step(&mut objective).1.loss.is_nan());
        }
    }

    #[test]
    fn cross_entropy_is_the_textbooks() {
        let (model, samples) = (network("784-3-10"), rough_batch(130));
        let theta = model.layout().initial(2, "entropy", Kind::Float, Device::Cpu);
        let labels: Vec<i64> = (&samples.targets).try_into().unwrap();
        // -log softmax by hand, in f64, sample by sample.
        let slices = model.layout().views(&theta);
        let logits = model.outputs(&slices, &[], &samples.inputs().unwrap(), Pass::Curvature).unwrap();
        let logits: Vec<f64> = logits.view(-1).to_kind(Kind::Double).try_into().unwrap();
        let (mut loss, mut right) = (0.0, 0);
        for (logits, &label) in logits.chunks_exact(10).zip(&labels) {
            let sum: f64 = logits.iter().map(|z| z.exp()).sum();
            loss += (sum.ln() - logits[label as usize]) / 130.0;
            right += usize::from(logits.iter().all(|z| *z <= logits[label as usize]));
        }
        // The gradient of θ as one leaf.
        let whole = theta.copy().set_requires_grad(true);
        let outputs =
            model.outputs(&model.layout().views(&whole), &[], &samples.inputs().unwrap(), Pass::Curvature).unwrap();
        let expected = outputs.cross_entropy_for_logits(&samples.targets);
        let expected = Tensor::run_backward(&[expected], &[&whole], false, false).remove(0);
        for mut objective in both(&model, &theta, &samples) {
            let found = objective.evaluate().unwrap();
            assert!((found.loss - loss).abs() < 1e-6, "{} against {loss}", found.loss);
            assert_eq!(found.accuracy, right as f64 / 130.0);
            let (gradient, means) = step(&mut objective);
            assert!((means.loss - found.loss).abs() < 1e-6);
            assert_eq!(means.accuracy, found.accuracy);
            assert!(relative(&gradient, &expected) < 1e-6);
        }
    }

    #[test]
    fn the_vjp_to_the_inputs_is_autograds() {
        for model in ["784-10", "784-22-11-10", "conv8-10", "conv5-conv15-32-10", "conv3-conv7-conv10-12-10"] {
            let model = network(model);
            let theta = model.layout().initial(3, "probe", Kind::Float, Device::Cpu);
            let samples = batch(1);
            let objectives = [Kind::Float, Kind::Double]
                .map(|kind| CrossEntropy::new(&model, theta.to_kind(kind), &samples).unwrap());
            assert!(objectives[0].is_explicit() && !objectives[1].is_explicit());
            let [mut explicit, mut autograd] = objectives.each_ref().map(|objective| objective.by_inputs().unwrap());
            assert!(explicit.vjp(&theta).is_err() && autograd.vjp(&theta).is_err(), "before a forward pass");
            for samples in [20, 128, 1] {
                let x = rough_batch(samples).inputs().unwrap();
                let outputs = [explicit.outputs(&x).unwrap(), autograd.outputs(&x.to_kind(Kind::Double)).unwrap()];
                assert!(relative(&outputs[0], &outputs[1]) < 1e-5, "{model}");
                for turn in 0..2 {
                    let cotangents = (Tensor::arange(samples * 10, (Kind::Double, Device::Cpu)) + turn).cos();
                    let cotangents = cotangents.view([samples, 10]);
                    let found = explicit.vjp(&cotangents.to_kind(Kind::Float)).unwrap();
                    let error = relative(&found, &autograd.vjp(&cotangents).unwrap());
                    assert!(found.size() == [samples, 784] && error < 1e-5, "{model} on {samples}: {error}");
                }
            }
        }
    }
}
