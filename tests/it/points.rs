//! `--points` through the binary, in smoke mode: measured points in the place of a function.

use crate::common::Dir;
use serde_json::{Value, json};
use std::fs;

/// Of this many points, with the y of one of them changed by so much: irregular x, some of them twice, of a scale
/// that no network learns as it stands.
fn csv(n: u32, change: f64) -> String {
    let row = |i: u32| {
        let year = 1950.0 + f64::from(i * i % 71) + f64::from(i % 4) * 0.25;
        let y = 2.5e6 * ((year - 1950.0) / 12.0).sin() + 1e4 * f64::from(i * 7 % 11);
        format!("{year},{}\n", if i == 3 { y + change } else { y })
    };
    format!("x,y\n{}", (0..n).map(row).collect::<String>())
}

fn with_points() -> Dir {
    let dir = Dir::new();
    write(&dir, "Measured flow.csv", &csv(60, 0.0));
    dir
}

fn write(dir: &Dir, name: &str, text: &str) {
    fs::write(dir.path().join(name), text).unwrap();
}

/// The three studies, with the folder of each.
const STUDIES: [(&str, &str); 3] =
    [("simulate", "simulate-measured-flow"), ("grad-norm", "grad-norm"), ("min-ratio", "min-ratio")];

const SMOKE: [&str; 4] = ["--preset", "smoke", "--out", "run"];

fn arguments<'a>(study: &'a str, file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&[study, "--points", file], &SMOKE[..], more].concat()
}

fn fingerprints(dir: &Dir, arguments: &[&str]) -> Vec<String> {
    let listed = dir.succeed(&[arguments, &["--dry-run"]].concat()).stdout();
    let words = listed.lines().filter_map(|line| line.split("  ").nth(1).map(str::to_owned));
    words.filter(|word| word.len() == 24).collect()
}

#[test]
fn every_study_of_a_function_takes_points() {
    let dir = with_points();
    for (study, folder) in STUDIES {
        let first = dir.succeed(&arguments(study, "Measured flow.csv", &[]));
        assert!(first.stdout().starts_with(&format!("{folder}, Measured flow.csv\n")), "{}", first.stdout());
        assert!(first.stdout().contains("Learned from 48 points; 12 are held out"), "{}", first.stdout());
        let metrics = dir.json(&format!("run/{folder}/metrics.json"));
        for trial in metrics["trials"].as_array().unwrap() {
            let loss = trial["scalars"]["final_validation_loss"].as_f64().unwrap();
            assert!(loss > 0.0 && loss < 3.0, "{study}: standardised, so of the order of 1, and not {loss}");
        }
        let settings = metrics["settings"].as_object().unwrap();
        // Wherever it is read from.
        let path = dir.path().join("Measured flow.csv");
        assert_eq!((&settings["points"], &settings["validation_share"]), (&json!(path), &json!(0.2)));
        for of_functions in ["function", "domain", "train_size", "validation_size"] {
            assert!(!settings.contains_key(of_functions), "{study}: {of_functions}");
        }
        let (provenance, summary) = (&metrics["provenance"]["data"], &metrics["summary"]);
        assert_eq!((&provenance["name"], &summary["data"]), (&"Measured flow.csv".into(), &"Measured flow.csv".into()));
        assert!(provenance["identity"].as_str().unwrap().ends_with(" train 48 held out 12"));
        assert!(!summary.as_object().unwrap().contains_key("function"));
        // 1950 to 2021.
        let mean = summary["standardised"]["x"]["mean"].as_f64().unwrap();
        assert!(mean > 1960.0 && mean < 2010.0, "{mean}");
        assert_eq!(summary["held_out"].as_array().unwrap().len(), 12);
        for figure in metrics["figures"].as_array().unwrap() {
            let said = format!("{} {}", figure["title"], figure["caption"]);
            assert!(said.contains("Measured flow.csv") && !said.contains("between") && !said.contains('{'), "{said}");
        }
        assert!(metrics["claims"].as_array().unwrap().iter().all(|claim| {
            let id = claim["id"].as_str().unwrap();
            id.starts_with("grad-norm") || id.starts_with("min-ratio")
        }));

        let again = dir.succeed(&arguments(study, "Measured flow.csv", &[]));
        assert!(again.stderr().contains("trials were done before and are reused"), "{}", again.stderr());
        assert!(!again.stderr().contains("started"), "{}", again.stderr());
    }
    dir.succeed(&["verify", "--out", "run", "--recompute", "1"]);
    dir.succeed(&["show", "--out", "run"]);
    dir.succeed(&["compare", "run", "run"]);
    let page = dir.succeed(&["report", "--out", "run"]);
    let html = fs::read_to_string(dir.path().join(page.stdout().trim_end())).unwrap();
    assert!(html.contains("Measured flow.csv</b> <small>(report: none)</small>"));
}

