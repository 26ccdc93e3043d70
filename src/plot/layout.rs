//! Where everything in a figure stands: cells of panels, plot areas that line up, sides with their ticks. Knows sizes
//! of texts, draws nothing.

use super::canvas::edges;
use super::contour::Contours;
use super::figure::{Axis, Color, Content, Figure, Mark, Panel, Plot, Series};
use super::geometry::{Pt, Rect, on_dots};
use super::images::Tiles;
use super::legend::LegendBox;
use super::scale::{Range, Scale, Ticks, fitting_ticks, named_ticks};
use super::style::*;
use super::text::{clean, text_width, wrapped};

/// Where a panel's legend goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    Nowhere,
    Inside(Rect),
    Right,
    Below,
}

/// A side of a panel with what is written along it; a vertical one has the series it measures.
pub(super) struct Edge<'a> {
    pub(super) name: &'a str,
    pub(super) steps: Steps<'a>,
    pub(super) series: &'a [Series],
    pub(super) range: Range,
    pub(super) label: Vec<String>,
    pub(super) ticks: Ticks,
}

#[derive(Clone, Copy)]
pub(super) enum Steps<'a> {
    Scale(Scale),
    Names(&'a [String]),
}

impl<'a> Edge<'a> {
    pub(super) fn measured(axis: &'a Axis, series: &'a [Series], data: Option<Range>, air: f64) -> Self {
        let mut range = data.map_or(axis.scale.idle(), |d| axis.scale.range(d, air));
        // Bars stand on the axis, without air.
        let standing = series.iter().any(|s| s.mark == Mark::Bars);
        if let (true, Some(data), Some(zero)) = (standing, data, axis.scale.place(0.0)) {
            if data.lo >= zero {
                range.lo = zero;
            } else if data.hi <= zero {
                range.hi = zero;
            }
        }
        let (label, ticks) = (Vec::new(), Ticks::default());
        Self { name: &axis.label, steps: Steps::Scale(axis.scale), series, range, label, ticks }
    }

    pub(super) fn named(name: &'a str, names: &'a [String]) -> Self {
        let (label, ticks) = (Vec::new(), Ticks::default());
        Self { name, steps: Steps::Names(names), series: &[], range: Range { lo: 0.0, hi: 1.0 }, label, ticks }
    }

    pub(super) fn place(&self, v: f64) -> Option<f64> {
        match self.steps {
            Steps::Scale(scale) => scale.place(v),
            Steps::Names(_) => None,
        }
    }

    /// Where bars stand.
    pub(super) fn base(&self) -> f64 {
        self.place(0.0).unwrap_or(self.range.lo)
    }

