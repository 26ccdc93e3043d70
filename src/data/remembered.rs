//! What was decoded of a source, kept in the cache folder for the next process: `hw1/decoded/<hash of path and
//! settings>/` with what is known of it, and its arrays where reading them takes long. A file that changed in size or
//! time is read anew; what is damaged counts as not there. Knows no format.

use super::Target;
use super::decoded::{About, Arrays, Decoded, Learned};
use super::folders::caches;
use super::raw::Numbers;
use super::stored::{Stored, shaped};
use crate::files::{Locked, Sharing, remove_leftovers, sha256, try_lock, write_atomically, write_atomically_with};
use anyhow::{Context as _, Result};
use flate2::Crc;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use tch::{Device, Kind, Tensor};

/// What files were when they were read: SHA-256 over the name, size and time of each, and over what they were read by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Stamp(String);

impl Stamp {
    /// # Errors
    /// Where a file is gone.
    pub(super) fn of(path: &Path, files: &[PathBuf]) -> Result<Self> {
        let mut text = format!("{READ_BY}\n");
        for file in files {
            let about = fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?;
            let time = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let name = file.strip_prefix(path).unwrap_or(file);
            text.push_str(&format!("{} {} {time:?}", name.display(), about.len()));
            #[cfg(unix)]
            {
                use std::os::unix::fs::MetadataExt as _;
                // Copies that keep their time are other files, and nobody sets this one.
                text.push_str(&format!(" {} {} {}.{}", about.dev(), about.ino(), about.ctime(), about.ctime_nsec()));
            }
            text.push('\n');
        }
        Ok(Self(sha256(text.as_bytes())))
    }
}

/// Part of every stamp, and raised with each change of a reader: what was read before is read again.
const READ_BY: &str = concat!(env!("CARGO_PKG_VERSION"), " 2");

/// Where a source is remembered.
pub(super) struct Place(PathBuf);

/// `about.json`.
#[derive(Serialize, Deserialize)]
struct Known {
    stamp: Stamp,
    about: About,
    /// Of `arrays`, where they are kept.
    arrays: Option<Kept>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    /// CRC-32 of the file.
    crc: u32,
    /// "bytes", "floats" or "whole".
    kind: String,
}

/// What all remembered arrays together may take on disk; in bytes. Beyond, the oldest go.
const MOST_ON_DISK: u64 = 20 << 30;

/// Bytes read or written at a time.
const PIECE: usize = 1 << 22;

impl Place {
    /// Of what goes by this key; `None` where there is no cache folder.
    pub(super) fn of(key: &str) -> Option<Self> {
        let cache = caches("decoded").into_iter().next()?;
        Some(Self(cache.join(&sha256(key.as_bytes())[..24])))
    }

    fn known(&self, stamp: &Stamp) -> Option<Known> {
        let known: Known = serde_json::from_slice(&fs::read(self.0.join("about.json")).ok()?).ok()?;
        (known.stamp == *stamp).then_some(known)
    }

    /// What is known of a source whose files are as they were.
    pub(super) fn about(&self, stamp: &Stamp) -> Option<About> {
        Some(self.known(stamp)?.about)
    }

    /// Keeps what was read; its arrays too where that was `slow`.
    pub(super) fn remember(&self, stamp: &Stamp, Decoded { about, arrays }: &Decoded, slow: bool) -> Result<()> {
        fs::create_dir_all(&self.0)?;
        let lock = try_lock(&self.0.join(".lock"), Sharing::Nobody)?;
        match &lock {
            // Of a process that was killed; without a lock it may be of one that runs.
            Locked::Held(_) => remove_leftovers(&self.0)?,
            Locked::Missing(_) => {}
            // Another process is about to remember the same.
            Locked::Busy => return Ok(()),
        }
        let kept = if slow { Some(self.keep(arrays)?) } else { None };
        let known = Known { stamp: stamp.clone(), about: about.clone(), arrays: kept };
        // The arrays first: what is known says that they are there.
        write_atomically(&self.0.join("about.json"), &serde_json::to_vec(&known)?)?;
        Ok(())
    }

