//! Lays out and draws a grid of small images, grey or in colour, with captions. Does not know what they show.

use anyhow::{Result, ensure};
use plotters::style::RGBColor;

use super::figure::{Images, Pixels};
use super::{canvas::Canvas, geometry::*, layout::PanelLayout, style::*, text::wrapped};

const LONGER_SIDE: f64 = 1.2 * INCH; // at most
const SHORTEST_ROOM: f64 = 16.0 * DOT; // across, for an image with less than a dot a pixel
const GREYS: u8 = 15; // without white; divides 255
/// More grey pixels in one panel are a picture each, which takes fewer bytes than their outlines.
const MAX_OUTLINED: usize = 100_000;

/// Where the images of a panel stand.
pub(super) struct ImageGrid {
    columns: usize,
    /// From one image to the next, across and down.
    pitch: Point,
    /// Pixels across and down as drawn, fewer than there are where each would be below a dot.
    size: (usize, usize),
    /// Side of a pixel as drawn, in whole dots.
    pixel: f64,
    caption_height: f64,
    captions: Vec<Vec<String>>,
    pub(super) height: f64,
}

impl ImageGrid {
    pub(super) fn new(images: &Images, width: f64, height: f64) -> Self {
        let columns = images.columns.clamp(1, images.images.len().max(1));
        let rows = images.images.len().div_ceil(columns) as f64;
        let pitch = width / columns as f64;
        let max_width = pitch - 1.5 * GAP;
        let lines = |(text, _): &(String, Vec<u8>)| {
            let lines = text.lines().take(3).flat_map(|l| wrapped(l, IMAGE_CAPTION, max_width, 2));
            lines.take(3).collect()
        };
        let captions: Vec<Vec<String>> = images.images.iter().map(lines).collect();
        let caption_height = IMAGE_CAPTION.block_height(captions.iter().map(Vec::len).max().unwrap_or(0));
        let around = caption_height + 3.5 * GAP;
        let room = (max_width.min(LONGER_SIDE), (height / rows - around).min(LONGER_SIDE));
        let across = room.0 / images.size.0 as f64;
        let down = room.1 / images.size.1 as f64;
        let mut size = images.size;
        let mut pixel = (across.min(down) / DOT).floor() * DOT;
        if pixel < DOT && room.0 >= SHORTEST_ROOM && room.1 > 0.0 {
            // Whole dots, and one where rounding alone makes a little more.
            let dots = |pixels: usize| ((pixels as f64 * across.min(down) / DOT - 1e-6).ceil() as usize).max(1);
            (size, pixel) = ((dots(size.0), dots(size.1)), DOT);
        }
        let pitch = (pitch, around + pixel * size.1 as f64);
        Self { columns, pitch, size, pixel, caption_height, captions, height: rows * pitch.1 }
    }

    /// Where the pixels of an image are, in a plot with this upper left corner.
    fn image(&self, i: usize, (x0, y0): Point) -> Rect {
        let (column, row) = ((i % self.columns) as f64, (i / self.columns) as f64);
        let (width, height) = (self.pixel * self.size.0 as f64, self.pixel * self.size.1 as f64);
        let x = x0 + (column + 0.5) * self.pitch.0 - width / 2.0;
        let y = y0 + row * self.pitch.1 + self.caption_height + GAP;
        Rect::sized((on_dots(x, AXIS_LINE), on_dots(y, AXIS_LINE)), width, height)
    }
}

