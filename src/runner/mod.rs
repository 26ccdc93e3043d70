//! Runs what is due: one pool of workers over the trials of every study, a whole trial each. Knows the erased
//! [`Study`](crate::study::Study), never a concrete experiment.

mod display;
mod download;
mod expected;
mod schedule;
pub mod shard;
mod signals;
pub mod verify;
mod whole;
mod workers;

pub use display::ProgressMode;
pub use download::{Watcher, with_download_bar};
pub use expected::Expected;
pub use schedule::{Job, identity};
pub use signals::Signals;

use crate::backend::{Backend, cpu::pieces, device::DeviceChoice};
use crate::data::{Access, Data};
use crate::error::{Interrupted, say, usage};
use crate::store::{Lock, RunDir};
use crate::study::Study;
use anyhow::{Context as _, Result};
use display::Display;
use schedule::{CloseOnDrop, Queue};
use shard::Shard;
use std::collections::{
    BTreeSet,
    btree_map::{BTreeMap, Entry},
};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tch::Device;
use whole::Tally;
use workers::{End, Event, Shared, Worker};

/// How to run.
pub struct Options {
    /// Trials at a time.
    pub workers: usize,
    /// Run finished trials again.
    pub force: bool,
    pub choice: DeviceChoice,
    pub device: Device,
    pub progress: ProgressMode,
    pub verbose: bool,
    /// How data is got at.
    pub access: Access,
    /// Between two checkpoints of a trial.
    pub checkpoint_every: Duration,
    /// Which of several processes this is; `None` of one that does all.
    pub shard: Option<Shard>,
}

/// Between two checkpoints of a trial: what a power cut may cost, and the epoch in progress.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(30);

/// [`CHECKPOINT_EVERY`], or the seconds in `HW1_CHECKPOINT_SECONDS`.
///
/// # Errors
/// Where that is no number of seconds.
pub fn checkpoint_interval() -> Result<Duration> {
    let Some(text) = std::env::var_os("HW1_CHECKPOINT_SECONDS") else { return Ok(CHECKPOINT_EVERY) };
    let seconds = text.to_str().and_then(|text| text.parse().ok());
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(|| {
        usage(format!("HW1_CHECKPOINT_SECONDS is '{}': it must be seconds, 0 or more", text.to_string_lossy()))
    })
}

/// Does `work` on each item, on up to so many threads, while no trial runs.
pub fn side_by_side<T: Send>(items: &mut [T], threads: usize, work: impl Fn(&mut T) + Sync) {
    let _cores: Vec<pieces::Lent> = (1..threads).map(|_| pieces::lend()).collect();
    pieces::for_each(items, |_, item| work(item));
}

/// Waits for the run directory's lock.
///
/// # Errors
/// Where it cannot be made, or when the process is to stop.
pub fn lock(run_dir: &RunDir, signals: &Signals, options: &Options) -> Result<Lock> {
    let mut told = false;
    for tries in 1.. {
        if let Some(lock) = run_dir.try_lock()? {
            return Ok(lock);
        }
        // Who only looks whether others work there holds it for a moment.
        if !told && tries > 2 && options.progress != ProgressMode::Silent {
            say(&format!("hw1: another hw1 works in {}; waiting for it", run_dir.root().display()));
            told = true;
        }
        if signals.stopped() {
            return Err(Interrupted.into());
        }
        thread::sleep(Duration::from_millis(100));
    }
    Err(Interrupted.into())
}

/// Runs every trial that is due, of all jobs together.
///
/// A trial that fails or panics is noted in its job's `failures` and log; the others go on.
///
/// # Errors
/// When records cannot be read or written, and [`Interrupted`] on a signal; what was finished
/// until then is kept in any case.
pub fn run(jobs: &mut [Job], run_dir: &RunDir, signals: &Signals, options: &Options) -> Result<()> {
    let queue = Queue::default();
    let backend = Backend::of(options.choice);
    let mut display = Display::new(options.progress, options.workers);
    for (index, job) in jobs.iter_mut().enumerate() {
        job.dir.prepare()?;
        job.write_settings()?;
        job.enqueue(index, &queue, options, |text| display.warn(text))?;
    }
    for job in jobs.iter() {
        display.reused(job, &backend, options.verbose);
    }
    if jobs.iter().all(|job| job.running == 0) {
        return Ok(());
    }

    let shared = share(jobs, options)?;
    thread::scope(|scope| {
        // The scope waits for the workers: however it is left, they must find the queue closed.
        let _closing = CloseOnDrop(&queue);
        let (sender, receiver) = channel();
        let started: Result<()> = (0..options.workers).try_for_each(|slot| {
            let (queue, shared, backend, events) = (&queue, &shared[..], &backend, sender.clone());
            let worker = Worker { slot, backend, queue, shared, signals, options, events };
            let thread = thread::Builder::new().name(TRIAL_THREAD.into());
            thread.spawn_scoped(scope, move || worker.work()).with_context(|| {
                format!("cannot start thread {} of {}; try fewer with --jobs", slot + 1, options.workers)
            })?;
            Ok(())
        });
        drop(sender);
        let told = started.and_then(|()| Told::new(jobs, run_dir, options));
        let result = told.and_then(|told| attend(jobs, &receiver, &queue, (&mut display, told), signals, options));
        if result.is_err() {
            // The scope waits for the trials that run.
            signals.stop();
        }
        display.clear();
        result
    })
}

