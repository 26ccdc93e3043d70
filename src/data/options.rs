//! The settings `data.<name>`: what a source does not say of itself.

use super::decoded::TEST_SHARE;
use super::formats::Format;
use super::raw::{KINDS, Options};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use toml::Table;

/// `--set data.<name>=…`; each is left out where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataOptions {
    /// Name of the array of inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inputs: Option<String>,
    /// Name of the array of targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    targets: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// A column by name, or by number from 0.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "name_or_number")]
    label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shape: Option<Sides<3>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<Sides<2>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    test_share: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    normalise: Option<bool>,
    /// In place of the set's own, of numbers over [`super::Normalisation::unit`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mean: Option<Each>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    std: Option<Each>,
    /// A study's, and no setting: see [`Self::whole`].
    #[serde(skip)]
    whole: bool,
}

impl DataOptions {
    /// All of them.
    pub const NAMES: [&str; 10] =
        ["inputs", "targets", "kind", "label", "shape", "size", "test_share", "normalise", "mean", "std"];

    /// From a table of them.
    ///
    /// # Errors
    /// Names the setting.
    pub fn read(table: Table) -> Result<Self, String> {
        for (name, value) in &table {
            let alone: Table = [(name.clone(), value.clone())].into_iter().collect();
            let read: Result<Self, toml::de::Error> = alone.try_into();
            read.map_err(|error| format!("data.{name} is {value}: {}", error.message()))?;
        }
        table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())
    }

    /// What a reader is told.
    pub(super) fn of_reader(&self) -> Options {
        let Self { inputs, targets, kind, label, .. } = self.clone();
        let (shape, size) = (self.shape.map(|sides| sides.0), self.size.map(|sides| sides.0));
        Options { inputs, targets, kind, label, shape, size }
    }

    /// Those that decide what is read.
    pub(super) fn of_reading(&self) -> Self {
        Self { normalise: None, mean: None, std: None, ..self.clone() }
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        Self { whole: false, ..self.clone() } == Self::default()
    }

    /// Numbers as they are, bytes over 255, where it was not said how they are normalised.
    pub fn as_is_by_default(self) -> Self {
        let is_said = self.normalise.is_some() || self.mean.is_some() || self.std.is_some();
        if is_said { self } else { Self { normalise: Some(false), ..self } }
    }

    /// Inputs are of this kind, one of `data.kind`'s, where it was not said of which. Not for a set with a name (see
    /// [`super::Named::of`]), of which no kind can be set.
    pub fn with_kind(self, kind: &str) -> Self {
        Self { kind: self.kind.or_else(|| Some(kind.to_owned())), ..self }
    }

    /// For what only measures: of a source of the user's own all samples are kept in the order of its files. One without
    /// test samples is one split, [`super::Dataset::is_one_split`]; a class may lack samples, or be the only one; and
    /// labels from 0 keep their numbers, which are outputs of a network that has learned already.
    pub fn whole(self) -> Self {
        Self { whole: true, ..self }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// The share of the samples that is held out, where a source has none to test on.
    pub(super) fn test_share(&self) -> f64 {
        self.test_share.unwrap_or(TEST_SHARE)
    }

    /// Whether it was said how large that is.
    pub(super) fn has_test_share(&self) -> bool {
        self.test_share.is_some()
    }

    /// That nothing is set that says nothing of such files.
    pub(super) fn check_for(&self, format: Format) -> Result<(), String> {
        let (files, known): (&str, &[&str]) = match format {
            Format::Idx => ("IDX files", &["kind", "shape"]),
            Format::Npz => ("an .npz file", &["inputs", "targets", "kind", "shape"]),
            Format::Cifar => ("CIFAR's batches", &["kind"]),
            Format::Folder => ("a folder of classes", &["kind", "size"]),
            Format::Csv => ("a .csv file", &["label", "shape", "kind"]),
        };
        let given = Table::try_from(self.of_reading()).map_err(|error| error.to_string())?;
        // Of a share the source says whether it has tests of its own.
        match given.keys().find(|name| *name != "test_share" && !known.contains(&name.as_str())) {
            Some(name) => {
                let known: Vec<String> = known.iter().map(|name| format!("data.{name}")).collect();
                Err(format!("data.{name} says nothing of {files}; {} do", known.join(", ")))
            }
            None => Ok(()),
        }
    }

    /// Whether numbers are normalised by mean and deviation.
    pub fn normalise(&self) -> bool {
        self.normalise.unwrap_or(true)
    }

    /// Mean and deviation that were given, one a channel or feature of inputs of such a shape.
    pub(super) fn by_hand(&self, input: &[i64]) -> Option<[Vec<f64>; 2]> {
        let groups = input.first().map_or(1, |groups| *groups as usize);
        let each = |Each(given): &Each| if given.len() == 1 { vec![given[0]; groups] } else { given.clone() };
        Some([each(self.mean.as_ref()?), each(self.std.as_ref()?)])
    }

    /// That what was given by hand is of such inputs: one a channel or feature, and of no tokens.
    pub(super) fn check_for_inputs(&self, input: &[i64], is_of_tokens: bool) -> Result<(), String> {
        let groups = input.first().map_or(1, |groups| *groups as usize);
        let what = if input.len() == 3 { "channel" } else { "feature" };
        for (name, given) in [("mean", &self.mean), ("std", &self.std)] {
            let Some(Each(given)) = given else { continue };
            if is_of_tokens {
                return Err(format!("data.{name} is of measured numbers, and the inputs are tokens: leave it away"));
            }
            if given.len() != 1 && given.len() != groups {
                let numbers = if groups == 1 { String::new() } else { format!(", or {groups} of them, one a {what}") };
                return Err(format!("data.{name} has {} numbers; it must be a number{numbers}", given.len()));
            }
        }
        Ok(())
    }

    /// Mean and deviation, which go together.
    fn check_by_hand(&self) -> Result<(), String> {
        let (Some(Each(mean)), Some(Each(std))) = (&self.mean, &self.std) else {
            return match (&self.mean, &self.std) {
                (Some(_), None) => Err("data.mean is given without data.std: give both, or neither".into()),
                (None, Some(_)) => Err("data.std is given without data.mean: give both, or neither".into()),
                _ => Ok(()),
            };
        };
        if self.normalise == Some(false) {
            return Err(
                "data.normalise is false, and data.mean and data.std are given: drop data.normalise, or these \
                        two"
                .into(),
            );
        }
        // As the float32 that they are used as.
        if let Some(mean) = mean.iter().find(|mean| !(**mean as f32).is_finite()) {
            return Err(format!("data.mean is {mean}; it must be a finite number"));
        }
        match std.iter().find(|std| !(**std as f32).is_normal() || **std < 0.0) {
            Some(std) => Err(format!("data.std is {std}; it must be a finite number above 0")),
            None => Ok(()),
        }
    }

    /// An error names the setting and what would be valid.
    pub(super) fn check(&self) -> Result<(), String> {
        match &self.kind {
            Some(kind) if !KINDS.contains(&kind.as_str()) => {
                return Err(format!("data.kind is '{kind:.20}'; it must be one of {}", KINDS.join(", ")));
            }
            _ => {}
        }
        self.check_by_hand()?;
        if self.whole && self.has_test_share() {
            return Err("data.test_share is for what is split, and here all samples are taken: leave it away".into());
        }
        let share = self.test_share();
        if share > 0.0 && share < 1.0 {
            Ok(())
        } else {
            Err(format!("data.test_share is {share}; it must be between 0 and 1"))
        }
    }
}

