//! A function on a grid as facets in a box, the farthest first, in the colours of their height and light. Knows places
//! in the box and from where one looks, neither axes nor the page.

use plotters::style::RGBColor;

use super::geometry::Point;
use super::style::{BLACK, FLAT_HEIGHT, UNSHADED, WHITE, blend, height_color};

/// Along x, y and z: from 0 to 1 in the box, or a direction in units of its width.
pub(super) type Vector = [f64; 3];

/// Of the box, by its width.
const HEIGHT: f64 = 0.6;

// The viewer's right, up and backwards, at an azimuth of −60° and an elevation of 35°. Decimals, since the last bit of
// a sine is not the same on all machines.
const RIGHT: Vector = [0.866_025_403_784_438_6, 0.5, 0.0];
const UP: Vector = [-0.286_788_218_175_523, 0.496_731_764_892_154_1, 0.819_152_044_288_991_8];
const BACKWARDS: Vector = [0.409_576_022_144_495_9, -0.709_406_479_916_222_5, 0.573_576_436_351_046];
// Where light comes from: the viewer's upper left.
const LIGHT_FROM: [f64; 3] = [-0.5, 0.65, 0.57];

/// Grids with more cells than this have facets over several of them.
const MOST_CELLS: usize = 25_000;
/// A published facet takes about 75 bytes.
const FACETS_PER_CELL: usize = 8;
const FACETS: (usize, usize) = (2000, 12_000); // of all cells
/// Grids with more rows or columns than this have no lines, which would cover them.
const MOST_LINES: usize = 100;
/// How much height a piece of a line spans, since it has one colour.
const PIECE: f64 = 0.18;

/// Where a place in the box is seen, in units of its width from the middle of its floor, with y downwards.
pub(super) fn seen([u, v, w]: Vector) -> Point {
    let from_middle = [u - 0.5, v - 0.5, w * HEIGHT];
    (dot(RIGHT, from_middle), -dot(UP, from_middle))
}

fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn normalized(a: Vector) -> Vector {
    let length = dot(a, a).sqrt();
    a.map(|c| c / length)
}

/// From a to b.
fn between(a: f64, b: f64, t: f64) -> f64 {
    (1.0 - t) * a + t * b
}

/// Between the corners of a cell: low x and y, high x, high y, high both.
fn within([a, b, c, d]: [f64; 4], s: f64, t: f64) -> f64 {
    between(between(a, b, s), between(c, d, s), t)
}

/// A grid in the box, with what its facets need to know.
pub(super) struct Relief {
    x: Vec<f64>,
    y: Vec<f64>,
    /// Row by row; NaN where there is no place in the box.
    heights: Vec<f64>,
    /// Upright to the surface, at each point.
    normals: Vec<Vector>,
    lowest: f64,
    highest: f64,
    light: Vector,
    /// How much of the box a facet spans at most, unless it is a cell.
    span: f64,
    has_lines: bool,
}

/// What is drawn of a cell: first its facets, then lines on its edges.
pub(super) struct Cell {
    pub(super) facets: Vec<([Vector; 4], RGBColor)>,
    pub(super) lines: Vec<([Vector; 2], RGBColor)>,
}

impl Relief {
    /// From where the columns and the rows are in the box, and the heights; NaN for those without a place.
    pub(super) fn new(x: &[f64], y: &[f64], heights: &[f64]) -> Self {
        let every = (1..).find(|k| (x.len() / k).saturating_mul(y.len() / k) <= MOST_CELLS).unwrap_or(1);
        let kept = |count: usize| {
            let last = (count % every != 1 && every > 1).then(|| count - 1);
            (0..count).step_by(every).chain(last).collect::<Vec<_>>()
        };
        let (columns, rows) = (kept(x.len()), kept(y.len()));
        let kept = rows.iter().flat_map(|row| columns.iter().map(move |column| row * x.len() + column));
        let heights: Vec<f64> = kept.map(|i| heights[i]).collect();
        let finite = || heights.iter().copied().filter(|w| w.is_finite());
        let (lowest, highest) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        let [l, m, n] = LIGHT_FROM;
        let mut relief = Self {
            x: columns.iter().map(|&i| x[i]).collect(),
            y: rows.iter().map(|&i| y[i]).collect(),
            heights,
            normals: Vec::new(),
            lowest,
            highest,
            light: normalized([0, 1, 2].map(|i| l * RIGHT[i] + m * UP[i] + n * BACKWARDS[i])),
            span: 0.0,
            has_lines: columns.len().max(rows.len()) <= MOST_LINES,
        };
        let nodes = (0..rows.len()).flat_map(|row| (0..columns.len()).map(move |column| (column, row)));
        relief.normals = nodes.map(|(column, row)| relief.normal(column, row)).collect();
        relief.choose_span();
        relief
    }

