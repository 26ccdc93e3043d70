//! Epochs of a full-batch training of which nothing is read before the last of them, and the way back into them.

use super::Optimizer;
use crate::objective::{Objective, Scalar};
use crate::store::checkpoint::Checkpointer;
use anyhow::{Error, Result};
use tch::Tensor;

/// What an observer of a full-batch training sees of an epoch, before its step: loss and gradient belong to this θ.
pub struct Epoch<'a> {
    /// Counted from 0.
    pub epoch: u64,
    pub loss: &'a Scalar,
    pub theta: &'a Tensor,
    pub gradient: &'a Tensor,
    measured: &'a mut Measured,
    /// In the block.
    index: usize,
}

impl Epoch<'_> {
    /// Notes a number of this epoch for [`super::Trained::measured`]. An observer that keeps its numbers
    /// elsewhere would lose those from before an interruption.
    pub fn measure(&mut self, name: &'static str, value: impl Into<Scalar>) {
        self.measured.names.push((self.index, name));
        self.measured.values.push(value.into());
    }
}

/// The numbers that a block's observer measured, in their order, and of each the epoch in the block and the name.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) names: Vec<(usize, &'static str)>,
    pub(super) values: Vec<Scalar>,
}

/// Epochs of which nothing was read yet. The last one's step is still to be taken: a block of one epoch is judged
/// before its step, and no θ of it need be kept.
#[derive(Default)]
pub(super) struct Block {
    pub(super) losses: Vec<Scalar>,
    pub(super) measured: Measured,
    /// θ from before each step that was taken, in buffers that are used again, as many as the longest block's steps.
    thetas: Vec<Tensor>,
}

impl Block {
    /// Runs `epochs` epochs, at least one, the first of which is `first`; fewer where the process is to stop, a loss
    /// on the host is no finite number, or `observe` fails, whose error comes back.
    pub(super) fn run(
        &mut self,
        objective: &mut dyn Objective,
        optimizer: &mut Optimizer,
        (first, epochs): (u64, u64),
        keeper: &impl Checkpointer,
        observe: &mut impl FnMut(&mut Epoch) -> Result<()>,
    ) -> Result<Option<Error>> {
        self.losses.clear();
        self.measured.names.clear();
        self.measured.values.clear();
        for epoch in first.. {
            let index = self.losses.len();
            let loss = objective.loss_and_gradient()?;
            // One that is here already ends the block, as it will the training.
            if matches!(loss, Scalar::Host(value) if !value.is_finite()) {
                self.losses.push(loss);
                return Ok(None);
            }
            let (theta, gradient) = (objective.theta(), objective.gradient());
            let seen = observe(&mut Epoch { epoch, loss: &loss, theta, gradient, measured: &mut self.measured, index });
            self.losses.push(loss);
            if epoch + 1 == first + epochs || seen.is_err() || keeper.check_stop().is_err() {
                return Ok(seen.err());
            }
            if index == self.thetas.len() {
                self.thetas.push(theta.f_empty_like()?);
            }
            self.thetas[index].f_copy_(theta)?;
            optimizer.step(theta, gradient);
        }
        Ok(None)
    }

    /// Gives θ the numbers from before this epoch's step. Those of the last epoch it has.
    pub(super) fn take_back(&self, index: usize, theta: &Tensor) -> Result<()> {
        if index + 1 < self.losses.len() {
            theta.shallow_clone().f_copy_(&self.thetas[index])?;
        }
        Ok(())
    }
}
