//! What training minimises, as a function of one flat θ. The seam: an [`Objective`] is the loss of a model, on samples,
//! at a θ, with its value, its derivatives and its evaluation; it alone chooses what computes them.
//!
//! [`MeanSquaredError`] is for values, [`CrossEntropy`] for classes: [`over`] takes the one that fits. [`under`] is for any
//! model under any [`Loss`], and to be looked at more than trained. In float32 on a CPU both run in
//! [`crate::backend::cpu`] where that knows the network and is faster; what it declines, and everything elsewhere, is
//! libtorch's. Plain autograd is the oracle of all of it in the tests. Knows models and data, nothing of optimizers.
//! Errors of which nothing is said are libtorch's.

mod autograd;
mod block_curvature;
mod cross_entropy;
#[cfg(test)]
mod curvature_tests;
mod explicit;
mod feedforward;
mod floats;
mod general;
mod hessian;
mod hessian_map;
mod input_vjp;
mod loss;
mod mean_squared_error;
mod network_curvature;
mod on_card;
mod scalar;
mod second;

pub use block_curvature::Matrix;
pub use cross_entropy::CrossEntropy;
pub(crate) use floats::float_slices;
use floats::slices;
pub use general::under;
pub use hessian::by_double_backward;
pub use hessian_map::{GraphHessian, HessianMap};
pub use input_vjp::InputVjp;
pub use loss::Loss;
pub use mean_squared_error::MeanSquaredError;
pub use on_card::{FullBatchRequest, FullBatchRun, MiniBatchRequest, MiniBatchRun, adam_on_card, has_card};
pub use scalar::{Scalar, read_all};
pub use second::NoSecondDerivative;

/// Work on whole objectives, a piece each, on the calling thread and on cores that have no trial to run: no result depends
/// on who computed it. libtorch runs on one thread in each.
pub use crate::backend::cpu::pieces::for_each as side_by_side;

use block_curvature::{BlockCurvature, Over};
use loss::Criterion;
use network_curvature::NetworkCurvature;

use crate::backend::cpu;
use crate::data::{Samples, Target};
use crate::model::{Layout, Model, Weights};
use anyhow::{Result, bail};
use tch::{Device, Kind, Tensor};

/// The mean loss of a model over some samples, as a function of θ.
///
/// What trains it in full batches needs the first five; an objective may decline the others.
pub trait Objective {
    /// How θ is cut.
    fn layout(&self) -> &Layout;

    /// θ, and the buffers beside it; change them in place.
    fn weights(&self) -> &Weights;

    /// How many samples the loss is over.
    fn samples(&self) -> i64;

    /// ∇L, flat, [P], of the last [`Self::loss_and_gradient`] or [`Self::batch`]; an optimizer may use it up.
    fn gradient(&self) -> &Tensor;

    /// L(θ) over all samples, by the buffers as they are; ∇L is then in [`Self::gradient`].
    fn loss_and_gradient(&mut self) -> Result<Scalar>;

    /// [`Self::loss_and_gradient`], which may take long: `observe` is called now and then.
    ///
    /// # Errors
    /// Those of `observe`, after which the gradient is anything.
    fn gradient_and(&mut self, observe: &mut dyn FnMut() -> Result<()>) -> Result<Scalar> {
        observe()?;
        self.loss_and_gradient()
    }

    /// θ, flat, [P]; change it in place.
    fn theta(&self) -> &Tensor {
        &self.weights().theta
    }

    /// Goes on from the numbers of other weights.
    ///
    /// # Errors
    /// Where they are those of another model.
    fn move_to(&mut self, weights: &Weights) -> Result<()> {
        self.weights().copy_from(weights)
    }

    /// L(θ) over all samples; the gradient may change.
    fn loss(&mut self) -> Result<Scalar> {
        self.loss_and_gradient()
    }

    /// A full-batch training that a card runs by itself; `None` where it declines, and libtorch or the CPU takes the steps.
    ///
    /// # Errors
    /// The card's.
    fn on_card(&self, _request: &FullBatchRequest) -> Result<Option<FullBatchRun>> {
        Ok(None)
    }

    /// A training in mini-batches that a card runs by itself; `None` where it declines.
    ///
    /// # Errors
    /// The card's.
    fn mini_batches_on_card(&self, _request: &MiniBatchRequest) -> Result<Option<MiniBatchRun>> {
        Ok(None)
    }

