//! What is told of each solution by itself: losses and accuracies, gradient, spectrum, sensitivity; as a table and
//! figures.

use super::{Analyse, MatrixName};
use crate::analysis::spectrum::outliers;
use crate::analysis::statistics::mean;
use crate::data::Target;
use crate::plot::{Axis, Color, Mark, Panel, Series};
use crate::study::number::{significant, some_of};
use crate::study::seeds::means_at_points;
use crate::study::trust::{self, Doubts};
use crate::study::{Cell, Done, Findings, landscape};
use crate::tasks::analyse::{Measure, Probes, Split};
use crate::tasks::subject::Solution;
use anyhow::Result;

/// A scalar of some trials, as the table shows it.
struct Row {
    quantity: &'static str,
    name: &'static str,
    /// The scalar that is its standard error, where one has it.
    error: Option<&'static str>,
}

const ROWS: [Row; 6] = [
    Row { quantity: "loss", name: "loss", error: None },
    Row { quantity: "gradient norm ‖g‖", name: "gradient_norm", error: None },
    Row { quantity: "curvature along g", name: "gradient_curvature", error: None },
    Row { quantity: "trace", name: "trace", error: Some("trace_standard_error") },
    Row { quantity: "input gradient norm", name: "input_gradient_norm", error: None },
    Row { quantity: "Jacobian norm", name: "jacobian_norm", error: None },
];

/// Those of the sensitivity.
const SENSITIVITY: [&str; 2] = ["input_gradient_norm", "jacobian_norm"];

