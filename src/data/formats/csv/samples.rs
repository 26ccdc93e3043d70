//! Samples of one or two tables: which column is the label, what the others make, and the arrays of all rows. Knows
//! neither files nor how a table is written.
//!
//! A first column without a name (`""`, or `Unnamed: 0` after a round trip) is the index that pandas and R write, and
//! left out. Labels are numbers where all of train and test are whole, real values where all are numbers, else words.

use super::cells::{Cell, quoted};
use super::table::Table;
use crate::data::raw::{Kind, Numbers, Options, Part, Raw, Reading, Targets};
use anyhow::{Result, bail, ensure};
use csv::{ByteRecord, StringRecord};
use std::io::Read;

/// A table that has not been opened yet.
pub struct Source<'a> {
    /// What errors call it.
    pub from: String,
    pub bytes: Box<dyn Read + 'a>,
}

/// Samples of train and, where it is there, test. `progress` says how much is done of how much.
///
/// # Errors
/// Where the tables are not such ones, or take more than `reading.most_bytes`.
pub fn read(sources: Vec<Source>, reading: &mut Reading, progress: &dyn Fn() -> (u64, u64)) -> Result<Raw> {
    let options = reading.options;
    check(options)?;
    let mut left = reading.most_bytes;
    let mut parts: Vec<(Columns, Rows, String)> = Vec::new();
    let mut notes = Vec::new();
    for Source { from, bytes } in sources {
        let mut table = Table::open(bytes, &from)?;
        let columns = match parts.first() {
            None => Columns::of(&mut table, options)?,
            Some((train, _, train_from)) => train.matched(&mut table, train_from)?,
        };
        let mut rows = Rows::new(options.shape.is_some());
        let mut row = ByteRecord::new();
        while let Some(line) = table.next(&mut row)? {
            rows.push(&mut table, &columns, &row, line, &mut left)?;
            if rows.labels.len() % 512 == 1 {
                let (done, total) = progress();
                (reading.progress)(done, total)?;
            }
        }
        ensure!(!rows.labels.is_empty(), "{from} is empty: at least one row below its header is expected");
        notes.append(&mut table.notes);
        parts.push((columns, rows, from));
    }
    let kind = parts.iter().map(|(_, rows, _)| rows.kind).max().unwrap_or(LabelKind::Whole);
    if parts.iter().any(|(_, rows, _)| matches!(rows.inputs, Numbers::Floats(_))) {
        for (_, rows, from) in &mut parts {
            rows.widen(from, &mut left)?;
        }
    }
    let features = parts.first().map_or(0, |(columns, ..)| columns.features.len());
    let mut parts = parts.into_iter().map(|(_, rows, from)| rows.finish(kind, from)).collect::<Result<Vec<_>>>()?;
    let test = (parts.len() > 1).then(|| parts.remove(1));
    let train = parts.remove(0);
    let (done, total) = progress();
    (reading.progress)(done, total)?;
    Ok(Raw {
        kind: if options.shape.is_some() { Kind::Images } else { Kind::Features },
        shape: options.shape.map_or_else(|| vec![features], |shape| shape.to_vec()),
        divisor: if matches!(train.inputs, Numbers::Bytes(_)) { 255.0 } else { 1.0 },
        train,
        test,
        class_names: None,
        notes,
    })
}

fn check(options: &Options) -> Result<()> {
    match (options.kind.as_deref(), options.shape) {
        (_, Some(shape)) if shape.contains(&0) => {
            bail!("data.shape is {}: no side of an image is 0", shape.map(|side| side.to_string()).join("x"))
        }
        (None | Some("features"), None) | (None | Some("images" | "channels-first"), Some(_)) => Ok(()),
        (Some("images" | "channels-first"), None) => {
            bail!("data.kind is images, and a table does not say of what size: add --set data.shape=1x28x28 or alike")
        }
        (Some(kind), _) => bail!(
            "data.kind is {}, and a table holds features, or with data.shape images, channels first: leave it away",
            quoted(kind.as_bytes())
        ),
    }
}

/// What a table's columns are, by their numbers.
struct Columns {
    label: usize,
    /// In the order of the inputs.
    features: Vec<usize>,
    /// Those of separators at the end of each line: without a name, and nothing in them.
    empty: Vec<usize>,
    /// All but the index and the empty ones, in their order, and their names.
    kept: Vec<usize>,
    names: Option<Vec<String>>,
}

impl Columns {
    fn of(table: &mut Table, options: &Options) -> Result<Self> {
        let label = label(table, options)?;
        let (kept, empty) = kept(table, Some(label));
        let features: Vec<_> = kept.iter().copied().filter(|column| *column != label).collect();
        let from = &table.from;
        ensure!(
            !features.is_empty(),
            "{from} has the label as its only column: at least one of features is expected beside it"
        );
        if let Some([channels, height, width]) = options.shape {
            let count = channels.checked_mul(height).and_then(|count| count.checked_mul(width));
            ensure!(
                count == Some(features.len()),
                "{from} has {} columns beside the label, and data.shape={channels}x{height}x{width} needs {}: correct \
                 data.shape, or the columns",
                features.len(),
                count.map_or("more than there can be".to_string(), |count| count.to_string())
            );
        }
        let names = table.names.as_ref().map(|names| kept.iter().map(|column| names[*column].clone()).collect());
        Ok(Self { label, features, empty, kept, names })
    }

