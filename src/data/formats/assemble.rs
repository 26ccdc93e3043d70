//! What arrays of inputs and targets mean: images (and where their channels are), features or tokens; classes (of an
//! input, or of each of its places), words or values. IDX and NumPy files share these rules. Knows no file format, and does not read.

use super::array::{Array, Class, Head, dimensions};
use crate::data::places;
use crate::data::raw::{KINDS, Kind, Numbers, Part, Raw, Targets};
use anyhow::{Result, anyhow, bail};

/// What the arrays of inputs will be taken for, and that they and their targets go together.
#[derive(Debug, PartialEq)]
pub struct Plan {
    kind: Kind,
    shape: Vec<usize>,
    /// Images that have to be brought to channels first.
    channels_last: bool,
    /// Where targets are classes by place, of how many places an input has.
    places: Option<usize>,
    pub notes: Vec<String>,
    /// Bytes of all arrays as the source has them.
    pub total: u64,
}

/// Looks at the headers of inputs and targets: of training, and of a test where there is one. `kind` is the setting
/// `data.kind`. What [`assemble`] allocates is at most twice `most_bytes`, the arrays' bytes included.
///
/// # Errors
/// Where the arrays do not go together, cannot be taken for `kind`, or would take more than `most_bytes`.
pub fn plan(splits: &[(&Head, &Head)], kind: Option<&str>, most_bytes: u64) -> Result<Plan> {
    let Some(&(train, _)) = splits.first() else { bail!("there are no arrays to train with") };
    let mut total = 0u64;
    let mut decoded = 0u64;
    for (inputs, targets) in splits {
        for (head, is_input) in [(inputs, true), (targets, false)] {
            let Some(bytes) = head.bytes().filter(|bytes| *bytes <= most_bytes) else {
                bail!(
                    "{} has the shape {} of {}, which takes more than the {most_bytes} bytes allowed: \
                     take fewer samples or a smaller type",
                    head.from,
                    dimensions(&head.shape),
                    head.element.name()
                );
            };
            if bytes == 0 {
                bail!("{} is empty: its shape is {}", head.from, dimensions(&head.shape));
            }
            let (elements, size) = (bytes / head.element.size as u64, head.element.size as u64);
            let small = size == 1 && matches!(head.element.class, Class::Unsigned | Class::Bool);
            let each = match kind {
                _ if head.element.is_word() => size + size_of::<String>() as u64,
                _ if !is_input => 8,
                Some("tokens") => 8,
                Some("features") => 4,
                _ if small && head.shape.len() > 2 => 1,
                _ => 4,
            };
            total = total.saturating_add(bytes);
            decoded = decoded.saturating_add(elements.saturating_mul(each.max(size)));
        }
        together(inputs, targets)?;
        if inputs.shape[1..] != train.shape[1..] {
            bail!(
                "inputs differ in shape: {} has {}, {} has {} (without their first dimension); save them alike",
                train.from,
                dimensions(&train.shape[1..]),
                inputs.from,
                dimensions(&inputs.shape[1..])
            );
        }
    }
    if decoded > most_bytes {
        bail!(
            "{} and the arrays that go with it take {decoded} bytes, and {most_bytes} are allowed: \
             take fewer samples or a smaller type",
            train.from
        );
    }
    let mut notes = Vec::new();
    let (kind, shape, channels_last) = layout(train, kind, &mut notes)?;
    if let [_, (test, _)] = splits
        && test.element.class != train.element.class
    {
        let names = [train, test].map(|head| format!("{} holds {}", head.from, head.element.name()));
        notes.push(format!("{}, though {}: they are taken to be on the same scale.", names[0], names[1]));
    }
    let places = by_place(splits, kind, &shape)?;
    Ok(Plan { kind, shape, channels_last, places, notes, total })
}

/// Of how many places the targets of all splits are, where they are whole numbers of each token, or of each pixel.
fn by_place(splits: &[(&Head, &Head)], kind: Kind, shape: &[usize]) -> Result<Option<usize>> {
    let places = if kind == Kind::Features { &[] } else { places(shape, kind == Kind::Tokens) };
    // Of one token a column of classes is a list of them.
    let has_places = |head: &Head| !is_list(head) && head.shape[1..] == *places;
    if splits.iter().all(|(_, targets)| targets.element.is_whole() && has_places(targets)) {
        return Ok(Some(places.iter().product()));
    }
    if splits.iter().all(|(_, targets)| targets.shape.len() < 3) {
        return Ok(None);
    }
    let odd = splits.iter().find(|(_, targets)| !targets.element.is_whole() || !has_places(targets));
    Err(match odd {
        Some((_, targets)) if has_places(targets) => anyhow!(
            "{} has the shape {} of {}, and classes by place are integers: save it by .astype(\"int64\")",
            targets.from,
            dimensions(&targets.shape),
            targets.element.name()
        ),
        Some((_, targets)) => unfit(targets),
        None => anyhow!("there are no arrays to train with"),
    })
}

