//! The trace of a symmetric map by Hutchinson's estimator, and its spectral density by stochastic Lanczos quadrature.

use super::lanczos::{Krylov, tridiagonal};
use super::{finite, rademacher};
use crate::rng::Rng;
use anyhow::{Context as _, Result, ensure};
use tch::Tensor;

/// An estimate of a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trace {
    pub value: f64,
    /// Of the mean over probes; NaN of one.
    pub standard_error: f64,
    pub probes: usize,
}

/// The trace of a symmetric map of n numbers: the mean of vᵀAv over probes v of random signs (Hutchinson
/// 1990), whose variance is 2 Σᵢ≠ⱼ aᵢⱼ² a probe. `apply` as in [`super::lanczos()`].
///
/// # Errors
/// Those of `apply`, a product that is not finite, and no probes.
pub fn hutchinson(
    n: i64,
    probes: usize,
    rng: &mut Rng,
    mut apply: impl FnMut(&Tensor) -> Result<Tensor>,
) -> Result<Trace> {
    hutchinson_by_rows(n, (probes, 1), rng, |rows| apply(&rows.f_get(0)?)?.f_unsqueeze(0).map_err(Into::into))
}

/// The same, with so many probes at a time as the rows of [k, n]: what products with several vectors share is done once.
/// The probes are the same, however many go together.
///
/// # Errors
/// As [`hutchinson`].
pub fn hutchinson_by_rows(
    n: i64,
    (probes, at_once): (usize, usize),
    rng: &mut Rng,
    mut apply: impl FnMut(&Tensor) -> Result<Tensor>,
) -> Result<Trace> {
    ensure!(probes > 0, "a trace needs at least one probe");
    let mut values: Vec<f64> = Vec::new();
    while values.len() < probes {
        let count = at_once.clamp(1, probes - values.len());
        let rows: Vec<Tensor> = (0..count).map(|_| rademacher(n, rng)).collect::<Result<_>>()?;
        let rows = Tensor::f_stack(&rows, 0)?;
        let products = finite(&apply(&rows)?)?;
        for at in 0..count as i64 {
            values.push(rows.f_get(at)?.f_dot(&products.f_get(at)?)?.f_double_value(&[])?);
        }
    }
    let count = probes as f64;
    let value = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|x| (x - value).powi(2)).sum();
    Ok(Trace { value, standard_error: (squares / (count - 1.0) / count).sqrt(), probes })
}

/// The distribution of a map's eigenvalues, as points with weights that add up to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Density {
    /// (eigenvalue, weight), ascending.
    pub nodes: Vec<(f64, f64)>,
}

/// The spectral density of a symmetric map of n numbers by stochastic Lanczos quadrature: from each random
/// probe v of length 1, `steps` of Lanczos with full reorthogonalisation give the Gaussian quadrature of
/// the distribution of vᵀδ(λ - A)v, whose mean over probes is the density (Ubaru, Chen, Saad 2017). Its
/// moments of degree up to 2·steps - 1 are those of the probes. `apply` as in [`super::lanczos()`].
///
/// # Errors
/// Those of `apply`, a product that is not finite, and no probes or no steps.
pub fn spectral_density(
    n: i64,
    probes: usize,
    steps: usize,
    rng: &mut Rng,
    mut apply: impl FnMut(&Tensor) -> Result<Tensor>,
) -> Result<Density> {
    quadrature((n, probes, steps), |most| {
        let mut krylov = Krylov::new(n, most, None)?;
        krylov.start(rng)?;
        while krylov.step(&mut apply)? && krylov.alpha.len() < krylov.most {}
        let (values, _, vectors) = krylov.ritz()?;
        Ok((values, vectors))
    })
}

