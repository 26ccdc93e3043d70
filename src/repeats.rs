//! What several seeds show together: curves as a mean with a band, table cells as a mean with its
//! interval. Knows series and cells, no study.

use crate::analysis::statistics::mean;
use crate::experiment::Cell;
use crate::plot::{Color, Mark, Series};
use std::collections::BTreeMap;

/// Series of one colour and mark are the same curve of several seeds: they become one line, their
/// mean, on a band from the lowest to the highest. A seed whose training ended before the others stays
/// where it was; values that are not finite are left out.
#[must_use]
pub fn together(series: Vec<Series>) -> Vec<Series> {
    let mut curves: Vec<(Color, Mark, Vec<Series>)> = Vec::new();
    for one in series {
        match curves.iter_mut().find(|(color, mark, _)| (*color, *mark) == (one.color, one.mark)) {
            Some((_, _, seeds)) => seeds.push(one),
            None => curves.push((one.color, one.mark, vec![one])),
        }
    }
    // Bands lie under all lines.
    let (mut bands, mut lines) = (Vec::new(), Vec::new());
    for (color, mark, mut seeds) in curves {
        if seeds.len() == 1 {
            lines.append(&mut seeds);
            continue;
        }
        let label = seeds.iter().map(|one| one.label.clone()).find(|label| !label.is_empty()).unwrap_or_default();
        let longest = seeds.iter().max_by_key(|one| one.points.len()).map_or(&[][..], |one| &one.points);
        let (mut middle, mut edges) = (Vec::new(), Vec::new());
        for (index, &(x, _)) in longest.iter().enumerate() {
            let at = seeds.iter().filter_map(|one| one.points.get(index).or(one.points.last()));
            let values: Vec<f64> = at.map(|(_, y)| *y).filter(|y| y.is_finite()).collect();
            if let Some(estimate) = mean(&values) {
                middle.push((x, estimate.value));
                let low = values.iter().copied().fold(f64::INFINITY, f64::min);
                edges.push((x, low, values.iter().copied().fold(f64::NEG_INFINITY, f64::max)));
            }
        }
        bands.push(Series::band("", color, edges));
        lines.push(Series::new(label, color, middle).mark(mark));
    }
    bands.extend(lines);
    bands
}

/// What a caption says of curves that went through [`together`].
#[must_use]
pub fn caption(seeds: u64) -> String {
    match seeds {
        0 | 1 => String::new(),
        _ => format!(" Lines are means over {seeds} seeds; bands reach from the lowest to the highest."),
    }
}

/// Rows that differ in their seed become one, by their first cell: numbers as mean ± half of the 95 %
/// interval (Student's t), words counted. Tables without a column of seeds stay as they are.
#[must_use]
pub fn rows(rows: &[Vec<Cell>]) -> Vec<Vec<String>> {
    let has_seed = |row: &Vec<Cell>| row.iter().any(|cell| matches!(cell, Cell::Seed(_)));
    let mut groups: Vec<Vec<&Vec<Cell>>> = Vec::new();
    for row in rows {
        let same = |group: &&mut Vec<&Vec<Cell>>| has_seed(row) && group[0].first() == row.first();
        match groups.iter_mut().find(same) {
            Some(group) => group.push(row),
            None => groups.push(vec![row]),
        }
    }
    let merged = groups.iter().map(|group| {
        let columns = group.iter().map(|row| row.len()).min().unwrap_or(0);
        (0..columns).map(|column| merged(&group.iter().map(|row| &row[column]).collect::<Vec<_>>())).collect()
    });
    merged.collect()
}

