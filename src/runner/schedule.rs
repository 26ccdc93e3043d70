//! Which trials are due: a [`Job`] is a study with its place on disk and how far it is, a [`Queue`] holds what waits for
//! a worker. Knows no thread and no terminal.

use crate::backend::{Backend, cpu::pieces};
use crate::runner::Options;
use crate::runner::shard::{Family, Shard};
use crate::store::{Identity, RunDir, Stored, StudyDir};
use crate::study::{Fingerprint, Finished, Planned, Study};
use anyhow::Result;
use serde_json::Value;
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A study with its place on disk and how far it is.
pub struct Job<'a> {
    pub study: &'a dyn Study,
    preset: &'a str,
    pub dir: StudyDir,
    /// All trials named so far, in declared order.
    pub planned: Vec<Planned>,
    pub finished: Finished,
    /// Trials that were done before this call.
    pub reused: usize,
    /// What computed those of them that say so, and how many each.
    pub reused_of: Vec<(Value, usize)>,
    /// Names of trials that failed, and why.
    pub failures: Vec<(String, String)>,
    /// Trials that are due again because what stands in their place is not theirs, and why.
    pub invalid: Vec<(Planned, String)>,
    /// Trials loaded whose checkpoints, if any, are still to be removed.
    pub(super) loaded: Vec<Fingerprint>,
    seen: BTreeSet<Fingerprint>,
    /// Which of several jobs it is, and the families that are a shard's; all are where that is `None`.
    own: Option<(usize, BTreeSet<Family>)>,
    /// Trials that wait or run.
    pub(super) running: usize,
    /// What those that wait cost together.
    pub(super) waiting_cost: f64,
}

impl<'a> Job<'a> {
    pub fn new(study: &'a dyn Study, run_dir: &RunDir, preset: &'a str) -> Self {
        Self {
            study,
            preset,
            dir: run_dir.study(&study.folder()),
            planned: Vec::new(),
            finished: Finished::new(),
            reused: 0,
            reused_of: Vec::new(),
            failures: Vec::new(),
            invalid: Vec::new(),
            loaded: Vec::new(),
            seen: BTreeSet::new(),
            own: None,
            running: 0,
            waiting_cost: 0.0,
        }
    }

    /// Leaves each job the trials of a shard alone.
    ///
    /// # Errors
    /// Where trials cannot be named.
    pub fn shard(jobs: &mut [Self], shard: Shard, device_kind: &str) -> Result<()> {
        let mut costs = Vec::new();
        for (index, job) in jobs.iter_mut().enumerate() {
            // What records name later is of the same families.
            job.planned = job.study.plan(&[], &Finished::new(), device_kind)?;
            costs.extend(job.planned.iter().map(|planned| (family(index, planned), planned.cost)));
        }
        let mut own: Vec<BTreeSet<Family>> = vec![BTreeSet::new(); jobs.len()];
        for family in shard.families(costs) {
            let (Family::Of(job, _) | Family::Alone(job, _)) = family;
            own[job].insert(family);
        }
        for (index, (job, own)) in jobs.iter_mut().zip(own).enumerate() {
            job.own = Some((index, own));
            job.leave_others();
        }
        Ok(())
    }

    /// Forgets the trials of other shards.
    fn leave_others(&mut self) {
        let mut all = std::mem::take(&mut self.planned);
        all.retain(|planned| self.is_own(planned));
        all.shrink_to_fit();
        self.planned = all;
    }

    /// How many of the trials named so far neither are done nor failed.
    pub fn missing(&self) -> usize {
        self.planned.len().saturating_sub(self.finished.len() + self.failures.len())
    }

    /// Epochs, or what else is counted, in checkpoints of trials that are not done.
    pub fn epochs_kept(&self) -> u64 {
        let due = self.planned.iter().filter(|planned| !self.finished.contains_key(&planned.fingerprint));
        due.map(|planned| self.dir.epochs_kept(&planned.fingerprint)).sum()
    }

    /// Whether a trial is this process's to run.
    fn is_own(&self, planned: &Planned) -> bool {
        self.own.as_ref().is_none_or(|(index, own)| own.contains(&family(*index, planned)))
    }

    /// Writes `settings.toml` before the first trial, so that a folder always says what it is.
    pub(super) fn write_settings(&self) -> Result<()> {
        let (settings, _) = self.study.settings()?;
        let header =
            format!("# Resolved settings. Repeat this run: hw1 {} --config settings.toml\n", self.study.experiment());
        self.dir.write("settings.toml", format!("{header}preset = \"{}\"\n{settings}", self.preset).as_bytes())
    }

