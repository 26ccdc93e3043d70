//! `hw1 verify`: a line a study and a line a problem. What is wrong, runner/verify.rs finds.

use crate::cli::registry::{logged_data_dir, study_in};
use crate::cli::run_dir;
use crate::data::Access;
use crate::error::{Exit, Interrupted, one_line, say};
use crate::output::check;
use crate::runner::{Signals, verify};
use crate::study::settings::DEFAULT_PRESET;
use crate::terminal::{counted, print};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use std::path::PathBuf;

/// Check a run directory: records, weights, checkpoints, output
#[derive(Args)]
pub struct Verify {
    /// Run directory [default: runs/<preset>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The preset whose run directory to check [default: report]
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Run up to N finished trials of each study again, from scratch, and compare bytes
    #[arg(long, value_name = "N", default_value_t = 0)]
    recompute: usize,
    /// Folder with the files of a data set with a name [default: HW1_DATA_DIR, else the cache]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub fn run(arguments: &Verify) -> Result<()> {
    let preset = arguments.preset.as_deref().unwrap_or(DEFAULT_PRESET);
    let run_dir = run_dir(arguments.out.as_deref(), preset);
    let signals = Signals::install()?;
    let mut studies = run_dir.studies().context("name a run directory with --out or --preset")?;
    studies.retain(|(_, dir)| dir.has_trials());
    if studies.is_empty() {
        bail!("no study has run in {}; name a run directory with --out or --preset", run_dir.root().display());
    }
    let mut problems = 0;
    for (folder, dir) in studies {
        let mut lines = Vec::new();
        // It downloads nothing.
        let data_dir = arguments.data_dir.clone().or_else(|| logged_data_dir(&dir));
        let access = Access { data_dir, watch: None };
        match study_in(&folder, &dir, &access) {
            Err(error) => lines.push(format!("settings.toml: {}", one_line(&error))),
            Ok((_, _, study)) => {
                let found = verify::check(study.as_ref(), &dir)?;
                let mut summary = format!("{folder}: {}", counted(found.records, "record", "records"));
                if arguments.recompute > 0 {
                    let most = arguments.recompute;
                    let again = match verify::recompute(study.as_ref(), &dir, &found, most, &access, signals.flag()) {
                        Err(error) if error.is::<Interrupted>() => return Err(Exit(signals.exit_code()).into()),
                        again => again?,
                    };
                    summary.push_str(&format!(", {} run again with the same bytes", again.same));
                    if again.same < most && !again.passed_over.is_empty() {
                        summary.push_str(&format!(", {} cannot be compared here", again.passed_over.len()));
                        for line in &again.passed_over {
                            say(&format!("hw1: not run again: {folder}/trials/{line}"));
                        }
                    }
                    lines.extend(again.problems.into_iter().map(|line| format!("trials/{line}")));
                }
                if found.set_aside > 0 {
                    summary.push_str(&format!(", {} set aside earlier", counted(found.set_aside, "file", "files")));
                }
                lines.extend(found.problems.into_iter().map(|line| format!("trials/{line}")));
                lines.extend(check::problems(&dir));
                print(&format!("{summary}: {}\n", if lines.is_empty() { "ok" } else { "not as it should be" }))?;
            }
        }
        for line in &lines {
            print(&format!("{folder}/{line}\n"))?;
        }
        problems += lines.len();
    }
    if problems > 0 {
        let them = counted(problems, "problem", "problems");
        bail!(
            "{them} in {}; the command that made it sets aside records that are damaged, and mends all else",
            run_dir.root().display()
        );
    }
    Ok(())
}
