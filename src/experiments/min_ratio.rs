//! `hw1 min-ratio`, task 2-3 of the report: many trainings, and at the end of each the exact Hessian
//! of the loss, its eigenvalues and the minimal ratio, the share of them that are positive; or, for
//! networks of any size, what Hessian-vector products tell of it. Preset `canonical` goes on from each
//! training's end to where the gradient vanishes, and certifies that.
//!
//! Longer than others, and whole, since it asks three things of the same trainings: whether their ends are minima,
//! whether the ratio goes with the loss, and both again at critical points; figures and claims share their helpers.

use crate::analysis::statistics::{quantile, spearman};
use crate::data::Dataset;
use crate::model::{Mlp, Weights};
use crate::objective::{MeanSquaredError, Objective as _};
use crate::plot::{Axis, Color, Mark, Panel, Series};
use crate::settings;
use crate::study::claim::{Claim, TRAININGS, Unit};
use crate::study::number::some_of;
use crate::study::points::discs_and_crosses;
use crate::study::seeds;
use crate::study::trust::{self, Doubts};
use crate::study::{
    Context, DOMAIN_FLAG, Done, Experiment, FUNCTION_FLAG, Findings, Fingerprint, Flag, Held, Instead, Measurements,
    POINTS, POINTS_FLAG, Records, Seeds, Size, Stated, TRAININGS_FLAG, Told, Trial as TrialTrait, WIDTHS_FLAG, With,
    check, median, spectra,
};
use crate::tasks::Source;
use crate::tasks::critical_point::{CriticalPoint, Curvature, FLATNESS, Lanczos, Method, RESIDUAL};
use crate::tasks::function;
use crate::tasks::newton::{Newton, NewtonAfter};
use crate::tasks::problem::{Learned, Problem};
use crate::tasks::until_threshold::UntilThreshold;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use tch::{Device, Kind};

// ---------------------------------------------------------------------------------- settings

settings! {
    #[derive(Clone, Debug, Serialize)]
    pub struct MinRatio(
        problem: Problem,
        fit: UntilThreshold,
        newton: NewtonAfter,
        hessian: Curvature,
        seeds: Seeds,
    ) {
        model: Mlp,
        /// Of each repeat, every one with a seed of its own.
        trainings: u64,
        /// Each training starts where the one before ended.
        warm: bool,
        /// An eigenvalue within this share of the largest magnitude is zero.
        tolerance: f64,
    }
}

const MOST_TRAININGS: u64 = 10_000;
/// Each is named by the record of the one before.
const MOST_WARM_TRAININGS: u64 = 1000;

// ------------------------------------------------------------------------------------- trial

/// One training, and the Hessian at its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trial {
    #[serde(flatten)]
    learned: Learned,
    model: Mlp,
    #[serde(flatten)]
    fit: UntilThreshold,
    tolerance: f64,
    seed: u64,
    /// The training whose final weights this one starts from; else from initial weights.
    start: Option<Source>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    newton: Option<Newton>,
    /// Else the whole Hessian.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    lanczos: Option<Lanczos>,
}

impl TrialTrait for Trial {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn cost(&self, data: Option<&dyn Dataset>) -> f64 {
        // A step of Newton costs a Hessian and its Cholesky.
        let newton = self.newton.map_or(0.0, |newton| newton.steps as f64 * self.model.layout().parameters() as f64);
        let epochs = self.fit.epochs;
        function::cost(&self.model, self.learned.train_size(data), epochs) * (1.0 + newton / epochs as f64 / 50.0)
    }
}

// ----------------------------------------------------------------------------- record and run

