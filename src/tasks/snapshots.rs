//! Weights that a training keeps on its way, and what is read back from them: snapshots after some of its epochs, its
//! path from the initial to the final weights.

use super::classifier::ClassifierTraining;
use crate::model::Layout;
use crate::objective::CrossEntropy;
use crate::study::{Context, Measurements, SavedWeights};
use anyhow::Result;
use tch::Tensor;

/// The epochs after which weights are kept, counted from 1: the first, and every so many from there.
pub fn epochs(epochs: u64, every: u64) -> impl Iterator<Item = u64> {
    (1..=epochs).step_by(usize::try_from(every).unwrap_or(usize::MAX))
}

fn prefix(epoch: u64) -> String {
    format!("snapshot.{epoch}")
}

/// Trains on the study's images, and saves snapshots after [`epochs`] beside the initial and the final weights.
pub fn train(training: &ClassifierTraining, every: u64, cx: &mut Context) -> Result<Measurements> {
    let train = cx.images()?.train.on(cx.device);
    let layout = training.model.layout();
    let after_epoch = |cx: &mut Context, epoch: u64, objective: &CrossEntropy, _: &mut _| {
        if (epoch - 1).is_multiple_of(every) {
            cx.save_weights(&prefix(epoch), &layout, objective.theta())?;
        }
        Ok(())
    };
    Ok(training.run_observed(cx, &train, after_epoch)?.1)
}

/// θ after each of these epochs.
///
/// # Errors
/// Where one was not saved, or does not fit the layout.
pub fn read(saved: &SavedWeights, layout: &Layout, epochs: &[u64]) -> Result<Vec<Tensor>> {
    epochs.iter().map(|epoch| saved.theta(&prefix(*epoch), layout)).collect()
}

/// A training's path: epochs, and θ after each. It begins with the initial weights, after epoch 0, and ends with
/// those after the `last` one.
///
/// # Errors
/// Those of [`read`].
pub fn path(saved: &SavedWeights, layout: &Layout, snapshots: &[u64], last: u64) -> Result<(Vec<u64>, Vec<Tensor>)> {
    let mut epochs = [&[0], snapshots].concat();
    let mut rows = vec![saved.theta("initial", layout)?];
    rows.extend(read(saved, layout, snapshots)?);
    if epochs.last() != Some(&last) {
        epochs.push(last);
        rows.push(saved.theta("final", layout)?);
    }
    Ok((epochs, rows))
}

#[cfg(test)]
mod tests {
    #[test]
    fn snapshots_are_taken_after_the_first_epoch_and_every_so_many() {
        let epochs = |last, every| super::epochs(last, every).collect::<Vec<_>>();
        assert_eq!(epochs(8, 3), [1, 4, 7]);
        assert_eq!(epochs(7, 3), [1, 4, 7]);
        assert_eq!(epochs(3, 1), [1, 2, 3]);
        assert_eq!(epochs(3, u64::MAX), [1]);
    }
}
