//! One pass of Adam over all parameters. Knows numbers only.

use super::{arch, pieces};

/// Parameters of a piece of work: what one core does in some twenty microseconds.
const PIECE: usize = 1 << 16;

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
                        *mean += rest_1 * (gradient - *mean);
                        *square = beta_2 * *square + rest_2 * gradient * gradient;
                        *theta -= step_size * *mean / (square.sqrt() * correction + epsilon);
                    }
                },
            );
        });
    }
}