impl Experiment for MinRatio {
    const NAME: &'static str = "min-ratio";
    const ABOUT: &'static str = "The Hessian's eigenvalues where trainings end (task 2-3)";
    const SETTINGS: &'static str = include_str!("../../experiments/min-ratio.toml");
    const VERSION: u32 = 4;
    const CASE: Option<Unit> = Some(TRAININGS);
    const INSTEAD: Option<Instead> = Some(POINTS);
    const FLAGS: &'static [Flag] = &[
        FUNCTION_FLAG,
        DOMAIN_FLAG,
        POINTS_FLAG,
        WIDTHS_FLAG,
        TRAININGS_FLAG,
        Flag::new("warm", "", "warm", "One training that goes on and on, as the report's notebook has it")
            .parsed(Flag::switch),
        Flag::new(
            "curvature",
            "HOW",
            "curvature",
            "exact: the whole Hessian; lanczos: by Hessian-vector products, for networks of any size [default: exact]",
        )
        .offering(|| vec!["exact", "lanczos"]),
    ];

    type Trial = Trial;
    /// Series `train_loss` and `gradient_norm`, each taken before the epoch's step, and `eigenvalues`
    /// of the Hessian at the final weights, ascending; with Newton `newton_loss` and `newton_gradient_norm`
    /// before each of its steps and at its end; with Lanczos, instead of `eigenvalues`, `top_eigenvalues`
    /// descending, `bottom_eigenvalues` ascending, their residuals, and the spectral density's nodes
    /// and weights.
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        function::check_model(&self.model)?;
        self.hessian.check(&self.model)?;
        self.newton.check(&self.model)?;
        self.fit.check()?;
        check::within("trainings", self.trainings, 1..=if self.warm { MOST_WARM_TRAININGS } else { MOST_TRAININGS })?;
        self.seeds.check_groups(self.trainings)?;
        if !(0.0..1.0).contains(&self.tolerance) {
            return Err(format!("tolerance is {}; it must be at least 0 and below 1", self.tolerance));
        }
        self.problem.check()?;
        self.hessian.memory(&self.model, &self.problem).iter().try_for_each(Held::check)
    }

    fn memory(&self) -> Result<Vec<Held>, String> {
        // Warm trainings run one after the other.
        let at_once: u64 =
            if self.warm { self.seeds.repeats } else { self.seeds.repeats.saturating_mul(self.trainings) };
        let held = self.hessian.memory(&self.model, &self.problem).into_iter();
        Ok(held.max_by_key(|held| held.bytes).map(|held| held.by(at_once)).into_iter().collect())
    }

    fn data(&self) -> Option<Arc<dyn Dataset>> {
        self.problem.data()
    }

    fn size(&self) -> Size {
        Size::of_seeds(self.seeds.repeats, self.trainings.into(), "lower --repeats or trainings")
    }

    fn label(&self, trial: &Trial) -> String {
        format!("training-{}", self.place(trial.seed).1 + 1)
    }

    fn trials(&self, done: &Records<Self>) -> Result<Vec<Trial>> {
        // A start is known by its fingerprint, which comes with its record.
        let finished: BTreeMap<u64, &Fingerprint> = done.iter().map(|done| (done.seed(), &done.fingerprint)).collect();
        let trial = |seed| {
            let start = match self.place(seed) {
                (_, 1..) if self.warm => Some((*finished.get(&(seed - 1))?).clone().into()),
                _ => None,
            };
            let (learned, model, fit) = (self.problem.learned(), self.model.clone(), self.fit.clone());
            let (newton, lanczos) = (self.newton.newton(), self.hessian.lanczos());
            Some(Trial { learned, model, fit, tolerance: self.tolerance, seed, start, newton, lanczos })
        };
        let seeds = self.seeds.seed..self.seeds.seed + self.seeds.repeats * self.trainings;
        Ok(seeds.filter_map(trial).collect())
    }

    fn family(&self, trial: &Trial) -> Option<u64> {
        self.warm.then(|| self.place(trial.seed).0)
    }

    fn run_trial(trial: &Trial, cx: &mut Context) -> Result<Measurements> {
        let Trial { learned, model, .. } = trial;
        let (layout, network, key) = (model.layout(), model.network(), function::key(model));
        let start: Weights = match &trial.start {
            Some(before) => before.solution(&layout, cx)?,
            None => layout.initial(trial.seed, &key, Kind::Float, cx.device).into(),
        };
        cx.save_weights("initial", &layout, &start)?;
        let mut trained = MeanSquaredError::new(&network, start, &learned.train(Kind::Float, cx.device, cx)?)?;
        let mut measured = trial.fit.run(&mut trained, cx)?;

        // From here on in float64.
        let here = trained.weights().each(|flat| flat.to_device(Device::Cpu).to_kind(Kind::Double));
        let mut end = MeanSquaredError::new(&network, here, &learned.train(Kind::Double, Device::Cpu, cx)?)?;
        match &trial.newton {
            None => cx.save_weights("final", &layout, trained.weights())?,
            Some(newton) => {
                cx.save_weights("trained", &layout, trained.weights())?;
                measured = measured.with(newton.descend(&mut end, trial.fit.epochs, cx)?);
                cx.save_weights("final", &layout, end.weights())?;
            }
        }
        let between = learned.validation(Kind::Double, Device::Cpu, cx)?;
        let validation = MeanSquaredError::new(&network, end.weights().share(), &between)?.evaluate()?;
        let at = CriticalPoint::new(&mut end)?;
        let curvature = match &trial.lanczos {
            Some(lanczos) => at.by_products(lanczos, (trial.seed, &key), cx)?,
            None => at.by_whole_hessian(trial.tolerance, trial.newton.is_some(), cx)?,
        };
        let losses = at.loss_and_gradient_norm()?.and([("final_validation_loss", validation.loss)]);
        Ok(measured.with(losses).with(curvature))
    }

    fn findings(&self, done: &Records<Self>) -> Result<Findings> {
        let mut findings = Findings::of(self)?;
        let newton = self.newton.newton().is_some();
        let words = self.problem.words();
        // Besides settings; thresholds as 1e-8.
        let with: With = &[
            ("formula", &words.formula),
            ("standardised", &words.standardised),
            ("finished", &done.len()),
            ("goal", &format!("{:e}", self.goal().1)),
            ("newton_threshold", &format!("{:e}", self.newton.newton_threshold)),
            ("tolerance", &format!("{:e}", self.tolerance)),
            ("and_of_newton", &if newton { " and of Newton's method after it" } else { "" }),
            ("and_above_gradient", &if newton { " and above 2‖∇L‖" } else { "" }),
            // Of stages of one training a claim is about each such training.
            ("in_most_stages", &if self.warm { "in most stages of a training: " } else { "" }),
            ("correlation_of", &if self.warm { "Spearman's correlation of " } else { "" }),
            ("over_stages", &if self.warm { " over the stages of one training" } else { "" }),
        ];
        fill_table(done, &mut findings);
        self.count_endings(done, &mut findings);
        self.problem.tell(&mut findings);
        match self.hessian.curvature {
            Method::Exact => {
                self.draw_ratios(done, &mut findings, with)?;
                draw_spectra(done, &mut findings, with)?;
            }
            Method::Lanczos => draw_extremes(done, &mut findings, with)?,
        }
        draw_curves(done, &mut findings, with)?;
        findings.claims = self.claims(done, &findings, with)?;
        if newton {
            draw_newton(done, &mut findings, with)?;
            draw_certificate(done, &mut findings, with)?;
            findings.claims.extend(self.canonical_claims(done, &findings, with)?);
        }
        Ok(findings)
    }
}

