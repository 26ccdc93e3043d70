//! Whole folders of images, small ones, by every rule of [`super`].

use super::*;
use crate::data::raw::Options;
use ::image::{DynamicImage, GrayImage, ImageFormat, RgbImage, RgbaImage};
use proptest::prelude::*;
use std::fs;
use std::io::Cursor;

const MOST: u64 = 1 << 20;

fn bytes(image: impl Into<DynamicImage>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn grey(width: u32, height: u32, value: u8) -> Vec<u8> {
    bytes(GrayImage::from_pixel(width, height, ::image::Luma([value])))
}

fn colour(width: u32, height: u32, value: [u8; 3]) -> Vec<u8> {
    bytes(RgbImage::from_pixel(width, height, ::image::Rgb(value)))
}

fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

fn with(path: &Path, options: &Options, most_bytes: u64) -> Result<Raw> {
    read(path, &mut Reading { options, most_bytes, progress: &mut |_, _| Ok(()) })
}

fn all(files: &[(&str, Vec<u8>)], options: &Options) -> Result<Raw> {
    with(folder(files).path(), options, MOST)
}

fn pixels(part: &Part) -> &[u8] {
    match &part.inputs {
        Numbers::Bytes(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn grey_stays_grey_and_colour_makes_all_colour() {
    let plain = Options::default();
    let raw = all(&[("b/1.png", grey(2, 1, 5)), ("a/2.png", grey(2, 1, 7))], &plain).unwrap();
    assert_eq!((raw.kind, &raw.shape[..], raw.divisor), (Kind::Images, &[1, 1, 2][..], 255.0));
    assert_eq!((pixels(&raw.train), &raw.train.targets), (&[5, 5, 7, 7][..], &Targets::Numbers(vec![1, 0])));
    assert_eq!(raw.class_names, Some(vec!["a".to_string(), "b".to_string()]));
    assert!(raw.test.is_none() && raw.notes.is_empty());
    // Before, between and after grey ones, and in test only.
    let (dark, red) = (grey(2, 1, 5), colour(2, 1, [9, 8, 7]));
    let (dark_planes, red_planes) = ([5; 6], [9, 9, 8, 8, 7, 7]);
    for at in 0..4 {
        let names = ["train/a/1.png", "train/b/2.png", "train/a/3.png", "test/a/1.png"];
        let file = |(index, name)| (name, if index == at { red.clone() } else { dark.clone() });
        let raw = all(&names.into_iter().enumerate().map(file).collect::<Vec<_>>(), &plain).unwrap();
        let found = [pixels(&raw.train), pixels(raw.test.as_ref().unwrap())].concat();
        let expected = (0..4).flat_map(|index| if index == at { red_planes } else { dark_planes }).collect::<Vec<_>>();
        assert_eq!((&raw.shape[..], found), (&[3, 1, 2][..], expected));
        assert_eq!(raw.test.unwrap().targets, Targets::Numbers(vec![0]));
        assert!(raw.train.from.ends_with("/train"), "{}", raw.train.from);
    }
}

#[test]
fn sizes() {
    let files = [("a/1.png", grey(4, 4, 5)), ("b/2.png", grey(4, 4, 6)), ("a/3.png", grey(2, 8, 7))];
    let error = all(&files, &Options::default()).unwrap_err().to_string();
    for expected in ["a/1.png is 4x4 (height x width) and ", "a/3.png is 8x2: bring all", "--set data.size=32x32"] {
        assert!(error.contains(expected), "{error}");
    }
    let size = |size| Options { size: Some(size), ..Options::default() };
    let raw = all(&files, &size([4, 4])).unwrap();
    assert_eq!(pixels(&raw.train), [[5; 16], [6; 16], [7; 16]].concat());
    assert_eq!(raw.notes, ["images of other sizes, resized to 4x4: 1 of 3"]);
    assert_eq!(all(&files, &size([1, 3])).unwrap().shape, [1, 1, 3]);
    for other in [[0, 4], [4, 20_000]] {
        assert!(all(&files, &size(other)).unwrap_err().to_string().contains("sides are from 1 to 16384"));
    }
}

#[test]
fn transparency_is_noted_once() {
    let glass = bytes(RgbaImage::from_pixel(1, 1, ::image::Rgba([100, 200, 0, 51])));
    let raw = all(&[("a/1.png", glass.clone()), ("b/1.png", glass), ("b/2.png", grey(1, 1, 3))], &Options::default());
    let raw = raw.unwrap();
    assert_eq!(pixels(&raw.train), [20, 40, 0, 20, 40, 0, 3, 3, 3]);
    assert_eq!(raw.notes, ["images with transparent pixels, which were blended over black: 2 of 3"]);
}

#[test]
fn contents_decide_and_broken_files_are_named() {
    let mut jpeg = Cursor::new(Vec::new());
    DynamicImage::from(GrayImage::from_pixel(8, 8, ::image::Luma([50])))
        .write_to(&mut jpeg, ImageFormat::Jpeg)
        .unwrap();
    let raw = all(&[("a/1.png", jpeg.into_inner()), ("b/1.jpg", grey(8, 8, 50))], &Options::default()).unwrap();
    assert_eq!(pixels(&raw.train), [50; 128]);
    for (broken, expected) in [
        (Vec::new(), "b/2.png is empty: remove or replace it"),
        (b"GIF89a".to_vec(), "b/2.png is neither PNG nor JPEG inside: remove or replace it"),
        (grey(8, 8, 9)[..50].to_vec(), "b/2.png is damaged ("),
    ] {
        let error =
            all(&[("a/1.png", grey(8, 8, 1)), ("b/2.png", broken)], &Options::default()).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn memory_is_bounded() {
    let files = [("a/1.png", grey(10, 10, 1)), ("b/2.png", grey(10, 10, 2))];
    let (plain, there) = (Options::default(), folder(&files));
    assert!(with(there.path(), &plain, 200).is_ok());
    let error = with(there.path(), &plain, 199).unwrap_err().to_string();
    assert!(error.contains("2 images of 100 pixels in 1 channels take more memory"), "{error}");
    let there = folder(&[("a/1.png", grey(10, 10, 1)), ("b/2.png", colour(10, 10, [1, 2, 3]))]);
    assert!(with(there.path(), &plain, 600).is_ok() && with(there.path(), &plain, 599).is_err());
}

#[test]
fn other_kinds_and_folders_are_refused() {
    let files = [("a/1.png", grey(1, 1, 1)), ("b/2.png", grey(1, 1, 2))];
    for (kind, fine) in [("images", true), ("features", false), ("tokens", false), ("channels-last", false)] {
        assert_eq!(all(&files, &Options { kind: Some(kind.to_string()), ..Options::default() }).is_ok(), fine);
    }
    assert!(all(&[], &Options::default()).unwrap_err().to_string().contains("has no folders of images"));
}

#[test]
fn files_and_progress() {
    let names: Vec<_> = (0..300).map(|at| format!("train/{}/{at:03}.png", at % 3)).collect();
    let mut there: Vec<_> = names.iter().map(|name| (&name[..], grey(1, 1, 9))).collect();
    there.push(("test/1/x.png", grey(1, 1, 8)));
    let there = folder(&there);
    let found = files(there.path()).unwrap().unwrap();
    assert_eq!(found.len(), 301);
    assert!(found.iter().zip(names.iter()).all(|(found, name)| found.ends_with(name)) && found[300].ends_with("x.png"));
    let (options, mut calls) = (Options::default(), Vec::new());
    let mut note = |done, total| {
        calls.push((done, total));
        Ok(())
    };
    read(there.path(), &mut Reading { options: &options, most_bytes: MOST, progress: &mut note }).unwrap();
    assert_eq!(calls.last(), Some(&(301, 301)));
    let mut stop = |_, _| bail!("stopped");
    let stopped = read(there.path(), &mut Reading { options: &options, most_bytes: MOST, progress: &mut stop });
    assert_eq!(stopped.unwrap_err().to_string(), "stopped");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn folders_come_back(
        images in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 18)), 2..40), grey_only in any::<bool>(),
    ) {
        let images: Vec<_> = images.into_iter().map(|(is_grey, pixels)| (is_grey || grey_only, pixels)).collect();
        let names: Vec<_> = (0..images.len()).map(|at| format!("{}/{at:02}.png", at % 2)).collect();
        let file = |(name, (is_grey, pixels)): (&'_ String, &(bool, Vec<u8>))| {
            let png = if *is_grey {
                bytes(GrayImage::from_raw(3, 2, pixels[..6].to_vec()).unwrap())
            } else {
                bytes(RgbImage::from_raw(3, 2, pixels.clone()).unwrap())
            };
            (name.clone(), png)
        };
        let files: Vec<_> = names.iter().zip(&images).map(file).collect();
        let files: Vec<_> = files.iter().map(|(name, png)| (&name[..], png.clone())).collect();
        let raw = all(&files, &Options::default()).unwrap();
        let all_grey = images.iter().all(|(is_grey, _)| *is_grey);
        let expected = images.iter().flat_map(|(is_grey, pixels)| match (all_grey, is_grey) {
            (true, _) => pixels[..6].to_vec(),
            (false, true) => pixels[..6].repeat(3),
            (false, false) => Pixels::Colour(pixels.clone()).planes(),
        });
        prop_assert_eq!(pixels(&raw.train), expected.collect::<Vec<_>>());
        prop_assert_eq!(raw.shape, [if all_grey { 1 } else { 3 }, 2, 3]);
    }
}
