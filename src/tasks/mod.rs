//! Trial bodies that studies share: a training of a classifier, and of a function.

pub mod around;
pub mod classifier;
pub mod confusion;
pub mod critical_point;
pub mod function;
pub mod line;
pub mod newton;
pub mod recipe;
pub mod sensitivity;
pub mod sharpness;
pub mod slices;
pub mod spectrum;
pub mod until_threshold;
