//! An [`Experiment`] with its types erased: what the runner and the registry hold, so that one pool runs the trials of
//! every study.

use super::context::Context;
use super::experiment::{Done, Experiment, Record as _, Records, Size, Trial as _, shared_version, version};
use super::findings::Findings;
use super::measurements::Measurements;
use super::memory::Held;
use super::trust;
use crate::data::Dataset;
use crate::store::fingerprint::Fingerprint;
use anyhow::{Context as _, Result, bail};
use serde::Deserialize as _;
use serde_json::Value;
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A record whose type only its own study knows.
pub type AnyRecord = Arc<dyn Any + Send + Sync>;

/// A trial of some study, with what the runner needs of it.
#[derive(Clone)]
pub struct Planned {
    pub label: String,
    pub seed: u64,
    pub fingerprint: Fingerprint,
    /// See [`super::Trial::cost`].
    pub cost: f64,
    /// See [`super::Experiment::family`].
    pub family: Option<u64>,
    /// The trial as JSON.
    pub trial: Value,
}

impl Planned {
    /// "DNN_1, seed 0".
    pub fn name(&self) -> String {
        format!("{}, seed {}", self.label, self.seed)
    }
}

/// Finished trials of a study by fingerprint.
pub type Finished = BTreeMap<Fingerprint, AnyRecord>;

/// An [`Experiment`] with its settings and without its types: what the runner sees.
pub trait Study: Send + Sync {
    /// The subcommand.
    fn experiment(&self) -> &'static str;
    /// Its own and the shared one together.
    fn version(&self) -> u32;
    fn folder(&self) -> String;
    /// What it asks, in a few sentences: the first paragraph of its TOML file.
    fn asked(&self) -> String;
    fn data(&self) -> Option<Arc<dyn Dataset>>;
    /// The resolved settings, as TOML and as JSON.
    fn settings(&self) -> Result<(String, Value)>;
    /// See [`Experiment::size`].
    fn size(&self) -> Size;
    /// See [`Experiment::memory`].
    fn memory(&self) -> Result<Vec<Held>>;
    /// All trials due or done, in declared order; those that need records still missing come
    /// with a later call. `before` is what an earlier call named, if any: where each trial follows from the one
    /// before, naming all from the first on at each call would take for ever.
    fn plan(&self, before: &[Planned], finished: &Finished, device_kind: &str) -> Result<Vec<Planned>>;
    fn run(&self, planned: &Planned, cx: &mut Context) -> Result<AnyRecord>;
    fn encode(&self, record: &AnyRecord) -> Result<Value>;
    fn decode(&self, record: Value) -> Result<AnyRecord>;
    fn measurements<'a>(&self, record: &'a AnyRecord) -> Result<&'a Measurements>;
    /// Over the planned trials that are finished.
    fn findings(&self, planned: &[Planned], finished: &Finished) -> Result<Findings>;
}

