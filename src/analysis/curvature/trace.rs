//! The trace of a symmetric map: by XTrace (Epperly, Tropp and Webber 2024), by Hutchinson's estimator (1990) where few
//! vectors fit, and exactly where products suffice.

use super::{finite, normal, rademacher};
use crate::analysis::statistics::t_quantile;
use crate::rng::Rng;
use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

/// An estimate of a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trace {
    pub value: f64,
    /// Widened for few probes by Student's t, so that the trace lies within two of it as often as a normal variable
    /// within two standard deviations, 95.4 %; 0 where the trace is exact, NaN of a single probe. The rounding of the
    /// products is not in it, which is larger where the map's rank is below that of the sketch.
    pub standard_error: f64,
    /// Products it took.
    pub products: usize,
    pub estimator: Estimator,
}

/// How a trace was estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Estimator {
    /// Not at all: it was summed.
    Exact,
    XTrace,
    Hutchinson,
}

/// Vectors of a sketch at most: the algebra of k of them is k³, and their quotient of orthogonal rows k²n.
const MOST_SKETCH: usize = 256;
/// Fewer products are for Hutchinson: half of them are a sketch, which tells its error from two vectors on.
const FEWEST: usize = 4;
/// Vectors of n numbers that XTrace holds for each of its sketch: its test vector, the product, and what becomes of it.
const COPIES: u64 = 3;

/// The trace of a symmetric map of n numbers in at most so many products, `at_once` of them together, in about so many
/// bytes of `memory`. `apply` maps rows [k, n] in float64, on the CPU, to their products.
///
/// With `products` ≥ n the trace is exact, of n products with unit vectors. Else by XTrace: half of the products see where
/// the map is large (a sketch), the other half measure it there, and each test vector in turn is left out of the sketch
/// and estimates what is outside (an odd product is left over). Where fewer than four are allowed or memory has no place
/// for a sketch of two, by [`hutchinson`]. A sketch has at most 256 vectors, fewer in little memory: of more products
/// several sketches are made, each an estimate, and averaged.
///
/// XTrace's own error, sqrt(Σ (tᵢ - t̄)² / k(k-1)), takes its k estimates for independent. Each is unbiased, and two of them
/// covary by E[dᵢⱼdⱼᵢ], where dᵢⱼ is by how much the i-th changes as the j-th vector joins its sketch: given all else, the
/// estimate without is independent of ωⱼ, and what ωⱼ changes has mean 0. That is measured too, from sketches that two
/// vectors are left out of, without a product more. Measured over 600 repeats at 20 products, on Hessians of networks and on
/// spectra that fall as 1/i, 1/i² and 0.9ⁱ: two errors hold 94 to 98 %, where XTrace's own hold 85 to 94 %.
///
/// # Errors
/// Those of `apply`, a product that is not finite, and no products.
pub fn trace(
    n: i64,
    (products, at_once, memory): (usize, usize, u64),
    rng: &mut Rng,
    mut apply: impl FnMut(&Tensor) -> Result<Tensor>,
) -> Result<Trace> {
    ensure!(products > 0, "a trace needs at least one probe");
    ensure!(n > 0, "a map of 0 numbers has no trace");
    if products as u64 >= n.unsigned_abs() {
        return exact(n, at_once, apply);
    }
    let most = (memory / (8 * COPIES * n.unsigned_abs())).min(MOST_SKETCH as u64) as usize;
    if products < FEWEST || most < FEWEST / 2 {
        return hutchinson(n, (products, at_once), rng, apply);
    }
    // As even as they can be: of at least two vectors each.
    let vectors = products / 2;
    let sketches = vectors.div_ceil(most).min(vectors / 2);
    let mut found = Vec::new();
    for at in 0..sketches {
        let k = (at + 1) * vectors / sketches - at * vectors / sketches;
        found.push(of_sketch(n, (k, at_once), rng, &mut apply)?);
    }
    let count = sketches as f64;
    let value = found.iter().map(|(value, _)| value).sum::<f64>() / count;
    let variance = found.iter().map(|(_, variance)| variance).sum::<f64>() / count / count;
    let standard_error = variance.sqrt() * widening(vectors - sketches);
    Ok(Trace { value, standard_error, products: 2 * vectors, estimator: Estimator::XTrace })
}

