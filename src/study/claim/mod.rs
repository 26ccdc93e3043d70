//! Claims: a sentence held against numbers by one of a few rules, so that a study gives numbers and a bound,
//! and this folder alone the verdict. Knows numbers, no study, no record and no file.
//!
//! - [`Stated::counted`]: it holds or not in each case; an exact sign test decides;
//! - [`Stated::compared`]: one number is lower than another in each case; sign tests decide;
//! - [`Stated::interval`]: a mean over cases lies on one side of a bound, or within two; its interval decides;
//! - [`Stated::correlated`] and [`Stated::of_share`]: the same of a rank correlation and of a share.
//!
//! A case is a training, or all of one seed: never a step of a training, nor a sample. Fewer than [`FEWEST`]
//! decide nothing. A case whose number is none (NaN) counts against either verdict. What is looked at for being
//! the worst of several is judged by intervals that hold for all of them together. A claim of absence (hardly,
//! level, little) is supported by an interval inside its bounds, never by one that merely holds zero.

mod bounds;
mod change;
mod further;
mod intervals;
mod points;
mod signs;

pub use bounds::Claimed;
pub use intervals::Quantity;
pub use points::Point;

use super::number::whole_or_significant;
use crate::analysis::statistics::{Estimate, FEWEST, LEVEL};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// A sentence of the report held against the records.
#[must_use]
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
    /// The study's figures that show it.
    pub figures: Vec<String>,
    /// The numbers it was judged by, one a case.
    pub points: Vec<Point>,
    /// What would decide it, or overturn it, in a sentence or two.
    pub would_change: Option<String>,
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

/// A claim in words, which numbers make a verdict of.
#[must_use]
#[derive(Default)]
pub struct Stated {
    pub id: String,
    pub says: String,
    /// How it is judged: what a number that it is about may be called.
    pub rule: String,
    /// What the paper that it names did otherwise.
    pub differs: Option<String>,
    /// Where its number is claimed to lie.
    pub claimed: Option<Claimed>,
    /// The study's figures that show it.
    pub figures: Vec<String>,
    /// How many seeds and trainings the settings ask for, by the setting.
    pub asked: BTreeMap<&'static str, u64>,
    /// What its cases are called, in their order; empty where that is told by their seeds.
    pub names: Vec<String>,
}

impl Stated {
    /// With a bound that is a setting.
    pub fn at_least(self, bound: f64) -> Self {
        Self { claimed: Some(Claimed::AtLeast(bound)), ..self }
    }

    /// With bounds that are computed.
    pub fn within(self, bounds: [f64; 2]) -> Self {
        Self { claimed: Some(Claimed::Within(bounds)), ..self }
    }

    /// With names for its cases, in their order.
    pub fn named(self, names: impl IntoIterator<Item = String>) -> Self {
        Self { names: names.into_iter().collect(), ..self }
    }

    /// With the figures that show it, by their names.
    pub fn shown_in(self, figures: Vec<String>) -> Self {
        Self { figures, ..self }
    }

    fn claimed(&self) -> Claimed {
        self.claimed.unwrap_or(Claimed::Above(f64::NAN))
    }

    fn judged(
        self,
        verdict: Verdict,
        effect: Option<Effect>,
        detail: &str,
        evidence: Value,
        cases: (Unit, usize),
    ) -> Claim {
        let Self { id, says: statement, differs, figures, .. } = self;
        let detail = sentence(detail.trim_end());
        let (points, would_change) = (Vec::new(), None);
        let claim = Claim { id, statement, verdict, effect, detail, evidence, figures, points, would_change, cases };
        differs.into_iter().fold(claim, |claim, protocol| claim.and("protocol", protocol))
    }
}

impl Claim {
    /// Whether more seeds are what it lacks.
    pub fn lacks_seeds(&self) -> bool {
        self.cases.0 == SEEDS && self.cases.1 < FEWEST
    }

    /// With the numbers it was judged by, and what would change that; nothing where that is empty.
    fn behind(self, points: Vec<Point>, would_change: String) -> Self {
        Self { points, would_change: (!would_change.is_empty()).then_some(would_change), ..self }
    }

    /// With more evidence.
    pub fn and(mut self, name: &str, evidence: impl Into<Value>) -> Self {
        self.evidence[name] = evidence.into();
        self
    }

    /// With a further sentence in its detail; none where it is empty.
    pub fn noting(mut self, sentence: &str) -> Self {
        self.detail = format!("{} {sentence}", self.detail).trim().to_owned();
        self
    }

    /// Of what could support it only: fewer epochs than it speaks of refute nothing.
    pub fn unless_too_short(mut self, is_short: bool, epochs: u64) -> Self {
        if is_short && self.verdict == Verdict::Refuted {
            self.verdict = Verdict::Inconclusive;
            self.would_change = Some(format!("At least {epochs} epochs: --epochs {epochs}."));
            return self.noting(&format!("Fewer than {epochs} epochs refute nothing."));
        }
        // More of what is too short would not do what is said of it.
        if is_short && self.verdict == Verdict::Inconclusive {
            let further = self.would_change.take().map(|change| format!("{change} ")).unwrap_or_default();
            self.would_change = Some(format!("{further}Fewer than {epochs} epochs refute nothing: --epochs {epochs}."));
        }
        self
    }

