//! What the page's script reads of a figure: a header in JSON and typed arrays behind it, compressed, in base64. Lines of more
//! points than a screen has columns of pixels are thinned. `page/types.js` says the same to the script, and a test holds the
//! two together.

use super::names::Names;
use super::thin::{thinned, thinned_band};
use crate::plot::{self, Color, Content, Mark, Pixels, Scale};
use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, GzBuilder};
use serde::Serialize;
use std::io::Write as _;

/// A figure as the script knows it.
#[derive(Serialize)]
struct Figure<'a> {
    name: &'a str,
    title: &'a str,
    caption: &'a str,
    columns: usize,
    panels: Vec<Panel<'a>>,
}

#[derive(Serialize)]
struct Panel<'a> {
    title: &'a str,
    #[serde(flatten)]
    content: Shown<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Shown<'a> {
    Plot(Plot<'a>),
    HeatMap(HeatMap<'a>),
    Images(Images<'a>),
    Surface(Surface<'a>),
}

#[derive(Serialize)]
struct Plot<'a> {
    x: Axis<'a>,
    y: Axis<'a>,
    series: Vec<Series<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    right: Option<Right<'a>>,
    rules: Vec<Rule<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contours: Option<Contours<'a>>,
}

#[derive(Serialize)]
struct Right<'a> {
    axis: Axis<'a>,
    series: Vec<Series<'a>>,
}

#[derive(Serialize)]
struct Rule<'a> {
    x: f64,
    label: &'a str,
}

#[derive(Serialize)]
struct Axis<'a> {
    label: &'a str,
    scale: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    linear: Option<i32>,
    levels: &'a [f64],
    reach: &'a [f64],
}

#[derive(Serialize)]
struct Series<'a> {
    label: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    color: Option<usize>,
    mark: Mark,
    x: Numbers,
    y: Numbers,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Numbers>,
    left_out: usize,
    of: usize,
    name: &'a str,
    members: Vec<Series<'a>>,
}

#[derive(Serialize)]
struct Contours<'a> {
    x: Numbers,
    y: Numbers,
    z: Numbers,
    levels: Vec<Level<'a>>,
}

#[derive(Serialize)]
struct Level<'a> {
    value: f64,
    label: &'a str,
}

#[derive(Serialize)]
struct HeatMap<'a> {
    x: &'a str,
    y: &'a str,
    columns: &'a [String],
    rows: &'a [String],
    counts: Numbers,
    shades: Numbers,
}

#[derive(Serialize)]
struct Images<'a> {
    width: usize,
    height: usize,
    pixels: Pixels,
    columns: usize,
    captions: Vec<&'a str>,
    bytes: Numbers,
}

#[derive(Serialize)]
struct Surface<'a> {
    x: Axis<'a>,
    y: Axis<'a>,
    z: Axis<'a>,
    at_x: Numbers,
    at_y: Numbers,
    values: Numbers,
    path: Numbers,
    point: Numbers,
}

/// Where an array stands behind the header, or a range, which needs none.
#[derive(Serialize)]
struct Numbers {
    #[serde(rename = "type")]
    kind: &'static str,
    count: usize,
    /// Bytes from the end of the header; of a range its first number.
    at: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<f64>,
}

/// A figure for the script.
pub(super) struct Block {
    pub text: String,
    /// Of the curve with most points of those that are thinned: how many it has, and how many are here.
    pub thinned: Option<(usize, usize)>,
}

/// The figure for the script: base64 of gzip of the header's length, the header and its arrays. Equal figures give equal text.
///
/// # Errors
/// None that is known: all is in memory.
pub(super) fn block(figure: &plot::Figure) -> Result<Block> {
    let names = Names::of(figure);
    let mut arrays = Arrays::default();
    let panels = figure
        .panels
        .iter()
        .map(|panel| Panel { title: &panel.title, content: arrays.content(&panel.content, &names) });
    let plot::Figure { name, title, caption, columns, .. } = figure;
    let columns = (*columns).max(1);
    let header = Figure { name, title, caption, columns, panels: panels.collect() };
    let mut header = serde_json::to_vec(&header)?;
    // The arrays begin, as each of them does, at a multiple of eight.
    header.resize((header.len() + 4).next_multiple_of(8) - 4, b' ');
    let length = u32::try_from(header.len()).context("the figure's header is too long")?;
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
    gzip.write_all(&length.to_le_bytes())?;
    gzip.write_all(&header)?;
    gzip.write_all(&arrays.bytes)?;
    Ok(Block { text: STANDARD.encode(gzip.finish()?), thinned: arrays.thinned })
}

/// The arrays behind the header, as they are written.
#[derive(Default)]
struct Arrays {
    bytes: Vec<u8>,
    thinned: Option<(usize, usize)>,
}

