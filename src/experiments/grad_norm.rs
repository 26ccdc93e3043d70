//! `hw1 grad-norm`, task 2-2 of the report: the norm of the gradient beside the loss, epoch by
//! epoch, while a network learns a function by full-batch training; and, where asked for, the norms of
//! the mini-batch and of the full-batch gradient while one learns digits.

use crate::analysis::statistics::quantile;
use crate::data::batches::{DataSpec, DatasetName, Samples, order};
use crate::data::functions::Target;
use crate::model::{Classifier, Mlp};
use crate::objective::{CrossEntropy, MeanSquaredError, Objective as _, norm};
use crate::plot::{Axis, Color, Figure, Mark, Panel, Series};
use crate::study::claim::{Claim, Claimed, Quantity, SEEDS};
use crate::study::seeds::{self, means_over_epochs};
use crate::study::{
    Cell, Context, DATASET_FLAG, Done, Experiment, Findings, Flag, Measurements, Records, Size, Trial as TrialTrait,
    cell, check, flag,
};
use crate::tasks::function::{self, FullBatch, FunctionTraining, Problem};
use crate::train::{OptimizerName, train};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use tch::{Kind, Tensor};

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
    dataset: Digits,
    digits_train_size: usize,
    digits_test_size: usize,
    digits_model: Classifier,
    digits_optimizer: OptimizerName,
    digits_learning_rate: f64,
    digits_batch_size: u32,
    digits_epochs: u64,
    /// Steps from a measurement to the next.
    digits_every: u64,
    seed: u64,
    repeats: u64,
}

/// Which digits are learned beside the function, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Digits {
    None,
    Mnist,
    Synthetic,
}

// ------------------------------------------------------------------------------------- trial

/// A training on the function, or one on digits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Trial {
    Function(FunctionTraining),
    Digits(DigitsTrial),
}

/// One training on digits in mini-batches, its gradients measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DigitsTrial {
    digits_model: Classifier,
    optimizer: OptimizerName,
    learning_rate: f64,
    batch_size: u32,
    epochs: u64,
    every: u64,
    seed: u64,
}

impl TrialTrait for Trial {
    fn seed(&self) -> u64 {
        match self {
            Self::Function(training) => training.seed,
            Self::Digits(digits) => digits.seed,
        }
    }

    fn cost(&self) -> f64 {
        match self {
            Self::Function(training) => training.cost(),
            // Of the usual set's size.
            Self::Digits(digits) => digits.digits_model.layout().parameters() as f64 * 1e4 * digits.epochs as f64,
        }
    }
}

// ----------------------------------------------------------------------------- record and run

crate::settings_as_before!(GradNorm);

