//! What a set with a name is, and how it is found, fetched, checked and told from others; which there are stands in
//! sets.rs.

use super::digits::{Digits, Split};
use super::folders::Wanted;
use super::formats::Format;
use super::idx::{FileCheck, locate};
use super::sent::{Archive, Contents, Gzipped, Sent, check_pin};
use super::sets::{MNIST_SENT, SETS};
use super::{Access, fetch, mnist};
use crate::error::Interrupted;
use anyhow::{Result, anyhow, bail};
use std::path::{Path, PathBuf};

/// A data set that goes by a name.
pub struct Set {
    pub name: &'static str,
    /// "MNIST": every output made from it says so.
    pub title: &'static str,
    /// What the class of an image is called: "digit".
    pub one: &'static str,
    /// Channels, height and width.
    pub input: [i64; 3],
    /// In their order; of sets whose files name them these are the same.
    pub class_names: &'static [&'static str],
    pub classes: usize,
    /// Training and test images.
    pub sizes: [usize; 2],
    /// Mean and deviation of the training images by channel, in 0…1, where its source publishes them, or it is drawn.
    pub published: Option<[&'static [f64]; 2]>,
    /// The set in whose place it was made.
    pub stands_in_for: Option<&'static str>,
    /// In a few words, for a list.
    pub about: &'static str,
    pub(super) comes: Comes,
}

/// Where a set comes from.
pub(super) enum Comes {
    /// hw1 draws the first so many.
    Drawn(fn(Split, usize) -> Digits, Drawn),
    /// Files whose contents are known to the bit.
    Mnist,
    /// Files that any reader reads; it is known by what they decode to.
    Files(Download),
}

/// What identifies images that are drawn.
pub(super) struct Drawn {
    pub called: &'static str,
    pub version: u32,
}

pub(super) struct Download {
    /// Gzipped IDX files, or one archive.
    pub sent: SentFiles,
    /// Usual places, in turn.
    pub mirrors: &'static [&'static str],
    /// Where they lie below a folder, as others unpack them.
    pub below: &'static [&'static str],
}

pub(super) enum SentFiles {
    Idx(&'static [Gzipped; 4]),
    Archive(&'static [Archive; 1]),
}

impl Download {
    /// Of its files.
    pub fn format(&self) -> Format {
        match self.sent {
            SentFiles::Idx(_) => Format::Idx,
            SentFiles::Archive(_) => Format::Cifar,
        }
    }
}

/// The sets of which everything is known without their files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Built {
    Mnist = 0,
    Synthetic = 5,
    SyntheticRgb = 6,
}

impl Built {
    /// That set.
    pub fn set(self) -> &'static Set {
        &SETS[self as usize]
    }
}

