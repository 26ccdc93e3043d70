//! `hw1 interpolate` and `hw1 sensitivity` through the binary, in smoke mode on synthetic digits: what
//! they say of networks is recomputed, plainly and in float64, from the weights they save.

use crate::common::Dir;
use hw1::data::{Access, Built, Data, DataSpec};
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

fn metrics(dir: &Dir, arguments: &[&str]) -> Value {
    let ran = dir.succeed(&[arguments, &["--preset", "smoke", "--json"]].concat());
    serde_json::from_str(&ran.stdout()).unwrap()
}

fn trial<'a>(metrics: &'a Value, label: &str) -> &'a Value {
    metrics["trials"].as_array().unwrap().iter().find(|trial| trial["label"] == label).unwrap()
}

fn labels(metrics: &Value) -> Vec<&str> {
    metrics["trials"].as_array().unwrap().iter().map(|trial| trial["label"].as_str().unwrap()).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap_or(f64::NAN)).collect()
}

fn images(metrics: &Value) -> Data {
    let size = |key: &str| metrics["settings"][key].as_u64().unwrap() as usize;
    let (train_size, test_size) = (size("train_size"), size("test_size"));
    let set = DataSpec::of(Built::Synthetic, [train_size, test_size]);
    Data::load(std::sync::Arc::new(set), &Access::default()).unwrap()
}

type Network = BTreeMap<String, Tensor>;

/// A trial's final weights by PyTorch's names, in float64.
fn final_weights(dir: &Dir, study: &str, trial: &Value) -> Network {
    let bytes = std::fs::read(dir.weights(&format!("runs/smoke/{study}"), trial)).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let read = |(name, view): (&str, safetensors::tensor::TensorView)| {
        let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        let tensor = Tensor::from_data_size(view.data(), &shape, Kind::Float).to_kind(Kind::Double);
        Some((name.strip_prefix("final.")?.to_owned(), tensor))
    };
    file.iter().filter_map(read).collect()
}

/// The report's network as a textbook has it: ReLU before pooling, plain tensors.
fn logits(network: &Network, x: &Tensor) -> Tensor {
    let mut h = x.to_kind(Kind::Double).view([-1, 1, 28, 28]);
    for layer in ["conv1", "conv2"] {
        let (weight, bias) = (&network[&format!("{layer}.weight")], &network[&format!("{layer}.bias")]);
        h = h.conv2d(weight, Some(bias), 1, 1, 1, 1).relu().max_pool2d(2, 2, 0, 1, false);
    }
    let h = h.flatten(1, -1).linear(&network["fc1.weight"], Some(&network["fc1.bias"])).relu();
    h.linear(&network["fc2.weight"], Some(&network["fc2.bias"]))
}

fn close(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-4 * expected.abs(), "{what}: {found} against {expected}");
}

// -------------------------------------------------------------------------------- interpolate