impl Analyse {
    /// The finished trials of each solution, with what stands behind the name of a quantity where there are several.
    pub(super) fn of_each<'a>(&'a self, done: &'a [Done<Self>]) -> Vec<(String, &'a Solution, Vec<&'a Done<Self>>)> {
        let solutions = &self.subject.solutions;
        let of = |solution: &'a Solution| {
            let behind = if solutions.len() > 1 { format!(", {}", solution.name) } else { String::new() };
            let its = done.iter().filter(|done| done.trial.content == solution.opened.content);
            let its = its.filter(|done| !matches!(done.trial.measure, Measure::Line { .. } | Measure::Path { .. }));
            (behind, solution, its.collect())
        };
        solutions.iter().map(of).collect()
    }

    /// "1000 of 50000 training samples".
    pub(super) fn over(&self, split: Split) -> String {
        let (all, what) = (self.size_of(split), format!("{} samples", split.name()));
        if self.is_all(split) { format!("all {all} {what}") } else { some_of(self.samples, all, &what) }
    }

    pub(super) fn fill_table(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        findings.columns = ["quantity", "value", "", "over"].map(str::to_owned).to_vec();
        for (behind, _, its) in self.of_each(done) {
            self.rows_of(&behind, &its, findings);
        }
        Ok(())
    }

    fn rows_of(&self, behind: &str, done: &[&Done<Self>], findings: &mut Findings) {
        let over = self.over(self.split);
        for (split, size) in ["train", "test"].into_iter().zip(self.sizes()) {
            for done in done.iter().filter(|done| matches!(done.trial.measure, Measure::Accuracy {})) {
                let scalars = &done.record.measured.scalars;
                let of = |name: &str| scalars.get(&format!("{split}_{name}")).copied();
                let over = format!("all {size} {} samples", if split == "train" { "training" } else { "test" });
                if let Some(loss) = of("loss") {
                    findings.rows.push(vec![
                        format!("{split} loss{behind}").into(),
                        Cell::Number(loss),
                        "".into(),
                        over.clone().into(),
                    ]);
                }
                if let (Some(accuracy), Some(low), Some(high)) =
                    (of("accuracy"), of("accuracy_low"), of("accuracy_high"))
                {
                    let interval = format!("{low:.4} to {high:.4}");
                    findings.rows.push(vec![
                        format!("{split} accuracy{behind}").into(),
                        Cell::Number(accuracy),
                        interval.into(),
                        over.into(),
                    ]);
                }
            }
        }
        // Of all of the network, and no numbers that belong to a picture.
        let whole = |done: &&&Done<Self>| match &done.trial.measure {
            Measure::Spectrum { probes, .. } => probes.layer.is_none(),
            Measure::Gradient { .. } | Measure::Sensitivity { .. } => true,
            _ => false,
        };
        let whole: Vec<&Done<Self>> = done.iter().filter(whole).copied().collect();
        for Row { quantity, name, error } in &ROWS {
            let values: Vec<f64> =
                whole.iter().filter_map(|done| done.record.measured.scalars.get(*name).copied()).collect();
            let mut errors = whole.iter().filter_map(|done| done.record.measured.scalars.get((*error)?).copied());
            let error = errors.next_back().map(|error| format!("standard error {}", significant(error, 2)));
            let over = if SENSITIVITY.contains(name) { self.over(self.unseen()) } else { over.clone() };
            self.push_row(findings, &format!("{quantity}{behind}"), &values, error, &over);
        }
        for (series, residuals, what) in
            [("top_eigenvalues", "top_residuals", "largest"), ("bottom_eigenvalues", "bottom_residuals", "smallest")]
        {
            for rank in 0..self.eigenvalues {
                let at = |name: &str| -> Vec<f64> {
                    whole.iter().filter_map(|done| done.record.measured.series.get(name)?.get(rank).copied()).collect()
                };
                let residual = at(residuals).first().map(|residual| format!("residual {}", significant(*residual, 2)));
                self.push_row(
                    findings,
                    &format!("eigenvalue, {what} {}{behind}", rank + 1),
                    &at(series),
                    residual,
                    &over,
                );
            }
        }
        for done in &whole {
            if let Some(top) = done.record.measured.series.get("top_eigenvalues")
                && let (Some(count), true) = (outliers(top), done.seed() == self.seeds.seed)
            {
                findings.notes.push(format!(
                    "Of the {} largest eigenvalues{behind} {count} lie above the widest gap, as a ratio of neighbours.",
                    top.len()
                ));
            }
        }
    }

    /// Of one seed a number with its own error, of several their mean with its interval.
    pub(super) fn push_row(
        &self,
        findings: &mut Findings,
        quantity: &str,
        values: &[f64],
        error: Option<String>,
        over: &str,
    ) {
        let Some(first) = values.first() else { return };
        let (value, error) = match mean(values).filter(|_| values.len() > 1) {
            None => (*first, error.unwrap_or_default()),
            Some(estimate) => {
                let interval =
                    estimate.interval.map(|[low, high]| format!("{} to {}", significant(low, 4), significant(high, 4)));
                (estimate.value, interval.unwrap_or_default())
            }
        };
        findings.rows.push(vec![quantity.into(), Cell::Number(value), error.into(), over.into()]);
    }

    pub(super) fn matrix_name(&self) -> &'static str {
        match self.matrix {
            MatrixName::Hessian => "Hessian",
            MatrixName::Ggn => "Gauss-Newton matrix",
        }
    }

    pub(super) fn show_spectrum(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        let of = |done: &Done<Self>| matches!(&done.trial.measure, Measure::Spectrum { probes, .. } if probes.layer.is_none());
        let (mut nodes, mut top, mut doubts) = (Vec::new(), Vec::new(), Doubts::default());
        let each = self.of_each(done);
        let several = each.len() > 1;
        for (color, (_, solution, its)) in each.iter().enumerate() {
            let its: Vec<&Done<Self>> = its.iter().filter(|done| of(done)).copied().collect();
            let look = || (if several { solution.name.clone() } else { String::new() }, color);
            for done in &its {
                let of_name = |name: &str| done.record.measured.series.get(name).map(Vec::as_slice);
                // Of several seeds that of the first: nodes do not lie at the same places.
                if let (Some(of_nodes), Some(weights), true) =
                    (of_name("density_eigenvalues"), of_name("density_weights"), done.seed() == self.seeds.seed)
                {
                    nodes.push((look(), of_nodes, weights));
                }
                top.extend(
                    of_name("top_eigenvalues").filter(|values| !values.is_empty()).map(|values| (look(), values)),
                );
                let scalar = |name: &str| done.record.measured.scalars.get(name).copied();
                doubts.add(trust::unconverged(scalar("converged")));
                if let (Some(trace), Some(error)) = (scalar("trace"), scalar("trace_standard_error")) {
                    doubts.add(trust::vague_trace(trace, error));
                }
            }
        }
        if !self.is_all(self.split) {
            let whole = |done: &Done<Self>| of(done).then(|| done.record.measured.clone());
            doubts.add(self.differ_over("subsets", done, "trace", |done| whole(done)?.scalars.get("trace").copied()));
            let largest = |done: &Done<Self>| whole(done)?.series.get("top_eigenvalues")?.first().copied();
            doubts.add(self.differ_over("subsets", done, "largest eigenvalue", largest));
        }
        let mut panels = Vec::new();
        if let Some((_, first, _)) = nodes.first() {
            let least = landscape::least_density(self.layout().parameters() as f64, first);
            panels.push(landscape::densities_above(least, nodes));
        }
        if !top.is_empty() {
            // As many outliers as classes, or nearly (Sagun et al. 2018): where that many are shown.
            let is_near = |classes: i64| classes as usize <= 2 * self.eigenvalues;
            let target = Some(self.signature().target).filter(|target| target.classes().is_some_and(is_near));
            panels.push(landscape::eigenvalues(top, target.unwrap_or(Target::Values(1))));
        }
        if done.iter().any(of) {
            self.doubt("spectrum", &doubts, findings);
        }
        if panels.is_empty() {
            return Ok(());
        }
        let (network, loss_name, over) = (self.subject.name(), self.loss().name(), self.over(self.split));
        findings.figure(
            "spectrum",
            &[
                ("network", &network),
                ("of", &self.matrix_name()),
                ("loss_name", &loss_name),
                ("over", &over),
                ("doubts", &doubts.caption()),
            ],
            2,
            panels,
        )
    }

    /// A row that says whether a figure can be trusted, and why not.
    pub(super) fn doubt(&self, figure: &str, doubts: &Doubts, findings: &mut Findings) {
        let row = [format!("trust in {figure}").into(), doubts.cell().into(), "".into(), "".into()];
        findings.rows.push(row.to_vec());
        findings.notes.extend(doubts.notes(figure));
        findings.doubt(figure, doubts);
    }

    /// Norms and curvatures of each layer, in their order.
    pub(super) fn show_layers(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        let layers = self.layers();
        if layers.len() < 2 {
            return Ok(());
        }
        let ranks = |values: &[f64]| -> Vec<(f64, f64)> { (1..).map(f64::from).zip(values.iter().copied()).collect() };
        let (each, mut norms) = (self.of_each(done), Vec::new());
        for (color, (_, solution, its)) in each.iter().enumerate() {
            let its = its.iter().filter_map(|done| done.record.measured.series.get("layer_gradient_norms"));
            let label = if each.len() > 1 { solution.name.as_str() } else { "" };
            norms.extend(its.map(|norms| Series::new(label, Color::Cycle(color), ranks(norms)).mark(Mark::LinePoints)));
        }
        let mut panels = Vec::new();
        if !norms.is_empty() {
            panels.push(Panel::plot("", Axis::linear("layer"), Axis::log("gradient norm"), means_at_points(norms)));
        }
        let mut points: [Vec<(f64, f64)>; 2] = [Vec::new(), Vec::new()];
        let (mut doubts, mut vague) = (Doubts::default(), 0);
        // Of several solutions those of the first.
        let of_first = each.first().map(|(.., its)| its.clone()).unwrap_or_default();
        for done in of_first.into_iter().filter(|done| done.seed() == self.seeds.seed) {
            let Measure::Spectrum { probes: Probes { layer: Some(layer), .. }, .. } = &done.trial.measure else {
                continue;
            };
            let Some(place) = layers.iter().position(|name| name == layer) else { continue };
            let measured = &done.record.measured;
            if let Some(top) = measured.series.get("top_eigenvalues").and_then(|values| values.first()) {
                points[0].push((place as f64 + 1.0, *top));
            }
            doubts.add(trust::unconverged(measured.scalars.get("converged").copied()));
            if let Some(trace) = measured.scalars.get("trace") {
                points[1].push((place as f64 + 1.0, *trace));
                // Of how many layers the next sentence says.
                let error = measured.scalars.get("trace_standard_error").copied();
                vague += usize::from(error.is_some_and(|error| trust::vague_trace(*trace, error).is_some()));
            }
        }
        doubts.add((vague > 0).then(|| {
            let all = points[1].len();
            format!(
                "In {vague} of {all} layers the trace is no larger than its standard error: more --set trace_probes."
            )
        }));
        let [top, trace] = points;
        let has_blocks = !top.is_empty() || !trace.is_empty();
        if has_blocks {
            let series = vec![
                Series::new("largest eigenvalue", Color::Cycle(0), top).mark(Mark::LinePoints),
                Series::new("trace", Color::Cycle(1), trace).mark(Mark::LinePoints),
            ];
            let axis = Axis::log(format!("{} of a layer", self.matrix_name()));
            panels.push(Panel::plot("", Axis::linear("layer"), axis, series));
        }
        if panels.is_empty() {
            return Ok(());
        }
        let (network, loss_name, over) = (self.subject.name(), self.loss().name(), self.over(self.split));
        if has_blocks {
            self.doubt("layers", &doubts, findings);
        }
        let words = if has_blocks {
            format!(", and of its own block of the {} the largest eigenvalue and the trace", self.matrix_name())
        } else {
            String::new()
        };
        findings.figure(
            "layers",
            &[
                ("network", &network),
                ("loss_name", &loss_name),
                ("over", &over),
                ("by_layer_words", &words),
                ("doubts", &if has_blocks { doubts.caption() } else { String::new() }),
            ],
            2,
            panels,
        )
    }
}
