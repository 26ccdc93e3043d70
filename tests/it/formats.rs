//! Whatever a file holds, readers neither panic nor allocate much more than they may.

use crate::common::memory::{HELD, MOST_HELD};
use flate2::{Compression, write::GzEncoder};
use hw1::data::formats::array::Progress;
use hw1::data::formats::{cifar, idx, npz};
use hw1::data::raw::{Options, Reading};
use proptest::prelude::*;
use rawzip::{CompressionMethod, ZipArchiveWriter};
use std::io::{Cursor, Read, Write};
use std::path::Path;

/// What readers may take here, and what they need to unpack.
const MOST: u64 = 1 << 20;
const BOUND: isize = 2 * MOST as isize + (1 << 20);

fn bounded(read: impl FnOnce(&mut Reading) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let before = HELD.get();
    MOST_HELD.set(before);
    let options = Options::default();
    let result = read(&mut Reading { options: &options, most_bytes: MOST, progress: &mut |_, _| Ok(()) });
    let peak = MOST_HELD.get() - before;
    assert!(peak < BOUND, "{peak} bytes: {result:?}");
    if let Err(error) = &result {
        assert!(!format!("{error:#}").contains('\n'), "{error:#}");
    }
    result
}

fn idx(images: &[u8], labels: &[u8]) -> anyhow::Result<()> {
    bounded(|reading| {
        let sources = [images, labels].map(|file| ("file".into(), Box::new(file) as Box<dyn Read>));
        idx::parse(sources.into(), reading).map(drop)
    })
}

fn npz(file: &[u8]) -> anyhow::Result<()> {
    bounded(|reading| npz::parse(Path::new("file"), Cursor::new(file), reading).map(drop))
}

fn cifar(file: &[u8]) -> anyhow::Result<()> {
    bounded(|reading| {
        let mut progress = Progress { done: 0, total: 0, call: reading.progress };
        cifar::batch(&cifar::CIFAR_10, Path::new("file"), file, &mut cifar::Samples::default(), &mut progress)
    })
}

const LABELS: &[u8] = &[0, 0, 8, 1, 0, 0, 0, 2, 1, 0];

fn images() -> Vec<u8> {
    [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2][..], &[7; 8]].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn archive(images: &[u8]) -> Vec<u8> {
    let npy = |shape: &str, data: &[u8]| {
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\0", &[header.len() as u8, 0][..], header.as_bytes(), data].concat()
    };
    let mut file = Vec::new();
    let mut archive = ZipArchiveWriter::new(&mut file);
    for (name, bytes) in [("x.npy", npy("(2, 2, 2)", images)), ("y.npy", npy("(2,)", &[1, 0]))] {
        let (mut entry, config) = archive.new_file(name).compression_method(CompressionMethod::STORE).start().unwrap();
        let mut writer = config.wrap(&mut entry);
        writer.write_all(&bytes).unwrap();
        let descriptor = writer.finish().unwrap().1;
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap();
    file
}

#[derive(Clone, Debug)]
enum Change {
    Flip(prop::sample::Index, u8),
    Put(prop::sample::Index, [u8; 4]),
    Insert(prop::sample::Index, Vec<u8>),
    Truncate(prop::sample::Index),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let length = prop_oneof![Just(0u32), Just(1), Just(255), Just(1 << 20), Just(u32::MAX), any::<u32>()];
    let length =
        (length, any::<bool>()).prop_map(|(length, big)| if big { length.to_be_bytes() } else { length.to_le_bytes() });
    let change = prop_oneof![
        any::<(prop::sample::Index, u8)>().prop_map(|(at, bits)| Change::Flip(at, bits)),
        (any::<prop::sample::Index>(), length).prop_map(|(at, bytes)| Change::Put(at, bytes)),
        any::<(prop::sample::Index, Vec<u8>)>().prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        any::<prop::sample::Index>().prop_map(Change::Truncate),
    ];
    prop::collection::vec(change, 1..4)
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let length = bytes.len();
        match change {
            _ if bytes.is_empty() => {}
            Change::Flip(at, bits) => bytes[at.index(length)] ^= bits,
            Change::Put(at, new) => {
                bytes.iter_mut().skip(at.index(length)).zip(new).for_each(|(byte, new)| *byte = *new)
            }
            Change::Insert(at, new) => drop(bytes.splice(at.index(length)..at.index(length), new.iter().copied())),
            Change::Truncate(at) => bytes.truncate(at.index(length)),
        }
    }
    bytes
}

#[test]
fn unchanged_files_are_read() {
    idx(&images(), LABELS).unwrap();
    idx(&gzip(&images()), &gzip(LABELS)).unwrap();
    npz(&archive(&[7; 8])).unwrap();
    cifar(&[1; 3073]).unwrap();
}

#[test]
fn what_unpacks_to_more_is_not_unpacked() {
    let bomb = vec![0; 64 << 20];
    let long = [&images()[..], &bomb].concat();
    let (packed, within) = (gzip(&long), [&[0, 0, 8, 3, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 1][..], &bomb].concat());
    drop(long);
    for file in [packed, gzip(&within), within] {
        idx(&file, LABELS).unwrap_err();
    }
    npz(&archive(&bomb)).unwrap_err();
}

proptest! {
    #[test]
    fn any_bytes(bytes: Vec<u8>) {
        let start = |start: &[u8]| [start, &bytes].concat();
        for file in [bytes.clone(), start(&[0, 0, 8, 3, 0, 0]), start(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])] {
            let _ = idx(&file, LABELS);
            let _ = idx(&images(), &file);
        }
        for file in [bytes.clone(), start(b"PK\x03\x04"), [&bytes[..], b"PK\x05\x06", &[0; 18]].concat()] {
            let _ = npz(&file);
        }
        prop_assert!(cifar(&bytes).is_err());
    }

    #[test]
    fn changed_files(changes in changes()) {
        let _ = idx(&changed(images(), &changes), LABELS);
        let _ = idx(&images(), &changed(LABELS.into(), &changes));
        let _ = idx(&changed(gzip(&images()), &changes), LABELS);
        let _ = npz(&changed(archive(&[7; 8]), &changes));
        let _ = cifar(&changed(vec![1; 3073], &changes));
    }
}
