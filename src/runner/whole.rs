//! How far a run is as a whole: counts, and the time left, by what trials cost and what was measured. Knows no terminal.

use crate::runner::schedule::Job;
use crate::store::progress::{Now, Whole};
use anyhow::Result;

/// What trials cost and took. Costs are of all epochs that a trial may have; many end before the last of them, and their
/// work is that share of their cost.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    cost: f64,
    work: f64,
    seconds: f64,
}

impl Measured {
    /// Seconds by cost: how long others of the same study will take, if they end as these did.
    fn pace(self) -> Option<f64> {
        (self.cost > 0.0 && self.seconds > 0.0).then(|| self.seconds / self.cost)
    }

    /// Seconds by work: how long those of another study take.
    fn speed(self) -> Option<f64> {
        (self.work > 0.0 && self.seconds > 0.0).then(|| self.seconds / self.work)
    }

    fn add(&mut self, cost: f64, share: f64, seconds: f64) {
        self.cost += cost;
        self.work += cost * share;
        self.seconds += seconds;
    }
}

/// What is known of a run besides its jobs.
pub(super) struct Tally {
    measured: Vec<Measured>,
    resumed: usize,
    workers: usize,
}

/// A trial that runs: of which job, and what it costs.
pub(super) struct Costing {
    pub job: usize,
    pub cost: f64,
    pub now: Now,
}

impl Tally {
    /// Judges by what the log says of trials that were done before.
    ///
    /// # Errors
    /// Where a log cannot be read.
    pub fn new(jobs: &[Job], workers: usize) -> Result<Self> {
        let mut measured = vec![Measured::default(); jobs.len()];
        for (measured, job) in measured.iter_mut().zip(jobs) {
            let took = job.dir.durations()?;
            for planned in &job.planned {
                if let Some(seconds) = took.get(&planned.fingerprint) {
                    measured.add(planned.cost, 1.0, *seconds);
                }
            }
        }
        Ok(Self { measured, resumed: 0, workers })
    }

    /// A trial was done, after this share of what it might have been; one from a checkpoint on says nothing of its cost.
    pub fn done(&mut self, job: usize, cost: f64, (seconds, share): (f64, f64), was_resumed: bool) {
        if was_resumed {
            self.resumed += 1;
        } else {
            self.measured[job].add(cost, share, seconds);
        }
    }

    pub fn whole(&self, jobs: &[Job], running: Vec<Costing>) -> Whole {
        let waiting: Vec<f64> = jobs.iter().map(|job| job.waiting_cost.max(0.0)).collect();
        Whole {
            trials: jobs.iter().map(|job| job.planned.len()).sum(),
            done: jobs.iter().map(|job| job.finished.len()).sum(),
            reused: jobs.iter().map(|job| job.reused).sum(),
            resumed: self.resumed,
            failed: jobs.iter().map(|job| job.failures.len()).sum(),
            seconds_left: seconds_left(&self.measured, &waiting, &running, self.workers),
            running: running.into_iter().map(|costing| costing.now).collect(),
            shard: None,
        }
    }
}

/// Of the share that is done less says little of the rest.
const ENOUGH: f64 = 0.02;

/// Seconds until all is done, so many trials at a time; `None` where nothing tells the pace of some that wait.
///
/// The pace of a study, seconds by cost, is that of its finished trials, else of those that run, else of all studies.
fn seconds_left(measured: &[Measured], waiting: &[f64], running: &[Costing], workers: usize) -> Option<f64> {
    let mut by_study = measured.to_vec();
    for Costing { job, cost, now } in running {
        if let Some(share) = now.share.filter(|share| *share >= ENOUGH && measured[*job].pace().is_none()) {
            by_study[*job].add(cost * share, 1.0, now.seconds);
        }
    }
    let mut of_all = Measured::default();
    by_study.iter().for_each(|study| of_all.add(study.work, 1.0, study.seconds));
    let pace = |study: usize| by_study[study].pace().or(of_all.speed());

    let (mut total, mut longest) = (0.0, 0.0f64);
    for Costing { job, cost, now } in running {
        let by_share = now.share.filter(|share| *share >= ENOUGH).map(|share| now.seconds * (1.0 - share) / share);
        // Many end before the last of the epochs they may have.
        let by_others = measured[*job].pace().map(|pace| pace * cost - now.seconds).filter(|seconds| *seconds > 0.0);
        let left = match (by_share, by_others) {
            (Some(a), Some(b)) => a.min(b),
            (Some(left), None) | (None, Some(left)) => left,
            (None, None) => (pace(*job)? * cost - now.seconds).max(0.0),
        };
        total += left;
        longest = longest.max(left);
    }
    for (study, cost) in waiting.iter().enumerate().filter(|(_, cost)| **cost > 0.0) {
        total += pace(study)? * cost;
    }
    Some(longest.max(total / workers as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(job: usize, cost: f64, seconds: f64, share: Option<f64>) -> Costing {
        Costing { job, cost, now: Now { seconds, share, ..Now::default() } }
    }

    #[test]
    fn the_time_left_is_by_costs_and_by_what_was_measured() {
        let (none, two) = (Measured::default(), Measured { cost: 10.0, work: 10.0, seconds: 20.0 });
        let early = Measured { cost: 10.0, work: 1.0, seconds: 2.0 };
        for (measured, waiting, running, workers, expected) in [
            // Nothing to judge by, and nothing to do.
            (vec![none], vec![5.0], vec![], 1, None),
            (vec![none], vec![0.0], vec![], 1, Some(0.0)),
            (vec![none], vec![0.0], vec![runs(0, 3.0, 1.0, None)], 1, None),
            // By the study's own pace, two seconds a unit of cost; of two workers each does half.
            (vec![two], vec![30.0], vec![], 1, Some(60.0)),
            (vec![two], vec![30.0], vec![], 2, Some(30.0)),
            // By another study's, where it has none.
            (vec![two, none], vec![0.0, 4.0], vec![], 1, Some(8.0)),
            // Those that ended early: others of their study will, and another study's has no part in that.
            (vec![early, none], vec![5.0, 4.0], vec![], 1, Some(1.0 + 8.0)),
            // A trial that runs, by its share; too small a one says nothing.
            (vec![none], vec![0.0], vec![runs(0, 8.0, 3.0, Some(0.25))], 1, Some(9.0)),
            (vec![none], vec![0.0], vec![runs(0, 8.0, 3.0, Some(0.01))], 1, None),
            // Its pace, 3 / (8 · 0.25), is that of those that wait: 9 + 1.5 · 4.
            (vec![none], vec![4.0], vec![runs(0, 8.0, 3.0, Some(0.25))], 1, Some(15.0)),
            // Others of the study ended sooner than its share says: 2 · 8 - 3.
            (vec![two], vec![0.0], vec![runs(0, 8.0, 3.0, Some(0.05))], 1, Some(13.0)),
            // It takes longer than others did: its share says how long.
            (vec![two], vec![0.0], vec![runs(0, 1.0, 3.0, Some(0.5))], 1, Some(3.0)),
            // However many workers, not before the longest ends.
            (vec![two], vec![2.0], vec![runs(0, 50.0, 10.0, None)], 64, Some(90.0)),
        ] {
            let found = seconds_left(&measured, &waiting, &running, workers);
            assert_eq!(found, expected, "{measured:?} {waiting:?}");
        }
    }
}
