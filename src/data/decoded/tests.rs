//! Rules from arrays to samples, by tables.

use super::*;
use crate::rng::{Purpose, Rng};

fn part(inputs: Numbers, targets: Targets) -> Part {
    Part { inputs, targets, from: "x.npz".into() }
}

/// Images of 1×1×2 bytes, each its place and its label, and such labels.
fn images(labels: &[i64]) -> Part {
    let bytes = (0u8..).zip(labels).flat_map(|(at, label)| [at, *label as u8]).collect();
    part(Numbers::Bytes(bytes), Targets::Numbers(labels.to_vec()))
}

fn raw(train: Part, test: Option<Part>) -> Raw {
    let (kind, shape) = (Kind::Images, vec![1, 1, 2]);
    Raw { kind, shape, train, test, class_names: None, divisor: 255.0, notes: Vec::new() }
}

/// Images of two places, of zeros, and such labels of the places.
fn by_place(labels: Vec<i64>) -> Part {
    part(Numbers::Bytes(vec![0; labels.len()]), Targets::ByPlace { places: 2, labels })
}

fn decoded(train: Part, test: Option<Part>) -> Decoded {
    Decoded::of(raw(train, test), Taken::Split(TEST_SHARE)).unwrap()
}

fn classes(arrays: &Arrays) -> &[i64] {
    let Learned::Classes(labels) = &arrays.targets else { panic!("values") };
    labels
}

fn bytes_of(part: &Part) -> &[u8] {
    let Numbers::Bytes(bytes) = &part.inputs else { panic!("no bytes") };
    bytes
}

fn bytes(arrays: &Arrays) -> &[u8] {
    let Numbers::Bytes(bytes) = &arrays.inputs else { panic!("no bytes") };
    bytes
}

#[test]
fn a_source_in_two_splits_without_runs_is_taken_as_it_is() {
    let Decoded { about, arrays } = decoded(images(&[0, 1, 2, 0, 1, 2]), Some(images(&[2, 1, 0])));
    assert_eq!(classes(&arrays[0]), [0, 1, 2, 0, 1, 2]);
    assert_eq!(bytes(&arrays[1]), [0, 2, 1, 1, 2, 0]);
    assert_eq!((about.target, about.class_names), (Target::Classes(3), ["0", "1", "2"].map(String::from).to_vec()));
    assert_eq!((about.sizes, about.counts), ([6, 3], [vec![2; 3], vec![1; 3]]));
    assert!(about.notes.is_empty() && !about.is_split_here);
}

#[test]
fn labels_become_classes_in_their_order_and_that_is_said() {
    let words = |words: &[&str]| Targets::Words(words.iter().map(|word| (*word).into()).collect());
    for (targets, names, labels, note) in [
        (Targets::Numbers(vec![1, -1, 1, -1]), ["-1", "1"], [1, 0, 1, 0], "Labels -1, 1 are classes 0 to 1"),
        (Targets::Numbers(vec![7, 3, 3, 7]), ["3", "7"], [1, 0, 0, 1], "Labels 3, 7 are classes"),
        (words(&["dog", "cat", "dog", "cat"]), ["cat", "dog"], [1, 0, 1, 0], ""),
    ] {
        let test = part(
            Numbers::Bytes(vec![1, 1]),
            if let Targets::Words(_) = targets {
                words(&["dog"])
            } else {
                let Targets::Numbers(numbers) = &targets else { unreachable!() };
                Targets::Numbers(numbers[..1].to_vec())
            },
        );
        let Decoded { about, arrays } = decoded(part(Numbers::Bytes(vec![0; 8]), targets), Some(test));
        assert_eq!(about.class_names, names);
        assert_eq!((classes(&arrays[0]), classes(&arrays[1])), (&labels[..], &[1][..]));
        assert_eq!(about.notes.concat().contains("Labels"), !note.is_empty());
        assert!(about.notes.concat().contains(note), "{:?}", about.notes);
    }
    // Many are not all told of.
    let many = |labels: &[i64]| decoded(images(labels), Some(images(&labels[..2]))).about.notes[0].clone();
    assert_eq!(many(&[9, 7, 5, 3, 1]), "Labels 1, 3, 5, 7, 9 are classes 0 to 4, in their order.");
    assert_eq!(many(&[11, 9, 7, 5, 3, 1]), "Labels 1, 3, 5, 7, 9 and 1 more are classes 0 to 5, in their order.");
    // Numbers in one split and words in the other are words.
    let test = part(Numbers::Bytes(vec![1, 1]), words(&["5"]));
    let Decoded { about, arrays } = decoded(images(&[10, 5, 10, 5]), Some(test));
    assert_eq!((about.class_names, classes(&arrays[1])), (["10", "5"].map(String::from).to_vec(), &[1][..]));
}

