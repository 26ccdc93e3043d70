//! What a cell of a table holds: a number, nothing, or a word. Numbers as people and programs write them: blanks
//! around, a leading +, an exponent, a decimal comma where commas do not separate cells, True and False.

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    Number(f64),
    /// True or False: 1 or 0 in a feature, a word in a label.
    Truth(bool),
    Missing,
    Word,
}

impl Cell {
    /// `comma`: whether a comma may be a decimal one. Infinite where the cell says so or is beyond an f64.
    pub fn new(cell: &[u8], comma: bool) -> Self {
        let cell = cell.trim_ascii();
        if (1..=15).contains(&cell.len()) && cell.iter().all(u8::is_ascii_digit) {
            let whole = cell.iter().fold(0_u64, |all, digit| 10 * all + u64::from(digit - b'0'));
            return Self::Number(whole as f64);
        }
        match cell {
            b"" | b"?" | b"NA" | b"N/A" | b"#N/A" | b"<NA>" | b"null" | b"NULL" => return Self::Missing,
            b"True" | b"TRUE" | b"true" => return Self::Truth(true),
            b"False" | b"FALSE" | b"false" => return Self::Truth(false),
            _ => {}
        }
        // Longer ones are no numbers that anyone writes.
        let Some(text) = Some(cell).filter(|cell| cell.len() <= 400).and_then(|cell| str::from_utf8(cell).ok()) else {
            return Self::Word;
        };
        let number = match text.split_once(',') {
            Some((whole, rest)) if comma && !text.contains('.') && !rest.contains(',') => {
                format!("{whole}.{rest}").parse()
            }
            _ => text.parse::<f64>(),
        };
        match number {
            Ok(number) if number.is_nan() => Self::Missing,
            Ok(number) => Self::Number(number),
            Err(_) => Self::Word,
        }
    }

    /// A number in a column of features.
    pub fn number(self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Truth(truth) => Some(f64::from(u8::from(truth))),
            Self::Missing | Self::Word => None,
        }
    }
}

/// A cell or name for an error: its first 20 characters, on one line.
pub fn quoted(cell: &[u8]) -> String {
    let cell = String::from_utf8_lossy(&cell[..cell.len().min(100)]);
    let mut short: String = cell.trim().chars().take(20).collect();
    if short.len() < cell.trim().len() {
        short.push('…');
    }
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells() {
        use Cell::{Missing, Number, Truth, Word};
        for (cell, comma, expected) in [
            ("1", false, Number(1.0)),
            (" +1.50\t", false, Number(1.5)),
            ("-2e-3", false, Number(-0.002)),
            ("1.000000000000000000e+00", false, Number(1.0)),
            (".5", false, Number(0.5)),
            ("5.", false, Number(5.0)),
            ("999999999999999", false, Number(999_999_999_999_999.0)),
            ("12345678901234567890", false, Number(12_345_678_901_234_567_890.0)),
            ("1,5", true, Number(1.5)),
            ("-1,5E+2", true, Number(-150.0)),
            ("1,5", false, Word),
            ("1.234,5", true, Word),
            ("1,234,5", true, Word),
            ("inf", false, Number(f64::INFINITY)),
            ("-Infinity", false, Number(f64::NEG_INFINITY)),
            ("1e999", false, Number(f64::INFINITY)),
            ("", false, Missing),
            ("  ", false, Missing),
            ("NaN", false, Missing),
            ("nan", false, Missing),
            ("-nan", false, Missing),
            ("NA", false, Missing),
            ("N/A", false, Missing),
            ("null", false, Missing),
            ("?", false, Missing),
            ("True", false, Truth(true)),
            ("FALSE", false, Truth(false)),
            ("0x10", false, Word),
            ("1_000", false, Word),
            ("1 2", false, Word),
            ("cat", false, Word),
        ] {
            assert_eq!(Cell::new(cell.as_bytes(), comma), expected, "{cell:?}");
        }
        assert_eq!(Cell::new(b"\xff1", false), Word);
        assert_eq!(Cell::new(&[b'x'; 10_000], false), Word);
    }

    #[test]
    fn quotes_are_short_and_on_one_line() {
        assert_eq!(quoted(b" a\nb\" "), "\"a\\nb\\\"\"");
        assert_eq!(quoted("äöüäöüäöüäöüäöüäöüäöüäöü".as_bytes()), "\"äöüäöüäöüäöüäöüäöüäö…\"");
        assert_eq!(quoted(&[b'x'; 200]), format!("\"{}…\"", "x".repeat(20)));
    }
}
