//! What several seeds show together: curves as a mean with a band, table cells as a mean with its
//! interval. Knows series and cells, no study.

use super::check;
use super::claim::Unit;
use super::experiment::{Done, Experiment, Size};
use super::findings::Cell;
use super::within::Case;
use crate::analysis::statistics::mean;
use crate::plot::{Color, Mark, Series};
use crate::settings;
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;

settings! {
    /// The seeds that a study runs.
    #[derive(Clone, Copy, Debug, Serialize)]
    pub struct Seeds {
        /// The first.
        pub seed: u64,
        /// How many.
        pub repeats: u64,
    }
}

/// More are a slip of the pen.
const MOST_REPEATS: u64 = 10_000;

impl Seeds {
    pub fn check(self) -> Result<(), String> {
        self.check_groups(1)
    }

    /// Of studies whose every repeat takes several seeds.
    pub fn check_groups(self, seeds_each: u64) -> Result<(), String> {
        let Self { seed, repeats } = self;
        check::within("repeats", repeats, 1..=MOST_REPEATS)?;
        // Settings files hold signed numbers.
        let end = u128::from(seed) + u128::from(repeats) * u128::from(seeds_each);
        if end > i64::MAX as u128 {
            let each = if seeds_each == 1 { String::new() } else { format!(" of {seeds_each} trainings") };
            return Err(format!("seed is {seed}: too large for {repeats} repeats{each}"));
        }
        Ok(())
    }

    pub fn all(self) -> Range<u64> {
        self.seed..self.seed + self.repeats
    }

    /// How many trials it is, so many of each seed.
    pub fn size(self, trials_a_seed: usize, smaller: &'static str) -> Size {
        Size::of_seeds(self.repeats, trials_a_seed as u128, smaller)
    }

    /// A trial of each variant, seed after seed.
    pub fn each<V, T>(self, variants: impl IntoIterator<Item = V> + Clone, trial: impl Fn(V, u64) -> T) -> Vec<T> {
        let of_seed = |seed| variants.clone().into_iter().map(move |variant| (variant, seed));
        self.all().flat_map(of_seed).map(|(variant, seed)| trial(variant, seed)).collect()
    }

    /// What a legend says of a trial: of the first seed its name, of the others nothing.
    pub fn legend(self, seed: u64, name: impl Into<String>) -> String {
        if seed == self.seed { name.into() } else { String::new() }
    }

    /// The finished trials of each seed that has any, in their order.
    pub fn groups<'a, E: Experiment>(
        self,
        done: impl IntoIterator<Item = &'a Done<E>>,
    ) -> BTreeMap<u64, Vec<&'a Done<E>>> {
        let mut groups = BTreeMap::<u64, Vec<_>>::new();
        for done in done.into_iter().filter(|done| self.all().contains(&done.seed())) {
            groups.entry(done.seed()).or_default().push(done);
        }
        groups
    }

    /// A number of each seed that has finished trials; NaN where it has fewer than `expected`: of what failed it
    /// cannot be told.
    pub fn numbers<'a, E: Experiment>(
        self,
        done: impl IntoIterator<Item = &'a Done<E>>,
        expected: usize,
        number: impl Fn(&[&'a Done<E>]) -> Result<f64>,
    ) -> Result<Vec<f64>> {
        let of_group = |(_, trials): (u64, Vec<&'a Done<E>>)| {
            let number = number(&trials)?;
            Ok(if trials.len() < expected { f64::NAN } else { number })
        };
        self.groups(done).into_iter().map(of_group).collect()
    }

    /// What the finished trials of each seed say, of those that say something; likewise unknown where they are fewer
    /// than `expected`.
    pub fn cases<'a, E: Experiment, T>(
        self,
        done: impl IntoIterator<Item = &'a Done<E>>,
        expected: usize,
        says: impl Fn(&'a Done<E>) -> Result<Option<T>>,
    ) -> Result<Vec<Case<T>>> {
        let of_group = |(_, trials): (u64, Vec<&'a Done<E>>)| {
            let is_known = trials.len() >= expected;
            let said = trials.into_iter().filter_map(|done| says(done).transpose());
            Ok((said.collect::<Result<_>>()?, is_known))
        };
        self.groups(done).into_iter().map(of_group).collect()
    }
}

