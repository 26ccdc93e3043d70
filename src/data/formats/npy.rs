//! NumPy's .npy files, versions 1 to 3 (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html): their
//! headers, which are a dictionary of element type, order and shape as Python writes it, and the elements after them.
//! Reads no pickled objects, complex numbers, dates or records, and no dictionary that NumPy would not write.

use super::array::{Class, Element, Head, Progress, body, dimensions};
use anyhow::{Result, anyhow, bail};
use std::io::Read;

/// What a header says.
#[derive(Debug, PartialEq)]
pub struct Header {
    pub head: Head,
    /// The first dimension varies fastest.
    fortran: bool,
}

/// Reads a header and nothing after it. `from` is what errors call the array.
///
/// # Errors
/// Where it is no header of a .npy file, or of a type of elements that is not read.
pub fn header(from: &str, reader: &mut impl Read) -> Result<Header> {
    let text = text(from, reader)?;
    let broken =
        || anyhow!("{from} has a header that NumPy does not write ({}): save it again by np.savez", short(&text));
    let (dtype, fortran, shape) = dictionary(&text).ok_or_else(broken)?;
    let element = match dtype {
        Dtype::Records => bail!("{from} holds records of several fields: save one array for each field"),
        Dtype::Plain(dtype) => element(from, dtype)?,
    };
    Ok(Header { head: Head { from: from.into(), shape, element }, fortran })
}

/// The array's bytes after its header, in row-major order.
///
/// # Errors
/// As [`body`].
pub fn elements(header: &Header, reader: impl Read, progress: &mut Progress) -> Result<Vec<u8>> {
    let Header { head, fortran } = header;
    let bytes = body(head, reader, progress)?;
    Ok(if *fortran && head.shape.len() > 1 { row_major(&bytes, &head.shape, head.element.size) } else { bytes })
}

/// How a shape is listed where an array is to be chosen.
pub fn describe(header: &Result<Header>) -> String {
    match header {
        Ok(Header { head, .. }) => format!("{} {}", dimensions(&head.shape), head.element.name()),
        Err(_) => "(no numbers)".into(),
    }
}

/// The dictionary's text.
fn text(from: &str, reader: &mut impl Read) -> Result<String> {
    const MOST: u64 = 1 << 20;
    let broken = |error| anyhow!("{from} cannot be read ({error}): save the file again");
    let mut bytes = Vec::new();
    let mut fill = |bytes: &mut Vec<u8>, length: u64| {
        if reader.take(length).read_to_end(bytes).map_err(broken)? as u64 == length {
            return Ok(());
        }
        Err(anyhow!("{from} is truncated within its header: save the file again"))
    };
    fill(&mut bytes, 8)?;
    let version = match bytes[..] {
        [0x93, b'N', b'U', b'M', b'P', b'Y', version @ 1..=3, 0] => version,
        [0x93, b'N', b'U', b'M', b'P', b'Y', major, minor] => {
            bail!("{from} is of version {major}.{minor} of .npy files, and 1 to 3 are read: save it by np.savez")
        }
        _ => bail!("{from} is no .npy file: it starts with {bytes:02x?}; save it by np.savez"),
    };
    let mut length = Vec::new();
    fill(&mut length, if version == 1 { 2 } else { 4 })?;
    let length = length.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte));
    if length > MOST {
        bail!("{from} has a header of {length} bytes, and at most {MOST} are read: save a plain array");
    }
    bytes.clear();
    fill(&mut bytes, length)?;
    // Versions 1 and 2 are Latin-1, which differs only in names of fields: records are not read.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What was found, short enough for an error and on one line.
fn short(text: &str) -> String {
    format!("{:?}", text.chars().take(120).collect::<String>())
}

enum Dtype<'a> {
    Plain(&'a str),
    Records,
}

