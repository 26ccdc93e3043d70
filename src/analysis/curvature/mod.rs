//! Curvature of models too large for a whole Hessian, from Hessian-vector products (Pearlmutter 1994):
//! extreme eigenvalues by Lanczos, the trace by XTrace, the spectral density by stochastic Lanczos
//! quadrature (Ghorbani et al. 2019). Knows losses and linear maps, nothing of training. Maps take rows [k, n]: what
//! products with several vectors share is done once.

mod basis;
mod density;
mod krylov;
mod lanczos;
mod restarted;
mod trace;

pub use basis::{Room, Spill};
pub use density::{Density, spectral_density, spectral_density_of_large};
pub use lanczos::{Extremes, Ritz, Wanted, lanczos, memory};
pub use restarted::{least_basis, restarted};
pub use trace::{Estimator, Trace, hutchinson, trace, trace_memory};

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

/// n normal numbers (Box and Muller 1958), so that their direction is as likely as any.
fn normal(n: i64, rng: &mut Rng) -> Result<Tensor> {
    let mut numbers: Vec<f64> = Vec::with_capacity(n as usize + 1);
    while numbers.len() < n as usize {
        let (length, angle) = ((-2.0 * (1.0 - rng.uniform()).ln()).sqrt(), std::f64::consts::TAU * rng.uniform());
        numbers.extend([length * angle.cos(), length * angle.sin()]);
    }
    numbers.truncate(n as usize);
    Ok(Tensor::f_from_slice(&numbers)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::hessian::Spectrum;
    use crate::data::Samples;
    use crate::model::{Mlp, Model as _, Pass};
    use crate::objective::tests::{columns, network, relative, rough_batch};
    use crate::objective::{CrossEntropy, MeanSquaredError, Objective as _, by_double_backward};
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

    /// What `run` gives with the products of a matrix, and how many rows it asked for at once at most.
    pub fn widest<T>(matrix: &Tensor, run: impl FnOnce(&mut dyn FnMut(&Tensor) -> Result<Tensor>) -> T) -> (T, i64) {
        let mut widest = 0;
        let found = run(&mut |rows| {
            widest = rows.size()[0].max(widest);
            Ok(rows.matmul(matrix))
        });
        (found, widest)
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

    pub const TIGHT: Wanted = Wanted { top: 4, bottom: 3, tolerance: 1e-10, steps: 400, sweeps: 20, block: 1 };

    fn network_objective() -> MeanSquaredError {
        let model: Mlp = "1-6-5-4-1".parse().unwrap();
        let x = Tensor::linspace(-2.0, 2.0, 80, (Kind::Double, Device::Cpu)).view([1, 80]);
        let theta = model.layout().initial(5, "curvature", Kind::Double, Device::Cpu);
        MeanSquaredError::new(&model.network(), theta, &columns(&x, &(&x * 2.0).sin())).unwrap()
    }

    pub fn network_hessian() -> Tensor {
        network_objective().whole_hessian(&mut || Ok(())).unwrap()
    }

    #[test]
    fn products_show_the_spectrum_of_a_networks_whole_hessian() {
        let objective = network_objective();
        let n = objective.theta().size()[0];
        let (hessian, exact) = (objective.hessian().unwrap(), objective.whole_hessian(&mut || Ok(())).unwrap());
        let apply = |v: &Tensor| hessian.times(v, &mut || Ok(()));
        for seed in 0..3 {
            let v = rademacher(n, &mut rng(seed)).unwrap();
            assert!(relative(&apply(&v).unwrap(), &exact.mv(&v)) < 1e-12);
        }
        // And so are its extreme eigenvalues, its trace and its density.
        let spectrum = Spectrum::of(&exact).unwrap().eigenvalues;
        let wanted = Wanted { tolerance: 1e-11, ..TIGHT };
        let found = lanczos(n, wanted, Room::MEMORY, &mut rng(0), apply).unwrap();
        let from_top: Vec<f64> = spectrum.iter().rev().take(4).copied().collect();
        assert_close(&values(&found.top), &from_top, 1e-9 * from_top[0]);
        assert_close(&values(&found.bottom), &spectrum[..3], 1e-9 * from_top[0]);
        assert!(found.converged);
        let sum: f64 = spectrum.iter().sum();
        for (products, share) in [(20, 0.25), (40, 0.06)] {
            let found = trace(n, (products, 8, u64::MAX), &mut rng(1), apply).unwrap();
            assert!((found.value - sum).abs() < 4.0 * found.standard_error, "{found:?} against {sum}");
            assert!(found.standard_error < share * sum.abs(), "{found:?} against {sum}");
        }
        let density = spectral_density(n, (300, 15, 8), Room::MEMORY, &mut rng(2), apply).unwrap();
        let share = density.integral(|value| f64::from(u8::from(value > 0.5 * from_top[3])));
        let expected = spectrum.iter().filter(|value| **value > 0.5 * from_top[3]).count() as f64 / n as f64;
        assert!((share / expected - 1.0).abs() < 0.25, "{share} against {expected}");
    }

    #[test]
    fn extremes_of_a_classifier_are_those_of_its_whole_hessian() {
        let samples = rough_batch(40);
        // All but 12 pixels dark, so that the whole Hessian, of the weights of those, is small.
        let seen = samples.inputs().unwrap().flatten(1, -1).narrow(1, 300, 12).copy();
        let inputs = samples.inputs().unwrap().zeros_like();
        inputs.view([40, 784]).narrow(1, 300, 12).copy_(&(seen + 1.0));
        let samples = Samples::new(inputs, samples.targets, samples.target);
        let model = network("784-2-10");
        let theta = model.layout().initial(6, "curvature", Kind::Double, Device::Cpu);
        let n = theta.size()[0];
        let used: Vec<i64> = (0..n).filter(|&at| at >= 2 * 784 || (300..312).contains(&(at % 784))).collect();
        let used = Tensor::from_slice(&used);
        let small = by_double_backward(&theta.index_select(0, &used), |part| {
            let whole =
                Tensor::zeros([n], (Kind::Double, Device::Cpu)).index_put(&[Some(used.shallow_clone())], part, false);
            let x = samples.inputs().unwrap().to_kind(Kind::Double);
            let logits = model.outputs(&model.layout().views(&whole), &[], &x, Pass::Curvature).unwrap();
            logits.log_softmax(-1, Kind::Double).nll_loss(&samples.targets)
        });
        let spectrum = Spectrum::of(&small.unwrap()).unwrap().eigenvalues;
        let wanted = Wanted { top: 3, bottom: 2, tolerance: 1e-8, steps: 200, sweeps: 1, block: 1 };
        let objective = CrossEntropy::new(&model, theta, &samples).unwrap();
        let hessian = objective.hessian().unwrap();
        let found = lanczos(n, wanted, Room::MEMORY, &mut rng(7), |v| hessian.times(v, &mut || Ok(()))).unwrap();
        assert!(found.converged);
        let from_top: Vec<f64> = spectrum.iter().rev().take(3).copied().collect();
        assert_close(&values(&found.top), &from_top, 1e-10);
        assert_close(&values(&found.bottom), &spectrum[..2], 1e-10);
    }
}
