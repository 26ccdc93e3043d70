//! How long a run will take, before it begins: by what its trials cost, and what trials of the same study took here before.

use crate::runner::schedule::{Job, family};
use crate::runner::shard::{Family, shared_out};
use crate::store::covered;
use crate::study::{Finished, Planned};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};

/// Seconds that a unit of [cost](crate::study::Trial::cost) takes a core where nothing has been measured: all studies of the
/// report and canonical presets take 0.1 to 1.1 of a billion, less where trainings end early.
const SECONDS_OF_COST: f64 = 0.5e-9;

/// The same of a trial on a GPU, of many side by side.
const SECONDS_OF_COST_ON_GPU: f64 = 0.5e-10;

/// What is left to do of a run.
pub struct Expected {
    /// What can be named so far, done or not: of which family, what it costs for shards, and the seconds of it if it is left.
    trials: Vec<(Family, f64, Option<f64>)>,
    /// Whether trials that were done here tell of the pace, of all studies.
    pub is_measured: bool,
}

impl Expected {
    /// # Errors
    /// Where trials cannot be named, or records and logs not be read.
    pub fn of(jobs: &mut [Job], device_kind: &str) -> Result<Self> {
        let by_device = if device_kind == "cpu" { SECONDS_OF_COST } else { SECONDS_OF_COST_ON_GPU };
        let (mut trials, mut is_measured) = (Vec::new(), true);
        for (index, job) in jobs.iter_mut().enumerate() {
            let due: BTreeSet<_> =
                job.due(device_kind, false)?.into_iter().map(|planned| planned.fingerprint).collect();
            // On a GPU trials run side by side: what counts there is when it was busy.
            let (mut cost, mut spans, mut seconds) = (0.0, Vec::new(), 0.0);
            let times: BTreeMap<_, _> = job.dir.times()?.into_iter().collect();
            for planned in &job.planned {
                if let Some([start, end]) = times.get(&planned.fingerprint) {
                    cost += planned.cost;
                    seconds += end - start;
                    spans.push([*start, *end]);
                }
            }
            let seconds = if device_kind == "cpu" { seconds } else { covered(spans) };
            let pace = if cost > 0.0 && seconds > 0.0 { seconds / cost } else { by_device };
            is_measured &= due.is_empty() || cost > 0.0;
            let left = |of: &Planned| due.contains(&of.fingerprint).then_some(of.cost * pace);
            // As shards are made: of the trials that are named first.
            let first = job.study.plan(&[], &Finished::new(), device_kind)?;
            let named: BTreeSet<_> = first.iter().map(|planned| &planned.fingerprint).collect();
            let later = job.planned.iter().filter(|planned| !named.contains(&planned.fingerprint));
            trials.extend(first.iter().map(|of| (family(index, of), of.cost, left(of))));
            trials.extend(later.map(|of| (family(index, of), 0.0, left(of))));
        }
        Ok(Self { trials, is_measured })
    }

    /// Trials that are left.
    pub fn due(&self) -> usize {
        self.left().count()
    }

    /// On one core.
    pub fn seconds(&self) -> f64 {
        self.left().map(|(_, seconds)| seconds).sum()
    }

    /// Families of which something is left.
    pub fn families(&self) -> usize {
        self.left().map(|(family, _)| family).collect::<BTreeSet<_>>().len()
    }

    fn left(&self) -> impl Iterator<Item = (&Family, f64)> {
        self.trials.iter().filter_map(|(family, _, seconds)| Some((family, (*seconds)?)))
    }

    /// Of the longest of so many shards, each of which runs so many trials at a time.
    pub fn longest(&self, shards: u32, workers: usize) -> f64 {
        let costs = self.trials.iter().map(|(family, cost, _)| (family.clone(), *cost));
        let of_family: BTreeMap<Family, u32> = shared_out(shards, costs).into_iter().collect();
        let mut loads = vec![(0.0, 0.0f64); shards as usize];
        for (family, seconds) in self.left() {
            let Some((all, longest)) = of_family.get(family).and_then(|shard| loads.get_mut(*shard as usize)) else {
                continue;
            };
            *all += seconds;
            *longest = longest.max(seconds);
        }
        loads.into_iter().map(|(all, longest)| (all / workers as f64).max(longest)).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(trials: &[(u64, f64, Option<f64>)]) -> Expected {
        let trials = trials.iter().map(|(family, cost, seconds)| (Family::Of(0, *family), *cost, *seconds)).collect();
        Expected { trials, is_measured: true }
    }

    #[test]
    fn what_is_left_is_counted_by_trial_by_family_and_in_seconds() {
        let some = of(&[(0, 1.0, Some(10.0)), (0, 2.0, Some(20.0)), (1, 9.0, None), (2, 5.0, Some(50.0))]);
        assert_eq!((some.due(), some.families(), some.seconds()), (3, 2, 80.0));
        let none = of(&[(0, 1.0, None)]);
        assert_eq!((none.due(), none.families(), none.seconds(), none.longest(3, 1)), (0, 0, 0.0, 0.0));
    }

    #[test]
    fn the_longest_shard_takes_its_share_or_its_longest_trial() {
        // By cost 9; 5 and 3: of the first shard nothing is left.
        let some = of(&[(0, 1.0, Some(10.0)), (0, 2.0, Some(20.0)), (1, 9.0, None), (2, 5.0, Some(50.0))]);
        for (shards, workers, seconds) in [(1, 1, 80.0), (2, 1, 80.0), (3, 1, 50.0), (1, 2, 50.0), (9, 4, 50.0)] {
            assert_eq!(some.longest(shards, workers), seconds, "{shards} {workers}");
        }
        // What is named later is where its family is, and weighs nothing there.
        let later = of(&[(0, 1.0, Some(1.0)), (1, 1.0, Some(1.0)), (1, 0.0, Some(7.0))]);
        assert_eq!(later.longest(2, 1), 8.0);
    }
}
