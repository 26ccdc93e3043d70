//! `hw1 report`: all studies of a run directory on one page, which `hw1 all` writes at its end, too.

use crate::cli::{print_path, registry::REGISTRY, run_dir};
use crate::output::page::{self, Format, Reference};
use crate::store::RunDir;
use crate::study::settings::{DEFAULT_PRESET, Layers};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;

/// Put all studies of a run directory on one page
#[derive(Args)]
pub struct Report {
    /// Run directory [default: runs/<preset>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Preset whose run directory it is, where --out names none
    #[arg(long, value_name = "NAME", default_value = DEFAULT_PRESET)]
    preset: String,
    /// Run directory whose verdicts stand beside [default: of preset canonical, its neighbour report]
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// html: report.html, one file that needs no other; markdown: report.md, beside its figures
    #[arg(long, value_name = "FORMAT", value_parser = ["html", "markdown"], default_value = "html")]
    format: String,
}

pub fn run(Report { out, preset, against, format }: Report) -> Result<()> {
    let format = if format == "markdown" { Format::Markdown } else { Format::Html };
    let path = write_page(&run_dir(out.as_deref(), &preset), against.map(RunDir::new).as_ref(), format)?;
    print_path(&path)
}

/// Writes the page of a run directory; returns its path.
pub fn write_page(run_dir: &RunDir, against: Option<&RunDir>, format: Format) -> Result<PathBuf> {
    let mut references = Vec::new();
    for entry in REGISTRY.iter().filter(|entry| entry.in_all) {
        for study in (entry.studies)(&Layers::default())? {
            let (experiment, (_, settings)) = (study.experiment().to_owned(), study.settings()?);
            references.push(Reference { experiment, folder: study.folder(), settings });
        }
    }
    page::write(run_dir, against, &references, format)
}
