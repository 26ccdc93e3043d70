//! What a running trial has beside its own description: device, data, the weights of its parents, and where its own
//! go; how far it is, and its checkpoints.

use crate::data::Data;
use crate::error::Interrupted;
use crate::model::{Layout, Slot, Weights};
use crate::store::checkpoint::{Checkpointer, EPOCHS, State};
use crate::store::fingerprint::Fingerprint;
use crate::store::weights::{self, NamedTensor, Tensors};
use anyhow::{Context as _, Result, ensure};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tch::{Device, Kind, Tensor};

/// How far a running trial is: written by its thread, read by the one that draws.
#[derive(Default)]
pub struct Progress {
    epoch: AtomicU64,
    epochs: AtomicU64,
    loss: AtomicU64,
    resumed: AtomicU64,
    /// Of the epoch under way, the share that is done.
    part: AtomicU64,
    /// What is known so far, in words.
    note: Mutex<Option<String>>,
}

impl Progress {
    /// The epochs that an earlier call had done.
    pub fn resumed(&self) -> u64 {
        self.resumed.load(Ordering::Relaxed)
    }

    /// What is known so far, in words, where a trial says something.
    pub fn note(&self) -> Option<String> {
        self.note.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, epoch: u64, epochs: u64, loss: f64) {
        self.epoch.store(epoch, Ordering::Relaxed);
        self.epochs.store(epochs, Ordering::Relaxed);
        self.loss.store(loss.to_bits(), Ordering::Relaxed);
        self.part.store(0f64.to_bits(), Ordering::Relaxed);
    }

    /// Of all epochs the share that is done, that of the one under way included, from 0 to 1; `None` before anything is
    /// known.
    pub fn share(&self) -> Option<f64> {
        let (epoch, epochs, _) = self.get();
        let part = f64::from_bits(self.part.load(Ordering::Relaxed));
        // Before the first one ends how many there are is not told.
        (epochs > 0).then(|| ((epoch as f64 + part) / epochs as f64).min(1.0))
    }

    /// Epochs done, epochs at most, and the last loss.
    pub fn get(&self) -> (u64, u64, f64) {
        let loss = f64::from_bits(self.loss.load(Ordering::Relaxed));
        (self.epoch.load(Ordering::Relaxed), self.epochs.load(Ordering::Relaxed), loss)
    }
}

/// What a running trial has besides its own description.
pub struct Context<'a> {
    pub device: Device,
    progress: &'a Progress,
    stop: &'a AtomicBool,
    /// Reads the published weights of a finished trial of the same study.
    read_weights: &'a WeightsReader<'a>,
    data: Option<Data>,
    weights: Tensors,
    checkpoints: Option<Checkpoints<'a>>,
    scratch: PathBuf,
}

/// The bytes of a trial's weights file, checked against its record.
pub type WeightsReader<'a> = dyn Fn(&Fingerprint) -> Result<Vec<u8>> + Sync + 'a;

/// Where a running trial's state outlasts the process.
pub trait CheckpointStore {
    /// What an earlier call saved there: the state, and the weights gathered until then.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    fn load(&self) -> Result<Option<(State, Tensors)>>;

    /// Saves a state there, whole, in place of the last one.
    fn save(&self, state: &State, weights: &Tensors) -> Result<()>;
}

/// A running trial's states: the last one in memory, now and then in the store.
struct Checkpoints<'a> {
    store: &'a dyn CheckpointStore,
    /// Between two that are saved.
    interval: Duration,
    last_saved: Instant,
    /// A newer one than that in the store.
    kept: Option<State>,
    last_kept: Instant,
    /// A trial is one training, if any: of a second one nothing is kept.
    trainings: u32,
}

/// A state is taken at an epoch's end where the last one is older: short epochs do not pay for it,
/// and of long ones no more than the one in progress is ever lost to a signal.
const KEEP_EVERY: Duration = Duration::from_millis(100);

