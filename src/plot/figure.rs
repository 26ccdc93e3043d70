//! What a caller describes: a figure of panels, each with curves on axes, a table of counts, small images or a surface;
//! and what cannot be drawn. Knows slices of numbers, neither tensors nor files, nor how it is drawn.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::{contour::Contours, data, levels::levels, scale::Scale};

/// Most panels in one figure; more could not be read, and would not fit in memory as a PNG.
pub const MAX_PANELS: usize = 64;
/// Most cells in one heat map.
pub const MAX_CELLS: usize = 10_000;
/// Most images in one panel.
pub const MAX_IMAGES: usize = 1000;
/// Most pixels in one panel of images.
pub const MAX_PIXELS: usize = 2_000_000;
/// Most points in the grid of one panel's level lines or surface.
pub const MAX_NODES: usize = 100_000;
/// Most values that have level lines in one panel.
pub const MAX_LEVELS: usize = 40;

/// One published picture: a grid of panels under a common title.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// What speaks against taking it at face value, a sentence each; not drawn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

/// One part of a figure.
#[must_use]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Panel {
    /// Heading of the panel. Alone in its figure, it shows only where the figure has no title.
    pub title: String,
    /// What is under the heading.
    #[serde(flatten)]
    pub content: Content,
}

/// What a panel shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Curves and points on axes.
    Plot(Plot),
    /// A table of counts on coloured cells.
    HeatMap(HeatMap),
    /// Small images, grey or in colour, with captions.
    Images(Images),
    /// A surface in a box.
    Surface(Surface),
}

/// One pair of axes with its curves, and a second vertical axis where there is one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plot {
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// In drawing order: the last one lies on top.
    pub series: Vec<Series>,
    /// A vertical axis on the right and the series that it measures, above the others.
    #[serde(default)]
    pub right: Option<(Axis, Vec<Series>)>,
    /// Values of x that vertical lines mark, behind the curves, with labels (empty for none).
    #[serde(default, deserialize_with = "data::labelled")]
    pub rules: Vec<(f64, String)>,
    /// Level lines of a function of x and y, on the left axis, behind the curves.
    #[serde(default)]
    pub contours: Option<Contours>,
}

/// A count in each cell, such as a confusion matrix; the colour may say something else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeatMap {
    /// What the columns are, and the rows.
    pub x: String,
    pub y: String,
    /// Names of the columns, left to right.
    pub columns: Vec<String>,
    /// Names of the rows, top to bottom.
    pub rows: Vec<String>,
    /// What is written in the cells, row by row, where these are large enough.
    pub counts: Vec<u64>,
    /// What colours them, from white (zero, or the lowest if negative) to dark blue (the highest); a cell whose
    /// shade is not finite is grey, such as a diagonal that would drown the rest.
    #[serde(deserialize_with = "data::numbers")]
    pub shades: Vec<f64>,
}

/// A function on a grid as a shaded surface in a box, seen from a corner and above. Its colour is its height, straight
/// between the points of the grid; lines on it lead along these points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Surface {
    /// Along the front on the left, and on the right.
    pub x: Axis,
    pub y: Axis,
    /// Upwards.
    pub z: Axis,
    /// Where the columns of the grid are, and its rows; both rise, and need not be even.
    #[serde(deserialize_with = "data::numbers")]
    pub at_x: Vec<f64>,
    #[serde(deserialize_with = "data::numbers")]
    pub at_y: Vec<f64>,
    /// The heights, row by row; a cell with a corner that the axes cannot show is left out. Of more than 25,000 cells,
    /// only every second row and column is drawn, or fewer.
    #[serde(deserialize_with = "data::numbers")]
    pub values: Vec<f64>,
    /// A path on the surface or above it, `(x, y, z)`, drawn on top with discs that grow to the last; often empty.
    #[serde(default, deserialize_with = "data::triples")]
    pub path: Vec<(f64, f64, f64)>,
    /// One marked point, such as the network itself.
    #[serde(default, deserialize_with = "data::triple")]
    pub point: Option<(f64, f64, f64)>,
}

