//! What training minimises, as a function of one flat θ: the loss and its gradient.
//!
//! [`MeanSquaredError`] is the fast way for MLPs on a fixed set of points; the plain way through
//! autograd is its oracle in the tests. [`CrossEntropy`] is for classifiers in mini-batches. Knows
//! models and data, nothing of optimizers.

use crate::data::batches::Samples;
use crate::model::{Classifier, Layout, Mlp};
use tch::{Device, Kind, Tensor};

/// A loss of one flat θ that training can follow.
pub trait Objective {
    /// θ, flat; change it in place.
    fn theta(&self) -> &Tensor;

    /// ∇L, flat, of the last [`Self::loss_and_gradient`].
    fn gradient(&self) -> &Tensor;

    /// L(θ); ∇L is then in [`Self::gradient`].
    fn loss_and_gradient(&mut self) -> f64;
}

/// Mean squared error of an [`Mlp`] over a whole set of points, and its gradient by an explicit
/// backward pass into buffers made once.
///
/// L(θ) = (1/n) Σᵢ ‖f(θ, xᵢ) - yᵢ‖²; everything feature-major, [features, samples]. θ and ∇L are
/// flat tensors; their layers' views are made once and share their memory, so an optimizer that
/// changes θ in place is seen here.
pub struct MeanSquaredError {
    theta: Tensor,
    gradient: Tensor,
    layers: Vec<Layer>,
    rooms: Vec<Room>,
    tiles: Vec<Tile>,
    points: i64,
}

/// Activations of one tile take at most this many numbers, so that they stay in the cache and the
/// memory does not grow with the points. The measured optimum is flat: a factor of two to either
/// side changes little.
const TILE_NUMBERS: i64 = 600_000;

impl MeanSquaredError {
    /// The loss of `model` over `x` [inputs, n] and `y` [outputs, n], for a `theta` laid out as
    /// `model.layout()`. Kind and device are those of the tensors, which must agree.
    #[must_use]
    pub fn new(model: &Mlp, theta: Tensor, x: &Tensor, y: &Tensor) -> Self {
        // Equal tiles, their number a function of the problem alone: the sums' order, and so
        // every bit of the result, depends on nothing else.
        let points = x.size()[1];
        let tiles = (points * model.widths().iter().sum::<i64>() + TILE_NUMBERS - 1) / TILE_NUMBERS;
        let tile = (points + tiles - 1) / tiles;
        Self::with_tiles_of(tile, model, theta, x, y)
    }

    fn with_tiles_of(tile: i64, model: &Mlp, theta: Tensor, x: &Tensor, y: &Tensor) -> Self {
        let gradient = theta.zeros_like();
        let points = x.size()[1];
        // All tiles but the last are equal and take turns in one room.
        let mut rooms = vec![Room::new(model, tile.min(points), &theta)];
        if points % tile != 0 && points > tile {
            rooms.push(Room::new(model, points % tile, &theta));
        }
        let mut tiles = Vec::new();
        let mut start = 0;
        while start < points {
            let samples = tile.min(points - start);
            let room = usize::from(rooms.len() > 1 && samples < tile);
            let x = x.narrow(1, start, samples);
            tiles.push(Tile { x_transposed: x.tr(), x, y: y.narrow(1, start, samples), room });
            start += samples;
        }
        let layers = Layer::all(model, &theta, &gradient);
        Self { theta, gradient, layers, rooms, tiles, points }
    }

    /// L(θ) alone; the gradient stays as it was.
    pub fn loss(&mut self) -> f64 {
        let _no_grad = tch::no_grad_guard();
        let squares = self.tiles.iter().map(|tile| self.rooms[tile.room].forward(tile, &self.layers));
        squares.sum::<f64>() / self.points as f64
    }
}

impl Objective for MeanSquaredError {
    fn theta(&self) -> &Tensor {
        &self.theta
    }

    fn gradient(&self) -> &Tensor {
        &self.gradient
    }

    fn loss_and_gradient(&mut self) -> f64 {
        let _no_grad = tch::no_grad_guard();
        let points = self.points as f64;
        let mut sum_of_squares = 0.0;
        for (index, tile) in self.tiles.iter().enumerate() {
            let room = &mut self.rooms[tile.room];
            sum_of_squares += room.forward(tile, &self.layers);
            room.backward(tile, &mut self.layers, 2.0 / points, index == 0);
        }
        sum_of_squares / points
    }
}

/// Cross entropy of a classifier over mini-batches.
pub struct CrossEntropy {
    model: Classifier,
    layout: Layout,
    theta: Tensor,
    /// θ's slices: leaves of the graph that share its memory. One gradient for each is far cheaper
    /// than one for θ, which would be padded to full length for every slice.
    leaves: Vec<Tensor>,
}