/// Loads, before the first trial, each data set that trials are due on, once and onto the device.
fn share<'a>(jobs: &[Job<'a>], options: &Options) -> Result<Vec<Shared<'a>>> {
    let mut loaded = BTreeMap::new();
    for set in jobs.iter().filter(|job| job.running > 0).filter_map(|job| job.study.data()) {
        if let Entry::Vacant(entry) = loaded.entry(set.identity()) {
            entry.insert(Arc::new(Mutex::new(Data::load(set, &options.access)?.on(options.device))));
        }
    }
    let data = |job: &Job| loaded.get(&job.study.data()?.identity()).cloned();
    Ok(jobs.iter().map(|job| Shared { study: job.study, dir: job.dir.clone(), data: data(job) }).collect())
}

/// Opens the data that studies learn from, as a run of them does before its first trial.
///
/// # Errors
/// Where some is not there or cannot be read.
pub fn preflight(studies: &[Box<dyn Study>], options: &Options) -> Result<()> {
    let mut opened = BTreeSet::new();
    for set in studies.iter().filter_map(|study| study.data()).filter(|set| opened.insert(set.identity())) {
        Data::load(set, &options.access)?.on(options.device);
    }
    Ok(())
}

/// The name of worker threads: a panic there is a failed trial, not a bug report on the screen.
pub const TRIAL_THREAD: &str = "hw1 trial";

/// How far a run is, as those who look at its directory see it.
struct Told<'a> {
    tally: Tally,
    run_dir: &'a RunDir,
    shard: Option<Shard>,
    last: Instant,
}

impl<'a> Told<'a> {
    fn new(jobs: &[Job], run_dir: &'a RunDir, options: &Options) -> Result<Self> {
        let last = Instant::now();
        Ok(Self { tally: Tally::new(jobs, options.workers)?, run_dir, shard: options.shard, last })
    }

    fn tick(&mut self, jobs: &[Job], display: &mut Display) {
        let mut whole = self.tally.whole(jobs, display.running());
        display.tick(&whole);
        whole.shard = self.shard.map(|shard| shard.to_string());
        if self.last.elapsed() >= self.run_dir.tell_every() {
            self.run_dir.tell_progress(&whole);
            self.last = Instant::now();
        }
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.run_dir.end_progress();
    }
}

/// What is drawn so often is seen to move.
const TICK: Duration = Duration::from_millis(100);

/// Takes in what the workers tell until all is done.
fn attend(
    jobs: &mut [Job],
    events: &Receiver<Event>,
    queue: &Queue,
    (display, mut told): (&mut Display, Told),
    signals: &Signals,
    options: &Options,
) -> Result<()> {
    let mut has_told = false;
    let mut next = Instant::now() + TICK;
    while jobs.iter().any(|job| job.running > 0) {
        if signals.stopped() && !has_told {
            let by = signals.by();
            display.line(&format!("hw1: stopped{by}, with a checkpoint of each running trial; Ctrl-C ends it at once"));
            has_told = true;
        }
        // Also where trials end faster than one looks.
        if Instant::now() >= next {
            told.tick(jobs, display);
            next = Instant::now() + TICK;
        }
        let event = match events.recv_timeout(TICK) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        match event {
            Event::Started { slot, job: index, planned, progress } => {
                let job = &mut jobs[index];
                job.waiting_cost -= planned.cost;
                display.started(slot, (index, &job.study.folder()), &planned, progress);
            }
            Event::Warning(text) => display.warn(&text),
            Event::Ended { slot, job: index, planned, seconds, end } => {
                let job = &mut jobs[index];
                job.running -= 1;
                let (was_resumed, share) = display.ended(slot, seconds, &end);
                match end {
                    End::Done(record) => {
                        told.tally.done(index, planned.cost, (seconds, share), was_resumed);
                        job.finished.insert(planned.fingerprint, record);
                    }
                    End::Failed(reason) => job.failures.push((planned.name(), reason)),
                    End::CannotWrite(error) => return Err(error),
                    End::Interrupted => {}
                }
                // Its records may name further trials: asked before a worker would be without one,
                // not after each trial, as naming all trials is work.
                if !signals.stopped() && (job.running == 0 || queue.len() < options.workers) {
                    job.enqueue(index, queue, options, |text| display.warn(text))?;
                }
            }
        }
        if signals.stopped() {
            // Those that run see it themselves; those that wait are not begun.
            for (index, _) in queue.drain() {
                jobs[index].running -= 1;
            }
        }
    }
    if signals.stopped() { Err(Interrupted.into()) } else { Ok(()) }
}