    /// A step's part of a training in mini-batches: the loss over the samples at `index` [b], in int64, whose gradient is
    /// then in [`Self::gradient`].
    fn batch(&mut self, _index: &Tensor) -> Result<Sums> {
        bail!("this loss has no mini-batches: train it on all samples at once")
    }

    /// Loss and accuracy over all samples, while `visit` sees the outputs [b, …] of blocks of them, such as [b, classes] or
    /// [b, values], in order; they change after it returns. Its error ends the evaluation.
    fn evaluate_and(&mut self, _visit: &mut dyn FnMut(&Tensor) -> Result<()>) -> Result<Evaluation> {
        Ok(Evaluation { loss: self.loss()?.get()?, accuracy: f64::NAN, counted: self.samples() })
    }

    /// Loss and accuracy over all samples.
    fn evaluate(&mut self) -> Result<Evaluation> {
        self.evaluate_and(&mut |_| Ok(()))
    }

    /// A matrix of second derivatives at this θ as a map, wherever θ goes meanwhile: of all of θ, or of the slices at these
    /// places of the layout, one after the other, which gives that block of the whole matrix at the price of those slices.
    ///
    /// # Errors
    /// Where the loss declines, and for slices that are not there.
    fn curvature(&self, matrix: Matrix, _slots: Option<&[usize]>) -> Result<Box<dyn HessianMap + '_>> {
        let matrix = match matrix {
            Matrix::Hessian => "Hessian",
            Matrix::GaussNewton => "Gauss-Newton matrix",
        };
        bail!("this loss has no products with its {matrix}: leave out what needs its curvature")
    }

    /// ∇²L at this θ as a map, wherever θ goes meanwhile.
    fn hessian(&self) -> Result<Box<dyn HessianMap + '_>> {
        self.curvature(Matrix::Hessian, None)
    }

    /// The generalised Gauss-Newton matrix, [`Matrix::GaussNewton`], in the same way.
    fn gauss_newton(&self) -> Result<Box<dyn HessianMap + '_>> {
        self.curvature(Matrix::GaussNewton, None)
    }

    /// ∇²L at this θ, [P, P], in its kind.
    ///
    /// # Errors
    /// Those of `observe`, which is called now and then.
    fn whole_hessian(&self, observe: &mut dyn FnMut() -> Result<()>) -> Result<Tensor> {
        by_rows(self, observe)
    }

    /// The derivative of outputs by inputs, at this θ, as a map.
    fn by_inputs(&self) -> Result<Box<dyn InputVjp + '_>> {
        bail!("this loss has no derivative by its inputs: leave out sensitivity")
    }
}

/// A matrix of second derivatives as a map.
type Map<'a> = Box<dyn HessianMap + 'a>;

/// By our own passes; `None` where these are not for it.
fn by_hand<'a>(over: &Over<'a>, matrix: Matrix, slots: Option<&[usize]>) -> Result<Option<Map<'a>>> {
    Ok(NetworkCurvature::new(over, matrix, slots)?.map(|map| Box::new(map) as Map))
}

/// By libtorch's graphs, of any model.
fn by_graphs<'a>(over: &Over<'a>, matrix: Matrix, slots: Option<&[usize]>) -> Result<Map<'a>> {
    Ok(Box::new(BlockCurvature::new(over, matrix, slots)?))
}

/// The whole Hessian from its products with the rows of a basis.
fn by_rows(objective: &(impl Objective + ?Sized), observe: &mut dyn FnMut() -> Result<()>) -> Result<Tensor> {
    /// A pass forward serves them all.
    const ROWS_AT_ONCE: i64 = 32;
    let (map, theta) = (objective.hessian()?, objective.theta());
    let basis = Tensor::f_eye(objective.layout().parameters(), (Kind::Double, theta.device()))?;
    let rows = basis.f_split(ROWS_AT_ONCE, 0)?;
    let products: Vec<Tensor> = rows.iter().map(|rows| map.times(rows, observe)).collect::<Result<_>>()?;
    Ok(Tensor::f_cat(&products, 0)?.f_to_kind(theta.kind())?)
}

