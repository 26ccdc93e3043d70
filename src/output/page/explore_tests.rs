//! That the script is given what is there: every number to the bit, and the types that it is told of.

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
        let mut arrays = Arrays { bytes: vec![9], ..Arrays::default() };
        let found = serde_json::to_value(arrays.numbers(&numbers)).unwrap();
        assert_eq!(found["type"], kind, "{numbers:?}");
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&values(&found, &arrays.bytes)), bits(&numbers), "{numbers:?}");
    }
}

#[test]
fn a_figure_is_read_back_from_its_block() {
    let figure = everything();
    let text = block(&figure).unwrap().text;
    assert_eq!(text, block(&figure).unwrap().text);
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
    let (header, _) = opened(&block(&everything()).unwrap().text);
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

#[test]
fn a_figure_says_how_many_points_it_shows_of_how_many() {
    use crate::plot::{Axis, Panel, Series};
    let line = |count: u32| Series::over_epochs("", Color::Ink, 0, &vec![1.0; count as usize]);
    let figure = |series: Vec<Series>| {
        let plot = Panel::plot("", Axis::linear("x"), Axis::linear("y"), vec![line(9)]);
        plot::Figure { panels: vec![plot.right(Axis::linear("right"), series)], ..plot::Figure::default() }
    };
    let thinned = |series| block(&figure(series)).unwrap().thinned;
    assert_eq!(thinned(vec![line(6000)]), None);
    let (all, shown) = thinned(vec![line(7000), line(90_000), line(8000)]).unwrap();
    assert!(all == 90_000 && shown <= 5 * (1500 + 1), "{shown}");
}
