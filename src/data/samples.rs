//! Samples as tensors: inputs with their targets, and the order of an epoch. Knows no data set.

use super::{IGNORED, Signature, Target, subset};
use crate::rng::{Purpose, Rng};
use anyhow::{Context as _, Result, bail, ensure};
use tch::{Device, Kind, Tensor};

/// Inputs with what is to be learned of each.
pub struct Samples {
    /// [n, input…] as they are stored: tokens in int64, other numbers as they are learned from or, of sets that would
    /// fill the memory, in bytes that become such where they are used: see [`Self::inputs`].
    stored: Tensor,
    /// What makes numbers of bytes.
    scaling: Option<Scaling>,
    /// [n] in int64 of classes, [n, m] in the inputs' kind of values, [n, places…] in int64 of classes by place.
    pub targets: Tensor,
    pub target: Target,
}

/// What numbers that are stored become before a network sees them: (x / divisor - mean) / deviation, by channel or by
/// feature, in float32: the same to the bit whenever and wherever that is done.
pub struct Scaling {
    /// Each of a shape that fits an input's: [channels, 1, 1], [features].
    mean: Tensor,
    deviation: Tensor,
    divisor: Tensor,
    /// Of the result.
    kind: Kind,
}

impl Scaling {
    /// By as many means and deviations as an input has channels or features.
    ///
    /// # Errors
    /// Where they do not fit an input of such a shape.
    pub fn new(input: &[i64], divisor: f64, mean: &[f64], deviation: &[f64]) -> Result<Self> {
        let by = |values: &[f64]| -> Result<Tensor> {
            let mut shape = vec![1; input.len()];
            shape[0] = input[0];
            Ok(Tensor::f_from_slice(values)?.f_to_kind(Kind::Float)?.f_view(&shape[..])?)
        };
        let divisor = Tensor::f_scalar_tensor(divisor, (Kind::Float, Device::Cpu))?;
        Ok(Self { mean: by(mean)?, deviation: by(deviation)?, divisor, kind: Kind::Float })
    }

    fn each(&self, of: impl Fn(&Tensor) -> Tensor) -> Self {
        let Self { mean, deviation, divisor, kind } = self;
        Self { mean: of(mean), deviation: of(deviation), divisor: of(divisor), kind: *kind }
    }

    /// Of numbers [n, input…] of any kind, copied.
    ///
    /// # Errors
    /// Where they are of another shape.
    pub fn applied(&self, stored: &Tensor) -> Result<Tensor> {
        let mut x = stored.f_to_dtype(Kind::Float, false, true)?;
        // In place: each copy of a set takes hundreds of megabytes. By tensors: a scalar's quotient would be a product
        // on a GPU, and differ in the last bit.
        let _ = x.f_div_(&self.divisor)?.f_sub_(&self.mean)?.f_div_(&self.deviation)?;
        Ok(x.f_to_kind(self.kind)?)
    }
}

impl Samples {
    /// Of inputs as they are learned from, [n, input…]: in float32 or float64, tokens in int64.
    pub fn new(inputs: Tensor, targets: Tensor, target: Target) -> Self {
        Self { stored: inputs, scaling: None, targets, target }
    }

    /// Pairs of a number and the number that is to be learned of it, of this kind.
    pub fn of_numbers(x: &[f64], y: &[f64], kind: Kind, device: Device) -> Result<Self> {
        let column = |values: &[f64]| -> Result<Tensor> {
            Ok(Tensor::f_from_slice(values)?.f_to_kind(kind)?.f_to_device(device)?.f_unsqueeze(1)?)
        };
        Ok(Self::new(column(x)?, column(y)?, Target::Values(1)))
    }

    /// Of inputs in bytes, which are scaled where they are used.
    pub fn in_bytes(stored: Tensor, scaling: Scaling, targets: Tensor, target: Target) -> Self {
        Self { stored, scaling: Some(scaling), targets, target }
    }

    fn each(&self, of: impl Fn(&Tensor) -> Tensor) -> Self {
        let scaling = self.scaling.as_ref().map(|scaling| scaling.each(Tensor::shallow_clone));
        Self { stored: of(&self.stored), scaling, targets: of(&self.targets), target: self.target }
    }

    /// The same memory on the same device, a copy elsewhere.
    pub fn on(&self, device: Device) -> Self {
        let scaling = self.scaling.as_ref().map(|scaling| scaling.each(|tensor| tensor.to_device(device)));
        Self { scaling, ..self.each(|tensor| tensor.to_device(device)) }
    }

