//! IDX files (http://yann.lecun.com/exdb/mnist): big-endian arrays with a header of their type and shape, plain or
//! gzipped, as MNIST and the sets made like it come: a file each of images and labels, of training and of a test.
//! Knows no set by its contents.

use super::array::{Array, Class, Element, Head, Progress, body, dimensions};
use super::assemble::{assemble, plan};
use crate::data::raw::{Raw, Reading};
use anyhow::{Context, Result, anyhow, bail};
use flate2::read::MultiGzDecoder;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Files are called so, with or without a prefix, with `.` or `-` before idx, and with or without `.gz`.
const NAMES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// Where torchvision unpacks what it downloads.
const NESTED: [&str; 3] = ["MNIST/raw", "FashionMNIST/raw", "KMNIST/raw"];

/// Images and labels of training, then of a test where there is one; `None` where `path` is no folder with such files,
/// itself or in `raw`, `MNIST/raw`, `FashionMNIST/raw` or `KMNIST/raw`.
///
/// # Errors
/// Where one of a pair is missing, or several sets are there.
pub fn files(path: &Path) -> Result<Option<Vec<PathBuf>>> {
    for folder in [path.to_owned(), path.join("raw")] {
        if let Some(files) = set(&folder)? {
            return Ok(Some(files));
        }
    }
    let mut sets = Vec::new();
    for name in NESTED {
        sets.extend(set(&path.join(name))?.map(|files| (name, files)));
    }
    if let [(one, _), (other, _), ..] = sets[..] {
        let path = path.display();
        bail!("{path} has both {one} and {other}: name one of them, such as {path}/{one}");
    }
    Ok(sets.pop().map(|(_, files)| files))
}

/// The set of a folder; `None` where it holds no file that is called like one.
fn set(folder: &Path) -> Result<Option<Vec<PathBuf>>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let unreadable = || format!("{} cannot be listed", folder.display());
    let mut sets: BTreeMap<String, [Option<(Rank, PathBuf)>; 4]> = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let Some((prefix, slot, rank)) = path.file_name().and_then(|name| role(name.to_str()?)) else { continue };
        if !path.is_file() {
            continue;
        }
        let found = &mut sets.entry(prefix.to_owned()).or_default()[slot];
        if found.as_ref().is_none_or(|(best, known)| (rank, &path) < (*best, known)) {
            *found = Some((rank, path));
        }
    }
    let folder = folder.display();
    let set = match sets.remove("") {
        None if sets.len() > 1 => {
            let prefixes = sets.into_keys().collect::<Vec<_>>().join(", ");
            bail!("{folder} holds several sets of IDX files ({prefixes}): move one into a folder of its own");
        }
        None => sets.pop_first(),
        Some(set) => Some((String::new(), set)),
    };
    let Some((prefix, set)) = set else { return Ok(None) };
    let [train, test] = [[&set[0], &set[1]], [&set[2], &set[3]]];
    let missing = train.iter().position(|file| file.is_none()).or_else(|| {
        let at = test.iter().position(|file| file.is_none())?;
        test.iter().any(|file| file.is_some()).then_some(at + 2)
    });
    if let Some(missing) = missing {
        let dash = if prefix.is_empty() { "" } else { "-" };
        bail!(
            "{folder} holds IDX files, and {prefix}{dash}{} (plain or .gz) is missing: put it beside the others",
            NAMES[missing]
        );
    }
    Ok(Some(set.into_iter().flatten().map(|(_, path)| path).collect()))
}

/// The lower the better: plain before gzipped, `-` before `.`, `t10k` before `test`.
type Rank = (bool, bool, bool);

/// What a file is by its name: the prefix of its set, its place among [`NAMES`] and how good it is for that.
fn role(name: &str) -> Option<(&str, usize, Rank)> {
    let plain = name.strip_suffix(".gz").unwrap_or(name);
    let (stem, kind) = plain.rsplit_once("idx")?;
    let (rank, element) = kind.split_once('-')?;
    let well_formed = rank.len() == 1 && rank.as_bytes()[0].is_ascii_digit();
    if !well_formed || element.is_empty() || !element.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let dotted = stem.ends_with('.');
    let stem = stem.strip_suffix(['-', '.'])?;
    let (stem, labels) = match stem.strip_suffix("-images") {
        Some(stem) => (stem, 0),
        None => (stem.strip_suffix("-labels")?, 1),
    };
    let (prefix, split) = stem.rsplit_once('-').unwrap_or(("", stem));
    let (test, third) = match split {
        "train" => (0, false),
        "t10k" => (2, false),
        "test" => (2, true),
        _ => return None,
    };
    Some((prefix, test + labels, (plain.len() < name.len(), dotted, third)))
}

