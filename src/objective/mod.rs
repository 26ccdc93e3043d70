//! What training minimises, as a function of one flat θ: the loss and its gradient.
//!
//! [`MeanSquaredError`] is for MLPs on a fixed set of points, [`CrossEntropy`] for classifiers in
//! mini-batches. In float32 on a CPU both run in [`crate::kernels`] where that is faster; elsewhere, and for
//! comparison, in libtorch. Plain autograd is the oracle of all of it in the tests. Knows models and data,
//! nothing of optimizers.

mod cross_entropy;
mod feedforward;
mod mean_squared_error;

pub use cross_entropy::{Accuracy, BatchSums, CrossEntropy, Probe};
pub use mean_squared_error::MeanSquaredError;

use crate::kernels;
use tch::{Device, Kind, Tensor};

/// A loss of one flat θ that training can follow.
pub trait Objective {
    /// θ, flat; change it in place.
    fn theta(&self) -> &Tensor;

    /// ∇L, flat, of the last [`Self::loss_and_gradient`].
    fn gradient(&self) -> &Tensor;

    /// L(θ); ∇L is then in [`Self::gradient`].
    fn loss_and_gradient(&mut self) -> f64;
}

/// ‖v‖₂, summed in float64.
///
/// # Errors
/// libtorch's.
pub fn norm(v: &Tensor) -> anyhow::Result<f64> {
    Ok(v.f_to_kind(Kind::Double)?.f_norm()?.f_double_value(&[])?)
}

/// Whether tensors like this one are the kernels' business.
pub(crate) fn in_kernels(theta: &Tensor) -> bool {
    theta.device() == Device::Cpu && theta.kind() == Kind::Float && kernels::wanted()
}

/// The numbers of a contiguous float32 tensor on the CPU, which nobody changes meanwhile.
pub(crate) fn numbers(tensor: &Tensor) -> &[f32] {
    check(tensor);
    // SAFETY: as checked; the tensor outlives the slice.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast(), tensor.numel()) }
}

/// As [`numbers`], to be written; nobody else reads or writes them meanwhile.
#[allow(clippy::mut_from_ref)] // libtorch's tensors are shared and mutable as they are
pub(crate) fn numbers_mut(tensor: &Tensor) -> &mut [f32] {
    check(tensor);
    // SAFETY: as in `numbers`.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), tensor.numel()) }
}

fn check(tensor: &Tensor) {
    assert!(tensor.device() == Device::Cpu && tensor.kind() == Kind::Float && tensor.is_contiguous());
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn relative(a: &Tensor, b: &Tensor) -> f64 {
        let (a, b) = (a.to_kind(Kind::Double), b.to_kind(Kind::Double));
        (a - &b).norm().double_value(&[]) / b.norm().double_value(&[])
    }
}
