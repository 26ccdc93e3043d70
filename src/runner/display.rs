//! What people see on standard error while trials run: a line for the run and one for each trial, which move on a terminal
//! and are told now and then elsewhere. The only file that names indicatif; knows no record.

use crate::backend::Backend;
use crate::error::say;
use crate::runner::whole::Costing;
use crate::runner::{schedule::Job, workers::End};
use crate::store::progress::{Now, Whole, duration};
use crate::study::{Planned, Progress};
use crate::terminal::{legible, moves_cursor, shows_unicode};
use console::{Term, measure_text_width, truncate_str};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is shown on standard error while trials run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressMode {
    Bars,
    Lines,
    Silent,
}

impl ProgressMode {
    /// Bars on a terminal that can move its cursor, plain lines elsewhere.
    pub fn auto() -> Self {
        if moves_cursor() { Self::Bars } else { Self::Lines }
    }
}

/// Of bars, as the locale has them.
fn bar_glyphs() -> [char; 3] {
    if shows_unicode() { ['━', '╸', '─'] } else { ['=', '>', '-'] }
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
        bar.set_style(style.progress_chars(&bar_glyphs().iter().collect::<String>()));
    }
}

/// A trial that runs now.
struct Running {
    name: String,
    job: usize,
    cost: f64,
    progress: Arc<Progress>,
    begin: Instant,
    bar: Option<ProgressBar>,
    /// Whether what it says of itself has been told.
    has_told: bool,
}

impl Running {
    fn now(&self) -> Now {
        let seconds = self.begin.elapsed().as_secs_f64();
        // What an earlier call did says nothing of this one's pace: as if it had taken as long.
        let share = self.progress.share();
        let (_, epochs, _) = self.progress.get();
        let before = share.map_or(0.0, |_| self.progress.resumed() as f64 / epochs.max(1) as f64);
        let here = share.map(|share| ((share - before) / (1.0 - before).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0));
        Now { name: self.name.clone(), seconds, share: here, state: self.state() }
    }

    /// "epoch 1200 of 20000, loss 1.23e-2", or what it says of itself; nothing before anything is known.
    fn state(&self) -> Option<String> {
        if let Some(note) = self.progress.note() {
            return Some(note);
        }
        let (epoch, epochs, loss) = self.progress.get();
        match (epoch, epochs) {
            (_, 0) => None,
            (0, _) => Some(format!("epoch 1 of {epochs}")),
            _ => Some(format!("epoch {epoch} of {epochs}, loss {loss:.2e}")),
        }
    }
}

/// "at most 14s left" of a trial; nothing where it is not known, or its state says it.
fn left(now: &Now) -> Option<String> {
    let share = now.share.filter(|share| *share > 0.0)?;
    let says_it = now.state.as_ref().is_some_and(|state| state.contains(" left"));
    (!says_it).then(|| format!("at most {} left", duration(now.seconds * (1.0 - share) / share)))
}

/// Standard error while trials run.
pub(super) struct Display {
    mode: ProgressMode,
    slots: Vec<Option<Running>>,
    multi: Option<MultiProgress>,
    /// The run's own line, below those of its trials.
    whole: Option<ProgressBar>,
    last_heartbeat: Instant,
}

/// As many trials as a terminal has lines for; a GPU runs more.
const MOST_BARS: usize = 64;

const HEARTBEAT: Duration = Duration::from_secs(30);

/// Lines that are longer would be broken where a window is made narrower, and could not be taken back.
const WIDEST: usize = 99;

impl Display {
    pub fn new(mode: ProgressMode, workers: usize) -> Self {
        let multi = (mode == ProgressMode::Bars).then(|| {
            // Drawn even where indicatif would see no terminal: `--progress always`.
            let terminal = Box::new(Term::stderr());
            MultiProgress::with_draw_target(ProgressDrawTarget::term_like_with_hz(terminal, 10))
        });
        let slots = (0..workers).map(|_| None).collect();
        Self { mode, slots, multi, whole: None, last_heartbeat: Instant::now() }
    }

