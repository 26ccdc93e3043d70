//! NumPy's .npz archives (https://numpy.org/doc/stable/reference/generated/numpy.savez.html): a zip of .npy files, of
//! which the names say what is inputs and targets, training and test: Keras's, MedMNIST's, other usual ones, or those
//! that the settings give. Knows only stored and deflated members.

use super::array::{Array, Progress};
use super::assemble::{assemble, plan};
use super::npy::{describe, elements, header};
use crate::data::raw::{Options, Raw, Reading};
use anyhow::{Context, Result, anyhow, bail};
use flate2::bufread::DeflateDecoder;
use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ReaderAt, ZipArchive, ZipArchiveEntryWayfinder};
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

/// Names of inputs and targets, which may also have `_train` and `_test` after them, or `train_` and `test_` before.
const PAIRS: [(&str, &str); 7] = [
    ("x", "y"),
    ("X", "y"),
    ("data", "target"),
    ("images", "labels"),
    ("data", "labels"),
    ("inputs", "targets"),
    ("arr_0", "arr_1"),
];

const ADVICE: &str = "name them by --set data.inputs=NAME --set data.targets=NAME";

/// The file itself; `None` where `path` is no file that ends in .npz.
///
/// # Errors
/// None.
pub fn files(path: &Path) -> Result<Option<Vec<PathBuf>>> {
    let named = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz"));
    Ok((named && path.is_file()).then(|| vec![path.to_owned()]))
}

/// The arrays of a file.
///
/// # Errors
/// Where the file cannot be opened, or as [`parse`].
pub fn read(path: &Path, reading: &mut Reading) -> Result<Raw> {
    let file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    parse(path, file, reading)
}

/// The arrays of an archive. `path` is for errors.
///
/// # Errors
/// Where it is no zip, or damaged; where its names, or the settings `data.inputs` and `data.targets`, do not say which
/// arrays to take; where an array is not of numbers (targets: or of words) or not exactly as long as its header says;
/// where the arrays do not go together, cannot be taken for the setting `data.kind` or take more than `reading` allows.
pub fn parse(path: &Path, reader: impl Read + Seek, reading: &mut Reading) -> Result<Raw> {
    let (archive, members) = open(path, reader)?;
    let from = |member: usize| format!("{} in {}", members[member].name, path.display());
    let load = |member: usize| {
        let mut reader = unpack(&archive, &members[member], &from(member))?;
        Ok::<_, anyhow::Error>((header(&from(member), &mut reader)?, reader))
    };
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let pairs = choose(&names, reading.options).map_err(|what| {
        let list = |member| format!("{} {}", names[member], describe(&load(member).map(|(header, _)| header)));
        let mut all: Vec<String> = (0..names.len().min(20)).map(list).collect();
        all.extend((names.len() > 20).then(|| format!("and {} more", names.len() - 20)));
        anyhow!("{} {what}; it holds {}: {ADVICE}", path.display(), all.join(", "))
    })?;
    let headers = pairs.iter().map(|[inputs, targets]| Ok((load(*inputs)?.0, load(*targets)?.0)));
    let headers = headers.collect::<Result<Vec<_>>>()?;
    let heads: Vec<_> = headers.iter().map(|(inputs, targets)| (&inputs.head, &targets.head)).collect();
    let mut plan = plan(&heads, reading.options.kind.as_deref(), reading.most_bytes)?;
    let left: Vec<&str> = names.iter().filter(|name| is_validation(name)).copied().collect();
    if !left.is_empty() && !pairs.iter().flatten().any(|member| is_validation(names[*member])) {
        plan.notes.push(format!("Left out, as neither training nor test: {}.", left.join(", ")));
    }
    let mut progress = Progress { done: 0, total: plan.total, call: reading.progress };
    let mut array = |member| {
        let (header, reader) = load(member)?;
        Ok::<_, anyhow::Error>(Array { bytes: elements(&header, reader, &mut progress)?, head: header.head })
    };
    let splits = pairs.iter().map(|[inputs, targets]| Ok((array(*inputs)?, array(*targets)?)));
    let splits = splits.collect::<Result<Vec<_>>>()?;
    assemble(plan, splits)
}

struct Member {
    /// Without .npy.
    name: String,
    place: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
    encrypted: bool,
}

