//! `hw1 simulate`, task 1-1 of the report: networks of different depth and about equal size learn
//! a function of one variable by full-batch training.

use crate::analysis::statistics::PairedComparison;
use crate::data::Dataset;
use crate::model::{Mlp, Named};
use crate::plot::{Axis, Color, Mark, Panel, Series};
use crate::settings;
use crate::study::claim::{Claim, SEEDS};
use crate::study::seeds::{self, caption_of_median, median_of_each};
use crate::study::{
    Cell, Context, DOMAIN_FLAG, Done, Experiment, FUNCTION_FLAG, Findings, Flag, Held, Instead, Measurements, POINTS,
    POINTS_FLAG, Records, Reported, Seeds, Size, Table, cell,
};
use crate::tasks::function::{FullBatch, FunctionTraining, ending};
use crate::tasks::problem::Problem;
use anyhow::Result;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;

// ---------------------------------------------------------------------------------- settings

settings! {
    /// Settings of one study: one function, its models.
    #[derive(Clone, Debug, Serialize)]
    pub struct Simulate(problem: Problem, fit: FullBatch, seeds: Seeds) {
        models: Vec<Named<Mlp>>,
    }
}

// -------------------------------------------------------------------- trial, record and run

impl Experiment for Simulate {
    const NAME: &'static str = "simulate";
    const ABOUT: &'static str = "Deep and shallow networks learn a function of x (task 1-1)";
    const SETTINGS: &'static str = include_str!("../../experiments/simulate.toml");
    const VERSION: u32 = 4;
    const VARIANT: Option<&'static str> = Some("function");
    const INSTEAD: Option<Instead> = Some(POINTS);
    const FLAGS: &'static [Flag] = &[
        FUNCTION_FLAG.repeatable(),
        DOMAIN_FLAG,
        POINTS_FLAG,
        Flag::new(
            "model",
            "WIDTHS",
            "models",
            "A network by its widths, like 1-64-64-1 or deep=1-8-8-8-1; replaces the report's three",
        )
        .repeatable(),
    ];
    const REPEATS_IN_ALL: u64 = 5;

    type Trial = FunctionTraining;
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        Named::check(&self.models)?;
        let of_model = |named: &Named<Mlp>| self.fit.of(&self.problem, &named.model, self.seeds.seed);
        self.models.iter().try_for_each(|named| of_model(named).check())?;
        self.seeds.check()?;
        self.problem.check()
    }

    fn data(&self) -> Option<Arc<dyn Dataset>> {
        self.problem.data()
    }

    fn size(&self) -> Size {
        self.seeds.size(self.models.len(), "lower --repeats, or name fewer models")
    }

    fn folder(&self) -> String {
        format!("simulate-{}", self.problem.slug())
    }

    fn memory(&self) -> Result<Vec<Held>, String> {
        let of = |named: &Named<Mlp>| self.fit.of(&self.problem, &named.model, self.seeds.seed);
        Ok(self.models.iter().map(|named| of(named).memory(self.problem.train_size())).collect())
    }

    fn label(&self, trial: &FunctionTraining) -> String {
        Named::find(&self.models, &trial.model).0
    }

    fn trials(&self, _: &Records<Self>) -> Result<Vec<FunctionTraining>> {
        Ok(self.seeds.each(&self.models, |named, seed| self.fit.of(&self.problem, &named.model, seed)))
    }

    fn run_trial(trial: &FunctionTraining, cx: &mut Context) -> Result<Measurements> {
        trial.fit(cx)
    }

    fn findings(&self, done: &Records<Self>) -> Result<Findings> {
        let mut findings = Findings::of(self)?;
        self.fill_table(done, &mut findings)?;
        self.draw(done, &mut findings)?;
        let models = self.models.iter().map(|named| {
            let parameters = named.model.layout().parameters();
            json!({"label": named.label(), "widths": named.model.to_string(), "parameters": parameters})
        });
        findings.summarise("models", models.collect::<Vec<_>>());
        self.problem.tell(&mut findings);
        findings.claims.extend(self.order(done, &findings)?);
        Ok(findings)
    }
}

// ---------------------------------------------------------------------------------- findings

/// Networks as deep as the report's on sin(x) + x², all of about as many parameters as its DNN_2.
const EQUAL_SIZE: [(&str, &str); 3] = [
    ("DNN_1", "1-10-16-16-16-16-16-12-1"), // 1501
    ("DNN_2", "1-10-20-30-20-1"),          // 1511
    ("DNN_3", "1-20-67-1"),                // 1515
];

