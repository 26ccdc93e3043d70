//! What stands on disk, and what names it. Knows no study: what a record holds is JSON here, and who asks for it
//! says how to read that.
//!
//! # Errors
//! Whatever reads or writes here fails where it cannot, with the path and what to do; what stood there before still
//! stands then, and nothing half-written stays. Only what fails otherwise says so.

pub mod checkpoint;
pub mod fingerprint;
mod lock;
mod log;
pub mod progress;
mod record;
mod run_dir;
pub mod weights;

pub use fingerprint::{Fingerprint, Identity};
pub use lock::Lock;
pub use log::{covered, log_time};
pub use record::{Checked, Encoded, Published, Replacing};
pub use run_dir::{BESIDE, RunDir, StudyDir};

/// What stands in the place of a file.
pub enum Stored<T> {
    Nothing,
    Valid(T),
    /// Something that is not what belongs there, and why.
    Invalid(String),
}
