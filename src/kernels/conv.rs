//! The convolutional part of a classifier, forward and backward: layers of 3×3 convolutions with padding 1,
//! 2×2 max pooling and ReLU.
//!
//! Samples lie in the lanes of the vectors, a block of them at a time, so that a convolution is broadcast
//! weights times vectors of samples: no shuffles, no waste with few channels. Pooling happens on the sums in
//! registers, so that no convolution is ever stored. Planes have a border of zeros. Knows numbers only, no
//! tensors.

use super::{MOST_ROWS, by_rows, parts, pieces};
use pulp::{Arch, Simd, WithSimd};
use std::sync::{Mutex, PoisonError};

/// Places of a kernel.
const TAPS: usize = 9;

/// Samples a block: what the widest vectors hold. A block is a piece of work.
pub const BLOCK: usize = 16;

/// Side, channels and planes of one layer.
#[derive(Clone, Copy)]
struct Layer {
    /// Channels in and out.
    inputs: usize,
    outputs: usize,
    /// Side of the input; that of the output is half of it.
    side: usize,
    /// Side of a plane with its border: even, so that windows of 2×2 cover it.
    plane: usize,
    /// Where its weights begin in θ; its biases follow them.
    weights: usize,
    /// Where its input planes and the places of its maxima begin in a block's room.
    planes: usize,
    places: usize,
    /// Where the derivatives of its convolutions begin in a thread's room.
    deltas: usize,
}

impl Layer {
    fn biases(&self) -> usize {
        self.weights + self.inputs * self.outputs * TAPS
    }

    fn plane_len(&self) -> usize {
        plane_len(self.plane)
    }

    /// Numbers of an output plane.
    fn outputs_len(&self) -> usize {
        (self.side / 2) * (self.side / 2)
    }
}

/// Vectors from one plane to the next: not a power of two, else the same place in all planes would want the
/// same few lines of the cache.
fn plane_len(plane: usize) -> usize {
    plane * plane + 4
}

/// Layers by their channels.
pub struct Convolutions {
    layers: Vec<Layer>,
    parameters: usize,
    /// Vectors of a block's room.
    room: usize,
    /// Vectors of a thread's room.
    deltas: usize,
    features: usize,
    image: usize,
}

/// What a forward pass leaves for a backward one, and room for that.
#[derive(Default)]
pub struct Room {
    blocks: Vec<BlockRoom>,
    /// Derivatives of all convolutions, for each thread that was at work; their borders stay 0.
    deltas: Mutex<Vec<Vec<f32>>>,
}

#[derive(Default)]
struct BlockRoom {
    /// Input planes of each layer, and the places of its maxima.
    planes: Vec<f32>,
    gradient: Vec<f32>,
}

/// A matrix [features, stride] of which each block takes [`BLOCK`] columns.
#[derive(Clone, Copy)]
pub struct Columns<'a> {
    data: *mut f32,
    stride: usize,
    of: std::marker::PhantomData<&'a mut [f32]>,
}

// SAFETY: blocks use columns of their own.
unsafe impl Sync for Columns<'_> {}

impl<'a> Columns<'a> {
    /// The matrix in `data`, with rows of `stride` numbers.
    ///
    /// # Panics
    /// Where rows are not blocks.
    pub fn new(data: &'a mut [f32], stride: usize) -> Self {
        assert!(stride > 0 && stride.is_multiple_of(BLOCK) && data.len().is_multiple_of(stride));
        Self { data: data.as_mut_ptr(), stride, of: std::marker::PhantomData }
    }
}

impl Convolutions {
    /// Layers of `channels` outputs each on square images of one channel, `side` wide.
    #[must_use]
    pub fn new(side: usize, channels: &[usize]) -> Self {
        let mut layers = Vec::new();
        let (mut inputs, mut size, mut parameters, mut room, mut deltas) = (1, side, 0, 0, 0);
        for (index, &outputs) in channels.iter().enumerate() {
            let plane = size.next_multiple_of(2) + 2;
            let planes = room;
            let places = planes + inputs * plane_len(plane);
            room = places + outputs * (size / 2) * (size / 2);
            layers.push(Layer { inputs, outputs, side: size, plane, weights: parameters, planes, places, deltas });
            parameters += (inputs * TAPS + 1) * outputs;
            // The first layer's derivatives are used up as they come, unless the last layer is the first.
            let held = if index == 0 && channels.len() > 1 { MOST_ROWS } else { outputs };
            deltas += held * plane_len(plane);
            (inputs, size) = (outputs, size / 2);
        }
        Self { layers, parameters, room, deltas, features: inputs * size * size, image: side }
    }

