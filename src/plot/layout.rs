//! Where everything in a figure stands: cells of panels, plot areas that line up, sides with their ticks, and from
//! there the curves in drawing units. Knows how wide texts are, draws nothing.
//!
//! Longer than others, and whole: a side's names and ticks decide where the plot stands, and the plot's size which
//! names and ticks there are.

use super::figure::{Axis, Content, Figure, HeatMap, Mark, Panel, Plot, Series};
use super::legend::{Legend, LegendPosition};
use super::scale::{Range, Scale, Ticks, category_ticks};
use super::text::{clean, text_width, wrapped};
use super::{canvas::band_edges, contour::Contours, geometry::*, images::ImageGrid, levels, scene, style::*};

const HEAT_MAP_ASPECT: f64 = 0.8; // height by width
const SURFACE_ASPECT: f64 = 0.75; // as that of a panel beside others
const LONGEST_NAME: f64 = 0.25; // of a category, by the panel's width
// From one name of a category to the next, at least: beside each other, and under each other.
const NAMES_ACROSS: f64 = 2.0 * TICK_LABEL.size;
const NAMES_DOWN: f64 = 1.3 * TICK_LABEL.size;

/// A side of a panel with what is written along it; a vertical one has the series it measures.
pub(super) struct Side<'a> {
    name: &'a str,
    kind: AxisKind<'a>,
    pub(super) series: &'a [Series],
    pub(super) range: Range,
    /// The name in lines.
    pub(super) label: Vec<String>,
    /// Where the names of categories would be cut beside each other, they read upwards: the length of the longest.
    pub(super) upright: Option<f64>,
    pub(super) ticks: Ticks,
}

