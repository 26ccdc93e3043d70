//! What people see on standard error while trials run: bars on a terminal, lines elsewhere. The only
//! file that names indicatif; knows no record.

use crate::backend::Backend;
use crate::error::say;
use crate::runner::{schedule::Job, workers::End};
use crate::study::{Planned, Progress};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};
use std::{io::IsTerminal as _, sync::Arc};

/// What is shown on standard error while trials run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressMode {
    Bars,
    Lines,
    Silent,
}

impl ProgressMode {
    /// Bars on a terminal, plain lines elsewhere.
    pub fn auto() -> Self {
        if std::io::stderr().is_terminal() { Self::Bars } else { Self::Lines }
    }
}

/// A bar of bytes: hidden where `mode` has no bars.
pub(super) fn download_bar(mode: ProgressMode) -> ProgressBar {
    let bar = if mode == ProgressMode::Bars { ProgressBar::new(0) } else { ProgressBar::hidden() };
    set_style(&bar, "{prefix}  {bar:24} {bytes}/{total_bytes}  {eta} left");
    bar
}

/// The bar of something that is read.
pub(super) fn reading_bar(mode: ProgressMode, what: &str) -> ProgressBar {
    let bar = if mode == ProgressMode::Bars { ProgressBar::new(0) } else { ProgressBar::hidden() };
    set_style(&bar, "{prefix}  {bar:24} {percent} %  {eta} left");
    bar.set_prefix(what.to_owned());
    bar
}

fn set_style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸─"));
    }
}

/// A trial that runs now.
struct Running {
    name: String,
    progress: Arc<Progress>,
    begin: Instant,
    bar: Option<ProgressBar>,
    /// Whether what it says of itself has been told.
    has_told: bool,
}

impl Running {
    /// "epoch 1200 of 20000, loss 1.23e-2, 14 s left"; nothing before the first epoch.
    fn state(&self) -> Option<String> {
        if let Some(note) = self.progress.note() {
            return Some(note);
        }
        let (epoch, epochs, loss) = self.progress.get();
        if epoch == 0 || epochs == 0 {
            return None;
        }
        let done_here = epoch.saturating_sub(self.progress.resumed()).max(1);
        let seconds = self.begin.elapsed().as_secs_f64() / done_here as f64 * epochs.saturating_sub(epoch) as f64;
        let left = humantime::format_duration(Duration::from_secs(seconds.min(1e9) as u64));
        Some(format!("epoch {epoch} of {epochs}, loss {loss:.2e}, at most {left} left"))
    }
}

/// Standard error while trials run.
pub(super) struct Display {
    mode: ProgressMode,
    slots: Vec<Option<Running>>,
    multi: Option<MultiProgress>,
    last_heartbeat: Instant,
}

/// A running trial, from its first epoch on.
const BAR: &str = "{prefix}  {bar:24} {pos}/{len}  {msg}  at most {eta} left";

/// As many trials as a terminal has lines for; a GPU runs more.
const MOST_BARS: usize = 64;

const HEARTBEAT: Duration = Duration::from_secs(30);

impl Display {
    pub fn new(mode: ProgressMode, workers: usize) -> Self {
        let multi = (mode == ProgressMode::Bars).then(|| {
            // Drawn even where indicatif would see no terminal: `--progress always`.
            let terminal = Box::new(console::Term::stderr());
            MultiProgress::with_draw_target(ProgressDrawTarget::term_like_with_hz(terminal, 10))
        });
        Self { mode, slots: (0..workers).map(|_| None).collect(), multi, last_heartbeat: Instant::now() }
    }

    pub fn line(&self, text: &str) {
        match (&self.multi, self.mode) {
            (Some(multi), _) => {
                let _ = multi.println(text);
            }
            (None, ProgressMode::Silent) => {}
            (None, _) => say(text),
        }
    }

    /// Something is wrong that does not stop the run: told even where progress is not.
    pub fn warn(&self, text: &str) {
        let text = format!("hw1: warning: {text}");
        if self.mode == ProgressMode::Silent { say(&text) } else { self.line(&text) }
    }

    pub fn reused(&self, job: &Job, here: &Backend, verbose: bool) {
        let folder = job.study.folder();
        if job.reused > 0 {
            let (reused, all) = (job.reused, job.planned.len());
            self.line(&format!("{folder}: {reused} of {all} trials were done before and are reused"));
        }
        for (of, count) in job.of_other_backends(here) {
            let why = here.other_than(of).unwrap_or_default();
            self.line(&format!("{folder}: {count} of them by another backend, which rounds differently: {why}"));
        }
        if verbose {
            for planned in &job.planned {
                let state = if job.finished.contains_key(&planned.fingerprint) { "reused" } else { "due" };
                self.line(&format!("{}: {} {} {state}", job.study.folder(), planned.name(), planned.fingerprint));
            }
        }
    }

    pub fn started(&mut self, slot: usize, folder: &str, planned: &Planned, progress: Arc<Progress>) {
        let name = format!("{folder}: {}", planned.name());
        let bar = self.multi.as_ref().filter(|_| slot < MOST_BARS).map(|multi| {
            let bar = multi.add(ProgressBar::new(0));
            set_style(&bar, "{prefix}  …");
            bar.set_prefix(name.clone());
            bar
        });
        if self.multi.is_none() {
            self.line(&format!("{name}: started"));
        }
        self.slots[slot] = Some(Running { name, progress, begin: Instant::now(), bar, has_told: false });
    }

    pub fn ended(&mut self, slot: usize, seconds: f64, end: &End) {
        let Some(running) = self.slots[slot].take() else { return };
        let name = running.name;
        let text = match end {
            End::Done(_) => format!("{name}: done in {seconds:.1} s"),
            End::Failed(reason) => format!("{name}: failed: {reason}"),
            End::Interrupted => format!("{name}: interrupted"),
            End::CannotWrite(_) => format!("{name}: could not be saved"),
        };
        if let Some(bar) = running.bar {
            bar.finish_and_clear();
        }
        self.line(&text);
    }

    pub fn tick(&mut self) {
        for running in self.slots.iter().flatten() {
            let (epoch, epochs, loss) = running.progress.get();
            if let Some(bar) = running.bar.as_ref().filter(|_| epoch > 0) {
                if bar.length() == Some(0) {
                    set_style(bar, BAR);
                    // Epochs of an earlier call say nothing of this one's pace.
                    bar.set_position(running.progress.resumed());
                    bar.reset_eta();
                }
                bar.set_length(epochs);
                bar.set_position(epoch);
                bar.set_message(running.progress.note().unwrap_or_else(|| format!("loss {loss:.2e}")));
            }
        }
        // What a trial says of itself is told once at once, then as all else.
        let told = if self.mode == ProgressMode::Lines { &mut self.slots[..] } else { &mut [] };
        for running in told.iter_mut().flatten().filter(|running| !running.has_told) {
            if let Some(note) = running.progress.note() {
                running.has_told = true;
                say(&format!("{}: {note}", running.name));
            }
        }
        if self.mode == ProgressMode::Lines && self.last_heartbeat.elapsed() >= HEARTBEAT {
            self.last_heartbeat = Instant::now();
            for running in self.slots.iter().flatten() {
                if let Some(state) = running.state() {
                    say(&format!("{}: {state}", running.name));
                }
            }
        }
    }

    pub fn clear(&self) {
        if let Some(multi) = &self.multi {
            let _ = multi.clear();
        }
    }
}
