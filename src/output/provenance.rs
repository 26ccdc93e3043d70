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
    start: Option<String>,
    begin: Instant,
}

impl Call {
    /// Of this process, starting now, on a device that it has opened.
    pub fn now(device: DeviceChoice, workers: usize, preset: &str) -> Self {
        let (backend, preset) = (Backend::of(device), preset.to_owned());
        Self { device, backend, workers, preset, start: timestamp(SystemTime::now()), begin: Instant::now() }
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
            start: self.start.clone(),
            end: timestamp(SystemTime::now()),
            seconds: Some(self.begin.elapsed().as_secs_f64()),
        })
    }
}

/// "2026-01-01T00:00:00Z"; `None` of a year that has not four digits, or is before 1970: humantime panics there.
pub(super) fn timestamp(time: SystemTime) -> Option<String> {
    const YEAR_10000: u64 = 253_402_300_800;
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    (seconds < YEAR_10000).then(|| humantime::format_rfc3339_seconds(time).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_time_of_any_year_is_told_or_passed_over() {
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(timestamp(epoch).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(timestamp(epoch - Duration::from_nanos(1)), None);
        let last = epoch + Duration::from_secs(253_402_300_799);
        assert_eq!(timestamp(last).as_deref(), Some("9999-12-31T23:59:59Z"));
        assert_eq!(timestamp(last + Duration::from_secs(1)), None);
    }
}
