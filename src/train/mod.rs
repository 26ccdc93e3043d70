//! Training on one flat θ: the loop over epochs, the optimizers, the rule that ends a training, and
//! the state from which one goes on. Knows objectives and tensors, nothing of experiments, files or
//! progress bars.

use crate::backend::cpu::adam;
use crate::data::batches::{Samples, order};
use crate::objective::{Accuracy, BatchSums, CrossEntropy, Objective, in_kernels, numbers};
use crate::store::checkpoint::{Checkpointer, EPOCHS, Series, State};
use crate::store::weights::NamedTensor;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use tch::Tensor;

/// The optimizers by their names in the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerName {
    Adam,
    Sgd,
}

impl OptimizerName {
    /// As in the settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Adam => "adam",
            Self::Sgd => "sgd",
        }
    }

    /// The optimizer of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Adam, Self::Sgd].into_iter().find(|optimizer| optimizer.name() == name)
    }

    /// The optimizer with PyTorch's defaults for all but the learning rate.
    #[must_use]
    pub fn with_learning_rate(self, learning_rate: f64) -> Optimizer {
        match self {
            Self::Adam => Optimizer::adam(learning_rate),
            Self::Sgd => Optimizer::sgd(learning_rate, 0.0),
        }
    }
}

/// An optimizer with its state: flat tensors beside θ, changed in place.
pub struct Optimizer {
    rule: Rule,
    learning_rate: f64,
    weight_decay: f64,
}

enum Rule {
    Adam { step: i32, moments: Option<Moments> },
    Sgd { momentum: f64, velocity: Option<Tensor> },
}

/// Adam's running means, and room for one step's denominator.
struct Moments {
    mean: Tensor,
    mean_of_squares: Tensor,
    denominator: Tensor,
}

// torch.optim.Adam's defaults.
const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

impl Optimizer {
    /// Adam (Kingma & Ba 2015) with β = (0.9, 0.999), ε = 1e-8, as `torch.optim.Adam`.
    #[must_use]
    pub fn adam(learning_rate: f64) -> Self {
        Self { rule: Rule::Adam { step: 0, moments: None }, learning_rate, weight_decay: 0.0 }
    }

    /// Stochastic gradient descent with heavy-ball momentum, as `torch.optim.SGD`.
    #[must_use]
    pub fn sgd(learning_rate: f64, momentum: f64) -> Self {
        Self { rule: Rule::Sgd { momentum, velocity: None }, learning_rate, weight_decay: 0.0 }
    }

    /// Adds `weight_decay` · θ to every gradient (L2 regularisation, as both of PyTorch's do).
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// One step on `theta`, in place. `gradient` serves as scratch space and is lost.
    ///
    /// # Panics
    /// Where they are not of the length that the optimizer began with, or, in the kernels, share memory.
    pub fn step(&mut self, theta: &Tensor, gradient: &Tensor) {
        let _no_grad = tch::no_grad_guard();
        let (mut theta, mut gradient) = (theta.shallow_clone(), gradient.shallow_clone());
        if self.weight_decay != 0.0 {
            let _ = gradient.g_add_(&(&theta * self.weight_decay));
        }
        match &mut self.rule {
            Rule::Adam { step, moments } => {
                // Beyond that many its corrections are 1 to the last bit.
                *step = step.saturating_add(1);
                let moments = moments.get_or_insert_with(|| Moments::zero(&theta));
                if in_kernels(&theta) {
                    moments.step_in_kernel(*step, self.learning_rate, &theta, &gradient);
                } else {
                    moments.step(*step, self.learning_rate, &mut theta, &mut gradient);
                }
            }
            Rule::Sgd { momentum, velocity } => {
                let direction = if *momentum == 0.0 {
                    &mut gradient
                } else if let Some(velocity) = velocity {
                    let _ = velocity.g_mul_scalar_(*momentum);
                    let _ = velocity.g_add_(&gradient);
                    velocity
                } else {
                    // PyTorch's first step takes the gradient itself.
                    velocity.insert(gradient.copy())
                };
                let _ = theta.g_sub_(&(&*direction * self.learning_rate));
            }
        }
    }

