//! Formats of samples on disk, one file each: whether a path holds one, which files that is, and reading them. Knows
//! no tensors, and no data set by its name.

pub mod array;
mod assemble;
pub mod cifar;
pub mod csv;
pub mod folder;
pub mod idx;
mod npy;
pub mod npz;

use super::raw::{Raw, Reading};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// A format, told by what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Idx,
    Npz,
    Cifar,
    Folder,
    Csv,
}

type Files = fn(&Path) -> Result<Option<Vec<PathBuf>>>;

/// In the order in which they are looked for: file names that say all first.
const FORMATS: [(Format, Files); 5] = [
    (Format::Npz, npz::files),
    (Format::Idx, idx::files),
    (Format::Cifar, cifar::files),
    (Format::Csv, csv::files),
    (Format::Folder, folder::files),
];

/// The format of what is at a path, if it is not `known`, and the files that reading it will read.
///
/// # Errors
/// Where it is clear what is there, and something of it is missing.
pub fn of(path: &Path, known: Option<Format>) -> Result<Option<(Format, Vec<PathBuf>)>> {
    for (format, files) in FORMATS.into_iter().filter(|(format, _)| known.is_none_or(|known| known == *format)) {
        if let Some(files) = files(path)? {
            return Ok(Some((format, files)));
        }
    }
    Ok(None)
}

impl Format {
    /// Reads what is at a path.
    ///
    /// # Errors
    /// In a line: the file, what is wrong with it and where, and what to do.
    pub fn read(self, path: &Path, reading: &mut Reading) -> Result<Raw> {
        match self {
            Self::Idx => idx::read(path, reading),
            Self::Npz => npz::read(path, reading),
            Self::Cifar => cifar::read(path, reading),
            Self::Folder => folder::read(path, reading),
            Self::Csv => csv::read(path, reading),
        }
    }

    /// Whether reading it takes much longer than reading its numbers would.
    pub fn is_slow(self) -> bool {
        matches!(self, Self::Npz | Self::Folder | Self::Csv)
    }
}
