//! A network learns a function of one variable, or measured points: its training on all points at once, and its
//! evaluation.

use super::classifier::memory_of_theta;
use super::problem::{Learned, Problem};
use crate::data::functions::evenly_spaced;
use crate::data::points::Standardised;
use crate::data::{Dataset, Samples};
use crate::model::{Mlp, Weights};
use crate::objective::{MeanSquaredError, Objective};
use crate::settings;
use crate::study::{Context, Held, Measurements, Trial, check, flag};
use crate::train::{Convergence, Ending, OptimizerName, Stopping, Trained, Watched, train};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// One full-batch training of one network on one function, or on measured points.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FunctionTraining {
    #[serde(flatten)]
    pub learned: Learned,
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
        FunctionTraining { learned: problem.learned(), model: model.clone(), fit: self.clone(), seed }
    }
}

impl Trial for FunctionTraining {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn cost(&self, data: Option<&dyn Dataset>) -> f64 {
        cost(&self.model, self.learned.train_size(data), self.fit.epochs)
    }
}

/// Of a unit at a point: its value, the derivative by it, and what libtorch makes of them on the way.
const NUMBERS_A_UNIT: u128 = 6;

impl FunctionTraining {
    /// Whether its settings make sense, but for the points', which are the same for many trainings.
    pub fn check(&self) -> Result<(), String> {
        check_model(&self.model)?;
        check::training(self.fit.epochs, self.fit.learning_rate)?;
        check::stopping("convergence", self.fit.convergence)?;
        check::at_least_1(&[("patience", self.fit.patience)])
    }

    /// What it holds: θ with all that goes with it, and what each unit gives at each of so many points.
    pub fn memory(&self, points: usize) -> Held {
        let units = self.model.widths().iter().sum::<i64>().unsigned_abs() as u128;
        let bytes = memory_of_theta(&self.model.layout()) + 4 * NUMBERS_A_UNIT * units * points as u128;
        Held::new(
            format!("model '{}' over {points} points", self.model),
            bytes,
            "take a narrower model, or fewer points",
        )
    }

    /// The objective over the points that are learned from, at the initial θ.
    pub fn start(&self, cx: &Context) -> Result<MeanSquaredError> {
        let theta = self.model.layout().initial(self.seed, &key(&self.model), Kind::Float, cx.device);
        MeanSquaredError::new(&self.model.network(), theta, &self.learned.train(Kind::Float, cx.device, cx)?)
    }

    /// Trains, and evaluates the final network: series `train_loss`, and `prediction` at the validation points. Of
    /// measured points predictions are in their own units, and series `curve_x` and `curve` draw them over the range of x.
    pub fn fit(&self, cx: &mut Context) -> Result<Measurements> {
        let mut objective = self.start(cx)?;
        let trained = self.fit.run(&mut objective, cx, Watched::default())?;
        let on_train = objective.evaluate()?;
        let between = self.learned.validation(Kind::Float, cx.device, cx)?;
        let mut on_validation = Prediction::of(&mut self.objective(objective.weights(), &between)?, &between)?;
        let mut curve = Measurements::default();
        if let Learned::Points { standardised, range } = self.learned {
            on_validation = on_validation.original(standardised);
            curve = self.curve(standardised, range, objective.weights(), cx)?;
        }
        let scalars = [
            ("final_train_loss", on_train.loss),
            ("final_validation_loss", on_validation.loss),
            ("maximum_error", on_validation.maximum_error),
        ];
        let endings = endings(&trained);
        let series = [("train_loss", trained.train_loss), ("prediction", on_validation.values)];
        Ok(Measurements::new(objective.layout().parameters(), scalars, series).and(endings).with(curve))
    }

    /// What the network gives at evenly spaced x from the lowest of all measured points to the highest.
    fn curve(
        &self,
        Standardised { x, y }: Standardised,
        range: [f64; 2],
        weights: &Weights,
        cx: &Context,
    ) -> Result<Measurements> {
        let curve_x = evenly_spaced(range, CURVE);
        let inputs: Vec<f64> = curve_x.iter().map(|at| x.standardised(*at)).collect();
        // Its loss there is of no interest.
        let points = Samples::of_numbers(&inputs, &inputs, Kind::Float, cx.device)?;
        let outputs = Prediction::of(&mut self.objective(weights, &points)?, &points)?.values;
        let curve = outputs.into_iter().map(|output| y.original(output)).collect();
        Ok(Measurements::new(0, [], [("curve_x", curve_x), ("curve", curve)]))
    }

    /// The same network at the same θ, over other points.
    pub fn objective(&self, weights: &Weights, points: &Samples) -> Result<MeanSquaredError> {
        MeanSquaredError::new(&self.model.network(), weights.share(), points)
    }
}

