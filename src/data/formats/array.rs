//! Arrays as IDX and NumPy files hold them: what a header announces, bytes read without trusting it, and the numbers
//! or words that the bytes are. Element types are NumPy's (https://numpy.org/doc/stable/reference/arrays.dtypes.html).
//! Knows no file format, and not what an array is for.

use anyhow::{Result, anyhow, bail};
use half::f16;
use std::io::Read;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Bool,
    Unsigned,
    Signed,
    Float,
    /// UTF-32, padded with NULs.
    Unicode,
    /// Bytes, padded with NULs.
    Bytes,
}

/// The type of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    pub class: Class,
    /// Bytes of one element, above 0.
    pub size: usize,
    pub big_endian: bool,
}

impl Element {
    pub fn is_word(self) -> bool {
        matches!(self.class, Class::Unicode | Class::Bytes)
    }

    /// Whether each is a whole number by its type.
    pub fn is_whole(self) -> bool {
        matches!(self.class, Class::Bool | Class::Unsigned | Class::Signed)
    }

    /// As NumPy calls it.
    pub fn name(self) -> String {
        let bits = 8 * self.size;
        match self.class {
            Class::Bool => "bool".into(),
            Class::Unsigned => format!("uint{bits}"),
            Class::Signed => format!("int{bits}"),
            Class::Float => format!("float{bits}"),
            Class::Unicode => format!("<U{}", self.size / 4),
            Class::Bytes => format!("|S{}", self.size),
        }
    }
}

/// What a header says of an array.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// What errors call the array: a path, with its name where there is one.
    pub from: String,
    pub shape: Vec<usize>,
    pub element: Element,
}

impl Head {
    /// Elements of the whole array; `None` where that is beyond 64 bits.
    pub fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1, |all: u64, side| all.checked_mul(*side as u64))
    }

    /// Bytes of the whole array; `None` where that is beyond 64 bits.
    pub fn bytes(&self) -> Option<u64> {
        self.elements()?.checked_mul(self.element.size as u64)
    }

    /// The first dimension.
    pub fn samples(&self) -> usize {
        self.shape.first().copied().unwrap_or(0)
    }

    /// Elements of one sample, where the shape has been looked at.
    fn width(&self) -> usize {
        self.shape.iter().skip(1).product()
    }
}

/// An array, its elements in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub head: Head,
    pub bytes: Vec<u8>,
}

/// How much is read of how much, in bytes.
pub struct Progress<'a> {
    pub done: u64,
    pub total: u64,
    pub call: &'a mut dyn FnMut(u64, u64) -> Result<()>,
}

impl Progress<'_> {
    pub fn add(&mut self, bytes: usize) -> Result<()> {
        self.done += bytes as u64;
        (self.call)(self.done, self.total)
    }
}

/// Exactly the bytes that `head` announces, which must be all there are. What is allocated follows what arrives.
///
/// # Errors
/// Where fewer or more bytes are there, or they cannot be read.
pub fn body(head: &Head, mut reader: impl Read, progress: &mut Progress) -> Result<Vec<u8>> {
    const STEP: usize = 1 << 20;
    let from = &head.from;
    let broken = |error| anyhow!("{from} cannot be read to its end ({error}): get the file anew");
    let expected = head.bytes().and_then(|bytes| usize::try_from(bytes).ok());
    let expected = expected.ok_or_else(|| anyhow!("{from} is too big: its shape is {}", dimensions(&head.shape)))?;
    let mut bytes = Vec::new();
    while bytes.len() < expected {
        let step = STEP.min(expected - bytes.len());
        if bytes.capacity() - bytes.len() < step {
            bytes.reserve_exact(bytes.len().max(STEP).min(expected - bytes.len()));
        }
        let got = reader.by_ref().take(step as u64).read_to_end(&mut bytes).map_err(broken)?;
        if got < step {
            bail!(
                "{from} is truncated: {expected} bytes are expected for its shape {}, {} were found; get the file anew",
                dimensions(&head.shape),
                bytes.len()
            );
        }
        progress.add(got)?;
    }
    // Reading past the end also has gzip and zip compare their checksums.
    if reader.take(1).read_to_end(&mut Vec::new()).map_err(broken)? > 0 {
        bail!(
            "{from} is oversized: {expected} bytes are expected for its shape {}, and more follow; get the file anew",
            dimensions(&head.shape)
        );
    }
    Ok(bytes)
}

