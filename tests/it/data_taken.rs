//! How data of one's own is taken: with classes by place, by a mean and a deviation that were given, and whole, as what
//! measures takes it. Knows no study's results.

use crate::common::sets::{npy, npz, shades, write_npz};
use crate::common::{Dir, Ran};
use hw1::data::{Access, Data, DataOptions, DataSpec, Dataset as _, Target};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// With nothing of the user's in the environment; what is read is remembered in the test's own folder.
fn run(dir: &Dir, arguments: &[&str]) -> Ran {
    let mut command = dir.command(arguments);
    for variable in ["HW1_DATA_DIR", "XDG_CACHE_HOME"] {
        command.env_remove(variable);
    }
    Ran::new(command.env("HOME", dir.path()).output().unwrap())
}

fn options(text: &str) -> DataOptions {
    DataOptions::read(text.parse().unwrap()).unwrap()
}

fn open(path: &Path, options: DataOptions) -> DataSpec {
    DataSpec::open(path.to_str().unwrap(), [usize::MAX; 2], options, &Access::default()).unwrap()
}

fn loaded(spec: &DataSpec) -> Data {
    Data::load(Arc::new(spec.clone()), &Access::default()).unwrap()
}

fn ints(tensor: &tch::Tensor) -> Vec<i64> {
    tensor.view(-1).try_into().unwrap()
}