impl Simulate {
    fn fill_table(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        let mut table = Table::new("model", done)
            .parameters()
            .seed()
            .count("epochs", "epochs_run")
            .column("ended", |done| Ok(ending(&done.record)?.into()))
            .scalars(&[("train loss", "final_train_loss"), ("validation loss", "final_validation_loss")])
            .scalars(&[("max error", "maximum_error")]);
        if done.iter().any(|done| reported(findings, done).is_some()) {
            let of = |done: &Done<Self>, name: &str| reported(findings, done)?.values.get(name)?.as_f64();
            table = table
                .column("reported epochs", |done| Ok(of(done, "epochs").map_or(Cell::Undefined, Cell::Count)))
                .column("reported loss", |done| Ok(of(done, "loss").map_or(Cell::Undefined, cell)));
        }
        let is_beside = table.columns.len() > 8;
        findings.table(table)?;
        let on_plateau = done.iter().filter(|done| done.record.scalars.get("stopped_on_plateau") == Some(&1.0)).count();
        if on_plateau > 0 {
            findings.notes.push(format!(
                "{on_plateau} of {} trainings stopped on their first plateau, the loss hardly fallen: the report's rule \
                 asks for one quiet epoch only. Try --set patience=100.",
                done.len()
            ));
        }
        if is_beside && self.models.len() > 1 {
            let text = "Reported: the report's figures, from one training each at its own settings.";
            findings.notes.push(text.to_owned());
        }
        Ok(())
    }

    /// What is learned, the losses over epochs, and the predictions with their errors.
    fn draw(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        let (words, is_measured) = (self.problem.words(), self.problem.measured().is_some());
        let (train, validation) = (self.problem.train_points()?, self.problem.validation_points()?);
        let marks = || {
            let held_out = Series::new("held out", Color::Ink, validation.clone()).mark(Mark::Circles);
            vec![Series::new("learned from", Color::Ink, train.clone()).mark(Mark::Points), held_out]
        };
        let (key, y, shown) = match is_measured {
            true => ("points", "y", marks()),
            false => ("target", words.formula.as_str(), vec![Series::new("", Color::Ink, train.clone())]),
        };
        let panel = Panel::plot("", Axis::linear("x"), Axis::linear(y), shown);
        findings.is_given(key);
        findings.figure(key, &words.with(), 1, vec![panel])?;

        let over_x = |values: &[f64]| validation.iter().map(|point| point.0).zip(values.iter().copied()).collect();
        let (mut losses, mut errors, mut predictions) = (Vec::new(), Vec::new(), Vec::new());
        let (mut lowest, mut highest) = (f64::INFINITY, 0f64);
        for done in done {
            let loss = done.record.series("train_loss")?;
            for &loss in loss.iter().filter(|loss| loss.is_finite()) {
                (lowest, highest) = (lowest.min(loss), highest.max(loss));
            }
            let prediction = done.record.series("prediction")?;
            let error: Vec<f64> =
                prediction.iter().zip(&validation).map(|(prediction, (_, y))| prediction - y).collect();
            let (mut line, mut error) = (over_x(prediction), self.curve(done, over_x(&error)));
            let at_end = done.record.scalar("final_train_loss")?;
            losses.push((self.curve(done, (0..).map(f64::from).zip(loss.iter().copied()).collect()), at_end));
            if is_measured {
                let curve =
                    done.record.series("curve_x")?.iter().copied().zip(done.record.series("curve")?.iter().copied());
                (line, error) = (curve.collect(), error.mark(Mark::Points));
            }
            predictions.push((self.curve(done, line), at_end));
            errors.push((error, at_end));
        }
        // A log axis shows the end of a steep curve, and would blow up the ripples of a flat one.
        let label = "training loss (mean squared error)";
        let y = if highest > 4.0 * lowest { Axis::log(label) } else { Axis::linear(label) };
        // Some seeds may have stayed on the plateau: the mean of all would be a curve that no network has.
        let losses = Panel::plot("", Axis::linear("epoch"), y, median_of_each(losses));
        let of_seeds = caption_of_median(self.seeds.repeats, "final training loss");
        let with = [&words.with()[..], &[("of_seeds", &of_seeds)]].concat();
        findings.figure("training-loss", &with, 1, vec![losses])?;
        let (key, reference, truth) = match is_measured {
            true => ("predictions-of-points", marks(), "measured"),
            false => ("predictions", vec![Series::new("ground truth", Color::Ink, validation.clone())], "truth"),
        };
        let predictions = [reference, median_of_each(predictions)].concat();
        // Of points an error is one point's: there is no line through them.
        let errors = match is_measured {
            true => errors.into_iter().map(|(error, _)| error).collect(),
            false => median_of_each(errors),
        };
        let panels = vec![
            Panel::plot("Prediction", Axis::linear("x"), Axis::linear("f(θ, x)"), predictions),
            Panel::plot("Error", Axis::linear("x"), Axis::linear(format!("prediction − {truth}")), errors),
        ];
        findings.figure(key, &with, 2, panels)
    }

