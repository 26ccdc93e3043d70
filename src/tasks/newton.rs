//! Damped Newton on an objective in float64: from where a training ended to where the gradient
//! vanishes, or as near as it gets.

use crate::analysis::newton::{Ending, TwiceDifferentiable, minimise};
use crate::model::Mlp;
use crate::objective::Objective;
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

/// An objective as Newton's method takes it, at whatever θ.
struct Loss<'a> {
    objective: &'a mut dyn Objective,
    cx: &'a Context<'a>,
}

impl Loss<'_> {
    fn move_to(&mut self, theta: &Tensor) -> Result<()> {
        let weights = self.objective.weights().at(theta.shallow_clone());
        self.objective.move_to(&weights)
    }
}

impl TwiceDifferentiable for Loss<'_> {
    fn loss_and_gradient(&mut self, theta: &Tensor) -> Result<(f64, Tensor)> {
        self.move_to(theta)?;
        Ok((self.objective.loss_and_gradient()?.get()?, self.objective.gradient().copy()))
    }

    fn hessian(&mut self, theta: &Tensor) -> Result<Tensor> {
        self.move_to(theta)?;
        self.objective.whole_hessian(&mut || self.cx.check_stop())
    }
}

impl Newton {
    /// Takes the objective from its θ, which so many epochs of training led to, as far as it gets. Measures `newton_loss`
    /// and `newton_gradient_norm`, before each step and at the end, and how it ended.
    pub fn descend(&self, objective: &mut dyn Objective, epochs: u64, cx: &Context) -> Result<Measurements> {
        let start = objective.theta().copy();
        let mut loss = Loss { objective, cx };
        let path = minimise(&start, self.threshold, self.steps as usize, &mut loss, |done, loss| {
            cx.step_done(epochs + done as u64, epochs + self.steps, loss)
        })?;
        loss.move_to(&path.theta)?;
        let scalars = [
            ("reached", flag(path.ending == Ending::Reached)),
            ("newton_stalled", flag(path.ending == Ending::Stalled)),
            ("newton_steps", path.steps() as f64),
            ("trained_train_loss", path.loss.first().copied().unwrap_or(f64::NAN)),
            ("trained_gradient_norm", path.gradient_norm.first().copied().unwrap_or(f64::NAN)),
        ];
        let series = [("newton_loss", path.loss), ("newton_gradient_norm", path.gradient_norm)];
        Ok(Measurements::new(start.numel() as i64, scalars, series))
    }
}
