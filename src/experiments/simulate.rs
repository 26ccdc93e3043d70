//! `hw1 simulate`, task 1-1 of the report: networks of different depth and about equal size learn
//! a function of one variable by full-batch training.

use crate::analysis::statistics::PairedComparison;
use crate::data::functions::{Target, evenly_spaced};
use crate::files::sha256;
use crate::model::{Mlp, Named};
use crate::objective::{MeanSquaredError, Objective as _};
use crate::plot::{Axis, Color, Figure, Mark, Panel, Series};
use crate::study::claim::{Claim, SEEDS};
use crate::study::seeds::{self, together};
use crate::study::{Cell, Context, Done, Experiment, Findings, Flag, Measurements, Records, Size, cell, check};
use crate::tasks::function::{self, FunctionTraining, Problem, evaluate};
use crate::train::{OptimizerName, train};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::ops::ControlFlow;
use tch::Kind;

// ---------------------------------------------------------------------------------- settings

/// Settings of one study: one function, its models.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simulate {
    function: Target,
    /// Lowest and highest x.
    domain: [f64; 2],
    train_size: usize,
    validation_size: usize,
    models: Vec<Named<Mlp>>,
    optimizer: OptimizerName,
    learning_rate: f64,
    epochs: u64,
    convergence: f64,
    patience: u64,
    seed: u64,
    repeats: u64,
}

// -------------------------------------------------------------------- trial, record and run

impl Experiment for Simulate {
    const NAME: &'static str = "simulate";
    const ABOUT: &'static str = "Deep and shallow networks learn a function of x (task 1-1)";
    const SETTINGS: &'static str = include_str!("../../experiments/simulate.toml");
    const VERSION: u32 = 3;
    const VARIANT: Option<&'static str> = Some("function");
    const FLAGS: &'static [Flag] = &[
        Flag {
            name: "fn",
            value_name: "FUNCTION",
            setting: "function",
            repeatable: true,
            parse: Flag::text,
            help: "sin-sq, sign-sin, sin-plus-x, cos-over-x, or an expression in x like \"exp(-x^2)*sin(9*x)\" \
                   [default: sin-sq and sign-sin]",
        },
        function::DOMAIN_FLAG,
        Flag {
            name: "model",
            value_name: "WIDTHS",
            setting: "models",
            repeatable: true,
            parse: Flag::text,
            help: "A network by its widths, like 1-64-64-1 or deep=1-8-8-8-1; replaces the report's three",
        },
    ];
    const REPEATS_IN_ALL: u64 = 5;

    type Trial = FunctionTraining;
    /// Series `train_loss`, and `prediction` at the evenly spaced validation points.
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        Named::check(&self.models)?;
        for named in &self.models {
            self.trial(&named.model, self.seed).check()?;
        }
        check::seeds(self.seed, self.repeats)?;
        self.problem().check()
    }

    fn size(&self) -> Size {
        Size::of_seeds(self.repeats, self.models.len() as u128, "lower --repeats, or name fewer models")
    }

    fn folder(&self) -> String {
        match &self.function {
            Target::Named(named) => format!("simulate-{}", named.name),
            Target::Expression(expression) => format!("simulate-{}", slug(expression)),
        }
    }

    fn label(&self, trial: &FunctionTraining) -> String {
        Named::find(&self.models, &trial.model).0
    }

    fn trials(&self, _: &Records<Self>) -> Result<Vec<FunctionTraining>> {
        let of_seed = |seed: u64| self.models.iter().map(move |named| self.trial(&named.model, seed));
        Ok((self.seed..self.seed + self.repeats).flat_map(of_seed).collect())
    }

    fn run_trial(trial: &FunctionTraining, cx: &mut Context) -> Result<Measurements> {
        let layout = trial.model.layout();
        let theta = layout.initial(trial.seed, &function::key(&trial.model), Kind::Float, cx.device);
        cx.save_weights("initial", &layout, &theta)?;

        let train_points = trial.problem.train(Kind::Float, cx.device)?;
        let mut objective = MeanSquaredError::new(&trial.model, theta, &train_points.x, &train_points.y);
        let mut optimizer = trial.optimizer.with_learning_rate(trial.learning_rate);
        let training =
            train(&mut objective, &mut optimizer, trial.epochs, trial.rule(), cx, |_| Ok(ControlFlow::Continue(())))?;

        let theta = objective.theta();
        cx.save_weights("final", &layout, theta)?;
        let on_train = evaluate(&trial.model, theta, &train_points)?;
        let on_validation = evaluate(&trial.model, theta, &trial.problem.validation(Kind::Float, cx.device)?)?;

        let scalars = [
            ("final_train_loss", on_train.loss),
            ("final_validation_loss", on_validation.loss),
            ("maximum_error", on_validation.maximum_error),
        ];
        let endings = function::endings(&training);
        let series = [("train_loss", training.train_loss), ("prediction", on_validation.prediction)];
        Ok(Measurements::new(layout.parameters(), scalars, series).and(endings))
    }

    fn findings(&self, done: &Records<Self>) -> Result<Findings> {
        report(self, done)
    }
}

