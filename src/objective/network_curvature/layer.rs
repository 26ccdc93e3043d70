//! One layer of a network of our grammar, for several vectors at once: products of matrices, feature-major. A tile is some
//! samples; its columns are they, or of a convolution each with its places.

use super::super::slices;
use crate::backend::cpu::patches::Planes;
use crate::model::Network;
use anyhow::Result;
use std::ops::AddAssign;
use tch::kind::Element;
use tch::{Kind, Tensor};

/// What a layer does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// 3×3 with padding 1, then 2×2 max pooling: input channels and sides.
    Convolution {
        channels: i64,
        height: i64,
        width: i64,
    },
    Linear,
}

/// A layer's own slices of θ, and where in a vector what is multiplied with them stands.
pub(super) struct Layer {
    pub shape: Shape,
    /// [out, in], of a convolution [out, 9 · channels].
    pub weight: Tensor,
    pub weight_transposed: Tensor,
    /// [out, 1].
    pub bias: Tensor,
    /// Where its part of a vector begins; `None` of a slice that is not asked for.
    pub weight_at: Option<i64>,
    pub bias_at: Option<i64>,
}

impl Layer {
    /// All of a network at `theta`, of vectors that are the slices with these places in them.
    pub fn all(network: &Network, theta: &Tensor, places: &[Option<i64>]) -> Vec<Self> {
        use crate::model::Model as _;
        let layout = network.layout();
        let convolutions = network.convolutions().len();
        let mut side = [network.input().get(1), network.input().get(2)].map(|side| side.copied().unwrap_or(1));
        let of_layer = |index: usize| {
            let weight = layout.view(theta, 2 * index).flatten(1, -1);
            let shape = if index < convolutions {
                let (channels, [height, width]) = (weight.size()[1] / 9, side);
                side = side.map(|side| side / 2);
                Shape::Convolution { channels, height, width }
            } else {
                Shape::Linear
            };
            Self {
                shape,
                weight_transposed: weight.tr(),
                weight,
                bias: layout.view(theta, 2 * index + 1).unsqueeze(1),
                weight_at: places[2 * index],
                bias_at: places[2 * index + 1],
            }
        };
        (0..layout.slots.len() / 2).map(of_layer).collect()
    }

    /// Handles of the same memory.
    pub fn share(&self) -> Self {
        let Self { shape, weight_at, bias_at, .. } = *self;
        let [weight, weight_transposed, bias] =
            [&self.weight, &self.weight_transposed, &self.bias].map(Tensor::shallow_clone);
        Self { shape, weight, weight_transposed, bias, weight_at, bias_at }
    }

    pub fn outputs(&self) -> i64 {
        self.weight.size()[0]
    }

    fn inputs(&self) -> i64 {
        self.weight.size()[1]
    }

    /// Whether vectors have a part for it.
    pub fn is_asked_for(&self) -> bool {
        self.weight_at.is_some() || self.bias_at.is_some()
    }

    /// The weights' parts of vectors `v` [k, p], [k, out, in], each as [`Self::weight`] is.
    pub fn weights_of(&self, v: &Tensor) -> Result<Option<Tensor>> {
        let Some(at) = self.weight_at else { return Ok(None) };
        let [outputs, inputs] = [self.outputs(), self.inputs()];
        Ok(Some(v.f_narrow(1, at, outputs * inputs)?.f_view([-1, outputs, inputs])?))
    }

    /// The biases' parts of `v` [k, p], [out, k].
    pub fn bias_of(&self, v: &Tensor) -> Result<Option<Tensor>> {
        let Some(at) = self.bias_at else { return Ok(None) };
        Ok(Some(v.f_narrow(1, at, self.outputs())?.f_tr()?))
    }

    fn planes(&self, vectors: i64, columns: i64) -> Option<Planes> {
        let Shape::Convolution { channels, height, width } = self.shape else { return None };
        let [channels, vectors, height, width, columns] =
            [channels, vectors, height, width, columns].map(|size| size as usize);
        Some(Planes { channels, vectors, height, width, columns })
    }

    /// What the weights are multiplied with, [in, k, columns], of inputs of k vectors: of a convolution its patches, of
    /// [channels, k, height, width, samples].
    pub fn seen(&self, inputs: &Tensor, vectors: i64, samples: i64) -> Result<Tensor> {
        let Some(planes) = self.planes(vectors, samples) else {
            return Ok(inputs.f_reshape([self.inputs(), vectors, samples])?);
        };
        let inputs = inputs.f_contiguous()?;
        let columns = planes.places() as i64 * samples;
        let seen = Tensor::f_empty([self.inputs(), vectors, columns], (inputs.kind(), inputs.device()))?;
        lay(&planes, Lay::AsPatches, &inputs, &seen);
        Ok(seen)
    }

