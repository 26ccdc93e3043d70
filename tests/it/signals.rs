//! Signals of every kind, and a reader of standard output that goes away: what is done stays, and the exit code says why.
#![cfg(unix)]

use crate::common::Dir;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A training that ends with a signal only, and leaves a checkpoint then.
const ENDLESS: [&str; 9] = [
    "simulate",
    "--fn",
    "sin-sq",
    "--model",
    "1-8-1",
    "--epochs",
    "100000000",
    "--set=convergence=0",
    "--set=train_size=100",
];
const STUDY: &str = "runs/report/simulate-sin-sq";

fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn send(child: &Child, signal: i32) {
    // SAFETY: a child of ours that has not been waited for.
    assert_eq!(unsafe { libc::kill(i32::try_from(child.id()).unwrap(), signal) }, 0);
}

/// Waits until its trial is well under way: handlers are installed before, and there is something to keep.
fn under_way(dir: &Dir) {
    let begin = Instant::now();
    while !dir.path().join("runs/report/.progress.json").exists() {
        assert!(begin.elapsed() < Duration::from_secs(120), "no trial began");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn checkpoints(dir: &Dir) -> usize {
    let files = dir.files(&format!("{STUDY}/trials"));
    files.iter().filter(|(name, _)| name.ends_with(".checkpoint")).count()
}

fn ended(child: Child) -> (Option<i32>, String, Output) {
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), stderr, output)
}

#[test]
fn every_signal_that_ends_a_run_checkpoints_says_so_and_gives_its_exit_code() {
    for (signal, name) in
        [(libc::SIGINT, "Ctrl-C"), (libc::SIGTERM, "SIGTERM"), (libc::SIGHUP, "SIGHUP"), (libc::SIGUSR1, "SIGUSR1")]
    {
        let dir = Dir::new();
        let child = start(&mut dir.command(&ENDLESS));
        under_way(&dir);
        send(&child, signal);
        let (code, stderr, _) = ended(child);
        assert_eq!(code, Some(128 + signal), "{stderr}");
        let told = format!("hw1: interrupted by {name}; 0 of 1 trials are done and kept, the same command goes on");
        assert!(stderr.contains(&told), "{stderr}");
        assert_eq!(checkpoints(&dir), 1, "{stderr}");
        assert!(!dir.path().join("runs/report/.progress.json").exists());
    }
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let dir = Dir::new();
    let mut command = dir.command(&ENDLESS);
    // As nohup does. SAFETY: between fork and exec, where only such calls are made.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
            Ok(())
        });
    }
    let child = start(&mut command);
    under_way(&dir);
    send(&child, libc::SIGHUP);
    std::thread::sleep(Duration::from_millis(500));
    send(&child, libc::SIGTERM);
    let (code, stderr, _) = ended(child);
    assert_eq!(code, Some(143), "{stderr}");
    assert!(!stderr.contains("SIGHUP") && stderr.contains("interrupted by SIGTERM"), "{stderr}");
}

#[test]
fn a_second_term_waits_for_the_checkpoint_and_the_first_signal_gives_the_exit_code() {
    let dir = Dir::new();
    let child = start(&mut dir.command(&ENDLESS));
    under_way(&dir);
    send(&child, libc::SIGUSR1);
    // Seen ten times a second; then a scheduler whose patience is over.
    std::thread::sleep(Duration::from_millis(120));
    for _ in 0..3 {
        // It may have ended: then nobody is there to get it.
        let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).stderr(Stdio::null()).status();
    }
    let (code, stderr, _) = ended(child);
    assert!(matches!(code, Some(138 | 143)), "{code:?} {stderr}");
    assert_eq!(checkpoints(&dir), 1, "{stderr}");
}

#[test]
fn a_reader_that_goes_away_stops_nothing_and_is_told_by_the_exit_code() {
    let dir = Dir::new();
    let mut child = start(&mut dir.command(&["simulate", "--preset", "smoke", "--fn", "sin-sq"]));
    drop(child.stdout.take());
    let (code, stderr, _) = ended(child);
    assert_eq!(code, Some(141), "{stderr}");
    assert!(!stderr.contains("error") && !stderr.contains("pipe"), "{stderr}");
    let study = dir.path().join("runs/smoke/simulate-sin-sq");
    assert!(study.join("metrics.json").exists() && study.join("figures").exists());
    for arguments in [&["show", "--preset", "smoke"][..], &["claims", "--preset", "smoke"], &["data", "list"]] {
        let mut child = start(&mut dir.command(arguments));
        drop(child.stdout.take());
        assert_eq!(ended(child).0, Some(141), "{arguments:?}");
    }
}

#[test]
fn who_looks_at_a_run_under_way_sees_how_far_it_is() {
    let dir = Dir::new();
    let child = start(&mut dir.command(&ENDLESS));
    under_way(&dir);
    let found: serde_json::Value = serde_json::from_str(&dir.succeed(&["show", "--json"]).stdout()).unwrap();
    let progress = &found["progress"];
    assert_eq!((&progress["trials"], &progress["done"]), (&1.into(), &0.into()), "{progress}");
    let now = &progress["running"][0];
    assert_eq!(now["name"], "simulate-sin-sq: 1-8-1, seed 0");
    assert!(now["share"].as_f64().unwrap() < 1.0 && now["state"].as_str().unwrap().contains("of 100000000, loss"));
    let text = dir.succeed(&["show"]).stdout();
    assert!(text.contains("\n0 of 1 trials done") && text.contains("  simulate-sin-sq: 1-8-1, seed 0: "), "{text}");
    send(&child, libc::SIGTERM);
    assert_eq!(ended(child).0, Some(143));
    let found: serde_json::Value = serde_json::from_str(&dir.succeed(&["show", "--json"]).stdout()).unwrap();
    assert!(found["progress"].is_null());
}
