//! What stands on disk, and what names it: fingerprints, records, run directories, weights, checkpoints.

pub mod checkpoint;
pub mod fingerprint;
pub mod run_dir;
pub mod weights;
