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

/// Whether neighbours have the same label much more often than they would by chance: less than half as many changes
/// from one to the next as a shuffled order has on average.
pub(super) fn comes_in_runs(targets: &Learned) -> bool {
    let Learned::Classes(labels) = targets else { return false };
    let n = labels.len() as f64;
    let classes = labels.iter().max().map_or(0, |most| *most as usize + 1);
    let same: f64 = counts(targets, classes).iter().map(|count| (*count as f64 / n).powi(2)).sum();
    let changes = labels.windows(2).filter(|pair| pair[0] != pair[1]).count() as f64;
    n > 1.0 && changes < 0.5 * (n - 1.0) * (1.0 - same)
}
