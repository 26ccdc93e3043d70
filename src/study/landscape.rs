//! What shows a loss around trained networks: along the line between two, along random directions, and by the
//! spectrum of its Hessian. From slices of numbers; knows no study. Curves of one colour and mark are of several
//! seeds: their mean is shown with a band.

use super::curves::Look;
use super::findings::cell;
use super::points::line;
use super::seeds::{means_at_points, median_of_each};
use crate::analysis::spectrum::smoothed;
use crate::data::Target;
use crate::plot::{Axis, Color, Mark, Panel, Series};

/// Losses (left axis) and accuracies (right axis) against α, with the two solutions at 0 and 1, named, marked.
pub fn along_line(losses: Vec<Series>, accuracies: Vec<Series>, [first, second]: [String; 2]) -> Panel {
    let finite: Vec<f64> = (losses.iter().flat_map(|series| &series.points))
        .filter_map(|&(_, loss)| (loss.is_finite() && loss > 0.0).then_some(loss))
        .collect();
    let lowest = finite.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = finite.iter().copied().fold(0.0, f64::max);
    let label = "loss (cross entropy)";
    // Far outside the segment the loss grows by powers of ten.
    let y = if is_wide([lowest, highest]) { Axis::log(label) } else { Axis::linear(label) };
    Panel::plot("", Axis::linear("α"), y, means_at_points(losses))
        .right(Axis::linear("accuracy"), means_at_points(accuracies))
        .rules(vec![(0.0, first), (1.0, second)])
}

/// Whether losses between these are drawn by their logarithm.
pub fn is_wide([lowest, highest]: [f64; 2]) -> bool {
    lowest > 0.0 && highest > 20.0 * lowest
}

/// "Test loss along α: lowest 0.05 at α = 1, highest 3e8 at α = 20.", of what such losses are called.
pub fn extremes(what: &str, alphas: &[f64], losses: &[f64]) -> String {
    let points = alphas.iter().zip(losses).filter(|(_, loss)| loss.is_finite());
    let lowest = points.clone().min_by(|a, b| a.1.total_cmp(b.1));
    let highest = points.max_by(|a, b| a.1.total_cmp(b.1));
    let at = |(alpha, loss): (&f64, &f64)| format!("{} at α = {}", cell(*loss), (alpha * 1e4).round() / 1e4);
    let not_finite = match losses.iter().filter(|loss| !loss.is_finite()).count() {
        0 => String::new(),
        count => format!(", not finite at {count} of {} α", alphas.len()),
    };
    match (lowest, highest) {
        (Some(low), Some(high)) => format!("{what}: lowest {}, highest {}{not_finite}.", at(low), at(high)),
        _ => format!("{what}: nowhere finite."),
    }
}

/// Losses along filter-normalised directions.
pub fn slices(curves: Vec<Series>) -> Panel {
    let (x, y) = (Axis::linear("step, in lengths of the filters"), Axis::log("train loss (cross entropy)"));
    Panel::plot("", x, y, means_at_points(curves))
}

/// The largest eigenvalues of each Hessian, descending, by rank; the number of classes is marked.
pub fn eigenvalues<'a>(of: impl IntoIterator<Item = (Look, &'a [f64])>, target: Target) -> Panel {
    let ranked = of.into_iter().map(|(look, values)| by_rank(look, values));
    ranks(means_at_points(ranked.collect()), target)
}

/// The same of trainings of several seeds, each with a number such as its loss: that of the median one, and the others
/// thin beside it, since they may have ended in different places.
pub fn eigenvalues_of_seeds<'a>(of: impl IntoIterator<Item = (Look, &'a [f64], f64)>, target: Target) -> Panel {
    let ranked = of.into_iter().map(|(look, values, number)| (by_rank(look, values), number));
    ranks(median_of_each(ranked.collect()), target)
}

fn by_rank(look: Look, values: &[f64]) -> Series {
    let ranks: Vec<f64> = (1..).map(f64::from).take(values.len()).collect();
    line(look, &ranks, values).mark(Mark::LinePoints)
}

fn ranks(series: Vec<Series>, target: Target) -> Panel {
    Panel::plot("", Axis::linear("rank"), Axis::log("eigenvalue"), series)
        .rules(target.classes().map(|classes| (classes as f64, format!("{classes} classes"))).into_iter().collect())
}

