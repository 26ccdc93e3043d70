//! What is computed from results. Knows tensors, objectives and numbers, never files or figures.
//! Errors of which nothing is said are libtorch's.

pub mod curvature;
pub mod double_descent;
pub mod hessian;
pub mod interpolation;
pub mod newton;
pub mod paths;
pub mod pca;
pub mod refine;
pub mod rest;
pub mod sensitivity;
pub mod sharpness;
pub mod slices;
pub mod spectrum;
pub mod statistics;
pub mod surface;
