//! The convolutional part of a classifier, forward and backward: layers of 3×3 convolutions with padding 1,
//! 2×2 max pooling and ReLU.
//!
//! Forward, samples lie in the lanes of the vectors, a block of them at a time, so that a convolution is
//! broadcast weights times vectors of samples: no shuffles, no waste with few channels. A window of 2×2
//! convolutions is pooled in registers and never stored; behind the first layer it takes 16 products a channel
//! instead of 36 (Winograd's algorithm, exact but for rounding). Backward, pooling has left at most one
//! derivative in four, and ReLU fewer: behind the first layer only those are visited, sample by sample, channels
//! in the lanes. Planes have a border of zeros. Knows numbers only, no tensors.

use super::{MOST_ROWS, Numbers, arch, by_rows, parts, pieces};
use pulp::{Arch, Simd, WithSimd};
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};

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
}

impl Layer {
    fn biases(&self) -> usize {
        self.weights + self.inputs * self.outputs * TAPS
    }

    /// Weights and biases in θ or in a gradient.
    fn split<'a>(&self, parameters: &'a mut [f32]) -> (&'a mut [f32], &'a mut [f32]) {
        let (weights, biases) = parameters[self.weights..].split_at_mut(self.biases() - self.weights);
        (weights, &mut biases[..self.outputs])
    }

    /// What stands for each place of a pooling's window, in reading order: how far it is from the first in
    /// numbers of a sample's input planes, channel by channel. Exact in float32.
    fn places_of_pooling(&self) -> [f32; 4] {
        [0, 1, self.plane, self.plane + 1].map(|place| (place * self.inputs) as f32)
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

/// Where a sample's numbers are told apart: exact in float32, so that no place is ever beside its number.
const MOST_NUMBERS: usize = 1 << 24;

/// Layers by their channels.
pub struct Convolutions {
    /// The image's side and each layer's channels: all that sizes and places depend on.
    shape: Vec<usize>,
    layers: Vec<Layer>,
    parameters: usize,
    /// Vectors of a block's room.
    room: usize,
    features: usize,
    image: usize,
}

/// What a forward pass leaves for a backward one, and room for that.
#[derive(Default)]
pub struct Room {
    /// [`Convolutions::shape`] of those it was last used by: all borders of zeros are where theirs are.
    shape: Vec<usize>,
    /// The vectors of the last forward pass, where it came to its end. A way back takes places of maxima from
    /// `blocks` and goes there unchecked: they have to be its own network's.
    passed: Option<Arch>,
    blocks: Vec<BlockRoom>,
    filters: Vec<Vec<f32>>,
    /// One for each thread that was at work.
    scratch: Mutex<Vec<(ThreadId, Scratch)>>,
}

#[derive(Default)]
struct BlockRoom {
    /// Input planes of each layer, and the places of its maxima.
    planes: Numbers,
    gradient: Vec<f32>,
}

/// Where the blocks of a forward pass put their features: a matrix [features, stride] of which each has [`BLOCK`]
/// columns of its own.
#[derive(Clone, Copy)]
struct Features<'a> {
    data: *mut f32,
    stride: usize,
    of: PhantomData<&'a mut [f32]>,
}

// SAFETY: an address alone; whoever writes there keeps to the columns of one block, which no other thread has.
unsafe impl Sync for Features<'_> {}

