//! From arguments to a run: clap, the registry of experiments, and a file a group of subcommands. Here is what they
//! share: where a run directory is, and how an answer is given.

mod all;
mod analyse;
mod bench;
mod command;
mod data;
mod doctor;
mod look;
mod memory;
mod registry;
mod report;
mod run;
mod verify;

pub use command::{command, main, main_of_study};
pub use registry::{Maker, Studies, experiments};

use crate::store::RunDir;
use crate::terminal::{self, print};
use anyhow::Result;
use serde::Serialize;
use std::path::Path;

/// The run directory that `--out` names, else that of the preset.
fn run_dir(out: Option<&Path>, preset: &str) -> RunDir {
    RunDir::new(out.map_or_else(|| Path::new("runs").join(preset), Path::to_owned))
}

/// As JSON or as text, as asked.
fn answer(json: bool, value: &impl Serialize, text: impl FnOnce(Option<usize>) -> String) -> Result<()> {
    let text = if json { serde_json::to_string(value)? } else { text(terminal::width()) };
    // The prompt stands on a line of its own.
    print(&format!("{}\n", text.trim_end_matches('\n')))
}
