//! The lock of a run directory: one process at a time works there. Knows nothing of what it does.

use crate::store::run_dir::{RunDir, create_folder};
use anyhow::{Context as _, Result};
use std::fs::{File, OpenOptions, TryLockError};

/// Held while a process works in a run directory; the system lets go when the process ends.
pub struct Lock {
    _file: File,
}

impl RunDir {
    /// Whether a process works in it now; changes nothing.
    pub fn is_in_use(&self) -> bool {
        let lock = File::open(self.root().join(".lock"));
        lock.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Makes the directory and takes its lock; `None` while another process holds it.
    pub fn try_lock(&self) -> Result<Option<Lock>> {
        create_folder(self.root())?;
        let path = self.root().join(".lock");
        let cannot = |what: &str| format!("cannot {what} {}; choose another folder with --out", path.display());
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.with_context(|| cannot("write"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| cannot("lock")),
        }
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
}