    /// The smallest facets of which there are not too many.
    fn choose_span(&mut self) {
        let cells: Vec<_> = self.cells().collect();
        let most = (FACETS_PER_CELL * cells.len()).clamp(FACETS.0, FACETS.1.max(cells.len()));
        let facets = |span| {
            let cuts = cells.iter().map(|&(column, row)| self.cuts(column, row, span));
            cuts.map(|(across, along)| across * along).sum::<usize>()
        };
        let mut span = 0.01;
        while span < 10.0 && facets(span) > most {
            span *= 1.05;
        }
        self.span = span;
    }

    /// The cells with a place at each corner, the nearest last: none hides one that follows.
    pub(super) fn cells(&self) -> impl Iterator<Item = (usize, usize)> {
        let rows = (0..self.y.len().saturating_sub(1)).rev();
        let all = rows.flat_map(|row| (0..self.x.len().saturating_sub(1)).map(move |column| (column, row)));
        all.filter(|&(column, row)| self.is_whole(column, row))
    }

    fn is_whole(&self, column: usize, row: usize) -> bool {
        let inside = column + 1 < self.x.len() && row + 1 < self.y.len();
        inside && self.corners(column, row).into_iter().flatten().all(f64::is_finite)
    }

    fn node(&self, column: usize, row: usize) -> usize {
        row * self.x.len() + column
    }

    fn nodes(&self, column: usize, row: usize) -> [usize; 4] {
        let node = self.node(column, row);
        [node, node + 1, node + self.x.len(), node + self.x.len() + 1]
    }

    fn corners(&self, column: usize, row: usize) -> [Vector; 4] {
        let x = &self.x;
        self.nodes(column, row).map(|node| [x[node % x.len()], self.y[node / x.len()], self.heights[node]])
    }

    /// From the slopes to the neighbours, the nearer of which counts more.
    fn normal(&self, column: usize, row: usize) -> Vector {
        let height = |column: usize, row: usize| self.heights[self.node(column, row)];
        let slope = |at: &[f64], i: usize, height: &dyn Fn(usize) -> f64| {
            let side = |low: usize, high: usize| {
                let run = at.get(high)? - at[low];
                let rise = (height(high) - height(low)) * HEIGHT;
                (rise.is_finite() && run > 0.0).then(|| (rise / run, run))
            };
            match (i.checked_sub(1).and_then(|low| side(low, i)), side(i, i + 1)) {
                (Some((below, before)), Some((above, after))) => (below * after + above * before) / (before + after),
                (Some((slope, _)), None) | (None, Some((slope, _))) => slope,
                (None, None) => 0.0,
            }
        };
        let along_x = slope(&self.x, column, &|column| height(column, row));
        let along_y = slope(&self.y, row, &|row| height(column, row));
        normalized([-along_x, -along_y, 1.0])
    }

    /// Into how many facets a cell is cut along x and y.
    fn cuts(&self, column: usize, row: usize, span: f64) -> (usize, usize) {
        let [a, b, c, d] = self.corners(column, row);
        let reach = |p: Vector, q: Vector| (0..3).map(|i| (q[i] - p[i]).abs()).sum::<f64>();
        let pieces = |reach: f64| ((reach / span - 1e-9).ceil() as usize).max(1);
        (pieces(reach(a, b).max(reach(c, d))), pieces(reach(a, c).max(reach(b, d))))
    }

