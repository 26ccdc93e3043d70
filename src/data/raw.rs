//! What a reader gives, and what it is told: arrays as a source has them, before they are split, permuted or
//! normalised. Knows no format.

use anyhow::{Result, ensure};

/// What one input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [channels, height, width]: channels first, whatever the source has.
    Images,
    /// [features]
    Features,
    /// [tokens]: whole numbers that name something.
    Tokens,
}

/// Numbers of all inputs of a part, one input after the other, each in row-major order of its shape.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    Bytes(Vec<u8>),
    Floats(Vec<f32>),
    /// Tokens only.
    Whole(Vec<i64>),
}

impl Numbers {
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(all) => all.len(),
            Self::Floats(all) => all.len(),
            Self::Whole(all) => all.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Targets of a part, as the source has them: one entry an input.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// Whole numbers that name classes, whichever.
    Numbers(Vec<i64>),
    /// Names of classes.
    Words(Vec<String>),
    /// So many real numbers an input, one input after the other.
    Values { width: usize, values: Vec<f32> },
    /// Whole numbers that name classes from 0, or -100 for none, at so many places an input, one input after the other.
    ByPlace { places: usize, labels: Vec<i64> },
}

impl Targets {
    /// Of how many samples they are.
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(all) => all.len(),
            Self::Words(all) => all.len(),
            Self::Values { width, values } => values.len() / (*width).max(1),
            Self::ByPlace { places, labels } => labels.len() / (*places).max(1),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One split of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub inputs: Numbers,
    pub targets: Targets,
    /// What errors call it: a path, with the array's name where there is one.
    pub from: String,
}

/// What a source holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Raw {
    pub kind: Kind,
    /// Of one input; no side is 0.
    pub shape: Vec<usize>,
    pub train: Part,
    /// Where the source has samples to test on.
    pub test: Option<Part>,
    /// Names of the classes 0, 1, …, where the source says them.
    pub class_names: Option<Vec<String>>,
    /// What bytes are divided by where they are taken without normalisation: 255 of images in bytes, 1 where the
    /// source had real numbers that happen to be whole.
    pub divisor: f32,
    /// What was decided that its user should know, a sentence each.
    pub notes: Vec<String>,
}

impl Raw {
    /// Features as images of such channels, height and width; whole numbers from 0 to 255 count as bytes.
    ///
    /// # Errors
    /// Where they are not as many.
    pub fn as_images(self, shape: [usize; 3]) -> Result<Self> {
        let (found, wanted) = (self.shape.iter().product::<usize>(), shape.iter().product::<usize>());
        ensure!(
            found == wanted,
            "{} has {found} features, and data.shape={} takes {wanted}: give channels, height and width of an input",
            self.train.from,
            shape.map(|side| side.to_string()).join("x")
        );
        let are_bytes = |part: &Part| match &part.inputs {
            Numbers::Floats(all) => all.iter().all(|x| (0.0..=255.0).contains(x) && x.fract() == 0.0),
            Numbers::Bytes(_) => true,
            Numbers::Whole(_) => false,
        };
        let as_bytes = are_bytes(&self.train) && self.test.as_ref().is_none_or(are_bytes);
        let of_part = |part: Part| match part.inputs {
            Numbers::Floats(all) if as_bytes => {
                Part { inputs: Numbers::Bytes(all.into_iter().map(|x| x as u8).collect()), ..part }
            }
            inputs => Part { inputs, ..part },
        };
        let divisor = if as_bytes { 255.0 } else { 1.0 };
        let (train, test) = (of_part(self.train), self.test.map(of_part));
        Ok(Self { kind: Kind::Images, shape: shape.to_vec(), train, test, divisor, ..self })
    }
}

/// What `data.kind` may be.
pub const KINDS: [&str; 5] = ["images", "channels-first", "channels-last", "features", "tokens"];

/// The settings `data.<name>`; `None` where the source decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Name of the array of inputs (npz).
    pub inputs: Option<String>,
    /// Name of the array of targets (npz).
    pub targets: Option<String>,
    /// One of [`KINDS`].
    pub kind: Option<String>,
    /// Column of labels, by name or by number from 0 (CSV).
    pub label: Option<String>,
    /// Channels, height and width that the features make (tables).
    pub shape: Option<[usize; 3]>,
    /// Height and width that images are brought to (folder).
    pub size: Option<[usize; 2]>,
}

/// What a reader has beside the path.
pub struct Reading<'a> {
    pub options: &'a Options,
    /// Bytes that all decoded arrays together may take: a header that announces more is refused before anything is
    /// allocated.
    pub most_bytes: u64,
    /// To be called now and then with how much is done of how much; its error (an interruption) ends the reading.
    pub progress: &'a mut dyn FnMut(u64, u64) -> Result<()>,
}
