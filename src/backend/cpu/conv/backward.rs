//! The two backward passes of one block of samples: to the parameters, and to the images.

use super::direct::{add_weight_gradient, window};
use super::pooling::{Pooled, unpool};
use super::sparse::sparse_backward;
use super::{BLOCK, BlockWorkspace, Convolutions, Layer, Scratch, TAPS};
use crate::backend::cpu::{MOST_ROWS, parts};
use pulp::{Simd, WithSimd};

/// One block's backward pass, of lengths that [`Convolutions::backward`] has checked.
pub(super) struct Backward<'a> {
    pub(super) net: &'a Convolutions,
    pub(super) upstream: Upstream<'a>,
    pub(super) block: &'a mut BlockWorkspace,
    pub(super) scratch: &'a mut Scratch,
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { net, block: BlockWorkspace { planes, gradient }, upstream, scratch, .. } = self;
        let lanes = S::F32_LANES;
        let first = &net.layers[0];
        for (part, memory) in planes.chunks_exact_mut(net.block_len * lanes).enumerate() {
            let memory = S::as_mut_simd_f32s(memory).0.as_mut_ptr().cast_const();
            // SAFETY: planes and argmax of the first layer lie within the block's memory; the block's forward pass
            // came to its end (`passed`); `own` has planes for the most rows at a time.
            unsafe {
                let pooled = upstream.to_first_pooling(simd, net, part, memory, scratch, Some(gradient));
                if !first.is_direct() {
                    let input = memory.add(first.planes);
                    sparse_backward::<S, false>(simd, first, upstream.theta, &pooled, input, scratch, Some(gradient));
                    continue;
                }
                scratch.planes.resize(MOST_ROWS * first.plane_len() * lanes, 0.0);
                let own = S::as_mut_simd_f32s(&mut scratch.planes).0.as_mut_ptr();
                let (weights, biases) = first.split(gradient);
                for (o, rows) in parts(first.outputs, MOST_ROWS) {
                    unpool(simd, first, &pooled, (o, rows), own, Some(biases));
                    add_weight_gradient(simd, first, own, (o, rows), memory.add(first.planes), weights);
                }
            }
        }
    }
}

/// One block's backward pass to the images, of lengths that [`Convolutions::vjp`] has checked.
pub(super) struct Vjp<'a> {
    pub(super) net: &'a Convolutions,
    pub(super) upstream: Upstream<'a>,
    pub(super) planes: &'a mut [f32],
    pub(super) scratch: &'a mut Scratch,
    /// Derivatives by the block's images, [samples, channels, side, side].
    pub(super) images: &'a mut [f32],
}

impl WithSimd for Vjp<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { net, upstream, planes, scratch, images } = self;
        let lanes = S::F32_LANES;
        let first = &net.layers[0];
        let (side, pixels) = (net.image, net.pixels());
        // Taken backwards through the same windows, a filter is rotated by half a turn. [inputs, outputs, taps].
        let weights = &upstream.theta[first.weights..first.biases()];
        let filter =
            |input: usize, output: usize| weights[(output * first.inputs + input) * TAPS..][..TAPS].iter().rev();
        let turned = (0..first.inputs).flat_map(|input| (0..first.outputs).flat_map(move |o| filter(input, o)));
        let turned: Vec<f32> = turned.copied().collect();
        // The last block may have fewer images than lanes.
        for (part, mine) in images.chunks_mut(lanes * pixels).enumerate() {
            let memory = &mut planes[part * net.block_len * lanes..][..net.block_len * lanes];
            let memory = S::as_mut_simd_f32s(memory).0.as_mut_ptr().cast_const();
            // SAFETY: as in the backward pass, `own` with planes for all channels; windows of 2×2 cover a plane
            // within its border; `mine` holds whole images, no more of them than lanes.
            unsafe {
                let pooled = upstream.to_first_pooling(simd, net, part, memory, scratch, None);
                let Scratch { planes, .. } = &mut *scratch;
                let least = planes.len().max(first.outputs * first.plane_len() * lanes);
                planes.resize(least, 0.0);
                let own = S::as_mut_simd_f32s(planes).0.as_mut_ptr();
                unpool(simd, first, &pooled, (0, first.outputs), own, None);
                let transposed = Layer { inputs: first.outputs, ..*first };
                for (channel, turned) in turned.chunks_exact(first.outputs * TAPS).enumerate() {
                    for (y, x) in (0..side).step_by(2).flat_map(|y| (0..side).step_by(2).map(move |x| (y, x))) {
                        let corner = own.add(y * first.plane + x).cast_const();
                        let zero = [simd.splat_f32s(0.0)];
                        let [values] = window::<S, 1>(simd, &transposed, corner, zero, turned.as_ptr());
                        for p in 0..4 {
                            let (y, x) = (y + p / 2, x + p % 2);
                            if y >= side || x >= side {
                                continue;
                            }
                            let value = (&raw const values[p]).cast::<f32>();
                            let mut to = mine.as_mut_ptr().add((channel * side + y) * side + x);
                            for lane in 0..mine.len() / pixels {
                                to.write(value.add(lane).read());
                                to = to.wrapping_add(pixels);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What both backward passes begin with.
#[derive(Clone, Copy)]
pub(super) struct Upstream<'a> {
    pub(super) theta: &'a [f32],
    /// Of the block.
    pub(super) index: usize,
    pub(super) features: &'a [f32],
    pub(super) deltas: &'a [f32],
    /// Of both, in numbers.
    pub(super) stride: usize,
}

impl Upstream<'_> {
    /// From the features back to the first layer's pooling; adds the other layers' derivatives, where wanted.
    ///
    /// # Safety
    /// `memory` is part number `part` of what this network's forward pass left of the block; what is given back
    /// holds as long as nobody writes there or changes `scratch.below`.
    #[inline(always)]
    unsafe fn to_first_pooling<S: Simd>(
        self,
        simd: S,
        net: &Convolutions,
        part: usize,
        memory: *const S::f32s,
        scratch: &mut Scratch,
        mut gradient: Option<&mut [f32]>,
    ) -> Pooled<S::f32s> {
        let Self { theta, index, features, deltas, stride } = self;
        let lanes = S::F32_LANES;
        let last = &net.layers[net.layers.len() - 1];
        let (half, stride) = (last.side / 2, stride / lanes);
        let column = index * BLOCK / lanes + part;
        // SAFETY: planes and argmax of all layers lie within the block's memory, the last layer's outputs and
        // derivatives in the block's columns; the others' derivatives in `scratch.below`, which `sparse` reads
        // to the end before it changes it.
        unsafe {
            let mut pooled = Pooled {
                outputs: features.as_ptr().cast::<S::f32s>().add(column),
                strides: [half * half * stride, half * stride, stride],
                argmax: memory.add(last.argmax),
                deltas: deltas.as_ptr().cast::<S::f32s>().add(column),
                stride,
            };
            for pair in net.layers.windows(2).rev() {
                let [next, layer] = [&pair[0], &pair[1]];
                let input = memory.add(layer.planes);
                let gradient = gradient.as_deref_mut();
                sparse_backward::<S, true>(simd, layer, theta, &pooled, input, scratch, gradient);
                pooled = Pooled {
                    outputs: input.add(layer.plane + 1),
                    strides: [layer.plane_len(), layer.plane, 1],
                    argmax: memory.add(next.argmax),
                    deltas: S::as_simd_f32s(&scratch.below).0.as_ptr(),
                    stride: 1,
                };
            }
            pooled
        }
    }
}
