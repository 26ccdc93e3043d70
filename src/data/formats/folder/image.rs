//! One PNG or JPEG, by its contents, as 8-bit planes of grey or of red, green and blue. What `image` decodes; alpha is
//! blended over black, 16 bits are rounded to 8, palettes are colours, EXIF's orientation and colour profiles are not
//! applied. Bounded, whatever a header announces. Knows no files.

use image::imageops::{FilterType, resize};
use image::{DynamicImage, ImageBuffer, ImageError, ImageFormat, ImageReader, Limits, Luma, Rgb};
use std::io::Cursor;
use std::panic::catch_unwind;

/// Of height and width.
pub const MOST_SIDE: u32 = 16_384;
const MOST_BYTES: u64 = 256 << 20;
/// A progressive JPEG takes 6 bytes a pixel beside the result.
const MOST_JPEG_PIXELS: u64 = 32 << 20;
/// Its first pass holds 16 bytes for each of an image's width by the result's height.
const MOST_RESIZING: u64 = MOST_BYTES / 16;

#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    pub height: usize,
    pub width: usize,
    pub pixels: Pixels,
    /// Whether a pixel was not opaque.
    pub blended: bool,
}

/// Row by row, channels last.
#[derive(Clone, Debug, PartialEq)]
pub enum Pixels {
    Grey(Vec<u8>),
    Colour(Vec<u8>),
}

/// # Errors
/// What is wrong with it, to go on "it ".
pub fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    // Decoders are large and not ours: one that fails takes no other image with it.
    catch_unwind(|| decode_unguarded(bytes)).unwrap_or_else(|_| Err("makes its decoder fail".to_string()))
}

fn decode_unguarded(bytes: &[u8]) -> Result<Decoded, String> {
    let damaged = |error: ImageError| match error {
        ImageError::Limits(_) => "is too large: 16384 pixels a side and 256 MiB are the most".to_string(),
        error => format!("is damaged ({})", error.to_string().replace('\n', " ").trim()),
    };
    let format = image::guess_format(bytes).ok();
    let mut limits = Limits::default();
    limits.max_image_width = Some(MOST_SIDE);
    limits.max_image_height = Some(MOST_SIDE);
    limits.max_alloc = Some(MOST_BYTES);
    let reader = |format| {
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        reader.limits(limits.clone());
        reader
    };
    let format = match format {
        Some(ImageFormat::Jpeg) => {
            let (width, height) = reader(ImageFormat::Jpeg).into_dimensions().map_err(damaged)?;
            if u64::from(width) * u64::from(height) > MOST_JPEG_PIXELS {
                return Err(format!("is too large: {width} times {height} pixels, and 32 Mi are the most"));
            }
            if is_cut(bytes) {
                return Err("is truncated".to_string());
            }
            ImageFormat::Jpeg
        }
        Some(ImageFormat::Png) if has_odd_palette(bytes) => return Err("is damaged (its palette)".to_string()),
        Some(ImageFormat::Png) => ImageFormat::Png,
        _ if bytes.is_empty() => return Err("is empty".to_string()),
        _ => return Err("is neither PNG nor JPEG inside".to_string()),
    };
    let image = reader(format).decode().map_err(damaged)?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    if width == 0 || height == 0 {
        return Err("has no pixels".to_string());
    }
    let mut blended = false;
    let pixels = match image {
        DynamicImage::ImageLuma8(image) => Pixels::Grey(image.into_raw()),
        DynamicImage::ImageRgb8(image) => Pixels::Colour(image.into_raw()),
        DynamicImage::ImageLuma16(image) => Pixels::Grey(image.iter().map(|value| narrow(*value)).collect()),
        DynamicImage::ImageRgb16(image) => Pixels::Colour(image.iter().map(|value| narrow(*value)).collect()),
        DynamicImage::ImageLumaA8(image) => Pixels::Grey(blend::<2>(&image, &mut blended)),
        DynamicImage::ImageRgba8(image) => Pixels::Colour(blend::<4>(&image, &mut blended)),
        DynamicImage::ImageLumaA16(image) => Pixels::Grey(blend::<2>(&narrowed(&image), &mut blended)),
        DynamicImage::ImageRgba16(image) => Pixels::Colour(blend::<4>(&narrowed(&image), &mut blended)),
        other => Pixels::Colour(other.into_rgb8().into_raw()),
    };
    Ok(Decoded { height, width, pixels, blended })
}

/// Whether no mark ends a JPEG's last scan: the decoder would fill up what is missing with grey.
fn is_cut(bytes: &[u8]) -> bool {
    let last = |mark: [u8; 2]| bytes.windows(2).rposition(|pair| pair == mark);
    last([0xff, 0xd9]) < last([0xff, 0xda])
}

