//! What a reader must know of a study's numbers beside what the study itself says: seeds that verdicts lack, trainings
//! that diverged, trials that failed. Knows the erased study, never a concrete experiment.

use crate::analysis::statistics::FEWEST;
use crate::runner::Job;
use crate::study::claim::Claim;
use anyhow::Result;
use std::time::Duration;

/// What verdicts would cost that lack seeds, by how long the trials took.
pub(super) fn more_seeds(job: &Job, repeats: Option<u64>, claims: &[Claim], workers: usize) -> Result<Option<String>> {
    let lacking = claims.iter().filter(|claim| claim.lacks_seeds()).count();
    let Some(repeats) = repeats.filter(|repeats| lacking > 0 && *repeats < FEWEST as u64) else {
        return Ok(None);
    };
    let took = job.dir.durations()?;
    let seconds: f64 = job.planned.iter().filter_map(|planned| took.get(&planned.fingerprint)).sum();
    let more = seconds / workers as f64 / repeats as f64 * (FEWEST as u64 - repeats) as f64;
    let time = humantime::format_duration(Duration::from_secs((more.ceil() as u64).max(1)));
    let experiment = job.study.experiment();
    Ok(Some(format!(
        "Verdicts on {lacking} of {} claims need {FEWEST} seeds: `hw1 {experiment} … --repeats {FEWEST}` takes about {time} \
         more here.",
        claims.len()
    )))
}

/// Which trainings diverged: completed records all the same.
pub(super) fn diverged(job: &Job) -> Result<Option<String>> {
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

/// That not all trials are in what is shown.
pub(super) fn partial(job: &Job) -> Option<String> {
    let (failed, missing, planned) = (job.failures.len(), job.missing(), job.planned.len());
    let Some((first, why)) = job.failures.first() else {
        return (missing > 0).then(|| {
            format!(
                "Partial: {missing} of {planned} trials have not run yet, nor those that build on them; this is what the \
                 others show."
            )
        });
    };
    Some(format!(
        "Partial: {failed} of {planned} trials failed, and those that build on them are missing; this is what the others \
         show. {first}: {why}."
    ))
}
