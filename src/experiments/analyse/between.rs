//! What is told of the loss between solutions and along a training's path: tables, figures and arrays.

use super::Analyse;
use super::around::words;
use super::trusted::distances;
use crate::analysis::interpolation;
use crate::analysis::statistics::{highest, mean};
use crate::plot::{Axis, Color, Mark, Panel, Series, Surface};
use crate::study::curves::Look;
use crate::study::number::percent;
use crate::study::points::line;
use crate::study::seeds::means_at_points;
use crate::study::surface::component_axes;
use crate::study::trust::{self, Doubts};
use crate::study::{Cell, Done, Findings, cell};
use crate::tasks::analyse::{Measure, Split};
use anyhow::{Context as _, Result};
use std::fmt::Display;

/// More lines than these in one figure could not be told apart.
const MOST_LINES: usize = 12;

impl Analyse {
    /// The finished lines of each pair of solutions, seed by seed.
    pub(super) fn lines_of<'a>(&self, done: &'a [Done<Self>]) -> Vec<([String; 2], Vec<&'a Done<Self>>)> {
        let mut pairs: Vec<([String; 2], Vec<&Done<Self>>)> = Vec::new();
        for done in done {
            let Some(ends) = self.ends(&done.trial) else { continue };
            match pairs.iter_mut().find(|(known, _)| *known == ends) {
                Some((_, its)) => its.push(done),
                None => pairs.push((ends, vec![done])),
            }
        }
        pairs
    }

    pub(super) fn show_lines(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        let pairs = self.lines_of(done);
        if pairs.is_empty() {
            return Ok(());
        }
        let train = self.over(Split::Train);
        let test = match self.size_of(Split::Test) {
            0 => String::new(),
            _ => format!(" (solid) and {} (dashed)", self.over(Split::Test)),
        };
        let mut doubts = Doubts::default();
        let (mut panels, several) = (Vec::new(), pairs.len() > 1);
        let is_recalibrated = done.iter().any(|done| done.measured().series.contains_key("recalibrated_train_loss"));
        for (ends, its) in &pairs {
            let behind = if several { format!(", {} to {}", ends[0], ends[1]) } else { String::new() };
            for (name, what) in [
                ("barrier", "barrier of the train loss"),
                ("error_barrier", "barrier of the train error"),
                ("recalibrated_barrier", "barrier of the train loss, statistics taken anew"),
                ("recalibrated_error_barrier", "barrier of the train error, statistics taken anew"),
            ] {
                let values: Vec<f64> =
                    its.iter().filter_map(|done| done.measured().scalars.get(name).copied()).collect();
                self.push_row(findings, &format!("{what}{behind}"), &values, None, &train);
                doubts.add(trust::wider_than_itself(&format!("{what}{behind}"), &values));
            }
            for done in its.iter().filter(|done| done.seed() == self.seeds.seed) {
                let losses = done.measured().series("train_loss")?;
                doubts.add(trust::rounded(done.measured().scalars.get("float32_noise").copied(), losses));
                let alphas = done.measured().series("alpha")?;
                // From the middle of the segment: both solutions are themselves.
                let places: Vec<f64> = alphas.iter().map(|alpha| alpha.abs().min((1.0 - alpha).abs())).collect();
                doubts.add(trust::not_finite(losses, &places, ""));
                let samples = done.measured().scalars.get("train_samples").copied().unwrap_or(f64::NAN);
                let accuracies = done.measured().series.get("train_accuracy");
                for end in [0.0, 1.0] {
                    let accuracy = accuracies.and_then(|accuracies| interpolation::at(alphas, accuracies, end));
                    doubts.add(trust::near_chance_over("train", self.signature().target, accuracy, samples));
                }
            }
            if panels.len() < MOST_LINES {
                panels.extend(self.line_panels(ends, its, several)?);
            }
        }
        if pairs.len() > MOST_LINES {
            findings.notes.push(format!("Of {} lines the first {MOST_LINES} are drawn.", pairs.len()));
        }
        if let Some((worst, barrier)) = worst_barrier(&pairs, is_recalibrated) {
            let how = if is_recalibrated { " with statistics taken anew" } else { "" };
            findings.notes.push(format!("The highest barrier of the train loss{how}: {} ({worst}).", cell(barrier)));
        }
        self.doubt("line", &doubts, findings);
        let (network, loss) = (self.subject.name(), self.loss().name());
        let between = match &pairs[..] {
            [([first, second], _)] => format!("from {first} (α = 0) to {second} (α = 1)"),
            _ => format!("between {} solutions", self.subject.ends().len()),
        };
        let again = match self.recalibration().filter(|_| is_recalibrated) {
            None => String::new(),
            Some(batch) => format!(
                " BatchNorm's running statistics are interpolated likewise; in the second colour they are taken anew at each α, \
                 over the same training samples in batches of {batch}: a barrier without that may be the statistics' own."
            ),
        };
        let of = words(&network, &train, &loss);
        let more: [(&str, &dyn Display); 4] =
            [("between", &between), ("test", &test), ("again", &again), ("doubts", &doubts.caption())];
        findings.figure("line", &[&of[..], &more].concat(), 2, panels)
    }

    /// Loss and accuracy of one pair; of several the loss alone.
    fn line_panels(&self, ends: &[String; 2], its: &[&Done<Self>], several: bool) -> Result<Vec<Panel>> {
        let quantity = |quantity: &str| -> Result<(Vec<Series>, Vec<&[f64]>)> {
            let (mut curves, mut all) = (Vec::new(), Vec::new());
            for done in its {
                let alphas = done.measured().series("alpha")?;
                for (color, prefix, how) in [(0, "", ""), (1, "recalibrated_", ", statistics taken anew")] {
                    for (split, mark) in [("train", Mark::Line), ("test", Mark::Dashed)] {
                        let values = done.measured().series.get(&format!("{prefix}{split}_{quantity}"));
                        let Some(values) = values else { continue };
                        let look = (self.seeds.legend(done.seed(), format!("{split}{how}")), color);
                        curves.push(line(look, alphas, values).mark(mark));
                        all.push(&values[..]);
                    }
                }
            }
            Ok((means_at_points(curves), all))
        };
        let rules = || vec![(0.0, ends[0].clone()), (1.0, ends[1].clone())];
        let (losses, all) = quantity("loss")?;
        let title = if several { format!("{} to {}", ends[0], ends[1]) } else { String::new() };
        let mut panels = vec![Panel::plot(title, Axis::linear("α"), self.loss_axis("", &all), losses).rules(rules())];
        let (accuracies, _) = quantity("accuracy")?;
        if !several && !accuracies.is_empty() {
            panels.push(Panel::plot("", Axis::linear("α"), Axis::linear("accuracy"), accuracies).rules(rules()));
        }
        Ok(panels)
    }

    pub(super) fn show_path(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        let Some(done) = done.iter().find(|done| matches!(done.trial.measure, Measure::Path { .. })) else {
            return Ok(());
        };
        let (record, over, before) = (done.measured(), self.over(self.split), "surface_");
        let names: Vec<String> = self.subject.in_order().into_iter().map(|solution| solution.name).collect();
        let of_split = |what: &str| format!("{what}{}_loss", self.split.prefix());
        let (own, projected) = (record.series(&of_split(""))?, record.series(&of_split("projected_"))?);
        let [first, second] = [record.scalar("explained_variance_1")?, record.scalar("explained_variance_2")?];
        let (places_x, places_y) = (record.series("component_1")?, record.series("component_2")?);
        let (from_plane, from_last) = (record.series("distance_from_plane")?, record.series("distance_from_last")?);
        let losses = self.grid_losses(record, before)?;
        let mut doubts = Doubts::default();
        doubts.add(trust::projected(first + second));
        doubts.add(trust::not_finite(losses, &distances(record)?, ""));
        doubts.add(trust::rounded(record.scalars.get("float32_noise").copied(), losses));
        doubts.add(self.near_chance(record));
        if self.subject.has_running_statistics() && self.batch_norm == super::BatchNorm::Running {
            doubts.add(Some(
                "BatchNorm's running statistics are those of the last checkpoint all over the plane, and each checkpoint's own \
                 on its true loss: --batch-norm batch does without them."
                    .into(),
            ));
        }
        for (name, value) in
            [("explained by the first component", first), ("explained by both components", first + second)]
        {
            let row = vec![format!("variance of the path {name}").into(), Cell::Number(value), "".into(), "".into()];
            findings.rows.push(row);
        }
        self.doubt("path", &doubts, findings);
        let [off, far] = [from_plane, from_last].map(|distances| highest(distances).unwrap_or(f64::NAN));
        findings.notes.push(format!(
            "The plane holds {} of the path's variance; the checkpoints lie up to {} off it, {} of the longest way to the last.",
            percent(first + second),
            cell(off),
            percent(off / far)
        ));
        let mut arrays = self.grid_arrays("path".into(), record, before)?;
        for (name, values) in [
            ("component_1", places_x),
            ("component_2", places_y),
            ("distance_from_plane", from_plane),
            ("checkpoint_loss", own),
            ("projected_loss", projected),
        ] {
            arrays = arrays.with(name, vec![values.len()], values.to_vec());
        }
        findings.arrays.push(arrays);
        let places: Vec<(f64, f64)> = places_x.iter().copied().zip(places_y.iter().copied()).collect();
        let [begin, end] = [places.first(), places.last()].map(|place| place.copied().into_iter().collect::<Vec<_>>());
        let series = vec![
            Series::new("the checkpoints' places", Color::Cycle(1), places.clone()).mark(Mark::Path),
            Series::new(names.first().cloned().unwrap_or_default(), Color::Ink, begin).mark(Mark::Circles),
            Series::new(names.last().cloned().unwrap_or_default(), Color::Ink, end).mark(Mark::Crosses),
        ];
        let [x, y] = component_axes([first, second], "the variance");
        let contour = Panel::plot("", x, y, series).contours(self.contours(record, before)?);
        let values = losses.to_vec();
        let on_it = places.iter().zip(projected).map(|((x, y), z)| (*x, *y, *z)).collect();
        let [x, y] = ["component 1", "component 2"].map(Axis::linear);
        let (z, [at_x, at_y]) =
            (self.loss_axis("", &[&values]), ["x", "y"].map(|name| record.series(name).map(<[f64]>::to_vec)));
        let surface = Surface { x, y, z, at_x: at_x?, at_y: at_y?, values, path: on_it, point: None };
        let order: Vec<f64> = (1..=own.len()).map(|number| number as f64).collect();
        let look = |label: &str, color| -> Look { (label.to_owned(), color) };
        let of_losses = vec![
            line(look("at the checkpoint", 0), &order, own).mark(Mark::LinePoints),
            line(look("at its place in the plane", 1), &order, projected).mark(Mark::Dashed),
        ];
        let of_distances = vec![
            line(look("from the plane", 0), &order, from_plane).mark(Mark::LinePoints),
            line(look("from the last", 1), &order, from_last).mark(Mark::Dashed),
        ];
        let panels = vec![
            contour,
            Panel::surface("", surface),
            Panel::plot("", Axis::linear("checkpoint"), self.loss_axis(self.before(), &[own, projected]), of_losses),
            Panel::plot("", Axis::linear("checkpoint"), Axis::linear("distance of the weights"), of_distances),
        ];
        let (network, loss, count) = (self.subject.name(), self.loss().name(), names.len());
        let (grid, share) = (record.series("x")?.len(), percent(first + second));
        let words = words(&network, &over, &loss);
        let (first_name, last_name) = (names.first().context("no checkpoint")?, names.last().context("no checkpoint")?);
        let more: [(&str, &dyn Display); 6] = [
            ("count", &count),
            ("lines", &grid),
            ("explained", &share),
            ("first_name", first_name),
            ("last_name", last_name),
            ("doubts", &doubts.caption()),
        ];
        findings.figure("path", &[&words[..], &more].concat(), 2, panels)
    }
}

/// Between which solutions the mean barrier of the train loss is highest.
fn worst_barrier(pairs: &[([String; 2], Vec<&Done<Analyse>>)], is_recalibrated: bool) -> Option<(String, f64)> {
    let name = if is_recalibrated { "recalibrated_barrier" } else { "barrier" };
    let of_pair = |(ends, its): &([String; 2], Vec<&Done<Analyse>>)| {
        let values: Vec<f64> = its.iter().filter_map(|done| done.measured().scalars.get(name).copied()).collect();
        let mean = mean(&values).map_or(f64::NAN, |mean| mean.value);
        (!values.is_empty()).then(|| (format!("{} to {}", ends[0], ends[1]), mean))
    };
    // One that is no number is told of first.
    pairs.iter().filter_map(of_pair).max_by(|a, b| a.1.total_cmp(&b.1))
}
