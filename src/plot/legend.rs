//! The legend of a panel: its entries, where it stands, how it is drawn. Inside the plot where it covers no data,
//! otherwise beside or below it. Does not know what the series mean.

use anyhow::Result;
use plotters::style::text_anchor::HPos;

use super::figure::{Color, Mark};
use super::layout::{PanelLayout, Side};
use super::text::{ELLIPSIS, clean, shortened_apart, text_width};
use super::{canvas::Canvas, geometry::*, style::*};

const SAMPLE: f64 = 528.0; // length of an entry's line: three dashes, two gaps
const PAD: f64 = 1.4 * MM;
const ROW: f64 = 1.4 * LEGEND.size;
const COLUMN_GAP: f64 = 4.0 * GAP;

pub(super) struct Legend {
    pub(super) entries: Vec<Entry>,
}

pub(super) struct Entry {
    color: Color,
    pub(super) marks: Vec<Mark>,
    pub(super) label: String,
    width: f64,
}

/// Where a panel's legend goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum LegendPosition {
    Nowhere,
    Inside(Rect),
    Right,
    Below,
}

impl LegendPosition {
    pub(super) fn is_outside(self) -> bool {
        matches!(self, Self::Right | Self::Below)
    }
}

/// How the entries of a legend stand.
pub(super) struct LegendLayout {
    /// Left edges of the columns; entries follow each other row by row.
    columns: Vec<f64>,
    shown: usize,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Legend {
    pub(super) fn new<'a>(sides: &'a [Side], cell: Rect) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let of_side = |(side, suffix): (&'a Side, &'a str)| {
            let labels: Vec<String> = side.series.iter().map(|series| clean(&series.label)).collect();
            let max_width = 0.55 * cell.width() - text_width(suffix, LEGEND);
            let shown = shortened_apart(&labels, LEGEND, max_width);
            side.series.iter().zip(labels.into_iter().zip(shown)).map(move |(series, of)| (series, of, suffix))
        };
        let series = sides.iter().zip(["", " (right)"]).flat_map(of_side);
        for (series, (_, label), suffix) in series.filter(|(_, (label, _), _)| !label.is_empty()) {
            let label = label + suffix;
            match entries.iter_mut().find(|e| e.label == label && e.color == series.color) {
                Some(twin) if twin.marks.contains(&series.mark) => {}
                Some(twin) => twin.marks.push(series.mark),
                None => {
                    let width = text_width(&label, LEGEND);
                    entries.push(Entry { color: series.color, marks: vec![series.mark], label, width });
                }
            }
        }
        Self { entries }
    }

    /// All entries under each other.
    pub(super) fn as_column(&self) -> LegendLayout {
        LegendLayout {
            columns: vec![0.0],
            shown: self.entries.len(),
            width: self.widths(1).iter().sum::<f64>() + 2.0 * PAD,
            height: self.entries.len() as f64 * ROW + PAD,
        }
    }

    /// In as few rows as the cell's width allows, and at most two fifths of its height.
    pub(super) fn as_rows(&self, cell: Rect) -> LegendLayout {
        let count = self.entries.len().max(1);
        let total = |columns: usize| self.widths(columns).iter().sum::<f64>() + (columns - 1) as f64 * COLUMN_GAP;
        let fits = |columns: &usize| total(*columns) <= cell.width() - 2.0 * MARGIN;
        let most = (1..=count.min(12)).rev().find(fits).unwrap_or(1);
        // Four entries stand better in two rows of two than of three and one.
        let balanced = count.div_ceil(count.div_ceil(most));
        let columns = if fits(&balanced) { balanced } else { most };
        let most_rows = ((0.4 * cell.height() / ROW) as usize).max(1);
        let shown = self.entries.len().min(columns * most_rows);
        let edges = self.widths(columns).into_iter().scan(0.0, |x, width| {
            let left = *x;
            *x += width + COLUMN_GAP;
            Some(left)
        });
        let height = shown.div_ceil(columns) as f64 * ROW;
        LegendLayout { columns: edges.collect(), shown, width: total(columns), height }
    }

    /// Widths of so many columns, filled row by row.
    fn widths(&self, columns: usize) -> Vec<f64> {
        let mut widths = vec![0.0_f64; columns];
        for (i, entry) in self.entries.iter().enumerate() {
            let width = &mut widths[i % columns];
            *width = width.max(SAMPLE + 1.5 * GAP + entry.width);
        }
        widths
    }

    fn draw(&self, canvas: &Canvas, layout: &LegendLayout, origin: Point) -> Result<()> {
        let hidden = self.entries.len() - layout.shown;
        for (i, entry) in self.entries.iter().take(layout.shown).enumerate() {
            let (column, row) = (i % layout.columns.len(), i / layout.columns.len());
            let (x, y) = (origin.0 + layout.columns[column], origin.1 + (row as f64 + 0.5) * ROW);
            let text_at = (x + SAMPLE + 1.5 * GAP, y + LEGEND.cap_height() / 2.0);
            if hidden > 0 && i + 1 == layout.shown {
                let rest = format!("{ELLIPSIS} and {} more", hidden + 1);
                canvas.text(&rest, LEGEND, text_at, HPos::Left)?;
            } else {
                entry.draw_sample(canvas, (x, y))?;
                canvas.text(&entry.label, LEGEND, text_at, HPos::Left)?;
            }
        }
        Ok(())
    }
}