    /// Length of its part of θ: weights [out, in, 3, 3] and biases of each layer in turn.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Numbers a sample has behind the last layer.
    #[must_use]
    pub fn features(&self) -> usize {
        self.features
    }

    fn check(&self, theta: &[f32], samples: usize, columns: &[&Columns]) {
        assert!(theta.len() == self.parameters && columns.iter().all(|columns| samples <= columns.stride));
    }

    /// Features [channels · side · side, samples] of `images` [samples, pixels]; columns up to the next
    /// multiple of [`BLOCK`] are written.
    ///
    /// # Panics
    /// Where a length is not the network's.
    pub fn forward(&self, theta: &[f32], images: &[f32], room: &mut Room, features: Columns) {
        let pixels = self.image * self.image;
        let samples = images.len() / pixels;
        self.check(theta, samples, &[&features]);
        room.blocks.resize_with(samples.div_ceil(BLOCK), BlockRoom::default);
        pieces::for_each(&mut room.blocks, |index, block| {
            block.planes.resize(self.room * BLOCK, 0.0);
            let images = &images[index * BLOCK * pixels..samples.min((index + 1) * BLOCK) * pixels];
            Arch::new().dispatch(Forward { net: self, theta, images, index, planes: &mut block.planes, features });
        });
    }

    /// ∂L/∂θ into `gradient`, from ∂L/∂features in `deltas`, for the last [`Self::forward`] of as many
    /// samples; columns of `deltas` without a sample hold zeros.
    ///
    /// # Panics
    /// Where a length is not the network's.
    pub fn backward(&self, theta: &[f32], room: &mut Room, features: Columns, deltas: Columns, gradient: &mut [f32]) {
        let Room { blocks, deltas: rooms } = room;
        let rooms: &Mutex<_> = rooms;
        self.check(theta, blocks.len() * BLOCK, &[&features, &deltas]);
        pieces::for_each(blocks, |index, block| {
            let lock = || rooms.lock().unwrap_or_else(PoisonError::into_inner);
            let mut delta = lock().pop().unwrap_or_else(|| vec![0.0; self.deltas * BLOCK]);
            block.gradient.clear();
            block.gradient.resize(self.parameters, 0.0);
            Arch::new().dispatch(Backward { net: self, theta, index, block, delta: &mut delta, features, deltas });
            lock().push(delta);
        });
        gradient.fill(0.0);
        for block in blocks {
            gradient.iter_mut().zip(&block.gradient).for_each(|(sum, value)| *sum += value);
        }
    }
}

struct Forward<'a> {
    net: &'a Convolutions,
    theta: &'a [f32],
    images: &'a [f32],
    /// Of the block.
    index: usize,
    planes: &'a mut [f32],
    features: Columns<'a>,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { net, theta, images, index: block, planes, features } = self;
        let lanes = S::F32_LANES;
        let first = &net.layers[0];
        let pixels = net.image * net.image;
        // Narrow vectors take the block in several parts.
        for (part, room) in planes.chunks_exact_mut(net.room * lanes).enumerate() {
            for y in 0..net.image {
                let row = &mut room[((y + 1) * first.plane + 1) * lanes..][..net.image * lanes];
                for (lane, image) in images.chunks_exact(pixels).skip(part * lanes).take(lanes).enumerate() {
                    for (x, pixel) in image[y * net.image..][..net.image].iter().enumerate() {
                        row[x * lanes + lane] = *pixel;
                    }
                }
            }
            let vectors = S::as_mut_simd_f32s(room).0.as_mut_ptr();
            for (index, layer) in net.layers.iter().enumerate() {
                // SAFETY: planes and places of all layers lie within the block's room, weights and biases in
                // θ, the last layer's outputs in the block's columns.
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
                    let places = vectors.add(layer.places);
                    for (o, rows) in parts(layer.outputs, most_rows::<S>()) {
                        let weights = weights.add(o * layer.inputs * TAPS);
                        let (biases, places) = (biases.add(o), places.add(o * layer.outputs_len()));
                        let out = Out { data: out.data.add(o * out.plane), ..out };
                        by_rows!(rows, R => convolve::<S, R>(simd, layer, weights, biases, input, places, out));
                    }
                }
            }
        }
    }
}

/// Rows of four sums that registers hold.
fn most_rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { MOST_ROWS } else { 3 }
}

/// Where a layer's outputs go: strides in vectors.
struct Out<V> {
    data: *mut V,
    plane: usize,
    row: usize,
    column: usize,
}

