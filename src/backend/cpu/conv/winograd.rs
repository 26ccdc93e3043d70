//! Layers behind the first, forward: Winograd's F(2×2, 3×3) (Lavin & Gray 2016, "Fast algorithms for convolutional
//! neural networks"), exact but for rounding.

use super::forward::{Out, most_rows};
use super::pooling::pool;
use super::{Layer, Scratch, TAPS};
use crate::backend::cpu::{MOST_ROWS, by_rows, parts};
use pulp::Simd;

/// Products of a window of 2×2 convolutions by Winograd's algorithm, in place of 36.
const PRODUCTS: usize = 16;

/// G g Gᵀ of each filter g: [`PRODUCTS`] matrices [outputs, inputs], of `weights` [outputs, inputs, 3, 3].
pub(super) fn transform_filters(layer: &Layer, weights: &[f32], filters: &mut Vec<f32>) {
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

/// A layer behind the first: convolution, 2×2 max pooling and ReLU as in [`super::direct::convolve`], with 16 products a window
/// and channel instead of 36 (Winograd's F(2×2, 3×3): Lavin & Gray 2016, "Fast algorithms for convolutional
/// neural networks"): Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A, summed over the channels inside the brackets.
///
/// # Safety
/// `filters` are the layer's, of [`transform_filters`], and `biases` its own; `input` are its input planes, `argmax`
/// and `out` space for its outputs; nobody else uses these meanwhile.
#[inline(always)]
pub(super) unsafe fn winograd<S: Simd>(
    simd: S,
    layer: &Layer,
    filters: &[f32],
    biases: *const f32,
    input: *const S::f32s,
    argmax: *mut S::f32s,
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
                        let (most, offset) = pool(simd, sums, layer.argmax_offsets());
                        argmax.add(((o + r) * half + y) * half + x).write_unaligned(offset);
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
/// From `rows` on there are four rows, `plane` vectors apart, of 2 · windows + 2 vectors; behind `to` there is space for them.
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
