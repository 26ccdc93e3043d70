//! Products with the Hessian (Pearlmutter 1994) and with the generalised Gauss-Newton matrix (Schraudolph 2002; Martens
//! 2020) of a model's mean loss over many samples, of all of θ or of some slices, in blocks. Knows no loss from another.

use super::blocks_like;
use super::hessian_map::{HessianMap, gradients, gradients_with_graph, rows};
use super::loss::Criterion;
use super::second::explained;
use super::side_by_side;
use crate::data::Samples;
use crate::model::{Layout, Model, Pass, Weights};
use anyhow::{Context as _, Result, ensure};
use std::cell::RefCell;
use std::slice::from_ref;
use tch::{Device, Kind, Tensor};

/// Which matrix of second derivatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matrix {
    /// ∇²L.
    Hessian,
    /// G = (1/N) Σᵢ Jᵢᵀ Hᵢ Jᵢ of N samples (or of what else the loss counts), with Jᵢ = ∂zᵢ/∂θ of the outputs zᵢ and Hᵢ the
    /// Hessian of the loss by them: ∇²L without the curvature of the model. Never negative where the loss is convex in z, as
    /// all of ours are; of cross entropies it is the Fisher information (Martens 2020).
    GaussNewton,
}

/// A model's mean loss over all of some samples, at its weights.
pub(super) struct Over<'a> {
    pub model: &'a dyn Model,
    pub layout: &'a Layout,
    pub weights: &'a Weights,
    pub samples: &'a Samples,
    pub criterion: Criterion,
    /// Samples at a time.
    pub block: i64,
}

impl Over<'_> {
    /// [`Criterion::weight`] of all samples.
    ///
    /// # Errors
    /// Where no target counts.
    pub(super) fn total(&self) -> Result<i64> {
        let total = self.criterion.weight(&self.samples.targets)?;
        ensure!(total > 0, "the curvature of a loss needs at least one sample with a target that counts");
        Ok(total)
    }
}

/// The places of slices in a layout that are asked for, or of all.
///
/// # Errors
/// For none, and for such as are not there or come twice.
pub(super) fn asked_for(layout: &Layout, slots: Option<&[usize]>) -> Result<Vec<usize>> {
    let all = layout.slots.len();
    let slots = slots.map_or_else(|| (0..all).collect(), <[usize]>::to_vec);
    ensure!(!slots.is_empty(), "a curvature by no slice of θ: name at least one");
    for (place, index) in slots.iter().enumerate() {
        ensure!(*index < all, "slice {index} of θ, and the model has {all}");
        ensure!(!slots[..place].contains(index), "slice {index} of θ twice: name each once");
    }
    Ok(slots)
}

/// Samples at a time, so that activations of our networks stay in the cache.
pub(super) const BLOCK: i64 = 200;

/// Pieces of work that cores share: blocks of samples, each with sums of its own, fewer where those would be large.
const MOST_PIECES: i64 = 16;
const NUMBERS_OF_SUMS: i64 = 1 << 25;

/// A matrix of an [`Over`].
///
/// A product passes over the samples in blocks: memory is that of one block for each core that shares the work, and one pass
/// serves all rows that are multiplied together; where one block holds all samples, the pass of the first product serves
/// all, and cores share the rows. Sums over blocks are in float64: with float32 products carry a relative error of about
/// 1e-6, so ask Lanczos for no less than 1e-5.
pub(super) struct BlockCurvature<'a> {
    model: &'a dyn Model,
    layout: &'a Layout,
    samples: &'a Samples,
    criterion: Criterion,
    block: i64,
    matrix: Matrix,
    theta: Tensor,
    buffers: Tensor,
    /// The places of the slices that are asked for, and how the vectors are cut: these slices, one after the other.
    asked: Vec<usize>,
    cut: Layout,
    /// [`Criterion::weight`] of all samples.
    total: i64,
    /// What the pass through all samples left, where one block holds them, and its leaves: it serves all products.
    kept: RefCell<Option<(Leaves, Graph)>>,
}

/// θ as the leaves of a graph.
struct Leaves {
    /// θ's slices. One gradient for each is far cheaper than one for θ, padded for every slice.
    slices: Vec<Tensor>,
    /// Those that are asked for.
    asked: Vec<Tensor>,
    buffers: Vec<Tensor>,
}

/// What a block's pass leaves for the products of several vectors.
enum Graph {
    Hessian {
        gradient: Vec<Tensor>,
    },
    GaussNewton {
        outputs: Tensor,
        /// u, in the outputs' shape, and Jᵀu, linear in it: its derivative along v by u is Jv.
        cotangent: Tensor,
        pulled: Vec<Tensor>,
        /// The outputs again, apart from the model, and the loss's gradient by them.
        apart: Tensor,
        slope: Tensor,
    },
}

fn shared(tensors: &[Tensor]) -> Vec<Tensor> {
    tensors.iter().map(Tensor::shallow_clone).collect()
}