impl PanelLayout<'_> {
    pub(super) fn draw_images(&self, canvas: &Canvas, images: &Images) -> Result<()> {
        let grid = ImageGrid::new(images, self.plot.width(), self.cell.y1 - MARGIN - self.plot.y0);
        ensure!(grid.pixel >= DOT, "too many images beside each other");
        let place = |i| grid.image(i, (self.plot.x0, self.plot.y0));
        let all = images.size.0 * images.size.1 * images.images.len();
        if images.pixels == Pixels::Ink && grid.size == images.size && all <= MAX_OUTLINED {
            draw_ink(canvas, images, grid.pixel, place)?;
        } else {
            for (i, (_, bytes)) in images.images.iter().enumerate() {
                let bytes = reduced(bytes, images.pixels.bytes(), images.size, grid.size);
                canvas.picture(place(i), &encoded(bytes, images.pixels, grid.size)?, grid.pixel > DOT);
            }
        }
        for (i, lines) in grid.captions.iter().enumerate() {
            let image = place(i);
            canvas.frame(image.grown(f64::from(HAIRLINE) / 2.0), FRAME)?;
            let top = image.y0 - GAP - IMAGE_CAPTION.block_height(lines.len());
            canvas.text_lines(lines, IMAGE_CAPTION, image.center().0, top)?;
        }
        Ok(())
    }
}

