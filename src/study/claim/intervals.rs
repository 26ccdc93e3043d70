//! Rules by intervals: of means over cases (Student's t), of a rank correlation (Fisher's z) and of a share (Clopper
//! and Pearson), each against where it is claimed to lie.

use super::further::{change_of_correlation, change_of_means, change_of_share};
use super::further::{verdict_of_correlation, verdict_of_means, verdict_of_share};
use super::points::{Point, named};
use super::{Claim, Effect, Stated, Unit, rule, shown_estimate};
use crate::analysis::statistics::{Estimate, FEWEST, mean_of_more, share, spearman_with_interval};
use serde_json::{Value, json};

/// One number a case, of which a claim is made.
#[must_use]
#[derive(Clone, Debug)]
pub struct Quantity {
    pub(super) name: String,
    values: Vec<f64>,
    pub(super) range: [f64; 2],
    further_half: f64,
    pub(super) shown: fn(f64) -> f64,
}

impl Quantity {
    pub fn new(name: impl Into<String>, values: Vec<f64>) -> Self {
        let range = [f64::NEG_INFINITY, f64::INFINITY];
        Self { name: name.into(), values, range, further_half: 0.0, shown: |value| value }
    }

    /// It cannot lie beyond these ends, nor does its interval.
    pub fn range(self, range: [f64; 2]) -> Self {
        Self { range, ..self }
    }

    /// All cases share a further error, whose 95 % interval has this half width.
    pub fn further_half(self, further_half: f64) -> Self {
        Self { further_half, ..self }
    }

    /// In words it is shown on another scale: a logarithm as a factor.
    pub fn shown_as(self, shown: fn(f64) -> f64) -> Self {
        Self { shown, ..self }
    }

    /// The mean over cases, its interval one of so many that hold together.
    fn estimate(&self, quantities: usize) -> Option<Estimate> {
        let [low, high] = self.range;
        Some(self.with_further(0, quantities)?.within(low, high))
    }

    /// The same beyond what it can be, and with so many further cases of the same mean and deviation.
    pub(super) fn with_further(&self, more: usize, quantities: usize) -> Option<Estimate> {
        Some(mean_of_more(&self.values, more, quantities)?.widened(self.further_half))
    }

    /// Its interval with so many further cases, where they are enough for one.
    pub(super) fn interval(&self, more: usize, quantities: usize) -> Option<[f64; 2]> {
        let [low, high] = self.range;
        self.with_further(more, quantities)?.within(low, high).interval.filter(|_| self.values.len() + more >= FEWEST)
    }

    pub(super) fn unknown(&self) -> usize {
        self.values.iter().filter(|value| !value.is_finite()).count()
    }
}

impl Stated {
    /// A claim that each of some quantities, one number a case, lies on average where it is claimed to: supported
    /// where the intervals of all do (Student's t over cases, together 95 %), refuted where one lies elsewhere. A
    /// quantity that is no number in some case has no interval. The effect is the one that speaks most against it.
    pub fn interval(self, unit: Unit, quantities: &[Quantity]) -> Claim {
        let claimed = self.claimed();
        let of_each: Vec<Option<Estimate>> = quantities.iter().map(|each| each.estimate(quantities.len())).collect();
        let verdict = verdict_of_means(claimed, quantities, 0);
        let mut words = Vec::new();
        for (quantity, estimate) in quantities.iter().zip(&of_each) {
            let text = match (estimate, quantity.unknown()) {
                (Some(estimate), _) => shown_estimate(estimate.map(quantity.shown)),
                (None, 0) => continue,
                (None, unknown) => format!("no finite number in {unknown} of {}", unit.counted(quantity.values.len())),
            };
            words.push(format!("{}: {text}", quantity.name));
        }
        let fewest = quantities.iter().map(|quantity| quantity.values.len()).min().unwrap_or(0);
        let most = quantities.iter().map(|quantity| quantity.values.len()).max().unwrap_or(0);
        let mut detail = match words.as_slice() {
            [] => String::new(),
            words if fewest < FEWEST => format!("{}. ", words.join("; ")),
            words => format!("{}; {}. ", words.join("; "), unit.counted(most)),
        };
        detail.push_str(&unit.too_few(fewest));
        let worst = quantities.iter().zip(&of_each).filter_map(|(quantity, estimate)| Some((quantity, (*estimate)?)));
        let worst = worst.max_by(|a, b| claimed.against(a.1.value).total_cmp(&claimed.against(b.1.value)));
        let effect = worst.and_then(|(quantity, estimate)| {
            Effect::new(format!("{}, mean (Student's t over {})", quantity.name, unit.many), estimate)
        });
        let together = if quantities.len() > 1 { format!(", {} together", quantities.len()) } else { String::new() };
        let method = format!("{claimed} by the 95 % interval of the mean{together} (Student's t)");
        let values: serde_json::Map<String, Value> =
            quantities.iter().map(|quantity| (quantity.name.clone(), json!(quantity.values))).collect();
        let evidence = json!({"rule": rule(unit, &self.rule, &method), "values": values});
        let change = change_of_means(self.cases(unit, fewest), claimed, quantities);
        let mut points = vec![Point::default(); most];
        for quantity in quantities {
            points.iter_mut().zip(&quantity.values).for_each(|(point, value)| point.set(&quantity.name, *value));
        }
        let points = named(points, self.names.clone());
        self.judged(verdict, effect, &detail, evidence, (unit, fewest)).behind(points, change)
    }

