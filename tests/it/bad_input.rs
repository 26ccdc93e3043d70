//! Bad input: one line that names the thing and the way out, the right exit code, nothing lost.

use crate::common::{Dir, weights_of};
use std::fs;

fn usage_error(arguments: &[&str], words: &[&str]) {
    let dir = Dir::new();
    let ran = dir.run(&[&["simulate", "--preset", "smoke"], arguments].concat());
    ran.fails(2, words);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{arguments:?} wrote something");
}

#[test]
fn functions() {
    usage_error(&["--fn", "sin-cube"], &["sin-cube", "sin-sq, sign-sin"]);
    usage_error(&["--fn", "sin_sq"], &["did you mean sin-sq"]);
    usage_error(&["--fn", "2x"], &["unexpected token", "2*x"]);
    usage_error(&["--fn", "relu(x)"], &["unknown function", "tanh"]);
    usage_error(&["--fn", "sin("], &["sin(", "unexpected end", "expression in x"]);
    usage_error(&["--fn", "sin(\nx"], &["sin(", "unclosed parenthesis", "expression in x"]);
    usage_error(&["--fn", ""], &["empty"]);
    usage_error(&["--fn", "../../etc"], &["../../etc"]);
    usage_error(&["--fn", "1/x", "--domain", "0:1"], &["'1/x' is not finite at x = 0", "division by zero"]);
    usage_error(&["--fn", "log(x)"], &["log(x)", "x = -1", "out of domain"]);
    usage_error(&["--fn", &"x+".repeat(600)], &["at most 1000"]);
}

#[test]
fn domains() {
    usage_error(&["--domain", "3:-3"], &["domain 3:-3 is no range", "lower first"]);
    usage_error(&["--domain", "1:1"], &["domain 1:1 is no range"]);
    usage_error(&["--domain", "0:inf"], &["domain 0:inf"]);
    usage_error(&["--domain", "-1e308:1e308"], &["no range"]);
    usage_error(&["--fn", "x", "--domain", "0:1e300"], &["too large for float32"]);
    usage_error(&["--fn", "1e39*x"], &["'1e39*x' is too large for float32 at x = -1"]);
    usage_error(&["--domain", "0"], &["--domain", "LOW:HIGH"]);
    usage_error(&["--domain", "a:b"], &["'a:b' is not a domain"]);
}

#[test]
fn models() {
    usage_error(&["--model", "2-5-1"], &["2-5-1", "begin and end with 1"]);
    usage_error(&["--model", "1-5-3"], &["1-5-3", "begin and end with 1"]);
    usage_error(&["--model", "1-0-1"], &["width of 0"]);
    usage_error(&["--model", "big"], &["'big' is not a width"]);
    usage_error(&["--model", "1-999999999-1"], &["10 million"]);
    usage_error(&["--model", "../x=1-5-1"], &["model name", "letters"]);
    usage_error(&["--model", "1-5-1", "--model", "1-5-1"], &["given twice"]);
    usage_error(&["--model", "a=1-5-1", "--model", "a=1-6-1"], &["'a' is given twice"]);
}

