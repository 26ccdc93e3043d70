//! Rules by intervals with further cases: the verdict with so many more, and so what would change it. Knows estimates and
//! bounds, and no words of a study.

use super::change::{Cases, FOR_EVER, decided, first, first_for_good};
use super::{Claimed, Quantity, Verdict, shown};
use crate::analysis::statistics::{Estimate, FEWEST, interval_of_correlation, share};

/// That the means of all lie there, with so many further cases of the same means and deviations.
pub(super) fn verdict_of_means(claimed: Claimed, quantities: &[Quantity], more: usize) -> Verdict {
    claimed.verdict(&quantities.iter().map(|each| each.interval(more, quantities.len())).collect::<Vec<_>>())
}

/// That of a correlation of so many cases.
pub(super) fn verdict_of_correlation(claimed: Claimed, value: Option<f64>, n: usize) -> Verdict {
    let interval = value.and_then(|value| interval_of_correlation(value, n));
    claimed.verdict(&[interval.filter(|_| n >= FEWEST)])
}

pub(super) fn verdict_of_share(claimed: Claimed, count: usize, n: usize) -> Verdict {
    claimed.verdict(&[share(count, n).interval.filter(|_| n >= FEWEST)])
}

pub(super) fn change_of_means(cases: Cases, claimed: Claimed, quantities: &[Quantity]) -> String {
    let verdict = |more| verdict_of_means(claimed, quantities, more);
    let all = quantities.len();
    match verdict(0) {
        Verdict::Inconclusive if cases.n < 2 => cases.fewest(),
        Verdict::Inconclusive if quantities.iter().any(|each| each.unknown() > 0) => {
            "No further cases change this: in some there is no finite number.".to_owned()
        }
        Verdict::Inconclusive => match decided(first_for_good, &verdict) {
            None if verdict(FOR_EVER) == Verdict::Inconclusive => format!(
                "No number of {} changes this: a mean lies on the bound, or nearer to it than an error that all share.",
                cases.unit.many
            ),
            further => {
                let at = if all > 1 { "At these means and deviations" } else { "At this mean and deviation" };
                cases.undecided(at, further, None)
            }
        },
        now => {
            // Of what is supported the nearest to its bound; what refutes it must come back, the farthest as well.
            let interval = |each: &Quantity| each.interval(0, all);
            let decides = |each: &&Quantity| claimed.verdict(&[interval(each)]) == now;
            let open_from = |each: &Quantity| {
                let estimate = each.with_further(0, all)?;
                let at = claimed.open_from(estimate.value, estimate.interval?)?;
                // What it cannot be does not overturn it.
                let is_possible = each.range[0] < at && at < each.range[1];
                is_possible.then_some((each.name.clone(), each.shown, estimate.value, at))
            };
            let all: Vec<_> = quantities.iter().filter(decides).map(open_from).collect();
            let distance = |(_, _, value, at): &(String, fn(f64) -> f64, f64, f64)| (value - at).abs();
            let known = all.iter().flatten();
            let chosen = match now {
                Verdict::Supported => known.min_by(|a, b| distance(a).total_cmp(&distance(b))),
                _ if all.iter().any(Option::is_none) => None,
                _ => known.max_by(|a, b| distance(a).total_cmp(&distance(b))),
            };
            chosen.map_or(String::new(), |(name, scale, value, at)| {
                let others = match all.len() {
                    count if count > 1 && now == Verdict::Refuted => ", were the others that refute it no farther,",
                    _ => "",
                };
                moved(
                    &format!("mean {name}"),
                    (scale(*value), scale(*at)),
                    &format!("{others} would leave it open, at this deviation."),
                )
            })
        }
    }
}

/// "A mean X below 0.9 (it is 0.95) would leave it open."
fn moved(name: &str, (value, at): (f64, f64), end: &str) -> String {
    let side = if at < value { "below" } else { "above" };
    format!("A {name} {side} {} (it is {}){end}", shown(at), shown(value))
}