/// One cell for those of several seeds.
fn merged(cells: &[&Cell]) -> String {
    if cells.iter().all(|cell| *cell == cells[0]) {
        return cells[0].to_string();
    }
    let numbers: Vec<f64> = cells
        .iter()
        .filter_map(|cell| match cell {
            Cell::Number(value) | Cell::Count(value) => Some(*value),
            Cell::Text(_) | Cell::Seed(_) => None,
        })
        .collect();
    if numbers.len() == cells.len() {
        return match mean(&numbers) {
            Some(estimate) => plus_minus(estimate.value, estimate.interval.map_or(f64::NAN, |ends| ends[1])),
            None => "not finite".to_owned(),
        };
    }
    if cells.iter().all(|cell| matches!(cell, Cell::Seed(_))) {
        return format!("{} seeds", cells.len());
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for cell in cells {
        *counts.entry(cell.to_string()).or_default() += 1;
    }
    let words: Vec<String> = counts.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
    words.join(", ")
}

/// "0.00123 ± 0.00014": the half to two significant digits, the mean to the same place.
fn plus_minus(value: f64, high: f64) -> String {
    let half = high - value;
    if !half.is_finite() || half <= 0.0 {
        return Cell::Number(value).to_string();
    }
    let exponent = value.abs().max(half).log10().floor();
    let (scale, suffix) = if (-4.0..6.0).contains(&exponent) {
        (1.0, String::new())
    } else {
        (10f64.powf(exponent), format!("e{exponent}"))
    };
    let (value, half) = (value / scale, half / scale);
    let decimals = (1.0 - half.log10().floor()).clamp(0.0, 8.0) as usize;
    let text = format!("{value:.decimals$} ± {half:.decimals$}");
    if suffix.is_empty() { text } else { format!("({text}){suffix}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_of_one_colour_and_mark_are_one() {
        let line = |color, points: &[f64]| Series::over_epochs("a", Color::Cycle(color), 0, points);
        let shown = together(vec![
            line(0, &[1.0, 4.0]),
            line(1, &[9.0]),
            line(0, &[3.0, 2.0, 6.0]),
            line(0, &[f64::NAN, 3.0, 3.0]).mark(Mark::Dashed),
        ]);
        let marks: Vec<Mark> = shown.iter().map(|series| series.mark).collect();
        assert_eq!(marks, [Mark::Band, Mark::Line, Mark::Line, Mark::Dashed]);
        // The first seed ended at 4.
        assert_eq!(shown[1].points, [(0.0, 2.0), (1.0, 3.0), (2.0, 5.0)]);
        let edges = [(0.0, 1.0), (0.0, 3.0), (1.0, 2.0), (1.0, 4.0), (2.0, 4.0), (2.0, 6.0)];
        assert_eq!(shown[0].points, edges);
        assert_eq!((shown[1].label.as_str(), shown[2].points.as_slice()), ("a", &[(0.0, 9.0)][..]));
    }

    #[test]
    fn rows_of_several_seeds_are_one() {
        let row = |name: &str, seed, epochs, loss, ended: &str| {
            vec![name.into(), Cell::Seed(seed), Cell::Count(epochs), Cell::Number(loss), ended.into()]
        };
        let table = [
            row("a", 0, 10.0, 0.0010, "converged"),
            row("b", 0, 10.0, 0.5, "converged"),
            row("a", 1, 10.0, 0.0014, "plateau"),
            row("a", 2, 10.0, 0.0012, "converged"),
        ];
        // scipy.stats.t.ppf(0.975, 2) · 0.0002 / √3 = 0.000497
        assert_eq!(rows(&table)[0], ["a", "3 seeds", "10", "0.00120 ± 0.00050", "2 converged, 1 plateau"]);
        assert_eq!(rows(&table)[1], ["b", "0", "10", "0.5000", "converged"]);
        let plain = [vec![Cell::from("x"), Cell::Number(1.0)], vec![Cell::from("x"), Cell::Number(2.0)]];
        assert_eq!(rows(&plain), [["x", "1.000"], ["x", "2.000"]]);
    }

    #[test]
    fn means_are_written_to_the_place_of_their_interval() {
        for (value, half, text) in [
            (1.2345, 0.0321, "1.234 ± 0.032"),
            (1234.5, 210.0, "1234 ± 210"),
            (1.1e-5, 2.5e-6, "(1.10 ± 0.25)e-5"),
            (2.5e9, 3e8, "(2.50 ± 0.30)e9"),
            (0.0, 0.5, "0.00 ± 0.50"),
        ] {
            assert_eq!(plus_minus(value, value + half), text);
        }
        assert_eq!(plus_minus(1.5, f64::NAN), "1.500");
    }
}
