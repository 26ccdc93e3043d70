//! How one number goes with another: Spearman's rank correlation, trends, and the slope of a line.

use super::{Estimate, NORMAL};

/// Spearman's rank correlation of pairs, ties at their mean rank; `None` where it is undefined
/// (fewer than two pairs, a value that is NaN, no variation).
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

/// Spearman's rank correlation with its interval, as of so many `independent` pairs: where several pairs share a
/// seed, the seeds count. `None` where the correlation is undefined.
pub fn spearman_with_interval(pairs: &[(f64, f64)], independent: usize) -> Option<Estimate> {
    let value = spearman(pairs)?;
    let n = independent.min(pairs.len());
    Some(Estimate { value, interval: interval_of_correlation(value, n), n })
}

/// The interval of Fisher's z of a rank correlation of `n` pairs, its standard error after Fieller, Hartley and
/// Pearson (1957); `None` of too few.
///
/// Of a correlation of ±1, where z is infinite, the interval is that of the next smaller one
/// possible: as if one pair of neighbours had been exchanged.
pub fn interval_of_correlation(value: f64, n: usize) -> Option<[f64; 2]> {
    (n > 3).then(|| {
        let count = n as f64;
        let most = 1.0 - 12.0 / (count * (count * count - 1.0));
        let z = value.clamp(-most, most).atanh();
        let half = NORMAL * (1.06 / (count - 3.0)).sqrt();
        [(z - half).tanh(), (z + half).tanh()]
    })
}

/// How far y rises with x, in one number from -1 (falls throughout) to 1: Spearman's rank correlation, and 0
/// where y does not change at all. NaN where a number is NaN, or x does not change.
pub fn trend(pairs: &[(f64, f64)]) -> f64 {
    let constant = |of: fn(&(f64, f64)) -> f64| pairs.windows(2).all(|pair| of(&pair[0]) == of(&pair[1]));
    if !constant(|pair| pair.0) && constant(|pair| pair.1) { 0.0 } else { spearman(pairs).unwrap_or(f64::NAN) }
}

/// [`trend`] over an epoch's number.
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

/// The slope of the least-squares line through pairs (x, y); `None` below two pairs, or where it is undefined.
pub fn slope(pairs: &[(f64, f64)]) -> Option<f64> {
    let n = pairs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / n;
    let (mean_x, mean_y) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let squares: f64 = pairs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let slope = pairs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / squares;
    slope.is_finite().then_some(slope)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_near, goldens};
    use super::*;

    #[test]
    fn correlations_are_scipys() {
        for golden in goldens().correlations {
            let pairs = golden.pairs();
            assert_near(spearman(&pairs).unwrap(), golden.expected, 1e-12, &pairs);
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
        let interval = |independent| spearman_with_interval(&pairs, independent).unwrap().interval;
        let z = spearman(&pairs).unwrap().atanh();
        let half = |n: f64| NORMAL * (1.06 / (n - 3.0)).sqrt();
        assert_near(interval(28).unwrap()[0], (z - half(28.0)).tanh(), 1e-12, &"low");
        assert_near(interval(28).unwrap()[1], (z + half(28.0)).tanh(), 1e-12, &"high");
        // As of fewer, where pairs share a seed; never as of more than there are.
        assert_near(interval(7).unwrap()[0], (z - half(7.0)).tanh(), 1e-12, &"fewer");
        assert_eq!((interval(1000), interval(3)), (interval(28), None));
        assert!(interval(4).is_some());
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
        for golden in goldens().slopes {
            let pairs = golden.pairs();
            assert_near(slope(&pairs).unwrap(), golden.expected, 1e-12, &pairs);
        }
        for none in [&[][..], &[(1.0, 2.0)], &[(1.0, 1.0), (1.0, 3.0)], &[(1.0, 1.0), (2.0, f64::NAN)]] {
            assert_eq!(slope(none), None);
        }
    }
}
