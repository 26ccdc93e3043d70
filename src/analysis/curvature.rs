//! Curvature of models too large for a whole Hessian, from Hessian-vector products (Pearlmutter 1994):
//! extreme eigenvalues by Lanczos, the trace by Hutchinson, the spectral density by stochastic Lanczos
//! quadrature (Ghorbani et al. 2019). Knows losses and linear maps, nothing of training.

use crate::data::batches::Samples;
use crate::model::{Classifier, Layout};
use crate::rng::Rng;
use anyhow::{Context as _, Result, ensure};
use tch::{Device, Kind, Reduction, Tensor};

// -------------------------------------------------------------------- Hessian-vector products

/// ∇²L at one θ as a map, for any twice differentiable loss: the graph of the gradient is kept, and each
/// product is one backward pass through it. On a kink of ReLU its derivative counts as 0, as in PyTorch.
pub struct LossHessian {
    theta: Tensor,
    gradient: Tensor,
}

impl LossHessian {
    /// At a flat `theta` [P], of a `loss` that is a scalar and differentiable in it.
    ///
    /// # Errors
    /// libtorch's, and a loss that does not depend on θ.
    pub fn new(theta: &Tensor, loss: impl FnOnce(&Tensor) -> Tensor) -> Result<Self> {
        let theta = theta.f_detach()?.copy().f_set_requires_grad(true)?;
        let gradient = Tensor::f_run_backward(&[loss(&theta)], &[&theta], true, true)?.remove(0);
        Ok(Self { theta, gradient })
    }

    /// ∇²L·v [P] for `v` [P], in float64; computed in θ's kind.
    ///
    /// # Errors
    /// libtorch's.
    pub fn times(&self, v: &Tensor) -> Result<Tensor> {
        let root = self.gradient.f_dot(&v.f_to_device(self.theta.device())?.f_to_kind(self.theta.kind())?)?;
        Ok(gradients(&root, std::slice::from_ref(&self.theta))?.remove(0).f_to_kind(Kind::Double)?)
    }
}

/// ∂root/∂input of each input, 0 where it has no influence.
fn gradients(root: &Tensor, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    if !root.requires_grad() {
        return Ok(inputs.iter().map(Tensor::f_zeros_like).collect::<Result<_, _>>()?);
    }
    let found = Tensor::f_run_backward(&[root], inputs, true, false)?;
    let or_zero = |(found, input): (Tensor, &Tensor)| if found.defined() { Ok(found) } else { input.f_zeros_like() };
    Ok(found.into_iter().zip(inputs).map(or_zero).collect::<Result<_, _>>()?)
}

/// ∇²L at one θ as a map, for a classifier's mean cross entropy L over all of some samples.
///
/// A product passes over the samples in blocks: its memory is that of one block. It computes in θ's kind
/// (samples are converted), sums over blocks in float64: with float32 products carry a relative error of
/// about 1e-6, so ask Lanczos for no less than 1e-5.
pub struct ClassifierHessian<'a> {
    model: &'a Classifier,
    layout: Layout,
    samples: &'a Samples,
    /// θ's slices: one gradient for each is far cheaper than one for θ, padded for every slice.
    leaves: Vec<Tensor>,
}

/// Samples at a time, so that activations stay in the cache.
const BLOCK: i64 = 200;

impl<'a> ClassifierHessian<'a> {
    /// At a flat `theta` [P] as the model's layout has it, on the device of `samples`.
    ///
    /// # Errors
    /// Where there are no samples, and libtorch's.
    pub fn new(model: &'a Classifier, theta: &Tensor, samples: &'a Samples) -> Result<Self> {
        ensure!(!samples.is_empty(), "the curvature of a loss needs at least one sample");
        let layout = model.layout();
        let theta = theta.f_detach()?.copy();
        let leaf = |view: &Tensor| view.f_detach()?.f_set_requires_grad(true);
        let leaves = layout.views(&theta).iter().map(leaf).collect::<Result<_, _>>()?;
        Ok(Self { model, layout, samples, leaves })
    }

    /// P.
    #[must_use]
    pub fn parameters(&self) -> i64 {
        self.layout.parameters()
    }

