//! The numbers a claim was judged by, one entry a case, so that a reader can look at each. Knows claims, no study.

use super::{Claim, SEEDS, TRAININGS, Unit};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a claim was judged by in one case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// "seed 3".
    pub case: String,
    /// By name; null where it is not a finite number, or not known. What holds is 1, what does not 0.
    pub values: BTreeMap<String, Option<f64>>,
}

impl Point {
    /// Of a case without a name so far.
    pub(super) fn new<const N: usize>(values: [(&str, Option<f64>); N]) -> Self {
        let known = |(name, value): (&str, Option<f64>)| (name.to_owned(), value.filter(|value| value.is_finite()));
        Self { case: String::new(), values: values.map(known).into() }
    }

    /// With a further number.
    pub(super) fn set(&mut self, name: &str, value: f64) {
        self.values.insert(name.to_owned(), Some(value).filter(|value| value.is_finite()));
    }
}

/// What a case is called before its seed: a training by that of its weights.
pub(super) fn one_of(unit: Unit) -> &'static str {
    if unit == TRAININGS { SEEDS.one } else { unit.one }
}

/// Cases by the names given for them, where these are as many.
pub(super) fn named(mut points: Vec<Point>, names: Vec<String>) -> Vec<Point> {
    if names.len() == points.len() {
        points.iter_mut().zip(names).for_each(|(point, name)| point.case = name);
    }
    points
}

impl Claim {
    /// With a further number in each case.
    pub fn beside(mut self, name: &str, values: &[f64]) -> Self {
        if values.len() == self.points.len() {
            self.points.iter_mut().zip(values).for_each(|(point, value)| point.set(name, *value));
        }
        self
    }

    /// Of a share, with what was so in each of its cases.
    pub fn of_each(mut self, names: Vec<String>, held: &[bool]) -> Self {
        let point = |held: &bool| Point::new([("held", Some(f64::from(u8::from(*held))))]);
        self.points = named(held.iter().map(point).collect(), names);
        self
    }

    /// With a name for each case that has none: of one a seed, where each of these seeds is a case, that seed; else its
    /// place.
    pub fn name_cases(&mut self, seeds: &BTreeSet<u64>) {
        let one = one_of(self.cases.0);
        let names: Vec<String> = match self.points.len() == seeds.len() {
            true => seeds.iter().map(|seed| format!("{one} {seed}")).collect(),
            false => (1..=self.points.len()).map(|place| format!("case {place}")).collect(),
        };
        let unnamed = self.points.iter_mut().zip(names).filter(|(point, _)| point.case.is_empty());
        unnamed.for_each(|(point, name)| point.case = name);
    }
}

#[cfg(test)]
mod tests {
    use super::super::stated;
    use super::*;
    use crate::analysis::statistics::PairedComparison;
    use crate::study::claim::{Claimed, Quantity};

    fn cases(claim: &Claim) -> Vec<&str> {
        claim.points.iter().map(|point| point.case.as_str()).collect()
    }

    fn value(claim: &Claim, at: usize, name: &str) -> Option<f64> {
        claim.points[at].values[name]
    }

    #[test]
    fn each_rule_keeps_the_numbers_of_each_case() {
        let counted = stated("", "", None).counted(SEEDS, &[Some(true), Some(false), None]).beside("worst", &[2.0; 3]);
        assert_eq!([0, 1, 2].map(|at| value(&counted, at, "held")), [Some(1.0), Some(0.0), None]);
        assert_eq!(value(&counted, 2, "worst"), Some(2.0));
        // Not as many: of which case they are is not known.
        assert!(!counted.beside("other", &[1.0]).points[0].values.contains_key("other"));
        let pair = |better, worse| {
            PairedComparison::of_numbers((better, &[(7, 1.0), (9, f64::NAN)]), (worse, &[(7, 2.0), (9, 3.0)]))
        };
        let compared = stated("", "", None).compared(SEEDS, &[pair("a", "b"), pair("c", "b")]);
        assert_eq!(cases(&compared), ["seed 7", "seed 9"]);
        assert_eq!(["a", "b", "c"].map(|name| value(&compared, 0, name)), [Some(1.0), Some(2.0), Some(1.0)]);
        assert_eq!(["a", "b"].map(|name| value(&compared, 1, name)), [None, Some(3.0)]);
        let quantities = [Quantity::new("q", vec![1.0, f64::INFINITY]), Quantity::new("r", vec![3.0])];
        let interval = stated("", "", Some(Claimed::Above(0.0))).interval(SEEDS, &quantities);
        assert_eq!(
            [value(&interval, 0, "q"), value(&interval, 0, "r"), value(&interval, 1, "q")],
            [Some(1.0), Some(3.0), None]
        );
        assert!(!interval.points[1].values.contains_key("r"));
        let pairs = [(1.0, 2.0), (f64::NAN, 3.0)];
        let words = |rule| stated("", rule, Some(Claimed::Above(0.0))).correlated((SEEDS, 2), &pairs).points;
        assert_eq!(words("size and loss")[0].values, [("size".into(), Some(1.0)), ("loss".into(), Some(2.0))].into());
        assert_eq!(words("a and b and c")[1].values, [("first".into(), None), ("second".into(), Some(3.0))].into());
    }

    #[test]
    fn cases_are_called_by_their_seeds_where_these_are_they() {
        let claim = |unit, n: usize| stated("", "", None).counted(unit, &vec![Some(true); n]);
        let subsets = Unit { one: "subset", many: "subsets", more: "" };
        let seeds = BTreeSet::from([4, 6]);
        for (unit, n, expected) in [
            (SEEDS, 2, vec!["seed 4", "seed 6"]),
            (TRAININGS, 2, vec!["seed 4", "seed 6"]),
            // Some are left out: which is not known.
            (SEEDS, 1, vec!["case 1"]),
            (subsets, 2, vec!["subset 4", "subset 6"]),
            (SEEDS, 0, vec![]),
        ] {
            let mut claim = claim(unit, n);
            claim.name_cases(&seeds);
            assert_eq!(cases(&claim), expected);
        }
        let mut named = stated("", "", None).named(["x".to_owned()]).counted(SEEDS, &[Some(true)]);
        named.name_cases(&BTreeSet::from([1]));
        assert_eq!(cases(&named), ["x"]);
    }
}
