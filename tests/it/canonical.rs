//! Preset `canonical`, tiny, through the binary; and its claims held against those of another run.

use crate::common::Dir;
use serde_json::Value;

/// The studies whose canonical preset runs tiny here, each with what makes it so.
const TINY: [(&str, &[&str]); 5] = [
    ("simulate", &["train_size=100", "validation_size=50", "epochs=30", "repeats=2"]),
    ("mnist-cnn", &["dataset=synthetic", "train_size=200", "test_size=100", "epochs=2", "repeats=1"]),
    (
        "grad-norm",
        &[
            "train_size=100",
            "validation_size=50",
            "epochs=30",
            "repeats=2",
            "dataset=synthetic",
            "digits_train_size=200",
            "digits_test_size=100",
            "digits_epochs=2",
            "digits_batch_size=50",
            "digits_every=3",
        ],
    ),
    (
        "random-labels",
        &[
            "dataset=synthetic",
            "train_size=100",
            "test_size=100",
            "epochs=3",
            "repeats=2",
            "model=784-16-10",
            "corruption=[0.0, 0.5, 1.0]",
            "fitted=0.2",
        ],
    ),
    (
        "params-sweep",
        &[
            "dataset=synthetic",
            "train_size=200",
            "test_size=100",
            "epochs=3",
            "test_every=2",
            "repeats=2",
            "label_noise=[0.0, 0.2]",
            "models=[\"784-4-10\", \"784-8-10\", \"784-16-10\"]",
        ],
    ),
];