impl Experiment for GradNorm {
    const NAME: &'static str = "grad-norm";
    const ABOUT: &'static str = "The norm of the gradient beside the loss (task 2-2)";
    const SETTINGS: &'static str = include_str!("../../experiments/grad-norm.toml");
    const VERSION: u32 = 3;
    const FLAGS: &'static [Flag] = &[
        crate::study::FUNCTION_FLAG,
        crate::study::DOMAIN_FLAG,
        crate::study::WIDTHS_FLAG,
        Flag {
            help: "Digits to learn in mini-batches beside the function: none, mnist or synthetic [default: none]",
            ..DATASET_FLAG
        },
    ];
    const REPEATS_IN_ALL: u64 = 5;

    type Trial = Trial;
    /// Of a function: series `train_loss`, `validation_loss` and `gradient_norm` (‖∇L‖₂ over all
    /// parameters), each taken before the epoch's step. Of digits: `batch_gradient_norm`,
    /// `full_gradient_norm` and `full_train_loss`, each taken before the step in `step`.
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        let first = self.trial(self.seed);
        first.check()?;
        check::seeds(self.seed, self.repeats)?;
        first.problem.check()?;
        check::training(self.digits_epochs, self.digits_learning_rate).map_err(|error| format!("digits_{error}"))?;
        check::batch_size(self.digits_batch_size).map_err(|error| format!("digits_{error}"))?;
        // The whole set's gradient is taken in blocks.
        let samples = u64::from(self.digits_batch_size).min(self.digits_train_size as u64).max(FULL_BLOCK as u64);
        let what = format!("digits_model '{}' with a batch of {samples}", self.digits_model);
        check::memory(&what, self.digits_model.memory_of_batch(samples), "lower digits_batch_size")?;
        if self.digits_every == 0 {
            return Err("digits_every is 0; it must be at least 1".into());
        }
        self.spec(DatasetName::Synthetic).check().map_err(|error| format!("digits_{error}"))
    }

    fn size(&self) -> Size {
        Size::of_seeds(self.repeats, if self.dataset == Digits::None { 1 } else { 2 }, "lower --repeats")
    }

    fn data(&self) -> Option<DataSpec> {
        match self.dataset {
            Digits::None => None,
            Digits::Mnist => Some(self.spec(DatasetName::Mnist)),
            Digits::Synthetic => Some(self.spec(DatasetName::Synthetic)),
        }
    }

    fn label(&self, trial: &Trial) -> String {
        match trial {
            Trial::Function(training) => training.model.to_string(),
            Trial::Digits(digits) => digits.digits_model.to_string(),
        }
    }

    fn trials(&self, _: &Records<Self>) -> Result<Vec<Trial>> {
        let seeds = self.seed..self.seed + self.repeats;
        let mut trials: Vec<Trial> = seeds.clone().map(|seed| Trial::Function(self.trial(seed))).collect();
        if self.dataset != Digits::None {
            trials.extend(seeds.map(|seed| Trial::Digits(self.digits_trial(seed))));
        }
        Ok(trials)
    }

    fn run_trial(trial: &Trial, cx: &mut Context) -> Result<Measurements> {
        let trial = match trial {
            Trial::Function(training) => training,
            Trial::Digits(digits) => return digits.run(cx),
        };
        let layout = trial.model.layout();
        let theta = layout.initial(trial.seed, &function::key(&trial.model), Kind::Float, cx.device);
        cx.save_weights("initial", &layout, &theta)?;

        let points = trial.problem.train(Kind::Float, cx.device)?;
        let between = trial.problem.validation(Kind::Float, cx.device)?;
        // On the same θ: the optimizer changes it in place.
        let mut validation = MeanSquaredError::new(&trial.model, theta.shallow_clone(), &between.x, &between.y);
        let mut objective = MeanSquaredError::new(&trial.model, theta, &points.x, &points.y);
        let mut optimizer = trial.fit.optimizer.with_learning_rate(trial.fit.learning_rate);
        let mut training = train(
            &mut objective,
            &mut optimizer,
            trial.fit.epochs,
            crate::train::Convergence { tolerance: trial.fit.convergence, patience: trial.fit.patience },
            cx,
            |now| {
                now.measure("validation_loss", validation.loss());
                now.measure("gradient_norm", norm(now.gradient)?);
                Ok(ControlFlow::Continue(()))
            },
        )?;

        cx.save_weights("final", &layout, objective.theta())?;
        let scalars = [
            ("final_train_loss", objective.loss_and_gradient()),
            ("final_validation_loss", validation.loss()),
            ("final_gradient_norm", norm(objective.gradient())?),
        ];
        let endings = function::endings(&training);
        let series = [
            ("validation_loss", training.take("validation_loss")),
            ("gradient_norm", training.take("gradient_norm")),
            ("train_loss", training.train_loss),
        ];
        Ok(Measurements::new(layout.parameters(), scalars, series).and(endings))
    }

    fn findings(&self, done: &Records<Self>) -> Result<Findings> {
        report(self, &done.0)
    }
}

