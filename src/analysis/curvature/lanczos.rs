//! Extreme eigenvalues and Krylov spaces of a symmetric map, by Lanczos (Parlett 1998, chapter 13).

use super::{finite, rademacher};
use crate::rng::Rng;
use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

/// An approximate eigenpair of a symmetric map A.
#[derive(Debug)]
pub struct Ritz {
    pub value: f64,
    /// ‖A y - value · y‖₂, by a product of its own: an eigenvalue of A is no farther than this from `value`.
    pub residual: f64,
    /// y of length 1, [n] in float64.
    pub vector: Tensor,
}

/// What [`lanczos`] is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// How many of the largest eigenvalues.
    pub top: usize,
    /// How many of the smallest.
    pub bottom: usize,
    /// Residuals are to be at most this share of the largest |eigenvalue|. Where the wanted end is crowded,
    /// residuals as large as its eigenvalues let values further in pass for them.
    pub tolerance: f64,
    /// Products at most, but for the one each result's residual takes.
    pub steps: usize,
    /// One sequence of Lanczos sees each eigenvalue once, however often it occurs. Further sweeps, in the
    /// complement of what is found, look for more copies, until one finds none or so many sweeps are done.
    /// 1: each eigenvalue once.
    pub sweeps: usize,
}

/// What [`lanczos`] found.
#[derive(Debug)]
pub struct Extremes {
    /// From the largest down.
    pub top: Vec<Ritz>,
    /// From the smallest up.
    pub bottom: Vec<Ritz>,
    /// Products it took, but for the one of each result's residual.
    pub steps: usize,
    /// Whether all residuals are within the tolerance.
    pub converged: bool,
    /// Whether a last sweep found no further copy, so that each eigenvalue stands as often as it occurs.
    pub complete: bool,
}

/// The largest and the smallest eigenvalues of a symmetric map of n numbers, by Lanczos with full
/// reorthogonalisation, done twice (Parlett 1998, chapter 13). `apply` maps [n] in float64, on the CPU, to
/// A·v; the random start comes from `rng`.
///
/// # Errors
/// Those of `apply`, a product that is not finite, and n = 0.
pub fn lanczos(
    n: i64,
    wanted: Wanted,
    rng: &mut Rng,
    mut apply: impl FnMut(&Tensor) -> Result<Tensor>,
) -> Result<Extremes> {
    ensure!(n > 0, "a map of 0 numbers has no eigenvalues");
    let mut found: Vec<Ritz> = Vec::new();
    let (mut steps, mut complete, mut scale) = (0, false, 0f64);
    for sweep in 0..wanted.sweeps.max(1) {
        let vectors: Vec<&Tensor> = found.iter().map(|ritz| &ritz.vector).collect();
        let locked = if vectors.is_empty() { None } else { Some(Tensor::f_stack(&vectors, 0)?) };
        let ask = |count: usize| if sweep == 0 { count } else { count.min(1) };
        let (top, bottom) = (ask(wanted.top), ask(wanted.bottom));
        let most = wanted.steps.saturating_sub(steps).min((n as usize).saturating_sub(found.len()));
        let mut krylov = Krylov::new(n, most, locked)?;
        let mut pairs = Vec::new();
        let mut is_done = most == 0;
        let mut sweep_converged = found.len() as i64 == n;
        if !is_done && !krylov.start(rng)? {
            (is_done, sweep_converged) = (true, true);
        }
        while !is_done {
            let goes_on = krylov.step(&mut apply)?;
            let m = krylov.alpha.len();
            let is_last = m == most;
            // An eigenproblem of m for every tenth of m steps costs little beside the products.
            if goes_on && !is_last && m % (m / 10).max(1) != 0 {
                continue;
            }
            let (values, last, vectors) = krylov.ritz()?;
            scale = values.iter().fold(scale, |scale, value| scale.max(value.abs()));
            let picked: Vec<usize> = (0..m).filter(|&at| at < bottom || at + top >= m).collect();
            // Half, since the product that confirms it adds rounding of its own.
            let small = |&at: &usize| last[at].abs() <= 0.5 * wanted.tolerance * scale;
            let has_converged = m >= (top + bottom).min(n as usize - found.len()) && picked.iter().all(small);
            is_done = is_last || has_converged || (!goes_on && !krylov.start(rng)?);
            if is_done {
                pairs =
                    picked.iter().map(|&at| Ok((values[at], krylov.vector(&vectors, at)?))).collect::<Result<_>>()?;
                sweep_converged = has_converged;
            }
        }
        steps += krylov.alpha.len();
        let margin = wanted.tolerance * scale;
        let (above, below) = bounds(&found, wanted);
        let before = found.len();
        let is_new = |value: f64| sweep == 0 || value > above + margin || value < below - margin;
        for (value, vector) in pairs.into_iter().filter(|(value, _)| is_new(*value)) {
            found.push(Ritz { value, residual: f64::NAN, vector });
        }
        // A first sweep through the whole space saw every copy; a later one that found no more shows the same.
        complete = if sweep == 0 { steps == n as usize } else { found.len() == before && sweep_converged };
        if complete || found.len() == before {
            break;
        }
    }
    for ritz in &mut found {
        let product = finite(&apply(&ritz.vector)?)?;
        ritz.value = ritz.vector.f_dot(&product)?.f_double_value(&[])?;
        ritz.residual = product.f_sub(&ritz.vector.f_mul_scalar(ritz.value)?)?.f_norm()?.f_double_value(&[])?;
    }
    found.sort_by(|a, b| a.value.total_cmp(&b.value));
    let copy = |ritz: &Ritz| Ritz { vector: ritz.vector.shallow_clone(), ..*ritz };
    let top: Vec<Ritz> = found.iter().rev().take(wanted.top).map(copy).collect();
    let bottom: Vec<Ritz> = found.iter().take(wanted.bottom).map(copy).collect();
    let is_small = |ritz: &Ritz| ritz.residual <= wanted.tolerance * scale;
    let converged = top.iter().chain(&bottom).all(is_small)
        && top.len() == wanted.top.min(n as usize)
        && bottom.len() == wanted.bottom.min(n as usize);
    Ok(Extremes { top, bottom, steps, converged, complete })
}

