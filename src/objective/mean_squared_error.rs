//! Mean squared error over some samples: of a narrow network in our kernels, of a wider one by matrix products, of any
//! other model by libtorch's graphs.

use super::autograd::Autograd;
use super::block_curvature::{self, Over};
use super::feedforward::{Layer, Workspace};
use super::hessian::of_mean_squared_error;
use super::input_vjp::AutogradVjp;
use super::loss::Criterion;
use super::{
    Evaluation, FullBatchRequest, FullBatchRun, GraphHessian, HessianMap, InputVjp, Matrix, Objective, Scalar, Sums,
    by_blocks, by_graphs, by_hand, by_rows, float_slices, in_kernels,
};
use crate::backend::cpu::dense::Dense;
use crate::data::{Samples, Target, blocks};
use crate::model::{Layout, Mlp, Model, Pass, Weights};
use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

/// L(θ) = (1/n) Σᵢ ‖f(θ, xᵢ) - yᵢ‖² of a model f over samples with values yᵢ.
///
/// Of a fully connected network everything is feature-major, [features, samples], with an explicit backward pass into
/// buffers made once. θ and ∇L are flat tensors; their layers' views share their memory, so an optimizer that changes θ
/// in place is seen here.
pub struct MeanSquaredError {
    model: Box<dyn Model>,
    layout: Layout,
    weights: Weights,
    samples: Samples,
    gradient: Tensor,
    implementation: Implementation,
    /// For mini-batches, and for models that are no fully connected networks.
    autograd: Autograd,
}

enum Implementation {
    /// Narrow networks in float32 on a CPU.
    Kernel(Dense),
    Products(Products),
    Autograd,
}

/// Beyond so many parameters a matrix library is faster than the kernel.
const MOST_IN_KERNEL: i64 = 8192;

/// A fully connected network, as our own passes know it.
fn as_mlp(model: &dyn Model) -> Option<&Mlp> {
    let network = model.network().filter(|network| network.convolutions().is_empty())?;
    Some(network.head())
}

/// Inputs or targets [n, …] as [numbers, n].
fn columns(rows: &Tensor) -> Tensor {
    rows.flatten(1, -1).tr().contiguous()
}

