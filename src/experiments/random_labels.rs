//! `hw1 random-labels`, task 3-1 of the report: a network memorises labels that are drawn at
//! random (Zhang et al. 2017).

use crate::analysis::statistics::{trend, trend_over_epochs};
use crate::data::batches::{DataSpec, DatasetName};
use crate::model::Classifier;
use crate::plot::{Axis, Color, Figure, Mark, Panel, Series};
use crate::study::claim::{Claim, Claimed, Quantity, SEEDS};
use crate::study::seeds::{self, together, together_at_points};
use crate::study::{
    Cell, Context, DATASET_FLAG, Done, Experiment, Findings, Flag, Measurements, Records, Size, Trial as TrialTrait,
    cell, check,
};
use crate::tasks::classifier::{ClassifierTraining, Curve, model_flag, panel};
use crate::train::OptimizerName;
use anyhow::Result;
use serde::{Deserialize, Serialize};

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
    training: ClassifierTraining,
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
        let samples = cx.images()?.train.corrupted(trial.corruption, training.seed, &training.name())?;
        Ok(training.run(cx, &samples)?.1)
    }

    fn findings(&self, done: &Records<Self>) -> Result<Findings> {
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
        let training = ClassifierTraining {
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

fn report(settings: &RandomLabels, corruption: f64, done: &[Done<RandomLabels>]) -> Result<Findings> {
    let mut report = Findings::default();
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
            cell(record.after_training("final_train_loss")?),
            cell(record.after_training("final_train_accuracy")?),
            cell(record.after_training("final_test_loss")?),
            cell(record.after_training("final_test_accuracy")?),
        ]);
    }
    if settings.dataset == DatasetName::Mnist && corruption == 1.0 {
        report
            .notes
            .push("Reported: train loss (running) 2.303 → 0.286, test loss 2.302 → 17.02 over 100 epochs.".to_owned());
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
            "Loss and accuracy over epochs on {data} (running means while training on the training images): of the \
             training labels a share of {} is drawn at random and fixed, the test labels are the true ones.{}",
            corruption,
            seeds::caption(settings.repeats)
        ),
        columns: 2,
        panels,
    });
    report.summary.insert("data".into(), data.into());
    report.claims = claims(settings, done, &done.iter().collect::<Vec<_>>())?;
    Ok(report)
}