impl Set {
    /// The set of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SETS.iter().find(|set| set.name == name)
    }

    /// Its classes by name, where they are known without its files.
    pub fn class_names(&self) -> Vec<String> {
        self.class_names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// What gets it.
    pub fn command(&self) -> String {
        if self.name == "mnist" { "hw1 data fetch".into() } else { format!("hw1 data fetch {}", self.name) }
    }

    /// Whether hw1 draws it: it lies in no folder.
    pub fn is_drawn(&self) -> bool {
        matches!(self.comes, Comes::Drawn(..))
    }

    fn wanted<T>(&self, of: impl FnOnce(Wanted) -> T) -> Option<T> {
        let Self { name, title, .. } = self;
        let Comes::Files(Download { sent, below, .. }) = &self.comes else { return None };
        let (command, missing) = (&self.command()[..], &|_: &Path| Vec::new());
        let wanted = Wanted { name, title, below, has_it_alone: false, command, missing, form: "" };
        Some(match sent {
            SentFiles::Idx(files) => {
                let missing = |folder: &Path| -> Vec<String> {
                    let missing = files.iter().filter(|file| locate(&file.file, folder).is_none());
                    missing.map(|file| file.file.name.to_owned()).collect()
                };
                of(Wanted { missing: &missing, form: " (plain or .gz)", ..wanted })
            }
            SentFiles::Archive([archive]) => {
                let missing = |folder: &Path| -> Vec<String> {
                    let files =
                        archive.files.iter().filter(|(name, length)| *length > 0 && !folder.join(name).is_file());
                    files.map(|(name, _)| (*name).to_owned()).collect()
                };
                of(Wanted { missing: &missing, ..wanted })
            }
        })
    }

    /// The folder that holds it, where one does: see [`Wanted::find`]; `None` of one that is drawn, too.
    ///
    /// # Errors
    /// Where a folder was named and lacks one of the files.
    pub fn find(&self, data_dir: Option<&Path>) -> Result<Option<PathBuf>> {
        match &self.comes {
            Comes::Drawn(..) => Ok(None),
            Comes::Mnist => mnist::find(data_dir),
            Comes::Files(_) => self.wanted(|wanted| wanted.find(data_dir)).unwrap_or(Ok(None)),
        }
    }

    /// Where a download goes.
    ///
    /// # Errors
    /// Where no folder was named and there is no home to put a cache into; of a set that is drawn.
    pub fn fetch_folder(&self, data_dir: Option<&Path>) -> Result<PathBuf> {
        match &self.comes {
            Comes::Drawn(..) => bail!("hw1 draws {} itself: there is nothing to fetch", self.title),
            Comes::Mnist => mnist::fetch_folder(data_dir),
            Comes::Files(_) => match self.wanted(|wanted| wanted.fetch_folder(data_dir)) {
                Some(folder) => folder,
                None => bail!("{} has no files", self.title),
            },
        }
    }

    /// Where it is fetched from, in turn.
    pub fn mirrors(&self) -> Vec<String> {
        fetch::mirrors(match &self.comes {
            Comes::Drawn(..) => &[],
            Comes::Mnist => &mnist::MIRRORS,
            Comes::Files(download) => download.mirrors,
        })
    }

    /// Downloads what a folder lacks of it: see [`fetch::fetch`].
    ///
    /// # Errors
    /// Those of that.
    pub fn fetch(
        &self,
        into: &Path,
        mirrors: &[String],
        stop: &std::sync::atomic::AtomicBool,
        progress: &mut dyn FnMut(fetch::Event),
    ) -> Result<()> {
        match &self.comes {
            Comes::Drawn(..) => Ok(()),
            Comes::Mnist => fetch::fetch(&mnist::FILES, into, mirrors, stop, progress),
            Comes::Files(Download { sent: SentFiles::Idx(files), .. }) => {
                fetch::fetch(&files[..], into, mirrors, stop, progress)
            }
            Comes::Files(Download { sent: SentFiles::Archive(archive), .. }) => {
                fetch::fetch(&archive[..], into, mirrors, stop, progress)
            }
        }
    }

    /// Gives files of its names in a folder that are none of its other names: see [`fetch::set_aside`].
    ///
    /// # Errors
    /// Those of that.
    pub fn set_aside(&self, folder: &Path) -> Result<Vec<[PathBuf; 2]>> {
        match &self.comes {
            Comes::Drawn(..) => Ok(Vec::new()),
            Comes::Mnist => fetch::set_aside(&mnist::FILES, folder),
            Comes::Files(Download { sent: SentFiles::Idx(files), .. }) => fetch::set_aside(&files[..], folder),
            Comes::Files(Download { sent: SentFiles::Archive(archive), .. }) => fetch::set_aside(&archive[..], folder),
        }
    }

    /// Looks at all of its files in a folder, through to the end whatever it finds.
    pub fn verify(&self, folder: &Path) -> Vec<FileCheck> {
        fn of<S: Sent>(files: &[S], folder: &Path) -> Vec<FileCheck> {
            files.iter().flat_map(|file| file.verify(folder)).collect()
        }
        match &self.comes {
            Comes::Drawn(..) => Vec::new(),
            Comes::Mnist => mnist::verify(folder),
            Comes::Files(Download { sent: SentFiles::Idx(files), .. }) => of(&files[..], folder),
            Comes::Files(Download { sent: SentFiles::Archive(archive), .. }) => of(&archive[..], folder),
        }
    }

    /// Its folder; where it is nowhere on this machine, fetched there.
    ///
    /// # Errors
    /// With every way out.
    pub(super) fn found_or_fetched(&self, access: &Access) -> Result<PathBuf> {
        let data_dir = access.data_dir.as_deref();
        if let Some(folder) = self.find(data_dir)? {
            return Ok(folder);
        }
        let fetched = self.fetch_folder(data_dir).and_then(|folder| {
            let mirrors = self.mirrors();
            access.download(&|stop, event| self.fetch(&folder, &mirrors, stop, event))?;
            Ok(folder)
        });
        fetched.map_err(|error| self.with_ways_out(error))
    }

    /// It could not be fetched; an interruption is told as such.
    pub(super) fn with_ways_out(&self, error: anyhow::Error) -> anyhow::Error {
        if error.is::<Interrupted>() {
            return error;
        }
        let (title, command) = (self.title, self.command());
        let drawn = if self.input[0] == 1 { "synthetic" } else { "synthetic-rgb" };
        error.context(format!(
            "{title} is not on this machine: name its folder with --data-dir, fetch it where there is a network with \
             `{command}`, or use the built-in digits with --data {drawn}; what was tried"
        ))
    }

    /// That a folder does not hold another set's files, told by a digest that is known.
    ///
    /// # Errors
    /// Names file and set.
    pub fn refuse_others(&self, folder: &Path) -> Result<()> {
        let Comes::Files(Download { sent: SentFiles::Idx(files), .. }) = &self.comes else { return Ok(()) };
        // Beside a plain file the one that it was unpacked from.
        let lying = files.iter().enumerate().flat_map(|(at, file)| {
            let packed = folder.join(format!("{}.gz", file.file.name));
            let paths = [locate(&file.file, folder), Some(packed).filter(|path| path.is_file())];
            paths.into_iter().flatten().map(move |path| (at, file, path))
        });
        for (at, file, path) in lying {
            let Some(Contents { md5, sha256 }) = Contents::of(&file.file, &path) else { continue };
            check_pin(folder, self.title, file.file.name, &sha256).map_err(|what| {
                anyhow!("{}: {what}; name the folder of {} with --data-dir", path.display(), self.title)
            })?;
            let of_mnist = sha256 == mnist::FILES[at].sha256 || md5 == MNIST_SENT[at];
            let others = SETS.iter().filter(|set| set.name != self.name);
            let other = others.into_iter().find(|set| match &set.comes {
                Comes::Mnist => of_mnist,
                Comes::Files(Download { sent: SentFiles::Idx(files), .. }) => files[at].md5 == md5,
                _ => false,
            });
            if let Some(other) = other {
                bail!(
                    "{} is {}'s, not {}'s: name the folder of {} with --data-dir, or ask for --data {}",
                    path.display(),
                    other.title,
                    self.title,
                    self.title,
                    other.name
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::sent::pinned;
    use crate::files::sha256;
    use std::fs;

    #[test]
    fn sets_have_their_names_and_classes() {
        for (built, name) in
            [(Built::Mnist, "mnist"), (Built::Synthetic, "synthetic"), (Built::SyntheticRgb, "synthetic-rgb")]
        {
            assert_eq!(built.set().name, name);
        }
        for set in &SETS {
            assert!(Set::named(set.name).is_some_and(|found| found.title == set.title));
            assert!(set.class_names.is_empty() || set.class_names.len() == set.classes, "{}", set.name);
        }
        assert!(Set::named("MNIST").is_none() && Set::named("").is_none());
    }

    #[test]
    fn a_folder_that_was_fetched_for_another_set_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let raw = [&[0, 0, 8, 1][..], &60_000u32.to_be_bytes(), &[7; 60_000]].concat();
        fs::write(folder.path().join("train-labels-idx1-ubyte"), &raw).unwrap();
        let refused = |name: &str| Set::named(name).unwrap().refuse_others(folder.path()).map_err(|e| e.to_string());
        assert_eq!(refused("kmnist"), Ok(()), "nothing is known of it");
        let (pins, all) = pinned(folder.path(), "Fashion-MNIST", "train-labels-idx1-ubyte", &raw).unwrap();
        fs::write(folder.path().join(pins), all).unwrap();
        assert_eq!(refused("fashion-mnist"), Ok(()));
        assert!(refused("kmnist").unwrap_err().contains("train-labels-idx1-ubyte: it was fetched as Fashion-MNIST's"));
        assert_eq!(sha256(&raw).len(), 64);
    }
}