    /// Of something that is also claimed to lie near something else: whether it does, in each of some cases. `None`
    /// where there is nothing that it could be near: then nothing is said of it.
    pub fn only_near(mut self, near: Option<&[bool]>) -> Self {
        let by_itself = self.verdict;
        let count = |near: &[bool]| (near.iter().filter(|near| **near).count(), near.len());
        self.verdict = match (self.verdict, near) {
            (_, None) => Verdict::Inconclusive,
            (Verdict::Supported, Some(near)) if near.iter().all(|near| *near) && !near.is_empty() => Verdict::Supported,
            (Verdict::Supported, Some(near)) if near.iter().any(|near| *near) || near.is_empty() => {
                Verdict::Inconclusive
            }
            (Verdict::Supported, _) => Verdict::Refuted,
            (other, _) => other,
        };
        if by_itself == Verdict::Inconclusive {
            // What further cases would do to the one part leaves the other as it is.
            match near.map(count) {
                None => self.would_change = Some(NOWHERE_NEAR.to_owned()),
                Some((near, n)) if near < n => {
                    let further = self.would_change.take().map(|change| format!("{change} ")).unwrap_or_default();
                    self.would_change =
                        Some(format!("{further}It would have to be near, too: it is in {near} of {n}."));
                }
                Some(_) => {}
            }
        } else if self.verdict != by_itself {
            self.would_change = Some(match near.map(count) {
                None => NOWHERE_NEAR.to_owned(),
                Some((_, 0)) => "It would have to be near, and nothing is known of where it is.".to_owned(),
                Some((count, n)) => {
                    format!("It would have to be near with all cases, or all but any one: it is in {count} of {n}.")
                }
            });
        }
        self
    }
}

const NOWHERE_NEAR: &str = "No number of cases changes this: there is nothing here that it could be near.";

/// With a capital letter in front.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// One line that names unit, rule and level.
fn rule(unit: Unit, criterion: &str, test: &str) -> String {
    format!("unit: {}; rule: {criterion}; {test}; level: {LEVEL}, from {FEWEST} {} on", unit.one, unit.many)
}

fn shown(value: f64) -> String {
    whole_or_significant(value, 3)
}

/// "0.12 (0.10 to 0.14)".
fn shown_estimate(Estimate { value, interval, .. }: Estimate) -> String {
    match interval {
        Some([low, high]) => format!("{} ({} to {})", shown(value), shown(low), shown(high)),
        None => shown(value),
    }
}

#[cfg(test)]
pub(super) fn stated(says: &str, rule: &str, claimed: Option<Claimed>) -> Stated {
    Stated { id: "id".into(), says: says.into(), rule: rule.into(), claimed, ..Stated::default() }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Inconclusive, Refuted, Supported};
    use super::*;

    fn interval(values: &[f64], claimed: Claimed) -> Claim {
        stated("It is so.", "it", Some(claimed)).interval(SEEDS, &[Quantity::new("q", values.to_vec())])
    }

    #[test]
    fn short_trainings_refute_nothing() {
        let claim = |verdict| Claim { verdict, ..interval(&[1.0; 5], Claimed::AtLeast(2.0)) };
        for (verdict, is_short, expected) in [
            (Refuted, true, Inconclusive),
            (Refuted, false, Refuted),
            (Supported, true, Supported),
            (Inconclusive, true, Inconclusive),
            (Inconclusive, false, Inconclusive),
        ] {
            let judged = claim(verdict).unless_too_short(is_short, 100);
            let says_epochs = judged.would_change.as_ref().is_some_and(|change| change.contains("--epochs 100"));
            assert_eq!(says_epochs, is_short && verdict != Supported, "{verdict} {:?}", judged.would_change);
            assert_eq!(judged.verdict, expected);
            assert_eq!(judged.detail.contains("Fewer than 100 epochs"), verdict == Refuted && is_short);
        }
    }

    #[test]
    fn what_is_claimed_of_a_place_counts_only_there() {
        for (verdict, near, expected) in [
            (Supported, Some(&[true, true][..]), Supported),
            (Supported, Some(&[true, false]), Inconclusive),
            (Supported, Some(&[false, false]), Refuted),
            (Supported, Some(&[]), Inconclusive),
            (Supported, None, Inconclusive),
            (Refuted, Some(&[true, true]), Refuted),
            (Refuted, Some(&[false, false]), Refuted),
            (Refuted, None, Inconclusive),
            (Inconclusive, Some(&[false, false]), Inconclusive),
            (Inconclusive, Some(&[true, true]), Inconclusive),
        ] {
            let claim = Claim { verdict, ..interval(&[1.0; 5], Claimed::AtLeast(2.0)) }.only_near(near);
            assert_eq!(claim.verdict, expected, "{verdict} {near:?}");
            let said = claim.would_change.unwrap_or_default();
            let says_near = ["near", "nothing here"].iter().any(|words| said.contains(words));
            let is_near_enough = near.is_some_and(|near| near.iter().all(|near| *near));
            assert_eq!(
                says_near,
                verdict == Refuted && near.is_none()
                    || verdict != Refuted && !is_near_enough
                    || verdict == Supported && near.is_some_and(<[bool]>::is_empty),
                "{verdict} {near:?}: {said}"
            );
        }
    }

    #[test]
    fn claims_take_further_evidence_and_words() {
        let differing = Stated { differs: Some("X did Y.".into()), ..stated("It is so.", "it", None) };
        let claim = differing.interval(SEEDS, &[]).and("ends", vec![1.0, 2.0]).noting("More.").noting("");
        assert_eq!(claim.detail, "No seeds to say it of. More.");
        assert_eq!(
            (claim.evidence["ends"][1].as_f64(), claim.evidence["protocol"].as_str()),
            (Some(2.0), Some("X did Y."))
        );
        assert_eq!([Supported, Refuted, Inconclusive].map(|v| v.to_string()), ["supported", "refuted", "inconclusive"]);
    }
}