    fn keep(&self, arrays: &[Arrays; 2]) -> Result<Kept> {
        let kind = match arrays[0].inputs {
            Numbers::Bytes(_) => "bytes",
            Numbers::Floats(_) => "floats",
            Numbers::Whole(_) => "whole",
        };
        let needed: u64 = arrays.iter().map(Arrays::bytes).sum();
        self.make_room(needed)?;
        let mut crc = Crc::new();
        write_atomically_with(&self.0.join("arrays"), |file| {
            for Arrays { inputs, targets } in arrays {
                match inputs {
                    Numbers::Bytes(all) => write(file, &mut crc, all, |byte| [byte])?,
                    Numbers::Floats(all) => write(file, &mut crc, all, f32::to_le_bytes)?,
                    Numbers::Whole(all) => write(file, &mut crc, all, i64::to_le_bytes)?,
                }
                match targets {
                    Learned::Classes(all) | Learned::ByPlace(all) => write(file, &mut crc, all, i64::to_le_bytes)?,
                    Learned::Values(all) => write(file, &mut crc, all, f32::to_le_bytes)?,
                }
            }
            Ok(())
        })?;
        Ok(Kept { crc: crc.sum(), kind: kind.into() })
    }

    /// Forgets what was kept here.
    pub(super) fn forget(&self) {
        let _ = fs::remove_dir_all(&self.0);
    }

    /// Removes what was remembered longest ago elsewhere until there is room.
    fn make_room(&self, needed: u64) -> io::Result<()> {
        let Some(folder) = self.0.parent() else { return Ok(()) };
        let mut kept = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let files = fs::read_dir(&path).into_iter().flatten().flatten().filter_map(|file| file.metadata().ok());
            let (mut size, mut newest) = (0, UNIX_EPOCH);
            for about in files {
                size += about.len();
                newest = newest.max(about.modified().unwrap_or(UNIX_EPOCH));
            }
            if path != self.0 {
                kept.push((newest, size, path));
            }
        }
        kept.sort();
        let mut all: u64 = needed + kept.iter().map(|(_, size, _)| size).sum::<u64>();
        for (_, size, path) in kept {
            if all <= MOST_ON_DISK {
                break;
            }
            fs::remove_dir_all(path)?;
            all -= size;
        }
        Ok(())
    }

    /// The arrays of a source whose files are as they were; `None` where they were not kept, or are damaged.
    pub(super) fn arrays(&self, stamp: &Stamp, about: &About) -> Option<[Stored; 2]> {
        let kept = self.known(stamp)?.arrays?;
        let mut file = File::open(self.0.join("arrays")).ok()?;
        let mut crc = Crc::new();
        let numbers: i64 = about.input.iter().product();
        let mut split = |size: usize| -> Result<Stored> {
            let n = size as i64;
            let kind = match kept.kind.as_str() {
                "bytes" => Kind::Uint8,
                "floats" => Kind::Float,
                _ => Kind::Int64,
            };
            let inputs = read(&mut file, &mut crc, kind, n * numbers)?;
            let of_targets = match about.target {
                Target::Classes(_) | Target::ClassesByPlace(_) => Kind::Int64,
                Target::Values(_) => Kind::Float,
            };
            let each: i64 = about.signature().target_shape().iter().product();
            let targets = read(&mut file, &mut crc, of_targets, n * each)?;
            shaped(about, inputs, targets)
        };
        let both = split(about.sizes[0]).and_then(|train| Ok([train, split(about.sizes[1])?]));
        both.ok().filter(|_| crc.sum() == kept.crc)
    }
}

fn write<T: Copy, const N: usize>(
    file: &mut dyn Write,
    crc: &mut Crc,
    all: &[T],
    bytes: impl Fn(T) -> [u8; N],
) -> io::Result<()> {
    for some in all.chunks(PIECE / N) {
        let some: Vec<u8> = some.iter().flat_map(|value| bytes(*value)).collect();
        crc.update(&some);
        file.write_all(&some)?;
    }
    Ok(())
}