#[derive(Clone, Copy)]
enum AxisKind<'a> {
    /// With the levels that have its ticks, if any.
    Continuous(Scale, &'a [f64]),
    Categorical(&'a [String]),
}

impl<'a> Side<'a> {
    fn continuous(axis: &'a Axis, series: &'a [Series], data: Option<Range>, padding: f64) -> Self {
        let mut range = data.map_or(axis.scale.default_range(), |d| axis.scale.padded_range(d, padding));
        // Bars stand on the axis, without padding.
        let bars = series.iter().any(|s| s.mark == Mark::Bars);
        if let (true, Some(data), Some(zero)) = (bars, data, axis.scale.transform(0.0)) {
            if data.lo >= zero {
                range.lo = zero;
            } else if data.hi <= zero {
                range.hi = zero;
            }
        }
        let kind = AxisKind::Continuous(axis.scale, &axis.levels);
        Self { name: &axis.label, kind, series, range, label: Vec::new(), upright: None, ticks: Ticks::default() }
    }

    fn categorical(name: &'a str, names: &'a [String]) -> Self {
        let (range, kind) = (Range { lo: 0.0, hi: 1.0 }, AxisKind::Categorical(names));
        Self { name, kind, series: &[], range, label: Vec::new(), upright: None, ticks: Ticks::default() }
    }

    /// Lets the names of categories read upwards where they do not fit beside each other.
    fn turn_names(&mut self, width: f64, longest: f64) {
        let AxisKind::Categorical(names) = self.kind else { return };
        let widths: Vec<f64> = names.iter().map(|name| text_width(&clean(name), TICK_LABEL)).collect();
        let pitch = width / names.len() as f64;
        let room = pitch * (NAMES_ACROSS / pitch).ceil().max(1.0) - 0.5 * TICK_LABEL.size;
        let widest = widths.into_iter().fold(0.0, f64::max);
        self.upright = (widest > room).then(|| widest.min(longest));
    }

    /// Of a horizontal side, how far its ticks' labels reach down.
    fn tick_height(&self) -> f64 {
        self.upright.unwrap_or(TICK_LABEL.cap_height())
    }

    fn transform(&self, v: f64) -> Option<f64> {
        match self.kind {
            AxisKind::Continuous(scale, _) => scale.transform(v),
            AxisKind::Categorical(_) => None,
        }
    }

    /// Where a value lies along the side, 0 at the low end and 1 at the high end.
    pub(super) fn fraction(&self, v: f64) -> Option<f64> {
        self.transform(v).map(|t| self.range.fraction(t))
    }

    /// Where bars stand, in the scale's coordinate.
    pub(super) fn base(&self) -> f64 {
        self.transform(0.0).unwrap_or(self.range.lo)
    }

    pub(super) fn label_depth(&self) -> f64 {
        let label = AXIS_LABEL.block_height(self.label.len());
        if label > 0.0 { label + 1.5 * GAP } else { 0.0 }
    }

    /// Of a vertical side, from the plot's edge to the far end of the widest tick label.
    pub(super) fn tick_depth(&self) -> f64 {
        let widths = self.ticks.major.iter().map(|(_, t)| text_width(t, TICK_LABEL) + GAP + TICK);
        widths.fold(0.0, f64::max)
    }

    /// Of a vertical side, from the plot's edge to the end of the axis label.
    pub(super) fn depth(&self) -> f64 {
        self.tick_depth() + self.label_depth()
    }

    fn set_vertical(&mut self, height: f64, max_tick_label: f64) {
        self.label = wrapped(self.name, AXIS_LABEL, height, 2);
        self.ticks = match self.kind {
            AxisKind::Continuous(scale, _) => scale.fitting_ticks(self.range, height, 7, |_| 2.0 * TICK_LABEL.size),
            AxisKind::Categorical(names) => {
                let mut ticks = category_ticks(names, height, NAMES_DOWN, |_| max_tick_label);
                ticks.major.iter_mut().for_each(|(at, _)| *at = 1.0 - *at);
                ticks
            }
        };
    }

    fn horizontal_ticks(&self, width: f64) -> Ticks {
        let extent = |label: &str| text_width(label, TICK_LABEL) + 1.4 * TICK_LABEL.size;
        match self.kind {
            AxisKind::Continuous(scale, at) => levels::ticks((at, scale, self.range), width, extent)
                .unwrap_or_else(|| scale.fitting_ticks(self.range, width, 8, extent)),
            AxisKind::Categorical(names) => match self.upright {
                Some(longest) => category_ticks(names, width, NAMES_DOWN, |_| longest),
                None => category_ticks(names, width, NAMES_ACROSS, |pitch| pitch - 0.5 * TICK_LABEL.size),
            },
        }
    }
}

/// The horizontal side of a plot and its vertical ones, with the ranges of the data.
fn plot_sides(plot: &Plot) -> (Side<'_>, Vec<Side<'_>>) {
    let Plot { x, y, rules, contours, .. } = plot;
    // Bars reach to zero where the axis shows it.
    let foot = |mark, y: f64| if mark == Mark::Bars { 0.0 } else { y };
    let extent = |s: &Series| s.points.iter().flat_map(|&(x, y)| [(x, y), (x, foot(s.mark, y))]).collect::<Vec<_>>();
    let of_series = |axis: &Axis, series: &[Series]| bounds(x.scale, axis.scale, series.iter().flat_map(extent));
    let grid = contours.as_ref().and_then(|contours| bounds(x.scale, y.scale, contours.nodes()));
    // Level lines reach to the axes, unless something lies beyond their grid.
    let padding = |data, grid: Option<Range>, usual| if grid.is_some() && data == grid { 0.0 } else { usual };
    let marked = rules.iter().filter_map(|(at, _)| x.scale.transform(*at)).map(Range::point);
    let data = plot.sides().filter_map(|(axis, series)| of_series(axis, series));
    let reach = |axis: &Axis| axis.reach.iter().filter_map(|at| axis.scale.transform(*at)).map(Range::point).collect();
    let of_x: Vec<Range> = reach(x);
    let across = data.chain(grid).map(|b| b.0).chain(marked).chain(of_x).reduce(Range::union);
    // The first row of the rules' labels, kept free of data.
    let headroom = if rules.iter().all(|(_, label)| clean(label).is_empty()) { 0.0 } else { 0.06 };
    let vertical = |(i, (axis, series))| {
        let grid = grid.filter(|_| i == 0).map(|b| b.1);
        let data = of_series(axis, series).map(|b| b.1).into_iter().chain(grid).chain(reach(axis)).reduce(Range::union);
        let mut side = Side::continuous(axis, series, data, padding(data, grid, 0.05));
        side.range.hi += headroom * (side.range.hi - side.range.lo);
        side
    };
    let horizontal = Side::continuous(x, &[], across, padding(across, grid.map(|b| b.0), 0.025));
    (horizontal, plot.sides().enumerate().map(vertical).collect())
}

/// The ranges of all points that both axes can show.
fn bounds(x: Scale, y: Scale, points: impl Iterator<Item = Point>) -> Option<(Range, Range)> {
    let shown = points.filter_map(|(px, py)| x.transform(px).zip(y.transform(py)));
    let ranges = shown.map(|(x, y)| (Range::point(x), Range::point(y)));
    ranges.reduce(|a, b| (a.0.union(b.0), a.1.union(b.1)))
}

/// A panel being laid out: its cell is given, its plot area and ticks follow.
pub(super) struct PanelLayout<'a> {
    pub(super) panel: &'a Panel,
    pub(super) cell: Rect,
    pub(super) plot: Rect,
    pub(super) heading: Vec<String>,
    pub(super) heading_style: TextStyle,
    pub(super) x: Side<'a>,
    /// Left, and right where there is one.
    pub(super) y: Vec<Side<'a>>,
    /// A plot without anything that it could show.
    pub(super) empty: bool,
    pub(super) legend: Legend,
    pub(super) legend_position: LegendPosition,
}

