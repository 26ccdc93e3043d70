//! CIFAR's binary batches (https://www.cs.toronto.edu/~kriz/cifar.html): records of one label (CIFAR-100: a coarse and
//! a fine one, of which the fine one counts) and 3072 bytes, which are an image of 3×32×32, channels first. Does not
//! read the pickled version for Python, nor archives.

use super::array::Progress;
use crate::data::raw::{Kind, Numbers, Part, Raw, Reading, Targets};
use anyhow::{Context, Result, anyhow, bail};
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3 * 32 * 32;
const PAGE: &str = "https://www.cs.toronto.edu/~kriz/cifar.html";

/// One of the two sets.
#[derive(Debug)]
pub struct Set {
    /// What `tar xzf` makes of the archive.
    folder: &'static str,
    archive: &'static str,
    /// The version for Python.
    pickled: [&'static str; 2],
    test: &'static str,
    names: &'static str,
    classes: u8,
    /// Bytes before an image, of which the last is its label.
    labels: usize,
}

pub static CIFAR_10: Set = Set {
    folder: "cifar-10-batches-bin",
    archive: "cifar-10-binary.tar.gz",
    pickled: ["cifar-10-batches-py", "cifar-10-python.tar.gz"],
    test: "test_batch.bin",
    names: "batches.meta.txt",
    classes: 10,
    labels: 1,
};

pub static CIFAR_100: Set = Set {
    folder: "cifar-100-binary",
    archive: "cifar-100-binary.tar.gz",
    pickled: ["cifar-100-python", "cifar-100-python.tar.gz"],
    test: "test.bin",
    names: "fine_label_names.txt",
    classes: 100,
    labels: 2,
};

/// The files of a set.
#[derive(Debug)]
struct Found {
    set: &'static Set,
    folder: PathBuf,
    train: Vec<PathBuf>,
    test: Option<PathBuf>,
    names: Option<PathBuf>,
}

/// Batches of training, that of a test and the classes' names, where there are some; `None` where `path` is no folder
/// with batches, itself or in the subfolder that unpacking makes.
///
/// # Errors
/// Where a batch is missing, both sets are there, or only the version for Python or an archive.
pub fn files(path: &Path) -> Result<Option<Vec<PathBuf>>> {
    let all = |found: Found| found.train.into_iter().chain(found.test).chain(found.names).collect();
    Ok(find(path)?.map(all))
}

fn find(path: &Path) -> Result<Option<Found>> {
    let mut all = Vec::new();
    for set in [&CIFAR_10, &CIFAR_100] {
        let own = batches(set, path)?;
        all.extend(match own {
            None => batches(set, &path.join(set.folder))?,
            own => own,
        });
    }
    if let [one, other, ..] = &all[..] {
        let [one, other] = [&one.train[0], &other.train[0]];
        bail!("{} and {} are of two sets: name the folder of one", one.display(), other.display());
    }
    if all.is_empty() {
        refuse_packed(path)?;
    }
    Ok(all.pop())
}

/// The batches right in a folder.
fn batches(set: &'static Set, folder: &Path) -> Result<Option<Found>> {
    let file = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
    let (test, names) = (file(set.test), file(set.names));
    let shown = folder.display();
    let train: Vec<PathBuf> = if set.labels == 1 {
        let batches: Vec<_> = (1..=99).map(|number| file(&format!("data_batch_{number}.bin"))).collect();
        let last = batches.iter().rposition(|batch| batch.is_some());
        if let (None, Some(test)) = (last, &test) {
            bail!("{} is there and {shown} has no data_batch_1.bin: put it beside the others", test.display());
        }
        let gap = batches.iter().position(|batch| batch.is_none());
        if let Some((gap, last)) = gap.zip(last).filter(|(gap, last)| gap < last) {
            let (gap, last) = (gap + 1, last + 1);
            bail!("{shown} has data_batch_{last}.bin and no data_batch_{gap}.bin: put it beside the others");
        }
        batches.into_iter().flatten().collect()
    } else {
        // Others call files train.bin, too.
        let sure = test.is_some() || names.is_some() || folder.ends_with(set.folder);
        let train = file("train.bin").filter(|_| sure);
        if train.is_none() && names.is_some() {
            bail!("{shown} has {} and no train.bin: put it beside the others", set.names);
        }
        train.into_iter().collect()
    };
    Ok((!train.is_empty()).then(|| Found { set, folder: folder.into(), train, test, names }))
}

/// # Errors
/// Where a path holds what is to be unpacked first, or CIFAR's version for Python.
fn refuse_packed(path: &Path) -> Result<()> {
    let is = |name: &str| path.ends_with(name) && path.exists() || path.join(name).exists();
    let shown = path.display();
    for set in [&CIFAR_10, &CIFAR_100] {
        let archive = set.archive;
        if is(archive) {
            bail!(
                "{shown} holds CIFAR's binary version, but packed: unpack it by `tar xzf {archive}`, then name {}",
                set.folder
            );
        }
        let bare = set.labels == 1 && path.join("data_batch_1").is_file();
        if bare || set.pickled.iter().any(|name| is(name)) {
            bail!(
                "{shown} holds CIFAR's version for Python (pickle), which is not read: get {archive}, the binary one, \
                 from {PAGE} and unpack it by `tar xzf {archive}`"
            );
        }
    }
    Ok(())
}

/// The batches that [`files`] finds.
///
/// # Errors
/// Where there are none, they cannot be read, or as [`batch`].
pub fn read(path: &Path, reading: &mut Reading) -> Result<Raw> {
    let found = find(path)?
        .ok_or_else(|| anyhow!("{} holds no CIFAR batches such as data_batch_1.bin or train.bin", path.display()))?;
    let Found { set, folder, .. } = &found;
    let mut total = 0;
    for file in found.train.iter().chain(&found.test) {
        total += fs::metadata(file).with_context(|| format!("{} cannot be opened", file.display()))?.len();
    }
    let kind = match reading.options.kind.as_deref() {
        None | Some("images" | "channels-first") => Kind::Images,
        Some("features") => Kind::Features,
        Some(other) => bail!("data.kind={other} does not fit CIFAR's images: it is images, channels-first or features"),
    };
    let each = if kind == Kind::Images { 1 } else { size_of::<f32>() as u64 + 1 };
    if total.saturating_mul(each) > reading.most_bytes {
        bail!(
            "{} holds batches of {total} bytes, of which {} are allowed: take fewer batches",
            folder.display(),
            reading.most_bytes / each
        );
    }
    let mut progress = Progress { done: 0, total, call: reading.progress };
    let mut part = |files: &[PathBuf], from: &Path| {
        let mut samples = Samples::default();
        for path in files {
            let file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
            // Not what is appended meanwhile: the lengths have been looked at.
            let length = file.metadata().map_or(0, |metadata| metadata.len().min(total));
            samples.images.reserve_exact(usize::try_from(length).unwrap_or(0));
            batch(set, path, BufReader::with_capacity(1 << 20, file.take(length)), &mut samples, &mut progress)?;
        }
        let inputs = match kind {
            Kind::Images => Numbers::Bytes(samples.images),
            _ => Numbers::Floats(samples.images.into_iter().map(f32::from).collect()),
        };
        Ok::<_, anyhow::Error>(Part {
            inputs,
            targets: Targets::Numbers(samples.labels),
            from: from.display().to_string(),
        })
    };
    let train = part(&found.train, folder)?;
    let test = found.test.as_ref().map(|path| part(std::slice::from_ref(path), path)).transpose()?;
    let mut notes = Vec::new();
    let class_names = found.names.as_deref().and_then(|path| match File::open(path) {
        Ok(file) => class_names(set, path, file, &mut notes),
        Err(error) => {
            notes.push(format!("{} is ignored: it cannot be opened ({error}).", path.display()));
            None
        }
    });
    let (shape, divisor) = match kind {
        Kind::Images => (SHAPE.to_vec(), 255.0),
        _ => (vec![PIXELS], 1.0),
    };
    Ok(Raw { kind, shape, train, test, class_names, divisor, notes })
}

/// Images, 3072 bytes each, and their labels.
#[derive(Debug, Default, PartialEq)]
pub struct Samples {
    pub images: Vec<u8>,
    pub labels: Vec<i64>,
}

/// Adds the records of one batch. `path` is for errors.
///
/// # Errors
/// Where there are none, the last one is not whole, a label is none of the set, or reading fails.
pub fn batch(
    set: &Set,
    path: &Path,
    mut reader: impl Read,
    samples: &mut Samples,
    progress: &mut Progress,
) -> Result<()> {
    let path = path.display();
    let length = set.labels + PIXELS;
    let mut record = Vec::with_capacity(length);
    for number in 0.. {
        record.clear();
        let got = reader.by_ref().take(length as u64).read_to_end(&mut record);
        match got.with_context(|| format!("{path} cannot be read to its end"))? {
            0 if number == 0 => bail!("{path} is empty: get it anew"),
            0 => break,
            got if got < length => bail!(
                "{path} is truncated or no CIFAR batch: record {number} (from 0) has {got} \
of its {length} bytes; get it anew"
            ),
            _ => {}
        }
        let label = record[set.labels - 1];
        if label >= set.classes {
            bail!(
                "record {number} (from 0) of {path} has the label {label}, and {} is the highest: \
                 it is no such CIFAR batch, or damaged; get it anew",
                set.classes - 1
            );
        }
        samples.labels.push(label.into());
        samples.images.extend_from_slice(&record[set.labels..]);
        progress.done += length as u64;
        if number % 512 == 511 {
            progress.add(0)?;
        }
    }
    progress.add(0)
}

/// The names of a file, one a line; `None`, with a note, where they are not as many as there are classes.
pub fn class_names(set: &Set, path: &Path, reader: impl Read, notes: &mut Vec<String>) -> Option<Vec<String>> {
    let mut text = String::new();
    let read = reader.take(1 << 16).read_to_string(&mut text);
    let names: Vec<String> = text.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if read.is_ok() && names.len() == usize::from(set.classes) {
        return Some(names);
    }
    notes.push(format!(
        "{} is ignored: it has {} names, not one for each of the {} classes.",
        path.display(),
        names.len(),
        set.classes
    ));
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::raw::Options;
    use proptest::prelude::*;
    use tempfile::TempDir;

    /// One record for each label: a ramp from the label on.
    fn records(set: &Set, labels: &[u8]) -> Vec<u8> {
        let record = |label: &u8| {
            let lead = [vec![9; set.labels - 1], vec![*label]].concat();
            [lead, (0..PIXELS).map(|at| (at as u8).wrapping_add(*label)).collect()].concat()
        };
        labels.iter().flat_map(record).collect()
    }

    fn folder(files: &[(&str, &[u8])]) -> TempDir {
        let folder = TempDir::new().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        folder
    }

    fn raw(path: &Path, kind: Option<&str>, most_bytes: u64) -> Result<Raw> {
        let options = Options { kind: kind.map(Into::into), ..Options::default() };
        read(path, &mut Reading { options: &options, most_bytes, progress: &mut |_, _| Ok(()) })
    }

    #[test]
    fn the_batches_of_a_set_are_found() {
        for (there, expected) in [
            (&["data_batch_1.bin"][..], Ok(&["data_batch_1.bin"][..])),
            (
                &["test_batch.bin", "data_batch_2.bin", "data_batch_1.bin", "batches.meta.txt", "readme.html"],
                Ok(&["data_batch_1.bin", "data_batch_2.bin", "test_batch.bin", "batches.meta.txt"]),
            ),
            (
                &["cifar-10-batches-bin/data_batch_1.bin", "cifar-10-binary.tar.gz"],
                Ok(&["cifar-10-batches-bin/data_batch_1.bin"]),
            ),
            (&["data_batch_1.bin", "cifar-10-batches-bin/data_batch_1.bin"], Ok(&["data_batch_1.bin"])),
            (&["train.bin", "test.bin"], Ok(&["train.bin", "test.bin"])),
            (&["train.bin", "fine_label_names.txt"], Ok(&["train.bin", "fine_label_names.txt"])),
            (&["cifar-100-binary/train.bin"], Ok(&["cifar-100-binary/train.bin"])),
            (&["data_batch_1.bin", "data_batch_3.bin"], Err("has data_batch_3.bin and no data_batch_2.bin: put it")),
            (&["data_batch_2.bin"], Err("has data_batch_2.bin and no data_batch_1.bin")),
            (&["test_batch.bin"], Err("has no data_batch_1.bin")),
            (&["test.bin", "fine_label_names.txt"], Err("no train.bin")),
            (&["data_batch_1.bin", "train.bin", "test.bin"], Err("are of two sets: name the folder of one")),
            (&["cifar-10-batches-bin/data_batch_1.bin", "cifar-100-binary/train.bin"], Err("are of two sets")),
            (
                &["data_batch_1", "test_batch"],
                Err("(pickle), which is not read: get cifar-10-binary.tar.gz, the binary one, \
from https://www.cs.toronto.edu/~kriz/cifar.html"),
            ),
            (&["cifar-10-batches-py/data_batch_1"], Err("get cifar-10-binary.tar.gz")),
            (&["cifar-100-python/train"], Err("get cifar-100-binary.tar.gz")),
            (&["cifar-100-python.tar.gz"], Err("get cifar-100-binary.tar.gz")),
            (&["cifar-10-binary.tar.gz"], Err("packed: unpack it by `tar xzf cifar-10-binary.tar.gz`")),
            (&["cifar-100-binary.tar.gz"], Err("packed: unpack it by `tar xzf cifar-100-binary.tar.gz`")),
        ] {
            let folder = folder(&there.iter().map(|name| (*name, &[][..])).collect::<Vec<_>>());
            match (files(folder.path()), expected) {
                (Ok(found), Ok(names)) => {
                    assert_eq!(found.unwrap(), names.iter().map(|name| folder.path().join(name)).collect::<Vec<_>>());
                }
                (Err(error), Err(part)) => {
                    assert!(error.to_string().contains(part), "{error}");
                    let own = files(&folder.path().join(there[0]));
                    assert_eq!(own.is_err(), there[0].ends_with(".tar.gz"), "{own:?}");
                }
                other => panic!("{there:?}: {other:?}"),
            }
        }
        let other = folder(&[("train.bin", &[]), ("val.bin", &[]), ("cifar-100-python/x", &[])]);
        assert!(files(&other.path().join("cifar-100-python")).is_err());
        fs::remove_dir_all(other.path().join("cifar-100-python")).unwrap();
        for path in [
            other.path().to_owned(),
            other.path().join("train.bin"),
            other.path().join("none"),
            "cifar-10-binary.tar.gz".into(),
        ] {
            assert_eq!(files(&path).unwrap(), None);
        }
        assert!(raw(other.path(), None, 1 << 20).unwrap_err().to_string().contains("holds no CIFAR batches"));
    }

    #[test]
    fn both_sets_are_read() {
        let names = "airplane\nautomobile\nbird\ncat\ndeer\n\ndog\nfrog\nhorse\nship\ntruck\n\n";
        let (one, two, test) = (records(&CIFAR_10, &[3, 9]), records(&CIFAR_10, &[0]), records(&CIFAR_10, &[7]));
        let ten = folder(&[
            ("data_batch_1.bin", &one),
            ("data_batch_2.bin", &two),
            ("test_batch.bin", &test),
            ("batches.meta.txt", names.as_bytes()),
        ]);
        let images = raw(ten.path(), None, 1 << 20).unwrap();
        assert_eq!(
            (images.kind, &images.shape[..], images.divisor, images.notes.len()),
            (Kind::Images, &[3, 32, 32][..], 255., 0)
        );
        assert_eq!(images.class_names.as_ref().map(|names| (names.len(), names[9].as_str())), Some((10, "truck")));
        assert_eq!(images.train.targets, Targets::Numbers(vec![3, 9, 0]));
        let Numbers::Bytes(all) = &images.train.inputs else { panic!() };
        assert_eq!((all.len(), &all[PIXELS..PIXELS + 2]), (3 * PIXELS, &[9, 10][..]));
        assert_eq!(images.test.unwrap().targets, Targets::Numbers(vec![7]));
        let flat = raw(ten.path(), Some("features"), 1 << 20).unwrap();
        assert_eq!((flat.kind, &flat.shape[..], flat.divisor), (Kind::Features, &[PIXELS][..], 1.));
        assert!(matches!(&flat.train.inputs, Numbers::Floats(all) if all[PIXELS] == 9.));
        assert!(
            raw(ten.path(), Some("tokens"), 1 << 20).unwrap_err().to_string().contains("data.kind=tokens does not fit")
        );
        let most = raw(ten.path(), None, 9999).unwrap_err().to_string();
        assert!(most.contains("holds batches of 12292 bytes, of which 9999 are allowed"), "{most}");

        let names: String = (0..100).map(|class| format!("name {class}\r\n")).collect();
        let hundred =
            folder(&[("train.bin", &records(&CIFAR_100, &[99, 0])), ("fine_label_names.txt", names.as_bytes())]);
        let images = raw(hundred.path(), Some("images"), 1 << 20).unwrap();
        assert_eq!((images.train.targets, images.test), (Targets::Numbers(vec![99, 0]), None));
        assert_eq!(images.class_names.unwrap()[42], "name 42");
    }

    #[test]
    fn other_names_are_ignored_with_a_note() {
        for names in ["a\nb\n", "", "\u{fffd}"] {
            let folder =
                folder(&[("data_batch_1.bin", &records(&CIFAR_10, &[3])), ("batches.meta.txt", names.as_bytes())]);
            let raw = raw(folder.path(), None, 1 << 20).unwrap();
            assert_eq!((raw.class_names, raw.notes.len()), (None, 1));
            assert!(raw.notes[0].contains("batches.meta.txt is ignored: it has"), "{:?}", raw.notes);
        }
    }

    fn read_batch(set: &Set, bytes: &[u8]) -> Result<Samples> {
        let mut samples = Samples::default();
        batch(
            set,
            Path::new("b.bin"),
            bytes,
            &mut samples,
            &mut Progress { done: 0, total: 0, call: &mut |_, _| Ok(()) },
        )?;
        Ok(samples)
    }

    #[test]
    fn broken_batches_are_refused() {
        let good = records(&CIFAR_10, &[1, 2, 9]);
        for (set, bytes, part) in [
            (
                &CIFAR_10,
                &good[..good.len() - 1],
                "b.bin is truncated or no CIFAR batch: record 2 (from 0) has 3072 of its 3073 bytes",
            ),
            (&CIFAR_10, &good[..0], "b.bin is empty"),
            (
                &CIFAR_10,
                &records(&CIFAR_10, &[1, 10]),
                "record 1 (from 0) of b.bin has the label 10, and 9 is the highest",
            ),
            (
                &CIFAR_100,
                &records(&CIFAR_100, &[100]),
                "record 0 (from 0) of b.bin has the label 100, and 99 is the highest",
            ),
            (&CIFAR_100, &good, "b.bin is truncated or no CIFAR batch: record 2"),
        ] {
            let error = read_batch(set, bytes).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(labels in proptest::collection::vec(0u8..10, 1..20), fine: bool) {
            let set = if fine { &CIFAR_100 } else { &CIFAR_10 };
            let bytes = records(set, &labels);
            let samples = read_batch(set, &bytes).unwrap();
            prop_assert_eq!(samples.labels, labels.into_iter().map(i64::from).collect::<Vec<_>>());
            let images = bytes.chunks(set.labels + PIXELS).flat_map(|record| record[set.labels..].to_vec());
            prop_assert_eq!(samples.images, images.collect::<Vec<_>>());
        }
    }
}
