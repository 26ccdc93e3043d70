//! `hw1 random-labels`, task 3-1 of the report: a network memorises labels that are drawn at
//! random (Zhang et al. 2017).

use crate::analysis::statistics::{Estimate, mean, spearman_with_interval};
use crate::classify::{Curve, Training, ends, model_flag, panel};
use crate::data::batches::{DataSpec, DatasetName, Samples, corrupted};
use crate::experiment::{
    Cell, Claim, Context, DATASET_FLAG, Done, Effect, Experiment, Flag, Measurements, Records, Report, Size,
    Trial as TrialTrait, Verdict, cell, check,
};
use crate::model::Classifier;
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
pub struct RandomLabels {
    dataset: DatasetName,
    train_size: usize,
    test_size: usize,
    corruption: Corruption,
    /// Fitted: the train accuracy that counts, 0…1.
    fitted: f64,
    model: Classifier,
    optimizer: OptimizerName,
    learning_rate: f64,
    batch_size: u32,
    shuffle: bool,
    epochs: u64,
    seed: u64,
    repeats: u64,
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
    training: Training,
}

impl TrialTrait for Trial {
    fn seed(&self) -> u64 {
        self.training.seed
    }

    fn cost(&self) -> f64 {
        self.training.cost()
    }
}

// ----------------------------------------------------------------------------- record and run

impl Experiment for RandomLabels {
    const NAME: &'static str = "random-labels";
    const ABOUT: &'static str = "A network memorises random labels (task 3-1)";
    const SETTINGS: &'static str = include_str!("../../experiments/random-labels.toml");
    const VERSION: u32 = 3;
    const FLAGS: &'static [Flag] = &[DATASET_FLAG, model_flag("The network, like conv8-conv16-256-10 or 784-512-10")];

    type Trial = Trial;
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        self.spec().check()?;
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
        self.trial(0.0, self.seed).training.check()?;
        check::seeds(self.seed, self.repeats)
    }

    fn size(&self) -> Size {
        let levels = self.corruption.levels().len() as u128;
        Size::of_seeds(self.repeats, levels, "lower --repeats, or name fewer shares of corruption")
    }

    fn data(&self) -> Option<DataSpec> {
        Some(self.spec())
    }

    fn label(&self, trial: &Trial) -> String {
        format!("corruption-{}", trial.corruption)
    }

    fn trials(&self, _: &Records<Self>) -> Result<Vec<Trial>> {
        let of_seed = |seed: u64| self.corruption.levels().iter().map(move |&level| self.trial(level, seed));
        Ok((self.seed..self.seed + self.repeats).flat_map(of_seed).collect())
    }

    fn run_trial(trial: &Trial, cx: &mut Context) -> Result<Measurements> {
        let training = &trial.training;
        let images = &cx.images()?.train;
        let labels: Vec<i64> = images.labels.f_to_device(Device::Cpu)?.try_into()?;
        let labels = corrupted(&labels, trial.corruption, training.seed, &training.name());
        let labels = Tensor::f_from_slice(&labels)?.f_to_device(cx.device)?;
        let samples = Samples { images: images.images.shallow_clone(), labels };
        Ok(training.run(cx, &samples)?.1)
    }

    fn report(&self, done: &Records<Self>) -> Result<Report> {
        match &self.corruption {
            Corruption::One(level) => report(self, *level, &done.0),
            Corruption::Several(levels) => levels_report(self, levels, &done.0),
        }
    }
}

impl RandomLabels {
    fn spec(&self) -> DataSpec {
        DataSpec { dataset: self.dataset, train_size: self.train_size, test_size: self.test_size }
    }

    fn trial(&self, corruption: f64, seed: u64) -> Trial {
        let training = Training {
            model: self.model.clone(),
            optimizer: self.optimizer,
            learning_rate: self.learning_rate,
            batch_size: self.batch_size,
            shuffle: self.shuffle,
            epochs: self.epochs,
            seed,
        };
        Trial { corruption, training }
    }
}

// ------------------------------------------------------------------------------------ report

