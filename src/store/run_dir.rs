//! The run directory: every path, and every write, of which a file appears whole or not at all. Knows no form of
//! what is in the files.

use crate::error::Unwritable;
use crate::files::{self, Sharing};
use crate::store::Fingerprint;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::{fs, io::ErrorKind};

/// The folder of the figures of two runs.
pub const BESIDE: &str = "against";

/// `--out`: one folder of it for each study.
pub struct RunDir {
    root: PathBuf,
    sharing: Sharing,
}

impl RunDir {
    /// Of who works there alone.
    pub fn new(root: PathBuf) -> Self {
        Self { root, sharing: Sharing::Nobody }
    }

    /// Of one of several processes that work there together, on whatever machines.
    #[must_use]
    pub fn among_others(self) -> Self {
        Self { sharing: Sharing::Others, ..self }
    }

    pub(super) fn sharing(&self) -> Sharing {
        self.sharing
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn study(&self, folder: &str) -> StudyDir {
        StudyDir { sharing: self.sharing, ..StudyDir::at(self.root.join(folder)) }
    }

    /// Makes the folder of a study's figures beside another run's.
    pub fn beside(&self, folder: &str) -> Result<StudyDir> {
        let dir = StudyDir::at(self.root.join(BESIDE).join(folder));
        create_folder(&dir.figures())?;
        Ok(dir)
    }

    /// Writes a file of the directory whole, and returns its path.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.root.join(name);
        write_atomically(&path, bytes)?;
        Ok(path)
    }

    /// The folders of the studies in it, sorted by name.
    pub fn studies(&self) -> Result<Vec<(String, StudyDir)>> {
        let studies = names(&self.root)?.into_iter().map(|name| (name.clone(), self.study(&name)));
        Ok(studies.filter(|(_, dir)| dir.stands()).collect())
    }
}

/// The folder of one study in a run directory.
#[derive(Clone)]
pub struct StudyDir {
    root: PathBuf,
    pub(super) sharing: Sharing,
}

impl StudyDir {
    pub fn at(root: PathBuf) -> Self {
        Self { root, sharing: Sharing::Nobody }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether it is the folder of a study at all.
    pub fn stands(&self) -> bool {
        self.has_trials() || self.metrics().exists()
    }

    /// Whether it has a place for records.
    pub fn has_trials(&self) -> bool {
        self.trials().is_dir()
    }

    pub fn figures(&self) -> PathBuf {
        self.root.join("figures")
    }

    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.json")
    }

    pub(super) fn trials(&self) -> PathBuf {
        self.root.join("trials")
    }

    /// A trial's file: its record, weights or checkpoint, by extension.
    pub(super) fn of(&self, trial: &Fingerprint, extension: &str) -> PathBuf {
        self.trials().join(format!("{trial}.{extension}"))
    }

    /// All its folders.
    pub(super) fn folders(&self) -> [PathBuf; 3] {
        [self.root.clone(), self.trials(), self.figures()]
    }

    /// Makes the folders.
    pub fn prepare(&self) -> Result<()> {
        self.folders().iter().try_for_each(|folder| create_folder(folder))
    }

    /// Gives files other names, all with one number, so that nothing is lost when others take their places; the new
    /// names. Those that are not there are passed over.
    pub(super) fn set_aside_files(&self, paths: &[PathBuf]) -> Result<Vec<String>> {
        let named = |path: &Path, n: u32| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".set-aside-{n}"));
            PathBuf::from(name)
        };
        let is_free = |n: &u32| paths.iter().all(|path| named(path, *n).symlink_metadata().is_err());
        let n = (1..u32::MAX).find(is_free).context("no name is left to set a file aside under")?;
        let mut names = Vec::new();
        for path in paths {
            let to = named(path, n);
            match fs::rename(path, &to) {
                Ok(()) => names.extend(to.file_name().map(|name| name.to_string_lossy().into_owned())),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(unwritable(path, &error)),
            }
        }
        Ok(names)
    }

    /// Names of the files beside the records, and theirs, sorted.
    pub fn trial_files(&self) -> Result<Vec<String>> {
        names(&self.trials())
    }

    /// Writes a file of the study's folder whole; where it is so already, as many shards find it, it stands.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        if self.sharing == Sharing::Others && fs::read(self.root.join(name)).is_ok_and(|found| found == bytes) {
            return Ok(());
        }
        write_atomically(&self.root.join(name), bytes)
    }
}

pub(super) fn create_folder(path: &Path) -> Result<()> {
    // "File exists" would be all that is said of a link to nowhere.
    let leads_nowhere = |part: &&Path| part.is_symlink() && !part.exists();
    fs::create_dir_all(path).with_context(|| match path.ancestors().find(leads_nowhere) {
        Some(link) => {
            let to = fs::read_link(link).unwrap_or_default();
            let (link, to) = (link.display(), to.display());
            format!("{link} is a link to {to}, which is not there: make that folder, or choose another with --out")
        }
        None => format!("cannot create the folder {}; choose another with --out", path.display()),
    })
}

/// Names in a folder, sorted; not those that begin with a dot.
pub(super) fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.with_context(|| format!("cannot read {}", folder.display()))?.file_name();
        names.extend(name.into_string().ok().filter(|name| !name.starts_with('.')));
    }
    names.sort();
    Ok(names)
}

/// A file's bytes; `None` where there is none. What is no file at all reads as nothing, which no
/// parser takes for what it looks for.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::IsADirectory => Ok(Some(Vec::new())),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// [`files::write_atomically`] with an error that says what to do.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    files::write_atomically(path, bytes).map_err(|error| unwritable(path, &error))
}

/// What to do about a file that cannot be written.
pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> anyhow::Error {
    // The kind alone: tempfile's own text names a path that nobody asked for.
    let kind = error.kind();
    let way_out = match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; free some space, or choose another folder with --out",
        _ => "",
    };
    Unwritable(format!("cannot write {}: {kind}{way_out}", path.display())).into()
}
