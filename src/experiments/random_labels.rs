//! `hw1 random-labels`, task 3-1 of the report: a network memorises labels that are drawn at
//! random (Zhang et al. 2017).

use crate::analysis::statistics::trend_over_epochs;
use crate::data::{DataSpec, Dataset};
use crate::model::Architecture;
use crate::plot::{Axis, Color, Mark, Panel, Series};
use crate::settings;
use crate::study::claim::{Claim, Quantity, SEEDS};
use crate::study::number::some_of;
use crate::study::seeds::means_at_points;
use crate::study::table::FINAL;
use crate::study::trust::{self, Doubts};
use crate::study::{
    Case, Cell, Context, DATASET_FLAG, Done, Experiment, Findings, Flag, Held, MODEL_FLAG, Measurements, Records,
    Seeds, Size, Table, Trial as TrialTrait, cell, check, curves, points,
};
use crate::tasks::classifier::{ClassifierTraining, MiniBatch};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

// ---------------------------------------------------------------------------------- settings

settings! {
    #[derive(Clone, Debug, Serialize)]
    pub struct RandomLabels(spec: DataSpec, fit: MiniBatch, seeds: Seeds) {
        corruption: Corruption,
        /// Fitted: the train accuracy that counts, 0…1.
        fitted: f64,
        model: Architecture,
    }
}

/// Share of the training labels that are drawn anew, 0…1; or several, to compare.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged, expecting = "corruption is a share from 0 to 1, or a list of them")]
enum Corruption {
    One(f64),
    Several(Vec<f64>),
}

impl Corruption {
    fn levels(&self) -> &[f64] {
        match self {
            Self::One(level) => std::slice::from_ref(level),
            Self::Several(levels) => levels,
        }
    }
}

// ------------------------------------------------------------------------------------- trial

/// One training on corrupted labels.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trial {
    corruption: f64,
    #[serde(flatten)]
    training: ClassifierTraining,
}

impl TrialTrait for Trial {
    fn seed(&self) -> u64 {
        self.training.seed
    }

    fn cost(&self, data: Option<&dyn Dataset>) -> f64 {
        self.training.cost(data)
    }
}

// ----------------------------------------------------------------------------- record and run

impl Experiment for RandomLabels {
    const NAME: &'static str = "random-labels";
    const ABOUT: &'static str = "A network memorises random labels (task 3-1)";
    const SETTINGS: &'static str = include_str!("../../experiments/random-labels.toml");
    const VERSION: u32 = 4;
    const FLAGS: &'static [Flag] = &[DATASET_FLAG, MODEL_FLAG];

    type Trial = Trial;
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        self.spec.check()?;
        let levels = self.corruption.levels();
        if let Some(level) = levels.iter().find(|level| !(0.0..=1.0).contains(*level)) {
            return Err(format!("corruption is {level}; it must be from 0 to 1"));
        }
        if let Some(level) = check::twice(levels) {
            return Err(format!("corruption has {level} twice"));
        }
        if levels.is_empty() {
            return Err("corruption is empty; name at least one share from 0 to 1".into());
        }
        if !(self.fitted > 0.0 && self.fitted <= 1.0) {
            return Err(format!("fitted is {}; it must be above 0, and at most 1", self.fitted));
        }
        self.fit.of(&self.model, self.seeds.seed).check(&self.spec)?;
        self.seeds.check()
    }

    fn size(&self) -> Size {
        self.seeds.size(self.corruption.levels().len(), "lower --repeats, or name fewer shares of corruption")
    }

    fn data(&self) -> Option<Arc<dyn Dataset>> {
        Some(Arc::new(self.spec.clone()))
    }

    fn memory(&self) -> Result<Vec<Held>, String> {
        Ok(vec![self.fit.of(&self.model, self.seeds.seed).memory(&self.spec)?])
    }

    fn label(&self, trial: &Trial) -> String {
        format!("corruption-{}", trial.corruption)
    }

    fn trials(&self, _: &Records<Self>) -> Result<Vec<Trial>> {
        let trial = |&corruption: &f64, seed| Trial { corruption, training: self.fit.of(&self.model, seed) };
        Ok(self.seeds.each(self.corruption.levels(), trial))
    }

    fn run_trial(trial: &Trial, cx: &mut Context) -> Result<Measurements> {
        let training = &trial.training;
        let samples = cx.data()?.train.corrupted(trial.corruption, training.seed, &training.name())?;
        Ok(training.run(cx, &samples)?.1)
    }

    fn findings(&self, done: &Records<Self>) -> Result<Findings> {
        let mut findings = Findings::of(self)?;
        match &self.corruption {
            Corruption::One(_) => self.show_one(done, &mut findings)?,
            Corruption::Several(levels) => self.show_levels(levels, done, &mut findings)?,
        }
        Ok(findings)
    }
}