impl MinRatio {
    /// The repeat that a training is of, by its seed, and its place there, from 0: where one training goes on and on,
    /// its stage.
    fn place(&self, seed: u64) -> (u64, u64) {
        let at = seed - self.seeds.seed;
        (at / self.trainings, at % self.trainings)
    }
}

// ----------------------------------------------------------- findings: table, notes and summary

type DoneTrial = Done<MinRatio>;

/// Scalars of the table with their names there: where a training ended,
const ENDS: [(&str, &str); 4] = [
    ("final_train_loss", "train loss"),
    ("final_validation_loss", "validation loss"),
    ("final_gradient_norm", "gradient norm"),
    ("epochs_run", "epochs"),
];
/// what only a whole Hessian tells,
const WHOLE_HESSIAN: [(&str, &str); 5] = [
    ("minimal_ratio", "minimal ratio (eigenvalues)"),
    ("entry_ratio", "ratio of positive entries"),
    ("positive_eigenvalues", "positive eigenvalues"),
    ("zero_eigenvalues", "zero eigenvalues"),
    ("negative_eigenvalues", "negative eigenvalues"),
];
const EXTREMES: [(&str, &str); 2] =
    [("smallest_eigenvalue", "smallest eigenvalue"), ("largest_eigenvalue", "largest eigenvalue")];
