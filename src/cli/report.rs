//! `hw1 report`: all studies of a run directory on one page, which `hw1 all` writes at its end, too.

use crate::cli::complete::complete;
use crate::cli::{print_path, registry::REGISTRY, run_dir};
use crate::error::{Exit, Unwritable, say, usage};
use crate::files::write_atomically;
use crate::output::page::{self, Format, Reference, Rendered};
use crate::runner::Signals;
use crate::store::RunDir;
use crate::study::settings::{DEFAULT_PRESET, Layers};
use crate::terminal::print;
use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Args;
use std::path::{Path, PathBuf};

/// Put all studies of a run directory on one page
#[derive(Args)]
pub struct Report {
    /// Run directory [default: runs/<preset>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Preset whose run directory it is, where --out names none
    #[arg(long, value_name = "NAME", default_value = DEFAULT_PRESET)]
    preset: String,
    /// Run directory whose verdicts, settings and figures stand beside, as PNG in against/, too [default: of preset canonical,
    /// its neighbour report]
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// html: report.html, one file that needs no other; markdown: report.md, beside its figures
    #[arg(long, value_name = "FORMAT", value_parser = ["html", "markdown"], default_value = "html")]
    format: String,
    /// Write the page alone there instead, such as of a run directory that cannot be written; - is standard output. Of html
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

pub fn run(Report { out, preset, against, format, to }: Report) -> Result<()> {
    let format = if format == "markdown" { Format::Markdown } else { Format::Html };
    let (run_dir, against) = (run_dir(out.as_deref(), &preset), against.map(RunDir::new));
    let signals = Signals::install()?;
    complete(&run_dir, &signals);
    if signals.stopped() {
        say(&format!("hw1: interrupted{}; the same command writes the rest", signals.by()));
        return Err(Exit(signals.exit_code()).into());
    }
    let Some(to) = to else {
        let path = write_page(&run_dir, against.as_ref(), format).map_err(|error| match error.is::<Unwritable>() {
            true => anyhow!("{error}; --to FILE puts the page elsewhere, --to - on standard output"),
            false => error,
        })?;
        return print_path(&path);
    };
    if format == Format::Markdown {
        return Err(usage("--to is for html, one file that needs no other: report.md has its figures beside it"));
    }
    let page = page_of(&run_dir, against.as_ref(), format)?.text;
    if to == Path::new("-") {
        return print(&page);
    }
    ensure!(to.is_file() || to.symlink_metadata().is_err(), "--to {} is no file; - is standard output", to.display());
    let path = std::path::absolute(&to).context("--to: the working directory is gone; change to another")?;
    write_atomically(&path, page.as_bytes())
        .map_err(|error| anyhow!("cannot write {}: {}; name another file with --to", to.display(), error.kind()))?;
    print_path(&to)
}

/// Writes the page of a run directory into it; returns its path.
pub fn write_page(run_dir: &RunDir, against: Option<&RunDir>, format: Format) -> Result<PathBuf> {
    let name = if format == Format::Markdown { "report.md" } else { "report.html" };
    page_of(run_dir, against, format)?.write(run_dir, name)
}

fn page_of(run_dir: &RunDir, against: Option<&RunDir>, format: Format) -> Result<Rendered> {
    let mut references = Vec::new();
    for entry in REGISTRY.iter().filter(|entry| entry.in_all) {
        for study in (entry.studies)(&Layers::default())? {
            let (experiment, (_, settings)) = (study.experiment().to_owned(), study.settings()?);
            references.push(Reference { experiment, folder: study.folder(), settings });
        }
    }
    page::render(run_dir, against, &references, format)
}
