//! What a study says in words, from its TOML file: `[claim.<id>]`, `[figure.<name>]` and `[[reported]]` beside the
//! settings they speak of. `{name}` stands for a setting, or for what the study gives. Knows no numbers but these.

use super::claim::{Claimed, SEEDS, Stated};
use super::experiment::Experiment;
use super::number::singular;
use super::seeds::caption;
use crate::model::Architecture;
use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Display;

/// Values by the names that stand in braces.
pub type With<'a> = &'a [(&'a str, &'a dyn Display)];

/// The texts of a study, and its settings. Of one that is not there, or has a name that stands for nothing, an error
/// says so.
#[derive(Default)]
pub struct Texts {
    file: File,
    settings: Value,
    /// What stands for `{data}`, for `{one}` of its classes, for its `{items}` (images or samples) and `{things}` (digits,
    /// or its title), its `{classes}`, for the kind of the network, `{a_network}`, the `{chance_error}` of guessing, and for `{over_seeds}`: what a caption says of
    /// curves that are means over seeds.
    known: BTreeMap<&'static str, String>,
}

/// The tables of the TOML file that hold texts.
pub(super) const TABLES: [&str; 4] = ["claim", "differs", "figure", "reported"];

#[derive(Default, Deserialize)]
struct File {
    #[serde(default)]
    claim: BTreeMap<String, ClaimText>,
    #[serde(default)]
    figure: BTreeMap<String, FigureText>,
    #[serde(default)]
    reported: Vec<Reported>,
    /// What papers did otherwise than a claim that names them, by the name it has for them.
    #[serde(default)]
    differs: BTreeMap<String, String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct FigureText {
    /// File stem, where several figures share these texts; else the table's name.
    name: Option<String>,
    title: String,
    caption: String,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimText {
    /// Where several claims share this text; else the table's name.
    id: Option<String>,
    says: String,
    /// How it is judged.
    rule: String,
    /// The names of the study's figures that show it.
    #[serde(default)]
    figures: Vec<String>,
    /// Whose protocol differs from ours, in `[differs]`.
    differs: Option<String>,
    /// Where the number is claimed to lie: at most one of these.
    above: Option<f64>,
    at_least: Option<f64>,
    at_most: Option<f64>,
    below: Option<f64>,
    within: Option<[f64; 2]>,
}

/// What the report gives, and for which settings or trials.
#[derive(Deserialize)]
pub struct Reported {
    when: serde_json::Map<String, Value>,
    /// A sentence.
    pub note: Option<String>,
    /// Numbers and names.
    #[serde(flatten)]
    pub values: serde_json::Map<String, Value>,
}

impl Reported {
    fn is_of(&self, what: &Value) -> bool {
        self.when.iter().all(|(key, value)| what.get(key) == Some(value))
    }
}

/// As it stands in a sentence: "ten", 100.
fn in_words(number: i64) -> String {
    const WORDS: [&str; 13] =
        ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    usize::try_from(number).ok().and_then(|at| WORDS.get(at)).map_or(number.to_string(), |word| (*word).to_owned())
}

impl Texts {
    /// # Errors
    /// Where the TOML file says them in another form.
    pub fn of<E: Experiment>(study: &E) -> Result<Self> {
        let file = toml::from_str(E::SETTINGS).with_context(|| format!("the texts of {}", E::NAME))?;
        let settings = serde_json::to_value(study)?;
        let mut known = BTreeMap::new();
        if let Some(set) = study.data() {
            known.insert("data", set.title().to_owned());
            known.insert("one", set.one().to_owned());
            known.insert("items", if set.signature().image().is_some() { "images" } else { "samples" }.to_owned());
            let is_of_digits = set.one() == "digit";
            known.insert("things", if is_of_digits { "digits" } else { set.title() }.to_owned());
            let target = set.signature().target;
            known.insert("classes", in_words(target.outputs()));
            known.insert("chance_error", (1.0 - target.chance()).to_string());
        }
        if let Some(model) = settings["model"].as_str().and_then(|text| text.parse::<Architecture>().ok()) {
            known.insert("a_network", model.kind().to_owned());
        }
        known.insert("over_seeds", caption(settings["repeats"].as_u64().unwrap_or(1), SEEDS));
        Ok(Self { file, settings, known })
    }

    /// The text with each `{name}` replaced: by what is given, else by what is known, else by the setting.
    fn filled(&self, template: &str, with: With) -> Result<String> {
        let (mut text, mut rest) = (String::new(), template);
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) =
                after.split_once('}').with_context(|| format!("'{template}': a brace is not closed"))?;
            text.push_str(before);
            match (with.iter().find(|(given, _)| *given == name), self.known.get(name), self.settings.get(name)) {
                (Some((_, value)), ..) => text.push_str(&value.to_string()),
                (_, Some(known), _) => text.push_str(known),
                (.., Some(Value::String(setting))) => text.push_str(setting),
                // As Rust writes it: 0.001, not 1e-3.
                (.., Some(Value::Number(number))) if number.is_f64() => {
                    text.push_str(&number.as_f64().unwrap_or(f64::NAN).to_string());
                }
                (.., Some(setting @ Value::Number(_))) => text.push_str(&setting.to_string()),
                _ => bail!("'{template}': nothing is called {name}"),
            }
            rest = after;
        }
        Ok(singular(&(text + rest)))
    }

