//! Mean squared error of an MLP over a whole set of points.

use super::feedforward::{Layer, Workspace};
use super::{Objective, Scalar, float_slices, in_kernels};
use crate::backend::cpu::dense::Dense;
use crate::data::batches::blocks;
use crate::model::Mlp;
use tch::{Device, Tensor};

/// Mean squared error of an [`Mlp`] over a whole set of points, and its gradient by an explicit
/// backward pass into buffers made once.
///
/// L(θ) = (1/n) Σᵢ ‖f(θ, xᵢ) - yᵢ‖²; everything feature-major, [features, samples]. θ and ∇L are flat tensors; their
/// layers' views are made once and share their memory, so an optimizer that changes θ in place is seen here.
pub struct MeanSquaredError {
    theta: Tensor,
    gradient: Tensor,
    implementation: Implementation,
    points: i64,
}

enum Implementation {
    /// Narrow networks in float32 on a CPU.
    Kernel(Dense),
    Products(Products),
}

/// Beyond so many parameters a matrix library is faster than the kernel.
const MOST_IN_KERNEL: i64 = 8192;

impl MeanSquaredError {
    /// The loss of `model` over `x` [inputs, n] and `y` [outputs, n], for a `theta` laid out as
    /// `model.layout()`. Kind and device are those of the tensors, which must agree.
    pub fn new(model: &Mlp, theta: Tensor, x: &Tensor, y: &Tensor) -> Self {
        if in_kernels(&theta) && model.layout().parameters() <= MOST_IN_KERNEL {
            Self::in_kernel(model, theta, x, y)
        } else {
            Self::by_products(model, theta, x, y)
        }
    }

    fn in_kernel(model: &Mlp, theta: Tensor, x: &Tensor, y: &Tensor) -> Self {
        let widths: Vec<usize> = model.widths().iter().map(|&width| width as usize).collect();
        let (x, y) = (x.contiguous(), y.contiguous());
        // SAFETY: this thread does nothing with tensors while the numbers are copied.
        let ([x_slice, y_slice], []) = unsafe { float_slices([&x, &y], []) };
        let kernel = Dense::new(&widths, x_slice, y_slice);
        Self {
            gradient: theta.zeros_like(),
            theta,
            implementation: Implementation::Kernel(kernel),
            points: x.size()[1],
        }
    }

    fn by_products(model: &Mlp, theta: Tensor, x: &Tensor, y: &Tensor) -> Self {
        // Equal tiles, their number a function of the problem alone: the sums' order, and so
        // every bit of the result, depends on nothing else.
        let points = x.size()[1];
        let most = if theta.device() == Device::Cpu { TILE_FLOATS } else { DEVICE_TILE_FLOATS };
        let tiles = (points * model.widths().iter().sum::<i64>() + most - 1) / most;
        let tile = (points + tiles - 1) / tiles;
        Self::with_tiles_of(tile, model, theta, x, y)
    }

    fn with_tiles_of(tile: i64, model: &Mlp, theta: Tensor, x: &Tensor, y: &Tensor) -> Self {
        let gradient = theta.zeros_like();
        let points = x.size()[1];
        let products = Products::new(tile, model, [&theta, &gradient], x, y);
        Self { theta, gradient, implementation: Implementation::Products(products), points }
    }

    /// L(θ) alone; the gradient stays as it was.
    pub fn loss(&mut self) -> Scalar {
        let _no_grad = tch::no_grad_guard();
        let sum_of_squares: Scalar = match &mut self.implementation {
            Implementation::Kernel(kernel) => {
                // SAFETY: the kernel knows numbers only; this thread does nothing with tensors meanwhile.
                let ([theta], []) = unsafe { float_slices([&self.theta], []) };
                kernel.sum_of_squares(theta, None).into()
            }
            Implementation::Products(products) => products.sum_of_squares(),
        };
        sum_of_squares / self.points as f64
    }
}

impl Objective for MeanSquaredError {
    fn theta(&self) -> &Tensor {
        &self.theta
    }

    fn gradient(&self) -> &Tensor {
        &self.gradient
    }

