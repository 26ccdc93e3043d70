//! Rows of a delimited text (RFC 4180, and what pandas, Excel, R and numpy make of it), one at a time, with their line
//! numbers, and the columns' names where there is a header. Knows neither features nor labels.
//!
//! The first row is the header where a cell of it is a word above a number in the second row, or where all its cells
//! are different and none is a number, or where it is nothing, 0, 1, 2, … (pandas' names of unnamed columns).

use super::cells::{Cell, quoted};
use super::dialect::{Dialect, SAMPLE, has_comma, rows};
use super::text::{Limited, Text};
use anyhow::{Result, anyhow, bail, ensure};
use csv::{ByteRecord, Reader};
use std::collections::{HashSet, VecDeque};
use std::io::{self, Read};

/// See the module.
pub struct Table<'a> {
    /// What errors call it.
    pub from: String,
    /// One a column, trimmed.
    pub names: Option<Vec<String>>,
    pub width: usize,
    /// What was decided on the way.
    pub notes: Vec<String>,
    csv: Reader<Limited<Box<dyn Read + 'a>>>,
    /// Lines above the parser's.
    lines: u64,
    /// Whether a comma may be a decimal one.
    comma: bool,
    /// The decimal sign of the first number that has one.
    sign: Option<u8>,
    /// Rows that were read to find the header, with their lines.
    ahead: VecDeque<(ByteRecord, u64)>,
    /// Line and number of the rows without a filled cell that came last.
    empty: Option<(u64, u64)>,
}

impl<'a> Table<'a> {
    /// # Errors
    /// Where it is no text or has no row.
    pub fn open(source: impl Read + 'a, from: &str) -> Result<Self> {
        let unreadable = |error: io::Error| anyhow!("{from} cannot be read ({error}): replace it");
        let mut text = Text::new(source).map_err(unreadable)?;
        let mut sample = Vec::new();
        text.by_ref().take(SAMPLE as u64).read_to_end(&mut sample).map_err(unreadable)?;
        let dialect = Dialect::sniff(&sample).map_err(|what| anyhow!("{from} {what}"))?;
        sample.drain(..dialect.bytes);
        let mut table = Self {
            from: from.to_string(),
            names: None,
            width: 0,
            notes: Vec::new(),
            csv: rows(io::Cursor::new(sample).chain(text), dialect.delimiter),
            lines: dialect.lines,
            comma: has_comma(dialect.delimiter),
            sign: None,
            ahead: VecDeque::new(),
            empty: None,
        };
        let (mut first, mut second) = (ByteRecord::new(), ByteRecord::new());
        let Some(line) = table.record(&mut first)? else {
            bail!("{from} is empty: at least one row of numbers is expected");
        };
        let second_line = table.record(&mut second)?;
        table.width = first.len();
        if table.is_header(&first, &second) {
            let mut names = names(&first);
            // R's write.table gives the column of the rows' names no name.
            if matches!(dialect.delimiter, b' ' | b'\t') && second.len() == first.len() + 1 {
                names.insert(0, String::new());
            }
            table.width = names.len();
            table.names = Some(names);
        } else {
            table.names = dialect.header(table.width).as_ref().map(names);
            let counts = |(at, cell)| Cell::new(cell, table.comma) == Cell::Number(at as f64);
            if table.names.is_none() && first.len() > 2 && first.iter().enumerate().all(counts) {
                let what = "its first row (0, 1, 2, …) was taken for data: remove it if those are names of columns";
                table.notes.push(format!("{from} has no header, and {what}"));
            }
            table.ahead.push_back((first, line));
        }
        table.ahead.extend(second_line.map(|line| (second, line)));
        Ok(table)
    }

    fn is_header(&self, first: &ByteRecord, second: &ByteRecord) -> bool {
        let cells = |row: &ByteRecord| row.iter().map(|cell| Cell::new(cell, self.comma)).collect::<Vec<_>>();
        let (names, below) = (cells(first), cells(second));
        // Without a name for the rows' names, columns stand one further to the right.
        let below = &below[usize::from(below.len() == names.len() + 1)..];
        let word_above_number = |(name, below): (&Cell, &Cell)| *name == Cell::Word && below.number().is_some();
        if names.iter().zip(below).any(word_above_number) {
            return true;
        }
        if names.contains(&Cell::Word) && !names.iter().any(|name| name.number().is_some()) {
            let mut seen = HashSet::new();
            return first.iter().all(|name| seen.insert(name.trim_ascii()));
        }
        let counts = |(at, name): (usize, &Cell)| *name == Cell::Number(at as f64);
        let from_0 = names.len() > 1 && names[1..].iter().enumerate().all(counts);
        names[0] == Cell::Missing && from_0 && below.first().is_some_and(|cell| cell.number().is_some())
    }

