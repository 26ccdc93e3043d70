//! The first layer, of one input channel: convolution as it is defined, 36 products a window and channel, and the
//! gradient of its weights.

use super::forward::Out;
use super::pooling::pool;
use super::{Layer, TAPS};
use crate::backend::cpu::parts;
use pulp::Simd;

/// R output channels of a layer: convolution, 2×2 max pooling (with the argmax, the first one
/// of equals in reading order), ReLU.
///
/// # Safety
/// `weights` and `biases` are those of R channels, `input` the layer's input planes, `argmax` and `out` space for R
/// planes of the layer's outputs; nobody else uses these meanwhile.
#[inline(always)]
pub(super) unsafe fn convolve<S: Simd, const R: usize>(
    simd: S,
    layer: &Layer,
    weights: *const f32,
    biases: *const f32,
    input: *const S::f32s,
    argmax: *mut S::f32s,
    out: Out<S::f32s>,
) {
    let half = layer.side / 2;
    let zero = simd.splat_f32s(0.0);
    for y in 0..half {
        for x in 0..half {
            // SAFETY: as promised; the last window ends with row and column 2 · half + 1, within the border.
            unsafe {
                let sums = window::<S, R>(
                    simd,
                    layer,
                    input.add(2 * y * layer.plane + 2 * x),
                    std::array::from_fn(|r| simd.splat_f32s(*biases.add(r))),
                    weights,
                );
                for r in 0..R {
                    let (most, offset) = pool(simd, sums[r], layer.argmax_offsets());
                    argmax.add((r * half + y) * half + x).write_unaligned(offset);
                    let most = simd.max_f32s(zero, most);
                    out.data.add(r * out.plane + y * out.row + x * out.column).write_unaligned(most);
                }
            }
        }
    }
}

/// Convolutions at the four places of a 2×2 window: R sums each.
///
/// # Safety
/// From `corner` on there are 4×4 places in each of the layer's input planes; `weights` are those of R channels.
#[inline(always)]
pub(super) unsafe fn window<S: Simd, const R: usize>(
    simd: S,
    layer: &Layer,
    corner: *const S::f32s,
    start: [S::f32s; R],
    weights: *const f32,
) -> [[S::f32s; 4]; R] {
    let mut sums: [[S::f32s; 4]; R] = std::array::from_fn(|r| [start[r]; 4]);
    // SAFETY: as promised.
    unsafe {
        for c in 0..layer.inputs {
            let plane = corner.add(c * layer.plane_len());
            let weights = weights.add(c * TAPS);
            for ky in 0..3 {
                let row = plane.add(ky * layer.plane);
                for kx in 0..3 {
                    let h = [
                        row.add(kx).read_unaligned(),
                        row.add(kx + 1).read_unaligned(),
                        row.add(layer.plane + kx).read_unaligned(),
                        row.add(layer.plane + kx + 1).read_unaligned(),
                    ];
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let w = simd.splat_f32s(*weights.add(r * layer.inputs * TAPS + 3 * ky + kx));
                        for (sum, h) in sums.iter_mut().zip(h) {
                            *sum = simd.mul_add_f32s(w, h, *sum);
                        }
                    }
                }
            }
        }
    }
    sums
}

/// Adds the derivatives of a layer's weights for `rows` output channels from `o` on, whose planes of derivatives
/// begin at `delta`.
///
/// # Safety
/// There are so many planes at `delta`, and the layer's input planes at `input`.
#[inline(always)]
pub(super) unsafe fn add_weight_gradient<S: Simd>(
    simd: S,
    layer: &Layer,
    delta: *const S::f32s,
    (o, rows): (usize, usize),
    input: *const S::f32s,
    weights: &mut [f32],
) {
    let weights = &mut weights[o * layer.inputs * TAPS..];
    for c in 0..layer.inputs {
        // Nine sums a row.
        for (r, rows) in parts(rows, if S::REGISTER_COUNT >= 32 { 3 } else { 1 }) {
            // SAFETY: as promised.
            unsafe {
                let input = input.add(c * layer.plane_len());
                let delta = delta.add(r * layer.plane_len());
                let weights = &mut weights[(r * layer.inputs + c) * TAPS..];
                match rows {
                    1 => correlate::<S, 1>(simd, layer, delta, input, weights),
                    2 => correlate::<S, 2>(simd, layer, delta, input, weights),
                    _ => correlate::<S, 3>(simd, layer, delta, input, weights),
                }
            }
        }
    }
}

/// weights[r, tap] += Σ δ[r, at] h[at + tap], for R output channels and one input channel.
///
/// # Safety
/// There are R planes of the layer's side at `delta`, and one at `input`.
#[inline(always)]
unsafe fn correlate<S: Simd, const R: usize>(
    simd: S,
    layer: &Layer,
    delta: *const S::f32s,
    input: *const S::f32s,
    weights: &mut [f32],
) {
    let mut sums = [[simd.splat_f32s(0.0); TAPS]; R];
    // Rows and columns that pooling leaves out have no derivative.
    let side = layer.side / 2 * 2;
    for y in 0..side {
        for x in 0..side {
            // SAFETY: as promised; the last kernel ends with row and column side + 1, within the border.
            unsafe {
                let at = y * layer.plane + x;
                let center = delta.add(at + layer.plane + 1);
                let d: [S::f32s; R] = std::array::from_fn(|r| center.add(r * layer.plane_len()).read_unaligned());
                for tap in 0..TAPS {
                    let h = input.add(at + tap / 3 * layer.plane + tap % 3).read_unaligned();
                    for r in 0..R {
                        sums[r][tap] = simd.mul_add_f32s(d[r], h, sums[r][tap]);
                    }
                }
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        let weights = &mut weights[r * layer.inputs * TAPS..][..TAPS];
        for (weight, sum) in weights.iter_mut().zip(sums) {
            *weight += simd.reduce_sum_f32s(*sum);
        }
    }
}