impl Graph {
    /// At the leaves, of a block of samples.
    fn new(
        model: &dyn Model,
        (criterion, matrix): (Criterion, Matrix),
        leaves: &Leaves,
        x: &Tensor,
        targets: &Tensor,
    ) -> Result<Self> {
        let outputs = model.outputs(&leaves.slices, &leaves.buffers, x, Pass::Curvature)?;
        Ok(match matrix {
            Matrix::Hessian => {
                let loss = criterion.mean(&outputs, targets)?;
                Self::Hessian { gradient: gradients_with_graph(&loss, &leaves.asked)? }
            }
            Matrix::GaussNewton => {
                let apart = outputs.f_detach()?.f_set_requires_grad(true)?;
                let loss = criterion.mean(&apart, targets)?;
                let slope = gradients_with_graph(&loss, from_ref(&apart))?.remove(0);
                let cotangent = outputs.f_zeros_like()?.f_detach()?.f_set_requires_grad(true)?;
                let pulled = gradients_with_graph(&dot(&outputs, &cotangent)?, &leaves.asked)?;
                Self::GaussNewton { outputs, cotangent, pulled, apart, slope }
            }
        })
    }

    /// Handles of the same graph: several threads may walk it at a time.
    fn share(&self) -> Self {
        match self {
            Self::Hessian { gradient } => Self::Hessian { gradient: shared(gradient) },
            Self::GaussNewton { outputs, cotangent, pulled, apart, slope } => {
                let [outputs, cotangent, apart, slope] = [outputs, cotangent, apart, slope].map(Tensor::shallow_clone);
                Self::GaussNewton { outputs, cotangent, pulled: shared(pulled), apart, slope }
            }
        }
    }

    /// A block's product with a vector that is cut as the leaves that are asked for.
    fn product(&self, asked: &[Tensor], v: &[Tensor]) -> Result<Vec<Tensor>> {
        let along = |parts: &[Tensor]| tch::with_grad(|| dot_all(parts, v));
        match self {
            Self::Hessian { gradient } => gradients(&along(gradient)?, asked),
            Self::GaussNewton { outputs, cotangent, pulled, apart, slope } => {
                let pushed = gradients(&along(pulled)?, from_ref(cotangent))?.remove(0);
                let bent = gradients(&tch::with_grad(|| dot(slope, &pushed))?, from_ref(apart))?.remove(0);
                gradients(&tch::with_grad(|| dot(outputs, &bent))?, asked)
            }
        }
    }
}

/// What a thread needs for its part of some products.
struct Piece {
    leaves: Leaves,
    /// Where it passes over samples: all of them. Where it walks a graph that is there: that.
    through: Through,
    /// Vectors, cut, and sums of products with them [k, p], in float64.
    rows: Vec<Vec<Tensor>>,
    sums: Tensor,
    result: Result<()>,
}

enum Through {
    Samples(Samples),
    Graph(Graph),
}

impl<'a> BlockCurvature<'a> {
    /// Of all of θ, or of the slices at the places `slots` of the layout.
    ///
    /// # Errors
    /// Where no target counts, for slices that are not there, and libtorch's.
    pub(super) fn new(over: &Over<'a>, matrix: Matrix, slots: Option<&[usize]>) -> Result<Self> {
        let Over { model, layout, weights, samples, criterion, block } = *over;
        let total = over.total()?;
        let asked = asked_for(layout, slots)?;
        let mut cut = Layout::default();
        for &index in &asked {
            let slot = &layout.slots[index];
            cut.push(slot.name.clone(), &slot.shape, slot.initial);
        }
        let (theta, buffers) = (weights.theta.f_detach()?.copy(), weights.buffers.copy());
        let kept = RefCell::new(None);
        Ok(Self { model, layout, samples, criterion, block, matrix, theta, buffers, asked, cut, total, kept })
    }

    fn leaves(&self) -> Result<Leaves> {
        let mut slices = self.layout.views(&self.theta);
        let mut asked = Vec::new();
        for &index in &self.asked {
            slices[index] = slices[index].f_detach()?.f_set_requires_grad(true)?;
            asked.push(slices[index].shallow_clone());
        }
        Ok(Leaves { slices, asked, buffers: self.layout.buffer_views(&self.buffers) })
    }

    fn zeros(&self, rows: usize) -> Result<Tensor> {
        Ok(Tensor::f_zeros([rows as i64, self.cut.parameters()], (Kind::Double, self.theta.device()))?)
    }

    /// The products of rows, cut, by passes over blocks of samples, which cores share.
    fn by_blocks(&self, rows: &[Vec<Tensor>], observe: &mut dyn FnMut() -> Result<()>) -> Result<Tensor> {
        let blocks = (self.samples.len() + self.block - 1) / self.block;
        // A device has no second queue.
        let most = if self.theta.device() == Device::Cpu {
            (NUMBERS_OF_SUMS / (rows.len() as i64 * self.cut.parameters()).max(1)).clamp(2, MOST_PIECES)
        } else {
            1
        };
        let piece = |_| {
            let (through, sums) = (Through::Samples(self.samples.share()), self.zeros(rows.len())?);
            let rows = rows.iter().map(|row| shared(row)).collect();
            Ok(Piece { leaves: self.leaves()?, through, rows, sums, result: Ok(()) })
        };
        let count = most.min(blocks);
        let mut pieces: Vec<Piece> = (0..count).map(piece).collect::<Result<_>>()?;
        for first in (0..blocks).step_by(count as usize) {
            self.turn(&mut pieces, first, observe)?;
        }
        let sum = self.zeros(rows.len())?;
        for piece in pieces {
            let _ = sum.shallow_clone().f_add_(&piece.sums)?;
        }
        Ok(sum)
    }

