//! Products with the Hessian and the Gauss-Newton matrix of a network of our grammar, by hand, on a CPU in float32 or
//! float64: products of matrices for several vectors at once, which share what does not depend on them; tiles of samples on
//! all cores that have nothing else to do. Plain double backward is the oracle in the tests.

mod layer;
#[cfg(test)]
mod tests;
mod tile;

use self::layer::Layer;
use self::tile::{Content, Problem, Tile};
use super::block_curvature::{Over, asked_for};
use super::hessian::Points;
use super::hessian_map::HessianMap;
use super::{Loss, Matrix};
use crate::backend::cpu::{self, pieces};
use crate::data::{Samples, blocks};
use crate::model::{Layout, Network, Weights};
use anyhow::{Result, ensure};
use std::cell::RefCell;
use tch::{Device, Kind, Tensor};

/// Vectors at a time, and how many of their numbers where those are very many.
const ROWS: i64 = 8;
const NUMBERS_OF_ROWS: i64 = 1 << 24;
/// Samples of a tile: so many that its numbers, of all vectors at a time, stay near a core, but enough to fill a product of
/// matrices.
const NUMBERS_OF_TILE: i64 = 1 << 19;
const LEAST_SAMPLES: i64 = 128;
const MOST_SAMPLES: i64 = 1024;
/// Pieces of work, each with sums of its own: as many cores can share a product. Fewer where those sums would be large.
const MOST_PIECES: i64 = 16;
const NUMBERS_OF_SUMS: i64 = 1 << 25;
/// What passes through all samples leave is kept for later products where it is no more than so many numbers.
const MOST_KEPT: i64 = 1 << 25;

/// A matrix of second derivatives of a network's mean loss over some samples, at one θ.
pub(super) struct NetworkCurvature {
    /// Numbers of a vector: of the slices that are asked for, one after the other.
    length: i64,
    kind: Kind,
    problem: Problem,
    keep: bool,
    /// Vectors at a time.
    rows: i64,
    pieces: RefCell<Vec<Piece>>,
}

/// Some of the tiles, and what a thread needs for them.
struct Piece {
    layers: Vec<Layer>,
    tiles: Vec<Tile>,
    /// Vectors [k, p], and sums of products with them.
    v: Tensor,
    sums: Tensor,
    result: Result<()>,
}

impl NetworkCurvature {
    /// Of the slices at the places `slots` of the layout, or of all. `None` where it is not for this: other models, losses
    /// and targets, elsewhere than on a CPU, and where the kernels are not wanted.
    ///
    /// # Errors
    /// For slices that are not there or come twice, and where no target counts.
    pub(super) fn new(over: &Over, matrix: Matrix, slots: Option<&[usize]>) -> Result<Option<Self>> {
        let Over { model, layout, weights: Weights { theta, .. }, samples, criterion, .. } = *over;
        let Some(network) = model.network() else { return Ok(None) };
        let is_known = matches!(criterion.loss, Loss::CrossEntropy | Loss::SquaredError);
        let fits = samples.targets.dim() == if criterion.loss == Loss::CrossEntropy { 1 } else { 2 };
        let on_cpu = theta.device() == Device::Cpu && samples.targets.device() == Device::Cpu;
        if !is_known || !fits || !on_cpu || !cpu::wanted() || !matches!(theta.kind(), Kind::Float | Kind::Double) {
            return Ok(None);
        }
        let total = over.total()?;
        let (places, length) = places(layout, slots)?;
        let theta = theta.f_detach()?.copy();
        let layers = Layer::all(network, &theta, &places);
        let lowest = layers.iter().position(Layer::is_asked_for).unwrap_or(0);
        let (loss, convolutions) = (criterion.loss, network.convolutions().len());
        let problem = Problem { loss, total: total as f64, matrix, lowest, convolutions };

        let numbers_of_sample = network.activations();
        let contents = contents(network, &theta, samples, criterion.loss, numbers_of_sample)?;
        let all: i64 = contents.iter().map(|(_, samples)| samples).sum();
        // The pass keeps inputs, masks and derivatives of each layer.
        let keep = 3 * all * numbers_of_sample <= MOST_KEPT;
        let rows = (NUMBERS_OF_ROWS / length.max(1)).clamp(1, ROWS);
        let most = (NUMBERS_OF_SUMS / (rows * length).max(1)).clamp(2, MOST_PIECES);
        let count = most.min(contents.len() as i64).max(1) as usize;
        let empty = || Tensor::zeros([0], (theta.kind(), Device::Cpu));
        let mut pieces: Vec<Piece> = (0..count)
            .map(|_| Piece {
                layers: layers.iter().map(Layer::share).collect(),
                tiles: Vec::new(),
                v: empty(),
                sums: empty(),
                result: Ok(()),
            })
            .collect();
        for (index, (content, _)) in contents.into_iter().enumerate() {
            pieces[index % count].tiles.push(Tile { content, kept: None });
        }
        let pieces = RefCell::new(pieces);
        Ok(Some(Self { length, kind: theta.kind(), problem, keep, rows, pieces }))
    }

