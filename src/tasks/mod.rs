//! Trial bodies that studies share: a training of a classifier, and of a function.

pub mod classifier;
pub mod confusion;
pub mod critical_point;
pub mod function;
pub mod newton;
pub mod recipe;
pub mod sensitivity;
pub mod until_threshold;
