//! The legend of a panel: its entries, where it stands, and how it is drawn. Inside the plot where it covers no data,
//! otherwise beside or below it.

use anyhow::Result;
use plotters::style::text_anchor::HPos;

use super::canvas::Canvas;
use super::figure::{Color, Mark};
use super::geometry::{Point, Rect, separated, touches};
use super::layout::{LegendPosition, PanelLayout, Side};
use super::style::*;
use super::text::{ELLIPSIS, clean, shortened, text_width};

/// Legend entries and the room they take.
pub(super) struct Legend {
    pub(super) entries: Vec<Entry>,
}

pub(super) struct Entry {
    pub(super) color: Color,
    pub(super) marks: Vec<Mark>,
    pub(super) label: String,
    pub(super) width: f64,
}

/// How the entries of a legend stand.
pub(super) struct LegendLayout {
    /// Left edges of the columns; entries follow each other row by row.
    pub(super) columns: Vec<f64>,
    pub(super) shown: usize,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Legend {
    pub(super) const ROW: f64 = 1.4 * LEGEND.size;
    pub(super) const COLUMN_GAP: f64 = 4.0 * GAP;

    pub(super) fn new(sides: &[Side], cell: Rect) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        for (i, series) in sides.iter().enumerate().flat_map(|(i, side)| side.series.iter().map(move |s| (i, s))) {
            let label = clean(&series.label);
            if label.is_empty() {
                continue;
            }
            let side = if i == 1 { " (right)" } else { "" };
            let room = 0.55 * cell.width() - text_width(side, LEGEND);
            let label = shortened(&label, LEGEND, room) + side;
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
            width: self.widths(1).iter().sum::<f64>() + 2.0 * LEGEND_PAD,
            height: self.entries.len() as f64 * Self::ROW + LEGEND_PAD,
        }
    }

    /// In as few rows as the cell's width allows, and at most two fifths of its height.
    pub(super) fn as_rows(&self, cell: Rect) -> LegendLayout {
        let count = self.entries.len().max(1);
        let total = |columns: usize| {
            let gaps = (columns - 1) as f64 * Self::COLUMN_GAP;
            self.widths(columns).iter().sum::<f64>() + gaps
        };
        let fits = |columns: &usize| total(*columns) <= cell.width() - 2.0 * MARGIN;
        let most = (1..=count.min(12)).rev().find(fits).unwrap_or(1);
        // Four entries stand better in two rows of two than of three and one.
        let balanced = count.div_ceil(count.div_ceil(most));
        let columns = if fits(&balanced) { balanced } else { most };
        let most_rows = ((0.4 * cell.height() / Self::ROW) as usize).max(1);
        let shown = self.entries.len().min(columns * most_rows);
        let edges = self.widths(columns).into_iter().scan(0.0, |x, width| {
            let left = *x;
            *x += width + Self::COLUMN_GAP;
            Some(left)
        });
        LegendLayout {
            columns: edges.collect(),
            shown,
            width: total(columns),
            height: shown.div_ceil(columns) as f64 * Self::ROW,
        }
    }

    /// Widths of so many columns, filled row by row.
    pub(super) fn widths(&self, columns: usize) -> Vec<f64> {
        let mut widths = vec![0.0_f64; columns];
        for (i, entry) in self.entries.iter().enumerate() {
            let width = &mut widths[i % columns];
            *width = width.max(SAMPLE + 1.5 * GAP + entry.width);
        }
        widths
    }
}

