//! Whether a picture of a loss can be trusted: rules that find what could mislead, a sentence each, from the numbers drawn.
//! Knows numbers, no study; `trainings` what the records of trainings say against any picture of them, and `drawn` what a
//! figure's own axes leave out.

mod drawn;
mod trainings;

pub use drawn::{extrapolated, lowest_loss_on_log, not_positive};
pub use trainings::{few, first_of, loss_in_rounding, norm_in_rounding, of_trainings, unconverged_of};

use super::findings::cell;
use super::landscape::is_wide;
use super::number::percent;
use crate::analysis::statistics::{finite_ends, highest, lowest, share};
use crate::data::Target;

/// Rounding of more than this share of all that is drawn can be seen.
const VISIBLE: f64 = 0.01;
/// Rises of the loss further apart than this factor are of the directions, not of the network.
const APART: f64 = 2.0;

/// What brings points nearer that are at a range of a setting's choice.
pub const SMALLER_RANGE: &str = ": a smaller --set range";

/// Reasons to doubt a figure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Doubts(Vec<String>);

impl Doubts {
    /// With those of these that there are.
    pub fn of(reasons: impl IntoIterator<Item = Option<String>>) -> Self {
        let mut doubts = Self::default();
        reasons.into_iter().for_each(|reason| doubts.add(reason));
        doubts
    }

    /// With a reason, if there is one, that is not among them yet.
    pub fn add(&mut self, reason: Option<String>) {
        self.0.extend(reason.filter(|reason| !self.0.contains(reason)));
    }

    pub fn reasons(&self) -> &[String] {
        &self.0
    }

    /// Behind a caption's last sentence.
    pub fn caption(&self) -> String {
        match self.0.as_slice() {
            // What all figures share is found later, and stands beside.
            [] => String::new(),
            reasons => format!(" Can it be trusted? {}", reasons.join(" ")),
        }
    }

    /// With those of another.
    pub fn add_all(&mut self, others: &Self) {
        others.0.iter().for_each(|reason| self.add(Some(reason.clone())));
    }

    /// With the reasons of one of several, each by its name.
    pub fn add_of(&mut self, name: &str, its: &Self) {
        its.0.iter().for_each(|reason| self.add(Some(format!("{name}: {reason}"))));
    }

    /// Sentences under a table, of a figure of this name.
    pub fn notes(&self, figure: &str) -> Vec<String> {
        self.0.iter().map(|reason| format!("{figure}: {reason}")).collect()
    }

    /// A table's cell.
    pub fn cell(&self) -> String {
        match self.0.len() {
            0 => "nothing found against it".to_owned(),
            1 => "with care: one reason below".to_owned(),
            count => format!("with care: {count} reasons below"),
        }
    }
}

/// A sentence where there is one: such as counts make, nothing of none.
pub fn said(sentence: String) -> Option<String> {
    (!sentence.is_empty()).then_some(sentence)
}

/// Of eigenvalues whose residuals are above the tolerance.
pub fn unconverged(converged: Option<f64>) -> Option<String> {
    (converged == Some(0.0)).then(|| {
        "Lanczos ended before its residuals were within the tolerance: an eigenvalue lies no farther from what is shown \
         than its residual."
            .to_owned()
    })
}

/// Of a trace that is lost in its own error.
pub fn vague_trace(trace: f64, standard_error: f64) -> Option<String> {
    // By the comparison: an error that is no number says nothing good.
    let is_known = standard_error < trace.abs();
    (!is_known).then(|| {
        format!(
            "The trace, {}, is no larger than its standard error, {}: more --set trace_probes.",
            cell(trace),
            cell(standard_error)
        )
    })
}

/// Of losses whose differences are hardly more than float32's rounding, known from the same points in float64.
pub fn rounded(noise: Option<f64>, losses: &[f64]) -> Option<String> {
    let (noise, [low, high]) = (noise?, finite_ends(losses)?);
    // All equal: nothing but rounding is drawn.
    let is_seen = noise > VISIBLE * (high - low);
    is_seen.then(|| {
        let share = if high > low { percent(noise / (high - low)) } else { "all".to_owned() };
        format!(
            "Rounding in float32 moves the loss by up to {}, {share} of what is drawn: --precision float64.",
            cell(noise)
        )
    })
}

