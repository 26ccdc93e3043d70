//! Where the event files of a study stand: a folder for each trial, which TensorBoard shows as a run of this name, and
//! files with the figures beside them. Never in another's place.

use super::event;
use crate::files::write_atomically;
use anyhow::{Context as _, Result, anyhow, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// TensorBoard reads what has this in its name, in the order of names.
const EVENTS: &str = "tfevents";

/// Behind this stands a trial's fingerprint.
const TRIAL: &str = "events.out.tfevents.hw1-";
/// Behind this stands the number of a file with figures.
const FIGURES: &str = "events.out.tfevents.hw1-figures-";

/// What a run may be called on every file system, and read on a command line: the same name where it is such a one.
/// Others are made so, with some of `key` behind them, which keeps them apart.
pub(super) fn folder_name(name: &str, key: &str) -> String {
    /// Bytes: the longest name of a file has 255.
    const LONGEST: usize = 150;
    let is_safe = |c: char| c.is_ascii_alphanumeric() || " -_.,+=()@%~".contains(c);
    let mut safe: String = name.chars().map(|c| if is_safe(c) { c } else { '_' }).collect();
    safe.truncate(LONGEST);
    let at_ends = |c: char| c == '.' || c == ' ';
    let trimmed = safe.trim_matches(at_ends);
    let trimmed = if trimmed.is_empty() { "_" } else { trimmed };
    if trimmed == name { trimmed.to_owned() } else { format!("{trimmed}-{}", beginning(key)) }
}

/// Enough of a digest to tell a few.
fn beginning(key: &str) -> &str {
    key.get(..8).unwrap_or(key)
}

/// The folder of a study in an export, with what stands there.
pub(super) struct Place {
    root: PathBuf,
    /// hw1's event files of trials that are whole, by fingerprint.
    whole: BTreeSet<String>,
    /// Those that are not.
    damaged: BTreeMap<String, PathBuf>,
    /// Names in it that are taken: of folders with event files, and of files. In small letters, as some file systems
    /// tell no others apart.
    taken: BTreeSet<String>,
    /// Of each figure: how often it was written, and as what last.
    figures: BTreeMap<String, (u64, Vec<u8>)>,
    /// Of the next file with figures.
    next: u32,
}

fn names(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let named = |entry: io::Result<fs::DirEntry>| {
        entry.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
    };
    let mut names: Vec<_> = entries.map(named).collect::<io::Result<_>>()?;
    names.sort();
    Ok(names)
}

impl Place {
    /// # Errors
    /// Where a folder of it cannot be read, or what has the name of a trial's event file is none of hw1's.
    pub fn read(root: PathBuf) -> Result<Self> {
        let cannot = |path: &Path| format!("cannot read {}; name another folder with --to", path.display());
        let (whole, damaged, taken) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
        let mut place = Self { root, whole, damaged, taken, figures: BTreeMap::new(), next: 1 };
        for (name, path) in names(&place.root).with_context(|| cannot(&place.root))? {
            if path.is_dir() {
                place.read_trial(&name, &path).with_context(|| cannot(&path))?;
            } else {
                place.taken.insert(name.to_lowercase());
                if let Some(number) = name.strip_prefix(FIGURES) {
                    place.next = place.next.max(number.parse::<u32>().unwrap_or(0).saturating_add(1));
                    place.read_figures(&fs::read(&path).with_context(|| cannot(&path))?);
                }
            }
        }
        Ok(place)
    }

    fn read_trial(&mut self, folder: &str, path: &Path) -> Result<()> {
        for (name, path) in names(path)?.into_iter().filter(|(name, _)| name.contains(EVENTS)) {
            self.taken.insert(folder.to_lowercase());
            let Some(key) = name.strip_prefix(TRIAL) else { continue };
            let file = if path.is_file() { fs::read(&path)? } else { Vec::new() };
            if !event::is_own(&file) {
                bail!("{} has the name of an event file of hw1's and is none", path.display());
            }
            if event::is_whole(&file) {
                self.whole.insert(key.to_owned());
            } else {
                self.damaged.insert(key.to_owned(), path);
            }
        }
        Ok(())
    }

    fn read_figures(&mut self, file: &[u8]) {
        if !event::is_own(file) {
            return;
        }
        for (tag, png) in event::images(file) {
            let (times, last) = self.figures.entry(tag.to_owned()).or_default();
            *times += 1;
            png.clone_into(last);
        }
    }

    /// Whether the event file of a trial is there, whole.
    pub fn has_trial(&self, key: &str) -> bool {
        self.whole.contains(key)
    }

    /// Writes the event file of a trial that is called so: into a folder that no other has.
    ///
    /// # Errors
    /// Where it cannot be written, and where the folder's name is taken even with the fingerprint behind it.
    pub fn write_trial(&mut self, name: &str, key: &str, bytes: &[u8]) -> Result<()> {
        let path = match self.damaged.remove(key) {
            Some(path) => path,
            None => {
                let plain = folder_name(name, key);
                let names = [plain.clone(), format!("{plain}-{}", beginning(key)), format!("{plain}-{key}")];
                let is_free = |name: &String| !self.taken.contains(&name.to_lowercase());
                let folder = names.into_iter().find(is_free);
                let folder =
                    folder.with_context(|| format!("no name is left for {plain} in {}", self.root.display()))?;
                self.taken.insert(folder.to_lowercase());
                self.root.join(folder).join(format!("{TRIAL}{key}"))
            }
        };
        write(&path, bytes)?;
        self.whole.insert(key.to_owned());
        Ok(())
    }

    /// The step at which a figure is to be written; `None` where it was written as it is.
    pub fn step_of(&self, figure: &str, png: &[u8]) -> Option<u64> {
        match self.figures.get(figure) {
            Some((_, last)) if last == png => None,
            known => Some(known.map_or(0, |(times, _)| *times)),
        }
    }

    /// Writes a file with figures behind those that stand there: one that TensorBoard reads has its end.
    pub fn write_figures(&self, bytes: &[u8]) -> Result<()> {
        write(&self.root.join(format!("{FIGURES}{:06}", self.next)), bytes)
    }
}

/// Whole, with the folders above it.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| write_atomically(path, bytes));
    // The kind alone: tempfile's own text names a path that nobody asked for.
    written.map_err(|error| anyhow!("cannot write {}: {}; name another folder with --to", path.display(), error.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::{At, Events};

    #[test]
    fn a_run_has_a_name_that_any_file_system_takes() {
        let key = "0123456789abcdef01234567";
        for (name, folder) in [
            ("DNN_1-seed0", "DNN_1-seed0"),
            ("784-2-1-10, noise 0.1-seed3", "784-2-1-10, noise 0.1-seed3"),
            ("../up-seed0", "_up-seed0-01234567"),
            ("a/b", "a_b-01234567"),
            ("a\\b:c*?\"<>|\n", "a_b_c_______-01234567"),
            ("α", "_-01234567"),
            (".hidden ", "hidden-01234567"),
            ("..", "_-01234567"),
            ("", "_-01234567"),
        ] {
            assert_eq!(folder_name(name, key), folder, "{name:?}");
        }
        let long = folder_name(&"é".repeat(500), key);
        assert!(long.len() < 200, "{long}");
    }

    fn trial() -> Vec<u8> {
        Events::new(0.0).into_bytes()
    }

    #[test]
    fn no_trial_takes_the_place_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("study");
        let keys = ["a", "b", "c", "d"].map(|letter| letter.repeat(24));
        for (name, key) in [("A-seed0", &keys[0]), ("a-seed0", &keys[1])] {
            Place::read(root.clone()).unwrap().write_trial(name, key, &trial()).unwrap();
        }
        // Another program's run, and a file.
        fs::create_dir(root.join("C")).unwrap();
        fs::write(root.join("C/events.out.tfevents.1.host"), "theirs").unwrap();
        fs::write(root.join("D"), "theirs").unwrap();
        let mut place = Place::read(root.clone()).unwrap();
        assert!(place.has_trial(&keys[0]) && place.has_trial(&keys[1]) && !place.has_trial(&keys[2]));
        place.write_trial("C", &keys[2], &trial()).unwrap();
        place.write_trial("D", &keys[3], &trial()).unwrap();
        let found: Vec<String> = names(&root).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(found, ["A-seed0", "C", "C-cccccccc", "D", "D-dddddddd", "a-seed0-bbbbbbbb"]);
        assert_eq!(fs::read(root.join("C/events.out.tfevents.1.host")).unwrap(), b"theirs");

        // What was cut off is written again, where it stood; what is not hw1's never is.
        let path = root.join("A-seed0").join(format!("{TRIAL}{}", keys[0]));
        let mut longer = Events::new(0.0);
        longer.push_numbers(At { wall_time: 0.0, step: 0 }, [("loss", 1.0)].into_iter());
        let longer = longer.into_bytes();
        fs::write(&path, &longer[..longer.len() - 1]).unwrap();
        let mut place = Place::read(root.clone()).unwrap();
        assert!(!place.has_trial(&keys[0]));
        place.write_trial("renamed", &keys[0], &longer).unwrap();
        assert_eq!(fs::read(&path).unwrap(), longer);
        fs::write(&path, "theirs").unwrap();
        let error = Place::read(root).err().unwrap();
        assert!(format!("{error:#}").contains("is none"), "{error:#}");
    }

    #[test]
    fn a_figure_that_changed_is_a_further_step() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("study");
        let png = |last: u8| [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x01\0\0\0\0\x07\x08\x06", &[last][..]].concat();
        for (version, step) in [(1, Some(0)), (1, None), (2, Some(1)), (2, None), (1, Some(2))] {
            let place = Place::read(root.clone()).unwrap();
            assert_eq!(place.step_of("curves", &png(version)), step);
            if let Some(step) = step {
                let mut events = Events::new(0.0);
                events.push_image(At { wall_time: 0.0, step }, "curves", &png(version)).unwrap();
                place.write_figures(&events.into_bytes()).unwrap();
            }
        }
        let found: Vec<String> = names(&root).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(found, ["1", "2", "3"].map(|number| format!("{FIGURES}00000{number}")));
    }
}
