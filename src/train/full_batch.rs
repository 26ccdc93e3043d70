//! Training in full batches: one step an epoch, until the loss converges.
//!
//! Who reads a number from a device waits until it has done all it was asked for, so there epochs run in blocks, of
//! which nothing is read before their end; those past the training's end are taken back. What a card can do by itself it
//! does by itself.

use super::block::{Block, Epoch};
use super::on_card::train_on_card;
use super::{Ending, Optimizer, Stopping, TRAIN_LOSS, Trained, measure, restore, state_of, turn};
use crate::data::Samples;
use crate::objective::{Objective, norm, read_all};
use crate::store::checkpoint::{Checkpointer, EPOCHS, Series, State};
use anyhow::{Result, ensure};
use tch::Device;

/// Its own counter in a state: epochs in a row with hardly any change.
const QUIET_EPOCHS: &str = "quiet_epochs";

/// Most epochs of a block on a device: reading costs a twentieth of one of libtorch's epochs there, and those past the
/// end, half a block of them, cost as much as any.
const MOST_EPOCHS: u64 = 25;
/// Most bytes of a block's copies of θ.
const MOST_COPIED: usize = 256 << 20;

/// What is measured of each epoch beside its loss, before its step.
#[derive(Default)]
pub struct Watched<'a> {
    /// As [`GRADIENT_NORM`].
    pub gradient_norm: bool,
    /// As [`VALIDATION_LOSS`]: an objective over other points at the same θ, and these.
    pub validation: Option<(&'a mut dyn Objective, &'a Samples)>,
}

/// Names of what is measured.
pub const GRADIENT_NORM: &str = "gradient_norm";
pub const VALIDATION_LOSS: &str = "validation_loss";

impl Watched<'_> {
    fn observe(&mut self, now: &mut Epoch) -> Result<()> {
        if let Some((validation, _)) = &mut self.validation {
            now.measure(VALIDATION_LOSS, validation.loss()?);
        }
        if self.gradient_norm {
            now.measure(GRADIENT_NORM, norm(now.gradient)?);
        }
        Ok(())
    }
}

/// Trains for at most `epochs` full-batch steps, from where `keeper` left off. The objective's gradient and, on a device,
/// the optimizer's state are then not those of the last epoch.
///
/// # Errors
/// Those of `keeper`; [`crate::store::checkpoint::Unfit`] where the keeper's state is not this training's.
pub fn train(
    objective: &mut dyn Objective,
    optimizer: &mut Optimizer,
    epochs: u64,
    stopping: &Stopping,
    keeper: &mut impl Checkpointer,
    mut watched: Watched,
) -> Result<Trained> {
    ensure!(
        objective.weights().buffers.numel() == 0,
        "the model has running statistics, which only steps in mini-batches update: train it so"
    );
    let begun = Begun::resume(objective, optimizer, keeper)?;
    if let Some(run) = begun.on_card(objective, optimizer, epochs, stopping, &watched)? {
        return train_on_card(run, objective, optimizer, epochs, keeper, begun);
    }
    let theta = objective.theta();
    let _turn = turn(theta.device(), keeper)?;
    let block = if theta.device() == Device::Cpu {
        1
    } else {
        let bytes = theta.numel() * theta.kind().elt_size_in_bytes();
        MOST_EPOCHS.min((MOST_COPIED / bytes.max(1)) as u64).max(1)
    };
    let observe = |now: &mut Epoch| watched.observe(now);
    train_in_blocks(objective, optimizer, epochs, stopping, keeper, observe, (block, begun))
}

/// A training from where it was left off.
pub(super) struct Begun {
    pub training: Trained,
    pub epoch: u64,
    pub quiet_epochs: u64,
}

impl Begun {
    pub(super) fn resume(
        objective: &dyn Objective,
        optimizer: &mut Optimizer,
        keeper: &mut impl Checkpointer,
    ) -> Result<Self> {
        let mut training = Trained { train_loss: Vec::new(), measured: Series::new(), ending: Ending::LastEpoch };
        let (mut epoch, mut quiet_epochs) = (0, 0);
        if let Some(mut state) = keeper.resume()? {
            (epoch, quiet_epochs) = (state.counter(EPOCHS)?, state.counter(QUIET_EPOCHS)?);
            restore(&state, objective.weights(), optimizer)?;
            training.train_loss = state.take_series(TRAIN_LOSS, epoch)?;
            training.measured = state.series;
        }
        Ok(Self { training, epoch, quiet_epochs })
    }
}

/// What a state of a training is made of, once so many epochs are done.
pub(super) fn state_after(
    (epoch, quiet_epochs): (u64, u64),
    objective: &dyn Objective,
    optimizer: &Optimizer,
    training: &Trained,
) -> Result<State> {
    let mut state = state_of(epoch, objective.weights(), optimizer, &training.measured)?;
    state.counters.insert(QUIET_EPOCHS.to_owned(), quiet_epochs);
    state.series.insert(TRAIN_LOSS.to_owned(), training.train_loss.clone());
    Ok(state)
}

/// The same, its numbers read after each `length` epochs. They do not depend on it.
pub(super) fn train_in_blocks(
    objective: &mut dyn Objective,
    optimizer: &mut Optimizer,
    epochs: u64,
    stopping: &Stopping,
    keeper: &mut impl Checkpointer,
    mut observe: impl FnMut(&mut Epoch) -> Result<()>,
    (length, begun): (u64, Begun),
) -> Result<Trained> {
    let Begun { mut training, mut epoch, mut quiet_epochs } = begun;
    let mut block = Block::default();
    loop {
        if quiet_epochs >= stopping.convergence.patience {
            training.ending = Ending::Converged;
            return Ok(training);
        }
        if epoch >= epochs {
            return Ok(training);
        }
        let span = (epoch, length.min(epochs - epoch));
        let mut failure = block.run(objective, optimizer, span, keeper, &mut observe)?;
        let losses = read_all(&block.losses)?;
        let mut measured = block.measured.names.iter().zip(read_all(&block.measured.values)?).peekable();
        for (index, &loss) in losses.iter().enumerate() {
            let change = training.train_loss.last().map(|before| (loss - before).abs());
            training.train_loss.push(loss);
            if !loss.is_finite() {
                training.ending = Ending::Diverged;
                block.take_back(index, objective.theta())?;
                return Ok(training);
            }
            let is_last = index + 1 == losses.len();
            if let Some(error) = failure.take_if(|_| is_last) {
                return Err(error);
            }
            let mut is_below = false;
            while let Some(((_, name), value)) = measured.next_if(|((of, _), _)| *of == index) {
                measure(&mut training.measured, name, value);
                is_below |= stopping.ends_at(name, value);
            }
            if is_below {
                training.ending = Ending::Below;
                block.take_back(index, objective.theta())?;
                return Ok(training);
            }
            if is_last {
                optimizer.step(objective.theta(), objective.gradient());
            }
            let is_quiet = change.is_some_and(|change| change < stopping.convergence.tolerance);
            quiet_epochs = if is_quiet { quiet_epochs + 1 } else { 0 };
            epoch += 1;
            if quiet_epochs >= stopping.convergence.patience {
                if !is_last {
                    block.take_back(index + 1, objective.theta())?;
                }
                break;
            }
        }
        let loss = training.train_loss.last().copied().unwrap_or(f64::NAN);
        // Where it has converged within the block the optimizer is further on, and no step will need it.
        let done = (epoch, quiet_epochs);
        keeper.epoch_done(epoch, epochs, loss, &|| state_after(done, objective, optimizer, &training))?;
    }
}
