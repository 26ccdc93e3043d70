//! What the records of a study show together: a table, sentences, figures and claims.

use super::arrays::Arrays;
use super::claim::{Claim, Stated};
use super::experiment::Experiment;
use super::measurements::is_count;
use super::number::significant;
use super::table::Table;
use super::text::{Texts, With};
use super::trust::{self, Doubts};
use crate::analysis::statistics::quantile;
use crate::plot::{Figure, Panel};
use anyhow::Result;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a study's records show together.
#[derive(Default)]
pub struct Findings {
    /// Columns, then rows, of the table on standard output.
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
    /// Sentences under the table.
    pub notes: Vec<String>,
    pub figures: Vec<Figure>,
    /// For other programs, a file of each format.
    pub arrays: Vec<Arrays>,
    /// Results over all trials, for metrics.json.
    pub summary: serde_json::Map<String, Value>,
    pub claims: Vec<Claim>,
    /// What speaks against each figure, by its name.
    pub doubts: BTreeMap<String, Doubts>,
    /// Figures of what was given, not of what was trained: no training speaks against them.
    given: BTreeSet<String>,
    /// What stands in words in the study's TOML file.
    pub texts: Texts,
}

impl Findings {
    /// Nothing yet but its images and what the report gives for these settings.
    pub fn of<E: Experiment>(study: &E) -> Result<Self> {
        let texts = Texts::of(study)?;
        let of_data = study.data().map_or(Vec::new(), |set| set.notes());
        let notes = [texts.reported_notes()?, of_data].concat();
        let summary = study.data().into_iter().map(|set| ("data".to_owned(), set.title().into())).collect();
        Ok(Self { notes, texts, summary, ..Self::default() })
    }

    /// With this table.
    pub fn table<E: Experiment>(&mut self, table: Table<E>) -> Result<()> {
        (self.columns, self.rows) = (table.columns, table.rows?);
        Ok(())
    }

    /// With a table of scalars, each by its name and what it is called there: the lowest, median and highest value of
    /// each; and with these as a result.
    pub fn quantiles<'a>(
        &mut self,
        heading: &str,
        named: impl Iterator<Item = &'a (&'a str, &'a str)>,
        values: impl Fn(&str) -> Vec<f64>,
    ) {
        self.columns = [heading, "lowest", "median", "highest"].map(str::to_owned).to_vec();
        let mut quantiles = serde_json::Map::new();
        for (name, called) in named {
            let values = values(name);
            let [lowest, median, highest] = [0.0, 0.5, 1.0].map(|share| quantile(&values, share));
            let known = if is_count(name) { Cell::Count } else { cell };
            let shown = [lowest, median, highest].map(|value| value.map_or(Cell::Undefined, known));
            self.rows.push([vec![(*called).into()], shown.to_vec()].concat());
            quantiles.insert((*name).into(), json!({"lowest": lowest, "median": median, "highest": highest}));
        }
        self.summarise("quantiles", quantiles);
    }

    /// With a figure of these panels, so many in a row, titled as `[figure.<key>]` says.
    pub fn figure(&mut self, key: &str, with: With, columns: usize, panels: Vec<Panel>) -> Result<()> {
        let [name, title, caption] = self.texts.figure(key, with)?;
        self.figures.push(Figure { name, title, caption, columns, panels, doubts: Vec::new() });
        Ok(())
    }

    /// The claim `[claim.<key>]`, to be judged.
    pub fn claim(&self, key: &str, with: With) -> Result<Stated> {
        self.texts.claim(key, with)
    }

    /// With what speaks against a figure.
    pub fn doubt(&mut self, figure: &str, doubts: &Doubts) {
        self.doubts.entry(figure.to_owned()).or_default().add_all(doubts);
    }

    /// This figure shows what was given, before any training.
    pub fn is_given(&mut self, figure: &str) {
        self.given.insert(figure.to_owned());
    }

    /// Whatever speaks against every figure of the trainings, and against each by itself.
    pub(super) fn doubt_all(&mut self, shared: &Doubts, of_classifiers: bool) {
        for figure in &mut self.figures {
            let mut doubts = self.doubts.get(&figure.name).cloned().unwrap_or_default();
            doubts.add(trust::not_positive(figure));
            if !self.given.contains(&figure.name) {
                doubts.add(
                    trust::lowest_loss_on_log(figure).filter(|_| of_classifiers).and_then(trust::loss_in_rounding),
                );
                doubts.add_all(shared);
            }
            figure.doubts = doubts.reasons().to_vec();
        }
    }

    /// The claims with names for their cases, from the seeds of all trials, and with no figure that was not drawn: some
    /// settings draw fewer.
    pub(super) fn settle(&mut self, seeds: &BTreeSet<u64>) {
        for claim in &mut self.claims {
            claim.name_cases(seeds);
            claim.figures.retain(|name| self.figures.iter().any(|figure| figure.name == *name));
        }
    }

    /// With a result over all trials.
    pub fn summarise(&mut self, name: &str, value: impl Into<Value>) {
        self.summary.insert(name.to_owned(), value.into());
    }
}

/// A cell of a study's table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Text(String),
    /// A measured number: shown with four significant digits.
    Number(f64),
    /// A whole number.
    Count(f64),
    Seed(u64),
    /// There is no such number.
    Undefined,
}

/// A measured number as a table cell.
pub fn cell(value: f64) -> Cell {
    Cell::Number(value)
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Seed(seed) => seed.fmt(f),
            Self::Undefined => f.write_str("-"),
            Self::Number(value) | Self::Count(value) if !value.is_finite() => f.write_str("not finite"),
            Self::Count(value) => value.fmt(f),
            Self::Number(value) => f.write_str(&significant(*value, 4)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_four_significant_digits() {
        for (value, text) in [
            (0.0, "0.000"),
            (0.001_236_2, "0.001236"),
            (-12.345_6, "-12.35"),
            (123_456.0, "123456"),
            (1.5e-7, "1.500e-7"),
            (2.5e9, "2.500e9"),
            (0.999_96, "1.000"),
            (f64::NAN, "not finite"),
        ] {
            assert_eq!(cell(value).to_string(), text);
        }
    }
}
