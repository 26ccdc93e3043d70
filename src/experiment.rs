//! The seam every study hangs on: an [`Experiment`] names its trials, runs one, and reports on
//! the records; [`Study`] is the same with its types erased, which the runner and the registry
//! hold. Knows neither the command line nor files.

use crate::checkpoint::{EPOCHS, Keeper, State};
use crate::claim::Claim;
use crate::data::batches::{DataSpec, Images};
use crate::error::Interrupted;
use crate::files::sha256;
use crate::model::Layout;
use crate::plot::Figure;
use crate::shown::significant;
use crate::tensors::{self, NamedTensor, Tensors};
use anyhow::{Context as _, Result, bail, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tch::{Device, Tensor};

/// Raised when the mathematics changes that all studies share, such as that of the kernels, so that no older
/// record counts. Part of every study's version.
pub const SHARED_VERSION: u32 = 0;

/// The version that fingerprints cover, of a study's own and the shared one: another whenever either is raised.
#[must_use]
pub fn version(study: u32, shared: u32) -> u32 {
    study + shared
}

#[cfg(test)]
thread_local! {
    /// Another [`SHARED_VERSION`], on this thread.
    pub(crate) static RAISED: std::cell::Cell<Option<u32>> = const { std::cell::Cell::new(None) };
}

fn shared_version() -> u32 {
    #[cfg(test)]
    if let Some(raised) = RAISED.get() {
        return raised;
    }
    SHARED_VERSION
}

/// One subcommand. The value is its settings, read from its TOML file.
pub trait Experiment: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Subcommand, and TOML file under `experiments/`.
    const NAME: &'static str;
    /// One line of `hw1 --help`.
    const ABOUT: &'static str;
    /// `include_str!` of the TOML file: every setting with its default, and the presets.
    const SETTINGS: &'static str;
    /// Raised when the mathematics of this study alone changes, so that older records of it no longer count;
    /// [`SHARED_VERSION`] where that of all studies does.
    const VERSION: u32;
    /// A setting whose value chooses defaults for others (`[variant.<value>]` in the TOML file)
    /// and, given as a list, makes a study of each value.
    const VARIANT: Option<&'static str> = None;
    /// Flags of its own, beside the common ones.
    const FLAGS: &'static [Flag] = &[];
    /// Seeds that `hw1 all` runs where nothing else is said: several where they take seconds.
    const REPEATS_IN_ALL: u64 = 1;

    type Trial: Trial;
    type Record: Record;

    /// Whether the settings make sense, beyond their types.
    ///
    /// # Errors
    /// A sentence that names the setting and what would be valid.
    fn check(&self) -> Result<(), String>;

    /// The images it trains on; `None` where it needs none.
    fn data(&self) -> Option<DataSpec> {
        None
    }

    /// Folder in the run directory; letters, digits and '-' only.
    fn folder(&self) -> String {
        Self::NAME.to_owned()
    }

    /// What a person calls the trial: unique together with its seed.
    fn label(&self, trial: &Self::Trial) -> String;

    /// How many trials it is, at most, with those that only records will name: by the settings alone, so that
    /// too many are refused before one of them is named. Asked of settings that passed [`Self::check`].
    fn size(&self) -> Size;

    /// All trials, done or not, as far as the records so far let them be named, in the order of
    /// tables and figures. Asked again with each new record; a later answer may add trials, never
    /// drop one.
    fn trials(&self, done: &Records<Self>) -> Result<Vec<Self::Trial>>;

    /// Runs one trial. No `self`: it sees its trial and nothing else.
    fn run_trial(trial: &Self::Trial, cx: &mut Context) -> Result<Self::Record>;

    /// What the records show together.
    fn report(&self, done: &Records<Self>) -> Result<Report>;
}

/// How many trials a study is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub trials: u128,
    /// What makes it smaller: "lower --repeats or trainings".
    pub smaller: &'static str,
}

/// Studies of more trials are a slip of the pen: their names alone would fill the memory.
pub const MOST_TRIALS: u128 = 100_000;

impl Size {
    /// Of so many trials a seed; more than 128 bits hold are as many as they hold.
    #[must_use]
    pub fn of_seeds(repeats: u64, trials_a_seed: u128, smaller: &'static str) -> Self {
        Self { trials: trials_a_seed.saturating_mul(repeats.into()), smaller }
    }
}

/// Everything a result depends on, and nothing else; its JSON is what the fingerprint covers.
pub trait Trial: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    fn seed(&self) -> u64;

    /// How much work it is, beside other trials of any study: the longest start first, so that no
    /// core is left alone with one at the end. Roughly parameters · samples · epochs.
    fn cost(&self) -> f64 {
        0.0
    }
}

