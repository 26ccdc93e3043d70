//! Figures: curves on axes, heat maps and grids of small images, drawn once and published twice,
//! as SVG (text turned into paths) and as PNG at 200 dpi. The only user of plotters, behind a
//! small list of panels; it knows slices of numbers, neither tensors nor files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, ensure};
use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontFamily, FontStyle, FontTransform, RGBColor, TextStyle};
use resvg::{tiny_skia, usvg};

// ---------------------------------------------------------------------------------------------
// What a caller describes
// ---------------------------------------------------------------------------------------------

/// One published picture: a grid of panels under a common title.
#[derive(Clone, Debug)]
pub struct Figure {
    /// File stem under which the caller saves the picture; not drawn.
    pub name: String,
    /// Heading of the whole picture, and the SVG's `<title>`.
    pub title: String,
    /// What one sees, in a sentence or two: the SVG's `<desc>`, its alternative text.
    pub caption: String,
    /// Panels per row (at least one is assumed).
    pub columns: usize,
    /// Row by row, left to right.
    pub panels: Vec<Panel>,
}

/// One part of a figure.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Heading of the panel. Alone in its figure, it shows only where the figure has no title.
    pub title: String,
    /// What is under the heading.
    pub content: Content,
}

/// What a panel shows.
#[derive(Clone, Debug)]
pub enum Content {
    /// Curves and points on axes.
    Plot(Plot),
    /// A table of counts on coloured cells.
    HeatMap(HeatMap),
    /// Small grey images with captions.
    Images(Images),
}

/// One pair of axes with its curves, and a second vertical axis where there is one.
#[derive(Clone, Debug)]
pub struct Plot {
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// In drawing order: the last one lies on top.
    pub series: Vec<Series>,
    /// A vertical axis on the right and the series that it measures, above the others.
    pub right: Option<(Axis, Vec<Series>)>,
    /// Values of x that vertical lines mark, behind the curves, with labels (empty for none).
    pub rules: Vec<(f64, String)>,
    /// Level lines of a function of x and y, on the left axis, behind the curves.
    pub contours: Option<Contours>,
}

/// A function on a grid, shown by lines of equal value with paler areas between them, from pale (below the
/// first level) to dark blue.
#[derive(Clone, Debug)]
pub struct Contours {
    /// Where the columns of the grid are, and its rows; both rise.
    pub x: Vec<f64>,
    pub y: Vec<f64>,
    /// The values, row by row; a cell with a corner that is not finite has no lines.
    pub z: Vec<f64>,
    /// The values that have lines, and what is written on these (empty for nothing).
    pub levels: Vec<(f64, String)>,
}

/// A count in each cell, such as a confusion matrix; the colour may say something else.
#[derive(Clone, Debug)]
pub struct HeatMap {
    /// What the columns are, and the rows.
    pub x: String,
    pub y: String,
    /// Names of the columns, left to right.
    pub columns: Vec<String>,
    /// Names of the rows, top to bottom.
    pub rows: Vec<String>,
    /// What is written in the cells, row by row.
    pub counts: Vec<u64>,
    /// What colours them, from white (zero, or the lowest if negative) to dark blue (the highest);
    /// a cell that has none (NaN, infinite) is grey, such as a diagonal that would drown the rest.
    pub shades: Vec<f64>,
}

/// Images of one size, in a grid.
#[derive(Clone, Debug)]
pub struct Images {
    /// Pixels per row and rows of each image.
    pub size: (usize, usize),
    /// Images per row (at least one is assumed).
    pub columns: usize,
    /// Caption (its line breaks are kept, up to three lines) and pixels row by row, from 0 for
    /// paper to 255 for ink as in MNIST.
    pub images: Vec<(String, Vec<u8>)>,
}

/// An axis; its range always follows the data.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Quantity, with its unit where it has one.
    pub label: String,
    /// How values map to positions.
    pub scale: Scale,
}

/// How values map to positions along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps for equal differences.
    Linear,
    /// Equal steps for equal ratios; values that are not positive have no place and are left out.
    Log,
    /// Logarithmic on both sides of zero, linear within ± ten to this power (kept within ±280),
    /// which takes the length of a decade on either side.
    SymLog(i32),
}

/// One curve or cloud of points.
#[derive(Clone, Debug)]
pub struct Series {
    /// Text in the legend; empty for none.
    pub label: String,
    /// Colour of lines and points.
    pub color: Color,
    /// What is drawn at and between the points.
    pub mark: Mark,
    /// `(x, y)` in data units. A point that its axes cannot show (NaN, infinite, not positive
    /// on a log axis) interrupts the line. A band alternates between its lower and its upper edge,
    /// bars between their left and their right edge.
    pub points: Vec<(f64, f64)>,
    /// Points that are not among these since they are not finite.
    pub left_out: usize,
}

/// Colour of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// Entry of the colour-blind-safe palette (Okabe and Ito, 2008), which repeats after six.
    Cycle(usize),
    /// Near-black, for the ground truth.
    Ink,
}

/// What is drawn at and between the points of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A solid line.
    Line,
    /// A dashed line.
    Dashed,
    /// A disc at each point.
    Points,
    /// A solid line with a disc at each point.
    LinePoints,
    /// A pale area between two curves; see [`Series::band`].
    Band,
    /// A × at each point.
    Crosses,
    /// A hollow disc at each point.
    Circles,
    /// The way of a training through a plane: a thin line with discs that grow from the first
    /// point to the last.
    Path,
    /// The same with hollow discs, for more ways than the palette has colours.
    OpenPath,
    /// A bar over each bin of a histogram; see [`Series::histogram`].
    Bars,
}

impl Axis {
    /// A linear axis with this label.
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Linear }
    }

    /// A base-10 logarithmic axis with this label.
    pub fn log(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Log }
    }

    /// An axis with this label that is linear within ± ten to the power `linear`, and base-10
    /// logarithmic beyond.
    pub fn symlog(label: impl Into<String>, linear: i32) -> Self {
        Self { label: label.into(), scale: Scale::SymLog(linear) }
    }
}

impl Series {
    /// A solid line in the given colour.
    pub fn new(label: impl Into<String>, color: Color, points: Vec<(f64, f64)>) -> Self {
        Self { label: label.into(), color, mark: Mark::Line, points, left_out: 0 }
    }

    /// A pale band from `(x, lower, upper)`. A lower edge that the axis has no place for, such as
    /// mean − interval on a log axis, runs off the bottom. The legend shows it together with a line
    /// of the same label and colour.
    pub fn band(label: impl Into<String>, color: Color, edges: impl IntoIterator<Item = (f64, f64, f64)>) -> Self {
        let points = edges.into_iter().flat_map(|(x, lower, upper)| [(x, lower), (x, upper)]);
        Self { label: label.into(), color, mark: Mark::Band, points: points.collect(), left_out: 0 }
    }

    /// Bars from bins `(low edge, high edge, count)`. They stand on zero, or on the bottom of a log
    /// axis; an edge that the axis has no place for is at the axis's end. An empty bin has no bar.
    pub fn histogram(label: impl Into<String>, color: Color, bins: impl IntoIterator<Item = (f64, f64, f64)>) -> Self {
        let points = bins.into_iter().flat_map(|(low, high, count)| [(low, count), (high, count)]);
        Self { label: label.into(), color, mark: Mark::Bars, points: points.collect(), left_out: 0 }
    }

    /// A line over epochs, one value each; the first is epoch `first`.
    pub fn over_epochs(label: impl Into<String>, color: Color, first: u32, values: &[f64]) -> Self {
        let points = (first..).zip(values).map(|(epoch, &value)| (f64::from(epoch), value));
        Self::new(label, color, points.collect())
    }

    /// The same series, of which so many points are left out that are not finite.
    #[must_use]
    pub fn left_out(mut self, points: usize) -> Self {
        self.left_out = points;
        self
    }

    /// Points that cannot be shown since they are not finite, left out already or not.
    #[must_use]
    pub fn not_finite(&self) -> usize {
        self.left_out + self.points.iter().filter(|(x, y)| !(x.is_finite() && y.is_finite())).count()
    }

    /// The same series with another mark.
    #[must_use]
    pub fn mark(mut self, mark: Mark) -> Self {
        self.mark = mark;
        self
    }
}

impl Panel {
    /// Curves on one pair of axes.
    pub fn plot(title: impl Into<String>, x: Axis, y: Axis, series: Vec<Series>) -> Self {
        let plot = Plot { x, y, series, right: None, rules: Vec::new(), contours: None };
        Self { title: title.into(), content: Content::Plot(plot) }
    }

    /// The same curves with an axis on the right and the series that it measures; no effect on
    /// what is no plot.
    #[must_use]
    pub fn right(mut self, axis: Axis, series: Vec<Series>) -> Self {
        if let Content::Plot(plot) = &mut self.content {
            plot.right = Some((axis, series));
        }
        self
    }

    /// The same curves with labelled vertical lines at these x; no effect on what is no plot.
    #[must_use]
    pub fn rules(mut self, rules: Vec<(f64, String)>) -> Self {
        if let Content::Plot(plot) = &mut self.content {
            plot.rules = rules;
        }
        self
    }

    /// The same curves above level lines; no effect on what is no plot.
    #[must_use]
    pub fn contours(mut self, contours: Contours) -> Self {
        if let Content::Plot(plot) = &mut self.content {
            plot.contours = Some(contours);
        }
        self
    }

    fn check(&self) -> Result<()> {
        match &self.content {
            Content::Plot(Plot { contours: None, .. }) => {}
            Content::Plot(Plot { contours: Some(Contours { x, y, z, levels }), .. }) => {
                let nodes = x.len().saturating_mul(y.len());
                ensure!((1..=MAX_NODES).contains(&nodes), "{nodes} points of a grid, not 1 to {MAX_NODES}");
                ensure!(z.len() == nodes, "{} values on a grid of {} x {} points", z.len(), x.len(), y.len());
                ensure!([x, y].iter().all(|at| at.is_sorted_by(|a, b| a < b)), "a grid that does not rise");
                ensure!(levels.len() <= MAX_LEVELS, "{} levels, not up to {MAX_LEVELS}", levels.len());
            }
            Content::HeatMap(HeatMap { columns, rows, counts, shades, .. }) => {
                let cells = columns.len().saturating_mul(rows.len());
                ensure!((1..=MAX_CELLS).contains(&cells), "{cells} cells, not 1 to {MAX_CELLS}");
                let given = (counts.len(), shades.len());
                ensure!(given == (cells, cells), "{} counts and {} shades for {cells} cells", given.0, given.1);
            }
            Content::Images(Images { size, images, .. }) => {
                let pixels = size.0.saturating_mul(size.1);
                let all = pixels.saturating_mul(images.len());
                ensure!((1..=MAX_PIXELS).contains(&all), "{all} pixels, not 1 to {MAX_PIXELS}");
                let odd = images.iter().position(|(_, given)| given.len() != pixels);
                ensure!(odd.is_none(), "image {odd:?} has not {} x {} pixels", size.0, size.1);
            }
        }
        Ok(())
    }
}

/// A figure as plotters draws it.
pub struct Drawing<'a> {
    figure: &'a Figure,
    drawn: String,
}

impl Drawing<'_> {
    /// What the published SVG depends on, this module included; but for the libraries it draws with.
    #[must_use]
    pub fn sources(&self) -> [&str; 4] {
        [include_str!("mod.rs"), &self.drawn, &self.figure.title, &self.figure.caption]
    }

    /// As [`Figure::svg`].
    ///
    /// # Errors
    /// Where the drawing cannot be read, which is an error in this program.
    pub fn publish(&self) -> Result<String> {
        let Figure { name, title, caption, .. } = self.figure;
        publish(&self.drawn, title, caption).with_context(|| format!("figure {name:?} as SVG"))
    }
}

impl Figure {
    /// Points of its curves that cannot be shown since they are not finite.
    #[must_use]
    pub fn not_finite(&self) -> usize {
        let of_panel = |panel: &Panel| match &panel.content {
            Content::Plot(Plot { series, right, contours, .. }) => {
                let right = right.iter().flat_map(|(_, series)| series);
                let grid = contours.iter().flat_map(|contours| &contours.z).filter(|z| !z.is_finite()).count();
                grid + series.iter().chain(right).map(Series::not_finite).sum::<usize>()
            }
            Content::HeatMap(_) | Content::Images(_) => 0,
        };
        self.panels.iter().map(of_panel).sum()
    }

    /// The published SVG, which needs no font; [`rasterize`] turns it into a PNG.
    ///
    /// # Errors
    /// No panel, more than [`MAX_PANELS`], or a panel whose parts do not fit together.
    pub fn svg(&self) -> Result<String> {
        self.drawing()?.publish()
    }

    /// What [`Self::svg`] is made of: far sooner had than that, where text is still text.
    ///
    /// # Errors
    /// As [`Self::svg`]'s.
    pub fn drawing(&self) -> Result<Drawing<'_>> {
        let drawn = self.draw().with_context(|| format!("figure {:?}", self.name))?;
        Ok(Drawing { figure: self, drawn })
    }
}

// ---------------------------------------------------------------------------------------------
// Looks
// ---------------------------------------------------------------------------------------------

/// Most panels in one figure; more could not be read, and would not fit in memory as a PNG.
pub const MAX_PANELS: usize = 64;
/// Most cells in one heat map.
pub const MAX_CELLS: usize = 2500;
/// Most pixels in one panel of images.
pub const MAX_PIXELS: usize = 100_000;
/// Most points in the grid of one panel's level lines.
pub const MAX_NODES: usize = 100_000;
/// Most values that have level lines in one panel.
pub const MAX_LEVELS: usize = 40;
/// More lines than this are hard to tell apart.
const MOST_LOG_LEVELS: usize = 14;
const MAX_HEIGHT: f64 = 300.0 * INCH;

// plotters places everything on whole drawing units, so the unit is fine: 12 to a dot of the
// PNG, which also lets straight lines fall exactly on its dots.
const INCH: f64 = 2400.0;
const POINT: f64 = INCH / 72.0;
const PNG_DPI: f64 = 200.0;
const CSS_DPI: f64 = 96.0; // SVG user units per inch
const DOT: f64 = INCH / PNG_DPI;
const MM: f64 = INCH / 25.4;

const ONE_PANEL: (f64, f64) = (6.4 * INCH, 4.0 * INCH);
// Beside others a panel is smaller, so that two in a row still fit a page at a readable size.
const GRID_PANEL: (f64, f64) = (4.8 * INCH, 3.6 * INCH);
const HEAT_MAP: f64 = 0.8; // height by width
const IMAGE: f64 = 1.2 * INCH; // most of its longer side

const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const AXIS: RGBColor = RGBColor(0x44, 0x44, 0x44);
const GRID: RGBColor = RGBColor(0xE4, 0xE4, 0xE4);
const FRAME: RGBColor = RGBColor(0xCC, 0xCC, 0xCC);
const FAINT: RGBColor = RGBColor(0x77, 0x77, 0x77);
const PALE: RGBColor = RGBColor(0xB8, 0xB8, 0xB8); // a zero in a cell
const WHITE: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);

// Okabe and Ito without black (that is `Ink`) and yellow (too pale on white).
const PALETTE: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0xE6, 0x9F, 0x00),
];

// Of a heat map, low to high (ColorBrewer's Blues, from white).
const SHADES: [RGBColor; 5] = [
    WHITE,
    RGBColor(0xC6, 0xDB, 0xEF),
    RGBColor(0x6B, 0xAE, 0xD6),
    RGBColor(0x21, 0x71, 0xB5),
    RGBColor(0x08, 0x30, 0x6B),
];
const UNSHADED: RGBColor = RGBColor(0xE8, 0xE8, 0xE8);

const MARGIN: f64 = 2.0 * MM;
const GUTTER: f64 = 2.5 * MM; // between columns, on top of their margins
const GAP: f64 = 1.2 * MM;
const TICK: f64 = 7.0 * DOT;
const MINOR_TICK: f64 = 4.0 * DOT;
const HAIRLINE: u32 = 18;
const RULE: u32 = 20; // dashed
const AXIS_LINE: u32 = 24;
const CURVE: u32 = 37; // 1.5 px of 1/96 inch
// The SVG backend knows neither dashes nor caps: `STYLE` gives them to lines of these widths.
const DASHED_CURVE: u32 = 38;
const DISC: u32 = 116; // diameter
const RING: u32 = 28; // of a hollow disc
const PATH_DISCS: (f64, f64) = (68.0, 144.0); // diameters, of the first and the last
const STYLE: &str = "rect{shape-rendering:crispEdges}polyline{stroke-linejoin:round}\
    polyline[stroke-width=\"20\"]{stroke-dasharray:72,48}\
    polyline[stroke-width=\"38\"]{stroke-dasharray:132,66}\
    polyline[stroke-width=\"116\"]{stroke-linecap:round}";
const BAND_ALPHA: f64 = 0.22;
const BAR_ALPHA: f64 = 0.45;
/// More discs than this are drawn on a coarser grid, to bound the size of the SVG.
const MAX_DISCS: usize = 5000;

const GREYS: u8 = 15; // of an image, without white; divides 255

const SAMPLE: f64 = 528.0; // length of a legend's line: three dashes, two gaps
const LEGEND_PAD: f64 = 1.4 * MM;

/// A way of writing: size in drawing units, weight, colour.
#[derive(Clone, Copy)]
struct Type {
    size: f64,
    bold: bool,
    ink: RGBColor,
}

const TITLE: Type = Type::new(12.0, true, INK);
const SUBTITLE: Type = Type::new(11.0, true, INK);
const LABEL: Type = Type::new(10.5, false, INK);
const TICK_LABEL: Type = Type::new(10.0, false, AXIS);
const LEGEND: Type = Type::new(10.0, false, INK);
const CELL: Type = Type::new(10.0, false, INK);
const CAPTION: Type = Type::new(9.0, false, INK);
const NOTE: Type = Type::new(10.5, false, FAINT);
const RULE_LABEL: Type = Type::new(9.0, false, FAINT);
const LEVEL: Type = Type::new(8.0, false, AXIS);

impl Type {
    const fn new(points: f64, bold: bool, ink: RGBColor) -> Self {
        Self { size: points * POINT, bold, ink }
    }

