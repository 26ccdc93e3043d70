//! The digits a study trains on: which set and how much of it, its identity for fingerprints, the
//! tensors, and the order of an epoch's samples.

use super::{CLASSES, Digits, PIXELS, digits, mnist};
use crate::error::Interrupted;
use crate::rng::{Purpose, Rng};
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// The data sets by their names in the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatasetName {
    Mnist,
    Synthetic,
}

/// What a study trains on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct DataSpec {
    pub dataset: DatasetName,
    /// The first so many training images.
    pub train_size: usize,
    /// The first so many test images.
    pub test_size: usize,
}

/// The whole of MNIST.
pub const TRAIN_SIZE: usize = 60_000;
pub const TEST_SIZE: usize = 10_000;

/// The synthetic set is one set, like MNIST: trials differ in their own seeds.
const SYNTHETIC_SEED: u64 = 0;

/// What MNIST's pixels are normalised by: their mean and standard deviation over the training
/// images, in 0…1; the synthetic digits are close to it.
const MEAN: f64 = 0.1307;
const STANDARD_DEVIATION: f64 = 0.3081;

impl DataSpec {
    /// An error names the setting and what would be valid.
    pub fn check(&self) -> Result<(), String> {
        for (name, size, most) in
            [("train_size", self.train_size, TRAIN_SIZE), ("test_size", self.test_size, TEST_SIZE)]
        {
            if !(1..=most).contains(&size) {
                return Err(format!("{name} is {size}; it must be from 1 to {most}"));
            }
        }
        Ok(())
    }

    /// What a fingerprint covers of the data: the same text, the same images.
    pub fn identity(&self) -> String {
        let set = match self.dataset {
            DatasetName::Mnist => format!("mnist {}", mnist::digest()),
            DatasetName::Synthetic => format!("synthetic digits {} seed {SYNTHETIC_SEED}", digits::VERSION),
        };
        format!("{set} train {} test {}", self.train_size, self.test_size)
    }

    /// "MNIST", or "synthetic digits", which every output made from them says.
    pub fn title(&self) -> &'static str {
        match self.dataset {
            DatasetName::Mnist => "MNIST",
            DatasetName::Synthetic => "synthetic digits",
        }
    }

    /// Reads or draws the images. Where MNIST is nowhere on this machine, `fetch` is asked to put it into the cache.
    ///
    /// # Errors
    /// Where MNIST cannot be had, with every way out, or is not MNIST.
    pub fn load(&self, data_dir: Option<&Path>, fetch: impl FnOnce(&Path) -> Result<()>) -> Result<Images> {
        let (train, test) = match self.dataset {
            DatasetName::Mnist => {
                let folder = match mnist::find(data_dir)? {
                    Some(folder) => folder,
                    None => mnist::fetch_folder(data_dir)
                        .and_then(|folder| fetch(&folder).map(|()| folder))
                        .map_err(with_ways_out)?,
                };
                let mnist = mnist::load(&folder)?;
                (mnist.train, mnist.test)
            }
            DatasetName::Synthetic => (
                digits::generate(SYNTHETIC_SEED, digits::Split::Train, self.train_size),
                digits::generate(SYNTHETIC_SEED, digits::Split::Test, self.test_size),
            ),
        };
        Ok(Images { train: Samples::new(&train, self.train_size)?, test: Samples::new(&test, self.test_size)? })
    }
}

/// MNIST could not be fetched; an interruption is told as such.
fn with_ways_out(error: anyhow::Error) -> anyhow::Error {
    if error.is::<Interrupted>() {
        return error;
    }
    error.context(
        "MNIST is not on this machine: name its folder with --data-dir, fetch it where there is a network with \
         `hw1 data fetch`, or use the built-in digits with --dataset synthetic; what was tried",
    )
}

/// Training and test images as tensors.
pub struct Images {
    pub train: Samples,
    pub test: Samples,
}

impl Images {
    /// The same memory on the same device, a copy elsewhere.
    pub fn on(&self, device: Device) -> Self {
        Self { train: self.train.on(device), test: self.test.on(device) }
    }
}

/// Images with their labels.
pub struct Samples {
    /// [n, 784] in float32, normalised.
    pub images: Tensor,
    /// [n] in int64.
    pub labels: Tensor,
}

impl Samples {
    fn new(digits: &Digits, size: usize) -> Result<Self> {
        let pixels = digits.images.get(..size * PIXELS).context("the data set is too small")?;
        let labels = digits.labels.get(..size).context("the data set is too small")?;
        let mut images = Tensor::f_from_slice(pixels)?.f_view([size as i64, PIXELS as i64])?.f_to_kind(Kind::Float)?;
        // In place: each copy of MNIST takes 190 MB.
        let _ = images.f_div_scalar_(255.0)?.f_sub_scalar_(MEAN)?.f_div_scalar_(STANDARD_DEVIATION)?;
        let labels = Tensor::f_from_slice(labels)?.f_to_kind(Kind::Int64)?;
        Ok(Self { images, labels })
    }

    pub fn on(&self, device: Device) -> Self {
        Self { images: self.images.to_device(device), labels: self.labels.to_device(device) }
    }

    /// The same images, with labels of which a share is drawn anew: see [`corrupted`].
    pub fn corrupted(&self, corruption: f64, seed: u64, trial: &str) -> Result<Self> {
        let labels: Vec<i64> = self.labels.f_to_device(Device::Cpu)?.try_into()?;
        let labels = Tensor::f_from_slice(&corrupted(&labels, corruption, seed, trial))?;
        Ok(Self { images: self.images.shallow_clone(), labels: labels.f_to_device(self.labels.device())? })
    }