impl<'a> PanelLayout<'a> {
    fn new(panel: &'a Panel, heading: &str, heading_style: TextStyle, cell: Rect) -> Self {
        let (mut x, y) = match &panel.content {
            Content::Plot(plot) => plot_sides(plot),
            Content::HeatMap(HeatMap { x, y, columns, rows, .. }) => {
                (Side::categorical(x, columns), vec![Side::categorical(y, rows)])
            }
            Content::Images(_) | Content::Surface(_) => (Side::categorical("", &[]), vec![Side::categorical("", &[])]),
        };
        x.label = wrapped(x.name, AXIS_LABEL, 0.75 * cell.width(), 2);
        // Two thirds: names on the left may take as much as they are given.
        x.turn_names(0.66 * cell.width(), LONGEST_NAME * cell.width());
        let mut layout = Self {
            panel,
            cell,
            plot: cell,
            heading: wrapped(heading, heading_style, cell.width() - 2.0 * MARGIN, 3),
            heading_style,
            legend: Legend::new(&y, cell),
            x,
            y,
            empty: false,
            legend_position: LegendPosition::Nowhere,
        };
        let curves = layout.outlines().next().is_some() || layout.all_bars().next().is_some();
        layout.empty = match &panel.content {
            Content::Plot(plot) => !curves && plot.contours.is_none(),
            Content::Surface(surface) => scene::is_empty(surface),
            Content::HeatMap(_) | Content::Images(_) => false,
        };
        layout
    }

    /// How high the panel wants to be.
    fn height(&self, plot: f64) -> f64 {
        match &self.panel.content {
            Content::Plot(_) => plot,
            Content::HeatMap(_) => self.cell.width() * HEAT_MAP_ASPECT + self.x.tick_height() - TICK_LABEL.cap_height(),
            Content::Images(images) => {
                let width = self.cell.width() - 2.0 * MARGIN;
                self.top() + MARGIN + ImageGrid::new(images, width, f64::INFINITY).height
            }
            Content::Surface(_) => self.cell.width() * SURFACE_ASPECT,
        }
    }

    fn top(&self) -> f64 {
        let heading = self.heading_style.block_height(self.heading.len());
        MARGIN + heading + if heading > 0.0 { 2.0 * GAP } else { 0.0 }
    }

    /// From the plot's lower edge to the end of the axis label.
    pub(super) fn below_plot(&self) -> f64 {
        match self.panel.content {
            Content::Images(_) | Content::Surface(_) => 0.0,
            _ => TICK + GAP + self.x.tick_height() + self.x.label_depth(),
        }
    }

