//! Runs what is due: one pool of workers over the trials of every study, a whole trial each.
//! Knows the erased [`Study`], never a concrete experiment; the only user of indicatif.

pub mod verify;

use crate::backend::Backend;
use crate::backend::cpu::pieces;
use crate::backend::device::{DeviceChoice, set_up_thread};
use crate::data::batches::{DataSpec, Images};
use crate::data::fetch;
use crate::error::{Interrupted, Unwritable, one_line, say, usage};
use crate::store::Stored;
use crate::store::checkpoint::{EPOCHS, State, Unfit};
use crate::store::fingerprint::Identity;
use crate::store::lock::Lock;
use crate::store::record::{Encoded, Loaded};
use crate::store::run_dir::{RunDir, StudyDir};
use crate::store::weights::Tensors;
use crate::study::{AnyRecord, CheckpointStore, Context, Fingerprint, Finished, Planned, Progress, Study};
use anyhow::{Context as _, Result};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::IsTerminal as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tch::Device;

/// How to run.
pub struct Options {
    /// Trials at a time.
    pub jobs: usize,
    /// Run finished trials again.
    pub force: bool,
    pub choice: DeviceChoice,
    pub device: Device,
    pub progress: ProgressMode,
    pub verbose: bool,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// Between two checkpoints of a trial.
    pub checkpoint_every: Duration,
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

/// What is shown on standard error while trials run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressMode {
    Bars,
    Lines,
    Silent,
}

impl ProgressMode {
    /// Bars on a terminal, plain lines elsewhere.
    #[must_use]
    pub fn auto() -> Self {
        if std::io::stderr().is_terminal() { Self::Bars } else { Self::Lines }
    }
}

/// The process's wish to stop: set by SIGINT and SIGTERM; the second such signal ends it at once.
#[derive(Clone, Default)]
pub struct Signals {
    stop: Arc<AtomicBool>,
    number: Arc<AtomicUsize>,
}

impl Signals {
    /// # Errors
    /// Where the handlers cannot be installed.
    pub fn install() -> Result<Self> {
        use signal_hook::consts::{SIGINT, SIGTERM};
        use signal_hook::flag;
        let signals = Self::default();
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag still unset.
            flag::register_conditional_shutdown(signal, 128 + signal, signals.stop.clone())?;
            flag::register(signal, signals.stop.clone())?;
            flag::register_usize(signal, signals.number.clone(), signal as usize)?;
        }
        Ok(signals)
    }

    /// Set once a signal has come.
    #[must_use]
    pub fn flag(&self) -> &AtomicBool {
        &self.stop
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// 130 after SIGINT, 143 after SIGTERM.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        u8::try_from(128 + self.number.load(Ordering::Relaxed)).unwrap_or(130)
    }
}

/// Does `work` on each item, on up to so many threads, while no trial runs.
pub fn side_by_side<T: Send>(items: &mut [T], threads: usize, work: impl Fn(&mut T) + Sync) {
    let _cores: Vec<pieces::Lent> = (1..threads).map(|_| pieces::lend()).collect();
    pieces::for_each(items, |_, item| work(item));
}

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
    /// Trials loaded since last looked at.
    loaded: Vec<Fingerprint>,
    seen: BTreeSet<Fingerprint>,
    running: usize,
}

