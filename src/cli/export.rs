//! `hw1 export`: a run directory in the form of another program. It writes beside the studies, never into them.

use crate::cli::{answer, look::Look};
use crate::error::{Exit, Interrupted};
use crate::output::study_folder::read_run_dir;
use crate::output::tensorboard::export;
use crate::runner::Signals;
use anyhow::Result;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Write a run directory as another program reads it
#[derive(Args)]
pub struct Export {
    #[command(subcommand)]
    program: Program,
}

#[derive(Subcommand)]
enum Program {
    Tensorboard(Tensorboard),
}

/// For TensorBoard: scalars of every trial by step, figures as images, settings as hparams; again it adds what is new
#[derive(Args)]
struct Tensorboard {
    #[command(flatten)]
    look: Look,
    /// Folder to write to [default: tensorboard in the run directory]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

pub fn run(Export { program: Program::Tensorboard(Tensorboard { look, to }) }: &Export) -> Result<()> {
    let run_dir = look.run_dir();
    let folders = read_run_dir(run_dir.root())?;
    let to = to.clone().unwrap_or_else(|| run_dir.root().join("tensorboard"));
    let signals = Signals::install()?;
    match export(&run_dir, &folders, &to, &signals) {
        Err(error) if error.is::<Interrupted>() => Err(Exit(signals.exit_code()).into()),
        exported => {
            let exported = exported?;
            answer(look.json, &exported, |width| exported.text(width))
        }
    }
}