fn is_list(targets: &Head) -> bool {
    matches!(targets.shape[..], [_] | [_, 1])
}

fn unfit(targets: &Head) -> anyhow::Error {
    anyhow!(
        "{} has the shape {} of {}, and targets are [samples], [samples, values] of numbers, or whole numbers of each \
         place of an input, [samples, tokens] or [samples, height, width]: reshape them",
        targets.from,
        dimensions(&targets.shape),
        targets.element.name()
    )
}

/// Inputs and targets of one split.
fn together(inputs: &Head, targets: &Head) -> Result<()> {
    if inputs.element.is_word() {
        bail!("{} holds {}, and inputs are numbers: name another array", inputs.from, inputs.element.name());
    }
    // Those of three dimensions fit, or not, once it is known what inputs are.
    if !is_list(targets) && (!matches!(targets.shape.len(), 2 | 3) || targets.element.is_word()) {
        return Err(unfit(targets));
    }
    let (n, m) = (inputs.samples(), targets.samples());
    if n != m {
        bail!("{} has {n} samples, and {} has targets for {m}: save as many of each", inputs.from, targets.from);
    }
    Ok(())
}

/// Kind and shape of one input, and whether its channels are last.
fn layout(head: &Head, kind: Option<&str>, notes: &mut Vec<String>) -> Result<(Kind, Vec<usize>, bool)> {
    let from = &head.from;
    let all = dimensions(&head.shape);
    let dims = &head.shape[1..];
    let images = |[c, h, w]: [usize; 3], last| Ok((Kind::Images, vec![c, h, w], last));
    let unfit = |what| {
        Err(anyhow!("{from} has the shape {all}, and data.kind={what}: set another kind of {}", KINDS.join(", ")))
    };
    match (kind, dims) {
        (Some("features"), _) | (None, [] | [_]) => Ok((Kind::Features, vec![dims.iter().product()], false)),
        (Some("tokens"), [] | [_]) if matches!(head.element.class, Class::Unsigned | Class::Signed) => {
            Ok((Kind::Tokens, vec![dims.iter().product()], false))
        }
        (Some("tokens"), [] | [_]) => {
            bail!("{from} holds {}, and tokens are integers: save it by .astype(\"int64\")", head.element.name())
        }
        (Some("tokens"), _) => unfit("tokens takes [samples] or [samples, tokens]"),
        (None | Some("images" | "channels-first" | "channels-last"), &[h, w]) => images([1, h, w], false),
        (Some("channels-first"), &[c, h, w]) => images([c, h, w], false),
        (Some("channels-last"), &[h, w, c]) => images([c, h, w], true),
        (None | Some("images"), &[a, b, c]) => {
            let last = match [a, c].map(|side| (1..=4).contains(&side)) {
                [true, false] => false,
                [false, true] => true,
                _ if a == c => bail!(
                    "{from} has the shape {all}, which does not say where the channels are: \
                     add --set data.kind=channels-first or --set data.kind=channels-last"
                ),
                _ => {
                    let (last, place) = (c < a, if c < a { "last" } else { "first" });
                    notes.push(format!(
                        "{from} has the shape {all}, and its channels are taken to be {place}: \
                         --set data.kind=channels-first or channels-last says it."
                    ));
                    last
                }
            };
            images(if last { [c, a, b] } else { [a, b, c] }, last)
        }
        (Some("images" | "channels-first" | "channels-last"), _) => {
            unfit("images, channels-first and channels-last take [samples, height, width] or one dimension more")
        }
        (None, _) => bail!(
            "{from} has the shape {all}, and at most 4 dimensions are understood: \
             reshape it, or flatten it by --set data.kind=features"
        ),
        (Some(other), _) => bail!("data.kind={other} is not known: it is one of {}", KINDS.join(", ")),
    }
}

