//! One IDX file of images or labels that is known, plain or gzipped, taken only when its contents are the expected ones
//! to the bit; formats/idx.rs reads any. Knows no network (fetch) and no tensors.

use super::digits::{CLASSES, SIDE};
use crate::files::sha256;
use anyhow::{Result, anyhow};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What an IDX file holds: its first four bytes and the shape of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Items {
    Images,
    Labels,
}

/// One file of a data set.
#[derive(Clone, Copy, Debug)]
pub struct IdxFile {
    /// Name of the plain file; the gzipped one has `.gz` after it.
    pub name: &'static str,
    pub items: Items,
    pub count: usize,
    /// Of the plain contents, in lower-case hexadecimal: gzip packs the same contents in many ways.
    pub sha256: &'static str,
}

impl IdxFile {
    /// The first four bytes: 0, 0, unsigned bytes, the number of dimensions.
    const fn magic(&self) -> [u8; 4] {
        match self.items {
            Items::Images => [0, 0, 8, 3],
            Items::Labels => [0, 0, 8, 1],
        }
    }

    /// Length of each dimension.
    fn shape(&self) -> Vec<usize> {
        match self.items {
            Items::Images => vec![self.count, SIDE, SIDE],
            Items::Labels => vec![self.count],
        }
    }

    fn header_len(&self) -> usize {
        4 + 4 * self.shape().len()
    }

    /// Bytes of the plain file.
    pub fn raw_len(&self) -> usize {
        self.header_len() + self.shape().iter().product::<usize>()
    }
}

/// The plain file first: it is the faster one, and the one a download writes. Some tools that unpack call
/// `train-images-idx3-ubyte` `train-images.idx3-ubyte`.
pub(super) fn locate(file: &IdxFile, folder: &Path) -> Option<PathBuf> {
    let (name, other) = (file.name.to_owned(), file.name.replace("-idx", ".idx"));
    let names = [&name, &other, &format!("{name}.gz"), &format!("{other}.gz")].map(|name| folder.join(name));
    names.into_iter().find(|path| path.is_file())
}

/// The items of a file in a folder, plain or gzipped, as [`parse`] gives them, and its digest looked at.
///
/// # Errors
/// Where it is missing, cannot be read, or holds anything but what `file` says.
pub fn load_file(file: &IdxFile, folder: &Path) -> Result<Vec<u8>> {
    let path = locate(file, folder).ok_or_else(|| {
        let folder = folder.display();
        anyhow!(
            "{folder} has no {} (plain or .gz): run `hw1 data fetch --data-dir {folder}`, \
             or name another folder with --data-dir",
            file.name
        )
    })?;
    let refused = |what| refusal(file, &path, what);
    let open = File::open(&path).map_err(|error| refused(unreadable(&error)))?;
    let mut raw = unpack(file, &open).map_err(refused)?;
    check(file, &raw).map_err(refused)?;
    check_digest(file, &raw).map_err(refused)?;
    raw.drain(..file.header_len());
    Ok(raw)
}

/// What [`super::mnist::verify`] found of one file.
#[derive(Debug)]
pub struct FileCheck {
    /// Name of the plain file.
    pub name: &'static str,
    /// Where it lies, plain or gzipped; `None` where it is missing.
    pub path: Option<PathBuf>,
    /// What is wrong with it and what to do, in a sentence; `None` where all is well.
    pub problem: Option<String>,
}

/// Looks at one file through to the end.
pub fn verify_file(file: &IdxFile, folder: &Path) -> FileCheck {
    let problem = load_file(file, folder).err().map(|error| format!("{error:#}"));
    FileCheck { name: file.name, path: locate(file, folder), problem }
}

/// The items of an IDX file, plain or gzipped: count · 784 grey values, or count labels. `path` is
/// for errors. Does not look at the digest.
///
/// # Errors
/// Where the contents are not of the kind, count, size and length that `file` says, or a label is above 9.
pub fn parse(file: &IdxFile, path: &Path, reader: impl Read) -> Result<Vec<u8>> {
    let mut raw = unpack(file, reader).map_err(|what| refusal(file, path, what))?;
    check(file, &raw).map_err(|what| refusal(file, path, what))?;
    raw.drain(..file.header_len());
    Ok(raw)
}

