//! Classes by number, whatever a source calls them. Knows no split and no scale.

use super::{Arrays, Learned};
use crate::data::Target;
use crate::data::raw::{Numbers, Part, Targets};
use anyhow::{Context as _, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};

/// More classes than this are values that were taken for classes.
const MOST_CLASSES: usize = 10_000;

/// The parts with their classes numbered from 0, in the order of their numbers or names; those names.
pub(super) fn numbered(
    parts: Vec<Part>,
    names: Option<Vec<String>>,
    notes: &mut Vec<String>,
) -> Result<(Vec<Arrays>, Target, Vec<String>)> {
    let from = parts[0].from.clone();
    let values: Vec<usize> = parts
        .iter()
        .filter_map(|part| if let Targets::Values { width, .. } = part.targets { Some(width) } else { None })
        .collect();
    if let [width, others @ ..] = &values[..] {
        ensure!(
            values.len() == parts.len() && others.iter().all(|other| other == width),
            "{from} and its test samples have targets of different kinds: give both the same"
        );
        let (target, none) = (Target::Values(*width as i64), Vec::new());
        let of_values = |part: Part| match part.targets {
            Targets::Values { values, .. } => Arrays { inputs: part.inputs, targets: Learned::Values(values) },
            _ => Arrays { inputs: part.inputs, targets: Learned::Values(Vec::new()) },
        };
        return Ok((parts.into_iter().map(of_values).collect(), target, none));
    }
    let in_words = parts.iter().any(|part| matches!(part.targets, Targets::Words(_)));
    let named = if in_words { by_words(parts, names)? } else { by_numbers(parts, names, notes)? };
    let (arrays, names) = named;
    ensure!(names.len() > 1, "{from} has one class, '{}': there is nothing to tell apart", names.concat());
    ensure!(
        names.len() <= MOST_CLASSES,
        "{from} has {} different labels: these are values rather than classes; the studies learn classes",
        names.len()
    );
    Ok((arrays, Target::Classes(names.len() as i64), names))
}

fn by_words(parts: Vec<Part>, names: Option<Vec<String>>) -> Result<(Vec<Arrays>, Vec<String>)> {
    let in_words = |targets: Targets| match targets {
        Targets::Words(words) => words,
        Targets::Numbers(numbers) => numbers.iter().map(i64::to_string).collect(),
        Targets::Values { .. } => Vec::new(),
    };
    let parts: Vec<(Numbers, Vec<String>)> =
        parts.into_iter().map(|part| (part.inputs, in_words(part.targets))).collect();
    let found: BTreeSet<String> = parts.iter().flat_map(|(_, words)| words.iter().cloned()).collect();
    let names = names.unwrap_or_else(|| found.into_iter().collect());
    let places: BTreeMap<&str, i64> = (0..).zip(&names).map(|(at, name)| (name.as_str(), at)).collect();
    let of_part = |(inputs, words): (Numbers, Vec<String>)| -> Result<Arrays> {
        let place = |word: &String| places.get(word.as_str()).copied().with_context(|| format!("'{word}' is no class"));
        Ok(Arrays { inputs, targets: Learned::Classes(words.iter().map(place).collect::<Result<_>>()?) })
    };
    let arrays = parts.into_iter().map(of_part).collect::<Result<_>>()?;
    drop(places);
    Ok((arrays, names))
}

fn by_numbers(
    parts: Vec<Part>,
    names: Option<Vec<String>>,
    notes: &mut Vec<String>,
) -> Result<(Vec<Arrays>, Vec<String>)> {
    let mut found = BTreeSet::new();
    for part in &parts {
        if let Targets::Numbers(numbers) = &part.targets {
            found.extend(numbers.iter().copied());
        }
    }
    let found: Vec<i64> = found.into_iter().collect();
    let names = match names {
        Some(names) => {
            if let Some(label) = found.iter().find(|label| !(0..names.len() as i64).contains(*label)) {
                bail!("{} has a label of {label}, and {} classes are named from 0", parts[0].from, names.len());
            }
            return Ok((parts.into_iter().map(as_classes).collect(), names));
        }
        None => found.iter().map(i64::to_string).collect::<Vec<_>>(),
    };
    if found.iter().copied().eq(0..found.len() as i64) {
        return Ok((parts.into_iter().map(as_classes).collect(), names));
    }
    const SHOWN: usize = 5;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    notes.push(format!("Labels {}{more} are classes 0 to {}, in their order.", shown.join(", "), names.len() - 1));
    let mut parts: Vec<Arrays> = parts.into_iter().map(as_classes).collect();
    for part in &mut parts {
        if let Learned::Classes(labels) = &mut part.targets {
            for label in labels {
                *label = found.binary_search(label).map_or(0, |at| at as i64);
            }
        }
    }
    Ok((parts, names))
}

fn as_classes(part: Part) -> Arrays {
    let labels = if let Targets::Numbers(labels) = part.targets { labels } else { Vec::new() };
    Arrays { inputs: part.inputs, targets: Learned::Classes(labels) }
}
