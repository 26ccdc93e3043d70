//! `hw1 export tensorboard`: a run directory as TensorBoard opens it. Each finished trial is a run of its own, with its
//! scalars, its series by step, and its settings for the tab HPARAMS; each figure is an image of its study's run.
//!
//! An export adds, and changes nothing: the event file of a finished trial has its fingerprint in its name and stands as
//! long as it is whole, and a figure that was drawn anew is a further step in a further file. Whatever is not hw1's own
//! stays. The same run directory gives the same bytes: times are those of its logs.

mod event;
mod event_file;
mod message;
mod place;
mod trials;

use crate::error::Interrupted;
use crate::files::sha256;
use crate::output::figures::{is_file_name, is_whole_png};
use crate::output::study_folder::StudyFolder;
use crate::output::typed::typed;
use crate::runner::Signals;
use crate::store::RunDir;
use crate::terminal::{counted, paragraph, plain};
use anyhow::{Context as _, Result, bail, ensure};
use event::{At, Events};
use place::{Place, folder_name};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use trials::{Finished, Measured, end_of_call};

/// What an export found and wrote.
#[derive(Serialize)]
pub struct Export {
    run_dir: String,
    /// Where it is: TensorBoard's `--logdir`.
    to: String,
    studies: Vec<Exported>,
    /// The same folder, whatever is in its name.
    #[serde(skip)]
    logdir: PathBuf,
}

/// A study in an export.
#[derive(Serialize)]
struct Exported {
    study: String,
    /// Trials there are, and those that this export wrote; figures likewise.
    trials: usize,
    new_trials: usize,
    figures: usize,
    new_figures: usize,
    /// What there is to be said of it: that it is unfinished, say.
    notes: Vec<String>,
}

/// Writes what a folder has not yet of a run directory.
///
/// # Errors
/// Where something cannot be read or written, or the folder is one of the run directory's own; [`Interrupted`] on a
/// signal. What was written until then is whole.
pub fn export(run_dir: &RunDir, folders: &[StudyFolder], to: &Path, signals: &Signals) -> Result<Export> {
    // Among its own files a run directory has no others.
    let (target, shown) = (resolved(to), to.display());
    ensure!(
        target != resolved(run_dir.root()),
        "{shown} is the run directory itself: name a folder of its own with --to"
    );
    let in_study = folders.iter().any(|study| target.starts_with(resolved(&study.path)));
    ensure!(!in_study, "{shown} is in the folder of a study: name a folder of its own with --to");
    ensure!(!to.exists() || to.is_dir(), "{shown} is no folder: name another with --to");
    let in_use = run_dir.is_in_use();
    let studies = folders.iter().map(|study| {
        let what = || format!("study {}", plain(&study.name));
        let name = study.path.file_name().unwrap_or_default().as_encoded_bytes();
        let folder = to.join(folder_name(&study.name, &sha256(name)));
        export_study(study, folder, in_use, signals).with_context(what)
    });
    Ok(Export {
        run_dir: run_dir.root().display().to_string(),
        to: to.display().to_string(),
        studies: studies.collect::<Result<_>>()?,
        logdir: to.to_owned(),
    })
}

/// A path without links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let known = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
    let joined = known.and_then(|(above, real)| Some(real.join(path.strip_prefix(above).ok()?)));
    joined.unwrap_or(path)
}

fn export_study(study: &StudyFolder, root: PathBuf, in_use: bool, signals: &Signals) -> Result<Exported> {
    let mut place = Place::read(root)?;
    let Finished { trials, mut notes } = Finished::of(study, in_use)?;
    let (count, mut new_trials) = (trials.len(), 0);
    for trial in trials {
        ensure!(!signals.stopped(), Interrupted);
        if place.has_trial(&trial.key) {
            continue;
        }
        let seed = trial.seed.map_or(String::new(), |seed| format!("-seed{seed}"));
        let (name, key, times) = (format!("{}{seed}", trial.label), trial.key.clone(), trial.times);
        let (measured, settings) = trial.read(study)?;
        let mut events = Events::new(times[0]);
        events.push_settings(&settings, times);
        push_measured(&mut events, &measured, times[1]);
        place.write_trial(&name, &key, &events.into_bytes())?;
        new_trials += 1;
    }
    ensure!(!signals.stopped(), Interrupted);
    let (figures, new_figures) = export_figures(study, &place, &mut notes)?;
    Ok(Exported { study: study.name.clone(), trials: count, new_trials, figures, new_figures, notes })
}

/// Every number under its name in metrics.csv, and at its step there; scalars, which have none, at step 0. All are of the
/// time when the trial ended: when each was measured is written nowhere.
fn push_measured(events: &mut Events, Measured { parameters, scalars, series }: &Measured, wall_time: f64) {
    let parameters = parameters.iter().map(|count| ("parameters", *count as f64));
    let scalars = scalars.iter().map(|(name, value)| (name.as_str(), *value));
    // One name, one chart: a series that is called as a scalar is keeps it.
    let scalars = parameters.chain(scalars).map(|(name, value)| match series.contains_key(name) {
        true => (format!("scalar/{name}"), value),
        false => (name.to_owned(), value),
    });
    let scalars: Vec<(String, f64)> = scalars.collect();
    events.push_numbers(At { wall_time, step: 0 }, scalars.iter().map(|(name, value)| (name.as_str(), *value)));
    // Step by step, as a training writes them.
    let longest = series.values().map(Vec::len).max().unwrap_or_default();
    for step in 0..longest {
        let numbers = series.iter().filter_map(|(name, values)| Some((name.as_str(), *values.get(step)?)));
        events.push_numbers(At { wall_time, step: step as u64 }, numbers);
    }
}

