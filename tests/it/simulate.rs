//! `hw1 simulate` through the binary, in smoke mode.

use crate::common::{Dir, weights_of};
use serde_json::Value;

const SMOKE: [&str; 5] = ["simulate", "--preset", "smoke", "--fn", "sin-sq"];

fn with<'a>(base: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [base, more].concat()
}

fn column(metrics: &Value, key: &str) -> Vec<Value> {
    metrics["trials"].as_array().unwrap().iter().map(|trial| trial[key].clone()).collect()
}

#[test]
fn leaves_a_whole_run_directory() {
    let dir = Dir::new();
    let ran = dir.succeed(&SMOKE);
    for word in ["DNN_1", "2361", "1511", "701", "0.001236", "769", "validation loss"] {
        assert!(ran.stdout().contains(word), "{word} in {}", ran.stdout());
    }

    let study = "runs/smoke/simulate-sin-sq";
    let metrics = dir.json(&format!("{study}/metrics.json"));
    let keys: Vec<&String> = metrics.as_object().unwrap().keys().collect();
    let expected =
        "asked claims experiment failures figures files folder provenance schema settings sha256 summary table trials";
    assert_eq!(keys, expected.split(' ').collect::<Vec<_>>());
    assert!(metrics["asked"].as_str().unwrap().starts_with("Networks of different depth"));
    assert_eq!(metrics["table"]["rows"].as_array().unwrap().len(), 3);
    assert_eq!((&metrics["schema"], &metrics["experiment"]), (&1.into(), &"simulate".into()));
    for key in [
        "version", "commit", "libtorch", "device", "cpu", "jobs", "preset", "data", "command", "start", "end",
        "seconds",
    ] {
        assert!(metrics["provenance"].get(key).is_some(), "provenance has no {key}");
    }
    assert_eq!(column(&metrics, "label"), ["DNN_1", "DNN_2", "DNN_3"]);
    assert_eq!(column(&metrics, "parameters"), [2361, 1511, 701]);
    for trial in metrics["trials"].as_array().unwrap() {
        let losses = trial["series"]["train_loss"].as_array().unwrap();
        assert_eq!(trial["scalars"]["epochs_run"], losses.len());
        assert_eq!(trial["series"]["prediction"].as_array().unwrap().len(), 100);
        for scalar in ["converged", "stopped_on_plateau", "diverged", "final_train_loss", "final_validation_loss"] {
            assert!(trial["scalars"][scalar].is_number(), "{scalar}");
        }
        let (first, last) = (losses[0].as_f64().unwrap(), trial["scalars"]["final_train_loss"].as_f64().unwrap());
        assert!(last < first, "the loss falls from {first} to {last}");
    }
    let claim = &metrics["claims"][0];
    assert_eq!((&claim["id"], &claim["verdict"]), (&"simulate-sin-sq-depth".into(), &"inconclusive".into()));

    let csv = std::fs::read_to_string(dir.path().join(study).join("metrics.csv")).unwrap();
    assert!(csv.starts_with("experiment,trial,seed,step,metric,value\nsimulate,DNN_1,0,,parameters,2361\n"));
    assert!(csv.lines().any(|line| line.starts_with("simulate,DNN_3,0,59,train_loss,")));

    let log = std::fs::read_to_string(dir.path().join(study).join("log.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 3);
    for line in log.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        assert_eq!(entry["event"], "done");
    }
    assert!(dir.files(&format!("{study}/trials")).iter().all(|(name, _)| !name.starts_with('.')));
}

#[test]
fn figures_are_crisp_and_need_no_font() {
    let dir = Dir::new();
    dir.succeed(&SMOKE);
    let figures = dir.files("runs/smoke/simulate-sin-sq/figures");
    let names: Vec<&str> = figures.iter().map(|(name, _)| name.as_str()).collect();
    let of_each = |name: &str| ["json", "png", "svg"].map(|ending| format!("{name}.{ending}"));
    assert_eq!(names, ["predictions", "target", "training-loss"].map(of_each).concat());
    for (name, bytes) in &figures {
        if name.ends_with(".png") {
            let reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
            let resolution = reader.info().pixel_dims.unwrap();
            assert_eq!((resolution.xppu, resolution.unit), (7874, png::Unit::Meter), "{name}: 200 dpi");
            assert!(reader.info().width >= 1200, "{name}");
        } else if name.ends_with(".svg") {
            let text = std::str::from_utf8(bytes).unwrap();
            assert!(!text.contains("<text") && text.contains("<title>") && text.contains("<desc>"), "{name}");
        }
    }
}

#[test]
fn parameter_counts_are_the_reports() {
    let dir = Dir::new();
    let ran = dir.succeed(&["simulate", "--epochs", "1", "--json", "--set", "train_size=50"]);
    let studies: Vec<Value> = ran.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(studies.len(), 2);
    assert_eq!(column(&studies[0], "parameters"), [2361, 1511, 701]);
    assert_eq!(column(&studies[1], "parameters"), [571, 572, 571]);
    assert_eq!(studies[1]["settings"]["function"], "sign-sin");
}

#[test]
fn a_fingerprint_is_pinned() {
    // Changes only when results do: raise the experiment's VERSION then.
    let dir = Dir::new();
    let ran = dir.succeed(&["simulate", "--fn", "sin-sq", "--dry-run"]);
    let first = ran.stdout().lines().next().unwrap().to_owned();
    assert_eq!(first, "simulate-sin-sq  db4ea9e203921afd5c7edf24  DNN_1, seed 0  due");
    assert!(!dir.path().join("runs").exists(), "a dry run writes nothing");
}

#[test]
fn the_same_seed_gives_the_same_bytes_whatever_the_number_of_jobs() {
    let (one, two) = (Dir::new(), Dir::new());
    let base = ["simulate", "--preset", "smoke", "--repeats", "3"];
    one.succeed(&with(&base, &["--jobs", "1"]));
    two.succeed(&with(&base, &["--jobs", "2"]));
    for folder in ["runs/smoke/simulate-sin-sq/trials", "runs/smoke/simulate-sign-sin/trials"] {
        let (one, two) = (one.files(folder), two.files(folder));
        assert_eq!(one.len(), 3 * 3 * 2);
        assert!(one == two, "{folder} differs");
    }
}

#[test]
fn what_is_done_is_not_run_again() {
    let dir = Dir::new();
    let trials = "runs/smoke/simulate-sin-sq/trials";
    dir.succeed(&SMOKE);
    let log = dir.path().join("runs/smoke/simulate-sin-sq/log.jsonl");
    let trained = || std::fs::read_to_string(&log).unwrap().lines().count();
    let before = dir.files(trials);
    assert_eq!(trained(), 3);

    let again = dir.succeed(&SMOKE);
    assert!(again.stderr().contains("3 of 3 trials were done before and are reused"), "{}", again.stderr());
    assert_eq!(trained(), 3);
    assert!(dir.files(trials) == before);

    // More repeats run the new seeds only.
    let more = dir.succeed(&with(&SMOKE, &["--repeats", "2"]));
    assert!(more.stderr().contains("3 of 6 trials were done before"), "{}", more.stderr());
    assert_eq!(trained(), 6);

    // Other settings never reuse a record.
    let longer = dir.succeed(&with(&SMOKE, &["--epochs", "70"]));
    assert!(!longer.stderr().contains("reused"), "{}", longer.stderr());
    assert_eq!(trained(), 9);
    let metrics = dir.json("runs/smoke/simulate-sin-sq/metrics.json");
    assert!(column(&metrics, "scalars").iter().all(|scalars| scalars["epochs_run"] == 70));

    // --force runs all again, to the same bytes.
    dir.succeed(&with(&SMOKE, &["--force"]));
    assert_eq!(trained(), 12);
    assert!(before.iter().all(|file| dir.files(trials).contains(file)));
}

#[test]
fn resolved_settings_repeat_a_run() {
    let dir = Dir::new();
    let arguments = ["--fn", "exp(-x^2)*sin(9*x)", "--domain", "-3:3", "--model", "deep=1-8-8-1", "--model", "1-16-1"];
    dir.succeed(&with(&["simulate", "--preset", "smoke", "--out", "first"], &arguments));
    let folder = dir.only_study("first");
    assert!(folder.starts_with("simulate-exp-x-2-sin-9-x-"), "{folder}");
    let settings = format!("first/{folder}/settings.toml");
    let config = std::fs::read_to_string(dir.path().join(&settings)).unwrap();
    assert!(config.contains("preset = \"smoke\""), "{config}");
    dir.succeed(&["simulate", "--config", &settings, "--out", "second"]);
    assert!(dir.files(&format!("first/{folder}/trials")) == dir.files(&format!("second/{folder}/trials")));
    let metrics = dir.json(&format!("second/{folder}/metrics.json"));
    assert_eq!(column(&metrics, "label"), ["deep", "1-16-1"]);
    assert_eq!(column(&metrics, "parameters"), [97, 49]);
    assert_eq!(metrics["provenance"]["preset"], "smoke");
    assert_eq!(metrics["settings"]["domain"], serde_json::json!([-3.0, 3.0]));
}

#[test]
fn weights_are_safetensors_with_pytorchs_names() {
    let dir = Dir::new();
    dir.succeed(&with(&SMOKE, &["--model", "1-4-1"]));
    let record = dir.only_record("runs/smoke/simulate-sin-sq");
    let file = weights_of(&record);
    let bytes = std::fs::read(&file).unwrap();
    let weights = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut names = weights.names();
    names.sort_unstable();
    let expected: Vec<String> = ["final", "initial"]
        .iter()
        .flat_map(|when| ["fc1.bias", "fc1.weight", "fc2.bias", "fc2.weight"].map(|name| format!("{when}.{name}")))
        .collect();
    assert_eq!(names, expected);
    let weight = weights.tensor("initial.fc1.weight").unwrap();
    assert_eq!((weight.shape(), weight.dtype()), (&[4, 1][..], safetensors::Dtype::F32));
    assert_ne!(weight.data(), weights.tensor("final.fc1.weight").unwrap().data());

    // A record whose weights are gone or damaged is due again.
    for damage in [None, Some(b"rubbish".as_slice())] {
        match damage {
            None => std::fs::remove_file(&file).unwrap(),
            Some(rubbish) => std::fs::write(&file, rubbish).unwrap(),
        }
        dir.succeed(&with(&SMOKE, &["--model", "1-4-1"]));
        assert!(std::fs::read(&file).unwrap() == bytes);
    }
}

#[test]
fn the_record_says_how_a_training_ended() {
    let dir = Dir::new();
    let scalars = |more: &[&str]| {
        let base = ["simulate", "--preset", "smoke", "--fn", "x", "--model", "1-8-1", "--set", "patience=1", "--json"];
        let metrics: Value = serde_json::from_str(&dir.succeed(&with(&base, more)).stdout()).unwrap();
        metrics["trials"][0].clone()
    };
    let last = scalars(&["--set", "convergence=0"]);
    assert_eq!((&last["scalars"]["converged"], &last["scalars"]["epochs_run"]), (&0.into(), &60.into()));

    let converged = scalars(&["--set", "learning_rate=0.03", "--epochs", "5000"]);
    assert_eq!(converged["scalars"]["converged"], 1);
    assert_eq!(converged["scalars"]["stopped_on_plateau"], 0);
    assert!(converged["scalars"]["epochs_run"].as_u64().unwrap() < 5000);

    // So slow that nothing happens from one epoch to the next.
    let plateau = scalars(&["--set", "learning_rate=1e-7"]);
    assert_eq!((&plateau["scalars"]["converged"], &plateau["scalars"]["stopped_on_plateau"]), (&1.into(), &1.into()));
    assert_eq!(plateau["scalars"]["epochs_run"], 2);

    let diverged = scalars(&["--set", "optimizer=sgd", "--set", "learning_rate=1e9"]);
    assert_eq!(diverged["scalars"]["diverged"], 1);
    assert!(diverged["non_finite"].as_u64().unwrap() > 0);
    assert!(diverged["series"]["train_loss"][0].is_number());
    assert!(diverged["series"]["train_loss"].as_array().unwrap().last().unwrap().is_null());
}

#[test]
fn claims_over_seeds_count_pairs_that_converged() {
    let dir = Dir::new();
    let claim = |more: &[&str]| {
        let base = ["simulate", "--preset", "smoke", "--fn", "sin-sq", "--repeats", "6", "--json"];
        let metrics: Value = serde_json::from_str(&dir.succeed(&with(&base, more)).stdout()).unwrap();
        (metrics["claims"][0].clone(), metrics["trials"].as_array().cloned().unwrap())
    };
    // 60 epochs are too few to converge: nothing can be said of the loss there.
    let (unfinished, _) = claim(&[]);
    assert_eq!((&unfinished["verdict"], &unfinished["evidence"]["pairs"][0]["n"]), (&"inconclusive".into(), &0.into()));

    let (converged, trials) = claim(&["--epochs", "3000"]);
    let loss = |label: &str, seed: u64| {
        let trial = trials.iter().find(|trial| trial["label"] == label && trial["seed"] == seed).unwrap();
        assert_eq!(trial["scalars"]["converged"], 1);
        trial["scalars"]["final_train_loss"].as_f64().unwrap()
    };
    let pairs = converged["evidence"]["pairs"].as_array().unwrap();
    for (pair, labels) in pairs.iter().zip([("DNN_1", "DNN_2"), ("DNN_2", "DNN_3")]) {
        let as_claimed = (0..6).filter(|&seed| loss(labels.0, seed) < loss(labels.1, seed)).count();
        assert_eq!((&pair["n"], &pair["as_claimed"]), (&6.into(), &as_claimed.into()));
    }
}

#[test]
fn mkl_with_all_instruction_sets_agrees_with_its_own_choice() {
    let losses = |native: &str| {
        let dir = Dir::new();
        let arguments = ["simulate", "--preset", "smoke", "--json", "--fn", "sin-sq"];
        let output = dir.command(&arguments).env("HW1_MKL_NATIVE", native).output().unwrap();
        let metrics: Value = serde_json::from_slice(&output.stdout).unwrap();
        let losses: Vec<f64> = column(&metrics, "series")
            .iter()
            .flat_map(|series| series["train_loss"].as_array().unwrap().clone())
            .map(|loss| loss.as_f64().unwrap())
            .collect();
        (metrics["provenance"]["mkl"].clone(), losses)
    };
    let ((_, native), (own, plain)) = (losses("1"), losses("0"));
    assert_eq!(own, "default");
    assert_eq!(native.len(), 180);
    for (a, b) in native.iter().zip(&plain) {
        assert!((a - b).abs() < 1e-4 * b, "{a} against {b}");
    }
}

#[test]
fn a_reader_who_goes_away_does_not_stop_a_run() {
    // Standard error and standard output closed at the other end from the start.
    let dir = Dir::new();
    for quiet in [false, true] {
        let mut command = dir.command(&SMOKE);
        command.args(["--force", "--progress", if quiet { "always" } else { "auto" }]);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let status = command.stdout(writer.try_clone().unwrap()).stderr(writer).status().unwrap();
        assert_eq!(status.code(), Some(141));
    }
    assert!(dir.path().join("runs/smoke/simulate-sin-sq/metrics.json").exists());
}

#[test]
fn progress_goes_to_standard_error_and_quiet_is_quiet() {
    let dir = Dir::new();
    let ran = dir.succeed(&SMOKE);
    assert!(ran.stderr().contains("DNN_1, seed 0: started") && ran.stderr().contains("DNN_1, seed 0: done in"));
    assert!(!ran.stdout().contains("started"));
    let quiet = dir.succeed(&with(&SMOKE, &["--quiet", "--force"]));
    assert_eq!(quiet.stderr(), "");
    assert!(quiet.stdout().contains("DNN_1"));
    let never = dir.succeed(&with(&SMOKE, &["--progress", "never", "--force"]));
    assert_eq!(never.stderr(), "");
    let bars =
        dir.succeed(&with(&SMOKE, &["--progress", "always", "--force", "--epochs", "3000", "--set", "convergence=0"]));
    assert!(bars.stderr().contains('\r') || bars.stderr().contains('\u{1b}'), "{:?}", bars.stderr());
}

#[test]
fn help_lists_what_works() {
    let dir = Dir::new();
    let help = dir.succeed(&["--help"]).stdout();
    for study in ["all", "simulate", "mnist-cnn", "pca-weights", "grad-norm", "min-ratio", "random-labels"] {
        assert!(help.contains(&format!("\n  {study} ")), "{study} in {help}");
    }
    assert!(help.contains("Deep and shallow networks learn a function"), "{help}");
    let help = dir.succeed(&["simulate", "--help"]).stdout();
    for flag in [
        "--fn",
        "--domain",
        "--model",
        "--device",
        "--out",
        "--seed",
        "--repeats",
        "--epochs",
        "--preset",
        "--config",
        "--set",
        "--jobs",
        "--force",
        "--dry-run",
        "--progress",
        "--quiet",
        "--verbose",
        "--json",
    ] {
        assert!(help.contains(flag), "{flag} in {help}");
    }
}
