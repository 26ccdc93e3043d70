//! Draws a figure that has been laid out: grid, level lines, curves, axes, labels. The text of what plotters writes, still
//! with text as text; what becomes of it is published elsewhere.

use anyhow::{Context as _, Result, ensure};
use plotters::backend::SVGBackend;
use plotters::drawing::IntoDrawingArea as _;
use plotters::style::text_anchor::HPos;

use super::canvas::{Canvas, draw_lines};
use super::figure::{Color, Content, Figure, MAX_PANELS, Series};
use super::geometry::{Point, Rect, on_dots, rounded, separated, sparse, thinned};
use super::layout::{PanelLayout, Side};
use super::style::*;
use super::text::text_width;

impl Figure {
    /// Everything through plotters; gives its SVG, in drawing units.
    pub(super) fn draw(&self) -> Result<String> {
        ensure!(!self.panels.is_empty(), "figure {:?} has no panel", self.name);
        ensure!(
            self.panels.len() <= MAX_PANELS,
            "figure {:?} has {} panels; at most {MAX_PANELS} fit",
            self.name,
            self.panels.len()
        );
        for (i, panel) in self.panels.iter().enumerate() {
            panel.check().with_context(|| format!("panel {i} {:?}", panel.title))?;
        }
        let (header, layouts) = self.layout();
        let ends = layouts.iter().map(|p| (p.cell.x1, p.cell.y1));
        let (x1, y1) = ends.fold((0.0, 0.0), |r: Point, e| (r.0.max(e.0), r.1.max(e.1)));
        ensure!(y1 <= MAX_HEIGHT, "too high a figure");
        let page = Rect { x1, y1, ..Rect::default() };
        let size = rounded((x1, y1));
        let mut svg = String::new();
        {
            let backend = SVGBackend::with_string(&mut svg, (size.0 as u32, size.1 as u32));
            let canvas = Canvas { area: backend.into_drawing_area() };
            canvas.fill(page, WHITE, 1.0)?;
            let center = page.center().0;
            draw_lines(&canvas, &header, TITLE, center, MARGIN)?;
            for layout in &layouts {
                layout.draw(&canvas)?;
            }
            canvas.area.present()?;
        }
        Ok(svg)
    }
}