impl Simulate {
    fn problem(&self) -> Problem {
        Problem {
            function: self.function.clone(),
            domain: self.domain,
            train_size: self.train_size,
            validation_size: self.validation_size,
        }
    }

    fn trial(&self, model: &Mlp, seed: u64) -> FunctionTraining {
        FunctionTraining {
            problem: self.problem(),
            model: model.clone(),
            optimizer: self.optimizer,
            learning_rate: self.learning_rate,
            epochs: self.epochs,
            convergence: self.convergence,
            patience: self.patience,
            seed,
        }
    }
}

/// A folder name for an expression: its letters and digits, and a hash of the whole.
fn slug(expression: &str) -> String {
    let words: Vec<&str> = expression.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let short: String = words.join("-").to_ascii_lowercase().chars().take(24).collect();
    let hash = &sha256(expression.as_bytes())[..8];
    if short.is_empty() { hash.to_owned() } else { format!("{}-{hash}", short.trim_end_matches('-')) }
}

// ------------------------------------------------------------------------------------ report

/// What the report gives for a model: its widths, the epoch of convergence, the loss there.
struct Reported {
    function: &'static str,
    label: &'static str,
    widths: &'static str,
    domain: [f64; 2],
    epochs: u32,
    loss: f64,
}

const REPORTED: [Reported; 6] = [
    reported("sin-sq", "DNN_1", "1-10-20-20-20-20-20-20-1", 2.0, 414, 0.001_236_2),
    reported("sin-sq", "DNN_2", "1-10-20-30-20-1", 2.0, 532, 0.001_759_1),
    reported("sin-sq", "DNN_3", "1-20-30-1", 2.0, 769, 0.004_319),
    reported("sign-sin", "NonLinear_DNN_1", "1-5-10-10-10-10-10-5-1", 1.0, 959, 0.144_835),
    reported("sign-sin", "NonLinear_DNN_2", "1-10-18-15-4-1", 1.0, 594, 0.429_038),
    reported("sign-sin", "NonLinear_DNN_3", "1-190-1", 1.0, 1958, 0.281_065),
];

const fn reported(
    function: &'static str,
    label: &'static str,
    widths: &'static str,
    half: f64,
    epochs: u32,
    loss: f64,
) -> Reported {
    Reported { function, label, widths, domain: [-half, half], epochs, loss }
}

type DoneTrial = Done<Simulate>;

fn report(settings: &Simulate, done: &Records<Simulate>) -> Result<Findings> {
    let done = &done.0;
    let mut report = Findings { claims: claims(settings, done)?, ..Findings::default() };
    fill_table(settings, done, &mut report)?;
    report.figures = vec![target_figure(settings)?, loss_figure(settings, done)?, prediction_figure(settings, done)?];
    let models: Vec<_> = settings
        .models
        .iter()
        .map(|named| {
            let parameters = named.model.layout().parameters();
            json!({"label": named.label(), "widths": named.model.to_string(), "parameters": parameters})
        })
        .collect();
    report.summary.insert("models".into(), models.into());
    report.summary.insert("function".into(), settings.function.formula().into());
    Ok(report)
}

