//! Checkpoints: what a training saves at an epoch's end, so as to go on from there as if it had never stopped, and
//! their files. Knows no training.
//!
//! Randomness is keyed by epoch, so there is no generator's state in it: θ, the optimizer's state,
//! a few counters and the numbers measured so far are all that the next epoch depends on.

use crate::error::says;
use crate::files::sha256;
use crate::store::run_dir::{StudyDir, read, unwritable, write_atomically};
use crate::store::weights::{self, NamedTensor, Tensors};
use crate::store::{Fingerprint, Stored};
use anyhow::{Context as _, Result, ensure};
use std::{collections::BTreeMap, fs, io::ErrorKind};
use tch::Tensor;

/// Named numbers, one an epoch.
pub type Series = BTreeMap<String, Vec<f64>>;

/// The counter of the epochs that are done.
pub const EPOCHS: &str = "epochs";

/// A training at the end of an epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub tensors: Tensors,
    pub counters: BTreeMap<String, u64>,
    pub series: Series,
}

/// A state of some other training than the one that was to go on from it.
#[derive(Debug)]
pub struct Unfit(String);

says!(Unfit);

impl Unfit {
    /// One that is so.
    pub fn because(why: impl Into<String>) -> anyhow::Error {
        Self(why.into()).into()
    }
}

impl State {
    /// # Errors
    /// [`Unfit`] where it has no such counter.
    pub fn counter(&self, name: &str) -> Result<u64> {
        Ok(self.counters.get(name).copied().ok_or_else(|| Unfit(format!("it has no counter '{name}'")))?)
    }

    /// Writes a tensor of it over one of the training's.
    ///
    /// # Errors
    /// [`Unfit`] where it has none of that name, kind and shape.
    pub fn restore(&self, name: &str, tensor: &Tensor) -> Result<()> {
        let saved = self.tensors.get(name).ok_or_else(|| Unfit(format!("it has no tensor '{name}'")))?;
        Ok(saved.write_over(tensor).map_err(|error| Unfit(format!("{name}: {error}")))?)
    }

    /// Takes a series that it must have, of `length` numbers.
    ///
    /// # Errors
    /// [`Unfit`] where it has none such.
    pub fn take_series(&mut self, name: &str, length: u64) -> Result<Vec<f64>> {
        let series = self.series.remove(name).filter(|series| series.len() as u64 == length);
        Ok(series.ok_or_else(|| Unfit(format!("it has no series '{name}' of {length} numbers")))?)
    }
}

/// What a training has around it: where its checkpoints go, and who may stop it.
pub trait Checkpointer {
    /// The state that an earlier call of the same training saved.
    fn resume(&mut self) -> Result<Option<State>>;

    /// To be called at each epoch's end. `state` is asked for now and then.
    ///
    /// # Errors
    /// [`crate::error::Interrupted`] when the process is to stop; pass it on. Where the state cannot be saved.
    fn epoch_done(&mut self, done: u64, epochs: u64, loss: f64, state: &dyn Fn() -> Result<State>) -> Result<()>;

    /// To be called within long epochs.
    fn check_stop(&self) -> Result<()>;

    /// How far the epoch under way is, of so many, from 0 to 1: for those who watch.
    fn within_epoch(&self, _epochs: u64, _share: f64) {}
}

/// Nothing is saved, and nothing stops it.
impl Checkpointer for () {
    fn resume(&mut self) -> Result<Option<State>> {
        Ok(None)
    }

    fn epoch_done(&mut self, _: u64, _: u64, _: f64, _: &dyn Fn() -> Result<State>) -> Result<()> {
        Ok(())
    }

    fn check_stop(&self) -> Result<()> {
        Ok(())
    }
}

/// First words of a checkpoint file; the number is raised when its form changes. Behind them the
/// SHA-256 of all that follows the line.
const MAGIC: &str = "hw1 checkpoint 1 ";

/// Groups of tensors in the file.
const STATE: &str = "state.";
const COUNTER: &str = "counter.";
const SERIES: &str = "series.";
const WEIGHTS: &str = "weights.";