/// Of losses that are no numbers; `places` are the distances of all points from the solution, or from the nearest of
/// several, and `smaller` is what makes them nearer.
pub fn not_finite(losses: &[f64], places: &[f64], smaller: &str) -> Option<String> {
    let bad: Vec<f64> =
        losses.iter().zip(places).filter(|(loss, _)| !loss.is_finite()).map(|(_, place)| *place).collect();
    let nearest = lowest(&bad)?;
    Some(format!(
        "The loss is not finite at {} of {} points, from a step of {} on{smaller}.",
        bad.len(),
        losses.len(),
        cell(nearest)
    ))
}

/// Of several surfaces, or slices, over the same places: their rises from the solution at each place, by its distance.
/// Where most of a ring of places see rises apart by more than a factor of two, what is drawn is of the directions.
pub fn apart(rises: &[(f64, Vec<f64>)]) -> Option<String> {
    let mut rings: Vec<(f64, Vec<f64>)> = Vec::new();
    let mut sorted: Vec<&(f64, Vec<f64>)> =
        rises.iter().filter(|(place, rises)| *place > 0.0 && rises.len() > 1).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (place, rises) in sorted {
        // Where one is no number another rule says so.
        let Some([low, high]) = finite_ends(rises).filter(|_| rises.iter().all(|rise| rise.is_finite())) else {
            continue;
        };
        // A fall on one of them and a rise on the other is as far apart as can be.
        let factor = if low > 0.0 {
            high / low
        } else if low == high {
            1.0
        } else {
            f64::INFINITY
        };
        match rings.last_mut().filter(|(start, ring)| place / start < 1.25 || ring.len() < 8) {
            Some((_, ring)) => ring.push(factor),
            None => rings.push((*place, vec![factor])),
        }
    }
    // The farthest few places are part of the ring before them.
    if let [.., (_, before), (_, last)] = &mut rings[..]
        && last.len() < 8
    {
        before.append(last);
        rings.pop();
    }
    // The middle one of a ring; a rise beside a fall has no factor, and counts as the widest.
    let middle = |ring: &[f64]| {
        let mut sorted = ring.to_vec();
        sorted.sort_by(f64::total_cmp);
        // Of an even number the lower one: half of a ring is not most of it.
        sorted.len().checked_sub(1).and_then(|last| sorted.get(last / 2)).copied().unwrap_or(1.0)
    };
    let is_apart: Vec<bool> = rings.iter().map(|(_, ring)| middle(ring) > APART).collect();
    let first = is_apart.iter().position(|apart| *apart)?;
    let last = is_apart.iter().rposition(|apart| *apart)?;
    let most = highest(&rings[first..=last].iter().map(|(_, ring)| middle(ring)).collect::<Vec<_>>())?;
    let factor =
        if most.is_finite() { format!("up to a factor of {}", cell(most)) } else { "rise and fall".to_owned() };
    let from = cell(rings[first].0);
    let place = match rings.get(last + 1) {
        None => format!("From a step of {from} on"),
        Some((next, _)) => format!("Between steps of {from} and {}", cell(*next)),
    };
    Some(format!(
        "{place} the directions disagree by {factor}: what is drawn there is of these directions, not of the network."
    ))
}

/// The same of slices along several directions through the solution, at these steps.
pub fn apart_along(steps: &[f64], slices: &[&[f64]]) -> Option<String> {
    let middle = steps.iter().position(|step| step.abs() < 1e-12)?;
    let rise = |at: usize| slices.iter().filter_map(|slice| Some(slice.get(at)? - slice.get(middle)?)).collect();
    apart(&steps.iter().enumerate().map(|(at, step)| (step.abs(), rise(at))).collect::<Vec<_>>())
}

/// Of a grid so coarse that much of what is drawn lies between the solution and its nearest neighbours: `losses` are all that
/// is drawn, `centre` the solution's own and `beside` those of its neighbours.
pub fn coarse(losses: &[f64], centre: f64, beside: &[f64]) -> Option<String> {
    /// More than this share of the picture's height.
    const MOST: f64 = 0.25;
    let all: Vec<f64> = losses.iter().copied().chain([centre]).collect();
    let [low, high] = finite_ends(&all)?;
    // As it is drawn: by its logarithm where that is.
    let drawn = |loss: f64| if is_wide([low, high]) { loss.ln() } else { loss };
    let height = drawn(high) - drawn(low);
    let steps: Vec<f64> =
        beside.iter().filter(|loss| loss.is_finite()).map(|loss| (drawn(*loss) - drawn(centre)).abs()).collect();
    let step = highest(&steps)?;
    (step > MOST * height).then(|| {
        format!(
            "Between the solution and its neighbours on the grid lies {} of the picture's height: a larger --grid, or a smaller \
             --set range.",
            percent(step / height)
        )
    })
}

