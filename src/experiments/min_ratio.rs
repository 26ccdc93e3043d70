//! `hw1 min-ratio`, task 2-3 of the report: many trainings, and at the end of each the exact Hessian
//! of the loss, its eigenvalues and the minimal ratio, the share of them that are positive; or, for
//! networks of any size, what Hessian-vector products tell of it. Preset `canonical` goes on from each
//! training's end to where the gradient vanishes, and certifies that.

use crate::analysis::curvature::{self, LossHessian, Wanted};
use crate::analysis::hessian::{self, Spectrum};
use crate::analysis::newton::{self, TwiceDifferentiable, flatness};
use crate::analysis::statistics::{quantile, spearman, trend};
use crate::data::functions::Target;
use crate::model::Mlp;
use crate::objective::{MeanSquaredError, Objective as _, norm};
use crate::plot::{Axis, Color, Figure, Mark, Panel, Series};
use crate::rng::{Purpose, Rng};
use crate::study::claim::{Claim, Claimed, HARDLY, Quantity, SEEDS, TRAININGS};
use crate::study::{
    Cell, Context, Done, Experiment, Findings, Fingerprint, Flag, Measurements, Records, Size, TRAININGS_FLAG,
    Trial as TrialTrait, cell, check, flag,
};
use crate::tasks::function::{self, Points, Problem};
use crate::train::{Convergence, Ending, OptimizerName, train};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use tch::{Device, Kind, Tensor};

// ---------------------------------------------------------------------------------- settings

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinRatio {
    function: Target,
    /// Lowest and highest x.
    domain: [f64; 2],
    train_size: usize,
    validation_size: usize,
    model: Mlp,
    trainings: u64,
    /// Each training starts where the one before ended.
    warm: bool,
    /// Of the gradient's norm; below it a training ends.
    threshold: f64,
    epochs: u64,
    optimizer: OptimizerName,
    learning_rate: f64,
    /// An eigenvalue within this share of the largest magnitude is zero.
    tolerance: f64,
    /// Steps of damped Newton after each training, at most; 0 for none.
    newton_steps: u64,
    /// ‖∇L‖ at which these are done.
    newton_threshold: f64,
    curvature: Curvature,
    /// What `curvature = "lanczos"` asks for: so many eigenvalues from either end of the spectrum,
    lanczos_eigenvalues: u64,
    /// in so many products,
    lanczos_steps: u64,
    /// and so many probes of the trace and of the density.
    probes: u64,
    seed: u64,
    repeats: u64,
}

/// How the Hessian is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Curvature {
    /// As a whole, with all its eigenvalues.
    Exact,
    /// By products with it: extreme eigenvalues, trace, density.
    Lanczos,
}

/// A Hessian of more would be 800 MB, and its eigenvalues a quarter of an hour.
const MOST_PARAMETERS: i64 = 10_000;
/// Of a Newton step's Cholesky: a second a step.
const MOST_NEWTON_PARAMETERS: i64 = 3_000;
const MOST_STEPS: u64 = 100_000;
const MOST_PROBES: u64 = 10_000;
const MOST_TRAININGS: u64 = 10_000;
/// Each is named by the record of the one before.
const MOST_WARM_TRAININGS: u64 = 1000;
/// Float64 numbers for each unit and point: its output, its mask, and what the graph of the gradient keeps.
const NUMBERS_A_UNIT: u128 = 4;

fn check_settings(settings: &MinRatio) -> Result<(), String> {
    function::check_model(&settings.model)?;
    let parameters = settings.model.layout().parameters();
    if parameters > MOST_PARAMETERS && settings.curvature == Curvature::Exact {
        return Err(format!(
            "model '{}' has {parameters} parameters; a whole Hessian is for at most {MOST_PARAMETERS}: use --curvature \
             lanczos",
            settings.model
        ));
    }
    if parameters > MOST_NEWTON_PARAMETERS && settings.newton_steps > 0 {
        return Err(format!(
            "model '{}' has {parameters} parameters; Newton's method is for at most {MOST_NEWTON_PARAMETERS}: use --set \
             newton_steps=0",
            settings.model
        ));
    }
    if settings.newton_steps > MOST_STEPS {
        return Err(format!("newton_steps is {}; it must be from 0 to {MOST_STEPS}", settings.newton_steps));
    }
    if !(settings.newton_threshold > 0.0 && settings.newton_threshold.is_finite()) {
        return Err(format!("newton_threshold is {}; it must be above 0", settings.newton_threshold));
    }
    for (name, value, most) in [
        ("lanczos_eigenvalues", settings.lanczos_eigenvalues, 1000),
        ("lanczos_steps", settings.lanczos_steps, MOST_STEPS),
        ("probes", settings.probes, MOST_PROBES),
    ] {
        if !(1..=most).contains(&value) {
            return Err(format!("{name} is {value}; it must be from 1 to {most}"));
        }
    }
    check::training(settings.epochs, settings.learning_rate)?;
    check::trainings(settings.trainings, if settings.warm { MOST_WARM_TRAININGS } else { MOST_TRAININGS })?;
    check::seeds_of_groups(settings.seed, settings.repeats, settings.trainings)?;
    if !(settings.threshold >= 0.0 && settings.threshold.is_finite()) {
        return Err(format!("threshold is {}; it must be 0 (never stop) or above", settings.threshold));
    }
    if !(0.0..1.0).contains(&settings.tolerance) {
        return Err(format!("tolerance is {}; it must be at least 0 and below 1", settings.tolerance));
    }
    settings.problem().check()?;
    check_memory(settings)
}

/// That what is held at a time fits into memory.
fn check_memory(settings: &MinRatio) -> Result<(), String> {
    let parameters = settings.model.layout().parameters().unsigned_abs() as u128;
    let widths = settings.model.widths().iter().sum::<i64>().unsigned_abs() as u128;
    let what = format!("the Hessian of model '{}' over {} points", settings.model, settings.train_size);
    let activations = 8 * NUMBERS_A_UNIT * widths * settings.train_size as u128;
    check::memory(&what, activations, "lower train_size, or take a narrower model")?;
    if settings.curvature == Curvature::Lanczos {
        let (steps, eigenvalues) = (settings.lanczos_steps as usize, 2 * settings.lanczos_eigenvalues as usize);
        let what = format!("{steps} lanczos_steps and {eigenvalues} eigenvectors of model '{}'", settings.model);
        let bytes = curvature::memory(parameters, steps.max(DENSITY_STEPS), eigenvalues);
        check::memory(&what, bytes, "lower lanczos_steps or lanczos_eigenvalues")?;
    }
    Ok(())
}

