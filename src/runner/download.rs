//! How the download and the reading of a data set are shown, and how a signal ends them. Knows no file format and no
//! mirror.

use crate::data::{Download, Read, Watch, fetch};
use crate::error::{Interrupted, say};
use crate::runner::display::{ProgressMode, download_bar, reading_bar};
use crate::runner::signals::Signals;
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// Shows what takes long with data.
pub struct Watcher {
    mode: ProgressMode,
    signals: Signals,
    may_download: bool,
}

impl Watcher {
    pub fn new(mode: ProgressMode, signals: &Signals) -> Self {
        Self { mode, signals: signals.clone(), may_download: true }
    }

    /// Who downloads nothing, for a look at what there is to do.
    pub fn of_dry_run(self, is_dry: bool) -> Self {
        Self { may_download: !is_dry, ..self }
    }
}

/// What is read sooner than this is not told of, off a terminal.
const SOON: Duration = Duration::from_secs(2);

impl Watch for Watcher {
    fn download(&self, download: Download) -> Result<()> {
        ensure!(self.may_download, "--dry-run fetches nothing");
        with_download_bar(self.mode, |bar| download(self.signals.flag(), bar))
    }

    fn read(&self, what: &str, read: Read) -> Result<()> {
        let (bar, begin) = (reading_bar(self.mode, what), Instant::now());
        let mut told = self.mode != ProgressMode::Lines;
        let result = read(&mut |done, all| {
            bar.set_length(all);
            bar.set_position(done);
            if !told && begin.elapsed() > SOON {
                told = true;
                say(&format!("hw1: {what}"));
            }
            ensure!(!self.signals.stopped(), Interrupted);
            Ok(())
        });
        bar.finish_and_clear();
        result
    }
}

/// Runs a download with a progress bar, or lines off a terminal.
///
/// # Errors
/// Those of the download.
pub fn with_download_bar(
    mode: ProgressMode,
    download: impl FnOnce(&mut dyn FnMut(fetch::Event)) -> Result<()>,
) -> Result<()> {
    let bar = download_bar(mode);
    let line = |text: String| match mode {
        ProgressMode::Bars => bar.suspend(|| say(&text)),
        ProgressMode::Lines => say(&text),
        ProgressMode::Silent => {}
    };
    let result = download(&mut |event| match event {
        fetch::Event::Waiting => line("another hw1 fetches into this folder; waiting for it".into()),
        fetch::Event::Present { file } => line(format!("{file}: already here")),
        fetch::Event::Started { file, url } => {
            bar.reset();
            bar.set_prefix(file.to_owned());
            line(format!("{file}: from {url}"));
        }
        fetch::Event::Received { bytes, total, .. } => {
            bar.set_length(total.unwrap_or(0));
            bar.set_position(bytes);
        }
        fetch::Event::Failed { file, reason } => line(format!("{file}: {reason}")),
        fetch::Event::Finished { file, pinned: false } => line(format!("{file}: done")),
        fetch::Event::Finished { file, pinned: true } => {
            line(format!("{file}: done; no digest of its files is published: what was fetched is remembered"));
        }
    });
    bar.finish_and_clear();
    result
}