/// What one trial measured.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    fn measurements(&self) -> &Measurements;
}

/// A flag that sets a setting, beside the flags all experiments share.
pub struct Flag {
    pub name: &'static str,
    /// Empty for a switch, which sets its setting to true.
    pub value_name: &'static str,
    /// The setting it gives a value to.
    pub setting: &'static str,
    /// May be given more than once; the setting is then a list.
    pub repeatable: bool,
    /// Turns the flag's text into a TOML value, for settings that are not text.
    pub parse: fn(&str) -> Result<toml::Value, String>,
    pub help: &'static str,
}

impl Flag {
    /// For settings that are text.
    ///
    /// # Errors
    /// None; the signature is that of [`Flag::parse`].
    pub fn text(text: &str) -> Result<toml::Value, String> {
        Ok(text.into())
    }

    /// For settings that are whole numbers.
    ///
    /// # Errors
    /// Where the text is none.
    pub fn whole(text: &str) -> Result<toml::Value, String> {
        let number = text.parse::<u32>().map_err(|_| format!("'{text}' is not a whole number from 0 up"))?;
        Ok(i64::from(number).into())
    }

    /// For switches.
    ///
    /// # Errors
    /// None; the signature is that of [`Flag::parse`].
    pub fn switch(_: &str) -> Result<toml::Value, String> {
        Ok(true.into())
    }
}

/// `--dataset`, of every study on digits.
pub const DATASET_FLAG: Flag = Flag {
    name: "dataset",
    value_name: "NAME",
    setting: "dataset",
    repeatable: false,
    parse: Flag::text,
    help: "mnist, or synthetic: digits drawn by hw1 itself [default: mnist; synthetic in the smoke preset]",
};

/// `--trainings`, of every study of several trainings of one network.
pub const TRAININGS_FLAG: Flag = Flag {
    name: "trainings",
    value_name: "N",
    setting: "trainings",
    repeatable: false,
    parse: Flag::whole,
    help: "Trainings, each from its own initial weights",
};

/// Numbers every record has, under the names of settings, CSV and figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measurements {
    /// Length of θ.
    pub parameters: i64,
    #[serde(with = "numbers::map")]
    pub scalars: BTreeMap<String, f64>,
    #[serde(with = "numbers::series")]
    pub series: BTreeMap<String, Vec<f64>>,
}

impl Measurements {
    /// Named numbers of a trial with `parameters` parameters.
    #[must_use]
    pub fn new<const M: usize, const N: usize>(
        parameters: i64,
        scalars: [(&str, f64); M],
        series: [(&str, Vec<f64>); N],
    ) -> Self {
        Self {
            parameters,
            scalars: scalars.map(|(name, value)| (name.to_owned(), value)).into(),
            series: series.map(|(name, values)| (name.to_owned(), values)).into(),
        }
    }

    /// With more named numbers.
    #[must_use]
    pub fn and<const M: usize>(mut self, scalars: [(&str, f64); M]) -> Self {
        self.scalars.extend(scalars.map(|(name, value)| (name.to_owned(), value)));
        self
    }

    /// A scalar that the record must have.
    ///
    /// # Errors
    /// When it does not: a record of another version.
    pub fn scalar(&self, name: &str) -> Result<f64> {
        self.scalars.get(name).copied().with_context(|| format!("the record has no scalar '{name}'"))
    }

    /// A scalar that the record must have, of the trained network; NaN where the training diverged, or the loss
    /// beside an accuracy is no number: then its outputs are none, and to call one of them right is chance.
    ///
    /// # Errors
    /// When it does not: a record of another version.
    pub fn after_training(&self, name: &str) -> Result<f64> {
        let value = self.scalar(name)?;
        let is_lost = self.is_not_finite(&name.replace("accuracy", "loss"));
        Ok(if is_lost || self.diverged() { f64::NAN } else { value })
    }

    /// Whether its training diverged: a loss was no longer a finite number, be it after the last step only.
    #[must_use]
    pub fn diverged(&self) -> bool {
        self.scalars.get("diverged") == Some(&1.0)
            || self.scalars.contains_key("diverged") && self.is_not_finite("final_train_loss")
    }

    fn is_not_finite(&self, name: &str) -> bool {
        self.scalars.get(name).is_some_and(|value| !value.is_finite())
    }

    /// A series that the record must have.
    ///
    /// # Errors
    /// When it does not: a record of another version.
    pub fn series(&self, name: &str) -> Result<&[f64]> {
        self.series.get(name).map(Vec::as_slice).with_context(|| format!("the record has no series '{name}'"))
    }