// The checks say what is wrong; their callers know what to do about it.

/// What was received for a file: its plain contents, checked.
pub(crate) fn accept(file: &IdxFile, received: &[u8]) -> Result<Vec<u8>, String> {
    let raw = unpack(file, received)?;
    check(file, &raw)?;
    check_digest(file, &raw)?;
    Ok(raw)
}

/// The plain contents of a file, which may be gzipped: what it is called does not decide, since
/// browsers unpack on the way and keep the name. Reads one byte more than `file` should have, never
/// further: neither a header nor a gzip bomb decides how much is allocated.
pub(super) fn unpack(file: &IdxFile, mut reader: impl Read) -> Result<Vec<u8>, String> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    let limit = file.raw_len() + 1;
    let mut raw = Vec::with_capacity(limit);
    reader.by_ref().take(2).read_to_end(&mut raw).map_err(|error| unreadable(&error))?;
    if raw == GZIP {
        raw.clear();
        MultiGzDecoder::new(GZIP.chain(reader))
            .take(limit as u64)
            .read_to_end(&mut raw)
            .map_err(|error| format!("its gzip is damaged ({error})"))?;
    } else {
        let rest = (limit - raw.len()) as u64;
        reader.take(rest).read_to_end(&mut raw).map_err(|error| unreadable(&error))?;
    }
    Ok(raw)
}

pub(super) fn check(file: &IdxFile, raw: &[u8]) -> Result<(), String> {
    let expected = file.raw_len();
    let truncated = || format!("it is truncated: {expected} bytes are expected unpacked, {} were found", raw.len());
    let magic: &[u8; 4] = raw.first_chunk().ok_or_else(truncated)?;
    if *magic != file.magic() {
        return Err(format!(
            "it is neither gzip nor such an IDX file: it starts with {magic:02x?}, not {:02x?}",
            file.magic()
        ));
    }
    let header = raw.get(4..file.header_len()).ok_or_else(truncated)?;
    let found: Vec<u32> = header.as_chunks().0.iter().map(|bytes: &[u8; 4]| u32::from_be_bytes(*bytes)).collect();
    if !found.iter().map(|n| *n as usize).eq(file.shape()) {
        return Err(format!("its header says {}, not {}", dimensions(&found), dimensions(&file.shape())));
    }
    if raw.len() < expected {
        return Err(truncated());
    }
    if raw.len() > expected {
        return Err(format!("it is oversized: {expected} bytes are expected unpacked, and more follow"));
    }
    if file.items == Items::Labels {
        let labels = &raw[file.header_len()..];
        if let Some(at) = labels.iter().position(|label| *label >= CLASSES) {
            return Err(format!("label {at} is {}, and 9 is the highest", labels[at]));
        }
    }
    Ok(())
}

fn check_digest(file: &IdxFile, raw: &[u8]) -> Result<(), String> {
    let found = sha256(raw);
    if found != file.sha256 {
        return Err(format!("the SHA-256 of its contents is {found}, not {}", file.sha256));
    }
    Ok(())
}

fn unreadable(error: &io::Error) -> String {
    format!("it cannot be read ({error})")
}

fn refusal(file: &IdxFile, path: &Path, what: String) -> anyhow::Error {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    anyhow!(
        "{} cannot be taken for MNIST's {}: {what}; fetch it anew with `hw1 data fetch --set-aside --data-dir {}`, \
         or name another folder with --data-dir",
        path.display(),
        file.name,
        folder.display()
    )
}

fn dimensions(shape: &[impl ToString]) -> String {
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("×")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::mnist::FILES;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    #[test]
    fn no_more_is_unpacked_than_the_file_should_have() {
        let file = IdxFile { count: 5, ..FILES[1] };
        let endless = vec![0x1e; 1 << 20];
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&endless).unwrap();
        for bytes in [endless, encoder.finish().unwrap()] {
            let raw = unpack(&file, &bytes[..]).unwrap();
            assert!(raw.len() == file.raw_len() + 1 && raw.capacity() <= file.raw_len() + 1);
        }
    }
}
