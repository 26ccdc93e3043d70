//! What is behind claims and figures, through the binary: each claim names a figure that is there, the numbers of its cases
//! and what would change it; each figure what speaks against it.

use crate::common::Dir;
use serde_json::Value;
use std::collections::BTreeSet;

fn metrics(dir: &Dir, arguments: &[&str]) -> Value {
    let ran = dir.succeed(&[arguments, &["--preset", "smoke", "--json", "--quiet"]].concat());
    serde_json::from_str(&ran.stdout()).unwrap()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name].as_array().unwrap_or_else(|| panic!("no {name} in {value}"))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// What stands against the figure of this name.
fn doubts(metrics: &Value, figure: &str) -> Vec<String> {
    let named = list(metrics, "figures").iter().find(|one| one["name"] == figure).unwrap();
    named["doubts"].as_array().into_iter().flatten().map(|said| said.as_str().unwrap().to_owned()).collect()
}

/// Claims of the settings files: the name, which may hold braces, and the figures, unless the study names them.
fn declared() -> Vec<(String, Vec<String>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/experiments")).unwrap() {
        let path = entry.unwrap().path();
        let file: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        let figures = file["figure"].as_table().unwrap();
        for (key, claim) in file["claim"].as_table().unwrap() {
            let named = claim.get("figures").into_iter().flat_map(|named| named.as_array().unwrap());
            let named: Vec<String> = named.map(|figure| figure.as_str().unwrap().to_owned()).collect();
            for figure in &named {
                let is_known = figure.starts_with('{') || figures.contains_key(figure);
                assert!(is_known, "{}: claim {key} names figure {figure}", path.display());
            }
            let id = claim.get("id").and_then(|id| id.as_str()).unwrap_or(key);
            all.push((id.to_owned(), named));
        }
    }
    all
}

/// Every study as it makes each of its claims.
#[test]
fn each_claim_has_its_figure_its_cases_and_what_would_change_it() {
    let tiny = ["--set", "train_size=256", "--set", "test_size=64", "--epochs", "1"];
    let one = [&["--model", "784-4-10"][..], &tiny].concat();
    let few = ["--model", "784-4-10", "--set", "train_size=256", "--set", "test_size=64", "--epochs", "3"];
    let two = [&["--model", "784-4-10", "--model", "784-6-10"][..], &tiny].concat();
    let points = ["--set", "train_size=50", "--set", "validation_size=20", "--epochs", "5"];
    let around = [
        "--set",
        "epsilons=[1e-3]",
        "--set",
        "directions=1",
        "--set",
        "slice_points=11",
        "--set",
        "eigenvalues=2",
        "--set",
        "batch_sizes=[32, 128]",
        "--set",
        "probe_size=64",
    ];
    let trainings = ["--training", "32 adam 1e-3", "--training", "64 adam 1e-3"];
    let random = ["--training", "64 adam 1e-3", "--training", "64 adam 1e-3 random-labels"];
    let studies: [(&[&str], &[&str], &[&str]); 13] = [
        (&["simulate", "--fn", "sin-sq"], &points, &[]),
        (&["simulate", "--fn", "sign-sin"], &points, &[]),
        (&["grad-norm", "--set", "dataset=synthetic", "--epochs", "5"], &[], &[]),
        (&["mnist-cnn"], &two, &[]),
        (&["pca-weights", "--set", "grid=3", "--trainings", "2"], &few, &[]),
        (&["min-ratio", "--set", "newton_steps=3", "--trainings", "2"], &points, &[]),
        (&["random-labels", "--set", "corruption=[0.0, 1.0]"], &one, &[]),
        (&["params-sweep"], &two, &[]),
        (&["params-sweep", "--set", "label_noise=[0.0, 0.2]"], &two, &[]),
        (&["interpolate"], &one, &around),
        (&["sensitivity"], &["--model", "784-4-10", "--epochs", "1"], &[]),
        (&["sensitivity"], &one, &trainings),
        (&["sensitivity", "--set", "fitted=0.01"], &one, &random),
    ];
    let mut seen = BTreeSet::new();
    for (study, more, last) in studies {
        let dir = Dir::new();
        let metrics = metrics(&dir, &[study, more, last].concat());
        let figures: Vec<&str> = list(&metrics, "figures").iter().map(|figure| text(figure, "name")).collect();
        assert!(!list(&metrics, "claims").is_empty(), "{study:?}");
        for claim in list(&metrics, "claims") {
            seen.insert(text(claim, "id").to_owned());
            // Nothing shows what was not trained, as with no optimizer of that name.
            let shown = claim["figures"].as_array().cloned().unwrap_or_default();
            let is_asked = !claim["detail"].as_str().unwrap().starts_with("No seeds to say it of.");
            assert!(!is_asked || !shown.is_empty(), "{claim}");
            assert!(shown.iter().all(|name| figures.contains(&name.as_str().unwrap())), "{claim}");
            if claim["verdict"] == "inconclusive" {
                let said = text(claim, "would_change");
                assert!(said.ends_with('.') && !said.contains("NaN"), "{said}");
            }
            let cases = claim["points"].as_array().cloned().unwrap_or_default();
            let names: BTreeSet<&str> = cases.iter().map(|point| text(point, "case")).collect();
            assert!(names.len() == cases.len() && !names.contains(""), "{claim}");
            // What was measured, beside whether it held.
            let measured = |point: &Value| point["values"].as_object().unwrap().keys().any(|name| name != "held");
            assert!(cases.iter().all(measured), "{claim}");
            let n = claim["n"].as_u64().unwrap_or(0) as usize;
            assert!(cases.len() >= n, "{n} cases: {claim}");
        }
        // What is drawn before any training is doubted by none of it.
        for figure in figures {
            let said = doubts(&metrics, figure);
            let is_few =
                said.iter().any(|said| said.ends_with("another may look otherwise.") || said.contains("too few"));
            assert_eq!(is_few, figure != "target", "{study:?} {figure}: {said:?}");
            let once: BTreeSet<&String> = said.iter().collect();
            assert!(once.len() == said.len() && said.iter().all(|said| said.ends_with('.')), "{said:?}");
        }
    }
    // A name in braces stands for several.
    let is_seen = |id: &str| {
        let start = id.split('{').next().unwrap();
        seen.iter().any(|seen| if start.len() < id.len() { seen.starts_with(start) } else { seen == id })
    };
    let unseen: Vec<String> = declared().into_iter().map(|(id, _)| id).filter(|id| !is_seen(id)).collect();
    assert!(unseen.iter().all(|id| id.starts_with("analyse-")), "{unseen:?}");
}

