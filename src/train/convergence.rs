//! When a full-batch training ends, and what it leaves behind.

use crate::store::checkpoint::Series;

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

/// A full-batch training ends before the step of the first epoch of which a number measured under this name is below
/// the threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Below {
    pub series: &'static str,
    pub threshold: f64,
}

/// What ends a full-batch training before its last epoch, besides a loss that is no finite number. Data, no function:
/// of numbers that are on a device it can be applied to many epochs at once, after them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stopping {
    pub convergence: Convergence,
    pub below: Option<Below>,
}

impl Stopping {
    pub const NEVER: Self = Self { convergence: Convergence::NEVER, below: None };

    /// Whether this number, measured under this name, ends a training.
    pub(super) fn ends_at(&self, name: &str, value: f64) -> bool {
        self.below.is_some_and(|below| below.series == name && value < below.threshold)
    }
}

/// Why a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Converged,
    LastEpoch,
    /// A measured number was below its threshold: see [`Below`].
    Below,
    /// The loss was no longer a finite number.
    Diverged,
}

/// What a training left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// One loss an epoch, taken before that epoch's step: the first belongs to the initial θ.
    pub train_loss: Vec<f64>,
    /// What the observer measured: see [`super::Epoch::measure`].
    pub measured: Series,
    pub ending: Ending,
}

impl Trained {
    /// What the observer measured under this name; nothing where it saw no epoch.
    pub fn take(&mut self, name: &str) -> Vec<f64> {
        self.measured.remove(name).unwrap_or_default()
    }

    /// Whether it converged while the loss had fallen by less than a tenth.
    pub fn stopped_on_plateau(&self) -> bool {
        match (self.ending, self.train_loss.first(), self.train_loss.last()) {
            (Ending::Converged, Some(first), Some(last)) => *last > 0.9 * first,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plateau_is_convergence_with_the_loss_hardly_fallen() {
        let ended = |losses: &[f64], ending| Trained { train_loss: losses.to_vec(), measured: Series::new(), ending };
        assert!(ended(&[1.0, 0.95], Ending::Converged).stopped_on_plateau());
        assert!(!ended(&[1.0, 0.5], Ending::Converged).stopped_on_plateau());
        assert!(!ended(&[1.0, 0.95], Ending::LastEpoch).stopped_on_plateau());
    }
}
