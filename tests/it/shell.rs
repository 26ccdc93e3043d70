//! At home in a shell: what hw1 prints can be pasted, completions offer values, exit codes say what came of it.

use crate::common::{Dir, Ran};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

const TINY: [&str; 8] = ["simulate", "--preset", "smoke", "--fn", "x", "--epochs", "2", "--model=a=1-5-1"];

/// The command that `show` says goes on with the only study of a run directory, whose output is lost.
fn go_on(dir: &Dir, out: &OsStr) -> String {
    for study in fs::read_dir(dir.path().join(out)).unwrap().map(|entry| entry.unwrap().path()) {
        let _ = fs::remove_file(study.join("metrics.json"));
    }
    let mut option = std::ffi::OsString::from("--out=");
    option.push(out);
    let shown = Ran::new(dir.command(&["show"]).arg(option).output().unwrap());
    let text = shown.stdout();
    let (_, command) = text.split_once("; go on: ").unwrap_or_else(|| panic!("{text}"));
    command.trim_end().to_owned()
}

#[test]
fn the_command_that_goes_on_can_be_pasted() {
    for out in [&b"-x"[..], b"it's here", b"-a\x1bb\xff", b"two words"] {
        let (dir, out) = (Dir::new(), OsStr::from_bytes(out));
        let mut option = std::ffi::OsString::from("--out=");
        option.push(out);
        let ran = Ran::new(dir.command(&TINY).arg(option).output().unwrap());
        assert_eq!(ran.code(), 0, "{}", ran.stderr());
        let command = go_on(&dir, out);
        let Ok(pasted) = Command::new("bash")
            .args(["-c", &format!("hw1() {{ \"$HW1\" \"$@\"; }}; {command}")])
            .env("HW1", env!("CARGO_BIN_EXE_hw1"))
            .current_dir(dir.path())
            .output()
        else {
            eprintln!("skipped: there is no bash here");
            return;
        };
        assert!(pasted.status.success(), "{command}: {}", String::from_utf8_lossy(&pasted.stderr));
        let studies: Vec<_> = fs::read_dir(dir.path().join(out)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(studies.iter().any(|study| study.join("metrics.json").is_file()), "{command}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{command} made another folder");
    }
}

#[test]
fn the_command_that_goes_on_names_the_data() {
    let dir = Dir::new();
    fs::create_dir(dir.path().join("sets")).unwrap();
    let tiny = ["pca-weights", "--preset", "smoke", "--model", "inputs-2-classes", "--epochs", "1", "-q", "--out", "a"];
    let sizes = ["--set", "train_size=128", "--set", "test_size=1e2", "--trainings", "1"];
    let call = |more: &[&str]| dir.succeed(&[&tiny[..], &sizes, more].concat());
    call(&["--data-dir", "sets"]);
    let named = format!("--data-dir {}", dir.path().canonicalize().unwrap().join("sets").display());
    assert!(go_on(&dir, OsStr::new("a")).ends_with(&named));
    // The last call counts.
    call(&[]);
    assert!(!go_on(&dir, OsStr::new("a")).contains("--data-dir"));
}

#[test]
fn counts_are_whole_and_one_thing_is_singular() {
    let dir = Dir::new();
    let said = dir.succeed(&["min-ratio", "--preset", "smoke", "--trainings", "2", "--epochs", "20", "-q"]).stdout();
    for (row, whole) in [("epochs ", "20 20 20"), ("positive eigenvalues ", "")] {
        let line = said.lines().find(|line| line.trim_start().starts_with(row)).unwrap();
        let cells: Vec<&str> = line.trim_start()[row.len()..].split_whitespace().collect();
        assert!(cells.iter().all(|cell| !cell.ends_with(".00") && !cell.ends_with(".000")), "{line}");
        assert!(whole.is_empty() || cells.join(" ") == whole, "{line}");
    }
    let one = ["--dry-run", "--quiet"];
    let listed = dir.succeed(&[&TINY[..], &one].concat()).stdout();
    assert!(listed.contains("\n1 trial to run"), "{listed}");
}

/// What bash completes the last word to.
fn completed(script: &Path, words: &[&str]) -> Option<Vec<String>> {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let call = format!(
        "source '{}'; COMP_WORDS=({}); COMP_CWORD={}; _hw1 hw1 '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        quoted.join(" "),
        words.len() - 1,
        words[words.len() - 1],
        words[words.len() - 2],
    );
    let output = Command::new("bash").args(["-c", &call]).output().ok()?;
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

#[test]
fn completions_offer_values() {
    let dir = Dir::new();
    let script = dir.path().join("hw1.bash");
    fs::write(&script, dir.succeed(&["completions", "bash"]).stdout()).unwrap();
    for (words, offered) in [
        (&["hw1", "simulate", "--preset", ""][..], &["report", "canonical", "smoke"][..]),
        (&["hw1", "show", "--preset", "sm"], &["smoke"]),
        (&["hw1", "mnist-cnn", "--device", ""], &["cpu", "cuda"]),
        (&["hw1", "mnist-cnn", "--data", "fa"], &["fashion-mnist"]),
        (&["hw1", "mnist-cnn", "--dataset", "mn"], &["mnist"]),
        (&["hw1", "all", "--data", "kmn"], &["kmnist"]),
        (&["hw1", "min-ratio", "--curvature", ""], &["exact", "lanczos"]),
        (&["hw1", "all", "--only", "si"], &["simulate"]),
        (&["hw1", "simulate", "--fn", "si"], &["sin-sq", "sign-sin", "sin-plus-x"]),
        (&["hw1", "simulate", "--set", "le"], &["learning_rate="]),
        (&["hw1", "mnist-cnn", "--set", "data.me"], &["data.mean="]),
        (&["hw1", "all", "--set", "simulate.le"], &["simulate.learning_rate="]),
    ] {
        let Some(mut found) = completed(&script, words) else {
            eprintln!("skipped: there is no bash here");
            return;
        };
        found.sort();
        let mut offered: Vec<&str> = offered.to_vec();
        offered.sort_unstable();
        assert_eq!(found, offered, "{words:?}");
    }
    for shell in ["zsh", "fish"] {
        let script = dir.succeed(&["completions", shell]).stdout();
        assert!(script.contains("fashion-mnist") && script.contains("lanczos"), "{shell}");
    }
    // What is offered is not all there may be.
    dir.run(&["simulate", "--preset", "paper"]).fails(2, &["unknown preset 'paper'"]);
}

#[test]
fn compare_ends_with_1_where_runs_differ() {
    let dir = Dir::new();
    for (out, seed) in [("a", "0"), ("b", "0"), ("c", "1")] {
        dir.succeed(&[&TINY[..], &["--out", out, "--seed", seed]].concat());
    }
    for (other, asked, code) in [("b", true, 0), ("c", true, 1), ("c", false, 0)] {
        for json in [false, true] {
            let more = [("--exit-code", asked), ("--json", json)];
            let more: Vec<&str> = more.iter().filter(|(_, is)| *is).map(|(flag, _)| *flag).collect();
            let ran = dir.run(&[&["compare", "a", other], &more[..]].concat());
            assert_eq!((ran.code(), ran.stderr().as_str()), (code, ""), "{other} {more:?}");
        }
    }
}

#[test]
fn a_failed_write_to_standard_output_is_a_failure() {
    if !Path::new("/dev/full").exists() {
        eprintln!("skipped: there is no /dev/full here");
        return;
    }
    let dir = Dir::new();
    dir.succeed(&[&TINY[..], &["--out", "a"]].concat());
    let run = [&TINY[..], &["--out", "a"]].concat();
    let (json, listed) = ([&run[..], &["--json"]].concat(), [&run[..], &["--dry-run"]].concat());
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["simulate", "--help"],
        &["completions", "zsh"],
        &["data", "list"],
        &["show", "--out", "a"],
        &["claims", "--out", "a"],
        &["compare", "a", "a"],
        &["verify", "--out", "a"],
        &["report", "--out", "a"],
        &["doctor"],
        &run,
        &json,
        &listed,
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = dir.command(arguments).stdout(Stdio::from(full)).output().unwrap();
        Ran::new(output).fails(1, &["cannot write to standard output"]);
    }
}
