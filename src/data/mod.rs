//! What is learned from: target functions on a line. Knows nothing of models.

pub mod functions;
