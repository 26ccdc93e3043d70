//! Which samples are drawn of many, without replacement: places in their order. Knows no tensors.

use super::samples::permute;
use crate::rng::Rng;

/// `count` of the places 0 … `all` - 1, or all, each as likely as any.
pub(super) fn of_any(all: usize, count: usize, rng: &mut Rng) -> Vec<i64> {
    let mut places: Vec<i64> = (0..all as i64).collect();
    permute(&mut places, rng);
    places.truncate(count);
    places.sort_unstable();
    places
}

/// `count` of the places of these labels, or all: of each class its share, and in a class each as likely as any.
pub(super) fn by_class(labels: &[i64], count: usize, rng: &mut Rng) -> Vec<i64> {
    let classes = labels.iter().max().map_or(0, |most| *most as usize + 1);
    let mut of_class: Vec<Vec<i64>> = vec![Vec::new(); classes];
    for (place, label) in (0..).zip(labels) {
        of_class[*label as usize].push(place);
    }
    let sizes: Vec<usize> = of_class.iter().map(Vec::len).collect();
    let mut drawn = Vec::with_capacity(count);
    for (mut places, share) in of_class.into_iter().zip(shares(&sizes, count)) {
        permute(&mut places, rng);
        drawn.extend(places.into_iter().take(share));
    }
    drawn.sort_unstable();
    drawn
}

/// How many of each class make `count`, or all where these are fewer: whole parts of its share, and one more where the
/// remainders are the largest; of equal ones, to the lower classes.
fn shares(sizes: &[usize], count: usize) -> Vec<usize> {
    let all = sizes.iter().sum::<usize>().max(1) as u128;
    let count = (count as u128).min(all);
    let products: Vec<u128> = sizes.iter().map(|size| *size as u128 * count).collect();
    let mut shares: Vec<usize> = products.iter().map(|product| (product / all) as usize).collect();
    let left = count as usize - shares.iter().sum::<usize>().min(count as usize);
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    // Stable: of equal remainders the lower class comes first.
    order.sort_by_key(|class| std::cmp::Reverse(products[*class] % all));
    order.into_iter().take(left).for_each(|class| shares[class] += 1);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Purpose;

    fn rng(trial: &str) -> Rng {
        Rng::keyed(0, trial, Purpose::Subset, 0)
    }

    #[test]
    fn shares_are_those_of_the_largest_remainders() {
        for (sizes, count, expected) in [
            (&[50, 30, 20][..], 10, &[5, 3, 2][..]),
            // 4.5, 2.7, 1.8
            (&[50, 30, 20], 9, &[4, 3, 2]),
            // 1.5, 0.9, 0.6
            (&[50, 30, 20], 3, &[1, 1, 1]),
            (&[50, 30, 20], 1, &[1, 0, 0]),
            // Equal remainders go to the lower classes.
            (&[10, 10, 10], 4, &[2, 1, 1]),
            (&[10, 10, 10], 5, &[2, 2, 1]),
            (&[1, 0, 1], 1, &[1, 0, 0]),
            // 0.99, 0.01
            (&[99, 1], 1, &[1, 0]),
            (&[99, 1], 100, &[99, 1]),
            (&[3, 4], 70, &[3, 4]),
            (&[], 3, &[]),
        ] {
            assert_eq!(shares(sizes, count), expected, "{count} of {sizes:?}");
        }
        // They make the count, and none is more than its class.
        for turn in 0..200 {
            let mut rng = Rng::keyed(turn, "shares", Purpose::Subset, 0);
            let sizes: Vec<usize> = (0..1 + rng.below(9)).map(|_| rng.below(40)).collect();
            let all: usize = sizes.iter().sum();
            let count = rng.below(all + 1);
            let shares = shares(&sizes, count);
            assert_eq!(shares.iter().sum::<usize>(), count, "{sizes:?}");
            assert!(shares.iter().zip(&sizes).all(|(share, size)| share <= size), "{count} of {sizes:?}: {shares:?}");
        }
    }

    #[test]
    fn places_are_distinct_in_their_order_and_keyed() {
        let labels: Vec<i64> = (0..1000).map(|at| i64::from(at * 7 % 10 > 6) + 2 * i64::from(at % 10 == 0)).collect();
        for of in [
            |trial: &str| of_any(1000, 100, &mut rng(trial)),
            |trial: &str| {
                let labels: Vec<i64> = (0..1000).map(|at| at % 7 % 3).collect();
                by_class(&labels, 100, &mut rng(trial))
            },
        ] {
            let drawn = of("a");
            assert!(drawn.len() == 100 && drawn.is_sorted_by(|a, b| a < b) && drawn.iter().all(|at| *at < 1000));
            assert!(drawn == of("a") && drawn != of("b"));
        }
        let drawn = by_class(&labels, 100, &mut rng("a"));
        for class in 0..4 {
            let count = |places: &mut dyn Iterator<Item = usize>| places.filter(|at| labels[*at] == class).count();
            let (found, all) = (count(&mut drawn.iter().map(|at| *at as usize)), count(&mut (0..1000)));
            assert_eq!(found, all / 10, "{all} of class {class}");
        }
    }

    #[test]
    fn every_place_is_as_likely_as_any() {
        let mut counts = [0; 10];
        for turn in 0..5000 {
            of_any(10, 3, &mut rng(&turn.to_string())).into_iter().for_each(|at| counts[at as usize] += 1);
        }
        // Standard error 32.
        assert!(counts.iter().all(|count: &i32| (count - 1500).abs() < 160), "{counts:?}");
    }
}
