//! The optimizers, on one flat θ that they change in place: Adam and stochastic gradient descent, as PyTorch has them.

use crate::backend::cpu::adam;
use crate::backend::cuda::full_batch::Rule as CardRule;
use crate::objective::{adam_on_card, float_slices, in_kernels};
use crate::store::checkpoint::State;
use crate::store::weights::NamedTensor;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// The optimizers by their names in the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerName {
    Adam,
    Sgd,
}

impl OptimizerName {
    /// As in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Adam => "adam",
            Self::Sgd => "sgd",
        }
    }

    /// The optimizer of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Adam, Self::Sgd].into_iter().find(|optimizer| optimizer.name() == name)
    }

    /// The optimizer with PyTorch's defaults for all but the learning rate.
    pub fn with_learning_rate(self, learning_rate: f64) -> Optimizer {
        match self {
            Self::Adam => Optimizer::adam(learning_rate),
            Self::Sgd => Optimizer::sgd(learning_rate, 0.0),
        }
    }
}

/// An optimizer with its state: flat tensors beside θ, changed in place.
pub struct Optimizer {
    rule: Rule,
    learning_rate: f64,
    weight_decay: f64,
}

enum Rule {
    Adam { step: i32, moments: Option<Moments> },
    Sgd { momentum: f64, velocity: Option<Tensor> },
}

/// Adam's running means, and a buffer for one step's denominator where that is computed apart.
struct Moments {
    mean: Tensor,
    mean_of_squares: Tensor,
    denominator: Option<Tensor>,
}

// torch.optim.Adam's defaults.
const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

impl Optimizer {
    /// Adam (Kingma & Ba 2015) with β = (0.9, 0.999), ε = 1e-8, as `torch.optim.Adam`.
    pub fn adam(learning_rate: f64) -> Self {
        Self { rule: Rule::Adam { step: 0, moments: None }, learning_rate, weight_decay: 0.0 }
    }

    /// Stochastic gradient descent with heavy-ball momentum, as `torch.optim.SGD`.
    pub fn sgd(learning_rate: f64, momentum: f64) -> Self {
        Self { rule: Rule::Sgd { momentum, velocity: None }, learning_rate, weight_decay: 0.0 }
    }

    /// Adds `weight_decay` · θ to every gradient (L2 regularisation, as both of PyTorch's do).
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// One step on `theta`, in place. `gradient` serves as scratch space and is lost.
    ///
    /// # Panics
    /// Where they are not of the length that the optimizer began with, or, in the kernels, share memory.
    pub fn step(&mut self, theta: &Tensor, gradient: &Tensor) {
        let _no_grad = tch::no_grad_guard();
        let (mut theta, mut gradient) = (theta.shallow_clone(), gradient.shallow_clone());
        if self.weight_decay != 0.0 {
            let _ = gradient.g_add_(&(&theta * self.weight_decay));
        }
        match &mut self.rule {
            Rule::Adam { step, moments } => {
                // Beyond that many its corrections are 1 to the last bit.
                *step = step.saturating_add(1);
                let moments = moments.get_or_insert_with(|| Moments::zero(&theta));
                let rates = adam::Step {
                    beta_1: BETA_1,
                    beta_2: BETA_2,
                    root_of_correction: (1.0 - BETA_2.powi(*step)).sqrt(),
                    step_size: self.learning_rate / (1.0 - BETA_1.powi(*step)),
                    epsilon: EPSILON,
                };
                if !adam_on_card(&rates, &theta, &gradient, &moments.mean, &moments.mean_of_squares) {
                    if in_kernels(&theta) {
                        moments.step_in_kernel(&rates, &theta, &gradient);
                    } else {
                        moments.step(&rates, &mut theta, &mut gradient);
                    }
                }
            }
            Rule::Sgd { momentum, velocity } => {
                let direction = if *momentum == 0.0 {
                    &mut gradient
                } else if let Some(velocity) = velocity {
                    let _ = velocity.g_mul_scalar_(*momentum);
                    let _ = velocity.g_add_(&gradient);
                    velocity
                } else {
                    // PyTorch's first step takes the gradient itself.
                    velocity.insert(gradient.copy())
                };
                let _ = theta.g_sub_(&(&*direction * self.learning_rate));
            }
        }
    }

