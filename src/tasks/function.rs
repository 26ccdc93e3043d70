//! A network learns a function of one variable: the points it learns from, its training on all of them at once, and
//! its evaluation.

use crate::data::functions::{self, evenly_spaced, evenly_spaced_point};
use crate::data::{Dataset, Samples, Target};
use crate::model::{Mlp, Weights};
use crate::objective::{MeanSquaredError, Objective};
use crate::settings;
use crate::study::{Context, Measurements, Trial, check, flag};
use crate::train::{Convergence, Ending, Epoch, OptimizerName, Stopping, Trained, train};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

settings! {
    /// A function on a range, at evenly spaced points, both ends among them.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub struct Problem {
        pub function: functions::Target,
        /// Lowest and highest x.
        pub domain: [f64; 2],
        pub train_size: usize,
        pub validation_size: usize,
    }
}

/// One full-batch training of one network on one function.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FunctionTraining {
    #[serde(flatten)]
    pub problem: Problem,
    pub model: Mlp,
    #[serde(flatten)]
    pub fit: FullBatch,
    pub seed: u64,
}

settings! {
    /// How a network is trained on all points at once.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    pub struct FullBatch {
        pub optimizer: OptimizerName,
        pub learning_rate: f64,
        pub epochs: u64,
        pub convergence: f64,
        pub patience: u64,
    }
}

impl FullBatch {
    /// A training of this network on this problem from this seed.
    pub fn of(&self, problem: &Problem, model: &Mlp, seed: u64) -> FunctionTraining {
        FunctionTraining { problem: problem.clone(), model: model.clone(), fit: self.clone(), seed }
    }
}

impl Trial for FunctionTraining {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn cost(&self, _: Option<&dyn Dataset>) -> f64 {
        cost(&self.model, &self.problem, self.fit.epochs)
    }
}

impl FunctionTraining {
    /// Whether its settings make sense, but for the points', which are the same for many trainings.
    pub fn check(&self) -> Result<(), String> {
        check_model(&self.model)?;
        check::training(self.fit.epochs, self.fit.learning_rate)?;
        check::stopping("convergence", self.fit.convergence)?;
        check::at_least_1(&[("patience", self.fit.patience)])
    }

    /// The objective over the points that are learned from, at the initial θ.
    pub fn start(&self, cx: &Context) -> Result<MeanSquaredError> {
        let theta = self.model.layout().initial(self.seed, &key(&self.model), Kind::Float, cx.device);
        MeanSquaredError::new(&self.model.network(), theta, &self.problem.train(Kind::Float, cx.device)?)
    }

    /// Trains, and evaluates the final network: series `train_loss`, and `prediction` at the evenly spaced validation
    /// points.
    pub fn fit(&self, cx: &mut Context) -> Result<Measurements> {
        let mut objective = self.start(cx)?;
        let trained = self.fit.run(&mut objective, cx, |_| Ok(()))?;
        let on_train = objective.evaluate()?;
        let between = self.problem.validation(Kind::Float, cx.device)?;
        let on_validation = Prediction::of(&mut self.objective(objective.weights(), &between)?, &between)?;
        let scalars = [
            ("final_train_loss", on_train.loss),
            ("final_validation_loss", on_validation.loss),
            ("maximum_error", on_validation.maximum_error),
        ];
        let endings = endings(&trained);
        let series = [("train_loss", trained.train_loss), ("prediction", on_validation.values)];
        Ok(Measurements::new(objective.layout().parameters(), scalars, series).and(endings))
    }

    /// The same network at the same θ, over other points.
    pub fn objective(&self, weights: &Weights, points: &Samples) -> Result<MeanSquaredError> {
        MeanSquaredError::new(&self.model.network(), weights.share(), points)
    }
}

impl FullBatch {
    /// Trains, and saves the initial and the final θ, which the objective holds. `observe` is [`train`]'s.
    pub fn run(
        &self,
        objective: &mut dyn Objective,
        cx: &mut Context,
        observe: impl FnMut(&mut Epoch) -> Result<()>,
    ) -> Result<Trained> {
        let layout = objective.layout().clone();
        cx.save_weights("initial", &layout, objective.weights())?;
        let &Self { optimizer, learning_rate, epochs, convergence, patience } = self;
        let stopping = Stopping { convergence: Convergence { tolerance: convergence, patience }, below: None };
        let mut optimizer = optimizer.with_learning_rate(learning_rate);
        let trained = train(objective, &mut optimizer, epochs, &stopping, cx, observe)?;
        cx.save_weights("final", &layout, objective.weights())?;
        Ok(trained)
    }
}

/// See [`Trial::cost`].
pub fn cost(model: &Mlp, problem: &Problem, epochs: u64) -> f64 {
    model.layout().parameters() as f64 * problem.train_size as f64 * epochs as f64
}