    /// Adds what the next step depends on besides θ and the gradient.
    fn save(&self, state: &mut State) -> Result<()> {
        let mut add = |name: &str, tensor| -> Result<()> {
            state.tensors.insert(name.to_owned(), NamedTensor::copy_of(tensor)?);
            Ok(())
        };
        match &self.rule {
            Rule::Adam { step, moments } => {
                if let Some(moments) = moments {
                    add(MEAN, &moments.mean)?;
                    add(MEAN_OF_SQUARES, &moments.mean_of_squares)?;
                }
                state.counters.insert(STEPS.to_owned(), u64::try_from(*step)?);
            }
            Rule::Sgd { velocity, .. } => {
                if let Some(velocity) = velocity {
                    add(VELOCITY, velocity)?;
                }
            }
        }
        Ok(())
    }

    /// Takes the place of the optimizer that [`Self::save`]d, for a θ like this one.
    fn restore(&mut self, state: &State, theta: &Tensor) -> Result<()> {
        match &mut self.rule {
            Rule::Adam { step, moments } => {
                *step = i32::try_from(state.counter(STEPS)?)?;
                if *step > 0 {
                    let moments = moments.insert(Moments::zero(theta));
                    state.restore(MEAN, &moments.mean)?;
                    state.restore(MEAN_OF_SQUARES, &moments.mean_of_squares)?;
                }
            }
            Rule::Sgd { velocity, .. } => {
                if state.tensors.contains_key(VELOCITY) {
                    state.restore(VELOCITY, velocity.insert(theta.zeros_like()))?;
                }
            }
        }
        Ok(())
    }
}

// An optimizer's state, by name.
const STEPS: &str = "steps";
const MEAN: &str = "mean";
const MEAN_OF_SQUARES: &str = "mean_of_squares";
const VELOCITY: &str = "velocity";

// A training's own, beside it.
const THETA: &str = "theta";
const QUIET_EPOCHS: &str = "quiet_epochs";

impl Moments {
    fn zero(theta: &Tensor) -> Self {
        let denominator = if in_kernels(theta) { Tensor::new() } else { theta.zeros_like() };
        Self { mean: theta.zeros_like(), mean_of_squares: theta.zeros_like(), denominator }
    }

    /// m ← m + (1-β₁)(g - m); v ← β₂v + (1-β₂)g²; θ ← θ - η/(1-β₁ᵗ) · m / (√v/√(1-β₂ᵗ) + ε).
    ///
    /// In one pass over the memory, in float32 on a CPU.
    fn step_in_kernel(&mut self, step: i32, learning_rate: f64, theta: &Tensor, gradient: &Tensor) {
        let step = adam::Step {
            beta_1: BETA_1,
            beta_2: BETA_2,
            root_of_correction: (1.0 - BETA_2.powi(step)).sqrt(),
            step_size: learning_rate / (1.0 - BETA_1.powi(step)),
            epsilon: EPSILON,
        };
        // SAFETY: the moments are this optimizer's own; θ and its gradient are the caller's, who does nothing else
        // with them during the step. That they are apart is checked.
        let ([gradient], [theta, mean, squares]) =
            unsafe { numbers([gradient], [theta, &self.mean, &self.mean_of_squares]) };
        step.run(theta, gradient, mean, squares);
    }

    /// Anywhere, in any kind: the same by libtorch's operations.
    ///
    /// tch's `addcmul_` and `addcdiv_` take no factor, so the factors are multiplied into g and
    /// into the denominator: eight operations in place, whatever the number of layers.
    fn step(&mut self, step: i32, learning_rate: f64, theta: &mut Tensor, gradient: &mut Tensor) {
        let _ = self.mean.lerp_(gradient, 1.0 - BETA_1);
        let _ = gradient.g_mul_scalar_((1.0 - BETA_2).sqrt());
        let _ = self.mean_of_squares.g_mul_scalar_(BETA_2);
        let _ = self.mean_of_squares.addcmul_(gradient, gradient);

        let step_size = learning_rate / (1.0 - BETA_1.powi(step));
        let root_of_correction = (1.0 - BETA_2.powi(step)).sqrt();
        let _ = self.mean_of_squares.sqrt_out(&self.denominator);
        let _ = self.denominator.g_mul_scalar_(-1.0 / (root_of_correction * step_size));
        let _ = self.denominator.g_add_scalar_(-EPSILON / step_size);
        let _ = theta.addcdiv_(&self.mean, &self.denominator);
    }
}

/// When a full-batch training counts as converged: the loss changed by less than `tolerance`
/// from one epoch to the next, `patience` epochs in a row. A tolerance of 0 never stops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Convergence {
    pub tolerance: f64,
    pub patience: u64,
}

