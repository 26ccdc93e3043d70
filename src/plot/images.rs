//! Lays out and draws a grid of small grey images with captions. Does not know what they show.

use anyhow::{Result, ensure};
use plotters::style::RGBColor;

use super::{canvas::Canvas, figure::Images, geometry::*, layout::PanelLayout, style::*, text::wrapped};

const LONGER_SIDE: f64 = 1.2 * INCH; // at most
const GREYS: u8 = 15; // without white; divides 255

/// Where the images of a panel stand.
pub(super) struct ImageGrid {
    columns: usize,
    /// From one image to the next, across and down.
    pitch: Point,
    /// Side of a pixel, in whole dots.
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
        let across = max_width.min(LONGER_SIDE) / images.size.0 as f64;
        let down = (height / rows - around).min(LONGER_SIDE) / images.size.1 as f64;
        let pixel = (across.min(down) / DOT).floor() * DOT;
        let pitch = (pitch, around + pixel * images.size.1 as f64);
        Self { columns, pitch, pixel, caption_height, captions, height: rows * pitch.1 }
    }

    /// Where the pixels of an image are, in a plot with this upper left corner.
    fn image(&self, i: usize, size: (usize, usize), (x0, y0): Point) -> Rect {
        let (column, row) = ((i % self.columns) as f64, (i / self.columns) as f64);
        let (width, height) = (self.pixel * size.0 as f64, self.pixel * size.1 as f64);
        let x = x0 + (column + 0.5) * self.pitch.0 - width / 2.0;
        let y = y0 + row * self.pitch.1 + self.caption_height + GAP;
        Rect::sized((on_dots(x, AXIS_LINE), on_dots(y, AXIS_LINE)), width, height)
    }
}

impl PanelLayout<'_> {
    pub(super) fn draw_images(&self, canvas: &Canvas, images: &Images) -> Result<()> {
        let grid = ImageGrid::new(images, self.plot.width(), self.cell.y1 - MARGIN - self.plot.y0);
        ensure!(grid.pixel >= DOT, "images too large, or too many beside each other");
        let image = |i| grid.image(i, images.size, (self.plot.x0, self.plot.y0));
        let quantised = |v: u8| (u32::from(v) * u32::from(GREYS) + 127) / 255;
        // One shade of grey after the other, so that each becomes one path.
        for level in 1..=GREYS {
            let grey = 255 - level * (255 / GREYS);
            for (i, (_, pixels)) in images.images.iter().enumerate() {
                let image = image(i);
                for (row, line) in pixels.chunks(images.size.0).enumerate() {
                    let y0 = image.y0 + row as f64 * grid.pixel;
                    let mut x1 = image.x0;
                    for run in line.chunk_by(|&a, &b| quantised(a) == quantised(b)) {
                        let x0 = x1;
                        x1 += run.len() as f64 * grid.pixel;
                        if quantised(run[0]) == u32::from(level) {
                            canvas.fill(Rect { x0, y0, x1, y1: y0 + grid.pixel }, RGBColor(grey, grey, grey), 1.0)?;
                        }
                    }
                }
            }
        }
        for (i, lines) in grid.captions.iter().enumerate() {
            let image = image(i);
            canvas.frame(image.grown(f64::from(HAIRLINE) / 2.0), FRAME)?;
            let top = image.y0 - GAP - IMAGE_CAPTION.block_height(lines.len());
            canvas.text_lines(lines, IMAGE_CAPTION, image.center().0, top)?;
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
        let figure = figure(panel(Content::Images(images.clone())));
        let plot = laid_out(&figure).plot;
        let image = ImageGrid::new(&images, plot.width(), f64::INFINITY).image(0, (3, 2), (plot.x0, plot.y0));
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
        let misfits = [odd((0, 5), 0), odd((usize::MAX, 2), 4), odd((3, 3), 8), odd((250, 250), 62_500)];
        for bad in misfits.into_iter().chain([images(0, 3), images(128, 20)]) {
            assert!(shown(Content::Images(bad)).is_err());
        }
        assert!(shown(Content::Images(images(100, 100))).is_err(), "not a dot per pixel");
    }
}