    pub fn line(&self, text: &str) {
        match (&self.multi, self.mode) {
            (Some(multi), _) => {
                let _ = multi.println(legible(text, true));
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

    pub fn started(&mut self, slot: usize, (job, folder): (usize, &str), planned: &Planned, progress: Arc<Progress>) {
        let name = format!("{folder}: {}", planned.name());
        let bar = self.multi.as_ref().map(|multi| {
            // The run's is the last of them.
            let whole = self.whole.get_or_insert_with(|| plain_bar(multi.add(ProgressBar::new(0))));
            (slot < MOST_BARS).then(|| plain_bar(multi.insert_before(whole, ProgressBar::new(0))))
        });
        if self.multi.is_none() {
            self.line(&format!("{name}: started"));
        }
        let (cost, begin, bar) = (planned.cost, Instant::now(), bar.flatten());
        self.slots[slot] = Some(Running { name, job, cost, progress, begin, bar, has_told: false });
    }

    /// Tells of a trial's end; whether it began from a checkpoint, and what share of its epochs it had.
    pub fn ended(&mut self, slot: usize, seconds: f64, end: &End) -> (bool, f64) {
        let Some(running) = self.slots[slot].take() else { return (false, 1.0) };
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
        (running.progress.resumed() > 0, running.progress.share().filter(|share| *share > 0.0).unwrap_or(1.0))
    }

    /// The trials that run.
    pub fn running(&self) -> Vec<Costing> {
        let of = |running: &Running| Costing { job: running.job, cost: running.cost, now: running.now() };
        self.slots.iter().flatten().map(of).collect()
    }

    /// Shows where all is.
    pub fn tick(&mut self, whole: &Whole) {
        let width = Term::stderr().size_checked().map_or(WIDEST, |(_, columns)| usize::from(columns).saturating_sub(1));
        let width = width.min(WIDEST);
        for running in self.slots.iter().flatten() {
            if let Some(bar) = &running.bar {
                bar.set_message(trial_line(&running.now(), width));
            }
        }
        if let Some(bar) = &self.whole {
            bar.set_message(fitting(&whole.line(), width));
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
            for now in self.slots.iter().flatten().map(Running::now) {
                if let Some(state) = &now.state {
                    let left = left(&now).map_or(String::new(), |left| format!(", {left}"));
                    say(&format!("{}: {state}{left}", now.name));
                }
            }
            say(&format!("hw1: {}", whole.line()));
        }
    }

    pub fn clear(&self) {
        if let Some(multi) = &self.multi {
            let _ = multi.clear();
        }
    }
}

/// A line that is written by us.
fn plain_bar(bar: ProgressBar) -> ProgressBar {
    set_style(&bar, "{msg}");
    bar
}

/// Text that stands in one line of so many columns.
fn fitting(text: &str, width: usize) -> String {
    let text = legible(text, true);
    let dots = if shows_unicode() { "…" } else { "..." };
    truncate_str(&text, width, dots).into_owned()
}

/// Columns of a trial's bar, where there is room.
const BAR: usize = 24;

/// Name, bar, state and time left in so many columns: what there is no room for gives way, the bar first.
fn trial_line(now: &Now, width: usize) -> String {
    let Some(share) = now.share else {
        let state = now.state.as_deref().unwrap_or("");
        return fitting(format!("{}  {state}", now.name).trim_end(), width);
    };
    let (name, left) = (&now.name, left(now).unwrap_or_default());
    let state = now.state.clone().unwrap_or_default();
    let all = [state.as_str(), &left].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ");
    for (columns, said) in [(BAR, &all), (BAR / 3, &all), (BAR, &left), (BAR / 3, &left)] {
        let line = format!("{name}  {}  {said}", bar(share, columns));
        if measure_text_width(&line) <= width {
            return legible(line.trim_end(), true).into_owned();
        }
    }
    // How far it is comes before what it is called in full.
    let percent = format!("{:.0} %", 100.0 * share);
    let rests = [format!("  {percent}  {left}"), format!("  {percent}  {}", left.trim_start_matches("at most "))];
    for rest in rests {
        let room = width.saturating_sub(measure_text_width(&rest));
        if room >= width / 3 {
            return fitting(name, room) + rest.trim_end();
        }
    }
    fitting(&format!("{}  {percent}", fitting(name, width.saturating_sub(percent.len() + 2))), width)
}

fn bar(share: f64, columns: usize) -> String {
    let [full, head, empty] = bar_glyphs();
    let done = (share * columns as f64) as usize;
    (0..columns)
        .map(|at| {
            if at < done {
                full
            } else if at == done {
                head
            } else {
                empty
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trials_line_fits_and_keeps_what_matters_most() {
        let now = Now {
            name: "simulate-sign-sin: NonLinear_DNN_1, seed 0".into(),
            seconds: 30.0,
            share: Some(0.25),
            state: Some("epoch 5000 of 20000, loss 1.23e-2".into()),
        };
        for width in 10..160 {
            let line = trial_line(&now, width);
            assert!(measure_text_width(&line) <= width, "{width}: {line}");
            assert!(width < 30 || line.contains("1m 30s left"), "{width}: {line}");
            assert!(width < 30 || line.contains("25 %") != line.contains(bar_glyphs()[0]), "{width}: {line}");
        }
        let early = Now { share: None, state: None, ..now.clone() };
        assert_eq!(trial_line(&early, 79), early.name);
        let note = Now { state: Some("product 5 of 9, 3 s left".into()), ..now };
        assert!(!trial_line(&note, 159).contains("at most"));
    }

    #[test]
    fn bars_are_as_long_as_they_are_to_be() {
        for (share, full) in [(0.0, 0), (0.49, 11), (0.5, 12), (1.0, 24)] {
            let drawn = bar(share, BAR);
            assert_eq!((drawn.chars().count(), drawn.chars().filter(|c| *c == bar_glyphs()[0]).count()), (BAR, full));
        }
    }
}
