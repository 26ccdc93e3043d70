//! Loss and gradient of a narrow fully connected ReLU network over many samples, in one pass over the
//! samples: a strip of them goes forward and backward through all layers while it is in the cache.
//!
//! Samples lie in the lanes of the vectors, so that every product is a broadcast weight times a vector
//! of samples, whatever the widths; sums over samples stay in vectors until the end. For networks too
//! small for a matrix library to be fast. Knows numbers only, no tensors.

use super::{AlignedVec, MOST_ROWS, arch, by_rows, parts, pieces};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Samples in one vector of the widest processor; strips are multiples of four such vectors.
const GROUP: usize = 64;
/// Activations of a strip, in numbers: what a core's own cache holds beside the sums.
const STRIP_FLOATS: usize = 32 * 1024;
const LONGEST_STRIP: usize = 4 * GROUP;

/// A network and its samples.
pub struct Dense {
    widths: Vec<usize>,
    /// Samples a strip.
    strip: usize,
    samples: usize,
    /// [strips, inputs, strip] and [strips, outputs, strip], the last strip filled up with zeros.
    x: AlignedVec,
    y: AlignedVec,
    pieces: Vec<Piece>,
}

/// Some strips, and the workspace of their passes.
struct Piece {
    strips: Range<usize>,
    /// Outputs of each layer, [width, strip], one after the other; then, in place, ∂L/∂z.
    outputs: AlignedVec,
    /// Sums over samples of each parameter's derivative, one vector each; the bias of a unit behind its weights.
    sums: AlignedVec,
    /// An input of ones, the biases'.
    ones: AlignedVec,
    gradient: Vec<f32>,
    sum_of_squares: f64,
}

/// Multiplications of a piece, roughly: enough that starting a thread for it does not matter.
const PIECE: usize = 40_000_000;
const MOST_PIECES: usize = 16;
/// Lanes of the widest vectors.
const MOST_LANES: usize = 16;

impl Dense {
    /// A network with ReLU between its layers on `x` [inputs, samples] and `y` [outputs, samples], row by row.
    ///
    /// # Panics
    /// Where x and y do not have the same number of samples.
    pub fn new(widths: &[usize], x: &[f32], y: &[f32]) -> Self {
        let (inputs, outputs) = (widths[0], widths[widths.len() - 1]);
        let samples = x.len() / inputs;
        assert!(x.len() == inputs * samples && y.len() == outputs * samples);
        let features: usize = widths[1..].iter().sum();
        let strip = (STRIP_FLOATS / features / GROUP * GROUP).clamp(GROUP, LONGEST_STRIP);
        let pack = |rows: &[f32], count: usize| {
            let mut packed = AlignedVec::default();
            packed.reserve(count * samples.next_multiple_of(strip));
            for start in (0..samples).step_by(strip) {
                let end = samples.min(start + strip);
                for row in 0..count {
                    packed.extend_from_slice(&rows[row * samples + start..row * samples + end]);
                    let len = packed.len();
                    packed.resize(len + strip - (end - start), 0.0);
                }
            }
            packed
        };
        let parameters = parameters(widths);
        let (strips, number) = (samples.div_ceil(strip), (3 * parameters * samples / PIECE).clamp(1, MOST_PIECES));
        let pieces = parts(strips, strips.div_ceil(number).max(1)).map(|(start, count)| Piece {
            strips: start..start + count,
            outputs: AlignedVec::filled(features * strip, 0.0),
            sums: AlignedVec::filled(parameters * MOST_LANES, 0.0),
            ones: AlignedVec::filled(strip, 1.0),
            gradient: vec![0.0; parameters],
            sum_of_squares: 0.0,
        });
        let pieces = pieces.collect();
        Self { widths: widths.to_vec(), strip, samples, x: pack(x, inputs), y: pack(y, outputs), pieces }
    }