    /// Products with a few rows [k, p], in float64.
    fn products(&self, v: &Tensor, observe: &mut dyn FnMut() -> Result<()>) -> Result<Tensor> {
        let pieces = &mut *self.pieces.borrow_mut();
        for piece in &mut *pieces {
            piece.v = v.shallow_clone();
            piece.sums = Tensor::f_zeros(v.size(), (self.kind, Device::Cpu))?;
        }
        let (problem, keep) = (self.problem, self.keep);
        let turns = pieces.iter().map(|piece| piece.tiles.len()).max().unwrap_or(0);
        for turn in 0..turns {
            pieces::for_each(pieces, |_, piece| {
                let Piece { layers, tiles, v, sums, result } = piece;
                if let Some(tile) = tiles.get_mut(turn) {
                    *result = tile.add(layers, problem, keep, v, sums);
                }
            });
            for piece in &mut *pieces {
                std::mem::replace(&mut piece.result, Ok(()))?;
            }
            observe()?;
        }
        let sum = Tensor::f_zeros(v.size(), (Kind::Double, Device::Cpu))?;
        for piece in pieces {
            let _ = sum.shallow_clone().f_add_(&piece.sums)?;
            piece.sums = Tensor::f_zeros([0], (self.kind, Device::Cpu))?;
        }
        Ok(sum)
    }
}

impl HessianMap for NetworkCurvature {
    fn times(&self, v: &Tensor, observe: &mut dyn FnMut() -> Result<()>) -> Result<Tensor> {
        let (length, of_v) = (self.length, v.size());
        ensure!(of_v.last() == Some(&length), "a vector of shape {of_v:?} for a matrix of {length} columns");
        let _no_grad = tch::no_grad_guard();
        let rows = v.f_to_device(Device::Cpu)?.f_to_kind(self.kind)?.f_reshape([-1, length])?.f_contiguous()?;
        let parts: Vec<Tensor> = blocks(rows.size()[0], self.rows)
            .map(|(start, count)| self.products(&rows.f_narrow(0, start, count)?, observe))
            .collect::<Result<_>>()?;
        Ok(Tensor::f_cat(&parts, 0)?.f_reshape(of_v)?)
    }
}

/// Where in a vector each slice of θ stands, `None` of one that is not asked for, and the vector's length.
fn places(layout: &Layout, slots: Option<&[usize]>) -> Result<(Vec<Option<i64>>, i64)> {
    let (mut places, mut length) = (vec![None; layout.slots.len()], 0);
    for index in asked_for(layout, slots)? {
        places[index] = Some(length);
        length += layout.slots[index].len();
    }
    Ok((places, length))
}

/// The samples in tiles, with how many there are in each.
fn contents(
    network: &Network,
    theta: &Tensor,
    samples: &Samples,
    loss: Loss,
    numbers_of_sample: i64,
) -> Result<Vec<(Content, i64)>> {
    let tile = |samples: i64| {
        let of_cache = (NUMBERS_OF_TILE / (ROWS * numbers_of_sample)).clamp(LEAST_SAMPLES, MOST_SAMPLES);
        of_cache.min(samples / MOST_PIECES).max(LEAST_SAMPLES)
    };
    let are_points = network.convolutions().is_empty() && network.input() == [1] && loss == Loss::SquaredError;
    if are_points {
        let _no_grad = tch::no_grad_guard();
        let rows = samples.of_kind(theta);
        let [x, y] = [&rows.inputs()?, &rows.targets].map(|rows| rows.flatten(1, -1).tr().contiguous());
        let points = Points::condensed_of(network.head(), theta, &x, &y)?;
        let n = points.x.size()[1];
        return Ok(equal_blocks(n, tile(n))
            .map(|(start, size)| (Content::Condensed(points.narrow(start, size)), size))
            .collect());
    }
    let n = samples.len();
    let content = |(start, size)| (Content::Samples(samples.narrow(start, size)), size);
    Ok(equal_blocks(n, tile(n)).map(content).collect())
}

/// Blocks of all but equal sizes, as near to `size` as they can be and no larger than one and a half times that.
fn equal_blocks(n: i64, size: i64) -> impl Iterator<Item = (i64, i64)> {
    let count = ((n + size / 2) / size).max(1);
    (0..count).map(move |block| {
        let (start, end) = (block * n / count, (block + 1) * n / count);
        (start, end - start)
    })
}
