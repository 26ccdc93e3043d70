//! What is learned from. The seam: a [`Dataset`] says what its inputs and targets are, what it is called and where its
//! samples come from; nothing above knows a file format, a shape or a number of classes. Knows nothing of models.

pub mod colour_digits;
mod decoded;
pub mod digits;
pub mod expression;
pub mod fetch;
mod folders;
pub mod formats;
pub mod functions;
mod idx;
mod memory;
pub mod mnist;
mod named;
mod options;
pub mod points;
pub mod raw;
mod remembered;
mod samples;
pub mod sent;
mod sets;
mod source;
mod spec;
mod stored;
mod subset;

pub use memory::{Memory, all as total_memory, memory, of_set as memory_of_set};
pub use named::{Built, Set};
pub use options::DataOptions;
pub use samples::{Samples, Scaling, blocks, order};
pub use sets::SETS;
pub use spec::{DataSpec, Named};

use anyhow::{Context as _, Result, ensure};
use raw::Raw;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// One of so many classes.
    Classes(i64),
    /// So many real numbers.
    Values(i64),
    /// One of so many classes at each place: of each token, of each pixel. Places labelled [`IGNORED`] count for none.
    ClassesByPlace(i64),
}

/// The label of what has no class, as PyTorch's `cross_entropy` has it.
pub const IGNORED: i64 = -100;

impl Target {
    /// How many classes an input is one of; `None` of values, and of classes by place.
    pub fn classes(self) -> Option<i64> {
        match self {
            Self::Classes(classes) => Some(classes),
            Self::Values(_) | Self::ClassesByPlace(_) => None,
        }
    }

    /// What an input has to be learned: "classes", "values", "classes by place".
    pub fn what(self) -> &'static str {
        match self {
            Self::Classes(_) => "classes",
            Self::Values(_) => "values",
            Self::ClassesByPlace(_) => "classes by place",
        }
    }

    /// Outputs of a network that learns it; at each place, of classes by place.
    pub fn outputs(self) -> i64 {
        match self {
            Self::Classes(outputs) | Self::Values(outputs) | Self::ClassesByPlace(outputs) => outputs,
        }
    }

    /// The accuracy of guessing, 0…1: one in so many classes; NaN of all else.
    pub fn chance(self) -> f64 {
        self.classes().map_or(f64::NAN, |classes| 1.0 / classes as f64)
    }
}

impl Signature {
    /// Numbers of an input.
    pub fn numbers(&self) -> i64 {
        self.input.iter().product()
    }

    /// Shape of a target: [] of a class, [values], and of classes by place [tokens] or [height, width].
    pub fn target_shape(&self) -> Vec<i64> {
        match self.target {
            Target::Classes(_) => Vec::new(),
            Target::Values(values) => vec![values],
            Target::ClassesByPlace(_) => places(&self.input, self.tokens.is_some()).to_vec(),
        }
    }

    /// Height and width of what is shown of an image: of a large one reduced by a whole factor.
    pub fn shown(&self) -> Option<[usize; 2]> {
        Some(self.image()?.map(|side| side.div_ceil(self.reduction())))
    }

    /// So many pixels along a side are one of what is shown.
    fn reduction(&self) -> usize {
        const LONGEST: usize = 96;
        self.image().map_or(1, |[height, width]| height.max(width).div_ceil(LONGEST).max(1))
    }

    /// Height and width, of images.
    pub fn image(&self) -> Option<[usize; 2]> {
        match self.input[..] {
            [_, height, width] if self.tokens.is_none() => Some([height, width].map(|side| side as usize)),
            _ => None,
        }
    }
}

/// Of what each is one place, of inputs of such a shape: tokens, or pixels whatever their channels.
fn places<T>(input: &[T], is_of_tokens: bool) -> &[T] {
    if is_of_tokens { input } else { input.get(1..).unwrap_or(&[]) }
}

/// Gets a set that is missing: until the flag is set, and telling how far it is.
pub type Download<'a> = &'a dyn Fn(&AtomicBool, &mut dyn FnMut(fetch::Event)) -> Result<()>;

/// Reads something long.
pub type Read<'a> = &'a mut dyn FnMut(&mut Told) -> Result<()>;

/// Who is told how much is done of how much; an error of theirs ends it.
pub type Told<'a> = dyn FnMut(u64, u64) -> Result<()> + 'a;

/// Who shows what takes long, and lets it be interrupted.
pub trait Watch: Send + Sync {
    /// # Errors
    /// Those of the download.
    fn download(&self, download: Download) -> Result<()>;

    /// # Errors
    /// Those of the reading.
    fn read(&self, what: &str, read: Read) -> Result<()>;
}

/// How data is got at.
#[derive(Clone, Default)]
pub struct Access {
    /// The folder that the user named for sets with a name.
    pub data_dir: Option<PathBuf>,
    /// `None` where nothing may be downloaded and nobody looks.
    pub watch: Option<Arc<dyn Watch>>,
}

impl Access {
    fn download(&self, download: Download) -> Result<()> {
        self.watch.as_ref().context("nothing is downloaded here")?.download(download)
    }

    fn read(&self, what: &str, mut read: impl FnMut(&mut Told) -> Result<Raw>) -> Result<Raw> {
        let Some(watch) = &self.watch else { return read(&mut |_, _| Ok(())) };
        let mut found = None;
        watch.read(what, &mut |progress| {
            found = Some(read(progress)?);
            Ok(())
        })?;
        found.context("nothing was read")
    }
}

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

    /// What the class of an input is called: "digit".
    fn one(&self) -> &str {
        "class"
    }

    fn signature(&self) -> Signature;

    /// How many samples there are to train on, and to test on; at least one each, but of [`Self::is_one_split`].
    fn sizes(&self) -> [usize; 2];

    /// Whether all samples are the training samples, and there are none to test on: where nothing is learned.
    fn is_one_split(&self) -> bool {
        false
    }

    /// The classes by name, in their order.
    fn class_names(&self) -> Vec<String> {
        let classes = self.signature().target.classes().unwrap_or(0);
        (0..classes).map(|class| class.to_string()).collect()
    }

    /// What was decided in reading it that its user should know, a sentence each.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// What its numbers are normalised by.
    fn normalisation(&self) -> Option<Normalisation> {
        None
    }

    /// What an image shows to people, as large as [`Signature::shown`] and row by row: a grey value of each pixel, or its
    /// red, green and blue; `None` where there is nothing to see.
    fn picture(&self, _input: &Tensor) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Reads or draws the training and the test samples; of one split the latter are none, of shape [0, …]. Where the set
    /// is nowhere on this machine, it is downloaded as `access` has it.
    fn load(&self, access: &Access) -> Result<[Samples; 2]>;
}

/// What stored numbers become before a network sees them: (x / unit - mean) / deviation, by channel or by feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// 255 of bytes, 1 of others.
    pub unit: f64,
    pub mean: Vec<f64>,
    pub deviation: Vec<f64>,
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
    pub fn load(set: Arc<dyn Dataset>, access: &Access) -> Result<Self> {
        let [train, test] = set.load(access)?;
        let ([train_size, test_size], signature) = (set.sizes(), set.signature());
        for (split, samples, size) in [("training", &train, train_size), ("test", &test, test_size)] {
            let may_be_none = split == "test" && set.is_one_split();
            samples
                .check(&signature, size, may_be_none)
                .with_context(|| format!("the {split} samples of {}", set.title()))?;
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
