//! The sets that hw1 knows by name, each of images with their classes: how much of one a study takes, its identity for
//! fingerprints, and where it comes from.

use super::digits::{self, CLASSES, PIXELS, SIDE};
use super::{Dataset, Fetch, Samples, Signature, Target, fetch, mnist};
use crate::error::Interrupted;
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

/// The whole of MNIST, and as much of the synthetic digits.
const TRAIN_SIZE: usize = 60_000;
const TEST_SIZE: usize = 10_000;

/// The synthetic set is one set, like MNIST: trials differ in their own seeds.
const SYNTHETIC_SEED: u64 = 0;

/// What MNIST's pixels are normalised by: their mean and standard deviation over the training
/// images, in 0…1; the synthetic digits are close to it.
const MEAN: f64 = 0.1307;
const STANDARD_DEVIATION: f64 = 0.3081;

impl DataSpec {
    /// All of a set.
    pub fn whole(dataset: DatasetName) -> Self {
        Self { dataset, train_size: TRAIN_SIZE, test_size: TEST_SIZE }
    }

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
}

impl Dataset for DataSpec {
    fn identity(&self) -> String {
        let set = match self.dataset {
            DatasetName::Mnist => format!("mnist {}", mnist::digest()),
            DatasetName::Synthetic => format!("synthetic digits {} seed {SYNTHETIC_SEED}", digits::VERSION),
        };
        format!("{set} train {} test {}", self.train_size, self.test_size)
    }

    fn title(&self) -> &str {
        match self.dataset {
            DatasetName::Mnist => "MNIST",
            DatasetName::Synthetic => "synthetic digits",
        }
    }

    fn stands_in_for(&self) -> Option<&str> {
        (self.dataset == DatasetName::Synthetic).then_some("MNIST")
    }

    fn one(&self) -> &str {
        "digit"
    }

    fn signature(&self) -> Signature {
        let side = SIDE as i64;
        Signature { input: vec![1, side, side], tokens: None, target: Target::Classes(CLASSES.into()) }
    }

    fn sizes(&self) -> [usize; 2] {
        [self.train_size, self.test_size]
    }

    fn grey(&self, image: &Tensor) -> Result<Option<Vec<u8>>> {
        let grey = (image * STANDARD_DEVIATION + MEAN) * 255.0;
        let grey = grey.f_round()?.f_clamp(0.0, 255.0)?.f_to_kind(Kind::Uint8)?.f_to_device(Device::Cpu)?;
        Ok(Some(grey.f_reshape([-1])?.try_into()?))
    }

    /// Where MNIST cannot be had, with every way out.
    fn load(&self, data_dir: Option<&Path>, fetch: &mut Fetch) -> Result<[Samples; 2]> {
        let (train, test) = match self.dataset {
            DatasetName::Mnist => {
                let folder = match mnist::find(data_dir)? {
                    Some(folder) => folder,
                    None => mnist::fetch_folder(data_dir)
                        .and_then(|folder| {
                            let mirrors = fetch::mirrors();
                            fetch(&|stop, event| fetch::fetch(&mnist::FILES, &folder, &mirrors, stop, event))?;
                            Ok(folder)
                        })
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
        Ok([self.normalised(&train, self.train_size)?, self.normalised(&test, self.test_size)?])
    }
}

impl DataSpec {
    fn normalised(&self, digits: &digits::Digits, size: usize) -> Result<Samples> {
        let pixels = digits
            .images
            .get(..size * PIXELS)
            .with_context(|| format!("{} has fewer than {size} of these", self.title()))?;
        let labels =
            digits.labels.get(..size).with_context(|| format!("{} has fewer than {size} of these", self.title()))?;
        let Signature { input, target, .. } = self.signature();
        let shape = [&[size as i64], &input[..]].concat();
        let mut images = Tensor::f_from_slice(pixels)?.f_view(&shape[..])?.f_to_kind(Kind::Float)?;
        // In place: each copy of MNIST takes 190 MB.
        let _ = images.f_div_scalar_(255.0)?.f_sub_scalar_(MEAN)?.f_div_scalar_(STANDARD_DEVIATION)?;
        let labels = Tensor::f_from_slice(labels)?.f_to_kind(Kind::Int64)?;
        Ok(Samples { inputs: images, targets: labels, target })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synthetic_digits_become_normalised_tensors() {
        let spec = DataSpec { dataset: DatasetName::Synthetic, train_size: 300, test_size: 20 };
        let [train, test] = spec.load(None, &mut |_| Ok(())).unwrap();
        assert_eq!((train.inputs.size(), test.targets.size()), (vec![300, 1, 28, 28], vec![20]));
        let raw = digits::generate(SYNTHETIC_SEED, digits::Split::Train, 300);
        let expected = (f64::from(raw.images[500]) / 255.0 - MEAN) / STANDARD_DEVIATION;
        assert!((train.inputs.view(-1).double_value(&[500]) - expected).abs() < 1e-6);
        assert_eq!(train.targets.int64_value(&[7]), i64::from(raw.labels[7]));
        assert!(train.inputs.mean(Kind::Float).double_value(&[]).abs() < 0.2);
    }

    #[test]
    fn grey_values_survive_normalisation() {
        let spec = DataSpec { dataset: DatasetName::Synthetic, train_size: 3, test_size: 1 };
        let raw = digits::generate(SYNTHETIC_SEED, digits::Split::Train, 3);
        let [train, _] = spec.load(None, &mut |_| Ok(())).unwrap();
        assert!(spec.grey(&train.inputs.select(0, 2)).unwrap().unwrap() == raw.images[2 * PIXELS..]);
    }

    #[test]
    fn identities_tell_sets_and_sizes_apart() {
        let spec = |dataset, train_size| DataSpec { dataset, train_size, test_size: 10 }.identity();
        assert_ne!(spec(DatasetName::Mnist, 100), spec(DatasetName::Synthetic, 100));
        assert_ne!(spec(DatasetName::Mnist, 100), spec(DatasetName::Mnist, 200));
    }
}
