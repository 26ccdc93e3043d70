//! Data sets that trials are due on: loaded once, fetched where they are missing, and how the download is shown. Knows
//! no file format and no mirror.

use crate::data::{Data, Dataset, Download, fetch};
use crate::error::say;
use crate::runner::display::{ProgressMode, download_bar};
use crate::runner::{Options, signals::Signals};
use anyhow::Result;
use std::sync::Arc;

/// A data set with its samples, on the device that trials run on.
pub(super) fn load(set: Arc<dyn Dataset>, signals: &Signals, options: &Options) -> Result<Data> {
    let mut fetch = |download: Download| with_download_bar(options.progress, |bar| download(signals.flag(), bar));
    Ok(Data::load(set, options.data_dir.as_deref(), &mut fetch)?.on(options.device))
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
        fetch::Event::Finished { file } => line(format!("{file}: done")),
    });
    bar.finish_and_clear();
    result
}
