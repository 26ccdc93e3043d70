//! Extremes and quantiles of a few numbers, with a rule for those that are NaN.

/// The larger of two, NaN where one is: what is unknown may be larger. ([`f64::max`] forgets it.)
pub fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The highest number, NaN where one is. `None` of none.
pub fn highest(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(larger)
}

/// The lowest number, likewise.
pub fn lowest(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(|a, b| -larger(-a, -b))
}

/// The lowest and the highest of the numbers that are finite; `None` without any.
pub fn finite_ends(values: &[f64]) -> Option<[f64; 2]> {
    let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    Some([lowest(&finite)?, highest(&finite)?])
}

/// The quantile at `share` (0…1) of the numbers that are finite, interpolated between neighbours as
/// NumPy does; `None` without any.
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let at = share.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(low + (high - low) * at.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_keep_nan() {
        assert_eq!((highest(&[1.0, 3.0, 2.0]), lowest(&[2.0, 1.0, 3.0])), (Some(3.0), Some(1.0)));
        for values in [[f64::NAN, 1.0], [1.0, f64::NAN]] {
            assert!(highest(&values).unwrap().is_nan() && lowest(&values).unwrap().is_nan());
        }
        assert_eq!((highest(&[]), lowest(&[])), (None, None));
        assert_eq!((highest(&[1.0, f64::INFINITY]), lowest(&[1.0, f64::INFINITY])), (Some(f64::INFINITY), Some(1.0)));
    }

    #[test]
    fn ends_are_those_of_finite_numbers() {
        assert_eq!(finite_ends(&[f64::NAN, 3.0, f64::INFINITY, -1.0]), Some([-1.0, 3.0]));
        assert_eq!((finite_ends(&[2.0]), finite_ends(&[f64::NAN]), finite_ends(&[])), (Some([2.0; 2]), None, None));
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
