//! `hw1 grad-norm`, task 2-2 of the report: the norm of the gradient beside the loss, epoch by
//! epoch, while a network learns a function by full-batch training; and, where asked for, the norms of
//! the mini-batch and of the full-batch gradient while one learns digits.

use crate::analysis::rest::{Rest, last_tenth, peak};
use crate::analysis::statistics::quantile;
use crate::data::Dataset;
use crate::model::Mlp;
use crate::plot::{Axis, Color, Mark, Panel, Series};
use crate::settings;
use crate::study::claim::{Claim, Quantity, SEEDS};
use crate::study::seeds::{self, means_over_epochs};
use crate::study::trust::{self, Doubts};
use crate::study::{
    Cell, Context, DATASET_FLAG, DOMAIN_FLAG, Done, Experiment, FUNCTION_FLAG, Findings, Flag, Held, Instead,
    Measurements, POINTS, POINTS_FLAG, Records, Seeds, Size, Table, Trial as TrialTrait, WIDTHS_FLAG, curves, points,
};
use crate::tasks::beside::DigitsSettings;
use crate::tasks::function::{FullBatch, FunctionTraining, ending};
use crate::tasks::gradient_norms::{MiniBatchNorms, of_function};
use crate::tasks::problem::Problem;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::iter::zip;
use std::sync::Arc;

// ---------------------------------------------------------------------------------- settings

settings! {
    #[derive(Clone, Debug, Serialize)]
    pub struct GradNorm(problem: Problem, fit: FullBatch, digits: DigitsSettings, seeds: Seeds) {
        model: Mlp,
    }
}

// ------------------------------------------------------------------------------------- trial

/// A training on the function, or one on digits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Trial {
    Function(FunctionTraining),
    Digits(MiniBatchNorms),
}

impl TrialTrait for Trial {
    fn seed(&self) -> u64 {
        match self {
            Self::Function(training) => training.seed,
            Self::Digits(training) => training.seed,
        }
    }

    fn cost(&self, data: Option<&dyn Dataset>) -> f64 {
        match self {
            Self::Function(training) => training.cost(data),
            Self::Digits(training) => training.cost(data),
        }
    }
}

// ----------------------------------------------------------------------------- record and run

impl Experiment for GradNorm {
    const NAME: &'static str = "grad-norm";
    const ABOUT: &'static str = "The norm of the gradient beside the loss (task 2-2)";
    const SETTINGS: &'static str = include_str!("../../experiments/grad-norm.toml");
    const VERSION: u32 = 4;
    const INSTEAD: Option<Instead> = Some(POINTS);
    const FLAGS: &'static [Flag] = &[
        FUNCTION_FLAG,
        DOMAIN_FLAG,
        POINTS_FLAG,
        WIDTHS_FLAG,
        Flag {
            help: "What to learn in mini-batches beside the function: none, a name that `hw1 data list` shows, or a path \
                   [default: none]",
            ..DATASET_FLAG
        },
    ];
    const REPEATS_IN_ALL: u64 = 5;

    type Trial = Trial;
    /// Of a function see [`of_function`], of digits [`MiniBatchNorms::run`].
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        self.fit.of(&self.problem, &self.model, self.seeds.seed).check()?;
        self.seeds.check()?;
        self.problem.check()?;
        if self.problem.measured().is_some() && self.digits.beside.set.is_some() {
            return Err("points and a dataset: a study is of one set of data; add --dataset none".into());
        }
        self.digits.check()
    }

    fn size(&self) -> Size {
        self.seeds.size(if self.digits.beside.set.is_none() { 1 } else { 2 }, "lower --repeats")
    }

    fn data(&self) -> Option<Arc<dyn Dataset>> {
        match &self.digits.beside.set {
            Some(set) => Some(Arc::new(set.clone())),
            None => self.problem.data(),
        }
    }

    fn memory(&self) -> Result<Vec<Held>, String> {
        let function = self.fit.of(&self.problem, &self.model, self.seeds.seed).memory(self.problem.train_size());
        let digits = self.digits.beside.set.as_ref().map(|_| self.digits.memory()).transpose()?;
        Ok([Some(function), digits].into_iter().flatten().map(|held| held.by(self.seeds.repeats)).collect())
    }

    fn label(&self, trial: &Trial) -> String {
        match trial {
            Trial::Function(training) => training.model.to_string(),
            Trial::Digits(training) => training.model.to_string(),
        }
    }

    fn trials(&self, _: &Records<Self>) -> Result<Vec<Trial>> {
        let of_function = |seed| Trial::Function(self.fit.of(&self.problem, &self.model, seed));
        let mut trials: Vec<Trial> = self.seeds.all().map(of_function).collect();
        if self.digits.beside.set.is_some() {
            trials.extend(self.seeds.all().map(|seed| Trial::Digits(self.digits.training(seed))));
        }
        Ok(trials)
    }

    fn run_trial(trial: &Trial, cx: &mut Context) -> Result<Measurements> {
        match trial {
            Trial::Function(training) => of_function(training, cx),
            Trial::Digits(training) => training.run(cx),
        }
    }

    fn findings(&self, done: &Records<Self>) -> Result<Findings> {
        let mut findings = Findings::of(self)?;
        findings.table(self.table(done))?;
        let (functions, digits): (Vec<&Done<Self>>, Vec<&Done<Self>>) =
            done.iter().partition(|done| matches!(done.trial, Trial::Function(_)));
        self.show_functions(&functions, &mut findings)?;
        if self.digits.beside.set.is_some() {
            self.show_digits(&digits, &mut findings)?;
        }
        Ok(findings)
    }
}