fn fill_table(settings: &Simulate, done: &[DoneTrial], report: &mut Findings) -> Result<()> {
    let beside = done.iter().any(|trial| reported_for(&trial.trial).is_some());
    let mut columns =
        vec!["model", "parameters", "seed", "epochs", "ended", "train loss", "validation loss", "max error"];
    if beside {
        columns.extend(["reported epochs", "reported loss"]);
    }
    report.columns = columns.into_iter().map(str::to_owned).collect();
    for trial in done {
        let record = &trial.record;
        let scalar = |name: &str| record.scalar(name);
        let mut row = vec![
            trial.label.clone().into(),
            Cell::Count(record.parameters as f64),
            Cell::Seed(trial.trial.seed),
            Cell::Count(scalar("epochs_run")?),
            function::ending(record)?.into(),
            cell(scalar("final_train_loss")?),
            cell(scalar("final_validation_loss")?),
            cell(scalar("maximum_error")?),
        ];
        if beside {
            let reported = reported_for(&trial.trial);
            row.push(reported.map_or(Cell::Undefined, |reported| Cell::Count(f64::from(reported.epochs))));
            row.push(reported.map_or(Cell::Undefined, |reported| cell(reported.loss)));
        }
        report.rows.push(row);
    }
    let of_plateau = done.iter().filter(|trial| trial.record.scalars.get("stopped_on_plateau") == Some(&1.0)).count();
    if of_plateau > 0 {
        report.notes.push(format!(
            "{of_plateau} of {} trainings stopped on their first plateau, the loss hardly fallen: the report's rule \
             asks for one quiet epoch only. Try --set patience=100.",
            done.len()
        ));
    }
    if beside && settings.models.len() > 1 {
        report.notes.push("Reported: the report's figures, from one training each at its own settings.".to_owned());
    }
    Ok(())
}

/// What the report gives for this trial's network, function and optimizer.
fn reported_for(trial: &FunctionTraining) -> Option<&'static Reported> {
    let (function, widths) = (trial.problem.function.to_string(), trial.model.to_string());
    REPORTED.iter().find(|reported| {
        (reported.function, reported.widths) == (&function, &widths)
            && reported.domain == trial.problem.domain
            && (trial.optimizer, trial.learning_rate) == (OptimizerName::Adam, 1e-3)
    })
}

fn target_figure(settings: &Simulate) -> Result<Figure> {
    let formula = settings.function.formula();
    let x = evenly_spaced(settings.domain, settings.train_size);
    let y = settings.function.values(&x).map_err(anyhow::Error::msg)?;
    let [low, high] = settings.domain;
    Ok(Figure {
        name: "target".into(),
        title: format!("Target function {formula}"),
        caption: format!(
            "The function to be learned, {formula}, at the {} training points in [{low}, {high}].",
            settings.train_size
        ),
        columns: 1,
        panels: vec![Panel::plot(
            "",
            Axis::linear("x"),
            Axis::linear(formula),
            vec![Series::new("", Color::Ink, x.into_iter().zip(y).collect())],
        )],
    })
}

fn loss_figure(settings: &Simulate, done: &[DoneTrial]) -> Result<Figure> {
    let mut series = Vec::new();
    let (mut lowest, mut highest) = (f64::INFINITY, 0f64);
    for trial in done {
        let losses = trial.record.series("train_loss")?;
        for &loss in losses.iter().filter(|loss| loss.is_finite()) {
            lowest = lowest.min(loss);
            highest = highest.max(loss);
        }
        series.push(curve(
            settings,
            trial,
            losses.iter().enumerate().map(|(epoch, &loss)| (epoch as f64, loss)).collect(),
        ));
    }
    // A log axis shows the end of a steep curve, and would blow up the ripples of a flat one.
    let label = "training loss (mean squared error)";
    let y = if highest > 4.0 * lowest { Axis::log(label) } else { Axis::linear(label) };
    let formula = settings.function.formula();
    Ok(Figure {
        name: "training-loss".into(),
        title: format!("FunctionTraining loss on {formula}"),
        caption: format!(
            "Mean squared error over the {} training points before each epoch's step.{}",
            settings.train_size,
            seeds::caption(settings.repeats)
        ),
        columns: 1,
        panels: vec![Panel::plot("", Axis::linear("epoch"), y, together(series))],
    })
}

fn prediction_figure(settings: &Simulate, done: &[DoneTrial]) -> Result<Figure> {
    let formula = settings.function.formula();
    let x = evenly_spaced(settings.domain, settings.validation_size);
    let y = settings.function.values(&x).map_err(anyhow::Error::msg)?;
    let points = |values: &[f64]| x.iter().copied().zip(values.iter().copied()).collect::<Vec<_>>();
    let mut predictions = vec![Series::new("ground truth", Color::Ink, points(&y))];
    let mut errors = Vec::new();
    for trial in done {
        let prediction = trial.record.series("prediction")?;
        let error: Vec<f64> = prediction.iter().zip(&y).map(|(prediction, truth)| prediction - truth).collect();
        predictions.push(curve(settings, trial, points(prediction)));
        errors.push(curve(settings, trial, points(&error)));
    }
    Ok(Figure {
        name: "predictions".into(),
        title: format!("Predictions of {formula}"),
        caption: format!(
            "The predictions at the {} validation points beside the function itself, and their error, prediction \
             minus truth.{}",
            settings.validation_size,
            seeds::caption(settings.repeats)
        ),
        columns: 2,
        panels: vec![
            Panel::plot("Prediction", Axis::linear("x"), Axis::linear("f(θ, x)"), together(predictions)),
            Panel::plot("Error", Axis::linear("x"), Axis::linear("prediction − truth"), together(errors)),
        ],
    })
}

