//! How the loss looks around a solution, by any of three measures: sharpness, slices, spectrum. Which are asked for,
//! one of them as a trial's body, and what all of them found together.

use super::sharpness::{Boxes, Search};
use super::slices::{Directions, NEAR, Slices};
use super::spectrum::{Eigenvalues, SpectrumProbes};
use crate::analysis::slices::mean_rise;
use crate::analysis::spectrum::outliers;
use crate::model::Network;
use crate::objective::Objective;
use crate::settings;
use crate::study::{Context, Measurements, cell};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

settings! {
    /// What is measured, if anything, of the loss over some training samples.
    #[derive(Clone, Debug, Serialize)]
    pub struct Measures(boxes: Boxes, slices: Directions, spectrum: Eigenvalues) {
        /// The first so many, or all.
        pub probe_size: usize,
    }
}

/// Numbers that one record holds.
pub(super) const MOST_NUMBERS: u128 = 1_000_000;

impl Measures {
    pub fn check(&self, network: &Network) -> Result<(), String> {
        self.boxes.check(network)?;
        self.slices.check()?;
        self.spectrum.check(network)
    }

    /// In the order of tables and figures.
    pub fn all(&self) -> Vec<Measure> {
        let slices = self.slices.slices().map(Measure::Slices);
        let spectrum = self.spectrum.spectrum().map(Measure::Spectrum);
        self.boxes.searches().map(Measure::Sharpness).chain(slices).chain(spectrum).collect()
    }
}

/// One measure.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    Sharpness(Search),
    Slices(Slices),
    Spectrum(SpectrumProbes),
}

impl Measure {
    /// Its work for so many parameters over so many samples, as [`crate::study::Trial::cost`].
    pub fn cost(&self, parameters: f64, samples: usize) -> f64 {
        // In gradients: a pass forward is a third of one, a product with the Hessian about three.
        let gradients = match *self {
            Self::Sharpness(Search { starts, steps, .. }) => starts as f64 * steps as f64,
            Self::Slices(Slices { directions, points }) => directions as f64 * points as f64 / 3.0,
            Self::Spectrum(SpectrumProbes { eigenvalues, probes, steps, .. }) => {
                3.0 * (5.0 * eigenvalues as f64 + probes as f64 * steps as f64)
            }
        };
        parameters * samples as f64 * gradients
    }

    /// Around the objective's θ, which it moves; seed and name key what is random in it.
    pub fn measure(&self, objective: &mut dyn Objective, key: (u64, &str), cx: &Context) -> Result<Measurements> {
        match self {
            Self::Sharpness(search) => search.measure(objective, key, cx),
            Self::Slices(slices) => slices.measure(objective, key, cx),
            Self::Spectrum(spectrum) => spectrum.measure(objective, key, cx),
        }
    }
}

/// The records of what was measured around one solution.
#[derive(Default)]
pub struct Around<'a> {
    /// By ε, in the order of the settings.
    pub boxes: Vec<(f64, &'a Measurements)>,
    pub slices: Option<&'a Measurements>,
    pub spectrum: Option<&'a Measurements>,
}

impl<'a> Around<'a> {
    pub fn of(records: impl IntoIterator<Item = (&'a Measure, &'a Measurements)>) -> Self {
        let mut around = Self::default();
        for (measure, record) in records {
            match measure {
                Measure::Sharpness(search) => around.boxes.push((search.epsilon, record)),
                Measure::Slices(_) => around.slices = Some(record),
                Measure::Spectrum(_) => around.spectrum = Some(record),
            }
        }
        around
    }

    /// Sharpness in the box of ε and, over the starts of the search, how far it spreads. `None` where it is not
    /// measured.
    pub fn in_box(&self, epsilon: f64) -> Result<Option<(f64, f64)>> {
        let found = self.boxes.iter().find(|(of, _)| *of == epsilon);
        found.map(|(_, record)| Ok((record.scalar("sharpness")?, record.scalar("sharpness_spread")?))).transpose()
    }

    /// Sharpness in the box of ε; NaN where it is not measured.
    pub fn sharpness(&self, epsilon: f64) -> Result<f64> {
        Ok(self.in_box(epsilon)?.map_or(f64::NAN, |(sharpness, _)| sharpness))
    }

    /// "sharpness 20 % in the box of 1e-3 (spread over starts 0.4)"; `None` where none is measured.
    pub fn sharpness_in_words(&self) -> Result<Option<String>> {
        let mut known = Vec::new();
        for &(epsilon, _) in &self.boxes {
            known.extend(self.in_box(epsilon)?.map(|(best, spread)| match best.is_finite() {
                true => format!("{} % in the box of {epsilon:e} (spread over starts {})", cell(best), cell(spread)),
                false => format!("not finite in the box of {epsilon:e}"),
            }));
        }
        Ok((!known.is_empty()).then(|| format!("sharpness {}", known.join(", "))))
    }

    /// All that was found, with the sharpness in the box of each ε.
    pub fn json(&self, epsilons: &[f64]) -> Result<Value> {
        let of_box = |&epsilon: &f64| {
            let (sharpness, spread) = self.in_box(epsilon)?.unwrap_or((f64::NAN, f64::NAN));
            Ok(json!({"epsilon": epsilon, "sharpness": sharpness, "spread": spread}))
        };
        let (sharpness, eigenvalues) = (epsilons.iter().map(of_box).collect::<Result<Vec<_>>>()?, self.eigenvalues()?);
        Ok(json!({
            "sharpness": sharpness, "rise_nearby": self.rise()?, "top_eigenvalues": eigenvalues,
            "outliers": outliers(eigenvalues),
        }))
    }

    /// Mean rise of the loss a step of [`NEAR`] away, over all directions and both signs; NaN where it is not measured.
    pub fn rise(&self) -> Result<f64> {
        let rise = |record: &Measurements| Ok(mean_rise(record.series("step")?, &Slices::losses(record), NEAR));
        self.slices.map_or(Ok(f64::NAN), rise)
    }

    /// The largest of the Hessian, descending; none where they are not measured.
    pub fn eigenvalues(&self) -> Result<&'a [f64]> {
        self.spectrum.map_or(Ok(&[]), |record| record.series("top_eigenvalues"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_is_written_by_its_name() {
        for (json, cost) in [
            (r#"{"sharpness":{"epsilon":0.001,"starts":4,"steps":20}}"#, 80.0),
            (r#"{"slices":{"directions":5,"points":42}}"#, 70.0),
            (r#"{"spectrum":{"eigenvalues":20,"probes":1,"steps":100,"block":1}}"#, 600.0),
        ] {
            let measure: Measure = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&measure).unwrap(), json);
            assert_eq!(measure.cost(50.0, 7), 50.0 * 7.0 * cost);
        }
    }

    #[test]
    fn what_is_not_measured_is_no_number() {
        let nothing = Around::of([]);
        assert_eq!(nothing.in_box(1e-3).unwrap(), None);
        assert!(nothing.rise().unwrap().is_nan() && nothing.eigenvalues().unwrap().is_empty());
        let search = Measure::Sharpness(Search { epsilon: 1e-3, starts: 1, steps: 1 });
        let record = Measurements::new(1, [("sharpness", 2.0), ("sharpness_spread", 0.5)], []);
        let around = Around::of([(&search, &record)]);
        assert_eq!((around.in_box(1e-3).unwrap(), around.in_box(1e-4).unwrap()), (Some((2.0, 0.5)), None));
    }
}
