//! The studies on digits through the binary, in smoke mode: synthetic digits, no MNIST anywhere.

use crate::common::{Dir, Ran, assert_jobs_change_nothing};
use serde_json::Value;

/// With nothing of the user's MNIST in the environment.
fn run(dir: &Dir, arguments: &[&str]) -> Ran {
    let mut command = dir.command(arguments);
    command.env_remove("HW1_DATA_DIR").env_remove("XDG_CACHE_HOME").env("HOME", dir.path());
    // No test asks the network: a mirror that is refused before anything is sent.
    command.env("HW1_MIRRORS", "http://mirror.invalid/");
    Ran::new(command.output().unwrap())
}

fn metrics(dir: &Dir, arguments: &[&str]) -> Value {
    let ran = run(dir, &[arguments, &["--preset", "smoke", "--json"]].concat());
    assert_eq!(ran.code(), 0, "{}", ran.stderr());
    serde_json::from_str(&ran.stdout()).unwrap()
}

fn column(metrics: &Value, key: &str) -> Vec<Value> {
    metrics["trials"].as_array().unwrap().iter().map(|trial| trial[key].clone()).collect()
}

#[test]
fn mnist_cnn_trains_the_reports_three_networks() {
    let dir = Dir::new();
    let metrics = metrics(&dir, &["mnist-cnn"]);
    assert_eq!(column(&metrics, "label"), ["CNN_1", "CNN_2", "CNN_3"]);
    assert_eq!(column(&metrics, "parameters"), [96_238, 206_922, 856_074]);
    assert_eq!(metrics["provenance"]["data"]["name"], "synthetic digits");
    for trial in metrics["trials"].as_array().unwrap() {
        for series in ["train_loss", "train_accuracy", "test_loss", "test_accuracy"] {
            assert_eq!(trial["series"][series].as_array().unwrap().len(), 2, "{series}");
        }
        let accuracy = trial["scalars"]["final_train_accuracy"].as_f64().unwrap();
        assert!(accuracy > 0.4 && accuracy <= 1.0, "far above chance: {accuracy}");
    }
    let figures = dir.files("runs/smoke/mnist-cnn/figures");
    let names: Vec<&str> =
        figures.iter().map(|(name, _)| name.as_str()).filter(|name| name.ends_with(".png")).collect();
    assert_eq!(names.len(), 2 + 3 * 2, "{names:?}");
    assert!(
        metrics["figures"]
            .as_array()
            .unwrap()
            .iter()
            .all(|figure| { figure["caption"].as_str().unwrap().contains("synthetic digits") })
    );

    // The errors that are kept are the confusion matrix's, the most confident first.
    let (_, record) =
        dir.files("runs/smoke/mnist-cnn/trials").into_iter().find(|(name, _)| name.ends_with(".json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    let confusion: Vec<u64> = serde_json::from_value(record["record"]["confusion"].clone()).unwrap();
    assert_eq!(confusion.iter().sum::<u64>(), 500);
    let right: u64 = (0..10).map(|digit| confusion[digit * 11]).sum();
    assert_eq!(right as f64 / 500.0, record["record"]["scalars"]["final_test_accuracy"].as_f64().unwrap());
    let wrong = record["record"]["misclassified"].as_array().unwrap();
    assert_eq!(wrong.len(), 20);
    for pair in wrong.windows(2) {
        assert!(pair[0]["confidence"].as_f64() >= pair[1]["confidence"].as_f64());
    }
    for digit in wrong {
        assert_ne!(digit["truth"], digit["predicted"]);
        let cell = digit["truth"].as_u64().unwrap() * 10 + digit["predicted"].as_u64().unwrap();
        assert!(confusion[cell as usize] > 0);
        assert_eq!(digit["pixels"].as_array().unwrap().len(), 784);
    }
}

#[test]
fn random_labels_are_memorised_and_their_share_is_a_setting() {
    let dir = Dir::new();
    let small = ["random-labels", "--set", "train_size=64", "--set", "batch_size=16", "--epochs", "60"];
    let random = metrics(&dir, &[&small[..], &["--repeats", "5"]].concat());
    let series = &random["trials"][0]["series"];
    let last = |name: &str| series[name].as_array().unwrap().last().unwrap().as_f64().unwrap();
    assert!(last("train_accuracy") > 0.9, "64 random labels are memorised: {}", last("train_accuracy"));
    assert!(last("test_accuracy") < 0.25 && last("test_loss") > 2.5, "and say nothing of the true ones");
    assert_eq!(random["claims"][0]["verdict"], "supported", "{}", random["claims"][0]);
    let one = metrics(&dir, &small);
    assert_eq!(one["claims"][0]["verdict"], "inconclusive");
    assert!(one["claims"][0]["detail"].as_str().unwrap().contains("One seed decides nothing: try --repeats 5."));

    let half = metrics(&dir, &["random-labels", "--set", "corruption=0.5"]);
    assert_eq!(column(&half, "label"), ["corruption-0.5"]);
    let none = metrics(&dir, &["random-labels", "--set", "corruption=0", "--epochs", "8"]);
    let accuracy = none["trials"][0]["scalars"]["final_test_accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.5, "true labels are learned: {accuracy}");
}

#[test]
fn params_sweep_covers_the_reports_sizes() {
    let dir = Dir::new();
    let metrics = metrics(&dir, &["params-sweep"]);
    let parameters = column(&metrics, "parameters");
    assert_eq!((parameters.len(), &parameters[0], &parameters[10]), (11, &1593.into(), &17_643.into()));
    assert!(metrics["summary"]["spearman_with_parameters"]["final_train_accuracy"].as_f64().unwrap() > 0.5);
}

#[test]
fn the_same_seed_gives_the_same_bytes_whatever_the_number_of_jobs() {
    for study in ["mnist-cnn", "random-labels", "params-sweep", "interpolate", "sensitivity"] {
        assert_jobs_change_nothing(study, metrics);
    }
}

#[test]
fn without_mnist_one_error_names_the_ways_out_before_anything_is_trained() {
    let dir = Dir::new();
    for study in ["mnist-cnn", "random-labels", "params-sweep", "interpolate", "sensitivity"] {
        run(&dir, &[study]).fails(1, &["--data-dir", "hw1 data fetch", "--data synthetic", "mirror.invalid"]);
        assert!(!dir.path().join(format!("runs/report/{study}/log.jsonl")).exists());
    }
    run(&dir, &["mnist-cnn", "--data-dir", "nowhere"]).fails(1, &["nowhere", "train-images-idx3-ubyte"]);
}

#[test]
fn other_data_never_reuses_a_record() {
    let dir = Dir::new();
    let base = ["params-sweep", "--model", "784-4-10"];
    metrics(&dir, &base);
    let fewer = run(&dir, &[&base[..], &["--preset", "smoke", "--set", "train_size=640"]].concat());
    assert!(!fewer.stderr().contains("reused"), "{}", fewer.stderr());
    let same = run(&dir, &[&base[..], &["--preset", "smoke"]].concat());
    assert!(same.stderr().contains("1 of 1 trials were done before"), "{}", same.stderr());
}

#[test]
fn bad_settings_are_usage_errors() {
    let dir = Dir::new();
    for (arguments, words) in [
        (&["mnist-cnn", "--model", "1-20-1"][..], &["1×28×28 = 784 numbers", "inputs-64-classes"][..]),
        (&["mnist-cnn", "--model", "conv8"], &["no linear layer"]),
        (&["mnist-cnn", "--dataset", "cifar"], &["cifar", "mnist", "synthetic"]),
        (&["mnist-cnn", "--set", "batch_size=0"], &["batch_size is 0"]),
        (&["mnist-cnn", "--set", "train_size=0"], &["train_size is 0; it must be from 1 to 60000"]),
        (&["random-labels", "--set", "corruption=1.5"], &["corruption is 1.5", "from 0 to 1"]),
        (&["params-sweep", "--epochs", "0"], &["epochs is 0"]),
    ] {
        run(&dir, arguments).fails(2, words);
    }
}
