//! What the curves of a figure are called for the page's switches and readings. A static legend names a curve once, in one of
//! its panels; in the others the same colour says which it is, which no script can read.

use crate::plot::{Color, Figure, Mark, Series};
use std::collections::BTreeSet;

/// The labelled curves of a figure, by how they look.
pub(super) struct Names<'a>(Vec<(Color, Mark, &'a str)>);

impl<'a> Names<'a> {
    pub fn of(figure: &'a Figure) -> Self {
        let series = figure.plots().flat_map(|plot| plot.sides().flat_map(|(_, series)| series));
        let labelled = series.filter(|series| !series.label.is_empty() && series.mark != Mark::Band);
        Self(labelled.map(|series| (series.color, series.mark, series.label.as_str())).collect())
    }

    /// Its own label, else that of the one curve which looks the same, else of the one in its colour; empty where that could
    /// be several. A band goes with its line.
    pub fn name(&self, series: &'a Series) -> &'a str {
        if !series.label.is_empty() || series.mark == Mark::Band {
            return &series.label;
        }
        let only = |looks: &dyn Fn(Color, Mark) -> bool| {
            let labels: BTreeSet<&'a str> =
                self.0.iter().filter(|(color, mark, _)| looks(*color, *mark)).map(|(.., label)| *label).collect();
            (labels.len() == 1).then(|| labels.first().copied()).flatten()
        };
        let same = only(&|color, mark| (color, mark) == (series.color, series.mark));
        same.or_else(|| only(&|color, _| color == series.color)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::{Axis, Panel};

    #[test]
    fn a_curve_has_the_name_of_the_one_that_looks_like_it() {
        use Mark::*;
        let series = |label: &str, color, mark| Series::new(label, Color::Cycle(color), vec![]).mark(mark);
        let labelled =
            vec![series("a", 0, Line), series("b, train", 1, Line), series("b, test", 1, Dashed), series("", 2, Line)];
        let panels = vec![
            Panel::plot("", Axis::linear("x"), Axis::linear("y"), vec![]),
            Panel::plot("", Axis::linear("x"), Axis::linear("y"), vec![]).right(Axis::linear("right"), labelled),
        ];
        let figure = Figure { panels, ..Figure::default() };
        let names = Names::of(&figure);
        for (color, mark, name) in [
            (0, Line, "a"),
            // Thin lines, and the points of all.
            (0, Thin, "a"),
            (0, Points, "a"),
            (0, Band, ""),
            (1, Line, "b, train"),
            (1, Dashed, "b, test"),
            // It could be either.
            (1, Thin, ""),
            (2, Line, ""),
            (3, Line, ""),
        ] {
            assert_eq!(names.name(&series("", color, mark)), name, "{color} {mark:?}");
        }
        assert_eq!(names.name(&series("own", 0, Line)), "own");
    }
}
