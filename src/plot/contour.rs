//! Level lines of a function on a grid and the areas above them, by marching squares (Lorensen and Cline, 1987, in two
//! dimensions). Knows data units only, not the axes that show them.

use std::collections::{BTreeMap, BTreeSet};

use plotters::style::RGBColor;
use serde::{Deserialize, Serialize};

use super::data;
use super::scale::{Range, round_values};
use super::style::shade;

/// More lines than this are hard to tell apart.
const MOST_LEVELS: usize = 14;

/// A function on a grid, shown by lines of equal value with paler areas between them, from pale (below the
/// first level) to dark blue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contours {
    /// Where the columns of the grid are, and its rows; both rise.
    #[serde(deserialize_with = "data::numbers")]
    pub x: Vec<f64>,
    #[serde(deserialize_with = "data::numbers")]
    pub y: Vec<f64>,
    /// The values, row by row; a cell with a corner that is not finite has no lines.
    #[serde(deserialize_with = "data::numbers")]
    pub z: Vec<f64>,
    /// The values that have lines, and what is written on these (empty for nothing).
    #[serde(deserialize_with = "data::labelled")]
    pub levels: Vec<(f64, String)>,
}

impl Contours {
    /// Round values between the lowest and the highest of `z`, each with its number: on a log scale if all are positive
    /// and the highest is more than three times the lowest, else at equal differences, up to 14 of them.
    pub fn levels(z: &[f64]) -> Vec<(f64, String)> {
        let finite = || z.iter().copied().filter(|z| z.is_finite());
        let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        if low > 0.0 && high / 3.0 > low {
            // Of a range of a decade or two more levels than 1, 2 and 5.
            const TEN_A_DECADE: [u32; 10] = [10, 12, 15, 20, 25, 30, 40, 50, 60, 80];
            let many = levels_between([low, high], &TEN_A_DECADE, 1, 1);
            return if many.len() <= MOST_LEVELS { many } else { Self::log_levels(z) };
        }
        let mut levels = round_values(Range { lo: low, hi: high }, MOST_LEVELS);
        levels.retain(|(value, _)| low < *value && *value < high);
        levels
    }

