//! Preset `canonical` of `hw1 min-ratio`, and `--curvature lanczos`, through the
//! binary and tiny: what they say is recomputed from the weights and numbers they save.

use crate::common::Dir;

use safetensors::SafeTensors;
use serde_json::Value;
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

fn metrics(dir: &Dir, arguments: &[&str]) -> Value {
    serde_json::from_str(&dir.succeed(&[arguments, &["--json"]].concat()).stdout()).unwrap()
}

fn trials(metrics: &Value) -> &Vec<Value> {
    metrics["trials"].as_array().unwrap()
}

fn number(trial: &Value, name: &str) -> f64 {
    trial["scalars"][name].as_f64().unwrap_or_else(|| panic!("no {name}: {}", trial["scalars"]))
}

fn series(trial: &Value, name: &str) -> Vec<f64> {
    trial["series"][name].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn figures(metrics: &Value) -> Vec<&str> {
    metrics["figures"].as_array().unwrap().iter().map(|figure| figure["name"].as_str().unwrap()).collect()
}

fn claim<'a>(metrics: &'a Value, id: &str) -> &'a Value {
    metrics["claims"].as_array().unwrap().iter().find(|claim| claim["id"] == id).unwrap()
}

const TINY: [&str; 7] = ["--model", "1-5-1", "--set", "train_size=60", "--set", "validation_size=30", "--epochs=400"];

/// Mean squared error and gradient norm of a 1-5-1 network at a trial's saved weights, in float64.
fn at_saved_weights(dir: &Dir, trial: &Value, prefix: &str) -> (f64, f64) {
    let bytes = std::fs::read(dir.weights("runs/canonical/min-ratio", trial)).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let weights: BTreeMap<&str, Tensor> = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
        .into_iter()
        .map(|name| {
            let view = file.tensor(&format!("{prefix}.{name}")).unwrap();
            let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
            let kind = if view.dtype() == safetensors::Dtype::F64 { Kind::Double } else { Kind::Float };
            let tensor = Tensor::from_data_size(view.data(), &shape, kind).to_kind(Kind::Double);
            (name, tensor.set_requires_grad(true))
        })
        .collect();
    let x = Tensor::linspace(1.0, 5.0, 60, (Kind::Double, tch::Device::Cpu)).unsqueeze(1);
    let y = x.cos() / &x;
    let h = x.linear(&weights["fc1.weight"], Some(&weights["fc1.bias"])).relu();
    let loss = (h.linear(&weights["fc2.weight"], Some(&weights["fc2.bias"])) - y).square().mean(Kind::Double);
    let inputs: Vec<&Tensor> = weights.values().collect();
    let gradients = Tensor::run_backward(&[&loss], &inputs, false, false);
    let squares: f64 = gradients.iter().map(|part| part.square().sum(Kind::Double).double_value(&[])).sum();
    (loss.double_value(&[]), squares.sqrt())
}

#[test]
fn newton_goes_on_from_where_adam_stopped_and_its_certificate_is_true() {
    let dir = Dir::new();
    let arguments = ["min-ratio", "--preset", "canonical", "--trainings", "4", "--set", "newton_steps=300"];
    let metrics = metrics(&dir, &[&arguments[..], &TINY].concat());
    assert_eq!(trials(&metrics).len(), 4, "none is dropped");
    let mut reached = 0;
    for trial in trials(&metrics) {
        let (loss, norm) = at_saved_weights(&dir, trial, "final");
        assert!((number(trial, "final_train_loss") - loss).abs() <= 1e-12 * loss, "{loss}");
        assert!((number(trial, "final_gradient_norm") - norm).abs() <= 1e-12 + 1e-6 * norm, "{norm}");
        assert_eq!(number(trial, "reached") == 1.0, norm <= 1e-8);
        reached += u64::from(norm <= 1e-8);
        // The first step starts where Adam stopped.
        let (before, norm_before) = at_saved_weights(&dir, trial, "trained");
        assert!((number(trial, "trained_train_loss") - before).abs() <= 1e-10 * before);
        assert!((number(trial, "trained_gradient_norm") - norm_before).abs() <= 1e-6 * norm_before);
        let losses = series(trial, "newton_loss");
        assert_eq!(losses.len() as f64, number(trial, "newton_steps") + 1.0);
        assert_eq!(Some(&number(trial, "final_gradient_norm")), series(trial, "newton_gradient_norm").last());
        assert!(loss < before && (0.0..=1.0 + 1e-12).contains(&number(trial, "gradient_flatness")));
        let signs = ["positive", "zero", "negative"].map(|sign| number(trial, &format!("{sign}_eigenvalues")));
        assert_eq!(signs.iter().sum::<f64>(), 16.0);
    }
    assert!(reached > 0, "at least one small network gets there");
    assert_eq!(metrics["summary"]["reached"], reached);
    assert_eq!(figures(&metrics), ["ratio", "eigenvalues", "trainings", "newton", "certificate"]);
    let claim = claim(&metrics, "min-ratio-reached");
    assert_eq!((claim["n"].as_u64(), claim["evidence"]["as_claimed"].as_u64()), (Some(4), Some(reached)));
}