pub(super) fn change_of_correlation(cases: Cases, claimed: Claimed, found: Option<Estimate>, unknown: usize) -> String {
    let Some(Estimate { value, n, .. }) = found else {
        return match unknown {
            0 if cases.n > 1 => "No further cases change this while one of the two is the same everywhere.".to_owned(),
            0 => cases.fewest(),
            _ => "No further cases change this: in some there is no finite number.".to_owned(),
        };
    };
    let verdict = |more| verdict_of_correlation(claimed, Some(value), n + more);
    match verdict(0) {
        Verdict::Inconclusive => match decided(first, &verdict) {
            None if verdict(FOR_EVER) == Verdict::Inconclusive => {
                format!("No number of {} changes this: the correlation lies on the bound.", cases.unit.many)
            }
            further => cases.undecided(&format!("At this correlation ({})", shown(value)), further, None),
        },
        now => {
            // Between it and the nearest bound, on which it is open.
            let bounds = match claimed {
                Claimed::Within(ends) => ends.to_vec(),
                other => vec![other.upper_bound()],
            };
            let nearest = bounds.into_iter().min_by(|a, b| (a - value).abs().total_cmp(&(b - value).abs()));
            let (mut kept, mut open) = (value, nearest.unwrap_or(value));
            for _ in 0..60 {
                let middle = (kept + open) / 2.0;
                if verdict_of_correlation(claimed, Some(middle), n) == now { kept = middle } else { open = middle }
            }
            moved("correlation", (value, open), &format!(" of as many {} would leave it open.", cases.unit.many))
        }
    }
}

