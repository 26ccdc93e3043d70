//! Figures: curves on axes, heat maps, surfaces and grids of small images, drawn once and published twice, as SVG (text
//! turned into paths) and as PNG at 200 dpi. The only user of plotters; knows slices of numbers, neither tensors nor files.
//!
//! From what to how: `figure` and `contour` what a caller describes; `layout` (with `scale`, `legend`, `labels`,
//! `images`, `scene` and `surface`) where it stands; `draw` on a `canvas`, in a `style`; `publish` what becomes of it; `data` a figure as JSON.

mod canvas;
mod contour;
mod data;
mod draw;
mod figure;
mod geometry;
mod images;
mod labels;
mod layout;
mod legend;
mod levels;
mod publish;
mod scale;
mod scene;
mod style;
mod surface;
mod text;

pub use contour::Contours;
pub use figure::*;
pub use publish::{Drawing, rasterize};
pub use scale::Scale;

#[cfg(test)]
mod tests;
