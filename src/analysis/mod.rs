//! What is computed from results. Knows tensors, objectives and numbers, never files or figures.

pub mod hessian;
pub mod pca;
pub mod statistics;
