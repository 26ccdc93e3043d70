//! The workloads, on the path that training takes, and the arithmetic that each needs. Knows no clock.

use crate::analysis::{hessian::of_mean_squared_error, interpolation::point, sensitivity::jacobian_norm};
use crate::data::batches::{Images, Samples, TEST_SIZE, TRAIN_SIZE};
use crate::data::functions::{Target, evenly_spaced};
use crate::data::{CLASSES, SIDE};
use crate::model::{Classifier, Mlp};
use crate::objective::{CrossEntropy, MeanSquaredError};
use crate::train::{MiniBatches, OptimizerName, Stopping, train, train_epoch};
use anyhow::{Context as _, Result, anyhow};
use tch::{Device, Kind, Tensor};

/// What is measured, by the names that `hw1 bench` takes.
pub struct Workload {
    pub name: &'static str,
    model: &'static str,
    pub unit: Unit,
}

#[derive(Clone, Copy)]
pub enum Unit {
    /// Loss, gradient and Adam's step over so many points.
    Epoch(usize),
    /// The same over a mini-batch of 128 digits.
    Step,
    /// Loss and accuracy over 10000 images.
    Evaluation,
    /// Exact, of the mean squared error over 2000 points, in float64.
    Hessian,
    /// The Jacobian norm over 1000 images.
    Jacobian,
    /// Train and test loss and accuracy, 70000 images, at one α between two solutions.
    Alpha,
}

/// All of them, those of the report first.
pub const WORKLOADS: &[Workload] = &[
    Workload { name: "dnn1", model: "1-10-20-20-20-20-20-20-1", unit: Unit::Epoch(4000) },
    Workload { name: "dnn2", model: "1-10-20-30-20-1", unit: Unit::Epoch(4000) },
    Workload { name: "dnn3", model: "1-20-30-1", unit: Unit::Epoch(4000) },
    Workload { name: "nl1", model: "1-5-10-10-10-10-10-5-1", unit: Unit::Epoch(6000) },
    Workload { name: "nl2", model: "1-10-18-15-4-1", unit: Unit::Epoch(6000) },
    Workload { name: "nl3", model: "1-190-1", unit: Unit::Epoch(6000) },
    Workload { name: "grad-norm", model: "1-10-30-30-30-1", unit: Unit::Epoch(100_000) },
    Workload { name: "min-ratio", model: "1-10-20-30-1", unit: Unit::Epoch(2000) },
    Workload { name: "cnn1", model: "conv5-conv15-128-10", unit: Unit::Step },
    Workload { name: "cnn2", model: "conv16-conv32-128-10", unit: Unit::Step },
    Workload { name: "cnn3", model: "conv32-conv64-256-128-10", unit: Unit::Step },
    Workload { name: "cnn-8-16", model: "conv8-conv16-128-10", unit: Unit::Step },
    Workload { name: "mlp-256", model: "784-256-128-64-10", unit: Unit::Step },
    Workload { name: "mlp-22", model: "784-22-11-10", unit: Unit::Step },
    Workload { name: "eval", model: "conv8-conv16-128-10", unit: Unit::Evaluation },
    Workload { name: "hessian", model: "1-10-20-30-1", unit: Unit::Hessian },
    Workload { name: "sensitivity", model: "conv8-conv16-128-10", unit: Unit::Jacobian },
    Workload { name: "alpha", model: "conv8-conv16-128-10", unit: Unit::Alpha },
];

const BATCH: i64 = 128;
/// Steps and epochs of one call: enough that setting off does not matter.
const STEPS: i64 = 8;
const EPOCHS: u64 = 10;

/// What does some units a call and says how many.
pub type Work = Box<dyn FnMut() -> Result<usize>>;

pub fn set_up(workload: &Workload, images: Option<&Images>) -> Result<Work> {
    let images = || images.context("no images");
    match workload.unit {
        Unit::Epoch(points) => {
            let (model, x, y) = on_points(workload.model, points, Kind::Float)?;
            let theta = model.layout().initial(0, "bench", Kind::Float, Device::Cpu);
            let mut objective = MeanSquaredError::new(&model, theta, &x, &y);
            let mut adam = OptimizerName::Adam.with_learning_rate(1e-3);
            let epochs = if points > 50_000 { 1 } else { EPOCHS };
            Ok(Box::new(move || {
                train(&mut objective, &mut adam, epochs, &Stopping::NEVER, &mut (), |_| Ok(()))?;
                Ok(epochs as usize)
            }))
        }
        Unit::Hessian => {
            let (model, x, y) = on_points(workload.model, 2000, Kind::Double)?;
            let theta = model.layout().initial(0, "bench", Kind::Double, Device::Cpu);
            Ok(Box::new(move || of_mean_squared_error(&model, &theta, &x, &y).map(|_| 1)))
        }
        Unit::Step => {
            let objective = classifier(workload)?;
            let train = &images()?.train;
            let mut adam = OptimizerName::Adam.with_learning_rate(1e-3);
            let (all, mut start, mut epoch) = (train.on(Device::Cpu), 0, 0);
            Ok(Box::new(move || {
                // On through the whole set: what is in the cache is what a training has there.
                start = if start + STEPS * BATCH > all.len() { 0 } else { start };
                let part = |tensor: &Tensor| tensor.narrow(0, start, STEPS * BATCH);
                let samples = Samples { images: part(&all.images), labels: part(&all.labels) };
                (start, epoch) = (start + STEPS * BATCH, epoch + 1);
                let batches = MiniBatches { samples: &samples, batch_size: BATCH, shuffle: Some((0, "bench")) };
                train_epoch(&objective, &mut adam, &batches, epoch, || Ok(()))?;
                Ok(STEPS as usize)
            }))
        }
        Unit::Evaluation => {
            let objective = classifier(workload)?;
            let test = images()?.test.on(Device::Cpu);
            Ok(Box::new(move || finite(objective.evaluate(&test).loss)))
        }
        Unit::Jacobian => {
            let model: Classifier = workload.model.parse().map_err(anyhow::Error::msg)?;
            let theta = model.layout().initial(0, "bench", Kind::Float, Device::Cpu);
            let probe = images()?.test.images.narrow(0, 0, 1000);
            Ok(Box::new(move || finite(jacobian_norm(&model, &theta, &probe, || Ok(()))?)))
        }
        Unit::Alpha => {
            let model: Classifier = workload.model.parse().map_err(anyhow::Error::msg)?;
            let solution = |seed| model.layout().initial(seed, "bench", Kind::Float, Device::Cpu);
            let (one, two) = (solution(0), solution(1));
            let images = images()?.on(Device::Cpu);
            Ok(Box::new(move || {
                let objective = CrossEntropy::new(&model, point(&one, &two, 0.5));
                finite(objective.evaluate(&images.train).loss + objective.evaluate(&images.test).loss)
            }))
        }
    }
}

