//! Samples as tensors: inputs with their targets, and the order of an epoch. Knows no data set.

use super::{Signature, Target};
use crate::rng::{Purpose, Rng};
use anyhow::{Context as _, Result, ensure};
use tch::{Device, Kind, Tensor};

/// Inputs with what is to be learned of each.
pub struct Samples {
    /// [n, input…]: in float32, normalised; tokens in int64.
    pub inputs: Tensor,
    /// [n] in int64 of classes, [n, m] in the inputs' kind of values.
    pub targets: Tensor,
    pub target: Target,
}

impl Samples {
    /// Pairs of a number and the number that is to be learned of it, of this kind.
    pub fn of_numbers(x: &[f64], y: &[f64], kind: Kind, device: Device) -> Result<Self> {
        let column = |values: &[f64]| -> Result<Tensor> {
            Ok(Tensor::f_from_slice(values)?.f_to_kind(kind)?.f_to_device(device)?.f_unsqueeze(1)?)
        };
        Ok(Self { inputs: column(x)?, targets: column(y)?, target: Target::Values(1) })
    }

    fn each(&self, of: impl Fn(&Tensor) -> Tensor) -> Self {
        Self { inputs: of(&self.inputs), targets: of(&self.targets), target: self.target }
    }

    /// The same memory on the same device, a copy elsewhere.
    pub fn on(&self, device: Device) -> Self {
        self.each(|tensor| tensor.to_device(device))
    }

    /// That they are so many, and as a data set announces them.
    pub(super) fn check(&self, signature: &Signature, size: usize) -> Result<()> {
        let Signature { input, tokens, target } = signature;
        ensure!(size > 0, "are none");
        let expected = |rest: &[i64]| [&[size as i64], rest].concat();
        let (inputs, targets) = (self.inputs.size(), self.targets.size());
        ensure!(inputs == expected(input), "have inputs of shape {inputs:?}, not {:?}", expected(input));
        let (shape, kinds): (_, &[Kind]) = match target {
            Target::Classes(_) => (expected(&[]), &[Kind::Int64]),
            Target::Values(values) => (expected(&[*values]), &[Kind::Float, Kind::Double]),
        };
        let is_of_kind = kinds.contains(&self.targets.kind()) && self.target == *target;
        ensure!(targets == shape && is_of_kind, "have targets of shape {targets:?}, not {shape:?} of {target:?}");
        for (what, tensor, below) in [("token", &self.inputs, *tokens), ("label", &self.targets, target.classes())] {
            let Some(below) = below else { continue };
            let [least, most] = [tensor.f_min()?, tensor.f_max()?].map(|number| number.f_int64_value(&[]));
            let (least, most) = (least?, most?);
            ensure!(
                least >= 0 && most < below,
                "have a {what} of {}, and {below} are named from 0",
                if least < 0 { least } else { most }
            );
        }
        ensure!(tokens.is_none() || self.inputs.kind() == Kind::Int64, "have tokens that are not in int64");
        Ok(())
    }

    /// Moved to the device of `like`, and what is real in them to its kind.
    pub fn of_kind(&self, like: &Tensor) -> Self {
        self.cast(like.kind(), like.device())
    }

    /// Moved to this device, and what is real in them to this kind.
    pub fn cast(&self, kind: Kind, device: Device) -> Self {
        let is_real = |tensor: &Tensor| matches!(tensor.kind(), Kind::Float | Kind::Double);
        self.each(|tensor| {
            let tensor = tensor.to_device(device);
            if is_real(&tensor) { tensor.to_kind(kind) } else { tensor }
        })
    }

    /// Handles that share the memory.
    pub fn share(&self) -> Self {
        self.each(Tensor::shallow_clone)
    }

    /// The same samples, with labels of which a share is drawn anew: see [`corrupted`].
    ///
    /// # Errors
    /// Where there are no classes to draw from.
    pub fn corrupted(&self, corruption: f64, seed: u64, trial: &str) -> Result<Self> {
        let classes =
            self.target.classes().context("the data has values, and only labels of classes can be drawn anew")?;
        let labels: Vec<i64> = self.targets.f_to_device(Device::Cpu)?.try_into()?;
        let labels = Tensor::f_from_slice(&corrupted(&labels, classes, corruption, seed, trial))?;
        Ok(Self { targets: labels.f_to_device(self.targets.device())?, ..self.share() })
    }