    /// ∇²L·v [P] in float64 for `v` [P].
    ///
    /// # Errors
    /// Those of `observe`, which is called after every block, and libtorch's.
    pub fn times(&self, v: &Tensor, mut observe: impl FnMut() -> Result<()>) -> Result<Tensor> {
        let (kind, device) = (self.leaves[0].kind(), self.leaves[0].device());
        let v = self.layout.views(&v.f_to_device(device)?.f_to_kind(kind)?);
        let n = self.samples.len();
        let mut sum = Tensor::f_zeros([self.parameters()], (Kind::Double, device))?;
        let mut start = 0;
        while start < n {
            let size = BLOCK.min(n - start);
            let x = self.samples.images.f_narrow(0, start, size)?.f_to_kind(kind)?;
            let labels = self.samples.labels.f_narrow(0, start, size)?;
            let log_p = self.model.plain_logits(&self.leaves, &x).f_log_softmax(-1, kind)?;
            let loss = log_p.f_nll_loss::<Tensor>(&labels, None, Reduction::Mean, -100)?;
            let gradient = Tensor::f_run_backward(&[loss], &self.leaves, true, true)?;
            let mut root = Tensor::f_zeros([], (kind, device))?;
            for (gradient, v) in gradient.iter().zip(&v) {
                root = root.f_add(&gradient.f_mul(v)?.f_sum(kind)?)?;
            }
            let product = gradients(&root, &self.leaves)?;
            let flat: Vec<Tensor> = product.iter().map(|part| part.f_reshape(-1)).collect::<Result<_, _>>()?;
            let of_block = Tensor::f_cat(&flat, 0)?.f_to_kind(Kind::Double)?;
            let _ = sum.f_add_(&of_block.f_mul_scalar(size as f64 / n as f64)?)?;
            observe()?;
            start += size;
        }
        Ok(sum)
    }
}

// ------------------------------------------------------------------------------------ Lanczos

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

/// About how much memory [`lanczos`] and [`spectral_density`] take on a map of n numbers in so many steps at most,
/// for so many eigenvectors; in bytes.
#[must_use]
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

/// An orthonormal basis V of a Krylov space, and the tridiagonal VᵀAV in it.
struct Krylov {
    /// [steps, n] in float64, the first rows in use.
    basis: Tensor,
    /// The diagonal.
    alpha: Vec<f64>,
    /// Beside the diagonal; the last one leads out of the space.
    beta: Vec<f64>,
    most: usize,
    /// [k, n], orthonormal: the basis keeps clear of them.
    locked: Option<Tensor>,
    scale: f64,
}

impl Krylov {
    fn new(n: i64, most: usize, locked: Option<Tensor>) -> Result<Self> {
        let basis = Tensor::f_zeros([most as i64, n], (Kind::Double, Device::Cpu))?;
        Ok(Self { basis, alpha: Vec::new(), beta: Vec::new(), most, locked, scale: 0.0 })
    }

    /// A random next vector, beside all before; whether there is room for one.
    fn start(&mut self, rng: &mut Rng) -> Result<bool> {
        let probe = rademacher(self.basis.size()[1], rng)?;
        let w = self.orthogonalised(&probe)?;
        let length = w.f_norm()?.f_double_value(&[])?;
        let has_room = self.alpha.len() < self.most && length > 1e-8 * probe.f_norm()?.f_double_value(&[])?;
        if has_room {
            self.put(&w, length)?;
        }
        Ok(has_room)
    }

    /// The next row of the basis.
    fn put(&mut self, w: &Tensor, length: f64) -> Result<()> {
        self.basis.f_get(self.alpha.len() as i64)?.f_copy_(&w.f_div_scalar(length)?)?;
        Ok(())
    }

    /// One product; whether it leads out of the space, and the next vector stands there.
    fn step(&mut self, apply: &mut impl FnMut(&Tensor) -> Result<Tensor>) -> Result<bool> {
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

    /// The tridiagonal's eigenvalues, ascending; of each the norm of its residual; and the eigenvectors in
    /// columns.
    fn ritz(&self) -> Result<(Vec<f64>, Vec<f64>, Tensor)> {
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
        let beta = self.beta.last().copied().unwrap_or(0.0);
        let last: Vec<f64> = vectors.f_get(m as i64 - 1)?.f_mul_scalar(beta)?.f_abs()?.try_into()?;
        Ok((values.try_into()?, last, vectors))
    }

    /// The Ritz vector [n] of column `at`, of length 1.
    fn vector(&self, columns: &Tensor, at: usize) -> Result<Tensor> {
        let used = self.basis.f_narrow(0, 0, self.alpha.len() as i64)?;
        let y = used.f_tr()?.f_mv(&columns.f_select(1, at as i64)?)?;
        Ok(y.f_div_scalar(y.f_norm()?.f_double_value(&[])?)?)
    }
}

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

// --------------------------------------------------------------------------- trace and density

/// An estimate of a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trace {
    pub value: f64,
    /// Of the mean over probes; NaN of one.
    pub standard_error: f64,
    pub probes: usize,
}

