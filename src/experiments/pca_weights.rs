//! `hw1 pca-weights`, task 2-1 of the report: several trainings of one network, and the paths of
//! their weights in the plane of the two principal components of all snapshots together. With a
//! `grid`, also each training's path on the loss surface of its own plane (Li et al. 2018).

use crate::analysis::pca::{Pca, pca};
use crate::analysis::statistics::{highest, spearman};
use crate::analysis::surface::PathPlane;
use crate::data::batches::{DataSpec, DatasetName};
use crate::data::functions::evenly_spaced;
use crate::model::Classifier;
use crate::objective::CrossEntropy;
use crate::plot::{Axis, Color, Contours, Figure, Mark, Panel, Series};
use crate::study::claim::{Claim, TRAININGS};
use crate::study::model_flag;
use crate::study::old::{Curve, panel};
use crate::study::seeds::{self, means_over_epochs};
use crate::study::{
    Cell, Context, DATASET_FLAG, Done, Experiment, Findings, Fingerprint, Flag, Measurements, Records, Size,
    TRAININGS_FLAG, Trial as TrialTrait, cell, check,
};
use crate::tasks::classifier::{ClassifierTraining, MiniBatch};
use crate::train::OptimizerName;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tch::Kind::Float;

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
    /// Points along either side of each training's loss surface; 0 for none.
    grid: usize,
    /// The first so many training images, or all: the loss of the surface is over these.
    surface_size: usize,
    /// Points of the grid that one trial evaluates.
    block_size: usize,
    seed: u64,
    repeats: u64,
}

/// The picture of a surface reaches this much of its path's extent beyond it, at either end.
const MARGIN: f64 = 0.3;
/// More points along a side than this are a slip of the pen.
const MOST_GRID: usize = 301;

/// The Gram matrix of all snapshots grows with the square of their number.
const MOST_SNAPSHOTS: u64 = 5_000;
/// Of all repeats together.
const MOST_NAMED: u128 = 1_000_000;

// ------------------------------------------------------------------------------------- trial

/// A training with snapshots, or the analysis of those of several trainings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Trial {
    Training {
        #[serde(flatten)]
        training: ClassifierTraining,
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
    /// The plane of one training's path from its initial to its final weights.
    Plane {
        model: Classifier,
        training: Fingerprint,
        snapshots: Vec<u64>,
        /// Of the training; the path ends there.
        epochs: u64,
        /// ClassifierTraining images that the loss is over.
        samples: usize,
        seed: u64,
    },
    /// The loss at some points of the grid over a plane, counted row by row.
    Surface {
        model: Classifier,
        plane: Fingerprint,
        grid: usize,
        first: usize,
        points: usize,
        samples: usize,
        seed: u64,
    },
}

impl TrialTrait for Trial {
    fn seed(&self) -> u64 {
        match self {
            Self::Training { training, .. } => training.seed,
            Self::Pca { seed, .. } | Self::Plane { seed, .. } | Self::Surface { seed, .. } => *seed,
        }
    }

    fn cost(&self) -> f64 {
        match self {
            Self::Training { training, .. } => training.cost(),
            Self::Pca { model, trainings, snapshots, .. } => {
                model.layout().parameters() as f64 * (trainings.len() * snapshots.len()) as f64
            }
            // A pass forward is a third of a step.
            Self::Plane { model, snapshots, samples, .. } => {
                model.layout().parameters() as f64 * (2 * snapshots.len() * samples) as f64 / 3.0
            }
            Self::Surface { model, points, samples, .. } => {
                model.layout().parameters() as f64 * (points * samples) as f64 / 3.0
            }
        }
    }
}

// ----------------------------------------------------------------------------- record and run

/// The parts of the weights that are analysed, by their names in records and figures.
const PARTS: [(&str, &str); 2] = [("fc1", "First layer's weights"), ("full", "All weights and biases")];

crate::settings_as_before!(PcaWeights);

