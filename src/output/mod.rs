//! What a study leaves for people and programs: settings.toml, metrics.json, metrics.csv, the
//! figures, and the table on standard output. Reads records only, so it never retrains.

pub mod inspect;
pub mod metrics;
pub mod page;

use crate::analysis::statistics::FEWEST;
use crate::backend::Backend;
use crate::backend::device::DeviceChoice;
use crate::data::batches::{DataSpec, DatasetName};
use crate::files::sha256;
use crate::output::metrics::SCHEMA;
use crate::plot::{Figure, rasterize};
use crate::runner::{self, Job};
use crate::store::run_dir::StudyDir;
use crate::study::Findings;
use crate::study::claim::Claim;
use crate::study::seeds;
use crate::terminal;
use anyhow::{Context as _, Result, anyhow, ensure};
use serde::Serialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime};

/// Where numbers come from: what ran, when and on what.
#[derive(Clone, Serialize)]
pub struct Provenance {
    version: &'static str,
    commit: &'static str,
    device: DeviceChoice,
    #[serde(flatten)]
    backend: Backend,
    jobs: usize,
    preset: String,
    command: Vec<String>,
    start: String,
    #[serde(skip)]
    begin: Instant,
}

impl Provenance {
    /// Of this process, starting now, on a device that it has opened.
    #[must_use]
    pub fn now(device: DeviceChoice, jobs: usize, preset: &str) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: env!("HW1_COMMIT"),
            device,
            backend: Backend::of(device),
            jobs,
            preset: preset.to_owned(),
            command: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
            start: timestamp(),
            begin: Instant::now(),
        }
    }

    /// Of a study that is done now; `data` is null where points are computed.
    ///
    /// # Errors
    /// None that is known of.
    pub fn complete(&self, data: Option<&DataSpec>) -> Result<Value> {
        let mut value = serde_json::to_value(self)?;
        value["data"] = json!(data.map(origin));
        value["end"] = timestamp().into();
        value["seconds"] = self.begin.elapsed().as_secs_f64().into();
        Ok(value)
    }
}

/// Where images come from.
fn origin(spec: &DataSpec) -> Value {
    json!({"name": spec.title(), "identity": spec.identity(), "synthetic": spec.dataset == DatasetName::Synthetic})
}

/// What computed reused trials, with their number; always a map, whatever stands in a record.
fn of_other_backend((backend, trials): &(Value, usize)) -> Value {
    let mut other = backend.as_object().cloned().unwrap_or_default();
    other.insert("trials".into(), (*trials).into());
    other.into()
}

fn timestamp() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// Writes all that `job`'s records show; returns the report and the contents of metrics.json.
///
/// # Errors
/// Where a file cannot be written, or a record lacks what the report needs.
pub fn write(job: &Job, provenance: &Provenance) -> Result<(Findings, Value)> {
    ensure!(!job.finished.is_empty(), "no trial was finished: there is nothing to report");
    let mut report = job.study.findings(&job.planned, &job.finished)?;
    let rows = seeds::rows(&report.rows);
    if rows.iter().flatten().any(|cell| cell.contains(" ± ")) {
        report.notes.push("± is half of the 95 % interval of the mean (Student's t over seeds).".to_owned());
    }
    let (_, settings) = job.study.settings()?;
    report.notes.extend(more_seeds(job, &settings, &report.claims, provenance.jobs)?);
    if let Some(note) = diverged(job)? {
        report.notes.push(note);
    }
    if let Some(note) = partial(job) {
        report.notes.insert(0, note);
    }
    for figure in &mut report.figures {
        match figure.not_finite() {
            0 => {}
            1 => figure.caption.push_str(" One point is left out: it is not finite."),
            count => figure.caption.push_str(&format!(" {count} points are left out: they are not finite.")),
        }
    }

    let mut whence = provenance.complete(job.study.data().as_ref())?;
    let others: Vec<Value> = job.of_other_backends(&provenance.backend).map(of_other_backend).collect();
    if !others.is_empty() {
        whence["other_backends"] = others.into();
    }
    let figures: Vec<Value> = (report.figures.iter())
        .map(|figure| json!({"name": figure.name, "title": figure.title, "caption": figure.caption}))
        .collect();
    let metrics = json!({
        "schema": SCHEMA,
        "experiment": job.study.experiment(),
        "folder": job.study.folder(),
        "asked": job.study.asked(),
        "settings": settings,
        "provenance": whence,
        "trials": trials(job)?,
        "failures": job.failures.iter().map(|(trial, why)| json!({"trial": trial, "why": why})).collect::<Vec<_>>(),
        "table": {"columns": report.columns, "rows": rows, "notes": report.notes},
        "summary": report.summary,
        "figures": figures,
        "claims": report.claims,
    });
    let mut bytes = serde_json::to_vec(&metrics)?;
    bytes.push(b'\n');
    job.dir.write("metrics.json", &bytes)?;
    job.dir.write("metrics.csv", &csv(job)?)?;
    draw(&report.figures, &job.dir)?;
    Ok((report, metrics))
}