    pub(super) fn label_depth(&self) -> f64 {
        match LABEL.block(self.label.len()) {
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
    pub(super) fn settle(&mut self, height: f64, room: f64) {
        self.label = wrapped(self.name, LABEL, height, 2);
        self.ticks = match self.steps {
            Steps::Scale(scale) => fitting_ticks(scale, self.range, height, 7, |_| 2.0 * TICK_LABEL.size),
            Steps::Names(names) => {
                let mut ticks = named_ticks(names, height, |_| room);
                ticks.major.iter_mut().for_each(|(at, _)| *at = 1.0 - *at);
                ticks
            }
        };
    }
}

/// A panel being laid out: its cell is given, its plot area and ticks follow.
pub(super) struct Plan<'a> {
    pub(super) panel: &'a Panel,
    pub(super) cell: Rect,
    pub(super) plot: Rect,
    pub(super) heading: Vec<String>,
    pub(super) heading_type: Type,
    pub(super) x: Edge<'a>,
    /// Left, and right where there is one.
    pub(super) y: Vec<Edge<'a>>,
    pub(super) empty: bool,
    pub(super) legend: LegendBox,
    pub(super) place: Place,
}

impl<'a> Plan<'a> {
    pub(super) fn new(panel: &'a Panel, heading: &str, heading_type: Type, cell: Rect) -> Self {
        let (mut x, y) = match &panel.content {
            Content::Plot(Plot { x, y, series, right, rules, contours }) => {
                let left = (y, &series[..]);
                let sides = std::iter::once(left).chain(right.iter().map(|(axis, series)| (axis, &series[..])));
                let ground = contours.as_ref().map(|c| Series::new("", Color::Ink, c.nodes()));
                let bounds = |(y, series): (&Axis, &[Series])| data_bounds(x.scale, y.scale, series);
                let ground = ground.and_then(|nodes| bounds((y, &[nodes])));
                let marked = rules.iter().filter_map(|(at, _)| x.scale.place(*at)).map(|t| Range { lo: t, hi: t });
                let across = sides.clone().filter_map(bounds).chain(ground).map(|b| b.0).chain(marked);
                let across = across.reduce(Range::union);
                // Level lines reach to the axes, unless something lies beyond their grid.
                let filled = |data: Option<Range>, grid: Option<Range>| grid.is_some() && data == grid;
                let air = |data, grid, usual| if filled(data, grid) { 0.0 } else { usual };
                // The first row of the rules' labels, kept free of data.
                let headroom = if rules.iter().all(|(_, label)| clean(label).is_empty()) { 0.0 } else { 0.06 };
                let side = |(i, (y, series))| {
                    let ground = ground.filter(|_| i == 0);
                    let data = bounds((y, series)).into_iter().chain(ground).map(|b| b.1).reduce(Range::union);
                    let mut side = Edge::measured(y, series, data, air(data, ground.map(|b| b.1), 0.05));
                    side.range.hi += headroom * (side.range.hi - side.range.lo);
                    side
                };
                (
                    Edge::measured(x, &[], across, air(across, ground.map(|b| b.0), 0.025)),
                    sides.enumerate().map(side).collect(),
                )
            }
            Content::HeatMap(map) => (Edge::named(&map.x, &map.columns), vec![Edge::named(&map.y, &map.rows)]),
            Content::Images(_) => (Edge::named("", &[]), vec![Edge::named("", &[])]),
        };
        x.label = wrapped(x.name, LABEL, 0.75 * cell.width(), 2);
        let room = cell.width() - 2.0 * MARGIN;
        let mut plan = Self {
            panel,
            cell,
            plot: cell,
            heading: wrapped(heading, heading_type, room, 3),
            heading_type,
            legend: LegendBox::new(&y, cell),
            x,
            y,
            empty: false,
            place: Place::Nowhere,
        };
        let is_plot = matches!(panel.content, Content::Plot(_));
        let backdrop = plan.all_bars().next().is_some() || plan.contours().is_some();
        plan.empty = is_plot && plan.shapes().next().is_none() && !backdrop;
        plan
    }

    /// How high the panel wants to be.
    pub(super) fn height(&self, plot: f64) -> f64 {
        match &self.panel.content {
            Content::Plot(_) => plot,
            Content::HeatMap(_) => self.cell.width() * HEAT_MAP,
            Content::Images(images) => {
                let tiles = Tiles::new(images, self.cell.width() - 2.0 * MARGIN, f64::INFINITY);
                self.top() + MARGIN + tiles.rows * tiles.pitch.1
            }
        }
    }

    /// All series with the side that measures them.
    pub(super) fn curves(&self) -> impl Iterator<Item = (&'a Series, &Edge<'a>)> {
        self.y.iter().flat_map(|side| side.series.iter().map(move |s| (s, side)))
    }

    pub(super) fn top(&self) -> f64 {
        let heading = self.heading_type.block(self.heading.len());
        MARGIN + heading + if heading > 0.0 { 2.0 * GAP } else { 0.0 }
    }

    /// From the plot's lower edge to the end of the axis label.
    pub(super) fn below_plot(&self) -> f64 {
        match self.panel.content {
            Content::Images(_) => 0.0,
            _ => TICK + GAP + TICK_LABEL.cap() + self.x.label_depth(),
        }
    }

    pub(super) fn bottom(&self) -> f64 {
        let legend = match self.place {
            Place::Below => self.legend.rows(self.cell).height + GAP,
            _ => 0.0,
        };
        self.below_plot() + legend + MARGIN
    }

    pub(super) fn left(&self) -> f64 {
        MARGIN + self.y[0].depth()
    }