    /// Σᵢ ‖f(θ, xᵢ) - yᵢ‖² and, into `gradient` where there is one, its derivative by θ.
    ///
    /// # Panics
    /// Where θ or the gradient has another length than the network's.
    pub fn sum_of_squares(&mut self, theta: &[f32], gradient: Option<&mut [f32]>) -> f64 {
        let Self { widths, strip, samples, x, y, pieces } = self;
        assert!(theta.len() == parameters(widths));
        let with_gradient = gradient.is_some();
        let problem = Problem { widths, strip: *strip, samples: *samples, x, y, theta };
        let arch = arch();
        pieces::for_each(pieces, |_, piece| {
            piece.sum_of_squares = arch.dispatch(Pass { problem: &problem, piece, with_gradient });
        });
        if let Some(gradient) = gradient {
            gradient.copy_from_slice(&pieces[0].gradient);
            for piece in &pieces[1..] {
                gradient.iter_mut().zip(&piece.gradient).for_each(|(sum, value)| *sum += value);
            }
        }
        pieces.iter().map(|piece| piece.sum_of_squares).sum()
    }
}

fn parameters(widths: &[usize]) -> usize {
    widths.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum()
}

/// What all pieces read, of lengths that [`Dense`] has checked.
struct Problem<'a> {
    widths: &'a [usize],
    strip: usize,
    samples: usize,
    x: &'a [f32],
    y: &'a [f32],
    theta: &'a [f32],
}

struct Pass<'a> {
    problem: &'a Problem<'a>,
    piece: &'a mut Piece,
    with_gradient: bool,
}

impl WithSimd for Pass<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        // As many sums at once as registers hold.
        if S::REGISTER_COUNT >= 32 { run::<S, 4>(simd, self) } else { run::<S, 2>(simd, self) }
    }
}

/// A matrix of weights, to be multiplied with rows of samples.
struct Block {
    weights: *const f32,
    row_stride: usize,
    depth_stride: usize,
    depth: usize,
    rows: usize,
    /// In a row of samples.
    vectors: usize,
}

#[inline(always)]
fn run<S: Simd, const C: usize>(simd: S, pass: Pass) -> f64 {
    let Pass { problem, piece, with_gradient } = pass;
    let Problem { widths, strip, samples, theta, .. } = *problem;
    let lanes = S::F32_LANES;
    let (inputs, outputs) = (widths[0], widths[widths.len() - 1]);
    let layers = widths.len() - 1;
    let vectors = strip / lanes;
    let Piece { strips, outputs: activations, sums, ones, gradient, .. } = piece;
    let sums = &mut sums[..theta.len() * lanes];
    sums.fill(0.0);
    let mut total = 0.0;
    for index in strips.clone() {
        let x = &problem.x[index * inputs * strip..][..inputs * strip];
        let y = &problem.y[index * outputs * strip..][..outputs * strip];
        // SAFETY: all blocks below lie in these slices: `outputs` has a row of `strip` numbers for each
        // unit, θ and `sums` a number and a vector for each parameter, in the layers' order; a strip is a
        // multiple of C vectors. A slice of the outputs is no longer used once an address in them is.
        unsafe {
            let mut input: *const f32 = x.as_ptr();
            let mut output = activations.as_mut_ptr();
            let mut weights = theta.as_ptr();
            for layer in 0..layers {
                let (k, n) = (widths[layer], widths[layer + 1]);
                let bias = weights.add(k * n);
                let block = Block { weights, row_stride: k, depth_stride: 1, depth: k, rows: n, vectors };
                let last = layer + 1 == layers;
                let finish = if last { Finish::Nothing } else { Finish::Relu };
                product::<S, C>(simd, &block, Some(bias), input, output, finish);
                input = output;
                output = output.add(n * strip);
                weights = bias.add(n);
            }
            // The residual, in place of the last outputs.
            let residual = std::slice::from_raw_parts_mut(output.sub(outputs * strip), outputs * strip);
            for (value, target) in residual.iter_mut().zip(y) {
                *value -= target;
            }
            let valid = strip.min(samples - index * strip);
            if valid < strip {
                residual.chunks_exact_mut(strip).for_each(|row| row[valid..].fill(0.0));
            }
            let (head, _) = S::as_mut_simd_f32s(residual);
            let mut squares = simd.splat_f32s(0.0);
            for value in head {
                squares = simd.mul_add_f32s(*value, *value, squares);
            }
            total += f64::from(simd.reduce_sum_f32s(squares));
            if !with_gradient {
                continue;
            }
            let mut sum = sums.as_mut_ptr().add(sums.len());
            let mut delta = output;
            for layer in (0..layers).rev() {
                let (k, n) = (widths[layer], widths[layer + 1]);
                delta = delta.sub(n * strip);
                weights = weights.sub((k + 1) * n);
                sum = sum.sub((k + 1) * n * lanes);
                let input: *const f32 = if layer == 0 { x.as_ptr() } else { delta.sub(k * strip) };
                outer::<S, C>(simd, delta, n, input, k, ones.as_ptr(), vectors, sum);
                if layer > 0 {
                    let block = Block { weights, row_stride: 1, depth_stride: k, depth: n, rows: k, vectors };
                    product::<S, C>(simd, &block, None, delta, delta.sub(k * strip), Finish::Mask);
                }
            }
        }
    }
    if with_gradient {
        let mut sums = S::as_simd_f32s(sums).0.iter().map(|sum| 2.0 * simd.reduce_sum_f32s(*sum));
        let mut rest = &mut gradient[..];
        for pair in widths.windows(2) {
            let (layer, after) = rest.split_at_mut((pair[0] + 1) * pair[1]);
            let (weights, biases) = layer.split_at_mut(pair[0] * pair[1]);
            for (weights, bias) in weights.chunks_exact_mut(pair[0]).zip(biases) {
                for value in weights.iter_mut().chain([bias]) {
                    *value = sums.next().unwrap_or(f32::NAN);
                }
            }
            rest = after;
        }
    }
    total
}

