//! Files of data sets as mirrors send them: what each is called there, how it is told from another, and what of it is
//! put into the folder. Digests are only those that a document or package states. Knows no network.

use super::idx::{self, FileCheck, IdxFile, accept, locate, verify_file};
use crate::files::sha256;
use anyhow::{Context as _, Result, anyhow, bail};
use flate2::read::GzDecoder;
use md5::{Digest as _, Md5};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What is asked of a mirror in one go.
pub trait Sent: Sync {
    /// As it stands in the folder, or what its files come in.
    fn name(&self) -> &str;

    /// Behind a mirror's address.
    fn address(&self) -> String;

    /// "MNIST"
    fn of(&self) -> &str;

    /// More bytes than it could have.
    fn limit(&self) -> usize;

    /// Looks at its files in a folder through to the end.
    fn verify(&self, folder: &Path) -> Vec<FileCheck>;

    /// The files in what was received, by name, checked.
    ///
    /// # Errors
    /// What is wrong with it.
    fn files(&self, received: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String>;

    /// Whether the digest of its plain files is known; else what a fetch first saw of them is pinned.
    fn is_known(&self) -> bool;
}

/// gzip never makes contents much larger than they are.
fn packed(raw: usize) -> usize {
    raw + raw / 8 + 1024
}

impl Sent for IdxFile {
    fn name(&self) -> &str {
        self.name
    }

    fn address(&self) -> String {
        format!("{}.gz", self.name)
    }

    fn of(&self) -> &str {
        "MNIST"
    }

    fn limit(&self) -> usize {
        packed(self.raw_len())
    }

    fn verify(&self, folder: &Path) -> Vec<FileCheck> {
        vec![verify_file(self, folder)]
    }

    fn files(&self, received: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
        Ok(vec![(self.name.to_owned(), accept(self, received)?)])
    }

    fn is_known(&self) -> bool {
        true
    }
}

/// An IDX file of whose gzipped form a digest is known, and of its contents none.
pub struct Gzipped {
    /// Without a digest.
    pub file: IdxFile,
    pub of: &'static str,
    pub md5: &'static str,
}

/// Several files in one: a gzipped tar.
pub struct Archive {
    pub name: &'static str,
    pub of: &'static str,
    pub md5: &'static str,
    /// More bytes than it could have.
    pub limit: usize,
    /// Files in it, by name, and how long each is; 0 where that is open.
    pub files: &'static [(&'static str, usize)],
}

/// What to do about a file that is none of a set's: sets are called by their titles, in small letters.
fn way_out(of: &str) -> String {
    let name = of.to_lowercase();
    format!("fetch it anew with `hw1 data fetch {name} --set-aside`, or name another folder with --data-dir")
}

/// Longer than any of the files whose length is open.
const LONGEST: u64 = 1 << 20;

/// A file's bytes, no more of them than `most`: what is longer is something else.
fn read(path: &Path, most: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let read = file.take(most as u64 + 1).read_to_end(&mut bytes);
    read.with_context(|| format!("cannot read {}", path.display()))?;
    if bytes.len() > most {
        bail!("{} has more than {most} bytes", path.display());
    }
    Ok(bytes)
}

