//! Where a number is claimed to lie, and what its interval says of that. A claim of absence is supported by an
//! interval inside its bounds, never by one that merely holds zero.

use super::Verdict;
use crate::study::number::whole_or_significant;
use std::fmt;

/// Where a number is said to lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Claimed {
    Above(f64),
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
    /// Ends included.
    Within([f64; 2]),
}

impl Claimed {
    /// Whether all of an interval lies there.
    pub(in crate::study) fn holds(self, [low, high]: [f64; 2]) -> bool {
        match self {
            Self::Above(bound) => low > bound,
            Self::AtLeast(bound) => low >= bound,
            Self::AtMost(bound) => high <= bound,
            Self::Below(bound) => high < bound,
            Self::Within([lowest, highest]) => low >= lowest && high <= highest,
        }
    }

    /// Whether none of it does.
    fn fails(self, [low, high]: [f64; 2]) -> bool {
        match self {
            Self::Above(bound) | Self::AtLeast(bound) => high < bound,
            Self::AtMost(bound) | Self::Below(bound) => low > bound,
            Self::Within([lowest, highest]) => high < lowest || low > highest,
        }
    }

    /// The one bound, or the upper of two.
    pub fn upper_bound(self) -> f64 {
        match self {
            Self::Above(bound) | Self::AtLeast(bound) | Self::AtMost(bound) | Self::Below(bound) => bound,
            Self::Within([_, highest]) => highest,
        }
    }

    /// How far a number lies to the side that speaks against it, for a choice of the worst.
    pub(super) fn against(self, value: f64) -> f64 {
        match self {
            Self::Above(bound) | Self::AtLeast(bound) => bound - value,
            Self::AtMost(bound) | Self::Below(bound) => value - bound,
            Self::Within([lowest, highest]) => (lowest - value).max(value - highest),
        }
    }

    /// To where a number with this interval, which lies there or elsewhere, would have to move, its interval with it, for
    /// that to be open; `None` where it is open.
    pub(super) fn open_from(self, value: f64, [low, high]: [f64; 2]) -> Option<f64> {
        // By the end of the interval that has to reach the bound.
        let down = |bound: f64| value - (low - bound);
        let up = |bound: f64| value + (bound - high);
        let (holds, fails) = (self.holds([low, high]), self.fails([low, high]));
        let [to_lower, to_upper] = match self {
            Self::Above(bound) | Self::AtLeast(bound) if holds => [Some(down(bound)), None],
            Self::AtMost(bound) | Self::Below(bound) if holds => [None, Some(up(bound))],
            Self::Within([lowest, highest]) if holds => [Some(down(lowest)), Some(up(highest))],
            Self::Above(bound) | Self::AtLeast(bound) if fails => [None, Some(up(bound))],
            Self::AtMost(bound) | Self::Below(bound) if fails => [Some(down(bound)), None],
            Self::Within([lowest, _]) if fails && high < lowest => [None, Some(up(lowest))],
            Self::Within([_, highest]) if fails => [Some(down(highest)), None],
            _ => [None, None],
        };
        [to_lower, to_upper].into_iter().flatten().min_by(|a, b| (a - value).abs().total_cmp(&(b - value).abs()))
    }

    /// Supported where all intervals lie there, refuted where one lies elsewhere.
    pub(super) fn verdict(self, intervals: &[Option<[f64; 2]>]) -> Verdict {
        if !intervals.is_empty() && intervals.iter().all(|ends| ends.is_some_and(|ends| self.holds(ends))) {
            Verdict::Supported
        } else if intervals.iter().any(|ends| ends.is_some_and(|ends| self.fails(ends))) {
            Verdict::Refuted
        } else {
            Verdict::Inconclusive
        }
    }
}