#[test]
fn what_a_network_cannot_learn_from_is_refused_in_a_line() {
    let floats = |values: &[f32]| part(Numbers::Floats(values.to_vec()), Targets::Numbers(vec![0, 1]));
    let values = |width, values: Vec<f32>| Targets::Values { width, values };
    let cases: [(Raw, &str); 17] = [
        (raw(images(&[]), None), "x.npz has no samples"),
        (raw(images(&[0, 1]), Some(images(&[]))), "x.npz has no samples"),
        (raw(part(Numbers::Bytes(vec![0; 6]), Targets::Numbers(vec![0, 1])), None), "3 inputs and 2 labels"),
        (raw(part(Numbers::Bytes(vec![0; 5]), Targets::Numbers(vec![0, 1])), None), "no common shape"),
        (raw(images(&[4, 4, 4]), None), "has one class, '4'"),
        (raw(images(&[0, 1, 0, 1]), Some(images(&[0, 2]))), "class '2' has no training sample and 1 to test on"),
        (Raw { class_names: Some(vec!["a".into(), "b".into()]), ..raw(images(&[0, 2]), None) }, "a label of 2, and 2"),
        (
            Raw {
                class_names: Some(["a", "b", "c"].map(String::from).to_vec()),
                ..raw(images(&[0, 1, 0, 1, 0, 1]), None)
            },
            "class 'c' has no training sample:",
        ),
        (
            raw(floats(&[1.0, 2.0, f32::NAN, 0.0]), None),
            "input 1 (from 0) has a value that is no finite number, as have 1 of 2",
        ),
        (raw(floats(&[f32::INFINITY, 2.0, f32::NAN, 0.0]), None), "input 0 (from 0)"),
        (raw(part(Numbers::Bytes(vec![0; 4]), values(1, vec![0.0, f32::NAN])), None), "target of sample 1"),
        (
            raw(part(Numbers::Bytes(vec![0; 4]), values(1, vec![0.0; 2])), Some(images(&[0, 1]))),
            "targets of different kinds",
        ),
        (raw(images(&[0, 1]), None), "leaves 2 to train on and 0 to test on"),
        (raw(images(&[-100, -100]), None), "x.npz has no label but -100"),
        (raw(by_place(vec![0, 1, 2, -1]), None), "sample 1 at place 1 (from 0) is -1: classes by place are from 0"),
        (raw(by_place(vec![-100; 4]), None), "x.npz has no label but -100"),
        (raw(by_place(vec![0, 1]), Some(images(&[0, 1]))), "targets of different kinds"),
    ];
    for (raw, words) in cases {
        let error = format!("{:#}", Decoded::of(raw, Taken::Split(TEST_SHARE)).unwrap_err());
        assert!(error.contains(words) && !error.contains('\n'), "{error}");
    }
    let tokens = part(Numbers::Whole(vec![1, 2, 3, 4, 5, -3]), Targets::Numbers(vec![0, 1, 0]));
    let error =
        Decoded::of(Raw { kind: Kind::Tokens, ..raw(tokens, None) }, Taken::Split(0.5)).unwrap_err().to_string();
    assert!(error.contains("input 2 (from 0) has a token of -3: tokens are from 0"), "{error}");
}

