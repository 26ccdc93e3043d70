//! The weights in a file, of a model whose layout is known: a .safetensors, or a program of the same layout. What is wrong
//! with one that has none, and what several files are called beside each other. Knows no settings and no data.

use super::fitted::fitted;
use super::subject::What;
use crate::error::{one_line, usage};
use crate::model::program::{Program, convert};
use crate::model::{Layout, Weights};
use crate::store::weights::decode;
use anyhow::{Result, bail};
use std::path::Path;
use tch::{Device, Tensor};

/// Which weights need no naming.
pub const FINAL: &str = "final";

/// An error in a file, which it names.
pub fn of_file(path: &Path, error: &anyhow::Error) -> anyhow::Error {
    usage(format!("{}: {}", path.display(), one_line(error)))
}

/// The weights of a layout in the bytes of a file, .safetensors or a program of the same layout; and which they are.
pub fn weights_in(path: &Path, bytes: &[u8], which: &str, what: &What, layout: &Layout) -> Result<(Weights, String)> {
    let program = if let What::Program(program) = what { Some(&**program) } else { None };
    let is_program = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("pt2"));
    if is_program {
        let other = Program::read(bytes).map_err(|error| of_file(path, &error))?;
        let same = same_layout(other.layout(), layout);
        same.map_err(|why| usage(format!("{}: {why}: it is a program of another layout", path.display())))?;
        return Ok((other.weights(other.precision(), Device::Cpu)?, String::new()));
    }
    let no_file = |error: anyhow::Error| usage(format!("{}: {}", path.display(), no_weights(bytes, &error)));
    let tensors = decode(bytes).map_err(no_file)?.0;
    fitted(&tensors, which, layout, program).map_err(|error| of_file(path, &error))
}

/// That two layouts have the same slices in the same order, or what differs.
fn same_layout(other: &Layout, layout: &Layout) -> Result<(), String> {
    for (theirs, ours) in [(&other.slots, &layout.slots), (&other.buffers, &layout.buffers)] {
        for (at, own) in ours.iter().enumerate() {
            let Some(their) = theirs.get(at) else { return Err(format!("it has no {}", own.name)) };
            if (&their.name, &their.shape) != (&own.name, &own.shape) {
                return Err(format!(
                    "it has {} of shape {:?} where the model has {} of {:?}",
                    their.name, their.shape, own.name, own.shape
                ));
            }
        }
        if let Some(further) = theirs.get(ours.len()) {
            return Err(format!("it has {}, which the model has not", further.name));
        }
    }
    Ok(())
}

/// The file's stem.
pub fn stem(path: &str) -> String {
    Path::new(path).file_stem().map_or(path.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// What paths are called beside each other: by their stems, with so many of their folders as tell them apart.
pub fn names(paths: &[String]) -> Vec<String> {
    let name = |path: &String, folders: usize| {
        let above = Path::new(path).ancestors().skip(1).take(folders);
        let above: Vec<String> =
            above.filter_map(|folder| Some(folder.file_name()?.to_string_lossy().into_owned())).collect();
        above.into_iter().rev().chain([stem(path)]).collect::<Vec<_>>().join("-")
    };
    let most = paths.iter().map(|path| Path::new(path).components().count()).max().unwrap_or(0);
    let mut folders = vec![0; paths.len()];
    for _ in 0..=most {
        let names: Vec<String> = paths.iter().zip(&folders).map(|(path, folders)| name(path, *folders)).collect();
        let is_twice = |name: &String| names.iter().filter(|other| *other == name).count() > 1;
        if !names.iter().any(is_twice) {
            return names;
        }
        folders.iter_mut().zip(&names).filter(|(_, name)| is_twice(name)).for_each(|(folders, _)| *folders += 1);
    }
    paths.iter().zip(1..).map(|(path, number)| format!("{}-{number}", stem(path))).collect()
}

/// Why bytes are no weights.
fn no_weights(bytes: &[u8], error: &anyhow::Error) -> String {
    if bytes.starts_with(b"PK") || bytes.first() == Some(&0x80) {
        return format!(
            "it is no .safetensors file but one of torch.save, a pickle, which can run code of others: {}",
            convert()
        );
    }
    format!("it is no .safetensors file, or a truncated one: {}", one_line(error))
}

/// Names the slice whose numbers are not all finite.
pub fn check_finite(weights: &Weights, layout: &Layout) -> Result<()> {
    // A mask of attention is a buffer with -∞.
    let is_good = |flat: &Tensor, of_theta: bool| -> Result<bool> {
        let good = if of_theta { flat.f_isfinite()? } else { flat.f_isnan()?.f_logical_not()? };
        Ok(good.f_all()?.f_int64_value(&[])? == 1)
    };
    for (slots, flat, of_theta) in [(&layout.slots, &weights.theta, true), (&layout.buffers, &weights.buffers, false)] {
        if is_good(flat, of_theta)? {
            continue;
        }
        let bad = slots.iter().find(|slot| !is_good(&slot.view(flat), of_theta).unwrap_or(true));
        let name = bad.map_or("a weight", |slot| &slot.name);
        bail!(usage(format!(
            "{name} has a value that is no finite number: the training diverged, or the file is damaged; take other weights"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solutions_are_told_apart_by_as_few_folders_as_needed() {
        for (paths, expected) in [
            (&["/a/x.safetensors", "/a/y.safetensors"][..], &["x", "y"][..]),
            (&["/a/0/final.safetensors", "/a/1/final.safetensors"], &["0-final", "1-final"]),
            (&["/a/0/b/w.pt2", "/a/1/b/w.pt2", "/a/1/b/v.pt2"], &["0-b-w", "1-b-w", "v"]),
            (&["/w.safetensors", "/w.pt2"], &["w-1", "w-2"]),
            (&[], &[]),
        ] {
            assert_eq!(names(&paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>()), expected, "{paths:?}");
        }
    }
}