/// and what Newton's method or Lanczos's does, where some training has it.
const FURTHER: [(&str, &str); 7] = [
    ("newton_steps", "steps of Newton"),
    ("trained_train_loss", "train loss before Newton"),
    ("trained_gradient_norm", "gradient norm before Newton"),
    (FLATNESS, "‖H∇L‖ / ‖H‖‖∇L‖"),
    ("zero_share", "|λ| that counts as zero, by largest"),
    ("trace", "trace"),
    ("trace_standard_error", "standard error of the trace"),
];

/// The report's ratio counts entries of the Hessian; the field's counts eigenvalues.
const RATIOS: [(&str, &str); 2] =
    [("entry_ratio", "share of positive entries of ∇²L"), ("minimal_ratio", "share of positive eigenvalues of ∇²L")];

/// A scalar that not every record has; else NaN.
fn scalar(done: &DoneTrial, name: &str) -> f64 {
    done.record.scalars.get(name).copied().unwrap_or(f64::NAN)
}

/// A scalar of all trainings that have it. One that diverged ended nowhere.
fn values(done: &[DoneTrial], name: &str) -> Vec<f64> {
    let whole = done.iter().filter(|done| !done.record.diverged());
    whole.filter_map(|done| done.record.scalars.get(name).copied()).collect()
}

/// A ratio and the loss; of a training that diverged, or has not both, none.
fn ratio_and_loss(done: &DoneTrial, ratio: &str) -> Option<(f64, f64)> {
    let (x, y) = (scalar(done, ratio), scalar(done, "final_train_loss"));
    (!done.record.diverged() && x.is_finite() && y.is_finite()).then_some((x, y))
}

fn has_reached(done: &DoneTrial) -> bool {
    scalar(done, "reached") == 1.0
}

/// Lowest, median and highest of each scalar, in the table and in the summary.
fn fill_table(done: &[DoneTrial], findings: &mut Findings) {
    let of_whole: &[_] = if done.iter().all(|done| done.trial.lanczos.is_none()) { &WHOLE_HESSIAN } else { &[] };
    let is_known = |(name, _): &&(&str, &str)| done.iter().any(|done| done.record.scalars.contains_key(*name));
    let named = ENDS.iter().chain(of_whole).chain(&EXTREMES).chain(FURTHER.iter().filter(is_known));
    findings.quantiles("at the end of training", named, |name| values(done, name));
}

/// Whether the Hessian has negative eigenvalues where a training ended. Lanczos counts none, but knows the smallest.
fn is_at_saddle(done: &DoneTrial) -> bool {
    let negative = scalar(done, "negative_eigenvalues");
    !done.record.diverged() && (negative > 0.0 || negative.is_nan() && scalar(done, "smallest_eigenvalue") < 0.0)
}

impl MinRatio {
    /// The scalar that says whether a training got where it was to get, and that gradient norm.
    fn goal(&self) -> (&'static str, f64) {
        self.newton.newton().map_or(("met_threshold", self.fit.threshold), |newton| ("reached", newton.threshold))
    }

    /// How many trainings ended how, in sentences and in the summary.
    fn count_endings(&self, done: &[DoneTrial], findings: &mut Findings) {
        let count = |is: &dyn Fn(&DoneTrial) -> bool| done.iter().filter(|done| is(done)).count();
        let count_of = |name| count(&|done| scalar(done, name) == 1.0);
        let (n, met, saddles) = (done.len(), count_of("met_threshold"), count(&is_at_saddle));
        findings.notes.push(format!(
            "{met} of {n} trainings ended with a gradient norm below {}; {saddles} of {n} ended where the Hessian has \
             negative eigenvalues, which is no minimum.",
            self.fit.threshold
        ));
        if let Some(newton) = self.newton.newton() {
            let (reached, stalled) = (count_of("reached"), count_of("newton_stalled"));
            findings.notes.push(format!(
                "Newton's method reached a gradient norm of {:e} from {reached} of {n}; the others, {stalled} of which \
                 stalled, are kept and marked.",
                newton.threshold
            ));
            findings.summarise("reached", reached);
            findings.summarise("newton_stalled", stalled);
        }
        if self.hessian.curvature == Method::Lanczos {
            let converged = count_of("lanczos_converged");
            findings.notes.push(format!(
                "By Hessian-vector products: the extreme eigenvalues of {converged} of {n} have residuals of at most \
                 {RESIDUAL:e} of the largest."
            ));
        }
        findings.summarise("trainings", n);
        findings.summarise("met_threshold", met);
        findings.summarise("diverged", count(&|done| done.record.diverged()));
        findings.summarise("with_negative_eigenvalues", saddles);
        for (ratio, _) in RATIOS {
            let pairs: Vec<_> = done.iter().filter_map(|done| ratio_and_loss(done, ratio)).collect();
            findings.summarise(&format!("spearman_of_{ratio}_and_loss"), spearman(&pairs));
        }
    }
}