impl Convolutions {
    /// Layers of `channels` outputs each on square images of one channel, `side` wide.
    ///
    /// # Panics
    /// Where there is no layer or no pixel, or a sample has more than 2²⁴ numbers before or behind a layer.
    #[must_use]
    pub fn new(side: usize, channels: &[usize]) -> Self {
        assert!(!channels.is_empty() && (1..4096).contains(&side), "no layer, no pixel or a very large image");
        let mut layers = Vec::new();
        let (mut inputs, mut size, mut parameters, mut room) = (1, side, 0, 0);
        for &outputs in channels {
            let plane = size.next_multiple_of(2) + 2;
            let most = inputs.max(outputs).checked_mul(plane_len(plane));
            assert!(most.is_some_and(|most| most <= MOST_NUMBERS), "a layer of {outputs} channels, {size} wide");
            let planes = room;
            let places = planes + inputs * plane_len(plane);
            room = places + outputs * (size / 2) * (size / 2);
            layers.push(Layer { inputs, outputs, side: size, plane, weights: parameters, planes, places });
            parameters += (inputs * TAPS + 1) * outputs;
            (inputs, size) = (outputs, size / 2);
        }
        let shape = [&[side], channels].concat();
        Self { shape, layers, parameters, room, features: inputs * size * size, image: side }
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

    /// Lengths that all passes rely on: of θ, and of matrices [features, stride] with columns for whole blocks.
    fn check(&self, theta: &[f32], samples: usize, stride: usize, matrices: &[&[f32]]) {
        assert!(stride.is_multiple_of(BLOCK) && samples <= stride, "{samples} samples in rows of {stride}");
        let len = self.features * stride;
        assert!(theta.len() == self.parameters && matrices.iter().all(|matrix| matrix.len() == len));
    }

    /// Features [channels · side · side, stride] of `images` [samples, pixels], a sample a column; columns up to
    /// the next multiple of [`BLOCK`] are written.
    ///
    /// # Panics
    /// Where a length is not the network's, or the stride no multiple of [`BLOCK`].
    pub fn forward(&self, theta: &[f32], images: &[f32], room: &mut Room, features: &mut [f32], stride: usize) {
        let pixels = self.image * self.image;
        let samples = images.len() / pixels;
        self.check(theta, samples, stride, &[features]);
        if room.shape != self.shape {
            *room = Room { shape: self.shape.clone(), ..Room::default() };
        }
        let Room { passed, blocks, filters, scratch: rooms, .. } = room;
        *passed = None;
        blocks.resize_with(samples.div_ceil(BLOCK), BlockRoom::default);
        filters.resize_with(self.layers.len() - 1, Vec::new);
        for (layer, filters) in self.layers[1..].iter().zip(&mut *filters) {
            transform_filters(layer, &theta[layer.weights..], filters);
        }
        let arch = arch();
        let features = Features { data: features.as_mut_ptr(), stride, of: PhantomData };
        pieces::for_each(blocks, |index, block| {
            block.planes.resize(self.room * BLOCK, 0.0);
            let images = &images[index * BLOCK * pixels..samples.min((index + 1) * BLOCK) * pixels];
            let planes = &mut block.planes;
            with_scratch(rooms, |scratch| {
                arch.dispatch(Forward { net: self, theta, filters, images, index, planes, scratch, features });
            });
        });
        *passed = Some(arch);
    }

    /// The vectors of the forward pass that a way back starts from: this network's, and whole.
    fn passed(&self, room: &Room) -> Arch {
        match room.passed {
            Some(arch) if room.shape == self.shape => arch,
            _ => panic!("a way back before the way forward"),
        }
    }

    /// ∂L/∂θ into `gradient`, from `features` and ∂L/∂features in `deltas`, for the last [`Self::forward`] of as
    /// many samples; columns of `deltas` without a sample hold zeros.
    ///
    /// # Panics
    /// Where a length is not the network's, or there was no forward pass.
    pub fn backward(
        &self,
        theta: &[f32],
        room: &mut Room,
        [features, deltas]: [&[f32]; 2],
        stride: usize,
        gradient: &mut [f32],
    ) {
        let arch = self.passed(room);
        let Room { blocks, scratch: rooms, .. } = room;
        self.check(theta, blocks.len() * BLOCK, stride, &[features, deltas]);
        assert!(gradient.len() == self.parameters);
        pieces::for_each(blocks, |index, block| {
            block.gradient.clear();
            block.gradient.resize(self.parameters, 0.0);
            let way = Way { theta, index, features, deltas, stride };
            with_scratch(rooms, |scratch| arch.dispatch(Backward { net: self, way, block, scratch }));
        });
        gradient.fill(0.0);
        for block in blocks {
            gradient.iter_mut().zip(&block.gradient).for_each(|(sum, value)| *sum += value);
        }
    }

    /// As [`Self::backward`], but the derivatives by the images, into `images` [samples, pixels].
    ///
    /// # Panics
    /// Where a length is not the network's, or there was no forward pass.
    pub fn pull_back(
        &self,
        theta: &[f32],
        room: &mut Room,
        [features, deltas]: [&[f32]; 2],
        stride: usize,
        images: &mut [f32],
    ) {
        let arch = self.passed(room);
        let Room { blocks, scratch: rooms, .. } = room;
        self.check(theta, blocks.len() * BLOCK, stride, &[features, deltas]);
        let of_block = BLOCK * self.image * self.image;
        assert!(images.len().div_ceil(of_block) == blocks.len());
        let mut blocks: Vec<_> = blocks.iter_mut().zip(images.chunks_mut(of_block)).collect();
        pieces::for_each(&mut blocks, |index, (block, images)| {
            let way = Way { theta, index, features, deltas, stride };
            let planes = &mut block.planes;
            with_scratch(rooms, |scratch| {
                arch.dispatch(PullBack { net: self, way, planes, scratch, images });
            });
        });
    }
}

/// Lends a room that no other thread has at that moment, if possible the one that this thread had before.
fn with_scratch(rooms: &Mutex<Vec<(ThreadId, Scratch)>>, work: impl FnOnce(&mut Scratch)) {
    let lock = || rooms.lock().unwrap_or_else(PoisonError::into_inner);
    let me = thread::current().id();
    let own = |rooms: &mut Vec<(ThreadId, Scratch)>| {
        let mine = rooms.iter().position(|(owner, _)| *owner == me);
        mine.map(|index| rooms.swap_remove(index)).or_else(|| rooms.pop())
    };
    let mut scratch = own(&mut lock()).map(|(_, scratch)| scratch).unwrap_or_default();
    work(&mut scratch);
    lock().push((me, scratch));
}

/// One block's pass, of lengths that [`Convolutions::forward`] has checked.
struct Forward<'a> {
    net: &'a Convolutions,
    theta: &'a [f32],
    /// Of each layer but the first: see [`transform_filters`].
    filters: &'a [Vec<f32>],
    images: &'a [f32],
    /// Of the block.
    index: usize,
    planes: &'a mut [f32],
    scratch: &'a mut Scratch,
    features: Features<'a>,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { net, theta, filters, images, index: block, planes, scratch, features } = self;
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
                // SAFETY: planes and places of all layers lie within the block's room (`Convolutions::new`),
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
                    let places = vectors.add(layer.places);
                    if index > 0 {
                        winograd(simd, layer, &filters[index - 1], biases, input, places, out, scratch);
                        continue;
                    }
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

/// The largest of four numbers, and its place: the first of equals.
#[inline(always)]
fn pool<S: Simd>(simd: S, values: [S::f32s; 4], places: [f32; 4]) -> (S::f32s, S::f32s) {
    let (mut most, mut place) = (values[0], simd.splat_f32s(places[0]));
    for p in 1..4 {
        let higher = simd.greater_than_f32s(values[p], most);
        most = simd.select_f32s(higher, values[p], most);
        place = simd.select_f32s(higher, simd.splat_f32s(places[p]), place);
    }
    (most, place)
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
///
/// # Safety
/// `weights` and `biases` are those of R channels, `input` the layer's input planes, `places` and `out` room for R
/// planes of the layer's outputs; nobody else uses these meanwhile.
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
                    let (most, place) = pool(simd, sums[r], layer.places_of_pooling());
                    places.add((r * half + y) * half + x).write_unaligned(place);
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
unsafe fn window<S: Simd, const R: usize>(
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

/// Products of a window of 2×2 convolutions by Winograd's algorithm, in place of 36.
const PRODUCTS: usize = 16;

/// G g Gᵀ of each filter g: [`PRODUCTS`] matrices [outputs, inputs], of `weights` [outputs, inputs, 3, 3].
fn transform_filters(layer: &Layer, weights: &[f32], filters: &mut Vec<f32>) {
    let count = layer.inputs * layer.outputs;
    filters.resize(PRODUCTS * count, 0.0);
    let by_g = |[a, b, c]: [f32; 3]| [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c];
    for (filter, g) in weights.chunks_exact(TAPS).take(count).enumerate() {
        let columns: [[f32; 4]; 3] = std::array::from_fn(|x| by_g([g[x], g[3 + x], g[6 + x]]));
        for y in 0..4 {
            for (x, value) in by_g(columns.map(|column| column[y])).into_iter().enumerate() {
                filters[(4 * y + x) * count + filter] = value;
            }
        }
    }
}

/// A layer behind the first: convolution, 2×2 max pooling and ReLU as in [`convolve`], with 16 products a window
/// and channel instead of 36 (Winograd's F(2×2, 3×3): Lavin & Gray 2016, "Fast algorithms for convolutional
/// neural networks"): Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A, summed over the channels inside the brackets.
///
/// # Safety
/// `filters` are the layer's, of [`transform_filters`], and `biases` its own; `input` are its input planes, `places`
/// and `out` room for its outputs; nobody else uses these meanwhile.
#[inline(always)]
unsafe fn winograd<S: Simd>(
    simd: S,
    layer: &Layer,
    filters: &[f32],
    biases: *const f32,
    input: *const S::f32s,
    places: *mut S::f32s,
    out: Out<S::f32s>,
    scratch: &mut Scratch,
) {
    let lanes = S::F32_LANES;
    let (half, inputs, outputs) = (layer.side / 2, layer.inputs, layer.outputs);
    let Scratch { transformed, products, .. } = scratch;
    let len = transformed.len().max(PRODUCTS * inputs * half * lanes);
    transformed.resize(len, 0.0);
    let len = products.len().max(PRODUCTS * MOST_ROWS * half * lanes);
    products.resize(len, 0.0);
    let transformed = S::as_mut_simd_f32s(transformed).0.as_mut_ptr();
    let products = S::as_mut_simd_f32s(products).0.as_mut_ptr();
    for y in 0..half {
        // SAFETY: as promised; windows of 4×4 end within the border, at 2 · half + 1; `transformed` holds PRODUCTS
        // rows of windows a channel, `products` as many for each of the most rows at a time.
        unsafe {
            for c in 0..inputs {
                let rows = input.add(c * layer.plane_len() + 2 * y * layer.plane);
                transform_windows(simd, rows, layer.plane, half, transformed.add(c * half), inputs * half);
            }
            for (o, rows) in parts(outputs, most_rows::<S>()) {
                for k in 0..PRODUCTS {
                    let weights = filters.as_ptr().add((k * outputs + o) * inputs);
                    let windows = transformed.add(k * inputs * half).cast_const();
                    let sums = products.add(k * rows * half);
                    for (x, columns) in parts(half, 4) {
                        let (windows, sums) = (windows.add(x), sums.add(x));
                        by_rows!(rows, R => match columns {
                            1 => multiply::<S, R, 1>(simd, weights, inputs, windows, half, sums),
                            2 => multiply::<S, R, 2>(simd, weights, inputs, windows, half, sums),
                            3 => multiply::<S, R, 3>(simd, weights, inputs, windows, half, sums),
                            _ => multiply::<S, R, 4>(simd, weights, inputs, windows, half, sums),
                        });
                    }
                }
                for r in 0..rows {
                    let bias = simd.splat_f32s(*biases.add(o + r));
                    for x in 0..half {
                        let sums = transform_products(simd, products.add(r * half + x), rows * half);
                        let (most, place) = pool(simd, sums, layer.places_of_pooling());
                        places.add(((o + r) * half + y) * half + x).write_unaligned(place);
                        let most = simd.max_f32s(simd.splat_f32s(0.0), simd.add_f32s(most, bias));
                        out.data.add((o + r) * out.plane + y * out.row + x * out.column).write_unaligned(most);
                    }
                }
            }
        }
    }
}

/// Bᵀ d B of `windows` windows of 4×4 in steps of two along four rows, each of the 16 numbers `stride` vectors
/// from the one before.
///
/// # Safety
/// From `rows` on there are four rows, `plane` vectors apart, of 2 · windows + 2 vectors; behind `to` there is room.
#[inline(always)]
unsafe fn transform_windows<S: Simd>(
    simd: S,
    rows: *const S::f32s,
    plane: usize,
    windows: usize,
    to: *mut S::f32s,
    stride: usize,
) {
    // SAFETY: as promised.
    unsafe {
        let (mut first, mut second) = (column(simd, rows, plane), column(simd, rows.add(1), plane));
        for x in 0..windows {
            let third = column(simd, rows.add(2 * x + 2), plane);
            let fourth = column(simd, rows.add(2 * x + 3), plane);
            for y in 0..4 {
                let values = by_b(simd, first[y], second[y], third[y], fourth[y]);
                for k in 0..4 {
                    to.add((4 * y + k) * stride + x).write_unaligned(values[k]);
                }
            }
            (first, second) = (third, fourth);
        }
    }
}

/// Bᵀ times four numbers, one below the other.
///
/// # Safety
/// There are four vectors, the first at `from`, `plane` vectors apart.
#[inline(always)]
unsafe fn column<S: Simd>(simd: S, from: *const S::f32s, plane: usize) -> [S::f32s; 4] {
    // SAFETY: as promised.
    unsafe {
        let (a, b) = (from.read_unaligned(), from.add(plane).read_unaligned());
        let (c, d) = (from.add(2 * plane).read_unaligned(), from.add(3 * plane).read_unaligned());
        by_b(simd, a, b, c, d)
    }
}

#[inline(always)]
fn by_b<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s, d: S::f32s) -> [S::f32s; 4] {
    [simd.sub_f32s(a, c), simd.add_f32s(b, c), simd.sub_f32s(c, b), simd.sub_f32s(b, d)]
}

/// sums[r, x] = Σ weights[r, c] windows[c, x], for R rows and C columns of matrices with rows of `depth` and
/// `row` numbers.
///
/// # Safety
/// The matrices have so many rows and columns, from these addresses on; nobody else uses `sums` meanwhile.
#[inline(always)]
unsafe fn multiply<S: Simd, const R: usize, const C: usize>(
    simd: S,
    weights: *const f32,
    depth: usize,
    windows: *const S::f32s,
    row: usize,
    sums: *mut S::f32s,
) {
    // SAFETY: as promised.
    unsafe {
        let mut local = [[simd.splat_f32s(0.0); C]; R];
        for c in 0..depth {
            let mut h = [simd.splat_f32s(0.0); C];
            for x in 0..C {
                h[x] = windows.add(c * row + x).read_unaligned();
            }
            for r in 0..R {
                let w = simd.splat_f32s(*weights.add(r * depth + c));
                for x in 0..C {
                    local[r][x] = simd.mul_add_f32s(w, h[x], local[r][x]);
                }
            }
        }
        for (r, local) in local.iter().enumerate() {
            for (x, sum) in local.iter().enumerate() {
                sums.add(r * row + x).write_unaligned(*sum);
            }
        }
    }
}

/// Aᵀ m A: the convolutions at the four places of a window, in reading order, of products `stride` vectors from
/// each other.
///
/// # Safety
/// There are [`PRODUCTS`] such vectors, the first at `products`.
#[inline(always)]
unsafe fn transform_products<S: Simd>(simd: S, products: *const S::f32s, stride: usize) -> [S::f32s; 4] {
    // SAFETY: as promised.
    unsafe {
        let (mut upper, mut lower) = ([simd.splat_f32s(0.0); 4], [simd.splat_f32s(0.0); 4]);
        for x in 0..4 {
            let (a, b) = (products.add(x * stride).read_unaligned(), products.add((4 + x) * stride).read_unaligned());
            let c = products.add((8 + x) * stride).read_unaligned();
            let d = products.add((12 + x) * stride).read_unaligned();
            [upper[x], lower[x]] = by_a(simd, a, b, c, d);
        }
        let [a, b] = by_a(simd, upper[0], upper[1], upper[2], upper[3]);
        let [c, d] = by_a(simd, lower[0], lower[1], lower[2], lower[3]);
        [a, b, c, d]
    }
}

#[inline(always)]
fn by_a<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s, d: S::f32s) -> [S::f32s; 2] {
    [simd.add_f32s(simd.add_f32s(a, b), c), simd.sub_f32s(simd.sub_f32s(b, c), d)]
}

/// Where pooling left a derivative that is not 0: the first place of the window that its convolution saw, in
/// numbers from a sample's first, and its value.
#[derive(Clone, Copy, Default)]
struct Hit {
    offset: u32,
    delta: f32,
}

/// A thread's room for a pass through some samples, one in each lane; what a layer leaves, the next overwrites.
#[derive(Default)]
struct Scratch {
    /// By lane and channel: what pooling passed on, and where each channel's end.
    hits: Vec<Hit>,
    ends: Vec<usize>,
    /// A layer's inputs by sample, [side, side, channels] with a border of zeros, and the derivatives by them.
    inputs: Vec<Numbers>,
    deltas: Numbers,
    /// A layer's weights by output channel, [3, 3 · inputs], rows padded to whole vectors; derivatives as well.
    weights: Numbers,
    sums: Numbers,
    /// Derivatives by a layer's outputs, as vectors of samples.
    below: Numbers,
    /// Winograd's transforms of a row of windows, and products with those of the filters.
    transformed: Numbers,
    products: Numbers,
    /// Derivatives of the first layer's convolutions, some channels at a time; their borders stay 0.
    planes: Numbers,
}

/// One block's way back, of lengths that [`Convolutions::backward`] has checked.
struct Backward<'a> {
    net: &'a Convolutions,
    way: Way<'a>,
    block: &'a mut BlockRoom,
    scratch: &'a mut Scratch,
}

