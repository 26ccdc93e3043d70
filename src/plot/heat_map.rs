//! Draws a table of counts on coloured cells.

use anyhow::Result;
use plotters::style::text_anchor::HPos;

use super::canvas::Canvas;
use super::figure::HeatMap;
use super::geometry::{Rect, on_dots};
use super::layout::PanelLayout;
use super::scale::grouped;
use super::style::*;
use super::text::text_width;

impl PanelLayout<'_> {
    /// Counts on coloured cells with hairlines between them.
    pub(super) fn draw_cells(&self, canvas: &Canvas, map: &HeatMap) -> Result<()> {
        let (rows, columns) = (map.rows.len(), map.columns.len());
        let (width, height) = (self.plot.width() / columns as f64, self.plot.height() / rows as f64);
        let texts: Vec<String> = map.counts.iter().map(|count| grouped(&count.to_string())).collect();
        let longest = texts.iter().max_by_key(|t| t.len()).map_or(0.0, |t| text_width(t, CELL_COUNT));
        let size = CELL_COUNT.size * (0.85 * width / longest).min(0.6 * height / CELL_COUNT.cap_height()).min(1.0);

        let finite = || map.shades.iter().copied().filter(|v| v.is_finite());
        let (lo, hi) = (finite().fold(0.0, f64::min), finite().fold(0.0, f64::max));
        let shade_of = |v: f64| if v.is_finite() { shade((v - lo) / (hi - lo)) } else { UNSHADED };
        let x = |column: usize| on_dots(self.plot.x0 + column as f64 * width, HAIRLINE);
        let y = |row: usize| on_dots(self.plot.y0 + row as f64 * height, HAIRLINE);
        let cell = |i: usize| {
            let (column, row) = (i % columns, i / columns);
            Rect { x0: x(column), y0: y(row), x1: x(column + 1), y1: y(row + 1) }
        };
        for (i, &value) in map.shades.iter().enumerate() {
            canvas.fill(cell(i), shade_of(value), 1.0)?;
        }
        (0..=columns).try_for_each(|i| canvas.line(&[(x(i), y(0)), (x(i), y(rows))], FRAME, HAIRLINE))?;
        (0..=rows).try_for_each(|i| canvas.line(&[(x(0), y(i)), (x(columns), y(i))], FRAME, HAIRLINE))?;
        // Smaller digits could not be read.
        let texts = texts.iter().zip(&map.shades).enumerate().filter(|_| size >= 4.0 * PT);
        for (i, (text, &value)) in texts {
            let color = if text == "0" { PALE } else { ink_on(shade_of(value)) };
            let style = TextStyle { size, color, ..CELL_COUNT };
            let (x, y) = cell(i).center();
            canvas.text(text, style, (x, y + style.cap_height() / 2.0), HPos::Center)?;
        }
        Ok(())
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
        let figure = figure(Panel { title: String::new(), content: Content::HeatMap(map) });
        assert!(figure.draw().unwrap().contains("12,345"));
        let plot = laid_out(&figure, |layout| {
            let labels: Vec<(f64, &str)> = layout.y[0].ticks.major.iter().map(|(at, t)| (*at, &**t)).collect();
            assert_eq!(labels, [(0.75, "0"), (0.25, "1")]);
            layout.plot
        });
        let found = [(0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9)].map(|at| color_at(&figure, plot, at));
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