    /// A line in its model's colour; only the first seed's is in the legend.
    fn curve(&self, done: &Done<Self>, points: Vec<(f64, f64)>) -> Series {
        let (_, index) = Named::find(&self.models, &done.trial.model);
        // The colours repeat after six; a dash keeps the next six apart.
        let mark = if (index / 6).is_multiple_of(2) { Mark::Line } else { Mark::Dashed };
        let diverged = if points.iter().any(|(_, y)| y.is_finite()) { "" } else { " (diverged)" };
        let label = self.seeds.legend(done.seed(), format!("{}{diverged}", done.label));
        Series::new(label, Color::Cycle(index), points).mark(mark).named(seeds::name(done.seed()))
    }

    /// The report's order of its models, best first.
    fn order(&self, done: &[Done<Self>], findings: &Findings) -> Result<Option<Claim>> {
        let (key, order) = match self.problem.function().as_str() {
            "sin-sq" => ("simulate-sin-sq-depth", ["DNN_1", "DNN_2", "DNN_3"]),
            "sign-sin" => ("simulate-sign-sin-order", ["NonLinear_DNN_1", "NonLinear_DNN_3", "NonLinear_DNN_2"]),
            _ => return Ok(None),
        };
        let (mut losses, mut left_out) = (Vec::new(), 0);
        for label in order {
            let (of_label, without) = self.losses(done, findings, label)?;
            losses.push((label, of_label));
            left_out += without;
        }
        let pair = |pair: &[(&str, Vec<(u64, f64)>)]| {
            PairedComparison::of_losses((pair[0].0, &pair[0].1), (pair[1].0, &pair[1].1))
        };
        let pairs: Vec<_> = losses.windows(2).map(pair).collect();
        let ended = if self.fit.patience > 1 {
            "at convergence or at the last epoch"
        } else {
            "at convergence by the report's rule or on the plateau where that ended a training"
        };
        let note = match left_out {
            0 => String::new(),
            n => {
                format!("{n} trainings had not converged at the last epoch and say nothing of the loss at convergence.")
            }
        };
        Ok(Some(findings.claim(key, &[("ended", &ended)])?.compared(SEEDS, &pairs).noting(&note)))
    }

    /// Final training losses, by seed, of the report's model of that name, or of the one that stands for it
    /// at equal size. With the report's patience the claims are about the loss at convergence: a training that
    /// ran out of epochs says nothing of it. With more patience it is the one that still improves, and leaving
    /// it out would leave out the best. With how many are left out.
    fn losses(&self, done: &[Done<Self>], findings: &Findings, label: &str) -> Result<(Vec<(u64, f64)>, usize)> {
        let has = |widths: &str| self.models.iter().any(|named| named.model.to_string() == *widths);
        let of_equal_size = self.problem.function() == "sin-sq" && EQUAL_SIZE.iter().all(|(_, widths)| has(widths));
        let is_of = |done: &&Done<Self>| match of_equal_size {
            true => EQUAL_SIZE.contains(&(label, &done.trial.model.to_string())),
            false => {
                reported(findings, done).is_some_and(|reported| reported.values.get("label") == Some(&label.into()))
            }
        };
        let (mut losses, mut left_out) = (Vec::new(), 0);
        for done in done.iter().filter(is_of) {
            if self.fit.patience > 1 || done.record.scalar("converged")? == 1.0 || done.record.diverged() {
                losses.push((done.seed(), done.record.scalar("final_train_loss")?));
            } else {
                left_out += 1;
            }
        }
        Ok((losses, left_out))
    }
}

/// What the report gives for this trial's network, function and optimizer.
fn reported<'a>(findings: &'a Findings, done: &Done<Simulate>) -> Option<&'a Reported> {
    findings.texts.reported(&serde_json::to_value(&done.trial).ok()?)
}