    fn bottom(&self) -> f64 {
        let legend = match self.legend_position {
            LegendPosition::Below => self.legend.as_rows(self.cell).height + GAP,
            _ => 0.0,
        };
        self.below_plot() + legend + MARGIN
    }

    fn left(&self) -> f64 {
        MARGIN + self.y[0].depth()
    }

    /// From the plot's right edge to the end of its axis label, if it has one.
    pub(super) fn right_depth(&self) -> f64 {
        self.y.get(1).map_or(0.0, Side::depth)
    }

    /// Right margin, given the left one: room for the last label's overhang, the axis and the legend.
    fn right(&self, left: f64) -> f64 {
        let legend = match self.legend_position {
            LegendPosition::Right => self.legend.as_column().width + GAP,
            _ => 0.0,
        };
        let beside = self.right_depth() + legend;
        let width = self.cell.width() - left - MARGIN - beside;
        let ticks = self.x.horizontal_ticks(width).major;
        let extent = |text: &str| self.x.upright.map_or(text_width(text, TICK_LABEL), |_| TICK_LABEL.size);
        let overhangs = ticks.iter().map(|(at, t)| extent(t) / 2.0 - (1.0 - at) * width);
        MARGIN + beside.max(overhangs.fold(0.0, f64::max))
    }

    pub(super) fn x_at(&self, fraction: f64) -> f64 {
        self.plot.x0 + fraction * self.plot.width()
    }

    pub(super) fn y_at(&self, fraction: f64) -> f64 {
        self.plot.y1 - fraction * self.plot.height()
    }

    /// All series with the side that measures them.
    pub(super) fn curves(&self) -> impl Iterator<Item = (&'a Series, &Side<'a>)> {
        self.y.iter().flat_map(|side| side.series.iter().map(move |s| (s, side)))
    }

    /// The drawable stretches of a series, in drawing units.
    pub(super) fn runs(&self, series: &Series, y: &Side) -> Vec<Vec<Point>> {
        self.runs_of(&series.points, series.mark == Mark::Band, y)
    }

    fn runs_of(&self, points: &[Point], band: bool, y: &Side) -> Vec<Vec<Point>> {
        let position = |&(px, py): &Point| {
            // The lower edge of a band may run off the bottom.
            let bottom = (band && py <= 0.0).then_some(0.0);
            Some((self.x_at(self.x.fraction(px)?), self.y_at(y.fraction(py).or(bottom)?)))
        };
        let mut runs = vec![Vec::new()];
        for group in points.chunks_exact(if band { 2 } else { 1 }) {
            match (group.iter().map(position).collect::<Option<Vec<Point>>>(), runs.last_mut()) {
                (Some(points), Some(run)) => run.extend(points),
                _ => runs.push(Vec::new()),
            }
        }
        runs.retain(|r| !r.is_empty());
        runs
    }

    /// The bars of a histogram.
    pub(super) fn bars(&self, series: &Series, y: &Side) -> Vec<Rect> {
        let base = y.base();
        let bar = |bin: &[Point]| {
            let (low, high) = (bin[0].0, bin[1].0);
            let top = y.transform(bin[0].1).filter(|&top| top != base && low <= high)?;
            let (x0, x1) = match [low, high].map(|x| self.x.fraction(x)) {
                [None, None] => return None,
                [x0, x1] => (self.x_at(x0.unwrap_or(0.0)), self.x_at(x1.unwrap_or(1.0))),
            };
            let y_at = |t: f64| self.y_at(y.range.fraction(t));
            Some(Rect { x0, y0: y_at(base.max(top)), x1, y1: y_at(base.min(top)) })
        };
        series.points.chunks_exact(2).filter_map(bar).collect()
    }

    pub(super) fn all_bars(&self) -> impl Iterator<Item = Rect> {
        let histograms = self.curves().filter(|(series, _)| series.mark == Mark::Bars);
        histograms.flat_map(|(series, y)| self.bars(series, y))
    }