    const fn line(self) -> f64 {
        1.25 * self.size
    }

    /// Height of digits and capitals, in `DejaVu` Sans.
    const fn cap(self) -> f64 {
        0.729 * self.size
    }

    /// Height of `count` lines from the first one's capitals to the last one's descenders.
    fn block(self, count: usize) -> f64 {
        match count {
            0 => 0.0,
            n => self.cap() + 0.236 * self.size + (n - 1) as f64 * self.line(),
        }
    }
}

impl Color {
    fn rgb(self) -> RGBColor {
        match self {
            Self::Cycle(i) => PALETTE[i % PALETTE.len()],
            Self::Ink => INK,
        }
    }
}

/// The colour of a heat map's cell, from 0 to 1.
fn shade(t: f64) -> RGBColor {
    let last = SHADES.len() - 1;
    let at = if t > 0.0 { t.min(1.0) } else { 0.0 } * last as f64;
    let i = (at as usize).min(last - 1);
    let mix = |a: u8, b: u8| (f64::from(a) + (at - i as f64) * (f64::from(b) - f64::from(a))).round() as u8;
    let (a, b) = (SHADES[i], SHADES[i + 1]);
    RGBColor(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

/// Which of ink and white is read more easily on this colour.
fn ink_on(RGBColor(r, g, b): RGBColor) -> RGBColor {
    let light = 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
    if light > 122.0 { INK } else { WHITE }
}

/// What a mark consists of, for the data and for the legend's sample alike.
enum Part {
    Stroke(u32),
    Discs,
    Area,
    Crosses,
    Circles,
    Trail,
    GrowingDiscs,
    GrowingCircles,
    Bars,
}

impl Mark {
    fn parts(self) -> &'static [Part] {
        match self {
            Self::Line => &[Part::Stroke(CURVE)],
            Self::Dashed => &[Part::Stroke(DASHED_CURVE)],
            Self::Points => &[Part::Discs],
            Self::LinePoints => &[Part::Stroke(CURVE), Part::Discs],
            Self::Band => &[Part::Area],
            Self::Crosses => &[Part::Crosses],
            Self::Circles => &[Part::Circles],
            Self::Path => &[Part::Trail, Part::GrowingDiscs],
            Self::OpenPath => &[Part::Trail, Part::GrowingCircles],
            Self::Bars => &[Part::Bars],
        }
    }
}

// ---------------------------------------------------------------------------------------------
// Scales, ranges and ticks
// ---------------------------------------------------------------------------------------------

/// Both ends of an axis, in the scale's own coordinate (for `Log`, the exponent of ten; for
/// `SymLog`, ±1 where the linear part ends and ±1 for each decade from there).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Range {
    lo: f64,
    hi: f64,
}

impl Range {
    /// Where `t` lies, 0 at the low end and 1 at the high end.
    fn fraction(self, t: f64) -> f64 {
        (t - self.lo) / (self.hi - self.lo)
    }

    fn union(self, other: Self) -> Self {
        Self { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }

    fn padded(self, share: f64) -> Self {
        let pad = (self.hi - self.lo) * share;
        Self { lo: self.lo - pad, hi: self.hi + pad }
    }
}

/// Marks along an axis, placed by fraction of its length.
#[derive(Clone, Debug, Default)]
struct Ticks {
    major: Vec<(f64, String)>,
    minor: Vec<f64>,
}

impl Scale {
    /// The scale's own coordinate of a value, if it has a place on the axis.
    fn place(self, v: f64) -> Option<f64> {
        // Beyond 1e300, the differences that layout needs would overflow.
        let t = match self {
            Self::Linear => v,
            Self::Log => v.log10(),
            Self::SymLog(linear) => {
                let beyond = v.abs().log10() - f64::from(within_reach(linear));
                let size = if beyond < 0.0 { 10_f64.powf(beyond) } else { 1.0 + beyond };
                size.copysign(v)
            }
        };
        (v.is_finite() && t.abs() <= 1e300).then_some(t)
    }

    /// What an axis without data shows.
    fn idle(self) -> Range {
        match self {
            Self::Linear => Range { lo: 0.0, hi: 1.0 },
            Self::Log | Self::SymLog(_) => Range { lo: -1.0, hi: 1.0 },
        }
    }

    /// A range that shows `data` with some air, also where all values agree.
    fn range(self, data: Range, air: f64) -> Range {
        let span = data.hi - data.lo;
        let reach = data.lo.abs().max(data.hi.abs());
        let middle = data.lo / 2.0 + data.hi / 2.0;
        let half = match self {
            // Below this, ticks would need more digits than a label can hold.
            Self::Linear if span > 1e-9 * reach && span > 1e-305 => None,
            Self::Linear if middle.abs() > 1e-300 => Some(0.1 * middle.abs()),
            Self::Linear => Some(1.0),
            Self::Log | Self::SymLog(_) if span > 1e-9 => None,
            Self::Log => Some(0.5),
            Self::SymLog(_) => Some(1.0),
        };
        half.map_or_else(|| data.padded(air), |h| Range { lo: middle - h, hi: middle + h })
    }

