//! Where everything in a figure stands: cells of panels, plot areas that line up, sides with their ticks. Knows sizes
//! of texts, draws nothing.

use super::canvas::band_edges;
use super::contour::Contours;
use super::figure::{Axis, Color, Content, Figure, Mark, Panel, Plot, Series};
use super::geometry::{Point, Rect, on_dots};
use super::images::ImageGrid;
use super::legend::Legend;
use super::scale::{Range, Scale, Ticks, fitting_ticks, named_ticks};
use super::style::*;
use super::text::{clean, text_width, wrapped};

/// Where a panel's legend goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum LegendPosition {
    Nowhere,
    Inside(Rect),
    Right,
    Below,
}

/// A side of a panel with what is written along it; a vertical one has the series it measures.
pub(super) struct Side<'a> {
    pub(super) name: &'a str,
    pub(super) kind: AxisKind<'a>,
    pub(super) series: &'a [Series],
    pub(super) range: Range,
    pub(super) label: Vec<String>,
    pub(super) ticks: Ticks,
}

#[derive(Clone, Copy)]
pub(super) enum AxisKind<'a> {
    Continuous(Scale),
    Categorical(&'a [String]),
}

impl<'a> Side<'a> {
    pub(super) fn measured(axis: &'a Axis, series: &'a [Series], data: Option<Range>, padding: f64) -> Self {
        let mut range = data.map_or(axis.scale.default_range(), |d| axis.scale.padded_range(d, padding));
        // Bars stand on the axis, without padding.
        let standing = series.iter().any(|s| s.mark == Mark::Bars);
        if let (true, Some(data), Some(zero)) = (standing, data, axis.scale.transform(0.0)) {
            if data.lo >= zero {
                range.lo = zero;
            } else if data.hi <= zero {
                range.hi = zero;
            }
        }
        let (label, ticks) = (Vec::new(), Ticks::default());
        Self { name: &axis.label, kind: AxisKind::Continuous(axis.scale), series, range, label, ticks }
    }

    pub(super) fn named(name: &'a str, names: &'a [String]) -> Self {
        let (label, ticks) = (Vec::new(), Ticks::default());
        Self { name, kind: AxisKind::Categorical(names), series: &[], range: Range { lo: 0.0, hi: 1.0 }, label, ticks }
    }

    pub(super) fn transform(&self, v: f64) -> Option<f64> {
        match self.kind {
            AxisKind::Continuous(scale) => scale.transform(v),
            AxisKind::Categorical(_) => None,
        }
    }

    /// Where bars stand.
    pub(super) fn base(&self) -> f64 {
        self.transform(0.0).unwrap_or(self.range.lo)
    }

    pub(super) fn label_depth(&self) -> f64 {
        match AXIS_LABEL.block_height(self.label.len()) {
            label if label > 0.0 => label + 1.5 * GAP,
            _ => 0.0,
        }
    }

    /// Of a vertical side, from the plot's edge to the far end of the widest tick label.
    pub(super) fn reach(&self) -> f64 {
        let widths = self.ticks.major.iter().map(|(_, t)| text_width(t, TICK_LABEL) + GAP + TICK);
        widths.fold(0.0, f64::max)
    }

    pub(super) fn depth(&self) -> f64 {
        self.reach() + self.label_depth()
    }

    /// What stands along a vertical side.
    pub(super) fn set_ticks(&mut self, height: f64, room: f64) {
        self.label = wrapped(self.name, AXIS_LABEL, height, 2);
        self.ticks = match self.kind {
            AxisKind::Continuous(scale) => fitting_ticks(scale, self.range, height, 7, |_| 2.0 * TICK_LABEL.size),
            AxisKind::Categorical(names) => {
                let mut ticks = named_ticks(names, height, |_| room);
                ticks.major.iter_mut().for_each(|(at, _)| *at = 1.0 - *at);
                ticks
            }
        };
    }
}

