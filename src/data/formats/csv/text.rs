//! A text file's bytes as the parser of tables takes them: gunzipped, UTF-8 without a byte-order mark (UTF-16 is
//! decoded where a mark announces it), every line ended by one LF; in tables that spaces separate, with one space
//! between cells. Reads on as it is asked to, never a file at once. Knows no cells.

use flate2::read::MultiGzDecoder;
use std::io::{self, BufRead, Read};

const CHUNK: usize = 1 << 16;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

/// See the module.
pub struct Text<'a> {
    raw: Box<dyn Read + 'a>,
    encoding: Encoding,
    chunk: Vec<u8>,
    /// First byte of a code unit whose second has not come yet.
    odd: Option<u8>,
    /// First half of a surrogate pair whose second has not come yet.
    high: Option<u16>,
    after_cr: bool,
    out: Vec<u8>,
    at: usize,
    /// The last byte given; LF before there is one.
    last: u8,
    ended: bool,
}

impl<'a> Text<'a> {
    /// Whether it is gzipped, and its encoding, are found from its first bytes: names lie.
    pub fn new(mut source: impl Read + 'a) -> io::Result<Self> {
        let start = first(&mut source, 2)?;
        let gzip = start == [0x1f, 0x8b];
        let source = io::Cursor::new(start).chain(source);
        let mut raw: Box<dyn Read + 'a> = if gzip { Box::new(MultiGzDecoder::new(source)) } else { Box::new(source) };
        let start = first(&mut raw, 3)?;
        let (encoding, mark) = match start[..] {
            [0xef, 0xbb, 0xbf] => (Encoding::Utf8, 3),
            [0xff, 0xfe, ..] => (Encoding::Utf16Le, 2),
            [0xfe, 0xff, ..] => (Encoding::Utf16Be, 2),
            _ => (Encoding::Utf8, 0),
        };
        let raw = Box::new(io::Cursor::new(start[mark..].to_vec()).chain(raw));
        let (chunk, out) = (vec![0; CHUNK], Vec::new());
        let (odd, high, after_cr, at, last, ended) = (None, None, false, 0, b'\n', false);
        Ok(Self { raw, encoding, chunk, odd, high, after_cr, out, at, last, ended })
    }

    fn decode(&mut self, count: usize) {
        let chunk = std::mem::take(&mut self.chunk);
        let raw = &chunk[..count];
        match self.encoding {
            Encoding::Utf8 if !self.after_cr && !raw.contains(&b'\r') => self.out.extend_from_slice(raw),
            Encoding::Utf8 => raw.iter().for_each(|byte| self.push(*byte)),
            Encoding::Utf16Le | Encoding::Utf16Be => raw.iter().for_each(|byte| match self.odd.take() {
                None => self.odd = Some(*byte),
                Some(odd) if self.encoding == Encoding::Utf16Le => self.unit(u16::from_le_bytes([odd, *byte])),
                Some(odd) => self.unit(u16::from_be_bytes([odd, *byte])),
            }),
        }
        self.chunk = chunk;
    }

    /// CR LF and a bare CR become LF.
    fn push(&mut self, byte: u8) {
        match byte {
            b'\n' if self.after_cr => self.after_cr = false,
            b'\r' => {
                self.after_cr = true;
                self.out.push(b'\n');
            }
            _ => {
                self.after_cr = false;
                self.out.push(byte);
            }
        }
    }

    fn unit(&mut self, unit: u16) {
        let high = self.high.take();
        if high.is_none() && (0xd800..0xdc00).contains(&unit) {
            self.high = Some(unit);
            return;
        }
        for char in char::decode_utf16(high.into_iter().chain([unit])) {
            let mut bytes = [0; 4];
            let char = char.unwrap_or(char::REPLACEMENT_CHARACTER);
            char.encode_utf8(&mut bytes).bytes().for_each(|byte| self.push(byte));
        }
    }
}

impl BufRead for Text<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.out.len() && !self.ended {
            self.out.clear();
            self.at = 0;
            let count = match self.raw.read(&mut self.chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                count => count?,
            };
            self.decode(count);
            if count == 0 {
                self.ended = true;
                if self.odd.take().is_some() | self.high.take().is_some() {
                    self.out.extend_from_slice("\u{fffd}".as_bytes());
                }
            }
            self.last = self.out.last().copied().unwrap_or(self.last);
            if self.ended && self.last != b'\n' {
                self.out.push(b'\n');
            }
        }
        Ok(&self.out[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl Read for Text<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        hand_over(self, buffer)
    }
}

/// One space for each run of spaces and tabs outside of quotes, none at the start and the end of a line.
pub struct Squeezed<R> {
    inner: R,
    out: Vec<u8>,
    at: usize,
    at_line_start: bool,
    blank: bool,
    quote: Quote,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    /// A quote opens a cell only at its start.
    Outside,
    Inside,
    /// A quote has just closed the cell, unless another one follows.
    Closed,
}

impl<R: BufRead> Squeezed<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, out: Vec::new(), at: 0, at_line_start: true, blank: false, quote: Quote::Outside }
    }

    fn push(&mut self, byte: u8) {
        match (self.quote, byte) {
            (Quote::Inside, _) => {
                self.out.push(byte);
                if byte == b'"' {
                    self.quote = Quote::Closed;
                }
                return;
            }
            (Quote::Closed, b'"') => {
                self.out.push(byte);
                self.quote = Quote::Inside;
                return;
            }
            (_, b' ' | b'\t') => self.blank = true,
            (_, b'\n') => {
                self.out.push(byte);
                (self.at_line_start, self.blank) = (true, false);
            }
            _ => {
                let at_start = self.at_line_start || self.blank;
                if self.blank && !self.at_line_start {
                    self.out.push(b' ');
                }
                self.out.push(byte);
                (self.at_line_start, self.blank) = (false, false);
                if byte == b'"' && at_start {
                    self.quote = Quote::Inside;
                    return;
                }
            }
        }
        self.quote = Quote::Outside;
    }
}

