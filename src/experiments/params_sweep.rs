//! `hw1 params-sweep`, task 3-2 of the report: loss and accuracy of networks against their number of
//! parameters; and, with label noise, double descent across the interpolation threshold (Belkin et al.
//! 2019, Nakkiran et al. 2020).

use crate::analysis::double_descent::{Bump, bump, heights, mean_curve, peaks};
use crate::analysis::statistics::{slope, spearman, trend};
use crate::data::CLASSES;
use crate::data::batches::{DataSpec, DatasetName};
use crate::model::{Classifier, Named};
use crate::plot::{Axis, Color, Figure, Mark, Panel, Series};
use crate::study::claim::{Claim, Claimed, Quantity, SEEDS, Verdict};
use crate::study::models_flag;
use crate::study::number::significant;
use crate::study::old::{Curve, panel};
use crate::study::seeds::{self, means_at_points, means_over_epochs};
use crate::study::{
    Cell, Context, DATASET_FLAG, Done, Experiment, Findings, Flag, Measurements, Records, Size, Trial as TrialTrait,
    cell, check,
};
use crate::tasks::classifier::{ClassifierTraining, MiniBatch};
use crate::train::OptimizerName;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::ops::ControlFlow;

// ---------------------------------------------------------------------------------- settings

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamsSweep {
    dataset: DatasetName,
    train_size: usize,
    test_size: usize,
    /// Shares of the training labels that are drawn anew, 0…1: a curve each. Empty: the labels as they
    /// are, and the report's question.
    label_noise: Vec<f64>,
    models: Vec<Named<Classifier>>,
    optimizer: OptimizerName,
    learning_rate: f64,
    batch_size: u32,
    shuffle: bool,
    epochs: u64,
    /// Epochs from a test to the next.
    test_every: u64,
    seed: u64,
    repeats: u64,
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

    fn cost(&self) -> f64 {
        self.training.cost()
    }
}

crate::settings_as_before!(ParamsSweep);

impl Experiment for ParamsSweep {
    const NAME: &'static str = "params-sweep";
    const ABOUT: &'static str = "Loss and accuracy against the number of parameters (task 3-2)";
    const SETTINGS: &'static str = include_str!("../../experiments/params-sweep.toml");
    const VERSION: u32 = 3;
    const REPEATS_IN_ALL: u64 = 5;
    const FLAGS: &'static [Flag] =
        &[DATASET_FLAG, models_flag("A network, like 784-20-10-10; replaces the report's eleven")];

