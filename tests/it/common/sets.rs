//! Data sets in files, as other programs write them.

use rawzip::{CompressionMethod, ZipArchiveWriter};
use std::fs;
use std::io::Write as _;
use std::path::Path;

/// Images in bytes, [n, channels, height, width], with their labels.
#[derive(Clone)]
pub struct Set {
    pub shape: [usize; 3],
    pub images: Vec<u8>,
    pub labels: Vec<u8>,
}

impl Set {
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn image(&self, at: usize) -> &[u8] {
        let numbers = self.shape.iter().product::<usize>();
        &self.images[at * numbers..][..numbers]
    }

    /// Those at these places.
    pub fn picked(&self, places: &[usize]) -> Self {
        let images = places.iter().flat_map(|at| self.image(*at).iter().copied()).collect();
        Self { shape: self.shape, images, labels: places.iter().map(|at| self.labels[*at]).collect() }
    }
}

/// A small set of squares of three shades at 6×10.
pub fn shades(count: usize) -> Set {
    let labels: Vec<u8> = (0..count).map(|at| (at * 7 % 5 % 3) as u8).collect();
    let image = |at: usize| (0..60).map(move |place| ((at * 31 + place * 17) % 50) as u8);
    let images = (0..count).flat_map(|at| image(at).zip(std::iter::repeat(60 * labels[at]))).map(|(x, y)| x + y);
    Set { shape: [1, 6, 10], images: images.collect(), labels }
}

fn idx(shape: &[usize], contents: &[u8]) -> Vec<u8> {
    let mut raw = vec![0, 0, 8, shape.len() as u8];
    shape.iter().for_each(|n| raw.extend(u32::try_from(*n).unwrap().to_be_bytes()));
    raw.extend(contents);
    raw
}

/// IDX files of grey images; `dash` stands before "idx" in their names.
pub fn write_idx(folder: &Path, [train, test]: [&Set; 2], dash: char) {
    fs::create_dir_all(folder).unwrap();
    for (name, set) in [("train", train), ("t10k", test)] {
        let [_, height, width] = set.shape;
        let (images, labels) = (idx(&[set.len(), height, width], &set.images), idx(&[set.len()], &set.labels));
        fs::write(folder.join(format!("{name}-images{dash}idx3-ubyte")), images).unwrap();
        fs::write(folder.join(format!("{name}-labels{dash}idx1-ubyte")), labels).unwrap();
    }
}

/// An array as NumPy saves it: `descr` such as "|u1" or "<i8".
pub fn npy(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sides}), }}");
    // The data begins at a multiple of 64.
    header.push_str(&" ".repeat(63 - (header.len() + 10) % 64));
    header.push('\n');
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\0", &length[..], header.as_bytes(), data].concat()
}

/// What np.savez makes of arrays by name.
pub fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let named: Vec<(String, &[u8])> = arrays.iter().map(|(name, bytes)| (format!("{name}.npy"), &bytes[..])).collect();
    let members: Vec<(&str, &[u8])> = named.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    zip(&members)
}

/// A zip of files that are not compressed.
pub fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut archive = ZipArchiveWriter::new(&mut file);
    for (name, bytes) in members {
        let (mut entry, config) = archive.new_file(*name).compression_method(CompressionMethod::STORE).start().unwrap();
        let mut writer = config.wrap(&mut entry);
        writer.write_all(bytes).unwrap();
        let descriptor = writer.finish().unwrap().1;
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap();
    file
}

/// Keras's four arrays, channels last.
pub fn write_npz(path: &Path, sets: [&Set; 2]) {
    let mut arrays = Vec::new();
    for (name, set) in ["train", "test"].into_iter().zip(sets) {
        let [channels, height, width] = set.shape;
        let places = height * width;
        let last = |at: usize| {
            let image = set.image(at);
            (0..places).flat_map(move |place| (0..channels).map(move |channel| image[channel * places + place]))
        };
        let images: Vec<u8> = (0..set.len()).flat_map(last).collect();
        let shape =
            if channels == 1 { vec![set.len(), height, width] } else { vec![set.len(), height, width, channels] };
        let labels: Vec<u8> = set.labels.iter().flat_map(|label| i64::from(*label).to_le_bytes()).collect();
        arrays.push((format!("x_{name}"), npy("|u1", &shape, &images)));
        arrays.push((format!("y_{name}"), npy("<i8", &[set.len()], &labels)));
    }
    let named: Vec<(&str, Vec<u8>)> = arrays.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    fs::write(path, npz(&named)).unwrap();
}

/// train.csv and test.csv, the label first.
pub fn write_csv(folder: &Path, sets: [&Set; 2]) {
    fs::create_dir_all(folder).unwrap();
    for (name, set) in ["train.csv", "test.csv"].into_iter().zip(sets) {
        let numbers = set.shape.iter().product::<usize>();
        let header = (0..numbers).map(|at| format!("pixel{at}")).collect::<Vec<_>>().join(",");
        let mut text = format!("label,{header}\n");
        for at in 0..set.len() {
            let pixels = set.image(at).iter().map(u8::to_string).collect::<Vec<_>>().join(",");
            text.push_str(&format!("{},{pixels}\n", set.labels[at]));
        }
        fs::write(folder.join(name), text).unwrap();
    }
}

/// PNG files in train/<class>/ and test/<class>/, numbered in their order across classes.
pub fn write_folder(folder: &Path, sets: [&Set; 2]) {
    for (name, set) in ["train", "test"].into_iter().zip(sets) {
        for at in 0..set.len() {
            let class = folder.join(name).join(format!("class-{}", set.labels[at]));
            fs::create_dir_all(&class).unwrap();
            fs::write(class.join(format!("{at:05}.png")), png(set.shape, set.image(at))).unwrap();
        }
    }
}

/// An image [channels, height, width] as a PNG, grey or in colour.
pub fn png([channels, height, width]: [usize; 3], image: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(if channels == 1 { png::ColorType::Grayscale } else { png::ColorType::Rgb });
    let places = height * width;
    let interleaved: Vec<u8> =
        (0..places).flat_map(|place| (0..channels).map(move |channel| image[channel * places + place])).collect();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&interleaved).unwrap();
    writer.finish().unwrap();
    bytes
}

/// CIFAR-10's binary batches: two to train on, one to test on.
pub fn write_cifar(folder: &Path, [train, test]: [&Set; 2]) {
    fs::create_dir_all(folder).unwrap();
    let batch = |set: &Set, places: std::ops::Range<usize>| -> Vec<u8> {
        places.flat_map(|at| [&[set.labels[at]], set.image(at)].concat()).collect()
    };
    let half = train.len() / 2;
    fs::write(folder.join("data_batch_1.bin"), batch(train, 0..half)).unwrap();
    fs::write(folder.join("data_batch_2.bin"), batch(train, half..train.len())).unwrap();
    fs::write(folder.join("test_batch.bin"), batch(test, 0..test.len())).unwrap();
}
