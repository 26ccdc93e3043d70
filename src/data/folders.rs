//! Where data sets with a name are looked for on this machine: the folder that the user named, else the caches, one
//! folder a set, as MNIST, Fashion-MNIST and KMNIST call their files alike. Knows no format.

use anyhow::{Context as _, Result, bail};
use std::env;
use std::path::{Path, PathBuf};

/// A set's place among others: its cache folder, and what to say of it.
pub(super) struct Wanted<'a> {
    /// Of the cache folder.
    pub name: &'a str,
    /// "MNIST"
    pub title: &'a str,
    /// Folders below a named one that it may lie in, as torchvision and unpacked archives have them.
    pub below: &'a [&'a str],
    /// Whether a named folder is its own: other sets lie in folders of their names below.
    pub has_it_alone: bool,
    /// What gets it.
    pub command: &'a str,
    /// What a folder lacks of it, by name.
    pub missing: &'a dyn Fn(&Path) -> Vec<String>,
    /// What its files are, for an error: "plain or .gz".
    pub form: &'a str,
}

impl Wanted<'_> {
    /// The folder that holds it: `data_dir` (`--data-dir`), else `HW1_DATA_DIR`, or what lies below that under its name
    /// or as others unpack it; else the first cache that has all: `$XDG_CACHE_HOME/hw1/<name>`, `~/.cache/hw1/<name>`.
    /// `None` where no folder was named and no cache has them. Looks at names, not into the files.
    ///
    /// # Errors
    /// Where a folder was named and lacks one of the files: never another one in its place.
    pub(super) fn find(&self, data_dir: Option<&Path>) -> Result<Option<PathBuf>> {
        let Some((folder, by)) = named_folder(data_dir) else {
            return Ok(caches(self.name).into_iter().find(|folder| (self.missing)(folder).is_empty()));
        };
        let mut places: Vec<PathBuf> = self.below.iter().map(|below| folder.join(below)).collect();
        // Sets share file names: what has the set's name goes first, but for the one that has always had it all.
        places.insert(if self.has_it_alone { 0 } else { places.len() }, folder.clone());
        if let Some(found) = places.into_iter().find(|folder| (self.missing)(folder).is_empty()) {
            return Ok(Some(found));
        }
        let Self { title, form, command, .. } = self;
        let (missing, folder) = ((self.missing)(&folder), folder.display());
        bail!(
            "{folder}, named by {by}, has no {}{form}: put {title}'s files there, run `{command} --data-dir {folder}`, \
             or name another folder with --data-dir",
            missing.join(", no ")
        )
    }

    /// Where a download goes: a named folder, or the set's own below it; else the first cache.
    ///
    /// # Errors
    /// Where no folder was named and there is no home to put a cache into.
    pub(super) fn fetch_folder(&self, data_dir: Option<&Path>) -> Result<PathBuf> {
        if let Some((folder, _)) = named_folder(data_dir) {
            return Ok(if self.has_it_alone { folder } else { folder.join(self.name) });
        }
        caches(self.name).into_iter().next().with_context(|| {
            format!(
                "there is no cache to put {} into, since HOME is not set: name a folder with --data-dir",
                self.title
            )
        })
    }
}

fn named_folder(data_dir: Option<&Path>) -> Option<(PathBuf, &'static str)> {
    if let Some(folder) = data_dir {
        return Some((folder.to_owned(), "--data-dir"));
    }
    let folder = env::var_os("HW1_DATA_DIR").filter(|value| !value.is_empty())?;
    Some((folder.into(), "HW1_DATA_DIR"))
}

/// hw1's cache folders of a name, the best first.
pub(super) fn caches(name: &str) -> Vec<PathBuf> {
    // The XDG specification has relative paths ignored; without it one would mean another cache in
    // every working directory.
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let homes = [absolute("XDG_CACHE_HOME"), absolute("HOME").map(|home| home.join(".cache"))];
    homes.into_iter().flatten().map(|cache| cache.join("hw1").join(name)).collect()
}
