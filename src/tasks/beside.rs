//! What is learned in mini-batches beside a function, digits or any other set of classes, and how: the settings of
//! [`MiniBatchNorms`].

use super::classifier::memory_of_theta;
use super::gradient_norms::MiniBatchNorms;
use crate::data::{Access, Built, DataOptions, DataSpec, Dataset as _};
use crate::model::{Architecture, Model as _};
use crate::objective::GRADIENT_BLOCK;
use crate::settings;
use crate::study::{DATA, DATASET, Held, Settings, Wrong, check, open, spell_out, take};
use crate::train::OptimizerName;
use serde::{Serialize, Serializer};
use toml::Table;

/// The set beside a function, if any, under the settings `dataset`, `digits_train_size` and `digits_test_size`.
#[derive(Clone, Debug)]
pub struct Beside {
    pub set: Option<DataSpec>,
    /// As many are asked for, or as many as there are.
    sizes: [usize; 2],
}

/// That there is none.
const NONE: &str = "none";

impl Settings for Beside {
    fn read(table: &mut Table, access: &Access) -> Result<Self, Wrong> {
        let dataset: String = take(table, DATASET)?;
        let sizes = [take(table, "digits_train_size")?, take(table, "digits_test_size")?];
        if dataset == NONE {
            if table.contains_key(DATA) {
                let why = "settings data.… say how a set is read, and none is: name one with --data".to_owned();
                return Err(Wrong { key: DATASET, why, failed: None });
            }
            spell_out(table, &DataSpec::whole(Built::Mnist).signature());
            return Ok(Self { set: None, sizes });
        }
        let set = open(&dataset, sizes, table, access)?;
        spell_out(table, &set.signature());
        Ok(Self { sizes: set.sizes(), set: Some(set) })
    }
}

impl Serialize for Beside {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Keys<'a> {
            dataset: String,
            digits_train_size: usize,
            digits_test_size: usize,
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<&'a DataOptions>,
        }
        let [digits_train_size, digits_test_size] = self.sizes;
        let dataset = self.set.as_ref().map_or(NONE.to_owned(), |set| set.dataset.to_string());
        let data = self.set.as_ref().map(DataSpec::options).filter(|options| !options.is_empty());
        Keys { dataset, digits_train_size, digits_test_size, data }.serialize(serializer)
    }
}

settings! {
    /// How it is learned.
    #[derive(Clone, Debug, Serialize)]
    pub struct DigitsSettings(beside: Beside) {
        digits_model: Architecture,
        digits_optimizer: OptimizerName,
        digits_learning_rate: f64,
        digits_batch_size: u32,
        digits_epochs: u64,
        /// Steps from a measurement to the next.
        digits_every: u64,
    }
}

impl DigitsSettings {
    pub fn training(&self, seed: u64) -> MiniBatchNorms {
        MiniBatchNorms {
            model: self.digits_model.clone(),
            optimizer: self.digits_optimizer,
            learning_rate: self.digits_learning_rate,
            batch_size: self.digits_batch_size,
            epochs: self.digits_epochs,
            every: self.digits_every,
            seed,
        }
    }

    pub fn steps_an_epoch(&self) -> usize {
        self.beside.sizes[0].div_ceil(self.digits_batch_size as usize)
    }

    /// An error names the setting and what would be valid.
    pub fn check(&self) -> Result<(), String> {
        let named = |error| format!("digits_{error}");
        check::training(self.digits_epochs, self.digits_learning_rate).map_err(named)?;
        check::at_least_1(&[("digits_batch_size", self.digits_batch_size.into())])?;
        // Settings of what is not learned are held to what they would be on digits.
        let set = self.set();
        let signature = set.signature();
        if signature.target.classes().is_none() {
            let (title, found) = (set.title(), signature.target.what());
            return Err(format!("{title} has {found}, and mini-batches are learned of classes here, one an input"));
        }
        self.digits_model.network(&signature).map_err(named)?;
        self.memory()?.check()?;
        check::at_least_1(&[("digits_every", self.digits_every)])?;
        set.check().map_err(named)
    }

    /// The set that is learned, or that settings of none are held to.
    fn set(&self) -> DataSpec {
        self.beside.set.clone().unwrap_or_else(|| DataSpec::of(Built::Synthetic, self.beside.sizes))
    }

    /// What its training holds.
    pub fn memory(&self) -> Result<Held, String> {
        // The whole set's gradient is taken in blocks.
        let samples = u64::from(self.digits_batch_size).min(self.beside.sizes[0] as u64).max(GRADIENT_BLOCK as u64);
        let network = self.digits_model.network(&self.set().signature())?;
        let what = format!("digits_model '{}' with a batch of {samples}", self.digits_model);
        let bytes = memory_of_theta(&network.layout()) + network.memory_of_batch(samples);
        Ok(Held::new(what, bytes, "lower digits_batch_size"))
    }
}
