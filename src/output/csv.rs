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
            writer.write_record([&metrics.experiment, &trial.label, &seed, step, metric, &number(value)])
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

/// A number for readers of CSV: the shortest text that is read back as the same. pandas 2 counts a number's digits and
/// drops those beyond 17, zeros in front among them, so that what is small or very large needs an exponent. NaN, inf and
/// -inf are words that pandas, polars, R and NumPy all take for numbers.
pub(super) fn number(value: f64) -> String {
    /// Up to here a whole number has no zeros that are not its own.
    const WHOLE: f64 = 1e15;
    let is_plain = value == 0.0 || !value.is_finite() || (1.0..WHOLE).contains(&value.abs());
    if is_plain { value.to_string() } else { format!("{value:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_small_or_large_has_an_exponent() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-2361.5, "-2361.5"),
            (0.5, "5e-1"),
            (-0.000_032_149_015_192_646_41, "-3.214901519264641e-5"),
            (999_999_999_999_999.0, "999999999999999"),
            (1e15, "1e15"),
            (f64::MAX, "1.7976931348623157e308"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_exactly(value in proptest::num::f64::ANY) {
            let (text, back) = (number(value), number(value).parse::<f64>().unwrap());
            prop_assert!(back.to_bits() == value.to_bits() || back.is_nan() && value.is_nan(), "{text}");
            let digits = text.split('e').next().unwrap().bytes().filter(u8::is_ascii_digit).count();
            prop_assert!(digits <= 17, "{text}");
        }
    }
}