#[test]
fn what_would_change_a_claim_is_listed_and_true() {
    let dir = Dir::new();
    let tiny = ["mnist-cnn", "--preset", "smoke", "--quiet", "--model", "784-2-10", "--set", "train_size=16"];
    let flat = ["--set", "test_size=16", "--set", "learning_rate=1e-30", "--set", "shuffle=false", "--epochs", "3"];
    dir.succeed(&[&tiny[..], &flat, &["--repeats", "4"]].concat());
    let claim = |dir: &Dir| {
        let all: Value =
            serde_json::from_str(&dir.succeed(&["claims", "--out", "runs/smoke", "--json"]).stdout()).unwrap();
        all["studies"][0]["claims"][0].clone()
    };
    let open = claim(&dir);
    let said = "At this share (0 of 4), 1 more seed would refute it: --repeats 5.";
    assert_eq!((&open["verdict"], &open["would_change"]), (&"inconclusive".into(), &said.into()));
    let listed = dir.succeed(&["claims", "--out", "runs/smoke"]).stdout();
    let listed = listed.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(listed.contains(&format!("What would change it: {said}")), "{listed}");
    let metrics = dir.json("runs/smoke/mnist-cnn/metrics.json");
    let cases: Vec<&str> = list(&metrics["claims"][0], "points").iter().map(|point| text(point, "case")).collect();
    assert_eq!(cases, ["seed 0", "seed 1", "seed 2", "seed 3"]);
    // So many more, and it is.
    dir.succeed(&[&tiny[..], &flat, &["--repeats", "5"]].concat());
    assert_eq!(claim(&dir)["verdict"], "refuted");
    // What an older version wrote has none of it, and is read as before.
    let path = dir.path().join("runs/smoke/mnist-cnn/metrics.json");
    let mut metrics: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for claim in metrics["claims"].as_array_mut().unwrap() {
        let claim = claim.as_object_mut().unwrap();
        claim.retain(|name, _| !["figures", "points", "would_change"].contains(&name.as_str()));
    }
    for figure in metrics["figures"].as_array_mut().unwrap() {
        figure.as_object_mut().unwrap().remove("doubts");
    }
    std::fs::write(&path, metrics.to_string()).unwrap();
    assert!(claim(&dir)["would_change"].is_null());
    assert!(!dir.succeed(&["claims", "--out", "runs/smoke"]).stdout().contains("What would change it"));
}

#[test]
fn figures_are_doubted_by_what_their_trainings_did() {
    let dir = Dir::new();
    let points = ["--set", "train_size=50", "--set", "validation_size=20"];
    let simulate = ["simulate", "--fn", "sin-sq", "--epochs", "5", "--repeats", "4"];
    let metrics_of = metrics(&dir, &[&simulate[..], &points].concat());
    assert!(doubts(&metrics_of, "target").is_empty());
    let said = doubts(&metrics_of, "predictions").join(" ");
    assert!(said.contains("12 of 12 trainings were ended by the last epoch"), "{said}");
    assert!(said.contains("4 seeds: too few"), "{said}");
    let predictions = list(&metrics_of, "figures").iter().find(|figure| figure["name"] == "predictions").unwrap();
    let caption = text(predictions, "caption");
    assert!(
        caption.contains("Of the 4 seeds the full line is the one whose final training loss is the median"),
        "{caption}"
    );
    let wild = metrics(&Dir::new(), &["grad-norm", "--set", "learning_rate=1e30", "--epochs", "5"]);
    assert!(doubts(&wild, "loss").iter().any(|said| said.starts_with("1 of 1 trainings diverged")), "{wild}");
    let line = ["--set", "alphas=6", "--set", "alpha_min=-1", "--set", "alpha_max=1"];
    let interpolate = ["interpolate", "--model", "784-4-10", "--set", "train_size=256", "--epochs", "1"];
    let beyond = metrics(&Dir::new(), &[&interpolate[..], &line].concat());
    assert!(doubts(&beyond, "interpolation").iter().any(|said| said.starts_with("α goes from -1 to 1:")), "{beyond}");
    assert!(doubts(&beyond, "curves").iter().all(|said| !said.starts_with('α')));
}
