//! Lays out and draws a surface in its box: walls, ticks and names around it, a path and a point on top. Knows axes and
//! the page; what is seen of the surface itself comes from `surface`.

use anyhow::Result;
use plotters::style::text_anchor::HPos;

use super::figure::{Axis, Color, Surface};
use super::scale::{Range, Ticks};
use super::surface::{Relief, Vector, seen};
use super::text::{text_width, wrapped};
use super::{canvas::Canvas, geometry::*, layout::PanelLayout, style::*};

const PADDING: f64 = 0.04; // below the surface and above, by its height
/// By how much facets overlap their neighbours: no white shows between them.
const OVERLAP: f64 = 0.4 * DOT;
const WIDEST_NAME: f64 = 0.42; // by the panel's width

// Where the axes are: x and y along the front of the floor, z upwards on the left.
const AXES: [[Vector; 2]; 3] =
    [[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]], [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]], [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]];
// The floor and the walls behind.
const WALLS: [[Vector; 4]; 3] = [
    [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]],
    [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]],
    [[0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]],
];

/// Lines of text somewhere around the box.
pub(super) struct Label {
    pub(super) area: Rect,
    lines: Vec<String>,
    style: TextStyle,
    upwards: bool,
}

/// A box where it stands on the page.
pub(super) struct Scene<'a> {
    surface: &'a Surface,
    ranges: [Range; 3],
    ticks: [Ticks; 3],
    /// Width of the box, and the middle of its floor.
    unit: f64,
    origin: Point,
    pub(super) labels: Vec<Label>,
}

fn axes(surface: &Surface) -> [&Axis; 3] {
    [&surface.x, &surface.y, &surface.z]
}

/// A marked point in the scales' coordinates.
fn transformed(surface: &Surface, &(x, y, z): &(f64, f64, f64)) -> Option<Vector> {
    let [tx, ty, tz] = axes(surface).map(|axis| axis.scale);
    Some([tx.transform(x)?, ty.transform(y)?, tz.transform(z)?])
}

/// The grid in the scales' coordinates; NaN for what they cannot show.
fn transformed_grid(surface: &Surface) -> [Vec<f64>; 3] {
    let of = |axis: &Axis, values: &[f64]| {
        values.iter().map(|&v| axis.scale.transform(v).unwrap_or(f64::NAN)).collect::<Vec<_>>()
    };
    let Surface { x, y, z, at_x, at_y, values, .. } = surface;
    [of(x, at_x), of(y, at_y), of(z, values)]
}

/// Whether there is no cell, no path and no point to show.
pub(super) fn is_empty(surface: &Surface) -> bool {
    let [x, y, z] = transformed_grid(surface);
    let shown = |column: usize, row: usize| {
        let at = |values: &[f64], i: usize| values.get(i).is_some_and(|v| v.is_finite());
        at(&x, column) && at(&y, row) && at(&z, row * x.len() + column)
    };
    let pair = |column, row| shown(column, row) && shown(column, row + 1);
    let mut cells = (0..y.len()).flat_map(|row| (0..x.len()).map(move |column| (column, row)));
    let marked = surface.path.iter().chain(&surface.point).any(|at| transformed(surface, at).is_some());
    !marked && !cells.any(|(column, row)| pair(column, row) && pair(column + 1, row))
}

/// What the axes show: the grid and all that is marked.
fn ranges(surface: &Surface) -> [Range; 3] {
    let marked: Vec<Vector> =
        surface.path.iter().chain(&surface.point).filter_map(|at| transformed(surface, at)).collect();
    let grid = transformed_grid(surface);
    [0, 1, 2].map(|i| {
        let scale = axes(surface)[i].scale;
        let all = grid[i].iter().copied().chain(marked.iter().map(|at| at[i])).filter(|t| t.is_finite());
        let data = all.map(Range::point).reduce(Range::union);
        data.map_or(scale.default_range(), |data| scale.padded_range(data, if i == 2 { PADDING } else { 0.0 }))
    })
}