/// So many numbers of a kind, piece by piece: a second copy of them all would take as much memory again.
fn read(file: &mut File, crc: &mut Crc, kind: Kind, count: i64) -> Result<Tensor> {
    let all = Tensor::f_empty([count], (kind, Device::Cpu))?;
    let width = kind.elt_size_in_bytes() as i64;
    let most = PIECE as i64 / width;
    let mut bytes = vec![0; PIECE];
    for start in (0..count).step_by(most as usize) {
        let some = most.min(count - start);
        let bytes = &mut bytes[..(some * width) as usize];
        file.read_exact(bytes)?;
        crc.update(bytes);
        let tensor = match kind {
            Kind::Uint8 => Tensor::f_from_slice(bytes)?,
            Kind::Float => {
                let numbers: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
                Tensor::f_from_slice(&numbers)?
            }
            _ => {
                let numbers: Vec<i64> = bytes.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect();
                Tensor::f_from_slice(&numbers)?
            }
        };
        all.f_narrow(0, start, some)?.f_copy_(&tensor)?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::super::decoded::Taken;
    use super::super::raw::{Kind as Of, Part, Raw, Targets};
    use super::*;

    #[test]
    fn what_is_remembered_is_what_was_read() {
        let numbers = || Targets::Numbers(vec![0, 1, 1, 0]);
        let values = Targets::Values { width: 3, values: (0..12).map(|at| at as f32).collect() };
        let tags = Targets::ByPlace { places: 2, labels: vec![5, -100, 0, 1, 2, 3, 4, 0] };
        let mask = Targets::ByPlace { places: 1, labels: vec![1, 0, -100, 1] };
        let (bytes, floats) = (Numbers::Bytes((0..8).collect()), Numbers::Floats((0..8).map(|at| at as f32).collect()));
        let whole = || Numbers::Whole((0..8).collect());
        for (kind, shape, inputs, targets, each) in [
            (Of::Images, vec![2, 1, 1], bytes.clone(), numbers(), vec![]),
            (Of::Images, vec![2, 1, 1], bytes, mask, vec![1, 1]),
            (Of::Features, vec![2], floats, values, vec![3]),
            (Of::Tokens, vec![2], whole(), numbers(), vec![]),
            (Of::Tokens, vec![2], whole(), tags, vec![2]),
        ] {
            for taken in [Taken::Split(0.5), Taken::Whole] {
                let train = Part { inputs: inputs.clone(), targets: targets.clone(), from: "x".into() };
                let (shape, notes) = (shape.clone(), Vec::new());
                let raw = Raw { kind, shape, train, test: None, class_names: None, divisor: 255.0, notes };
                let decoded = Decoded::of(raw, taken).unwrap();
                let folder = tempfile::tempdir().unwrap();
                let (place, stamp) = (Place(folder.path().join("a")), Stamp("now".into()));
                place.remember(&stamp, &decoded, true).unwrap();
                assert_eq!(place.about(&stamp).as_ref(), Some(&decoded.about));
                assert!(place.about(&Stamp("then".into())).is_none());
                let found = place.arrays(&stamp, &decoded.about).unwrap();
                for ((found, Arrays { inputs, targets }), size) in
                    found.iter().zip(&decoded.arrays).zip(decoded.about.sizes)
                {
                    let shape = |rest: &[i64]| [&[size as i64], rest].concat();
                    assert_eq!(found.inputs.size(), shape(&decoded.about.input));
                    assert_eq!(found.targets.size(), shape(&each));
                    let flat =
                        |tensor: &Tensor| -> Vec<f64> { tensor.view(-1).to_kind(Kind::Double).try_into().unwrap() };
                    let expected: Vec<f64> = match inputs {
                        Numbers::Bytes(all) => all.iter().map(|x| f64::from(*x)).collect(),
                        Numbers::Floats(all) => all.iter().map(|x| f64::from(*x)).collect(),
                        Numbers::Whole(all) => all.iter().map(|x| *x as f64).collect(),
                    };
                    assert_eq!(flat(&found.inputs), expected);
                    let expected: Vec<f64> = match targets {
                        Learned::Classes(all) | Learned::ByPlace(all) => all.iter().map(|x| *x as f64).collect(),
                        Learned::Values(all) => all.iter().map(|x| f64::from(*x)).collect(),
                    };
                    assert_eq!(flat(&found.targets), expected);
                }
            }
        }
    }
}
