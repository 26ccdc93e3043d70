//! MNIST's files, and files like them: what is read, and what is refused with which words.

use crate::common::tiny::{gzip, tiny};
use hw1::data::mnist::{FILES, IdxFile, digest, load, load_file, parse, verify, verify_file};
use proptest::prelude::*;
use std::fs;
use std::path::Path;

#[test]
fn mnist_is_what_it_is() {
    assert_eq!(FILES.map(|file| file.raw_len()), [47_040_016, 60_008, 7_840_016, 10_008]);
    assert!(FILES.iter().all(|file| file.sha256.len() == 64));
    // Part of fingerprints.
    assert_eq!(digest(), "c65580678af93f1ea48c2c0d01d543ec89307c6b8a0eb7ca542d7c18c5f4c681");
}

#[test]
fn a_missing_or_unreadable_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = load(folder.path()).err().unwrap().to_string();
    assert!(error.contains("has no train-images-idx3-ubyte (plain or .gz)"), "{error}");
    let checks = verify(folder.path());
    assert_eq!(checks.len(), 4);
    assert!(checks.iter().all(|check| check.path.is_none() && check.problem.is_some()));
}

fn parse_error(file: &IdxFile, bytes: &[u8]) -> String {
    let error = parse(file, Path::new("folder/x.gz"), bytes).unwrap_err().to_string();
    assert!(error.starts_with("folder/x.gz cannot be taken for MNIST's tiny-"), "{error}");
    assert!(
        error.ends_with("`hw1 data fetch --set-aside --data-dir folder`, or name another folder with --data-dir"),
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
        let ((file, raw), header) = if labels { (label, 8) } else { (images, 16) };
        let mut bytes = if packed { gzip(&raw) } else { raw.clone() };
        for (kind, at, byte) in mutations {
            let at = at.index(bytes.len() + 1);
            match kind {
                0 => bytes.truncate(at),
                1 => if let Some(old) = bytes.get_mut(at) { *old ^= byte },
                _ => bytes.insert(at, byte),
            }
        }
        if let Ok(items) = parse(&file, Path::new("x"), &bytes[..]) {
            prop_assert_eq!(items.len(), file.raw_len() - header);
            prop_assert!(items.capacity() <= file.raw_len() + 1);
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(file.name), &bytes).unwrap();
        if let Ok(items) = load_file(&file, folder.path()) {
            prop_assert_eq!(&items, &raw[header..]);
        }
    }
}
