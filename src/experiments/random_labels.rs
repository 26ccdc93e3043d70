//! `hw1 random-labels`, task 3-1 of the report: a network memorises labels that are drawn at
//! random (Zhang et al. 2017).

use crate::analysis::statistics::Estimate;
use crate::classify::{Curve, Training, ends, model_flag, panel};
use crate::data::batches::{DataSpec, DatasetName, Samples, corrupted};
use crate::experiment::{
    Cell, Claim, Context, DATASET_FLAG, Done, Effect, Experiment, Flag, Measurements, Records, Report,
    Trial as TrialTrait, Verdict, cell, check,
};
use crate::model::Classifier;
use crate::plot::{Axis, Figure};
use crate::repeats;
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
    /// Share of the training labels that are drawn anew, 0…1.
    corruption: f64,
    model: Classifier,
    optimizer: OptimizerName,
    learning_rate: f64,
    batch_size: u32,
    shuffle: bool,
    epochs: u64,
    seed: u64,
    repeats: u64,
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
    const VERSION: u32 = 1;
    const FLAGS: &'static [Flag] = &[DATASET_FLAG, model_flag("The network, like conv8-conv16-256-10 or 784-512-10")];

    type Trial = Trial;
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        self.spec().check()?;
        if !(0.0..=1.0).contains(&self.corruption) {
            return Err(format!("corruption is {}; it must be from 0 to 1", self.corruption));
        }
        self.trial(self.seed).training.check()?;
        check::seeds(self.seed, self.repeats)
    }

    fn data(&self) -> Option<DataSpec> {
        Some(self.spec())
    }

    fn label(&self, trial: &Trial) -> String {
        format!("corruption-{}", trial.corruption)
    }

    fn trials(&self, _: &Records<Self>) -> Result<Vec<Trial>> {
        Ok((self.seed..self.seed + self.repeats).map(|seed| self.trial(seed)).collect())
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
        report(self, &done.0)
    }
}

impl RandomLabels {
    fn spec(&self) -> DataSpec {
        DataSpec { dataset: self.dataset, train_size: self.train_size, test_size: self.test_size }
    }

    fn trial(&self, seed: u64) -> Trial {
        let training = Training {
            model: self.model.clone(),
            optimizer: self.optimizer,
            learning_rate: self.learning_rate,
            batch_size: self.batch_size,
            shuffle: self.shuffle,
            epochs: self.epochs,
            seed,
        };
        Trial { corruption: self.corruption, training }
    }
}

// ------------------------------------------------------------------------------------ report

fn report(settings: &RandomLabels, done: &[Done<RandomLabels>]) -> Result<Report> {
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
    if settings.dataset == DatasetName::Mnist && settings.corruption == 1.0 {
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
            settings.corruption,
            repeats::caption(settings.repeats)
        ),
        columns: 2,
        panels,
    });
    report.summary.insert("data".into(), data.into());
    report.claims = claims(settings, done)?;
    Ok(report)
}

// ------------------------------------------------------------------------------------ claims

/// Fewer epochs than the report's may be too few to memorise: that refutes nothing.
const EPOCHS: u64 = 100;
/// Memorised: the share of random labels that is right at the end; by chance it is a tenth.
const MEMORISED: f64 = 0.9;

fn claims(settings: &RandomLabels, done: &[Done<RandomLabels>]) -> Result<Vec<Claim>> {
    let (mut fitted, mut rises) = (Vec::new(), Vec::new());
    for trial in done {
        fitted.push(trial.record.scalar("final_train_accuracy")?);
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
            "Lowest train accuracy of {} seeds after {} epochs: {}.",
            fitted.len(),
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
