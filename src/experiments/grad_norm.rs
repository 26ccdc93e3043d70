//! `hw1 grad-norm`, task 2-2 of the report: the norm of the gradient beside the loss, epoch by
//! epoch, while a network learns a function by full-batch training.

use crate::analysis::statistics::quantile;
use crate::data::functions::Target;
use crate::experiment::{Cell, Claim, Context, Done, Experiment, Flag, Measurements, Records, Report, cell, check};
use crate::model::Mlp;
use crate::objective::{MeanSquaredError, Objective as _, norm};
use crate::plot::{Axis, Color, Figure, Mark, Panel, Series};
use crate::regress::{self, Problem, Training};
use crate::repeats::{self, together};
use crate::train::{OptimizerName, train};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use tch::Kind;

// ---------------------------------------------------------------------------------- settings

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GradNorm {
    function: Target,
    /// Lowest and highest x.
    domain: [f64; 2],
    train_size: usize,
    validation_size: usize,
    model: Mlp,
    optimizer: OptimizerName,
    learning_rate: f64,
    epochs: u64,
    convergence: f64,
    patience: u64,
    seed: u64,
    repeats: u64,
}

// -------------------------------------------------------------------- trial, record and run

impl Experiment for GradNorm {
    const NAME: &'static str = "grad-norm";
    const ABOUT: &'static str = "The norm of the gradient beside the loss (task 2-2)";
    const SETTINGS: &'static str = include_str!("../../experiments/grad-norm.toml");
    const VERSION: u32 = 1;
    const FLAGS: &'static [Flag] = &[regress::FUNCTION_FLAG, regress::DOMAIN_FLAG, regress::MODEL_FLAG];
    const REPEATS_IN_ALL: u64 = 5;

    type Trial = Training;
    /// Series `train_loss`, `validation_loss` and `gradient_norm` (‖∇L‖₂ over all parameters), each
    /// taken before the epoch's step.
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        let first = self.trial(self.seed);
        first.check()?;
        check::seeds(self.seed, self.repeats)?;
        first.problem.check()
    }

    fn label(&self, trial: &Training) -> String {
        trial.model.to_string()
    }

    fn trials(&self, _: &Records<Self>) -> Result<Vec<Training>> {
        Ok((self.seed..self.seed + self.repeats).map(|seed| self.trial(seed)).collect())
    }

    fn run_trial(trial: &Training, cx: &mut Context) -> Result<Measurements> {
        let layout = trial.model.layout();
        let theta = layout.initial(trial.seed, &regress::key(&trial.model), Kind::Float, cx.device);
        cx.save_weights("initial", &layout, &theta)?;

        let points = trial.problem.train(Kind::Float, cx.device)?;
        let between = trial.problem.validation(Kind::Float, cx.device)?;
        // On the same θ: the optimizer changes it in place.
        let mut validation = MeanSquaredError::new(&trial.model, theta.shallow_clone(), &between.x, &between.y);
        let mut objective = MeanSquaredError::new(&trial.model, theta, &points.x, &points.y);
        let mut optimizer = trial.optimizer.with_learning_rate(trial.learning_rate);
        let mut training = train(&mut objective, &mut optimizer, trial.epochs, trial.rule(), cx, |now| {
            now.measure("validation_loss", validation.loss());
            now.measure("gradient_norm", norm(now.gradient)?);
            Ok(ControlFlow::Continue(()))
        })?;

        cx.save_weights("final", &layout, objective.theta())?;
        let scalars = [
            ("final_train_loss", objective.loss_and_gradient()),
            ("final_validation_loss", validation.loss()),
            ("final_gradient_norm", norm(objective.gradient())?),
        ];
        let endings = regress::endings(&training);
        let series = [
            ("validation_loss", training.take("validation_loss")),
            ("gradient_norm", training.take("gradient_norm")),
            ("train_loss", training.train_loss),
        ];
        Ok(Measurements::new(layout.parameters(), scalars, series).and(endings))
    }

    fn report(&self, done: &Records<Self>) -> Result<Report> {
        report(self, &done.0)
    }
}

impl GradNorm {
    fn trial(&self, seed: u64) -> Training {
        Training {
            problem: Problem {
                function: self.function.clone(),
                domain: self.domain,
                train_size: self.train_size,
                validation_size: self.validation_size,
            },
            model: self.model.clone(),
            optimizer: self.optimizer,
            learning_rate: self.learning_rate,
            epochs: self.epochs,
            convergence: self.convergence,
            patience: self.patience,
            seed,
        }
    }
}

// ------------------------------------------------------------------------------------ report

type DoneTrial = Done<GradNorm>;