/// Sums over some samples, as tensors on the device: read once an epoch, not once a batch.
pub struct BatchSums {
    /// Sum of the samples' losses.
    pub loss: Tensor,
    /// How many were classified right.
    pub correct: Tensor,
}

/// Means over a set of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    pub loss: f64,
    /// In 0…1.
    pub accuracy: f64,
}

impl CrossEntropy {
    #[must_use]
    pub fn new(model: &Classifier, theta: Tensor) -> Self {
        let layout = model.layout();
        let leaves = layout.views(&theta).iter().map(|view| view.detach().set_requires_grad(true)).collect();
        Self { model: model.clone(), layout, theta, leaves }
    }

    /// θ, flat; change it in place.
    pub fn theta(&self) -> &Tensor {
        &self.theta
    }

    /// The gradient, flat, of the mean cross entropy over a batch `x` [n, 784], `labels` [n]; and
    /// the batch's sums, without a graph.
    pub fn gradient(&self, x: &Tensor, labels: &Tensor) -> (Tensor, BatchSums) {
        let logits = self.model.logits(&self.leaves, x);
        let loss = logits.cross_entropy_for_logits(labels);
        let gradients = Tensor::run_backward(&[&loss], &self.leaves, false, false);
        let _no_grad = tch::no_grad_guard();
        let flat: Vec<Tensor> = gradients.iter().map(|gradient| gradient.reshape(-1)).collect();
        let samples = labels.size()[0] as f64;
        let sums = BatchSums { loss: loss.detach() * samples, correct: correct(&logits, labels) };
        (Tensor::cat(&flat, 0), sums)
    }

    /// Loss and accuracy over all of `samples`.
    ///
    /// In blocks small enough for the cache: 88 ms against 308 ms for 10000 images.
    #[must_use]
    pub fn evaluate(&self, samples: &Samples) -> Accuracy {
        let _no_grad = tch::no_grad_guard();
        let slices = self.layout.views(&self.theta);
        let mut sums = BatchSums::zero(samples.labels.device());
        for_blocks(samples, |x, labels| {
            let logits = self.model.logits(&slices, x);
            let log_p = logits.log_softmax(-1, Kind::Float);
            let loss = -log_p.gather(1, &labels.unsqueeze(1), false).sum(Kind::Double);
            sums.add(BatchSums { loss, correct: correct(&logits, labels) });
        });
        sums.means(samples.len())
    }

    /// Probabilities [n, 10] of each class for all of `samples`.
    pub fn probabilities(&self, samples: &Samples) -> Tensor {
        let _no_grad = tch::no_grad_guard();
        let slices = self.layout.views(&self.theta);
        let mut blocks = Vec::new();
        for_blocks(samples, |x, _| blocks.push(self.model.logits(&slices, x).softmax(-1, Kind::Float)));
        Tensor::cat(&blocks, 0)
    }
}

/// Samples at a time in an evaluation.
const BLOCK: i64 = 100;

fn for_blocks(samples: &Samples, mut visit: impl FnMut(&Tensor, &Tensor)) {
    let n = samples.len();
    let mut start = 0;
    while start < n {
        let size = BLOCK.min(n - start);
        visit(&samples.images.narrow(0, start, size), &samples.labels.narrow(0, start, size));
        start += size;
    }
}

fn correct(logits: &Tensor, labels: &Tensor) -> Tensor {
    logits.argmax(-1, false).eq_tensor(labels).sum(Kind::Int64)
}

impl BatchSums {
    #[must_use]
    pub fn zero(device: Device) -> Self {
        Self { loss: Tensor::zeros([], (Kind::Float, device)), correct: Tensor::zeros([], (Kind::Int64, device)) }
    }

    /// Adds another batch's, on the device.
    pub fn add(&mut self, other: Self) {
        self.loss = &self.loss + other.loss;
        self.correct = &self.correct + other.correct;
    }

    /// The means over `n` samples: waits for the device.
    #[must_use]
    pub fn means(&self, n: i64) -> Accuracy {
        Accuracy {
            loss: self.loss.double_value(&[]) / n as f64,
            accuracy: self.correct.int64_value(&[]) as f64 / n as f64,
        }
    }
}

/// ‖v‖₂, summed in float64.
///
/// # Errors
/// libtorch's.
pub fn norm(v: &Tensor) -> anyhow::Result<f64> {
    Ok(v.f_to_kind(Kind::Double)?.f_norm()?.f_double_value(&[])?)
}

/// Views of one layer's weights and biases, and of their gradients.
struct Layer {
    weight: Tensor,
    weight_transposed: Tensor,
    bias_column: Tensor,
    weight_gradient: Tensor,
    bias_gradient: Tensor,
}

