//! One pass of Adam over all parameters. Knows numbers only.

use super::{arch, pieces};

/// Parameters of a piece of work: what one core does in some twenty microseconds.
const PIECE: usize = 1 << 16;

/// Moments below this are 0. Where a unit has died its gradients are 0 and its moments decay until they are
/// subnormal, and stay so: processors then take ten times as long for all of Adam. What is lost is a step of some
/// ten times TINY/ε of the learning rate.
const TINY: f32 = 1e-30;
const ROOT_OF_TINY: f32 = 1e-15;

#[inline(always)]
fn or_zero(value: f32, least: f32) -> f32 {
    // A NaN stays.
    if value.abs() < least { 0.0 } else { value }
}

/// What one step of Adam needs besides its four vectors.
#[derive(Clone, Copy)]
pub struct Step {
    pub beta_1: f64,
    pub beta_2: f64,
    /// √(1-β₂ᵗ).
    pub root_of_correction: f64,
    /// η/(1-β₁ᵗ).
    pub step_size: f64,
    pub epsilon: f64,
}

impl Step {
    /// m ← m + (1-β₁)(g - m); v ← β₂v + (1-β₂)g²; θ ← θ - step_size · m / (√v/root_of_correction + ε).
    ///
    /// # Panics
    /// Where the lengths differ.
    pub fn run(&self, theta: &mut [f32], gradient: &[f32], mean: &mut [f32], mean_of_squares: &mut [f32]) {
        let n = theta.len();
        assert!(gradient.len() == n && mean.len() == n && mean_of_squares.len() == n);
        let Self { beta_1, beta_2, root_of_correction, step_size, epsilon } = *self;
        // Of the exact β: 1 - 0.999 in float32 is off by 1e-5 of itself.
        let (rest_1, rest_2) = ((1.0 - beta_1) as f32, (1.0 - beta_2) as f32);
        // Multiplied, as a division takes many times as long.
        let (beta_2, correction) = (beta_2 as f32, (1.0 / root_of_correction) as f32);
        let (step_size, epsilon) = (step_size as f32, epsilon as f32);
        let moments = mean.chunks_mut(PIECE).zip(mean_of_squares.chunks_mut(PIECE));
        let theta = theta.chunks_mut(PIECE).zip(gradient.chunks(PIECE));
        let mut parts: Vec<_> = theta.zip(moments).collect();
        let arch = arch();
        pieces::for_each(&mut parts, |_, ((theta, gradient), (mean, mean_of_squares))| {
            arch.dispatch(
                #[inline(always)]
                || {
                    let moments = mean.iter_mut().zip(mean_of_squares.iter_mut());
                    for ((theta, gradient), (mean, square)) in theta.iter_mut().zip(*gradient).zip(moments) {
                        *mean = or_zero(*mean + rest_1 * (gradient - *mean), TINY);
                        let gradient = or_zero(*gradient, ROOT_OF_TINY);
                        *square = or_zero(beta_2 * *square + rest_2 * gradient * gradient, TINY);
                        *theta -= step_size * *mean / (square.sqrt() * correction + epsilon);
                    }
                },
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_gradients_that_vanish_are_never_subnormal() {
        for last in [0.0, 1e-20, 1e-25, 1e-42] {
            let mut gradient: Vec<f32> = (1..=100).map(|i| 1e-6 * i as f32).collect();
            let [mut theta, mut mean, mut squares] = [0.5, 0.0, 0.0].map(|value| vec![value; 100]);
            for t in 1..=3000 {
                let step = Step {
                    beta_1: 0.9,
                    beta_2: 0.9,
                    root_of_correction: (1.0 - 0.9f64.powi(t)).sqrt(),
                    step_size: 1e-3 / (1.0 - 0.9f64.powi(t)),
                    epsilon: 1e-8,
                };
                step.run(&mut theta, &gradient, &mut mean, &mut squares);
                assert!(mean.iter().chain(&squares).all(|moment| !moment.is_subnormal()), "step {t} of {last}");
                gradient.fill(last);
            }
            // Steps that count are those of the first gradients.
            assert!(theta.iter().all(|theta| (0.49..0.5).contains(theta)), "{theta:?}");
        }
        let [mut theta, mut mean, mut squares] = [[0.5f32], [0.0], [0.0]];
        let step = Step { beta_1: 0.9, beta_2: 0.999, root_of_correction: 1.0, step_size: 1e-3, epsilon: 1e-8 };
        step.run(&mut theta, &[f32::NAN], &mut mean, &mut squares);
        assert!(theta[0].is_nan() && mean[0].is_nan() && squares[0].is_nan());
    }
}