impl MeanSquaredError {
    /// Of weights as the model's layout has them, whose kind and device the samples take.
    ///
    /// # Errors
    /// Where the samples have no values.
    pub fn new(model: &(impl Model + Clone + 'static), weights: impl Into<Weights>, samples: &Samples) -> Result<Self> {
        let mut new = Self::by_autograd(model, weights.into(), samples)?;
        let Some(mlp) = as_mlp(model) else { return Ok(new) };
        let theta = &new.weights.theta;
        new.implementation = if in_kernels(theta) && new.layout.parameters() <= MOST_IN_KERNEL {
            new.kernel(mlp)?
        } else {
            // Equal tiles, their number a function of the problem alone: the sums' order, and so
            // every bit of the result, depends on nothing else.
            let points = samples.len();
            let most = if theta.device() == Device::Cpu { TILE_FLOATS } else { DEVICE_TILE_FLOATS };
            let tiles = (points * mlp.widths().iter().sum::<i64>() + most - 1) / most;
            new.products(mlp, (points + tiles - 1) / tiles)?
        };
        Ok(new)
    }

    fn by_autograd(model: &(impl Model + Clone + 'static), weights: Weights, samples: &Samples) -> Result<Self> {
        let what = samples.target.what();
        let are_values = matches!(samples.target, Target::Values(_));
        ensure!(are_values, "the mean squared error is for values, and the data has {what}");
        let (layout, samples) = (model.layout(), samples.of_kind(&weights.theta));
        weights.check(&layout)?;
        let autograd =
            Autograd::new(model.clone(), &layout, &weights, Criterion::squared_error(samples.target.outputs()));
        let gradient = weights.theta.zeros_like();
        let (model, implementation) = (Box::new(model.clone()), Implementation::Autograd);
        Ok(Self { model, layout, weights, samples, gradient, implementation, autograd })
    }

    fn kernel(&self, mlp: &Mlp) -> Result<Implementation> {
        let widths: Vec<usize> = mlp.widths().iter().map(|&width| width as usize).collect();
        let [x, y] = [&self.samples.inputs()?, &self.samples.targets].map(columns);
        // SAFETY: this thread does nothing with tensors while the numbers are copied.
        let ([x, y], []) = unsafe { float_slices([&x, &y], []) };
        Ok(Implementation::Kernel(Dense::new(&widths, x, y)))
    }

    fn products(&self, mlp: &Mlp, tile: i64) -> Result<Implementation> {
        let [x, y] = [&self.samples.inputs()?, &self.samples.targets].map(columns);
        Ok(Implementation::Products(Products::new(tile, mlp, [&self.weights.theta, &self.gradient], &x, &y)))
    }
}

impl Objective for MeanSquaredError {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn samples(&self) -> i64 {
        self.samples.len()
    }

    fn gradient(&self) -> &Tensor {
        &self.gradient
    }

    fn loss_and_gradient(&mut self) -> Result<Scalar> {
        let Self { weights, samples, gradient, implementation, autograd, .. } = self;
        let n = samples.len() as f64;
        Ok(match implementation {
            Implementation::Kernel(kernel) => {
                // SAFETY: the kernel knows numbers only; this thread does nothing with tensors meanwhile. That θ is not
                // the gradient is checked.
                let ([theta], [gradient]) = unsafe { float_slices([&weights.theta], [&*gradient]) };
                let sum_of_squares = kernel.sum_of_squares(theta, Some(&mut *gradient));
                let scale = 1.0 / n as f32;
                gradient.iter_mut().for_each(|value| *value *= scale);
                (sum_of_squares / n).into()
            }
            Implementation::Products(products) => {
                let _no_grad = tch::no_grad_guard();
                products.sum_of_squares_and_gradient(2.0 / n) / n
            }
            Implementation::Autograd => {
                let of_block = |x: &Tensor, y: &Tensor| autograd.differentiate(x, y, Pass::Evaluate);
                let loss;
                (loss, *gradient) = by_blocks(samples, autograd.criterion, gradient, of_block)?;
                loss
            }
        })
    }

    /// The gradient stays as it was.
    fn loss(&mut self) -> Result<Scalar> {
        let _no_grad = tch::no_grad_guard();
        let Self { weights, samples, implementation, autograd, .. } = self;
        let sum_of_squares: Scalar = match implementation {
            Implementation::Kernel(kernel) => {
                // SAFETY: as in `loss_and_gradient`.
                let ([theta], []) = unsafe { float_slices([&weights.theta], []) };
                kernel.sum_of_squares(theta, None).into()
            }
            Implementation::Products(products) => products.sum_of_squares(),
            Implementation::Autograd => autograd.sums_over(samples, BLOCK, &mut |_| Ok(()))?.loss.into(),
        };
        Ok(sum_of_squares / samples.len() as f64)
    }

    fn on_card(&self, request: &FullBatchRequest) -> Result<Option<FullBatchRun>> {
        // The kernel's mean is over outputs too.
        let mlp = as_mlp(&*self.model).filter(|_| self.samples.target.outputs() == 1);
        let Some(mlp) = mlp else { return Ok(None) };
        FullBatchRun::new(mlp, &self.weights.theta, &self.samples, request)
    }

    fn batch(&mut self, index: &Tensor) -> Result<Sums> {
        let (x, y) = self.samples.batch(index)?;
        let (gradient, sums) = self.autograd.differentiate(&x, &y, Pass::Train)?;
        // In place: the layers know this one.
        self.gradient.shallow_clone().f_copy_(&gradient)?;
        Ok(sums)
    }

    /// In float64 from outputs in θ's kind, and in blocks: the activations of all samples at once may not fit in memory.
    fn evaluate_and(&mut self, visit: &mut dyn FnMut(&Tensor) -> Result<()>) -> Result<Evaluation> {
        let _no_grad = tch::no_grad_guard();
        let Self { model, weights, samples, autograd, .. } = self;
        let Some(mlp) = as_mlp(&**model) else {
            return autograd.sums_over(samples, BLOCK, visit)?.means();
        };
        let widest = mlp.widths().iter().max().copied().unwrap_or(1);
        let block = (ROOM / widest).clamp(1, EVALUATION_BLOCK);
        let blocks = columns(&samples.inputs()?).f_split(block, 1)?;
        let blocks: Vec<Tensor> = blocks.iter().map(|block| mlp.forward(&weights.theta, block)).collect();
        let outputs = Tensor::f_cat(&blocks, 1)?.f_tr()?;
        visit(&outputs)?;
        let error = outputs.f_to_kind(Kind::Double)?.f_sub(&samples.targets.f_to_kind(Kind::Double)?)?;
        let mean = error.f_square()?.f_mean(Kind::Double)?.f_double_value(&[])?;
        Ok(Evaluation { loss: mean * samples.target.outputs() as f64, accuracy: f64::NAN, counted: samples.len() })
    }

    /// Where it is not the kernels' business, the graph of a fully connected network's Hessian over all samples is kept.
    fn curvature(&self, matrix: Matrix, slots: Option<&[usize]>) -> Result<Box<dyn HessianMap + '_>> {
        let Self { model, layout, weights, samples, autograd, .. } = self;
        let (model, criterion, block) = (&**model, autograd.criterion, block_curvature::BLOCK);
        let over = Over { model, layout, weights, samples, criterion, block };
        let map = by_hand(&over, matrix, slots)?;
        let mlp = as_mlp(model).filter(|_| map.is_none() && matrix == Matrix::Hessian && slots.is_none());
        let Some(mlp) = mlp else { return map.map_or_else(|| by_graphs(&over, matrix, slots), Ok) };
        let [x, y] = [&samples.inputs()?, &samples.targets].map(columns);
        Ok(Box::new(GraphHessian::new(&weights.theta, |theta| {
            (mlp.forward(theta, &x) - y).square().sum(Kind::Double) / samples.len() as f64
        })?))
    }

    fn whole_hessian(&self, observe: &mut dyn FnMut() -> Result<()>) -> Result<Tensor> {
        let Some(mlp) = as_mlp(&*self.model) else { return by_rows(self, observe) };
        let [x, y] = [&self.samples.inputs()?, &self.samples.targets].map(columns);
        of_mean_squared_error(mlp, &self.weights.theta, &x, &y)
    }

    fn by_inputs(&self) -> Result<Box<dyn InputVjp + '_>> {
        Ok(Box::new(AutogradVjp::new(&*self.model, &self.layout, &self.weights)))
    }
}

