//! The bodies of [`super::Analysis`] that look at the loss around and between solutions: lines, slices, surfaces and paths,
//! each a list of points; and its sharpness, by search.

use super::directions::Found;
use super::measure::Start;
use super::points::{Point, Points, Recalibration, Span, column};
use super::{Along, Analysed, Analysis, EVEN, NEAR, Over, Region, Split};
use crate::analysis::interpolation::{barrier, error_hill};
use crate::analysis::refine::finer;
use crate::analysis::sharpness::{adaptive_sharpness, sharpness};
use crate::analysis::slices::mean_rise;
use crate::analysis::statistics::highest;
use crate::analysis::surface::PathPlane;
use crate::data::{Samples, functions::evenly_spaced, total_memory};
use crate::model::Weights;
use crate::study::{Context, Measurements, flag};
use crate::tasks::sharpness::looking;
use crate::tasks::slices::Slices;
use crate::tasks::subject::Content;
use anyhow::{Context as _, Result, ensure};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// The share of the memory that checkpoints of a path may take at a time.
const CHECKPOINTS_SHARE: u64 = 8;
/// Checkpoints whose own losses are looked at side by side, at most.
const SOME: usize = 16;

/// Air around a path, by the sides of its box.
const MARGIN: f64 = 0.25;

/// Differences between float32 and float64, of losses at the same points, as far as these are numbers.
fn noise(single: &[f64], double: &[f64]) -> f64 {
    let both = single.iter().zip(double).filter(|(single, double)| single.is_finite() && double.is_finite());
    let apart: Vec<f64> = both.map(|(single, double)| (single - double).abs()).collect();
    highest(&apart).unwrap_or(f64::NAN)
}

impl Start {
    /// Points over these samples, in this space.
    fn span(&self, analysis: &Analysis, bases: Vec<Weights>, over: Vec<Samples>) -> Span {
        let (model, layout, precise) = (self.model.clone(), self.layout.clone(), self.precise.clone());
        let (loss, block) = (analysis.loss.loss(), self.block);
        Span { model, precise, layout, bases, over, loss, block, recalibration: None }
    }

    /// How many points more than others a look in float64 takes, at some of so many.
    fn precise_points(&self, points: usize) -> usize {
        if self.precise.is_some() { some(points).len() } else { 0 }
    }

    // ------------------------------------------------------------------------------------------- line

    /// Series `alpha`, and `train_loss` and so on at each; `barrier` of the training loss.
    pub fn line(
        self,
        analysis: &Analysis,
        (second, samples, alphas): (&Content, usize, &[f64]),
        recalibration: Option<u32>,
        cx: &mut Context,
    ) -> Result<Analysed> {
        let there = second.opened()?.weights(self.kind(), cx.device)?;
        let mut splits = vec![Split::Train];
        splits.extend((!self.test.is_empty()).then_some(Split::Test));
        let of_split = |split: &Split| self.samples(&Over { split: *split, samples }, analysis.seed);
        let over = splits.iter().map(of_split).collect::<Result<Vec<_>>>()?;
        let names: Vec<&str> = splits.iter().map(|split| split.prefix()).collect();
        let counts: Vec<i64> = over.iter().map(Samples::len).collect();
        let least = analysis.content.opened()?.batches()[0] as usize;
        let again =
            recalibration.map(|batch| Recalibration::new(over[0].share(), (batch as usize, least), analysis.seed));
        let is_recalibrated = again.is_some();
        let span = self.span(analysis, vec![self.weights.share(), there], over);
        let at = |alpha: &f64| Point::new([1.0 - alpha, *alpha]);
        let points: Vec<Point> = alphas.iter().map(at).collect();
        let looked = self.precise_points(3);
        let mut all = Points::new(Span { recalibration: again, ..span }, points.len() + looked, cx)?;
        let rows = all.at(&points)?;
        let mut measured = Measurements::new(self.layout.parameters(), [], [("alpha", alphas.to_vec())]);
        let prefixes = if is_recalibrated { &["", "recalibrated_"][..] } else { &[""] };
        let mut at = 0;
        for prefix in prefixes {
            for name in &names {
                for quantity in ["loss", "accuracy"] {
                    let values = column(&rows, at)?;
                    at += 1;
                    // Of values there are no accuracies.
                    if quantity == "loss" || values.iter().any(|value| !value.is_nan()) {
                        measured.series.insert(format!("{prefix}{name}_{quantity}"), values);
                    }
                }
            }
            let losses = measured.series(&format!("{prefix}train_loss"))?;
            let loss_barrier = barrier(alphas, losses).unwrap_or(f64::NAN);
            let accuracies = measured.series.get(&format!("{prefix}train_accuracy"));
            let of_errors = accuracies.map(|accuracies| error_hill(alphas, accuracies).unwrap_or(f64::NAN));
            measured = measured.and([(&format!("{prefix}barrier"), loss_barrier)]);
            if let Some(of_errors) = of_errors {
                measured = measured.and([(&format!("{prefix}error_barrier"), of_errors)]);
            }
        }
        if looked > 0 {
            let places = [0, alphas.len() / 2, alphas.len() - 1];
            let found = all.at(&places.map(|at| points[at].clone().precisely()))?;
            let single: Vec<f64> = places.iter().map(|at| rows[*at][0]).collect();
            measured = measured.and([("float32_noise", noise(&single, &column(&found, 0)?))]);
        }
        for (name, count) in names.iter().zip(counts) {
            measured = measured.and([(&format!("{name}_samples"), count as f64)]);
        }
        Ok(Analysed { measured, notes: Vec::new() })
    }