/// Samples at a time in a gradient over all: activations of more would take much memory.
pub const GRADIENT_BLOCK: i64 = 1000;

/// Inputs and targets of blocks, on the device and in the kind of `like` where they are real.
fn blocks_like<'a>(
    samples: &'a Samples,
    size: i64,
    like: Option<&'a Tensor>,
) -> impl Iterator<Item = Result<(Tensor, Tensor)>> + 'a {
    samples.blocks(size).map(move |block| {
        let (x, targets) = block?;
        let Some(like) = like else { return Ok((x, targets)) };
        let there = |tensor: Tensor| -> Result<Tensor> {
            let tensor = tensor.f_to_device(like.device())?;
            let is_real = matches!(tensor.kind(), Kind::Float | Kind::Double);
            Ok(if is_real { tensor.f_to_kind(like.kind())? } else { tensor })
        };
        Ok((there(x)?, there(targets)?))
    })
}

/// The mean loss over all samples and its gradient, in the shape of `like`: the weighted mean of blocks' ones, which
/// `of_block` gives with their sums.
fn by_blocks(
    samples: &Samples,
    criterion: Criterion,
    like: &Tensor,
    mut of_block: impl FnMut(&Tensor, &Tensor) -> Result<(Tensor, Sums)>,
) -> Result<(Scalar, Tensor)> {
    let n = criterion.weight(&samples.targets)? as f64;
    let (mut losses, mut gradient) = (Vec::new(), like.f_zeros_like()?);
    for block in samples.blocks(GRADIENT_BLOCK) {
        let (x, targets) = block?;
        let (of_block, sums) = of_block(&x, &targets)?;
        gradient = gradient.f_add(&of_block.f_mul_scalar(sums.counted as f64 / n)?)?;
        losses.push(Scalar::from(sums.loss));
    }
    // One after the other, in float64, wherever they are.
    Ok((losses.into_iter().fold(Scalar::Host(0.0), |sum, loss| sum + loss / n), gradient))
}