impl Arrays {
    fn content<'a>(&mut self, content: &'a Content, names: &Names<'a>) -> Shown<'a> {
        match content {
            Content::Plot(plot) => Shown::Plot(self.plot(plot, names)),
            Content::HeatMap(plot::HeatMap { x, y, columns, rows, counts, shades }) => {
                let counts: Vec<f64> = counts.iter().map(|&count| count as f64).collect();
                let (counts, shades) = (self.numbers(&counts), self.numbers(shades));
                Shown::HeatMap(HeatMap { x, y, columns, rows, counts, shades })
            }
            Content::Images(plot::Images { size: (width, height), pixels, columns, images }) => {
                let bytes: Vec<u8> = images.iter().flat_map(|(_, bytes)| bytes).copied().collect();
                Shown::Images(Images {
                    width: *width,
                    height: *height,
                    pixels: *pixels,
                    columns: (*columns).max(1),
                    captions: images.iter().map(|(caption, _)| caption.as_str()).collect(),
                    bytes: self.array("u8", bytes.len(), bytes),
                })
            }
            Content::Surface(surface) => {
                let points = |points: &[(f64, f64, f64)]| points.iter().flat_map(|&(x, y, z)| [x, y, z]).collect();
                let (path, point): (Vec<f64>, Vec<f64>) = (points(&surface.path), points(surface.point.as_slice()));
                Shown::Surface(Surface {
                    x: axis(&surface.x),
                    y: axis(&surface.y),
                    z: axis(&surface.z),
                    at_x: self.numbers(&surface.at_x),
                    at_y: self.numbers(&surface.at_y),
                    values: self.numbers(&surface.values),
                    path: self.numbers(&path),
                    point: self.numbers(&point),
                })
            }
        }
    }

    fn plot<'a>(&mut self, plot: &'a plot::Plot, names: &Names<'a>) -> Plot<'a> {
        let mut named = |series: &'a plot::Series| {
            let label = names.name(series);
            Series { label, ..self.series(series, plot.x.scale) }
        };
        let series = plot.series.iter().map(&mut named).collect();
        let right = plot
            .right
            .as_ref()
            .map(|(right, measured)| Right { axis: axis(right), series: measured.iter().map(&mut named).collect() });
        let contours = plot.contours.as_ref();
        Plot {
            x: axis(&plot.x),
            y: axis(&plot.y),
            series,
            right,
            rules: plot.rules.iter().map(|(x, label)| Rule { x: *x, label }).collect(),
            contours: contours.map(|plot::Contours { x, y, z, levels }| Contours {
                x: self.numbers(x),
                y: self.numbers(y),
                z: self.numbers(z),
                levels: levels.iter().map(|(value, label)| Level { value: *value, label }).collect(),
            }),
        }
    }

    fn series<'a>(&mut self, series: &'a plot::Series, scale: Scale) -> Series<'a> {
        let plot::Series { label, color, mark, points, name, members, .. } = series;
        let two_a_point = matches!(mark, Mark::Band | Mark::Bars);
        let (x, y, to) = if two_a_point {
            let pairs = points.as_chunks::<2>().0.iter();
            let edges: Vec<[f64; 3]> = match mark {
                Mark::Bars => pairs.map(|[(low, count), (high, _)]| [*low, *count, *high]).collect(),
                _ => {
                    thinned_band(&pairs.map(|[(x, lower), (_, upper)]| [*x, *lower, *upper]).collect::<Vec<_>>(), scale)
                }
            };
            let column = |i: usize| edges.iter().map(|edge| edge[i]).collect::<Vec<f64>>();
            (column(0), column(1), Some(column(2)))
        } else {
            let kept = thinned(points, scale, *mark);
            if kept.len() < points.len() {
                self.thinned = self.thinned.max(Some((points.len(), kept.len())));
            }
            let (x, y) = kept.into_iter().unzip();
            (x, y, None)
        };
        Series {
            label,
            color: match color {
                Color::Cycle(place) => Some(*place),
                Color::Ink => None,
            },
            mark: *mark,
            x: self.numbers(&x),
            y: self.numbers(&y),
            to: to.map(|to| self.numbers(&to)),
            left_out: series.not_finite(),
            of: points.len() / if two_a_point { 2 } else { 1 },
            name,
            members: members.iter().map(|member| self.series(member, scale)).collect(),
        }
    }

    /// In the smallest type that holds them exactly.
    fn numbers(&mut self, values: &[f64]) -> Numbers {
        let count = values.len();
        if let [first, second, ..] = values
            && count > 2
            && (second - first).is_finite()
            && values.iter().enumerate().all(|(i, value)| *value == first + (second - first) * i as f64)
        {
            return Numbers { kind: "range", count, at: *first, step: Some(second - first) };
        }
        let whole = |low: f64, high: f64| {
            values.iter().all(|value| {
                (low..=high).contains(value) && value.fract() == 0.0 && value.to_bits() != (-0.0_f64).to_bits()
            })
        };
        // Casts of numbers that fit, as has just been seen.
        if whole(0.0, 255.0) {
            self.array("u8", count, values.iter().map(|value| *value as u8))
        } else if whole(f64::from(i32::MIN), f64::from(i32::MAX)) {
            self.array("i32", count, values.iter().flat_map(|value| (*value as i32).to_le_bytes()))
        } else if values.iter().all(|value| !value.is_finite() || f64::from(*value as f32) == *value) {
            self.array("f32", count, values.iter().flat_map(|value| (*value as f32).to_le_bytes()))
        } else {
            self.array("f64", count, values.iter().flat_map(|value| value.to_le_bytes()))
        }
    }

    fn array(&mut self, kind: &'static str, count: usize, bytes: impl IntoIterator<Item = u8>) -> Numbers {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let at = self.bytes.len() as f64;
        self.bytes.extend(bytes);
        Numbers { kind, count, at, step: None }
    }
}

fn axis(axis: &plot::Axis) -> Axis<'_> {
    let (scale, linear) = match axis.scale {
        Scale::Linear => ("linear", None),
        Scale::Log => ("log", None),
        Scale::SymLog(power) => ("symlog", Some(power)),
    };
    Axis { label: &axis.label, scale, linear, levels: &axis.levels, reach: &axis.reach }
}

#[cfg(test)]
#[path = "explore_tests.rs"]
mod tests;
