//! `hw1 min-ratio`, task 2-3 of the report: many trainings, and at the end of each the exact Hessian
//! of the loss, its eigenvalues and the minimal ratio, the share of them that are positive.

use crate::analysis::hessian::{self, Spectrum};
use crate::analysis::statistics::{self, Estimate, quantile, spearman, spearman_with_interval};
use crate::data::functions::Target;
use crate::experiment::{
    Cell, Claim, Context, Done, Effect, Experiment, Fingerprint, Flag, Measurements, Records, Report, TRAININGS_FLAG,
    Trial as TrialTrait, Verdict, cell, check, flag,
};
use crate::model::Mlp;
use crate::objective::{MeanSquaredError, Objective as _, norm};
use crate::plot::{Axis, Color, Figure, Mark, Panel, Series};
use crate::regress::{self, Problem};
use crate::train::{Convergence, Ending, OptimizerName, train};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::json;
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
    seed: u64,
    repeats: u64,
}

/// A Hessian of more would be 800 MB, and its eigenvalues a quarter of an hour.
const MOST_PARAMETERS: i64 = 10_000;
const MOST_TRAININGS: u64 = 10_000;

fn check_settings(settings: &MinRatio) -> Result<(), String> {
    regress::check_model(&settings.model)?;
    let parameters = settings.model.layout().parameters();
    if parameters > MOST_PARAMETERS {
        return Err(format!(
            "model '{}' has {parameters} parameters; a whole Hessian is for at most {MOST_PARAMETERS}",
            settings.model
        ));
    }
    check::training(settings.epochs, settings.learning_rate)?;
    check::trainings(settings.trainings, MOST_TRAININGS)?;
    check::seeds(settings.seed, settings.repeats)?;
    if !(settings.threshold >= 0.0 && settings.threshold.is_finite()) {
        return Err(format!("threshold is {}; it must be 0 (never stop) or above", settings.threshold));
    }
    if !(0.0..1.0).contains(&settings.tolerance) {
        return Err(format!("tolerance is {}; it must be at least 0 and below 1", settings.tolerance));
    }
    settings.problem().check()
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
}

impl TrialTrait for Trial {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn cost(&self) -> f64 {
        regress::cost(&self.model, &self.problem, self.epochs)
    }
}

// ----------------------------------------------------------------------------- record and run