impl Experiment for PcaWeights {
    const NAME: &'static str = "pca-weights";
    const ABOUT: &'static str = "Paths of trainings in the plane of their principal components (task 2-1)";
    const SETTINGS: &'static str = include_str!("../../experiments/pca-weights.toml");
    const VERSION: u32 = 3;
    const FLAGS: &'static [Flag] =
        &[DATASET_FLAG, model_flag("The network, like 784-128-64-10 or conv8-conv16-128-10"), TRAININGS_FLAG];

    type Trial = Trial;
    /// Of the analysis: series `full_component_1` and so on, one number a snapshot, in the order of
    /// trainings, then epochs. Of a plane: see [`measure_plane`]; of a part of its surface `train_loss`.
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
        // Each is named in the trials that look at it.
        check::product(&[("repeats", self.repeats.into()), ("snapshots of each", snapshots.into())], MOST_NAMED)?;
        let parameters = self.model.layout().parameters().unsigned_abs() as u128;
        // Of all trainings, and one file of them as it is read.
        let held = u128::from(snapshots) + 2 * (u128::from(snapshots / self.trainings) + 2);
        let what = format!("{snapshots} snapshots of the {parameters} parameters of model '{}'", self.model);
        check::memory(&what, 4 * parameters * held, "raise snapshot_every, or lower trainings")?;
        self.training(self.seed).check()?;
        if self.grid == 1 || self.grid > MOST_GRID {
            return Err(format!("grid is {}; it must be from 2 to {MOST_GRID}, or 0 for no surface", self.grid));
        }
        for (name, value) in [("surface_size", self.surface_size), ("block_size", self.block_size)] {
            if value == 0 {
                return Err(format!("{name} is 0; it must be at least 1"));
            }
        }
        check::seeds_of_groups(self.seed, self.repeats, self.trainings)
    }

    fn size(&self) -> Size {
        // A training, its plane, and the blocks of that.
        let blocks = (self.grid as u128 * self.grid as u128).div_ceil(self.block_size.max(1) as u128);
        let trials_each = if self.grid == 0 { 1 } else { 2 + blocks };
        let trials = trials_each.saturating_mul(self.trainings.into()).saturating_add(1);
        Size::of_seeds(self.repeats, trials, "lower --repeats, trainings or grid, or raise block_size")
    }

    fn data(&self) -> Option<DataSpec> {
        Some(self.spec())
    }

    fn label(&self, trial: &Trial) -> String {
        match trial {
            Trial::Training { training, .. } => format!("training-{}", self.number(training.seed)),
            Trial::Pca { .. } => "pca".to_owned(),
            Trial::Plane { seed, .. } => format!("plane-{}", self.number(*seed)),
            Trial::Surface { first, seed, .. } => {
                format!("surface-{}-{}", self.number(*seed), first / self.block_size + 1)
            }
        }
    }

    fn trials(&self, done: &Records<Self>) -> Result<Vec<Trial>> {
        let mut trials = Vec::new();
        let finished: BTreeMap<u64, &DoneTrial> = (done.0.iter())
            .filter(|done| matches!(done.trial, Trial::Training { .. }))
            .map(|done| (done.trial.seed(), done))
            .collect();
        for group in 0..self.repeats {
            let seeds = self.seed + group * self.trainings..self.seed + (group + 1) * self.trainings;
            let of_group: Vec<&DoneTrial> = finished.range(seeds.clone()).map(|(_, done)| *done).collect();
            let complete = of_group.len() as u64 == self.trainings;
            // One that diverged has no weights to show.
            let whole = of_group.iter().filter(|done| !done.record.diverged());
            let trainings: Vec<Fingerprint> = whole.map(|done| done.fingerprint.clone()).collect();
            trials.extend(
                seeds
                    .clone()
                    .map(|seed| Trial::Training { training: self.training(seed), snapshot_every: self.snapshot_every }),
            );
            if complete && !trainings.is_empty() {
                trials.push(Trial::Pca {
                    model: self.model.clone(),
                    trainings,
                    snapshots: snapshots(self.epochs, self.snapshot_every).collect(),
                    seed: seeds.start,
                });
            }
        }
        if self.grid > 0 {
            trials.extend(done.0.iter().filter_map(|done| self.plane(done)));
            trials.extend(done.0.iter().flat_map(|done| self.surface(done)));
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
            Trial::Plane { model, training, snapshots, epochs, samples, .. } => {
                measure_plane(model, training, (snapshots, *epochs), *samples, cx)
            }
            Trial::Surface { model, plane, grid, first, points, samples, .. } => {
                measure_surface(model, plane, *grid, *first..first + points, *samples, cx)
            }
        }
    }

    fn findings(&self, done: &Records<Self>) -> Result<Findings> {
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

/// The plane of a path and how much of the path it shows, over the first `size` training images. Series,
/// one number a point of the path: `epoch` (0 for the initial weights), `component_1` and `component_2` (0
/// at the end of the path), `distance_from_plane`, `distance_from_final`, `train_loss` there and
/// `projected_train_loss` at its projection onto the plane. The weights it saves are the picture's lower
/// left corner and its two sides.
fn measure_plane(
    model: &Classifier,
    training: &Fingerprint,
    (snapshots, epochs): (&[u64], u64),
    size: usize,
    cx: &mut Context,
) -> Result<Measurements> {
    let layout = model.layout();
    let saved = cx.saved(training)?;
    let mut path = vec![(0, saved.theta("initial", &layout)?)];
    for epoch in snapshots {
        path.push((*epoch, saved.theta(&format!("snapshot.{epoch}"), &layout)?));
    }
    if path.last().is_none_or(|(epoch, _)| *epoch != epochs) {
        path.push((epochs, saved.theta("final", &layout)?));
    }
    let (numbers, rows): (Vec<u64>, Vec<_>) = path.into_iter().unzip();
    let plane = PathPlane::of_path(&rows)?;
    let samples = cx.images()?.train.first(size);
    let (mut losses, mut projected) = (Vec::new(), Vec::new());
    for (done, (row, place)) in (1..).zip(rows.iter().zip(&plane.coordinates)) {
        for (theta, found) in
            [(row.shallow_clone(), &mut losses), (plane.point(*place)?.f_to_kind(Float)?, &mut projected)]
        {
            found.push(CrossEntropy::new(model, theta).evaluate(&samples).loss);
            cx.check_stop()?;
        }
        cx.step_done(done, rows.len() as u64, losses.last().copied().unwrap_or(f64::NAN))?;
    }
    let [(left, right), (bottom, top)] = plane.frame(MARGIN);
    let [one, two] = &plane.directions;
    let sides = [plane.point((left, bottom))?, one * (right - left), two * (top - bottom)];
    for (name, theta) in SIDES.iter().zip(sides) {
        cx.save_weights(name, &layout, &theta.f_to_kind(Float)?)?;
    }
    let (x, y) = plane.coordinates.iter().copied().unzip();
    let [first, second] = plane.explained_variance_ratio;
    let scalars = [
        ("explained_variance_1", first),
        ("explained_variance_2", second),
        ("left", left),
        ("right", right),
        ("bottom", bottom),
        ("top", top),
    ];
    let series = [
        ("epoch", numbers.iter().map(|&epoch| epoch as f64).collect()),
        ("component_1", x),
        ("component_2", y),
        ("distance_from_plane", plane.distance),
        ("distance_from_final", plane.distance_from_origin),
        ("train_loss", losses),
        ("projected_train_loss", projected),
    ];
    Ok(Measurements::new(layout.parameters(), scalars, series))
}

/// What a plane's trial saves, by prefix.
const SIDES: [&str; 3] = ["corner", "side_1", "side_2"];

/// The loss over the first `size` training images at corner + u · side_1 + v · side_2 for these points of
/// the `grid` x `grid` that u and v make in [0, 1]².
fn measure_surface(
    model: &Classifier,
    plane: &Fingerprint,
    grid: usize,
    points: std::ops::Range<usize>,
    size: usize,
    cx: &Context,
) -> Result<Measurements> {
    let layout = model.layout();
    let saved = cx.saved(plane)?;
    let [corner, side_1, side_2] = SIDES.map(|name| saved.theta(name, &layout));
    let (corner, side_1, side_2) = (corner?, side_1?, side_2?);
    let samples = cx.images()?.train.first(size);
    let mut losses = Vec::new();
    let total = points.len() as u64;
    for (done, point) in (1..).zip(points) {
        let [u, v] = [point % grid, point / grid].map(|place| place as f64 / (grid - 1) as f64);
        let theta = &corner + &side_1 * u + &side_2 * v;
        let loss = CrossEntropy::new(model, theta).evaluate(&samples).loss;
        losses.push(loss);
        cx.step_done(done, total, loss)?;
    }
    Ok(Measurements::new(layout.parameters(), [], [("train_loss", losses)]))
}

impl PcaWeights {
    /// From 1, within its group of trainings.
    fn number(&self, seed: u64) -> u64 {
        (seed - self.seed) % self.trainings + 1
    }

    /// The plane of a finished training's path; a training that diverged has none.
    fn plane(&self, done: &DoneTrial) -> Option<Trial> {
        let Trial::Training { training, .. } = &done.trial else { return None };
        if done.record.diverged() {
            return None;
        }
        Some(Trial::Plane {
            model: self.model.clone(),
            training: done.fingerprint.clone(),
            snapshots: snapshots(self.epochs, self.snapshot_every).collect(),
            epochs: self.epochs,
            samples: self.surface_size.min(self.train_size),
            seed: training.seed,
        })
    }

    /// The blocks of a finished plane's surface.
    fn surface(&self, done: &DoneTrial) -> Vec<Trial> {
        let Trial::Plane { model, samples, seed, .. } = &done.trial else { return Vec::new() };
        let all = self.grid * self.grid;
        let block = |first: usize| Trial::Surface {
            model: model.clone(),
            plane: done.fingerprint.clone(),
            grid: self.grid,
            first,
            points: self.block_size.min(all - first),
            samples: *samples,
            seed: *seed,
        };
        (0..all).step_by(self.block_size).map(block).collect()
    }

    fn spec(&self) -> DataSpec {
        DataSpec { dataset: self.dataset, train_size: self.train_size, test_size: self.test_size }
    }

    fn training(&self, seed: u64) -> ClassifierTraining {
        ClassifierTraining {
            model: self.model.clone(),
            fit: MiniBatch {
                optimizer: self.optimizer,
                learning_rate: self.learning_rate,
                batch_size: self.batch_size,
                shuffle: self.shuffle,
                epochs: self.epochs,
            },
            seed,
        }
    }
}

// ------------------------------------------------------------------------------------ report

type DoneTrial = Done<PcaWeights>;

/// One part's snapshots in the plane of its first two components.
struct Plane {
    explained: [f64; 2],
    /// For each training that did not diverge its number and its path.
    numbers: Vec<u64>,
    paths: Vec<Vec<(f64, f64)>>,
}

impl Plane {
    fn of(record: &Measurements, part: &str, numbers: &[u64]) -> Result<Self> {
        let component = |number: u32| record.series(&format!("{part}_component_{number}"));
        let (x, y) = (component(1)?, component(2)?);
        let points: Vec<(f64, f64)> = x.iter().copied().zip(y.iter().copied()).collect();
        let share = |number: u32| record.scalar(&format!("{part}_explained_variance_{number}"));
        let length = (points.len() / numbers.len().max(1)).max(1);
        let paths = points.chunks(length).map(<[_]>::to_vec).collect();
        Ok(Self { explained: [share(1)?, share(2)?], numbers: numbers.to_vec(), paths })
    }

    fn json(&self) -> Value {
        let components: Vec<(f64, f64)> = self.paths.iter().flatten().copied().collect();
        json!({"components": components, "explained_variance_ratio": self.explained})
    }
}

fn report(settings: &PcaWeights, done: &[DoneTrial]) -> Result<Findings> {
    let mut report = Findings::default();
    let columns = ["training", "parameters", "seed", "train loss", "train accuracy", "test loss", "test accuracy"];
    report.columns = columns.map(str::to_owned).to_vec();
    let mut planes = Vec::new();
    for trial in done {
        if let Trial::Pca { trainings, .. } = &trial.trial {
            let of_training = |name: &Fingerprint| done.iter().find(|done| done.fingerprint == *name);
            let number = |name| of_training(name).map(|done| settings.number(done.trial.seed()));
            let numbers: Vec<u64> = trainings.iter().filter_map(number).collect();
            let record = &trial.record;
            planes.push([Plane::of(record, PARTS[0].0, &numbers)?, Plane::of(record, PARTS[1].0, &numbers)?]);
        }
        let Trial::Training { training, .. } = &trial.trial else { continue };
        let mut row =
            vec![trial.label.clone().into(), Cell::Count(trial.record.parameters as f64), Cell::Seed(training.seed)];
        for name in ["final_train_loss", "final_train_accuracy", "final_test_loss", "final_test_accuracy"] {
            row.push(cell(trial.record.after_training(name)?));
        }
        report.rows.push(row);
    }
    let data = settings.spec().title();
    if let Some(first) = planes.first() {
        report.figures.push(path_figure(settings, first, data));
        for (plane, (_, title)) in first.iter().zip(PARTS) {
            report.notes.push(format!(
                "{title}: two components explain {} of the variance of all snapshots.",
                percent(plane.explained.iter().sum::<f64>())
            ));
        }
        let json = |planes: &[Plane; 2]| json!({PARTS[0].0: planes[0].json(), PARTS[1].0: planes[1].json()});
        report.summary.insert("pca".into(), json(first));
        if planes.len() > 1 {
            report.summary.insert("pca_of_repeats".into(), planes.iter().map(json).collect());
        }
    }
    report.figures.push(curve_figure(settings, done, data)?);
    let surfaces = Surface::all(settings, done)?;
    if let Some(first) = surfaces.first() {
        report.figures.insert(0, surface_figure(settings, first, data));
        report.figures.insert(1, plane_figure(&surfaces, data));
        report.notes.extend(surfaces.iter().map(Surface::note));
        report.summary.insert("surfaces".into(), surfaces.iter().map(Surface::json).collect());
    }
    let epochs: Vec<u64> = snapshots(settings.epochs, settings.snapshot_every).collect();
    report.summary.insert("snapshot_epochs".into(), json!(epochs));
    report.summary.insert("data".into(), data.into());
    report.claims = claims(&planes);
    if settings.grid > 0 {
        report.claims.extend(surface_claims(&surfaces));
    }
    Ok(report)
}

/// "27.3 %", or "-" where there is no such share.
fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1} %", 100.0 * share) } else { "-".to_owned() }
}

