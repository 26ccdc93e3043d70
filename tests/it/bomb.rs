//! Memory while reading is bounded by what the file should hold, not by what it says or unpacks to.

use crate::common::memory::LARGEST;
use hw1::data::mnist::{IdxFile, Items, parse};
use std::io::Write as _;
use std::path::Path;

#[test]
fn neither_a_bomb_nor_a_lying_header_is_believed() {
    let file = IdxFile { name: "tiny", items: Items::Images, count: 3, sha256: "" };
    // 8 MB of zeros behind a header that speaks of 2³² images.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut raw = vec![0, 0, 8, 3, 255, 255, 255, 255, 0, 0, 0, 28, 0, 0, 0, 28];
    raw.resize(8 << 20, 0);
    encoder.write_all(&raw).unwrap();
    let bomb = encoder.finish().unwrap();
    for bytes in [&bomb[..], &raw] {
        LARGEST.set(0);
        let error = parse(&file, Path::new("x"), bytes).unwrap_err().to_string();
        assert!(error.contains("4294967295×28×28"), "{error}");
        assert!(LARGEST.get() < 200_000, "{}", LARGEST.get());
    }
}
