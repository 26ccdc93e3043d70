//! Layers of settings, later wins: the experiment's own TOML ← `--preset` ← `--config` ← flags
//! ← `--set`. An unknown key, preset or type is refused, naming the valid ones; so are, whatever the
//! experiment, lists without end, numbers that are none, and more trials than can be. Knows TOML tables
//! and experiments' types, nothing of clap.
//!
//! An experiment's TOML file holds a default for every key at its top; `[variant.<value>]` has
//! defaults that come with a value of the experiment's variant key (`'*'` for any other value),
//! `[preset.<name>]` and `[preset.<name>.variant.<value>]` change them for a preset.

use super::group::{DATA, DATASET};
use super::number::singular;
use super::text;
use super::written;
use super::{Experiment, MOST_TRIALS, Size, Study, Wrong};
use crate::data::{Access, DataOptions};
use crate::error::usage;
use anyhow::{Context as _, Result};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use toml::{Table, Value};

/// The key of a settings file that names its preset.
const PRESET: &str = "preset";

/// The preset that needs no naming.
pub const DEFAULT_PRESET: &str = "report";

/// What the command line and files say, beside an experiment's own TOML.
#[derive(Default)]
pub struct Layers {
    pub preset: Option<String>,
    /// `--config`, parsed; its `preset`, if any, holds where `--preset` is not given.
    pub config: Option<(PathBuf, Table)>,
    /// Seeds in place of the TOML's own, where the preset says nothing of them.
    pub repeats: Option<u64>,
    /// Settings by flags, each with the flag's name for error messages.
    pub flags: Vec<(String, String, Value)>,
    /// `--set key=value`, as written.
    pub sets: Vec<String>,
    /// How data that settings name is got at.
    pub access: Access,
}

impl Layers {
    /// Takes in a file for `--config`.
    ///
    /// # Errors
    /// [`crate::error::Usage`] where it is not TOML, or names no preset where it names one.
    pub fn read_config(&mut self, path: PathBuf, text: &str) -> Result<()> {
        let wrong = |what: String| usage(format!("--config {}: {what}", path.display()));
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let place = error.span().map_or(String::new(), |span| place(text, span.start));
            wrong(format!("{place}{}", error.message()))
        })?;
        if let Some(preset) = table.get(PRESET).filter(|preset| !preset.is_str()) {
            return Err(wrong(format!("{PRESET} is {preset}; it is a name in quotes, like {PRESET} = \"smoke\"")));
        }
        self.config = Some((path, table));
        Ok(())
    }

    pub fn preset(&self) -> &str {
        let in_config = || self.config.as_ref()?.1.get(PRESET)?.as_str();
        self.preset.as_deref().or_else(in_config).unwrap_or(DEFAULT_PRESET)
    }

    /// The studies that an experiment becomes: one, or one for each value of its variant key.
    ///
    /// # Errors
    /// [`crate::error::Usage`] for anything that is not a setting of `E`.
    pub fn studies<E: Experiment>(&self) -> Result<Vec<Box<dyn Study>>> {
        let mut base = Base::of::<E>()?;
        if let Some(repeats) = self.repeats {
            base.top.insert("repeats".to_owned(), Value::Integer(i64::try_from(repeats)?));
        }
        let overrides = self.overrides::<E>(&base)?;
        let mut trials = 0;
        let replaced = E::INSTEAD.filter(|instead| instead.is_given(&overrides));
        let is_replaced = |key: &&str| replaced.is_some_and(|instead| instead.of.contains(key));
        let Some(key) = E::VARIANT.filter(|key| !is_replaced(key)) else {
            let defaults = base.defaults(E::VARIANT.map(|_| ANY), self.preset());
            return Ok(vec![Box::new(study::<E>(defaults, overrides, &self.access, &mut trials)?)]);
        };
        let chosen = overrides.get(key).cloned().or_else(|| base.defaults(None, self.preset()).remove(key));
        let values = match chosen {
            Some(Value::Array(values)) => values,
            Some(value) => vec![value],
            None => Vec::new(),
        };
        short(key, values.len())?;
        let mut studies: Vec<Box<dyn Study>> = Vec::new();
        let mut folders = BTreeSet::new();
        for value in values {
            let Some(text) = value.as_str() else {
                return Err(usage(format!("setting '{key}': {value} is not text")));
            };
            let mut overrides = overrides.clone();
            overrides.insert(key.to_owned(), value.clone());
            let of_others = trials;
            let study = study::<E>(base.defaults(Some(text), self.preset()), overrides, &self.access, &mut trials)?;
            if folders.insert(Experiment::folder(&study)) {
                studies.push(Box::new(study));
            } else {
                trials = of_others;
            }
        }
        if studies.is_empty() {
            return Err(usage(format!("setting '{key}' is empty: it needs at least one value")));
        }
        Ok(studies)
    }

    /// All layers above the experiment's TOML as one table, checked for unknown keys.
    fn overrides<E: Experiment>(&self, base: &Base) -> Result<Table> {
        let preset = self.preset();
        if preset != DEFAULT_PRESET && !base.presets.contains_key(preset) {
            let mut names: Vec<&str> = base.presets.keys().map(String::as_str).collect();
            names.insert(0, DEFAULT_PRESET);
            return Err(usage(format!("unknown preset '{preset}' of {}: use {}", E::NAME, names.join(" or "))));
        }
        let (mut table, mut sources) = (Table::new(), BTreeMap::new());
        let mut insert = |key: &str, value: Value, source: &str| -> Result<()> {
            if base.keys.contains(DATASET) && (key == DATA || key.starts_with("data.")) {
                return insert_option(&mut table, key, value, source);
            }
            if !base.keys.contains(key) {
                let keys: Vec<&str> = base.keys.iter().map(String::as_str).collect();
                let keys = keys.join(", ");
                return Err(usage(format!("{source}: {} has no setting '{key}'; it has {keys}", E::NAME)));
            }
            table.insert(key.to_owned(), value);
            sources.insert(key.to_owned(), source.to_owned());
            Ok(())
        };
        if let Some((path, config)) = &self.config {
            for (key, value) in config.iter().filter(|(key, _)| *key != PRESET) {
                insert(key, value.clone(), &format!("--config {}", path.display()))?;
            }
        }
        for (flag, key, value) in &self.flags {
            insert(key, value.clone(), flag)?;
        }
        for assignment in &self.sets {
            let Some((key, text)) = assignment.split_once('=') else {
                return Err(usage(format!("--set {assignment}: write --set key=value")));
            };
            let key = key.trim();
            insert(key, written::value(text.trim(), base.like(key)), &format!("--set {assignment}"))?;
        }
        if let Some(instead) = E::INSTEAD {
            instead.check(&table, |key| sources.get(key).map_or("", String::as_str)).map_err(usage)?;
        }
        Ok(table)
    }
}

