//! Tests and intervals over repeated trials. Knows numbers, no study and no verdict.

use serde::Serialize;
use statrs::distribution::{Beta, ContinuousCDF as _, StudentsT};
use std::f64::consts::{LN_2, PI};
use std::fmt;

/// Verdicts are given at this level, and intervals hold what is left of it: 95 %.
pub const LEVEL: f64 = 0.05;

/// Fewer cases decide nothing: of four that all agree a fair coin makes one series in sixteen, and an
/// interval over fewer rests on its assumptions alone.
pub const FEWEST: usize = 5;

/// The 97.5 % quantile of the standard normal distribution.
const NORMAL: f64 = 1.959_963_984_540_054;

/// A number over several cases with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    pub value: f64,
    /// `None` where the cases are too few for one.
    pub interval: Option<[f64; 2]>,
    /// How many cases.
    pub n: usize,
}

impl Estimate {
    /// The same on another scale, by a function that rises.
    #[must_use]
    pub fn map(self, rising: impl Fn(f64) -> f64) -> Self {
        Self { value: rising(self.value), interval: self.interval.map(|ends| ends.map(&rising)), n: self.n }
    }

    /// The same with its interval kept within these ends, beyond which there is nothing to estimate.
    #[must_use]
    pub fn within(self, low: f64, high: f64) -> Self {
        Self { interval: self.interval.map(|ends| ends.map(|end| end.clamp(low, high))), ..self }
    }

    /// With an interval as much wider as a second, independent source of error makes it: the squares of half
    /// widths add up.
    #[must_use]
    pub fn widened(self, half: f64) -> Self {
        let widen = |[low, high]: [f64; 2]| {
            [self.value - (self.value - low).hypot(half), self.value + (high - self.value).hypot(half)]
        };
        Self { interval: self.interval.map(widen), ..self }
    }
}

/// Mean with Student's t interval; `None` where a number is not finite, or there is none.
#[must_use]
pub fn mean(values: &[f64]) -> Option<Estimate> {
    mean_of_several(values, 1)
}

/// The mean of one of so many quantities, each over the same cases, with an interval wide enough for all of
/// them to hold together at 95 % (Bonferroni): whichever is then looked at, its interval stands.
#[must_use]
pub fn mean_of_several(values: &[f64], quantities: usize) -> Option<Estimate> {
    let n = values.len();
    let value = values.iter().sum::<f64>() / n as f64;
    if !value.is_finite() {
        return None;
    }
    let squares: f64 = values.iter().map(|x| (x - value).powi(2)).sum();
    let interval = t_quantile(n.checked_sub(1)?, 1.0 - LEVEL / quantities.max(1) as f64 / 2.0).map(|t| {
        let half = t * (squares / (n - 1) as f64 / n as f64).sqrt();
        [value - half, value + half]
    });
    Some(Estimate { value, interval, n })
}

/// The quantile at `at` of Student's t; `None` without a degree of freedom.
fn t_quantile(degrees: usize, at: f64) -> Option<f64> {
    if degrees == 0 {
        return None;
    }
    // At 10⁶ degrees statrs is 6e-5 off.
    let degrees = degrees as f64;
    if degrees < 1e4 {
        return Some(StudentsT::new(0.0, 1.0, degrees).ok()?.inverse_cdf(at));
    }
    // The first terms of Cornish and Fisher's expansion (Abramowitz & Stegun 26.7.5): the next is below 1e-11.
    let z = normal_quantile(at);
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    Some(z + first / degrees + second / degrees.powi(2))
}

fn normal_quantile(at: f64) -> f64 {
    statrs::distribution::Normal::standard().inverse_cdf(at)
}

/// Half of the 95 % interval of a share of `n` independent cases (normal approximation to the binomial).
#[must_use]
pub fn half_of_share(share: f64, n: usize) -> f64 {
    NORMAL * (share * (1.0 - share) / n as f64).sqrt()
}

