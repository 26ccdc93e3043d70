//! MNIST on disk: its four files, where they are looked for, and reading them. Source: LeCun, Cortes and Burges, "The
//! MNIST database of handwritten digits" (1998).

pub use super::idx::{FileCheck, IdxFile, Items, parse};

use super::Digits;
use super::idx::{load_file, locate, verify_file};
use crate::files::sha256;
use anyhow::{Context as _, Result, bail};
use std::env;
use std::ffi::OsString;
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
    find_with(data_dir, &|name| env::var_os(name))
}

/// Where a download goes: the first place [`find`] looks at.
///
/// # Errors
/// Where no folder was named and there is no home to put a cache into.
pub fn fetch_folder(data_dir: Option<&Path>) -> Result<PathBuf> {
    fetch_folder_with(data_dir, &|name| env::var_os(name))
}

type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

fn find_with(data_dir: Option<&Path>, environment: Environment) -> Result<Option<PathBuf>> {
    let Some((folder, by)) = named_folder(data_dir, environment) else {
        return Ok(caches(environment).into_iter().find(|folder| missing(folder).is_empty()));
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

fn fetch_folder_with(data_dir: Option<&Path>, environment: Environment) -> Result<PathBuf> {
    if let Some((folder, _)) = named_folder(data_dir, environment) {
        return Ok(folder);
    }
    caches(environment)
        .into_iter()
        .next()
        .context("there is no cache to put MNIST into, since HOME is not set: name a folder with --data-dir")
}

fn named_folder(data_dir: Option<&Path>, environment: Environment) -> Option<(PathBuf, &'static str)> {
    if let Some(folder) = data_dir {
        return Some((folder.to_owned(), "--data-dir"));
    }
    let folder = environment("HW1_DATA_DIR").filter(|value| !value.is_empty())?;
    Some((folder.into(), "HW1_DATA_DIR"))
}

fn caches(environment: Environment) -> Vec<PathBuf> {
    // The XDG specification has relative paths ignored; without it one would mean another cache in
    // every working directory.
    let absolute = |name| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn mnist_is_what_it_is() {
        assert_eq!(FILES.map(|file| file.raw_len()), [47_040_016, 60_008, 7_840_016, 10_008]);
        assert!(FILES.iter().all(|file| file.sha256.len() == 64));
        // Part of fingerprints.
        assert_eq!(digest(), "c65580678af93f1ea48c2c0d01d543ec89307c6b8a0eb7ca542d7c18c5f4c681");
    }

    #[test]
    fn a_missing_or_unreadable_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = load(folder.path()).err().unwrap().to_string();
        assert!(error.contains("has no train-images-idx3-ubyte (plain or .gz)"), "{error}");
        let checks = verify(folder.path());
        assert_eq!(checks.len(), 4);
        assert!(checks.iter().all(|check| check.path.is_none() && check.problem.is_some()));
    }

    fn put_all(folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        for (i, file) in FILES.iter().enumerate() {
            fs::write(folder.join(format!("{}{}", file.name, ["", ".gz"][i % 2])), "").unwrap();
        }
    }

    #[test]
    fn folders_are_looked_at_in_order() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        let (flag, variable) = (path("flag"), path("variable"));
        let (xdg, home) = (path("xdg/hw1/mnist"), path("home/.cache/hw1/mnist"));
        let environment = |name: &str| match name {
            "HW1_DATA_DIR" => Some(path("variable").into()),
            "XDG_CACHE_HOME" => Some(path("xdg").into()),
            "HOME" => Some(path("home").into()),
            _ => None,
        };
        let unnamed = |name: &str| if name == "HW1_DATA_DIR" { Some("".into()) } else { environment(name) };

        // Caches: the first that has all; none is no error.
        assert_eq!(find_with(None, &unnamed).unwrap(), None);
        assert_eq!(fetch_folder_with(None, &unnamed).unwrap(), xdg);
        put_all(&home);
        assert_eq!(find_with(None, &unnamed).unwrap(), Some(home.clone()));
        put_all(&xdg);
        assert_eq!(find_with(None, &unnamed).unwrap(), Some(xdg.clone()));
        fs::remove_file(xdg.join(FILES[0].name)).unwrap();
        assert_eq!(find_with(None, &unnamed).unwrap(), Some(home));

        // A named folder is the one, or an error.
        for (data_dir, folder, by) in [(None, &variable, "HW1_DATA_DIR"), (Some(flag.as_path()), &flag, "--data-dir")] {
            assert_eq!(&fetch_folder_with(data_dir, &environment).unwrap(), folder);
            let error = find_with(data_dir, &environment).unwrap_err().to_string();
            assert!(error.contains(&format!("named by {by}, has no train-images-idx3-ubyte")), "{error}");
            put_all(folder);
            fs::remove_file(folder.join("t10k-images-idx3-ubyte")).unwrap();
            let error = find_with(data_dir, &environment).unwrap_err().to_string();
            assert!(error.contains("has no t10k-images-idx3-ubyte (plain or .gz)"), "{error}");
            put_all(folder);
            assert_eq!(&find_with(data_dir, &environment).unwrap().unwrap(), folder);
        }
    }

    #[test]
    fn no_home_is_no_cache() {
        for home in [None, Some(""), Some("relative")] {
            let environment = |name: &str| if name == "HOME" { home.map(OsString::from) } else { None };
            assert_eq!(find_with(None, &environment).unwrap(), None);
            let error = fetch_folder_with(None, &environment).unwrap_err().to_string();
            assert!(error.contains("HOME is not set: name a folder with --data-dir"), "{error}");
        }
    }
}
