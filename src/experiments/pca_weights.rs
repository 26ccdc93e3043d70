//! `hw1 pca-weights`, task 2-1 of the report: several trainings of one network, and the paths of
//! their weights in the plane of the two principal components of all snapshots together.

use crate::analysis::pca::{Pca, pca};
use crate::classify::{Curve, Training, model_flag, panel};
use crate::data::batches::{DataSpec, DatasetName};
use crate::experiment::{
    Cell, Claim, Context, DATASET_FLAG, Done, Experiment, Fingerprint, Flag, Measurements, Records, Report,
    TRAININGS_FLAG, Trial as TrialTrait, cell, check,
};
use crate::model::Classifier;
use crate::objective::CrossEntropy;
use crate::plot::{Axis, Color, Figure, Mark, Panel, Series};
use crate::train::OptimizerName;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

// ---------------------------------------------------------------------------------- settings

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PcaWeights {
    dataset: DatasetName,
    train_size: usize,
    test_size: usize,
    model: Classifier,
    trainings: u64,
    epochs: u64,
    /// Weights are kept after the first epoch and every so many from there.
    snapshot_every: u64,
    optimizer: OptimizerName,
    learning_rate: f64,
    batch_size: u32,
    shuffle: bool,
    seed: u64,
    repeats: u64,
}

/// The Gram matrix of all snapshots grows with the square of their number.
const MOST_SNAPSHOTS: u64 = 5_000;

// ------------------------------------------------------------------------------------- trial

/// A training with snapshots, or the analysis of those of several trainings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Trial {
    Training {
        #[serde(flatten)]
        training: Training,
        snapshot_every: u64,
    },
    Pca {
        model: Classifier,
        /// In this order their snapshots are the rows.
        trainings: Vec<Fingerprint>,
        /// The epochs after which each has a snapshot.
        snapshots: Vec<u64>,
        /// Of the first training.
        seed: u64,
    },
}

impl TrialTrait for Trial {
    fn seed(&self) -> u64 {
        match self {
            Self::Training { training, .. } => training.seed,
            Self::Pca { seed, .. } => *seed,
        }
    }

    fn cost(&self) -> f64 {
        match self {
            Self::Training { training, .. } => training.cost(),
            Self::Pca { model, trainings, snapshots, .. } => {
                model.layout().parameters() as f64 * (trainings.len() * snapshots.len()) as f64
            }
        }
    }
}

// ----------------------------------------------------------------------------- record and run

/// The parts of the weights that are analysed, by their names in records and figures.
const PARTS: [(&str, &str); 2] = [("fc1", "First layer's weights"), ("full", "All weights and biases")];

impl Experiment for PcaWeights {
    const NAME: &'static str = "pca-weights";
    const ABOUT: &'static str = "Paths of trainings in the plane of their principal components (task 2-1)";
    const SETTINGS: &'static str = include_str!("../../experiments/pca-weights.toml");
    const VERSION: u32 = 1;
    const FLAGS: &'static [Flag] =
        &[DATASET_FLAG, model_flag("The network, like 784-128-64-10 or conv8-conv16-128-10"), TRAININGS_FLAG];