impl<'a> Scene<'a> {
    /// As large as it can be in this part of the page, in its middle.
    pub(super) fn new(surface: &'a Surface, page: Rect) -> Self {
        let ranges = ranges(surface);
        let mut unit = page.width().max(DOT);
        loop {
            let mut scene = Self::sized(surface, ranges, unit, page);
            let bounds = scene.bounds();
            if (bounds.width() <= page.width() && bounds.height() <= page.height()) || unit < INCH / 2.0 {
                let ((x, y), (x0, y0)) = (page.center(), bounds.center());
                scene.origin = ((x - x0).round(), (y - y0).round());
                let (dx, dy) = scene.origin;
                for Label { area, .. } in &mut scene.labels {
                    *area = Rect { x0: area.x0 + dx, y0: area.y0 + dy, x1: area.x1 + dx, y1: area.y1 + dy };
                }
                return scene;
            }
            unit *= 0.98;
        }
    }

    /// Around the middle of its floor.
    fn sized(surface: &'a Surface, ranges: [Range; 3], unit: f64, page: Rect) -> Self {
        let mut scene = Self {
            surface,
            ranges,
            ticks: [(); 3].map(|()| Ticks::default()),
            unit,
            origin: (0.0, 0.0),
            labels: vec![],
        };
        let scales = axes(surface).map(|axis| axis.scale);
        let spans = AXES.map(|axis| {
            let [a, b] = axis.map(|end| scene.at(end));
            ((b.0 - a.0).abs(), (b.1 - a.1).abs())
        });
        let wide = |label: &str| text_width(label, TICK_LABEL) + 0.8 * TICK_LABEL.size;
        scene.ticks = [
            scales[0].fitting_ticks(ranges[0], spans[0].0, 6, wide),
            scales[1].fitting_ticks(ranges[1], spans[1].1, 6, |_| 1.5 * TICK_LABEL.size),
            scales[2].fitting_ticks(ranges[2], spans[2].1, 7, |_| 2.0 * TICK_LABEL.size),
        ];
        for axis in 0..3 {
            scene.add_tick_labels(axis);
        }
        (0..2).for_each(|axis| scene.add_name(axis, page));
        scene.add_upright_name();
        scene
    }

    /// Of the box and all that is written around it.
    pub(super) fn bounds(&self) -> Rect {
        let corners = WALLS.into_iter().flatten().map(|corner| self.at(corner));
        let areas = corners.map(|(x, y)| Rect { x0: x, y0: y, x1: x, y1: y }).chain(self.labels.iter().map(|l| l.area));
        let union =
            |a: Rect, b: Rect| Rect { x0: a.x0.min(b.x0), y0: a.y0.min(b.y0), x1: a.x1.max(b.x1), y1: a.y1.max(b.y1) };
        areas.reduce(union).unwrap_or_default()
    }

    /// Where a place in the box is on the page.
    pub(super) fn at(&self, place: Vector) -> Point {
        let (x, y) = seen(place);
        (self.origin.0 + self.unit * x, self.origin.1 + self.unit * y)
    }

    /// Where a point in data units is in the box.
    fn place(&self, point: &(f64, f64, f64)) -> Option<Vector> {
        let t = transformed(self.surface, point)?;
        Some([0, 1, 2].map(|i| self.ranges[i].fraction(t[i])))
    }

    /// The surface in the box.
    pub(super) fn relief(&self) -> Relief {
        let grid = transformed_grid(self.surface);
        let [x, y, z] = [0, 1, 2].map(|i| grid[i].iter().map(|&t| self.ranges[i].fraction(t)).collect::<Vec<_>>());
        Relief::new(&x, &y, &z)
    }

    /// Outwards from the box, on the page, along which an axis has its ticks.
    fn outwards(&self, axis: usize) -> Point {
        let (from, to) = match axis {
            0 => ([0.0, 1.0, 0.0], [0.0; 3]),
            1 => ([0.0; 3], [1.0, 0.0, 0.0]),
            _ => return (-1.0, 0.0),
        };
        direction(self.at(from), self.at(to))
    }

    /// A tick of this length.
    fn tick(&self, axis: usize, at: f64, length: f64) -> [Point; 2] {
        let [low, high] = AXES[axis];
        let (x, y) = self.at([0, 1, 2].map(|i| low[i] + at * (high[i] - low[i])));
        let (dx, dy) = self.outwards(axis);
        [(x, y), (x + length * dx, y + length * dy)]
    }

