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
            Content::Surface(surface) => self.draw_surface(canvas, surface)?,
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
            Mark::Thin => runs.iter().try_for_each(|run| canvas.stroke_thin(run, color)),
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

    /// Counts on coloured cells with hairlines between them; on small cells neither, but what the colours say.
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
        // Smaller digits could not be read, and the lines would drown the colours.
        let small = size < 4.0 * PT;
        let lines = |count| (0..=count).step_by(if small { count } else { 1 });
        lines(columns).try_for_each(|i| canvas.line(&[(x(i), y(0)), (x(i), y(rows))], FRAME, HAIRLINE))?;
        lines(rows).try_for_each(|i| canvas.line(&[(x(0), y(i)), (x(columns), y(i))], FRAME, HAIRLINE))?;
        self.draw_name_ticks(canvas, [columns, rows])?;
        if small {
            return self.draw_shades_key(canvas, lo, hi);
        }
        for (i, (text, &value)) in texts.iter().zip(&map.shades).enumerate() {
            let color = if text == "0" { PALE } else { ink_on(cell_color(value)) };
            let style = TextStyle { size, color, ..CELL_COUNT };
            let (x, y) = cell(i).center();
            canvas.text(text, style, (x, y + style.cap_height() / 2.0), HPos::Center)?;
        }
        Ok(())
    }

    /// From each name to its row or column, where others have none.
    fn draw_name_ticks(&self, canvas: &Canvas, [columns, rows]: [usize; 2]) -> Result<()> {
        let plot = self.plot;
        for (at, _) in self.x.ticks.major.iter().filter(|_| self.x.ticks.major.len() < columns) {
            let x = self.dotted_x(*at, HAIRLINE);
            canvas.line(&[(x, plot.y1), (x, plot.y1 + TICK)], AXIS, HAIRLINE)?;
        }
        for (at, _) in self.y[0].ticks.major.iter().filter(|_| self.y[0].ticks.major.len() < rows) {
            let y = self.dotted_y(*at, HAIRLINE);
            canvas.line(&[(plot.x0 - TICK, y), (plot.x0, y)], AXIS, HAIRLINE)?;
        }
        Ok(())
    }

    /// The lowest and the highest value with the shades between, left of the label below, where there is room.
    fn draw_shades_key(&self, canvas: &Canvas, lo: f64, hi: f64) -> Result<()> {
        const STEPS: usize = 9;
        let texts = [lo, hi].map(|v| v.to_string());
        let side = AXIS_LABEL.cap_height();
        let [left, right] = texts.each_ref().map(|text| text_width(text, TICK_LABEL) + GAP);
        let bar = Rect::sized(
            (self.cell.x0 + MARGIN + left, self.plot.y1 + self.below_plot() - self.x.label_depth() + 1.5 * GAP),
            STEPS as f64 * side,
            side,
        );
        let label = self.x.label.iter().map(|line| text_width(line, AXIS_LABEL)).fold(0.0, f64::max);
        if hi <= lo || bar.x1 + right + MARGIN > self.plot.center().0 - label / 2.0 {
            return Ok(());
        }
        for i in 0..STEPS {
            let step = Rect { x0: bar.x0 + i as f64 * side, x1: bar.x0 + (i + 1) as f64 * side, ..bar };
            canvas.fill(step, shade(i as f64 / (STEPS - 1) as f64), 1.0)?;
        }
        canvas.frame(bar, FRAME)?;
        canvas.text(&texts[0], TICK_LABEL, (bar.x0 - GAP, bar.y1), HPos::Right)?;
        canvas.text(&texts[1], TICK_LABEL, (bar.x1 + GAP, bar.y1), HPos::Left)
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
        let (top, bottom) = (plot.y1 + TICK + GAP, plot.y1 + self.below_plot() - self.x.label_depth());
        for (at, label) in &self.x.ticks.major {
            let x = self.x_at(*at);
            match self.x.upright {
                Some(_) => {
                    let baseline = x + TICK_LABEL.cap_height() / 2.0;
                    canvas.text_upwards(label, TICK_LABEL, (baseline, top), HPos::Right)?;
                }
                None => canvas.text(label, TICK_LABEL, (x, top + TICK_LABEL.cap_height()), HPos::Center)?,
            }
        }
        self.draw_centered(canvas, &self.x.label, AXIS_LABEL, bottom + 1.5 * GAP)?;
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
                canvas.text_upwards(line, AXIS_LABEL, (baseline, plot.center().1), HPos::Center)?;
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

    /// What CIFAR-10 and CIFAR-100 call their classes, or about.
    fn named(n: usize) -> Figure {
        let short = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
        let name = |i: usize| short.get(i).filter(|_| n == 10).map_or(format!("aquarium_fish{i}"), |s| (*s).into());
        let names: Vec<String> = (0..n).map(name).collect();
        figure(panel(Content::HeatMap(HeatMap { columns: names.clone(), rows: names, ..confusion(n) })))
    }

    #[test]
    fn names_too_long_to_stand_beside_each_other_read_upwards() {
        for n in [10, 20, 47, 100] {
            let figure = named(n);
            let panel = laid_out(&figure);
            for (side, length) in [(&panel.x, panel.plot.width()), (&panel.y[0], panel.plot.height())] {
                let major = &side.ticks.major;
                assert!(major.len() >= n.min(15) && major.iter().all(|(_, name)| !name.ends_with('…')), "{n}");
                let close = major.windows(2).any(|w| (w[1].0 - w[0].0).abs() * length < 1.25 * TICK_LABEL.size);
                assert!(!close, "{n}");
            }
            let widest = panel.x.ticks.major.iter().map(|(_, name)| text_width(name, TICK_LABEL)).fold(0.0, f64::max);
            assert!(panel.plot.y1 + TICK + GAP + widest < panel.cell.y1 - MARGIN - AXIS_LABEL.size);
            let drawn = figure.draw().unwrap();
            assert_eq!(drawn.matches("rotate(270").count(), panel.x.ticks.major.len() + 1, "and the axis");
            assert_eq!(drawn.contains("1,000"), n <= 20, "counts where they can be read");
        }
        assert_eq!(figure(panel(Content::HeatMap(confusion(10)))).draw().unwrap().matches("rotate(270").count(), 1);
    }

    #[test]
    fn cells_without_counts_have_a_key() {
        let figure = named(100);
        let panel = laid_out(&figure);
        let bar =
            Rect { x0: panel.cell.x0 + MARGIN, x1: panel.plot.x0, y0: panel.cell.y1 - 3.5 * MM, y1: panel.cell.y1 };
        let colours: std::collections::BTreeSet<[u8; 3]> =
            (0..40).map(|i| color_at(&figure, bar, (f64::from(i) / 40.0, 0.1))).collect();
        assert!(colours.contains(&[8, 0x30, 0x6B]) && colours.contains(&[0x6B, 0xAE, 0xD6]), "{colours:?}");
    }

    #[test]
    fn heat_maps_of_any_kind_are_drawn_or_refused() {
        for n in [1, 2, 10, 50, 100] {
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
        assert!(shown(Content::HeatMap(confusion(101))).is_err());
        let svg = shown(Content::HeatMap(HeatMap { rows: vec![String::new()], ..confusion(3) }));
        assert!(format!("{:#}", svg.unwrap_err()).contains("9 counts"));
    }
}