    /// How many of its numbers are not finite (null in JSON).
    #[must_use]
    pub fn non_finite(&self) -> usize {
        self.scalars.values().chain(self.series.values().flatten()).filter(|value| !value.is_finite()).count()
    }
}

/// Yes or no as a scalar: 1 or 0.
#[must_use]
pub fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

impl Record for Measurements {
    fn measurements(&self) -> &Measurements {
        self
    }
}

/// The records of a study, in declared order.
pub struct Records<E: Experiment>(pub Vec<Done<E>>);

/// A finished trial.
pub struct Done<E: Experiment> {
    /// For trials that build on this one.
    pub fingerprint: Fingerprint,
    pub label: String,
    pub trial: E::Trial,
    pub record: Arc<E::Record>,
}

/// What a study's records show together.
#[derive(Default)]
pub struct Report {
    /// Columns, then rows, of the table on standard output.
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
    /// Sentences under the table.
    pub notes: Vec<String>,
    pub figures: Vec<Figure>,
    /// Results over all trials, for metrics.json.
    pub summary: serde_json::Map<String, Value>,
    pub claims: Vec<Claim>,
}

/// Checks of settings that many studies have, for [`Experiment::check`]: every number has a bound, every product
/// of numbers that is made or held one of its own.
pub mod check {
    use std::ops::RangeInclusive;

    /// Beyond these a slip of the pen is more likely than a wish.
    const MOST_REPEATS: u64 = 10_000;
    /// A curve has a number an epoch.
    const MOST_EPOCHS: u64 = 100_000_000;

    /// Learning rates that float32 can compute with: Adam takes up to 10 times one, and by 30 times its inverse.
    const LEARNING_RATES: RangeInclusive<f64> = 1e-36..=1e36;

    /// # Errors
    /// Names the setting and what would be valid.
    pub fn training(epochs: u64, learning_rate: f64) -> Result<(), String> {
        within("epochs", epochs, 1..=MOST_EPOCHS)?;
        if !LEARNING_RATES.contains(&learning_rate) {
            let (least, most) = (LEARNING_RATES.start(), LEARNING_RATES.end());
            return Err(format!(
                "learning_rate is {}; it must be above 0, from {least:e} to {most:e}",
                plain(learning_rate)
            ));
        }
        Ok(())
    }

    /// # Errors
    /// Names the setting and what would be valid.
    pub fn batch_size(batch_size: u32) -> Result<(), String> {
        if batch_size == 0 { Err("batch_size is 0; it must be at least 1".into()) } else { Ok(()) }
    }

    /// # Errors
    /// Names the setting and what would be valid.
    pub fn trainings(trainings: u64, most: u64) -> Result<(), String> {
        within("trainings", trainings, 1..=most)
    }

    /// # Errors
    /// Names the setting and what would be valid.
    pub fn seeds(seed: u64, repeats: u64) -> Result<(), String> {
        seeds_of_groups(seed, repeats, 1)
    }

    /// Of studies whose every repeat takes several seeds.
    ///
    /// # Errors
    /// Names the setting and what would be valid.
    pub fn seeds_of_groups(seed: u64, repeats: u64, seeds_each: u64) -> Result<(), String> {
        within("repeats", repeats, 1..=MOST_REPEATS)?;
        // Settings files hold signed numbers.
        let end = u128::from(seed) + u128::from(repeats) * u128::from(seeds_each);
        if end > i64::MAX as u128 {
            let each = if seeds_each == 1 { String::new() } else { format!(" of {seeds_each} trainings") };
            return Err(format!("seed is {seed}: too large for {repeats} repeats{each}"));
        }
        Ok(())
    }

    /// # Errors
    /// Names the setting and what would be valid.
    pub fn within(name: &str, value: impl Into<u128>, range: RangeInclusive<u64>) -> Result<(), String> {
        let (value, least, most) = (value.into(), *range.start(), *range.end());
        if (u128::from(least)..=u128::from(most)).contains(&value) {
            Ok(())
        } else {
            Err(format!("{name} is {value}; it must be from {least} to {most}"))
        }
    }

    /// Of settings that multiply.
    ///
    /// # Errors
    /// Names the settings, their product and what would be valid.
    pub fn product(factors: &[(&str, u128)], most: u128) -> Result<(), String> {
        let product = factors.iter().fold(1u128, |product, (_, factor)| product.saturating_mul(*factor));
        if product <= most {
            return Ok(());
        }
        let names: Vec<&str> = factors.iter().map(|(name, _)| *name).collect();
        Err(format!("{} is {product}; it must be at most {most}", names.join(" · ")))
    }

    /// What one trial may hold in memory; in bytes.
    const MOST_MEMORY: u128 = 16 << 30;