/// The file of a state and of the weights its trial has gathered to publish. `origin` says of which
/// trial it is, and what computed it.
///
/// # Errors
/// Where a tensor is of a kind that has no place in a file.
pub fn encode(origin: &str, state: &State, weights: &Tensors) -> Result<Vec<u8>> {
    let counters = state.counters.iter().map(|(name, count)| (name, NamedTensor::of_count(*count)));
    let counters: BTreeMap<&String, NamedTensor> = counters.collect();
    let series = state.series.iter().map(|(name, numbers)| (name, NamedTensor::of_numbers(numbers)));
    let series: BTreeMap<&String, NamedTensor> = series.collect();
    // By reference: the weights of many epochs are large.
    let mut all: BTreeMap<String, &NamedTensor> = BTreeMap::new();
    let mut add = |group: &str, name: &str, tensor| {
        all.insert(format!("{group}{name}"), tensor);
    };
    state.tensors.iter().for_each(|(name, tensor)| add(STATE, name, tensor));
    counters.iter().for_each(|(name, count)| add(COUNTER, name, count));
    series.iter().for_each(|(name, numbers)| add(SERIES, name, numbers));
    weights.iter().for_each(|(name, tensor)| add(WEIGHTS, name, tensor));
    let payload = weights::encode_each(all.iter().map(|(name, tensor)| (name, *tensor)), Some(origin))?;
    Ok([MAGIC.as_bytes(), sha256(&payload).as_bytes(), b"\n", &payload].concat())
}

/// The state and the weights in a file, and its origin.
///
/// # Errors
/// Where the bytes are no such file, whole and unchanged.
pub fn decode(bytes: &[u8]) -> Result<(String, State, Tensors)> {
    let rest = bytes.strip_prefix(MAGIC.as_bytes()).context("it is no checkpoint of this version")?;
    let line_end = rest.iter().position(|byte| *byte == b'\n').context("it is cut short")?;
    let (digest, payload) = (&rest[..line_end], &rest[line_end + 1..]);
    ensure!(digest == sha256(payload).as_bytes(), "it is cut short or changed");
    let (all, origin) = weights::decode(payload)?;
    let (mut state, mut weights) = (State::default(), Tensors::new());
    for (name, tensor) in all {
        let odd = || format!("'{name}' has no place in it");
        if let Some(name) = name.strip_prefix(STATE) {
            state.tensors.insert(name.to_owned(), tensor);
        } else if let Some(name) = name.strip_prefix(COUNTER) {
            state.counters.insert(name.to_owned(), tensor.count().with_context(odd)?);
        } else if let Some(name) = name.strip_prefix(SERIES) {
            state.series.insert(name.to_owned(), tensor.numbers().with_context(odd)?);
        } else {
            weights.insert(name.strip_prefix(WEIGHTS).with_context(odd)?.to_owned(), tensor);
        }
    }
    Ok((origin.context("it does not say whose it is")?, state, weights))
}

impl StudyDir {
    /// What an interrupted call saved of a trial: state, and the weights to publish. `origin` is what its file has to
    /// name.
    pub fn read_checkpoint(&self, fingerprint: &Fingerprint, origin: &str) -> Result<Stored<(State, Tensors)>> {
        let path = self.of(fingerprint, "checkpoint");
        let Some(bytes) = read(&path)? else { return Ok(Stored::Nothing) };
        let invalid = |why: String| Ok(Stored::Invalid(format!("{}: {why}", path.display())));
        match decode(&bytes) {
            Ok((found, ..)) if found != origin => {
                let (found, here) = without_common(&found, origin);
                invalid(format!("it is of {found}, and this is {here}"))
            }
            Ok((_, state, weights)) => Ok(Stored::Valid((state, weights))),
            Err(error) => invalid(format!("{error:#}")),
        }
    }

    /// Epochs that a trial's checkpoint has, of whatever machine; 0 where there is none, or none that is whole.
    pub fn epochs_kept(&self, fingerprint: &Fingerprint) -> u64 {
        let bytes = read(&self.of(fingerprint, "checkpoint")).ok().flatten();
        let state = bytes.and_then(|bytes| decode(&bytes).ok()).map(|(_, state, _)| state);
        state.and_then(|state| state.counter(EPOCHS).ok()).unwrap_or(0)
    }