    /// The next row with anything in it and the line that it starts on, from 1.
    fn record(&mut self, row: &mut ByteRecord) -> Result<Option<u64>> {
        loop {
            self.csv.get_mut().next_row();
            let before = self.csv.position().line();
            let there = self.csv.read_byte_record(row);
            // Every line ends, so the parser stands on the next one (but for an open quote at the file's end); empty
            // ones above do not count as the row's.
            let inside = row.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
            let line = self.lines + self.csv.position().line().saturating_sub(1 + inside).max(before);
            match there {
                Ok(false) => return Ok(None),
                Ok(true) if row.len() == 1 && row[0].trim_ascii().is_empty() => {}
                Ok(true) => return Ok(Some(line)),
                Err(error) => bail!("{} cannot be read on from line {line} ({error}): repair it", self.from),
            }
        }
    }

    /// The next row and its line; `None` at the end.
    ///
    /// # Errors
    /// Where the row is longer or shorter than the first, or empty and not the last.
    pub fn next(&mut self, row: &mut ByteRecord) -> Result<Option<u64>> {
        loop {
            let line = match self.ahead.pop_front() {
                Some((record, line)) => {
                    *row = record;
                    Some(line)
                }
                None => self.record(row)?,
            };
            let Some(line) = line else {
                if let Some((first, count)) = self.empty.take() {
                    self.notes.push(format!("{} ends in {count} empty rows from line {first} on: ignored", self.from));
                }
                return Ok(None);
            };
            ensure!(
                row.len() == self.width,
                "{}, line {line}: {} cells expected as in the first row, {} found: repair that line, or its quotes",
                self.from,
                self.width,
                row.len()
            );
            if row.iter().all(|cell| cell.trim_ascii().is_empty()) {
                self.empty = Some(self.empty.map_or((line, 1), |(first, count)| (first, count + 1)));
                continue;
            }
            if let Some((line, _)) = self.empty {
                bail!("{}, line {line}: the row is empty, and others follow: remove or fill it", self.from);
            }
            return Ok(Some(line));
        }
    }

    /// What a cell holds.
    pub fn cell(&self, cell: &[u8]) -> Cell {
        Cell::new(cell, self.comma)
    }

    /// The cell of a column as a feature.
    ///
    /// # Errors
    /// Where it is missing, no number or none that an f32 holds.
    pub fn feature(&mut self, row: &ByteRecord, column: usize, line: u64) -> Result<f64> {
        let cell = &row[column];
        let found = self.cell(cell);
        let comma = self.comma && cell.contains(&b',');
        let sign = if comma { Some(b',') } else { cell.contains(&b'.').then_some(b'.') };
        let first = self.sign;
        self.sign = first.or(sign);
        let place = || format!("{}, line {line}, {}", self.from, self.column(column));
        let number = match (found.number(), found) {
            (Some(number), _) => number,
            (None, Cell::Missing) => {
                bail!("{}: a number is missing (found {}): fill it, or remove the row", place(), quoted(cell))
            }
            _ => bail!("{}: {} is no number: encode the column as numbers, or remove it", place(), quoted(cell)),
        };
        ensure!((number as f32).is_finite(), "{}: {} is beyond an f32: correct it or scale", place(), quoted(cell));
        if let (Some(first), Some(sign)) = (first, sign) {
            ensure!(
                first == sign,
                "{}: {} has a decimal {:?}, and numbers above have a {:?}: write all of them alike",
                place(),
                quoted(cell),
                char::from(sign),
                char::from(first)
            );
        }
        Ok(number)
    }

    /// Whether a column has nothing in the first row below the header. Only before the first row is taken.
    pub fn starts_empty(&self, column: usize) -> bool {
        let cell = self.ahead.front().and_then(|(row, _)| row.get(column));
        cell.is_some_and(|cell| cell.trim_ascii().is_empty())
    }

    /// A column as errors name it.
    pub fn column(&self, column: usize) -> String {
        match self.names.as_ref().and_then(|names| names.get(column)) {
            Some(name) => format!("column {}", quoted(name.as_bytes())),
            None => format!("column {column} (counted from 0)"),
        }
    }

    /// The columns' names, the first ten.
    pub fn listed(&self) -> String {
        let Some(names) = &self.names else {
            return format!("no header and {} columns", self.width);
        };
        let mut list: Vec<_> = names.iter().take(10).map(|name| quoted(name.as_bytes())).collect();
        if names.len() > 10 {
            list.push(format!("… ({} in all)", names.len()));
        }
        format!("the columns {}", list.join(", "))
    }
}