pub(super) fn change_of_share(cases: Cases, claimed: Claimed, count: usize) -> String {
    let n = cases.n;
    let verdict = |count, more| verdict_of_share(claimed, count, n + more);
    let (in_none, in_all) = (|more| verdict(count, more), |more| verdict(count + more, more));
    match verdict(count, 0) {
        Verdict::Inconclusive if n == 0 => cases.fewest(),
        Verdict::Inconclusive => {
            // To the nearest case.
            let alike = |more| verdict((2 * count * (n + more) + n) / (2 * n), more);
            let kinds = [(decided(first, &in_none), "is not so"), (decided(first, &in_all), "is so")];
            let kinds = kinds
                .into_iter()
                .filter_map(|(further, so)| Some((further?, format!("of {} in which it {so}", cases.unit.many))));
            let soonest = kinds.min_by_key(|((more, _), _)| *more);
            let one_kind = soonest.as_ref().map(|(further, kind)| (*further, kind.as_str()));
            cases.undecided(&format!("At this share ({count} of {n})"), decided(first, &alike), one_kind)
        }
        now => {
            let none = first(&|more| in_none(more) != now).map(|more| (more, "in which it is not so"));
            let all = first(&|more| in_all(more) != now).map(|more| (more, "in which it is so"));
            match none.into_iter().chain(all).min() {
                Some((more, kind)) => cases.overturned(Some(more), kind),
                None => cases.overturned(None, "of either kind"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{Inconclusive, Refuted, Supported};
    use super::super::{Claim, SEEDS, TRAININGS, stated};
    use super::*;
    use Claimed::{Above, AtLeast, AtMost, Within};

    const NAN: f64 = f64::NAN;

    fn interval(claimed: Claimed, values: &[&[f64]]) -> Claim {
        let named = (0..).zip(values).map(|(i, values)| Quantity::new(format!("q{i}"), values.to_vec()));
        stated("It is so.", "it", Some(claimed)).interval(SEEDS, &named.collect::<Vec<_>>())
    }

    /// The first number of a sentence.
    fn number(text: &str) -> usize {
        text.split(' ').find_map(|word| word.parse().ok()).unwrap()
    }

    /// So many numbers of this mean and deviation.
    fn such(mean: f64, deviation: f64, n: usize) -> Vec<f64> {
        let off = deviation * ((n - 1) as f64 / (n - n % 2) as f64).sqrt();
        (0..n).map(|i| if i == 0 && n % 2 == 1 { mean } else { mean + if i % 2 == 0 { off } else { -off } }).collect()
    }

    #[test]
    fn a_mean_would_be_decided_by_the_cases_it_says_and_by_no_fewer() {
        let mut seen = [0; 3];
        for (claimed, mean, deviation, n) in [
            (Above(1.0), 1.5, 1.0, 5),
            (Above(1.0), 1.1, 1.0, 8),
            (AtLeast(1.0), 0.9, 0.5, 5),
            (AtMost(1.0), 0.9, 1.0, 6),
            (AtMost(1.0), 1.2, 1.0, 3),
            (Within([-1.0, 1.0]), 0.0, 2.0, 5),
            (Within([-1.0, 1.0]), 1.2, 1.0, 7),
            (Above(1.0), 2.0, 0.0, 2),
            (AtLeast(0.0), 0.3, 1.0, 2),
        ] {
            let said = interval(claimed, &[&such(mean, deviation, n)]).would_change.unwrap();
            let more = number(said.split("deviation, ").nth(1).unwrap());
            let verdict = |more| interval(claimed, &[&such(mean, deviation, n + more)]).verdict;
            let decided = if said.contains("support") { Supported } else { Refuted };
            assert_eq!([verdict(more - 1), verdict(more)], [Inconclusive, decided], "{claimed} {mean} {n}: {said}");
            assert!(said.ends_with(&format!(": --repeats {}.", n + more)), "{said}");
            seen[decided as usize] += 1;
        }
        assert!(seen[0] > 3 && seen[1] > 2, "{seen:?}");
        // Of two quantities both have to hold.
        let two = |n| interval(Above(1.0), &[&such(1.5, 1.0, n), &such(1.4, 0.5, n)]);
        let said = two(5).would_change.unwrap();
        let more = number(said.strip_prefix("At these means and deviations, ").unwrap());
        assert_eq!([two(5 + more - 1), two(5 + more)].map(|claim| claim.verdict), [Inconclusive, Supported]);
    }

    #[test]
    fn what_no_number_of_cases_decides_is_said() {
        for (values, said) in [
            (&[][..], "Fewer than 5 seeds decide nothing: --repeats 5."),
            (&[2.0], "Fewer than 5 seeds decide nothing: --repeats 5."),
            (
                &[1.0; 5],
                "No number of seeds changes this: a mean lies on the bound, or nearer to it than an error that all \
              share.",
            ),
            (&[0.0, 2.0, 1.0, NAN, 1.0], "No further cases change this: in some there is no finite number."),
            // 1.96 times 10 by √n is 0.05 only from 150,000 on.
            (&[-9.0, 11.1, -9.0, 11.1, 1.05], "At this mean and deviation, not even 1000 more seeds would decide it."),
        ] {
            assert_eq!(interval(Above(1.0), &[values]).would_change.as_deref(), Some(said), "{values:?}");
        }
        let quantity = Quantity::new("q", such(1.1, 1.0, 5)).further_half(0.2);
        let claim = stated("", "", Some(Above(1.0))).interval(SEEDS, &[quantity]);
        assert!(claim.would_change.unwrap().starts_with("No number of seeds changes this"));
    }

    #[test]
    fn a_decided_mean_would_be_open_from_where_it_says() {
        let said = |claimed, values: &[&[f64]]| interval(claimed, values).would_change.unwrap_or_default();
        let values: Vec<f64> = such(4.0, 1.0, 5);
        // Half the interval is 1.2417.
        assert_eq!(
            said(Above(1.0), &[&values]),
            "A mean q0 below 2.24 (it is 4) would leave it open, at this deviation."
        );
        assert_eq!(
            said(AtMost(1.0), &[&values]),
            "A mean q0 below 2.24 (it is 4) would leave it open, at this deviation."
        );
        assert_eq!(
            said(AtMost(9.0), &[&values]),
            "A mean q0 above 7.76 (it is 4) would leave it open, at this deviation."
        );
        for (shift, verdict) in [(-1.75, Supported), (-1.77, Inconclusive)] {
            let moved: Vec<f64> = values.iter().map(|value| value + shift).collect();
            assert_eq!(interval(Above(1.0), &[&moved]).verdict, verdict);
        }
        // The nearest of what is supported, the farthest of what refutes.
        let both = [&such(4.0, 0.0, 5)[..], &such(9.0, 0.0, 5)];
        assert_eq!(said(Above(1.0), &both), "A mean q0 below 1 (it is 4) would leave it open, at this deviation.");
        assert_eq!(
            said(AtMost(1.0), &both),
            "A mean q1 below 1 (it is 9), were the others that refute it no farther, would leave it open, at this deviation."
        );
        // What it cannot be overturns nothing.
        let share = Quantity::new("q", such(1.0, 0.0, 5)).range([0.0, 1.0]);
        let claim = |claimed| stated("", "", Some(claimed)).interval(SEEDS, std::slice::from_ref(&share)).would_change;
        assert_eq!((claim(AtMost(1.0)), claim(AtLeast(0.5)).is_some()), (None, true));
        let factor = Quantity::new("q", vec![2.0; 5]).shown_as(|power| 10f64.powf(power));
        let claim = stated("", "", Some(Above(1.0))).interval(SEEDS, &[factor]);
        assert_eq!(
            claim.would_change.unwrap(),
            "A mean q below 10 (it is 100) would leave it open, at this deviation."
        );
    }

    #[test]
    fn a_correlation_would_change_with_the_cases_it_says_and_with_no_fewer() {
        // All pairs many times over have the same correlation: how many count is told apart.
        let once: Vec<(f64, f64)> = (0..12).map(|i| (f64::from(i), f64::from(i * 7 % 12 % 5))).collect();
        let pairs = once.repeat(100);
        for claimed in [Above(0.0), Claimed::Below(0.5), Within([-0.3, 0.3]), Above(-0.9)] {
            for n in [4, 5, 12, 40] {
                let judge = |n| stated("", "a and b", Some(claimed)).correlated((SEEDS, n), &pairs);
                let (now, said) = (judge(n).verdict, judge(n).would_change.unwrap());
                if now == Inconclusive {
                    let more = number(said.split("), ").nth(1).unwrap());
                    assert_eq!(judge(n + more - 1).verdict, Inconclusive, "{claimed} {n}: {said}");
                    assert_ne!(judge(n + more).verdict, Inconclusive, "{claimed} {n}: {said}");
                } else {
                    let at: f64 = said.split(' ').find_map(|word| word.parse().ok()).unwrap();
                    let value = judge(n).effect.unwrap().effect;
                    let verdict = |value: f64| verdict_of_correlation(claimed, Some(value), n);
                    let step = 0.002 * (value - at).signum();
                    assert_eq!([verdict(at + step), verdict(at - step)], [now, Inconclusive], "{claimed} {n}: {said}");
                }
            }
        }
        let said = |pairs: &[(f64, f64)]| {
            stated("", "a and b", Some(Above(0.0))).correlated((SEEDS, pairs.len()), pairs).would_change.unwrap()
        };
        assert_eq!(said(&[]), "Fewer than 5 seeds decide nothing: --repeats 5.");
        assert!(said(&[(1.0, 1.0), (2.0, 1.0)]).starts_with("No further cases change this while one"));
        assert!(said(&[(1.0, NAN), (2.0, 1.0)]).starts_with("No further cases change this: in some"));
        let level = [(1.0, 1.0), (1.0, 2.0), (2.0, 1.0), (2.0, 2.0), (1.0, 1.0), (1.0, 2.0), (2.0, 1.0), (2.0, 2.0)];
        assert_eq!(said(&level), "No number of seeds changes this: the correlation lies on the bound.");
    }

    #[test]
    fn a_share_would_change_with_the_cases_it_says_and_with_no_fewer() {
        let judge = |(count, n)| stated("", "", Some(AtMost(0.05))).of_share(TRAININGS, (count, n));
        for (count, n, said) in [
            (0, 0, "Fewer than 5 trainings decide nothing: --trainings 5."),
            (0, 71, "At this share (0 of 71), 1 more training would support it: --trainings 72."),
            (0, 100, "1 more training in which it is so would leave it open."),
            (5, 5, "29 more trainings in which it is not so would leave it open."),
        ] {
            assert_eq!(judge((count, n)).would_change.as_deref(), Some(said));
        }
        for (count, n) in [(1, 100), (0, 5), (2, 20), (1, 3), (10, 100)] {
            let said = judge((count, n)).would_change.unwrap();
            let more = number(said.split("), ").nth(1).unwrap());
            let nearest = |more: usize| (count as f64 * (n + more) as f64 / n as f64).round() as usize;
            let verdict = |more| judge((nearest(more), n + more)).verdict;
            assert_eq!(verdict(more - 1), Inconclusive, "{count} of {n}: {said}");
            assert_ne!(verdict(more), Inconclusive, "{count} of {n}: {said}");
            if let Some((_, alike)) = said.split_once("; ") {
                let more = number(alike);
                let kind = if alike.contains("not so") { 0 } else { 1 };
                let verdict = |more| judge((count + kind * more, n + more)).verdict;
                assert_eq!((verdict(more - 1) == Inconclusive, verdict(more) == Inconclusive), (true, false), "{said}");
            }
        }
        assert_eq!([judge((0, 100)), judge((1, 101))].map(|claim| claim.verdict), [Supported, Inconclusive]);
        assert_eq!([judge((5, 10)), judge((5, 11))].map(|claim| claim.verdict), [Refuted, Refuted]);
    }
}