#[test]
fn a_share_of_each_class_is_held_out_by_content() {
    // 40 of class 0, 10 of class 1, 1 of class 2, in runs.
    let labels: Vec<i64> = [vec![0; 40], vec![1; 10], vec![2]].concat();
    let one = decoded(images(&labels), None);
    assert_eq!(one.about.counts, [vec![32, 8, 1], vec![8, 2, 0]]);
    assert_eq!(one.about.sizes, [41, 10]);
    assert!(one.about.is_split_here && one.about.notes.concat().contains("10 of 51 samples were held out"));
    assert_eq!(one, decoded(images(&labels), None), "the same content, the same split");
    // Nobody is lost, nobody is twice.
    let mut all: Vec<u8> = one.arrays.iter().flat_map(|arrays| bytes(arrays).chunks(2).map(|image| image[0])).collect();
    all.sort_unstable();
    assert!(all.iter().copied().eq(0..51));
    for arrays in &one.arrays {
        assert!(bytes(arrays).chunks(2).map(|image| i64::from(image[1])).eq(classes(arrays).iter().copied()));
    }
    // Another content, another choice.
    let mut other = labels.clone();
    other.swap(0, 45);
    let picked = |decoded: &Decoded| bytes(&decoded.arrays[1]).chunks(2).map(|image| image[0]).collect::<Vec<_>>();
    assert_ne!(picked(&one), picked(&decoded(images(&other), None)));
    // Half of them, of values too.
    let values = part(Numbers::Bytes(vec![3; 20]), Targets::Values { width: 1, values: vec![0.5; 10] });
    assert_eq!(Decoded::of(raw(values, None), Taken::Split(0.5)).unwrap().about.sizes, [5, 5]);
}

#[test]
fn labels_in_runs_are_shuffled_once_and_that_is_said() {
    let sorted: Vec<i64> = (0..60).map(|at| at / 20).collect();
    let mixed: Vec<i64> = (0..60).map(|at| at * 7 % 11 % 3).collect();
    for (train, test, note) in [
        (&sorted, &sorted, "both splits"),
        (&sorted, &mixed, "the training samples were"),
        (&mixed, &sorted, "the test samples were"),
    ] {
        let Decoded { about, arrays } = decoded(images(train), Some(images(test)));
        assert!(about.notes.concat().contains(note), "{:?}", about.notes);
        for (arrays, labels) in arrays.iter().zip([train, test]) {
            let is_shuffled = labels == &sorted;
            assert_eq!(classes(arrays) != &labels[..], is_shuffled);
            assert!(!is_ordered(&arrays.targets));
            // Inputs go with their labels.
            assert!(bytes(arrays).chunks(2).map(|image| i64::from(image[1])).eq(classes(arrays).iter().copied()));
        }
    }
    assert_eq!(decoded(images(&sorted), Some(images(&mixed))), decoded(images(&sorted), Some(images(&mixed))));
}

#[test]
fn an_order_is_runs_or_a_drift_and_not_chance() {
    let ordered = |labels: &[i64]| is_ordered(&Learned::Classes(labels.to_vec()));
    assert!(ordered(&[0, 0, 0, 1, 1, 1]) && ordered(&[2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0]));
    assert!(!ordered(&[0, 1, 0, 1]) && !ordered(&[0]) && !ordered(&[]) && !ordered(&[0, 0, 1, 0, 1, 1, 0, 1]));
    // Nine in ten of one class: few changes are usual.
    let rare: Vec<i64> = (0..200).map(|at| i64::from(at * 37 % 101 < 10)).collect();
    assert!(!ordered(&rare));
    let mut sorted = rare.clone();
    sorted.sort_unstable();
    assert!(ordered(&sorted));
    assert!(!is_ordered(&Learned::Values(vec![1.0; 9])));
    // Half of the classes first, mixed among themselves: no runs, and no fair sample.
    let halves: Vec<i64> = (0..1000).map(|at| at * 7 % 11 % 5 + if at < 500 { 0 } else { 5 }).collect();
    assert!(ordered(&halves));
    // The last tenth lacks a class.
    let mut rng = Rng::keyed(1, "order", Purpose::Split, 0);
    let mut labels: Vec<i64> = (0..2000).map(|_| rng.below(4) as i64).collect();
    assert!(!ordered(&labels));
    labels[1800..].iter_mut().for_each(|label| *label = (*label).min(2));
    assert!(ordered(&labels));
    // Chance alone, in many sizes and numbers of classes.
    for turn in 0..300 {
        let (n, classes) = (20 + rng.below(3000), 2 + rng.below(12));
        let labels: Vec<i64> = (0..n).map(|_| rng.below(classes) as i64).collect();
        assert!(!ordered(&labels), "turn {turn}: {n} of {classes}");
    }
}