#[test]
fn predictions_are_in_their_own_units() {
    let dir = with_points();
    let more = ["--epochs", "2000", "--model", "1-40-40-1"];
    dir.succeed(&arguments("simulate", "Measured flow.csv", &more));
    let metrics = dir.json("run/simulate-measured-flow/metrics.json");
    let (trial, summary) = (&metrics["trials"][0], &metrics["summary"]);
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    let held_out = summary["held_out"].as_array().unwrap();
    let (predictions, deviation) =
        (numbers(&trial["series"]["prediction"]), summary["standardised"]["y"]["deviation"].as_f64().unwrap());
    assert_eq!(predictions.len(), held_out.len());
    let errors: Vec<f64> =
        predictions.iter().zip(held_out).map(|(prediction, point)| prediction - point[1].as_f64().unwrap()).collect();
    let mean_square = errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64;
    let loss = trial["scalars"]["final_validation_loss"].as_f64().unwrap();
    assert!((mean_square / deviation.powi(2) - loss).abs() < 1e-4 * loss, "{mean_square} {loss}");
    assert!(loss < 0.05, "{loss}: far below 1, that of the mean");
    let largest = errors.iter().fold(0f64, |largest, error| largest.max(error.abs()));
    let maximum = trial["scalars"]["maximum_error"].as_f64().unwrap();
    assert!((largest - maximum).abs() < 1e-4 * maximum, "{largest} {maximum}");
    let (x, y) = (numbers(&trial["series"]["curve_x"]), numbers(&trial["series"]["curve"]));
    assert!(x.is_sorted() && (x[0], x[x.len() - 1]) == (1950.0, 2014.0), "{} to {}", x[0], x[x.len() - 1]);
    assert!(x.len() == y.len() && y.iter().all(|y| y.abs() < 5e6));
}

#[test]
fn records_are_of_the_points_and_not_of_the_file() {
    let dir = with_points();
    let mut reversed: Vec<String> = csv(60, 0.0).lines().skip(1).map(|line| format!("{line}\n")).collect();
    reversed.reverse();
    write(&dir, "other.csv", &format!("x,y\n{}", reversed.concat()));
    write(&dir, "changed.csv", &csv(60, 1.0));
    for (study, _) in STUDIES {
        let of = |file: &str, more: &[&str]| fingerprints(&dir, &arguments(study, file, more));
        let first = of("Measured flow.csv", &[]);
        assert!(!first.is_empty());
        assert_eq!(of("other.csv", &[]), first);
        for others in [of("changed.csv", &[]), of("other.csv", &["--set", "validation_share=0.3"])] {
            assert!(others.len() == first.len() && others.iter().all(|other| !first.contains(other)), "{study}");
        }
    }
}

#[test]
fn resolved_settings_repeat_a_run() {
    let dir = with_points();
    for (study, folder) in STUDIES {
        dir.succeed(&arguments(study, "Measured flow.csv", &["--set", "validation_share=0.4"]));
        let settings = format!("run/{folder}/settings.toml");
        // From another folder, too.
        let elsewhere = Dir::new();
        let from = |path: &str| dir.path().join(path).to_str().unwrap().to_owned();
        elsewhere.succeed(&[study, "--config", &from(&settings), "--out", &from("second")]);
        assert!(dir.files(&format!("run/{folder}/trials")) == dir.files(&format!("second/{folder}/trials")));
        let second = fs::read_to_string(dir.path().join(format!("second/{folder}/settings.toml"))).unwrap();
        assert_eq!(second, fs::read_to_string(dir.path().join(settings)).unwrap());
    }
}

