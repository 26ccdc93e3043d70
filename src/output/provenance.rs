//! Where numbers come from: what of it holds for a whole call of hw1, and what each study adds when it is done.

use crate::backend::{Backend, device::DeviceChoice};
use crate::data::Dataset;
use crate::output::metrics::{Data, Provenance};
use anyhow::Result;
use std::time::{Instant, SystemTime};

/// A call of hw1: what it computes with, and since when.
pub struct Call {
    device: DeviceChoice,
    pub(super) backend: Backend,
    /// Trials at a time.
    pub(super) workers: usize,
    preset: String,
    start: String,
    begin: Instant,
}

impl Call {
    /// Of this process, starting now, on a device that it has opened.
    pub fn now(device: DeviceChoice, workers: usize, preset: &str) -> Self {
        let (backend, preset) = (Backend::of(device), preset.to_owned());
        Self { device, backend, workers, preset, start: timestamp(), begin: Instant::now() }
    }

    /// Of a study that is done now; `data` is `None` where points are computed.
    pub fn provenance(&self, data: Option<&dyn Dataset>) -> Result<Provenance> {
        let data = data.map(|set| Data {
            name: set.title().to_owned(),
            identity: set.identity(),
            synthetic: Some(set.stands_in_for().is_some()),
            in_place_of: set.stands_in_for().map(str::to_owned),
            normalised_by: set.normalisation(),
            notes: set.notes(),
        });
        Ok(Provenance {
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            commit: Some(env!("HW1_COMMIT").to_owned()),
            device: Some(self.device.to_string()),
            backend: serde_json::from_value(serde_json::to_value(&self.backend)?)?,
            other_backends: Vec::new(),
            jobs: Some(self.workers),
            preset: Some(self.preset.clone()),
            command: Some(std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect()),
            data,
            start: Some(self.start.clone()),
            end: Some(timestamp()),
            seconds: Some(self.begin.elapsed().as_secs_f64()),
        })
    }
}

fn timestamp() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}