impl Experiment for MinRatio {
    const NAME: &'static str = "min-ratio";
    const ABOUT: &'static str = "The Hessian's eigenvalues where trainings end (task 2-3)";
    const SETTINGS: &'static str = include_str!("../../experiments/min-ratio.toml");
    const VERSION: u32 = 1;
    const FLAGS: &'static [Flag] = &[
        regress::FUNCTION_FLAG,
        regress::DOMAIN_FLAG,
        regress::MODEL_FLAG,
        TRAININGS_FLAG,
        Flag {
            name: "warm",
            value_name: "",
            setting: "warm",
            repeatable: false,
            parse: Flag::switch,
            help: "One training that goes on and on, as the report's notebook has it",
        },
    ];

    type Trial = Trial;
    /// Series `train_loss` and `gradient_norm`, each taken before the epoch's step, and `eigenvalues`
    /// of the Hessian at the final weights, ascending.
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        check_settings(self)
    }

    fn label(&self, trial: &Trial) -> String {
        let first = self.seed + (trial.seed - self.seed) / self.trainings * self.trainings;
        format!("training-{}", trial.seed - first + 1)
    }

    fn trials(&self, done: &Records<Self>) -> Result<Vec<Trial>> {
        let mut trials = Vec::new();
        for group in 0..self.repeats {
            let mut start = None;
            for training in 0..self.trainings {
                let trial = self.trial(self.seed + group * self.trainings + training, start);
                // A start is known by its fingerprint, which comes with its record.
                let finished = done.0.iter().find(|done| done.trial.seed == trial.seed);
                start = finished.filter(|_| self.warm).map(|done| done.fingerprint.clone());
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
            Some(before) => cx.saved_weights(before, "final", &layout)?,
            None => layout.initial(trial.seed, &regress::key(&trial.model), Kind::Float, cx.device),
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
        cx.save_weights("final", &layout, objective.theta())?;
        let measured = Measurements::new(
            layout.parameters(),
            [
                ("epochs_run", training.train_loss.len() as f64),
                ("met_threshold", flag(training.ending == Ending::Observer)),
                ("diverged", flag(training.ending == Ending::Diverged)),
            ],
            [("gradient_norm", training.take("gradient_norm")), ("train_loss", training.train_loss)],
        );
        let theta = objective.theta().f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?;
        at_the_end(trial, &theta, measured)
    }

    fn report(&self, done: &Records<Self>) -> Result<Report> {
        report(self, &done.0)
    }
}

/// Adds loss, gradient and Hessian at θ, all in float64.
fn at_the_end(trial: &Trial, theta: &Tensor, measured: Measurements) -> Result<Measurements> {
    let (points, between) =
        (trial.problem.train(Kind::Double, Device::Cpu)?, trial.problem.validation(Kind::Double, Device::Cpu)?);
    let mut objective = MeanSquaredError::new(&trial.model, theta.shallow_clone(), &points.x, &points.y);
    let loss = objective.loss_and_gradient();
    let mut measured = measured.and([
        ("final_train_loss", loss),
        ("final_validation_loss", regress::evaluate(&trial.model, theta, &between)?.loss),
        ("final_gradient_norm", norm(objective.gradient())?),
    ]);
    let hessian = hessian::of_mean_squared_error(&trial.model, theta, &points.x, &points.y)?;
    // Where a training diverged, its weights may have no Hessian.
    let Ok(spectrum) = Spectrum::of(&hessian) else {
        measured.series.insert("eigenvalues".into(), Vec::new());
        return Ok(measured);
    };
    let parameters = spectrum.eigenvalues.len() as f64;
    let signs = spectrum.signs(trial.tolerance);
    let positive_entries = hessian.f_gt(0.0)?.f_sum(Kind::Int64)?.f_int64_value(&[])? as f64;
    let mut measured = measured.and([
        ("minimal_ratio", signs.positive as f64 / parameters),
        ("entry_ratio", positive_entries / (parameters * parameters)),
        ("positive_eigenvalues", signs.positive as f64),
        ("zero_eigenvalues", signs.zero as f64),
        ("negative_eigenvalues", signs.negative as f64),
        ("smallest_eigenvalue", spectrum.eigenvalues.first().copied().unwrap_or(f64::NAN)),
        ("largest_eigenvalue", spectrum.eigenvalues.last().copied().unwrap_or(f64::NAN)),
    ]);
    measured.series.insert("eigenvalues".into(), spectrum.eigenvalues);
    Ok(measured)
}

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
        }
    }
}

// ------------------------------------------------------------------------------------ report

type DoneTrial = Done<MinRatio>;

/// A scalar in the table, and how it is called there.
const SCALARS: [(&str, &str); 11] = [
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
];

/// The report's ratio counts entries of the Hessian; the field's counts eigenvalues.
const RATIOS: [(&str, &str); 2] =
    [("entry_ratio", "share of positive entries of ∇²L"), ("minimal_ratio", "share of positive eigenvalues of ∇²L")];

