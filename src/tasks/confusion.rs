//! What a trained classifier makes of the test images: its confusion matrix, and its most confident errors.

use crate::data::batches::{Samples, grey};
use crate::objective::{Accuracy, CrossEntropy};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

pub const CLASSES: usize = 10;
/// Misclassified images that are kept.
const KEPT: usize = 20;

/// Counted over the test images.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Confusion {
    /// Test images by true class (rows) and predicted class (columns), 10 × 10.
    pub confusion: Vec<u64>,
    /// The most confident of the wrong predictions, the most confident first.
    pub misclassified: Vec<Misclassified>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Misclassified {
    /// Place in the test set.
    index: i64,
    pub truth: u8,
    pub predicted: u8,
    /// Probability of the predicted class.
    pub confidence: f64,
    /// 784 grey values, 0 background.
    pub pixels: Vec<u8>,
}

impl Confusion {
    /// At the objective's θ; with loss and accuracy of the same forward pass: the matrix's diagonal is the accuracy.
    pub fn of(objective: &CrossEntropy, test: &Samples) -> Result<(Accuracy, Self)> {
        let (found, predicted, confidence) = objective.classify(test);
        let predicted: Vec<i64> = predicted.f_to_device(Device::Cpu)?.try_into()?;
        let confidence: Vec<f64> = confidence.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?.try_into()?;
        let labels: Vec<i64> = test.labels.f_to_device(Device::Cpu)?.try_into()?;
        let mut confusion = vec![0; CLASSES * CLASSES];
        let mut wrong = Vec::new();
        for (index, (&truth, &predicted)) in labels.iter().zip(&predicted).enumerate() {
            confusion[truth as usize * CLASSES + predicted as usize] += 1;
            if truth != predicted {
                wrong.push(index);
            }
        }
        // The first in the set where two are equally sure.
        wrong.sort_by(|&a, &b| confidence[b].total_cmp(&confidence[a]).then(a.cmp(&b)));
        wrong.truncate(KEPT);
        let keep = |index: usize| {
            Ok(Misclassified {
                index: index as i64,
                truth: labels[index] as u8,
                predicted: predicted[index] as u8,
                confidence: confidence[index],
                pixels: grey(&test.images.f_select(0, index as i64)?)?,
            })
        };
        let misclassified = wrong.into_iter().map(keep).collect::<Result<_>>()?;
        Ok((found, Self { confusion, misclassified }))
    }
}
