//! The few shapes that figures consist of, drawn through plotters' SVG backend; pictures of pixels, which it has not,
//! beside it. Knows drawing units and colours, not what is shown.

use std::cell::RefCell;

use anyhow::Result;
use base64::Engine as _;
use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::DrawingArea;
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontFamily, FontStyle, FontTransform, RGBColor};

use super::text::{FAMILY, clean};
use super::{geometry::*, style::*};

pub(super) struct Canvas<'a> {
    pub(super) area: DrawingArea<SVGBackend<'a>, Shift>,
    /// SVG of the pictures, which lie above all else.
    pub(super) pictures: RefCell<String>,
}

impl Canvas<'_> {
    pub(super) fn fill(&self, r: Rect, color: RGBColor, alpha: f64) -> Result<()> {
        let corners = [rounded((r.x0, r.y0)), rounded((r.x1, r.y1))];
        Ok(self.area.draw(&Rectangle::new(corners, color.mix(alpha).filled()))?)
    }

    pub(super) fn area(&self, outline: &[Point], color: RGBColor, alpha: f64) -> Result<()> {
        Ok(self.area.draw(&Polygon::new(simplified(outline), color.mix(alpha).filled()))?)
    }

    pub(super) fn line(&self, points: &[Point], color: RGBColor, width: u32) -> Result<()> {
        Ok(self.area.draw(&PathElement::new(simplified(points), color.stroke_width(width)))?)
    }

    /// A PNG that fills a rectangle, with hard edges between its pixels or, where these are about as small as the
    /// screen's, without.
    pub(super) fn picture(&self, r: Rect, png: &[u8], hard: bool) {
        let ((x0, y0), (x1, y1)) = (rounded((r.x0, r.y0)), rounded((r.x1, r.y1)));
        let style = if hard { " style=\"image-rendering:pixelated\"" } else { "" };
        let data = base64::engine::general_purpose::STANDARD.encode(png);
        *self.pictures.borrow_mut() += &format!(
            "<image x=\"{x0}\" y=\"{y0}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\"{style} \
             href=\"data:image/png;base64,{data}\"/>\n",
            x1 - x0,
            y1 - y0
        );
    }

    pub(super) fn frame(&self, r: Rect, color: RGBColor) -> Result<()> {
        let corners = [(r.x0, r.y0), (r.x1, r.y0), (r.x1, r.y1), (r.x0, r.y1), (r.x0, r.y0)];
        self.line(&corners.map(|(x, y)| (on_dots(x, HAIRLINE), on_dots(y, HAIRLINE))), color, HAIRLINE)
    }

    /// A line of one unit with round ends: the same look as a circle, in a tenth of the bytes.
    pub(super) fn disc(&self, at: Point, color: RGBColor) -> Result<()> {
        self.line(&[at, (at.0 + 1.0, at.1)], color, DISC)
    }

    /// A hollow disc, white inside.
    pub(super) fn circle(&self, at: Point, color: RGBColor, diameter: u32) -> Result<()> {
        self.filled_circle(at, color, diameter)?;
        self.filled_circle(at, WHITE, diameter - 2 * RING)
    }

    fn filled_circle(&self, at: Point, color: RGBColor, diameter: u32) -> Result<()> {
        Ok(self.area.draw(&Circle::new(rounded(at), diameter / 2, color.filled()))?)
    }

    pub(super) fn cross(&self, (x, y): Point, color: RGBColor) -> Result<()> {
        let arm = 0.42 * f64::from(DISC);
        self.line(&[(x - arm, y - arm), (x + arm, y + arm)], color, CURVE)?;
        self.line(&[(x - arm, y + arm), (x + arm, y - arm)], color, CURVE)
    }

    /// Discs, small at the first point and large at the last, which lies on top.
    pub(super) fn growing(&self, points: &[Point], color: RGBColor, hollow: bool) -> Result<()> {
        let draw = if hollow { Self::circle } else { Self::filled_circle };
        let (small, large) = PATH_DISCS;
        let last = points.len().saturating_sub(1);
        points.iter().enumerate().try_for_each(|(i, &at)| {
            let age = (last - i) as f64 / last.max(1) as f64;
            draw(self, at, color, (large - age * (large - small)).round() as u32)
        })
    }

    /// Pale bars with a line where they end, so that one shows behind another.
    pub(super) fn bars(&self, bars: &[Rect], base: f64, color: RGBColor) -> Result<()> {
        let bars = separated(bars);
        bars.iter().try_for_each(|&bar| self.fill(bar, color, BAR_ALPHA))?;
        bars.iter().try_for_each(|bar| {
            let end = on_dots(if bar.y1 < base + 0.5 { bar.y0 } else { bar.y1 }, AXIS_LINE);
            self.line(&[(bar.x0, end), (bar.x1, end)], color, AXIS_LINE)
        })
    }

    /// Text on a baseline through `at`.
    pub(super) fn text(&self, text: &str, style: TextStyle, at: Point, anchor: HPos) -> Result<()> {
        self.write(text, style, (at.0, at.1 - 0.76 * style.size), anchor, FontTransform::None)
    }

    /// Lines of text under each other, centered, starting at `top`.
    pub(super) fn text_lines(&self, lines: &[String], style: TextStyle, x: f64, top: f64) -> Result<()> {
        let mut baseline = top + style.cap_height();
        for line in lines {
            self.text(line, style, (x, baseline), HPos::Center)?;
            baseline += style.line_height();
        }
        Ok(())
    }

    /// Text that reads upwards, with its baseline, through `at`, to the right of the letters; anchored "right" it ends
    /// there.
    pub(super) fn text_upwards(&self, text: &str, style: TextStyle, at: Point, anchor: HPos) -> Result<()> {
        self.write(text, style, (at.0 - 0.76 * style.size, at.1), anchor, FontTransform::Rotate270)
    }

    /// The backend writes the baseline 0.76 em below (before rotation) an origin "at the top",
    /// and divides sizes by 1.24.
    fn write(&self, text: &str, style: TextStyle, origin: Point, anchor: HPos, turn: FontTransform) -> Result<()> {
        let weight = if style.bold { FontStyle::Bold } else { FontStyle::Normal };
        let font = plotters::style::TextStyle::from((FontFamily::Name(FAMILY), style.size * 1.24, weight));
        let font = font.color(&style.color).transform(turn).pos(Pos::new(anchor, VPos::Top));
        Ok(self.area.draw(&Text::new(clean(text), rounded(origin), font))?)
    }

    /// One run of a series; a lone point shows as a dot, since a line of no length has no ink.
    pub(super) fn stroke(&self, run: &[Point], color: RGBColor, width: u32) -> Result<()> {
        if run.iter().all(|&p| rounded(p) == rounded(run[0])) {
            return self.disc(run[0], color);
        }
        self.thinned_line(run, color, width)
    }

    /// The same, thin and pale: a line beside the one that is looked at.
    pub(super) fn stroke_thin(&self, run: &[Point], color: RGBColor) -> Result<()> {
        self.stroke(run, blend(color, WHITE, THIN_PALENESS), HAIRLINE)
    }

    /// A line through points in any order. Thinning joins only what follows each other within a column, so it keeps
    /// the order.
    pub(super) fn thinned_line(&self, run: &[Point], color: RGBColor, width: u32) -> Result<()> {
        self.line(&thinned(run), color, width)
    }

    /// The area between the points of even and of odd position.
    pub(super) fn band(&self, run: &[Point], color: RGBColor) -> Result<()> {
        let [lower, upper] = band_edges(run).map(|edge| thinned(&edge));
        let outline: Vec<Point> = lower.into_iter().chain(upper.into_iter().rev()).collect();
        self.area(&outline, color, BAND_ALPHA)?;
        // A lone interval would have no width.
        if run.len() == 2 { self.line(run, color, CURVE) } else { Ok(()) }
    }
}

