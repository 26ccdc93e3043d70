//! Tests over repeated trials.

use serde::Serialize;
use std::fmt;

/// Verdicts are given at this level: five seeds that all agree are enough, one never is.
pub const LEVEL: f64 = 0.05;

/// Two kinds of trial, one said to have the lower loss, over the seeds that both have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairedComparison {
    pub better: String,
    pub worse: String,
    /// Seeds where the losses differ.
    pub n: usize,
    /// Seeds where the one said to be better is.
    pub as_claimed: usize,
    /// Mean of log₁₀(worse / better): by how many powers of ten, positive as claimed. `None` where
    /// it is no number.
    pub mean_log10_ratio: Option<f64>,
    /// Probability of so many seeds or more as claimed, were both equally good.
    pub p_as_claimed: f64,
    /// The same for the opposite.
    pub p_opposite: f64,
}

impl PairedComparison {
    /// Compares losses by an exact sign test; `better` and `worse` are names with (seed, loss).
    /// A loss that is not finite is worse than any that is.
    #[must_use]
    pub fn of_losses(better: (&str, &[(u64, f64)]), worse: (&str, &[(u64, f64)])) -> Self {
        let finite = |loss: f64| if loss.is_finite() { loss } else { f64::INFINITY };
        let pairs: Vec<(f64, f64)> = (better.1.iter())
            .filter_map(|(seed, loss)| Some((*loss, worse.1.iter().find(|(other, _)| other == seed)?.1)))
            .map(|(a, b)| (finite(a), finite(b)))
            .filter(|(a, b)| a != b)
            .collect();
        let n = pairs.len();
        let as_claimed = pairs.iter().filter(|(a, b)| a < b).count();
        let mean = pairs.iter().map(|(a, b)| (b / a).log10()).sum::<f64>() / n as f64;
        Self {
            better: better.0.to_owned(),
            worse: worse.0.to_owned(),
            n,
            as_claimed,
            mean_log10_ratio: mean.is_finite().then_some(mean),
            p_as_claimed: sign_test(as_claimed, n),
            p_opposite: sign_test(n - as_claimed, n),
        }
    }
}

impl fmt::Display for PairedComparison {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { better, worse, n, as_claimed, p_as_claimed, .. } = self;
        write!(f, "{better} below {worse} in {as_claimed} of {n} (p = {p_as_claimed:.3})")
    }
}

/// One-sided p-value of the exact sign test: the probability of at least `wins` heads in `n`
/// tosses of a fair coin. Ties are left out of both before (Dixon & Mood 1946).
#[must_use]
pub fn sign_test(wins: usize, n: usize) -> f64 {
    // C(n, k) / 2ⁿ from k = 0 upwards, in floating point: exact enough (1e-12) up to n ≈ 1000.
    let mut term = (-(n as f64)).exp2();
    let mut tail = 0.0;
    for k in 0..=n {
        if k >= wins {
            tail += term;
        }
        term *= (n - k) as f64 / (k + 1) as f64;
    }
    tail.min(1.0)
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

/// Ranks from 1, ties at their mean.
fn ranks(values: &[f64]) -> Vec<f64> {
    let rank = |value: &f64| {
        let below = values.iter().filter(|other| *other < value).count();
        let equal = values.iter().filter(|other| *other == value).count();
        below as f64 + (equal as f64 + 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_pair_by_seed_and_leave_ties_out() {
        let better = [(0, 1.0), (1, 1.0), (2, 5.0), (3, 2.0), (4, 1.0)];
        let worse = [(4, f64::NAN), (3, 2.0), (2, 0.5), (1, 10.0), (9, 7.0)];
        let found = PairedComparison::of_losses(("a", &better), ("b", &worse));
        // Seed 1 as claimed, 2 the opposite, 3 a tie, 4 as claimed (diverged); 0 and 9 have no pair.
        assert_eq!((found.n, found.as_claimed, found.mean_log10_ratio), (3, 2, None));
        assert_eq!((found.p_as_claimed, found.p_opposite), (0.5, 7.0 / 8.0));
        let found = PairedComparison::of_losses(("a", &better[..3]), ("b", &worse[..4]));
        assert_eq!((found.n, found.mean_log10_ratio), (2, Some(0.0)));
    }

    #[test]
    fn spearman_is_scipys() {
        let pairs = |y: &[f64]| (1..).map(f64::from).zip(y.iter().copied()).collect::<Vec<_>>();
        assert_eq!(spearman(&pairs(&[1.0, 8.0, 27.0])), Some(1.0));
        assert_eq!(spearman(&pairs(&[3.0, 2.0, -1.0])), Some(-1.0));
        // scipy.stats.spearmanr([1, 2, 3, 4, 5], [5, 6, 7, 8, 7]).statistic, with a tie
        let tied = spearman(&pairs(&[5.0, 6.0, 7.0, 8.0, 7.0])).unwrap();
        assert!((tied - 0.820_782_681_668_123_4).abs() < 1e-12, "{tied}");
        assert_eq!(spearman(&pairs(&[1.0, 1.0])), None);
        assert_eq!(spearman(&pairs(&[1.0])), None);
        assert_eq!(spearman(&pairs(&[1.0, f64::NAN])), None);
    }

    #[test]
    fn quantiles_are_numpys() {
        let values = [3.0, f64::NAN, 1.0, 10.0, 2.0];
        for (share, expected) in [(0.0, 1.0), (0.5, 2.5), (0.9, 7.9), (1.0, 10.0)] {
            assert!((quantile(&values, share).unwrap() - expected).abs() < 1e-12, "{share}");
        }
        assert_eq!(quantile(&[f64::NAN], 0.5), None);
    }

    #[test]
    fn sign_test_counts_coin_tosses() {
        for n in 0..=12u32 {
            for wins in 0..=n {
                let favourable = (0..1u32 << n).filter(|tosses| tosses.count_ones() >= wins).count();
                let expected = favourable as f64 / f64::from(1u32 << n);
                assert!((sign_test(wins as usize, n as usize) - expected).abs() < 1e-14, "{wins} of {n}");
            }
        }
        // scipy.stats.binomtest(60, 100, alternative="greater").pvalue
        assert!((sign_test(60, 100) - 0.028_443_966_820_490_42).abs() < 1e-12);
    }
}
