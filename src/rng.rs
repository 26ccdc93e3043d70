//! All randomness of hw1: drawn on the host, keyed, stateless.
//!
//! A generator is a pure function of (seed, trial, purpose, epoch): nothing is shared between threads or carried from
//! one epoch to the next, so results depend neither on the number of workers nor on the device, and a resumed epoch
//! needs no saved state. libtorch's global generator is never used.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};
use sha2::{Digest, Sha256};

/// What a stream of numbers is for; streams of different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Initial weights and biases.
    InitialWeights,
    /// The order of an epoch's samples.
    Permutation,
    /// Labels that are drawn anew, and which.
    RandomLabels,
    /// One built-in digit: its label, its shape and its noise.
    SyntheticDigit,
    /// The same in colour.
    SyntheticColour,
    /// Which samples of a data set are held out, and its order where labels come in runs.
    Split,
    /// The probes and starts of Lanczos and Hutchinson.
    CurvatureProbe,
    /// A direction through θ along which a loss is looked at.
    RandomDirection,
    /// Where a search for the highest loss in a box starts.
    SharpnessStart,
    /// Which of measured points are held out.
    HeldOut,
    /// Which samples of a set are measured on.
    Subset,
}

impl Purpose {
    /// Part of every key: never rename one, or the same seed gives other numbers.
    fn name(self) -> &'static str {
        match self {
            Self::InitialWeights => "initial-weights",
            Self::Permutation => "permutation",
            Self::RandomLabels => "random-labels",
            Self::SyntheticDigit => "synthetic-digit",
            Self::SyntheticColour => "synthetic-colour",
            Self::Split => "split",
            Self::CurvatureProbe => "curvature-probe",
            Self::RandomDirection => "random-direction",
            Self::SharpnessStart => "sharpness-start",
            Self::HeldOut => "held-out",
            Self::Subset => "subset",
        }
    }
}

/// A ChaCha8 stream keyed by SHA-256 over (seed, trial, purpose, epoch).
pub struct Rng(ChaCha8Rng);

impl Rng {
    /// The generator of one purpose in one epoch of one trial.
    ///
    /// `trial` names what shares its randomness: two trials that should start from the same
    /// weights pass the same name and seed.
    pub fn keyed(seed: u64, trial: &str, purpose: Purpose, epoch: u64) -> Self {
        let mut key = Sha256::new();
        key.update(b"hw1 rng 1");
        key.update(seed.to_le_bytes());
        key.update(epoch.to_le_bytes());
        for name in [purpose.name(), trial] {
            // The length keeps ("ab", "c") and ("a", "bc") apart.
            key.update((name.len() as u64).to_le_bytes());
            key.update(name.as_bytes());
        }
        Self(ChaCha8Rng::from_seed(key.finalize().into()))
    }

    /// Uniform in [0, 1), on the grid of 2⁻⁵³. Our own conversion, so that no release of a crate can change it.
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (-53f64).exp2()
    }

    /// Uniform in [low, high).
    pub fn uniform_in(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform in 0..n; 0 for n = 0. The bias, below n·2⁻⁶⁴, is beyond any experiment.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// Bell-shaped with mean 0 and variance 1, within ±3.47: the sum of four 16-bit uniforms.
    /// Plain arithmetic, unlike a true normal's logarithm, whose last bit differs between machines.
    pub fn bell(&mut self) -> f64 {
        let bits = self.0.next_u64();
        let sum: u64 = (0..4).map(|lane| (bits >> (16 * lane)) & 0xffff).sum();
        // Each uniform has variance 1/12, four of them 1/3.
        ((sum + 2) as f64 / 65536.0 - 2.0) * 3f64.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(seed: u64, trial: &str, epoch: u64) -> f64 {
        Rng::keyed(seed, trial, Purpose::InitialWeights, epoch).uniform()
    }

    #[test]
    fn every_part_of_the_key_counts() {
        let base = first(1, "a", 2);
        assert_eq!(base, first(1, "a", 2));
        for other in [first(2, "a", 2), first(1, "b", 2), first(1, "a", 3)] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn values_are_pinned() {
        // The promise "same seed, same bytes" across versions of hw1 and its crates.
        let mut rng = Rng::keyed(0, "pin", Purpose::InitialWeights, 0);
        let drawn = [rng.uniform(), rng.uniform(), rng.uniform()];
        assert_eq!(drawn, [0.115_436_269_601_476_79, 0.004_219_133_834_490_13, 0.592_551_439_344_350_7]);
    }

    #[test]
    fn uniform_has_the_moments_of_a_uniform() {
        let mut rng = Rng::keyed(3, "moments", Purpose::InitialWeights, 0);
        let n = 100_000;
        let draws: Vec<f64> = (0..n).map(|_| rng.uniform_in(-2.0, 4.0)).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
        // Standard errors: 0.0055 of the mean, 0.0085 of the variance.
        assert!((mean - 1.0).abs() < 0.03, "{mean}");
        assert!((variance - 3.0).abs() < 0.05, "{variance}");
        assert!(draws.iter().all(|x| (-2.0..4.0).contains(x)));
    }

    #[test]
    fn bell_has_mean_zero_and_variance_one() {
        let mut rng = Rng::keyed(4, "moments", Purpose::InitialWeights, 0);
        let n = 100_000;
        let draws: Vec<f64> = (0..n).map(|_| rng.bell()).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(n);
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
        // Standard errors: 0.0032 of the mean, 0.0042 of the variance.
        assert!(mean.abs() < 0.016, "{mean}");
        assert!((variance - 1.0).abs() < 0.021, "{variance}");
    }

    #[test]
    fn below_reaches_every_number_about_equally() {
        let mut rng = Rng::keyed(5, "below", Purpose::InitialWeights, 0);
        let mut counts = [0; 7];
        (0..70_000).for_each(|_| counts[rng.below(7)] += 1);
        // Standard error 93.
        assert!(counts.iter().all(|&count: &i32| (count - 10_000).abs() < 450), "{counts:?}");
        assert_eq!(rng.below(1), 0);
    }
}
