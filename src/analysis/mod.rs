//! What is computed from results. Knows tensors, objectives and numbers, never files or figures.

pub mod interpolation;
pub mod sensitivity;
pub mod statistics;
