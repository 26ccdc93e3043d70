//! Writing files whole (a file appears complete under its name or not at all), their locks, and their digests: on any
//! file system, whatever it cannot do. A leaf that knows neither run directories nor data sets.

use sha2::{Digest as _, Sha256};
use std::ffi::CString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::Path;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// Files on their way to their names begin so; left over only where a process was killed.
const TEMPORARY: &str = ".hw1-";

/// Writes beside `path`, syncs, renames: whoever looks sees the old file or the whole new one. Needs no links and no
/// locks; what the file system cannot sync it syncs by itself, or a power cut may take it.
///
/// # Errors
/// Where it cannot be written; what stood there before still stands then.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_atomically_with(path, |file| file.write_all(bytes))
}

/// The same of what `write` writes, piece by piece.
///
/// # Errors
/// Those of `write` too.
pub fn write_atomically_with(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let (folder, file) = written_beside(path, write)?;
    file.persist(path)?;
    unless_unsupported(sync_folder(folder))
}

/// Whether a file that must not be replaced was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Once {
    Written,
    /// Another one of this name was there first, and still is.
    Stood,
}

/// Writes a file whole under a name that nothing has: of several processes, on several machines, one does. By a hard link,
/// which no file system replaces a file with; what counts is that the file then has two names, whatever a server that is
/// asked twice answers. Where there are no links, by a name that is made empty first; who is killed between the two leaves
/// an empty file, which the next one replaces.
///
/// # Errors
/// Where it cannot be written.
pub fn write_once(path: &Path, bytes: &[u8]) -> io::Result<Once> {
    let (folder, file) = written_beside(path, |file| file.write_all(bytes))?;
    let linked = fs::hard_link(file.path(), path);
    let once = match linked {
        Ok(()) => Once::Written,
        Err(_) if names_of(file.path()) == Some(2) => Once::Written,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => unless_empty(file, path)?,
        Err(error) if has_no_links(&error) => without_links(file, path)?,
        Err(error) => return Err(error),
    };
    unless_unsupported(sync_folder(folder))?;
    Ok(once)
}

/// How many names a file has, where the system says so.
fn names_of(path: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        fs::symlink_metadata(path).ok().map(|found| found.nlink())
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// What file systems without links answer: FAT and some of FUSE and SMB with EPERM.
fn has_no_links(error: &io::Error) -> bool {
    const CODES: [i32; 5] = [libc::EPERM, libc::ENOSYS, libc::EOPNOTSUPP, libc::ENOTSUP, libc::EMLINK];
    error.raw_os_error().is_some_and(|code| CODES.contains(&code))
}

fn without_links(file: tempfile::NamedTempFile, path: &Path) -> io::Result<Once> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(_) => file.persist(path).map(|_| Once::Written).map_err(|error| error.error),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => unless_empty(file, path),
        Err(error) => Err(error),
    }
}

/// Another process may be about to give an empty file its bytes; one that stays empty is nobody's.
fn unless_empty(file: tempfile::NamedTempFile, path: &Path) -> io::Result<Once> {
    let is_empty = || fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == 0);
    let until = Instant::now() + EMPTY_AT_MOST;
    while is_empty() {
        if Instant::now() >= until {
            return file.persist(path).map(|_| Once::Written).map_err(|error| error.error);
        }
        thread::sleep(EMPTY_AT_MOST / 20);
    }
    Ok(Once::Stood)
}

/// Between making a name and giving it its bytes.
const EMPTY_AT_MOST: Duration = Duration::from_secs(1);

/// A file that is whole, beside where it is to stand, and the folder of both.
fn written_beside(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<(&Path, tempfile::NamedTempFile)> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut builder = tempfile::Builder::new();
    let prefix = format!("{TEMPORARY}{}-", process_name());
    builder.prefix(&prefix);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // Less the umask, as any new file; tempfile's own default lets nobody else read.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    write(&mut file)?;
    unless_unsupported(file.as_file().sync_all())?;
    Ok((folder, file))
}

/// "node7-4711": no other process, on whatever machine, that works in the same folder now has the same name.
pub fn process_name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| format!("{}-{}", host_name(), std::process::id()))
}