/// About how much memory [`lanczos`] and [`super::spectral_density`] take on a map of n numbers in so many steps at most,
/// for so many eigenvectors; in bytes.
pub fn memory(n: u128, steps: usize, eigenvectors: usize) -> u128 {
    let (steps, eigenvectors) = ((steps as u128).min(n), (eigenvectors as u128).min(n));
    // The basis, each vector and a copy; and the tridiagonal with its eigenvectors.
    8 * (n * (steps + 2 * eigenvectors) + 3 * steps * steps)
}

/// The last of the largest and the last of the smallest that are wanted, of what is found.
fn bounds(found: &[Ritz], wanted: Wanted) -> (f64, f64) {
    let mut values: Vec<f64> = found.iter().map(|ritz| ritz.value).collect();
    values.sort_by(f64::total_cmp);
    let last = |count: usize, value: Option<&f64>, none: f64, too_few: f64| match count {
        0 => none,
        _ => value.copied().unwrap_or(too_few),
    };
    let from_top = values.len().checked_sub(wanted.top).and_then(|at| values.get(at));
    let from_bottom = wanted.bottom.checked_sub(1).and_then(|at| values.get(at));
    (
        last(wanted.top, from_top, f64::INFINITY, f64::NEG_INFINITY),
        last(wanted.bottom, from_bottom, f64::NEG_INFINITY, f64::INFINITY),
    )
}

/// The eigenvalues, ascending, of the symmetric tridiagonal matrix with this diagonal and what stands beside it, and the
/// eigenvectors in columns.
pub(super) fn tridiagonal(alpha: &[f64], beta: &[f64]) -> Result<(Vec<f64>, Tensor)> {
    let m = alpha.len();
    let mut matrix = vec![0.0; m * m];
    for at in 0..m {
        matrix[at * m + at] = alpha[at];
        if at + 1 < m {
            matrix[(at + 1) * m + at] = beta[at];
        }
    }
    let matrix = Tensor::f_from_slice(&matrix)?.f_view([m as i64, m as i64])?;
    let (values, vectors) = matrix.f_linalg_eigh("L")?;
    Ok((values.try_into()?, vectors))
}