    /// The curves that labels should not cover; a band counts with its edges and the zigzag between them.
    pub(super) fn outlines(&self) -> impl Iterator<Item = Vec<Point>> {
        self.curves().filter(|(series, _)| series.mark != Mark::Bars).flat_map(|(series, y)| {
            let runs = self.runs(series, y);
            let bands = runs.iter().filter(|_| series.mark == Mark::Band);
            let edges: Vec<Vec<Point>> = bands.flat_map(|run| band_edges(run)).collect();
            runs.into_iter().chain(edges)
        })
    }

    pub(super) fn contours(&self) -> Option<&'a Contours> {
        match &self.panel.content {
            Content::Plot(plot) => plot.contours.as_ref(),
            _ => None,
        }
    }

    /// The lines of a level, in drawing units.
    pub(super) fn level_lines(&self, contours: &Contours, level: f64) -> Vec<Vec<Point>> {
        contours.lines(level).iter().flat_map(|line| self.runs_of(line, false, &self.y[0])).collect()
    }

    /// The outline of the area above a level. In one piece only: an axis that cannot show a part of it shows none.
    pub(super) fn level_area(&self, contours: &Contours, level: f64) -> Option<Vec<Point>> {
        let mut pieces = self.runs_of(&contours.area(level), false, &self.y[0]);
        pieces.pop().filter(|outline| pieces.is_empty() && outline.len() > 2)
    }
}

impl Figure {
    /// All panels laid out, and the header above them: several panels share the figure's title as a header, a lone
    /// panel has it as its heading.
    pub(super) fn layout(&self) -> (Vec<String>, Vec<PanelLayout<'_>>) {
        let columns = self.columns.clamp(1, self.panels.len());
        let lone = self.panels.len() == 1;
        let (width, height) = if columns == 1 { ONE_PANEL } else { GRID_PANEL };
        let header = if lone { "" } else { &self.title };
        let header = wrapped(header, TITLE, columns as f64 * width - 2.0 * MARGIN, 3);
        let tens_of_dots = |h: f64| (h / (DOT * 10.0)).ceil() * DOT * 10.0;
        let mut y0 = match TITLE.block_height(header.len()) {
            h if h > 0.0 => tens_of_dots(h + MARGIN + GAP),
            _ => 0.0,
        };
        let style = if lone { TITLE } else { SUBTITLE };
        let titled = lone && !clean(&self.title).is_empty();
        let layouts = self.panels.iter().enumerate().map(|(i, panel)| {
            let heading = if titled { &self.title } else { &panel.title };
            let column = i % columns;
            let gutter = |inner: bool| if inner { GUTTER / 2.0 } else { 0.0 };
            let x0 = column as f64 * width + gutter(column > 0);
            let x1 = (column + 1) as f64 * width - gutter(column + 1 < columns);
            PanelLayout::new(panel, heading, style, Rect { x0, x1, ..Rect::default() })
        });
        let mut layouts: Vec<PanelLayout> = layouts.collect();
        for row in layouts.chunks_mut(columns) {
            let y1 = y0 + tens_of_dots(row.iter().map(|p| p.height(height)).fold(0.0, f64::max));
            row.iter_mut().for_each(|p| p.cell = Rect { y0, y1, ..p.cell });
            y0 = y1;
        }
        arrange(&mut layouts, columns);
        while place_legends(&mut layouts) {
            arrange(&mut layouts, columns);
        }
        (header, layouts)
    }
}

