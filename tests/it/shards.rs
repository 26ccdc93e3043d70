//! Shards of a run side by side in one run directory, and the results that `hw1 report` makes of them.

use crate::common::{Dir, Ran, shim, trials, weights_of};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;

/// Studies whose trials stand alone, and such that build on others: of a seed, of a group, one on the other.
const RUN: [&str; 13] = [
    "all",
    "--preset",
    "smoke",
    "--only",
    "simulate,interpolate,pca-weights,min-ratio",
    "--repeats",
    "2",
    "--set",
    "pca-weights.grid=3",
    "--set",
    "min-ratio.trainings=2",
    "--quiet",
    "--jobs=1",
];
const TOY: [&str; 9] = ["simulate", "--preset", "smoke", "--fn", "sin-sq", "--epochs", "3", "--quiet", "--jobs=1"];

fn out<'a>(words: &[&'a str], folder: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [words, &["--out", folder], more].concat()
}

/// Names of the hidden files of a run directory, and the logs, that a process may leave.
fn left(runs: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for folder in fs::read_dir(runs).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for entry in [folder.clone(), folder.join("trials")].iter().filter_map(|path| fs::read_dir(path).ok()).flatten()
        {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.starts_with('.') || name.starts_with("log.") && name != "log.jsonl" {
                found.push(name);
            }
        }
    }
    found
}

/// What metrics.json says of a study, but when and how fast it was made.
fn metrics(dir: &Dir, path: &str) -> Value {
    let mut metrics = dir.json(&format!("{path}/metrics.json"));
    for own in ["provenance", "sha256"] {
        metrics.as_object_mut().unwrap().remove(own);
    }
    metrics["table"]["notes"].as_array_mut().unwrap().retain(|note| !note.as_str().unwrap().contains("more here."));
    metrics
}

