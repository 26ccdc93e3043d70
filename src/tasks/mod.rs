//! Trial bodies: trainings of a classifier and of a function, and what is measured at the weights they leave: functions of
//! an [`crate::objective::Objective`] and of weights from a [`Source`], which know no kind of model, data or device. What
//! is of our grammar's networks alone (how one is set up on a data set, what one may cost) stands beside them.
//!
//! Errors of which nothing is said: of trial bodies libtorch's, and [`crate::error::Interrupted`], to be passed on; of
//! checks of settings, a sentence that names the setting and what would be valid.

pub mod analyse;
pub mod around;
pub mod beside;
pub mod classifier;
pub mod confusion;
pub mod critical_point;
mod fitted;
pub mod function;
pub mod gradient_norms;
pub mod line;
pub mod newton;
pub mod paths;
pub mod problem;
pub mod products;
pub mod recipe;
pub mod sensitivity;
pub mod sharpness;
pub mod slices;
mod solutions;
mod source;
pub mod spectrum;
pub mod subject;
pub mod until_threshold;

pub use source::Source;
