//! The straight line through two solutions, θ(α) = (1-α)θ₁ + αθ₂ (Goodfellow et al. 2015; Keskar
//! et al. 2017 between a small-batch and a large-batch one).

use super::statistics::highest;
use tch::Tensor;

/// θ(α), in the kind of θ₁ and θ₂, both [parameters]. θ(0) is θ₁ and θ(1) is θ₂ to the bit, whatever
/// the other holds: a diverged one (not finite) makes all points but the other's own not finite.
pub fn point(theta_1: &Tensor, theta_2: &Tensor, alpha: f64) -> Tensor {
    match alpha {
        0.0 => theta_1.copy(),
        1.0 => theta_2.copy(),
        _ => theta_1 * (1.0 - alpha) + theta_2 * alpha,
    }
}

/// `alphas` in ascending order with 0 and 1, the two solutions, always among them.
pub fn with_solutions(mut alphas: Vec<f64>) -> Vec<f64> {
    for solution in [0.0, 1.0] {
        // An evenly spaced α may miss it by rounding.
        match alphas.iter_mut().find(|alpha| (**alpha - solution).abs() < 1e-12) {
            Some(alpha) => *alpha = solution,
            None => alphas.push(solution),
        }
    }
    alphas.sort_by(f64::total_cmp);
    alphas
}

/// The height of the barrier on the segment between two solutions: the largest value of
/// L(θ(α)) - [(1-α) L(θ₁) + α L(θ₂)] over the given α in [0, 1], with `losses` at `alphas` (Frankle et al.
/// 2020 with the loss in the error's place). At least 0, as it is 0 at both ends; the finer the α, the
/// closer to the segment's own. `None` where a loss on the segment is NaN, or an end is missing.
pub fn barrier(alphas: &[f64], losses: &[f64]) -> Option<f64> {
    highest_rise(alphas, losses, |alpha, first, second| (1.0 - alpha) * first + alpha * second)
}

/// The hill on the segment: the highest error, or loss, minus that of the worse end, at least 0. Between ends of like error
/// it is the error barrier of Frankle et al. 2020, who measure from the mean of both: between unlike ones a line that never
/// rises would have a barrier of half their difference. `None` likewise.
pub fn hill(alphas: &[f64], errors: &[f64]) -> Option<f64> {
    highest_rise(alphas, errors, |_, first, second| first.max(second))
}

/// The same of accuracies, by the errors that they leave.
pub fn error_hill(alphas: &[f64], accuracies: &[f64]) -> Option<f64> {
    hill(alphas, &accuracies.iter().map(|accuracy| 1.0 - accuracy).collect::<Vec<_>>())
}

/// The value at one of the given α, such as a solution's.
pub fn at(alphas: &[f64], values: &[f64], alpha: f64) -> Option<f64> {
    alphas.iter().position(|own| *own == alpha).and_then(|place| values.get(place).copied())
}

/// The largest of the values at α in [0, 1] above what is `expected` there of α and the values at both ends.
fn highest_rise(alphas: &[f64], values: &[f64], expected: impl Fn(f64, f64, f64) -> f64) -> Option<f64> {
    let (first, second) = (at(alphas, values, 0.0)?, at(alphas, values, 1.0)?);
    let on_segment = alphas.iter().zip(values).filter(|(alpha, _)| (0.0..=1.0).contains(*alpha));
    let rises: Vec<f64> = on_segment.map(|(alpha, value)| value - expected(*alpha, first, second)).collect();
    highest(&rises).filter(|rise| !rise.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_on_the_line_and_the_solutions_on_themselves() {
        let (one, two) = (Tensor::from_slice(&[1.0f32, -0.3, 5.0]), Tensor::from_slice(&[3.0f32, 0.1, f32::NAN]));
        assert_eq!(point(&one, &two, 0.0), one);
        assert!(point(&one, &two, 1.0).allclose(&two, 0.0, 0.0, true));
        for (alpha, expected) in [(0.25, [1.5, -0.2]), (-1.0, [-1.0, -0.7]), (20.0, [41.0, 7.7])] {
            let found: Vec<f64> = point(&one, &two, alpha).to_kind(tch::Kind::Double).try_into().unwrap();
            assert!((found[0] - expected[0]).abs() < 1e-5 && (found[1] - expected[1]).abs() < 1e-5, "{found:?}");
            assert!(found[2].is_nan());
        }
    }

    #[test]
    fn both_solutions_are_among_the_alphas_once() {
        assert_eq!(with_solutions(vec![0.0, 0.5, 1.0]), [0.0, 0.5, 1.0]);
        assert_eq!(with_solutions(vec![-0.5, 0.1 + 0.2 - 0.3, 1.0 - 1e-16]), [-0.5, 0.0, 1.0]);
        assert_eq!(with_solutions(vec![2.0, 3.0]), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(with_solutions(vec![0.2, 0.8]), [0.0, 0.2, 0.8, 1.0]);
        assert_eq!(with_solutions(vec![-0.0, 1.0])[0].to_bits(), 0.0f64.to_bits());
    }

    #[test]
    fn a_hill_is_the_rise_above_the_worse_end() {
        let alphas = [-1.0, 0.0, 0.5, 1.0, 2.0];
        assert_eq!(hill(&alphas, &[0.9, 0.25, 0.5, 0.0, 0.9]), Some(0.25));
        assert_eq!(hill(&alphas, &[0.9, 0.25, 0.5, 0.25, 0.9]), Some(0.25));
        // From one end to the other without a rise, and a valley.
        assert_eq!(hill(&alphas, &[0.9, 0.8, 0.79, 0.2, 0.9]), Some(0.0));
        assert_eq!(hill(&alphas, &[f64::NAN, 0.25, 0.0, 0.25, f64::NAN]), Some(0.0));
        assert_eq!(hill(&alphas, &[0.0, 0.0, f64::NAN, 0.0, 0.0]), None);
        assert_eq!(hill(&alphas, &[0.0, f64::NAN, 0.5, 0.0, 0.0]), None);
        assert_eq!(hill(&alphas[..3], &[0.0, 0.0, 0.1]), None);
    }

    #[test]
    fn a_barrier_is_the_rise_above_the_chord() {
        // 4α(1-α) on a chord from 1 to 3, and far higher outside the segment.
        let alphas: Vec<f64> = (-4..=8).map(|i| f64::from(i) / 4.0).collect();
        let loss = |alpha: &f64| {
            let hill = if (0.0..=1.0).contains(alpha) { 4.0 * alpha * (1.0 - alpha) } else { 100.0 };
            1.0 + 2.0 * alpha + hill
        };
        let losses: Vec<f64> = alphas.iter().map(loss).collect();
        assert!((barrier(&alphas, &losses).unwrap() - 1.0).abs() < 1e-12);
        // A valley is no barrier.
        assert_eq!(barrier(&[0.0, 0.5, 1.0], &[1.0, 0.2, 2.0]), Some(0.0));
        assert_eq!(barrier(&[0.0, 0.5, 1.0], &[1.0, f64::NAN, 2.0]), None);
        assert_eq!(barrier(&[-1.0, 0.0, 0.5, 1.0], &[f64::NAN, 1.0, 2.5, 2.0]), Some(1.0));
        assert_eq!(barrier(&[0.0, 0.5, 1.0], &[1.0, f64::INFINITY, 2.0]), Some(f64::INFINITY));
        assert_eq!(barrier(&[0.0, 0.5], &[1.0, 2.0]), None);
    }
}
