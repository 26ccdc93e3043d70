//! The spectrum of the Hessian at a solution: its largest eigenvalues by Lanczos, its density by stochastic Lanczos
//! quadrature (Sagun et al. 2018; Ghorbani et al. 2019).

use super::around::MOST_NUMBERS;
use super::products::{BLOCK, Phase, Products, ROWS, kept, with_room};
use crate::analysis::curvature::{Extremes, Wanted, lanczos, memory, spectral_density};
use crate::model::{Model as _, Network};
use crate::objective::Objective;
use crate::rng::{Purpose, Rng};
use crate::settings;
use crate::study::{Context, Held, Measurements, check, flag};
use anyhow::Result;
use serde::{Deserialize, Serialize};

settings! {
    /// How many eigenvalues, and how fine a density.
    #[derive(Clone, Debug, Serialize)]
    pub struct Eigenvalues {
        /// The largest ones, 0 for none, and then no density either.
        pub eigenvalues: usize,
        /// Random vectors and steps of the density.
        pub density_probes: usize,
        pub density_steps: usize,
    }
}

/// More than these are a slip of the pen.
const MOST_EIGENVALUES: u64 = 200;
const MOST_PROBES: u64 = 10_000;
const MOST_STEPS: u64 = 100_000;

impl Eigenvalues {
    pub fn check(&self, network: &Network) -> Result<(), String> {
        let &Self { eigenvalues, density_probes, density_steps } = self;
        check::within("eigenvalues", eigenvalues as u64, 0..=MOST_EIGENVALUES)?;
        if eigenvalues == 0 {
            return Ok(());
        }
        check::within("density_probes", density_probes as u64, 1..=MOST_PROBES)?;
        check::within("density_steps", density_steps as u64, 1..=MOST_STEPS)?;
        let density = [("density_probes", density_probes as u128), ("density_steps", density_steps as u128)];
        check::product(&density, MOST_NUMBERS)?;
        self.memory(network).map_or(Ok(()), |held| held.check())
    }

    /// What the spectrum holds, where there is to be one.
    pub fn memory(&self, network: &Network) -> Option<Held> {
        let &Self { eigenvalues, density_probes, density_steps } = self;
        if eigenvalues == 0 {
            return None;
        }
        let parameters = network.layout().parameters().unsigned_abs() as u128;
        let what = format!("{eigenvalues} eigenvalues and {density_steps} density_steps of model '{network}'");
        let of = |basis| memory(parameters, basis, eigenvalues, kept());
        let needed = of((most_products(eigenvalues), 1)).max(of((density_steps, density_probes.min(ROWS))));
        Some(Held::new(what, needed, "lower eigenvalues or density_steps"))
    }

    /// The spectrum, where there is to be one.
    pub fn spectrum(&self) -> Option<SpectrumProbes> {
        let &Self { eigenvalues, density_probes: probes, density_steps: steps } = self;
        (eigenvalues > 0).then_some(SpectrumProbes { eigenvalues, probes, steps, block: BLOCK })
    }
}

/// The spectrum at one solution.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SpectrumProbes {
    pub eigenvalues: usize,
    pub probes: usize,
    pub steps: usize,
    /// Vectors of Lanczos together.
    pub block: usize,
}

/// Lanczos is done when its residuals are this share of the largest eigenvalue, or after so many products an
/// eigenvalue.
const TOLERANCE: f64 = 1e-3;
const PRODUCTS: usize = 8;

fn most_products(eigenvalues: usize) -> usize {
    (PRODUCTS * eigenvalues).max(20)
}

impl SpectrumProbes {
    /// The largest eigenvalues of the Hessian of the loss, descending, in `top_eigenvalues` with their
    /// `residuals`, and its spectral density as `node` (eigenvalue) and `weight`. Seed and name key the random vectors.
    pub fn measure(
        &self,
        objective: &mut dyn Objective,
        (seed, name): (u64, &str),
        cx: &Context,
    ) -> Result<Measurements> {
        let n = objective.layout().parameters();
        // A training that diverged has no curvature where it ended.
        if !objective.evaluate()?.loss.is_finite() {
            let series = ["top_eigenvalues", "residuals", "node", "weight"].map(|name| (name, Vec::new()));
            return Ok(Measurements::new(n, [("converged", 0.0)], series));
        }
        let hessian = objective.hessian()?;
        let most = most_products(self.eigenvalues);
        let steps = self.steps.min(n as usize);
        let phases = vec![Phase::eigenvalues(most + self.eigenvalues), Phase::density(self.probes * steps)];
        let mut products = Products::new(&*hessian, phases, cx);
        let wanted = Wanted {
            top: self.eigenvalues,
            bottom: 0,
            tolerance: TOLERANCE,
            steps: most,
            block: self.block,
            sweeps: 1,
        };
        let rng = |epoch| Rng::keyed(seed, name, Purpose::CurvatureProbe, epoch);
        let (extremes, density) = with_room(cx, |room| {
            let extremes = lanczos(n, wanted, room, &mut rng(0), |rows| products.times(rows))?;
            products.begin("density");
            let probes = (self.probes, self.steps, ROWS);
            Ok((extremes, spectral_density(n, probes, room, &mut rng(1), |rows| products.times(rows))?))
        })?;
        let Extremes { top, converged, steps: products, .. } = extremes;
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
}
