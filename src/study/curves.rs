//! Learning curves: panels of series over epochs, by naming the series. Those of one colour and mark are of several
//! seeds and become a mean with a band.

use super::experiment::{Done, Experiment};
use super::seeds::{self, means_over_epochs};
use crate::plot::{Axis, Color, Mark, Panel, Series};
use anyhow::Result;

/// How a trial's curve looks: its name in the legend (empty for none), and its place in the colour cycle.
pub type Look = (String, usize);

/// Values after each epoch, counted from 1. Few are shown as the points they are.
pub fn curve((label, color): Look, dashed: bool, values: &[f64]) -> Series {
    let mark = match (dashed, values.len()) {
        (true, _) => Mark::Dashed,
        (false, 0..=15) => Mark::LinePoints,
        (false, _) => Mark::Line,
    };
    Series::over_epochs(label, Color::Cycle(color), 1, values).mark(mark)
}

/// A panel of curves over epochs.
pub fn panel(y: Axis, curves: Vec<Series>) -> Panel {
    let epochs = curves.iter().flat_map(|one| &one.points).map(|point| point.0);
    Panel::plot("", Axis::linear("epoch").levels(epochs), y, means_over_epochs(curves))
}

/// A panel of one series of each trial. The colours repeat after six: from there on curves are dashed.
pub fn of_series<'a, E: Experiment>(
    y: Axis,
    done: impl IntoIterator<Item = &'a Done<E>>,
    name: &str,
    look: impl Fn(&Done<E>) -> Look,
) -> Result<Panel> {
    let of_trial = |done: &Done<E>| {
        let look = look(done);
        let dashed = look.1 >= 6;
        Ok(curve(look, dashed, done.measured().series(name)?).named(seeds::name(done.seed())))
    };
    Ok(panel(y, done.into_iter().map(of_trial).collect::<Result<_>>()?))
}

/// Four panels: loss and accuracy while training, then on the test images; one legend, in the second, serves all.
pub fn of_each_quantity<'a, E: Experiment>(
    train_loss: fn(String) -> Axis,
    done: impl IntoIterator<Item = &'a Done<E>> + Clone,
    look: impl Fn(&Done<E>) -> Look,
) -> Result<Vec<Panel>> {
    let panel = |set: &str, quantity: &str| {
        let y = format!("{set} {quantity}");
        let y = if y == "train loss" { train_loss(y) } else { Axis::linear(y) };
        let has_legend = (set, quantity) == ("train", "accuracy");
        of_series(y, done.clone(), &format!("{set}_{quantity}"), |done| {
            let (label, color) = look(done);
            (if has_legend { label } else { String::new() }, color)
        })
    };
    [("train", "loss"), ("train", "accuracy"), ("test", "loss"), ("test", "accuracy")]
        .into_iter()
        .map(|(set, quantity)| panel(set, quantity))
        .collect()
}

/// Two panels, loss and accuracy, each of both sets; on the test images dashed. `look` is told the set.
pub fn of_both_sets<'a, E: Experiment>(
    done: impl IntoIterator<Item = &'a Done<E>> + Clone,
    look: impl Fn(&Done<E>, &str, &str) -> Look,
) -> Result<Vec<Panel>> {
    let mut panels = Vec::new();
    for (quantity, y) in [("loss", Axis::log("loss (cross entropy)")), ("accuracy", Axis::linear("accuracy"))] {
        let mut curves = Vec::new();
        for done in done.clone() {
            for set in ["train", "test"] {
                let values = done.measured().series(&format!("{set}_{quantity}"))?;
                let curve = curve(look(done, set, quantity), set == "test", values);
                curves.push(curve.named(seeds::name(done.seed())));
            }
        }
        panels.push(panel(y, curves));
    }
    Ok(panels)
}