/// The trace of a symmetric map of n numbers: the mean of vᵀAv over probes v of random signs (Hutchinson
/// 1990), whose variance is 2 Σᵢ≠ⱼ aᵢⱼ² a probe. `apply` as in [`lanczos`].
///
/// # Errors
/// Those of `apply`, a product that is not finite, and no probes.
pub fn hutchinson(
    n: i64,
    probes: usize,
    rng: &mut Rng,
    mut apply: impl FnMut(&Tensor) -> Result<Tensor>,
) -> Result<Trace> {
    ensure!(probes > 0, "a trace needs at least one probe");
    let mut values = Vec::new();
    for _ in 0..probes {
        let v = rademacher(n, rng)?;
        values.push(v.f_dot(&finite(&apply(&v)?)?)?.f_double_value(&[])?);
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
/// moments of degree up to 2·steps - 1 are those of the probes. `apply` as in [`lanczos`].
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
    ensure!(probes > 0 && steps > 0 && n > 0, "a spectral density needs a probe, a step and a parameter");
    let mut nodes = Vec::new();
    for _ in 0..probes {
        let mut krylov = Krylov::new(n, steps.min(n as usize), None)?;
        krylov.start(rng)?;
        while krylov.step(&mut apply)? && krylov.alpha.len() < krylov.most {}
        let (values, _, vectors) = krylov.ritz()?;
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
    ///
    /// # Errors
    /// Where there is none.
    pub fn range(&self) -> Result<(f64, f64)> {
        let ends = self.nodes.first().zip(self.nodes.last());
        ends.map(|(low, high)| (low.0, high.0)).context("a density without nodes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::hessian::{Spectrum, by_double_backward, of_mean_squared_error};
    use crate::data::batches::{DataSpec, DatasetName};
    use crate::model::Mlp;
    use crate::rng::Purpose;

    fn rng(seed: u64) -> Rng {
        Rng::keyed(seed, "test", Purpose::CurvatureProbe, 0)
    }

    /// diag(values) as a map.
    fn diagonal(values: &[f64]) -> impl Fn(&Tensor) -> Result<Tensor> {
        let values = Tensor::from_slice(values);
        move |v: &Tensor| Ok(v * &values)
    }

    /// A symmetric matrix with these eigenvalues, all entries different from 0.
    fn turned(values: &[f64]) -> Tensor {
        let n = values.len() as i64;
        let random = (Tensor::arange(n * n, (Kind::Double, Device::Cpu)) * 1.3).sin().view([n, n]);
        let (q, _) = Tensor::linalg_qr(&(random + Tensor::eye(n, (Kind::Double, Device::Cpu)) * 0.5), "reduced");
        q.matmul(&Tensor::from_slice(values).diag(0)).matmul(&q.tr())
    }

    fn values(found: &[Ritz]) -> Vec<f64> {
        found.iter().map(|ritz| ritz.value).collect()
    }

    fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
        let is_close = |(a, b): (&f64, &f64)| (a - b).abs() <= tolerance;
        assert!(
            found.len() == expected.len() && found.iter().zip(expected).all(is_close),
            "{found:?} against {expected:?}"
        );
    }

    const TIGHT: Wanted = Wanted { top: 4, bottom: 3, tolerance: 1e-10, steps: 400, sweeps: 20 };

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

    #[test]
    fn products_are_those_of_the_whole_hessian_of_a_network() {
        let model: Mlp = "1-6-5-4-1".parse().unwrap();
        let x = Tensor::linspace(-2.0, 2.0, 80, (Kind::Double, Device::Cpu)).view([1, 80]);
        let y = (&x * 2.0).sin();
        let theta = model.layout().initial(5, "curvature", Kind::Double, Device::Cpu);
        let loss = |theta: &Tensor| (model.forward(theta, &x) - &y).square().mean(Kind::Double);
        let hessian = LossHessian::new(&theta, loss).unwrap();
        let exact = of_mean_squared_error(&model, &theta, &x, &y).unwrap();
        for seed in 0..3 {
            let v = rademacher(theta.size()[0], &mut rng(seed)).unwrap();
            let error = (hessian.times(&v).unwrap() - exact.mv(&v)).norm() / exact.mv(&v).norm();
            assert!(error.double_value(&[]) < 1e-12);
        }
        // And so are its extreme eigenvalues, its trace and its density.
        let spectrum = Spectrum::of(&exact).unwrap().eigenvalues;
        let n = theta.size()[0];
        let apply = |v: &Tensor| hessian.times(v);
        let found = lanczos(n, Wanted { tolerance: 1e-11, ..TIGHT }, &mut rng(0), apply).unwrap();
        let from_top: Vec<f64> = spectrum.iter().rev().take(4).copied().collect();
        assert_close(&values(&found.top), &from_top, 1e-9 * from_top[0]);
        assert_close(&values(&found.bottom), &spectrum[..3], 1e-9 * from_top[0]);
        assert!(found.converged);
        let trace = hutchinson(n, 400, &mut rng(1), apply).unwrap();
        let sum: f64 = spectrum.iter().sum();
        assert!((trace.value - sum).abs() < 4.0 * trace.standard_error, "{trace:?} against {sum}");
        assert!(trace.standard_error < 0.2 * sum.abs());
        let density = spectral_density(n, 300, 15, &mut rng(2), apply).unwrap();
        let share = density.integral(|value| f64::from(u8::from(value > 0.5 * from_top[3])));
        let expected = spectrum.iter().filter(|value| **value > 0.5 * from_top[3]).count() as f64 / n as f64;
        assert!((share / expected - 1.0).abs() < 0.25, "{share} against {expected}");
    }

    #[test]
    fn losses_without_curvature_have_products_of_zero() {
        let theta = Tensor::from_slice(&[1.0, 2.0, 3.0]);
        let linear = LossHessian::new(&theta, |theta| (theta * 2.0).sum(Kind::Double)).unwrap();
        assert_eq!(Vec::<f64>::try_from(linear.times(&theta).unwrap()).unwrap(), [0.0; 3]);
        let quadratic = LossHessian::new(&theta, |theta| theta.square().sum(Kind::Double) * 1.5).unwrap();
        assert_eq!(Vec::<f64>::try_from(quadratic.times(&theta).unwrap()).unwrap(), [3.0, 6.0, 9.0]);
    }

    #[test]
    fn products_of_classifiers_are_those_of_double_backward() {
        let spec = DataSpec { dataset: DatasetName::Synthetic, train_size: 250, test_size: 1 };
        let samples = spec.load(None, |_| Ok(())).unwrap().train;
        for text in ["784-3-10", "conv2-conv2-4-10", "conv1-10"] {
            let model: Classifier = text.parse().unwrap();
            let theta = model.layout().initial(4, "curvature", Kind::Double, Device::Cpu);
            let v = (Tensor::arange(theta.size()[0], (Kind::Double, Device::Cpu)) * 0.37).cos();
            // Two blocks here, one there.
            let whole = LossHessian::new(&theta, |theta| {
                let logits = model.logits(&model.layout().views(theta), &samples.images.to_kind(Kind::Double));
                logits.log_softmax(-1, Kind::Double).nll_loss(&samples.labels)
            });
            let expected = whole.unwrap().times(&v).unwrap();
            let close = |theta: &Tensor, tolerance: f64| {
                let hessian = ClassifierHessian::new(&model, theta, &samples).unwrap();
                let found = hessian.times(&v, || Ok(())).unwrap();
                let error = ((found - &expected).norm() / expected.norm()).double_value(&[]);
                assert!(error < tolerance, "{text}: {error}");
            };
            close(&theta, 1e-12);
            close(&theta.to_kind(Kind::Float), 1e-4);
        }
    }

    #[test]
    fn extremes_of_a_classifier_are_those_of_its_whole_hessian() {
        let spec = DataSpec { dataset: DatasetName::Synthetic, train_size: 40, test_size: 1 };
        let mut samples = spec.load(None, |_| Ok(())).unwrap().train;
        // All but 12 pixels dark, so that the whole Hessian, of the weights of those, is small.
        let seen = samples.images.narrow(1, 300, 12).copy();
        samples.images = samples.images.zeros_like();
        samples.images.narrow(1, 300, 12).copy_(&(seen + 1.0));
        let model: Classifier = "784-2-10".parse().unwrap();
        let theta = model.layout().initial(6, "curvature", Kind::Double, Device::Cpu);
        let hessian = ClassifierHessian::new(&model, &theta, &samples).unwrap();
        let n = theta.size()[0];
        let used: Vec<i64> = (0..n).filter(|&at| at >= 2 * 784 || (300..312).contains(&(at % 784))).collect();
        let used = Tensor::from_slice(&used);
        let small = by_double_backward(&theta.index_select(0, &used), |part| {
            let whole =
                Tensor::zeros([n], (Kind::Double, Device::Cpu)).index_put(&[Some(used.shallow_clone())], part, false);
            let logits = model.logits(&model.layout().views(&whole), &samples.images.to_kind(Kind::Double));
            logits.log_softmax(-1, Kind::Double).nll_loss(&samples.labels)
        });
        let spectrum = Spectrum::of(&small.unwrap()).unwrap().eigenvalues;
        let wanted = Wanted { top: 3, bottom: 2, tolerance: 1e-8, steps: 200, sweeps: 1 };
        let found = lanczos(n, wanted, &mut rng(7), |v| hessian.times(v, || Ok(()))).unwrap();
        assert!(found.converged);
        let from_top: Vec<f64> = spectrum.iter().rev().take(3).copied().collect();
        assert_close(&values(&found.top), &from_top, 1e-10);
        assert_close(&values(&found.bottom), &spectrum[..2], 1e-10);
        assert!(hessian.times(&theta, || anyhow::bail!("enough")).is_err());
    }
}
