//! Training in full batches: one step an epoch, until the loss converges.

use super::{Convergence, Ending, Optimizer, THETA, TRAIN_LOSS, Trained, measure, state_of};
use crate::objective::Objective;
use crate::store::checkpoint::{Checkpointer, EPOCHS, Series};
use anyhow::Result;
use std::ops::ControlFlow;
use tch::Tensor;

/// Its own counter in a state: epochs in a row with hardly any change.
const QUIET_EPOCHS: &str = "quiet_epochs";

/// What an observer of a full-batch training sees of an epoch, before its step: loss and gradient belong to this θ.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::MeanSquaredError;
    use crate::store::checkpoint::State;

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
}