/// One unit, whose result is not thrown away unseen.
fn finite(value: f64) -> Result<usize> {
    if value.is_finite() { Ok(1) } else { Err(anyhow!("a workload gives {value}")) }
}

fn classifier(workload: &Workload) -> Result<CrossEntropy> {
    let model: Classifier = workload.model.parse().map_err(anyhow::Error::msg)?;
    let theta = model.layout().initial(0, "bench", Kind::Float, Device::Cpu);
    Ok(CrossEntropy::new(&model, theta))
}

/// A network, and sin(x) + x² at evenly spaced points: [1, points] each.
fn on_points(model: &str, points: usize, kind: Kind) -> Result<(Mlp, Tensor, Tensor)> {
    let model: Mlp = model.parse().map_err(anyhow::Error::msg)?;
    let target: Target = "sin-sq".parse().map_err(anyhow::Error::msg)?;
    let grid = evenly_spaced([-2.0, 2.0], points);
    let values = target.values(&grid).map_err(anyhow::Error::msg)?;
    let row = |values: &[f64]| Tensor::from_slice(values).to_kind(kind).unsqueeze(0);
    Ok((model, row(&grid), row(&values)))
}

impl Workload {
    /// Additions and multiplications of a unit: two a weight and place forward, four backward; the gradient
    /// of the inputs is not counted where nobody needs it.
    pub fn flops(&self) -> Result<Option<f64>> {
        let per_sample = |training: bool| -> Result<f64> {
            let layers = self.products()?;
            let forward: f64 = layers.iter().sum();
            Ok(if training { 3.0 * forward - layers[0] } else { forward })
        };
        Ok(match self.unit {
            Unit::Epoch(points) => Some(per_sample(true)? * points as f64),
            Unit::Step => Some(per_sample(true)? * BATCH as f64),
            Unit::Evaluation => Some(per_sample(false)? * TEST_SIZE as f64),
            // Forward, and a pass back to the image for each class but one.
            Unit::Jacobian => Some(per_sample(false)? * f64::from(CLASSES) * 1000.0),
            Unit::Alpha => Some(per_sample(false)? * (TRAIN_SIZE + TEST_SIZE) as f64),
            Unit::Hessian => None,
        })
    }

    /// Additions and multiplications of each layer on one sample.
    fn products(&self) -> Result<Vec<f64>> {
        let linear = |mlp: &Mlp| mlp.widths().windows(2).map(|pair| (2 * pair[0] * pair[1]) as f64).collect::<Vec<_>>();
        if let Ok(mlp) = self.model.parse::<Mlp>() {
            return Ok(linear(&mlp));
        }
        let Classifier::Cnn(cnn) = self.model.parse().map_err(anyhow::Error::msg)? else {
            return Err(anyhow!("'{}' is no network", self.model));
        };
        let (mut inputs, mut side) = (1, SIDE as i64);
        let mut layers = Vec::new();
        for &outputs in cnn.channels() {
            layers.push((2 * 9 * inputs * outputs * side * side) as f64);
            (inputs, side) = (outputs, side / 2);
        }
        layers.extend(linear(cnn.head()));
        Ok(layers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_counted_by_hand_for_a_few() {
        let flops = |name: &str| WORKLOADS.iter().find(|w| w.name == name).unwrap().flops().unwrap();
        // 1-190-1: 2·190 forward and for W₁'s gradient, 6·190 for the second layer.
        assert_eq!(flops("nl3"), Some(6000.0 * (4.0 * 190.0 + 6.0 * 190.0)));
        let mlp = 784.0 * 22.0 * 4.0 + (22.0 * 11.0 + 11.0 * 10.0) * 6.0;
        assert_eq!(flops("mlp-22"), Some(128.0 * mlp));
        let (conv1, conv2) = (28.0 * 28.0 * 9.0 * 8.0, 14.0 * 14.0 * 9.0 * 8.0 * 16.0);
        let head = 784.0 * 128.0 + 1280.0;
        assert_eq!(flops("cnn-8-16"), Some(128.0 * (4.0 * conv1 + 6.0 * (conv2 + head))));
        assert_eq!(flops("eval"), Some(1e4 * 2.0 * (conv1 + conv2 + head)));
        assert_eq!(flops("hessian"), None);
    }

    #[test]
    fn names_are_unique_and_models_parse() {
        let names: std::collections::BTreeSet<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
        assert_eq!(names.len(), WORKLOADS.len());
        WORKLOADS.iter().for_each(|workload| assert!(workload.flops().is_ok()));
    }
}