    type Trial = Trial;
    /// Of the analysis: series `full_component_1` and so on, one number a snapshot, in the order of
    /// trainings, then epochs.
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        self.spec().check()?;
        check::trainings(self.trainings, MOST_SNAPSHOTS)?;
        if self.snapshot_every == 0 {
            return Err("snapshot_every is 0; it must be at least 1".into());
        }
        let snapshots = self.trainings.saturating_mul(self.epochs.div_ceil(self.snapshot_every));
        if snapshots > MOST_SNAPSHOTS {
            return Err(format!(
                "{snapshots} snapshots of all trainings: at most {MOST_SNAPSHOTS} are analysed; raise snapshot_every"
            ));
        }
        self.training(self.seed).check()?;
        check::seeds(self.seed, self.repeats)
    }

    fn data(&self) -> Option<DataSpec> {
        Some(self.spec())
    }

    fn label(&self, trial: &Trial) -> String {
        match trial {
            Trial::Training { training, .. } => {
                format!("training-{}", (training.seed - self.seed) % self.trainings + 1)
            }
            Trial::Pca { .. } => "pca".to_owned(),
        }
    }

    fn trials(&self, done: &Records<Self>) -> Result<Vec<Trial>> {
        let mut trials = Vec::new();
        for group in 0..self.repeats {
            let seeds = self.seed + group * self.trainings..self.seed + (group + 1) * self.trainings;
            let trainings: Vec<Fingerprint> = done
                .0
                .iter()
                .filter(|done| matches!(done.trial, Trial::Training { .. }) && seeds.contains(&done.trial.seed()))
                .map(|done| done.fingerprint.clone())
                .collect();
            let complete = trainings.len() as u64 == self.trainings;
            trials.extend(
                seeds
                    .clone()
                    .map(|seed| Trial::Training { training: self.training(seed), snapshot_every: self.snapshot_every }),
            );
            if complete {
                trials.push(Trial::Pca {
                    model: self.model.clone(),
                    trainings,
                    snapshots: snapshots(self.epochs, self.snapshot_every).collect(),
                    seed: seeds.start,
                });
            }
        }
        Ok(trials)
    }

    fn run_trial(trial: &Trial, cx: &mut Context) -> Result<Measurements> {
        match trial {
            Trial::Training { training, snapshot_every } => {
                let train = cx.images()?.train.on(cx.device);
                let layout = training.model.layout();
                let after_epoch = |cx: &mut Context, epoch: u64, objective: &CrossEntropy, _: &mut _| {
                    if (epoch - 1).is_multiple_of(*snapshot_every) {
                        cx.save_weights(&format!("snapshot.{epoch}"), &layout, objective.theta())?;
                    }
                    Ok(())
                };
                Ok(training.run_observed(cx, &train, after_epoch)?.1)
            }
            Trial::Pca { model, trainings, snapshots, .. } => analyse(model, trainings, snapshots, cx),
        }
    }

    fn report(&self, done: &Records<Self>) -> Result<Report> {
        report(self, &done.0)
    }
}

/// The epochs after which weights are kept, counted from 1.
fn snapshots(epochs: u64, every: u64) -> impl Iterator<Item = u64> {
    (1..=epochs).step_by(usize::try_from(every).unwrap_or(usize::MAX))
}

/// Principal components of all snapshots, of the first layer's weights and of the whole model.
fn analyse(model: &Classifier, trainings: &[Fingerprint], snapshots: &[u64], cx: &mut Context) -> Result<Measurements> {
    let layout = model.layout();
    let mut rows = Vec::new();
    for training in trainings {
        let saved = cx.saved(training)?;
        for epoch in snapshots {
            rows.push(saved.theta(&format!("snapshot.{epoch}"), &layout)?);
        }
        cx.check_stop()?;
    }
    let first = layout.slots.first().context("a model without weights")?;
    let of_first: Vec<_> = rows.iter().map(|row| row.narrow(0, first.offset, first.len())).collect();
    let mut measured = Measurements::new(layout.parameters(), [], []);
    for ((part, _), rows) in PARTS.into_iter().zip([&of_first, &rows]) {
        let Pca { scores, explained_variance_ratio } = pca(rows, 2)?;
        for (component, (scores, share)) in (1..).zip(scores.into_iter().zip(explained_variance_ratio)) {
            measured.scalars.insert(format!("{part}_explained_variance_{component}"), share);
            measured.series.insert(format!("{part}_component_{component}"), scores);
        }
    }
    Ok(measured)
}

impl PcaWeights {
    fn spec(&self) -> DataSpec {
        DataSpec { dataset: self.dataset, train_size: self.train_size, test_size: self.test_size }
    }

    fn training(&self, seed: u64) -> Training {
        Training {
            model: self.model.clone(),
            optimizer: self.optimizer,
            learning_rate: self.learning_rate,
            batch_size: self.batch_size,
            shuffle: self.shuffle,
            epochs: self.epochs,
            seed,
        }
    }
}

