//! The nine studies, one file each, in the same order inside: settings, trial, record, run,
//! report. They never import each other.

pub mod analyse;
pub mod grad_norm;
pub mod interpolate;
pub mod min_ratio;
pub mod mnist_cnn;
pub mod params_sweep;
pub mod pca_weights;
pub mod random_labels;
pub mod sensitivity;
pub mod simulate;
