//! What arrays are taken for, by tables. Knows no file.

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

#[test]
fn whole_numbers_of_each_token_or_pixel_are_classes_by_place() {
    let whole = |shape: &[usize]| integers("y", shape, &vec![-100; shape.iter().product()]);
    let mask = |shape: &[usize]| array("y", shape, Class::Bool, 1, vec![1; shape.iter().product()]);
    let reals = |shape: &[usize]| floats("y", shape, &vec![1.0; shape.iter().product()]);
    let [tokens, features] = [Some("tokens"), Some("features")];
    for (inputs, kind, targets, places) in [
        (&[2, 3][..], tokens, whole(&[2, 3]), Some(3)),
        (&[2, 3], tokens, mask(&[2, 3]), Some(3)),
        (&[2, 4, 5], None, whole(&[2, 4, 5]), Some(20)),
        (&[2, 3, 4, 5], None, mask(&[2, 4, 5]), Some(20)),
        (&[2, 4, 5, 3], None, whole(&[2, 4, 5]), Some(20)),
        (&[2, 1, 1], None, whole(&[2, 1, 1]), Some(1)),
        // One token has a list of classes, as ever.
        (&[2, 1], tokens, whole(&[2, 1]), None),
        (&[2], tokens, whole(&[2]), None),
        // Real numbers are values, and so is what does not fit the places.
        (&[2, 3], tokens, reals(&[2, 3]), None),
        (&[2, 3], tokens, whole(&[2, 2]), None),
        (&[2, 3], None, whole(&[2, 3]), None),
        (&[2, 4, 5], None, whole(&[2, 20]), None),
        (&[2, 4, 5], features, whole(&[2, 20]), None),
    ] {
        let raw = raw(vec![(bytes(inputs), targets.clone())], kind).unwrap();
        match (&raw.train.targets, places) {
            (Targets::ByPlace { places: found, labels }, Some(places)) => {
                assert_eq!((*found, raw.train.targets.len()), (places, 2), "{inputs:?}");
                let label = if targets.head.element.class == Class::Bool { 1 } else { -100 };
                assert_eq!(*labels, vec![label; 2 * places]);
            }
            (Targets::ByPlace { .. }, None) | (_, Some(_)) => panic!("{inputs:?}: {:?}", raw.train.targets),
            _ => {}
        }
    }
    for (inputs, kind, targets, part) in [
        (
            &[2, 4, 5][..],
            None,
            reals(&[2, 4, 5]),
            "y has the shape [2, 4, 5] of float32, and classes by place are integers",
        ),
        (&[2, 4, 5], None, whole(&[2, 5, 4]), "or whole numbers of each place of an input, [samples, tokens] or"),
        (&[2, 4, 5], features, whole(&[2, 4, 5]), "y has the shape [2, 4, 5] of int16, and targets are"),
        (&[2, 3], tokens, whole(&[2, 3, 1]), "y has the shape [2, 3, 1] of int16, and targets are"),
        (&[2, 4, 5], None, whole(&[2, 1, 4, 5]), "y has the shape [2, 1, 4, 5] of int16, and targets are"),
        (&[2, 4, 5], None, whole(&[3, 4, 5]), "x has 2 samples, and y has targets for 3"),
        (&[1, 4, 5], None, array("y", &[1, 4, 5], Class::Unsigned, 8, vec![255; 160]), "numbers beyond 92233720"),
    ] {
        let error = raw(vec![(bytes(inputs), targets)], kind).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    // In both splits, or in none.
    let both = |test| raw(vec![(bytes(&[2, 3]), whole(&[2, 3])), (bytes(&[2, 3]), test)], tokens).unwrap().train;
    assert!(matches!(both(mask(&[2, 3])).targets, Targets::ByPlace { .. }));
    assert!(matches!(both(reals(&[2, 3])).targets, Targets::Values { width: 3, .. }));
}
