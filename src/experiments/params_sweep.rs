//! `hw1 params-sweep`, task 3-2 of the report: loss and accuracy of networks against their number of
//! parameters; and, with label noise, double descent across the interpolation threshold (Belkin et al.
//! 2019, Nakkiran et al. 2020).

use crate::analysis::double_descent::{Bump, bump, height, mean_curve};
use crate::analysis::statistics::{Estimate, mean, slope, spearman, spearman_with_interval};
use crate::classify::{Curve, Training, models_flag, panel};
use crate::data::CLASSES;
use crate::data::batches::{DataSpec, DatasetName, Samples, corrupted};
use crate::experiment::{
    Cell, Claim, Context, DATASET_FLAG, Done, Effect, Experiment, Flag, Measurements, Records, Report, Size,
    Trial as TrialTrait, Verdict, cell, check, significant,
};
use crate::model::{Classifier, Named};
use crate::plot::{Axis, Color, Figure, Mark, Panel, Series};
use crate::repeats::{self, together};
use crate::train::OptimizerName;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tch::{Device, Tensor};

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
    training: Training,
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

impl Experiment for ParamsSweep {
    const NAME: &'static str = "params-sweep";
    const ABOUT: &'static str = "Loss and accuracy against the number of parameters (task 3-2)";
    const SETTINGS: &'static str = include_str!("../../experiments/params-sweep.toml");
    const VERSION: u32 = 3;
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
            let labels: Vec<i64> = train.labels.f_to_device(Device::Cpu)?.try_into()?;
            // The same labels for every network of a seed.
            let labels = corrupted(&labels, noise, trial.training.seed, Self::NAME);
            train = Samples { labels: Tensor::f_from_slice(&labels)?.f_to_device(cx.device)?, ..train };
        }
        Ok(trial.training.run_tested_every(trial.test_every, cx, &train, |_, _, _, _| Ok(()))?.1)
    }

    fn report(&self, done: &Records<Self>) -> Result<Report> {
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
        let training = Training {
            model: model.clone(),
            optimizer: self.optimizer,
            learning_rate: self.learning_rate,
            batch_size: self.batch_size,
            shuffle: self.shuffle,
            epochs: self.epochs,
            seed,
        };
        Trial { label_noise, test_every: self.test_every, training }
    }
}

// ------------------------------------------------------------------------------------ report

type DoneTrial = Done<ParamsSweep>;

const FINAL: [&str; 4] = ["final_train_loss", "final_train_accuracy", "final_test_loss", "final_test_accuracy"];

