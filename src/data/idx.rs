//! One IDX file of images or labels, plain or gzipped, taken only when its contents are the expected ones to the bit.
//! Knows no network (fetch) and no tensors.

use super::{CLASSES, SIDE};
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

/// The plain file first: it is the faster one, and the one a download writes.
pub(super) fn locate(file: &IdxFile, folder: &Path) -> Option<PathBuf> {
    [folder.join(file.name), folder.join(format!("{}.gz", file.name))].into_iter().find(|path| path.is_file())
}

pub(super) fn load_file(file: &IdxFile, folder: &Path) -> Result<Vec<u8>> {
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

pub(crate) fn verify_file(file: &IdxFile, folder: &Path) -> FileCheck {
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
fn unpack(file: &IdxFile, mut reader: impl Read) -> Result<Vec<u8>, String> {
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

fn check(file: &IdxFile, raw: &[u8]) -> Result<(), String> {
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
        "{} cannot be taken for MNIST's {}: {what}; replace it with `hw1 data fetch --data-dir {}`, \
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
pub(crate) mod tests {
    use super::*;
    use crate::data::PIXELS;
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use std::fs;
    use std::io::Write as _;

    /// A small data set of valid files: five images and their labels.
    pub(crate) fn tiny() -> [(IdxFile, Vec<u8>); 2] {
        let images: Vec<u8> = (0..5 * PIXELS).map(|i| (i * i % 251) as u8).collect();
        [
            with_contents("tiny-images", Items::Images, 5, &images),
            with_contents("tiny-labels", Items::Labels, 5, &[3, 1, 4, 0, 9]),
        ]
    }

    fn with_contents(name: &'static str, items: Items, count: usize, contents: &[u8]) -> (IdxFile, Vec<u8>) {
        let mut file = IdxFile { name, items, count, sha256: "" };
        let mut raw = file.magic().to_vec();
        for n in file.shape() {
            raw.extend(u32::try_from(n).unwrap().to_be_bytes());
        }
        raw.extend(contents);
        file.sha256 = sha256(&raw).leak();
        (file, raw)
    }

    pub(crate) fn gzip(raw: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(raw).unwrap();
        encoder.finish().unwrap()
    }

    fn parse_error(file: &IdxFile, bytes: &[u8]) -> String {
        let error = parse(file, Path::new("folder/x.gz"), bytes).unwrap_err().to_string();
        assert!(error.starts_with("folder/x.gz cannot be taken for MNIST's tiny-"), "{error}");
        assert!(
            error.ends_with("`hw1 data fetch --data-dir folder`, or name another folder with --data-dir"),
            "{error}"
        );
        assert!(!error.contains('\n'));
        error
    }

    #[test]
    fn plain_and_gzipped_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let [(images, raw_images), (labels, raw_labels)] = tiny();
        fs::write(folder.path().join("tiny-images.gz"), gzip(&raw_images)).unwrap();
        fs::write(folder.path().join("tiny-labels"), &raw_labels).unwrap();
        let [pixels, digits] = [images, labels].map(|file| load_file(&file, folder.path()).unwrap());
        assert_eq!(pixels, raw_images[16..]);
        assert_eq!(digits, [3, 1, 4, 0, 9]);
        assert!(verify_file(&images, folder.path()).problem.is_none());

        // A name does not decide, nor into how many members gzip cut.
        fs::write(folder.path().join("tiny-labels.gz"), &raw_labels).unwrap();
        fs::remove_file(folder.path().join("tiny-labels")).unwrap();
        assert!(load_file(&labels, folder.path()).is_ok());
        let members = [gzip(&raw_images[..1000]), gzip(&raw_images[1000..])].concat();
        assert_eq!(parse(&images, Path::new("x"), &members[..]).unwrap(), raw_images[16..]);
    }

    #[test]
    fn what_is_not_the_file_is_refused() {
        let [(images, raw), (labels, raw_labels)] = tiny();
        for packed in [false, true] {
            let error = |file, raw: &[u8]| parse_error(file, &if packed { gzip(raw) } else { raw.to_vec() });
            let changed = |at: usize, byte: u8| {
                let mut raw = raw.clone();
                raw[at] = byte;
                raw
            };
            for n in [0, 3, 4, 15, 16, raw.len() - 1] {
                let expected = format!("truncated: 3936 bytes are expected unpacked, {n} were");
                assert!(error(&images, &raw[..n]).contains(&expected));
            }
            assert!(error(&images, &[&raw[..], &[0]].concat()).contains("oversized: 3936 bytes"));
            assert!(error(&images, &raw_labels).contains("starts with [00, 00, 08, 01], not [00, 00, 08, 03]"));
            assert!(error(&labels, &raw).contains("starts with"));
            assert!(error(&images, b"<!DOCTYPE html>").contains("neither gzip nor"));
            assert!(error(&images, &changed(7, 6)).contains("says 6×28×28, not 5×28×28"));
            assert!(error(&images, &changed(4, 255)).contains("says 4278190085×28×28"));
            assert!(error(&images, &changed(11, 27)).contains("says 5×27×28"));
            assert!(error(&images, &changed(15, 29)).contains("says 5×28×29"));
            let mut wrong = raw_labels.clone();
            wrong[8 + 3] = 10;
            assert!(error(&labels, &wrong).contains("label 3 is 10"));
        }
        let packed = gzip(&raw);
        let mut flipped = packed.clone();
        *flipped.last_mut().unwrap() ^= 1; // The length in gzip's trailer.
        for damaged in [&packed[..packed.len() - 1], &packed[..2], &flipped, &[&packed[..], b"more"].concat()] {
            assert!(parse_error(&images, damaged).contains("its gzip is damaged"));
        }
    }

    #[test]
    fn another_data_set_of_the_same_shape_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let [(images, mut raw), _] = tiny();
        *raw.last_mut().unwrap() ^= 1;
        fs::write(folder.path().join("tiny-images"), &raw).unwrap();
        let problem = verify_file(&images, folder.path()).problem.unwrap();
        assert!(problem.contains("the SHA-256 of its contents is"), "{problem}");
        assert!(problem.contains(images.sha256), "{problem}");
    }

    proptest! {
        /// Cut, flipped or lengthened, plain or packed: refused or read, never a panic, and never
        /// more than the file should have.
        #[test]
        fn mutated_files_do_no_harm(
            labels: bool,
            packed: bool,
            mutations in proptest::collection::vec((0..3, any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let [images, label] = tiny();
            let (file, raw) = if labels { label } else { images };
            let mut bytes = if packed { gzip(&raw) } else { raw.clone() };
            for (kind, at, byte) in mutations {
                let at = at.index(bytes.len() + 1);
                match kind {
                    0 => bytes.truncate(at),
                    1 => if let Some(old) = bytes.get_mut(at) { *old ^= byte },
                    _ => bytes.insert(at, byte),
                }
            }
            if let Ok(raw) = unpack(&file, &bytes[..]) {
                prop_assert!(raw.capacity() <= file.raw_len() + 1);
            }
            if let Ok(items) = parse(&file, Path::new("x"), &bytes[..]) {
                prop_assert_eq!(items.len(), file.raw_len() - file.header_len());
            }
            if let Ok(accepted) = accept(&file, &bytes) {
                prop_assert_eq!(accepted, raw);
            }
        }
    }
}