    /// The transpose of [`Self::seen`]: derivatives by the inputs, of those by what is seen.
    pub fn by_inputs(&self, seen: Tensor, vectors: i64, samples: i64) -> Result<Tensor> {
        let Some(planes) = self.planes(vectors, samples) else { return Ok(seen) };
        let Planes { channels, height, width, .. } = planes;
        let shape = [channels as i64, vectors, (height * width) as i64 * samples];
        let inputs = Tensor::f_empty(shape, (seen.kind(), seen.device()))?;
        lay(&planes, Lay::Back, &seen, &inputs);
        Ok(inputs)
    }

    /// Whether it is pooled.
    pub fn is_pooled(&self) -> bool {
        matches!(self.shape, Shape::Convolution { .. })
    }
}

#[derive(Clone, Copy)]
enum Lay {
    AsPatches,
    Back,
}

/// The numbers of planes as patches, or back, into a tensor that nobody else uses, of the same kind.
fn lay(planes: &Planes, lay: Lay, from: &Tensor, to: &Tensor) {
    fn of<T: Element + Copy + Default + AddAssign>(planes: &Planes, lay: Lay, from: &Tensor, to: &Tensor) {
        // SAFETY: one is read alone, nobody else uses the other, and nothing is done with tensors meanwhile.
        let ([from], [to]) = unsafe { slices::<T, 1, 1>([from], [to]) };
        match lay {
            Lay::AsPatches => planes.gather(from, to),
            Lay::Back => planes.scatter(from, to),
        }
    }
    let of = if from.kind() == Kind::Double { of::<f64> } else { of::<f32> };
    of(planes, lay, from, to);
}

/// Where ReLU, and pooling before it, let a derivative through: 1 there, 0 elsewhere, in the shape of z [out, columns]. Of
/// equals in a window the first is taken, and on a kink of ReLU none, as PyTorch has it.
pub(super) fn mask_of(z: &Tensor, is_pooled: bool) -> Result<Tensor> {
    if !is_pooled {
        return Ok(z.f_gt(0.0)?.f_to_kind(z.kind())?);
    }
    // [out, 4, windows · samples].
    let places = z.f_view([z.size()[0], 4, -1])?;
    let most = places.f_amax(1, true)?;
    let mask = places.f_eq_tensor(&most)?;
    let mut taken = mask.f_select(1, 0)?.copy();
    for place in 1..4 {
        let here = mask.f_select(1, place)?;
        let first = here.f_logical_and(&taken.f_logical_not()?)?;
        taken = taken.f_logical_or(&here)?;
        here.shallow_clone().f_copy_(&first)?;
    }
    let mask = mask.f_logical_and(&most.f_gt(0.0)?)?;
    Ok(mask.f_to_kind(z.kind())?.f_view(&z.size()[..])?)
}

/// z [out, k, columns] behind ReLU, and pooling before it, by their derivative at the mask [out, columns]: [out, k, columns],
/// of a pooled layer a quarter of the columns. z is used up.
pub(super) fn behind(z: Tensor, mask: &Tensor, is_pooled: bool) -> Result<Tensor> {
    if !is_pooled {
        let mut z = z;
        return Ok(z.f_mul_(&mask.f_unsqueeze(1)?)?);
    }
    let [outputs, vectors, columns] = [z.size()[0], z.size()[1], z.size()[2]];
    let (z, mask) = (z.f_view([outputs, vectors, 4, columns / 4])?, mask.f_view([outputs, 1, 4, columns / 4])?);
    let at = |place: i64| Ok::<_, anyhow::Error>((z.f_select(2, place)?, mask.f_select(2, place)?));
    let (first, of_first) = at(0)?;
    let mut sum = first.f_mul(&of_first)?;
    for place in 1..4 {
        let (z, mask) = at(place)?;
        sum = sum.f_addcmul_(&z, &mask)?;
    }
    Ok(sum)
}

/// The transpose of [`behind`]: derivatives by z, of those by what is behind it, which are used up.
pub(super) fn before(delta: Tensor, mask: &Tensor, is_pooled: bool) -> Result<Tensor> {
    if !is_pooled {
        return behind(delta, mask, false);
    }
    let [outputs, vectors, columns] = [delta.size()[0], delta.size()[1], delta.size()[2]];
    let mask = mask.f_view([outputs, 1, 4, columns])?;
    let spread = delta.f_unsqueeze(2)?.f_mul(&mask)?;
    Ok(spread.f_view([outputs, vectors, 4 * columns])?)
}