fn names(row: &ByteRecord) -> Vec<String> {
    row.iter().map(|name| String::from_utf8_lossy(name).trim().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (u64, Vec<String>);

    /// The header, and the rows' lines and cells.
    fn table(text: &str) -> Result<(Option<Vec<String>>, Vec<Row>)> {
        let mut table = Table::open(text.as_bytes(), "t.csv")?;
        let (mut row, mut all) = (ByteRecord::new(), Vec::new());
        while let Some(line) = table.next(&mut row)? {
            all.push((line, row.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect()));
        }
        Ok((table.names, all))
    }

    #[test]
    fn headers() {
        for (text, expected) in [
            ("a,b\n1,2\n", Some("a b")),
            ("1,2\n3,4\n", None),
            ("5.1,setosa\n4.9,setosa\n", None),
            ("150,4,setosa,versicolor\n5.1,3.5,1.4,0\n", Some("150 4 setosa versicolor")),
            ("a,flag,label\nTrue,False,cat\n", Some("a flag label")),
            ("True,cat\nFalse,dog\n", None),
            ("a,b,label\n", Some("a b label")),
            ("cat,cat\ndog,dog\n", None),
            ("1,,2\n1,2,3\n", None),
            (",a,b\n0,1,2\n", Some(" a b")),
            (",0,1\n0,1.5,2.5\n", Some(" 0 1")),
            (",0,2\n0,1.5,2.5\n", None),
            ("0,1,2\n3,4,5\n", None),
            ("# a b\n1 2\n", Some("a b")),
            ("# made\na,b\n1,2\n", Some("a b")),
            ("\"x\" \"y\"\n\"1\" 1 2\n\"2\" 3 4\n", Some(" x y")),
            (" a , b \n1,2\n", Some("a b")),
        ] {
            let found = table(text).unwrap().0.map(|names| names.join(" "));
            assert_eq!(found.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn lines_are_counted_as_an_editor_does() {
        for (text, expected) in [
            ("1,2\n3,4\n", vec![1, 2]),
            ("a,b\r\n1,2\r\n\r\n3,4", vec![2, 4]),
            ("a,b\r1,2\r3,4", vec![2, 3]),
            ("sep=,\n\na,b\n1,2\n", vec![4]),
            ("a,b\n\"x\ny\",2\n\n  \n1,2\n", vec![2, 6]),
            ("\n\n1,2\n", vec![3]),
            ("\u{feff}a,b\n1,2\n", vec![2]),
            ("# c\n1,2\n\n\n\n3,4\n\n\n", vec![2, 6]),
        ] {
            let lines: Vec<_> = table(text).unwrap().1.iter().map(|row| row.0).collect();
            assert_eq!(lines, expected, "{text:?}");
        }
    }

    #[test]
    fn quotes() {
        let (_, rows) = table("a,b\n\"x \"\"y\"\", z\",2\n").unwrap();
        assert_eq!(rows[0].1, ["x \"y\", z", "2"]);
    }

    #[test]
    fn refusals() {
        for (text, expected) in [
            ("", "is empty"),
            ("\n\n  \n", "is empty"),
            ("a,b\n1,2\n1,2,3\n", "line 3: 2 cells expected as in the first row, 3 found"),
            ("a,b\n1,2\n1\n", "line 3: 2 cells expected as in the first row, 1 found"),
            ("a,b\n1,2\n,\n3,4\n", "line 3: the row is empty"),
            ("a,b\n1,2\n\"3,4\n5,6\n", "line 3: 2 cells expected"),
            ("PK\u{3}\u{4}", "ZIP"),
        ] {
            let error = table(text).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains('\n'), "{text:?}: {error}");
        }
        assert_eq!(table("a,b\n1,2\n,\n,\n").unwrap().1.len(), 1);
        let mut open = Table::open(&b"a,b\n1,2\n,\n,\n"[..], "t").unwrap();
        let mut row = ByteRecord::new();
        while open.next(&mut row).unwrap().is_some() {}
        assert_eq!(open.notes, ["t ends in 2 empty rows from line 3 on: ignored"]);
    }

    #[test]
    fn features_are_numbers_that_an_f32_holds() {
        for (text, expected) in [
            ("a,b\n1,\n", Err("line 2, column \"b\": a number is missing (found \"\")")),
            ("a,b\n1,NA\n", Err("a number is missing (found \"NA\")")),
            ("a,b\n1,abcdefghijklmnopqrstuvwxyz\n", Err("\"abcdefghijklmnopqrst…\" is no number")),
            ("1,1e39\n", Err("line 1, column 1 (counted from 0): \"1e39\" is beyond an f32")),
            ("a,b\n1,inf\n", Err("beyond")),
            ("a;b\n0,5;1.5\n", Err("\"1.5\" has a decimal '.', and numbers above have a ','")),
            ("a;b\n0,5;1,5\n", Ok([0.5, 1.5])),
            ("a\tb\n0.5\tTRUE\n", Ok([0.5, 1.0])),
        ] {
            let mut table = Table::open(text.as_bytes(), "t").unwrap();
            let mut row = ByteRecord::new();
            let line = table.next(&mut row).unwrap().unwrap();
            let found: Result<Vec<_>> = (0..2).map(|column| table.feature(&row, column, line)).collect();
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{text:?}"),
                (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{text:?}: {error}"),
                (found, _) => panic!("{text:?}: {found:?}"),
            }
        }
    }
}