    /// Name, title and caption of the figure `[figure.<key>]`.
    pub fn figure(&self, key: &str, with: With) -> Result<[String; 3]> {
        let text = self.file.figure.get(key).with_context(|| format!("there is no [figure.{key}]"))?;
        let name = text.name.as_deref().unwrap_or(key);
        Ok([self.filled(name, with)?, self.filled(&text.title, with)?, self.filled(&text.caption, with)?])
    }

    /// The claim `[claim.<key>]`, to be judged. `{bound}` stands for where its number is claimed to lie, of two bounds
    /// the upper one.
    pub fn claim(&self, key: &str, with: With) -> Result<Stated> {
        let text = self.file.claim.get(key).with_context(|| format!("there is no [claim.{key}]"))?;
        let claimed = [
            text.above.map(Claimed::Above),
            text.at_least.map(Claimed::AtLeast),
            text.at_most.map(Claimed::AtMost),
            text.below.map(Claimed::Below),
            text.within.map(Claimed::Within),
        ];
        let claimed = claimed.into_iter().flatten().next();
        let bound = claimed.map_or(f64::NAN, Claimed::upper_bound);
        let bound: (&str, &dyn Display) = ("bound", &bound);
        let protocol = |name: &String| {
            let protocol = self.file.differs.get(name).with_context(|| format!("[differs] has no {name}"))?;
            self.filled(protocol, &[])
        };
        let differs = text.differs.as_ref().map(protocol);
        let asked = ["repeats", "trainings"].map(|setting| Some((setting, self.settings.get(setting)?.as_u64()?)));
        let with = &[with, &[bound]].concat();
        Ok(Stated {
            id: self.filled(text.id.as_deref().unwrap_or(key), with)?,
            says: self.filled(&text.says, with)?,
            rule: self.filled(&text.rule, with)?,
            differs: differs.transpose()?,
            figures: text.figures.iter().map(|figure| self.filled(figure, with)).collect::<Result<_>>()?,
            asked: asked.into_iter().flatten().collect(),
            names: Vec::new(),
            claimed,
        })
    }

    /// What the report gives for these settings, in sentences.
    pub fn reported_notes(&self) -> Result<Vec<String>> {
        let of_settings = self.file.reported.iter().filter(|reported| reported.is_of(&self.settings));
        of_settings.filter_map(|reported| reported.note.as_deref()).map(|note| self.filled(note, &[])).collect()
    }

    /// What the report gives for a trial, as JSON.
    pub fn reported(&self, trial: &Value) -> Option<&Reported> {
        self.file.reported.iter().find(|reported| reported.note.is_none() && reported.is_of(trial))
    }
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn small_numbers_are_words() {
        let words = [0, 2, 10, 12, 13, 100].map(in_words);
        assert_eq!(words, ["no", "two", "ten", "twelve", "13", "100"]);
    }
}