/// One shade of grey after the other, so that each becomes one path.
fn draw_ink(canvas: &Canvas, images: &Images, pixel: f64, place: impl Fn(usize) -> Rect) -> Result<()> {
    let quantised = |v: u8| (u32::from(v) * u32::from(GREYS) + 127) / 255;
    for level in 1..=GREYS {
        let grey = 255 - level * (255 / GREYS);
        for (i, (_, pixels)) in images.images.iter().enumerate() {
            let image = place(i);
            for (row, line) in pixels.chunks(images.size.0).enumerate() {
                let y0 = image.y0 + row as f64 * pixel;
                let mut x1 = image.x0;
                for run in line.chunk_by(|&a, &b| quantised(a) == quantised(b)) {
                    let x0 = x1;
                    x1 += run.len() as f64 * pixel;
                    if quantised(run[0]) == u32::from(level) {
                        canvas.fill(Rect { x0, y0, x1, y1: y0 + pixel }, RGBColor(grey, grey, grey), 1.0)?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// The image on fewer pixels: each the mean over its area, to the nearest whole number.
fn reduced(bytes: &[u8], channels: usize, from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
    if from == to {
        return bytes.to_vec();
    }
    // In steps of a pixel / (from · to), so that all ends are whole.
    let overlaps = |at: usize, from: usize, to: usize| {
        let (start, end) = (at * from, (at + 1) * from);
        (start / to..end.div_ceil(to)).map(move |i| (i, end.min((i + 1) * to) - start.max(i * to)))
    };
    let area = from.0 * from.1;
    let mut out = Vec::with_capacity(to.0 * to.1 * channels);
    for y in 0..to.1 {
        for x in 0..to.0 {
            for channel in 0..channels {
                let sum: usize = overlaps(y, from.1, to.1)
                    .flat_map(|(row, high)| {
                        let at = move |column| (row * from.0 + column) * channels + channel;
                        overlaps(x, from.0, to.0)
                            .map(move |(column, wide)| high * wide * usize::from(bytes[at(column)]))
                    })
                    .sum();
                out.push(((sum + area / 2) / area) as u8);
            }
        }
    }
    out
}

/// As PNG, by a coder of few and fixed steps, so that the same pixels are the same bytes everywhere.
fn encoded(mut bytes: Vec<u8>, pixels: Pixels, (width, height): (usize, usize)) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width as u32, height as u32);
    encoder.set_color(match pixels {
        Pixels::Ink => png::ColorType::Grayscale,
        Pixels::Rgb => png::ColorType::Rgb,
    });
    if pixels == Pixels::Ink {
        bytes.iter_mut().for_each(|v| *v = 255 - *v);
    }
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&bytes)?;
    writer.finish()?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::*;

    fn first_place(figure: &Figure) -> Rect {
        let panel = laid_out(figure);
        let Content::Images(images) = &panel.panel.content else { panic!("no images") };
        let grid = ImageGrid::new(images, panel.plot.width(), panel.cell.y1 - MARGIN - panel.plot.y0);
        grid.image(0, (panel.plot.x0, panel.plot.y0))
    }

    /// Every dot of a rectangle.
    fn dots(figure: &Figure, r: Rect) -> Vec<Vec<[u8; 3]>> {
        let (width, _, pixels, _) = decoded(&png(figure));
        let dots = |from: f64, to: f64| (from / DOT).round() as usize..(to / DOT).round() as usize;
        let at = |x: usize, y: usize| {
            let i = 3 * (y * width as usize + x);
            [pixels[i], pixels[i + 1], pixels[i + 2]]
        };
        dots(r.y0, r.y1).map(|y| dots(r.x0, r.x1).map(|x| at(x, y)).collect()).collect()
    }

    fn noise(bytes: usize, salt: usize) -> Vec<u8> {
        (0..bytes).map(|i| ((i * 31 + salt + 1).wrapping_mul(2_654_435_761) >> 13) as u8).collect()
    }

    fn noisy(size: (usize, usize), pixels: Pixels, count: usize, columns: usize) -> Images {
        let image = |i| ("true cat,\npredicted dog (0.98)".into(), noise(size.0 * size.1 * pixels.bytes(), i));
        Images { size, pixels, columns, images: (0..count).map(image).collect() }
    }

    #[test]
    fn images_keep_their_pixels() {
        let mut pixels = vec![0; 6];
        (pixels[0], pixels[5]) = (255, 102);
        let images = Images { size: (3, 2), pixels: Pixels::Ink, columns: 9, images: vec![("caption".into(), pixels)] };
        let figure = figure(panel(Content::Images(images)));
        let image = first_place(&figure);
        let found = [(0.1, 0.1), (0.5, 0.1), (0.1, 0.9), (0.9, 0.9)].map(|at| color_at(&figure, image, at));
        assert_eq!(found, [[0; 3], [255; 3], [255; 3], [153; 3]]);
    }

    #[test]
    fn colours_are_true_to_the_dot() {
        let images = noisy((32, 32), Pixels::Rgb, 7, 5);
        let figure = figure(panel(Content::Images(images.clone())));
        let image = first_place(&figure);
        let (found, side) = (dots(&figure, image), (image.width() / DOT) as usize / 32);
        assert!(side > 1 && found.len() == 32 * side && found[0].len() == 32 * side);
        for (y, row) in found.iter().enumerate() {
            for (x, rgb) in row.iter().enumerate() {
                let pixel = 3 * (y / side * 32 + x / side);
                assert_eq!(rgb, &images.images[0].1[pixel..pixel + 3], "{x} {y}");
            }
        }
        let one = |rgb: [u8; 3]| {
            let images =
                Images { size: (1, 1), pixels: Pixels::Rgb, columns: 1, images: vec![("".into(), rgb.into())] };
            let figure = super::super::tests::figure(panel(Content::Images(images)));
            color_at(&figure, first_place(&figure), (0.5, 0.5))
        };
        for rgb in [[0; 3], [255, 0, 0], [1, 2, 3], [255; 3]] {
            assert_eq!(one(rgb), rgb);
        }
    }

    #[test]
    fn pictures_need_nothing_from_outside() {
        let svg = shown(Content::Images(noisy((8, 4), Pixels::Rgb, 3, 3))).unwrap();
        assert_eq!(svg.matches(" href=\"data:image/png;base64,").count(), 3);
        assert_eq!(svg.matches("href=").count(), 3);
        assert_eq!(svg.matches("image-rendering:pixelated").count(), 3);
        usvg::roxmltree::Document::parse(&svg).unwrap();
    }

    #[test]
    fn large_images_are_reduced_to_their_place() {
        // A checkerboard finer than a dot is its mean; the left half is red, the right one blue.
        let size = (480, 240);
        let at = |i: usize| (i % size.0, i / size.0);
        let bright = |(x, y): (usize, usize)| ((x + y) % 2 * 200) as u8;
        let rgb = |p: (usize, usize)| if p.0 < 240 { [bright(p), 0, 0] } else { [0, 0, bright(p)] };
        let pixels: Vec<u8> = (0..480 * 240).flat_map(|i| rgb(at(i))).collect();
        let images = Images { size, pixels: Pixels::Rgb, columns: 1, images: vec![("large".into(), pixels)] };
        let figure = figure(panel(Content::Images(images)));
        let image = first_place(&figure);
        assert_eq!((image.width() / DOT, image.height() / DOT), (240.0, 120.0));
        assert_eq!(color_at(&figure, image, (0.25, 0.5)), [100, 0, 0]);
        assert_eq!(color_at(&figure, image, (0.75, 0.5)), [0, 0, 100]);
        let ink = Images { size: (500, 3), pixels: Pixels::Ink, columns: 1, images: vec![("".into(), vec![51; 1500])] };
        let figure = super::super::tests::figure(panel(Content::Images(ink)));
        assert_eq!(color_at(&figure, first_place(&figure), (0.5, 0.5)), [204; 3]);
    }

    #[test]
    fn a_reduced_pixel_is_the_mean_over_its_area() {
        let bytes = noise(7 * 5 * 3, 0);
        let found = reduced(&bytes, 3, (7, 5), (4, 2));
        // By brute force, on a grid fine enough for all edges.
        let (fine_x, fine_y) = (7 * 4, 5 * 2);
        for (i, &value) in found.iter().enumerate() {
            let (channel, x, y) = (i % 3, i / 3 % 4, i / 12);
            let (mut sum, mut count) = (0.0, 0.0);
            for v in (0..fine_y).filter(|v| v / 5 == y) {
                for u in (0..fine_x).filter(|u| u / 7 == x) {
                    sum += f64::from(bytes[3 * (v / 2 * 7 + u / 4) + channel]);
                    count += 1.0;
                }
            }
            assert!((f64::from(value) - sum / count).abs() <= 0.5, "{i}");
        }
        assert_eq!(reduced(&bytes, 3, (7, 5), (7, 5)), bytes);
    }

    #[test]
    fn grey_pictures_are_ink_or_true_to_their_tone() {
        let grey = vec![("caption".to_owned(), vec![0, 200])];
        let ink = Images::of((2, 1), 1, grey.clone(), true);
        assert_eq!((ink.pixels, &ink.images), (Pixels::Ink, &grey));
        let toned = Images::of((2, 1), 1, grey, false);
        assert_eq!((toned.pixels, &toned.images[0].1), (Pixels::Rgb, &vec![0, 0, 0, 200, 200, 200]));
        let colour = vec![("caption".to_owned(), vec![1, 2, 3, 4, 5, 6])];
        for is_ink in [false, true] {
            let shown = Images::of((2, 1), 1, colour.clone(), is_ink);
            assert_eq!((shown.pixels, shown.images), (Pixels::Rgb, colour.clone()));
        }
    }

    #[test]
    fn images_of_any_kind_are_drawn_or_refused() {
        for (count, columns) in [(1, 0), (1, 5), (20, 5), (7, 1), (127, 20), (128, 20)] {
            assert!(shown(Content::Images(images(count, columns))).is_ok(), "{count} {columns}");
        }
        let odd = |size, pixels| Images {
            size,
            pixels: Pixels::Ink,
            columns: 3,
            images: vec![("\u{0}\n".repeat(99), vec![7; pixels])],
        };
        for (size, pixels) in [((240, 1), 240), ((250, 250), 62_500), ((1, 100_000), 100_000)] {
            assert!(shown(Content::Images(odd(size, pixels))).is_ok());
        }
        let misfits = [odd((0, 5), 0), odd((usize::MAX, 2), 4), odd((3, 3), 8), odd((3, 3), 27), odd((1500, 1500), 0)];
        for bad in misfits.into_iter().chain([images(0, 3), noisy((1, 1), Pixels::Ink, MAX_IMAGES + 1, 30)]) {
            assert!(shown(Content::Images(bad)).is_err());
        }
        assert!(shown(Content::Images(images(100, 100))).is_err(), "no room");
        for pixels in [Pixels::Ink, Pixels::Rgb] {
            for (side, count, columns) in [(32, 110, 10), (64, 40, 8), (224, 20, 5), (224, 20, 10)] {
                assert!(shown(Content::Images(noisy((side, side), pixels, count, columns))).is_ok(), "{side} {count}");
            }
        }
    }
}