/// The files that [`files`] finds.
///
/// # Errors
/// Where there are none, or as [`parse`].
pub fn read(path: &Path, reading: &mut Reading) -> Result<Raw> {
    let files = files(path)?.ok_or_else(|| anyhow!("{} holds no IDX files such as {}", path.display(), NAMES[0]))?;
    let open = |path: PathBuf| {
        let file = File::open(&path).with_context(|| format!("{} cannot be opened", path.display()))?;
        Ok((path, Box::new(file) as Box<dyn Read>))
    };
    parse(files.into_iter().map(open).collect::<Result<_>>()?, reading)
}

/// Images and labels of training, then of a test where there is one, each with its path for errors.
///
/// # Errors
/// Where a file is no IDX file, damaged, or not exactly as long as its header says; where the arrays do not go
/// together, cannot be taken for the setting `data.kind` or take more than `reading` allows.
pub fn parse<'a>(sources: Vec<(PathBuf, Box<dyn Read + 'a>)>, reading: &mut Reading) -> Result<Raw> {
    let mut opened = Vec::new();
    for (path, reader) in sources {
        opened.push(open(&path, reader)?);
    }
    let heads: Vec<_> = opened.as_chunks().0.iter().map(|[(inputs, _), (targets, _)]| (inputs, targets)).collect();
    let plan = plan(&heads, reading.options.kind.as_deref(), reading.most_bytes)?;
    let mut progress = Progress { done: 0, total: plan.total, call: reading.progress };
    let mut arrays = Vec::new();
    for (head, reader) in opened {
        let bytes = body(&head, reader, &mut progress)?;
        arrays.push(Array { head, bytes });
    }
    let mut arrays = arrays.into_iter();
    let splits = std::iter::from_fn(|| arrays.next().zip(arrays.next())).collect();
    assemble(plan, splits)
}

/// The array of one file, plain or gzipped. `path` is for errors.
///
/// # Errors
/// Where it is no IDX file, damaged, not exactly as long as its header says, or longer than `most_bytes`.
pub fn array(path: &Path, reader: impl Read, most_bytes: u64) -> Result<Array> {
    let (head, reader) = open(path, reader)?;
    if head.bytes().is_none_or(|bytes| bytes > most_bytes) {
        let (shape, name) = (dimensions(&head.shape), head.element.name());
        bail!("{} has the shape {shape} of {name}, which takes more than the {most_bytes} bytes allowed", head.from);
    }
    let bytes = body(&head, reader, &mut Progress { done: 0, total: 0, call: &mut |_, _| Ok(()) })?;
    Ok(Array { head, bytes })
}

