//! What a trained classifier makes of the test samples: its confusion matrix, and its most confident errors.

use crate::data::Data;
use crate::objective::{Evaluation, Objective};
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// Misclassified samples that are kept.
const KEPT: usize = 20;

/// Counted over the test samples.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Confusion {
    /// Test samples by true class (rows) and predicted class (columns), classes × classes.
    pub confusion: Vec<u64>,
    /// The most confident of the wrong predictions, the most confident first.
    pub misclassified: Vec<Misclassified>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Misclassified {
    /// Place in the test set.
    index: i64,
    pub truth: i64,
    pub predicted: i64,
    /// Probability of the predicted class.
    pub confidence: f64,
    /// What it shows: height · width grey values, 0 background, or as many of red, green and blue, pixel by pixel; row
    /// by row either way. Nothing where samples are no pictures.
    pub pixels: Vec<u8>,
}

impl Confusion {
    /// At the θ of an objective over the test samples; with loss and accuracy of the same forward pass: the matrix's
    /// diagonal is the accuracy.
    ///
    /// # Errors
    /// Where the data has no classes.
    pub fn of(test: &mut dyn Objective, data: &Data) -> Result<(Evaluation, Self)> {
        let target = data.test.target;
        let refusal = || format!("the data has {}, and a confusion matrix is of classes", target.what());
        let classes = target.classes().with_context(refusal)? as usize;
        let (found, predicted, confidence) = classify(test)?;
        let labels: Vec<i64> = data.test.targets.f_to_device(Device::Cpu)?.try_into()?;
        let mut confusion = vec![0; classes * classes];
        let mut wrong = Vec::new();
        for (index, (&truth, &predicted)) in labels.iter().zip(&predicted).enumerate() {
            confusion[truth as usize * classes + predicted as usize] += 1;
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
                truth: labels[index],
                predicted: predicted[index],
                confidence: confidence[index],
                pixels: data.set.picture(&data.test.input(index as i64)?)?.unwrap_or_default(),
            })
        };
        let misclassified = wrong.into_iter().map(keep).collect::<Result<_>>()?;
        Ok((found, Self { confusion, misclassified }))
    }
}

/// Loss and accuracy, with the class that each sample is taken for, and its probability: all of one forward pass.
fn classify(objective: &mut dyn Objective) -> Result<(Evaluation, Vec<i64>, Vec<f64>)> {
    let (mut classes, mut probabilities) = (Vec::new(), Vec::new());
    let found = objective.evaluate_and(&mut |logits| {
        // By the logits, as accuracy counts: probabilities of two of them may be the same.
        let class = logits.f_argmax(-1, false)?;
        let p = logits.f_softmax(-1, logits.kind())?.f_gather(1, &class.f_unsqueeze(1)?, false)?;
        probabilities.push(p.f_squeeze_dim(1)?);
        classes.push(class);
        Ok(())
    })?;
    let classes = Tensor::f_cat(&classes, 0)?.f_to_device(Device::Cpu)?;
    let probabilities = Tensor::f_cat(&probabilities, 0)?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?;
    Ok((found, classes.try_into()?, probabilities.try_into()?))
}
