//! Trial bodies that studies share: a training of a classifier, and of a function.

pub mod classifier;
pub mod function;
pub mod recipe;
pub mod sensitivity;
