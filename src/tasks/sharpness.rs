//! How far the loss can rise in small boxes around a solution: its ε-box sharpness (Keskar et al. 2017), sought by
//! projected sign ascent over all of some samples.

use super::classifier::memory_of_theta;
use crate::analysis::sharpness::sharpness;
use crate::model::{Model as _, Network};
use crate::objective::{GRADIENT_BLOCK, Objective};
use crate::settings;
use crate::study::{Context, Held, Measurements, check};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

settings! {
    /// The boxes, and how the highest loss in each is sought.
    #[derive(Clone, Debug, Serialize)]
    pub struct Boxes {
        /// Their half-widths.
        pub epsilons: Vec<f64>,
        /// Starts of the search, and gradients that each may take.
        pub sharpness_starts: u64,
        pub sharpness_steps: u64,
    }
}

/// More than these are a slip of the pen.
const MOST_STARTS: u64 = 10_000;
const MOST_STEPS: u64 = 100_000;

/// What a gradient over many samples holds, [`GRADIENT_BLOCK`] at a time.
pub fn memory_of_gradient(network: &Network) -> Held {
    let what = format!("the gradient of model '{network}' over {GRADIENT_BLOCK} samples");
    let bytes = memory_of_theta(&network.layout()) + network.memory_of_batch(GRADIENT_BLOCK.unsigned_abs());
    Held::new(what, bytes, "take a smaller model")
}

impl Boxes {
    pub fn check(&self, network: &Network) -> Result<(), String> {
        check::sizes("epsilons", &self.epsilons)?;
        if !self.epsilons.is_empty() {
            memory_of_gradient(network).check()?;
        }
        check::within("sharpness_starts", self.sharpness_starts, 1..=MOST_STARTS)?;
        check::within("sharpness_steps", self.sharpness_steps, 1..=MOST_STEPS)
    }

    /// A search in each box.
    pub fn searches(&self) -> impl Iterator<Item = Search> {
        let (starts, steps) = (self.sharpness_starts, self.sharpness_steps);
        self.epsilons.iter().map(move |&epsilon| Search { epsilon, starts, steps })
    }
}

/// The search for the highest loss in one box.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Search {
    pub epsilon: f64,
    pub starts: u64,
    pub steps: u64,
}

impl Search {
    /// The sharpness of the loss: `sharpness` is the best of all starts, in per cent; see [`sharpness`]. The key is that
    /// of the starts. Leaves the objective somewhere in the box.
    pub fn measure(&self, objective: &mut dyn Objective, key: (u64, &str), cx: &Context) -> Result<Measurements> {
        let &Self { epsilon, starts, steps } = self;
        let theta = objective.theta().copy();
        let look = looking(&mut *objective, 1 + starts * steps, cx);
        let found = sharpness(&theta, epsilon, (starts, steps), key, look)?;
        let scalars = [
            ("train_loss", found.loss),
            ("sharpness", found.best()),
            ("sharpness_spread", found.spread()),
            ("gradients", found.gradients as f64),
        ];
        Ok(Measurements::new(objective.layout().parameters(), scalars, [("sharpness_by_start", found.by_start)]))
    }
}

/// Loss and gradient at any θ beside the objective's own buffers, for a search that takes at most so many of them.
pub(super) fn looking(
    objective: &mut dyn Objective,
    gradients: u64,
    cx: &Context,
) -> impl FnMut(&Tensor) -> Result<(f64, Tensor)> {
    let solution = objective.weights().each(Tensor::copy);
    let mut done = 0;
    move |theta| {
        objective.move_to(&solution.at(theta.shallow_clone()))?;
        let loss = objective.gradient_and(&mut || cx.check_stop())?.get()?;
        done += 1;
        cx.step_done(done, gradients, loss)?;
        Ok((loss, objective.gradient().copy()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Mlp;

    #[test]
    fn boxes_that_are_none_are_refused() {
        let model = "784-5-10".parse::<Mlp>().unwrap().network();
        let boxes = |epsilons: &[f64]| Boxes { epsilons: epsilons.to_vec(), sharpness_starts: 4, sharpness_steps: 20 };
        assert_eq!(boxes(&[1e-3, 5e-4]).check(&model), Ok(()));
        assert_eq!(boxes(&[5e-4]).searches().collect::<Vec<_>>(), [Search { epsilon: 5e-4, starts: 4, steps: 20 }]);
        for (epsilons, what) in [
            (&[0.0][..], "epsilons has 0; each must be above 0"),
            (&[f64::NAN], "epsilons has NaN"),
            (&[1e-3, 1e-3], "epsilons has 0.001 twice"),
            (&[1e-300], "float32"),
        ] {
            let error = boxes(epsilons).check(&model).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }
}