/// The objective of a model on such samples: [`CrossEntropy`] of classes, [`MeanSquaredError`] of values.
///
/// # Errors
/// Of classes by place, which no network here learns.
pub fn over(
    model: &(impl Model + Clone + 'static),
    weights: impl Into<Weights>,
    samples: &Samples,
) -> Result<Box<dyn Objective>> {
    Ok(match samples.target {
        Target::Classes(_) => Box::new(CrossEntropy::new(model, weights, samples)?),
        Target::Values(_) => Box::new(MeanSquaredError::new(model, weights, samples)?),
        Target::ClassesByPlace(_) => bail!("no network here learns {}", samples.target.what()),
    })
}

/// The objectives of a model over the samples it trains on and over those it is tested on, at one θ: they share their
/// weights.
pub struct Splits {
    pub train: Box<dyn Objective>,
    pub test: Box<dyn Objective>,
}

impl Splits {
    pub fn new(model: &(impl Model + Clone + 'static), weights: Weights, [train, test]: [&Samples; 2]) -> Result<Self> {
        Ok(Self { train: over(model, weights.share(), train)?, test: over(model, weights, test)? })
    }

    /// Their θ, and buffers.
    pub fn weights(&self) -> &Weights {
        self.train.weights()
    }

    /// As [`Objective::move_to`].
    pub fn move_to(&mut self, weights: &Weights) -> Result<()> {
        self.train.move_to(weights)?;
        self.test.move_to(weights)
    }
}

/// Sums over some samples, as tensors on the device: read once an epoch, not once a batch.
pub struct Sums {
    /// Sum of the samples' losses.
    pub loss: Tensor,
    /// How many were classified right; `None` of values.
    pub correct: Option<Tensor>,
    /// Over how many the means are: samples, or targets that count, see [`Loss::counted`].
    pub counted: i64,
}

impl Sums {
    pub fn zero(device: Device) -> Self {
        Self { loss: Tensor::zeros([], (Kind::Float, device)), correct: None, counted: 0 }
    }

    /// Adds another batch's, on the device.
    pub fn add(&mut self, other: Self) {
        self.loss = &self.loss + other.loss;
        self.correct = match (self.correct.take(), other.correct) {
            (Some(own), Some(other)) => Some(own + other),
            (own, other) => own.or(other),
        };
        self.counted += other.counted;
    }

    /// The means over what counts; NaN over nothing. Waits for the device.
    pub fn means(self) -> Result<Evaluation> {
        let n = self.counted;
        let correct = self.correct.map_or(Scalar::Host(f64::NAN), Scalar::from);
        let means = read_all(&[Scalar::from(self.loss) / n as f64, correct / n as f64])?;
        Ok(Evaluation { loss: means[0], accuracy: means[1], counted: n })
    }
}

/// Means over a set of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    pub loss: f64,
    /// Share of what counts that is classified right, 0…1; NaN where there are no classes.
    pub accuracy: f64,
    /// How many they are over: samples, or targets that count.
    pub counted: i64,
}

impl Evaluation {
    /// The accuracy; NaN where the loss is no number: outputs that are none rank no classes, and theirs would be that of
    /// class 0.
    pub fn known_accuracy(&self) -> f64 {
        if self.loss.is_finite() { self.accuracy } else { f64::NAN }
    }
}

/// ‖v‖₂, summed in float64.
pub fn norm(v: &Tensor) -> Result<Scalar> {
    Ok(v.f_to_kind(Kind::Double)?.f_norm()?.into())
}

/// Whether tensors like this one are the kernels' business.
pub(crate) fn in_kernels(theta: &Tensor) -> bool {
    theta.device() == Device::Cpu && theta.kind() == Kind::Float && cpu::wanted()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::data::Signature;
    use crate::model::{Initial, Network};

    pub fn relative(a: &Tensor, b: &Tensor) -> f64 {
        let (a, b) = (a.to_kind(Kind::Double), b.to_kind(Kind::Double));
        (a - &b).norm().double_value(&[]) / b.norm().double_value(&[])
    }

    /// Points x [inputs, n] and y [outputs, n] as samples.
    pub fn columns(x: &Tensor, y: &Tensor) -> Samples {
        Samples::new(x.tr(), y.tr(), Target::Values(y.size()[0]))
    }

    /// A network on digits.
    pub fn network(text: &str) -> Network {
        let data = Signature { input: vec![1, 28, 28], tokens: None, target: Target::Classes(10) };
        Network::parse(text, &data).unwrap()
    }

    /// Number `index`, from 1, of what tests/goldens/make.py scrambles, in [-1, 1).
    pub fn knuth(index: u64) -> f64 {
        (index * 2_654_435_761 % (1 << 32)) as f64 / 2f64.powi(31) - 1.0
    }

    /// The initial weights of tests/goldens/make.py, scaled by 1/√fan_in.
    pub fn scrambled(layout: &Layout) -> Tensor {
        let mut values = Vec::new();
        for slot in &layout.slots {
            let Initial::Uniform(bound) = slot.initial else { panic!("{} is not uniform", slot.name) };
            let first = values.len() as u64 + 1;
            values.extend((first..first + slot.len() as u64).map(|index| knuth(index) * bound));
        }
        Tensor::from_slice(&values).to_kind(Kind::Float)
    }

    pub fn pictures(x: &Tensor) -> Samples {
        let inputs = x.to_kind(Kind::Float).view([-1, 1, 28, 28]);
        let targets = (Tensor::arange(inputs.size()[0], (Kind::Int64, Device::Cpu)) * 7).remainder(10);
        Samples::new(inputs, targets, Target::Classes(10))
    }

    /// So many pictures that are no digits.
    pub fn batch(samples: i64) -> Samples {
        pictures(&Tensor::linspace(-3.0, 5.0, samples * 784, (Kind::Float, Device::Cpu)).sin())
    }

    /// Some without close neighbours, between whose convolutions rounding could decide.
    pub fn rough_batch(samples: i64) -> Samples {
        let x = (Tensor::arange(samples * 784, (Kind::Double, Device::Cpu)) * 12.9898).sin() * 43758.5453;
        pictures(&((&x - x.floor()) * 4.0 - 1.0))
    }

    /// The gradient and the sums of one batch of all samples.
    pub fn step(objective: &mut dyn Objective) -> (Tensor, Evaluation) {
        let n = objective.samples();
        let sums = objective.batch(&Tensor::arange(n, (Kind::Int64, Device::Cpu))).unwrap();
        (objective.gradient().copy(), sums.means().unwrap())
    }
}