/// Names end up in files: none leads out of the run directory, or is too long for one.
#[test]
fn names_that_would_be_paths() {
    for bad in ["../../escape", "/tmp/escape", "a/b", "a\\u0000b", "../x"] {
        let model = format!("models=[\"{bad}=1-5-1\"]");
        usage_error(&["--set", &model], &["model name", "letters"]);
        usage_error(&["--set", &format!("function=\"{bad}\"")], &["settings of simulate"]);
        let ran = Dir::new().run(&["verify", "--out", "x", "--preset", bad]);
        assert_eq!(ran.code(), 1);
    }
    let long = "m".repeat(300);
    let dir = Dir::new();
    let model = format!("{long}=1-5-1");
    let ran = dir.run(&["simulate", "--preset", "smoke", "--fn", "x", "--epochs", "2", "--model", &model]);
    assert!(ran.code() == 0 || ran.code() == 2, "{}", ran.stderr());
    // An expression of 300 characters has a folder of its own all the same.
    let function = format!("x{}", "+x".repeat(150));
    dir.succeed(&["simulate", "--preset", "smoke", "--epochs", "2", "--fn", &function, "--out", "long"]);
    assert!(dir.only_study("long").len() < 100);
    let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.retain(|name| name != "long" && name != "runs");
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn settings() {
    usage_error(&["--set", "epoch=3"], &["no setting 'epoch'", "epochs", "learning_rate"]);
    usage_error(&["--set", "epochs=many"], &["many", "'epochs'; its default is"]);
    usage_error(&["--set", "domain=-3:3"], &["'domain'; its default is ["]);
    usage_error(&["--set", "train_size=0.5"], &["a whole number", "'train_size'; its default is"]);
    usage_error(&["--set", "epochs"], &["key=value"]);
    usage_error(&["--seed", "9223372036854775807", "--repeats", "2"], &["seed is 9223372036854775807"]);
    usage_error(&["--epochs", "0"], &["epochs is 0"]);
    usage_error(&["--repeats", "0"], &["repeats is 0"]);
    usage_error(&["--set", "learning_rate=-1"], &["learning_rate is -1"]);
    usage_error(&["--set", "optimizer=lion"], &["lion", "adam", "sgd"]);
    usage_error(&["--set", "train_size=1"], &["train_size is 1"]);
    usage_error(&["--set", "patience=0"], &["patience is 0"]);
    usage_error(&["--set", "convergence=nan"], &["convergence is NaN"]);
    usage_error(&["--config", "nowhere.toml"], &["nowhere.toml"]);
    let dir = Dir::new();
    dir.run(&["simulate", "--preset", "paper"]).fails(2, &["unknown preset 'paper'", "report or canonical or smoke"]);
}

#[test]
fn what_clap_refuses() {
    let dir = Dir::new();
    for (arguments, word) in [
        (&["simulate", "--device", "gpu"][..], "cpu, cuda or cuda:N"),
        (&["simulate", "--jobs", "0"], "--jobs"),
        (&["simulate", "--jobs", "100000"], "--jobs"),
        (&["simulate", "--epochs", "-3"], "--epochs"),
        (&["simulate", "--colour", "red"], "--colour"),
        (&["simulat"], "simulate"),
        (&[], "simulate"),
    ] {
        let ran = dir.run(arguments);
        assert_eq!(ran.code(), 2, "{arguments:?}");
        assert!(ran.stderr().contains(word) && !ran.stderr().contains("panicked"), "{}", ran.stderr());
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn cuda_on_a_machine_without_one() {
    if std::path::Path::new("/dev/nvidia0").exists() {
        eprintln!("skipped: this machine has a CUDA device");
        return;
    }
    let dir = Dir::new();
    for device in ["cuda", "cuda:1"] {
        let ran = dir.run(&["simulate", "--preset", "smoke", "--device", device]);
        ran.fails(1, &["--device cuda", "use --device cpu"]);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn an_out_that_cannot_be_written() {
    let dir = Dir::new();
    fs::write(dir.path().join("file"), "mine").unwrap();
    dir.run(&["simulate", "--preset", "smoke", "--out", "file/runs"]).fails(1, &["file/runs", "--out"]);
    dir.run(&["simulate", "--preset", "smoke", "--out", "file"]).fails(1, &["file", "--out"]);
    assert_eq!(fs::read_to_string(dir.path().join("file")).unwrap(), "mine");
    dir.run(&["simulate", "--preset", "smoke", "--out", "/proc/hw1"]).fails(1, &["/proc/hw1", "--out"]);
}

#[test]
fn corrupted_and_foreign_records() {
    let dir = Dir::new();
    let arguments = ["simulate", "--preset", "smoke", "--fn", "sin-sq", "--model", "1-4-1"];
    dir.succeed(&arguments);
    let path = dir.only_record("runs/smoke/simulate-sin-sq");
    let name = path.file_name().unwrap().to_str().unwrap();
    let good = fs::read(&path).unwrap();

    let other = Dir::new();
    other.succeed(&[&arguments[..], &["--seed", "1"]].concat());
    let foreign = fs::read(other.only_record("runs/smoke/simulate-sin-sq")).unwrap();
    let edited = String::from_utf8(good.clone()).unwrap().replace("\"epochs\":60", "\"epochs\":61").into_bytes();

    for (n, bad) in (1..).zip([&b""[..], b"{}", b"\xff\xfe", &good[..good.len() / 2], &foreign, &edited]) {
        fs::write(&path, bad).unwrap();
        // Looking changes nothing.
        let ran = dir.succeed(&[&arguments[..], &["--dry-run"]].concat());
        assert!(ran.stdout().contains("due: its record is damaged"), "{}", ran.stdout());
        assert!(fs::read(&path).unwrap() == bad);

        let ran = dir.succeed(&arguments);
        let aside = format!("{name}.set-aside-{n}");
        let warnings: Vec<String> =
            ran.stderr().lines().filter(|line| line.contains("warning")).map(str::to_owned).collect();
        assert_eq!(warnings.len(), 1, "{}", ran.stderr());
        assert!(warnings[0].contains(&aside) && warnings[0].contains("runs again"), "{warnings:?}");
        assert!(fs::read(path.with_file_name(aside)).unwrap() == bad, "the record is kept as it was");
        assert!(fs::read(&path).unwrap() == good);
    }

    // Weights that are not the record's, and a folder in the record's place.
    let weights = weights_of(&path);
    let good_weights = fs::read(&weights).unwrap();
    fs::write(&weights, &good_weights[..good_weights.len() - 1]).unwrap();
    assert!(dir.succeed(&arguments).stderr().contains("are not those its record names"));
    assert!(fs::read(&weights).unwrap() == good_weights);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(dir.succeed(&arguments).stderr().contains("is no record of it"));
    assert!(fs::read(&path).unwrap() == good);
}

#[test]
fn a_record_truncated_anywhere_is_never_taken_for_one() {
    let dir = Dir::new();
    let arguments = [
        "simulate",
        "--preset",
        "smoke",
        "--fn",
        "x",
        "--model",
        "1-2-1",
        "--epochs",
        "2",
        "--set",
        "validation_size=2",
    ];
    dir.succeed(&arguments);
    let path = dir.only_record(&format!("runs/smoke/{}", dir.only_study("runs/smoke")));
    let good = fs::read(&path).unwrap();
    // Every byte is tried in the tests of the runner, in one process. The last one is a newline:
    // without it the record is whole.
    for length in (0..good.len() - 1).step_by(97) {
        fs::write(&path, &good[..length]).unwrap();
        let ran = dir.succeed(&[&arguments[..], &["--dry-run"]].concat());
        assert!(ran.stdout().contains("due: its record is damaged"), "{length}: {}", ran.stdout());
    }
}