    fn loss_and_gradient(&mut self) -> Scalar {
        let _no_grad = tch::no_grad_guard();
        let points = self.points as f64;
        match &mut self.implementation {
            Implementation::Kernel(kernel) => {
                // SAFETY: as in `loss`; that θ is not the gradient is checked.
                let ([theta], [gradient]) = unsafe { float_slices([&self.theta], [&self.gradient]) };
                let sum_of_squares = kernel.sum_of_squares(theta, Some(&mut *gradient));
                let scale = 1.0 / points as f32;
                gradient.iter_mut().for_each(|value| *value *= scale);
                (sum_of_squares / points).into()
            }
            Implementation::Products(products) => products.sum_of_squares_and_gradient(2.0 / points) / points,
        }
    }
}

/// Any network of any kind anywhere: matrix products, in tiles that fit the cache of a CPU, or the memory of a device.
struct Products {
    layers: Vec<Layer>,
    workspaces: Vec<Workspace>,
    tiles: Vec<Tile>,
}

/// Activations of one tile take at most this many numbers, so that they stay in the cache and the memory does not
/// grow with the points. The measured optimum is flat: a factor of two to either side changes little.
const TILE_FLOATS: i64 = 600_000;

/// The same on a device, to whose speed large products matter and no cache does: 1 GiB in float32.
const DEVICE_TILE_FLOATS: i64 = 1 << 28;

impl Products {
    fn new(tile: i64, model: &Mlp, [theta, gradient]: [&Tensor; 2], x: &Tensor, y: &Tensor) -> Self {
        let points = x.size()[1];
        // All tiles but the last are equal and take turns in one workspace.
        let mut workspaces = vec![Workspace::new(model, tile.min(points), theta)];
        if points % tile != 0 && points > tile {
            workspaces.push(Workspace::new(model, points % tile, theta));
        }
        let tiles = blocks(points, tile).map(|(start, samples)| {
            let workspace = usize::from(workspaces.len() > 1 && samples < tile);
            let x = x.narrow(1, start, samples);
            Tile { x_transposed: x.tr(), x, y: y.narrow(1, start, samples), workspace }
        });
        let tiles = tiles.collect();
        Self { layers: Layer::all(&model.layout(), 0, theta, gradient), workspaces, tiles }
    }

    fn sum_of_squares(&mut self) -> Scalar {
        let Self { layers, workspaces, tiles } = self;
        sum(tiles.iter().map(|tile| residual(&mut workspaces[tile.workspace], tile, layers)))
    }

    /// ∂L/∂f is `scale` · residual.
    fn sum_of_squares_and_gradient(&mut self, scale: f64) -> Scalar {
        let Self { layers, workspaces, tiles } = self;
        let last = layers.len() - 1;
        sum(tiles.iter().enumerate().map(|(index, tile)| {
            let workspace = &mut workspaces[tile.workspace];
            let sum_of_squares = residual(workspace, tile, layers);
            workspace.deltas[last].copy_(&workspace.outputs[last]);
            let _ = workspace.deltas[last].g_mul_scalar_(scale);
            workspace.backward(&tile.x_transposed, layers, index == 0, None);
            sum_of_squares
        }))
    }
}

/// One after the other: on a device they are added there.
fn sum(scalars: impl Iterator<Item = Scalar>) -> Scalar {
    scalars.reduce(|sum, next| sum + next).unwrap_or(Scalar::Host(0.0))
}

/// The sum of squared residuals, which take the place of the last outputs.
fn residual(workspace: &mut Workspace, tile: &Tile, layers: &[Layer]) -> Scalar {
    workspace.forward(&tile.x, layers);
    let output = &mut workspace.outputs[layers.len() - 1];
    let _ = output.g_sub_(&tile.y);
    let residual = output.view(-1);
    residual.dot(&residual).into()
}

/// A block of samples.
struct Tile {
    x: Tensor,
    x_transposed: Tensor,
    y: Tensor,
    /// Index of the workspace it is computed in.
    workspace: usize,
}

#[cfg(test)]
mod tests {
    use super::super::tests::relative;
    use super::*;
    use tch::Kind;

    fn read(scalar: Scalar) -> f64 {
        scalar.get().unwrap()
    }

    /// The plain implementation: autograd over [`Mlp::forward`].
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

