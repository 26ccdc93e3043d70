//! Claims: a sentence held against numbers by one of a few rules, so that a study gives numbers and a bound,
//! and this file alone the verdict. Knows numbers, no study, no record and no file.
//!
//! - [`Claim::counted`]: it holds or not in each case; an exact sign test decides;
//! - [`Claim::compared`]: one number is lower than another in each case; sign tests decide;
//! - [`Claim::interval`]: a mean over cases lies on one side of a bound, or within two; its interval decides;
//! - [`Claim::correlated`] and [`Claim::of_share`]: the same of a rank correlation and of a share.
//!
//! A case is a training, or all of one seed: never a step of a training, nor a sample. Fewer than [`FEWEST`]
//! decide nothing. A case whose number is none (NaN) counts against either verdict. What is looked at for being
//! the worst of several is judged by intervals that hold for all of them together. A claim of absence (hardly,
//! level, little) is supported by an interval inside its bounds, never by one that merely holds zero.

use crate::analysis::statistics::{
    Estimate, FEWEST, LEVEL, PairedComparison, mean_of_several, share, shown_p, sign_test, spearman_with_interval,
};
use crate::study::number::whole_or_significant;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;

/// A sentence of the report held against the records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Claim {
    pub id: String,
    pub statement: String,
    pub verdict: Verdict,
    /// By how much, and how sure that is.
    #[serde(flatten)]
    pub effect: Option<Effect>,
    /// The numbers behind the verdict in words: "A below B in 8 of 10 seeds (p = 0.055)".
    pub detail: String,
    /// The numbers behind the verdict; `rule` names unit, rule and level in one line.
    pub evidence: Value,
    /// What is repeated, and how many of it there are.
    #[serde(skip)]
    pub cases: (Unit, usize),
}

/// How much there is to a claim.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// What was measured, and by what method the interval: "mean of log₁₀ …, Student's t over seeds".
    pub effect_of: String,
    pub effect: f64,
    /// 95 %; `None` where the cases are too few.
    pub interval: Option<[f64; 2]>,
    /// How many cases.
    pub n: usize,
}

impl Effect {
    fn new(effect_of: String, Estimate { value, interval, n }: Estimate) -> Option<Self> {
        let effect = value.is_finite().then_some(value)?;
        Some(Self { effect_of, effect, interval, n })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Supported,
    Refuted,
    Inconclusive,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Supported => "supported",
            Self::Refuted => "refuted",
            Self::Inconclusive => "inconclusive",
        })
    }
}

/// Correlations of less than this are hardly any (Cohen's medium effect).
pub const HARDLY: f64 = 0.3;

/// What is repeated, and how to have more of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    pub one: &'static str,
    pub many: &'static str,
    /// The flag that asks for enough; empty where there is none.
    pub more: &'static str,
}

pub const SEEDS: Unit = Unit { one: "seed", many: "seeds", more: "--repeats 5" };
pub const TRAININGS: Unit = Unit { one: "training", many: "trainings", more: "--trainings 5" };

impl Unit {
    /// "5 seeds", "1 seed".
    fn counted(self, n: usize) -> String {
        format!("{n} {}", if n == 1 { self.one } else { self.many })
    }