#[test]
fn the_order_of_a_known_set_is_part_of_it() {
    let sorted: Vec<i64> = (0..60).map(|at| at / 20).collect();
    let of = |taken| Decoded::of(raw(images(&sorted), Some(images(&sorted))), taken).unwrap();
    for taken in [Taken::Known, Taken::Whole] {
        assert_eq!(classes(&of(taken).arrays[0]), sorted);
        assert!(of(taken).about.notes.is_empty());
    }
    assert!(classes(&of(Taken::Split(TEST_SHARE)).arrays[0]) != sorted);
}

#[test]
fn a_class_without_a_test_sample_is_told_of() {
    let about = decoded(images(&[0, 1, 2, 0, 1, 2]), Some(images(&[1, 1]))).about;
    assert_eq!(about.notes, ["There are no test samples of class '0' and 1 others."]);
}

#[test]
fn the_identity_is_that_of_the_numbers() {
    let digest = |raw: Raw| Decoded::of(raw, Taken::Split(TEST_SHARE)).unwrap().about.digest;
    let base = || raw(images(&[0, 1, 0, 1]), Some(images(&[0, 1])));
    let named = Raw { notes: vec!["a note".into()], divisor: 1.0, ..base() };
    let renamed = Raw { train: Part { from: "y.csv".into(), ..base().train }, ..base() };
    assert_eq!(digest(base()), digest(named));
    assert_eq!(digest(base()), digest(renamed));
    // The same images under other labels, and other real targets, are another set.
    let relabelled = |labels: &[i64]| part(images(&[0, 1, 0, 1]).inputs, Targets::Numbers(labels.to_vec()));
    assert_ne!(digest(raw(relabelled(&[0, 1, 1, 0]), Some(images(&[0, 1])))), digest(base()));
    let of_values = |last| part(Numbers::Floats(vec![0.5; 4]), Targets::Values { width: 1, values: vec![0.5, last] });
    assert_ne!(digest(raw(of_values(0.5), Some(of_values(0.5)))), digest(raw(of_values(0.25), Some(of_values(0.5)))));
    // Words or numbers, the classes are the same.
    let words = Targets::Words(["a", "b", "a", "b"].map(String::from).to_vec());
    let of_words = part(base().train.inputs, words);
    let test = part(images(&[0, 1]).inputs, Targets::Words(["a", "b"].map(String::from).to_vec()));
    assert_eq!(digest(base()), digest(raw(of_words, Some(test))));
    let others = [
        raw(images(&[0, 1, 1, 0]), Some(images(&[0, 1]))),
        raw(images(&[0, 1, 0, 1]), Some(images(&[1, 0]))),
        raw(images(&[0, 1, 0, 1, 0, 1]), Some(images(&[0, 1]))),
        Raw { shape: vec![1, 2, 1], ..base() },
        Raw { kind: Kind::Features, ..base() },
    ];
    let mut all: Vec<String> = others.into_iter().map(digest).collect();
    all.push(digest(base()));
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 6);
}

#[test]
fn scales_are_means_and_deviations_by_channel() {
    // Two channels of three places, two images.
    let bytes = vec![0, 10, 20, 100, 100, 100, 30, 40, 50, 100, 100, 100];
    let scale = Scale::over(&Numbers::Bytes(bytes.clone()), &[2, 1, 3], Kind::Images, 1.0);
    let deviation = (1750.0f64 / 6.0).sqrt() / 255.0;
    assert!((scale.mean[0] - 25.0 / 255.0).abs() < 1e-15 && (scale.mean[1] - 100.0 / 255.0).abs() < 1e-15);
    assert!((scale.deviation[0] - deviation).abs() < 1e-15, "{} {deviation}", scale.deviation[0]);
    assert_eq!((scale.deviation[1], scale.unit, scale.as_is, scale.range), (1.0, 255.0, 1.0, [0.0, 100.0]));
    // As floats the same, in their own unit.
    let floats = bytes.iter().map(|byte| f32::from(*byte)).collect();
    let scale = Scale::over(&Numbers::Floats(floats), &[2, 1, 3], Kind::Images, 1.0);
    assert!((scale.mean[0] - 25.0).abs() < 1e-12 && (scale.deviation[0] - 255.0 * deviation).abs() < 1e-12);
    assert_eq!((scale.deviation[1], scale.unit), (1.0, 1.0));
    // By column; a column that is all but constant is left as it is.
    let features = vec![1.0, 5.0, 0.1, 3.0, 5.0, 0.1];
    let scale = Scale::over(&Numbers::Floats(features), &[3], Kind::Features, 1.0);
    assert_eq!((scale.mean[0], scale.mean[1]), (2.0, 5.0));
    assert_eq!(scale.deviation, [1.0, 1.0, 1.0]);
}