/// About how much memory [`trace`] takes of a map of n numbers in so many products, where it may take so much; in bytes.
pub fn trace_memory(n: u128, products: usize, memory: u64) -> u128 {
    let vectors = (products / 2).min(MOST_SKETCH) as u128;
    (8 * u128::from(COPIES) * n * vectors).min(memory.into())
}

/// The mean of vᵀAv over probes v of random signs (Hutchinson 1990), whose variance is 2 Σᵢ≠ⱼ aᵢⱼ² a probe. The probes are
/// the same, however many go together, and only these are held.
///
/// # Errors
/// Those of `apply`, a product that is not finite, and no probes.
pub fn hutchinson(
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
    let (value, variance) = mean_and_variance(&values);
    let standard_error = variance.sqrt() * widening(probes - 1);
    Ok(Trace { value, standard_error, products: probes, estimator: Estimator::Hutchinson })
}

/// The mean, and the variance of independent values' mean; NaN of one.
fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, squares / (count - 1.0) / count)
}

/// A normal variable is so often below two standard deviations.
const BELOW_TWO: f64 = 0.977_249_868_051_820_8;

/// By how much an error of so many degrees of freedom is too small for two of it to hold as often as two of a known one.
fn widening(degrees: usize) -> f64 {
    t_quantile(degrees, BELOW_TWO).map_or(f64::NAN, |quantile| quantile / 2.0)
}

fn exact(n: i64, at_once: usize, mut apply: impl FnMut(&Tensor) -> Result<Tensor>) -> Result<Trace> {
    let mut value = 0.0;
    for (start, count) in crate::data::blocks(n, at_once.max(1) as i64) {
        let rows = Tensor::f_zeros([count, n], (Kind::Double, Device::Cpu))?;
        let ones = rows.f_narrow(1, start, count)?;
        let _ = ones.f_diagonal(0, 0, 1)?.f_fill_(1.0)?;
        let products = finite(&apply(&rows)?)?;
        value += products.f_narrow(1, start, count)?.f_trace()?.f_double_value(&[])?;
    }
    Ok(Trace { value, standard_error: 0.0, products: n as usize, estimator: Estimator::Exact })
}

/// XTrace from k vectors, 2k products: the estimate and its variance.
fn of_sketch(
    n: i64,
    (k, at_once): (usize, usize),
    rng: &mut Rng,
    apply: &mut impl FnMut(&Tensor) -> Result<Tensor>,
) -> Result<(f64, f64)> {
    let vectors: Vec<Tensor> = (0..k).map(|_| normal(n, rng)).collect::<Result<_>>()?;
    let vectors = Tensor::f_stack(&vectors, 0)?;
    let mut by_rows = |rows: &Tensor, take: &mut dyn FnMut(i64, Tensor) -> Result<()>| -> Result<()> {
        for (start, count) in crate::data::blocks(k as i64, at_once.max(1) as i64) {
            take(start, finite(&apply(&rows.f_narrow(0, start, count)?)?)?)?;
        }
        Ok(())
    };
    let sketch = Tensor::f_empty([k as i64, n], (Kind::Double, Device::Cpu))?;
    by_rows(&vectors, &mut |start, products| {
        sketch.f_narrow(0, start, products.size()[0])?.f_copy_(&products)?;
        Ok(())
    })?;
    let (q, r) = Tensor::f_linalg_qr(&sketch.f_tr()?, "reduced")?;
    drop(sketch);
    let q = q.f_tr()?.f_contiguous()?;
    let small = Tensor::f_empty([k as i64, k as i64], (Kind::Double, Device::Cpu))?;
    by_rows(&q, &mut |start, products| {
        small.f_narrow(0, start, products.size()[0])?.f_copy_(&products.f_mm(&q.f_tr()?)?)?;
        Ok(())
    })?;
    let lengths = vectors.f_square()?.f_sum_dim_intlist(1, false, Kind::Double)?;
    LeaveOut::new(n, &r, &small, &q.f_mm(&vectors.f_tr()?)?, &lengths)?.estimate()
}

