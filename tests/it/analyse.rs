//! `hw1 analyse` through the binary: programs that PyTorch exported and our own layers, against PyTorch's numbers and
//! those of the studies; and what it says of files that are none.

use crate::common::sets::{npy, npz, zip};
use crate::common::{Dir, Ran};
use hw1::store::weights::{NamedTensor, Tensors, decode, encode};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

fn networks() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/networks")
}

fn golden(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(networks().join(format!("{name}.json"))).unwrap()).unwrap()
}

fn program(name: &str) -> String {
    networks().join(format!("{name}.pt2")).to_string_lossy().into_owned()
}

/// A tensor of an oracle as a .npy file.
fn array(value: &Value) -> Vec<u8> {
    let shape: Vec<usize> = value["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
    let data = value["data"].as_array().unwrap();
    if value["dtype"] == "int64" {
        let bytes: Vec<u8> = data.iter().flat_map(|n| n.as_i64().unwrap().to_le_bytes()).collect();
        return npy("<i8", &shape, &bytes);
    }
    let bytes: Vec<u8> = data.iter().flat_map(|n| (n.as_f64().unwrap() as f32).to_le_bytes()).collect();
    npy("<f4", &shape, &bytes)
}

/// An oracle's inputs and targets, as a file of one split.
fn write_data(dir: &Dir, golden: &Value) {
    let file = npz(&[("x", array(&golden["x"])), ("y", array(&golden["y"]))]);
    std::fs::write(dir.path().join("data.npz"), file).unwrap();
}

fn analysed(dir: &Dir, arguments: &[&str]) -> Value {
    let ran = dir.succeed(&[&["analyse"], arguments, &["--json"]].concat());
    serde_json::from_str(&ran.stdout()).unwrap()
}

fn trial<'a>(metrics: &'a Value, label: &str) -> &'a Value {
    let trials = metrics["trials"].as_array().unwrap();
    trials.iter().find(|trial| trial["label"] == label).unwrap_or_else(|| panic!("{label} of {trials:?}"))
}

fn scalar(metrics: &Value, label: &str, name: &str) -> f64 {
    trial(metrics, label)["scalars"][name].as_f64().unwrap_or_else(|| panic!("{label} {name}"))
}

fn series(metrics: &Value, label: &str, name: &str) -> Vec<f64> {
    trial(metrics, label)["series"][name].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect()
}

fn near(found: f64, expected: f64, relative: f64) {
    assert!((found - expected).abs() <= relative * expected.abs().max(1e-3), "{found} against {expected}");
}

#[test]
fn a_network_and_a_transformer_have_pytorchs_numbers() {
    for name in ["resnet", "transformer_encoder"] {
        let (dir, golden) = (Dir::new(), golden(name));
        write_data(&dir, &golden);
        let (program, number) = (program(name), |key: &str| golden[key].as_f64().unwrap());
        let common = [program.as_str(), "--data", "data.npz", "--precision", "float64"];
        let sets = ["--set", "eigenvalues=4", "--set", "tolerance=1e-9", "--set", "trace_probes=400"];
        let density = ["--set", "density_probes=6", "--set", "density_steps=30"];
        for (matrix, oracle) in [("hessian", "hessian"), ("ggn", "gauss_newton")] {
            let metrics =
                analysed(&dir, &[&common[..], &sets, &density, &["--matrix", matrix, "--out", matrix]].concat());
            if matrix == "hessian" {
                near(scalar(&metrics, "accuracy", "train_loss"), number("loss"), 1e-9);
                near(scalar(&metrics, "accuracy", "train_accuracy"), number("accuracy"), 1e-9);
                near(scalar(&metrics, "gradient", "gradient_norm"), number("gradient_norm"), 1e-9);
                near(scalar(&metrics, "gradient", "gradient_curvature"), number("curvature_along_gradient"), 1e-9);
                let squares: f64 = series(&metrics, "gradient", "layer_gradient_norms").iter().map(|g| g * g).sum();
                near(squares.sqrt(), number("gradient_norm"), 1e-9);
                // One split.
                assert!(trial(&metrics, "accuracy")["scalars"]["test_loss"].is_null());
            }
            let eigenvalues = golden[oracle]["eigenvalues"].as_array().unwrap();
            let eigenvalues: Vec<f64> = eigenvalues.iter().map(|value| value.as_f64().unwrap()).collect();
            let (n, scale) = (eigenvalues.len(), eigenvalues[eigenvalues.len() - 1]);
            for (rank, found) in series(&metrics, "spectrum", "top_eigenvalues").into_iter().enumerate() {
                assert!((found - eigenvalues[n - 1 - rank]).abs() < 1e-7 * scale, "{name} {matrix}: {found}");
            }
            if matrix == "hessian" {
                for (rank, found) in series(&metrics, "spectrum", "bottom_eigenvalues").into_iter().enumerate() {
                    assert!((found - eigenvalues[rank]).abs() < 1e-7 * scale, "{name}: {found}");
                }
            }
            let trace = golden[oracle]["trace"].as_f64().unwrap();
            // Of a rank below the sketch's the estimate is exact, to rounding.
            let (found, error) =
                (scalar(&metrics, "spectrum", "trace"), scalar(&metrics, "spectrum", "trace_standard_error"));
            assert!(
                (found - trace).abs() < 4.0 * error + 1e-9 * scale,
                "{name} {matrix} of {n}: {found} ± {error}, not {trace}"
            );
            // The density's mean is the trace by n, and so is its second moment that of the squares.
            let (nodes, weights) =
                (series(&metrics, "spectrum", "density_eigenvalues"), series(&metrics, "spectrum", "density_weights"));
            near(weights.iter().sum(), 1.0, 1e-9);
            let moment: f64 = nodes.iter().zip(&weights).map(|(node, weight)| node * node * weight).sum();
            let squares: f64 = eigenvalues.iter().map(|value| value * value).sum::<f64>() / n as f64;
            near(moment, squares, 0.3);
            assert!(
                dir.path().join(format!("{matrix}/analyse-{}/figures/spectrum.png", name.replace('_', "-"))).is_file()
            );
        }
    }
}

