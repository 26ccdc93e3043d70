//! Settings by group: `settings!` makes a struct whose keys are read from a TOML table one by one, so that an error
//! knows its key, and whose groups are settings that studies share. What is not read stays in the table.

use crate::data::{Access, DataOptions, DataSpec, Dataset as _, Signature};
use toml::{Table, Value};

/// Settings that stand in a TOML table.
pub trait Settings: Sized {
    /// Takes its keys out of the table; data that a key names is got at so.
    ///
    /// # Errors
    /// The key whose value is missing or none of its type.
    fn read(table: &mut Table, access: &Access) -> Result<Self, Wrong>;
}

/// A setting that cannot be read.
#[derive(Debug)]
pub struct Wrong {
    pub key: &'static str,
    /// What is wrong with its value, in serde's words or in those of its type.
    pub why: String,
    /// The value is one, and what it names cannot be had: says all there is to say.
    pub failed: Option<anyhow::Error>,
}

/// Takes one setting out of a table, of its type.
pub fn take<T: serde::de::DeserializeOwned>(table: &mut Table, key: &'static str) -> Result<T, Wrong> {
    let value: Value =
        table.remove(key).ok_or_else(|| Wrong { key, why: format!("missing field `{key}`"), failed: None })?;
    T::deserialize(value).map_err(|error: toml::de::Error| Wrong { key, why: error.message().to_owned(), failed: None })
}

/// A struct of settings: `settings! { pub struct Mine(seeds: Seeds, data: DataSpec) { epochs: u64; cache: OnceLock<u64> } }`
/// has the keys of the groups in parentheses and its own, all in one flat table; what stands behind the semicolon is
/// no setting, and starts as its default. Derives are the caller's; `serde::Serialize` must be among them.
#[macro_export]
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident $(($($group:ident: $groups:ty),* $(,)?))? {
            $($(#[$doc:meta])* $of:vis $key:ident: $type:ty),* $(,)?
            $(; $($(#[$also:meta])* $other:ident: $others:ty),* $(,)?)?
        }
    ) => {
        $(#[$meta])*
        $vis struct $name {
            $($(#[serde(flatten)] pub $group: $groups,)*)?
            $($(#[$doc])* $of $key: $type,)*
            $($($(#[$also])* #[serde(skip)] $other: $others,)*)?
        }

        impl $crate::study::Settings for $name {
            fn read(table: &mut toml::Table, access: &$crate::data::Access) -> Result<Self, $crate::study::Wrong> {
                let _ = access;
                Ok(Self {
                    $($($group: $crate::study::Settings::read(table, access)?,)*)?
                    $($key: $crate::study::take(table, stringify!($key))?,)*
                    $($($other: Default::default(),)*)?
                })
            }
        }
    };
}

impl Settings for DataSpec {
    fn read(table: &mut Table, access: &Access) -> Result<Self, Wrong> {
        let dataset: String = take(table, DATASET)?;
        let sizes = [take(table, "train_size")?, take(table, "test_size")?];
        let spec = open(&dataset, sizes, table, access)?;
        spell_out(table, &spec.signature());
        Ok(spec)
    }
}

/// The key that names a data set.
pub const DATASET: &str = "dataset";
/// The table that says how one is read.
pub const DATA: &str = "data";

/// Opens a data set by the name that a setting has, with the options that stand beside it.
///
/// # Errors
/// Where it cannot be had.
pub fn open(dataset: &str, sizes: [usize; 2], table: &mut Table, access: &Access) -> Result<DataSpec, Wrong> {
    open_with(dataset, sizes, table, access, |options| options)
}

/// The same, with options that a study adjusts.
///
/// # Errors
/// Where it cannot be had.
pub fn open_with(
    dataset: &str,
    sizes: [usize; 2],
    table: &mut Table,
    access: &Access,
    adjust: impl FnOnce(DataOptions) -> DataOptions,
) -> Result<DataSpec, Wrong> {
    let options = match table.remove(DATA) {
        Some(Value::Table(options)) => {
            DataOptions::read(options).map_err(|why| Wrong { key: DATA, why, failed: None })?
        }
        _ => DataOptions::default(),
    };
    DataSpec::open(dataset, sizes, adjust(options), access).map_err(|error| Wrong {
        key: DATASET,
        why: String::new(),
        failed: Some(error),
    })
}

/// The keys whose values are networks, or say of them.
const NETWORKS: [&str; 4] = ["model", "models", "digits_model", "trainings"];

/// Puts numbers in the place of `inputs` and `classes` in the networks of a table: `inputs-64-classes` on MNIST is
/// 784-64-10.
pub fn spell_out(table: &mut Table, data: &Signature) {
    let word = |word: &str| match word {
        "inputs" => data.numbers().to_string(),
        "classes" => data.target.outputs().to_string(),
        other => other.to_owned(),
    };
    let text = |text: &str| -> String {
        let parts = text.split_inclusive(['-', '=', ' ']).map(|part| {
            let end = part.trim_end_matches(['-', '=', ' ']).len();
            word(&part[..end]) + &part[end..]
        });
        parts.collect()
    };
    for key in NETWORKS {
        match table.get_mut(key) {
            Some(Value::String(model)) => *model = text(model),
            Some(Value::Array(models)) => {
                for model in models {
                    if let Value::String(model) = model {
                        *model = text(model);
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Target;

    #[test]
    fn words_for_a_sets_numbers_are_spelled_out_in_networks_only() {
        let mut table: Table = "model = 'inputs-64-classes'
            models = ['wide=conv4-conv8-classes', 'A = inputs-classes', '3-classes-4']
            trainings = ['32 adam 1e-3 inputs-7-classes random-labels', '64 sgd 1e-1']
            other = 'inputs-classes'"
            .parse()
            .unwrap();
        spell_out(&mut table, &Signature { input: vec![3, 4, 5], tokens: None, target: Target::Classes(7) });
        let expected: Table = "model = '60-64-7'
            models = ['wide=conv4-conv8-7', 'A = 60-7', '3-7-4']
            trainings = ['32 adam 1e-3 60-7-7 random-labels', '64 sgd 1e-1']
            other = 'inputs-classes'"
            .parse()
            .unwrap();
        assert_eq!(table, expected);
        let mut whole: Table = "trainings = 8".parse().unwrap();
        spell_out(&mut whole, &Signature { input: vec![3], tokens: None, target: Target::Values(1) });
        assert_eq!(whole["trainings"].as_integer(), Some(8));
    }
}