    /// The same columns in another table, found by name where both have names.
    fn matched(&self, table: &mut Table, train: &str) -> Result<Self> {
        let (kept, empty) = kept(table, None);
        let from = table.from.clone();
        let advice = "give both the same columns, or take the file away to go without test samples";
        let names: Option<Vec<_>> =
            table.names.as_ref().map(|names| kept.iter().map(|column| names[*column].clone()).collect());
        let mut there = kept.clone();
        if let (Some(expected), Some(found)) = (&self.names, &names)
            && expected != found
        {
            let (mut sorted, mut others) = (expected.clone(), found.clone());
            sorted.sort();
            others.sort();
            let unique = sorted.windows(2).all(|pair| pair[0] != pair[1]);
            if sorted != others || !unique {
                let name = |name: Option<&String>| name.map_or("none".to_string(), |name| quoted(name.as_bytes()));
                let lacking = expected.iter().find(|name| others.binary_search(name).is_err());
                let over = found.iter().find(|name| sorted.binary_search(name).is_err());
                match (lacking, over) {
                    (Some(_), _) => bail!("{from} lacks the column {} of {train}: {advice}", name(lacking)),
                    (_, Some(_)) => bail!("{from} has a column {} that {train} lacks: {advice}", name(over)),
                    _ => {}
                }
                let at = (0..).find(|at| expected.get(*at) != found.get(*at)).unwrap_or(0);
                let (expected, found) = (name(expected.get(at)), name(found.get(at)));
                bail!("{from} has as column {at} (from 0) {found}, and {train} {expected}: {advice}");
            }
            let mut places: Vec<(&String, usize)> = found.iter().zip(kept.iter().copied()).collect();
            places.sort();
            there = expected
                .iter()
                .filter_map(|name| places.binary_search_by(|(other, _)| (*other).cmp(name)).ok())
                .map(|at| places[at].1)
                .collect();
            table.notes.push(format!("{from} has its columns in another order than {train}: taken by their names"));
        }
        let (found, expected) = (there.len(), self.kept.len());
        ensure!(found == expected, "{from} has {found} columns, and {train} {expected}: {advice}");
        let place = |column: &usize| self.kept.iter().position(|kept| kept == column).map(|at| there[at]);
        let label = place(&self.label).unwrap_or(0);
        let features = there.iter().copied().filter(|column| *column != label).collect();
        Ok(Self { label, features, empty, kept, names })
    }
}

/// Columns that are neither an index nor empty, and the empty ones.
fn kept(table: &mut Table, label: Option<usize>) -> (Vec<usize>, Vec<usize>) {
    let all = 0..table.width;
    let Some(names) = &table.names else { return (all.collect(), Vec::new()) };
    let unnamed = |column: &usize| {
        let name = &names[*column];
        Some(*column) != label && (name.is_empty() || name.starts_with("Unnamed: 0"))
    };
    let index = all.clone().take_while(unnamed).count();
    let empty: Vec<_> = (index..table.width)
        .filter(|column| Some(*column) != label && names[*column].is_empty() && table.starts_empty(*column))
        .collect();
    let kept = (index..table.width).filter(|column| empty.binary_search(column).is_err()).collect();
    if index > 0 {
        let what = "has no name and was left out as an index of the rows: name it to learn from it";
        table.notes.push(format!("the first column of {} {what}", table.from));
    }
    (kept, empty)
}

/// The column of labels.
fn label(table: &Table, options: &Options) -> Result<usize> {
    let (from, listed) = (&table.from, table.listed());
    let named = |is: &dyn Fn(&str) -> bool| -> Vec<usize> {
        let names = table.names.iter().flatten().enumerate();
        names.filter(|(_, name)| is(name)).map(|(column, _)| column).collect()
    };
    if let Some(given) = options.label.as_deref().map(str::trim) {
        let width = i64::try_from(table.width)?;
        let place = |at: i64| usize::try_from(if at < 0 { at + width } else { at }).ok().filter(|at| *at < table.width);
        return match (&named(&|name| name == given)[..], given.parse::<i64>()) {
            ([column], _) => Ok(*column),
            ([], Ok(at)) if place(at).is_some() => Ok(place(at).unwrap_or(0)),
            ([], Ok(at)) => bail!(
                "{from} has {width} columns, and data.label={at} is none of them: columns are counted from 0, or from \
                 -1 at the end"
            ),
            ([], Err(_)) => bail!(
                "{from} has no column {}, but {listed}: correct data.label, or give the column's number, from 0",
                quoted(given.as_bytes())
            ),
            _ => bail!("{from} has several columns {}: give the label's number, from 0", quoted(given.as_bytes())),
        };
    }
    let usual = |name: &str| ["label", "class", "target", "y"].contains(&name.to_lowercase().as_str());
    match named(&usual)[..] {
        [column] => Ok(column),
        [] => bail!(
            "{from} has {listed}, and which one is the label is not said: add --set data.label=NAME, or the column's \
             number from 0 (-1 is the last)"
        ),
        [first, second, ..] => bail!(
            "{from} has both {} and {}: say which one is the label with --set data.label=NAME, and remove the other \
             one where it is no feature",
            table.column(first),
            table.column(second)
        ),
    }
}

