//! Training in mini-batches, epoch by epoch.

use super::{Optimizer, measure, restore, state_of, turn};
use crate::data::order;
use crate::objective::{Evaluation, MiniBatchRequest, MiniBatchRun, Objective, Splits, Sums, has_card};
use crate::store::checkpoint::{Checkpointer, EPOCHS, Series};
use anyhow::Result;
use std::ops::ControlFlow;
use tch::Tensor;

/// How a training in mini-batches goes through its samples.
pub struct MiniBatches<'a> {
    pub batch_size: i64,
    /// Seed and name of the trial that key each epoch's permutation; `None` keeps the order.
    pub shuffle: Option<(u64, &'a str)>,
}

/// One epoch of steps: means over its samples while training. `observe` is called after every
/// batch, and ends the epoch with an error of its own.
///
/// # Errors
/// Those of `observe`, and of the objective.
pub fn train_epoch(
    objective: &mut dyn Objective,
    optimizer: &mut Optimizer,
    batches: &MiniBatches,
    epoch: u64,
    observe: impl FnMut() -> Result<()>,
) -> Result<Evaluation> {
    let order = order(objective.samples(), batches.shuffle, epoch);
    train_on(objective, optimizer, &order, batches.batch_size, observe)
}

/// The same over the samples at these places, in their order.
pub fn train_on(
    objective: &mut dyn Objective,
    optimizer: &mut Optimizer,
    order: &[i64],
    batch_size: i64,
    mut observe: impl FnMut() -> Result<()>,
) -> Result<Evaluation> {
    let device = objective.theta().device();
    let mut total = Sums::zero(device);
    for index in Tensor::from_slice(order).to_device(device).split(batch_size, 0) {
        let sums = objective.batch(&index)?;
        optimizer.step(objective.theta(), objective.gradient());
        total.add(sums);
        observe()?;
    }
    total.means()
}

/// Names of a training's series.
pub const TRAIN_LOSS: &str = "train_loss";
pub const TRAIN_ACCURACY: &str = "train_accuracy";
pub const TEST_LOSS: &str = "test_loss";
pub const TEST_ACCURACY: &str = "test_accuracy";

/// Adds loss and accuracy to the series of these names; of values there is no accuracy.
fn evaluated(series: &mut Series, [loss, accuracy]: [&str; 2], found: Evaluation) {
    measure(series, loss, found.loss);
    if !found.accuracy.is_nan() {
        measure(series, accuracy, found.accuracy);
    }
}

/// What a training in mini-batches measured, one number an epoch: [`TRAIN_LOSS`] and
/// [`TRAIN_ACCURACY`], means over the epoch's samples while training; [`TEST_LOSS`] and
/// [`TEST_ACCURACY`], after each tested epoch, over the whole test set; and what the observer added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    pub series: Series,
    pub epochs_run: u64,
    /// The loss was no longer a finite number, and the training ended.
    pub diverged: bool,
}

/// Trains epoch by epoch, from where `keeper` left off, and tests every so many epochs, and after the last one.
/// `after_epoch` sees each epoch, counted from 1, and the series so far, to which it may add its own with [`measure`],
/// and may end the training there.
///
/// # Errors
/// Those of `keeper` and of `after_epoch`; [`crate::store::checkpoint::Unfit`] where the keeper's state is not
/// this training's.
pub fn train_in_batches<K: Checkpointer>(
    splits: &mut Splits,
    optimizer: &mut Optimizer,
    batches: &MiniBatches,
    (epochs, every): (u64, u64),
    keeper: &mut K,
    mut after_epoch: impl FnMut(&mut K, u64, &mut Splits, &mut Series) -> Result<ControlFlow<()>>,
) -> Result<Curves> {
    let mut curves = Curves::default();
    if let Some(mut state) = keeper.resume()? {
        curves.epochs_run = state.counter(EPOCHS)?;
        restore(&state, splits.weights(), optimizer)?;
        let train_loss = state.take_series(TRAIN_LOSS, curves.epochs_run)?;
        curves.series = state.series;
        curves.series.insert(TRAIN_LOSS.to_owned(), train_loss);
    }
    let samples = splits.train.samples();
    let of_epoch = (samples + batches.batch_size - 1) / batches.batch_size;
    let mut on_card =
        mini_batches_on_card(&*splits.train, optimizer, batches.batch_size, curves.epochs_run * of_epoch as u64)?;
    let _turn = if on_card.is_none() { turn(splits.weights().theta.device(), keeper)? } else { None };
    loop {
        let loss = curves.series.get(TRAIN_LOSS).and_then(|losses| losses.last()).copied();
        curves.diverged = loss.is_some_and(|loss| !loss.is_finite());
        if curves.diverged || curves.epochs_run >= epochs {
            return Ok(curves);
        }
        let train = match &mut on_card {
            Some(run) => {
                keeper.check_stop()?;
                let (train, steps) = run.epoch(&order(samples, batches.shuffle, curves.epochs_run))?;
                optimizer.stepped(steps);
                train
            }
            None => {
                let mut batch = 0;
                train_epoch(&mut *splits.train, optimizer, batches, curves.epochs_run, || {
                    batch += 1;
                    keeper.within_epoch(epochs, batch as f64 / of_epoch as f64);
                    keeper.check_stop()
                })?
            }
        };
        evaluated(&mut curves.series, [TRAIN_LOSS, TRAIN_ACCURACY], train);
        curves.epochs_run += 1;
        let is_last = curves.epochs_run == epochs || !train.loss.is_finite();
        if is_last || curves.epochs_run.is_multiple_of(every) {
            let tested = splits.test.evaluate()?;
            evaluated(&mut curves.series, [TEST_LOSS, TEST_ACCURACY], tested);
        }
        // Nothing is kept of an epoch that ends it: going on from there would be one too many.
        if after_epoch(keeper, curves.epochs_run, splits, &mut curves.series)?.is_break() {
            return Ok(curves);
        }
        keeper.epoch_done(curves.epochs_run, epochs, train.loss, &|| {
            state_of(curves.epochs_run, splits.weights(), optimizer, &curves.series)
        })?;
    }
}

