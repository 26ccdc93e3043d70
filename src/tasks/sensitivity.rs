//! A classifier's training that measures after each epoch how strongly the network answers to small changes of its
//! input: [`crate::analysis::sensitivity`].

use super::classifier::ClassifierTraining;
use crate::analysis::sensitivity::{input_gradient_norm, jacobian_norm};
use crate::data::{Dataset, Signature};
use crate::study::{Context, Measurements, Trial};
use crate::train::measure;
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// The gradient of a batch's loss by its inputs, after each epoch over the test samples.
pub const INPUT_GRADIENT: &str = "input_gradient_norm";
/// The Jacobian of the probabilities by an input, after each epoch over the first test samples.
pub const JACOBIAN: &str = "jacobian_norm";
/// Both at the final weights, over all test samples.
pub const FINAL_INPUT_GRADIENT: &str = "final_input_gradient_norm";
pub const FINAL_JACOBIAN: &str = "final_jacobian_norm";

/// Keys the random labels.
const NAME: &str = "sensitivity";

/// One training whose sensitivity is measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MeasuredTraining {
    /// The Jacobian after each epoch is over the first so many test samples.
    pub probe_size: usize,
    /// The share of the training labels that ends it, once the network gets them right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fitted: Option<f64>,
    /// All training labels are drawn anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub random_labels: bool,
    #[serde(flatten)]
    pub training: ClassifierTraining,
}

impl Trial for MeasuredTraining {
    fn seed(&self) -> u64 {
        self.training.seed
    }

    fn cost(&self, data: Option<&dyn Dataset>) -> f64 {
        // Small batches take longer for the same samples.
        self.training.cost(data) * (1.0 + 32.0 / self.batch_size())
    }
}

impl MeasuredTraining {
    /// As a number to draw and to rank by.
    pub fn batch_size(&self) -> f64 {
        f64::from(self.training.fit.batch_size)
    }

    /// Trains on the study's training samples, and measures on its test samples.
    pub fn run(&self, cx: &mut Context) -> Result<Measurements> {
        let batch_size = i64::from(self.training.fit.batch_size);
        let data = cx.data()?;
        let Signature { tokens, target, .. } = data.set.signature();
        ensure!(
            target.classes().is_some() && tokens.is_none(),
            "sensitivity is that of a classifier to measured numbers, and {} has other inputs or targets",
            data.set.title()
        );
        let (mut train, test) = (data.train.share(), data.test.share());
        if self.random_labels {
            train = train.corrupted(1.0, self.training.seed, NAME)?;
        }
        let probe = test.first(self.probe_size);
        let (splits, record) = self.training.run_observed(1, cx, &train, |cx, _, splits, series| {
            let mut network = splits.test.by_inputs()?;
            let input_gradient = input_gradient_norm(&mut *network, &test, batch_size, || cx.check_stop())?;
            measure(series, INPUT_GRADIENT, input_gradient);
            measure(series, JACOBIAN, jacobian_norm(&mut *network, &probe, || cx.check_stop())?);
            let has_fitted = match self.fitted {
                Some(share) => splits.train.evaluate()?.accuracy >= share,
                None => false,
            };
            Ok(if has_fitted { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        // The last epoch's weights are the final ones, and its input gradient is over the whole test set.
        let (_, input_gradient) = record.first_and_last(INPUT_GRADIENT)?;
        let jacobian = jacobian_norm(&mut *splits.test.by_inputs()?, &test, || cx.check_stop())?;
        Ok(record.and([(FINAL_INPUT_GRADIENT, input_gradient), (FINAL_JACOBIAN, jacobian)]))
    }
}
