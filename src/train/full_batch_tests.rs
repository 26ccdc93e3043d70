//! Full-batch trainings against closed forms, and in blocks of any length.

use super::block::Epoch;
use super::full_batch::{Begun, train_in_blocks};
use super::keeper_tests::{Keeper, Stops};
use super::{Below, Convergence, Ending, Optimizer, Stopping, Trained};
use crate::model::{Layout, Mlp, Weights};
use crate::objective::{MeanSquaredError, Objective, Scalar, tests::columns};
use crate::store::checkpoint::Checkpointer;
use anyhow::Result;
use tch::Tensor;

/// f(θ, x) = θ₀x + θ₁ on two points: a quadratic with a known minimum.
fn line(initial: [f64; 2], y: [f64; 2]) -> MeanSquaredError {
    let x = Tensor::from_slice(&[-1.0, 1.0]).view([1, 2]);
    let points = columns(&x, &Tensor::from_slice(&y).view([1, 2]));
    MeanSquaredError::new(&"1-1".parse::<Mlp>().unwrap().network(), Tensor::from_slice(&initial), &points).unwrap()
}

/// [`super::train`], which lets something else observe.
fn train(
    objective: &mut dyn Objective,
    optimizer: &mut Optimizer,
    epochs: u64,
    stopping: &Stopping,
    keeper: &mut impl Checkpointer,
    observe: impl FnMut(&mut Epoch) -> Result<()>,
) -> Result<Trained> {
    let begun = Begun::resume(objective, optimizer, keeper)?;
    train_in_blocks(objective, optimizer, epochs, stopping, keeper, observe, (1, begun))
}

fn go_on(_: &mut Epoch) -> Result<()> {
    Ok(())
}

const NEVER: &Stopping = &Stopping::NEVER;

fn quiet(tolerance: f64, patience: u64) -> Stopping {
    Stopping { convergence: Convergence { tolerance, patience }, below: None }
}

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
        let rule = quiet(1e-5, patience);
        let training = train(&mut objective, &mut Optimizer::sgd(0.1, 0.0), 100, &rule, &mut (), go_on).unwrap();
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
        let rule = quiet(0.02, patience);
        train(&mut objective, &mut Optimizer::sgd(0.05, 0.9), 500, &rule, &mut (), go_on).unwrap().train_loss.len()
    };
    assert!(losses(1) < losses(5), "{} and {}", losses(1), losses(5));
}

#[test]
fn divergence_ends_a_training_and_keeps_its_finite_losses() {
    let mut objective = line([3.0, -1.0], [1.0, 2.0]);
    let mut seen = 0;
    let training = train(&mut objective, &mut Optimizer::sgd(1e6, 0.0), 1000, NEVER, &mut (), |_| {
        seen += 1;
        Ok(())
    });
    let training = training.unwrap();
    assert_eq!(training.ending, Ending::Diverged);
    assert_eq!(seen + 1, training.train_loss.len(), "a loss that is no number is no observer's");
    let (last, before) = training.train_loss.split_last().unwrap();
    assert!(!last.is_finite() && !before.is_empty() && before.iter().all(|loss| loss.is_finite()));
}

#[test]
fn an_error_of_the_observer_ends_the_training() {
    let mut objective = line([3.0, -1.0], [1.0, 2.0]);
    let result = train(&mut objective, &mut Optimizer::adam(0.1), 10, NEVER, &mut (), |now| {
        anyhow::ensure!(now.epoch < 3, "enough");
        Ok(())
    });
    assert_eq!(result.unwrap_err().to_string(), "enough");
}

/// [`line`], whose numbers are as if on a device: read when they are asked for.
struct Far(MeanSquaredError);

impl Objective for Far {
    fn layout(&self) -> &Layout {
        self.0.layout()
    }

    fn weights(&self) -> &Weights {
        self.0.weights()
    }

    fn samples(&self) -> i64 {
        self.0.samples()
    }

    fn gradient(&self) -> &Tensor {
        self.0.gradient()
    }

    fn loss_and_gradient(&mut self) -> Result<Scalar> {
        Ok(far(self.0.loss_and_gradient()?.get()?))
    }
}