/// What becomes of a product before it is stored.
#[derive(Clone, Copy, PartialEq)]
enum Finish {
    Nothing,
    /// max(·, 0); of NaN, NaN.
    Relu,
    /// 0 where what was there before is not above 0: ReLU's derivative, read off its output.
    Mask,
}

/// output[r, ·] = finish(bias[r] + Σₖ weights[r, k] input[k, ·]).
///
/// # Safety
/// The block's weights and, where there is one, a bias a row are there; at `input` there is a row of samples for each
/// of its depth, at `output` one for each of its rows, which nobody else uses meanwhile and which are not the
/// input's. Rows of samples are a multiple of C vectors.
#[inline(always)]
unsafe fn product<S: Simd, const C: usize>(
    simd: S,
    block: &Block,
    bias: Option<*const f32>,
    input: *const f32,
    output: *mut f32,
    finish: Finish,
) {
    let lanes = S::F32_LANES;
    let row = block.vectors * lanes;
    let mut column = 0;
    while column < block.vectors {
        for (start, rows) in parts(block.rows, MOST_ROWS) {
            // SAFETY: as promised.
            unsafe {
                let weights = block.weights.add(start * block.row_stride);
                let bias = bias.map(|bias| bias.add(start));
                let input = input.add(column * lanes);
                let output = output.add(start * row + column * lanes);
                by_rows!(rows, R => product_block::<S, R, C>(simd, block, weights, bias, input, output, finish));
            }
        }
        column += C;
    }
}

