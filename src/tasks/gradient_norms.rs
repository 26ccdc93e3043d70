//! The norm of the gradient, ‖∇L‖₂ over all parameters, while a network learns: of the whole training set in full-batch
//! training on a function, and of the mini-batch beside the whole set's in training by mini-batches.

use super::classifier::{self, final_numbers, parameters, train_size};
use super::function::{FunctionTraining, endings};
use crate::data::{Dataset, order};
use crate::model::{Architecture, Layout, Weights};
use crate::objective::{Evaluation, Objective as _, Splits, norm, read_all};
use crate::study::{Context, Measurements, Trial, flag};
use crate::train::{GRADIENT_NORM, OptimizerName, VALIDATION_LOSS, Watched, measure};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// Trains on a function. Series `train_loss`, `validation_loss` and `gradient_norm`, each taken before the epoch's
/// step; scalars `final_…` of each.
pub fn of_function(training: &FunctionTraining, cx: &mut Context) -> Result<Measurements> {
    let mut objective = training.start(cx)?;
    // On the same θ: the optimizer changes it in place.
    let between = training.learned.validation(Kind::Float, cx.device, cx)?;
    let mut validation = training.objective(objective.weights(), &between)?;
    let watched = Watched { gradient_norm: true, validation: Some((&mut validation, &between)) };
    let mut trained = training.fit.run(&mut objective, cx, watched)?;
    let scalars = [
        ("final_train_loss", objective.loss_and_gradient()?.get()?),
        ("final_validation_loss", validation.loss()?.get()?),
        ("final_gradient_norm", norm(objective.gradient())?.get()?),
    ];
    let endings = endings(&trained);
    let series = [
        (VALIDATION_LOSS, trained.take(VALIDATION_LOSS)),
        (GRADIENT_NORM, trained.take(GRADIENT_NORM)),
        ("train_loss", trained.train_loss),
    ];
    Ok(Measurements::new(objective.layout().parameters(), scalars, series).and(endings))
}

/// One training in shuffled mini-batches, its gradients measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MiniBatchNorms {
    #[serde(rename = "digits_model")]
    pub model: Architecture,
    pub optimizer: OptimizerName,
    pub learning_rate: f64,
    pub batch_size: u32,
    pub epochs: u64,
    /// Steps from a measurement to the next.
    pub every: u64,
    pub seed: u64,
}

impl Trial for MiniBatchNorms {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn cost(&self, data: Option<&dyn Dataset>) -> f64 {
        parameters(&self.model, data) * train_size(data) * self.epochs as f64
    }
}

/// What is measured before a step: of the mini-batch that it follows, and of all samples.
const MEASURED: [&str; 3] = ["batch_gradient_norm", "full_gradient_norm", "full_train_loss"];

impl MiniBatchNorms {
    /// Trains, and measures both gradients at the same θ before every so many steps: series `batch_gradient_norm`,
    /// `full_gradient_norm` and `full_train_loss`, each taken before the step in `step`. Ends with the epoch whose
    /// last measured loss is no number. Short beside trainings on functions: it keeps no checkpoint.
    pub fn run(&self, cx: &mut Context) -> Result<Measurements> {
        let name = classifier::key(&self.model);
        let initial = |layout: &Layout| Ok(Weights::initial(layout, self.seed, &name, Kind::Float, cx.device));
        let Splits { train: mut objective, mut test } = classifier::splits(&self.model, cx, initial)?;
        let layout = objective.layout().clone();
        cx.save_weights("initial", &layout, objective.weights())?;
        let mut optimizer = self.optimizer.with_learning_rate(self.learning_rate);
        let (mut series, mut step, mut epochs_run) = (BTreeMap::new(), 0, 0);
        // The numbers of an epoch, one measurement after the other: on a device they are read at its end.
        let mut measured = Vec::new();
        for epoch in 0..self.epochs {
            let order = Tensor::f_from_slice(&order(objective.samples(), Some((self.seed, &name)), epoch))?;
            for index in order.f_to_device(cx.device)?.f_split(i64::from(self.batch_size), 0)? {
                objective.batch(&index)?;
                let gradient = objective.gradient().copy();
                if step % self.every == 0 {
                    let loss = objective.loss_and_gradient()?;
                    measure(&mut series, "step", step as f64);
                    measured.extend([norm(&gradient)?, norm(objective.gradient())?, loss]);
                    cx.check_stop()?;
                }
                optimizer.step(objective.theta(), &gradient);
                step += 1;
            }
            for (name, value) in MEASURED.iter().cycle().zip(read_all(&measured)?) {
                measure(&mut series, name, value);
            }
            measured.clear();
            let last_loss = series.get(MEASURED[2]).and_then(|losses| losses.last()).copied().unwrap_or(f64::NAN);
            epochs_run = epoch + 1;
            cx.step_done(epochs_run, self.epochs, last_loss)?;
            if !last_loss.is_finite() {
                break;
            }
        }
        cx.save_weights("final", &layout, objective.weights())?;
        let loss = objective.loss_and_gradient()?.get()?;
        let gradient_norm = norm(objective.gradient())?.get()?;
        let (on_train, on_test) = (objective.evaluate()?, test.evaluate()?);
        let mut measured = Measurements::new(
            layout.parameters(),
            [
                ("epochs_run", epochs_run as f64),
                ("diverged", flag(!loss.is_finite())),
                ("final_gradient_norm", gradient_norm),
            ],
            [],
        );
        measured.scalars.extend(final_numbers(Evaluation { loss, ..on_train }, on_test));
        Ok(Measurements { series, ..measured })
    }
}
