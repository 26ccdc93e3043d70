//! What stands in a folder under a name that a fetch would write, and is none of the set's: somebody's own, or damaged.
//! It is refused by name, or given another name where that is asked for; it is never written over.

use super::Sent;
use crate::data::sent::not_pins;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// A file, and a sentence that names it and says what to do.
struct Foreign {
    path: PathBuf,
    problem: String,
}

/// Of a set's files.
fn in_the_way<S: Sent>(files: &[S], folder: &Path) -> Vec<Foreign> {
    let mut found = Vec::new();
    for file in files {
        for check in file.verify(folder) {
            let Some(problem) = check.problem else { continue };
            let target = folder.join(check.name);
            match check.path {
                Some(path) => found.push(Foreign { path, problem }),
                // A folder, a pipe, a link that leads nowhere.
                None if target.symlink_metadata().is_ok() => {
                    let problem = format!(
                        "{} is no file: move it away, or name another folder with --data-dir",
                        target.display()
                    );
                    found.push(Foreign { path: target, problem });
                }
                None => {}
            }
        }
    }
    if files.iter().any(|file| !file.is_known()) {
        found.extend(not_pins(folder).map(|path| Foreign {
            problem: format!("{} was not written by hw1: move it away, or name another folder", path.display()),
            path,
        }));
    }
    found
}

/// # Errors
/// Names the first that is in the way.
pub(super) fn refuse<S: Sent>(files: &[S], folder: &Path) -> Result<()> {
    let found = in_the_way(files, folder);
    let Some(first) = found.first() else { return Ok(()) };
    let others = if found.len() > 1 { format!(" ({} more like it)", found.len() - 1) } else { String::new() };
    bail!("hw1 replaces no file that is not its own: {}{others}", first.problem)
}

/// Of what is about to be written: it may stand there as it is, of other contents not.
///
/// # Errors
/// Names the first that has other contents, or cannot be read.
pub(super) fn refuse_others_than(received: &[(String, Vec<u8>)], folder: &Path) -> Result<()> {
    for (name, bytes) in received {
        let path = folder.join(name);
        if path.symlink_metadata().is_ok() && fs::read(&path).ok().as_ref() != Some(bytes) {
            bail!(
                "hw1 replaces no file that is not its own: {} stands there with other contents; move it away, or name \
                 another folder with --data-dir",
                path.display()
            );
        }
    }
    Ok(())
}

/// Gives every file in the way the name `<name>.set-aside-<n>`; the old names and the new ones.
///
/// # Errors
/// Where one cannot be renamed.
pub fn set_aside<S: Sent>(files: &[S], folder: &Path) -> Result<Vec<[PathBuf; 2]>> {
    let mut renamed = Vec::new();
    // Behind a plain file there may be a gzipped one that is as wrong.
    loop {
        let found = in_the_way(files, folder);
        if found.is_empty() {
            return Ok(renamed);
        }
        for Foreign { path, .. } in found {
            let named = |n: u32| {
                let mut name = path.as_os_str().to_owned();
                name.push(format!(".set-aside-{n}"));
                PathBuf::from(name)
            };
            let free = (1..u32::MAX).map(named).find(|name| name.symlink_metadata().is_err());
            let to = free.context("no name is left to set a file aside under")?;
            fs::rename(&path, &to).with_context(|| {
                format!("cannot set {} aside; move it away, or name another folder with --data-dir", path.display())
            })?;
            renamed.push([path, to]);
        }
    }
}
