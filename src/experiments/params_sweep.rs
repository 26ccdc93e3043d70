//! `hw1 params-sweep`, task 3-2 of the report: loss and accuracy of networks against their number of
//! parameters; and, with label noise, double descent across the interpolation threshold (Belkin et al.
//! 2019, Nakkiran et al. 2020).

use crate::analysis::double_descent::{Bump, bump, heights, peaks, share_of_slope};
use crate::analysis::statistics::{spearman, trend};
use crate::data::{DataSpec, Dataset};
use crate::model::{Architecture, Named};
use crate::plot::{Axis, Color, Mark, Panel, Series};
use crate::settings;
use crate::study::claim::{Claim, Quantity, SEEDS};
use crate::study::number::significant;
use crate::study::seeds::{self, means_at_points, means_over_epochs};
use crate::study::sizes::{self, OverSizes};
use crate::study::table::FINAL;
use crate::study::trust::Doubts;
use crate::study::{
    Context, DATASET_FLAG, Done, Experiment, Findings, Flag, Held, MODELS_FLAG, Measurements, Records, Seeds, Size,
    Table, Trial as TrialTrait, check, curves, points,
};
use crate::tasks::classifier::{ClassifierTraining, MiniBatch, parameters};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use std::ops::ControlFlow;
use std::sync::Arc;

// ---------------------------------------------------------------------------------- settings

settings! {
    #[derive(Clone, Debug, Serialize)]
    pub struct ParamsSweep(spec: DataSpec, fit: MiniBatch, seeds: Seeds) {
        /// Shares of the training labels that are drawn anew, 0…1: a curve each. Empty: the labels as they
        /// are, and the report's question.
        label_noise: Vec<f64>,
        models: Vec<Named<Architecture>>,
        /// Epochs from a test to the next.
        test_every: u64,
    }
}

// -------------------------------------------------------------------- trial, record and run

/// One training of one network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trial {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label_noise: Option<f64>,
    #[serde(default = "each", skip_serializing_if = "is_each")]
    test_every: u64,
    #[serde(flatten)]
    training: ClassifierTraining,
}

fn each() -> u64 {
    1
}

fn is_each(every: &u64) -> bool {
    *every == 1
}

impl TrialTrait for Trial {
    fn seed(&self) -> u64 {
        self.training.seed
    }

    fn cost(&self, data: Option<&dyn Dataset>) -> f64 {
        self.training.cost(data)
    }
}

impl Experiment for ParamsSweep {
    const NAME: &'static str = "params-sweep";
    const ABOUT: &'static str = "Loss and accuracy against the number of parameters (task 3-2)";
    const SETTINGS: &'static str = include_str!("../../experiments/params-sweep.toml");
    const VERSION: u32 = 4;
    const REPEATS_IN_ALL: u64 = 5;
    const FLAGS: &'static [Flag] = &[DATASET_FLAG, MODELS_FLAG];

    type Trial = Trial;
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        self.spec.check()?;
        Named::check(&self.models)?;
        self.models.iter().try_for_each(|named| self.fit.of(&named.model, self.seeds.seed).check(&self.spec))?;
        if let Some(noise) = self.label_noise.iter().find(|noise| !(0.0..=1.0).contains(*noise)) {
            return Err(format!("label_noise has {noise}; each must be from 0 to 1"));
        }
        // As they are told apart by name.
        let shares: Vec<f64> = self.label_noise.iter().map(|noise| percent(*noise)).collect();
        if let Some(share) = check::twice(&shares) {
            return Err(format!("label_noise has {share} % twice"));
        }
        check::at_least_1(&[("test_every", self.test_every)])?;
        self.seeds.check()
    }

    fn size(&self) -> Size {
        let trials = self.models.len() * self.label_noise.len().max(1);
        self.seeds.size(trials, "lower --repeats, or name fewer models or shares of label_noise")
    }

    fn data(&self) -> Option<Arc<dyn Dataset>> {
        Some(Arc::new(self.spec.clone()))
    }

    fn memory(&self) -> Result<Vec<Held>, String> {
        self.models.iter().map(|named| self.fit.of(&named.model, self.seeds.seed).memory(&self.spec)).collect()
    }

    fn label(&self, trial: &Trial) -> String {
        let (name, _) = Named::find(&self.models, &trial.training.model);
        trial.label_noise.map_or(name.clone(), |noise| format!("{name}, {}", noise_name(noise)))
    }

    fn trials(&self, _: &Records<Self>) -> Result<Vec<Trial>> {
        let noises: Vec<Option<f64>> = match self.label_noise.as_slice() {
            [] => vec![None],
            noises => noises.iter().copied().map(Some).collect(),
        };
        let of_noise = |label_noise: Option<f64>| self.models.iter().map(move |named| (label_noise, &named.model));
        let variants: Vec<_> = noises.into_iter().flat_map(of_noise).collect();
        Ok(self.seeds.each(variants, |(label_noise, model), seed| Trial {
            label_noise,
            test_every: self.test_every,
            training: self.fit.of(model, seed),
        }))
    }

    fn run_trial(trial: &Trial, cx: &mut Context) -> Result<Measurements> {
        let mut train = cx.data()?.train.share();
        if let Some(noise) = trial.label_noise {
            // The same labels for every network of a seed.
            train = train.corrupted(noise, trial.training.seed, Self::NAME)?;
        }
        Ok(trial.training.run_observed(trial.test_every, cx, &train, |_, _, _, _| Ok(ControlFlow::Continue(())))?.1)
    }

    fn findings(&self, done: &Records<Self>) -> Result<Findings> {
        let mut findings = Findings::of(self)?;
        if self.label_noise.is_empty() {
            self.show_sizes(done, &mut findings)?;
        } else {
            self.show_noise(done, &mut findings)?;
        }
        Ok(findings)
    }
}