/// Of one pair of directions alone.
pub fn one_pair(pairs: u64) -> Option<String> {
    (pairs < 2).then(|| {
        "Of one pair of directions it cannot be told how much of the picture is the directions' own: --set pairs=3."
            .to_owned()
    })
}

/// The share of a variance that a projection should hold.
pub const MOST_OF_IT: f64 = 0.8;

/// Of what was seen of the variance of a path.
pub fn projected(explained: f64) -> Option<String> {
    let is_most = explained >= MOST_OF_IT;
    (!is_most).then(|| {
        format!("The plane holds {} of the path's variance: most of what happened may be off it.", percent(explained))
    })
}

/// Of two components of several paths together, which are called so.
pub fn two_components(name: &str, explained: f64) -> Option<String> {
    let is_most = explained >= MOST_OF_IT;
    (!is_most).then(|| {
        format!(
            "{name}: these two components explain {} of the variance: what is near here may be far apart in the others.",
            percent(explained)
        )
    })
}

/// Of an accuracy that is no better than guessing; `low` is the lower end of its interval.
pub fn near_chance(split: &str, target: Target, accuracy: f64, low: f64) -> Option<String> {
    let classes = match target {
        Target::Classes(classes) | Target::ClassesByPlace(classes) if classes > 1 => classes,
        _ => return None,
    };
    let chance = 1.0 / classes as f64;
    (low <= chance).then(|| {
        format!(
            "The {split} accuracy, {accuracy:.4}, is near that of guessing, {chance:.4}: the export, the labels or the \
             normalisation (--set data.mean=… --set data.std=…) are probably not those meant."
        )
    })
}

/// The same of an accuracy over so many samples.
pub fn near_chance_over(split: &str, target: Target, accuracy: Option<f64>, samples: f64) -> Option<String> {
    let (accuracy, samples) = (accuracy?, samples.max(0.0) as usize);
    let right = (accuracy * samples as f64).round() as usize;
    let [low, _] = share(right.min(samples), samples).interval?;
    near_chance(split, target, accuracy, low)
}

/// Of two solutions whose numbers over some cases (subsets, draws) reach further than the difference between them.
pub fn cases_differ(cases: &str, what: &str, of_each: [(&str, &[f64]); 2]) -> Option<String> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let effect = (mean(of_each[0].1) - mean(of_each[1].1)).abs();
    let wide = of_each.into_iter().filter(|(_, values)| values.len() > 1).find_map(|(name, values)| {
        let [low, high] = finite_ends(values)?;
        (high - low > effect).then_some((name, low, high))
    });
    let (name, low, high) = wide?;
    Some(format!(
        "Over {cases} the {what} of {name} reaches from {} to {}, further than the {} between the solutions.",
        cell(low),
        cell(high),
        cell(effect)
    ))
}

/// Of searches for a highest value that reach less than half of what the best one does; `label` is whose.
pub fn half_found(label: &str, best: f64, spread: f64) -> Option<String> {
    let is_wide = best > 0.0 && spread > 0.5 * best;
    is_wide.then(|| {
        format!(
            "{label}: of the searches the best reached {} and another {} less: the highest may not be found, more --set \
             sharpness_starts or sharpness_steps.",
            cell(best),
            cell(spread)
        )
    })
}

