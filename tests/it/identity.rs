//! What makes a trial the same trial, and what makes a record's bytes the same bytes: a finished trial counts
//! whatever backend computed it, but no training is half of one and half of another, and no bytes are held
//! against those of another.
#![cfg(unix)]

use crate::common::{Dir, Ran, weights_of};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TINY: [&str; 10] =
    ["simulate", "--preset", "smoke", "--fn", "x", "--model", "1-8-1", "--set=convergence=0", "--out", "runs"];

/// Each with the part of the backend that it changes, and to what.
fn switches() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let mut switches = vec![
        ("HW1_KERNELS", "0", "kernels", json!("libtorch")),
        ("HW1_ONEDNN_LAYOUT", "0", "layout", json!("plain")),
        ("MKL_CBWR", "COMPATIBLE", "environment", json!({"MKL_CBWR": "COMPATIBLE"})),
    ];
    // Elsewhere nobody asks MKL for more than it does by itself.
    if hw1::backend::device::mkl_choice() == "native" {
        switches.push(("HW1_MKL_NATIVE", "0", "mkl", json!("default")));
    }
    switches
}

/// A command with no switch of the user's, and this one.
fn command(dir: &Dir, arguments: &[&str], switch: Option<(&str, &str)>) -> Command {
    let mut command = dir.command(arguments);
    for (name, ..) in switches() {
        command.env_remove(name);
    }
    command.envs(switch);
    command
}