#[test]
fn classes_of_each_token_or_pixel_are_read_and_remembered_and_no_network_here_takes_them() {
    let dir = Dir::new();
    let at = |name: &str| dir.path().join(name);
    let whole = |values: &[i64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let (tokens, labels): (Vec<i64>, Vec<i64>) =
        (0..40).map(|at| (at % 9, if at % 5 == 4 { -100 } else { at % 3 })).unzip();
    let [x, y] = [&tokens, &labels].map(|values| npy("<i8", &[10, 4], &whole(values)));
    fs::write(at("tags.npz"), npz(&[("x", x), ("y", y)])).unwrap();
    let (pixels, mask): (Vec<u8>, Vec<u8>) = (0..120u8).map(|at| (2 * at, at % 2)).unzip();
    let [x, y] = [&pixels, &mask].map(|values| npy("|u1", &[6, 4, 5], values));
    fs::write(at("masks.npz"), npz(&[("x", x), ("y", y)])).unwrap();
    for (name, set, text, target, shape) in [
        ("tags.npz", "kind = 'tokens'", "4 tokens of 9, 3 classes at each place", Target::ClassesByPlace(3), &[4][..]),
        ("masks.npz", "", "images 1×4×5, 2 classes at each place", Target::ClassesByPlace(2), &[4, 5]),
    ] {
        let spec = open(&at(name), options(set));
        assert_eq!((spec.signature().target, &spec.signature().target_shape()[..]), (target, shape));
        let data = loaded(&spec);
        assert_eq!(data.train.targets.size()[1..], *shape);
        let kind: &[&str] = if set.is_empty() { &[] } else { &["--set", "data.kind=tokens"] };
        // Read, and remembered.
        let show = || run(&dir, &[&["data", "show", name], kind].concat()).stdout();
        let first = show();
        assert!(first.contains(text) && first == show(), "{first}");
        run(&dir, &[&["random-labels", "--preset", "smoke", "--data", name], kind].concat())
            .fails(2, &[&format!("{name} has classes by place to be learned, and this study learns classes")]);
    }
    let notes = open(&at("tags.npz"), options("kind = 'tokens'")).notes().concat();
    assert!(notes.contains("8 of 40 places are labelled -100"), "{notes}");
}

#[test]
fn a_mean_and_a_deviation_stand_in_the_place_of_the_sets_own() {
    let dir = Dir::new();
    let at = |name: &str| dir.path().join(name);
    let set = shades(40);
    let labels = || npy("|u1", &[40], &set.labels);
    let floats: Vec<u8> = set.images.iter().flat_map(|byte| f32::from(*byte).to_le_bytes()).collect();
    fs::write(at("u.npz"), npz(&[("x", npy("|u1", &[40, 6, 10], &set.images)), ("y", labels())])).unwrap();
    fs::write(at("f.npz"), npz(&[("x", npy("<f4", &[40, 6, 10], &floats)), ("y", labels())])).unwrap();
    let mut identities = Vec::new();
    for (name, unit) in [("u.npz", 255.0), ("f.npz", 1.0)] {
        let spec = open(&at(name), options("mean = [0.5]\nstd = 0.25"));
        let plain = loaded(&open(&at(name), options("normalise = false"))).train.inputs().unwrap() * unit;
        let found = loaded(&spec).train.inputs().unwrap();
        assert!((found - (plain / unit - 0.5) / 0.25).abs().max().double_value(&[]) < 2e-5 * 255.0 / unit);
        let by = spec.normalisation().unwrap();
        assert_eq!((by.unit, by.mean, by.deviation), (unit, vec![0.5], vec![0.25]));
        // What is shown is the image again.
        let input = loaded(&spec).train.input(0).unwrap();
        let own = open(&at(name), DataOptions::default());
        assert_eq!(spec.picture(&input).unwrap(), own.picture(&loaded(&own).train.input(0).unwrap()).unwrap());
        let others = ["", "normalise = false", "mean = 0.5\nstd = 0.5", "mean = 0\nstd = 0.25"];
        identities.extend(others.map(|text| open(&at(name), options(text)).identity()));
        identities.push(spec.identity());
        // One number is as many.
        assert_eq!(spec.identity(), open(&at(name), options("mean = 0.5\nstd = [0.25]")).identity());
    }
    // Normalised by their own, both are the same set, as ever.
    assert!(identities[0] == identities[5] && identities[0].starts_with("arrays ") && !identities[0].contains(" by "));
    identities.sort();
    identities.dedup();
    assert_eq!(identities.len(), 9);
    // Of a set with a name, too; and settings say it.
    let by_hand = ["--set", "data.mean=0.1", "--set", "data.std=[0.2]", "--set", "train_size=64", "--out", "a"];
    let out = [&["random-labels", "--preset", "smoke", "--data", "synthetic", "--quiet"], &by_hand[..]].concat();
    let ran = run(&dir, &out);
    assert_eq!(ran.code(), 0, "{}", ran.stderr());
    let settings = fs::read_to_string(at("a/random-labels/settings.toml")).unwrap();
    assert!(settings.contains("[data]\nmean = 0.1\nstd = 0.2\n"), "{settings}");
    let wrong = ["--set", "data.kind=tokens", "--set", "data.mean=0", "--set", "data.std=1"];
    fs::write(at("t.npz"), npz(&[("x", npy("|u1", &[40, 60], &set.images)), ("y", labels())])).unwrap();
    run(&dir, &[&["data", "show", "t.npz"], &wrong[..]].concat())
        .fails(2, &["data.mean is of measured numbers, and the inputs are tokens"]);
}

#[test]
fn a_source_that_is_taken_whole_is_one_split_in_its_order() {
    let dir = Dir::new();
    let at = |name: &str| dir.path().join(name);
    let mut set = shades(60);
    set.labels.sort_unstable();
    let (x, y) = (npy("|u1", &[60, 6, 10], &set.images), npy("|u1", &[60], &set.labels));
    fs::write(at("one.npz"), npz(&[("x", x), ("y", y)])).unwrap();
    write_npz(&at("two.npz"), [&set, &set]);
    let sorted: Vec<i64> = set.labels.iter().map(|label| i64::from(*label)).collect();
    // One after the other in one process: neither is taken for the other.
    for _ in 0..2 {
        let (split, whole) = (open(&at("one.npz"), options("")), open(&at("one.npz"), options("").whole()));
        assert_eq!((split.sizes(), whole.sizes()), ([48, 12], [60, 0]));
        assert!(!split.is_one_split() && whole.is_one_split() && whole.check().is_ok() && whole.notes().is_empty());
        let data = loaded(&whole);
        assert_eq!((ints(&data.train.targets), data.test.targets.size()), (sorted.clone(), vec![0]));
        assert_eq!(data.test.inputs().unwrap().size(), [0, 1, 6, 10]);
        assert_ne!(ints(&loaded(&split).train.targets), sorted[..48]);
        assert!(whole.identity().ends_with(" in its order train 60 test 0"), "{}", whole.identity());
        assert!(split.identity().ends_with(" share 0.2 train 48 test 12"), "{}", split.identity());
    }
    let path = at("one.npz").to_str().unwrap().to_owned();
    let first = DataSpec::open(&path, [7, 7], options("").whole(), &Access::default()).unwrap();
    assert_eq!((first.sizes(), first.notes()), ([7, 0], vec!["The first 7 of 60 samples were taken.".to_owned()]));
    assert_eq!(ints(&loaded(&first).train.targets), sorted[..7]);
    // Of two splits neither is shuffled.
    let two = open(&at("two.npz"), options("").whole());
    assert!(two.sizes() == [60, 60] && !two.is_one_split() && two.notes().is_empty());
    assert_eq!(ints(&loaded(&two).test.targets), sorted);
    assert!(!open(&at("two.npz"), options("")).notes().is_empty());
    // A set with a name is what it is.
    let [named, whole] = [options(""), options("").whole()]
        .map(|options| DataSpec::open("synthetic", [9, 9], options, &Access::default()).unwrap());
    assert_eq!((named.identity(), named.sizes()), (whole.identity(), whole.sizes()));
}
