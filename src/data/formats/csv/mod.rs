//! Tables as text: a file `*.csv`, `*.tsv` or `*.txt`, or a folder with train.csv and perhaps test.csv, each gzipped
//! or not; as pandas, Excel, R and numpy write them. Which files those are; what is in them is [`samples`]'s, and of
//! measured points [`points`]'s. No quoting but that of RFC 4180, and no encoding but UTF-8 and UTF-16.

mod cells;
mod dialect;
mod points;
mod samples;
mod table;
mod text;

pub use points::{parse as parse_points, points};

use crate::data::raw::{Raw, Reading};
use anyhow::{Context as _, Result, bail};
use samples::Source;
use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The file itself, or train and test of the folder; `None` where there is none.
///
/// # Errors
/// Where a folder has several that could be its train or test.
pub fn files(path: &Path) -> Result<Option<Vec<PathBuf>>> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    if path.is_file() {
        let name = name(path);
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        let known = [".csv", ".tsv", ".txt"].iter().any(|ending| plain.ends_with(ending));
        return Ok(known.then(|| vec![path.to_path_buf()]));
    }
    if !path.is_dir() {
        return Ok(None);
    }
    let listed = || format!("{} cannot be listed: make it readable", path.display());
    let all: Vec<PathBuf> = fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .with_context(listed)?;
    // The plain file before the gzipped one, as everywhere.
    let find = |part: &str| {
        for ending in ["", ".gz"] {
            let names = [format!("{part}.csv{ending}"), format!("{part}.tsv{ending}")];
            let mut found: Vec<_> = all.iter().filter(|path| names.contains(&name(path)) && path.is_file()).collect();
            found.sort();
            match found[..] {
                [] => {}
                [only] => return Ok(Some(only.clone())),
                [first, second, ..] => {
                    bail!("both {} and {} could hold {part}: remove one", first.display(), second.display())
                }
            }
        }
        Ok(None)
    };
    let Some(train) = find("train")? else { return Ok(None) };
    Ok(Some([train].into_iter().chain(find("test")?).collect()))
}

/// The samples of what [`files`] names.
///
/// # Errors
/// Where a file cannot be read, or is no table of numbers and labels; file, line and column are named.
pub fn read(path: &Path, reading: &mut Reading) -> Result<Raw> {
    let Some(files) = files(path)? else {
        bail!("{} is no table (.csv, .tsv, .txt) nor a folder with train.csv: name another one", path.display());
    };
    let done = Cell::new(0);
    let mut total = 0;
    let mut sources = Vec::new();
    for path in &files {
        let unreadable = || format!("{} cannot be read: make it readable", path.display());
        let file = File::open(path).with_context(unreadable)?;
        total += file.metadata().with_context(unreadable)?.len();
        sources
            .push(Source { from: path.display().to_string(), bytes: Box::new(Counted { inner: file, done: &done }) });
    }
    samples::read(sources, reading, &|| (done.get().min(total), total))
}

/// As [`read`], of files in memory.
///
/// # Errors
/// As [`read`].
pub fn parse(train: &[u8], test: Option<&[u8]>, reading: &mut Reading) -> Result<Raw> {
    let source = |(name, bytes): (&str, _)| Source { from: name.to_string(), bytes: Box::new(bytes) };
    let sources = [("train.csv", train)].into_iter().chain(test.map(|test| ("test.csv", test)));
    samples::read(sources.map(source).collect(), reading, &|| (0, 1))
}

/// Counts the bytes that were read.
struct Counted<'a, R> {
    inner: R,
    done: &'a Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.done.set(self.done.get() + count as u64);
        Ok(count)
    }
}