/// A shape as errors say it.
pub fn dimensions(shape: &[usize]) -> String {
    format!("[{}]", shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}

trait Scalar: Copy {
    fn single(self) -> f32;
    /// `None` where it is not a whole number of 64 bits.
    fn whole(self) -> Option<i64>;
    fn finite(self) -> bool;
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl Scalar for $integer {
            fn single(self) -> f32 {
                self as f32
            }

            fn whole(self) -> Option<i64> {
                i64::try_from(self).ok()
            }

            fn finite(self) -> bool {
                true
            }
        }
    )*};
}
integers!(u8 u16 u32 u64 i8 i16 i32 i64);

macro_rules! floats {
    ($($float:ty)*) => {$(
        impl Scalar for $float {
            fn single(self) -> f32 {
                f64::from(self) as f32
            }

            fn whole(self) -> Option<i64> {
                let double = f64::from(self);
                // 2^63 saturates to itself less 1, which is the same f64.
                (double as i64 as f64 == double && double < 9_223_372_036_854_775_808.0).then_some(double as i64)
            }

            fn finite(self) -> bool {
                f64::from(self).is_finite()
            }
        }
    )*};
}
floats!(f16 f32 f64);

/// `$body` with `$all` being an iterator over the array's elements in their own type.
macro_rules! scalars {
    ($array:expr, $all:ident => $body:expr) => {{
        macro_rules! of {
            ($type:ty) => {{
                let big_endian = $array.head.element.big_endian;
                let $all = $array.bytes.as_chunks().0.iter().map(|bytes| {
                    if big_endian { <$type>::from_be_bytes(*bytes) } else { <$type>::from_le_bytes(*bytes) }
                });
                $body
            }};
        }
        let Element { class, size, .. } = $array.head.element;
        match (class, size) {
            (Class::Bool, _) => {
                let $all = $array.bytes.iter().map(|byte| u8::from(*byte != 0));
                $body
            }
            (Class::Unsigned, 1) => of!(u8),
            (Class::Unsigned, 2) => of!(u16),
            (Class::Unsigned, 4) => of!(u32),
            (Class::Unsigned, 8) => of!(u64),
            (Class::Signed, 1) => of!(i8),
            (Class::Signed, 2) => of!(i16),
            (Class::Signed, 4) => of!(i32),
            (Class::Signed, 8) => of!(i64),
            (Class::Float, 2) => of!(f16),
            (Class::Float, 4) => of!(f32),
            (Class::Float, 8) => of!(f64),
            _ => bail!("{} holds {}, not numbers: name another array", $array.head.from, $array.head.element.name()),
        }
    }};
}

impl Array {
    /// Whether all numbers are whole and within 0 ..= 255.
    ///
    /// # Errors
    /// Where the array holds words.
    pub fn fits_bytes(&self) -> Result<bool> {
        Ok(scalars!(self, all => all.into_iter().all(|value| byte(value).is_some())))
    }

    /// The numbers, of which [`fits_bytes`](Self::fits_bytes) holds.
    ///
    /// # Errors
    /// Where the array holds words.
    pub fn into_bytes(self) -> Result<Vec<u8>> {
        if self.head.element.class == Class::Unsigned && self.head.element.size == 1 {
            return Ok(self.bytes);
        }
        Ok(scalars!(self, all => all.map(|value| byte(value).unwrap_or(0)).collect()))
    }

    /// # Errors
    /// Where a number is not finite in 32 bits, or the array holds words.
    pub fn floats(&self) -> Result<Vec<f32>> {
        scalars!(self, all => {
            let floats: Vec<f32> = all.clone().map(Scalar::single).collect();
            if let Some(at) = floats.iter().position(|value| !value.is_finite()) {
                return Err(self.not_finite(at, all.map(Scalar::finite)));
            }
            Ok(floats)
        })
    }

