//! Data of one's own through the binary: the same samples in whatever form they come, what is told of them, what is
//! refused, and how little reading them a second time takes.

use crate::common::sets::{Set, npy, npz, png, shades, write_cifar, write_csv, write_folder, write_idx, write_npz};
use crate::common::{Dir, Ran};
use hw1::data::digits::{self, Split};
use hw1::data::{Access, DataOptions, DataSpec, Dataset as _};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// With nothing of the user's in the environment; what is read is remembered in the test's own folder.
fn run(dir: &Dir, arguments: &[&str]) -> Ran {
    let mut command = dir.command(arguments);
    for variable in ["HW1_DATA_DIR", "XDG_CACHE_HOME", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(variable);
    }
    command.env("HOME", dir.path()).env("HW1_MIRRORS", "http://mirror.invalid/");
    Ran::new(command.output().unwrap())
}

fn metrics(dir: &Dir, arguments: &[&str]) -> Value {
    let ran = run(dir, &[arguments, &["--json", "--quiet"]].concat());
    assert_eq!(ran.code(), 0, "{arguments:?}: {}", ran.stderr());
    serde_json::from_str(&ran.stdout()).unwrap()
}

/// Series and scalars of every trial.
fn measured(metrics: &Value) -> Vec<[Value; 2]> {
    let of = |trial: &Value| ["series", "scalars"].map(|key| trial[key].clone());
    metrics["trials"].as_array().unwrap().iter().map(of).collect()
}

/// Digits of the built-in set.
fn some(split: Split, count: usize) -> Set {
    let drawn = digits::generate(0, split, count);
    Set { shape: [1, 28, 28], images: drawn.images, labels: drawn.labels }
}

const SMALL: [&str; 10] = [
    "random-labels",
    "--set",
    "corruption=0.0",
    "--epochs",
    "2",
    "--set",
    "learning_rate=1e-2",
    "--model",
    "conv4-conv8-16-classes",
    "--data",
];

#[test]
fn the_same_digits_give_the_same_losses_in_every_form() {
    let dir = Dir::new();
    let (train, test) = (some(Split::Train, 2000), some(Split::Test, 400));
    let sets = [&train, &test];
    let at = |name: &str| dir.path().join(name);
    write_idx(&at("unzipped"), sets, '.');
    write_idx(&at("torch/MNIST/raw"), sets, '-');
    write_npz(&at("digits.npz"), sets);
    write_csv(&at("table"), sets);
    let of = |data: &str, more: &[&str]| {
        let out = format!("from-{data}");
        let metrics = metrics(&dir, &[&SMALL[..], &[data, "--out", &out], more].concat());
        assert_eq!(metrics["settings"]["train_size"], 2000);
        measured(&metrics)
    };
    let expected = of("unzipped", &[]);
    let loss = expected[0][1]["final_train_loss"].as_f64().unwrap();
    assert!(loss > 0.0 && loss < 2.0, "it learns: {loss}");
    assert_eq!(of("torch", &[]), expected);
    assert_eq!(of("digits.npz", &[]), expected);
    assert_eq!(of("table", &["--set", "data.shape=1x28x28"]), expected);
}

#[test]
fn a_folder_of_pictures_and_an_array_in_its_order_give_the_same_losses() {
    let dir = Dir::new();
    // Colour too; all of a class behind each other, as a list of files by class would be.
    let colour = hw1::data::colour_digits::generate(0, Split::Train, 240);
    let colour = Set { shape: [3, 32, 32], images: colour.images, labels: colour.labels };
    for (name, all) in [("grey", some(Split::Train, 300)), ("colour", colour)] {
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by_key(|at| all.labels[*at]);
        let (train, test) = (all.picked(&order), all.picked(&(0..50).collect::<Vec<_>>()));
        write_folder(&dir.path().join(name), [&train, &test]);
        write_npz(&dir.path().join(format!("{name}.npz")), [&train, &test]);
        let of = |data: &str, out: &str| metrics(&dir, &[&SMALL[..], &[data, "--out", out]].concat());
        let folder = of(name, &format!("{name}-1"));
        let array = of(&format!("{name}.npz"), &format!("{name}-2"));
        assert_eq!(measured(&folder), measured(&array));
        for metrics in [&folder, &array] {
            let told = metrics["provenance"]["data"].to_string();
            assert!(told.contains("shuffled once"), "{told}");
        }
    }
}

