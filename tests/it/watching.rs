//! The studies that watch optimization (pca-weights, grad-norm, min-ratio) through the binary, in
//! smoke mode.

use crate::common::{Dir, assert_jobs_change_nothing};
use serde_json::Value;

fn metrics(dir: &Dir, arguments: &[&str]) -> Value {
    let ran = dir.succeed(&[arguments, &["--preset", "smoke", "--json"]].concat());
    serde_json::from_str(&ran.stdout()).unwrap()
}

fn trials(metrics: &Value) -> &[Value] {
    metrics["trials"].as_array().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn pictures(dir: &Dir, study: &str) -> Vec<String> {
    let names = dir.files(&format!("runs/smoke/{study}/figures")).into_iter().map(|(name, _)| name);
    names.filter(|name| name.ends_with(".png")).collect()
}

#[test]
fn grad_norm_measures_every_epoch() {
    let dir = Dir::new();
    let metrics = metrics(&dir, &["grad-norm"]);
    let trial = &trials(&metrics)[0];
    assert_eq!(trial["parameters"], 2241);
    for series in ["train_loss", "validation_loss", "gradient_norm"] {
        assert_eq!(numbers(&trial["series"][series]).len(), 60, "{series}");
    }
    // Between the points of a smooth function the loss is close to that at the points.
    let (train, validation) = (numbers(&trial["series"]["train_loss"]), numbers(&trial["series"]["validation_loss"]));
    for (train, validation) in train.iter().zip(&validation) {
        assert!((train - validation).abs() < 0.02 * train, "{train} and {validation}");
    }
    // ‖∇L‖ ≥ |∂L/∂b| of the last bias: the last loss's own scale.
    assert!(numbers(&trial["series"]["gradient_norm"]).iter().all(|norm| *norm > 1e-3));
    assert_eq!(metrics["claims"].as_array().unwrap().len(), 3);
    assert_eq!(pictures(&dir, "grad-norm"), ["gradient-norm-and-loss.png", "gradient-norm.png", "loss.png"]);
}

#[test]
fn grad_norm_survives_divergence() {
    let dir = Dir::new();
    let metrics = metrics(&dir, &["grad-norm", "--set", "optimizer=sgd", "--set", "learning_rate=1e3"]);
    assert_eq!(trials(&metrics)[0]["scalars"]["diverged"], 1);
    assert!(metrics["claims"].as_array().unwrap().iter().all(|claim| claim["verdict"] == "inconclusive"));
}

#[test]
fn min_ratio_counts_all_eigenvalues() {
    let dir = Dir::new();
    let metrics = metrics(&dir, &["min-ratio"]);
    let labels: Vec<&str> = trials(&metrics).iter().map(|trial| trial["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["training-1", "training-2", "training-3", "training-4"]);
    for trial in trials(&metrics) {
        let (scalars, eigenvalues) = (&trial["scalars"], numbers(&trial["series"]["eigenvalues"]));
        assert_eq!(eigenvalues.len() as u64, trial["parameters"].as_u64().unwrap());
        assert!(eigenvalues.is_sorted());
        let count = |name: &str| scalars[name].as_u64().unwrap();
        let of_sign = [count("positive_eigenvalues"), count("zero_eigenvalues"), count("negative_eigenvalues")];
        assert_eq!(of_sign.iter().sum::<u64>(), eigenvalues.len() as u64);
        let above = eigenvalues.iter().filter(|value| **value > 1e-12 * eigenvalues[eigenvalues.len() - 1]).count();
        assert_eq!(of_sign[0], above as u64);
        assert_eq!(scalars["minimal_ratio"].as_f64().unwrap(), above as f64 / eigenvalues.len() as f64);
        assert!((0.0..=1.0).contains(&scalars["entry_ratio"].as_f64().unwrap()));
        // The trace is the sum of the eigenvalues, and the Gauss-Newton part makes it positive.
        assert!(eigenvalues.iter().sum::<f64>() > 0.0);
    }
    assert_eq!(pictures(&dir, "min-ratio"), ["eigenvalues.png", "ratio.png", "trainings.png"]);
    let report = dir.run(&["min-ratio", "--dry-run"]).stdout();
    assert_eq!(report.lines().filter(|line| line.ends_with("  due")).count(), 100);
}

#[test]
fn min_ratio_stops_at_the_threshold() {
    let dir = Dir::new();
    let metrics = metrics(&dir, &["min-ratio", "--set", "threshold=0.1", "--epochs", "500", "--set", "trainings=2"]);
    for trial in trials(&metrics) {
        let norms = numbers(&trial["series"]["gradient_norm"]);
        assert_eq!(trial["scalars"]["met_threshold"], 1);
        let (last, before) = norms.split_last().unwrap();
        assert!(*last < 0.1 && before.iter().all(|norm| *norm >= 0.1), "{norms:?}");
        // Where it stopped is what is saved and measured: the same θ in float32 and in float64.
        let measured = trial["scalars"]["final_gradient_norm"].as_f64().unwrap();
        assert!((measured - last).abs() < 1e-4 * last, "{measured} and {last}");
    }
}

#[test]
fn a_warm_min_ratio_trains_one_model_on_and_on() {
    let dir = Dir::new();
    let metrics = metrics(&dir, &["min-ratio", "--warm", "--set", "trainings=3"]);
    let weights = |index: usize, name: &str| -> Vec<u8> {
        let bytes = std::fs::read(dir.weights("runs/smoke/min-ratio", &trials(&metrics)[index])).unwrap();
        safetensors::SafeTensors::deserialize(&bytes).unwrap().tensor(name).unwrap().data().to_vec()
    };
    assert_eq!(trials(&metrics).len(), 3);
    for index in 1..3 {
        assert_eq!(weights(index, "initial.fc1.weight"), weights(index - 1, "final.fc1.weight"));
        assert_ne!(weights(index, "initial.fc1.weight"), weights(index, "final.fc1.weight"));
    }
    // A longer chain reuses the shorter one.
    let longer = dir.succeed(&["min-ratio", "--warm", "--set", "trainings=4", "--preset", "smoke"]);
    assert!(longer.stderr().contains("3 of 4 trials were done before"), "{}", longer.stderr());
}

#[test]
fn pca_weights_analyses_the_snapshots_of_all_trainings() {
    let dir = Dir::new();
    let metrics = metrics(&dir, &["pca-weights"]);
    let trials = trials(&metrics);
    let labels: Vec<&str> = trials.iter().map(|trial| trial["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["training-1", "training-2", "training-3", "pca"]);
    assert_eq!(trials[0]["parameters"], 109_386);
    assert_eq!(metrics["summary"]["snapshot_epochs"], serde_json::json!([1, 4, 7]));

    // By hand: the whole variance of fc1 over all snapshots, of which the components explain a share.
    let mut rows: Vec<Vec<f32>> = Vec::new();
    for trial in &trials[..3] {
        let bytes = std::fs::read(dir.weights("runs/smoke/pca-weights", trial)).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        for epoch in [1, 4, 7] {
            let view = file.tensor(&format!("snapshot.{epoch}.fc1.weight")).unwrap();
            assert_eq!(view.shape(), [128, 784]);
            rows.push(view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect());
        }
    }
    let mut total = 0.0;
    for column in 0..rows[0].len() {
        let mean = rows.iter().map(|row| f64::from(row[column])).sum::<f64>() / 9.0;
        total += rows.iter().map(|row| (f64::from(row[column]) - mean).powi(2)).sum::<f64>();
    }
    for part in ["fc1", "full"] {
        let pca = &metrics["summary"]["pca"][part];
        let components: Vec<[f64; 2]> = serde_json::from_value(pca["components"].clone()).unwrap();
        let shares = numbers(&pca["explained_variance_ratio"]);
        assert_eq!((components.len(), shares.len()), (9, 2));
        for component in 0..2 {
            let scores: Vec<f64> = components.iter().map(|pair| pair[component]).collect();
            assert!(scores.iter().sum::<f64>().abs() < 1e-6, "centred");
            let explained = scores.iter().map(|score| score * score).sum::<f64>() / total;
            assert!(part == "full" || (explained - shares[component]).abs() < 1e-6, "{explained}, {shares:?}");
        }
        assert!(shares[0] >= shares[1] && shares[0] + shares[1] <= 1.0);
    }
    assert_eq!(pictures(&dir, "pca-weights"), ["curves.png", "paths.png"]);
}

#[test]
fn the_same_seed_gives_the_same_bytes_whatever_the_number_of_jobs() {
    for study in ["pca-weights", "grad-norm", "min-ratio"] {
        assert_jobs_change_nothing(study, metrics);
    }
}

#[test]
fn bad_settings_are_usage_errors() {
    let dir = Dir::new();
    for (arguments, words) in [
        (&["grad-norm", "--model", "2-8-1"][..], &["must begin and end with 1"][..]),
        (&["grad-norm", "--fn", "sin-squared"], &["sin-squared", "sin-sq"]),
        (&["grad-norm", "--set", "patience=0"], &["patience is 0"]),
        (&["min-ratio", "--set", "trainings=0"], &["trainings is 0", "from 1 to"]),
        (&["min-ratio", "--trainings", "many"], &["--trainings", "not a whole number"]),
        (&["min-ratio", "--model", "1-400-400-1"], &["161601 parameters", "at most 10000"]),
        (&["min-ratio", "--set", "tolerance=2"], &["tolerance is 2", "below 1"]),
        (&["min-ratio", "--set", "threshold=-1"], &["threshold is -1"]),
        (&["min-ratio", "--set", "warm=3"], &["warm"]),
        (&["pca-weights", "--set", "snapshot_every=0"], &["snapshot_every is 0"]),
        (&["pca-weights", "--set", "trainings=4000"], &["32000 snapshots", "at most 5000"]),
    ] {
        dir.run(arguments).fails(2, words);
    }
}
