//! `hw1 sensitivity`, task 3-3-2 of the report: trainings with small to large batches, and how
//! strongly the networks answer to small changes of their input. Where all have one optimizer, also whether
//! that goes with the generalization gap (Novak et al. 2018).

use crate::analysis::sensitivity::{input_gradient_norm, jacobian_norm};
use crate::analysis::statistics::{Estimate, mean, spearman_with_interval};
use crate::classify::{Curve, Training, ends, model_flag, panel};
use crate::data::batches::{DataSpec, DatasetName};
use crate::experiment::{
    Cell, Claim, Context, DATASET_FLAG, Done, Effect, Experiment, Flag, Measurements, Records, Report, Size,
    Trial as TrialTrait, Verdict, cell, check,
};
use crate::model::Classifier;
use crate::plot::{Axis, Color, Figure, Mark, Panel, Series};
use crate::repeats::{self, together};
use crate::train::{OptimizerName, measure};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt;
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
    /// Each epoch's `jacobian_norm` is over the first so many test images.
    probe_size: usize,
    seed: u64,
    repeats: u64,
}

/// What tells one training from another, written `32 adam 1e-3`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Recipe {
    batch_size: u32,
    optimizer: OptimizerName,
    learning_rate: f64,
}

impl FromStr for Recipe {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let explain = |what: &str| {
            format!("trainings: '{text:.60}': {what}; write batch size, optimizer and learning rate, like 32 adam 1e-3")
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let [batch_size, optimizer, learning_rate] = words[..] else {
            return Err(explain(&format!("{} words, not 3", words.len())));
        };
        Ok(Self {
            batch_size: batch_size.parse().map_err(|_| explain(&format!("'{batch_size:.20}' is not a batch size")))?,
            optimizer: OptimizerName::named(optimizer)
                .ok_or_else(|| explain(&format!("'{optimizer:.20}' is not an optimizer: use adam or sgd")))?,
            learning_rate: (learning_rate.parse())
                .map_err(|_| explain(&format!("'{learning_rate:.20}' is not a learning rate")))?,
        })
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {} {:e}", self.batch_size, self.optimizer.name(), self.learning_rate)
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
    fn of(training: &Training) -> Self {
        Self { batch_size: training.batch_size, optimizer: training.optimizer, learning_rate: training.learning_rate }
    }
}

// ------------------------------------------------------------------------------------- trial

/// One training whose sensitivity is measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trial {
    probe_size: usize,
    #[serde(flatten)]
    training: Training,
}

impl TrialTrait for Trial {
    fn seed(&self) -> u64 {
        self.training.seed
    }

    fn cost(&self) -> f64 {
        // Small batches take longer for the same samples.
        self.training.cost() * (1.0 + 32.0 / f64::from(self.training.batch_size))
    }
}

