//! `hw1 data`: fetch, check or find MNIST.

use crate::data::fetch::{self, fetch};
use crate::data::mnist;
use crate::error::{Exit, Interrupted, say};
use crate::runner::{ProgressMode, Signals, with_download_bar};
use crate::terminal::print;
use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Fetch, check or find MNIST
#[derive(Args)]
pub struct Data {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Subcommand)]
enum DataCommand {
    /// Download what is missing
    Fetch {
        #[command(flatten)]
        folder: Folder,
        /// Where to fetch from instead of the usual places; may be repeated
        #[arg(long = "mirror", value_name = "URL")]
        mirrors: Vec<String>,
    },
    /// Check all four files
    Verify(Folder),
    /// Print the folder in use
    Path(Folder),
}

#[derive(Args)]
struct Folder {
    /// MNIST's folder [default: HW1_DATA_DIR, else the cache]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Folder {
    /// Where MNIST is, or how to get it.
    fn found(&self) -> Result<PathBuf> {
        mnist::find(self.data_dir.as_deref())?
            .context("MNIST is not on this machine: fetch it with `hw1 data fetch`, or name its folder with --data-dir")
    }
}

pub fn run(Data { command }: Data) -> Result<()> {
    match command {
        DataCommand::Fetch { folder, mirrors } => {
            let mirrors = if mirrors.is_empty() { fetch::mirrors() } else { mirrors };
            let folder = mnist::fetch_folder(folder.data_dir.as_deref())?;
            let signals = Signals::install()?;
            let fetched = with_download_bar(ProgressMode::auto(), |bar| {
                fetch(&mnist::FILES, &folder, &mirrors, signals.flag(), bar)
            });
            match fetched {
                Err(error) if error.is::<Interrupted>() => {
                    say("hw1: interrupted; what was fetched is kept, the same command goes on from there");
                    Err(Exit(signals.exit_code()).into())
                }
                fetched => fetched.and_then(|()| print(&format!("{}\n", folder.display()))),
            }
        }
        DataCommand::Verify(folder) => {
            let folder = folder.found()?;
            let checks = mnist::verify(&folder);
            for check in &checks {
                let path = check.path.as_ref().map_or(check.name.to_owned(), |path| path.display().to_string());
                print(&format!("{path}: {}\n", check.problem.as_deref().unwrap_or("ok")))?;
            }
            let bad = checks.iter().filter(|check| check.problem.is_some()).count();
            if bad > 0 {
                bail!("{bad} of {} files in {} are not MNIST's", checks.len(), folder.display());
            }
            Ok(())
        }
        DataCommand::Path(folder) => print(&format!("{}\n", folder.found()?.display())),
    }
}
