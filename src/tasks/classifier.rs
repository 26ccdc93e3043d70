//! What the studies on digits share: the settings of one training, its run and record, and the
//! panels of its curves. Sits between the seam and the studies.

use crate::data::batches::{Samples, TRAIN_SIZE};
use crate::model::Classifier;
use crate::objective::{Accuracy, CrossEntropy};
use crate::plot::{Axis, Color, Mark, Panel, Series};
use crate::store::checkpoint::Series as Numbers;
use crate::study::seeds::together;
use crate::study::{Context, Flag, Measurements, Trial, check, flag};
use crate::train::{Curves, MiniBatches, OptimizerName, Testing, train_classifier};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use tch::Kind;

/// `--model`, of studies on one network.
#[must_use]
pub const fn model_flag(help: &'static str) -> Flag {
    Flag { name: "model", value_name: "LAYERS", setting: "model", repeatable: false, parse: Flag::text, help }
}

/// `--model`, of studies on several networks.
#[must_use]
pub const fn models_flag(help: &'static str) -> Flag {
    Flag { setting: "models", repeatable: true, ..model_flag(help) }
}

/// One training of one classifier in mini-batches.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClassifierTraining {
    pub model: Classifier,
    pub optimizer: OptimizerName,
    pub learning_rate: f64,
    pub batch_size: u32,
    pub shuffle: bool,
    pub epochs: u64,
    pub seed: u64,
}

impl Trial for ClassifierTraining {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn cost(&self) -> f64 {
        self.model.layout().parameters() as f64 * TRAIN_SIZE as f64 * self.epochs as f64
    }
}

impl ClassifierTraining {
    /// # Errors
    /// Names the setting and what would be valid.
    pub fn check(&self) -> Result<(), String> {
        check::training(self.epochs, self.learning_rate)?;
        check_batch(&self.model, self.batch_size)
    }

    /// Names what keys this training's randomness: a model starts from the same weights and sees
    /// the samples in the same order in every study.
    #[must_use]
    pub fn name(&self) -> String {
        format!("classifier {}", self.model)
    }

    /// Trains on `train`, tests each epoch on the study's test images, and saves the initial and
    /// final weights. The objective holds the final θ.
    ///
    /// # Errors
    /// [`crate::error::Interrupted`], and libtorch's.
    pub fn run(&self, cx: &mut Context, train: &Samples) -> Result<(CrossEntropy, Measurements)> {
        self.run_observed(cx, train, |_, _, _, _| Ok(()))
    }

    /// [`Self::run`], with `after_epoch` called after each epoch, counted from 1: the objective holds
    /// that epoch's θ. It may add to the record's series with [`crate::train::measure`].
    ///
    /// # Errors
    /// Those of [`Self::run`] and of `after_epoch`.
    pub fn run_observed(
        &self,
        cx: &mut Context,
        train: &Samples,
        mut after_epoch: impl FnMut(&mut Context, u64, &CrossEntropy, &mut Numbers) -> Result<()>,
    ) -> Result<(CrossEntropy, Measurements)> {
        self.run_tested_every(1, cx, train, |cx, epoch, objective, series| {
            after_epoch(cx, epoch, objective, series)?;
            Ok(ControlFlow::Continue(()))
        })
    }

    /// [`Self::run_observed`], tested every so many epochs only, and after the last: where an epoch is
    /// short, testing would take most of the time. `after_epoch` may end the training.
    ///
    /// # Errors
    /// Those of [`Self::run_observed`].
    pub fn run_tested_every(
        &self,
        every: u64,
        cx: &mut Context,
        train: &Samples,
        mut after_epoch: impl FnMut(&mut Context, u64, &CrossEntropy, &mut Numbers) -> Result<ControlFlow<()>>,
    ) -> Result<(CrossEntropy, Measurements)> {
        let (layout, name) = (self.model.layout(), self.name());
        let theta = layout.initial(self.seed, &name, Kind::Float, cx.device);
        cx.save_weights("initial", &layout, &theta)?;

        let objective = CrossEntropy::new(&self.model, theta);
        let test = cx.images()?.test.on(cx.device);
        let batches = MiniBatches {
            samples: train,
            batch_size: i64::from(self.batch_size),
            shuffle: self.shuffle.then_some((self.seed, name.as_str())),
        };
        let mut optimizer = self.optimizer.with_learning_rate(self.learning_rate);
        let testing = Testing { samples: &test, every };
        let curves =
            train_classifier(&objective, &mut optimizer, &batches, &testing, self.epochs, cx, |cx, epoch, series| {
                after_epoch(cx, epoch, &objective, series)
            })?;
        let (train, test) = (objective.evaluate(train), objective.evaluate(&test));
        cx.save_weights("final", &layout, objective.theta())?;
        Ok((objective, measurements(layout.parameters(), curves, train, test)))
    }
}

/// That a batch of so many samples can be had, and fits into memory.
///
/// # Errors
/// Names the setting and what would be valid.
pub fn check_batch(model: &Classifier, batch_size: u32) -> Result<(), String> {
    check::batch_size(batch_size)?;
    let samples = u64::from(batch_size).min(TRAIN_SIZE as u64);
    let what = format!("model '{model}' with a batch_size of {batch_size}");
    check::memory(&what, model.memory_of_batch(samples), "lower batch_size")
}

/// The curves, and loss and accuracy over both whole sets at the final weights.
fn measurements(parameters: i64, curves: Curves, train: Accuracy, test: Accuracy) -> Measurements {
    let scalars = [
        ("epochs_run", curves.epochs_run as f64),
        ("diverged", flag(curves.diverged)),
        ("final_train_loss", train.loss),
        ("final_train_accuracy", train.accuracy),
        ("final_test_loss", test.loss),
        ("final_test_accuracy", test.accuracy),
    ];
    Measurements { series: curves.series, ..Measurements::new(parameters, scalars, []) }
}

/// First or last value of a series; NaN where it is empty.
///
/// # Errors
/// Where the record has no such series.
pub fn ends(record: &Measurements, name: &str) -> Result<(f64, f64)> {
    let values = record.series(name)?;
    Ok((values.first().copied().unwrap_or(f64::NAN), values.last().copied().unwrap_or(f64::NAN)))
}

/// A curve of a figure over epochs.
pub struct Curve<'a> {
    /// Empty for none in the legend.
    pub label: String,
    /// Place in the colour cycle.
    pub color: usize,
    pub dashed: bool,
    pub values: &'a [f64],
}

impl Curve<'_> {
    /// Over epochs, counted from 1.
    #[must_use]
    pub fn series(&self) -> Series {
        // Few epochs are shown as the points they are.
        let mark = match (self.dashed, self.values.len()) {
            (true, _) => Mark::Dashed,
            (false, 0..=15) => Mark::LinePoints,
            (false, _) => Mark::Line,
        };
        Series::over_epochs(self.label.clone(), Color::Cycle(self.color), 1, self.values).mark(mark)
    }
}

/// A panel of curves over epochs, counted from 1; those of one colour and dash are of several seeds.
#[must_use]
pub fn panel(y: Axis, curves: &[Curve]) -> Panel {
    Panel::plot("", Axis::linear("epoch"), y, together(curves.iter().map(Curve::series).collect()))
}