    // ---------------------------------------------------------------------------------- slices, surface

    /// Series `step`, and `slice_1` and so on, a direction each, of the loss; `rise`: the mean over directions and signs at
    /// the step that is nearest to `near`, `rise_step`.
    pub fn slices(
        self,
        analysis: &Analysis,
        (over, along): (&Over, &Along),
        (count, points, range): (u64, usize, f64),
        cx: &mut Context,
    ) -> Result<Analysed> {
        let samples = self.samples(over, analysis.seed)?;
        let Found { directions, solved } = self.directions(analysis, along, (&samples, "slices"), (1, count), cx)?;
        let steps = even([-range, range], points);
        let dimensions = directions.len() + 1;
        let at = |number: usize, step: f64| {
            let mut factors = vec![0.0; dimensions];
            (factors[0], factors[number]) = (1.0, if number == 0 { 1.0 } else { step });
            Point::new(factors)
        };
        let size = samples.len();
        let span = self.span(analysis, self.beside(&directions), vec![samples]);
        let away: Vec<f64> = steps.iter().copied().filter(|step| *step != 0.0).collect();
        let looked = self.precise_points(points);
        let mut all = Points::new(span, 1 + directions.len() * away.len() + looked, cx)?;
        let centre = all.at(&[at(0, 0.0)])?.remove(0);
        let mut measured = Measurements::new(self.layout.parameters(), [], [("step", steps.clone())]);
        let with_centre = |rows: &[Vec<f64>]| -> Result<Vec<f64>> {
            let mut others = column(rows, 0)?.into_iter();
            Ok(steps
                .iter()
                .map(|step| if *step == 0.0 { centre[0] } else { others.next().unwrap_or(f64::NAN) })
                .collect())
        };
        for number in 1..dimensions {
            let rows = all.at(&away.iter().map(|step| at(number, *step)).collect::<Vec<_>>())?;
            measured.series.insert(format!("slice_{number}"), with_centre(&rows)?);
        }
        if looked > 0 {
            let places = some(points);
            let found = all.at(&places.iter().map(|place| at(1, steps[*place]).precisely()).collect::<Vec<_>>())?;
            let single = measured.series("slice_1")?;
            let single: Vec<f64> = places.iter().map(|place| single[*place]).collect();
            let apart = noise(&single, &column(&found, 0)?);
            measured = measured.and([("float32_noise", apart)]);
        }
        let near = steps.iter().copied().filter(|step| *step > 0.0);
        let near = near.min_by(|a, b| (a - NEAR).abs().total_cmp(&(b - NEAR).abs())).unwrap_or(f64::NAN);
        let rise = mean_rise(&steps, &Slices::losses(&measured), near);
        let scalars = [("rise", rise), ("rise_step", near), ("samples", size as f64)];
        let measured = measured.and(scalars).and([("center_loss", centre[0]), ("center_accuracy", centre[1])]);
        let measured = measured.with(solved);
        Ok(Analysed { measured: known(measured), notes: Vec::new() })
    }

