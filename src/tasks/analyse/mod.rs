//! What `hw1 analyse` measures at the weights of any model: loss and accuracy, the gradient and the curvature along it, the
//! spectrum of the Hessian or of the Gauss-Newton matrix, the sensitivity to the input; and how the loss looks around
//! solutions and between them. Trial bodies over an [`crate::objective::Objective`]; they know no program and no file.

mod directions;
mod landscape;
mod measure;
mod points;

use super::products::{Products, kept, with_room};
use super::subject::Content;
use crate::analysis::curvature::{Extremes, Wanted, lanczos, least_basis, restarted, trace_memory};
use crate::analysis::sharpness::Norm;
use crate::analysis::surface::Normalise;
use crate::data::{Dataset, total_memory};
use crate::objective::Loss;
use crate::rng::Rng;
use crate::study::{Context, Measurements, Record, Trial};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// One measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Analysis {
    #[serde(flatten)]
    pub content: Content,
    pub loss: LossName,
    pub precision: Precision,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub batch_statistics: bool,
    /// Samples at a time; 0 for as many as fit.
    pub block_size: usize,
    pub measure: Measure,
    pub seed: u64,
}

/// What is measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// Over both whole splits.
    Accuracy {},
    Gradient {
        over: Over,
    },
    Spectrum {
        over: Over,
        probes: Probes,
    },
    Sensitivity {
        over: Over,
        batch_size: u32,
    },
    /// Along the straight line to a second solution.
    Line {
        second: Content,
        /// Of either split; 0 for all.
        samples: usize,
        alphas: Vec<f64>,
        /// Samples of a batch that running statistics are taken anew of, where there are such.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recalibration: Option<u32>,
    },
    /// Along lines through the solution, to `range` on either side.
    Slices {
        over: Over,
        along: Along,
        directions: u64,
        points: usize,
        range: f64,
    },
    /// Over a plane through the solution, to `range` on either side; `grid` lines each way.
    Surface {
        over: Over,
        along: Along,
        /// Which pair of directions, from 1.
        pair: u64,
        grid: usize,
        range: f64,
    },
    /// Over the plane of the checkpoints of a training, in their order; the analysis' own content is the last.
    Path {
        checkpoints: Vec<Content>,
        over: Over,
        grid: usize,
    },
    /// The highest loss nearby.
    Sharpness {
        over: Over,
        region: Region,
        starts: u64,
        steps: u64,
    },
}

impl Measure {
    /// Whether the loss at many points makes a picture.
    fn is_drawn(&self) -> bool {
        matches!(self, Self::Line { .. } | Self::Slices { .. } | Self::Surface { .. } | Self::Path { .. })
    }
}

/// Which directions through a solution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Along {
    Random {
        normalise: Normalise,
    },
    /// The leading eigenvectors of the Hessian, of length 1.
    Hessian {
        tolerance: f64,
    },
}

/// Where the highest loss is sought: see [`crate::analysis::sharpness`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Region {
    Box { epsilon: f64 },
    Adaptive { rho: f64, norm: Norm },
}

/// A grid of fewer lines than these is even; of more, half of them go where the loss bends.
pub const EVEN: usize = 7;

/// Where slices are compared: a step that moves every filter by a fifth of its length.
pub const NEAR: f64 = crate::tasks::slices::NEAR;

/// Which samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Over {
    pub split: Split,
    /// So many of them, drawn by the trial's seed; 0 for all.
    pub samples: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    Train,
    Test,
}

impl Split {
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "training",
            Self::Test => "test",
        }
    }

    /// Before the names of what is measured over it.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

/// How a spectrum is looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probes {
    pub matrix: MatrixName,
    /// The layer whose block of the matrix it is; `None` of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    /// The largest, and the smallest ones.
    pub eigenvalues: usize,
    pub tolerance: f64,
    pub trace_probes: usize,
    pub density_probes: usize,
    pub density_steps: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MatrixName {
    Hessian,
    Ggn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    Float32,
    Float64,
}