/// Points at a time in an evaluation, of networks that are not wider than that has room for.
const EVALUATION_BLOCK: i64 = 16_384;
const ROOM: i64 = EVALUATION_BLOCK * 4096;
/// Samples at a time of other models.
const BLOCK: i64 = 1000;

/// Any fully connected network of any kind anywhere: matrix products, in tiles that fit the cache of a CPU, or the memory of a device.
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
    use super::super::tests::{columns, relative, step};
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

    /// With the implementation that is made for it.
    fn with(
        model: &Mlp,
        theta: Tensor,
        [x, y]: [&Tensor; 2],
        make: impl FnOnce(&MeanSquaredError) -> Implementation,
    ) -> MeanSquaredError {
        let mut new = MeanSquaredError::by_autograd(&model.network(), theta.into(), &columns(x, y)).unwrap();
        new.implementation = make(&new);
        new
    }

    fn in_kernel(model: &Mlp, theta: Tensor, x: &Tensor, y: &Tensor) -> MeanSquaredError {
        with(model, theta, [x, y], |new| new.kernel(model).unwrap())
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
                let mut objective = with(&model, theta.copy(), [&x, &y], |new| new.products(&model, tile).unwrap());
                // Twice: the buffers hold the first call's numbers then.
                for _ in 0..2 {
                    let explicit = read(objective.loss_and_gradient().unwrap());
                    assert!((explicit - loss).abs() <= 1e-13 * loss, "{widths} in tiles of {tile}");
                    assert_eq!(read(objective.loss().unwrap()), explicit, "{widths} in tiles of {tile}");
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
            let mut exact = MeanSquaredError::new(&model.network(), theta.copy(), &columns(&x, &y)).unwrap();
            let expected = read(exact.loss_and_gradient().unwrap());
            let [theta, x, y] = [theta, x, y].map(|tensor| tensor.to_kind(Kind::Float));
            let mut kernel = in_kernel(&model, theta, &x, &y);
            let loss = read(kernel.loss_and_gradient().unwrap());
            assert!((loss - expected).abs() < 2e-6 * expected, "{widths}: {loss} against {expected}");
            assert_eq!(read(kernel.loss().unwrap()), loss);
            let error = relative(kernel.gradient(), exact.gradient());
            assert!(error < 2e-5, "{widths}: {error}");
            let alone = kernel.gradient().copy();
            {
                let _core = pieces::lend();
                assert_eq!(read(kernel.loss_and_gradient().unwrap()), loss);
                assert_eq!(*kernel.gradient(), alone, "{widths}");
            }
            on_narrow_vectors(|| {
                let narrow = read(kernel.loss_and_gradient().unwrap());
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
        assert!(read(in_kernel(&model, theta, &x, &y).loss().unwrap()).is_nan());
    }

    #[test]
    fn gradient_is_the_finite_difference_of_the_loss() {
        let (model, theta, x, y) = problem("1-6-5-1", 40);
        let mut objective = MeanSquaredError::new(&model.network(), theta.copy(), &columns(&x, &y)).unwrap();
        objective.loss_and_gradient().unwrap();
        let gradient: Vec<f64> = objective.gradient().try_into().unwrap();
        let base: Vec<f64> = theta.try_into().unwrap();
        let step = 1e-6;
        for (index, expected) in gradient.iter().enumerate() {
            let mut loss_at = |shift: f64| {
                let mut moved = base.clone();
                moved[index] += shift;
                objective.theta().shallow_clone().copy_(&Tensor::from_slice(&moved));
                read(objective.loss_and_gradient().unwrap())
            };
            let difference = (loss_at(step) - loss_at(-step)) / (2.0 * step);
            assert!((difference - expected).abs() < 1e-7, "θ[{index}]: {difference} against {expected}");
        }
    }

    #[test]
    fn large_problems_are_cut_into_equal_tiles() {
        let (model, theta, x, y) = problem("1-30-30-1", 100_000);
        let objective = MeanSquaredError::new(&model.network(), theta, &columns(&x, &y)).unwrap();
        let Implementation::Products(products) = &objective.implementation else { panic!("products") };
        let sizes: Vec<i64> = products.tiles.iter().map(|tile| tile.y.size()[1]).collect();
        assert_eq!(sizes.iter().sum::<i64>(), 100_000);
        assert!(sizes.len() > 5 && sizes.iter().all(|&size| size * 62 <= TILE_FLOATS), "{sizes:?}");
        assert!(sizes[0] - sizes[sizes.len() - 1] < sizes.len() as i64, "{sizes:?}");
    }

    #[test]
    fn a_batch_of_all_is_the_whole_and_an_evaluation_says_so() {
        for widths in ["1-10-20-1", "3-7-2"] {
            let (model, theta, x, y) = problem(widths, 101);
            let (loss, gradient) = by_autograd(&model, &theta, &x, &y);
            for kind in [Kind::Float, Kind::Double] {
                let mut objective =
                    MeanSquaredError::new(&model.network(), theta.to_kind(kind), &columns(&x, &y)).unwrap();
                let found = [step(&mut objective).1, objective.evaluate().unwrap()];
                for found in found {
                    assert!((found.loss - loss).abs() < 1e-5 * loss && found.accuracy.is_nan(), "{found:?}");
                }
                assert!(relative(objective.gradient(), &gradient) < 1e-5);
                // The buffers of the explicit passes are still the gradient's.
                let _ = objective.gradient().shallow_clone().zero_();
                objective.loss_and_gradient().unwrap();
                assert!(relative(objective.gradient(), &gradient) < 1e-5);
            }
        }
    }

    #[test]
    fn the_hessian_by_rows_is_the_closed_form() {
        let (model, theta, x, y) = problem("1-5-4-1", 30);
        let objective = MeanSquaredError::new(&model.network(), theta, &columns(&x, &y)).unwrap();
        assert!(
            relative(&by_rows(&objective, &mut || Ok(())).unwrap(), &objective.whole_hessian(&mut || Ok(())).unwrap())
                < 1e-12
        );
    }
}
