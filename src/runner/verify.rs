//! `hw1 verify`: holds what a run directory has against what it says, and runs finished trials again.
//! Reads only. Knows the erased [`Study`], never a concrete experiment.

use crate::backend::Backend;
use crate::backend::device::{DeviceChoice, set_up_thread};
use crate::data::{Access, Data};
use crate::error::{Interrupted, one_line};
use crate::runner::identity;
use crate::store::{Checked, Encoded, StudyDir};
use crate::study::{Context, Fingerprint, Planned, Progress, Study};
use anyhow::Result;
use std::sync::atomic::AtomicBool;
use tch::Device;

/// What was found in one study's folder.
#[derive(Default)]
pub struct Found {
    pub records: usize,
    /// Files that an earlier run set aside.
    pub set_aside: usize,
    /// Records that are as they should be, sorted by fingerprint.
    sound: Vec<Checked>,
    /// A line each, with the file's name.
    pub problems: Vec<String>,
}

/// Checks each record of a study (it parses, it is of the trial its name says, its weights are there, as
/// its digest says, and finite unless the training diverged) and each checkpoint (it is whole).
pub fn check(study: &dyn Study, dir: &StudyDir) -> Result<Found> {
    let mut found = Found::default();
    for name in dir.trial_files()? {
        let name_and = |error: &anyhow::Error| format!("{name}: {}", one_line(error));
        if let Some(stem) = name.strip_suffix(".json") {
            found.records += 1;
            let diverged = |record| Ok(study.measurements(&study.decode(record)?)?.diverged());
            let fingerprint = Fingerprint::try_from(stem.to_owned()).map_err(anyhow::Error::msg);
            match fingerprint.and_then(|fingerprint| dir.check(&fingerprint, study.experiment(), diverged)) {
                Ok(record) => found.sound.push(record),
                Err(error) => found.problems.push(name_and(&error)),
            }
        } else if name.ends_with(".checkpoint") {
            found.problems.extend(dir.check_checkpoint(&name).err().map(|error| name_and(&error)));
        } else if name.contains(".set-aside-") {
            found.set_aside += 1;
        }
    }
    Ok(found)
}

/// What came of [`recompute`].
#[derive(Default)]
pub struct Recomputed {
    pub same: usize,
    /// Trials not run again, and why.
    pub passed_over: Vec<String>,
    /// A line each, with the record's name.
    pub problems: Vec<String>,
}

/// Runs up to `most` of the sound trials again, from scratch and one after the other, and holds the
/// bytes against those on disk. Only trials that this backend computed, on the data of the study's settings, can
/// be told to be wrong; the others are passed over.
///
/// # Errors
/// [`Interrupted`] once `stop` is set; where the data set cannot be had.
pub fn recompute(
    study: &dyn Study,
    dir: &StudyDir,
    found: &Found,
    most: usize,
    access: &Access,
    stop: &AtomicBool,
) -> Result<Recomputed> {
    set_up_thread();
    let set = study.data();
    let data_here = set.as_ref().map(|set| set.identity());
    let here = Backend::of(DeviceChoice::Cpu);
    let logged = dir.last_done()?;
    let mut data: Option<Data> = None;
    let mut outcome = Recomputed::default();
    let mut left = most;
    for checked in &found.sound {
        if left == 0 {
            break;
        }
        let of = &checked.identity;
        let fingerprint = &of.fingerprint();
        let why_not = match (&checked.backend, logged.get(fingerprint)) {
            _ if of.data != data_here => Some("it is of other data than settings.toml names".to_owned()),
            (Some(backend), _) => here.other_than(backend),
            (None, None) => Some("neither it nor a line of log.jsonl says what computed it".to_owned()),
            (None, Some(line)) if line["device"] != "cpu" => {
                Some(format!("its device was {}, here it is \"cpu\"", line["device"]))
            }
            (None, Some(line)) => here.other_than_logged(line),
        };
        if let Some(why_not) = why_not {
            outcome.passed_over.push(format!("{fingerprint}.json: {why_not}"));
            continue;
        }
        left -= 1;
        if let (Some(set), None) = (&set, &data) {
            data = Some(Data::load(set.clone(), access)?);
        }
        let (label, trial) = (fingerprint.to_string(), of.trial.clone());
        let planned = Planned { label, seed: 0, fingerprint: fingerprint.clone(), cost: 0.0, family: None, trial };
        let (progress, read_weights) = (Progress::default(), |parent: &Fingerprint| dir.read_weights(parent));
        let data = data.as_ref().map(|data| data.on(Device::Cpu));
        let mut cx = Context::new(Device::Cpu, &progress, stop, &read_weights, data);
        let again = study.run(&planned, &mut cx).and_then(|record| {
            Encoded::new(identity(study, &of.trial, "cpu"), &here, study.encode(&record)?, &cx.into_weights())
        });
        match again.and_then(|again| dir.differs(fingerprint, &again)) {
            Ok(None) => outcome.same += 1,
            Ok(Some(what)) => {
                // So may another backend's, which is no fault of the record.
                let too_old = "; it is too old to say which kernels and vectors computed it";
                let unless = if checked.backend.is_some() { "" } else { too_old };
                outcome.problems.push(format!("{fingerprint}.json: run again, {what} differ{unless}"));
            }
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => outcome.problems.push(format!("{fingerprint}.json: run again: {}", one_line(&error))),
        }
    }
    Ok(outcome)
}