impl Entry {
    fn draw_sample(&self, canvas: &Canvas, (x, y): Point) -> Result<()> {
        let color = self.color.rgb();
        let middle = (x + SAMPLE / 2.0, y);
        let path = [0.15, 0.5, 0.85].map(|t| (x + t * SAMPLE, y));
        let cap = LEGEND.cap_height();
        let stroke = |width| canvas.line(&[(x, y), (x + SAMPLE, y)], color, width);
        for mark in &self.marks {
            match mark {
                Mark::Line => stroke(CURVE)?,
                Mark::Thin => canvas.stroke_thin(&[(x, y), (x + SAMPLE, y)], color)?,
                Mark::Dashed => stroke(DASHED_CURVE)?,
                Mark::Points => canvas.disc(middle, color)?,
                Mark::LinePoints => stroke(CURVE).and_then(|()| canvas.disc(middle, color))?,
                Mark::Band => {
                    let area = Rect { x0: x, y0: y - cap / 2.0, x1: x + SAMPLE, y1: y + cap / 2.0 };
                    canvas.fill(area, color, BAND_ALPHA)?;
                }
                Mark::Crosses => canvas.cross(middle, color)?,
                Mark::Circles => canvas.circle(middle, color, DISC)?,
                Mark::Path | Mark::OpenPath => {
                    canvas.thinned_line(&path, color, AXIS_LINE)?;
                    canvas.growing(&path, color, *mark == Mark::OpenPath)?;
                }
                Mark::Bars => {
                    let base = y + cap / 2.0;
                    let bar = |(i, height): (f64, f64)| {
                        let (x0, x1) = (x + i * SAMPLE / 3.0, x + (i + 1.0) * SAMPLE / 3.0);
                        Rect { x0, y0: base - height * cap, x1, y1: base }
                    };
                    canvas.bars(&[(0.0, 0.5), (1.0, 1.0), (2.0, 0.7)].map(bar), base, color)?;
                }
            }
        }
        Ok(())
    }
}