    /// Why so few cases give no verdict, and what would; nothing where they are enough.
    fn too_few(self, n: usize) -> String {
        let Self { one, many, more } = self;
        let advice = if more.is_empty() { String::new() } else { format!(": try {more}") };
        match n {
            0 => format!("No {many} to say it of."),
            1 => format!("One {one} decides nothing{advice}."),
            n if n < FEWEST => format!("{n} {many} decide nothing{advice}."),
            _ => String::new(),
        }
    }
}

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
    pub(super) fn holds(self, [low, high]: [f64; 2]) -> bool {
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
    #[must_use]
    pub fn upper_bound(self) -> f64 {
        match self {
            Self::Above(bound) | Self::AtLeast(bound) | Self::AtMost(bound) | Self::Below(bound) => bound,
            Self::Within([_, highest]) => highest,
        }
    }

    /// How far a number lies to the side that speaks against it, for a choice of the worst.
    fn against(self, value: f64) -> f64 {
        match self {
            Self::Above(bound) | Self::AtLeast(bound) => bound - value,
            Self::AtMost(bound) | Self::Below(bound) => value - bound,
            Self::Within([lowest, highest]) => (lowest - value).max(value - highest),
        }
    }

    /// Supported where all intervals lie there, refuted where one lies elsewhere.
    fn verdict(self, intervals: &[Option<[f64; 2]>]) -> Verdict {
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

/// One number a case, of which a claim is made.
#[derive(Clone, Debug)]
pub struct Quantity {
    name: String,
    values: Vec<f64>,
    range: [f64; 2],
    further_half: f64,
    shown: fn(f64) -> f64,
}

impl Quantity {
    #[must_use]
    pub fn new(name: impl Into<String>, values: Vec<f64>) -> Self {
        let range = [f64::NEG_INFINITY, f64::INFINITY];
        Self { name: name.into(), values, range, further_half: 0.0, shown: |value| value }
    }

    /// It cannot lie beyond these ends, nor does its interval.
    #[must_use]
    pub fn range(self, range: [f64; 2]) -> Self {
        Self { range, ..self }
    }

    /// All cases share a further error, whose 95 % interval has this half width.
    #[must_use]
    pub fn further_half(self, further_half: f64) -> Self {
        Self { further_half, ..self }
    }

    /// In words it is shown on another scale: a logarithm as a factor.
    #[must_use]
    pub fn shown_as(self, shown: fn(f64) -> f64) -> Self {
        Self { shown, ..self }
    }

    /// The mean over cases, its interval one of so many that hold together.
    fn estimate(&self, quantities: usize) -> Option<Estimate> {
        let [low, high] = self.range;
        let estimate = mean_of_several(&self.values, quantities)?;
        Some(estimate.widened(self.further_half).within(low, high))
    }

    fn unknown(&self) -> usize {
        self.values.iter().filter(|value| !value.is_finite()).count()
    }
}

impl Claim {
    /// A claim that held or not in each of some cases; `None` where that cannot be told. Supported, or refuted,
    /// where a fair coin would fall so in less than [`LEVEL`] of all such series of tosses (exact sign test). The
    /// effect is the share of cases that held, with the exact interval of Clopper and Pearson.
    #[must_use]
    pub fn counted(id: &str, statement: &str, unit: Unit, held: &[Option<bool>], criterion: &str) -> Self {
        let n = held.len();
        let count = |what: Option<bool>| held.iter().filter(|held| **held == what).count();
        let (as_claimed, opposite, unknown) = (count(Some(true)), count(Some(false)), count(None));
        let (p_as_claimed, p_opposite) = (sign_test(as_claimed, n), sign_test(opposite, n));
        // Of no case both are 1.
        let verdict = match (p_as_claimed < LEVEL, p_opposite < LEVEL) {
            (true, _) => Verdict::Supported,
            (_, true) => Verdict::Refuted,
            _ => Verdict::Inconclusive,
        };
        let mut detail = match n {
            0 => String::new(),
            n => format!("In {as_claimed} of {} ({}). ", unit.counted(n), shown_p(p_as_claimed)),
        };
        if unknown > 0 {
            detail.push_str(&format!("It cannot be told in {}. ", unit.counted(unknown)));
        }
        detail.push_str(&unit.too_few(n));
        let evidence = json!({
            "rule": rule(unit, criterion, "exact one-sided sign test"),
            "as_claimed": as_claimed, "opposite": opposite, "unknown": unknown,
            "p_as_claimed": p_as_claimed, "p_opposite": p_opposite,
        });
        let of = format!("share of {} where it held (Clopper-Pearson interval)", unit.many);
        Self::new((id, statement), verdict, Effect::new(of, share(as_claimed, n)), &detail, evidence, (unit, n))
    }

    /// A claim that losses have an order, by comparisons of neighbours over the cases that both have: supported
    /// where all are as claimed at [`LEVEL`], refuted where one is the opposite at its share of it (Bonferroni). The
    /// effect is the smallest of the comparisons' mean log₁₀ ratios.
    #[must_use]
    pub fn compared(id: &str, statement: &str, unit: Unit, pairs: &[PairedComparison], criterion: &str) -> Self {
        let verdict = if pairs.is_empty() {
            Verdict::Inconclusive
        } else if pairs.iter().all(|pair| pair.p_as_claimed < LEVEL) {
            Verdict::Supported
        } else if pairs.iter().any(|pair| pair.p_opposite < LEVEL / pairs.len() as f64) {
            Verdict::Refuted
        } else {
            Verdict::Inconclusive
        };
        let shown: Vec<String> = pairs.iter().filter(|pair| pair.n > 0).map(ToString::to_string).collect();
        let mut detail =
            if shown.is_empty() { String::new() } else { format!("By {}: {}. ", unit.many, shown.join("; ")) };
        // Nothing can be supported of a comparison that no case makes.
        let fewest = pairs.iter().map(|pair| pair.n).min().unwrap_or(0);
        detail.push_str(&unit.too_few(fewest));
        let ratio = |pair: &PairedComparison| pair.log10_ratio.map_or(f64::INFINITY, |ratio| ratio.value);
        let weakest = pairs.iter().min_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        let effect = weakest.and_then(|pair| {
            let of =
                format!("mean log₁₀ of {} by {}, paired (Student's t over {})", pair.worse, pair.better, unit.many);
            Effect::new(of, pair.log10_ratio?)
        });
        let test = "exact one-sided sign test of each, to refute it at its share of the level";
        let evidence = json!({"rule": rule(unit, criterion, test), "pairs": pairs});
        Self::new((id, statement), verdict, effect, &detail, evidence, (unit, fewest))
    }

    /// A claim that each of some quantities, one number a case, lies on average where it is claimed to: supported
    /// where the intervals of all do (Student's t over cases, together 95 %), refuted where one lies elsewhere. A
    /// quantity that is no number in some case has no interval. The effect is the one that speaks most against it.
    #[must_use]
    pub fn interval(
        id: &str,
        statement: &str,
        unit: Unit,
        quantities: &[Quantity],
        claimed: Claimed,
        criterion: &str,
    ) -> Self {
        let of_each: Vec<Option<Estimate>> = quantities.iter().map(|each| each.estimate(quantities.len())).collect();
        let enough = |estimate: &Option<Estimate>| estimate.filter(|estimate| estimate.n >= FEWEST)?.interval;
        let verdict = claimed.verdict(&of_each.iter().map(enough).collect::<Vec<_>>());
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
        let evidence = json!({"rule": rule(unit, criterion, &method), "values": values});
        Self::new((id, statement), verdict, effect, &detail, evidence, (unit, fewest))
    }

    /// A claim about Spearman's correlation of pairs, such as "batch size and loss", each of a case of its own or
    /// of so many `independent` ones: judged by the interval of Fisher's z. A pair that is none (NaN) leaves it
    /// undefined.
    #[must_use]
    pub fn correlated(
        id: &str,
        statement: &str,
        (unit, independent): (Unit, usize),
        of: &str,
        pairs: &[(f64, f64)],
        claimed: Claimed,
    ) -> Self {
        let found = spearman_with_interval(pairs, independent);
        let enough = found.filter(|found| found.n >= FEWEST).and_then(|found| found.interval);
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
        Self::new((id, statement), claimed.verdict(&[enough]), effect, &detail, evidence, (unit, n))
    }

    /// A claim about the share of cases, independent of each other, of which something is true: judged by the
    /// exact interval of Clopper and Pearson.
    #[must_use]
    pub fn of_share(
        id: &str,
        statement: &str,
        unit: Unit,
        (count, n): (usize, usize),
        claimed: Claimed,
        criterion: &str,
    ) -> Self {
        let found = share(count, n);
        let enough = found.interval.filter(|_| n >= FEWEST);
        let mut detail = match n {
            0 => String::new(),
            n => format!("{count} of {}: {}. ", unit.counted(n), shown_estimate(found)),
        };
        detail.push_str(&unit.too_few(n));
        let method = format!("{claimed} by the exact 95 % interval of the share (Clopper-Pearson)");
        let evidence = json!({"rule": rule(unit, criterion, &method), "count": count, "n": n});
        let of = format!("share of {}: {criterion} (Clopper-Pearson interval)", unit.many);
        Self::new((id, statement), claimed.verdict(&[enough]), Effect::new(of, found), &detail, evidence, (unit, n))
    }

    fn new(
        (id, statement): (&str, &str),
        verdict: Verdict,
        effect: Option<Effect>,
        detail: &str,
        evidence: Value,
        cases: (Unit, usize),
    ) -> Self {
        let detail = sentence(detail.trim_end());
        Self { id: id.into(), statement: statement.into(), verdict, effect, detail, evidence, cases }
    }

    /// Whether more seeds are what it lacks.
    #[must_use]
    pub fn lacks_seeds(&self) -> bool {
        self.cases.0 == SEEDS && self.cases.1 < FEWEST
    }

    /// With more evidence.
    #[must_use]
    pub fn and(mut self, name: &str, evidence: impl Into<Value>) -> Self {
        self.evidence[name] = evidence.into();
        self
    }

    /// With a further sentence in its detail; none where it is empty.
    #[must_use]
    pub fn noting(mut self, sentence: &str) -> Self {
        self.detail = format!("{} {sentence}", self.detail).trim().to_owned();
        self
    }

    /// With what the paper that the claim names did otherwise.
    #[must_use]
    pub fn differing_from(self, protocol: &str) -> Self {
        self.and("protocol", protocol)
    }

    /// Of what could support it only: fewer epochs than it speaks of refute nothing.
    #[must_use]
    pub fn unless_too_short(mut self, is_short: bool, epochs: u64) -> Self {
        if is_short && self.verdict == Verdict::Refuted {
            self.verdict = Verdict::Inconclusive;
            return self.noting(&format!("Fewer than {epochs} epochs refute nothing."));
        }
        self
    }
}

/// With a capital letter in front.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// One line that names unit, rule and level.
fn rule(unit: Unit, criterion: &str, test: &str) -> String {
    format!("unit: {}; rule: {criterion}; {test}; level: {LEVEL}, from {FEWEST} {} on", unit.one, unit.many)
}

/// "0.12 (0.10 to 0.14)".
fn shown_estimate(Estimate { value, interval, .. }: Estimate) -> String {
    let shown = |value: f64| whole_or_significant(value, 3);
    match interval {
        Some([low, high]) => format!("{} ({} to {})", shown(value), shown(low), shown(high)),
        None => shown(value),
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Inconclusive, Refuted, Supported};
    use super::*;

    const NAN: f64 = f64::NAN;
    const CASES: Unit = Unit { one: "case", many: "cases", more: "" };

    /// So many that held, did not, and cannot be told.
    fn cases(held: usize, opposite: usize, unknown: usize) -> Vec<Option<bool>> {
        [(held, Some(true)), (opposite, Some(false)), (unknown, None)]
            .iter()
            .flat_map(|&(count, what)| std::iter::repeat_n(what, count))
            .collect()
    }

    #[test]
    fn what_is_counted_is_judged_by_an_exact_sign_test() {
        for (held, opposite, unknown, verdict, p) in [
            // Supported and refuted.
            (5, 0, 0, Supported, 1.0 / 32.0),
            (0, 5, 0, Refuted, 1.0),
            (9, 1, 0, Supported, 11.0 / 1024.0),
            (1, 9, 0, Refuted, 1023.0 / 1024.0),
            // Neither.
            (8, 2, 0, Inconclusive, 56.0 / 1024.0),
            (2, 8, 0, Inconclusive, 1013.0 / 1024.0),
            (3, 3, 0, Inconclusive, 42.0 / 64.0),
            // Too few, one, none.
            (4, 0, 0, Inconclusive, 1.0 / 16.0),
            (0, 4, 0, Inconclusive, 1.0),
            (1, 0, 0, Inconclusive, 0.5),
            (0, 1, 0, Inconclusive, 1.0),
            (0, 0, 0, Inconclusive, 1.0),
            // What cannot be told counts against either.
            (5, 0, 1, Inconclusive, 7.0 / 64.0),
            (0, 5, 1, Inconclusive, 1.0),
            (8, 0, 1, Supported, 10.0 / 512.0),
            (0, 8, 1, Refuted, 1.0),
            (0, 0, 9, Inconclusive, 1.0),
        ] {
            let claim = Claim::counted("id", "It holds.", SEEDS, &cases(held, opposite, unknown), "it holds");
            let what = format!("{held} {opposite} {unknown}: {}", claim.detail);
            assert_eq!(claim.verdict, verdict, "{what}");
            let n = held + opposite + unknown;
            assert!((claim.evidence["p_as_claimed"].as_f64().unwrap() - p).abs() < 1e-14, "{what}");
            let counts = ["as_claimed", "opposite", "unknown"].map(|name| claim.evidence[name].as_u64().unwrap());
            assert_eq!(counts, [held, opposite, unknown].map(|count| count as u64));
            let effect = claim.effect.clone().filter(|_| n > 0);
            assert_eq!(effect.map(|effect| (effect.effect, effect.n)), (n > 0).then(|| (held as f64 / n as f64, n)));
            assert_eq!(what.contains("decide"), (1..5).contains(&n), "{what}");
            assert_eq!(what.contains("cannot be told"), unknown > 0, "{what}");
            assert_eq!((claim.cases, claim.lacks_seeds()), ((SEEDS, n), n < 5));
        }
        let words = |held, opposite, unknown| {
            Claim::counted("id", "It holds.", SEEDS, &cases(held, opposite, unknown), "it holds").detail
        };
        assert_eq!(words(0, 0, 0), "No seeds to say it of.");
        assert_eq!(words(1, 0, 0), "In 1 of 1 seed (p = 0.500). One seed decides nothing: try --repeats 5.");
        assert_eq!(words(2, 1, 0), "In 2 of 3 seeds (p = 0.500). 3 seeds decide nothing: try --repeats 5.");
        assert_eq!(words(7, 0, 1), "In 7 of 8 seeds (p = 0.035). It cannot be told in 1 seed.");
        assert_eq!(words(300, 0, 0), "In 300 of 300 seeds (p < 0.001).");
        let rule = Claim::counted("id", "It holds.", SEEDS, &[], "it holds").evidence["rule"].clone();
        assert_eq!(rule, "unit: seed; rule: it holds; exact one-sided sign test; level: 0.05, from 5 seeds on");
    }

    #[test]
    fn any_number_of_cases_is_judged_the_same() {
        // 2⁻ⁿ is 0 in floating point from 1075 on.
        for n in [300, 1074, 1075, 1197, 100_000] {
            let claim =
                |held, opposite| Claim::counted("id", "It holds.", CASES, &cases(held, opposite, 0), "it holds");
            let (none, all, half) = (claim(0, n), claim(n, 0), claim(n / 2, n - n / 2));
            assert_eq!((none.verdict, all.verdict, half.verdict), (Refuted, Supported, Inconclusive), "{n}");
            assert!(all.detail.contains("p < 0.001") && none.detail.contains("p = 1.000"), "{n}: {}", none.detail);
            assert!(all.evidence["p_as_claimed"].as_f64().unwrap() > 0.0);
        }
    }

    /// Losses of two kinds by seed: the first lower in so many, higher in so many, the same in so many.
    fn pair(lower: usize, higher: usize, same: usize) -> PairedComparison {
        let both = [(lower, (1.0, 2.0)), (higher, (2.0, 1.0)), (same, (3.0, 3.0))];
        let pairs: Vec<(f64, f64)> = both.iter().flat_map(|&(count, pair)| std::iter::repeat_n(pair, count)).collect();
        let of = |pick: fn(&(f64, f64)) -> f64| (0..).zip(pairs.iter().map(pick)).collect::<Vec<(u64, f64)>>();
        PairedComparison::of_losses(("a", &of(|pair| pair.0)), ("b", &of(|pair| pair.1)))
    }

    #[test]
    fn an_order_is_judged_by_its_comparisons() {
        for (pairs, verdict) in [
            (vec![pair(5, 0, 0)], Supported),
            (vec![pair(0, 5, 0)], Refuted),
            (vec![pair(8, 2, 0)], Inconclusive),
            (vec![pair(4, 0, 0)], Inconclusive),
            (vec![pair(1, 0, 0)], Inconclusive),
            (vec![pair(0, 0, 0)], Inconclusive),
            (vec![], Inconclusive),
            // Ties say nothing; all equal neither.
            (vec![pair(5, 0, 3)], Supported),
            (vec![pair(4, 0, 3)], Inconclusive),
            (vec![pair(0, 0, 9)], Inconclusive),
            // All as claimed, or one the opposite, at its share of the level.
            (vec![pair(5, 0, 0), pair(5, 0, 0)], Supported),
            (vec![pair(5, 0, 0), pair(4, 1, 0)], Inconclusive),
            (vec![pair(5, 0, 0), pair(0, 5, 0)], Inconclusive),
            (vec![pair(5, 0, 0), pair(0, 6, 0)], Refuted),
            (vec![pair(0, 6, 0), pair(5, 0, 0), pair(5, 0, 0)], Refuted),
            (vec![pair(0, 6, 0), pair(5, 0, 0), pair(5, 0, 0), pair(5, 0, 0)], Inconclusive),
        ] {
            let claim = Claim::compared("id", "a, then b.", SEEDS, &pairs, "losses");
            assert_eq!(claim.verdict, verdict, "{}", claim.detail);
        }
        // Unknown numbers count against either.
        let unknown = |count| {
            let low: Vec<(u64, f64)> = (0..10).map(|seed| (seed, if seed < count { NAN } else { 1.0 })).collect();
            let high: Vec<(u64, f64)> = (0..10).map(|seed| (seed, 2.0)).collect();
            let verdict = |a, b| {
                let pair = PairedComparison::of_numbers(("a", a), ("b", b));
                Claim::compared("id", "a, then b.", SEEDS, &[pair], "numbers").verdict
            };
            [verdict(&low, &high), verdict(&high, &low)]
        };
        assert_eq!(
            [unknown(0), unknown(1), unknown(2)],
            [[Supported, Refuted], [Supported, Refuted], [Inconclusive; 2]]
        );
    }

    #[test]
    fn an_order_shows_its_weakest_link() {
        let half = PairedComparison { log10_ratio: None, ..pair(5, 0, 0) };
        let claim = |pairs: &[PairedComparison]| Claim::compared("id", "a, then b.", SEEDS, pairs, "losses");
        let effect = claim(&[half, pair(5, 0, 0), pair(5, 0, 5)]).effect.unwrap();
        assert!((effect.effect - 2f64.log10() / 2.0).abs() < 1e-12 && effect.n == 10);
        assert_eq!(effect.effect_of, "mean log₁₀ of b by a, paired (Student's t over seeds)");
        assert_eq!(claim(&[]).effect, None);
        assert_eq!(claim(&[]).detail, "No seeds to say it of.");
        let one = claim(&[pair(1, 0, 0)]);
        assert_eq!(one.detail, "By seeds: a below b in 1 of 1 (p = 0.500). One seed decides nothing: try --repeats 5.");
        assert_eq!(
            (one.cases, claim(&[pair(5, 0, 0), pair(2, 0, 0)]).cases, claim(&[]).cases.1),
            ((SEEDS, 1), (SEEDS, 2), 0)
        );
        // The comparison with the fewest.
        assert!(claim(&[pair(5, 0, 0), pair(2, 0, 0)]).detail.ends_with("2 seeds decide nothing: try --repeats 5."));
        assert_eq!(
            claim(&[pair(5, 0, 0), pair(0, 0, 0)]).detail,
            "By seeds: a below b in 5 of 5 (p = 0.031, by a factor of 2.00, 2.00 to 2.00). No seeds to say it of."
        );
        // All the same is not too few.
        assert_eq!(
            claim(&[pair(0, 0, 9)]).detail,
            "By seeds: a below b in 0 of 9, the same in 9 (p = 1.000, by a factor of 1.00, 1.00 to 1.00)."
        );
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

    fn interval(quantities: &[&[f64]], claimed: Claimed) -> Claim {
        let quantities: Vec<Quantity> =
            quantities.iter().enumerate().map(|(i, values)| Quantity::new(format!("q{i}"), values.to_vec())).collect();
        Claim::interval("id", "It is so.", SEEDS, &quantities, claimed, "what is measured")
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
        let claim =
            |quantity: Quantity| Claim::interval("id", "It is so.", SEEDS, &[quantity], Claimed::AtLeast(0.0), "it");
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
                let claim = Claim::correlated("id", "It does.", (SEEDS, independent), "a and b", &pairs, claimed);
                assert_eq!(claim.verdict, verdict, "{claimed} {}", claim.detail);
            }
        }
        let words =
            |pairs: &[(f64, f64)], n| Claim::correlated("id", "It does.", (SEEDS, n), "a and b", pairs, rises).detail;
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
        let effect = Claim::correlated("id", "It does.", (SEEDS, 5), "a and b", &line(12, 1.0), rises).effect.unwrap();
        assert_eq!((effect.effect, effect.n), (1.0, 5));
        assert_eq!(Claim::correlated("id", "It does.", (CASES, 3), "a and b", &line(12, 1.0), rises).cases, (CASES, 3));
    }

    #[test]
    fn shares_are_judged_by_their_interval() {
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
            let claim = Claim::of_share("id", "Few.", TRAININGS, (count, n), Claimed::AtMost(0.05), "high");
            assert_eq!(claim.verdict, verdict, "{count} of {n}: {}", claim.detail);
            assert_eq!(claim.effect.is_some(), n > 0);
        }
        let claim = Claim::of_share("id", "Few.", TRAININGS, (1, 100), Claimed::AtMost(0.05), "high");
        assert_eq!(claim.detail, "1 of 100 trainings: 0.0100 (0.000253 to 0.0545).");
        assert!(claim.cases == (TRAININGS, 100) && !claim.lacks_seeds());
        assert!(!Claim::of_share("id", "Few.", TRAININGS, (0, 1), Claimed::AtMost(0.05), "high").lacks_seeds());
        let few = Claim::of_share("id", "Few.", TRAININGS, (1, 3), Claimed::AtMost(0.05), "high").detail;
        assert!(few.ends_with("3 trainings decide nothing: try --trainings 5."), "{few}");
        assert_eq!(
            Claim::of_share("id", "Few.", CASES, (0, 0), Claimed::AtMost(0.05), "high").detail,
            "No cases to say it of."
        );
    }

    #[test]
    fn short_trainings_refute_nothing() {
        let claim = |verdict| Claim { verdict, ..interval(&[&[1.0; 5]], Claimed::AtLeast(2.0)) };
        for (verdict, is_short, expected) in [
            (Refuted, true, Inconclusive),
            (Refuted, false, Refuted),
            (Supported, true, Supported),
            (Inconclusive, true, Inconclusive),
        ] {
            let judged = claim(verdict).unless_too_short(is_short, 100);
            assert_eq!(judged.verdict, expected);
            assert_eq!(judged.detail.contains("Fewer than 100 epochs"), verdict == Refuted && is_short);
        }
    }

    #[test]
    fn claims_take_further_evidence_and_words() {
        let claim = interval(&[], Claimed::Above(0.0))
            .and("ends", vec![1.0, 2.0])
            .noting("More.")
            .noting("")
            .differing_from("X did Y.");
        assert_eq!(claim.detail, "No seeds to say it of. More.");
        assert_eq!(
            (claim.evidence["ends"][1].as_f64(), claim.evidence["protocol"].as_str()),
            (Some(2.0), Some("X did Y."))
        );
        assert_eq!([Supported, Refuted, Inconclusive].map(|v| v.to_string()), ["supported", "refuted", "inconclusive"]);
    }
}
