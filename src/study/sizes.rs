//! Networks of several sizes side by side: errors and losses over their numbers of parameters. Knows no study.

use super::experiment::{Done, Experiment};
use super::measurements::Measurements;
use super::points::line;
use super::seeds::{Seeds, means_at_points};
use crate::analysis::double_descent::mean_curve;
use crate::plot::{Axis, Mark, Panel};
use anyhow::Result;

/// A curve a seed over sizes.
type Curves = Vec<Vec<f64>>;

/// What trained networks of one kind came to, by size.
pub struct OverSizes {
    /// Parameters, ascending.
    pub sizes: Vec<f64>,
    pub test_error: Curves,
    pub test_loss: Curves,
    pub train_error: Curves,
    pub train_loss: Curves,
}

impl OverSizes {
    /// Of the seeds that have a finished training of each of these sizes, ascending.
    pub fn of<E: Experiment>(seeds: Seeds, sizes: &[i64], mut done: Vec<&Done<E>>) -> Result<Self> {
        done.sort_by_key(|done| done.measured().parameters);
        let mut seeds: Vec<Vec<_>> = seeds.groups(done).into_values().collect();
        seeds.retain(|trials| trials.len() == sizes.len());
        let curves = |of: &dyn Fn(&Measurements) -> Result<f64>| -> Result<Curves> {
            seeds.iter().map(|trials| trials.iter().map(|done| of(done.measured())).collect()).collect()
        };
        Ok(Self {
            sizes: sizes.iter().map(|size| *size as f64).collect(),
            test_error: curves(&|record| record.final_error("test"))?,
            test_loss: curves(&|record| record.after_training("final_test_loss"))?,
            train_error: curves(&|record| record.final_error("train"))?,
            train_loss: curves(&|record| record.after_training("final_train_loss"))?,
        })
    }

    pub fn mean_test_error(&self) -> Vec<f64> {
        mean_curve(&self.test_error)
    }

    /// Parameters of the smallest network whose mean training error is at most this.
    pub fn first_fitted(&self, error: f64) -> Option<f64> {
        let at = mean_curve(&self.train_error).iter().position(|mean| *mean <= error)?;
        self.sizes.get(at).copied()
    }
}

/// Four panels against size, with vertical lines: error and loss on the test images, then on the training images. Each
/// kind of networks has a name and a colour; one legend, in the third, serves all.
pub fn panels(kinds: &[(String, &OverSizes)], rules: &[(f64, String)]) -> Vec<Panel> {
    type Of = fn(&OverSizes) -> &Curves;
    let quantities: [(&str, Axis, Of); 4] = [
        ("Test error", Axis::linear("test error"), |kind| &kind.test_error),
        ("Test loss", Axis::log("test loss (cross entropy)"), |kind| &kind.test_loss),
        ("Training error", Axis::linear("training error"), |kind| &kind.train_error),
        ("Training loss", Axis::log("training loss (cross entropy)"), |kind| &kind.train_loss),
    ];
    let panels = quantities.map(|(title, y, curves)| {
        let mut series = Vec::new();
        for (color, (name, kind)) in kinds.iter().enumerate() {
            for (index, curve) in curves(kind).iter().enumerate() {
                let is_named = index == 0 && title == "Training error";
                let label = if is_named { name.clone() } else { String::new() };
                series.push(line((label, color), &kind.sizes, curve).mark(Mark::LinePoints));
            }
        }
        let x = Axis::log("parameters").levels(kinds.iter().flat_map(|(_, kind)| kind.sizes.clone()));
        Panel::plot(title, x, y, means_at_points(series)).rules(rules.to_vec())
    });
    panels.into()
}