/// Images of one size and one sort, in a grid. One too large for its place is drawn smaller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Images {
    /// Pixels per row and rows of each image.
    pub size: (usize, usize),
    /// What the bytes of all of them are.
    pub pixels: Pixels,
    /// Images per row (at least one is assumed).
    pub columns: usize,
    /// Caption (its line breaks are kept, up to three lines) and pixels row by row.
    #[serde(with = "data::bytes")]
    pub images: Vec<(String, Vec<u8>)>,
}

impl Images {
    /// Of pictures whose bytes say whether they are grey or in colour; grey ones as ink on paper, or true to their tone.
    pub fn of(size: (usize, usize), columns: usize, images: Vec<(String, Vec<u8>)>, is_ink: bool) -> Self {
        let places = size.0.saturating_mul(size.1);
        let is_grey = images.iter().all(|(_, pixels)| pixels.len() == places);
        if is_grey && is_ink {
            return Self { size, pixels: Pixels::Ink, columns, images };
        }
        let in_colour = |pixels: Vec<u8>| pixels.into_iter().flat_map(|grey| [grey; 3]).collect();
        let true_to_tone = |(caption, pixels)| (caption, if is_grey { in_colour(pixels) } else { pixels });
        Self { size, pixels: Pixels::Rgb, columns, images: images.into_iter().map(true_to_tone).collect() }
    }
}

/// The bytes of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pixels {
    /// One, from 0 for paper to 255 for ink as in MNIST.
    Ink,
    /// Three: red, green and blue.
    Rgb,
}

impl Pixels {
    /// Bytes of a pixel.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Ink => 1,
            Self::Rgb => 3,
        }
    }
}

/// An axis; its range always follows the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// Quantity, with its unit where it has one.
    pub label: String,
    /// How values map to positions.
    pub scale: Scale,
    /// The values that there are, where they are few: a horizontal axis has its ticks there. Else empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<f64>,
    /// Values that it shows in any case, such as the ends of an axis that it is held against. Else empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reach: Vec<f64>,
}

/// One curve or cloud of points.
#[must_use]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Text in the legend; empty for none.
    pub label: String,
    /// Colour of lines and points.
    pub color: Color,
    /// What is drawn at and between the points.
    pub mark: Mark,
    /// `(x, y)` in data units. A point that its axes cannot show (NaN, infinite, not positive on a log axis) interrupts
    /// the line. A band alternates between its lower and its upper edge, bars between their left and their right edge.
    #[serde(deserialize_with = "data::pairs")]
    pub points: Vec<(f64, f64)>,
    /// Points that are not among these since they are not finite.
    #[serde(default)]
    pub left_out: usize,
    /// Which of several that are alike it is, such as "seed 3"; not drawn.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What a mean is of, one curve a seed; not drawn, but the page shows them where it is asked to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Series>,
}

/// Colour of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Color {
    /// Entry of the colour-blind-safe palette (Okabe and Ito, 2008), which repeats after six.
    Cycle(usize),
    /// Near-black, for the ground truth.
    Ink,
}

/// What is drawn at and between the points of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// A solid line.
    Line,
    /// A dashed line.
    Dashed,
    /// A thin, pale line: one of those beside the line that is looked at.
    Thin,
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
    /// A training's path through a plane: a thin line with discs that grow from the first point to the last.
    Path,
    /// The same with hollow discs, for more paths than the palette has colours.
    OpenPath,
    /// A bar over each bin of a histogram; see [`Series::histogram`].
    Bars,
}

impl Axis {
    /// A linear axis with this label.
    pub fn linear(label: impl Into<String>) -> Self {
        Self::of(label, Scale::Linear)
    }

    /// A base-10 logarithmic axis with this label.
    pub fn log(label: impl Into<String>) -> Self {
        Self::of(label, Scale::Log)
    }

    /// An axis with this label that is linear within ± ten to the power `linear`, and base-10 logarithmic beyond.
    pub fn symlog(label: impl Into<String>, linear: i32) -> Self {
        Self::of(label, Scale::SymLog(linear))
    }

