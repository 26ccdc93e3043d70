//! Curvature of models too large for a whole Hessian, from Hessian-vector products (Pearlmutter 1994):
//! extreme eigenvalues by Lanczos, the trace by Hutchinson, the spectral density by stochastic Lanczos
//! quadrature (Ghorbani et al. 2019). Knows losses and linear maps, nothing of training.

mod density;
mod hvp;
mod lanczos;

pub use density::{Density, Trace, hutchinson, spectral_density};
pub use hvp::{ClassifierHessian, LossHessian};
pub use lanczos::{Extremes, Ritz, Wanted, lanczos, memory};

use crate::rng::Rng;
use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

/// A product in float64 on the CPU.
fn finite(product: &Tensor) -> Result<Tensor> {
    let product = product.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?;
    let is_finite = product.f_isfinite()?.f_all()?.f_int64_value(&[])? == 1;
    ensure!(is_finite, "a product with the Hessian is not finite: the loss has no curvature here");
    Ok(product)
}

/// n times +1 or -1 at even odds.
fn rademacher(n: i64, rng: &mut Rng) -> Result<Tensor> {
    let signs: Vec<f64> = (0..n).map(|_| if rng.uniform() < 0.5 { -1.0 } else { 1.0 }).collect();
    Ok(Tensor::f_from_slice(&signs)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    pub fn rng(seed: u64) -> Rng {
        Rng::keyed(seed, "test", Purpose::CurvatureProbe, 0)
    }

    /// diag(values) as a map.
    pub fn diagonal(values: &[f64]) -> impl Fn(&Tensor) -> Result<Tensor> {
        let values = Tensor::from_slice(values);
        move |v: &Tensor| Ok(v * &values)
    }

    /// A symmetric matrix with these eigenvalues, all entries different from 0.
    pub fn turned(values: &[f64]) -> Tensor {
        let n = values.len() as i64;
        let random = (Tensor::arange(n * n, (Kind::Double, Device::Cpu)) * 1.3).sin().view([n, n]);
        let (q, _) = Tensor::linalg_qr(&(random + Tensor::eye(n, (Kind::Double, Device::Cpu)) * 0.5), "reduced");
        q.matmul(&Tensor::from_slice(values).diag(0)).matmul(&q.tr())
    }

    pub fn values(found: &[Ritz]) -> Vec<f64> {
        found.iter().map(|ritz| ritz.value).collect()
    }

    pub fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
        let is_close = |(a, b): (&f64, &f64)| (a - b).abs() <= tolerance;
        assert!(
            found.len() == expected.len() && found.iter().zip(expected).all(is_close),
            "{found:?} against {expected:?}"
        );
    }

    pub const TIGHT: Wanted = Wanted { top: 4, bottom: 3, tolerance: 1e-10, steps: 400, sweeps: 20 };
}