    /// Round values evenly spaced on a log scale between the lowest and the highest positive value of `z`,
    /// each with its number: 1, 2 and 5 in every decade, or fewer where those would be too many to read.
    pub fn log_levels(z: &[f64]) -> Vec<(f64, String)> {
        let positive = || z.iter().copied().filter(|z| z.is_finite() && *z > 0.0);
        let (low, high) = (positive().fold(f64::INFINITY, f64::min), positive().fold(0.0, f64::max));
        if low > high {
            return Vec::new();
        }
        let levels = |(digits, every): (&[u32], usize)| levels_between([low, high], digits, 0, every);
        let choices: [(&[u32], usize); 2] = [(&[1, 2, 5], 1), (&[1, 3], 1)];
        let choices = choices.into_iter().chain((1..=600).map(|every| (&[1][..], every)));
        choices.map(levels).find(|levels| levels.len() <= MOST_LEVELS).unwrap_or_default()
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = (f64, f64)> {
        self.y.iter().flat_map(|&y| self.x.iter().map(move |&x| (x, y)))
    }

    /// The lines along which the function has this value, in data units.
    pub(super) fn lines(&self, level: f64) -> Vec<Vec<(f64, f64)>> {
        // For each edge of the grid that a line crosses, the one or two where it crosses next.
        let mut neighbours: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (a, b) in self.segments(level) {
            neighbours.entry(a).or_default().push(b);
            neighbours.entry(b).or_default().push(a);
        }
        let mut seen = BTreeSet::new();
        let mut lines = Vec::new();
        // Lines that end at the border, then those that close.
        let ends = neighbours.iter().filter(|(_, next)| next.len() == 1);
        for &start in ends.chain(&neighbours).map(|(edge, _)| edge) {
            if !seen.insert(start) {
                continue;
            }
            let mut line = vec![start];
            let mut at = start;
            while let Some(&next) = neighbours[&at].iter().find(|&&next| seen.insert(next)) {
                line.push(next);
                at = next;
            }
            if line.len() > 2 && neighbours[&at].contains(&start) {
                line.push(start);
            }
            lines.push(line.into_iter().map(|edge| self.crossing(edge, level)).collect());
        }
        lines
    }

    /// The outline of where the function is at least this, in data units, with the area on its left: all parts and
    /// holes in one, joined by lines there and back; empty where there is no such place.
    pub(super) fn area(&self, level: f64) -> Vec<(f64, f64)> {
        // A border of low values on top of the outermost nodes closes all lines.
        let doubled_ends = |at: &[f64]| at.first().into_iter().chain(at).chain(at.last()).copied().collect::<Vec<_>>();
        let (width, low) = (self.x.len(), f64::MIN);
        let bordered = |z: &[f64]| {
            let inside = z.iter().map(|z| if z.is_nan() { low } else { z.clamp(f64::MIN, f64::MAX) });
            [low].into_iter().chain(inside).chain([low]).collect::<Vec<_>>()
        };
        let border = || vec![low; width + 2];
        let rows = [border()].into_iter().chain(self.z.chunks(width).map(bordered)).chain([border()]);
        let (x, y) = (doubled_ends(&self.x), doubled_ends(&self.y));
        let closed = Self { x, y, z: rows.flatten().collect(), levels: Vec::new() };
        let mut next: BTreeMap<usize, usize> = closed.segments(level).into_iter().collect();
        let mut outline: Vec<usize> = Vec::new();
        while let Some((start, mut at)) = next.pop_first() {
            outline.extend([start, at]);
            while let Some(further) = next.remove(&at) {
                outline.push(further);
                at = further;
            }
            outline.extend(outline.first().copied());
        }
        outline.into_iter().map(|edge| closed.crossing(edge, level)).collect()
    }

    /// From edge to edge of the grid, each across one cell, with the higher values on the left. Edges have the number
    /// of the node where they start: twice that along x, and one more along y.
    fn segments(&self, level: f64) -> Vec<(usize, usize)> {
        let width = self.x.len();
        let mut segments = Vec::new();
        let cells = (1..self.y.len()).flat_map(|row| (1..width).map(move |column| (row - 1) * width + column - 1));
        for node in cells {
            // Corners and edges go round to the left; edge i leads from corner i to the next.
            let corners = [node, node + 1, node + width + 1, node + width].map(|i| self.z[i]);
            if corners.iter().any(|z| !z.is_finite()) {
                continue;
            }
            let above = corners.map(|z| z >= level);
            let edges = [2 * node, 2 * (node + 1) + 1, 2 * (node + width), 2 * node + 1];
            let crossed: Vec<usize> = (0..4).filter(|&i| above[i] != above[(i + 1) % 4]).collect();
            // At a saddle, the mean of the corners tells which of them are connected.
            let middle = corners.iter().map(|z| z / 4.0).sum::<f64>() >= level;
            let pairs = match crossed[..] {
                [a, b] => vec![(a, b)],
                [a, b, c, d] if middle == above[0] => vec![(a, b), (c, d)],
                [a, b, c, d] => vec![(d, a), (b, c)],
                _ => vec![],
            };
            // A line enters the cell through the edge behind a high corner.
            let directed = pairs.into_iter().map(|(a, b)| if above[a] { (a, b) } else { (b, a) });
            segments.extend(directed.map(|(a, b)| (edges[a], edges[b])));
        }
        segments
    }

    /// Where a line crosses an edge of the grid. Halves keep differences of the largest numbers finite.
    fn crossing(&self, edge: usize, level: f64) -> (f64, f64) {
        let width = self.x.len();
        let a = edge / 2;
        let b = a + if edge.is_multiple_of(2) { 1 } else { width };
        let t = (level / 2.0 - self.z[a] / 2.0) / (self.z[b] / 2.0 - self.z[a] / 2.0);
        let between = |a: f64, b: f64| (1.0 - t) * a + t * b;
        (between(self.x[a % width], self.x[b % width]), between(self.y[a / width], self.y[b / width]))
    }

    /// Of a level's line, and of the area above it.
    pub(super) fn colors(&self, level: usize) -> [RGBColor; 2] {
        let last = self.levels.len().saturating_sub(1).max(1);
        let share = level as f64 / last as f64;
        [shade(0.4 + 0.6 * share), shade(0.05 + 0.45 * share)]
    }
}

/// Numbers that begin with these digits, of which so many stand behind the point, in every decade of some, between two
/// positive ones; each with its text.
fn levels_between([low, high]: [f64; 2], digits: &[u32], behind: i32, every: usize) -> Vec<(f64, String)> {
    let (first, last) = (low.log10().floor().max(-300.0) as i32, high.log10().ceil().min(300.0) as i32);
    let text = |v: f64| if (1e-4..1e6).contains(&v) { v.to_string() } else { format!("{v:e}") };
    let decades = (first..=last).step_by(every);
    let values =
        decades.flat_map(|power| digits.iter().map(move |digit| format!("{digit}e{}", power - behind).parse()));
    values.flatten().filter(|v| low < *v && *v < high).map(|value| (value, text(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::*;

    /// A function on n x n points of [-2, 2]².
    fn grid_of(n: u32, f: impl Fn(f64, f64) -> f64, levels: &[f64]) -> Contours {
        let at: Vec<f64> = (0..n).map(|i| -2.0 + 4.0 * f64::from(i) / f64::from(n - 1)).collect();
        let z = at.iter().flat_map(|&y| at.iter().map(move |&x| (x, y))).map(|(x, y)| f(x, y));
        let levels = levels.iter().map(|&level| (level, format!("{level}"))).collect();
        Contours { z: z.collect(), levels, x: at.clone(), y: at }
    }

    #[test]
    fn level_lines_of_a_bowl_are_circles() {
        let bowl = grid_of(41, |x, y| x * x + y * y, &[]);
        for radius in [0.5, 1.0, 1.9] {
            let lines = bowl.lines(radius * radius);
            let [circle] = &lines[..] else { panic!("{} lines", lines.len()) };
            assert_eq!(circle.first(), circle.last(), "closed");
            assert!(circle.iter().all(|(x, y)| (x.hypot(*y) - radius).abs() < 0.003), "{radius}");
            let length: f64 = circle.windows(2).map(|w| (w[1].0 - w[0].0).hypot(w[1].1 - w[0].1)).sum();
            assert!((length / (std::f64::consts::TAU * radius) - 1.0).abs() < 0.005, "{length}");
        }
        // Beyond the square's sides only its corners are left.
        let corners = bowl.lines(2.3 * 2.3);
        assert_eq!(corners.len(), 4);
        assert!(corners.iter().all(|line| line.first() != line.last()));
        assert!(bowl.lines(-1.0).is_empty() && bowl.lines(8.1).is_empty() && bowl.lines(f64::NAN).is_empty());
        let flat = grid_of(5, |_, _| 3.0, &[]);
        assert!(flat.lines(3.0).is_empty() && flat.lines(2.0).is_empty());
    }

    #[test]
    fn areas_above_a_level_are_all_parts_less_their_holes() {
        let size = |outline: &[(f64, f64)]| {
            let closed = outline.iter().zip(outline.iter().skip(1).chain(outline.first()));
            closed.map(|(a, b)| (a.0 * b.1 - b.0 * a.1) / 2.0).sum::<f64>()
        };
        let disc = std::f64::consts::PI * 1.5 * 1.5;
        let bowl = grid_of(81, |x, y| x * x + y * y, &[]);
        assert!((size(&bowl.area(2.25)) - (16.0 - disc)).abs() < 0.01, "a hole");
        let hill = grid_of(81, |x, y| -x * x - y * y, &[]);
        assert!((size(&hill.area(-2.25)) - disc).abs() < 0.01, "an island");
        assert!((size(&bowl.area(-1.0)) - 16.0).abs() < 1e-9, "all of it");
        assert!(bowl.area(9.0).is_empty());
        // Four corners, two of them by a saddle; a ring; the middle not known.
        let saddle = grid_of(80, |x, y| x * y, &[]);
        assert!((size(&saddle.area(0.0)) - 8.0).abs() < 0.01);
        let ring = grid_of(161, |x, y| -(x.hypot(y) - 1.0).abs(), &[]);
        assert!((size(&ring.area(-0.5)) - disc + std::f64::consts::PI * 0.25).abs() < 0.01);
        let unknown = grid_of(41, |x, y| if x.abs().max(y.abs()) < 0.51 { f64::NAN } else { 1.0 }, &[]);
        assert!((size(&unknown.area(0.5)) - (16.0 - 1.42)).abs() < 0.01);
    }

    #[test]
    fn log_levels_are_round_and_few() {
        let values = |z: &[f64]| Contours::log_levels(z).into_iter().map(|l| l.0).collect::<Vec<_>>();
        assert_eq!(values(&[0.03, f64::NAN, 3.0, -1.0]), [0.05, 0.1, 0.2, 0.5, 1.0, 2.0]);
        let dense = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0];
        assert_eq!(values(&[1e-3, 40.0, 0.0]), dense);
        assert_eq!(values(&[5e-4, 60.0]), [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0]);
        assert!(values(&[1e-9, 2e9]).iter().all(|v| v.log10().fract() == 0.0));
        assert!((2..=14).contains(&values(&[1e-300, 1e300]).len()));
        let labels: Vec<String> = Contours::log_levels(&[0.15, 6.0]).into_iter().map(|l| l.1).collect();
        assert_eq!(labels, ["0.2", "0.5", "1", "2", "5"]);
        for none in [&[][..], &[f64::NAN], &[-1.0, 0.0], &[2.5, 2.5]] {
            assert_eq!(Contours::log_levels(none), []);
        }
    }

    #[test]
    fn levels_suit_the_function() {
        let of = |z: &[f64]| Contours::levels(z);
        let positive = [0.1, 7.0, f64::NAN];
        assert_eq!(of(&positive), Contours::log_levels(&positive));
        // Of a decade more than 1, 2 and 5.
        let decade: Vec<String> = of(&[0.55, 4.5]).into_iter().map(|level| level.1).collect();
        assert_eq!(decade, ["0.6", "0.8", "1", "1.2", "1.5", "2", "2.5", "3", "4"]);
        let [narrow, negative] = [of(&[0.5, 1.5]), of(&[-1.0, 0.3, 40.0, f64::INFINITY])];
        let values = |levels: &[(f64, String)]| levels.iter().map(|l| l.0).collect::<Vec<_>>();
        assert_eq!(values(&narrow), [0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4]);
        assert_eq!(values(&negative), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0]);
        assert_eq!((&*narrow[0].1, &*of(&[-0.3, 0.1])[0].1), ("0.6", "−0.25"));
        for i in 0..200 {
            let high = 1.0 + f64::from(i) / 7.0;
            let found = of(&[-1.0, high]);
            assert!((5..=MOST_LEVELS).contains(&found.len()), "{high}");
            assert!(values(&found).is_sorted_by(|a, b| a < b) && found.iter().all(|l| -1.0 < l.0 && l.0 < high));
        }
        for none in
            [&[][..], &[f64::NAN], &[2.5, 2.5], &[0.0; 4], &[-f64::MAX, f64::MAX], &[0.0, 5e-324], &[1e15, 1e15 + 1.0]]
        {
            assert_eq!(of(none), [], "{none:?}");
        }
    }

    #[test]
    fn lines_at_a_saddle_do_not_cross() {
        // One cell with high corners in opposite places; the level lies below or above its middle.
        let cell = |z: [f64; 4]| Contours { x: vec![0.0, 1.0], y: vec![0.0, 1.0], z: z.to_vec(), levels: vec![] };
        let near = |lines: &[Vec<Point>], corner: Point| {
            let close = |line: &Vec<Point>| line.iter().all(|p| (p.0 - corner.0).abs() + (p.1 - corner.1).abs() < 0.51);
            lines.len() == 2 && lines.iter().filter(|line| close(line)).count() == 1
        };
        let rising = cell([1.0, 0.0, 0.0, 1.0]);
        let [below, above] = [0.49, 0.51].map(|level| rising.lines(level));
        assert!(near(&below, (1.0, 0.0)) && near(&below, (0.0, 1.0)), "{below:?}");
        assert!(near(&above, (0.0, 0.0)) && near(&above, (1.0, 1.0)), "{above:?}");
        // The same of the mirrored cell.
        let [below, above] = [0.49, 0.51].map(|level| cell([0.0, 1.0, 1.0, 0.0]).lines(level));
        assert!(near(&below, (0.0, 0.0)) && near(&above, (1.0, 0.0)), "{below:?} {above:?}");
        let saddle = grid_of(12, |x, y| x * y, &[]);
        let lines = saddle.lines(1e-3);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.iter().all(|(x, y)| x * y > -1e-9)));
    }

