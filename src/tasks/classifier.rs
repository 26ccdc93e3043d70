//! A network learns to classify images in mini-batches: the settings of one training, its run and its record.

use crate::data::batches::{Samples, TRAIN_SIZE};
use crate::model::Classifier;
use crate::objective::CrossEntropy;
use crate::settings;
use crate::store::checkpoint::Series as Numbers;
use crate::study::{Context, Measurements, Trial, check, flag};
use crate::train::{MiniBatches, OptimizerName, Testing, train_classifier};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use tch::Kind;

/// One training of one classifier in mini-batches.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClassifierTraining {
    pub model: Classifier,
    #[serde(flatten)]
    pub fit: MiniBatch,
    pub seed: u64,
}

settings! {
    /// How a classifier is trained.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    pub struct MiniBatch {
        pub optimizer: OptimizerName,
        pub learning_rate: f64,
        pub batch_size: u32,
        pub shuffle: bool,
        pub epochs: u64,
    }
}

impl MiniBatch {
    /// A training of this network from this seed.
    pub fn of(&self, model: &Classifier, seed: u64) -> ClassifierTraining {
        ClassifierTraining { model: model.clone(), fit: self.clone(), seed }
    }
}

/// Names what keys the randomness of a network's trainings: it starts from the same weights and sees the samples in the
/// same order in every study.
pub fn key(model: &Classifier) -> String {
    format!("classifier {model}")
}

impl Trial for ClassifierTraining {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn cost(&self) -> f64 {
        self.model.layout().parameters() as f64 * TRAIN_SIZE as f64 * self.fit.epochs as f64
    }
}

impl ClassifierTraining {
    pub fn check(&self) -> Result<(), String> {
        check::training(self.fit.epochs, self.fit.learning_rate)?;
        let (model, batch_size) = (&self.model, self.fit.batch_size);
        check::at_least_1(&[("batch_size", batch_size.into())])?;
        let samples = u64::from(batch_size).min(TRAIN_SIZE as u64);
        let what = format!("model '{model}' with a batch_size of {batch_size}");
        check::memory(&what, model.memory_of_batch(samples), "lower batch_size")
    }

    /// See [`key`].
    pub fn name(&self) -> String {
        key(&self.model)
    }

    /// Trains on `train`, tests each epoch on the study's test images, and saves the initial and
    /// final weights. The objective holds the final θ.
    pub fn run(&self, cx: &mut Context, train: &Samples) -> Result<(CrossEntropy, Measurements)> {
        self.run_observed(1, cx, train, |_, _, _, _| Ok(ControlFlow::Continue(())))
    }

    /// [`Self::run`], tested every so many epochs, and after the last: where an epoch is short, testing would take most
    /// of the time. `after_epoch` is called after each epoch, counted from 1, with the objective at its θ; it may add
    /// to the record's series with [`crate::train::measure`], and end the training.
    pub fn run_observed(
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
            batch_size: i64::from(self.fit.batch_size),
            shuffle: self.fit.shuffle.then_some((self.seed, name.as_str())),
        };
        let mut optimizer = self.fit.optimizer.with_learning_rate(self.fit.learning_rate);
        let testing = Testing { samples: &test, every };
        let epochs = self.fit.epochs;
        let observe = |cx: &mut _, epoch, series: &mut _| after_epoch(cx, epoch, &objective, series);
        let curves = train_classifier(&objective, &mut optimizer, &batches, &testing, epochs, cx, observe)?;
        let (train, test) = (objective.evaluate(train), objective.evaluate(&test));
        cx.save_weights("final", &layout, objective.theta())?;
        let scalars = [
            ("epochs_run", curves.epochs_run as f64),
            ("diverged", flag(curves.diverged)),
            ("final_train_loss", train.loss),
            ("final_train_accuracy", train.accuracy),
            ("final_test_loss", test.loss),
            ("final_test_accuracy", test.accuracy),
        ];
        let measured = Measurements::new(layout.parameters(), scalars, []);
        Ok((objective, Measurements { series: curves.series, ..measured }))
    }
}
