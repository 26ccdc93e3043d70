//! File systems that lack what a local disk has: locks, links, fsync of folders; and run directories that cannot be
//! written.

use crate::common::{Dir, Ran, shim};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Three short trainings.
const STUDY: [&str; 8] = ["simulate", "--preset", "smoke", "--fn", "sin-sq", "--epochs", "3", "--quiet"];
const ENOSYS: &str = "38";
const EIO: &str = "5";
/// Also ENOLCK, EOPNOTSUPP and EINVAL.
const NO_LOCKS: [&str; 4] = [ENOSYS, "37", "95", "22"];

fn study(out: &str) -> Vec<&str> {
    [&STUDY[..], &["--out", out]].concat()
}

/// All records and weights of a run directory, by name.
fn trials(dir: &Dir, out: &str) -> Vec<(String, Vec<u8>)> {
    let mut files = dir.files(&format!("{out}/simulate-sin-sq/trials"));
    files.retain(|(name, _)| !name.starts_with('.'));
    files
}

#[test]
fn without_locks_links_and_synced_folders_a_run_warns_once_and_cleans_up_nothing() {
    let dir = Dir::new();
    dir.succeed(&study("sound"));
    for code in NO_LOCKS {
        let folder = dir.path().join(code).join("simulate-sin-sq/trials");
        fs::create_dir_all(&folder).unwrap();
        let of_another = folder.join(".hw1-another");
        fs::write(&of_another, "of a process that runs").unwrap();
        let machine = [("SHIM_FLOCK", code), ("SHIM_LINK", ENOSYS), ("SHIM_SYNC_FOLDER", "22")];
        let Some(mut command) = shim::command(&dir, &machine, &study(code)) else { return };
        let ran = Ran::new(command.output().unwrap());
        assert_eq!(ran.code(), 0, "{}", ran.stderr());
        assert_eq!(ran.stderr().matches("hw1: warning: the file system of").count(), 1, "{}", ran.stderr());
        assert!(of_another.exists() && trials(&dir, code) == trials(&dir, "sound"), "{code}");
    }
    // With locks it is known to be nobody's.
    let left = dir.path().join("sound/simulate-sin-sq/trials/.hw1-killed");
    fs::write(&left, "half").unwrap();
    let ran = dir.succeed(&study("sound"));
    assert!(!left.exists() && ran.stderr().is_empty(), "{}", ran.stderr());
}

#[test]
fn two_at_once_without_locks_leave_what_one_leaves() {
    let dir = Dir::new();
    dir.succeed(&study("sound"));
    let start = || Some(shim::command(&dir, &[("SHIM_FLOCK", ENOSYS)], &study("runs"))?.spawn().unwrap());
    let (Some(mut one), Some(mut other)) = (start(), start()) else { return };
    assert!(one.wait().unwrap().success() && other.wait().unwrap().success());
    assert!(trials(&dir, "runs") == trials(&dir, "sound"));
    dir.succeed(&["verify", "--out", "runs"]);
}

#[test]
fn a_folder_that_fails_to_be_synced_is_an_error() {
    let dir = Dir::new();
    let Some(mut command) = shim::command(&dir, &[("SHIM_SYNC_FOLDER", EIO)], &study("runs")) else { return };
    Ran::new(command.output().unwrap()).fails(1, &["cannot write runs/simulate-sin-sq/settings.toml"]);
}

#[test]
fn a_run_directory_that_cannot_be_written_can_be_looked_at() {
    let dir = Dir::new();
    dir.succeed(&study("runs"));
    dir.succeed(&["report", "--out", "runs"]);
    let page = fs::read_to_string(dir.path().join("runs/report.html")).unwrap();
    let runs = dir.path().join("runs").display().to_string();
    let run = |arguments: &[&str]| {
        Some(Ran::new(shim::command(&dir, &[("SHIM_READ_ONLY", &runs)], arguments)?.output().unwrap()))
    };
    for arguments in [
        &["show", "--out", &runs][..],
        &["claims", "--out", &runs],
        &["compare", &runs, &runs],
        &["verify", "--out", &runs, "--recompute", "1"],
        &["report", "--out", &runs, "--to", "elsewhere.html"],
        &[&study(&runs)[..], &["--dry-run"]].concat(),
    ] {
        let Some(ran) = run(arguments) else { return };
        assert_eq!(ran.code(), 0, "{arguments:?}: {}", ran.stderr());
    }
    assert!(fs::read_to_string(dir.path().join("elsewhere.html")).unwrap() == page);
    assert!(run(&["report", "--out", &runs, "--to", "-"]).unwrap().stdout() == page);
    run(&["report", "--out", &runs]).unwrap().fails(1, &["report.html: read-only", "--to FILE"]);
    run(&["report", "--out", &runs, "--to", &format!("{runs}/a.html")]).unwrap().fails(1, &["name another file"]);
    run(&["report", "--to", ".", "--out", &runs]).unwrap().fails(1, &["--to . is no file"]);
    dir.run(&["report", "--out", "runs", "--to", "x", "--format", "markdown"]).fails(2, &["--to is for html"]);
    run(&study(&runs)).unwrap().fails(1, &["cannot write", "choose another folder with --out"]);
}

/// The doctor's word on one thing.
fn doctor(dir: &Dir, machine: &[(&str, &str)], folder: &Path, name: &str) -> Option<(String, String)> {
    let arguments = ["doctor", folder.to_str().unwrap(), "--json"];
    let ran = Ran::new(shim::command(dir, machine, &arguments)?.output().unwrap());
    let checks: Vec<Value> = serde_json::from_str(&ran.stdout()).unwrap();
    let check = checks.iter().find(|check| check["name"] == name).unwrap();
    let field = |key: &str| check[key].as_str().unwrap().to_owned();
    Some((field("state"), field("text")))
}

#[test]
fn the_doctor_says_what_a_file_system_lacks_and_leaves_nothing() {
    let dir = Dir::new();
    let folder = dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let Some((state, text)) = doctor(&dir, &[], &folder, "files") else { return };
    assert_eq!((&*state, &*text), ("ok", "locks; fsync of files and folders; hard links"));
    let of = |machine: &[(&str, &str)], name: &str| doctor(&dir, machine, &folder, name).unwrap();
    for code in NO_LOCKS {
        let (state, text) = of(&[("SHIM_FLOCK", code)], "files");
        assert!(state == "warning" && text.contains("no locks") && text.contains("one hw1 at a time"), "{text}");
    }
    let (state, text) = of(&[("SHIM_SYNC_FOLDER", "22")], "files");
    assert!(state == "warning" && text.contains("no fsync") && text.contains("power cut"), "{text}");
    let (state, text) = of(&[("SHIM_LINK", "1")], "files");
    assert!(state == "ok" && text.contains("no hard links"), "{text}");
    let (state, text) = of(&[("SHIM_READ_ONLY", folder.to_str().unwrap())], "runs");
    assert!(state == "problem" && text.contains("report --to FILE") && text.contains("--out"), "{text}");
    let (_, text) = of(&[], "runs");
    assert!(text.contains("can be written") && text.contains("free on its disk"), "{text}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}
