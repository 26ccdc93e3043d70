//! A system that gives no further thread: nothing waits for ever, and what can do without goes on.
//!
//! The system is made to refuse by the size of a stack, which works for root as well: the first fits the address
//! space that is left, the second does not; or none fits.
#![cfg(all(target_os = "linux", target_pointer_width = "64"))]

use crate::common::{Dir, Ran};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What Rust's threads ask for: no system has so much.
const NONE_FITS: (&str, &str) = ("RUST_MIN_STACK", "1152921504606846976");

/// As [`Dir::command`], where one thread can be started and a second cannot.
fn with_one_thread(dir: &Dir, arguments: &[&str]) -> Command {
    let plain = dir.command(arguments);
    let mut command = Command::new("sh");
    // In KiB: a stack of 4 GiB, and 3 for all the rest.
    command.args(["-c", "ulimit -v 7340032; exec \"$@\"", "sh"]).arg(plain.get_program()).args(plain.get_args());
    command.current_dir(dir.path()).env_remove("RUST_BACKTRACE").env("RUST_MIN_STACK", (4u64 << 30).to_string());
    command
}

/// What it leaves within two minutes: far more than it needs, far less than a trial of [`LONG`] takes.
fn ends(mut command: Command) -> Ran {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > Duration::from_secs(120) {
            child.kill().unwrap();
            panic!("it still waits: {}", Ran::new(child.wait_with_output().unwrap()).stderr());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ran::new(child.wait_with_output().unwrap())
}

#[test]
fn a_bench_of_more_trials_than_threads_says_so() {
    let dir = Dir::new();
    // The first waits for the others when the second cannot be started.
    ends(with_one_thread(&dir, &["bench", "min-ratio", "--trials", "3"]))
        .fails(1, &["cannot start thread 2 of 3", "--trials"]);
    let mut command = dir.command(&["bench", "min-ratio", "--trials", "3"]);
    command.env(NONE_FITS.0, NONE_FITS.1);
    ends(command).fails(1, &["cannot start thread 1 of 3", "--trials"]);
}

#[test]
fn a_bench_whose_cores_cannot_help_goes_on_alone() {
    let ran = ends(with_one_thread(&Dir::new(), &["bench", "min-ratio", "--threads", "4", "--json"]));
    assert_eq!(ran.code(), 0, "{}", ran.stderr());
    assert!(ran.stdout().contains("\"milliseconds\""));
}

/// Hours.
const LONG: [&str; 9] =
    ["simulate", "--fn", "sin-sq", "--set", "convergence=0", "--epochs", "100000000", "--repeats", "3"];

#[test]
fn a_run_of_more_jobs_than_threads_says_so_and_keeps_what_was_begun() {
    let dir = Dir::new();
    ends(with_one_thread(&dir, &[&LONG[..], &["--jobs", "3"]].concat()))
        .fails(1, &["cannot start thread 2 of 3", "--jobs"]);
    let mut command = dir.command(&[&LONG[..], &["--jobs", "3"]].concat());
    command.env(NONE_FITS.0, NONE_FITS.1);
    ends(command).fails(1, &["cannot start thread 1 of 3", "--jobs"]);

    // As the error says: fewer.
    let ran = ends(with_one_thread(&dir, &["simulate", "--preset", "smoke", "--jobs", "1"]));
    assert_eq!(ran.code(), 0, "{}", ran.stderr());
}

#[test]
fn figures_are_drawn_by_those_threads_there_are() {
    const FIGURES: &str = "runs/smoke/simulate-sin-sq/figures";
    let dir = Dir::new();
    let arguments = ["simulate", "--fn", "sin-sq", "--preset", "smoke"];
    dir.succeed(&arguments);
    let expected = dir.files(FIGURES);
    assert!(expected.len() > 1);
    std::fs::remove_dir_all(dir.path().join(FIGURES)).unwrap();
    let mut alone = dir.command(&arguments);
    alone.env(NONE_FITS.0, NONE_FITS.1);
    for command in [alone, with_one_thread(&dir, &arguments)] {
        let ran = ends(command);
        assert_eq!(ran.code(), 0, "{}", ran.stderr());
        assert!(dir.files(FIGURES) == expected);
        std::fs::remove_dir_all(dir.path().join(FIGURES)).unwrap();
    }
}

#[test]
fn a_download_that_gets_no_thread_says_so() {
    let dir = Dir::new();
    let mut command = dir.command(&["data", "fetch", "--data-dir", "data"]);
    command.env(NONE_FITS.0, NONE_FITS.1).env("HW1_MIRRORS", "http://127.0.0.1:9");
    ends(command).fails(1, &["cannot start a thread", "ulimit -u", "--data-dir"]);
}