// ------------------------------------------------------------------------- findings: figures

const LOSS: &str = "loss (mean squared error)";

/// Of trainings that got to their goal, and of those that did not.
const REACHED: [&str; 2] = ["reached", "not reached"];

impl MinRatio {
    fn draw_ratios(&self, done: &[DoneTrial], findings: &mut Findings, with: With) -> Result<()> {
        let (goal, threshold) = self.goal();
        let labels = ["below", "not below"].map(|side| format!("‖∇L‖ {side} {threshold:e}"));
        let panels = RATIOS.map(|(ratio, label)| {
            // What has no ratio is counted as left out.
            let point = |done| (scalar(done, goal) == 1.0, ratio_and_loss(done, ratio).unwrap_or((f64::NAN, f64::NAN)));
            let series = discs_and_crosses([&labels[0], &labels[1]], done.iter().map(point));
            Panel::plot("", Axis::linear(label), Axis::log(LOSS), series)
        });
        let lost =
            done.iter().filter(|done| RATIOS.iter().all(|(ratio, _)| ratio_and_loss(done, ratio).is_none())).count();
        let lost = some_of(lost, done.len(), "trainings have no ratio, or diverged, and no place here.");
        findings.doubt("ratio", &Doubts::of([trust::said(lost)]));
        findings.figure("ratio", with, 2, panels.into())
    }
}

fn draw_spectra(done: &[DoneTrial], findings: &mut Findings, with: With) -> Result<()> {
    let of_each = done.iter().map(|done| done.record.series("eigenvalues")).collect::<Result<Vec<_>>>()?;
    let ends = match done.len() {
        1 => "the training".to_owned(),
        n => format!("all {n} trainings"),
    };
    let mut panels = vec![spectra::histogram(&ends, &of_each.concat())];
    if done.len() > 1 {
        let first = of_each.iter().find(|eigenvalues| !eigenvalues.is_empty());
        panels.push(spectra::histogram(&done[0].label, first.copied().unwrap_or_default()));
    }
    findings.figure("eigenvalues", &[with, &[("ends", &ends)]].concat(), 2, panels)
}

/// What Hessian-vector products tell: extreme eigenvalues by rank, and the density of all.
fn draw_extremes(done: &[DoneTrial], findings: &mut Findings, with: With) -> Result<()> {
    let (mut ends, mut nodes) = (Vec::new(), Vec::new());
    for record in done.iter().map(|done| &done.record) {
        ends.push([record.series("top_eigenvalues")?, record.series("bottom_eigenvalues")?]);
        let eigenvalues = record.parameters as f64 / done.len() as f64;
        let counts = record.series("density_weights")?.iter().map(|weight| weight * eigenvalues);
        nodes.extend(record.series("density_eigenvalues")?.iter().copied().zip(counts));
    }
    let unconverged = done.iter().filter(|done| scalar(done, "lanczos_converged") == 0.0).count();
    findings.doubt("lanczos", &Doubts::of([trust::unconverged_of(unconverged, done.len())]));
    findings.figure("lanczos", with, 2, vec![spectra::extremes(ends), spectra::density(nodes)])
}

/// Loss and gradient norm over the epochs.
fn draw_curves(done: &[DoneTrial], findings: &mut Findings, with: With) -> Result<()> {
    let norms = done.iter().map(|done| done.record.series("gradient_norm")).collect::<Result<Vec<_>>>()?;
    findings.doubt("trainings", &Doubts::of([trust::norm_in_rounding(&norms.concat())]));
    let panels = vec![
        median::over_epochs(Axis::log(LOSS), done, "train_loss")?,
        median::over_epochs(Axis::log("gradient norm ‖∇L‖₂"), done, "gradient_norm")?,
    ];
    findings.figure("trainings", with, 2, panels)
}

