//! Lays out and draws a grid of small grey images with captions.

use anyhow::{Result, ensure};
use plotters::style::RGBColor;

use super::canvas::{Canvas, draw_lines};
use super::figure::Images;
use super::geometry::{Point, Rect, on_dots};
use super::layout::PanelLayout;
use super::style::*;
use super::text::wrapped;

/// How the images of a panel stand.
pub(super) struct ImageGrid {
    pub(super) columns: usize,
    pub(super) rows: f64,
    /// From one image to the next, across and down.
    pub(super) pitch: Point,
    /// Side of a pixel, in whole dots.
    pub(super) pixel: f64,
    /// Height of the captions, and their lines.
    pub(super) caption: f64,
    pub(super) captions: Vec<Vec<String>>,
}

impl ImageGrid {
    pub(super) fn new(images: &Images, width: f64, height: f64) -> Self {
        let columns = images.columns.clamp(1, images.images.len().max(1));
        let rows = images.images.len().div_ceil(columns) as f64;
        let pitch = width / columns as f64;
        let room = pitch - 1.5 * GAP;
        let lines = |(text, _): &(String, Vec<u8>)| {
            let lines = text.lines().take(3).flat_map(|l| wrapped(l, IMAGE_CAPTION, room, 2));
            lines.take(3).collect()
        };
        let captions: Vec<Vec<String>> = images.images.iter().map(lines).collect();
        let caption = IMAGE_CAPTION.block_height(captions.iter().map(Vec::len).max().unwrap_or(0));
        let around = caption + 3.5 * GAP;
        let fitting =
            (room.min(IMAGE) / images.size.0 as f64).min((height / rows - around).min(IMAGE) / images.size.1 as f64);
        let pixel = (fitting / DOT).floor() * DOT;
        Self { columns, rows, pitch: (pitch, around + pixel * images.size.1 as f64), pixel, caption, captions }
    }
}

impl PanelLayout<'_> {
    pub(super) fn draw_images(&self, canvas: &Canvas, images: &Images) -> Result<()> {
        let room = self.cell.y1 - MARGIN - self.plot.y0;
        let tiles = ImageGrid::new(images, self.plot.width(), room);
        ensure!(tiles.pixel >= DOT, "images too large, or too many beside each other");
        let pixel = tiles.pixel;
        let corner = |i: usize| {
            let (column, row) = ((i % tiles.columns) as f64, (i / tiles.columns) as f64);
            let x = self.plot.x0 + (column + 0.5) * tiles.pitch.0 - pixel * images.size.0 as f64 / 2.0;
            let y = self.plot.y0 + row * tiles.pitch.1 + tiles.caption + GAP;
            (on_dots(x, AXIS_LINE), on_dots(y, AXIS_LINE))
        };
        // One shade of grey after the other, so that each becomes one path.
        for level in 1..=GREYS {
            let quantised = |v: u8| (u32::from(v) * u32::from(GREYS) + 127) / 255;
            let grey = 255 - level * (255 / GREYS);
            for (i, (_, pixels)) in images.images.iter().enumerate() {
                let (left, top) = corner(i);
                for (row, line) in pixels.chunks(images.size.0).enumerate() {
                    let y0 = top + row as f64 * pixel;
                    let mut x1 = left;
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
        for (i, lines) in tiles.captions.iter().enumerate() {
            let (x0, y0) = corner(i);
            let (x1, y1) = (x0 + pixel * images.size.0 as f64, y0 + pixel * images.size.1 as f64);
            canvas.frame(Rect { x0, y0, x1, y1 }.grown(f64::from(HAIRLINE) / 2.0), FRAME)?;
            let top = y0 - GAP - IMAGE_CAPTION.block_height(lines.len());
            draw_lines(canvas, lines, IMAGE_CAPTION, f64::midpoint(x0, x1), top)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::*;

    #[test]
    fn images_keep_their_pixels() {
        let mut pixels = vec![0; 6];
        (pixels[0], pixels[5]) = (255, 102);
        let images = Images { size: (3, 2), columns: 9, images: vec![("caption".into(), pixels)] };
        let figure = figure(Panel { title: String::new(), content: Content::Images(images) });
        let image = laid_out(&figure, |layout| {
            let Content::Images(images) = &layout.panel.content else { panic!("no images") };
            let tiles = ImageGrid::new(images, layout.plot.width(), f64::INFINITY);
            let (x0, y0) = (layout.plot.center().0 - 1.5 * tiles.pixel, layout.plot.y0 + tiles.caption + GAP);
            Rect { x0, y0, x1: x0 + 3.0 * tiles.pixel, y1: y0 + 2.0 * tiles.pixel }
        });
        let found = [(0.1, 0.1), (0.5, 0.1), (0.1, 0.9), (0.9, 0.9)].map(|at| color_at(&figure, image, at));
        assert_eq!(found, [[0; 3], [255; 3], [255; 3], [153; 3]]);
    }

    #[test]
    fn images_of_any_kind_are_drawn_or_refused() {
        for (count, columns) in [(1, 0), (1, 5), (20, 5), (7, 1), (127, 20)] {
            assert!(shown(Content::Images(images(count, columns))).is_ok(), "{count} {columns}");
        }
        let odd = |size, pixels| Images { size, columns: 3, images: vec![("\u{0}\n".repeat(99), vec![7; pixels])] };
        assert!(shown(Content::Images(odd((240, 1), 240))).is_ok());
        for bad in [
            odd((0, 5), 0),
            odd((usize::MAX, 2), 4),
            odd((3, 3), 8),
            odd((250, 250), 62_500),
            images(0, 3),
            images(128, 20),
        ] {
            assert!(shown(Content::Images(bad)).is_err());
        }
        assert!(shown(Content::Images(images(100, 100))).is_err(), "not a dot per pixel");
    }
}
