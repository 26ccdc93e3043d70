//! Some samples of a network: what a pass through them leaves, and their part of products with several vectors.
//!
//! With R the derivative along a vector v (Pearlmutter 1994), at layers z = W h + b, h' = σ(z), δ = ∂L/∂z:
//!
//! ```text
//! Rz = V h + v_b + W Rh          R∂L/∂W = Rδ hᵀ + δ Rhᵀ
//! Rh' = σ'(z) Rz                 R∂L/∂h = Wᵀ Rδ + Vᵀ δ
//! ```
//!
//! σ'' is 0 everywhere but on kinks. Of the Gauss-Newton matrix the terms with δ are left out.

use super::super::hessian::Points;
use super::super::{Loss, Matrix};
use super::layer::{Layer, before, behind, mask_of};
use crate::data::{IGNORED, Samples, blocks};
use anyhow::Result;
use tch::Tensor;

/// Samples at a time in convolutions.
const SAMPLES_OF_CONVOLUTIONS: i64 = 8;

/// What a tile's samples are.
pub(super) enum Content {
    Samples(Samples),
    /// Of a network of one input: points that stand for several, with what ReLU does at them.
    Condensed(Points),
}

pub(super) struct Tile {
    pub content: Content,
    /// What a pass left, where that is kept.
    pub kept: Option<Pass>,
}

/// What a pass through a tile's samples leaves.
pub(super) struct Pass {
    /// Of the convolutions, a few samples at a time: their patches are nine times their inputs.
    trunk: Vec<Part>,
    /// Of the linear layers.
    head: Part,
    slope: Slope,
}

/// A pass through neighbouring layers.
struct Part {
    samples: i64,
    /// Of each layer: its inputs [in, samples], of a convolution [channels, height · width · samples]; ReLU's and pooling's
    /// derivative behind it, but for the last linear one; ∂L/∂z, of those from the lowest that is asked for up.
    inputs: Vec<Tensor>,
    masks: Vec<Tensor>,
    deltas: Vec<Option<Tensor>>,
}

/// R of what each layer of a part takes; `None` where it stays as it is.
type Changes = Vec<Option<Tensor>>;

/// The second derivative of the loss by the outputs, at some samples.
enum Slope {
    /// 2 w / N of each sample, [1, 1, samples] or a number.
    Squared(Tensor),
    /// p of each class, [classes, 1, samples], and 1 / N.
    Softmax(Tensor, f64),
}

impl Slope {
    /// Times Rz [outputs, k, samples].
    fn times(&self, rz: Tensor) -> Result<Tensor> {
        let mut rz = rz;
        match self {
            Self::Squared(scale) => Ok(rz.f_mul_(scale)?),
            Self::Softmax(p, scale) => {
                let mut product = rz.f_mul_(p)?;
                let sum = product.f_sum_dim_intlist(0, true, product.kind())?;
                Ok(product.f_sub_(&p.f_mul(&sum)?)?.f_mul_scalar_(*scale)?)
            }
        }
    }
}

/// What all tiles have in common.
#[derive(Clone, Copy)]
pub(super) struct Problem {
    pub loss: Loss,
    /// Over how many the mean is.
    pub total: f64,
    pub matrix: Matrix,
    /// The first layer that vectors have a part for, and how many layers are convolutions.
    pub lowest: usize,
    pub convolutions: usize,
}

impl Tile {
    /// Adds this tile's part of the products with each row of `v` [k, p] to `sums` [k, p].
    pub fn add(&mut self, layers: &[Layer], problem: Problem, keep: bool, v: &Tensor, sums: &Tensor) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        if let Some(pass) = &self.kept {
            return pass.add(layers, problem, v, sums);
        }
        let pass = Pass::new(&self.content, layers, problem)?;
        pass.add(layers, problem, v, sums)?;
        self.kept = keep.then_some(pass);
        Ok(())
    }
}

