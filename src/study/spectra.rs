//! Pictures of a Hessian's spectrum: how many eigenvalues lie where, and both its ends by rank, on symmetric
//! logarithmic axes. Plots numbers; knows no study.

use crate::plot::{Axis, Color, Mark, Panel, Series};
use std::collections::BTreeMap;

/// Eigenvalues within ±10^this of 0 share the middle of the axis.
const LINEAR: i32 = -14;
/// The same of extreme eigenvalues by rank,
const EXTREME_LINEAR: i32 = -8;
/// and of a density, whose nodes do not tell eigenvalues this near to 0 from 0.
const DENSITY_LINEAR: i32 = -4;

const BINS_A_DECADE: f64 = 4.0;

/// How many eigenvalues lie where: bins of a quarter of a decade, and one for all about 0.
pub fn histogram(title: &str, eigenvalues: &[f64]) -> Panel {
    weighted_histogram(title, LINEAR, eigenvalues.iter().map(|&value| (value, 1.0)))
}

/// The same from the nodes of a spectral density, each with how many eigenvalues it counts for.
pub fn density(nodes: impl IntoIterator<Item = (f64, f64)>) -> Panel {
    weighted_histogram("", DENSITY_LINEAR, nodes)
}

/// The largest eigenvalues, from the largest down, and the smallest, from the smallest up, of each of some spectra.
pub fn extremes<'a>(spectra: impl IntoIterator<Item = [&'a [f64]; 2]>) -> Panel {
    let (mut top, mut bottom) = (Vec::new(), Vec::new());
    for [largest, smallest] in spectra {
        let ranked = |values: &'a [f64]| (1..).map(f64::from).zip(values.iter().copied());
        top.extend(ranked(largest));
        bottom.extend(ranked(smallest));
    }
    let series = vec![
        Series::new("largest", Color::Cycle(0), top).mark(Mark::Points),
        Series::new("smallest", Color::Cycle(1), bottom).mark(Mark::Crosses),
    ];
    Panel::plot("", Axis::linear("rank"), eigenvalue_axis(EXTREME_LINEAR), series)
}

fn eigenvalue_axis(linear_power: i32) -> Axis {
    Axis::symlog("eigenvalue of ∇²L", linear_power)
}

fn weighted_histogram(title: &str, linear_power: i32, eigenvalues: impl IntoIterator<Item = (f64, f64)>) -> Panel {
    let series = Series::histogram("", Color::Cycle(0), bins(10f64.powi(linear_power), eigenvalues));
    Panel::plot(title, eigenvalue_axis(linear_power), Axis::log("eigenvalues"), vec![series])
}

/// Bins that hold some of the weighted values, ascending: low edge, high edge, and the sum of weights.
fn bins(linear: f64, weighted: impl IntoIterator<Item = (f64, f64)>) -> Vec<(f64, f64, f64)> {
    let mut sums = BTreeMap::new();
    for (value, weight) in weighted {
        // Bins are numbered outwards from 0, the middle one.
        let bin = match value.abs() {
            small if small < linear => 0,
            large => ((large / linear).log10() * BINS_A_DECADE).floor() as i64 + 1,
        };
        *sums.entry(bin * if value < 0.0 { -1 } else { 1 }).or_insert(0.0) += weight;
    }
    let edge = |bin: i64| linear * 10f64.powf(bin as f64 / BINS_A_DECADE);
    let of_bin = |(bin, sum)| match bin {
        0 => (-linear, linear, sum),
        1.. => (edge(bin - 1), edge(bin), sum),
        _ => (-edge(-bin), -edge(-bin - 1), sum),
    };
    sums.into_iter().map(of_bin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_quarters_of_decades_on_both_sides_of_zero() {
        let weighted = [(0.0, 1.0), (-0.005, 2.0), (0.01, 1.0), (0.017, 3.0), (-1.0, 1.0), (0.5, 0.25)];
        let bins = bins(0.01, weighted);
        let quarter = 10f64.powf(0.25);
        let expected = [
            (-quarter, -1.0, 1.0),
            (-0.01, 0.01, 3.0),
            (0.01, 0.01 * quarter, 4.0),
            (0.01 * quarter.powi(6), 0.01 * quarter.powi(7), 0.25),
        ];
        assert_eq!(bins.len(), expected.len());
        for (bin, expected) in bins.iter().zip(expected) {
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 * b.abs();
            assert!(near(bin.0, expected.0) && near(bin.1, expected.1) && bin.2 == expected.2, "{bin:?} {expected:?}");
        }
        assert!(super::bins(0.01, []).is_empty());
    }
}
