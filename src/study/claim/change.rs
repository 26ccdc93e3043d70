//! What would change a verdict, in a sentence: how many further cases, counted up and judged by the very rule that gave
//! it. Knows how to count and to say it, no rule.

use super::{SEEDS, Stated, TRAININGS, Unit, Verdict};
use crate::analysis::statistics::FEWEST;

/// More further cases than these nobody runs.
pub(super) const MOST: usize = 1000;
/// As good as for ever: what still leaves it open no number of cases decides.
pub(super) const FOR_EVER: usize = 1 << 40;

/// The cases there are, and how more are asked for.
#[derive(Clone, Copy)]
pub(super) struct Cases {
    pub(super) unit: Unit,
    pub(super) n: usize,
    /// What the settings ask for, where that has a flag.
    asked: Option<usize>,
}

/// So many further cases, and the verdict they would give.
pub(super) type Further = (usize, Verdict);

impl Stated {
    pub(super) fn cases(&self, unit: Unit, n: usize) -> Cases {
        let setting = match unit {
            SEEDS => self.asked.get("repeats"),
            TRAININGS => self.asked.get("trainings"),
            _ => None,
        };
        Cases { unit, n, asked: setting.and_then(|asked| usize::try_from(*asked).ok()) }
    }
}

impl Cases {
    /// ": --repeats 17"; nothing where no flag asks for more.
    fn flag(self, more: usize) -> String {
        let Self { unit, n, asked } = self;
        // Of those asked for some may be no case: of more, the same share. Several repeats of so many trainings likewise.
        let total = match asked {
            Some(asked) if n > 0 => asked + (more * asked).div_ceil(n),
            _ => n + more,
        };
        unit.more.strip_suffix('5').map_or(String::new(), |flag| format!(": {flag}{total}"))
    }

    /// "7 more seeds".
    pub(super) fn more(self, more: usize) -> String {
        format!("{more} more {}", if more == 1 { self.unit.one } else { self.unit.many })
    }

    /// Where there are so few that nothing can be said of further ones.
    pub(super) fn fewest(self) -> String {
        let flag = match self.asked {
            // They were asked for, and said nothing.
            Some(asked) if self.n == 0 && asked >= FEWEST => String::new(),
            _ => self.flag(FEWEST.saturating_sub(self.n)),
        };
        format!("Fewer than {FEWEST} {} decide nothing{flag}.", self.unit.many)
    }

    /// Of what is open: the further cases that decide it `at`, such as "at this share (8 of 10)", and those that would
    /// were all of them of one kind, "of seeds in which it holds".
    pub(super) fn undecided(self, at: &str, like_these: Option<Further>, alike: Option<(Further, &str)>) -> String {
        let decide = |verdict| if verdict == Verdict::Supported { "support it" } else { "refute it" };
        let mut text = match like_these {
            Some((more, verdict)) => {
                format!("{at}, {} would {}{}", self.more(more), decide(verdict), self.flag(more))
            }
            None => format!("{at}, not even {MOST} more {} would decide it", self.unit.many),
        };
        let sooner = alike.filter(|((more, _), _)| like_these.is_none_or(|(others, _)| *more < others));
        if let Some(((more, verdict), kind)) = sooner {
            text.push_str(&format!("; {kind}, {more} would {}{}", decide(verdict), self.flag(more)));
        }
        text + "."
    }

    /// Of what is decided: the further cases of one kind, such as "in which it does not hold", that would leave it open.
    pub(super) fn overturned(self, more: Option<usize>, kind: &str) -> String {
        match more {
            Some(more) => format!("{} {kind} would leave it open.", self.more(more)),
            None => format!("Not even {MOST} more {} {kind} would leave it open.", self.unit.many),
        }
    }
}

/// The smallest number of further cases that changes it.
pub(super) fn first(changes: &dyn Fn(usize) -> bool) -> Option<usize> {
    (1..=MOST).find(|more| changes(*more))
}

/// The same where more than that change it as well.
pub(super) fn first_for_good(changes: &dyn Fn(usize) -> bool) -> Option<usize> {
    let (mut too_few, mut enough) = (0, MOST);
    if !changes(enough) {
        return None;
    }
    while enough - too_few > 1 {
        let middle = (too_few + enough) / 2;
        if changes(middle) { enough = middle } else { too_few = middle }
    }
    Some(enough)
}

/// The number of further cases from where it is decided, by one of these searches, and how.
pub(super) fn decided(
    search: fn(&dyn Fn(usize) -> bool) -> Option<usize>,
    verdict: &dyn Fn(usize) -> Verdict,
) -> Option<Further> {
    search(&|more| verdict(more) != Verdict::Inconclusive).map(|more| (more, verdict(more)))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{Inconclusive, Refuted, Supported};
    use super::*;

    #[test]
    fn the_first_number_of_cases_that_changes_it_is_found() {
        for from in [1, 2, 7, 512, 999, 1000, 1001] {
            let expected = (from <= MOST).then_some(from);
            assert_eq!([first(&|more| more >= from), first_for_good(&|more| more >= from)], [expected; 2]);
        }
        let found = decided(first_for_good, &|more| if more < 9 { Inconclusive } else { Refuted });
        assert_eq!(found, Some((9, Refuted)));
    }

    #[test]
    fn cases_are_asked_for_by_their_flag() {
        let cases = |unit, n, asked| Cases { unit, n, asked };
        let none = Unit { one: "case", many: "cases", more: "" };
        let samples = Unit { one: "subset", many: "subsets", more: "--samples N --repeats 5" };
        for (cases, more, flag) in [
            (cases(SEEDS, 10, Some(10)), 7, ": --repeats 17"),
            (cases(SEEDS, 10, None), 7, ": --repeats 17"),
            // Half of the seeds asked for are a case.
            (cases(SEEDS, 5, Some(10)), 2, ": --repeats 14"),
            // Two repeats of five trainings each.
            (cases(TRAININGS, 10, Some(5)), 3, ": --trainings 7"),
            (cases(TRAININGS, 0, Some(5)), 5, ": --trainings 5"),
            (cases(samples, 3, None), 4, ": --samples N --repeats 7"),
            (cases(none, 3, None), 4, ""),
        ] {
            assert_eq!(cases.flag(more), flag);
        }
        let of = cases(SEEDS, 10, Some(10));
        assert_eq!(
            of.undecided("At it", Some((7, Supported)), Some(((1, Supported), "of seeds that hold"))),
            "At it, 7 more seeds would support it: --repeats 17; of seeds that hold, 1 would support it: --repeats 11."
        );
        assert_eq!(
            of.undecided("At it", Some((1, Refuted)), Some(((1, Refuted), "of seeds that fail"))),
            "At it, 1 more seed would refute it: --repeats 11."
        );
        assert_eq!(of.undecided("At it", None, None), "At it, not even 1000 more seeds would decide it.");
        assert_eq!(of.overturned(Some(1), "that fail"), "1 more seed that fail would leave it open.");
        assert_eq!(cases(SEEDS, 1, Some(1)).fewest(), "Fewer than 5 seeds decide nothing: --repeats 5.");
        assert_eq!(cases(SEEDS, 0, Some(9)).fewest(), "Fewer than 5 seeds decide nothing.");
        assert_eq!(cases(none, 0, None).fewest(), "Fewer than 5 cases decide nothing.");
    }
}
