//! Principal components of snapshots of one network's weights, of several trainings together (Lorch 2016): of the
//! first layer's weights alone, and of the whole θ.

use crate::analysis::pca::{Pca, pca};
use crate::model::{Classifier, Layout};
use crate::study::{Measurements, check};
use anyhow::{Context as _, Result};
use tch::Tensor;

/// What is analysed, by its name in records: the first layer's weights, and all of θ.
pub const PARTS: [&str; 2] = ["fc1", "full"];

/// That so many snapshots fit into memory: those of all trainings, and one file as it is read, of so many `each` with
/// the initial and the final weights.
///
/// # Errors
/// Says how much it would be.
pub fn check_memory(model: &Classifier, snapshots: u64, each: u64) -> Result<(), String> {
    let parameters = model.layout().parameters().unsigned_abs() as u128;
    let held = u128::from(snapshots) + 2 * (u128::from(each) + 2);
    let what = format!("{snapshots} snapshots of the {parameters} parameters of model '{model}'");
    check::memory(&what, 4 * parameters * held, "raise snapshot_every, or lower trainings")
}

/// The first two components of the snapshots `rows`, each θ of the layout, for each of [`PARTS`]: series
/// `<part>_component_1` and `_2`, one number a row, and scalars `<part>_explained_variance_1` and `_2`, shares from 0
/// to 1.
///
/// # Errors
/// Those of [`pca`], and where the layout is empty.
pub fn principal_components(layout: &Layout, rows: &[Tensor]) -> Result<Measurements> {
    let first = layout.slots.first().context("a model without weights")?;
    let of_first: Vec<Tensor> =
        rows.iter().map(|row| row.f_narrow(0, first.offset, first.len())).collect::<Result<_, _>>()?;
    let mut measured = Measurements::new(layout.parameters(), [], []);
    for (part, rows) in PARTS.into_iter().zip([&of_first[..], rows]) {
        let Pca { scores, explained_variance_ratio } = pca(rows, 2)?;
        for (component, (scores, share)) in (1..).zip(scores.into_iter().zip(explained_variance_ratio)) {
            measured.scalars.insert(format!("{part}_explained_variance_{component}"), share);
            measured.series.insert(format!("{part}_component_{component}"), scores);
        }
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn both_parts_are_analysed_each_by_itself() {
        let layout = "784-3-10".parse::<Classifier>().unwrap().layout();
        let start = layout.initial(0, "pca", Kind::Float, Device::Cpu);
        // Rows that differ in the last biases alone: the first layer does not move.
        let rows: Vec<Tensor> = (0..3)
            .map(|row| {
                let moved = start.copy();
                let _ = moved.narrow(0, layout.parameters() - 1, 1).fill_(f64::from(row));
                moved
            })
            .collect();
        let found = principal_components(&layout, &rows).unwrap();
        assert_eq!(found.parameters, layout.parameters());
        assert!((found.scalar("full_explained_variance_1").unwrap() - 1.0).abs() < 1e-9);
        let scores = found.series("full_component_1").unwrap();
        assert!(scores.iter().zip([1.0, 0.0, 1.0]).all(|(score, far)| (score.abs() - far).abs() < 1e-6), "{scores:?}");
        assert!(found.scalar("fc1_explained_variance_1").unwrap().is_nan());
        assert_eq!(found.series("fc1_component_2").unwrap(), [0.0; 3]);
    }
}
