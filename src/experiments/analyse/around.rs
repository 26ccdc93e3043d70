//! What is told of the loss around each solution: slices, surfaces and sharpness, as tables, figures and arrays.

use super::trusted::{distances, neighbours, rises};
use super::{Analyse, Directions};
use crate::analysis::sharpness::Norm;
use crate::analysis::statistics::finite_ends;
use crate::analysis::surface::Normalise;
use crate::plot::{Axis, Color, Contours, Mark, Panel, Series, Surface};
use crate::study::number::significant;
use crate::study::points::line;
use crate::study::seeds::means_at_points;
use crate::study::trust::{self, Doubts, SMALLER_RANGE};
use crate::study::{Arrays, Done, Findings, Measurements, landscape};
use crate::tasks::analyse::{EVEN, Measure, Over, Region, Split};
use crate::tasks::slices::Slices;
use anyhow::Result;
use std::fmt::Display;

/// Surfaces of further pairs in one figure.
const MOST_SURFACES: usize = 6;

/// What all captions here say.
pub(super) fn words<'a>(
    network: &'a dyn Display,
    over: &'a dyn Display,
    loss: &'a dyn Display,
) -> [(&'static str, &'a dyn Display); 3] {
    [("network", network), ("over", over), ("loss_name", loss)]
}

impl Analyse {
    /// "loss (cross entropy)", on a log axis where it spans a wide range.
    pub(super) fn loss_axis(&self, before: &str, losses: &[&[f64]]) -> Axis {
        let label = format!("{before}loss ({})", self.loss().name());
        match finite_ends(&losses.concat()).is_some_and(landscape::is_wide) {
            true => Axis::log(label),
            false => Axis::linear(label),
        }
    }

    // ------------------------------------------------------------------------------------------ slices

    pub(super) fn show_slices(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        let of = |done: &Done<Self>| matches!(&done.trial.measure, Measure::Slices { .. });
        if !done.iter().any(of) {
            return Ok(());
        }
        let (each, over) = (self.of_each(done), self.over(self.split));
        let (mut curves, mut all, mut doubts) = (Vec::new(), Vec::new(), Doubts::default());
        let by_number = self.directions == Directions::Hessian;
        for (color, (behind, solution, its)) in each.iter().enumerate() {
            let mut own = Doubts::default();
            let its: Vec<&Done<Self>> = its.iter().filter(|done| of(done)).copied().collect();
            let scalars = |name: &str| {
                its.iter().filter_map(|done| done.measured().scalars.get(name).copied()).collect::<Vec<_>>()
            };
            let step = scalars("rise_step").first().copied().unwrap_or(f64::NAN);
            let what = format!("rise of the loss at a step of {}{behind}", significant(step, 2));
            self.push_row(findings, &what, &scalars("rise"), None, &over);
            for done in &its {
                let (steps, slices) = (done.measured().series("step")?, Slices::losses(done.measured()));
                let eigenvalues = done.measured().series.get("eigenvalues");
                for (number, slice) in slices.iter().enumerate() {
                    let mut label = if each.len() > 1 { solution.name.clone() } else { String::new() };
                    let mut look = color;
                    // An eigenvector is none of several alike.
                    if by_number && let Some(value) = eigenvalues.and_then(|values| values.get(number)) {
                        let between = if label.is_empty() { "" } else { ", " };
                        label.push_str(&format!("{between}eigenvalue {}", significant(*value, 3)));
                        look = color * slices.len() + number;
                    }
                    curves.push(line((label, look), steps, slice));
                    all.push(*slice);
                }
                // Of each solution once: the first draw.
                if done.seed() != self.seeds.seed {
                    continue;
                }
                let far = steps.iter().map(|step| step.abs()).cycle().take(steps.len() * slices.len());
                own.add(trust::not_finite(&slices.concat(), &far.collect::<Vec<_>>(), SMALLER_RANGE));
                if let Some(first) = slices.first() {
                    own.add(trust::rounded(done.measured().scalars.get("float32_noise").copied(), first));
                    if let Some(middle) = steps.iter().position(|step| *step == 0.0) {
                        let beside: Vec<f64> =
                            slices.iter().flat_map(|slice| [slice[middle - 1], slice[middle + 1]]).collect();
                        own.add(trust::coarse(&slices.concat(), first[middle], &beside));
                    }
                }
                own.add(trust::unconverged(done.measured().scalars.get("converged").copied()));
                if !by_number {
                    own.add(trust::apart_along(steps, &slices));
                }
                own.add(self.near_chance(done.measured()));
            }
            if each.len() > 1 { doubts.add_of(&solution.name, &own) } else { doubts = own }
        }
        let what = if self.is_all(self.split) { "draws of directions" } else { "subsets and draws" };
        doubts.add(self.differ_over(what, done, "rise", |done| match &done.trial.measure {
            Measure::Slices { .. } => done.measured().scalars.get("rise").copied(),
            _ => None,
        }));
        self.doubt("slices", &doubts, findings);
        let panel =
            Panel::plot("", self.step_axis("step"), self.loss_axis(self.before(), &all), means_at_points(curves));
        let means = if by_number && self.seeds.repeats == 1 {
            ""
        } else {
            " Lines are means over directions; bands reach from the lowest to the highest."
        };
        let (network, loss) = (self.subject.name(), self.loss().name());
        let count = self.slice_directions;
        let (along, words) = (self.along_words(count as usize), words(&network, &over, &loss));
        let more: [(&str, &dyn Display); 3] = [("along", &along), ("means", &means), ("doubts", &doubts.caption())];
        findings.figure("slices", &[&words[..], &more].concat(), 1, vec![panel])
    }