/// The lower and the upper edge of a band.
pub(super) fn band_edges(run: &[Point]) -> [Vec<Point>; 2] {
    [0, 1].map(|edge| run.iter().skip(edge).step_by(2).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::*;

    #[test]
    fn crosses_and_circles_are_about_as_large_as_discs() {
        let inked = |mark| {
            let points = vec![(0.0, 0.0), (1.0, 1.0), (0.5, 0.5)];
            let figure = figure(plot(vec![Series::new("", Color::Cycle(0), points).mark(mark)]));
            let (x, y) = laid_out(&figure).plot.center();
            // The last point alone, from dot to dot.
            let (width, _, pixels, _) = decoded(&png(&figure));
            let dots = (-8..8).flat_map(|j| (-8..8).map(move |i| (i, j)));
            let at = |(i, j): (i32, i32)| 3 * (((y / DOT) as i32 + j) * width as i32 + (x / DOT) as i32 + i) as usize;
            let ink: Vec<(i32, i32)> = dots.filter(|&d| pixels[at(d)] < 100).collect();
            let reach = ink.iter().map(|(i, j)| i.abs().max(j.abs())).max().unwrap();
            (reach, ink.contains(&(0, 0)))
        };
        let [disc, cross, circle] = [Mark::Points, Mark::Crosses, Mark::Circles].map(inked);
        assert!(disc.1 && cross.1 && !circle.1, "hollow");
        assert!((cross.0 - disc.0).abs() <= 1 && (circle.0 - disc.0).abs() <= 1, "{disc:?} {cross:?} {circle:?}");
    }

    #[test]
    fn discs_grow_along_a_path() {
        let radii = |points: Vec<(f64, f64)>, mark| {
            let drawn = figure(plot(vec![Series::new("", Color::Cycle(0), points).mark(mark)])).draw().unwrap();
            let radius = |circle: &str| circle.split_once(" r=\"")?.1.split_once('"')?.0.parse().ok();
            drawn.split("<circle").skip(1).filter_map(radius).collect::<Vec<u32>>()
        };
        let (small, large) = (PATH_DISCS.0 as u32 / 2, PATH_DISCS.1 as u32 / 2);
        let parabola: Vec<Point> = (0..7).rev().map(f64::from).map(|y| ((y - 3.0) * (y - 3.0), y)).collect();
        let found = radii(parabola.clone(), Mark::Path);
        assert_eq!((found.len(), found[0], found[6]), (7, small, large));
        assert!(found.windows(2).all(|w| w[0] < w[1]), "{found:?}");
        let hollow = radii(parabola, Mark::OpenPath);
        assert_eq!((hollow.len(), hollow[0], hollow[1]), (14, small, small - RING));
        assert_eq!(radii(vec![(1.0, 1.0)], Mark::Path), [large], "an end without a beginning");
        // A training that stays where it is: its end is seen.
        assert_eq!(radii(vec![(1.0, 1.0); 9], Mark::Path), [large]);
        let interrupted = vec![(0.0, 0.0), (f64::NAN, 0.0), (1.0, 1.0), (2.0, 0.0)];
        assert_eq!(radii(interrupted, Mark::Path), [small, u32::midpoint(small, large), large]);
    }

    #[test]
    fn a_path_keeps_its_order() {
        let spiral = (0..400).map(|i| f64::from(i) / 10.0).map(|t| (t * t.cos(), t * t.sin())).collect();
        let figure = figure(plot(vec![Series::new("", Color::Cycle(0), spiral).mark(Mark::Path)]));
        let run = &first_runs(&laid_out(&figure))[0];
        let thin = thinned(run);
        let mut rest = run.iter();
        assert!(thin.iter().all(|p| rest.any(|q| p == q)), "in the same order");
        // What is left out lies beside what is kept.
        let around = |a: Point, b: Point| {
            let (low, high) = ((a.0.min(b.0), a.1.min(b.1)), (a.0.max(b.0), a.1.max(b.1)));
            Rect { x0: low.0, y0: low.1, x1: high.0, y1: high.1 }.grown(2.0 * DOT)
        };
        assert!(run.iter().all(|&p| thin.windows(2).any(|w| around(w[0], w[1]).contains(p))));
    }

    #[test]
    fn bars_of_several_series_show_through_each_other() {
        let of = |colors: &[usize]| {
            let series = colors.iter().map(|&i| Series::histogram("", Color::Cycle(i), unit_bins(&[4.0, 4.0])));
            let figure = figure(plot(series.collect()));
            color_at(&figure, laid_out(&figure).plot, (0.3, 0.47))
        };
        let [a, b, both] = [of(&[0]), of(&[1]), of(&[0, 1])];
        assert!(a != b && both != a && both != b);
    }
}