    /// What a card needs to take its steps, where so many were taken: rule, learning rate and weight decay; and its state,
    /// like θ, which the card changes in place. `None` where that is not how many it took.
    pub(super) fn for_card(&mut self, theta: &Tensor, steps: u64) -> Option<(CardRule, [f64; 2], [Tensor; 2])> {
        let (rule, state) = match &mut self.rule {
            Rule::Adam { step, moments } => {
                if u64::try_from(*step).ok()? != steps {
                    return None;
                }
                let Moments { mean, mean_of_squares, .. } = moments.get_or_insert_with(|| Moments::zero(theta));
                (CardRule::Adam, [mean.shallow_clone(), mean_of_squares.shallow_clone()])
            }
            Rule::Sgd { momentum, velocity } => {
                // What the card takes for the first step has no velocity.
                if velocity.is_none() == (steps > 0) && *momentum != 0.0 {
                    return None;
                }
                // The card's first step takes the gradient itself.
                let velocity = velocity.get_or_insert_with(|| theta.zeros_like());
                (CardRule::Sgd { momentum: *momentum }, [velocity.shallow_clone(), velocity.shallow_clone()])
            }
        };
        Some((rule, [self.learning_rate, self.weight_decay], state))
    }

    /// A card took its steps: so many since the start.
    pub(super) fn stepped(&mut self, steps: u64) {
        if let Rule::Adam { step, .. } = &mut self.rule {
            *step = i32::try_from(steps).unwrap_or(i32::MAX);
        }
    }

    /// What the next step depends on besides θ, the gradient and the number of steps, by name.
    fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        match &self.rule {
            Rule::Adam { moments: Some(moments), .. } => {
                vec![(MEAN, &moments.mean), (MEAN_OF_SQUARES, &moments.mean_of_squares)]
            }
            Rule::Sgd { velocity: Some(velocity), .. } => vec![(VELOCITY, velocity)],
            _ => Vec::new(),
        }
    }

    /// Adds its state to that of a training.
    pub(super) fn save(&self, state: &mut State) -> Result<()> {
        for (name, tensor) in self.tensors() {
            state.tensors.insert(name.to_owned(), NamedTensor::copy_of(tensor)?);
        }
        if let Rule::Adam { step, .. } = self.rule {
            state.counters.insert(STEPS.to_owned(), u64::try_from(step)?);
        }
        Ok(())
    }

    /// Takes the place of the optimizer that [`Self::save`]d, for a θ like this one.
    pub(super) fn restore(&mut self, state: &State, theta: &Tensor) -> Result<()> {
        match &mut self.rule {
            Rule::Adam { step, moments } => {
                *step = i32::try_from(state.counter(STEPS)?)?;
                *moments = (*step > 0).then(|| Moments::zero(theta));
            }
            Rule::Sgd { velocity, .. } => {
                *velocity = state.tensors.contains_key(VELOCITY).then(|| theta.zeros_like());
            }
        }
        self.tensors().into_iter().try_for_each(|(name, tensor)| state.restore(name, tensor))
    }
}

// An optimizer's state, by name.
const STEPS: &str = "steps";
const MEAN: &str = "mean";
const MEAN_OF_SQUARES: &str = "mean_of_squares";
const VELOCITY: &str = "velocity";

impl Moments {
    fn zero(theta: &Tensor) -> Self {
        Self { mean: theta.zeros_like(), mean_of_squares: theta.zeros_like(), denominator: None }
    }

    /// m ← m + (1-β₁)(g - m); v ← β₂v + (1-β₂)g²; θ ← θ - η/(1-β₁ᵗ) · m / (√v/√(1-β₂ᵗ) + ε).
    ///
    /// In one pass over the memory, in float32 on a CPU.
    fn step_in_kernel(&mut self, rates: &adam::Step, theta: &Tensor, gradient: &Tensor) {
        // SAFETY: the moments are this optimizer's own; θ and its gradient are the caller's, who does nothing else
        // with them during the step. That they are apart is checked.
        let ([gradient], [theta, mean, squares]) =
            unsafe { float_slices([gradient], [theta, &self.mean, &self.mean_of_squares]) };
        rates.run(theta, gradient, mean, squares);
    }