    /// "train " before a loss.
    pub(super) fn before(&self) -> &'static str {
        match self.split {
            Split::Train => "train ",
            Split::Test => "test ",
        }
    }

    fn step_axis(&self, what: &str) -> Axis {
        let unit = match (self.directions, self.normalise) {
            (Directions::Hessian, _) => "as a distance of the weights",
            (_, Normalise::Filter) => "in lengths of the filters",
            (_, Normalise::Layer) => "in lengths of the layers",
            (_, Normalise::None) => "in standard deviations",
        };
        Axis::linear(format!("{what}, {unit}"))
    }

    /// "5 filter-normalised random directions (Li et al. 2018)".
    fn along_words(&self, count: usize) -> String {
        match (self.directions, self.normalise) {
            (Directions::Hessian, _) => format!("the {count} leading eigenvectors of the Hessian, of length 1"),
            (_, Normalise::Filter) => format!("{count} filter-normalised random directions (Li et al. 2018)"),
            (_, Normalise::Layer) => {
                format!("{count} random directions as long as the weights, layer by layer (Li et al. 2018)")
            }
            (_, Normalise::None) => format!("{count} Gaussian directions that are not normalised"),
        }
    }

    // ---------------------------------------------------------------------------------------- surfaces

    pub(super) fn show_surfaces(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        let over = self.over(self.split);
        let each = self.of_each(done);
        let several = each.len() > 1;
        let slugs = slugs(each.iter().map(|(_, solution, _)| solution.name.as_str()));
        for (at, (behind, _, its)) in each.iter().enumerate() {
            let pair = |done: &&Done<Self>| match &done.trial.measure {
                Measure::Surface { pair, .. } => Some(*pair),
                _ => None,
            };
            let its: Vec<&Done<Self>> = its.iter().copied().filter(|done| pair(done).is_some()).collect();
            let Some(first) = its.iter().copied().find(|done| pair(done) == Some(1)) else { continue };
            let mut doubts = Doubts::default();
            let (mut losses, mut far) = (Vec::new(), Vec::new());
            for done in &its {
                losses.extend_from_slice(self.grid_losses(done.measured(), "")?);
                far.extend(distances(done.measured())?);
            }
            doubts.add(trust::not_finite(&losses, &far, SMALLER_RANGE));
            let of_first = self.grid_losses(first.measured(), "")?;
            doubts.add(trust::rounded(first.measured().scalars.get("float32_noise").copied(), of_first));
            doubts.add(trust::unconverged(first.measured().scalars.get("converged").copied()));
            doubts.add(trust::coarse(
                of_first,
                first.measured().scalar("center_loss")?,
                &neighbours(first.measured(), of_first)?,
            ));
            doubts.add(trust::apart(&rises(&its, &format!("{}_loss", self.split.prefix()))?));
            if self.directions == Directions::Random {
                doubts.add(trust::one_pair(self.pairs));
            }
            doubts.add(self.near_chance(first.measured()));
            self.doubt(&format!("surface{behind}"), &doubts, findings);
            let slug = if several { format!("-{}", slugs[at]) } else { String::new() };
            for done in &its {
                let number = pair(done).unwrap_or(1);
                // Of the first solution by the plain name.
                let name = match (at, number) {
                    (0, 1) => "surface".to_owned(),
                    (0, _) => format!("surface-{number}"),
                    (_, 1) => format!("surface{slug}"),
                    _ => format!("surface{slug}.pair-{number}"),
                };
                findings.arrays.push(self.grid_arrays(name, done.measured(), "")?);
            }
            let (network, loss) = (format!("{}{behind}", self.subject.name()), self.loss().name());
            let words = words(&network, &over, &loss);
            let grid = first.measured().series("x")?.len();
            let along = match self.directions {
                Directions::Random => format!("two {}", self.along_words(2).trim_start_matches("2 ")),
                Directions::Hessian => self.along_words(2),
            };
            let finer = if grid < EVEN { "" } else { ", half of whose lines lie where it bends" };
            let parameters = self.layout().parameters();
            let more: [(&str, &dyn Display); 6] = [
                ("parameters", &parameters),
                ("along", &along),
                ("lines", &grid),
                ("finer", &finer),
                ("slug", &slug),
                ("doubts", &doubts.caption()),
            ];
            let panels = vec![self.contour_panel(first.measured())?, self.relief(first.measured())?];
            findings.figure("surface", &[&words[..], &more].concat(), 2, panels)?;
            if its.len() > 1 {
                let some = its.iter().take(MOST_SURFACES);
                let panels = some.map(|done| {
                    let number = pair(done).unwrap_or_default();
                    let panel = self.contour_panel(done.measured())?;
                    Ok(Panel { title: format!("pair {number}"), ..panel })
                });
                let panels = panels.collect::<Result<Vec<_>>>()?;
                let shown = panels.len();
                let with = [&words[..], &more, &[("shown", &shown)]].concat();
                findings.figure("surfaces", &with, 3.min(shown), panels)?;
            }
        }
        Ok(())
    }

    /// The losses of a grid, whose names begin so, row by row.
    pub(super) fn grid_losses<'a>(&self, record: &'a Measurements, before: &str) -> Result<&'a [f64]> {
        record.series(&format!("{before}{}_loss", self.split.prefix()))
    }

    pub(super) fn grid_arrays(&self, name: String, record: &Measurements, before: &str) -> Result<Arrays> {
        let (x, y) = (record.series("x")?, record.series("y")?);
        let mut arrays = Arrays::new(name).with("x", vec![x.len()], x.to_vec()).with("y", vec![y.len()], y.to_vec());
        for quantity in ["loss", "accuracy"] {
            let of = format!("{}_{quantity}", self.split.prefix());
            if let Some(values) = record.series.get(&format!("{before}{of}")) {
                arrays = arrays.with(of, vec![y.len(), x.len()], values.clone());
            }
        }
        Ok(arrays)
    }

    fn plane_axes(&self) -> [Axis; 2] {
        match self.directions {
            Directions::Random => ["first direction", "second direction"].map(|what| self.step_axis(what)),
            Directions::Hessian => ["first eigenvector", "second eigenvector"].map(|what| self.step_axis(what)),
        }
    }

    fn contour_panel(&self, record: &Measurements) -> Result<Panel> {
        let contours = self.contours(record, "")?;
        let solution = Series::new("the solution", Color::Ink, vec![(0.0, 0.0)]).mark(Mark::Crosses);
        let [x, y] = self.plane_axes();
        Ok(Panel::plot("", x, y, vec![solution]).contours(contours))
    }

    pub(super) fn contours(&self, record: &Measurements, before: &str) -> Result<Contours> {
        let z = self.grid_losses(record, before)?.to_vec();
        let levels = Contours::levels(&z);
        Ok(Contours { x: record.series("x")?.to_vec(), y: record.series("y")?.to_vec(), z, levels })
    }

    /// The surface in 3-D, with the solution on it.
    fn relief(&self, record: &Measurements) -> Result<Panel> {
        let values = self.grid_losses(record, "")?.to_vec();
        let centre = record.scalar("center_loss")?;
        // One number name beside the picture: the numbers beside it say what they are of.
        let [x, y] = ["first", "second"].map(Axis::linear);
        let surface = Surface {
            x,
            y,
            z: self.loss_axis("", &[&values]),
            at_x: record.series("x")?.to_vec(),
            at_y: record.series("y")?.to_vec(),
            values,
            path: Vec::new(),
            point: centre.is_finite().then_some((0.0, 0.0, centre)),
        };
        Ok(Panel::surface("", surface))
    }

    // --------------------------------------------------------------------------------------- sharpness

    pub(super) fn show_sharpness(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        let is_search = |done: &Done<Self>| matches!(done.trial.measure, Measure::Sharpness { .. });
        if !done.iter().any(is_search) {
            return Ok(());
        }
        let each = self.of_each(done);
        let mut doubts = Doubts::default();
        let mut bars: [Vec<Series>; 2] = [Vec::new(), Vec::new()];
        for (color, (behind, solution, its)) in each.iter().enumerate() {
            for region in self.regions() {
                let (series, name, what, unit) = region_words(&region);
                for (split, mark) in [(Split::Train, Mark::Points), (Split::Test, Mark::Circles)] {
                    let its: Vec<&Measurements> =
                        its.iter().filter(|done| is_of(done, &region, split)).map(|done| done.measured()).collect();
                    let values: Vec<f64> = its.iter().filter_map(|record| record.scalars.get(name).copied()).collect();
                    let spread = its.first().and_then(|record| record.scalars.get(&format!("{name}_spread")).copied());
                    let spread = spread.filter(|_| self.sharpness_starts > 1);
                    let spread = spread.map(|spread| format!("spread over starts {}", significant(spread, 2)));
                    let quantity = format!("{what}{unit}, {} loss{behind}", split.prefix());
                    // The same samples again are no further case.
                    let cases = if self.is_all(split) { values.len().min(1) } else { values.len() };
                    self.push_row(findings, &quantity, &values[..cases], spread, &self.over(split));
                    let size = region_size(&region);
                    let label = match each.len() {
                        1 => split.prefix().to_owned(),
                        _ => format!("{}, {}", solution.name, split.prefix()),
                    };
                    let color = if each.len() > 1 { color } else { usize::from(split == Split::Test) };
                    let points = values.iter().map(|value| (size, *value)).collect();
                    bars[series].push(Series::new(label, Color::Cycle(color), points).mark(mark));
                }
            }
        }
        let (mut cut_off, mut searches) = (0, 0);
        for region in self.regions() {
            let (_, name, what, _) = region_words(&region);
            if !self.is_all(Split::Train) {
                doubts.add(self.differ_over("subsets", done, &what, |done| {
                    is_of(done, &region, Split::Train).then(|| done.measured().scalars.get(name).copied()).flatten()
                }));
            }
            let first = done.iter().filter(|done| done.seed() == self.seeds.seed);
            for done in
                first.filter(|done| [Split::Train, Split::Test].iter().any(|split| is_of(done, &region, *split)))
            {
                let [best, spread] =
                    [name.to_owned(), format!("{name}_spread")].map(|name| done.measured().scalars.get(&name).copied());
                if let (Some(best), Some(spread)) = (best, spread) {
                    doubts.add(
                        (!best.is_finite()).then(|| format!("{}: the loss is not finite somewhere near.", done.label)),
                    );
                    doubts.add(trust::half_found(&done.label, best, spread));
                    cut_off += u64::from(done.measured().scalars.get("cut_off").is_some_and(|cut_off| *cut_off > 0.0));
                    searches += 1;
                }
            }
        }
        doubts.add((cut_off > 0).then(|| {
            format!(
                "In {cut_off} of {searches} regions a search still rose, or might have, at its last gradient: more --set \
                 sharpness_steps."
            )
        }));
        doubts.add((self.sharpness_starts == 1).then(|| {
            "Of one start it cannot be told how far from the highest it ended: --set sharpness_starts=4.".to_owned()
        }));
        self.doubt("sharpness", &doubts, findings);
        let axes = ["half-width ε of the box", "radius ρ, in the weights' own sizes"];
        let quantities = ["sharpness (%)", "adaptive sharpness (rise of the loss)"];
        let mut panels = Vec::new();
        for ((series, x), y) in bars.into_iter().zip(axes).zip(quantities) {
            let is_positive = series.iter().flat_map(|series| &series.points).all(|(_, value)| *value > 0.0);
            let y = if is_positive { Axis::log(y) } else { Axis::linear(y) };
            if series.iter().any(|series| !series.points.is_empty()) {
                panels.push(Panel::plot("", Axis::log(x), y, once_each(series)));
            }
        }
        let (network, loss, over) = (self.subject.name(), self.loss().name(), self.over(Split::Train));
        let words = words(&network, &over, &loss);
        let norm = match self.adaptive_norm {
            Norm::Two => "‖y/|θ|‖₂ ≤ ρ",
            Norm::Infinity => "|yᵢ| ≤ ρ|θᵢ|",
        };
        let circles = if self.size_of(Split::Test) > 0 {
            format!("; circles: over {}", self.over(Split::Test))
        } else {
            String::new()
        };
        let more: [(&str, &dyn Display); 3] = [("norm", &norm), ("circles", &circles), ("doubts", &doubts.caption())];
        findings.figure("sharpness", &[&words[..], &more].concat(), 2, panels)
    }
}