/// "20 % label noise".
fn noise_name(noise: f64) -> String {
    format!("{} % label noise", percent(noise))
}

fn percent(noise: f64) -> f64 {
    // A share like 0.07 is 7.000000000000001 %.
    (noise * 1e8).round() / 1e6
}

// --------------------------------------------------------------------- findings on true labels

/// Below this size, on inputs of so many numbers, the report sees improvement, beyond it none.
const LEVELS_OFF: (f64, f64) = (10_000.0, 784.0);

/// Size and a number of the trained network.
fn by_size(done: &Done<ParamsSweep>, name: &str) -> Result<(f64, f64)> {
    Ok((done.record.parameters as f64, done.record.after_training(name)?))
}

type Points = [(f64, f64)];

impl ParamsSweep {
    /// Parameters up to where the report sees improvement, on as many weights of an input: nearly all are those. To
    /// two digits.
    fn levels_off(&self) -> f64 {
        let (parameters, inputs) = LEVELS_OFF;
        let here = parameters * self.spec.signature().numbers() as f64 / inputs;
        let unit = 10f64.powf((here.log10() - 1.0).floor());
        (here / unit).round() * unit
    }

    fn show_sizes(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        findings.table(Table::new("model", done).parameters().seed().after_training(&FINAL))?;
        findings.figure("size", &[], 2, self.size_panels(done)?)?;
        let panels = curves::of_each_quantity(Axis::linear, done, |done| {
            (done.label.clone(), Named::find(&self.models, &done.trial.training.model).1)
        })?;
        findings.figure("curves", &[], 2, panels)?;
        let mut correlations = Map::new();
        for (_, name) in FINAL {
            let pairs = done.iter().map(|done| by_size(done, name)).collect::<Result<Vec<_>>>()?;
            correlations.insert(name.to_owned(), json!(spearman(&pairs)));
        }
        findings.summarise("spearman_with_parameters", correlations);
        let (rises, left) = self.changes_with_size(done)?;
        let levels_off: (&str, &dyn std::fmt::Display) = ("levels_off", &self.levels_off());
        findings.claims = vec![
            findings.claim("params-sweep-improves", &[levels_off])?.interval(SEEDS, &rises),
            findings.claim("params-sweep-levels-off", &[levels_off])?.interval(SEEDS, &left),
        ];
        Ok(())
    }

