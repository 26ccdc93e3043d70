//! What the trials of a study hold in memory at a time, told before any of them runs.

use super::check;

/// Trials of one kind: the most that one of them holds.
#[derive(Clone, Debug)]
pub struct Held {
    /// "4800 snapshots of the 109386 parameters of model '784-128-10'".
    pub what: String,
    /// One of them, in bytes, beside the data set.
    pub bytes: u128,
    /// How many there are, at most.
    pub trials: u128,
    /// What makes it smaller: "raise snapshot_every, or lower trainings".
    pub smaller: String,
}

impl Held {
    /// By as many trials as there are workers.
    pub fn new(what: impl Into<String>, bytes: u128, smaller: impl Into<String>) -> Self {
        Self { what: what.into(), bytes, trials: u128::MAX, smaller: smaller.into() }
    }

    /// By so many trials at most.
    pub fn by(self, trials: impl Into<u128>) -> Self {
        Self { trials: trials.into(), ..self }
    }

    /// That one trial fits into any memory: see [`check::memory`].
    pub fn check(&self) -> Result<(), String> {
        check::memory(&self.what, self.bytes, &self.smaller)
    }
}

/// What so many trials at a time hold, where these kinds of them are: the largest that can run side by side.
pub fn together(mut kinds: Vec<Held>, workers: usize) -> u128 {
    kinds.sort_by_key(|held| std::cmp::Reverse(held.bytes));
    let (mut left, mut bytes) = (workers as u128, 0u128);
    for Held { bytes: each, trials, .. } in kinds {
        let here = trials.min(left);
        bytes = bytes.saturating_add(each.saturating_mul(here));
        left -= here;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_trials_are_counted_as_often_as_they_run_side_by_side() {
        let kinds =
            vec![Held::new("small", 3, ""), Held::new("one", 100, "").by(1u64), Held::new("two", 20, "").by(2u64)];
        assert_eq!([0, 1, 2, 3, 5].map(|workers| together(kinds.clone(), workers)), [0, 100, 120, 140, 146]);
        assert_eq!(together(Vec::new(), 4), 0);
    }
}