/// Gives each panel its plot area and ticks. Panels of a row share top and bottom, panels of a
/// column share left and right, so that all axes line up.
fn arrange(layouts: &mut [PanelLayout], columns: usize) {
    for row in layouts.chunks_mut(columns) {
        let top = row.iter().map(PanelLayout::top).fold(0.0, f64::max);
        let bottom = row.iter().map(PanelLayout::bottom).fold(0.0, f64::max);
        for panel in row {
            panel.plot.y0 = on_dots(panel.cell.y0 + top, AXIS_LINE);
            panel.plot.y1 = on_dots(panel.cell.y1 - bottom, AXIS_LINE);
            for side in &mut panel.y {
                side.set_vertical(panel.plot.height(), LONGEST_NAME * panel.cell.width());
            }
        }
    }
    for column in 0..columns {
        let own = || (column..layouts.len()).step_by(columns);
        let left = own().map(|i| layouts[i].left()).fold(0.0, f64::max);
        let right = own().map(|i| layouts[i].right(left)).fold(0.0, f64::max);
        for panel in layouts.iter_mut().skip(column).step_by(columns) {
            panel.plot.x0 = on_dots(panel.cell.x0 + left, AXIS_LINE);
            panel.plot.x1 = on_dots(panel.cell.x1 - right, AXIS_LINE);
            panel.x.ticks = panel.x.horizontal_ticks(panel.plot.width());
        }
    }
}

