//! Points, boxes and polylines in drawing units, with y downwards; and what keeps a drawing small: points that no eye
//! could tell apart are left out. Does not know what they stand for.

use std::collections::{BTreeSet, HashSet};

use super::style::{DOT, INCH};

/// More discs than this are drawn on a coarser grid, to bound the size of the SVG.
const MAX_DISCS: usize = 5000;

pub(super) type Point = (f64, f64);

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rect {
    pub(super) x0: f64,
    pub(super) y0: f64,
    pub(super) x1: f64,
    pub(super) y1: f64,
}

impl Rect {
    /// From its upper left corner.
    pub(super) fn sized((x0, y0): Point, width: f64, height: f64) -> Self {
        Self { x0, y0, x1: x0 + width, y1: y0 + height }
    }

    pub(super) fn width(self) -> f64 {
        self.x1 - self.x0
    }

    pub(super) fn height(self) -> f64 {
        self.y1 - self.y0
    }

    pub(super) fn center(self) -> Point {
        (f64::midpoint(self.x0, self.x1), f64::midpoint(self.y0, self.y1))
    }

    pub(super) fn grown(self, by: f64) -> Self {
        Self { x0: self.x0 - by, y0: self.y0 - by, x1: self.x1 + by, y1: self.y1 + by }
    }

    pub(super) fn contains(self, (x, y): Point) -> bool {
        (self.x0..=self.x1).contains(&x) && (self.y0..=self.y1).contains(&y)
    }

    pub(super) fn overlaps(self, other: Self) -> bool {
        self.x0 <= other.x1 && other.x0 <= self.x1 && self.y0 <= other.y1 && other.y0 <= self.y1
    }

    /// Whether a polyline, or a lone point, reaches into it.
    pub(super) fn touches(self, run: &[Point]) -> bool {
        run.iter().any(|&p| self.contains(p)) || run.windows(2).any(|w| self.clip(w[0], w[1]).is_some())
    }

    /// The part of a segment inside (Liang and Barsky, 1984).
    fn clip(self, a: Point, b: Point) -> Option<(Point, Point)> {
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let (mut enter, mut leave) = (0.0_f64, 1.0_f64);
        for (p, q) in [(-dx, a.0 - self.x0), (dx, self.x1 - a.0), (-dy, a.1 - self.y0), (dy, self.y1 - a.1)] {
            if p == 0.0 && q < 0.0 {
                return None;
            } else if p < 0.0 {
                enter = enter.max(q / p);
            } else if p > 0.0 {
                leave = leave.min(q / p);
            }
        }
        let at = |t: f64| (a.0 + t * dx, a.1 + t * dy);
        (enter <= leave).then(|| (at(enter), at(leave)))
    }
}

/// Fewer points for the same picture: of the points that follow each other within two dots of x, only the first, the
/// lowest, the highest and the last, in their order.
pub(super) fn thinned(run: &[Point]) -> Vec<Point> {
    let column = |p: &Point| (p.0 / (2.0 * DOT)).floor();
    let mut out = Vec::new();
    for group in run.chunk_by(|a, b| column(a) == column(b)) {
        let by_y = |&i: &usize, &j: &usize| group[i].1.total_cmp(&group[j].1);
        let low = (0..group.len()).min_by(by_y).unwrap_or(0);
        let high = (0..group.len()).max_by(by_y).unwrap_or(0);
        out.extend(BTreeSet::from([0, low, high, group.len() - 1]).into_iter().map(|i| group[i]));
    }
    out
}

/// The outline of the smallest convex area around points, without those on a straight way (Andrew, 1979), turning
/// from x to y; fewer than three where they lie on a line.
pub(super) fn hull(points: &[Point]) -> Vec<Point> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let turns = |a: Point, b: Point, c: Point| (b.0 - a.0) * (c.1 - b.1) - (b.1 - a.1) * (c.0 - b.0) > 0.0;
    let chain = |points: &mut dyn Iterator<Item = Point>| {
        let mut out: Vec<Point> = Vec::new();
        for p in points {
            while let [.., a, b] = out[..]
                && !turns(a, b, p)
            {
                out.pop();
            }
            out.push(p);
        }
        // The other chain begins where this one ends.
        out.pop();
        out
    };
    let there = chain(&mut sorted.iter().copied());
    let back = chain(&mut sorted.iter().rev().copied());
    there.into_iter().chain(back).collect()
}

/// A hull with its sides moved outwards by so much; less at sharp corners.
pub(super) fn grown_hull(hull: &[Point], by: f64) -> Vec<Point> {
    let outwards = |a: Point, b: Point| {
        let length = ((b.0 - a.0) * (b.0 - a.0) + (b.1 - a.1) * (b.1 - a.1)).sqrt();
        ((b.1 - a.1) / length, (a.0 - b.0) / length)
    };
    let count = hull.len();
    let corner = |i: usize| {
        let (before, at, after) = (hull[(i + count - 1) % count], hull[i], hull[(i + 1) % count]);
        let (m, n) = (outwards(before, at), outwards(at, after));
        let reach = by / (1.0 + m.0 * n.0 + m.1 * n.1).max(0.5);
        (at.0 + reach * (m.0 + n.0), at.1 + reach * (m.1 + n.1))
    };
    (0..count).map(corner).collect()
}

/// On whole units, without repeated points and without those on a straight way.
pub(super) fn simplified(run: &[Point]) -> Vec<(i32, i32)> {
    let mut out: Vec<(i32, i32)> = Vec::with_capacity(run.len());
    for p in run.iter().copied().map(rounded) {
        if out.last() == Some(&p) {
            continue;
        }
        if let [.., a, b] = out[..] {
            let (ux, uy) = (i64::from(b.0 - a.0), i64::from(b.1 - a.1));
            let (vx, vy) = (i64::from(p.0 - b.0), i64::from(p.1 - b.1));
            if ux * vy == uy * vx && ux * vx + uy * vy > 0 {
                out.pop();
            }
        }
        out.push(p);
    }
    out
}

