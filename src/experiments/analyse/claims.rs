//! Claims of solutions beside each other: which has the lower loss, which is flatter by each measure, and whether a barrier
//! lies between. A case is a subset of the samples, or a draw of directions: of a whole split there is one.

use super::around::{is_of, region_words};
use super::{Analyse, Directions};
use crate::analysis::interpolation::{at, hill};
use crate::analysis::statistics::PairedComparison;
use crate::study::claim::{Claim, Quantity, Unit};
use crate::study::{Done, Findings, Stated, Trial as _, With, cell};
use crate::tasks::analyse::{Measure, Split};
use crate::tasks::subject::Solution;
use anyhow::Result;

const SUBSETS: Unit = Unit { one: "subset", many: "subsets", more: "--samples N --repeats 5" };
/// Where all samples are looked at: one case, whatever it says.
const WHOLE: Unit = Unit { one: "whole split", many: "whole splits", more: "--samples N --repeats 5" };
const DRAWS: Unit = Unit { one: "draw of directions", many: "draws of directions", more: "--repeats 5" };

/// A number of a trial, of those that have it.
type Number = Box<dyn Fn(&Done<Analyse>) -> Option<f64>>;

/// By what one solution may be flatter than another.
struct Flatness {
    /// In a claim's name.
    key: String,
    what: String,
    /// The figure that shows it.
    figure: &'static str,
    unit: Unit,
    /// Over whose samples.
    split: Split,
    of: Number,
}

impl Analyse {
    pub(super) fn claim(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        let solutions = &self.subject.solutions;
        if let Some((first, others)) = solutions.split_first().filter(|(_, others)| !others.is_empty()) {
            // A path's checkpoints are no rivals.
            for other in others.iter().filter(|_| !self.is_path_alone()) {
                self.claim_lower(done, [first, other], findings)?;
                self.claim_flatter(done, [first, other], findings)?;
            }
        }
        self.claim_barriers(done, findings)
    }

    /// What is repeated: of a whole split nothing but the directions.
    fn cases(&self, unit: Unit, split: Split) -> Unit {
        if unit == SUBSETS && self.is_all(split) { WHOLE } else { unit }
    }

    /// A number of each seed of a solution.
    pub(super) fn by_seed(
        &self,
        done: &[Done<Self>],
        solution: &Solution,
        of: impl Fn(&Done<Self>) -> Option<f64>,
    ) -> Vec<(u64, f64)> {
        let mut found: Vec<(u64, f64)> = Vec::new();
        for done in done.iter().filter(|done| done.trial.content == solution.opened.content) {
            let seed = done.trial.seed();
            if let Some(number) = of(done).filter(|_| found.iter().all(|(known, _)| *known != seed)) {
                found.push((seed, number));
            }
        }
        found
    }

    /// That the numbers of the first solution, one a case, are lower than those of the second; of a whole split one of either
    /// is left: the same samples again are no further case. Nothing where one has none.
    fn compared(
        &self,
        stated: Stated,
        pair: [&Solution; 2],
        of_each: &mut [Vec<(u64, f64)>; 2],
        (unit, split): (Unit, Split),
    ) -> Option<Claim> {
        let unit = self.cases(unit, split);
        if unit == WHOLE {
            of_each.iter_mut().for_each(|numbers| numbers.truncate(1));
        }
        let ([one, other], [first, second]) = (&*of_each, pair.map(|solution| solution.name.as_str()));
        let has_both = !one.is_empty() && !other.is_empty();
        has_both.then(|| stated.compared(unit, &[PairedComparison::of_numbers((first, one), (second, other))]))
    }

    fn claim_lower(&self, done: &[Done<Self>], pair: [&Solution; 2], findings: &mut Findings) -> Result<()> {
        for split in [Split::Train, Split::Test] {
            // Whatever was measured over the split's samples began with their loss.
            let loss = |done: &Done<Self>| match &done.trial.measure {
                Measure::Sharpness { over, .. } if over.split == split => done.measured().scalars.get("loss").copied(),
                Measure::Gradient { over } if over.split == split => done.measured().scalars.get("loss").copied(),
                Measure::Slices { over, .. } if over.split == split => {
                    done.measured().scalars.get("center_loss").copied()
                }
                Measure::Accuracy {} if self.is_all(split) => {
                    done.measured().scalars.get(&format!("{}_loss", split.prefix())).copied()
                }
                _ => None,
            };
            let mut of_each = pair.map(|solution| self.by_seed(done, solution, loss));
            if of_each.iter().any(Vec::is_empty) {
                of_each = self.ends_by_seed(done, pair, split);
            }
            let what = split.name();
            let [first, second] = pair.map(|solution| &solution.name);
            // The first of these that was drawn has the loss of both.
            let drawn = |name: &&str| findings.figures.iter().any(|figure| figure.name == **name);
            let figure = ["line", "slices"].into_iter().find(drawn).unwrap_or_default();
            let with: With = &[
                ("first", first),
                ("second", second),
                ("split", &split.prefix()),
                ("samples_of", &what),
                ("figure", &figure),
            ];
            let stated = findings.claim("analyse-lower", with)?;
            findings.claims.extend(self.compared(stated, pair, &mut of_each, (SUBSETS, split)));
        }
        Ok(())
    }