fn report(settings: &RandomLabels, corruption: f64, done: &[Done<RandomLabels>]) -> Result<Report> {
    let mut report = Report::default();
    let columns =
        ["labels", "parameters", "seed", "epochs", "train loss", "train accuracy", "test loss", "test accuracy"];
    report.columns = columns.map(str::to_owned).to_vec();
    for trial in done {
        let record = &trial.record;
        report.rows.push(vec![
            trial.label.clone().into(),
            Cell::Count(record.parameters as f64),
            Cell::Seed(trial.trial.seed()),
            Cell::Count(record.scalar("epochs_run")?),
            cell(ends(record, "train_loss")?.1),
            cell(ends(record, "train_accuracy")?.1),
            cell(ends(record, "test_loss")?.1),
            cell(ends(record, "test_accuracy")?.1),
        ]);
    }
    if settings.dataset == DatasetName::Mnist && corruption == 1.0 {
        report.notes.push("Reported: train loss 2.303 → 0.286, test loss 2.302 → 17.02 over 100 epochs.".to_owned());
    }
    let data = settings.spec().title();
    let mut panels = Vec::new();
    for (quantity, y) in [("loss", Axis::log("loss (cross entropy)")), ("accuracy", Axis::linear("accuracy"))] {
        let mut curves = Vec::new();
        for trial in done {
            for (color, set) in ["train", "test"].into_iter().enumerate() {
                let words = if set == "train" { "train, random labels" } else { "test, true labels" };
                let label = if trial.trial.seed() == settings.seed { words.to_owned() } else { String::new() };
                curves.push(Curve {
                    label,
                    color,
                    dashed: set == "test",
                    values: trial.record.series(&format!("{set}_{quantity}"))?,
                });
            }
        }
        panels.push(panel(y, &curves));
    }
    report.figures.push(Figure {
        name: "curves".into(),
        title: format!("Learning random labels, {data}"),
        caption: format!(
            "Loss and accuracy over epochs on {data}: of the training labels a share of {} is drawn at random and \
             fixed, the test labels are the true ones.{}",
            corruption,
            repeats::caption(settings.repeats)
        ),
        columns: 2,
        panels,
    });
    report.summary.insert("data".into(), data.into());
    report.claims = claims(settings, done, &done.iter().collect::<Vec<_>>())?;
    Ok(report)
}

/// Several levels of corruption side by side, as figure 1 of Zhang et al.
fn levels_report(settings: &RandomLabels, levels: &[f64], done: &[Done<RandomLabels>]) -> Result<Report> {
    let mut report = Report::default();
    let columns =
        ["labels", "parameters", "seed", "epochs to fit", "train loss", "train accuracy", "test loss", "test error"];
    report.columns = columns.map(str::to_owned).to_vec();
    let (mut accuracy, mut error) = (Vec::new(), Vec::new());
    let (mut times, mut errors) = (Vec::new(), Vec::new());
    for trial in done {
        let (record, level, seed) = (&trial.record, trial.trial.corruption, trial.trial.seed());
        let time = time_to_fit(settings, record)?;
        let test_error = 1.0 - record.scalar("final_test_accuracy")?;
        report.rows.push(vec![
            trial.label.clone().into(),
            Cell::Count(record.parameters as f64),
            Cell::Seed(seed),
            time.map_or("never".into(), |time| Cell::Count(time as f64)),
            cell(record.scalar("final_train_loss")?),
            cell(record.scalar("final_train_accuracy")?),
            cell(record.scalar("final_test_loss")?),
            cell(test_error),
        ]);
        let color = levels.iter().position(|other| *other == level).unwrap_or(0);
        let label = if seed == settings.seed { format!("corruption {level}") } else { String::new() };
        let dashed = (color / 6) % 2 == 1;
        let wrong: Vec<f64> = record.series("test_accuracy")?.iter().map(|right| 1.0 - right).collect();
        error.push(Curve { label: String::new(), color, dashed, values: &wrong }.series());
        accuracy.push(Curve { label, color, dashed, values: record.series("train_accuracy")? }.series());
        times.extend(time.map(|time| (seed, (level, time as f64))));
        errors.push((seed, (level, test_error)));
    }
    let data = settings.spec().title();
    let (size, model) = (settings.train_size, &settings.model);
    let over_epochs = |y, curves: Vec<Series>| {
        let lines = curves.into_iter().map(|curve| match curve.mark {
            Mark::LinePoints => curve.mark(Mark::Line),
            _ => curve,
        });
        Panel::plot("", Axis::linear("epoch"), y, together(lines.collect()))
    };
    report.figures.push(Figure {
        name: "curves".into(),
        title: format!("Learning corrupted labels, {data}"),
        caption: format!(
            "Accuracy on the {size} training images of {data} by their corrupted labels while training, and error on \
             the test images by their true labels, after each epoch; a share of the training labels is drawn anew \
             uniformly from all ten and fixed.{}",
            repeats::caption(settings.repeats)
        ),
        columns: 2,
        panels: vec![
            over_epochs(Axis::linear("train accuracy (corrupted labels)"), accuracy),
            over_epochs(Axis::linear("test error (true labels)"), error),
        ],
    });
    let against = |y, points: &[(u64, (f64, f64))]| {
        let of_seed = |seed| -> Vec<(f64, f64)> {
            points.iter().filter(|(of, _)| *of == seed).map(|(_, point)| *point).collect()
        };
        let seeds = settings.seed..settings.seed + settings.repeats;
        let lines = seeds.map(|seed| Series::new("", Color::Cycle(0), of_seed(seed)).mark(Mark::LinePoints));
        Panel::plot("", Axis::linear("share of labels drawn anew"), y, together(lines.collect()))
    };
    report.figures.push(Figure {
        name: "corruption".into(),
        title: format!("Time to fit and generalization against corruption, {data}"),
        caption: format!(
            "Epochs until {model} gets {} % of its {size} training labels right, and its error on the test images \
             after {} epochs, against the share of training labels that are drawn anew; guessing has an error of \
             0.9.{}",
            100.0 * settings.fitted,
            settings.epochs,
            repeats::caption(settings.repeats)
        ),
        columns: 2,
        panels: vec![
            against(Axis::linear("epochs to fit"), &times),
            against(Axis::linear("final test error"), &errors),
        ],
    });
    report.summary.insert("data".into(), data.into());
    let whole: Vec<_> = done.iter().filter(|trial| trial.trial.corruption == 1.0).collect();
    report.claims = claims(settings, done, &whole)?;
    report.claims.extend(level_claims(settings, done, &whole)?);
    Ok(report)
}

