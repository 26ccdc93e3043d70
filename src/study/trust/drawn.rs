//! What a figure cannot show of its own numbers, and what it shows that was never measured: the range of its axes. Knows
//! figures and numbers, no study.

use crate::plot::{Axis, Figure, Mark, Scale};
use crate::study::number::whole_or_significant;

/// Of points that a logarithmic axis has no place for.
pub fn not_positive(figure: &Figure) -> Option<String> {
    let count = points(figure).filter(|(x, y)| [x, y].iter().any(|(value, is_log)| *is_log && *value <= 0.0)).count();
    match count {
        0 => None,
        1 => Some("One point is not above 0: a logarithmic axis has no place for it.".to_owned()),
        _ => Some(format!("{count} points are not above 0: a logarithmic axis has no place for them.")),
    }
}

/// The lowest loss on a logarithmic vertical axis.
pub fn lowest_loss_on_log(figure: &Figure) -> Option<f64> {
    let losses = points_on(figure, |axis| axis.label.contains("loss"));
    losses.filter(|(_, (y, is_log))| *is_log && *y > 0.0).map(|(_, (y, _))| y).min_by(f64::total_cmp)
}

/// A value, and whether its axis is logarithmic.
type Placed = (f64, bool);

/// Finite points of curves, each coordinate with whether its axis is logarithmic. Edges of bands and bars may run off.
fn points(figure: &Figure) -> impl Iterator<Item = (Placed, Placed)> {
    points_on(figure, |_| true)
}

/// Those on some of the vertical axes.
fn points_on(figure: &Figure, is_meant: fn(&Axis) -> bool) -> impl Iterator<Item = (Placed, Placed)> {
    figure.plots().flat_map(move |plot| {
        plot.sides().filter(move |(axis, _)| is_meant(axis)).flat_map(|(axis, series)| {
            let (log_x, log_y) = (plot.x.scale == Scale::Log, axis.scale == Scale::Log);
            let curves = series.iter().filter(|one| !matches!(one.mark, Mark::Band | Mark::Bars));
            let finite = curves.flat_map(|one| &one.points).filter(|(x, y)| x.is_finite() && y.is_finite());
            finite.map(move |(x, y)| ((*x, log_x), (*y, log_y)))
        })
    })
}

/// Of a line between two solutions, at 0 and 1, that is drawn beyond them.
pub fn extrapolated([low, high]: [f64; 2]) -> Option<String> {
    (low < 0.0 || high > 1.0).then(|| {
        let beyond = match (low < 0.0, high > 1.0) {
            (true, true) => "below 0 and above 1",
            (true, false) => "below 0",
            (false, _) => "above 1",
        };
        let [low, high] = [low, high].map(|end| whole_or_significant(end, 3));
        format!(
            "α goes from {low} to {high}: {beyond} the weights are extrapolated, and the losses there say nothing of what lies \
             between the two solutions."
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::{Color, Panel, Series};

    fn figure(x: Axis, y: Axis, series: Vec<Series>) -> Figure {
        let panels = vec![Panel::plot("", x, y, series)];
        Figure { panels, ..Figure::default() }
    }

    #[test]
    fn what_a_log_axis_leaves_out_is_counted() {
        let line = |points: &[(f64, f64)]| Series::new("", Color::Ink, points.to_vec());
        let (linear, log) = (|| Axis::linear("a"), || Axis::log("a"));
        for (x, y, points, count) in [
            (linear(), linear(), &[(0.0, 0.0), (-1.0, -1.0)][..], None),
            (linear(), log(), &[(0.0, 1.0), (1.0, 1e-9)], None),
            (linear(), log(), &[(0.0, 1.0), (1.0, 0.0)], Some("One point is")),
            (log(), log(), &[(0.0, 1.0), (1.0, -2.0), (0.0, 0.0)], Some("3 points are")),
            // Another rule counts these.
            (linear(), log(), &[(0.0, f64::NAN), (1.0, f64::NEG_INFINITY)], None),
            (linear(), Axis::symlog("a", 0), &[(0.0, -1.0)], None),
        ] {
            let said = not_positive(&figure(x, y, vec![line(points)]));
            assert_eq!(said.is_some(), count.is_some(), "{points:?}");
            assert!(said.zip(count).is_none_or(|(said, count)| said.starts_with(count)));
        }
        let band = Series::band("", Color::Ink, [(0.0, -1.0, 1.0)]);
        assert_eq!(not_positive(&figure(linear(), log(), vec![band])), None);
        let right = |label| {
            let empty = Panel::plot("", linear(), linear(), vec![]);
            let panels = vec![empty.right(Axis::log(label), vec![line(&[(0.0, 0.0), (1.0, 0.5)])])];
            Figure { panels, ..Figure::default() }
        };
        assert!(not_positive(&right("density")).is_some());
        assert_eq!(["train loss", "density"].map(|label| lowest_loss_on_log(&right(label))), [Some(0.5), None]);
        assert_eq!(lowest_loss_on_log(&figure(log(), Axis::linear("loss"), vec![line(&[(1.0, 1.0)])])), None);
    }

    #[test]
    fn what_lies_beyond_the_solutions_is_extrapolated() {
        for (ends, said) in [
            ([0.0, 1.0], None),
            ([0.1, 0.9], None),
            ([-0.5, 1.0], Some("α goes from -0.500 to 1:")),
            ([0.0, 20.0], Some("α goes from 0 to 20:")),
            ([f64::NAN, 1.0], None),
        ] {
            let found = extrapolated(ends);
            assert_eq!(found.is_some(), said.is_some(), "{ends:?}");
            assert!(found.zip(said).is_none_or(|(found, said)| found.starts_with(said)), "{ends:?}");
        }
    }
}
