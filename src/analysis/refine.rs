//! Where a grid is to be finer: between which of its lines a function bends most. Knows numbers, no function.

/// What a function is drawn by: its logarithm where all of it is positive, else itself.
fn drawn(values: &[f64]) -> Vec<f64> {
    let finite = || values.iter().filter(|value| value.is_finite());
    let is_positive = finite().all(|value| *value > 0.0) && finite().next().is_some();
    values.iter().map(|value| if is_positive { value.ln() } else { *value }).collect()
}

/// Mean |second difference| at each inner column of a grid `values` (row by row, `columns` in each), over the rows that
/// are finite there; 0 where none is.
fn bends(values: &[f64], columns: usize) -> Vec<f64> {
    let of_column = |column: usize| {
        let differences =
            values.chunks(columns).map(|row| (row[column - 1] - 2.0 * row[column] + row[column + 1]).abs());
        let finite: Vec<f64> = differences.filter(|difference| difference.is_finite()).collect();
        if finite.is_empty() { 0.0 } else { finite.iter().sum::<f64>() / finite.len() as f64 }
    };
    (1..columns.saturating_sub(1)).map(of_column).collect()
}

/// So many `more` places between the even `at`, ascending, that halve the gaps where a function bends most, a gap of a gap
/// again where it must: a half bends a quarter as much. `values` is the function at `at` in each of some rows.
pub fn finer(at: &[f64], values: &[f64], more: usize) -> Vec<f64> {
    let gaps = at.len().saturating_sub(1);
    if gaps == 0 {
        return Vec::new();
    }
    let bends = bends(&drawn(values), at.len());
    // What is flat everywhere is halved evenly: a little for every gap.
    let least = bends.iter().copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE) * 1e-6;
    let of_gap = |gap: usize| {
        let ends = [gap.checked_sub(1), Some(gap)];
        ends.into_iter().flatten().filter_map(|inner| bends.get(inner)).copied().fold(least, f64::max)
    };
    let mut all: Vec<(f64, [f64; 2])> = (0..gaps).map(|gap| (of_gap(gap), [at[gap], at[gap + 1]])).collect();
    let mut found = Vec::new();
    for _ in 0..more {
        // Of equal ones the lowest.
        let most = all.iter().enumerate().fold(0, |most, (place, gap)| if gap.0 > all[most].0 { place } else { most });
        let (bend, [low, high]) = all[most];
        let middle = f64::midpoint(low, high);
        found.push(middle);
        all.splice(most..=most, [(bend / 4.0, [low, middle]), (bend / 4.0, [middle, high])]);
    }
    found.sort_by(f64::total_cmp);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::functions::evenly_spaced;

    #[test]
    fn a_grid_is_finer_where_the_logarithm_bends() {
        let at = evenly_spaced([-1.0, 1.0], 9);
        // A narrow valley at 0.5, the same in both rows.
        let valley: Vec<f64> = at.iter().map(|x| 0.01 + (x - 0.5).abs()).collect();
        let more = |count| finer(&at, &[valley.clone(), valley.clone()].concat(), count);
        assert_eq!(more(2), [0.375, 0.625]);
        // The flanks, whose ends it bends at, too; then what was halved once.
        assert_eq!(more(4), [0.125, 0.375, 0.625, 0.875]);
        let eight = more(8);
        assert!(eight.len() == 8 && eight.is_sorted_by(|a, b| a < b) && eight.contains(&0.4375), "{eight:?}");
        // A straight line is halved evenly.
        let line: Vec<f64> = at.iter().map(|x| 3.0 * x).collect();
        assert_eq!(finer(&at, &line, 8), evenly_spaced([-0.875, 0.875], 8));
        // And again where all gaps are halved already.
        assert_eq!(finer(&[0.0, 1.0], &[1.0, 2.0], 3), [0.25, 0.5, 0.75]);
        assert_eq!(finer(&[0.0, 1.0], &[1.0, 2.0], 0), Vec::<f64>::new());
        assert_eq!(finer(&[0.0], &[1.0], 3), Vec::<f64>::new());
    }

    #[test]
    fn what_is_not_finite_says_nothing() {
        let at = evenly_spaced([0.0, 1.0], 5);
        let rows = [[1.0, 1.0, 1.0, f64::NAN, f64::INFINITY], [1.0, 9.0, 1.0, 1.0, 1.0]].concat();
        let more = finer(&at, &rows, 1);
        assert_eq!(more, [0.125]);
        assert_eq!(finer(&at, &[f64::NAN; 10], 4), evenly_spaced([0.125, 0.875], 4));
    }
}
