//! The lock of a run directory: one process at a time works there, or shards of one run together, where the file system has
//! locks; and what only who is alone may do. Knows nothing of what else it does.

use crate::files::{self, Locked, Sharing};
use crate::store::run_dir::{RunDir, StudyDir, create_folder};
use anyhow::{Context as _, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;

/// Held while a process works in a run directory; the system lets go when the process ends.
pub struct Lock {
    held: io::Result<File>,
    sharing: Sharing,
}

impl Lock {
    /// Why there is none to be had here: others may work in the run directory, too. Then two processes do the same work,
    /// and publish the same bytes.
    pub fn missing(&self) -> Option<&io::Error> {
        self.held.as_ref().err()
    }

    /// Whether no other process works in the run directory: whatever is unfinished there is nobody's.
    pub fn is_alone(&self) -> bool {
        self.held.is_ok() && self.sharing == Sharing::Nobody
    }

    /// Takes away what killed processes left unfinished in a study's folder. Who is not alone, or cannot know, leaves it.
    pub fn remove_leftovers(&self, dir: &StudyDir) -> Result<()> {
        if !self.is_alone() {
            return Ok(());
        }
        for folder in dir.folders().iter().filter(|folder| folder.exists()) {
            files::remove_leftovers(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        }
        Ok(())
    }
}

impl RunDir {
    /// Whether a process works in it now; changes nothing.
    pub fn is_in_use(&self) -> bool {
        let path = self.root().join(".lock");
        let is_taken = |taken| matches!(taken, Err(TryLockError::WouldBlock));
        // Who may not write there still sees a process that is alone, and where the file is local shards, too.
        let file = OpenOptions::new().read(true).write(true).open(&path).or_else(|_| File::open(&path));
        file.is_ok_and(|file| is_taken(file.try_lock_shared()) || is_taken(file.try_lock()))
    }

    /// Makes the directory and takes its lock, or one that says why there is none; `None` while other processes hold it.
    pub fn try_lock(&self) -> Result<Option<Lock>> {
        create_folder(self.root())?;
        let path = self.root().join(".lock");
        let cannot = || format!("cannot write {}; choose another folder with --out", path.display());
        let sharing = self.sharing();
        Ok(match files::try_lock(&path, sharing).with_context(cannot)? {
            Locked::Held(file) => Some(Lock { held: Ok(file), sharing }),
            Locked::Busy => None,
            Locked::Missing(error) => Some(Lock { held: Err(error), sharing }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let run_dir = RunDir::new(folder.path().join("a/b"));
        assert!(!run_dir.is_in_use());
        let lock = run_dir.try_lock().unwrap();
        assert!(lock.is_some() && run_dir.is_in_use());
        assert!(run_dir.try_lock().unwrap().is_none());
        drop(lock);
        assert!(!run_dir.is_in_use());
        assert!(run_dir.try_lock().unwrap().is_some());
        // Shards of one run, and nobody else.
        let among = RunDir::new(run_dir.root().to_owned()).among_others();
        let shards = [(); 2].map(|()| among.try_lock().unwrap());
        assert!(shards.iter().flatten().count() == 2 && run_dir.is_in_use());
        assert!(run_dir.try_lock().unwrap().is_none());
        drop(shards);
        assert!(!run_dir.is_in_use());
    }

    #[test]
    fn only_who_holds_a_lock_cleans_up() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StudyDir::at(folder.path().to_owned());
        dir.prepare().unwrap();
        let unfinished = folder.path().join("trials/.hw1-another");
        files::write_atomically(&unfinished, b"half").unwrap();
        let without = Lock { held: Err(io::Error::from_raw_os_error(38)), sharing: Sharing::Nobody };
        without.remove_leftovers(&dir).unwrap();
        assert!(without.missing().is_some() && unfinished.exists());
        let run_dir = RunDir::new(folder.path().to_owned());
        let shared = RunDir::new(folder.path().to_owned()).among_others().try_lock().unwrap().unwrap();
        shared.remove_leftovers(&dir).unwrap();
        assert!(shared.missing().is_none() && unfinished.exists());
        drop(shared);
        let with = run_dir.try_lock().unwrap().unwrap();
        with.remove_leftovers(&dir).unwrap();
        assert!(with.missing().is_none() && !unfinished.exists());
    }
}