#[test]
fn values_and_tokens_are_taken_too() {
    let values = |n: usize| Targets::Values { width: 2, values: vec![0.25; 2 * n] };
    let many = decoded(part(Numbers::Bytes(vec![1; 8]), values(4)), Some(part(Numbers::Bytes(vec![1; 2]), values(1))));
    assert_eq!((many.about.target, many.about.sizes), (Target::Values(2), [4, 1]));
    let tokens = part(Numbers::Whole(vec![0, 1, 2, 3, 4, 9]), Targets::Numbers(vec![0, 1, 0]));
    let test = part(Numbers::Whole(vec![11, 1]), Targets::Numbers(vec![1]));
    let of_tokens = Raw { kind: Kind::Tokens, shape: vec![2], ..raw(tokens, Some(test)) };
    let decoded = Decoded::of(of_tokens, Taken::Split(TEST_SHARE)).unwrap();
    // In bytes: 3 · 2 tokens and 3 labels of 8 each; and 4 images of 2 with 2 targets of 4 each.
    assert_eq!(decoded.arrays[0].bytes(), 8 * (6 + 3));
    assert_eq!(many.arrays[0].bytes(), 8 + 4 * 2 * 4);
    let floats = Arrays { inputs: Numbers::Floats(vec![0.5; 6]), targets: Learned::Classes(vec![0; 3]) };
    assert_eq!(floats.bytes(), 4 * 6 + 8 * 3);
    let about = decoded.about;
    assert_eq!((about.tokens, about.input), (Some(12), vec![2]));
}

#[test]
fn classes_by_place_are_as_many_as_the_greatest_label_says() {
    let of = |train: &[i64], test: &[i64]| decoded(by_place(train.to_vec()), Some(by_place(test.to_vec())));
    for (train, test, classes, note) in [
        (&[0, 1, 2, 0][..], &[1, 1][..], 3, None),
        // Of both splits, and whether any has the ones between.
        (&[0, 1], &[7, -100], 8, Some("1 of 4 places are labelled -100, which PyTorch ignores: they count for none.")),
        // There is nothing to tell apart, and that is for others to say.
        (&[-100, 0, -100, 0], &[-100; 2], 1, Some("4 of 6 places are labelled -100")),
    ] {
        let Decoded { about, arrays } = of(train, test);
        assert_eq!(about.target, Target::ClassesByPlace(classes));
        assert_eq!(about.sizes, [train.len() / 2, test.len() / 2]);
        assert_eq!(arrays[0].targets, Learned::ByPlace(train.to_vec()));
        assert_eq!(about.signature().target_shape(), [1, 2]);
        assert!(about.class_names.is_empty() && about.counts.concat().is_empty());
        assert_eq!(about.notes.len(), usize::from(note.is_some()), "{:?}", about.notes);
        assert!(about.notes.concat().contains(note.unwrap_or_default()), "{:?}", about.notes);
    }
    // A share is held out, whole samples of it.
    let labels: Vec<i64> = (0..10).flat_map(|at| [at, at]).collect();
    let Decoded { about, arrays } = decoded(by_place(labels.clone()), None);
    assert_eq!((about.sizes, arrays[0].bytes()), ([8, 2], 8 * 2 + 8 * 2 * 8));
    let mut all = Vec::new();
    for arrays in arrays {
        let Learned::ByPlace(labels) = arrays.targets else { panic!("not by place") };
        assert!(labels.chunks(2).all(|pair| pair[0] == pair[1]));
        all.extend(labels);
    }
    all.sort_unstable();
    assert_eq!(all, labels);
    // Other labels, another set.
    assert_ne!(of(&[0, 1], &[1, 1]).about.digest, of(&[1, 0], &[1, 1]).about.digest);
}