    /// Series `x` and `y`, and the loss at their grid row by row; along the pair of directions of this number.
    pub fn surface(
        self,
        analysis: &Analysis,
        (over, along): (&Over, &Along),
        (pair, grid, range): (u64, usize, f64),
        cx: &mut Context,
    ) -> Result<Analysed> {
        let samples = self.samples(over, analysis.seed)?;
        let key = (2 * pair - 1, 2);
        let Found { directions, solved } = self.directions(analysis, along, (&samples, "surface"), key, cx)?;
        let size = samples.len();
        let span = self.span(analysis, self.beside(&directions), vec![samples]);
        let mut all = Points::new(span, 1 + grid * grid + self.precise_points(grid), cx)?;
        // Zero need not be a line of the grid.
        let centre = all.at(&[Point::new([1.0, 0.0, 0.0])])?.remove(0);
        let scalars = [("samples", size as f64), ("center_loss", centre[0]), ("center_accuracy", centre[1])];
        let measured = Measurements::new(self.layout.parameters(), scalars, []).with(solved);
        let measured = self.grid(&mut all, [[-range, range]; 2], grid, measured, over.split.prefix())?;
        Ok(Analysed { measured: known(measured), notes: Vec::new() })
    }

    /// All of a grid over a frame of the first two directions: even lines first, then more where the loss bends.
    fn grid(
        &self,
        all: &mut Points,
        frame: [[f64; 2]; 2],
        grid: usize,
        measured: Measurements,
        split: &str,
    ) -> Result<Measurements> {
        let coarse = coarse(grid);
        let mut lines = frame.map(|ends| even(ends, coarse));
        let mut known = BTreeMap::<[u64; 2], Vec<f64>>::new();
        let key = |x: f64, y: f64| [x.to_bits(), y.to_bits()];
        let at = |x: f64, y: f64| Point::new([1.0, x, y]);
        let fill = |lines: &[Vec<f64>; 2], known: &mut BTreeMap<[u64; 2], Vec<f64>>, all: &mut Points| -> Result<()> {
            let places = lines[1].iter().flat_map(|y| lines[0].iter().map(|x| (*x, *y)));
            let new: Vec<(f64, f64)> = places.filter(|(x, y)| !known.contains_key(&key(*x, *y))).collect();
            let rows = all.at(&new.iter().map(|(x, y)| at(*x, *y)).collect::<Vec<_>>())?;
            known.extend(new.iter().map(|(x, y)| key(*x, *y)).zip(rows));
            Ok(())
        };
        let number = |known: &BTreeMap<[u64; 2], Vec<f64>>, lines: &[Vec<f64>; 2], by_columns: bool, at: usize| {
            let value = |x: f64, y: f64| known.get(&key(x, y)).map_or(f64::NAN, |row| row[at]);
            let [xs, ys] = lines;
            if by_columns {
                xs.iter().flat_map(|x| ys.iter().map(|y| value(*x, *y))).collect::<Vec<f64>>()
            } else {
                ys.iter().flat_map(|y| xs.iter().map(|x| value(*x, *y))).collect()
            }
        };
        fill(&lines, &mut known, all)?;
        let more = grid - coarse;
        let [more_x, more_y] = [false, true].map(|by_columns| {
            let losses = number(&known, &lines, by_columns, 0);
            finer(&lines[usize::from(by_columns)], &losses, more)
        });
        for (line, more) in lines.iter_mut().zip([more_x, more_y]) {
            line.extend(more);
            line.sort_by(f64::total_cmp);
        }
        fill(&lines, &mut known, all)?;
        let [losses, accuracies] = [0, 1].map(|at| number(&known, &lines, false, at));
        let [xs, ys] = &lines;
        // The row through the middle, or the nearest to it.
        let middle = *ys.iter().min_by(|a, b| a.abs().total_cmp(&b.abs())).context("a grid without rows")?;
        let mut measured = measured;
        if self.precise.is_some() {
            let places: Vec<f64> = some(xs.len()).into_iter().map(|place| xs[place]).collect();
            let found = all.at(&places.iter().map(|x| at(*x, middle).precisely()).collect::<Vec<_>>())?;
            let single: Vec<f64> = places.iter().map(|x| known[&key(*x, middle)][0]).collect();
            measured = measured.and([("float32_noise", noise(&single, &column(&found, 0)?))]);
        }
        let [of_loss, of_accuracy] = ["loss", "accuracy"].map(|quantity| format!("{split}_{quantity}"));
        let series = [("x", xs.clone()), ("y", ys.clone()), (&of_loss, losses), (&of_accuracy, accuracies)];
        Ok(measured.with(Measurements::new(self.layout.parameters(), [], series)))
    }

    // --------------------------------------------------------------------------------------------- path

