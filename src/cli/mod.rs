//! From arguments to a run: clap, the registry of experiments, and a file a group of subcommands. Here is what they
//! share: where a run directory is, and how an answer is given.

mod all;
mod analyse;
mod bench;
mod command;
mod complete;
mod data;
mod doctor;
mod export;
mod look;
mod memory;
mod registry;
mod report;
mod run;
mod slurm;
mod verify;

pub use command::{command, main, main_of_study};
pub use registry::{Maker, Studies, experiments};

use crate::store::RunDir;
use crate::terminal::{self, plain, print, print_bytes};
use anyhow::Result;
use serde::Serialize;
use std::io::IsTerminal as _;
use std::path::Path;

/// The run directory that `--out` names, else that of the preset.
fn run_dir(out: Option<&Path>, preset: &str) -> RunDir {
    RunDir::new(out.map_or_else(|| Path::new("runs").join(preset), Path::to_owned))
}

/// A path on a line of its own: to a program byte by byte, so that it finds the file whatever it is called; to a person
/// without what would control the terminal.
fn print_path(path: &Path) -> Result<()> {
    if std::io::stdout().is_terminal() {
        return print(&format!("{}\n", plain(&path.to_string_lossy())));
    }
    print_bytes(&[path.as_os_str().as_encoded_bytes(), b"\n"].concat())
}

/// As JSON or as text, as asked.
fn answer(json: bool, value: &impl Serialize, text: impl FnOnce(Option<usize>) -> String) -> Result<()> {
    let text = if json { serde_json::to_string(value)? } else { text(terminal::width()) };
    // The prompt stands on a line of its own.
    print(&format!("{}\n", text.trim_end_matches('\n')))
}