/// A panel being laid out: its cell is given, its plot area and ticks follow.
pub(super) struct PanelLayout<'a> {
    pub(super) panel: &'a Panel,
    pub(super) cell: Rect,
    pub(super) plot: Rect,
    pub(super) heading: Vec<String>,
    pub(super) heading_type: TextStyle,
    pub(super) x: Side<'a>,
    /// Left, and right where there is one.
    pub(super) y: Vec<Side<'a>>,
    pub(super) empty: bool,
    pub(super) legend: Legend,
    pub(super) legend_position: LegendPosition,
}

impl<'a> PanelLayout<'a> {
    pub(super) fn new(panel: &'a Panel, heading: &str, heading_type: TextStyle, cell: Rect) -> Self {
        let (mut x, y) = match &panel.content {
            Content::Plot(Plot { x, y, series, right, rules, contours }) => {
                let left = (y, &series[..]);
                let sides = std::iter::once(left).chain(right.iter().map(|(axis, series)| (axis, &series[..])));
                let contour_grid = contours.as_ref().map(|c| Series::new("", Color::Ink, c.nodes()));
                let bounds = |(y, series): (&Axis, &[Series])| data_bounds(x.scale, y.scale, series);
                let contour_grid = contour_grid.and_then(|nodes| bounds((y, &[nodes])));
                let marked = rules.iter().filter_map(|(at, _)| x.scale.transform(*at)).map(|t| Range { lo: t, hi: t });
                let across = sides.clone().filter_map(bounds).chain(contour_grid).map(|b| b.0).chain(marked);
                let across = across.reduce(Range::union);
                // Level lines reach to the axes, unless something lies beyond their grid.
                let filled = |data: Option<Range>, grid: Option<Range>| grid.is_some() && data == grid;
                let padding = |data, grid, usual| if filled(data, grid) { 0.0 } else { usual };
                // The first row of the rules' labels, kept free of data.
                let headroom = if rules.iter().all(|(_, label)| clean(label).is_empty()) { 0.0 } else { 0.06 };
                let side = |(i, (y, series))| {
                    let contour_grid = contour_grid.filter(|_| i == 0);
                    let data = bounds((y, series)).into_iter().chain(contour_grid).map(|b| b.1).reduce(Range::union);
                    let mut side = Side::measured(y, series, data, padding(data, contour_grid.map(|b| b.1), 0.05));
                    side.range.hi += headroom * (side.range.hi - side.range.lo);
                    side
                };
                (
                    Side::measured(x, &[], across, padding(across, contour_grid.map(|b| b.0), 0.025)),
                    sides.enumerate().map(side).collect(),
                )
            }
            Content::HeatMap(map) => (Side::named(&map.x, &map.columns), vec![Side::named(&map.y, &map.rows)]),
            Content::Images(_) => (Side::named("", &[]), vec![Side::named("", &[])]),
        };
        x.label = wrapped(x.name, AXIS_LABEL, 0.75 * cell.width(), 2);
        let room = cell.width() - 2.0 * MARGIN;
        let mut layout = Self {
            panel,
            cell,
            plot: cell,
            heading: wrapped(heading, heading_type, room, 3),
            heading_type,
            legend: Legend::new(&y, cell),
            x,
            y,
            empty: false,
            legend_position: LegendPosition::Nowhere,
        };
        let is_plot = matches!(panel.content, Content::Plot(_));
        let backdrop = layout.all_bars().next().is_some() || layout.contours().is_some();
        layout.empty = is_plot && layout.outlines().next().is_none() && !backdrop;
        layout
    }

    /// How high the panel wants to be.
    pub(super) fn height(&self, plot: f64) -> f64 {
        match &self.panel.content {
            Content::Plot(_) => plot,
            Content::HeatMap(_) => self.cell.width() * HEAT_MAP,
            Content::Images(images) => {
                let tiles = ImageGrid::new(images, self.cell.width() - 2.0 * MARGIN, f64::INFINITY);
                self.top() + MARGIN + tiles.rows * tiles.pitch.1
            }
        }
    }