    fn add_tick_labels(&mut self, axis: usize) {
        let (dx, dy) = self.outwards(axis);
        for (at, text) in self.ticks[axis].major.clone() {
            let [_, (x, y)] = self.tick(axis, at, TICK + GAP);
            let (rx, ry) = (text_width(&text, TICK_LABEL) / 2.0, TICK_LABEL.cap_height() / 2.0);
            let area = around((x + dx * rx, y + dy * ry), rx, ry);
            if self.labels.iter().all(|other| !other.area.grown(GAP / 2.0).overlaps(area)) {
                self.labels.push(Label { area, lines: vec![text], style: TICK_LABEL, upwards: false });
            }
        }
    }

    /// The name of x or y beside the middle of its axis, as near as the labels of its ticks let it.
    fn add_name(&mut self, axis: usize, page: Rect) {
        let lines = wrapped(&axes(self.surface)[axis].label, AXIS_LABEL, WIDEST_NAME * page.width(), 2);
        let widest = lines.iter().map(|line| text_width(line, AXIS_LABEL)).fold(0.0, f64::max);
        if widest <= 0.0 {
            return;
        }
        let edge = AXES[axis].map(|end| self.at(end));
        let along = direction(edge[0], edge[1]);
        let middle = (f64::midpoint(edge[0].0, edge[1].0), f64::midpoint(edge[0].1, edge[1].1));
        let (rx, ry) = (widest / 2.0, AXIS_LABEL.block_height(lines.len()) / 2.0);
        let beside = |step: i32| {
            let far = f64::from(step) * DOT;
            around((middle.0 - far * along.1, middle.1 + far * along.0), rx, ry)
        };
        let is_clear = |area: &Rect| {
            let area = area.grown(GAP);
            !area.touches(&edge) && self.labels.iter().all(|other| !other.area.overlaps(area))
        };
        let area = (0..2000).map(beside).find(is_clear).unwrap_or_else(|| beside(0));
        self.labels.push(Label { area, lines, style: AXIS_LABEL, upwards: false });
    }

    /// The name of z, left of the labels of its ticks.
    fn add_upright_name(&mut self) {
        let [low, high] = AXES[2].map(|end| self.at(end));
        let lines = wrapped(&self.surface.z.label, AXIS_LABEL, low.1 - high.1, 2);
        let longest = lines.iter().map(|line| text_width(line, AXIS_LABEL)).fold(0.0, f64::max);
        if longest <= 0.0 {
            return;
        }
        let widths = self.ticks[2].major.iter().map(|(_, text)| text_width(text, TICK_LABEL));
        let x1 = low.0 - TICK - GAP - widths.fold(0.0, f64::max) - 1.5 * GAP;
        let depth = AXIS_LABEL.block_height(lines.len());
        let area = around((x1 - depth / 2.0, f64::midpoint(low.1, high.1)), depth / 2.0, longest / 2.0);
        self.labels.push(Label { area, lines, style: AXIS_LABEL, upwards: true });
    }

    fn draw_walls(&self, canvas: &Canvas) -> Result<()> {
        let outlines = WALLS.map(|wall| wall.map(|corner| self.at(corner)));
        outlines.iter().try_for_each(|outline| canvas.area(outline, WALL, 1.0))?;
        // Each tick has a line on the floor and one up a wall, or one on either wall.
        for (axis, ticks) in self.ticks.iter().enumerate() {
            for &(t, _) in &ticks.major {
                let line = match axis {
                    0 => [[t, 0.0, 0.0], [t, 1.0, 0.0], [t, 1.0, 1.0]],
                    1 => [[1.0, t, 0.0], [0.0, t, 0.0], [0.0, t, 1.0]],
                    _ => [[0.0, 0.0, t], [0.0, 1.0, t], [1.0, 1.0, t]],
                };
                canvas.line(&line.map(|place| self.at(place)), GRID, HAIRLINE)?;
            }
        }
        outlines.iter().try_for_each(|&[a, b, c, d]| canvas.line(&[a, b, c, d, a], FRAME, HAIRLINE))
    }

