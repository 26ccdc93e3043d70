//! Where labels inside a plot go: of vertical lines, and of level lines. Each is put where it covers no other label, and
//! no curve if it can be. Knows the layout, draws nothing.

use super::contour::Contours;
use super::figure::{Color, Content, Plot, Series};
use super::geometry::{Point, Rect, touches};
use super::layout::PanelLayout;
use super::style::*;
use super::text::{clean, shortened, text_width};

impl<'a> PanelLayout<'a> {
    /// The vertical lines that the axis can show, with their labels.
    pub(super) fn rules(&self) -> Vec<(f64, &'a str)> {
        let Content::Plot(Plot { rules, .. }) = &self.panel.content else { return Vec::new() };
        let placed = rules.iter().filter_map(|(at, label)| Some((self.x.transform(*at)?, &**label)));
        placed.map(|(t, label)| (self.across(self.x.range.fraction(t), RULE), label)).collect()
    }

    /// The labels of the vertical lines, beside them: each in the highest row where it is clear of
    /// the others, and of other lines if it can be.
    pub(super) fn rule_labels(&self) -> Vec<(Rect, String)> {
        let (plot, lines) = (self.plot, self.rules());
        let height = RULE_LABEL.cap_height();
        let mut placed: Vec<(Rect, String)> = Vec::new();
        for (x, label) in &lines {
            let label = shortened(&clean(label), RULE_LABEL, 0.45 * plot.width());
            if label.is_empty() {
                continue;
            }
            let width = text_width(&label, RULE_LABEL);
            let rows = (0..).map(|row| plot.y0 + GAP + f64::from(row) * RULE_LABEL.line_height());
            let rows = rows.take_while(|y0| y0 + height <= plot.y1);
            let beside = |y0| [x + GAP, x - GAP - width].map(|x0| Rect { x0, y0, x1: x0 + width, y1: y0 + height });
            let clear = |r: &Rect| {
                let inside = plot.x0 <= r.x0 && r.x1 <= plot.x1;
                inside && !placed.iter().any(|(other, _)| r.grown(GAP).overlaps(*other))
            };
            let candidates: Vec<Rect> = rows.flat_map(beside).filter(clear).collect();
            let uncrossed = |r: &&Rect| !lines.iter().any(|(line, _)| (r.x0..=r.x1).contains(line));
            if let Some(&spot) = candidates.iter().find(uncrossed).or(candidates.first()) {
                placed.push((spot, label));
            }
        }
        placed
    }

    /// The lines of a level, in drawing units.
    pub(super) fn level_lines(&self, contours: &Contours, level: f64) -> Vec<Vec<Point>> {
        let lines = contours.lines(level).into_iter().map(|line| Series::new("", Color::Ink, line));
        lines.flat_map(|line| self.runs(&line, &self.y[0])).collect()
    }

    /// What is written on the level lines: each once, on its longest line, where it is clear of the
    /// other labels and of the curves if it can be.
    pub(super) fn level_labels(&self) -> Vec<(Rect, String)> {
        let mut placed: Vec<(Rect, String)> = Vec::new();
        let Some(contours) = self.contours() else { return placed };
        let rules = self.rule_labels();
        let curves: Vec<Vec<Point>> = self.outlines().collect();
        let spread = |line: &Vec<Point>| line.windows(2).map(|w| (w[1].0 - w[0].0).hypot(w[1].1 - w[0].1)).sum::<f64>();
        for (level, label) in &contours.levels {
            let label = shortened(&clean(label), LEVEL_LABEL, 0.2 * self.plot.width());
            let lines = self.level_lines(contours, *level);
            let longest = lines.iter().max_by(|a, b| spread(a).total_cmp(&spread(b)));
            let Some(line) = longest.filter(|_| !label.is_empty()) else { continue };
            let half = (text_width(&label, LEVEL_LABEL) / 2.0 + GAP / 2.0, LEVEL_LABEL.cap_height() / 2.0 + GAP / 2.0);
            let spot = |&(x, y): &Point| Rect { x0: x - half.0, y0: y - half.1, x1: x + half.0, y1: y + half.1 };
            let clear = |r: &Rect| {
                let inside = self.plot.contains((r.x0, r.y0)) && self.plot.contains((r.x1, r.y1));
                inside && !placed.iter().chain(&rules).any(|(other, _)| r.overlaps(*other))
            };
            // Rather not at an end of the line.
            let (start, rest) = line.split_at(line.len() / 3);
            let along = rest.iter().chain(start).step_by(line.len().div_ceil(32));
            let candidates: Vec<Rect> = along.map(spot).filter(clear).collect();
            let free = |r: &&Rect| !curves.iter().any(|curve| touches(curve, **r));
            if let Some(&spot) = candidates.iter().find(free).or(candidates.first()) {
                placed.push((spot, label));
            }
        }
        placed
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::*;

    #[test]
    fn rules_widen_the_range_and_stand_behind_the_curves() {
        let panel = linear(line(|x| x, 0.0, 1.0, 4)).rules(vec![
            (-3.0, "left".into()),
            (f64::NAN, "no place".into()),
            (0.5, " ".into()),
        ]);
        let figure = figure(panel);
        laid_out(&figure, |layout| {
            let lines = layout.rules();
            assert_eq!(lines.len(), 2);
            assert!(layout.plot.x0 < lines[0].0 && lines[0].0 < layout.plot.x0 + 0.1 * layout.plot.width());
            let labels = layout.rule_labels();
            assert_eq!(labels.iter().map(|l| &*l.1).collect::<Vec<_>>(), ["left"]);
            assert!(first_runs(layout)[0].iter().all(|p| p.1 > labels[0].0.y1), "no data behind the label");
        });
        let drawn = figure.draw().unwrap();
        let rule = format!("stroke-width=\"{RULE}\"");
        assert_eq!(drawn.matches(&rule).count(), 2);
        assert!(drawn.rfind(&rule) < drawn.find(&format!("stroke-width=\"{CURVE}\"")));
        let without = linear(line(|x| x, 0.0, 1.0, 4));
        let unlabelled = without.clone().rules(vec![(0.5, String::new())]);
        let range = |panel: Panel| laid_out(&super::tests::figure(panel), |layout| (layout.x.range, layout.y[0].range));
        assert_eq!(range(without), range(unlabelled));
    }

    #[test]
    fn labels_of_rules_keep_clear_of_each_other() {
        for gap in [0.0, 0.01, 0.1, 0.5] {
            let label = |i: u32| if i == 3 { "a long label ".repeat(20) } else { format!("rule {i}") };
            let rules: Vec<(f64, String)> = (0..12).map(|i| (gap * f64::from(i), label(i))).collect();
            let figure = figure(linear(line(|x| x, 0.0, 5.0, 4)).rules(rules));
            laid_out(&figure, |layout| {
                let labels = layout.rule_labels();
                assert_eq!(labels.len(), 12);
                for (i, (spot, text)) in labels.iter().enumerate() {
                    assert!(
                        layout.plot.x0 <= spot.x0 && spot.x1 <= layout.plot.x1 && spot.y1 <= layout.plot.y1,
                        "{text}"
                    );
                    assert!(labels[..i].iter().all(|(other, _)| !other.overlaps(*spot)), "{text}");
                }
            });
        }
        assert!(figure(linear(vec![]).rules(vec![(0.0, "r".into()); 999])).svg().is_ok());
    }
}