    /// All series with the side that measures them.
    pub(super) fn curves(&self) -> impl Iterator<Item = (&'a Series, &Side<'a>)> {
        self.y.iter().flat_map(|side| side.series.iter().map(move |s| (s, side)))
    }

    pub(super) fn top(&self) -> f64 {
        let heading = self.heading_type.block_height(self.heading.len());
        MARGIN + heading + if heading > 0.0 { 2.0 * GAP } else { 0.0 }
    }

    /// From the plot's lower edge to the end of the axis label.
    pub(super) fn below_plot(&self) -> f64 {
        match self.panel.content {
            Content::Images(_) => 0.0,
            _ => TICK + GAP + TICK_LABEL.cap_height() + self.x.label_depth(),
        }
    }

    pub(super) fn bottom(&self) -> f64 {
        let legend = match self.legend_position {
            LegendPosition::Below => self.legend.as_rows(self.cell).height + GAP,
            _ => 0.0,
        };
        self.below_plot() + legend + MARGIN
    }

    pub(super) fn left(&self) -> f64 {
        MARGIN + self.y[0].depth()
    }

    /// From the plot's right edge to the end of its axis label, if it has one.
    pub(super) fn right_depth(&self) -> f64 {
        self.y.get(1).map_or(0.0, Side::depth)
    }

    /// Right margin, given the left one: room for the last label's overhang, the axis and the legend.
    pub(super) fn right(&self, left: f64) -> f64 {
        let legend = match self.legend_position {
            LegendPosition::Right => self.legend.as_column().width + GAP,
            _ => 0.0,
        };
        let beside = self.right_depth() + legend;
        let width = self.cell.width() - left - MARGIN - beside;
        let overhang = self
            .ticks_along_x(width)
            .major
            .iter()
            .fold(0.0, |o, (at, t)| f64::max(o, text_width(t, TICK_LABEL) / 2.0 - (1.0 - at) * width));
        MARGIN + beside.max(overhang)
    }

    pub(super) fn ticks_along_x(&self, width: f64) -> Ticks {
        match self.x.kind {
            AxisKind::Continuous(scale) => {
                fitting_ticks(scale, self.x.range, width, 8, |t| text_width(t, TICK_LABEL) + 1.4 * TICK_LABEL.size)
            }
            AxisKind::Categorical(names) => named_ticks(names, width, |pitch| pitch - 0.5 * TICK_LABEL.size),
        }
    }