impl DigitsTrial {
    /// Trains, and measures both gradients at the same θ before every so many steps. Short beside the
    /// trainings on functions: it keeps no checkpoint.
    fn run(&self, cx: &mut Context) -> Result<Measurements> {
        let (layout, name) = (self.digits_model.layout(), format!("classifier {}", self.digits_model));
        let theta = layout.initial(self.seed, &name, Kind::Float, cx.device);
        cx.save_weights("initial", &layout, &theta)?;
        let (train, test) = (cx.images()?.train.on(cx.device), cx.images()?.test.on(cx.device));
        let objective = CrossEntropy::new(&self.digits_model, theta);
        let mut optimizer = self.optimizer.with_learning_rate(self.learning_rate);
        let (mut steps, mut of_batch, mut of_all, mut losses) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut step, mut epochs_run) = (0, 0);
        for epoch in 0..self.epochs {
            let order = Tensor::f_from_slice(&order(train.len(), Some((self.seed, &name)), epoch))?;
            for index in order.f_to_device(cx.device)?.f_split(i64::from(self.batch_size), 0)? {
                let (x, labels) = (train.images.f_index_select(0, &index)?, train.labels.f_index_select(0, &index)?);
                let (gradient, _) = objective.gradient(&x, &labels);
                if step % self.every == 0 {
                    let (full, loss) = full_gradient(&objective, &train)?;
                    steps.push(step as f64);
                    of_batch.push(norm(&gradient)?);
                    of_all.push(norm(&full)?);
                    losses.push(loss);
                    cx.check_stop()?;
                }
                optimizer.step(objective.theta(), &gradient);
                step += 1;
            }
            epochs_run = epoch + 1;
            let loss = losses.last().copied().unwrap_or(f64::NAN);
            cx.step_done(epochs_run, self.epochs, loss)?;
            if !loss.is_finite() {
                break;
            }
        }
        cx.save_weights("final", &layout, objective.theta())?;
        let (full, loss) = full_gradient(&objective, &train)?;
        let (on_train, on_test) = (objective.evaluate(&train), objective.evaluate(&test));
        let scalars = [
            ("epochs_run", epochs_run as f64),
            ("diverged", flag(!loss.is_finite())),
            ("final_train_loss", loss),
            ("final_train_accuracy", on_train.accuracy),
            ("final_test_loss", on_test.loss),
            ("final_test_accuracy", on_test.accuracy),
            ("final_gradient_norm", norm(&full)?),
        ];
        let series = [
            ("step", steps),
            ("batch_gradient_norm", of_batch),
            ("full_gradient_norm", of_all),
            ("full_train_loss", losses),
        ];
        Ok(Measurements::new(layout.parameters(), scalars, series))
    }
}

/// Samples at a time in [`full_gradient`].
const FULL_BLOCK: i64 = 1000;

/// ∇L over all samples, and L: the weighted mean of blocks' gradients, so that activations stay small.
fn full_gradient(objective: &CrossEntropy, samples: &Samples) -> Result<(Tensor, f64)> {
    let n = samples.len();
    let mut gradient = objective.theta().f_zeros_like()?;
    let (mut loss, mut start) = (0.0, 0);
    while start < n {
        let size = FULL_BLOCK.min(n - start);
        let (x, labels) = (samples.images.f_narrow(0, start, size)?, samples.labels.f_narrow(0, start, size)?);
        let (of_block, sums) = objective.gradient(&x, &labels);
        gradient = gradient.f_add(&of_block.f_mul_scalar(size as f64 / n as f64)?)?;
        loss += sums.loss.f_double_value(&[])? / n as f64;
        start += size;
    }
    Ok((gradient, loss))
}

impl GradNorm {
    fn spec(&self, dataset: DatasetName) -> DataSpec {
        DataSpec { dataset, train_size: self.digits_train_size, test_size: self.digits_test_size }
    }

    fn digits_trial(&self, seed: u64) -> DigitsTrial {
        DigitsTrial {
            digits_model: self.digits_model.clone(),
            optimizer: self.digits_optimizer,
            learning_rate: self.digits_learning_rate,
            batch_size: self.digits_batch_size,
            epochs: self.digits_epochs,
            every: self.digits_every,
            seed,
        }
    }

    fn trial(&self, seed: u64) -> FunctionTraining {
        FunctionTraining {
            problem: Problem {
                function: self.function.clone(),
                domain: self.domain,
                train_size: self.train_size,
                validation_size: self.validation_size,
            },
            model: self.model.clone(),
            fit: FullBatch {
                optimizer: self.optimizer,
                learning_rate: self.learning_rate,
                epochs: self.epochs,
                convergence: self.convergence,
                patience: self.patience,
            },
            seed,
        }
    }
}

// ------------------------------------------------------------------------------------ report

type DoneTrial = Done<GradNorm>;