/// Epochs until the train accuracy, a mean while training, is what counts as fitted; `None` for never.
fn time_to_fit(settings: &RandomLabels, record: &Measurements) -> Result<Option<usize>> {
    let first = record.series("train_accuracy")?.iter().position(|accuracy| *accuracy >= settings.fitted);
    Ok(first.map(|epoch| epoch + 1))
}

// ------------------------------------------------------------------------------------ claims

/// Fewer epochs than the report's may be too few to memorise: that refutes nothing.
const EPOCHS: u64 = 100;
/// Memorised: the share of random labels that is right at the end; by chance it is a tenth.
const MEMORISED: f64 = 0.9;

/// Of all trainings that they fit; of those on labels that are all random, that their test loss rises.
fn claims(settings: &RandomLabels, done: &[Done<RandomLabels>], whole: &[&Done<RandomLabels>]) -> Result<Vec<Claim>> {
    let (mut fitted, mut rises) = (Vec::new(), Vec::new());
    for trial in done {
        fitted.push(trial.record.scalar("final_train_accuracy")?);
    }
    for trial in whole {
        rises.extend(trial.record.series("test_loss")?.windows(2).map(|pair| pair[1] > pair[0]));
    }
    let lowest = fitted.iter().copied().fold(f64::NAN, f64::min);
    // The labels are a sample: normal approximation to the binomial.
    let half = 1.96 * (lowest * (1.0 - lowest) / settings.train_size as f64).sqrt();
    let estimate = Estimate { value: lowest, interval: Some([lowest - half, lowest + half]), n: fitted.len() };
    let fits = Claim {
        id: "random-labels-fits".into(),
        statement: "The network fits random labels.".into(),
        verdict: if lowest - half > MEMORISED {
            Verdict::Supported
        } else if lowest + half < MEMORISED && settings.epochs >= EPOCHS {
            Verdict::Refuted
        } else {
            Verdict::Inconclusive
        },
        effect: Effect::new("lowest train accuracy at the end (normal interval over the labels)", estimate),
        detail: format!(
            "Lowest train accuracy of {} {} after {} epochs: {}.",
            fitted.len(),
            if matches!(settings.corruption, Corruption::One(_)) { "seeds" } else { "trainings" },
            settings.epochs,
            cell(lowest)
        ),
        evidence: json!({
            "rule": format!("the interval above {MEMORISED}; refuted where it is below after {EPOCHS} epochs or more"),
            "train_accuracies": fitted,
        }),
    };
    Ok(vec![
        fits,
        Claim::counted(
            "random-labels-test-loss-rises",
            "The test loss keeps rising.",
            "steps from an epoch to the next",
            &rises,
            "the test loss of an epoch is above that of the one before",
        ),
    ])
}