impl Pass {
    fn new(content: &Content, layers: &[Layer], problem: Problem) -> Result<Self> {
        let kind = layers[0].weight.kind();
        let (x, given) = match content {
            Content::Condensed(points) => (points.x.shallow_clone(), Some(&points.masks[..])),
            // A sample a column.
            Content::Samples(samples) => (samples.inputs()?.f_to_kind(kind)?.f_flatten(1, -1)?.f_tr()?, None),
        };
        let (trunk_layers, head_layers) = layers.split_at(problem.convolutions);
        let (mut trunk, mut features) = (Vec::new(), Vec::new());
        if trunk_layers.is_empty() {
            features.push(x);
        } else {
            for (start, samples) in blocks(x.size()[1], SAMPLES_OF_CONVOLUTIONS) {
                let (part, h) = Part::forward(trunk_layers, &x.f_narrow(1, start, samples)?, None)?;
                trunk.push(part);
                features.push(h);
            }
        }
        let (head, outputs) = Part::forward(head_layers, &Tensor::f_cat(&features, 1)?, given)?;
        let (delta, slope) = at_outputs(content, &outputs, problem)?;
        let mut pass = Self { trunk, head, slope };
        // The Gauss-Newton matrix has no part of the gradient.
        if problem.matrix == Matrix::Hessian {
            pass.back(layers, problem, delta)?;
        }
        Ok(pass)
    }

    fn back(&mut self, layers: &[Layer], problem: Problem, delta: Tensor) -> Result<()> {
        let (trunk, head) = layers.split_at(problem.convolutions);
        let lowest = problem.lowest.saturating_sub(trunk.len());
        let goes_on = problem.lowest < trunk.len();
        let Some(features) = self.head.back(head, lowest, delta, goes_on)? else { return Ok(()) };
        let mut start = 0;
        for part in &mut self.trunk {
            let mine = features.f_narrow(1, start, part.samples)?.f_contiguous()?;
            start += part.samples;
            let last = trunk.len() - 1;
            let channels = trunk[last].outputs();
            let delta = before(mine.f_view([channels, 1, -1])?, &part.masks[last], true)?;
            part.back(trunk, problem.lowest, delta.f_squeeze_dim(1)?, false)?;
        }
        Ok(())
    }

    /// As [`Tile::add`].
    fn add(&self, layers: &[Layer], problem: Problem, v: &Tensor, sums: &Tensor) -> Result<()> {
        let (trunk, head) = layers.split_at(problem.convolutions);
        let (k, goes_on) = (v.size()[0], problem.lowest < trunk.len());
        let mut by_part: Vec<Changes> = Vec::new();
        let mut features: Vec<Tensor> = Vec::new();
        if goes_on {
            for part in &self.trunk {
                let (changes, change) = part.change(trunk, v, None)?;
                by_part.push(changes);
                if let Some(change) = change {
                    features.push(swapped(&change, k, part.samples)?);
                }
            }
        }
        let features = if features.is_empty() { None } else { Some(Tensor::f_cat(&features, 2)?) };
        let (changes, Some(outer)) = self.head.change(head, v, features)? else { return Ok(()) };
        let delta = self.slope.times(outer)?;
        let lowest = problem.lowest.saturating_sub(trunk.len());
        let Some(features) = self.head.add(head, (lowest, goes_on), (v, sums), delta, &changes)? else { return Ok(()) };
        let mut start = 0;
        for (part, changes) in self.trunk.iter().zip(&by_part) {
            let mine = features.f_narrow(2, start, part.samples)?;
            start += part.samples;
            let last = trunk.len() - 1;
            let mine = unswapped(&mine, trunk[last].outputs(), k)?;
            let delta = before(mine, &part.masks[last], true)?;
            part.add(trunk, (problem.lowest, false), (v, sums), delta, changes)?;
        }
        Ok(())
    }
}