/// The .npy files of an archive.
fn open<R: Read + Seek>(path: &Path, reader: R) -> Result<(ZipArchive<impl ReaderAt + use<R>>, Vec<Member>)> {
    const MOST: u64 = 1000;
    let path = path.display();
    let broken = |error| anyhow!("{path} is truncated or no zip archive ({error}): get or save the file anew");
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::from_seekable(reader, &mut buffer).map_err(broken)?;
    let announced = archive.entries_hint();
    if announced > MOST {
        bail!("{path} holds {announced} files, and at most {MOST} are looked at: save only the arrays needed");
    }
    let mut members: Vec<Member> = Vec::new();
    let mut found = 0;
    let mut entries = archive.entries(&mut buffer);
    while let Some(entry) = entries.next_entry().map_err(broken)? {
        found += 1;
        if found > announced {
            break;
        }
        let name = String::from_utf8_lossy(entry.file_path().as_bytes()).into_owned();
        let Some(name) = name.strip_suffix(".npy").filter(|name| !name.contains(char::is_control)) else { continue };
        // Of two members of one name Python takes the last.
        members.retain(|member| member.name != name);
        members.push(Member {
            name: name.into(),
            place: entry.wayfinder(),
            method: entry.compression_method(),
            encrypted: entry.flags().is_encrypted(),
        });
    }
    if found != announced {
        bail!("{path} is damaged: it announces {announced} files and lists {found}; get or save it anew");
    }
    if members.is_empty() {
        bail!("{path} holds no .npy files: save arrays by np.savez");
    }
    Ok((archive, members))
}

/// The plain contents of a member, whose checksum is looked at once all is read.
fn unpack<'a, R: ReaderAt>(archive: &'a ZipArchive<R>, member: &Member, from: &str) -> Result<Box<dyn Read + 'a>> {
    if member.encrypted {
        bail!("{from} is encrypted: save it without a password");
    }
    let entry =
        archive.get_entry(member.place).map_err(|error| anyhow!("{from} is damaged ({error}): save it anew"))?;
    let packed = BufReader::with_capacity(RECOMMENDED_BUFFER_SIZE, entry.reader());
    Ok(match member.method {
        CompressionMethod::STORE => Box::new(entry.verifying_reader(packed)),
        CompressionMethod::DEFLATE => Box::new(entry.verifying_reader(DeflateDecoder::new(packed))),
        other => {
            let name = other.name().unwrap_or("an unknown method");
            bail!("{from} is compressed by {name}: save it by np.savez or np.savez_compressed")
        }
    })
}

/// A pair of inputs and targets for training, then one for a test where there is one.
///
/// # Errors
/// What is wrong, to go on after the path.
fn choose(names: &[&str], options: &Options) -> Result<Vec<[usize; 2]>, String> {
    let find = |name: &str| {
        let mut alike = (0..names.len()).filter(|at| names[*at].eq_ignore_ascii_case(name));
        let exact = names.iter().position(|known| *known == name);
        exact.or_else(|| alike.next().filter(|_| alike.next().is_none()))
    };
    let split = |name: &str, way: usize| match way {
        0 => [format!("{name}_train"), format!("{name}_test")],
        _ => [format!("train_{name}"), format!("test_{name}")],
    };
    let (inputs, targets) = (options.inputs.as_deref(), options.targets.as_deref());
    for name in [inputs, targets].into_iter().flatten() {
        if find(name).is_none() && (0..2).all(|way| find(&split(name, way)[0]).is_none()) {
            return Err(format!("has no array {name}, {name}_train or train_{name}"));
        }
    }
    let pairs = PAIRS.map(|(x, y)| (inputs.unwrap_or(x), targets.unwrap_or(y)));
    // Given names are taken as they are where they can be, the usual ones together with their test.
    let given = inputs.or(targets).is_some();
    for split_now in [!given, given] {
        let mut found: Vec<Vec<[usize; 2]>> = Vec::new();
        for (x, y) in pairs {
            let ways = if split_now { 0..2 } else { 0..1 };
            for way in ways {
                let [[x_train, x_test], [y_train, y_test]] = [split(x, way), split(y, way)];
                let [train_x, train_y] = if split_now { [&x_train[..], &y_train] } else { [x, y] };
                let Some((inputs, targets)) = find(train_x).zip(find(train_y)) else { continue };
                let mut splits = vec![[inputs, targets]];
                match [find(&x_test), find(&y_test)] {
                    _ if !split_now => {}
                    [Some(inputs), Some(targets)] => splits.push([inputs, targets]),
                    [None, None] => {}
                    [None, _] => return Err(format!("has {y_test} and no {x_test}")),
                    [_, None] => return Err(format!("has {x_test} and no {y_test}")),
                }
                if splits.iter().all(|[x, y]| x != y) && !found.contains(&splits) {
                    found.push(splits);
                }
            }
        }
        if found.len() < 2 {
            match found.pop() {
                Some(splits) => return Ok(splits),
                None => continue,
            }
        }
        return Err("holds several pairs that may be inputs and targets".into());
    }
    Err(match given {
        true => "has no such inputs and targets that go together (both with their test, or both without)".into(),
        false => "does not say by its names which arrays are inputs and which are targets".into(),
    })
}