/// A training's path in its plane, and the loss all over the plane.
struct Surface {
    /// Of the training.
    number: u64,
    seed: u64,
    /// Where the grid's columns are, and its rows.
    x: Vec<f64>,
    y: Vec<f64>,
    /// Row by row.
    losses: Vec<f64>,
    explained: [f64; 2],
    /// Of each point of the path; see [`measure_plane`].
    epochs: Vec<f64>,
    places: Vec<(f64, f64)>,
    distance: Vec<f64>,
    from_final: Vec<f64>,
    true_loss: Vec<f64>,
    projected_loss: Vec<f64>,
}

impl Surface {
    /// Of each training whose blocks are all done, in their order.
    fn all(settings: &PcaWeights, done: &[DoneTrial]) -> Result<Vec<Self>> {
        let mut surfaces = Vec::new();
        for trial in done.iter().filter(|trial| matches!(trial.trial, Trial::Plane { .. })) {
            let mut losses = Vec::new();
            for block in done {
                if matches!(&block.trial, Trial::Surface { plane, .. } if *plane == trial.fingerprint) {
                    losses.extend(block.record.series("train_loss")?);
                }
            }
            if losses.len() != settings.grid * settings.grid {
                continue;
            }
            let (record, seed) = (&trial.record, trial.trial.seed());
            let axis = |low: &str, high: &str| -> Result<Vec<f64>> {
                Ok(evenly_spaced([record.scalar(low)?, record.scalar(high)?], settings.grid))
            };
            let series = |name: &str| -> Result<Vec<f64>> { Ok(record.series(name)?.to_vec()) };
            surfaces.push(Self {
                number: settings.number(seed),
                seed,
                x: axis("left", "right")?,
                y: axis("bottom", "top")?,
                losses,
                explained: [record.scalar("explained_variance_1")?, record.scalar("explained_variance_2")?],
                epochs: series("epoch")?,
                places: series("component_1")?.into_iter().zip(series("component_2")?).collect(),
                distance: series("distance_from_plane")?,
                from_final: series("distance_from_final")?,
                true_loss: series("train_loss")?,
                projected_loss: series("projected_train_loss")?,
            });
        }
        Ok(surfaces)
    }

