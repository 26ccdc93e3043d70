//! `hw1 interpolate`, task 3-3-1 of the report: two trainings with small and large batches, and the
//! loss along the line through their solutions, θ(α) = (1-α)θ₁ + αθ₂ (Keskar et al. 2017). Where the
//! settings ask for it also how flat the loss is around either solution: its ε-box sharpness (Keskar et
//! al.), slices along filter-normalised random directions (Li et al. 2018) and the Hessian's spectrum
//! (Sagun et al. 2018).

use crate::analysis::curvature::{ClassifierHessian, Density, Extremes, Wanted, lanczos, memory, spectral_density};
use crate::analysis::interpolation::{barrier, error_barrier, point, with_solutions};
use crate::analysis::sharpness::sharpness;
use crate::analysis::statistics::{PairedComparison, highest, lowest, spearman};
use crate::analysis::surface::filter_normalised_direction;
use crate::data::batches::{DataSpec, DatasetName, Samples, TEST_SIZE, TRAIN_SIZE};
use crate::data::functions::evenly_spaced;
use crate::model::Classifier;
use crate::objective::{Accuracy, CrossEntropy};
use crate::plot::{Axis, Color, Figure, Mark, Panel, Series};
use crate::rng::{Purpose, Rng};
use crate::study::claim::{Claim, Claimed, HARDLY, Quantity, SEEDS};
use crate::study::model_flag;
use crate::study::old::{Curve, panel};
use crate::study::seeds::{self, means_at_points};
use crate::study::{
    Cell, Context, DATASET_FLAG, Done, Experiment, Findings, Fingerprint, Flag, Measurements, Records, Size,
    Trial as TrialTrait, cell, check, flag,
};
use crate::tasks::classifier::{ClassifierTraining, MiniBatch};
use crate::train::OptimizerName;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use tch::Tensor;

// ---------------------------------------------------------------------------------- settings

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interpolate {
    dataset: DatasetName,
    train_size: usize,
    test_size: usize,
    model: Classifier,
    optimizer: OptimizerName,
    learning_rate: f64,
    /// Of the solutions at α = 0 and at α = 1.
    batch_sizes: [u32; 2],
    shuffle: bool,
    epochs: u64,
    /// The second training takes so many times `epochs`: with large batches an epoch has few steps.
    second_epochs_factor: u64,
    /// So many α, evenly spaced from `alpha_min` to `alpha_max`; 0 and 1 are added.
    alphas: usize,
    alpha_min: f64,
    alpha_max: f64,
    /// α that one trial evaluates.
    block_size: usize,
    /// Half-widths of the boxes in which the sharpness of both solutions is sought.
    epsilons: Vec<f64>,
    /// Starts of that search, and gradients that each may take.
    sharpness_starts: u64,
    sharpness_steps: u64,
    /// Random directions along which the loss around both solutions is looked at, 0 for none; and points
    /// along each.
    directions: u64,
    slice_points: usize,
    /// The Hessian's largest eigenvalues at both solutions, 0 for none; and probes and steps of its spectral
    /// density.
    eigenvalues: usize,
    density_probes: usize,
    density_steps: usize,
    /// Sharpness, slices and spectrum are of the loss over the first so many training images, or all.
    probe_size: usize,
    seed: u64,
    repeats: u64,
    /// All α, ascending: looked up for each block's name.
    #[serde(skip)]
    grid: OnceLock<Vec<f64>>,
}

/// More than this are a slip of the pen.
const MOST_ALPHAS: usize = 100_000;
const MOST_DIRECTIONS: u64 = 1000;
const MOST_EIGENVALUES: u64 = 200;
const MOST_STARTS: u64 = 10_000;
const MOST_STEPS: u64 = 100_000;
const MOST_SLICE_POINTS: usize = 10_001;
/// Numbers that one record holds, of slices or of a spectral density.
const MOST_NUMBERS: u128 = 1_000_000;
/// α of all repeats together: each stands in a trial.
const MOST_ALPHAS_IN_ALL: u128 = 2_000_000;

// ------------------------------------------------------------------------------------- trial

/// A training, a block of α on the solutions of two, or a look around one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trial {
    Training(ClassifierTraining),
    Block(Block),
    Probe(Probe),
}

/// A measure of the loss around one solution.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Probe {
    model: Classifier,
    solution: Fingerprint,
    /// Of the training that led to the solution.
    batch_size: u32,
    measure: Measure,
    /// ClassifierTraining images that the loss is over.
    samples: usize,
    seed: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Measure {
    Sharpness { epsilon: f64, starts: u64, steps: u64 },
    Slices { directions: u64, points: usize },
    Spectrum { eigenvalues: usize, probes: usize, steps: usize },
}

