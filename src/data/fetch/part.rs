//! What has come of a file so far: kept beside its place as it comes, so that a download that broke off, or whose
//! process was killed, goes on from there. Whether it is the file its digest decides, in the end.

use crate::files::sha256;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Hidden, and of one address: other mirrors may have packed a file otherwise.
fn prefix(name: &str) -> String {
    format!(".part-{name}-")
}

pub(super) struct Part {
    path: PathBuf,
    pub bytes: Vec<u8>,
    /// To write on; `None` where it takes no more, which is no reason to stop.
    file: Option<File>,
    /// Whether it began with what was there.
    pub is_resumed: bool,
}

impl Part {
    /// What there is of a file of this name at this address, up to so many bytes.
    pub(super) fn open(folder: &Path, name: &str, url: &str, limit: usize) -> Self {
        let path = folder.join(format!("{}{}", prefix(name), &sha256(url.as_bytes())[..16]));
        let mut bytes = Vec::new();
        // A pipe would wait for ever.
        if path.symlink_metadata().is_ok_and(|about| about.is_file()) {
            let read = File::open(&path).and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes));
            if read.is_err() || bytes.len() > limit {
                bytes.clear();
            }
        }
        let mut part = Self { path, is_resumed: !bytes.is_empty(), bytes, file: None };
        if part.is_resumed {
            part.file = OpenOptions::new().append(true).open(&part.path).ok();
        }
        part
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        if self.bytes.is_empty() {
            self.file = OpenOptions::new().create(true).write(true).truncate(true).open(&self.path).ok();
        }
        self.bytes.extend_from_slice(chunk);
        if self.file.as_mut().is_some_and(|file| file.write_all(chunk).is_err()) {
            // Half a piece on the disk, and no more.
            self.file = None;
        }
    }

    /// From the start again.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.file = None;
        self.is_resumed = false;
        let _ = fs::remove_file(&self.path);
    }

    /// Takes away all that is left of a file that is in its place.
    pub(super) fn remove(folder: &Path, name: &str) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix(name)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
