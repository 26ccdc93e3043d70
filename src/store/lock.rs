//! The lock of a run directory: one process at a time works there, where the file system has locks; and what only its
//! holder may do. Knows nothing of what else it does.

use crate::files::{self, Locked};
use crate::store::run_dir::{RunDir, StudyDir, create_folder};
use anyhow::{Context as _, Result};
use std::fs::{File, TryLockError};
use std::io;

/// Held while a process works in a run directory; the system lets go when the process ends.
pub struct Lock {
    held: io::Result<File>,
}

impl Lock {
    /// Why there is none to be had here: others may work in the run directory, too. Then two processes do the same work,
    /// and publish the same bytes.
    pub fn missing(&self) -> Option<&io::Error> {
        self.held.as_ref().err()
    }

    /// Takes away what killed processes left unfinished in a study's folder. Without a lock nobody knows whose it is,
    /// so it stays.
    pub fn remove_leftovers(&self, dir: &StudyDir) -> Result<()> {
        if self.held.is_err() {
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
        let lock = File::open(self.root().join(".lock"));
        lock.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Makes the directory and takes its lock, or one that says why there is none; `None` while another process holds it.
    pub fn try_lock(&self) -> Result<Option<Lock>> {
        create_folder(self.root())?;
        let path = self.root().join(".lock");
        let cannot = || format!("cannot write {}; choose another folder with --out", path.display());
        Ok(match files::try_lock(&path).with_context(cannot)? {
            Locked::Held(file) => Some(Lock { held: Ok(file) }),
            Locked::Busy => None,
            Locked::Missing(error) => Some(Lock { held: Err(error) }),
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
    }

    #[test]
    fn only_who_holds_a_lock_cleans_up() {
        let folder = tempfile::tempdir().unwrap();
        let dir = StudyDir::at(folder.path().to_owned());
        dir.prepare().unwrap();
        let unfinished = folder.path().join("trials/.hw1-another");
        files::write_atomically(&unfinished, b"half").unwrap();
        let without = Lock { held: Err(io::Error::from_raw_os_error(38)) };
        without.remove_leftovers(&dir).unwrap();
        assert!(without.missing().is_some() && unfinished.exists());
        let with = RunDir::new(folder.path().to_owned()).try_lock().unwrap().unwrap();
        with.remove_leftovers(&dir).unwrap();
        assert!(with.missing().is_none() && !unfinished.exists());
    }
}
