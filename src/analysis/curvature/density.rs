//! The spectral density of a symmetric map by stochastic Lanczos quadrature.

use super::basis::Room;
use super::krylov::Krylov;
use super::{finite, rademacher};
use crate::rng::Rng;
use anyhow::{Context as _, Result, ensure};
use tch::Tensor;

/// The distribution of a map's eigenvalues, as points with weights that add up to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Density {
    /// (eigenvalue, weight), ascending.
    pub nodes: Vec<(f64, f64)>,
}

/// The spectral density of a symmetric map of n numbers by stochastic Lanczos quadrature: from each random
/// probe v of length 1, `steps` of Lanczos with full reorthogonalisation give the Gaussian quadrature of
/// the distribution of vᵀδ(λ - A)v, whose mean over probes is the density (Ubaru, Chen, Saad 2017). Its
/// moments of degree up to 2·steps - 1 are those of the probes. `apply` as in [`super::lanczos()`]: it gets a
/// vector of each of `at_once` probes, or of as many as have a basis in this room's memory.
///
/// # Errors
/// Those of `apply`, a product that is not finite, no probes or no steps, and where a basis finds no place.
pub fn spectral_density(
    n: i64,
    (probes, steps, at_once): (usize, usize, usize),
    room: Room,
    rng: &mut Rng,
    apply: impl FnMut(&Tensor) -> Result<Tensor>,
) -> Result<Density> {
    let most = steps.min(n.max(0) as usize);
    let basis = 8 * n.unsigned_abs() * most as u64;
    let at_once = at_once.min((room.memory / basis.max(1)) as usize).max(1);
    let room = Room { memory: room.memory / at_once as u64, ..room };
    quadrature((n, probes, steps, at_once), apply, || {
        let mut krylov = Krylov::new(n, most, None, room)?;
        krylov.start(1, rng)?;
        Ok(krylov)
    })
}

/// The same without a basis, in the memory of three vectors a probe, for maps of very many numbers: without
/// reorthogonalisation Lanczos finds some eigenvalues again, and their nodes share a weight (Golub and Meurant 2010,
/// section 4).
///
/// # Errors
/// As [`spectral_density`].
pub fn spectral_density_of_large(
    n: i64,
    (probes, steps, at_once): (usize, usize, usize),
    rng: &mut Rng,
    apply: impl FnMut(&Tensor) -> Result<Tensor>,
) -> Result<Density> {
    quadrature((n, probes, steps, at_once), apply, || {
        let probe = rademacher(n, rng)?;
        let q = probe.f_div_scalar(probe.f_norm()?.f_double_value(&[])?)?;
        let most = steps.min(n as usize);
        Ok(Recurrence { q: q.f_unsqueeze(0)?, before: None, alpha: Vec::new(), beta: Vec::new(), most })
    })
}

/// Lanczos from one probe, a product at a time.
trait Sequence {
    /// [1, n]
    fn vector(&self) -> &Tensor;

    /// Its product; whether another is due.
    fn absorb(&mut self, product: &Tensor) -> Result<bool>;

    /// Eigenvalues, and eigenvectors in columns, of the map among the vectors so far.
    fn nodes(&self) -> Result<(Vec<f64>, Tensor)>;
}

impl Sequence for Krylov<'_> {
    fn vector(&self) -> &Tensor {
        self.block()
    }

    fn absorb(&mut self, product: &Tensor) -> Result<bool> {
        Krylov::absorb(self, product)?;
        Ok(self.goes_on())
    }

    fn nodes(&self) -> Result<(Vec<f64>, Tensor)> {
        let projection = self.projection()?;
        Ok((projection.values, projection.vectors))
    }
}

/// Lanczos's three terms.
struct Recurrence {
    q: Tensor,
    before: Option<Tensor>,
    alpha: Vec<f64>,
    beta: Vec<f64>,
    most: usize,
}

impl Sequence for Recurrence {
    fn vector(&self) -> &Tensor {
        &self.q
    }

    fn absorb(&mut self, product: &Tensor) -> Result<bool> {
        let mut rest = finite(product)?;
        let alpha = self.q.f_mul(&rest)?.f_sum(tch::Kind::Double)?.f_double_value(&[])?;
        self.alpha.push(alpha);
        rest = rest.f_sub(&self.q.f_mul_scalar(alpha)?)?;
        if let (Some(before), Some(beta)) = (&self.before, self.beta.last()) {
            rest = rest.f_sub(&before.f_mul_scalar(*beta)?)?;
        }
        let length = rest.f_norm()?.f_double_value(&[])?;
        let scale = self.alpha.iter().chain(&self.beta).fold(length, |most, value| most.max(value.abs()));
        if length <= 1e-12 * scale || self.alpha.len() >= self.most {
            return Ok(false);
        }
        self.beta.push(length);
        self.before = Some(std::mem::replace(&mut self.q, rest.f_div_scalar(length)?));
        Ok(true)
    }

