//! What is learned from: target functions on a line, and images of digits. Knows nothing of models.

pub mod batches;
pub mod digits;
pub mod fetch;
pub mod functions;
mod idx;
pub mod mnist;

/// Rows, and columns, of an image.
pub const SIDE: usize = 28;
/// Bytes of an image, one a pixel.
pub const PIXELS: usize = SIDE * SIDE;
/// Labels are below this.
pub const CLASSES: u8 = 10;

/// n images and their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digits {
    /// n · 784 grey values, image after image, row by row; 0 is background, 255 ink.
    pub images: Vec<u8>,
    /// n digits, 0 to 9.
    pub labels: Vec<u8>,
}