impl PanelLayout<'_> {
    /// In the first corner or edge where it covers no data, otherwise outside.
    pub(super) fn find_legend_position(&self) -> LegendPosition {
        if self.legend.entries.is_empty() {
            return LegendPosition::Nowhere;
        }
        let LegendLayout { width, height, .. } = self.legend.as_column();
        let small = width <= 0.6 * self.plot.width() && height <= 0.6 * self.plot.height();
        let runs: Vec<Vec<Point>> = self.outlines().collect();
        let labels = self.rule_labels().into_iter().chain(self.level_labels());
        let boxes: Vec<Rect> = self.all_bars().chain(labels.map(|l| l.0)).collect();
        let free = |r: &Rect| {
            let guarded = r.grown(f64::from(DISC));
            !runs.iter().any(|run| guarded.touches(run)) && !boxes.iter().any(|b| b.overlaps(guarded))
        };
        let inside = candidates(self.plot, width, height).find(|area| small && free(area));
        // Between the plot and its right axis there is no room, and beyond it too little is left.
        let beside = self.y.len() == 1 && width <= 0.33 * self.cell.width() && height <= self.plot.height();
        match inside {
            Some(area) => LegendPosition::Inside(area),
            None if beside => LegendPosition::Right,
            None => LegendPosition::Below,
        }
    }

    pub(super) fn draw_legend(&self, canvas: &Canvas) -> Result<()> {
        let (plot, cell, legend) = (self.plot, self.cell, &self.legend);
        match self.legend_position {
            LegendPosition::Nowhere => Ok(()),
            LegendPosition::Inside(area) => {
                canvas.fill(area, WHITE, 0.9)?;
                canvas.frame(area, FRAME)?;
                legend.draw(canvas, &legend.as_column(), (area.x0 + PAD, area.y0 + PAD / 2.0))
            }
            LegendPosition::Right => {
                legend.draw(canvas, &legend.as_column(), (plot.x1 + self.right_depth() + GAP + PAD, plot.y0))
            }
            LegendPosition::Below => {
                let layout = legend.as_rows(cell);
                let farthest = cell.x1 - MARGIN - layout.width;
                let x = (plot.center().0 - layout.width / 2.0).min(farthest).max(cell.x0 + MARGIN);
                legend.draw(canvas, &layout, (x, plot.y1 + self.below_plot() + GAP))
            }
        }
    }
}

/// Where a box of this size may stand in a plot, best first.
fn candidates(plot: Rect, width: f64, height: f64) -> impl Iterator<Item = Rect> {
    let inner = plot.grown(-1.5 * GAP);
    let (right, left) = (inner.x1 - width, inner.x0);
    let (top, bottom) = (inner.y0, inner.y1 - height);
    let (middle_x, middle_y) = (f64::midpoint(left, right), f64::midpoint(top, bottom));
    let corners = [(right, top), (left, top), (right, bottom), (left, bottom)];
    let edges = [(middle_x, top), (middle_x, bottom), (right, middle_y), (left, middle_y)];
    corners.into_iter().chain(edges).map(move |corner| Rect::sized(corner, width, height))
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::*;

    fn position(panel: Panel) -> LegendPosition {
        laid_out(&figure(panel)).legend_position
    }

    #[test]
    fn legend_takes_a_free_corner() {
        let rising = figure(labelled(line(|x| x, 0.0, 1.0, 50)));
        let panel = laid_out(&rising);
        let LegendPosition::Inside(area) = panel.legend_position else { panic!("{:?}", panel.legend_position) };
        assert!(area.x1 < panel.plot.center().0, "top left");
        assert!(!area.touches(&first_runs(&panel)[0]));
    }

    #[test]
    fn legend_leaves_a_full_plot() {
        let dense = figure(labelled(line(|x| (40.0 * x).sin(), 0.0, 9.0, 9000)));
        let panel = laid_out(&dense);
        assert_eq!(panel.legend_position, LegendPosition::Right);
        assert!(panel.plot.x1 + panel.legend.as_column().width <= panel.cell.x1);
    }

    #[test]
    fn no_legend_without_labels() {
        assert_eq!(position(linear(line(|x| x, 0.0, 1.0, 4))), LegendPosition::Nowhere);
    }

    #[test]
    fn the_legend_covers_no_bar_and_no_label_of_a_rule() {
        // Wide bars, whose outlines alone it would clear.
        let bars = Series::histogram("histogram", Color::Cycle(0), unit_bins(&[5.0, 4.8]));
        assert!(position(plot(vec![bars])).is_outside());
        let series = Series::new("curve", Color::Cycle(0), line(|x| x, 0.0, 1.0, 9));
        for x in [0.0, 0.1, 0.5, 1.0] {
            let figure = figure(plot(vec![series.clone()]).rules(vec![(x, "rule".into())]));
            let panel = laid_out(&figure);
            let LegendPosition::Inside(area) = panel.legend_position else { panic!("{x} {:?}", panel.legend_position) };
            assert!(!area.overlaps(panel.rule_labels()[0].0));
        }
    }

    #[test]
    fn a_mark_has_its_sample_in_the_legend() {
        let legend = |mark| figure(plot(vec![Series::new("a", Color::Cycle(0), vec![]).mark(mark)])).svg().unwrap();
        let samples = MARKS.map(legend);
        for (i, sample) in samples.iter().enumerate() {
            assert!(!samples[..i].contains(sample), "{:?}", MARKS[i]);
        }
    }
}
