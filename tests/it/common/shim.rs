//! A machine that has not what this one has: a library in C, compiled once and preloaded into hw1.

use super::Dir;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The library; `None`, said aloud, where no C compiler is to be had.
fn library() -> Option<&'static Path> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/common/shim.c");
        let made = folder.join(format!("hw1-shim-{}.so", std::process::id()));
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-D_FORTIFY_SOURCE=0", source, "-ldl", "-o"]).arg(&made);
        let output = cc.output().ok()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // Of earlier runs there is none.
        let library = folder.join("hw1-shim.so");
        std::fs::rename(made, &library).ok()?;
        Some(library)
    });
    if library.is_none() || !cfg!(target_os = "linux") {
        eprintln!("skipped: no C compiler, or not Linux, to make another machine of this one");
        return None;
    }
    library.as_deref()
}

/// A command that runs hw1 where `machine` says what is otherwise, by the names in shim.c.
pub fn command(dir: &Dir, machine: &[(&str, &str)], arguments: &[&str]) -> Option<Command> {
    let mut command = dir.command(arguments);
    command.env("LD_PRELOAD", library()?).envs(machine.iter().copied());
    Some(command)
}
