//! Settings by group: `settings!` makes a struct whose keys are read from a TOML table one by one, so that an error
//! knows its key, and whose groups are settings that studies share. What is not read stays in the table.

use crate::data::DataSpec;
use toml::{Table, Value};

/// Settings that stand in a TOML table.
pub trait Settings: Sized {
    /// Takes its keys out of the table.
    ///
    /// # Errors
    /// The key whose value is missing or none of its type.
    fn read(table: &mut Table) -> Result<Self, Wrong>;
}

/// A setting that cannot be read.
#[derive(Debug)]
pub struct Wrong {
    pub key: &'static str,
    /// What is wrong with its value, in serde's words or in those of its type.
    pub why: String,
}

/// Takes one setting out of a table, of its type.
pub fn take<T: serde::de::DeserializeOwned>(table: &mut Table, key: &'static str) -> Result<T, Wrong> {
    let value: Value = table.remove(key).ok_or_else(|| Wrong { key, why: format!("missing field `{key}`") })?;
    T::deserialize(value).map_err(|error: toml::de::Error| Wrong { key, why: error.message().to_owned() })
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
            fn read(table: &mut toml::Table) -> Result<Self, $crate::study::Wrong> {
                Ok(Self {
                    $($($group: $crate::study::Settings::read(table)?,)*)?
                    $($key: $crate::study::take(table, stringify!($key))?,)*
                    $($($other: Default::default(),)*)?
                })
            }
        }
    };
}

impl Settings for DataSpec {
    fn read(table: &mut Table) -> Result<Self, Wrong> {
        let dataset = take(table, "dataset")?;
        Ok(Self { dataset, train_size: take(table, "train_size")?, test_size: take(table, "test_size")? })
    }
}