/// Of this machine, as far as file names take it: "node7" of node7.cluster.example; "host" where it has none.
fn host_name() -> String {
    let mut bytes = [0u8; 256];
    // SAFETY: as many bytes as it is told of, of which the last stays 0.
    let found = unsafe { libc::gethostname(bytes.as_mut_ptr().cast(), bytes.len() - 1) };
    let bytes = if found == 0 { bytes.split(|byte| matches!(byte, 0 | b'.')).next().unwrap_or_default() } else { &[] };
    let letters = bytes.iter().map(|byte| char::from(*byte)).filter(|c| c.is_ascii_alphanumeric() || *c == '-');
    let name: String = letters.take(32).collect();
    if name.is_empty() { "host".to_owned() } else { name }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Passes over what the file system does not have, as it says: some of FUSE, SMB and NFS sync no folders.
fn unless_unsupported(result: io::Result<()>) -> io::Result<()> {
    const UNSUPPORTED: [i32; 4] = [libc::ENOSYS, libc::EOPNOTSUPP, libc::ENOTSUP, libc::EINVAL];
    match result {
        Err(error) if error.raw_os_error().is_some_and(|code| UNSUPPORTED.contains(&code)) => Ok(()),
        result => result,
    }
}

/// What came of asking for a lock.
pub enum Locked {
    /// Held until this file is closed; the system does so when the process ends.
    Held(File),
    /// Another process holds it.
    Busy,
    /// The file system has no locks (Lustre without its option, old NFS, FUSE, sandboxes), and why.
    Missing(io::Error),
}

/// Who else may hold a lock at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    Nobody,
    /// Others that share it, too.
    Others,
}

/// Takes the lock of a file, which is made where there is none; does not wait for it.
///
/// # Errors
/// Where the file cannot be written.
pub fn try_lock(path: &Path, sharing: Sharing) -> io::Result<Locked> {
    // NFS wants a file that is read for a shared lock.
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
    let taken = if sharing == Sharing::Others { file.try_lock_shared() } else { file.try_lock() };
    Ok(match taken {
        Ok(()) => Locked::Held(file),
        Err(TryLockError::WouldBlock) => Locked::Busy,
        // ENOSYS, ENOLCK, EOPNOTSUPP, EINVAL: whatever it is, there will be none.
        Err(TryLockError::Error(error)) => Locked::Missing(error),
    })
}

/// A file without a name, gone with this value, or with the process.
pub struct Scratch {
    file: File,
    len: u64,
}

impl Scratch {
    /// On the disk of a folder.
    ///
    /// # Errors
    /// Where none can be made there.
    pub fn new(folder: &Path) -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile_in(folder)?, len: 0 })
    }

    /// Bytes so far.
    pub fn written(&self) -> u64 {
        self.len
    }

    /// Writes behind what is there.
    ///
    /// # Errors
    /// Where there is no place, say; what was there before is still there then.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.len))?;
        self.file.write_all(bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Reads all of `bytes` from so far on.
    ///
    /// # Errors
    /// Where there are fewer.
    pub fn read_at(&self, from: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(bytes)
    }
}

/// What can be done in a folder beside writing, each with why not.
pub struct Abilities {
    pub locks: io::Result<()>,
    /// Of files and of folders: what is written outlasts a power cut.
    pub syncs: io::Result<()>,
    /// Hard links. Nothing here needs them.
    pub links: io::Result<()>,
}

/// Writes a file in a folder, and tries what else there is; leaves nothing there.
///
/// # Errors
/// Why it cannot be written.
pub fn try_folder(folder: &Path) -> io::Result<Abilities> {
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder)?;
    file.write_all(b"hw1")?;
    let mut link = file.path().as_os_str().to_owned();
    link.push("-link");
    let links = fs::hard_link(file.path(), &link);
    if links.is_ok() {
        fs::remove_file(&link)?;
    }
    let syncs = file.as_file().sync_all().and_then(|()| sync_folder(folder));
    Ok(Abilities { locks: file.as_file().try_lock().map_err(io::Error::from), syncs, links })
}

/// Bytes that this process may still write to a folder's disk; `None` where the system does not say.
pub fn free_space(folder: &Path) -> Option<u64> {
    let path = CString::new(folder.as_os_str().as_encoded_bytes()).ok()?;
    // SAFETY: a valid C string, and a structure of the system's own that it fills; zeros are one.
    let disk = unsafe {
        let mut disk: libc::statvfs = std::mem::zeroed();
        if libc::statvfs(path.as_ptr(), &raw mut disk) != 0 {
            return None;
        }
        disk
    };
    #[allow(clippy::useless_conversion)] // f_bavail has 32 bits on macOS
    u64::from(disk.f_bavail).checked_mul(disk.f_frsize)
}