/// A share of cases, with the exact interval of Clopper and Pearson (1934).
#[must_use]
pub fn share(count: usize, n: usize) -> Estimate {
    let quantile = |a: usize, b: usize, at: f64| Beta::new(a as f64, b as f64).map(|beta| beta.inverse_cdf(at)).ok();
    let low = if count == 0 { Some(0.0) } else { quantile(count, n - count + 1, LEVEL / 2.0) };
    let high = if count == n { Some(1.0) } else { quantile(count + 1, n - count, 1.0 - LEVEL / 2.0) };
    let interval = low.zip(high).filter(|_| n > 0).map(|(low, high)| [low, high]);
    Estimate { value: count as f64 / n as f64, interval, n }
}

/// The slope of the least-squares line through pairs (x, y); `None` below two pairs, or where it is undefined.
#[must_use]
pub fn slope(pairs: &[(f64, f64)]) -> Option<f64> {
    let n = pairs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / n;
    let (mean_x, mean_y) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let squares: f64 = pairs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let slope = pairs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / squares;
    slope.is_finite().then_some(slope)
}

/// Two kinds of trial, one said to have the lower number, over the seeds that both have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairedComparison {
    pub better: String,
    pub worse: String,
    /// Seeds that both have.
    pub n: usize,
    /// Seeds where the one said to be better is.
    pub as_claimed: usize,
    /// Seeds where both are the same: the sign test leaves them out (Dixon & Mood 1946), the mean does not.
    pub ties: usize,
    /// Seeds where one of the two is no number: they count against either verdict.
    pub unknown: usize,
    /// Mean of log₁₀(worse / better), paired by seed: by how many powers of ten, positive as claimed.
    /// `None` where it is no number.
    pub log10_ratio: Option<Estimate>,
    /// Probability of so many seeds or more as claimed, were both equally good.
    pub p_as_claimed: f64,
    /// The same for the opposite.
    pub p_opposite: f64,
}

impl PairedComparison {
    /// Compares losses by an exact sign test; `better` and `worse` are names with (seed, loss).
    /// A loss that is not finite is of a training that diverged: worse than any that is.
    #[must_use]
    pub fn of_losses(better: (&str, &[(u64, f64)]), worse: (&str, &[(u64, f64)])) -> Self {
        let finite = |&(seed, loss): &(u64, f64)| (seed, if loss.is_finite() { loss } else { f64::INFINITY });
        let [a, b] = [better.1, worse.1].map(|losses| losses.iter().map(finite).collect::<Vec<_>>());
        Self::of_numbers((better.0, &a), (worse.0, &b))
    }

    /// Compares numbers likewise; of one that is NaN nothing is known.
    #[must_use]
    pub fn of_numbers(better: (&str, &[(u64, f64)]), worse: (&str, &[(u64, f64)])) -> Self {
        let pairs: Vec<(f64, f64)> = (better.1.iter())
            .filter_map(|(seed, number)| Some((*number, worse.1.iter().find(|(other, _)| other == seed)?.1)))
            .collect();
        let n = pairs.len();
        let count = |is: fn(&(f64, f64)) -> bool| pairs.iter().filter(|pair| is(pair)).count();
        let (as_claimed, opposite) = (count(|(a, b)| a < b), count(|(a, b)| a > b));
        let ties = count(|(a, b)| a == b);
        let ratio = |(a, b): &(f64, f64)| if a == b && a.is_finite() { 0.0 } else { (b / a).log10() };
        let ratios: Vec<f64> = pairs.iter().map(ratio).collect();
        Self {
            better: better.0.to_owned(),
            worse: worse.0.to_owned(),
            n,
            as_claimed,
            ties,
            unknown: n - as_claimed - opposite - ties,
            log10_ratio: mean(&ratios),
            p_as_claimed: sign_test(as_claimed, n - ties),
            p_opposite: sign_test(opposite, n - ties),
        }
    }
}

