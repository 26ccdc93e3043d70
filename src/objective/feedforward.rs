//! The two passes through fully connected layers as matrix products into buffers made once: shared by both
//! objectives. Feature-major: [features, samples].

use crate::backend::cpu::pieces;
use crate::model::{Layout, Mlp};
use tch::{Device, Kind, Tensor};

/// A product of matrices into `out`.
struct Product<'a> {
    out: &'a Tensor,
    left: &'a Tensor,
    right: &'a Tensor,
    plus: Plus<'a>,
}

/// What is added to a product.
enum Plus<'a> {
    Nothing,
    /// What `out` held before.
    Itself,
    /// [rows, 1].
    Column(&'a Tensor),
}

/// Additions and multiplications of a product that is worth two pieces: half a millisecond on one core. Half
/// of that loses as much where there is no second core as it wins where there is one.
const WORTH_TWO: i64 = 40_000_000;
/// Each piece lays out a whole factor anew: more pieces cost one core alone what they win with another.
const MOST_PIECES: i64 = 4;
/// Products of fewer are done before another core has taken one.
const WORTH_ANOTHER_CORE: i64 = 4_000_000;

impl Product<'_> {
    fn run(&self) {
        let _ = match self.plus {
            Plus::Nothing => self.left.mm_out(self.out, self.right),
            Plus::Itself => self.out.shallow_clone().addmm_(self.left, self.right),
            Plus::Column(column) => column.addmm_out(self.out, self.left, self.right),
        };
    }

    /// Additions and multiplications.
    fn work(&self) -> i64 {
        let (left, columns) = (self.left.size(), self.right.size()[1]);
        2 * left[0] * left[1] * columns
    }

    /// Along which dimension of the result it is cut, the longer one, and where its pieces begin and end there.
    fn cuts(&self) -> (i64, Vec<(i64, i64)>) {
        /// As matrix libraries take them.
        const UNIT: i64 = 16;
        let size = self.out.size();
        let dimension = if size[0] >= size[1] { 0 } else { 1 };
        let length = size[dimension as usize];
        let is_worth = self.out.device() == Device::Cpu && self.work() >= WORTH_TWO;
        let count = if is_worth { (2 * self.work() / WORTH_TWO).clamp(2, MOST_PIECES) } else { 1 };
        let units = (length + UNIT - 1) / UNIT;
        let count = count.min(units).max(1);
        let at = |piece: i64| (piece * units / count * UNIT).min(length);
        (dimension, (0..count).map(|piece| (at(piece), at(piece + 1))).collect())
    }

    /// Some of its rows, or columns, as one can take them to another thread.
    fn piece(&self, dimension: i64, (start, end): (i64, i64)) -> Piece {
        let cut = |tensor: &Tensor, here: bool| {
            if here { tensor.narrow(dimension, start, end - start) } else { tensor.shallow_clone() }
        };
        let (out, left, right) = (cut(self.out, true), cut(self.left, dimension == 0), cut(self.right, dimension == 1));
        let (column, itself) = match self.plus {
            Plus::Nothing => (None, false),
            Plus::Itself => (None, true),
            Plus::Column(column) => (Some(cut(column, dimension == 0)), false),
        };
        Piece { out, left, right, column, itself }
    }
}

/// A piece of a product.
struct Piece {
    out: Tensor,
    left: Tensor,
    right: Tensor,
    column: Option<Tensor>,
    itself: bool,
}

impl Piece {
    fn run(&self) {
        let plus = match &self.column {
            Some(column) => Plus::Column(column),
            None if self.itself => Plus::Itself,
            None => Plus::Nothing,
        };
        Product { out: &self.out, left: &self.left, right: &self.right, plus }.run();
    }
}

/// Computes products, none of which needs another, with spare cores where that pays.
fn compute(products: &[Product]) {
    let are_large = products.len() > 1 && products.iter().all(|product| product.work() >= WORTH_ANOTHER_CORE);
    let mut pieces = Vec::new();
    for product in products {
        let (dimension, cuts) = product.cuts();
        if cuts.len() > 1 || (are_large && product.out.device() == Device::Cpu) {
            pieces.extend(cuts.into_iter().map(|cut| product.piece(dimension, cut)));
        } else {
            product.run();
        }
    }
    pieces::for_each(&mut pieces, |_, piece| piece.run());
}

/// Views of one layer's weights and biases, and of their gradients.
pub struct Layer {
    weight: Tensor,
    weight_transposed: Tensor,
    bias_column: Tensor,
    weight_gradient: Tensor,
    bias_gradient: Tensor,
}

