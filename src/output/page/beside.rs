//! Two runs in one figure: the curves of both on the same axes where few enough can be told apart, else the one above the
//! other.
//! Knows figures as data, no study.

use crate::plot::{Axis, Color, Content, Figure, Mark, Panel, Plot, Series};
use std::iter::zip;

/// The palette's colours, half of which are another run's.
const HALF: usize = 3;

/// A figure of two runs; each by its name, that of `here` last.
pub(super) fn beside(there: (&str, &Figure), here: (&str, &Figure)) -> Figure {
    let holds_plots = |figure: &Figure| figure.plots().count() == figure.panels.len();
    let are_alike = there.1.panels.len() == here.1.panels.len() && holds_plots(there.1) && holds_plots(here.1);
    let pairs = there.1.plots().zip(here.1.plots()).map(|(a, b)| together((there.0, a), (here.0, b)));
    let together = are_alike.then(|| pairs.collect::<Option<Vec<Plot>>>()).flatten();
    let Figure { name, title, caption, columns, panels, .. } = here.1;
    let captions = if caption == &there.1.caption {
        caption.clone()
    } else {
        format!("({}) {} ({}) {caption}", there.0, there.1.caption, here.0)
    };
    let mut is_apart = false;
    let (columns, panels, how) = match together {
        Some(plots) => {
            let titles = panels.iter().map(|panel| panel.title.clone());
            let panel = |(title, plot)| Panel { title, content: Content::Plot(plot) };
            (
                *columns,
                titles.zip(plots).map(panel).collect(),
                format!("Dashed or hollow: {}; else {}", there.0, here.0),
            )
        }
        None => {
            let (columns, mut panels) = paired(there, here);
            is_apart = !share_axes(&mut panels);
            (columns, panels, format!("Above: {}; below: {}. In each", there.0, here.0))
        }
    };
    let said = |run: &str, of: &Figure| of.doubts.iter().map(|doubt| format!("{run}: {doubt}")).collect::<Vec<_>>();
    let mut doubts = [said(there.0, there.1), said(here.0, here.1)].concat();
    if is_apart {
        doubts
            .insert(0, "Each run has axes or colours of its own: compare numbers, not what they look like.".to_owned());
    }
    Figure { name: name.clone(), title: title.clone(), caption: format!("{how}: {captions}"), columns, panels, doubts }
}

