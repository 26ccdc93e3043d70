//! `hw1 data` through the binary. No test needs MNIST itself.

mod common;

use common::Dir;
use std::fs;
use std::process::Command;

/// With nothing of the user's in the environment.
fn alone(dir: &Dir, arguments: &[&str]) -> Command {
    let mut command = dir.command(arguments);
    for variable in ["HW1_DATA_DIR", "XDG_CACHE_HOME", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(variable);
    }
    command.env("HOME", dir.path());
    command
}

#[test]
fn no_mnist_is_one_error_with_the_ways_out() {
    let dir = Dir::new();
    for name in ["path", "verify"] {
        let output = alone(&dir, &["data", name]).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr.contains("hw1 data fetch") && stderr.contains("--data-dir"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn a_named_folder_without_the_files_is_refused_and_nothing_else_taken() {
    let dir = Dir::new();
    let output = alone(&dir, &["data", "path", "--data-dir", "nowhere"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("nowhere, named by --data-dir, has no train-images-idx3-ubyte"), "{stderr}");
}

#[test]
fn verify_names_every_bad_file() {
    let dir = Dir::new();
    for name in
        ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]
    {
        fs::write(dir.path().join(name), b"not an IDX file").unwrap();
    }
    let output = alone(&dir, &["data", "verify", "--data-dir", "."]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), stdout.lines().count()), (Some(1), 4));
    assert!(stdout.lines().all(|line| line.contains("cannot be taken for MNIST's")), "{stdout}");
}

#[test]
fn a_fetch_that_fails_says_what_each_mirror_said_and_leaves_nothing() {
    let dir = Dir::new();
    // A port of this machine that nobody listens on.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let output = alone(&dir, &["data", "fetch", "--mirror", &url, "--mirror", "http://example.org/"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let error = stderr.lines().find(|line| line.starts_with("hw1: error: ")).unwrap();
    assert!(error.contains(&url) && error.contains("http://example.org/") && error.contains("HTTPS"), "{error}");
    let cache = dir.path().join(".cache/hw1/mnist");
    let left: Vec<_> = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [".lock"]);
}
