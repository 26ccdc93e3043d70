//! What a loss is like at a θ where its gradient vanishes, or nearly: loss and gradient, and
//! the curvature by the whole Hessian or by products with it. All in float64.

use super::problem::Problem;
use super::products::{Phase, Products, ROWS, kept, with_room};
use crate::analysis::curvature::{self, Ritz, Wanted};
use crate::analysis::hessian::Spectrum;
use crate::analysis::newton::flatness;
use crate::model::Mlp;
use crate::objective::{Objective, norm};
use crate::rng::{Purpose, Rng};
use crate::settings;
use crate::study::{Context, Held, Measurements, check, flag};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// How the Hessian is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// As a whole, with all its eigenvalues.
    Exact,
    /// By products with it: extreme eigenvalues, trace, density.
    Lanczos,
}

settings! {
    /// What is asked of the Hessian.
    #[derive(Clone, Copy, Debug, Serialize)]
    pub struct Curvature {
        pub curvature: Method,
        /// What Lanczos is asked for: so many eigenvalues from either end of the spectrum,
        pub lanczos_eigenvalues: u64,
        /// in so many products, of so many vectors together,
        pub lanczos_steps: u64,
        pub lanczos_block: u64,
        /// so many products of the trace, and so many probes of the density.
        pub probes: u64,
    }
}

/// Products with the Hessian that are asked for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Lanczos {
    /// From either end of the spectrum,
    pub eigenvalues: u64,
    /// in at most so many products,
    pub steps: u64,
    /// of so many vectors together.
    pub block: u64,
    /// Products of the trace, and probes of the density.
    pub probes: u64,
}

/// Scalar: how the gradient lies to the Hessian, ‖H∇L‖ / (‖H‖‖∇L‖); see [`flatness`].
pub const FLATNESS: &str = "gradient_flatness";
/// Of Lanczos's residuals, as a share of the largest |eigenvalue|: well below the smallest eigenvalues, else values
/// further in pass for them.
pub const RESIDUAL: f64 = 1e-10;
/// A whole Hessian of more would be 800 MB, and its eigenvalues a quarter of an hour.
const MOST_PARAMETERS: i64 = 10_000;
const MOST_EIGENVALUES: u64 = 1000;
const MOST_STEPS: u64 = 100_000;
const MOST_BLOCK: u64 = 64;
const MOST_PROBES: u64 = 10_000;
/// Steps of Lanczos a probe of the density.
const DENSITY_STEPS: usize = 60;
/// Probes of the density side by side: together their bases are no larger than that of 300 steps.
const BASES: usize = 4;
/// Float64 numbers for each unit and point: its output, its mask, and what the graph of the gradient keeps.
const NUMBERS_A_UNIT: u128 = 4;

/// Series of [`CriticalPoint::by_products`].
const LANCZOS_SERIES: [&str; 6] = [
    "top_eigenvalues",
    "top_residuals",
    "bottom_eigenvalues",
    "bottom_residuals",
    "density_eigenvalues",
    "density_weights",
];

/// An objective at its θ, and the gradient there.
pub struct CriticalPoint<'a> {
    objective: &'a dyn Objective,
    loss: f64,
    gradient: Tensor,
}

impl<'a> CriticalPoint<'a> {
    /// Of an objective in float64, on the CPU.
    pub fn new(objective: &'a mut dyn Objective) -> Result<Self> {
        let loss = objective.loss_and_gradient()?.get()?;
        let gradient = objective.gradient().copy();
        Ok(Self { objective, loss, gradient })
    }

    fn parameters(&self) -> i64 {
        self.objective.layout().parameters()
    }

    /// The loss and the gradient's norm.
    pub fn loss_and_gradient_norm(&self) -> Result<Measurements> {
        let scalars = [("final_train_loss", self.loss), ("final_gradient_norm", norm(&self.gradient)?.get()?)];
        Ok(Measurements::new(self.parameters(), scalars, []))
    }