/// On whole units.
pub(super) fn rounded((x, y): Point) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}

/// The first point in each cell of a grid, the finest that leaves at most `MAX_DISCS`; cells of an inch always do.
pub(super) fn sparse(points: &[Point]) -> Vec<Point> {
    let mut cell = DOT;
    loop {
        let mut taken = HashSet::new();
        let kept = points.iter().filter(|p| taken.insert(((p.0 / cell).floor() as i64, (p.1 / cell).floor() as i64)));
        let kept: Vec<Point> = kept.copied().collect();
        if kept.len() <= MAX_DISCS || cell > INCH {
            return kept;
        }
        cell *= 1.25;
    }
}

/// Bars on whole dots with gaps between them where they are wide enough; of those that share a dot, the highest.
pub(super) fn separated(bars: &[Rect]) -> Vec<Rect> {
    let snap = |x: f64| (x / DOT).round() * DOT;
    let apart = bars.iter().map(|bar| {
        let (x0, x1) = (snap(bar.x0), snap(bar.x1));
        let gap = if x1 - x0 < 3.0 * DOT { 0.0 } else { DOT };
        Rect { x0, x1: (x1 - gap).max(x0 + DOT), ..*bar }
    });
    let apart: Vec<Rect> = apart.collect();
    let one_dot = |a: &Rect, b: &Rect| a.x0 == b.x0 && a.width().max(b.width()) < 1.5 * DOT;
    let highest = |group: &[Rect]| group.iter().copied().max_by(|a, b| a.height().total_cmp(&b.height()));
    apart.chunk_by(one_dot).filter_map(highest).collect()
}

/// The nearest position at which a line of this width fills whole dots of the PNG.
pub(super) fn on_dots(at: f64, width: u32) -> f64 {
    let half = f64::from(width) / 2.0;
    ((at - half) / DOT).round() * DOT + half
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::*;

    #[test]
    fn thinning_keeps_extremes_and_ends() {
        let mut run: Vec<Point> = (0..20_000).map(|i| (f64::from(i) * 0.7, f64::from(i % 97))).collect();
        run[777].1 = 5000.0;
        run[12_345].1 = -4000.0;
        let thin = thinned(&run);
        assert!(thin.len() < 2500, "{}", thin.len());
        for p in [run[0], run[777], run[12_345], run[19_999]] {
            assert!(thin.contains(&p));
        }
        assert!(thin.windows(2).all(|w| w[0].0 <= w[1].0));
        assert_eq!(thinned(&[]), []);
    }

    #[test]
    fn clipping_cuts_at_the_border() {
        let area = Rect { x0: 0.0, y0: 0.0, x1: 10.0, y1: 10.0 };
        assert_eq!(area.clip((-5.0, 5.0), (5.0, 5.0)), Some(((0.0, 5.0), (5.0, 5.0))));
        assert_eq!(area.clip((-1.0, -1.0), (-1.0, 20.0)), None);
    }

    #[test]
    fn rounding_drops_repeated_and_straight_points() {
        let run = [(0.0, 0.0), (0.2, 0.1), (1.0, 1.0), (2.0, 2.0), (2.0, 5.0), (2.0, 3.0)];
        assert_eq!(simplified(&run), [(0, 0), (2, 2), (2, 5), (2, 3)]);
    }

    #[test]
    fn hulls_are_convex_and_grow_by_as_much_everywhere() {
        let square = [(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0)];
        let crossed = [square[0], square[2], square[1], (2.0, 0.0), (2.0, 2.0), square[3]];
        assert_eq!(hull(&crossed), square);
        assert_eq!(grown_hull(&square, 1.0), [(-1.0, -1.0), (5.0, -1.0), (5.0, 5.0), (-1.0, 5.0)]);
        let needle = grown_hull(&hull(&[(0.0, 0.0), (100.0, 1.0), (100.0, -1.0)]), 1.0);
        assert!(needle.iter().all(|p| (-2.0..102.0).contains(&p.0)), "{needle:?}");
        assert!(hull(&[(1.0, 1.0); 4]).len() < 3 && hull(&[(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)]).len() < 3);
    }

    #[test]
    fn bars_have_gaps_where_they_are_wide_enough() {
        let bar = |x0: f64, x1: f64, height: f64| Rect { x0: x0 * DOT, y0: -height, x1: x1 * DOT, y1: 0.0 };
        let wide = separated(&[bar(0.2, 10.3, 1.0), bar(10.3, 20.4, 2.0)]);
        assert_eq!(wide, [bar(0.0, 9.0, 1.0), bar(10.0, 19.0, 2.0)]);
        let tenths = |i: u32| f64::from(i) / 10.0;
        let narrow: Vec<Rect> = (0..100).map(|i| bar(tenths(i), tenths(i + 1), f64::from(i % 7))).collect();
        let narrow = separated(&narrow);
        assert!(narrow.len() <= 11 && narrow.iter().all(|b| (b.width() - DOT).abs() < 1e-9), "{narrow:?}");
        assert!(narrow.iter().all(|b| b.height() >= 4.0), "the highest show");
        let many = unit_bins(&vec![3.0; 100_000]);
        let histogram = Series::histogram("", Color::Ink, many);
        assert!(figure(plot(vec![histogram])).svg().unwrap().len() < 250_000);
    }
}