// ---------------------------------------------------------------------------------- findings

impl GradNorm {
    /// Trainings on the function, then those on digits.
    fn table<'a>(&self, done: &'a [Done<Self>]) -> Table<'a, Self> {
        let name = |done: &Done<Self>| match self.data() {
            Some(spec) if matches!(done.trial, Trial::Digits(_)) => format!("{} on {}", done.label, spec.title()),
            _ => done.label.clone(),
        };
        let ended = |done: &Done<Self>| match done.trial {
            Trial::Function(_) => ending(&done.record),
            Trial::Digits(_) => Ok(if done.record.diverged() { "diverged" } else { "last epoch" }),
        };
        let between = |record: &Measurements| {
            record.scalar("final_validation_loss").or_else(|_| record.scalar("final_test_loss"))
        };
        Table::of(done)
            .column("model", |done| Ok(name(done).into()))
            .parameters()
            .seed()
            .count("epochs", "epochs_run")
            .column("ended", |done| Ok(ended(done)?.into()))
            .scalars(&[("train loss", "final_train_loss")])
            .number("validation loss", between)
            .scalars(&[("gradient norm", "final_gradient_norm")])
            .column("highest", |done| Ok(Cell::Number(self.highest(done)?.1)))
            .column("at epoch", |done| Ok(Cell::Count(self.highest(done)?.0)))
    }

    /// Epoch and value of the highest gradient norm over the whole training set; NaN where none was a number.
    fn highest(&self, done: &Done<Self>) -> Result<(f64, f64)> {
        let record = &done.record;
        let highest = match done.trial {
            Trial::Function(_) => peak(record.series("gradient_norm")?),
            Trial::Digits(_) => {
                let steps = record.series("step")?;
                let highest = peak(record.series("full_gradient_norm")?);
                highest.map(|(at, norm)| (steps[at] as usize / self.digits.steps_an_epoch(), norm))
            }
        };
        Ok(highest.map_or((f64::NAN, f64::NAN), |(epoch, norm)| (epoch as f64, norm)))
    }

    /// Gradient norm and loss on the function: apart, and one above the other.
    fn show_functions(&self, done: &[&Done<Self>], findings: &mut Findings) -> Result<()> {
        let words = self.problem.words();
        let norms = panel(NORM, done, &[("", "gradient_norm", Mark::Line)])?;
        let of_both = [("train", "train_loss", Mark::Line), ("validation", "validation_loss", Mark::Dashed)];
        let losses = panel("loss (mean squared error)", done, &of_both)?;
        let all = done.iter().map(|done| done.record.series("gradient_norm")).collect::<Result<Vec<_>>>()?;
        let rounded = Doubts::of([trust::norm_in_rounding(&all.concat())]);
        ["gradient-norm", "gradient-norm-and-loss"].into_iter().for_each(|name| findings.doubt(name, &rounded));
        findings.figure("gradient-norm", &words.with(), 1, vec![norms.clone()])?;
        findings.figure("loss", &words.with(), 1, vec![losses.clone()])?;
        findings.figure("gradient-norm-and-loss", &words.with(), 1, vec![norms, losses])?;
        self.problem.tell(findings);
        findings.claims = claims(done, findings)?;
        Ok(())
    }

    /// Both gradients' norms on digits against steps, above the loss.
    fn show_digits(&self, done: &[&Done<Self>], findings: &mut Findings) -> Result<()> {
        let all = done.iter().map(|done| done.record.series("full_gradient_norm")).collect::<Result<Vec<_>>>()?;
        findings.doubt("mini-batch-gradient-norm", &Doubts::of([trust::norm_in_rounding(&all.concat())]));
        let (mut norms, mut losses) = (Vec::new(), Vec::new());
        for done in done {
            let steps = done.record.series("step")?;
            let against_steps = |label: &str, color, name: &str| -> Result<Series> {
                let look = (self.seeds.legend(done.seed(), label), color);
                Ok(points::line(look, steps, done.record.series(name)?).named(seeds::name(done.seed())))
            };
            norms.push(against_steps("mini-batch", 1, "batch_gradient_norm")?);
            norms.push(against_steps("full batch", 0, "full_gradient_norm")?);
            losses.push(against_steps("", 0, "full_train_loss")?);
        }
        let panel = |y, series| Panel::plot("", Axis::linear("step"), Axis::log(y), means_over_epochs(series));
        let panels = vec![panel(NORM, norms), panel("training loss (cross entropy)", losses)];
        findings.figure("mini-batch-gradient-norm", &[], 1, panels)?;
        findings.claims.push(mini_batch_above(done, findings)?);
        Ok(())
    }
}

