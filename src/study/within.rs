//! Rules for claims that are made within each case, where a case is several trainings, such as all of one seed: of the
//! worst of their numbers, and of the correlation of two. Knows numbers, no study and no record.

use super::claim::{Claim, Claimed, Quantity, SEEDS, Stated, TRAININGS, Unit};
use super::findings::cell;
use crate::analysis::statistics::{highest, lowest, trend};

/// What the trainings of a case say, and whether that can be judged: not where one of them failed.
pub type Case<T> = (Vec<T>, bool);

impl Stated {
    /// That in all trainings of a case the number lies where it is claimed to: the rule names the worst of them. A case
    /// without numbers is none; where one is not finite it cannot be told. For claims of one bound, judged by
    /// [`Self::counted`].
    pub fn worst_within(self, unit: Unit, cases: &[Case<f64>]) -> Claim {
        let worst = match self.claimed {
            Some(Claimed::Above(_) | Claimed::AtLeast(_)) => lowest,
            _ => highest,
        };
        let (mut held, mut all) = (Vec::new(), Vec::new());
        for (numbers, is_known) in cases {
            if let Some(worst) = worst(numbers) {
                let holds = self.claimed.map(|claimed| claimed.holds([worst, worst]));
                held.push(holds.filter(|_| *is_known && worst.is_finite()));
                all.push(worst);
            }
        }
        let [low, high] = [lowest(&all), highest(&all)].map(|end| cell(end.unwrap_or(f64::NAN)));
        let range = match all.len() {
            0 => String::new(),
            1 => format!("The {}: {low}.", self.rule),
            n => format!("The {}: {low} to {high} over {n} {}.", self.rule, unit.many),
        };
        let rule = format!("{}; as claimed in all trainings of the {} that it is said of", self.rule, unit.one);
        let name = self.rule.clone();
        Self { rule, ..self }.counted(unit, &held).noting(&range).beside(&name, &all).and("worst", all)
    }

    /// That the correlation of two numbers of the trainings of a case lies where it is claimed to, on average: the rule
    /// names it. Judged by [`Self::interval`].
    pub fn correlated_within(self, unit: Unit, cases: &[Case<(f64, f64)>]) -> Claim {
        let of_case = |(pairs, is_known): &Case<(f64, f64)>| if *is_known { trend(pairs) } else { f64::NAN };
        let trends = cases.iter().map(of_case).collect();
        let correlation = Quantity::new(&self.rule, trends).range([-1.0, 1.0]);
        self.interval(unit, &[correlation])
    }
}

/// What is told of trainings.
pub enum Told<T> {
    /// Each is a case.
    OfEach(Vec<T>),
    /// They are stages of such as go on and on, and not independent: each of these is a case, of a seed.
    OfStages(Vec<Vec<T>>),
}

impl Stated {
    /// That most of the trainings hold it, or of a case most of its stages.
    pub fn most(self, held: &Told<bool>) -> Claim {
        match held {
            Told::OfEach(held) => self.counted(TRAININGS, &held.iter().copied().map(Some).collect::<Vec<_>>()),
            Told::OfStages(cases) => {
                let shares: Vec<f64> = cases.iter().map(|held| share(held)).collect();
                let held: Vec<_> = shares.iter().map(|share| Some(*share > 0.5)).collect();
                self.counted(SEEDS, &held).beside("share of its stages", &shares)
            }
        }
    }

    /// That the share of the trainings that hold it lies where it is claimed to, or on average that of a case's stages,
    /// which is called so.
    pub fn of_share_told(self, name: &str, held: &Told<bool>) -> Claim {
        match held {
            Told::OfEach(held) => {
                let names = self.names.clone();
                let claim = self.of_share(TRAININGS, (held.iter().filter(|held| **held).count(), held.len()));
                claim.of_each(names, held)
            }
            Told::OfStages(cases) => {
                let shares = cases.iter().map(|held| share(held)).collect();
                self.interval(SEEDS, &[Quantity::new(name, shares).range([0.0, 1.0])])
            }
        }
    }

    /// That the correlation of two numbers of the trainings lies where it is claimed to, or that within a case.
    pub fn correlated_told(self, pairs: Told<(f64, f64)>) -> Claim {
        match pairs {
            Told::OfEach(pairs) => self.correlated((TRAININGS, pairs.len()), &pairs),
            Told::OfStages(cases) => {
                let cases: Vec<_> = cases.into_iter().map(|pairs| (pairs, true)).collect();
                self.correlated_within(SEEDS, &cases)
            }
        }
    }
}

/// The share of those that hold.
fn share(held: &[bool]) -> f64 {
    held.iter().filter(|held| **held).count() as f64 / held.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stated(claimed: Claimed) -> Stated {
        crate::study::claim::stated("It holds.", "number of a seed", Some(claimed))
    }

    fn claim(claimed: Claimed, cases: &[Case<f64>]) -> Claim {
        stated(claimed).worst_within(SEEDS, cases)
    }

    #[test]
    fn the_worst_of_a_case_decides() {
        let cases = [(vec![0.1, 0.5, 0.3], true), (vec![0.6, 0.2], true), (vec![0.7], false), (vec![], true)];
        for (claimed, worst, as_claimed) in [
            (Claimed::AtMost(0.5), json!([0.5, 0.6, 0.7]), 1),
            (Claimed::Below(0.5), json!([0.5, 0.6, 0.7]), 0),
            (Claimed::AtLeast(0.2), json!([0.1, 0.2, 0.7]), 1),
            (Claimed::Above(0.2), json!([0.1, 0.2, 0.7]), 0),
        ] {
            let evidence = claim(claimed, &cases).evidence;
            assert_eq!(evidence["worst"], worst, "{claimed}");
            let counts = ["as_claimed", "opposite", "unknown"].map(|name| evidence[name].as_u64());
            assert_eq!(counts, [Some(as_claimed), Some(2 - as_claimed), Some(1)], "{claimed}");
        }
    }

    #[test]
    fn a_number_that_is_none_tells_nothing() {
        for none in [f64::NAN, f64::INFINITY] {
            let claim = claim(Claimed::AtMost(0.5), &[(vec![0.1, none], true)]);
            assert_eq!(claim.evidence["unknown"], 1);
            assert!(claim.detail.ends_with("The number of a seed: not finite."), "{}", claim.detail);
        }
    }

    #[test]
    fn words_name_the_range_and_the_whole_rule() {
        let two = claim(Claimed::AtMost(0.5), &[(vec![0.25], true), (vec![0.75], true)]);
        assert!(two.detail.ends_with("The number of a seed: 0.2500 to 0.7500 over 2 seeds."), "{}", two.detail);
        let rule = two.evidence["rule"].as_str().unwrap();
        let whole = "rule: number of a seed; as claimed in all trainings of the seed that it is said of; exact";
        assert!(rule.contains(whole), "{rule}");
        assert_eq!(claim(Claimed::AtMost(0.5), &[]).detail, "No seeds to say it of.");
    }

    #[test]
    fn a_correlation_is_one_number_a_case() {
        let (up, down) = (vec![(1.0, 2.0), (2.0, 3.0)], vec![(1.0, 3.0), (2.0, 2.0)]);
        let cases = [(up.clone(), true), (down, true), (up, false)];
        let claim = stated(Claimed::Above(0.0)).correlated_within(SEEDS, &cases);
        assert_eq!(claim.evidence["values"], json!({"number of a seed": [1.0, -1.0, null]}));
        assert!(claim.detail.contains("no finite number in 1 of 3 seeds"), "{}", claim.detail);
    }
}