impl Probe {
    fn is_sharpness_of(&self, width: f64) -> bool {
        matches!(self.measure, Measure::Sharpness { epsilon, .. } if epsilon == width)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Block {
    model: Classifier,
    /// The trainings whose solutions are at α = 0 and at α = 1.
    solutions: [Fingerprint; 2],
    alphas: Vec<f64>,
    seed: u64,
}

impl TrialTrait for Trial {
    fn seed(&self) -> u64 {
        match self {
            Self::Training(training) => training.seed,
            Self::Block(block) => block.seed,
            Self::Probe(probe) => probe.seed,
        }
    }

    fn cost(&self) -> f64 {
        match self {
            Self::Training(training) => training.cost(),
            // A pass forward is a third of a step.
            Self::Block(block) => {
                let evaluations = block.alphas.len() * (TRAIN_SIZE + TEST_SIZE);
                block.model.layout().parameters() as f64 * evaluations as f64 / 3.0
            }
            Self::Probe(probe) => {
                let gradients = match probe.measure {
                    Measure::Sharpness { starts, steps, .. } => starts as f64 * steps as f64,
                    Measure::Slices { directions, points } => directions as f64 * points as f64 / 3.0,
                    // A product is about three gradients.
                    Measure::Spectrum { eigenvalues, probes, steps } => {
                        3.0 * (5.0 * eigenvalues as f64 + probes as f64 * steps as f64)
                    }
                };
                probe.model.layout().parameters() as f64 * probe.samples as f64 * gradients
            }
        }
    }
}

// ----------------------------------------------------------------------------- record and run

crate::settings_as_before!(Interpolate);

impl Experiment for Interpolate {
    const NAME: &'static str = "interpolate";
    const ABOUT: &'static str = "Loss along the line between two solutions (task 3-3-1)";
    const SETTINGS: &'static str = include_str!("../../experiments/interpolate.toml");
    const VERSION: u32 = 3;
    const FLAGS: &'static [Flag] = &[DATASET_FLAG, model_flag("The network, like conv8-conv16-128-10 or 784-128-10")];

    type Trial = Trial;
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        self.spec().check()?;
        let at_least_1 = [
            ("block_size", self.block_size as u64),
            ("second_epochs_factor", self.second_epochs_factor),
            ("probe_size", self.probe_size as u64),
        ];
        if let Some((name, _)) = at_least_1.iter().find(|(_, value)| *value == 0) {
            return Err(format!("{name} is 0; it must be at least 1"));
        }
        for (name, batch_size) in ["epochs", "epochs · second_epochs_factor"].into_iter().zip(self.batch_sizes) {
            let checked = self.training(batch_size, self.seed).check();
            checked.map_err(|what| what.strip_prefix("epochs").map_or(what.clone(), |rest| format!("{name}{rest}")))?;
        }
        if self.batch_sizes[0] == self.batch_sizes[1] {
            return Err(format!("batch_sizes are both {}; they must differ", self.batch_sizes[0]));
        }
        self.check_alphas()?;
        self.check_probes()?;
        check::seeds(self.seed, self.repeats)
    }

    fn size(&self) -> Size {
        // 0 and 1 may come to the α that are asked for.
        let blocks = (self.alphas as u128 + 2).div_ceil(self.block_size.max(1) as u128);
        let around = 2 * self.measures().len() as u128;
        Size::of_seeds(self.repeats, 2 + blocks + around, "lower --repeats or alphas, or raise block_size")
    }

    fn data(&self) -> Option<DataSpec> {
        Some(self.spec())
    }

    fn label(&self, trial: &Trial) -> String {
        match trial {
            Trial::Training(training) => format!("batch-{}", training.fit.batch_size),
            Trial::Block(block) => {
                let first = block.alphas.first().copied().unwrap_or_default();
                let place = self.grid().binary_search_by(|alpha| alpha.total_cmp(&first)).unwrap_or(0);
                format!("alphas-{}", place / self.block_size + 1)
            }
            Trial::Probe(Probe { batch_size, measure, .. }) => match measure {
                Measure::Sharpness { epsilon, .. } => format!("sharpness-{batch_size}-{epsilon:e}"),
                Measure::Slices { .. } => format!("slices-{batch_size}"),
                Measure::Spectrum { .. } => format!("spectrum-{batch_size}"),
            },
        }
    }

    fn trials(&self, done: &Records<Self>) -> Result<Vec<Trial>> {
        let mut trials = Vec::new();
        let solutions = solutions(&done.0);
        for seed in self.seed..self.seed + self.repeats {
            trials.extend(self.batch_sizes.map(|batch_size| Trial::Training(self.training(batch_size, seed))));
            let [Some(first), Some(second)] = self.batch_sizes.map(|batch_size| solutions.get(&(seed, batch_size)))
            else {
                continue;
            };
            trials.extend(self.grid().chunks(self.block_size).map(|alphas| {
                Trial::Block(Block {
                    model: self.model.clone(),
                    solutions: [first.fingerprint.clone(), second.fingerprint.clone()],
                    alphas: alphas.to_vec(),
                    seed,
                })
            }));
            for (done, batch_size) in [first, second].into_iter().zip(self.batch_sizes) {
                trials.extend(self.measures().into_iter().map(|measure| {
                    Trial::Probe(Probe {
                        model: self.model.clone(),
                        solution: done.fingerprint.clone(),
                        batch_size,
                        measure,
                        samples: self.probe_size.min(self.train_size),
                        seed,
                    })
                }));
            }
        }
        Ok(trials)
    }

    fn run_trial(trial: &Trial, cx: &mut Context) -> Result<Measurements> {
        match trial {
            Trial::Training(training) => {
                let train = cx.images()?.train.on(cx.device);
                Ok(training.run(cx, &train)?.1)
            }
            Trial::Block(block) => evaluate(block, cx),
            Trial::Probe(probe) => look_around(probe, cx),
        }
    }

    fn findings(&self, done: &Records<Self>) -> Result<Findings> {
        report(self, &done.0)
    }
}

impl Interpolate {
    fn check_alphas(&self) -> Result<(), String> {
        if !(2..=MOST_ALPHAS).contains(&self.alphas) {
            return Err(format!("alphas is {}; it must be from 2 to {MOST_ALPHAS}", self.alphas));
        }
        let (min, max) = (self.alpha_min, self.alpha_max);
        let shown = format!("alpha_min is {} and alpha_max {}", check::plain(min), check::plain(max));
        if !(min.is_finite() && max.is_finite() && min < max) {
            return Err(format!("{shown}; it must be below, and both finite"));
        }
        for (name, alpha) in [("alpha_min", min), ("alpha_max", max)] {
            // θ(α) has both.
            check::factor(name, alpha)?;
            check::factor(&format!("1 - {name}"), 1.0 - alpha)?;
        }
        if self.grid().windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(format!("{shown}: too near each other for {} α that differ", self.alphas));
        }
        check::product(&[("repeats", self.repeats.into()), ("alphas", self.alphas as u128)], MOST_ALPHAS_IN_ALL)
    }

    /// Sharpness, slices and spectrum.
    fn check_probes(&self) -> Result<(), String> {
        for epsilon in &self.epsilons {
            if epsilon.is_nan() || *epsilon <= 0.0 {
                return Err(format!("epsilons has {}; each must be above 0", check::plain(*epsilon)));
            }
            check::factor("one of epsilons", *epsilon)?;
        }
        if let Some(epsilon) = check::twice(&self.epsilons) {
            return Err(format!("epsilons has {} twice", check::plain(epsilon)));
        }
        if !self.epsilons.is_empty() {
            let what = format!("the gradient of model '{}' over {BLOCK} images", self.model);
            check::memory(&what, self.model.memory_of_batch(BLOCK.unsigned_abs()), "take a smaller model")?;
        }
        check::within("sharpness_starts", self.sharpness_starts, 1..=MOST_STARTS)?;
        check::within("sharpness_steps", self.sharpness_steps, 1..=MOST_STEPS)?;
        check::within("directions", self.directions, 0..=MOST_DIRECTIONS)?;
        check_slice_points(self.slice_points)?;
        let slices = [("directions", self.directions.into()), ("slice_points", self.slice_points as u128)];
        check::product(&slices, MOST_NUMBERS)?;
        check::within("eigenvalues", self.eigenvalues as u64, 0..=MOST_EIGENVALUES)?;
        if self.eigenvalues == 0 {
            return Ok(());
        }
        check::within("density_probes", self.density_probes as u64, 1..=MOST_STARTS)?;
        check::within("density_steps", self.density_steps as u64, 1..=MOST_STEPS)?;
        let density = [("density_probes", self.density_probes as u128), ("density_steps", self.density_steps as u128)];
        check::product(&density, MOST_NUMBERS)?;
        let parameters = self.model.layout().parameters().unsigned_abs() as u128;
        let steps = most_products(self.eigenvalues).max(self.density_steps);
        let what = format!(
            "{} eigenvalues and {} density_steps of model '{}'",
            self.eigenvalues, self.density_steps, self.model
        );
        check::memory(&what, memory(parameters, steps, self.eigenvalues), "lower eigenvalues or density_steps")
    }

    fn spec(&self) -> DataSpec {
        DataSpec { dataset: self.dataset, train_size: self.train_size, test_size: self.test_size }
    }

    fn training(&self, batch_size: u32, seed: u64) -> ClassifierTraining {
        ClassifierTraining {
            model: self.model.clone(),
            fit: MiniBatch {
                optimizer: self.optimizer,
                learning_rate: self.learning_rate,
                batch_size,
                shuffle: self.shuffle,
                epochs: if batch_size == self.batch_sizes[1] {
                    self.epochs.saturating_mul(self.second_epochs_factor)
                } else {
                    self.epochs
                },
            },
            seed,
        }
    }