    fn nodes(&self) -> Result<(Vec<f64>, Tensor)> {
        let m = self.alpha.len();
        let mut matrix = vec![0.0; m * m];
        for at in 0..m {
            matrix[at * m + at] = self.alpha[at];
            if at + 1 < m {
                matrix[(at + 1) * m + at] = self.beta[at];
            }
        }
        let matrix = Tensor::f_from_slice(&matrix)?.f_view([m as i64, m as i64])?;
        let (values, vectors) = matrix.f_linalg_eigh("L")?;
        Ok((values.try_into()?, vectors))
    }
}

/// The mean over probes of what each gives: its first components' squares at its eigenvalues. Those of `at_once` probes
/// go side by side, a product of each at a time, and each ends for itself.
fn quadrature<S: Sequence>(
    (n, probes, steps, at_once): (i64, usize, usize, usize),
    mut apply: impl FnMut(&Tensor) -> Result<Tensor>,
    mut start: impl FnMut() -> Result<S>,
) -> Result<Density> {
    ensure!(probes > 0 && steps > 0 && n > 0, "a spectral density needs a probe, a step and a parameter");
    let mut nodes = Vec::new();
    for (_, count) in crate::data::blocks(probes as i64, at_once.max(1) as i64) {
        let mut sequences = (0..count).map(|_| start()).collect::<Result<Vec<S>>>()?;
        let mut due: Vec<usize> = (0..sequences.len()).collect();
        while !due.is_empty() {
            let vectors: Vec<&Tensor> = due.iter().map(|&at| sequences[at].vector()).collect();
            let products = apply(&Tensor::f_cat(&vectors, 0)?)?;
            let mut next = Vec::new();
            for (row, at) in due.into_iter().enumerate() {
                if sequences[at].absorb(&products.f_narrow(0, row as i64, 1)?)? {
                    next.push(at);
                }
            }
            due = next;
        }
        for sequence in sequences {
            let (values, vectors) = sequence.nodes()?;
            let first: Vec<f64> = vectors.f_get(0)?.try_into()?;
            nodes.extend(values.iter().zip(first).map(|(&value, first)| (value, first * first / probes as f64)));
        }
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
    use super::super::basis::tests::spilling;
    use super::super::tests::{diagonal, rng, turned, widest};
    use super::*;

    fn spectral_density(
        n: i64,
        probes: usize,
        steps: usize,
        rng: &mut Rng,
        apply: impl FnMut(&Tensor) -> Result<Tensor>,
    ) -> Result<Density> {
        super::spectral_density(n, (probes, steps, 3), Room::MEMORY, rng, apply)
    }

    #[test]
    fn without_a_basis_the_density_is_the_same() {
        let spectrum: Vec<f64> = (0..400).map(|i| (f64::from(i) / 40.0).sin() + f64::from(i % 7) * 0.1).collect();
        let few = spectral_density(400, 3, 12, &mut rng(0), diagonal(&spectrum)).unwrap();
        let found = spectral_density_of_large(400, (3, 12, 2), &mut rng(0), diagonal(&spectrum)).unwrap();
        for (a, b) in few.nodes.iter().zip(&found.nodes) {
            assert!((a.0 - b.0).abs() < 1e-9 && (a.1 - b.1).abs() < 1e-9, "{a:?} {b:?}");
        }
        // After many steps nodes come again, and moments are those of the matrix all the same.
        let many = spectral_density_of_large(400, (8, 150, 2), &mut rng(1), diagonal(&spectrum)).unwrap();
        let mean: f64 = spectrum.iter().sum::<f64>() / 400.0;
        assert!((many.integral(|value| value) - mean).abs() < 1e-9, "exact of a diagonal");
        assert!((many.integral(|_| 1.0) - 1.0).abs() < 1e-9);
        assert!(spectral_density_of_large(0, (1, 1, 2), &mut rng(0), diagonal(&[])).is_err());
    }

    #[test]
    fn probes_side_by_side_give_what_each_gives_alone() {
        // A spectrum of few values, so that probes end early, and one of many.
        let few: Vec<f64> = (0..60).map(|i| f64::from(i % 5)).collect();
        let many: Vec<f64> = (0..60).map(|i| f64::from(i).sin()).collect();
        for spectrum in [few, many] {
            let matrix = turned(&spectrum);
            let mut widths = Vec::new();
            let mut of = |at_once, memory| {
                let (density, width) = widest(&matrix, |apply| {
                    let of = |room: Room| super::spectral_density(60, (7, 11, at_once), room, &mut rng(3), apply);
                    spilling(memory, of).0.unwrap()
                });
                widths.push(width);
                density
            };
            let alone = of(1, u64::MAX);
            for (at_once, memory) in [(3, u64::MAX), (7, u64::MAX), (50, u64::MAX), (7, 8 * 60 * 11 * 2), (7, 0)] {
                let found = of(at_once, memory);
                assert_eq!(found.nodes.len(), alone.nodes.len());
                for power in 0..20 {
                    let [found, alone] = [&found, &alone].map(|density| density.integral(|x| (x / 4.0).powi(power)));
                    assert!((found - alone).abs() < 1e-12, "{at_once}, degree {power}: {found} and {alone}");
                }
            }
            assert_eq!(widths, [1, 3, 7, 7, 2, 1]);
        }
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