    /// The first `size` of them, or all, sharing memory.
    pub fn first(&self, size: usize) -> Self {
        let size = self.len().min(i64::try_from(size).unwrap_or(i64::MAX));
        Self { images: self.images.narrow(0, 0, size), labels: self.labels.narrow(0, 0, size) }
    }

    /// Images and labels of at most `size` samples at a time, in order, sharing memory.
    pub fn blocks(&self, size: i64) -> impl Iterator<Item = (Tensor, Tensor)> + '_ {
        let cut = |(start, size)| (self.images.narrow(0, start, size), self.labels.narrow(0, start, size));
        blocks(self.len(), size).map(cut)
    }

    pub fn len(&self) -> i64 {
        self.labels.size()[0]
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Cuts 0 … n-1 into blocks of at most `most`, the last one perhaps smaller: start and size of each.
pub fn blocks(n: i64, most: i64) -> impl Iterator<Item = (i64, i64)> {
    (0..n).step_by(most as usize).map(move |start| (start, most.min(n - start)))
}

/// The grey values that a normalised image [784] was made from.
pub fn grey(image: &Tensor) -> Result<Vec<u8>> {
    let grey = (image * STANDARD_DEVIATION + MEAN) * 255.0;
    Ok(grey.f_round()?.f_clamp(0.0, 255.0)?.f_to_kind(Kind::Uint8)?.f_to_device(Device::Cpu)?.try_into()?)
}

/// Labels [n] of which a share, chosen and drawn anew uniformly from the classes, says nothing of
/// the images: fixed for the whole training (Zhang et al. 2017).
pub fn corrupted(labels: &[i64], corruption: f64, seed: u64, trial: &str) -> Vec<i64> {
    let mut rng = Rng::keyed(seed, trial, Purpose::RandomLabels, 0);
    let drawn = labels.iter().map(|&label| {
        // Both are drawn for every label, so that a larger share corrupts those of a smaller one too.
        let (chance, other) = (rng.uniform(), rng.below(usize::from(CLASSES)) as i64);
        if chance < corruption { other } else { label }
    });
    drawn.collect()
}

/// The order of an epoch's samples: 0 … n-1, or a permutation of them keyed by seed, trial and
/// epoch (Fisher and Yates, as Durstenfeld has it).
pub fn order(n: i64, shuffle: Option<(u64, &str)>, epoch: u64) -> Vec<i64> {
    let mut order: Vec<i64> = (0..n).collect();
    if let Some((seed, trial)) = shuffle {
        let mut rng = Rng::keyed(seed, trial, Purpose::Permutation, epoch);
        for last in (1..order.len()).rev() {
            order.swap(last, rng.below(last + 1));
        }
    }
    order
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
    fn synthetic_digits_become_normalised_tensors() {
        let spec = DataSpec { dataset: DatasetName::Synthetic, train_size: 300, test_size: 20 };
        let images = spec.load(None, |_| Ok(())).unwrap();
        assert_eq!((images.train.images.size(), images.test.labels.size()), (vec![300, 784], vec![20]));
        let raw = digits::generate(SYNTHETIC_SEED, digits::Split::Train, 300);
        let expected = (f64::from(raw.images[500]) / 255.0 - MEAN) / STANDARD_DEVIATION;
        assert!((images.train.images.view(-1).double_value(&[500]) - expected).abs() < 1e-6);
        assert_eq!(images.train.labels.int64_value(&[7]), i64::from(raw.labels[7]));
        assert!(images.train.images.mean(Kind::Float).double_value(&[]).abs() < 0.2);
    }

    #[test]
    fn grey_values_survive_normalisation() {
        let spec = DataSpec { dataset: DatasetName::Synthetic, train_size: 3, test_size: 1 };
        let raw = digits::generate(SYNTHETIC_SEED, digits::Split::Train, 3);
        let images = spec.load(None, |_| Ok(())).unwrap().train.images;
        assert!(grey(&images.select(0, 2)).unwrap() == raw.images[2 * PIXELS..]);
    }

    #[test]
    fn corruption_is_a_fixed_share_and_nested() {
        let labels = vec![3; 20_000];
        assert_eq!(corrupted(&labels, 0.0, 1, "a"), labels);
        let (half, whole) = (corrupted(&labels, 0.5, 1, "a"), corrupted(&labels, 1.0, 1, "a"));
        assert_eq!(half, corrupted(&labels, 0.5, 1, "a"));
        assert_ne!(whole, corrupted(&labels, 1.0, 2, "a"));
        // A tenth of the drawn ones are 3 again: 0.45 and 0.9 differ, standard error 0.0035.
        let share = |drawn: &[i64]| drawn.iter().filter(|&&label| label != 3).count() as f64 / 20_000.0;
        assert!((share(&half) - 0.45).abs() < 0.015 && (share(&whole) - 0.9).abs() < 0.015);
        assert!(half.iter().zip(&whole).all(|(half, whole)| *half == 3 || half == whole));
    }

    #[test]
    fn identities_tell_sets_and_sizes_apart() {
        let spec = |dataset, train_size| DataSpec { dataset, train_size, test_size: 10 }.identity();
        assert_ne!(spec(DatasetName::Mnist, 100), spec(DatasetName::Synthetic, 100));
        assert_ne!(spec(DatasetName::Mnist, 100), spec(DatasetName::Mnist, 200));
    }
}
