//! Damped Newton on a network's mean squared error, in float64: from where a training ended to where the gradient
//! vanishes, or as near as it gets.

use super::function::Points;
use crate::analysis::hessian;
use crate::analysis::newton::{Ending, TwiceDifferentiable, minimise};
use crate::model::Mlp;
use crate::objective::{MeanSquaredError, Objective as _};
use crate::settings;
use crate::study::{Context, Measurements, check, flag};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

settings! {
    /// Whether it goes on from where a training ended.
    #[derive(Clone, Copy, Debug, Serialize)]
    pub struct NewtonAfter {
        /// At most; 0 for none.
        pub newton_steps: u64,
        /// ‖∇L‖ at which these are done.
        pub newton_threshold: f64,
    }
}

/// A step's Cholesky of more takes longer than a second.
const MOST_PARAMETERS: i64 = 3_000;
const MOST_STEPS: u64 = 100_000;

impl NewtonAfter {
    pub fn check(self, model: &Mlp) -> Result<(), String> {
        let parameters = model.layout().parameters();
        if parameters > MOST_PARAMETERS && self.newton_steps > 0 {
            return Err(format!(
                "model '{model}' has {parameters} parameters; Newton's method is for at most {MOST_PARAMETERS}: use \
                 --set newton_steps=0"
            ));
        }
        check::within("newton_steps", self.newton_steps, 0..=MOST_STEPS)?;
        if !(self.newton_threshold > 0.0 && self.newton_threshold.is_finite()) {
            return Err(format!("newton_threshold is {}; it must be above 0", self.newton_threshold));
        }
        Ok(())
    }

    /// `None` where no step is asked for.
    pub fn newton(self) -> Option<Newton> {
        (self.newton_steps > 0).then_some(Newton { steps: self.newton_steps, threshold: self.newton_threshold })
    }
}

/// How far it goes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Newton {
    /// At most.
    pub steps: u64,
    /// ‖∇L‖ at which it is done.
    pub threshold: f64,
}

/// The mean squared error over points, with both its derivatives.
pub struct Loss<'a> {
    model: &'a Mlp,
    points: &'a Points,
    objective: MeanSquaredError,
}

impl<'a> Loss<'a> {
    /// θ gives kind and device only.
    pub fn new(model: &'a Mlp, theta: &Tensor, points: &'a Points) -> Self {
        Self { model, points, objective: MeanSquaredError::new(model, theta.copy(), &points.x, &points.y) }
    }
}

impl TwiceDifferentiable for Loss<'_> {
    fn loss_and_gradient(&mut self, theta: &Tensor) -> Result<(f64, Tensor)> {
        self.objective.theta().shallow_clone().f_copy_(theta)?;
        Ok((self.objective.loss_and_gradient().get()?, self.objective.gradient().copy()))
    }

    fn hessian(&mut self, theta: &Tensor) -> Result<Tensor> {
        hessian::of_mean_squared_error(self.model, theta, &self.points.x, &self.points.y)
    }
}

impl Newton {
    /// The θ it gets to from this one, which so many epochs of training led to. Measures `newton_loss` and
    /// `newton_gradient_norm`, before each step and at the end, and how it ended.
    pub fn descend(
        &self,
        model: &Mlp,
        theta: &Tensor,
        points: &Points,
        epochs: u64,
        cx: &Context,
    ) -> Result<(Tensor, Measurements)> {
        let mut loss = Loss::new(model, theta, points);
        let path = minimise(theta, self.threshold, self.steps as usize, &mut loss, |done, loss| {
            cx.step_done(epochs + done as u64, epochs + self.steps, loss)
        })?;
        let scalars = [
            ("reached", flag(path.ending == Ending::Reached)),
            ("newton_stalled", flag(path.ending == Ending::Stalled)),
            ("newton_steps", path.steps() as f64),
            ("trained_train_loss", path.loss.first().copied().unwrap_or(f64::NAN)),
            ("trained_gradient_norm", path.gradient_norm.first().copied().unwrap_or(f64::NAN)),
        ];
        let series = [("newton_loss", path.loss), ("newton_gradient_norm", path.gradient_norm)];
        Ok((path.theta, Measurements::new(theta.size()[0], scalars, series)))
    }
}