/// Both runs' curves on one pair of axes; `None` where they measure something else, or could not be told apart.
fn together((there, a): (&str, &Plot), (here, b): (&str, &Plot)) -> Option<Plot> {
    let is_plain = |plot: &Plot| {
        let is_plain = |series: &Series| {
            let has_room = matches!(series.color, Color::Ink | Color::Cycle(0..HALF));
            has_room && matches!(series.mark, Mark::Line | Mark::LinePoints | Mark::Points | Mark::Band)
        };
        plot.right.is_none() && plot.contours.is_none() && plot.series.iter().all(is_plain)
    };
    let kind = |axis: &Axis| (axis.label.clone(), axis.scale);
    if [&a.x, &a.y].map(kind) != [&b.x, &b.y].map(kind) || !is_plain(a) || !is_plain(b) {
        return None;
    }
    let labelled = |series: &Series, run: &str, is_first: bool| {
        let mut series = series.clone();
        series.label = match (series.label.is_empty(), series.mark) {
            (false, _) => format!("{}, {run}", series.label),
            // A curve without a name: the run's is what tells it from the other.
            (true, mark) if is_first && mark != Mark::Band => run.to_owned(),
            _ => String::new(),
        };
        series
    };
    // The truth is the same in both.
    let is_in_both = |series: &Series| {
        let is_same = |other: &Series| {
            let bits = |of: &Series| of.points.iter().map(|(x, y)| (x.to_bits(), y.to_bits())).collect::<Vec<_>>();
            other.color == Color::Ink && other.mark == series.mark && bits(other) == bits(series)
        };
        series.color == Color::Ink && [a, b].iter().all(|plot| plot.series.iter().any(is_same))
    };
    let nameless = |plot: &Plot| plot.series.iter().all(|series| series.label.is_empty());
    let first_line = |plot: &Plot| plot.series.iter().position(|series| series.mark != Mark::Band);
    let name_of = |plot: &Plot, at: usize| nameless(plot) && first_line(plot) == Some(at);
    let of_there = a.series.iter().enumerate().filter(|(_, series)| !is_in_both(series)).map(|(at, series)| {
        let mut series = labelled(series, there, name_of(a, at));
        series.mark = match series.mark {
            Mark::Line | Mark::LinePoints => Mark::Dashed,
            Mark::Points => Mark::Circles,
            other => other,
        };
        recolour(&mut series);
        series
    });
    let of_here = b.series.iter().enumerate().map(|(at, series)| match is_in_both(series) {
        true => series.clone(),
        false => labelled(series, here, name_of(b, at)),
    });
    let mut series: Vec<Series> = of_there.chain(of_here).collect();
    // Bands lie under all lines; stable, so that the rest keeps its order.
    series.sort_by_key(|series| series.mark != Mark::Band);
    let mut rules = b.rules.clone();
    let only_there = a.rules.iter().filter(|rule| !b.rules.contains(rule));
    rules.extend(only_there.map(|(x, label)| {
        let label = if label.is_empty() { String::new() } else { format!("{label}, {there}") };
        (*x, label)
    }));
    // Ticks at the levels of one run could miss the other's.
    let axis = |a: &Axis, b: &Axis| Axis {
        levels: if a.levels == b.levels { b.levels.clone() } else { Vec::new() },
        ..b.clone()
    };
    let (x, y) = (axis(&a.x, &b.x), axis(&a.y, &b.y));
    Some(Plot { x, y, series, right: None, rules, contours: None })
}

/// In the other half of the palette, and what it is a mean of.
fn recolour(series: &mut Series) {
    if let Color::Cycle(place) = &mut series.color {
        *place += HALF;
    }
    series.members.iter_mut().for_each(recolour);
}

/// The panels of the one above those of the other, as many a row as each has.
fn paired((there, a): (&str, &Figure), (here, b): (&str, &Figure)) -> (usize, Vec<Panel>) {
    let titled = |run: &str, panel: &Panel| {
        let title = if panel.title.is_empty() { run.to_owned() } else { format!("{}, {run}", panel.title) };
        Panel { title, content: panel.content.clone() }
    };
    let columns = match [a, b].map(|figure| (figure.columns.max(1), figure.panels.len())) {
        [(columns, count), (others, _)] if columns == others && count.is_multiple_of(columns) => columns,
        [(_, count @ 1..=3), (_, others)] if count == others => count,
        _ => 1,
    };
    let of_there = a.panels.iter().map(|panel| titled(there, panel));
    (columns, of_there.chain(b.panels.iter().map(|panel| titled(here, panel))).collect())
}

/// Gives each panel of the upper half and the one below it the same axes, and says whether all have them.
fn share_axes(panels: &mut [Panel]) -> bool {
    let half = panels.len() / 2;
    let is_even = panels.len().is_multiple_of(2);
    let (upper, lower) = panels.split_at_mut(half);
    zip(upper, lower).fold(is_even, |all, (a, b)| {
        let (Content::Plot(a), Content::Plot(b)) = (&mut a.content, &mut b.content) else { return false };
        share(a, b) && all
    })
}

