//! Draws a figure that has been laid out: grid, level lines, curves, cells, axes, labels. Makes what plotters writes,
//! where text is still text; does not know what is published of it.

use std::cell::RefCell;

use anyhow::{Context as _, Result, ensure};
use plotters::backend::SVGBackend;
use plotters::drawing::IntoDrawingArea as _;
use plotters::style::text_anchor::HPos;

use super::figure::{Content, Figure, HeatMap, MAX_PANELS, Mark, Series};
use super::layout::{PanelLayout, Side};
use super::scale::{Ticks, grouped};
use super::{canvas::Canvas, geometry::*, publish::Drawing, style::*, text::text_width};

const MAX_HEIGHT: f64 = 300.0 * INCH;

impl Figure {
    /// The published SVG, which needs no font; [`rasterize`](super::rasterize) turns it into a PNG.
    ///
    /// # Errors
    /// No panel, more than [`MAX_PANELS`], or a panel whose parts do not fit together.
    pub fn svg(&self) -> Result<String> {
        self.drawing()?.publish()
    }

    /// What [`Self::svg`] is made of, where text is still text; made in a fraction of the time.
    ///
    /// # Errors
    /// As [`Self::svg`]'s.
    pub fn drawing(&self) -> Result<Drawing<'_>> {
        let drawn = self.draw().with_context(|| format!("figure {:?}", self.name))?;
        Ok(Drawing { figure: self, drawn })
    }

    /// Everything through plotters; gives its SVG, in drawing units.
    pub(super) fn draw(&self) -> Result<String> {
        let (name, count) = (&self.name, self.panels.len());
        ensure!(count > 0, "figure {name:?} has no panel");
        ensure!(count <= MAX_PANELS, "figure {name:?} has {count} panels; at most {MAX_PANELS} fit");
        for (i, panel) in self.panels.iter().enumerate() {
            panel.check().with_context(|| format!("panel {i} {:?}", panel.title))?;
        }
        let (header, panels) = self.layout();
        let ends = panels.iter().map(|p| (p.cell.x1, p.cell.y1));
        let (x1, y1) = ends.fold((0.0, 0.0), |r: Point, e| (r.0.max(e.0), r.1.max(e.1)));
        ensure!(y1 <= MAX_HEIGHT, "too high a figure");
        let page = Rect { x1, y1, ..Rect::default() };
        let (width, height) = rounded((x1, y1));
        let mut svg = String::new();
        let backend = SVGBackend::with_string(&mut svg, (width as u32, height as u32));
        let canvas = Canvas { area: backend.into_drawing_area(), pictures: RefCell::default() };
        canvas.fill(page, WHITE, 1.0)?;
        canvas.text_lines(&header, TITLE, page.center().0, MARGIN)?;
        panels.iter().try_for_each(|panel| panel.draw(&canvas))?;
        canvas.area.present()?;
        let pictures = canvas.pictures.take();
        drop(canvas);
        let end = svg.rfind("</svg>").context("plotters wrote no end")?;
        svg.insert_str(end, &pictures);
        Ok(svg)
    }
}

