//! Products with the Hessian (Pearlmutter 1994) and with the generalised Gauss-Newton matrix (Schraudolph 2002; Martens
//! 2020) of a model's mean loss over many samples, of all of θ or of some slices, in blocks. Knows no loss from another.

use super::blocks_like;
use super::hessian_map::{HessianMap, gradients, gradients_with_graph, rows};
use super::loss::Criterion;
use super::second::explained;
use crate::data::Samples;
use crate::model::{Layout, Model, Pass, Weights};
use anyhow::{Result, ensure};
use std::cell::RefCell;
use std::rc::Rc;
use std::slice::from_ref;
use tch::{Kind, Tensor};

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

/// A matrix of an [`Over`].
///
/// A product passes over the samples in blocks: its memory is that of one block, and one pass serves all rows that are
/// multiplied together; where one block holds all samples, the pass of the first product serves all. Sums over blocks are in float64: with float32 products carry a relative error of about 1e-6, so
/// ask Lanczos for no less than 1e-5.
pub(super) struct BlockCurvature<'a> {
    model: &'a dyn Model,
    samples: &'a Samples,
    criterion: Criterion,
    block: i64,
    matrix: Matrix,
    /// How the vectors are cut: the slices that are asked for, one after the other.
    cut: Layout,
    /// θ's slices. One gradient for each is far cheaper than one for θ, padded for every slice.
    slices: Vec<Tensor>,
    /// Those that are asked for: the leaves of the graphs.
    leaves: Vec<Tensor>,
    buffers: Vec<Tensor>,
    /// [`Criterion::weight`] of all samples.
    total: i64,
    /// What the pass through all samples left, where one block holds them: it serves all products.
    kept: RefCell<Option<Rc<Graph>>>,
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

impl<'a> BlockCurvature<'a> {
    /// Of all of θ, or of the slices at the places `slots` of the layout.
    ///
    /// # Errors
    /// Where no target counts, for slices that are not there, and libtorch's.
    pub(super) fn new(over: &Over<'a>, matrix: Matrix, slots: Option<&[usize]>) -> Result<Self> {
        let Over { model, layout, weights, samples, criterion, block } = *over;
        let total = over.total()?;
        let theta = weights.theta.f_detach()?.copy();
        let mut slices = layout.views(&theta);
        let (mut cut, mut leaves) = (Layout::default(), Vec::new());
        for index in asked_for(layout, slots)? {
            let slot = &layout.slots[index];
            cut.push(slot.name.clone(), &slot.shape, slot.initial);
            slices[index] = slices[index].f_detach()?.f_set_requires_grad(true)?;
            leaves.push(slices[index].shallow_clone());
        }
        let buffers = layout.buffer_views(&weights.buffers.copy());
        Ok(Self {
            model,
            samples,
            criterion,
            block,
            matrix,
            cut,
            slices,
            leaves,
            buffers,
            total,
            kept: RefCell::new(None),
        })
    }

    fn graph(&self, x: &Tensor, targets: &Tensor) -> Result<Graph> {
        let outputs = self.model.outputs(&self.slices, &self.buffers, x, Pass::Curvature)?;
        Ok(match self.matrix {
            Matrix::Hessian => {
                let loss = self.criterion.mean(&outputs, targets)?;
                Graph::Hessian { gradient: gradients_with_graph(&loss, &self.leaves)? }
            }
            Matrix::GaussNewton => {
                let apart = outputs.f_detach()?.f_set_requires_grad(true)?;
                let loss = self.criterion.mean(&apart, targets)?;
                let slope = gradients_with_graph(&loss, from_ref(&apart))?.remove(0);
                let cotangent = outputs.f_zeros_like()?.f_detach()?.f_set_requires_grad(true)?;
                let pulled = gradients_with_graph(&dot(&outputs, &cotangent)?, &self.leaves)?;
                Graph::GaussNewton { outputs, cotangent, pulled, apart, slope }
            }
        })
    }

    /// A block's graph; of the only block the one of before.
    fn graph_of(&self, x: &Tensor, targets: &Tensor) -> Result<Rc<Graph>> {
        if let Some(graph) = &*self.kept.borrow() {
            return Ok(graph.clone());
        }
        let graph = Rc::new(tch::with_grad(|| self.graph(x, targets))?);
        if self.samples.len() <= self.block {
            *self.kept.borrow_mut() = Some(graph.clone());
        }
        Ok(graph)
    }

    /// A block's product with a vector that is cut.
    fn product(&self, graph: &Graph, v: &[Tensor]) -> Result<Vec<Tensor>> {
        let along = |parts: &[Tensor]| tch::with_grad(|| dot_all(parts, v));
        match graph {
            Graph::Hessian { gradient } => gradients(&along(gradient)?, &self.leaves),
            Graph::GaussNewton { outputs, cotangent, pulled, apart, slope } => {
                let pushed = gradients(&along(pulled)?, from_ref(cotangent))?.remove(0);
                let bent = gradients(&tch::with_grad(|| dot(slope, &pushed))?, from_ref(apart))?.remove(0);
                gradients(&tch::with_grad(|| dot(outputs, &bent))?, &self.leaves)
            }
        }
    }

    fn products(&self, v: &Tensor, observe: &mut dyn FnMut() -> Result<()>) -> Result<Tensor> {
        let (length, of_v) = (self.cut.parameters(), v.size());
        ensure!(of_v.last() == Some(&length), "a vector of shape {of_v:?} for a matrix of {length} columns");
        let (kind, device) = (self.slices[0].kind(), self.slices[0].device());
        let rows = rows(&v.f_to_device(device)?.f_to_kind(kind)?)?;
        let rows: Vec<Vec<Tensor>> = rows.iter().map(|row| self.cut.views(row)).collect();
        let sum = Tensor::f_zeros([rows.len() as i64, length], (Kind::Double, device))?;
        for block in blocks_like(self.samples, self.block, Some(&self.slices[0])) {
            let (x, targets) = block?;
            let weight = self.criterion.weight(&targets)?;
            if weight == 0 {
                continue;
            }
            let share = weight as f64 / self.total as f64;
            let graph = self.graph_of(&x, &targets)?;
            for (index, v) in (0..).zip(&rows) {
                let product = self.product(&graph, v)?;
                for (mut sum, of_block) in self.cut.views(&sum.f_get(index)?).into_iter().zip(product) {
                    let _ = sum.f_add_(&of_block.f_to_kind(Kind::Double)?.f_mul_scalar(share)?)?;
                }
                observe()?;
            }
        }
        Ok(sum.f_reshape(v.size())?)
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
        self.products(v, observe).map_err(explained)
    }
}
