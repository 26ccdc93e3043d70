//! The workloads, on the path that training takes, and the arithmetic that each needs. Knows no clock.

use crate::analysis::{interpolation::point, sensitivity::jacobian_norm};
use crate::data::functions::{self, evenly_spaced};
use crate::data::{Built, Data, DataSpec, Dataset as _, Samples, Target, order};
use crate::model::{Mlp, Model as _, Network, Weights};
use crate::objective::{CrossEntropy, MeanSquaredError, Objective, Splits};
use crate::train::{OptimizerName, Stopping, train, train_on};
use anyhow::{Context as _, Error, Result, anyhow};
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

pub fn set_up(workload: &Workload, data: Option<&Data>) -> Result<Work> {
    let data = || data.context("no data");
    match workload.unit {
        Unit::Epoch(points) => {
            let mut objective = on_points(workload.model, points, Kind::Float)?;
            let mut adam = OptimizerName::Adam.with_learning_rate(1e-3);
            let epochs = if points > 50_000 { 1 } else { EPOCHS };
            Ok(Box::new(move || {
                train(&mut objective, &mut adam, epochs, &Stopping::NEVER, &mut (), |_| Ok(()))?;
                Ok(epochs as usize)
            }))
        }
        Unit::Hessian => {
            let objective = on_points(workload.model, 2000, Kind::Double)?;
            Ok(Box::new(move || objective.whole_hessian(&mut || Ok(())).map(|_| 1)))
        }
        Unit::Step => {
            let mut objective = workload.classifier(workload.initial(0)?, &data()?.train)?;
            let mut adam = OptimizerName::Adam.with_learning_rate(1e-3);
            let (size, mut start, mut epoch) = (STEPS * BATCH, 0, 0);
            Ok(Box::new(move || {
                // On through the whole set: what is in the cache is what a training has there.
                start = if start + size > objective.samples() { 0 } else { start };
                let order: Vec<i64> = order(size, Some((0, "bench")), epoch).iter().map(|at| start + at).collect();
                (start, epoch) = (start + size, epoch + 1);
                train_on(&mut objective, &mut adam, &order, BATCH, || Ok(()))?;
                Ok(STEPS as usize)
            }))
        }
        Unit::Evaluation => {
            let mut objective = workload.classifier(workload.initial(0)?, &data()?.test)?;
            Ok(Box::new(move || finite(objective.evaluate()?.loss)))
        }
        Unit::Jacobian => {
            let probe = data()?.test.first(1000);
            let objective = workload.classifier(workload.initial(0)?, &probe)?;
            Ok(Box::new(move || finite(jacobian_norm(&mut *objective.by_inputs()?, &probe, || Ok(()))?)))
        }
        Unit::Alpha => {
            let (one, two, data) = (workload.initial(0)?, workload.initial(1)?, data()?);
            let mut splits = Splits::new(&workload.network()?, one.each(Tensor::copy), [&data.train, &data.test])?;
            Ok(Box::new(move || {
                splits.move_to(&point(&one.theta, &two.theta, 0.5).into())?;
                finite(splits.train.evaluate()?.loss + splits.test.evaluate()?.loss)
            }))
        }
    }
}

/// One unit, whose result is not thrown away unseen.
fn finite(value: f64) -> Result<usize> {
    if value.is_finite() { Ok(1) } else { Err(anyhow!("a workload gives {value}")) }
}

/// The loss of a network over sin(x) + x² at evenly spaced points.
fn on_points(model: &str, points: usize, kind: Kind) -> Result<MeanSquaredError> {
    let model: Mlp = model.parse().map_err(Error::msg)?;
    let target: functions::Target = "sin-sq".parse().map_err(Error::msg)?;
    let grid = evenly_spaced([-2.0, 2.0], points);
    let values = target.values(&grid).map_err(Error::msg)?;
    let column = |values: &[f64]| Tensor::from_slice(values).to_kind(kind).unsqueeze(1);
    let samples = Samples::new(column(&grid), column(&values), Target::Values(1));
    let theta = model.layout().initial(0, "bench", kind, Device::Cpu);
    MeanSquaredError::new(&model.network(), theta, &samples)
}

impl Workload {
    /// On digits.
    fn network(&self) -> Result<Network> {
        Network::parse(self.model, &DataSpec::whole(Built::Synthetic).signature()).map_err(Error::msg)
    }

    fn initial(&self, seed: u64) -> Result<Weights> {
        Ok(self.network()?.layout().initial(seed, "bench", Kind::Float, Device::Cpu).into())
    }

    fn classifier(&self, weights: Weights, samples: &Samples) -> Result<CrossEntropy> {
        CrossEntropy::new(&self.network()?, weights, samples)
    }

    /// Additions and multiplications of a unit: two a weight and place forward, four backward; the gradient
    /// of the inputs is not counted where nobody needs it.
    pub fn flops(&self) -> Result<Option<f64>> {
        let per_sample = |training: bool| -> Result<f64> {
            let layers = self.products()?;
            let forward: f64 = layers.iter().sum();
            Ok(if training { 3.0 * forward - layers[0] } else { forward })
        };
        let set = DataSpec::whole(Built::Synthetic);
        let ([train, test], classes) = (set.sizes().map(|size| size as f64), set.signature().target.outputs() as f64);
        Ok(match self.unit {
            Unit::Epoch(points) => Some(per_sample(true)? * points as f64),
            Unit::Step => Some(per_sample(true)? * BATCH as f64),
            Unit::Evaluation => Some(per_sample(false)? * test),
            // Forward, and a pass back to the input for each class but one.
            Unit::Jacobian => Some(per_sample(false)? * classes * 1000.0),
            Unit::Alpha => Some(per_sample(false)? * (train + test)),
            Unit::Hessian => None,
        })
    }

    /// Additions and multiplications of each layer on one sample.
    fn products(&self) -> Result<Vec<f64>> {
        if let Unit::Epoch(_) | Unit::Hessian = self.unit {
            return Ok(self.model.parse::<Mlp>().map_err(Error::msg)?.network().products());
        }
        Ok(self.network()?.products())
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