/// An orthonormal basis V of a Krylov space, and the tridiagonal VᵀAV in it.
pub(super) struct Krylov {
    /// [steps, n] in float64, the first rows in use.
    basis: Tensor,
    /// The diagonal.
    pub(super) alpha: Vec<f64>,
    /// Beside the diagonal; the last one leads out of the space.
    beta: Vec<f64>,
    pub(super) most: usize,
    /// [k, n], orthonormal: the basis keeps clear of them.
    locked: Option<Tensor>,
    scale: f64,
}

impl Krylov {
    pub(super) fn new(n: i64, most: usize, locked: Option<Tensor>) -> Result<Self> {
        let basis = Tensor::f_zeros([most as i64, n], (Kind::Double, Device::Cpu))?;
        Ok(Self { basis, alpha: Vec::new(), beta: Vec::new(), most, locked, scale: 0.0 })
    }

    /// A random next vector, beside all before; whether the space has one more.
    pub(super) fn start(&mut self, rng: &mut Rng) -> Result<bool> {
        let probe = rademacher(self.basis.size()[1], rng)?;
        let w = self.orthogonalised(&probe)?;
        let length = w.f_norm()?.f_double_value(&[])?;
        let has_one = self.alpha.len() < self.most && length > 1e-8 * probe.f_norm()?.f_double_value(&[])?;
        if has_one {
            self.put(&w, length)?;
        }
        Ok(has_one)
    }

    /// The next row of the basis.
    fn put(&mut self, w: &Tensor, length: f64) -> Result<()> {
        self.basis.f_get(self.alpha.len() as i64)?.f_copy_(&w.f_div_scalar(length)?)?;
        Ok(())
    }

    /// One product; whether it leads out of the space, and the next vector stands there.
    pub(super) fn step(&mut self, apply: &mut impl FnMut(&Tensor) -> Result<Tensor>) -> Result<bool> {
        let q = self.basis.f_get(self.alpha.len() as i64)?;
        let product = finite(&apply(&q)?)?;
        let alpha = q.f_dot(&product)?.f_double_value(&[])?;
        self.alpha.push(alpha);
        let w = self.orthogonalised(&product)?;
        let beta = w.f_norm()?.f_double_value(&[])?;
        self.scale = self.scale.max(alpha.abs()).max(beta);
        // What is left of a vector within the space is rounding.
        let leads_out = beta > 1e-12 * self.scale;
        self.beta.push(if leads_out { beta } else { 0.0 });
        if leads_out && self.alpha.len() < self.most {
            self.put(&w, beta)?;
        }
        Ok(leads_out)
    }

    /// Without its parts along the basis and what is locked. Twice is enough (Parlett 1998, section 6.9).
    fn orthogonalised(&self, w: &Tensor) -> Result<Tensor> {
        let mut w = w.copy();
        let used = self.basis.f_narrow(0, 0, self.alpha.len() as i64)?;
        for _ in 0..2 {
            for rows in self.locked.iter().chain([&used]).filter(|rows| rows.size()[0] > 0) {
                w = w.f_sub(&rows.f_tr()?.f_mv(&rows.f_mv(&w)?)?)?;
            }
        }
        Ok(w)
    }

    /// The tridiagonal's eigenvalues, ascending; of each the norm of its residual; and the eigenvectors in columns.
    pub(super) fn ritz(&self) -> Result<(Vec<f64>, Vec<f64>, Tensor)> {
        let (values, vectors) = tridiagonal(&self.alpha, &self.beta)?;
        let beta = self.beta.last().copied().unwrap_or(0.0);
        let last: Vec<f64> = vectors.f_get(self.alpha.len() as i64 - 1)?.f_mul_scalar(beta)?.f_abs()?.try_into()?;
        Ok((values, last, vectors))
    }