    fn size_panels(&self, done: &[Done<Self>]) -> Result<Vec<Panel>> {
        let is_one = self.seeds.repeats == 1;
        let mark = if is_one { Mark::LinePoints } else { Mark::Line };
        let mut by_size: Vec<&Done<Self>> = done.iter().collect();
        by_size.sort_by_key(|done| done.record.parameters);
        let panel = |quantity: &str| {
            let (mut lines, mut all) = (Vec::new(), Vec::new());
            for (color, set) in ["train", "test"].into_iter().enumerate() {
                let name = format!("final_{set}_{quantity}");
                let point = |done: &Done<Self>| Ok((done.record.parameters as f64, done.record.scalar(&name)?));
                let of_seeds = points::of_each_seed(self.seeds, &by_size, (set.into(), color), mark, point)?;
                if !is_one {
                    let of_all = of_seeds.iter().flat_map(|of_seed| of_seed.points.clone()).collect();
                    all.push(Series::new("", Color::Cycle(color), of_all).mark(Mark::Points));
                }
                lines.extend(of_seeds);
            }
            let unit = if quantity == "loss" { " (cross entropy)" } else { "" };
            let series = [means_at_points(lines), all].concat();
            let x = Axis::linear("parameters").levels(by_size.iter().map(|done| done.record.parameters as f64));
            Ok(Panel::plot("", x, Axis::linear(format!("final {quantity}{unit}")), series))
        };
        ["loss", "accuracy"].into_iter().map(panel).collect()
    }

    /// Of each final quantity, within each seed: how it goes with size up to where the report sees it level off, and
    /// what is left of that slope beyond.
    fn changes_with_size(&self, done: &[Done<Self>]) -> Result<(Vec<Quantity>, Vec<Quantity>)> {
        let (mut rises, mut left) = (Vec::new(), Vec::new());
        for (words, name) in FINAL {
            // A loss improves as it falls.
            let (sign, negated) = if words.ends_with("loss") { (-1.0, " (negated)") } else { (1.0, "") };
            let levels_off = self.levels_off();
            let of_seeds = |number: fn(&Points, &Points) -> f64| {
                self.seeds.numbers(done, self.models.len(), |trials| {
                    let point = |done: &&Done<Self>| by_size(done, name).map(|(size, value)| (size, sign * value));
                    let points = trials.iter().map(point).collect::<Result<Vec<_>>>()?;
                    let (small, large): (Vec<_>, Vec<_>) = points.iter().partition(|(size, _)| *size <= levels_off);
                    Ok(number(&small, &large))
                })
            };
            let (trends, shares) = (of_seeds(|small, _| trend(small))?, of_seeds(share_of_slope)?);
            rises.push(Quantity::new(format!("correlation of size and {words}{negated}"), trends).range([-1.0, 1.0]));
            left.push(Quantity::new(format!("share of the slope of {words}"), shares));
        }
        Ok((rises, left))
    }
}

// ------------------------------------------------- findings on double descent, with label noise

/// Fitted: the share of training labels that are wrong at the end, at most.
const FITTED: f64 = 0.01;
/// The peak is near the threshold within this factor of its size.
const NEAR: f64 = 3.0;
/// A loss or error is level where it changes by less than this factor.
const LEVEL_FACTOR: f64 = 1.1;

/// What was measured at one level of noise.
struct Level {
    noise: f64,
    networks: OverSizes,
}

impl Level {
    fn of(settings: &ParamsSweep, noise: f64, done: &[Done<ParamsSweep>]) -> Result<Self> {
        let mut sizes: Vec<i64> =
            settings.models.iter().map(|named| parameters(&named.model, Some(&settings.spec)) as i64).collect();
        sizes.sort_unstable();
        let at_level = done.iter().filter(|done| done.trial.label_noise == Some(noise));
        Ok(Self { noise, networks: OverSizes::of(settings.seeds, &sizes, at_level.collect())? })
    }

    fn threshold(&self) -> Option<f64> {
        self.networks.first_fitted(FITTED)
    }
}

impl ParamsSweep {
    fn show_noise(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        let table = Table::new("network", done)
            .parameters()
            .seed()
            .after_training(&FINAL[..1])
            .number("train error", |record| record.final_error("train"))
            .after_training(&FINAL[2..3])
            .number("test error", |record| record.final_error("test"));
        findings.table(table)?;
        let levels = self.label_noise.iter().map(|noise| Level::of(self, *noise, done)).collect::<Result<Vec<_>>>()?;
        self.draw_descent(&levels, findings)?;
        self.draw_epochs(&levels, done, findings)?;
        let threshold = |level: &Level| json!({"label_noise": level.noise, "parameters": level.threshold()});
        findings.summarise("interpolation_thresholds", levels.iter().map(threshold).collect::<Vec<_>>());
        findings.claims = levels.iter().map(|level| descent_claim(level, findings)).collect::<Result<_>>()?;
        let (factor, size) = (LEVEL_FACTOR.log10(), self.levels_off());
        let with: &[(&str, &dyn std::fmt::Display)] = &[("levels_off", &size), ("factor", &LEVEL_FACTOR)];
        let improves = findings.claim("noise-improves", with)?.interval(SEEDS, &trends_below(&levels, size));
        let levels_off = findings.claim("noise-levels-off", with)?.within([-factor, factor]);
        let levels_off = levels_off.interval(SEEDS, &changes_beyond(&levels, size));
        findings.claims.extend([improves, levels_off]);
        Ok(())
    }