    /// The losses at both ends of the line between two solutions.
    fn ends_by_seed(&self, done: &[Done<Self>], pair: [&Solution; 2], split: Split) -> [Vec<(u64, f64)>; 2] {
        let mut found = [Vec::new(), Vec::new()];
        for (ends, its) in self.lines_of(done) {
            if [&ends[0], &ends[1]] != pair.map(|solution| &solution.name) {
                continue;
            }
            for done in its {
                let losses = done.measured().series.get(&format!("{}_loss", split.prefix()));
                let Some((losses, alphas)) = losses.zip(done.measured().series.get("alpha")) else { continue };
                if let [Some(first), Some(second)] = [0.0, 1.0].map(|end| at(alphas, losses, end)) {
                    found[0].push((done.trial.seed(), first));
                    found[1].push((done.trial.seed(), second));
                }
            }
        }
        found
    }

    fn claim_flatter(&self, done: &[Done<Self>], pair: [&Solution; 2], findings: &mut Findings) -> Result<()> {
        for Flatness { key, what, figure, unit, split, of } in self.flatness() {
            let mut of_each = pair.map(|solution| self.by_seed(done, solution, &of));
            let [first, second] = pair.map(|solution| &solution.name);
            let with: With =
                &[("first", first), ("second", second), ("key", &key), ("what", &what), ("figure", &figure)];
            let stated = findings.claim("analyse-flatter", with)?;
            let claim = self.compared(stated, pair, &mut of_each, (unit, split));
            let is_below = of_each.iter().flatten().any(|(_, number)| *number <= 0.0);
            let note = if is_below { "Some are not above 0: where they were measured is no minimum." } else { "" };
            findings.claims.extend(claim.map(|claim| claim.noting(note)));
        }
        Ok(())
    }

    fn flatness(&self) -> Vec<Flatness> {
        let scalar = |name: &'static str| move |done: &Done<Self>| done.measured().scalars.get(name).copied();
        let (along, unit) = match self.directions {
            Directions::Random => ("random directions", DRAWS),
            Directions::Hessian => ("the leading eigenvectors of the Hessian", SUBSETS),
        };
        let mut all = vec![Flatness {
            key: "slices".into(),
            what: format!("mean rise of the loss along {along}"),
            figure: "slices",
            unit,
            split: self.split,
            of: Box::new(move |done| match &done.trial.measure {
                Measure::Slices { .. } => scalar("rise")(done),
                _ => None,
            }),
        }];
        for region in self.regions() {
            let (_, name, what, _) = region_words(&region);
            let key = what.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', " ");
            all.push(Flatness {
                key: key.split_whitespace().collect::<Vec<_>>().join("-"),
                what,
                figure: "sharpness",
                unit: SUBSETS,
                split: Split::Train,
                of: Box::new(move |done| is_of(done, &region, Split::Train).then(|| scalar(name)(done)).flatten()),
            });
        }
        let whole = |done: &Done<Self>| matches!(&done.trial.measure, Measure::Spectrum { probes, .. } if probes.layer.is_none());
        all.push(Flatness {
            key: "eigenvalue".into(),
            what: format!("largest eigenvalue of the {}", self.matrix_name()),
            figure: "spectrum",
            unit: SUBSETS,
            split: self.split,
            of: Box::new(move |done| {
                let largest = done.measured().series.get("top_eigenvalues").and_then(|values| values.first().copied());
                largest.filter(|_| whole(done))
            }),
        });
        all.push(Flatness {
            key: "trace".into(),
            what: format!("trace of the {}", self.matrix_name()),
            figure: "spectrum",
            unit: SUBSETS,
            split: self.split,
            of: Box::new(move |done| scalar("trace")(done).filter(|_| whole(done))),
        });
        all
    }

    /// Of each pair of solutions, by the error where there are classes, else by the loss as a share of that of the worse end.
    fn claim_barriers(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        for ([first, second], its) in self.lines_of(done) {
            let has = |name: &str| its.iter().all(|done| done.measured().scalars.contains_key(name));
            let again = if has("recalibrated_barrier") { "recalibrated_" } else { "" };
            let how = if again.is_empty() { "" } else { ", with BatchNorm's statistics taken anew at each α" };
            let by_error = has(&format!("{again}error_barrier"));
            let number = |done: &&Done<Self>| -> Result<f64> {
                if by_error {
                    return done.measured().scalar(&format!("{again}error_barrier"));
                }
                let losses = done.measured().series(&format!("{again}train_loss"))?;
                let alphas = done.measured().series("alpha")?;
                let [first, second] = [0.0, 1.0].map(|end| at(alphas, losses, end).unwrap_or(f64::NAN));
                Ok(hill(alphas, losses).unwrap_or(f64::NAN) / first.max(second))
            };
            let unit = self.cases(SUBSETS, Split::Train);
            let mut values = its.iter().map(number).collect::<Result<Vec<f64>>>()?;
            if unit == WHOLE {
                values.truncate(1);
            }
            let key = if by_error { "analyse-barrier" } else { "analyse-loss-barrier" };
            let with: With = &[("first", &first), ("second", &second), ("how", &how)];
            let quantity = match by_error {
                true => Quantity::new("barrier of the train error", values).range([-1.0, 1.0]),
                false => Quantity::new("rise of the train loss, by that of the worse end", values),
            };
            let claim = findings.claim(key, with)?.interval(unit, &[quantity]);
            let plain: Vec<f64> =
                its.iter().filter_map(|done| done.measured().scalars.get("barrier").copied()).collect();
            let note = match plain.first().filter(|_| !again.is_empty()) {
                Some(barrier) => format!("By interpolated statistics the train loss has one of {}.", cell(*barrier)),
                None => String::new(),
            };
            findings.claims.push(claim.noting(&note));
        }
        Ok(())
    }
}