    fn draw_relief(&self, canvas: &Canvas) -> Result<()> {
        let relief = self.relief();
        for at in relief.cells() {
            let cell = relief.cell(at);
            for (corners, color) in &cell.facets {
                let outline = hull(&corners.map(|corner| self.at(corner)));
                // Seen from its edge, it shows nothing.
                if outline.len() > 2 {
                    canvas.area(&grown_hull(&outline, OVERLAP), *color, 1.0)?;
                }
            }
            for (ends, color) in &cell.lines {
                canvas.line(&ends.map(|end| self.at(end)), *color, MESH)?;
            }
        }
        Ok(())
    }

    fn draw_axes(&self, canvas: &Canvas) -> Result<()> {
        let ends = [AXES[2][1], AXES[2][0], AXES[0][1], AXES[1][1]];
        canvas.line(&ends.map(|end| self.at(end)), AXIS, AXIS_LINE)?;
        for (axis, ticks) in self.ticks.iter().enumerate() {
            for &at in &ticks.minor {
                canvas.line(&self.tick(axis, at, MINOR_TICK), AXIS, HAIRLINE)?;
            }
            for &(at, _) in &ticks.major {
                canvas.line(&self.tick(axis, at, TICK), AXIS, AXIS_LINE)?;
            }
        }
        for Label { area, lines, style, upwards } in &self.labels {
            let center = area.center();
            if *upwards {
                for (i, line) in lines.iter().enumerate() {
                    let baseline = area.x0 + style.cap_height() + i as f64 * style.line_height();
                    canvas.text_upwards(line, *style, (baseline, center.1), HPos::Center)?;
                }
            } else {
                canvas.text_lines(lines, *style, center.0, area.y0)?;
            }
        }
        Ok(())
    }

    /// A path and a point, with white around them on whatever colour.
    fn draw_marked(&self, canvas: &Canvas) -> Result<()> {
        let color = Color::Cycle(1).rgb();
        let places = self.surface.path.iter().map(|point| self.place(point).map(|place| self.at(place)));
        let places: Vec<Option<Point>> = places.collect();
        let runs: Vec<Vec<Point>> =
            places.split(Option::is_none).map(|run| run.iter().flatten().copied().collect()).collect();
        for (color, width) in [(WHITE, CURVE + 2 * HALO), (color, CURVE)] {
            runs.iter().filter(|run| run.len() > 1).try_for_each(|run| canvas.thinned_line(run, color, width))?;
        }
        // Where points share a place, the last one shows.
        let backwards: Vec<Point> = places.into_iter().flatten().rev().collect();
        canvas.growing(&sparse(&backwards).into_iter().rev().collect::<Vec<_>>(), color, false)?;
        let Some(at) = self.surface.point.as_ref().and_then(|point| self.place(point)) else { return Ok(()) };
        canvas.circle(self.at(at), WHITE, DISC + 2 * HALO)?;
        canvas.disc(self.at(at), color)
    }
}

impl PanelLayout<'_> {
    /// Where a surface, its box and its labels have room.
    pub(super) fn page(&self) -> Rect {
        let Rect { x0, x1, y1, .. } = self.cell;
        Rect { x0: x0 + MARGIN, y0: self.plot.y0, x1: x1 - MARGIN, y1: y1 - MARGIN }
    }

    pub(super) fn draw_surface(&self, canvas: &Canvas, surface: &Surface) -> Result<()> {
        let scene = Scene::new(surface, self.page());
        scene.draw_walls(canvas)?;
        scene.draw_relief(canvas)?;
        scene.draw_axes(canvas)?;
        scene.draw_marked(canvas)
    }
}

fn around((x, y): Point, rx: f64, ry: f64) -> Rect {
    Rect { x0: x - rx, y0: y - ry, x1: x + rx, y1: y + ry }
}