/// Of series with one label the first alone is named.
fn once_each(mut series: Vec<Series>) -> Vec<Series> {
    let mut named: Vec<String> = Vec::new();
    for one in &mut series {
        if named.contains(&one.label) {
            one.label = String::new();
        } else {
            named.push(one.label.clone());
        }
    }
    series
}

/// Whether a trial is the search in a region over a split.
pub(super) fn is_of(done: &Done<Analyse>, region: &Region, split: Split) -> bool {
    matches!(&done.trial.measure, Measure::Sharpness { over: Over { split: of, .. }, region: its, .. }
        if of == &split && its == region)
}

/// In which panel, the scalar, what it is called, and what behind that.
pub(super) fn region_words(region: &Region) -> (usize, &'static str, String, &'static str) {
    match region {
        Region::Box { epsilon } => (0, "sharpness", format!("sharpness in the box of {epsilon:e}"), " (%)"),
        Region::Adaptive { rho, .. } => (1, "adaptive_sharpness", format!("adaptive sharpness for ρ = {rho}"), ""),
    }
}

fn region_size(region: &Region) -> f64 {
    match region {
        Region::Box { epsilon } => *epsilon,
        Region::Adaptive { rho, .. } => *rho,
    }
}

/// Names as parts of file names, each another: letters, digits and hyphens; a number, or what an other name became, with more
/// behind it.
fn slugs<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for (name, number) in names.zip(1..) {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        let slug: String = name.chars().map(plain).collect();
        // A number alone is that of a pair.
        let is_number = slug.chars().all(|c| c.is_ascii_digit());
        let slug = if is_number { format!("solution-{slug}") } else { slug };
        let is_new = |slug: &String| !all.contains(slug);
        let numbered = || (number..).map(|number| format!("{slug}-{number}")).find(is_new).unwrap_or_default();
        let slug = if is_new(&slug) { slug.clone() } else { numbered() };
        all.push(slug);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_each_another() {
        for (names, expected) in [
            (&["a", "b"][..], &["a", "b"][..]),
            (&["1", "2"], &["solution-1", "solution-2"]),
            (&["x y", "x-y", "x.y"], &["x-y", "x-y-2", "x-y-3"]),
            (&["x-2", "x", "x "], &["x-2", "x", "x-"]),
            (&["é", "è"], &["-", "--2"]),
        ] {
            assert_eq!(slugs(names.iter().copied()), expected, "{names:?}");
        }
    }
}