    /// Of the reused trials those that something else than `here` computed: what, and how many.
    pub fn of_other_backends<'b>(&'b self, here: &'b Backend) -> impl Iterator<Item = &'b (Value, usize)> {
        self.reused_of.iter().filter(|(of, _)| here.other_than(of).is_some())
    }

    /// Puts the trials that are due now into the queue, as those of job `index`, after setting aside what is in their
    /// way; tells `warn` of each such.
    pub(super) fn enqueue(
        &mut self,
        index: usize,
        queue: &Queue,
        options: &Options,
        warn: impl Fn(&str),
    ) -> Result<()> {
        let due = self.due(options.choice.kind(), options.force)?;
        for (planned, why) in self.invalid.drain(..) {
            let names = self.dir.set_aside(&planned.fingerprint)?.join(" and ");
            warn(&format!("{why}; set aside as {names}, {} runs again", planned.name()));
        }
        for fingerprint in self.loaded.drain(..) {
            // Left where a process was killed just after publishing the record.
            self.dir.remove_checkpoint(&fingerprint)?;
        }
        if options.force {
            // Again means from the start.
            due.iter().try_for_each(|planned| self.dir.remove_checkpoint(&planned.fingerprint))?;
        }
        self.running += due.len();
        self.waiting_cost += due.iter().map(|planned| planned.cost).sum::<f64>();
        queue.push(due.into_iter().map(|planned| (index, planned)));
        Ok(())
    }

    /// Names the trials that are due now, after loading what is done already. Changes no file.
    ///
    /// # Errors
    /// Where a record cannot be read.
    pub fn due(&mut self, device_kind: &str, force: bool) -> Result<Vec<Planned>> {
        let mut due = Vec::new();
        loop {
            self.planned = self.study.plan(&self.planned, &self.finished, device_kind)?;
            self.leave_others();
            let mut loaded = false;
            for planned in &self.planned {
                if !self.seen.insert(planned.fingerprint.clone()) {
                    continue;
                }
                let identity = || identity(self.study, &planned.trial, device_kind);
                let load = || self.dir.load(&planned.fingerprint, identity, |record| self.study.decode(record));
                match if force { Stored::Nothing } else { load()? } {
                    Stored::Valid((record, backend)) => {
                        if let Some(backend) = backend {
                            match self.reused_of.iter_mut().find(|(of, _)| *of == backend) {
                                Some((_, count)) => *count += 1,
                                None => self.reused_of.push((backend, 1)),
                            }
                        }
                        self.finished.insert(planned.fingerprint.clone(), record);
                        self.loaded.push(planned.fingerprint.clone());
                        self.reused += 1;
                        loaded = true;
                        continue;
                    }
                    Stored::Invalid(why) => self.invalid.push((planned.clone(), why)),
                    Stored::Nothing => {}
                }
                due.push(planned.clone());
            }
            // What was loaded may name further trials.
            if !loaded {
                return Ok(due);
            }
        }
    }
}

/// The family of a trial of this job.
pub(super) fn family(job: usize, planned: &Planned) -> Family {
    match planned.family {
        Some(family) => Family::Of(job, family),
        None => Family::Alone(job, planned.fingerprint.to_string()),
    }
}

/// All that the fingerprint covers of a study's trial, given as JSON, on a kind of device.
pub fn identity(study: &dyn Study, trial: &Value, device_kind: &str) -> Identity {
    Identity {
        experiment: study.experiment().to_owned(),
        version: study.version(),
        device: device_kind.to_owned(),
        data: study.data().map(|spec| spec.identity()),
        trial: trial.clone(),
    }
}

/// Trials waiting for a worker, each with the index of its job.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    trials: VecDeque<(usize, Planned)>,
    closed: bool,
}

impl Queue {
    /// A poisoned lock is one a panicking thread held; its state is a queue all the same.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, trials: impl Iterator<Item = (usize, Planned)>) {
        let waiting = &mut self.lock().trials;
        waiting.extend(trials);
        // Long ones first; equal ones keep their order.
        waiting.make_contiguous().sort_by(|(_, a), (_, b)| b.cost.total_cmp(&a.cost));
        self.changed.notify_all();
    }

    pub fn len(&self) -> usize {
        self.lock().trials.len()
    }

    pub fn drain(&self) -> VecDeque<(usize, Planned)> {
        std::mem::take(&mut self.lock().trials)
    }

    /// Waits for a trial; `None` when the queue is closed.
    pub fn pop(&self) -> Option<(usize, Planned)> {
        let mut waiting = self.lock();
        loop {
            if waiting.closed {
                return None;
            }
            if let Some(next) = waiting.trials.pop_front() {
                return Some(next);
            }
            // A core without a trial helps those that run.
            let _core = pieces::lend();
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Closes a queue when it goes out of scope.
pub(super) struct CloseOnDrop<'a>(pub &'a Queue);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}