fn report(settings: &ParamsSweep, done: &[DoneTrial]) -> Result<Report> {
    let mut report = Report::default();
    let columns = ["model", "parameters", "seed", "train loss", "train accuracy", "test loss", "test accuracy"];
    report.columns = columns.map(str::to_owned).to_vec();
    for trial in done {
        let mut row = vec![
            trial.label.clone().into(),
            Cell::Count(trial.record.parameters as f64),
            Cell::Seed(trial.trial.seed()),
        ];
        for name in FINAL {
            row.push(cell(trial.record.scalar(name)?));
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
    report.claims = claims(done)?;
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
        let mut series = together(series);
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
            repeats::caption(settings.repeats)
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
            repeats::caption(settings.repeats)
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
        pairs.push((trial.record.parameters as f64, trial.record.scalar(name)?));
    }
    Ok(spearman(&pairs))
}

/// Below this size the report sees improvement, beyond it none.
const LEVELS_OFF: i64 = 10_000;

fn claims(done: &[DoneTrial]) -> Result<Vec<Claim>> {
    // Size in thousands of parameters, and train accuracy.
    let within = |low: i64, high: i64| -> Result<Vec<(f64, f64)>> {
        let inside = done.iter().filter(|trial| (low..=high).contains(&trial.record.parameters));
        inside
            .map(|trial| Ok((trial.record.parameters as f64 / 1000.0, trial.record.scalar("final_train_accuracy")?)))
            .collect()
    };
    let (small, large) = (within(0, LEVELS_OFF)?, within(LEVELS_OFF + 1, i64::MAX)?);
    let rise = spearman_with_interval(&small);
    let rise_verdict = match rise.and_then(|rise| rise.interval) {
        Some([low, _]) if low > 0.0 => Verdict::Supported,
        Some([_, high]) if high < 0.0 => Verdict::Refuted,
        _ => Verdict::Inconclusive,
    };
    // How much of the slope below is left beyond.
    let (before, after) = (slope(&small), slope(&large));
    let left = before
        .zip(after)
        .filter(|(before, _)| before.value > 0.0)
        .map(|(before, after)| after.map(|slope| slope / before.value));
    let level_verdict = match left.and_then(|left| left.interval) {
        Some([_, high]) if high < LITTLE => Verdict::Supported,
        Some([low, _]) if low > LITTLE => Verdict::Refuted,
        _ => Verdict::Inconclusive,
    };
    let shown = |estimate: Option<Estimate>| match estimate {
        Some(Estimate { value, interval: Some([low, high]), .. }) => {
            format!("{} ({} to {})", cell(value), cell(low), cell(high))
        }
        _ => "unknown".to_owned(),
    };
    Ok(vec![
        Claim {
            id: "params-sweep-improves".into(),
            statement: "Up to about 10000 parameters loss falls and accuracy rises with size.".into(),
            verdict: rise_verdict,
            effect: rise.and_then(|rise| {
                Effect::new(
                    "Spearman's correlation of size and train accuracy up to 10000 parameters (Fisher's z)",
                    rise,
                )
            }),
            detail: format!("Spearman's correlation of size and train accuracy there: {}.", shown(rise)),
            evidence: json!({"rule": "the interval of the correlation above 0; refuted where it is below"}),
        },
        Claim {
            id: "params-sweep-levels-off".into(),
            statement: "Beyond 10000 parameters both level off.".into(),
            verdict: level_verdict,
            effect: left.and_then(|left| {
                Effect::new(
                    "slope of train accuracy beyond 10000 parameters by that below (Student's t, of the former)",
                    left,
                )
            }),
            detail: format!(
                "Train accuracy gained for each thousand parameters: {} below, {} beyond.",
                shown(before),
                shown(after)
            ),
            evidence: json!({
                "rule": format!("the interval of the slope beyond below {LITTLE} of the slope before; refuted where above"),
                "slope_below": before, "slope_beyond": after,
            }),
        },
    ])
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
            let curve = |name: &str| trials.iter().map(|trial| trial.record.scalar(name)).collect::<Result<Vec<f64>>>();
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

fn noise_report(settings: &ParamsSweep, done: &[DoneTrial]) -> Result<Report> {
    let mut report = Report::default();
    let columns = ["network", "parameters", "seed", "train loss", "train error", "test loss", "test error"];
    report.columns = columns.map(str::to_owned).to_vec();
    for trial in done {
        let scalar = |name: &str| trial.record.scalar(name);
        report.rows.push(vec![
            trial.label.clone().into(),
            Cell::Count(trial.record.parameters as f64),
            Cell::Seed(trial.trial.seed()),
            cell(scalar("final_train_loss")?),
            cell(1.0 - scalar("final_train_accuracy")?),
            cell(scalar("final_test_loss")?),
            cell(1.0 - scalar("final_test_accuracy")?),
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
        ("Training error", Axis::linear("training error"), |level| &level.train_error),
        ("Training loss", Axis::log("training loss (cross entropy)"), |level| &level.train_loss),
    ] {
        let mut series = Vec::new();
        for (color, level) in levels.iter().enumerate() {
            for (index, curve) in curves(level).iter().enumerate() {
                // One legend serves all four panels.
                let label =
                    if index == 0 && title == "Training error" { noise_name(level.noise) } else { String::new() };
                let points = level.sizes.iter().copied().zip(curve.iter().copied()).collect();
                series.push(Series::new(label, Color::Cycle(color), points).mark(Mark::LinePoints));
            }
        }
        let panel = Panel::plot(title, Axis::log("parameters"), y, together(series));
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
            repeats::caption(settings.repeats)
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
            repeats::caption(settings.repeats)
        ),
        columns: 2,
        panels: vec![
            Panel::plot("Test", Axis::log("epoch"), Axis::linear("test error"), together(test)),
            Panel::plot("Training", Axis::log("epoch"), Axis::linear("training error"), together(train)),
        ],
    })
}

/// Whether the test error has a second descent at one level of noise, its peak near the threshold.
fn descent_claim(level: &Level) -> Claim {
    let mean_error = mean_of(&level.test_error);
    let (found, threshold) = (bump(&mean_error), level.threshold());
    let estimate = height(&level.test_error);
    let near = found.zip(threshold).map(|(bump, threshold)| {
        let ratio = level.sizes[bump.peak] / threshold;
        (1.0 / NEAR..=NEAR).contains(&ratio)
    });
    // Without a network that fits, nothing is said of what lies beyond the threshold.
    let verdict = match (estimate.and_then(|height| height.interval), near) {
        _ if threshold.is_none() => Verdict::Inconclusive,
        (Some([low, _]), Some(true)) if low > 0.0 => Verdict::Supported,
        (Some([low, _]), Some(false)) if low > 0.0 => Verdict::Refuted,
        (Some([_, high]), _) if high < SMALLEST_BUMP => Verdict::Refuted,
        _ => Verdict::Inconclusive,
    };
    let percent = |share: f64| format!("{} %", significant(100.0 * share, 3));
    let threshold_text = threshold.map_or("no network fits all labels".to_owned(), |parameters| {
        format!("networks fit all labels from {parameters} parameters on")
    });
    let detail = match found {
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
    Claim {
        id: format!("params-sweep-double-descent-{}", (level.noise * 1e8).round() / 1e6),
        statement: format!(
            "With {} the test error falls, rises to a peak near the interpolation threshold and falls again.",
            noise_name(level.noise)
        ),
        verdict,
        effect: estimate.and_then(|estimate| {
            Effect::new("height of the peak in test error, above the dip before it and the largest network", estimate)
        }),
        detail,
        evidence: json!({
            "rule": format!(
                "the interval of the height (Student's t over seeds; dip and peak from the other seeds) above 0, and \
                 the peak within a factor of {NEAR} of the smallest network with a training error of at most {FITTED}; \
                 refuted where the interval is below {SMALLEST_BUMP} or the peak is elsewhere"
            ),
            "threshold": threshold, "sizes": level.sizes, "mean_test_error": mean_error, "bump": found,
        }),
    }
}

/// A peak of a lower height, in test error, would not be seen.
const SMALLEST_BUMP: f64 = 0.01;

/// Several intervals against what is claimed: as claimed in all, or against it in one.
fn verdict_of(cases: &[Option<Estimate>], holds: fn([f64; 2]) -> bool, fails: fn([f64; 2]) -> bool) -> Verdict {
    let intervals: Vec<Option<[f64; 2]>> = cases.iter().map(|case| case.and_then(|case| case.interval)).collect();
    if !intervals.is_empty() && intervals.iter().all(|ends| ends.is_some_and(holds)) {
        Verdict::Supported
    } else if intervals.iter().any(|ends| ends.is_some_and(fails)) {
        Verdict::Refuted
    } else {
        Verdict::Inconclusive
    }
}

/// "0.12 (0.10 to 0.14)".
fn shown_interval(estimate: Option<Estimate>) -> String {
    match estimate {
        Some(Estimate { value, interval: Some([low, high]), .. }) => {
            format!("{} ({} to {})", cell(value), cell(low), cell(high))
        }
        Some(Estimate { value, .. }) => cell(value).to_string(),
        None => "unknown".to_owned(),
    }
}

/// The report's first claim, of test error and at every level of noise.
fn improves_claim(levels: &[Level]) -> Claim {
    let mut correlations = Vec::new();
    for level in levels {
        let mut pairs = Vec::new();
        for curve in &level.test_error {
            let small = level.sizes.iter().zip(curve).filter(|(size, _)| **size <= LEVELS_OFF as f64);
            pairs.extend(small.map(|(size, error)| (*size, 1.0 - error)));
        }
        correlations.push(spearman_with_interval(&pairs));
    }
    let words = levels
        .iter()
        .zip(&correlations)
        .map(|(level, correlation)| format!("{} with {}", shown_interval(*correlation), noise_name(level.noise)));
    let weakest = correlations.iter().flatten().min_by(|a, b| a.value.total_cmp(&b.value));
    Claim {
        id: "params-sweep-improves".into(),
        statement: "Up to about 10000 parameters loss falls and accuracy rises with size.".into(),
        verdict: verdict_of(&correlations, |[low, _]| low > 0.0, |[_, high]| high < 0.0),
        effect: weakest.and_then(|weakest| {
            Effect::new("lowest correlation (Spearman) of size and test accuracy up to 10000 parameters", *weakest)
        }),
        detail: format!(
            "Spearman's correlation of size and test accuracy there: {}.",
            words.collect::<Vec<_>>().join(", ")
        ),
        evidence: json!({
            "rule": "the interval of the correlation (Fisher's z) above 0 at every level of noise; refuted where one is \
                     below",
            "correlations": correlations,
        }),
    }
}

/// The report's second claim, of test error and test loss at every level of noise.
fn levels_off_claim(levels: &[Level]) -> Claim {
    let (mut changes, mut words) = (Vec::new(), Vec::new());
    for level in levels {
        let Some(first) = level.sizes.iter().position(|size| *size > LEVELS_OFF as f64) else { continue };
        for (name, curves) in [("test error", &level.test_error), ("test loss", &level.test_loss)] {
            let ratios: Vec<f64> = curves.iter().map(|curve| (curve[curve.len() - 1] / curve[first]).log10()).collect();
            let change = mean(&ratios);
            words.push(format!(
                "{name} times {} with {}",
                shown_interval(change.map(|change| change.map(|power| 10f64.powf(power)))),
                noise_name(level.noise)
            ));
            changes.push(change);
        }
    }
    let largest = changes.iter().flatten().max_by(|a, b| a.value.abs().total_cmp(&b.value.abs()));
    Claim {
        id: "params-sweep-levels-off".into(),
        statement: "Beyond 10000 parameters both level off.".into(),
        verdict: verdict_of(
            &changes,
            |[low, high]| low > -LEVEL_FACTOR.log10() && high < LEVEL_FACTOR.log10(),
            |[low, high]| high < -LEVEL_FACTOR.log10() || low > LEVEL_FACTOR.log10(),
        ),
        effect: largest.and_then(|largest| {
            Effect::new(
                "largest mean log₁₀ of test error or loss of the largest network by that of the first beyond 10000 \
                 parameters (Student's t over seeds)",
                *largest,
            )
        }),
        detail: format!("From there to the largest network: {}.", words.join(", ")),
        evidence: json!({
            "rule": format!(
                "the interval of every ratio within a factor of {LEVEL_FACTOR}; refuted where one lies outside"
            ),
            "log10_ratios": changes,
        }),
    }
}