/// Places the legends; true if one just moved outside, so that its panel needs another layout.
/// None moves back inside, so this ends.
fn place_legends(layouts: &mut [PanelLayout]) -> bool {
    let mut moved = false;
    for panel in layouts.iter_mut().filter(|p| !p.legend_position.is_outside()) {
        panel.legend_position = panel.find_legend_position();
        moved |= panel.legend_position.is_outside();
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::*;

    #[test]
    fn points_that_an_axis_cannot_show_split_the_line() {
        let ys = [1.0, 2.0, f64::NAN, 3.0, 0.0, -1.0, 4.0, f64::INFINITY, 5.0, 6.0];
        let series = Series::over_epochs("", Color::Ink, 1, &ys);
        let figure = figure(Panel::plot("", Axis::linear("x"), Axis::log("y"), vec![series]));
        assert_eq!(first_runs(&laid_out(&figure)).iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 2]);
    }

    #[test]
    fn a_right_axis_measures_its_series_alone() {
        let right = vec![Series::new("accuracy", Color::Cycle(1), line(|x| 90.0 + x, 0.0, 9.0, 9))];
        let left = vec![Series::new("loss", Color::Cycle(0), line(|x| 10_f64.powf(-x), 0.0, 3.0, 9))];
        let panel = Panel::plot("", Axis::linear("epoch"), Axis::log("loss"), left);
        let figure = figure(panel.right(Axis::linear("accuracy (%)"), right));
        let panel = laid_out(&figure);
        let ends: Vec<Point> = panel.curves().map(|(s, y)| *panel.runs(s, y)[0].last().unwrap()).collect();
        let (low, high) = (0.95 * panel.plot.y1, panel.plot.y0 + 0.05 * panel.plot.y1);
        assert!(ends[0].1 > low && ends[1].1 < high, "{ends:?} {:?}", panel.plot);
        assert!(ends[0].0 < panel.plot.center().0, "both measured along one x");
        let labels: Vec<&str> = panel.legend.entries.iter().map(|e| &*e.label).collect();
        assert_eq!(labels, ["loss", "accuracy (right)"]);
        assert!(panel.plot.x1 + panel.right_depth() < panel.cell.x1);
        assert_eq!((panel.y[0].range.lo.round(), panel.y[1].range.hi.round()), (-3.0, 99.0));
    }

    #[test]
    fn a_band_is_one_area_per_stretch() {
        let edges = (0..9).map(|i| (f64::from(i), if i == 3 { f64::NAN } else { f64::from(i) - 6.5 }, 9.0));
        let band = Series::band("b", Color::Cycle(0), edges);
        let line = Series::new("b", Color::Cycle(0), vec![(0.0, 1.0)]);
        let on_log = |series| figure(Panel::plot("", Axis::linear("x"), Axis::log("y"), series));
        let figure = on_log(vec![band, line]);
        let panel = laid_out(&figure);
        let runs = first_runs(&panel);
        assert_eq!(runs.iter().map(Vec::len).collect::<Vec<_>>(), [6, 10]);
        // Where there is no lower edge, the band reaches the plot's.
        assert!((runs[0][0].1 - panel.plot.y1).abs() < 1.0 && runs[1][9].1 < panel.plot.y1);
        assert_eq!(panel.legend.entries[0].marks, [Mark::Band, Mark::Line]);
        assert_eq!(panel.legend.entries.len(), 1);
        assert_eq!(figure.draw().unwrap().matches("<polygon").count(), 2);
        let long = (0..20_000).map(|i| (f64::from(i), 1.0, 2.0 + f64::from(i % 7)));
        assert!(on_log(vec![Series::band("", Color::Ink, long)]).svg().unwrap().len() < 60_000);
    }

    fn bars(panel: &PanelLayout) -> Vec<Rect> {
        panel.all_bars().collect()
    }

    #[test]
    fn bars_stand_on_zero_without_padding() {
        let of = |counts| figure(plot(vec![Series::histogram("", Color::Cycle(0), unit_bins(counts))]));
        let figure = of(&[2.0, 0.0, 4.0, f64::NAN]);
        let panel = laid_out(&figure);
        assert_eq!((panel.y[0].range.lo, panel.y[0].range.hi.round()), (0.0, 4.0));
        let [two, four] = bars(&panel)[..] else { panic!("two bars") };
        assert!(two.y1 == panel.plot.y1 && four.y1 == panel.plot.y1);
        assert!((four.height() / two.height() - 2.0).abs() < 1e-9);
        // A bin wide, and an empty one between them.
        assert!((four.x0 - two.x1 - two.width()).abs() < 1e-6 && (four.width() - two.width()).abs() < 1e-6);
        let figure = of(&[-2.0, 3.0]);
        let panel = laid_out(&figure);
        let [below, above] = bars(&panel)[..] else { panic!("two bars") };
        assert!(below.y0 == above.y1 && below.y1 < panel.plot.y1 && above.y0 > panel.plot.y0);
        assert_eq!(laid_out(&of(&[-2.0, -3.0])).y[0].range.hi, 0.0);
        let figure = of(&[0.0, 0.0]);
        let panel = laid_out(&figure);
        assert_eq!((bars(&panel).len(), panel.y[0].range.lo, panel.empty), (0, 0.0, true));
    }

    #[test]
    fn bars_stand_on_the_bottom_of_a_log_axis() {
        let histogram = Series::histogram("", Color::Cycle(0), unit_bins(&[1.0, 0.0, 300.0]));
        let figure = figure(Panel::plot("", Axis::linear("x"), Axis::log("y"), vec![histogram]));
        let panel = laid_out(&figure);
        assert!(-0.5 < panel.y[0].range.lo && panel.y[0].range.lo < -0.05);
        let bars = bars(&panel);
        assert_eq!(bars.len(), 2);
        assert!(bars.iter().all(|b| b.y1 == panel.plot.y1 && b.height() > 5.0 * DOT));
    }

    #[test]
    fn bars_follow_the_scale_of_x() {
        let proper = [(f64::NEG_INFINITY, -0.1, 1.0), (-0.1, 0.1, 2.0), (0.1, 1.0, 3.0), (1.0, 10.0, 4.0)];
        let bins = || proper.into_iter().chain([(5.0, 3.0, 9.0), (f64::NAN, 1.0, 9.0)]);
        let of = |x| figure(Panel::plot("", x, Axis::linear("y"), vec![Series::histogram("", Color::Ink, bins())]));
        let same = |a: f64, b: f64| (a - b).abs() < 1e-6;
        let figure = of(Axis::symlog("x", -1));
        let panel = laid_out(&figure);
        let widths: Vec<f64> = bars(&panel).iter().map(|b| b.width()).collect();
        assert!(same(widths[1], 2.0 * widths[2]) && same(widths[3], widths[2]) && widths.len() == 4, "{widths:?}");
        assert_eq!(bars(&panel)[0].x0, panel.plot.x0, "to the end of the axis");
        let figure = of(Axis::log("x"));
        let panel = laid_out(&figure);
        let bars = bars(&panel);
        assert!(bars[0].x0 == panel.plot.x0 && same(bars[1].width(), bars[2].width()) && bars.len() == 3);
    }
}