/// Whether a PNG's palette is not of 1 to 256 colours, on which png 0.18.1 panics (image-rs/image-png#694).
fn has_odd_palette(png: &[u8]) -> bool {
    let mut rest = png.get(8..).unwrap_or_default();
    while let Some(([a, b, c, d, kind @ ..], after)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        match kind {
            b"PLTE" => return !length.is_multiple_of(3) || !(3..=768).contains(&length),
            b"IDAT" => return false,
            _ => rest = after.get(length.saturating_add(4)..).unwrap_or_default(),
        }
    }
    false
}

fn narrow(value: u16) -> u8 {
    ((u32::from(value) + 128) / 257) as u8
}

fn narrowed(values: &[u16]) -> Vec<u8> {
    values.iter().map(|value| narrow(*value)).collect()
}

/// Pixels of `N` values, the last of them alpha, over black.
fn blend<const N: usize>(values: &[u8], blended: &mut bool) -> Vec<u8> {
    let pixels = values.as_chunks::<N>().0;
    let mut over = Vec::with_capacity(pixels.len() * (N - 1));
    for pixel in pixels {
        let alpha = pixel[N - 1];
        *blended |= alpha < 255;
        over.extend(pixel[..N - 1].iter().map(|value| ((u32::from(*value) * u32::from(alpha) + 127) / 255) as u8));
    }
    over
}

impl Decoded {
    /// Brought to another size with a triangle filter as wide as the step is, each side for itself.
    ///
    /// # Errors
    /// Where that would take too much memory; to go on "it ".
    pub fn resized(self, height: usize, width: usize) -> Result<Self, String> {
        if (self.height, self.width) == (height, width) {
            return Ok(self);
        }
        let sides = [self.width, self.height, width, height].map(|side| u32::try_from(side).ok());
        let [Some(from_width), Some(from_height), Some(to_width), Some(to_height)] = sides else {
            return Err("is too large to be resized".to_string());
        };
        if u64::from(from_width.max(to_width)) * u64::from(to_height) > MOST_RESIZING {
            return Err(format!("is {from_width} pixels wide, too large to be resized to {to_height}x{to_width}"));
        }
        let lost = || "cannot be resized".to_string();
        let pixels = match self.pixels {
            Pixels::Grey(pixels) => {
                let image = ImageBuffer::<Luma<u8>, _>::from_raw(from_width, from_height, pixels).ok_or_else(lost)?;
                Pixels::Grey(resize(&image, to_width, to_height, FilterType::Triangle).into_raw())
            }
            Pixels::Colour(pixels) => {
                let image = ImageBuffer::<Rgb<u8>, _>::from_raw(from_width, from_height, pixels).ok_or_else(lost)?;
                Pixels::Colour(resize(&image, to_width, to_height, FilterType::Triangle).into_raw())
            }
        };
        Ok(Self { height, width, pixels, blended: self.blended })
    }
}

