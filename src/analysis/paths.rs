//! Paths of several trainings in one plane: whether they leave the place where they start, and how far from the origin
//! they are. Knows points, no weights.

/// Points (x, y) one after another.
pub type Path = Vec<(f64, f64)>;

/// A path's first and last point, by their distances from the middle of the cluster that the first points of all make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ends {
    pub first: f64,
    pub last: f64,
}

impl Ends {
    /// Whether it leaves the cluster: its last point is more than twice as far from the middle as its own first one.
    pub fn leave(&self) -> bool {
        self.last > 2.0 * self.first
    }
}

/// Of each path; `None` where a place is no number, or there is none.
pub fn from_their_cluster(paths: &[Path]) -> Vec<Option<Ends>> {
    let starts: Vec<(f64, f64)> = paths.iter().filter_map(|path| path.first().copied()).collect();
    let n = starts.len() as f64;
    let middle = starts.iter().fold((0.0, 0.0), |sum, start| (sum.0 + start.0 / n, sum.1 + start.1 / n));
    let distance = |point: &(f64, f64)| (point.0 - middle.0).hypot(point.1 - middle.1);
    let ends = |path: &Path| {
        let (first, last) = (distance(path.first()?), distance(path.last()?));
        (first.is_finite() && last.is_finite()).then_some(Ends { first, last })
    };
    paths.iter().map(ends).collect()
}

/// Mean distance of a path's points from the origin; NaN where it has none.
pub fn mean_distance(path: &[(f64, f64)]) -> f64 {
    path.iter().map(|point| point.0.hypot(point.1)).sum::<f64>() / path.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leave_their_cluster(paths: &[Path]) -> Vec<Option<bool>> {
        from_their_cluster(paths).iter().map(|ends| Some(ends.as_ref()?.leave())).collect()
    }

    #[test]
    fn a_path_leaves_the_cluster_by_twice_its_own_distance() {
        // The first points' middle is (0, 0), each at a distance of 1.
        let found = leave_their_cluster(&[vec![(1.0, 0.0), (2.1, 0.0)], vec![(-1.0, 0.0), (0.0, 1.9)]]);
        assert_eq!(found, [Some(true), Some(false)]);
        let ends = from_their_cluster(&[vec![(1.0, 0.0), (0.0, 3.0)], vec![(-1.0, 0.0)]]);
        assert_eq!(ends, [Ends { first: 1.0, last: 3.0 }, Ends { first: 1.0, last: 1.0 }].map(Some));
        // One point alone goes nowhere.
        let found = leave_their_cluster(&[vec![(1.0, 0.0)], vec![(-1.0, 0.0), (0.0, -2.0)]]);
        assert_eq!(found, [Some(false); 2]);
        let unknown = leave_their_cluster(&[vec![(1.0, 0.0), (f64::NAN, 0.0)], vec![(-1.0, 0.0), (5.0, 0.0)]]);
        assert_eq!(unknown, [None, Some(true)]);
        assert_eq!(leave_their_cluster(&[vec![], vec![(1.0, 1.0), (3.0, 1.0)]])[0], None);
    }

    #[test]
    fn distances_are_euclidean() {
        assert!((mean_distance(&[(3.0, 4.0), (0.0, 1.0)]) - 3.0).abs() < 1e-12);
        assert!(mean_distance(&[]).is_nan());
    }
}