    fn not_finite(&self, first: usize, finite: impl Iterator<Item = bool>) -> anyhow::Error {
        let Head { from, .. } = &self.head;
        let (samples, width) = (self.head.samples(), self.head.width().max(1));
        let (mut bad, mut count) = (None, 0);
        let mut last = None;
        for (at, _) in finite.enumerate().filter(|(_, finite)| !finite) {
            let sample = Some(at / width);
            count += usize::from(sample != last);
            bad = bad.or(sample);
            last = sample;
        }
        match bad {
            None => anyhow!(
                "sample {} (from 0) of {from} holds a number beyond ±3.4e38, which float32 cannot: scale it",
                first / width
            ),
            Some(at) => anyhow!(
                "sample {at} (from 0) of {from} holds NaN or infinity, one of {count} among {samples} that do: \
                 leave these out or fill them in"
            ),
        }
    }

    /// The numbers, or `None` where one is not a whole number of 64 bits.
    ///
    /// # Errors
    /// Where the array holds words.
    pub fn whole(&self) -> Result<Option<Vec<i64>>> {
        Ok(scalars!(self, all => all.map(Scalar::whole).collect()))
    }

    /// The words, without the NULs that pad them.
    ///
    /// # Errors
    /// Where a word is no Unicode (UTF-8 if of bytes), or the array holds numbers.
    pub fn words(&self) -> Result<Vec<String>> {
        let Head { from, element, .. } = &self.head;
        let decode = |word: &[u8]| match element.class {
            Class::Unicode => {
                let points = word.as_chunks().0.iter().map(|bytes| match element.big_endian {
                    true => u32::from_be_bytes(*bytes),
                    false => u32::from_le_bytes(*bytes),
                });
                let word: Option<String> = points.map(char::from_u32).collect();
                word.map(|word| word.trim_end_matches('\0').to_owned())
            }
            _ => std::str::from_utf8(word).ok().map(|word| word.trim_end_matches('\0').to_owned()),
        };
        if !element.is_word() {
            bail!("{from} holds {}, not words: name another array", element.name());
        }
        let words = self.bytes.chunks_exact(element.size.max(1)).enumerate();
        let no_text = |at| anyhow!("sample {at} (from 0) of {from} is no Unicode text: save the array as str");
        words.map(|(at, word)| decode(word).ok_or_else(|| no_text(at))).collect()
    }
}

