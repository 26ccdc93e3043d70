//! `hw1 sensitivity`, task 3-3-2 of the report: trainings with small to large batches, and how
//! strongly the networks answer to small changes of their input. Where trainings end once the labels are fitted,
//! also whether that goes with the generalization gap, over networks of many widths, optimizers, rates, batch
//! sizes, and on random labels (Novak et al. 2018).

use crate::analysis::sensitivity::{input_gradient_norm, jacobian_norm};
use crate::analysis::statistics::{PairedComparison, highest, lowest, trend};
use crate::data::batches::{DataSpec, DatasetName};
use crate::model::Classifier;
use crate::plot::{Axis, Color, Figure, Mark, Panel, Series};
use crate::study::claim::{Claim, Claimed, Quantity, SEEDS, Unit};
use crate::study::model_flag;
use crate::study::old::{Curve, ends, panel};
use crate::study::seeds::{self, means_at_points};
use crate::study::{
    Cell, Context, DATASET_FLAG, Done, Experiment, Findings, Flag, Measurements, Records, Size, Trial as TrialTrait,
    cell, check,
};
use crate::tasks::classifier::{ClassifierTraining, MiniBatch};
use crate::train::{OptimizerName, measure};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

// ---------------------------------------------------------------------------------- settings

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sensitivity {
    dataset: DatasetName,
    train_size: usize,
    test_size: usize,
    model: Classifier,
    trainings: Vec<Recipe>,
    shuffle: bool,
    epochs: u64,
    /// Each training ends once it gets this share of its training labels right, 0…1; 0: at the last epoch.
    fitted: f64,
    /// Each epoch's `jacobian_norm` is over the first so many test images.
    probe_size: usize,
    seed: u64,
    repeats: u64,
}

/// What tells one training from another, written `32 adam 1e-3`; behind that, where they are not the study's, the
/// network, and `random-labels`: `32 adam 1e-3 784-64-64-10 random-labels`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Recipe {
    batch_size: u32,
    optimizer: OptimizerName,
    learning_rate: f64,
    model: Option<Classifier>,
    random_labels: bool,
}

const RANDOM_LABELS: &str = "random-labels";

impl FromStr for Recipe {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let explain = |what: &str| {
            format!(
                "trainings: '{text:.60}': {what}; write batch size, optimizer and learning rate, like 32 adam 1e-3; \
                 behind them a network and {RANDOM_LABELS}, where wanted"
            )
        };
        let mut words: Vec<&str> = text.split_whitespace().collect();
        let random_labels = words.len() > 3 && words.last() == Some(&RANDOM_LABELS);
        words.truncate(words.len() - usize::from(random_labels));
        let (batch_size, optimizer, learning_rate, model) = match words[..] {
            [batch_size, optimizer, learning_rate] => (batch_size, optimizer, learning_rate, None),
            [batch_size, optimizer, learning_rate, model] => (batch_size, optimizer, learning_rate, Some(model)),
            _ => return Err(explain(&format!("{} words, not 3 to 5", words.len()))),
        };
        Ok(Self {
            batch_size: batch_size.parse().map_err(|_| explain(&format!("'{batch_size:.20}' is not a batch size")))?,
            optimizer: OptimizerName::named(optimizer)
                .ok_or_else(|| explain(&format!("'{optimizer:.20}' is not an optimizer: use adam or sgd")))?,
            learning_rate: (learning_rate.parse())
                .map_err(|_| explain(&format!("'{learning_rate:.20}' is not a learning rate")))?,
            model: model.map(|model| model.parse().map_err(|what: String| explain(&what))).transpose()?,
            random_labels,
        })
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {} {:e}", self.batch_size, self.optimizer.name(), self.learning_rate)?;
        if let Some(model) = &self.model {
            write!(f, " {model}")?;
        }
        if self.random_labels { write!(f, " {RANDOM_LABELS}") } else { Ok(()) }
    }
}

impl TryFrom<String> for Recipe {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Recipe> for String {
    fn from(recipe: Recipe) -> Self {
        recipe.to_string()
    }
}

impl Recipe {
    /// Optimizer and learning rate.
    fn way(&self) -> (OptimizerName, f64) {
        (self.optimizer, self.learning_rate)
    }
}

// ------------------------------------------------------------------------------------- trial

/// One training whose sensitivity is measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trial {
    probe_size: usize,
    /// The share of the training labels that ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fitted: Option<f64>,
    /// All training labels are drawn anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    random_labels: bool,
    #[serde(flatten)]
    training: ClassifierTraining,
}

impl TrialTrait for Trial {
    fn seed(&self) -> u64 {
        self.training.seed
    }

    fn cost(&self) -> f64 {
        // Small batches take longer for the same samples.
        self.training.cost() * (1.0 + 32.0 / f64::from(self.training.fit.batch_size))
    }
}

