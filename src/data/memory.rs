//! How much memory there is, and how much is free: of the machine, and of the control groups (cgroups, version 1 and 2)
//! that this process is in, as containers, SLURM and systemd give them.

use super::Dataset;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the system does not say how much memory there is; in bytes.
const USUAL: u64 = 8 << 30;

/// A sixteenth of this machine's memory, at most 1 GiB: images that would take more as float32 stay bytes, and become
/// the same float32 numbers batch by batch.
pub(super) fn share() -> u64 {
    (all() / 16).min(1 << 30)
}

/// A quarter of this machine's memory, at most 16 GiB: what all arrays of a set may take as they are read, beside
/// which there is a copy of them for a while.
pub(super) fn most() -> u64 {
    (all() / 4).min(16 << 30)
}

/// Bytes that the machine has, or that this process's groups may take; a usual number where the system does not say.
pub fn all() -> u64 {
    memory().map_or(USUAL, |memory| memory.total)
}

/// Bytes of a data set in memory: of numbers in float32, of many images as bytes.
pub fn of_set(set: &dyn Dataset) -> u128 {
    let numbers = set.sizes().iter().sum::<usize>() as u128 * set.signature().numbers().unsigned_abs() as u128;
    if 4 * numbers > share().into() { numbers } else { 4 * numbers }
}

/// What there is of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Bytes that this process could take now, as far as the system knows.
    pub free: u64,
    pub total: u64,
    /// Whether a group has less of it than the machine.
    pub is_limited: bool,
}

/// `None` where the system does not say.
pub fn memory() -> Option<Memory> {
    under(Path::new("/"))
}

/// By the files under this folder.
fn under(root: &Path) -> Option<Memory> {
    let read = |path: &Path| fs::read_to_string(root.join(path)).ok();
    let info = read(Path::new("proc/meminfo"))?;
    let of_machine = |name: &str| Some(field(&info, name)?.saturating_mul(1024));
    let (mut free, total) = (of_machine("MemAvailable:")?, of_machine("MemTotal:")?);
    let mut limit = total;
    for line in read(Path::new("proc/self/cgroup")).unwrap_or_default().lines() {
        let Some((version, path)) = Version::of(line) else { continue };
        let mount = Path::new(version.mount);
        let own: PathBuf = mount.join(path.trim_start_matches('/'));
        // What a group may take, those that it is part of may take. A container has its own group where others have
        // the root, whatever path it is told.
        for folder in own.ancestors().take_while(|folder| folder.starts_with(mount)) {
            let number = |name: &str| read(&folder.join(name))?.trim().parse::<u64>().ok();
            let Some(most) = number(version.limit) else { continue };
            // What files are cached in is given back when asked for.
            let cached = read(&folder.join("memory.stat")).and_then(|stat| field(&stat, version.cached)).unwrap_or(0);
            let taken = number(version.taken).unwrap_or(0).saturating_sub(cached);
            limit = limit.min(most);
            free = free.min(most.saturating_sub(taken));
        }
    }
    Some(Memory { free, total: limit, is_limited: limit < total })
}

/// The number behind a name, in lines of such.
fn field(text: &str, name: &str) -> Option<u64> {
    let words = text.lines().map(str::split_whitespace).find_map(|mut words| (words.next()? == name).then_some(words));
    words?.next()?.parse().ok()
}

/// The files of one version of control groups.
struct Version {
    mount: &'static str,
    limit: &'static str,
    taken: &'static str,
    cached: &'static str,
}

impl Version {
    /// That of a line of `/proc/self/cgroup` that is on memory, and the group's path there.
    fn of(line: &str) -> Option<(Self, &str)> {
        let mut parts = line.splitn(3, ':');
        let (id, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        if id == "0" && controllers.is_empty() {
            let (limit, taken, cached) = ("memory.max", "memory.current", "inactive_file");
            return Some((Self { mount: "sys/fs/cgroup", limit, taken, cached }, path));
        }
        let (limit, taken, cached) = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file");
        let first = Self { mount: "sys/fs/cgroup/memory", limit, taken, cached };
        controllers.split(',').any(|name| name == "memory").then_some((first, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// What is found where files of these names have these texts.
    fn found(files: &[(&str, &str)]) -> Option<Memory> {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        under(root.path())
    }

    const MACHINE: (&str, &str) =
        ("proc/meminfo", "MemTotal:       8388608 kB\nMemFree: 1 kB\nMemAvailable:   4194304 kB\n");

    #[test]
    fn a_machine_without_groups_is_the_machine() {
        assert_eq!(found(&[]), None);
        let whole = Memory { free: 4 * GIB, total: 8 * GIB, is_limited: false };
        assert_eq!(found(&[MACHINE]), Some(whole));
        let unlimited = [
            MACHINE,
            ("proc/self/cgroup", "4:memory:/a\n0::/b\n"),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/b/memory.max", "max\n"),
        ];
        assert_eq!(found(&unlimited), Some(whole));
    }

    #[test]
    fn the_tightest_group_counts_in_either_version() {
        // A group within a slice that has less than it.
        let second = [
            MACHINE,
            ("proc/self/cgroup", "0::/slice/run.scope\n"),
            ("sys/fs/cgroup/slice/memory.max", "3221225472\n"),
            ("sys/fs/cgroup/slice/memory.current", "2147483648\n"),
            ("sys/fs/cgroup/slice/memory.stat", "anon 5\nfile 7\ninactive_file 1073741824\n"),
            ("sys/fs/cgroup/slice/run.scope/memory.max", "max\n"),
        ];
        assert_eq!(found(&second), Some(Memory { free: 2 * GIB, total: 3 * GIB, is_limited: true }));
        // A container, whose path is of outside.
        let first = [
            MACHINE,
            ("proc/self/cgroup", "9:cpu,cpuacct:/docker/1\n4:hugetlb,memory:/docker/1\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "536870912\n"),
        ];
        assert_eq!(found(&first), Some(Memory { free: GIB / 2, total: GIB, is_limited: true }));
    }
}