fn report(settings: &MinRatio, done: &[DoneTrial]) -> Result<Report> {
    let mut report = Report { claims: claims(done), ..Report::default() };
    report.columns = ["at the end of training", "lowest", "median", "highest"].map(str::to_owned).to_vec();
    for (name, label) in SCALARS {
        let values = values(done, name);
        let at = |share| quantile(&values, share).map_or(Cell::from(""), cell);
        report.rows.push(vec![label.into(), at(0.0), at(0.5), at(1.0)]);
    }
    let count = |is: &dyn Fn(&Measurements) -> bool| done.iter().filter(|trial| is(&trial.record)).count();
    let has = |name: &'static str| move |record: &Measurements| record.scalars.get(name) == Some(&1.0);
    let (met, diverged) = (count(&has("met_threshold")), count(&has("diverged")));
    let saddles = count(&|record| record.scalars.get("negative_eigenvalues").is_some_and(|count| *count > 0.0));
    let n = done.len();
    report.notes.push(format!(
        "{met} of {n} trainings ended with a gradient norm below {}; {saddles} of {n} ended where the Hessian has \
         negative eigenvalues, which is no minimum.",
        settings.threshold
    ));
    if diverged > 0 {
        report.notes.push(format!("{diverged} of {n} trainings diverged: the loss was no longer finite."));
    }
    let formula = settings.function.formula();
    report.figures = vec![
        ratio_figure(settings, done, formula)?,
        spectrum_figure(settings, done, formula)?,
        curve_figure(done, formula)?,
    ];
    let mut quantiles = serde_json::Map::new();
    for (name, _) in SCALARS {
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

/// A scalar of all trainings that have it.
fn values(done: &[DoneTrial], name: &str) -> Vec<f64> {
    done.iter().filter_map(|trial| trial.record.scalars.get(name).copied()).collect()
}

/// A ratio and the loss, of all trainings that have both.
fn pairs(done: &[DoneTrial], ratio: &str) -> Vec<(f64, f64)> {
    let pair = |trial: &DoneTrial| {
        let scalar = |name: &str| trial.record.scalars.get(name).copied().filter(|value| value.is_finite());
        Some((scalar(ratio)?, scalar("final_train_loss")?))
    };
    done.iter().filter_map(pair).collect()
}

fn ratio_figure(settings: &MinRatio, done: &[DoneTrial], formula: &str) -> Result<Figure> {
    let mut panels = Vec::new();
    for (name, label) in RATIOS {
        let mut series = Vec::new();
        for (met, mark, color) in [(1.0, Mark::Points, 0), (0.0, Mark::Crosses, 1)] {
            let mut of_kind = Vec::new();
            for trial in done {
                if trial.record.scalar("met_threshold")? == met {
                    of_kind.extend(pairs(std::slice::from_ref(trial), name));
                }
            }
            let sign = if met == 1.0 { "below" } else { "not below" };
            let label = format!("‖∇L‖ {sign} {:e}", settings.threshold);
            if !of_kind.is_empty() {
                series.push(Series::new(label, Color::Cycle(color), of_kind).mark(mark));
            }
        }
        panels.push(Panel::plot("", Axis::linear(label), Axis::log("loss (mean squared error)"), series));
    }
    Ok(Figure {
        name: "ratio".into(),
        title: format!("Loss against minimal ratio on {formula}"),
        caption: format!(
            "The loss at the end of each of {} trainings against the share of the Hessian's positive entries (left, \
             the report's ratio) and positive eigenvalues (right; above {:e} of the largest). Crosses: the gradient \
             norm did not get below {:e}.",
            done.len(),
            settings.tolerance,
            settings.threshold
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
    const BINS_A_DECADE: f64 = 4.0;
    let linear = 10f64.powi(LINEAR);
    let mut counts = std::collections::BTreeMap::new();
    for &value in eigenvalues {
        // Bins are numbered outwards from 0, the middle one.
        let bin = match value.abs() {
            small if small < linear => 0,
            large => ((large / linear).log10() * BINS_A_DECADE).floor() as i64 + 1,
        };
        *counts.entry(bin * if value < 0.0 { -1 } else { 1 }).or_insert(0u64) += 1;
    }
    let edge = |bin: i64| linear * 10f64.powf(bin as f64 / BINS_A_DECADE);
    let bins = counts.into_iter().map(|(bin, count)| {
        let (low, high) = match bin {
            0 => (-linear, linear),
            1.. => (edge(bin - 1), edge(bin)),
            _ => (-edge(-bin), -edge(-bin - 1)),
        };
        (low, high, count as f64)
    });
    let series = Series::histogram("", Color::Cycle(0), bins);
    Panel::plot(title, Axis::symlog("eigenvalue of ∇²L", LINEAR), Axis::log("eigenvalues"), vec![series])
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
        let epochs = curves.iter().map(|curve| curve.len()).max().unwrap_or(0);
        let (mut middle, mut band) = (Vec::new(), Vec::new());
        for epoch in 0..epochs {
            // A training that has ended stays where it was.
            let now: Vec<f64> = curves.iter().filter_map(|curve| curve.get(epoch).or(curve.last()).copied()).collect();
            if let [Some(low), Some(median), Some(high)] = [0.1, 0.5, 0.9].map(|share| quantile(&now, share)) {
                middle.push((epoch as f64, median));
                band.push((epoch as f64, low, high));
            }
        }
        let series = vec![Series::band("", Color::Cycle(0), band), Series::new("", Color::Cycle(0), middle)];
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

fn claims(done: &[DoneTrial]) -> Vec<Claim> {
    /// Correlations of less than this are hardly any (Cohen's medium effect).
    const HARDLY: f64 = 0.3;
    let mut claims = Vec::new();
    for (name, id, ratio) in [
        ("entry_ratio", "min-ratio-loss-entries", "the ratio (of positive entries)"),
        ("minimal_ratio", "min-ratio-loss-eigenvalues", "the ratio (of positive eigenvalues)"),
    ] {
        let correlation = spearman_with_interval(&pairs(done, name));
        let interval = correlation.and_then(|correlation| correlation.interval);
        let verdict = match interval {
            Some([low, high]) if low > -HARDLY && high < HARDLY => Verdict::Supported,
            Some([low, high]) if low > HARDLY || high < -HARDLY => Verdict::Refuted,
            _ => Verdict::Inconclusive,
        };
        let detail = match (correlation, interval) {
            (Some(Estimate { value, n, .. }), Some([low, high])) => format!(
                "Spearman's correlation of ratio and loss over {n} trainings: {value:.2} (95 % interval {low:.2} to \
                 {high:.2})."
            ),
            _ => "Too few trainings to say.".to_owned(),
        };
        claims.push(Claim {
            id: id.into(),
            statement: format!("As {ratio} grows the loss hardly changes."),
            verdict,
            effect: correlation.and_then(|correlation| {
                Effect::new("Spearman's correlation of ratio and loss over trainings (Fisher's z)", correlation)
            }),
            detail,
            evidence: json!({
                "rule": format!("the interval of the correlation within ±{HARDLY}; refuted where it is all outside"),
            }),
        });
    }
    let losses = values(done, "final_train_loss");
    let median = quantile(&losses, 0.5).unwrap_or(f64::NAN);
    // A loss that is not finite is high.
    let high = losses.iter().filter(|loss| !loss.is_finite() || **loss > 10.0 * median).count();
    let share = high as f64 / losses.len().max(1) as f64;
    claims.push(Claim {
        id: "min-ratio-few-high".into(),
        statement: "At most a couple of trainings end with a high loss.".into(),
        verdict: match losses.len() {
            0..50 => Verdict::Inconclusive,
            _ if share <= 0.02 => Verdict::Supported,
            _ if share > 0.05 => Verdict::Refuted,
            _ => Verdict::Inconclusive,
        },
        effect: Effect::new("share of trainings with a high loss (Clopper-Pearson interval)", statistics::share(high, losses.len())),
        detail: format!("{high} of {} trainings end with more than ten times the median loss.", losses.len()),
        evidence: json!({
            "rule": "above ten times the median: at most 2 % of the trainings; refuted above 5 %; at least 50 trainings",
            "high": high, "n": losses.len(), "median_loss": median.is_finite().then_some(median),
        }),
    });
    claims
}