    /// All eigenvalues of the Hessian, ascending, and their signs. An eigenvalue counts as zero within `tolerance` of
    /// the largest magnitude, and `near_critical` within the [`resolution`] of the gradient that is left.
    pub fn by_whole_hessian(&self, tolerance: f64, near_critical: bool, cx: &Context) -> Result<Measurements> {
        let hessian = self.objective.whole_hessian(&mut || cx.check_stop())?;
        // Where a training diverged, its weights may have no Hessian.
        let Ok(spectrum) = Spectrum::of(&hessian) else {
            return Ok(Measurements::new(self.parameters(), [], [("eigenvalues", Vec::new())]));
        };
        let tolerance =
            if near_critical { resolution(tolerance, &spectrum, norm(&self.gradient)?.get()?) } else { tolerance };
        let signs = spectrum.signs(tolerance);
        let positive_entries = hessian.f_gt(0.0)?.f_sum(Kind::Int64)?.f_int64_value(&[])? as f64;
        let parameters = spectrum.eigenvalues.len() as f64;
        let smallest = spectrum.eigenvalues.first().copied().unwrap_or(f64::NAN);
        let largest = spectrum.eigenvalues.last().copied().unwrap_or(f64::NAN);
        let scalars = [
            ("minimal_ratio", signs.positive as f64 / parameters),
            ("entry_ratio", positive_entries / (parameters * parameters)),
            ("positive_eigenvalues", signs.positive as f64),
            ("zero_eigenvalues", signs.zero as f64),
            ("negative_eigenvalues", signs.negative as f64),
            ("smallest_eigenvalue", smallest),
            ("largest_eigenvalue", largest),
        ];
        let measured = Measurements::new(self.parameters(), scalars, [("eigenvalues", spectrum.eigenvalues)]);
        if !near_critical {
            return Ok(measured);
        }
        let flatness = self.flatness(&hessian.f_mv(&self.gradient)?, smallest, largest)?;
        Ok(measured.and([(FLATNESS, flatness), ("zero_share", tolerance)]))
    }

    /// What products with the Hessian tell of it: eigenvalues from either end, trace and spectral density, whose
    /// random probes are keyed by seed and name.
    pub fn by_products(&self, lanczos: &Lanczos, (seed, name): (u64, &str), cx: &Context) -> Result<Measurements> {
        let (n, hessian) = (self.parameters(), self.objective.hessian()?);
        let product = hessian.times(&self.gradient, &mut || Ok(()))?;
        // Where a training diverged, its weights may have no Hessian.
        if product.f_isfinite()?.f_all()?.f_int64_value(&[])? != 1 {
            return Ok(Measurements::new(n, [], LANCZOS_SERIES.map(|name| (name, Vec::new()))));
        }
        let rng = |epoch| Rng::keyed(seed, name, Purpose::CurvatureProbe, epoch);
        let (each, steps, probes) = (lanczos.eigenvalues as usize, lanczos.steps as usize, lanczos.probes as usize);
        let block = lanczos.block as usize;
        let wanted = Wanted { top: each, bottom: each, tolerance: RESIDUAL, steps, block, sweeps: 1 };
        let density_steps = DENSITY_STEPS.min(n as usize);
        let phases = vec![
            Phase::eigenvalues(steps.min(n as usize) + 2 * each),
            Phase::trace(probes),
            Phase::density(probes * density_steps),
        ];
        let mut products = Products::new(&*hessian, phases, cx);
        let (extremes, trace, density) = with_room(cx, |room| {
            let extremes = curvature::lanczos(n, wanted, room, &mut rng(0), |rows| products.times(rows))?;
            products.begin("trace");
            let trace = curvature::trace(n, (probes, ROWS, room.memory), &mut rng(1), |rows| products.times(rows))?;
            products.begin("density");
            let density = (probes, density_steps, BASES);
            let density = curvature::spectral_density(n, density, room, &mut rng(2), |rows| products.times(rows))?;
            Ok((extremes, trace, density))
        })?;

        let first = |found: &[Ritz]| found.first().map_or(f64::NAN, |ritz| ritz.value);
        let (smallest, largest) = (first(&extremes.bottom), first(&extremes.top));
        let scalars = [
            ("smallest_eigenvalue", smallest),
            ("largest_eigenvalue", largest),
            ("lanczos_steps", extremes.steps as f64),
            ("lanczos_converged", flag(extremes.converged)),
            ("trace", trace.value),
            ("trace_standard_error", trace.standard_error),
            (FLATNESS, self.flatness(&product, smallest, largest)?),
        ];
        let of = |found: &[Ritz]| found.iter().map(|ritz| (ritz.value, ritz.residual)).unzip();
        let (top, top_residuals) = of(&extremes.top);
        let (bottom, bottom_residuals) = of(&extremes.bottom);
        let (nodes, weights) = density.nodes.into_iter().unzip();
        let mut series = [top, top_residuals, bottom, bottom_residuals, nodes, weights].into_iter();
        Ok(Measurements::new(n, scalars, LANCZOS_SERIES.map(|name| (name, series.next().unwrap_or_default()))))
    }