#[test]
fn every_study_of_classes_takes_drawn_colour_images() {
    let dir = Dir::new();
    let ran = run(&dir, &["all", "--preset", "smoke", "--data", "synthetic-rgb", "--quiet"]);
    assert_eq!(ran.code(), 0, "{}", ran.stderr());
    for study in ["mnist-cnn", "pca-weights", "random-labels", "params-sweep", "interpolate", "sensitivity"] {
        let metrics = dir.json(&format!("runs/smoke/{study}/metrics.json"));
        assert_eq!(metrics["provenance"]["data"]["name"], "synthetic colour digits", "{study}");
        for figure in metrics["figures"].as_array().unwrap() {
            let text = format!("{}{}", figure["title"], figure["caption"]);
            assert!(!text.contains("MNIST"), "{study}: {text}");
        }
    }
    // The report's networks on 3×32×32, with their own numbers of parameters.
    let metrics = dir.json("runs/smoke/mnist-cnn/metrics.json");
    assert_eq!(metrics["settings"]["models"][0], "CNN_1 = conv5-conv15-128-10");
    // 3·9·5 + 5, 5·9·15 + 15, 15·8·8·128 + 128, 1290
    assert_eq!(metrics["trials"][0]["parameters"], 140 + 690 + 123_008 + 1290);
    let metrics = dir.json("runs/smoke/params-sweep/metrics.json");
    assert_eq!(metrics["settings"]["models"][0], "3072-2-1-10");
    // Where the report sees networks level off, on inputs of four times as many numbers.
    assert!(metrics["claims"].to_string().contains("Up to about 39000 parameters"), "{}", metrics["claims"]);
}

