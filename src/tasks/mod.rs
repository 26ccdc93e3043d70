//! Trial bodies: trainings of a classifier and of a function, and what is measured at the weights they leave.

pub mod classifier;
pub mod function;
pub mod gradient_norms;
pub mod pca;
pub mod plane;
pub mod snapshots;
pub mod surface;
