//! Whether what is asked around and between solutions makes sense, and whether there are such solutions.

use super::{Analyse, Directions, MOST_PROBES, MOST_STEPS, MeasureName};
use crate::study::{Experiment as _, Held, check};
use crate::tasks::analyse::memory;
use crate::tasks::line;

/// More are a slip of the pen.
const MOST_ALPHAS: u64 = 10_001;
const MOST_GRID: u64 = 301;
const MOST_PAIRS: u64 = 100;
const MOST_DIRECTIONS: u64 = 1000;
const MOST_POINTS: u64 = 10_001;
const MOST_SOLUTIONS: usize = 1000;
/// Of a path: two span a line.
const FEWEST_CHECKPOINTS: usize = 3;

impl Analyse {
    pub(super) fn check_landscape(&self) -> Result<(), String> {
        let asks = |name| self.measure.0.contains(&name);
        let solutions = &self.subject.solutions;
        if solutions.len() > MOST_SOLUTIONS {
            return Err(format!("{} weights; at most {MOST_SOLUTIONS}: name fewer", solutions.len()));
        }
        line::check_range(self.alphas, MOST_ALPHAS, [self.alpha_min, self.alpha_max])?;
        check::within("grid", self.grid as u64, 2..=MOST_GRID)?;
        check::within("pairs", self.pairs, 1..=MOST_PAIRS)?;
        check::within("slice_directions", self.slice_directions, 1..=MOST_DIRECTIONS)?;
        check::within("slice_points", self.slice_points as u64, 3..=MOST_POINTS)?;
        if self.slice_points.is_multiple_of(2) {
            let (points, one_more) = (self.slice_points, self.slice_points + 1);
            return Err(format!("slice_points is {points}; the solution itself must be among them: try {one_more}"));
        }
        if !(self.range > 0.0 && self.range.is_finite()) {
            return Err(format!("range is {}; it must be above 0", self.range));
        }
        check::factor("range", self.range)?;
        for (name, values) in [("epsilons", &self.epsilons), ("rhos", &self.rhos)] {
            check::sizes(name, values)?;
        }
        check::within("sharpness_starts", self.sharpness_starts, 1..=MOST_PROBES)?;
        check::within("sharpness_steps", self.sharpness_steps, 1..=MOST_STEPS)?;
        if asks(MeasureName::Sharpness) && self.regions().next().is_none() {
            return Err("sharpness is measured in no box: name some with --set epsilons=[…] or rhos=[…]".into());
        }
        if self.recalibration_batch == 1 {
            return Err(
                "recalibration_batch is 1, and one sample has no variance: take 2 or more, or 0 for none".into()
            );
        }
        self.check_solutions()?;
        if let (Some(batch), true) = (self.recalibration(), asks(MeasureName::Line)) {
            let [least, most] = self.subject.opened().batches();
            if !(least..=most).contains(&i64::from(batch)) {
                return Err(format!(
                    "recalibration_batch is {batch}, and the program takes {least} to {most} samples at a time: choose another \
                     with --set recalibration_batch=N, or 0 for none"
                ));
            }
        }
        Ok(())
    }

    /// What its trials hold at most, by what is measured.
    pub(super) fn held(&self) -> Vec<Held> {
        let asks = |name| self.measure.0.contains(&name);
        let parameters = self.layout().parameters();
        let vector = 8 * parameters.unsigned_abs() as u128;
        // θ, its gradient, and the model as it was read.
        let mut held = vec![Held::new(format!("a model of {parameters} parameters"), 6 * vector, "lower --jobs")];
        if self.measures().contains(&MeasureName::Spectrum) {
            let what = format!("{0} largest and {0} smallest eigenvalues of {parameters} parameters", self.eigenvalues);
            let smaller = "lower --set eigenvalues (0: trace and density alone), or leave spectrum out of --measure";
            let bytes = memory(parameters, (self.trace_probes, self.eigenvalues), self.precision);
            held.push(Held::new(what, bytes, smaller));
        }
        if asks(MeasureName::Slices) {
            let count = self.slice_directions;
            let what = format!("{count} directions of {parameters} parameters");
            held.push(Held::new(what, 2 * u128::from(count) * vector, "lower --set slice_directions"));
        }
        if self.directions == Directions::Hessian && (asks(MeasureName::Slices) || asks(MeasureName::Surface)) {
            let count = if asks(MeasureName::Slices) { self.slice_directions as usize } else { 2 };
            let what = format!("{count} leading eigenvectors of {parameters} parameters");
            let bytes = memory(parameters, (0, count), self.precision);
            held.push(Held::new(what, bytes, "choose --directions random"));
        }
        held
    }

    fn check_solutions(&self) -> Result<(), String> {
        let asks = |name| self.measure.0.contains(&name);
        let ends = self.subject.ends();
        if asks(MeasureName::Line) && ends.len() < 2 {
            return Err(
                "a line is between two solutions, and there is one: name weights with --weights, or a second .pt2"
                    .into(),
            );
        }
        let ends = if asks(MeasureName::Line) { ends } else { self.subject.solutions.clone() };
        let same = (1..ends.len())
            .find_map(|at| Some((at, (0..at).find(|before| ends[*before].opened.content == ends[at].opened.content)?)));
        if let (Some((at, before)), false) = (same, self.is_path_alone()) {
            return Err(format!(
                "{} and {} are the same weights: name each solution once",
                ends[before].name, ends[at].name
            ));
        }
        self.check_labels()?;
        let count = self.subject.weights.len();
        if asks(MeasureName::Path) {
            let how = "name the checkpoints of a training with --weights, in natural order of their names";
            match count {
                0 => return Err(format!("a path is through checkpoints, and none is named: {how}")),
                1 => return Err(format!("a path is through checkpoints, and one is none: {how}")),
                _ if count < FEWEST_CHECKPOINTS => {
                    return Err(format!(
                        "{count} checkpoints span a line and no plane: see it with --measure line, or {how}"
                    ));
                }
                _ => {}
            }
            let all_equal = ends.iter().all(|end| end.opened.content == ends[0].opened.content);
            if all_equal {
                return Err(format!("all {count} checkpoints are equal: there is no path between them"));
            }
        }
        Ok(())
    }

    /// That no two trials are called the same, as pairs of "a" and "b-c" and of "a-b" and "c" would be.
    fn check_labels(&self) -> Result<(), String> {
        if self.subject.ends().len() < 2 {
            return Ok(());
        }
        let trials = self.all_trials(self.seeds.seed);
        let mut labels: Vec<String> = trials.iter().map(|trial| self.label(trial)).collect();
        labels.sort_unstable();
        let twice = labels.windows(2).find(|pair| pair[0] == pair[1]);
        twice.map_or(Ok(()), |pair| {
            Err(format!("two trials would be called {}: give the files of --weights other names", pair[0]))
        })
    }
}