/// What one of several curves that are alike is called.
pub fn name(seed: u64) -> String {
    format!("seed {seed}")
}

/// Series of one colour and mark are the same curve of several seeds, over epochs: they become one line, their
/// mean at each epoch, on a band from the lowest to the highest. A seed whose training ended before the others
/// stays where it was; values that are not finite are left out, and counted.
pub fn means_over_epochs(series: Vec<Series>) -> Vec<Series> {
    averaged(series, true)
}

/// The same against something that is no epoch: a seed that has no point at an x has no part in the mean there.
pub fn means_at_points(series: Vec<Series>) -> Vec<Series> {
    averaged(series, false)
}

fn averaged(series: Vec<Series>, stays: bool) -> Vec<Series> {
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
            lines.extend(seeds.into_iter().map(|one| one.named("")));
            continue;
        }
        let label = seeds.iter().map(|one| one.label.clone()).find(|label| !label.is_empty()).unwrap_or_default();
        let left_out = seeds.iter().map(Series::not_finite).sum();
        seeds.iter_mut().for_each(|one| one.points.sort_by(|a, b| a.0.total_cmp(&b.0)));
        let mut xs: Vec<f64> = seeds.iter().flat_map(|one| &one.points).map(|point| point.0).collect();
        xs.sort_by(f64::total_cmp);
        xs.dedup();
        // How far each seed has come: no search for every x.
        let mut next = vec![0; seeds.len()];
        let (mut middle, mut edges) = (Vec::new(), Vec::new());
        for x in xs.into_iter().filter(|x| x.is_finite()) {
            let mut values = Vec::new();
            for (one, next) in seeds.iter().zip(&mut next) {
                while one.points.get(*next).is_some_and(|point| point.0 < x) {
                    *next += 1;
                }
                let here = one.points.get(*next);
                let at = here.filter(|point| point.0 == x).or(one.points.last().filter(|_| stays && here.is_none()));
                values.extend(at.map(|point| point.1).filter(|y| y.is_finite()));
            }
            if let Some(estimate) = mean(&values) {
                middle.push((x, estimate.value));
                let low = values.iter().copied().fold(f64::INFINITY, f64::min);
                edges.push((x, low, values.iter().copied().fold(f64::NEG_INFINITY, f64::max)));
            }
        }
        bands.push(Series::band("", color, edges));
        let count = seeds.len();
        let member = |(at, one): (usize, Series)| {
            let name = if one.name.is_empty() { format!("{} of {count}", at + 1) } else { one.name.clone() };
            Series { label: String::new(), name, ..one }
        };
        let members = seeds.into_iter().enumerate().map(member).collect();
        lines.push(Series::new(label, color, middle).mark(mark).left_out(left_out).of(members));
    }
    bands.extend(lines);
    bands
}

/// Series of one colour and mark are the same curve of several seeds which may be on different branches, such as
/// predictions of which some have learned nothing: their mean would be a curve that none has. The one of the median
/// training, by the number that stands beside each, is drawn as it is, the others thin and behind all: of an even count the
/// lower of the two in the middle, and a number that is none counts as the highest.
pub fn median_of_each(series: Vec<(Series, f64)>) -> Vec<Series> {
    let mut curves: Vec<Vec<(Series, f64)>> = Vec::new();
    for (one, number) in series {
        let is_same = |seeds: &&mut Vec<(Series, f64)>| {
            seeds.iter().all(|(other, _)| (other.color, other.mark) == (one.color, one.mark))
        };
        match curves.iter_mut().find(is_same) {
            Some(seeds) => seeds.push((one, number)),
            None => curves.push(vec![(one, number)]),
        }
    }
    let (mut thin, mut lines) = (Vec::new(), Vec::new());
    for mut seeds in curves {
        let label = seeds.iter().map(|(one, _)| one.label.clone()).find(|label| !label.is_empty()).unwrap_or_default();
        // NaN of either sign last.
        seeds.sort_by(|(_, a), (_, b)| a.is_nan().cmp(&b.is_nan()).then(a.total_cmp(b)));
        let middle = seeds.len().saturating_sub(1) / 2;
        if let [(only, _)] = &mut seeds[..] {
            only.name.clear();
        }
        for (at, (one, _)) in seeds.into_iter().enumerate() {
            let label = if at == middle { label.clone() } else { String::new() };
            let to = if at == middle { &mut lines } else { &mut thin };
            to.push(if at == middle { Series { label, ..one } } else { Series { label, ..one }.mark(Mark::Thin) });
        }
    }
    thin.extend(lines);
    thin
}