    /// A claim about Spearman's correlation of pairs, which the rule names, such as "batch size and loss"; each of a case of its own or
    /// of so many `independent` ones: judged by the interval of Fisher's z. A pair that is none (NaN) leaves it
    /// undefined.
    pub fn correlated(self, (unit, independent): (Unit, usize), pairs: &[(f64, f64)]) -> Claim {
        let (claimed, of) = (self.claimed(), self.rule.as_str());
        let found = spearman_with_interval(pairs, independent);
        let verdict = verdict_of_correlation(claimed, found.map(|found| found.value), found.map_or(0, |found| found.n));
        let unknown = pairs.iter().filter(|(x, y)| x.is_nan() || y.is_nan()).count();
        let mut detail = match found {
            Some(found) => format!("Spearman's correlation of {of}: {}. ", shown_estimate(found)),
            None if unknown > 0 => format!("No finite number in {unknown} of {} pairs. ", pairs.len()),
            None if pairs.len() > 1 => format!("One of {of} is the same everywhere: there is no correlation. "),
            None => String::new(),
        };
        let n = independent.min(pairs.len());
        let few = unit.too_few(n);
        detail.push_str(&if few.is_empty() { format!("Over {}.", unit.counted(n)) } else { few });
        let method = format!("{claimed} by the 95 % interval of the correlation (Fisher's z)");
        let evidence = json!({
            "rule": rule(unit, &format!("Spearman's correlation of {of}"), &method), "pairs": pairs,
        });
        let of = format!("Spearman's correlation of {of} (Fisher's z over {})", unit.many);
        let effect = found.and_then(|found| Effect::new(of, found));
        let change = change_of_correlation(self.cases(unit, n), claimed, found, unknown);
        let [x, y] = match self.rule.split(" and ").collect::<Vec<_>>()[..] {
            [x, y] => [x, y],
            _ => ["first", "second"],
        };
        let points = pairs.iter().map(|pair| Point::new([(x, Some(pair.0)), (y, Some(pair.1))])).collect();
        let points = named(points, self.names.clone());
        self.judged(verdict, effect, &detail, evidence, (unit, n)).behind(points, change)
    }