    /// That what a trial holds at a time, so many `bytes`, fits into memory.
    ///
    /// # Errors
    /// Says what it is, how much, and what makes it `smaller`.
    pub fn memory(what: &str, bytes: u128, smaller: &str) -> Result<(), String> {
        if bytes <= MOST_MEMORY {
            return Ok(());
        }
        let gigabytes = |bytes: u128| bytes.div_ceil(1_000_000_000);
        let (needed, most) = (gigabytes(bytes), MOST_MEMORY / 1_000_000_000);
        Err(format!("{what} would take {needed} GB of memory; a trial may take {most}: {smaller}"))
    }

    /// Of a number that networks, which compute in float32, are to be multiplied by: neither too large for that
    /// nor, unless it is 0, too small.
    ///
    /// # Errors
    /// Names the setting and what would be valid.
    pub fn factor(name: &str, value: f64) -> Result<(), String> {
        let (least, most) = (f64::from(f32::MIN_POSITIVE), f64::from(f32::MAX));
        if value == 0.0 || (least..=most).contains(&value.abs()) {
            return Ok(());
        }
        let value = plain(value);
        Err(format!("{name} is {value}: networks compute in float32, from {least:.1e} to {most:.1e} in magnitude"))
    }

    /// A number as it would be written: 0.001 and 1e300.
    #[must_use]
    pub fn plain(value: f64) -> String {
        if value == 0.0 || !value.is_finite() || (1e-5..1e15).contains(&value.abs()) {
            value.to_string()
        } else {
            format!("{value:e}")
        }
    }

    /// The first value that a list has twice.
    #[must_use]
    pub fn twice(values: &[f64]) -> Option<f64> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[1])
    }
}

/// A cell of a study's table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Text(String),
    /// A measured number: shown with four significant digits.
    Number(f64),
    /// A whole number.
    Count(f64),
    Seed(u64),
    /// There is no such number.
    Undefined,
}

/// A measured number as a table cell.
#[must_use]
pub fn cell(value: f64) -> Cell {
    Cell::Number(value)
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Seed(seed) => seed.fmt(f),
            Self::Undefined => f.write_str("-"),
            Self::Number(value) | Self::Count(value) if !value.is_finite() => f.write_str("not finite"),
            Self::Count(value) => value.fmt(f),
            Self::Number(value) => f.write_str(&significant(*value, 4)),
        }
    }
}

/// How far a running trial is: written by its thread, read by the one that draws.
#[derive(Default)]
pub struct Progress {
    epoch: AtomicU64,
    epochs: AtomicU64,
    loss: AtomicU64,
    resumed: AtomicU64,
}

impl Progress {
    /// The epochs that an earlier call had done.
    #[must_use]
    pub fn resumed(&self) -> u64 {
        self.resumed.load(Ordering::Relaxed)
    }

    fn set(&self, epoch: u64, epochs: u64, loss: f64) {
        self.epoch.store(epoch, Ordering::Relaxed);
        self.epochs.store(epochs, Ordering::Relaxed);
        self.loss.store(loss.to_bits(), Ordering::Relaxed);
    }

    /// Epochs done, epochs at most, and the last loss.
    #[must_use]
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
    images: Option<Images>,
    weights: Tensors,
    checkpoints: Option<Checkpoints<'a>>,
}

/// The bytes of a trial's weights file, checked against its record.
pub type WeightsReader<'a> = dyn Fn(&Fingerprint) -> Result<Vec<u8>> + Sync + 'a;

/// Where a running trial's state outlasts the process.
pub trait Shelf {
    /// What an earlier call put there: the state, and the weights gathered until then.
    ///
    /// # Errors
    /// Where it is there and cannot be read.
    fn take(&self) -> Result<Option<(State, Tensors)>>;

    /// Puts a state there, whole, in place of the last one.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn put(&self, state: &State, weights: &Tensors) -> Result<()>;
}

/// A running trial's states: the last one in memory, now and then on the shelf.
struct Checkpoints<'a> {
    shelf: &'a dyn Shelf,
    /// Between two puts.
    interval: Duration,
    last_put: Instant,
    /// A newer one than that on the shelf.
    kept: Option<State>,
    last_kept: Instant,
    /// A trial is one training, if any: of a second one nothing is kept.
    trainings: u32,
}

/// A state is taken at an epoch's end where the last one is older: short epochs do not pay for it,
/// and of long ones no more than the one in progress is ever lost to a signal.
const KEEP_EVERY: Duration = Duration::from_millis(100);

impl<'a> Context<'a> {
    #[must_use]
    pub fn new(
        device: Device,
        progress: &'a Progress,
        stop: &'a AtomicBool,
        read_weights: &'a WeightsReader<'a>,
        images: Option<Images>,
    ) -> Self {
        Self { device, progress, stop, read_weights, images, weights: Tensors::new(), checkpoints: None }
    }