    type Trial = Trial;
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        self.spec().check()?;
        Named::check(&self.models)?;
        for named in &self.models {
            self.trial(&named.model, None, self.seed).training.check()?;
        }
        if let Some(noise) = self.label_noise.iter().find(|noise| !(0.0..=1.0).contains(*noise)) {
            return Err(format!("label_noise has {noise}; each must be from 0 to 1"));
        }
        // As they are told apart by name.
        let shares: Vec<f64> = self.label_noise.iter().map(|noise| percent(*noise)).collect();
        if let Some(share) = check::twice(&shares) {
            return Err(format!("label_noise has {share} % twice"));
        }
        if self.test_every == 0 {
            return Err("test_every is 0; it must be at least 1".into());
        }
        check::seeds(self.seed, self.repeats)
    }

    fn size(&self) -> Size {
        let trials = self.models.len() as u128 * self.label_noise.len().max(1) as u128;
        Size::of_seeds(self.repeats, trials, "lower --repeats, or name fewer models or shares of label_noise")
    }

    fn data(&self) -> Option<DataSpec> {
        Some(self.spec())
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
        let mut trials = Vec::new();
        for seed in self.seed..self.seed + self.repeats {
            for &noise in &noises {
                trials.extend(self.models.iter().map(|named| self.trial(&named.model, noise, seed)));
            }
        }
        Ok(trials)
    }

    fn run_trial(trial: &Trial, cx: &mut Context) -> Result<Measurements> {
        let mut train = cx.images()?.train.on(cx.device);
        if let Some(noise) = trial.label_noise {
            // The same labels for every network of a seed.
            train = train.corrupted(noise, trial.training.seed, Self::NAME)?;
        }
        Ok(trial.training.run_tested_every(trial.test_every, cx, &train, |_, _, _, _| Ok(ControlFlow::Continue(())))?.1)
    }

    fn findings(&self, done: &Records<Self>) -> Result<Findings> {
        if self.label_noise.is_empty() { report(self, &done.0) } else { noise_report(self, &done.0) }
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

impl ParamsSweep {
    fn spec(&self) -> DataSpec {
        DataSpec { dataset: self.dataset, train_size: self.train_size, test_size: self.test_size }
    }

    fn trial(&self, model: &Classifier, label_noise: Option<f64>, seed: u64) -> Trial {
        let training = ClassifierTraining {
            model: model.clone(),
            fit: MiniBatch {
                optimizer: self.optimizer,
                learning_rate: self.learning_rate,
                batch_size: self.batch_size,
                shuffle: self.shuffle,
                epochs: self.epochs,
            },
            seed,
        };
        Trial { label_noise, test_every: self.test_every, training }
    }
}

// ------------------------------------------------------------------------------------ report

type DoneTrial = Done<ParamsSweep>;

const FINAL: [&str; 4] = ["final_train_loss", "final_train_accuracy", "final_test_loss", "final_test_accuracy"];

fn report(settings: &ParamsSweep, done: &[DoneTrial]) -> Result<Findings> {
    let mut report = Findings::default();
    let columns = ["model", "parameters", "seed", "train loss", "train accuracy", "test loss", "test accuracy"];
    report.columns = columns.map(str::to_owned).to_vec();
    for trial in done {
        let mut row = vec![
            trial.label.clone().into(),
            Cell::Count(trial.record.parameters as f64),
            Cell::Seed(trial.trial.seed()),
        ];
        for name in FINAL {
            row.push(cell(trial.record.after_training(name)?));
        }
        report.rows.push(row);
    }
    let data = settings.spec().title();
    report.figures = vec![size_figure(settings, done, data)?, curve_figure(settings, done, data)?];
    let mut correlations = serde_json::Map::new();
    for name in FINAL {
        correlations.insert(name.to_owned(), json!(size_correlation(done, name)?));
    }
    report.summary.insert("spearman_with_parameters".into(), correlations.into());
    report.summary.insert("data".into(), data.into());
    report.claims = claims(settings, done)?;
    Ok(report)
}

fn size_figure(settings: &ParamsSweep, done: &[DoneTrial], data: &str) -> Result<Figure> {
    let mut panels = Vec::new();
    for (quantity, y) in
        [("loss", Axis::linear("final loss (cross entropy)")), ("accuracy", Axis::linear("final accuracy"))]
    {
        let mut series = Vec::new();
        let mut all = Vec::new();
        for (color, set) in ["train", "test"].into_iter().enumerate() {
            let mut of_all = Vec::new();
            for seed in settings.seed..settings.seed + settings.repeats {
                let mut points = Vec::new();
                for trial in done.iter().filter(|trial| trial.trial.seed() == seed) {
                    let value = trial.record.scalar(&format!("final_{set}_{quantity}"))?;
                    points.push((trial.record.parameters as f64, value));
                }
                points.sort_by(|a, b| a.0.total_cmp(&b.0));
                of_all.extend_from_slice(&points);
                let mark = if settings.repeats > 1 { Mark::Line } else { Mark::LinePoints };
                series.push(Series::new(set, Color::Cycle(color), points).mark(mark));
            }
            if settings.repeats > 1 {
                all.push(Series::new("", Color::Cycle(color), of_all).mark(Mark::Points));
            }
        }
        let mut series = means_at_points(series);
        series.extend(all);
        panels.push(Panel::plot("", Axis::linear("parameters"), y, series));
    }
    Ok(Figure {
        name: "size".into(),
        title: format!("Loss and accuracy against size, {data}"),
        caption: format!(
            "Final loss and accuracy on the training and test images of {data} against the number of parameters, \
             after {} epochs.{}",
            settings.epochs,
            seeds::caption(settings.repeats)
        ),
        columns: 2,
        panels,
    })
}

fn curve_figure(settings: &ParamsSweep, done: &[DoneTrial], data: &str) -> Result<Figure> {
    let mut panels = Vec::new();
    for (set, quantity) in [("train", "loss"), ("train", "accuracy"), ("test", "loss"), ("test", "accuracy")] {
        let mut curves = Vec::new();
        for trial in done {
            let (_, color) = Named::find(&settings.models, &trial.trial.training.model);
            // One legend serves all four panels.
            let label = if (set, quantity) == ("train", "accuracy") { trial.label.clone() } else { String::new() };
            curves.push(Curve {
                label,
                color,
                dashed: color >= 6,
                values: trial.record.series(&format!("{set}_{quantity}"))?,
            });
        }
        panels.push(panel(Axis::linear(format!("{set} {quantity}")), &curves));
    }
    Ok(Figure {
        name: "curves".into(),
        title: format!("Loss and accuracy over epochs, {data}"),
        caption: format!(
            "Loss and accuracy on the training images (means while training) and test images of {data} after each \
             epoch.{}",
            seeds::caption(settings.repeats)
        ),
        columns: 2,
        panels,
    })
}

// ------------------------------------------------------------------------------------ claims

/// Spearman's correlation of a final value with the number of parameters, over all trials.
fn size_correlation(done: &[DoneTrial], name: &str) -> Result<Option<f64>> {
    let mut pairs = Vec::new();
    for trial in done {
        pairs.push((trial.record.parameters as f64, trial.record.after_training(name)?));
    }
    Ok(spearman(&pairs))
}

/// Below this size the report sees improvement, beyond it none.
const LEVELS_OFF: i64 = 10_000;

fn claims(settings: &ParamsSweep, done: &[DoneTrial]) -> Result<Vec<Claim>> {
    let (mut rises, mut left) = (Vec::new(), Vec::new());
    for name in FINAL {
        // A loss improves as it falls.
        let sign = if name.ends_with("loss") { -1.0 } else { 1.0 };
        let words = name.replace("final_", "").replace('_', " ");
        let (mut trends, mut shares) = (Vec::new(), Vec::new());
        for seed in settings.seed..settings.seed + settings.repeats {
            let mut points = Vec::new();
            for trial in done.iter().filter(|trial| trial.trial.seed() == seed) {
                points.push((trial.record.parameters as f64, sign * trial.record.after_training(name)?));
            }
            if points.is_empty() {
                continue;
            }
            if points.len() < settings.models.len() {
                // Of a network whose trial failed it cannot be told.
                trends.push(f64::NAN);
                shares.push(f64::NAN);
                continue;
            }
            let (small, large): (Vec<_>, Vec<_>) = points.iter().partition(|(size, _)| *size <= LEVELS_OFF as f64);
            trends.push(trend(&small));
            shares.push(share_of_slope(&small, &large));
        }
        let negated = if sign > 0.0 { "" } else { " (negated)" };
        rises.push(Quantity::new(format!("size and {words}{negated}"), trends).range([-1.0, 1.0]));
        left.push(Quantity::new(words, shares));
    }
    Ok(vec![
        Claim::interval(
            "params-sweep-improves",
            "Up to about 10000 parameters loss falls and accuracy rises with size.",
            SEEDS,
            &rises,
            Claimed::Above(0.0),
            "Spearman's correlation of size and each of loss and accuracy, final, within a seed, up to 10000 parameters",
        ),
        Claim::interval(
            "params-sweep-levels-off",
            &format!(
                "Beyond 10000 parameters both level off: what a parameter changes there is less than {LITTLE} of what it \
                 gains below."
            ),
            SEEDS,
            &left,
            Claimed::Within([-LITTLE, LITTLE]),
            "slope of each of loss and accuracy, final, over size beyond 10000 parameters, by the slope below, within a \
             seed",
        ),
    ])
}

/// What is left of the slope of the smaller networks beyond them; NaN where those gain nothing.
fn share_of_slope(small: &[(f64, f64)], large: &[(f64, f64)]) -> f64 {
    let gains = slope(small).filter(|slope| *slope > 0.0);
    gains.zip(slope(large)).map_or(f64::NAN, |(gains, beyond)| beyond / gains)
}

/// A slope of this share of the one before is level.
const LITTLE: f64 = 0.25;

// --------------------------------------------------------------- double descent, with label noise

/// Fitted: the share of training labels that are wrong at the end, at most.
const FITTED: f64 = 0.01;
/// The peak is near the threshold within this factor of its size.
const NEAR: f64 = 3.0;
/// A loss or error is level where it changes by less than this factor.
const LEVEL_FACTOR: f64 = 1.1;

/// All that was measured at one level of noise: quantities over sizes, a curve a seed.
struct Level {
    noise: f64,
    /// Parameters, ascending.
    sizes: Vec<f64>,
    seeds: Vec<u64>,
    test_error: Vec<Vec<f64>>,
    test_loss: Vec<Vec<f64>>,
    train_error: Vec<Vec<f64>>,
    train_loss: Vec<Vec<f64>>,
}

impl Level {
    /// The seeds whose trials are all done.
    fn of(settings: &ParamsSweep, noise: f64, done: &[DoneTrial]) -> Result<Self> {
        let mut models: Vec<&Classifier> = settings.models.iter().map(|named| &named.model).collect();
        models.sort_by_key(|model| model.layout().parameters());
        let sizes = models.iter().map(|model| model.layout().parameters() as f64).collect();
        let mut level = Self {
            noise,
            sizes,
            seeds: Vec::new(),
            test_error: Vec::new(),
            test_loss: Vec::new(),
            train_error: Vec::new(),
            train_loss: Vec::new(),
        };
        for seed in settings.seed..settings.seed + settings.repeats {
            let of_model = |model: &&Classifier| {
                done.iter().find(|done| {
                    let trial = &done.trial;
                    (trial.label_noise, trial.seed()) == (Some(noise), seed) && trial.training.model == **model
                })
            };
            let Some(trials) = models.iter().map(of_model).collect::<Option<Vec<_>>>() else { continue };
            let curve =
                |name: &str| trials.iter().map(|trial| trial.record.after_training(name)).collect::<Result<Vec<f64>>>();
            let error = |name: &str| Ok::<_, anyhow::Error>(curve(name)?.iter().map(|right| 1.0 - right).collect());
            level.seeds.push(seed);
            level.test_error.push(error("final_test_accuracy")?);
            level.train_error.push(error("final_train_accuracy")?);
            level.test_loss.push(curve("final_test_loss")?);
            level.train_loss.push(curve("final_train_loss")?);
        }
        Ok(level)
    }

    /// Parameters of the smallest network whose mean training error is at most [`FITTED`].
    fn threshold(&self) -> Option<f64> {
        let errors = mean_of(&self.train_error);
        errors.iter().position(|error| *error <= FITTED).and_then(|at| self.sizes.get(at).copied())
    }
}

fn mean_of(curves: &[Vec<f64>]) -> Vec<f64> {
    mean_curve(&curves.iter().collect::<Vec<_>>())
}

fn noise_report(settings: &ParamsSweep, done: &[DoneTrial]) -> Result<Findings> {
    let mut report = Findings::default();
    let columns = ["network", "parameters", "seed", "train loss", "train error", "test loss", "test error"];
    report.columns = columns.map(str::to_owned).to_vec();
    for trial in done {
        let after = |name: &str| trial.record.after_training(name);
        report.rows.push(vec![
            trial.label.clone().into(),
            Cell::Count(trial.record.parameters as f64),
            Cell::Seed(trial.trial.seed()),
            cell(after("final_train_loss")?),
            cell(1.0 - after("final_train_accuracy")?),
            cell(after("final_test_loss")?),
            cell(1.0 - after("final_test_accuracy")?),
        ]);
    }
    let mut levels = Vec::new();
    for &noise in &settings.label_noise {
        levels.push(Level::of(settings, noise, done)?);
    }
    let data = settings.spec().title();
    report.figures = vec![descent_figure(settings, &levels, data), epochs_figure(settings, &levels, done, data)?];
    let thresholds: Vec<_> =
        levels.iter().map(|level| json!({"label_noise": level.noise, "parameters": level.threshold()})).collect();
    report.summary.insert("interpolation_thresholds".into(), thresholds.into());
    report.summary.insert("data".into(), data.into());
    report.claims = levels.iter().map(descent_claim).collect();
    report.claims.push(improves_claim(&levels));
    report.claims.push(levels_off_claim(&levels));
    Ok(report)
}

fn descent_figure(settings: &ParamsSweep, levels: &[Level], data: &str) -> Figure {
    let samples = settings.train_size;
    let mut panels = Vec::new();
    for (title, y, curves) in [
        ("Test error", Axis::linear("test error"), (|level: &Level| &level.test_error) as fn(&Level) -> &Vec<Vec<f64>>),
        ("Test loss", Axis::log("test loss (cross entropy)"), |level| &level.test_loss),
        ("ClassifierTraining error", Axis::linear("training error"), |level| &level.train_error),
        ("ClassifierTraining loss", Axis::log("training loss (cross entropy)"), |level| &level.train_loss),
    ] {
        let mut series = Vec::new();
        for (color, level) in levels.iter().enumerate() {
            for (index, curve) in curves(level).iter().enumerate() {
                // One legend serves all four panels.
                let label = if index == 0 && title == "ClassifierTraining error" {
                    noise_name(level.noise)
                } else {
                    String::new()
                };
                let points = level.sizes.iter().copied().zip(curve.iter().copied()).collect();
                series.push(Series::new(label, Color::Cycle(color), points).mark(Mark::LinePoints));
            }
        }
        let panel = Panel::plot(title, Axis::log("parameters"), y, means_at_points(series));
        panels.push(panel.rules(rules(samples, levels)));
    }
    Figure {
        name: "double-descent".into(),
        title: format!("Double descent on {samples} images of {data}"),
        caption: format!(
            "Error and loss after {} epochs against the number of parameters, on {samples} training images of {data}, \
             a share of whose labels is drawn anew uniformly from all ten, and on the test images with their true \
             labels. Vertical lines: as many parameters as training images times classes, and the interpolation \
             threshold, the smallest network that gets at least {} % of the training labels right at the highest \
             noise.{}",
            settings.epochs,
            100.0 * (1.0 - FITTED),
            seeds::caption(settings.repeats)
        ),
        columns: 2,
        panels,
    }
}

/// Where the threshold should be by counting, and where it is at the highest noise.
fn rules(samples: usize, levels: &[Level]) -> Vec<(f64, String)> {
    let mut rules = vec![(samples as f64 * f64::from(CLASSES), "n · classes".to_owned())];
    let noisiest = levels.iter().max_by(|a, b| a.noise.total_cmp(&b.noise));
    rules.extend(noisiest.and_then(Level::threshold).map(|parameters| (parameters, "fits all labels".to_owned())));
    rules
}

/// Test and training error over epochs at the highest noise, of the networks at dip, peak and end.
fn epochs_figure(settings: &ParamsSweep, levels: &[Level], done: &[DoneTrial], data: &str) -> Result<Figure> {
    let noisiest = levels.iter().max_by(|a, b| a.noise.total_cmp(&b.noise));
    let mut chosen: Vec<f64> = Vec::new();
    if let Some(level) = noisiest {
        if let Some(Bump { dip, peak, .. }) = bump(&mean_of(&level.test_error)) {
            chosen.extend([level.sizes[dip], level.sizes[peak]]);
        }
        chosen.extend(level.sizes.last());
    }
    let noise = noisiest.map_or(0.0, |level| level.noise);
    let (mut test, mut train) = (Vec::new(), Vec::new());
    for trial in done.iter().filter(|trial| trial.trial.label_noise == Some(noise)) {
        let Some(color) = chosen.iter().position(|size| *size == trial.record.parameters as f64) else { continue };
        let is_first = trial.trial.seed() == settings.seed;
        let label = if is_first { format!("{} parameters", trial.record.parameters) } else { String::new() };
        let epochs = trial.record.scalar("epochs_run")?;
        let tests = trial.record.series("test_accuracy")?.iter().enumerate();
        let tested = tests.map(|(at, right)| (((at as u64 + 1) * settings.test_every) as f64, 1.0 - right));
        let tested = tested.map(|(epoch, error)| (epoch.min(epochs), error)).collect();
        let trained = trial.record.series("train_accuracy")?.iter().enumerate();
        let trained = trained.map(|(at, right)| (at as f64 + 1.0, 1.0 - right)).collect();
        test.push(Series::new(label, Color::Cycle(color), tested));
        train.push(Series::new("", Color::Cycle(color), trained));
    }
    Ok(Figure {
        name: "epochs".into(),
        title: format!("Error over epochs with {}, {data}", noise_name(noise)),
        caption: format!(
            "Error on the test images every {} epochs, and on the noisy training labels while training, with {}, of \
             the networks at the dip, at the peak and at the right end of the curve of test error over size.{}",
            settings.test_every,
            noise_name(noise),
            seeds::caption(settings.repeats)
        ),
        columns: 2,
        panels: vec![
            Panel::plot("Test", Axis::log("epoch"), Axis::linear("test error"), means_over_epochs(test)),
            Panel::plot(
                "ClassifierTraining",
                Axis::log("epoch"),
                Axis::linear("training error"),
                means_over_epochs(train),
            ),
        ],
    })
}

/// Whether the test error has a second descent at one level of noise, its peak near the threshold.
fn descent_claim(level: &Level) -> Claim {
    let mean_error = mean_of(&level.test_error);
    let (found, threshold) = (bump(&mean_error), level.threshold());
    let heights = heights(&level.test_error);
    let mut claim = Claim::interval(
        &format!("params-sweep-double-descent-{}", (level.noise * 1e8).round() / 1e6),
        &format!(
            "With {} the test error falls, rises to a peak of at least {SMALLEST_BUMP} near the interpolation threshold \
             and falls again.",
            noise_name(level.noise)
        ),
        SEEDS,
        &[Quantity::new("height of the peak in test error, above the dip before it and the largest network", heights)],
        Claimed::AtLeast(SMALLEST_BUMP),
        &format!(
            "height with dip and peak of the other seeds' mean; and that peak, whichever seed is left out, within a \
             factor of {NEAR} of the smallest network with a mean training error of at most {FITTED}; refuted also where \
             it is elsewhere whichever is left out"
        ),
    );
    let near: Vec<bool> = threshold.map_or(Vec::new(), |threshold| {
        let is_near = |peak: &usize| (1.0 / NEAR..=NEAR).contains(&(level.sizes[*peak] / threshold));
        peaks(&level.test_error).iter().map(is_near).collect()
    });
    claim.verdict = at_threshold(claim.verdict, threshold.is_some(), &near);
    let percent = |share: f64| format!("{} %", significant(100.0 * share, 3));
    let threshold_text = threshold.map_or("no network fits all labels".to_owned(), |parameters| {
        format!("networks fit all labels from {parameters} parameters on")
    });
    let text = match found {
        Some(Bump { dip, peak, .. }) => format!(
            "Mean test error {} at {} parameters, {} at {}, {} at {}; {threshold_text}.",
            percent(mean_error[dip]),
            level.sizes[dip],
            percent(mean_error[peak]),
            level.sizes[peak],
            percent(mean_error[mean_error.len() - 1]),
            level.sizes[mean_error.len() - 1],
        ),
        None => format!("The mean test error over size has no dip before a peak; {threshold_text}."),
    };
    claim
        .noting(&text)
        .and("threshold", json!(threshold))
        .and("sizes", level.sizes.clone())
        .and("mean_test_error", mean_error)
        .and("bump", json!(found))
        .differing_from(
            "Belkin et al. 2019 and Nakkiran et al. 2020 go to thousands of times the threshold's size, with \
             convolutional networks on CIFAR among others; here one hidden layer, and sizes from a tenth to ten times the \
             threshold's: a second descent beyond would not be seen",
        )
}

/// What remains of a verdict on a peak's height when it is asked where the peak is: `near` the threshold or not,
/// a case for each seed that may be left out; and whether there is a threshold at all.
fn at_threshold(height: Verdict, has_threshold: bool, near: &[bool]) -> Verdict {
    match height {
        // Without a network that fits, nothing is said of what lies beyond the threshold.
        _ if !has_threshold => Verdict::Inconclusive,
        Verdict::Supported if near.iter().all(|near| *near) && !near.is_empty() => Verdict::Supported,
        Verdict::Supported if near.iter().any(|near| *near) || near.is_empty() => Verdict::Inconclusive,
        Verdict::Supported => Verdict::Refuted,
        other => other,
    }
}

/// A peak of a lower height, in test error, would not be seen.
const SMALLEST_BUMP: f64 = 0.01;

/// The report's first claim, of test error and at every level of noise.
fn improves_claim(levels: &[Level]) -> Claim {
    let mut correlations = Vec::new();
    for level in levels {
        let trends = level.test_error.iter().map(|curve| {
            let small = level.sizes.iter().zip(curve).filter(|(size, _)| **size <= LEVELS_OFF as f64);
            trend(&small.map(|(size, error)| (*size, 1.0 - error)).collect::<Vec<_>>())
        });
        correlations.push(Quantity::new(noise_name(level.noise), trends.collect()).range([-1.0, 1.0]));
    }
    Claim::interval(
        "params-sweep-improves",
        "Up to about 10000 parameters loss falls and accuracy rises with size.",
        SEEDS,
        &correlations,
        Claimed::Above(0.0),
        "Spearman's correlation of size and test accuracy within a seed, up to 10000 parameters, at each level of noise",
    )
}

/// The report's second claim, of test error and test loss at every level of noise.
fn levels_off_claim(levels: &[Level]) -> Claim {
    let mut changes = Vec::new();
    for level in levels {
        let Some(first) = level.sizes.iter().position(|size| *size > LEVELS_OFF as f64) else { continue };
        for (name, curves) in [("test error", &level.test_error), ("test loss", &level.test_loss)] {
            let ratios = curves.iter().map(|curve| (curve[curve.len() - 1] / curve[first]).log10()).collect();
            let name = format!("{name} with {}", noise_name(level.noise));
            changes.push(Quantity::new(name, ratios).shown_as(|power| 10f64.powf(power)));
        }
    }
    Claim::interval(
        "params-sweep-levels-off",
        &format!("Beyond 10000 parameters both level off: they change by less than a factor of {LEVEL_FACTOR}."),
        SEEDS,
        &changes,
        Claimed::Within([-LEVEL_FACTOR.log10(), LEVEL_FACTOR.log10()]),
        "log₁₀ of test error and of test loss of the largest network by those of the first beyond 10000 parameters, at \
         each level of noise; in words as factors",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_high_peak_counts_only_at_the_threshold() {
        use Verdict::{Inconclusive, Refuted, Supported};
        for (height, has_threshold, near, verdict) in [
            (Supported, true, &[true, true][..], Supported),
            (Supported, true, &[true, false], Inconclusive),
            (Supported, true, &[false, false], Refuted),
            (Supported, true, &[], Inconclusive),
            (Supported, false, &[], Inconclusive),
            (Refuted, true, &[true, true], Refuted),
            (Refuted, true, &[false, false], Refuted),
            (Refuted, false, &[], Inconclusive),
            (Inconclusive, true, &[false, false], Inconclusive),
            (Inconclusive, true, &[true, true], Inconclusive),
        ] {
            assert_eq!(at_threshold(height, has_threshold, near), verdict, "{height} {has_threshold} {near:?}");
        }
    }

    #[test]
    fn what_is_left_of_a_slope_is_a_share_or_no_number() {
        let line =
            |slope: f64, from: i32| (from..from + 4).map(|x| (f64::from(x), slope * f64::from(x))).collect::<Vec<_>>();
        assert!((share_of_slope(&line(2.0, 0), &line(0.5, 10)) - 0.25).abs() < 1e-12);
        assert!((share_of_slope(&line(2.0, 0), &line(-1.0, 10)) + 0.5).abs() < 1e-12);
        assert_eq!(share_of_slope(&line(2.0, 0), &line(0.0, 10)), 0.0);
        for (small, large) in [
            (line(0.0, 0), line(1.0, 9)),
            (line(-1.0, 0), line(1.0, 9)),
            (line(1.0, 0), line(1.0, 9)[..1].to_vec()),
            (Vec::new(), line(1.0, 0)),
        ] {
            assert!(share_of_slope(&small, &large).is_nan(), "{small:?} {large:?}");
        }
    }
}