/// The same without a basis, in the memory of three vectors, for maps of very many numbers: without reorthogonalisation
/// Lanczos finds some eigenvalues again, and their nodes share a weight (Golub and Meurant 2010, section 4).
///
/// # Errors
/// As [`spectral_density`].
pub fn spectral_density_of_large(
    n: i64,
    probes: usize,
    steps: usize,
    rng: &mut Rng,
    mut apply: impl FnMut(&Tensor) -> Result<Tensor>,
) -> Result<Density> {
    quadrature((n, probes, steps), |most| {
        let probe = rademacher(n, rng)?;
        let mut q = probe.f_div_scalar(probe.f_norm()?.f_double_value(&[])?)?;
        let (mut before, mut alpha, mut beta) = (None::<Tensor>, Vec::new(), Vec::<f64>::new());
        while alpha.len() < most {
            let mut rest = finite(&apply(&q)?)?;
            alpha.push(q.f_dot(&rest)?.f_double_value(&[])?);
            rest = rest.f_sub(&q.f_mul_scalar(alpha[alpha.len() - 1])?)?;
            if let (Some(before), Some(beta)) = (&before, beta.last()) {
                rest = rest.f_sub(&before.f_mul_scalar(*beta)?)?;
            }
            let length = rest.f_norm()?.f_double_value(&[])?;
            let scale = alpha.iter().chain(&beta).fold(length, |most, value| most.max(value.abs()));
            if length <= 1e-12 * scale {
                break;
            }
            beta.push(length);
            before = Some(std::mem::replace(&mut q, rest.f_div_scalar(length)?));
        }
        tridiagonal(&alpha, &beta)
    })
}

/// The mean over probes of what each gives: the eigenvalues and eigenvectors of its tridiagonal matrix, of so many steps at
/// most.
fn quadrature(
    (n, probes, steps): (i64, usize, usize),
    mut of_probe: impl FnMut(usize) -> Result<(Vec<f64>, Tensor)>,
) -> Result<Density> {
    ensure!(probes > 0 && steps > 0 && n > 0, "a spectral density needs a probe, a step and a parameter");
    let mut nodes = Vec::new();
    for _ in 0..probes {
        let (values, vectors) = of_probe(steps.min(n as usize))?;
        let first: Vec<f64> = vectors.f_get(0)?.try_into()?;
        nodes.extend(values.iter().zip(first).map(|(&value, first)| (value, first * first / probes as f64)));
    }
    nodes.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(Density { nodes })
}

impl Density {
    /// ∫ f(λ) dλ over the density: of f = λ the mean eigenvalue, the trace by n.
    pub fn integral(&self, f: impl Fn(f64) -> f64) -> f64 {
        self.nodes.iter().map(|&(value, weight)| weight * f(value)).sum()
    }

    /// The density at each of `grid`, every node widened to a Gaussian of standard deviation `width`.
    ///
    /// # Errors
    /// Where the width is not above 0.
    pub fn smoothed(&self, grid: &[f64], width: f64) -> Result<Vec<f64>> {
        ensure!(width > 0.0 && width.is_finite(), "the width of a density is {width}; it must be above 0");
        let height = 1.0 / (width * std::f64::consts::TAU.sqrt());
        let at = |x: &f64| self.integral(|value| height * (-((x - value) / width).powi(2) / 2.0).exp());
        Ok(grid.iter().map(at).collect())
    }