    /// Ticks with at most `most` labels (a few more where the scale has no coarser choice).
    fn ticks(self, range: Range, most: usize) -> Ticks {
        match self {
            Self::Linear => linear_ticks(range, range, |v| v, most),
            Self::Log => log_ticks(range, most),
            Self::SymLog(linear) => symlog_ticks(within_reach(linear), range, most),
        }
    }
}

/// The exponent of ten where a `SymLog` axis becomes linear; nearer to the ends of the
/// floating-point range there would be nothing to subdivide.
fn within_reach(linear: i32) -> i32 {
    linear.clamp(-280, 280)
}

/// The smallest `m * 10^e` with m in {1, 2, 5} that is not below `raw`.
fn nice_step(raw: f64) -> (i64, i32) {
    let e = raw.log10().floor() as i32;
    let mantissa = scaled(1, -e) * raw;
    for m in [1, 2, 5] {
        if mantissa <= m as f64 * (1.0 + 1e-9) {
            return (m, e);
        }
    }
    (1, e + 1)
}

/// `n * 10^e`, exactly rounded where both factors are exact.
fn scaled(n: i64, e: i32) -> f64 {
    let n = n as f64;
    if e < 0 { n / 10_f64.powi(-e) } else { n * 10_f64.powi(e) }
}

/// Ticks at equal differences over `values`, placed within `range` through `place`.
fn linear_ticks(values: Range, range: Range, place: impl Fn(f64) -> f64, most: usize) -> Ticks {
    let (m, e) = nice_step((values.hi - values.lo) / most.max(1) as f64);
    let step = scaled(m, e);
    let first = (values.lo / step - 1e-9).ceil() as i64;
    let last = (values.hi / step + 1e-9).floor() as i64;
    let counts: Vec<i64> = (first..=last).map(|k| k * m).collect();
    let labels = decimal_labels(&counts, e);
    let major = counts.iter().zip(labels);
    Ticks { major: major.map(|(&n, label)| (range.fraction(place(scaled(n, e))), label)).collect(), minor: Vec::new() }
}

/// Decades where there are enough of them, otherwise 1-2-5 positions in plain numbers, otherwise
/// (less than about half a decade) equal differences.
fn log_ticks(range: Range, most: usize) -> Ticks {
    let first = (range.lo - 1e-9).ceil() as i32;
    let last = (range.hi + 1e-9).floor() as i32;
    if last - first >= 2 {
        return decade_ticks(range, first, last, most);
    }
    let dense = digit_positions(range, &[1, 2, 5]);
    if dense.len() < 3 {
        let values = Range { lo: 10_f64.powf(range.lo), hi: 10_f64.powf(range.hi) };
        // Beyond the floating-point range there is nothing to subdivide.
        if values.lo > 1e-290 && values.hi < 1e290 {
            return linear_ticks(values, range, f64::log10, most);
        }
    }
    let choices = [dense, digit_positions(range, &[1, 3])];
    let fitting = choices.into_iter().find(|c| c.len() <= most);
    let chosen = fitting.unwrap_or_else(|| digit_positions(range, &[1]));
    let plain = chosen.iter().all(|&(_, e)| (-4..=5).contains(&e));
    let label = |&(digit, e): &(i64, i32)| {
        if plain { fixed(digit, e) } else { format!("{digit}×{}", power_of_ten(e)) }
    };
    let at = |&(digit, e): &(i64, i32)| range.fraction((digit as f64).log10() + f64::from(e));
    let rest = digit_positions(range, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    Ticks {
        major: chosen.iter().map(|c| (at(c), label(c))).collect(),
        minor: rest.iter().filter(|p| !chosen.contains(p)).map(at).collect(),
    }
}

/// Zero and decades on both sides of it, or what another scale has where the axis shows little more
/// than a logarithmic or the linear part.
fn symlog_ticks(linear: i32, range: Range, most: usize) -> Ticks {
    let exponents =
        |near: f64, far: f64| Range { lo: near - 1.0 + f64::from(linear), hi: far - 1.0 + f64::from(linear) };
    if range.lo >= 1.0 {
        return log_ticks(exponents(range.lo, range.hi), most);
    }
    if range.hi <= -1.0 {
        let Ticks { major, minor } = log_ticks(exponents(-range.hi, -range.lo), most);
        let major = major.into_iter().rev().map(|(at, label)| (1.0 - at, format!("−{label}")));
        return Ticks { major: major.collect(), minor: minor.into_iter().rev().map(|at| 1.0 - at).collect() };
    }
    let scale = Scale::SymLog(linear);
    let (first, last) = ((range.lo - 1e-9).ceil() as i32, (range.hi + 1e-9).floor() as i32);
    if last - first < 2 {
        let value = |t: f64| {
            let size = if t.abs() < 1.0 {
                t.abs() * scaled(1, linear)
            } else {
                10_f64.powf(t.abs() - 1.0 + f64::from(linear))
            };
            size.copysign(t)
        };
        let values = Range { lo: value(range.lo), hi: value(range.hi) };
        return linear_ticks(values, range, |v| scale.place(v).unwrap_or(f64::NAN), most);
    }
    // Positions are whole numbers: zero, and n for the n-th power of ten from the linear part on.
    let exponent = |n: i32| linear + n.abs() - 1;
    // The labels nearest to zero keep the distance of the others.
    let shown = |n: i32, stride: i32| n == 0 || n.abs() >= stride && exponent(n).rem_euclid(stride) == 0;
    let fits = |stride: &i32| (first..=last).filter(|&n| shown(n, *stride)).count() <= most;
    let stride = [1, 2, 3, 4, 5, 10, 20, 50, 100].into_iter().find(fits).unwrap_or(200);
    let label = |n: i32| match n {
        0 => "0".to_owned(),
        n => format!("{}{}", if n < 0 { "−" } else { "" }, power_of_ten(exponent(n))),
    };
    let (major, between): (Vec<i32>, Vec<i32>) = (first..=last).partition(|&n| shown(n, stride));
    let minor = if stride == 1 && last - first <= 10 {
        let longest = first.abs().max(last.abs());
        let tenth = f64::from(linear - 1);
        let sizes =
            digit_positions(Range { lo: tenth, hi: tenth + f64::from(longest + 1) }, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let sizes = sizes.into_iter().filter(|&(digit, e)| digit > 1 || e < linear);
        let values = sizes.flat_map(|(digit, e)| [-1, 1].map(|sign| scaled(sign * digit, e)));
        let places = values.filter_map(|v| scale.place(v)).filter(|t| (range.lo..=range.hi).contains(t));
        places.map(|t| range.fraction(t)).collect()
    } else if last - first <= 40 {
        between.into_iter().map(|n| range.fraction(f64::from(n))).collect()
    } else {
        Vec::new()
    };
    Ticks { major: major.into_iter().map(|n| (range.fraction(f64::from(n)), label(n))).collect(), minor }
}

fn decade_ticks(range: Range, first: i32, last: i32, most: usize) -> Ticks {
    let multiples = |stride: i32| (first..=last).filter(move |e| e.rem_euclid(stride) == 0);
    let strides = [1, 2, 3, 5, 10, 20, 50, 100];
    let fitting = strides.into_iter().find(|&s| multiples(s).count() <= most);
    let stride = fitting.unwrap_or(200);
    let at = |digit: i64, e: i32| range.fraction((digit as f64).log10() + f64::from(e));
    let minor = if stride == 1 && last - first <= 10 {
        let digits = digit_positions(range, &[2, 3, 4, 5, 6, 7, 8, 9]);
        digits.into_iter().map(|(digit, e)| at(digit, e)).collect()
    } else if last - first <= 40 {
        let between = (first..=last).filter(|e| e.rem_euclid(stride) != 0);
        between.map(|e| at(1, e)).collect()
    } else {
        Vec::new()
    };
    Ticks { major: multiples(stride).map(|e| (at(1, e), power_of_ten(e))).collect(), minor }
}

/// All `digit * 10^e` within a range of exponents, in order.
fn digit_positions(range: Range, digits: &[i64]) -> Vec<(i64, i32)> {
    let (first, last) = (range.lo.floor() as i32, range.hi.ceil() as i32);
    let all = (first..=last).flat_map(|e| digits.iter().map(move |&d| (d, e)));
    all.filter(|&(d, e)| {
        let t = (d as f64).log10() + f64::from(e);
        range.lo - 1e-9 <= t && t <= range.hi + 1e-9
    })
    .collect()
}

/// Labels of `n * 10^e` for each n, with as many decimals as the step needs; a power of ten is
/// split off only where plain digits would be long.
fn decimal_labels(counts: &[i64], e: i32) -> Vec<String> {
    let largest = counts.iter().map(|n| n.unsigned_abs()).max().unwrap_or(0);
    let top = e + largest.checked_ilog10().unwrap_or(0) as i32;
    if (-3..7).contains(&top) && e >= -9 {
        return counts.iter().map(|&n| fixed(n, e)).collect();
    }
    let label = |&n: &i64| match n {
        0 => "0".to_owned(),
        n => format!("{}×{}", fixed(n, e - top), power_of_ten(top)),
    };
    counts.iter().map(label).collect()
}

/// `n * 10^e` in plain digits: real minus sign, commas from 10,000 on.
fn fixed(n: i64, e: i32) -> String {
    let digits = n.unsigned_abs().to_string();
    let decimals = e.min(0).unsigned_abs() as usize;
    let zeros = if n == 0 { 0 } else { e.max(0) as usize };
    let padded = format!("{digits:0>width$}{}", "0".repeat(zeros), width = decimals + 1);
    let (whole, fraction) = padded.split_at(padded.len() - decimals);
    let sign = if n < 0 { "−" } else { "" };
    let point = if decimals > 0 { "." } else { "" };
    let whole = if whole.len() < 5 { whole.to_owned() } else { grouped(whole) };
    format!("{sign}{whole}{point}{fraction}")
}

fn grouped(whole: &str) -> String {
    let mut out = String::new();
    for (i, digit) in whole.chars().enumerate() {
        let left = whole.len() - i;
        if i > 0 && left.is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn power_of_ten(e: i32) -> String {
    let raised = e.to_string();
    let raised = raised.chars().map(|c| match c.to_digit(10) {
        Some(d) => ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'][d as usize],
        None => '⁻',
    });
    "10".chars().chain(raised).collect()
}

/// A label for each cell of a row, or for every second, third, ... where they would be too close;
/// `room` gives the width of a label from the distance between two.
fn named_ticks(names: &[String], length: f64, room: impl Fn(f64) -> f64) -> Ticks {
    let count = names.len() as f64;
    let stride = (2.0 * TICK_LABEL.size * count / length).ceil().max(1.0) as usize;
    let room = room(length / count * stride as f64);
    let tick = |(i, name): (usize, &String)| ((i as f64 + 0.5) / count, shortened(&clean(name), TICK_LABEL, room));
    Ticks { major: names.iter().enumerate().step_by(stride).map(tick).collect(), minor: Vec::new() }
}

/// The densest ticks whose labels keep clear of each other on an axis of this length;
/// `extent` gives the room that a label takes along the axis.
fn fitting_ticks(scale: Scale, range: Range, length: f64, densest: usize, extent: impl Fn(&str) -> f64) -> Ticks {
    let fits = |ticks: &Ticks| {
        let room: Vec<(f64, f64)> = ticks.major.iter().map(|(at, label)| (at * length, extent(label) / 2.0)).collect();
        room.windows(2).all(|w| w[1].0 - w[0].0 >= w[0].1 + w[1].1)
    };
    let choices = (2..=densest).rev().map(|most| scale.ticks(range, most));
    let mut fitting = choices.filter(fits);
    fitting.next().unwrap_or_else(|| scale.ticks(range, 1))
}

// ---------------------------------------------------------------------------------------------
// Geometry, in drawing units with y downwards
// ---------------------------------------------------------------------------------------------

type Pt = (f64, f64);

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Rect {
    x0: f64,
    y0: f64,
    x1: f64,
    y1: f64,
}

impl Rect {
    fn width(self) -> f64 {
        self.x1 - self.x0
    }

    fn height(self) -> f64 {
        self.y1 - self.y0
    }

    fn center(self) -> Pt {
        (f64::midpoint(self.x0, self.x1), f64::midpoint(self.y0, self.y1))
    }

    fn grown(self, by: f64) -> Self {
        Self { x0: self.x0 - by, y0: self.y0 - by, x1: self.x1 + by, y1: self.y1 + by }
    }

    fn contains(self, (x, y): Pt) -> bool {
        (self.x0..=self.x1).contains(&x) && (self.y0..=self.y1).contains(&y)
    }

    fn overlaps(self, other: Self) -> bool {
        self.x0 <= other.x1 && other.x0 <= self.x1 && self.y0 <= other.y1 && other.y0 <= self.y1
    }

    /// The part of a segment inside (Liang and Barsky, 1984).
    fn clip(self, a: Pt, b: Pt) -> Option<(Pt, Pt)> {
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let (mut enter, mut leave) = (0.0_f64, 1.0_f64);
        let sides = [(-dx, a.0 - self.x0), (dx, self.x1 - a.0), (-dy, a.1 - self.y0), (dy, self.y1 - a.1)];
        for (p, q) in sides {
            if p == 0.0 {
                if q < 0.0 {
                    return None;
                }
            } else if p < 0.0 {
                enter = enter.max(q / p);
            } else {
                leave = leave.min(q / p);
            }
        }
        let at = |t: f64| (a.0 + t * dx, a.1 + t * dy);
        (enter <= leave).then(|| (at(enter), at(leave)))
    }
}

/// Fewer points for the same picture: of the points that follow each other within a column of
/// the given width, only the first, the lowest, the highest and the last, in their order.
fn thinned(run: &[Pt], column: f64) -> Vec<Pt> {
    let mut out = Vec::new();
    for group in run.chunk_by(|a, b| (a.0 / column).floor() == (b.0 / column).floor()) {
        let by_y = |&i: &usize, &j: &usize| group[i].1.total_cmp(&group[j].1);
        let low = (0..group.len()).min_by(by_y).unwrap_or(0);
        let high = (0..group.len()).max_by(by_y).unwrap_or(0);
        let mut kept = [0, low, high, group.len() - 1];
        kept.sort_unstable();
        let mut previous = None;
        for i in kept {
            if previous != Some(i) {
                out.push(group[i]);
            }
            previous = Some(i);
        }
    }
    out
}

/// On whole units, without repeated points and without those on a straight way.
fn rounded(run: &[Pt]) -> Vec<(i32, i32)> {
    let mut out: Vec<(i32, i32)> = Vec::with_capacity(run.len());
    for &p in run {
        let p = whole(p);
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

fn whole((x, y): Pt) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}

/// One point per grid cell, in the finest grid that leaves at most `MAX_DISCS`.
fn sparse(points: &[Pt]) -> Vec<Pt> {
    let mut cell = DOT;
    loop {
        let mut seen = std::collections::HashSet::new();
        let key = |p: &Pt| ((p.0 / cell).floor() as i64, (p.1 / cell).floor() as i64);
        let kept: Vec<Pt> = points.iter().copied().filter(|p| seen.insert(key(p))).collect();
        if kept.len() <= MAX_DISCS || cell > INCH {
            return kept;
        }
        cell *= 1.25;
    }
}

impl Contours {
    /// Round values evenly spaced on a log scale between the lowest and the highest positive value of `z`,
    /// each with its number: 1, 2 and 5 in every decade, or fewer where those would be too many to read.
    #[must_use]
    pub fn log_levels(z: &[f64]) -> Vec<(f64, String)> {
        let positive = || z.iter().copied().filter(|z| z.is_finite() && *z > 0.0);
        let (low, high) = (positive().fold(f64::INFINITY, f64::min), positive().fold(0.0, f64::max));
        let decades = || (low.log10().floor().max(-300.0) as i32)..=(high.log10().ceil().min(300.0) as i32);
        let levels = |digits: &[u32], every: usize| -> Vec<(f64, String)> {
            if low > high {
                return Vec::new();
            }
            let values = decades().step_by(every).flat_map(|power| digits.iter().map(move |d| format!("{d}e{power}")));
            let values = values.filter_map(|text| text.parse::<f64>().ok()).filter(|v| low < *v && *v < high);
            let text = |v: f64| if (1e-4..1e6).contains(&v) { v.to_string() } else { format!("{v:e}") };
            values.map(|value| (value, text(value))).collect()
        };
        let choices: [(&[u32], usize); 3] = [(&[1, 2, 5], 1), (&[1, 3], 1), (&[1], 1)];
        let few = choices.into_iter().map(|(digits, every)| levels(digits, every));
        let few = few.chain((2..=600).map(|every| levels(&[1], every)));
        few.into_iter().find(|levels| levels.len() <= MOST_LOG_LEVELS).unwrap_or_default()
    }

    fn nodes(&self) -> Vec<(f64, f64)> {
        self.y.iter().flat_map(|&y| self.x.iter().map(move |&x| (x, y))).collect()
    }

    /// The lines along which the function has this value, in data units (marching squares).
    fn lines(&self, level: f64) -> Vec<Vec<(f64, f64)>> {
        let links = self.links(level);
        let mut seen = BTreeSet::new();
        let mut lines = Vec::new();
        // Lines that end at the border, then those that close.
        let ends = links.iter().filter(|(_, next)| next.len() == 1);
        for &start in ends.chain(&links).map(|(edge, _)| edge) {
            if !seen.insert(start) {
                continue;
            }
            let mut way = vec![start];
            let mut at = start;
            while let Some(&next) = links[&at].iter().find(|&&next| seen.insert(next)) {
                way.push(next);
                at = next;
            }
            if way.len() > 2 && links[&at].contains(&start) {
                way.push(start);
            }
            lines.push(way.into_iter().map(|edge| self.crossing(edge, level)).collect());
        }
        lines
    }

    /// The outline of where the function is at least this, in data units: all its parts and holes in one,
    /// joined by ways there and back, with the area on the left; empty where it nowhere is.
    fn area(&self, level: f64) -> Vec<(f64, f64)> {
        // A border of low values in the outermost places closes all lines.
        let framed = |at: &[f64]| at.first().into_iter().chain(at).chain(at.last()).copied().collect::<Vec<_>>();
        let (width, low) = (self.x.len(), f64::MIN);
        let row = |z: &[f64]| {
            let inside = z.iter().map(|z| if z.is_nan() { low } else { z.clamp(f64::MIN, f64::MAX) });
            [low].into_iter().chain(inside).chain([low]).collect::<Vec<_>>()
        };
        let border = || vec![low; width + 2];
        let rows = [border()].into_iter().chain(self.z.chunks(width).map(row)).chain([border()]);
        let framed = Self { x: framed(&self.x), y: framed(&self.y), z: rows.flatten().collect(), levels: Vec::new() };
        let mut next: BTreeMap<usize, usize> = framed.segments(level).into_iter().collect();
        let mut outline: Vec<usize> = Vec::new();
        while let Some((start, mut at)) = next.pop_first() {
            outline.push(start);
            loop {
                outline.push(at);
                match next.remove(&at) {
                    Some(further) => at = further,
                    None => break,
                }
            }
            outline.extend(outline.first().copied());
        }
        outline.into_iter().map(|edge| framed.crossing(edge, level)).collect()
    }

    /// For each edge of the grid that a line crosses, the one or two where it crosses next.
    fn links(&self, level: f64) -> BTreeMap<usize, Vec<usize>> {
        let mut links: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (a, b) in self.segments(level) {
            links.entry(a).or_default().push(b);
            links.entry(b).or_default().push(a);
        }
        links
    }

    /// From edge to edge of the grid, one way across a cell, with the higher values on the left. Edges
    /// count by the node where they start: even ones run along x, odd ones along y.
    fn segments(&self, level: f64) -> Vec<(usize, usize)> {
        let width = self.x.len();
        let mut segments = Vec::new();
        let cells = (1..self.y.len()).flat_map(|row| (1..width).map(move |column| (row - 1) * width + column - 1));
        for node in cells {
            let corners = [node, node + 1, node + width + 1, node + width].map(|i| self.z[i]);
            if corners.iter().any(|z| !z.is_finite()) {
                continue;
            }
            let above = corners.map(|z| z >= level);
            let edges = [2 * node, 2 * (node + 1) + 1, 2 * (node + width), 2 * node + 1];
            let crossed: Vec<usize> = (0..4).filter(|&i| above[i] != above[(i + 1) % 4]).collect();
            // At a saddle, the value in the middle tells which corners hang together.
            let middle = corners.iter().map(|z| z / 4.0).sum::<f64>() >= level;
            let pairs = match crossed[..] {
                [a, b] => vec![(a, b)],
                [a, b, c, d] if middle == above[0] => vec![(a, b), (c, d)],
                [a, b, c, d] => vec![(d, a), (b, c)],
                _ => vec![],
            };
            // Corners and edges go round to the left: behind a high corner the way leads into the cell.
            let directed = pairs.into_iter().map(|(a, b)| if above[a] { (a, b) } else { (b, a) });
            segments.extend(directed.map(|(a, b)| (edges[a], edges[b])));
        }
        segments
    }

    fn crossing(&self, edge: usize, level: f64) -> (f64, f64) {
        let width = self.x.len();
        let a = edge / 2;
        let b = a + if edge.is_multiple_of(2) { 1 } else { width };
        let t = (level / 2.0 - self.z[a] / 2.0) / (self.z[b] / 2.0 - self.z[a] / 2.0);
        let between = |a: f64, b: f64| (1.0 - t) * a + t * b;
        (between(self.x[a % width], self.x[b % width]), between(self.y[a / width], self.y[b / width]))
    }

    /// Of a level's line, and of the area above it.
    fn colors(&self, level: usize) -> [RGBColor; 2] {
        let last = self.levels.len().saturating_sub(1).max(1);
        let share = level as f64 / last as f64;
        [shade(0.4 + 0.6 * share), shade(0.05 + 0.45 * share)]
    }
}

/// Bars on whole dots with gaps between them where they are wide enough; of those that share a
/// dot, the highest.
fn separated(bars: &[Rect]) -> Vec<Rect> {
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
fn on_dots(at: f64, width: u32) -> f64 {
    let half = f64::from(width) / 2.0;
    ((at - half) / DOT).round() * DOT + half
}

// ---------------------------------------------------------------------------------------------
// Text
// ---------------------------------------------------------------------------------------------

const FAMILY: &str = "DejaVu Sans";
const ELLIPSIS: char = '…';
/// Longer texts would be cut by the layout anyway; this bounds the work.
const MAX_CHARS: usize = 300;

fn fonts() -> &'static Arc<usvg::fontdb::Database> {
    static FONTS: OnceLock<Arc<usvg::fontdb::Database>> = OnceLock::new();
    FONTS.get_or_init(|| {
        let mut db = usvg::fontdb::Database::new();
        for face in [dejavu::sans::regular(), dejavu::sans::bold()] {
            db.load_font_source(usvg::fontdb::Source::Binary(Arc::new(face)));
        }
        db.set_sans_serif_family(FAMILY);
        Arc::new(db)
    })
}

fn options() -> usvg::Options<'static> {
    usvg::Options {
        font_family: FAMILY.to_owned(),
        fontdb: Arc::clone(fonts()),
        style_sheet: Some(STYLE.to_owned()),
        ..usvg::Options::default()
    }
}

/// On one line and without the characters that XML 1.0 forbids.
fn clean(text: &str) -> String {
    let allowed = |c: &char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    let spaced = text.split_whitespace().collect::<Vec<_>>().join(" ");
    spaced.chars().filter(allowed).collect()
}

fn escaped(text: &str) -> String {
    let text = clean(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&apos;")
}

/// Advance width in drawing units, as the renderer itself lays the text out. Remembered, since figures share most
/// of their numbers and labels, and to shape a text takes longer than to draw a curve.
fn text_width(text: &str, style: Type) -> f64 {
    type Widths = HashMap<(String, bool, u64), f64>;
    static WIDTHS: LazyLock<Mutex<Widths>> = LazyLock::new(Mutex::default);
    let widths = || WIDTHS.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (text.to_owned(), style.bold, style.size.to_bits());
    let known = widths().get(&key).copied();
    known.unwrap_or_else(|| {
        let width = shaped_width(text, style);
        widths().insert(key, width);
        width
    })
}

fn shaped_width(text: &str, style: Type) -> f64 {
    let weight = if style.bold { "bold" } else { "normal" };
    let svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg'><text font-family='{FAMILY}' \
         font-size='{}' font-weight='{weight}'>{}</text></svg>",
        style.size,
        escaped(text)
    );
    let tree = usvg::Tree::from_str(&svg, &options());
    let nodes = tree.as_ref().map_or(&[][..], |t| t.root().children());
    match nodes.first() {
        Some(usvg::Node::Text(text)) => f64::from(text.bounding_box().width()),
        _ => 0.0,
    }
}

/// The whole text if it fits, otherwise its beginning and an ellipsis.
fn shortened(text: &str, style: Type, room: f64) -> String {
    let chars: Vec<char> = text.chars().take(MAX_CHARS + 1).collect();
    if chars.len() <= MAX_CHARS && text_width(text, style) <= room {
        return text.to_owned();
    }
    let cut = |n: usize| chars[..n].iter().chain([&ELLIPSIS]).collect::<String>();
    let lengths: Vec<usize> = (0..chars.len().min(MAX_CHARS)).collect();
    let fitting = lengths.partition_point(|&n| text_width(&cut(n), style) <= room);
    cut(fitting.saturating_sub(1))
}

/// Lines of at most `room`, broken between words; what exceeds `most` lines is cut.
fn wrapped(text: &str, style: Type, room: f64, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let text: String = clean(text).chars().take(2 * MAX_CHARS).collect();
    for word in text.split(' ').filter(|w| !w.is_empty()) {
        let full = lines.len() == most;
        match lines.last_mut() {
            Some(line) if full || text_width(&format!("{line} {word}"), style) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|l| shortened(l, style, room)).collect()
}

// ---------------------------------------------------------------------------------------------
// Canvas: the few things drawn, through plotters
// ---------------------------------------------------------------------------------------------

struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

impl Canvas<'_> {
    fn fill(&self, r: Rect, color: RGBColor, alpha: f64) -> Result<()> {
        let corners = [whole((r.x0, r.y0)), whole((r.x1, r.y1))];
        let style = color.mix(alpha).filled();
        Ok(self.area.draw(&Rectangle::new(corners, style))?)
    }

    fn area(&self, outline: &[Pt], color: RGBColor, alpha: f64) -> Result<()> {
        Ok(self.area.draw(&Polygon::new(rounded(outline), color.mix(alpha).filled()))?)
    }

    fn line(&self, points: &[Pt], color: RGBColor, width: u32) -> Result<()> {
        let path = PathElement::new(rounded(points), color.stroke_width(width));
        Ok(self.area.draw(&path)?)
    }

    fn frame(&self, r: Rect, color: RGBColor) -> Result<()> {
        let corners = [(r.x0, r.y0), (r.x1, r.y0), (r.x1, r.y1), (r.x0, r.y1), (r.x0, r.y0)];
        let corners = corners.map(|(x, y)| (on_dots(x, HAIRLINE), on_dots(y, HAIRLINE)));
        self.line(&corners, color, HAIRLINE)
    }

    /// A line of one unit with round ends: the same look as a circle, in a tenth of the bytes.
    fn disc(&self, at: Pt, color: RGBColor) -> Result<()> {
        self.line(&[at, (at.0 + 1.0, at.1)], color, DISC)
    }

    /// A hollow disc, white inside.
    fn circle(&self, at: Pt, color: RGBColor, diameter: u32) -> Result<()> {
        self.round(at, color, diameter)?;
        self.round(at, WHITE, diameter - 2 * RING)
    }

    fn round(&self, at: Pt, color: RGBColor, diameter: u32) -> Result<()> {
        Ok(self.area.draw(&Circle::new(whole(at), diameter / 2, color.filled()))?)
    }

    fn cross(&self, (x, y): Pt, color: RGBColor) -> Result<()> {
        let arm = 0.42 * f64::from(DISC);
        self.line(&[(x - arm, y - arm), (x + arm, y + arm)], color, CURVE)?;
        self.line(&[(x - arm, y + arm), (x + arm, y - arm)], color, CURVE)
    }

    /// Discs or circles, small at the first point and large at the last, which lies on top.
    fn growing(&self, points: &[Pt], draw: impl Fn(Pt, u32) -> Result<()>) -> Result<()> {
        let (small, large) = PATH_DISCS;
        let last = points.len().saturating_sub(1);
        points.iter().enumerate().try_for_each(|(i, &at)| {
            let age = (last - i) as f64 / last.max(1) as f64;
            draw(at, (large - age * (large - small)).round() as u32)
        })
    }

    /// Pale bars with a line where they end, so that one shows behind another.
    fn bars(&self, bars: &[Rect], base: f64, color: RGBColor) -> Result<()> {
        bars.iter().try_for_each(|&bar| self.fill(bar, color, BAR_ALPHA))?;
        bars.iter().try_for_each(|bar| {
            let end = on_dots(if bar.y1 < base + 0.5 { bar.y0 } else { bar.y1 }, AXIS_LINE);
            self.line(&[(bar.x0, end), (bar.x1, end)], color, AXIS_LINE)
        })
    }

    /// Text on a baseline through `at`.
    fn text(&self, text: &str, style: Type, at: Pt, anchor: HPos) -> Result<()> {
        self.write(text, style, (at.0, at.1 - 0.76 * style.size), anchor, FontTransform::None)
    }

    /// Text that reads upwards, centered on `at`, with its baseline to the right of the letters.
    fn text_upwards(&self, text: &str, style: Type, at: Pt) -> Result<()> {
        let origin = (at.0 - 0.76 * style.size, at.1);
        self.write(text, style, origin, HPos::Center, FontTransform::Rotate270)
    }

    /// The backend writes the baseline 0.76 em below (before rotation) an origin "at the top",
    /// and divides sizes by 1.24.
    fn write(&self, text: &str, style: Type, origin: Pt, anchor: HPos, transform: FontTransform) -> Result<()> {
        let weight = if style.bold { FontStyle::Bold } else { FontStyle::Normal };
        let font = (FontFamily::Name(FAMILY), style.size * 1.24, weight);
        let style = TextStyle::from(font).color(&style.ink).transform(transform).pos(Pos::new(anchor, VPos::Top));
        Ok(self.area.draw(&Text::new(clean(text), whole(origin), style))?)
    }

    /// One run of a series.
    fn stroke(&self, run: &[Pt], color: RGBColor, width: u32) -> Result<()> {
        // A line of no length has no ink: a lone point shows as a dot.
        let first = whole(run[0]);
        if run.iter().all(|&p| whole(p) == first) {
            return self.disc(run[0], color);
        }
        self.line(&thinned(run, 2.0 * DOT), color, width)
    }

    /// A thin line through points in any order. Thinning joins only what follows each other within
    /// a column, so it keeps the order.
    fn trail(&self, run: &[Pt], color: RGBColor) -> Result<()> {
        self.line(&thinned(run, 2.0 * DOT), color, AXIS_LINE)
    }

    /// The area between the points of even and of odd position.
    fn band(&self, run: &[Pt], color: RGBColor) -> Result<()> {
        let [lower, upper] = edges(run).map(|edge| thinned(&edge, 2.0 * DOT));
        let outline: Vec<Pt> = lower.into_iter().chain(upper.into_iter().rev()).collect();
        self.area(&outline, color, BAND_ALPHA)?;
        // A lone interval would have no width.
        if run.len() == 2 { self.line(run, color, CURVE) } else { Ok(()) }
    }
}

/// The lower and the upper edge of a band.
fn edges(run: &[Pt]) -> [Vec<Pt>; 2] {
    [0, 1].map(|edge| run.iter().skip(edge).step_by(2).copied().collect())
}

// ---------------------------------------------------------------------------------------------
// Layout
// ---------------------------------------------------------------------------------------------

/// Where a panel's legend goes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Nowhere,
    Inside(Rect),
    Right,
    Below,
}

/// A side of a panel with what is written along it; a vertical one has the series it measures.
struct Edge<'a> {
    name: &'a str,
    steps: Steps<'a>,
    series: &'a [Series],
    range: Range,
    label: Vec<String>,
    ticks: Ticks,
}

#[derive(Clone, Copy)]
enum Steps<'a> {
    Scale(Scale),
    Names(&'a [String]),
}

impl<'a> Edge<'a> {
    fn measured(axis: &'a Axis, series: &'a [Series], data: Option<Range>, air: f64) -> Self {
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

    fn named(name: &'a str, names: &'a [String]) -> Self {
        let (label, ticks) = (Vec::new(), Ticks::default());
        Self { name, steps: Steps::Names(names), series: &[], range: Range { lo: 0.0, hi: 1.0 }, label, ticks }
    }

    fn place(&self, v: f64) -> Option<f64> {
        match self.steps {
            Steps::Scale(scale) => scale.place(v),
            Steps::Names(_) => None,
        }
    }

    /// Where bars stand.
    fn base(&self) -> f64 {
        self.place(0.0).unwrap_or(self.range.lo)
    }

    fn label_depth(&self) -> f64 {
        match LABEL.block(self.label.len()) {
            label if label > 0.0 => label + 1.5 * GAP,
            _ => 0.0,
        }
    }

    /// Of a vertical side, from the plot's edge to the far end of the widest tick label.
    fn reach(&self) -> f64 {
        let widths = self.ticks.major.iter().map(|(_, t)| text_width(t, TICK_LABEL) + GAP + TICK);
        widths.fold(0.0, f64::max)
    }

    fn depth(&self) -> f64 {
        self.reach() + self.label_depth()
    }

    /// What stands along a vertical side.
    fn settle(&mut self, height: f64, room: f64) {
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
struct Plan<'a> {
    panel: &'a Panel,
    cell: Rect,
    plot: Rect,
    heading: Vec<String>,
    heading_type: Type,
    x: Edge<'a>,
    /// Left, and right where there is one.
    y: Vec<Edge<'a>>,
    empty: bool,
    legend: LegendBox,
    place: Place,
}

impl<'a> Plan<'a> {
    fn new(panel: &'a Panel, heading: &str, heading_type: Type, cell: Rect) -> Self {
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
    fn height(&self, plot: f64) -> f64 {
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
    fn curves(&self) -> impl Iterator<Item = (&'a Series, &Edge<'a>)> {
        self.y.iter().flat_map(|side| side.series.iter().map(move |s| (s, side)))
    }

    fn top(&self) -> f64 {
        let heading = self.heading_type.block(self.heading.len());
        MARGIN + heading + if heading > 0.0 { 2.0 * GAP } else { 0.0 }
    }

    /// From the plot's lower edge to the end of the axis label.
    fn below_plot(&self) -> f64 {
        match self.panel.content {
            Content::Images(_) => 0.0,
            _ => TICK + GAP + TICK_LABEL.cap() + self.x.label_depth(),
        }
    }

    fn bottom(&self) -> f64 {
        let legend = match self.place {
            Place::Below => self.legend.rows(self.cell).height + GAP,
            _ => 0.0,
        };
        self.below_plot() + legend + MARGIN
    }

    fn left(&self) -> f64 {
        MARGIN + self.y[0].depth()
    }

    /// From the plot's right edge to the end of its axis label, if it has one.
    fn right_depth(&self) -> f64 {
        self.y.get(1).map_or(0.0, Edge::depth)
    }

    /// Right margin, given the left one: room for the last label's overhang, the axis and the legend.
    fn right(&self, left: f64) -> f64 {
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

    fn ticks_along_x(&self, width: f64) -> Ticks {
        match self.x.steps {
            Steps::Scale(scale) => {
                fitting_ticks(scale, self.x.range, width, 8, |t| text_width(t, TICK_LABEL) + 1.4 * TICK_LABEL.size)
            }
            Steps::Names(names) => named_ticks(names, width, |pitch| pitch - 0.5 * TICK_LABEL.size),
        }
    }

    /// The drawable stretches of a series, in drawing units.
    fn runs(&self, series: &Series, y: &Edge) -> Vec<Vec<Pt>> {
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
    fn bars(&self, series: &Series, y: &Edge) -> Vec<Rect> {
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

    fn height_of(&self, t: f64, y: &Edge) -> f64 {
        self.plot.y1 - y.range.fraction(t) * self.plot.height()
    }

    fn all_bars(&self) -> impl Iterator<Item = Rect> {
        let histograms = self.curves().filter(|(series, _)| series.mark == Mark::Bars);
        histograms.flat_map(|(series, y)| self.bars(series, y))
    }

    /// The vertical lines that the axis can show, with their labels.
    fn rules(&self) -> Vec<(f64, &'a str)> {
        let Content::Plot(Plot { rules, .. }) = &self.panel.content else { return Vec::new() };
        let placed = rules.iter().filter_map(|(at, label)| Some((self.x.place(*at)?, &**label)));
        placed.map(|(t, label)| (self.across(self.x.range.fraction(t), RULE), label)).collect()
    }

    /// The labels of the vertical lines, beside them: each in the highest row where it is clear of
    /// the others, and of other lines if it can be.
    fn rule_labels(&self) -> Vec<(Rect, String)> {
        let (plot, lines) = (self.plot, self.rules());
        let height = RULE_LABEL.cap();
        let mut placed: Vec<(Rect, String)> = Vec::new();
        for (x, label) in &lines {
            let label = shortened(&clean(label), RULE_LABEL, 0.45 * plot.width());
            if label.is_empty() {
                continue;
            }
            let width = text_width(&label, RULE_LABEL);
            let rows = (0..).map(|row| plot.y0 + GAP + f64::from(row) * RULE_LABEL.line());
            let rows = rows.take_while(|y0| y0 + height <= plot.y1);
            let beside = |y0| [x + GAP, x - GAP - width].map(|x0| Rect { x0, y0, x1: x0 + width, y1: y0 + height });
            let clear = |r: &Rect| {
                let inside = plot.x0 <= r.x0 && r.x1 <= plot.x1;
                inside && !placed.iter().any(|(other, _)| r.grown(GAP).overlaps(*other))
            };
            let spots: Vec<Rect> = rows.flat_map(beside).filter(clear).collect();
            let uncrossed = |r: &&Rect| !lines.iter().any(|(line, _)| (r.x0..=r.x1).contains(line));
            if let Some(&spot) = spots.iter().find(uncrossed).or(spots.first()) {
                placed.push((spot, label));
            }
        }
        placed
    }

    fn contours(&self) -> Option<&'a Contours> {
        match &self.panel.content {
            Content::Plot(plot) => plot.contours.as_ref(),
            _ => None,
        }
    }

    /// The lines of a level, in drawing units.
    fn level_lines(&self, contours: &Contours, level: f64) -> Vec<Vec<Pt>> {
        let lines = contours.lines(level).into_iter().map(|line| Series::new("", Color::Ink, line));
        lines.flat_map(|line| self.runs(&line, &self.y[0])).collect()
    }

    /// What is written on the level lines: each once, on its longest line, where it is clear of the
    /// other labels and of the curves if it can be.
    fn level_labels(&self) -> Vec<(Rect, String)> {
        let mut placed: Vec<(Rect, String)> = Vec::new();
        let Some(contours) = self.contours() else { return placed };
        let rules = self.rule_labels();
        let curves: Vec<Vec<Pt>> = self.shapes().collect();
        let spread = |line: &Vec<Pt>| line.windows(2).map(|w| (w[1].0 - w[0].0).hypot(w[1].1 - w[0].1)).sum::<f64>();
        for (level, label) in &contours.levels {
            let label = shortened(&clean(label), LEVEL, 0.2 * self.plot.width());
            let lines = self.level_lines(contours, *level);
            let longest = lines.iter().max_by(|a, b| spread(a).total_cmp(&spread(b)));
            let Some(line) = longest.filter(|_| !label.is_empty()) else { continue };
            let half = (text_width(&label, LEVEL) / 2.0 + GAP / 2.0, LEVEL.cap() / 2.0 + GAP / 2.0);
            let spot = |&(x, y): &Pt| Rect { x0: x - half.0, y0: y - half.1, x1: x + half.0, y1: y + half.1 };
            let clear = |r: &Rect| {
                let inside = self.plot.contains((r.x0, r.y0)) && self.plot.contains((r.x1, r.y1));
                inside && !placed.iter().chain(&rules).any(|(other, _)| r.overlaps(*other))
            };
            // Rather not at an end of the line.
            let (start, rest) = line.split_at(line.len() / 3);
            let along = rest.iter().chain(start).step_by(line.len().div_ceil(32));
            let spots: Vec<Rect> = along.map(spot).filter(clear).collect();
            let free = |r: &&Rect| !curves.iter().any(|curve| touches(curve, **r));
            if let Some(&spot) = spots.iter().find(free).or(spots.first()) {
                placed.push((spot, label));
            }
        }
        placed
    }

    /// The curves that the legend must not cover; a band counts with its edges and a line to and fro.
    fn shapes(&self) -> impl Iterator<Item = Vec<Pt>> {
        self.curves().filter(|(series, _)| series.mark != Mark::Bars).flat_map(|(series, y)| {
            let runs = self.runs(series, y);
            let outlines =
                if series.mark == Mark::Band { runs.iter().flat_map(|r| edges(r)).collect() } else { vec![] };
            runs.into_iter().chain(outlines)
        })
    }

    /// In the first corner or edge where it covers no data, otherwise outside.
    fn find_place(&self) -> Place {
        if self.legend.entries.is_empty() {
            return Place::Nowhere;
        }
        let size = self.legend.column();
        let (width, height) = (size.width, size.height);
        let small = width <= 0.6 * self.plot.width() && height <= 0.6 * self.plot.height();
        let runs: Vec<Vec<Pt>> = self.shapes().collect();
        let labels = self.rule_labels().into_iter().chain(self.level_labels());
        let boxes: Vec<Rect> = self.all_bars().chain(labels.map(|l| l.0)).collect();
        let free = |r: &Rect| {
            let guarded = r.grown(f64::from(DISC));
            !runs.iter().any(|run| touches(run, guarded)) && !boxes.iter().any(|b| b.overlaps(guarded))
        };
        let spots = inner_spots(self.plot, width, height);
        if let Some(spot) = spots.into_iter().find(|s| small && free(s)) {
            return Place::Inside(spot);
        }
        // Between the plot and its right axis there is no room, and beyond it too little is left.
        let beside = self.y.len() == 1 && width <= 0.33 * self.cell.width() && height <= self.plot.height();
        if beside { Place::Right } else { Place::Below }
    }

    fn is_outside(&self) -> bool {
        matches!(self.place, Place::Right | Place::Below)
    }
}

/// Whether a polyline, or a lone point, reaches into a box.
fn touches(run: &[Pt], area: Rect) -> bool {
    let mut pairs = run.windows(2);
    run.iter().any(|&p| area.contains(p)) || pairs.any(|w| area.clip(w[0], w[1]).is_some())
}

/// Where a box of this size may stand in a plot, best first.
fn inner_spots(plot: Rect, width: f64, height: f64) -> Vec<Rect> {
    let inner = plot.grown(-1.5 * GAP);
    let (right, left) = (inner.x1 - width, inner.x0);
    let (top, bottom) = (inner.y0, inner.y1 - height);
    let (middle_x, middle_y) = (f64::midpoint(left, right), f64::midpoint(top, bottom));
    let corners = [
        (right, top),
        (left, top),
        (right, bottom),
        (left, bottom),
        (middle_x, top),
        (middle_x, bottom),
        (right, middle_y),
        (left, middle_y),
    ];
    let spot = |(x0, y0)| Rect { x0, y0, x1: x0 + width, y1: y0 + height };
    corners.into_iter().map(spot).collect()
}

/// The ranges of all points that both axes can show; bars reach to zero where it has a place.
fn data_bounds(x: Scale, y: Scale, series: &[Series]) -> Option<(Range, Range)> {
    let feet = |s: &&Series| s.mark == Mark::Bars;
    let feet = series.iter().filter(feet).flat_map(|s| &s.points).map(|p| (p.0, 0.0));
    let points = series.iter().flat_map(|s| &s.points).copied().chain(feet);
    let placed = points.filter_map(|(px, py)| x.place(px).zip(y.place(py)));
    let ranges = placed.map(|(x, y)| (Range { lo: x, hi: x }, Range { lo: y, hi: y }));
    ranges.reduce(|a, b| (a.0.union(b.0), a.1.union(b.1)))
}

/// Legend entries and the room they take.
struct LegendBox {
    entries: Vec<Entry>,
}

struct Entry {
    color: Color,
    marks: Vec<Mark>,
    label: String,
    width: f64,
}

/// How the entries of a legend stand.
struct Arrangement {
    /// Left edges of the columns; entries follow each other row by row.
    columns: Vec<f64>,
    shown: usize,
    width: f64,
    height: f64,
}

impl LegendBox {
    const ROW: f64 = 1.4 * LEGEND.size;
    const COLUMN_GAP: f64 = 4.0 * GAP;

    fn new(sides: &[Edge], cell: Rect) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        for (i, series) in sides.iter().enumerate().flat_map(|(i, side)| side.series.iter().map(move |s| (i, s))) {
            let label = clean(&series.label);
            if label.is_empty() {
                continue;
            }
            let side = if i == 1 { " (right)" } else { "" };
            let room = 0.55 * cell.width() - text_width(side, LEGEND);
            let label = shortened(&label, LEGEND, room) + side;
            match entries.iter_mut().find(|e| e.label == label && e.color == series.color) {
                Some(twin) if twin.marks.contains(&series.mark) => {}
                Some(twin) => twin.marks.push(series.mark),
                None => {
                    let width = text_width(&label, LEGEND);
                    entries.push(Entry { color: series.color, marks: vec![series.mark], label, width });
                }
            }
        }
        Self { entries }
    }

    /// All entries under each other.
    fn column(&self) -> Arrangement {
        Arrangement {
            columns: vec![0.0],
            shown: self.entries.len(),
            width: self.widths(1).iter().sum::<f64>() + 2.0 * LEGEND_PAD,
            height: self.entries.len() as f64 * Self::ROW + LEGEND_PAD,
        }
    }

    /// In as few rows as the cell's width allows, and at most two fifths of its height.
    fn rows(&self, cell: Rect) -> Arrangement {
        let count = self.entries.len().max(1);
        let total = |columns: usize| {
            let gaps = (columns - 1) as f64 * Self::COLUMN_GAP;
            self.widths(columns).iter().sum::<f64>() + gaps
        };
        let fits = |columns: &usize| total(*columns) <= cell.width() - 2.0 * MARGIN;
        let most = (1..=count.min(12)).rev().find(fits).unwrap_or(1);
        // Four entries stand better in two rows of two than of three and one.
        let balanced = count.div_ceil(count.div_ceil(most));
        let columns = if fits(&balanced) { balanced } else { most };
        let most_rows = ((0.4 * cell.height() / Self::ROW) as usize).max(1);
        let shown = self.entries.len().min(columns * most_rows);
        let edges = self.widths(columns).into_iter().scan(0.0, |x, width| {
            let left = *x;
            *x += width + Self::COLUMN_GAP;
            Some(left)
        });
        Arrangement {
            columns: edges.collect(),
            shown,
            width: total(columns),
            height: shown.div_ceil(columns) as f64 * Self::ROW,
        }
    }

    /// Widths of so many columns, filled row by row.
    fn widths(&self, columns: usize) -> Vec<f64> {
        let mut widths = vec![0.0_f64; columns];
        for (i, entry) in self.entries.iter().enumerate() {
            let width = &mut widths[i % columns];
            *width = width.max(SAMPLE + 1.5 * GAP + entry.width);
        }
        widths
    }
}

impl Figure {
    /// Everything through plotters; gives its SVG, in drawing units.
    fn draw(&self) -> Result<String> {
        ensure!(!self.panels.is_empty(), "figure {:?} has no panel", self.name);
        ensure!(
            self.panels.len() <= MAX_PANELS,
            "figure {:?} has {} panels; at most {MAX_PANELS} fit",
            self.name,
            self.panels.len()
        );
        for (i, panel) in self.panels.iter().enumerate() {
            panel.check().with_context(|| format!("panel {i} {:?}", panel.title))?;
        }
        let (header, plans) = self.plan();
        let ends = plans.iter().map(|p| (p.cell.x1, p.cell.y1));
        let (x1, y1) = ends.fold((0.0, 0.0), |r: Pt, e| (r.0.max(e.0), r.1.max(e.1)));
        ensure!(y1 <= MAX_HEIGHT, "too high a figure");
        let whole_area = Rect { x1, y1, ..Rect::default() };
        let size = whole((x1, y1));
        let mut svg = String::new();
        {
            let backend = SVGBackend::with_string(&mut svg, (size.0 as u32, size.1 as u32));
            let canvas = Canvas { area: backend.into_drawing_area() };
            canvas.fill(whole_area, WHITE, 1.0)?;
            let center = whole_area.center().0;
            draw_lines(&canvas, &header, TITLE, center, MARGIN)?;
            for plan in &plans {
                plan.draw(&canvas)?;
            }
            canvas.area.present()?;
        }
        Ok(svg)
    }

    /// Places for all panels; the heading of a lone panel is the figure's title, several panels
    /// get it above them as a header.
    fn plan(&self) -> (Vec<String>, Vec<Plan<'_>>) {
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
fn arrange(plans: &mut [Plan], columns: usize) {
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
fn settle_legends(plans: &mut [Plan]) -> bool {
    let mut moved = false;
    for plan in plans.iter_mut().filter(|p| !p.is_outside()) {
        plan.place = plan.find_place();
        moved |= plan.is_outside();
    }
    moved
}

// ---------------------------------------------------------------------------------------------
// Drawing a panel
// ---------------------------------------------------------------------------------------------

/// Lines of text under each other, centered, starting at `top`.
fn draw_lines(canvas: &Canvas, lines: &[String], style: Type, x: f64, top: f64) -> Result<()> {
    let mut baseline = top + style.cap();
    for line in lines {
        canvas.text(line, style, (x, baseline), HPos::Center)?;
        baseline += style.line();
    }
    Ok(())
}

impl Plan<'_> {
    fn draw(&self, canvas: &Canvas) -> Result<()> {
        match &self.panel.content {
            Content::Plot(_) => {
                self.draw_grid(canvas)?;
                self.draw_contours(canvas)?;
                for (x, _) in self.rules() {
                    canvas.line(&[(x, self.plot.y0), (x, self.plot.y1)], FAINT, RULE)?;
                }
                for (series, y) in self.curves() {
                    self.draw_series(canvas, series, y)?;
                }
                self.draw_axes(canvas)?;
                for (spot, label) in self.rule_labels() {
                    canvas.text(&label, RULE_LABEL, (spot.x0, spot.y1), HPos::Left)?;
                }
            }
            Content::HeatMap(map) => self.draw_cells(canvas, map)?,
            Content::Images(images) => self.draw_images(canvas, images)?,
        }
        self.draw_labels(canvas)?;
        if self.empty {
            let (x, y) = self.plot.center();
            canvas.text("no finite data", NOTE, (x, y), HPos::Center)?;
        }
        self.draw_legend(canvas)
    }

    fn across(&self, fraction: f64, width: u32) -> f64 {
        on_dots(self.plot.x0 + fraction * self.plot.width(), width)
    }

    fn up(&self, fraction: f64, width: u32) -> f64 {
        on_dots(self.plot.y1 - fraction * self.plot.height(), width)
    }

    fn draw_grid(&self, canvas: &Canvas) -> Result<()> {
        let plot = self.plot;
        // Between level lines they would only confuse.
        if self.contours().is_some() {
            return Ok(());
        }
        for (at, _) in &self.x.ticks.major {
            let x = self.across(*at, HAIRLINE);
            canvas.line(&[(x, plot.y0), (x, plot.y1)], GRID, HAIRLINE)?;
        }
        for (at, _) in &self.y[0].ticks.major {
            let y = self.up(*at, HAIRLINE);
            canvas.line(&[(plot.x0, y), (plot.x1, y)], GRID, HAIRLINE)?;
        }
        Ok(())
    }

    fn draw_contours(&self, canvas: &Canvas) -> Result<()> {
        let Some(contours) = self.contours() else { return Ok(()) };
        for (i, (level, _)) in contours.levels.iter().enumerate() {
            let [_, color] = contours.colors(i);
            // In one piece only: an axis that has no place for a part of it shows the lines alone.
            if let [outline] = &self.runs(&Series::new("", Color::Ink, contours.area(*level)), &self.y[0])[..]
                && outline.len() > 2
            {
                canvas.area(outline, color, 1.0)?;
            }
        }
        for (i, (level, _)) in contours.levels.iter().enumerate() {
            let [color, _] = contours.colors(i);
            let lines = self.level_lines(contours, *level);
            lines.iter().try_for_each(|line| canvas.line(&thinned(line, 2.0 * DOT), color, HAIRLINE))?;
        }
        for (spot, label) in self.level_labels() {
            canvas.fill(spot, WHITE, 0.85)?;
            let (x, y) = spot.center();
            canvas.text(&label, LEVEL, (x, y + LEVEL.cap() / 2.0), HPos::Center)?;
        }
        Ok(())
    }

    fn draw_series(&self, canvas: &Canvas, series: &Series, y: &Edge) -> Result<()> {
        let runs = self.runs(series, y);
        let color = series.color.rgb();
        let discs = || sparse(&runs.concat()).into_iter();
        // Where points share a place, the last one shows.
        let trail = || {
            let backwards: Vec<Pt> = runs.iter().flatten().rev().copied().collect();
            let mut points = sparse(&backwards);
            points.reverse();
            points
        };
        for part in series.mark.parts() {
            match part {
                Part::Stroke(width) => runs.iter().try_for_each(|run| canvas.stroke(run, color, *width))?,
                Part::Discs => discs().try_for_each(|p| canvas.disc(p, color))?,
                Part::Area => runs.iter().try_for_each(|run| canvas.band(run, color))?,
                Part::Trail => runs.iter().try_for_each(|run| canvas.trail(run, color))?,
                Part::Crosses => discs().try_for_each(|p| canvas.cross(p, color))?,
                Part::Circles => discs().try_for_each(|p| canvas.circle(p, color, DISC))?,
                Part::GrowingDiscs => canvas.growing(&trail(), |p, size| canvas.round(p, color, size))?,
                Part::GrowingCircles => canvas.growing(&trail(), |p, size| canvas.circle(p, color, size))?,
                Part::Bars => {
                    let base = self.height_of(y.base(), y);
                    canvas.bars(&separated(&self.bars(series, y)), base, color)?;
                }
            }
        }
        Ok(())
    }

    /// Counts on coloured cells with hairlines between them.
    fn draw_cells(&self, canvas: &Canvas, map: &HeatMap) -> Result<()> {
        let (rows, columns) = (map.rows.len(), map.columns.len());
        let (width, height) = (self.plot.width() / columns as f64, self.plot.height() / rows as f64);
        let texts: Vec<String> = map.counts.iter().map(|count| grouped(&count.to_string())).collect();
        let longest = texts.iter().max_by_key(|t| t.len()).map_or(0.0, |t| text_width(t, CELL));
        let size = CELL.size * (0.85 * width / longest).min(0.6 * height / CELL.cap()).min(1.0);

        let finite = || map.shades.iter().copied().filter(|v| v.is_finite());
        let (lo, hi) = (finite().fold(0.0, f64::min), finite().fold(0.0, f64::max));
        let color = |v: f64| if v.is_finite() { shade((v - lo) / (hi - lo)) } else { UNSHADED };
        let x = |column: usize| on_dots(self.plot.x0 + column as f64 * width, HAIRLINE);
        let y = |row: usize| on_dots(self.plot.y0 + row as f64 * height, HAIRLINE);
        let cell = |i: usize| {
            let (column, row) = (i % columns, i / columns);
            Rect { x0: x(column), y0: y(row), x1: x(column + 1), y1: y(row + 1) }
        };
        for (i, &value) in map.shades.iter().enumerate() {
            canvas.fill(cell(i), color(value), 1.0)?;
        }
        (0..=columns).try_for_each(|i| canvas.line(&[(x(i), y(0)), (x(i), y(rows))], FRAME, HAIRLINE))?;
        (0..=rows).try_for_each(|i| canvas.line(&[(x(0), y(i)), (x(columns), y(i))], FRAME, HAIRLINE))?;
        // Smaller digits could not be read.
        let texts = texts.iter().zip(&map.shades).enumerate().filter(|_| size >= 4.0 * POINT);
        for (i, (text, &value)) in texts {
            let ink = if text == "0" { PALE } else { ink_on(color(value)) };
            let style = Type { size, ink, ..CELL };
            let (x, y) = cell(i).center();
            canvas.text(text, style, (x, y + style.cap() / 2.0), HPos::Center)?;
        }
        Ok(())
    }

    fn draw_images(&self, canvas: &Canvas, images: &Images) -> Result<()> {
        let room = self.cell.y1 - MARGIN - self.plot.y0;
        let tiles = Tiles::new(images, self.plot.width(), room);
        ensure!(tiles.pixel >= DOT, "images too large, or too many beside each other");
        let pixel = tiles.pixel;
        let corner = |i: usize| {
            let (column, row) = ((i % tiles.columns) as f64, (i / tiles.columns) as f64);
            let x = self.plot.x0 + (column + 0.5) * tiles.pitch.0 - pixel * images.size.0 as f64 / 2.0;
            let y = self.plot.y0 + row * tiles.pitch.1 + tiles.caption + GAP;
            (on_dots(x, AXIS_LINE), on_dots(y, AXIS_LINE))
        };
        // One shade of grey after the other, so that each becomes one path.
        for level in 1..=GREYS {
            let quantised = |v: u8| (u32::from(v) * u32::from(GREYS) + 127) / 255;
            let grey = 255 - level * (255 / GREYS);
            for (i, (_, pixels)) in images.images.iter().enumerate() {
                let (left, top) = corner(i);
                for (row, line) in pixels.chunks(images.size.0).enumerate() {
                    let y0 = top + row as f64 * pixel;
                    let mut x1 = left;
                    for run in line.chunk_by(|&a, &b| quantised(a) == quantised(b)) {
                        let x0 = x1;
                        x1 += run.len() as f64 * pixel;
                        if quantised(run[0]) == u32::from(level) {
                            canvas.fill(Rect { x0, y0, x1, y1: y0 + pixel }, RGBColor(grey, grey, grey), 1.0)?;
                        }
                    }
                }
            }
        }
        for (i, lines) in tiles.captions.iter().enumerate() {
            let (x0, y0) = corner(i);
            let (x1, y1) = (x0 + pixel * images.size.0 as f64, y0 + pixel * images.size.1 as f64);
            canvas.frame(Rect { x0, y0, x1, y1 }.grown(f64::from(HAIRLINE) / 2.0), FRAME)?;
            let top = y0 - GAP - CAPTION.block(lines.len());
            draw_lines(canvas, lines, CAPTION, f64::midpoint(x0, x1), top)?;
        }
        Ok(())
    }

    fn draw_axes(&self, canvas: &Canvas) -> Result<()> {
        let plot = self.plot;
        let mut corner = vec![(plot.x0, plot.y0), (plot.x0, plot.y1), (plot.x1, plot.y1)];
        if self.y.len() > 1 {
            corner.push((plot.x1, plot.y0));
        }
        canvas.line(&corner, AXIS, AXIS_LINE)?;
        let minor = |at: &f64| (*at, MINOR_TICK, HAIRLINE);
        let major = |(at, _): &(f64, String)| (*at, TICK, AXIS_LINE);
        let x_ticks = self.x.ticks.minor.iter().map(minor);
        for (at, length, width) in x_ticks.chain(self.x.ticks.major.iter().map(major)) {
            let x = self.across(at, width);
            canvas.line(&[(x, plot.y1), (x, plot.y1 + length)], AXIS, width)?;
        }
        for (side, (x, outwards)) in self.y.iter().zip([(plot.x0, -1.0), (plot.x1, 1.0)]) {
            let ticks = side.ticks.minor.iter().map(minor);
            for (at, length, width) in ticks.chain(side.ticks.major.iter().map(major)) {
                let y = self.up(at, width);
                canvas.line(&[(x, y), (x + outwards * length, y)], AXIS, width)?;
            }
        }
        Ok(())
    }

    fn draw_labels(&self, canvas: &Canvas) -> Result<()> {
        let plot = self.plot;
        let baseline = plot.y1 + TICK + GAP + TICK_LABEL.cap();
        for (at, label) in &self.x.ticks.major {
            let x = plot.x0 + at * plot.width();
            canvas.text(label, TICK_LABEL, (x, baseline), HPos::Center)?;
        }
        draw_lines(canvas, &self.x.label, LABEL, self.middle(&self.x.label, LABEL), baseline + 1.5 * GAP)?;
        for (i, side) in self.y.iter().enumerate() {
            let (edge, anchor) =
                if i == 0 { (plot.x0 - TICK - GAP, HPos::Right) } else { (plot.x1 + TICK + GAP, HPos::Left) };
            for (at, label) in &side.ticks.major {
                let y = plot.y1 - at * plot.height() + TICK_LABEL.cap() / 2.0;
                canvas.text(label, TICK_LABEL, (edge, y), anchor)?;
            }
            // Baselines from left to right, the last line next to the left axis or far from the right one.
            let last = match i {
                0 => plot.x0 - side.reach() - 1.5 * GAP,
                _ => plot.x1 + side.depth(),
            };
            for (line, behind) in side.label.iter().rev().zip(0..) {
                let baseline = last - 0.236 * LABEL.size - f64::from(behind) * LABEL.line();
                canvas.text_upwards(line, LABEL, (baseline, plot.center().1))?;
            }
        }
        let top = plot.y0 - 2.0 * GAP - self.heading_type.block(self.heading.len());
        draw_lines(canvas, &self.heading, self.heading_type, self.middle(&self.heading, self.heading_type), top)
    }

    /// The plot's middle, or the nearest place for these lines that keeps them in the cell.
    fn middle(&self, lines: &[String], style: Type) -> f64 {
        let widths = lines.iter().map(|l| text_width(l, style));
        let half = widths.fold(0.0, f64::max) / 2.0 + MARGIN;
        self.plot.center().0.min(self.cell.x1 - half).max(self.cell.x0 + half)
    }

    fn draw_legend(&self, canvas: &Canvas) -> Result<()> {
        let (plot, cell) = (self.plot, self.cell);
        match self.place {
            Place::Nowhere => Ok(()),
            Place::Inside(spot) => {
                canvas.fill(spot, WHITE, 0.9)?;
                canvas.frame(spot, FRAME)?;
                let origin = (spot.x0 + LEGEND_PAD, spot.y0 + LEGEND_PAD / 2.0);
                self.draw_entries(canvas, &self.legend.column(), origin)
            }
            Place::Right => {
                let origin = (plot.x1 + self.right_depth() + GAP + LEGEND_PAD, plot.y0);
                self.draw_entries(canvas, &self.legend.column(), origin)
            }
            Place::Below => {
                let legend = self.legend.rows(cell);
                let farthest = cell.x1 - MARGIN - legend.width;
                let x = (plot.center().0 - legend.width / 2.0).min(farthest);
                let top = plot.y1 + self.below_plot() + GAP;
                self.draw_entries(canvas, &legend, (x.max(cell.x0 + MARGIN), top))
            }
        }
    }

    fn draw_entries(&self, canvas: &Canvas, arranged: &Arrangement, origin: Pt) -> Result<()> {
        let hidden = self.legend.entries.len() - arranged.shown;
        for (i, entry) in self.legend.entries.iter().take(arranged.shown).enumerate() {
            let columns = arranged.columns.len();
            let (column, row) = (i % columns, i / columns);
            let x = origin.0 + arranged.columns[column];
            let y = origin.1 + (row as f64 + 0.5) * LegendBox::ROW;
            let text_at = (x + SAMPLE + 1.5 * GAP, y + LEGEND.cap() / 2.0);
            if hidden > 0 && i + 1 == arranged.shown {
                let rest = format!("{ELLIPSIS} and {} more", hidden + 1);
                canvas.text(&rest, LEGEND, text_at, HPos::Left)?;
            } else {
                draw_sample(canvas, entry, (x, y))?;
                canvas.text(&entry.label, LEGEND, text_at, HPos::Left)?;
            }
        }
        Ok(())
    }
}

fn draw_sample(canvas: &Canvas, entry: &Entry, (x, y): Pt) -> Result<()> {
    let color = entry.color.rgb();
    let middle = (x + SAMPLE / 2.0, y);
    let trail = [0.15, 0.5, 0.85].map(|t| (x + t * SAMPLE, y));
    for part in entry.marks.iter().flat_map(|m| m.parts()) {
        match part {
            Part::Stroke(width) => canvas.line(&[(x, y), (x + SAMPLE, y)], color, *width)?,
            Part::Discs => canvas.disc(middle, color)?,
            Part::Area => {
                let half = LEGEND.cap() / 2.0;
                canvas.fill(Rect { x0: x, y0: y - half, x1: x + SAMPLE, y1: y + half }, color, BAND_ALPHA)?;
            }
            Part::Trail => canvas.trail(&trail, color)?,
            Part::Crosses => canvas.cross(middle, color)?,
            Part::Circles => canvas.circle(middle, color, DISC)?,
            Part::GrowingDiscs => canvas.growing(&trail, |p, size| canvas.round(p, color, size))?,
            Part::GrowingCircles => canvas.growing(&trail, |p, size| canvas.circle(p, color, size))?,
            Part::Bars => {
                let base = y + LEGEND.cap() / 2.0;
                let bar = |(i, height): (usize, f64)| {
                    let (x0, x1) = (x + i as f64 * SAMPLE / 3.0, x + (i + 1) as f64 * SAMPLE / 3.0);
                    Rect { x0, y0: base - height * LEGEND.cap(), x1, y1: base }
                };
                let bars = [0.5, 1.0, 0.7].into_iter().enumerate().map(bar);
                canvas.bars(&separated(&bars.collect::<Vec<_>>()), base, color)?;
            }
        }
    }
    Ok(())
}

/// How the images of a panel stand.
struct Tiles {
    columns: usize,
    rows: f64,
    /// From one image to the next, across and down.
    pitch: Pt,
    /// Side of a pixel, in whole dots.
    pixel: f64,
    /// Height of the captions, and their lines.
    caption: f64,
    captions: Vec<Vec<String>>,
}

impl Tiles {
    fn new(images: &Images, width: f64, height: f64) -> Self {
        let columns = images.columns.clamp(1, images.images.len().max(1));
        let rows = images.images.len().div_ceil(columns) as f64;
        let pitch = width / columns as f64;
        let room = pitch - 1.5 * GAP;
        let lines = |(text, _): &(String, Vec<u8>)| {
            let lines = text.lines().take(3).flat_map(|l| wrapped(l, CAPTION, room, 2));
            lines.take(3).collect()
        };
        let captions: Vec<Vec<String>> = images.images.iter().map(lines).collect();
        let caption = CAPTION.block(captions.iter().map(Vec::len).max().unwrap_or(0));
        let around = caption + 3.5 * GAP;
        let fitting =
            (room.min(IMAGE) / images.size.0 as f64).min((height / rows - around).min(IMAGE) / images.size.1 as f64);
        let pixel = (fitting / DOT).floor() * DOT;
        Self { columns, rows, pitch: (pitch, around + pixel * images.size.1 as f64), pixel, caption, captions }
    }
}

// ---------------------------------------------------------------------------------------------
// Publication
// ---------------------------------------------------------------------------------------------

/// Turns plotters' SVG into one that needs no font, in user units of 1/96 inch, with a title and
/// a description for those who do not see it.
fn publish(drawn: &str, title: &str, caption: &str) -> Result<String> {
    let tree = usvg::Tree::from_str(drawn, &options()).context("reading plotters' SVG")?;
    let written = tree.to_string(&usvg::WriteOptions {
        preserve_text: false,
        coordinates_precision: 0,
        transforms_precision: 4,
        indent: usvg::Indent::Spaces(0),
        ..usvg::WriteOptions::default()
    });
    let body = written
        .split_once("<svg ")
        .and_then(|(_, rest)| rest.split_once('>'))
        .context("usvg wrote no <svg> element")?
        .1;
    let body = merged(body);
    let size = tree.size();
    let (w, h) = (f64::from(size.width()), f64::from(size.height()));
    let (width, height) = (w * CSS_DPI / INCH, h * CSS_DPI / INCH);
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {w} {h}\" role=\"img\">\n<title>{}</title>\n<desc>{}</desc>{body}",
        escaped(title),
        escaped(caption)
    ))
}

/// Joins neighbouring paths that differ in their outline alone, as grid lines and discs do.
/// Opaque ones look the same together; others would lose the overlap.
fn merged(body: &str) -> String {
    let mut lines: Vec<(&str, Option<String>)> = Vec::new();
    for line in body.lines() {
        let path = line
            .strip_suffix("\"/>")
            .and_then(|l| l.split_once(" d=\""))
            .filter(|(head, _)| head.starts_with("<path") && !head.contains("opacity"));
        match (path, lines.last_mut()) {
            (Some((head, outline)), Some((previous, Some(joined)))) if head == *previous => {
                joined.push(' ');
                joined.push_str(outline);
            }
            (Some((head, outline)), _) => lines.push((head, Some(outline.to_owned()))),
            (None, _) => lines.push((line, None)),
        }
    }
    let written = lines.into_iter().map(|(line, outline)| match outline {
        Some(outline) => format!("{line} d=\"{}\"/>\n", relative(&outline).unwrap_or(outline)),
        None => format!("{line}\n"),
    });
    written.collect()
}

/// The same outline in relative coordinates, two fifths of the bytes; whole numbers lose nothing.
fn relative(outline: &str) -> Option<String> {
    let mut out = String::new();
    let (mut at, mut start) = ([0, 0], [0, 0]);
    let mut tokens = outline.split_whitespace().peekable();
    while let Some(command) = tokens.next() {
        let numbers = std::iter::from_fn(|| tokens.next_if(|t| !t.starts_with(char::is_alphabetic)));
        let numbers = numbers.map(|t| t.parse().ok()).collect::<Option<Vec<i64>>>()?;
        let shifted = numbers.iter().enumerate().map(|(i, n)| (n - at[i % 2]).to_string());
        out += &command.to_lowercase();
        out += &shifted.collect::<Vec<_>>().join(" ");
        match (command, &numbers[..]) {
            ("M", &[x, y]) => (at, start) = ([x, y], [x, y]),
            ("L", &[x, y]) | ("Q", &[_, _, x, y]) | ("C", &[_, _, _, _, x, y]) => at = [x, y],
            ("Z", []) => at = start,
            _ => return None,
        }
    }
    Some(out)
}

/// The PNG of a published SVG: 200 dpi, 8-bit RGB.
///
/// # Errors
/// No SVG, or one too large.
pub fn rasterize(svg: &str) -> Result<Vec<u8>> {
    let tree = usvg::Tree::from_str(svg, &options()).context("reading the published SVG")?;
    let scale = PNG_DPI / CSS_DPI;
    let pixels = |user: f32| (f64::from(user) * scale).round() as u32;
    let (width, height) = (pixels(tree.size().width()), pixels(tree.size().height()));
    let mut pixmap = tiny_skia::Pixmap::new(width, height).context("picture too large")?;
    let scale = scale as f32;
    resvg::render(&tree, tiny_skia::Transform::from_scale(scale, scale), &mut pixmap.as_mut());
    // The background is opaque, so alpha carries nothing.
    let rgb: Vec<u8> = pixmap.data().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
    encode_png(width, height, &rgb)
}

fn encode_png(width: u32, height: u32, rgb: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    let per_meter = (PNG_DPI / 0.0254).round() as u32;
    encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: per_meter, yppu: per_meter, unit: png::Unit::Meter }));
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: [Mark; 10] = [
        Mark::Line,
        Mark::Dashed,
        Mark::Points,
        Mark::LinePoints,
        Mark::Band,
        Mark::Crosses,
        Mark::Circles,
        Mark::Path,
        Mark::OpenPath,
        Mark::Bars,
    ];

    fn line(f: impl Fn(f64) -> f64, a: f64, b: f64, n: u32) -> Vec<(f64, f64)> {
        let xs = (0..=n).map(|i| a + (b - a) * f64::from(i) / f64::from(n));
        xs.map(|x| (x, f(x))).collect()
    }

    fn panel(x: Axis, y: Axis, points: Vec<(f64, f64)>) -> Panel {
        Panel::plot("", x, y, vec![Series::new("", Color::Cycle(0), points)])
    }

    fn linear(points: Vec<(f64, f64)>) -> Panel {
        panel(Axis::linear("x"), Axis::linear("y"), points)
    }

    fn figure(panel: Panel) -> Figure {
        grid(1, vec![panel])
    }

    fn grid(columns: usize, panels: Vec<Panel>) -> Figure {
        Figure { name: "test".into(), title: "Title".into(), caption: "Caption".into(), columns, panels }
    }

    fn png(figure: &Figure) -> Vec<u8> {
        rasterize(&figure.svg().unwrap()).unwrap()
    }

    /// A panel after layout.
    fn laid_out<T>(figure: &Figure, look: impl Fn(&Plan) -> T) -> T {
        look(&figure.plan().1[0])
    }

    /// What is drawn of its first series.
    fn first_runs(plan: &Plan) -> Vec<Vec<Pt>> {
        let (series, y) = plan.curves().next().unwrap();
        plan.runs(series, y)
    }

    fn labels(scale: Scale, lo: f64, hi: f64, most: usize) -> Vec<String> {
        let ticks = scale.ticks(Range { lo, hi }, most);
        ticks.major.into_iter().map(|(_, label)| label).collect()
    }

    /// A line whose x is the position in `values`, counted from one.
    fn by_epoch(label: impl Into<String>, color: Color, values: &[f64]) -> Series {
        let points = (1_u32..).zip(values).map(|(epoch, &value)| (f64::from(epoch), value));
        Series::new(label, color, points.collect())
    }

    #[test]
    fn linear_ticks_stand_at_one_two_five() {
        let all = |lo, hi, most| labels(Scale::Linear, lo, hi, most);
        assert_eq!(all(0.0, 1000.0, 5), ["0", "200", "400", "600", "800", "1000"]);
        assert_eq!(all(-2.1, 2.1, 5), ["−2", "−1", "0", "1", "2"]);
        assert_eq!(all(0.0, 1.0, 2), ["0.0", "0.5", "1.0"]);
        assert_eq!(all(0.0, 21_000.0, 5), ["0", "5000", "10,000", "15,000", "20,000"]);
        assert_eq!(all(-1.2e6, 0.0, 3), ["−1,000,000", "−500,000", "0"]);
        assert_eq!(all(0.0, 2.1e30, 3), ["0", "1×10³⁰", "2×10³⁰"]);
        assert_eq!(all(0.0, 1.1e-300, 3), ["0", "0.5×10⁻³⁰⁰", "1.0×10⁻³⁰⁰"]);
        assert_eq!(all(0.0, 0.0021, 3), ["0.000", "0.001", "0.002"]);
    }

    #[test]
    fn linear_ticks_stand_where_their_labels_say() {
        let range = Range { lo: -0.31, hi: 0.77 };
        let ticks = Scale::Linear.ticks(range, 8);
        assert!(ticks.major.len() >= 3);
        for (at, label) in ticks.major {
            let value: f64 = label.replace('−', "-").parse().unwrap();
            assert!((range.fraction(value) - at).abs() < 1e-12, "{label}");
        }
    }

    #[test]
    fn log_ticks_are_decades_over_a_wide_range() {
        assert_eq!(labels(Scale::Log, -3.2, 0.4, 7), ["10⁻³", "10⁻²", "10⁻¹", "10⁰"]);
        assert_eq!(labels(Scale::Log, -6.0, 6.0, 4), ["10⁻⁵", "10⁰", "10⁵"]);
        assert_eq!(labels(Scale::Log, -300.0, 300.0, 7).len(), 7);
        let minor = Scale::Log.ticks(Range { lo: 0.0, hi: 2.0 }, 7).minor;
        assert_eq!(minor.len(), 16);
    }

    #[test]
    fn log_ticks_are_plain_numbers_over_a_narrow_range() {
        assert_eq!(labels(Scale::Log, -1.8, -0.6, 7), ["0.02", "0.05", "0.1", "0.2"]);
        assert_eq!(labels(Scale::Log, -8.8, -7.9, 7), ["2×10⁻⁹", "5×10⁻⁹", "1×10⁻⁸"]);
        for lo in [-3.0, -0.5, 0.31, 4.9] {
            for width in [0.02, 0.2, 0.5, 1.0, 1.4, 2.0, 3.0] {
                let found = labels(Scale::Log, lo, lo + width, 7);
                assert!(found.len() >= 3, "{lo} {width}: {found:?}");
            }
        }
    }

    #[test]
    fn symlog_is_linear_within_its_bounds_and_continuous() {
        for e in [-8, 0, 3] {
            let scale = Scale::SymLog(e);
            let place = |v: f64| scale.place(v * scaled(1, e)).unwrap();
            for (v, t) in
                [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0), (10.0, 2.0), (1e5, 6.0), (1.0 - 1e-12, 1.0), (1.0 + 1e-12, 1.0)]
            {
                assert!((place(v) - t).abs() < 1e-10 && (place(-v) + t).abs() < 1e-10, "{e} {v} {}", place(v));
            }
            assert!([f64::NAN, f64::INFINITY].into_iter().all(|v| scale.place(v).is_none()));
        }
        assert_eq!(Scale::SymLog(i32::MIN).place(1.0), Some(281.0));
        assert!(Scale::SymLog(i32::MAX).place(f64::MAX).unwrap() < 30.0);
    }

    #[test]
    fn symlog_ticks_are_zero_and_decades_on_both_sides() {
        let all = |e, lo, hi, most| labels(Scale::SymLog(e), lo, hi, most);
        assert_eq!(all(-1, -2.1, 3.1, 7), ["−10⁰", "−10⁻¹", "0", "10⁻¹", "10⁰", "10¹"]);
        assert_eq!(all(-9, -7.2, 11.9, 8), ["−10⁻³", "−10⁻⁶", "0", "10⁻⁶", "10⁻³", "10⁰"]);
        assert_eq!(all(-8, -1.0, 1.0, 8), ["−10⁻⁸", "0", "10⁻⁸"]);
        assert_eq!(all(-8, -12.1, 12.1, 1), ["0"]);
        // Little more than one part of the axis: as on an axis of that kind.
        assert_eq!(all(-3, 1.2, 4.4, 7), labels(Scale::Log, -2.8, 0.4, 7));
        assert_eq!(all(-3, -4.4, -1.2, 7), ["−10⁰", "−10⁻¹", "−10⁻²"]);
        assert_eq!(all(0, -1.5, -1.1, 7), ["−3.0", "−2.5", "−2.0", "−1.5"]);
        assert_eq!(all(0, 0.0, 0.5, 7), ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"]);
        assert_eq!(all(-2, 0.5, 1.4, 4), ["0.01", "0.02"]);
    }

    #[test]
    fn symlog_ticks_stand_where_their_labels_say() {
        for (lo, hi) in [(-3.3, 2.6), (-19.0, 4.5), (1.5, 1.9), (-1.9, -1.5), (0.4, 1.3), (-0.2, 0.1), (-8.0, -0.5)] {
            let (scale, range) = (Scale::SymLog(-2), Range { lo, hi });
            let Ticks { major, minor } = scale.ticks(range, 8);
            assert!(major.len() >= 3, "{lo} {hi} {major:?}");
            assert!(major.windows(2).all(|w| w[0].0 < w[1].0));
            assert!(minor.iter().chain(major.iter().map(|(at, _)| at)).all(|at| (-1e-9..=1.0 + 1e-9).contains(at)));
            for (at, label) in major {
                let digit =
                    |c| "⁰¹²³⁴⁵⁶⁷⁸⁹⁻−".chars().position(|s| s == c).map_or(c, |i| char::from(b"0123456789--"[i]));
                // A power's exponent starts with the first raised character.
                let raised = label.find(|c| digit(c) != c && c != '−').unwrap_or(label.len());
                let [base, exponent] =
                    [&label[..raised], &label[raised..]].map(|t| t.chars().map(digit).collect::<String>());
                let value = base.parse::<f64>().unwrap();
                let value =
                    if exponent.is_empty() { value } else { value.signum() * 10_f64.powi(exponent.parse().unwrap()) };
                assert!((range.fraction(scale.place(value).unwrap()) - at).abs() < 1e-9, "{label}");
            }
        }
        // Nine in the linear part, eight in a decade.
        assert_eq!(Scale::SymLog(-2).ticks(Range { lo: 0.0, hi: 3.0 }, 8).minor.len(), 9 + 2 * 8);
    }

    #[test]
    fn symlog_axes_show_data_of_any_sign() {
        let decades = |sign: f64| line(move |x| sign * 10_f64.powf(x), -10.0, 5.0, 30);
        let mixed = [decades(-1.0), vec![(0.0, 0.0)], decades(1.0)].concat();
        for points in [decades(1.0), decades(-1.0), mixed, line(|_| 0.0, 0.0, 1.0, 2), vec![(0.0, -7.0)]] {
            let turned = points.iter().map(|&(x, y)| (y, x)).collect();
            let axis = || Axis::symlog("v", -8);
            let count = points.len();
            let figure = figure(Panel::plot(
                "",
                axis(),
                axis(),
                vec![Series::new("", Color::Ink, points), Series::new("", Color::Ink, turned)],
            ));
            laid_out(&figure, |plan| {
                assert_eq!(first_runs(plan).concat().len(), count);
                assert!(first_runs(plan).concat().iter().all(|&p| plan.plot.contains(p)));
                for ticks in [&plan.x.ticks, &plan.y[0].ticks] {
                    assert!(ticks.major.len() >= 3, "{:?}", ticks.major);
                }
                clear_of_each_other(plan);
            });
        }
    }

    fn clear_of_each_other(plan: &Plan) {
        let mut end = f64::NEG_INFINITY;
        for (at, label) in &plan.x.ticks.major {
            let half = text_width(label, TICK_LABEL) / 2.0;
            let x = plan.plot.x0 + at * plan.plot.width();
            assert!(x - half > end && x + half <= plan.cell.x1, "{label}");
            end = x + half;
        }
        assert!(plan.x.ticks.major.len() >= 3);
    }

    #[test]
    fn tick_labels_keep_clear_of_each_other() {
        for hi in [1e-7, 0.3, 7.0, 1e4, 98_765.0, 3e6, 2e9] {
            let figure = figure(linear(line(|x| x, 0.0, hi, 9)));
            laid_out(&figure, clear_of_each_other);
        }
    }

    #[test]
    fn unplaceable_points_split_the_line() {
        let ys = [1.0, 2.0, f64::NAN, 3.0, 0.0, -1.0, 4.0, f64::INFINITY, 5.0, 6.0];
        let series = by_epoch("", Color::Ink, &ys);
        let figure = figure(Panel::plot("", Axis::linear("x"), Axis::log("y"), vec![series]));
        let lengths = laid_out(&figure, |plan| first_runs(plan).iter().map(Vec::len).collect::<Vec<_>>());
        assert_eq!(lengths, [2, 1, 1, 2]);
    }

    #[test]
    fn thinning_keeps_extremes_and_ends() {
        let mut run: Vec<Pt> = (0..20_000).map(|i| (f64::from(i) * 0.7, f64::from(i % 97))).collect();
        run[777].1 = 5000.0;
        run[12_345].1 = -4000.0;
        let thin = thinned(&run, 24.0);
        assert!(thin.len() < 2500, "{}", thin.len());
        for p in [run[0], run[777], run[12_345], run[19_999]] {
            assert!(thin.contains(&p));
        }
        assert!(thin.windows(2).all(|w| w[0].0 <= w[1].0));
        assert_eq!(thinned(&[], 24.0), []);
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
        assert_eq!(rounded(&run), [(0, 0), (2, 2), (2, 5), (2, 3)]);
    }

    #[test]
    fn hostile_texts_stay_text() {
        let nasty = "</title><script>alert('1')</script> & \"\u{0}\u{7}\u{ffff}\n]]>";
        let mut series = Series::new(nasty, Color::Ink, line(|x| x, 0.0, 1.0, 4));
        series.label.push_str(&"word ".repeat(9000));
        let panels = vec![Panel::plot(nasty, Axis::linear(nasty), Axis::log(nasty), vec![series])];
        let figure = Figure { name: nasty.into(), title: nasty.into(), caption: nasty.into(), columns: 1, panels };
        let svg = figure.svg().unwrap();
        let document = usvg::roxmltree::Document::parse(&svg).unwrap();
        let named = |name: &str| document.descendants().filter(|n| n.has_tag_name(name)).count();
        assert_eq!((named("script"), named("title"), named("desc")), (0, 1, 1));
        let title = document.root_element().first_element_child().unwrap();
        assert_eq!(title.text(), Some("</title><script>alert('1')</script> & \" ]]>"));
    }

    #[test]
    fn the_same_figure_gives_the_same_bytes() {
        let figure = figure(linear(line(f64::sin, 0.0, 9.0, 500)));
        assert_eq!(figure.svg().unwrap(), figure.clone().svg().unwrap());
        assert_eq!(png(&figure), png(&figure));
    }

    /// Width, height, RGB bytes and dots per metre.
    fn decoded(bytes: &[u8]) -> (u32, u32, Vec<u8>, u32) {
        let decoder = png::Decoder::new(std::io::Cursor::new(bytes));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        let dims = reader.info().pixel_dims.unwrap();
        assert!(matches!(dims.unit, png::Unit::Meter) && dims.xppu == dims.yppu);
        (frame.width, frame.height, pixels, dims.xppu)
    }

    #[test]
    fn pictures_have_the_promised_size_and_resolution() {
        let one = linear(line(|x| x, 0.0, 1.0, 4));
        let (width, height, _, dots) = decoded(&png(&figure(one.clone())));
        assert_eq!((width, height, dots), (1280, 800, 7874));
        let (width, height, ..) = decoded(&png(&grid(2, vec![one.clone(), one])));
        assert_eq!(width, 1920);
        assert!((720..900).contains(&height));
    }

    #[test]
    fn nothing_is_cut_at_the_edges() {
        let long = "a label long enough to need more room than there is ".repeat(9);
        let series = |i| {
            let points = line(|x| x * 1e5, 0.0, 123_456.0, 4);
            Series::new(format!("{i} {long}"), Color::Cycle(i), points)
        };
        let axis = || Axis::linear(&*long);
        let content = Content::Plot(Plot {
            x: axis(),
            y: axis(),
            series: (0..30).map(series).collect(),
            right: Some((axis(), (30..50).map(series).collect())),
            rules: vec![(0.0, long.clone()), (9e9, long.clone())],
            contours: None,
        });
        let crowded = Panel { title: long.clone(), content };
        let mut table = confusion(12);
        table.rows.iter_mut().chain(&mut table.columns).for_each(|name| name.push_str(&long));
        (table.x, table.y) = (long.clone(), long.clone());
        let table = Panel { title: long.clone(), content: Content::HeatMap(table) };
        let mut digits = images(17, 5);
        digits.images.iter_mut().for_each(|(caption, _)| caption.push_str(&long));
        let digits = Panel { title: long.clone(), content: Content::Images(digits) };
        for panels in [vec![crowded.clone()], vec![table.clone()], vec![digits.clone()], vec![crowded, table, digits]] {
            let figure = Figure { title: long.clone(), ..grid(panels.len().min(2), panels) };
            let (width, height, pixels, _) = decoded(&png(&figure));
            for (i, rgb) in (0_u32..).zip(pixels.chunks(3)) {
                let (x, y) = (i % width, i / width);
                let edge = x.min(y).min(width - 1 - x).min(height - 1 - y) < 4;
                assert!(!edge || rgb == [255; 3], "ink at {x}, {y}");
            }
        }
    }

    fn labelled(points: Vec<(f64, f64)>) -> Panel {
        let first = Series::new("first", Color::Cycle(0), points.clone());
        let second = Series::new("second", Color::Cycle(1), points).mark(Mark::Dashed);
        Panel::plot("", Axis::linear("x"), Axis::linear("y"), vec![first, second])
    }

    #[test]
    fn legend_takes_a_free_corner() {
        let rising = figure(labelled(line(|x| x, 0.0, 1.0, 50)));
        laid_out(&rising, |plan| {
            let Place::Inside(spot) = plan.place else {
                panic!("{:?}", plan.place);
            };
            assert!(spot.x1 < plan.plot.center().0, "top left");
            let run = &first_runs(plan)[0];
            assert!(!touches(run, spot));
        });
    }

    #[test]
    fn legend_leaves_a_full_plot() {
        let dense = line(|x| (40.0 * x).sin(), 0.0, 9.0, 9000);
        let figure = figure(labelled(dense));
        laid_out(&figure, |plan| {
            assert_eq!(plan.place, Place::Right);
            let width = plan.legend.column().width;
            assert!(plan.plot.x1 + width <= plan.cell.x1);
        });
    }

    #[test]
    fn no_legend_without_labels() {
        let figure = figure(linear(line(|x| x, 0.0, 1.0, 4)));
        laid_out(&figure, |plan| assert_eq!(plan.place, Place::Nowhere));
    }

    #[test]
    fn degenerate_data_are_drawn() {
        let points: Vec<Vec<(f64, f64)>> = vec![
            vec![],
            vec![(f64::NAN, 1.0), (1.0, f64::INFINITY), (f64::NEG_INFINITY, f64::NAN)],
            vec![(0.0, 0.0)],
            vec![(3.0, 5.0), (3.0, 5.0)],
            line(|_| 1e30, 0.0, 1.0, 3),
            line(|x| x * 1e30, -1.0, 1.0, 3),
            line(|x| x * 1e-300, -1.0, 1.0, 3),
            line(|x| 10_f64.powf(x), -300.0, 300.0, 60),
            line(|x| -1e4 - x, 0.0, 1.0, 3),
            line(|x| 1e15 + x, 0.0, 4.0, 4),
            vec![(0.0, f64::MAX), (1.0, -f64::MAX), (2.0, f64::MIN_POSITIVE)],
            vec![(5e-324, 5e-324), (1e-320, 1e-320)],
            vec![(1e300, -1e300), (-1e300, 1e300)],
            vec![(1e-310, 1.0), (1e308, 2.0)],
        ];
        for points in points {
            for scale in [Scale::Linear, Scale::Log, Scale::SymLog(-8), Scale::SymLog(i32::MIN)] {
                for mark in MARKS {
                    let axis = || Axis { label: "v".into(), scale };
                    let series = Series::new("s", Color::Ink, points.clone()).mark(mark);
                    let figure = figure(Panel::plot("", axis(), axis(), vec![series]));
                    let svg = figure.svg().unwrap();
                    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{points:?}");
                }
            }
        }
    }

    #[test]
    fn equal_values_get_a_range_around_them() {
        for value in [0.0, 5.0, -3.0, 1e30, 1e-300, 1e-310, 1e300] {
            let point = Range { lo: value, hi: value };
            let range = Scale::Linear.range(point, 0.05);
            assert!(range.lo < value && value < range.hi, "{value} {range:?}");
        }
        let range = Scale::Log.range(Range { lo: 2.0, hi: 2.0 }, 0.05);
        assert_eq!(range, Range { lo: 1.5, hi: 2.5 });
    }

    #[test]
    fn no_panel_and_too_many_panels_are_errors() {
        assert!(format!("{:#}", grid(1, vec![]).svg().unwrap_err()).contains("no panel"));
        assert!(grid(1, vec![linear(vec![]); MAX_PANELS + 1]).svg().is_err());
    }

    #[test]
    fn long_series_make_a_small_svg() {
        let noise = |i: u32| f64::from(i.wrapping_mul(2_654_435_761) >> 16) / 65_536.0;
        let series = (0..3).map(|s| {
            let values: Vec<f64> = (0..20_000).map(|i| 0.1 + noise(i + s * 99_991)).collect();
            by_epoch(format!("run {s}"), Color::Cycle(s as usize), &values)
        });
        let panel = Panel::plot("", Axis::linear("epoch"), Axis::log("loss"), series.collect());
        let svg = figure(panel).svg().unwrap();
        assert!(svg.len() < 250_000, "{}", svg.len());
    }

    #[test]
    fn the_published_svg_needs_no_font() {
        let drawn = figure(labelled(line(|x| x, 0.0, 1.0, 4)));
        assert!(drawn.draw().unwrap().contains("<text"));
        let svg = drawn.svg().unwrap();
        assert!(!svg.contains("<text") && !svg.contains("font"));
        assert!(svg.starts_with("<svg ") && svg.contains("role=\"img\""));
        assert!(svg.contains("<title>Title</title>\n<desc>Caption</desc>"));
    }

    #[test]
    fn publishing_changes_no_pixel_visibly() {
        let figure = figure(labelled(line(f64::sin, 0.0, 9.0, 300)));
        let drawn = usvg::Tree::from_str(&figure.draw().unwrap(), &options()).unwrap();
        let mut pixmap = tiny_skia::Pixmap::new(1280, 800).unwrap();
        let scale = tiny_skia::Transform::from_scale(1.0 / 12.0, 1.0 / 12.0);
        resvg::render(&drawn, scale, &mut pixmap.as_mut());
        let (_, _, published, _) = decoded(&png(&figure));
        let direct = pixmap.data().chunks(4).flat_map(|p| &p[..3]);
        let worst = published.iter().zip(direct).map(|(a, b)| a.abs_diff(*b)).max();
        // Outlines are rounded to a twelfth of a dot, which shows in the antialiasing only.
        assert!(worst < Some(48), "{worst:?}");
    }

    #[test]
    fn mathematical_signs_have_glyphs() {
        for style in [LABEL, TITLE] {
            for sign in "θ∇π²‖∈±α−×⁻⁰¹²³⁴⁵⁶⁷⁸⁹…√≤≥→ℝ".chars() {
                let weight = if style.bold { "bold" } else { "normal" };
                let svg = format!(
                    "<svg xmlns='http://www.w3.org/2000/svg'><text font-weight='{weight}' \
                     font-family='{FAMILY}'>{sign}</text></svg>"
                );
                let tree = usvg::Tree::from_str(&svg, &options()).unwrap();
                let Some(usvg::Node::Text(text)) = tree.root().children().first() else {
                    panic!("{sign} gave no text");
                };
                let glyphs = text.layouted().iter().flat_map(|s| &s.positioned_glyphs);
                assert!(glyphs.map(|g| g.id.0).all(|id| id != 0), "{sign}");
            }
        }
    }

    #[test]
    fn style_sheet_knows_its_widths() {
        for width in [RULE, DASHED_CURVE, DISC] {
            assert!(STYLE.contains(&format!("[stroke-width=\"{width}\"]")));
        }
        let series = Series::new("", Color::Ink, line(|x| x, 0.0, 1.0, 4)).mark(Mark::Dashed);
        let panel = Panel::plot("", Axis::linear(""), Axis::linear(""), vec![series]);
        assert!(figure(panel).svg().unwrap().contains("stroke-dasharray"));
    }

    #[test]
    fn neighbouring_paths_are_joined_if_opaque() {
        let body = "<path a=\"1\" d=\"M 0 0\"/>\n<path a=\"1\" d=\"M 1 1\"/>\n<g>\n</svg>";
        assert_eq!(merged(body), "<path a=\"1\" d=\"m0 0m1 1\"/>\n<g>\n</svg>\n");
        let mixed = "M 5 9 L 7 9 Q -1 2 3 4 C 1 2 3 4 5 6 Z M 6 6 L 0 0";
        assert_eq!(relative(mixed).unwrap(), "m5 9l2 0q-8 -7 -4 -5c-2 -2 0 0 2 2zm1 -3l-6 -6");
        assert!(["M 0.5 1", "A 1 2", "M 1", "1 2"].into_iter().all(|odd| relative(odd).is_none()));
        let glass = "<path opacity=\".5\" d=\"A\"/>\n<path opacity=\".5\" d=\"B\"/>\n";
        assert_eq!(merged(glass), glass);
    }

    #[test]
    fn long_titles_wrap_and_long_words_are_shortened() {
        let room = 3.0 * INCH;
        let lines = wrapped(&"several words ".repeat(20), TITLE, room, 3);
        assert_eq!(lines.len(), 3);
        assert!(lines[2].ends_with(ELLIPSIS));
        for line in lines.iter().chain(&wrapped(&"x".repeat(999), TITLE, room, 3)) {
            assert!(text_width(line, TITLE) <= room, "{line}");
        }
        assert_eq!(wrapped("short", TITLE, room, 3), ["short"]);
    }

    fn confusion(n: usize) -> HeatMap {
        let names: Vec<String> = (0..n).map(|i| i.to_string()).collect();
        let cells = || (0..n * n).map(|i| (i / n, i % n));
        let count = |(row, column)| if row == column { 1000 } else { (row * column % 5) as u64 };
        let shade = |(row, column)| if row == column { f64::NAN } else { count((row, column)) as f64 };
        HeatMap {
            x: "predicted digit".into(),
            y: "true digit".into(),
            columns: names.clone(),
            rows: names,
            counts: cells().map(count).collect(),
            shades: cells().map(shade).collect(),
        }
    }

    fn images(count: usize, columns: usize) -> Images {
        let pixels = |k: usize| (0..28 * 28).map(|i| (i * (k + 1) % 256) as u8).collect();
        let images = (0..count).map(|k| (format!("true {k}\npredicted 9 (0.98)"), pixels(k)));
        Images { size: (28, 28), columns, images: images.collect() }
    }

    fn shown(content: Content) -> Result<String> {
        figure(Panel { title: String::new(), content }).svg()
    }

    /// The RGB at the middle of a rectangle in drawing units.
    fn color_at(figure: &Figure, r: Rect, at: Pt) -> [u8; 3] {
        let (width, _, pixels, _) = decoded(&png(figure));
        let dot = |from: f64, to: f64, t: f64| ((from + t * (to - from)) / DOT) as usize;
        let i = 3 * (dot(r.y0, r.y1, at.1) * width as usize + dot(r.x0, r.x1, at.0));
        [pixels[i], pixels[i + 1], pixels[i + 2]]
    }

    #[test]
    fn shades_darken_evenly_enough_and_carry_readable_digits() {
        let linear = |v: u8| (f64::from(v) / 255.0).powf(2.2);
        let light = |RGBColor(r, g, b)| 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
        let mut last = 1.01;
        for i in 0..=100 {
            let color = shade(f64::from(i) / 100.0);
            let (a, b) = (light(color), light(ink_on(color)));
            assert!(a < last, "{color:?}");
            assert!((a.max(b) + 0.05) / (a.min(b) + 0.05) > 3.7, "{color:?}");
            last = a;
        }
        assert_eq!((shade(-1.0), shade(f64::NAN), shade(9.0)), (WHITE, WHITE, SHADES[4]));
    }

    #[test]
    fn cells_have_their_colours_and_rows_go_down() {
        let mut map = confusion(2);
        map.counts = vec![0, 12_345, 0, 0];
        map.shades = vec![f64::NAN, 3.0, 0.0, f64::INFINITY];
        let figure = figure(Panel { title: String::new(), content: Content::HeatMap(map) });
        assert!(figure.draw().unwrap().contains("12,345"));
        let plot = laid_out(&figure, |plan| {
            let labels: Vec<(f64, &str)> = plan.y[0].ticks.major.iter().map(|(at, t)| (*at, &**t)).collect();
            assert_eq!(labels, [(0.75, "0"), (0.25, "1")]);
            plan.plot
        });
        let found = [(0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9)].map(|at| color_at(&figure, plot, at));
        let grey = [UNSHADED.0, UNSHADED.1, UNSHADED.2];
        assert_eq!(found, [grey, [8, 0x30, 0x6B], [255; 3], grey]);
    }

    #[test]
    fn heat_maps_of_any_kind_are_drawn_or_refused() {
        for n in [1, 2, 10, 50] {
            let mut map = confusion(n);
            for shades in [vec![0.0; n * n], vec![f64::NAN; n * n], vec![f64::MAX; n * n], vec![-1e308; n * n]] {
                map.shades = shades;
                map.counts[0] = u64::MAX;
                let svg = shown(Content::HeatMap(map.clone())).unwrap();
                assert!(!svg.contains("NaN") && !svg.contains("inf") && svg.len() < 500_000, "{n} {}", svg.len());
            }
            map.counts.pop();
            assert!(shown(Content::HeatMap(map)).is_err());
        }
        assert!(shown(Content::HeatMap(confusion(0))).is_err());
        assert!(shown(Content::HeatMap(confusion(51))).is_err());
        let svg = shown(Content::HeatMap(HeatMap { rows: vec![String::new()], ..confusion(3) }));
        assert!(format!("{:#}", svg.unwrap_err()).contains("9 counts"));
    }

    #[test]
    fn images_keep_their_pixels() {
        let mut pixels = vec![0; 6];
        (pixels[0], pixels[5]) = (255, 102);
        let images = Images { size: (3, 2), columns: 9, images: vec![("caption".into(), pixels)] };
        let figure = figure(Panel { title: String::new(), content: Content::Images(images) });
        let image = laid_out(&figure, |plan| {
            let Content::Images(images) = &plan.panel.content else { panic!("no images") };
            let tiles = Tiles::new(images, plan.plot.width(), f64::INFINITY);
            let (x0, y0) = (plan.plot.center().0 - 1.5 * tiles.pixel, plan.plot.y0 + tiles.caption + GAP);
            Rect { x0, y0, x1: x0 + 3.0 * tiles.pixel, y1: y0 + 2.0 * tiles.pixel }
        });
        let found = [(0.1, 0.1), (0.5, 0.1), (0.1, 0.9), (0.9, 0.9)].map(|at| color_at(&figure, image, at));
        assert_eq!(found, [[0; 3], [255; 3], [255; 3], [153; 3]]);
    }

    #[test]
    fn images_of_any_kind_are_drawn_or_refused() {
        for (count, columns) in [(1, 0), (1, 5), (20, 5), (7, 1), (127, 20)] {
            assert!(shown(Content::Images(images(count, columns))).is_ok(), "{count} {columns}");
        }
        let odd = |size, pixels| Images { size, columns: 3, images: vec![("\u{0}\n".repeat(99), vec![7; pixels])] };
        assert!(shown(Content::Images(odd((240, 1), 240))).is_ok());
        for bad in [
            odd((0, 5), 0),
            odd((usize::MAX, 2), 4),
            odd((3, 3), 8),
            odd((250, 250), 62_500),
            images(0, 3),
            images(128, 20),
        ] {
            assert!(shown(Content::Images(bad)).is_err());
        }
        assert!(shown(Content::Images(images(100, 100))).is_err(), "not a dot per pixel");
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

    /// Bins with edges at whole numbers from zero on.
    fn unit_bins(counts: &[f64]) -> Vec<(f64, f64, f64)> {
        (0_u32..).zip(counts).map(|(i, &count)| (f64::from(i), f64::from(i) + 1.0, count)).collect()
    }

    fn bars(plan: &Plan) -> Vec<Rect> {
        plan.all_bars().collect()
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

    #[test]
    fn bars_have_gaps_where_they_are_wide_enough() {
        let bar = |x0: f64, x1: f64, height: f64| Rect { x0: x0 * DOT, y0: -height, x1: x1 * DOT, y1: 0.0 };
        let wide = separated(&[bar(0.2, 10.3, 1.0), bar(10.3, 20.4, 2.0)]);
        assert_eq!(wide, [bar(0.0, 9.0, 1.0), bar(10.0, 19.0, 2.0)]);
        let narrow: Vec<Rect> =
            (0..100).map(|i| bar(f64::from(i) / 10.0, f64::from(i + 1) / 10.0, f64::from(i % 7))).collect();
        let narrow = separated(&narrow);
        assert!(narrow.len() <= 11 && narrow.iter().all(|b| (b.width() - DOT).abs() < 1e-9), "{narrow:?}");
        assert!(narrow.iter().all(|b| b.height() >= 4.0), "the highest show");
        let many = unit_bins(&vec![3.0; 100_000]);
        let panel =
            Panel::plot("", Axis::linear("x"), Axis::linear("y"), vec![Series::histogram("", Color::Ink, many)]);
        assert!(figure(panel).svg().unwrap().len() < 250_000);
    }

    #[test]
    fn the_legend_covers_no_bar_and_no_label_of_a_rule() {
        // Wide bars, whose outlines alone it would clear.
        let series = Series::histogram("histogram", Color::Cycle(0), unit_bins(&[5.0, 4.8]));
        let panel = Panel::plot("", Axis::linear("x"), Axis::linear("y"), vec![series.clone()]);
        laid_out(&figure(panel), |plan| assert!(plan.is_outside(), "{:?}", plan.place));
        let series = Series::new("curve", Color::Cycle(0), line(|x| x, 0.0, 1.0, 9));
        let labelled = |x: f64| {
            Panel::plot("", Axis::linear("x"), Axis::linear("y"), vec![series.clone()]).rules(vec![(x, "rule".into())])
        };
        for x in [0.0, 0.1, 0.5, 1.0] {
            laid_out(&figure(labelled(x)), |plan| {
                let Place::Inside(spot) = plan.place else { panic!("{x} {:?}", plan.place) };
                assert!(!spot.overlaps(plan.rule_labels()[0].0));
            });
        }
    }

    #[test]
    fn bars_of_several_series_show_through_each_other() {
        let one = |color| Series::histogram("", color, unit_bins(&[4.0, 4.0]));
        let of = |series| figure(Panel::plot("", Axis::linear("x"), Axis::linear("y"), series));
        let plot = laid_out(&of(vec![one(Color::Cycle(0))]), |plan| plan.plot);
        let colors =
            [vec![one(Color::Cycle(0))], vec![one(Color::Cycle(1))], vec![one(Color::Cycle(0)), one(Color::Cycle(1))]];
        let [a, b, both] = colors.map(|series| color_at(&of(series), plot, (0.3, 0.47)));
        assert!(a != b && both != a && both != b);
    }

    #[test]
    fn crosses_and_circles_are_about_as_large_as_discs() {
        let inked = |mark| {
            let panel = panel(Axis::linear("x"), Axis::linear("y"), vec![(0.0, 0.0), (1.0, 1.0), (0.5, 0.5)]);
            let Content::Plot(mut plot) = panel.content else { panic!("no plot") };
            plot.series[0].mark = mark;
            let figure = figure(Panel { title: String::new(), content: Content::Plot(plot) });
            let area = laid_out(&figure, |plan| plan.plot);
            let (x, y) = area.center();
            // The last point alone, from dot to dot.
            let (width, _, pixels, _) = decoded(&png(&figure));
            let dots = (-8..8).flat_map(|j| (-8..8).map(move |i| (i, j)));
            let at = |(i, j): (i32, i32)| 3 * (((y / DOT) as i32 + j) * width as i32 + (x / DOT) as i32 + i) as usize;
            let ink: Vec<(i32, i32)> = dots.filter(|&d| pixels[at(d)] < 100).collect();
            let reach = ink.iter().map(|(i, j)| i.abs().max(j.abs())).max().unwrap();
            (reach, ink.contains(&(0, 0)))
        };
        let [disc, cross, circle] = [Mark::Points, Mark::Crosses, Mark::Circles].map(inked);
        assert!(disc.1 && cross.1 && !circle.1, "hollow");
        assert!((cross.0 - disc.0).abs() <= 1 && (circle.0 - disc.0).abs() <= 1, "{disc:?} {cross:?} {circle:?}");
    }

    #[test]
    fn discs_grow_along_a_path() {
        let radii = |points: Vec<(f64, f64)>, mark| {
            let series = Series::new("", Color::Cycle(0), points).mark(mark);
            let drawn = figure(Panel::plot("", Axis::linear("x"), Axis::linear("y"), vec![series])).draw().unwrap();
            let radii =
                drawn.split("<circle").skip(1).filter_map(|c| c.split_once(" r=\"")?.1.split_once('"')?.0.parse().ok());
            radii.collect::<Vec<u32>>()
        };
        let (small, large) = (PATH_DISCS.0 as u32 / 2, PATH_DISCS.1 as u32 / 2);
        let around =
            line(|x| (x - 3.0).powi(2), 0.0, 6.0, 6).into_iter().rev().map(|(x, y)| (y, x)).collect::<Vec<_>>();
        let found = radii(around.clone(), Mark::Path);
        assert_eq!((found.len(), found[0], found[6]), (7, small, large));
        assert!(found.windows(2).all(|w| w[0] < w[1]), "{found:?}");
        let hollow = radii(around, Mark::OpenPath);
        assert_eq!((hollow.len(), hollow[0], hollow[1]), (14, small, small - RING));
        assert_eq!(radii(vec![(1.0, 1.0)], Mark::Path), [large], "an end without a beginning");
        // A training that stays where it is: its end is seen.
        assert_eq!(radii(vec![(1.0, 1.0); 9], Mark::Path), [large]);
        let interrupted = vec![(0.0, 0.0), (f64::NAN, 0.0), (1.0, 1.0), (2.0, 0.0)];
        assert_eq!(radii(interrupted, Mark::Path), [small, u32::midpoint(small, large), large]);
    }

    #[test]
    fn a_path_keeps_its_order() {
        let spiral: Vec<(f64, f64)> =
            (0..400).map(|i| f64::from(i) / 10.0).map(|t| (t * t.cos(), t * t.sin())).collect();
        let series = Series::new("", Color::Cycle(0), spiral).mark(Mark::Path);
        laid_out(&figure(Panel::plot("", Axis::linear("x"), Axis::linear("y"), vec![series])), |plan| {
            let run = &first_runs(plan)[0];
            let thin = thinned(run, 2.0 * DOT);
            let mut rest = run.iter();
            assert!(thin.iter().all(|p| rest.any(|q| p == q)), "in the same order");
            // What is left out lies beside what is kept.
            let near = |p: &Pt| {
                thin.windows(2).any(|w| {
                    Rect {
                        x0: w[0].0.min(w[1].0),
                        y0: w[0].1.min(w[1].1),
                        x1: w[0].0.max(w[1].0),
                        y1: w[0].1.max(w[1].1),
                    }
                    .grown(2.0 * DOT)
                    .contains(*p)
                })
            };
            assert!(run.iter().all(near));
        });
    }

    #[test]
    fn rules_widen_the_range_and_stand_behind_the_curves() {
        let panel = linear(line(|x| x, 0.0, 1.0, 4)).rules(vec![
            (-3.0, "left".into()),
            (f64::NAN, "no place".into()),
            (0.5, " ".into()),
        ]);
        let figure = figure(panel);
        laid_out(&figure, |plan| {
            let lines = plan.rules();
            assert_eq!(lines.len(), 2);
            assert!(plan.plot.x0 < lines[0].0 && lines[0].0 < plan.plot.x0 + 0.1 * plan.plot.width());
            let labels = plan.rule_labels();
            assert_eq!(labels.iter().map(|l| &*l.1).collect::<Vec<_>>(), ["left"]);
            assert!(first_runs(plan)[0].iter().all(|p| p.1 > labels[0].0.y1), "no data behind the label");
        });
        let drawn = figure.draw().unwrap();
        let rule = format!("stroke-width=\"{RULE}\"");
        assert_eq!(drawn.matches(&rule).count(), 2);
        assert!(drawn.rfind(&rule) < drawn.find(&format!("stroke-width=\"{CURVE}\"")));
        let without = linear(line(|x| x, 0.0, 1.0, 4));
        let unlabelled = without.clone().rules(vec![(0.5, String::new())]);
        let range = |panel: Panel| laid_out(&super::tests::figure(panel), |plan| (plan.x.range, plan.y[0].range));
        assert_eq!(range(without), range(unlabelled));
    }

    #[test]
    fn labels_of_rules_keep_clear_of_each_other() {
        for gap in [0.0, 0.01, 0.1, 0.5] {
            let label = |i: u32| if i == 3 { "a long label ".repeat(20) } else { format!("rule {i}") };
            let rules: Vec<(f64, String)> = (0..12).map(|i| (gap * f64::from(i), label(i))).collect();
            let figure = figure(linear(line(|x| x, 0.0, 5.0, 4)).rules(rules));
            laid_out(&figure, |plan| {
                let labels = plan.rule_labels();
                assert_eq!(labels.len(), 12);
                for (i, (spot, text)) in labels.iter().enumerate() {
                    assert!(plan.plot.x0 <= spot.x0 && spot.x1 <= plan.plot.x1 && spot.y1 <= plan.plot.y1, "{text}");
                    assert!(labels[..i].iter().all(|(other, _)| !other.overlaps(*spot)), "{text}");
                }
            });
        }
        assert!(figure(linear(vec![]).rules(vec![(0.0, "r".into()); 999])).svg().is_ok());
    }

    #[test]
    fn only_plots_have_a_right_axis_and_rules() {
        let table = || Panel { title: String::new(), content: Content::HeatMap(confusion(3)) };
        let changed = table().rules(vec![(0.0, "r".into())]).right(Axis::linear("y"), vec![]);
        assert_eq!(figure(changed).svg().unwrap(), figure(table()).svg().unwrap());
    }

    #[test]
    fn a_mark_has_its_sample_in_the_legend() {
        let legend = |marks: &[Mark]| {
            let series = marks.iter().map(|&mark| Series::new("a", Color::Cycle(0), vec![]).mark(mark));
            let panel = Panel::plot("", Axis::linear("x"), Axis::linear("y"), series.collect());
            figure(panel).svg().unwrap()
        };
        let samples: Vec<String> = MARKS.iter().map(|&mark| legend(&[mark])).collect();
        for (i, sample) in samples.iter().enumerate() {
            assert!(!samples[..i].contains(sample), "{:?}", MARKS[i]);
        }
    }

    /// A function on n x n points of [-2, 2]².
    fn ground(n: u32, f: impl Fn(f64, f64) -> f64, levels: &[f64]) -> Contours {
        let at: Vec<f64> = (0..n).map(|i| -2.0 + 4.0 * f64::from(i) / f64::from(n - 1)).collect();
        let z = at.iter().flat_map(|&y| at.iter().map(move |&x| (x, y))).map(|(x, y)| f(x, y));
        let levels = levels.iter().map(|&level| (level, format!("{level}"))).collect();
        Contours { z: z.collect(), levels, x: at.clone(), y: at }
    }

    #[test]
    fn level_lines_of_a_bowl_are_circles() {
        let bowl = ground(41, |x, y| x * x + y * y, &[]);
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
        let flat = ground(5, |_, _| 3.0, &[]);
        assert!(flat.lines(3.0).is_empty() && flat.lines(2.0).is_empty());
    }

    #[test]
    fn areas_above_a_level_are_all_parts_less_their_holes() {
        let size = |outline: &[(f64, f64)]| {
            let closed = outline.iter().zip(outline.iter().skip(1).chain(outline.first()));
            closed.map(|(a, b)| (a.0 * b.1 - b.0 * a.1) / 2.0).sum::<f64>()
        };
        let disc = std::f64::consts::PI * 1.5 * 1.5;
        let bowl = ground(81, |x, y| x * x + y * y, &[]);
        assert!((size(&bowl.area(2.25)) - (16.0 - disc)).abs() < 0.01, "a hole");
        let hill = ground(81, |x, y| -x * x - y * y, &[]);
        assert!((size(&hill.area(-2.25)) - disc).abs() < 0.01, "an island");
        assert!((size(&bowl.area(-1.0)) - 16.0).abs() < 1e-9, "all of it");
        assert!(bowl.area(9.0).is_empty());
        // Four corners, two of them by a saddle; a ring; the middle not known.
        let saddle = ground(80, |x, y| x * y, &[]);
        assert!((size(&saddle.area(0.0)) - 8.0).abs() < 0.01);
        let ring = ground(161, |x, y| -(x.hypot(y) - 1.0).abs(), &[]);
        assert!((size(&ring.area(-0.5)) - disc + std::f64::consts::PI * 0.25).abs() < 0.01);
        let unknown = ground(41, |x, y| if x.abs().max(y.abs()) < 0.51 { f64::NAN } else { 1.0 }, &[]);
        assert!((size(&unknown.area(0.5)) - (16.0 - 1.42)).abs() < 0.01);
    }

    #[test]
    fn log_levels_are_round_and_few() {
        let values = |z: &[f64]| Contours::log_levels(z).into_iter().map(|l| l.0).collect::<Vec<_>>();
        assert_eq!(values(&[0.03, f64::NAN, 3.0, -1.0]), [0.05, 0.1, 0.2, 0.5, 1.0, 2.0]);
        assert_eq!(
            values(&[1e-3, 40.0, 0.0]),
            [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0]
        );
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
    fn lines_at_a_saddle_do_not_cross() {
        // One cell with high corners in opposite places; the level lies below or above its middle.
        let cell = |z: [f64; 4]| Contours { x: vec![0.0, 1.0], y: vec![0.0, 1.0], z: z.to_vec(), levels: vec![] };
        let near = |lines: &[Vec<(f64, f64)>], corner: (f64, f64)| {
            let close =
                |line: &Vec<(f64, f64)>| line.iter().all(|p| (p.0 - corner.0).abs() + (p.1 - corner.1).abs() < 0.51);
            lines.len() == 2 && lines.iter().filter(|line| close(line)).count() == 1
        };
        let rising = cell([1.0, 0.0, 0.0, 1.0]);
        let [below, above] = [0.49, 0.51].map(|level| rising.lines(level));
        assert!(near(&below, (1.0, 0.0)) && near(&below, (0.0, 1.0)), "{below:?}");
        assert!(near(&above, (0.0, 0.0)) && near(&above, (1.0, 1.0)), "{above:?}");
        // The same of the mirrored cell.
        let [below, above] = [0.49, 0.51].map(|level| cell([0.0, 1.0, 1.0, 0.0]).lines(level));
        assert!(near(&below, (0.0, 0.0)) && near(&above, (1.0, 0.0)), "{below:?} {above:?}");
        let saddle = ground(12, |x, y| x * y, &[]);
        let lines = saddle.lines(1e-3);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.iter().all(|(x, y)| x * y > -1e-9)));
    }

    #[test]
    fn contours_lie_behind_the_curves_and_widen_the_range() {
        let path = Series::new("path", Color::Cycle(1), line(|x| x, -1.0, 3.0, 7)).mark(Mark::Path);
        let bowl = ground(60, |x, y| x * x + 2.0 * y * y, &[0.5, 1.0, 2.0, 4.0, 8.0]);
        let figure = figure(Panel::plot("", Axis::linear("x"), Axis::linear("y"), vec![path]).contours(bowl));
        laid_out(&figure, |plan| {
            assert!(plan.x.range.lo < -2.0 && plan.x.range.hi > 3.0 && plan.y[0].range.hi > 3.0);
            let labels = plan.level_labels();
            assert_eq!(labels.iter().map(|l| &*l.1).collect::<Vec<_>>(), ["0.5", "1", "2", "4", "8"]);
            for (i, (spot, text)) in labels.iter().enumerate() {
                assert!(labels[..i].iter().all(|(other, _)| !other.overlaps(*spot)), "{text}");
                assert!(plan.shapes().all(|curve| !touches(&curve, *spot)), "{text}");
            }
            let Place::Inside(legend) = plan.place else { return };
            assert!(labels.iter().all(|(spot, _)| !spot.overlaps(legend)));
        });
        let within = Panel::plot("", Axis::linear("x"), Axis::linear("y"), vec![]).contours(ground(9, |x, _| x, &[]));
        laid_out(&grid(1, vec![within]), |plan| {
            let square = Range { lo: -2.0, hi: 2.0 };
            assert_eq!((plan.x.range, plan.y[0].range, plan.empty), (square, square, false));
        });
        let drawn = figure.draw().unwrap();
        assert!(drawn.find("#08306B") < drawn.find("<circle") && drawn.contains("#08306B"));
        assert!(figure.svg().unwrap().len() < 60_000);
    }

    #[test]
    fn contours_of_any_kind_are_drawn_or_refused() {
        let shown = |contours, axis: fn(&'static str) -> Axis| {
            figure(Panel::plot("", axis("x"), axis("y"), vec![]).contours(contours)).svg()
        };
        let odd = |x: f64, y: f64| if x > 1.0 { f64::NAN } else { x * y * f64::MAX };
        let levels = [0.0, f64::MAX / 2.0, f64::NAN, f64::INFINITY];
        for axis in [Axis::linear, Axis::log, |l| Axis::symlog(l, -1)] as [fn(&'static str) -> Axis; 3] {
            let svg = shown(ground(9, odd, &levels), axis).unwrap();
            assert!(!svg.contains("NaN") && !svg.contains("inf"));
        }
        let good = || ground(3, |x, _| x, &[0.5]);
        let one = Contours { x: vec![1.0], y: vec![1.0], z: vec![1.0], levels: vec![(1.0, "1".into())] };
        assert!(shown(one, Axis::linear).is_ok());
        for bad in [
            Contours { z: vec![0.0; 8], ..good() },
            Contours { x: vec![0.0, 2.0, 1.0], ..good() },
            Contours { x: vec![0.0, f64::NAN, 1.0], ..good() },
            Contours { x: vec![], z: vec![], ..good() },
            Contours { levels: vec![(0.0, String::new()); MAX_LEVELS + 1], ..good() },
            ground(317, |x, _| x, &[]),
        ] {
            assert!(shown(bad, Axis::linear).is_err());
        }
        let table = || Panel { title: String::new(), content: Content::HeatMap(confusion(3)) };
        assert_eq!(figure(table().contours(good())).svg().unwrap(), figure(table()).svg().unwrap());
    }
}
