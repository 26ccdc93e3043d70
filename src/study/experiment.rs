//! What a study is: an [`Experiment`] names its trials, runs one, and says what the records show together. Knows
//! neither the command line nor files.

use super::claim::{SEEDS, Unit};
use super::context::Context;
use super::findings::Findings;
use super::flags::Flag;
use super::group::Settings;
use super::instead::Instead;
use super::measurements::Measurements;
use super::memory::Held;
use crate::data::Dataset;
use crate::store::fingerprint::Fingerprint;
use anyhow::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ops::Deref;
use std::sync::Arc;

/// Raised when the mathematics changes that all studies share, such as that of the kernels, so that no older
/// record counts. Part of every study's version.
pub const SHARED_VERSION: u32 = 0;

/// The version that fingerprints cover, of a study's own and the shared one: another whenever either is raised.
pub fn version(study: u32, shared: u32) -> u32 {
    study + shared
}

#[cfg(test)]
thread_local! {
    /// Another [`SHARED_VERSION`], on this thread.
    pub(crate) static RAISED: std::cell::Cell<Option<u32>> = const { std::cell::Cell::new(None) };
}

pub(super) fn shared_version() -> u32 {
    #[cfg(test)]
    if let Some(raised) = RAISED.get() {
        return raised;
    }
    SHARED_VERSION
}

/// One subcommand. The value is its settings, read from its TOML file.
pub trait Experiment: Settings + Serialize + Send + Sync + 'static {
    /// Subcommand, and TOML file under `experiments/`.
    const NAME: &'static str;
    /// One line of `hw1 --help`.
    const ABOUT: &'static str;
    /// `include_str!` of the TOML file: every setting with its default, the presets, and the words of figures and
    /// claims.
    const SETTINGS: &'static str;
    /// Raised when the mathematics of this study alone changes, so that older records of it no longer count;
    /// [`SHARED_VERSION`] where that of all studies does.
    const VERSION: u32;
    /// A setting whose value chooses defaults for others (`[variant.<value>]` in the TOML file)
    /// and, given as a list, makes a study of each value.
    const VARIANT: Option<&'static str> = None;
    /// A setting that may stand in the place of others; of [`Self::VARIANT`], too: its defaults are those of any other
    /// value then.
    const INSTEAD: Option<Instead> = None;
    /// Flags of its own, beside the common ones.
    const FLAGS: &'static [Flag] = &[];
    /// Whether `hw1 all` runs it: whatever needs no file of the user's own.
    const IN_ALL: bool = true;
    /// Seeds that `hw1 all` runs where nothing else is said: several where they take seconds.
    const REPEATS_IN_ALL: u64 = 1;
    /// What its figures show several of, one a seed of its trials; `None` where a seed is no training.
    const CASE: Option<Unit> = Some(SEEDS);

    type Trial: Trial;
    type Record: Record;

    /// Whether the settings make sense, beyond their types.
    fn check(&self) -> Result<(), String>;

    /// The data set it trains on; `None` where points are computed.
    fn data(&self) -> Option<Arc<dyn Dataset>> {
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

    /// The most that its trials hold in memory, by kind; a kind that is left out holds less. By the settings alone, so
    /// that what no memory has room for is refused beforehand.
    fn memory(&self) -> Result<Vec<Held>, String> {
        Ok(Vec::new())
    }

    /// All trials, done or not, as far as the records so far let them be named, in the order of
    /// tables and figures. Asked again with each new record; a later answer may add trials, never
    /// drop one.
    fn trials(&self, done: &Records<Self>) -> Result<Vec<Self::Trial>>;

    /// Trials that a later one may join share a number, and run where they find each other; `None` where no other trial
    /// builds on this one, nor it on another.
    fn family(&self, _trial: &Self::Trial) -> Option<u64> {
        None
    }

    /// Runs one trial. No `self`: it sees its trial and nothing else.
    fn run_trial(trial: &Self::Trial, cx: &mut Context) -> Result<Self::Record>;

    /// What the records show together.
    fn findings(&self, done: &Records<Self>) -> Result<Findings>;
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
    pub fn of_seeds(repeats: u64, trials_a_seed: u128, smaller: &'static str) -> Self {
        Self { trials: trials_a_seed.saturating_mul(repeats.into()), smaller }
    }
}

/// Everything a result depends on, and nothing else; its JSON is what the fingerprint covers.
pub trait Trial: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    fn seed(&self) -> u64;

    /// How much work it is, beside other trials of any study: the longest start first, so that no
    /// core is left alone with one at the end. Roughly parameters · samples · epochs; the study's data set is at hand.
    fn cost(&self, _data: Option<&dyn Dataset>) -> f64 {
        0.0
    }
}

/// What one trial measured.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    fn measurements(&self) -> &Measurements;
}

/// The records of a study, in declared order.
pub struct Records<E: Experiment>(pub Vec<Done<E>>);

impl<E: Experiment> Deref for Records<E> {
    type Target = [Done<E>];

    fn deref(&self) -> &[Done<E>] {
        &self.0
    }
}

impl<'a, E: Experiment> IntoIterator for &'a Records<E> {
    type Item = &'a Done<E>;
    type IntoIter = std::slice::Iter<'a, Done<E>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// A finished trial.
pub struct Done<E: Experiment> {
    /// For trials that build on this one.
    pub fingerprint: Fingerprint,
    pub label: String,
    pub trial: E::Trial,
    pub record: Arc<E::Record>,
}

impl<E: Experiment> Done<E> {
    /// The numbers of its record.
    pub fn measured(&self) -> &Measurements {
        self.record.measurements()
    }

    pub fn seed(&self) -> u64 {
        self.trial.seed()
    }
}
