//! Training on one flat θ: the loops over epochs, the optimizers, the rule that ends a training, and the state from
//! which one goes on. Knows objectives and tensors, nothing of experiments, files or progress bars.

mod block;
mod convergence;
mod full_batch;
#[cfg(test)]
mod full_batch_tests;
#[cfg(test)]
mod keeper_tests;
mod mini_batch;
mod on_card;
mod optimizer;

pub use block::Epoch;
pub use convergence::{Below, Convergence, Ending, Stopping, Trained};
pub use full_batch::{GRADIENT_NORM, VALIDATION_LOSS, Watched, train};
pub use mini_batch::{
    Curves, MiniBatches, TEST_ACCURACY, TEST_LOSS, TRAIN_ACCURACY, TRAIN_LOSS, mini_batches_on_card, train_epoch,
    train_in_batches, train_on,
};
pub use optimizer::{Optimizer, OptimizerName};

use crate::backend::cuda::Turn;
use crate::model::Weights;
use crate::store::checkpoint::{Checkpointer, EPOCHS, Series, State};
use crate::store::weights::NamedTensor;
use anyhow::Result;
use tch::Device;

/// θ in the state of a training, and what is beside it.
const THETA: &str = "theta";
const BUFFERS: &str = "buffers";

/// The place of a training that libtorch runs on a device; none is needed on the CPU.
fn turn(device: Device, keeper: &impl Checkpointer) -> Result<Option<Turn>> {
    if device == Device::Cpu { Ok(None) } else { Turn::wait(|| keeper.check_stop()).map(Some) }
}

/// Adds a number to the series of that name.
pub fn measure(series: &mut Series, name: &str, value: f64) {
    match series.get_mut(name) {
        Some(values) => values.push(value),
        None => drop(series.insert(name.to_owned(), vec![value])),
    }
}

/// The weights, the optimizer and what was measured after some epochs.
fn state_of(epochs: u64, weights: &Weights, optimizer: &Optimizer, series: &Series) -> Result<State> {
    let mut state = State { series: series.clone(), ..State::default() };
    state.tensors.insert(THETA.to_owned(), NamedTensor::copy_of(&weights.theta)?);
    if weights.buffers.numel() > 0 {
        state.tensors.insert(BUFFERS.to_owned(), NamedTensor::copy_of(&weights.buffers)?);
    }
    state.counters.insert(EPOCHS.to_owned(), epochs);
    optimizer.save(&mut state)?;
    Ok(state)
}

/// Goes on from there.
fn restore(state: &State, weights: &Weights, optimizer: &mut Optimizer) -> Result<()> {
    state.restore(THETA, &weights.theta)?;
    if weights.buffers.numel() > 0 {
        state.restore(BUFFERS, &weights.buffers)?;
    }
    optimizer.restore(state, &weights.theta)
}
