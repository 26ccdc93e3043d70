//! What arrays of inputs and targets mean: images (and where their channels are), features or tokens; classes, words
//! or values. IDX and NumPy files share these rules. Knows no file format, and does not read.

use super::array::{Array, Class, Head, dimensions};
use crate::data::raw::{KINDS, Kind, Numbers, Part, Raw, Targets};
use anyhow::{Result, anyhow, bail};

/// What the arrays of inputs will be taken for, and that they and their targets go together.
#[derive(Debug, PartialEq)]
pub struct Plan {
    kind: Kind,
    shape: Vec<usize>,
    /// Images that have to be brought to channels first.
    channels_last: bool,
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
    Ok(Plan { kind, shape, channels_last, notes, total })
}

/// Inputs and targets of one split.
fn together(inputs: &Head, targets: &Head) -> Result<()> {
    if inputs.element.is_word() {
        bail!("{} holds {}, and inputs are numbers: name another array", inputs.from, inputs.element.name());
    }
    let is_list = matches!(targets.shape[..], [_] | [_, 1]);
    if !is_list && (targets.shape.len() != 2 || targets.element.is_word()) {
        bail!(
            "{} has the shape {} of {}, and targets are [samples], or [samples, values] of numbers: reshape them",
            targets.from,
            dimensions(&targets.shape),
            targets.element.name()
        );
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
    let Plan { kind, shape, channels_last, notes, .. } = plan;
    let (inputs, targets): (Vec<_>, Vec<_>) = splits.into_iter().unzip();
    let mut from = inputs.iter().map(|array| array.head.from.clone()).collect::<Vec<_>>().into_iter();
    let (inputs, divisor) = numbers(inputs, kind, channels_last.then_some(&shape))?;
    let mut inputs = inputs.into_iter();
    let mut targets = labels(targets)?.into_iter();
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
fn labels(splits: Vec<Array>) -> Result<Vec<Targets>> {
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
                bail!("{} holds numbers beyond 9223372036854775807: number the classes from 0", array.head.from)
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
mod tests {
    use super::super::array::Element;
    use super::*;

    const MOST: u64 = 1 << 20;

    fn array(from: &str, shape: &[usize], class: Class, size: usize, bytes: Vec<u8>) -> Array {
        Array {
            head: Head { from: from.into(), shape: shape.into(), element: Element { class, size, big_endian: false } },
            bytes,
        }
    }

    fn bytes(shape: &[usize]) -> Array {
        let count: usize = shape.iter().product();
        array("x", shape, Class::Unsigned, 1, (0..count).map(|at| at as u8).collect())
    }

    fn floats(from: &str, shape: &[usize], values: &[f32]) -> Array {
        array(from, shape, Class::Float, 4, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn integers(from: &str, shape: &[usize], values: &[i16]) -> Array {
        array(from, shape, Class::Signed, 2, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    fn labels(count: usize) -> Array {
        array("y", &[count], Class::Unsigned, 1, vec![1; count])
    }

    fn raw(splits: Vec<(Array, Array)>, kind: Option<&str>) -> Result<Raw> {
        let heads: Vec<_> = splits.iter().map(|(inputs, targets)| (&inputs.head, &targets.head)).collect();
        assemble(plan(&heads, kind, MOST)?, splits)
    }

    fn one(inputs: Array, kind: Option<&str>) -> Result<Raw> {
        let labels = labels(inputs.head.samples());
        raw(vec![(inputs, labels)], kind)
    }

    #[test]
    fn shape_and_kind_decide_what_inputs_are() {
        use Kind::{Features, Images, Tokens};
        for (shape, kind, expected, (found, sizes)) in [
            (&[2][..], None, [0, 1], (Features, &[1][..])),
            (&[2, 5], None, [5, 6], (Features, &[5])),
            (&[2, 4, 5], None, [20, 21], (Images, &[1, 4, 5])),
            (&[2, 4, 5], Some("images"), [20, 21], (Images, &[1, 4, 5])),
            (&[2, 4, 5], Some("channels-last"), [20, 21], (Images, &[1, 4, 5])),
            (&[2, 4, 5], Some("channels-first"), [20, 21], (Images, &[1, 4, 5])),
            (&[2, 3, 5, 6], None, [90, 91], (Images, &[3, 5, 6])),
            (&[2, 5, 6, 3], None, [90, 93], (Images, &[3, 5, 6])),
            (&[2, 3, 5, 1], None, [15, 16], (Images, &[1, 3, 5])),
            (&[2, 1, 5, 3], None, [15, 16], (Images, &[1, 5, 3])),
            (&[2, 5, 2, 6], None, [60, 61], (Images, &[5, 2, 6])),
            (&[2, 6, 2, 5], None, [60, 65], (Images, &[5, 6, 2])),
            (&[2, 3, 5, 3], Some("channels-first"), [45, 46], (Images, &[3, 5, 3])),
            (&[2, 3, 5, 3], Some("channels-last"), [45, 48], (Images, &[3, 3, 5])),
            (&[2, 3, 5, 6], Some("features"), [90, 91], (Features, &[90])),
            (&[2, 1, 5, 1, 2], Some("features"), [10, 11], (Features, &[10])),
            (&[2], Some("features"), [0, 1], (Features, &[1])),
            (&[2, 5], Some("tokens"), [5, 6], (Tokens, &[5])),
            (&[2], Some("tokens"), [0, 1], (Tokens, &[1])),
        ] {
            let raw = one(bytes(shape), kind).unwrap();
            assert_eq!((raw.kind, &raw.shape[..]), (found, sizes), "{shape:?} {kind:?}");
            // The first two numbers of the second sample, or of both where one is a sample.
            let at = raw.shape.iter().product::<usize>() % raw.train.inputs.len() * usize::from(expected != [0, 1]);
            match (&raw.train.inputs, found) {
                (Numbers::Bytes(all), Images) => {
                    assert_eq!(all[at..at + 2], expected.map(|value| value as u8), "{shape:?}")
                }
                (Numbers::Floats(all), Features) => assert_eq!(all[at..at + 2], expected.map(|value| value as f32)),
                (Numbers::Whole(all), Tokens) => assert_eq!(all[at..at + 2], expected),
                other => panic!("{other:?}"),
            }
            let guessed = shape.len() == 4 && kind.is_none() && !matches!(shape[1..], [3, 5, 6] | [5, 6, 3]);
            assert_eq!(raw.notes.len(), usize::from(guessed), "{:?}", raw.notes);
            assert_eq!(raw.divisor, if found == Images { 255.0 } else { 1.0 });
        }
    }

    #[test]
    fn inputs_that_fit_no_kind_are_refused() {
        for (shape, kind, part) in [
            (
                &[2, 3, 5, 3][..],
                None,
                "x has the shape [2, 3, 5, 3], which does not say where the channels are: \
                 add --set data.kind=channels-first or",
            ),
            (&[2, 7, 5, 7], Some("images"), "which does not say where"),
            (&[2, 1, 1, 1, 1], None, "at most 4 dimensions"),
            (&[2, 5], Some("images"), "data.kind=images, channels-first and channels-last take"),
            (&[2], Some("channels-first"), "channels-last take"),
            (&[2, 1, 1, 1, 1], Some("channels-last"), "channels-last take"),
            (&[2, 3, 4], Some("tokens"), "data.kind=tokens takes [samples] or [samples, tokens]"),
            (
                &[2, 5],
                Some("pictures"),
                "data.kind=pictures is not known: it is one of images, channels-first, channels-last, features, tokens",
            ),
            (&[0, 5], None, "x is empty: its shape is [0, 5]"),
            (&[2, 0], None, "x is empty"),
            (&[], None, "x has 0 samples, and y has targets for 2"),
            (&[2, 1 << 19, 2], None, "takes more than the 1048576 bytes allowed"),
            (&[2, 1 << 19], None, "take 4194320 bytes, and 1048576 are allowed"),
            (&[usize::MAX, usize::MAX], None, "takes more than"),
        ] {
            let head = Head { shape: shape.into(), ..bytes(&[1]).head };
            let error = plan(&[(&head, &labels(2).head)], kind, MOST).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn images_are_bytes_where_all_numbers_of_both_splits_are() {
        let (byte, whole, part) = ([1., 255.], [0., 8.], [0.5, 1.]);
        let image = |values: &[f32]| floats("x", &[1, 1, 2], values);
        for (train, test, expected, divisor) in [
            (image(&byte), image(&whole), Numbers::Bytes(vec![1, 255]), 1.),
            (image(&byte), image(&part), Numbers::Floats(byte.to_vec()), 1.),
            (image(&part), image(&byte), Numbers::Floats(part.to_vec()), 1.),
            (integers("x", &[1, 1, 2], &[7, 255]), image(&whole), Numbers::Bytes(vec![7, 255]), 255.),
            (integers("x", &[1, 1, 2], &[7, 256]), image(&whole), Numbers::Floats(vec![7., 256.]), 1.),
            (integers("x", &[1, 1, 2], &[-1, 2]), image(&whole), Numbers::Floats(vec![-1., 2.]), 1.),
            (bytes(&[1, 1, 2]), bytes(&[1, 1, 2]), Numbers::Bytes(vec![0, 1]), 255.),
            (array("x", &[1, 1, 2], Class::Bool, 1, vec![0, 3]), bytes(&[1, 1, 2]), Numbers::Bytes(vec![0, 1]), 1.),
        ] {
            let unlike = train.head.element.class != test.head.element.class;
            let raw = raw(vec![(train, labels(1)), (test, labels(1))], None).unwrap();
            assert_eq!((&raw.train.inputs, raw.divisor), (&expected, divisor));
            let test = raw.test.unwrap();
            assert_eq!(matches!(test.inputs, Numbers::Bytes(_)), matches!(expected, Numbers::Bytes(_)));
            assert_eq!(raw.notes.len(), usize::from(unlike), "{:?}", raw.notes);
        }
        let nan = one(image(&[1., f32::NAN]), None).unwrap_err().to_string();
        assert!(nan.starts_with("sample 0 (from 0) of x holds NaN"), "{nan}");
    }

    #[test]
    fn tokens_are_integers_from_0() {
        let error = |inputs| one(inputs, Some("tokens")).unwrap_err().to_string();
        let negative = error(integers("x", &[2, 2], &[1, 2, -3, 4]));
        assert!(negative.starts_with("sample 1 (from 0) of x holds the token -3"), "{negative}");
        assert!(error(floats("x", &[1, 1], &[1.])).contains("x holds float32, and tokens are integers"));
        assert!(error(array("x", &[1], Class::Bool, 1, vec![1])).contains("x holds bool"));
        assert!(error(array("x", &[1], Class::Unsigned, 8, vec![255; 8])).contains("beyond 64 bits"));
        assert_eq!(
            one(integers("x", &[1, 2], &[0, 300]), Some("tokens")).unwrap().train.inputs,
            Numbers::Whole(vec![0, 300])
        );
    }

    #[test]
    fn targets_are_numbers_words_or_values() {
        let words = || array("y", &[2], Class::Bytes, 2, b"noja".to_vec());
        let values = |width, values: &[f32]| Targets::Values { width, values: values.to_vec() };
        for (targets, expected) in [
            (integers("y", &[2], &[-1, 9]), Targets::Numbers(vec![-1, 9])),
            (integers("y", &[2, 1], &[-1, 9]), Targets::Numbers(vec![-1, 9])),
            (array("y", &[2], Class::Bool, 1, vec![0, 1]), Targets::Numbers(vec![0, 1])),
            (floats("y", &[2], &[3., -4.]), Targets::Numbers(vec![3, -4])),
            (floats("y", &[2, 1], &[3., 0.5]), values(1, &[3., 0.5])),
            (integers("y", &[2, 2], &[0, 1, 1, 1]), values(2, &[0., 1., 1., 1.])),
            (words(), Targets::Words(vec!["no".into(), "ja".into()])),
        ] {
            let raw = raw(vec![(bytes(&[2, 3]), targets)], None).unwrap();
            assert_eq!((raw.train.targets, raw.test), (expected, None));
        }
        // Whole numbers in one split only are real ones.
        let both = vec![(bytes(&[1]), floats("y", &[1], &[3.])), (bytes(&[1]), floats("z", &[1], &[0.5]))];
        let raw_both = raw(both, None).unwrap();
        assert_eq!((raw_both.train.targets, raw_both.test.unwrap().targets), (values(1, &[3.]), values(1, &[0.5])));
        for (targets, part) in [
            (floats("y", &[2], &[1., f32::NAN]), "sample 1 (from 0) of y holds NaN"),
            (integers("y", &[3], &[1, 2, 3]), "x has 2 samples, and y has targets for 3: save as many"),
            (integers("y", &[2, 1, 1], &[1, 2]), "y has the shape [2, 1, 1] of int16, and targets are"),
            (array("y", &[2, 2], Class::Bytes, 1, vec![65; 4]), "y has the shape [2, 2] of |S1"),
            (array("y", &[2], Class::Unsigned, 8, vec![255; 16]), "y holds numbers beyond 9223372036854775807"),
            (array("y", &[], Class::Unsigned, 1, vec![1]), "y has the shape [] of uint8"),
        ] {
            let error = raw(vec![(bytes(&[2, 3]), targets)], None).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        for (train, test) in [
            ((bytes(&[2]), words()), (bytes(&[2]), integers("z", &[2], &[1, 2]))),
            ((bytes(&[2]), integers("y", &[2], &[1, 2])), (bytes(&[1]), integers("z", &[1, 2], &[1, 2]))),
        ] {
            let error = raw(vec![train, test], None).unwrap_err().to_string();
            assert!(error.starts_with("targets of training and test differ: y has"), "{error}");
        }
        let shapes = vec![(bytes(&[2, 3]), labels(2)), (bytes(&[2, 4]), labels(2))];
        assert!(raw(shapes, None).unwrap_err().to_string().contains("x has [3], x has [4]"));
        let inputs = vec![(words(), labels(2))];
        assert!(raw(inputs, None).unwrap_err().to_string().contains("y holds |S2, and inputs are numbers"));
    }
}