/// Type of elements, whether in Fortran's order, and shape, of
/// `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`.
fn dictionary(text: &str) -> Option<(Dtype<'_>, bool, Vec<usize>)> {
    let (mut dtype, mut fortran, mut shape) = (None, None, None);
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    while !rest.is_empty() {
        let (key, after) = quoted(rest)?;
        let value = after.trim_start().strip_prefix(':')?.trim_start();
        rest = match key {
            "descr" if value.starts_with('[') => return Some((Dtype::Records, false, Vec::new())),
            "descr" => {
                let (plain, after) = quoted(value)?;
                dtype = Some(Dtype::Plain(plain));
                after
            }
            "fortran_order" => {
                let after = value.strip_prefix("True").or_else(|| value.strip_prefix("False"))?;
                fortran = Some(value.starts_with('T'));
                after
            }
            "shape" => {
                let (sides, after) = value.strip_prefix('(')?.split_once(')')?;
                // Python 2 wrote long numbers as 3L; one dimension is (3,), none is ().
                let sides = sides.trim().strip_suffix(',').unwrap_or(sides).trim();
                let side = |side: &str| side.trim().trim_end_matches('L').parse().ok();
                shape = Some(match sides {
                    "" => Vec::new(),
                    _ => sides.split(',').map(side).collect::<Option<_>>()?,
                });
                after
            }
            _ => return None,
        };
        rest = rest.trim_start();
        rest = if rest.is_empty() { rest } else { rest.strip_prefix(',')?.trim_start() };
    }
    Some((dtype?, fortran?, shape?))
}

/// A string in quotes, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    text[1..].split_once(quote)
}

fn element(from: &str, dtype: &str) -> Result<Element> {
    let (order, code) = match dtype.as_bytes() {
        [order @ (b'<' | b'>' | b'|' | b'='), ..] => (*order, &dtype[1..]),
        _ => (b'=', dtype),
    };
    let class = code.chars().next();
    let count = code.get(1..).and_then(|count| count.parse::<usize>().ok()).filter(|count| *count < 1 << 20);
    let (class, size) = match (class, count) {
        (Some('b'), Some(1)) => (Class::Bool, 1),
        (Some('u'), Some(size @ (1 | 2 | 4 | 8))) => (Class::Unsigned, size),
        (Some('i'), Some(size @ (1 | 2 | 4 | 8))) => (Class::Signed, size),
        (Some('f'), Some(size @ (2 | 4 | 8))) => (Class::Float, size),
        (Some('U'), Some(length @ 1..)) => (Class::Unicode, 4 * length),
        (Some('S' | 'a'), Some(length @ 1..)) => (Class::Bytes, length),
        (Some('O'), _) => bail!(
            "{from} holds pickled Python objects ({}): save an array of numbers, or of words by .astype(str)",
            short(dtype)
        ),
        (Some('c'), _) => {
            bail!("{from} holds complex numbers ({}): save their real and imaginary parts as floats", short(dtype))
        }
        (Some('M' | 'm'), _) => bail!("{from} holds dates or times ({}): save them as floats", short(dtype)),
        (Some('V'), _) => bail!("{from} holds raw records ({}): save an array of numbers", short(dtype)),
        (Some('U' | 'S' | 'a'), Some(0)) => {
            bail!("{from} holds only empty words ({}): name another array", short(dtype))
        }
        _ => bail!("{from} is of a type that is not read ({}): save it as float32", short(dtype)),
    };
    Ok(Element { class, size, big_endian: order == b'>' })
}