#[test]
fn every_point_of_the_line_is_a_plain_evaluation_of_the_saved_weights() {
    let dir = Dir::new();
    let metrics = metrics(&dir, &["interpolate"]);
    assert_eq!(labels(&metrics), ["batch-128", "batch-512", "alphas-1", "alphas-2", "alphas-3"]);
    let line = &metrics["summary"]["interpolation"];
    let alphas = numbers(&line["alpha"]);
    // Six evenly spaced, and 0 and 1 between them.
    let expected = [-0.5, -0.1, 0.0, 0.3, 0.7, 1.0, 1.1, 1.5];
    assert!(alphas.len() == 8 && alphas.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{alphas:?}");
    assert!(alphas.contains(&0.0) && alphas.contains(&1.0), "the solutions themselves: {alphas:?}");

    let of = |label| final_weights(&dir, "interpolate", trial(&metrics, label));
    let (first, second) = (of("batch-128"), of("batch-512"));
    let images = images(&metrics);
    for (at, alpha) in alphas.iter().enumerate() {
        let network: Network =
            first.iter().map(|(name, theta)| (name.clone(), theta * (1.0 - alpha) + &second[name] * *alpha)).collect();
        for (set, samples) in [("train", &images.train), ("test", &images.test)] {
            let log_p = logits(&network, &samples.inputs().unwrap()).log_softmax(-1, Kind::Double);
            let found = numbers(&line[format!("{set}_loss")])[at];
            close(found, log_p.nll_loss(&samples.targets).double_value(&[]), &format!("{set} loss at {alpha}"));
            let right = log_p.argmax(-1, false).eq_tensor(&samples.targets).sum(Kind::Int64).int64_value(&[]);
            let accuracy = numbers(&line[format!("{set}_accuracy")])[at];
            assert!((accuracy * samples.len() as f64 - right as f64).abs() < 1.5, "{set} accuracy at {alpha}");
        }
    }
    // At the ends the trainings' own final values, to the bit.
    for (label, alpha) in [("batch-128", 0.0), ("batch-512", 1.0)] {
        let at = alphas.iter().position(|other| *other == alpha).unwrap();
        for name in ["train_loss", "train_accuracy", "test_loss", "test_accuracy"] {
            let own = trial(&metrics, label)["scalars"][format!("final_{name}")].as_f64();
            assert_eq!(Some(numbers(&line[name])[at]), own, "{name} of {label}");
        }
    }
    let names: Vec<&str> =
        metrics["figures"].as_array().unwrap().iter().map(|figure| figure["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["curves", "interpolation"]);
}

#[test]
fn blocks_resume_and_every_seed_has_its_line() {
    let dir = Dir::new();
    let base = ["interpolate", "--model", "784-8-10", "--repeats", "2"];
    let all = metrics(&dir, &base);
    assert_eq!(all["trials"].as_array().unwrap().len(), 2 * (2 + 3));
    let lines = [&all["summary"]["interpolation"], &all["summary"]["interpolation_further_seeds"][0]];
    assert_eq!((&lines[0]["seed"], &lines[1]["seed"]), (&0.into(), &1.into()));
    assert_ne!(lines[0]["test_loss"], lines[1]["test_loss"]);

    let folder = dir.path().join("runs/smoke/interpolate/trials");
    let before = dir.files("runs/smoke/interpolate/trials");
    let block = trial(&all, "alphas-2")["fingerprint"].as_str().unwrap();
    std::fs::remove_file(folder.join(format!("{block}.json"))).unwrap();
    let again = dir.succeed(&[&base[..], &["--preset", "smoke"]].concat());
    assert!(again.stderr().contains("9 of 10 trials were done before"), "{}", again.stderr());
    assert!(before == dir.files("runs/smoke/interpolate/trials"));

    // Other α build on the same trainings; the size of blocks changes no number.
    let finer = metrics(&dir, &[&base[..], &["--set", "block_size=1"]].concat());
    assert_eq!(finer["summary"], all["summary"]);
    let more = dir.succeed(&[&base[..], &["--preset", "smoke", "--set", "alphas=3"]].concat());
    assert!(more.stderr().contains("4 of 8 trials were done before"), "{}", more.stderr());
}

#[test]
fn a_diverged_solution_leaves_a_line_without_numbers_and_a_note() {
    let dir = Dir::new();
    // The small batches see the second step's loss; of the whole set there is one step, after the loss.
    let wild = ["--set", "batch_sizes=[64, 1280]", "--epochs", "1", "--set", "optimizer=sgd"];
    let wild = [&["interpolate", "--model", "784-8-10", "--set", "learning_rate=1e25"], &wild[..]].concat();
    let found = metrics(&dir, &wild);
    assert_eq!(trial(&found, "batch-64")["scalars"]["diverged"], 1);
    assert_eq!(trial(&found, "batch-1280")["scalars"]["diverged"], 0);
    assert_eq!(found["trials"].as_array().unwrap().len(), 5);
    let line = &found["summary"]["interpolation"];
    assert!(line["test_loss"].as_array().unwrap().iter().filter(|loss| loss.is_null()).count() >= 7, "{line}");
    assert_eq!(line["alpha"].as_array().unwrap().len(), 8);
    let ran = dir.succeed(&[&wild[..], &["--preset", "smoke"]].concat());
    // The large batch's only step is what makes its loss no number, too.
    let note = "2 of 2 trainings diverged, the loss no longer finite: batch-64, seed 0; batch-1280, seed 0.";
    assert!(ran.stdout().contains(note), "{}", ran.stdout());
    dir.succeed(&["verify", "--preset", "smoke"]);
}

// -------------------------------------------------------------------------------- sensitivity

/// One backward pass for a number of `outputs`, by the input: [n, 784].
fn by_input(output: &Tensor, x: &Tensor) -> Tensor {
    Tensor::run_backward(&[output], &[x], true, false).remove(0).flatten(1, -1).to_kind(Kind::Double)
}

#[test]
fn sensitivities_are_autograds_at_the_saved_weights() {
    let dir = Dir::new();
    let metrics = metrics(&dir, &["sensitivity"]);
    assert_eq!(labels(&metrics), ["batch-32", "batch-64", "batch-128", "batch-256", "batch-512"]);
    let test = images(&metrics).test.inputs().unwrap();
    for trial in metrics["trials"].as_array().unwrap() {
        let (label, scalars, series) = (trial["label"].as_str().unwrap(), &trial["scalars"], &trial["series"]);
        for name in
            ["train_loss", "train_accuracy", "test_loss", "test_accuracy", "input_gradient_norm", "jacobian_norm"]
        {
            assert_eq!(series[name].as_array().unwrap().len(), 2, "{name}");
        }
        let network = final_weights(&dir, "sensitivity", trial);
        let batch_size: i64 = label.strip_prefix("batch-").unwrap().parse().unwrap();
        let mut norms = Vec::new();
        for batch in 0..512 / batch_size {
            let x = test.narrow(0, batch * batch_size, batch_size).copy().set_requires_grad(true);
            let logits = logits(&network, &x);
            let loss = logits.log_softmax(-1, Kind::Double).nll_loss(&logits.argmax(-1, false));
            norms.push(by_input(&loss, &x).norm().double_value(&[]));
        }
        let mean = norms.iter().sum::<f64>() / norms.len() as f64;
        close(scalars["final_input_gradient_norm"].as_f64().unwrap(), mean, label);
        assert_eq!(series["input_gradient_norm"][1], scalars["final_input_gradient_norm"]);

        let x = test.copy().set_requires_grad(true);
        let p = logits(&network, &x).softmax(-1, Kind::Double);
        let squares = (0..10).map(|class| {
            by_input(&p.select(1, class).sum(Kind::Double), &x).square().sum_dim_intlist(1, false, Kind::Double)
        });
        let norms = squares.reduce(|a, b| a + b).unwrap().sqrt();
        close(scalars["final_jacobian_norm"].as_f64().unwrap(), norms.mean(Kind::Double).double_value(&[]), label);
        let probe = norms.narrow(0, 0, 100).mean(Kind::Double).double_value(&[]);
        close(series["jacobian_norm"][1].as_f64().unwrap(), probe, label);
    }
    let figures = dir.files("runs/smoke/sensitivity/figures");
    assert_eq!(figures.iter().filter(|(name, _)| name.ends_with(".png")).count(), 5 + 2);
}

#[test]
fn measuring_does_not_touch_the_training() {
    let dir = Dir::new();
    let probed = metrics(&dir, &["sensitivity", "--training", "128 adam 1e-3"]);
    let plain = metrics(
        &dir,
        &["mnist-cnn", "--model", "conv8-conv16-128-10", "--set", "shuffle=true", "--set", "test_size=512"],
    );
    let weights = |study: &str, metrics: &Value| {
        std::fs::read(dir.weights(&format!("runs/smoke/{study}"), &metrics["trials"][0])).unwrap()
    };
    assert!(weights("sensitivity", &probed) == weights("mnist-cnn", &plain), "the same training, to the bit");
    assert_eq!(probed["trials"][0]["series"]["train_loss"], plain["trials"][0]["series"]["train_loss"]);
}

#[test]
fn a_training_that_diverges_is_a_record_and_the_others_go_on() {
    let dir = Dir::new();
    let trainings = r#"trainings=["64 sgd 1e-2", "64 sgd 1e25", "128 adam 0.001"]"#;
    let found = metrics(&dir, &["sensitivity", "--model", "784-8-10", "--set", trainings]);
    assert_eq!(labels(&found), ["batch-64-sgd-1e-2", "batch-64-sgd-1e25", "batch-128"]);
    let wild = trial(&found, "batch-64-sgd-1e25");
    assert_eq!((&wild["scalars"]["diverged"], &wild["scalars"]["epochs_run"]), (&1.into(), &1.into()));
    assert!(wild["scalars"]["final_jacobian_norm"].is_null() && wild["scalars"]["final_input_gradient_norm"].is_null());
    assert!(trial(&found, "batch-128")["scalars"]["final_jacobian_norm"].is_number());
    assert_eq!(found["settings"]["trainings"][2], "128 adam 1e-3");
}

#[test]
fn bad_settings_are_usage_errors() {
    let dir = Dir::new();
    for (arguments, words) in [
        (&["interpolate", "--set", "batch_sizes=[128, 128]"][..], &["batch_sizes are both 128"][..]),
        (&["interpolate", "--set", "batch_sizes=[128]"], &["for 'batch_sizes'; its default is [128, 512]"]),
        (&["interpolate", "--set", "alphas=1"], &["alphas is 1", "from 2"]),
        (&["interpolate", "--set", "alpha_max=-1"], &["alpha_min is 0 and alpha_max -1"]),
        (&["interpolate", "--set", "alpha_max=inf"], &["alpha_max inf"]),
        (&["interpolate", "--set", "block_size=0"], &["block_size is 0"]),
        (&["sensitivity", "--training", "32 adam"], &["trainings: '32 adam': 2 words, not 3", "like 32 adam 1e-3"]),
        (&["sensitivity", "--training", "x adam 1"], &["trainings: 'x adam 1': 'x' is not a batch size"]),
        (&["sensitivity", "--training", "32 lion 1"], &["trainings: '32 lion 1'", "use adam or sgd"]),
        (&["sensitivity", "--training", "32 sgd fast"], &["'fast' is not a learning rate"]),
        (&["sensitivity", "--training", "0 sgd 1e-2"], &["trainings: '0 sgd 1e-2': batch_size is 0"]),
        (&["sensitivity", "--training", "8 sgd 1", "--training", "8 sgd 1.0"], &["'8 sgd 1e0' is given twice"]),
        (&["sensitivity", "--set", "trainings=[]"], &["trainings is empty"]),
        (&["sensitivity", "--set", "trainings=[32]"], &["32", "for 'trainings'"]),
        (&["sensitivity", "--set", "test_size=500"], &["test_size is 500", "full batch of 512"]),
        (&["sensitivity", "--set", "probe_size=0"], &["probe_size is 0"]),
    ] {
        dir.run(arguments).fails(2, words);
    }
}
