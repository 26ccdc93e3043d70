//! Tests over repeated trials.

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

#[cfg(test)]
mod tests {
    use super::*;

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