    /// Saves what a trial can go on from.
    pub fn write_checkpoint(&self, trial: &Fingerprint, origin: &str, state: &State, weights: &Tensors) -> Result<()> {
        write_atomically(&self.of(trial, "checkpoint"), &encode(origin, state, weights)?)
    }

    /// Gives a trial's checkpoint another name; that name.
    pub fn set_checkpoint_aside(&self, fingerprint: &Fingerprint) -> Result<Vec<String>> {
        self.set_aside_files(&[self.of(fingerprint, "checkpoint")])
    }

    /// Takes away a trial's checkpoint, if there is one.
    pub fn remove_checkpoint(&self, fingerprint: &Fingerprint) -> Result<()> {
        let path = self.of(fingerprint, "checkpoint");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(unwritable(&path, &error)),
            _ => Ok(()),
        }
    }

    /// Checks that a checkpoint of this file name is whole.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_checkpoint(&self, name: &str) -> Result<()> {
        let bytes = read(&self.trials().join(name))?;
        // One that is gone by now has served its purpose.
        bytes.map_or(Ok(()), |bytes| decode(&bytes).map(drop))
    }
}

/// Two origins of checkpoints without the parts, between semicolons, that they share: what tells them apart. As they
/// are where they are of other forms.
fn without_common(a: &str, b: &str) -> (String, String) {
    let parts = |text: &str| text.split("; ").map(str::to_owned).collect::<Vec<_>>();
    let (mut a, mut b) = (parts(a), parts(b));
    if a.len() == b.len() {
        (a, b) = a.into_iter().zip(b).filter(|(a, b)| a != b).unzip();
    }
    (a.join("; "), b.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> (State, Tensors) {
        let state = State {
            tensors: [("theta".into(), NamedTensor::copy_of(&Tensor::from_slice(&[1.5f32, -0.0])).unwrap())].into(),
            counters: [("epochs".into(), 3), ("most".into(), u64::MAX)].into(),
            series: [("train_loss".into(), vec![0.1, f64::NAN, f64::INFINITY, -0.0]), ("none".into(), vec![])].into(),
        };
        let weights = [("initial.fc1.bias".into(), NamedTensor::copy_of(&Tensor::from_slice(&[2.0f32])).unwrap())];
        (state, weights.into())
    }

    #[test]
    fn a_checkpoint_comes_back_bit_for_bit() {
        let (state, weights) = example();
        let bytes = encode("whose", &state, &weights).unwrap();
        let (origin, back, weights_back) = decode(&bytes).unwrap();
        assert_eq!((origin.as_str(), &back.tensors, &weights_back), ("whose", &state.tensors, &weights));
        assert_eq!(back.counters, state.counters);
        let bits = |state: &State| -> Vec<u64> { state.series.values().flatten().map(|n| n.to_bits()).collect() };
        assert_eq!(bits(&back), bits(&state));
        assert_eq!(bytes, encode("whose", &back, &weights_back).unwrap());
    }

    #[test]
    fn cut_anywhere_or_changed_in_any_byte_it_is_none() {
        let (state, weights) = example();
        let bytes = encode("whose", &state, &weights).unwrap();
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "cut at {length}");
            let mut changed = bytes.clone();
            changed[length] ^= 1 << (length % 8);
            assert!(decode(&changed).is_err(), "changed at {length}");
        }
        assert!(decode(&[&bytes[..], b"x"].concat()).is_err());
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let (mut state, _) = example();
        let unfit = |result: Result<()>| result.unwrap_err().is::<Unfit>();
        assert!(unfit(state.restore("theta", &Tensor::from_slice(&[0.0f32; 3]))));
        assert!(unfit(state.restore("theta", &Tensor::from_slice(&[0.0f64; 2]))));
        assert!(unfit(state.restore("phi", &Tensor::from_slice(&[0.0f32; 2]))));
        assert!(unfit(state.counter("steps").map(drop)));
        assert!(unfit(state.take_series("train_loss", 3).map(drop)));
        let theta = Tensor::from_slice(&[0.0f32; 2]);
        state.restore("theta", &theta).unwrap();
        assert_eq!(Vec::<f32>::try_from(&theta).unwrap(), [1.5, 0.0]);
    }
}