/// What verdicts would cost that lack seeds, by how long the trials took.
fn more_seeds(job: &Job, settings: &Value, claims: &[Claim], at_a_time: usize) -> Result<Option<String>> {
    let lacking = claims.iter().filter(|claim| claim.lacks_seeds()).count();
    let Some(repeats) = settings["repeats"].as_u64().filter(|repeats| lacking > 0 && *repeats < FEWEST as u64) else {
        return Ok(None);
    };
    let took = job.dir.durations()?;
    let seconds: f64 = job.planned.iter().filter_map(|planned| took.get(&planned.fingerprint)).sum();
    let more = seconds / at_a_time as f64 / repeats as f64 * (FEWEST as u64 - repeats) as f64;
    let time = humantime::format_duration(Duration::from_secs((more.ceil() as u64).max(1)));
    let experiment = job.study.experiment();
    Ok(Some(format!(
        "Verdicts on {lacking} of {} claims need {FEWEST} seeds: `hw1 {experiment} … --repeats {FEWEST}` takes about {time} \
         more here.",
        claims.len()
    )))
}

/// Which trainings diverged: completed records all the same.
fn diverged(job: &Job) -> Result<Option<String>> {
    const MOST: usize = 5;
    let (mut names, mut trainings) = (Vec::new(), 0);
    for planned in &job.planned {
        let Some(record) = job.finished.get(&planned.fingerprint) else { continue };
        let measured = job.study.measurements(record)?;
        trainings += usize::from(measured.scalars.contains_key("diverged"));
        if measured.diverged() {
            names.push(planned.name());
        }
    }
    let count = names.len();
    let further = if count > MOST { format!(" and {} more", count - MOST) } else { String::new() };
    names.truncate(MOST);
    Ok((count > 0).then(|| {
        format!(
            "{count} of {trainings} trainings diverged, the loss no longer finite: {}{further}. What is measured of their \
             weights afterwards is not finite, and has no part in means and claims but as not known.",
            names.join("; ")
        )
    }))
}

/// What a reader must know of a report that not all trials are in.
fn partial(job: &Job) -> Option<String> {
    let (first, why) = job.failures.first()?;
    let (failed, planned) = (job.failures.len(), job.planned.len());
    Some(format!(
        "Partial: {failed} of {planned} trials failed, and those that build on them are missing; this is what the others \
         show. {first}: {why}."
    ))
}

/// Reports of several studies, as [`write`] gives them and in their order, on up to so many threads.
pub fn write_all<'a>(
    jobs: &'a [Job<'a>],
    provenance: &Provenance,
    threads: usize,
) -> Vec<(&'a Job<'a>, Result<(Findings, Value)>)> {
    let mut written: Vec<_> = jobs.iter().map(|job| (job, Err(anyhow!("its report was not written")))).collect();
    runner::side_by_side(&mut written, threads, |(job, written)| *written = write(job, provenance));
    written
}

fn trials(job: &Job) -> Result<Vec<Value>> {
    let mut trials = Vec::new();
    for planned in &job.planned {
        if let Some(record) = job.finished.get(&planned.fingerprint) {
            let measurements = job.study.measurements(record)?;
            let mut trial = serde_json::to_value(measurements)?;
            trial["label"] = planned.label.as_str().into();
            trial["seed"] = planned.seed.into();
            trial["fingerprint"] = planned.fingerprint.as_str().into();
            trial["non_finite"] = measurements.non_finite().into();
            trials.push(trial);
        }
    }
    Ok(trials)
}