impl PanelLayout<'_> {
    pub(super) fn draw(&self, canvas: &Canvas) -> Result<()> {
        match &self.panel.content {
            Content::Plot(_) => {
                self.draw_grid(canvas)?;
                self.draw_contours(canvas)?;
                for (x, _) in self.rules() {
                    canvas.line(&[(x, self.plot.y0), (x, self.plot.y1)], FAINT, RULE)?;
                }
                for (series, y) in self.curves() {
                    self.draw_series(canvas, series, y)?;
                }
                self.draw_axes(canvas)?;
                for (spot, label) in self.rule_labels() {
                    canvas.text(&label, RULE_LABEL, (spot.x0, spot.y1), HPos::Left)?;
                }
            }
            Content::HeatMap(map) => self.draw_cells(canvas, map)?,
            Content::Images(images) => self.draw_images(canvas, images)?,
        }
        self.draw_labels(canvas)?;
        if self.empty {
            let (x, y) = self.plot.center();
            canvas.text("no finite data", NOTE, (x, y), HPos::Center)?;
        }
        self.draw_legend(canvas)
    }

    pub(super) fn across(&self, fraction: f64, width: u32) -> f64 {
        on_dots(self.plot.x0 + fraction * self.plot.width(), width)
    }

    pub(super) fn up(&self, fraction: f64, width: u32) -> f64 {
        on_dots(self.plot.y1 - fraction * self.plot.height(), width)
    }

    pub(super) fn draw_grid(&self, canvas: &Canvas) -> Result<()> {
        let plot = self.plot;
        // Between level lines they would only confuse.
        if self.contours().is_some() {
            return Ok(());
        }
        for (at, _) in &self.x.ticks.major {
            let x = self.across(*at, HAIRLINE);
            canvas.line(&[(x, plot.y0), (x, plot.y1)], GRID, HAIRLINE)?;
        }
        for (at, _) in &self.y[0].ticks.major {
            let y = self.up(*at, HAIRLINE);
            canvas.line(&[(plot.x0, y), (plot.x1, y)], GRID, HAIRLINE)?;
        }
        Ok(())
    }

    pub(super) fn draw_contours(&self, canvas: &Canvas) -> Result<()> {
        let Some(contours) = self.contours() else { return Ok(()) };
        for (i, (level, _)) in contours.levels.iter().enumerate() {
            let [_, color] = contours.colors(i);
            // In one piece only: an axis that has no place for a part of it shows the lines alone.
            if let [outline] = &self.runs(&Series::new("", Color::Ink, contours.area(*level)), &self.y[0])[..]
                && outline.len() > 2
            {
                canvas.area(outline, color, 1.0)?;
            }
        }
        for (i, (level, _)) in contours.levels.iter().enumerate() {
            let [color, _] = contours.colors(i);
            let lines = self.level_lines(contours, *level);
            lines.iter().try_for_each(|line| canvas.line(&thinned(line, 2.0 * DOT), color, HAIRLINE))?;
        }
        for (spot, label) in self.level_labels() {
            canvas.fill(spot, WHITE, 0.85)?;
            let (x, y) = spot.center();
            canvas.text(&label, LEVEL_LABEL, (x, y + LEVEL_LABEL.cap_height() / 2.0), HPos::Center)?;
        }
        Ok(())
    }

    pub(super) fn draw_series(&self, canvas: &Canvas, series: &Series, y: &Side) -> Result<()> {
        let runs = self.runs(series, y);
        let color = series.color.rgb();
        let discs = || sparse(&runs.concat()).into_iter();
        // Where points share a place, the last one shows.
        let trail = || {
            let backwards: Vec<Point> = runs.iter().flatten().rev().copied().collect();
            let mut points = sparse(&backwards);
            points.reverse();
            points
        };
        for part in series.mark.parts() {
            match part {
                Part::Stroke(width) => runs.iter().try_for_each(|run| canvas.stroke(run, color, *width))?,
                Part::Discs => discs().try_for_each(|p| canvas.disc(p, color))?,
                Part::Area => runs.iter().try_for_each(|run| canvas.band(run, color))?,
                Part::ThinLine => runs.iter().try_for_each(|run| canvas.thin_line(run, color))?,
                Part::Crosses => discs().try_for_each(|p| canvas.cross(p, color))?,
                Part::Circles => discs().try_for_each(|p| canvas.circle(p, color, DISC))?,
                Part::GrowingDiscs => canvas.growing(&trail(), |p, size| canvas.filled_circle(p, color, size))?,
                Part::GrowingCircles => canvas.growing(&trail(), |p, size| canvas.circle(p, color, size))?,
                Part::Bars => {
                    let base = self.height_of(y.base(), y);
                    canvas.bars(&separated(&self.bars(series, y)), base, color)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn draw_axes(&self, canvas: &Canvas) -> Result<()> {
        let plot = self.plot;
        let mut corner = vec![(plot.x0, plot.y0), (plot.x0, plot.y1), (plot.x1, plot.y1)];
        if self.y.len() > 1 {
            corner.push((plot.x1, plot.y0));
        }
        canvas.line(&corner, AXIS, AXIS_LINE)?;
        let minor = |at: &f64| (*at, MINOR_TICK, HAIRLINE);
        let major = |(at, _): &(f64, String)| (*at, TICK, AXIS_LINE);
        let x_ticks = self.x.ticks.minor.iter().map(minor);
        for (at, length, width) in x_ticks.chain(self.x.ticks.major.iter().map(major)) {
            let x = self.across(at, width);
            canvas.line(&[(x, plot.y1), (x, plot.y1 + length)], AXIS, width)?;
        }
        for (side, (x, outwards)) in self.y.iter().zip([(plot.x0, -1.0), (plot.x1, 1.0)]) {
            let ticks = side.ticks.minor.iter().map(minor);
            for (at, length, width) in ticks.chain(side.ticks.major.iter().map(major)) {
                let y = self.up(at, width);
                canvas.line(&[(x, y), (x + outwards * length, y)], AXIS, width)?;
            }
        }
        Ok(())
    }

    pub(super) fn draw_labels(&self, canvas: &Canvas) -> Result<()> {
        let plot = self.plot;
        let baseline = plot.y1 + TICK + GAP + TICK_LABEL.cap_height();
        for (at, label) in &self.x.ticks.major {
            let x = plot.x0 + at * plot.width();
            canvas.text(label, TICK_LABEL, (x, baseline), HPos::Center)?;
        }
        draw_lines(canvas, &self.x.label, AXIS_LABEL, self.middle(&self.x.label, AXIS_LABEL), baseline + 1.5 * GAP)?;
        for (i, side) in self.y.iter().enumerate() {
            let (edge, anchor) =
                if i == 0 { (plot.x0 - TICK - GAP, HPos::Right) } else { (plot.x1 + TICK + GAP, HPos::Left) };
            for (at, label) in &side.ticks.major {
                let y = plot.y1 - at * plot.height() + TICK_LABEL.cap_height() / 2.0;
                canvas.text(label, TICK_LABEL, (edge, y), anchor)?;
            }
            // Baselines from left to right, the last line next to the left axis or far from the right one.
            let last = match i {
                0 => plot.x0 - side.reach() - 1.5 * GAP,
                _ => plot.x1 + side.depth(),
            };
            for (line, behind) in side.label.iter().rev().zip(0..) {
                let baseline = last - 0.236 * AXIS_LABEL.size - f64::from(behind) * AXIS_LABEL.line_height();
                canvas.text_upwards(line, AXIS_LABEL, (baseline, plot.center().1))?;
            }
        }
        let top = plot.y0 - 2.0 * GAP - self.heading_type.block_height(self.heading.len());
        draw_lines(canvas, &self.heading, self.heading_type, self.middle(&self.heading, self.heading_type), top)
    }

    /// The plot's middle, or the nearest place for these lines that keeps them in the cell.
    pub(super) fn middle(&self, lines: &[String], style: TextStyle) -> f64 {
        let widths = lines.iter().map(|l| text_width(l, style));
        let half = widths.fold(0.0, f64::max) / 2.0 + MARGIN;
        self.plot.center().0.min(self.cell.x1 - half).max(self.cell.x0 + half)
    }
}