    /// From the plot's right edge to the end of its axis label, if it has one.
    pub(super) fn right_depth(&self) -> f64 {
        self.y.get(1).map_or(0.0, Edge::depth)
    }

    /// Right margin, given the left one: room for the last label's overhang, the axis and the legend.
    pub(super) fn right(&self, left: f64) -> f64 {
        let legend = match self.place {
            Place::Right => self.legend.column().width + GAP,
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
        match self.x.steps {
            Steps::Scale(scale) => {
                fitting_ticks(scale, self.x.range, width, 8, |t| text_width(t, TICK_LABEL) + 1.4 * TICK_LABEL.size)
            }
            Steps::Names(names) => named_ticks(names, width, |pitch| pitch - 0.5 * TICK_LABEL.size),
        }
    }

    /// The drawable stretches of a series, in drawing units.
    pub(super) fn runs(&self, series: &Series, y: &Edge) -> Vec<Vec<Pt>> {
        let band = series.mark == Mark::Band;
        let place = |&(px, py): &Pt| {
            let bottom = (band && py <= 0.0).then_some(y.range.lo);
            let (x, y) = (self.x.range.fraction(self.x.place(px)?), y.range.fraction(y.place(py).or(bottom)?));
            Some((self.plot.x0 + x * self.plot.width(), self.plot.y1 - y * self.plot.height()))
        };
        let mut runs = vec![Vec::new()];
        for group in series.points.chunks_exact(if band { 2 } else { 1 }) {
            match (group.iter().map(place).collect::<Option<Vec<Pt>>>(), runs.last_mut()) {
                (Some(points), Some(run)) => run.extend(points),
                _ => runs.push(Vec::new()),
            }
        }
        runs.retain(|r| !r.is_empty());
        runs
    }

    /// The bars of a histogram.
    pub(super) fn bars(&self, series: &Series, y: &Edge) -> Vec<Rect> {
        let base = y.base();
        let (left, right) = (self.x.range.lo, self.x.range.hi);
        let across = |t: f64| self.plot.x0 + self.x.range.fraction(t) * self.plot.width();
        let bar = |bin: &[Pt]| {
            let (low, high) = (bin[0].0, bin[1].0);
            let top = y.place(bin[0].1).filter(|&top| top != base && low <= high)?;
            let (x0, x1) = match [low, high].map(|x| self.x.place(x)) {
                [None, None] => return None,
                [x0, x1] => (across(x0.unwrap_or(left)), across(x1.unwrap_or(right))),
            };
            Some(Rect { x0, y0: self.height_of(base.max(top), y), x1, y1: self.height_of(base.min(top), y) })
        };
        series.points.chunks_exact(2).filter_map(bar).collect()
    }

    pub(super) fn height_of(&self, t: f64, y: &Edge) -> f64 {
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
    pub(super) fn shapes(&self) -> impl Iterator<Item = Vec<Pt>> {
        self.curves().filter(|(series, _)| series.mark != Mark::Bars).flat_map(|(series, y)| {
            let runs = self.runs(series, y);
            let outlines =
                if series.mark == Mark::Band { runs.iter().flat_map(|r| edges(r)).collect() } else { vec![] };
            runs.into_iter().chain(outlines)
        })
    }

    pub(super) fn is_outside(&self) -> bool {
        matches!(self.place, Place::Right | Place::Below)
    }
}

/// The ranges of all points that both axes can show; bars reach to zero where it has a place.
pub(super) fn data_bounds(x: Scale, y: Scale, series: &[Series]) -> Option<(Range, Range)> {
    let feet = |s: &&Series| s.mark == Mark::Bars;
    let feet = series.iter().filter(feet).flat_map(|s| &s.points).map(|p| (p.0, 0.0));
    let points = series.iter().flat_map(|s| &s.points).copied().chain(feet);
    let placed = points.filter_map(|(px, py)| x.place(px).zip(y.place(py)));
    let ranges = placed.map(|(x, y)| (Range { lo: x, hi: x }, Range { lo: y, hi: y }));
    ranges.reduce(|a, b| (a.0.union(b.0), a.1.union(b.1)))
}

impl Figure {
    /// Places for all panels; the heading of a lone panel is the figure's title, several panels
    /// get it above them as a header.
    pub(super) fn plan(&self) -> (Vec<String>, Vec<Plan<'_>>) {
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
        let mut y0 = match TITLE.block(header.len()) {
            h if h > 0.0 => tens_of_dots(h + MARGIN + GAP),
            _ => 0.0,
        };
        let style = if lone { TITLE } else { SUBTITLE };
        let titled = lone && !clean(&self.title).is_empty();
        let plans = self.panels.iter().enumerate().map(|(i, panel)| {
            let heading = if titled { &self.title } else { &panel.title };
            let column = i % columns;
            let gutter = |inner: bool| if inner { GUTTER / 2.0 } else { 0.0 };
            let x0 = column as f64 * width + gutter(column > 0);
            let x1 = (column + 1) as f64 * width - gutter(column + 1 < columns);
            Plan::new(panel, heading, style, Rect { x0, x1, ..Rect::default() })
        });
        let mut plans: Vec<Plan> = plans.collect();
        for row in plans.chunks_mut(columns) {
            let y1 = y0 + tens_of_dots(row.iter().map(|p| p.height(height)).fold(0.0, f64::max));
            row.iter_mut().for_each(|p| p.cell = Rect { y0, y1, ..p.cell });
            y0 = y1;
        }
        arrange(&mut plans, columns);
        while settle_legends(&mut plans) {
            arrange(&mut plans, columns);
        }
        (header, plans)
    }
}

/// Gives each panel its plot area and ticks. Panels of a row share top and bottom, panels of a
/// column share left and right, so that all axes line up.
pub(super) fn arrange(plans: &mut [Plan], columns: usize) {
    for row in plans.chunks_mut(columns) {
        let top = row.iter().map(Plan::top).fold(0.0, f64::max);
        let bottom = row.iter().map(Plan::bottom).fold(0.0, f64::max);
        for plan in row {
            plan.plot.y0 = on_dots(plan.cell.y0 + top, AXIS_LINE);
            plan.plot.y1 = on_dots(plan.cell.y1 - bottom, AXIS_LINE);
            for side in &mut plan.y {
                side.settle(plan.plot.height(), 0.25 * plan.cell.width());
            }
        }
    }
    for column in 0..columns {
        let own = || (column..plans.len()).step_by(columns);
        let left = own().map(|i| plans[i].left()).fold(0.0, f64::max);
        let right = own().map(|i| plans[i].right(left)).fold(0.0, f64::max);
        for i in own() {
            let plan = &mut plans[i];
            plan.plot.x0 = on_dots(plan.cell.x0 + left, AXIS_LINE);
            plan.plot.x1 = on_dots(plan.cell.x1 - right, AXIS_LINE);
            plan.x.ticks = plan.ticks_along_x(plan.plot.width());
        }
    }
}

/// Places the legends; true if one just moved outside, so that its panel needs another layout.
/// None moves back inside, so this ends.
pub(super) fn settle_legends(plans: &mut [Plan]) -> bool {
    let mut moved = false;
    for plan in plans.iter_mut().filter(|p| !p.is_outside()) {
        plan.place = plan.find_place();
        moved |= plan.is_outside();
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
        let lengths = laid_out(&figure, |plan| first_runs(plan).iter().map(Vec::len).collect::<Vec<_>>());
        assert_eq!(lengths, [2, 1, 1, 2]);
    }

    #[test]
    fn a_right_axis_measures_its_series_alone() {
        let right = vec![Series::new("accuracy", Color::Cycle(1), line(|x| 90.0 + x, 0.0, 9.0, 9))];
        let left = vec![Series::new("loss", Color::Cycle(0), line(|x| 10_f64.powf(-x), 0.0, 3.0, 9))];
        let (x, y) = (Axis::linear("epoch"), Axis::log("loss"));
        let panel = Panel::plot("", x, y, left).right(Axis::linear("accuracy (%)"), right);
        laid_out(&figure(panel), |plan| {
            let ends: Vec<Pt> = plan.curves().map(|(s, y)| *plan.runs(s, y)[0].last().unwrap()).collect();
            let (low, high) = (0.95 * plan.plot.y1, plan.plot.y0 + 0.05 * plan.plot.y1);
            assert!(ends[0].1 > low && ends[1].1 < high, "{ends:?} {:?}", plan.plot);
            assert!(ends[0].0 < plan.plot.center().0, "both measured along one x");
            let labels: Vec<&str> = plan.legend.entries.iter().map(|e| &*e.label).collect();
            assert_eq!(labels, ["loss", "accuracy (right)"]);
            assert!(plan.plot.x1 + plan.right_depth() < plan.cell.x1);
            assert_eq!((plan.y[0].range.lo.round(), plan.y[1].range.hi.round()), (-3.0, 99.0));
        });
    }

    #[test]
    fn a_band_is_one_area_per_stretch() {
        let edges = (0..9).map(|i| (f64::from(i), if i == 3 { f64::NAN } else { f64::from(i) - 6.5 }, 9.0));
        let band = Series::band("b", Color::Cycle(0), edges);
        let line = Series::new("b", Color::Cycle(0), vec![(0.0, 1.0)]);
        let figure = figure(Panel::plot("", Axis::linear("x"), Axis::log("y"), vec![band, line]));
        laid_out(&figure, |plan| {
            let runs = first_runs(plan);
            assert_eq!(runs.iter().map(Vec::len).collect::<Vec<_>>(), [6, 10]);
            // Where there is no lower edge, the band reaches the plot's.
            assert!((runs[0][0].1 - plan.plot.y1).abs() < 1.0 && runs[1][9].1 < plan.plot.y1);
            assert_eq!(plan.legend.entries[0].marks, [Mark::Band, Mark::Line]);
            assert_eq!(plan.legend.entries.len(), 1);
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
        laid_out(&plot(&[2.0, 0.0, 4.0, f64::NAN]), |plan| {
            let range = plan.y[0].range;
            assert_eq!((range.lo, range.hi.round()), (0.0, 4.0));
            let bars = bars(plan);
            assert_eq!(bars.len(), 2);
            assert!(bars.iter().all(|b| b.y1 == plan.plot.y1));
            assert!((bars[1].height() / bars[0].height() - 2.0).abs() < 1e-9);
            // A bin wide, and an empty one between them.
            let width = bars[0].width();
            assert!((bars[1].x0 - bars[0].x1 - width).abs() < 1e-6 && (bars[1].width() - width).abs() < 1e-6);
        });
        laid_out(&plot(&[-2.0, 3.0]), |plan| {
            let [below, above] = bars(plan)[..] else { panic!("two bars") };
            assert!(below.y0 == above.y1 && below.y1 < plan.plot.y1 && above.y0 > plan.plot.y0);
        });
        laid_out(&plot(&[-2.0, -3.0]), |plan| assert_eq!(plan.y[0].range.hi, 0.0));
        laid_out(&plot(&[0.0, 0.0]), |plan| {
            assert_eq!((bars(plan).len(), plan.y[0].range.lo, plan.empty), (0, 0.0, true))
        });
    }

    #[test]
    fn bars_stand_on_the_bottom_of_a_log_axis() {
        let histogram = Series::histogram("", Color::Cycle(0), unit_bins(&[1.0, 0.0, 300.0]));
        laid_out(&figure(Panel::plot("", Axis::linear("x"), Axis::log("y"), vec![histogram])), |plan| {
            assert!(-0.5 < plan.y[0].range.lo && plan.y[0].range.lo < -0.05);
            let bars = bars(plan);
            assert_eq!(bars.len(), 2);
            assert!(bars.iter().all(|b| b.y1 == plan.plot.y1 && b.height() > 5.0 * DOT));
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
        laid_out(&plot(Axis::symlog("x", -1)), |plan| {
            let widths: Vec<f64> = bars(plan).iter().map(|b| b.width()).collect();
            assert!(same(widths[1], 2.0 * widths[2]) && same(widths[3], widths[2]) && widths.len() == 4, "{widths:?}");
            assert_eq!(bars(plan)[0].x0, plan.plot.x0, "to the end of the axis");
        });
        laid_out(&plot(Axis::log("x")), |plan| {
            let bars = bars(plan);
            assert!(bars[0].x0 == plan.plot.x0 && same(bars[1].width(), bars[2].width()) && bars.len() == 3);
        });
    }
}