    /// What is measured around each solution.
    fn measures(&self) -> Vec<Measure> {
        let mut measures = Vec::new();
        for &epsilon in &self.epsilons {
            measures.push(Measure::Sharpness { epsilon, starts: self.sharpness_starts, steps: self.sharpness_steps });
        }
        if self.directions > 0 {
            measures.push(Measure::Slices { directions: self.directions, points: self.slice_points });
        }
        if self.eigenvalues > 0 {
            measures.push(Measure::Spectrum {
                eigenvalues: self.eigenvalues,
                probes: self.density_probes,
                steps: self.density_steps,
            });
        }
        measures
    }

    /// All α, ascending.
    fn grid(&self) -> &[f64] {
        self.grid.get_or_init(|| with_solutions(evenly_spaced([self.alpha_min, self.alpha_max], self.alphas)))
    }
}

/// The finished trainings by seed and batch size.
fn solutions(done: &[DoneTrial]) -> BTreeMap<(u64, u32), &DoneTrial> {
    let of_training = |done: &'_ DoneTrial| match &done.trial {
        Trial::Training(training) => Some((training.seed, training.fit.batch_size)),
        Trial::Block(_) | Trial::Probe(_) => None,
    };
    done.iter().filter_map(|done| Some((of_training(done)?, done))).collect()
}

/// Loss and accuracy of each θ(α) over both whole sets.
fn evaluate(block: &Block, cx: &Context) -> Result<Measurements> {
    let layout = block.model.layout();
    let [first, second] = &block.solutions;
    let (theta_1, theta_2) = (cx.saved_weights(first, "final", &layout)?, cx.saved_weights(second, "final", &layout)?);
    let images = cx.images()?;
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for (done, &alpha) in (1..).zip(&block.alphas) {
        let objective = CrossEntropy::new(&block.model, point(&theta_1, &theta_2, alpha));
        for (set, found) in [(&images.train, &mut train), (&images.test, &mut test)] {
            let Accuracy { loss, accuracy } = objective.evaluate(set);
            // Outputs that are no numbers rank no classes: their accuracy would be that of class 0.
            found.push(Accuracy { loss, accuracy: if loss.is_finite() { accuracy } else { f64::NAN } });
            cx.check_stop()?;
        }
        cx.step_done(done, block.alphas.len() as u64, test.last().map_or(f64::NAN, |found| found.loss))?;
    }
    let losses = |found: &[Accuracy]| found.iter().map(|found| found.loss).collect();
    let accuracies = |found: &[Accuracy]| found.iter().map(|found| found.accuracy).collect();
    let series = [
        ("alpha", block.alphas.clone()),
        ("train_loss", losses(&train)),
        ("train_accuracy", accuracies(&train)),
        ("test_loss", losses(&test)),
        ("test_accuracy", accuracies(&test)),
    ];
    Ok(Measurements::new(layout.parameters(), [], series))
}

/// Keys the randomness of the measures: the same for both solutions of a seed.
const PROBES: &str = "interpolate";

fn look_around(probe: &Probe, cx: &Context) -> Result<Measurements> {
    let theta = cx.saved_weights(&probe.solution, "final", &probe.model.layout())?;
    let samples = cx.images()?.train.first(probe.samples);
    match probe.measure {
        Measure::Sharpness { epsilon, starts, steps } => {
            measure_sharpness(probe, &theta, &samples, epsilon, (starts, steps), cx)
        }
        Measure::Slices { directions, points } => measure_slices(probe, &theta, &samples, directions, points, cx),
        Measure::Spectrum { eigenvalues, probes, steps } => {
            measure_spectrum(probe, &theta, &samples, eigenvalues, (probes, steps), cx)
        }
    }
}

/// Samples at a time in a gradient: activations of more would take much memory.
const BLOCK: i64 = 1000;

/// L and ∇L over all of `samples`.
fn loss_and_gradient(model: &Classifier, theta: &Tensor, samples: &Samples) -> Result<(f64, Tensor)> {
    let objective = CrossEntropy::new(model, theta.shallow_clone());
    let n = samples.len();
    let (mut loss, mut sum) = (0.0, theta.f_zeros_like()?);
    let mut start = 0;
    while start < n {
        let size = BLOCK.min(n - start);
        let (x, labels) = (samples.images.f_narrow(0, start, size)?, samples.labels.f_narrow(0, start, size)?);
        let (gradient, sums) = objective.gradient(&x, &labels);
        loss += sums.loss.f_double_value(&[])? / n as f64;
        sum = sum.f_add(&gradient.f_mul_scalar(size as f64 / n as f64)?)?;
        start += size;
    }
    Ok((loss, sum))
}

/// `sharpness` is the best of all starts, in per cent; see [`sharpness`].
fn measure_sharpness(
    probe: &Probe,
    theta: &Tensor,
    samples: &Samples,
    epsilon: f64,
    (starts, steps): (u64, u64),
    cx: &Context,
) -> Result<Measurements> {
    let mut done = 0;
    let found = sharpness(theta, epsilon, (starts, steps), (probe.seed, PROBES), |at| {
        let found = loss_and_gradient(&probe.model, at, samples)?;
        done += 1;
        cx.step_done(done, 1 + starts * steps, found.0)?;
        Ok(found)
    })?;
    let scalars = [
        ("train_loss", found.loss),
        ("sharpness", found.best()),
        ("sharpness_spread", found.spread()),
        ("gradients", found.gradients as f64),
    ];
    Ok(Measurements::new(theta.numel() as i64, scalars, [("sharpness_by_start", found.by_start)]))
}

/// Steps t from -1 to 1 along each direction, of which 1 moves every filter by its own length.
fn steps_of_slices(points: usize) -> Vec<f64> {
    evenly_spaced([-1.0, 1.0], points)
}

/// L(θ + t d) by series `slice_1` and so on, t in `step`.
fn measure_slices(
    probe: &Probe,
    theta: &Tensor,
    samples: &Samples,
    directions: u64,
    points: usize,
    cx: &Context,
) -> Result<Measurements> {
    let layout = probe.model.layout();
    let steps = steps_of_slices(points);
    let mut measured = Measurements::new(layout.parameters(), [], [("step", steps.clone())]);
    for index in 1..=directions {
        let direction = filter_normalised_direction(&layout, theta, (probe.seed, PROBES, index))?;
        let mut losses = Vec::new();
        for &t in &steps {
            let there = if t == 0.0 { theta.copy() } else { theta + &direction * t };
            losses.push(CrossEntropy::new(&probe.model, there).evaluate(samples).loss);
            cx.check_stop()?;
        }
        cx.step_done(index, directions, losses.last().copied().unwrap_or(f64::NAN))?;
        measured.series.insert(format!("slice_{index}"), losses);
    }
    Ok(measured)
}

/// Lanczos is done when its residuals are this share of the largest eigenvalue, or after so many products an
/// eigenvalue.
const TOLERANCE: f64 = 1e-3;
const PRODUCTS: usize = 8;

