//! The words that studies are written in: what an experiment is, what a trial has around it, settings and their
//! checks, measurements, tables, curves and claims.
//!
//! Errors of which nothing is said: of checks of settings, a sentence that names the setting and what would be valid;
//! of what reads records, that one lacks what is asked for.

mod arrays;
pub mod check;
pub mod claim;
mod context;
pub mod curves;
mod erased;
mod experiment;
mod findings;
mod flags;
mod group;
mod instead;
pub mod landscape;
mod measurements;
pub mod median;
pub mod memory;
pub mod number;
pub mod points;
pub mod seeds;
pub mod settings;
pub mod sizes;
pub mod spectra;
pub mod surface;
pub mod table;
mod text;
pub mod trust;
mod within;
mod written;

pub use crate::store::fingerprint::Fingerprint;
pub use arrays::Arrays;
pub use claim::Stated;
pub use context::{CheckpointStore, Context, Progress, SavedWeights, Watch, WeightsReader};
pub use erased::{AnyRecord, Finished, Planned, Study};
#[cfg(test)]
pub(crate) use experiment::RAISED;
pub use experiment::{Done, Experiment, MOST_TRIALS, Record, Records, SHARED_VERSION, Size, Trial, version};
pub use findings::{Cell, Findings, cell};
pub use flags::{
    DATASET_FLAG, DOMAIN_FLAG, FUNCTION_FLAG, Flag, MODEL_FLAG, MODELS_FLAG, POINTS_FLAG, TRAININGS_FLAG, WIDTHS_FLAG,
};
pub use group::{DATA, DATASET, Settings, Wrong, open, open_with, spell_out, take};
pub use instead::{Instead, POINTS};
pub use measurements::{Measurements, flag, numbers};
pub use memory::Held;
pub use seeds::Seeds;
pub use table::Table;
pub use text::{Reported, Texts, With};
pub use within::{Case, Told};
pub use written::whole;