    #[test]
    fn explicit_gradient_is_autograds_for_every_tile() {
        for widths in ["1-1", "1-10-20-20-1", "3-7-2", "1-190-1"] {
            let (model, theta, x, y) = problem(widths, 101);
            let (loss, gradient) = by_autograd(&model, &theta, &x, &y);
            for tile in [1, 7, 50, 101, 1000] {
                let mut objective = MeanSquaredError::with_tiles_of(tile, &model, theta.copy(), &x, &y);
                // Twice: the buffers hold the first call's numbers then.
                for _ in 0..2 {
                    let explicit = read(objective.loss_and_gradient());
                    assert!((explicit - loss).abs() <= 1e-13 * loss, "{widths} in tiles of {tile}");
                    assert_eq!(read(objective.loss()), explicit, "{widths} in tiles of {tile}");
                    let error = relative(objective.gradient(), &gradient);
                    assert!(error < 1e-13, "{widths} in tiles of {tile}: {error}");
                }
            }
        }
    }

    #[test]
    fn the_kernel_gives_the_products_loss_and_gradient_on_any_number_of_cores() {
        use crate::backend::cpu::{on_narrow_vectors, pieces};
        for (widths, points) in [
            ("1-1", 7),
            ("1-10-20-20-1", 1001),
            ("3-7-2", 64),
            ("2-1-3", 300),
            ("1-190-1", 500),
            ("1-5-10-10-10-10-10-5-1", 6000),
            ("1-10-30-30-30-1", 50_000),
        ] {
            let (model, theta, x, y) = problem(widths, points);
            let mut exact = MeanSquaredError::by_products(&model, theta.copy(), &x, &y);
            let expected = read(exact.loss_and_gradient());
            let [theta, x, y] = [theta, x, y].map(|tensor| tensor.to_kind(Kind::Float));
            let mut kernel = MeanSquaredError::in_kernel(&model, theta, &x, &y);
            let loss = read(kernel.loss_and_gradient());
            assert!((loss - expected).abs() < 2e-6 * expected, "{widths}: {loss} against {expected}");
            assert_eq!(read(kernel.loss()), loss);
            let error = relative(kernel.gradient(), exact.gradient());
            assert!(error < 2e-5, "{widths}: {error}");
            let alone = kernel.gradient().copy();
            {
                let _core = pieces::lend();
                assert_eq!(read(kernel.loss_and_gradient()), loss);
                assert_eq!(*kernel.gradient(), alone, "{widths}");
            }
            on_narrow_vectors(|| {
                let narrow = read(kernel.loss_and_gradient());
                assert!((narrow - expected).abs() < 2e-6 * expected, "{widths}: {narrow} against {expected}");
                assert!(relative(kernel.gradient(), exact.gradient()) < 2e-5, "{widths}");
            });
        }
    }

    #[test]
    fn a_kernel_given_nan_gives_nan() {
        let (model, theta, x, y) = problem("1-3-3-1", 100);
        let [theta, x, y] = [theta, x, y].map(|tensor| tensor.to_kind(Kind::Float));
        let _ = theta.get(1).fill_(f64::NAN);
        assert!(read(MeanSquaredError::in_kernel(&model, theta, &x, &y).loss()).is_nan());
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
                read(objective.loss_and_gradient())
            };
            let difference = (loss_at(step) - loss_at(-step)) / (2.0 * step);
            assert!((difference - expected).abs() < 1e-7, "θ[{index}]: {difference} against {expected}");
        }
    }

    #[test]
    fn large_problems_are_cut_into_equal_tiles() {
        let (model, theta, x, y) = problem("1-30-30-1", 100_000);
        let objective = MeanSquaredError::by_products(&model, theta, &x, &y);
        let Implementation::Products(products) = &objective.implementation else { panic!("products") };
        let sizes: Vec<i64> = products.tiles.iter().map(|tile| tile.y.size()[1]).collect();
        assert_eq!(sizes.iter().sum::<i64>(), 100_000);
        assert!(sizes.len() > 5 && sizes.iter().all(|&size| size * 62 <= TILE_FLOATS), "{sizes:?}");
        assert!(sizes[0] - sizes[sizes.len() - 1] < sizes.len() as i64, "{sizes:?}");
    }
}