fn most_products(eigenvalues: usize) -> usize {
    (PRODUCTS * eigenvalues).max(20)
}

/// The largest eigenvalues of the Hessian with their residuals, descending, and its spectral density as
/// `node` (eigenvalue) and `weight`.
fn measure_spectrum(
    probe: &Probe,
    theta: &Tensor,
    samples: &Samples,
    eigenvalues: usize,
    (probes, steps): (usize, usize),
    cx: &Context,
) -> Result<Measurements> {
    let n = theta.numel() as i64;
    // A training that diverged has no curvature where it ended.
    if !CrossEntropy::new(&probe.model, theta.shallow_clone()).evaluate(samples).loss.is_finite() {
        let series = ["top_eigenvalues", "residuals", "node", "weight"].map(|name| (name, Vec::new()));
        return Ok(Measurements::new(n, [("converged", 0.0)], series));
    }
    let hessian = ClassifierHessian::new(&probe.model, theta, samples)?;
    let most = most_products(eigenvalues);
    let all = (most + eigenvalues + probes * steps) as u64;
    let mut done = 0;
    let mut times = |v: &Tensor| {
        done += 1;
        cx.step_done(done, all, f64::NAN)?;
        hessian.times(v, || cx.check_stop())
    };
    let wanted = Wanted { top: eigenvalues, bottom: 0, tolerance: TOLERANCE, steps: most, sweeps: 1 };
    let mut rng = Rng::keyed(probe.seed, PROBES, Purpose::CurvatureProbe, 0);
    let Extremes { top, converged, steps: products, .. } = lanczos(n, wanted, &mut rng, &mut times)?;
    let mut rng = Rng::keyed(probe.seed, PROBES, Purpose::CurvatureProbe, 1);
    let density = spectral_density(n, probes, steps, &mut rng, &mut times)?;
    let mean_eigenvalue = density.integral(|value| value);
    let (nodes, weights) = density.nodes.into_iter().unzip();
    let scalars = [
        ("converged", flag(converged)),
        ("products", products as f64),
        ("largest_eigenvalue", top.first().map_or(f64::NAN, |ritz| ritz.value)),
        ("mean_eigenvalue", mean_eigenvalue),
    ];
    let series = [
        ("top_eigenvalues", top.iter().map(|ritz| ritz.value).collect()),
        ("residuals", top.iter().map(|ritz| ritz.residual).collect()),
        ("node", nodes),
        ("weight", weights),
    ];
    Ok(Measurements::new(n, scalars, series))
}

// ------------------------------------------------------------------------------------ report

type DoneTrial = Done<Interpolate>;

const SERIES: [&str; 5] = ["alpha", "train_loss", "train_accuracy", "test_loss", "test_accuracy"];

/// What the blocks of one seed measured together, by [`SERIES`].
struct Line {
    seed: u64,
    series: [Vec<f64>; 5],
    /// Whether all its blocks are done: of a line with a hole nothing can be told.
    whole: bool,
}

impl Line {
    /// One for each seed that has blocks, α ascending.
    fn all(settings: &Interpolate, done: &[DoneTrial]) -> Result<Vec<Self>> {
        let (mut lines, grid) = (Vec::new(), settings.grid());
        for seed in settings.seed..settings.seed + settings.repeats {
            let mut series: [Vec<f64>; 5] = Default::default();
            for trial in done.iter().filter(|trial| trial.trial.seed() == seed) {
                if matches!(trial.trial, Trial::Block(_)) {
                    for (all, name) in series.iter_mut().zip(SERIES) {
                        all.extend(trial.record.series(name)?);
                    }
                }
            }
            if !series[0].is_empty() {
                let whole = series[0].len() == grid.len();
                lines.push(Self { seed, series, whole });
            }
        }
        Ok(lines)
    }

    fn alphas(&self) -> &[f64] {
        &self.series[0]
    }

    fn get(&self, name: &str) -> &[f64] {
        let index = SERIES.iter().position(|series| *series == name).unwrap_or(0);
        &self.series[index]
    }

    /// Of the loss on a set of images, "train" or "test", over the segment; NaN where it is not known.
    fn barrier(&self, set: &str) -> f64 {
        let found = barrier(self.alphas(), self.get(&format!("{set}_loss")));
        found.filter(|_| self.whole).unwrap_or(f64::NAN)
    }

    fn json(&self) -> Value {
        let mut map = Map::new();
        map.insert("seed".into(), self.seed.into());
        map.extend(SERIES.iter().zip(&self.series).map(|(name, values)| ((*name).to_owned(), json!(values))));
        map.into()
    }
}

fn report(settings: &Interpolate, done: &[DoneTrial]) -> Result<Findings> {
    let mut report = Findings::default();
    let columns =
        ["training", "parameters", "seed", "epochs", "train loss", "train accuracy", "test loss", "test accuracy"];
    report.columns = columns.map(str::to_owned).to_vec();
    report.columns.extend(settings.epsilons.iter().map(|epsilon| format!("sharpness {epsilon:e}")));
    if settings.eigenvalues > 0 {
        report.columns.push("largest eigenvalue".into());
    }
    let around = Around::all(settings, done)?;
    for trial in done {
        let Trial::Training(training) = &trial.trial else { continue };
        let record = &trial.record;
        let mut row = vec![
            trial.label.clone().into(),
            Cell::Count(record.parameters as f64),
            Cell::Seed(training.seed),
            Cell::Count(record.scalar("epochs_run")?),
        ];
        for name in ["final_train_loss", "final_train_accuracy", "final_test_loss", "final_test_accuracy"] {
            row.push(cell(record.after_training(name)?));
        }
        let here = around.iter().find(|a| (a.batch_size, a.seed) == (training.fit.batch_size, training.seed));
        for index in 0..settings.epsilons.len() {
            let of_start = here.and_then(|here| here.sharpness.get(index)).filter(|all| !all.is_empty());
            row.push(of_start.map_or(Cell::Undefined, |all| cell(highest(all).unwrap_or(f64::NAN))));
        }
        if settings.eigenvalues > 0 {
            row.push(here.and_then(|here| here.eigenvalues.first().copied()).map_or(Cell::Undefined, cell));
        }
        report.rows.push(row);
    }
    if done.iter().any(|trial| trial.record.diverged()) {
        report.notes.push(
            "Of a solution that diverged nothing on the line to it is finite but the other solution, nor what is measured \
             around it."
                .to_owned(),
        );
    }
    let lines = Line::all(settings, done)?;
    report.notes.extend(lines.iter().map(extremes));
    let data = settings.spec().title();
    report.figures = vec![curve_figure(settings, done, data)?, line_figure(settings, &lines, data)];
    report.summary.insert("data".into(), data.into());
    if let Some((first, further)) = lines.split_first() {
        report.summary.insert("interpolation".into(), first.json());
        report.summary.insert("interpolation_further_seeds".into(), further.iter().map(Line::json).collect());
    }
    report.claims = vec![trains_well(settings, done)?, moves_together(&lines)];
    if !settings.measures().is_empty() {
        report.notes.extend(around.iter().flat_map(|around| around.note(settings)));
        report.figures.extend(around_figures(settings, &around, data)?);
        report.claims.push(barrier_between(&lines));
        report.claims.extend(around_claims(settings, &around));
        report.summary.insert("around_the_solutions".into(), around.iter().map(|a| a.json(settings)).collect());
        let barriers = lines.iter().map(|line| json!({"seed": line.seed, "train_loss_barrier": line.barrier("train")}));
        report.summary.insert("barriers".into(), barriers.collect());
    }
    Ok(report)
}

