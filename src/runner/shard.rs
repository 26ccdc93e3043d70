//! Shards: which trials of a run one of several processes does, on whatever machines, without a word between them. Knows
//! names and costs of trials, no study.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// One of `of` parts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    pub index: u32,
    pub of: u32,
}

/// More are a slip of the pen.
const MOST: u32 = 1_000_000;

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("'{text}' is no shard: i/K is the i-th of K, from 0/K to K-1/K");
        let (index, of) = text.split_once('/').ok_or_else(form)?;
        let number = |text: &str| if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None };
        let (index, of): (u32, u32) = number(index).zip(number(of)).ok_or_else(form)?;
        match of {
            0 => Err(format!("'{text}': there are 0 shards; K must be at least 1")),
            1..=MOST if index < of => Ok(Self { index, of }),
            1..=MOST => Err(format!("'{text}': shards are counted from 0; the last of {of} is {}/{of}", of - 1)),
            _ => Err(format!("'{text}': at most {MOST} shards")),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

/// Trials that go together since later ones join them: of which study, and which of its families; else one alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    Of(usize, u64),
    Alone(usize, String),
}

impl Shard {
    /// Which families are this shard's, of all that there are at first, each with what its trials cost.
    pub fn families(self, costs: impl IntoIterator<Item = (Family, f64)>) -> impl Iterator<Item = Family> {
        let all = shared_out(self.of, costs).into_iter();
        all.filter_map(move |(family, index)| (index == self.index).then_some(family))
    }
}

/// Families with the shard of each, of so many. All processes of a run find the same, as nothing but its settings decides:
/// the dearest first, each to the shard that has least so far, equal ones in the order given.
pub fn shared_out(shards: u32, costs: impl IntoIterator<Item = (Family, f64)>) -> Vec<(Family, u32)> {
    let (mut places, mut families) = (BTreeMap::new(), Vec::<(Family, f64)>::new());
    for (family, cost) in costs {
        let cost = if cost.is_finite() { cost.max(0.0) } else { 0.0 };
        match places.get(&family) {
            Some(place) => {
                let (_, whole): &mut (Family, f64) = &mut families[*place];
                *whole += cost;
            }
            None => {
                places.insert(family.clone(), families.len());
                families.push((family, cost));
            }
        }
    }
    // Stable.
    families.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let mut loads: std::collections::BinaryHeap<Load> =
        (0..shards).map(|index| Load { cost: 0.0, families: 0, index }).collect();
    let of_least = |(family, cost)| {
        let mut least = loads.pop()?;
        let index = least.index;
        least.cost += cost;
        least.families += 1;
        loads.push(least);
        Some((family, index))
    };
    families.into_iter().filter_map(of_least).collect()
}

/// What a shard has so far; the greatest is the one that has least.
#[derive(PartialEq)]
struct Load {
    cost: f64,
    families: usize,
    index: u32,
}

impl Eq for Load {}

impl Ord for Load {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Where nothing costs anything, as many each.
        let by_cost = other.cost.total_cmp(&self.cost);
        by_cost.then(other.families.cmp(&self.families)).then(other.index.cmp(&self.index))
    }
}

impl PartialOrd for Load {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn shards(of: u32, costs: &[(Family, f64)]) -> Vec<Vec<Family>> {
        (0..of).map(|index| Shard { index, of }.families(costs.iter().cloned()).collect()).collect()
    }

    fn alone(costs: &[f64]) -> Vec<(Family, f64)> {
        costs.iter().enumerate().map(|(i, cost)| (Family::Alone(0, i.to_string()), *cost)).collect()
    }

    fn load(of: &[Family], costs: &[(Family, f64)]) -> f64 {
        costs.iter().filter(|(family, _)| of.contains(family)).map(|(_, cost)| cost).sum()
    }

    #[test]
    fn a_shard_is_read_as_it_is_written() {
        for (text, index, of) in [("0/1", 0, 1), ("3/10", 3, 10), ("999999/1000000", 999_999, 1_000_000)] {
            let shard: Shard = text.parse().unwrap();
            assert_eq!((shard, shard.to_string().as_str()), (Shard { index, of }, text));
        }
        for (text, why) in [
            ("", "is no shard"),
            ("3", "is no shard"),
            ("1/", "is no shard"),
            ("-1/3", "is no shard"),
            ("+1/3", "is no shard"),
            ("1/3/4", "is no shard"),
            ("a/b", "is no shard"),
            ("99999999999/3", "is no shard"),
            ("0/0", "at least 1"),
            ("3/3", "the last of 3 is 2/3"),
            ("0/1000001", "at most 1000000"),
        ] {
            let error = text.parse::<Shard>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn every_family_is_in_one_shard_and_they_are_about_as_large() {
        let costs = alone(&[9.0, 1.0, 1.0, 1.0, 4.0, 4.0, 1.0, 5.0, f64::NAN, 0.0, -3.0]);
        for of in [1, 2, 3, 5, 20] {
            let all = shards(of, &costs);
            let each: BTreeSet<&Family> = all.iter().flatten().collect();
            assert_eq!((each.len(), all.iter().flatten().count()), (costs.len(), costs.len()), "{of}");
        }
        let loads: Vec<f64> = shards(3, &costs[..8]).iter().map(|own| load(own, &costs)).collect();
        assert_eq!(loads, [9.0, 8.0, 9.0]);
        // Of what costs nothing as many each.
        let counts: Vec<usize> = shards(4, &alone(&[0.0; 10])).iter().map(Vec::len).collect();
        assert_eq!(counts, [3, 3, 2, 2]);
    }

    #[test]
    fn a_family_stays_together() {
        let (first, second) = (Family::Of(0, 7), Family::Of(1, 7));
        let costs =
            vec![(first.clone(), 1.0), (Family::Alone(0, "x".into()), 3.0), (first.clone(), 1.5), (second, 1.0)];
        let all = shards(2, &costs);
        assert_eq!(all.iter().flatten().count(), 3);
        // 3; 2.5 and 1.
        assert_eq!(all[0], [Family::Alone(0, "x".into())]);
        assert_eq!(all[1], [first, Family::Of(1, 7)]);
    }
}
