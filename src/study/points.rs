//! Numbers against each other: points, and lines through them, each kind in its colour and mark. Those of one colour
//! and mark are of several seeds.

use super::curves::Look;
use super::experiment::{Done, Experiment};
use super::seeds::{self, Seeds};
use crate::plot::{Color, Mark, Series};
use anyhow::Result;

/// A line through points.
pub fn line((label, color): Look, x: &[f64], y: &[f64]) -> Series {
    Series::new(label, Color::Cycle(color), x.iter().copied().zip(y.iter().copied()).collect())
}

/// A point of each.
pub fn of_each<T>(
    (label, color): Look,
    mark: Mark,
    all: impl IntoIterator<Item = T>,
    point: impl Fn(T) -> Result<(f64, f64)>,
) -> Result<Series> {
    let points = all.into_iter().map(point).collect::<Result<_>>()?;
    Ok(Series::new(label, Color::Cycle(color), points).mark(mark))
}

/// A series a seed, of a point of each training.
pub fn of_each_seed<'a, E: Experiment>(
    seeds: Seeds,
    done: &[&'a Done<E>],
    (label, color): Look,
    mark: Mark,
    point: impl Fn(&'a Done<E>) -> Result<(f64, f64)>,
) -> Result<Vec<Series>> {
    let of_seed = |seed| {
        let trainings = done.iter().copied().filter(|done| done.seed() == seed);
        let series = of_each((seeds.legend(seed, label.as_str()), color), mark, trainings, &point)?;
        Ok(series.named(seeds::name(seed)))
    };
    seeds.all().map(of_seed).collect()
}

/// Points of those that have one: a disc where it is true of them, a cross where it is not; a label of either.
pub fn discs_and_crosses(labels: [&str; 2], of_each: impl IntoIterator<Item = (bool, (f64, f64))>) -> Vec<Series> {
    let (discs, crosses): (Vec<_>, Vec<_>) = of_each.into_iter().partition(|(is, _)| *is);
    let looks = labels.into_iter().zip([(Mark::Points, 0), (Mark::Crosses, 1)]);
    let some = looks.zip([discs, crosses]).filter(|(_, of_kind)| !of_kind.is_empty());
    some.map(|((label, (mark, color)), of_kind)| {
        let points = of_kind.into_iter().map(|(_, point)| point).collect();
        Series::new(label, Color::Cycle(color), points).mark(mark)
    })
    .collect()
}