/// What was measured around one solution.
struct Around {
    batch_size: u32,
    seed: u64,
    train_loss: f64,
    train_accuracy: f64,
    test_loss: f64,
    test_accuracy: f64,
    /// Of each ε of the settings: the sharpness from every start, in per cent.
    sharpness: Vec<Vec<f64>>,
    /// Of each direction the losses at [`steps_of_slices`].
    slices: Vec<Vec<f64>>,
    /// Descending.
    eigenvalues: Vec<f64>,
    /// (eigenvalue, weight), ascending.
    density: Vec<(f64, f64)>,
}

impl Around {
    /// Of each finished training, in their order.
    fn all(settings: &Interpolate, done: &[DoneTrial]) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for end in done {
            let Trial::Training(training) = &end.trial else { continue };
            let probes: Vec<(&Probe, &Measurements)> = (done.iter())
                .filter_map(|trial| match &trial.trial {
                    Trial::Probe(probe) if probe.solution == end.fingerprint => Some((probe, trial.record.as_ref())),
                    _ => None,
                })
                .collect();
            let series = |is: &dyn Fn(&Probe) -> bool, name: &str| -> Result<Vec<f64>> {
                let record = probes.iter().find(|(probe, _)| is(probe)).map(|(_, record)| record);
                Ok(record.map(|record| record.series(name)).transpose()?.unwrap_or_default().to_vec())
            };
            let is_slices = |probe: &Probe| matches!(probe.measure, Measure::Slices { .. });
            let is_spectrum = |probe: &Probe| matches!(probe.measure, Measure::Spectrum { .. });
            let has_slices = probes.iter().any(|(probe, _)| is_slices(probe));
            let directions = if has_slices { settings.directions } else { 0 };
            all.push(Self {
                batch_size: training.fit.batch_size,
                seed: training.seed,
                train_loss: end.record.after_training("final_train_loss")?,
                train_accuracy: end.record.after_training("final_train_accuracy")?,
                test_loss: end.record.after_training("final_test_loss")?,
                test_accuracy: end.record.after_training("final_test_accuracy")?,
                sharpness: (settings.epsilons.iter())
                    .map(|&epsilon| series(&|probe| probe.is_sharpness_of(epsilon), "sharpness_by_start"))
                    .collect::<Result<_>>()?,
                slices: (1..=directions)
                    .map(|index| series(&is_slices, &format!("slice_{index}")))
                    .collect::<Result<_>>()?,
                eigenvalues: series(&is_spectrum, "top_eigenvalues")?,
                density: series(&is_spectrum, "node")?.into_iter().zip(series(&is_spectrum, "weight")?).collect(),
            });
        }
        Ok(all)
    }

    /// The best over the starts for the ε at this place in the settings; NaN where it is not measured.
    fn sharpness(&self, index: usize) -> f64 {
        self.sharpness.get(index).and_then(|all| highest(all)).unwrap_or(f64::NAN)
    }

    /// Largest minus smallest over the starts.
    fn spread(&self, index: usize) -> f64 {
        let smallest = self.sharpness.get(index).and_then(|all| lowest(all));
        self.sharpness(index) - smallest.unwrap_or(f64::NAN)
    }

    /// Mean rise of the loss a step of [`NEAR`] away, over all directions and both signs.
    fn rise(&self) -> f64 {
        let Some(points) = self.slices.first().map(Vec::len) else { return f64::NAN };
        let near: Vec<usize> = (steps_of_slices(points).iter().enumerate())
            .filter_map(|(i, t)| ((t.abs() - NEAR).abs() < 0.5 / points as f64).then_some(i))
            .collect();
        let rises = self.slices.iter().flat_map(|losses| near.iter().map(|&i| losses[i] - losses[points / 2]));
        let rises: Vec<f64> = rises.collect();
        rises.iter().sum::<f64>() / rises.len() as f64
    }

    /// The eigenvalues above the widest gap (as a ratio of neighbours) among the largest ones.
    fn outliers(&self) -> Option<usize> {
        let ratio = |pair: &[f64]| if pair[1] > 0.0 { pair[0] / pair[1] } else { f64::NAN };
        let ratios = self.eigenvalues.windows(2).map(ratio).enumerate().filter(|(_, ratio)| ratio.is_finite());
        ratios.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(index, _)| index + 1)
    }

    fn note(&self, settings: &Interpolate) -> Vec<String> {
        let name = format!("Batch {}, seed {}", self.batch_size, self.seed);
        let of = |index: usize| {
            let (best, spread, epsilon) = (self.sharpness(index), self.spread(index), settings.epsilons[index]);
            if best.is_finite() {
                format!("{} % in the box of {epsilon:e} (spread over starts {})", cell(best), cell(spread))
            } else {
                format!("not finite in the box of {epsilon:e}")
            }
        };
        let known: Vec<String> =
            (0..self.sharpness.len()).filter(|&index| !self.sharpness[index].is_empty()).map(of).collect();
        if known.is_empty() { Vec::new() } else { vec![format!("{name}: sharpness {}.", known.join(", "))] }
    }

    fn json(&self, settings: &Interpolate) -> Value {
        let sharpness = settings.epsilons.iter().enumerate().map(|(index, epsilon)| {
            json!({"epsilon": epsilon, "sharpness": self.sharpness(index), "spread": self.spread(index)})
        });
        json!({
            "batch_size": self.batch_size, "seed": self.seed, "test_error": 1.0 - self.test_accuracy,
            "generalization_gap": self.test_loss - self.train_loss, "sharpness": sharpness.collect::<Vec<_>>(),
            "rise_nearby": self.rise(), "top_eigenvalues": self.eigenvalues, "outliers": self.outliers(),
        })
    }
}

/// Where slices are compared: a step that moves every filter by a fifth of its length.
const NEAR: f64 = 0.2;
/// Of evenly spaced points from -1 to 1, [`NEAR`] and -NEAR are two where their distance goes into 0.2: so many
/// points are one more than a multiple of this.
const SLICE_POINTS: usize = 10;

fn check_slice_points(points: usize) -> Result<(), String> {
    let most = MOST_SLICE_POINTS;
    if (SLICE_POINTS + 1..=most).contains(&points) && (points - 1).is_multiple_of(SLICE_POINTS) {
        return Ok(());
    }
    let below = (points.clamp(SLICE_POINTS + 1, most) - 1) / SLICE_POINTS * SLICE_POINTS + 1;
    let nearest = match below + SLICE_POINTS {
        above if (below..above).contains(&points) && above <= most => format!("{below} or {above}"),
        _ => below.to_string(),
    };
    Err(format!(
        "slice_points is {points}; 0 and ±{NEAR}, where slices are compared, must be among them, as among 11, 21, 31, \
         … to {most}: try {nearest}"
    ))
}