/// Where they measure the same, and what one's axes mean does not depend on the run, as a plane does.
fn share(a: &mut Plot, b: &mut Plot) -> bool {
    let sides = |plot: &Plot| plot.sides().map(|(axis, _)| (axis.label.clone(), axis.scale)).collect::<Vec<_>>();
    let kind =
        |plot: &Plot| (plot.x.label.clone(), plot.x.scale, sides(plot), has_labels(plot), plot.contours.is_none());
    if kind(a) != kind(b) || a.contours.is_some() {
        return false;
    }
    let ends = [extents(a), extents(b)];
    for plot in [a, b] {
        plot.x.reach = ends.iter().flat_map(|its| its.0.clone()).collect();
        plot.y.reach = ends.iter().flat_map(|its| its.1.clone()).collect();
        if let Some((right, _)) = &mut plot.right {
            right.reach = ends.iter().flat_map(|its| its.2.clone()).collect();
        }
    }
    true
}

/// Above the curves there is room for these.
fn has_labels(plot: &Plot) -> bool {
    plot.rules.iter().any(|(_, label)| !label.is_empty())
}

/// The least and the greatest number that each axis can show: of x, y and the right one.
fn extents(plot: &Plot) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let ends = |axis: &Axis, values: Vec<f64>| {
        let shown = values.into_iter().filter(|value| axis.scale.transform(*value).is_some());
        let range = shown.fold(None, |range: Option<[f64; 2]>, value| {
            Some(range.map_or([value; 2], |[low, high]| [low.min(value), high.max(value)]))
        });
        range.into_iter().flatten().collect()
    };
    let x = plot.sides().flat_map(|(_, series)| series).flat_map(|series| series.points.iter().map(|point| point.0));
    let x = ends(&plot.x, x.chain(plot.rules.iter().map(|rule| rule.0)).collect());
    let mut vertical = plot.sides().map(|(axis, series)| {
        ends(axis, series.iter().flat_map(|series| series.points.iter().map(|point| point.1)).collect())
    });
    (x, vertical.next().unwrap_or_default(), vertical.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::Contours;

    fn line(label: &str, color: Color, height: f64) -> Series {
        Series::new(label, color, vec![(0.0, height), (1.0, height)])
    }

    fn figure(panels: Vec<Panel>) -> Figure {
        let [name, title, caption] = ["name", "title", "Seen."].map(str::to_owned);
        Figure { name, title, caption, columns: 1, panels, ..Figure::default() }
    }

    fn panel(series: Vec<Series>) -> Panel {
        Panel::plot("", Axis::linear("x"), Axis::log("y"), series)
    }

    fn series(figure: &Figure) -> Vec<(&str, Color, Mark)> {
        let Content::Plot(plot) = &figure.panels[0].content else { panic!("no plot") };
        plot.series.iter().map(|series| (series.label.as_str(), series.color, series.mark)).collect()
    }

    #[test]
    fn curves_of_both_share_the_axes_and_the_truth_is_drawn_once() {
        let truth = line("truth", Color::Ink, 3.0);
        let band = Series::band("", Color::Cycle(0), [(0.0, 1.0, 2.0), (1.0, 1.0, 2.0)]);
        let of = |height| vec![band.clone(), line("A", Color::Cycle(0), height), truth.clone()];
        let rules =
            |labels: &[&str]| labels.iter().zip(1..).map(|(label, x)| (f64::from(x), (*label).to_owned())).collect();
        let there = figure(vec![panel(of(1.0)).rules(rules(&["same", "fits"]))]);
        let here = figure(vec![panel(of(2.0)).rules(rules(&["same"]))]);
        let both = beside(("report", &there), ("canonical", &here));
        assert_eq!(
            series(&both),
            [
                ("", Color::Cycle(3), Mark::Band),
                ("", Color::Cycle(0), Mark::Band),
                ("A, report", Color::Cycle(3), Mark::Dashed),
                ("A, canonical", Color::Cycle(0), Mark::Line),
                ("truth", Color::Ink, Mark::Line),
            ]
        );
        let Content::Plot(plot) = &both.panels[0].content else { panic!("no plot") };
        assert_eq!(plot.rules, [(1.0, "same".to_owned()), (2.0, "fits, report".to_owned())]);
        assert_eq!(both.caption, "Dashed or hollow: report; else canonical: Seen.");
        assert_eq!(both.doubts, [""; 0]);
    }

    #[test]
    fn a_curve_without_a_name_has_its_runs() {
        let of =
            |height| figure(vec![panel(vec![line("", Color::Cycle(0), height), line("", Color::Cycle(1), height)])]);
        let both = beside(("a", &of(1.0)), ("b", &of(2.0)));
        let labels: Vec<&str> = series(&both).iter().map(|series| series.0).collect();
        assert_eq!(labels, ["a", "", "b", ""]);
    }

    #[test]
    fn what_could_not_be_told_apart_stands_above_each_other() {
        let plain = || panel(vec![line("A", Color::Cycle(0), 1.0)]);
        let grid = Contours { x: vec![0.0, 1.0], y: vec![0.0, 1.0], z: vec![1.0, 2.0, 3.0, 4.0], levels: vec![] };
        let other_axis = Panel::plot("", Axis::linear("x"), Axis::linear("y"), vec![line("A", Color::Cycle(0), 1.0)]);
        for other in [
            panel(vec![line("A", Color::Cycle(0), 1.0).mark(Mark::Dashed)]),
            panel(vec![line("A", Color::Cycle(3), 1.0)]),
            plain().contours(grid),
            plain().right(Axis::linear("right"), vec![]),
            other_axis,
        ] {
            let both = beside(("a", &figure(vec![plain()])), ("b", &figure(vec![other])));
            let titles: Vec<&str> = both.panels.iter().map(|panel| panel.title.as_str()).collect();
            assert_eq!((titles, both.columns), (vec!["a", "b"], 1));
            assert!(both.caption.starts_with("Above: a; below: b. In each: Seen."), "{}", both.caption);
            let [a, b] = [0, 1].map(|at| match &both.panels[at].content {
                Content::Plot(plot) => plot,
                _ => panic!("no plot"),
            });
            let is_shared = !a.x.reach.is_empty() && (&a.x, &a.y) == (&b.x, &b.y);
            assert_eq!(both.doubts.is_empty(), is_shared, "{:?}", both.doubts);
        }
        // The lower panel begins at 1, and a rule of the upper one lies at 7.
        let of = |height, at| {
            let dashed = vec![line("A", Color::Cycle(0), height).mark(Mark::Dashed), line("A", Color::Cycle(0), -1.0)];
            figure(vec![
                panel(dashed)
                    .rules(vec![(at, String::new())])
                    .right(Axis::linear("r"), vec![line("", Color::Ink, height)]),
            ])
        };
        let both = beside(("a", &of(2.0, 7.0)), ("b", &of(1.0, 0.5)));
        for panel in &both.panels {
            let Content::Plot(plot) = &panel.content else { panic!("no plot") };
            let right = &plot.right.as_ref().unwrap().0;
            // What a log axis cannot show is not reached for.
            let reach = [&plot.x, &plot.y, right].map(|axis| axis.reach.clone());
            assert_eq!(reach, [vec![0.0, 7.0, 0.0, 1.0], vec![2.0, 2.0, 1.0, 1.0], vec![2.0, 2.0, 1.0, 1.0]]);
        }
        assert_eq!(both.doubts, [""; 0]);
        // More panels there; as many a row as each has, or as fit.
        for (there, here, columns, expected) in [(2, 1, 1, 1), (2, 2, 2, 2), (4, 4, 2, 2), (3, 3, 2, 3), (5, 5, 2, 1)] {
            let of = |count: usize| Figure { columns, ..figure((0..count).map(|_| panel(vec![])).collect()) };
            let (there, here) = (of(there), of(here));
            let (found, panels) = paired(("a", &there), ("b", &here));
            let titles: Vec<&str> = panels.iter().map(|panel| panel.title.as_str()).collect();
            assert_eq!(titles, [vec!["a"; there.panels.len()], vec!["b"; here.panels.len()]].concat());
            assert_eq!(found, expected, "{columns} columns");
        }
    }
}