/// Where a byte of a settings file is: "line 3, column 1, at 'seed': ".
fn place(text: &str, at: usize) -> String {
    let before: &str = text.get(..at).unwrap_or(text);
    let (line, column) =
        (before.matches('\n').count() + 1, before.chars().rev().take_while(|c| *c != '\n').count() + 1);
    // The key that the place is of, which may stand lines above it.
    let is_key = |key: &&str| {
        let is_of_key = |c: char| c.is_alphanumeric() || "_-.".contains(c);
        !key.is_empty() && key.chars().all(is_of_key)
    };
    let keys = text.lines().take(line).filter_map(|line| line.split_once('=')).map(|(key, _)| key.trim());
    let of_key = keys.filter(is_key).last().map_or(String::new(), |key| format!(", at '{key}'"));
    format!("line {line}, column {column}{of_key}: ")
}

/// Adds an assignment `data.<name>=value` to a table of how a data set is read.
///
/// # Errors
/// [`crate::error::Usage`] where it is none.
pub fn option(assignment: &str, options: &mut Table) -> Result<()> {
    let source = format!("--set {assignment}");
    let (key, text) =
        assignment.split_once('=').ok_or_else(|| usage(format!("{source}: write --set data.name=value")))?;
    if !key.trim().starts_with("data.") {
        return Err(usage(format!("{source}: only data.<name> can be set here")));
    }
    let mut table = Table::new();
    insert_option(&mut table, key.trim(), written::value(text.trim(), None), &source)?;
    if let Some(Value::Table(added)) = table.remove(DATA) {
        options.extend(added);
    }
    Ok(())
}

/// Adds `data.<name>`, or a table of them, to the table of how a data set is read.
fn insert_option(table: &mut Table, key: &str, value: Value, source: &str) -> Result<()> {
    let Value::Table(options) = table.entry(DATA).or_insert_with(|| Table::new().into()) else { return Ok(()) };
    let added = match (key.split_once('.'), value) {
        (Some((_, name)), value) => [(name.to_owned(), value)].into_iter().collect(),
        (None, Value::Table(added)) => added,
        (None, other) => return Err(usage(format!("{source}: {other} is no table of data.<name> = value"))),
    };
    if let Some((name, _)) = added.iter().find(|(name, _)| !DataOptions::NAMES.contains(&name.as_str())) {
        let names: Vec<String> = DataOptions::NAMES.iter().map(|name| format!("data.{name}")).collect();
        return Err(usage(format!("{source}: there is no setting 'data.{name}'; there are {}", names.join(", "))));
    }
    options.extend(added);
    Ok(())
}
/// The presets and the settings of an experiment, by name.
///
/// # Errors
/// Where its own TOML does not parse.
pub fn vocabulary<E: Experiment>() -> Result<[Vec<String>; 2]> {
    let base = Base::of::<E>()?;
    let presets = [DEFAULT_PRESET].into_iter().chain(base.presets.keys().map(String::as_str)).map(str::to_owned);
    let of_data = DataOptions::NAMES.iter().filter(|_| base.keys.contains(DATASET)).map(|name| format!("data.{name}"));
    Ok([presets.collect(), base.keys.iter().cloned().chain(of_data).collect()])
}

/// The table of defaults for values of the variant key that have none of their own.
const ANY: &str = "*";

/// An experiment's own TOML file, taken apart.
struct Base {
    top: Table,
    variants: Table,
    presets: Table,
    keys: BTreeSet<String>,
}