    /// Over the path: Spearman's correlation of the true loss and that of the projection; `None` where it
    /// is undefined.
    fn correlation(&self) -> Option<f64> {
        spearman(&self.true_loss.iter().copied().zip(self.projected_loss.iter().copied()).collect::<Vec<_>>())
    }

    /// Largest distance of the path from the plane, as a share of its largest distance from its end.
    fn relative_distance(&self) -> f64 {
        let largest = |values: &[f64]| highest(values).unwrap_or(f64::NAN);
        largest(&self.distance) / largest(&self.from_final)
    }

    fn note(&self) -> String {
        format!(
            "ClassifierTraining {}: the plane of its own path holds {} of the path's variance; the path is at most {} from it, {} of \
             the way it goes.",
            self.number,
            percent(self.explained.iter().sum()),
            cell(highest(&self.distance).unwrap_or(f64::NAN)),
            percent(self.relative_distance()),
        )
    }

    fn json(&self) -> Value {
        json!({
            "seed": self.seed, "x": self.x, "y": self.y, "train_loss": self.losses,
            "explained_variance_ratio": self.explained,
            "path": {
                "epoch": self.epochs, "components": self.places, "distance_from_plane": self.distance,
                "distance_from_final": self.from_final, "train_loss": self.true_loss,
                "projected_train_loss": self.projected_loss,
            },
        })
    }
}