/// [`product`] for R rows and C vectors of samples.
///
/// # Safety
/// As there.
#[inline(always)]
unsafe fn product_block<S: Simd, const R: usize, const C: usize>(
    simd: S,
    block: &Block,
    weights: *const f32,
    bias: Option<*const f32>,
    input: *const f32,
    output: *mut f32,
    finish: Finish,
) {
    // SAFETY: as promised.
    unsafe {
        let row = block.vectors;
        let zero = simd.splat_f32s(0.0);
        let mut sums = [[zero; C]; R];
        if let Some(bias) = bias {
            for (r, sums) in sums.iter_mut().enumerate() {
                *sums = [simd.splat_f32s(*bias.add(r)); C];
            }
        }
        let mut input = input.cast::<S::f32s>();
        let mut weights = weights;
        for _ in 0..block.depth {
            let mut x = [zero; C];
            for (c, x) in x.iter_mut().enumerate() {
                *x = input.add(c).read_unaligned();
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let weight = simd.splat_f32s(*weights.add(r * block.row_stride));
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum = simd.mul_add_f32s(weight, x, *sum);
                }
            }
            input = input.add(row);
            weights = weights.add(block.depth_stride);
        }
        let output = output.cast::<S::f32s>();
        for (r, sums) in sums.iter().enumerate() {
            for (c, sum) in sums.iter().enumerate() {
                let to = output.add(r * row + c);
                to.write_unaligned(match finish {
                    Finish::Nothing => *sum,
                    Finish::Relu => simd.max_f32s(zero, *sum),
                    Finish::Mask => {
                        let live = simd.greater_than_f32s(to.read_unaligned(), zero);
                        simd.select_f32s(live, *sum, zero)
                    }
                });
            }
        }
    }
}

/// sums[i, j] += Σ δ[i, ·] h[j, ·] for all inputs j and, as the last j, Σ δ[i, ·]: vectors of partial sums.
///
/// # Safety
/// At `delta` there are `outputs` rows of so many vectors, at `input` there are `inputs`, at `ones` there is one; at
/// `sums` outputs · (inputs + 1) vectors, which nobody else uses meanwhile.
#[inline(always)]
unsafe fn outer<S: Simd, const C: usize>(
    simd: S,
    delta: *const f32,
    outputs: usize,
    input: *const f32,
    inputs: usize,
    ones: *const f32,
    vectors: usize,
    sums: *mut f32,
) {
    let lanes = S::F32_LANES;
    let row = vectors * lanes;
    let columns = inputs + 1;
    // SAFETY: as promised; C is at most 4.
    unsafe {
        for (i, i_count) in parts(outputs, C) {
            let delta = delta.add(i * row).cast();
            for (j, j_count) in parts(columns, MOST_ROWS) {
                let h = |q: usize| if j + q < inputs { input.add((j + q) * row).cast() } else { ones.cast() };
                let sums = sums.add((i * columns + j) * lanes).cast();
                by_rows!(j_count, Q => {
                    let h: [*const S::f32s; Q] = std::array::from_fn(h);
                    match i_count {
                        1 => outer_block::<S, 1, Q>(simd, delta, h, vectors, sums, columns),
                        2 => outer_block::<S, 2, Q>(simd, delta, h, vectors, sums, columns),
                        3 => outer_block::<S, 3, Q>(simd, delta, h, vectors, sums, columns),
                        _ => outer_block::<S, 4, Q>(simd, delta, h, vectors, sums, columns),
                    }
                });
            }
        }
    }
}

/// [`outer`] for R rows and Q inputs, each a row at an address of its own.
///
/// # Safety
/// As there.
#[inline(always)]
unsafe fn outer_block<S: Simd, const R: usize, const Q: usize>(
    simd: S,
    delta: *const S::f32s,
    h: [*const S::f32s; Q],
    vectors: usize,
    sums: *mut S::f32s,
    row: usize,
) {
    // SAFETY: as promised.
    unsafe {
        let mut local = [[simd.splat_f32s(0.0); Q]; R];
        for (r, local) in local.iter_mut().enumerate() {
            for (q, local) in local.iter_mut().enumerate() {
                *local = sums.add(r * row + q).read_unaligned();
            }
        }
        for v in 0..vectors {
            let d: [S::f32s; R] = std::array::from_fn(|r| delta.add(r * vectors + v).read_unaligned());
            for q in 0..Q {
                let h = h[q].add(v).read_unaligned();
                for r in 0..R {
                    local[r][q] = simd.mul_add_f32s(d[r], h, local[r][q]);
                }
            }
        }
        for (r, local) in local.iter().enumerate() {
            for (q, local) in local.iter().enumerate() {
                sums.add(r * row + q).write_unaligned(*local);
            }
        }
    }
}