    #[test]
    fn contours_lie_behind_the_curves_and_widen_the_range() {
        let path = Series::new("path", Color::Cycle(1), line(|x| x, -1.0, 3.0, 7)).mark(Mark::Path);
        let bowl = grid_of(60, |x, y| x * x + 2.0 * y * y, &[0.5, 1.0, 2.0, 4.0, 8.0]);
        let path_on_bowl = figure(plot(vec![path]).contours(bowl));
        let panel = laid_out(&path_on_bowl);
        assert!(panel.x.range.lo < -2.0 && panel.x.range.hi > 3.0 && panel.y[0].range.hi > 3.0);
        let labels = panel.level_labels();
        assert_eq!(labels.iter().map(|l| &*l.1).collect::<Vec<_>>(), ["0.5", "1", "2", "4", "8"]);
        for (i, (area, text)) in labels.iter().enumerate() {
            assert!(labels[..i].iter().all(|(other, _)| !other.overlaps(*area)), "{text}");
            assert!(panel.outlines().all(|curve| !area.touches(&curve)), "{text}");
            if let LegendPosition::Inside(legend) = panel.legend_position {
                assert!(!area.overlaps(legend), "{text}");
            }
        }
        let alone = figure(plot(vec![]).contours(grid_of(9, |x, _| x, &[])));
        let (panel, square) = (laid_out(&alone), Range { lo: -2.0, hi: 2.0 });
        assert_eq!((panel.x.range, panel.y[0].range, panel.empty), (square, square, false));
        let drawn = path_on_bowl.draw().unwrap();
        assert!(drawn.find("#08306B") < drawn.find("<circle") && drawn.contains("#08306B"));
        assert!(path_on_bowl.svg().unwrap().len() < 60_000);
    }