#[test]
fn folders_of_points_are_no_functions() {
    let dir = Dir::new();
    let folder = |file: &str| {
        write(&dir, file, &csv(20, 0.0));
        let listed = dir.succeed(&arguments("simulate", file, &["--dry-run"])).stdout();
        listed.split("  ").next().unwrap().to_owned()
    };
    assert_eq!(folder("a b_C.d.csv"), "simulate-a-b-c-d");
    for (file, start) in [
        ("sin-sq.csv", "simulate-sin-sq-"),
        ("sin_sq", "simulate-sin-sq-"),
        ("x-2d711642.csv", "simulate-x-2d711642-"),
        ("a-name-of-more-than-twenty-four-letters.csv", "simulate-a-name-of-more-than-twen-"),
        ("測定.csv", "simulate-"),
    ] {
        let found = folder(file);
        let hash = found.strip_prefix(start).unwrap_or_else(|| panic!("{found}"));
        assert!(hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{found}");
    }
}

#[test]
fn without_points_nothing_speaks_of_them() {
    let dir = Dir::new();
    for (study, folder) in [("simulate", "simulate-sin-sq"), ("grad-norm", "grad-norm"), ("min-ratio", "min-ratio")] {
        dir.succeed(&[&[study, "--set", "points="], &SMOKE[..]].concat());
        for file in ["settings.toml", "metrics.json"] {
            let text = fs::read_to_string(dir.path().join(format!("run/{folder}/{file}"))).unwrap();
            // But for the command that was given, and the points a claim was judged by.
            let text = text.replace("points=", "").replace("\"points\":[{", "");
            assert!(!text.contains("points =") && !text.contains("\"points") && !text.contains("validation_share"));
        }
    }
}

#[test]
fn what_cannot_be_learned_from_is_a_line_of_error() {
    let dir = with_points();
    for (name, text, words) in [
        ("no-x.csv", "t,y\n1,2\n2,3\n3,4\n", ["no-x.csv", "name two of them x and y"]),
        ("words.csv", "x,y\n1,2\n2,high\n3,4\n", ["words.csv, line 3", "\"high\" is no number"]),
        ("two.csv", "x,y\n1,2\n2,3\n", ["two.csv", "has 2 points"]),
        ("one-x.csv", "x,y\n1,2\n1,3\n1,5\n1,9\n", ["one-x.csv", "x has no standard deviation"]),
        ("one-y.csv", "x,y\n1,2\n2,2\n3,2\n4,2\n", ["one-y.csv", "y has no standard deviation"]),
    ] {
        write(&dir, name, text);
        dir.run(&arguments("simulate", name, &[])).fails(1, &words);
    }
    write(&dir, "function.toml", "train_size = 100");
    write(&dir, "share.toml", "validation_share = 0.5");
    for (study, _) in STUDIES {
        let usage_error = |file: &str, more: &[&str], words: &[&str]| {
            dir.run(&arguments(study, file, more)).fails(2, words);
        };
        dir.run(&arguments(study, "nowhere.csv", &[])).fails(1, &["nowhere.csv"]);
        usage_error("", &[], &["--points", "names no file"]);
        let given = "--points gives points and ";
        usage_error("Measured flow.csv", &["--fn", "x"], &[given, "--fn gives function"]);
        usage_error("Measured flow.csv", &["--domain", "0:1"], &[given, "--domain gives domain"]);
        usage_error("Measured flow.csv", &["--config", "function.toml"], &[given, "function.toml gives train_size"]);
        usage_error("Measured flow.csv", &["--set", "validation_share=1"], &["validation_share is 1", "below 1"]);
        dir.run(&[study, "--config", "share.toml"]).fails(2, &["share.toml gives validation_share", "points"]);
    }
    dir.run(&arguments("grad-norm", "Measured flow.csv", &["--dataset", "synthetic"])).fails(2, &["--dataset none"]);
    assert!(!dir.path().join("run").exists());
}