impl Part {
    /// And the outputs, behind the last mask where there is one. `given` masks are of condensed points.
    fn forward(layers: &[Layer], x: &Tensor, given: Option<&[Tensor]>) -> Result<(Self, Tensor)> {
        let samples = x.size()[1];
        let (mut h, mut inputs, mut masks) = (x.f_contiguous()?, Vec::new(), Vec::new());
        for (index, layer) in layers.iter().enumerate() {
            let seen = layer.seen(&h, 1, samples)?.f_squeeze_dim(1)?;
            inputs.push(h);
            let z = layer.bias.f_addmm(&layer.weight, &seen)?;
            if index + 1 == layers.len() && !layer.is_pooled() {
                h = z;
                break;
            }
            let mask = match given {
                Some(masks) => masks[index].shallow_clone(),
                None => mask_of(&z, layer.is_pooled())?,
            };
            h = behind(z.f_unsqueeze(1)?, &mask, layer.is_pooled())?.f_reshape([-1, samples])?;
            masks.push(mask);
        }
        let deltas = layers.iter().map(|_| None).collect();
        Ok((Self { samples, inputs, masks, deltas }, h))
    }

    /// ∂L/∂z of the layers from the `lowest` up, of that of the last, [out, columns]; and, where wanted, ∂L/∂inputs
    /// [in, samples].
    fn back(&mut self, layers: &[Layer], lowest: usize, delta: Tensor, goes_on: bool) -> Result<Option<Tensor>> {
        let mut delta = delta;
        for (index, layer) in layers.iter().enumerate().skip(lowest).rev() {
            let is_last = index == lowest;
            let seen = if is_last && !goes_on { None } else { Some(layer.weight_transposed.f_mm(&delta)?) };
            self.deltas[index] = Some(delta);
            let Some(seen) = seen else { return Ok(None) };
            let by_inputs = layer.by_inputs(seen.f_unsqueeze(1)?, 1, self.samples)?;
            if is_last {
                return Ok(Some(by_inputs.f_reshape([-1, self.samples])?));
            }
            let below = &layers[index - 1];
            let by_inputs = by_inputs.f_reshape([below.outputs(), 1, -1])?;
            delta = before(by_inputs, &self.masks[index - 1], below.is_pooled())?.f_squeeze_dim(1)?;
        }
        Ok(None)
    }

    /// R of what each layer takes and of the outputs, for R of the inputs, [in, k, samples].
    fn change(&self, layers: &[Layer], v: &Tensor, change: Option<Tensor>) -> Result<(Changes, Option<Tensor>)> {
        let k = v.size()[0];
        let (mut changes, mut change) = (Vec::new(), change);
        for (index, layer) in layers.iter().enumerate() {
            let next = if change.is_none() && !layer.is_asked_for() {
                None
            } else {
                let seen = layer.seen(&self.inputs[index], 1, self.samples)?.f_squeeze_dim(1)?;
                let changed = change.as_ref().map(|change| layer.seen(change, k, self.samples)).transpose()?;
                let z = change_of_z(layer, v, &seen, changed.as_ref())?;
                Some(match self.masks.get(index) {
                    Some(mask) => behind(z, mask, layer.is_pooled())?,
                    None => z,
                })
            };
            changes.push(std::mem::replace(&mut change, next));
        }
        Ok((changes, change))
    }

