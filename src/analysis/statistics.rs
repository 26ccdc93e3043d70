//! Tests over repeated trials.

use serde::Serialize;
use statrs::distribution::{Beta, ContinuousCDF as _, StudentsT};
use std::fmt;

/// Verdicts are given at this level: five seeds that all agree are enough, one never is.
pub const LEVEL: f64 = 0.05;

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
}

/// Mean with Student's t interval; `None` where a number is not finite, or there is none.
#[must_use]
pub fn mean(values: &[f64]) -> Option<Estimate> {
    let n = values.len();
    let value = values.iter().sum::<f64>() / n as f64;
    if !value.is_finite() {
        return None;
    }
    let squares: f64 = values.iter().map(|x| (x - value).powi(2)).sum();
    let interval = t_quantile(n.checked_sub(1)?).map(|t| {
        let half = t * (squares / (n - 1) as f64 / n as f64).sqrt();
        [value - half, value + half]
    });
    Some(Estimate { value, interval, n })
}

/// The 97.5 % quantile of Student's t; `None` without a degree of freedom.
fn t_quantile(degrees: usize) -> Option<f64> {
    if degrees == 0 {
        return None;
    }
    Some(StudentsT::new(0.0, 1.0, degrees as f64).ok()?.inverse_cdf(0.975))
}

/// A share of cases, with the exact interval of Clopper and Pearson (1934).
#[must_use]
pub fn share(count: usize, n: usize) -> Estimate {
    let quantile = |a: usize, b: usize, at: f64| Beta::new(a as f64, b as f64).map(|beta| beta.inverse_cdf(at)).ok();
    let low = if count == 0 { Some(0.0) } else { quantile(count, n - count + 1, 0.025) };
    let high = if count == n { Some(1.0) } else { quantile(count + 1, n - count, 0.975) };
    let interval = low.zip(high).filter(|_| n > 0).map(|(low, high)| [low, high]);
    Estimate { value: count as f64 / n as f64, interval, n }
}

/// The slope of the least-squares line through pairs (x, y), with Student's t interval; `None` below
/// three pairs, or where it is undefined.
#[must_use]
pub fn slope(pairs: &[(f64, f64)]) -> Option<Estimate> {
    let n = pairs.len();
    let degrees = n.checked_sub(2)?;
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / n as f64;
    let (mean_x, mean_y) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let squares: f64 = pairs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let value = pairs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / squares;
    let t = t_quantile(degrees).filter(|_| value.is_finite())?;
    let residual: f64 = pairs.iter().map(|(x, y)| (y - mean_y - value * (x - mean_x)).powi(2)).sum();
    let half = t * (residual / degrees as f64 / squares).sqrt();
    Some(Estimate { value, interval: Some([value - half, value + half]), n })
}

/// Two kinds of trial, one said to have the lower loss, over the seeds that both have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairedComparison {
    pub better: String,
    pub worse: String,
    /// Seeds where the losses differ.
    pub n: usize,
    /// Seeds where the one said to be better is.
    pub as_claimed: usize,
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
        let ratios: Vec<f64> = pairs.iter().map(|(a, b)| (b / a).log10()).collect();
        Self {
            better: better.0.to_owned(),
            worse: worse.0.to_owned(),
            n,
            as_claimed,
            log10_ratio: mean(&ratios),
            p_as_claimed: sign_test(as_claimed, n),
            p_opposite: sign_test(n - as_claimed, n),
        }
    }
}