impl FullBatch {
    /// Trains, and saves the initial and the final θ, which the objective holds. `watched` is [`train`]'s.
    pub fn run(&self, objective: &mut dyn Objective, cx: &mut Context, watched: Watched) -> Result<Trained> {
        let layout = objective.layout().clone();
        cx.save_weights("initial", &layout, objective.weights())?;
        let &Self { optimizer, learning_rate, epochs, convergence, patience } = self;
        let stopping = Stopping { convergence: Convergence { tolerance: convergence, patience }, below: None };
        let mut optimizer = optimizer.with_learning_rate(learning_rate);
        let trained = train(objective, &mut optimizer, epochs, &stopping, cx, watched)?;
        cx.save_weights("final", &layout, objective.weights())?;
        Ok(trained)
    }
}

/// Points of a curve: as many as a figure has room for.
const CURVE: usize = 500;

/// See [`Trial::cost`].
pub fn cost(model: &Mlp, train_size: f64, epochs: u64) -> f64 {
    model.layout().parameters() as f64 * train_size * epochs as f64
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

/// A network beside what it learned, at some points.
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

    /// In the units that y had before; the loss stays.
    fn original(self, Standardised { y, .. }: Standardised) -> Self {
        let values = self.values.into_iter().map(|value| y.original(value)).collect();
        Self { values, maximum_error: y.deviation * self.maximum_error, ..self }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Data;
    use crate::data::points::{MeasuredPoints, Point};
    use crate::study::Progress;
    use anyhow::bail;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    /// A network of one weight and one bias ends at the line of least squares, which is known in closed form.
    #[test]
    fn a_linear_model_predicts_the_line_of_least_squares_in_the_units_of_the_points() {
        let noise = |i: i32| f64::from(i * 37 % 13) * 9e4;
        let points = (0..40).map(|i| (1950.0 + f64::from(i * i % 73), 3e5 * f64::from(i * i % 73) + noise(i)));
        let set = Arc::new(MeasuredPoints::new("measured.csv".into(), points.collect(), 0.25).unwrap());
        let of_train = |of: &dyn Fn(&Point) -> f64| set.train().iter().map(of).sum::<f64>() / set.train().len() as f64;
        let (x, y) = (of_train(&|point| point.0), of_train(&|point| point.1));
        let slope = of_train(&|point| (point.0 - x) * (point.1 - y)) / of_train(&|point| (point.0 - x).powi(2));
        let line = |at: f64| y + slope * (at - x);

        let (progress, stop) = (Progress::default(), AtomicBool::new(false));
        let data = Data::load(set.clone(), &crate::data::Access::default()).unwrap();
        let mut cx = Context::new(Device::Cpu, &progress, &stop, &|_| bail!("there are none"), Some(data));
        // The loss is a paraboloid with the same curvature, 2, everywhere: a few steps lead to its bottom.
        let optimizer = OptimizerName::Sgd;
        let fit = FullBatch { optimizer, learning_rate: 0.4, epochs: 60, convergence: 0.0, patience: 1 };
        let learned = Learned::Points { standardised: set.standardised(), range: set.range() };
        let measured = FunctionTraining { learned, model: "1-1".parse().unwrap(), fit, seed: 0 }.fit(&mut cx).unwrap();

        let close = |a: f64, b: f64| (a - b).abs() < 1e-4 * set.standardised().y.deviation;
        let predictions = measured.series("prediction").unwrap();
        assert_eq!(predictions.len(), set.validation().len());
        for (prediction, (at, _)) in predictions.iter().zip(set.validation()) {
            assert!(close(*prediction, line(*at)), "{prediction} at {at}, not {}", line(*at));
        }
        let errors = || set.validation().iter().map(|(at, value)| line(*at) - value);
        let largest = errors().fold(0f64, |largest, error| largest.max(error.abs()));
        assert!(close(measured.scalar("maximum_error").unwrap(), largest));
        // Losses are shares of the variance of y.
        let variance = of_train(&|point| (point.1 - y).powi(2));
        let unexplained = of_train(&|point| (point.1 - line(point.0)).powi(2)) / variance;
        let held_out = errors().map(|error| error * error).sum::<f64>() / errors().count() as f64 / variance;
        for (name, expected) in [("final_train_loss", unexplained), ("final_validation_loss", held_out)] {
            let loss = measured.scalar(name).unwrap();
            assert!((loss - expected).abs() < 1e-5, "{name}: {loss}, not {expected}");
        }
        let curve_x = measured.series("curve_x").unwrap();
        for (at, value) in curve_x.iter().zip(measured.series("curve").unwrap()) {
            assert!(close(*value, line(*at)), "{value} at {at}");
        }
        let [low, high] = set.range();
        assert_eq!((curve_x[0], curve_x[CURVE - 1]), (low, high));
    }
}