/// L and the smallest ‖∇L‖ so far over the steps of Newton's method, and where each training ended.
fn draw_newton(done: &[DoneTrial], findings: &mut Findings, with: With) -> Result<()> {
    let panel = |(name, label)| {
        let (mut curves, mut ends) = (Vec::new(), Vec::new());
        for done in done {
            // The loss falls anyway.
            let curve = median::running_minimum(done.record.series(name)?);
            ends.extend(curve.last().map(|&last| (has_reached(done), (curve.len() as f64, last))));
            curves.push(curve);
        }
        let mut series = median::median_with_band(&curves, 1);
        series.extend(discs_and_crosses(REACHED, ends));
        Ok(Panel::plot("", Axis::log("step of Newton's method"), Axis::log(label), series))
    };
    let panels = [("newton_loss", LOSS), ("newton_gradient_norm", "smallest gradient norm ‖∇L‖₂ so far")].map(panel);
    findings.figure("newton", with, 2, panels.into_iter().collect::<Result<_>>()?)
}

/// What each end is worth: its most negative eigenvalue and how its gradient lies, against the gradient's norm.
fn draw_certificate(done: &[DoneTrial], findings: &mut Findings, with: With) -> Result<()> {
    let against_norm = |of: fn(&DoneTrial) -> f64| -> Vec<_> {
        let point = |done| (has_reached(done), (scalar(done, "final_gradient_norm"), of(done)));
        done.iter().map(point).filter(|(_, (_, y))| *y > 0.0).collect()
    };
    let panel = |y, series| Panel::plot("", Axis::log("gradient norm ‖∇L‖₂"), Axis::log(y), series);
    let negative = against_norm(|done| -scalar(done, "smallest_eigenvalue"));
    let without =
        some_of(done.len() - negative.len(), done.len(), "ends have no negative eigenvalue, and no place on the left.");
    findings.doubt("certificate", &Doubts::of([trust::said(without)]));
    let norms: Vec<f64> = negative.iter().map(|(_, (norm, _))| *norm).collect();
    let mut left = Vec::new();
    if let Some((low, high)) = quantile(&norms, 0.0).zip(quantile(&norms, 1.0)) {
        left.push(Series::new("equal", Color::Cycle(2), vec![(low, low), (high, high)]).mark(Mark::Dashed));
    }
    left.extend(discs_and_crosses(REACHED, negative));
    // The legend on the left serves both.
    let right = discs_and_crosses(["", ""], against_norm(|done| scalar(done, FLATNESS)));
    let panels = vec![panel("-(smallest eigenvalue of ∇²L)", left), panel("‖∇²L ∇L‖ / ‖∇²L‖‖∇L‖", right)];
    findings.figure("certificate", with, 2, panels)
}

// -------------------------------------------------------------------------- findings: claims

/// A loss is high from so many times the median on.
const HIGH: f64 = 10.0;

impl MinRatio {
    /// What the cases of [`Self::told`] are called.
    fn names<T>(&self, of_each: &[(u64, T)]) -> Vec<String> {
        let mut seeds: Vec<u64> = of_each.iter().map(|(seed, _)| *seed).collect();
        if self.warm {
            seeds.dedup_by_key(|seed| self.place(*seed).0);
            return seeds.into_iter().map(|seed| format!("stages from seed {seed} on")).collect();
        }
        seeds.into_iter().map(seeds::name).collect()
    }

    /// What is told of trainings, each with its seed; where one training goes on and on, of its stages, by repeat.
    fn told<T: Copy>(&self, of_each: &[(u64, T)]) -> Told<T> {
        let all = |of_each: &[(u64, T)]| of_each.iter().map(|(_, told)| *told).collect();
        if !self.warm {
            return Told::OfEach(all(of_each));
        }
        let by_repeat = of_each.chunk_by(|(seed, _), (next, _)| self.place(*seed).0 == self.place(*next).0);
        Told::OfStages(by_repeat.map(all).collect())
    }