    /// What is drawn of a cell.
    pub(super) fn cell(&self, (column, row): (usize, usize)) -> Cell {
        let (corners, nodes) = (self.corners(column, row), self.nodes(column, row));
        let at = |s: f64, t: f64| [0, 1, 2].map(|i| within(corners.map(|corner| corner[i]), s, t));
        let normal = |s: f64, t: f64| [0, 1, 2].map(|i| within(nodes.map(|node| self.normals[node][i]), s, t));
        let (across, along) = self.cuts(column, row, self.span);
        let part = |i: usize, of: usize| i as f64 / of as f64;
        let mut facets = Vec::with_capacity(across * along);
        for j in (0..along).rev() {
            let (near, far) = (part(j, along), part(j + 1, along));
            for i in 0..across {
                let (left, right) = (part(i, across), part(i + 1, across));
                let facet = [at(left, near), at(right, near), at(right, far), at(left, far)];
                let (s, t) = (f64::midpoint(left, right), f64::midpoint(near, far));
                facets.push((facet, self.color(at(s, t)[2], normal(s, t), is_from_below(&facet))));
            }
        }
        let mut lines = Vec::new();
        // An edge between two cells belongs to the nearer one, which would cover half of it.
        let far = [((0.0, 1.0), (1.0, 1.0)), ((0.0, 0.0), (0.0, 1.0))].into_iter();
        let right = (!self.is_whole(column + 1, row)).then_some(((1.0, 0.0), (1.0, 1.0)));
        let near = (row == 0 || !self.is_whole(column, row - 1)).then_some(((0.0, 0.0), (1.0, 0.0)));
        let from_below = is_from_below(&[corners[0], corners[1], corners[3], corners[2]]);
        let heights = corners.map(|corner| corner[2]);
        let reach = heights.into_iter().fold(0.0, f64::max) - heights.into_iter().fold(1.0, f64::min);
        for ((s0, t0), (s1, t1)) in far.chain(right).chain(near).filter(|_| self.has_lines) {
            let rise = (at(s1, t1)[2] - at(s0, t0)[2]).abs();
            let pieces = ((rise / PIECE).ceil() as usize).max(1);
            let on_edge = |k: f64| (between(s0, s1, k / pieces as f64), between(t0, t1, k / pieces as f64));
            for k in 0..pieces {
                let [start, middle, end] = [0.0, 0.5, 1.0].map(|half| on_edge(k as f64 + half));
                // Of one colour, those of a cell are joined when published.
                let (s, t) = if reach > PIECE { middle } else { (0.5, 0.5) };
                let color = self.color(at(s, t)[2], normal(s, t), from_below);
                lines.push(([at(start.0, start.1), at(end.0, end.1)], blend(color, BLACK, 0.28)));
            }
        }
        Cell { facets, lines }
    }

    /// The colour of a height in the light (Lambert, 1760), softly; paler from below.
    fn color(&self, height: f64, normal: Vector, from_below: bool) -> RGBColor {
        let reach = self.highest - self.lowest;
        let t = if reach > 0.0 { (height - self.lowest) / reach } else { FLAT_HEIGHT };
        let side = if from_below { -1.0 } else { 1.0 };
        let light = 0.62 + 0.44 * (side * dot(normalized(normal), self.light)).max(0.0);
        let color = height_color(t);
        let color = if from_below { blend(color, UNSHADED, 0.2) } else { color };
        if light < 1.0 { blend(BLACK, color, light) } else { blend(color, WHITE, light - 1.0) }
    }
}

