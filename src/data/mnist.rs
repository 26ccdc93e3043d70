//! MNIST on disk: its four files, where they are looked for, and reading them. Source: LeCun, Cortes and Burges, "The
//! MNIST database of handwritten digits" (1998).

pub use super::idx::{FileCheck, IdxFile, Items, load_file, parse, verify_file};

use super::digits::Digits;
use super::folders::Wanted;
use super::idx::locate;
use crate::files::sha256;
use anyhow::Result;
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

/// Where it is fetched from, in turn: PyTorch's and CVDF's copies.
pub const MIRRORS: [&str; 2] =
    ["https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"];

/// What names MNIST in a fingerprint: SHA-256 over the four files' digests, written one after the
/// other as in [`FILES`]. A constant, since [`load`] takes no other contents.
pub fn digest() -> String {
    sha256(FILES.map(|file| file.sha256).concat().as_bytes())
}

/// Where MNIST is looked for.
fn wanted<T>(of: impl FnOnce(Wanted) -> T) -> T {
    let missing = |folder: &Path| -> Vec<String> {
        FILES.iter().filter(|file| locate(file, folder).is_none()).map(|file| file.name.to_owned()).collect()
    };
    let form = " (plain or .gz)";
    let below = &["MNIST/raw", "mnist", "raw"];
    let (name, title, command) = ("mnist", "MNIST", "hw1 data fetch");
    of(Wanted { name, title, below, has_it_alone: true, command, missing: &missing, form })
}

/// The folder that holds MNIST: see [`Wanted::find`].
///
/// # Errors
/// Where a folder was named and lacks one of the files: never another one in its place.
pub fn find(data_dir: Option<&Path>) -> Result<Option<PathBuf>> {
    wanted(|mnist| mnist.find(data_dir))
}

/// Where a download goes: the first place [`find`] looks at.
///
/// # Errors
/// Where no folder was named and there is no home to put a cache into.
pub fn fetch_folder(data_dir: Option<&Path>) -> Result<PathBuf> {
    wanted(|mnist| mnist.fetch_folder(data_dir))
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
