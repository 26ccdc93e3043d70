//! 2×2 max pooling and ReLU, there and back.

use super::Layer;
use pulp::Simd;

/// The largest of four numbers, and that of `offsets` which belongs to it: the first of equals.
#[inline(always)]
pub(super) fn pool<S: Simd>(simd: S, values: [S::f32s; 4], offsets: [f32; 4]) -> (S::f32s, S::f32s) {
    let (mut most, mut offset) = (values[0], simd.splat_f32s(offsets[0]));
    for p in 1..4 {
        let higher = simd.greater_than_f32s(values[p], most);
        most = simd.select_f32s(higher, values[p], most);
        offset = simd.select_f32s(higher, simd.splat_f32s(offsets[p]), offset);
    }
    (most, offset)
}

/// Pooled outputs of a layer, their argmax and the derivatives by them, as vectors of samples. Who makes one
/// promises that they are there, one for each of the layer's outputs, as long as it is used.
#[derive(Clone, Copy)]
pub(super) struct Pooled<V> {
    pub(super) outputs: *const V,
    /// From one channel, row and column of the outputs to the next.
    pub(super) strides: [usize; 3],
    pub(super) argmax: *const V,
    pub(super) deltas: *const V,
    /// From one derivative to the next.
    pub(super) stride: usize,
}

impl<V: Copy> Pooled<V> {
    /// The derivative by output number `at`, of channel o, row y and column x, taken through ReLU.
    ///
    /// # Safety
    /// The layer has such an output.
    #[inline(always)]
    pub(super) unsafe fn delta<S: Simd<f32s = V>>(&self, simd: S, at: usize, [o, y, x]: [usize; 3]) -> V {
        let zero = simd.splat_f32s(0.0);
        let [channel, row, column] = self.strides;
        // SAFETY: as promised, here and by who made this.
        unsafe {
            let output = self.outputs.add(o * channel + y * row + x * column).read_unaligned();
            let delta = self.deltas.add(at * self.stride).read_unaligned();
            // A NaN is not at most 0, so its derivative is kept.
            simd.select_f32s(simd.less_than_or_equal_f32s(output, zero), zero, delta)
        }
    }
}

/// Takes derivatives by pooled outputs, of `rows` channels from `o` on, through ReLU and pooling to the
/// argmax in `planes`; and adds them up for the biases.
///
/// # Safety
/// `pooled` is of this layer, which has these channels; `planes` is space for as many planes of its side.
#[inline(always)]
pub(super) unsafe fn unpool<S: Simd>(
    simd: S,
    layer: &Layer,
    pooled: &Pooled<S::f32s>,
    (o, rows): (usize, usize),
    planes: *mut S::f32s,
    mut biases: Option<&mut [f32]>,
) {
    let zero = simd.splat_f32s(0.0);
    let half = layer.side / 2;
    for r in 0..rows {
        let mut bias = zero;
        for y in 0..half {
            for x in 0..half {
                // SAFETY: as promised; the last window ends with row and column 2 · half, within the border.
                unsafe {
                    let at = ((o + r) * half + y) * half + x;
                    let delta = pooled.delta(simd, at, [o + r, y, x]);
                    bias = simd.add_f32s(bias, delta);
                    let offset = pooled.argmax.add(at).read_unaligned();
                    let corner = planes.add(r * layer.plane_len() + (2 * y + 1) * layer.plane + 2 * x + 1);
                    for (p, code) in layer.argmax_offsets().into_iter().enumerate() {
                        let here = simd.equal_f32s(offset, simd.splat_f32s(code));
                        let value = simd.select_f32s(here, delta, zero);
                        corner.add(p / 2 * layer.plane + p % 2).write_unaligned(value);
                    }
                }
            }
        }
        if let Some(biases) = &mut biases {
            biases[o + r] += simd.reduce_sum_f32s(bias);
        }
    }
}