/// "Test loss along α, seed 0: lowest 0.05 at α = 1, highest 3e8 at α = 20."
fn extremes(line: &Line) -> String {
    let points = line.alphas().iter().zip(line.get("test_loss")).filter(|(_, loss)| loss.is_finite());
    let lowest = points.clone().min_by(|a, b| a.1.total_cmp(b.1));
    let highest = points.max_by(|a, b| a.1.total_cmp(b.1));
    let at = |(alpha, loss): (&f64, &f64)| format!("{} at α = {}", cell(*loss), (alpha * 1e4).round() / 1e4);
    let n = line.alphas().len();
    let not_finite = match line.get("test_loss").iter().filter(|loss| !loss.is_finite()).count() {
        0 => String::new(),
        count => format!(", not finite at {count} of {n} α"),
    };
    match (lowest, highest) {
        (Some(low), Some(high)) => {
            format!("Test loss along α, seed {}: lowest {}, highest {}{not_finite}.", line.seed, at(low), at(high))
        }
        _ => format!("Test loss along α, seed {}: nowhere finite.", line.seed),
    }
}

/// Sharpness, slices and spectrum, as far as they were asked for.
fn around_figures(settings: &Interpolate, around: &[Around], data: &str) -> Result<Vec<Figure>> {
    let images = settings.probe_size.min(settings.train_size);
    let of_batch = |batch_size: u32| around.iter().filter(move |around| around.batch_size == batch_size);
    let batches = || settings.batch_sizes.into_iter().enumerate();
    let mut figures = Vec::new();
    if !settings.epsilons.is_empty() {
        let (mut by_seed, mut by_error) = (Vec::new(), Vec::new());
        for (color, batch_size) in batches() {
            // A mark an ε; with more of them than marks, the next colours.
            const MARKS: [Mark; 3] = [Mark::Points, Mark::Circles, Mark::Crosses];
            for (index, epsilon) in settings.epsilons.iter().enumerate() {
                let points = of_batch(batch_size).map(|a| (a.seed as f64, a.sharpness(index))).collect();
                let label = format!("batch {batch_size}, ε = {epsilon:e}");
                let color = Color::Cycle(color + 2 * (index / MARKS.len()));
                by_seed.push(Series::new(label, color, points).mark(MARKS[index % MARKS.len()]));
            }
            let points = of_batch(batch_size).map(|a| (a.sharpness(0), 100.0 * (1.0 - a.test_accuracy))).collect();
            by_error.push(Series::new(format!("batch {batch_size}"), Color::Cycle(color), points).mark(Mark::Points));
        }
        let first = settings.epsilons[0];
        figures.push(Figure {
            name: "sharpness".into(),
            title: format!("ε-box sharpness of both solutions, {data}"),
            caption: format!(
                "Left: the largest rise of the loss found within |yᵢ| ≤ ε(|θᵢ|+1), in per cent of 1 + L (Keskar et al. \
                 2017; the best of {} starts, over the first {images} training images), at the solutions of each \
                 seed. Right: test error against the sharpness for ε = {first:e}.",
                settings.sharpness_starts,
            ),
            columns: 2,
            panels: vec![
                Panel::plot("", Axis::linear("seed"), Axis::log("sharpness (%)"), by_seed),
                Panel::plot(
                    "",
                    Axis::log(format!("sharpness (%), ε = {first:e}")),
                    Axis::linear("test error (%)"),
                    by_error,
                ),
            ],
        });
    }
    if settings.directions > 0 {
        let mut series = Vec::new();
        for (color, batch_size) in batches() {
            for losses in of_batch(batch_size).flat_map(|around| &around.slices) {
                let points = steps_of_slices(losses.len()).into_iter().zip(losses.iter().copied()).collect();
                series.push(Series::new(format!("batch {batch_size}"), Color::Cycle(color), points));
            }
        }
        figures.push(Figure {
            name: "slices".into(),
            title: format!("Loss along random directions, {data}"),
            caption: format!(
                "Train loss over the first {images} training images along {} filter-normalised random directions \
                 (Li et al. 2018) through each solution. Lines are means over directions and seeds; bands reach from \
                 the lowest to the highest.",
                settings.directions,
            ),
            columns: 1,
            panels: vec![Panel::plot(
                "",
                Axis::linear("step, in lengths of the filters"),
                Axis::log("train loss (cross entropy)"),
                means_at_points(series),
            )],
        });
    }
    if settings.eigenvalues > 0 {
        let (mut ranked, mut densities) = (Vec::new(), Vec::new());
        for (color, batch_size) in batches() {
            let label = format!("batch {batch_size}");
            for around in of_batch(batch_size) {
                let points = (1..).map(f64::from).zip(around.eigenvalues.iter().copied()).collect();
                ranked.push(Series::new(label.clone(), Color::Cycle(color), points).mark(Mark::LinePoints));
            }
            if let Some(around) = of_batch(batch_size).find(|around| around.seed == settings.seed) {
                for (index, piece) in smooth_density(&around.density).into_iter().enumerate() {
                    let label = if index == 0 { label.as_str() } else { "" };
                    densities.push(Series::new(label, Color::Cycle(color), piece));
                }
            }
        }
        figures.push(Figure {
            name: "spectrum".into(),
            title: format!("Spectrum of the Hessian at both solutions, {data}"),
            caption: format!(
                "Left: the {} largest eigenvalues of the Hessian of the train loss over the first {images} training \
                 images, by Lanczos; the line marks the number of classes.{} Right: the density of all eigenvalues at \
                 the solutions of seed {}, by stochastic Lanczos quadrature, each node widened to a Gaussian of 1/200 \
                 of the range.",
                settings.eigenvalues,
                seeds::caption(settings.repeats),
                settings.seed,
            ),
            columns: 2,
            panels: vec![
                Panel::plot("", Axis::linear("rank"), Axis::log("eigenvalue"), means_at_points(ranked))
                    .rules(vec![(f64::from(CLASSES), format!("{CLASSES} classes"))]),
                Panel::plot("", Axis::linear("eigenvalue"), Axis::log("density"), densities),
            ],
        });
    }
    Ok(figures)
}

/// Densities below this are no more than tails of the widened nodes.
const LEAST_DENSITY: f64 = 1e-7;

/// The pieces of the curve that lie above [`LEAST_DENSITY`].
fn smooth_density(nodes: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
    let (Some(low), Some(high)) = (nodes.first(), nodes.last()) else { return Vec::new() };
    let width = ((high.0 - low.0) / 200.0).max(f64::MIN_POSITIVE);
    let density = Density { nodes: nodes.to_vec() };
    let grid = evenly_spaced([low.0 - 4.0 * width, high.0 + 4.0 * width], 1000);
    let values = density.smoothed(&grid, width).unwrap_or_default();
    // A spike reaches down to there on both sides; between spikes there is nothing to see.
    let near = |i: usize| values[i.saturating_sub(1)..values.len().min(i + 2)].iter().any(|y| *y > LEAST_DENSITY);
    let places: Vec<usize> = (0..values.len()).collect();
    let pieces = places.chunk_by(|&a, &b| near(a) == near(b)).filter(|piece| near(piece[0]));
    pieces.map(|piece| piece.iter().map(|&i| (grid[i], values[i].max(LEAST_DENSITY))).collect()).collect()
}