/// What labels are; the later kinds hold the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum LabelKind {
    Whole,
    Real,
    Words,
}

/// The rows of a table so far.
struct Rows {
    /// Bytes for as long as all of an image's are some.
    inputs: Numbers,
    /// As written, trimmed: what they are shows in the end.
    labels: StringRecord,
    kind: LabelKind,
    /// Of the numbers among them.
    values: Vec<f64>,
    /// Line and cell of a label that no f32 holds.
    beyond: Option<(u64, String)>,
}

impl Rows {
    fn new(images: bool) -> Self {
        let inputs = if images { Numbers::Bytes(Vec::new()) } else { Numbers::Floats(Vec::new()) };
        let (labels, kind, values, beyond) = (StringRecord::new(), LabelKind::Whole, Vec::new(), None);
        Self { inputs, labels, kind, values, beyond }
    }

    /// `left`: how many bytes may still be taken.
    fn push(
        &mut self,
        table: &mut Table,
        columns: &Columns,
        row: &ByteRecord,
        line: u64,
        left: &mut u64,
    ) -> Result<()> {
        for column in &columns.empty {
            let cell = row[*column].trim_ascii();
            ensure!(
                cell.is_empty(),
                "{}, line {line}: column {column} (from 0) has no name, and holds {}: name or remove it",
                table.from,
                quoted(cell)
            );
        }
        let label = row[columns.label].trim_ascii();
        let size = match self.inputs {
            Numbers::Bytes(_) => 1,
            _ => 4,
        };
        // A word takes its letters, and what it takes to find them; so much does a number at most, too.
        spend(size * columns.features.len() + label.len() + 32, left, &table.from)?;
        for column in &columns.features {
            let number = table.feature(row, *column, line)?;
            if let Numbers::Bytes(bytes) = &mut self.inputs {
                if number.fract() == 0.0 && (0.0..=255.0).contains(&number) {
                    bytes.push(number as u8);
                    continue;
                }
                self.widen(&table.from, left)?;
            }
            if let Numbers::Floats(floats) = &mut self.inputs {
                floats.push(number as f32);
            }
        }
        self.label(table, label, columns.label, line)
    }

    fn label(&mut self, table: &Table, label: &[u8], column: usize, line: u64) -> Result<()> {
        let place = || format!("{}, line {line}, {}", table.from, table.column(column));
        let kind = match table.cell(label) {
            Cell::Missing => bail!("{}: the label is missing (found {}): remove the row", place(), quoted(label)),
            Cell::Word | Cell::Truth(_) => LabelKind::Words,
            Cell::Number(number) => {
                if !(number as f32).is_finite() && self.beyond.is_none() {
                    self.beyond = Some((line, quoted(label)));
                }
                self.values.push(number);
                // Up to there, every whole number is an f64.
                let whole = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
                if whole { LabelKind::Whole } else { LabelKind::Real }
            }
        };
        self.kind = self.kind.max(kind);
        let Ok(label) = str::from_utf8(label) else {
            bail!("{}: the label {} is no UTF-8: save the file as UTF-8", place(), quoted(label));
        };
        self.labels.push_field(label);
        Ok(())
    }

    /// Bytes become real numbers.
    fn widen(&mut self, from: &str, left: &mut u64) -> Result<()> {
        if let Numbers::Bytes(bytes) = &self.inputs {
            spend(3 * bytes.len(), left, from)?;
            self.inputs = Numbers::Floats(bytes.iter().map(|byte| f32::from(*byte)).collect());
        }
        Ok(())
    }

    fn finish(self, kind: LabelKind, from: String) -> Result<Part> {
        let targets = match (kind, self.beyond) {
            (LabelKind::Words, _) => Targets::Words(self.labels.iter().map(str::to_string).collect()),
            (_, Some((line, label))) => {
                bail!("{from}, line {line}: the label {label} is beyond an f32: correct it or scale")
            }
            (LabelKind::Whole, None) => Targets::Numbers(self.values.iter().map(|value| *value as i64).collect()),
            (LabelKind::Real, None) => {
                Targets::Values { width: 1, values: self.values.iter().map(|value| *value as f32).collect() }
            }
        };
        Ok(Part { inputs: self.inputs, targets, from })
    }
}

fn spend(bytes: usize, left: &mut u64, from: &str) -> Result<()> {
    match left.checked_sub(bytes as u64) {
        Some(rest) => *left = rest,
        None => bail!("{from} takes more memory than data may: remove rows or columns"),
    }
    Ok(())
}

#[cfg(test)]
#[path = "samples_tests.rs"]
mod tests;
