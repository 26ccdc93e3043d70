//! Curves thinned to what a screen can show: of each column of pixels the first point, the lowest, the highest and the last, so
//! that the drawn line is the same (M4: Jugel, Jerzak, Hackenbroich and Markl, 2014). Knows points, no figure.

use crate::plot::{Mark, Scale};

/// As many columns as a large screen has for a figure.
const COLUMNS: usize = 1500;
/// Curves of fewer points stay as they are.
const FEW: usize = 4 * COLUMNS;

/// A line's points; those of a cloud or a path, and of a line that goes back and forth, stay as they are.
pub(super) fn thinned(points: &[(f64, f64)], scale: Scale, mark: Mark) -> Vec<(f64, f64)> {
    let is_line = matches!(mark, Mark::Line | Mark::Dashed | Mark::Thin | Mark::LinePoints);
    let columns = is_line.then(|| columns(points, |point| point.0, scale)).flatten();
    let Some(columns) = columns else { return points.to_vec() };
    let mut kept = Vec::new();
    for column in columns {
        let by_y = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let shown = || column.iter().filter(|point| point.1.is_finite());
        let mut places: Vec<usize> = [column.first(), shown().min_by(by_y), shown().max_by(by_y), column.last()]
            .into_iter()
            .flatten()
            // What is not finite interrupts the line.
            .chain(column.iter().find(|point| !point.1.is_finite()))
            .filter_map(|point| column.iter().position(|other| std::ptr::eq(point, other)))
            .collect();
        places.sort_unstable();
        places.dedup();
        kept.extend(places.into_iter().map(|place| column[place]));
    }
    kept
}

/// A band's `[x, lower, upper]`: of each column its lowest and its highest edge, at its first point.
pub(super) fn thinned_band(edges: &[[f64; 3]], scale: Scale) -> Vec<[f64; 3]> {
    let Some(columns) = columns(edges, |edge| edge[0], scale) else { return edges.to_vec() };
    let widest = |column: &[[f64; 3]]| {
        // `min` and `max` pass over what is no number.
        let lower = column.iter().map(|edge| edge[1]).fold(f64::NAN, f64::min);
        [column[0][0], lower, column.iter().map(|edge| edge[2]).fold(f64::NAN, f64::max)]
    };
    columns.into_iter().map(widest).collect()
}

/// The points of each column of pixels; `None` where there is nothing to thin, or x does not rise.
fn columns<T>(points: &[T], x: impl Fn(&T) -> f64, scale: Scale) -> Option<Vec<&[T]>> {
    let at = |point: &T| scale.transform(x(point));
    if points.len() <= FEW || !points.is_sorted_by(|a, b| x(a) <= x(b)) {
        return None;
    }
    let (first, last) = (points.iter().find_map(at)?, points.iter().rev().find_map(at)?);
    let column = |point: &T| at(point).map(|at| ((at - first) / (last - first) * COLUMNS as f64) as usize);
    Some(points.chunk_by(|a, b| column(a) == column(b)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn column(x: f64, [first, last]: [f64; 2], scale: Scale) -> usize {
        let [x, first, last] = [x, first, last].map(|x| scale.transform(x).unwrap());
        ((x - first) / (last - first) * COLUMNS as f64) as usize
    }

    /// What each column of pixels shows, by the slow and obvious way.
    fn shown(points: &[(f64, f64)], ends: [f64; 2], scale: Scale) -> BTreeMap<usize, [u64; 4]> {
        let mut columns = BTreeMap::<usize, Vec<f64>>::new();
        points.iter().for_each(|&(x, y)| columns.entry(column(x, ends, scale)).or_default().push(y));
        let of = |ys: Vec<f64>| {
            let finite = || ys.iter().copied().filter(|y| y.is_finite());
            let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
            [ys[0], low, high, ys[ys.len() - 1]].map(f64::to_bits)
        };
        columns.into_iter().map(|(column, ys)| (column, of(ys))).collect()
    }

    #[test]
    fn a_thinned_line_shows_the_same_in_each_column_of_pixels() {
        for (count, scale, wave) in [
            (100_000, Scale::Linear, 7919),
            (20_000, Scale::Log, 31),
            (6001, Scale::Linear, 2),
            (6001, Scale::SymLog(1), 9),
        ] {
            let y = |i: i32| if i % 1013 == 500 { f64::NAN } else { f64::from(i * wave % 10_007) };
            let points: Vec<_> = (1..=count).map(|i| (f64::from(i), y(i))).collect();
            let kept = thinned(&points, scale, Mark::Line);
            let ends = [1.0, f64::from(count)];
            assert_eq!(shown(&kept, ends, scale), shown(&points, ends, scale), "{count} {scale:?}");
            assert!(kept.len() <= 5 * (COLUMNS + 1) && kept.is_sorted_by(|a, b| a.0 < b.0), "{}", kept.len());
            assert!(count != 100_000 || kept.iter().any(|point| point.1.is_nan()), "a gap stays");
        }
    }

    #[test]
    fn a_thinned_band_is_as_wide_in_each_column() {
        let edges: Vec<_> =
            (0..50_000).map(|i| [f64::from(i), f64::from(i * 7 % 11), f64::from(i * 13 % 1009)]).collect();
        let kept = thinned_band(&edges, Scale::Linear);
        assert!(kept.len() <= COLUMNS + 1);
        for edge in &kept {
            let at = column(edge[0], [0.0, 49_999.0], Scale::Linear);
            let same = edges.iter().filter(|other| column(other[0], [0.0, 49_999.0], Scale::Linear) == at);
            let (low, high) =
                same.fold((f64::INFINITY, 0.0), |(low, high), of| (f64::min(low, of[1]), f64::max(high, of[2])));
            assert_eq!([edge[1], edge[2]], [low, high]);
        }
    }

    #[test]
    fn few_points_clouds_paths_and_what_goes_back_stay_as_they_are() {
        let many: Vec<_> = (0..9000).map(|i| (f64::from(i), 1.0)).collect();
        let back: Vec<_> = many.iter().rev().copied().collect();
        for (points, mark) in [
            (&many[..6000], Mark::Line),
            (&many, Mark::Points),
            (&many, Mark::Path),
            (&back, Mark::Line),
            (&[], Mark::Line),
        ] {
            assert_eq!(thinned(points, Scale::Linear, mark), points);
        }
        // All at one place.
        let same = vec![(2.0, 1.0); 9000];
        assert_eq!(thinned(&same, Scale::Linear, Mark::Line).len(), 2);
        // Nothing that a log axis shows.
        let negative: Vec<_> = (0..9000).map(|i| (f64::from(i) - 9001.0, 1.0)).collect();
        assert_eq!(thinned(&negative, Scale::Log, Mark::Line).len(), 9000);
    }
}
