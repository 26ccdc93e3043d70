//! Numbers of a record, by name: one kind for every study, so that tables, curves, metrics and figures find them
//! without knowing which.

use super::experiment::Record;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Numbers every record has, under the names of settings, CSV and figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measurements {
    /// Length of θ.
    pub parameters: i64,
    #[serde(with = "numbers::map")]
    pub scalars: BTreeMap<String, f64>,
    #[serde(with = "numbers::series")]
    pub series: BTreeMap<String, Vec<f64>>,
}

impl Measurements {
    /// Named numbers of a trial with `parameters` parameters.
    pub fn new<const M: usize, const N: usize>(
        parameters: i64,
        scalars: [(&str, f64); M],
        series: [(&str, Vec<f64>); N],
    ) -> Self {
        Self {
            parameters,
            scalars: scalars.map(|(name, value)| (name.to_owned(), value)).into(),
            series: series.map(|(name, values)| (name.to_owned(), values)).into(),
        }
    }

    /// With more named numbers.
    pub fn and<const M: usize>(mut self, scalars: [(&str, f64); M]) -> Self {
        self.scalars.extend(scalars.map(|(name, value)| (name.to_owned(), value)));
        self
    }

    /// With what else was measured in the same trial.
    pub fn with(mut self, more: Self) -> Self {
        self.scalars.extend(more.scalars);
        self.series.extend(more.series);
        self
    }

    /// A scalar that the record must have.
    pub fn scalar(&self, name: &str) -> Result<f64> {
        self.scalars.get(name).copied().with_context(|| format!("the record has no scalar '{name}'"))
    }

    /// A scalar that the record must have, of the trained network; NaN where the training diverged, or the loss
    /// beside an accuracy is no number: then its outputs are none, and to call one of them right is chance.
    pub fn after_training(&self, name: &str) -> Result<f64> {
        let value = self.scalar(name)?;
        let is_lost = self.is_not_finite(&name.replace("accuracy", "loss"));
        Ok(if is_lost || self.diverged() { f64::NAN } else { value })
    }

    /// The share of a set, "train" or "test", that the trained network gets wrong; NaN likewise.
    pub fn final_error(&self, set: &str) -> Result<f64> {
        Ok(1.0 - self.after_training(&format!("final_{set}_accuracy"))?)
    }

    /// Test loss minus train loss of the trained network; NaN likewise.
    pub fn loss_gap(&self) -> Result<f64> {
        Ok(self.after_training("final_test_loss")? - self.after_training("final_train_loss")?)
    }

    /// Whether its training diverged: a loss was no longer a finite number, be it after the last step only.
    pub fn diverged(&self) -> bool {
        self.scalars.get("diverged") == Some(&1.0)
            || self.scalars.contains_key("diverged") && self.is_not_finite("final_train_loss")
    }

    fn is_not_finite(&self, name: &str) -> bool {
        self.scalars.get(name).is_some_and(|value| !value.is_finite())
    }

    /// A series that the record must have.
    pub fn series(&self, name: &str) -> Result<&[f64]> {
        self.series.get(name).map(Vec::as_slice).with_context(|| format!("the record has no series '{name}'"))
    }

    /// First and last value of a series; NaN where it is empty.
    pub fn first_and_last(&self, name: &str) -> Result<(f64, f64)> {
        let values = self.series(name)?;
        Ok((values.first().copied().unwrap_or(f64::NAN), values.last().copied().unwrap_or(f64::NAN)))
    }

    /// How many of its numbers are not finite (null in JSON).
    pub fn non_finite(&self) -> usize {
        self.scalars.values().chain(self.series.values().flatten()).filter(|value| !value.is_finite()).count()
    }
}

/// Whether a scalar of this name is a number of things: shown whole.
pub fn is_count(name: &str) -> bool {
    const COUNTS: [&str; 3] = ["epochs_run", "newton_steps", "lanczos_steps"];
    COUNTS.contains(&name) || ["positive", "zero", "negative"].iter().any(|sign| name == format!("{sign}_eigenvalues"))
}