#[test]
fn lanczos_sees_what_the_whole_hessian_shows() {
    let dir = Dir::new();
    let base = [&["min-ratio", "--preset", "smoke", "--trainings", "3", "--set", "probes=12"][..], &TINY].concat();
    let exact = metrics(&dir, &base);
    let products = metrics(&dir, &[&base[..], &["--curvature", "lanczos", "--set", "lanczos_eigenvalues=2"]].concat());
    assert_eq!(figures(&products), ["lanczos", "trainings"]);
    for (exact, found) in trials(&exact).iter().zip(trials(&products)) {
        assert_ne!(exact["fingerprint"], found["fingerprint"]);
        assert_eq!(number(exact, "final_train_loss"), number(found, "final_train_loss"), "the same training");
        let eigenvalues = series(exact, "eigenvalues");
        let largest = eigenvalues[eigenvalues.len() - 1];
        assert!((number(found, "largest_eigenvalue") / largest - 1.0).abs() < 1e-6);
        assert!((number(found, "smallest_eigenvalue") - eigenvalues[0]).abs() < 1e-5 * largest);
        assert_eq!(number(found, "lanczos_converged"), 1.0);
        assert!(series(found, "top_residuals").iter().all(|residual| *residual <= 1e-6 * largest));
        let (trace, error) = (number(found, "trace"), number(found, "trace_standard_error"));
        let sum: f64 = eigenvalues.iter().sum();
        assert!((trace - sum).abs() < 5.0 * error && error < 0.2 * sum, "{trace} ± {error} against {sum}");
        let weights: f64 = series(found, "density_weights").iter().sum();
        assert!((weights - 1.0).abs() < 1e-10);
    }
    // Neither Newton's nor Lanczos's settings are part of a trial that does without.
    let others = ["--set", "lanczos_steps=7", "--set", "newton_threshold=1e-3"];
    let again = metrics(&dir, &[&base[..], &others].concat());
    assert_eq!(trials(&again)[0]["fingerprint"], trials(&exact)[0]["fingerprint"]);
}

#[test]
fn lanczos_takes_networks_too_large_for_a_whole_hessian() {
    let dir = Dir::new();
    let base = ["min-ratio", "--preset", "smoke", "--model", "1-120-120-1", "--epochs", "2", "--trainings", "1"];
    dir.run(&base).fails(2, &["14881 parameters", "use --curvature lanczos"]);
    let large = ["--curvature", "lanczos", "--set", "lanczos_eigenvalues=3", "--set", "probes=2"];
    let found = metrics(&dir, &[&base[..], &large].concat());
    assert_eq!(
        (series(&trials(&found)[0], "top_eigenvalues").len(), found["trials"][0]["parameters"].as_u64()),
        (3, Some(14881))
    );
    dir.run(&[&base[..], &large, &["--set", "newton_steps=5"]].concat()).fails(2, &["at most 3000"]);
    for (setting, words) in [
        ("probes=0", &["probes is 0", "from 1 to 10000"][..]),
        ("lanczos_eigenvalues=0", &["lanczos_eigenvalues is 0"]),
        ("newton_threshold=0", &["newton_threshold is 0"]),
        ("curvature=half", &["half", "exact"]),
    ] {
        dir.run(&["min-ratio", "--set", setting]).fails(2, words);
    }
}
