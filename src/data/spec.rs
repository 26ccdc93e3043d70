//! What a study learns from, as its settings say it: a set by name or by path, how much of it, and how it is read. From
//! there a [`Dataset`].

use super::decoded::{About, Scale};
use super::named::{Built, Comes, Drawn, Set};
use super::options::DataOptions;
use super::samples::Scaling;
use super::sets::SYNTHETIC_SEED;
use super::source::Source;
use super::stored::Stored;
use super::{Access, Dataset, Normalisation, Samples, Signature, Target, digits, memory, mnist};
use anyhow::{Context as _, Result, ensure};
use serde::{Serialize, Serializer};
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tch::{Device, Kind, Tensor};

/// What a study trains on.
#[derive(Clone, Debug, Serialize)]
pub struct DataSpec {
    pub dataset: Named,
    /// The first so many training samples.
    pub train_size: usize,
    /// The first so many test samples.
    pub test_size: usize,
    /// How a set of the user's own is read.
    #[serde(rename = "data", skip_serializing_if = "DataOptions::is_empty")]
    options: DataOptions,
    /// What is known of it where that depends on its files.
    #[serde(skip)]
    source: Option<Arc<Source>>,
}

/// A set by what it is called in the settings.
#[derive(Clone)]
pub enum Named {
    Set(&'static Set),
    Path(PathBuf),
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Set(set) => f.write_str(set.name),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Named {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Named {
    /// A known name is that set; all else is a path, which is made absolute, so that settings mean the same wherever
    /// they are read.
    pub fn of(text: &str) -> Self {
        if let Some(set) = Set::named(text) {
            return Self::Set(set);
        }
        Self::Path(std::path::absolute(text).unwrap_or_else(|_| text.into()))
    }
}

impl DataSpec {
    /// A set, opened: its files are found, fetched where a set with a name is missing, and read once. Sizes are those
    /// that are asked for, or all there are.
    ///
    /// # Errors
    /// In a line: what was wrong with the name, an option, a folder or a file, and what to do.
    pub fn open(dataset: &str, sizes: [usize; 2], options: DataOptions, access: &Access) -> Result<Self> {
        options.check().map_err(crate::error::usage)?;
        let dataset = Named::of(dataset);
        let source = match &dataset {
            Named::Set(set) => {
                // That a study takes it whole changes nothing: its splits and its order are part of it.
                if !options.of_reading().is_empty() {
                    return Err(crate::error::usage(format!(
                        "settings data.… are for files of your own; of {} only data.normalise, data.mean and data.std \
                         can be set",
                        set.name
                    )));
                }
                open_named(set, access)?
            }
            Named::Path(path) => Some(Source::open(path, None, &options, access)?),
        };
        let mut spec = Self { dataset, train_size: 0, test_size: 0, options, source };
        let Signature { input, tokens, .. } = spec.signature();
        spec.options.check_for_inputs(&input, tokens.is_some()).map_err(crate::error::usage)?;
        let there = spec.all();
        [spec.train_size, spec.test_size] = [sizes[0].min(there[0]), sizes[1].min(there[1])];
        Ok(spec)
    }

    /// The first so many of MNIST or of a set that hw1 draws: nothing has to be opened.
    pub fn of(set: Built, [train_size, test_size]: [usize; 2]) -> Self {
        let dataset = Named::Set(set.set());
        Self { dataset, train_size, test_size, options: DataOptions::default(), source: None }
    }

    /// All of it.
    pub fn whole(set: Built) -> Self {
        Self::of(set, set.set().sizes)
    }

    /// How many there are to train and to test on.
    fn all(&self) -> [usize; 2] {
        match (&self.source, &self.dataset) {
            (Some(source), _) => source.about.sizes,
            (None, Named::Set(set)) => set.sizes,
            (None, Named::Path(_)) => [0, 0],
        }
    }

    /// An error names the setting and what would be valid.
    pub fn check(&self) -> Result<(), String> {
        for (name, size, most) in
            [("train_size", self.train_size, self.all()[0]), ("test_size", self.test_size, self.all()[1])]
        {
            if size == 0 && !(name == "test_size" && self.is_one_split()) {
                return Err(format!("{name} is 0; it must be from 1 to {most}"));
            }
        }
        Ok(())
    }

    fn set(&self) -> Option<&'static Set> {
        if let Named::Set(set) = self.dataset { Some(set) } else { None }
    }

    /// Whether it is a source of the user's own that is kept as its files have it.
    fn is_whole(&self) -> bool {
        self.options.is_whole() && self.set().is_none()
    }

    fn about(&self) -> Option<&About> {
        self.source.as_deref().map(|source| &source.about)
    }

    /// What its stored numbers are divided by where they are not normalised: 255 of bytes.
    pub fn as_is(&self) -> f64 {
        self.scale().as_is
    }

    /// How a set of the user's own is read.
    pub fn options(&self) -> &DataOptions {
        &self.options
    }

    /// How its numbers are scaled: (x / unit - mean) / deviation.
    fn scale(&self) -> Scale {
        let (unit, mean, deviation, range) = match (self.about(), self.set()) {
            (Some(About { scale, .. }), _) => (scale.unit, scale.mean.clone(), scale.deviation.clone(), scale.range),
            (None, Some(Set { published: Some([mean, deviation]), .. })) => {
                (255.0, mean.to_vec(), deviation.to_vec(), [0.0, 255.0])
            }
            (None, _) => (255.0, vec![0.0], vec![1.0], [0.0, 255.0]),
        };
        let as_is = self.about().map_or(255.0, |about| about.scale.as_is);
        if let Some([mean, deviation]) = self.options.by_hand(&self.signature().input) {
            // As whoever trained on the file's numbers saw them: whole float32 numbers are no bytes.
            return Scale { unit: as_is, as_is, mean, deviation, range };
        }
        if self.options.normalise() {
            return Scale { unit, as_is, mean, deviation, range };
        }
        Scale { unit: as_is, as_is, mean: vec![0.0; mean.len()], deviation: vec![1.0; mean.len()], range }
    }
}

/// What is known of a set with a name, where that depends on its files.
fn open_named(set: &'static Set, access: &Access) -> Result<Option<Arc<Source>>> {
    let Comes::Files(download) = &set.comes else { return Ok(None) };
    let folder = set.found_or_fetched(access)?;
    // Once a process: every study asks, and it takes reading all.
    static LOOKED_AT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let mut looked_at = LOOKED_AT.lock().unwrap_or_else(PoisonError::into_inner);
    if !looked_at.contains(&folder) {
        set.refuse_others(&folder)?;
        looked_at.insert(folder.clone());
    }
    drop(looked_at);
    let source = Source::open(&folder, Some(download.format()), &DataOptions::default(), access)?;
    let About { input, sizes, target, .. } = &source.about;
    let shape = |input: &[i64], [train, test]: [usize; 2], target: Target| {
        let sides: Vec<String> = input.iter().map(i64::to_string).collect();
        format!("{train} and {test} images of {} in {} classes", sides.join("×"), target.outputs())
    };
    let (found, expected) =
        (shape(input, *sizes, *target), shape(&set.input, set.sizes, Target::Classes(set.classes as i64)));
    ensure!(
        found == expected,
        "{} does not hold {}: {found} are there, not {expected}; name its folder with --data-dir, or a set of your own \
         with --data PATH",
        folder.display(),
        set.title
    );
    Ok(Some(source))
}

impl Dataset for DataSpec {
    fn identity(&self) -> String {
        // Whole numbers are the same bytes whether the source had bytes or not: what they are divided by tells.
        let as_is = match (self.options.normalise(), self.about()) {
            (true, _) => String::new(),
            (false, Some(about)) => format!(" as is by {}", about.scale.as_is),
            (false, None) => " as is".into(),
        };
        let by_hand = match self.options.by_hand(&self.signature().input) {
            Some([mean, deviation]) => format!(" by {}, {mean:?} and {deviation:?}", self.as_is()),
            None => String::new(),
        };
        let set = match (&self.dataset, self.about()) {
            (_, Some(about)) => {
                let called = self.set().map_or("arrays", |set| set.name);
                let share = self.options.test_share();
                let split = if about.is_split_here { format!(" share {share}") } else { String::new() };
                // Of two splits too: what comes in some order is not shuffled then, and the first so many are others.
                let order = if self.is_whole() { " in its order" } else { "" };
                format!("{called} {}{split}{order}", about.digest)
            }
            (Named::Set(Set { comes: Comes::Drawn(_, Drawn { called, version }), .. }), _) => {
                format!("{called} {version} seed {SYNTHETIC_SEED}")
            }
            _ => format!("mnist {}", mnist::digest()),
        };
        format!("{set}{as_is}{by_hand} train {} test {}", self.train_size, self.test_size)
    }

    fn title(&self) -> &str {
        match &self.dataset {
            Named::Set(set) => set.title,
            Named::Path(path) => path.file_name().and_then(|name| name.to_str()).unwrap_or("data"),
        }
    }

    fn stands_in_for(&self) -> Option<&str> {
        self.set()?.stands_in_for
    }

    fn one(&self) -> &str {
        self.set().map_or("class", |set| set.one)
    }

    fn signature(&self) -> Signature {
        match (self.about(), self.set()) {
            (Some(about), _) => about.signature(),
            (None, Some(set)) => {
                Signature { input: set.input.to_vec(), tokens: None, target: Target::Classes(set.classes as i64) }
            }
            (None, None) => Signature { input: vec![0], tokens: None, target: Target::Values(0) },
        }
    }

    fn sizes(&self) -> [usize; 2] {
        [self.train_size, self.test_size]
    }

    fn is_one_split(&self) -> bool {
        self.is_whole() && self.about().is_some_and(|about| about.sizes[1] == 0)
    }

    fn class_names(&self) -> Vec<String> {
        match (self.set(), self.about()) {
            (Some(set), _) if !set.class_names.is_empty() => set.class_names(),
            (_, Some(about)) => about.class_names.clone(),
            _ => Vec::new(),
        }
    }

    fn notes(&self) -> Vec<String> {
        let Some(about) = self.about() else { return Vec::new() };
        let mut notes = about.notes.clone();
        let [train, test] = about.sizes;
        let [first, tested] = self.sizes();
        if self.is_one_split() && first != train {
            notes.push(format!("The first {first} of {train} samples were taken."));
        } else if self.sizes() != about.sizes {
            notes
                .push(format!("The first {first} of {train} training and {tested} of {test} test samples were taken."));
        }
        notes
    }

    fn normalisation(&self) -> Option<Normalisation> {
        let Scale { unit, mean, deviation, .. } = self.scale();
        self.signature().tokens.is_none().then_some(Normalisation { unit, mean, deviation })
    }

    fn picture(&self, input: &Tensor) -> Result<Option<Vec<u8>>> {
        let Signature { input: shape, tokens: None, .. } = self.signature() else { return Ok(None) };
        let [channels @ (1 | 3), _, _] = shape[..] else { return Ok(None) };
        let Scale { unit, mean, deviation, range: [low, high], .. } = self.scale();
        let by = |values: &[f64]| Tensor::f_from_slice(values)?.f_view([-1, 1, 1]);
        let x = input.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?;
        let x = x.f_mul(&by(&deviation)?)?.f_add(&by(&mean)?)?.f_mul_scalar(unit)?;
        // Of numbers that are no bytes the least and the greatest are black and white.
        let is_of_bytes = low >= 0.0 && high <= 255.0 && high > 127.0;
        let is_of_shares = low >= 0.0 && high <= 1.0 && unit == 1.0;
        let [from, to] = match (is_of_bytes, is_of_shares) {
            (true, _) => [0.0, 255.0],
            (_, true) => [0.0, 1.0],
            _ => [low.min(0.0), high],
        };
        let shade = (x - from) / (to - from).max(f64::MIN_POSITIVE) * 255.0;
        // Of a large one the mean of so many pixels, at its edges of those that are left.
        let factor = self.signature().reduction() as i64;
        let shade =
            shade.f_unsqueeze(0)?.f_avg_pool2d([factor, factor], [factor, factor], [0, 0], true, false, None)?;
        let (height, width) = (shade.size()[2], shade.size()[3]);
        let bytes = shade.f_round()?.f_clamp(0.0, 255.0)?.f_to_kind(Kind::Uint8)?;
        // [height, width, channels]: a pixel's colours stand together.
        let bytes = bytes.f_view([channels, height * width])?.f_tr()?.f_contiguous()?.f_reshape([-1])?;
        Ok(Some(bytes.try_into()?))
    }

    /// Where MNIST cannot be had, with every way out.
    fn load(&self, access: &Access) -> Result<[Samples; 2]> {
        let [train, test] = match (&self.dataset, &self.source) {
            (_, Some(source)) => source.tensors(access)?,
            (Named::Set(set @ Set { comes: Comes::Drawn(draw, _), .. }), None) => {
                let drawn = |split, size| of_bytes(set, draw(split, size));
                [drawn(digits::Split::Train, self.train_size)?, drawn(digits::Split::Test, self.test_size)?]
            }
            (Named::Set(set), None) => {
                let mnist = mnist::load(&set.found_or_fetched(access)?)?;
                [of_bytes(set, mnist.train)?, of_bytes(set, mnist.test)?]
            }
            (Named::Path(path), None) => return Err(anyhow::anyhow!("{} was not opened", path.display())),
        };
        Ok([self.samples(train, self.train_size)?, self.samples(test, self.test_size)?])
    }
}

/// Images as they are stored.
fn of_bytes(set: &Set, digits: digits::Digits) -> Result<Stored> {
    let shape = [&[-1], &set.input[..]].concat();
    let inputs = Tensor::f_from_slice(&digits.images)?.f_view(&shape[..])?;
    Ok(Stored { inputs, targets: Tensor::f_from_slice(&digits.labels)?.f_to_kind(Kind::Int64)? })
}

impl DataSpec {
    /// The first so many, scaled; images that would fill the memory stay bytes until they are used.
    fn samples(&self, Stored { inputs, targets }: Stored, size: usize) -> Result<Samples> {
        let n = i64::try_from(size)?;
        ensure!(inputs.size()[0] >= n && targets.size()[0] >= n, "{} has fewer than {size} of these", self.title());
        let (inputs, targets) = (inputs.f_narrow(0, 0, n)?, targets.f_narrow(0, 0, n)?);
        let Signature { target, input, .. } = self.signature();
        if inputs.kind() == Kind::Int64 {
            return Ok(Samples::new(inputs, targets, target));
        }
        let Scale { unit, mean, deviation, .. } = self.scale();
        let scaling = Scaling::new(&input, unit, &mean, &deviation).context("normalising")?;
        let numbers = (self.train_size + self.test_size) as u64 * input.iter().product::<i64>() as u64;
        if inputs.kind() == Kind::Uint8 && 4 * numbers > memory::share() {
            return Ok(Samples::in_bytes(inputs, scaling, targets, target));
        }
        Ok(Samples::new(scaling.applied(&inputs)?, targets, target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synthetic_digits_become_normalised_tensors() {
        let spec = DataSpec::of(Built::Synthetic, [300, 20]);
        let [train, test] = spec.load(&Access::default()).unwrap();
        let inputs = train.inputs().unwrap();
        assert_eq!((inputs.size(), test.targets.size()), (vec![300, 1, 28, 28], vec![20]));
        let raw = digits::generate(SYNTHETIC_SEED, digits::Split::Train, 300);
        let expected = (f64::from(raw.images[500]) / 255.0 - 0.1307) / 0.3081;
        assert!((inputs.view(-1).double_value(&[500]) - expected).abs() < 1e-6);
        assert_eq!(train.targets.int64_value(&[7]), i64::from(raw.labels[7]));
        assert!(inputs.mean(Kind::Float).double_value(&[]).abs() < 0.2);
    }

    #[test]
    fn pictures_survive_normalisation() {
        let spec = DataSpec::of(Built::Synthetic, [3, 1]);
        let raw = digits::generate(SYNTHETIC_SEED, digits::Split::Train, 3);
        let [train, _] = spec.load(&Access::default()).unwrap();
        assert!(spec.picture(&train.input(2).unwrap()).unwrap().unwrap() == raw.images[2 * digits::PIXELS..]);
        let spec = DataSpec::of(Built::SyntheticRgb, [3, 1]);
        let raw = super::super::colour_digits::generate(SYNTHETIC_SEED, digits::Split::Train, 3).images;
        let [train, _] = spec.load(&Access::default()).unwrap();
        let shown = spec.picture(&train.input(1).unwrap()).unwrap().unwrap();
        let planes = &raw[3072..6144];
        let expected: Vec<u8> = (0..1024).flat_map(|at| [0, 1024, 2048].map(|plane| planes[plane + at])).collect();
        assert!(shown == expected);
    }

    #[test]
    fn identities_tell_sets_and_sizes_apart() {
        let spec = |set, train_size| DataSpec::of(set, [train_size, 10]).identity();
        assert_ne!(spec(Built::Mnist, 100), spec(Built::Synthetic, 100));
        assert_ne!(spec(Built::SyntheticRgb, 100), spec(Built::Synthetic, 100));
        assert_ne!(spec(Built::Mnist, 100), spec(Built::Mnist, 200));
        // Part of the fingerprints of records that stand.
        assert_eq!(spec(Built::Synthetic, 100), "synthetic digits 1 seed 0 train 100 test 10");
        assert_eq!(spec(Built::Mnist, 100), format!("mnist {} train 100 test 10", mnist::digest()));
    }

    #[test]
    fn bytes_become_the_same_floats_wherever_that_is_done() {
        let spec = DataSpec::of(Built::SyntheticRgb, [200, 1]);
        let set = spec.set().unwrap();
        let Comes::Drawn(draw, _) = &set.comes else { panic!("it is drawn") };
        let stored = of_bytes(set, draw(digits::Split::Train, 200)).unwrap();
        let Scale { unit, mean, deviation, .. } = spec.scale();
        let scaling = || Scaling::new(&[3, 32, 32], unit, &mean, &deviation).unwrap();
        let whole = scaling().applied(&stored.inputs).unwrap();
        let lazy = Samples::in_bytes(stored.inputs.shallow_clone(), scaling(), stored.targets, Target::Classes(10));
        let index = Tensor::from_slice(&[7i64, 199, 0, 7]);
        assert_eq!(lazy.batch(&index).unwrap().0, whole.index_select(0, &index));
        let blocks: Vec<Tensor> = lazy.first(150).blocks(64).map(|block| block.unwrap().0).collect();
        assert_eq!(Tensor::cat(&blocks, 0), whole.narrow(0, 0, 150));
        assert_eq!(lazy.input(3).unwrap(), whole.get(3));
        let double = lazy.of_kind(&Tensor::zeros([1], (Kind::Double, Device::Cpu)));
        assert_eq!(double.inputs().unwrap(), whole.to_kind(Kind::Double));
        // By definition, at some places.
        for (at, channel) in [(0, 0), (2000, 1), (3071, 2)] {
            let byte = stored.inputs.view(-1).double_value(&[at]) as f32;
            let expected = (byte / 255.0 - mean[channel] as f32) / deviation[channel] as f32;
            assert_eq!(whole.view(-1).double_value(&[at]) as f32, expected);
        }
    }
}