    /// The plane of the checkpoints' two principal components, through the last: the grid's loss as of a surface, as
    /// `surface_…`; and of each checkpoint its place there, its distance from the plane and from the last one, its own loss
    /// and that at its place.
    pub fn path(
        self,
        analysis: &Analysis,
        (checkpoints, over): (&[Content], &Over),
        grid: usize,
        cx: &mut Context,
    ) -> Result<Analysed> {
        let samples = self.samples(over, analysis.seed)?;
        let (count, kind, device) = (checkpoints.len(), self.kind(), cx.device);
        let opened = checkpoints.iter().map(Content::opened).collect::<Result<Vec<_>>>()?;
        let bytes = self.layout.parameters().unsigned_abs().saturating_mul(kind.elt_size_in_bytes() as u64).max(1);
        let at_once = ((total_memory() / CHECKPOINTS_SHARE / bytes) as usize).clamp(1, count);
        let watch = cx.watch();
        // What may be in memory at once is read once.
        let mut kept: BTreeMap<usize, Tensor> = BTreeMap::new();
        let plane = PathPlane::of_rows(count, at_once, &mut |at| {
            watch.check_stop()?;
            if let Some(row) = kept.get(&at) {
                return Ok(row.shallow_clone());
            }
            let row = opened[at].weights(kind, device)?.theta;
            if at_once == count {
                kept.insert(at, row.shallow_clone());
            }
            Ok(row)
        })?;
        drop(kept);
        let [first, second] = plane.explained_variance_ratio;
        ensure!(first.is_finite(), "all {count} checkpoints are equal: there is no path between them");
        // What rounding alone makes of a straight line.
        let size = plane.origin.f_norm()?.f_double_value(&[])?;
        let longest = highest(&plane.distance_from_origin).unwrap_or(f64::NAN);
        let rounding = 2.0 * f64::from(f32::EPSILON) * size / longest;
        ensure!(
            second > STRAIGHT.max(if kind == Kind::Double { 0.0 } else { rounding * rounding }),
            "the {count} checkpoints lie on one straight line, which spans no plane (a direction of length 0): --measure line \
             shows the loss along it"
        );
        let directions: Vec<Tensor> =
            plane.directions.iter().map(|direction| Ok(direction.f_to_kind(kind)?)).collect::<Result<_>>()?;
        self.publish(&directions, cx)?;
        self.publish_as("origin", &self.weights.theta, cx)?;
        let (size, split) = (samples.len(), over.split.prefix());
        let span = self.span(analysis, Vec::new(), vec![samples]);
        let total = 2 * count + grid * grid + self.precise_points(grid);
        let mut all = Points::new(span, total, cx)?;
        let mut own = Vec::new();
        for some in opened.chunks(at_once.min(SOME)) {
            all.move_to(some.iter().map(|opened| opened.weights(kind, device)).collect::<Result<_>>()?);
            let each =
                (0..some.len()).map(|own| Point::new((0..some.len()).map(|at| flag(at == own)).collect::<Vec<_>>()));
            own.extend(all.at(&each.collect::<Vec<_>>())?);
        }
        all.move_to(self.beside(&directions));
        let places = plane.coordinates.iter().map(|(x, y)| Point::new([1.0, *x, *y]));
        let projected = all.at(&places.collect::<Vec<_>>())?;
        let frame = plane.frame(MARGIN).map(|(low, high)| [low, high]);
        let last = own.last().context("a path without checkpoints")?;
        let scalars = [
            ("explained_variance_1", first),
            ("explained_variance_2", second),
            ("samples", size as f64),
            ("center_loss", last[0]),
            ("center_accuracy", last[1]),
        ];
        let measured = Measurements::new(self.layout.parameters(), scalars, []);
        let mut measured = self.grid(&mut all, frame, grid, measured, split)?;
        for name in ["loss", "accuracy"] {
            let of_grid = measured.series.remove(&format!("{split}_{name}")).unwrap_or_default();
            measured.series.insert(format!("surface_{split}_{name}"), of_grid);
        }
        let (x, y) = plane.coordinates.iter().copied().unzip();
        let series = [
            ("component_1", x),
            ("component_2", y),
            ("distance_from_plane", plane.distance),
            ("distance_from_last", plane.distance_from_origin),
            (&format!("{split}_loss"), column(&own, 0)?),
            (&format!("{split}_accuracy"), column(&own, 1)?),
            (&format!("projected_{split}_loss"), column(&projected, 0)?),
        ];
        let measured = measured.with(Measurements::new(self.layout.parameters(), [], series));
        Ok(Analysed { measured: known(measured), notes: Vec::new() })
    }