/// The algebra of XTrace in the k dimensions of its sketch: AΩ = QR, H = QᵀAQ, W = QᵀΩ. Without the i-th vector the sketch
/// spans Q less the direction sᵢ, column i of R⁻ᵀ at length 1, which all other columns of R are orthogonal to.
struct LeaveOut {
    n: f64,
    k: usize,
    trace: f64,
    /// |ωᵢ|²
    lengths: Vec<f64>,
    /// Row-major [k, k]: SᵀS, SᵀW, SᵀHS and SᵀHW.
    ss: Vec<f64>,
    sw: Vec<f64>,
    shs: Vec<f64>,
    shw: Vec<f64>,
    /// sᵢᵀrᵢ, wᵢᵀrᵢ, wᵢᵀHwᵢ and |wᵢ|²
    sr: Vec<f64>,
    wr: Vec<f64>,
    whw: Vec<f64>,
    ww: Vec<f64>,
}

impl LeaveOut {
    fn new(n: i64, r: &Tensor, h: &Tensor, w: &Tensor, lengths: &Tensor) -> Result<Self> {
        let k = r.size()[0];
        let h = h.f_add(&h.f_tr()?)?.f_mul_scalar(0.5)?;
        let largest = r.f_abs()?.f_max()?.f_double_value(&[])?;
        let scaled =
            if largest > 0.0 { r.f_div_scalar(largest)? } else { Tensor::f_eye(k, (Kind::Double, r.device()))? };
        // Products that depend on each other, as of a map of low rank, leave zeros there: any direction serves then, since
        // the others span all that there is.
        let floor = f64::EPSILON * n as f64;
        let diagonal: Vec<f64> = scaled.f_diagonal(0, 0, 1)?.try_into()?;
        let floored: Vec<f64> =
            diagonal.iter().map(|x| if x.abs() < floor { floor.copysign(*x) } else { *x }).collect();
        scaled.f_diagonal(0, 0, 1)?.f_copy_(&Tensor::f_from_slice(&floored)?)?;
        let eye = Tensor::f_eye(k, (Kind::Double, r.device()))?;
        let s = scaled.f_tr()?.f_linalg_solve_triangular(&eye, false, true, false)?;
        let norms = s.f_square()?.f_sum_dim_intlist(0, true, Kind::Double)?.f_sqrt()?;
        let s = s.f_div(&norms)?;
        let of = |matrix: &Tensor| -> Result<Vec<f64>> { Ok(matrix.f_contiguous()?.f_view([-1])?.try_into()?) };
        let columns = |a: &Tensor, b: &Tensor| -> Result<Vec<f64>> {
            Ok(a.f_mul(b)?.f_sum_dim_intlist(0, false, Kind::Double)?.try_into()?)
        };
        let (st, hw) = (s.f_tr()?, h.f_mm(w)?);
        Ok(Self {
            n: n as f64,
            k: k as usize,
            trace: h.f_trace()?.f_double_value(&[])?,
            lengths: lengths.try_into()?,
            ss: of(&st.f_mm(&s)?)?,
            sw: of(&st.f_mm(w)?)?,
            shs: of(&st.f_mm(&h)?.f_mm(&s)?)?,
            shw: of(&st.f_mm(&hw)?)?,
            sr: columns(&s, r)?,
            wr: columns(w, r)?,
            whw: columns(w, &hw)?,
            ww: columns(w, w)?,
        })
    }

