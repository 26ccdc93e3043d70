//! `hw1 pca-weights`, `interpolate` and `sensitivity` with `--preset canonical` through the binary, tiny, on synthetic
//! digits: what they say of losses is recomputed, plainly and in float64, from the weights they save.

use crate::common::Dir;
use hw1::data::{Access, Built, DataSpec, Dataset as _, Samples};
use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

const TINY: [&str; 10] = [
    "--preset",
    "canonical",
    "--dataset",
    "synthetic",
    "--model",
    "784-6-10",
    "--set",
    "train_size=400",
    "--set",
    "test_size=100",
];

/// A study's name, then the settings that differ from [`TINY`].
fn metrics(dir: &Dir, arguments: &[&str]) -> Value {
    let ran = dir.succeed(&[&arguments[..1], &TINY, &arguments[1..], &["--json"]].concat());
    serde_json::from_str(&ran.stdout()).unwrap()
}

fn trial<'a>(metrics: &'a Value, label: &str, seed: u64) -> &'a Value {
    let is_it = |trial: &&Value| trial["label"] == label && trial["seed"] == seed;
    metrics["trials"].as_array().unwrap().iter().find(is_it).unwrap_or_else(|| panic!("no {label}, seed {seed}"))
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap_or(f64::NAN)).collect()
}

fn scalar(trial: &Value, name: &str) -> f64 {
    trial["scalars"][name].as_f64().unwrap()
}

fn close(found: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((found - expected).abs() <= tolerance * expected.abs().max(1e-3), "{what}: {found} against {expected}");
}

fn train_images() -> Samples {
    let spec = DataSpec::of(Built::Synthetic, [400, 100]);
    let [train, _] = spec.load(&Access::default()).unwrap();
    train
}

/// Everything a trial saved: θ of 784-6-10 by prefix, flat, in float64.
fn weights(dir: &Dir, study: &str, trial: &Value) -> BTreeMap<String, Tensor> {
    let bytes = std::fs::read(dir.weights(&format!("runs/canonical/{study}"), trial)).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let prefixes = file.names().into_iter().filter_map(|name| name.strip_suffix(".fc1.weight").map(str::to_owned));
    let slice = |prefix: &str, name: &str| {
        let view = file.tensor(&format!("{prefix}.{name}")).unwrap();
        let length = view.shape().iter().product::<usize>() as i64;
        Tensor::from_data_size(view.data(), &[length], Kind::Float).to_kind(Kind::Double)
    };
    let whole = |prefix: String| {
        let slices: Vec<Tensor> =
            ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"].iter().map(|name| slice(&prefix, name)).collect();
        (prefix, Tensor::cat(&slices, 0))
    };
    prefixes.map(whole).collect()
}

/// The mean cross entropy, as a textbook has it.
fn loss(theta: &Tensor, samples: &Samples) -> Tensor {
    let slice = |start, shape: &[i64]| theta.narrow(0, start, shape.iter().product()).view(shape);
    let (w1, b1) = (slice(0, &[6, 784]), slice(4704, &[6]));
    let (w2, b2) = (slice(4710, &[10, 6]), slice(4770, &[10]));
    let h = samples.inputs().unwrap().flatten(1, -1).to_kind(Kind::Double).linear(&w1, Some(&b1)).relu();
    h.linear(&w2, Some(&b2)).log_softmax(-1, Kind::Double).nll_loss(&samples.targets)
}

fn number(tensor: &Tensor) -> f64 {
    tensor.double_value(&[])
}

// -------------------------------------------------------------------------------- pca-weights

const PCA: [&str; 15] = [
    "pca-weights",
    "--epochs",
    "4",
    "--trainings",
    "2",
    "--set",
    "snapshot_every=2",
    "--set",
    "grid=5",
    "--set",
    "block_size=8",
    "--set",
    "surface_size=300",
    "--set",
    "batch_size=50",
];