// ---------------------------------------------------------------------------------- findings

/// Fewer epochs than the report's may be too few to memorise: that refutes nothing.
const EPOCHS: u64 = 100;
/// From here on a loss rises throughout, in rank correlation with the epoch.
const RISES: f64 = 0.9;

/// So far from chance an accuracy is still about as good.
const AROUND_CHANCE: f64 = 0.02;

/// A number of a training.
type Number<'a> = &'a dyn Fn(&Measurements) -> Result<f64>;

impl RandomLabels {
    fn show_one(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        let table = Table::new("labels", done).parameters().seed().count("epochs", "epochs_run");
        findings.table(table.after_training(&FINAL))?;
        let panels = curves::of_both_sets(done, |done, set, _| match set {
            "train" => (self.seeds.legend(done.seed(), "train, random labels"), 0),
            _ => (self.seeds.legend(done.seed(), "test, true labels"), 1),
        })?;
        findings.figure("curves", &[], 2, panels)?;
        findings.claims = self.claims(done, findings)?;
        Ok(())
    }

    /// Several levels of corruption side by side, as figure 1 of Zhang et al.
    fn show_levels(&self, levels: &[f64], done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        let (mut accuracy, mut error, mut fitted) = (Vec::new(), Vec::new(), Vec::new());
        for done in done {
            let (record, level, seed) = (&done.record, done.trial.corruption, done.seed());
            fitted.extend(self.time_to_fit(record)?.is_finite().then_some(done));
            let color = levels.iter().position(|other| *other == level).unwrap_or(0);
            let mark = if (color / 6).is_multiple_of(2) { Mark::Line } else { Mark::Dashed };
            let label = self.seeds.legend(seed, format!("corruption {level}"));
            let wrong: Vec<f64> = record.series("test_accuracy")?.iter().map(|right| 1.0 - right).collect();
            error.push(Series::over_epochs("", Color::Cycle(color), 1, &wrong).mark(mark));
            let right = record.series("train_accuracy")?;
            accuracy.push(Series::over_epochs(label, Color::Cycle(color), 1, right).mark(mark));
        }
        let table = Table::new("labels", done)
            .parameters()
            .seed()
            .column("epochs to fit (running)", |done| {
                let time = self.time_to_fit(&done.record)?;
                Ok(if time.is_finite() { Cell::Count(time) } else { "never".into() })
            })
            .after_training(&FINAL[..3])
            .number("test error", |record| record.final_error("test"));
        findings.table(table)?;

        let panels = vec![
            curves::panel(Axis::linear("train accuracy (corrupted labels)"), accuracy),
            curves::panel(Axis::linear("test error (true labels)"), error),
        ];
        findings.figure("curves-of-levels", &[], 2, panels)?;
        let against = |y, done: &[&Done<Self>], number: Number| -> Result<Panel> {
            let point = |done: &Done<Self>| Ok((done.trial.corruption, number(&done.record)?));
            let lines = points::of_each_seed(self.seeds, done, (String::new(), 0), Mark::LinePoints, point)?;
            let x = Axis::linear("share of labels drawn anew").levels(levels.iter().copied());
            Ok(Panel::plot("", x, y, means_at_points(lines)))
        };
        let (time, test_error): (Number, Number) =
            (&|record| self.time_to_fit(record), &|record| record.final_error("test"));
        let panels = vec![
            against(Axis::linear("epochs to fit"), &fitted, time)?,
            against(Axis::linear("final test error"), &done.iter().collect::<Vec<_>>(), test_error)?,
        ];
        let never = some_of(done.len() - fitted.len(), done.len(), "trainings never");
        let (left_out, never) = match never.as_str() {
            "" => (String::new(), String::new()),
            never => (format!(" ({never} do, and are left out)"), format!("; {never} fit")),
        };
        let never_fit = "trainings never fit their labels: the epochs that it takes are those of the others.";
        let never_fit = some_of(done.len() - fitted.len(), done.len(), never_fit);
        findings.doubt("corruption", &Doubts::of([trust::said(never_fit)]));
        let share = 100.0 * self.fitted;
        findings.figure("corruption", &[("share", &share), ("left_out", &left_out)], 2, panels)?;

        findings.claims = self.claims(done, findings)?;
        let by_seed = |number: Number| {
            let point = |done: &Done<Self>| Ok(Some((done.trial.corruption, number(&done.record)?)));
            self.seeds.cases(done, levels.len(), point)
        };
        let grows = [
            grows("random-labels-time-grows", &by_seed(time)?, &never, findings)?,
            grows("random-labels-test-error-grows", &by_seed(test_error)?, "", findings)?,
        ];
        findings.claims.extend(grows);
        findings.claims.push(self.chance(done, findings)?);
        Ok(())
    }