/// Pooled outputs of a layer, their places and the derivatives by them, as vectors of samples. Who makes one
/// promises that they are there, one for each of the layer's outputs, as long as it is used.
#[derive(Clone, Copy)]
struct Pooled<V> {
    outputs: *const V,
    /// From one channel, row and column of the outputs to the next.
    strides: [usize; 3],
    places: *const V,
    deltas: *const V,
    /// From one derivative to the next.
    stride: usize,
}

impl<V: Copy> Pooled<V> {
    /// The derivative by output number `at`, of channel o, row y and column x, taken through ReLU.
    ///
    /// # Safety
    /// The layer has such an output.
    #[inline(always)]
    unsafe fn delta<S: Simd<f32s = V>>(&self, simd: S, at: usize, [o, y, x]: [usize; 3]) -> V {
        let zero = simd.splat_f32s(0.0);
        let [channel, row, column] = self.strides;
        // SAFETY: as promised, here and by who made this.
        unsafe {
            let output = self.outputs.add(o * channel + y * row + x * column).read_unaligned();
            let delta = self.deltas.add(at * self.stride).read_unaligned();
            // What is no number is not hidden.
            simd.select_f32s(simd.less_than_or_equal_f32s(output, zero), zero, delta)
        }
    }
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { net, block: BlockRoom { planes, gradient }, way, scratch, .. } = self;
        let lanes = S::F32_LANES;
        let first = &net.layers[0];
        for (part, room) in planes.chunks_exact_mut(net.room * lanes).enumerate() {
            let room = S::as_mut_simd_f32s(room).0.as_mut_ptr().cast_const();
            // SAFETY: planes and places of the first layer lie within the block's room; the block's forward pass
            // came to its end (`passed`); `own` has planes for the most rows at a time.
            unsafe {
                let pooled = way.to_first_pooling(simd, net, part, room, scratch, Some(gradient));
                scratch.planes.resize(MOST_ROWS * first.plane_len() * lanes, 0.0);
                let own = S::as_mut_simd_f32s(&mut scratch.planes).0.as_mut_ptr();
                let (weights, biases) = first.split(gradient);
                for (o, rows) in parts(first.outputs, MOST_ROWS) {
                    unpool(simd, first, &pooled, (o, rows), own, Some(biases));
                    sum_over_places(simd, first, own, (o, rows), room.add(first.planes), weights);
                }
            }
        }
    }
}