impl PanelLayout<'_> {
    /// In the first corner or edge where it covers no data, otherwise outside.
    pub(super) fn find_legend_position(&self) -> LegendPosition {
        if self.legend.entries.is_empty() {
            return LegendPosition::Nowhere;
        }
        let size = self.legend.as_column();
        let (width, height) = (size.width, size.height);
        let small = width <= 0.6 * self.plot.width() && height <= 0.6 * self.plot.height();
        let runs: Vec<Vec<Point>> = self.outlines().collect();
        let labels = self.rule_labels().into_iter().chain(self.level_labels());
        let boxes: Vec<Rect> = self.all_bars().chain(labels.map(|l| l.0)).collect();
        let free = |r: &Rect| {
            let guarded = r.grown(f64::from(DISC));
            !runs.iter().any(|run| touches(run, guarded)) && !boxes.iter().any(|b| b.overlaps(guarded))
        };
        let candidates = legend_candidates(self.plot, width, height);
        if let Some(spot) = candidates.into_iter().find(|s| small && free(s)) {
            return LegendPosition::Inside(spot);
        }
        // Between the plot and its right axis there is no room, and beyond it too little is left.
        let beside = self.y.len() == 1 && width <= 0.33 * self.cell.width() && height <= self.plot.height();
        if beside { LegendPosition::Right } else { LegendPosition::Below }
    }

    pub(super) fn draw_legend(&self, canvas: &Canvas) -> Result<()> {
        let (plot, cell) = (self.plot, self.cell);
        match self.legend_position {
            LegendPosition::Nowhere => Ok(()),
            LegendPosition::Inside(spot) => {
                canvas.fill(spot, WHITE, 0.9)?;
                canvas.frame(spot, FRAME)?;
                let origin = (spot.x0 + LEGEND_PAD, spot.y0 + LEGEND_PAD / 2.0);
                self.draw_entries(canvas, &self.legend.as_column(), origin)
            }
            LegendPosition::Right => {
                let origin = (plot.x1 + self.right_depth() + GAP + LEGEND_PAD, plot.y0);
                self.draw_entries(canvas, &self.legend.as_column(), origin)
            }
            LegendPosition::Below => {
                let legend = self.legend.as_rows(cell);
                let farthest = cell.x1 - MARGIN - legend.width;
                let x = (plot.center().0 - legend.width / 2.0).min(farthest);
                let top = plot.y1 + self.below_plot() + GAP;
                self.draw_entries(canvas, &legend, (x.max(cell.x0 + MARGIN), top))
            }
        }
    }

    pub(super) fn draw_entries(&self, canvas: &Canvas, arranged: &LegendLayout, origin: Point) -> Result<()> {
        let hidden = self.legend.entries.len() - arranged.shown;
        for (i, entry) in self.legend.entries.iter().take(arranged.shown).enumerate() {
            let columns = arranged.columns.len();
            let (column, row) = (i % columns, i / columns);
            let x = origin.0 + arranged.columns[column];
            let y = origin.1 + (row as f64 + 0.5) * Legend::ROW;
            let text_at = (x + SAMPLE + 1.5 * GAP, y + LEGEND.cap_height() / 2.0);
            if hidden > 0 && i + 1 == arranged.shown {
                let rest = format!("{ELLIPSIS} and {} more", hidden + 1);
                canvas.text(&rest, LEGEND, text_at, HPos::Left)?;
            } else {
                draw_sample(canvas, entry, (x, y))?;
                canvas.text(&entry.label, LEGEND, text_at, HPos::Left)?;
            }
        }
        Ok(())
    }
}

/// Where a box of this size may stand in a plot, best first.
pub(super) fn legend_candidates(plot: Rect, width: f64, height: f64) -> Vec<Rect> {
    let inner = plot.grown(-1.5 * GAP);
    let (right, left) = (inner.x1 - width, inner.x0);
    let (top, bottom) = (inner.y0, inner.y1 - height);
    let (middle_x, middle_y) = (f64::midpoint(left, right), f64::midpoint(top, bottom));
    let corners = [
        (right, top),
        (left, top),
        (right, bottom),
        (left, bottom),
        (middle_x, top),
        (middle_x, bottom),
        (right, middle_y),
        (left, middle_y),
    ];
    let spot = |(x0, y0)| Rect { x0, y0, x1: x0 + width, y1: y0 + height };
    corners.into_iter().map(spot).collect()
}

