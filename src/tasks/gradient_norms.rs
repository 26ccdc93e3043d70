//! The norm of the gradient, ‖∇L‖₂ over all parameters, while a network learns: of the whole training set in full-batch
//! training on a function, and of the mini-batch beside the whole set's on digits.

use super::classifier;
use super::function::{FunctionTraining, endings};
use crate::data::batches::order;
use crate::model::Classifier;
use crate::objective::{CrossEntropy, MeanSquaredError, Objective as _, norm, read_all};
use crate::study::{Context, Measurements, Trial, flag};
use crate::train::{OptimizerName, measure};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// Trains on a function. Series `train_loss`, `validation_loss` and `gradient_norm`, each taken before the epoch's
/// step; scalars `final_…` of each.
pub fn of_function(training: &FunctionTraining, cx: &mut Context) -> Result<Measurements> {
    let (layout, theta) = training.start(cx)?;
    let points = training.problem.train(Kind::Float, cx.device)?;
    let between = training.problem.validation(Kind::Float, cx.device)?;
    // On the same θ: the optimizer changes it in place.
    let mut validation = MeanSquaredError::new(&training.model, theta.shallow_clone(), &between.x, &between.y);
    let mut objective = MeanSquaredError::new(&training.model, theta, &points.x, &points.y);
    let mut trained = training.run(cx, &layout, &mut objective, |now| {
        now.measure("validation_loss", validation.loss());
        now.measure("gradient_norm", norm(now.gradient)?);
        Ok(())
    })?;
    let scalars = [
        ("final_train_loss", objective.loss_and_gradient().get()?),
        ("final_validation_loss", validation.loss().get()?),
        ("final_gradient_norm", norm(objective.gradient())?.get()?),
    ];
    let endings = endings(&trained);
    let series = [
        ("validation_loss", trained.take("validation_loss")),
        ("gradient_norm", trained.take("gradient_norm")),
        ("train_loss", trained.train_loss),
    ];
    Ok(Measurements::new(layout.parameters(), scalars, series).and(endings))
}

/// One training on digits in shuffled mini-batches, its gradients measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DigitsTraining {
    #[serde(rename = "digits_model")]
    pub model: Classifier,
    pub optimizer: OptimizerName,
    pub learning_rate: f64,
    pub batch_size: u32,
    pub epochs: u64,
    /// Steps from a measurement to the next.
    pub every: u64,
    pub seed: u64,
}

impl Trial for DigitsTraining {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn cost(&self) -> f64 {
        // Of the usual set's size.
        self.model.layout().parameters() as f64 * 1e4 * self.epochs as f64
    }
}

impl DigitsTraining {
    /// Trains, and measures both gradients at the same θ before every so many steps: series `batch_gradient_norm`,
    /// `full_gradient_norm` and `full_train_loss`, each taken before the step in `step`. Ends with the epoch whose
    /// last measured loss is no number. Short beside trainings on functions: it keeps no checkpoint.
    pub fn run(&self, cx: &mut Context) -> Result<Measurements> {
        let (layout, name) = (self.model.layout(), classifier::key(&self.model));
        let theta = layout.initial(self.seed, &name, Kind::Float, cx.device);
        cx.save_weights("initial", &layout, &theta)?;
        let (train, test) = (cx.images()?.train.on(cx.device), cx.images()?.test.on(cx.device));
        let objective = CrossEntropy::new(&self.model, theta);
        let mut optimizer = self.optimizer.with_learning_rate(self.learning_rate);
        let (mut series, mut step, mut epochs_run) = (BTreeMap::new(), 0, 0);
        // A measurement's numbers, and those of an epoch one after the other: on a device they are read at its end.
        let (names, mut measured) = (["batch_gradient_norm", "full_gradient_norm", "full_train_loss"], Vec::new());
        for epoch in 0..self.epochs {
            let order = Tensor::f_from_slice(&order(train.len(), Some((self.seed, &name)), epoch))?;
            for index in order.f_to_device(cx.device)?.f_split(i64::from(self.batch_size), 0)? {
                let (x, labels) = (train.images.f_index_select(0, &index)?, train.labels.f_index_select(0, &index)?);
                let (gradient, _) = objective.gradient(&x, &labels);
                if step % self.every == 0 {
                    let (loss, of_all) = objective.loss_and_gradient_over(&train)?;
                    measure(&mut series, "step", step as f64);
                    measured.extend([norm(&gradient)?, norm(&of_all)?, loss]);
                    cx.check_stop()?;
                }
                optimizer.step(objective.theta(), &gradient);
                step += 1;
            }
            for (name, value) in names.iter().cycle().zip(read_all(&measured)?) {
                measure(&mut series, name, value);
            }
            measured.clear();
            let last_loss = series.get(names[2]).and_then(|losses| losses.last()).copied().unwrap_or(f64::NAN);
            epochs_run = epoch + 1;
            cx.step_done(epochs_run, self.epochs, last_loss)?;
            if !last_loss.is_finite() {
                break;
            }
        }
        cx.save_weights("final", &layout, objective.theta())?;
        let (loss, full) = objective.loss_and_gradient_over(&train)?;
        let loss = loss.get()?;
        let (on_train, on_test) = (objective.evaluate(&train), objective.evaluate(&test));
        let scalars = [
            ("epochs_run", epochs_run as f64),
            ("diverged", flag(!loss.is_finite())),
            ("final_train_loss", loss),
            ("final_train_accuracy", on_train.accuracy),
            ("final_test_loss", on_test.loss),
            ("final_test_accuracy", on_test.accuracy),
            ("final_gradient_norm", norm(&full)?.get()?),
        ];
        Ok(Measurements { series, ..Measurements::new(layout.parameters(), scalars, []) })
    }
}
