//! metrics.csv: every number of a study in long form, for other programs.

use crate::output::metrics::Metrics;
use anyhow::{Context as _, Result};

/// A row a number; scalars have no step, series count theirs from 0.
pub(super) fn encode(metrics: &Metrics) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["experiment", "trial", "seed", "step", "metric", "value"])?;
    for trial in &metrics.trials {
        let seed = trial.seed.to_string();
        let mut row = |step: &str, metric: &str, value: f64| {
            let value = if value.is_finite() { value.to_string() } else { String::new() };
            writer.write_record([&metrics.experiment, &trial.label, &seed, step, metric, &value])
        };
        row("", "parameters", trial.parameters as f64)?;
        for (metric, &value) in &trial.scalars {
            row("", metric, value)?;
        }
        for (metric, values) in &trial.series {
            for (step, &value) in values.iter().enumerate() {
                row(&step.to_string(), metric, value)?;
            }
        }
    }
    writer.into_inner().context("cannot finish the CSV text")
}
