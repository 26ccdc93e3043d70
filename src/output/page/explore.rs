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

/// The figure for the script: base64 of gzip of the header's length, the header and its arrays. Equal figures give equal text.
///
/// # Errors
/// None that is known: all is in memory.
pub(super) fn block(figure: &plot::Figure) -> Result<String> {
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
    gzip.write_all(&arrays.0)?;
    Ok(STANDARD.encode(gzip.finish()?))
}

/// The arrays behind the header, as they are written.
#[derive(Default)]
struct Arrays(Vec<u8>);

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
            let (x, y) = thinned(points, scale, *mark).into_iter().unzip();
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
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        let at = self.0.len() as f64;
        self.0.extend(bytes);
        Numbers { kind, count, at, step: None }
    }
}

fn axis(axis: &plot::Axis) -> Axis<'_> {
    let (scale, linear) = match axis.scale {
        Scale::Linear => ("linear", None),
        Scale::Log => ("log", None),
        Scale::SymLog(power) => ("symlog", Some(power)),
    };
    Axis { label: &axis.label, scale, linear, levels: &axis.levels }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::{BTreeMap, BTreeSet};
    use std::io::Read as _;

    /// A figure with all that there is.
    fn everything() -> plot::Figure {
        let points = vec![(0.5, 1e-7), (1.0, f64::NAN), (3.0, 1.0 / 3.0), (7.0, 2.0)];
        let member = plot::Series::new("", Color::Ink, points.clone()).named("seed 0");
        let mean = plot::Series::new("</script>", Color::Cycle(7), points.clone()).of(vec![member]);
        let band = plot::Series::band("", Color::Ink, [(0.0, 1.0, 2.5), (1.0, 3.0, 4.0)]);
        let bars = plot::Series::histogram("", Color::Ink, [(0.0, 0.5, 300.0), (0.5, 1.0, 7.0)]);
        let contours = plot::Contours {
            x: vec![0.0, 0.1, 0.2],
            y: vec![-1.0, 70_000.0],
            z: vec![1.0, f64::NAN, 2.0, 4.0, 0.1, 0.2],
            levels: vec![(1.5, "1.5".into())],
        };
        let axis = plot::Axis::linear;
        let curves = plot::Panel::plot("curves", axis("x"), axis("y"), vec![band, bars, mean.clone()])
            .right(plot::Axis::symlog("right", -3), vec![mean])
            .rules(vec![(0.5, "rule".into())])
            .contours(contours);
        let heat_map = Content::HeatMap(plot::HeatMap {
            x: "predicted".into(),
            y: "true".into(),
            columns: vec!["0".into(), "1".into()],
            rows: vec!["0".into()],
            counts: vec![1 << 40, 3],
            shades: vec![f64::NAN, 0.25],
        });
        let pictures = vec![("seven".to_owned(), vec![0, 255, 3, 4]), ("one".to_owned(), vec![9; 4])];
        let images = Content::Images(plot::Images::of((2, 2), 3, pictures, true));
        let surface = plot::Surface {
            x: axis("x"),
            y: axis("y"),
            z: plot::Axis::log("z"),
            at_x: vec![0.0, 1.0],
            at_y: vec![0.0, 2.0],
            values: vec![1.0, 2.0, 3.0, f64::NAN],
            path: vec![(0.0, 0.5, 1.0), (1.0, 1.0, 0.25)],
            point: Some((0.0, 0.0, 1.5)),
        };
        let panel = |content| plot::Panel { title: String::new(), content };
        let panels = vec![curves, panel(heat_map), panel(images), plot::Panel::surface("", surface)];
        let [name, title, caption] = ["name", "title", "caption"].map(str::to_owned);
        plot::Figure { name, title, caption, columns: 2, panels, ..plot::Figure::default() }
    }

    /// The header, and what follows it.
    fn opened(block: &str) -> (Value, Vec<u8>) {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(&STANDARD.decode(block).unwrap()[..]).read_to_end(&mut bytes).unwrap();
        let length = u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
        assert_eq!((4 + length) % 8, 0);
        (serde_json::from_slice(&bytes[4..4 + length]).unwrap(), bytes.split_off(4 + length))
    }

    /// As the script reads it.
    fn values(numbers: &Value, arrays: &[u8]) -> Vec<f64> {
        let number = |name: &str| numbers[name].as_f64().unwrap();
        let (count, at) = (number("count") as usize, number("at"));
        let start = at as usize;
        let of = |size: usize| {
            assert_eq!(start % 8, 0);
            arrays[start..start + size * count].chunks_exact(size)
        };
        match numbers["type"].as_str().unwrap() {
            "range" => (0..count).map(|i| at + number("step") * i as f64).collect(),
            "u8" => of(1).map(|bytes| f64::from(bytes[0])).collect(),
            "i32" => of(4).map(|bytes| f64::from(i32::from_le_bytes(bytes.try_into().unwrap()))).collect(),
            "f32" => of(4).map(|bytes| f64::from(f32::from_le_bytes(bytes.try_into().unwrap()))).collect(),
            "f64" => of(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect(),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn every_number_comes_back_to_the_bit_in_the_smallest_type() {
        for (numbers, kind) in [
            (vec![0.0, 255.0, 7.0], "u8"),
            (vec![-1.0, 255.0, 7.0], "i32"),
            (vec![0.0, 256.0, 7.0], "i32"),
            (vec![2_147_483_648.0, 1.0, 7.0], "f32"),
            (vec![2_147_483_649.0, 1.0, 7.0], "f64"),
            (vec![-0.0, 1.0, 7.0], "f32"),
            (vec![0.5, f64::NAN, f64::NAN], "f32"),
            (vec![0.1, 0.5], "f64"),
            (vec![1.0, 2.0, 3.0], "range"),
            (vec![0.0, 0.1, 0.2], "range"),
            (vec![0.0, 0.1, 0.3], "f64"),
            (vec![5.0; 4], "range"),
            (vec![1.0, 2.0], "u8"),
            (vec![], "u8"),
            (vec![f64::INFINITY, 1.0, 2.0], "f32"),
            (vec![1e300, 1.0, 2.0], "f64"),
        ] {
            let mut arrays = Arrays(vec![9]);
            let found = serde_json::to_value(arrays.numbers(&numbers)).unwrap();
            assert_eq!(found["type"], kind, "{numbers:?}");
            let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&values(&found, &arrays.0)), bits(&numbers), "{numbers:?}");
        }
    }

    #[test]
    fn a_figure_is_read_back_from_its_block() {
        let figure = everything();
        let text = block(&figure).unwrap();
        assert_eq!(text, block(&figure).unwrap());
        let (header, arrays) = opened(&text);
        let at = |pointer: &str| header.pointer(pointer).unwrap_or_else(|| panic!("{pointer} in {header}"));
        let read = |pointer: &str| values(at(pointer), &arrays);
        let shown = |values: Vec<f64>| format!("{values:?}");
        assert_eq!(read("/panels/0/plot/series/0/to"), [2.5, 4.0]);
        assert_eq!(read("/panels/0/plot/series/1/x"), [0.0, 0.5]);
        assert_eq!(read("/panels/0/plot/series/1/y"), [300.0, 7.0]);
        assert_eq!(read("/panels/0/plot/series/1/to"), [0.5, 1.0]);
        let y = "[1e-7, NaN, 0.3333333333333333, 2.0]";
        assert_eq!(shown(read("/panels/0/plot/series/2/y")), y);
        assert_eq!(shown(read("/panels/0/plot/right/series/0/members/0/y")), y);
        assert_eq!((at("/panels/0/plot/series/2/of"), at("/panels/0/plot/series/2/left_out")), (&4.into(), &1.into()));
        assert_eq!(at("/panels/0/plot/series/2/label"), "</script>");
        assert_eq!(shown(read("/panels/0/plot/contours/z")), "[1.0, NaN, 2.0, 4.0, 0.1, 0.2]");
        assert_eq!(read("/panels/1/heat_map/counts"), [f64::from(1u32 << 20) * f64::from(1 << 20), 3.0]);
        assert_eq!(read("/panels/2/images/bytes"), [0.0, 255.0, 3.0, 4.0, 9.0, 9.0, 9.0, 9.0]);
        assert_eq!(read("/panels/3/surface/path"), [0.0, 0.5, 1.0, 1.0, 1.0, 0.25]);
    }

    /// Names of the properties of each type of page/types.js, up to where it says that no more is Rust's; optional ones
    /// in brackets.
    fn types() -> BTreeMap<String, BTreeSet<String>> {
        let text = include_str!("../../../page/types.js");
        let (rusts, _) = text.split_once("// From here on nothing of Rust's.").unwrap();
        let mut types = BTreeMap::<String, BTreeSet<String>>::new();
        let mut current = String::new();
        for line in rusts.lines() {
            if let Some(name) = line.trim().strip_prefix("* @typedef {object} ") {
                current = name.to_owned();
                types.insert(current.clone(), BTreeSet::new());
            } else if let Some((_, name)) = line.split_once("} ").filter(|_| line.contains("@property")) {
                let name = name.split_whitespace().next().unwrap();
                types.get_mut(&current).unwrap().insert(name.to_owned());
            }
        }
        types
    }

    #[test]
    fn the_script_is_told_of_the_types_that_are_written() {
        let (header, _) = opened(&block(&everything()).unwrap());
        let panel = |i: usize| header["panels"][i].clone();
        let plot = &panel(0)["plot"];
        let written: [(&str, Vec<&Value>); 12] = [
            ("Figure", vec![&header]),
            ("Panel", header["panels"].as_array().unwrap().iter().collect()),
            ("Plot", vec![plot]),
            ("Right", vec![&plot["right"]]),
            ("Rule", vec![&plot["rules"][0]]),
            ("Axis", vec![&plot["x"], &plot["right"]["axis"]]),
            ("Series", plot["series"].as_array().unwrap().iter().collect()),
            ("Numbers", vec![&plot["series"][0]["x"], &plot["contours"]["x"]]),
            ("Contours", vec![&plot["contours"]]),
            ("Level", vec![&plot["contours"]["levels"][0]]),
            ("HeatMap", vec![&header["panels"][1]["heat_map"]]),
            ("Images", vec![&header["panels"][2]["images"]]),
        ];
        let mut types = types();
        let surface = ("Surface", vec![&header["panels"][3]["surface"]]);
        for (name, values) in written.into_iter().chain([surface]) {
            let told = types.remove(name).unwrap_or_else(|| panic!("no type {name}"));
            let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
            let all: BTreeSet<String> = values.iter().flat_map(|value| keys(value)).collect();
            let always = |key: &String| values.iter().all(|value| value.get(key).is_some());
            // Plot's optional ones are both there; elsewhere a key that one value lacks is optional.
            let optional = |key: &String| !always(key) || told.contains(&format!("[{key}]"));
            let found = all.iter().map(|key| if optional(key) { format!("[{key}]") } else { key.clone() });
            assert_eq!(found.collect::<BTreeSet<_>>(), told, "{name}");
        }
        assert_eq!(types.keys().collect::<Vec<_>>(), [""; 0], "types that nothing writes");
    }
}
