//! From what a reader gives to samples that can be learned from: classes by number, two splits in their order, how
//! numbers are scaled, and an identity by content. Knows neither formats nor tensors.
//!
//! What is made of the same arrays is the same, whatever file they were in: identity, split and order depend on the
//! decoded arrays alone.

mod numbered;
mod scale;
mod split;
#[cfg(test)]
mod tests;

pub use scale::Scale;

use super::raw::{Kind, Numbers, Part, Raw, Targets};
use super::{Signature, Target, places};
use anyhow::{Context as _, Result, bail, ensure};
use numbered::{labelled, numbered};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use split::{counts, held_out, is_ordered, permutation};

/// A source, decoded: what is known of it, and its training and test arrays.
#[derive(Debug, PartialEq)]
pub struct Decoded {
    pub about: About,
    pub arrays: [Arrays; 2],
}

/// What is known of a source without its arrays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Shape of an input: [channels, height, width], [features] or [tokens].
    pub input: Vec<i64>,
    /// How many tokens there are, where inputs are of them.
    pub tokens: Option<i64>,
    pub target: Target,
    /// In their order; none of values, nor of classes by place.
    pub class_names: Vec<String>,
    /// Training and test samples.
    pub sizes: [usize; 2],
    /// SHA-256 of the arrays as the source has them, before they are split and permuted.
    pub digest: String,
    /// Whether the source had no samples of its own to test on, so that a share was held out.
    pub is_split_here: bool,
    pub scale: Scale,
    /// Samples of each class in either split; none of values, nor of classes by place.
    pub counts: [Vec<usize>; 2],
    /// What was decided that a user should know, a sentence each.
    pub notes: Vec<String>,
}

/// Inputs and targets of one split.
#[derive(Debug, PartialEq)]
pub struct Arrays {
    pub inputs: Numbers,
    pub targets: Learned,
}

/// Targets of one split.
#[derive(Debug, PartialEq)]
pub enum Learned {
    /// Of each sample its class, from 0.
    Classes(Vec<i64>),
    /// So many numbers a sample.
    Values(Vec<f32>),
    /// Of each place of a sample its class, from 0, or [`super::IGNORED`].
    ByPlace(Vec<i64>),
}

impl About {
    pub fn signature(&self) -> Signature {
        let Self { input, tokens, target, .. } = self;
        Signature { input: input.clone(), tokens: *tokens, target: *target }
    }
}

/// Raised whenever the same arrays become other samples: part of every identity.
pub const VERSION: u32 = 1;

/// Tokens are below this.
const MOST_TOKENS: i64 = 1 << 31;

/// The share of the samples that is held out for testing, where the source says nothing of it.
pub const TEST_SHARE: f64 = 0.2;

/// What becomes of a source's splits, and of its order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Taken {
    /// To learn from: this share is held out where it has no samples to test on, and what comes in some order is shuffled.
    Split(f64),
    /// A set with a name, in two splits: its order is part of it.
    Known,
    /// To measure on: all in its order. Without samples to test on, all are training samples.
    Whole,
}