/// The rest of a training, after so many steps, on a card; `None` where there is none for it.
///
/// # Errors
/// The card's.
pub fn mini_batches_on_card(
    objective: &dyn Objective,
    optimizer: &mut Optimizer,
    batch_size: i64,
    steps: u64,
) -> Result<Option<MiniBatchRun>> {
    let theta = objective.theta();
    let asked = if has_card(theta) { optimizer.for_card(theta, steps) } else { None };
    let Some((rule, [learning_rate, weight_decay], [first, second])) = asked else { return Ok(None) };
    let state = [&first, &second];
    objective.mini_batches_on_card(&MiniBatchRequest { batch_size, rule, learning_rate, weight_decay, state, steps })
}

#[cfg(test)]
mod tests {
    use super::super::keeper_tests::{Keeper, Stops};
    use super::*;
    use crate::backend::cuda::emulated::with_card;
    use crate::data::{Samples, Signature, Target};
    use crate::model::{Model as _, Network, Weights};
    use crate::objective::tests::{batch, knuth, network, pictures, scrambled};
    use crate::objective::{CrossEntropy, over};
    use tch::{Device, Kind};

    #[test]
    fn an_epoch_of_mini_batches_is_its_batches_one_by_one() {
        let (model, samples) = (network("784-5-10"), batch(70));
        let initial = || model.layout().initial(0, "epoch", Kind::Float, Device::Cpu);
        let mut ours = CrossEntropy::new(&model, initial(), &samples).unwrap();
        let batches = MiniBatches { batch_size: 32, shuffle: Some((3, "epoch")) };
        let mut count = 0;
        let mean = train_epoch(&mut ours, &mut Optimizer::adam(1e-2), &batches, 5, || {
            count += 1;
            Ok(())
        });
        assert_eq!(count, 3);

        let mut adam = Optimizer::adam(1e-2);
        let (mut loss, mut right, theta) = (0.0, 0.0, initial());
        for batch in order(70, Some((3, "epoch")), 5).chunks(32) {
            let (inputs, targets) = samples.batch(&Tensor::from_slice(batch)).unwrap();
            let batch = crate::data::Samples::new(inputs, targets, samples.target);
            // The batch as a set of its own.
            let mut by_hand = over(&model, theta.shallow_clone(), &batch).unwrap();
            let n = batch.len() as f64;
            let found = by_hand.evaluate().unwrap();
            by_hand.loss_and_gradient().unwrap();
            adam.step(by_hand.theta(), by_hand.gradient());
            loss += found.loss * n;
            right += found.accuracy * n;
        }
        let mean = mean.unwrap();
        assert!((mean.loss - loss / 70.0).abs() < 1e-6 && (mean.accuracy - right / 70.0).abs() < 1e-12);
        assert!((ours.theta() - theta).abs().max().double_value(&[]) < 1e-6);
    }