/// The lecture's picture: level lines of the loss over the plane of a path, with the path.
fn surface_figure(settings: &PcaWeights, surface: &Surface, data: &str) -> Figure {
    let Surface { x, y, losses, explained, places, .. } = surface;
    let contours = Contours { x: x.clone(), y: y.clone(), z: losses.clone(), levels: Contours::log_levels(losses) };
    let axis = |number: usize| {
        let share = percent(explained[number - 1]);
        Axis::linear(format!("component {number} ({share} of the path's variance)"))
    };
    let ends = |point: Option<&(f64, f64)>| point.copied().into_iter().collect::<Vec<_>>();
    let series = vec![
        Series::new("path of the training", Color::Cycle(1), places.clone()).mark(Mark::Path),
        Series::new("initial weights", Color::Ink, ends(places.first())).mark(Mark::Circles),
        Series::new("final weights", Color::Ink, ends(places.last())).mark(Mark::Crosses),
    ];
    Figure {
        name: "surface".into(),
        title: format!("Path of a training on its loss surface, {data}"),
        caption: format!(
            "Level lines of the train loss (cross entropy of the first {} training images of {data}) over the plane \
             through the final weights along the first two principal components of the path, and the path itself, \
             projected: the initial weights and those after {} of {} epochs, {} with batches of {} and a learning \
             rate of {}.",
            settings.surface_size.min(settings.train_size),
            places.len().saturating_sub(1),
            settings.epochs,
            settings.optimizer.name(),
            settings.batch_size,
            settings.learning_rate,
        ),
        columns: 1,
        panels: vec![Panel::plot("", axis(1), axis(2), series).contours(contours)],
    }
}