/// Chance is met within this much of test accuracy.
const NEAR_CHANCE: f64 = 0.05;
const CHANCE: f64 = 0.1;

/// What Zhang et al. find over levels of corruption.
fn level_claims(
    settings: &RandomLabels,
    done: &[Done<RandomLabels>],
    whole: &[&Done<RandomLabels>],
) -> Result<Vec<Claim>> {
    let (mut times, mut errors, mut never) = (Vec::new(), Vec::new(), 0);
    for trial in done {
        let level = trial.trial.corruption;
        let time = time_to_fit(settings, &trial.record)?;
        never += usize::from(time.is_none());
        // Later than any that was seen.
        times.push((level, time.map_or(f64::INFINITY, |time| time as f64)));
        errors.push((level, 1.0 - trial.record.scalar("final_test_accuracy")?));
    }
    let rising = |id: &str, statement: &str, what: &str, pairs: &[(f64, f64)], detail: String| {
        let correlation = spearman_with_interval(pairs);
        let verdict = match correlation.and_then(|correlation| correlation.interval) {
            Some([low, _]) if low > 0.0 => Verdict::Supported,
            Some([_, high]) if high < 0.0 => Verdict::Refuted,
            _ => Verdict::Inconclusive,
        };
        Claim {
            id: id.into(),
            statement: statement.into(),
            verdict,
            effect: correlation.and_then(|correlation| {
                Effect::new(format!("Spearman's correlation of corruption and {what} (Fisher's z)"), correlation)
            }),
            detail,
            evidence: json!({"rule": "the interval of the correlation above 0; refuted where it is below"}),
        }
    };
    let mean_at = |pairs: &[(f64, f64)], level: f64| {
        let values: Vec<f64> = pairs.iter().filter(|(of, _)| *of == level).map(|(_, value)| *value).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    let ends = |pairs: &[(f64, f64)]| {
        let [low, high] = [f64::min, f64::max].map(|pick| pairs.iter().map(|(level, _)| *level).fold(f64::NAN, pick));
        let [first, last] = [low, high].map(|level| cell(mean_at(pairs, level)));
        format!("Means: {first} at corruption {low}, {last} at {high}")
    };
    let without = if never > 0 { format!("; {never} of {} trainings never fit", done.len()) } else { String::new() };
    let mut accuracies = Vec::new();
    for trial in whole {
        accuracies.push(trial.record.scalar("final_test_accuracy")?);
    }
    let at_chance = mean(&accuracies);
    let verdict = match at_chance.and_then(|mean| mean.interval) {
        Some([low, high]) if low > CHANCE - NEAR_CHANCE && high < CHANCE + NEAR_CHANCE => Verdict::Supported,
        Some([low, high]) if low > CHANCE + NEAR_CHANCE || high < CHANCE - NEAR_CHANCE => Verdict::Refuted,
        _ => Verdict::Inconclusive,
    };
    Ok(vec![
        rising(
            "random-labels-time-grows",
            "The more labels are random, the longer it takes to fit them.",
            "epochs to fit",
            &times,
            format!("{}{without}.", ends(&times)),
        ),
        rising(
            "random-labels-test-error-grows",
            "The more labels are random, the higher the final test error.",
            "final test error",
            &errors,
            format!("{}.", ends(&errors)),
        ),
        Claim {
            id: "random-labels-chance".into(),
            statement: "A network that has fitted labels that are all random is right about the test images as often \
                        as by chance."
                .into(),
            verdict,
            effect: at_chance
                .and_then(|mean| Effect::new("test accuracy at corruption 1 (Student's t over seeds)", mean)),
            detail: at_chance.map_or("No training at corruption 1.".to_owned(), |mean| {
                format!("Test accuracy at corruption 1: {}, mean of {} seeds.", cell(mean.value), mean.n)
            }),
            evidence: json!({
                "rule": format!("the interval within {NEAR_CHANCE} of {CHANCE}; refuted where it lies outside"),
                "test_accuracies": accuracies,
            }),
        },
    ])
}
