//! Classes by number, whatever a source calls them. Knows no split and no scale.

use super::{Arrays, Learned, Taken};
use crate::data::raw::{Numbers, Part, Targets};
use crate::data::{IGNORED, Target};
use anyhow::{Context as _, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};

/// More classes than this are values that were taken for classes.
const MOST_CLASSES: usize = 10_000;
/// More than this at a place are no classes: a vocabulary has fewer.
const MOST_BY_PLACE: i64 = 1 << 24;

/// A part without the samples that have no class: those labelled [`IGNORED`].
pub(super) fn labelled(part: Part, numbers: usize, notes: &mut Vec<String>) -> Result<Part> {
    let Targets::Numbers(labels) = &part.targets else { return Ok(part) };
    let has_class: Vec<bool> = labels.iter().map(|label| *label != IGNORED).collect();
    let ignored = has_class.iter().filter(|has_class| !**has_class).count();
    if ignored == 0 {
        return Ok(part);
    }
    let from = part.from;
    ensure!(
        ignored < has_class.len(),
        "{from} has no label but {IGNORED}, which PyTorch ignores: give it classes from 0"
    );
    fn kept<T>(all: Vec<T>, width: usize, has_class: &[bool]) -> Vec<T> {
        let kept = all.into_iter().enumerate().filter(|(at, _)| has_class[at / width]);
        kept.map(|(_, value)| value).collect()
    }
    let samples = if ignored == 1 { "1 sample".to_owned() } else { format!("{ignored} samples") };
    let were = if ignored == 1 { "was" } else { "were" };
    notes.push(format!("{samples} labelled {IGNORED}, which PyTorch ignores, {were} left out of {from}"));
    let inputs = match part.inputs {
        Numbers::Bytes(all) => Numbers::Bytes(kept(all, numbers, &has_class)),
        Numbers::Floats(all) => Numbers::Floats(kept(all, numbers, &has_class)),
        Numbers::Whole(all) => Numbers::Whole(kept(all, numbers, &has_class)),
    };
    let targets = Targets::Numbers(labels.iter().copied().filter(|label| *label != IGNORED).collect());
    Ok(Part { inputs, targets, from })
}

/// The parts with their classes numbered from 0, in the order of their numbers or names; those names. Labels from 0 of
/// what is taken whole keep their numbers.
pub(super) fn numbered(
    parts: Vec<Part>,
    names: Option<Vec<String>>,
    taken: Taken,
    notes: &mut Vec<String>,
) -> Result<(Vec<Arrays>, Target, Vec<String>)> {
    let from = parts[0].from.clone();
    if parts.iter().any(|part| matches!(part.targets, Targets::ByPlace { .. })) {
        let (parts, target) = by_place(parts, notes)?;
        return Ok((parts, target, Vec::new()));
    }
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
    let named = if in_words { by_words(parts, names)? } else { by_numbers(parts, names, taken, notes)? };
    let (arrays, names) = named;
    let is_enough = names.len() > 1 || taken == Taken::Whole;
    ensure!(is_enough, "{from} has one class, '{}': there is nothing to tell apart", names.concat());
    ensure!(
        names.len() <= MOST_CLASSES,
        "{from} has {} different labels: these are values rather than classes; the studies learn classes",
        names.len()
    );
    Ok((arrays, Target::Classes(names.len() as i64), names))
}

/// Classes at each place are numbered already: there are as many as the greatest label says, over both splits.
fn by_place(parts: Vec<Part>, notes: &mut Vec<String>) -> Result<(Vec<Arrays>, Target)> {
    let from = parts[0].from.clone();
    let (mut arrays, mut most, mut ignored, mut all) = (Vec::new(), None, 0, 0);
    for Part { inputs, targets, from } in parts {
        let Targets::ByPlace { places, labels } = targets else {
            bail!("{from}: the training and the test samples have targets of different kinds: give both the same")
        };
        if let Some(at) = labels.iter().position(|label| *label != IGNORED && !(0..MOST_BY_PLACE).contains(label)) {
            let (sample, place, label) = (at / places.max(1), at % places.max(1), labels[at]);
            bail!(
                "{from}: the target of sample {sample} at place {place} (from 0) is {label}: classes by place are from 0                  to {}, or {IGNORED} for none; save values as float32",
                MOST_BY_PLACE - 1
            );
        }
        most = most.max(labels.iter().copied().max());
        ignored += labels.iter().filter(|label| **label == IGNORED).count();
        all += labels.len();
        arrays.push(Arrays { inputs, targets: Learned::ByPlace(labels) });
    }
    let Some(most) = most.filter(|most| *most != IGNORED) else {
        bail!("{from} has no label but {IGNORED}, which PyTorch ignores: give its places classes from 0")
    };
    if ignored > 0 {
        notes.push(format!(
            "{ignored} of {all} places are labelled {IGNORED}, which PyTorch ignores: they count for none"
        ));
    }
    Ok((arrays, Target::ClassesByPlace(most + 1)))
}

fn by_words(parts: Vec<Part>, names: Option<Vec<String>>) -> Result<(Vec<Arrays>, Vec<String>)> {
    let in_words = |targets: Targets| match targets {
        Targets::Words(words) => words,
        Targets::Numbers(numbers) => numbers.iter().map(i64::to_string).collect(),
        Targets::Values { .. } | Targets::ByPlace { .. } => Vec::new(),
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
    taken: Taken,
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
    // They are outputs of a network that has learned already; some of them may be missing here.
    let could_be_outputs = found.iter().all(|label| (0..MOST_CLASSES as i64).contains(label));
    if let Some(most) = found.last().filter(|_| taken == Taken::Whole && could_be_outputs) {
        let names = (0..=*most).map(|label| label.to_string()).collect();
        return Ok((parts.into_iter().map(as_classes).collect(), names));
    }
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