    /// The first `size` of them, or all, sharing memory.
    pub fn first(&self, size: usize) -> Self {
        let size = self.len().min(i64::try_from(size).unwrap_or(i64::MAX));
        self.each(|tensor| tensor.narrow(0, 0, size))
    }

    /// Those at `index` [b] in int64, copied: inputs and targets.
    pub fn batch(&self, index: &Tensor) -> (Tensor, Tensor) {
        (self.inputs.index_select(0, index), self.targets.index_select(0, index))
    }

    /// Inputs and targets of at most `size` samples at a time, in order, sharing memory.
    pub fn blocks(&self, size: i64) -> impl Iterator<Item = (Tensor, Tensor)> + '_ {
        let cut = |(start, size)| (self.inputs.narrow(0, start, size), self.targets.narrow(0, start, size));
        blocks(self.len(), size).map(cut)
    }

    pub fn len(&self) -> i64 {
        self.targets.size()[0]
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Cuts 0 … n-1 into blocks of at most `most`, the last one perhaps smaller: start and size of each.
pub fn blocks(n: i64, most: i64) -> impl Iterator<Item = (i64, i64)> {
    (0..n).step_by(most as usize).map(move |start| (start, most.min(n - start)))
}

/// Labels [n] of which a share, chosen and drawn anew uniformly from the `classes`, says nothing of
/// the inputs: fixed for the whole training (Zhang et al. 2017).
pub fn corrupted(labels: &[i64], classes: i64, corruption: f64, seed: u64, trial: &str) -> Vec<i64> {
    let mut rng = Rng::keyed(seed, trial, Purpose::RandomLabels, 0);
    let drawn = labels.iter().map(|&label| {
        // Both are drawn for every label, so that a larger share corrupts those of a smaller one too.
        let (chance, other) = (rng.uniform(), rng.below(classes as usize) as i64);
        if chance < corruption { other } else { label }
    });
    drawn.collect()
}

/// The order of an epoch's samples: 0 … n-1, or a permutation of them keyed by seed, trial and
/// epoch.
pub fn order(n: i64, shuffle: Option<(u64, &str)>, epoch: u64) -> Vec<i64> {
    let mut order: Vec<i64> = (0..n).collect();
    if let Some((seed, trial)) = shuffle {
        permute(&mut order, &mut Rng::keyed(seed, trial, Purpose::Permutation, epoch));
    }
    order
}

/// Puts into a random order, each equally likely (Fisher and Yates, as Durstenfeld has it).
pub(super) fn permute<T>(order: &mut [T], rng: &mut Rng) {
    for last in (1..order.len()).rev() {
        order.swap(last, rng.below(last + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epochs_order_is_a_permutation_of_its_own() {
        assert_eq!(order(4, None, 3), [0, 1, 2, 3]);
        let shuffled = order(1000, Some((1, "a")), 0);
        assert_eq!(shuffled, order(1000, Some((1, "a")), 0));
        for other in [order(1000, Some((2, "a")), 0), order(1000, Some((1, "b")), 0), order(1000, Some((1, "a")), 1)] {
            assert_ne!(shuffled, other);
        }
        let mut sorted = shuffled;
        sorted.sort_unstable();
        assert_eq!(sorted, order(1000, None, 0));
    }

    #[test]
    fn every_order_of_three_is_equally_likely() {
        let mut counts = std::collections::BTreeMap::new();
        for epoch in 0..6000 {
            *counts.entry(order(3, Some((0, "fair")), epoch)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        // Standard error 29.
        assert!(counts.values().all(|&count: &i32| (count - 1000).abs() < 145), "{counts:?}");
    }

    #[test]
    fn corruption_is_a_fixed_share_and_nested() {
        let labels = vec![3; 20_000];
        assert_eq!(corrupted(&labels, 10, 0.0, 1, "a"), labels);
        let (half, whole) = (corrupted(&labels, 10, 0.5, 1, "a"), corrupted(&labels, 10, 1.0, 1, "a"));
        assert_eq!(half, corrupted(&labels, 10, 0.5, 1, "a"));
        assert_ne!(whole, corrupted(&labels, 10, 1.0, 2, "a"));
        // A tenth of the drawn ones are 3 again: 0.45 and 0.9 differ, standard error 0.0035.
        let share = |drawn: &[i64]| drawn.iter().filter(|&&label| label != 3).count() as f64 / 20_000.0;
        assert!((share(&half) - 0.45).abs() < 0.015 && (share(&whole) - 0.9).abs() < 0.015);
        assert!(half.iter().zip(&whole).all(|(half, whole)| *half == 3 || half == whole));
    }
}
