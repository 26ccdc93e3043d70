//! Double descent (Belkin et al. 2019, Nakkiran et al. 2020): where the error over model size falls, rises
//! to a peak and falls again. Knows curves of numbers, no model and no training.

use super::statistics::slope;
use serde::Serialize;

/// The peak of an error over sizes, with the dip before it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bump {
    /// Indices of the sizes.
    pub dip: usize,
    pub peak: usize,
    /// The lesser of the rise from the dip to the peak and the fall from the peak to the last size.
    pub height: f64,
}

/// The highest bump of a curve; `None` below three sizes, or where none is higher than its dip and the
/// last size. Of a curve that only falls, or only rises, there is none.
pub fn bump(errors: &[f64]) -> Option<Bump> {
    let last = *errors.last()?;
    let mut highest: Option<Bump> = None;
    let mut dip = 0;
    for (peak, &error) in errors.iter().enumerate().skip(1) {
        let height = (error - errors[dip]).min(error - last);
        if height > highest.map_or(0.0, |bump| bump.height) {
            highest = Some(Bump { dip, peak, height });
        }
        if error < errors[dip] {
            dip = peak;
        }
    }
    highest
}

/// The height of the bump for each of several seeds, one curve each, of equal lengths. Dip and peak are those of
/// the mean of the *other* seeds, so that no seed's own noise is taken for a peak; a mean without a bump counts
/// 0. None below two seeds; all NaN where an error is NaN.
pub fn heights(curves: &[Vec<f64>]) -> Vec<f64> {
    if curves.iter().flatten().any(|error| !error.is_finite()) {
        return vec![f64::NAN; curves.len()];
    }
    let height = |(curve, others): (&Vec<f64>, Option<Bump>)| {
        let last = curve.len() - 1;
        others.map_or(0.0, |Bump { dip, peak, .. }| (curve[peak] - curve[dip]).min(curve[peak] - curve[last]))
    };
    curves.iter().zip(bumps_of_others(curves)).map(height).collect()
}

/// Where the peak is of the mean without each seed in turn, where that has one.
pub fn peaks(curves: &[Vec<f64>]) -> Vec<usize> {
    bumps_of_others(curves).into_iter().flatten().map(|bump| bump.peak).collect()
}

/// For each curve the bump of the mean of the others; none below two curves.
fn bumps_of_others(curves: &[Vec<f64>]) -> Vec<Option<Bump>> {
    if curves.len() < 2 {
        return Vec::new();
    }
    let without = |own: usize| -> Vec<&Vec<f64>> {
        curves.iter().enumerate().filter(|(index, _)| *index != own).map(|(_, curve)| curve).collect()
    };
    (0..curves.len()).map(|own| bump(&mean_curve(&without(own)))).collect()
}

/// Mean at each size.
pub fn mean_curve<C: AsRef<[f64]>>(curves: &[C]) -> Vec<f64> {
    let sizes = curves.iter().map(|curve| curve.as_ref().len()).min().unwrap_or(0);
    (0..sizes).map(|at| curves.iter().map(|curve| curve.as_ref()[at]).sum::<f64>() / curves.len() as f64).collect()
}

/// What is left of the slope of the smaller networks beyond them; NaN where those gain nothing.
pub fn share_of_slope(small: &[(f64, f64)], large: &[(f64, f64)]) -> f64 {
    let gains = slope(small).filter(|slope| *slope > 0.0);
    gains.zip(slope(large)).map_or(f64::NAN, |(gains, beyond)| beyond / gains)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All pairs of indices, tried out.
    fn slow_height(errors: &[f64]) -> f64 {
        let mut highest: f64 = 0.0;
        for peak in 0..errors.len() {
            for dip in 0..peak {
                highest = highest.max((errors[peak] - errors[dip]).min(errors[peak] - errors[errors.len() - 1]));
            }
        }
        highest
    }

    #[test]
    fn a_bump_is_what_trying_all_places_finds() {
        let classic = [0.6, 0.3, 0.2, 0.35, 0.4, 0.3, 0.25];
        let found = bump(&classic).unwrap();
        assert_eq!((found.dip, found.peak), (2, 4));
        assert!((found.height - 0.15).abs() < 1e-12);
        assert_eq!(bump(&[0.5, 0.4, 0.3]), None);
        assert_eq!(bump(&[0.3, 0.4, 0.5]), None);
        assert_eq!(bump(&[]), None);
        // A pseudo-random walk of every length.
        let mut state = 1u32;
        for n in 0..40 {
            let curve: Vec<f64> = (0..n)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    f64::from(state >> 16)
                })
                .collect();
            assert_eq!(bump(&curve).map_or(0.0, |bump| bump.height), slow_height(&curve), "{curve:?}");
        }
    }

    #[test]
    fn a_seeds_own_noise_is_no_peak() {
        // Each seed has a spike of its own on a flat line: no bump of one height in all.
        let spike = |at: usize| (0..9).map(|index| f64::from(u8::from(index == at))).collect::<Vec<f64>>();
        // The mean of the others peaks where this one is flat.
        assert_eq!(heights(&[spike(2), spike(4), spike(6)]), [0.0, 0.0, 0.0]);
        let shared: Vec<Vec<f64>> = (0..3).map(|_| spike(4)).collect();
        assert_eq!((heights(&shared), peaks(&shared)), (vec![1.0; 3], vec![4; 3]));
        assert_eq!((heights(&shared[..1]), peaks(&shared[..1])), (Vec::new(), Vec::new()));
        // No peak at all counts 0 and has no index; a NaN stays NaN.
        let falling: Vec<Vec<f64>> = (0..3).map(|_| vec![3.0, 2.0, 1.0]).collect();
        assert_eq!((heights(&falling), peaks(&falling)), (vec![0.0; 3], Vec::new()));
        let mut unknown = shared.clone();
        unknown[1][4] = f64::NAN;
        assert!(heights(&unknown).iter().all(|height| height.is_nan()));
    }

    #[test]
    fn what_is_left_of_a_slope_is_a_share_or_no_number() {
        let line =
            |slope: f64, from: i32| (from..from + 4).map(|x| (f64::from(x), slope * f64::from(x))).collect::<Vec<_>>();
        assert!((share_of_slope(&line(2.0, 0), &line(0.5, 10)) - 0.25).abs() < 1e-12);
        assert!((share_of_slope(&line(2.0, 0), &line(-1.0, 10)) + 0.5).abs() < 1e-12);
        assert_eq!(share_of_slope(&line(2.0, 0), &line(0.0, 10)), 0.0);
        for (small, large) in [
            (line(0.0, 0), line(1.0, 9)),
            (line(-1.0, 0), line(1.0, 9)),
            (line(1.0, 0), line(1.0, 9)[..1].to_vec()),
            (Vec::new(), line(1.0, 0)),
        ] {
            assert!(share_of_slope(&small, &large).is_nan(), "{small:?} {large:?}");
        }
    }
}