    /// The Ritz vector [n] of column `at`, of length 1.
    fn vector(&self, columns: &Tensor, at: usize) -> Result<Tensor> {
        let used = self.basis.f_narrow(0, 0, self.alpha.len() as i64)?;
        let y = used.f_tr()?.f_mv(&columns.f_select(1, at as i64)?)?;
        Ok(y.f_div_scalar(y.f_norm()?.f_double_value(&[])?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TIGHT, assert_close, diagonal, rng, turned, values};
    use super::*;

    #[test]
    fn lanczos_finds_a_known_spectrum_by_far_fewer_products_than_numbers() {
        // A bulk in [0, 1], outliers above and below.
        let mut spectrum: Vec<f64> = (0..500).map(|i| f64::from(i) / 499.0).collect();
        spectrum.extend([10.0, 7.0, 6.9, 3.0, -0.5, -1.0, -4.0]);
        let wanted = Wanted { sweeps: 1, ..TIGHT };
        let found = lanczos(507, wanted, &mut rng(0), diagonal(&spectrum)).unwrap();
        assert_close(&values(&found.top), &[10.0, 7.0, 6.9, 3.0], 1e-12);
        assert_close(&values(&found.bottom), &[-4.0, -1.0, -0.5], 1e-12);
        assert!(found.converged && !found.complete && found.steps < 90, "{} steps", found.steps);
        for (ritz, at) in found.top.iter().zip([500, 501, 502, 503]) {
            // The eigenvector is a unit vector, and the residual says how far from it.
            assert!((ritz.vector.get(at).double_value(&[]).abs() - 1.0).abs() < 1e-12);
            assert!(ritz.residual < 1e-9, "{}", ritz.residual);
        }
    }

    #[test]
    fn lanczos_counts_degenerate_eigenvalues_as_often_as_they_occur() {
        let mut spectrum = vec![0.0; 60];
        spectrum.extend([5.0, 5.0, 5.0, 2.0, 2.0, 1.0, -1.0, -1.0]);
        let matrix = turned(&spectrum);
        let apply = |v: &Tensor| Ok(matrix.mv(v));
        let found = lanczos(68, TIGHT, &mut rng(1), apply).unwrap();
        assert_close(&values(&found.top), &[5.0, 5.0, 5.0, 2.0], 1e-10);
        assert_close(&values(&found.bottom), &[-1.0, -1.0, 0.0], 1e-10);
        assert!(found.converged && found.complete);
        // The copies are orthogonal, each an eigenvector.
        let copies: Vec<&Tensor> = found.top.iter().map(|ritz| &ritz.vector).collect();
        let copies = Tensor::stack(&copies, 0);
        let gram = copies.matmul(&copies.tr()) - Tensor::eye(4, (Kind::Double, Device::Cpu));
        assert!(gram.abs().max().double_value(&[]) < 1e-10);
    }

    #[test]
    fn lanczos_gives_a_whole_small_spectrum_and_that_of_nothing() {
        let spectrum = [3.0, -2.0, 3.0, 0.5, 0.0];
        let wanted = Wanted { top: 9, bottom: 2, ..TIGHT };
        let matrix = turned(&spectrum);
        let found = lanczos(5, wanted, &mut rng(2), |v| Ok(matrix.mv(v))).unwrap();
        assert_close(&values(&found.top), &[3.0, 3.0, 0.5, 0.0, -2.0], 1e-12);
        assert_close(&values(&found.bottom), &[-2.0, 0.0], 1e-12);
        assert!(found.converged && found.complete);
        let zero = lanczos(40, TIGHT, &mut rng(2), diagonal(&[0.0; 40])).unwrap();
        assert_close(&values(&zero.top), &[0.0; 4], 0.0);
        assert!(zero.converged);
        assert!(lanczos(3, TIGHT, &mut rng(2), diagonal(&[1.0, f64::NAN, 0.0])).is_err());
        assert!(lanczos(0, TIGHT, &mut rng(2), diagonal(&[])).is_err());
    }

    #[test]
    fn too_few_steps_are_said_and_residuals_bound_the_error() {
        let spectrum: Vec<f64> = (0..300).map(|i| (f64::from(i) / 299.0).powi(2)).collect();
        let wanted = Wanted { steps: 12, sweeps: 1, ..TIGHT };
        let found = lanczos(300, wanted, &mut rng(3), diagonal(&spectrum)).unwrap();
        assert!(!found.converged && found.steps == 12);
        for ritz in found.top.iter().chain(&found.bottom) {
            let nearest = spectrum.iter().map(|value| (value - ritz.value).abs()).fold(f64::INFINITY, f64::min);
            assert!(nearest <= ritz.residual + 1e-14, "{nearest} against {}", ritz.residual);
        }
        assert!(found.top.iter().any(|ritz| ritz.residual > 1e-3));
    }
}