/// Of one number that reaches further over subsets than its own mean.
pub fn wider_than_itself(what: &str, values: &[f64]) -> Option<String> {
    let [low, high] = finite_ends(values)?;
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (high - low > mean.abs()).then(|| {
        format!(
            "Over subsets the {what} reaches from {} to {}, further than its mean of {}.",
            cell(low),
            cell(high),
            cell(mean)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    const NAN: f64 = f64::NAN;

    #[test]
    fn a_spectrum_is_doubted_where_it_did_not_converge_or_its_trace_is_lost() {
        assert_eq!([None, Some(1.0), Some(0.0)].map(|flag| unconverged(flag).is_some()), [false, false, true]);
        for (trace, error, doubted) in [
            (2.0, 1.0, false),
            (-2.0, 1.0, false),
            (1.0, 1.0, true),
            (0.5, 1.0, true),
            (1.0, NAN, true),
            (NAN, 1.0, true),
        ] {
            assert_eq!(vague_trace(trace, error).is_some(), doubted, "{trace} ± {error}");
        }
    }

    #[test]
    fn rounding_is_seen_where_it_is_a_hundredth_of_what_is_drawn() {
        for (noise, losses, doubted) in [
            (Some(1e-7), &[1.0, 2.0][..], false),
            (Some(0.01), &[1.0, 2.0], false),
            (Some(0.011), &[1.0, 2.0], true),
            (Some(0.011), &[1.0, 2.0, f64::INFINITY], true),
            (Some(1e-9), &[1.0, 1.0], true),
            (Some(0.0), &[1.0, 1.0], false),
            (None, &[1.0, 1.0], false),
            (Some(NAN), &[1.0, 2.0], false),
            (Some(1.0), &[NAN], false),
        ] {
            assert_eq!(rounded(noise, losses).is_some(), doubted, "{noise:?} {losses:?}");
        }
    }

    #[test]
    fn losses_that_are_none_are_told_with_the_nearest() {
        assert_eq!(not_finite(&[1.0, 2.0], &[0.0, 1.0], ""), None);
        let told = not_finite(&[1.0, NAN, f64::INFINITY], &[0.0, 1.0, 0.5], SMALLER_RANGE).unwrap();
        assert!(told.contains("at 2 of 3 points, from a step of 0.5000 on"), "{told}");
    }

    #[test]
    fn directions_disagree_where_most_of_a_ring_does() {
        // On eight places of each ring, two pairs of directions.
        let ring = |place: f64, factor: f64| (0..8).map(move |_| (place, vec![place * place, factor * place * place]));
        let rings = |factors: &[f64]| -> Vec<(f64, Vec<f64>)> {
            factors.iter().zip(1..).flat_map(|(factor, at)| ring(f64::from(at) * 0.25, *factor)).collect()
        };
        for (factors, from) in [
            (&[1.0, 1.1, 1.9, 2.0][..], None),
            (&[1.0, 1.1, 2.1, 1.0], Some("Between steps of 0.7500 and 1.000 ")),
            (&[3.0, 1.0, 1.0, 1.0], Some("Between steps of 0.2500 and 0.5000 ")),
            (
                &[1.0, 3.0, 1.0, 2.5],
                Some("From a step of 0.5000 on the directions disagree by up to a factor of 3.000"),
            ),
            (&[1.0, -1.0], Some("From a step of 0.5000 on the directions disagree by rise and fall")),
        ] {
            let told = apart(&rings(factors));
            assert_eq!(told.is_some(), from.is_some(), "{factors:?}: {told:?}");
            assert!(from.is_none_or(|from| told.as_ref().unwrap().contains(from)), "{factors:?}: {told:?}");
        }
        // A few places of a ring are not the ring.
        let mut some = rings(&[1.0, 1.0]);
        some[8].1 = vec![1.0, 9.0];
        assert_eq!(apart(&some), None);
        // One pair says nothing, and the solution itself neither.
        assert_eq!(apart(&[(0.5, vec![1.0]), (0.0, vec![0.0, 5.0])]), None);
        assert_eq!(apart(&[(0.5, vec![NAN, 1.0])]), None);
        let beyond: Vec<(f64, Vec<f64>)> = [rings(&[1.0, 3.0, 1.0]), vec![(0.6, vec![NAN, 1.0])]].concat();
        assert!(apart(&beyond).unwrap().contains("Between steps of 0.5000 and 0.7500"));
        let steps: Vec<f64> = (-20..=20).map(|at| f64::from(at) / 20.0).collect();
        let bowl: Vec<f64> = steps.iter().map(|t| 1.0 + t * t).collect();
        let steep: Vec<f64> = steps.iter().map(|t| 1.0 + t * t * if t.abs() > 0.55 { 4.0 } else { 1.1 }).collect();
        assert_eq!(apart_along(&steps, &[&bowl, &bowl]), None);
        assert!(apart_along(&steps, &[&bowl, &steep]).unwrap().contains("a factor of 4.000"));
        assert_eq!(apart_along(&[1.0, 2.0], &[&bowl[..2], &steep[..2]]), None);
    }

    #[test]
    fn a_plane_that_holds_little_is_told() {
        assert_eq!([0.8, 0.79, NAN].map(|explained| projected(explained).is_some()), [false, true, true]);
        assert_eq!([0.8, 0.79, NAN].map(|explained| two_components("all", explained).is_some()), [false, true, true]);
        assert_eq!([1, 2].map(|pairs| one_pair(pairs).is_some()), [true, false]);
    }

    #[test]
    fn a_grid_is_coarse_where_the_solution_stands_alone() {
        for (losses, centre, beside, doubted) in [
            (&[1.0, 2.0, 3.0, 4.0][..], 1.0, &[1.5][..], false),
            (&[1.0, 2.0, 3.0, 4.0], 1.0, &[1.5, 2.0], true),
            // On a logarithmic scale.
            (&[0.1, 1.0, 1000.0], 0.1, &[0.9], false),
            (&[0.1, 1.0, 1000.0], 0.1, &[1.1], true),
            // Not on the grid at all.
            (&[3.0, 3.1], 1.0, &[3.0], true),
            (&[1.0, 1.0], 1.0, &[1.0], false),
            (&[1.0, NAN], 1.0, &[NAN], false),
        ] {
            assert_eq!(coarse(losses, centre, beside).is_some(), doubted, "{losses:?} {beside:?}");
        }
    }

    #[test]
    fn an_accuracy_near_guessing_is_doubted() {
        for (target, accuracy, low, expected) in [
            (Target::Classes(10), 0.12, 0.099, true),
            (Target::Classes(10), 0.13, 0.115, false),
            (Target::Classes(10), 0.05, 0.04, true),
            (Target::Classes(2), 0.7, 0.66, false),
            (Target::Classes(2), 0.52, 0.5, true),
            (Target::ClassesByPlace(64), 0.02, 0.015, true),
            (Target::Classes(1), 1.0, 1.0, false),
            (Target::Values(3), 0.0, 0.0, false),
        ] {
            assert_eq!(near_chance("test", target, accuracy, low).is_some(), expected, "{target:?} {accuracy} {low}");
        }
        let over = |accuracy, samples| near_chance_over("test", Target::Classes(2), accuracy, samples).is_some();
        assert!(over(Some(0.6), 20.0) && !over(Some(0.6), 2000.0) && !over(None, 20.0) && !over(Some(0.6), 0.0));
    }

    #[test]
    fn subsets_are_wider_than_an_effect_or_not() {
        let told = |one: &[f64], other: &[f64]| cases_differ("subsets", "loss", [("a", one), ("b", other)]).is_some();
        assert!(!told(&[1.0, 1.1], &[2.0, 2.1]) && told(&[1.0, 1.1], &[1.05, 1.06]) && told(&[1.0, 1.01], &[1.0, 3.5]));
        assert!(!told(&[1.0], &[1.0]) && !told(&[], &[]));
        let told = |values: &[f64]| wider_than_itself("barrier", values).is_some();
        assert!(
            told(&[0.0, 0.2])
                && told(&[-1.0, 1.5])
                && !told(&[1.0, 1.2])
                && !told(&[1.0])
                && !told(&[])
                && !told(&[0.0; 3])
        );
    }

    #[test]
    fn searches_that_disagree_by_half_are_told() {
        for (best, spread, doubted) in [
            (1.0, 0.5, false),
            (1.0, 0.51, true),
            (0.0, 0.0, false),
            (-1.0, 2.0, false),
            (NAN, 1.0, false),
            (1.0, NAN, false),
        ] {
            assert_eq!(half_found("a", best, spread).is_some(), doubted, "{best} {spread}");
        }
    }

    #[test]
    fn doubts_are_told_once_each() {
        assert_eq!(Doubts::of([Some("A.".into()), None, Some("A.".into())]).reasons(), ["A."]);
        let mut doubts = Doubts::default();
        assert!(doubts.caption().is_empty() && doubts.cell().starts_with("nothing"));
        doubts.add(None);
        doubts.add(Some("A.".into()));
        doubts.add(Some("A.".into()));
        assert_eq!((doubts.reasons().len(), doubts.caption().as_str()), (1, " Can it be trusted? A."));
        assert_eq!(doubts.cell(), "with care: one reason below");
        doubts.add(Some("B.".into()));
        assert_eq!(doubts.cell(), "with care: 2 reasons below");
    }
}
