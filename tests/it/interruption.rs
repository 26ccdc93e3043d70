//! Signals: what is done stays, what is half done leaves nothing behind, the same command goes on.
#![cfg(unix)]

use crate::common::Dir;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Long enough to be interrupted, and never converged.
const LONG: [&str; 12] = [
    "simulate",
    "--fn",
    "sin-sq",
    "--set",
    "train_size=400",
    "--set",
    "convergence=0",
    "--epochs",
    "1500",
    "--repeats",
    "2",
    "--set=validation_size=50",
];
const TRIALS: &str = "runs/report/simulate-sin-sq/trials";

fn start(dir: &Dir) -> Child {
    start_with(dir, &[])
}

fn start_with(dir: &Dir, more: &[&str]) -> Child {
    dir.command(&[&LONG[..], more].concat()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: a child of ours that has not been waited for.
    assert_eq!(unsafe { libc::kill(i32::try_from(child.id()).unwrap(), signal) }, 0);
}

fn records(dir: &Dir) -> usize {
    std::fs::read_dir(dir.path().join(TRIALS)).map_or(0, |entries| {
        entries.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "json")).count()
    })
}

/// Waits until the study has at least that many records.
fn wait_for_records(dir: &Dir, count: usize) {
    let begin = Instant::now();
    while records(dir) < count {
        assert!(begin.elapsed() < Duration::from_secs(120), "no record appeared");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An uninterrupted run's files.
fn expected() -> Vec<(String, Vec<u8>)> {
    let dir = Dir::new();
    dir.succeed(&LONG);
    dir.files(TRIALS)
}

#[test]
fn killed_at_any_moment_and_called_again() {
    let dir = Dir::new();
    // From the very start to well into the run; each kill finds another stage of it.
    for milliseconds in [30, 120, 250, 400, 600, 800, 1000, 1200] {
        let mut child = start(&dir);
        std::thread::sleep(Duration::from_millis(milliseconds));
        let before = records(&dir);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(records(&dir) >= before, "a record was lost");
        if records(&dir) > 0 {
            for (name, bytes) in dir.files(TRIALS).iter().filter(|(name, _)| name.ends_with(".json")) {
                assert!(serde_json::from_slice::<serde_json::Value>(bytes).is_ok(), "{name} is not whole");
            }
        }
    }
    dir.succeed(&LONG);
    assert!(dir.files(TRIALS) == expected(), "the records differ from an uninterrupted run's");
}

#[test]
fn sigint_and_sigterm_stop_in_order_and_say_how_to_go_on() {
    for (number, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        let dir = Dir::new();
        let child = start_with(&dir, &["--jobs", "2"]);
        wait_for_records(&dir, 1);
        signal(&child, number);
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains("of 6 trials are done and kept, the same command goes on"), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        let ran = dir.succeed(&LONG);
        assert!(ran.stderr().contains("of 6 trials were done before and are reused"), "{}", ran.stderr());
    }
}

#[test]
fn two_at_once_share_one_run_directory() {
    let dir = Dir::new();
    let (first, second) = (start(&dir), start(&dir));
    for child in [first, second] {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(dir.files(TRIALS) == expected());
    let log = std::fs::read_to_string(dir.path().join("runs/report/simulate-sin-sq/log.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 6, "each trial ran once");
}
