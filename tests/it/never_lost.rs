//! Whatever ends a run (a kill, a signal, a full disk), the same command goes on, and its records are
//! those of an uninterrupted run, byte for byte.
#![cfg(unix)]

use crate::common::Dir;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const SMOKE: [&str; 7] = ["all", "--preset", "smoke", "--out", "runs", "--jobs", "2"];

/// Every record and weights file under a run directory, by study and name.
fn trials(runs: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let entries = |path: &Path| std::fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
    for study in entries(runs) {
        for path in entries(&study.join("trials")) {
            if path.extension().is_some_and(|extension| extension == "json" || extension == "safetensors") {
                let name = path.strip_prefix(runs).unwrap().display().to_string();
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// Those of an uninterrupted run of all studies, with one trial at a time.
fn expected() -> &'static BTreeMap<String, Vec<u8>> {
    static EXPECTED: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    EXPECTED.get_or_init(|| {
        let dir = Dir::new();
        dir.succeed(&["all", "--preset", "smoke", "--out", "runs", "--jobs", "1", "--quiet"]);
        let trials = trials(&dir.path().join("runs"));
        assert!(trials.len() > 80, "{}", trials.len());
        trials
    })
}

/// What stands is what an uninterrupted run leaves, as far as it goes.
fn check(runs: &Path, is_whole: bool) {
    let (found, expected) = (trials(runs), expected());
    for (name, bytes) in &found {
        // Weights may stand without their record yet, and are then of no account.
        assert!(expected.get(name) == Some(bytes), "{name} differs from an uninterrupted run's");
    }
    assert!(!is_whole || found.len() == expected.len(), "{} files of {}", found.len(), expected.len());
}

/// The lines of all logs under a run directory that tell this event.
fn events(runs: &Path, event: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for study in std::fs::read_dir(runs).into_iter().flatten() {
        let log = std::fs::read_to_string(study.unwrap().path().join("log.jsonl")).unwrap_or_default();
        found.extend(log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()));
    }
    found.retain(|line| line["event"] == event);
    found
}

fn checkpoints(runs: &Path) -> usize {
    let studies = std::fs::read_dir(runs).into_iter().flatten().map(|study| study.unwrap().path().join("trials"));
    let files = studies.flat_map(|trials| std::fs::read_dir(trials).into_iter().flatten());
    // A file on its way to another name may be gone by now.
    files.flatten().filter(|file| file.path().extension().is_some_and(|extension| extension == "checkpoint")).count()
}

/// A command that keeps a checkpoint at each epoch's end.
fn eager(dir: &Dir, arguments: &[&str]) -> Command {
    let mut command = dir.command(arguments);
    command.env("HW1_CHECKPOINT_SECONDS", "0").stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: a child of ours that has not been waited for.
    assert_eq!(unsafe { libc::kill(i32::try_from(child.id()).unwrap(), signal) }, 0);
}

/// Waits for a child; `None` where it still runs after that long.
fn ended_within(child: &mut Child, time: Duration) -> Option<std::process::ExitStatus> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if begin.elapsed() >= time {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Numbers in 0…1 that look random (SplitMix64).
struct Moments(u64);

impl Moments {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// All studies, killed `HW1_TEST_KILLS` times (50 where nothing else is said).
#[test]
fn killed_at_random_moments() {
    let kills: u32 = std::env::var("HW1_TEST_KILLS").map_or(50, |text| text.parse().unwrap());
    let mut moments = Moments(u64::from(kills));
    let (mut done, mut runs_ended, mut resumed) = (0, 0, 0);
    while done < kills {
        let dir = Dir::new();
        let runs = dir.path().join("runs");
        loop {
            let mut child = eager(&dir, &SMOKE).spawn().unwrap();
            let patience = if done < kills { 0.05 + 1.5 * moments.next() } else { 600.0 };
            let status = ended_within(&mut child, Duration::from_secs_f64(patience));
            if status.is_none() {
                child.kill().unwrap();
                child.wait().unwrap();
                done += 1;
            }
            check(&runs, status.is_some());
            if let Some(status) = status {
                assert!(status.success(), "{status}");
                break;
            }
        }
        runs_ended += 1;
        assert_eq!(checkpoints(&runs), 0, "checkpoints go away when the record stands");
        let lines = events(&runs, "resumed");
        assert!(lines.iter().all(|line| line["epoch"].as_u64().unwrap() > 0));
        resumed += lines.len();
    }
    println!("{done} kills, {runs_ended} runs ended, {resumed} trials went on from a checkpoint");
    assert!(resumed > 0);
}

/// Each study's trainings really go on from where they were.
#[test]
fn every_study_goes_on_from_its_checkpoints() {
    for study in [
        "simulate --fn sin-sq",
        "simulate --fn sign-sin",
        "mnist-cnn",
        "pca-weights",
        "grad-norm",
        "min-ratio",
        "random-labels",
        "params-sweep",
        "interpolate",
        "sensitivity",
    ] {
        let arguments: Vec<&str> =
            study.split(' ').chain(["--preset", "smoke", "--out", "runs", "--jobs", "1"]).collect();
        let found = (0..20).any(|_| {
            let dir = Dir::new();
            let runs = dir.path().join("runs");
            let mut child = eager(&dir, &arguments).spawn().unwrap();
            while checkpoints(&runs) == 0 && child.try_wait().unwrap().is_none() {}
            let _ = child.kill();
            child.wait().unwrap();
            let stood = checkpoints(&runs) > 0;
            dir.succeed(&arguments);
            check(&runs, false);
            let resumed = events(&runs, "resumed").len();
            assert!(resumed <= 1 && (resumed == 1) == stood, "{study}: {resumed} resumed, {stood}");
            stood
        });
        assert!(found, "{study}: no checkpoint was caught");
    }
}

#[test]
fn signals_in_the_middle_of_an_epoch() {
    const LONG: [&str; 12] = [
        "random-labels",
        "--dataset",
        "synthetic",
        "--model",
        "784-64-10",
        "--set",
        "train_size=6000",
        "--epochs",
        "50",
        "--out",
        "runs",
        "--quiet",
    ];
    let whole = Dir::new();
    let begin = Instant::now();
    whole.succeed(&LONG);
    // A share of what a whole run takes: epochs have ended by then, and more are to come, on a machine
    // of any speed and load.
    let midway = begin.elapsed() / 3;
    let whole = trials(&whole.path().join("runs"));
    for (number, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        let dir = Dir::new();
        let runs = dir.path().join("runs");
        let mut child = dir.command(&LONG).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // No checkpoint is due for 30 s.
        while !runs.join("random-labels").exists() {}
        assert!(ended_within(&mut child, midway).is_none(), "too short a run to be stopped");
        assert_eq!(checkpoints(&runs), 0);
        signal(&child, number);
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains("the same command goes on"), "{stderr}");
        assert_eq!(checkpoints(&runs), 1);
        dir.succeed(&LONG);
        assert_eq!(events(&runs, "resumed").len(), 1);
        assert!(trials(&runs) == whole);
        assert_eq!(checkpoints(&runs), 0);
    }
}

#[test]
fn two_and_four_at_once() {
    for processes in [2, 4] {
        let dir = Dir::new();
        let runs = dir.path().join("runs");
        let arguments = ["all", "--preset", "smoke", "--out", "runs", "--jobs", "1"];
        let mut children: Vec<Child> = (0..processes).map(|_| eager(&dir, &arguments).spawn().unwrap()).collect();
        // The lock of a dead process does not block.
        std::thread::sleep(Duration::from_millis(700));
        children[0].kill().unwrap();
        assert!(!children[0].wait().unwrap().success());
        for child in &mut children[1..] {
            assert!(child.wait().unwrap().success());
        }
        check(&runs, true);
        let mut done: Vec<String> = events(&runs, "done").iter().map(|line| line["fingerprint"].to_string()).collect();
        let all = done.len();
        done.sort();
        done.dedup();
        assert_eq!(done.len(), all, "no trial ran twice");
    }
}

#[test]
fn the_number_of_jobs_does_not_show() {
    for jobs in ["2", "4"] {
        let dir = Dir::new();
        dir.succeed(&["all", "--preset", "smoke", "--out", "runs", "--jobs", jobs, "--quiet"]);
        check(&dir.path().join("runs"), true);
    }
}

/// A spoilt checkpoint is set aside with a warning, and its trial begins anew.
#[test]
fn spoilt_and_foreign_checkpoints() {
    const LONG: [&str; 11] =
        ["simulate", "--fn", "x", "--model", "1-8-1", "--set", "convergence=0", "--epochs", "20000", "--out", "runs"];
    let whole = Dir::new();
    whole.succeed(&LONG);
    let whole = trials(&whole.path().join("runs"));
    // Of one trial, stopped on its way.
    let stopped = |seed: &str| {
        let dir = Dir::new();
        let mut child = eager(&dir, &[&LONG[..], &["--seed", seed]].concat()).spawn().unwrap();
        while checkpoints(&dir.path().join("runs")) == 0 {
            assert!(child.try_wait().unwrap().is_none());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        dir
    };
    let folder = |dir: &Dir| {
        let study = dir.only_study("runs");
        dir.path().join("runs").join(study).join("trials")
    };
    let checkpoint = |dir: &Dir| {
        let mut files = std::fs::read_dir(folder(dir)).unwrap().map(|entry| entry.unwrap().path());
        files.find(|path| path.extension().is_some_and(|extension| extension == "checkpoint")).unwrap()
    };
    let dir = stopped("0");
    let (path, good) = (checkpoint(&dir), std::fs::read(checkpoint(&dir)).unwrap());
    let foreign = std::fs::read(checkpoint(&stopped("1"))).unwrap();
    let mut changed = good.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 4;
    for (n, bad) in (1..).zip([&b""[..], b"not one", &good[..good.len() - 1], &good[..90], &foreign, &changed]) {
        for name in whole.keys() {
            let _ = std::fs::remove_file(dir.path().join("runs").join(name));
        }
        std::fs::write(&path, bad).unwrap();
        let ran = dir.succeed(&LONG);
        let aside = format!("{}.set-aside-{n}", path.file_name().unwrap().to_str().unwrap());
        let warnings: Vec<String> =
            ran.stderr().lines().filter(|line| line.contains("warning")).map(str::to_owned).collect();
        assert_eq!(warnings.len(), 1, "{}", ran.stderr());
        assert!(warnings[0].contains(&aside) && warnings[0].contains("begins anew"), "{warnings:?}");
        assert!(std::fs::read(path.with_file_name(aside)).unwrap() == bad);
        assert!(trials(&dir.path().join("runs")) == whole);
    }
    // Beside a standing record it goes, whatever is in it.
    std::fs::write(&path, &good).unwrap();
    dir.succeed(&LONG);
    assert!(!path.exists());
    assert!(events(&dir.path().join("runs"), "resumed").is_empty());
}

/// A tiny file system fills up half-way; with some space freed, the same command goes on.
#[test]
fn a_full_disk() {
    let dir = Dir::new();
    std::fs::create_dir(dir.path().join("small")).unwrap();
    let script = r#"
        set -u
        mount -t tmpfs -o size=3m tmpfs small || exit 77
        head -c "$FILLER" /dev/zero > small/filler
        "$HW1" all --only "$STUDIES" --preset smoke --out small/runs --jobs 2 --quiet > /dev/null 2> full.txt
        echo $? > full.code
        cp -r small/runs full
        umount small
        mkdir again && mount -t tmpfs -o size=200m tmpfs again && cp -r full/. again
        "$HW1" all --only "$STUDIES" --preset smoke --out again --jobs 2 --quiet > /dev/null 2> again.txt
        echo $? > again.code
        cp -r again whole
    "#;
    for filler in ["3100k", "2900k", "2500k", "2000k", "1000k", "0"] {
        let ran = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
            .env("HW1", env!("CARGO_BIN_EXE_hw1"))
            .env("FILLER", filler)
            .env("STUDIES", "simulate,grad-norm,random-labels,pca-weights")
            .env("HW1_CHECKPOINT_SECONDS", "0")
            .current_dir(dir.path())
            .output();
        if !ran.is_ok_and(|ran| ran.status.success()) {
            println!("skipped: no file system can be mounted here");
            return;
        }
        let text = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!((text("full.code").trim(), text("again.code").trim()), ("1", "0"), "{}", text("full.txt"));
        let told = text("full.txt");
        // Beside which studies the page is without.
        let reasons: Vec<&str> = told.lines().filter(|line| !line.contains("is without results on the page")).collect();
        assert_eq!(reasons.len(), 1, "{told}");
        let reason = reasons[0];
        assert!(reason.contains("cannot write") || reason.contains("cannot create"), "{reason}");
        check(&dir.path().join("full"), false);
        check(&dir.path().join("whole"), false);
        for name in ["full", "again", "whole"] {
            std::fs::remove_dir_all(dir.path().join(name)).unwrap();
        }
    }
}
