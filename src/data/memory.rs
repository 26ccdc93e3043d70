//! How much memory a data set may take as float32.

use std::fs;

/// Where the system does not say how much memory there is; in bytes.
const USUAL: u64 = 8 << 30;

/// A sixteenth of this machine's memory, at most 1 GiB: images that would take more as float32 stay bytes, and become
/// the same float32 numbers batch by batch.
pub(super) fn share() -> u64 {
    (total().unwrap_or(USUAL) / 16).min(1 << 30)
}

/// A quarter of this machine's memory, at most 16 GiB: what all arrays of a set may take as they are read, beside
/// which there is a copy of them for a while.
pub(super) fn most() -> u64 {
    (total().unwrap_or(USUAL) / 4).min(16 << 30)
}

/// Bytes that the machine has, or that this process's group may take; a usual number where the system does not say.
pub fn all() -> u64 {
    total().unwrap_or(USUAL)
}

/// Bytes that the machine has, or that this process's group may take.
fn total() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kilobytes: u64 =
        text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.split_whitespace().next()?.parse().ok()?;
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    Some(group.unwrap_or(u64::MAX).min(kilobytes * 1024))
}
