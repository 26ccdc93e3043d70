//! How a table is written, found from its first lines: what separates cells (a tab, `;`, `,` or runs of spaces), the
//! line `sep=;` that Excel takes, and the lines after `#` in which numpy.savetxt puts its header. Knows no columns.

use super::cells::Cell;
use super::text::{Limited, Squeezed};
use csv::{ByteRecord, Reader, ReaderBuilder, Terminator};
use std::io::Read;

/// As many bytes are looked at.
pub const SAMPLE: usize = 1 << 16;

/// In this order where several fit: a comma may be a decimal one, and a space may be anywhere.
const DELIMITERS: [u8; 4] = [b'\t', b';', b',', b' '];

#[derive(Debug, PartialEq, Eq)]
pub struct Dialect {
    pub delimiter: u8,
    /// The last line after `#` above the rows, without that: a header, or a comment.
    pub comment: Option<Vec<u8>>,
    /// Lines and bytes above the rows.
    pub lines: u64,
    pub bytes: usize,
}

impl Dialect {
    /// `sample` is the file's first [`SAMPLE`] bytes as [`super::text::Text`] gives them, or all of it.
    ///
    /// # Errors
    /// Where it is no text; what it is, to go on "it ".
    pub fn sniff(sample: &[u8]) -> Result<Self, &'static str> {
        if sample.starts_with(b"PK\x03\x04") {
            return Err("is a ZIP archive, as Excel's workbooks are, and no text: save or export it as CSV");
        }
        if sample.contains(&0) {
            return Err("is no text, or UTF-16 without a byte-order mark: save it as UTF-8");
        }
        let mut found = Self { delimiter: b',', comment: None, lines: 0, bytes: 0 };
        let mut separator = None;
        for line in sample.split_inclusive(|byte| *byte == b'\n') {
            let text = line.trim_ascii();
            match text {
                [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', rest @ ..] if found.lines == 0 => {
                    let given = line[..line.len() - usize::from(line.ends_with(b"\n"))].last();
                    separator = DELIMITERS.into_iter().find(|known| rest == [*known] || Some(known) == given);
                    if separator.is_none() {
                        break;
                    }
                }
                [b'#', rest @ ..] => found.comment = Some(rest.trim_ascii().to_vec()),
                [] => {}
                _ => break,
            }
            found.lines += 1;
            found.bytes += line.len();
        }
        let rows = &sample[found.bytes..];
        found.delimiter = separator.unwrap_or_else(|| delimiter(rows, sample.len() >= SAMPLE));
        Ok(found)
    }

    /// The comment's cells, where there are so many of them: separated as the rows are, or otherwise.
    pub fn header(&self, width: usize) -> Option<ByteRecord> {
        let comment = self.comment.as_deref()?;
        let mut cells = ByteRecord::new();
        [self.delimiter].into_iter().chain(DELIMITERS).find_map(|delimiter| {
            let there = rows(comment, delimiter).read_byte_record(&mut cells).is_ok_and(|there| there);
            (there && cells.len() == width).then(|| cells.clone())
        })
    }
}

/// What makes most rows the same number of cells, above one; of several, what makes most of these cells numbers.
fn delimiter(sample: &[u8], cut: bool) -> u8 {
    const MOST_ROWS: usize = 20;
    let score = |delimiter: u8| {
        let is_number = |cell: &&[u8]| matches!(Cell::new(cell, has_comma(delimiter)), Cell::Number(_));
        let mut found = Vec::new();
        let mut reader = rows(sample, delimiter);
        let mut row = ByteRecord::new();
        while found.len() < MOST_ROWS && reader.read_byte_record(&mut row).is_ok_and(|there| there) {
            if row.len() > 1 || !row.as_slice().trim_ascii().is_empty() {
                found.push((row.len(), row.iter().filter(is_number).count()));
            }
        }
        if cut && (2..MOST_ROWS).contains(&found.len()) {
            found.pop();
        }
        let alike = |width: usize| {
            let alike = found.iter().filter(|row| row.0 == width);
            (alike.clone().count(), alike.map(|row| row.1).sum::<usize>())
        };
        found.iter().filter(|row| row.0 > 1).map(|row| alike(row.0)).max().unwrap_or_default()
    };
    let mut best = (b',', (0, 0));
    for delimiter in DELIMITERS {
        let score = score(delimiter);
        if score > best.1 {
            best = (delimiter, score);
        }
    }
    best.0
}

/// Whether commas are left for decimals.
pub fn has_comma(delimiter: u8) -> bool {
    matches!(delimiter, b';' | b'\t')
}

/// Rows of any width, the first one too.
pub fn rows<'a>(source: impl std::io::BufRead + 'a, delimiter: u8) -> Reader<Limited<Box<dyn Read + 'a>>> {
    let source: Box<dyn Read + 'a> = match delimiter {
        b' ' => Box::new(Squeezed::new(source)),
        _ => Box::new(source),
    };
    ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .terminator(Terminator::Any(b'\n'))
        .buffer_capacity(1 << 16)
        .from_reader(Limited::new(source, delimiter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialects() {
        for (text, delimiter, lines) in [
            ("a,b\n1,2\n", b',', 0),
            ("a;b\n1,5;2\n", b';', 0),
            ("1,5;2,5\n1,5;2,5\n", b';', 0),
            ("a\tb c\n1\t2\n", b'\t', 0),
            ("1 2\n3   4\n", b' ', 0),
            ("a, b\n1, 2\n", b',', 0),
            ("\"x;y\",b\n1,2\n", b',', 0),
            ("sep=;\na;b,c\n1;2,3\n", b';', 1),
            ("sep=\t\na\tb\n", b'\t', 1),
            ("sep=|\n1,2\n", b',', 0),
            ("# a b\n1 2\n", b' ', 1),
            ("\n# one\n# two\n1,2\n", b',', 3),
            ("a\n1\n", b',', 0),
            (";z,1,2\n", b',', 0),
            ("a;0,5;b\nc;1;d\n", b';', 0),
            ("0,5;0,7\n", b';', 0),
            ("", b',', 0),
        ] {
            let found = Dialect::sniff(text.as_bytes()).unwrap();
            assert_eq!((found.delimiter, found.lines), (delimiter, lines), "{text:?}");
        }
        assert!(Dialect::sniff(b"PK\x03\x04").unwrap_err().contains("ZIP"));
        assert!(Dialect::sniff(b"1\0,\x002\0").unwrap_err().contains("UTF-16"));
    }

    #[test]
    fn headers_after_a_hash() {
        for (text, width, expected) in [
            ("# a b\n1 2\n", 2, Some(vec!["a", "b"])),
            ("#a,b\n1 2\n", 2, Some(vec!["a", "b"])),
            ("# a,b\n1,2\n", 2, Some(vec!["a", "b"])),
            ("# made today\n1,2,3\n", 3, None),
            ("1,2\n", 2, None),
        ] {
            let header = Dialect::sniff(text.as_bytes()).unwrap().header(width);
            let header = header.as_ref().map(|cells| cells.iter().map(|cell| str::from_utf8(cell).unwrap()).collect());
            assert_eq!(header, expected, "{text:?}");
        }
    }
}
