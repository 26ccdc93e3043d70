//! What a 3×3 convolution with padding 1 sees, laid out for a product of matrices ("im2col"), and its transpose. Places
//! that 2×2 pooling takes together stand apart by as much as all windows, so that pooling is a sum of four long rows. Knows
//! numbers only, no tensors.

use super::conv::TAPS;
use std::ops::{AddAssign, Range};

/// Planes of images: [channels, vectors, height, width, columns], a sample a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planes {
    pub channels: usize,
    /// How many sets of images share their channels' rows.
    pub vectors: usize,
    pub height: usize,
    pub width: usize,
    pub columns: usize,
}

impl Planes {
    pub fn numbers(&self) -> usize {
        self.channels * self.vectors * self.height * self.width * self.columns
    }

    /// Places that pooling sees, 4 a window: an odd last row or column is left out.
    pub fn places(&self) -> usize {
        4 * (self.height / 2) * (self.width / 2)
    }

    /// Numbers of [`Self::gather`]'s matrix.
    pub fn patch_numbers(&self) -> usize {
        TAPS * self.channels * self.vectors * self.places() * self.columns
    }

    /// Calls `run` with where a run of `columns` numbers stands in the patches and where in the planes; `None` in the
    /// border of zeros.
    #[inline(always)]
    fn runs(&self, mut run: impl FnMut(Range<usize>, Option<Range<usize>>)) {
        let Self { channels, vectors, height, width, columns } = *self;
        let (rows, windows) = (height / 2, width / 2);
        let mut at = 0;
        for channel in 0..channels {
            for tap in 0..TAPS {
                for vector in 0..vectors {
                    let plane = (channel * vectors + vector) * height * width;
                    for place in 0..4 {
                        for row in 0..rows {
                            // One more than the place in the plane, which may be outside.
                            let y = 2 * row + place / 2 + tap / 3;
                            for window in 0..windows {
                                let x = 2 * window + place % 2 + tap % 3;
                                let inside = (1..=height).contains(&y) && (1..=width).contains(&x);
                                let from = inside.then(|| {
                                    let start = (plane + (y - 1) * width + x - 1) * columns;
                                    start..start + columns
                                });
                                run(at..at + columns, from);
                                at += columns;
                            }
                        }
                    }
                }
            }
        }
    }

    /// Of `planes` [channels, vectors, height, width, columns] the matrix [channels, 3, 3, vectors, 4 places of a window,
    /// windows, columns].
    ///
    /// # Panics
    /// Where a length is not that of the shape.
    pub fn gather<T: Copy + Default>(&self, planes: &[T], patches: &mut [T]) {
        assert!(planes.len() == self.numbers() && patches.len() == self.patch_numbers());
        self.runs(|to, from| match from {
            Some(from) => patches[to].copy_from_slice(&planes[from]),
            None => patches[to].fill(T::default()),
        });
    }

    /// The transpose of [`Self::gather`]: each number of the planes is the sum of those patches that hold it.
    ///
    /// # Panics
    /// Where a length is not that of the shape.
    pub fn scatter<T: Copy + Default + AddAssign>(&self, patches: &[T], planes: &mut [T]) {
        assert!(planes.len() == self.numbers() && patches.len() == self.patch_numbers());
        planes.fill(T::default());
        self.runs(|from, to| {
            let Some(to) = to else { return };
            planes[to].iter_mut().zip(&patches[from]).for_each(|(sum, value)| *sum += *value);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPES: [[usize; 5]; 5] =
        [[1, 1, 2, 2, 1], [2, 1, 5, 4, 3], [3, 2, 4, 7, 2], [1, 3, 3, 3, 1], [1, 1, 1, 4, 2]];

    fn planes([channels, vectors, height, width, columns]: [usize; 5]) -> Planes {
        Planes { channels, vectors, height, width, columns }
    }

    #[test]
    fn patches_are_what_a_kernel_sees() {
        for shape in SHAPES.map(planes) {
            let from: Vec<f64> = (0..shape.numbers()).map(|at| 1.0 + at as f64).collect();
            let mut patches = vec![f64::NAN; shape.patch_numbers()];
            shape.gather(&from, &mut patches);
            let Planes { channels, vectors, height, width, columns } = shape;
            let mut found = patches.iter();
            let each = |n: usize| 0..n;
            for c in each(channels) {
                for (ky, kx) in each(9).map(|tap| (tap / 3, tap % 3)) {
                    for v in each(vectors) {
                        for (dy, dx) in each(4).map(|place| (place / 2, place % 2)) {
                            for (row, window) in each(height / 2).flat_map(|r| each(width / 2).map(move |w| (r, w))) {
                                let (y, x) = (2 * row + dy + ky, 2 * window + dx + kx);
                                let inside = y > 0 && x > 0 && y <= height && x <= width;
                                for column in each(columns) {
                                    let row = ((c * vectors + v) * height + y) as i64 - 1;
                                    let at = (row * width as i64 + x as i64 - 1) * columns as i64 + column as i64;
                                    let expected = if inside { 1.0 + at as f64 } else { 0.0 };
                                    assert_eq!(found.next(), Some(&expected), "{shape:?}");
                                }
                            }
                        }
                    }
                }
            }
            assert_eq!(found.next(), None);
        }
    }

    #[test]
    fn scattering_is_the_transpose_of_gathering() {
        for shape in SHAPES.map(planes) {
            let x: Vec<f64> = (0..shape.numbers()).map(|at| (at as f64).sin()).collect();
            let y: Vec<f64> = (0..shape.patch_numbers()).map(|at| (1.7 * at as f64).cos()).collect();
            let (mut patches, mut back) = (vec![f64::NAN; y.len()], vec![f64::NAN; x.len()]);
            shape.gather(&x, &mut patches);
            shape.scatter(&y, &mut back);
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            assert!((dot(&patches, &y) - dot(&x, &back)).abs() < 1e-12, "{shape:?}");
        }
    }
}
