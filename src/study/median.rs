//! Many curves as one: their median, and the band that holds the middle 80 % of them; and a ragged one as its lowest
//! so far.

use super::experiment::{Done, Experiment};
use crate::analysis::statistics::quantile;
use crate::plot::{Axis, Color, Panel, Series};
use anyhow::Result;

/// Band, then median, at each step from x = `first` on. A curve that has ended stays where it was; values that are
/// not finite are left out, and counted.
pub fn median_with_band<C: AsRef<[f64]>>(curves: &[C], first: usize) -> Vec<Series> {
    let curves = || curves.iter().map(AsRef::as_ref);
    let steps = curves().map(<[f64]>::len).max().unwrap_or(0);
    let (mut median, mut band) = (Vec::new(), Vec::new());
    for step in 0..steps {
        let now: Vec<f64> = curves().filter_map(|curve| curve.get(step).or(curve.last()).copied()).collect();
        if let [Some(low), Some(middle), Some(high)] = [0.1, 0.5, 0.9].map(|share| quantile(&now, share)) {
            let x = (step + first) as f64;
            median.push((x, middle));
            band.push((x, low, high));
        }
    }
    let left_out = curves().flatten().filter(|value| !value.is_finite()).count();
    vec![Series::band("", Color::Cycle(0), band), Series::new("", Color::Cycle(0), median).left_out(left_out)]
}

/// The lowest value so far at each place of a curve; NaN counts for none.
pub fn running_minimum(values: &[f64]) -> Vec<f64> {
    let mut lowest = f64::INFINITY;
    let so_far = |value: &f64| {
        lowest = lowest.min(*value);
        lowest
    };
    values.iter().map(so_far).collect()
}

/// A panel of one series of all trials over the epochs, each taken before the epoch's step.
pub fn over_epochs<E: Experiment>(y: Axis, done: &[Done<E>], name: &str) -> Result<Panel> {
    let curves = done.iter().map(|done| done.measured().series(name)).collect::<Result<Vec<_>>>()?;
    Ok(Panel::plot("", Axis::linear("epoch"), y, median_with_band(&curves, 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_band_holds_the_middle_eight_tenths() {
        let mut curves: Vec<Vec<f64>> = (0..=10).map(|value| vec![f64::from(value), 1.0]).collect();
        // It ended at 10, and stays there.
        curves[10].pop();
        curves[0][1] = f64::NAN;
        let shown = median_with_band(&curves, 1);
        assert_eq!(shown[0].points[..2], [(1.0, 1.0), (1.0, 9.0)]);
        assert_eq!(shown[1].points, [(1.0, 5.0), (2.0, 1.0)]);
        assert_eq!(shown[1].not_finite(), 1);
        let none: [&[f64]; 0] = [];
        assert!(median_with_band(&none, 0)[1].points.is_empty());
    }

    #[test]
    fn a_running_minimum_never_rises() {
        assert_eq!(running_minimum(&[3.0, 4.0, f64::NAN, 1.0, 2.0]), [3.0, 3.0, 3.0, 1.0, 1.0]);
    }
}