impl<'a> Context<'a> {
    pub fn new(
        device: Device,
        progress: &'a Progress,
        stop: &'a AtomicBool,
        read_weights: &'a WeightsReader<'a>,
        data: Option<Data>,
    ) -> Self {
        let (weights, scratch) = (Tensors::new(), std::env::temp_dir());
        Self { device, progress, stop, read_weights, data, weights, checkpoints: None, scratch }
    }

    /// Goes on from what is in the store, and saves there what is worth it every `interval`.
    pub fn with_checkpoints(mut self, store: &'a dyn CheckpointStore, interval: Duration) -> Self {
        let now = Instant::now();
        self.checkpoints =
            Some(Checkpoints { store, interval, last_saved: now, kept: None, last_kept: now, trainings: 0 });
        self
    }

    /// Files without a name go to the disk of this folder.
    pub fn with_scratch(mut self, folder: &Path) -> Self {
        folder.clone_into(&mut self.scratch);
        self
    }

    /// The folder on whose disk a trial's files without a name are; the system's for such files, where nothing is said.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Saves the last state in the store, for a trial that is interrupted.
    pub fn save_checkpoint(&mut self) -> Result<()> {
        if let Some(checkpoints) = &mut self.checkpoints
            && let Some(state) = checkpoints.kept.take()
        {
            checkpoints.store.save(&state, &self.weights)?;
            checkpoints.last_saved = Instant::now();
        }
        Ok(())
    }

    /// The data set that [`super::Experiment::data`] named, on the trial's device.
    ///
    /// # Errors
    /// Where it named none.
    pub fn data(&self) -> Result<&Data> {
        self.data.as_ref().context("the study named no data set")
    }

    /// To be called once a step of a trial that is no training: shows where it is.
    pub fn step_done(&self, done: u64, steps: u64, loss: f64) -> Result<()> {
        self.progress.set(done, steps, loss);
        self.check_stop()
    }

    /// Shows what is known so far, such as a running mean.
    pub fn note(&self, text: String) {
        *self.progress.note.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    /// To be called within long epochs.
    pub fn check_stop(&self) -> Result<()> {
        self.watch().check_stop()
    }

    /// The same for the threads that a trial's work is spread over.
    pub fn watch(&self) -> Watch<'a> {
        Watch { progress: self.progress, stop: self.stop }
    }

    /// What a finished trial of this study saved with [`Self::save_weights`].
    pub fn saved(&self, trial: &Fingerprint) -> Result<SavedWeights> {
        SavedWeights::decode(&(self.read_weights)(trial)?, format!("trial {trial}"), self.device)
    }

    /// Publishes weights with the record, as `<prefix>.fc1.weight` and so on.
    pub fn save_weights(&mut self, prefix: &str, layout: &Layout, weights: &Weights) -> Result<()> {
        let here = weights.each(|flat| flat.detach().to_device(Device::Cpu));
        for (slots, flat) in [(&layout.slots, here.theta), (&layout.buffers, here.buffers)] {
            for slot in slots {
                let tensor = NamedTensor::copy_of(&slot.view(&flat))?;
                self.weights.insert(format!("{prefix}.{}", slot.name), tensor);
            }
        }
        Ok(())
    }

    /// What [`Self::save_weights`] gathered.
    pub fn into_weights(self) -> Tensors {
        self.weights
    }
}

/// How far a trial is, and whether it is to stop, for each of the threads that work at it.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    progress: &'a Progress,
    stop: &'a AtomicBool,
}

impl Watch<'_> {
    /// Shows where the trial is.
    pub fn show(&self, done: u64, steps: u64, loss: f64) {
        self.progress.set(done, steps, loss);
    }

    /// # Errors
    /// [`Interrupted`] where the trial is to stop.
    pub fn check_stop(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) { Err(Interrupted.into()) } else { Ok(()) }
    }
}