// ------------------------------------------------------------------------------------- trial

/// One training, and the Hessian at its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trial {
    #[serde(flatten)]
    problem: Problem,
    model: Mlp,
    threshold: f64,
    epochs: u64,
    optimizer: OptimizerName,
    learning_rate: f64,
    tolerance: f64,
    seed: u64,
    /// The training whose final weights this one starts from; else from initial weights.
    start: Option<Fingerprint>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    newton: Option<Newton>,
    /// Else the whole Hessian.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    lanczos: Option<Lanczos>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Newton {
    steps: u64,
    threshold: f64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Lanczos {
    eigenvalues: u64,
    steps: u64,
    probes: u64,
}

impl TrialTrait for Trial {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn cost(&self) -> f64 {
        // A step of Newton costs a Hessian and its Cholesky.
        let newton = self.newton.map_or(0.0, |newton| newton.steps as f64 * self.model.layout().parameters() as f64);
        function::cost(&self.model, &self.problem, self.epochs) * (1.0 + newton / self.epochs as f64 / 50.0)
    }
}

// ----------------------------------------------------------------------------- record and run

crate::settings_as_before!(MinRatio);

impl Experiment for MinRatio {
    const NAME: &'static str = "min-ratio";
    const ABOUT: &'static str = "The Hessian's eigenvalues where trainings end (task 2-3)";
    const SETTINGS: &'static str = include_str!("../../experiments/min-ratio.toml");
    const VERSION: u32 = 3;
    const FLAGS: &'static [Flag] = &[
        crate::study::FUNCTION_FLAG,
        crate::study::DOMAIN_FLAG,
        crate::study::WIDTHS_FLAG,
        TRAININGS_FLAG,
        Flag {
            name: "warm",
            value_name: "",
            setting: "warm",
            repeatable: false,
            parse: Flag::switch,
            help: "One training that goes on and on, as the report's notebook has it",
        },
        Flag {
            name: "curvature",
            value_name: "HOW",
            setting: "curvature",
            repeatable: false,
            parse: Flag::text,
            help: "exact: the whole Hessian; lanczos: by Hessian-vector products, for networks of any size [default: exact]",
        },
    ];

    type Trial = Trial;
    /// Series `train_loss` and `gradient_norm`, each taken before the epoch's step, and `eigenvalues`
    /// of the Hessian at the final weights, ascending; with Newton `newton_loss` and `newton_gradient_norm`
    /// before each of its steps and at its end; with Lanczos, instead of `eigenvalues`, `top_eigenvalues`
    /// descending, `bottom_eigenvalues` ascending, their residuals, and the spectral density's nodes
    /// and weights.
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        check_settings(self)
    }

    fn size(&self) -> Size {
        Size::of_seeds(self.repeats, self.trainings.into(), "lower --repeats or trainings")
    }

    fn label(&self, trial: &Trial) -> String {
        let first = self.seed + (trial.seed - self.seed) / self.trainings * self.trainings;
        format!("training-{}", trial.seed - first + 1)
    }

    fn trials(&self, done: &Records<Self>) -> Result<Vec<Trial>> {
        // A start is known by its fingerprint, which comes with its record.
        let finished: BTreeMap<u64, &Fingerprint> =
            done.0.iter().map(|done| (done.trial.seed, &done.fingerprint)).collect();
        let mut trials = Vec::new();
        for group in 0..self.repeats {
            let mut start = None;
            for training in 0..self.trainings {
                let trial = self.trial(self.seed + group * self.trainings + training, start);
                start = finished.get(&trial.seed).filter(|_| self.warm).map(|fingerprint| (*fingerprint).clone());
                trials.push(trial);
                if self.warm && start.is_none() {
                    break;
                }
            }
        }
        Ok(trials)
    }

    fn run_trial(trial: &Trial, cx: &mut Context) -> Result<Measurements> {
        let layout = trial.model.layout();
        let theta = match &trial.start {
            Some(before) => cx.saved_weights(before, "final", &layout)?.f_to_kind(Kind::Float)?,
            None => layout.initial(trial.seed, &function::key(&trial.model), Kind::Float, cx.device),
        };
        cx.save_weights("initial", &layout, &theta)?;

        let points = trial.problem.train(Kind::Float, cx.device)?;
        let mut objective = MeanSquaredError::new(&trial.model, theta, &points.x, &points.y);
        let mut optimizer = trial.optimizer.with_learning_rate(trial.learning_rate);
        let mut training = train(&mut objective, &mut optimizer, trial.epochs, Convergence::NEVER, cx, |now| {
            let norm = norm(now.gradient)?;
            now.measure("gradient_norm", norm);
            Ok(if norm < trial.threshold { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        let adam_theta = objective.theta();
        if trial.newton.is_none() {
            cx.save_weights("final", &layout, adam_theta)?;
        }
        let mut measured = Measurements::new(
            layout.parameters(),
            [
                ("epochs_run", training.train_loss.len() as f64),
                ("met_threshold", flag(training.ending == Ending::Observer)),
                ("diverged", flag(training.ending == Ending::Diverged)),
            ],
            [("gradient_norm", training.take("gradient_norm")), ("train_loss", training.train_loss)],
        );
        let mut theta = adam_theta.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?;
        let points = trial.problem.train(Kind::Double, Device::Cpu)?;
        if let Some(newton) = &trial.newton {
            cx.save_weights("trained", &layout, adam_theta)?;
            (theta, measured) = descend(trial, newton, &theta, &points, measured, cx)?;
            cx.save_weights("final", &layout, &theta)?;
        }
        at_the_end(trial, &theta, &points, measured, cx)
    }

    fn findings(&self, done: &Records<Self>) -> Result<Findings> {
        report(self, &done.0)
    }
}

/// The mean squared error over points, with both its derivatives.
struct Loss<'a> {
    model: &'a Mlp,
    points: &'a Points,
    objective: MeanSquaredError,
}

impl<'a> Loss<'a> {
    fn new(model: &'a Mlp, theta: &Tensor, points: &'a Points) -> Self {
        Self { model, points, objective: MeanSquaredError::new(model, theta.copy(), &points.x, &points.y) }
    }
}

impl TwiceDifferentiable for Loss<'_> {
    fn loss_and_gradient(&mut self, theta: &Tensor) -> Result<(f64, Tensor)> {
        self.objective.theta().shallow_clone().f_copy_(theta)?;
        Ok((self.objective.loss_and_gradient(), self.objective.gradient().copy()))
    }

    fn hessian(&mut self, theta: &Tensor) -> Result<Tensor> {
        hessian::of_mean_squared_error(self.model, theta, &self.points.x, &self.points.y)
    }
}

/// From where Adam stopped to where the gradient vanishes, or as near as it gets.
fn descend(
    trial: &Trial,
    newton: &Newton,
    theta: &Tensor,
    points: &Points,
    measured: Measurements,
    cx: &Context,
) -> Result<(Tensor, Measurements)> {
    let mut loss = Loss::new(&trial.model, theta, points);
    let path = newton::minimise(theta, newton.threshold, newton.steps as usize, &mut loss, |done, loss| {
        cx.step_done(trial.epochs + done as u64, trial.epochs + newton.steps, loss)
    })?;
    let mut measured = measured.and([
        ("reached", flag(path.ending == newton::Ending::Reached)),
        ("newton_stalled", flag(path.ending == newton::Ending::Stalled)),
        ("newton_steps", path.steps() as f64),
        ("trained_train_loss", path.loss.first().copied().unwrap_or(f64::NAN)),
        ("trained_gradient_norm", path.gradient_norm.first().copied().unwrap_or(f64::NAN)),
    ]);
    measured
        .series
        .extend([("newton_loss".to_owned(), path.loss), ("newton_gradient_norm".to_owned(), path.gradient_norm)]);
    Ok((path.theta, measured))
}

/// Adds loss, gradient and Hessian at θ, all in float64.
fn at_the_end(
    trial: &Trial,
    theta: &Tensor,
    points: &Points,
    measured: Measurements,
    cx: &Context,
) -> Result<Measurements> {
    let between = trial.problem.validation(Kind::Double, Device::Cpu)?;
    let mut function = Loss::new(&trial.model, theta, points);
    let (loss, gradient) = function.loss_and_gradient(theta)?;
    let measured = measured.and([
        ("final_train_loss", loss),
        ("final_validation_loss", function::evaluate(&trial.model, theta, &between)?.loss),
        ("final_gradient_norm", norm(&gradient)?),
    ]);
    match &trial.lanczos {
        Some(lanczos) => by_products(trial, lanczos, theta, points, &gradient, measured, cx),
        None => by_whole_hessian(trial, &function.hessian(theta)?, &gradient, measured),
    }
}

fn by_whole_hessian(
    trial: &Trial,
    hessian: &Tensor,
    gradient: &Tensor,
    mut measured: Measurements,
) -> Result<Measurements> {
    // Where a training diverged, its weights may have no Hessian.
    let Ok(spectrum) = Spectrum::of(hessian) else {
        measured.series.insert("eigenvalues".into(), Vec::new());
        return Ok(measured);
    };
    let parameters = spectrum.eigenvalues.len() as f64;
    let tolerance = match trial.newton {
        None => trial.tolerance,
        Some(_) => resolution(trial.tolerance, &spectrum, norm(gradient)?),
    };
    let signs = spectrum.signs(tolerance);
    let positive_entries = hessian.f_gt(0.0)?.f_sum(Kind::Int64)?.f_int64_value(&[])? as f64;
    let (smallest, largest) = (
        spectrum.eigenvalues.first().copied().unwrap_or(f64::NAN),
        spectrum.eigenvalues.last().copied().unwrap_or(f64::NAN),
    );
    let mut measured = measured.and([
        ("minimal_ratio", signs.positive as f64 / parameters),
        ("entry_ratio", positive_entries / (parameters * parameters)),
        ("positive_eigenvalues", signs.positive as f64),
        ("zero_eigenvalues", signs.zero as f64),
        ("negative_eigenvalues", signs.negative as f64),
        ("smallest_eigenvalue", smallest),
        ("largest_eigenvalue", largest),
    ]);
    if trial.newton.is_some() {
        let flatness = flatness(&hessian.f_mv(gradient)?, gradient, largest.abs().max(smallest.abs()))?;
        measured = measured.and([(FLATNESS, flatness), ("zero_share", tolerance)]);
    }
    measured.series.insert("eigenvalues".into(), spectrum.eigenvalues);
    Ok(measured)
}

/// The share of the largest |eigenvalue| within which an eigenvalue counts as zero near a critical point.
///
/// ReLU networks compute the same when a unit's input weights grow as its output weights shrink. With the
/// change Dθ of θ along that, ∇²L·Dθ = -D∇L: where the gradient has not vanished, such directions and their
/// kin show eigenvalues of about ±‖∇L‖ in pairs, which vanish with it. They are no curvature of the point.
fn resolution(tolerance: f64, spectrum: &Spectrum, gradient_norm: f64) -> f64 {
    let largest = spectrum.eigenvalues.iter().fold(0f64, |largest, value| largest.max(value.abs()));
    if largest > 0.0 { tolerance.max(2.0 * gradient_norm / largest) } else { tolerance }
}

/// ‖H∇L‖ / (‖H‖‖∇L‖).
const FLATNESS: &str = "gradient_flatness";
/// Of Lanczos's residuals, as a share of the largest |eigenvalue|: well below the smallest eigenvalues, else values
/// further in pass for them.
const RESIDUAL: f64 = 1e-10;
/// Steps of Lanczos a probe of the density.
const DENSITY_STEPS: usize = 60;

/// What products with the Hessian tell of it.
fn by_products(
    trial: &Trial,
    lanczos: &Lanczos,
    theta: &Tensor,
    points: &Points,
    gradient: &Tensor,
    mut measured: Measurements,
    cx: &Context,
) -> Result<Measurements> {
    let n = theta.size()[0];
    let hessian = LossHessian::new(theta, |theta| {
        (trial.model.forward(theta, &points.x) - &points.y).square().sum(Kind::Double) / points.x.size()[1] as f64
    })?;
    let apply = |v: &Tensor| {
        cx.check_stop()?;
        hessian.times(v)
    };
    let rng = |epoch| Rng::keyed(trial.seed, &function::key(&trial.model), Purpose::CurvatureProbe, epoch);
    let eigenvalues = lanczos.eigenvalues as usize;
    let wanted =
        Wanted { top: eigenvalues, bottom: eigenvalues, tolerance: RESIDUAL, steps: lanczos.steps as usize, sweeps: 1 };
    // Where a training diverged, its weights may have no Hessian.
    if hessian.times(gradient)?.f_isfinite()?.f_all()?.f_int64_value(&[])? != 1 {
        for name in LANCZOS_SERIES {
            measured.series.insert(name.into(), Vec::new());
        }
        return Ok(measured);
    }
    let extremes = curvature::lanczos(n, wanted, &mut rng(0), apply)?;
    let trace = curvature::hutchinson(n, lanczos.probes as usize, &mut rng(1), apply)?;
    let density =
        curvature::spectral_density(n, lanczos.probes as usize, DENSITY_STEPS.min(n as usize), &mut rng(2), apply)?;
    let (smallest, largest) = (
        extremes.bottom.first().map_or(f64::NAN, |ritz| ritz.value),
        extremes.top.first().map_or(f64::NAN, |ritz| ritz.value),
    );
    let flatness = flatness(&hessian.times(gradient)?, gradient, largest.abs().max(smallest.abs()))?;
    let mut measured = measured.and([
        ("smallest_eigenvalue", smallest),
        ("largest_eigenvalue", largest),
        ("lanczos_steps", extremes.steps as f64),
        ("lanczos_converged", flag(extremes.converged)),
        ("trace", trace.value),
        ("trace_standard_error", trace.standard_error),
        (FLATNESS, flatness),
    ]);
    let (values, weights) = density.nodes.into_iter().unzip();
    let of = |found: &[curvature::Ritz]| -> (Vec<f64>, Vec<f64>) {
        found.iter().map(|ritz| (ritz.value, ritz.residual)).unzip()
    };
    let ((top, top_residuals), (bottom, bottom_residuals)) = (of(&extremes.top), of(&extremes.bottom));
    let series = [top, top_residuals, bottom, bottom_residuals, values, weights];
    measured.series.extend(LANCZOS_SERIES.map(str::to_owned).into_iter().zip(series));
    Ok(measured)
}

const LANCZOS_SERIES: [&str; 6] = [
    "top_eigenvalues",
    "top_residuals",
    "bottom_eigenvalues",
    "bottom_residuals",
    "density_eigenvalues",
    "density_weights",
];

impl MinRatio {
    fn problem(&self) -> Problem {
        Problem {
            function: self.function.clone(),
            domain: self.domain,
            train_size: self.train_size,
            validation_size: self.validation_size,
        }
    }

    fn trial(&self, seed: u64, start: Option<Fingerprint>) -> Trial {
        Trial {
            problem: self.problem(),
            model: self.model.clone(),
            threshold: self.threshold,
            epochs: self.epochs,
            optimizer: self.optimizer,
            learning_rate: self.learning_rate,
            tolerance: self.tolerance,
            seed,
            start,
            newton: (self.newton_steps > 0)
                .then_some(Newton { steps: self.newton_steps, threshold: self.newton_threshold }),
            lanczos: (self.curvature == Curvature::Lanczos).then_some(Lanczos {
                eigenvalues: self.lanczos_eigenvalues,
                steps: self.lanczos_steps,
                probes: self.probes,
            }),
        }
    }

    /// The scalar that says whether a training got where it was to get, and that gradient norm.
    fn goal(&self) -> (&'static str, f64) {
        match self.newton_steps {
            0 => ("met_threshold", self.threshold),
            _ => ("reached", self.newton_threshold),
        }
    }
}

// ------------------------------------------------------------------------------------ report

type DoneTrial = Done<MinRatio>;

/// A scalar in the table, and how it is called there.
const SCALARS: [(&str, &str); 18] = [
    ("final_train_loss", "train loss"),
    ("final_validation_loss", "validation loss"),
    ("final_gradient_norm", "gradient norm"),
    ("epochs_run", "epochs"),
    ("minimal_ratio", "minimal ratio (eigenvalues)"),
    ("entry_ratio", "ratio of positive entries"),
    ("positive_eigenvalues", "positive eigenvalues"),
    ("zero_eigenvalues", "zero eigenvalues"),
    ("negative_eigenvalues", "negative eigenvalues"),
    ("smallest_eigenvalue", "smallest eigenvalue"),
    ("largest_eigenvalue", "largest eigenvalue"),
    // Of Newton's method, or of Lanczos's: left out where there are none.
    ("newton_steps", "steps of Newton"),
    ("trained_train_loss", "train loss before Newton"),
    ("trained_gradient_norm", "gradient norm before Newton"),
    (FLATNESS, "‖H∇L‖ / ‖H‖‖∇L‖"),
    ("zero_share", "|λ| that counts as zero, by largest"),
    ("trace", "trace"),
    ("trace_standard_error", "standard error of the trace"),
];

/// Those that some training has, or that every study has had since before there were others.
fn scalars(done: &[DoneTrial]) -> Vec<(&'static str, &'static str)> {
    let has = |name: &str| done.iter().any(|trial| trial.record.scalars.contains_key(name));
    let is_optional =
        |at: usize| at >= 11 || (4..9).contains(&at) && done.iter().any(|trial| trial.trial.lanczos.is_some());
    SCALARS.iter().enumerate().filter(|(at, (name, _))| !is_optional(*at) || has(name)).map(|(_, pair)| *pair).collect()
}

/// The report's ratio counts entries of the Hessian; the field's counts eigenvalues.
const RATIOS: [(&str, &str); 2] =
    [("entry_ratio", "share of positive entries of ∇²L"), ("minimal_ratio", "share of positive eigenvalues of ∇²L")];

fn report(settings: &MinRatio, done: &[DoneTrial]) -> Result<Findings> {
    let mut report = Findings { claims: claims(settings, done), ..Findings::default() };
    let scalars = scalars(done);
    report.columns = ["at the end of training", "lowest", "median", "highest"].map(str::to_owned).to_vec();
    for &(name, label) in &scalars {
        let values = values(done, name);
        let at = |share| quantile(&values, share).map_or(Cell::Undefined, cell);
        report.rows.push(vec![label.into(), at(0.0), at(0.5), at(1.0)]);
    }
    let count = |is: &dyn Fn(&Measurements) -> bool| done.iter().filter(|trial| is(&trial.record)).count();
    let has = |name: &'static str| move |record: &Measurements| record.scalars.get(name) == Some(&1.0);
    let (met, diverged) = (count(&has("met_threshold")), count(&Measurements::diverged));
    let n = done.len();
    // Lanczos counts no eigenvalues, but knows the smallest.
    let saddles = count(&|record| match settings.curvature {
        _ if record.diverged() => false,
        Curvature::Exact => record.scalars.get("negative_eigenvalues").is_some_and(|count| *count > 0.0),
        Curvature::Lanczos => record.scalars.get("smallest_eigenvalue").is_some_and(|value| *value < 0.0),
    });
    report.notes.push(format!(
        "{met} of {n} trainings ended with a gradient norm below {}; {saddles} of {n} ended where the Hessian has \
         negative eigenvalues, which is no minimum.",
        settings.threshold
    ));
    if settings.newton_steps > 0 {
        let (reached, stalled) = (count(&has("reached")), count(&has("newton_stalled")));
        report.notes.push(format!(
            "Newton's method reached a gradient norm of {:e} from {reached} of {n}; the others, {stalled} of which \
             stalled, are kept and marked.",
            settings.newton_threshold
        ));
        report.summary.insert("reached".into(), reached.into());
        report.summary.insert("newton_stalled".into(), stalled.into());
    }
    if settings.curvature == Curvature::Lanczos {
        let converged = count(&has("lanczos_converged"));
        report.notes.push(format!(
            "By Hessian-vector products: the extreme eigenvalues of {converged} of {n} have residuals of at most \
             {RESIDUAL:e} of the largest."
        ));
    }
    let formula = settings.function.formula();
    report.figures = match settings.curvature {
        Curvature::Exact => vec![ratio_figure(settings, done, formula)?, spectrum_figure(settings, done, formula)?],
        Curvature::Lanczos => vec![lanczos_figure(settings, done, formula)?],
    };
    report.figures.push(curve_figure(done, formula)?);
    if settings.newton_steps > 0 {
        report.figures.push(newton_figure(settings, done, formula)?);
        report.figures.push(certificate_figure(settings, done, formula)?);
    }
    let mut quantiles = serde_json::Map::new();
    for &(name, _) in &scalars {
        let values = values(done, name);
        let [low, median, high] = [0.0, 0.5, 1.0].map(|share| quantile(&values, share));
        quantiles.insert(name.into(), json!({"lowest": low, "median": median, "highest": high}));
    }
    report.summary.insert("quantiles".into(), quantiles.into());
    report.summary.insert("trainings".into(), n.into());
    report.summary.insert("met_threshold".into(), met.into());
    report.summary.insert("diverged".into(), diverged.into());
    report.summary.insert("with_negative_eigenvalues".into(), saddles.into());
    for (name, _) in RATIOS {
        report.summary.insert(format!("spearman_of_{name}_and_loss"), json!(spearman(&pairs(done, name))));
    }
    report.summary.insert("function".into(), formula.into());
    Ok(report)
}

/// A scalar of all trainings that have it. One that diverged ended nowhere.
fn values(done: &[DoneTrial], name: &str) -> Vec<f64> {
    let whole = done.iter().filter(|trial| !trial.record.diverged());
    whole.filter_map(|trial| trial.record.scalars.get(name).copied()).collect()
}

/// A ratio and the loss, of all trainings that have both and did not diverge.
fn pairs(done: &[DoneTrial], ratio: &str) -> Vec<(f64, f64)> {
    let pair = |trial: &DoneTrial| {
        if trial.record.diverged() {
            return None;
        }
        let scalar = |name: &str| trial.record.scalars.get(name).copied().filter(|value| value.is_finite());
        Some((scalar(ratio)?, scalar("final_train_loss")?))
    };
    done.iter().filter_map(pair).collect()
}

fn ratio_figure(settings: &MinRatio, done: &[DoneTrial], formula: &str) -> Result<Figure> {
    let (goal, threshold) = settings.goal();
    let mut panels = Vec::new();
    for (name, label) in RATIOS {
        let mut series = Vec::new();
        for (met, mark, color) in [(1.0, Mark::Points, 0), (0.0, Mark::Crosses, 1)] {
            let (mut of_kind, mut trainings) = (Vec::new(), 0);
            for trial in done {
                if trial.record.scalar(goal)? == met {
                    of_kind.extend(pairs(std::slice::from_ref(trial), name));
                    trainings += 1;
                }
            }
            let left_out = trainings - of_kind.len();
            let sign = if met == 1.0 { "below" } else { "not below" };
            let label = format!("‖∇L‖ {sign} {threshold:e}");
            if trainings > 0 {
                series.push(Series::new(label, Color::Cycle(color), of_kind).mark(mark).left_out(left_out));
            }
        }
        panels.push(Panel::plot("", Axis::linear(label), Axis::log("loss (mean squared error)"), series));
    }
    Ok(Figure {
        name: "ratio".into(),
        title: format!("Loss against minimal ratio on {formula}"),
        caption: format!(
            "The loss at the end of each of {} trainings{} against the share of the Hessian's positive entries (left, \
             the report's ratio) and positive eigenvalues (right; above {:e} of the largest{}). Crosses: the gradient \
             norm did not get below {threshold:e}.",
            done.len(),
            if settings.newton_steps > 0 { " and of Newton's method after it" } else { "" },
            settings.tolerance,
            if settings.newton_steps > 0 { " and above 2‖∇L‖" } else { "" },
        ),
        columns: 2,
        panels,
    })
}

fn spectrum_figure(settings: &MinRatio, done: &[DoneTrial], formula: &str) -> Result<Figure> {
    let mut all = Vec::new();
    let mut of_one = Vec::new();
    for trial in done {
        let eigenvalues = trial.record.series("eigenvalues")?;
        if of_one.is_empty() {
            of_one = eigenvalues.to_vec();
        }
        all.extend_from_slice(eigenvalues);
    }
    let trainings = if done.len() == 1 { "the training".to_owned() } else { format!("all {} trainings", done.len()) };
    let mut panels = vec![histogram(&trainings, &all)];
    if done.len() > 1 {
        panels.push(histogram(&done[0].label, &of_one));
    }
    Ok(Figure {
        name: "eigenvalues".into(),
        title: format!("Eigenvalues of the Hessian on {formula}"),
        caption: format!(
            "Histogram of the eigenvalues of the exact Hessian at the end of {trainings}, on a symmetric logarithmic \
             axis; those within {:e} of the largest count as zero.",
            settings.tolerance
        ),
        columns: 2,
        panels,
    })
}

/// Eigenvalues within ±10^this of 0 share the middle of the axis.
const LINEAR: i32 = -14;

/// Counts of eigenvalues in bins of a quarter of a decade, and one for all about 0.
fn histogram(title: &str, eigenvalues: &[f64]) -> Panel {
    let counted: Vec<(f64, f64)> = eigenvalues.iter().map(|&value| (value, 1.0)).collect();
    weighted_histogram(title, LINEAR, &counted)
}

/// The same of eigenvalues that count for more or less than one.
fn weighted_histogram(title: &str, linear_power: i32, eigenvalues: &[(f64, f64)]) -> Panel {
    const BINS_A_DECADE: f64 = 4.0;
    let linear = 10f64.powi(linear_power);
    let mut counts = std::collections::BTreeMap::new();
    for &(value, weight) in eigenvalues {
        // Bins are numbered outwards from 0, the middle one.
        let bin = match value.abs() {
            small if small < linear => 0,
            large => ((large / linear).log10() * BINS_A_DECADE).floor() as i64 + 1,
        };
        *counts.entry(bin * if value < 0.0 { -1 } else { 1 }).or_insert(0.0) += weight;
    }
    let edge = |bin: i64| linear * 10f64.powf(bin as f64 / BINS_A_DECADE);
    let bins = counts.into_iter().map(|(bin, count)| {
        let (low, high) = match bin {
            0 => (-linear, linear),
            1.. => (edge(bin - 1), edge(bin)),
            _ => (-edge(-bin), -edge(-bin - 1)),
        };
        (low, high, count)
    });
    let series = Series::histogram("", Color::Cycle(0), bins);
    Panel::plot(title, Axis::symlog("eigenvalue of ∇²L", linear_power), Axis::log("eigenvalues"), vec![series])
}

/// What Hessian-vector products tell: extreme eigenvalues by rank, and the density of all.
fn lanczos_figure(settings: &MinRatio, done: &[DoneTrial], formula: &str) -> Result<Figure> {
    let (mut top, mut bottom, mut nodes) = (Vec::new(), Vec::new(), Vec::new());
    let ranked =
        |values: &[f64]| values.iter().enumerate().map(|(at, &value)| (at as f64 + 1.0, value)).collect::<Vec<_>>();
    for trial in done {
        let record = &trial.record;
        top.extend(ranked(record.series("top_eigenvalues")?));
        bottom.extend(ranked(record.series("bottom_eigenvalues")?));
        let parameters = record.parameters as f64 / done.len() as f64;
        let weights = record.series("density_weights")?.iter().map(|weight| weight * parameters);
        nodes.extend(record.series("density_eigenvalues")?.iter().copied().zip(weights));
    }
    let extremes = vec![
        Series::new("largest", Color::Cycle(0), top).mark(Mark::Points),
        Series::new("smallest", Color::Cycle(1), bottom).mark(Mark::Crosses),
    ];
    Ok(Figure {
        name: "lanczos".into(),
        title: format!("Curvature by Hessian-vector products on {formula}"),
        caption: format!(
            "Left: the {} largest and smallest eigenvalues of the Hessian at the end of each of {} trainings, by \
             Lanczos with full reorthogonalisation, each eigenvalue once. Right: how many eigenvalues of a training's \
             Hessian lie where, by stochastic Lanczos quadrature with {} probes: nodes within a bin, their weights \
             added up and averaged over trainings.",
            settings.lanczos_eigenvalues,
            done.len(),
            settings.probes
        ),
        columns: 2,
        panels: vec![
            Panel::plot("", Axis::linear("rank"), Axis::symlog("eigenvalue of ∇²L", EXTREME_LINEAR), extremes),
            weighted_histogram("", DENSITY_LINEAR, &nodes),
        ],
    })
}

/// Extreme eigenvalues within ±10^this of 0 share the middle of the axis.
const EXTREME_LINEAR: i32 = -8;
/// The same of the density, whose nodes do not tell eigenvalues this near to 0 from 0.
const DENSITY_LINEAR: i32 = -4;

/// L and the smallest ‖∇L‖ so far over the steps of Newton's method, and where each training ended.
fn newton_figure(settings: &MinRatio, done: &[DoneTrial], formula: &str) -> Result<Figure> {
    let mut panels = Vec::new();
    for (name, label) in
        [("newton_loss", "loss (mean squared error)"), ("newton_gradient_norm", "smallest gradient norm ‖∇L‖₂ so far")]
    {
        let mut curves = Vec::new();
        let (mut reached, mut others) = (Vec::new(), Vec::new());
        for trial in done {
            // The loss falls anyway.
            let lowest = |lowest: &mut f64, value: &f64| {
                *lowest = lowest.min(*value);
                Some(*lowest)
            };
            let curve: Vec<f64> = trial.record.series(name)?.iter().scan(f64::INFINITY, lowest).collect();
            let end = curve.last().map(|&last| (curve.len() as f64, last));
            let ends = if trial.record.scalar("reached")? == 1.0 { &mut reached } else { &mut others };
            ends.extend(end);
            curves.push(curve);
        }
        let curves: Vec<&[f64]> = curves.iter().map(Vec::as_slice).collect();
        let mut series = middle_of(&curves, 1);
        for (label, mark, color, ends) in
            [("reached", Mark::Points, 0, reached), ("not reached", Mark::Crosses, 1, others)]
        {
            if !ends.is_empty() {
                series.push(Series::new(label, Color::Cycle(color), ends).mark(mark));
            }
        }
        panels.push(Panel::plot("", Axis::log("step of Newton's method"), Axis::log(label), series));
    }
    Ok(Figure {
        name: "newton".into(),
        title: format!("From where Adam stopped to where the gradient vanishes, on {formula}"),
        caption: format!(
            "Loss and smallest gradient norm so far over the steps of damped Newton in float64 from the end of each of \
             {} trainings, counted from 1: median, and the band that holds the middle 80 %. Marks: where each ended, at \
             ‖∇L‖ ≤ {:e} (discs), or after {} steps or where no step gained (crosses).",
            done.len(),
            settings.newton_threshold,
            settings.newton_steps
        ),
        columns: 2,
        panels,
    })
}

/// What each end is worth: its most negative eigenvalue and how its gradient lies, against the gradient's norm.
fn certificate_figure(settings: &MinRatio, done: &[DoneTrial], formula: &str) -> Result<Figure> {
    type Of = fn(f64) -> f64;
    let same: Of = |value| value;
    let minus: Of = |value| -value;
    let mut panels = Vec::new();
    for (name, of, y) in [
        ("smallest_eigenvalue", minus, Axis::log("-(smallest eigenvalue of ∇²L)")),
        (FLATNESS, same, Axis::log("‖∇²L ∇L‖ / ‖∇²L‖‖∇L‖")),
    ] {
        let (mut reached, mut others) = (Vec::new(), Vec::new());
        for trial in done {
            let scalar = |name: &str| trial.record.scalars.get(name).copied();
            if let (Some(x), Some(y)) = (scalar("final_gradient_norm"), scalar(name).map(of).filter(|y| *y > 0.0)) {
                (if trial.record.scalar("reached")? == 1.0 { &mut reached } else { &mut others }).push((x, y));
            }
        }
        let mut series = Vec::new();
        let ends: Vec<f64> = reached.iter().chain(&others).map(|point| point.0).collect();
        if let ([Some(low), Some(high)], "smallest_eigenvalue") = ([0.0, 1.0].map(|share| quantile(&ends, share)), name)
        {
            let line = vec![(low, low), (high, high)];
            series.push(Series::new("equal", Color::Cycle(2), line).mark(Mark::Dashed));
        }
        for (label, mark, color, points) in
            [("reached", Mark::Points, 0, reached), ("not reached", Mark::Crosses, 1, others)]
        {
            if !points.is_empty() {
                // One legend serves both panels.
                let label = if panels.is_empty() { label } else { "" };
                series.push(Series::new(label, Color::Cycle(color), points).mark(mark));
            }
        }
        panels.push(Panel::plot("", Axis::log("gradient norm ‖∇L‖₂"), y, series));
    }
    Ok(Figure {
        name: "certificate".into(),
        title: format!("How near to critical points, on {formula}"),
        caption: format!(
            "The ends of {} trainings and of Newton's method after them. Left: the most negative eigenvalue of the \
             Hessian, where one is below 0; those of the size of ‖∇L‖ (dashed) vanish with it and count as zero. Right: \
             near 0 the gradient would lie where there is no curvature (gradient-flat: Frye et al. 2021). Goal: ‖∇L‖ ≤ \
             {:e}.",
            done.len(),
            settings.newton_threshold
        ),
        columns: 2,
        panels,
    })
}

/// The median of curves and the band of their middle eight tenths, from x = `first` on. A curve that has
/// ended stays where it was.
fn middle_of(curves: &[&[f64]], first: usize) -> Vec<Series> {
    let steps = curves.iter().map(|curve| curve.len()).max().unwrap_or(0);
    let (mut middle, mut band) = (Vec::new(), Vec::new());
    for step in 0..steps {
        let now: Vec<f64> = curves.iter().filter_map(|curve| curve.get(step).or(curve.last()).copied()).collect();
        if let [Some(low), Some(median), Some(high)] = [0.1, 0.5, 0.9].map(|share| quantile(&now, share)) {
            let x = (step + first) as f64;
            middle.push((x, median));
            band.push((x, low, high));
        }
    }
    let left_out = curves.iter().flat_map(|curve| curve.iter()).filter(|value| !value.is_finite()).count();
    vec![Series::band("", Color::Cycle(0), band), Series::new("", Color::Cycle(0), middle).left_out(left_out)]
}

/// Loss and gradient norm over the epochs: the median training, and the band of the middle eight tenths.
fn curve_figure(done: &[DoneTrial], formula: &str) -> Result<Figure> {
    let mut panels = Vec::new();
    for (name, label) in [("train_loss", "loss (mean squared error)"), ("gradient_norm", "gradient norm ‖∇L‖₂")]
    {
        let mut curves = Vec::new();
        for trial in done {
            curves.push(trial.record.series(name)?);
        }
        let series = middle_of(&curves, 0);
        panels.push(Panel::plot("", Axis::linear("epoch"), Axis::log(label), series));
    }
    Ok(Figure {
        name: "trainings".into(),
        title: format!("{} trainings on {formula}", done.len()),
        caption: format!(
            "Loss and gradient norm over the epochs of {} trainings: median, and the band that holds the middle 80 %.",
            done.len()
        ),
        columns: 2,
        panels,
    })
}

// ------------------------------------------------------------------------------------ claims

/// A loss is high from so many times the median on.
const HIGH: f64 = 10.0;
/// A couple of a hundred trainings, with room for chance.
const A_COUPLE: f64 = 0.05;

fn claims(settings: &MinRatio, done: &[DoneTrial]) -> Vec<Claim> {
    let mut claims = Vec::new();
    let all: Vec<&DoneTrial> = done.iter().collect();
    for (name, id, ratio) in [
        ("entry_ratio", "min-ratio-loss-entries", "ratio (of positive entries)"),
        ("minimal_ratio", "min-ratio-loss-eigenvalues", "ratio (of positive eigenvalues)"),
    ] {
        claims.push(correlation_claim(
            settings,
            id,
            &format!("As the {ratio} grows the loss hardly changes: their rank correlation is within ±{HARDLY}."),
            (name, &format!("{ratio} and loss")),
            &all,
            Claimed::Within([-HARDLY, HARDLY]),
        ));
    }
    let median = quantile(&values(done, "final_train_loss"), 0.5).unwrap_or(f64::NAN);
    let losses = done.iter().map(|trial| trial.record.after_training("final_train_loss").unwrap_or(f64::NAN));
    // A loss that is not finite is high.
    let high: Vec<bool> = losses.map(|loss| !loss.is_finite() || loss > HIGH * median).collect();
    let (id, statement) = (
        "min-ratio-few-high",
        format!(
            "At most a couple of trainings, {A_COUPLE} of them, end with a high loss: above {HIGH} times the median."
        ),
    );
    let criterion = format!("a final loss above {HIGH} times the median of all, or none");
    let count = high.iter().filter(|high| **high).count();
    claims.push(if settings.warm {
        let groups = groups(settings, done.iter().map(|trial| trial.trial.seed).zip(high));
        let shares = groups.iter().map(|high| high.iter().filter(|high| **high).count() as f64 / high.len() as f64);
        let quantity = Quantity::new("share of stages with a high loss", shares.collect()).range([0.0, 1.0]);
        Claim::interval(id, &statement, SEEDS, &[quantity], Claimed::AtMost(A_COUPLE), &criterion)
    } else {
        Claim::of_share(id, &statement, TRAININGS, (count, high.len()), Claimed::AtMost(A_COUPLE), &criterion)
    });
    if settings.newton_steps > 0 {
        claims.extend(canonical_claims(settings, done));
    }
    claims
}

/// What is true of trials, each with its seed, by the group of trainings that it is of: where one training goes on
/// and on, its stages are not independent, and the groups are what is repeated.
fn groups<T>(settings: &MinRatio, of_each: impl IntoIterator<Item = (u64, T)>) -> Vec<Vec<T>> {
    let mut groups = BTreeMap::<u64, Vec<T>>::new();
    for (seed, what) in of_each {
        groups.entry((seed - settings.seed) / settings.trainings).or_default().push(what);
    }
    groups.into_values().collect()
}

/// Of a ratio and the loss over trainings; where these are stages of one, within each such training.
fn correlation_claim(
    settings: &MinRatio,
    id: &str,
    statement: &str,
    (ratio, of): (&str, &str),
    trials: &[&DoneTrial],
    claimed: Claimed,
) -> Claim {
    let all: Vec<(u64, (f64, f64))> = trials
        .iter()
        .flat_map(|trial| pairs(std::slice::from_ref(*trial), ratio).into_iter().map(|pair| (trial.trial.seed, pair)))
        .collect();
    let without = trials.len() - all.len();
    let note = match without {
        0 => String::new(),
        n => format!("{n} of {} trainings, which diverged or have no ratio, are left out.", trials.len()),
    };
    let claim = if settings.warm {
        let trends = groups(settings, all).iter().map(|of_group| trend(of_group)).collect();
        let name = format!("Spearman's correlation of {of} over the stages of one training");
        let quantity = Quantity::new(name.clone(), trends).range([-1.0, 1.0]);
        Claim::interval(id, statement, SEEDS, &[quantity], claimed, &name)
    } else {
        let pairs: Vec<(f64, f64)> = all.iter().map(|(_, pair)| *pair).collect();
        Claim::correlated(id, statement, (TRAININGS, pairs.len()), of, &pairs, claimed)
    };
    claim.noting(&note)
}

/// In a claim about most of the trainings, each for itself; of stages of one training, most of its stages.
fn most(settings: &MinRatio, id: &str, statement: &str, trials: &[(&DoneTrial, bool)], criterion: &str) -> Claim {
    if !settings.warm {
        let held: Vec<Option<bool>> = trials.iter().map(|(_, held)| Some(*held)).collect();
        return Claim::counted(id, statement, TRAININGS, &held, criterion);
    }
    let groups = groups(settings, trials.iter().map(|(trial, held)| (trial.trial.seed, *held)));
    let is_most = |held: &Vec<bool>| Some(2 * held.iter().filter(|held| **held).count() > held.len());
    let held: Vec<Option<bool>> = groups.iter().map(is_most).collect();
    Claim::counted(id, statement, SEEDS, &held, &format!("in most stages of a training: {criterion}"))
}

/// What Frye et al. 2021 did otherwise.
const FRYE: &str = "Frye et al. 2021 looked for critical points of fully connected autoencoders and classifiers with smooth \
                    activations among others, by Newton-MR and gradient-norm minimisation from points along training \
                    paths, float32 and float64; here ReLU networks from where Adam stopped, by damped Newton on the loss, \
                    which is drawn to minima: what is said of minima is of those it finds";

/// What only points with a vanishing gradient can decide.
fn canonical_claims(settings: &MinRatio, done: &[DoneTrial]) -> Vec<Claim> {
    let at = |trial: &DoneTrial, name: &str| trial.record.scalars.get(name).copied().unwrap_or(f64::NAN);
    let all: Vec<&DoneTrial> = done.iter().filter(|trial| trial.record.scalars.contains_key("reached")).collect();
    let reached: Vec<&DoneTrial> = all.iter().copied().filter(|trial| at(trial, "reached") == 1.0).collect();
    let has_spectrum = |trial: &&&DoneTrial| trial.record.scalars.contains_key("negative_eigenvalues");
    let threshold = settings.newton_threshold;
    let left_out = match all.len() - reached.len() {
        0 => String::new(),
        n => format!("{n} of {} trainings, which did not reach it, are left out.", all.len()),
    };

    let mut claims = vec![
        most(
            settings,
            "min-ratio-reached",
            &format!("Damped Newton takes most trainings to a gradient norm of {threshold:e}."),
            &all.iter().map(|trial| (*trial, at(trial, "reached") == 1.0)).collect::<Vec<_>>(),
            &format!("‖∇L‖ ≤ {threshold:e} in at most {} steps", settings.newton_steps),
        ),
        most(
            settings,
            "min-ratio-minima",
            "Where the gradient vanishes, most trainings are in a minimum.",
            &reached
                .iter()
                .filter(has_spectrum)
                .map(|trial| (*trial, at(trial, "negative_eigenvalues") == 0.0))
                .collect::<Vec<_>>(),
            &format!("no eigenvalue below -{:e} of the largest and below -2‖∇L‖", settings.tolerance),
        )
        .noting(&left_out)
        .differing_from(FRYE),
        most(
            settings,
            "min-ratio-not-gradient-flat",
            "Most points reached are critical points, not gradient-flat ones (Frye et al. 2021).",
            &reached.iter().map(|trial| (*trial, at(trial, FLATNESS) > settings.tolerance)).collect::<Vec<_>>(),
            &format!(
                "‖H∇L‖ above {:e} of ‖H‖‖∇L‖: the gradient that is left does not lie where H is 0",
                settings.tolerance
            ),
        )
        .noting(&left_out)
        .differing_from(FRYE),
    ];
    for (id, statement, trials, note) in [
        ("min-ratio-higher-lower-loss", "The higher the minimal ratio, the lower the loss.", &all, ""),
        (
            "min-ratio-higher-lower-loss-reached",
            "Where the gradient vanishes: the higher the minimal ratio, the lower the loss.",
            &reached,
            left_out.as_str(),
        ),
    ] {
        let of = ("minimal_ratio", "minimal ratio and loss");
        claims.push(correlation_claim(settings, id, statement, of, trials, Claimed::Below(0.0)).noting(note));
    }
    claims
}