    /// Goes on from what is on the shelf, and puts there what is worth it every `interval`.
    #[must_use]
    pub fn with_checkpoints(mut self, shelf: &'a dyn Shelf, interval: Duration) -> Self {
        let now = Instant::now();
        self.checkpoints =
            Some(Checkpoints { shelf, interval, last_put: now, kept: None, last_kept: now, trainings: 0 });
        self
    }

    /// Puts the last state on the shelf, for a trial that is interrupted.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn put_checkpoint(&mut self) -> Result<()> {
        if let Some(checkpoints) = &mut self.checkpoints
            && let Some(state) = checkpoints.kept.take()
        {
            checkpoints.shelf.put(&state, &self.weights)?;
            checkpoints.last_put = Instant::now();
        }
        Ok(())
    }

    /// The images that [`Experiment::data`] asked for, on the trial's device.
    ///
    /// # Errors
    /// Where it asked for none.
    pub fn images(&self) -> Result<&Images> {
        self.images.as_ref().context("the study named no data set")
    }

    /// To be called once a step of a trial that is no training: shows where it is.
    ///
    /// # Errors
    /// [`Interrupted`] when the process is to stop; pass it on.
    pub fn step_done(&self, done: u64, steps: u64, loss: f64) -> Result<()> {
        self.progress.set(done, steps, loss);
        self.check_stop()
    }

    /// To be called within long epochs.
    ///
    /// # Errors
    /// [`Interrupted`] when the process is to stop; pass it on.
    pub fn check_stop(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) { Err(Interrupted.into()) } else { Ok(()) }
    }

    /// The weights that a finished trial of this study saved.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn saved(&self, trial: &Fingerprint) -> Result<SavedWeights> {
        let bytes = (self.read_weights)(trial)?;
        let (tensors, _) = tensors::decode(&bytes).with_context(|| format!("the weights of trial {trial}"))?;
        Ok(SavedWeights { tensors, trial: trial.clone(), device: self.device })
    }

    /// θ as a finished trial of this study saved it with [`Self::save_weights`].
    ///
    /// # Errors
    /// Where that trial has no such weights, or they do not fit the layout.
    pub fn saved_weights(&self, trial: &Fingerprint, prefix: &str, layout: &Layout) -> Result<Tensor> {
        self.saved(trial)?.theta(prefix, layout)
    }

    /// Publishes θ with the record, as `<prefix>.fc1.weight` and so on.
    ///
    /// # Errors
    /// Where θ cannot be read from its device.
    pub fn save_weights(&mut self, prefix: &str, layout: &Layout, theta: &Tensor) -> Result<()> {
        let theta = theta.f_detach()?.f_to_device(Device::Cpu)?;
        for (index, slot) in layout.slots.iter().enumerate() {
            let tensor = NamedTensor::copy_of(&layout.view(&theta, index))?;
            self.weights.insert(format!("{prefix}.{}", slot.name), tensor);
        }
        Ok(())
    }

    /// What [`Self::save_weights`] gathered.
    #[must_use]
    pub fn into_weights(self) -> Tensors {
        self.weights
    }
}

impl Keeper for Context<'_> {
    fn resume(&mut self) -> Result<Option<State>> {
        let Some(checkpoints) = &mut self.checkpoints else { return Ok(None) };
        checkpoints.trainings += 1;
        if checkpoints.trainings > 1 {
            return Ok(None);
        }
        let Some((state, weights)) = checkpoints.shelf.take()? else { return Ok(None) };
        self.weights.extend(weights);
        self.progress.resumed.store(state.counter(EPOCHS)?, Ordering::Relaxed);
        Ok(Some(state))
    }

    fn epoch_done(&mut self, done: u64, epochs: u64, loss: f64, state: &dyn Fn() -> Result<State>) -> Result<()> {
        self.progress.set(done, epochs, loss);
        if let Some(checkpoints) = self.checkpoints.as_mut().filter(|checkpoints| checkpoints.trainings == 1) {
            let now = Instant::now();
            let is_due = now - checkpoints.last_put >= checkpoints.interval;
            if is_due || now - checkpoints.last_kept >= KEEP_EVERY || self.stop.load(Ordering::Relaxed) {
                checkpoints.kept = Some(state()?);
                checkpoints.last_kept = now;
            }
            if is_due {
                self.put_checkpoint()?;
            }
        }
        Context::check_stop(self)
    }

    fn check_stop(&self) -> Result<()> {
        Context::check_stop(self)
    }
}

/// The weights file of a finished trial, read once.
pub struct SavedWeights {
    tensors: Tensors,
    trial: Fingerprint,
    device: Device,
}