// ----------------------------------------------------------------------------- record and run

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
            help: "Batch size, optimizer and learning rate, like \"32 adam 1e-3\"; replaces the report's five",
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
        let recipe = Recipe::of(&trial.training);
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
        let (train, test) = (images.train.on(cx.device), images.test.images.shallow_clone());
        let probe = test.narrow(0, 0, trial.probe_size as i64);
        let (objective, mut record) = training.run_observed(cx, &train, |cx, _, objective, series| {
            let (theta, batch_size) = (objective.theta(), i64::from(training.batch_size));
            let input_gradient = input_gradient_norm(model, theta, &test, batch_size, || cx.check_stop())?;
            measure(series, INPUT_GRADIENT, input_gradient);
            measure(series, JACOBIAN, jacobian_norm(model, theta, &probe, || cx.check_stop())?);
            Ok(())
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

    fn report(&self, done: &Records<Self>) -> Result<Report> {
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
        let training = Training {
            model: self.model.clone(),
            optimizer: recipe.optimizer,
            learning_rate: recipe.learning_rate,
            batch_size: recipe.batch_size,
            shuffle: self.shuffle,
            epochs: self.epochs,
            seed,
        };
        Trial { probe_size: self.probe_size, training }
    }

    /// Whether the trainings differ in nothing but their batch sizes.
    fn has_one_optimizer(&self) -> bool {
        let way = |recipe: &Recipe| (recipe.optimizer, recipe.learning_rate);
        self.trainings.len() > 1 && self.trainings.windows(2).all(|pair| way(&pair[0]) == way(&pair[1]))
    }

    /// A trial's place among the trainings, for its colour.
    fn place(&self, trial: &Trial) -> usize {
        let recipe = Recipe::of(&trial.training);
        self.trainings.iter().position(|other| *other == recipe).unwrap_or(0)
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

fn report(settings: &Sensitivity, done: &[DoneTrial]) -> Result<Report> {
    let mut report = Report::default();
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
            format!("{} {:e}", training.optimizer.name(), training.learning_rate).into(),
            Cell::Seed(training.seed),
        ];
        for name in FINAL {
            row.push(cell(trial.record.scalar(name)?));
        }
        report.rows.push(row);
        if trial.record.scalar("diverged")? == 1.0 {
            report
                .notes
                .push(format!("{}, seed {}, diverged: the loss was no longer finite.", trial.label, training.seed));
        }
    }
    let data = settings.spec().title();
    for trial in done.iter().filter(|trial| trial.trial.seed() == settings.seed) {
        report.figures.push(training_figure(trial, data)?);
    }
    report.figures.push(sensitivity_figure(settings, done, data)?);
    report.figures.push(overview(settings, done, data)?);
    if settings.has_one_optimizer() {
        report.figures.push(gap_figure(settings, done, data)?);
    }
    report.summary.insert("data".into(), data.into());
    report.summary.insert("parameters".into(), settings.model.layout().parameters().into());
    report.claims = claims(settings, done)?;
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
            training.batch_size,
            training.optimizer.name(),
            training.learning_rate
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
            repeats::caption(settings.repeats)
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
                        if (training.optimizer, training.learning_rate) == (optimizer, learning_rate) {
                            points.push((f64::from(training.batch_size), trial.record.scalar(name)?));
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
        panels.push(Panel::plot("", Axis::log("batch size"), y, together(series)));
    }
    Ok(Figure {
        name: "overview".into(),
        title: format!("Loss, accuracy and sensitivity against batch size, {data}"),
        caption: format!(
            "At the final weights after {} epochs: loss and accuracy over all training and test images of {data}, the \
             report's √Σ(∂ℓ/∂x)² of a test batch, and the mean Frobenius norm of ∂softmax/∂x over all test images.{}",
            settings.epochs,
            repeats::caption(settings.repeats)
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
    Ok(trial.record.scalar("final_test_loss")? - trial.record.scalar("final_train_loss")?)
}

// ------------------------------------------------------------------------------------ claims

/// The report's.
const EPOCHS: usize = 10;

/// The report's sentences, each held against every training of every seed. Trainings with one optimizer are
/// judged by the Jacobian's norm, which does not depend on the batch size by its definition, and by what that
/// goes with.
fn claims(settings: &Sensitivity, done: &[DoneTrial]) -> Result<Vec<Claim>> {
    let one_optimizer = settings.has_one_optimizer();
    let (series, of_series) = if one_optimizer {
        (JACOBIAN, "highest Jacobian norm over the epochs by the lowest")
    } else {
        (INPUT_GRADIENT, "highest input gradient norm over the epochs by the lowest")
    };
    let (mut falls, mut rises, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut epochs = usize::MAX;
    for trial in done {
        let record = &trial.record;
        epochs = epochs.min(record.series("train_loss")?.len());
        match trial.trial.training.optimizer {
            OptimizerName::Adam => {
                let (first, last) = ends(record, "train_loss")?;
                falls.push(last / first);
            }
            OptimizerName::Sgd => {
                let (first, last) = ends(record, "train_accuracy")?;
                rises.push(last - first);
            }
        }
        ratios.push(highest_by_lowest(record.series(series)?));
    }
    let mut claims = vec![
        claim(
            ("sensitivity-adam-loss-falls", "Adam's models start with a high loss that falls."),
            "train loss of the last epoch by that of the first",
            (&falls, epochs),
            // Halved; refuted where it has not fallen.
            |ratio| (ratio <= 0.5, ratio >= 1.0),
        ),
        claim(
            ("sensitivity-sgd-accuracy-rises", "SGD's models start with a low accuracy that rises."),
            "train accuracy of the last epoch minus that of the first",
            (&rises, epochs),
            |rise| (rise >= 0.05, rise <= 0.0),
        ),
        claim(
            ("sensitivity-constant", "Sensitivity stays almost constant in all trainings."),
            of_series,
            (&ratios, epochs),
            // Within a quarter; refuted where it doubles.
            |ratio| (ratio <= 1.25, ratio >= 2.0),
        ),
    ];
    if one_optimizer {
        let (mut gaps, mut batches) = (Vec::new(), Vec::new());
        for trial in done {
            let norm = trial.record.scalar(FINAL_JACOBIAN)?;
            gaps.push((norm, gap(trial)?));
            batches.push((f64::from(trial.trial.training.batch_size), -norm));
        }
        claims.push(correlated(
            ("sensitivity-generalization-gap", "The more sensitive a network, the larger its generalization gap."),
            "the Jacobian norm and the generalization gap (test loss minus train loss)",
            &gaps,
        ));
        claims.push(correlated(
            ("sensitivity-falls-with-batch-size", "The larger the batch, the less sensitive the network."),
            "the batch size and minus the Jacobian norm",
            &batches,
        ));
    }
    Ok(claims)
}

/// Supported where the rank correlation's interval lies above 0, refuted where it lies below.
fn correlated((id, statement): (&str, &str), of: &str, pairs: &[(f64, f64)]) -> Claim {
    let found = spearman_with_interval(pairs).filter(|_| pairs.iter().all(|(x, y)| x.is_finite() && y.is_finite()));
    let verdict = match found {
        Some(Estimate { interval: Some([low, _]), .. }) if low > 0.0 => Verdict::Supported,
        Some(Estimate { interval: Some([_, high]), .. }) if high < 0.0 => Verdict::Refuted,
        _ => Verdict::Inconclusive,
    };
    Claim {
        id: id.into(),
        statement: statement.into(),
        verdict,
        effect: found.and_then(|found| {
            Effect::new(format!("Spearman correlation of {of} over trainings (Fisher's z interval)"), found)
        }),
        detail: match found {
            Some(Estimate { value, interval: Some([low, high]), n }) => format!(
                "Spearman correlation of {of}: {value:.2}, 95 % interval {low:.2} to {high:.2}, over {n} trainings."
            ),
            _ => "Too few trainings to say.".into(),
        },
        evidence: json!({"correlation_of": of, "pairs": pairs}),
    }
}

fn highest_by_lowest(values: &[f64]) -> f64 {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    finite().fold(f64::NAN, f64::max) / finite().fold(f64::NAN, f64::min)
}

/// Supported where every number is as claimed, refuted where one is the opposite; neither with fewer
/// epochs than the report's, or with none to judge. `judge` tells (as claimed, the opposite).
fn claim(
    (id, statement): (&str, &str),
    measure: &str,
    (values, epochs): (&[f64], usize),
    judge: impl Fn(f64) -> (bool, bool),
) -> Claim {
    let enough = epochs >= EPOCHS && !values.is_empty();
    let verdict = if enough && values.iter().all(|&value| judge(value).0) {
        Verdict::Supported
    } else if enough && values.iter().any(|&value| judge(value).1) {
        Verdict::Refuted
    } else {
        Verdict::Inconclusive
    };
    let lowest = values.iter().copied().fold(f64::NAN, f64::min);
    let highest = values.iter().copied().fold(f64::NAN, f64::max);
    let detail = match values.len() {
        0 => "No such training.".to_owned(),
        n => format!("The {measure}: {} to {} in {n} trainings.", cell(lowest), cell(highest)),
    };
    let middle = mean(values);
    Claim {
        id: id.into(),
        statement: statement.into(),
        verdict,
        effect: middle.and_then(|middle| Effect::new(format!("{measure}, mean (Student's t over trainings)"), middle)),
        detail,
        evidence: json!({"measure": measure, "values": values, "epochs": epochs}),
    }
}
