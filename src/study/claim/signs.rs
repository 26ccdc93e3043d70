//! Rules by signs: a claim that holds or not in each case, and one that numbers have an order. Exact sign tests
//! decide.

use super::change::{Cases, decided, first};
use super::points::{Point, named, one_of};
use super::{Claim, Effect, Stated, Unit, Verdict, rule};
use crate::analysis::statistics::{LEVEL, PairedComparison, share, shown_p, sign_test};
use serde_json::json;

/// How many cases are as claimed, the opposite and neither, of so many: what is none of these is unknown.
#[derive(Clone, Copy)]
struct Signs {
    as_claimed: usize,
    opposite: usize,
    ties: usize,
    n: usize,
}

impl Signs {
    fn of(pair: &PairedComparison) -> Self {
        let PairedComparison { as_claimed, ties, n, unknown, .. } = *pair;
        Self { as_claimed, opposite: n - as_claimed - ties - unknown, ties, n }
    }

    /// The probabilities of so many as claimed, and of so many the opposite, were both as likely.
    fn p(self) -> [f64; 2] {
        [self.as_claimed, self.opposite].map(|count| sign_test(count, self.n - self.ties))
    }

    /// With so many further cases, of which the same shares are so, in whole cases.
    fn and_alike(self, more: usize) -> Self {
        let n = self.n + more;
        let part = |count: usize| (count * n).checked_div(self.n).unwrap_or(0);
        Self { as_claimed: part(self.as_claimed), opposite: part(self.opposite), ties: part(self.ties), n }
    }

    fn and_as_claimed(self, more: usize) -> Self {
        Self { as_claimed: self.as_claimed + more, n: self.n + more, ..self }
    }

    fn and_opposite(self, more: usize) -> Self {
        Self { opposite: self.opposite + more, n: self.n + more, ..self }
    }
}

/// Supported where all are as claimed at [`LEVEL`], refuted where one is the opposite at its share of it (Bonferroni).
fn verdict(all: &[Signs]) -> Verdict {
    let level = LEVEL / all.len() as f64;
    if !all.is_empty() && all.iter().all(|signs| signs.p()[0] < LEVEL) {
        Verdict::Supported
    } else if all.iter().any(|signs| signs.p()[1] < level) {
        Verdict::Refuted
    } else {
        Verdict::Inconclusive
    }
}

/// What would change that, by what is said of cases that are as claimed and of those that are not.
fn would_change(cases: Cases, all: &[Signs], as_claimed: &str, opposite: &str) -> String {
    let with = |of_each: fn(Signs, usize) -> Signs, more| {
        verdict(&all.iter().map(|signs| of_each(*signs, more)).collect::<Vec<_>>())
    };
    match verdict(all) {
        Verdict::Inconclusive if cases.n == 0 => cases.fewest(),
        Verdict::Inconclusive => {
            let like_these = decided(first, &|more| with(Signs::and_alike, more));
            let count = |of: fn(&Signs) -> usize| all.iter().map(of).sum::<usize>();
            let leans = like_these.map_or_else(
                || count(|signs| signs.as_claimed) >= count(|signs| signs.opposite),
                |(_, verdict)| verdict == Verdict::Supported,
            );
            let (of_one_kind, kind): (fn(Signs, usize) -> Signs, _) =
                if leans { (Signs::and_as_claimed, as_claimed) } else { (Signs::and_opposite, opposite) };
            let kind = format!("of {} {kind}", cases.unit.many);
            let alike = decided(first, &|more| with(of_one_kind, more)).map(|further| (further, kind.as_str()));
            let at = match all {
                [Signs { as_claimed, n, .. }] => format!("At this share ({as_claimed} of {n})"),
                _ => "At these shares".to_owned(),
            };
            cases.undecided(&at, like_these, alike)
        }
        // One comparison alone leaves it open.
        Verdict::Supported => {
            let opens = |at: usize, more| {
                let mut all = all.to_vec();
                all[at] = all[at].and_opposite(more);
                verdict(&all) != Verdict::Supported
            };
            cases.overturned((0..all.len()).filter_map(|at| first(&|more| opens(at, more))).min(), opposite)
        }
        Verdict::Refuted => {
            let opens = |more| with(Signs::and_as_claimed, more) != Verdict::Refuted;
            cases.overturned(first(&opens), as_claimed)
        }
    }
}

