//! The workloads, on the path that training takes, and the arithmetic that each needs. Knows no clock.

use super::finished;
use crate::analysis::{interpolation::point, sensitivity::jacobian_norm};
use crate::data::functions::{self, evenly_spaced};
use crate::data::{Built, Data, DataSpec, Dataset as _, Samples, Target, order};
use crate::model::{Mlp, Model as _, Network, Weights};
use crate::objective::{CrossEntropy, MeanSquaredError, Objective, Splits};
use crate::train::{OptimizerName, Stopping, Watched, mini_batches_on_card, train, train_on};
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
    /// Over one of 128 images of 3×32×32, CIFAR's shape.
    ColourStep,
    /// Loss and accuracy over 10000 images.
    Evaluation,
    /// Exact, of the mean squared error over 2000 points, in float64.
    Hessian,
    /// A product with the Hessian over 2000 points, of eight that go together.
    ProductOnPoints(Kind),
    /// The same over 2000 digits.
    ProductOnDigits(Kind),
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
    Workload { name: "cnn-rgb", model: "conv16-conv32-128-10", unit: Unit::ColourStep },
    Workload { name: "mlp-256", model: "784-256-128-64-10", unit: Unit::Step },
    Workload { name: "mlp-128", model: "784-128-64-10", unit: Unit::Step },
    Workload { name: "mlp-22", model: "784-22-11-10", unit: Unit::Step },
    Workload { name: "mlp-4", model: "784-4-2-10", unit: Unit::Step },
    Workload { name: "eval", model: "conv8-conv16-128-10", unit: Unit::Evaluation },
    Workload { name: "hessian", model: "1-10-20-30-1", unit: Unit::Hessian },
    Workload { name: "hvp-120-f64", model: "1-120-120-1", unit: Unit::ProductOnPoints(Kind::Double) },
    Workload { name: "hvp-120-f32", model: "1-120-120-1", unit: Unit::ProductOnPoints(Kind::Float) },
    Workload { name: "hvp-400-f64", model: "1-400-400-1", unit: Unit::ProductOnPoints(Kind::Double) },
    Workload { name: "hvp-400-f32", model: "1-400-400-1", unit: Unit::ProductOnPoints(Kind::Float) },
    Workload { name: "hvp-cnn-f64", model: "conv8-conv16-128-10", unit: Unit::ProductOnDigits(Kind::Double) },
    Workload { name: "hvp-cnn-f32", model: "conv8-conv16-128-10", unit: Unit::ProductOnDigits(Kind::Float) },
    Workload { name: "sensitivity", model: "conv8-conv16-128-10", unit: Unit::Jacobian },
    Workload { name: "alpha", model: "conv8-conv16-128-10", unit: Unit::Alpha },
];

const BATCH: i64 = 128;
/// CIFAR's images.
const RGB: [i64; 3] = [3, 32, 32];
/// Points or digits of a Hessian, and products that go together.
const POINTS: usize = 2000;
const PRODUCTS: usize = 8;
/// Steps and epochs of one call: enough that setting off does not matter.
const STEPS: i64 = 8;
const EPOCHS: u64 = 10;
/// A device is set off for many.
const EPOCHS_OF_DEVICE: u64 = 2000;

/// What does some units a call and says how many.
pub type Work = Box<dyn FnMut() -> Result<usize>>;