fn run_tiny(dir: &Dir) -> Vec<Value> {
    let mut arguments: Vec<String> =
        ["all", "--preset", "canonical", "--quiet", "--json", "--only"].map(String::from).to_vec();
    arguments.push(TINY.map(|(study, _)| study).join(","));
    for (study, sets) in TINY {
        arguments.extend(sets.iter().flat_map(|set| ["--set".to_owned(), format!("{study}.{set}")]));
    }
    let ran = dir.succeed(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    ran.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(study: &Value) -> Vec<&str> {
    study["claims"].as_array().unwrap().iter().map(|claim| claim["id"].as_str().unwrap()).collect()
}

#[test]
fn every_study_asks_its_questions_tiny() {
    let dir = Dir::new();
    let studies = run_tiny(&dir);
    let study = |folder: &str| studies.iter().find(|study| study["folder"] == folder).unwrap();
    assert_eq!(studies.len(), 6);
    assert_eq!(ids(study("simulate-sin-sq")), ["simulate-sin-sq-depth"]);
    assert_eq!(ids(study("simulate-sign-sin")), ["simulate-sign-sin-order"]);
    assert_eq!(
        ids(study("random-labels")),
        [
            "random-labels-fits",
            "random-labels-test-loss-rises",
            "random-labels-time-grows",
            "random-labels-test-error-grows",
            "random-labels-chance"
        ]
    );
    assert_eq!(
        ids(study("params-sweep")),
        [
            "params-sweep-double-descent-0",
            "params-sweep-double-descent-20",
            "params-sweep-improves",
            "params-sweep-levels-off"
        ]
    );
    assert!(ids(study("grad-norm")).contains(&"grad-norm-mini-batch-above"));

    // Sizes that differ by a hundredth at most.
    for folder in ["simulate-sin-sq", "simulate-sign-sin"] {
        let trials = study(folder)["trials"].as_array().unwrap();
        let sizes = || trials.iter().map(|trial| trial["parameters"].as_f64().unwrap());
        assert!(sizes().fold(0.0, f64::max) < 1.01 * sizes().fold(f64::INFINITY, f64::min), "{folder}");
    }
    // Tested after the second epoch and after the last.
    for trial in study("params-sweep")["trials"].as_array().unwrap() {
        let series = |name: &str| trial["series"][name].as_array().unwrap();
        assert_eq!((series("train_loss").len(), series("test_loss").len()), (3, 2));
        assert_eq!(series("test_accuracy")[1], trial["scalars"]["final_test_accuracy"]);
    }
    // 4 steps an epoch, 8 in all: measured before steps 0, 3 and 6.
    let digits: Vec<&Value> = (study("grad-norm")["trials"].as_array().unwrap().iter())
        .filter(|trial| trial["label"] == "784-32-10")
        .collect();
    assert_eq!(digits.len(), 2);
    assert_eq!(digits[0]["series"]["step"], serde_json::json!([0, 3, 6]));
    for study in &studies {
        for figure in study["figures"].as_array().unwrap() {
            let (folder, name) = (study["folder"].as_str().unwrap(), figure["name"].as_str().unwrap());
            assert!(dir.path().join(format!("runs/canonical/{folder}/figures/{name}.png")).is_file(), "{name}");
        }
    }
}

#[test]
fn a_batch_of_all_has_the_norm_of_all() {
    let dir = Dir::new();
    let ran = dir.succeed(&[
        "grad-norm",
        "--preset",
        "smoke",
        "--dataset",
        "synthetic",
        "--epochs",
        "2",
        "--set",
        "digits_train_size=150",
        "--set",
        "digits_test_size=10",
        "--set",
        "digits_batch_size=150",
        "--set",
        "digits_epochs=3",
        "--set",
        "digits_every=1",
        "--json",
        "--quiet",
    ]);
    let metrics: Value = serde_json::from_str(&ran.stdout()).unwrap();
    let trial = metrics["trials"].as_array().unwrap().iter().find(|trial| trial["label"] == "784-32-10").unwrap();
    let series = |name: &str| trial["series"][name].as_array().unwrap().iter().map(|value| value.as_f64().unwrap());
    assert_eq!(series("step").count(), 3);
    for (batch, full) in series("batch_gradient_norm").zip(series("full_gradient_norm")) {
        assert!((batch / full - 1.0).abs() < 1e-4, "{batch} against {full}");
    }
}

#[test]
fn a_presets_own_seeds_stand_in_a_run_of_all() {
    let dir = Dir::new();
    let trials = |arguments: &[&str]| {
        let dry = ["all", "--dry-run", "--only", "simulate", "--preset"];
        dir.succeed(&[&dry[..], arguments].concat())
            .stdout()
            .lines()
            .filter(|line| line.starts_with("simulate"))
            .count()
    };
    assert_eq!(trials(&["canonical"]), 2 * 3 * 10);
    assert_eq!(trials(&["report"]), 2 * 3 * 5);
    assert_eq!(trials(&["canonical", "--repeats", "2"]), 2 * 3 * 2);
    assert_eq!(trials(&["canonical", "--set", "simulate.repeats=3"]), 2 * 3 * 3);
}

#[test]
fn claims_are_held_against_the_reports() {
    let dir = Dir::new();
    // Stands for the report's run: what is lined up are folders and ids.
    dir.succeed(&["simulate", "--preset", "smoke", "--fn", "sin-sq", "--out", "runs/report", "--quiet"]);
    dir.succeed(&["params-sweep", "--preset", "smoke", "--out", "runs/report", "--quiet"]);
    dir.succeed(&["sensitivity", "--preset", "smoke", "--out", "runs/report", "--quiet"]);
    run_tiny(&dir);
    let compared: Value =
        serde_json::from_str(&dir.succeed(&["compare", "runs/report", "runs/canonical", "--json"]).stdout()).unwrap();
    let of = |study: &str, id: &str| {
        let claims = compared["claims"].as_array().unwrap();
        claims.iter().find(|claim| (&claim["study"], &claim["id"]) == (&study.into(), &id.into())).unwrap().clone()
    };
    assert_eq!(of("params-sweep", "params-sweep-double-descent-20")["answer"], "only_in_b");
    assert_eq!(of("sensitivity", "sensitivity-constant")["answer"], "only_in_a");
    let both = of("simulate-sin-sq", "simulate-sin-sq-depth");
    assert_eq!(both["answer"], if both["a"] == both["b"] { "agree" } else { "differ" });

    let text = dir.succeed(&["compare", "runs/report", "runs/canonical"]).stdout();
    let table = text.split_once("\nAll claims\n").unwrap().1;
    assert!(table.contains("params-sweep-double-descent-20") && table.contains("only in B"), "{table}");
    assert!(!dir.succeed(&["compare", "runs/report", "runs/report"]).stdout().contains("All claims"));

    // `hw1 all` ended with the page, which found the neighbour by itself.
    let html = std::fs::read_to_string(dir.path().join("runs/canonical/report.html")).unwrap();
    let table = html.split_once("<section id=\"against\">").unwrap().1.split_once("</table>").unwrap().0;
    assert_eq!(table.matches("<tr>").count() - 1, compared["claims"].as_array().unwrap().len());
    assert!(table.contains("There: preset smoke") && table.contains("Here: preset canonical"), "{table:.2000}");
    assert!(
        table.contains("only here") && table.contains("only there") && table.contains("<a href=\"#params-sweep\">")
    );
    let out = ["report", "--out", "runs/report"];
    dir.succeed(&out);
    let plain = std::fs::read_to_string(dir.path().join("runs/report/report.html")).unwrap();
    assert!(!plain.contains("id=\"against\""));
    dir.succeed(&[&out[..], &["--against", "runs/canonical", "--format", "markdown"]].concat());
    let markdown = std::fs::read_to_string(dir.path().join("runs/report/report.md")).unwrap();
    assert!(markdown.contains("| study | claim | there: preset canonical | here: preset smoke | answer |"));
    dir.run(&[&out[..], &["--against", "nowhere"]].concat()).fails(1, &["no run directory nowhere"]);
}
