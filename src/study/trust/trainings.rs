//! What the records of trainings say against the pictures made of them: too few, failed, diverged, on a plateau, cut off,
//! hardly trained, or down in float32's rounding. A sentence each, from counts. Knows measurements, no study.

use super::Doubts;
use crate::analysis::statistics::{FEWEST, highest, lowest};
use crate::study::claim::Unit;
use crate::study::findings::cell;
use crate::study::measurements::Measurements;

/// What all figures of some trainings share. `planned` is how many trials there were to be.
pub fn of_trainings(records: &[&Measurements], planned: usize, chance: Option<f64>) -> Doubts {
    let mut doubts = Doubts::default();
    doubts.add(failed(planned.saturating_sub(records.len()), planned));
    // Other records have neither epochs nor an end.
    let trainings: Vec<_> = records.iter().filter(|record| record.scalars.contains_key("epochs_run")).collect();
    let is = |record: &Measurements, name: &str, flag: f64| record.scalars.get(name) == Some(&flag);
    let count = |of: &dyn Fn(&Measurements) -> bool| trainings.iter().filter(|record| of(record)).count();
    doubts.add(some(count(&|record| record.diverged()), trainings.len(), DIVERGED));
    doubts.add(some(count(&|record| is(record, "stopped_on_plateau", 1.0)), trainings.len(), ON_PLATEAU));
    let ended_early = |record: &Measurements| {
        !record.diverged() && (is(record, "converged", 0.0) || is(record, "met_threshold", 0.0))
    };
    doubts.add(some(count(&ended_early), trainings.len(), CUT_OFF));
    let accuracy = |record: &Measurements| record.scalars.get("final_train_accuracy").copied();
    let hardly = |record: &Measurements| {
        !record.diverged() && accuracy(record).zip(chance).is_some_and(|(of, chance)| is_guess(of, chance))
    };
    doubts.add(some(count(&hardly), trainings.len(), GUESSING));
    doubts
}

const DIVERGED: &str = "diverged: their curves end there, and what is drawn of the end is of the others";
const ON_PLATEAU: &str = "stopped on a first plateau, where the loss had hardly fallen";
const CUT_OFF: &str = "were ended by the last epoch, before they had converged: they would have gone on changing";
const GUESSING: &str = "are hardly better than guessing on what they were trained on: their part of what is drawn is of hardly trained networks";

/// "2 of 5 trainings diverged: …"; nothing of none.
fn some(count: usize, all: usize, what: &str) -> Option<String> {
    (count > 0).then(|| format!("{count} of {all} trainings {what}."))
}

/// Of trials that gave no record.
fn failed(count: usize, planned: usize) -> Option<String> {
    (count > 0).then(|| format!("{count} of {planned} trials failed, or are not done: what is drawn is of the others."))
}

/// Whether an accuracy has gone less than a tenth of the way from chance to all.
fn is_guess(accuracy: f64, chance: f64) -> bool {
    accuracy < chance + 0.1 * (1.0 - chance)
}

/// Of fewer cases than decide anything.
pub fn few(unit: Unit, n: usize) -> Option<String> {
    let Unit { one, many, .. } = unit;
    match n {
        0 => None,
        1 => Some(format!("One {one}: another may look otherwise.")),
        n if n < FEWEST => Some(format!("{n} {many}: too few to tell what is theirs from what is of all.")),
        _ => None,
    }
}

/// Of what shows the first of several cases alone.
pub fn first_of(unit: Unit, n: usize) -> Option<String> {
    (n > 1).then(|| format!("It shows the first of {n} {}: the others may look otherwise.", unit.many))
}

/// Float32 has 24 bits: from here on a number is rounding beside one.
const ROUNDING: f64 = 1.2e-7;

/// Of gradient norms that fall below what rounding in float32 leaves of the highest.
pub fn norm_in_rounding(norms: &[f64]) -> Option<String> {
    let positive: Vec<f64> = norms.iter().copied().filter(|norm| *norm > 0.0).collect();
    let (low, high) = (lowest(&positive)?, highest(&positive).filter(|high| high.is_finite())?);
    (low < ROUNDING * high).then(|| {
        format!(
            "The gradient norm falls to {}, less than float32's rounding of its highest, {}: down there it is partly noise.",
            cell(low),
            cell(high)
        )
    })
}

/// Of cross entropies on a logarithmic axis, of which this is the lowest: differences of outputs about as large as ten.
pub fn loss_in_rounding(lowest: f64) -> Option<String> {
    (lowest > 0.0 && lowest < 10.0 * ROUNDING).then(|| {
        format!(
            "Losses as low as {} are about float32's rounding of the outputs: down there they are partly noise.",
            cell(lowest)
        )
    })
}

