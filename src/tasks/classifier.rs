//! A network learns in mini-batches: the settings of one training, its run and its record.

use crate::data::{Data, Dataset, Samples};
use crate::model::{Architecture, Layout, Model as _, Network, Weights};
use crate::objective::{Evaluation, Objective, Splits, over};
use crate::settings;
use crate::store::checkpoint::Series as Numbers;
use crate::study::{Context, Held, Measurements, Trial, check, flag};
use crate::train::{MiniBatches, OptimizerName, train_in_batches};
use anyhow::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use tch::Kind;

/// One training of one network in mini-batches.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClassifierTraining {
    pub model: Architecture,
    #[serde(flatten)]
    pub fit: MiniBatch,
    pub seed: u64,
}

settings! {
    /// How a network is trained in mini-batches.
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
    pub fn of(&self, model: &Architecture, seed: u64) -> ClassifierTraining {
        ClassifierTraining { model: model.clone(), fit: self.clone(), seed }
    }

    /// Trains on the one split and saves the initial and final weights. Tests on the other every so many epochs and
    /// after the last: where an epoch is short, testing would take most of the time. Seed and name key the order of the
    /// samples. `after_epoch` is called after each epoch, counted from 1, with the objectives at its θ; it may add to
    /// the record's series with [`crate::train::measure`], and end the training.
    pub fn run(
        &self,
        splits: &mut Splits,
        every: u64,
        key: (u64, &str),
        cx: &mut Context,
        after_epoch: impl FnMut(&mut Context, u64, &mut Splits, &mut Numbers) -> Result<ControlFlow<()>>,
    ) -> Result<Measurements> {
        let layout = splits.train.layout().clone();
        cx.save_weights("initial", &layout, splits.weights())?;
        let batches = MiniBatches { batch_size: i64::from(self.batch_size), shuffle: self.shuffle.then_some(key) };
        let mut optimizer = self.optimizer.with_learning_rate(self.learning_rate);
        let curves = train_in_batches(splits, &mut optimizer, &batches, (self.epochs, every), cx, after_epoch)?;
        let (train, test) = (splits.train.evaluate()?, splits.test.evaluate()?);
        cx.save_weights("final", &layout, splits.weights())?;
        let scalars = [("epochs_run", curves.epochs_run as f64), ("diverged", flag(curves.diverged))];
        let mut measured = Measurements::new(layout.parameters(), scalars, []);
        measured.scalars.extend(final_numbers(train, test));
        Ok(Measurements { series: curves.series, ..measured })
    }
}

/// Loss and accuracy at the end, by name; of values there is no accuracy.
pub fn final_numbers(train: Evaluation, test: Evaluation) -> impl Iterator<Item = (String, f64)> {
    let of_split = |(split, found): (&str, Evaluation)| {
        let accuracy = (!found.accuracy.is_nan()).then(|| (format!("final_{split}_accuracy"), found.accuracy));
        [Some((format!("final_{split}_loss"), found.loss)), accuracy]
    };
    [("train", train), ("test", test)].map(of_split).into_iter().flatten().flatten()
}

/// Names what keys the randomness of a network's trainings: it starts from the same weights and sees the samples in the
/// same order in every study.
pub fn key(model: &Architecture) -> String {
    format!("classifier {model}")
}

/// A network on a trial's data.
pub fn network(model: &Architecture, data: &Data) -> Result<Network> {
    model.network(&data.set.signature()).map_err(Error::msg)
}

/// The loss of a network over the first so many of a trial's training samples, at weights for its layout.
pub fn objective(
    model: &Architecture,
    samples: usize,
    cx: &Context,
    weights: impl FnOnce(&Layout) -> Result<Weights>,
) -> Result<Box<dyn Objective>> {
    let data = cx.data()?;
    let network = network(model, data)?;
    let weights = weights(&network.layout())?;
    over(&network, weights, &data.train.first(samples))
}

/// The losses of a network over both splits of a trial's data.
pub fn splits(model: &Architecture, cx: &Context, weights: impl FnOnce(&Layout) -> Result<Weights>) -> Result<Splits> {
    let data = cx.data()?;
    let network = network(model, data)?;
    Splits::new(&network, weights(&network.layout())?, [&data.train, &data.test])
}