    fn flatness(&self, product: &Tensor, smallest: f64, largest: f64) -> Result<f64> {
        flatness(product, &self.gradient, largest.abs().max(smallest.abs()))
    }
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

impl Curvature {
    /// Whether these settings make sense for a network.
    pub fn check(self, model: &Mlp) -> Result<(), String> {
        let parameters = model.layout().parameters();
        if parameters > MOST_PARAMETERS && self.curvature == Method::Exact {
            return Err(format!(
                "model '{model}' has {parameters} parameters; a whole Hessian is for at most {MOST_PARAMETERS}: use \
                 --curvature lanczos"
            ));
        }
        check::within("lanczos_eigenvalues", self.lanczos_eigenvalues, 1..=MOST_EIGENVALUES)?;
        check::within("lanczos_steps", self.lanczos_steps, 1..=MOST_STEPS)?;
        check::within("lanczos_block", self.lanczos_block, 1..=MOST_BLOCK)?;
        check::within("probes", self.probes, 1..=MOST_PROBES)
    }

    /// What is held at a time: the graph of a Hessian over the points that are learned from, or the vectors of Lanczos.
    pub fn memory(self, model: &Mlp, problem: &Problem) -> Vec<Held> {
        let points = problem.train_size();
        let widths = model.widths().iter().sum::<i64>().unsigned_abs() as u128;
        let what = format!("the Hessian of model '{model}' over {points} points");
        let bytes = 8 * NUMBERS_A_UNIT * widths * points as u128;
        let graph = Held::new(what, bytes, format!("{}, or take a narrower model", problem.smaller()));
        let parameters = model.layout().parameters().unsigned_abs() as u128;
        let Some(lanczos) = self.lanczos() else {
            // The matrix, its eigenvectors, and what is computed on the way.
            let what = format!("the whole Hessian of model '{model}'");
            let whole = Held::new(what, 8 * 5 * parameters * parameters, "use --curvature lanczos");
            return vec![graph, whole];
        };
        let (steps, eigenvalues) = (lanczos.steps as usize, 2 * lanczos.eigenvalues as usize);
        let what = format!("{steps} lanczos_steps and {eigenvalues} eigenvectors of model '{model}'");
        let of = |basis| curvature::memory(parameters, basis, eigenvalues, kept());
        let trace = curvature::trace_memory(parameters, lanczos.probes as usize, kept());
        let bytes = of((steps, 1)).max(of((DENSITY_STEPS, BASES))).max(trace);
        vec![graph, Held::new(what, bytes, "lower lanczos_steps or lanczos_eigenvalues")]
    }