#[test]
fn a_surface_is_the_loss_over_the_plane_of_its_path() {
    let dir = Dir::new();
    let metrics = metrics(&dir, &PCA);
    let labels: Vec<&str> =
        metrics["trials"].as_array().unwrap().iter().map(|trial| trial["label"].as_str().unwrap()).collect();
    let blocks = |k| (1..=4).map(move |block| format!("surface-{k}-{block}"));
    let expected = ["training-1", "training-2", "pca", "plane-1", "plane-2"].map(str::to_owned);
    assert_eq!(labels, expected.into_iter().chain(blocks(1)).chain(blocks(2)).collect::<Vec<_>>());
    let samples = train_images().first(300);

    for (index, surface) in metrics["summary"]["surfaces"].as_array().unwrap().iter().enumerate() {
        let seed = index as u64;
        let path = weights(&dir, "pca-weights", trial(&metrics, &format!("training-{}", index + 1), seed));
        let plane = trial(&metrics, &format!("plane-{}", index + 1), seed);
        let sides = weights(&dir, "pca-weights", plane);
        assert_eq!(numbers(&surface["path"]["epoch"]), [0.0, 1.0, 3.0, 4.0]);
        let rows = ["initial", "snapshot.1", "snapshot.3", "final"].map(|prefix| &path[prefix]);
        let [x, y] = ["x", "y"].map(|axis| numbers(&surface[axis]));
        let units = [&sides["side_1"] / (x[4] - x[0]), &sides["side_2"] / (y[4] - y[0])];
        close(number(&units[0].norm()), 1.0, 1e-4, "a direction's length");
        close(number(&units[0].dot(&units[1])), 0.0, 1.0, "an angle");

        // The path's coordinates and distances, and the loss at it and at its projection.
        let series = |name: &str| numbers(&plane["series"][name]);
        for (at, row) in rows.iter().enumerate() {
            let off = *row - &path["final"];
            let [a, b] = [0, 1].map(|i| number(&off.dot(&units[i])));
            close(series("component_1")[at], a, 1e-3, "component 1");
            close(series("component_2")[at], b, 1e-3, "component 2");
            let distance = number(&(&off - &units[0] * a - &units[1] * b).norm());
            close(series("distance_from_plane")[at], distance, 1e-3, "distance");
            close(series("distance_from_final")[at], number(&off.norm()), 1e-5, "distance from the end");
            close(series("train_loss")[at], number(&loss(row, &samples)), 1e-4, "loss");
            let projected = &path["final"] + &units[0] * a + &units[1] * b;
            close(series("projected_train_loss")[at], number(&loss(&projected, &samples)), 1e-3, "projected");
        }
        assert_eq!(series("distance_from_plane")[3], 0.0);
        assert_eq!(series("train_loss")[3], series("projected_train_loss")[3]);
        // No direction explains more of the path than the first, and no other than the second beside it.
        let variance = |direction: &Tensor| {
            let scores = Tensor::stack(&rows.map(|row| row.dot(direction)), 0);
            number(&scores.var(false))
        };
        assert!(variance(&units[0]) >= variance(&units[1]));
        for (a, b) in [(0.8, 0.6), (0.999, 0.0447)] {
            assert!(variance(&units[0]) > variance(&(&units[0] * a + &units[1] * b)));
        }

        // The surface, row by row: y outside, x inside.
        let found = numbers(&surface["train_loss"]);
        assert_eq!((found.len(), x.len(), y.len()), (25, 5, 5));
        for (node, found) in found.iter().enumerate() {
            let place = &path["final"] + &units[0] * x[node % 5] + &units[1] * y[node / 5];
            close(*found, number(&loss(&place, &samples)), 2e-3, &format!("node {node}"));
        }
    }
    let names: Vec<&str> =
        metrics["figures"].as_array().unwrap().iter().map(|figure| figure["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["surface", "plane", "paths", "curves"]);
    let claims = metrics["claims"].as_array().unwrap();
    assert_eq!(claims.len(), 4);
    assert!(claims.iter().all(|claim| claim["detail"].as_str().unwrap().contains("of 2 trainings")));
}

#[test]
fn blocks_of_a_surface_resume_and_their_size_and_workers_change_nothing() {
    let dir = Dir::new();
    let all = metrics(&dir, &PCA);
    let before = dir.files("runs/canonical/pca-weights/trials");
    let block = trial(&all, "surface-2-3", 1)["fingerprint"].as_str().unwrap();
    std::fs::remove_file(dir.path().join(format!("runs/canonical/pca-weights/trials/{block}.json"))).unwrap();
    let again = dir.succeed(&[&PCA[..], &TINY, &["--jobs", "2"]].concat());
    assert!(again.stderr().contains("12 of 13 trials were done before"), "{}", again.stderr());
    assert!(before == dir.files("runs/canonical/pca-weights/trials"));
    let finer = metrics(&dir, &[&PCA[..], &["--set", "block_size=3"]].concat());
    assert_eq!(finer["summary"], all["summary"]);
    // Without a surface nothing of it is left.
    let plain = metrics(&dir, &[&PCA[..], &["--set", "grid=0"]].concat());
    assert_eq!(plain["trials"].as_array().unwrap().len(), 3);
    assert!(plain["summary"]["surfaces"].is_null());
}

// -------------------------------------------------------------------------------- interpolate

const INTERPOLATE: [&str; 23] = [
    "interpolate",
    "--epochs",
    "2",
    "--repeats",
    "2",
    "--set",
    "batch_sizes=[40, 200]",
    "--set",
    "alphas=7",
    "--set",
    "probe_size=150",
    "--set",
    "directions=2",
    "--set",
    "slice_points=11",
    "--set",
    "eigenvalues=3",
    "--set",
    "density_steps=10",
    "--set",
    "sharpness_starts=2",
    "--set",
    "sharpness_steps=8",
];

#[test]
fn what_is_around_the_solutions_is_measured_at_their_weights() {
    let dir = Dir::new();
    let metrics = metrics(&dir, &INTERPOLATE);
    // For each seed two trainings, two blocks of α, and for each solution two ε, slices and a spectrum.
    assert_eq!(metrics["trials"].as_array().unwrap().len(), 2 * (2 + 2 + 2 * 4));
    let samples = train_images().first(150);
    for seed in [0, 1] {
        for (batch_size, epochs) in [(40, 2.0), (200, 12.0)] {
            let training = trial(&metrics, &format!("batch-{batch_size}"), seed);
            assert_eq!(scalar(training, "epochs_run"), epochs);
            let theta = weights(&dir, "interpolate", training)["final"].copy().set_requires_grad(true);
            let at_theta = loss(&theta, &samples);
            let gradient = Tensor::run_backward(&[&at_theta], &[&theta], false, false).remove(0);
            let theta = theta.detach();
            for epsilon in [1e-3, 5e-4] {
                let found = trial(&metrics, &format!("sharpness-{batch_size}-{epsilon:e}"), seed);
                close(scalar(found, "train_loss"), number(&at_theta), 1e-4, "loss");
                let by_start = numbers(&found["series"]["sharpness_by_start"]);
                assert_eq!(by_start.len(), 2);
                assert_eq!(by_start.iter().copied().fold(f64::NAN, f64::max), scalar(found, "sharpness"));
                // The box's corner uphill is one of the points that the first start tries, and the loss is
                // nearly linear in so small a box.
                let corner = &theta + (theta.abs() + 1.0) * epsilon * gradient.sign();
                let rise = number(&(loss(&corner, &samples) - &at_theta)) * 100.0 / (1.0 + number(&at_theta));
                let best = scalar(found, "sharpness");
                assert!(best > rise * (1.0 - 1e-3) && best < rise * 1.2, "{best} against {rise}");
            }
            let slices = trial(&metrics, &format!("slices-{batch_size}"), seed);
            let steps = numbers(&slices["series"]["step"]);
            assert_eq!((steps.len(), steps[0], steps[5], steps[10]), (11, -1.0, 0.0, 1.0));
            let [one, two] = ["slice_1", "slice_2"].map(|name| numbers(&slices["series"][name]));
            assert!(one[5] == two[5] && one[0] != two[0]);
            close(one[5], number(&at_theta), 1e-4, "the middle of a slice");

            // The largest eigenvalue by power iteration with autograd.
            let spectrum = trial(&metrics, &format!("spectrum-{batch_size}"), seed);
            let top = numbers(&spectrum["series"]["top_eigenvalues"]);
            assert!(top.len() == 3 && top.is_sorted_by(|a, b| a >= b), "{top:?}");
            let leaf = theta.copy().set_requires_grad(true);
            let gradient = Tensor::run_backward(&[loss(&leaf, &samples)], &[&leaf], true, true).remove(0);
            let times = |v: &Tensor| Tensor::run_backward(&[gradient.dot(v)], &[&leaf], true, false).remove(0);
            let mut v = &theta / theta.norm();
            for _ in 0..300 {
                let product = times(&v);
                v = &product / product.norm();
            }
            close(top[0], number(&v.dot(&times(&v))), 5e-3, "the largest eigenvalue");
            close(numbers(&spectrum["series"]["weight"]).iter().sum(), 1.0, 1e-9, "the density's mass");
        }
    }
    let claims: Vec<&str> =
        metrics["claims"].as_array().unwrap().iter().map(|claim| claim["id"].as_str().unwrap()).collect();
    let expected = [
        "both-train-well",
        "move-together",
        "barrier",
        "small-batch-flatter",
        "sharpness-generalization",
        "slices-flatter",
        "outliers-classes",
    ];
    assert_eq!(claims, expected.map(|id| format!("interpolate-{id}")));
    let figures = dir.files("runs/canonical/interpolate/figures");
    assert_eq!(figures.iter().filter(|(name, _)| name.ends_with(".png")).count(), 5);
    // A sharpness that is lost is found again, to the byte, from its solution alone.
    let before = dir.files("runs/canonical/interpolate/trials");
    let lost = trial(&metrics, "sharpness-200-1e-3", 1)["fingerprint"].as_str().unwrap();
    std::fs::remove_file(dir.path().join(format!("runs/canonical/interpolate/trials/{lost}.json"))).unwrap();
    let again = dir.succeed(&[&INTERPOLATE[..], &TINY].concat());
    assert!(again.stderr().contains("23 of 24 trials were done before"), "{}", again.stderr());
    assert!(before == dir.files("runs/canonical/interpolate/trials"));
}

#[test]
fn nothing_is_said_of_what_is_around_a_diverged_solution() {
    let dir = Dir::new();
    let wild = ["--set", "optimizer=sgd", "--set", "learning_rate=1e25", "--repeats", "1"];
    let metrics = metrics(&dir, &[&INTERPOLATE[..3], &INTERPOLATE[5..], &wild].concat());
    assert_eq!(scalar(trial(&metrics, "batch-40", 0), "diverged"), 1.0);
    assert!(trial(&metrics, "sharpness-40-1e-3", 0)["scalars"]["sharpness"].is_null());
    assert_eq!(trial(&metrics, "spectrum-40", 0)["series"]["top_eigenvalues"], serde_json::json!([]));
    assert!(metrics["claims"].as_array().unwrap().iter().all(|claim| claim["verdict"] != "supported"));
}

// -------------------------------------------------------------------------------- sensitivity

#[test]
fn one_optimizer_is_judged_by_the_jacobian_and_the_gap() {
    let dir = Dir::new();
    let recipes = ["--training", "32 adam 1e-3", "--training", "64 adam 1e-3", "--training", "128 adam 1e-3"];
    let few =
        ["--epochs", "2", "--repeats", "2", "--set", "fitted=0", "--set", "test_size=512", "--set", "probe_size=50"];
    let metrics = metrics(&dir, &[&["sensitivity"], &few[..], &recipes].concat());
    let trials = metrics["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 2 * 3);
    let claims = metrics["claims"].as_array().unwrap();
    let claim = |id: &str| claims.iter().find(|claim| claim["id"] == id).unwrap();
    let of_seed = |seed: u64| trials.iter().filter(move |trial| trial["seed"] == seed);
    let ratio = |trial: &Value| {
        let norms = numbers(&trial["series"]["jacobian_norm"]);
        norms[0].max(norms[1]) / norms[0].min(norms[1])
    };
    // One number a seed: the worst of its trainings.
    let worst = [0, 1].map(|seed| of_seed(seed).map(ratio).fold(0.0, f64::max));
    assert_eq!(numbers(&claim("sensitivity-constant")["evidence"]["worst"]), worst);
    assert!(claim("sensitivity-constant")["detail"].as_str().unwrap().contains("Fewer than 10 epochs tell nothing."));
    let order = |pairs: Vec<(f64, f64)>| hw1::analysis::statistics::spearman(&pairs).unwrap();
    let correlations = [0, 1].map(|seed| {
        let gap = |trial: &Value| scalar(trial, "final_test_loss") - scalar(trial, "final_train_loss");
        order(of_seed(seed).map(|trial| (scalar(trial, "final_jacobian_norm"), gap(trial))).collect())
    });
    let values = claim("sensitivity-generalization-gap")["evidence"]["values"].as_object().unwrap();
    assert_eq!(numbers(values.values().next().unwrap()), correlations);
    assert!(claims.iter().any(|claim| claim["id"] == "sensitivity-falls-with-batch-size"));
    assert!(claims.iter().all(|claim| claim["verdict"] == "inconclusive"));
    assert!(dir.path().join("runs/canonical/sensitivity/figures/gap.png").is_file());
}

#[test]
fn trainings_end_where_they_have_fitted_their_labels() {
    let dir = Dir::new();
    let recipes = [
        "16 adam 1e-2 784-20-10",
        "64 adam 1e-2 784-20-10",
        "16 adam 1e-2 784-20-10 random-labels",
        "64 adam 1e-2 784-20-10 random-labels",
        "16 sgd 1e-6",
    ];
    let recipes: Vec<&str> = recipes.iter().flat_map(|recipe| ["--training", *recipe]).collect();
    let small = ["--set", "train_size=40", "--set", "probe_size=10", "--repeats", "2", "--epochs", "80"];
    let metrics = metrics(&dir, &[&["sensitivity"], &recipes[..], &small].concat());
    let trials = metrics["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 10);
    let mut left_out = 0;
    for trial in trials {
        let epochs = scalar(trial, "epochs_run");
        for name in ["train_loss", "test_loss", "jacobian_norm", "input_gradient_norm"] {
            assert_eq!(numbers(&trial["series"][name]).len() as f64, epochs, "{}", trial["label"]);
        }
        let fitted = scalar(trial, "final_train_accuracy") == 1.0;
        assert!(fitted || epochs == 80.0, "{}: {epochs}", trial["label"]);
        assert!(epochs < 80.0 || trial["label"].as_str().unwrap().contains("sgd"), "{}", trial["label"]);
        left_out += usize::from(!fitted);
    }
    assert_eq!(left_out, 2, "what does not learn is left out");
    let notes = metrics["table"]["notes"].to_string();
    assert!(notes.contains("8 of 10 trainings got 100 % of their labels right within 80 epochs"), "{notes}");
    assert!(notes.contains("all those of 1 of 5 configurations"), "{notes}");
    let claims = metrics["claims"].as_array().unwrap();
    let ids: Vec<&str> = claims.iter().map(|claim| claim["id"].as_str().unwrap()).collect();
    let expected = ["generalization-gap", "generalization-gap-true-labels", "random-labels", "rises-with-batch-size"];
    assert_eq!(ids, expected.map(|id| format!("sensitivity-{id}")));
    assert!(claims.iter().all(|claim| claim["evidence"]["protocol"].as_str().unwrap().contains("Novak et al. 2018")));
    assert_eq!(claims[0]["evidence"]["pairs"].as_array().unwrap().len(), 4);
    // The same seed starts from the same weights and draws other labels only.
    let trial_of = |label: &str| trial(&metrics, label, 1);
    let (plain, random) =
        (trial_of("batch-16-adam-1e-2-784-20-10"), trial_of("batch-16-adam-1e-2-784-20-10-random-labels"));
    assert!(scalar(plain, "final_test_accuracy") > scalar(random, "final_test_accuracy"));
    assert_eq!(metrics["figures"].as_array().unwrap().len(), 1);
}

#[test]
fn bad_settings_are_usage_errors() {
    let dir = Dir::new();
    for (arguments, words) in [
        (&["pca-weights", "--set", "grid=1"][..], &["grid is 1", "from 2 to 301", "0 for no surface"][..]),
        (&["pca-weights", "--set", "grid=302"], &["grid is 302"]),
        (&["pca-weights", "--set", "block_size=0"], &["block_size is 0"]),
        (&["pca-weights", "--set", "surface_size=0"], &["surface_size is 0"]),
        (&["interpolate", "--set", "epsilons=[1e-3, 0]"], &["epsilons has 0", "above 0"]),
        (&["interpolate", "--set", "epsilons=[nan]"], &["epsilons has NaN"]),
        (&["interpolate", "--set", "slice_points=4"], &["slice_points is 4", "21, 31", "try 11"]),
        (&["interpolate", "--set", "slice_points=43"], &["±0.2", "try 41 or 51"]),
        (&["interpolate", "--set", "slice_points=9999999999"], &["try 10001"]),
        (&["interpolate", "--set", "epsilons=[1e-3, 5e-4, 0.001]"], &["epsilons has 0.001 twice"]),
        (&["interpolate", "--set", "epsilons=[5e-324]"], &["one of epsilons is 5e-324", "float32"]),
        (&["interpolate", "--set", "directions=1001"], &["directions is 1001"]),
        (&["interpolate", "--set", "eigenvalues=201"], &["eigenvalues is 201"]),
        (&["interpolate", "--set", "sharpness_steps=0"], &["sharpness_steps is 0"]),
        (&["interpolate", "--set", "second_epochs_factor=0"], &["second_epochs_factor is 0"]),
        (&["interpolate", "--preset", "canonical", "--set", "density_steps=0"], &["density_steps"]),
    ] {
        dir.run(arguments).fails(2, words);
    }
}