impl Pixels {
    /// Channels first.
    pub fn planes(self) -> Vec<u8> {
        match self {
            Self::Grey(plane) => plane,
            Self::Colour(pixels) => {
                let pixels = pixels.as_chunks::<3>().0;
                (0..3).flat_map(|channel| pixels.iter().map(move |pixel| pixel[channel])).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ExtendedColorType, ImageEncoder as _, codecs::jpeg::JpegEncoder, codecs::png::PngEncoder};
    use proptest::prelude::*;

    fn png(pixels: &[u8], width: u32, height: u32, color: ExtendedColorType) -> Vec<u8> {
        let mut bytes = Vec::new();
        PngEncoder::new(&mut bytes).write_image(pixels, width, height, color).unwrap();
        bytes
    }

    fn jpeg(pixels: &[u8], width: u32, height: u32, color: ExtendedColorType) -> Vec<u8> {
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, 100).write_image(pixels, width, height, color).unwrap();
        bytes
    }

    #[test]
    fn kinds_of_pixels() {
        use ExtendedColorType::{L8, L16, La8, Rgb8, Rgb16, Rgba8, Rgba16};
        let wide = |values: &[u16]| values.iter().flat_map(|value| value.to_ne_bytes()).collect::<Vec<_>>();
        let (grey, colour) = (|all: &[u8]| Pixels::Grey(all.to_vec()), |all: &[u8]| Pixels::Colour(all.to_vec()));
        for (pixels, color, expected, blended) in [
            (vec![1, 255], L8, grey(&[1, 255]), false),
            (vec![1, 255, 9, 255], La8, grey(&[1, 9]), false),
            (vec![1, 255, 200, 128], La8, grey(&[1, 100]), true),
            (vec![1, 2, 3, 4, 5, 6], Rgb8, colour(&[1, 2, 3, 4, 5, 6]), false),
            (vec![1, 2, 3, 255, 4, 5, 6, 255], Rgba8, colour(&[1, 2, 3, 4, 5, 6]), false),
            (vec![1, 2, 3, 0, 255, 5, 6, 255], Rgba8, colour(&[0, 0, 0, 255, 5, 6]), true),
            (wide(&[65535, 128]), L16, grey(&[255, 0]), false),
            (wide(&[129, 257, 385, 386, 0, 65407]), Rgb16, colour(&[1, 1, 1, 2, 0, 255]), false),
            (wide(&[257, 514, 771, 65535, 65535, 0, 0, 0]), Rgba16, colour(&[1, 2, 3, 0, 0, 0]), true),
        ] {
            let found = decode(&png(&pixels, 2, 1, color)).unwrap();
            assert_eq!(found, Decoded { height: 1, width: 2, pixels: expected, blended }, "{color:?}");
        }
        assert_eq!(Pixels::Colour(vec![1, 2, 3, 4, 5, 6]).planes(), [1, 4, 2, 5, 3, 6]);
    }

    #[test]
    fn jpegs() {
        let flat = |color, pixel: &[u8]| decode(&jpeg(&pixel.repeat(64), 8, 8, color)).unwrap().pixels.planes();
        assert_eq!(flat(ExtendedColorType::L8, &[77]), [77; 64]);
        let found = flat(ExtendedColorType::Rgb8, &[200, 100, 50]);
        for (channel, value) in [200_u8, 100, 50].iter().enumerate() {
            assert!(found[64 * channel..64 * (channel + 1)].iter().all(|found| found.abs_diff(*value) <= 1));
        }
    }

    #[test]
    fn refusals() {
        let (small, photo) =
            (png(&[1; 400], 20, 20, ExtendedColorType::L8), jpeg(&[1; 400], 20, 20, ExtendedColorType::L8));
        let mut bomb = photo.clone();
        let size = bomb.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap() + 5;
        bomb[size..size + 4].copy_from_slice(&[0x3f, 0xff, 0x3f, 0xff]);
        let wide = png(&[1; 20_000], 20_000, 1, ExtendedColorType::L8);
        let end = photo.len() - 2;
        let palette = b"\x89PNG\r\n\x1a\n\0\0\0\x04PLTE\0\0\0\0";
        for (bytes, expected) in [
            (&b""[..], "is empty"),
            (b"GIF89a", "is neither PNG nor JPEG inside"),
            (b"hello", "is neither PNG nor JPEG inside"),
            (&small[..30], "is damaged"),
            (&small[..small.len() - 20], "is damaged"),
            (&photo[..end], "is truncated"),
            (&photo[..20], "is damaged"),
            (&bomb, "is too large"),
            (&wide, "is too large"),
            (palette, "is damaged (its palette)"),
        ] {
            let error = decode(bytes).unwrap_err();
            assert!(error.starts_with(expected) && !error.contains('\n'), "{expected}: {error}");
        }
        let large = Decoded { height: 1, width: 16_384, pixels: Pixels::Grey(vec![0; 16_384]), blended: false };
        assert!(large.resized(2000, 2).unwrap_err().contains("too large to be resized to 2000x2"));
    }

    #[test]
    fn resizing_is_antialiased() {
        let stripes: Vec<u8> = (0..64).map(|at| if at % 2 == 0 { 0 } else { 200 }).collect();
        let image = Decoded { height: 1, width: 64, pixels: Pixels::Grey(stripes), blended: false };
        let Pixels::Grey(small) = image.resized(1, 4).unwrap().pixels else { panic!() };
        assert!(small.iter().all(|value| value.abs_diff(100) < 5), "{small:?}");
        let image = Decoded { height: 2, width: 1, pixels: Pixels::Colour(vec![9; 6]), blended: false };
        assert_eq!(image.resized(3, 5).unwrap().pixels, Pixels::Colour(vec![9; 45]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn png_comes_back(width in 1..12_u32, height in 1..12_u32, seed in prop::collection::vec(any::<u8>(), 432)) {
            let count = (width * height) as usize;
            let found = decode(&png(&seed[..count], width, height, ExtendedColorType::L8)).unwrap();
            prop_assert_eq!(found.pixels, Pixels::Grey(seed[..count].to_vec()));
            let found = decode(&png(&seed[..3 * count], width, height, ExtendedColorType::Rgb8)).unwrap();
            prop_assert_eq!((found.width, found.height), (width as usize, height as usize));
            prop_assert_eq!(found.pixels, Pixels::Colour(seed[..3 * count].to_vec()));
        }

        #[test]
        fn mutations_are_refused_or_images(cut in 0..600_usize, at in 0..600_usize, byte in any::<u8>(), is_png in any::<bool>()) {
            let pixels: Vec<u8> = (0..108).map(|at| (at * 37) as u8).collect();
            let encode = if is_png { png } else { jpeg };
            let mut bytes = encode(&pixels, 6, 6, ExtendedColorType::Rgb8);
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = decode(&bytes);
            bytes.truncate(cut);
            let _ = decode(&bytes);
        }

        #[test]
        fn any_bytes_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200), png in any::<bool>()) {
            let magic: &[u8] = if png { b"\x89PNG\r\n\x1a\n" } else { b"\xff\xd8\xff" };
            prop_assert!(decode(&bytes).is_err());
            bytes.splice(0..0, magic.iter().copied());
            prop_assert!(decode(&bytes).is_err());
        }
    }
}