impl<'a> Job<'a> {
    #[must_use]
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
            running: 0,
        }
    }

    /// Writes `settings.toml` before the first trial, so that a folder always says what it is.
    fn write_settings(&self) -> Result<()> {
        let (settings, _) = self.study.settings()?;
        let header =
            format!("# Resolved settings. Repeat this run: hw1 {} --config settings.toml\n", self.study.experiment());
        self.dir.write("settings.toml", format!("{header}preset = \"{}\"\n{settings}", self.preset).as_bytes())
    }

    /// Of the reused trials those that something else than `here` computed: what, and how many.
    pub fn of_other_backends<'b>(&'b self, here: &'b Backend) -> impl Iterator<Item = &'b (Value, usize)> {
        self.reused_of.iter().filter(|(of, _)| here.other_than(of).is_some())
    }

    /// Names the trials that are due now, after loading what is done already. Changes no file.
    ///
    /// # Errors
    /// Where a record cannot be read.
    pub fn due(&mut self, device_kind: &str, force: bool) -> Result<Vec<Planned>> {
        let mut due = Vec::new();
        loop {
            self.planned = self.study.plan(&self.planned, &self.finished, device_kind)?;
            let mut loaded = false;
            for planned in &self.planned {
                if !self.seen.insert(planned.fingerprint.clone()) {
                    continue;
                }
                let identity = identity(self.study, &planned.trial, device_kind);
                let load = || self.dir.load(&identity, |record| self.study.decode(record));
                match if force { Stored::Nothing } else { load()? } {
                    Stored::Valid(Loaded { record, backend }) => {
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

/// All that the fingerprint covers of a study's trial, given as JSON, on a kind of device.
#[must_use]
pub fn identity(study: &dyn Study, trial: &Value, device_kind: &str) -> Identity {
    Identity {
        experiment: study.experiment().to_owned(),
        version: study.version(),
        device: device_kind.to_owned(),
        data: study.data().map(|spec| spec.identity()),
        trial: trial.clone(),
    }
}

/// Waits for the run directory's lock.
///
/// # Errors
/// Where it cannot be made, or when the process is to stop.
pub fn lock(run_dir: &RunDir, signals: &Signals, options: &Options) -> Result<Lock> {
    let mut told = false;
    loop {
        if let Some(lock) = run_dir.try_lock()? {
            return Ok(lock);
        }
        if !told && options.progress != ProgressMode::Silent {
            say(&format!("hw1: another hw1 works in {}; waiting for it", run_dir.root().display()));
            told = true;
        }
        if signals.stopped() {
            return Err(Interrupted.into());
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Runs every trial that is due, of all jobs together.
///
/// A trial that fails or panics is noted in its job's `failures` and log; the others go on.
///
/// # Errors
/// When records cannot be read or written, and [`Interrupted`] on a signal; what was finished
/// until then is kept in any case.
pub fn run(jobs: &mut [Job], signals: &Signals, options: &Options) -> Result<()> {
    let kind = options.choice.kind();
    let queue = Queue::default();
    let backend = Backend::of(options.choice);
    let mut display = Display::new(options);
    for (index, job) in jobs.iter_mut().enumerate() {
        job.dir.prepare()?;
        job.write_settings()?;
        enqueue(index, job, &queue, &display, options)?;
    }
    for job in jobs.iter() {
        display.reused(job, &backend, options.verbose);
    }
    if jobs.iter().all(|job| job.running == 0) {
        return Ok(());
    }

    let shared = share(jobs, signals, options)?;
    thread::scope(|scope| {
        // The scope waits for the workers: however it is left, they must find the queue closed.
        let _closing = CloseOnDrop(&queue);
        let (sender, receiver) = channel();
        let started: Result<()> = (0..options.jobs).try_for_each(|slot| {
            let (queue, shared, backend, events) = (&queue, &shared[..], &backend, sender.clone());
            let worker = Worker { slot, kind, backend, queue, shared, signals, options, events };
            let thread = thread::Builder::new().name(TRIAL_THREAD.into());
            thread.spawn_scoped(scope, move || worker.work()).with_context(|| {
                format!("cannot start thread {} of {}; try fewer with --jobs", slot + 1, options.jobs)
            })?;
            Ok(())
        });
        drop(sender);
        let result = started.and_then(|()| attend(jobs, &receiver, &queue, &mut display, signals, options));
        if result.is_err() {
            // Trials that run end with a checkpoint: the scope waits for them.
            signals.stop.store(true, Ordering::Relaxed);
        }
        display.clear();
        result
    })
}

/// What workers need of a job.
struct Shared<'a> {
    study: &'a dyn Study,
    dir: StudyDir,
    images: Option<Arc<Mutex<Images>>>,
}

/// Loads, before the first trial, each data set that trials are due on, once and onto the device.
fn share<'a>(jobs: &[Job<'a>], signals: &Signals, options: &Options) -> Result<Vec<Shared<'a>>> {
    let mut loaded: BTreeMap<DataSpec, Arc<Mutex<Images>>> = BTreeMap::new();
    let mut shared = Vec::new();
    for job in jobs {
        let images = match job.study.data().filter(|_| job.running > 0) {
            None => None,
            Some(spec) => Some(match loaded.get(&spec) {
                Some(images) => images.clone(),
                None => {
                    let fetch = |folder: &Path| {
                        with_download_bar(options.progress, |bar| {
                            fetch::fetch(folder, &fetch::mirrors(), signals.flag(), bar)
                        })
                    };
                    let images = spec.load(options.data_dir.as_deref(), fetch)?.on(options.device);
                    loaded.entry(spec).or_insert(Arc::new(Mutex::new(images))).clone()
                }
            }),
        };
        shared.push(Shared { study: job.study, dir: job.dir.clone(), images });
    }
    Ok(shared)
}

/// A poisoned lock is one a panicking thread held; the images never change.
fn lock_images(images: &Mutex<Images>) -> MutexGuard<'_, Images> {
    images.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name of worker threads: a panic there is a failed trial, not a bug report on the screen.
pub const TRIAL_THREAD: &str = "hw1 trial";

/// Puts a job's due trials into the queue, after setting aside what is in their way.
fn enqueue(index: usize, job: &mut Job, queue: &Queue, display: &Display, options: &Options) -> Result<()> {
    let due = job.due(options.choice.kind(), options.force)?;
    for (planned, why) in job.invalid.drain(..) {
        let names = job.dir.set_aside(&planned.fingerprint)?.join(" and ");
        display.warn(&format!("{why}; set aside as {names}, {} runs again", planned.name()));
    }
    for fingerprint in job.loaded.drain(..) {
        // Left where a process was killed just after publishing the record.
        job.dir.remove_checkpoint(&fingerprint)?;
    }
    if options.force {
        // Again means from the start.
        due.iter().try_for_each(|planned| job.dir.remove_checkpoint(&planned.fingerprint))?;
    }
    job.running += due.len();
    queue.push(due.into_iter().map(|planned| (index, planned)));
    Ok(())
}

/// Takes in what the workers report until all is done.
fn attend(
    jobs: &mut [Job],
    events: &Receiver<Event>,
    queue: &Queue,
    display: &mut Display,
    signals: &Signals,
    options: &Options,
) -> Result<()> {
    let mut told = false;
    while jobs.iter().any(|job| job.running > 0) {
        if signals.stopped() && !told {
            display.line("hw1: stopping, with a checkpoint of each running trial; a second signal stops at once");
            told = true;
        }
        let event = match events.recv_timeout(Duration::from_millis(100)) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => {
                display.tick();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        };
        match event {
            Event::Started { slot, job, planned, progress } => {
                display.started(slot, &jobs[job].study.folder(), &planned, progress);
            }
            Event::Warning(text) => display.warn(&text),
            Event::Ended { slot, job, planned, seconds, end } => {
                let job_index = job;
                let job = &mut jobs[job_index];
                job.running -= 1;
                display.ended(slot, seconds, &end);
                match end {
                    End::Done(record) => {
                        job.finished.insert(planned.fingerprint, record);
                    }
                    End::Failed(reason) => job.failures.push((planned.name(), reason)),
                    End::CannotWrite(error) => return Err(error),
                    End::Interrupted => {}
                }
                // Its records may name further trials: asked before a worker would be without one,
                // not after each trial, as naming all trials is work.
                if !signals.stopped() && (job.running == 0 || queue.len() < options.jobs) {
                    enqueue(job_index, job, queue, display, options)?;
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

/// Trials waiting for a worker, each with the index of its job.
#[derive(Default)]
struct Queue {
    state: Mutex<(VecDeque<(usize, Planned)>, bool)>,
    changed: Condvar,
}

impl Queue {
    /// A poisoned lock is one a panicking thread held; its state is a queue all the same.
    fn lock(&self) -> MutexGuard<'_, (VecDeque<(usize, Planned)>, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, trials: impl Iterator<Item = (usize, Planned)>) {
        let waiting = &mut self.lock().0;
        waiting.extend(trials);
        // Long ones first; equal ones keep their order.
        waiting.make_contiguous().sort_by(|(_, a), (_, b)| b.cost.total_cmp(&a.cost));
        self.changed.notify_all();
    }

    fn len(&self) -> usize {
        self.lock().0.len()
    }

    fn drain(&self) -> VecDeque<(usize, Planned)> {
        std::mem::take(&mut self.lock().0)
    }

    fn close(&self) {
        self.lock().1 = true;
        self.changed.notify_all();
    }

    /// Waits for a trial; `None` when the queue is closed.
    fn pop(&self) -> Option<(usize, Planned)> {
        let mut state = self.lock();
        loop {
            if state.1 {
                return None;
            }
            if let Some(next) = state.0.pop_front() {
                return Some(next);
            }
            // A core without a trial helps those that run.
            let _core = pieces::lend();
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Closes a queue when it goes out of scope.
struct CloseOnDrop<'a>(&'a Queue);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

enum Event {
    Started { slot: usize, job: usize, planned: Planned, progress: Arc<Progress> },
    Ended { slot: usize, job: usize, planned: Planned, seconds: f64, end: End },
    Warning(String),
}

/// How a trial ended.
enum End {
    Done(AnyRecord),
    Failed(String),
    Interrupted,
    /// The trial is done but the run directory takes no more files.
    CannotWrite(anyhow::Error),
}

struct Worker<'a> {
    slot: usize,
    kind: &'static str,
    backend: &'a Backend,
    queue: &'a Queue,
    shared: &'a [Shared<'a>],
    signals: &'a Signals,
    options: &'a Options,
    events: Sender<Event>,
}

impl Worker<'_> {
    fn work(self) {
        set_up_thread();
        let slot = self.slot;
        while let Some((job, planned)) = self.queue.pop() {
            let progress = Arc::new(Progress::default());
            let started = Event::Started { slot, job, planned: planned.clone(), progress: progress.clone() };
            let _ = self.events.send(started);
            let begin = Instant::now();
            let end = if self.signals.stopped() {
                End::Interrupted
            } else {
                // Whatever goes wrong in a trial, its end is told: nobody waits for ever.
                catch_unwind(AssertUnwindSafe(|| self.run(job, &planned, &progress)))
                    .unwrap_or_else(|panic| End::Failed(panic_message(panic.as_ref())))
            };
            let seconds = begin.elapsed().as_secs_f64();
            // Nobody listens any more once the run has failed.
            let _ = self.events.send(Event::Ended { slot, job, planned, seconds, end });
        }
    }

    fn run(&self, job: usize, planned: &Planned, progress: &Progress) -> End {
        let end = match self.attempt(job, planned, progress) {
            // Not what this training can go on from: of an older hw1, say.
            Err(error) if error.is::<Unfit>() => {
                let checkpoint = self.checkpoint(job, planned);
                checkpoint.set_aside(&one_line(&error)).and_then(|()| self.attempt(job, planned, progress))
            }
            end => end,
        };
        end.unwrap_or_else(End::CannotWrite)
    }

    fn checkpoint<'b>(&'b self, job: usize, planned: &'b Planned) -> CheckpointFile<'b> {
        CheckpointFile { worker: self, dir: &self.shared[job].dir, planned, origin: origin(planned, self.backend) }
    }

    /// # Errors
    /// [`Unfit`], and where the run directory takes no more files.
    fn attempt(&self, job: usize, planned: &Planned, progress: &Progress) -> Result<End> {
        let Shared { study, dir, images } = &self.shared[job];
        let begin = Instant::now();
        let read_weights = |fingerprint: &Fingerprint| dir.read_weights(fingerprint);
        let checkpoint = self.checkpoint(job, planned);
        let result = catch_unwind(AssertUnwindSafe(|| {
            // Shares the memory; tensors may be sent to a thread, not used by two at once.
            let images = images.as_ref().map(|images| lock_images(images).on(self.options.device));
            let mut cx = Context::new(self.options.device, progress, &self.signals.stop, &read_weights, images)
                .with_checkpoints(&checkpoint, self.options.checkpoint_every);
            match study.run(planned, &mut cx) {
                Ok(record) => {
                    let identity = identity(*study, &planned.trial, self.kind);
                    let encoded = Encoded::new(identity, self.backend, study.encode(&record)?, &cx.into_weights())?;
                    Ok((record, encoded))
                }
                Err(error) => {
                    if error.is::<Interrupted>() {
                        cx.save_checkpoint()?;
                    }
                    Err(error)
                }
            }
        }));
        let result = result.unwrap_or_else(|panic| Err(anyhow::anyhow!(panic_message(panic.as_ref()))));
        let log = |event: &str, reason: Option<&str>| {
            let seconds = begin.elapsed().as_secs_f64();
            self.log(dir, planned, json!({ "event": event, "reason": reason, "seconds": seconds }))
        };
        match result {
            Ok((record, encoded)) => {
                dir.publish(&planned.fingerprint, &encoded)?;
                log("done", None)?;
                Ok(End::Done(record))
            }
            Err(error) if error.is::<Interrupted>() => log("interrupted", None).map(|()| End::Interrupted),
            Err(error) if error.is::<Unfit>() || error.is::<Unwritable>() => Err(error),
            Err(error) => {
                let reason = one_line(&error);
                log("failed", Some(&reason)).map(|()| End::Failed(reason))
            }
        }
    }

    /// Adds a line on a trial to its study's log: an event, with what it was and what computed it.
    fn log(&self, dir: &StudyDir, planned: &Planned, mut event: Value) -> Result<()> {
        let common = json!({
            "time": humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            "label": planned.label, "seed": planned.seed, "fingerprint": planned.fingerprint,
            "device": self.options.choice, "jobs": self.options.jobs,
            "version": env!("CARGO_PKG_VERSION"), "commit": env!("HW1_COMMIT"),
        });
        for more in [common, serde_json::to_value(self.backend)?] {
            if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
                event.extend(more);
            }
        }
        dir.log(&event)
    }
}

/// What a trial's bits depend on: half of them from one backend and half from another would make a
/// record that none can repeat.
fn origin(planned: &Planned, backend: &Backend) -> String {
    format!("trial {}; {backend}", planned.fingerprint)
}

/// A running trial's checkpoint in the run directory.
struct CheckpointFile<'a> {
    worker: &'a Worker<'a>,
    dir: &'a StudyDir,
    planned: &'a Planned,
    origin: String,
}

impl CheckpointFile<'_> {
    /// Gives the checkpoint another name, and says so.
    fn set_aside(&self, why: &str) -> Result<()> {
        let names = self.dir.set_checkpoint_aside(&self.planned.fingerprint)?.join(" and ");
        let name = self.planned.name();
        let text = format!("no checkpoint for {name}: {why}; set aside as {names}, the trial begins anew");
        let _ = self.worker.events.send(Event::Warning(text));
        Ok(())
    }
}

impl CheckpointStore for CheckpointFile<'_> {
    fn load(&self) -> Result<Option<(State, Tensors)>> {
        match self.dir.read_checkpoint(&self.planned.fingerprint, &self.origin)? {
            Stored::Nothing => Ok(None),
            Stored::Invalid(why) => self.set_aside(&why).map(|()| None),
            Stored::Valid((state, weights)) => {
                let event = json!({ "event": "resumed", "epoch": state.counters.get(EPOCHS) });
                self.worker.log(self.dir, self.planned, event)?;
                Ok(Some((state, weights)))
            }
        }
    }

    fn save(&self, state: &State, weights: &Tensors) -> Result<()> {
        self.dir.write_checkpoint(&self.planned.fingerprint, &self.origin, state, weights)
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    // An unwrapped error of libtorch is quoted, its backtrace after an escaped line break.
    text.unwrap_or("a panic without a message").split("\\n").next().unwrap_or_default().to_owned()
}

/// Runs a download with a progress bar, or lines off a terminal.
///
/// # Errors
/// Those of the download.
pub fn with_download_bar(
    mode: ProgressMode,
    download: impl FnOnce(&mut dyn FnMut(fetch::Event)) -> Result<()>,
) -> Result<()> {
    let bar = if mode == ProgressMode::Bars { ProgressBar::new(0) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{prefix}  {bar:24} {bytes}/{total_bytes}  {eta} left") {
        bar.set_style(style.progress_chars("━╸─"));
    }
    let line = |text: String| match mode {
        ProgressMode::Bars => bar.suspend(|| say(&text)),
        ProgressMode::Lines => say(&text),
        ProgressMode::Silent => {}
    };
    let result = download(&mut |event| match event {
        fetch::Event::Waiting => line("another hw1 fetches into this folder; waiting for it".into()),
        fetch::Event::Present { file } => line(format!("{file}: already here")),
        fetch::Event::Started { file, url } => {
            bar.reset();
            bar.set_prefix(file.to_owned());
            line(format!("{file}: from {url}"));
        }
        fetch::Event::Progress { bytes, total, .. } => {
            bar.set_length(total.unwrap_or(0));
            bar.set_position(bytes);
        }
        fetch::Event::Failed { file, reason } => line(format!("{file}: {reason}")),
        fetch::Event::Finished { file } => line(format!("{file}: done")),
    });
    bar.finish_and_clear();
    result
}

/// A trial that runs now.
struct Running {
    name: String,
    progress: Arc<Progress>,
    begin: Instant,
    bar: Option<ProgressBar>,
}

impl Running {
    /// "epoch 1200 of 20000, loss 1.23e-2, 14 s left"; nothing before the first epoch.
    fn state(&self) -> Option<String> {
        let (epoch, epochs, loss) = self.progress.get();
        if epoch == 0 || epochs == 0 {
            return None;
        }
        let done_here = epoch.saturating_sub(self.progress.resumed()).max(1);
        let seconds = self.begin.elapsed().as_secs_f64() / done_here as f64 * epochs.saturating_sub(epoch) as f64;
        let left = humantime::format_duration(Duration::from_secs(seconds.min(1e9) as u64));
        Some(format!("epoch {epoch} of {epochs}, loss {loss:.2e}, at most {left} left"))
    }
}

/// Standard error while trials run.
struct Display {
    mode: ProgressMode,
    slots: Vec<Option<Running>>,
    multi: Option<MultiProgress>,
    last_heartbeat: Instant,
}

/// A running trial, from its first epoch on.
const BAR: &str = "{prefix}  {bar:24} {pos}/{len}  {msg}  at most {eta} left";

const HEARTBEAT: Duration = Duration::from_secs(30);

impl Display {
    fn new(options: &Options) -> Self {
        let multi = (options.progress == ProgressMode::Bars).then(|| {
            // Drawn even where indicatif would see no terminal: `--progress always`.
            let terminal = Box::new(console::Term::stderr());
            MultiProgress::with_draw_target(ProgressDrawTarget::term_like_with_hz(terminal, 10))
        });
        Self {
            mode: options.progress,
            slots: (0..options.jobs).map(|_| None).collect(),
            multi,
            last_heartbeat: Instant::now(),
        }
    }

    fn line(&self, text: &str) {
        match (&self.multi, self.mode) {
            (Some(multi), _) => {
                let _ = multi.println(text);
            }
            (None, ProgressMode::Silent) => {}
            (None, _) => say(text),
        }
    }

    /// Something is wrong that does not stop the run: told even where progress is not.
    fn warn(&self, text: &str) {
        let text = format!("hw1: warning: {text}");
        if self.mode == ProgressMode::Silent { say(&text) } else { self.line(&text) }
    }

    fn reused(&self, job: &Job, here: &Backend, verbose: bool) {
        let folder = job.study.folder();
        if job.reused > 0 {
            let (reused, all) = (job.reused, job.planned.len());
            self.line(&format!("{folder}: {reused} of {all} trials were done before and are reused"));
        }
        for (of, count) in job.of_other_backends(here) {
            let why = here.other_than(of).unwrap_or_default();
            self.line(&format!("{folder}: {count} of them by another backend, which rounds differently: {why}"));
        }
        if verbose {
            for planned in &job.planned {
                let state = if job.finished.contains_key(&planned.fingerprint) { "reused" } else { "due" };
                self.line(&format!("{}: {} {} {state}", job.study.folder(), planned.name(), planned.fingerprint));
            }
        }
    }

    fn started(&mut self, slot: usize, folder: &str, planned: &Planned, progress: Arc<Progress>) {
        let name = format!("{folder}: {}", planned.name());
        let bar = self.multi.as_ref().map(|multi| {
            let bar = multi.add(ProgressBar::new(0));
            if let Ok(style) = ProgressStyle::with_template("{prefix}  …") {
                bar.set_style(style);
            }
            bar.set_prefix(name.clone());
            bar
        });
        if bar.is_none() {
            self.line(&format!("{name}: started"));
        }
        self.slots[slot] = Some(Running { name, progress, begin: Instant::now(), bar });
    }

    fn ended(&mut self, slot: usize, seconds: f64, end: &End) {
        let Some(running) = self.slots[slot].take() else { return };
        let name = running.name;
        let text = match end {
            End::Done(_) => format!("{name}: done in {seconds:.1} s"),
            End::Failed(reason) => format!("{name}: failed: {reason}"),
            End::Interrupted => format!("{name}: interrupted"),
            End::CannotWrite(_) => format!("{name}: could not be saved"),
        };
        if let Some(bar) = running.bar {
            bar.finish_and_clear();
        }
        self.line(&text);
    }

    fn tick(&mut self) {
        for running in self.slots.iter().flatten() {
            let (epoch, epochs, loss) = running.progress.get();
            if let Some(bar) = running.bar.as_ref().filter(|_| epoch > 0) {
                if bar.length() == Some(0)
                    && let Ok(style) = ProgressStyle::with_template(BAR)
                {
                    bar.set_style(style.progress_chars("━╸─"));
                    // Epochs of an earlier call say nothing of this one's pace.
                    bar.set_position(running.progress.resumed());
                    bar.reset_eta();
                }
                bar.set_length(epochs);
                bar.set_position(epoch);
                bar.set_message(format!("loss {loss:.2e}"));
            }
        }
        if self.mode == ProgressMode::Lines && self.last_heartbeat.elapsed() >= HEARTBEAT {
            self.last_heartbeat = Instant::now();
            for running in self.slots.iter().flatten() {
                if let Some(state) = running.state() {
                    say(&format!("{}: {state}", running.name));
                }
            }
        }
    }

    fn clear(&self) {
        if let Some(multi) = &self.multi {
            let _ = multi.clear();
        }
    }
}
