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

/// Pearson's χ² of homogeneity over equal parts, from first to last, far above its (parts - 1)(classes - 1) degrees of
/// freedom.
fn drifts(labels: &[i64], shares: &[f64]) -> bool {
    let parts = (labels.len() / (IN_PART * shares.len().max(1))).min(PARTS);
    if parts < 2 {
        return false;
    }
    let mut statistic = 0.0;
    for part in labels.chunks(labels.len().div_ceil(parts)) {
        let mut found = vec![0.0; shares.len()];
        part.iter().for_each(|label| found[*label as usize] += 1.0);
        let expected = shares.iter().map(|share| share * part.len() as f64);
        let cells = found.iter().zip(expected).filter(|(_, expected)| *expected > 0.0);
        statistic += cells.map(|(found, expected)| (found - expected).powi(2) / expected).sum::<f64>();
    }
    let freedom = ((parts - 1) * (shares.len() - 1)) as f64;
    statistic > freedom + SIGMAS * (2.0 * freedom).sqrt()
}