/// From a to b, of length one.
fn direction(a: Point, b: Point) -> Point {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length = (dx * dx + dy * dy).sqrt();
    (dx / length, dy / length)
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::*;

    fn scene<'a>(panel: &PanelLayout, surface: &'a Surface) -> Scene<'a> {
        Scene::new(surface, panel.page())
    }

    fn shown_of(surface: &Surface) -> Result<String> {
        shown(Content::Surface(surface.clone()))
    }

    /// Facets, of which the walls are none.
    fn facets(surface: &Surface) -> usize {
        figure(Panel::surface("", surface.clone())).draw().unwrap().matches("<polygon").count() - 3
    }

    fn assert_clear(labels: &[Label]) {
        for (i, label) in labels.iter().enumerate() {
            let hidden = labels[..i].iter().any(|other| other.area.overlaps(label.area));
            assert!(!hidden, "{:?}", label.lines);
        }
    }

    #[test]
    fn everything_lies_inside_and_no_label_on_another() {
        let axes: [fn(&str) -> Axis; 2] = [|label| Axis::linear(label), |label| Axis::log(label)];
        for (size, axis) in [1e-7, 0.01, 3.0, 1e4, 1e9].into_iter().flat_map(|size| axes.map(|axis| (size, axis))) {
            for (count, name) in [(2, "z"), (7, "training loss of a network with shortcuts, averaged over ten seeds")] {
                let at: Vec<f64> = evenly(count).iter().map(|x| x * size).collect();
                let mut solid = surface(at, axis(name), |x, y| size * (1.01 + x / size) + y.abs() / size);
                solid.x = Axis::linear(name);
                for columns in [1, 2] {
                    let panels = vec![Panel::surface("Heading", solid.clone()); columns];
                    for panel in grid(columns, panels).layout().1 {
                        let scene = scene(&panel, &solid);
                        let (bounds, page) = (scene.bounds(), panel.page());
                        assert!(page.grown(1.0).contains((bounds.x0, bounds.y0)), "{bounds:?} {page:?}");
                        assert!(page.grown(1.0).contains((bounds.x1, bounds.y1)), "{bounds:?} {page:?}");
                        assert!(scene.unit > 0.4 * page.width(), "{size} {count} {columns}");
                        assert_clear(&scene.labels);
                        let names = scene.labels.iter().filter(|label| label.style.size == AXIS_LABEL.size);
                        assert_eq!(names.count(), 3);
                        assert!(scene.labels.len() >= 8, "{}", scene.labels.len());
                        assert!(
                            !scene.labels.iter().any(|label| label.area.touches(&AXES[0].map(|end| scene.at(end))))
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_surface_fills_its_box_and_stands_on_the_ground_where_it_is_low() {
        let bowl = bowl(25);
        let figure = figure(Panel::surface("", bowl.clone()));
        let panel = laid_out(&figure);
        let scene = scene(&panel, &bowl);
        let [x, _, z] = scene.ranges;
        assert_eq!((x.lo, x.hi), (-1.0, 1.0));
        assert!(-0.1 < z.lo && z.lo < 0.0 && 2.0 < z.hi && z.hi < 2.1);
        let [low, high] = [(0.0, 0.0, 0.0), (1.0, -1.0, 2.0)].map(|at| scene.place(&at).unwrap());
        assert!(low[2] < 0.05 && high[2] > 0.95 && high[..2] == [1.0, 0.0]);
        // Dark in the middle, yellow at the far right corner.
        let at = |place: Vector| {
            let (x, y) = scene.at(place);
            color_at(&figure, Rect { x0: x, x1: x, y0: y, y1: y }, (0.5, 0.5))
        };
        let (middle, corner) = (at([0.52, 0.52, low[2]]), at([0.985, 0.985, 0.93]));
        assert!(middle[0] < 0x50 && middle[1] < 0x20 && corner[0] > 0xA0 && corner[2] < 0x40, "{middle:?} {corner:?}");
        assert!(figure.svg().unwrap().len() < 500_000);
    }

    #[test]
    fn no_gap_shows_between_facets() {
        let tilted = surface(evenly(4), Axis::linear("z"), |x, y| x + 0.3 * y);
        let figure = figure(Panel::surface("", tilted.clone()));
        let panel = laid_out(&figure);
        let scene = scene(&panel, &tilted);
        let (width, _, pixels, _) = decoded(&png(&figure));
        let mut seen = 0;
        for (s, t) in (2..98).flat_map(|i| (2..98).map(move |j| (f64::from(i) / 100.0, f64::from(j) / 100.0))) {
            let (x, y) = (2.0 * s - 1.0, 2.0 * t - 1.0);
            let (x, y) = scene.at(scene.place(&(x, y, x + 0.3 * y)).unwrap());
            let i = 3 * ((y / DOT) as usize * width as usize + (x / DOT) as usize);
            assert!(pixels[i..i + 3].iter().any(|&v| v < 0x80), "{s} {t} {:?}", &pixels[i..i + 3]);
            seen += 1;
        }
        assert_eq!(seen, 96 * 96);
    }

    #[test]
    fn what_an_axis_cannot_show_is_left_out() {
        let zeros = |z: Axis| surface(evenly(5), z, |x, y| if x >= 0.0 { 0.0 } else { 2.5 + x + y });
        let (all, some) = (zeros(Axis::linear("z")), zeros(Axis::log("z")));
        assert!(facets(&some) > 100 && facets(&all) > 100);
        let figure = figure(Panel::surface("", some.clone()));
        let panel = laid_out(&figure);
        assert_eq!((scene(&panel, &some).relief().cells().count(), panel.empty, figure.not_finite()), (4, false, 0));
        let lost = surface(evenly(5), Axis::linear("z"), |x, y| if x > 0.0 { y / 0.0 } else { x });
        let lost = Surface { path: vec![(0.0, f64::NAN, 1.0), (0.0, 0.0, 1.0)], ..lost };
        assert_eq!(super::super::tests::figure(Panel::surface("", lost)).not_finite(), 11);
        for nothing in [f64::NAN, f64::INFINITY, -1.0, 0.0, 5e-324] {
            let axis = if nothing == 5e-324 { Axis::linear("z") } else { Axis::log("z") };
            let figure = super::super::tests::figure(Panel::surface("", surface(evenly(3), axis, |_, _| nothing)));
            assert_eq!(figure.draw().unwrap().contains("no finite data"), nothing != 5e-324);
        }
    }

    #[test]
    fn a_path_and_a_point_lie_on_top() {
        let path = vec![(-1.0, 1.0, 2.0), (-0.5, 0.5, 0.5), (0.0, f64::NAN, 0.0), (0.0, 0.0, 0.0), (0.1, 0.0, 0.01)];
        let marked = Surface { path, point: Some((0.0, 0.0, 3.0)), ..bowl(9) };
        let figure = figure(Panel::surface("", marked.clone()));
        let drawn = figure.draw().unwrap();
        assert_eq!(drawn.matches("<circle").count(), 4 + 2, "and a point");
        assert!(drawn.rfind("<polygon") < drawn.find("<circle"));
        let last = drawn.rfind("<polyline").unwrap();
        assert!(drawn[last..].contains(&format!("stroke-width=\"{DISC}\"")));
        let panel = laid_out(&figure);
        assert!(scene(&panel, &marked).ranges[2].hi > 3.0, "the box holds them");
        let alone = surface(evenly(3), Axis::linear("z"), |_, _| f64::NAN);
        let alone = Surface { point: Some((0.0, 0.0, 1.0)), ..alone };
        assert!(!figure.draw().unwrap().contains("no finite") && facets(&alone) == 0);
    }

    #[test]
    fn surfaces_of_any_kind_are_drawn_or_refused() {
        let extreme =
            |x: f64, y: f64| [x * 1e300, y * f64::MAX, f64::NAN, 1e-300, 5e-324][(9.0 + 3.0 * x + y) as usize % 5];
        for at in
            [vec![-1.0, 1.0], evenly(4), vec![-1e300, 0.0, 1e-300, 1e300], vec![1e15, 1e15 + 1.0], vec![0.0, 5e-324]]
        {
            for z in [Axis::linear("z"), Axis::log("z"), Axis::symlog("z", -3)] {
                for f in [extreme, |_, _| 0.0, |x, y| x * y, |x, _| x] {
                    let svg = shown_of(&surface(at.clone(), z.clone(), f)).unwrap();
                    assert!(!svg.contains("NaN") && !svg.contains("inf"));
                }
            }
        }
        for bad in [
            Surface { values: vec![0.0; 8], ..bowl(3) },
            Surface { at_x: vec![0.0, 2.0, 1.0], ..bowl(3) },
            Surface { at_y: vec![0.0, f64::NAN, 1.0], ..bowl(3) },
            Surface { at_y: vec![0.0], values: vec![0.0; 3], ..bowl(3) },
            Surface { at_x: vec![], at_y: vec![], values: vec![], ..bowl(3) },
            bowl(317),
        ] {
            assert!(shown_of(&bad).is_err());
        }
    }
}