    /// The drawable stretches of a series, in drawing units.
    pub(super) fn runs(&self, series: &Series, y: &Side) -> Vec<Vec<Point>> {
        let band = series.mark == Mark::Band;
        let place = |&(px, py): &Point| {
            let bottom = (band && py <= 0.0).then_some(y.range.lo);
            let (x, y) = (self.x.range.fraction(self.x.transform(px)?), y.range.fraction(y.transform(py).or(bottom)?));
            Some((self.plot.x0 + x * self.plot.width(), self.plot.y1 - y * self.plot.height()))
        };
        let mut runs = vec![Vec::new()];
        for group in series.points.chunks_exact(if band { 2 } else { 1 }) {
            match (group.iter().map(place).collect::<Option<Vec<Point>>>(), runs.last_mut()) {
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
        let (left, right) = (self.x.range.lo, self.x.range.hi);
        let across = |t: f64| self.plot.x0 + self.x.range.fraction(t) * self.plot.width();
        let bar = |bin: &[Point]| {
            let (low, high) = (bin[0].0, bin[1].0);
            let top = y.transform(bin[0].1).filter(|&top| top != base && low <= high)?;
            let (x0, x1) = match [low, high].map(|x| self.x.transform(x)) {
                [None, None] => return None,
                [x0, x1] => (across(x0.unwrap_or(left)), across(x1.unwrap_or(right))),
            };
            Some(Rect { x0, y0: self.height_of(base.max(top), y), x1, y1: self.height_of(base.min(top), y) })
        };
        series.points.chunks_exact(2).filter_map(bar).collect()
    }

    pub(super) fn height_of(&self, t: f64, y: &Side) -> f64 {
        self.plot.y1 - y.range.fraction(t) * self.plot.height()
    }

    pub(super) fn all_bars(&self) -> impl Iterator<Item = Rect> {
        let histograms = self.curves().filter(|(series, _)| series.mark == Mark::Bars);
        histograms.flat_map(|(series, y)| self.bars(series, y))
    }

    pub(super) fn contours(&self) -> Option<&'a Contours> {
        match &self.panel.content {
            Content::Plot(plot) => plot.contours.as_ref(),
            _ => None,
        }
    }

    /// The curves that the legend must not cover; a band counts with its edges and a line to and fro.
    pub(super) fn outlines(&self) -> impl Iterator<Item = Vec<Point>> {
        self.curves().filter(|(series, _)| series.mark != Mark::Bars).flat_map(|(series, y)| {
            let runs = self.runs(series, y);
            let outlines =
                if series.mark == Mark::Band { runs.iter().flat_map(|r| band_edges(r)).collect() } else { vec![] };
            runs.into_iter().chain(outlines)
        })
    }

    pub(super) fn is_outside(&self) -> bool {
        matches!(self.legend_position, LegendPosition::Right | LegendPosition::Below)
    }
}

/// The ranges of all points that both axes can show; bars reach to zero where it has a place.
pub(super) fn data_bounds(x: Scale, y: Scale, series: &[Series]) -> Option<(Range, Range)> {
    let baselines = |s: &&Series| s.mark == Mark::Bars;
    let baselines = series.iter().filter(baselines).flat_map(|s| &s.points).map(|p| (p.0, 0.0));
    let points = series.iter().flat_map(|s| &s.points).copied().chain(baselines);
    let placed = points.filter_map(|(px, py)| x.transform(px).zip(y.transform(py)));
    let ranges = placed.map(|(x, y)| (Range { lo: x, hi: x }, Range { lo: y, hi: y }));
    ranges.reduce(|a, b| (a.0.union(b.0), a.1.union(b.1)))
}

impl Figure {
    /// Places for all panels; the heading of a lone panel is the figure's title, several panels
    /// get it above them as a header.
    pub(super) fn layout(&self) -> (Vec<String>, Vec<PanelLayout<'_>>) {
        let columns = self.columns.clamp(1, self.panels.len());
        let lone = self.panels.len() == 1;
        let (width, height) = if columns == 1 { ONE_PANEL } else { GRID_PANEL };
        let header = if lone {
            Vec::new()
        } else {
            let room = columns as f64 * width - 2.0 * MARGIN;
            wrapped(&self.title, TITLE, room, 3)
        };
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
pub(super) fn arrange(layouts: &mut [PanelLayout], columns: usize) {
    for row in layouts.chunks_mut(columns) {
        let top = row.iter().map(PanelLayout::top).fold(0.0, f64::max);
        let bottom = row.iter().map(PanelLayout::bottom).fold(0.0, f64::max);
        for layout in row {
            layout.plot.y0 = on_dots(layout.cell.y0 + top, AXIS_LINE);
            layout.plot.y1 = on_dots(layout.cell.y1 - bottom, AXIS_LINE);
            for side in &mut layout.y {
                side.set_ticks(layout.plot.height(), 0.25 * layout.cell.width());
            }
        }
    }
    for column in 0..columns {
        let own = || (column..layouts.len()).step_by(columns);
        let left = own().map(|i| layouts[i].left()).fold(0.0, f64::max);
        let right = own().map(|i| layouts[i].right(left)).fold(0.0, f64::max);
        for i in own() {
            let layout = &mut layouts[i];
            layout.plot.x0 = on_dots(layout.cell.x0 + left, AXIS_LINE);
            layout.plot.x1 = on_dots(layout.cell.x1 - right, AXIS_LINE);
            layout.x.ticks = layout.ticks_along_x(layout.plot.width());
        }
    }
}

/// Places the legends; true if one just moved outside, so that its panel needs another layout.
/// None moves back inside, so this ends.
pub(super) fn place_legends(layouts: &mut [PanelLayout]) -> bool {
    let mut moved = false;
    for layout in layouts.iter_mut().filter(|p| !p.is_outside()) {
        layout.legend_position = layout.find_legend_position();
        moved |= layout.is_outside();
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::*;

    #[test]
    fn unplaceable_points_split_the_line() {
        let ys = [1.0, 2.0, f64::NAN, 3.0, 0.0, -1.0, 4.0, f64::INFINITY, 5.0, 6.0];
        let series = by_epoch("", Color::Ink, &ys);
        let figure = figure(Panel::plot("", Axis::linear("x"), Axis::log("y"), vec![series]));
        let lengths = laid_out(&figure, |layout| first_runs(layout).iter().map(Vec::len).collect::<Vec<_>>());
        assert_eq!(lengths, [2, 1, 1, 2]);
    }

    #[test]
    fn a_right_axis_measures_its_series_alone() {
        let right = vec![Series::new("accuracy", Color::Cycle(1), line(|x| 90.0 + x, 0.0, 9.0, 9))];
        let left = vec![Series::new("loss", Color::Cycle(0), line(|x| 10_f64.powf(-x), 0.0, 3.0, 9))];
        let (x, y) = (Axis::linear("epoch"), Axis::log("loss"));
        let panel = Panel::plot("", x, y, left).right(Axis::linear("accuracy (%)"), right);
        laid_out(&figure(panel), |layout| {
            let ends: Vec<Point> = layout.curves().map(|(s, y)| *layout.runs(s, y)[0].last().unwrap()).collect();
            let (low, high) = (0.95 * layout.plot.y1, layout.plot.y0 + 0.05 * layout.plot.y1);
            assert!(ends[0].1 > low && ends[1].1 < high, "{ends:?} {:?}", layout.plot);
            assert!(ends[0].0 < layout.plot.center().0, "both measured along one x");
            let labels: Vec<&str> = layout.legend.entries.iter().map(|e| &*e.label).collect();
            assert_eq!(labels, ["loss", "accuracy (right)"]);
            assert!(layout.plot.x1 + layout.right_depth() < layout.cell.x1);
            assert_eq!((layout.y[0].range.lo.round(), layout.y[1].range.hi.round()), (-3.0, 99.0));
        });
    }

    #[test]
    fn a_band_is_one_area_per_stretch() {
        let edges = (0..9).map(|i| (f64::from(i), if i == 3 { f64::NAN } else { f64::from(i) - 6.5 }, 9.0));
        let band = Series::band("b", Color::Cycle(0), edges);
        let line = Series::new("b", Color::Cycle(0), vec![(0.0, 1.0)]);
        let figure = figure(Panel::plot("", Axis::linear("x"), Axis::log("y"), vec![band, line]));
        laid_out(&figure, |layout| {
            let runs = first_runs(layout);
            assert_eq!(runs.iter().map(Vec::len).collect::<Vec<_>>(), [6, 10]);
            // Where there is no lower edge, the band reaches the plot's.
            assert!((runs[0][0].1 - layout.plot.y1).abs() < 1.0 && runs[1][9].1 < layout.plot.y1);
            assert_eq!(layout.legend.entries[0].marks, [Mark::Band, Mark::Line]);
            assert_eq!(layout.legend.entries.len(), 1);
        });
        assert_eq!(figure.draw().unwrap().matches("<polygon").count(), 2);
        let long = (0..20_000).map(|i| (f64::from(i), 1.0, 2.0 + f64::from(i % 7)));
        let panel = Panel::plot("", Axis::linear("x"), Axis::log("y"), vec![Series::band("", Color::Ink, long)]);
        assert!(Figure { panels: vec![panel], ..figure }.svg().unwrap().len() < 60_000);
    }

    #[test]
    fn bars_stand_on_zero_without_air() {
        let histogram = |counts| Series::histogram("", Color::Cycle(0), unit_bins(counts));
        let plot = |counts| figure(Panel::plot("", Axis::linear("x"), Axis::linear("y"), vec![histogram(counts)]));
        laid_out(&plot(&[2.0, 0.0, 4.0, f64::NAN]), |layout| {
            let range = layout.y[0].range;
            assert_eq!((range.lo, range.hi.round()), (0.0, 4.0));
            let bars = bars(layout);
            assert_eq!(bars.len(), 2);
            assert!(bars.iter().all(|b| b.y1 == layout.plot.y1));
            assert!((bars[1].height() / bars[0].height() - 2.0).abs() < 1e-9);
            // A bin wide, and an empty one between them.
            let width = bars[0].width();
            assert!((bars[1].x0 - bars[0].x1 - width).abs() < 1e-6 && (bars[1].width() - width).abs() < 1e-6);
        });
        laid_out(&plot(&[-2.0, 3.0]), |layout| {
            let [below, above] = bars(layout)[..] else { panic!("two bars") };
            assert!(below.y0 == above.y1 && below.y1 < layout.plot.y1 && above.y0 > layout.plot.y0);
        });
        laid_out(&plot(&[-2.0, -3.0]), |layout| assert_eq!(layout.y[0].range.hi, 0.0));
        laid_out(&plot(&[0.0, 0.0]), |layout| {
            assert_eq!((bars(layout).len(), layout.y[0].range.lo, layout.empty), (0, 0.0, true))
        });
    }

    #[test]
    fn bars_stand_on_the_bottom_of_a_log_axis() {
        let histogram = Series::histogram("", Color::Cycle(0), unit_bins(&[1.0, 0.0, 300.0]));
        laid_out(&figure(Panel::plot("", Axis::linear("x"), Axis::log("y"), vec![histogram])), |layout| {
            assert!(-0.5 < layout.y[0].range.lo && layout.y[0].range.lo < -0.05);
            let bars = bars(layout);
            assert_eq!(bars.len(), 2);
            assert!(bars.iter().all(|b| b.y1 == layout.plot.y1 && b.height() > 5.0 * DOT));
        });
    }

    #[test]
    fn bars_follow_the_scale_of_x() {
        let bins = [
            (f64::NEG_INFINITY, -0.1, 1.0),
            (-0.1, 0.1, 2.0),
            (0.1, 1.0, 3.0),
            (1.0, 10.0, 4.0),
            (5.0, 3.0, 9.0),
            (f64::NAN, 1.0, 9.0),
        ];
        let plot = |x| figure(Panel::plot("", x, Axis::linear("y"), vec![Series::histogram("", Color::Ink, bins)]));
        let same = |a: f64, b: f64| (a - b).abs() < 1e-6;
        laid_out(&plot(Axis::symlog("x", -1)), |layout| {
            let widths: Vec<f64> = bars(layout).iter().map(|b| b.width()).collect();
            assert!(same(widths[1], 2.0 * widths[2]) && same(widths[3], widths[2]) && widths.len() == 4, "{widths:?}");
            assert_eq!(bars(layout)[0].x0, layout.plot.x0, "to the end of the axis");
        });
        laid_out(&plot(Axis::log("x")), |layout| {
            let bars = bars(layout);
            assert!(bars[0].x0 == layout.plot.x0 && same(bars[1].width(), bars[2].width()) && bars.len() == 3);
        });
    }
}