/// Of eigenvalues of several Hessians, of which so many did not converge.
pub fn unconverged_of(count: usize, all: usize) -> Option<String> {
    (count > 0).then(|| {
        format!(
            "Of {count} of {all} trainings Lanczos ended before its residuals were within the tolerance: their eigenvalues \
             lie no farther from what is shown than these."
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::claim::{SEEDS, TRAININGS};

    const NAN: f64 = f64::NAN;

    fn training(scalars: &[(&str, f64)]) -> Measurements {
        let mut record = Measurements::new(1, [("epochs_run", 9.0), ("diverged", 0.0)], []);
        record.scalars.extend(scalars.iter().map(|(name, value)| ((*name).to_owned(), *value)));
        record
    }

    #[test]
    fn trainings_that_did_not_end_well_are_counted() {
        let fine = || training(&[("converged", 1.0), ("stopped_on_plateau", 0.0)]);
        for (records, planned, words) in [
            (vec![fine(), fine()], 2, vec![]),
            (vec![fine()], 3, vec!["2 of 3 trials failed"]),
            (vec![fine(), training(&[("diverged", 1.0), ("converged", 0.0)])], 2, vec!["1 of 2 trainings diverged"]),
            (
                vec![fine(), training(&[("converged", 1.0), ("stopped_on_plateau", 1.0)]), fine()],
                3,
                vec!["1 of 3 trainings stopped on a first plateau"],
            ),
            (vec![training(&[("converged", 0.0)]), fine()], 2, vec!["1 of 2 trainings were ended by the last epoch"]),
            (vec![training(&[("met_threshold", 0.0)])], 1, vec!["1 of 1 trainings were ended by the last epoch"]),
            (vec![training(&[("met_threshold", 1.0)])], 1, vec![]),
            (
                vec![training(&[("final_train_accuracy", 0.18)]), training(&[("final_train_accuracy", 0.2)])],
                2,
                vec!["1 of 2 trainings are hardly better than guessing"],
            ),
            // No training: what did not converge there is another matter.
            (vec![Measurements::new(1, [("converged", 0.0)], [])], 1, vec![]),
            (vec![], 0, vec![]),
        ] {
            let records: Vec<&Measurements> = records.iter().collect();
            let doubts = of_trainings(&records, planned, Some(0.1));
            assert_eq!(doubts.reasons().len(), words.len(), "{words:?}: {doubts:?}");
            assert!(doubts.reasons().iter().zip(&words).all(|(said, word)| said.starts_with(word)), "{doubts:?}");
        }
        // Of values there is no chance.
        assert!(of_trainings(&[&training(&[("final_train_accuracy", 0.1)])], 1, None).reasons().is_empty());
    }

    #[test]
    fn few_cases_are_told() {
        for (n, few_said, first_said) in [
            (0, None, None),
            (1, Some("One seed: another may look otherwise."), None),
            (
                2,
                Some("2 seeds: too few to tell what is theirs from what is of all."),
                Some("It shows the first of 2 seeds"),
            ),
            (
                4,
                Some("4 seeds: too few to tell what is theirs from what is of all."),
                Some("It shows the first of 4 seeds"),
            ),
            (5, None, Some("It shows the first of 5 seeds")),
        ] {
            assert_eq!(few(SEEDS, n).as_deref(), few_said);
            let said = first_of(SEEDS, n);
            assert_eq!(said.is_some(), first_said.is_some());
            assert!(said.zip(first_said).is_none_or(|(said, start)| said.starts_with(start)), "{n}");
        }
        assert_eq!(few(TRAININGS, 1).unwrap(), "One training: another may look otherwise.");
        assert_eq!([0, 2].map(|count| unconverged_of(count, 9).is_some()), [false, true]);
    }

    #[test]
    fn what_is_as_low_as_rounding_is_doubted() {
        for (norms, doubted) in [
            (&[1.0, 1.3e-7][..], false),
            (&[1.0, 1.1e-7], true),
            (&[1e3, 0.5, 2e-5], true),
            (&[1e-9, 2e-9], false),
            // A norm of 0 has no place on the axis: another rule says so.
            (&[1.0, 0.0, 0.5], false),
            (&[1.0, NAN], false),
            (&[f64::INFINITY, 1.0], false),
            (&[], false),
        ] {
            assert_eq!(norm_in_rounding(norms).is_some(), doubted, "{norms:?}");
        }
        for (lowest, doubted) in [(1.3e-6, false), (1.1e-6, true), (1e-12, true), (0.0, false), (NAN, false)] {
            assert_eq!(loss_in_rounding(lowest).is_some(), doubted, "{lowest}");
        }
    }
}