impl Layer {
    /// Of the linear layers whose slices begin with number `first` of the layout.
    pub fn all(layout: &Layout, first: usize, theta: &Tensor, gradient: &Tensor) -> Vec<Self> {
        (first..layout.slots.len())
            .step_by(2)
            .map(|slot| Self {
                weight: layout.view(theta, slot),
                weight_transposed: layout.view(theta, slot).tr(),
                bias_column: layout.view(theta, slot + 1).unsqueeze(1),
                weight_gradient: layout.view(gradient, slot),
                bias_gradient: layout.view(gradient, slot + 1),
            })
            .collect()
    }
}

/// Space for all that the two passes over a tile compute.
pub struct Workspace {
    /// Output of each layer, [width, samples], after ReLU; of the last, without.
    pub outputs: Vec<Tensor>,
    outputs_transposed: Vec<Tensor>,
    /// ∂L/∂z of each layer, [width, samples], in two buffers by turns.
    pub deltas: Vec<Tensor>,
}

impl Workspace {
    /// For tiles of so many samples, of the kind and on the device of `theta`.
    pub fn new(model: &Mlp, samples: i64, theta: &Tensor) -> Self {
        let space = |width: i64| Tensor::zeros([width, samples], (theta.kind(), theta.device()));
        let widths = &model.widths()[1..];
        let outputs: Vec<Tensor> = widths.iter().map(|&width| space(width)).collect();
        let outputs_transposed = outputs.iter().map(Tensor::tr).collect();
        let widest = widths.iter().copied().max().unwrap_or(1);
        let turns = [space(widest), space(widest)];
        let deltas = widths.iter().enumerate().map(|(layer, &width)| turns[layer % 2].narrow(0, 0, width)).collect();
        Self { outputs, outputs_transposed, deltas }
    }

    /// Fills `outputs` for the inputs `x` [inputs, samples].
    pub fn forward(&mut self, x: &Tensor, layers: &[Layer]) {
        let last = layers.len() - 1;
        for (index, layer) in layers.iter().enumerate() {
            let (before, here) = self.outputs.split_at_mut(index);
            let (input, output) = (before.last().unwrap_or(x), &mut here[0]);
            compute(&[Product {
                out: output,
                left: &layer.weight,
                right: input,
                plus: Plus::Column(&layer.bias_column),
            }]);
            if index < last {
                let _ = output.relu_();
            }
        }
    }

    /// From the last of `deltas` downwards; adds to ∇L, or sets it where this is the first tile. And ∂L/∂x
    /// [inputs, samples] into `by_input`, where there is one.
    pub fn backward(&mut self, x_transposed: &Tensor, layers: &mut [Layer], first: bool, by_input: Option<&Tensor>) {
        for (index, layer) in layers.iter_mut().enumerate().rev() {
            let delta = &self.deltas[index];
            let input_transposed = if index == 0 { x_transposed } else { &self.outputs_transposed[index - 1] };
            if first {
                let _ = delta.sum_intlist_out(&layer.bias_gradient, 1, false, None::<Kind>);
            } else {
                let _ = layer.bias_gradient.g_add_(&delta.sum_dim_intlist(1, false, None::<Kind>));
            }
            let plus = if first { Plus::Nothing } else { Plus::Itself };
            let by_weight = Product { out: &layer.weight_gradient, left: delta, right: input_transposed, plus };
            let below = if index == 0 { by_input } else { Some(&self.deltas[index - 1]) };
            match below {
                Some(out) => {
                    let left = &layer.weight_transposed;
                    compute(&[by_weight, Product { out, left, right: delta, plus: Plus::Nothing }]);
                }
                None => compute(&[by_weight]),
            }
            self.mask(index);
        }
    }

    /// From the last of `deltas` down to ∂L/∂x [inputs, samples], past the weights.
    pub fn vjp(&mut self, layers: &[Layer], by_input: &Tensor) {
        for (index, layer) in layers.iter().enumerate().rev() {
            let out = if index == 0 { by_input } else { &self.deltas[index - 1] };
            let (left, right) = (&layer.weight_transposed, &self.deltas[index]);
            compute(&[Product { out, left, right, plus: Plus::Nothing }]);
            self.mask(index);
        }
    }

    /// ReLU's derivative below a layer, read off its output.
    fn mask(&self, index: usize) {
        if index > 0 {
            let below = &self.deltas[index - 1];
            let _ = self.outputs[index - 1].threshold_backward_grad_input(below, below, 0.0);
        }
    }
}
