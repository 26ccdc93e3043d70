//! Flags of the command line that set settings. Knows their names and values, nothing of clap.

use super::written::whole;
use crate::data::expression::{constant, made_of};
use crate::data::{SETS, functions};

/// A flag that sets a setting, beside the flags all experiments share.
pub struct Flag {
    pub name: &'static str,
    /// Another name of it.
    pub alias: Option<&'static str>,
    /// Empty for a switch, which sets its setting to true.
    pub value_name: &'static str,
    /// The setting it gives a value to.
    pub setting: &'static str,
    /// May be given more than once; the setting is then a list.
    pub repeatable: bool,
    /// May be followed by several values, and be given more than once; the setting is a list where there are several.
    pub several: bool,
    /// May also be given as an argument without the flag's name.
    pub positional: bool,
    /// Turns the flag's text into a TOML value, for settings that are not text.
    pub parse: fn(&str) -> Result<toml::Value, String>,
    /// Values that a shell completes to; there may be others.
    pub offers: fn() -> Vec<&'static str>,
    pub help: &'static str,
}

impl Flag {
    /// For settings that are text.
    pub fn text(text: &str) -> Result<toml::Value, String> {
        Ok(text.into())
    }

    /// For settings that are whole numbers.
    pub fn whole(text: &str) -> Result<toml::Value, String> {
        let number = whole(text)?;
        let fits = u32::try_from(number).map_err(|_| format!("{text} is too large: it is at most {}", u32::MAX))?;
        Ok(i64::from(fits).into())
    }

    /// For switches.
    pub fn switch(_: &str) -> Result<toml::Value, String> {
        Ok(true.into())
    }

    /// A flag of the text of a setting: `--name VALUE`.
    pub const fn new(name: &'static str, value_name: &'static str, setting: &'static str, help: &'static str) -> Self {
        Self {
            name,
            alias: None,
            value_name,
            setting,
            repeatable: false,
            several: false,
            positional: false,
            parse: Self::text,
            offers: Vec::new,
            help,
        }
    }

    /// The same, given once for each entry of a list.
    pub const fn repeatable(self) -> Self {
        Self { repeatable: true, ..self }
    }

    /// The same, which several values may follow.
    pub const fn several(self) -> Self {
        Self { several: true, ..self }
    }

    /// The same, which may also be given as an argument without its name.
    pub const fn positional(self) -> Self {
        Self { positional: true, ..self }
    }

    /// The same, which a shell completes to these.
    pub const fn offering(self, offers: fn() -> Vec<&'static str>) -> Self {
        Self { offers, ..self }
    }

    /// The same, whose text becomes a value so.
    pub const fn parsed(self, parse: fn(&str) -> Result<toml::Value, String>) -> Self {
        Self { parse, ..self }
    }
}

/// `--data`, of every study on a data set; `--dataset` too.
pub const DATASET_FLAG: Flag = Flag {
    alias: Some("dataset"),
    offers: || SETS.iter().map(|set| set.name).collect(),
    ..Flag::new(
        "data",
        "NAME|PATH",
        "dataset",
        "What to learn from: a name that `hw1 data list` shows, or the path of IDX files, an .npz, CIFAR's batches, a \
         folder of classes or a .csv [default: mnist; synthetic in the smoke preset]",
    )
};

/// `--trainings`, of every study of several trainings of one network.
pub const TRAININGS_FLAG: Flag =
    Flag::new("trainings", "N", "trainings", "Trainings, each from its own initial weights").parsed(Flag::whole);

/// `--model`, of studies of one network on a data set.
pub const MODEL_FLAG: Flag = Flag::new(
    "model",
    "LAYERS",
    "model",
    "The network by its layers: inputs-128-64-classes, or convolutions first, conv8-conv16-128-classes",
);

/// `--model`, of studies of several.
pub const MODELS_FLAG: Flag = Flag {
    setting: "models",
    help: "A network by its layers: inputs-128-64-classes, or convolutions first, wide=conv32-conv64-128-classes; \
           replaces the report's",
    ..MODEL_FLAG.repeatable()
};

/// `--fn`, of studies of one function.
pub const FUNCTION_FLAG: Flag = Flag::new(
    "fn",
    "FUNCTION",
    "function",
    concat!(
        "sin-sq, sign-sin, sin-plus-x, cos-over-x, or an expression in x like \"exp(-x^2)*sin(9*x)\", ",
        made_of!(),
        " [default: the report's]"
    ),
)
.offering(functions::names);

/// `--domain`, of every study of functions.
pub const DOMAIN_FLAG: Flag = Flag::new(
    "domain",
    "LOW:HIGH",
    "domain",
    "Range of x [default: the report's for a named function, -1:1 for an expression]",
)
.parsed(parse_domain);

/// `--points`, of every study of functions.
pub const POINTS_FLAG: Flag = Flag::new(
    "points",
    "FILE",
    "points",
    "Points that were measured in the place of a function: a CSV file with the columns x and y",
)
.parsed(parse_file);

/// `--model`, of studies of one network on a function.
pub const WIDTHS_FLAG: Flag = Flag::new("model", "WIDTHS", "model", "The network by its widths, like 1-64-64-1");

/// An empty text would mean none.
fn parse_file(text: &str) -> Result<toml::Value, String> {
    if text.is_empty() { Err("it names no file".to_owned()) } else { Ok(text.into()) }
}

fn parse_domain(text: &str) -> Result<toml::Value, String> {
    let ends = text.split_once(':').and_then(|(low, high)| Some((constant(low).ok()?, constant(high).ok()?)));
    let (low, high) = ends.ok_or_else(|| format!("'{text}' is not a domain: write LOW:HIGH, as in -3:3 or -pi:pi"))?;
    Ok(toml::Value::Array(vec![low.into(), high.into()]))
}