// ------------------------------------------------------------------------------------ report

type DoneTrial = Done<PcaWeights>;

/// One part's snapshots in the plane of its first two components.
struct Plane {
    explained: [f64; 2],
    /// For each training its path.
    paths: Vec<Vec<(f64, f64)>>,
}

impl Plane {
    fn of(record: &Measurements, part: &str, trainings: usize) -> Result<Self> {
        let component = |number: u32| record.series(&format!("{part}_component_{number}"));
        let (x, y) = (component(1)?, component(2)?);
        let points: Vec<(f64, f64)> = x.iter().copied().zip(y.iter().copied()).collect();
        let share = |number: u32| record.scalar(&format!("{part}_explained_variance_{number}"));
        let length = (points.len() / trainings.max(1)).max(1);
        Ok(Self { explained: [share(1)?, share(2)?], paths: points.chunks(length).map(<[_]>::to_vec).collect() })
    }

    fn json(&self) -> Value {
        let components: Vec<(f64, f64)> = self.paths.iter().flatten().copied().collect();
        json!({"components": components, "explained_variance_ratio": self.explained})
    }
}

fn report(settings: &PcaWeights, done: &[DoneTrial]) -> Result<Report> {
    let mut report = Report::default();
    let columns = ["training", "parameters", "seed", "train loss", "train accuracy", "test loss", "test accuracy"];
    report.columns = columns.map(str::to_owned).to_vec();
    let mut planes = Vec::new();
    for trial in done {
        let Trial::Training { training, .. } = &trial.trial else {
            let trainings = settings.trainings as usize;
            let record = &trial.record;
            planes.push([Plane::of(record, PARTS[0].0, trainings)?, Plane::of(record, PARTS[1].0, trainings)?]);
            continue;
        };
        let mut row =
            vec![trial.label.clone().into(), Cell::Count(trial.record.parameters as f64), Cell::Seed(training.seed)];
        for name in ["final_train_loss", "final_train_accuracy", "final_test_loss", "final_test_accuracy"] {
            row.push(cell(trial.record.scalar(name)?));
        }
        report.rows.push(row);
    }
    let data = settings.spec().title();
    if let Some(first) = planes.first() {
        report.figures.push(path_figure(settings, first, data));
        for (plane, (_, title)) in first.iter().zip(PARTS) {
            report.notes.push(format!(
                "{title}: two components explain {:.1} % of the variance of all snapshots.",
                100.0 * plane.explained.iter().sum::<f64>()
            ));
        }
        let json = |planes: &[Plane; 2]| json!({PARTS[0].0: planes[0].json(), PARTS[1].0: planes[1].json()});
        report.summary.insert("pca".into(), json(first));
        if planes.len() > 1 {
            report.summary.insert("pca_of_repeats".into(), planes.iter().map(json).collect());
        }
    }
    report.figures.push(curve_figure(settings, done, data)?);
    let epochs: Vec<u64> = snapshots(settings.epochs, settings.snapshot_every).collect();
    report.summary.insert("snapshot_epochs".into(), json!(epochs));
    report.summary.insert("data".into(), data.into());
    report.claims = claims(&planes);
    Ok(report)
}

fn path_figure(settings: &PcaWeights, planes: &[Plane; 2], data: &str) -> Figure {
    let panels = planes.iter().zip(PARTS).enumerate().map(|(panel, (plane, (_, title)))| {
        let mut series = Vec::new();
        for (index, path) in plane.paths.iter().enumerate() {
            // The colours repeat after six: hollow discs keep the next six apart.
            let mark = if (index / 6).is_multiple_of(2) { Mark::Path } else { Mark::OpenPath };
            // One legend serves both panels.
            let label = if panel == 0 { String::new() } else { format!("training {}", index + 1) };
            series.push(Series::new(label, Color::Cycle(index), path.clone()).mark(mark));
        }
        let axis = |number: usize| {
            let share = 100.0 * plane.explained[number - 1];
            Axis::linear(format!("component {number} ({share:.1} % of the variance)"))
        };
        Panel::plot(title, axis(1), axis(2), series)
    });
    let last = snapshots(settings.epochs, settings.snapshot_every).last().unwrap_or(1);
    Figure {
        name: "paths".into(),
        title: format!(
            "Weights of {} trainings on {data} in the plane of their principal components",
            settings.trainings
        ),
        caption: format!(
            "Snapshots of the weights after epochs 1 to {last} (every {}; the discs grow with the epoch), in the plane of \
             the first two principal components of all snapshots together: the first layer's weights alone, and the \
             whole model.",
            settings.snapshot_every
        ),
        columns: 2,
        panels: panels.collect(),
    }
}

