//! A data set by its path: which format is there, and what it holds, read once a process and remembered on disk by path,
//! size and time of each file. Knows no set by name.

use super::Access;
use super::decoded::{About, Arrays, Decoded, Learned, Taken};
use super::formats::{self, Format};
use super::memory;
use super::options::DataOptions;
use super::raw::{Kind, Numbers, Reading};
use super::remembered::{Place, Stamp};
use super::sets::SETS;
use super::stored::{Stored, shaped};
use crate::error::usage;
use anyhow::{Context as _, Result, anyhow, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tch::Tensor;

/// What stands at a path, opened: what is known of it at once, its numbers when they are asked for.
pub struct Source {
    reader: Reader,
    pub about: About,
    /// Training and test samples, where they are in memory.
    tensors: Mutex<Option<[Stored; 2]>>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}", self.reader.path.display())
    }
}

/// Sources that this process has opened, by path and what decides what is read.
static OPENED: Mutex<BTreeMap<String, Arc<Source>>> = Mutex::new(BTreeMap::new());

impl Source {
    /// What is at a path: from memory, from what an earlier process remembered, or read. In a format that is known, or
    /// told by what is there.
    ///
    /// # Errors
    /// In a line, naming the file: where nothing is there that is known, or it cannot be read.
    pub fn open(path: &Path, format: Option<Format>, options: &DataOptions, access: &Access) -> Result<Arc<Self>> {
        let canonical = path.canonicalize().map_err(|error| unreadable(path, &error))?;
        let key = key(&canonical, format, options)?;
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = opened.get(&key) {
            return Ok(source.clone());
        }
        let source = Arc::new(Reader::of(path, &key, format, options)?.opened(access)?);
        opened.insert(key, source.clone());
        Ok(source)
    }

    /// The training and the test samples, sharing memory with all who ask.
    ///
    /// # Errors
    /// Where they must be read again, and what is there has changed.
    pub fn tensors(&self, access: &Access) -> Result<[Stored; 2]> {
        let mut held = self.tensors.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() {
            *held = Some(self.read_again(access)?);
        }
        let both = held.as_ref().context("nothing was read")?;
        Ok(both.each_ref().map(Stored::share))
    }

    fn read_again(&self, access: &Access) -> Result<[Stored; 2]> {
        let Self { reader, about, .. } = self;
        if let Some(arrays) = reader.place.as_ref().and_then(|place| place.arrays(&reader.stamp, about)) {
            return Ok(arrays);
        }
        let (found, tensors) = reader.read(access)?;
        if found.digest != about.digest {
            if let Some(place) = &reader.place {
                place.forget();
            }
            bail!("{} changed while hw1 was running; start again", reader.path.display());
        }
        Ok(tensors)
    }
}

/// How a source is read, and where it is remembered.
struct Reader {
    /// As it was named.
    path: PathBuf,
    format: Format,
    /// A set with a name.
    is_known: bool,
    options: DataOptions,
    stamp: Stamp,
    place: Option<Place>,
}

impl Reader {
    fn of(path: &Path, key: &str, format: Option<Format>, options: &DataOptions) -> Result<Self> {
        let is_known = format.is_some();
        let (format, files) = formats::of(path, format)?.ok_or_else(|| unknown(path))?;
        options.check_for(format).map_err(usage)?;
        let (stamp, place) = (Stamp::of(path, &files)?, Place::of(key));
        Ok(Self { path: path.to_owned(), format, is_known, options: options.clone(), stamp, place })
    }

    fn opened(self, access: &Access) -> Result<Source> {
        let (about, tensors) = match self.place.as_ref().and_then(|place| place.about(&self.stamp)) {
            Some(about) => (about, None),
            None => self.read(access).map(|(about, tensors)| (about, Some(tensors)))?,
        };
        Ok(Source { reader: self, about, tensors: Mutex::new(tensors) })
    }

    /// From its files; what was read is remembered.
    fn read(&self, access: &Access) -> Result<(About, [Stored; 2])> {
        let decoded = self.decode(access)?;
        // Where nobody looks, nothing is left behind.
        if let Some(place) = self.place.as_ref().filter(|_| access.watch.is_some()) {
            // A cache that takes nothing costs the next process time, and this one nothing.
            let _ = place.remember(&self.stamp, &decoded, self.format.is_slow());
        }
        let tensors = tensors(&decoded.about, decoded.arrays)?;
        Ok((decoded.about, tensors))
    }