impl Stated {
    /// A claim that held or not in each of some cases; `None` where that cannot be told. Supported, or refuted,
    /// where a fair coin would fall so in less than [`LEVEL`] of all such series of tosses (exact sign test). The
    /// effect is the share of cases that held, with the exact interval of Clopper and Pearson.
    pub fn counted(self, unit: Unit, held: &[Option<bool>]) -> Claim {
        let n = held.len();
        let count = |what: Option<bool>| held.iter().filter(|held| **held == what).count();
        let (as_claimed, opposite, unknown) = (count(Some(true)), count(Some(false)), count(None));
        let signs = Signs { as_claimed, opposite, ties: 0, n };
        // Of no case both are 1.
        let [p_as_claimed, p_opposite] = signs.p();
        let mut detail = match n {
            0 => String::new(),
            n => format!("In {as_claimed} of {} ({}). ", unit.counted(n), shown_p(p_as_claimed)),
        };
        if unknown > 0 {
            detail.push_str(&format!("It cannot be told in {}. ", unit.counted(unknown)));
        }
        detail.push_str(&unit.too_few(n));
        let evidence = json!({
            "rule": rule(unit, &self.rule, "exact one-sided sign test"),
            "as_claimed": as_claimed, "opposite": opposite, "unknown": unknown,
            "p_as_claimed": p_as_claimed, "p_opposite": p_opposite,
        });
        let of = format!("share of {} where it held (Clopper-Pearson interval)", unit.many);
        let change = would_change(self.cases(unit, n), &[signs], "in which it holds", "in which it does not hold");
        let point = |held: &Option<bool>| Point::new([("held", held.map(|held| f64::from(u8::from(held))))]);
        let points = named(held.iter().map(point).collect(), self.names.clone());
        let effect = Effect::new(of, share(as_claimed, n));
        self.judged(verdict(&[signs]), effect, &detail, evidence, (unit, n)).behind(points, change)
    }

    /// A claim that losses have an order, by comparisons of neighbours over the cases that both have: supported
    /// where all are as claimed at [`LEVEL`], refuted where one is the opposite at its share of it (Bonferroni). The
    /// effect is the smallest of the comparisons' mean log₁₀ ratios.
    pub fn compared(self, unit: Unit, pairs: &[PairedComparison]) -> Claim {
        let signs: Vec<Signs> = pairs.iter().map(Signs::of).collect();
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
        let evidence = json!({"rule": rule(unit, &self.rule, test), "pairs": pairs});
        let change = match pairs {
            [_] => ["in which it is as claimed", "in which it is the opposite"],
            _ => ["in which all are as claimed", "in which one comparison is the opposite"],
        };
        let change = would_change(self.cases(unit, fewest), &signs, change[0], change[1]);
        let points = named(points_of(unit, pairs), self.names.clone());
        self.judged(verdict(&signs), effect, &detail, evidence, (unit, fewest)).behind(points, change)
    }
}