    /// Anywhere, in any kind: the same by libtorch's operations.
    ///
    /// tch's `addcmul_` and `addcdiv_` take no factor, so the factors are multiplied into g and
    /// into the denominator: eight operations in place, whatever the number of layers.
    fn step(&mut self, rates: &adam::Step, theta: &mut Tensor, gradient: &mut Tensor) {
        let adam::Step { beta_1, beta_2, root_of_correction, step_size, epsilon } = *rates;
        let _ = self.mean.lerp_(gradient, 1.0 - beta_1);
        let _ = gradient.g_mul_scalar_((1.0 - beta_2).sqrt());
        let _ = self.mean_of_squares.g_mul_scalar_(beta_2);
        let _ = self.mean_of_squares.addcmul_(gradient, gradient);

        let denominator = self.denominator.get_or_insert_with(|| theta.zeros_like());
        let _ = self.mean_of_squares.sqrt_out(denominator);
        let _ = denominator.g_mul_scalar_(-1.0 / (root_of_correction * step_size));
        let _ = denominator.g_add_scalar_(-epsilon / step_size);
        let _ = theta.addcdiv_(&self.mean, denominator);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cuda::emulated::with_card;
    use tch::{Device, Kind};

    /// tests/goldens/optimizers.json, made by tests/goldens/make.py with torch.optim.
    #[derive(Deserialize)]
    struct OptimizerGolden {
        optimizer: OptimizerName,
        learning_rate: f64,
        momentum: f64,
        weight_decay: f64,
        initial: Vec<f64>,
        r#final: Vec<f64>,
    }

    #[test]
    fn optimizers_agree_with_torch_optim_after_50_steps() {
        let goldens: Vec<OptimizerGolden> =
            serde_json::from_str(include_str!("../../tests/goldens/optimizers.json")).unwrap();
        assert_eq!(goldens.len(), 5);
        for golden in goldens {
            let theta = Tensor::from_slice(&golden.initial);
            let mut optimizer = match golden.optimizer {
                OptimizerName::Adam => Optimizer::adam(golden.learning_rate),
                OptimizerName::Sgd => Optimizer::sgd(golden.learning_rate, golden.momentum),
            }
            .weight_decay(golden.weight_decay);
            let scale = Tensor::linspace(0.1, 3.0, theta.numel() as i64, (Kind::Double, Device::Cpu));
            for step in 0..50 {
                // The gradient of the script: not that of any potential, and never settling.
                let gradient = (&theta * &scale + f64::from(step)).sin() * &scale;
                optimizer.step(&theta, &gradient);
            }
            let expected = Tensor::from_slice(&golden.r#final);
            let error = (&theta - &expected).abs().max().double_value(&[]);
            assert!(
                error < 1e-6,
                "{:?} momentum {} weight decay {}: {error}",
                golden.optimizer,
                golden.momentum,
                golden.weight_decay
            );
        }
    }

    #[test]
    fn adam_in_one_pass_is_adam_by_operations() {
        let exact = Tensor::linspace(-1.0, 1.0, 1003, (Kind::Double, Device::Cpu));
        let [mut by_pass, mut by_operations] = [Optimizer::adam(1e-2), Optimizer::adam(1e-2)];
        let fast = exact.to_kind(Kind::Float);
        for step in 0..100 {
            let gradient = (&exact * 3.0 + f64::from(step)).sin() * &exact;
            by_pass.step(&fast, &gradient.to_kind(Kind::Float));
            by_operations.step(&exact, &gradient);
        }
        let error = (fast.to_kind(Kind::Double) - exact).abs().max().double_value(&[]);
        assert!(error < 1e-5, "{error}");
    }

    #[test]
    fn adam_on_a_card_is_adam_in_one_pass() {
        let exact = Tensor::linspace(-1.0, 1.0, 1003, (Kind::Double, Device::Cpu));
        let run = || {
            let (mut adam, theta) = (Optimizer::adam(1e-2).weight_decay(1e-3), exact.to_kind(Kind::Float));
            for step in 0..100 {
                adam.step(&theta, &((&exact * 3.0 + f64::from(step)).sin() * &exact).to_kind(Kind::Float));
            }
            (theta, adam.tensors().into_iter().map(|(_, tensor)| tensor.copy()).collect::<Vec<_>>())
        };
        let (theta, moments) = run();
        let (by_card, moments_by_card) = with_card(1, |_| run());
        let far = |a: &Tensor, b: &Tensor| ((a - b).abs().max() / b.abs().max()).double_value(&[]);
        // Others round otherwise: the card's kernel fuses its products.
        assert!(by_card != theta && far(&by_card, &theta) < 1e-6, "{}", far(&by_card, &theta));
        assert!(moments_by_card.iter().zip(&moments).all(|(by_card, moment)| far(by_card, moment) < 1e-6));
        // Of none there is nothing to do, and half of a tensor's columns are for libtorch.
        with_card(1, |_| {
            let nothing = Tensor::zeros([0], (Kind::Float, Device::Cpu));
            Optimizer::adam(1e-2).step(&nothing, &nothing.copy());
        });
    }

    #[test]
    fn weights_that_are_their_own_gradient_are_refused() {
        let theta = Tensor::ones([8], (Kind::Float, Device::Cpu));
        let mut adam = Optimizer::adam(1e-3);
        adam.step(&theta, &theta.copy());
        let [upper, lower] = [0, 3].map(|start| theta.narrow(0, start, 5));
        for (theta, gradient) in [(&theta, &theta.shallow_clone()), (&upper, &lower)] {
            let mut adam = Optimizer::adam(1e-3);
            let step = || adam.step(theta, gradient);
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(step)).is_err());
        }
        // Nor another length than the moments'.
        let step = || adam.step(&upper, &upper.copy());
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(step)).is_err());
    }
}