    /// Error and loss against size, at each level of noise.
    fn draw_descent(&self, levels: &[Level], findings: &mut Findings) -> Result<()> {
        // Where the threshold should be by counting, and where it is for each curve.
        let outputs = self.spec.signature().target.outputs() as f64;
        let counted = (self.spec.train_size as f64 * outputs, "n · classes".to_owned());
        let rules = [vec![counted], fitted_at(levels)].concat();
        let unfitted = levels.iter().filter(|level| level.threshold().is_none());
        let unfitted: Vec<String> = unfitted.map(|level| percent(level.noise).to_string()).collect();
        let none = (!unfitted.is_empty()).then(|| {
            let noises = unfitted.join(" and ");
            format!("With {noises} % label noise no network fits all labels: a threshold, and a second descent, may lie beyond.")
        });
        findings.doubt("double-descent", &Doubts::of([none]));
        let named: Vec<_> = levels.iter().map(|level| (noise_name(level.noise), &level.networks)).collect();
        let panels = sizes::panels(&named, &rules);
        findings.figure("double-descent", &[("fitted", &(100.0 * (1.0 - FITTED)))], 2, panels)
    }

    /// Test and training error over epochs at the highest noise, of the networks at dip, peak and end.
    fn draw_epochs(&self, levels: &[Level], done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        let mut chosen: Vec<f64> = Vec::new();
        if let Some(Level { networks, .. }) = noisiest(levels) {
            if let Some(Bump { dip, peak, .. }) = bump(&networks.mean_test_error()) {
                chosen.extend([networks.sizes[dip], networks.sizes[peak]]);
            }
            chosen.extend(networks.sizes.last());
        }
        let noise = noisiest(levels).map_or(0.0, |level| level.noise);
        let (mut test, mut train) = (Vec::new(), Vec::new());
        for done in done.iter().filter(|done| done.trial.label_noise == Some(noise)) {
            let record = &done.record;
            let Some(color) = chosen.iter().position(|size| *size == record.parameters as f64) else { continue };
            let label = self.seeds.legend(done.seed(), format!("{} parameters", record.parameters));
            // The last test is at the last epoch.
            let (every, last) = (self.test_every as f64, record.scalar("epochs_run")?);
            let points = |name: &str, every: f64, last: f64| -> Result<Vec<(f64, f64)>> {
                let epochs = (1..).map(|test| (f64::from(test) * every).min(last));
                Ok(epochs.zip(record.series(name)?.iter().map(|right| 1.0 - right)).collect())
            };
            let curve =
                |label: String, points| Series::new(label, Color::Cycle(color), points).named(seeds::name(done.seed()));
            test.push(curve(label, points("test_accuracy", every, last)?));
            train.push(curve(String::new(), points("train_accuracy", 1.0, f64::INFINITY)?));
        }
        let panels = vec![
            Panel::plot("Test", Axis::log("epoch"), Axis::linear("test error"), means_over_epochs(test)),
            Panel::plot("Training", Axis::log("epoch"), Axis::linear("training error"), means_over_epochs(train)),
        ];
        findings.figure("epochs", &[("noise", &noise_name(noise))], 2, panels)
    }
}

/// The size from which on networks fit all labels, of each level of noise that has one: those of one size share a line.
fn fitted_at(levels: &[Level]) -> Vec<(f64, String)> {
    let mut by_size: Vec<(f64, Vec<f64>)> = Vec::new();
    for (noise, threshold) in levels.iter().filter_map(|level| Some((level.noise, level.threshold()?))) {
        match by_size.iter_mut().find(|(size, _)| *size == threshold) {
            Some((_, noises)) => noises.push(noise),
            None => by_size.push((threshold, vec![noise])),
        }
    }
    let label = |noises: &[f64]| {
        let all: Vec<String> = noises.iter().map(|noise| percent(*noise).to_string()).collect();
        format!("fits all: {} %", all.join(", "))
    };
    by_size.into_iter().map(|(size, noises)| (size, label(&noises))).collect()
}

fn noisiest(levels: &[Level]) -> Option<&Level> {
    levels.iter().max_by(|a, b| a.noise.total_cmp(&b.noise))
}

