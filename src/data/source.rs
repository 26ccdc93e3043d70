//! A data set by its path: which format is there, and what it holds, read once a process and remembered on disk by path,
//! size and time of each file. Knows no set by name.

use super::decoded::{About, Arrays, Decoded, Learned, VERSION};
use super::formats::{self, Format};
use super::options::DataOptions;
use super::raw::{Numbers, Reading};
use super::remembered::{Place, Stamp};
use super::{Access, Target};
use crate::error::usage;
use anyhow::{Context as _, Result, anyhow, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tch::{Kind, Tensor};

/// What stands at a path, opened: what is known of it at once, its numbers when they are asked for.
pub struct Source {
    /// As it was named.
    path: PathBuf,
    format: Format,
    options: DataOptions,
    stamp: Stamp,
    pub about: About,
    /// Training and test samples, where they are in memory.
    tensors: Mutex<Option<[Stored; 2]>>,
}

/// One split as it is stored: inputs [n, input…] in bytes, float32 or (tokens) int64; targets [n] of classes, [n, m] of
/// values.
pub struct Stored {
    pub inputs: Tensor,
    pub targets: Tensor,
}

impl Stored {
    fn share(&self) -> Self {
        Self { inputs: self.inputs.shallow_clone(), targets: self.targets.shallow_clone() }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

/// What all decoded arrays together may take; in bytes.
const MOST_BYTES: u64 = 16 << 30;

/// Sources that this process has opened.
static OPENED: Mutex<BTreeMap<(PathBuf, String), Arc<Source>>> = Mutex::new(BTreeMap::new());

impl Source {
    /// What is at a path: from memory, from what an earlier process remembered, or read.
    ///
    /// # Errors
    /// In a line, naming the file: where nothing is there that is known, or it cannot be read.
    pub fn open(path: &Path, options: &DataOptions, access: &Access) -> Result<Arc<Self>> {
        let canonical = path.canonicalize().map_err(|error| unreadable(path, &error))?;
        let key = (canonical, serde_json::to_string(options)?);
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = opened.get(&key) {
            return Ok(source.clone());
        }
        let source = Arc::new(Self::opened(path, options, access)?);
        opened.insert(key, source.clone());
        Ok(source)
    }

    fn opened(path: &Path, options: &DataOptions, access: &Access) -> Result<Self> {
        let (format, files) = formats::of(path)?.ok_or_else(|| unknown(path))?;
        let stamp = Stamp::of(path, options, &files)?;
        let place = Place::of(path, options);
        let source = |about, tensors| {
            let (path, options) = (path.to_owned(), options.clone());
            Self { path, format, options, stamp: stamp.clone(), about, tensors: Mutex::new(tensors) }
        };
        if let Some(about) = place.as_ref().and_then(|place| place.about(&stamp)) {
            return Ok(source(about, None));
        }
        let decoded = decode(path, format, options, access)?;
        // Where nobody looks, nothing is left behind.
        if let Some(place) = place.filter(|_| access.watch.is_some()) {
            // A cache that takes nothing costs the next process time, and this one nothing.
            let _ = place.remember(&stamp, &decoded, format.is_slow());
        }
        let tensors = tensors(&decoded.about, decoded.arrays)?;
        Ok(source(decoded.about, Some(tensors)))
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
        if let Some(place) = Place::of(&self.path, &self.options)
            && let Some(arrays) = place.arrays(&self.stamp, &self.about)
        {
            return Ok(arrays);
        }
        let decoded = decode(&self.path, self.format, &self.options, access)?;
        if decoded.about.digest != self.about.digest {
            bail!("{} changed while hw1 was running; start again", self.path.display());
        }
        tensors(&decoded.about, decoded.arrays)
    }
}

fn decode(path: &Path, format: Format, options: &DataOptions, access: &Access) -> Result<Decoded> {
    let of_reader = options.of_reader();
    let raw = access.read(&format!("reading {}", path.display()), |progress| {
        let mut reading = Reading { options: &of_reader, most_bytes: MOST_BYTES, progress };
        format.read(path, &mut reading)
    })?;
    Decoded::of(raw, options.test_share())
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
            Learned::Classes(all) => Tensor::f_from_slice(&all)?,
            Learned::Values(all) => Tensor::f_from_slice(&all)?,
        };
        shaped(about, flat, targets)
    };
    let [train, test] = arrays;
    Ok([of_split(train)?, of_split(test)?])
}

/// The numbers of a split in the shapes of its inputs and targets.
pub(super) fn shaped(about: &About, inputs: Tensor, targets: Tensor) -> Result<Stored> {
    let shape = [&[-1], &about.input[..]].concat();
    let targets = match about.target {
        Target::Classes(_) => targets.f_to_kind(Kind::Int64)?,
        Target::Values(values) => targets.f_view([-1, values])?,
    };
    Ok(Stored { inputs: inputs.f_view(&shape[..])?, targets })
}

fn unreadable(path: &Path, error: &std::io::Error) -> anyhow::Error {
    let shown = path.display();
    usage(format!(
        "no data at {shown} ({error}): --data takes a name that `hw1 data list` shows, or the path of a file or folder"
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
        "a file".into()
    };
    anyhow!(
        "{} is {found}, and no data set that hw1 reads: IDX files, an .npz file, CIFAR's binary batches, a folder of \
         classes (train/<class>/*.png), a .csv file or train.csv and test.csv",
        path.display()
    )
}

/// Part of what a stamp covers: the same files, read by other rules, are other samples.
pub(super) const READ_BY: u32 = VERSION;