impl Convergence {
    pub const NEVER: Self = Self { tolerance: 0.0, patience: 1 };
}

/// Why a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Converged,
    LastEpoch,
    /// The observer ended it.
    Observer,
    /// The loss was no longer a finite number.
    Diverged,
}

/// What a training left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// One loss an epoch, taken before that epoch's step: the first belongs to the initial θ.
    pub train_loss: Vec<f64>,
    /// What the observer measured: see [`Epoch::measure`].
    pub measured: Series,
    pub ending: Ending,
}

impl Trained {
    /// What the observer measured under this name; nothing where it saw no epoch.
    #[must_use]
    pub fn take(&mut self, name: &str) -> Vec<f64> {
        self.measured.remove(name).unwrap_or_default()
    }

    /// Whether it converged while the loss had fallen by less than a tenth.
    #[must_use]
    pub fn stopped_on_plateau(&self) -> bool {
        match (self.ending, self.train_loss.first(), self.train_loss.last()) {
            (Ending::Converged, Some(first), Some(last)) => *last > 0.9 * first,
            _ => false,
        }
    }
}

/// What an observer of a full-batch training sees of an epoch, before its step: loss and gradient
/// belong to this θ.
pub struct Epoch<'a> {
    /// Counted from 0.
    pub epoch: u64,
    pub loss: f64,
    pub theta: &'a Tensor,
    pub gradient: &'a Tensor,
    measured: &'a mut Series,
}

impl Epoch<'_> {
    /// Notes a number of this epoch for [`Trained::measured`]. An observer that keeps its numbers
    /// elsewhere would lose those from before an interruption.
    pub fn measure(&mut self, name: &str, value: f64) {
        measure(self.measured, name, value);
    }
}

/// Adds a number to the series of that name.
pub fn measure(series: &mut Series, name: &str, value: f64) {
    match series.get_mut(name) {
        Some(values) => values.push(value),
        None => drop(series.insert(name.to_owned(), vec![value])),
    }
}

/// θ, the optimizer and what was measured after some epochs.
fn state_of(epochs: u64, theta: &Tensor, optimizer: &Optimizer, series: &Series) -> Result<State> {
    let mut state = State { series: series.clone(), ..State::default() };
    state.tensors.insert(THETA.to_owned(), NamedTensor::copy_of(theta)?);
    state.counters.insert(EPOCHS.to_owned(), epochs);
    optimizer.save(&mut state)?;
    Ok(state)
}

/// Trains for at most `epochs` full-batch steps, from where `keeper` left off. `observe` sees each
/// epoch before its step and may end the training there, θ as it saw it.
///
/// # Errors
/// Those of `keeper` and of `observe`; [`crate::store::checkpoint::Unfit`] where the keeper's state is not
/// this training's.
pub fn train(
    objective: &mut impl Objective,
    optimizer: &mut Optimizer,
    epochs: u64,
    convergence: Convergence,
    keeper: &mut impl Checkpointer,
    mut observe: impl FnMut(&mut Epoch) -> Result<ControlFlow<()>>,
) -> Result<Trained> {
    let mut training = Trained { train_loss: Vec::new(), measured: Series::new(), ending: Ending::LastEpoch };
    let (mut epoch, mut quiet_epochs) = (0, 0);
    if let Some(mut state) = keeper.resume()? {
        (epoch, quiet_epochs) = (state.counter(EPOCHS)?, state.counter(QUIET_EPOCHS)?);
        state.restore(THETA, objective.theta())?;
        optimizer.restore(&state, objective.theta())?;
        training.train_loss = state.take_series(TRAIN_LOSS, epoch)?;
        training.measured = state.series;
    }
    loop {
        if quiet_epochs >= convergence.patience {
            training.ending = Ending::Converged;
            break;
        }
        if epoch >= epochs {
            break;
        }
        let loss = objective.loss_and_gradient();
        let change = training.train_loss.last().map(|before| (loss - before).abs());
        training.train_loss.push(loss);
        if !loss.is_finite() {
            training.ending = Ending::Diverged;
            break;
        }
        let (theta, gradient) = (objective.theta(), objective.gradient());
        if observe(&mut Epoch { epoch, loss, theta, gradient, measured: &mut training.measured })?.is_break() {
            training.ending = Ending::Observer;
            break;
        }
        optimizer.step(theta, gradient);
        quiet_epochs = if change.is_some_and(|change| change < convergence.tolerance) { quiet_epochs + 1 } else { 0 };
        epoch += 1;
        keeper.epoch_done(epoch, epochs, loss, &|| {
            let mut state = state_of(epoch, theta, optimizer, &training.measured)?;
            state.counters.insert(QUIET_EPOCHS.to_owned(), quiet_epochs);
            state.series.insert(TRAIN_LOSS.to_owned(), training.train_loss.clone());
            Ok(state)
        })?;
    }
    Ok(training)
}

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