    /// The lowest and the highest node.
    pub fn range(&self) -> Result<(f64, f64)> {
        let outer = self.nodes.first().zip(self.nodes.last());
        outer.map(|(low, high)| (low.0, high.0)).context("a density without nodes")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{diagonal, rng, turned};
    use super::*;
    use tch::Kind;

    #[test]
    fn probes_are_the_same_however_many_go_together() {
        let matrix = turned(&[1.0, 2.0, -0.5, 4.0, 0.1, 0.2]);
        let of = |at_once| {
            let apply = |rows: &Tensor| Ok(rows.matmul(&matrix));
            hutchinson_by_rows(6, (7, at_once), &mut rng(4), apply).unwrap()
        };
        let alone = hutchinson(6, 7, &mut rng(4), |v: &Tensor| Ok(matrix.mv(v))).unwrap();
        for at_once in [1, 3, 7, 50] {
            let found = of(at_once);
            assert!((found.value - alone.value).abs() < 1e-12 && found.probes == 7, "{at_once}");
            assert!((found.standard_error - alone.standard_error).abs() < 1e-12, "{at_once}");
        }
    }

    #[test]
    fn without_a_basis_the_density_is_the_same() {
        let spectrum: Vec<f64> = (0..400).map(|i| (f64::from(i) / 40.0).sin() + f64::from(i % 7) * 0.1).collect();
        let few = spectral_density(400, 3, 12, &mut rng(0), diagonal(&spectrum)).unwrap();
        let found = spectral_density_of_large(400, 3, 12, &mut rng(0), diagonal(&spectrum)).unwrap();
        for (a, b) in few.nodes.iter().zip(&found.nodes) {
            assert!((a.0 - b.0).abs() < 1e-9 && (a.1 - b.1).abs() < 1e-9, "{a:?} {b:?}");
        }
        // After many steps nodes come again, and moments are those of the matrix all the same.
        let many = spectral_density_of_large(400, 8, 150, &mut rng(1), diagonal(&spectrum)).unwrap();
        let mean: f64 = spectrum.iter().sum::<f64>() / 400.0;
        assert!((many.integral(|value| value) - mean).abs() < 1e-9, "exact of a diagonal");
        assert!((many.integral(|_| 1.0) - 1.0).abs() < 1e-9);
        assert!(spectral_density_of_large(0, 1, 1, &mut rng(0), diagonal(&[])).is_err());
    }

    #[test]
    fn hutchinson_is_exact_on_a_diagonal_and_within_its_error_elsewhere() {
        let spectrum = [1.0, 2.0, -0.5, 4.0];
        let exact = hutchinson(4, 3, &mut rng(4), diagonal(&spectrum)).unwrap();
        assert_eq!((exact.value, exact.standard_error, exact.probes), (6.5, 0.0, 3));
        let spectrum: Vec<f64> = (0..50).map(|i| f64::from(i) / 10.0 - 1.0).collect();
        let matrix = turned(&spectrum);
        let found = hutchinson(50, 4000, &mut rng(4), |v| Ok(matrix.mv(v))).unwrap();
        // The variance of a probe is 2 Σᵢ≠ⱼ aᵢⱼ².
        let off_diagonal = &matrix - matrix.diag(0).diag(0);
        let expected = (2.0 * off_diagonal.square().sum(Kind::Double).double_value(&[]) / 4000.0).sqrt();
        assert!((found.standard_error / expected - 1.0).abs() < 0.1, "{} against {expected}", found.standard_error);
        let trace: f64 = spectrum.iter().sum();
        assert!((found.value - trace).abs() < 4.0 * expected, "{found:?} against {trace}");
        assert!(hutchinson(4, 0, &mut rng(4), diagonal(&[0.0; 4])).is_err());
    }

    #[test]
    fn quadrature_has_the_moments_of_the_spectrum() {
        // Of a diagonal every probe of signs has the weights 1/n: the density is exact.
        let spectrum = [1.0, 1.0, 1.0, 2.0, -3.0, 0.0, 0.0, 0.0];
        let density = spectral_density(8, 2, 20, &mut rng(5), diagonal(&spectrum)).unwrap();
        for power in 0..=7 {
            let expected = spectrum.iter().map(|x: &f64| x.powi(power)).sum::<f64>() / 8.0;
            let found = density.integral(|x| x.powi(power));
            assert!((found - expected).abs() < 1e-10, "degree {power}: {found} against {expected}");
        }
        assert_eq!(density.nodes.len(), 2 * 4, "as many nodes as there are different eigenvalues");
        let (low, high) = density.range().unwrap();
        assert!((low + 3.0).abs() < 1e-12 && (high - 2.0).abs() < 1e-12);
        // 3 steps are exact to degree 5.
        let spectrum: Vec<f64> = (0..200).map(|i| (f64::from(i) / 50.0).sin()).collect();
        let density = spectral_density(200, 3, 3, &mut rng(5), diagonal(&spectrum)).unwrap();
        for power in 0..=5 {
            let expected = spectrum.iter().map(|x| x.powi(power)).sum::<f64>() / 200.0;
            assert!((density.integral(|x| x.powi(power)) - expected).abs() < 1e-12, "degree {power}");
        }
    }

    #[test]
    fn smoothed_density_is_a_sum_of_gaussians_that_integrates_to_one() {
        let density = Density { nodes: vec![(-1.0, 0.25), (2.0, 0.75)] };
        let grid: Vec<f64> = (0..=1000).map(|i| f64::from(i) / 100.0 - 5.0).collect();
        let smoothed = density.smoothed(&grid, 0.5).unwrap();
        let integral: f64 = smoothed.iter().sum::<f64>() / 100.0;
        assert!((integral - 1.0).abs() < 1e-8, "{integral}");
        // At 2: 0.75 / (0.5 √(2π)), the other six standard deviations away.
        let peak = 0.75 / (0.5 * std::f64::consts::TAU.sqrt());
        assert!((smoothed[700] / peak - 1.0).abs() < 1e-7, "{}", smoothed[700]);
        assert!(density.smoothed(&grid, 0.0).is_err());
    }
}