impl SavedWeights {
    /// θ as it was saved under this prefix, on the running trial's device.
    ///
    /// # Errors
    /// Where there are no such weights, or they do not fit the layout.
    pub fn theta(&self, prefix: &str, layout: &Layout) -> Result<Tensor> {
        let trial = &self.trial;
        let mut slices = Vec::new();
        for slot in &layout.slots {
            let name = format!("{prefix}.{}", slot.name);
            let tensor =
                self.tensors.get(&name).with_context(|| format!("no {name} in the weights of trial {trial}"))?;
            ensure!(
                tensor.shape.iter().map(|&n| n as i64).eq(slot.shape.iter().copied()),
                "{name} of trial {trial} has shape {:?}, not {:?}",
                tensor.shape,
                slot.shape
            );
            slices.push(tensor.tensor()?.f_reshape([slot.len()])?);
        }
        Ok(Tensor::f_cat(&slices, 0)?.f_to_device(self.device)?)
    }
}

/// A record whose type only its own study knows.
pub type AnyRecord = Arc<dyn Any + Send + Sync>;

/// A trial of some study, with what the runner needs of it.
#[derive(Clone)]
pub struct Planned {
    pub label: String,
    pub seed: u64,
    pub fingerprint: Fingerprint,
    /// See [`Trial::cost`].
    pub cost: f64,
    /// The trial as JSON.
    pub trial: Value,
}

impl Planned {
    /// "DNN_1, seed 0".
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}, seed {}", self.label, self.seed)
    }
}

/// Names a trial's record: a stable hash of all it depends on.
///
/// A trial that builds on another names it by fingerprint, so that its own covers it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Fingerprint(String);

impl TryFrom<String> for Fingerprint {
    type Error = String;

    /// Only what [`Self::of`] makes: it becomes part of a file's name.
    fn try_from(text: String) -> Result<Self, String> {
        let is_one = text.len() == LENGTH && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_one { Ok(Self(text)) } else { Err(format!("'{text}' is no fingerprint of a trial")) }
    }
}

/// 96 bits in hexadecimal: no two trials will ever share them.
const LENGTH: usize = 24;