fn is_validation(name: &str) -> bool {
    name.split('_').any(|word| ["val", "valid", "validation"].iter().any(|known| word.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use super::super::npy::tests::npy;
    use super::*;
    use crate::data::raw::{Kind, Numbers, Targets};
    use flate2::{Compression, write::DeflateEncoder};
    use proptest::prelude::*;
    use rawzip::ZipArchiveWriter;
    use std::io::{Cursor, Write as _};

    fn zip(members: &[(&str, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
        let mut file = Vec::new();
        let mut archive = ZipArchiveWriter::new(&mut file);
        for (name, bytes) in members {
            let (mut entry, config) = archive.new_file(*name).compression_method(method).start().unwrap();
            let descriptor = if method == CompressionMethod::DEFLATE {
                let mut writer = config.wrap(DeflateEncoder::new(&mut entry, Compression::default()));
                writer.write_all(bytes).unwrap();
                let (encoder, descriptor) = writer.finish().unwrap();
                encoder.finish().unwrap();
                descriptor
            } else {
                let mut writer = config.wrap(&mut entry);
                writer.write_all(bytes).unwrap();
                writer.finish().unwrap().1
            };
            entry.finish(descriptor).unwrap();
        }
        archive.finish().unwrap();
        file
    }

    fn bytes(shape: &str, data: &[u8]) -> Vec<u8> {
        npy("'|u1'", false, shape, data)
    }

    fn parsed(file: &[u8], [inputs, targets, kind]: [Option<&str>; 3], most_bytes: u64) -> Result<Raw> {
        let [inputs, targets, kind] = [inputs, targets, kind].map(|option| option.map(Into::into));
        let options = Options { inputs, targets, kind, ..Options::default() };
        let reading = &mut Reading { options: &options, most_bytes, progress: &mut |_, _| Ok(()) };
        parse(Path::new("a.npz"), Cursor::new(file), reading)
    }

    #[test]
    fn only_a_file_that_ends_in_npz_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, c, d] = ["a.npz", "b.NPZ", "c.zip", "d.npz"].map(|name| folder.path().join(name));
        for path in [&a, &b, &c] {
            std::fs::write(path, zip(&[("x.npy", bytes("(1,)", &[1]))], CompressionMethod::STORE)).unwrap();
        }
        for (path, there) in [(&a, true), (&b, true), (&c, false), (&d, false), (&folder.path().to_owned(), false)] {
            assert_eq!(files(path).unwrap(), there.then(|| vec![path.clone()]));
        }
        let reading = &mut Reading { options: &Options::default(), most_bytes: 9, progress: &mut |_, _| Ok(()) };
        assert!(read(&a, reading).unwrap_err().to_string().contains("a.npz does not say by its names"));
        assert!(read(&d, reading).unwrap_err().to_string().contains("d.npz cannot be opened"));
    }

    #[test]
    fn names_say_what_arrays_are() {
        let keras = ["x_train", "y_train", "x_test", "y_test"];
        let medmnist = ["train_images", "val_images", "test_images", "train_labels", "val_labels", "test_labels"];
        let none = [None, None];
        for (names, options, expected) in [
            (&keras[..], none, Ok(&[[0, 1], [2, 3]][..])),
            (&keras[..2], none, Ok(&[[0, 1]])),
            (&medmnist, none, Ok(&[[0, 3], [2, 5]])),
            (&["X_train", "X_test", "y_train", "y_test"], none, Ok(&[[0, 2], [1, 3]])),
            (&["X", "Y"], none, Ok(&[[0, 1]])),
            (&["x", "y", "z"], none, Ok(&[[0, 1]])),
            (&["X", "x", "y"], none, Err("holds several pairs")),
            (&["y", "x", "x_train", "y_train"], none, Ok(&[[2, 3]])),
            (&["target", "data", "target_names"], none, Ok(&[[1, 0]])),
            (&["images", "labels"], none, Ok(&[[0, 1]])),
            (&["data", "labels"], none, Ok(&[[0, 1]])),
            (&["data", "labels", "target"], none, Err("holds several pairs")),
            (&["inputs", "targets"], none, Ok(&[[0, 1]])),
            (&["arr_0", "arr_1", "arr_2"], none, Ok(&[[0, 1]])),
            (&["arr_0", "arr_1", "x", "y"], none, Err("holds several pairs")),
            (&["a", "b"], none, Err("does not say by its names which arrays")),
            (&["x_test", "y_test"], none, Err("does not say by its names")),
            (&keras[..3], none, Err("has x_test and no y_test")),
            (&["x_train", "y_train", "y_test"], none, Err("has y_test and no x_test")),
            (&["a", "b"], [Some("b"), Some("a")], Ok(&[[1, 0]])),
            (&["a_train", "B_train", "a_test", "b_test"], [Some("a"), Some("b")], Ok(&[[0, 1], [2, 3]])),
            (&["train_a", "train_b", "test_a", "test_b"], [Some("a"), Some("b")], Ok(&[[0, 1], [2, 3]])),
            (&["train_a", "train_b"], [Some("train_a"), Some("train_b")], Ok(&[[0, 1]])),
            (&["x_train", "y_train", "y2_train"], [None, Some("y2")], Ok(&[[0, 2]])),
            (&["x", "y", "y2"], [None, Some("y2")], Ok(&[[0, 2]])),
            (&["f", "x", "y"], [Some("f"), None], Ok(&[[0, 2]])),
            (&["x", "y"], [Some("y"), None], Err("has no such inputs and targets")),
            (&["a", "b_train"], [Some("a"), Some("b")], Err("has no such inputs and targets that go together")),
            (&["a", "b"], [Some("c"), Some("a")], Err("has no array c, c_train or train_c")),
        ] {
            let [inputs, targets] = options.map(|option| option.map(Into::into));
            let found = choose(names, &Options { inputs, targets, ..Options::default() });
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{names:?} {options:?}"),
                (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
                other => panic!("{names:?} {options:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn both_splits_of_either_compression_are_read() {
        let images = |shade| bytes("(1, 5, 1, 2)", &[shade, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        let words = |word| npy("'|S2'", false, "(1, 1)", word);
        let members = [
            ("train_images.npy", images(1)),
            ("train_labels.npy", words(b"no")),
            ("val_images.npy", vec![]),
            ("test_images.npy", images(9)),
            ("test_labels.npy", words(b"ja")),
            ("readme.txt", vec![]),
        ];
        for method in [CompressionMethod::STORE, CompressionMethod::DEFLATE] {
            let raw = parsed(&zip(&members, method), [None; 3], 99).unwrap();
            assert_eq!((raw.kind, &raw.shape[..], raw.divisor), (Kind::Images, &[2, 5, 1][..], 255.));
            let test = raw.test.unwrap();
            for (part, shade, word, from) in [(&raw.train, 1, "no", "train_images"), (&test, 9, "ja", "test_images")] {
                assert_eq!(part.inputs, Numbers::Bytes(vec![shade, 3, 5, 7, 9, 2, 4, 6, 8, 10]));
                assert_eq!(part.targets, Targets::Words(vec![word.into()]));
                assert_eq!(part.from, format!("{from} in a.npz"));
            }
            assert_eq!(raw.notes.len(), 1, "{:?}", raw.notes);
            assert_eq!(raw.notes[0], "Left out, as neither training nor test: val_images.");
        }
    }

    #[test]
    fn what_is_no_such_archive_is_refused() {
        let (x, y) = (bytes("(2, 2)", &[1, 2, 3, 4]), bytes("(2,)", &[0, 1]));
        let pair = |x: Vec<u8>| zip(&[("x.npy", x), ("y.npy", y.clone())], CompressionMethod::DEFLATE);
        let stored = zip(&[("x.npy", x.clone()), ("y.npy", y.clone())], CompressionMethod::STORE);
        let at = stored.windows(4).position(|window| window == [1, 2, 3, 4]).unwrap();
        let changed = |at: usize, byte| {
            let mut file = stored.clone();
            file[at] = byte;
            file
        };
        let central = stored.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
        let end = stored.windows(4).position(|window| window == b"PK\x05\x06").unwrap();
        for (file, part) in [
            (vec![], "a.npz is truncated or no zip archive"),
            (b"no zip at all, but some text".to_vec(), "a.npz is truncated or no zip archive"),
            (stored[..stored.len() - 30].to_vec(), "a.npz is truncated or no zip archive"),
            (zip(&[("a.txt", vec![])], CompressionMethod::STORE), "a.npz holds no .npy files"),
            (
                zip(&[("a.npy", x.clone()), ("b.npy", vec![1])], CompressionMethod::STORE),
                "a.npz does not say by its names which arrays are inputs and which are \
targets; it holds a [2, 2] uint8, b (no numbers): name them by --set data.inputs=NAME --set data.targets=NAME",
            ),
            (changed(at, 7), "x in a.npz cannot be read to its end"),
            (changed(central + 8, 9), "x in a.npz is encrypted"),
            (changed(central + 10, 12), "x in a.npz is compressed by"),
            (changed(end + 10, 1), "a.npz is damaged: it announces 1 files and lists 2"),
            (changed(end + 10, 3), "a.npz "),
            (pair(bytes("(2, 2)", &[1, 2, 3])), "x in a.npz is truncated: 4 bytes are expected"),
            (pair(bytes("(2, 2)", &[1; 5])), "x in a.npz is oversized: 4 bytes are expected"),
            (
                pair(bytes("(2, 500)", &[1; 1000])),
                "x in a.npz has the shape [2, 500] of uint8, which takes more than the 999",
            ),
            (pair(bytes("(2, 400)", &[1; 800])), "x in a.npz and the arrays that go with it take 3216 bytes, and 999"),
            (pair(bytes("(2, 9999999999999)", &[1; 4])), "takes more than the 999"),
            (pair(bytes("(3, 1)", &[1; 3])), "x in a.npz has 3 samples, and y in a.npz has targets for 2"),
            (pair(npy("'|O'", false, "(2,)", b"pickle")), "x in a.npz holds pickled Python objects"),
            (pair(npy("'|S1'", false, "(2,)", b"ab")), "x in a.npz holds |S1, and inputs are numbers"),
            (pair(b"PK".to_vec()), "x in a.npz is truncated within its header"),
        ] {
            let error = parsed(&file, [None; 3], 999).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{error} ≠ {part}");
        }
        let many: Vec<_> = (0..30).map(|at| format!("a{at}.npy")).collect();
        let many: Vec<_> = many.iter().map(|name| (&name[..], x.clone())).collect();
        let error = parsed(&zip(&many, CompressionMethod::STORE), [None; 3], 999).unwrap_err().to_string();
        assert!(error.contains("a19 [2, 2] uint8, and 10 more: name them"), "{error}");
        let many: Vec<_> = (0..1001).map(|at| (format!("{at}"), vec![])).collect();
        let many: Vec<_> = many.iter().map(|(name, bytes)| (&name[..], bytes.clone())).collect();
        let error = parsed(&zip(&many, CompressionMethod::STORE), [None; 3], 999).unwrap_err().to_string();
        assert!(error.contains("a.npz holds 1001 files, and at most 1000"), "{error}");
        let raw = parsed(&stored, [Some("X"), Some("y"), Some("tokens")], 999).unwrap();
        assert_eq!((raw.kind, raw.train.inputs), (Kind::Tokens, Numbers::Whole(vec![1, 2, 3, 4])));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            [rows, columns] in [1usize..9, 1usize..9], seed: Vec<f32>, labels: [i64; 9], fortran: bool, big: bool,
        ) {
            let value = |row, column| seed.get(row * columns + column).copied().unwrap_or((row * column) as f32);
            let float = |value: f32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
            let all: Vec<f32> = (0..rows * columns).map(|at| value(at / columns, at % columns)).collect();
            let data: Vec<u8> = match fortran {
                true => (0..rows * columns).flat_map(|at| float(value(at % rows, at / rows))).collect(),
                false => all.iter().flat_map(|value| float(*value)).collect(),
            };
            let inputs = npy(if big { "'>f4'" } else { "'<f4'" }, fortran, &format!("({rows}, {columns})"), &data);
            let targets: Vec<u8> = labels[..rows].iter().flat_map(|label| label.to_le_bytes()).collect();
            let targets = npy("'<i8'", fortran, &format!("({rows},)"), &targets);
            let method = if big == fortran { CompressionMethod::STORE } else { CompressionMethod::DEFLATE };
            let raw = parsed(&zip(&[("x.npy", inputs), ("y.npy", targets)], method), [None; 3], 1 << 20);
            if all.iter().any(|value| !value.is_finite()) {
                prop_assert!(raw.unwrap_err().to_string().contains("x in a.npz holds NaN or infinity"));
            } else {
                let raw = raw.unwrap();
                prop_assert_eq!(raw.train.inputs, Numbers::Floats(all));
                prop_assert_eq!(raw.train.targets, Targets::Numbers(labels[..rows].to_vec()));
            }
        }
    }
}