impl Precision {
    pub fn kind(self) -> Kind {
        match self {
            Self::Float32 => Kind::Float,
            Self::Float64 => Kind::Double,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossName {
    CrossEntropy,
    Bce,
    Mse,
}

impl LossName {
    pub fn loss(self) -> Loss {
        match self {
            Self::CrossEntropy => Loss::CrossEntropy,
            Self::Bce => Loss::BinaryCrossEntropy,
            Self::Mse => Loss::SquaredError,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross entropy",
            Self::Bce => "binary cross entropy",
            Self::Mse => "squared error, summed over outputs",
        }
    }
}

/// What was measured, and what its user should know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Analysed {
    #[serde(flatten)]
    pub measured: Measurements,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Record for Analysed {
    fn measurements(&self) -> &Measurements {
        &self.measured
    }
}

impl Trial for Analysis {
    fn seed(&self) -> u64 {
        self.seed
    }

    fn cost(&self, data: Option<&dyn Dataset>) -> f64 {
        let samples = |over: &Over| {
            let all = data.map_or(1, |set| set.sizes()[usize::from(over.split == Split::Test)]);
            if over.samples == 0 { all } else { all.min(over.samples) as f64 as usize }.max(1) as f64
        };
        match &self.measure {
            // First of all, whatever it takes.
            Measure::Accuracy {} => f64::MAX,
            Measure::Gradient { over } => 3.0 * samples(over),
            Measure::Sensitivity { over, .. } => 12.0 * samples(over),
            Measure::Spectrum { over, probes } => 4.0 * samples(over) * products(probes) as f64,
            Measure::Line { samples: each, alphas, recalibration, .. } => {
                let both = |split| samples(&Over { split, samples: *each });
                let passes = if recalibration.is_some() { 3 } else { 1 } * alphas.len();
                (both(Split::Train) + both(Split::Test)) * passes as f64
            }
            Measure::Slices { over, directions, points, .. } => samples(over) * *directions as f64 * *points as f64,
            Measure::Surface { over, grid, .. } => samples(over) * (grid * grid) as f64,
            Measure::Path { checkpoints, over, grid } => samples(over) * (2 * checkpoints.len() + grid * grid) as f64,
            Measure::Sharpness { over, starts, steps, .. } => 3.0 * samples(over) * *starts as f64 * *steps as f64,
        }
    }
}

/// Products of a spectrum, at most.
pub fn products(probes: &Probes) -> usize {
    measure::phases(probes).iter().map(|phase| phase.products).sum()
}

/// Lanczos is done when its residuals are small, or after so many products.
pub fn most_steps(eigenvalues: usize) -> usize {
    (16 * eigenvalues).max(60)
}

/// The share of the machine's memory that the results of one block of samples may take, forwards and backwards; and no
/// more samples than these, which have been enough to keep a processor busy.
const MEMORY_SHARE: u64 = 16;
const MOST_SAMPLES: u64 = 256;
/// Results are kept, differentiated, and their derivatives differentiated again.
const COPIES: u64 = 4;

/// Samples at a time, where each keeps so many bytes on its way forward: by the machine's memory, not by what is free of
/// it, so that the same machine gives the same numbers.
pub fn block_size(bytes_of_sample: u64, memory: u64) -> i64 {
    (memory / MEMORY_SHARE / (COPIES * bytes_of_sample.max(1))).clamp(1, MOST_SAMPLES) as i64
}

/// Whether so many vectors of n numbers in float64 would take more than a share of the memory.
fn is_large(n: i64, vectors: usize, memory: u64) -> bool {
    n.unsigned_abs().saturating_mul(8 * vectors as u64) > memory / MEMORY_SHARE
}

/// How many vectors a restarted Lanczos may keep of n numbers, where a whole basis would be too large; `None` where it
/// would not.
fn basis(n: i64, wanted: Wanted, kind: Kind, memory: u64) -> Option<usize> {
    let least = least_basis(wanted);
    if !is_large(n, wanted.steps + wanted.top + wanted.bottom, memory) || (n as usize) < least {
        return None;
    }
    let vector = n.unsigned_abs().saturating_mul(kind.elt_size_in_bytes() as u64).max(1);
    Some(((memory / MEMORY_SHARE / vector) as usize).clamp(least, wanted.steps.max(least)))
}

/// The extreme eigenvalues of a symmetric map of n numbers: by a whole basis, or by a short one where that would be too
/// large.
fn extremes(
    n: i64,
    wanted: Wanted,
    kind: Kind,
    rng: &mut Rng,
    (products, cx): (&mut Products, &Context),
) -> Result<Extremes> {
    let times = |rows: &Tensor| products.times(rows);
    match basis(n, wanted, kind, total_memory()) {
        None => with_room(cx, |room| lanczos(n, wanted, room, rng, times)),
        Some(basis) => restarted(n, wanted, basis, kind, rng, times),
    }
}

/// What a trace of so many probes and so many eigenvalues of a model of so many parameters take beside it, one after the
/// other: see [`basis`]; in bytes.
pub fn memory(parameters: i64, (probes, eigenvalues): (usize, usize), precision: Precision) -> u128 {
    let wanted = Wanted {
        top: eigenvalues,
        bottom: eigenvalues,
        tolerance: 1.0,
        steps: most_steps(eigenvalues),
        block: 1,
        sweeps: 1,
    };
    let n = parameters.unsigned_abs() as u128;
    let trace = if probes > 0 { trace_memory(n, probes, kept()) } else { 0 };
    let eigenvalues = match basis(parameters, wanted, precision.kind(), total_memory()) {
        Some(vectors) => n * (vectors as u128 * precision.kind().elt_size_in_bytes() as u128 + 4 * 8),
        None => n * (wanted.steps + 2 * (wanted.top + wanted.bottom)) as u128 * 8,
    };
    eigenvalues.max(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_take_a_share_of_the_memory() {
        const GIB: u64 = 1 << 30;
        for (bytes, memory, expected) in [
            (1000, 16 * GIB, 256),
            // 1 GiB for four copies of 16 MiB each.
            (16 << 20, 16 * GIB, 16),
            (GIB, 16 * GIB, 1),
            (0, GIB, 256),
            (u64::MAX / 8, GIB, 1),
        ] {
            assert_eq!(block_size(bytes, memory), expected, "{bytes} of {memory}");
        }
    }

    #[test]
    fn large_models_have_a_short_basis() {
        const GIB: u64 = 1 << 30;
        let wanted = Wanted { top: 5, bottom: 5, tolerance: 1e-3, steps: 80, block: 1, sweeps: 1 };
        for (n, kind, memory, expected) in [
            (1_000_000, Kind::Float, 24 * GIB, None),
            // 1.5 GiB of 44 MB each.
            (11_000_000, Kind::Float, 24 * GIB, Some(36)),
            (11_000_000, Kind::Double, 24 * GIB, Some(18)),
            // No fewer than are needed.
            (100_000_000, Kind::Float, 24 * GIB, Some(16)),
            (15, Kind::Float, 1, None),
        ] {
            assert_eq!(basis(n, wanted, kind, memory), expected, "{n} {kind:?}");
        }
    }
}