impl Fingerprint {
    /// Of a trial (as JSON) of an experiment at a version, on a kind of device and a data set.
    #[must_use]
    pub fn of(experiment: &str, version: u32, device_kind: &str, data: Option<&str>, trial: &Value) -> Self {
        let mut whole = serde_json::json!({
            "device": device_kind, "experiment": experiment, "trial": trial, "version": version,
        });
        if let Some(data) = data {
            whole["data"] = data.into();
        }
        let mut canonical = String::new();
        write_canonical(&whole, &mut canonical);
        let mut digest = sha256(canonical.as_bytes());
        digest.truncate(LENGTH);
        Self(digest)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// JSON with sorted keys, whatever order the map type keeps them in.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for key in keys {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_canonical(&map[key], out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        // In a form of our own: how a JSON library prints 0.00001 differs between its versions.
        Value::Number(number) if number.is_f64() => {
            out.push_str(&format!("{:e}", number.as_f64().unwrap_or(f64::NAN)));
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// Finished trials of a study by fingerprint.
pub type Finished = BTreeMap<Fingerprint, AnyRecord>;

/// An [`Experiment`] with its settings and without its types: what the runner sees.
pub trait Study: Send + Sync {
    /// The subcommand.
    fn experiment(&self) -> &'static str;
    /// Its own and the shared one together.
    fn version(&self) -> u32;
    fn folder(&self) -> String;
    /// What it asks, in a few sentences: the first paragraph of its TOML file.
    fn asked(&self) -> String;
    fn data(&self) -> Option<DataSpec>;
    /// The resolved settings, as TOML and as JSON.
    fn settings(&self) -> Result<(String, Value)>;
    /// See [`Experiment::size`].
    fn size(&self) -> Size;
    /// All trials due or done, in declared order; those that need records still missing come
    /// with a later call. `before` is what an earlier call named, if any: where each trial follows from the one
    /// before, naming all from the first on at each call would take for ever.
    fn plan(&self, before: &[Planned], finished: &Finished, device_kind: &str) -> Result<Vec<Planned>>;
    fn run(&self, planned: &Planned, cx: &mut Context) -> Result<AnyRecord>;
    fn encode(&self, record: &AnyRecord) -> Result<Value>;
    /// # Errors
    /// Where the JSON is not a record of this experiment.
    fn decode(&self, record: Value) -> Result<AnyRecord>;
    fn measurements<'a>(&self, record: &'a AnyRecord) -> Result<&'a Measurements>;
    /// Over the planned trials that are finished.
    fn report(&self, planned: &[Planned], finished: &Finished) -> Result<Report>;
}

impl<E: Experiment> Study for E {
    fn experiment(&self) -> &'static str {
        E::NAME
    }

    fn version(&self) -> u32 {
        version(E::VERSION, shared_version())
    }

    fn folder(&self) -> String {
        Experiment::folder(self)
    }

    fn asked(&self) -> String {
        let paragraph = E::SETTINGS.lines().map_while(|line| line.strip_prefix("# "));
        let text = paragraph.collect::<Vec<_>>().join(" ");
        // Behind the name of the subcommand and the report's task.
        text.split_once(". ").map_or(text.clone(), |(_, asked)| asked.to_owned())
    }

    fn data(&self) -> Option<DataSpec> {
        Experiment::data(self)
    }

    fn settings(&self) -> Result<(String, Value)> {
        Ok((toml::to_string(self)?, serde_json::to_value(self)?))
    }

    fn size(&self) -> Size {
        Experiment::size(self)
    }

    fn plan(&self, before: &[Planned], finished: &Finished, device_kind: &str) -> Result<Vec<Planned>> {
        let data = Experiment::data(self).map(|spec| spec.identity());
        let version = Study::version(self);
        let named = |records: &Records<E>| -> Result<Vec<Planned>> {
            self.trials(records)?
                .iter()
                .map(|trial| {
                    let json = serde_json::to_value(trial)?;
                    Ok(Planned {
                        label: self.label(trial),
                        seed: trial.seed(),
                        cost: trial.cost(),
                        fingerprint: Fingerprint::of(E::NAME, version, device_kind, data.as_deref(), &json),
                        trial: json,
                    })
                })
                .collect()
        };
        // Trials that follow from records are asked for with those records in hand.
        let (mut planned, mut known) = match before {
            [] => (named(&Records(Vec::new()))?, Some(0)),
            _ => (before.to_vec(), None),
        };
        loop {
            let done = records(&planned, finished)?;
            // The same records name the same trials.
            if known == Some(done.0.len()) {
                return Ok(planned);
            }
            known = Some(done.0.len());
            let before = planned;
            planned = named(&done)?;
            let still: BTreeSet<&Fingerprint> = planned.iter().map(|planned| &planned.fingerprint).collect();
            if let Some(dropped) = before.iter().find(|old| !still.contains(&old.fingerprint)) {
                bail!("{} no longer names its trial {}", E::NAME, dropped.name());
            }
        }
    }

    fn run(&self, planned: &Planned, cx: &mut Context) -> Result<AnyRecord> {
        let trial = E::Trial::deserialize(&planned.trial)?;
        Ok(Arc::new(E::run_trial(&trial, cx)?))
    }

    fn encode(&self, record: &AnyRecord) -> Result<Value> {
        Ok(serde_json::to_value(typed::<E>(record)?.as_ref())?)
    }

    fn decode(&self, record: Value) -> Result<AnyRecord> {
        Ok(Arc::new(serde_json::from_value::<E::Record>(record)?))
    }

    fn measurements<'a>(&self, record: &'a AnyRecord) -> Result<&'a Measurements> {
        let record = record.downcast_ref::<E::Record>().context("a record of another experiment")?;
        Ok(record.measurements())
    }

    fn report(&self, planned: &[Planned], finished: &Finished) -> Result<Report> {
        Experiment::report(self, &records(planned, finished)?)
    }
}

fn typed<E: Experiment>(record: &AnyRecord) -> Result<Arc<E::Record>> {
    record.clone().downcast().ok().context("a record of another experiment")
}

fn records<E: Experiment>(planned: &[Planned], finished: &Finished) -> Result<Records<E>> {
    let mut done = Vec::new();
    for planned in planned {
        if let Some(record) = finished.get(&planned.fingerprint) {
            done.push(Done {
                fingerprint: planned.fingerprint.clone(),
                label: planned.label.clone(),
                trial: E::Trial::deserialize(&planned.trial)?,
                record: typed::<E>(record)?,
            });
        }
    }
    Ok(Records(done))
}

/// JSON for measured numbers: whole ones without ".0", those that are not finite as null.
pub mod numbers {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    /// 2⁵³: whole numbers below are exact in both.
    const EXACT: f64 = 9_007_199_254_740_992.0;

    struct Number(f64);