impl Decoded {
    /// Of a source, taken so.
    ///
    /// # Errors
    /// In a line, with what to do: no samples in a split, inputs without targets, numbers that are none; where it is not
    /// whole, a class without a training sample, one class alone.
    pub fn of(raw: Raw, taken: Taken) -> Result<Self> {
        let Raw { kind, shape, train, test, class_names, divisor, mut notes } = raw;
        let numbers: usize = shape.iter().product();
        let parts: Vec<Part> = [Some(train), test].into_iter().flatten().collect();
        for part in &parts {
            check(part, numbers, kind)?;
        }
        let from = parts[0].from.clone();
        let parts = parts.into_iter().map(|part| labelled(part, numbers, &mut notes)).collect::<Result<_>>()?;
        let (parts, target, names) = numbered(parts, class_names, taken, &mut notes)?;
        let digest = digest(kind, &shape, &parts);
        // Of an input, and of a target.
        let widths = [
            numbers,
            match target {
                Target::Classes(_) => 1,
                Target::Values(values) => values as usize,
                Target::ClassesByPlace(_) => places(&shape, kind == Kind::Tokens).iter().product(),
            },
        ];
        let names: Vec<String> = names.iter().map(|name| plain(name)).collect();
        let is_split_here = parts.len() == 1 && taken != Taken::Whole;
        let mut splits = parts.into_iter();
        let whole = splits.next().context("no part")?;
        let [train, test] = match splits.next() {
            Some(test) => {
                let mut splits = [whole, test];
                let may_shuffle = matches!(taken, Taken::Split(_));
                let runs: Vec<bool> = splits.iter().map(|split| may_shuffle && is_ordered(&split.targets)).collect();
                for ((split, is_sorted), name) in splits.iter_mut().zip(&runs).zip(["train", "test"]) {
                    if *is_sorted {
                        *split = split.picked(&permutation(&digest, name, split.len(widths)), widths);
                    }
                }
                match runs[..] {
                    [true, true] => notes.push("Labels come in some order: both splits were shuffled once.".into()),
                    [true, false] => {
                        notes.push("Labels come in some order: the training samples were shuffled once.".into())
                    }
                    [false, true] => {
                        notes.push("Labels come in some order: the test samples were shuffled once.".into())
                    }
                    _ => {}
                }
                splits
            }
            None if taken == Taken::Whole => {
                let none = whole.picked(&[], widths);
                [whole, none]
            }
            None => {
                let test_share = if let Taken::Split(share) = taken { share } else { TEST_SHARE };
                let order = permutation(&digest, "split", whole.len(widths));
                let (train, test) = held_out(&order, &whole.targets, test_share);
                ensure!(
                    !train.is_empty() && !test.is_empty(),
                    "{from} has {} samples, of which a share of {test_share} leaves {} to train on and {} to test on: \
                     add samples, or change --set data.test_share",
                    order.len(),
                    train.len(),
                    test.len()
                );
                notes.push(format!(
                    "{} of {} samples were held out to test on, chosen by their content; both splits are shuffled.",
                    test.len(),
                    order.len()
                ));
                [train, test].map(|places| whole.picked(&places, widths))
            }
        };
        let sizes = [&train, &test].map(|split| split.len(widths));
        let counts = [&train, &test].map(|split| counts(&split.targets, names.len()));
        if taken != Taken::Whole
            && let Some(class) = counts[0].iter().position(|count| *count == 0)
        {
            let of_test = counts[1][class];
            bail!(
                "{from}: class '{}' has no training sample{}: add some, or take the class away",
                names[class],
                if of_test > 0 { format!(" and {of_test} to test on") } else { String::new() }
            );
        }
        let untested: Vec<&str> =
            names.iter().zip(&counts[1]).filter(|(_, count)| **count == 0).map(|(name, _)| name.as_str()).collect();
        if taken != Taken::Whole
            && let [first, others @ ..] = &untested[..]
        {
            let more = if others.is_empty() { String::new() } else { format!(" and {} others", others.len()) };
            notes.push(format!("There are no test samples of class '{first}'{more}."));
        }
        let scale = Scale::over(&train.inputs, &shape, kind, divisor);
        let notes = notes.iter().map(|note| sentence(note)).collect();
        let tokens = match (&train.inputs, &test.inputs) {
            (Numbers::Whole(a), Numbers::Whole(b)) => Some(a.iter().chain(b).max().map_or(1, |most| most + 1)),
            _ => None,
        };
        let input = shape.iter().map(|side| *side as i64).collect();
        let about =
            About { input, tokens, target, class_names: names, sizes, digest, is_split_here, scale, counts, notes };
        Ok(Self { about, arrays: [train, test] })
    }
}

/// Text from a file or a folder's name on one line, with a mark in place of what would control a terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let text = plain(text);
    let mut letters = text.trim_end_matches('.').chars();
    // A name stays as it is.
    let is_word = text.split(' ').next().is_some_and(|word| word.chars().all(char::is_alphabetic));
    let first = letters.next().map(|first| if is_word { first.to_uppercase().to_string() } else { first.to_string() });
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