    /// Adds R∂L/∂θ of the layers from the `lowest` up, for R∂L/∂z of the last, [out, k, columns]; and, where wanted, gives
    /// R∂L/∂inputs, [in, k, samples].
    fn add(
        &self,
        layers: &[Layer],
        (lowest, goes_on): (usize, bool),
        (v, sums): (&Tensor, &Tensor),
        delta: Tensor,
        changes: &Changes,
    ) -> Result<Option<Tensor>> {
        let (k, mut delta) = (v.size()[0], delta);
        for (index, layer) in layers.iter().enumerate().skip(lowest).rev() {
            let own = self.deltas[index].as_ref();
            if layer.is_asked_for() {
                // Laid out again: kept from the way forward, the patches of all parts would not stay near a core.
                let seen = layer.seen(&self.inputs[index], 1, self.samples)?.f_squeeze_dim(1)?;
                let change = changes[index].as_ref().filter(|_| own.is_some());
                let changed = change.map(|change| layer.seen(change, k, self.samples)).transpose()?;
                add_by_parameters(layer, &delta, &seen, own.zip(changed.as_ref()), sums)?;
            }
            if index == lowest && !goes_on {
                return Ok(None);
            }
            let columns = delta.size()[2];
            let flat = delta.f_reshape([layer.outputs(), k * columns])?;
            let below = layer.weight_transposed.f_mm(&flat)?.f_view([-1, k, columns])?;
            if let Some(own) = own {
                add_by_seen(layer, v, own, &below)?;
            }
            let by_inputs = layer.by_inputs(below, k, self.samples)?;
            if index == lowest {
                return Ok(Some(by_inputs));
            }
            delta = before(by_inputs, &self.masks[index - 1], layers[index - 1].is_pooled())?;
        }
        Ok(None)
    }
}

/// δ [outputs, samples] and the loss's slope, of outputs [outputs, samples].
fn at_outputs(content: &Content, outputs: &Tensor, problem: Problem) -> Result<(Tensor, Slope)> {
    let Problem { loss, total, .. } = problem;
    Ok(match content {
        Content::Condensed(points) => {
            let scale = points.weight.f_mul_scalar(2.0 / total)?.f_unsqueeze(1)?;
            (points.residual.f_mul_scalar(2.0 / total)?, Slope::Squared(scale))
        }
        Content::Samples(samples) if loss == Loss::CrossEntropy => {
            let labels = samples.targets.f_unsqueeze(0)?;
            let ignored = labels.f_eq(IGNORED)?;
            let p = outputs.f_softmax(0, outputs.kind())?.f_masked_fill(&ignored, 0.0)?;
            let right = Tensor::f_zeros_like(&p)?.f_scatter_value(0, &labels.f_masked_fill(&ignored, 0)?, 1.0)?;
            let delta = p.f_sub(&right.f_masked_fill(&ignored, 0.0)?)?.f_div_scalar(total)?;
            (delta, Slope::Softmax(p.f_unsqueeze(1)?, 1.0 / total))
        }
        Content::Samples(samples) => {
            let targets = samples.targets.f_to_kind(outputs.kind())?.f_tr()?;
            let scale = Tensor::f_scalar_tensor(2.0 / total, (outputs.kind(), outputs.device()))?;
            (outputs.f_sub(&targets)?.f_mul_scalar(2.0 / total)?, Slope::Squared(scale))
        }
    })
}

/// Rz [out, k, columns], of what a layer sees [in, columns] and R of that.
fn change_of_z(layer: &Layer, v: &Tensor, seen: &Tensor, changed: Option<&Tensor>) -> Result<Tensor> {
    let (k, outputs, columns) = (v.size()[0], layer.outputs(), seen.size()[1]);
    let z = match changed {
        Some(changed) => layer.weight.f_mm(&changed.f_view([-1, k * columns])?)?,
        None if layer.weight_at.is_none() => Tensor::f_zeros([outputs, k * columns], (v.kind(), v.device()))?,
        None => Tensor::f_empty([outputs, k * columns], (v.kind(), v.device()))?,
    };
    let mut z = z.f_view([outputs, k, columns])?;
    if let Some(weights) = layer.weights_of(v)? {
        // V h: of few outputs in one product, for the sake of its speed; else a product each, without a copy of V.
        if layer.is_pooled() {
            let weights = weights.f_transpose(0, 1)?.f_reshape([outputs * k, -1])?;
            add_product(&z.f_view([outputs * k, columns])?, &weights, seen, changed.is_some())?;
        } else {
            for row in 0..k {
                add_product(&z.f_select(1, row)?, &weights.f_select(0, row)?, seen, changed.is_some())?;
            }
        }
    }
    if let Some(bias) = layer.bias_of(v)? {
        z = z.f_add_(&bias.f_unsqueeze(2)?)?;
    }
    Ok(z)
}