    fn decode(&self, access: &Access) -> Result<Decoded> {
        let (of_reader, path) = (self.options.of_reader(), self.path.display());
        let raw = access.read(&format!("reading {path}"), |progress| {
            let mut reading = Reading { options: &of_reader, most_bytes: memory::most(), progress };
            self.format.read(&self.path, &mut reading)
        })?;
        let raw = match of_reader.shape {
            // Of a table its reader has made images.
            Some(shape) if raw.kind == Kind::Features => raw.as_images(shape)?,
            _ => raw,
        };
        if raw.test.is_some() && self.options.has_test_share() {
            let why = "has test samples of its own: data.test_share is for what has none";
            return Err(usage(format!("{path} {why}")));
        }
        let taken = match (self.is_known, self.options.is_whole()) {
            (true, _) => Taken::Known,
            (false, true) => Taken::Whole,
            (false, false) => Taken::Split(self.options.test_share()),
        };
        Decoded::of(raw, taken)
    }
}

/// What a source goes by in memory and on disk: with each way of taking it is another one.
fn key(path: &Path, format: Option<Format>, options: &DataOptions) -> Result<String> {
    // The order of a set with a name is its own.
    let whose = match (format, options.is_whole()) {
        (Some(_), _) => "known",
        (None, true) => "whole",
        (None, false) => "own",
    };
    Ok(format!("{whose} {} {}", path.display(), serde_json::to_string(&options.of_reading())?))
}

/// Arrays as tensors.
fn tensors(about: &About, arrays: [Arrays; 2]) -> Result<[Stored; 2]> {
    let of_split = |arrays: Arrays| -> Result<Stored> {
        let flat = match arrays.inputs {
            Numbers::Bytes(all) => Tensor::f_from_slice(&all)?,
            Numbers::Floats(all) => Tensor::f_from_slice(&all)?,
            Numbers::Whole(all) => Tensor::f_from_slice(&all)?,
        };
        let targets = match arrays.targets {
            Learned::Classes(all) | Learned::ByPlace(all) => Tensor::f_from_slice(&all)?,
            Learned::Values(all) => Tensor::f_from_slice(&all)?,
        };
        shaped(about, flat, targets)
    };
    let [train, test] = arrays;
    Ok([of_split(train)?, of_split(test)?])
}

fn unreadable(path: &Path, error: &std::io::Error) -> anyhow::Error {
    let names: Vec<&str> = SETS.iter().map(|set| set.name).collect();
    let letters = |text: &str| text.to_lowercase().replace(|c: char| !c.is_alphanumeric(), "");
    let meant = path.file_name().map(|name| letters(&name.to_string_lossy())).unwrap_or_default();
    let hint = names.iter().find(|name| letters(name) == meant);
    let hint = hint.map(|name| format!("did you mean {name}? ")).unwrap_or_default();
    usage(format!(
        "no data at {} ({error}): {hint}--data takes the path of a file or folder, or a name: {}",
        path.display(),
        names.join(", ")
    ))
}

fn unknown(path: &Path) -> anyhow::Error {
    let found = if path.is_dir() {
        let mut names: Vec<String> = std::fs::read_dir(path)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .take(1000)
            .collect();
        names.sort();
        let more = if names.len() > 4 { ", …" } else { "" };
        names.truncate(4);
        if names.is_empty() { "an empty folder".into() } else { format!("a folder with {}{more}", names.join(", ")) }
    } else {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
        match ending.as_str() {
            "zip" | "gz" | "tar" | "tgz" | "7z" | "rar" => "an archive: unpack it first",
            "npy" | "h5" | "hdf5" | "mat" | "parquet" | "pkl" | "pt" | "arrow" | "feather" | "xlsx" => {
                "in another format: save its arrays as .npz, or a table as .csv"
            }
            _ => "a file",
        }
        .into()
    };
    anyhow!(
        "{} is {found}, and no data set that hw1 reads: IDX files, an .npz file, CIFAR's binary batches, a folder of \
         classes (train/<class>/*.png), a .csv file or train.csv and test.csv",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_taking_a_source_has_a_key_of_its_own() {
        let read = |text: &str| DataOptions::read(text.parse().unwrap()).unwrap();
        let of = |format, options: &DataOptions| key(Path::new("/a"), format, options).unwrap();
        let (none, share) = (DataOptions::default(), read("test_share = 0.5"));
        let keys = [of(None, &none), of(None, &none.clone().whole()), of(Some(Format::Idx), &none), of(None, &share)];
        for (at, key) in keys.iter().enumerate() {
            assert!(keys[..at].iter().all(|other| other != key), "{key}");
        }
        // What was remembered before there were others.
        assert_eq!(keys[0], "own /a {}");
        // What is done with the numbers afterwards does not count.
        for text in ["normalise = false", "mean = 1\nstd = 2"] {
            assert_eq!(of(None, &read(text)), keys[0]);
        }
    }
}
