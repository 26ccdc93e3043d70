//! A checkpointer for tests, which stops a training as a signal would.

use crate::error::Interrupted;
use crate::store::checkpoint::{Checkpointer, State};
use anyhow::Result;

/// When a training is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Stops {
    #[default]
    Never,
    /// At each look but the last epoch's.
    Always,
    After(u64),
    /// As where the signal came before: at the first look, and wherever it is asked for.
    AtOnce,
}

/// Keeps the last state that it is shown while a training runs, and hands it to the next.
#[derive(Default)]
pub struct Keeper {
    pub kept: Option<State>,
    /// Epochs that are done.
    pub done: u64,
    pub stops: Stops,
}

impl Keeper {
    pub fn that_stops(stops: Stops) -> Self {
        Self { stops, ..Self::default() }
    }
}

impl Checkpointer for Keeper {
    fn resume(&mut self) -> Result<Option<State>> {
        Ok(self.kept.take())
    }

    fn epoch_done(&mut self, done: u64, epochs: u64, _: f64, state: &dyn Fn() -> Result<State>) -> Result<()> {
        let is_over = match self.stops {
            Stops::Never => false,
            Stops::Always => done < epochs,
            Stops::After(epoch) => done == epoch,
            Stops::AtOnce => true,
        };
        (self.kept, self.done) = (Some(state()?), done);
        if is_over { Err(Interrupted.into()) } else { Ok(()) }
    }

    fn check_stop(&self) -> Result<()> {
        if self.stops == Stops::AtOnce { Err(Interrupted.into()) } else { Ok(()) }
    }
}