/// TOML takes a column's number for one.
fn name_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "data.label is the name of a column, or its number from 0")]
    enum Label {
        Name(String),
        Number(i64),
    }
    Ok(Some(match Label::deserialize(deserializer)? {
        Label::Name(name) => name,
        Label::Number(number) => number.to_string(),
    }))
}

/// A number for all channels or features, or one for each.
#[derive(Clone, Debug, PartialEq)]
struct Each(Vec<f64>);

impl Serialize for Each {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0[..] {
            [one] => serializer.serialize_f64(one),
            _ => self.0.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Each {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "it is no number, and no list of numbers")]
        enum Given {
            One(f64),
            Many(Vec<f64>),
        }
        Ok(Self(match Given::deserialize(deserializer)? {
            Given::One(one) => vec![one],
            Given::Many(many) if many.is_empty() => return Err(D::Error::custom("it is an empty list")),
            Given::Many(many) => many,
        }))
    }
}

/// Lengths with an x between them: 1x28x28.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sides<const N: usize>([usize; N]);

/// A longer side than this is a slip of the pen.
const LONGEST: usize = 1 << 14;

impl<const N: usize> Serialize for Sides<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.map(|side| side.to_string()).join("x"))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Sides<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Given {
            Text(String),
            // Of a square.
            Side(u32),
        }
        let text = match Given::deserialize(deserializer).map_err(|_| D::Error::custom("it is no text like 32x32"))? {
            Given::Text(text) => text,
            Given::Side(side) => vec![side.to_string(); N].join("x"),
        };
        let sides: Option<Vec<usize>> = text.split(['x', '×']).map(|side| side.trim().parse().ok()).collect();
        let sides = sides.filter(|sides| sides.iter().all(|side| (1..=LONGEST).contains(side)));
        let sides = sides.and_then(|sides| <[usize; N]>::try_from(sides).ok());
        let example =
            if N == 3 { "channels, height and width, as in 3x32x32" } else { "height and width, as in 32x32" };
        sides.map(Self).ok_or_else(|| D::Error::custom(format!("'{text:.20}' is not {example}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<DataOptions, String> {
        let options: DataOptions = toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())?;
        options.check().map(|()| options)
    }

    #[test]
    fn options_are_read_as_they_are_written() {
        let text = "label = \"y\"\nshape = \"1x8x8\"\nsize = \"32x16\"\ntest_share = 0.3\nnormalise = false\n";
        let options = read(text).unwrap();
        assert_eq!(toml::to_string(&options).unwrap(), text);
        assert_eq!((options.shape, options.size), (Some(Sides([1, 8, 8])), Some(Sides([32, 16]))));
        assert_eq!(read("label = -1").unwrap().label.as_deref(), Some("-1"));
        assert!(read("").unwrap().is_empty() && !options.is_empty());
        for (text, written) in [
            ("mean = 0.5\nstd = [0.25, 1.0]\n", "mean = 0.5\nstd = [0.25, 1.0]\n"),
            ("mean = 0\nstd = [2]\n", "mean = 0.0\nstd = 2.0\n"),
        ] {
            let options = read(text).unwrap();
            assert_eq!(toml::to_string(&options).unwrap(), written);
            assert!(!options.is_empty() && options.of_reading().is_empty() && options.normalise());
        }
    }

    #[test]
    fn a_studys_defaults_are_taken_where_nothing_was_said() {
        for (text, expected) in [
            ("", "kind = \"tokens\"\nnormalise = false\n"),
            ("normalise = true\nkind = \"images\"\n", "kind = \"images\"\nnormalise = true\n"),
            ("mean = 0.5\nstd = 0.5\n", "kind = \"tokens\"\nmean = 0.5\nstd = 0.5\n"),
        ] {
            let options = read(text).unwrap().as_is_by_default().with_kind("tokens");
            assert!(options.check().is_ok());
            assert_eq!(toml::to_string(&options).unwrap(), expected);
        }
        // What is whole is no setting, and yet tells readings apart.
        let whole = read("").unwrap().whole();
        assert!(whole.is_empty() && whole.is_whole() && whole.of_reading() != read("").unwrap());
        assert_eq!(toml::to_string(&whole).unwrap(), "");
        assert!(read("whole = true").unwrap_err().contains("unknown field `whole`"));
        let error = read("test_share = 0.3").unwrap().whole().check().unwrap_err();
        assert!(error.contains("here all samples are taken"), "{error}");
    }

    #[test]
    fn a_mean_and_a_deviation_are_for_all_channels_or_one_for_each() {
        let options = |text: &str| read(text).unwrap();
        let by_hand = |text: &str, input: &[i64]| options(text).by_hand(input);
        assert_eq!(by_hand("mean = 1\nstd = [2, 4]", &[2, 5, 5]), Some([vec![1.0; 2], vec![2.0, 4.0]]));
        assert_eq!(by_hand("mean = [1]\nstd = 2", &[3]), Some([vec![1.0; 3], vec![2.0; 3]]));
        assert_eq!(by_hand("", &[3]), None);
        for (text, input, words) in [
            (
                "mean = [1, 2]\nstd = 1",
                &[3, 5, 5][..],
                "data.mean has 2 numbers; it must be a number, or 3 of them, one a channel",
            ),
            ("mean = 1\nstd = [1, 2]", &[1, 5, 5], "data.std has 2 numbers; it must be a number"),
            ("mean = 1\nstd = [1, 2]", &[4], "or 4 of them, one a feature"),
        ] {
            let error = options(text).check_for_inputs(input, false).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let error = options("mean = 1\nstd = 1").check_for_inputs(&[7], true).unwrap_err();
        assert!(error.contains("data.mean is of measured numbers, and the inputs are tokens"), "{error}");
        assert!(options("").check_for_inputs(&[7], true).is_ok());
        assert!(options("mean = [1, 2]\nstd = 1").check_for_inputs(&[2], false).is_ok());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, words) in [
            ("shape = \"8x8\"", "'8x8' is not channels, height and width, as in 3x32x32"),
            ("size = \"32\"", "'32' is not height and width"),
            ("size = \"0x3\"", "'0x3' is not"),
            ("kind = \"pictures\"", "data.kind is 'pictures'; it must be one of images, "),
            ("test_share = 1", "data.test_share is 1; it must be between 0 and 1"),
            ("test_share = nan", "between 0 and 1"),
            ("label = [1]", "data.label is the name of a column, or its number"),
            ("lable = 1", "unknown field `lable`"),
            ("mean = 0.5", "data.mean is given without data.std: give both, or neither"),
            ("std = [1, 2]", "data.std is given without data.mean"),
            ("mean = 0\nstd = 1\nnormalise = false", "drop data.normalise, or these two"),
            ("mean = [0, nan]\nstd = 1", "data.mean is NaN; it must be a finite number"),
            ("mean = 1e39\nstd = 1", "it must be a finite number"),
            ("mean = 0\nstd = [1, 0]", "data.std is 0; it must be a finite number above 0"),
            ("mean = 0\nstd = -1", "data.std is -1; it must"),
            ("mean = 0\nstd = 1e-60", "it must be a finite number above 0"),
            ("mean = 0\nstd = inf", "data.std is inf"),
            ("mean = 0\nstd = nan", "data.std is NaN"),
            ("mean = \"x\"\nstd = 1", "it is no number, and no list of numbers"),
            ("mean = []\nstd = 1", "it is an empty list"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