#[test]
fn each_layers_own_block_and_several_subsets() {
    let (dir, golden) = (Dir::new(), golden("resnet"));
    write_data(&dir, &golden);
    let program = program("resnet");
    let few = ["--set", "eigenvalues=1", "--set", "trace_probes=3", "--set", "density_probes=0"];
    let base = [program.as_str(), "--data", "data.npz", "--name", "Mein Netz/2", "--precision", "float64"];
    let metrics = analysed(&dir, &[&base[..], &few, &["--by-layer", "--measure", "spectrum,gradient"]].concat());
    let layers = metrics["summary"]["layers"].as_array().unwrap();
    assert_eq!(metrics["trials"].as_array().unwrap().len(), 2 + layers.len());
    let whole = scalar(&metrics, "spectrum", "trace");
    let top = series(&metrics, "spectrum", "top_eigenvalues")[0];
    for layer in layers {
        let label = format!("spectrum-{}", layer.as_str().unwrap());
        // Interlacing: a block's largest eigenvalue is at most the whole's.
        assert!(series(&metrics, &label, "top_eigenvalues")[0] <= top * (1.0 + 1e-6), "{label}");
    }
    assert!(whole.is_finite());
    assert!(dir.path().join("runs/report/analyse-Mein-Netz-2/figures/layers.png").is_file());

    let subsets = ["--samples", "4", "--repeats", "3", "--out", "subsets", "--measure", "accuracy,gradient"];
    let ran = dir.succeed(&[&["analyse"], &base[..], &subsets].concat());
    let row = ran.stdout().lines().find(|line| line.contains("gradient norm")).unwrap().to_owned();
    assert!(row.contains(" to ") && row.contains("4 of 8 training samples"), "{row}");
    let metrics = dir.json("subsets/analyse-Mein-Netz-2/metrics.json");
    let norms: Vec<f64> = metrics["trials"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|trial| trial["scalars"]["gradient_norm"].as_f64())
        .collect();
    assert!(norms.len() == 3 && norms[0] != norms[1] && norms[1] != norms[2], "{norms:?}");

    // What was done is found again, wherever the file is called by another name.
    std::fs::copy(&program, dir.path().join("other.pt2")).unwrap();
    let again = [&["analyse", "other.pt2"], &base[1..], &subsets].concat();
    let ran = dir.succeed(&again);
    assert!(ran.stderr().contains("4 of 4 trials were done before"), "{}", ran.stderr());
    dir.run(&["analyse", &program, "--data", "data.npz", "--repeats", "3"]).fails(2, &["name its size with --samples"]);
}

