//! A study's table: a row a trial, columns by naming a scalar and a heading.

use super::experiment::{Done, Experiment};
use super::findings::{Cell, cell};
use super::measurements::{Measurements, is_count};
use anyhow::Result;

/// Rows of finished trials, and columns so far.
#[must_use]
pub struct Table<'a, E: Experiment> {
    done: Vec<&'a Done<E>>,
    pub columns: Vec<String>,
    pub rows: Result<Vec<Vec<Cell>>>,
}

impl<'a, E: Experiment> Table<'a, E> {
    /// With a first column of what each trial is called.
    pub fn new(heading: &str, done: impl IntoIterator<Item = &'a Done<E>>) -> Self {
        Self::of(done).column(heading, |done| Ok(done.label.clone().into()))
    }

    /// Without a column yet.
    pub fn of(done: impl IntoIterator<Item = &'a Done<E>>) -> Self {
        let done: Vec<&Done<E>> = done.into_iter().collect();
        let rows = Ok(done.iter().map(|_| Vec::new()).collect());
        Self { done, columns: Vec::new(), rows }
    }

    /// With a column of anything.
    pub fn column(mut self, heading: &str, of: impl Fn(&Done<E>) -> Result<Cell>) -> Self {
        self.columns.push(heading.to_owned());
        self.rows = self.rows.and_then(|mut rows| {
            for (row, done) in rows.iter_mut().zip(&self.done) {
                row.push(of(done)?);
            }
            Ok(rows)
        });
        self
    }

    /// With the number of parameters.
    pub fn parameters(self) -> Self {
        self.column("parameters", |done| Ok(Cell::Count(done.measured().parameters as f64)))
    }

    /// With the seed: rows that differ in it alone are shown as one.
    pub fn seed(self) -> Self {
        self.column("seed", |done| Ok(Cell::Seed(done.seed())))
    }

    /// With a number of each record.
    pub fn number(self, heading: &str, of: impl Fn(&Measurements) -> Result<f64>) -> Self {
        self.column(heading, |done| Ok(cell(of(done.measured())?)))
    }

    /// With a whole number of each record.
    pub fn count(self, heading: &str, name: &str) -> Self {
        self.column(heading, |done| Ok(Cell::Count(done.measured().scalar(name)?)))
    }

    /// With scalars, each by heading and name.
    pub fn scalars(self, named: &[(&str, &str)]) -> Self {
        named.iter().fold(self, |table, (heading, name)| {
            if is_count(name) {
                table.count(heading, name)
            } else {
                table.number(heading, |record| record.scalar(name))
            }
        })
    }

    /// With scalars of the trained network, each by heading and name: see [`Measurements::after_training`].
    pub fn after_training(self, named: &[(&str, &str)]) -> Self {
        named.iter().fold(self, |table, (heading, name)| table.number(heading, |record| record.after_training(name)))
    }
}

/// Loss and accuracy over both whole sets at the final weights: heading and scalar.
pub const FINAL: [(&str, &str); 4] = [
    ("train loss", "final_train_loss"),
    ("train accuracy", "final_train_accuracy"),
    ("test loss", "final_test_loss"),
    ("test accuracy", "final_test_accuracy"),
];