/// Writes the figures that are new or were drawn anew; how many there are, and how many were written.
fn export_figures(study: &StudyFolder, place: &Place, notes: &mut Vec<String>) -> Result<(usize, usize)> {
    let wall_time = end_of_call(study.metrics().map(|metrics| &metrics.provenance));
    let (mut events, mut count, mut new) = (Events::new(wall_time), 0, 0);
    for name in figures(study)? {
        let path = study.path.join(format!("figures/{name}.png"));
        // Opening a pipe would wait for ever.
        let png = if is_file_name(&name) && path.is_file() { fs::read(&path).ok() } else { None };
        let Some(png) = png.filter(|png| is_whole_png(png)) else {
            notes.push(format!("left out: figure {name} is no PNG; the study's command, again, draws it"));
            continue;
        };
        count += 1;
        let Some(step) = place.step_of(&name, &png) else { continue };
        match events.push_image(At { wall_time, step }, &name, &png) {
            Some(()) => new += 1,
            None => bail!("{} is no PNG; the study's command, again, draws it", path.display()),
        }
    }
    if new > 0 {
        place.write_figures(&events.into_bytes())?;
    }
    Ok((count, new))
}

/// Names of the figures; an older metrics.json has none, and all that are there are taken.
fn figures(study: &StudyFolder) -> Result<Vec<String>> {
    let Some(metrics) = study.metrics() else { return Ok(Vec::new()) };
    if let Some(figures) = &metrics.figures {
        return Ok(figures.iter().map(|figure| figure.name.clone()).collect());
    }
    let folder = study.path.join("figures");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter_map(|name| Some(name.strip_suffix(".png")?.to_owned())).collect();
    names.sort();
    Ok(names)
}

impl Export {
    /// A line of what there is, a line of what is new, and a line for each thing to be said of a study.
    pub fn text(&self, width: Option<usize>) -> String {
        let sum = |of: fn(&Exported) -> usize| self.studies.iter().map(of).sum();
        let told = |trials: usize, figures: usize| {
            format!("{} and {}", counted(trials, "trial", "trials"), counted(figures, "figure", "figures"))
        };
        let studies = counted(self.studies.len(), "study", "studies");
        let all = told(sum(|study| study.trials), sum(|study| study.figures));
        let new = match (sum(|study| study.new_trials), sum(|study| study.new_figures)) {
            (0, 0) => "nothing is new, and nothing was written".to_owned(),
            (trials, figures) => format!("new: {}", told(trials, figures)),
        };
        let mut text = format!("{}: {all} of {studies}; {new}\n", plain(&self.to));
        for study in &self.studies {
            for note in &study.notes {
                text.push_str(&paragraph(&format!("{}: {}", plain(&study.study), plain(note)), 0, width));
            }
        }
        // Not wrapped: a command is to be copied.
        text + &format!("Open it: tensorboard --logdir {}\n", typed(self.logdir.as_os_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use message::{Value, bytes_of, fields};

    /// Step, tag and number of each value of an event file, by the fields of event.proto and summary.proto.
    fn numbers(file: &[u8]) -> Vec<(u64, String, f32)> {
        let number = |message: &[u8], field| match fields(message).find(|(own, _)| *own == field) {
            Some((_, Value::Number(number))) => number,
            _ => panic!("no number in field {field}"),
        };
        let mut numbers = Vec::new();
        for record in &event_file::records(file).0[1..] {
            for value in bytes_of(record, 5).flat_map(|summary| bytes_of(summary, 1)) {
                let tag = String::from_utf8(bytes_of(value, 1).next().unwrap().to_vec()).unwrap();
                numbers.push((number(record, 2), tag, f32::from_bits(u32::try_from(number(value, 2)).unwrap())));
            }
        }
        numbers
    }

    #[test]
    fn every_number_stands_at_its_step() {
        let measured: Measured = serde_json::from_value(serde_json::json!({
            "parameters": 16_777_217, "scalars": {"epochs_run": 3, "loss": 0.5, "none": null, "huge": 1e300},
            "series": {"loss": [1, null, 0.1], "rate": [-0.25], "empty": []},
        }))
        .unwrap();
        let mut events = Events::new(0.0);
        push_measured(&mut events, &measured, 7.0);
        let told = numbers(&events.into_bytes());
        // As Debug tells them: NaN is not itself.
        let expected = [
            (0, "parameters", 16_777_216.0),
            (0, "epochs_run", 3.0),
            (0, "huge", f32::INFINITY),
            (0, "scalar/loss", 0.5),
            (0, "none", f32::NAN),
            (0, "loss", 1.0),
            (0, "rate", -0.25),
            (1, "loss", f32::NAN),
            (2, "loss", 0.1),
        ];
        assert_eq!(format!("{told:?}"), format!("{expected:?}"));
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_known_by_what_is_above_it() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        assert_eq!(resolved(&folder.path().join("a/b")), real.join("a/b"));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&real, real.join("link")).unwrap();
            assert_eq!(resolved(&real.join("link/a")), real.join("a"));
        }
    }
}
