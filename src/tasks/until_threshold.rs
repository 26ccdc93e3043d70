//! Training on all samples at once, until the norm of the gradient is below a threshold.

use crate::objective::Objective;
use crate::settings;
use crate::study::{Context, Measurements, check, flag};
use crate::train::{Below, Convergence, Ending, GRADIENT_NORM, OptimizerName, Stopping, Watched, train};
use anyhow::Result;
use serde::{Deserialize, Serialize};

settings! {
    /// How a network is trained until then.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    pub struct UntilThreshold {
        /// Of the gradient's norm; below it the training ends.
        pub threshold: f64,
        /// At most.
        pub epochs: u64,
        pub optimizer: OptimizerName,
        pub learning_rate: f64,
    }
}

impl UntilThreshold {
    pub fn check(&self) -> Result<(), String> {
        check::training(self.epochs, self.learning_rate)?;
        check::stopping("threshold", self.threshold)
    }

    /// Takes the objective to the trained θ. Measures `train_loss` and `gradient_norm`, each before the epoch's step, and
    /// how it ended.
    pub fn run(&self, objective: &mut dyn Objective, cx: &mut Context) -> Result<Measurements> {
        let mut optimizer = self.optimizer.with_learning_rate(self.learning_rate);
        let below = Below { series: GRADIENT_NORM, threshold: self.threshold };
        let stopping = Stopping { convergence: Convergence::NEVER, below: Some(below) };
        let watched = Watched { gradient_norm: true, validation: None };
        let mut training = train(objective, &mut optimizer, self.epochs, &stopping, cx, watched)?;
        let scalars = [
            ("epochs_run", training.train_loss.len() as f64),
            ("met_threshold", flag(training.ending == Ending::Below)),
            ("diverged", flag(training.ending == Ending::Diverged)),
        ];
        let series = [(GRADIENT_NORM, training.take(GRADIENT_NORM)), ("train_loss", training.train_loss)];
        Ok(Measurements::new(objective.layout().parameters(), scalars, series))
    }
}
