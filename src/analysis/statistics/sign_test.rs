//! The exact sign test, for any number of cases, and the comparison of two kinds of trial by it.

use super::{Estimate, mean};
use serde::Serialize;
use std::f64::consts::{E, LN_2, PI};
use std::fmt;

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
    /// Seeds where one of the two is NaN: they count against either verdict.
    pub unknown: usize,
    /// Mean of log₁₀(worse / better), paired by seed: by how many powers of ten, positive as claimed.
    /// `None` where it is not finite.
    pub log10_ratio: Option<Estimate>,
    /// Probability of so many seeds or more as claimed, were both equally good.
    pub p_as_claimed: f64,
    /// The same for the opposite.
    pub p_opposite: f64,
    /// Seed and both numbers of each case.
    #[serde(skip)]
    pub cases: Vec<(u64, f64, f64)>,
}

impl PairedComparison {
    /// Compares losses by an exact sign test; `better` and `worse` are names with (seed, loss).
    /// A loss that is not finite is of a training that diverged: worse than any that is.
    pub fn of_losses(better: (&str, &[(u64, f64)]), worse: (&str, &[(u64, f64)])) -> Self {
        let finite = |&(seed, loss): &(u64, f64)| (seed, if loss.is_finite() { loss } else { f64::INFINITY });
        let [a, b] = [better.1, worse.1].map(|losses| losses.iter().map(finite).collect::<Vec<_>>());
        Self::of_numbers((better.0, &a), (worse.0, &b))
    }

    /// Compares numbers likewise; of one that is NaN nothing is known.
    pub fn of_numbers(better: (&str, &[(u64, f64)]), worse: (&str, &[(u64, f64)])) -> Self {
        let cases: Vec<(u64, f64, f64)> = (better.1.iter())
            .filter_map(|(seed, number)| Some((*seed, *number, worse.1.iter().find(|(other, _)| other == seed)?.1)))
            .collect();
        let pairs: Vec<(f64, f64)> = cases.iter().map(|(_, a, b)| (*a, *b)).collect();
        let n = pairs.len();
        let count = |is: fn(&(f64, f64)) -> bool| pairs.iter().filter(|pair| is(pair)).count();
        let (as_claimed, opposite) = (count(|(a, b)| a < b), count(|(a, b)| a > b));
        let ties = count(|(a, b)| a == b);
        // Of two numbers below 0 a quotient would have the wrong sign.
        let ratio = |(a, b): &(f64, f64)| match (a, b) {
            _ if a == b && a.is_finite() => 0.0,
            _ if *a < 0.0 || *b < 0.0 => f64::NAN,
            _ => (b / a).log10(),
        };
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
            cases,
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
pub fn shown_p(p: f64) -> String {
    if p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {p:.3}") }
}

/// One-sided p-value of the exact sign test: the probability of at least `wins` heads in `n` tosses of a fair
/// coin. Ties are left out of both before (Dixon & Mood 1946). Where it is below the smallest normal number,
/// that number: an upper bound, and never 0.
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
        let ratio: f64 = (1..=n).map(|i| i as f64 * E / x).product();
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

#[cfg(test)]
mod tests {
    use super::super::estimate::t_quantile;
    use super::super::tests::{assert_near, goldens};
    use super::*;

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
            assert_near(ln_sign_test(n, n), -(n as f64) * LN_2, 1e-14, &n);
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
    fn comparisons_pair_by_seed_and_keep_ties_in_the_effect() {
        let better = [(0, 1.0), (1, 1.0), (2, 5.0), (3, 2.0), (4, 1.0)];
        let worse = [(4, f64::NAN), (3, 2.0), (2, 0.5), (1, 10.0), (9, 7.0)];
        let found = PairedComparison::of_losses(("a", &better), ("b", &worse));
        // Seed 1 as claimed, 2 the opposite, 3 a tie, 4 as claimed (diverged); 0 and 9 have no pair.
        let counts = |found: &PairedComparison| (found.n, found.as_claimed, found.ties, found.unknown);
        assert_eq!((counts(&found), found.log10_ratio), ((4, 2, 1, 0), None));
        assert_eq!(found.cases[..3], [(1, 1.0, 10.0), (2, 5.0, 0.5), (3, 2.0, 2.0)]);
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
        // A NaN is unknown: it counts for neither side.
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
}