/// SHA-256 in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes away what a killed process left unfinished. For the holder of the folder's lock.
pub fn remove_leftovers(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_what_stood_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        // A folder in the file's place cannot be replaced.
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        assert!(write_atomically(&taken, b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn the_first_of_several_writers_is_the_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        let threads: Vec<_> = (0..8u8)
            .map(|i| {
                let path = path.clone();
                thread::spawn(move || (write_once(&path, &[i; 100_000]).unwrap(), i))
            })
            .collect();
        let all: Vec<(Once, u8)> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let written: Vec<u8> = all.iter().filter(|(once, _)| *once == Once::Written).map(|(_, i)| *i).collect();
        assert_eq!(written.len(), 1);
        assert_eq!(fs::read(&path).unwrap(), vec![written[0]; 100_000]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        // An empty one is what a process that was killed between two steps left.
        fs::write(&path, "").unwrap();
        assert_eq!(write_once(&path, b"whole").unwrap(), Once::Written);
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert!(write_once(&folder.path().join("none/record"), b"x").is_err());
    }

    #[test]
    fn without_links_the_first_is_the_one_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        let beside = |bytes: &'static [u8]| written_beside(&path, |file| file.write_all(bytes)).unwrap().1;
        assert_eq!(without_links(beside(b"one"), &path).unwrap(), Once::Written);
        assert_eq!(without_links(beside(b"two"), &path).unwrap(), Once::Stood);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        // Whoever is between the two steps now gives it its bytes.
        fs::write(&path, "").unwrap();
        let other = thread::spawn({
            let path = path.clone();
            move || {
                thread::sleep(EMPTY_AT_MOST / 4);
                write_atomically(&path, b"theirs").unwrap();
            }
        });
        assert_eq!(without_links(beside(b"three"), &path).unwrap(), Once::Stood);
        other.join().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
        for code in [libc::EPERM, libc::ENOSYS, libc::EOPNOTSUPP, libc::EMLINK] {
            assert!(has_no_links(&io::Error::from_raw_os_error(code)), "{code}");
        }
        for code in [libc::ENOSPC, libc::EIO, libc::EACCES, libc::EEXIST] {
            assert!(!has_no_links(&io::Error::from_raw_os_error(code)), "{code}");
        }
    }

    #[test]
    fn a_lock_is_for_one_or_for_all_that_share_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        let take = |sharing| try_lock(&path, sharing).unwrap();
        let shared = [take(Sharing::Others), take(Sharing::Others)];
        assert!(shared.iter().all(|lock| matches!(lock, Locked::Held(_))));
        assert!(matches!(take(Sharing::Nobody), Locked::Busy));
        drop(shared);
        let alone = take(Sharing::Nobody);
        assert!(matches!(alone, Locked::Held(_)) && matches!(take(Sharing::Others), Locked::Busy));
    }

    #[test]
    fn a_process_has_a_name_that_is_a_files() {
        let name = process_name();
        assert!(name.ends_with(&format!("-{}", std::process::id())), "{name}");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') && name.len() < 50, "{name}");
    }

    #[test]
    fn what_a_file_system_does_not_have_is_passed_over_and_what_fails_is_not() {
        for code in [libc::ENOSYS, libc::EOPNOTSUPP, libc::EINVAL] {
            assert!(unless_unsupported(Err(io::Error::from_raw_os_error(code))).is_ok(), "{code}");
        }
        for code in [libc::EIO, libc::ENOSPC, libc::EDQUOT, libc::EROFS] {
            assert!(unless_unsupported(Err(io::Error::from_raw_os_error(code))).is_err(), "{code}");
        }
        let folder = tempfile::tempdir().unwrap();
        let Abilities { locks, syncs, links } = try_folder(folder.path()).unwrap();
        assert!(locks.is_ok() && syncs.is_ok() && links.is_ok());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn scratch_is_read_where_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut scratch = Scratch::new(folder.path()).unwrap();
        scratch.append(b"one").unwrap();
        let mut found = [0; 2];
        scratch.read_at(1, &mut found).unwrap();
        scratch.append(b"two").unwrap();
        assert_eq!((&found, scratch.written()), (b"ne", 6));
        scratch.read_at(2, &mut found).unwrap();
        assert_eq!(&found, b"et");
        assert!(scratch.read_at(5, &mut found).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        // What cannot be written is not counted.
        let path = folder.path().join("file");
        fs::write(&path, "one").unwrap();
        let mut unwritable = Scratch { file: File::open(&path).unwrap(), len: 3 };
        assert!(unwritable.append(b"two").is_err() && unwritable.written() == 3);
    }

    #[test]
    fn leftovers_go_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".hw1-abc", "record.json", ".lock"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        remove_leftovers(folder.path()).unwrap();
        let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".lock", "record.json"]);
    }
}