fn report(settings: &GradNorm, done: &[DoneTrial]) -> Result<Report> {
    let mut report = Report { claims: claims(done)?, ..Report::default() };
    let columns = [
        "model",
        "parameters",
        "seed",
        "epochs",
        "ended",
        "train loss",
        "validation loss",
        "gradient norm",
        "highest",
        "at epoch",
    ];
    report.columns = columns.map(str::to_owned).to_vec();
    for trial in done {
        let record = &trial.record;
        let peak = peak(record.series("gradient_norm")?);
        report.rows.push(vec![
            trial.label.clone().into(),
            Cell::Count(record.parameters as f64),
            Cell::Seed(trial.trial.seed),
            Cell::Count(record.scalar("epochs_run")?),
            regress::ending(record)?.into(),
            cell(record.scalar("final_train_loss")?),
            cell(record.scalar("final_validation_loss")?),
            cell(record.scalar("final_gradient_norm")?),
            cell(peak.map_or(f64::NAN, |(_, norm)| norm)),
            Cell::Count(peak.map_or(f64::NAN, |(epoch, _)| epoch as f64)),
        ]);
    }
    if (settings.function.to_string().as_str(), settings.domain) == ("sin-plus-x", [1.0, 10.0]) {
        report.notes.push("Reported: converged at epoch 1171 with a loss of 0.2005.".to_owned());
    }
    let formula = settings.function.formula();
    let (norms, losses) = (panel(done, &NORM)?, panel(done, &LOSS)?);
    let figure = |name: &str, title: String, caption: String, panels| Figure {
        name: name.into(),
        title,
        caption: caption + &repeats::caption(settings.repeats),
        columns: 1,
        panels,
    };
    let of_norm = "The L2 norm of the gradient over all parameters before each epoch's step";
    let of_loss =
        "Mean squared error at the training points (solid) and between them (dashed) before each epoch's step";
    report.figures = vec![
        figure("gradient-norm", format!("Gradient norm on {formula}"), format!("{of_norm}."), vec![norms.clone()]),
        figure("loss", format!("Loss on {formula}"), format!("{of_loss}."), vec![losses.clone()]),
        figure(
            "gradient-norm-and-loss",
            format!("Gradient norm and loss on {formula}"),
            format!("Above: {}. Below: {}.", lowered(of_norm), lowered(of_loss)),
            vec![norms, losses],
        ),
    ];
    report.summary.insert("function".into(), formula.into());
    Ok(report)
}

/// The start of a sentence as the middle of one.
fn lowered(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map_or(String::new(), |first| first.to_lowercase().chain(chars).collect())
}

/// Epoch and value of the highest finite number.
fn peak(values: &[f64]) -> Option<(usize, f64)> {
    let finite = values.iter().copied().enumerate().filter(|(_, value)| value.is_finite());
    finite.max_by(|a, b| a.1.total_cmp(&b.1))
}

/// A panel's axis, and its series with their marks.
struct Quantity {
    label: &'static str,
    series: &'static [(&'static str, Mark)],
}

const NORM: Quantity = Quantity { label: "gradient norm ‖∇L‖₂", series: &[("gradient_norm", Mark::Line)] };
const LOSS: Quantity = Quantity {
    label: "loss (mean squared error)",
    series: &[("train_loss", Mark::Line), ("validation_loss", Mark::Dashed)],
};

fn panel(done: &[DoneTrial], quantity: &Quantity) -> Result<Panel> {
    let mut series = Vec::new();
    for trial in done {
        for (color, &(name, mark)) in quantity.series.iter().enumerate() {
            // A single curve needs no name.
            let label = if quantity.series.len() == 1 { "" } else { name.trim_end_matches("_loss") };
            let values = trial.record.series(name)?;
            series.push(Series::over_epochs(label, Color::Cycle(color), 0, values).mark(mark));
        }
    }
    Ok(Panel::plot("", Axis::linear("epoch"), Axis::log(quantity.label), together(series)))
}

// ------------------------------------------------------------------------------------ claims

/// Where a curve came to rest.
struct Rest {
    first: f64,
    highest: (usize, f64),
    /// The last tenth of the epochs: lowest, median, highest.
    end: [f64; 3],
    /// The last epoch with more than a twentieth of the way from the highest to the end's median to go.
    settled: usize,
}

impl Rest {
    fn of(values: &[f64]) -> Option<Self> {
        let highest = peak(values)?;
        let end = &values[values.len() - values.len().div_ceil(10)..];
        let [low, median, high] = [0.0, 0.5, 1.0].map(|share| quantile(end, share));
        let end = [low?, median?, high?];
        let close = end[1] + 0.05 * (highest.1 - end[1]);
        let settled = values.iter().rposition(|value| *value > close).unwrap_or(0);
        Some(Self { first: values[0], highest, end, settled })
    }
}

/// The report's claims; each holds for a training, or does not, by a rule that the evidence states.
fn claims(done: &[DoneTrial]) -> Result<Vec<Claim>> {
    let (mut rises, mut falls, mut together) = (Vec::new(), Vec::new(), Vec::new());
    for trial in done {
        let (norms, losses) = (trial.record.series("gradient_norm")?, trial.record.series("train_loss")?);
        // A training that diverged did not settle.
        let finite = trial.record.scalar("diverged")? == 0.0;
        let (norm, loss) = (Rest::of(norms), Rest::of(losses));
        rises.push(
            finite
                && norm.as_ref().is_some_and(|norm| {
                    norm.highest.0 > 0 && norm.highest.1 > 1.1 * norm.first && norm.end[2] < 0.1 * norm.highest.1
                }),
        );
        falls.push(
            finite
                && loss.as_ref().is_some_and(|loss| {
                    loss.end[1] < 0.1 * loss.first && loss.end[2] - loss.end[0] < 0.05 * (loss.first - loss.end[1])
                }),
        );
        together.push(
            finite
                && norm
                    .zip(loss)
                    .is_some_and(|(norm, loss)| norm.settled.abs_diff(loss.settled) < losses.len().div_ceil(10)),
        );
    }
    Ok(vec![
        Claim::counted(
            "grad-norm-rises-and-settles",
            "The gradient norm rises at first, then falls and settles.",
            "seeds",
            &rises,
            "its highest value is after the first epoch, more than 1.1 times the first, and more than 10 times every \
             value in the last tenth of the epochs",
        ),
        Claim::counted(
            "grad-norm-loss-settles",
            "The loss falls and settles.",
            "seeds",
            &falls,
            "the median over the last tenth of the epochs is below a tenth of the first loss, and the loss changes there \
             by less than a twentieth of its whole fall",
        ),
        Claim::counted(
            "grad-norm-together",
            "Gradient norm and loss stop improving together.",
            "seeds",
            &together,
            "the last epochs at which each has more than a twentieth of its way from the highest value to the median of \
             the last tenth to go are less than a tenth of all epochs apart",
        ),
    ])
}
