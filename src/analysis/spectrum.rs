//! What a Hessian's spectrum shows: its outliers, and its density as a curve. Knows numbers only.

use super::curvature::Density;
use crate::data::functions::evenly_spaced;

/// How many of some eigenvalues, descending, lie above the widest gap, as a ratio of neighbours. `None` where no two
/// neighbours have a ratio.
pub fn outliers(descending: &[f64]) -> Option<usize> {
    let ratio = |pair: &[f64]| if pair[1] > 0.0 { pair[0] / pair[1] } else { f64::NAN };
    let ratios = descending.windows(2).map(ratio).enumerate().filter(|(_, ratio)| ratio.is_finite());
    ratios.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(index, _)| index + 1)
}

/// The density of `nodes` (eigenvalue and weight, ascending) with each widened to a Gaussian of 1/200 of the range: the
/// pieces of its curve that lie above `least`.
pub fn smoothed(nodes: &[(f64, f64)], least: f64) -> Vec<Vec<(f64, f64)>> {
    let (Some(low), Some(high)) = (nodes.first(), nodes.last()) else { return Vec::new() };
    let width = ((high.0 - low.0) / 200.0).max(f64::MIN_POSITIVE);
    let density = Density { nodes: nodes.to_vec() };
    let grid = evenly_spaced([low.0 - 4.0 * width, high.0 + 4.0 * width], 1000);
    let values = density.smoothed(&grid, width).unwrap_or_default();
    pieces_above(least, &grid.into_iter().zip(values).collect::<Vec<_>>())
}

/// The pieces of a curve that lie above `least`, with the neighbour on either side at `least` itself, where a spike
/// reaches down to it: between spikes there is nothing to see.
fn pieces_above(least: f64, points: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
    let near = |at: usize| points[at.saturating_sub(1)..points.len().min(at + 2)].iter().any(|(_, y)| *y > least);
    let places: Vec<usize> = (0..points.len()).collect();
    let pieces = places.chunk_by(|&a, &b| near(a) == near(b)).filter(|piece| near(piece[0]));
    pieces.map(|piece| piece.iter().map(|&at| (points[at].0, points[at].1.max(least))).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_lie_above_the_widest_gap() {
        assert_eq!(outliers(&[100.0, 90.0, 80.0, 2.0, 1.9, 1.5]), Some(3));
        assert_eq!(outliers(&[100.0, 1.0]), Some(1));
        // The gap is a ratio, not a difference; what lies below 0 has none.
        assert_eq!(outliers(&[100.0, 60.0, 5.0, 0.1, -3.0]), Some(3));
        assert_eq!(outliers(&[5.0, -1.0]), None);
        assert_eq!(outliers(&[f64::NAN, f64::NAN, f64::NAN]), None);
        assert_eq!(outliers(&[1.0]), None);
        assert_eq!(outliers(&[]), None);
    }

    #[test]
    fn pieces_reach_down_on_both_sides() {
        let curve = [0.0, 0.0, 2.0, 3.0, 0.5, 0.0, 0.0, 4.0];
        let points: Vec<(f64, f64)> = (0..).map(f64::from).zip(curve).collect();
        let pieces = pieces_above(1.0, &points);
        assert_eq!(pieces, [vec![(1.0, 1.0), (2.0, 2.0), (3.0, 3.0), (4.0, 1.0)], vec![(6.0, 1.0), (7.0, 4.0)]]);
        assert!(pieces_above(9.0, &points).is_empty() && pieces_above(1.0, &[]).is_empty());
    }

    #[test]
    fn two_nodes_far_apart_are_two_spikes_with_their_weights() {
        let pieces = smoothed(&[(0.0, 0.75), (1.0, 0.25)], 1e-7);
        assert_eq!(pieces.len(), 2);
        for (piece, weight) in pieces.iter().zip([0.75, 0.25]) {
            let area: f64 = piece.windows(2).map(|p| (p[1].0 - p[0].0) * (p[0].1 + p[1].1) / 2.0).sum();
            assert!((area - weight).abs() < 1e-3, "{area}");
        }
        assert!(smoothed(&[], 1e-7).is_empty());
    }
}
