//! Which samples are held out, and whether their order says anything of their classes. Knows no inputs.

use super::Learned;
use crate::data::samples::permute;
use crate::rng::{Purpose, Rng};

/// A permutation of 0 … n-1 keyed by the content.
pub(super) fn permutation(digest: &str, of: &str, n: usize) -> Vec<usize> {
    let mut rng = Rng::keyed(0, &format!("{digest} {of}"), Purpose::Split, 0);
    let mut order: Vec<usize> = (0..n).collect();
    permute(&mut order, &mut rng);
    order
}

/// Places to train on and to test on, in this order: of each class the first share of its samples is held out, rounded,
/// and never all of them.
pub(super) fn held_out(order: &[usize], targets: &Learned, share: f64) -> (Vec<usize>, Vec<usize>) {
    let of = |count: usize| ((count as f64 * share).round() as usize).min(count.saturating_sub(1));
    let Learned::Classes(labels) = targets else {
        let (test, train) = order.split_at(of(order.len()));
        return (train.to_vec(), test.to_vec());
    };
    let classes = labels.iter().max().map_or(0, |most| *most as usize + 1);
    let mut left: Vec<usize> = counts(targets, classes).into_iter().map(of).collect();
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for &at in order {
        let left = &mut left[labels[at] as usize];
        if *left > 0 {
            *left -= 1;
            test.push(at);
        } else {
            train.push(at);
        }
    }
    (train, test)
}

pub(super) fn counts(targets: &Learned, classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    if let Learned::Classes(labels) = targets {
        labels.iter().for_each(|label| counts[*label as usize] += 1);
    }
    counts
}

/// Whether a sample's place says much of its label, so that the first so many are no fair sample: neighbours have the
/// same label much more often than by chance, or some part of the whole has other shares of the classes than the rest.
pub(super) fn is_ordered(targets: &Learned) -> bool {
    let Learned::Classes(labels) = targets else { return false };
    let classes = labels.iter().max().map_or(0, |most| *most as usize + 1);
    let shares: Vec<f64> =
        counts(targets, classes).into_iter().map(|count| count as f64 / labels.len() as f64).collect();
    comes_in_runs(labels, &shares) || drifts(labels, &shares)
}

/// Less than half as many changes from one label to the next as a shuffled order has on average.
fn comes_in_runs(labels: &[i64], shares: &[f64]) -> bool {
    let same: f64 = shares.iter().map(|share| share * share).sum();
    let changes = labels.windows(2).filter(|pair| pair[0] != pair[1]).count() as f64;
    labels.len() > 1 && changes < 0.5 * (labels.len() as f64 - 1.0) * (1.0 - same)
}

/// Parts that are compared, at most.
const PARTS: usize = 10;
/// Labels of a class that a part has on average, at least.
const IN_PART: usize = 5;
/// A statistic so many standard deviations above its mean is no chance.
const SIGMAS: f64 = 6.0;

/// Whether the classes' shares differ between equal parts, from first to last, by far more than chance would have it.
fn drifts(labels: &[i64], shares: &[f64]) -> bool {
    let parts = parts(labels.len(), shares.len());
    let (statistic, freedom) = homogeneity(labels, shares, parts);
    parts > 1 && statistic > freedom + SIGMAS * (2.0 * freedom).sqrt()
}

/// Into how many parts so many labels are cut.
fn parts(labels: usize, classes: usize) -> usize {
    (labels / (IN_PART * classes.max(1))).clamp(1, PARTS)
}

/// Pearson's χ² of homogeneity over equal parts, and its degrees of freedom, (parts - 1)(classes - 1).
fn homogeneity(labels: &[i64], shares: &[f64], parts: usize) -> (f64, f64) {
    let mut statistic = 0.0;
    for part in labels.chunks(labels.len().div_ceil(parts).max(1)) {
        let mut found = vec![0.0; shares.len()];
        part.iter().for_each(|label| found[*label as usize] += 1.0);
        for (found, share) in found.into_iter().zip(shares).filter(|(_, share)| **share > 0.0) {
            let expected = share * part.len() as f64;
            statistic += (found - expected).powi(2) / expected;
        }
    }
    (statistic, (parts as f64 - 1.0) * (shares.len() as f64 - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statistic_is_pearsons() {
        // By scipy.stats.chi2_contingency([[30, 10], [20, 20]], correction=False)
        let labels = [vec![0; 30], vec![1; 10], vec![0; 20], vec![1; 20]].concat();
        let (statistic, freedom) = homogeneity(&labels, &[0.625, 0.375], 2);
        assert!((statistic - 16.0 / 3.0).abs() < 1e-12 && freedom == 1.0, "{statistic}");
        // The same of [[5, 3, 2], [2, 4, 4], [3, 3, 4]]: 2.4, with 4 degrees of freedom.
        let row = |counts: [usize; 3]| (0..3).flat_map(move |class| vec![class as i64; counts[class]]);
        let labels: Vec<i64> = row([5, 3, 2]).chain(row([2, 4, 4])).chain(row([3, 3, 4])).collect();
        let (statistic, freedom) = homogeneity(&labels, &[1.0 / 3.0; 3], 3);
        assert!((statistic - 2.4).abs() < 1e-12 && freedom == 4.0, "{statistic}");
        // A class that nobody has is none.
        assert!(homogeneity(&[0, 0], &[1.0, 0.0], 1).0 == 0.0);
    }

    #[test]
    fn parts_have_five_of_each_class_and_are_ten_at_most() {
        for (labels, classes, expected) in [(0, 0, 1), (19, 2, 1), (20, 2, 2), (149, 3, 9), (150, 3, 10), (9999, 3, 10)]
        {
            assert_eq!(parts(labels, classes), expected, "{labels} of {classes}");
        }
    }

    #[test]
    fn as_many_changes_as_half_of_chance_are_no_runs() {
        let runs = |labels: &[i64], shares: &[f64]| comes_in_runs(labels, shares);
        assert!(!runs(&[0, 0, 1, 1], &[0.5, 0.5]), "1 change, 0.75 is half");
        assert!(!runs(&[0, 0, 0, 1, 1], &[0.6, 0.4]), "1 change, 0.96 is half");
        assert!(runs(&[0, 0, 0, 1, 1, 1], &[0.5, 0.5]), "1 change, 1.25 is half");
        // 2 changes, and exactly half of chance.
        assert!(!runs(&[0, 0, 1, 1, 1, 0, 0, 0, 0], &[0.5, 0.5]));
    }
}
