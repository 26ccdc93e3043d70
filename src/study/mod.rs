//! The words that studies are written in: what an experiment is, what a trial has around it, settings and their
//! checks, measurements, tables, curves and claims.

pub mod check;
pub mod claim;
mod context;
mod erased;
mod experiment;
mod findings;
mod flags;
mod measurements;
pub mod number;
pub mod seeds;
pub mod settings;

pub use crate::store::fingerprint::Fingerprint;
pub use context::{CheckpointStore, Context, Progress, SavedWeights, WeightsReader};
pub use erased::{AnyRecord, Finished, Planned, Study};
#[cfg(test)]
pub(crate) use experiment::RAISED;
pub use experiment::{Done, Experiment, MOST_TRIALS, Record, Records, SHARED_VERSION, Size, Trial, version};
pub use findings::{Cell, Findings, cell};
pub use flags::{DATASET_FLAG, Flag, TRAININGS_FLAG};
pub use measurements::{Measurements, flag, numbers};