/// A line in its model's colour; only the first seed's is in the legend.
fn curve(settings: &Simulate, trial: &DoneTrial, points: Vec<(f64, f64)>) -> Series {
    let (_, index) = Named::find(&settings.models, &trial.trial.model);
    // The colours repeat after six; a dash keeps the next six apart.
    let mark = if (index / 6).is_multiple_of(2) { Mark::Line } else { Mark::Dashed };
    let label = match (trial.trial.seed == settings.seed, points.iter().any(|(_, y)| y.is_finite())) {
        (true, true) => trial.label.clone(),
        (true, false) => format!("{} (diverged)", trial.label),
        (false, _) => String::new(),
    };
    Series::new(label, Color::Cycle(index), points).mark(mark)
}

// ------------------------------------------------------------------------------------ claims

/// Networks as deep as the report's on sin(x) + x², all of about as many parameters as its DNN_2.
const EQUAL_SIZE: [(&str, &str); 3] = [
    ("DNN_1", "1-10-16-16-16-16-16-12-1"), // 1501
    ("DNN_2", "1-10-20-30-20-1"),          // 1511
    ("DNN_3", "1-20-67-1"),                // 1515
];

/// The report's order of its models, best first.
fn claims(settings: &Simulate, done: &[DoneTrial]) -> Result<Vec<Claim>> {
    let (id, statement, order) = match settings.function.to_string().as_str() {
        "sin-sq" => (
            "simulate-sin-sq-depth",
            "The deeper the model, the lower the loss at convergence.",
            ["DNN_1", "DNN_2", "DNN_3"],
        ),
        "sign-sin" => (
            "simulate-sign-sin-order",
            "At about equal parameter count NonLinear_DNN_1 is most accurate, then NonLinear_DNN_3, then \
             NonLinear_DNN_2.",
            ["NonLinear_DNN_1", "NonLinear_DNN_3", "NonLinear_DNN_2"],
        ),
        _ => return Ok(Vec::new()),
    };
    let mut pairs = Vec::new();
    let mut left_out = 0;
    let of_order = order.iter().map(|label| losses(settings, done, label)).collect::<Result<Vec<_>>>()?;
    for (labels, pair) in order.windows(2).zip(of_order.windows(2)) {
        pairs.push(PairedComparison::of_losses((labels[0], &pair[0].0), (labels[1], &pair[1].0)));
    }
    for (_, without) in &of_order {
        left_out += without;
    }
    let rule = if settings.patience > 1 {
        "final training losses, at convergence or at the last epoch, of neighbours in the order"
    } else {
        "final training losses, at convergence by the report's rule or on the plateau where that ended a training, of \
         neighbours in the order"
    };
    let note = match left_out {
        0 => String::new(),
        n => format!("{n} trainings had not converged at the last epoch and say nothing of the loss at convergence."),
    };
    Ok(vec![Claim::ordered(id, statement, SEEDS, &pairs, rule).noting(&note)])
}

/// Final training losses, by seed, of the report's model of that name, or of the one that stands for it
/// at equal size. With the report's patience the claims are about the loss at convergence: a training that
/// ran out of epochs says nothing of it. With more patience it is the one that still improves, and leaving
/// it out would leave out the best. With how many are left out.
fn losses(settings: &Simulate, done: &[DoneTrial], label: &str) -> Result<(Vec<(u64, f64)>, usize)> {
    let widths = |trial: &DoneTrial| trial.trial.model.to_string();
    let of_equal_size = settings.function.to_string() == "sin-sq"
        && EQUAL_SIZE.iter().all(|(_, widths)| settings.models.iter().any(|named| named.model.to_string() == *widths));
    let is_of = |trial: &&DoneTrial| {
        if of_equal_size {
            EQUAL_SIZE.contains(&(label, &widths(trial)))
        } else {
            reported_for(&trial.trial).is_some_and(|reported| reported.label == label)
        }
    };
    let (mut losses, mut left_out) = (Vec::new(), 0);
    for trial in done.iter().filter(is_of) {
        if settings.patience > 1 || trial.record.scalar("converged")? == 1.0 || trial.record.diverged() {
            losses.push((trial.trial.seed, trial.record.scalar("final_train_loss")?));
        } else {
            left_out += 1;
        }
    }
    Ok((losses, left_out))
}