    #[test]
    fn contours_of_any_kind_are_drawn_or_refused() {
        let shown = |contours, axis: fn(&'static str) -> Axis| {
            figure(Panel::plot("", axis("x"), axis("y"), vec![]).contours(contours)).svg()
        };
        let odd = |x: f64, y: f64| if x > 1.0 { f64::NAN } else { x * y * f64::MAX };
        let levels = [0.0, f64::MAX / 2.0, f64::NAN, f64::INFINITY];
        for axis in [Axis::linear, Axis::log, |l| Axis::symlog(l, -1)] as [fn(&'static str) -> Axis; 3] {
            let svg = shown(grid_of(9, odd, &levels), axis).unwrap();
            assert!(!svg.contains("NaN") && !svg.contains("inf"));
        }
        let good = || grid_of(3, |x, _| x, &[0.5]);
        let one = Contours { x: vec![1.0], y: vec![1.0], z: vec![1.0], levels: vec![(1.0, "1".into())] };
        assert!(shown(one, Axis::linear).is_ok());
        for bad in [
            Contours { z: vec![0.0; 8], ..good() },
            Contours { x: vec![0.0, 2.0, 1.0], ..good() },
            Contours { x: vec![0.0, f64::NAN, 1.0], ..good() },
            Contours { x: vec![], z: vec![], ..good() },
            Contours { levels: vec![(0.0, String::new()); MAX_LEVELS + 1], ..good() },
            grid_of(317, |x, _| x, &[]),
        ] {
            assert!(shown(bad, Axis::linear).is_err());
        }
    }
}
