//! A small data set of valid files, as MNIST's are: five images and their labels.

use flate2::{Compression, write::GzEncoder};
use hw1::data::digits::{PIXELS, SIDE};
use hw1::data::mnist::{IdxFile, Items};
use hw1::files::sha256;
use std::io::Write as _;

/// What is expected of each file, and its plain contents.
pub fn tiny() -> [(IdxFile, Vec<u8>); 2] {
    let images: Vec<u8> = (0..5 * PIXELS).map(|i| (i * i % 251) as u8).collect();
    [
        with_contents("tiny-images", Items::Images, &[5, SIDE, SIDE], &images),
        with_contents("tiny-labels", Items::Labels, &[5], &[3, 1, 4, 0, 9]),
    ]
}

fn with_contents(name: &'static str, items: Items, shape: &[usize], contents: &[u8]) -> (IdxFile, Vec<u8>) {
    let mut raw = vec![0, 0, 8, shape.len() as u8];
    for n in shape {
        raw.extend(u32::try_from(*n).unwrap().to_be_bytes());
    }
    raw.extend(contents);
    (IdxFile { name, items, count: shape[0], sha256: sha256(&raw).leak() }, raw)
}

pub fn gzip(raw: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(raw).unwrap();
    encoder.finish().unwrap()
}