    fn claims(&self, done: &[DoneTrial], findings: &Findings, with: With) -> Result<Vec<Claim>> {
        let all: Vec<&DoneTrial> = done.iter().collect();
        let hardly = |ratio, counted: &str| -> Result<Claim> {
            let claim = findings.claim("min-ratio-loss", &[with, &[("counted", &counted)]].concat())?;
            Ok(self.correlation(claim, ratio, &all))
        };
        let median = quantile(&values(done, "final_train_loss"), 0.5).unwrap_or(f64::NAN);
        let loss = |done: &DoneTrial| done.record.after_training("final_train_loss").unwrap_or(f64::NAN);
        // A loss that is not finite is high.
        let is_high = |loss: f64| !loss.is_finite() || loss > HIGH * median;
        let high: Vec<_> = done.iter().map(|done| (done.seed(), is_high(loss(done)))).collect();
        let few_high = findings.claim("min-ratio-few-high", &[("high", &HIGH)])?;
        let few_high =
            few_high.named(self.names(&high)).of_share_told("share of stages with a high loss", &self.told(&high));
        let few_high = few_high.beside("final train loss", &done.iter().map(loss).collect::<Vec<_>>());
        Ok(vec![hardly("entry_ratio", "entries")?, hardly("minimal_ratio", "eigenvalues")?, few_high])
    }

    /// Of a ratio and the loss over trainings; where these are stages of one, within each such training.
    fn correlation(&self, claim: Stated, ratio: &str, trainings: &[&DoneTrial]) -> Claim {
        let pair = |done: &&DoneTrial| Some((done.seed(), ratio_and_loss(done, ratio)?));
        let pairs: Vec<_> = trainings.iter().filter_map(pair).collect();
        let without = "trainings, which diverged or have no ratio, are left out.";
        let left_out = some_of(trainings.len() - pairs.len(), trainings.len(), without);
        claim.named(self.names(&pairs)).correlated_told(self.told(&pairs)).noting(&left_out)
    }

    /// About most of the trainings, each for itself; of stages of one training, most of its stages.
    /// Each is judged by a number, which is called so.
    fn most(
        &self,
        claim: Stated,
        trainings: &[&DoneTrial],
        (called, number): (&str, impl Fn(&DoneTrial) -> f64),
        holds: impl Fn(&DoneTrial) -> bool,
    ) -> Claim {
        let told: Vec<_> = trainings.iter().map(|done| (done.seed(), holds(done))).collect();
        let claim = claim.named(self.names(&told)).most(&self.told(&told));
        match self.warm {
            true => claim,
            false => claim.beside(called, &trainings.iter().map(|done| number(done)).collect::<Vec<_>>()),
        }
    }

    /// What only points with a vanishing gradient can decide.
    fn canonical_claims(&self, done: &[DoneTrial], findings: &Findings, with: With) -> Result<Vec<Claim>> {
        let all: Vec<_> = done.iter().collect();
        let reached: Vec<_> = done.iter().filter(|done| has_reached(done)).collect();
        let has_spectrum = |done: &&DoneTrial| !scalar(done, "negative_eigenvalues").is_nan();
        let with_spectrum: Vec<_> = reached.iter().copied().filter(has_spectrum).collect();
        let without = "trainings, which did not reach it, are left out.";
        let left_out = some_of(all.len() - reached.len(), all.len(), without);
        let claim = |key| findings.claim(key, with);
        let is_minimum = |done: &DoneTrial| scalar(done, "negative_eigenvalues") == 0.0;
        let is_not_flat = |done: &DoneTrial| scalar(done, FLATNESS) > self.tolerance;
        let of = |name: &'static str| move |done: &DoneTrial| scalar(done, name);
        let [norm, negative, flat] = [
            ("gradient norm", "final_gradient_norm"),
            ("negative eigenvalues", "negative_eigenvalues"),
            (FLATNESS, FLATNESS),
        ]
        .map(|(called, name)| (called, of(name)));
        Ok(vec![
            self.most(claim("min-ratio-reached")?, &all, norm, has_reached),
            self.most(claim("min-ratio-minima")?, &with_spectrum, negative, is_minimum).noting(&left_out),
            self.most(claim("min-ratio-not-gradient-flat")?, &reached, flat, is_not_flat).noting(&left_out),
            self.correlation(claim("min-ratio-higher-lower-loss")?, "minimal_ratio", &all),
            self.correlation(claim("min-ratio-higher-lower-loss-reached")?, "minimal_ratio", &reached)
                .noting(&left_out),
        ])
    }
}