impl Checkpointer for Context<'_> {
    fn resume(&mut self) -> Result<Option<State>> {
        let Some(checkpoints) = &mut self.checkpoints else { return Ok(None) };
        checkpoints.trainings += 1;
        if checkpoints.trainings > 1 {
            return Ok(None);
        }
        let Some((state, weights)) = checkpoints.store.load()? else { return Ok(None) };
        self.weights.extend(weights);
        self.progress.resumed.store(state.counter(EPOCHS)?, Ordering::Relaxed);
        Ok(Some(state))
    }

    fn epoch_done(&mut self, done: u64, epochs: u64, loss: f64, state: &dyn Fn() -> Result<State>) -> Result<()> {
        self.progress.set(done, epochs, loss);
        if let Some(checkpoints) = self.checkpoints.as_mut().filter(|checkpoints| checkpoints.trainings == 1) {
            let now = Instant::now();
            let is_due = now - checkpoints.last_saved >= checkpoints.interval;
            if is_due || now - checkpoints.last_kept >= KEEP_EVERY || self.stop.load(Ordering::Relaxed) {
                checkpoints.kept = Some(state()?);
                checkpoints.last_kept = now;
            }
            if is_due {
                self.save_checkpoint()?;
            }
        }
        Context::check_stop(self)
    }

    fn check_stop(&self) -> Result<()> {
        Context::check_stop(self)
    }

    fn within_epoch(&self, epochs: u64, share: f64) {
        self.progress.epochs.store(epochs, Ordering::Relaxed);
        self.progress.part.store(share.to_bits(), Ordering::Relaxed);
    }
}

/// A file of weights, read once: of a finished trial, or from elsewhere.
pub struct SavedWeights {
    tensors: Tensors,
    /// "trial 1a2b", or the file.
    whose: String,
    device: Device,
}

/// Before the names of the weights that a training ended with.
const FINAL: &str = "final.";

impl SavedWeights {
    /// The weights that a file of safetensors has; `whose` stands in errors.
    ///
    /// # Errors
    /// Where the bytes are no such file.
    pub fn decode(bytes: &[u8], whose: String, device: Device) -> Result<Self> {
        let (tensors, _) = weights::decode(bytes).with_context(|| format!("the weights of {whose}"))?;
        Ok(Self { tensors, whose, device })
    }

    /// The weights that were saved under this prefix, on the running trial's device.
    ///
    /// # Errors
    /// Where there are no such weights, or they do not fit the layout.
    pub fn weights(&self, prefix: &str, layout: &Layout) -> Result<Weights> {
        self.named(&format!("{prefix}."), layout)
    }

    /// The weights that a training ended with: those under "final", or, in a file of another program, under the
    /// layout's own names.
    ///
    /// # Errors
    /// As of [`Self::weights`].
    pub fn solution(&self, layout: &Layout) -> Result<Weights> {
        let is_ours = self.tensors.keys().any(|name| name.starts_with(FINAL));
        self.named(if is_ours { FINAL } else { "" }, layout)
    }

    fn named(&self, prefix: &str, layout: &Layout) -> Result<Weights> {
        Ok(Weights { theta: self.flat(prefix, &layout.slots)?, buffers: self.flat(prefix, &layout.buffers)? })
    }

    fn flat(&self, prefix: &str, slots: &[Slot]) -> Result<Tensor> {
        let whose = &self.whose;
        let mut slices = vec![Tensor::f_zeros([0], (Kind::Float, Device::Cpu))?];
        for slot in slots {
            let name = format!("{prefix}{}", slot.name);
            let tensor = self.tensors.get(&name).with_context(|| {
                let names: Vec<&str> = self.tensors.keys().take(3).map(String::as_str).collect();
                format!("no {name} in the weights of {whose}, which begin with {}", names.join(", "))
            })?;
            ensure!(
                tensor.shape.iter().map(|&n| n as i64).eq(slot.shape.iter().copied()),
                "{name} of {whose} has shape {:?}, not {:?}",
                tensor.shape,
                slot.shape
            );
            slices.push(tensor.tensor()?.f_reshape([slot.len()])?);
        }
        Ok(Tensor::f_cat(&slices, 0)?.f_to_device(self.device)?)
    }
}
