//! Learning curves: panels of series over epochs, by naming the series. Those of one colour and mark are of several
//! seeds and become a mean with a band.

use super::experiment::{Done, Experiment};
use super::seeds::means_over_epochs;
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
    Panel::plot("", Axis::linear("epoch"), y, means_over_epochs(curves))
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
        Ok(curve(look, dashed, done.measured().series(name)?))
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
                curves.push(curve(look(done, set, quantity), set == "test", values));
            }
        }
        panels.push(panel(y, curves));
    }
    Ok(panels)
}

#[cfg(test)]
mod tests {
    use super::super::toy::{Toy, done};
    use super::*;
    use crate::plot::{Content, Plot, Scale};

    fn plot(panel: &Panel) -> &Plot {
        let Content::Plot(plot) = &panel.content else { panic!("no curves") };
        plot
    }

    type Shown<'a> = (&'a str, Mark, &'a [(f64, f64)]);

    fn shown(panel: &Panel) -> Vec<Shown<'_>> {
        plot(panel).series.iter().map(|one| (one.label.as_str(), one.mark, one.points.as_slice())).collect()
    }

    #[test]
    fn a_panel_has_a_curve_a_variant_dashed_from_the_seventh_on() {
        let all = [done("a", 0, 1.0), done("a", 1, 3.0), done("g", 0, 5.0)];
        let look = |done: &Done<Toy>| (done.label.clone(), if done.label == "a" { 0 } else { 6 });
        let panel = of_series(Axis::linear("y"), &all, "train_loss", look).unwrap();
        let band = [(1.0, 1.0), (1.0, 3.0)];
        assert_eq!(
            shown(&panel),
            [("", Mark::Band, &band[..]), ("a", Mark::LinePoints, &[(1.0, 2.0)]), ("g", Mark::Dashed, &[(1.0, 5.0)])]
        );
        assert!(of_series(Axis::linear("y"), &all, "none", look).is_err());
        let long: Vec<f64> = vec![0.0; 16];
        assert_eq!(curve((String::new(), 0), false, &long).mark, Mark::Line);
        assert_eq!(curve((String::new(), 0), false, &long[1..]).mark, Mark::LinePoints);
    }

    #[test]
    fn panels_of_both_sets_and_of_each_quantity() {
        let all = [done("a", 0, 1.0)];
        let look = |_: &Done<Toy>, set: &str, quantity: &str| (format!("{set} {quantity}"), 0);
        let panels = of_both_sets(&all, look).unwrap();
        let labels: Vec<Vec<&str>> =
            panels.iter().map(|panel| shown(panel).iter().map(|one| one.0).collect()).collect();
        assert_eq!(labels, [["train loss", "test loss"], ["train accuracy", "test accuracy"]]);
        let marks: Vec<Mark> = shown(&panels[0]).iter().map(|one| one.1).collect();
        assert_eq!(marks, [Mark::LinePoints, Mark::Dashed]);
        assert_eq!(panels.iter().map(|panel| plot(panel).y.scale).collect::<Vec<_>>(), [Scale::Log, Scale::Linear]);

        let panels = of_each_quantity(Axis::log, &all, |done| (done.label.clone(), 0)).unwrap();
        let axes: Vec<(&str, Scale, &str)> =
            panels.iter().map(|p| (plot(p).y.label.as_str(), plot(p).y.scale, shown(p)[0].0)).collect();
        assert_eq!(
            axes,
            [
                ("train loss", Scale::Log, ""),
                ("train accuracy", Scale::Linear, "a"),
                ("test loss", Scale::Linear, ""),
                ("test accuracy", Scale::Linear, "")
            ]
        );
    }
}