#[test]
fn weights_that_studies_saved_give_the_numbers_of_the_studies() {
    let dir = Dir::new();
    let ran = dir.succeed(&["mnist-cnn", "--preset", "smoke", "--json"]);
    let study: Value = serde_json::from_str(&ran.stdout()).unwrap();
    let training = &study["trials"][0];
    let weights = dir.weights("runs/smoke/mnist-cnn", training).display().to_string();
    let of = |key: &str| study["settings"][key].as_u64().unwrap().to_string();
    let sizes = [format!("train_size={}", of("train_size")), format!("test_size={}", of("test_size"))];
    let model = study["settings"]["models"].as_array().map_or_else(
        || study["settings"]["model"].as_str().unwrap().to_owned(),
        |models| models[0].as_str().unwrap().rsplit('=').next().unwrap().trim().to_owned(),
    );
    let arguments = [
        "--model",
        &model,
        "--weights",
        &weights,
        "--data",
        "synthetic",
        "--set",
        &sizes[0],
        "--set",
        &sizes[1],
        "--measure",
        "accuracy,sensitivity",
        "--split",
        "test",
    ];
    let metrics = analysed(&dir, &arguments);
    for (ours, theirs) in [
        ("train_loss", "final_train_loss"),
        ("test_loss", "final_test_loss"),
        ("train_accuracy", "final_train_accuracy"),
        ("test_accuracy", "final_test_accuracy"),
    ] {
        near(scalar(&metrics, "accuracy", ours), training["scalars"][theirs].as_f64().unwrap(), 1e-5);
    }
    assert!(scalar(&metrics, "sensitivity", "jacobian_norm") > 0.0);
    let initial = analysed(&dir, &[&arguments[..], &["--which", "initial", "--out", "initial"]].concat());
    assert!(scalar(&initial, "accuracy", "train_loss") > scalar(&metrics, "accuracy", "train_loss"));
    let wrong = [&["analyse"], &arguments[..], &["--which", "snapshot.7"]].concat();
    dir.run(&wrong).fails(2, &["it holds no weights called snapshot.7, but final, initial"]);
}

/// The weights of a program of the goldens, under names that `rename` gives.
fn saved(name: &str, rename: impl Fn(&str) -> String) -> Tensors {
    let program = hw1::model::program::Program::read(&std::fs::read(program(name)).unwrap()).unwrap();
    let (layout, weights) = (program.layout(), program.weights(Kind::Float, tch::Device::Cpu).unwrap());
    let mut tensors = Tensors::new();
    for (slots, flat) in [(&layout.slots, &weights.theta), (&layout.buffers, &weights.buffers)] {
        for slot in slots {
            tensors.insert(rename(&slot.name), NamedTensor::copy_of(&slot.view(flat)).unwrap());
        }
    }
    tensors
}