impl fmt::Display for PairedComparison {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { better, worse, n, as_claimed, p_as_claimed, .. } = self;
        write!(f, "{better} below {worse} in {as_claimed} of {n} (p = {p_as_claimed:.3}")?;
        // A factor of 1.25 means that the worse loss is 1.25 times the better one.
        if let Some(Estimate { value, interval: Some([low, high]), .. }) =
            self.log10_ratio.map(|ratio| ratio.map(|power| 10f64.powf(power)))
        {
            write!(f, ", by a factor of {value:.2}, {low:.2} to {high:.2}")?;
        }
        write!(f, ")")
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

/// Spearman's rank correlation with the interval of Fisher's z, its standard error after Fieller,
/// Hartley and Pearson (1957); `None` where the correlation is undefined.
///
/// Of a correlation of ±1, where z is infinite, the interval is that of the next smaller one
/// possible: as if one pair of neighbours had changed places.
#[must_use]
pub fn spearman_with_interval(pairs: &[(f64, f64)]) -> Option<Estimate> {
    let value = spearman(pairs)?;
    let n = pairs.len();
    let interval = (n > 3).then(|| {
        let count = n as f64;
        let most = 1.0 - 12.0 / (count * (count * count - 1.0));
        let z = value.clamp(-most, most).atanh();
        let half = 1.96 * (1.06 / (count - 3.0)).sqrt();
        [(z - half).tanh(), (z + half).tanh()]
    });
    Some(Estimate { value, interval, n })
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
        assert_eq!((found.n, found.as_claimed, found.log10_ratio), (3, 2, None));
        assert_eq!((found.p_as_claimed, found.p_opposite), (0.5, 7.0 / 8.0));
        let found = PairedComparison::of_losses(("a", &better[..3]), ("b", &worse[..4]));
        let ratio = found.log10_ratio.unwrap();
        assert_eq!((found.n, ratio.value, ratio.n), (2, 0.0, 2));
        assert_eq!(
            found.to_string().split(", 0.00").next().unwrap(),
            "a below b in 1 of 2 (p = 0.750, by a factor of 1.00"
        );
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

    fn assert_close(found: Option<Estimate>, value: f64, ends: [f64; 2]) {
        let found = found.unwrap();
        let interval = found.interval.unwrap();
        for (found, expected) in [found.value, interval[0], interval[1]].into_iter().zip([value, ends[0], ends[1]]) {
            assert!((found - expected).abs() < 1e-6 * expected.abs().max(1e-3), "{found} against {expected}");
        }
    }

    #[test]
    fn intervals_are_scipys() {
        // scipy.stats.ttest_1samp([1, 2, 4, 8], 0).confidence_interval()
        assert_close(mean(&[1.0, 2.0, 4.0, 8.0]), 3.75, [-1.175_943_048_2, 8.675_943_048_2]);
        assert_eq!(mean(&[3.0]), Some(Estimate { value: 3.0, interval: None, n: 1 }));
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[1.0, f64::NAN]), None);
        // scipy.stats.binomtest(k, n).proportion_ci()
        assert_close(Some(share(8, 10)), 0.8, [0.443_904_538_5, 0.974_789_274_0]);
        assert_close(Some(share(5, 5)), 1.0, [0.478_176_249_9, 1.0]);
        assert_close(Some(share(0, 5)), 0.0, [0.0, 0.521_823_750_1]);
        assert_eq!(share(0, 0).interval, None);
        // scipy.stats.linregress: slope ± t · stderr
        assert_close(slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 4.0), (3.0, 8.0)]), 2.2, [0.374_539_046_6, 4.025_460_953_4]);
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 3.0)]), None);
        assert_eq!(slope(&[(1.0, 1.0), (1.0, 3.0), (1.0, 4.0)]), None);
    }

    #[test]
    fn the_interval_of_a_correlation_is_fishers() {
        let pairs: Vec<(f64, f64)> = (0..28).map(|i| (f64::from(i), f64::from((i * 11) % 28))).collect();
        let found = spearman_with_interval(&pairs).unwrap();
        let z = found.value.atanh();
        assert!((found.interval.unwrap()[0] - (z - 1.96 * (1.06f64 / 25.0).sqrt()).tanh()).abs() < 1e-12);
        // Perfect order: below 1, and the wider the fewer.
        let perfect = |n: i32| {
            let pairs: Vec<(f64, f64)> = (0..n).map(|i| (f64::from(i), f64::from(i))).collect();
            spearman_with_interval(&pairs).unwrap()
        };
        let (six, sixty) = (perfect(6), perfect(60));
        assert_eq!((six.value, sixty.value), (1.0, 1.0));
        assert!(six.interval.unwrap()[0] > 0.3 && six.interval.unwrap()[0] < sixty.interval.unwrap()[0]);
        assert_eq!(perfect(3).interval, None);
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