    /// `None` where the whole Hessian is asked for.
    pub fn lanczos(self) -> Option<Lanczos> {
        let Self { lanczos_eigenvalues: eigenvalues, lanczos_steps: steps, lanczos_block: block, .. } = self;
        let lanczos = Lanczos { eigenvalues, steps, block, probes: self.probes };
        (self.curvature == Method::Lanczos).then_some(lanczos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::MeanSquaredError;
    use crate::study::Progress;
    use crate::tasks::newton::Newton;
    use crate::tasks::problem::OnDomain;
    use anyhow::bail;
    use std::sync::atomic::AtomicBool;
    use tch::Device;

    fn with_context<T>(run: impl FnOnce(&Context) -> Result<T>) -> T {
        let (progress, stop) = (Progress::default(), AtomicBool::new(false));
        run(&Context::new(Device::Cpu, &progress, &stop, &|_| bail!("there are none"), None)).unwrap()
    }

    fn objective(theta: impl FnOnce(Tensor) -> Tensor) -> MeanSquaredError {
        let problem =
            OnDomain { function: "sin-sq".parse().unwrap(), domain: [-2.0, 2.0], train_size: 60, validation_size: 30 };
        let model: Mlp = "1-4-1".parse().unwrap();
        let initial = model.layout().initial(3, "mlp 1-4-1", Kind::Double, Device::Cpu);
        let points = problem.train(Kind::Double, Device::Cpu).unwrap();
        MeanSquaredError::new(&model.network(), theta(initial), &points).unwrap()
    }

    const KEY: (u64, &str) = (0, "mlp 1-4-1");

    #[test]
    fn products_find_what_the_whole_hessian_has() {
        let mut objective = objective(|theta| theta);
        let at = CriticalPoint::new(&mut objective).unwrap();
        let whole = with_context(|cx| at.by_whole_hessian(1e-12, true, cx));
        let lanczos = Lanczos { eigenvalues: 2, steps: 13, block: 1, probes: 200 };
        let products = with_context(|cx| at.by_products(&lanczos, KEY, cx));
        for name in ["smallest_eigenvalue", "largest_eigenvalue", FLATNESS] {
            let [of_whole, of_products] = [&whole, &products].map(|measured| measured.scalar(name).unwrap());
            assert!((of_whole - of_products).abs() < 1e-9 * of_whole.abs(), "{name}: {of_whole} {of_products}");
        }
        let eigenvalues = whole.series("eigenvalues").unwrap();
        let trace: f64 = eigenvalues.iter().sum();
        let [found, error] = ["trace", "trace_standard_error"].map(|name| products.scalar(name).unwrap());
        assert!((found - trace).abs() < 1e-9 && error == 0.0, "{found} ± {error}, not {trace}: products suffice");
        let few = Lanczos { block: 3, probes: 10, ..lanczos };
        let few = with_context(|cx| at.by_products(&few, KEY, cx));
        let [found, error] = ["trace", "trace_standard_error"].map(|name| few.scalar(name).unwrap());
        assert!((found - trace).abs() < 5.0 * error, "{found} ± {error}, not {trace}");
        let largest = |measured: &Measurements| measured.scalar("largest_eigenvalue").unwrap();
        assert!((largest(&few) - largest(&whole)).abs() < 1e-9 * largest(&whole));
        let weights: f64 = products.series("density_weights").unwrap().iter().sum();
        assert!((weights - 1.0).abs() < 1e-9, "{weights}");
        let count = |name: &str| whole.scalar(name).unwrap();
        let all = count("positive_eigenvalues") + count("zero_eigenvalues") + count("negative_eigenvalues");
        assert_eq!((all, whole.parameters, products.parameters), (13.0, 13, 13));
        assert!(at.loss_and_gradient_norm().unwrap().scalar("final_train_loss").unwrap() > 0.0);
    }

    #[test]
    fn where_there_is_no_hessian_nothing_is_measured() {
        let mut objective = objective(|theta| theta * f64::INFINITY);
        let at = CriticalPoint::new(&mut objective).unwrap();
        let whole = with_context(|cx| at.by_whole_hessian(1e-12, true, cx));
        let lanczos = Lanczos { eigenvalues: 2, steps: 13, block: 2, probes: 2 };
        let products = with_context(|cx| at.by_products(&lanczos, KEY, cx));
        assert!(whole.scalars.is_empty() && products.scalars.is_empty());
        assert!(whole.series.len() == 1 && products.series.len() == 6);
        assert!(whole.series.values().chain(products.series.values()).all(Vec::is_empty));
    }

    #[test]
    fn eigenvalues_of_the_size_of_the_gradient_count_as_zero() {
        let spectrum = |eigenvalues: &[f64]| Spectrum { eigenvalues: eigenvalues.to_vec() };
        assert_eq!(resolution(1e-12, &spectrum(&[-4.0, 0.1, 2.0]), 0.01), 0.005);
        assert_eq!(resolution(1e-12, &spectrum(&[-4.0, 0.1, 2.0]), 0.0), 1e-12);
        assert_eq!(resolution(1e-12, &spectrum(&[0.0, 0.0]), 1.0), 1e-12);
    }

    /// Newton's path starts at θ, falls, and ends where it leaves the objective.
    #[test]
    fn newton_goes_down() {
        let mut objective = objective(|theta| theta);
        let loss = |objective: &mut MeanSquaredError| {
            let at = CriticalPoint::new(objective).unwrap();
            at.loss_and_gradient_norm().unwrap().scalar("final_train_loss").unwrap()
        };
        let newton = Newton { steps: 20, threshold: 1e-9 };
        let before = loss(&mut objective);
        let path = with_context(|cx| newton.descend(&mut objective, 0, cx));
        let losses = path.series("newton_loss").unwrap();
        assert_eq!(losses[0], before);
        assert_eq!(losses[0], path.scalar("trained_train_loss").unwrap());
        assert_eq!(*losses.last().unwrap(), loss(&mut objective));
        assert!(*losses.last().unwrap() < losses[0]);
        assert_eq!(path.scalar("newton_steps").unwrap() as usize, losses.len() - 1);
    }
}