pub(super) fn draw_sample(canvas: &Canvas, entry: &Entry, (x, y): Point) -> Result<()> {
    let color = entry.color.rgb();
    let middle = (x + SAMPLE / 2.0, y);
    let trail = [0.15, 0.5, 0.85].map(|t| (x + t * SAMPLE, y));
    for part in entry.marks.iter().flat_map(|m| m.parts()) {
        match part {
            Part::Stroke(width) => canvas.line(&[(x, y), (x + SAMPLE, y)], color, *width)?,
            Part::Discs => canvas.disc(middle, color)?,
            Part::Area => {
                let half = LEGEND.cap_height() / 2.0;
                canvas.fill(Rect { x0: x, y0: y - half, x1: x + SAMPLE, y1: y + half }, color, BAND_ALPHA)?;
            }
            Part::ThinLine => canvas.thin_line(&trail, color)?,
            Part::Crosses => canvas.cross(middle, color)?,
            Part::Circles => canvas.circle(middle, color, DISC)?,
            Part::GrowingDiscs => canvas.growing(&trail, |p, size| canvas.filled_circle(p, color, size))?,
            Part::GrowingCircles => canvas.growing(&trail, |p, size| canvas.circle(p, color, size))?,
            Part::Bars => {
                let base = y + LEGEND.cap_height() / 2.0;
                let bar = |(i, height): (usize, f64)| {
                    let (x0, x1) = (x + i as f64 * SAMPLE / 3.0, x + (i + 1) as f64 * SAMPLE / 3.0);
                    Rect { x0, y0: base - height * LEGEND.cap_height(), x1, y1: base }
                };
                let bars = [0.5, 1.0, 0.7].into_iter().enumerate().map(bar);
                canvas.bars(&separated(&bars.collect::<Vec<_>>()), base, color)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::*;

    #[test]
    fn legend_takes_a_free_corner() {
        let rising = figure(labelled(line(|x| x, 0.0, 1.0, 50)));
        laid_out(&rising, |layout| {
            let LegendPosition::Inside(spot) = layout.legend_position else {
                panic!("{:?}", layout.legend_position);
            };
            assert!(spot.x1 < layout.plot.center().0, "top left");
            let run = &first_runs(layout)[0];
            assert!(!touches(run, spot));
        });
    }

    #[test]
    fn legend_leaves_a_full_plot() {
        let dense = line(|x| (40.0 * x).sin(), 0.0, 9.0, 9000);
        let figure = figure(labelled(dense));
        laid_out(&figure, |layout| {
            assert_eq!(layout.legend_position, LegendPosition::Right);
            let width = layout.legend.as_column().width;
            assert!(layout.plot.x1 + width <= layout.cell.x1);
        });
    }

    #[test]
    fn no_legend_without_labels() {
        let figure = figure(linear(line(|x| x, 0.0, 1.0, 4)));
        laid_out(&figure, |layout| assert_eq!(layout.legend_position, LegendPosition::Nowhere));
    }

    #[test]
    fn the_legend_covers_no_bar_and_no_label_of_a_rule() {
        // Wide bars, whose outlines alone it would clear.
        let series = Series::histogram("histogram", Color::Cycle(0), unit_bins(&[5.0, 4.8]));
        let panel = Panel::plot("", Axis::linear("x"), Axis::linear("y"), vec![series.clone()]);
        laid_out(&figure(panel), |layout| assert!(layout.is_outside(), "{:?}", layout.legend_position));
        let series = Series::new("curve", Color::Cycle(0), line(|x| x, 0.0, 1.0, 9));
        let labelled = |x: f64| {
            Panel::plot("", Axis::linear("x"), Axis::linear("y"), vec![series.clone()]).rules(vec![(x, "rule".into())])
        };
        for x in [0.0, 0.1, 0.5, 1.0] {
            laid_out(&figure(labelled(x)), |layout| {
                let LegendPosition::Inside(spot) = layout.legend_position else {
                    panic!("{x} {:?}", layout.legend_position)
                };
                assert!(!spot.overlaps(layout.rule_labels()[0].0));
            });
        }
    }

    #[test]
    fn a_mark_has_its_sample_in_the_legend() {
        let legend = |marks: &[Mark]| {
            let series = marks.iter().map(|&mark| Series::new("a", Color::Cycle(0), vec![]).mark(mark));
            let panel = Panel::plot("", Axis::linear("x"), Axis::linear("y"), series.collect());
            figure(panel).svg().unwrap()
        };
        let samples: Vec<String> = MARKS.iter().map(|&mark| legend(&[mark])).collect();
        for (i, sample) in samples.iter().enumerate() {
            assert!(!samples[..i].contains(sample), "{:?}", MARKS[i]);
        }
    }
}