    // ----------------------------------------------------------------------------------------- sharpness

    /// `sharpness`, in per cent, in a box, or `adaptive_sharpness` in a ball of the parameters' own sizes.
    pub fn sharpness(
        self,
        analysis: &Analysis,
        (over, region): (&Over, &Region),
        (starts, steps): (u64, u64),
        cx: &mut Context,
    ) -> Result<Analysed> {
        let samples = self.samples(over, analysis.seed)?;
        let mut objective = self.objective(analysis, &samples)?;
        let (theta, key) = (self.weights.theta.copy(), (analysis.seed, "analyse"));
        let look = looking(&mut *objective, 1 + starts * steps, cx);
        let (name, found) = match region {
            Region::Box { epsilon } => ("", sharpness(&theta, *epsilon, (starts, steps), key, look)?),
            Region::Adaptive { rho, norm } => {
                ("adaptive_", adaptive_sharpness(&theta, (*rho, *norm), (starts, steps), key, look)?)
            }
        };
        let of = |what: &str| format!("{name}sharpness{what}");
        let scalars = [
            ("loss", found.loss),
            (&of(""), found.best()),
            (&of("_spread"), found.spread()),
            ("gradients", found.gradients as f64),
            ("cut_off", found.cut_off as f64),
            ("samples", samples.len() as f64),
        ];
        let series = [(&*of("_by_start"), found.by_start.clone())];
        Ok(Analysed { measured: Measurements::new(self.layout.parameters(), scalars, series), notes: Vec::new() })
    }
}

/// Places of a line that are looked at in float64, too, where a convolution takes nine times as long: few, both ends and the
/// middle among them.
fn some(count: usize) -> Vec<usize> {
    const MOST: usize = 9;
    let chosen = count.min(MOST);
    (0..chosen).map(|at| if chosen < 2 { 0 } else { at * (count - 1) / (chosen - 1) }).collect()
}

/// Even places, of which the middle is 0 to the bit where that is what it is.
fn even([low, high]: [f64; 2], count: usize) -> Vec<f64> {
    let places = evenly_spaced([low, high], count);
    places.into_iter().map(|place| if place.abs() < 1e-12 * (high - low) { 0.0 } else { place }).collect()
}

/// How many lines of a grid are even: an odd number, so that the middle of its frame is on one; of a small grid all, or all
/// but one.
fn coarse(grid: usize) -> usize {
    match grid {
        0..=2 => grid,
        _ if grid < EVEN => grid - usize::from(grid.is_multiple_of(2)),
        // Half of them, and a little more.
        _ => grid.div_ceil(2) | 1,
    }
}

/// Less variance than this share of the first component's direction is rounding.
const STRAIGHT: f64 = 1e-10;

/// Without what there is not: accuracies of values.
fn known(mut measured: Measurements) -> Measurements {
    if measured.scalars.get("center_accuracy").is_some_and(|accuracy| accuracy.is_nan())
        && measured.scalars.get("center_loss").is_some_and(|loss| loss.is_finite())
    {
        measured.scalars.remove("center_accuracy");
    }
    measured.series.retain(|name, values| !(name.ends_with("accuracy") && values.iter().all(|value| value.is_nan())));
    measured
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_places_of_a_line_are_looked_at_twice() {
        assert_eq!(some(25), [0, 3, 6, 9, 12, 15, 18, 21, 24]);
        assert_eq!((some(3), some(1), some(0), some(10).len()), (vec![0, 1, 2], vec![0], Vec::new(), 9));
        for count in 2..60 {
            let places = some(count);
            assert!(places.is_sorted_by(|a, b| a < b) && places[0] == 0 && places[places.len() - 1] == count - 1);
        }
    }

    #[test]
    fn the_middle_of_a_grid_is_on_a_line_of_it() {
        for (grid, expected) in
            [(2, 2), (3, 3), (4, 3), (5, 5), (6, 5), (7, 5), (8, 5), (9, 5), (11, 7), (25, 13), (26, 13)]
        {
            assert_eq!(coarse(grid), expected, "{grid}");
        }
        for (range, count) in [(1.0, 5), (0.3, 7), (0.7, 13), (1e-3, 3), (17.0, 151)] {
            assert_eq!(even([-range, range], count)[count / 2], 0.0);
        }
    }
}