/// What a caption says of curves of so many seeds, of which the median one is drawn as it is.
pub fn caption_of_median(count: u64, of: &str) -> String {
    match count {
        0 | 1 => String::new(),
        _ => format!(
            " Of the {count} seeds the full line is the one whose {of} is the median; thin lines are the others."
        ),
    }
}

/// What a caption says of curves of so many seeds, or others, that became means.
pub fn caption(count: u64, unit: Unit) -> String {
    match count {
        0 | 1 => String::new(),
        _ => format!(" Lines are means over {count} {}; bands reach from the lowest to the highest.", unit.many),
    }
}

/// Rows that differ in their seed become one, by their first cell: numbers as mean ± half of the 95 %
/// interval (Student's t), words counted. Tables without a column of seeds stay as they are.
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
    let columns = |group: &Vec<&Vec<Cell>>| group.iter().map(|row| row.len()).min().unwrap_or(0);
    let mut shown: Vec<Vec<String>> = groups.iter().map(|_| Vec::new()).collect();
    for column in 0..groups.iter().map(columns).max().unwrap_or(0) {
        let of_group = |group: &Vec<&Vec<Cell>>, notation| -> Option<String> {
            let cells: Option<Vec<&Cell>> = group.iter().map(|row| row.get(column)).collect();
            cells.map(|cells| merged(&cells, notation))
        };
        // One notation a column: where a number needs an exponent, all that are measured have one.
        let plain: Vec<Option<String>> = groups.iter().map(|group| of_group(group, Notation::ByNumber)).collect();
        let has_exponent = |text: &String| {
            let first = text.split([' ', ',']).next().unwrap_or_default();
            text.contains(")e") || first.contains('e') && first.parse::<f64>().is_ok()
        };
        let needs = plain.iter().flatten().any(has_exponent);
        for ((row, group), plain) in shown.iter_mut().zip(&groups).zip(plain) {
            row.extend(if needs { of_group(group, Notation::Exponents) } else { plain });
        }
    }
    shown
}

/// How measured numbers are shown.
#[derive(Clone, Copy, PartialEq)]
enum Notation {
    /// Each with an exponent where it is very small or large.
    ByNumber,
    Exponents,
}

impl Notation {
    fn text(self, cell: &Cell) -> String {
        match cell {
            Cell::Number(value) if self == Self::Exponents && value.is_finite() => {
                if *value == 0.0 {
                    "0".to_owned()
                } else {
                    format!("{value:.3e}")
                }
            }
            cell => cell.to_string(),
        }
    }
}

