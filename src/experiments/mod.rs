//! The nine studies, one file each, in the same order inside: settings, trial, record, run,
//! report. They never import each other.

pub mod interpolate;
pub mod mnist_cnn;
pub mod params_sweep;
pub mod random_labels;
pub mod sensitivity;
pub mod simulate;