fn curve_figure(settings: &Interpolate, done: &[DoneTrial], data: &str) -> Result<Figure> {
    let mut panels = Vec::new();
    for (quantity, y) in [("loss", Axis::log("loss (cross entropy)")), ("accuracy", Axis::linear("accuracy"))] {
        let mut curves = Vec::new();
        for trial in done {
            let Trial::Training(training) = &trial.trial else { continue };
            let color = usize::from(training.fit.batch_size != settings.batch_sizes[0]);
            for set in ["train", "test"] {
                let label = format!("batch {}, {set}", training.fit.batch_size);
                curves.push(Curve {
                    label: if training.seed == settings.seed { label } else { String::new() },
                    color,
                    dashed: set == "test",
                    values: trial.record.series(&format!("{set}_{quantity}"))?,
                });
            }
        }
        panels.push(panel(y, &curves));
    }
    Ok(Figure {
        name: "curves".into(),
        title: format!("ClassifierTraining with small and large batches, {data}"),
        caption: format!(
            "Loss and accuracy on the training images (means while training) and test images of {data} after each \
             epoch, for both batch sizes.{}",
            seeds::caption(settings.repeats)
        ),
        columns: 2,
        panels,
    })
}

/// Loss on the left axis, accuracy on the right one, against α.
fn line_figure(settings: &Interpolate, lines: &[Line], data: &str) -> Figure {
    let curves = |quantity: &str, color: usize| {
        let mut all = Vec::new();
        for line in lines {
            for (set, mark) in [("train", Mark::Line), ("test", Mark::Dashed)] {
                let label = if line.seed == settings.seed { format!("{set} {quantity}") } else { String::new() };
                let values = line.get(&format!("{set}_{quantity}"));
                let points = line.alphas().iter().copied().zip(values.iter().copied()).collect();
                all.push(Series::new(label, Color::Cycle(color), points).mark(mark));
            }
        }
        all
    };
    let losses = curves("loss", 0);
    let finite: Vec<f64> = (losses.iter().flat_map(|series| &series.points))
        .filter_map(|&(_, loss)| (loss.is_finite() && loss > 0.0).then_some(loss))
        .collect();
    let lowest = finite.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = finite.iter().copied().fold(0.0, f64::max);
    let label = "loss (cross entropy)";
    // Far outside the segment the loss grows by powers of ten.
    let y = if highest > 20.0 * lowest { Axis::log(label) } else { Axis::linear(label) };
    let [first, second] = settings.batch_sizes;
    Figure {
        name: "interpolation".into(),
        title: format!("From batch {first} (α = 0) to batch {second} (α = 1), {data}"),
        caption: format!(
            "Loss (left axis) and accuracy (right axis) of θ(α) = (1-α)θ₁ + αθ₂ over all training images (solid) and \
             test images (dashed) of {data}; θ₁ is the solution with batch size {first}, θ₂ the one with {second}, \
             both marked.{}",
            seeds::caption(settings.repeats)
        ),
        columns: 1,
        panels: vec![
            Panel::plot("", Axis::linear("α"), y, means_at_points(losses))
                .right(Axis::linear("accuracy"), means_at_points(curves("accuracy", 1)))
                .rules(vec![(0.0, format!("batch {first}")), (1.0, format!("batch {second}"))]),
        ],
    }
}

// ------------------------------------------------------------------------------------ claims

/// From here on a network of digits counts as trained well.
const GOOD: f64 = 0.95;
/// The report's.
const EPOCHS: u64 = 15;

/// A test accuracy of at least [`GOOD`] with either batch size.
fn trains_well(settings: &Interpolate, done: &[DoneTrial]) -> Result<Claim> {
    let mut accuracies = Vec::new();
    for batch_size in settings.batch_sizes {
        let mut of_size = Vec::new();
        for trial in done {
            if matches!(&trial.trial, Trial::Training(training) if training.fit.batch_size == batch_size) {
                of_size.push(trial.record.after_training("final_test_accuracy")?);
            }
        }
        accuracies.push(Quantity::new(format!("test accuracy with batch {batch_size}"), of_size).range([0.0, 1.0]));
    }
    let claim = Claim::interval(
        "interpolate-both-train-well",
        &format!("Both batch sizes train well: to a test accuracy of at least {GOOD}."),
        SEEDS,
        &accuracies,
        Claimed::AtLeast(GOOD),
        "final test accuracy with each batch size",
    );
    Ok(claim.unless_too_short(settings.epochs < EPOCHS, EPOCHS))
}

/// Fewer α than this show no curve.
const FEWEST_ALPHAS: usize = 10;
/// From here on two losses rank the α alike.
const RANKED_ALIKE: f64 = 0.9;
/// Accuracies further apart do not move together. Far outside the segment both lie at chance, where ranks would
/// be noise.
const CLOSE: f64 = 0.05;

fn moves_together(lines: &[Line]) -> Claim {
    let (mut held, mut correlations, mut gaps) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        let pairs = |quantity: &str| {
            let (train, test) = (line.get(&format!("train_{quantity}")), line.get(&format!("test_{quantity}")));
            train.iter().copied().zip(test.iter().copied()).collect::<Vec<_>>()
        };
        let correlation = spearman(&pairs("loss")).unwrap_or(f64::NAN);
        let apart: Vec<f64> = pairs("accuracy").iter().map(|(train, test)| (train - test).abs()).collect();
        let gap = highest(&apart).unwrap_or(f64::NAN);
        held.push(together_along(line.alphas().len(), correlation, gap).filter(|_| line.whole));
        correlations.push(correlation);
        gaps.push(gap);
    }
    let claim = Claim::counted(
        "interpolate-move-together",
        &format!(
            "Train and test curves move together along α: their losses correlate at {RANKED_ALIKE} or above, and their \
             accuracies are nowhere more than {CLOSE} apart."
        ),
        SEEDS,
        &held,
        &format!(
            "Spearman's correlation of train and test loss over at least {FEWEST_ALPHAS} α at least {RANKED_ALIKE}, and \
             the widest gap of the accuracies at most {CLOSE}"
        ),
    );
    let note = match (lowest(&correlations), highest(&gaps)) {
        (Some(correlation), Some(gap)) if correlation.is_finite() && gap.is_finite() => {
            format!(
                "Lowest correlation of the losses {}, widest gap of the accuracies {}.",
                cell(correlation),
                cell(gap)
            )
        }
        (Some(_), Some(_)) => "Some losses are not finite.".to_owned(),
        _ => String::new(),
    };
    claim.noting(&note).and("loss_spearman", correlations).and("widest_accuracy_gap", gaps)
}

/// `None` where it cannot be told: too few α, or a number that is none.
fn together_along(alphas: usize, correlation: f64, gap: f64) -> Option<bool> {
    let known = alphas >= FEWEST_ALPHAS && correlation.is_finite() && gap.is_finite();
    known.then_some(correlation >= RANKED_ALIKE && gap <= CLOSE)
}

/// Frankle et al. 2020, section 2: an error barrier of less than 2 % is none.
const ERROR_BARRIER: f64 = 0.02;