/// Densities below this are no more than tails of the widened nodes.
const LEAST_DENSITY: f64 = 1e-7;

/// The density of each Hessian's eigenvalues, smoothed; its nodes are eigenvalues, ascending, with their weights.
pub fn densities<'a>(of: impl IntoIterator<Item = (Look, &'a [f64], &'a [f64])>) -> Panel {
    densities_above(LEAST_DENSITY, of)
}

/// What one eigenvalue of so many adds to a smoothed density with these nodes, where it is highest, but a little: what
/// lies below is no eigenvalue.
pub fn least_density(eigenvalues: f64, nodes: &[f64]) -> f64 {
    let range = nodes.first().zip(nodes.last()).map_or(0.0, |(low, high)| high - low);
    let height = 1.0 / (eigenvalues * range / 200.0 * std::f64::consts::TAU.sqrt());
    if height.is_finite() { (height / 20.0).min(LEAST_DENSITY) } else { LEAST_DENSITY }
}

/// The same, as far as they lie above `least`.
pub fn densities_above<'a>(least: f64, of: impl IntoIterator<Item = (Look, &'a [f64], &'a [f64])>) -> Panel {
    let mut curves = Vec::new();
    for ((label, color), nodes, weights) in of {
        let nodes: Vec<(f64, f64)> = nodes.iter().copied().zip(weights.iter().copied()).collect();
        for (index, piece) in smoothed(&nodes, least).into_iter().enumerate() {
            let label = if index == 0 { label.as_str() } else { "" };
            curves.push(Series::new(label, Color::Cycle(color), piece));
        }
    }
    Panel::plot("", Axis::linear("eigenvalue"), Axis::log("density"), curves)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::{Content, Scale};

    fn plot(panel: Panel) -> crate::plot::Plot {
        let Content::Plot(plot) = panel.content else { panic!("no plot") };
        plot
    }

    #[test]
    fn a_line_far_outside_its_segment_is_on_a_log_axis() {
        let scale = |losses: [f64; 3]| {
            let losses = vec![line((String::new(), 0), &[0.0, 1.0, 2.0], &losses)];
            plot(along_line(losses, Vec::new(), ["a".into(), "b".into()])).y.scale
        };
        assert_eq!(scale([1.0, 2.0, 19.0]), Scale::Linear);
        assert_eq!(scale([1.0, 2.0, 21.0]), Scale::Log);
        assert_eq!(scale([1.0, f64::INFINITY, 19.0]), Scale::Linear);
    }

    #[test]
    fn extremes_are_those_of_finite_losses() {
        let alphas = [0.0, 0.333_333, 1.0];
        assert_eq!(
            extremes("Loss", &alphas, &[2.0, f64::NAN, 0.5]),
            "Loss: lowest 0.5000 at α = 1, highest 2.000 at α = 0, not finite at 1 of 3 α."
        );
        let all = extremes("Loss", &alphas, &[2.0, 3.0, 2.5]);
        assert_eq!(all, "Loss: lowest 2.000 at α = 0, highest 3.000 at α = 0.3333.");
        assert_eq!(extremes("Loss", &alphas, &[f64::INFINITY; 3]), "Loss: nowhere finite.");
    }

    #[test]
    fn one_eigenvalue_of_many_is_above_what_is_shown_least() {
        // Of 10⁶ on [-1, 3]: a Gaussian of 0.02 with a weight of 10⁻⁶.
        let least = least_density(1e6, &[-1.0, 0.0, 3.0]);
        assert!((least * 20.0 - 1e-6 / (0.02 * std::f64::consts::TAU.sqrt())).abs() < 1e-12 || least == LEAST_DENSITY);
        assert!(least_density(1e9, &[-1.0, 3.0]) < 1e-9);
        for nodes in [&[][..], &[2.0], &[2.0, 2.0]] {
            assert_eq!(least_density(10.0, nodes), LEAST_DENSITY);
        }
        assert_eq!(least_density(10.0, &[0.0, 1.0]), LEAST_DENSITY);
    }

    #[test]
    fn only_the_first_piece_of_a_density_is_in_the_legend() {
        let shown = plot(densities([(("a".into(), 1), &[0.0, 1.0][..], &[0.5, 0.5][..])])).series;
        let labels: Vec<&str> = shown.iter().map(|series| series.label.as_str()).collect();
        assert_eq!(labels, ["a", ""]);
    }
}