/// Every number in long form; scalars have no step, series count theirs from 0.
fn csv(job: &Job) -> Result<Vec<u8>> {
    let experiment = job.study.experiment();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["experiment", "trial", "seed", "step", "metric", "value"])?;
    for planned in &job.planned {
        let Some(record) = job.finished.get(&planned.fingerprint) else { continue };
        let measurements = job.study.measurements(record)?;
        let seed = planned.seed.to_string();
        let mut row = |step: &str, metric: &str, value: f64| {
            let value = if value.is_finite() { value.to_string() } else { String::new() };
            writer.write_record([experiment, &planned.label, &seed, step, metric, &value])
        };
        row("", "parameters", measurements.parameters as f64)?;
        for (metric, &value) in &measurements.scalars {
            row("", metric, value)?;
        }
        for (metric, values) in &measurements.series {
            for (step, &value) in values.iter().enumerate() {
                row(&step.to_string(), metric, value)?;
            }
        }
    }
    writer.into_inner().context("cannot finish the CSV text")
}

/// The last line of an SVG says what it was made of and what stands above it.
fn last_line(sources: &str, svg: &str) -> String {
    format!("<!-- {sources} {} -->\n", sha256(svg.as_bytes()))
}

/// Whether this SVG is whole, and one of these sources.
fn is_of(standing: &str, sources: &str) -> bool {
    standing.rfind("<!-- ").is_some_and(|at| standing[at..] == last_line(sources, &standing[..at]))
}

/// Writes each figure as SVG and PNG; one that has not changed is left as it stands.
fn draw(figures: &[Figure], dir: &StudyDir) -> Result<()> {
    std::thread::scope(|scope| {
        let draw_one = |figure: &Figure| -> Result<()> {
            let (svg_name, png_name) = (format!("figures/{}.svg", figure.name), format!("figures/{}.png", figure.name));
            let drawing = figure.drawing()?;
            let sources = sha256(drawing.sources().as_bytes());
            let png_path = dir.root().join(&png_name);
            let standing = std::fs::read_to_string(dir.root().join(&svg_name));
            if standing.is_ok_and(|standing| is_of(&standing, &sources)) && png_path.exists() {
                return Ok(());
            }
            let svg = drawing.publish()?;
            // The PNG first: an SVG that stands says that its PNG does too.
            dir.write(&png_name, &rasterize(&svg)?)?;
            dir.write(&svg_name, format!("{svg}{}", last_line(&sources, &svg)).as_bytes())
        };
        // Without further threads the figures are drawn by this one.
        let start =
            |figure| std::thread::Builder::new().spawn_scoped(scope, move || draw_one(figure)).map_err(|_| figure);
        let drawing: Vec<_> = figures.iter().map(start).collect();
        drawing.into_iter().try_for_each(|thread| match thread.map(|thread| thread.join()) {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => anyhow::bail!("drawing a figure failed"),
            Err(figure) => draw_one(figure),
        })
    })
}

/// The table a person reads, with its heading, notes and claims.
#[must_use]
pub fn table(report: &Findings, job: &Job) -> String {
    let rows = seeds::rows(&report.rows);
    let data = job.study.data().map_or(String::new(), |spec| format!(", {}", spec.title()));
    let mut text = format!("{}{data}\n{}\n", job.study.folder(), terminal::table(&report.columns, &rows, None));
    for note in &report.notes {
        text.push_str(&format!("{note}\n"));
    }
    for claim in &report.claims {
        let claim = format!("Claim {}: {} {}", claim.verdict, claim.statement, claim.detail);
        text.push_str(&format!("{}\n", claim.trim_end()));
    }
    text.push_str(&format!("Figures: {}\n", job.dir.figures().display()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_svg_that_is_cut_off_or_changed_or_of_other_sources_is_drawn_again() {
        let svg = "<svg>\n<!-- a comment -->\n</svg>\n";
        let whole = format!("{svg}{}", last_line("sources", svg));
        assert!(is_of(&whole, "sources") && !is_of(&whole, "others"));
        for end in 0..whole.len() {
            assert!(!is_of(&whole[..end], "sources"), "cut off after {end}");
        }
        assert!(!is_of(&whole.replacen("comment", "changed", 1), "sources"));
        assert!(!is_of(&format!("{whole} "), "sources") && !is_of(svg, "sources"));
    }
}
