//! What a study leaves for people and programs: metrics.json, metrics.csv, the figures, and the table on standard
//! output. Reads records only, so it never retrains.

mod arrays;
pub mod check;
pub mod claims;
pub mod compare;
mod csv;
pub mod data_sheet;
mod figures;
pub mod metrics;
mod notes;
pub mod page;
pub mod provenance;
pub mod show;
pub mod study_folder;
pub mod tensorboard;
pub mod typed;

use crate::error::Interrupted;
use crate::files::sha256;
use crate::output::metrics::{Claim, Failure, Figure, Metrics, SCHEMA, Table, Trial};
use crate::output::provenance::Call;
use crate::runner::{self, Job, Signals};
use crate::study::number::{singular, whole_or_significant};
use crate::study::{Findings, seeds};
use crate::terminal;
use anyhow::{Result, anyhow, ensure};
use std::{collections::BTreeMap, path::Path};

/// Writes all that `job`'s records show; returns the contents of metrics.json.
///
/// # Errors
/// Where a file cannot be written, or a record lacks what the findings need; [`crate::error::Interrupted`] on a signal.
pub fn write(job: &Job, call: &Call, signals: &Signals) -> Result<Metrics> {
    ensure!(!signals.stopped(), Interrupted);
    ensure!(!job.finished.is_empty(), "no trial was finished: there is nothing to report");
    let study = job.study;
    let Findings { columns, rows, mut notes, mut figures, arrays, summary, mut claims, .. } =
        study.findings(&job.planned, &job.finished)?;
    let rows = seeds::rows(&rows);
    let (_, settings) = study.settings()?;
    if rows.iter().flatten().any(|cell| cell.contains(" ± ")) {
        notes.push("± is half of the 95 % interval of the mean (Student's t over seeds).".to_owned());
    }
    notes.extend(notes::more_seeds(job, settings["repeats"].as_u64(), &claims, call.workers)?);
    notes.extend(notes::diverged(job)?);
    if let Some(note) = notes::partial(job) {
        notes.insert(0, note);
    }
    notes.iter_mut().for_each(|note| *note = singular(note));
    for claim in &mut claims {
        claim.detail = singular(&claim.detail);
    }
    for figure in &mut figures {
        match figure.not_finite() {
            0 => {}
            1 => figure.caption.push_str(" One point is left out: it is not finite."),
            count => figure.caption.push_str(&format!(" {count} points are left out: they are not finite.")),
        }
    }

    let mut provenance = call.provenance(study.data().as_deref())?;
    for (backend, trials) in job.of_other_backends(&call.backend) {
        // Always a map, whatever stands in a record.
        let mut other = backend.as_object().cloned().unwrap_or_default();
        other.insert("trials".into(), (*trials).into());
        provenance.other_backends.push(other);
    }
    let finished = job.planned.iter().filter_map(|planned| Some((planned, job.finished.get(&planned.fingerprint)?)));
    let trials = finished.map(|(planned, record)| Ok(Trial::new(planned, study.measurements(record)?)));
    let mut metrics = Metrics {
        schema: SCHEMA,
        experiment: study.experiment().to_owned(),
        folder: study.folder(),
        asked: Some(study.asked()),
        settings: serde_json::from_value(settings)?,
        provenance,
        trials: trials.collect::<Result<_>>()?,
        failures: job.failures.iter().cloned().map(|(trial, why)| Failure { trial, why }).collect(),
        missing: job.missing(),
        table: Some(Table { columns, rows, notes }),
        summary,
        figures: Some(figures.iter().map(Figure::from).collect()),
        claims: claims.into_iter().map(Claim::from).collect(),
        files: BTreeMap::new(),
    };
    let mut written = vec![("metrics.csv".to_owned(), csv::encode(&metrics)?)];
    for group in &arrays {
        written.push((format!("{}.npz", group.name), arrays::npz(group)?));
        written.extend(arrays::csv(group)?.map(|text| (format!("{}.csv", group.name), text)));
    }
    // Figures take longest.
    ensure!(!signals.stopped(), Interrupted);
    let before = Metrics::read(&job.dir.metrics()).ok().flatten().map(|metrics| metrics.files).unwrap_or_default();
    metrics.files = figures::draw(&figures, &job.dir, &before)?;
    for (name, bytes) in written {
        job.dir.write(&name, &bytes)?;
        metrics.files.insert(name, sha256(&bytes));
    }
    // Last: it says what the others are.
    job.dir.write("metrics.json", &metrics.to_json()?)?;
    Ok(metrics)
}

/// What several studies leave, as [`write`] gives it and in their order, on up to so many threads.
pub fn write_all<'a>(
    jobs: &'a [Job<'a>],
    call: &Call,
    threads: usize,
    signals: &Signals,
) -> Vec<(&'a Job<'a>, Result<Metrics>)> {
    let mut written: Vec<_> = jobs.iter().map(|job| (job, Err(anyhow!("its output was not written")))).collect();
    runner::side_by_side(&mut written, threads, |(job, written)| *written = write(job, call, signals));
    written
}

/// The table a person reads, with its heading, notes, claims and the folder of its figures.
pub fn table(metrics: &Metrics, figures: &Path) -> String {
    let data = metrics.provenance.data.as_ref().map_or(String::new(), |data| format!(", {}", data.name));
    let mut text = format!("{}{data}\n", metrics.folder);
    if let Some(Table { columns, rows, notes }) = &metrics.table {
        text.push_str(&format!("{}\n", terminal::table(columns, rows, None)));
        notes.iter().for_each(|note| text.push_str(&format!("{note}\n")));
    }
    for Claim { verdict, statement, detail, .. } in &metrics.claims {
        text.push_str(&format!("{}\n", format!("Claim {verdict}: {statement} {detail}").trim_end()));
    }
    text + &format!("Figures: {}\n", terminal::plain(&figures.to_string_lossy()))
}

/// Whole numbers whole, others with four significant digits.
fn number(value: f64) -> String {
    whole_or_significant(value, 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_matter() {
        let four =
            [(60.0, "60"), (0.333_333, "0.3333"), (-1_234_567.8, "-1.235e6"), (2e-7, "2.000e-7"), (9.99999, "10.00")];
        for (value, text) in four {
            assert_eq!(number(value), text);
        }
        assert_eq!([9.96, 2345.6, 0.0501].map(|value| whole_or_significant(value, 2)), ["10", "2346", "0.050"]);
        assert_eq!(number(f64::INFINITY), "not finite");
    }
}