/// What the plane leaves out: the loss at the path and at its projection, and how far they are apart.
fn plane_figure(surfaces: &[Surface], data: &str) -> Figure {
    // A label, a mark and what it shows of each surface.
    type Kind<'a> = (&'a str, Mark, fn(&Surface) -> &[f64]);
    let panel = |y: Axis, kinds: [Kind; 2]| {
        let mut series = Vec::new();
        for (color, (label, mark, of)) in kinds.into_iter().enumerate() {
            for surface in surfaces {
                let points = surface.epochs.iter().copied().zip(of(surface).iter().copied()).collect();
                series.push(Series::new(label, Color::Cycle(color), points).mark(mark));
            }
        }
        Panel::plot("", Axis::linear("epoch"), y, means_over_epochs(series))
    };
    Figure {
        name: "plane".into(),
        title: format!("What the plane of a path leaves out, {data}"),
        caption: format!(
            "Left: the train loss at each snapshot and at its projection onto the plane of its own path. Right: the \
             Euclidean distance of each snapshot from that plane, and from the final weights.{}",
            seeds::caption(surfaces.len() as u64).replace("seeds", "trainings"),
        ),
        columns: 2,
        panels: vec![
            panel(
                Axis::log("train loss (cross entropy)"),
                [
                    ("at the weights", Mark::Line, |surface| &surface.true_loss),
                    ("at their projection", Mark::Dashed, |surface| &surface.projected_loss),
                ],
            ),
            panel(
                Axis::linear("distance of the weights"),
                [
                    ("from the plane", Mark::Line, |surface| &surface.distance),
                    ("from the final weights", Mark::Dashed, |surface| &surface.from_final),
                ],
            ),
        ],
    }
}