/// Elements of `size` bytes, of which the first dimension varies fastest, brought to the last varying fastest.
fn row_major(bytes: &[u8], shape: &[usize], size: usize) -> Vec<u8> {
    let mut step = size;
    let mut axes = Vec::new();
    for side in shape {
        axes.push((*side, step, 0));
        step *= side;
    }
    let mut sorted = Vec::with_capacity(bytes.len());
    let mut offset = 0;
    while sorted.len() < bytes.len() {
        let Some(element) = bytes.get(offset..offset + size) else { break };
        sorted.extend_from_slice(element);
        for (side, step, at) in axes.iter_mut().rev() {
            *at += 1;
            offset += *step;
            if *at < *side {
                break;
            }
            offset -= *step * *at;
            *at = 0;
        }
    }
    sorted
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A .npy file of version 1.
    pub fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
        let fortran = if fortran { "True" } else { "False" };
        file(1, &format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}          \n"), data)
    }

    fn file(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let length = (header.len() as u32).to_le_bytes();
        let length = &length[..if version == 1 { 2 } else { 4 }];
        [b"\x93NUMPY", &[version, 0][..], length, header.as_bytes(), data].concat()
    }

    fn head(mut file: &[u8]) -> Result<Header> {
        header("x", &mut file)
    }

    #[test]
    fn headers_of_all_versions_and_orders_are_read() {
        for (version, text, shape, fortran, name) in [
            (1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", &[2, 3][..], false, "float32"),
            (2, "{'descr': '|u1', 'fortran_order': True, 'shape': (7,), }  \n", &[7], true, "uint8"),
            (3, "{\"shape\":(), \"descr\":\"=i8\",\"fortran_order\":False}", &[], false, "int64"),
            (1, "{'shape': (3L, 1L), 'fortran_order': False, 'descr': '|b1'}", &[3, 1], false, "bool"),
            (1, "{'descr': '>U7', 'fortran_order': False, 'shape': ( 4 , 5 , ) , } ", &[4, 5], false, "<U7"),
            (1, "{'descr': '|S3', 'fortran_order': False, 'shape': (1,)}", &[1], false, "|S3"),
            (1, "{'descr': '<f2', 'fortran_order': False, 'shape': (1,)}", &[1], false, "float16"),
        ] {
            let file = file(version, text, &[]);
            let Header { head: found, fortran: order } = head(&file).unwrap();
            assert_eq!((&found.shape[..], order, &found.element.name()[..]), (shape, fortran, name), "{text}");
            assert_eq!(found.element.big_endian, text.contains('>'));
            for length in 0..file.len() {
                assert!(head(&file[..length]).is_err());
            }
        }
    }

    #[test]
    fn other_types_and_headers_are_refused() {
        for (descr, part) in [
            ("'|O'", "x holds pickled Python objects (\"|O\"): save an array of numbers, or of words by .astype(str)"),
            ("'<c8'", "complex numbers (\"<c8\")"),
            ("'<M8[ns]'", "dates or times (\"<M8[ns]\")"),
            ("'|V8'", "raw records"),
            ("[('a', '<f4'), ('b', '<i4')]", "x holds records of several fields"),
            ("'<f16'", "of a type that is not read (\"<f16\"): save it as float32"),
            ("'<i3'", "not read"),
            ("'<U0'", "only empty words"),
            ("'<U99999999999999999999'", "not read"),
            ("'<U9999999999999'", "not read"),
            ("'é'", "not read"),
            ("''", "not read"),
            ("'<f4", "a header that NumPy does not write"),
        ] {
            let error = head(&npy(descr, false, "(1,)", &[])).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{error}");
        }
        for text in [
            "",
            "{}",
            "{'descr': '<f4'}",
            "{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}",
            "{((((((((((((((((",
            "{'descr': '<f4', 'fortran_order': True, 'shape': (-1,)}",
            "{'descr': '<f4', 'fortran_order': True, 'shape': (1 2)}",
            "{'descr': '<f4', 'fortran_order': True, 'shape': (99999999999999999999,)}",
            "{'descr': '<f4', 'fortran_order': True, 'shape': (1,), 'x': 1}",
        ] {
            let error = head(&file(1, text, &[])).unwrap_err().to_string();
            assert!(error.contains("a header that NumPy does not write"), "{error}");
        }
        let mut long = file(2, "{}", &[]);
        long[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(head(&long).unwrap_err().to_string().contains("a header of 4294967295 bytes"));
        assert!(head(b"\x93NUMPY\x04\0").unwrap_err().to_string().contains("version 4.0"));
        assert!(head(b"PICKLE!!").unwrap_err().to_string().contains("x is no .npy file"));
    }

    #[test]
    fn fortran_order_becomes_row_major() {
        // a[i, j, k] = 100 i + 10 j + k
        let mut bytes = Vec::new();
        for k in 0..4 {
            for j in 0..3 {
                bytes.extend([10u16 * j + k, 100 + 10 * j + k].map(u16::to_le_bytes).as_flattened());
            }
        }
        let file = npy("'<u2'", true, "(2, 3, 4)", &bytes);
        let mut reader = &file[..];
        let header = header("x", &mut reader).unwrap();
        let sorted = elements(&header, reader, &mut Progress { done: 0, total: 0, call: &mut |_, _| Ok(()) }).unwrap();
        let expected = (0..2u16).flat_map(|i| (0..3).flat_map(move |j| (0..4).map(move |k| 100 * i + 10 * j + k)));
        assert_eq!(sorted, expected.flat_map(u16::to_le_bytes).collect::<Vec<_>>());
    }
}