fn run(dir: &Dir, arguments: &[&str], switch: Option<(&str, &str)>) -> Ran {
    let ran = Ran::new(command(dir, arguments, switch).output().unwrap());
    assert_eq!(ran.code(), 0, "{arguments:?}: {}", ran.stderr());
    ran
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// A run directory with one finished trial of [`TINY`].
struct Finished {
    dir: Dir,
    study: String,
    record: PathBuf,
}

impl Finished {
    fn new(switch: Option<(&str, &str)>) -> Self {
        let dir = Dir::new();
        run(&dir, &TINY, switch);
        let study = format!("runs/{}", dir.only_study("runs"));
        let record = dir.only_record(&study);
        Self { dir, study, record }
    }

    fn log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.dir.path().join(&self.study).join("log.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn provenance(&self) -> Value {
        self.dir.json(&format!("{}/metrics.json", self.study))["provenance"].clone()
    }

    /// The record with another backend in it, or none.
    fn set_backend(&self, backend: Option<Value>) {
        let text = fs::read_to_string(&self.record).unwrap();
        let standing = format!("\"backend\":{},", read(&self.record)["backend"]);
        assert_eq!(text.matches(&standing).count(), 1, "{text:.400}");
        let other = backend.map_or(String::new(), |backend| format!("\"backend\":{backend},"));
        fs::write(&self.record, text.replace(&standing, &other)).unwrap();
    }

    fn verify(&self, switch: Option<(&str, &str)>) -> Ran {
        run(&self.dir, &["verify", "--out", "runs", "--recompute", "1"], switch)
    }
}

const SAME: &str = "1 record, 1 run again with the same bytes: ok";
const PASSED_OVER: &str = "1 record, 0 run again with the same bytes, 1 cannot be compared here: ok";

#[test]
fn each_switch_makes_another_backend_wherever_one_stands() {
    let usual = Finished::new(None);
    let backend = read(&usual.record)["backend"].clone();
    for (name, value, part, other) in switches() {
        let switched = Finished::new(Some((name, value)));
        assert_eq!(switched.record.file_name(), usual.record.file_name(), "{name} is in no fingerprint");
        let mut expected = backend.clone();
        assert_ne!(expected[part], other, "{name}");
        expected[part] = other;
        assert_eq!(read(&switched.record)["backend"], expected, "{name}");
        let (log, provenance) = (switched.log(), switched.provenance());
        assert_eq!(log.len(), 1);
        for (part, value) in expected.as_object().unwrap() {
            assert_eq!((&log[0][part], &provenance[part]), (value, value), "{name}: {part}");
        }
        // Those who compare are told.
        let other = switched.dir.path().join("runs").display().to_string();
        let told = run(&usual.dir, &["compare", "runs", &other], None).stdout();
        assert!(told.contains(&format!("Made by {part}: ")), "{name}: {told}");
    }
}

#[test]
fn a_finished_trial_of_another_backend_counts_and_is_told() {
    for (name, value, part, _) in switches() {
        let finished = Finished::new(None);
        let (record, usual) = (fs::read(&finished.record).unwrap(), read(&finished.record)["backend"].clone());
        assert!(finished.provenance().get("other_backends").is_none());
        let ran = run(&finished.dir, &TINY, Some((name, value)));
        assert!(ran.stderr().contains("1 of 1 trials were done before and are reused"), "{}", ran.stderr());
        assert!(ran.stderr().contains("1 of them by another backend"), "{name}: {}", ran.stderr());
        assert_eq!((finished.log().len(), fs::read(&finished.record).unwrap()), (1, record), "{name}");
        let provenance = finished.provenance();
        assert_ne!(provenance[part], usual[part], "{name}");
        let mut other = usual;
        other["trials"] = 1.into();
        assert_eq!(provenance["other_backends"], json!([other]), "{name}");
        run(&finished.dir, &["report", "--out", "runs"], None);
        let page = fs::read_to_string(finished.dir.path().join("runs/report.html")).unwrap();
        assert!(page.contains("1 trial was computed before by cpu "), "{name}");
    }
}

/// Half of a training by one backend and half by another would be a record that none can repeat.
#[test]
fn a_training_does_not_go_on_from_another_backends_checkpoint() {
    const LONG: [&str; 2] = ["--epochs", "20000"];
    let long = [&TINY[..], &LONG].concat();
    for (name, value, part, _) in switches() {
        let switch = Some((name, value));
        let dir = Dir::new();
        let trials = || {
            let study = fs::read_dir(dir.path().join("runs")).into_iter().flatten().flatten();
            let files = study.flat_map(|study| fs::read_dir(study.path().join("trials")).into_iter().flatten());
            files.flatten().map(|file| file.path()).collect::<Vec<_>>()
        };
        let of_kind = |kind: &str| {
            let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
            trials().into_iter().find(|path| name(path).ends_with(kind))
        };
        let mut child = command(&dir, &long, None)
            .env("HW1_CHECKPOINT_SECONDS", "0")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while of_kind(".checkpoint").is_none() {
            assert!(child.try_wait().unwrap().is_none(), "it ended before it could be stopped");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let checkpoint = fs::read(of_kind(".checkpoint").unwrap()).unwrap();

        let ran = run(&dir, &long, switch);
        let warnings: Vec<String> =
            ran.stderr().lines().filter(|line| line.contains("warning")).map(str::to_owned).collect();
        assert_eq!(warnings.len(), 1, "{name}: {}", ran.stderr());
        for words in [&format!("it is of {part} "), &format!("and this is {part} "), "begins anew"] {
            assert!(warnings[0].contains(words), "'{words}' in {}", warnings[0]);
        }
        let aside = of_kind(".set-aside-1").expect("it is set aside, not lost");
        assert!(fs::read(aside).unwrap() == checkpoint);
        let log = fs::read_to_string(of_kind(".json").unwrap().parent().unwrap().with_file_name("log.jsonl")).unwrap();
        assert!(!log.contains("\"resumed\""), "{name}: {log}");

        let whole = Dir::new();
        run(&whole, &long, switch);
        let study = format!("runs/{}", whole.only_study("runs"));
        let expected = whole.only_record(&study);
        let found = of_kind(".json").unwrap();
        for files in [[found.clone(), expected.clone()], [weights_of(&found), weights_of(&expected)]] {
            let [found, expected] = files.map(|file| fs::read(file).unwrap());
            assert!(found == expected, "{name}");
        }
    }
}

#[test]
fn bytes_are_held_only_against_those_of_the_same_backend() {
    let finished = Finished::new(None);
    assert!(finished.verify(None).stdout().contains(SAME));
    for (name, value, ..) in switches() {
        let ran = finished.verify(Some((name, value)));
        assert!(ran.stdout().contains(PASSED_OVER), "{name}: {}", ran.stdout());
        let reason = ran.stderr();
        assert!(reason.contains(", here it is ") && reason.lines().count() == 1, "{name}: {reason}");
        // And the other way round, where those who wrote it and those who look have both set it.
        let switched = Finished::new(Some((name, value)));
        assert!(switched.verify(None).stdout().contains(PASSED_OVER), "{name}");
        assert!(switched.verify(Some((name, value))).stdout().contains(SAME), "{name}");
    }
    // The record itself says what computed it, with or without a log.
    fs::remove_file(finished.dir.path().join(&finished.study).join("log.jsonl")).unwrap();
    assert!(finished.verify(None).stdout().contains(SAME));
}

#[test]
fn records_that_do_not_say_what_computed_them_stand() {
    let finished = Finished::new(None);
    finished.set_backend(None);
    // As the log was when records were so.
    let log = finished.dir.path().join(&finished.study).join("log.jsonl");
    let mut line = finished.log().remove(0);
    for part in ["kernels", "layout", "vector_bits"] {
        assert!(line.as_object_mut().unwrap().remove(part).is_some(), "{part}");
    }
    let old = |line: &Value| fs::write(&log, format!("{line}\n")).unwrap();
    old(&line);
    let bytes = fs::read(&finished.record).unwrap();
    let ran = run(&finished.dir, &TINY, None);
    assert!(ran.stderr().contains("1 of 1 trials were done before and are reused"), "{}", ran.stderr());
    assert!(!ran.stderr().contains("warning") && !ran.stderr().contains("backend"), "{}", ran.stderr());
    assert!(fs::read(&finished.record).unwrap() == bytes, "it is left as it is");
    assert!(finished.verify(None).stdout().contains(SAME), "that it does not say it is no difference");

    // A made-up number is found, and what may excuse it said.
    let text = String::from_utf8(bytes.clone()).unwrap();
    fs::write(&finished.record, text.replace("\"diverged\":0", "\"diverged\":0,\"made_up\":1")).unwrap();
    let ran = finished.dir.run(&["verify", "--out", "runs", "--recompute", "1"]);
    ran.fails(1, &["1 problem"]);
    let line_of_it = "run again, the record's numbers differ; it is too old to say";
    assert!(ran.stdout().contains(line_of_it), "{}", ran.stdout());
    fs::write(&finished.record, bytes).unwrap();

    // What its log says is held against it.
    for (part, word) in [("libtorch", "its libtorch was"), ("mkl", "its mkl was"), ("device", "its device was")] {
        let mut other = line.clone();
        other[part] = "other".into();
        old(&other);
        let ran = finished.verify(None);
        assert!(ran.stdout().contains(PASSED_OVER) && ran.stderr().contains(word), "{part}: {}", ran.stderr());
    }
    fs::remove_file(&log).unwrap();
    assert!(finished.verify(None).stderr().contains("neither it nor a line of log.jsonl says"));
}

/// Of a later version, say: the trial is the same, whatever is said of what computed it.
#[test]
fn a_backend_of_no_known_kind_spoils_no_record() {
    let usual = Finished::new(None);
    let mut more = read(&usual.record)["backend"].clone();
    more["tomorrow"] = "quantum".into();
    for (backend, word) in [
        (json!(5), "its cpu was none"),
        (json!({"cpu": [1]}), "its cpu was [1]"),
        (json!({}), "its cpu was none"),
        (more, "its tomorrow was quantum, which this hw1 does not know of"),
    ] {
        let finished = Finished::new(None);
        finished.set_backend(Some(backend.clone()));
        let ran = run(&finished.dir, &TINY, None);
        assert!(ran.stderr().contains("are reused") && ran.stderr().contains(word), "{backend}: {}", ran.stderr());
        assert!(!ran.stderr().contains("warning"), "{}", ran.stderr());
        assert_eq!(finished.provenance()["other_backends"][0]["trials"], 1, "{backend}");
        run(&finished.dir, &["report", "--out", "runs"], None);
        let page = fs::read_to_string(finished.dir.path().join("runs/report.html")).unwrap();
        assert!(page.contains("1 trial was computed before by") && !page.contains("Without results"), "{backend}");
        let ran = finished.verify(None);
        assert!(ran.stdout().contains(PASSED_OVER) && ran.stderr().contains(word), "{backend}: {}", ran.stderr());
    }
}
