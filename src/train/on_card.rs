//! Full-batch trainings that a card runs by itself ([`crate::backend::cuda`]): many steps before anything is looked at.

use super::full_batch::{Begun, GRADIENT_NORM, VALIDATION_LOSS, Watched, state_after};
use super::{Convergence, Ending, Optimizer, Stopping, Trained, measure};
use crate::backend::cuda::full_batch::{Ending as CardEnding, Terms};
use crate::objective::{FullBatchRequest, FullBatchRun, Objective, has_card};
use crate::store::checkpoint::Checkpointer;
use anyhow::Result;

impl Begun {
    /// The rest of it on a card; `None` where there is none for it, or nothing is left to do.
    pub(super) fn on_card(
        &self,
        objective: &dyn Objective,
        optimizer: &mut Optimizer,
        epochs: u64,
        stopping: &Stopping,
        watched: &Watched,
    ) -> Result<Option<FullBatchRun>> {
        let is_known = stopping.below.is_none_or(|below| below.series == GRADIENT_NORM && watched.gradient_norm);
        let Convergence { tolerance, patience } = stopping.convergence;
        if !has_card(objective.theta()) || !is_known || self.epoch >= epochs || self.quiet_epochs >= patience {
            return Ok(None);
        }
        let Some((rule, [learning_rate, weight_decay], [first, second])) =
            optimizer.for_card(objective.theta(), self.epoch)
        else {
            return Ok(None);
        };
        let terms = Terms {
            rule,
            learning_rate,
            weight_decay,
            measures_norm: watched.gradient_norm,
            tolerance,
            patience,
            threshold: stopping.below.map_or(0.0, |below| below.threshold),
            epochs,
            epoch: self.epoch,
            quiet_epochs: self.quiet_epochs,
            last_loss: self.training.train_loss.last().copied(),
        };
        let validation = watched.validation.as_ref().map(|(_, samples)| *samples);
        objective.on_card(&FullBatchRequest { terms, state: [&first, &second], validation })
    }
}

