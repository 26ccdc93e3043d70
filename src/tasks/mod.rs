//! Trial bodies that studies share: a training of a classifier, and of a function.

pub mod classifier;
pub mod confusion;
pub mod function;