#[test]
fn samples_without_a_class_are_left_out_and_that_is_said() {
    for (train, test, left, notes) in [
        (
            &[0, -100, 1, 0, 1][..],
            &[1, 0][..],
            [4, 2],
            &["1 sample labelled -100, which PyTorch ignores, was left out"][..],
        ),
        (
            &[0, -100, 1, -100, 0, 1],
            &[1, -100],
            [4, 1],
            &["2 samples labelled -100, which PyTorch ignores, were left out of x.npz", "1 sample labelled"],
        ),
        (&[0, 1, 0, 1], &[0, 1], [4, 2], &[]),
    ] {
        let Decoded { about, arrays } = decoded(images(train), Some(images(test)));
        assert_eq!((about.sizes, &about.class_names[..]), (left, &["0", "1"].map(String::from)[..]));
        let found = about.notes.iter().filter(|note| note.contains("-100"));
        assert!(found.clone().count() == notes.len() && found.zip(notes).all(|(found, note)| found.contains(note)));
        // Inputs go with their labels.
        for arrays in &arrays {
            assert!(bytes(arrays).chunks(2).map(|image| i64::from(image[1])).eq(classes(arrays).iter().copied()));
        }
    }
    // Words are names, whatever they say.
    let words = |words: &[&str]| Targets::Words(words.iter().map(|word| (*word).into()).collect());
    let train = part(Numbers::Bytes(vec![0; 8]), words(&["-100", "a", "-100", "a"]));
    assert_eq!(decoded(train, Some(part(Numbers::Bytes(vec![0; 2]), words(&["a"])))).about.sizes, [4, 1]);
}

#[test]
fn what_is_whole_is_one_split_in_its_order() {
    let sorted: Vec<i64> = (0..60).map(|at| at / 20).collect();
    let whole = |raw| Decoded::of(raw, Taken::Whole).unwrap();
    let Decoded { about, arrays } = whole(raw(images(&sorted), None));
    assert_eq!((about.sizes, about.is_split_here, &about.counts), ([60, 0], false, &[vec![20; 3], vec![0; 3]]));
    assert_eq!((classes(&arrays[0]), classes(&arrays[1])), (&sorted[..], &[][..]));
    assert!(bytes(&arrays[0]) == bytes_of(&images(&sorted)) && bytes(&arrays[1]).is_empty() && about.notes.is_empty());
    // The numbers are those that are split elsewhere.
    assert_eq!(about.digest, decoded(images(&sorted), None).about.digest);
    for (train, test, classes, sizes) in [
        // One class, and classes that have no sample, or none to train on.
        (&[0, 0, 0][..], None, 1, [3, 0]),
        (&[5], None, 6, [1, 0]),
        (&[7, 3, 3], None, 8, [3, 0]),
        (&[0, 1], Some(&[2, 0][..]), 3, [2, 2]),
        (&[0, -100, 1], None, 2, [2, 0]),
        // These cannot be outputs.
        (&[-1, 1], None, 2, [2, 0]),
        (&[0, 20_000], None, 2, [2, 0]),
    ] {
        let Decoded { about, arrays } = whole(raw(images(train), test.map(images)));
        assert_eq!((about.target, about.sizes), (Target::Classes(classes), sizes), "{train:?}");
        assert_eq!((about.class_names.len(), arrays[1].bytes() == 0), (classes as usize, test.is_none()));
        if train == [7, 3, 3] {
            assert_eq!((self::classes(&arrays[0]), &about.class_names[7][..]), (train, "7"));
        }
    }
    // A name without a sample; values, places and tokens.
    let names = Some(["a", "b", "c"].map(String::from).to_vec());
    assert_eq!(whole(Raw { class_names: names, ..raw(images(&[2]), None) }).about.counts[0], [0, 0, 1]);
    let values = part(Numbers::Floats(vec![0.5; 6]), Targets::Values { width: 2, values: vec![0.25; 6] });
    let of_values = whole(raw(values, None));
    assert_eq!((of_values.about.sizes, &of_values.arrays[1].targets), ([3, 0], &Learned::Values(Vec::new())));
    let of_places = whole(raw(by_place(vec![0, 3, 1, -100]), None));
    assert_eq!((of_places.about.sizes, of_places.about.target), ([2, 0], Target::ClassesByPlace(4)));
    let tokens = part(Numbers::Whole(vec![0, 1, 2, 3]), Targets::Numbers(vec![0, 1]));
    assert_eq!(whole(Raw { kind: Kind::Tokens, ..raw(tokens, None) }).about.tokens, Some(4));
}
