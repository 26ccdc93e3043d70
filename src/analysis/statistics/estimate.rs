//! A number over repeated trials with its 95 % confidence interval: means and shares.

use super::{LEVEL, NORMAL};
use serde::Serialize;
use statrs::distribution::{Beta, ContinuousCDF as _, Normal, StudentsT};

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
    pub fn map(self, rising: impl Fn(f64) -> f64) -> Self {
        Self { value: rising(self.value), interval: self.interval.map(|bounds| bounds.map(&rising)), n: self.n }
    }

    /// The same with its interval kept within these bounds, beyond which there is nothing to estimate.
    pub fn within(self, low: f64, high: f64) -> Self {
        Self { interval: self.interval.map(|bounds| bounds.map(|bound| bound.clamp(low, high))), ..self }
    }

    /// With an interval as much wider as a second, independent source of error makes it: the squares of half
    /// widths add up.
    pub fn widened(self, half: f64) -> Self {
        let widen = |[low, high]: [f64; 2]| {
            [self.value - (self.value - low).hypot(half), self.value + (high - self.value).hypot(half)]
        };
        Self { interval: self.interval.map(widen), ..self }
    }
}

/// Mean with Student's t interval; `None` where a number is not finite, or there is none.
pub fn mean(values: &[f64]) -> Option<Estimate> {
    mean_of_several(values, 1)
}

/// The mean of one of so many quantities, each over the same cases, with an interval wide enough for all of
/// them to hold together at 95 % (Bonferroni): whichever is then looked at, its interval stands.
pub fn mean_of_several(values: &[f64], quantities: usize) -> Option<Estimate> {
    mean_of_more(values, 0, quantities)
}

/// The same were there so many further cases, mean and deviation as they are.
pub fn mean_of_more(values: &[f64], more: usize, quantities: usize) -> Option<Estimate> {
    let known = values.len();
    let value = values.iter().sum::<f64>() / known as f64;
    if !value.is_finite() {
        return None;
    }
    let squares: f64 = values.iter().map(|x| (x - value).powi(2)).sum();
    let n = known.saturating_add(more);
    // One case has no deviation.
    let degrees = if known > 1 { n - 1 } else { known.checked_sub(1)? };
    let interval = t_quantile(degrees, 1.0 - LEVEL / quantities.max(1) as f64 / 2.0).map(|t| {
        let half = t * (squares / (known - 1) as f64 / n as f64).sqrt();
        [value - half, value + half]
    });
    Some(Estimate { value, interval, n })
}

/// The quantile at `at` of Student's t; `None` without a degree of freedom.
pub fn t_quantile(degrees: usize, at: f64) -> Option<f64> {
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
    Normal::standard().inverse_cdf(at)
}

/// Half of the 95 % interval of a share of `n` independent cases (normal approximation to the binomial).
pub fn half_of_share(share: f64, n: usize) -> f64 {
    NORMAL * (share * (1.0 - share) / n as f64).sqrt()
}

/// A share of cases, with the exact interval of Clopper and Pearson (1934).
pub fn share(count: usize, n: usize) -> Estimate {
    let quantile = |a: usize, b: usize, at: f64| Beta::new(a as f64, b as f64).map(|beta| beta.inverse_cdf(at)).ok();
    let low = if count == 0 { Some(0.0) } else { quantile(count, n - count + 1, LEVEL / 2.0) };
    let high = if count == n { Some(1.0) } else { quantile(count + 1, n - count, 1.0 - LEVEL / 2.0) };
    let interval = low.zip(high).filter(|_| n > 0).map(|(low, high)| [low, high]);
    Estimate { value: count as f64 / n as f64, interval, n }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{MeanGolden, assert_near, goldens};
    use super::*;

    #[test]
    fn means_are_scipys() {
        for MeanGolden { values, mean: expected, intervals } in goldens().means {
            for (quantities, low, high) in intervals {
                let found = mean_of_several(&values, quantities).unwrap();
                let bounds = found.interval.unwrap();
                assert_near(found.value, expected, 1e-14, &values);
                assert_near(bounds[0], low, 1e-10, &(&values, quantities));
                assert_near(bounds[1], high, 1e-10, &(&values, quantities));
                assert_eq!(found.n, values.len());
            }
            assert_eq!(mean(&values), mean_of_several(&values, 1));
            assert_eq!(mean(&values), mean_of_several(&values, 0));
        }
        assert_eq!(mean(&[3.0]), Some(Estimate { value: 3.0, interval: None, n: 1 }));
        assert_eq!(mean_of_more(&[3.0], 9, 1), Some(Estimate { value: 3.0, interval: None, n: 10 }));
        assert_eq!(mean_of_more(&[], 9, 1), None);
        for none in [&[][..], &[1.0, f64::NAN], &[1.0, f64::INFINITY], &[f64::INFINITY, f64::NEG_INFINITY]] {
            assert_eq!(mean(none), None);
        }
    }

    #[test]
    fn further_cases_of_the_same_mean_and_deviation_are_as_if_they_were_there() {
        // Of -1, 0, 1 the deviation is 1: so it is of these.
        for half in 1..6usize {
            let n = 2 * half + 1;
            let there: Vec<f64> = [0.0].into_iter().chain([-1.0, 1.0].repeat(half)).collect();
            for quantities in [1, 3] {
                let found = mean_of_more(&[-1.0, 0.0, 1.0], n - 3, quantities).unwrap();
                let expected = mean_of_several(&there, quantities).unwrap();
                assert_eq!((found.value, found.n), (0.0, n));
                assert_near(found.interval.unwrap()[1], expected.interval.unwrap()[1], 1e-14, &n);
            }
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
            let bounds = found.interval.unwrap();
            assert_eq!((found.value, found.n), (count as f64 / n as f64, n));
            assert_near(bounds[0], low, 1e-8, &(count, n));
            assert_near(bounds[1], high, 1e-8, &(count, n));
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
}
