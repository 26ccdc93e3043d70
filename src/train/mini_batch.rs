//! Training of a classifier in mini-batches, epoch by epoch.

use super::{Optimizer, THETA, measure, state_of};
use crate::data::batches::{Samples, order};
use crate::objective::{Accuracy, BatchSums, CrossEntropy};
use crate::store::checkpoint::{Checkpointer, EPOCHS, Series};
use anyhow::Result;
use std::ops::ControlFlow;
use tch::Tensor;

/// How a training in mini-batches goes through its samples.
pub struct MiniBatches<'a> {
    pub samples: &'a Samples,
    pub batch_size: i64,
    /// Seed and name of the trial that key each epoch's permutation; `None` keeps the order.
    pub shuffle: Option<(u64, &'a str)>,
}

/// One epoch of steps: means over its samples while training. `observe` is called after every
/// batch, and ends the epoch with an error of its own.
///
/// # Errors
/// Only those of `observe`.
pub fn train_epoch(
    objective: &CrossEntropy,
    optimizer: &mut Optimizer,
    batches: &MiniBatches,
    epoch: u64,
    mut observe: impl FnMut() -> Result<()>,
) -> Result<Accuracy> {
    let samples = batches.samples;
    let order = Tensor::from_slice(&order(samples.len(), batches.shuffle, epoch)).to_device(samples.labels.device());
    let mut total = BatchSums::zero(samples.labels.device());
    for index in order.split(batches.batch_size, 0) {
        let x = samples.images.index_select(0, &index);
        let labels = samples.labels.index_select(0, &index);
        let step = |gradient: &Tensor| optimizer.step(objective.theta(), gradient);
        total.add(objective.with_gradient(&x, &labels, step).1);
        observe()?;
    }
    Ok(total.means(samples.len()))
}

/// Names of a classifier's series.
pub const TRAIN_LOSS: &str = "train_loss";
pub const TRAIN_ACCURACY: &str = "train_accuracy";
pub const TEST_LOSS: &str = "test_loss";
pub const TEST_ACCURACY: &str = "test_accuracy";

/// What a classifier's training measured, one number an epoch: [`TRAIN_LOSS`] and
/// [`TRAIN_ACCURACY`], means over the epoch's samples while training; [`TEST_LOSS`] and
/// [`TEST_ACCURACY`], after each tested epoch, over the whole test set; and what the observer added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    pub series: Series,
    pub epochs_run: u64,
    /// The loss was no longer a finite number, and the training ended.
    pub diverged: bool,
}

/// What a training is tested on, and how often.
pub struct Testing<'a> {
    pub samples: &'a Samples,
    /// Epochs from a test to the next; the last epoch is tested in any case.
    pub every: u64,
}

/// Trains a classifier epoch by epoch, from where `keeper` left off. `after_epoch` sees each epoch, counted from 1,
/// and the series so far, to which it may add its own with [`measure`], and may end the training there.
///
/// # Errors
/// Those of `keeper` and of `after_epoch`; [`crate::store::checkpoint::Unfit`] where the keeper's state is not
/// this training's.
pub fn train_classifier<K: Checkpointer>(
    objective: &CrossEntropy,
    optimizer: &mut Optimizer,
    batches: &MiniBatches,
    testing: &Testing,
    epochs: u64,
    keeper: &mut K,
    mut after_epoch: impl FnMut(&mut K, u64, &mut Series) -> Result<ControlFlow<()>>,
) -> Result<Curves> {
    let mut curves = Curves::default();
    if let Some(mut state) = keeper.resume()? {
        curves.epochs_run = state.counter(EPOCHS)?;
        state.restore(THETA, objective.theta())?;
        optimizer.restore(&state, objective.theta())?;
        let train_loss = state.take_series(TRAIN_LOSS, curves.epochs_run)?;
        curves.series = state.series;
        curves.series.insert(TRAIN_LOSS.to_owned(), train_loss);
    }
    loop {
        let loss = curves.series.get(TRAIN_LOSS).and_then(|losses| losses.last()).copied();
        curves.diverged = loss.is_some_and(|loss| !loss.is_finite());
        if curves.diverged || curves.epochs_run >= epochs {
            return Ok(curves);
        }
        let train = train_epoch(objective, optimizer, batches, curves.epochs_run, || keeper.check_stop())?;
        measure(&mut curves.series, TRAIN_LOSS, train.loss);
        measure(&mut curves.series, TRAIN_ACCURACY, train.accuracy);
        curves.epochs_run += 1;
        let is_last = curves.epochs_run == epochs || !train.loss.is_finite();
        if is_last || curves.epochs_run.is_multiple_of(testing.every) {
            let tested = objective.evaluate(testing.samples);
            measure(&mut curves.series, TEST_LOSS, tested.loss);
            measure(&mut curves.series, TEST_ACCURACY, tested.accuracy);
        }
        // Nothing is kept of an epoch that ends it: going on from there would be one too many.
        if after_epoch(keeper, curves.epochs_run, &mut curves.series)?.is_break() {
            return Ok(curves);
        }
        keeper.epoch_done(curves.epochs_run, epochs, train.loss, &|| {
            state_of(curves.epochs_run, objective.theta(), optimizer, &curves.series)
        })?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn an_epoch_of_mini_batches_is_its_batches_one_by_one() {
        use crate::data::batches::{DataSpec, DatasetName};
        let spec = DataSpec { dataset: DatasetName::Synthetic, train_size: 70, test_size: 1 };
        let samples = spec.load(None, |_| Ok(())).unwrap().train;
        let model: crate::model::Classifier = "784-5-10".parse().unwrap();
        let initial = || model.layout().initial(0, "epoch", Kind::Float, Device::Cpu);
        let (ours, by_hand) = (CrossEntropy::new(&model, initial()), CrossEntropy::new(&model, initial()));
        let batches = MiniBatches { samples: &samples, batch_size: 32, shuffle: Some((3, "epoch")) };
        let mut count = 0;
        let mean = train_epoch(&ours, &mut Optimizer::adam(1e-2), &batches, 5, || {
            count += 1;
            Ok(())
        });
        assert_eq!(count, 3);

        let mut adam = Optimizer::adam(1e-2);
        let (mut loss, mut right) = (0.0, 0.0);
        for batch in order(70, Some((3, "epoch")), 5).chunks(32) {
            let index = Tensor::from_slice(batch);
            let (x, labels) = (samples.images.index_select(0, &index), samples.labels.index_select(0, &index));
            let (gradient, sums) = by_hand.gradient(&x, &labels);
            adam.step(by_hand.theta(), &gradient);
            let n = batch.len() as f64;
            loss += sums.means(batch.len() as i64).loss * n;
            right += sums.means(batch.len() as i64).accuracy * n;
        }
        let mean = mean.unwrap();
        assert!((mean.loss - loss / 70.0).abs() < 1e-6 && (mean.accuracy - right / 70.0).abs() < 1e-12);
        assert_eq!(ours.theta(), by_hand.theta());
    }
}