const NORM: &str = "gradient norm ‖∇L‖₂";

/// Curves over epochs, each by what the legend calls it, its series and its mark.
fn panel(y: &str, done: &[&Done<GradNorm>], of: &[(&str, &str, Mark)]) -> Result<Panel> {
    let mut curves = Vec::new();
    for done in done {
        for (color, &(label, name, mark)) in of.iter().enumerate() {
            // Taken before each epoch's step: the first is that of the initial weights.
            let curve = Series::over_epochs(label, Color::Cycle(color), 0, done.record.series(name)?).mark(mark);
            curves.push(curve.named(seeds::name(done.seed())));
        }
    }
    Ok(curves::panel(Axis::log(y), curves))
}

/// That gradient norm and loss settle, and do so together. A training that diverged did not settle.
fn claims(done: &[&Done<GradNorm>], findings: &Findings) -> Result<Vec<Claim>> {
    let (mut rises, mut falls, mut together) = (Vec::new(), Vec::new(), Vec::new());
    let mut numbers: [Vec<f64>; 6] = Default::default();
    for done in done {
        let losses = done.record.series("train_loss")?;
        let is_whole = !done.record.diverged();
        let norm = Rest::of(done.record.series("gradient_norm")?).filter(|_| is_whole);
        let loss = Rest::of(losses).filter(|_| is_whole);
        rises.push(Some(norm.is_some_and(|norm| norm.rises_and_settles())));
        falls.push(Some(loss.is_some_and(|loss| loss.falls_and_settles())));
        let apart = norm.zip(loss).map(|(norm, loss)| norm.settled.abs_diff(loss.settled));
        together.push(Some(apart.is_some_and(|epochs| epochs < losses.len().div_ceil(10))));
        let [rise, fall] = [norm.map(|norm| norm.rise_and_rest()), loss.map(|loss| loss.fall_and_rest())];
        let settled = norm.zip(loss).map(|(norm, loss)| [norm, loss].map(|rest| rest.settled as f64));
        let of_seed = [rise, fall, settled].map(|pair| pair.unwrap_or([f64::NAN; 2]));
        zip(&mut numbers, of_seed.into_iter().flatten()).for_each(|(all, number)| all.push(number));
    }
    let [peak, norm_end, loss_end, range, norm_settled, loss_settled] = &numbers;
    Ok(vec![
        (findings.claim("grad-norm-rises-and-settles", &[])?.counted(SEEDS, &rises))
            .beside("highest norm by the first", peak)
            .beside("highest of the last tenth by the highest", norm_end),
        (findings.claim("grad-norm-loss-settles", &[])?.counted(SEEDS, &falls))
            .beside("median loss of the last tenth by the first", loss_end)
            .beside("range of the last tenth by the fall", range),
        (findings.claim("grad-norm-together", &[])?.counted(SEEDS, &together))
            .beside("epoch in which the norm settled", norm_settled)
            .beside("epoch in which the loss settled", loss_settled),
    ])
}

/// Whether the mini-batch's gradient is longer than the whole set's where the training ends: its mean is
/// the latter, and its variance adds to the square of its length.
fn mini_batch_above(done: &[&Done<GradNorm>], findings: &Findings) -> Result<Claim> {
    let mut logs = Vec::new();
    for done in done {
        let at_end = |name: &str| -> Result<f64> {
            Ok(quantile(last_tenth(done.record.series(name)?), 0.5).unwrap_or(f64::NAN))
        };
        logs.push((at_end("batch_gradient_norm")? / at_end("full_gradient_norm")?).log10());
    }
    let name = "mini-batch by full-batch gradient norm, medians over the last tenth of the steps";
    let ratio = Quantity::new(format!("{name} (log₁₀)"), logs).shown_as(|power| 10f64.powf(power));
    Ok(findings.claim("grad-norm-mini-batch-above", &[("ratio", &name)])?.interval(SEEDS, &[ratio]))
}