    /// A claim about the share of cases, independent of each other, of which something is true: judged by the
    /// exact interval of Clopper and Pearson.
    pub fn of_share(self, unit: Unit, (count, n): (usize, usize)) -> Claim {
        let (claimed, criterion) = (self.claimed(), self.rule.as_str());
        let found = share(count, n);
        let mut detail = match n {
            0 => String::new(),
            n => format!("{count} of {}: {}. ", unit.counted(n), shown_estimate(found)),
        };
        detail.push_str(&unit.too_few(n));
        let method = format!("{claimed} by the exact 95 % interval of the share (Clopper-Pearson)");
        let evidence = json!({"rule": rule(unit, criterion, &method), "count": count, "n": n});
        let of = format!("share of {}: {criterion} (Clopper-Pearson interval)", unit.many);
        let change = change_of_share(self.cases(unit, n), claimed, count);
        let verdict = verdict_of_share(claimed, count, n);
        self.judged(verdict, Effect::new(of, found), &detail, evidence, (unit, n)).behind(Vec::new(), change)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{Inconclusive, Refuted, Supported};
    use super::super::{Claimed, SEEDS, TRAININGS, stated};
    use super::*;

    const NAN: f64 = f64::NAN;
    const CASES: Unit = Unit { one: "case", many: "cases", more: "" };

    fn interval(quantities: &[&[f64]], claimed: Claimed) -> Claim {
        let quantities: Vec<Quantity> =
            quantities.iter().enumerate().map(|(i, values)| Quantity::new(format!("q{i}"), values.to_vec())).collect();
        stated("It is so.", "what is measured", Some(claimed)).interval(SEEDS, &quantities)
    }

    #[test]
    fn means_are_judged_by_their_interval_over_cases() {
        let above = Claimed::Above(1.0);
        for (quantities, verdict) in [
            // Mean 2, half the interval 0.88.
            (&[&[1.0, 2.0, 2.0, 2.0, 3.0][..]][..], Supported),
            (&[&[-1.0, 0.0, 0.0, 0.0, 1.0]], Refuted),
            (&[&[0.0, 1.0, 1.0, 1.0, 2.0]], Inconclusive),
            // Too few, one, none.
            (&[&[2.0, 2.0, 2.0, 2.01]], Inconclusive),
            (&[&[0.0, 0.0, 0.0, 0.01]], Inconclusive),
            (&[&[2.0]], Inconclusive),
            (&[&[]], Inconclusive),
            (&[], Inconclusive),
            // No number, all equal.
            (&[&[2.0, 2.0, 2.0, 2.0, 2.0, NAN]], Inconclusive),
            (&[&[0.0, 0.0, 0.0, 0.0, 0.0, f64::NEG_INFINITY]], Inconclusive),
            (&[&[2.0; 5]], Supported),
            (&[&[1.0; 5]], Inconclusive),
            (&[&[0.0; 5]], Refuted),
            // Several hold together: of two the half interval is 1.1.
            (&[&[1.0, 2.0, 2.0, 2.0, 3.0], &[2.0; 5]], Inconclusive),
            (&[&[1.5, 2.0, 2.0, 2.0, 2.5], &[2.0; 5]], Supported),
            (&[&[1.5, 2.0, 2.0, 2.0, 2.5], &[NAN; 5]], Inconclusive),
            (&[&[1.5, 2.0, 2.0, 2.0, 2.5], &[2.0; 4]], Inconclusive),
            (&[&[1.5, 2.0, 2.0, 2.0, 2.5], &[0.0; 5]], Refuted),
        ] {
            assert_eq!(interval(quantities, above).verdict, verdict, "{quantities:?}");
        }
        // A mean whose interval holds 0 supports no absence: it must lie inside.
        let within = Claimed::Within([-0.5, 0.5]);
        assert_eq!(interval(&[&[-1.0, 0.0, 0.0, 0.0, 1.0]], within).verdict, Inconclusive);
        assert_eq!(interval(&[&[-0.1, 0.0, 0.0, 0.0, 0.1]], within).verdict, Supported);
    }

    #[test]
    fn the_effect_of_a_mean_is_the_one_that_speaks_most_against_it() {
        let claim = interval(&[&[1.0, 2.0, 3.0, 4.0, 5.0], &[1.0, 1.5, 2.0, 2.5, 3.0]], Claimed::Above(1.0));
        let effect = claim.effect.unwrap();
        // scipy.stats.t.interval(1 - 0.05 / 2, 4, 2, scipy.stats.sem([1, 1.5, 2, 2.5, 3]))
        let ends = effect.interval.unwrap();
        assert_eq!((effect.effect, effect.n, effect.effect_of.as_str()), (2.0, 5, "q1, mean (Student's t over seeds)"));
        assert!((ends[0] - 0.764_187_4).abs() < 1e-6 && (ends[1] - 3.235_812_6).abs() < 1e-6, "{ends:?}");
        assert_eq!(claim.detail, "Q0: 3 (0.528 to 5.47); q1: 2 (0.764 to 3.24); 5 seeds.");
        assert_eq!(
            claim.evidence["rule"],
            "unit: seed; rule: what is measured; above 1 by the 95 % interval of the mean, 2 together (Student's t); \
             level: 0.05, from 5 seeds on"
        );
        assert_eq!(claim.evidence["values"]["q1"][1], 1.5);
        let most = interval(&[&[1.0, 1.0], &[5.0, 5.0]], Claimed::AtMost(1.0));
        assert!(most.lacks_seeds() && most.cases == (SEEDS, 2));
        assert_eq!(most.effect.unwrap().effect, 5.0);
        assert_eq!(most.detail, "Q0: 1 (1 to 1); q1: 5 (5 to 5). 2 seeds decide nothing: try --repeats 5.");
        assert_eq!(
            interval(&[&[3.0]], Claimed::AtMost(1.0)).detail,
            "Q0: 3. One seed decides nothing: try --repeats 5."
        );
        assert_eq!(interval(&[&[]], Claimed::AtMost(1.0)).detail, "No seeds to say it of.");
        let rule = interval(&[&[3.0]], Claimed::AtMost(1.0)).evidence["rule"].clone();
        assert!(rule.as_str().unwrap().contains("of the mean (Student's t);"), "{rule}");
        let unknown = interval(&[&[1.0, NAN, f64::INFINITY, 1.0, 1.0], &[1.0; 5]], Claimed::AtMost(1.0));
        assert_eq!(unknown.detail, "Q0: no finite number in 2 of 5 seeds; q1: 1 (1 to 1); 5 seeds.");
        assert_eq!(unknown.effect.unwrap().effect_of, "q1, mean (Student's t over seeds)");
    }

    #[test]
    fn quantities_have_ends_further_errors_and_another_scale() {
        let claim = |quantity| stated("It is so.", "it", Some(Claimed::AtLeast(0.0))).interval(SEEDS, &[quantity]);
        let values = || vec![0.0, 0.0, 0.0, 0.0, 1.0];
        let ends = |claim: &Claim| claim.effect.clone().unwrap().interval.unwrap();
        let plain = claim(Quantity::new("q", values()));
        assert!(ends(&plain)[0] < 0.0 && plain.verdict == Inconclusive);
        let ranged = claim(Quantity::new("q", values()).range([0.0, 0.5]));
        assert_eq!((ends(&ranged), ranged.verdict), ([0.0, 0.5], Supported));
        let half = ends(&plain)[1] - 0.2;
        let widened = claim(Quantity::new("q", values()).further_half(1.0));
        assert!((ends(&widened)[1] - 0.2 - half.hypot(1.0)).abs() < 1e-12);
        let factor = claim(Quantity::new("q", vec![2.0; 5]).shown_as(|power| 10f64.powf(power)));
        assert_eq!((factor.detail.as_str(), factor.effect.unwrap().effect), ("Q: 100 (100 to 100); 5 seeds.", 2.0));
    }

    #[test]
    fn correlations_are_judged_by_their_interval() {
        let line = |n: i32, slope: f64| (0..n).map(|i| (f64::from(i), slope * f64::from(i))).collect::<Vec<_>>();
        let scattered: Vec<(f64, f64)> = (0..12).map(|i| (f64::from(i), f64::from(i * 7 % 12 % 5))).collect();
        // 200 pairs without a link: the interval lies within ±0.3.
        let nothing: Vec<(f64, f64)> = (0..200).map(|i| (f64::from(i), f64::from(i * 73 % 199))).collect();
        let a_and_b = |claimed| stated("It does.", "a and b", Some(claimed));
        let (rises, falls, hardly) = (Claimed::Above(0.0), Claimed::Below(0.0), Claimed::Within([-0.3, 0.3]));
        for (pairs, independent, verdicts) in [
            (line(12, 1.0), 12, [Supported, Refuted, Refuted]),
            (line(12, -1.0), 12, [Refuted, Supported, Refuted]),
            (scattered.clone(), 12, [Inconclusive; 3]),
            (nothing.clone(), 200, [Inconclusive, Inconclusive, Supported]),
            // Where pairs share seeds, the seeds count.
            (nothing, 10, [Inconclusive; 3]),
            (line(12, 1.0), 4, [Inconclusive; 3]),
            (line(12, 1.0), 5, [Supported, Refuted, Inconclusive]),
            // Too few, one, none, all equal, no number.
            (line(4, 1.0), 4, [Inconclusive; 3]),
            (line(1, 1.0), 1, [Inconclusive; 3]),
            (Vec::new(), 0, [Inconclusive; 3]),
            (line(12, 0.0), 12, [Inconclusive; 3]),
            ([line(12, 1.0), vec![(12.0, NAN)]].concat(), 13, [Inconclusive; 3]),
            // Infinity has a rank.
            ([line(12, 1.0), vec![(12.0, f64::INFINITY)]].concat(), 13, [Supported, Refuted, Refuted]),
        ] {
            for (claimed, verdict) in [rises, falls, hardly].into_iter().zip(verdicts) {
                let claim = a_and_b(claimed).correlated((SEEDS, independent), &pairs);
                assert_eq!(claim.verdict, verdict, "{claimed} {}", claim.detail);
            }
        }
        let words = |pairs: &[(f64, f64)], n| a_and_b(rises).correlated((SEEDS, n), pairs).detail;
        assert_eq!(words(&line(12, 1.0), 12), "Spearman's correlation of a and b: 1 (0.973 to 0.998). Over 12 seeds.");
        assert_eq!(words(&[], 0), "No seeds to say it of.");
        assert_eq!(
            words(&line(2, 1.0), 2),
            "Spearman's correlation of a and b: 1. 2 seeds decide nothing: try --repeats 5."
        );
        assert_eq!(
            words(&line(12, 0.0), 12),
            "One of a and b is the same everywhere: there is no correlation. Over 12 seeds."
        );
        let unknown = [line(5, 1.0), vec![(5.0, NAN), (NAN, 1.0)]].concat();
        assert_eq!(words(&unknown, 7), "No finite number in 2 of 7 pairs. Over 7 seeds.");
        assert_eq!(words(&unknown[..1], 1), "One seed decides nothing: try --repeats 5.");
        let effect = a_and_b(rises).correlated((SEEDS, 5), &line(12, 1.0)).effect.unwrap();
        assert_eq!((effect.effect, effect.n), (1.0, 5));
        assert_eq!(a_and_b(rises).correlated((CASES, 3), &line(12, 1.0)).cases, (CASES, 3));
    }

    #[test]
    fn shares_are_judged_by_their_interval() {
        let few = || stated("Few.", "high", Some(Claimed::AtMost(0.05)));
        for (count, n, verdict) in [
            (0, 100, Supported),
            // 0.0002 to 0.054
            (1, 100, Inconclusive),
            (0, 71, Inconclusive),
            (0, 72, Supported),
            (10, 100, Inconclusive),
            (11, 100, Refuted),
            (4, 4, Inconclusive),
            (0, 0, Inconclusive),
            (1, 1, Inconclusive),
            (5, 5, Refuted),
            (0, 5, Inconclusive),
        ] {
            let claim = few().of_share(TRAININGS, (count, n));
            assert_eq!(claim.verdict, verdict, "{count} of {n}: {}", claim.detail);
            assert_eq!(claim.effect.is_some(), n > 0);
        }
        let claim = few().of_share(TRAININGS, (1, 100));
        assert_eq!(claim.detail, "1 of 100 trainings: 0.0100 (0.000253 to 0.0545).");
        assert!(claim.cases == (TRAININGS, 100) && !claim.lacks_seeds());
        assert!(!few().of_share(TRAININGS, (0, 1)).lacks_seeds());
        let three = few().of_share(TRAININGS, (1, 3)).detail;
        assert!(three.ends_with("3 trainings decide nothing: try --trainings 5."), "{three}");
        assert_eq!(few().of_share(CASES, (0, 0)).detail, "No cases to say it of.");
    }
}