    fn of(label: impl Into<String>, scale: Scale) -> Self {
        Self { label: label.into(), scale, levels: Vec::new(), reach: Vec::new() }
    }

    /// The same of which these values are all there are, such as batch sizes: ticks stand at them. Where they are too many
    /// for that it is as it was.
    pub fn levels(self, values: impl IntoIterator<Item = f64>) -> Self {
        Self { levels: levels(values), ..self }
    }
}

impl Series {
    const EMPTY: Self = Self {
        label: String::new(),
        color: Color::Ink,
        mark: Mark::Line,
        points: Vec::new(),
        left_out: 0,
        name: String::new(),
        members: Vec::new(),
    };

    /// A solid line in the given colour.
    pub fn new(label: impl Into<String>, color: Color, points: Vec<(f64, f64)>) -> Self {
        Self { label: label.into(), color, mark: Mark::Line, points, ..Self::EMPTY }
    }

    /// A pale band from `(x, lower, upper)`. A lower edge that the axis cannot show, such as mean − interval on a log
    /// axis, runs off the bottom. The legend shows it together with a line of the same label and colour.
    pub fn band(label: impl Into<String>, color: Color, edges: impl IntoIterator<Item = (f64, f64, f64)>) -> Self {
        let points = edges.into_iter().flat_map(|(x, lower, upper)| [(x, lower), (x, upper)]);
        Self { label: label.into(), color, mark: Mark::Band, points: points.collect(), ..Self::EMPTY }
    }

    /// Bars from bins `(low edge, high edge, count)`. They stand on zero, or on the bottom of a log axis; an edge that
    /// the axis cannot show is at the axis's end. An empty bin has no bar.
    pub fn histogram(label: impl Into<String>, color: Color, bins: impl IntoIterator<Item = (f64, f64, f64)>) -> Self {
        let points = bins.into_iter().flat_map(|(low, high, count)| [(low, count), (high, count)]);
        Self { label: label.into(), color, mark: Mark::Bars, points: points.collect(), ..Self::EMPTY }
    }

    /// A line over epochs, one value each; the first is epoch `first`.
    pub fn over_epochs(label: impl Into<String>, color: Color, first: u32, values: &[f64]) -> Self {
        let points = (first..).zip(values).map(|(epoch, &value)| (f64::from(epoch), value));
        Self::new(label, color, points.collect())
    }

    /// The same series, of which so many points are left out that are not finite.
    pub fn left_out(mut self, points: usize) -> Self {
        self.left_out = points;
        self
    }

    /// Points that cannot be shown since they are not finite, left out already or not.
    pub fn not_finite(&self) -> usize {
        self.left_out + self.points.iter().filter(|(x, y)| !(x.is_finite() && y.is_finite())).count()
    }

    /// The same series by the name of one of several that are alike.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The same series, a mean of these.
    pub fn of(mut self, members: Vec<Self>) -> Self {
        self.members = members;
        self
    }

    /// The same series with another mark.
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

    /// A surface in a box.
    pub fn surface(title: impl Into<String>, surface: Surface) -> Self {
        Self { title: title.into(), content: Content::Surface(surface) }
    }

    /// With a change to a plot, or as it is.
    fn with(mut self, change: impl FnOnce(&mut Plot)) -> Self {
        if let Content::Plot(plot) = &mut self.content {
            change(plot);
        }
        self
    }

    /// The same curves with an axis on the right and the series that it measures; no effect on what is no plot.
    pub fn right(self, axis: Axis, series: Vec<Series>) -> Self {
        self.with(|plot| plot.right = Some((axis, series)))
    }

    /// The same curves with labelled vertical lines at these x; no effect on what is no plot.
    pub fn rules(self, rules: Vec<(f64, String)>) -> Self {
        self.with(|plot| plot.rules = rules)
    }

    /// The same curves above level lines; no effect on what is no plot.
    pub fn contours(self, contours: Contours) -> Self {
        self.with(|plot| plot.contours = Some(contours))
    }