fn path_figure(settings: &PcaWeights, planes: &[Plane; 2], data: &str) -> Figure {
    let panels = planes.iter().zip(PARTS).enumerate().map(|(panel, (plane, (_, title)))| {
        let mut series = Vec::new();
        for (&number, path) in plane.numbers.iter().zip(&plane.paths) {
            let index = number as usize - 1;
            // The colours repeat after six: hollow discs keep the next six apart.
            let mark = if (index / 6).is_multiple_of(2) { Mark::Path } else { Mark::OpenPath };
            // One legend serves both panels.
            let label = if panel == 0 { String::new() } else { format!("training {number}") };
            series.push(Series::new(label, Color::Cycle(index), path.clone()).mark(mark));
        }
        let axis = |number: usize| {
            let share = percent(plane.explained[number - 1]);
            Axis::linear(format!("component {number} ({share} of the variance)"))
        };
        Panel::plot(title, axis(1), axis(2), series)
    });
    let last = snapshots(settings.epochs, settings.snapshot_every).last().unwrap_or(1);
    Figure {
        name: "paths".into(),
        title: format!(
            "Weights of {} trainings on {data} in the plane of their principal components",
            planes[1].paths.len()
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
            let [first, whole] = [first, whole].map(|path| mean_distance(path));
            closer.push((first.is_finite() && whole.is_finite()).then_some(whole < first));
        }
        let leaving = [of_first, whole].map(leaves);
        spread.extend(leaving[0].iter().zip(&leaving[1]).map(|(first, whole)| Some((*first)? && (*whole)?)));
    }
    vec![
        Claim::counted(
            "pca-weights-spread",
            "Both pictures show the trainings leaving a common cluster and spreading.",
            TRAININGS,
            &spread,
            "in both planes its last snapshot is more than twice as far from the middle of all trainings' first \
             snapshots as its own first one",
        ),
        Claim::counted(
            "pca-weights-whole-closer",
            "The whole model's points lie closer together near the origin.",
            TRAININGS,
            &closer,
            "its snapshots are on average closer to the origin in the whole model's plane than in the first layer's",
        ),
    ]
}