/// One cell for those of several seeds.
fn merged(cells: &[&Cell], notation: Notation) -> String {
    if cells.iter().all(|cell| *cell == cells[0]) {
        return notation.text(cells[0]);
    }
    // Counts are whole, and their means few: never with an exponent for others' sake.
    let notation = if cells.iter().any(|cell| matches!(cell, Cell::Count(_))) { Notation::ByNumber } else { notation };
    let numbers: Vec<f64> = cells
        .iter()
        .filter_map(|cell| match cell {
            Cell::Number(value) | Cell::Count(value) => Some(*value),
            Cell::Text(_) | Cell::Seed(_) | Cell::Undefined => None,
        })
        .collect();
    let undefined = cells.iter().filter(|cell| matches!(cell, Cell::Undefined)).count();
    if numbers.len() + undefined == cells.len() {
        let finite: Vec<f64> = numbers.iter().copied().filter(|value| value.is_finite()).collect();
        let Some(estimate) = mean(&finite) else { return "not finite".to_owned() };
        let mut text = plus_minus(estimate.value, estimate.interval.map_or(f64::NAN, |ends| ends[1]), notation);
        for (count, what) in [(numbers.len() - finite.len(), "not finite"), (undefined, "-")] {
            if count > 0 {
                text.push_str(&format!(", {what} in {count} of {}", cells.len()));
            }
        }
        return text;
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
fn plus_minus(value: f64, high: f64, notation: Notation) -> String {
    let half = high - value;
    if !half.is_finite() || half <= 0.0 {
        return notation.text(&Cell::Number(value));
    }
    let exponent = value.abs().max(half).log10().floor();
    let (scale, suffix) = if notation == Notation::ByNumber && (-4.0..6.0).contains(&exponent) {
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
    fn the_median_training_is_drawn_and_the_others_beside_it() {
        let line = |color, label: &str, at: f64| Series::new(label, Color::Cycle(color), vec![(0.0, at)]);
        for (numbers, middle) in [
            (&[3.0][..], 0),
            (&[3.0, 1.0, 2.0], 2),
            // The lower of the two in the middle.
            (&[4.0, 1.0, 3.0, 2.0], 3),
            (&[1.0, f64::NAN, f64::INFINITY], 2),
            (&[-f64::NAN, 1.0, f64::NAN, 2.0, 3.0], 4),
            (&[2.0, 2.0], 0),
        ] {
            let of_seed = |(at, number): (usize, &f64)| (line(0, if at == 0 { "a" } else { "" }, at as f64), *number);
            let other = (line(1, "b", 9.0), 5.0);
            let shown = median_of_each(numbers.iter().enumerate().map(of_seed).chain([other]).collect());
            let (thin, full) = shown.split_at(numbers.len() - 1);
            assert!(thin.iter().all(|one| one.mark == Mark::Thin && one.label.is_empty()), "{numbers:?}");
            assert_eq!((full[0].mark, full[0].label.as_str(), full[0].points[0].1), (Mark::Line, "a", middle as f64));
            assert_eq!((full[1].mark, full[1].label.as_str()), (Mark::Line, "b"));
        }
        assert!(median_of_each(Vec::new()).is_empty());
        assert_eq!([0, 1].map(|count| caption_of_median(count, "loss")), ["", ""]);
        assert!(caption_of_median(10, "loss").starts_with(" Of the 10 seeds the full line is the one whose loss is"));
    }

    #[test]
    fn a_column_keeps_one_notation() {
        let row = |name: &str, seed, loss, epochs| {
            vec![Cell::from(name), Cell::Seed(seed), Cell::Number(loss), Cell::Number(0.5), Cell::Count(epochs)]
        };
        let table = rows(&[row("a", 0, 0.000_012, 20.0), row("b", 0, 1.2e-6, 7.0), row("c", 0, 0.0, 24.5)]);
        let column = |at: usize| table.iter().map(|row| row[at].as_str()).collect::<Vec<_>>();
        assert_eq!(column(2), ["1.200e-5", "1.200e-6", "0"]);
        assert_eq!([column(3), column(4)], [["0.5000"; 3].to_vec(), vec!["20", "7", "24.5"]]);
        // A mean over seeds has its exponent behind its spread, and gives the others theirs.
        let table = rows(&[row("a", 0, 1e-6, 1.0), row("a", 1, 3e-6, 2.0), row("b", 0, 0.25, 1.0)]);
        assert!(table[0][2].ends_with(")e-6") || table[0][2].contains(")e-5"), "{table:?}");
        assert_eq!(table[1][2], "2.500e-1");
        assert!(!table[0][4].contains('e'), "{table:?}");
    }
}