    /// The mean of all that leave one out, and its variance.
    fn estimate(&self) -> Result<(f64, f64)> {
        let k = self.k;
        let each: Vec<f64> = (0..k).map(|i| self.without(i)).collect();
        let (value, variance) = mean_and_variance(&each);
        ensure!(value.is_finite(), "the trace is not finite: the loss has no curvature here");
        let mut covariance = 0.0;
        for i in 0..k {
            for j in 0..i {
                covariance += (each[i] - self.without_both(i, j)) * (each[j] - self.without_both(j, i));
            }
        }
        // Of a mean of k that covary alike: what their spread shows, and the covariance.
        Ok((value, variance + (covariance * 2.0 / (k * (k - 1)) as f64).max(0.0)))
    }

    /// From ωᵢ and a sketch without it.
    fn without(&self, i: usize) -> f64 {
        let at = i * self.k + i;
        self.of(
            i,
            self.shs[at],
            [(self.sw[at], self.sr[i], self.shw[at])].into_iter(),
            self.shs[at] * self.sw[at].powi(2),
        )
    }

    /// From ωᵢ and a sketch without it and ωⱼ, whose directions are made orthogonal here.
    fn without_both(&self, i: usize, j: usize) -> f64 {
        let (ii, ij, ji, jj) = (i * self.k + i, i * self.k + j, j * self.k + i, j * self.k + j);
        let along = self.ss[ij];
        let rest = (1.0 - along * along).max(1e-12).sqrt();
        let second = |of_j: f64, of_i: f64| (of_j - along * of_i) / rest;
        // sⱼᵀrᵢ = 0.
        let (a1, a2) = (self.sw[ii], second(self.sw[ji], self.sw[ii]));
        let (r1, r2) = (self.sr[i], second(0.0, self.sr[i]));
        let (w1, w2) = (self.shw[ii], second(self.shw[ji], self.shw[ii]));
        let (h11, h12) = (self.shs[ii], second(self.shs[ij], self.shs[ii]));
        let h22 = (self.shs[jj] - 2.0 * along * self.shs[ij] + along * along * self.shs[ii]) / (rest * rest);
        let within = h11 * a1 * a1 + 2.0 * h12 * a1 * a2 + h22 * a2 * a2;
        self.of(i, h11 + h22, [(a1, r1, w1), (a2, r2, w2)].into_iter(), within)
    }