/// R output channels of a layer: convolution, 2×2 max pooling (with the place of each maximum, the first one
/// of equals in reading order), ReLU.
#[inline(always)]
unsafe fn convolve<S: Simd, const R: usize>(
    simd: S,
    layer: &Layer,
    weights: *const f32,
    biases: *const f32,
    input: *const S::f32s,
    places: *mut S::f32s,
    out: Out<S::f32s>,
) {
    let half = layer.side / 2;
    let zero = simd.splat_f32s(0.0);
    for y in 0..half {
        for x in 0..half {
            unsafe {
                let sums = window::<S, R>(
                    simd,
                    layer,
                    input.add(2 * y * layer.plane + 2 * x),
                    layer.inputs,
                    std::array::from_fn(|r| simd.splat_f32s(*biases.add(r))),
                    weights,
                    [layer.inputs * TAPS, TAPS],
                    [0, 1],
                );
                for r in 0..R {
                    let (mut most, mut place) = (sums[r][0], zero);
                    for p in 1..4 {
                        let higher = simd.greater_than_f32s(sums[r][p], most);
                        most = simd.select_f32s(higher, sums[r][p], most);
                        place = simd.select_f32s(higher, simd.splat_f32s(p as f32), place);
                    }
                    places.add((r * half + y) * half + x).write_unaligned(place);
                    let most = simd.max_f32s(zero, most);
                    out.data.add(r * out.plane + y * out.row + x * out.column).write_unaligned(most);
                }
            }
        }
    }
}

/// Convolutions at the four places of a 2×2 window: R sums each, over `depth` planes. `strides` are those of
/// the weights by row and by plane; their taps go from `taps[0]` in steps of `taps[1]`.
#[inline(always)]
unsafe fn window<S: Simd, const R: usize>(
    simd: S,
    layer: &Layer,
    corner: *const S::f32s,
    depth: usize,
    start: [S::f32s; R],
    weights: *const f32,
    strides: [usize; 2],
    taps: [isize; 2],
) -> [[S::f32s; 4]; R] {
    let mut sums: [[S::f32s; 4]; R] = std::array::from_fn(|r| [start[r]; 4]);
    unsafe {
        for c in 0..depth {
            let plane = corner.add(c * layer.plane_len());
            let mut weight = weights.add(c * strides[1]).offset(taps[0]);
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
                        let w = simd.splat_f32s(*weight.add(r * strides[0]));
                        for (sum, h) in sums.iter_mut().zip(h) {
                            *sum = simd.mul_add_f32s(w, h, *sum);
                        }
                    }
                    weight = weight.wrapping_offset(taps[1]);
                }
            }
        }
    }
    sums
}

struct Backward<'a> {
    net: &'a Convolutions,
    theta: &'a [f32],
    /// Of the block.
    index: usize,
    block: &'a mut BlockRoom,
    delta: &'a mut [f32],
    features: Columns<'a>,
    deltas: Columns<'a>,
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { net, theta, index: block, block: BlockRoom { planes, gradient }, delta, features, deltas } = self;
        let lanes = S::F32_LANES;
        let own = S::as_mut_simd_f32s(&mut delta[..net.deltas * lanes]).0.as_mut_ptr();
        for (part, room) in planes.chunks_exact_mut(net.room * lanes).enumerate() {
            let room = S::as_mut_simd_f32s(room).0.as_mut_ptr();
            // SAFETY: as in the forward pass; `own` holds the derivatives of all layers' convolutions.
            unsafe {
                let last = &net.layers[net.layers.len() - 1];
                let stride = features.stride / lanes;
                let column = block * BLOCK / lanes + part;
                let outputs = features.data.cast::<S::f32s>().add(column);
                let deltas = deltas.data.cast::<S::f32s>().add(column);
                let (half, places) = (last.side / 2, room.add(last.places));
                for at in 0..last.outputs * last.outputs_len() {
                    let (o, y, x) = (at / (half * half), at / half % half, at % half);
                    let value = deltas.add(at * stride).read_unaligned();
                    let output = outputs.add(at * stride).read_unaligned();
                    unpool(simd, last, value, output, places.add(at), own.add(last.deltas), [o, y, x]);
                }
                let all = (0, last.outputs);
                sum_over_places(simd, last, own.add(last.deltas), all, room.add(last.planes), gradient);
                for (below, pair) in net.layers.windows(2).enumerate().rev() {
                    let [next, layer] = [&pair[0], &pair[1]];
                    let weights = theta.as_ptr().add(layer.weights);
                    let (outputs, places) = (room.add(layer.planes), room.add(next.places));
                    for (c, rows) in parts(layer.inputs, most_rows::<S>()) {
                        let held = if below == 0 { 0 } else { c };
                        let down = own.add(next.deltas + held * next.plane_len());
                        let (outputs, places) =
                            (outputs.add(c * layer.plane_len()), places.add(c * next.outputs_len()));
                        let (weights, delta) = (weights.add(c * TAPS), own.add(layer.deltas));
                        by_rows!(rows, R => transpose::<S, R>(
                            simd, [layer, next], weights, delta, outputs, places, down
                        ));
                        sum_over_places(simd, next, down, (c, rows), room.add(next.planes), gradient);
                    }
                }
            }
        }
    }
}