/// Reads the header of a file, plain or gzipped: what it is called does not decide, since browsers unpack on the way
/// and keep the name.
fn open<'a>(path: &Path, mut reader: impl Read + 'a) -> Result<(Head, Box<dyn Read + 'a>)> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    let from = path.display().to_string();
    let broken = |error| anyhow!("{from} cannot be read ({error}): get the file anew");
    let mut start = Vec::new();
    reader.by_ref().take(2).read_to_end(&mut start).map_err(broken)?;
    let mut reader: Box<dyn Read + 'a> = if start == GZIP {
        start.clear();
        Box::new(MultiGzDecoder::new(GZIP.chain(reader)))
    } else {
        Box::new(reader)
    };
    let mut fill = |bytes: &mut Vec<u8>, length: usize| {
        let rest = length.saturating_sub(bytes.len()) as u64;
        reader.by_ref().take(rest).read_to_end(bytes).map_err(broken)?;
        let found = bytes.len();
        if found < length {
            bail!("{from} is truncated: its header takes {length} bytes, {found} were found; get the file anew");
        }
        Ok(())
    };
    fill(&mut start, 4)?;
    let element = |class, size| Some(Element { class, size, big_endian: true });
    let element = match start[2] {
        0x08 => element(Class::Unsigned, 1),
        0x09 => element(Class::Signed, 1),
        0x0b => element(Class::Signed, 2),
        0x0c => element(Class::Signed, 4),
        0x0d => element(Class::Float, 4),
        0x0e => element(Class::Float, 8),
        _ => None,
    };
    let (Some(element), [0, 0, _, rank @ 1..=8]) = (element, &start[..]) else {
        bail!(
            "{from} is neither gzip nor an IDX file: it starts with {start:02x?}, not with two zeros, a type of \
             08, 09 or 0b to 0e and 1 to 8 dimensions; get the file anew"
        );
    };
    let mut sides = Vec::new();
    fill(&mut sides, 4 * usize::from(*rank))?;
    let shape = sides.as_chunks().0.iter().map(|side| u32::from_be_bytes(*side) as usize).collect();
    Ok((Head { from, shape, element }, reader))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::raw::{Kind, Numbers, Options, Targets};
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use std::io::Write as _;
    use tempfile::TempDir;

    fn idx(code: u8, shape: &[u32], data: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, code, shape.len() as u8];
        file.extend(shape.iter().flat_map(|side| side.to_be_bytes()));
        [file, data.to_vec()].concat()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn sources(files: &[Vec<u8>]) -> Vec<(PathBuf, Box<dyn Read + '_>)> {
        files.iter().enumerate().map(|(at, file)| (format!("file{at}").into(), Box::new(&file[..]) as _)).collect()
    }

    fn parsed(files: &[Vec<u8>], kind: Option<&str>, most_bytes: u64) -> Result<Raw> {
        let options = Options { kind: kind.map(Into::into), ..Options::default() };
        parse(sources(files), &mut Reading { options: &options, most_bytes, progress: &mut |_, _| Ok(()) })
    }

    fn folder(names: &[&str]) -> TempDir {
        let folder = TempDir::new().unwrap();
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    const PAIR: [&str; 2] = [NAMES[0], NAMES[1]];

    #[test]
    fn the_files_of_a_set_are_found() {
        let [dots, tests] = [
            ["train-images.idx3-ubyte", "train-labels.idx1-ubyte.gz"],
            ["test-images-idx3-ubyte", "test-labels-idx1-ubyte"],
        ];
        let prefixed = NAMES.map(|name| format!("emnist-letters-{name}.gz"));
        let [one, two] = ["MNIST/raw", "KMNIST/raw"].map(|place| PAIR.map(|name| format!("{place}/{name}")));
        let [raw, one, two] = [PAIR.map(|name| format!("raw/{name}")), one, two];
        fn all<'a>(some: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
            [some, more].concat()
        }
        fn str<const N: usize>(names: &[String; N]) -> [&str; N] {
            names.each_ref().map(String::as_str)
        }
        for (there, expected) in [
            (NAMES.to_vec(), Ok(NAMES.to_vec())),
            (PAIR.to_vec(), Ok(PAIR.to_vec())),
            (dots.to_vec(), Ok(dots.to_vec())),
            (all(&PAIR, &dots), Ok(PAIR.to_vec())),
            (
                all(&PAIR, &["train-images-idx3-ubyte.gz", "notes.txt", "idx", "train-images-idx-ubyte"]),
                Ok(PAIR.to_vec()),
            ),
            (all(&["train-images-idx3-ubyte.gz"], &dots), Ok(dots.to_vec())),
            (all(&PAIR, &tests), Ok(all(&PAIR, &tests))),
            (all(&NAMES, &tests), Ok(NAMES.to_vec())),
            (str(&prefixed).to_vec(), Ok(str(&prefixed).to_vec())),
            (all(&NAMES, &str(&prefixed)), Ok(NAMES.to_vec())),
            (str(&raw).to_vec(), Ok(str(&raw).to_vec())),
            (str(&one).to_vec(), Ok(str(&one).to_vec())),
            (all(&str(&one), &str(&two)), Err("has both MNIST/raw and KMNIST/raw: name one of them")),
            (all(&PAIR[..1], &[]), Err("train-labels-idx1-ubyte (plain or .gz) is missing")),
            (NAMES[1..].to_vec(), Err("train-images-idx3-ubyte (plain or .gz) is missing")),
            (NAMES[2..].to_vec(), Err("train-images-idx3-ubyte (plain or .gz) is missing")),
            (NAMES[..3].to_vec(), Err("t10k-labels-idx1-ubyte (plain or .gz) is missing")),
            (vec!["a-train-images-idx3-ubyte"], Err("a-train-labels-idx1-ubyte (plain or .gz) is missing")),
            (
                all(&str(&prefixed), &["b-train-images-idx3-ubyte"]),
                Err("several sets of IDX files (b, emnist-letters)"),
            ),
        ] {
            let folder = folder(&there);
            match (files(folder.path()), expected) {
                (Ok(found), Ok(names)) => {
                    let expected: Vec<_> = names.iter().map(|name| folder.path().join(name)).collect();
                    assert_eq!(found, Some(expected), "{there:?}");
                }
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                other => panic!("{there:?}: {other:?}"),
            }
        }
        let other = folder(&["train.csv", "train-images-idx3-ubyte/inside"]);
        for path in [other.path().to_owned(), other.path().join("train.csv"), other.path().join("none")] {
            assert_eq!(files(&path).unwrap(), None);
        }
        let reading = &mut Reading { options: &Options::default(), most_bytes: 9, progress: &mut |_, _| Ok(()) };
        assert!(
            read(other.path(), reading).unwrap_err().to_string().contains("holds no IDX files such as train-images")
        );
    }

    #[test]
    fn a_set_is_read_whatever_its_files_are_called() {
        let folder = TempDir::new().unwrap();
        let [images, labels] = [idx(8, &[2, 1, 2], &[1, 2, 3, 255]), idx(8, &[2], &[7, 0])];
        // A gzipped file without .gz, and plain ones with it.
        for (name, bytes) in NAMES.iter().zip([gzip(&images), gzip(&labels), images, labels]) {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        for name in &NAMES[1..3] {
            fs::rename(folder.path().join(name), folder.path().join(format!("{name}.gz"))).unwrap();
        }
        let mut calls = Vec::new();
        let mut progress = |done, total| {
            calls.push((done, total));
            Ok(())
        };
        let raw =
            read(folder.path(), &mut Reading { options: &Options::default(), most_bytes: 99, progress: &mut progress });
        let raw = raw.unwrap();
        assert_eq!(
            (raw.kind, &raw.shape[..], raw.divisor, &raw.class_names),
            (Kind::Images, &[1, 1, 2][..], 255., &None)
        );
        let test = raw.test.unwrap();
        for part in [&raw.train, &test] {
            assert_eq!(part.inputs, Numbers::Bytes(vec![1, 2, 3, 255]));
            assert_eq!(part.targets, Targets::Numbers(vec![7, 0]));
        }
        assert!(test.from.ends_with("t10k-images-idx3-ubyte.gz"));
        assert_eq!(calls, [(4, 12), (6, 12), (10, 12), (12, 12)]);
    }

    #[test]
    fn every_type_and_rank_is_read() {
        for (code, data, expected) in [
            (0x09, vec![0xff, 2], [-1., 2.]),
            (0x0b, [-300i16, 2].map(i16::to_be_bytes).concat(), [-300., 2.]),
            (0x0c, [70_000i32, -2].map(i32::to_be_bytes).concat(), [70_000., -2.]),
            (0x0d, [0.5f32, -2.].map(f32::to_be_bytes).concat(), [0.5, -2.]),
            (0x0e, [0.25f64, 1e9].map(f64::to_be_bytes).concat(), [0.25, 1e9]),
        ] {
            for (shape, kind) in
                [(&[1, 2][..], Kind::Features), (&[1, 1, 2], Kind::Images), (&[1, 3, 1, 2], Kind::Images)]
            {
                let data = data.repeat(if shape.len() == 4 { 3 } else { 1 });
                let raw = parsed(
                    &[idx(code, shape, &data), idx(8, &[1, 1], &[3])],
                    Some("channels-first").filter(|_| shape.len() > 2),
                    99,
                );
                let raw = raw.unwrap();
                let Numbers::Floats(all) = &raw.train.inputs else { panic!("{raw:?}") };
                assert_eq!((raw.kind, &all[..2], raw.divisor), (kind, &expected[..], 1.));
            }
            let targets = [idx(8, &[2, 1], &[1, 2]), idx(code, &[2], &data)];
            let values = Targets::Values { width: 1, values: expected.to_vec() };
            let numbers = Targets::Numbers(expected.map(|value| value as i64).to_vec());
            let raw = parsed(&targets, None, 99).unwrap();
            assert_eq!(raw.train.targets, if code < 0x0d { numbers } else { values });
        }
        let several = parsed(&[idx(8, &[2], &[1, 2]), idx(8, &[2, 2], &[1, 2, 3, 4])], None, 99).unwrap();
        assert_eq!(several.train.targets, Targets::Values { width: 2, values: vec![1., 2., 3., 4.] });
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        let good = idx(8, &[2, 1, 2], &[1, 2, 3, 4]);
        let mut packed = gzip(&good);
        let whole = packed.clone();
        packed.truncate(whole.len() - 9);
        let mut flipped = whole.clone();
        flipped[whole.len() - 6] ^= 1;
        for (bytes, part) in [
            (vec![], "file0 is truncated: its header takes 4 bytes, 0 were found"),
            (vec![0], "is truncated"),
            (good[..15].to_vec(), "is truncated: its header takes 12 bytes, 11 were found"),
            (
                good[..18].to_vec(),
                "is truncated: 4 bytes are expected for its shape [2, 1, 2], 2 were found; get the file anew",
            ),
            ([&good[..], &[0]].concat(), "is oversized: 4 bytes are expected"),
            (b"\x89PNG....".to_vec(), "is neither gzip nor an IDX file: it starts with [89, 50, 4e, 47]"),
            (idx(0x0a, &[1], &[1]), "neither gzip nor"),
            (vec![0, 0, 8, 0], "neither gzip nor"),
            (vec![0, 0, 8, 9], "neither gzip nor"),
            (idx(8, &[u32::MAX; 5], &[]), "takes more than the 999 bytes allowed"),
            (idx(8, &[2, 1, 500], &[]), "takes more than the 999 bytes allowed"),
            (idx(8, &[2, 0, 500], &[]), "file0 is empty: its shape is [2, 0, 500]"),
            (idx(8, &[3, 1, 1], &[1, 2, 3]), "file0 has 3 samples, and file1 has targets for 2"),
            (packed, "cannot be read to its end"),
            (flipped, "cannot be read to its end"),
            (gzip(&vec![0; 1 << 20]), "neither gzip nor"),
            (gzip(&[&good[..], &vec![0; 1 << 20]].concat()), "is oversized"),
        ] {
            let error = parsed(&[bytes, idx(8, &[2], &[0, 1])], None, 999).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn one_file_is_read_within_its_limit() {
        let file = idx(0x0b, &[2, 2], &[1, 2, 3, 4, 5, 6, 7, 8]);
        let read = array(Path::new("x"), &gzip(&file)[..], 8).unwrap();
        assert_eq!((&read.head.shape[..], &read.bytes[..]), (&[2, 2][..], &[1, 2, 3, 4, 5, 6, 7, 8][..]));
        let error = array(Path::new("x"), &file[..], 7).unwrap_err().to_string();
        assert_eq!(error, "x has the shape [2, 2] of int16, which takes more than the 7 bytes allowed");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(count in 1u32..9, side in 1u32..9, seed: Vec<u8>, packed: bool) {
            let value = |at| seed.get(at as usize).copied().unwrap_or(at as u8);
            let data: Vec<u8> = (0..count * side * side).map(value).collect();
            let labels = &data[..count as usize];
            let files = [idx(8, &[count, side, side], &data), idx(8, &[count], labels)];
            let files = if packed { files.map(|file| gzip(&file)) } else { files };
            let raw = parsed(&files, None, 1 << 20).unwrap();
            prop_assert_eq!(raw.train.targets, Targets::Numbers(labels.iter().copied().map(i64::from).collect()));
            prop_assert_eq!(raw.train.inputs, Numbers::Bytes(data));
            prop_assert_eq!(raw.shape, vec![1, side as usize, side as usize]);
        }
    }
}