/// One block's way back, of lengths that [`Convolutions::pull_back`] has checked.
struct PullBack<'a> {
    net: &'a Convolutions,
    way: Way<'a>,
    planes: &'a mut [f32],
    scratch: &'a mut Scratch,
    /// Derivatives by the block's images, [samples, pixels].
    images: &'a mut [f32],
}

impl WithSimd for PullBack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { net, way, planes, scratch, images } = self;
        let lanes = S::F32_LANES;
        let first = &net.layers[0];
        let pixels = net.image * net.image;
        // Taken backwards through the same windows, a filter is turned round.
        let weights = &way.theta[first.weights..first.biases()];
        let turned: Vec<f32> = weights.chunks_exact(TAPS).flat_map(|filter| filter.iter().rev().copied()).collect();
        // The last block may have fewer images than lanes.
        for (part, mine) in images.chunks_mut(lanes * pixels).enumerate() {
            let room = &mut planes[part * net.room * lanes..][..net.room * lanes];
            let room = S::as_mut_simd_f32s(room).0.as_mut_ptr().cast_const();
            // SAFETY: as in the backward pass, `own` with planes for all channels; windows of 2×2 cover a plane
            // within its border; `mine` holds whole images, no more of them than lanes.
            unsafe {
                let pooled = way.to_first_pooling(simd, net, part, room, scratch, None);
                let Scratch { planes, .. } = &mut *scratch;
                let least = planes.len().max(first.outputs * first.plane_len() * lanes);
                planes.resize(least, 0.0);
                let own = S::as_mut_simd_f32s(planes).0.as_mut_ptr();
                unpool(simd, first, &pooled, (0, first.outputs), own, None);
                let transposed = Layer { inputs: first.outputs, ..*first };
                for y in (0..net.image).step_by(2) {
                    for x in (0..net.image).step_by(2) {
                        let corner = own.add(y * first.plane + x).cast_const();
                        let zero = [simd.splat_f32s(0.0)];
                        let [values] = window::<S, 1>(simd, &transposed, corner, zero, turned.as_ptr());
                        for p in 0..4 {
                            let (y, x) = (y + p / 2, x + p % 2);
                            if y >= net.image || x >= net.image {
                                continue;
                            }
                            let value = (&raw const values[p]).cast::<f32>();
                            let mut to = mine.as_mut_ptr().add(y * net.image + x);
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

/// What both ways back begin with.
#[derive(Clone, Copy)]
struct Way<'a> {
    theta: &'a [f32],
    /// Of the block.
    index: usize,
    features: &'a [f32],
    deltas: &'a [f32],
    /// Of both, in numbers.
    stride: usize,
}

impl Way<'_> {
    /// From the features back to the first layer's pooling; adds the other layers' derivatives, where wanted.
    ///
    /// # Safety
    /// `room` is part number `part` of what this network's forward pass left of the block; what is given back
    /// holds as long as nobody writes there or changes `scratch.below`.
    #[inline(always)]
    unsafe fn to_first_pooling<S: Simd>(
        self,
        simd: S,
        net: &Convolutions,
        part: usize,
        room: *const S::f32s,
        scratch: &mut Scratch,
        mut gradient: Option<&mut [f32]>,
    ) -> Pooled<S::f32s> {
        let Self { theta, index, features, deltas, stride } = self;
        let lanes = S::F32_LANES;
        let last = &net.layers[net.layers.len() - 1];
        let (half, stride) = (last.side / 2, stride / lanes);
        let column = index * BLOCK / lanes + part;
        // SAFETY: planes and places of all layers lie within the block's room, the last layer's outputs and
        // derivatives in the block's columns; the others' derivatives in `scratch.below`, which `sparse` reads
        // to the end before it changes it.
        unsafe {
            let mut pooled = Pooled {
                outputs: features.as_ptr().cast::<S::f32s>().add(column),
                strides: [half * half * stride, half * stride, stride],
                places: room.add(last.places),
                deltas: deltas.as_ptr().cast::<S::f32s>().add(column),
                stride,
            };
            for pair in net.layers.windows(2).rev() {
                let [next, layer] = [&pair[0], &pair[1]];
                let input = room.add(layer.planes);
                sparse(simd, layer, theta, &pooled, input, scratch, gradient.as_deref_mut());
                pooled = Pooled {
                    outputs: input.add(layer.plane + 1),
                    strides: [layer.plane_len(), layer.plane, 1],
                    places: room.add(next.places),
                    deltas: S::as_simd_f32s(&scratch.below).0.as_ptr(),
                    stride: 1,
                };
            }
            pooled
        }
    }
}

/// The way back through a layer behind the first, which takes what pooling left alone: at most a quarter of
/// the convolutions has a derivative. A sample at a time, its channels in the lanes. Adds the derivatives of
/// its parameters, where they are wanted; those by its inputs are then in `scratch.below`, [inputs, side, side]
/// vectors of samples.
///
/// # Safety
/// `pooled` and the planes at `input` are what this layer's forward pass left; `pooled` may lie in `scratch.below`,
/// nowhere else in `scratch`, and holds no longer.
#[inline(always)]
unsafe fn sparse<S: Simd>(
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
    let Scratch { hits, ends, inputs: samples, deltas, weights, sums, below, .. } = scratch;
    // A row of a kernel in whole vectors.
    let row = (3 * inputs).next_multiple_of(lanes);
    let kernel = 3 * row;
    let sample = plane * plane * inputs + lanes;
    let most_hits = outputs * layer.outputs_len();
    hits.resize(hits.len().max(lanes * most_hits), Hit::default());
    ends.resize(ends.len().max(lanes * outputs), 0);
    let (of_weights, of_biases) = gradient.map(|gradient| layer.split(gradient)).unzip();
    // SAFETY: as promised; nothing of `scratch` but `hits` and `ends` is changed.
    unsafe { find_hits(simd, layer, pooled, hits, most_hits, ends, of_biases) };

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
    samples.resize_with(samples.len().max(side + 1), Numbers::default);
    let samples = &mut samples[side];
    samples.resize(lanes * sample, 0.0);
    deltas.zero(lanes * sample);
    let least = below.len().max(inputs * side * side * lanes);
    below.resize(least, 0.0);
    // SAFETY: `samples` and `deltas` hold a sample a lane, [plane, plane, inputs] and what a row of a kernel is
    // padded by: places of maxima are of the layer's own pooling, so that the last kernel ends within them. Rows of
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
            let dx = deltas.as_mut_ptr().add(lane * sample);
            let mut start = 0;
            for o in 0..outputs {
                let end = ends[lane * outputs + o];
                let hits = &hits[lane * most_hits..][start..end];
                start = end;
                for (column, columns) in parts(row / lanes, 3) {
                    let at = column * lanes;
                    let (weights, sums) =
                        (weights.as_ptr().add(o * kernel + at), sums.as_mut_ptr().add(o * kernel + at));
                    let strides = [row, plane * inputs];
                    let (x, dx) = (x.add(at), dx.add(at));
                    match (columns, of_weights.is_some()) {
                        (1, true) => visit::<S, 1, true>(simd, hits, strides, weights, sums, x, dx),
                        (2, true) => visit::<S, 2, true>(simd, hits, strides, weights, sums, x, dx),
                        (_, true) => visit::<S, 3, true>(simd, hits, strides, weights, sums, x, dx),
                        (1, false) => visit::<S, 1, false>(simd, hits, strides, weights, sums, x, dx),
                        (2, false) => visit::<S, 2, false>(simd, hits, strides, weights, sums, x, dx),
                        (_, false) => visit::<S, 3, false>(simd, hits, strides, weights, sums, x, dx),
                    }
                }
            }
        }
        for y in 0..side {
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
/// `pooled` is of this layer, its places those of its pooling.
#[inline(always)]
unsafe fn find_hits<S: Simd>(
    simd: S,
    layer: &Layer,
    pooled: &Pooled<S::f32s>,
    hits: &mut [Hit],
    most_hits: usize,
    ends: &mut [usize],
    mut biases: Option<&mut [f32]>,
) {
    let lanes = S::F32_LANES;
    let zero = simd.splat_f32s(0.0);
    let Layer { inputs, outputs, side, plane, .. } = *layer;
    let half = side / 2;
    let mut next = [hits.as_mut_ptr(); BLOCK];
    assert!(hits.len() >= lanes * most_hits && most_hits >= outputs * half * half && lanes <= BLOCK);
    for lane in 0..lanes {
        // SAFETY: as asserted.
        next[lane] = unsafe { next[lane].add(lane * most_hits) };
    }
    let starts = next;
    let mut at = 0;
    for o in 0..outputs {
        let mut bias = zero;
        for y in 0..half {
            for x in 0..half {
                // SAFETY: as promised; a lane writes at most a hit an output, and a place is one of
                // `places_of_pooling`, which an i32 holds.
                unsafe {
                    let delta = pooled.delta(simd, at, [o, y, x]);
                    bias = simd.add_f32s(bias, delta);
                    let mut values = [0.0f32; BLOCK];
                    values.as_mut_ptr().cast::<S::f32s>().write_unaligned(delta);
                    let place = pooled.places.add(at).cast::<f32>();
                    let base = (2 * (y * plane + x) * inputs) as u32;
                    for lane in 0..lanes {
                        let delta = values[lane];
                        // The place is a small whole number.
                        let offset = base + (*place.add(lane)).to_int_unchecked::<i32>() as u32;
                        next[lane].write(Hit { offset, delta });
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
            // SAFETY: both within `hits`, where `next` began with `starts`.
            ends[lane * outputs + o] = unsafe { next[lane].offset_from_unsigned(starts[lane]) };
        }
    }
}

/// For each hit δ of one output channel of one sample, with h the inputs its convolution saw, three rows of C
/// vectors: sums += δ h, where they are wanted, and by h, δ · weights. `strides` are those of the weights' rows
/// and of the inputs'.
///
/// # Safety
/// At `weights` and `sums`, and from each hit's offset on at `inputs` (where sums are wanted) and `deltas`, there
/// are three rows of C vectors, so far apart; nobody else uses `sums` and `deltas` meanwhile.
#[inline(always)]
unsafe fn visit<S: Simd, const C: usize, const SUMS: bool>(
    simd: S,
    hits: &[Hit],
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
        for hit in hits {
            let delta = simd.splat_f32s(hit.delta);
            for ky in 0..3 {
                let at = hit.offset as usize + ky * input_row;
                let (h, to) = (inputs.add(at).cast::<S::f32s>(), deltas.add(at).cast::<S::f32s>());
                for c in 0..C {
                    if SUMS {
                        local[ky][c] = simd.mul_add_f32s(delta, h.add(c).read_unaligned(), local[ky][c]);
                    }
                    to.add(c).write_unaligned(simd.mul_add_f32s(delta, w[ky][c], to.add(c).read_unaligned()));
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

/// Adds the derivatives of a layer's weights for `rows` output channels from `o` on, whose planes of derivatives
/// begin at `delta`.
///
/// # Safety
/// There are so many planes at `delta`, and the layer's input planes at `input`.
#[inline(always)]
unsafe fn sum_over_places<S: Simd>(
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

/// Takes derivatives by pooled outputs, of `rows` channels from `o` on, through ReLU and pooling to the places
/// of the maxima in `planes`; and adds them up for the biases.
///
/// # Safety
/// `pooled` is of this layer, which has these channels; `planes` is room for as many planes of its side.
#[inline(always)]
unsafe fn unpool<S: Simd>(
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
                    let place = pooled.places.add(at).read_unaligned();
                    let corner = planes.add(r * layer.plane_len() + (2 * y + 1) * layer.plane + 2 * x + 1);
                    for (p, code) in layer.places_of_pooling().into_iter().enumerate() {
                        let here = simd.equal_f32s(place, simd.splat_f32s(code));
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

/// weights[r, tap] += Σ δ[r, place] h[place + tap], for R output channels and one input channel.
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

#[cfg(test)]
mod tests {
    use super::super::NARROW;
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Numbers from -1 to 1 without a pattern.
    fn rough(len: usize, shift: f32) -> Vec<f32> {
        (0..len).map(|i| (i as f32 * 12.9898 + shift).sin()).collect()
    }

    /// Features, gradient and derivatives by the images of one pass to and fro.
    fn passes(net: &Convolutions, room: &mut Room, samples: usize) -> [Vec<f32>; 3] {
        let (theta, images) = (rough(net.parameters(), 0.5), rough(samples * net.image * net.image, 0.25));
        let stride = samples.next_multiple_of(BLOCK);
        let mut features = vec![0.0; net.features() * stride];
        net.forward(&theta, &images, room, &mut features, stride);
        let mut deltas = rough(features.len(), 0.75);
        deltas.chunks_exact_mut(stride).for_each(|row| row[samples..].fill(0.0));
        let (mut gradient, mut by_images) = (vec![0.0; theta.len()], vec![0.0; images.len()]);
        net.backward(&theta, room, [&features, &deltas], stride, &mut gradient);
        net.pull_back(&theta, room, [&features, &deltas], stride, &mut by_images);
        // Columns without a sample show what the room held before.
        features.chunks_exact_mut(stride).for_each(|row| row[samples..].fill(0.0));
        [features, gradient, by_images]
    }

    /// Sides that pooling divides and others, one channel and more than registers hold.
    const NETWORKS: [(usize, &[usize]); 6] =
        [(28, &[8, 16]), (9, &[7]), (7, &[3, 2]), (12, &[1, 20, 5]), (2, &[1]), (14, &[13, 4])];

    #[test]
    fn a_room_goes_from_network_to_network() {
        let mut archs = vec![Arch::new(), Arch::Scalar];
        #[cfg(target_arch = "x86_64")]
        archs.extend(pulp::x86::V3::try_new().map(Arch::V3));
        for arch in archs {
            NARROW.set(Some(arch));
            let mut shared = Room::default();
            for turn in 0..2 {
                for (side, channels) in NETWORKS {
                    let net = Convolutions::new(side, channels);
                    for samples in [17, 3 + turn] {
                        let found = passes(&net, &mut shared, samples);
                        assert!(found == passes(&net, &mut Room::default(), samples), "{side}, {channels:?}");
                        assert!(found.iter().flatten().all(|number| number.is_finite()), "{side}, {channels:?}");
                    }
                }
            }
            NARROW.set(None);
        }
    }

    #[test]
    fn a_way_back_without_its_own_way_forward_is_refused() {
        // Of the second network's room, nothing is where the first would look for it.
        let (net, other) = (Convolutions::new(28, &[8, 16]), Convolutions::new(28, &[16, 8]));
        let (theta, stride) = (vec![0.5; net.parameters()], BLOCK);
        let matrix = vec![0.5; net.features() * stride];
        let mut gone = Room::default();
        passes(&other, &mut gone, BLOCK);
        for mut room in [Room::default(), gone] {
            let refused = |way: &mut dyn FnMut(&mut Room)| {
                catch_unwind(AssertUnwindSafe(|| way(&mut room))).unwrap_err().downcast::<&str>().unwrap()
            };
            let mut refused = refused;
            let both = [&matrix[..], &matrix[..]];
            let (mut gradient, mut images) = (vec![0.0; theta.len()], vec![0.0; BLOCK * 784]);
            let said = refused(&mut |room| net.backward(&theta, room, both, stride, &mut gradient));
            assert_eq!(*said, "a way back before the way forward");
            let said = refused(&mut |room| net.pull_back(&theta, room, both, stride, &mut images));
            assert_eq!(*said, "a way back before the way forward");
        }
    }

    #[test]
    fn lengths_that_are_not_the_networks_are_refused() {
        let net = Convolutions::new(4, &[2]);
        let (mut room, stride) = (Room::default(), BLOCK);
        passes(&net, &mut room, BLOCK);
        let len = net.features() * stride;
        let (theta, long) = (vec![0.5; net.parameters()], vec![0.5; 2 * len]);
        let mut refused = |theta: &[f32], features: &[f32], deltas: &[f32], stride: usize, gradient: usize| {
            let mut gradient = vec![0.0; gradient];
            let way = || net.backward(theta, &mut room, [features, deltas], stride, &mut gradient);
            catch_unwind(AssertUnwindSafe(way)).is_err()
        };
        let fits = &long[..len];
        assert!(!refused(&theta, fits, fits, stride, theta.len()));
        assert!(refused(&theta[1..], fits, fits, stride, theta.len()));
        assert!(refused(&theta, &long[1..len], fits, stride, theta.len()));
        assert!(refused(&theta, fits, &long, stride, theta.len()));
        assert!(refused(&theta, &long[..len / 2], &long[..len / 2], stride / 2, theta.len()));
        assert!(refused(&theta, fits, fits, stride, theta.len() - 1));
        for (images, features, stride) in [(BLOCK + 1, len, stride), (1, len - 1, stride), (1, len / 2, stride / 2)] {
            let (images, mut features) = (vec![0.5; 16 * images], vec![0.0; features]);
            let way = || net.forward(&theta, &images, &mut Room::default(), &mut features, stride);
            assert!(catch_unwind(AssertUnwindSafe(way)).is_err());
        }
    }

    #[test]
    fn networks_of_which_places_would_not_be_exact_are_refused() {
        // The largest that `--model` takes.
        let _ = Convolutions::new(28, &[4096; 4]);
        let huge: [(usize, &[usize]); 6] =
            [(28, &[]), (0, &[1]), (4096, &[1]), (4000, &[4, 4]), (usize::MAX, &[1]), (28, &[8, usize::MAX])];
        for (side, channels) in huge {
            assert!(catch_unwind(|| Convolutions::new(side, channels)).is_err(), "{side}, {channels:?}");
        }
    }
}
