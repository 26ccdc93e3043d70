//! What a data set looks like: samples of each class as a picture, counts, mean and deviation as text.

use crate::data::{Data, DataSpec, Dataset as _, Normalisation, Signature, Target};
use crate::files::write_atomically;
use crate::plot::{Content, Figure, Images, Panel, rasterize};
use crate::study::number::{shortened_apart, significant};
use crate::terminal;
use anyhow::{Context as _, Result, bail};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Pictures on a sheet, about.
const PICTURES: usize = 100;
/// Of one class, at most.
const MOST_OF_CLASS: usize = 10;
/// Letters of a class's name beside others.
const LONGEST_NAME: usize = 11;
/// Features whose mean and deviation are told.
const TOLD: usize = 8;

/// The name of a set's picture.
pub fn file_name(spec: &DataSpec) -> String {
    let title = spec.title();
    let stem: String = title.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    format!("{}.png", stem.trim_start_matches('.').to_lowercase())
}

/// Counts, mean and deviation, and what was decided in reading the set.
///
/// # Errors
/// libtorch's.
pub fn text(spec: &DataSpec, data: &Data, width: Option<usize>) -> Result<String> {
    let Signature { input, target, tokens } = spec.signature();
    let sides = input.iter().map(i64::to_string).collect::<Vec<_>>().join("×");
    let kind = match (tokens, input.len()) {
        (Some(tokens), _) => format!("{sides} tokens of {tokens}"),
        (None, 3) => format!("images {sides}"),
        _ => format!("{sides} features"),
    };
    let [train, test] = spec.sizes();
    let learned = match target {
        Target::Classes(classes) => format!("{classes} classes"),
        Target::Values(values) => format!("{} to be learned, which no study of classes takes", counted(values)),
        Target::ClassesByPlace(classes) => {
            let classes = terminal::counted(classes as usize, "class", "classes");
            format!("{classes} at each place, which no study of one class an input takes")
        }
    };
    let mut text = format!("{}: {kind}, {learned}, {train} to train on, {test} to test on\n", spec.title());
    if target.classes().is_some() {
        let names = spec.class_names();
        let counts = [&data.train, &data.test].map(|split| -> Result<Vec<i64>> {
            let targets = split.targets.f_to_device(Device::Cpu)?;
            Ok(targets.f_bincount(None::<tch::Tensor>, names.len() as i64)?.try_into()?)
        });
        let [train, test] = counts;
        let (train, test) = (train?, test?);
        let columns = ["class", "train", "test"].map(str::to_owned);
        let row = |at: usize| vec![terminal::plain(&names[at]), train[at].to_string(), test[at].to_string()];
        let rows: Vec<Vec<String>> = (0..names.len()).map(row).collect();
        text.push_str(&format!("{}\n", terminal::table(&columns, &rows, width)));
    }
    if tokens.is_none() {
        let (mean, deviation) = moments(spec, data)?;
        let shown = |values: &[f64]| {
            let shown: Vec<String> = values.iter().take(TOLD).map(|value| significant(*value, 4)).collect();
            shown.join(", ") + if values.len() > TOLD { ", …" } else { "" }
        };
        let Normalisation { unit, mean: by, deviation: deviations } =
            spec.normalisation().context("no normalisation")?;
        let by_what = if input.len() == 3 { "channel" } else { "feature" };
        // As the source has them: bytes in shares of 255, other numbers as they are.
        let by_unit = unit / spec.as_is();
        let of = if by_unit == 1.0 && unit != 1.0 { " in 0…1" } else { "" };
        let in_unit = |values: Vec<f64>| values.into_iter().map(|value| value * by_unit).collect::<Vec<f64>>();
        let [mean, deviation, by, deviations] = [mean, deviation, by, deviations].map(in_unit);
        text.push_str(&format!("mean by {by_what}{of}: {}; deviation: {}\n", shown(&mean), shown(&deviation)));
        text.push_str(&format!("normalised by: {}; {}\n", shown(&by), shown(&deviations)));
    }
    for note in spec.notes() {
        text.push_str(&format!("{}\n", terminal::plain(&note)));
    }
    Ok(text + &format!("identity: {}\n", spec.identity()))
}