    /// Epochs until the train accuracy, a mean while training, is what counts as fitted; infinite for never.
    fn time_to_fit(&self, record: &Measurements) -> Result<f64> {
        let first = record.series("train_accuracy")?.iter().position(|accuracy| *accuracy >= self.fitted);
        Ok(first.map_or(f64::INFINITY, |epoch| epoch as f64 + 1.0))
    }

    /// Of the trainings on random labels, that they fit; of those on labels that are all random, that their test loss
    /// rises.
    fn claims(&self, done: &[Done<Self>], findings: &Findings) -> Result<Vec<Claim>> {
        let mut fitted = Vec::new();
        for &level in self.corruption.levels().iter().filter(|level| **level > 0.0) {
            let of_level = done.iter().filter(|done| done.trial.corruption == level);
            let accuracies = of_level.map(|done| done.record.after_training("final_train_accuracy"));
            let name = format!("final train accuracy at corruption {level}");
            fitted.push(Quantity::new(name, accuracies.collect::<Result<_>>()?).range([0.0, 1.0]));
        }
        let trends = all_random(done).map(|done| Ok(trend_over_epochs(done.record.series("test_loss")?)));
        let trends = trends.collect::<Result<Vec<f64>>>()?;
        let rises: Vec<_> = trends.iter().map(|trend| (!trend.is_nan()).then_some(*trend >= RISES)).collect();
        let fits = findings.claim("random-labels-fits", &[("share", &(100.0 * self.fitted))])?;
        Ok(vec![
            fits.at_least(self.fitted).interval(SEEDS, &fitted).unless_too_short(self.fit.epochs < EPOCHS, EPOCHS),
            (findings.claim("random-labels-test-loss-rises", &[("rises", &RISES)])?.counted(SEEDS, &rises))
                .beside("rank correlation of epoch and test loss", &trends),
        ])
    }

    /// That what has fitted random labels guesses.
    fn chance(&self, done: &[Done<Self>], findings: &Findings) -> Result<Claim> {
        let (mut accuracies, mut all) = (Vec::new(), 0);
        for done in all_random(done) {
            all += 1;
            if done.record.after_training("final_train_accuracy")? >= self.fitted {
                accuracies.push(done.record.after_training("final_test_accuracy")?);
            }
        }
        let without = "trainings on such labels did not fit them, and are left out.";
        let left_out = some_of(all - accuracies.len(), all, without);
        let accuracies = Quantity::new("test accuracy at corruption 1", accuracies).range([0.0, 1.0]);
        let chance = self.spec.signature().target.chance();
        // As one would write them: 0.12, not 0.12000000000000001.
        let bounds = [chance - AROUND_CHANCE, chance + AROUND_CHANCE].map(|bound| (bound * 1e9).round() / 1e9);
        let stated = findings.claim("random-labels-chance", &[("around", &AROUND_CHANCE), ("chance", &chance)])?;
        Ok(stated.within(bounds).interval(SEEDS, &[accuracies]).noting(&left_out))
    }
}

fn all_random(done: &[Done<RandomLabels>]) -> impl Iterator<Item = &Done<RandomLabels>> {
    done.iter().filter(|done| done.trial.corruption == 1.0)
}

/// That a number grows with the share of random labels. Trainings of one seed share their initial weights and their
/// random labels; of a level whose trial failed it cannot be told.
fn grows(key: &str, cases: &[Case<(f64, f64)>], note: &str, findings: &Findings) -> Result<Claim> {
    let claim = findings.claim(key, &[])?.correlated_within(SEEDS, cases);
    Ok(claim.noting(&format!("{}{note}.", means_at_ends(cases))))
}

/// "Means: 0.06 at corruption 0, 0.9 at 1".
fn means_at_ends(cases: &[Case<(f64, f64)>]) -> String {
    let points: Vec<(f64, f64)> = cases.iter().flat_map(|(points, _)| points).copied().collect();
    let mean_at = |level: f64| {
        let at_level = points.iter().filter(|(of, _)| *of == level);
        let values: Vec<f64> = at_level.map(|(_, value)| *value).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    let [low, high] = [f64::min, f64::max].map(|pick| points.iter().map(|(level, _)| *level).fold(f64::NAN, pick));
    // Infinite: one never was.
    let shown = |mean: f64| if mean.is_infinite() { "never for some".to_owned() } else { cell(mean).to_string() };
    let [first, last] = [low, high].map(|level| shown(mean_at(level)));
    format!("Means: {first} at corruption {low}, {last} at {high}")
}