/// The product in place of what is there, or added to it.
fn add_product(sum: &Tensor, left: &Tensor, right: &Tensor, is_added: bool) -> Result<()> {
    let mut sum = sum.shallow_clone();
    let _ = if is_added { sum.f_addmm_(left, right)? } else { left.f_mm_out(&sum, right)? };
    Ok(())
}

/// Adds Vᵀ δ to R of the derivatives by what a layer sees, [in, k, columns]; δ is ∂L/∂z [out, columns].
fn add_by_seen(layer: &Layer, v: &Tensor, delta: &Tensor, below: &Tensor) -> Result<()> {
    let Some(weights) = layer.weights_of(v)? else { return Ok(()) };
    if layer.is_pooled() {
        let weights = weights.f_permute([2, 0, 1])?.f_reshape([-1, layer.outputs()])?;
        return add_product(&below.f_view([-1, delta.size()[1]])?, &weights, delta, true);
    }
    for row in 0..weights.size()[0] {
        add_product(&below.f_select(1, row)?, &weights.f_select(0, row)?.f_tr()?, delta, true)?;
    }
    Ok(())
}

/// Adds R∂L/∂W and R∂L/∂b to their parts of `sums` [k, p], of R∂L/∂z [out, k, columns] and what the layer sees [in,
/// columns]; with ∂L/∂z and R of what it sees, where that counts and changes.
fn add_by_parameters(
    layer: &Layer,
    delta_change: &Tensor,
    seen: &Tensor,
    with_gradient: Option<(&Tensor, &Tensor)>,
    sums: &Tensor,
) -> Result<()> {
    let (k, outputs, columns) = (sums.size()[0], layer.outputs(), seen.size()[1]);
    if let Some(mut weights) = layer.weights_of(sums)? {
        // As above: of a convolution all vectors in one product.
        if layer.is_pooled() {
            let part = delta_change.f_reshape([outputs * k, columns])?.f_mm(&seen.f_tr()?)?;
            weights = weights.f_add_(&part.f_view([outputs, k, -1])?.f_transpose(0, 1)?)?;
            if let Some((delta, changed)) = with_gradient {
                let part = delta.f_mm(&changed.f_reshape([-1, columns])?.f_tr()?)?;
                let _ = weights.f_add_(&part.f_view([outputs, -1, k])?.f_permute([2, 0, 1])?)?;
            }
        } else {
            for row in 0..k {
                let sum = weights.f_select(0, row)?;
                add_product(&sum, &delta_change.f_select(1, row)?, &seen.f_tr()?, true)?;
                if let Some((delta, changed)) = with_gradient {
                    add_product(&sum, delta, &changed.f_select(1, row)?.f_tr()?, true)?;
                }
            }
        }
    }
    if let Some(mut sum) = layer.bias_of(sums)? {
        let _ = sum.f_add_(&delta_change.f_sum_dim_intlist(2, false, sums.kind())?)?;
    }
    Ok(())
}

/// [channels, k, places · samples] as [channels · places, k, samples].
fn swapped(planes: &Tensor, k: i64, samples: i64) -> Result<Tensor> {
    let channels = planes.size()[0];
    let by_place = planes.f_view([channels, k, -1, samples])?.f_transpose(1, 2)?;
    Ok(by_place.f_reshape([-1, k, samples])?)
}

/// The other way round.
fn unswapped(features: &Tensor, channels: i64, k: i64) -> Result<Tensor> {
    let samples = features.size()[2];
    let by_vector = features.f_view([channels, -1, k, samples])?.f_transpose(1, 2)?;
    Ok(by_vector.f_reshape([channels, k, -1])?)
}