impl fmt::Display for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let shown = |bound: f64| whole_or_significant(bound, 3);
        match *self {
            Self::Above(bound) => write!(f, "above {}", shown(bound)),
            Self::AtLeast(bound) => write!(f, "at least {}", shown(bound)),
            Self::AtMost(bound) => write!(f, "at most {}", shown(bound)),
            Self::Below(bound) => write!(f, "below {}", shown(bound)),
            Self::Within([low, high]) => write!(f, "from {} to {}", shown(low), shown(high)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{Inconclusive, Refuted, Supported};
    use super::*;

    #[test]
    fn a_decided_number_is_open_from_where_its_interval_meets_the_bound() {
        use Claimed::{Above, AtLeast, AtMost, Below, Within};
        // A number and half its interval: all are whole, and so is what is expected.
        for (claimed, value, half, open) in [
            (Above(1.0), 4.0, 1.0, Some(2.0)),
            (Above(1.0), -4.0, 1.0, Some(0.0)),
            (Above(1.0), 1.0, 1.0, None),
            (AtLeast(1.0), 4.0, 2.0, Some(3.0)),
            (AtMost(1.0), -4.0, 1.0, Some(0.0)),
            (AtMost(1.0), 4.0, 1.0, Some(2.0)),
            (Below(1.0), -4.0, 2.0, Some(-1.0)),
            (Below(1.0), 2.0, 2.0, None),
            (Within([-4.0, 8.0]), 0.0, 1.0, Some(-3.0)),
            (Within([-4.0, 8.0]), 5.0, 1.0, Some(7.0)),
            (Within([-4.0, 8.0]), 12.0, 1.0, Some(9.0)),
            (Within([-4.0, 8.0]), -12.0, 1.0, Some(-5.0)),
            (Within([-4.0, 8.0]), 8.0, 1.0, None),
        ] {
            let interval = |value: f64| [value - half, value + half];
            assert_eq!(claimed.open_from(value, interval(value)), open, "{claimed} {value}");
            let Some(open) = open else { continue };
            // Just beyond it is open, just before it is not.
            let (near, beyond) = (open + (value - open) * 1e-6, open - (value - open) * 1e-6);
            let verdict = |at: f64| claimed.verdict(&[Some(interval(at))]);
            assert_eq!(verdict(near), verdict(value), "{claimed} {value}");
            assert_eq!(verdict(beyond), Inconclusive, "{claimed} {value}");
        }
    }

    #[test]
    fn bounds_are_met_by_the_whole_interval() {
        use Claimed::{Above, AtLeast, AtMost, Below, Within};
        for (claimed, interval, verdict) in [
            (Above(1.0), [1.1, 2.0], Supported),
            (Above(1.0), [1.0, 2.0], Inconclusive),
            (Above(1.0), [0.0, 2.0], Inconclusive),
            (Above(1.0), [0.0, 1.0], Inconclusive),
            (Above(1.0), [0.0, 0.9], Refuted),
            (Above(0.0), [0.0, 0.0], Inconclusive),
            (AtLeast(1.0), [1.0, 2.0], Supported),
            (AtLeast(1.0), [0.9, 2.0], Inconclusive),
            (AtLeast(1.0), [0.0, 1.0], Inconclusive),
            (AtLeast(1.0), [0.0, 0.9], Refuted),
            (AtLeast(1.0), [1.0, 1.0], Supported),
            (AtMost(1.0), [0.0, 1.0], Supported),
            (AtMost(1.0), [0.0, 1.1], Inconclusive),
            (AtMost(1.0), [1.0, 2.0], Inconclusive),
            (AtMost(1.0), [1.1, 2.0], Refuted),
            (Below(1.0), [0.0, 0.9], Supported),
            (Below(1.0), [0.0, 1.0], Inconclusive),
            (Below(1.0), [1.0, 2.0], Inconclusive),
            (Below(1.0), [1.1, 2.0], Refuted),
            (Within([-1.0, 1.0]), [-1.0, 1.0], Supported),
            (Within([-1.0, 1.0]), [-0.5, 0.5], Supported),
            (Within([-1.0, 1.0]), [-1.1, 0.0], Inconclusive),
            (Within([-1.0, 1.0]), [0.0, 1.1], Inconclusive),
            (Within([-1.0, 1.0]), [-9.0, 9.0], Inconclusive),
            (Within([-1.0, 1.0]), [1.0, 2.0], Inconclusive),
            (Within([-1.0, 1.0]), [1.1, 2.0], Refuted),
            (Within([-1.0, 1.0]), [-2.0, -1.0], Inconclusive),
            (Within([-1.0, 1.0]), [-2.0, -1.1], Refuted),
        ] {
            assert_eq!(claimed.verdict(&[Some(interval)]), verdict, "{claimed} {interval:?}");
            // Nothing is said by none, and nothing supported beside one that is not known.
            assert_eq!(claimed.verdict(&[]), Inconclusive);
            assert_eq!(claimed.verdict(&[None]), Inconclusive);
            let beside = claimed.verdict(&[None, Some(interval)]);
            assert_eq!(beside, if verdict == Supported { Inconclusive } else { verdict });
        }
        let (yes, maybe, no) = (Some([1.0, 2.0]), Some([-1.0, 1.0]), Some([-2.0, -1.0]));
        for (intervals, verdict) in [
            ([yes, yes], Supported),
            ([yes, maybe], Inconclusive),
            ([maybe, maybe], Inconclusive),
            ([yes, no], Refuted),
            ([no, maybe], Refuted),
        ] {
            assert_eq!(Above(0.0).verdict(&intervals), verdict, "{intervals:?}");
        }
        let words = [Above(0.05), AtLeast(0.95), AtMost(2.0), Below(0.0), Within([-0.25, 0.25])].map(|c| c.to_string());
        assert_eq!(words, ["above 0.0500", "at least 0.950", "at most 2", "below 0", "from -0.250 to 0.250"]);
        let worst = |claimed: Claimed| {
            [-3.0, 0.0, 2.0].into_iter().max_by(|a, b| claimed.against(*a).total_cmp(&claimed.against(*b)))
        };
        assert_eq!(
            [Above(0.0), AtLeast(9.0), AtMost(0.0), Below(9.0), Within([-1.0, 1.0])].map(worst),
            [-3.0, -3.0, 2.0, 2.0, -3.0].map(Some)
        );
        assert_eq!(worst(Within([-4.0, 1.0])), Some(2.0));
        assert_eq!([AtMost(-2.0), Below(-2.0), Above(-2.0)].map(worst), [2.0, 2.0, -3.0].map(Some));
    }
}