    /// A network of other widths than digits', on samples that are waves.
    fn small(widths: &str, n: i64, seed: u64) -> (Network, Splits) {
        let data = Signature { input: vec![12], tokens: None, target: Target::Classes(5) };
        let model = Network::parse(widths, &data).unwrap();
        let samples = |phase: f64| {
            let x = (Tensor::arange(n * 12, (Kind::Float, Device::Cpu)) * 0.731 + phase).sin().view([n, 12]);
            let labels = (Tensor::arange(n, (Kind::Int64, Device::Cpu)) * 7).remainder(5);
            Samples::new(x, labels, Target::Classes(5))
        };
        let weights = Weights::initial(&model.layout(), seed, "card", Kind::Float, Device::Cpu);
        let splits = Splits::new(&model, weights, [&samples(0.0), &samples(0.4)]).unwrap();
        (model, splits)
    }

    #[test]
    fn a_card_trains_as_the_cpu_does_and_goes_on_to_the_same_bits() {
        let optimizers: [fn() -> Optimizer; 3] =
            [|| Optimizer::adam(1e-2), || Optimizer::sgd(0.05, 0.9).weight_decay(1e-2), || Optimizer::sgd(0.05, 0.0)];
        for (widths, n) in [("12-7-6-5", 70), ("12-5", 64), ("12-9-5", 20)] {
            for optimizer in optimizers {
                let run = |keeper: &mut Keeper| {
                    let (_, mut splits) = small(widths, n, 3);
                    let batches = MiniBatches { batch_size: 32, shuffle: Some((3, "card")) };
                    let go_on = |_: &mut Keeper, _, _: &mut Splits, _: &mut Series| Ok(ControlFlow::Continue(()));
                    loop {
                        let (splits, mut adam) = (&mut splits, optimizer());
                        match train_in_batches(splits, &mut adam, &batches, (3, 1), keeper, go_on) {
                            Ok(curves) => return (curves, splits.weights().theta.copy()),
                            Err(error) => assert!(error.is::<crate::error::Interrupted>()),
                        }
                    }
                };
                let (expected, theta) = run(&mut Keeper::that_stops(Stops::Always));
                let whole = || {
                    let (_, mut splits) = small(widths, n, 3);
                    let batches = MiniBatches { batch_size: 32, shuffle: Some((3, "card")) };
                    let go_on = |_: &mut (), _, _: &mut Splits, _: &mut Series| Ok(ControlFlow::Continue(()));
                    let curves = train_in_batches(&mut splits, &mut optimizer(), &batches, (3, 1), &mut (), go_on);
                    (curves.unwrap(), splits.weights().theta.copy())
                };
                let found = with_card(2, |_| whole());
                assert_eq!(with_card(1, |_| run(&mut Keeper::that_stops(Stops::Always))), found, "{widths}");
                for (name, values) in &expected.series {
                    let near = values.iter().zip(&found.0.series[name]).all(|(a, b)| (a - b).abs() <= 1e-4 * a.abs());
                    assert!(near, "{name} of {widths}: {:?} and {values:?}", found.0.series[name]);
                }
                assert!((found.1 - theta).abs().max().double_value(&[]) < 1e-4, "{widths}");
            }
        }
    }

    /// The twelve batches of tests/goldens/make.py as an epoch of a card.
    #[test]
    fn an_epoch_on_a_card_is_pytorchs() {
        #[derive(serde::Deserialize)]
        struct Golden {
            model: String,
            batch_size: i64,
            loss: Vec<f64>,
        }
        let goldens: Vec<Golden> = serde_json::from_str(include_str!("../../tests/goldens/classifiers.json")).unwrap();
        let golden = goldens.iter().find(|golden| golden.model == "784-128-64-10").unwrap();
        let n = golden.batch_size * golden.loss.len() as i64;
        let pixels: Vec<f64> = (1..=n as u64 * 784).map(knuth).collect();
        let (model, samples) = (network(&golden.model), pictures(&Tensor::from_slice(&pixels)));
        let layout = model.layout();
        let weights = Weights::initial(&layout, 0, "golden", Kind::Float, Device::Cpu).at(scrambled(&layout));
        let mut splits = Splits::new(&model, weights, [&samples, &samples]).unwrap();
        let batches = MiniBatches { batch_size: golden.batch_size, shuffle: None };
        let go_on = |_: &mut (), _, _: &mut Splits, _: &mut Series| Ok(ControlFlow::Continue(()));
        let mut adam = Optimizer::adam(1e-3);
        let by_card = with_card(3, |_| {
            assert!(mini_batches_on_card(&*splits.train, &mut adam, golden.batch_size, 0).unwrap().is_some());
            train_in_batches(&mut splits, &mut adam, &batches, (1, 1), &mut (), go_on).unwrap()
        });
        let expected = golden.loss.iter().sum::<f64>() / golden.loss.len() as f64;
        let found = by_card.series[TRAIN_LOSS].last().unwrap();
        assert!((found - expected).abs() < 1e-6 * expected, "{found} and {expected}");
    }
}
