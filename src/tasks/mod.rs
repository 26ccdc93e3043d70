//! Trial bodies that studies share: a training of a classifier, and of a function.

pub mod around;
pub mod classifier;
pub mod function;
pub mod line;
pub mod sharpness;
pub mod slices;
pub mod spectrum;