/// Whether the error rises on the way from one solution to the other by what Frankle et al. call a barrier.
fn barrier_between(lines: &[Line]) -> Claim {
    let of_error = |line: &Line| {
        let errors: Vec<f64> = line.get("train_accuracy").iter().map(|accuracy| 1.0 - accuracy).collect();
        error_barrier(line.alphas(), &errors).filter(|_| line.whole).unwrap_or(f64::NAN)
    };
    let of_errors: Vec<f64> = lines.iter().map(of_error).collect();
    let of_losses: Vec<f64> = lines.iter().map(|line| line.barrier("train")).collect();
    let quantity = Quantity::new("barrier of the train error", of_errors).range([-1.0, 1.0]);
    let note = match of_losses.len() {
        0 => String::new(),
        n => format!("Mean barrier of the train loss: {}.", cell(of_losses.iter().sum::<f64>() / n as f64)),
    };
    Claim::interval(
        "interpolate-barrier",
        &format!(
            "A barrier lies on the line between the two solutions: the train error rises by at least {ERROR_BARRIER} \
             (Frankle et al. 2020)."
        ),
        SEEDS,
        &[quantity],
        Claimed::AtLeast(ERROR_BARRIER),
        "the highest train error on the segment minus the mean of the errors at its ends, in share of the images",
    )
    .noting(&note)
    .and("train_loss_barriers", of_losses)
    .differing_from(
        "Frankle et al. 2020 took two trainings that differ in the noise of SGD alone, at one batch size, and judged LeNet \
         on MNIST and ResNets on larger images, mostly by the test error; here the batch size differs too, and the train \
         error is judged",
    )
}

/// Digits.
const CLASSES: u8 = 10;
/// As many as there are classes, in shares of their number.
const ABOUT: [f64; 2] = [0.8, 1.2];
/// What Keskar et al. 2017 did otherwise.
const KESKAR: &str = "Keskar et al. 2017 trained six networks (F1, fully connected, on MNIST) until the loss stagnated, by \
                      Adam, batches of 256 against a tenth of the data, and sought sharpness by L-BFGS-B in ten steps over \
                      all training data, also in random subspaces; here one smaller network for fixed epochs, by projected \
                      sign ascent over a subset";

fn around_claims(settings: &Interpolate, around: &[Around]) -> Vec<Claim> {
    let names = settings.batch_sizes.map(|batch_size| format!("batch {batch_size}"));
    let compared = |of: &dyn Fn(&Around) -> f64| {
        let values = settings.batch_sizes.map(|batch_size| {
            let solutions = around.iter().filter(|around| around.batch_size == batch_size);
            solutions.map(|around| (around.seed, of(around))).collect::<Vec<_>>()
        });
        vec![PairedComparison::of_numbers((&names[0], &values[0]), (&names[1], &values[1]))]
    };
    let mut claims = Vec::new();
    if let Some(epsilon) = settings.epsilons.first() {
        claims.push(
            Claim::compared(
                "interpolate-small-batch-flatter",
                "Small batches end in flatter minima than large ones.",
                SEEDS,
                &compared(&|around| around.sharpness(0)),
                &format!(
                    "the sharpness in the box of ε = {epsilon:e} is lower for the smaller batch (Keskar et al. 2017)"
                ),
            )
            .differing_from(KESKAR),
        );
        claims.push(no_clean_link(around));
    }
    if settings.directions > 0 {
        claims.push(
            Claim::compared(
                "interpolate-slices-flatter",
                "Along filter-normalised random directions the small-batch minimum is the flatter one.",
                SEEDS,
                &compared(&Around::rise),
                "the mean rise of the train loss, a fifth of the filters' lengths away along random directions, is lower \
                 for the smaller batch (Li et al. 2018)",
            )
            .differing_from(
                "Li et al. 2018 compared VGG-9 on CIFAR-10 at batch sizes 128 and 8192, by SGD, by eye; here a fully \
                 connected network on digits, by Adam, by a number",
            ),
        );
    }
    if settings.eigenvalues > 0 {
        let mut counts = Vec::new();
        for seed in settings.seed..settings.seed + settings.repeats {
            let of_seed: Vec<f64> = around
                .iter()
                .filter(|around| around.seed == seed)
                .map(|around| around.outliers().map_or(f64::NAN, |count| count as f64))
                .collect();
            if !of_seed.is_empty() {
                counts.push(of_seed.iter().sum::<f64>() / of_seed.len() as f64);
            }
        }
        let all: Vec<String> = around
            .iter()
            .map(|around| around.outliers().map_or("unknown".to_owned(), |count| count.to_string()))
            .collect();
        let bounds = ABOUT.map(|share| share * f64::from(CLASSES));
        claims.push(
            Claim::interval(
                "interpolate-outliers-classes",
                &format!(
                    "The Hessian has about as many outliers as there are classes: {} to {}.",
                    bounds[0], bounds[1]
                ),
                SEEDS,
                &[Quantity::new("outliers, mean of a seed's solutions", counts)],
                Claimed::Within(bounds),
                "eigenvalues above the widest gap, as a ratio of neighbours, among the largest ones",
            )
            .noting(&if all.is_empty() { String::new() } else { format!("Of each solution: {}.", all.join(", ")) })
            .differing_from(
                "Sagun et al. 2018 and Ghorbani et al. 2019 counted outliers by eye, on whole training sets and small or \
                 large networks; here by the widest gap of neighbours over a subset of the images",
            ),
        );
    }
    claims
}

/// Sharpness and test error of all solutions. Those of a seed start from the same weights: the seeds count.
fn no_clean_link(around: &[Around]) -> Claim {
    let pairs: Vec<(f64, f64)> = around.iter().map(|a| (a.sharpness(0), 1.0 - a.test_accuracy)).collect();
    let seeds: std::collections::BTreeSet<u64> = around.iter().map(|around| around.seed).collect();
    Claim::correlated(
        "interpolate-sharpness-generalization",
        &format!(
            "No clean link leads from sharpness to generalization: over solutions, sharpness and test error have a rank \
             correlation within ±{HARDLY}."
        ),
        (SEEDS, seeds.len()),
        "sharpness and test error over solutions",
        &pairs,
        Claimed::Within([-HARDLY, HARDLY]),
    )
    .and("train_accuracy", around.iter().map(|a| a.train_accuracy).collect::<Vec<_>>())
    .differing_from(
        "Dinh et al. 2017 argue by reparametrisation, Andriushchenko et al. 2023 over many networks and measures; here \
         pairs of solutions of one small network",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_move_together_or_do_not_or_it_cannot_be_told() {
        for (alphas, correlation, gap, held) in [
            (10, 0.9, 0.05, Some(true)),
            (10, 0.899, 0.05, Some(false)),
            (10, 0.9, 0.051, Some(false)),
            (10, -1.0, 0.0, Some(false)),
            (9, 1.0, 0.0, None),
            (10, f64::NAN, 0.0, None),
            (10, 1.0, f64::NAN, None),
        ] {
            assert_eq!(together_along(alphas, correlation, gap), held, "{alphas} {correlation} {gap}");
        }
    }
}
