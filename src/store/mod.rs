//! What stands on disk, and what names it. Knows no study: what a record holds is JSON here, and who asks for it
//! says how to read that.

pub mod checkpoint;
pub mod fingerprint;
pub mod lock;
pub mod log;
pub mod record;
pub mod run_dir;
pub mod weights;

/// What stands in the place of a trial's record or checkpoint.
pub enum Stored<T> {
    Nothing,
    Valid(T),
    /// Something that is not what belongs there, and why.
    Invalid(String),
}