/// The parameters of a network on a data set; 0 where it does not fit it.
pub fn parameters(model: &Architecture, data: Option<&dyn Dataset>) -> f64 {
    let network = data.and_then(|set| model.network(&set.signature()).ok());
    network.map_or(0.0, |network| network.layout().parameters() as f64)
}

/// How many samples a data set has to train on.
pub fn train_size(data: Option<&dyn Dataset>) -> f64 {
    data.map_or(0.0, |set| set.sizes()[0] as f64)
}

/// Samples that are evaluated at a time, at most.
const EVALUATED: u64 = 128;

/// What stands beside a batch: θ, its gradient, Adam's two moments and what a step makes of them, the initial and the
/// final weights that are saved, the last state of the training, and a checkpoint as it is written.
const COPIES: u128 = 20;

/// The bytes of [`COPIES`], in float32.
pub fn memory_of_theta(layout: &Layout) -> u128 {
    COPIES * 4 * layout.parameters().unsigned_abs() as u128
}

impl Trial for ClassifierTraining {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn cost(&self, data: Option<&dyn Dataset>) -> f64 {
        parameters(&self.model, data) * train_size(data) * self.fit.epochs as f64
    }
}

impl ClassifierTraining {
    /// Whether its settings make sense on this data set.
    pub fn check(&self, data: &dyn Dataset) -> Result<(), String> {
        check::training(self.fit.epochs, self.fit.learning_rate)?;
        check::at_least_1(&[("batch_size", self.fit.batch_size.into())])?;
        if data.signature().target.classes().is_none() {
            let (title, found) = (data.title(), data.signature().target.what());
            let wanted = "labels that are whole numbers or words, one an input, or the argmax of one-hot rows";
            return Err(format!("{title} has {found} to be learned, and this study learns classes: {wanted}"));
        }
        self.memory(data)?.check()
    }

    /// What it holds: θ with all that goes with it, and a batch.
    pub fn memory(&self, data: &dyn Dataset) -> Result<Held, String> {
        let (model, batch_size) = (&self.model, self.fit.batch_size);
        let network = model.network(&data.signature())?;
        let samples = u64::from(batch_size).max(EVALUATED).min(data.sizes()[0] as u64);
        let what = format!("model '{model}' with a batch_size of {batch_size}");
        let bytes = memory_of_theta(&network.layout()) + network.memory_of_batch(samples);
        Ok(Held::new(what, bytes, "lower batch_size, or take a smaller model"))
    }

    /// See [`key`].
    pub fn name(&self) -> String {
        key(&self.model)
    }

    /// The network at its initial weights, to be trained on `train` and tested on the study's test samples.
    pub fn start(&self, cx: &Context, train: &Samples) -> Result<Splits> {
        let data = cx.data()?;
        let network = network(&self.model, data)?;
        let weights = Weights::initial(&network.layout(), self.seed, &self.name(), Kind::Float, cx.device);
        Splits::new(&network, weights, [train, &data.test])
    }

    /// Trains on `train`, tests each epoch on the study's test samples, and saves the initial and
    /// final weights. The objectives hold the final θ.
    pub fn run(&self, cx: &mut Context, train: &Samples) -> Result<(Splits, Measurements)> {
        self.run_observed(1, cx, train, |_, _, _, _| Ok(ControlFlow::Continue(())))
    }

    /// [`Self::run`], as [`MiniBatch::run`] has it.
    pub fn run_observed(
        &self,
        every: u64,
        cx: &mut Context,
        train: &Samples,
        after_epoch: impl FnMut(&mut Context, u64, &mut Splits, &mut Numbers) -> Result<ControlFlow<()>>,
    ) -> Result<(Splits, Measurements)> {
        let mut splits = self.start(cx, train)?;
        let measured = self.fit.run(&mut splits, every, (self.seed, &self.name()), cx, after_epoch)?;
        Ok((splits, measured))
    }
}