    /// An error where the parts do not fit together, or would be too many.
    pub(super) fn check(&self) -> Result<()> {
        match &self.content {
            Content::Plot(Plot { contours: None, .. }) => {}
            Content::Plot(Plot { contours: Some(Contours { x, y, z, levels }), .. }) => {
                check_grid(x, y, z)?;
                ensure!(levels.len() <= MAX_LEVELS, "{} levels, not up to {MAX_LEVELS}", levels.len());
            }
            Content::HeatMap(HeatMap { columns, rows, counts, shades, .. }) => {
                let cells = columns.len().saturating_mul(rows.len());
                ensure!((1..=MAX_CELLS).contains(&cells), "{cells} cells, not 1 to {MAX_CELLS}");
                let given = (counts.len(), shades.len());
                ensure!(given == (cells, cells), "{} counts and {} shades for {cells} cells", given.0, given.1);
            }
            Content::Images(Images { size, pixels, images, .. }) => {
                ensure!(images.len() <= MAX_IMAGES, "{} images, not up to {MAX_IMAGES}", images.len());
                let of_one = size.0.saturating_mul(size.1);
                let all = of_one.saturating_mul(images.len());
                ensure!((1..=MAX_PIXELS).contains(&all), "{all} pixels, not 1 to {MAX_PIXELS}");
                let odd = images.iter().position(|(_, given)| given.len() != of_one * pixels.bytes());
                ensure!(odd.is_none(), "image {odd:?} has not {} x {} pixels {pixels:?}", size.0, size.1);
            }
            Content::Surface(Surface { at_x, at_y, values, .. }) => {
                ensure!(at_x.len().min(at_y.len()) > 1, "a surface of {} x {} points", at_x.len(), at_y.len());
                check_grid(at_x, at_y, values)?;
            }
        }
        Ok(())
    }
}

/// An error where values do not fit a grid with columns at `x` and rows at `y`.
fn check_grid(x: &[f64], y: &[f64], values: &[f64]) -> Result<()> {
    let nodes = x.len().saturating_mul(y.len());
    ensure!((1..=MAX_NODES).contains(&nodes), "{nodes} points of a grid, not 1 to {MAX_NODES}");
    ensure!(values.len() == nodes, "{} values on a grid of {} x {} points", values.len(), x.len(), y.len());
    ensure!([x, y].iter().all(|at| at.is_sorted_by(|a, b| a < b)), "a grid that does not rise");
    Ok(())
}

impl Plot {
    /// The vertical axes, left and right, each with the series that it measures.
    pub fn sides(&self) -> impl Iterator<Item = (&Axis, &[Series])> {
        let left = (&self.y, &self.series[..]);
        std::iter::once(left).chain(self.right.iter().map(|(axis, series)| (axis, &series[..])))
    }
}

impl Figure {
    /// Its panels that are plots.
    pub fn plots(&self) -> impl Iterator<Item = &Plot> {
        self.panels.iter().filter_map(|panel| match &panel.content {
            Content::Plot(plot) => Some(plot),
            _ => None,
        })
    }

    /// Points of its curves and surfaces that cannot be shown since they are not finite.
    pub fn not_finite(&self) -> usize {
        let of_panel = |panel: &Panel| match &panel.content {
            Content::Plot(plot) => {
                let grid = plot.contours.iter().flat_map(|contours| &contours.z).filter(|z| !z.is_finite()).count();
                grid + plot.sides().flat_map(|(_, series)| series).map(Series::not_finite).sum::<usize>()
            }
            Content::Surface(Surface { values, path, point, .. }) => {
                let marked =
                    path.iter().chain(point).filter(|(x, y, z)| ![x, y, z].iter().all(|v| v.is_finite())).count();
                values.iter().filter(|z| !z.is_finite()).count() + marked
            }
            Content::HeatMap(_) | Content::Images(_) => 0,
        };
        self.panels.iter().map(of_panel).sum()
    }
}