// ----------------------------------------------------------------------------- record and run

crate::settings_as_before!(Sensitivity);

impl Experiment for Sensitivity {
    const NAME: &'static str = "sensitivity";
    const ABOUT: &'static str = "Sensitivity to the input against batch size (task 3-3-2)";
    const SETTINGS: &'static str = include_str!("../../experiments/sensitivity.toml");
    const VERSION: u32 = 3;
    const FLAGS: &'static [Flag] = &[
        DATASET_FLAG,
        model_flag("The network, like conv8-conv16-128-10 or 784-128-10"),
        Flag {
            name: "training",
            value_name: "RECIPE",
            setting: "trainings",
            repeatable: true,
            parse: Flag::text,
            help: "Batch size, optimizer, learning rate, and if wanted a network and random-labels, like \"32 adam 1e-3\"; \
                   replaces the report's five",
        },
    ];

    type Trial = Trial;
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        self.spec().check()?;
        if self.trainings.is_empty() {
            return Err("trainings is empty: name at least one with --training".into());
        }
        for (index, recipe) in self.trainings.iter().enumerate() {
            self.trial(recipe, self.seed).training.check().map_err(|what| format!("trainings: '{recipe}': {what}"))?;
            if self.trainings[..index].contains(recipe) {
                return Err(format!("trainings: '{recipe}' is given twice"));
            }
            if recipe.batch_size as usize > self.test_size {
                return Err(format!(
                    "test_size is {}; input_gradient_norm needs at least one full batch of {} test images",
                    self.test_size, recipe.batch_size
                ));
            }
        }
        if !(0.0..=1.0).contains(&self.fitted) {
            return Err(format!("fitted is {}; it must be from 0 (train all epochs) to 1", self.fitted));
        }
        if !(1..=self.test_size).contains(&self.probe_size) {
            return Err(format!(
                "probe_size is {}; it must be from 1 to the test_size of {}",
                self.probe_size, self.test_size
            ));
        }
        check::seeds(self.seed, self.repeats)
    }

    fn size(&self) -> Size {
        Size::of_seeds(self.repeats, self.trainings.len() as u128, "lower --repeats, or name fewer trainings")
    }

    fn data(&self) -> Option<DataSpec> {
        Some(self.spec())
    }

    /// By the batch size, where that says which.
    fn label(&self, trial: &Trial) -> String {
        let recipe = &self.trainings[self.place(trial)];
        match self.trainings.iter().filter(|other| other.batch_size == recipe.batch_size).count() {
            0 | 1 => format!("batch-{}", recipe.batch_size),
            _ => format!("batch-{}", recipe.to_string().replace(' ', "-")),
        }
    }

    fn trials(&self, _: &Records<Self>) -> Result<Vec<Trial>> {
        let of_seed = |seed: u64| self.trainings.iter().map(move |recipe| self.trial(recipe, seed));
        Ok((self.seed..self.seed + self.repeats).flat_map(of_seed).collect())
    }

    fn run_trial(trial: &Trial, cx: &mut Context) -> Result<Measurements> {
        let (training, model) = (&trial.training, &trial.training.model);
        let images = cx.images()?;
        let (mut train, test) = (images.train.on(cx.device), images.test.images.shallow_clone());
        if trial.random_labels {
            train = train.corrupted(1.0, training.seed, Self::NAME)?;
        }
        let probe = test.narrow(0, 0, trial.probe_size as i64);
        let (objective, mut record) = training.run_tested_every(1, cx, &train, |cx, _, objective, series| {
            let (theta, batch_size) = (objective.theta(), i64::from(training.fit.batch_size));
            let input_gradient = input_gradient_norm(model, theta, &test, batch_size, || cx.check_stop())?;
            measure(series, INPUT_GRADIENT, input_gradient);
            measure(series, JACOBIAN, jacobian_norm(model, theta, &probe, || cx.check_stop())?);
            let has_fitted = |fitted: f64| objective.evaluate(&train).accuracy >= fitted;
            Ok(if trial.fitted.is_some_and(has_fitted) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        // The last epoch's weights are the final ones, and its measure is over the whole test set.
        let final_input_gradient = record.series(INPUT_GRADIENT)?.last().copied().unwrap_or(f64::NAN);
        let final_jacobian = jacobian_norm(model, objective.theta(), &test, || cx.check_stop())?;
        record.scalars.extend([
            ("final_input_gradient_norm".to_owned(), final_input_gradient),
            ("final_jacobian_norm".to_owned(), final_jacobian),
        ]);
        Ok(record)
    }

    fn findings(&self, done: &Records<Self>) -> Result<Findings> {
        report(self, &done.0)
    }
}

const INPUT_GRADIENT: &str = "input_gradient_norm";
const JACOBIAN: &str = "jacobian_norm";
const FINAL_JACOBIAN: &str = "final_jacobian_norm";

impl Sensitivity {
    fn spec(&self) -> DataSpec {
        DataSpec { dataset: self.dataset, train_size: self.train_size, test_size: self.test_size }
    }

    fn trial(&self, recipe: &Recipe, seed: u64) -> Trial {
        let training = ClassifierTraining {
            model: recipe.model.as_ref().unwrap_or(&self.model).clone(),
            fit: MiniBatch {
                optimizer: recipe.optimizer,
                learning_rate: recipe.learning_rate,
                batch_size: recipe.batch_size,
                shuffle: self.shuffle,
                epochs: self.epochs,
            },
            seed,
        };
        let fitted = (self.fitted > 0.0).then_some(self.fitted);
        Trial { probe_size: self.probe_size, fitted, random_labels: recipe.random_labels, training }
    }

    /// Whether the trainings differ in nothing but their batch sizes.
    fn has_one_optimizer(&self) -> bool {
        let way = |recipe: &Recipe| (recipe.way(), recipe.model.clone(), recipe.random_labels);
        self.trainings.len() > 1 && self.trainings.windows(2).all(|pair| way(&pair[0]) == way(&pair[1]))
    }

    /// Whether each training ends where it has fitted its labels: Novak et al.'s question.
    fn is_to_fit(&self) -> bool {
        self.fitted > 0.0
    }

    /// A trial's place among the trainings, for its colour.
    fn place(&self, trial: &Trial) -> usize {
        let training = &trial.training;
        let is_of = |recipe: &Recipe| {
            (recipe.batch_size, recipe.way(), recipe.random_labels)
                == (training.fit.batch_size, (training.fit.optimizer, training.fit.learning_rate), trial.random_labels)
                && *recipe.model.as_ref().unwrap_or(&self.model) == training.model
        };
        self.trainings.iter().position(is_of).unwrap_or(0)
    }
}

// ------------------------------------------------------------------------------------ report

type DoneTrial = Done<Sensitivity>;

const FINAL: [&str; 6] = [
    "final_train_loss",
    "final_train_accuracy",
    "final_test_loss",
    "final_test_accuracy",
    "final_input_gradient_norm",
    "final_jacobian_norm",
];

fn report(settings: &Sensitivity, done: &[DoneTrial]) -> Result<Findings> {
    let mut report = Findings::default();
    let columns = [
        "training",
        "optimizer",
        "seed",
        "train loss",
        "train accuracy",
        "test loss",
        "test accuracy",
        "input gradient",
        "Jacobian",
    ];
    report.columns = columns.map(str::to_owned).to_vec();
    for trial in done {
        let training = &trial.trial.training;
        let mut row = vec![
            trial.label.clone().into(),
            format!("{} {:e}", training.fit.optimizer.name(), training.fit.learning_rate).into(),
            Cell::Seed(training.seed),
        ];
        for name in FINAL {
            row.push(cell(trial.record.after_training(name)?));
        }
        report.rows.push(row);
    }
    let data = settings.spec().title();
    if settings.is_to_fit() {
        let configurations = Configuration::all(settings, done)?;
        report.figures.push(configurations_figure(settings, &configurations, data));
        report.notes.push(left_out(settings, &configurations));
        report.claims = configuration_claims(&configurations);
    } else {
        for trial in done.iter().filter(|trial| trial.trial.seed() == settings.seed) {
            report.figures.push(training_figure(trial, data)?);
        }
        report.figures.push(sensitivity_figure(settings, done, data)?);
        report.figures.push(overview(settings, done, data)?);
        if settings.has_one_optimizer() {
            report.figures.push(gap_figure(settings, done, data)?);
        }
        report.claims = claims(settings, done)?;
    }
    report.summary.insert("data".into(), data.into());
    report.summary.insert("parameters".into(), settings.model.layout().parameters().into());
    Ok(report)
}

/// The report's two panels of one training: loss with sensitivity, accuracy with sensitivity.
fn training_figure(trial: &DoneTrial, data: &str) -> Result<Figure> {
    let (record, training) = (&trial.record, &trial.trial.training);
    let mut panels = Vec::new();
    for (quantity, y) in [("loss", Axis::log("loss (cross entropy)")), ("accuracy", Axis::linear("accuracy"))] {
        let mut curves = Vec::new();
        for set in ["train", "test"] {
            let values = record.series(&format!("{set}_{quantity}"))?;
            curves.push(Curve { label: format!("{set} {quantity}"), color: 0, dashed: set == "test", values });
        }
        let values = record.series(INPUT_GRADIENT)?;
        let sensitivity = Curve { label: "sensitivity".into(), color: 1, dashed: false, values };
        panels.push(panel(y, &curves).right(Axis::linear("input gradient norm"), vec![sensitivity.series()]));
    }
    Ok(Figure {
        name: format!("training-{}", trial.label),
        title: format!(
            "Batch size {}, {} {:e}, {data}",
            training.fit.batch_size,
            training.fit.optimizer.name(),
            training.fit.learning_rate
        ),
        caption: format!(
            "Loss and accuracy (left axes) on the training images (means while training) and test images of {data}, \
             and the report's sensitivity, √Σ(∂ℓ/∂x)² of a batch (right axes), after each epoch."
        ),
        columns: 2,
        panels,
    })
}

/// Both sensitivities of all trainings over epochs.
fn sensitivity_figure(settings: &Sensitivity, done: &[DoneTrial], data: &str) -> Result<Figure> {
    let mut panels = Vec::new();
    for (name, label) in [(INPUT_GRADIENT, "input gradient norm"), (JACOBIAN, "Jacobian norm")] {
        let mut curves = Vec::new();
        for trial in done {
            let color = settings.place(&trial.trial);
            // One legend serves both panels.
            let shown = name == INPUT_GRADIENT;
            let label = if shown { trial.label.clone() } else { String::new() };
            curves.push(Curve { label, color, dashed: color >= 6, values: trial.record.series(name)? });
        }
        panels.push(panel(Axis::log(label), &curves));
    }
    Ok(Figure {
        name: "sensitivity".into(),
        title: format!("Sensitivity to the input over epochs, {data}"),
        caption: format!(
            "After each epoch: the report's √Σ(∂ℓ/∂x)² of a batch, mean over the full batches of the test images of \
             {data}, which falls as 1/√batch size by its definition; and the mean Frobenius norm of ∂softmax/∂x over \
             the first {} test images (Novak et al. 2018).{}",
            settings.probe_size,
            seeds::caption(settings.repeats)
        ),
        columns: 2,
        panels,
    })
}

/// What remains at the end against batch size.
fn overview(settings: &Sensitivity, done: &[DoneTrial], data: &str) -> Result<Figure> {
    // Trainings of one optimizer and learning rate are a line.
    let mut ways: Vec<(OptimizerName, f64)> = Vec::new();
    for recipe in &settings.trainings {
        let way = (recipe.optimizer, recipe.learning_rate);
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    let mut panels = Vec::new();
    for (y, names) in [
        (Axis::log("final loss (cross entropy)"), &[("train", "final_train_loss"), ("test", "final_test_loss")][..]),
        (Axis::linear("final accuracy"), &[("train", "final_train_accuracy"), ("test", "final_test_accuracy")]),
        (Axis::log("input gradient norm"), &[("test", "final_input_gradient_norm")]),
        (Axis::log("Jacobian norm"), &[("test", "final_jacobian_norm")]),
    ] {
        let mut series = Vec::new();
        for seed in settings.seed..settings.seed + settings.repeats {
            for (color, &(optimizer, learning_rate)) in ways.iter().enumerate() {
                for &(set, name) in names {
                    let mut points = Vec::new();
                    for trial in done.iter().filter(|trial| trial.trial.seed() == seed) {
                        let training = &trial.trial.training;
                        if (training.fit.optimizer, training.fit.learning_rate) == (optimizer, learning_rate) {
                            points.push((f64::from(training.fit.batch_size), trial.record.after_training(name)?));
                        }
                    }
                    points.sort_by(|a, b| a.0.total_cmp(&b.0));
                    // One legend serves all four panels.
                    let label = if seed == settings.seed && name.ends_with("accuracy") {
                        format!("{} {learning_rate:e}, {set}", optimizer.name())
                    } else {
                        String::new()
                    };
                    let dashed = set == "test" && names.len() > 1;
                    series.push(Series::new("", Color::Cycle(color), points.clone()).mark(if dashed {
                        Mark::Points
                    } else {
                        Mark::LinePoints
                    }));
                    if dashed {
                        series.push(Series::new(label, Color::Cycle(color), points).mark(Mark::Dashed));
                    } else if let Some(line) = series.last_mut() {
                        line.label = label;
                    }
                }
            }
        }
        panels.push(Panel::plot("", Axis::log("batch size"), y, means_at_points(series)));
    }
    Ok(Figure {
        name: "overview".into(),
        title: format!("Loss, accuracy and sensitivity against batch size, {data}"),
        caption: format!(
            "At the final weights after {} epochs: loss and accuracy over all training and test images of {data}, the \
             report's √Σ(∂ℓ/∂x)² of a test batch, and the mean Frobenius norm of ∂softmax/∂x over all test images.{}",
            settings.epochs,
            seeds::caption(settings.repeats)
        ),
        columns: 2,
        panels,
    })
}

/// The generalization gap at the final weights against the Jacobian's norm, each training a point.
fn gap_figure(settings: &Sensitivity, done: &[DoneTrial], data: &str) -> Result<Figure> {
    let (mut by_gap, mut by_batch) = (Vec::new(), Vec::new());
    for (color, recipe) in settings.trainings.iter().enumerate() {
        let mut points = Vec::new();
        for trial in done.iter().filter(|trial| settings.place(&trial.trial) == color) {
            points.push((trial.record.scalar(FINAL_JACOBIAN)?, gap(trial)?));
        }
        let batch_size = f64::from(recipe.batch_size);
        let norms = points.iter().map(|point| (batch_size, point.0)).collect();
        let mark = if color < 6 { Mark::Points } else { Mark::Circles };
        by_batch.push(Series::new("", Color::Cycle(color), norms).mark(mark));
        by_gap.push(Series::new(format!("batch {}", recipe.batch_size), Color::Cycle(color), points).mark(mark));
    }
    Ok(Figure {
        name: "gap".into(),
        title: format!("Sensitivity, batch size and the generalization gap, {data}"),
        caption: format!(
            "At the final weights of each training: the mean Frobenius norm of ∂softmax/∂x over all test images of \
             {data} (Novak et al. 2018) against the batch size, and test loss minus train loss against that norm. One \
             optimizer for all."
        ),
        columns: 2,
        panels: vec![
            Panel::plot("", Axis::log("batch size"), Axis::linear("Jacobian norm"), by_batch),
            Panel::plot("", Axis::linear("Jacobian norm"), Axis::linear("test loss − train loss"), by_gap),
        ],
    })
}

/// Test loss minus train loss at the final weights.
fn gap(trial: &DoneTrial) -> Result<f64> {
    Ok(trial.record.after_training("final_test_loss")? - trial.record.after_training("final_train_loss")?)
}

// ----------------------------------------------------------- trainings that end where they fit

/// What is repeated where networks are compared with each other, each the mean of its seeds.
const CONFIGURATIONS: Unit = Unit { one: "configuration", many: "configurations", more: "" };

/// A recipe with what its trainings came to, over the seeds that fitted their labels.
struct Configuration {
    recipe: Recipe,
    /// The study's where the recipe names none.
    model: String,
    seeds: usize,
    fitted: usize,
    /// Mean norm of the Jacobian over the test images; NaN where no seed fitted.
    jacobian: f64,
    /// Mean of train accuracy minus test accuracy.
    gap: f64,
}

impl Configuration {
    /// One a recipe that has a training, in their order.
    fn all(settings: &Sensitivity, done: &[DoneTrial]) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for (place, recipe) in settings.trainings.iter().enumerate() {
            let (mut norms, mut gaps, mut seeds) = (Vec::new(), Vec::new(), 0);
            for trial in done.iter().filter(|trial| settings.place(&trial.trial) == place) {
                seeds += 1;
                let after = |name: &str| trial.record.after_training(name);
                let (train, test) = (after("final_train_accuracy")?, after("final_test_accuracy")?);
                if train >= settings.fitted {
                    norms.push(after(FINAL_JACOBIAN)?);
                    gaps.push(train - test);
                }
            }
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
            if seeds > 0 {
                all.push(Self {
                    recipe: recipe.clone(),
                    model: recipe.model.as_ref().unwrap_or(&settings.model).to_string(),
                    seeds,
                    fitted: norms.len(),
                    jacobian: mean(&norms),
                    gap: mean(&gaps),
                });
            }
        }
        Ok(all)
    }

    /// Network, optimizer and learning rate.
    fn kind(&self) -> (&str, (OptimizerName, f64)) {
        (&self.model, self.recipe.way())
    }
}

fn left_out(settings: &Sensitivity, configurations: &[Configuration]) -> String {
    let trainings: usize = configurations.iter().map(|each| each.seeds).sum();
    let fitted: usize = configurations.iter().map(|each| each.fitted).sum();
    let none = configurations.iter().filter(|each| each.fitted == 0).count();
    format!(
        "{fitted} of {trainings} trainings got {} % of their labels right within {} epochs; the others, all those of {none} \
         of {} configurations among them, are left out of figure and claims.",
        100.0 * settings.fitted,
        settings.epochs,
        configurations.len()
    )
}

/// The generalization gap against the Jacobian's norm, and that against the batch size; a point a configuration.
fn configurations_figure(settings: &Sensitivity, configurations: &[Configuration], data: &str) -> Figure {
    let models: BTreeSet<&str> = configurations.iter().map(|each| each.model.as_str()).collect();
    let (mut by_gap, mut by_batch) = (Vec::new(), Vec::new());
    for (color, model) in models.iter().enumerate() {
        for (random, mark) in [(false, Mark::Points), (true, Mark::Crosses)] {
            let of_kind = || {
                let is_of = move |each: &&Configuration| {
                    (each.model.as_str(), each.recipe.random_labels) == (*model, random) && each.fitted > 0
                };
                configurations.iter().filter(is_of)
            };
            let label = format!("{model}, {} labels", if random { "random" } else { "true" });
            let gaps = of_kind().map(|each| (each.jacobian, each.gap)).collect::<Vec<_>>();
            if gaps.is_empty() {
                continue;
            }
            let norms = of_kind().map(|each| (f64::from(each.recipe.batch_size), each.jacobian)).collect();
            by_gap.push(Series::new(label, Color::Cycle(color), gaps).mark(mark));
            by_batch.push(Series::new("", Color::Cycle(color), norms).mark(mark));
        }
    }
    Figure {
        name: "gap".into(),
        title: format!("Sensitivity and the generalization gap, {data}"),
        caption: format!(
            "Left: train accuracy minus test accuracy against the mean Frobenius norm of ∂softmax/∂x over all test images \
             of {data} (Novak et al. 2018); right: that norm against the batch size. Each point is a configuration of \
             network, optimizer, learning rate, batch size and labels, mean of up to {} seeds, each trained on {} images \
             until it got {} % of its labels right. {}",
            settings.repeats,
            settings.train_size,
            100.0 * settings.fitted,
            left_out(settings, configurations),
        ),
        columns: 2,
        panels: vec![
            Panel::plot("", Axis::log("Jacobian norm"), Axis::linear("train accuracy − test accuracy"), by_gap),
            Panel::plot("", Axis::log("batch size"), Axis::log("Jacobian norm"), by_batch),
        ],
    }
}

/// What Novak et al. 2018 did otherwise.
const NOVAK: &str = "Novak et al. 2018 surveyed thousands of fully connected networks of many depths, widths and \
                     nonlinearities on CIFAR-10 and three other sets, all trained to 100 %; here dozens on a subset of one \
                     set, by the same measure, with what does not fit left out: the range of gaps is narrower";

fn configuration_claims(configurations: &[Configuration]) -> Vec<Claim> {
    let fitted = || configurations.iter().filter(|each| each.fitted > 0);
    let gap = |id: &str, statement: &str, random: Option<bool>| {
        let of_kind = fitted().filter(|each| random.is_none_or(|random| each.recipe.random_labels == random));
        let pairs: Vec<(f64, f64)> = of_kind.map(|each| (each.jacobian, each.gap)).collect();
        let of = "the Jacobian norm and the generalization gap (train accuracy minus test accuracy)";
        Claim::correlated(id, statement, (CONFIGURATIONS, pairs.len()), of, &pairs, Claimed::Above(0.0))
            .differing_from(NOVAK)
    };
    // Each that has one beside it, which differs in one thing only, is a case.
    let compared = |names: [&str; 2], beside: &dyn Fn(&Configuration) -> Option<f64>| {
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for (case, each) in (0..).zip(fitted()) {
            if let Some(other) = beside(each) {
                own.push((case, each.jacobian));
                others.push((case, other));
            }
        }
        PairedComparison::of_numbers((names[0], &own), (names[1], &others))
    };
    let labels = compared(["the Jacobian norm on true labels", "that on random labels"], &|each| {
        let random = |other: &&Configuration| {
            other.recipe.random_labels
                && !each.recipe.random_labels
                && (other.kind(), other.recipe.batch_size) == (each.kind(), each.recipe.batch_size)
        };
        fitted().find(random).map(|other| other.jacobian)
    });
    let batches = compared(["the Jacobian norm with the smaller batch", "that with the larger"], &|each| {
        let larger = fitted().filter(|other| {
            other.recipe.batch_size > each.recipe.batch_size
                && (other.kind(), other.recipe.random_labels) == (each.kind(), each.recipe.random_labels)
        });
        larger.min_by_key(|other| other.recipe.batch_size).map(|next| next.jacobian)
    });
    vec![
        gap(
            "sensitivity-generalization-gap",
            "The more sensitive a network, the larger its generalization gap (Novak et al. 2018).",
            None,
        ),
        gap(
            "sensitivity-generalization-gap-true-labels",
            "Also among networks that have fitted the true labels: the more sensitive, the larger the gap.",
            Some(false),
        ),
        Claim::compared(
            "sensitivity-random-labels",
            "Networks that fit random labels are more sensitive than those that fit the true ones (Novak et al. 2018).",
            CONFIGURATIONS,
            &[labels],
            "the Jacobian's norm, of configurations that differ in nothing but their labels",
        )
        .differing_from(NOVAK),
        Claim::compared(
            "sensitivity-rises-with-batch-size",
            "The larger the batch, the more sensitive the network (Novak et al. 2018: full batches give the most sensitive).",
            CONFIGURATIONS,
            &[batches],
            "the Jacobian's norm, of configurations that differ in nothing but their batch size, each with the next larger",
        )
        .differing_from(NOVAK),
    ]
}

// ------------------------------------------------------------------------------------ claims

/// The report's.
const EPOCHS: u64 = 10;
/// A loss that falls by this factor has fallen; an accuracy that rises by so much has risen.
const FALLEN: f64 = 0.5;
const RISEN: f64 = 0.05;
/// What stays within this factor is almost constant.
const CONSTANT: f64 = 1.25;

/// The report's sentences, each held against the trainings of every seed. Trainings with one optimizer are
/// judged by the Jacobian's norm, which does not depend on the batch size by its definition, and by what that
/// goes with.
fn claims(settings: &Sensitivity, done: &[DoneTrial]) -> Result<Vec<Claim>> {
    let one_optimizer = settings.has_one_optimizer();
    let (series, name) =
        if one_optimizer { (JACOBIAN, "Jacobian norm") } else { (INPUT_GRADIENT, "input gradient norm") };
    let seeds: Vec<u64> = (settings.seed..settings.seed + settings.repeats)
        .filter(|seed| done.iter().any(|trial| trial.trial.seed() == *seed))
        .collect();
    // Of each seed the worst of its trainings of a kind, and whether it is as claimed.
    let claim = |id: &str,
                 statement: &str,
                 criterion: &str,
                 worst: fn(&[f64]) -> Option<f64>,
                 holds: fn(f64) -> bool,
                 of: &dyn Fn(&DoneTrial) -> Result<Option<f64>>|
     -> Result<Claim> {
        let (mut held, mut all) = (Vec::new(), Vec::new());
        for &seed in &seeds {
            let (mut numbers, mut trainings) = (Vec::new(), 0);
            for trial in done.iter().filter(|trial| trial.trial.seed() == seed) {
                numbers.extend(of(trial)?);
                trainings += 1;
            }
            if let Some(worst) = worst(&numbers) {
                // Of a training that failed it cannot be told.
                let known = worst.is_finite() && settings.epochs >= EPOCHS && trainings == settings.trainings.len();
                held.push(known.then(|| holds(worst)));
                all.push(worst);
            }
        }
        let [low, high] =
            [lowest(&all), highest(&all)].map(|end| end.map_or(String::new(), |end| cell(end).to_string()));
        let range = match all.len() {
            0 => String::new(),
            1 => format!("The {criterion}: {low}."),
            n => format!("The {criterion}: {low} to {high} over {n} seeds."),
        };
        let short =
            if settings.epochs < EPOCHS { format!("Fewer than {EPOCHS} epochs tell nothing.") } else { String::new() };
        let criterion = format!("{criterion}; as claimed in all trainings of the seed that it is said of");
        Ok(Claim::counted(id, statement, SEEDS, &held, &criterion).noting(&range).noting(&short).and("worst", all))
    };
    let mut claims = vec![
        claim(
            "sensitivity-adam-loss-falls",
            &format!(
                "Adam's models start with a high loss that falls: to at most {FALLEN} of the first epoch's running mean."
            ),
            "final train loss by the running mean of the first epoch, with Adam, the highest of a seed",
            highest,
            |ratio| ratio <= FALLEN,
            &|trial| {
                let first = ends(&trial.record, "train_loss")?.0;
                let ratio = trial.record.after_training("final_train_loss")? / first;
                Ok((trial.trial.training.fit.optimizer == OptimizerName::Adam).then_some(ratio))
            },
        )?,
        claim(
            "sensitivity-sgd-accuracy-rises",
            &format!(
                "SGD's models start with a low accuracy that rises: by at least {RISEN} above the first epoch's running mean."
            ),
            "final train accuracy minus the running mean of the first epoch, with SGD, the lowest of a seed",
            lowest,
            |rise| rise >= RISEN,
            &|trial| {
                let first = ends(&trial.record, "train_accuracy")?.0;
                let rise = trial.record.after_training("final_train_accuracy")? - first;
                Ok((trial.trial.training.fit.optimizer == OptimizerName::Sgd).then_some(rise))
            },
        )?,
        claim(
            "sensitivity-constant",
            &format!("Sensitivity stays almost constant in all trainings: within a factor of {CONSTANT}."),
            &format!("highest {name} over the epochs by the lowest, the most of a seed's trainings"),
            highest,
            |ratio| ratio <= CONSTANT,
            &|trial| Ok(Some(highest_by_lowest(trial.record.series(series)?))),
        )?,
    ];
    if one_optimizer {
        for (id, statement, name, claimed, of) in [
            (
                "sensitivity-generalization-gap",
                "The more sensitive a network, the larger its generalization gap.",
                "Spearman's correlation of the Jacobian norm and the generalization gap (test loss minus train loss) within a seed",
                Claimed::Above(0.0),
                (|trial, norm| Ok((norm, gap(trial)?))) as fn(&DoneTrial, f64) -> Result<(f64, f64)>,
            ),
            (
                "sensitivity-falls-with-batch-size",
                "The larger the batch, the less sensitive the network.",
                "Spearman's correlation of the batch size and the Jacobian norm within a seed",
                Claimed::Below(0.0),
                |trial, norm| Ok((f64::from(trial.trial.training.fit.batch_size), norm)),
            ),
        ] {
            let mut trends = Vec::new();
            for &seed in &seeds {
                let mut pairs = Vec::new();
                for trial in done.iter().filter(|trial| trial.trial.seed() == seed) {
                    pairs.push(of(trial, trial.record.after_training(FINAL_JACOBIAN)?)?);
                }
                trends.push(if pairs.len() == settings.trainings.len() { trend(&pairs) } else { f64::NAN });
            }
            let quantity = Quantity::new(name, trends).range([-1.0, 1.0]);
            claims.push(Claim::interval(id, statement, SEEDS, &[quantity], claimed, name));
        }
    }
    Ok(claims)
}

/// NaN where a number is none.
fn highest_by_lowest(values: &[f64]) -> f64 {
    highest(values).zip(lowest(values)).map_or(f64::NAN, |(high, low)| high / low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_are_read_as_they_are_written() {
        for text in [
            "32 adam 1e-3",
            "64 sgd 1e-1 784-64-10",
            "64 sgd 1e-1 random-labels",
            "64 sgd 1e-1 conv8-conv16-128-10 random-labels",
        ] {
            assert_eq!(text.parse::<Recipe>().unwrap().to_string(), text);
        }
        for (text, word) in [
            ("32 adam", "2 words"),
            ("32 adam random-labels", "'random-labels' is not a learning rate"),
            ("32 adam 1e-3 random-labels 784-10", "5 words"),
            ("32 adam 1e-3 784-64", "784-64"),
            ("x adam 1e-3", "'x' is not a batch size"),
        ] {
            let error = text.parse::<Recipe>().unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_ratio_with_a_number_that_is_none_is_none() {
        assert_eq!(highest_by_lowest(&[2.0, 1.0, 3.0]), 3.0);
        assert!(highest_by_lowest(&[2.0, f64::NAN, 3.0]).is_nan() && highest_by_lowest(&[]).is_nan());
    }

    fn configuration(recipe: &str, jacobian: f64, gap: f64) -> Configuration {
        let recipe: Recipe = recipe.parse().unwrap();
        let model = recipe.model.as_ref().map_or("784-10".to_owned(), ToString::to_string);
        Configuration { recipe, model, seeds: 2, fitted: usize::from(!jacobian.is_nan()), jacobian, gap }
    }

    #[test]
    fn configurations_are_compared_with_those_that_differ_in_one_thing() {
        use crate::study::claim::Verdict::{Inconclusive, Refuted, Supported};
        let mut all = Vec::new();
        for (i, way) in ["adam 1e-3", "adam 1e-2", "sgd 1e-1", "sgd 1e-2", "sgd 1e-3"].iter().enumerate() {
            let up = i as f64 / 100.0;
            for (batch, labels, norm) in
                [(32, "", 1.0), (256, "", 2.0), (32, " random-labels", 4.0), (256, " random-labels", 3.0)]
            {
                // The gap rises with the norm among all, and falls with it on true labels.
                let gap = if labels.is_empty() { 0.1 - norm / 100.0 - up } else { 0.5 + norm + up };
                all.push(configuration(&format!("{batch} {way}{labels}"), norm + up, gap));
            }
        }
        // What did not fit has no part in it.
        all.push(configuration("32 sgd 1e-9", f64::NAN, f64::NAN));
        let verdicts: Vec<_> = configuration_claims(&all).iter().map(|claim| claim.verdict).collect();
        assert_eq!(verdicts, [Supported, Refuted, Supported, Inconclusive]);
        let few: Vec<_> = configuration_claims(&all[..4]).iter().map(|claim| claim.verdict).collect();
        assert_eq!(few, [Inconclusive; 4]);
        // Five true-label pairs say larger batches are more sensitive, five random ones the opposite.
        let detail = &configuration_claims(&all)[3].detail;
        assert!(detail.contains("in 5 of 10"), "{detail}");
    }
}