/// What the arrays hold, of which [`plan`] looked at the headers: inputs and targets of training, then of a test.
///
/// # Errors
/// Where numbers are not finite in 32 bits, tokens negative, words no Unicode, or targets of the splits unlike.
pub fn assemble(plan: Plan, splits: Vec<(Array, Array)>) -> Result<Raw> {
    let Plan { kind, shape, channels_last, places, notes, .. } = plan;
    let (inputs, targets): (Vec<_>, Vec<_>) = splits.into_iter().unzip();
    let mut from = inputs.iter().map(|array| array.head.from.clone()).collect::<Vec<_>>().into_iter();
    let (inputs, divisor) = numbers(inputs, kind, channels_last.then_some(&shape))?;
    let mut inputs = inputs.into_iter();
    let mut targets = labels(targets, places)?.into_iter();
    let mut part = || Some(Part { inputs: inputs.next()?, targets: targets.next()?, from: from.next()? });
    let train = part().ok_or_else(|| anyhow!("there are no arrays to train with"))?;
    Ok(Raw { kind, shape, train, test: part(), class_names: None, divisor, notes })
}

/// The numbers of all splits in one type, and what bytes are to be divided by. Images of the shape `channels_last`
/// (channels, height, width, though their channels are last) are brought to it.
fn numbers(splits: Vec<Array>, kind: Kind, channels_last: Option<&Vec<usize>>) -> Result<(Vec<Numbers>, f32)> {
    let first = splits.first().map(|array| array.head.element.class);
    let mut bytes = kind == Kind::Images;
    for array in &splits {
        bytes = bytes && array.fits_bytes()?;
    }
    let mut all = Vec::new();
    for array in splits {
        let mut numbers = match kind {
            Kind::Tokens => Numbers::Whole(tokens(&array)?),
            _ if bytes => Numbers::Bytes(array.into_bytes()?),
            _ => Numbers::Floats(array.floats()?),
        };
        match (&mut numbers, channels_last) {
            (Numbers::Bytes(values), Some(shape)) => channels_first(values, shape),
            (Numbers::Floats(values), Some(shape)) => channels_first(values, shape),
            _ => {}
        }
        all.push(numbers);
    }
    let integers = matches!(first, Some(Class::Unsigned | Class::Signed));
    Ok((all, if bytes && integers { 255.0 } else { 1.0 }))
}

fn tokens(array: &Array) -> Result<Vec<i64>> {
    let from = &array.head.from;
    let tokens = array.whole()?.ok_or_else(|| anyhow!("{from} holds numbers beyond 64 bits, signed"))?;
    if let Some(at) = tokens.iter().position(|token| *token < 0) {
        let sample = at / (tokens.len() / array.head.samples().max(1)).max(1);
        bail!("sample {sample} (from 0) of {from} holds the token {}, and 0 is the lowest: shift them", tokens[at]);
    }
    Ok(tokens)
}

fn channels_first<T: Copy>(all: &mut [T], shape: &[usize]) {
    let channels = shape.first().copied().unwrap_or(1).max(1);
    let pixels = shape.iter().skip(1).product::<usize>().max(1);
    let mut last = Vec::with_capacity(channels * pixels);
    for image in all.chunks_exact_mut(channels * pixels) {
        last.clear();
        last.extend_from_slice(image);
        for (channel, plane) in image.chunks_exact_mut(pixels).enumerate() {
            for (value, pixel) in plane.iter_mut().zip(last.chunks_exact(channels)) {
                *value = pixel[channel];
            }
        }
    }
}

/// The targets of all splits in one type: whole numbers only where they are so in all splits.
fn labels(splits: Vec<Array>, places: Option<usize>) -> Result<Vec<Targets>> {
    let too_large = |array: &Array| {
        anyhow!("{} holds numbers beyond 9223372036854775807: number the classes from 0", array.head.from)
    };
    if let Some(places) = places {
        let of =
            |array: &Array| Ok(Targets::ByPlace { places, labels: array.whole()?.ok_or_else(|| too_large(array))? });
        return splits.iter().map(of).collect();
    }
    let width = |array: &Array| array.head.shape.get(1).copied().unwrap_or(1);
    for array in &splits {
        let [first, this] = [&splits[0], array];
        if first.head.element.is_word() != this.head.element.is_word() || width(first) != width(this) {
            let [first, this] = [first, this]
                .map(|array| format!("{} has {} × {}", array.head.from, array.head.element.name(), width(array)));
            bail!("targets of training and test differ: {first} a sample, {this}; save them alike");
        }
    }
    if splits.iter().any(|array| array.head.element.is_word()) {
        return splits.iter().map(|array| Ok(Targets::Words(array.words()?))).collect();
    }
    let mut whole = Vec::new();
    for array in splits.iter().filter(|array| width(array) == 1) {
        match array.whole()? {
            Some(numbers) => whole.push(Targets::Numbers(numbers)),
            None if array.head.element.class == Class::Unsigned => {
                return Err(too_large(array));
            }
            _ => break,
        }
    }
    if whole.len() == splits.len() {
        return Ok(whole);
    }
    splits.iter().map(|array| Ok(Targets::Values { width: width(array), values: array.floats()? })).collect()
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;