#[test]
fn sides_need_not_be_equal_nor_classes_ten() {
    let dir = Dir::new();
    write_npz(&dir.path().join("shades.npz"), [&shades(300), &shades(60)]);
    let metrics = metrics(&dir, &["mnist-cnn", "--preset", "smoke", "--data", "shades.npz", "--epochs", "4"]);
    assert_eq!(metrics["settings"]["models"][1], "CNN_2 = conv16-conv32-128-3");
    // 9·16 + 16, 16·9·32 + 32, 32·1·2·128 + 128, 387
    assert_eq!(metrics["trials"][1]["parameters"], 160 + 4640 + 8320 + 387);
    let accuracy = metrics["trials"][2]["scalars"]["final_test_accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.9, "{accuracy}");
    assert_eq!(metrics["provenance"]["data"]["name"], "shades.npz");
    let figure = metrics["figures"].as_array().unwrap().iter().find(|f| f["name"] == "confusion-cnn_1").unwrap();
    assert!(figure["caption"].as_str().unwrap().contains("by true and predicted class"), "{figure}");
}

#[test]
fn settings_repeat_a_run_on_a_path_from_anywhere() {
    let dir = Dir::new();
    write_npz(&dir.path().join("shades.npz"), [&shades(90), &shades(30)]);
    let arguments = [&SMALL[..9], &["--data", "shades.npz", "--set", "data.normalise=false", "--out", "a"]].concat();
    let first = metrics(&dir, &arguments);
    let settings = dir.path().join("a/random-labels/settings.toml");
    assert!(fs::read_to_string(&settings).unwrap().contains("[data]\nnormalise = false"));
    let elsewhere = Dir::new();
    let mut command =
        elsewhere.command(&["random-labels", "--config", settings.to_str().unwrap(), "--json", "--quiet"]);
    let ran = Ran::new(command.env("HOME", dir.path()).env_remove("XDG_CACHE_HOME").output().unwrap());
    let second: Value = serde_json::from_str(&ran.stdout()).unwrap();
    assert_eq!(first["settings"], second["settings"]);
    assert_eq!(measured(&first), measured(&second));
    // Without normalisation the inputs are others.
    let normalised = metrics(&dir, &[&SMALL[..9], &["--data", "shades.npz", "--out", "b"]].concat());
    assert_ne!(measured(&first), measured(&normalised));
}

#[test]
fn trials_are_known_by_content_not_by_path() {
    let dir = Dir::new();
    let fingerprints = |data: &str, out: &str| -> Vec<Value> {
        let metrics = metrics(&dir, &[&SMALL[..9], &["--data", data, "--out", out]].concat());
        metrics["trials"].as_array().unwrap().iter().map(|trial| trial["fingerprint"].clone()).collect()
    };
    let (train, test) = (shades(90), shades(30));
    write_npz(&dir.path().join("one.npz"), [&train, &test]);
    write_npz(&dir.path().join("other.npz"), [&train, &test]);
    let one = fingerprints("one.npz", "a");
    assert_eq!(one, fingerprints("other.npz", "a"));
    let log = fs::read_to_string(dir.path().join("a/random-labels/log.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 1, "run once: {log}");
    // The same file with another pixel.
    let mut changed = train;
    changed.images[3] ^= 1;
    std::thread::sleep(std::time::Duration::from_millis(20));
    write_npz(&dir.path().join("one.npz"), [&changed, &test]);
    assert_ne!(one, fingerprints("one.npz", "a"));

    // Another pixel again, in a file of the same size and time.
    let path = dir.path().join("one.npz");
    let (time, two) = (fs::metadata(&path).unwrap().modified().unwrap(), fingerprints("one.npz", "a"));
    changed.images[3] ^= 3;
    write_npz(&path, [&changed, &test]);
    fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
    let three = fingerprints("one.npz", "a");
    assert!(three != two && three != one);
}

#[test]
fn what_numbers_are_divided_by_is_part_of_what_they_are() {
    let dir = Dir::new();
    // Whole numbers as bytes, and the same as float32: as they are, the former are divided by 255.
    let set = shades(40);
    let labels = || npy("|u1", &[40], &set.labels);
    let floats: Vec<u8> = set.images.iter().flat_map(|byte| f32::from(*byte).to_le_bytes()).collect();
    fs::write(dir.path().join("u.npz"), npz(&[("x", npy("|u1", &[40, 6, 10], &set.images)), ("y", labels())])).unwrap();
    fs::write(dir.path().join("f.npz"), npz(&[("x", npy("<f4", &[40, 6, 10], &floats)), ("y", labels())])).unwrap();
    let of = |data: &str, normalise: &str| {
        let how = format!("data.normalise={normalise}");
        metrics(&dir, &[&SMALL[..9], &["--data", data, "--set", &how, "--out", "same"]].concat())
    };
    let [u, f] = ["u.npz", "f.npz"].map(|data| of(data, "false"));
    assert_ne!(u["trials"][0]["fingerprint"], f["trials"][0]["fingerprint"]);
    assert_ne!(measured(&u), measured(&f));
    // Normalised they are the same numbers, and one record.
    let [u, f] = ["u.npz", "f.npz"].map(|data| of(data, "true"));
    assert_eq!(u["trials"], f["trials"]);
}

#[test]
fn a_damaged_memory_of_what_was_read_is_not_believed() {
    let dir = Dir::new();
    write_csv(&dir.path().join("table"), [&shades(90), &shades(30)]);
    let of = |out: &str| {
        let arguments = [&SMALL[..9], &["--data", "table", "--set", "data.shape=1x6x10", "--out", out]].concat();
        measured(&metrics(&dir, &arguments))
    };
    let first = of("a");
    let cache = dir.path().join(".cache/hw1/decoded");
    let entry = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    assert!(entry.join("about.json").is_file() && entry.join("arrays").is_file());
    assert_eq!(of("b"), first);
    let arrays = fs::read(entry.join("arrays")).unwrap();
    for (name, bytes) in [
        ("c", [&arrays[..100], &[arrays[100] ^ 1], &arrays[101..]].concat()),
        ("d", arrays[..50].to_vec()),
        ("e", Vec::new()),
    ] {
        fs::write(entry.join("arrays"), bytes).unwrap();
        assert_eq!(of(name), first, "{name}");
        assert!(fs::read(entry.join("arrays")).unwrap() == arrays, "it is whole again");
    }
    fs::write(entry.join("about.json"), "{").unwrap();
    assert_eq!(of("f"), first);
    fs::remove_dir_all(&cache).unwrap();
    // No place to remember anything is no reason to stop.
    fs::write(&cache, "a file in its place").unwrap();
    assert_eq!(of("g"), first);
}

#[test]
fn what_cannot_be_learned_from_is_one_line_with_a_way_out() {
    let dir = Dir::new();
    let at = |name: &str| dir.path().join(name);
    write_npz(&at("good.npz"), [&shades(30), &shades(9)]);
    let good = fs::read(at("good.npz")).unwrap();
    fs::write(at("cut.npz"), &good[..good.len() / 2]).unwrap();
    let labels: Vec<u8> = (0..4i64).flat_map(|label| (label % 2).to_le_bytes()).collect();
    let nan: Vec<u8> = [0.0f32, 1.0, f32::NAN, 0.5, 0.1, 0.2, 0.3, 0.4].iter().flat_map(|x| x.to_le_bytes()).collect();
    fs::write(at("nan.npz"), npz(&[("x", npy("<f4", &[4, 1, 2], &nan)), ("y", npy("<i8", &[4], &labels))])).unwrap();
    fs::write(at("few.npz"), npz(&[("x", npy("|u1", &[5, 1, 2], &[0; 10])), ("y", npy("<i8", &[4], &labels))]))
        .unwrap();
    fs::write(at("many.npz"), npz(&[("x", npy("|u1", &[20, 1, 2], &[0; 40])), ("y", npy("|u1", &[20, 2], &[1; 40]))]))
        .unwrap();
    fs::write(at("ragged.csv"), "label,a,b\n0,1,2\n1,2\n").unwrap();
    fs::write(at("none.csv"), "a,b\n0.5,1\n1,2\n").unwrap();
    fs::create_dir_all(at("empty")).unwrap();
    fs::create_dir_all(at("cifar-10-batches-py")).unwrap();
    fs::write(at("cifar-10-batches-py/data_batch_1"), [0x80, 2]).unwrap();
    for (class, size) in [("a", [1, 4, 4]), ("b", [1, 4, 5])] {
        for split in ["train", "test"] {
            fs::create_dir_all(at("mixed").join(split).join(class)).unwrap();
            let picture = png(size, &vec![9; size.iter().product()]);
            fs::write(at("mixed").join(split).join(class).join(format!("{class}.png")), picture).unwrap();
        }
    }
    fs::create_dir_all(at("broken/train/a")).unwrap();
    fs::create_dir_all(at("broken/train/b")).unwrap();
    fs::write(at("broken/train/a/x.png"), png([1, 4, 4], &[1; 16])).unwrap();
    fs::write(at("broken/train/b/y.png"), &png([1, 4, 4], &[1; 16])[..40]).unwrap();
    for (data, code, words) in [
        ("nowhere", 2, &["nowhere", "synthetic-rgb"][..]),
        ("fashion-mist", 2, &["fashion-mist", "fashion-mnist"]),
        ("empty", 1, &["an empty folder", "train/<class>/*.png"]),
        ("cut.npz", 1, &["cut.npz"]),
        ("nan.npz", 1, &["nan.npz", "1 "]),
        ("few.npz", 1, &["few.npz", "5", "4"]),
        ("many.npz", 2, &["many.npz has values to be learned, and this study learns classes"]),
        ("ragged.csv", 1, &["ragged.csv", "3"]),
        ("none.csv", 1, &["none.csv", "data.label"]),
        ("mixed", 1, &["mixed", "4", "5", "data.size=32x32"]),
        ("broken", 1, &["broken", "y.png"]),
        ("cifar-10-batches-py", 1, &["cifar-10-binary.tar.gz"]),
    ] {
        run(&dir, &["random-labels", "--preset", "smoke", "--data", data]).fails(code, words);
    }
    let good =
        |more: &[&str]| run(&dir, &[&["random-labels", "--preset", "smoke", "--data", "good.npz"], more].concat());
    good(&["--model", "60-8-4"]).fails(2, &["1×6×10 = 60 numbers and is one of 3 classes", "inputs-64-classes"]);
    good(&["--set", "data.shap=1x1x1"]).fails(2, &["there is no setting 'data.shap'", "data.shape"]);
    good(&["--set", "data.kind=pictures"]).fails(2, &["data.kind is 'pictures'"]);
    good(&["--set", "data.shape=8x8"]).fails(2, &["'8x8' is not channels, height and width"]);
    good(&["--set", "train_size=0"]).fails(2, &["train_size is 0; it must be from 1 to 30"]);
    run(&dir, &["random-labels", "--preset", "smoke", "--set", "data.label=x"])
        .fails(2, &["of synthetic only data.normalise"]);
    good(&["--set", "data.mean=0.5"]).fails(2, &["data.mean is given without data.std"]);
    good(&["--set", "data.mean=[0.5, 1]", "--set", "data.std=1"]).fails(2, &["data.mean has 2 numbers"]);
    run(&dir, &["simulate", "--set", "data.label=x"]).fails(2, &["simulate has no setting 'data.label'"]);
}

#[test]
fn a_set_with_a_name_lies_in_its_own_folder_and_nothing_else_is_taken_for_it() {
    let dir = Dir::new();
    let at = |name: &str| dir.path().join(name);
    // Nowhere, and no network.
    run(&dir, &["random-labels", "--data", "fashion-mnist"])
        .fails(1, &["Fashion-MNIST is not on this machine", "hw1 data fetch fashion-mnist", "--data synthetic"]);
    run(&dir, &["data", "path", "cifar-10"]).fails(1, &["CIFAR-10 is not on this machine", "hw1 data fetch cifar-10"]);
    run(&dir, &["data", "path", "synthetic"]).fails(1, &["hw1 draws synthetic digits itself"]);
    // Another set under its names is not of its size.
    write_idx(&at("here"), [&some(Split::Train, 200), &some(Split::Test, 100)], '-');
    let arguments = ["random-labels", "--data", "fashion-mnist", "--data-dir", "here"];
    run(&dir, &arguments).fails(1, &["does not hold Fashion-MNIST", "200 and 100 images of 1×28×28"]);
    fs::create_dir(at("lacking")).unwrap();
    write_cifar(&at("lacking"), [&colour(40), &colour(20)]);
    let ran = run(&dir, &["data", "path", "cifar-10", "--data-dir", "lacking"]);
    ran.fails(1, &["lacking, named by --data-dir, has no data_batch_3.bin", "hw1 data fetch cifar-10"]);
    let listed = run(&dir, &["data", "list"]);
    for name in ["mnist", "fashion-mnist", "kmnist", "cifar-10", "cifar-100", "synthetic", "synthetic-rgb"] {
        assert!(listed.stdout().contains(name), "{}", listed.stdout());
    }
}

fn colour(count: usize) -> Set {
    let drawn = hw1::data::colour_digits::generate(0, Split::Train, count);
    Set { shape: [3, 32, 32], images: drawn.images, labels: drawn.labels }
}

#[test]
fn a_set_is_shown_with_its_counts_and_moments() {
    let dir = Dir::new();
    write_cifar(&dir.path().join("batches"), [&colour(100), &colour(30)]);
    let ran = run(&dir, &["data", "show", "batches"]);
    assert_eq!(ran.code(), 0, "{}", ran.stderr());
    let text = ran.stdout();
    assert!(text.contains("batches: images 3×32×32, 10 classes, 100 to train on, 30 to test on"), "{text}");
    assert!(text.contains("mean by channel in 0…1: ") && text.ends_with("batches.png\n"), "{text}");
    let header = fs::read(dir.path().join("batches.png")).unwrap();
    assert_eq!(&header[1..4], b"PNG");
    // Mean by definition, to the digits shown.
    let images = colour(100).images;
    let red: Vec<f64> = images.chunks(1024).step_by(3).flatten().map(|byte| f64::from(*byte) / 255.0).collect();
    let mean = red.iter().sum::<f64>() / red.len() as f64;
    assert!(text.contains(&format!("in 0…1: {mean:.4}")), "{mean}: {text}");
    // Features have nothing to see.
    fs::write(dir.path().join("iris.csv"), "class,a,b\nx,1,2\ny,2,3\nx,3,4\ny,5,6\nx,4,5\ny,1,1\n").unwrap();
    let ran = run(&dir, &["data", "show", "iris.csv", "--set", "data.test_share=0.4"]);
    assert!(
        ran.stdout().contains("2 features, 2 classes, 4 to train on, 2 to test on"),
        "{}{}",
        ran.stdout(),
        ran.stderr()
    );
    assert!(!Path::new(&dir.path().join("iris.csv.png")).exists());
}

#[test]
fn features_are_learned_by_column() {
    let dir = Dir::new();
    // Three clouds, in units of very different size.
    let mut text = String::from("width,weight,species\n");
    for at in 0..150 {
        let class = at % 3;
        let noise = |by: usize| ((at * by) % 17) as f64 / 17.0;
        text.push_str(&format!(
            "{},{},{}\n",
            class as f64 + noise(5),
            1e4 * (3.0 - class as f64) + 5e3 * noise(7),
            ["a", "b", "c"][class]
        ));
    }
    fs::write(dir.path().join("flowers.csv"), text).unwrap();
    let label = ["--set", "data.label=species"];
    let learned = ["random-labels", "--data", "flowers.csv", "--set", "corruption=0.0", "--model", "inputs-16-classes"];
    let fast = ["--epochs", "60", "--set", "learning_rate=1e-2", "--set", "batch_size=32"];
    let metrics = metrics(&dir, &[&learned[..], &label, &fast].concat());
    assert_eq!((&metrics["settings"]["train_size"], &metrics["settings"]["test_size"]), (&120.into(), &30.into()));
    assert_eq!(metrics["settings"]["model"], "2-16-3");
    let accuracy = metrics["trials"][0]["scalars"]["final_test_accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.9, "{accuracy}");
    let caption = metrics["figures"][0]["caption"].as_str().unwrap();
    assert!(caption.contains("training samples") && !caption.contains("image"), "{caption}");
    // A convolution has nothing to go over.
    run(&dir, &["random-labels", "--data", "flowers.csv", label[0], label[1]])
        .fails(2, &["convolutions need images, and these inputs are none; write it like inputs-64-classes"]);
}

#[test]
fn a_large_picture_is_shown_reduced() {
    let dir = Dir::new();
    // Squares of two by two pixels, cut off at the right and below; a picture may be 96 high.
    let (height, width, n) = (191, 99, 8);
    let square = |image: usize, row: usize, column: usize| ((image * 37 + row * 11 + column * 5) % 256) as u8;
    let pixels: Vec<u8> = (0..n * height * width)
        .map(|at| square(at / (height * width), at / width % height / 2, at % width / 2))
        .collect();
    let labels: Vec<u8> = (0..n as u8).map(|at| at % 2).collect();
    let path = dir.path().join("large.npz");
    let both = |name: &str| [format!("x_{name}"), format!("y_{name}")];
    let arrays = ["train", "test"].map(|name| {
        let [x, y] = both(name);
        [(x, npy("|u1", &[n, height, width], &pixels)), (y, npy("|u1", &[n], &labels))]
    });
    let named: Vec<(&str, Vec<u8>)> =
        arrays.iter().flatten().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    fs::write(&path, npz(&named)).unwrap();
    let spec = DataSpec::open(path.to_str().unwrap(), [99, 99], DataOptions::default(), &Access::default()).unwrap();
    assert_eq!(spec.signature().shown(), Some([96, 50]));
    let [train, _] = spec.load(&Access::default()).unwrap();
    for image in [0, 5] {
        let shown = spec.picture(&train.input(image).unwrap()).unwrap().unwrap();
        let expected: Vec<u8> = (0..96 * 50).map(|at| square(image as usize, at / 50, at % 50)).collect();
        assert!(shown == expected, "image {image}");
    }
}