impl<R: BufRead> BufRead for Squeezed<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.out.len() {
            self.out.clear();
            self.at = 0;
            let chunk = self.inner.fill_buf()?;
            let count = chunk.len().min(CHUNK);
            if count == 0 {
                break;
            }
            let chunk = chunk[..count].to_vec();
            chunk.iter().for_each(|byte| self.push(*byte));
            self.inner.consume(count);
        }
        Ok(&self.out[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl<R: BufRead> Read for Squeezed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        hand_over(self, buffer)
    }
}

/// Refuses to give more than one row may have: a lost quote would make a row of the rest of the file.
pub struct Limited<R> {
    inner: R,
    delimiter: u8,
    bytes: usize,
    cells: usize,
}

impl<R: Read> Limited<R> {
    const MOST_BYTES: usize = 64 << 20;
    const MOST_CELLS: usize = 4 << 20;

    pub fn new(inner: R, delimiter: u8) -> Self {
        Self { inner, delimiter, bytes: 0, cells: 0 }
    }

    /// From here on, another row is read.
    pub fn next_row(&mut self) {
        (self.bytes, self.cells) = (0, 0);
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes > Self::MOST_BYTES || self.cells > Self::MOST_CELLS {
            return Err(io::Error::other(format!(
                "a row of more than {} MiB or {} cells, as a quote that is never closed makes one",
                Self::MOST_BYTES >> 20,
                Self::MOST_CELLS
            )));
        }
        let count = self.inner.read(buffer)?;
        self.bytes += count;
        self.cells += buffer[..count].iter().filter(|byte| **byte == self.delimiter).count();
        Ok(count)
    }
}

/// The first so many bytes, fewer only where no more are there.
fn first(source: &mut impl Read, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.by_ref().take(count).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn hand_over(from: &mut impl BufRead, buffer: &mut [u8]) -> io::Result<usize> {
    let ready = from.fill_buf()?;
    let count = ready.len().min(buffer.len());
    buffer[..count].copy_from_slice(&ready[..count]);
    from.consume(count);
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    fn text(bytes: &[u8]) -> String {
        let mut out = String::new();
        Text::new(bytes).unwrap().read_to_string(&mut out).unwrap();
        out
    }

    fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(unit).collect()
    }

    #[test]
    fn encodings_and_line_ends() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(b"\xef\xbb\xbfa\r\nb").unwrap();
        for (bytes, expected) in [
            (&b""[..], ""),
            (b"a", "a\n"),
            (b"a\n", "a\n"),
            (b"a\rb\r\nc\n\rd", "a\nb\nc\n\nd\n"),
            (b"\xef\xbb\xbfa", "a\n"),
            (b"\xef\xbb\xbf", ""),
            (&gzip.finish().unwrap(), "a\nb\n"),
            (&utf16("ä𝄞\r\nb\r\n", u16::to_le_bytes), "ä𝄞\nb\n"),
            (&utf16("ä𝄞\rb", u16::to_be_bytes), "ä𝄞\nb\n"),
            (b"\xff\xfea\0\x34\xd8", "a\u{fffd}\n"),
            (b"\xff\xfea\0b", "a\u{fffd}\n"),
            (b"\xff\xfe\x34\xd8a\0", "\u{fffd}a\n"),
        ] {
            assert_eq!(text(bytes), expected, "{bytes:?}");
        }
        let long = "0123456789abcde\r\n".repeat(CHUNK / 4);
        assert_eq!(text(long.as_bytes()), long.replace('\r', ""));
        assert_eq!(text(&utf16(&long, u16::to_le_bytes)), long.replace('\r', ""));
    }

    #[test]
    fn damaged_gzip_is_an_error() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&b"1,2,3\n".repeat(1000)).unwrap();
        let gzip = gzip.finish().unwrap();
        let read = |bytes: &[u8]| Text::new(bytes).and_then(|mut text| text.read_to_end(&mut Vec::new())).is_err();
        assert!(read(&gzip[..gzip.len() - 9]) && read(&[0x1f, 0x8b]) && read(b"\x1f\x8bxyz"));
    }

    #[test]
    fn blanks_are_squeezed_outside_of_quotes() {
        for (given, expected) in [
            ("  1   2 \n\t3 \t 4", "1 2\n3 4"),
            ("\"a  b\"   2", "\"a  b\" 2"),
            ("1   \"a \"\"  b\"  c", "1 \"a \"\"  b\" c"),
            ("5\"  6  7\"  8", "5\" 6 7\" 8"),
            ("\"a\n  b\"  c", "\"a\n  b\" c"),
            ("   \n\n  ", "\n\n"),
        ] {
            let mut out = String::new();
            Squeezed::new(given.as_bytes()).read_to_string(&mut out).unwrap();
            assert_eq!(out, expected, "{given:?}");
        }
    }

    #[test]
    fn a_row_is_limited() {
        let error = |bytes: u8| {
            let mut limited = Limited::new(io::repeat(bytes).take(1 << 27), b',');
            io::copy(&mut limited, &mut io::sink()).unwrap_err().to_string()
        };
        assert!(error(b'x').contains("64 MiB") && error(b',').contains("4194304 cells"));
    }
}