#[test]
fn shards_side_by_side_leave_what_one_process_leaves() {
    let dir = Dir::new();
    dir.succeed(&out(&RUN, "alone", &[]));
    let shards = ["0/3", "1/3", "2/3"].map(|shard| {
        let mut command = dir.command(&out(&RUN, "runs", &["--shard", shard]));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    let mut counts = Vec::new();
    for shard in shards {
        let ran = Ran::new(shard.wait_with_output().unwrap());
        assert_eq!((ran.code(), ran.stderr().as_str()), (0, ""), "{}", ran.stdout());
        let words: Vec<String> = ran.stdout().split(' ').map(str::to_owned).collect();
        assert!(ran.stdout().contains(" done; when all shards are: hw1 report --out runs"), "{}", ran.stdout());
        assert_eq!(words[2], words[5], "{}", ran.stdout());
        counts.push(words[2].parse::<usize>().unwrap());
    }
    let (alone, runs) = (dir.path().join("alone"), dir.path().join("runs"));
    assert!(trials(&runs) == trials(&alone));
    let records = trials(&alone).keys().filter(|name| name.ends_with(".json")).count();
    assert_eq!(counts.iter().sum::<usize>(), records);
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    // No shard makes results, and each has a log of its own.
    assert!(!runs.join("report.html").exists() && !runs.join("pca-weights/metrics.json").exists());
    assert!(left(&runs).iter().any(|name| name.starts_with("log.")));

    let ran = dir.succeed(&["report", "--out", "runs"]);
    assert_eq!(ran.stderr(), "");
    assert_eq!(left(&runs), [""; 0]);
    let mut studies = 0;
    for entry in fs::read_dir(&alone).unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.path().is_dir()) {
        let study = entry.file_name().into_string().unwrap();
        let [alone, runs] = ["alone", "runs"].map(|of| metrics(&dir, &format!("{of}/{study}")));
        assert!(alone == runs, "{study}");
        studies += 1;
    }
    assert_eq!(studies, 5);
    dir.succeed(&["verify", "--out", "runs", "--recompute", "1"]);
    // Nothing is left to do, of a shard or of all.
    let before = fs::read(runs.join("pca-weights/metrics.json")).unwrap();
    dir.succeed(&["report", "--out", "runs"]);
    assert!(
        fs::read(runs.join("pca-weights/metrics.json")).unwrap() == before,
        "results that stand are not made again"
    );
    for more in [&["--shard", "1/3", "--dry-run"][..], &["--dry-run"]] {
        assert!(dir.succeed(&out(&RUN, "runs", more)).stdout().contains("Nothing is left to do."));
    }
}

#[test]
fn what_is_missing_is_said_and_made_by_whoever_comes_next() {
    let dir = Dir::new();
    let toy = |more: &[&'static str]| dir.succeed(&out(&TOY, "runs", more));
    toy(&["--repeats", "2", "--shard", "0/2"]);
    let ran = dir.succeed(&["report", "--out", "runs"]);
    let said = ran.stderr();
    assert!(said.starts_with("hw1: simulate-sin-sq: 3 of 6 trials are missing: "), "{said}");
    assert!(said.contains("go on: hw1 simulate --config runs/simulate-sin-sq/settings.toml --out runs"), "{said}");
    let partial = dir.json("runs/simulate-sin-sq/metrics.json");
    assert_eq!((partial["missing"].as_u64(), partial["trials"].as_array().unwrap().len()), (Some(3), 3));
    let notes = partial["table"]["notes"].to_string();
    assert!(notes.contains("Partial: 3 of 6 trials have not run yet"), "{notes}");
    let page = fs::read_to_string(dir.path().join("runs/report.html")).unwrap();
    assert!(page.contains("Partial, as some trials have not run yet"));
    let shown = dir.succeed(&["show", "--out", "runs"]).stdout();
    assert!(shown.contains("unfinished, 3 of 6 trials are done"), "{shown}");
    // The other shard, again and again; then a call of all has nothing to do but the results.
    toy(&["--repeats", "2", "--shard", "1/2"]);
    toy(&["--repeats", "2", "--shard", "1/2"]);
    assert_eq!(dir.succeed(&["report", "--out", "runs"]).stderr(), "");
    let whole = metrics(&dir, "runs/simulate-sin-sq");
    assert!(whole["missing"].is_null() && whole["trials"].as_array().unwrap().len() == 6);
    dir.succeed(&out(&TOY, "alone", &["--repeats", "2"]));
    assert!(metrics(&dir, "alone/simulate-sin-sq") == whole);
}

#[test]
fn what_failed_in_a_shard_is_told_as_failed() {
    let dir = Dir::new();
    dir.succeed(&out(&TOY, "runs", &["--shard", "0/2"]));
    let listed = dir.succeed(&out(&TOY, "runs", &["--dry-run"])).stdout();
    let due = listed.lines().find(|line| line.ends_with("  due")).unwrap();
    let [_, fingerprint, name, _] = due.split("  ").collect::<Vec<_>>()[..] else { panic!("{due}") };
    let line = serde_json::json!({"event": "failed", "time": "2026-01-01T00:00:00Z", "fingerprint": fingerprint,
        "reason": "a node without memory"});
    fs::write(dir.path().join("runs/simulate-sin-sq/log.node7-3.jsonl"), format!("{line}\n")).unwrap();
    let shown = dir.succeed(&["show", "--out", "runs"]).stdout();
    assert!(shown.contains(&format!("  failed: {name}: a node without memory")), "{shown}");
    let json: Value = serde_json::from_str(&dir.succeed(&["show", "--out", "runs", "--json"]).stdout()).unwrap();
    assert_eq!(json["studies"][0]["failed"][0]["trial"], name);
    dir.succeed(&["report", "--out", "runs"]);
    let metrics = dir.json("runs/simulate-sin-sq/metrics.json");
    assert_eq!(metrics["failures"][0]["trial"], name);
    // Begun again it has not failed.
    dir.succeed(&out(&TOY, "runs", &["--shard", "1/2"]));
    dir.succeed(&["report", "--out", "runs"]);
    let metrics = dir.json("runs/simulate-sin-sq/metrics.json");
    assert!(metrics["failures"].as_array().is_none_or(Vec::is_empty) && metrics["missing"].is_null(), "{metrics}");
}

#[test]
fn the_same_shard_twice_at_once_does_no_harm() {
    let dir = Dir::new();
    dir.succeed(&out(&TOY, "alone", &[]));
    // With and without locks and links.
    for machine in [&[][..], &[("SHIM_FLOCK", "38"), ("SHIM_LINK", "1")]] {
        let folder = if machine.is_empty() { "runs" } else { "bare" };
        let start = || {
            let words = out(&TOY, folder, &["--shard", "0/1"]);
            let mut command =
                if machine.is_empty() { dir.command(&words) } else { shim::command(&dir, machine, &words)? };
            Some(command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
        };
        let both: Vec<_> = [(); 3].iter().filter_map(|()| start()).collect();
        if both.is_empty() {
            return;
        }
        for mut one in both {
            assert!(one.wait().unwrap().success());
        }
        assert!(trials(&dir.path().join(folder)) == trials(&dir.path().join("alone")));
        dir.succeed(&["report", "--out", folder]);
        dir.succeed(&["verify", "--out", folder]);
        assert_eq!(left(&dir.path().join(folder)), [""; 0]);
    }
}

#[test]
fn a_stale_listing_hides_no_record() {
    let dir = Dir::new();
    let stale = |words: &[&str]| {
        let mut command = shim::command(&dir, &[("SHIM_UNLISTED", ".json")], words)?;
        let ran = Ran::new(command.output().unwrap());
        assert_eq!(ran.code(), 0, "{}", ran.stderr());
        Some(ran)
    };
    dir.succeed(&out(&TOY, "runs", &["--shard", "0/2"]));
    let before = trials(&dir.path().join("runs"));
    // The same again has nothing to do; the other one does its own.
    let Some(ran) = stale(&out(&TOY, "runs", &["--shard", "0/2", "--dry-run"])) else { return };
    assert!(ran.stdout().contains("Nothing is left to do."), "{}", ran.stdout());
    stale(&out(&TOY, "runs", &["--shard", "0/2"]));
    assert!(trials(&dir.path().join("runs")) == before);
    stale(&out(&TOY, "runs", &["--shard", "1/2"]));
    // Weights of records that are not listed are no orphans.
    assert_eq!(stale(&["report", "--out", "runs"]).map(|ran| ran.stderr()), Some(String::new()));
    let whole = metrics(&dir, "runs/simulate-sin-sq");
    assert!(whole["missing"].is_null() && whole["trials"].as_array().unwrap().len() == 3);
    dir.succeed(&out(&TOY, "alone", &[]));
    assert!(trials(&dir.path().join("runs")) == trials(&dir.path().join("alone")));
    assert!(metrics(&dir, "alone/simulate-sin-sq") == whole);
}

#[test]
fn records_of_before_have_their_weights_under_the_old_name() {
    let dir = Dir::new();
    dir.succeed(&out(&TOY, "runs", &[]));
    let study = dir.path().join("runs/simulate-sin-sq/trials");
    let records: Vec<_> = fs::read_dir(&study).unwrap().map(|entry| entry.unwrap().path()).collect();
    let records = records.into_iter().filter(|path| path.extension().is_some_and(|of| of == "json"));
    for record in records {
        fs::rename(weights_of(&record), record.with_extension("safetensors")).unwrap();
    }
    let before = trials(&dir.path().join("runs"));
    assert!(dir.succeed(&out(&TOY, "runs", &["--dry-run"])).stdout().contains("Nothing is left to do."));
    dir.succeed(&["verify", "--out", "runs", "--recompute", "1"]);
    dir.succeed(&["report", "--out", "runs"]);
    assert!(trials(&dir.path().join("runs")) == before);
}

#[test]
fn what_killed_shards_left_goes_once_nobody_works_there() {
    let dir = Dir::new();
    dir.succeed(&out(&TOY, "runs", &["--shard", "0/1"]));
    let (runs, study) = (dir.path().join("runs"), dir.path().join("runs/simulate-sin-sq"));
    let before = trials(&runs);
    let (name, _) = before.iter().find(|(name, _)| name.ends_with(".json")).unwrap();
    let stem = Path::new(name).file_stem().unwrap().to_str().unwrap();
    // Weights of who came second, and of who was killed before the record; a half of a file; a word of its progress.
    let orphans = [format!("{stem}.0123456789abcdef"), "0123456789abcdef01234567.0123456789abcdef".to_owned()];
    for orphan in &orphans {
        fs::write(study.join(format!("trials/{orphan}.safetensors")), "of nobody").unwrap();
    }
    fs::write(study.join("trials/.hw1-node7-1-abc"), "half").unwrap();
    fs::write(
        runs.join(".progress-node7-1.json"),
        r#"{"trials":4,"done":1,"reused":0,"resumed":0,"failed":0,"seconds_left":9.0,"running":[],"shard":"2/5"}"#,
    )
    .unwrap();
    let shown = dir.succeed(&["show", "--out", "runs"]).stdout();
    assert!(shown.contains("shard 2/5 on node7-1: 1 of 4 trials done; about 9s left"), "{shown}");
    let json: Value = serde_json::from_str(&dir.succeed(&["show", "--out", "runs", "--json"]).stdout()).unwrap();
    assert_eq!((&json["shards"][0]["process"], &json["shards"][0]["is_lost"]), (&"node7-1".into(), &false.into()));
    // A shard leaves all of it to others.
    dir.succeed(&out(&TOY, "runs", &["--shard", "0/1"]));
    assert_eq!(trials(&runs).len(), before.len() + 3);
    dir.succeed(&["report", "--out", "runs"]);
    assert!(trials(&runs) == before && !runs.join(".progress-node7-1.json").exists());
}

#[test]
fn while_shards_work_a_report_is_of_what_has_results_and_a_call_of_all_waits() {
    let dir = Dir::new();
    dir.succeed(&out(&TOY, "runs", &[]));
    let lock = hw1::store::RunDir::new(dir.path().join("runs")).among_others().try_lock().unwrap().unwrap();
    let said = dir.succeed(&["report", "--out", "runs"]).stderr();
    assert!(said.contains("others work in runs now") && said.contains("again"), "{said}");
    assert!(dir.succeed(&["show", "--out", "runs"]).stdout().contains("another hw1 works here now"));
    // A further shard does not wait; one of all does.
    dir.succeed(&out(&TOY, "runs", &["--shard", "0/2"]));
    let mut all = dir.command(&out(&TOY, "runs", &[])).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(600));
    assert!(all.try_wait().unwrap().is_none(), "it waits");
    drop(lock);
    assert!(all.wait().unwrap().success());
}

#[test]
fn what_is_no_shard_is_refused() {
    let dir = Dir::new();
    // As clap has it: more than a line.
    let refused = |more: &[&str], words: &[&str]| {
        let ran = dir.run(&[&TOY[..], &["--out", "runs"], more].concat());
        assert!(ran.code() == 2 && words.iter().all(|word| ran.stderr().contains(word)), "{more:?}: {}", ran.stderr());
    };
    for (shard, words) in [
        ("3", &["is no shard", "i/K"][..]),
        ("4/4", &["counted from 0", "3/4"]),
        ("0/0", &["at least 1"]),
        ("a/b", &["is no shard"]),
    ] {
        refused(&["--shard", shard], words);
    }
    refused(&["--shard", "0/2", "--force"], &["--force"]);
    refused(&["--shard", "0/2", "--json"], &["--json"]);
    assert!(!dir.path().join("runs").exists());
    // Of more shards than trials some have none, and that is no fault.
    let ran = dir.succeed(&out(&TOY, "runs", &["--shard", "40/50"]));
    assert!(ran.stdout().starts_with("shard 40/50: 0 of its 0 trials done"), "{}", ran.stdout());
}