fn report(settings: &GradNorm, done: &[DoneTrial]) -> Result<Findings> {
    let (functions, digits): (Vec<&DoneTrial>, Vec<&DoneTrial>) =
        done.iter().partition(|done| matches!(done.trial, Trial::Function(_)));
    let mut report = Findings { claims: claims(&functions)?, ..Findings::default() };
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
    for trial in &functions {
        let record = &trial.record;
        let peak = peak(record.series("gradient_norm")?);
        report.rows.push(vec![
            trial.label.clone().into(),
            Cell::Count(record.parameters as f64),
            Cell::Seed(trial.trial.seed()),
            Cell::Count(record.scalar("epochs_run")?),
            function::ending(record)?.into(),
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
    let (norms, losses) = (panel(&functions, &NORM)?, panel(&functions, &LOSS)?);
    let figure = |name: &str, title: String, caption: String, panels| Figure {
        name: name.into(),
        title,
        caption: caption + &seeds::caption(settings.repeats),
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
    if let Some(spec) = settings.data() {
        digits_report(settings, &digits, spec.title(), &mut report)?;
    }
    Ok(report)
}

/// Adds rows, figure and claim of the trainings on digits.
fn digits_report(settings: &GradNorm, done: &[&DoneTrial], data: &str, report: &mut Findings) -> Result<()> {
    let (mut norms, mut losses) = (Vec::new(), Vec::new());
    for trial in done {
        let record = &trial.record;
        let (steps, of_all) = (record.series("step")?, record.series("full_gradient_norm")?);
        let peak = peak(of_all);
        let steps_an_epoch = settings.digits_train_size.div_ceil(settings.digits_batch_size as usize);
        report.rows.push(vec![
            format!("{} on {data}", trial.label).into(),
            Cell::Count(record.parameters as f64),
            Cell::Seed(trial.trial.seed()),
            Cell::Count(record.scalar("epochs_run")?),
            if record.diverged() { "diverged" } else { "last epoch" }.into(),
            cell(record.scalar("final_train_loss")?),
            cell(record.scalar("final_test_loss")?),
            cell(record.scalar("final_gradient_norm")?),
            cell(peak.map_or(f64::NAN, |(_, norm)| norm)),
            Cell::Count(peak.map_or(f64::NAN, |(at, _)| (steps[at] as usize / steps_an_epoch) as f64)),
        ]);
        let against_steps = |label: &str, color, values: &[f64]| {
            let label = if trial.trial.seed() == settings.seed { label } else { "" };
            let points = steps.iter().copied().zip(values.iter().copied()).collect();
            Series::new(label, Color::Cycle(color), points)
        };
        norms.push(against_steps("mini-batch", 1, record.series("batch_gradient_norm")?));
        norms.push(against_steps("full batch", 0, of_all));
        losses.push(against_steps("", 0, record.series("full_train_loss")?));
    }
    let (size, batch) = (settings.digits_train_size, settings.digits_batch_size);
    report.figures.push(Figure {
        name: "mini-batch-gradient-norm".into(),
        title: format!("Mini-batch and full-batch gradient norm on {data}"),
        caption: format!(
            "Above: the L2 norm of the gradient over the mini-batch of {batch} that the step follows, and over all \
             {size} training images of {data}, at the same weights, every {} steps. Below: the loss over all training \
             images. {} with {} at a learning rate of {}.{}",
            settings.digits_every,
            settings.digits_model,
            settings.digits_optimizer.name(),
            settings.digits_learning_rate,
            seeds::caption(settings.repeats)
        ),
        columns: 1,
        panels: vec![
            Panel::plot("", Axis::linear("step"), Axis::log(NORM.label), means_over_epochs(norms)),
            Panel::plot(
                "",
                Axis::linear("step"),
                Axis::log("training loss (cross entropy)"),
                means_over_epochs(losses),
            ),
        ],
    });
    report.summary.insert("data".into(), data.into());
    report.claims.push(above_claim(done)?);
    Ok(())
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
struct Curves {
    label: &'static str,
    series: &'static [(&'static str, Mark)],
}

const NORM: Curves = Curves { label: "gradient norm ‖∇L‖₂", series: &[("gradient_norm", Mark::Line)] };
const LOSS: Curves = Curves {
    label: "loss (mean squared error)",
    series: &[("train_loss", Mark::Line), ("validation_loss", Mark::Dashed)],
};

fn panel(done: &[&DoneTrial], curves: &Curves) -> Result<Panel> {
    let mut series = Vec::new();
    for trial in done {
        for (color, &(name, mark)) in curves.series.iter().enumerate() {
            // A single curve needs no name.
            let label = if curves.series.len() == 1 { "" } else { name.trim_end_matches("_loss") };
            let values = trial.record.series(name)?;
            series.push(Series::over_epochs(label, Color::Cycle(color), 0, values).mark(mark));
        }
    }
    Ok(Panel::plot("", Axis::linear("epoch"), Axis::log(curves.label), means_over_epochs(series)))
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

    /// Higher than at first by a tenth, then never above a tenth of that while it rests.
    fn rises_and_settles(&self) -> bool {
        self.highest.0 > 0 && self.highest.1 > 1.1 * self.first && self.end[2] < 0.1 * self.highest.1
    }

    /// To below a tenth, and while it rests within a twentieth of the fall.
    fn falls_and_settles(&self) -> bool {
        self.end[1] < 0.1 * self.first && self.end[2] - self.end[0] < 0.05 * (self.first - self.end[1])
    }
}

/// The report's claims; each holds for a training, or does not, by a rule that the evidence states.
fn claims(done: &[&DoneTrial]) -> Result<Vec<Claim>> {
    let (mut rises, mut falls, mut together) = (Vec::new(), Vec::new(), Vec::new());
    for trial in done {
        let (norms, losses) = (trial.record.series("gradient_norm")?, trial.record.series("train_loss")?);
        // A training that diverged did not settle.
        let finite = !trial.record.diverged();
        let (norm, loss) = (Rest::of(norms), Rest::of(losses));
        rises.push(Some(finite && norm.as_ref().is_some_and(Rest::rises_and_settles)));
        falls.push(Some(finite && loss.as_ref().is_some_and(Rest::falls_and_settles)));
        together.push(Some(
            finite
                && norm
                    .zip(loss)
                    .is_some_and(|(norm, loss)| norm.settled.abs_diff(loss.settled) < losses.len().div_ceil(10)),
        ));
    }
    Ok(vec![
        Claim::counted(
            "grad-norm-rises-and-settles",
            "The gradient norm rises at first, then falls and settles.",
            SEEDS,
            &rises,
            "its highest value is after the first epoch, more than 1.1 times the first, and more than 10 times every \
             value in the last tenth of the epochs",
        ),
        Claim::counted(
            "grad-norm-loss-settles",
            "The loss falls and settles.",
            SEEDS,
            &falls,
            "the median over the last tenth of the epochs is below a tenth of the first loss, and the loss changes there \
             by less than a twentieth of its whole fall",
        ),
        Claim::counted(
            "grad-norm-together",
            "Gradient norm and loss stop improving together.",
            SEEDS,
            &together,
            "the last epochs at which each has more than a twentieth of its way from the highest value to the median of \
             the last tenth to go are less than a tenth of all epochs apart",
        ),
    ])
}

/// Whether the mini-batch's gradient is longer than the whole set's where the training ends: its mean is
/// the latter, and its variance adds to the square of its length.
fn above_claim(done: &[&DoneTrial]) -> Result<Claim> {
    let mut logs = Vec::new();
    for trial in done {
        let at_end = |name: &str| -> Result<f64> {
            let values = trial.record.series(name)?;
            Ok(quantile(&values[values.len() - values.len().div_ceil(10)..], 0.5).unwrap_or(f64::NAN))
        };
        logs.push((at_end("batch_gradient_norm")? / at_end("full_gradient_norm")?).log10());
    }
    let name = "mini-batch by full-batch gradient norm, medians over the last tenth of the steps";
    let ratio = Quantity::new(format!("{name} (log₁₀)"), logs).shown_as(|power| 10f64.powf(power));
    Ok(Claim::interval(
        "grad-norm-mini-batch-above",
        "In mini-batches the gradient norm stays above that of the full batch.",
        SEEDS,
        &[ratio],
        Claimed::Above(0.0),
        &format!("log₁₀ of {name}, in words as a factor"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::batches::DatasetName;
    use tch::Device;

    #[test]
    fn the_full_gradient_is_that_of_one_batch_of_all() {
        let spec = DataSpec { dataset: DatasetName::Synthetic, train_size: 1300, test_size: 1 };
        let samples = spec.load(None, |_| Ok(())).unwrap().train;
        let model: Classifier = "784-7-10".parse().unwrap();
        let objective = CrossEntropy::new(&model, model.layout().initial(0, "t", Kind::Float, Device::Cpu));
        let (blocks, loss) = full_gradient(&objective, &samples).unwrap();
        let (whole, sums) = objective.gradient(&samples.images, &samples.labels);
        let difference = norm(&(&blocks - &whole)).unwrap();
        assert!(difference < 1e-5 * norm(&whole).unwrap(), "{difference}");
        assert!((loss - sums.loss.double_value(&[]) / 1300.0).abs() < 1e-5);
    }
}