fn counted(values: i64) -> String {
    terminal::counted(values as usize, "value", "values")
}

/// Mean and population standard deviation over the training samples, by channel or feature, in the unit that
/// normalisation starts from.
fn moments(spec: &DataSpec, data: &Data) -> Result<(Vec<f64>, Vec<f64>)> {
    let Normalisation { mean: by, deviation: deviations, .. } = spec.normalisation().context("no normalisation")?;
    let means = by_group(spec, data, by.len(), &vec![0.0; by.len()], 1)?;
    let squares = by_group(spec, data, by.len(), &means, 2)?;
    let in_unit = |(at, value): (usize, f64), offset: f64| value * deviations[at] + offset;
    let deviation = squares.into_iter().map(f64::sqrt).enumerate().map(|each| in_unit(each, 0.0)).collect();
    Ok((means.into_iter().enumerate().map(|each| in_unit(each, by[each.0])).collect(), deviation))
}

/// Of each channel or feature the mean over the training samples of a power of what is left of them above `from`.
fn by_group(spec: &DataSpec, data: &Data, groups: usize, from: &[f64], power: i64) -> Result<Vec<f64>> {
    let (mut sums, mut count) = (vec![0.0; groups], 0.0);
    let from = Tensor::f_from_slice(from)?.f_view([-1, 1])?;
    for block in data.train.blocks(1000) {
        // [samples, groups, places]
        let places = spec.signature().numbers() / groups as i64;
        let x = block?.0.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?.f_view([-1, groups as i64, places])?;
        count += (x.size()[0] * places) as f64;
        let x = x.f_sub(&from)?.f_pow_tensor_scalar(power)?.f_sum_dim_intlist(&[0i64, 2][..], false, Kind::Double)?;
        for (sum, add) in sums.iter_mut().zip(Vec::<f64>::try_from(x)?) {
            *sum += add;
        }
    }
    Ok(sums.into_iter().map(|sum| sum / count).collect())
}

/// Draws the first training samples of each class, a row a class where there are few; whether there is anything to see.
///
/// # Errors
/// Where the picture cannot be written.
pub fn draw(data: &Data, path: &Path) -> Result<bool> {
    let set = &data.set;
    let (Some([height, width]), names) = (set.signature().shown(), set.class_names()) else { return Ok(false) };
    let of_class = (PICTURES / names.len().max(1)).clamp(1, MOST_OF_CLASS);
    let labels: Vec<i64> = match set.signature().target.classes() {
        Some(_) => data.train.targets.f_to_device(Device::Cpu)?.try_into()?,
        None => return Ok(false),
    };
    let mut places: Vec<Vec<i64>> = vec![Vec::new(); names.len()];
    for (at, label) in (0..).zip(labels) {
        let places = &mut places[label as usize];
        if places.len() < of_class {
            places.push(at);
        }
    }
    let mut images = Vec::new();
    let names: Vec<String> = names.iter().map(|name| terminal::plain(name)).collect();
    let names = shortened_apart(&names, LONGEST_NAME);
    for (places, name) in places.iter().zip(&names).take(PICTURES) {
        for &place in places {
            let Some(pixels) = set.picture(&data.train.input(place)?)? else { return Ok(false) };
            images.push((name.clone(), pixels));
        }
    }
    let columns = if of_class > 1 { of_class } else { 10 };
    let images = Images::of((width, height), columns, images, set.one() == "digit");
    let figure = Figure {
        name: "samples".into(),
        title: format!("Samples of {}", set.title()),
        caption: format!("The first training samples of each class of {}.", set.title()),
        columns: 1,
        panels: vec![Panel { title: String::new(), content: Content::Images(images) }],
        doubts: Vec::new(),
    };
    let svg = figure.drawing()?.publish()?;
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    let bytes = match ending.as_deref() {
        Some("svg") => svg.into_bytes(),
        Some("png") => rasterize(&svg)?,
        _ => bail!("{} is to be a picture: let its name end in .png or .svg", path.display()),
    };
    // Beside it is where the file is made: that takes a folder's name.
    std::path::absolute(path)
        .and_then(|path| write_atomically(&path, &bytes))
        .with_context(|| format!("cannot write {}; name another file with --out", path.display()))?;
    Ok(true)
}
