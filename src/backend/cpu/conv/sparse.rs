//! Layers of several input channels, backward, where at most a quarter of the convolutions has a derivative.

use super::pooling::Pooled;
use super::{BLOCK, Layer, Scratch, TAPS};
use crate::backend::cpu::{AlignedVec, parts};
use pulp::Simd;

/// Where pooling left a derivative that is not 0: the first pixel of the window that its convolution saw, in
/// numbers from a sample's first, and its value.
#[derive(Clone, Copy, Default)]
pub(super) struct Nonzero {
    offset: u32,
    delta: f32,
}

/// The backward pass through a layer, which takes what pooling left alone: at most a quarter of the convolutions has a
/// derivative. A sample at a time, its channels in the lanes. Adds the derivatives of its parameters, where they are
/// wanted; those by its inputs are, with BELOW, then in `scratch.below`, [inputs, side, side] vectors of samples.
///
/// # Safety
/// `pooled` and the planes at `input` are what this layer's forward pass left; `pooled` may lie in `scratch.below`,
/// nowhere else in `scratch`, and holds no longer.
#[inline(always)]
pub(super) unsafe fn sparse_backward<S: Simd, const BELOW: bool>(
    simd: S,
    layer: &Layer,
    theta: &[f32],
    pooled: &Pooled<S::f32s>,
    input: *const S::f32s,
    scratch: &mut Scratch,
    gradient: Option<&mut [f32]>,
) {
    let lanes = S::F32_LANES;
    let Layer { inputs, outputs, side, plane, .. } = *layer;
    let Scratch { nonzeros, channel_ends, inputs: samples, deltas, weights, sums, below, .. } = scratch;
    // A row of a kernel in whole vectors.
    let row = (3 * inputs).next_multiple_of(lanes);
    let kernel = 3 * row;
    let sample = plane * plane * inputs + lanes;
    let most_nonzeros = outputs * layer.outputs_len();
    nonzeros.resize(nonzeros.len().max(lanes * most_nonzeros), Nonzero::default());
    channel_ends.resize(channel_ends.len().max(lanes * outputs), 0);
    let (of_weights, of_biases) = gradient.map(|gradient| layer.split(gradient)).unzip();
    // SAFETY: as promised; nothing of `scratch` but `nonzeros` and `channel_ends` is changed.
    unsafe { find_nonzeros(simd, layer, pooled, nonzeros, most_nonzeros, channel_ends, of_biases) };

    weights.zero(outputs * kernel);
    sums.zero(outputs * kernel);
    let at = |o: usize, c: usize, tap: usize| o * kernel + tap / 3 * row + tap % 3 * inputs + c;
    let in_theta = |o: usize, c: usize, tap: usize| (o * inputs + c) * TAPS + tap;
    let own = &theta[layer.weights..];
    for o in 0..outputs {
        for c in 0..inputs {
            for tap in 0..TAPS {
                weights[at(o, c, tap)] = own[in_theta(o, c, tap)];
            }
        }
    }
    // Of several layers each has its own borders.
    samples.resize_with(samples.len().max(side + 1), AlignedVec::default);
    let samples = &mut samples[side];
    samples.resize(lanes * sample, 0.0);
    if BELOW {
        deltas.zero(lanes * sample);
        let least = below.len().max(inputs * side * side * lanes);
        below.resize(least, 0.0);
    }
    // SAFETY: `samples` and `deltas` hold a sample a lane, [plane, plane, inputs] and what a row of a kernel is
    // padded by: the argmax is of the layer's own pooling, so that the last kernel ends within them. Rows of
    // `weights` and `sums` are whole vectors. From row and column 1 on a plane holds the layer's side.
    unsafe {
        let wanted = if of_weights.is_some() { side } else { 0 };
        for y in 0..wanted {
            for x in 0..side {
                let from = input.add((y + 1) * plane + x + 1).cast::<f32>();
                let mut to = samples.as_mut_ptr().add(((y + 1) * plane + x + 1) * inputs);
                for lane in 0..lanes {
                    let mut from = from.add(lane);
                    for c in 0..inputs {
                        to.add(c).write(from.read());
                        from = from.wrapping_add(layer.plane_len() * lanes);
                    }
                    to = to.wrapping_add(sample);
                }
            }
        }
        for lane in 0..lanes {
            let x = samples.as_ptr().add(lane * sample);
            let dx = deltas.as_mut_ptr().wrapping_add(lane * sample);
            let mut start = 0;
            for o in 0..outputs {
                let end = channel_ends[lane * outputs + o];
                let nonzeros = &nonzeros[lane * most_nonzeros..][start..end];
                start = end;
                for (column, columns) in parts(row / lanes, 3) {
                    let at = column * lanes;
                    let (weights, sums) =
                        (weights.as_ptr().add(o * kernel + at), sums.as_mut_ptr().add(o * kernel + at));
                    let strides = [row, plane * inputs];
                    let (x, dx) = (x.add(at), dx.wrapping_add(at));
                    match (columns, of_weights.is_some()) {
                        (1, true) => accumulate::<S, 1, true, BELOW>(simd, nonzeros, strides, weights, sums, x, dx),
                        (2, true) => accumulate::<S, 2, true, BELOW>(simd, nonzeros, strides, weights, sums, x, dx),
                        (_, true) => accumulate::<S, 3, true, BELOW>(simd, nonzeros, strides, weights, sums, x, dx),
                        (1, false) => accumulate::<S, 1, false, BELOW>(simd, nonzeros, strides, weights, sums, x, dx),
                        (2, false) => accumulate::<S, 2, false, BELOW>(simd, nonzeros, strides, weights, sums, x, dx),
                        (_, false) => accumulate::<S, 3, false, BELOW>(simd, nonzeros, strides, weights, sums, x, dx),
                    }
                }
            }
        }
        let wanted = if BELOW { side } else { 0 };
        for y in 0..wanted {
            for x in 0..side {
                let from = deltas.as_ptr().add(((y + 1) * plane + x + 1) * inputs);
                let mut to = below.as_mut_ptr().add((y * side + x) * lanes);
                for c in 0..inputs {
                    let mut from = from.add(c);
                    for lane in 0..lanes {
                        to.add(lane).write(from.read());
                        from = from.wrapping_add(sample);
                    }
                    to = to.wrapping_add(side * side * lanes);
                }
            }
        }
    }
    let Some(of_weights) = of_weights else { return };
    for o in 0..outputs {
        for c in 0..inputs {
            for tap in 0..TAPS {
                of_weights[in_theta(o, c, tap)] += sums[at(o, c, tap)];
            }
        }
    }
}