fn byte(value: impl Scalar) -> Option<u8> {
    value.whole().and_then(|whole| u8::try_from(whole).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(class: Class, size: usize, big_endian: bool, shape: &[usize], bytes: &[u8]) -> Array {
        let element = Element { class, size, big_endian };
        Array { head: Head { from: "x".into(), shape: shape.into(), element }, bytes: bytes.into() }
    }

    fn floats(values: &[f64], width: usize) -> Array {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_be_bytes()).collect();
        array(Class::Float, 8, true, &[values.len() / width, width], &bytes)
    }

    #[test]
    fn numbers_are_read_in_every_type_and_byte_order() {
        use Class::{Bool, Float, Signed, Unsigned};
        for (class, size, little, expected) in [
            (Bool, 1, &[2u8][..], 1),
            (Unsigned, 1, &[0xfe], 254),
            (Unsigned, 2, &[0xfe, 1], 0x1fe),
            (Unsigned, 4, &[0xfe, 0, 1, 0], 0x100fe),
            (Unsigned, 8, &[1, 0, 0, 0, 0, 0, 0, 0x20], (1 << 61) + 1),
            (Signed, 1, &[0xfe], -2),
            (Signed, 2, &[0xfe, 0xff], -2),
            (Signed, 4, &[0xfe, 0xff, 0xff, 0xff], -2),
            (Signed, 8, &[1, 0, 0, 0, 0, 0, 0, 0x80], i64::MIN + 1),
            (Float, 2, &[0, 0xc8], -8),
            (Float, 4, &[0, 0, 0x80, 0x43], 256),
            (Float, 8, &[0, 0, 0, 0, 0, 0, 0xe0, 0xc3], i64::MIN),
        ] {
            let big: Vec<u8> = little.iter().rev().copied().collect();
            for (big_endian, bytes) in [(false, little), (true, &big)] {
                let array = array(class, size, big_endian, &[1], bytes);
                let name = array.head.element.name();
                assert_eq!(array.whole().unwrap(), Some(vec![expected]), "{name}");
                assert_eq!(array.floats().unwrap(), [expected as f32], "{name}");
                assert_eq!(array.fits_bytes().unwrap(), (0..256).contains(&expected), "{name}");
                if let Ok(expected) = u8::try_from(expected) {
                    assert_eq!(array.into_bytes().unwrap(), [expected], "{name}");
                }
            }
        }
    }

    #[test]
    fn no_number_is_whole_but_those_of_64_bits() {
        for value in [0.5, f64::NAN, f64::INFINITY, 9_223_372_036_854_775_808.0, -1e300] {
            assert_eq!(floats(&[1.0, value], 1).whole().unwrap(), None);
        }
        assert_eq!(floats(&[-0.0], 1).whole().unwrap(), Some(vec![0]));
        assert_eq!(array(Class::Unsigned, 8, false, &[1], &[0xff; 8]).whole().unwrap(), None);
    }

    #[test]
    fn what_is_not_finite_in_32_bits_is_refused() {
        let nan = floats(&[1.0, 2.0, f64::INFINITY, f64::NAN, 5.0, 1e300, f64::NAN, 8.0], 2).floats().unwrap_err();
        assert_eq!(
            nan.to_string(),
            "sample 1 (from 0) of x holds NaN or infinity, one of 2 among 4 that do: leave these out or fill them in"
        );
        let big = floats(&[1.0, 2.0, 3.0, -1e39], 2).floats().unwrap_err().to_string();
        assert!(big.starts_with("sample 1 (from 0) of x holds a number beyond ±3.4e38"), "{big}");
    }

    #[test]
    fn words_lose_their_padding_only() {
        let bytes = b"a\0b\0\0\xc3\xa9\0\0\0";
        assert_eq!(array(Class::Bytes, 5, false, &[2], bytes).words().unwrap(), ["a\0b", "é"]);
        let points = ['k', 'ä', '\0', '🐈', '\0', '\0'].map(u32::from);
        for big_endian in [true, false] {
            let bytes = points.map(|point| if big_endian { point.to_be_bytes() } else { point.to_le_bytes() });
            let array = array(Class::Unicode, 12, big_endian, &[2], bytes.as_flattened());
            assert_eq!(array.words().unwrap(), ["kä", "🐈"]);
            assert!(array.whole().unwrap_err().to_string().starts_with("x holds <U3, not numbers"));
        }
        let surrogate = array(Class::Unicode, 4, true, &[1], &[0, 0, 0xd8, 0]).words().unwrap_err().to_string();
        let latin = array(Class::Bytes, 1, true, &[2], b"a\xe9").words().unwrap_err().to_string();
        assert!(surrogate.starts_with("sample 0 (from 0) of x is no Unicode text"), "{surrogate}");
        assert!(latin.starts_with("sample 1 (from 0) of x is no Unicode text"), "{latin}");
        assert!(floats(&[1.0], 1).words().is_err());
    }

    #[test]
    fn a_body_is_exactly_as_long_as_announced() {
        let shape = [3, 1 << 20];
        let head = array(Class::Unsigned, 1, true, &shape, &[]).head;
        let mut calls = Vec::new();
        let mut call = |done, total| {
            calls.push((done, total));
            Ok(())
        };
        let mut progress = Progress { done: 5, total: 7, call: &mut call };
        let bytes = body(&head, std::io::repeat(7).take(3 << 20), &mut progress).unwrap();
        assert!(bytes == vec![7; 3 << 20] && bytes.capacity() == bytes.len());
        assert_eq!(calls, [1, 2, 3].map(|step| (5 + (step << 20), 7)));
        for (length, word) in [((3 << 20) - 1, "truncated"), ((3 << 20) + 1, "oversized"), (0, "truncated")] {
            let mut progress = Progress { done: 0, total: 0, call: &mut |_, _| Ok(()) };
            let error = body(&head, std::io::repeat(7).take(length), &mut progress).unwrap_err().to_string();
            assert!(error.starts_with(&format!("x is {word}: 3145728 bytes are expected")), "{error}");
        }
        let mut stopped = Progress { done: 0, total: 0, call: &mut |_, _| bail!("stopped") };
        assert_eq!(body(&head, std::io::repeat(7), &mut stopped).unwrap_err().to_string(), "stopped");
    }
}