impl fmt::Display for PairedComparison {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { better, worse, n, as_claimed, ties, unknown, p_as_claimed, .. } = self;
        write!(f, "{better} below {worse} in {as_claimed} of {n}")?;
        for (count, what) in [(ties, "the same"), (unknown, "unknown")] {
            if *count > 0 {
                write!(f, ", {what} in {count}")?;
            }
        }
        write!(f, " ({}", shown_p(*p_as_claimed))?;
        // A factor of 1.25 means that the worse loss is 1.25 times the better one.
        if let Some(Estimate { value, interval: Some([low, high]), .. }) =
            self.log10_ratio.map(|ratio| ratio.map(|power| 10f64.powf(power)))
        {
            write!(f, ", by a factor of {value:.2}, {low:.2} to {high:.2}")?;
        }
        write!(f, ")")
    }
}

/// "p = 0.031", "p < 0.001".
#[must_use]
pub fn shown_p(p: f64) -> String {
    if p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {p:.3}") }
}

/// One-sided p-value of the exact sign test: the probability of at least `wins` heads in `n` tosses of a fair
/// coin. Ties are left out of both before (Dixon & Mood 1946). Where it is below the smallest normal number,
/// that number: an upper bound, and never 0.
#[must_use]
pub fn sign_test(wins: usize, n: usize) -> f64 {
    if wins > n {
        return 0.0;
    }
    if n <= MOST_EXACT {
        // All in whole numbers: 5 of 5 is 0.03125 and nothing beside it.
        let (mut term, mut favourable) = (1u128, 0);
        for k in 0..=n {
            favourable += if k >= wins { term } else { 0 };
            term = term * (n - k) as u128 / (k + 1) as u128;
        }
        return favourable as f64 / (1u128 << n) as f64;
    }
    ln_sign_test(wins, n).exp().clamp(f64::MIN_POSITIVE, 1.0)
}

/// Up to so many tosses all products fit into 128 bits.
const MOST_EXACT: usize = 100;

/// The natural logarithm of [`sign_test`]'s p-value, for any `n`; -∞ where `wins` is more than `n`.
#[must_use]
pub fn ln_sign_test(wins: usize, n: usize) -> f64 {
    if wins > n {
        return f64::NEG_INFINITY;
    }
    if wins == 0 {
        return 0.0;
    }
    // Below the middle the other tail is the small one, and as the coin is fair it is the same sum.
    if wins <= n / 2 {
        return (-ln_sign_test(n - wins + 1, n).exp()).ln_1p();
    }
    // From the first term on each is smaller by (n-k)/(k+1): some √n of them count.
    let (mut sum, mut term) = (1.0, 1.0);
    for k in wins..n {
        term *= (n - k) as f64 / (k + 1) as f64;
        sum += term;
        if term < 1e-18 * sum {
            break;
        }
    }
    ln_fair_binomial(wins, n) + f64::ln(sum)
}

/// ln [C(n, k) / 2ⁿ], by the saddle-point form of Loader (2000, "Fast and Accurate Computation of Binomial
/// Probabilities"), which loses no digits to differences of large logarithms.
fn ln_fair_binomial(k: usize, n: usize) -> f64 {
    if k == 0 || k == n {
        return -(n as f64) * LN_2;
    }
    let half = n as f64 / 2.0;
    let [x, y] = [k, n - k].map(|count| count as f64);
    let corrections = stirling_error(n) - stirling_error(k) - stirling_error(n - k);
    corrections - deviance(x, half) - deviance(y, half) + 0.5 * (n as f64 / (2.0 * PI * x * y)).ln()
}

/// ln n! minus Stirling's approximation, ln [√(2πn) (n/e)ⁿ], for n from 1 on.
fn stirling_error(n: usize) -> f64 {
    let x = n as f64;
    if n <= 16 {
        // Exact products; the power is that of a number near 1.
        let ratio: f64 = (1..=n).map(|i| i as f64 * std::f64::consts::E / x).product();
        return (ratio / (2.0 * PI * x).sqrt()).ln();
    }
    let square = x * x;
    let inner = 1.0 / 1260.0 - (1.0 / 1680.0 - (1.0 / 1188.0 - 691.0 / 360_360.0 / square) / square) / square;
    (1.0 / 12.0 - (1.0 / 360.0 - inner / square) / square) / x
}