/// That a part has inputs, a target for each, and numbers that are some.
fn check(part: &Part, numbers: usize, kind: Kind) -> Result<()> {
    let Part { inputs, targets, from } = part;
    let (samples, of_targets) = (inputs.len() / numbers.max(1), targets.len());
    ensure!(numbers > 0 && inputs.len() == samples * numbers, "{from}: its inputs have no common shape");
    ensure!(samples > 0, "{from} has no samples: an empty split can neither be trained on nor tested");
    ensure!(
        samples == of_targets,
        "{from} has {samples} inputs and {of_targets} labels: each input needs its own; see which of them are missing"
    );
    match inputs {
        Numbers::Floats(values) => {
            let bad = values.chunks(numbers).enumerate().filter(|(_, input)| input.iter().any(|x| !x.is_finite()));
            let bad: Vec<usize> = bad.map(|(at, _)| at).collect();
            if let Some(first) = bad.first() {
                bail!(
                    "{from}: input {first} (from 0) has a value that is no finite number, as have {} of {samples}: take them \
                     away, or replace those values",
                    bad.len()
                );
            }
        }
        Numbers::Whole(tokens) => {
            if let Some(at) = tokens.iter().position(|token| !(0..MOST_TOKENS).contains(token)) {
                let (input, token) = (at / numbers, tokens[at]);
                bail!(
                    "{from}: input {input} (from 0) has a token of {token}: tokens are from 0 to {}",
                    MOST_TOKENS - 1
                );
            }
            ensure!(kind == Kind::Tokens, "{from} has whole numbers where measured ones are wanted");
        }
        Numbers::Bytes(_) => {}
    }
    if let Targets::Values { values, width } = targets
        && let Some(at) = values.iter().position(|value| !value.is_finite())
    {
        bail!("{from}: the target of sample {} (from 0) is no finite number: take it away, or replace it", at / width);
    }
    Ok(())
}

impl Arrays {
    /// What they take.
    pub(super) fn bytes(&self) -> u64 {
        let inputs = match &self.inputs {
            Numbers::Bytes(all) => all.len(),
            Numbers::Floats(all) => 4 * all.len(),
            Numbers::Whole(all) => 8 * all.len(),
        };
        let targets = match &self.targets {
            Learned::Classes(all) | Learned::ByPlace(all) => 8 * all.len(),
            Learned::Values(all) => 4 * all.len(),
        };
        (inputs + targets) as u64
    }

    /// Of how many samples they are, of such widths of an input and of a target.
    fn len(&self, [_, width]: [usize; 2]) -> usize {
        let all = match &self.targets {
            Learned::Classes(labels) | Learned::ByPlace(labels) => labels.len(),
            Learned::Values(values) => values.len(),
        };
        all / width.max(1)
    }

    /// Those at these places, in their order.
    fn picked(&self, places: &[usize], [numbers, width]: [usize; 2]) -> Self {
        fn pick<T: Copy>(all: &[T], places: &[usize], width: usize) -> Vec<T> {
            let mut picked = Vec::with_capacity(places.len() * width);
            places.iter().for_each(|at| picked.extend_from_slice(&all[at * width..][..width]));
            picked
        }
        let inputs = match &self.inputs {
            Numbers::Bytes(all) => Numbers::Bytes(pick(all, places, numbers)),
            Numbers::Floats(all) => Numbers::Floats(pick(all, places, numbers)),
            Numbers::Whole(all) => Numbers::Whole(pick(all, places, numbers)),
        };
        let targets = match &self.targets {
            Learned::Classes(all) => Learned::Classes(pick(all, places, width)),
            Learned::Values(all) => Learned::Values(pick(all, places, width)),
            Learned::ByPlace(all) => Learned::ByPlace(pick(all, places, width)),
        };
        Self { inputs, targets }
    }
}

/// SHA-256 over kind, shape and, of each part, inputs and targets: what a value was stored as does not count where it
/// is the same number.
fn digest(kind: Kind, shape: &[usize], parts: &[Arrays]) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("hw1 arrays {VERSION} {kind:?} {shape:?} {}", parts.len()));
    fn add<T: Copy, const N: usize>(hash: &mut Sha256, name: &str, all: &[T], bytes: impl Fn(T) -> [u8; N]) {
        hash.update(format!("{name} {}:", all.len()));
        for some in all.chunks(1 << 16) {
            let some: Vec<u8> = some.iter().flat_map(|value| bytes(*value)).collect();
            hash.update(&some);
        }
    }
    for Arrays { inputs, targets } in parts {
        match inputs {
            Numbers::Bytes(all) => {
                hash.update(format!("bytes {}:", all.len()));
                hash.update(all);
            }
            Numbers::Floats(all) => add(&mut hash, "floats", all, f32::to_le_bytes),
            Numbers::Whole(all) => add(&mut hash, "whole", all, i64::to_le_bytes),
        }
        match targets {
            Learned::Classes(all) => add(&mut hash, "classes", all, i64::to_le_bytes),
            Learned::Values(all) => add(&mut hash, "values", all, f32::to_le_bytes),
            Learned::ByPlace(all) => add(&mut hash, "places", all, i64::to_le_bytes),
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