#[test]
fn weights_are_found_whatever_stands_before_their_names() {
    let (dir, golden) = (Dir::new(), golden("tied"));
    write_data(&dir, &golden);
    let loss = |tensors: &Tensors, out: &str| -> Result<f64, String> {
        std::fs::write(dir.path().join("w.safetensors"), encode(tensors, None).unwrap()).unwrap();
        let program = program("tied");
        let arguments =
            ["analyse", &program, "--weights", "w.safetensors", "--data", "data.npz", "--measure", "accuracy"];
        let ran = dir.run(&[&arguments[..], &["--out", out, "--json"]].concat());
        if ran.code() != 0 {
            assert!(ran.stderr().lines().count() == 1 && ran.code() == 2, "{}", ran.stderr());
            return Err(ran.stderr());
        }
        let metrics: Value = serde_json::from_str(&ran.stdout()).unwrap();
        Ok(scalar(&metrics, "accuracy", "train_loss"))
    };
    let expected = golden["loss"].as_f64().unwrap();
    for (at, prefix) in ["", "module.", "_orig_mod.", "model.", "state_dict.", "module._orig_mod."].iter().enumerate() {
        near(loss(&saved("tied", |name| format!("{prefix}{name}")), &format!("o{at}")).unwrap(), expected, 1e-5);
    }
    // Of hw1's own files those that are asked for.
    near(loss(&saved("tied", |name| format!("final.{name}")), "own").unwrap(), expected, 1e-5);
    // Either name of tied weights; both where they are equal.
    let first = saved("tied", str::to_owned);
    let (tied, other) = ("embed.weight", "head.weight");
    let moved = saved("tied", |name| if name == tied { other.to_owned() } else { name.to_owned() });
    near(loss(&moved, "moved").unwrap(), expected, 1e-5);
    let mut both = first.clone();
    both.insert(other.into(), first[tied].clone());
    near(loss(&both, "both").unwrap(), expected, 1e-5);

    let refused = |change: &dyn Fn(&mut Tensors)| {
        let mut tensors = first.clone();
        change(&mut tensors);
        loss(&tensors, "refused").unwrap_err()
    };
    let shifted = || NamedTensor::copy_of(&(first[tied].tensor().unwrap() + 1.0)).unwrap();
    for (error, words) in [
        (refused(&|all| drop(all.insert(other.into(), shifted()))), "are tied in the model, and differ here"),
        (refused(&|all| drop(all.remove("norm.weight"))), "it has no norm.weight, but "),
        (
            refused(&|all| drop(all.insert("extra".into(), first[tied].clone()))),
            "it has extra, which the model has not",
        ),
        (
            refused(&|all| {
                let turned = first[tied].tensor().unwrap().tr().contiguous();
                all.insert(tied.into(), NamedTensor::copy_of(&turned).unwrap());
            }),
            "embed.weight has shape [4, 24], and the model needs [24, 4]",
        ),
        (
            refused(&|all| {
                let nan = first["norm.weight"].tensor().unwrap() * f64::NAN;
                all.insert("norm.weight".into(), NamedTensor::copy_of(&nan).unwrap());
            }),
            "norm.weight has a value that is no finite number",
        ),
        (
            refused(&|all| {
                let whole = first["norm.weight"].tensor().unwrap().to_kind(Kind::Int64);
                all.insert("norm.weight".into(), NamedTensor::copy_of(&whole).unwrap());
            }),
            "norm.weight holds whole numbers",
        ),
    ] {
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(decode(&encode(&first, None).unwrap()).unwrap().0, first);
    // A layer of another's that is called as hw1's own weights are is no sign of these.
    let mut called = first.clone();
    called.insert("final.weight".into(), first[tied].clone());
    assert!(loss(&called, "called").unwrap_err().contains("it has final.weight, which the model has not"));
}

#[test]
fn binary_labels_values_and_tokens_have_their_losses() {
    let dir = Dir::new();
    // 3-2 by hand, on points with two entries each: z = Wx + b.
    let weights = |path: &str| {
        let mut tensors = Tensors::new();
        let w = Tensor::from_slice(&[1.0f32, -1.0, 0.5, 0.25, 0.5, -2.0]).view([2, 3]);
        tensors.insert("fc1.weight".into(), NamedTensor::copy_of(&w).unwrap());
        tensors.insert("fc1.bias".into(), NamedTensor::copy_of(&Tensor::from_slice(&[0.1f32, -0.2])).unwrap());
        std::fs::write(dir.path().join(path), encode(&tensors, None).unwrap()).unwrap();
        w.to_kind(Kind::Double)
    };
    let w = weights("w.safetensors");
    let x: Vec<f32> = (0..12).map(|i| (i as f32 * 0.7).sin()).collect();
    let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let y = [1.0f32, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0];
    let arrays = [("x", npy("<f4", &[4, 3], &floats(&x))), ("y", npy("<f4", &[4, 2], &floats(&y)))];
    std::fs::write(dir.path().join("d.npz"), npz(&arrays)).unwrap();
    let z = Tensor::from_slice(&x)
        .view([4, 3])
        .to_kind(Kind::Double)
        .linear(&w, Some(&Tensor::from_slice(&[0.1f64, -0.2])));
    let y = Tensor::from_slice(&y).view([4, 2]).to_kind(Kind::Double);
    let base = ["--model", "3-2", "--weights", "w.safetensors", "--data", "d.npz", "--set", "data.normalise=false"];
    let both = |metrics: &Value, name: &str| {
        // hw1 holds some out of what is not split; together they are all.
        let sizes =
            [metrics["settings"]["train_size"].as_f64().unwrap(), metrics["settings"]["test_size"].as_f64().unwrap()];
        let [train, test] = ["train", "test"].map(|split| scalar(metrics, "accuracy", &format!("{split}_{name}")));
        (train * sizes[0] + test * sizes[1]) / 4.0
    };
    let bce = analysed(&dir, &[&base[..], &["--loss", "bce", "--out", "bce"]].concat());
    let expected = z.binary_cross_entropy_with_logits::<Tensor>(&y, None, None, tch::Reduction::Mean).double_value(&[]);
    near(both(&bce, "loss"), expected, 1e-6);
    let right = z.gt(0.0).eq_tensor(&y.gt(0.5)).to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
    near(both(&bce, "accuracy"), right, 1e-6);
    assert!(!dir.path().join("bce/analyse-3-2/metrics.json").metadata().unwrap().is_dir());
    let mse = analysed(&dir, &[&base[..], &["--out", "mse"]].concat());
    near(both(&mse, "loss"), ((&z - &y).square().sum(Kind::Double) / 4.0).double_value(&[]), 1e-6);
    assert!(trial(&mse, "accuracy")["scalars"]["train_accuracy"].is_null());
    dir.run(&[&["analyse"], &base[..], &["--loss", "cross-entropy"]].concat()).fails(2, &["use mse or bce"]);

    // A class a token, of which some do not count.
    let golden = golden("gpt2");
    let mut ignored = golden["y"].clone();
    for at in [0, 5, 7] {
        ignored["data"][at] = (-100).into();
    }
    for (name, y) in [("all", &golden["y"]), ("some", &ignored)] {
        let file = npz(&[("x", array(&golden["x"])), ("y", array(y))]);
        std::fs::write(dir.path().join(format!("{name}.npz")), file).unwrap();
    }
    let program = program("gpt2");
    let of = |data: &str| {
        let metrics =
            analysed(&dir, &[&program, "--data", data, "--measure", "accuracy", "--out", &format!("out-{data}")]);
        scalar(&metrics, "accuracy", "train_loss")
    };
    near(of("all.npz"), golden["loss"].as_f64().unwrap(), 1e-5);
    let outputs: Vec<f64> = golden["outputs"]["data"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect();
    let shape: Vec<i64> = golden["outputs"]["shape"].as_array().unwrap().iter().map(|n| n.as_i64().unwrap()).collect();
    let log_p = Tensor::from_slice(&outputs).view([-1, shape[2]]).log_softmax(-1, Kind::Double);
    let y: Vec<i64> = ignored["data"].as_array().unwrap().iter().map(|n| n.as_i64().unwrap()).collect();
    let picked = y.iter().enumerate().filter(|(_, label)| **label >= 0);
    let picked: Vec<f64> = picked.map(|(at, label)| -log_p.double_value(&[at as i64, *label])).collect();
    near(of("some.npz"), picked.iter().sum::<f64>() / picked.len() as f64, 1e-5);
    let ran = dir.succeed(&["analyse", &program, "--data", "all.npz", "--preset", "smoke", "--set", "samples=2"]);
    assert!(ran.stdout().contains("Sensitivity was left out") && ran.stdout().contains("tokens have none"));
    dir.run(&["analyse", &program, "--data", "all.npz", "--measure", "sensitivity"])
        .fails(2, &["leave it out of --measure"]);
}

#[test]
fn where_libtorch_has_no_second_derivative_the_rest_is_there_and_it_is_said() {
    let (dir, golden) = (Dir::new(), golden("no_second"));
    write_data(&dir, &golden);
    let metrics = analysed(&dir, &[&program("no_second"), "--data", "data.npz"]);
    assert!(scalar(&metrics, "accuracy", "train_loss") > 0.0 && scalar(&metrics, "gradient", "gradient_norm") > 0.0);
    assert!(trial(&metrics, "gradient")["scalars"]["gradient_curvature"].is_null());
    assert_eq!(scalar(&metrics, "spectrum", "has_second_derivatives"), 0.0);
    assert!(scalar(&metrics, "sensitivity", "jacobian_norm") > 0.0);
    let again = dir.succeed(&["analyse", &program("no_second"), "--data", "data.npz"]);
    let said = again.stdout().replace('\n', " ");
    assert!(said.contains("no second derivative of grid_sampler_2d"), "{said}");
    assert!(again.stderr().contains("4 of 4 trials were done before"), "{}", again.stderr());
}

#[test]
fn a_check_says_what_a_program_is() {
    let dir = Dir::new();
    let ran = dir.succeed(&["analyse", "--check", &program("tied")]);
    for words in
        ["104 parameters in ", "takes tokens [n, 6]", "all of which hw1 runs", "head.weight is tied to embed.weight"]
    {
        assert!(ran.stdout().contains(words), "{}", ran.stdout());
    }
    let ran = dir.succeed(&["analyse", &program("fixed"), "--check", "--json"]);
    let found: Value = serde_json::from_str(&ran.stdout()).unwrap();
    assert_eq!((&found["parameters"], &found["input"]), (&101.into(), &"[4, 6]".into()));
    assert!(dir.succeed(&["analyse", &program("fixed"), "--check"]).stdout().contains("runs in batches of 4 alone"));
}

fn refused(ran: &Ran, words: &str) {
    let error = ran.stderr();
    assert!(ran.code() == 2 && error.lines().count() == 1 && error.contains(words), "{words}: {} {error}", ran.code());
}

#[test]
fn what_is_no_program_is_refused_in_a_line() {
    let dir = Dir::new();
    let whole = std::fs::read(program("resnet")).unwrap();
    let find = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).position(|window| window == word).unwrap();
    let mut flipped = whole.clone();
    let at = find(&whole, b"graph_module");
    flipped[at] ^= 1;
    let member = |name: &str, bytes: &[u8]| zip(&[(name, bytes)]);
    for (name, bytes, words) in [
        ("empty.pt2", Vec::new(), "it is empty"),
        ("half.pt2", whole[..whole.len() / 2].to_vec(), "it is truncated"),
        ("flipped.pt2", flipped, "is damaged"),
        ("text.pt2", b"hello".to_vec(), "it is no .pt2 file"),
        ("pickle.pth", vec![0x80, 2, b'}'], "convert it by python -c"),
        ("zip.pt2", member("a/b.txt", b""), "none of torch.export.save"),
        ("script.pt", member("m/constants.pkl", b""), "it is TorchScript"),
        ("weights.pth", member("archive/data.pkl", b""), "has weights without a model: convert it"),
        ("old.pt2", member("serialized_exported_program.json", b"{}"), "PyTorch 2.7 or older"),
        ("other.pt2", member("m/models/net.json", b"{}"), "it holds no model called model, but net"),
        (
            "major.pt2",
            member("m/models/model.json", br#"{"schema_version": {"major": 9, "minor": 1}}"#),
            "schema version 9.1, and 8 is read",
        ),
        ("json.pt2", member("m/models/model.json", b"{"), "no JSON of torch.export's"),
    ] {
        std::fs::write(dir.path().join(name), bytes).unwrap();
        refused(&dir.run(&["analyse", name, "--data", "synthetic"]), words);
        refused(&dir.run(&["analyse", "--check", name]), words);
    }
    refused(&dir.run(&["analyse", "missing.pt2"]), "cannot read");
    refused(&dir.run(&["analyse"]), "no model: name a .pt2 file");
    refused(&dir.run(&["analyse", "--check", &program("custom")]), "hw1_goldens.twice");
    refused(&dir.run(&["analyse", "conv8-10", "--data", "synthetic"]), "has no weights of its own");
    refused(
        &dir.run(&["analyse", &program("resnet"), "--data", "synthetic"]),
        "takes inputs [n, 3, 8, 8], and the data has [n, 1, 28, 28]",
    );
    refused(&dir.run(&["analyse", &program("gpt2"), "--data", "synthetic"]), "takes tokens");
    refused(&dir.run(&["analyse", &program("resnet"), "--set", "output=1"]), "output is 1");
    std::fs::write(dir.path().join("w.pth"), [0x80, 2]).unwrap();
    refused(
        &dir.run(&["analyse", &program("resnet"), "--weights", "w.pth", "--data", "synthetic-rgb"]),
        "takes inputs",
    );

    // What is asked for and says nothing.
    let which = ["analyse", &program("resnet"), "--data", "synthetic-rgb", "--which", "initial"];
    refused(&dir.run(&which), "no weights file of hw1's own is named: leave --which away");
    write_data(&dir, &golden("masked"));
    let of = |more: &[&str]| dir.run(&[&["analyse", &program("masked"), "--data", "data.npz"], more].concat());
    refused(&of(&["--set", "gradient_batch=9"]), "sensitivity is over 8 samples: lower it");
    refused(&of(&["--batch-norm", "batch"]), "say how many samples one has with --set block_size");
    let both = ["--batch-norm", "batch", "--set", "block_size=8", "--measure", "sensitivity"];
    refused(&of(&both), "with batch statistics inputs touch each other");
    // Outputs that are not one for each input.
    write_data(&dir, &golden("folded"));
    let ran = dir.run(&["analyse", &program("folded"), "--data", "data.npz", "--measure", "accuracy"]);
    assert!(ran.code() == 1 && ran.stderr().contains("the first dimension is to be the batch"), "{}", ran.stderr());

    // A label beyond the outputs is named where it is met, and nothing is kept of it.
    let mut golden = golden("kan");
    golden["y"]["data"][3] = 7.into();
    write_data(&dir, &golden);
    let ran = dir.run(&["analyse", &program("kan"), "--data", "data.npz", "--measure", "accuracy"]);
    assert!(ran.code() == 1 && ran.stderr().contains("label 7, and the model has 5 outputs"), "{}", ran.stderr());
}