/// All numbers of each seed that has some, in the order in which the seeds first come.
fn points_of(unit: Unit, pairs: &[PairedComparison]) -> Vec<Point> {
    let mut of_seeds: Vec<(u64, Point)> = Vec::new();
    for pair in pairs {
        for &(seed, better, worse) in &pair.cases {
            let at = of_seeds.iter().position(|(known, _)| *known == seed).unwrap_or_else(|| {
                let point = Point { case: format!("{} {seed}", one_of(unit)), ..Point::default() };
                of_seeds.push((seed, point));
                of_seeds.len() - 1
            });
            of_seeds[at].1.set(&pair.better, better);
            of_seeds[at].1.set(&pair.worse, worse);
        }
    }
    of_seeds.into_iter().map(|(_, point)| point).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{SEEDS, stated};
    use super::Verdict::{Inconclusive, Refuted, Supported};
    use super::*;

    const NAN: f64 = f64::NAN;
    const CASES: Unit = Unit { one: "case", many: "cases", more: "" };

    fn holds() -> Stated {
        stated("It holds.", "it holds", None)
    }

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
            let claim = holds().counted(SEEDS, &cases(held, opposite, unknown));
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
        let words = |held, opposite, unknown| holds().counted(SEEDS, &cases(held, opposite, unknown)).detail;
        assert_eq!(words(0, 0, 0), "No seeds to say it of.");
        assert_eq!(words(1, 0, 0), "In 1 of 1 seed (p = 0.500). One seed decides nothing: try --repeats 5.");
        assert_eq!(words(2, 1, 0), "In 2 of 3 seeds (p = 0.500). 3 seeds decide nothing: try --repeats 5.");
        assert_eq!(words(7, 0, 1), "In 7 of 8 seeds (p = 0.035). It cannot be told in 1 seed.");
        assert_eq!(words(300, 0, 0), "In 300 of 300 seeds (p < 0.001).");
        let rule = holds().counted(SEEDS, &[]).evidence["rule"].clone();
        assert_eq!(rule, "unit: seed; rule: it holds; exact one-sided sign test; level: 0.05, from 5 seeds on");
    }

    #[test]
    fn any_number_of_cases_is_judged_the_same() {
        // 2⁻ⁿ is 0 in floating point from 1075 on.
        for n in [300, 1074, 1075, 1197, 100_000] {
            let claim = |held, opposite| holds().counted(CASES, &cases(held, opposite, 0));
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
            let claim = stated("a, then b.", "losses", None).compared(SEEDS, &pairs);
            assert_eq!(claim.verdict, verdict, "{}", claim.detail);
        }
        // Unknown numbers count against either.
        let unknown = |count| {
            let low: Vec<(u64, f64)> = (0..10).map(|seed| (seed, if seed < count { NAN } else { 1.0 })).collect();
            let high: Vec<(u64, f64)> = (0..10).map(|seed| (seed, 2.0)).collect();
            let verdict = |a, b| {
                let pair = PairedComparison::of_numbers(("a", a), ("b", b));
                stated("a, then b.", "numbers", None).compared(SEEDS, &[pair]).verdict
            };
            [verdict(&low, &high), verdict(&high, &low)]
        };
        assert_eq!(
            [unknown(0), unknown(1), unknown(2)],
            [[Supported, Refuted], [Supported, Refuted], [Inconclusive; 2]]
        );
    }

    /// What is said, and the verdict with so many cases of each kind as it says.
    #[test]
    fn what_is_counted_would_change_with_the_cases_it_says_and_with_no_fewer() {
        for (held, opposite, unknown, said) in [
            (0, 0, 0, "Fewer than 5 seeds decide nothing: --repeats 5."),
            (1, 0, 0, "At this share (1 of 1), 4 more seeds would support it: --repeats 5."),
            (4, 0, 0, "At this share (4 of 4), 1 more seed would support it: --repeats 5."),
            (0, 4, 0, "At this share (0 of 4), 1 more seed would refute it: --repeats 5."),
            // 9 of 12 are 0.073, 10 of 13 are 0.046; 9 of 11 are 0.033.
            (
                8,
                2,
                0,
                "At this share (8 of 10), 3 more seeds would support it: --repeats 13; of seeds in which it holds, \
              1 would support it: --repeats 11.",
            ),
            (
                3,
                3,
                0,
                "At this share (3 of 6), not even 1000 more seeds would decide it; of seeds in which it holds, 7 \
              would support it: --repeats 13.",
            ),
            (5, 0, 0, "1 more seed in which it does not hold would leave it open."),
            (0, 5, 0, "1 more seed in which it holds would leave it open."),
            (9, 0, 0, "3 more seeds in which it does not hold would leave it open."),
        ] {
            let claim = |held, opposite| holds().counted(SEEDS, &cases(held, opposite, unknown));
            assert_eq!(claim(held, opposite).would_change.as_deref(), Some(said));
        }
        // Fed the cases that are asked for, by the same rule, each verdict changes, and with one fewer it does not.
        for (held, opposite) in (0..12).flat_map(|held| (0..12).map(move |opposite| (held, opposite))).skip(1) {
            let judge = |held, opposite| holds().counted(SEEDS, &cases(held, opposite, 0));
            let now = judge(held, opposite);
            let said = now.would_change.clone().unwrap();
            let n = held + opposite;
            let number = |text: &str| text.split(' ').find_map(|word| word.parse::<usize>().ok());
            let at_share = |more| {
                let part = |count: usize| count * (n + more) / n;
                // Rounded down: what is left can be either, and is told of neither.
                let (held, opposite) = (part(held), part(opposite));
                holds().counted(SEEDS, &cases(held, opposite, n + more - held - opposite)).verdict
            };
            match now.verdict {
                Supported | Refuted => {
                    let more = number(&said).unwrap();
                    let verdict = |more| match now.verdict {
                        Supported => judge(held, opposite + more).verdict,
                        _ => judge(held + more, opposite).verdict,
                    };
                    assert_eq!(
                        (verdict(more - 1), verdict(more)),
                        (now.verdict, Inconclusive),
                        "{held} {opposite}: {said}"
                    );
                }
                Inconclusive if !said.contains("not even") => {
                    let more = number(said.split("), ").nth(1).unwrap()).unwrap();
                    let decided = if said.split(';').next().unwrap().contains("support") { Supported } else { Refuted };
                    assert_eq!(
                        (at_share(more - 1), at_share(more)),
                        (Inconclusive, decided),
                        "{held} {opposite}: {said}"
                    );
                }
                Inconclusive => assert!(held.abs_diff(opposite) < 2, "{held} {opposite}: {said}"),
            }
            if let Some((_, alike)) = said.split_once("; ") {
                let more = number(alike.split(", ").nth(1).unwrap()).unwrap();
                let verdict = |more| match alike.contains("it holds") {
                    true => judge(held + more, opposite).verdict,
                    false => judge(held, opposite + more).verdict,
                };
                assert_eq!((verdict(more - 1) == Inconclusive, verdict(more) != Inconclusive), (true, true), "{said}");
            }
        }
    }

    #[test]
    fn an_order_would_change_with_the_cases_it_says_and_with_no_fewer() {
        let judge = |pairs: &[PairedComparison]| stated("a, then b.", "losses", None).compared(SEEDS, pairs);
        for (pairs, said) in [
            (vec![], "Fewer than 5 seeds decide nothing: --repeats 5."),
            (vec![pair(0, 0, 0)], "Fewer than 5 seeds decide nothing: --repeats 5."),
            (vec![pair(3, 0, 0)], "At this share (3 of 3), 2 more seeds would support it: --repeats 5."),
            // Of eight, two of them ties, six; of seven, one of them a tie, only five.
            (
                vec![pair(3, 0, 1)],
                "At this share (3 of 4), 4 more seeds would support it: --repeats 8; of seeds in which it \
              is as claimed, 2 would support it: --repeats 6.",
            ),
            (
                vec![pair(0, 0, 9)],
                "At this share (0 of 9), not even 1000 more seeds would decide it; of seeds in which it is \
              as claimed, 5 would support it: --repeats 14.",
            ),
            (vec![pair(5, 0, 0), pair(4, 0, 0)], "At these shares, 1 more seed would support it: --repeats 5."),
            (vec![pair(5, 0, 0), pair(0, 5, 0)], "At these shares, 1 more seed would refute it: --repeats 6."),
            (
                vec![pair(5, 0, 0), pair(9, 0, 0)],
                "1 more seed in which one comparison is the opposite would leave it open.",
            ),
            (vec![pair(0, 7, 0)], "2 more seeds in which it is as claimed would leave it open."),
        ] {
            assert_eq!(judge(&pairs).would_change.as_deref(), Some(said));
        }
        // As many as are said, and one fewer.
        assert_eq!([pair(5, 0, 1), pair(4, 0, 1)].map(|pair| judge(&[pair]).verdict), [Supported, Inconclusive]);
        for more in [0, 1] {
            let verdict = judge(&[pair(5 + more, 0, 0), pair(0, 5 + more, 0)]).verdict;
            assert_eq!(verdict, if more == 1 { Refuted } else { Inconclusive });
            let verdict = judge(&[pair(5, more, 0), pair(9, 0, 0)]).verdict;
            assert_eq!(verdict, if more == 0 { Supported } else { Inconclusive });
            let verdict = judge(&[pair(1 + more, 7, 0)]).verdict;
            assert_eq!(verdict, if more == 0 { Refuted } else { Inconclusive });
        }
    }

    #[test]
    fn an_order_shows_its_weakest_link() {
        let half = PairedComparison { log10_ratio: None, ..pair(5, 0, 0) };
        let claim = |pairs: &[PairedComparison]| stated("a, then b.", "losses", None).compared(SEEDS, pairs);
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
}