/// Lists, by lane and channel, where a layer's pooling passes a derivative on; and adds those up for the biases.
///
/// # Safety
/// `pooled` is of this layer, its argmax that of its pooling.
#[inline(always)]
unsafe fn find_nonzeros<S: Simd>(
    simd: S,
    layer: &Layer,
    pooled: &Pooled<S::f32s>,
    nonzeros: &mut [Nonzero],
    most_nonzeros: usize,
    channel_ends: &mut [usize],
    mut biases: Option<&mut [f32]>,
) {
    let lanes = S::F32_LANES;
    let zero = simd.splat_f32s(0.0);
    let Layer { inputs, outputs, side, plane, .. } = *layer;
    let half = side / 2;
    let mut next = [nonzeros.as_mut_ptr(); BLOCK];
    assert!(nonzeros.len() >= lanes * most_nonzeros && most_nonzeros >= outputs * half * half && lanes <= BLOCK);
    for lane in 0..lanes {
        // SAFETY: as asserted.
        next[lane] = unsafe { next[lane].add(lane * most_nonzeros) };
    }
    let starts = next;
    let mut at = 0;
    for o in 0..outputs {
        let mut bias = zero;
        for y in 0..half {
            for x in 0..half {
                // SAFETY: as promised; a lane writes at most a nonzero an output, and an offset is one of
                // `argmax_offsets`, which an i32 holds.
                unsafe {
                    let delta = pooled.delta(simd, at, [o, y, x]);
                    bias = simd.add_f32s(bias, delta);
                    let mut values = [0.0f32; BLOCK];
                    values.as_mut_ptr().cast::<S::f32s>().write_unaligned(delta);
                    let argmax = pooled.argmax.add(at).cast::<f32>();
                    let base = (2 * (y * plane + x) * inputs) as u32;
                    for lane in 0..lanes {
                        let delta = values[lane];
                        // The argmax is a small whole number.
                        let offset = base + (*argmax.add(lane)).to_int_unchecked::<i32>() as u32;
                        next[lane].write(Nonzero { offset, delta });
                        next[lane] = next[lane].add(usize::from(delta != 0.0));
                    }
                    at += 1;
                }
            }
        }
        if let Some(biases) = &mut biases {
            biases[o] += simd.reduce_sum_f32s(bias);
        }
        for lane in 0..lanes {
            // SAFETY: both within `nonzeros`, where `next` began with `starts`.
            channel_ends[lane * outputs + o] = unsafe { next[lane].offset_from_unsigned(starts[lane]) };
        }
    }
}

/// For each nonzero δ of one output channel of one sample, with h the inputs its convolution saw, three rows of C
/// vectors: sums += δ h, where they are wanted, and by h, δ · weights, with BELOW. `strides` are those of the weights' rows
/// and of the inputs'.
///
/// # Safety
/// At `weights` and `sums`, and from each nonzero's offset on at `inputs` (where sums are wanted) and (with BELOW)
/// `deltas`, there are three rows of C vectors, so far apart; nobody else uses `sums` and `deltas` meanwhile.
#[inline(always)]
unsafe fn accumulate<S: Simd, const C: usize, const SUMS: bool, const BELOW: bool>(
    simd: S,
    nonzeros: &[Nonzero],
    [row, input_row]: [usize; 2],
    weights: *const f32,
    sums: *mut f32,
    inputs: *const f32,
    deltas: *mut f32,
) {
    // SAFETY: as promised.
    unsafe {
        let mut local = [[simd.splat_f32s(0.0); C]; 3];
        let mut w = local;
        for ky in 0..3 {
            for c in 0..C {
                local[ky][c] = sums.add(ky * row).cast::<S::f32s>().add(c).read_unaligned();
                w[ky][c] = weights.add(ky * row).cast::<S::f32s>().add(c).read_unaligned();
            }
        }
        for nonzero in nonzeros {
            let delta = simd.splat_f32s(nonzero.delta);
            for ky in 0..3 {
                let at = nonzero.offset as usize + ky * input_row;
                for c in 0..C {
                    if SUMS {
                        let h = inputs.add(at).cast::<S::f32s>().add(c).read_unaligned();
                        local[ky][c] = simd.mul_add_f32s(delta, h, local[ky][c]);
                    }
                    if BELOW {
                        let to = deltas.add(at).cast::<S::f32s>().add(c);
                        to.write_unaligned(simd.mul_add_f32s(delta, w[ky][c], to.read_unaligned()));
                    }
                }
            }
        }
        for ky in 0..3 {
            for c in 0..C {
                sums.add(ky * row).cast::<S::f32s>().add(c).write_unaligned(local[ky][c]);
            }
        }
    }
}
