//! Where a curve that is measured epoch by epoch comes to rest. Knows numbers, nothing of what they measure.

use super::statistics::quantile;

/// Place and value of the highest finite number, of equal ones the last; `None` without any.
pub fn peak(values: &[f64]) -> Option<(usize, f64)> {
    let finite = values.iter().copied().enumerate().filter(|(_, value)| value.is_finite());
    finite.max_by(|a, b| a.1.total_cmp(&b.1))
}

/// The last tenth of a curve, at least its last value: there it is at rest, if ever.
pub fn last_tenth(values: &[f64]) -> &[f64] {
    &values[values.len() - values.len().div_ceil(10)..]
}

/// How a curve came to rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rest {
    first: f64,
    highest: (usize, f64),
    /// Over the last tenth.
    lowest_at_end: f64,
    median_at_end: f64,
    highest_at_end: f64,
    /// The last epoch with more than a twentieth of the way from the highest to the end's median to go.
    pub settled: usize,
}

impl Rest {
    /// `None` of a curve without a finite number, or without one in its last tenth.
    pub fn of(values: &[f64]) -> Option<Self> {
        let highest = peak(values)?;
        let at_end = |share| quantile(last_tenth(values), share);
        let (lowest_at_end, median_at_end, highest_at_end) = (at_end(0.0)?, at_end(0.5)?, at_end(1.0)?);
        let close = median_at_end + 0.05 * (highest.1 - median_at_end);
        let settled = values.iter().rposition(|value| *value > close).unwrap_or(0);
        Some(Self { first: values[0], highest, lowest_at_end, median_at_end, highest_at_end, settled })
    }

    /// Higher than at first by a tenth, then never above a tenth of that while it rests.
    pub fn rises_and_settles(&self) -> bool {
        let (at, highest) = self.highest;
        at > 0 && highest > 1.1 * self.first && self.highest_at_end < 0.1 * highest
    }

    /// The highest by the first, and the highest of the last tenth by the highest.
    pub fn rise_and_rest(&self) -> [f64; 2] {
        [self.highest.1 / self.first, self.highest_at_end / self.highest.1]
    }

    /// To below a tenth, and while it rests within a twentieth of the fall.
    pub fn falls_and_settles(&self) -> bool {
        let (change, fall) = (self.highest_at_end - self.lowest_at_end, self.first - self.median_at_end);
        self.median_at_end < 0.1 * self.first && change < 0.05 * fall
    }

    /// The median of the last tenth by the first, and the range of the last tenth by the fall to its median.
    pub fn fall_and_rest(&self) -> [f64; 2] {
        let (change, fall) = (self.highest_at_end - self.lowest_at_end, self.first - self.median_at_end);
        [self.median_at_end / self.first, change / fall]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f64 = f64::NAN;

    #[test]
    fn a_peak_is_the_highest_finite_number() {
        for (values, found) in [
            (&[1.0, 3.0, 2.0][..], Some((1, 3.0))),
            (&[3.0, 3.0, 2.0], Some((1, 3.0))),
            (&[-1.0, NAN, f64::INFINITY, -2.0], Some((0, -1.0))),
            (&[NAN], None),
            (&[], None),
        ] {
            assert_eq!(peak(values), found, "{values:?}");
        }
    }

    #[test]
    fn a_last_tenth_is_never_empty_but_of_nothing() {
        let values: Vec<f64> = (0..21).map(f64::from).collect();
        for (length, expected) in [(0, 0), (1, 1), (10, 1), (11, 2), (20, 2), (21, 3)] {
            let end = last_tenth(&values[..length]);
            assert_eq!((end.len(), end.last()), (expected, values[..length].last()), "{length}");
        }
    }

    /// Twenty epochs: those named, then the last of them again and again.
    fn resting(start: &[f64]) -> Vec<f64> {
        let mut values = start.to_vec();
        values.resize(20, start[start.len() - 1]);
        values
    }

    #[test]
    fn curves_rise_fall_and_settle() {
        let ends_on = |end: [f64; 2]| [&resting(&[10.0, 1.0, 0.5])[..18], &end[..]].concat();
        for (what, values, rises, falls, settled) in [
            ("up, then down", resting(&[10.0, 20.0, 5.0, 0.5]), true, true, 2),
            ("down only", resting(&[20.0, 10.0, 5.0, 0.5]), false, true, 2),
            ("up by too little", resting(&[10.0, 10.9, 0.5]), false, true, 1),
            ("not down to a tenth", resting(&[10.0, 20.0, 3.0]), false, false, 1),
            ("level", resting(&[1.0]), false, false, 0),
            ("up only", resting(&[1.0, 2.0]), false, false, 0),
            ("restless at the end by a twentieth", ends_on([0.2, 0.8]), false, false, 1),
            ("restless at the end by less", ends_on([0.4, 0.6]), false, true, 1),
            ("one value", vec![1.0], false, false, 0),
        ] {
            let rest = Rest::of(&values).unwrap();
            let found = (rest.rises_and_settles(), rest.falls_and_settles(), rest.settled);
            assert_eq!(found, (rises, falls, settled), "{what}: {rest:?}");
        }
    }

    #[test]
    fn a_rise_and_a_fall_have_their_sizes() {
        let rest = Rest::of(&[10.0, 20.0, 6.0, 5.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]).unwrap();
        assert_eq!((rest.rise_and_rest(), rest.fall_and_rest()), ([2.0, 0.05], [0.1, 0.0]));
        let restless = Rest::of(&[&resting(&[10.0, 1.0])[..18], &[1.0, 3.0]].concat()).unwrap();
        assert_eq!((restless.rise_and_rest(), restless.fall_and_rest()), ([1.0, 0.3], [0.2, 0.25]));
    }

    #[test]
    fn what_ends_in_no_number_does_not_rest() {
        let lost_early = [&[1.0, 2.0][..], &[NAN; 18]].concat();
        for values in [&[][..], &[NAN, f64::INFINITY], &lost_early] {
            assert_eq!(Rest::of(values), None, "{values:?}");
        }
    }
}
