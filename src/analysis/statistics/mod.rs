//! Tests and intervals over repeated trials. Knows numbers, no study and no verdict.

mod correlation;
mod estimate;
mod order;
mod sign_test;

pub use correlation::{interval_of_correlation, slope, spearman, spearman_with_interval, trend, trend_over_epochs};
pub use estimate::{Estimate, half_of_share, mean, mean_of_more, mean_of_several, share, t_quantile};
pub use order::{finite_ends, highest, larger, lowest, quantile};
pub use sign_test::{PairedComparison, ln_sign_test, shown_p, sign_test};

/// Verdicts are given at this level, and intervals hold what is left of it: 95 %.
pub const LEVEL: f64 = 0.05;

/// Fewer cases decide nothing: of four that all agree a fair coin makes one series in sixteen, and an
/// interval over fewer rests on its assumptions alone.
pub const FEWEST: usize = 5;

/// From this correlation on two numbers rank cases alike.
pub const RANKED_ALIKE: f64 = 0.9;

/// The 97.5 % quantile of the standard normal distribution.
const NORMAL: f64 = 1.959_963_984_540_054;

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use std::fmt;

    /// tests/goldens/statistics.json, made by tests/goldens/statistics.py with scipy.
    #[derive(Deserialize)]
    pub struct Goldens {
        pub sign_tests: Vec<(usize, usize, f64)>,
        pub ln_sign_tests: Vec<(usize, usize, f64)>,
        pub means: Vec<MeanGolden>,
        pub shares: Vec<(usize, usize, f64, f64)>,
        pub t_quantiles: Vec<(usize, f64, f64)>,
        pub correlations: Vec<PairsGolden>,
        pub slopes: Vec<PairsGolden>,
    }

    #[derive(Deserialize)]
    pub struct MeanGolden {
        pub values: Vec<f64>,
        pub mean: f64,
        /// Quantities, lower end, upper end.
        pub intervals: Vec<(usize, f64, f64)>,
    }

    /// Pairs, and what is asked of them; infinity is a string there.
    #[derive(Deserialize)]
    pub struct PairsGolden {
        x: Vec<serde_json::Value>,
        y: Vec<serde_json::Value>,
        #[serde(alias = "spearman", alias = "slope")]
        pub expected: f64,
    }

    impl PairsGolden {
        pub fn pairs(&self) -> Vec<(f64, f64)> {
            let number = |value: &serde_json::Value| value.as_f64().unwrap_or(f64::INFINITY);
            self.x.iter().map(number).zip(self.y.iter().map(number)).collect()
        }
    }

    pub fn goldens() -> Goldens {
        serde_json::from_str(include_str!("../../../tests/goldens/statistics.json")).unwrap()
    }

    pub fn assert_near(found: f64, expected: f64, relative: f64, what: &dyn fmt::Debug) {
        let error = (found - expected).abs();
        assert!(error <= relative * expected.abs().max(1e-300), "{what:?}: {found:e} against {expected:e}");
    }
}
