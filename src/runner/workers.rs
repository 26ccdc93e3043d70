//! Workers: each runs whole trials, one after the other, from the queue to record, checkpoint and log. Knows the erased
//! [`Study`], never a concrete experiment.

use crate::backend::{Backend, device::set_up_thread};
use crate::data::Data;
use crate::error::{Interrupted, Unwritable, one_line};
use crate::runner::schedule::{Queue, identity};
use crate::runner::{Options, signals::Signals};
use crate::store::checkpoint::{EPOCHS, State, Unfit};
use crate::store::{Encoded, Published, Replacing, Stored, StudyDir, log_time, weights::Tensors};
use crate::study::{AnyRecord, CheckpointStore, Context, Fingerprint, Planned, Progress, Study};
use anyhow::Result;
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What workers need of a job.
pub(super) struct Shared<'a> {
    pub study: &'a dyn Study,
    pub dir: StudyDir,
    pub data: Option<Arc<Mutex<Data>>>,
}

/// What a worker tells.
pub(super) enum Event {
    Started { slot: usize, job: usize, planned: Planned, progress: Arc<Progress> },
    Ended { slot: usize, job: usize, planned: Planned, seconds: f64, end: End },
    Warning(String),
}

/// How a trial ended.
pub(super) enum End {
    Done(AnyRecord),
    Failed(String),
    Interrupted,
    /// The trial is done but the run directory takes no more files.
    CannotWrite(anyhow::Error),
}

pub(super) struct Worker<'a> {
    pub slot: usize,
    pub backend: &'a Backend,
    pub queue: &'a Queue,
    pub shared: &'a [Shared<'a>],
    pub signals: &'a Signals,
    pub options: &'a Options,
    pub events: Sender<Event>,
}

impl Worker<'_> {
    pub fn work(self) {
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
        let origin = format!("trial {}; {}", planned.fingerprint, self.backend);
        CheckpointFile { worker: self, dir: &self.shared[job].dir, planned, origin }
    }

    /// # Errors
    /// [`Unfit`], and where the run directory takes no more files.
    fn attempt(&self, job: usize, planned: &Planned, progress: &Progress) -> Result<End> {
        let Shared { study, dir, data } = &self.shared[job];
        let begin = Instant::now();
        let read_weights = |fingerprint: &Fingerprint| dir.read_weights(fingerprint);
        let checkpoint = self.checkpoint(job, planned);
        let result = catch_unwind(AssertUnwindSafe(|| {
            // Shares the memory; tensors may be sent to a thread, not used by two at once. A poisoned lock is one that
            // a panicking thread held; the samples never change.
            let data = data.as_ref().map(|data| data.lock().unwrap_or_else(PoisonError::into_inner));
            let data = data.map(|data| data.on(self.options.device));
            let mut cx = Context::new(self.options.device, progress, self.signals.flag(), &read_weights, data)
                .with_checkpoints(&checkpoint, self.options.checkpoint_every)
                .with_scratch(dir.root());
            match study.run(planned, &mut cx) {
                Ok(record) => {
                    let identity = identity(*study, &planned.trial, self.options.choice.kind());
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
            Ok((record, encoded)) => match self.publish(job, planned, &encoded)? {
                None => log("done", None).map(|()| End::Done(record)),
                // What counts is the same for all.
                Some(standing) => log("surplus", None).map(|()| End::Done(standing)),
            },
            Err(error) if error.is::<Interrupted>() => log("interrupted", None).map(|()| End::Interrupted),
            Err(error) if error.is::<Unfit>() || error.is::<Unwritable>() => Err(error),
            Err(error) => {
                let reason = one_line(&error);
                log("failed", Some(&reason)).map(|()| End::Failed(reason))
            }
        }
    }

    /// Publishes a finished trial; the record that stands, where another process came first.
    fn publish(&self, job: usize, planned: &Planned, encoded: &Encoded) -> Result<Option<AnyRecord>> {
        let Shared { study, dir, .. } = &self.shared[job];
        let fingerprint = &planned.fingerprint;
        let replacing = if self.options.force { Replacing::Standing } else { Replacing::Nothing };
        if dir.publish(fingerprint, encoded, replacing)? == Published::Ours {
            return Ok(None);
        }
        let identity = || identity(*study, &planned.trial, self.options.choice.kind());
        match dir.load(fingerprint, identity, |record| study.decode(record))? {
            Stored::Valid((record, _)) => Ok(Some(record)),
            // Damaged, or taken away since.
            Stored::Nothing | Stored::Invalid(_) => {
                dir.set_aside(fingerprint)?;
                dir.publish(fingerprint, encoded, Replacing::Standing).map(|_| None)
            }
        }
    }

    /// Adds a line on a trial to its study's log: an event, with what it was and what computed it.
    fn log(&self, dir: &StudyDir, planned: &Planned, mut event: Value) -> Result<()> {
        let common = json!({
            "time": log_time(),
            "label": planned.label, "seed": planned.seed, "fingerprint": planned.fingerprint,
            "device": self.options.choice, "jobs": self.options.workers,
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

/// A running trial's checkpoint in the run directory.
struct CheckpointFile<'a> {
    worker: &'a Worker<'a>,
    dir: &'a StudyDir,
    planned: &'a Planned,
    /// What the trial's bits depend on: half of them from one backend and half from another would make a record that
    /// none can repeat.
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