fn md5_of(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check_md5(bytes: &[u8], expected: &str) -> Result<(), String> {
    let found = md5_of(bytes);
    if found == expected { Ok(()) } else { Err(format!("its MD5 is {found}, not {expected}")) }
}

impl Sent for Gzipped {
    fn name(&self) -> &str {
        self.file.name
    }

    fn address(&self) -> String {
        self.file.address()
    }

    fn of(&self) -> &str {
        self.of
    }

    fn limit(&self) -> usize {
        self.file.limit()
    }

    fn verify(&self, folder: &Path) -> Vec<FileCheck> {
        let path = locate(&self.file, folder);
        let look = || -> Result<()> {
            let path = path.as_ref().with_context(|| format!("{} has no {}", folder.display(), self.file.name))?;
            let bytes = read(path, self.limit())?;
            let told = |what: String| {
                let (path, way_out) = (path.display(), way_out(self.of));
                anyhow!("{path} cannot be taken for {}'s {}: {what}; {way_out}", self.of, self.file.name)
            };
            let raw = idx::unpack(&self.file, &bytes[..]).map_err(told)?;
            idx::check(&self.file, &raw).map_err(told)?;
            if bytes.starts_with(&[0x1f, 0x8b]) {
                return check_md5(&bytes, self.md5).map_err(told);
            }
            check_pin(folder, self.of, self.file.name, &sha256(&raw)).map_err(told)
        };
        let problem = look().err().map(|error| format!("{error:#}"));
        vec![FileCheck { name: self.file.name, path, problem }]
    }

    fn files(&self, received: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
        check_md5(received, self.md5)?;
        let raw = idx::unpack(&self.file, received)?;
        idx::check(&self.file, &raw)?;
        Ok(vec![(self.file.name.to_owned(), raw)])
    }

    fn is_known(&self) -> bool {
        false
    }
}

impl Sent for Archive {
    fn name(&self) -> &str {
        self.name
    }

    fn address(&self) -> String {
        self.name.to_owned()
    }

    fn of(&self) -> &str {
        self.of
    }

    fn limit(&self) -> usize {
        self.limit
    }

    fn verify(&self, folder: &Path) -> Vec<FileCheck> {
        let of_file = |(name, length): &(&'static str, usize)| {
            let path = folder.join(name);
            let look = || -> Result<()> {
                let bytes = read(&path, if *length > 0 { *length } else { LONGEST as usize })?;
                if *length > 0 && bytes.len() != *length {
                    let (path, way_out) = (path.display(), way_out(self.of));
                    bail!("{path} has {} bytes, not {length}; {way_out}", bytes.len());
                }
                check_pin(folder, self.of, name, &sha256(&bytes))
                    .map_err(|what| anyhow!("{}: {what}; {}", path.display(), way_out(self.of)))
            };
            let problem = look().err().map(|error| format!("{error:#}"));
            FileCheck { name, path: path.is_file().then_some(path.clone()), problem }
        };
        self.files.iter().map(of_file).collect()
    }

    fn files(&self, received: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
        check_md5(received, self.md5)?;
        let mut found: Vec<(String, Vec<u8>)> = Vec::new();
        let damaged = |error: std::io::Error| format!("the archive is damaged ({error})");
        let mut archive = tar::Archive::new(GzDecoder::new(received));
        for entry in archive.entries().map_err(damaged)? {
            let entry = entry.map_err(damaged)?;
            let name = entry.path().ok().and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
            let Some((name, length)) = self.files.iter().find(|(file, _)| name.as_deref() == Some(*file)) else {
                continue;
            };
            let most = if *length > 0 { *length as u64 } else { LONGEST };
            let mut bytes = Vec::new();
            entry.take(most + 1).read_to_end(&mut bytes).map_err(damaged)?;
            if bytes.len() as u64 > most || (*length > 0 && bytes.len() != *length) {
                return Err(format!("{name} in it has {} bytes or more, not {most}", bytes.len()));
            }
            found.push(((*name).to_owned(), bytes));
        }
        match self.files.iter().find(|(name, _)| !found.iter().any(|(other, _)| other == name)) {
            Some((missing, _)) => Err(format!("the archive has no {missing}")),
            None => Ok(found),
        }
    }

    fn is_known(&self) -> bool {
        false
    }
}

/// Digests of the files that a fetch put into a folder, by set and name, of which none is published.
const PINS: &str = "hw1-pinned.json";

/// SHA-256 by file, by set.
type Pins = BTreeMap<String, BTreeMap<String, String>>;

fn pins(folder: &Path) -> Pins {
    let bytes = read(&folder.join(PINS), LONGEST as usize).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// What stands where the pins are kept and is no file of pins.
pub(super) fn not_pins(folder: &Path) -> Option<PathBuf> {
    let path = folder.join(PINS);
    path.symlink_metadata().ok()?;
    let read = read(&path, LONGEST as usize).ok();
    let is_pins = read.is_some_and(|bytes| serde_json::from_slice::<Pins>(&bytes).is_ok());
    (!is_pins).then_some(path)
}

/// That a file of this SHA-256 is the one that was fetched for a set, where one was, and none that was for another.
pub(super) fn check_pin(folder: &Path, of: &str, name: &str, found: &str) -> Result<(), String> {
    let pins = pins(folder);
    let pinned = |files: &BTreeMap<String, String>| files.get(name).map(|digest| digest == found);
    if let Some((other, _)) = pins.iter().find(|(set, files)| *set != of && pinned(files) == Some(true)) {
        return Err(format!("it was fetched as {other}'s"));
    }
    match pins.get(of).and_then(pinned) {
        Some(false) => Err("it changed since it was fetched".into()),
        _ => Ok(()),
    }
}

/// Adds a file of a set to those pinned in its folder: name and contents of the file of pins.
pub(super) fn pinned(folder: &Path, of: &str, name: &str, bytes: &[u8]) -> Result<(&'static str, Vec<u8>)> {
    let mut all = pins(folder);
    all.entry(of.to_owned()).or_default().insert(name.to_owned(), sha256(bytes));
    Ok((PINS, serde_json::to_vec_pretty(&all)?))
}

/// What a file can be known by.
pub(super) struct Contents {
    /// Of it as it is.
    pub md5: String,
    /// Of what it holds, unpacked.
    pub sha256: String,
}

impl Contents {
    /// `None` of what cannot be read.
    pub(super) fn of(file: &IdxFile, path: &Path) -> Option<Self> {
        let bytes = read(path, file.limit()).ok()?;
        let raw = idx::unpack(file, &bytes[..]).ok()?;
        Some(Self { md5: md5_of(&bytes), sha256: sha256(&raw) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::idx::Items;
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::fs;
    use std::io::Write as _;

    fn gzip(raw: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(raw).unwrap();
        encoder.finish().unwrap()
    }

    fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, name, *bytes).unwrap();
        }
        gzip(&archive.into_inner().unwrap())
    }

    fn archive(sent: &[u8]) -> Archive {
        let files = &[("names.txt", 0), ("one.bin", 3)];
        Archive { name: "set.tar.gz", of: "SET", md5: md5_of(sent).leak(), limit: 1 << 20, files }
    }

    #[test]
    fn an_archive_gives_the_files_that_are_wanted_and_no_others() {
        let sent = tar(&[("set/readme", b"x"), ("set/one.bin", &[1, 2, 3]), ("set/names.txt", b"a\n")]);
        let files = archive(&sent).files(&sent).unwrap();
        assert_eq!(files, [("one.bin".to_owned(), vec![1, 2, 3]), ("names.txt".to_owned(), b"a\n".to_vec())]);
        // Another digest, a member of another length, one that is missing, one cut off.
        let error = archive(b"other").files(&sent).unwrap_err();
        assert!(error.contains("its MD5 is") && error.contains(&md5_of(b"other")), "{error}");
        for (sent, what) in [
            (tar(&[("one.bin", &[1, 2]), ("names.txt", b"a")]), "one.bin in it has 2 bytes or more, not 3"),
            (tar(&[("one.bin", &[1, 2, 3, 4]), ("names.txt", b"a")]), "one.bin in it has 4 bytes"),
            (tar(&[("one.bin", &[1, 2, 3])]), "the archive has no names.txt"),
            (sent[..sent.len() / 2].to_vec(), "the archive is damaged"),
            (b"no archive".to_vec(), "the archive is damaged"),
        ] {
            let error = archive(&sent).files(&sent).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn what_was_fetched_is_remembered_where_no_digest_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            fs::write(folder.path().join(name), bytes).unwrap();
            let (pins, all) = pinned(folder.path(), "SET", name, bytes).unwrap();
            fs::write(folder.path().join(pins), all).unwrap();
        };
        let archive = archive(b"");
        let problems = || -> Vec<Option<String>> {
            archive.verify(folder.path()).into_iter().map(|check| check.problem).collect()
        };
        assert!(problems().iter().all(Option::is_some), "nothing is there");
        put("names.txt", b"a\n");
        put("one.bin", &[1, 2, 3]);
        assert_eq!(problems(), [None, None]);
        fs::write(folder.path().join("one.bin"), [1, 2, 4]).unwrap();
        assert!(problems()[1].as_ref().unwrap().contains("it changed since it was fetched"));
        fs::write(folder.path().join("one.bin"), [1, 2]).unwrap();
        assert!(problems()[1].as_ref().unwrap().contains("has 2 bytes, not 3"));
        // What is no file of pins pins nothing; before a fetch it is refused.
        for odd in ["{", "[]", "{\"SET\": 3}", "{\"SET\": {\"one.bin\": 3}}"] {
            fs::write(folder.path().join(PINS), odd).unwrap();
            assert_eq!(not_pins(folder.path()), Some(folder.path().join(PINS)), "{odd}");
            put("one.bin", &[1, 2, 3]);
            assert_eq!(problems(), [None, None], "{odd}");
        }
        // A user's own copy, never fetched: read, and nothing said of it.
        fs::remove_file(folder.path().join(PINS)).unwrap();
        fs::write(folder.path().join("one.bin"), [9, 9, 9]).unwrap();
        assert_eq!(problems(), [None, None]);
    }

    #[test]
    fn a_gzipped_file_is_known_by_what_is_sent_of_it() {
        let raw = [&[0, 0, 8, 1, 0, 0, 0, 3][..], &[1, 0, 9]].concat();
        let sent = gzip(&raw);
        let file = IdxFile { name: "labels-idx1-ubyte", items: Items::Labels, count: 3, sha256: "" };
        let known = Gzipped { file, of: "SET", md5: md5_of(&sent).leak() };
        assert_eq!(known.files(&sent).unwrap(), [("labels-idx1-ubyte".to_owned(), raw.clone())]);
        assert!(known.files(&raw).unwrap_err().contains("its MD5 is"));
        let folder = tempfile::tempdir().unwrap();
        let problem = || known.verify(folder.path()).remove(0).problem;
        assert!(problem().unwrap().contains("has no labels-idx1-ubyte"));
        let path = folder.path().join("labels-idx1-ubyte.gz");
        fs::write(&path, &sent).unwrap();
        assert_eq!(problem(), None);
        // Packed otherwise: not what is known.
        fs::write(&path, [gzip(&raw[..5]), gzip(&raw[5..])].concat()).unwrap();
        assert!(problem().unwrap().contains("its MD5 is"));
        // Plain, and under the name that some tools give it.
        fs::remove_file(&path).unwrap();
        fs::write(folder.path().join("labels.idx1-ubyte"), &raw).unwrap();
        assert_eq!(problem(), None);
        fs::write(folder.path().join("labels.idx1-ubyte"), &raw[..9]).unwrap();
        assert!(problem().unwrap().contains("SET's labels-idx1-ubyte: it is truncated"));
    }
}
