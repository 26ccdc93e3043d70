//! Where labels inside a plot go: those of vertical lines and those of level lines. Each is where it covers no other
//! label, and no curve if that can be. Knows the layout, draws nothing.

use super::figure::{Content, Plot};
use super::text::{clean, shortened, text_width};
use super::{geometry::*, layout::PanelLayout, style::*};

impl<'a> PanelLayout<'a> {
    /// The vertical lines that the axis can show, with their labels.
    pub(super) fn rules(&self) -> Vec<(f64, &'a str)> {
        let Content::Plot(Plot { rules, .. }) = &self.panel.content else { return Vec::new() };
        let shown = rules.iter().filter_map(|(at, label)| Some((self.x.fraction(*at)?, &**label)));
        shown.map(|(at, label)| (self.dotted_x(at, RULE), label)).collect()
    }

    /// The labels of the vertical lines, beside them: each in the highest row where it is clear of
    /// the others, and of other lines if it can be.
    pub(super) fn rule_labels(&self) -> Vec<(Rect, String)> {
        let (plot, lines) = (self.plot, self.rules());
        let height = RULE_LABEL.cap_height();
        let mut placed: Vec<(Rect, String)> = Vec::new();
        let labels = lines.iter().map(|(x, label)| (x, shortened(&clean(label), RULE_LABEL, 0.45 * plot.width())));
        for (x, label) in labels.filter(|(_, label)| !label.is_empty()) {
            let width = text_width(&label, RULE_LABEL);
            let rows = (0..).map(|row| plot.y0 + GAP + f64::from(row) * RULE_LABEL.line_height());
            let rows = rows.take_while(|y0| y0 + height <= plot.y1);
            let beside = |y0| [x + GAP, x - GAP - width].map(|x0| Rect::sized((x0, y0), width, height));
            let clear = |r: &Rect| {
                let inside = plot.x0 <= r.x0 && r.x1 <= plot.x1;
                inside && !placed.iter().any(|(other, _)| r.grown(GAP).overlaps(*other))
            };
            let candidates: Vec<Rect> = rows.flat_map(beside).filter(clear).collect();
            let uncrossed = |r: &&Rect| !lines.iter().any(|(line, _)| (r.x0..=r.x1).contains(line));
            if let Some(&area) = candidates.iter().find(uncrossed).or(candidates.first()) {
                placed.push((area, label));
            }
        }
        placed
    }

    /// What is written on the level lines: each once, on its longest line, where it is clear of the
    /// other labels and of the curves if it can be.
    pub(super) fn level_labels(&self) -> Vec<(Rect, String)> {
        let mut placed: Vec<(Rect, String)> = Vec::new();
        let Some(contours) = self.contours() else { return placed };
        let rules = self.rule_labels();
        let curves: Vec<Vec<Point>> = self.outlines().collect();
        let length = |line: &Vec<Point>| line.windows(2).map(|w| (w[1].0 - w[0].0).hypot(w[1].1 - w[0].1)).sum::<f64>();
        for (level, label) in &contours.levels {
            let label = shortened(&clean(label), LEVEL_LABEL, 0.2 * self.plot.width());
            let lines = self.level_lines(contours, *level);
            let longest = lines.iter().max_by(|a, b| length(a).total_cmp(&length(b)));
            let Some(line) = longest.filter(|_| !label.is_empty()) else { continue };
            let [rx, ry] = [text_width(&label, LEVEL_LABEL), LEVEL_LABEL.cap_height()].map(|d| d / 2.0 + GAP / 2.0);
            let around = |&(x, y): &Point| Rect { x0: x - rx, y0: y - ry, x1: x + rx, y1: y + ry };
            let clear = |r: &Rect| {
                let inside = self.plot.contains((r.x0, r.y0)) && self.plot.contains((r.x1, r.y1));
                inside && !placed.iter().chain(&rules).any(|(other, _)| r.overlaps(*other))
            };
            // Rather not at an end of the line.
            let (start, rest) = line.split_at(line.len() / 3);
            let along = rest.iter().chain(start).step_by(line.len().div_ceil(32));
            let candidates: Vec<Rect> = along.map(around).filter(clear).collect();
            let free = |r: &&Rect| !curves.iter().any(|curve| r.touches(curve));
            if let Some(&area) = candidates.iter().find(free).or(candidates.first()) {
                placed.push((area, label));
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
        let rising = || linear(line(|x| x, 0.0, 1.0, 4));
        let rules = vec![(-3.0, "left".into()), (f64::NAN, "no place".into()), (0.5, " ".into())];
        let ruled = figure(rising().rules(rules));
        let panel = laid_out(&ruled);
        let lines = panel.rules();
        assert_eq!(lines.len(), 2);
        assert!(panel.plot.x0 < lines[0].0 && lines[0].0 < panel.plot.x0 + 0.1 * panel.plot.width());
        let labels = panel.rule_labels();
        assert_eq!(labels.iter().map(|l| &*l.1).collect::<Vec<_>>(), ["left"]);
        assert!(first_runs(&panel)[0].iter().all(|p| p.1 > labels[0].0.y1), "no data behind the label");
        let drawn = ruled.draw().unwrap();
        let rule = format!("stroke-width=\"{RULE}\"");
        assert_eq!(drawn.matches(&rule).count(), 2);
        assert!(drawn.rfind(&rule) < drawn.find(&format!("stroke-width=\"{CURVE}\"")));
        let [without, unlabelled] = [rising(), rising().rules(vec![(0.5, String::new())])].map(|panel| {
            let figure = figure(panel);
            let panel = laid_out(&figure);
            (panel.x.range, panel.y[0].range)
        });
        assert_eq!(without, unlabelled);
    }

    #[test]
    fn labels_of_rules_keep_clear_of_each_other() {
        for gap in [0.0, 0.01, 0.1, 0.5] {
            let label = |i: u32| if i == 3 { "a long label ".repeat(20) } else { format!("rule {i}") };
            let rules: Vec<(f64, String)> = (0..12).map(|i| (gap * f64::from(i), label(i))).collect();
            let figure = figure(linear(line(|x| x, 0.0, 5.0, 4)).rules(rules));
            let panel = laid_out(&figure);
            let (plot, labels) = (panel.plot, panel.rule_labels());
            assert_eq!(labels.len(), 12);
            for (i, (area, text)) in labels.iter().enumerate() {
                assert!(plot.x0 <= area.x0 && area.x1 <= plot.x1 && area.y1 <= plot.y1, "{text}");
                assert!(labels[..i].iter().all(|(other, _)| !other.overlaps(*area)), "{text}");
            }
        }
        assert!(figure(linear(vec![]).rules(vec![(0.0, "r".into()); 999])).svg().is_ok());
    }
}
