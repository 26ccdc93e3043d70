//! How far a loss rises along slices through a solution: losses at steps along directions. Knows numbers only.

/// Mean rise of the losses at `distance` from the middle above those there, over all slices and both signs; the steps
/// are evenly spaced about 0, and ±`distance` among them. NaN of no slices.
pub fn mean_rise(steps: &[f64], slices: &[&[f64]], distance: f64) -> f64 {
    let points = steps.len();
    let near = steps.first().zip(steps.last()).map_or(0.0, |(low, high)| (high - low) / (4.0 * points as f64));
    let is_there = |t: f64| (t.abs() - distance).abs() < near;
    let there: Vec<usize> = (0..points).filter(|&at| is_there(steps[at])).collect();
    let rises = slices.iter().flat_map(|losses| there.iter().map(|&at| losses[at] - losses[points / 2]));
    let rises: Vec<f64> = rises.collect();
    rises.iter().sum::<f64>() / rises.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::functions::evenly_spaced;

    #[test]
    fn a_rise_is_the_mean_over_directions_and_signs() {
        for points in [11, 21, 41, 101] {
            let steps = evenly_spaced([-1.0, 1.0], points);
            let bowl: Vec<f64> = steps.iter().map(|t| 7.0 + 3.0 * t * t).collect();
            let tilted: Vec<f64> = steps.iter().map(|t| 1.0 + 5.0 * t + t * t).collect();
            assert!((mean_rise(&steps, &[&bowl], 0.2) - 0.12).abs() < 1e-12);
            assert!((mean_rise(&steps, &[&bowl, &tilted], 0.2) - 0.08).abs() < 1e-12);
            assert!((mean_rise(&steps, &[&bowl], 1.0) - 3.0).abs() < 1e-12);
        }
        // Whatever the range is.
        let steps = evenly_spaced([-1e-3, 1e-3], 5);
        let bowl: Vec<f64> = steps.iter().map(|t| 7.0 + 3e6 * t * t).collect();
        assert!((mean_rise(&steps, &[&bowl], 5e-4) - 0.75).abs() < 1e-9);
        assert!(mean_rise(&[-1.0, 0.0, 1.0], &[], 1.0).is_nan());
        assert!(mean_rise(&[], &[], 0.2).is_nan());
        assert!(mean_rise(&[-1.0, 0.0, 1.0], &[&[f64::NAN, 0.0, 1.0]], 1.0).is_nan());
    }
}
