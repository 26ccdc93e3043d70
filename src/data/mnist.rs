//! MNIST on disk: its four files, where they are looked for, and reading them. Source: LeCun, Cortes and Burges, "The
//! MNIST database of handwritten digits" (1998).

pub use super::idx::{FileCheck, IdxFile, Items, load_file, parse, verify_file};

use super::digits::Digits;
use super::idx::locate;
use crate::files::sha256;
use anyhow::{Context as _, Result, bail};
use std::env;
use std::path::{Path, PathBuf};

/// The data set, as distributed: its order is part of it.
pub struct Mnist {
    /// 60000.
    pub train: Digits,
    /// 10000.
    pub test: Digits,
}

/// MNIST's four files.
pub const FILES: [IdxFile; 4] = [
    IdxFile {
        name: "train-images-idx3-ubyte",
        items: Items::Images,
        count: 60_000,
        sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    },
    IdxFile {
        name: "train-labels-idx1-ubyte",
        items: Items::Labels,
        count: 60_000,
        sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    },
    IdxFile {
        name: "t10k-images-idx3-ubyte",
        items: Items::Images,
        count: 10_000,
        sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    },
    IdxFile {
        name: "t10k-labels-idx1-ubyte",
        items: Items::Labels,
        count: 10_000,
        sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
];

/// What names MNIST in a fingerprint: SHA-256 over the four files' digests, written one after the
/// other as in [`FILES`]. A constant, since [`load`] takes no other contents.
pub fn digest() -> String {
    sha256(FILES.map(|file| file.sha256).concat().as_bytes())
}

/// The folder that holds MNIST: `data_dir` (`--data-dir`), else `HW1_DATA_DIR`, else the first cache
/// that has all four files: `$XDG_CACHE_HOME/hw1/mnist`, `~/.cache/hw1/mnist`. `None` where no
/// folder was named and no cache has them. Looks at names, not into the files.
///
/// # Errors
/// Where a folder was named and lacks one of the files: never another one in its place.
pub fn find(data_dir: Option<&Path>) -> Result<Option<PathBuf>> {
    let Some((folder, by)) = named_folder(data_dir) else {
        return Ok(caches().into_iter().find(|folder| missing(folder).is_empty()));
    };
    let missing = missing(&folder);
    if !missing.is_empty() {
        let folder = folder.display();
        bail!(
            "{folder}, named by {by}, has no {} (plain or .gz): put MNIST's files there, \
             run `hw1 data fetch --data-dir {folder}`, or name another folder with --data-dir",
            missing.join(", no ")
        );
    }
    Ok(Some(folder))
}

/// Where a download goes: the first place [`find`] looks at.
///
/// # Errors
/// Where no folder was named and there is no home to put a cache into.
pub fn fetch_folder(data_dir: Option<&Path>) -> Result<PathBuf> {
    if let Some((folder, _)) = named_folder(data_dir) {
        return Ok(folder);
    }
    caches()
        .into_iter()
        .next()
        .context("there is no cache to put MNIST into, since HOME is not set: name a folder with --data-dir")
}

fn named_folder(data_dir: Option<&Path>) -> Option<(PathBuf, &'static str)> {
    if let Some(folder) = data_dir {
        return Some((folder.to_owned(), "--data-dir"));
    }
    let folder = env::var_os("HW1_DATA_DIR").filter(|value| !value.is_empty())?;
    Some((folder.into(), "HW1_DATA_DIR"))
}

fn caches() -> Vec<PathBuf> {
    // The XDG specification has relative paths ignored; without it one would mean another cache in
    // every working directory.
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let homes = [absolute("XDG_CACHE_HOME"), absolute("HOME").map(|home| home.join(".cache"))];
    homes.into_iter().flatten().map(|cache| cache.join("hw1").join("mnist")).collect()
}

fn missing(folder: &Path) -> Vec<&'static str> {
    FILES.iter().filter(|file| locate(file, folder).is_none()).map(|file| file.name).collect()
}

/// Reads MNIST from a folder.
///
/// # Errors
/// Where a file is missing, cannot be read, or holds anything but what [`FILES`] says; the error
/// names the file, what was expected and found, and the way out.
pub fn load(folder: &Path) -> Result<Mnist> {
    let [train_images, train_labels, test_images, test_labels] = &FILES;
    let read = |images, labels| -> Result<Digits> {
        Ok(Digits { images: load_file(images, folder)?, labels: load_file(labels, folder)? })
    };
    Ok(Mnist { train: read(train_images, train_labels)?, test: read(test_images, test_labels)? })
}

/// Looks at all four files, through to the end whatever it finds.
pub fn verify(folder: &Path) -> Vec<FileCheck> {
    FILES.iter().map(|file| verify_file(file, folder)).collect()
}