/// Li et al. 2018, section 7: "between 40% and 90% of the variation in the descent paths lies in a space of
/// only 2 dimensions".
const LOW_DIMENSIONAL: f64 = 0.4;
/// From here on two losses rank the snapshots alike.
const RANKED_ALIKE: f64 = 0.9;
/// What Li et al. 2018 did otherwise.
const LI: &str = "Li et al. 2018 drew paths of VGG-9 and ResNets on CIFAR-10 over 300 epochs with steps of the learning \
                  rate, from the initial weights; here a fully connected network on digits at a constant rate, whose \
                  shorter path may well lie flatter";

fn surface_claims(surfaces: &[Surface]) -> Vec<Claim> {
    let explained = |surface: &Surface| {
        let share: f64 = surface.explained.iter().sum();
        share.is_finite().then_some(share >= LOW_DIMENSIONAL)
    };
    let ranked = |surface: &Surface| surface.correlation().map(|correlation| correlation >= RANKED_ALIKE);
    vec![
        Claim::counted(
            "pca-weights-low-dimensional",
            "A training's path is low-dimensional: at least 40 % of its variance lies in the plane of its first two \
             principal components.",
            TRAININGS,
            &surfaces.iter().map(explained).collect::<Vec<_>>(),
            "two components hold at least 40 % of the variance of its snapshots, from the initial weights to the \
             final ones (Li et al. 2018 found 40 to 90 %)",
        )
        .differing_from(LI),
        Claim::counted(
            "pca-weights-plane-ranks-losses",
            "The surface over the plane shows how the loss falls: projections rank as the snapshots do, at a correlation \
             of at least 0.9.",
            TRAININGS,
            &surfaces.iter().map(ranked).collect::<Vec<_>>(),
            "Spearman's correlation of the train loss at the snapshots and at their projections onto the plane is at \
             least 0.9",
        )
        .differing_from(LI),
    ]
}

/// Of each training, whether it leaves the cluster that the first snapshots make; `None` where a place is no
/// number.
fn leaves(plane: &Plane) -> Vec<Option<bool>> {
    let starts: Vec<(f64, f64)> = plane.paths.iter().filter_map(|path| path.first().copied()).collect();
    let n = starts.len() as f64;
    let middle = starts.iter().fold((0.0, 0.0), |sum, start| (sum.0 + start.0 / n, sum.1 + start.1 / n));
    let distance = |point: &(f64, f64)| (point.0 - middle.0).hypot(point.1 - middle.1);
    let leaves = |path: &Vec<(f64, f64)>| {
        let (first, last) = (distance(path.first()?), distance(path.last()?));
        (first.is_finite() && last.is_finite()).then_some(path.len() > 1 && last > 2.0 * first)
    };
    plane.paths.iter().map(leaves).collect()
}

fn mean_distance(path: &[(f64, f64)]) -> f64 {
    path.iter().map(|point| point.0.hypot(point.1)).sum::<f64>() / path.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_training_leaves_the_cluster_by_twice_its_own_distance() {
        let plane = |paths: Vec<Vec<(f64, f64)>>| Plane { explained: [0.5, 0.2], numbers: vec![1, 2], paths };
        // The first snapshots' middle is (0, 0), each at a distance of 1.
        let found = leaves(&plane(vec![vec![(1.0, 0.0), (2.1, 0.0)], vec![(-1.0, 0.0), (0.0, 1.9)]]));
        assert_eq!(found, [Some(true), Some(false)]);
        assert_eq!(leaves(&plane(vec![vec![(1.0, 0.0)], vec![(-1.0, 0.0), (0.0, -2.0)]])), [Some(false); 2]);
        let unknown = leaves(&plane(vec![vec![(1.0, 0.0), (f64::NAN, 0.0)], vec![(-1.0, 0.0), (5.0, 0.0)]]));
        assert_eq!(unknown, [None, Some(true)]);
        assert_eq!(leaves(&plane(vec![vec![], vec![(1.0, 1.0), (3.0, 1.0)]]))[0], None);
        assert!((mean_distance(&[(3.0, 4.0), (0.0, 1.0)]) - 3.0).abs() < 1e-12);
        assert_eq!([0.273, 0.0, f64::NAN].map(percent), ["27.3 %", "0.0 %", "-"]);
    }
}