/// Adds the derivatives of a layer's parameters for `rows` output channels from `o` on, whose planes of
/// derivatives begin at `delta`.
#[inline(always)]
unsafe fn sum_over_places<S: Simd>(
    simd: S,
    layer: &Layer,
    delta: *const S::f32s,
    (o, rows): (usize, usize),
    input: *const S::f32s,
    gradient: &mut [f32],
) {
    let (weights, biases) = gradient[layer.weights..].split_at_mut(layer.biases() - layer.weights);
    let weights = &mut weights[o * layer.inputs * TAPS..];
    unsafe {
        sum_biases(simd, layer, delta, &mut biases[o..o + rows]);
        for c in 0..layer.inputs {
            let input = input.add(c * layer.plane_len());
            // Nine sums a row.
            for (r, rows) in parts(rows, if S::REGISTER_COUNT >= 32 { 3 } else { 1 }) {
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

/// Takes a derivative by a pooled output through ReLU and pooling to the place of the maximum.
#[inline(always)]
unsafe fn unpool<S: Simd>(
    simd: S,
    layer: &Layer,
    delta: S::f32s,
    output: S::f32s,
    place: *const S::f32s,
    planes: *mut S::f32s,
    [o, y, x]: [usize; 3],
) {
    let zero = simd.splat_f32s(0.0);
    unsafe {
        let delta = simd.select_f32s(simd.greater_than_f32s(output, zero), delta, zero);
        let place = place.read_unaligned();
        let corner = planes.add(o * layer.plane_len() + (2 * y + 1) * layer.plane + 2 * x + 1);
        for p in 0..4 {
            let here = simd.equal_f32s(place, simd.splat_f32s(p as f32));
            corner.add(p / 2 * layer.plane + p % 2).write_unaligned(simd.select_f32s(here, delta, zero));
        }
    }
}

/// biases[r] += Σ δ[r, ·].
#[inline(always)]
unsafe fn sum_biases<S: Simd>(simd: S, layer: &Layer, delta: *const S::f32s, biases: &mut [f32]) {
    for (o, bias) in biases.iter_mut().enumerate() {
        let mut sum = simd.splat_f32s(0.0);
        for y in 1..=layer.side {
            for x in 1..=layer.side {
                let at = o * layer.plane_len() + y * layer.plane + x;
                sum = simd.add_f32s(sum, unsafe { delta.add(at).read_unaligned() });
            }
        }
        *bias += simd.reduce_sum_f32s(sum);
    }
}

/// weights[r, tap] += Σ δ[r, place] h[place + tap], for R output channels and one input channel.
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

/// The derivative by R of a layer's input channels, taken through the ReLU and the pooling of the layer
/// before; `outputs` and `places` are those channels' there, and `below` gets its derivatives.
#[inline(always)]
unsafe fn transpose<S: Simd, const R: usize>(
    simd: S,
    [layer, next]: [&Layer; 2],
    weights: *const f32,
    delta: *const S::f32s,
    outputs: *const S::f32s,
    places: *const S::f32s,
    below: *mut S::f32s,
) {
    let side = layer.side;
    let zero = simd.splat_f32s(0.0);
    for y in 0..side.div_ceil(2) {
        for x in 0..side.div_ceil(2) {
            unsafe {
                let corner = delta.add(2 * y * layer.plane + 2 * x);
                let strides = [TAPS, layer.inputs * TAPS];
                let sums = window::<S, R>(simd, layer, corner, layer.outputs, [zero; R], weights, strides, [8, -1]);
                for (r, sums) in sums.iter().enumerate() {
                    for (p, sum) in sums.iter().enumerate() {
                        let (y, x) = (2 * y + p / 2, 2 * x + p % 2);
                        if y < side && x < side {
                            let at = r * layer.plane_len() + (y + 1) * layer.plane + x + 1;
                            let output = outputs.add(at).read_unaligned();
                            let place = places.add((r * side + y) * side + x);
                            unpool(simd, next, *sum, output, place, below, [r, y, x]);
                        }
                    }
                }
            }
        }
    }
}