/// The rest of a training, by a card.
///
/// # Errors
/// Those of `keeper`, and the card's.
pub(super) fn train_on_card(
    mut run: FullBatchRun,
    objective: &dyn Objective,
    optimizer: &mut Optimizer,
    epochs: u64,
    keeper: &mut impl Checkpointer,
    begun: Begun,
) -> Result<Trained> {
    let Begun { mut training, .. } = begun;
    loop {
        keeper.check_stop()?;
        let (found, ending) = run.some_epochs()?;
        optimizer.stepped(found.epoch);
        training.train_loss.extend(found.losses);
        for (name, values) in [(VALIDATION_LOSS, found.validation_losses), (GRADIENT_NORM, found.norms)] {
            for value in values {
                measure(&mut training.measured, name, value);
            }
        }
        training.ending = match ending {
            CardEnding::Converged => Ending::Converged,
            CardEnding::Below => Ending::Below,
            CardEnding::Diverged => Ending::Diverged,
            CardEnding::Running | CardEnding::LastEpoch => Ending::LastEpoch,
        };
        let loss = training.train_loss.last().copied().unwrap_or(f64::NAN);
        if !matches!(training.ending, Ending::Below | Ending::Diverged) {
            let done = (found.epoch, found.quiet_epochs);
            keeper.epoch_done(found.epoch, epochs, loss, &|| state_after(done, objective, optimizer, &training))?;
        }
        if ending != CardEnding::Running {
            return Ok(training);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::full_batch::train;
    use super::super::keeper_tests::{Keeper, Stops};
    use super::super::{Below, OptimizerName};
    use super::*;
    use crate::backend::cuda::emulated::{with_card, with_card_that_is_lost};
    use crate::data::functions::{Target, evenly_spaced};
    use crate::error::Interrupted;
    use crate::model::Mlp;
    use crate::objective::MeanSquaredError;
    use crate::objective::tests::{columns, scrambled};
    use tch::{Device, Kind, Tensor};

    #[derive(Clone)]
    struct Case {
        model: &'static str,
        points: i64,
        optimizer: OptimizerName,
        momentum: f64,
        learning_rate: f64,
        weight_decay: f64,
        stopping: Stopping,
        epochs: u64,
        seed: u64,
    }

    const PLAIN: Case = Case {
        model: "1-5-4-1",
        points: 300,
        optimizer: OptimizerName::Adam,
        momentum: 0.0,
        learning_rate: 1e-2,
        weight_decay: 0.0,
        stopping: Stopping::NEVER,
        epochs: 50,
        seed: 0,
    };

    fn below(threshold: f64) -> Stopping {
        Stopping { below: Some(Below { series: GRADIENT_NORM, threshold }), ..Stopping::NEVER }
    }

    fn quiet(tolerance: f64, patience: u64) -> Stopping {
        Stopping { convergence: Convergence { tolerance, patience }, below: None }
    }

    impl Case {
        fn run(&self, keeper: &mut impl Checkpointer) -> Result<(Trained, Tensor)> {
            let mlp: Mlp = self.model.parse().unwrap();
            let x = Tensor::linspace(-2.0, 2.0, self.points, (Kind::Float, Device::Cpu)).view([1, -1]);
            let points = columns(&x, &(x.sin() + x.square()));
            let between = columns(&(&x + 0.01), &((&x + 0.01).sin() + (&x + 0.01).square()));
            let theta = mlp.layout().initial(self.seed, "card", Kind::Float, Device::Cpu);
            let mut objective = MeanSquaredError::new(&mlp.network(), theta, &points).unwrap();
            let mut validation = MeanSquaredError::new(&mlp.network(), objective.weights().share(), &between).unwrap();
            let optimizer = match self.optimizer {
                OptimizerName::Adam => Optimizer::adam(self.learning_rate),
                OptimizerName::Sgd => Optimizer::sgd(self.learning_rate, self.momentum),
            };
            let mut optimizer = optimizer.weight_decay(self.weight_decay);
            let watched = Watched { gradient_norm: true, validation: Some((&mut validation, &between)) };
            let trained = train(&mut objective, &mut optimizer, self.epochs, &self.stopping, keeper, watched)?;
            Ok((trained, objective.theta().copy()))
        }
    }

    /// With every kind of ending.
    fn cases() -> Vec<(Case, Ending)> {
        let sgd = Case { optimizer: OptimizerName::Sgd, learning_rate: 2e-2, ..PLAIN };
        vec![
            (PLAIN, Ending::LastEpoch),
            (Case { model: "1-9-1", points: 129, weight_decay: 1e-2, ..PLAIN }, Ending::LastEpoch),
            (sgd.clone(), Ending::LastEpoch),
            (Case { momentum: 0.9, learning_rate: 2e-3, weight_decay: 1e-2, ..sgd.clone() }, Ending::LastEpoch),
            (Case { stopping: quiet(0.05, 3), ..PLAIN }, Ending::Converged),
            (Case { stopping: below(6.0), epochs: 400, ..PLAIN }, Ending::Below),
            (Case { learning_rate: 1e12, ..sgd }, Ending::Diverged),
        ]
    }

    fn near(found: &[f64], expected: &[f64], what: &str) {
        assert_eq!(found.len(), expected.len(), "{what}");
        for (epoch, (found, expected)) in found.iter().zip(expected).enumerate() {
            let is_near = (found - expected).abs() <= 1e-4 * expected.abs()
                || found.is_finite() == expected.is_finite() && !found.is_finite();
            assert!(is_near, "{what}, epoch {epoch}: {found} and {expected}");
        }
    }

    #[test]
    fn a_card_trains_as_the_cpu_does_and_ends_where_it_does() {
        for (case, ending) in cases() {
            let (mut expected, theta) = case.run(&mut ()).unwrap();
            let mut by_card = None;
            // Alone on many multiprocessors, and a block alone.
            for multiprocessors in [1, 3] {
                let (mut found, by) = with_card(multiprocessors, |_| case.run(&mut ()).unwrap());
                let what = format!("{} {:?}", case.model, case.optimizer);
                assert_eq!((found.ending, expected.ending), (ending, ending), "{what}");
                let bytes = by.to_string(80).unwrap();
                assert_eq!(*by_card.get_or_insert((bytes.clone(), found.clone())), (bytes, found.clone()), "{what}");
                if ending != Ending::Diverged {
                    near(&found.train_loss, &expected.train_loss, &what);
                    for name in [GRADIENT_NORM, VALIDATION_LOSS] {
                        let expected = expected.measured[name].clone();
                        near(&found.take(name), &expected, &format!("{name} of {what}"));
                    }
                    let far = (by - &theta).abs().max().double_value(&[]);
                    assert!(far < 1e-3, "{what}: {far}");
                }
            }
            let _ = expected.take(GRADIENT_NORM);
        }
    }

    #[test]
    fn trainings_side_by_side_are_what_each_is_alone() {
        let seeds = [3u64, 4, 5, 6, 7];
        let bits = |(trained, theta): (Trained, Tensor)| (trained, Vec::<f32>::try_from(theta).unwrap());
        let alone: Vec<_> =
            seeds.iter().map(|&seed| with_card(4, |_| bits(Case { seed, ..PLAIN }.run(&mut ()).unwrap()))).collect();
        let together = with_card(4, |card| {
            std::thread::scope(|scope| {
                let threads: Vec<_> = seeds
                    .iter()
                    .map(|&seed| {
                        let card = card.clone();
                        std::thread::Builder::new().spawn_scoped(scope, move || {
                            crate::backend::cuda::emulated::on(card, || {
                                // They end one after the other.
                                bits(Case { seed, ..PLAIN }.run(&mut ()).unwrap())
                            })
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.unwrap().join().unwrap()).collect::<Vec<_>>()
            })
        });
        assert!(alone == together);
    }

    #[test]
    fn a_card_that_is_lost_is_told_in_a_line_and_nothing_before_it_is_lost() {
        let case = Case { epochs: 40, ..PLAIN };
        let whole = with_card(2, |_| case.run(&mut ()).unwrap());
        // Each launch writes twice: what trainings are, and where they stand.
        for writes in [0, 3] {
            let mut keeper = Keeper::default();
            let error = with_card_that_is_lost(writes, |_| case.run(&mut keeper).unwrap_err()).to_string();
            assert!(error.contains("the GPU is lost") && error.lines().count() == 1, "{error}");
            assert_eq!(keeper.kept.is_some(), writes > 0, "{writes}");
            let found = with_card(2, |_| case.run(&mut keeper).unwrap());
            assert!(found.0 == whole.0 && found.1 == whole.1, "{writes}");
        }
    }

    #[test]
    fn a_training_goes_on_from_a_checkpoint_to_the_same_bits() {
        for (case, _) in cases().into_iter().filter(|(case, ending)| *ending == Ending::LastEpoch && case.epochs == 50)
        {
            let whole = with_card(2, |_| case.run(&mut ()).unwrap());
            let mut keeper = Keeper::that_stops(Stops::Always);
            let mut stops = 0;
            let found = with_card(2, |_| {
                loop {
                    match case.run(&mut keeper) {
                        Ok(found) => break found,
                        Err(error) => assert!(error.is::<Interrupted>()),
                    }
                    stops += 1;
                }
            });
            assert!(found.0 == whole.0 && found.1 == whole.1 && stops > 0, "{} {stops}", case.model);
        }
    }

    /// As tests/goldens/make.py has initial weights and points.
    #[test]
    fn a_card_trains_as_pytorch_does() {
        #[derive(serde::Deserialize)]
        struct Golden {
            function: Target,
            model: Mlp,
            train_loss: Vec<f64>,
        }
        let goldens: Vec<Golden> = serde_json::from_str(include_str!("../../tests/goldens/simulate.json")).unwrap();
        let on_sin_sq = goldens.into_iter().filter(|golden| golden.function.to_string() == "sin-sq");
        let mut count = 0;
        for Golden { function, model, train_loss } in on_sin_sq {
            let xs = evenly_spaced([-2.0, 2.0], 4000);
            let [x, y] = [&xs, &function.values(&xs).unwrap()].map(|values| Tensor::from_slice(values).view([1, -1]));
            let theta = scrambled(&model.layout());
            let mut objective = MeanSquaredError::new(&model.network(), theta, &columns(&x, &y)).unwrap();
            let mut adam = Optimizer::adam(1e-3);
            let trained = with_card(2, |_| {
                train(&mut objective, &mut adam, 8, &Stopping::NEVER, &mut (), Watched::default()).unwrap()
            });
            near(&trained.train_loss, &train_loss[..8], &model.to_string());
            count += 1;
        }
        assert_eq!(count, 3);
    }
}
