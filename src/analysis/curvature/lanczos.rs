//! Extreme eigenvalues of a symmetric map, by Lanczos from one vector or from a block of them (Parlett 1998, chapter 13).

use super::basis::Room;
use super::finite;
use super::krylov::Krylov;
use crate::rng::Rng;
use anyhow::{Result, ensure};
use tch::Tensor;

/// An approximate eigenpair of a symmetric map A.
#[derive(Debug)]
pub struct Ritz {
    pub value: f64,
    /// ‖A y - value · y‖₂, by a product of its own: an eigenvalue of A is no farther than this from `value`.
    pub residual: f64,
    /// y of length 1, [n] in float64.
    pub vector: Tensor,
}

impl Ritz {
    /// Value and residual by the product of the vector.
    pub(super) fn confirm(&mut self, product: &Tensor) -> Result<()> {
        self.value = self.vector.f_dot(product)?.f_double_value(&[])?;
        self.residual = product.f_sub(&self.vector.f_mul_scalar(self.value)?)?.f_norm()?.f_double_value(&[])?;
        Ok(())
    }
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
    /// Vectors whose products are taken together. A block of more than one takes more products for the same residuals.
    pub block: usize,
    /// One sequence of Lanczos sees each eigenvalue as often as its block has vectors, however often it occurs. Further
    /// sweeps, in the complement of what is found, look for more copies, until one finds none or so many sweeps are
    /// done. 1: each eigenvalue so often.
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
/// reorthogonalisation, done twice (Parlett 1998, chapter 13), and its basis in this room. `apply` maps rows [k, n] in
/// float64, on the CPU, to their products; the random start comes from `rng`.
///
/// # Errors
/// Those of `apply`, a product that is not finite, n = 0, and where the basis finds no place.
pub fn lanczos(
    n: i64,
    wanted: Wanted,
    room: Room,
    rng: &mut Rng,
    mut apply: impl FnMut(&Tensor) -> Result<Tensor>,
) -> Result<Extremes> {
    ensure!(n > 0, "a map of 0 numbers has no eigenvalues");
    let block = wanted.block.max(1);
    let mut found: Vec<Ritz> = Vec::new();
    let (mut steps, mut complete, mut scale) = (0, false, 0f64);
    for sweep in 0..wanted.sweeps.max(1) {
        let ask = |count: usize| if sweep == 0 { count } else { count.min(block) };
        let (top, bottom) = (ask(wanted.top), ask(wanted.bottom));
        let most = wanted.steps.saturating_sub(steps).min((n as usize).saturating_sub(found.len()));
        let mut krylov = Krylov::new(n, most, stacked(&found)?, room)?;
        let mut pairs = Vec::new();
        let mut is_done = most == 0;
        let mut sweep_converged = found.len() as i64 == n;
        if !is_done && !krylov.start(block, rng)? {
            (is_done, sweep_converged) = (true, true);
        }
        while !is_done {
            let before = krylov.done;
            let leads_out = krylov.absorb(&apply(krylov.block())?)?;
            let m = krylov.done;
            let is_last = leads_out && !krylov.goes_on() || m == most;
            // An eigenproblem of m for every tenth of m steps costs little beside the products.
            if leads_out && !is_last && !(before + 1..=m).any(|at| at % (at / 10).max(1) == 0) {
                continue;
            }
            let projection = krylov.projection()?;
            scale = projection.values.iter().fold(scale, |scale, value| scale.max(value.abs()));
            let picked: Vec<usize> = (0..m).filter(|&at| at < bottom || at + top >= m).collect();
            // Half, since the product that confirms it adds rounding of its own.
            let small = |&at: &usize| projection.residuals[at] <= 0.5 * wanted.tolerance * scale;
            let has_converged = m >= (top + bottom).min(n as usize - found.len()) && picked.iter().all(small);
            is_done = is_last || has_converged || (!leads_out && !krylov.start(block, rng)?);
            if is_done {
                let vectors = krylov.vectors(&projection.vectors, &picked)?.f_unbind(0)?;
                pairs = picked.iter().map(|&at| projection.values[at]).zip(vectors).collect();
                sweep_converged = has_converged;
            }
        }
        steps += krylov.done;
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
    confirm(&mut found, &mut apply)?;
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

/// Their vectors as rows, where there are any.
fn stacked(found: &[Ritz]) -> Result<Option<Tensor>> {
    let vectors: Vec<&Tensor> = found.iter().map(|ritz| &ritz.vector).collect();
    Ok(if vectors.is_empty() { None } else { Some(Tensor::f_stack(&vectors, 0)?) })
}

/// Products that show residuals, together.
const CONFIRMED: usize = 8;

/// Values and residuals by a product each.
fn confirm(found: &mut [Ritz], apply: &mut impl FnMut(&Tensor) -> Result<Tensor>) -> Result<()> {
    for found in found.chunks_mut(CONFIRMED) {
        let Some(vectors) = stacked(found)? else { continue };
        let products = finite(&apply(&vectors)?)?;
        for (ritz, product) in found.iter_mut().zip(products.f_unbind(0)?) {
            ritz.confirm(&product)?;
        }
    }
    Ok(())
}

/// About how much memory [`lanczos`] takes on a map of n numbers in so many steps at most, for so many eigenvectors, where
/// so much of a basis stays in memory; or [`super::spectral_density`] with so many bases side by side; in bytes.
pub fn memory(n: u128, (steps, bases): (usize, usize), eigenvectors: usize, kept: u64) -> u128 {
    let (steps, eigenvectors) = ((steps as u128).min(n), (eigenvectors as u128).min(n));
    // The basis; each vector, and copies and products of some; a step's; and the map in the basis with its eigenvectors.
    let together = 2 * eigenvectors.min(CONFIRMED as u128) + 4;
    (8 * n * steps * bases as u128).min(u128::from(kept)) + 8 * (n * (eigenvectors + together) + 3 * steps * steps)
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

#[cfg(test)]
mod tests {
    use super::super::basis::tests::spilling;
    use super::super::tests::{TIGHT, assert_close, diagonal, rng, turned, values};
    use super::*;
    use tch::{Device, Kind};

    fn lanczos(
        n: i64,
        wanted: Wanted,
        rng: &mut Rng,
        apply: impl FnMut(&Tensor) -> Result<Tensor>,
    ) -> Result<Extremes> {
        super::lanczos(n, wanted, Room::MEMORY, rng, apply)
    }

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
        let apply = |rows: &Tensor| Ok(rows.matmul(&matrix));
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
        let found = lanczos(5, wanted, &mut rng(2), |rows| Ok(rows.matmul(&matrix))).unwrap();
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
    fn a_block_finds_the_same_and_as_many_copies_as_it_has_vectors() {
        let mut spectrum: Vec<f64> = (0..300).map(|i| f64::from(i) / 299.0).collect();
        spectrum.extend([10.0, 7.0, 7.0, 7.0, -1.0, -4.0, -4.0]);
        let one = |block| Wanted { top: 4, bottom: 3, sweeps: 1, block, ..TIGHT };
        let mut products = Vec::new();
        for (block, top, bottom) in [
            (1, [10.0, 7.0, 1.0, 298.0 / 299.0], [-4.0, -1.0, 0.0]),
            (2, [10.0, 7.0, 7.0, 1.0], [-4.0, -4.0, -1.0]),
            (3, [10.0, 7.0, 7.0, 7.0], [-4.0, -4.0, -1.0]),
            (8, [10.0, 7.0, 7.0, 7.0], [-4.0, -4.0, -1.0]),
        ] {
            let found = lanczos(307, one(block), &mut rng(block as u64), diagonal(&spectrum)).unwrap();
            // Rounding may show another copy.
            let told = if block == 2 { [3, 2] } else { [4, 3] };
            assert_close(&values(&found.top)[..told[0]], &top[..told[0]], 1e-9);
            assert_close(&values(&found.bottom)[..told[1]], &bottom[..told[1]], 1e-9);
            assert!(found.converged && !found.complete, "{block}");
            products.push(found.steps);
            // And with sweeps, however many vectors.
            let all = lanczos(307, Wanted { block, ..TIGHT }, &mut rng(0), diagonal(&spectrum)).unwrap();
            assert_close(&values(&all.top), &[10.0, 7.0, 7.0, 7.0], 1e-9);
            assert!(all.converged, "{block}");
        }
        assert!(products.iter().all(|products| *products < 200), "{products:?}");
    }

    #[test]
    fn a_block_may_depend_on_what_is_there() {
        // Two dimensions that are not 0, a block of more; a whole small space; fewer products than a block.
        let mut spectrum = vec![0.0; 40];
        spectrum.extend([3.0, -2.0]);
        let matrix = turned(&spectrum);
        for block in [2, 4, 8] {
            let wanted = Wanted { top: 2, bottom: 2, block, ..TIGHT };
            let found = lanczos(42, wanted, &mut rng(1), |rows| Ok(rows.matmul(&matrix))).unwrap();
            assert_close(&values(&found.top), &[3.0, 0.0], 1e-10);
            assert_close(&values(&found.bottom), &[-2.0, 0.0], 1e-10);
            assert!(found.converged, "{block}");
            let small = turned(&[3.0, -2.0, 3.0, 0.5, 0.0]);
            let found = lanczos(5, Wanted { top: 9, ..wanted }, &mut rng(2), |rows| Ok(rows.matmul(&small))).unwrap();
            assert_close(&values(&found.top), &[3.0, 3.0, 0.5, 0.0, -2.0], 1e-10);
            assert!(found.converged && found.complete, "{block}");
            let few = Wanted { steps: 3, tolerance: 1e-14, sweeps: 1, ..wanted };
            let found = lanczos(42, few, &mut rng(3), |rows| Ok(rows.matmul(&matrix))).unwrap();
            assert!(found.steps <= 3 && found.top.len() + found.bottom.len() >= 2, "{block}: {}", found.steps);
        }
    }

    #[test]
    fn the_basis_is_of_the_steps_taken_and_what_is_spilled_changes_no_bit() {
        let spectrum: Vec<f64> = (0..500).map(|i| (f64::from(i) / 40.0).sin() + f64::from(i % 7) * 0.1).collect();
        for block in [1, 3] {
            let wanted = Wanted { steps: 100_000, tolerance: 1e-6, sweeps: 2, block, ..TIGHT };
            let of = |memory: u64| {
                spilling(memory, |room| super::lanczos(500, wanted, room, &mut rng(4), diagonal(&spectrum)).unwrap())
            };
            let (whole, none) = of(u64::MAX);
            let (part, some) = of(8 * 500 * 20);
            let (no_part, all) = of(0);
            assert!(none == 0 && 0 < some && some < all, "{some} of {all}");
            assert!(all <= whole.steps + 2 * block, "{all} rows for {} products", whole.steps);
            for found in [part, no_part] {
                assert_eq!((found.steps, values(&found.top)), (whole.steps, values(&whole.top)));
                assert_eq!(values(&found.bottom), values(&whole.bottom));
                for (ritz, same) in found.top.iter().zip(&whole.top) {
                    assert_eq!((ritz.residual, &ritz.vector), (same.residual, &same.vector));
                }
            }
        }
        let full = || anyhow::bail!("no place left");
        let room = Room { memory: 0, spill: &full };
        let found = super::lanczos(500, TIGHT, room, &mut rng(4), diagonal(&spectrum));
        assert!(found.unwrap_err().to_string().contains("no place left"));
    }
}