impl PanelLayout<'_> {
    fn draw(&self, canvas: &Canvas) -> Result<()> {
        match &self.panel.content {
            Content::Plot(_) => {
                self.draw_backdrop(canvas)?;
                for (x, _) in self.rules() {
                    canvas.line(&[(x, self.plot.y0), (x, self.plot.y1)], FAINT, RULE)?;
                }
                for (series, y) in self.curves() {
                    self.draw_series(canvas, series, y)?;
                }
                self.draw_axes(canvas)?;
                for (area, label) in self.rule_labels() {
                    canvas.text(&label, RULE_LABEL, (area.x0, area.y1), HPos::Left)?;
                }
            }
            Content::HeatMap(map) => self.draw_cells(canvas, map)?,
            Content::Images(images) => self.draw_images(canvas, images)?,
        }
        self.draw_labels(canvas)?;
        if self.empty {
            canvas.text("no finite data", NOTE, self.plot.center(), HPos::Center)?;
        }
        self.draw_legend(canvas)
    }

    /// Where a line of this width across the plot fills whole dots.
    pub(super) fn dotted_x(&self, fraction: f64, width: u32) -> f64 {
        on_dots(self.x_at(fraction), width)
    }

    fn dotted_y(&self, fraction: f64, width: u32) -> f64 {
        on_dots(self.y_at(fraction), width)
    }

    /// Level lines, or else the grid, which between them would only confuse.
    fn draw_backdrop(&self, canvas: &Canvas) -> Result<()> {
        let plot = self.plot;
        let Some(contours) = self.contours() else {
            for (at, _) in &self.x.ticks.major {
                let x = self.dotted_x(*at, HAIRLINE);
                canvas.line(&[(x, plot.y0), (x, plot.y1)], GRID, HAIRLINE)?;
            }
            for (at, _) in &self.y[0].ticks.major {
                let y = self.dotted_y(*at, HAIRLINE);
                canvas.line(&[(plot.x0, y), (plot.x1, y)], GRID, HAIRLINE)?;
            }
            return Ok(());
        };
        for (i, (level, _)) in contours.levels.iter().enumerate() {
            if let Some(outline) = self.level_area(contours, *level) {
                canvas.area(&outline, contours.colors(i)[1], 1.0)?;
            }
        }
        for (i, (level, _)) in contours.levels.iter().enumerate() {
            for line in self.level_lines(contours, *level) {
                canvas.thinned_line(&line, contours.colors(i)[0], HAIRLINE)?;
            }
        }
        for (area, label) in self.level_labels() {
            canvas.fill(area, WHITE, 0.85)?;
            let (x, y) = area.center();
            canvas.text(&label, LEVEL_LABEL, (x, y + LEVEL_LABEL.cap_height() / 2.0), HPos::Center)?;
        }
        Ok(())
    }

    fn draw_series(&self, canvas: &Canvas, series: &Series, y: &Side) -> Result<()> {
        let runs = self.runs(series, y);
        let color = series.color.rgb();
        let discs = || sparse(&runs.concat()).into_iter();
        // Where points share a place, the last one shows.
        let path = || {
            runs.iter().try_for_each(|run| canvas.thinned_line(run, color, AXIS_LINE))?;
            let backwards: Vec<Point> = runs.iter().flatten().rev().copied().collect();
            Ok::<_, anyhow::Error>(sparse(&backwards).into_iter().rev().collect::<Vec<_>>())
        };
        let stroke = |width| runs.iter().try_for_each(|run| canvas.stroke(run, color, width));
        match series.mark {
            Mark::Line => stroke(CURVE),
            Mark::Dashed => stroke(DASHED_CURVE),
            Mark::Points => discs().try_for_each(|p| canvas.disc(p, color)),
            Mark::LinePoints => stroke(CURVE).and_then(|()| discs().try_for_each(|p| canvas.disc(p, color))),
            Mark::Band => runs.iter().try_for_each(|run| canvas.band(run, color)),
            Mark::Crosses => discs().try_for_each(|p| canvas.cross(p, color)),
            Mark::Circles => discs().try_for_each(|p| canvas.circle(p, color, DISC)),
            Mark::Path => canvas.growing(&path()?, color, false),
            Mark::OpenPath => canvas.growing(&path()?, color, true),
            Mark::Bars => canvas.bars(&self.bars(series, y), self.y_at(y.range.fraction(y.base())), color),
        }
    }

    /// Counts on coloured cells with hairlines between them.
    fn draw_cells(&self, canvas: &Canvas, map: &HeatMap) -> Result<()> {
        let (rows, columns) = (map.rows.len(), map.columns.len());
        let (width, height) = (self.plot.width() / columns as f64, self.plot.height() / rows as f64);
        let texts: Vec<String> = map.counts.iter().map(|count| grouped(&count.to_string())).collect();
        let longest = texts.iter().max_by_key(|t| t.len()).map_or(0.0, |t| text_width(t, CELL_COUNT));
        let size = CELL_COUNT.size * (0.85 * width / longest).min(0.6 * height / CELL_COUNT.cap_height()).min(1.0);

        let finite = || map.shades.iter().copied().filter(|v| v.is_finite());
        let (lo, hi) = (finite().fold(0.0, f64::min), finite().fold(0.0, f64::max));
        let cell_color = |v: f64| if v.is_finite() { shade((v - lo) / (hi - lo)) } else { UNSHADED };
        let x = |column: usize| on_dots(self.plot.x0 + column as f64 * width, HAIRLINE);
        let y = |row: usize| on_dots(self.plot.y0 + row as f64 * height, HAIRLINE);
        let cell = |i: usize| {
            let (column, row) = (i % columns, i / columns);
            Rect { x0: x(column), y0: y(row), x1: x(column + 1), y1: y(row + 1) }
        };
        for (i, &value) in map.shades.iter().enumerate() {
            canvas.fill(cell(i), cell_color(value), 1.0)?;
        }
        (0..=columns).try_for_each(|i| canvas.line(&[(x(i), y(0)), (x(i), y(rows))], FRAME, HAIRLINE))?;
        (0..=rows).try_for_each(|i| canvas.line(&[(x(0), y(i)), (x(columns), y(i))], FRAME, HAIRLINE))?;
        // Smaller digits could not be read.
        let texts = texts.iter().zip(&map.shades).enumerate().filter(|_| size >= 4.0 * PT);
        for (i, (text, &value)) in texts {
            let color = if text == "0" { PALE } else { ink_on(cell_color(value)) };
            let style = TextStyle { size, color, ..CELL_COUNT };
            let (x, y) = cell(i).center();
            canvas.text(text, style, (x, y + style.cap_height() / 2.0), HPos::Center)?;
        }
        Ok(())
    }

    fn draw_axes(&self, canvas: &Canvas) -> Result<()> {
        let plot = self.plot;
        let mut corners = vec![(plot.x0, plot.y0), (plot.x0, plot.y1), (plot.x1, plot.y1)];
        if self.y.len() > 1 {
            corners.push((plot.x1, plot.y0));
        }
        canvas.line(&corners, AXIS, AXIS_LINE)?;
        let lines = |ticks: &Ticks| {
            let minor = ticks.minor.iter().map(|at| (*at, MINOR_TICK, HAIRLINE));
            minor.chain(ticks.major.iter().map(|(at, _)| (*at, TICK, AXIS_LINE))).collect::<Vec<_>>()
        };
        for (at, length, width) in lines(&self.x.ticks) {
            let x = self.dotted_x(at, width);
            canvas.line(&[(x, plot.y1), (x, plot.y1 + length)], AXIS, width)?;
        }
        for (side, (x, outwards)) in self.y.iter().zip([(plot.x0, -1.0), (plot.x1, 1.0)]) {
            for (at, length, width) in lines(&side.ticks) {
                let y = self.dotted_y(at, width);
                canvas.line(&[(x, y), (x + outwards * length, y)], AXIS, width)?;
            }
        }
        Ok(())
    }

    fn draw_labels(&self, canvas: &Canvas) -> Result<()> {
        let plot = self.plot;
        let baseline = plot.y1 + TICK + GAP + TICK_LABEL.cap_height();
        for (at, label) in &self.x.ticks.major {
            canvas.text(label, TICK_LABEL, (self.x_at(*at), baseline), HPos::Center)?;
        }
        self.draw_centered(canvas, &self.x.label, AXIS_LABEL, baseline + 1.5 * GAP)?;
        for (i, side) in self.y.iter().enumerate() {
            // Baselines from left to right, the last line next to the left axis or far from the right one.
            let (edge, anchor, last) = match i {
                0 => (plot.x0 - TICK - GAP, HPos::Right, plot.x0 - side.tick_depth() - 1.5 * GAP),
                _ => (plot.x1 + TICK + GAP, HPos::Left, plot.x1 + side.depth()),
            };
            for (at, label) in &side.ticks.major {
                canvas.text(label, TICK_LABEL, (edge, self.y_at(*at) + TICK_LABEL.cap_height() / 2.0), anchor)?;
            }
            for (line, behind) in side.label.iter().rev().zip(0..) {
                let baseline = last - 0.236 * AXIS_LABEL.size - f64::from(behind) * AXIS_LABEL.line_height();
                canvas.text_upwards(line, AXIS_LABEL, (baseline, plot.center().1))?;
            }
        }
        let top = plot.y0 - 2.0 * GAP - self.heading_style.block_height(self.heading.len());
        self.draw_centered(canvas, &self.heading, self.heading_style, top)
    }

    /// Lines of text in the plot's middle, or as near to it as keeps them in the cell.
    fn draw_centered(&self, canvas: &Canvas, lines: &[String], style: TextStyle, top: f64) -> Result<()> {
        let widths = lines.iter().map(|l| text_width(l, style));
        let half = widths.fold(0.0, f64::max) / 2.0 + MARGIN;
        let x = self.plot.center().0.min(self.cell.x1 - half).max(self.cell.x0 + half);
        canvas.text_lines(lines, style, x, top)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::*;

    #[test]
    fn cells_have_their_colours_and_rows_go_down() {
        let mut map = confusion(2);
        map.counts = vec![0, 12_345, 0, 0];
        map.shades = vec![f64::NAN, 3.0, 0.0, f64::INFINITY];
        let figure = figure(panel(Content::HeatMap(map)));
        assert!(figure.draw().unwrap().contains("12,345"));
        let panel = laid_out(&figure);
        let labels: Vec<(f64, &str)> = panel.y[0].ticks.major.iter().map(|(at, t)| (*at, &**t)).collect();
        assert_eq!(labels, [(0.75, "0"), (0.25, "1")]);
        let found = [(0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9)].map(|at| color_at(&figure, panel.plot, at));
        let grey = [UNSHADED.0, UNSHADED.1, UNSHADED.2];
        assert_eq!(found, [grey, [8, 0x30, 0x6B], [255; 3], grey]);
    }

    #[test]
    fn heat_maps_of_any_kind_are_drawn_or_refused() {
        for n in [1, 2, 10, 50] {
            let mut map = confusion(n);
            for shades in [vec![0.0; n * n], vec![f64::NAN; n * n], vec![f64::MAX; n * n], vec![-1e308; n * n]] {
                map.shades = shades;
                map.counts[0] = u64::MAX;
                let svg = shown(Content::HeatMap(map.clone())).unwrap();
                assert!(!svg.contains("NaN") && !svg.contains("inf") && svg.len() < 500_000, "{n} {}", svg.len());
            }
            map.counts.pop();
            assert!(shown(Content::HeatMap(map)).is_err());
        }
        assert!(shown(Content::HeatMap(confusion(0))).is_err());
        assert!(shown(Content::HeatMap(confusion(51))).is_err());
        let svg = shown(Content::HeatMap(HeatMap { rows: vec![String::new()], ..confusion(3) }));
        assert!(format!("{:#}", svg.unwrap_err()).contains("9 counts"));
    }
}
