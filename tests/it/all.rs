//! `hw1 all`: every study as one run, in smoke mode.

use crate::common::{Dir, Ran};
use serde_json::Value;

/// With nothing of the user's MNIST in the environment, and no network asked.
fn run(dir: &Dir, arguments: &[&str]) -> Ran {
    let mut command = dir.command(arguments);
    command.env_remove("HW1_DATA_DIR").env_remove("XDG_CACHE_HOME").env("HOME", dir.path());
    command.env("HW1_MIRRORS", "http://mirror.invalid/");
    Ran::new(command.output().unwrap())
}

#[test]
fn every_study_runs_in_one_pool() {
    let dir = Dir::new();
    let ran = run(&dir, &["all", "--preset", "smoke", "--json"]);
    assert_eq!(ran.code(), 0, "{}", ran.stderr());
    let studies: Vec<Value> = ran.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let folders: Vec<&str> = studies.iter().map(|study| study["folder"].as_str().unwrap()).collect();
    assert_eq!(folders[..3], ["simulate-sin-sq", "simulate-sign-sin", "mnist-cnn"]);
    // The studies that take seconds have five seeds.
    let seeds = |study: &Value| study["settings"]["repeats"].as_u64().unwrap();
    for study in &studies {
        let name = study["experiment"].as_str().unwrap();
        assert_eq!(
            seeds(study),
            if ["simulate", "grad-norm", "params-sweep"].contains(&name) { 5 } else { 1 },
            "{name}"
        );
        assert!(!study["claims"].as_array().unwrap().is_empty(), "{name} has claims");
        assert!(!study["trials"].as_array().unwrap().is_empty(), "{name} has trials");
    }
    let figures: usize = studies.iter().map(|study| study["figures"].as_array().unwrap().len()).sum();
    assert!(figures >= 15, "{figures} figures");
    let page = std::fs::read_to_string(dir.path().join("runs/smoke/report.html")).unwrap();
    assert_eq!(page.matches("<img ").count(), figures);

    let again = run(&dir, &["all", "--preset", "smoke", "--dry-run"]);
    assert!(again.stdout().ends_with("Nothing is left to do.\n"), "{}", again.stdout());
    let forced = run(&dir, &["all", "--preset", "smoke", "--dry-run", "--force", "--only", "simulate,grad-norm"]);
    let text = forced.stdout();
    let told = text.lines().find(|line| line.starts_with("35 trials to run, about "));
    assert!(told.is_some_and(|line| line.contains(" at a time")), "{text}");
    assert!(text.lines().last().unwrap().starts_with("They hold at most "), "{text}");
}

#[test]
fn studies_are_chosen_and_set_by_name() {
    let dir = Dir::new();
    let trials = |arguments: &[&str]| {
        let ran = run(&dir, &[&["all", "--dry-run", "--preset", "smoke"], arguments].concat());
        assert_eq!(ran.code(), 0, "{}", ran.stderr());
        ran.stdout()
    };
    let only = trials(&["--only", "grad-norm", "--repeats", "2"]);
    assert_eq!(only.lines().filter(|line| line.starts_with("grad-norm  ")).count(), 2, "{only}");
    // Beside them how long they take, and what they hold.
    assert_eq!(only.lines().count(), 4);
    let rest = trials(&["--skip", "grad-norm,simulate", "--set", "min-ratio.trainings=7"]);
    assert_eq!(rest.lines().filter(|line| line.starts_with("min-ratio  ")).count(), 7, "{rest}");
    assert!(!rest.contains("grad-norm") && !rest.contains("simulate"));
    for (arguments, words) in [
        (&["all", "--set", "epochs=3"][..], &["--set study.key=value", "grad-norm"][..]),
        (&["all", "--set", "grad-nrm.epochs=3"], &["--set study.key=value", "grad-norm"]),
        (&["all", "--set", "grad-norm.epoch=3"], &["grad-norm has no setting 'epoch'", "epochs"]),
        (&["all", "--only", "simulate", "--skip", "simulate"], &["no study is left"]),
        (&["all", "--config", "x.toml"], &["--set study.key=value"]),
    ] {
        run(&dir, arguments).fails(2, words);
    }
}

#[test]
fn all_data_is_found_before_the_first_trial() {
    let dir = Dir::new();
    run(&dir, &["all", "--epochs", "1"]).fails(1, &["--data-dir", "hw1 data fetch"]);
    assert!(!dir.path().join("runs/report/simulate-sin-sq/log.jsonl").exists(), "nothing was trained");
}