    impl Serialize for Number {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let value = self.0;
            if !value.is_finite() {
                serializer.serialize_none()
            } else if value.fract() == 0.0 && value.abs() < EXACT && !(value == 0.0 && value.is_sign_negative()) {
                serializer.serialize_i64(value as i64)
            } else {
                serializer.serialize_f64(value)
            }
        }
    }

    impl<'de> Deserialize<'de> for Number {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            Ok(Self(Option::deserialize(deserializer)?.unwrap_or(f64::NAN)))
        }
    }

    /// For `BTreeMap<String, f64>`.
    pub mod map {
        use super::*;

        pub fn serialize<S: Serializer>(map: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(map.iter().map(|(name, &value)| (name, Number(value))))
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
            let map = BTreeMap::<String, Number>::deserialize(deserializer)?;
            Ok(map.into_iter().map(|(name, value)| (name, value.0)).collect())
        }
    }

    /// For `BTreeMap<String, Vec<f64>>`.
    pub mod series {
        use super::*;

        struct Series<'a>(&'a [f64]);

        impl Serialize for Series<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.0.iter().map(|&value| Number(value)))
            }
        }

        pub fn serialize<S: Serializer>(map: &BTreeMap<String, Vec<f64>>, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(map.iter().map(|(name, values)| (name, Series(values))))
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Vec<f64>>, D::Error> {
            let map = BTreeMap::<String, Vec<Number>>::deserialize(deserializer)?;
            Ok(map.into_iter().map(|(name, values)| (name, values.into_iter().map(|v| v.0).collect())).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_cover_everything_and_no_order() {
        let trial: Value = serde_json::from_str(r#"{"b": 1, "a": {"d": 0.001, "c": "x"}}"#).unwrap();
        let same: Value = serde_json::from_str(r#"{"a": {"c": "x", "d": 1e-3}, "b": 1}"#).unwrap();
        let base = Fingerprint::of("simulate", 1, "cpu", None, &trial);
        assert_eq!(base, Fingerprint::of("simulate", 1, "cpu", None, &same));
        let changed: Value = serde_json::from_str(r#"{"a": {"c": "x", "d": 0.002}, "b": 1}"#).unwrap();
        for other in [
            Fingerprint::of("simulate", 2, "cpu", None, &trial),
            Fingerprint::of("simulate", 1, "cuda", None, &trial),
            Fingerprint::of("simulate", 1, "cpu", Some("mnist"), &trial),
            Fingerprint::of("other", 1, "cpu", None, &trial),
            Fingerprint::of("simulate", 1, "cpu", None, &changed),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn what_diverged_has_no_accuracy() {
        let record = |scalars: &[(&str, f64)]| Measurements {
            scalars: scalars.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            ..Measurements::default()
        };
        let after = |train_loss: f64, test_loss: f64, diverged: f64| {
            let record = record(&[
                ("diverged", diverged),
                ("final_train_loss", train_loss),
                ("final_test_loss", test_loss),
                ("final_train_accuracy", 0.1),
                ("final_test_accuracy", 0.2),
            ]);
            let after = |name: &str| record.after_training(name).unwrap().is_finite();
            (record.diverged(), after("final_train_accuracy"), after("final_test_accuracy"), after("final_test_loss"))
        };
        assert_eq!(after(1.0, 2.0, 0.0), (false, true, true, true));
        assert_eq!(after(1.0, 2.0, 1.0), (true, false, false, false));
        // The last step alone may do it.
        assert_eq!(after(f64::NAN, 2.0, 0.0), (true, false, false, false));
        assert_eq!(after(1.0, f64::INFINITY, 0.0), (false, true, false, false));
        assert!(record(&[]).after_training("final_train_loss").is_err());
        // What is no training cannot diverge.
        assert!(!record(&[("final_train_loss", f64::NAN)]).diverged());
    }

    #[test]
    fn cells_have_four_significant_digits() {
        for (value, text) in [
            (0.0, "0.000"),
            (0.001_236_2, "0.001236"),
            (-12.345_6, "-12.35"),
            (123_456.0, "123456"),
            (1.5e-7, "1.500e-7"),
            (2.5e9, "2.500e9"),
            (0.999_96, "1.000"),
            (f64::NAN, "not finite"),
        ] {
            assert_eq!(cell(value).to_string(), text);
        }
    }

    #[test]
    fn measurements_survive_json_with_null_for_what_is_not_finite() {
        let measured = Measurements {
            parameters: 3,
            scalars: [("epochs_run".into(), 415.0), ("loss".into(), f64::NAN), ("zero".into(), -0.0)].into(),
            series: [("train_loss".into(), vec![0.1, f64::INFINITY, 2.0])].into(),
        };
        let json = serde_json::to_string(&measured).unwrap();
        assert_eq!(
            json,
            r#"{"parameters":3,"scalars":{"epochs_run":415,"loss":null,"zero":-0.0},"series":{"train_loss":[0.1,null,2]}}"#
        );
        let back: Measurements = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), json);
        assert_eq!(back.non_finite(), 2);
    }
}