pub fn set_up(workload: &Workload, data: Option<&Data>, device: Device) -> Result<Work> {
    let data = || data.context("no data");
    match workload.unit {
        Unit::Epoch(points) => {
            let mut objective = on_points(workload.model, SIN_SQ, points, (Kind::Float, device))?;
            let epochs = match device {
                Device::Cpu if points > 50_000 => 1,
                Device::Cpu => EPOCHS,
                _ => EPOCHS_OF_DEVICE,
            };
            let mut adam = OptimizerName::Adam.with_learning_rate(1e-3);
            Ok(Box::new(move || {
                if device != Device::Cpu {
                    // A card's training begins with the optimizer.
                    adam = OptimizerName::Adam.with_learning_rate(1e-3);
                }
                train(&mut objective, &mut adam, epochs, &Stopping::NEVER, &mut (), Watched::default())?;
                Ok(epochs as usize)
            }))
        }
        Unit::Hessian => {
            let objective = on_points(workload.model, SIN_SQ, POINTS, (Kind::Double, device))?;
            Ok(Box::new(move || objective.whole_hessian(&mut || Ok(())).map(|_| 1)))
        }
        Unit::ProductOnPoints(kind) => products(on_points(workload.model, COS_OVER_X, POINTS, (kind, device))?),
        Unit::ProductOnDigits(kind) => {
            let weights = workload.initial(0)?.each(|tensor| tensor.to_kind(kind));
            products(workload.classifier(weights, &data()?.test.first(POINTS))?)
        }
        Unit::Step => steps(workload.classifier(workload.initial_on(device)?, &data()?.train)?),
        Unit::ColourStep => steps(workload.classifier(workload.initial_on(device)?, &colour_images()?)?),
        Unit::Evaluation => {
            let mut objective = workload.classifier(workload.initial_on(device)?, &data()?.test)?;
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

/// Steps of a training in mini-batches.
fn steps(mut objective: CrossEntropy) -> Result<Work> {
    let mut adam = OptimizerName::Adam.with_learning_rate(1e-3);
    let device = objective.theta().device();
    if let Some(mut run) = mini_batches_on_card(&objective, &mut adam, BATCH, 0)? {
        let order = order(objective.samples(), Some((0, "bench")), 0);
        return Ok(Box::new(move || {
            run.epoch(&order)?;
            Ok(order.len().div_ceil(BATCH as usize))
        }));
    }
    let (size, mut start, mut epoch) = (STEPS * BATCH, 0, 0);
    Ok(Box::new(move || {
        // On through the whole set: what is in the cache is what a training has there.
        start = if start + size > objective.samples() { 0 } else { start };
        let order: Vec<i64> = order(size, Some((0, "bench")), epoch).iter().map(|at| start + at).collect();
        (start, epoch) = (start + size, epoch + 1);
        train_on(&mut objective, &mut adam, &order, BATCH, || Ok(()))?;
        finished(device);
        Ok(STEPS as usize)
    }))
}

/// Pictures of nothing, in more bytes than caches hold.
fn colour_images() -> Result<Samples> {
    let (count, shape) = (10 * STEPS * BATCH, RGB);
    let numbers = Tensor::arange(count * shape.iter().product::<i64>(), (Kind::Float, Device::Cpu)).f_sin()?;
    let inputs = numbers.f_view(&[&[count], &shape[..]].concat()[..])?;
    let labels = Tensor::arange(count, (Kind::Int64, Device::Cpu)).f_remainder(10)?;
    Ok(Samples::new(inputs, labels, Target::Classes(10)))
}

/// One unit, whose result is not thrown away unseen.
fn finite(value: f64) -> Result<usize> {
    if value.is_finite() { Ok(1) } else { Err(anyhow!("a workload gives {value}")) }
}

/// Products with the Hessian of an objective that stays where it is, several at a time.
fn products(objective: impl Objective + 'static) -> Result<Work> {
    let theta = objective.theta();
    let numbers = Tensor::arange(PRODUCTS as i64 * theta.size()[0], (Kind::Double, Device::Cpu));
    let vectors = numbers.sin().view([PRODUCTS as i64, -1]).to_kind(theta.kind());
    // Lives as long as the map, which lives as long as the process.
    let objective: &'static _ = Box::leak(Box::new(objective));
    let hessian = objective.hessian()?;
    Ok(Box::new(move || {
        let _ = hessian.times(&vectors, &mut || Ok(()))?;
        Ok(PRODUCTS)
    }))
}

/// A function of one number and its domain.
type OnLine = (&'static str, [f64; 2]);
const SIN_SQ: OnLine = ("sin-sq", [-2.0, 2.0]);
const COS_OVER_X: OnLine = ("cos-over-x", [-4.0, 4.0]);

/// The loss of a network over a function at evenly spaced points.
fn on_points(
    model: &str,
    (function, domain): OnLine,
    points: usize,
    (kind, device): (Kind, Device),
) -> Result<MeanSquaredError> {
    let model: Mlp = model.parse().map_err(Error::msg)?;
    let target: functions::Target = function.parse().map_err(Error::msg)?;
    let grid = evenly_spaced(domain, points);
    let values = target.values(&grid).map_err(Error::msg)?;
    let column = |values: &[f64]| Tensor::from_slice(values).to_kind(kind).unsqueeze(1);
    let samples = Samples::new(column(&grid), column(&values), Target::Values(1));
    let theta = model.layout().initial(0, "bench", kind, device);
    MeanSquaredError::new(&model.network(), theta, &samples)
}

impl Workload {
    /// On digits, or what stands in their place.
    fn network(&self) -> Result<Network> {
        let mut signature = DataSpec::whole(Built::Synthetic).signature();
        if matches!(self.unit, Unit::ColourStep) {
            signature.input = RGB.to_vec();
        }
        Network::parse(self.model, &signature).map_err(Error::msg)
    }

    fn initial(&self, seed: u64) -> Result<Weights> {
        Ok(self.network()?.layout().initial(seed, "bench", Kind::Float, Device::Cpu).into())
    }

    fn initial_on(&self, device: Device) -> Result<Weights> {
        Ok(self.initial(0)?.each(|tensor| tensor.to_device(device)))
    }

    /// Whether it is of what runs on the device that one asks for.
    pub fn is_for_devices(&self) -> bool {
        matches!(self.unit, Unit::Epoch(_) | Unit::Step | Unit::ColourStep | Unit::Evaluation)
    }

    fn classifier(&self, weights: Weights, samples: &Samples) -> Result<CrossEntropy> {
        CrossEntropy::new(&self.network()?, weights, samples)
    }

    /// What it is computed in.
    pub fn kind(&self) -> Kind {
        match self.unit {
            Unit::ProductOnPoints(kind) | Unit::ProductOnDigits(kind) => kind,
            Unit::Hessian => Kind::Double,
            _ => Kind::Float,
        }
    }

    fn is_on_points(&self) -> bool {
        matches!(self.unit, Unit::Epoch(_) | Unit::Hessian | Unit::ProductOnPoints(_))
    }

    /// Whether it takes digits.
    pub fn is_on_digits(&self) -> bool {
        !self.is_on_points() && !matches!(self.unit, Unit::ColourStep)
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
            Unit::Step | Unit::ColourStep => Some(per_sample(true)? * BATCH as f64),
            Unit::Evaluation => Some(per_sample(false)? * test),
            // Forward, and a pass back to the input for each class but one.
            Unit::Jacobian => Some(per_sample(false)? * classes * 1000.0),
            Unit::Alpha => Some(per_sample(false)? * (train + test)),
            Unit::ProductOnPoints(_) | Unit::ProductOnDigits(_) => {
                // Six products of matrices a layer, and two of the first, whose inputs stay as they are.
                let layers = self.products()?;
                Some((6.0 * layers.iter().sum::<f64>() - 4.0 * layers[0]) * POINTS as f64)
            }
            Unit::Hessian => None,
        })
    }

    /// Additions and multiplications of each layer on one sample.
    fn products(&self) -> Result<Vec<f64>> {
        if self.is_on_points() {
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
        assert_eq!(flops("hvp-120-f32"), Some(2000.0 * (4.0 * 120.0 + 12.0 * (14400.0 + 120.0))));
    }

    #[test]
    fn names_are_unique_and_models_parse() {
        let names: std::collections::BTreeSet<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
        assert_eq!(names.len(), WORKLOADS.len());
        WORKLOADS.iter().for_each(|workload| assert!(workload.flops().is_ok()));
    }
}