/// Whether one sees a facet, given round from low x and y to high x, from below.
fn is_from_below(facet: &[Vector; 4]) -> bool {
    let [a, b, c, d] = facet.map(seen);
    (c.0 - a.0) * (d.1 - b.1) - (c.1 - a.1) * (d.0 - b.0) > 0.0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tests::evenly;
    use super::*;

    /// On so many points each way from 0 to 1.
    fn relief(count: u32, f: impl Fn(f64, f64) -> f64) -> Relief {
        let at: Vec<f64> = evenly(count).iter().map(|x| (x + 1.0) / 2.0).collect();
        let heights: Vec<f64> =
            at.iter().flat_map(|&y| at.iter().map(move |&x| (x, y))).map(|(x, y)| f(x, y)).collect();
        Relief::new(&at, &at, &heights)
    }

    fn cells(relief: &Relief) -> Vec<Cell> {
        relief.cells().map(|at| relief.cell(at)).collect()
    }

    fn facets(relief: &Relief) -> Vec<([Vector; 4], RGBColor)> {
        cells(relief).into_iter().flat_map(|cell| cell.facets).collect()
    }

    #[test]
    fn the_view_is_a_rotation() {
        let axes = [RIGHT, UP, BACKWARDS];
        for (i, a) in axes.iter().enumerate() {
            for (j, b) in axes.iter().enumerate() {
                assert!((dot(*a, *b) - f64::from(u8::from(i == j))).abs() < 1e-12, "{i} {j}");
            }
        }
        let (near, far) = (seen([1.0, 0.0, 0.0]), seen([0.0, 1.0, 0.0]));
        assert!(near.1 > 0.0 && near.1 == -far.1 && seen([0.0, 0.0, 1.0]).1 < seen([0.0; 3]).1);
    }

    #[test]
    fn a_plane_is_one_cell_in_one_light() {
        let plane = relief(2, |x, y| 0.25 + 0.5 * x - 0.25 * y);
        assert_eq!(plane.cells().collect::<Vec<_>>(), [(0, 0)]);
        let found = facets(&plane);
        assert!((1000..=FACETS.0).contains(&found.len()), "{}", found.len());
        for [x, y, z] in found.iter().flat_map(|(corners, _)| corners) {
            assert!((z - (0.25 + 0.5 * x - 0.25 * y)).abs() < 1e-12);
        }
        let (first, last) = (found[0].0, found[found.len() - 1].0);
        assert_eq!(
            (first[3][..2].to_vec(), last[1][..2].to_vec()),
            (vec![0.0, 1.0], vec![1.0, 0.0]),
            "the nearest last"
        );
        assert!(found.iter().all(|(facet, _)| !is_from_below(facet)));
        assert!(plane.normals.iter().all(|normal| *normal == plane.normals[0]));
        let flat = facets(&relief(5, |_, _| 0.5));
        assert!(flat.iter().all(|facet| facet.1 == flat[0].1));
    }

    #[test]
    fn cells_farther_away_come_first() {
        let bowl = relief(25, |x, y| 2.0 * ((x - 0.5) * (x - 0.5) + (y - 0.5) * (y - 0.5)));
        let order: Vec<_> = bowl.cells().collect();
        assert_eq!((order.len(), order[0], order[575]), (576, (0, 23), (23, 0)));
        for (i, far) in order.iter().enumerate() {
            // What hides a cell is nearer both ways.
            assert!(order[..i].iter().all(|near| near.0 < far.0 || near.1 > far.1), "{far:?}");
        }
        let found = facets(&bowl);
        assert!((1500..=FACETS_PER_CELL * 576).contains(&found.len()), "{}", found.len());
        assert!(found.iter().any(|(facet, _)| is_from_below(facet)), "the near rim");
        assert!(found.iter().flat_map(|(corners, _)| corners).flatten().all(|c| (0.0..=1.0).contains(c)));
        // As many lines as edges: 25 · 24 either way.
        assert_eq!(cells(&bowl).iter().map(|cell| cell.lines.len()).sum::<usize>(), 1200);
    }

    #[test]
    fn cells_without_a_corner_are_left_out() {
        let holed = relief(5, |x, y| if x == 0.5 && y == 0.5 { f64::NAN } else { 0.1 * x * y });
        let without: BTreeSet<_> = holed.cells().collect();
        assert_eq!(without.len(), 12);
        assert!([(1, 1), (2, 1), (1, 2), (2, 2)].iter().all(|cell| !without.contains(cell)));
        assert!(holed.normals.iter().flatten().all(|c| c.is_finite()));
        // Each edge once, but the four that the hole takes.
        let lines = cells(&holed).into_iter().flat_map(|cell| cell.lines);
        let lines: Vec<String> = lines.map(|(ends, _)| format!("{ends:?}")).collect();
        assert_eq!((lines.len(), lines.iter().collect::<BTreeSet<_>>().len()), (36, 36));
        assert!(relief(5, |_, _| f64::NAN).cells().next().is_none());
    }

    #[test]
    fn spikes_have_more_facets_and_the_colours_of_their_heights() {
        let spike = relief(51, |x, y| if x == 0.5 && y == 0.5 { 1.0 } else { 0.0 });
        let count = |at| spike.cell(at).facets.len();
        assert!(count((25, 25)) > 20 * count((3, 3)), "{} {}", count((25, 25)), count((3, 3)));
        let colors: BTreeSet<(u8, u8, u8)> =
            spike.cell((25, 25)).facets.iter().map(|(_, color)| (color.0, color.1, color.2)).collect();
        assert!(colors.len() > 20);
        let pieces: Vec<_> = spike.cell((25, 25)).lines;
        assert!(pieces.iter().all(|(ends, _)| (ends[0][2] - ends[1][2]).abs() <= PIECE + 1e-9));
    }

    #[test]
    fn light_falls_from_the_upper_left() {
        let bright = |slope: (f64, f64)| {
            let slope = relief(2, |x, y| 0.5 + slope.0 * (x - 0.5) + slope.1 * (y - 0.5));
            let light: f64 = dot(slope.normals[0], slope.light);
            light
        };
        let (up, left, right) = (bright((0.0, 0.0)), bright((0.5, 0.0)), bright((-0.5, 0.0)));
        assert!(left > up && up > right && right > 0.0, "{left} {up} {right}");
    }

    #[test]
    fn large_grids_have_larger_facets() {
        for count in [101, 158, 159, 316] {
            let fine = relief(count, |x, y| x * y);
            let found = facets(&fine);
            assert!(found.len() <= MOST_CELLS, "{count}: {}", found.len());
            let ends: Vec<f64> = found.iter().flat_map(|(corners, _)| corners.map(|c| c[0])).collect();
            assert_eq!(
                (ends.iter().copied().fold(1.0, f64::min), ends.iter().copied().fold(0.0, f64::max)),
                (0.0, 1.0)
            );
        }
    }
}
