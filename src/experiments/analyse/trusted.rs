//! What the records say for and against their pictures: the numbers behind [`crate::study::trust`]'s rules.

use super::Analyse;
use crate::data::Dataset as _;
use crate::study::trust;
use crate::study::{Done, Measurements};
use anyhow::Result;

/// How far each point of a grid is from the solution, row by row.
pub(super) fn distances(record: &Measurements) -> Result<Vec<f64>> {
    let (x, y) = (record.series("x")?, record.series("y")?);
    Ok(y.iter().flat_map(|y| x.iter().map(move |x| x.hypot(*y))).collect())
}

/// The losses of a grid that are nearest to the solution, but for its own: those at most one line away either way.
pub(super) fn neighbours(record: &Measurements, losses: &[f64]) -> Result<Vec<f64>> {
    let (x, y) = (record.series("x")?, record.series("y")?);
    // The lines on either side of 0, and 0 itself where there is one.
    let around = |at: &[f64]| -> Vec<usize> {
        let below = at.iter().rposition(|place| *place < 0.0);
        let above = at.iter().position(|place| *place > 0.0);
        let on = at.iter().position(|place| *place == 0.0);
        [below, on, above].into_iter().flatten().collect()
    };
    let (columns, rows) = (around(x), around(y));
    let places = rows.iter().flat_map(|row| columns.iter().map(move |column| (*row, *column)));
    let beside = places.filter(|(row, column)| y[*row] != 0.0 || x[*column] != 0.0);
    Ok(beside.filter_map(|(row, column)| losses.get(row * x.len() + column).copied()).collect())
}

/// Of the places that the grids of several surfaces share, each with its distance and the rises there.
pub(super) fn rises(surfaces: &[&Done<Analyse>], losses: &str) -> Result<Vec<(f64, Vec<f64>)>> {
    let mut grids = Vec::new();
    for done in surfaces {
        let record = done.measured();
        grids.push((record.series("x")?, record.series("y")?, record.series(losses)?, record.scalar("center_loss")?));
    }
    let Some((first_x, first_y, ..)) = grids.first() else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for y in *first_y {
        for x in *first_x {
            let at = |of: &[f64], place: f64| of.iter().position(|own| *own == place);
            let rise = |(xs, ys, losses, centre): &(&[f64], &[f64], &[f64], f64)| {
                let (column, row) = (at(xs, *x)?, at(ys, *y)?);
                losses.get(row * xs.len() + column).map(|loss| loss - centre)
            };
            let rises: Option<Vec<f64>> = grids.iter().map(rise).collect();
            found.extend(rises.map(|rises| (x.hypot(*y), rises)));
        }
    }
    Ok(found)
}

impl Analyse {
    /// Whether the solution itself is no better than guessing.
    pub(super) fn near_chance(&self, record: &Measurements) -> Option<String> {
        let [accuracy, samples] = ["center_accuracy", "samples"].map(|name| record.scalars.get(name).copied());
        trust::near_chance_over(self.split.prefix(), self.subject.spec.signature().target, accuracy, samples?)
    }

    /// Whether subsets, or draws, differ by more than the first two solutions.
    pub(super) fn differ_over(
        &self,
        cases: &str,
        done: &[Done<Self>],
        what: &str,
        number: impl Fn(&Done<Self>) -> Option<f64>,
    ) -> Option<String> {
        let [first, second, ..] = &self.subject.solutions[..] else { return None };
        let [one, other] = [first, second].map(|solution| {
            let by_seed = self.by_seed(done, solution, &number);
            by_seed.into_iter().map(|(_, number)| number).collect::<Vec<f64>>()
        });
        trust::cases_differ(cases, what, [(&first.name, &one), (&second.name, &other)])
    }
}