    /// What is stored of some inputs, as they are learned from; a copy where they are bytes.
    fn scaled(&self, stored: Tensor) -> Result<Tensor> {
        self.scaling.as_ref().map_or(Ok(stored.shallow_clone()), |scaling| scaling.applied(&stored))
    }

    /// [n, input…]: all inputs as they are learned from.
    pub fn inputs(&self) -> Result<Tensor> {
        self.scaled(self.stored.shallow_clone())
    }

    /// [input…]: one of them.
    pub fn input(&self, index: i64) -> Result<Tensor> {
        Ok(self.scaled(self.stored.f_narrow(0, index, 1)?)?.f_squeeze_dim(0)?)
    }

    /// That they are so many, and as a data set announces them.
    pub(super) fn check(&self, signature: &Signature, size: usize, may_be_none: bool) -> Result<()> {
        let Signature { input, tokens, target } = signature;
        ensure!(size > 0 || may_be_none, "are none");
        let expected = |rest: &[i64]| [&[size as i64], rest].concat();
        let (inputs, targets) = (self.stored.size(), self.targets.size());
        ensure!(inputs == expected(input), "have inputs of shape {inputs:?}, not {:?}", expected(input));
        let shape = expected(&signature.target_shape());
        let kinds: &[Kind] = match target {
            Target::Classes(_) | Target::ClassesByPlace(_) => &[Kind::Int64],
            Target::Values(_) => &[Kind::Float, Kind::Double],
        };
        let is_of_kind = kinds.contains(&self.targets.kind()) && self.target == *target;
        ensure!(targets == shape && is_of_kind, "have targets of shape {targets:?}, not {shape:?} of {target:?}");
        ensure!(tokens.is_none() || self.stored.kind() == Kind::Int64, "have tokens that are not in int64");
        if size == 0 {
            return Ok(());
        }
        for (what, tensor, below) in [("token", &self.stored, *tokens), ("label", &self.targets, target.classes())] {
            let Some(below) = below else { continue };
            if let Some(bad) = beyond(tensor, below)? {
                bail!("have a {what} of {bad}, and {below} are named from 0");
            }
        }
        if let Target::ClassesByPlace(below) = target {
            let labelled = self.targets.f_masked_fill(&self.targets.f_eq(IGNORED)?, 0)?;
            if let Some(bad) = beyond(&labelled, *below)? {
                bail!("have a label of {bad}, and {below} are named from 0; {IGNORED} is none");
            }
        }
        Ok(())
    }

    /// Moved to the device of `like`, and what is real in them to its kind.
    pub fn of_kind(&self, like: &Tensor) -> Self {
        self.cast(like.kind(), like.device())
    }

    /// Moved to this device, and what is real in them to this kind.
    pub fn cast(&self, kind: Kind, device: Device) -> Self {
        let is_real = |tensor: &Tensor| matches!(tensor.kind(), Kind::Float | Kind::Double);
        let there = self.on(device);
        let scaling = there.scaling.as_ref().map(|scaling| Scaling { kind, ..scaling.each(Tensor::shallow_clone) });
        let of_kind = |tensor: &Tensor| if is_real(tensor) { tensor.to_kind(kind) } else { tensor.shallow_clone() };
        Self { scaling, ..there.each(of_kind) }
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
        let (classes, what) = (self.target.classes(), self.target.what());
        let classes =
            classes.with_context(|| format!("the data has {what}, and only labels of classes can be drawn anew"))?;
        let labels: Vec<i64> = self.targets.f_to_device(Device::Cpu)?.try_into()?;
        let labels = Tensor::f_from_slice(&corrupted(&labels, classes, corruption, seed, trial))?;
        Ok(Self { targets: labels.f_to_device(self.targets.device())?, ..self.share() })
    }

    /// The first `size` of them, or all, sharing memory.
    pub fn first(&self, size: usize) -> Self {
        self.narrow(0, self.len().min(i64::try_from(size).unwrap_or(i64::MAX)))
    }

    /// Those from `start` on, sharing memory.
    pub fn narrow(&self, start: i64, size: i64) -> Self {
        self.each(|tensor| tensor.narrow(0, start, size))
    }