    /// The trace within the sketch without some directions b, and uᵀAu of what of ωᵢ lies outside, as if of the length that
    /// random vectors have there. Of each b bᵀw, bᵀr and bᵀHw; of all Σ bᵀHb, and of the part of w along them its square
    /// under H.
    fn of(&self, i: usize, left_out: f64, of_each: impl Iterator<Item = (f64, f64, f64)>, within: f64) -> f64 {
        // g = w - Σ b bᵀw is the part of ωᵢ within the sketch, and u = ω - Qg.
        let (mut gr, mut ghg, mut outside) = (self.wr[i], self.whw[i] + within, self.lengths[i] - self.ww[i]);
        let mut dimensions = self.n - self.k as f64;
        for (a, r, hw) in of_each {
            gr -= a * r;
            ghg -= 2.0 * a * hw;
            outside += a * a;
            dimensions += 1.0;
        }
        self.trace - left_out + (self.wr[i] - 2.0 * gr + ghg) * dimensions / outside
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{diagonal, network_hessian, rng, turned, widest};
    use super::*;

    const ALL: u64 = u64::MAX;

    #[test]
    fn hutchinson_is_exact_on_a_diagonal_and_within_its_error_elsewhere() {
        let spectrum = [1.0, 2.0, -0.5, 4.0];
        let exact = hutchinson(4, (3, 2), &mut rng(4), diagonal(&spectrum)).unwrap();
        assert_eq!((exact.value, exact.standard_error, exact.products), (6.5, 0.0, 3));
        let spectrum: Vec<f64> = (0..50).map(|i| f64::from(i) / 10.0 - 1.0).collect();
        let matrix = turned(&spectrum);
        let found = hutchinson(50, (4000, 8), &mut rng(4), |rows| Ok(rows.matmul(&matrix))).unwrap();
        // The variance of a probe is 2 Σᵢ≠ⱼ aᵢⱼ².
        let off_diagonal = &matrix - matrix.diag(0).diag(0);
        let expected = (2.0 * off_diagonal.square().sum(Kind::Double).double_value(&[]) / 4000.0).sqrt();
        assert!((found.standard_error / expected - 1.0).abs() < 0.1, "{} against {expected}", found.standard_error);
        let trace: f64 = spectrum.iter().sum();
        assert!((found.value - trace).abs() < 4.0 * expected, "{found:?} against {trace}");
        assert!(hutchinson(4, (0, 1), &mut rng(4), diagonal(&[0.0; 4])).is_err());
    }

    #[test]
    fn probes_are_the_same_however_many_go_together() {
        let spectrum: Vec<f64> = (0..40).map(|i| f64::from(i).sin() * f64::from(i).exp().recip()).collect();
        let matrix = turned(&spectrum);
        let mut widths = Vec::new();
        let mut of = |at_once, memory| {
            let of = |apply: &mut dyn FnMut(&Tensor) -> Result<Tensor>| {
                trace(40, (14, at_once, memory), &mut rng(4), apply).unwrap()
            };
            let (found, width) = widest(&matrix, of);
            widths.push(width);
            found
        };
        // By XTrace, and by Hutchinson where there is no memory.
        for memory in [ALL, 0] {
            let alone = of(1, memory);
            for at_once in [3, 7, 50] {
                let found = of(at_once, memory);
                assert!((found.value - alone.value).abs() < 1e-12 && found.products == 14, "{at_once}");
                assert!((found.standard_error - alone.standard_error).abs() < 1e-9, "{at_once}");
            }
        }
        assert_eq!(widths, [1, 3, 7, 7, 1, 3, 7, 14]);
    }

    #[test]
    fn a_trace_is_exact_where_products_suffice_and_of_what_a_sketch_holds() {
        let spectrum = [1.0, 2.0, -0.5, 4.0, 0.1, 0.2];
        let matrix = turned(&spectrum);
        for products in [6, 7, 100] {
            let found = trace(6, (products, 4, ALL), &mut rng(0), |rows| Ok(rows.matmul(&matrix))).unwrap();
            assert!((found.value - 6.8).abs() < 1e-12 && found.standard_error == 0.0 && found.products == 6);
        }
        // Of ranks below those of the sketch, as of dead units; of rank 0; of a multiple of the identity.
        for rank in [0, 1, 3, 7, 8, 9] {
            let spectrum: Vec<f64> =
                (0..60).map(|i| if i < rank { f64::from(i + 1) * (1.5 - f64::from(i % 4)) } else { 0.0 }).collect();
            let (sum, matrix) = (spectrum.iter().sum::<f64>(), turned(&spectrum));
            for map in [matrix, Tensor::from_slice(&spectrum).diag(0)] {
                let found = trace(60, (20, 8, ALL), &mut rng(1), |rows| Ok(rows.matmul(&map))).unwrap();
                assert!((found.value - sum).abs() < 1e-9, "{rank}: {found:?} against {sum}");
                assert!(found.standard_error < 1e-5, "{rank}: {found:?}");
            }
        }
        let same = trace(60, (20, 8, ALL), &mut rng(1), |rows| Ok(rows * -2.5)).unwrap();
        assert!((same.value + 150.0).abs() < 1e-9 && same.standard_error < 1e-9);
        // However large or small all of it is.
        for scale in [1e-200, 1e150] {
            let found = trace(60, (20, 8, ALL), &mut rng(1), |rows| Ok(rows * scale)).unwrap();
            assert!((found.value / scale / 60.0 - 1.0).abs() < 1e-9, "{found:?}");
        }
    }

    #[test]
    fn few_products_little_memory_and_what_is_no_number() {
        let spectrum: Vec<f64> = (1..=300).map(|i| 1.0 / f64::from(i)).collect();
        let of = |products, memory| trace(300, (products, 8, memory), &mut rng(2), diagonal(&spectrum)).unwrap();
        // Of a diagonal Hutchinson's is exact.
        let sum: f64 = spectrum.iter().sum();
        assert!((of(1, ALL).value - sum).abs() < 1e-12 && of(1, ALL).standard_error.is_nan());
        assert!((of(3, ALL).value - sum).abs() < 1e-12 && of(3, ALL).standard_error < 1e-12);
        assert!((of(20, 8 * 3 * 300).value - sum).abs() < 1e-12, "one vector is no sketch");
        assert_eq!([of(5, ALL).products, of(21, ALL).products], [4, 20], "an odd one is left over");
        // Sketches of four: worse than one of ten, and right.
        let whole = of(20, ALL);
        let parts = of(20, 8 * 3 * 300 * 4);
        assert!(parts.products == 20 && parts.standard_error > whole.standard_error, "{parts:?} {whole:?}");
        assert!((parts.value - sum).abs() < 3.0 * parts.standard_error, "{parts:?}");
        assert!(trace(300, (0, 8, ALL), &mut rng(2), diagonal(&spectrum)).is_err());
        assert!(trace(0, (4, 8, ALL), &mut rng(2), diagonal(&[])).is_err());
        for products in [1, 20, 400] {
            let found = trace(300, (products, 8, ALL), &mut rng(2), |rows| Ok(rows * f64::NAN));
            assert!(found.unwrap_err().to_string().contains("not finite"));
        }
    }

    /// Over 200 keyed repeats the trace lies within two errors in 90 to 99 %, and the error is that of the estimates.
    #[test]
    fn two_standard_errors_hold_the_trace_as_often_as_they_should() {
        let of = |n: i32, value: &dyn Fn(f64) -> f64| turned(&(0..n).map(|i| value(f64::from(i))).collect::<Vec<_>>());
        let bulk = |i: f64| if i < 6.0 { 30.0 / (i + 1.0) - 4.0 } else { 0.02 * i.sin() };
        for (name, matrix) in [
            ("network", network_hessian()),
            ("outliers and a bulk", of(200, &bulk)),
            ("flat", of(150, &|i| i / 150.0)),
            ("of both signs", of(150, &f64::sin)),
            ("1/i", of(150, &|i| 1.0 / (i + 1.0))),
            ("1/i²", of(150, &|i| (i + 1.0).powi(-2))),
            ("±0.9ⁱ", of(150, &|i| (-0.9f64).powi(i as i32))),
            ("diagonal", Tensor::from_slice(&(1..150).map(|i| 1.0 / f64::from(i)).collect::<Vec<_>>()).diag(0)),
        ] {
            let (n, truth) = (matrix.size()[0], matrix.trace().double_value(&[]));
            for products in [8, 20] {
                let (mut within, mut squares, mut errors) = (0, 0.0, 0.0);
                for seed in 0..200 {
                    let apply = |rows: &Tensor| Ok(rows.matmul(&matrix));
                    let found = trace(n, (products, 8, ALL), &mut rng(seed), apply).unwrap();
                    within += usize::from((found.value - truth).abs() <= 2.0 * found.standard_error);
                    squares += (found.value - truth).powi(2);
                    errors += found.standard_error;
                }
                let apply = |rows: &Tensor| Ok(rows.matmul(&matrix));
                let before = hutchinson(n, (products, 8), &mut rng(0), apply).unwrap().standard_error;
                let (off, error) = ((squares / 200.0).sqrt(), errors / 200.0);
                println!(
                    "{name}, {n}: {products} products, trace {truth:.4}, off by {off:.3e}, standard error {error:.3e} \
                     (Hutchinson {before:.3e}), within two {within} of 200"
                );
                assert!((180..=198).contains(&within), "{name}, {products} products: {within} of 200");
            }
        }
    }
}