/// Several levels of corruption side by side, as figure 1 of Zhang et al.
fn levels_report(settings: &RandomLabels, levels: &[f64], done: &[Done<RandomLabels>]) -> Result<Findings> {
    let mut report = Findings::default();
    let columns = [
        "labels",
        "parameters",
        "seed",
        "epochs to fit (running)",
        "train loss",
        "train accuracy",
        "test loss",
        "test error",
    ];
    report.columns = columns.map(str::to_owned).to_vec();
    let (mut accuracy, mut error) = (Vec::new(), Vec::new());
    let (mut times, mut errors) = (Vec::new(), Vec::new());
    for trial in done {
        let (record, level, seed) = (&trial.record, trial.trial.corruption, trial.trial.seed());
        let time = time_to_fit(settings, record)?;
        let test_error = 1.0 - record.after_training("final_test_accuracy")?;
        report.rows.push(vec![
            trial.label.clone().into(),
            Cell::Count(record.parameters as f64),
            Cell::Seed(seed),
            time.map_or("never".into(), |time| Cell::Count(time as f64)),
            cell(record.after_training("final_train_loss")?),
            cell(record.after_training("final_train_accuracy")?),
            cell(record.after_training("final_test_loss")?),
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
    let never = done.len() - times.len();
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
            seeds::caption(settings.repeats)
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
        Panel::plot("", Axis::linear("share of labels drawn anew"), y, together_at_points(lines.collect()))
    };
    report.figures.push(Figure {
        name: "corruption".into(),
        title: format!("Time to fit and generalization against corruption, {data}"),
        caption: format!(
            "Epochs until {model} gets {} % of its {size} training labels right while training{}, and its error on the \
             test images after {} epochs, against the share of training labels that are drawn anew; guessing has an \
             error of 0.9.{}",
            100.0 * settings.fitted,
            if never > 0 {
                format!(" ({never} of {} trainings never do, and are left out)", done.len())
            } else {
                String::new()
            },
            settings.epochs,
            seeds::caption(settings.repeats)
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
/// From here on a loss rises throughout, in rank correlation with the epoch.
const RISES: f64 = 0.9;

/// Of the trainings on random labels, that they fit; of those on labels that are all random, that their test loss
/// rises.
fn claims(settings: &RandomLabels, done: &[Done<RandomLabels>], whole: &[&Done<RandomLabels>]) -> Result<Vec<Claim>> {
    let mut fitted = Vec::new();
    for &level in settings.corruption.levels().iter().filter(|level| **level > 0.0) {
        let of_level = done.iter().filter(|trial| trial.trial.corruption == level);
        let accuracies =
            of_level.map(|trial| trial.record.after_training("final_train_accuracy")).collect::<Result<Vec<_>>>()?;
        let name = format!("final train accuracy at corruption {level}");
        fitted.push(Quantity::new(name, accuracies).range([0.0, 1.0]));
    }
    let mut rises = Vec::new();
    for trial in whole {
        let trend = trend_over_epochs(trial.record.series("test_loss")?);
        rises.push((!trend.is_nan()).then_some(trend >= RISES));
    }
    let share = 100.0 * settings.fitted;
    Ok(vec![
        Claim::bounded(
            "random-labels-fits",
            &format!("The network fits random labels: at least {share} % of them within {} epochs.", settings.epochs),
            SEEDS,
            &fitted,
            Claimed::AtLeast(settings.fitted),
            "accuracy on the training labels, after training, at each share of random ones",
        )
        .unless_too_short(settings.epochs < EPOCHS, EPOCHS)
        .differing_from(ZHANG),
        Claim::counted(
            "random-labels-test-loss-rises",
            &format!("The test loss keeps rising: it and the epoch correlate at {RISES} or above."),
            SEEDS,
            &rises,
            &format!("Spearman's correlation of epoch and test loss at least {RISES} where all labels are random"),
        ),
    ])
}

/// What Zhang et al. 2017 did otherwise.
const ZHANG: &str = "Zhang et al. 2017 trained Inception, AlexNet and MLPs on CIFAR-10 and ImageNet, all images, by SGD \
                     with momentum until the loss was 0; here digits, few enough to be memorised within the epochs";

/// Chance is met within this much of test accuracy.
const NEAR_CHANCE: f64 = 0.02;
const CHANCE: f64 = 0.1;

/// What Zhang et al. find over levels of corruption.
fn level_claims(
    settings: &RandomLabels,
    done: &[Done<RandomLabels>],
    whole: &[&Done<RandomLabels>],
) -> Result<Vec<Claim>> {
    let (mut times, mut errors, mut never) = (Vec::new(), Vec::new(), 0);
    for trial in done {
        let (seed, level) = (trial.trial.seed(), trial.trial.corruption);
        let time = time_to_fit(settings, &trial.record)?;
        never += usize::from(time.is_none());
        // Later than any that was seen.
        times.push((seed, (level, time.map_or(f64::INFINITY, |time| time as f64))));
        errors.push((seed, (level, 1.0 - trial.record.after_training("final_test_accuracy")?)));
    }
    // Trainings of one seed share their initial weights and their random labels.
    let rising = |id: &str, statement: &str, what: &str, points: &[(u64, (f64, f64))], note: &str| {
        let of_seed = |seed| -> Vec<(f64, f64)> {
            points.iter().filter(|(of, _)| *of == seed).map(|(_, point)| *point).collect()
        };
        let seeds: Vec<u64> =
            (settings.seed..settings.seed + settings.repeats).filter(|seed| !of_seed(*seed).is_empty()).collect();
        // Of a level whose trial failed it cannot be told.
        let whole = |points: &[(f64, f64)]| points.len() == settings.corruption.levels().len();
        let of_whole = |points: Vec<(f64, f64)>| if whole(&points) { trend(&points) } else { f64::NAN };
        let trends = seeds.iter().map(|&seed| of_whole(of_seed(seed))).collect();
        let name = format!("Spearman's correlation of corruption and {what} within a seed");
        let quantity = Quantity::new(name.clone(), trends).range([-1.0, 1.0]);
        let pairs: Vec<(f64, f64)> = points.iter().map(|(_, point)| *point).collect();
        Claim::bounded(id, statement, SEEDS, &[quantity], Claimed::Above(0.0), &name)
            .noting(&format!("{}{note}.", means_at_ends(&pairs)))
            .differing_from(ZHANG)
    };
    let without = if never > 0 { format!("; {never} of {} trainings never fit", done.len()) } else { String::new() };
    let mut accuracies = Vec::new();
    for trial in whole {
        if trial.record.after_training("final_train_accuracy")? >= settings.fitted {
            accuracies.push(trial.record.after_training("final_test_accuracy")?);
        }
    }
    let unfitted = whole.len() - accuracies.len();
    let left_out = match unfitted {
        0 => String::new(),
        n => format!("{n} of {} trainings on such labels did not fit them, and are left out.", whole.len()),
    };
    let accuracies = Quantity::new("test accuracy at corruption 1", accuracies).range([0.0, 1.0]);
    Ok(vec![
        rising(
            "random-labels-time-grows",
            "The more labels are random, the longer it takes to fit them.",
            "epochs to fit",
            &times,
            &without,
        ),
        rising(
            "random-labels-test-error-grows",
            "The more labels are random, the higher the final test error.",
            "final test error",
            &errors,
            "",
        ),
        Claim::bounded(
            "random-labels-chance",
            &format!(
                "A network that has fitted labels that are all random is right about the test images as often as by \
                 chance: within {NEAR_CHANCE} of {CHANCE}."
            ),
            SEEDS,
            &[accuracies],
            Claimed::Within([CHANCE - NEAR_CHANCE, CHANCE + NEAR_CHANCE]),
            "final test accuracy of the trainings that fit labels that are all random",
        )
        .noting(&left_out)
        .differing_from(ZHANG),
    ])
}

/// "Means: 0.06 at corruption 0, 0.9 at 1", of (level, value).
fn means_at_ends(pairs: &[(f64, f64)]) -> String {
    let mean_at = |level: f64| {
        let values: Vec<f64> = pairs.iter().filter(|(of, _)| *of == level).map(|(_, value)| *value).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    let [low, high] = [f64::min, f64::max].map(|pick| pairs.iter().map(|(level, _)| *level).fold(f64::NAN, pick));
    // Infinite: one never was.
    let shown = |mean: f64| if mean.is_infinite() { "never for some".to_owned() } else { cell(mean).to_string() };
    let [first, last] = [low, high].map(|level| shown(mean_at(level)));
    format!("Means: {first} at corruption {low}, {last} at {high}")
}