    /// `count` of them, or all, drawn without replacement by seed and trial, in their order: of classes each has its
    /// share, of all else each sample is as likely as any. What is drawn of another count need not be among them. Bytes
    /// stay bytes.
    ///
    /// # Errors
    /// Where none are asked for.
    pub fn subset(&self, count: usize, seed: u64, trial: &str) -> Result<Self> {
        ensure!(count > 0, "no samples are asked for: take 1 or more");
        let all = self.len() as usize;
        if count >= all {
            return Ok(self.share());
        }
        let mut rng = Rng::keyed(seed, trial, Purpose::Subset, 0);
        let drawn = match self.target {
            Target::Classes(_) => {
                let labels: Vec<i64> = self.targets.f_to_device(Device::Cpu)?.try_into()?;
                subset::by_class(&labels, count, &mut rng)
            }
            Target::Values(_) | Target::ClassesByPlace(_) => subset::of_any(all, count, &mut rng),
        };
        let index = Tensor::f_from_slice(&drawn)?;
        let of = |tensor: &Tensor| tensor.f_index_select(0, &index.f_to_device(tensor.device())?);
        Ok(Self { stored: of(&self.stored)?, targets: of(&self.targets)?, ..self.share() })
    }

    /// Those at `index` [b] in int64, copied: inputs and targets.
    ///
    /// # Errors
    /// Where one is not there.
    pub fn batch(&self, index: &Tensor) -> Result<(Tensor, Tensor)> {
        Ok((self.scaled(self.stored.f_index_select(0, index)?)?, self.targets.f_index_select(0, index)?))
    }

    /// Inputs and targets of at most `size` samples at a time, in order, sharing memory where it can be shared.
    pub fn blocks(&self, size: i64) -> impl Iterator<Item = Result<(Tensor, Tensor)>> + '_ {
        blocks(self.len(), size).map(|(start, size)| {
            let inputs = self.scaled(self.stored.f_narrow(0, start, size)?)?;
            Ok((inputs, self.targets.f_narrow(0, start, size)?))
        })
    }

    pub fn len(&self) -> i64 {
        self.targets.size()[0]
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The least or the greatest of whole numbers that are not all in 0 … `below` - 1.
fn beyond(numbers: &Tensor, below: i64) -> Result<Option<i64>> {
    let [least, most] = [numbers.f_min()?, numbers.f_max()?].map(|number| number.f_int64_value(&[]));
    let (least, most) = (least?, most?);
    Ok([(least, least < 0), (most, most >= below)]
        .into_iter()
        .find_map(|(number, is_beyond)| is_beyond.then_some(number)))
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

    /// Samples of one byte, their places, and such labels.
    fn in_bytes(labels: &[i64]) -> Samples {
        let stored = Tensor::arange(labels.len() as i64, (Kind::Uint8, Device::Cpu)).unsqueeze(1);
        let scaling = Scaling::new(&[1], 255.0, &[0.5], &[0.25]).unwrap();
        Samples::in_bytes(stored, scaling, Tensor::from_slice(labels), Target::Classes(3))
    }

    #[test]
    fn a_subset_has_inputs_with_their_targets_and_stays_in_bytes() {
        let labels: Vec<i64> = (0..200).map(|at| at % 3).collect();
        let samples = in_bytes(&labels);
        let subset = samples.subset(20, 1, "a").unwrap();
        assert_eq!((subset.len(), subset.stored.kind(), subset.target), (20, Kind::Uint8, samples.target));
        assert_eq!(subset.stored.view(-1).remainder(3).to_kind(Kind::Int64), subset.targets);
        let places = subset.stored.view(-1).to_kind(Kind::Int64);
        assert_eq!(subset.inputs().unwrap(), samples.batch(&places).unwrap().0);
        let again = |seed, trial| samples.subset(20, seed, trial).unwrap().stored;
        assert_eq!(again(1, "a"), subset.stored);
        assert!(again(2, "a") != subset.stored && again(1, "b") != subset.stored);
        // All, or more, are all; none are none.
        for count in [200, 1000] {
            assert_eq!(samples.subset(count, 1, "a").unwrap().stored, samples.stored);
        }
        assert!(samples.subset(0, 1, "a").err().unwrap().to_string().contains("take 1 or more"));
    }

    #[test]
    fn a_subset_of_values_or_places_is_a_simple_one() {
        let inputs = Tensor::arange(60, (Kind::Float, Device::Cpu)).view([30, 2]);
        let values = Samples::new(inputs.shallow_clone(), inputs.shallow_clone(), Target::Values(2));
        let tokens = inputs.to_kind(Kind::Int64);
        let places = Samples::new(tokens.shallow_clone(), tokens, Target::ClassesByPlace(60));
        for samples in [values, places] {
            let subset = samples.subset(7, 3, "a").unwrap();
            assert_eq!((subset.inputs().unwrap(), subset.target), (subset.targets.shallow_clone(), samples.target));
            let rows: Vec<i64> = subset.targets.select(1, 0).to_kind(Kind::Int64).try_into().unwrap();
            assert!(rows.len() == 7 && rows.is_sorted_by(|a, b| a < b) && rows.iter().all(|row| row % 2 == 0));
        }
    }

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