/// x ln(x/m) + m - x, also where x is near m.
fn deviance(x: f64, m: f64) -> f64 {
    if (x - m).abs() >= 0.1 * (x + m) {
        return x * (x / m).ln() + m - x;
    }
    // With v = (x-m)/(x+m): ln(x/m) = 2 (v + v³/3 + v⁵/5 + …).
    let v = (x - m) / (x + m);
    let mut sum = (x - m) * v;
    let mut power = 2.0 * x * v;
    for odd in (3..1000).step_by(2) {
        power *= v * v;
        let next = sum + power / f64::from(odd);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

/// The larger of two, NaN where one is: what is unknown may be larger. ([`f64::max`] forgets it.)
#[must_use]
pub fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The highest number, NaN where one is. `None` of none.
#[must_use]
pub fn highest(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(larger)
}

/// The lowest number, likewise.
#[must_use]
pub fn lowest(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(|a, b| -larger(-a, -b))
}

/// The quantile at `share` (0…1) of the numbers that are finite, interpolated between neighbours as
/// NumPy does; `None` without any.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let at = share.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(low + (high - low) * at.fract())
}

/// Spearman's rank correlation of pairs, ties at their mean rank; `None` where it is undefined
/// (fewer than two pairs, a value that is no number, no variation).
#[must_use]
pub fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    if pairs.len() < 2 || pairs.iter().any(|(x, y)| x.is_nan() || y.is_nan()) {
        return None;
    }
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (x, y) = (ranks(&x), ranks(&y));
    let mean = (pairs.len() as f64 + 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    let correlation = product(&x, &y) / (product(&x, &x) * product(&y, &y)).sqrt();
    correlation.is_finite().then_some(correlation)
}

/// Spearman's rank correlation with the interval of Fisher's z, its standard error after Fieller,
/// Hartley and Pearson (1957), as of so many `independent` pairs: where several pairs share a seed, the seeds
/// count. `None` where the correlation is undefined.
///
/// Of a correlation of ±1, where z is infinite, the interval is that of the next smaller one
/// possible: as if one pair of neighbours had changed places.
#[must_use]
pub fn spearman_with_interval(pairs: &[(f64, f64)], independent: usize) -> Option<Estimate> {
    let value = spearman(pairs)?;
    let n = independent.min(pairs.len());
    let interval = (n > 3).then(|| {
        let count = n as f64;
        let most = 1.0 - 12.0 / (count * (count * count - 1.0));
        let z = value.clamp(-most, most).atanh();
        let half = NORMAL * (1.06 / (count - 3.0)).sqrt();
        [(z - half).tanh(), (z + half).tanh()]
    });
    Some(Estimate { value, interval, n })
}

/// How far y rises with x, in one number from -1 (falls throughout) to 1: Spearman's rank correlation, and 0
/// where y does not change at all. NaN where a number is none, or x does not change.
#[must_use]
pub fn trend(pairs: &[(f64, f64)]) -> f64 {
    let constant = |of: fn(&(f64, f64)) -> f64| pairs.windows(2).all(|pair| of(&pair[0]) == of(&pair[1]));
    if !constant(|pair| pair.0) && constant(|pair| pair.1) { 0.0 } else { spearman(pairs).unwrap_or(f64::NAN) }
}

/// [`trend`] over an epoch's number.
#[must_use]
pub fn trend_over_epochs(values: &[f64]) -> f64 {
    trend(&values.iter().enumerate().map(|(epoch, value)| (epoch as f64, *value)).collect::<Vec<_>>())
}

/// Ranks from 1, ties at their mean.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    // 0 and -0 are equal, and neighbours in this order.
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = first as f64 + (tied.len() as f64 + 1.0) / 2.0;
        tied.iter().for_each(|&index| ranks[index] = rank);
        first += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    /// tests/goldens/statistics.json, made by tests/goldens/statistics.py with scipy.
    #[derive(Deserialize)]
    struct Goldens {
        sign_tests: Vec<(usize, usize, f64)>,
        ln_sign_tests: Vec<(usize, usize, f64)>,
        means: Vec<MeanGolden>,
        shares: Vec<(usize, usize, f64, f64)>,
        t_quantiles: Vec<(usize, f64, f64)>,
        correlations: Vec<CorrelationGolden>,
        slopes: Vec<SlopeGolden>,
    }

    #[derive(Deserialize)]
    struct MeanGolden {
        values: Vec<f64>,
        mean: f64,
        /// Quantities, lower end, upper end.
        intervals: Vec<(usize, f64, f64)>,
    }

    #[derive(Deserialize)]
    struct CorrelationGolden {
        x: Vec<serde_json::Value>,
        y: Vec<serde_json::Value>,
        spearman: f64,
    }

    #[derive(Deserialize)]
    struct SlopeGolden {
        x: Vec<f64>,
        y: Vec<f64>,
        slope: f64,
    }

    fn goldens() -> Goldens {
        serde_json::from_str(include_str!("../../tests/goldens/statistics.json")).unwrap()
    }

    fn assert_near(found: f64, expected: f64, relative: f64, what: &dyn fmt::Debug) {
        let error = (found - expected).abs();
        assert!(error <= relative * expected.abs().max(1e-300), "{what:?}: {found:e} against {expected:e}");
    }

    #[test]
    fn sign_test_counts_coin_tosses() {
        for n in 0..=12u32 {
            for wins in 0..=n {
                let favourable = (0..1u32 << n).filter(|tosses| tosses.count_ones() >= wins).count();
                let expected = favourable as f64 / f64::from(1u32 << n);
                assert_eq!(sign_test(wins as usize, n as usize), expected, "{wins} of {n}");
                let ln_p = ln_sign_test(wins as usize, n as usize);
                assert!((ln_p.exp() - expected).abs() < 1e-14, "{wins} of {n}: {ln_p}");
            }
        }
        assert_eq!(sign_test(3, 2), 0.0);
    }

    #[test]
    fn sign_tests_are_scipys_up_to_a_million_tosses() {
        let goldens = goldens();
        assert!(goldens.sign_tests.len() > 150);
        for (wins, n, p) in goldens.sign_tests {
            assert_near(sign_test(wins, n), p, 1e-10, &(wins, n));
            assert_near(ln_sign_test(wins, n).exp(), p, 1e-10, &(wins, n));
        }
        for (wins, n, ln_p) in goldens.ln_sign_tests {
            assert_near(ln_sign_test(wins, n), ln_p, 1e-12, &(wins, n));
        }
    }

    #[test]
    fn a_p_value_is_never_0() {
        for n in [1074, 1075, 1197, 1_000_000, 1 << 40] {
            // All heads: 2⁻ⁿ.
            assert_near(ln_sign_test(n, n), -(n as f64) * std::f64::consts::LN_2, 1e-14, &n);
            assert!((f64::MIN_POSITIVE..1e-300).contains(&sign_test(n, n)), "{n}");
            assert_eq!(sign_test(0, n), 1.0);
            assert!(sign_test(1, n) > 0.999 && sign_test(1, n) <= 1.0);
        }
        // At the middle of so many that the terms of the sum are some millions.
        let n = 1usize << 40;
        assert!((sign_test(n / 2, n) - 0.5).abs() < 1e-6);
        assert!(sign_test(n / 2, n) > 0.5 && sign_test(n / 2 + 1, n) < 0.5);
    }

    #[test]
    fn both_tails_of_the_sign_test_add_up() {
        for n in [1usize, 2, 7, 100, 1001] {
            for wins in 0..=n {
                let below = if wins == 0 { 0.0 } else { sign_test(n - wins + 1, n) };
                assert_near(sign_test(wins, n) + below, 1.0, 1e-12, &(wins, n));
            }
        }
    }

    #[test]
    fn means_are_scipys() {
        for MeanGolden { values, mean: expected, intervals } in goldens().means {
            for (quantities, low, high) in intervals {
                let found = mean_of_several(&values, quantities).unwrap();
                let ends = found.interval.unwrap();
                assert_near(found.value, expected, 1e-14, &values);
                assert_near(ends[0], low, 1e-10, &(&values, quantities));
                assert_near(ends[1], high, 1e-10, &(&values, quantities));
                assert_eq!(found.n, values.len());
            }
            assert_eq!(mean(&values), mean_of_several(&values, 1));
            assert_eq!(mean(&values), mean_of_several(&values, 0));
        }
        assert_eq!(mean(&[3.0]), Some(Estimate { value: 3.0, interval: None, n: 1 }));
        for none in [&[][..], &[1.0, f64::NAN], &[1.0, f64::INFINITY], &[f64::INFINITY, f64::NEG_INFINITY]] {
            assert_eq!(mean(none), None);
        }
    }

    #[test]
    fn quantiles_of_t_are_scipys_for_any_degrees() {
        for (degrees, at, expected) in goldens().t_quantiles {
            assert_near(t_quantile(degrees, at).unwrap(), expected, 1e-11, &(degrees, at));
        }
        assert_eq!(t_quantile(0, 0.975), None);
        assert_near(NORMAL, normal_quantile(0.975), 1e-14, &"normal");
    }

    #[test]
    fn shares_are_scipys() {
        for (count, n, low, high) in goldens().shares {
            let found = share(count, n);
            let ends = found.interval.unwrap();
            assert_eq!((found.value, found.n), (count as f64 / n as f64, n));
            assert_near(ends[0], low, 1e-8, &(count, n));
            assert_near(ends[1], high, 1e-8, &(count, n));
        }
        assert_eq!(share(0, 0).interval, None);
        assert_near(half_of_share(0.2, 400), NORMAL * 0.02, 1e-14, &"half");
    }

    #[test]
    fn intervals_widen_and_keep_within_bounds() {
        let estimate = Estimate { value: 1.0, interval: Some([-2.0, 5.0]), n: 7 };
        assert_eq!(estimate.widened(0.0), estimate);
        let wide = estimate.widened(4.0).interval.unwrap();
        assert_near(wide[0], -4.0, 1e-14, &wide);
        assert_near(wide[1], 1.0 + 32f64.sqrt(), 1e-14, &wide);
        assert_eq!((estimate.widened(4.0).value, estimate.widened(4.0).n), (1.0, 7));
        assert_eq!(estimate.within(-1.0, 1.5).interval, Some([-1.0, 1.5]));
        assert_eq!(estimate.within(-9.0, 9.0), estimate);
        let none = Estimate { interval: None, ..estimate };
        assert_eq!((none.widened(1.0), none.within(0.0, 1.0)), (none, none));
        assert_eq!(estimate.map(|x| 2.0 * x).interval, Some([-4.0, 10.0]));
    }

    #[test]
    fn correlations_are_scipys() {
        let numbers = |values: &[serde_json::Value]| -> Vec<f64> {
            values.iter().map(|value| value.as_f64().unwrap_or(f64::INFINITY)).collect()
        };
        for CorrelationGolden { x, y, spearman: expected } in goldens().correlations {
            let pairs: Vec<(f64, f64)> = numbers(&x).into_iter().zip(numbers(&y)).collect();
            assert_near(spearman(&pairs).unwrap(), expected, 1e-12, &pairs);
            assert_eq!(trend(&pairs), spearman(&pairs).unwrap());
        }
        for none in [
            &[(1.0, 1.0)][..],
            &[],
            &[(1.0, 2.0), (2.0, f64::NAN)],
            &[(f64::NAN, 1.0), (2.0, 2.0)],
            &[(1.0, 2.0), (1.0, 3.0)],
        ] {
            assert_eq!(spearman(none), None, "{none:?}");
            assert!(trend(none).is_nan(), "{none:?}");
        }
        // What does not change has no correlation, and does not rise.
        let flat = [(1.0, 5.0), (2.0, 5.0), (3.0, 5.0)];
        assert_eq!((spearman(&flat), trend(&flat)), (None, 0.0));
        assert!(trend(&[(1.0, f64::NAN), (2.0, f64::NAN)]).is_nan());
        assert_eq!(trend_over_epochs(&[3.0, 2.0, 1.0]), -1.0);
        assert_eq!(trend_over_epochs(&[1.0, 2.0, 1.5, 3.0]), 0.8);
        assert!(trend_over_epochs(&[1.0]).is_nan());
    }

    #[test]
    fn ranks_are_those_of_counting_and_fast() {
        let slow = |values: &[f64]| -> Vec<f64> {
            let rank = |value: &f64| {
                let below = values.iter().filter(|other| *other < value).count();
                let equal = values.iter().filter(|other| *other == value).count();
                below as f64 + (equal as f64 + 1.0) / 2.0
            };
            values.iter().map(rank).collect()
        };
        let mut state = 1u32;
        for n in 0..60 {
            let values: Vec<f64> = (0..n)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    f64::from((state >> 24) as i32 % 16 - 8)
                })
                .collect();
            assert_eq!(ranks(&values), slow(&values), "{values:?}");
        }
        assert_eq!(ranks(&[0.0, -1.0, -0.0, f64::INFINITY]), [2.5, 1.0, 2.5, 4.0]);
        let many: Vec<f64> = (0..200_000).map(|i| f64::from((i * 7919) % 200_003)).collect();
        assert_eq!(ranks(&many).iter().sum::<f64>(), 200_000.0 * 200_001.0 / 2.0);
    }

    #[test]
    fn the_interval_of_a_correlation_is_fishers() {
        let pairs: Vec<(f64, f64)> = (0..28).map(|i| (f64::from(i), f64::from((i * 11) % 28))).collect();
        let ends = |independent| spearman_with_interval(&pairs, independent).unwrap().interval;
        let z = spearman(&pairs).unwrap().atanh();
        let half = |n: f64| NORMAL * (1.06 / (n - 3.0)).sqrt();
        assert_near(ends(28).unwrap()[0], (z - half(28.0)).tanh(), 1e-12, &"low");
        assert_near(ends(28).unwrap()[1], (z + half(28.0)).tanh(), 1e-12, &"high");
        // As of fewer, where pairs share a seed; never as of more than there are.
        assert_near(ends(7).unwrap()[0], (z - half(7.0)).tanh(), 1e-12, &"fewer");
        assert_eq!((ends(1000), ends(3)), (ends(28), None));
        assert!(ends(4).is_some());
        assert_eq!(spearman_with_interval(&pairs, 7).unwrap().n, 7);
        // Perfect order: below 1, by one exchange of neighbours.
        let perfect = |n: i32| {
            let pairs: Vec<(f64, f64)> = (0..n).map(|i| (f64::from(i), f64::from(i))).collect();
            spearman_with_interval(&pairs, n as usize).unwrap()
        };
        let exchanged: Vec<(f64, f64)> =
            [(0, 0), (1, 2), (2, 1), (3, 3), (4, 4), (5, 5)].map(|(x, y)| (f64::from(x), f64::from(y))).to_vec();
        assert_eq!(perfect(6).value, 1.0);
        let (found, next) =
            (perfect(6).interval.unwrap(), spearman_with_interval(&exchanged, 6).unwrap().interval.unwrap());
        assert_near(found[0], next[0], 1e-12, &"perfect");
        assert_near(found[1], next[1], 1e-12, &"perfect");
    }

    #[test]
    fn slopes_are_scipys() {
        for SlopeGolden { x, y, slope: expected } in goldens().slopes {
            let pairs: Vec<(f64, f64)> = x.into_iter().zip(y).collect();
            assert_near(slope(&pairs).unwrap(), expected, 1e-12, &pairs);
        }
        for none in [&[][..], &[(1.0, 2.0)], &[(1.0, 1.0), (1.0, 3.0)], &[(1.0, 1.0), (2.0, f64::NAN)]] {
            assert_eq!(slope(none), None);
        }
    }

    #[test]
    fn comparisons_pair_by_seed_and_keep_ties_in_the_effect() {
        let better = [(0, 1.0), (1, 1.0), (2, 5.0), (3, 2.0), (4, 1.0)];
        let worse = [(4, f64::NAN), (3, 2.0), (2, 0.5), (1, 10.0), (9, 7.0)];
        let found = PairedComparison::of_losses(("a", &better), ("b", &worse));
        // Seed 1 as claimed, 2 the opposite, 3 a tie, 4 as claimed (diverged); 0 and 9 have no pair.
        let counts = |found: &PairedComparison| (found.n, found.as_claimed, found.ties, found.unknown);
        assert_eq!((counts(&found), found.log10_ratio), ((4, 2, 1, 0), None));
        assert_eq!((found.p_as_claimed, found.p_opposite), (0.5, 7.0 / 8.0));
        assert_eq!(found.to_string(), "a below b in 2 of 4, the same in 1 (p = 0.500)");
        // Two that differ by powers of ten, and a tie that counts as 0 of them.
        let found = PairedComparison::of_losses(("a", &better[1..4]), ("b", &worse[1..4]));
        let ratio = found.log10_ratio.unwrap();
        assert_eq!((counts(&found), ratio.value, ratio.n), ((3, 1, 1, 0), 0.0, 3));
        let half = ratio.interval.unwrap()[1];
        assert_near(half, t_quantile(2, 0.975).unwrap() * (2.0f64 / 2.0 / 3.0).sqrt(), 1e-12, &"half");
        let text = found.to_string();
        assert_eq!(
            text.split(", 0.00").next().unwrap(),
            "a below b in 1 of 3, the same in 1 (p = 0.750, by a factor of 1.00"
        );
        // Both diverged: the same, and no ratio.
        let found = PairedComparison::of_losses(("a", &[(0, f64::INFINITY)]), ("b", &[(0, f64::NAN)]));
        assert_eq!((counts(&found), found.log10_ratio), ((1, 0, 1, 0), None));
        // Of a number that is none nothing is known: neither side has it.
        let found = PairedComparison::of_numbers(("a", &[(0, 1.0), (1, f64::NAN)]), ("b", &[(0, 2.0), (1, 2.0)]));
        assert_eq!((counts(&found), found.log10_ratio), ((2, 1, 0, 1), None));
        assert_eq!((found.p_as_claimed, found.p_opposite), (0.75, 1.0));
        assert_eq!(found.to_string(), "a below b in 1 of 2, unknown in 1 (p = 0.750)");
        let equal = PairedComparison::of_losses(("a", &[(0, 0.0), (1, 3.0)]), ("b", &[(0, 0.0), (1, 3.0)]));
        assert_eq!((counts(&equal), equal.log10_ratio.unwrap().value), ((2, 0, 2, 0), 0.0));
        assert_eq!((equal.p_as_claimed, equal.p_opposite), (1.0, 1.0));
    }

    #[test]
    fn small_p_values_are_not_shown_as_0() {
        assert_eq!([0.5, 0.0314, 0.001, 0.000_999].map(shown_p), ["p = 0.500", "p = 0.031", "p = 0.001", "p < 0.001"]);
    }

    #[test]
    fn extremes_keep_what_is_no_number() {
        assert_eq!((highest(&[1.0, 3.0, 2.0]), lowest(&[2.0, 1.0, 3.0])), (Some(3.0), Some(1.0)));
        for values in [[f64::NAN, 1.0], [1.0, f64::NAN]] {
            assert!(highest(&values).unwrap().is_nan() && lowest(&values).unwrap().is_nan());
        }
        assert_eq!((highest(&[]), lowest(&[])), (None, None));
        assert_eq!((highest(&[1.0, f64::INFINITY]), lowest(&[1.0, f64::INFINITY])), (Some(f64::INFINITY), Some(1.0)));
    }

    #[test]
    fn quantiles_are_numpys() {
        let values = [3.0, f64::NAN, 1.0, 10.0, 2.0];
        for (share, expected) in [(0.0, 1.0), (0.5, 2.5), (0.9, 7.9), (1.0, 10.0)] {
            assert!((quantile(&values, share).unwrap() - expected).abs() < 1e-12, "{share}");
        }
        assert_eq!(quantile(&[f64::NAN], 0.5), None);
    }
}