    /// The same by the graph of all samples, whose rows cores share.
    fn by_rows(&self, rows: &[Vec<Tensor>], observe: &mut dyn FnMut() -> Result<()>) -> Result<Tensor> {
        let mut kept = self.kept.borrow_mut();
        let (leaves, graph) = match &mut *kept {
            Some(kept) => kept,
            none => {
                let leaves = self.leaves()?;
                let mut all = blocks_like(self.samples, self.block, Some(&self.theta));
                let (x, targets) = all.next().context("a curvature over no samples")??;
                let ways = (self.criterion, self.matrix);
                let graph = tch::with_grad(|| Graph::new(self.model, ways, &leaves, &x, &targets))?;
                none.insert((leaves, graph))
            }
        };
        let piece = |row: &Vec<Tensor>| {
            let Leaves { slices, asked, buffers } = &*leaves;
            let [slices, asked, buffers] = [slices, asked, buffers].map(|part| shared(part));
            let (through, sums) = (Through::Graph(graph.share()), self.zeros(1)?);
            Ok(Piece {
                leaves: Leaves { slices, asked, buffers },
                through,
                rows: vec![shared(row)],
                sums,
                result: Ok(()),
            })
        };
        let mut pieces: Vec<Piece> = rows.iter().map(piece).collect::<Result<_>>()?;
        self.turn(&mut pieces, 0, observe)?;
        let sums: Vec<Tensor> = pieces.into_iter().map(|piece| piece.sums).collect();
        Ok(Tensor::f_cat(&sums, 0)?)
    }

    /// Each piece adds its part of the products, of the samples that are in the block of its own, counted from the `first`.
    fn turn(&self, pieces: &mut [Piece], first: i64, observe: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let &Self { model, criterion, matrix, block, ref cut, total, .. } = self;
        let add = |index: usize, piece: &mut Piece| -> Result<()> {
            let Piece { leaves, through, rows, sums, .. } = piece;
            let (graph, share) = match through {
                Through::Graph(graph) => (graph.share(), 1.0),
                Through::Samples(samples) => {
                    let start = (first + index as i64) * block;
                    let size = block.min(samples.len() - start);
                    if size <= 0 {
                        return Ok(());
                    }
                    let samples = samples.narrow(start, size);
                    let mut all = blocks_like(&samples, size, leaves.slices.first());
                    let (x, targets) = all.next().context("a block of no samples")??;
                    let weight = criterion.weight(&targets)?;
                    if weight == 0 {
                        return Ok(());
                    }
                    let graph = tch::with_grad(|| Graph::new(model, (criterion, matrix), leaves, &x, &targets))?;
                    (graph, weight as f64 / total as f64)
                }
            };
            for (row, v) in (0..).zip(rows) {
                let product = graph.product(&leaves.asked, v)?;
                for (mut sum, of_block) in cut.views(&sums.f_get(row)?).into_iter().zip(product) {
                    let _ = sum.f_add_(&of_block.f_to_kind(Kind::Double)?.f_mul_scalar(share)?)?;
                }
            }
            Ok(())
        };
        side_by_side(pieces, |index, piece| piece.result = add(index, piece));
        for piece in pieces {
            std::mem::replace(&mut piece.result, Ok(()))?;
        }
        observe()
    }
}

/// Σ ab.
fn dot(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok(a.f_mul(b)?.f_sum(a.kind())?)
}

fn dot_all(parts: &[Tensor], v: &[Tensor]) -> Result<Tensor> {
    let zero = match v.first() {
        Some(v) => Tensor::f_zeros([], (v.kind(), v.device()))?,
        None => Tensor::from(0.0),
    };
    parts.iter().zip(v).try_fold(zero, |sum, (part, v)| Ok(sum.f_add(&dot(part, v)?)?))
}

impl HessianMap for BlockCurvature<'_> {
    fn times(&self, v: &Tensor, observe: &mut dyn FnMut() -> Result<()>) -> Result<Tensor> {
        let (length, of_v) = (self.cut.parameters(), v.size());
        ensure!(of_v.last() == Some(&length), "a vector of shape {of_v:?} for a matrix of {length} columns");
        let rows = rows(&v.f_to_device(self.theta.device())?.f_to_kind(self.theta.kind())?)?;
        let rows: Vec<Vec<Tensor>> = rows.iter().map(|row| self.cut.views(row)).collect();
        let is_whole = self.samples.len() <= self.block;
        let products = if is_whole { self.by_rows(&rows, observe) } else { self.by_blocks(&rows, observe) };
        Ok(products.map_err(explained)?.f_reshape(of_v)?)
    }
}
