//! What is learned from. The seam: a [`Dataset`] says what its inputs and targets are, what it is called and where its
//! samples come from; nothing above knows a file format, a shape or a number of classes. Knows nothing of models.

pub mod digits;
pub mod fetch;
pub mod functions;
mod idx;
pub mod mnist;
mod named;
pub mod points;
mod samples;

pub use named::{DataSpec, DatasetName};
pub use samples::{Samples, blocks, order};

use anyhow::{Context as _, Result, ensure};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tch::{Device, Tensor};

/// What one sample is; models are parsed for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Shape of an input: [features], [channels, height, width] or [tokens].
    pub input: Vec<i64>,
    /// Where an input is of tokens, whole numbers that name something and nothing can be derived by: how many there are.
    pub tokens: Option<i64>,
    pub target: Target,
}

/// What is to be learned of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One of so many classes.
    Classes(i64),
    /// So many real numbers.
    Values(i64),
}

impl Target {
    /// How many classes there are; `None` of values.
    pub fn classes(self) -> Option<i64> {
        match self {
            Self::Classes(classes) => Some(classes),
            Self::Values(_) => None,
        }
    }

    /// Outputs of a network that learns it.
    pub fn outputs(self) -> i64 {
        match self {
            Self::Classes(outputs) | Self::Values(outputs) => outputs,
        }
    }

    /// The accuracy of guessing, 0…1: one in so many classes; NaN of values.
    pub fn chance(self) -> f64 {
        self.classes().map_or(f64::NAN, |classes| 1.0 / classes as f64)
    }
}

impl Signature {
    /// Numbers of an input.
    pub fn numbers(&self) -> i64 {
        self.input.iter().product()
    }

    /// Height and width, of images.
    pub fn image(&self) -> Option<[usize; 2]> {
        match self.input[..] {
            [_, height, width] if self.tokens.is_none() => Some([height, width].map(|side| side as usize)),
            _ => None,
        }
    }
}

/// Gets a set that is missing: until the flag is set, and telling how far it is.
pub type Download<'a> = &'a dyn Fn(&AtomicBool, &mut dyn FnMut(fetch::Event)) -> Result<()>;

/// Who may download, and shows it.
pub type Fetch<'a> = dyn FnMut(Download) -> Result<()> + 'a;

/// A set of samples in two splits, known before any is read.
pub trait Dataset: Send + Sync {
    /// What a fingerprint covers of the data: the same text, the same samples.
    fn identity(&self) -> String;

    /// "MNIST": every output made from it says so.
    fn title(&self) -> &str;

    /// The set in whose place this one was made.
    fn stands_in_for(&self) -> Option<&str> {
        None
    }

    /// What one input is called: "digit".
    fn one(&self) -> &str {
        "sample"
    }

    fn signature(&self) -> Signature;

    /// How many samples there are to train on, and to test on; at least one each.
    fn sizes(&self) -> [usize; 2];

    /// The classes by name, in their order.
    fn class_names(&self) -> Vec<String> {
        let classes = self.signature().target.classes().unwrap_or(0);
        (0..classes).map(|class| class.to_string()).collect()
    }

    /// The grey values, height · width of them row by row, that an image shows to people; `None` where there are none.
    fn grey(&self, _input: &Tensor) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Reads or draws the training and the test samples. Where the set is nowhere on this machine, `fetch` is asked to
    /// download it.
    fn load(&self, data_dir: Option<&Path>, fetch: &mut Fetch) -> Result<[Samples; 2]>;
}

/// A set with its samples.
pub struct Data {
    pub set: Arc<dyn Dataset>,
    pub train: Samples,
    pub test: Samples,
}

impl Data {
    /// # Errors
    /// Where the samples cannot be had, or are not those that the set announces.
    pub fn load(set: Arc<dyn Dataset>, data_dir: Option<&Path>, fetch: &mut Fetch) -> Result<Self> {
        let [train, test] = set.load(data_dir, fetch)?;
        let ([train_size, test_size], signature) = (set.sizes(), set.signature());
        for (split, samples, size) in [("training", &train, train_size), ("test", &test, test_size)] {
            samples.check(&signature, size).with_context(|| format!("the {split} samples of {}", set.title()))?;
        }
        if let Some(classes) = signature.target.classes() {
            let names = set.class_names().len();
            ensure!(names as i64 == classes, "{} has {classes} classes and {names} names of them", set.title());
        }
        Ok(Self { set, train, test })
    }

    /// The same memory on the same device, a copy elsewhere.
    pub fn on(&self, device: Device) -> Self {
        Self { set: self.set.clone(), train: self.train.on(device), test: self.test.on(device) }
    }
}