impl<E: Experiment> Study for E {
    fn experiment(&self) -> &'static str {
        E::NAME
    }

    fn version(&self) -> u32 {
        version(E::VERSION, shared_version())
    }

    fn folder(&self) -> String {
        Experiment::folder(self)
    }

    fn asked(&self) -> String {
        let paragraph = E::SETTINGS.lines().map_while(|line| line.strip_prefix("# "));
        let text = paragraph.collect::<Vec<_>>().join(" ");
        // Behind the name of the subcommand and the report's task.
        let asked = text.split_once(". ").map_or(text.as_str(), |(_, asked)| asked);
        // The report's set by what it has.
        let title = Experiment::data(self).map_or(String::new(), |set| set.title().to_owned());
        let whole = if title == "MNIST" { "MNIST's digits" } else { &title };
        asked.replace("{set}", whole).replace("{data}", &title)
    }

    fn data(&self) -> Option<Arc<dyn Dataset>> {
        Experiment::data(self)
    }

    fn settings(&self) -> Result<(String, Value)> {
        Ok((toml::to_string(self)?, serde_json::to_value(self)?))
    }

    fn size(&self) -> Size {
        Experiment::size(self)
    }

    fn memory(&self) -> Result<Vec<Held>> {
        Experiment::memory(self).map_err(anyhow::Error::msg)
    }

    fn plan(&self, before: &[Planned], finished: &Finished, device_kind: &str) -> Result<Vec<Planned>> {
        let set = Experiment::data(self);
        let data = set.as_ref().map(|set| set.identity());
        let version = Study::version(self);
        let named = |records: &Records<E>| -> Result<Vec<Planned>> {
            self.trials(records)?
                .iter()
                .map(|trial| {
                    let json = serde_json::to_value(trial)?;
                    Ok(Planned {
                        label: self.label(trial),
                        seed: trial.seed(),
                        cost: trial.cost(set.as_deref()),
                        family: self.family(trial),
                        fingerprint: Fingerprint::of(E::NAME, version, device_kind, data.as_deref(), &json),
                        trial: json,
                    })
                })
                .collect()
        };
        // Trials that follow from records are asked for with those records in hand.
        let mut planned = if before.is_empty() { named(&Records(Vec::new()))? } else { before.to_vec() };
        let mut known = 0;
        loop {
            let done = records(&planned, finished)?;
            // The same records name the same trials, and those named before were named with none where there are none now.
            if known == done.0.len() {
                return Ok(planned);
            }
            known = done.0.len();
            let before = planned;
            planned = named(&done)?;
            let still: BTreeSet<&Fingerprint> = planned.iter().map(|planned| &planned.fingerprint).collect();
            if let Some(dropped) = before.iter().find(|old| !still.contains(&old.fingerprint)) {
                bail!("{} no longer names its trial {}", E::NAME, dropped.name());
            }
        }
    }

    fn run(&self, planned: &Planned, cx: &mut Context) -> Result<AnyRecord> {
        let trial = E::Trial::deserialize(&planned.trial)?;
        Ok(Arc::new(E::run_trial(&trial, cx)?))
    }

    fn encode(&self, record: &AnyRecord) -> Result<Value> {
        Ok(serde_json::to_value(typed::<E>(record)?.as_ref())?)
    }

    fn decode(&self, record: Value) -> Result<AnyRecord> {
        Ok(Arc::new(serde_json::from_value::<E::Record>(record)?))
    }

    fn measurements<'a>(&self, record: &'a AnyRecord) -> Result<&'a Measurements> {
        let record = record.downcast_ref::<E::Record>().context("a record of another experiment")?;
        Ok(record.measurements())
    }

    fn findings(&self, planned: &[Planned], finished: &Finished) -> Result<Findings> {
        let done = records(planned, finished)?;
        let mut findings = Experiment::findings(self, &done)?;
        let seeds: BTreeSet<u64> = done.iter().map(Done::seed).collect();
        let measured: Vec<&Measurements> = done.iter().map(Done::measured).collect();
        let target = Experiment::data(self).map(|set| set.signature().target);
        let chance = target.filter(|target| target.classes().is_some()).map(|target| target.chance());
        let mut shared = trust::of_trainings(&measured, planned.len(), chance);
        shared.add(E::CASE.and_then(|case| trust::few(case, seeds.len())));
        findings.settle(&seeds);
        findings.doubt_all(&shared, chance.is_some());
        Ok(findings)
    }
}

fn typed<E: Experiment>(record: &AnyRecord) -> Result<Arc<E::Record>> {
    record.clone().downcast().ok().context("a record of another experiment")
}

fn records<E: Experiment>(planned: &[Planned], finished: &Finished) -> Result<Records<E>> {
    let mut done = Vec::new();
    for planned in planned {
        if let Some(record) = finished.get(&planned.fingerprint) {
            done.push(Done {
                fingerprint: planned.fingerprint.clone(),
                label: planned.label.clone(),
                trial: E::Trial::deserialize(&planned.trial)?,
                record: typed::<E>(record)?,
            });
        }
    }
    Ok(Records(done))
}