fn curve_figure(settings: &PcaWeights, done: &[DoneTrial], data: &str) -> Result<Figure> {
    let mut panels = Vec::new();
    for (set, quantity) in [("train", "loss"), ("train", "accuracy"), ("test", "loss"), ("test", "accuracy")] {
        let mut curves = Vec::new();
        for trial in done {
            let Trial::Training { training, .. } = &trial.trial else { continue };
            let index = (training.seed - settings.seed) as usize;
            if index as u64 >= settings.trainings {
                continue;
            }
            // One legend serves all four panels.
            let first = (set, quantity) == ("train", "accuracy");
            let label = if first { format!("training {}", index + 1) } else { String::new() };
            let values = trial.record.series(&format!("{set}_{quantity}"))?;
            curves.push(Curve { label, color: index, dashed: index >= 6, values });
        }
        let y = format!("{set} {quantity}");
        panels.push(panel(if (set, quantity) == ("train", "loss") { Axis::log(y) } else { Axis::linear(y) }, &curves));
    }
    Ok(Figure {
        name: "curves".into(),
        title: format!("Loss and accuracy of {} trainings on {data}", settings.trainings),
        caption: format!(
            "Loss (cross entropy) and accuracy on the training images (means while training) and test images of {data} \
             after each epoch."
        ),
        columns: 2,
        panels,
    })
}

// ------------------------------------------------------------------------------------ claims

fn claims(planes: &[[Plane; 2]]) -> Vec<Claim> {
    let (mut spread, mut closer) = (Vec::new(), Vec::new());
    for [of_first, whole] in planes {
        for (first, whole) in of_first.paths.iter().zip(&whole.paths) {
            closer.push(mean_distance(whole) < mean_distance(first));
        }
        let leaving = [of_first, whole].map(leaves);
        spread.extend(leaving[0].iter().zip(&leaving[1]).map(|(first, whole)| *first && *whole));
    }
    vec![
        Claim::counted(
            "pca-weights-spread",
            "Both pictures show the trainings leaving a common cluster and spreading.",
            "trainings",
            &spread,
            "in both planes its last snapshot is more than twice as far from the middle of all trainings' first \
             snapshots as its own first one",
        ),
        Claim::counted(
            "pca-weights-whole-closer",
            "The whole model's points lie closer together near the origin.",
            "trainings",
            &closer,
            "its snapshots are on average closer to the origin in the whole model's plane than in the first layer's",
        ),
    ]
}

/// Of each training, whether it leaves the cluster that the first snapshots make.
fn leaves(plane: &Plane) -> Vec<bool> {
    let starts: Vec<(f64, f64)> = plane.paths.iter().filter_map(|path| path.first().copied()).collect();
    let n = starts.len() as f64;
    let middle = starts.iter().fold((0.0, 0.0), |sum, start| (sum.0 + start.0 / n, sum.1 + start.1 / n));
    let distance = |point: &(f64, f64)| (point.0 - middle.0).hypot(point.1 - middle.1);
    let leaves = |path: &Vec<(f64, f64)>| {
        path.len() > 1
            && path.first().zip(path.last()).is_some_and(|(first, last)| distance(last) > 2.0 * distance(first))
    };
    plane.paths.iter().map(leaves).collect()
}

fn mean_distance(path: &[(f64, f64)]) -> f64 {
    path.iter().map(|point| point.0.hypot(point.1)).sum::<f64>() / path.len() as f64
}
