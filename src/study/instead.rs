//! Settings in the place of others: where one is given, those others are no settings of the study, and where it is not,
//! it is none.

use toml::Table;

/// A setting that stands in the place of others.
#[derive(Clone, Copy)]
pub struct Instead {
    pub setting: &'static str,
    /// Settings that come with it.
    pub with: &'static [&'static str],
    /// The others.
    pub of: &'static [&'static str],
}

/// Points that were measured, in the place of a function.
pub const POINTS: Instead = Instead {
    setting: "points",
    with: &["validation_share"],
    of: &["function", "domain", "train_size", "validation_size"],
};

impl Instead {
    /// Whether it is among these settings; no text is none.
    pub fn is_given(&self, settings: &Table) -> bool {
        settings.get(self.setting).is_some_and(|value| value.as_str() != Some(""))
    }

    /// Leaves in all settings those that are.
    pub(super) fn settle(&self, settings: &mut Table) {
        let out = if self.is_given(settings) { self.of.to_vec() } else { [self.with, &[self.setting]].concat() };
        out.iter().for_each(|key| drop(settings.remove(*key)));
    }

    /// That those which are given beside a study's own fit together; `source` tells who gave one.
    pub(super) fn check<'a>(&self, given: &Table, source: impl Fn(&str) -> &'a str) -> Result<(), String> {
        let (setting, is_given) = (self.setting, self.is_given(given));
        let first = |keys: &[&'static str]| keys.iter().copied().find(|key| given.contains_key(*key));
        match (is_given, first(self.of), first(self.with)) {
            (true, Some(other), _) => Err(format!(
                "{} gives {setting} and {} gives {other}: {setting} stand in the place of {}; leave one or the other out",
                source(setting),
                source(other),
                self.of.join(", ")
            )),
            (false, _, Some(with)) => {
                Err(format!("{} gives {with}, which goes with {setting}: name those too", source(with)))
            }
            _ => Ok(()),
        }
    }
}