fn far(value: f64) -> Scalar {
    Scalar::Device(Tensor::from(value))
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// How a training of [`line`] ends in all the ways there are.
struct Case {
    optimizer: fn() -> Optimizer,
    stopping: Stopping,
    epochs: u64,
    ending: Ending,
}

fn cases() -> [Case; 7] {
    let below = |threshold| Stopping { below: Some(Below { series: "norm", threshold }), ..Stopping::NEVER };
    let case = |optimizer, stopping, epochs, ending| Case { optimizer, stopping, epochs, ending };
    [
        case(|| Optimizer::adam(0.3), quiet(0.05, 3), 40, Ending::Converged),
        case(|| Optimizer::sgd(0.05, 0.9), below(0.4), 300, Ending::Below),
        case(|| Optimizer::adam(0.3), below(0.1), 300, Ending::Below),
        case(|| Optimizer::sgd(0.1, 0.0), *NEVER, 24, Ending::LastEpoch),
        case(|| Optimizer::sgd(0.1, 0.0), quiet(1e-2, 1), 124, Ending::Converged),
        case(|| Optimizer::sgd(1e60, 0.0), quiet(0.05, 3), 30, Ending::Diverged),
        case(|| Optimizer::sgd(1e6, 0.0), *NEVER, 130, Ending::Diverged),
    ]
}

/// Of a training, all numbers in bits.
#[derive(Debug, PartialEq)]
struct Outcome {
    theta: Vec<u64>,
    losses: Vec<u64>,
    measured: [Vec<u64>; 2],
    ending: Ending,
}

impl Case {
    fn run(&self, keeper: &mut impl Checkpointer, block: u64) -> Result<Outcome> {
        let mut objective = Far(line([3.0, -1.0], [1.0, 2.0]));
        let mut optimizer = (self.optimizer)();
        let observe = |now: &mut Epoch| {
            now.measure("norm", far(now.gradient.norm().double_value(&[])));
            if now.epoch.is_multiple_of(3) {
                now.measure("third", now.theta.double_value(&[0]));
            }
            Ok(())
        };
        let Self { stopping, epochs, .. } = self;
        let begun = Begun::resume(&objective, &mut optimizer, keeper)?;
        let mut training =
            train_in_blocks(&mut objective, &mut optimizer, *epochs, stopping, keeper, observe, (block, begun))?;
        Ok(Outcome {
            theta: bits(&Vec::<f64>::try_from(objective.theta()).unwrap()),
            measured: ["norm", "third"].map(|name| bits(&training.take(name))),
            losses: bits(&training.train_loss),
            ending: training.ending,
        })
    }
}

#[test]
fn a_training_is_the_same_in_blocks_of_any_length() {
    for (index, case) in cases().iter().enumerate() {
        let one_by_one = case.run(&mut (), 1).unwrap();
        let epochs = one_by_one.losses.len();
        assert_eq!(one_by_one.ending, case.ending, "case {index}: {epochs} epochs");
        for block in [2, 7, 10, 100] {
            assert!(case.run(&mut (), block).unwrap() == one_by_one, "case {index} in blocks of {block}: {epochs}");
        }
    }
    // They end at the first, the last and an inner epoch of some block.
    let ends: std::collections::BTreeSet<usize> =
        cases().iter().map(|case| case.run(&mut (), 1).unwrap().losses.len() % 7).collect();
    assert!(ends.len() > 3, "{ends:?}");
}

#[test]
fn an_ending_at_each_epoch_of_a_block_is_that_of_blocks_of_one() {
    for patience in 1..9 {
        for (tolerance, epochs) in [(1e9, 30), (0.0, patience)] {
            let stopping = quiet(tolerance, patience);
            let case = Case { optimizer: || Optimizer::adam(0.3), stopping, epochs, ending: Ending::LastEpoch };
            let one_by_one = case.run(&mut (), 1).unwrap();
            assert_eq!(one_by_one.losses.len() as u64, if tolerance > 0.0 { 1 + patience } else { epochs });
            assert!(case.run(&mut (), 7).unwrap() == one_by_one, "{tolerance}, {patience}");
        }
    }
}

#[test]
fn an_error_of_the_observer_past_the_end_is_none() {
    let run = |fails_at: u64, block| {
        let mut objective = Far(line([3.0, -1.0], [1.0, 2.0]));
        let mut seen = 0;
        let observe = |now: &mut Epoch| {
            seen += 1;
            anyhow::ensure!(now.epoch < fails_at, "epoch {fails_at}");
            Ok(())
        };
        let mut optimizer = Optimizer::adam(0.3);
        let rule = quiet(1e9, 4);
        let begun = Begun::resume(&objective, &mut optimizer, &mut ()).unwrap();
        let trained = train_in_blocks(&mut objective, &mut optimizer, 30, &rule, &mut (), observe, (block, begun));
        let theta = Vec::<f64>::try_from(objective.theta()).unwrap();
        (trained.map(|trained| trained.train_loss).map_err(|error| error.to_string()), theta, seen)
    };
    let whole = run(30, 1);
    assert_eq!(whole.0.as_ref().unwrap().len(), 5);
    for fails_at in 0..8 {
        let (found, theta, seen) = run(fails_at, 7);
        assert!(seen <= fails_at + 1);
        if fails_at < 5 {
            assert_eq!(found, Err(format!("epoch {fails_at}")));
        } else {
            assert_eq!((found, theta), (whole.0.clone(), whole.1.clone()), "{fails_at}");
        }
    }
}

#[test]
fn a_training_stopped_after_any_epoch_goes_on_as_if_it_never_had() {
    for case in cases() {
        let whole = case.run(&mut Keeper::default(), 1).unwrap();
        let epochs = whole.losses.len() as u64;
        for block in [1, 2, 7, 100] {
            let mut stopped = 0;
            for after in 1..=epochs {
                let mut keeper = Keeper::that_stops(Stops::After(after));
                match case.run(&mut keeper, block) {
                    Err(_) => {
                        stopped += 1;
                        // It goes on from there, and is not stopped again: not in blocks of another length either.
                        let mut again = Keeper { kept: keeper.kept.clone(), ..Keeper::default() };
                        assert!(case.run(&mut keeper, block).unwrap() == whole, "after {after} of {epochs}");
                        assert!(case.run(&mut again, 5).unwrap() == whole, "after {after} of {epochs}");
                    }
                    Ok(ended) => assert!(ended == whole),
                }
            }
            assert!(stopped + 1 >= epochs / block, "{stopped} of {epochs} in blocks of {block}");
        }
    }
}

#[test]
fn a_block_does_not_outlast_a_signal() {
    for case in cases() {
        let whole = case.run(&mut (), 1).unwrap();
        let mut keeper = Keeper::that_stops(Stops::AtOnce);
        assert!(case.run(&mut keeper, 100).is_err_and(|error| error.is::<crate::error::Interrupted>()));
        assert_eq!(keeper.done, 1);
        let mut again = Keeper { kept: keeper.kept, ..Keeper::default() };
        assert!(case.run(&mut again, 100).unwrap() == whole);
    }
}

#[test]
fn a_state_of_another_training_is_refused() {
    let train_with = |keeper: &mut Keeper, initial: &[f64]| {
        let model = if initial.len() == 2 { "1-1" } else { "1-2-1" };
        let (x, y) = (Tensor::from_slice(&[-1.0, 1.0]).view([1, 2]), Tensor::from_slice(&[0.0, 1.0]).view([1, 2]));
        let network = model.parse::<Mlp>().unwrap().network();
        let mut objective = MeanSquaredError::new(&network, Tensor::from_slice(initial), &columns(&x, &y)).unwrap();
        train(&mut objective, &mut Optimizer::adam(0.1), 9, NEVER, keeper, go_on)
    };
    let mut keeper = Keeper::that_stops(Stops::After(4));
    assert!(train_with(&mut keeper, &[0.0; 2]).unwrap_err().is::<crate::error::Interrupted>());
    assert!(train_with(&mut keeper, &[0.0; 7]).unwrap_err().is::<crate::store::checkpoint::Unfit>());
}

#[test]
fn the_observer_sees_loss_and_gradient_at_one_theta_and_a_number_below_the_threshold_ends_there() {
    let mut objective = line([3.0, -1.0], [1.0, 2.0]);
    let mut last = Vec::new();
    let below = Some(Below { series: "norm", threshold: 1e-3 });
    let rule = Stopping { below, ..Stopping::NEVER };
    let training = train(&mut objective, &mut Optimizer::sgd(0.1, 0.0), 100, &rule, &mut (), |now| {
        let theta: Vec<f64> = now.theta.try_into()?;
        // Hessian 2I: L = ‖θ - θ*‖² + L*, ∇L = 2(θ - θ*), θ* = (1/2, 3/2), L* = 0.
        let (a, b) = (theta[0] - 0.5, theta[1] - 1.5);
        assert!((now.loss.get()? - (a * a + b * b)).abs() < 1e-13);
        let norm = now.gradient.norm().double_value(&[]);
        assert!((norm - 2.0 * (a * a + b * b).sqrt()).abs() < 1e-13);
        last = theta;
        now.measure("loss", 0.0);
        now.measure("norm", norm);
        Ok(())
    });
    let training = training.unwrap();
    assert_eq!(training.ending, Ending::Below);
    let (last_norm, before) = training.measured["norm"].split_last().unwrap();
    assert!(*last_norm < 1e-3 && before.iter().all(|norm| *norm >= 1e-3));
    assert_eq!(training.measured["norm"].len(), training.train_loss.len());
    assert_eq!(Vec::<f64>::try_from(objective.theta()).unwrap(), last);
}