/// Yes or no as a scalar: 1 or 0.
pub fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

impl Record for Measurements {
    fn measurements(&self) -> &Measurements {
        self
    }
}

/// JSON for measured numbers: whole ones without ".0", those that are not finite as null.
pub mod numbers {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    /// 2⁵³: whole numbers below are exact in both.
    const EXACT: f64 = 9_007_199_254_740_992.0;

    struct Number(f64);

    impl Serialize for Number {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let value = self.0;
            if !value.is_finite() {
                serializer.serialize_none()
            } else if value.fract() == 0.0 && value.abs() < EXACT && !(value == 0.0 && value.is_sign_negative()) {
                serializer.serialize_i64(value as i64)
            } else {
                serializer.serialize_f64(value)
            }
        }
    }

    /// A number that was written so.
    fn read(value: Option<f64>) -> f64 {
        value.unwrap_or(f64::NAN)
    }

    /// For `BTreeMap<String, f64>`.
    pub mod map {
        use super::*;

        pub fn serialize<S: Serializer>(map: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(map.iter().map(|(name, &value)| (name, Number(value))))
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
            let map = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
            Ok(map.into_iter().map(|(name, value)| (name, read(value))).collect())
        }
    }

    /// For `BTreeMap<String, Vec<f64>>`.
    pub mod series {
        use super::*;

        struct Series<'a>(&'a [f64]);

        impl Serialize for Series<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.0.iter().map(|&value| Number(value)))
            }
        }

        pub fn serialize<S: Serializer>(map: &BTreeMap<String, Vec<f64>>, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(map.iter().map(|(name, values)| (name, Series(values))))
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Vec<f64>>, D::Error> {
            let map = BTreeMap::<String, Vec<Option<f64>>>::deserialize(deserializer)?;
            Ok(map.into_iter().map(|(name, values)| (name, values.into_iter().map(read).collect())).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_diverged_has_no_accuracy() {
        let record = |scalars: &[(&str, f64)]| Measurements {
            scalars: scalars.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            ..Measurements::default()
        };
        let after = |train_loss: f64, test_loss: f64, diverged: f64| {
            let record = record(&[
                ("diverged", diverged),
                ("final_train_loss", train_loss),
                ("final_test_loss", test_loss),
                ("final_train_accuracy", 0.1),
                ("final_test_accuracy", 0.2),
            ]);
            let after = |name: &str| record.after_training(name).unwrap().is_finite();
            (record.diverged(), after("final_train_accuracy"), after("final_test_accuracy"), after("final_test_loss"))
        };
        assert_eq!(after(1.0, 2.0, 0.0), (false, true, true, true));
        assert_eq!(after(1.0, 2.0, 1.0), (true, false, false, false));
        // The last step alone may do it.
        assert_eq!(after(f64::NAN, 2.0, 0.0), (true, false, false, false));
        assert_eq!(after(1.0, f64::INFINITY, 0.0), (false, true, false, false));
        assert!(record(&[]).after_training("final_train_loss").is_err());
        // What is no training cannot diverge.
        assert!(!record(&[("final_train_loss", f64::NAN)]).diverged());
    }

    #[test]
    fn measurements_survive_json_with_null_for_what_is_not_finite() {
        let measured = Measurements {
            parameters: 3,
            scalars: [("epochs_run".into(), 415.0), ("loss".into(), f64::NAN), ("zero".into(), -0.0)].into(),
            series: [("train_loss".into(), vec![0.1, f64::INFINITY, 2.0])].into(),
        };
        let json = serde_json::to_string(&measured).unwrap();
        assert_eq!(
            json,
            r#"{"parameters":3,"scalars":{"epochs_run":415,"loss":null,"zero":-0.0},"series":{"train_loss":[0.1,null,2]}}"#
        );
        let back: Measurements = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), json);
        assert_eq!(back.non_finite(), 2);
    }
}