/// Whether the test error has a second descent at one level of noise, its peak near the threshold.
fn descent_claim(level: &Level, findings: &Findings) -> Result<Claim> {
    let OverSizes { sizes, test_error, .. } = &level.networks;
    let mean_error = level.networks.mean_test_error();
    let (found, threshold) = (bump(&mean_error), level.threshold());
    let name = "height of the peak in test error, above the dip before it and the largest network";
    let with: &[(&str, &dyn std::fmt::Display)] = &[
        ("percent", &percent(level.noise)),
        ("noise", &noise_name(level.noise)),
        ("near", &NEAR),
        ("fitted", &FITTED),
    ];
    let height = Quantity::new(name, heights(test_error));
    // Of the peak without each seed that may be left out.
    let near = threshold.map(|threshold| {
        let is_near = |peak: &usize| (1.0 / NEAR..=NEAR).contains(&(sizes[*peak] / threshold));
        peaks(test_error).iter().map(is_near).collect::<Vec<bool>>()
    });
    let claim = findings.claim("double-descent", with)?.interval(SEEDS, &[height]).only_near(near.as_deref());
    let threshold_text = threshold.map_or("no network fits all labels".to_owned(), |parameters| {
        format!("networks fit all labels from {parameters} parameters on")
    });
    let at = |place: usize| {
        let error = significant(100.0 * mean_error[place], 3);
        (format!("{error} %"), sizes[place])
    };
    let text = match found {
        Some(Bump { dip, peak, .. }) => {
            let [(low, at_low), (high, at_high), (end, at_end)] = [dip, peak, mean_error.len() - 1].map(at);
            format!(
                "Mean test error {low} at {at_low} parameters, {high} at {at_high}, {end} at {at_end}; {threshold_text}."
            )
        }
        None => format!("The mean test error over size has no dip before a peak; {threshold_text}."),
    };
    let claim = claim.noting(&text).and("threshold", json!(threshold)).and("sizes", sizes.clone());
    Ok(claim.and("mean_test_error", mean_error).and("bump", json!(found)))
}

/// Of each level of noise: how test accuracy goes with size, within each seed, where the report sees it improve.
fn trends_below(levels: &[Level], levels_off: f64) -> Vec<Quantity> {
    let of_level = |Level { noise, networks }: &Level| {
        let trend_of = |curve: &Vec<f64>| {
            let small = networks.sizes.iter().zip(curve).filter(|(size, _)| **size <= levels_off);
            trend(&small.map(|(size, error)| (*size, 1.0 - error)).collect::<Vec<_>>())
        };
        let trends = networks.test_error.iter().map(trend_of).collect();
        Quantity::new(noise_name(*noise), trends).range([-1.0, 1.0])
    };
    levels.iter().map(of_level).collect()
}

/// Of each level of noise: test error and loss of the largest network by those of the first beyond, log₁₀.
fn changes_beyond(levels: &[Level], levels_off: f64) -> Vec<Quantity> {
    let mut changes = Vec::new();
    for Level { noise, networks } in levels {
        let Some(first) = networks.sizes.iter().position(|size| *size > levels_off) else { continue };
        for (name, curves) in [("test error", &networks.test_error), ("test loss", &networks.test_loss)] {
            let ratios = curves.iter().map(|curve| (curve[curve.len() - 1] / curve[first]).log10()).collect();
            let name = format!("{name} with {}", noise_name(*noise));
            changes.push(Quantity::new(name, ratios).shown_as(|power| 10f64.powf(power)));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_curve_has_its_own_line_where_it_fits() {
        let level = |noise, train_error: [f64; 3]| {
            let curves = || vec![train_error.to_vec()];
            let (test_error, test_loss, train_loss) = (curves(), curves(), curves());
            let networks =
                OverSizes { sizes: vec![10.0, 20.0, 40.0], test_error, test_loss, train_error: curves(), train_loss };
            Level { noise, networks }
        };
        let levels = [
            level(0.0, [0.2, 0.01, 0.0]),
            level(0.1, [0.2, 0.1, 0.0]),
            level(0.15, [0.2, 0.1, 0.005]),
            level(0.2, [0.2, 0.1, 0.02]),
        ];
        let expected = [(20.0, "fits all: 0 %"), (40.0, "fits all: 10, 15 %")];
        assert_eq!(fitted_at(&levels), expected.map(|(size, label)| (size, label.to_owned())));
        assert!(fitted_at(&levels[3..]).is_empty());
    }
}
