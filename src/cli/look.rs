//! The commands that look at runs: show, claims, compare. None trains anything, and none writes to a run directory.

use crate::cli::complete::{self, furthest};
use crate::cli::registry::{logged_data_dir, study_in};
use crate::cli::{answer, run_dir};
use crate::data::Access;
use crate::error::Exit;
use crate::output::show::{Listing, Unfinished};
use crate::output::study_folder::{StudyFolder, read_run_dir};
use crate::output::{claims::Claims, compare::Comparison};
use crate::store::RunDir;
use crate::study::settings::DEFAULT_PRESET;
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;

// Which run directory, and how it is shown.
#[derive(Args)]
pub struct Look {
    /// Run directory [default: runs/<preset>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Whose run directory, runs/<NAME> [default: report]
    #[arg(long, value_name = "NAME", conflicts_with = "out")]
    preset: Option<String>,
    /// A line of JSON instead of text
    #[arg(long)]
    pub json: bool,
}

impl Look {
    pub fn run_dir(&self) -> RunDir {
        run_dir(self.out.as_deref(), self.preset.as_deref().unwrap_or(DEFAULT_PRESET))
    }
}

/// Put two run directories side by side: what differs, and by how much
#[derive(Args)]
pub struct Compare {
    /// Run directory to compare with
    #[arg(value_name = "DIR_A")]
    a: PathBuf,
    /// Run directory compared with it: B - A
    #[arg(value_name = "DIR_B")]
    b: PathBuf,
    /// Scalars that agree, too
    #[arg(long)]
    all: bool,
    /// End with 1 where they differ
    #[arg(long)]
    exit_code: bool,
    /// A line of JSON instead of text
    #[arg(long)]
    json: bool,
}

pub fn show(look: &Look) -> Result<()> {
    let run_dir = look.run_dir();
    let folders = read_run_dir(run_dir.root())?;
    let listing = Listing::new(&run_dir, &folders, &|folder| unfinished(&run_dir, folder));
    answer(look.json, &listing, |width| listing.text(width))
}

/// How far the last call of a study is, by the settings that it left.
fn unfinished(run_dir: &RunDir, folder: &StudyFolder) -> Result<Unfinished> {
    let dir = run_dir.study(&folder.name);
    let access = Access { data_dir: logged_data_dir(&dir), ..Access::default() };
    let (entry, layers, study) = study_in(&folder.name, &dir, &access)?;
    let (device_kind, job) = furthest(study.as_ref(), run_dir, layers.preset())?;
    Ok(complete::unfinished((entry.name, layers.preset()), access.data_dir, (device_kind, &job)))
}

pub fn claims(look: &Look) -> Result<()> {
    let run_dir = look.run_dir();
    let folders = read_run_dir(run_dir.root())?;
    let claims = Claims::new(run_dir.root(), &folders);
    answer(look.json, &claims, |width| claims.text(width))
}

pub fn compare(Compare { a, b, all, exit_code, json }: &Compare) -> Result<()> {
    let (in_a, in_b) = (read_run_dir(a)?, read_run_dir(b)?);
    let comparison = Comparison::new((a, &in_a), (b, &in_b));
    answer(*json, &comparison, |width| comparison.text(*all, width))?;
    if *exit_code && !comparison.is_same() { Err(Exit(1).into()) } else { Ok(()) }
}