/// Trains a classifier epoch by epoch, from where `keeper` left off. `after_epoch` sees each epoch,
/// counted from 1, and the series so far, to which it may add its own with [`measure`], and may end the training
/// there.
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
    use crate::objective::MeanSquaredError;
    use tch::{Device, Kind};

    /// f(θ, x) = θ₀x + θ₁ on two points: a quadratic with a known minimum.
    fn line(initial: [f64; 2], y: [f64; 2]) -> MeanSquaredError {
        let x = Tensor::from_slice(&[-1.0, 1.0]).view([1, 2]);
        let y = Tensor::from_slice(&y).view([1, 2]);
        MeanSquaredError::new(&"1-1".parse().unwrap(), Tensor::from_slice(&initial), &x, &y)
    }

    fn go_on(_: &mut Epoch) -> Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }

    const NEVER: Convergence = Convergence::NEVER;

    #[test]
    fn gradient_descent_contracts_a_quadratic_as_the_closed_form_says() {
        // L = (θ₁-θ₀-y₀)²/2 + (θ₀+θ₁-y₁)²/2, Hessian 2I: each step multiplies the error by 1-2η.
        let mut objective = line([3.0, -1.0], [1.0, 2.0]);
        let training = train(&mut objective, &mut Optimizer::sgd(0.1, 0.0), 20, NEVER, &mut (), go_on).unwrap();
        assert_eq!(training.ending, Ending::LastEpoch);
        assert_eq!(training.train_loss.len(), 20);
        for (epoch, loss) in training.train_loss.iter().enumerate() {
            let expected = training.train_loss[0] * 0.8f64.powi(2 * epoch as i32);
            assert!((loss - expected).abs() < 1e-14, "epoch {epoch}: {loss} against {expected}");
        }
    }

    #[test]
    fn the_first_loss_belongs_to_the_initial_weights() {
        let mut objective = line([0.0, 0.0], [1.0, 3.0]);
        let training = train(&mut objective, &mut Optimizer::adam(0.1), 1, NEVER, &mut (), go_on).unwrap();
        assert_eq!(training.train_loss, [5.0]);
    }

    #[test]
    fn convergence_waits_for_patience_epochs_in_a_row() {
        // At the minimum already: every change is 0.
        for patience in [1, 4] {
            let mut objective = line([0.5, 1.5], [1.0, 2.0]);
            let rule = Convergence { tolerance: 1e-5, patience };
            let training = train(&mut objective, &mut Optimizer::sgd(0.1, 0.0), 100, rule, &mut (), go_on).unwrap();
            assert_eq!(training.ending, Ending::Converged);
            assert_eq!(training.train_loss.len() as u64, 1 + patience);
        }
        // A tolerance of 0 never stops, not even there.
        let mut objective = line([0.5, 1.5], [1.0, 2.0]);
        let training = train(&mut objective, &mut Optimizer::sgd(0.1, 0.0), 30, NEVER, &mut (), go_on).unwrap();
        assert_eq!((training.ending, training.train_loss.len()), (Ending::LastEpoch, 30));
    }

    #[test]
    fn a_quiet_epoch_between_loud_ones_does_not_count() {
        // Momentum overshoots: the loss turns round, quiet at the top of its swing.
        let losses = |patience| {
            let mut objective = line([3.0, -1.0], [1.0, 2.0]);
            let rule = Convergence { tolerance: 0.02, patience };
            train(&mut objective, &mut Optimizer::sgd(0.05, 0.9), 500, rule, &mut (), go_on).unwrap().train_loss.len()
        };
        assert!(losses(1) < losses(5), "{} and {}", losses(1), losses(5));
    }

    #[test]
    fn divergence_ends_a_training_and_keeps_its_finite_losses() {
        let mut objective = line([3.0, -1.0], [1.0, 2.0]);
        let training = train(&mut objective, &mut Optimizer::sgd(1e6, 0.0), 1000, NEVER, &mut (), go_on).unwrap();
        assert_eq!(training.ending, Ending::Diverged);
        let (last, before) = training.train_loss.split_last().unwrap();
        assert!(!last.is_finite() && !before.is_empty() && before.iter().all(|loss| loss.is_finite()));
    }

    #[test]
    fn a_plateau_is_convergence_with_the_loss_hardly_fallen() {
        let ended = |losses: &[f64], ending| Trained { train_loss: losses.to_vec(), measured: Series::new(), ending };
        assert!(ended(&[1.0, 0.95], Ending::Converged).stopped_on_plateau());
        assert!(!ended(&[1.0, 0.5], Ending::Converged).stopped_on_plateau());
        assert!(!ended(&[1.0, 0.95], Ending::LastEpoch).stopped_on_plateau());
    }

    #[test]
    fn an_error_of_the_observer_ends_the_training() {
        let mut objective = line([3.0, -1.0], [1.0, 2.0]);
        let result = train(&mut objective, &mut Optimizer::adam(0.1), 10, NEVER, &mut (), |now| {
            anyhow::ensure!(now.epoch < 3, "enough");
            Ok(ControlFlow::Continue(()))
        });
        assert_eq!(result.unwrap_err().to_string(), "enough");
    }

    /// Stops a training after so many epochs, and keeps the state that it had then.
    #[derive(Default)]
    struct Stopper {
        kept: Option<State>,
        after: u64,
    }

    impl Checkpointer for Stopper {
        fn resume(&mut self) -> Result<Option<State>> {
            Ok(self.kept.take())
        }

        fn epoch_done(&mut self, done: u64, _: u64, _: f64, state: &dyn Fn() -> Result<State>) -> Result<()> {
            if done == self.after {
                self.kept = Some(state()?);
                return Err(crate::error::Interrupted.into());
            }
            Ok(())
        }

        fn check_stop(&self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_training_stopped_after_any_epoch_goes_on_as_if_it_never_had() {
        let optimizers: [fn() -> Optimizer; 4] = [
            || Optimizer::adam(0.3),
            || Optimizer::sgd(0.05, 0.9),
            || Optimizer::sgd(0.1, 0.0),
            || Optimizer::sgd(1e60, 0.0),
        ];
        for optimizer in optimizers {
            let run = |keeper: &mut Stopper| {
                let mut objective = line([3.0, -1.0], [1.0, 2.0]);
                let rule = Convergence { tolerance: 0.05, patience: 3 };
                let training = train(&mut objective, &mut optimizer(), 30, rule, keeper, |now| {
                    let norm = now.gradient.norm().double_value(&[]);
                    now.measure("norm", norm);
                    Ok(if norm < 1e-6 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                });
                training.map(|training| {
                    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                    let theta = bits(&Vec::<f64>::try_from(objective.theta()).unwrap());
                    (theta, bits(&training.train_loss), bits(&training.measured["norm"]), training.ending)
                })
            };
            let whole = run(&mut Stopper::default()).unwrap();
            let epochs = whole.1.len() as u64;
            let mut stopped = 0;
            for after in 1..=epochs {
                let mut keeper = Stopper { after, ..Stopper::default() };
                match run(&mut keeper) {
                    Err(_) => {
                        stopped += 1;
                        // It goes on from there, and is not stopped again.
                        assert!(run(&mut keeper).unwrap() == whole, "after {after} of {epochs}");
                    }
                    Ok(ended) => assert!(ended == whole),
                }
            }
            assert!(stopped + 1 >= epochs, "{stopped} of {epochs}");
        }
    }

    #[test]
    fn a_state_of_another_training_is_refused() {
        let train_with = |keeper: &mut Stopper, initial: &[f64]| {
            let model = if initial.len() == 2 { "1-1" } else { "1-2-1" };
            let (x, y) = (Tensor::from_slice(&[-1.0, 1.0]).view([1, 2]), Tensor::from_slice(&[0.0, 1.0]).view([1, 2]));
            let mut objective = MeanSquaredError::new(&model.parse().unwrap(), Tensor::from_slice(initial), &x, &y);
            train(&mut objective, &mut Optimizer::adam(0.1), 9, NEVER, keeper, go_on)
        };
        let mut keeper = Stopper { after: 4, ..Stopper::default() };
        assert!(train_with(&mut keeper, &[0.0; 2]).unwrap_err().is::<crate::error::Interrupted>());
        assert!(train_with(&mut keeper, &[0.0; 7]).unwrap_err().is::<crate::store::checkpoint::Unfit>());
    }

    #[test]
    fn the_observer_sees_loss_and_gradient_at_one_theta_and_may_end_there() {
        let mut objective = line([3.0, -1.0], [1.0, 2.0]);
        let mut last = Vec::new();
        let training = train(&mut objective, &mut Optimizer::sgd(0.1, 0.0), 100, NEVER, &mut (), |now| {
            let theta: Vec<f64> = now.theta.try_into()?;
            // Hessian 2I: L = ‖θ - θ*‖² + L*, ∇L = 2(θ - θ*), θ* = (1/2, 3/2), L* = 0.
            let (a, b) = (theta[0] - 0.5, theta[1] - 1.5);
            assert!((now.loss - (a * a + b * b)).abs() < 1e-13);
            let norm = now.gradient.norm().double_value(&[]);
            assert!((norm - 2.0 * (a * a + b * b).sqrt()).abs() < 1e-13);
            last = theta;
            Ok(if norm < 1e-3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        assert_eq!(training.unwrap().ending, Ending::Observer);
        assert_eq!(Vec::<f64>::try_from(objective.theta()).unwrap(), last);
    }

    /// tests/goldens/optimizers.json, made by tests/goldens/make.py with torch.optim.
    #[derive(Deserialize)]
    struct OptimizerGolden {
        optimizer: OptimizerName,
        learning_rate: f64,
        momentum: f64,
        weight_decay: f64,
        initial: Vec<f64>,
        r#final: Vec<f64>,
    }

    #[test]
    fn weights_that_are_their_own_gradient_are_refused() {
        let theta = Tensor::ones([8], (Kind::Float, Device::Cpu));
        let mut adam = Optimizer::adam(1e-3);
        adam.step(&theta, &theta.copy());
        let [upper, lower] = [0, 3].map(|start| theta.narrow(0, start, 5));
        for (theta, gradient) in [(&theta, &theta.shallow_clone()), (&upper, &lower)] {
            let mut adam = Optimizer::adam(1e-3);
            let step = || adam.step(theta, gradient);
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(step)).is_err());
        }
        // Nor another length than the moments'.
        let step = || adam.step(&upper, &upper.copy());
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(step)).is_err());
    }

    #[test]
    fn optimizers_agree_with_torch_optim_after_50_steps() {
        let goldens: Vec<OptimizerGolden> =
            serde_json::from_str(include_str!("../../tests/goldens/optimizers.json")).unwrap();
        assert_eq!(goldens.len(), 5);
        for golden in goldens {
            let theta = Tensor::from_slice(&golden.initial);
            let mut optimizer = match golden.optimizer {
                OptimizerName::Adam => Optimizer::adam(golden.learning_rate),
                OptimizerName::Sgd => Optimizer::sgd(golden.learning_rate, golden.momentum),
            }
            .weight_decay(golden.weight_decay);
            let scale = Tensor::linspace(0.1, 3.0, theta.numel() as i64, (Kind::Double, Device::Cpu));
            for step in 0..50 {
                // The gradient of the script: not that of any potential, and never settling.
                let gradient = (&theta * &scale + f64::from(step)).sin() * &scale;
                optimizer.step(&theta, &gradient);
            }
            let expected = Tensor::from_slice(&golden.r#final);
            let error = (&theta - &expected).abs().max().double_value(&[]);
            assert!(
                error < 1e-6,
                "{:?} momentum {} weight decay {}: {error}",
                golden.optimizer,
                golden.momentum,
                golden.weight_decay
            );
        }
    }

    #[test]
    fn adam_in_one_pass_is_adam_by_operations() {
        let exact = Tensor::linspace(-1.0, 1.0, 1003, (Kind::Double, Device::Cpu));
        let [mut by_pass, mut by_operations] = [Optimizer::adam(1e-2), Optimizer::adam(1e-2)];
        let fast = exact.to_kind(Kind::Float);
        for step in 0..100 {
            let gradient = (&exact * 3.0 + f64::from(step)).sin() * &exact;
            by_pass.step(&fast, &gradient.to_kind(Kind::Float));
            by_operations.step(&exact, &gradient);
        }
        let error = (fast.to_kind(Kind::Double) - exact).abs().max().double_value(&[]);
        assert!(error < 1e-5, "{error}");
    }

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
