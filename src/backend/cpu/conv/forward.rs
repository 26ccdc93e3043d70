//! The forward pass of one block of samples through all layers.

use super::direct::convolve;
use super::winograd::winograd;
use super::{BLOCK, Convolutions, Scratch, TAPS};
use crate::backend::cpu::{MOST_ROWS, by_rows, parts};
use pulp::{Simd, WithSimd};
use std::marker::PhantomData;

/// Where the blocks of a forward pass put their features: a matrix [features, stride] of which each has [`BLOCK`]
/// columns of its own.
#[derive(Clone, Copy)]
pub(super) struct Features<'a> {
    data: *mut f32,
    stride: usize,
    of: PhantomData<&'a mut [f32]>,
}

impl<'a> Features<'a> {
    pub(super) fn new(matrix: &'a mut [f32], stride: usize) -> Self {
        Self { data: matrix.as_mut_ptr(), stride, of: PhantomData }
    }
}

// SAFETY: an address alone; whoever writes there keeps to the columns of one block, which no other thread has.
unsafe impl Sync for Features<'_> {}

/// One block's pass, of lengths that [`Convolutions::forward`] has checked.
pub(super) struct Forward<'a> {
    pub(super) net: &'a Convolutions,
    pub(super) theta: &'a [f32],
    /// Of each layer that is not direct: see [`super::winograd::transform_filters`].
    pub(super) filters: &'a [Vec<f32>],
    pub(super) images: &'a [f32],
    /// Of the block.
    pub(super) index: usize,
    pub(super) planes: &'a mut [f32],
    pub(super) scratch: &'a mut Scratch,
    pub(super) features: Features<'a>,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { net, theta, filters, images, index: block, planes, scratch, features } = self;
        let lanes = S::F32_LANES;
        let first = &net.layers[0];
        let (side, pixels) = (net.image, net.pixels());
        // Narrow vectors take the block in several parts.
        for (part, memory) in planes.chunks_exact_mut(net.block_len * lanes).enumerate() {
            for row_of_image in 0..net.channels * side {
                let (channel, y) = (row_of_image / side, row_of_image % side);
                let start = channel * first.plane_len() + (y + 1) * first.plane + 1;
                let row = &mut memory[start * lanes..][..side * lanes];
                for (lane, image) in images.chunks_exact(pixels).skip(part * lanes).take(lanes).enumerate() {
                    for (x, pixel) in image[row_of_image * side..][..side].iter().enumerate() {
                        row[x * lanes + lane] = *pixel;
                    }
                }
            }
            let vectors = S::as_mut_simd_f32s(memory).0.as_mut_ptr();
            for (index, layer) in net.layers.iter().enumerate() {
                // SAFETY: planes and argmax of all layers lie within the block's memory (`Convolutions::new`),
                // weights and biases in θ, the last layer's outputs in the block's columns (`check`), which
                // `for_each` gives to this thread alone.
                unsafe {
                    let out = match net.layers.get(index + 1) {
                        Some(next) => Out {
                            data: vectors.add(next.planes + next.plane + 1),
                            plane: next.plane_len(),
                            row: next.plane,
                            column: 1,
                        },
                        None => {
                            let half = layer.side / 2;
                            let stride = features.stride / lanes;
                            let data = features.data.cast::<S::f32s>().add(block * BLOCK / lanes + part);
                            Out { data, plane: half * half * stride, row: half * stride, column: stride }
                        }
                    };
                    let weights = theta.as_ptr().add(layer.weights);
                    let biases = theta.as_ptr().add(layer.biases());
                    let input = vectors.add(layer.planes);
                    let argmax = vectors.add(layer.argmax);
                    if !layer.is_direct() {
                        winograd(simd, layer, &filters[index], biases, input, argmax, out, scratch);
                        continue;
                    }
                    for (o, rows) in parts(layer.outputs, most_rows::<S>()) {
                        let weights = weights.add(o * layer.inputs * TAPS);
                        let (biases, argmax) = (biases.add(o), argmax.add(o * layer.outputs_len()));
                        let out = Out { data: out.data.add(o * out.plane), ..out };
                        by_rows!(rows, R => convolve::<S, R>(simd, layer, weights, biases, input, argmax, out));
                    }
                }
            }
        }
    }
}

/// Rows of four sums that registers hold.
pub(super) fn most_rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { MOST_ROWS } else { 3 }
}

/// Where a layer's outputs go: strides in vectors.
pub(super) struct Out<V> {
    pub(super) data: *mut V,
    pub(super) plane: usize,
    pub(super) row: usize,
    pub(super) column: usize,
}