/// Beyond these, a slip of the pen is more likely than a wish.
const MOST_POINTS: u64 = 10_000_000;
/// Points that a check looks at together.
const PIECE: usize = 10_000;

impl Problem {
    pub fn check(&self) -> Result<(), String> {
        let [low, high] = self.domain;
        if !(low < high && (high - low).is_finite()) {
            return Err(format!(
                "domain {low}:{high} is no range: two finite numbers, the lower first, as in --domain -1:1"
            ));
        }
        let sizes = [("train_size", self.train_size), ("validation_size", self.validation_size)];
        for (name, size) in sizes {
            check::within(name, size as u64, 2..=MOST_POINTS)?;
        }
        for (_, size) in sizes {
            // In pieces: all points of all studies are looked at before the first trial.
            for start in (0..size).step_by(PIECE) {
                let piece = start..size.min(start + PIECE);
                let xs: Vec<f64> = piece.map(|i| evenly_spaced_point(self.domain, size, i)).collect();
                let ys = self.function.values(&xs)?;
                // Networks compute in float32, whose largest number is 3.4e38.
                let fits = |x: f64, y: f64| (x as f32).is_finite() && (y as f32).is_finite();
                if let Some((x, y)) = xs.iter().zip(&ys).find(|(x, y)| !fits(**x, **y)) {
                    return Err(format!("function '{}' is too large for float32 at x = {x}: {y}", self.function));
                }
            }
        }
        Ok(())
    }

    /// The points that are learned from, of this kind.
    pub fn train(&self, kind: Kind, device: Device) -> Result<Samples> {
        self.points(self.train_size, kind, device)
    }

    /// The points in between, of this kind.
    pub fn validation(&self, kind: Kind, device: Device) -> Result<Samples> {
        self.points(self.validation_size, kind, device)
    }

    fn points(&self, count: usize, kind: Kind, device: Device) -> Result<Samples> {
        let x = evenly_spaced(self.domain, count);
        let y = self.function.values(&x).map_err(anyhow::Error::msg)?;
        let column = |values: &[f64]| -> Result<Tensor> {
            Ok(Tensor::f_from_slice(values)?.f_to_kind(kind)?.f_to_device(device)?.f_unsqueeze(1)?)
        };
        Ok(Samples::new(column(&x)?, column(&y)?, Target::Values(1)))
    }
}

/// Names what keys a network's initial weights: it starts from the same ones whatever it is called,
/// and whatever function it learns.
pub fn key(model: &Mlp) -> String {
    format!("mlp {model}")
}

/// That the network learns a number from a number.
pub fn check_model(model: &Mlp) -> Result<(), String> {
    let widths = model.widths();
    if widths.first() != Some(&1) || widths.last() != Some(&1) {
        return Err(format!(
            "model '{model}' must begin and end with 1: it learns a number from a number, like 1-20-30-1"
        ));
    }
    Ok(())
}

/// A network beside the function it learned, at some points.
pub struct Prediction {
    /// One number a point.
    pub values: Vec<f64>,
    /// Mean squared error.
    pub loss: f64,
    pub maximum_error: f64,
}

impl Prediction {
    /// At the θ of an objective over these points.
    pub fn of(objective: &mut dyn Objective, points: &Samples) -> Result<Self> {
        let mut outputs = Vec::new();
        let loss = objective.evaluate_and(&mut |of_block| {
            outputs.push(of_block.f_to_kind(Kind::Double)?);
            Ok(())
        });
        let values = Tensor::f_cat(&outputs, 0)?;
        let error = values.f_sub(&points.targets.f_to_kind(Kind::Double)?)?;
        Ok(Self {
            loss: loss?.loss,
            maximum_error: error.f_abs()?.f_max()?.f_double_value(&[])?,
            values: values.f_reshape([-1])?.f_to_device(Device::Cpu)?.try_into()?,
        })
    }
}

/// The scalars that say how a full-batch training ended, by name; [`ending`] reads them.
pub fn endings(training: &Trained) -> [(&'static str, f64); 4] {
    [
        ("epochs_run", training.train_loss.len() as f64),
        ("converged", flag(training.ending == Ending::Converged)),
        ("stopped_on_plateau", flag(training.stopped_on_plateau())),
        ("diverged", flag(training.ending == Ending::Diverged)),
    ]
}

/// How a full-batch training ended, in a word, from its scalars.
pub fn ending(record: &Measurements) -> Result<&'static str> {
    Ok(if record.diverged() {
        "diverged"
    } else if record.scalar("stopped_on_plateau")? == 1.0 {
        "plateau"
    } else if record.scalar("converged")? == 1.0 {
        "converged"
    } else {
        "last epoch"
    })
}