impl Layer {
    fn all(model: &Mlp, theta: &Tensor, gradient: &Tensor) -> Vec<Self> {
        let layout = model.layout();
        (0..layout.slots.len())
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

/// A block of samples.
struct Tile {
    x: Tensor,
    x_transposed: Tensor,
    y: Tensor,
    /// Index of the room it is computed in.
    room: usize,
}

/// Space for all that the two passes over a tile compute.
struct Room {
    /// Output of each layer, [width, samples], after ReLU; of the last, the residual f(x) - y.
    outputs: Vec<Tensor>,
    outputs_transposed: Vec<Tensor>,
    /// ∂L/∂z of each layer, [width, samples], in two buffers by turns.
    deltas: Vec<Tensor>,
}

impl Room {
    /// For tiles of so many samples, of the kind and on the device of `theta`.
    fn new(model: &Mlp, samples: i64, theta: &Tensor) -> Self {
        let space = |width: i64| Tensor::zeros([width, samples], (theta.kind(), theta.device()));
        let widths = &model.widths()[1..];
        let outputs: Vec<Tensor> = widths.iter().map(|&width| space(width)).collect();
        let outputs_transposed = outputs.iter().map(Tensor::tr).collect();
        let widest = widths.iter().copied().max().unwrap_or(1);
        let turns = [space(widest), space(widest)];
        let deltas = widths.iter().enumerate().map(|(layer, &width)| turns[layer % 2].narrow(0, 0, width)).collect();
        Self { outputs, outputs_transposed, deltas }
    }

    /// Fills `outputs`; the sum of squared residuals.
    fn forward(&mut self, tile: &Tile, layers: &[Layer]) -> f64 {
        let last = layers.len() - 1;
        for (index, layer) in layers.iter().enumerate() {
            let (before, here) = self.outputs.split_at_mut(index);
            let (input, output) = (before.last().unwrap_or(&tile.x), &mut here[0]);
            let _ = layer.bias_column.addmm_out(output, &layer.weight, input);
            let _ = if index < last { output.relu_() } else { output.g_sub_(&tile.y) };
        }
        let residual = self.outputs[last].view(-1);
        residual.dot(&residual).double_value(&[])
    }

    /// Adds the tile's share of ∇L, or sets it where the tile is the first one; the derivative
    /// of the loss by the outputs is `scale` · residual.
    fn backward(&mut self, tile: &Tile, layers: &mut [Layer], scale: f64, first: bool) {
        let last = layers.len() - 1;
        self.deltas[last].copy_(&self.outputs[last]);
        let _ = self.deltas[last].g_mul_scalar_(scale);
        for (index, layer) in layers.iter_mut().enumerate().rev() {
            let delta = &self.deltas[index];
            let input_transposed = if index == 0 { &tile.x_transposed } else { &self.outputs_transposed[index - 1] };
            if first {
                let _ = delta.mm_out(&layer.weight_gradient, input_transposed);
                let _ = delta.sum_intlist_out(&layer.bias_gradient, 1, false, None::<Kind>);
            } else {
                let _ = layer.weight_gradient.addmm_(delta, input_transposed);
                let _ = layer.bias_gradient.g_add_(&delta.sum_dim_intlist(1, false, None::<Kind>));
            }
            if index > 0 {
                let below = &self.deltas[index - 1];
                let _ = layer.weight_transposed.mm_out(below, delta);
                // ReLU's derivative, read off its output.
                let _ = self.outputs[index - 1].threshold_backward_grad_input(below, below, 0.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plain way: autograd over [`Mlp::forward`].
    fn by_autograd(model: &Mlp, theta: &Tensor, x: &Tensor, y: &Tensor) -> (f64, Tensor) {
        let theta = theta.copy().set_requires_grad(true);
        let samples = x.size()[1] as f64;
        let loss = (model.forward(&theta, x) - y).square().sum(Kind::Double) / samples;
        let gradient = Tensor::run_backward(&[&loss], &[&theta], false, false).remove(0);
        (loss.double_value(&[]), gradient)
    }

    fn problem(widths: &str, samples: i64) -> (Mlp, Tensor, Tensor, Tensor) {
        let model: Mlp = widths.parse().unwrap();
        let double = (Kind::Double, Device::Cpu);
        let (inputs, outputs) = (model.widths()[0], *model.widths().last().unwrap());
        let x = Tensor::linspace(-2.0, 2.0, inputs * samples, double).view([inputs, samples]);
        let y = Tensor::linspace(0.0, 9.0, outputs * samples, double).view([outputs, samples]).sin();
        let theta = model.layout().initial(5, "objective", Kind::Double, Device::Cpu);
        (model, theta, x, y)
    }

    fn relative(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).norm().double_value(&[]) / b.norm().double_value(&[])
    }

    #[test]
    fn explicit_gradient_is_autograds_for_every_tile() {
        for widths in ["1-1", "1-10-20-20-1", "3-7-2", "1-190-1"] {
            let (model, theta, x, y) = problem(widths, 101);
            let (loss, gradient) = by_autograd(&model, &theta, &x, &y);
            for tile in [1, 7, 50, 101, 1000] {
                let mut objective = MeanSquaredError::with_tiles_of(tile, &model, theta.copy(), &x, &y);
                // Twice: the buffers hold the first call's numbers then.
                for _ in 0..2 {
                    let explicit = objective.loss_and_gradient();
                    assert!((explicit - loss).abs() <= 1e-13 * loss, "{widths} in tiles of {tile}");
                    assert_eq!(objective.loss(), explicit, "{widths} in tiles of {tile}");
                    let error = relative(objective.gradient(), &gradient);
                    assert!(error < 1e-13, "{widths} in tiles of {tile}: {error}");
                }
            }
        }
    }

    #[test]
    fn gradient_is_the_finite_difference_of_the_loss() {
        let (model, theta, x, y) = problem("1-6-5-1", 40);
        let mut objective = MeanSquaredError::new(&model, theta.copy(), &x, &y);
        objective.loss_and_gradient();
        let gradient: Vec<f64> = objective.gradient().try_into().unwrap();
        let base: Vec<f64> = theta.try_into().unwrap();
        let step = 1e-6;
        for (index, expected) in gradient.iter().enumerate() {
            let mut loss_at = |shift: f64| {
                let mut moved = base.clone();
                moved[index] += shift;
                objective.theta.copy_(&Tensor::from_slice(&moved));
                objective.loss_and_gradient()
            };
            let difference = (loss_at(step) - loss_at(-step)) / (2.0 * step);
            assert!((difference - expected).abs() < 1e-7, "θ[{index}]: {difference} against {expected}");
        }
    }

    #[test]
    fn large_problems_are_cut_into_equal_tiles() {
        let (model, theta, x, y) = problem("1-30-30-1", 100_000);
        let objective = MeanSquaredError::new(&model, theta, &x, &y);
        let sizes: Vec<i64> = objective.tiles.iter().map(|tile| tile.y.size()[1]).collect();
        assert_eq!(sizes.iter().sum::<i64>(), 100_000);
        assert!(sizes.len() > 5 && sizes.iter().all(|&size| size * 62 <= TILE_NUMBERS), "{sizes:?}");
        assert!(sizes[0] - sizes[sizes.len() - 1] < sizes.len() as i64, "{sizes:?}");
    }

    #[test]
    fn cross_entropy_is_the_textbooks() {
        let model: Classifier = "784-3-10".parse().unwrap();
        let theta = model.layout().initial(2, "entropy", Kind::Float, Device::Cpu);
        let objective = CrossEntropy::new(&model, theta.copy());
        let x = Tensor::linspace(-1.0, 1.0, 130 * 784, (Kind::Float, Device::Cpu)).cos().view([130, 784]);
        let labels = Tensor::arange(130, (Kind::Int64, Device::Cpu)).remainder(10);
        // -log softmax by hand, in f64, sample by sample.
        let slices = model.layout().views(&theta);
        let logits: Vec<f64> = model.logits(&slices, &x).view(-1).to_kind(Kind::Double).try_into().unwrap();
        let (mut loss, mut right) = (0.0, 0);
        for (sample, logits) in logits.chunks_exact(10).enumerate() {
            let sum: f64 = logits.iter().map(|z| z.exp()).sum();
            loss += sum.ln() - logits[sample % 10];
            right += usize::from(logits.iter().all(|z| *z <= logits[sample % 10]));
        }
        let samples = Samples { images: x.shallow_clone(), labels: labels.shallow_clone() };
        let found = objective.evaluate(&samples);
        assert!((found.loss - loss / 130.0).abs() < 1e-6, "{} against {}", found.loss, loss / 130.0);
        assert_eq!(found.accuracy, right as f64 / 130.0);
        let (gradient, sums) = objective.gradient(&x, &labels);
        assert!((sums.means(130).loss - found.loss).abs() < 1e-6);
        assert_eq!(sums.means(130).accuracy, found.accuracy);
        let p: Vec<f64> = objective.probabilities(&samples).sum(Kind::Double).view(-1).try_into().unwrap();
        assert!((p[0] - 130.0).abs() < 1e-3);
        // The gradient of θ as one leaf.
        let whole = theta.copy().set_requires_grad(true);
        let logits = model.logits(&model.layout().views(&whole), &x);
        let expected = Tensor::run_backward(&[logits.cross_entropy_for_logits(&labels)], &[&whole], false, false);
        assert!(relative(&gradient, &expected[0]) < 1e-6);
    }
}