impl Base {
    fn of<E: Experiment>() -> Result<Self> {
        let mut top: Table =
            E::SETTINGS.parse().with_context(|| format!("the built-in settings of {} do not parse", E::NAME))?;
        let variants = take_table(&mut top, "variant");
        let presets = take_table(&mut top, "preset");
        // Words, no settings.
        for texts in text::TABLES {
            top.remove(texts);
        }
        let in_variants = variants.values().filter_map(Value::as_table).flat_map(Table::keys);
        let keys = top.keys().chain(in_variants).cloned().collect();
        Ok(Self { top, variants, presets, keys })
    }

    /// What a setting's value looks like: a default of it.
    fn like(&self, key: &str) -> Option<&Value> {
        let in_variants = || self.variants.values().filter_map(Value::as_table).find_map(|variant| variant.get(key));
        self.top.get(key).or_else(in_variants)
    }

    /// The defaults for a value of the variant key under a preset.
    fn defaults(&self, variant: Option<&str>, preset: &str) -> Table {
        let mut table = self.top.clone();
        let mut of_preset = self.presets.get(preset).and_then(Value::as_table).cloned().unwrap_or_default();
        let preset_variants = take_table(&mut of_preset, "variant");
        table.extend(chosen(&self.variants, variant));
        table.extend(of_preset);
        table.extend(chosen(&preset_variants, variant));
        table
    }
}

fn take_table(table: &mut Table, key: &str) -> Table {
    match table.remove(key) {
        Some(Value::Table(inner)) => inner,
        _ => Table::new(),
    }
}

fn chosen(variants: &Table, variant: Option<&str>) -> Table {
    let table = variant.and_then(|name| variants.get(name).or_else(|| variants.get(ANY)));
    table.and_then(Value::as_table).cloned().unwrap_or_default()
}

/// Settings of their own type, checked: by the experiment, and for what no experiment may forget. `trials` are
/// those of the studies before, and then also this one's.
fn study<E: Experiment>(mut defaults: Table, overrides: Table, access: &Access, trials: &mut u128) -> Result<E> {
    let examples = defaults.clone();
    for (key, mut value) in overrides {
        if let Some(like) = examples.get(&key) {
            written::settle(&key, &mut value, like).map_err(usage)?;
        }
        defaults.insert(key, value);
    }
    if let Some(instead) = E::INSTEAD {
        instead.settle(&mut defaults);
    }
    let of_settings = |what: String| usage(format!("settings of {}: {what}", E::NAME));
    let experiment = E::read(&mut defaults, access).map_err(|mut wrong| match wrong.failed.take() {
        Some(failed) => failed,
        None => of_settings(plain(&wrong.why) + &example(&wrong, &examples)),
    })?;
    if let Some(key) = defaults.keys().next() {
        return Err(of_settings(format!("unknown field `{key}`")));
    }
    let resolved = serde_json::to_value(&experiment)?;
    // Checks look at each of a list's entries beside the others.
    settings_of(&resolved).try_for_each(|(name, setting)| short(name, setting.as_array().map_or(0, Vec::len)))?;
    experiment.check().map_err(|what| usage(singular(&what)))?;
    for (name, setting) in settings_of(&resolved) {
        // JSON has no word for infinity: a record would say null, and be none.
        if setting.is_null() || setting.as_array().is_some_and(|entries| entries.iter().any(Json::is_null)) {
            return Err(usage(format!("{name} is not a finite number, or has one that is not")));
        }
    }
    let Size { trials: of_this, smaller } = Experiment::size(&experiment);
    *trials = trials.saturating_add(of_this);
    if *trials > MOST_TRIALS {
        return Err(usage(format!("{} would be {trials} trials; at most {MOST_TRIALS}: {smaller}", E::NAME)));
    }
    Ok(experiment)
}

fn settings_of(resolved: &Json) -> impl Iterator<Item = (&String, &Json)> {
    resolved.as_object().into_iter().flatten()
}

/// Longer lists than this are a slip of the pen.
const MOST_ENTRIES: usize = 1000;

fn short(name: &str, entries: usize) -> Result<()> {
    if entries <= MOST_ENTRIES {
        return Ok(());
    }
    Err(usage(format!("{name} has {entries} entries; it may have at most {MOST_ENTRIES}")))
}

/// serde's message without the names of Rust's types.
fn plain(message: &str) -> String {
    [("usize", "a whole number"), ("u64", "a whole number"), ("f64", "a number"), ("a sequence", "a list")]
        .iter()
        .fold(message.to_owned(), |text, (rust, words)| {
            text.replace(&format!("expected {rust}"), &format!("expected {words}"))
        })
}

/// What the setting could look like, where the error does not say.
fn example(wrong: &Wrong, examples: &Table) -> String {
    // Other errors are our own sentences and say all there is to say.
    let is_serdes = ["invalid", "unknown variant"].iter().any(|start| wrong.why.starts_with(start));
    let default = examples.get(wrong.key).filter(|_| is_serdes);
    default.map(|value| format!(" for '{}'; its default is {value}", wrong.key)).unwrap_or_default()
}
