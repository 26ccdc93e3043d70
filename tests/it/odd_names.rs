//! Run directories with odd names: blanks, quotes, line ends, bytes that are no text, very long ones, links.

use crate::common::{Dir, Ran};
use std::ffi::{OsStr, OsString};
use std::fs;

const STUDY: [&str; 10] =
    ["simulate", "--preset", "smoke", "--quiet", "--fn", "x^2", "--model", "1-2-1", "--set", "epochs=3"];

fn run(dir: &Dir, arguments: &[&str], out: &OsStr) -> Ran {
    Ran::new(dir.command(arguments).arg("--out").arg(out).output().unwrap())
}

fn odd_names() -> Vec<OsString> {
    let mut names: Vec<OsString> =
        ["it's \"two\"\nlines \u{1b}[31mred", "deep/%41#?&<b>é\\", "link"].map(OsString::from).into();
    #[cfg(unix)]
    names.push(std::os::unix::ffi::OsStringExt::from_vec(b"no text \xff\xfe".to_vec()));
    names
}

#[test]
#[cfg(unix)]
fn a_run_directory_may_have_any_name() {
    use std::os::unix::ffi::OsStrExt as _;
    let dir = Dir::new();
    fs::create_dir(dir.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", dir.path().join("link")).unwrap();
    for name in odd_names() {
        let ran = run(&dir, &STUDY, &name);
        assert_eq!((ran.code(), ran.stderr()), (0, String::new()), "{name:?}");
        assert!(!ran.stdout().contains('\u{1b}'), "{}", ran.stdout());
        for look in ["show", "verify"] {
            let ran = run(&dir, &[look], &name);
            assert_eq!((ran.code(), ran.stderr()), (0, String::new()), "{look} {name:?}");
            assert!(!ran.stdout().contains('\u{1b}'), "{}", ran.stdout());
        }
        for format in ["html", "markdown"] {
            let output = dir.command(&["report", "--format", format, "--out"]).arg(&name).output().unwrap();
            assert!(output.status.success(), "{name:?}");
            // To a program the very bytes.
            let path = dir.path().join(OsStr::from_bytes(output.stdout.strip_suffix(b"\n").unwrap()));
            let page = fs::read_to_string(&path).unwrap();
            assert!(!page.contains('\u{1b}'));
            let links = page.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
            let links: Vec<String> = links.filter(|link| !link.starts_with('#')).map(|l| l.replace('\\', "")).collect();
            assert!(format == "html" || !links.is_empty());
            for link in &links {
                assert!(path.parent().unwrap().join(link).is_file(), "{link}");
            }
        }
    }
}

#[test]
#[cfg(unix)]
fn the_command_that_goes_on_can_be_typed_whatever_the_name() {
    if std::process::Command::new("bash").arg("--version").output().is_err() {
        eprintln!("skipped: there is no bash here");
        return;
    }
    for name in odd_names().into_iter().filter(|name| name != "link" && !name.to_string_lossy().starts_with("deep")) {
        let dir = Dir::new();
        assert_eq!(run(&dir, &STUDY, &name).code(), 0);
        let study = fs::read_dir(dir.path().join(&name)).unwrap().map(|entry| entry.unwrap().path());
        let study = study.filter(|path| path.is_dir()).collect::<Vec<_>>().remove(0);
        let metrics = study.join("metrics.json");
        fs::remove_file(&metrics).unwrap();
        let shown: serde_json::Value = serde_json::from_str(&run(&dir, &["show", "--json"], &name).stdout()).unwrap();
        let command = shown["studies"][0]["command"].as_str().unwrap();
        assert!(!command.contains(char::is_control), "{command}");
        assert!(run(&dir, &["show"], &name).stdout().contains(command), "{command}");
        let (_, arguments) = command.split_once("hw1 ").unwrap();
        let typed = format!("{} {arguments}", env!("CARGO_BIN_EXE_hw1"));
        let ran = std::process::Command::new("bash").args(["-c", &typed]).current_dir(dir.path()).output().unwrap();
        assert!(ran.status.success() && metrics.is_file(), "{typed}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

#[test]
fn names_that_no_file_system_takes_give_one_line() {
    let dir = Dir::new();
    let folders = |count: usize| vec!["y".repeat(200); count].join("/");
    // Too long by itself; in all; where the study's folder is added; where a record's name is.
    for (name, words) in [
        ("x".repeat(300), &["cannot", "--out"][..]),
        (folders(45), &["cannot", "--out"]),
        (format!("{}/{}", folders(20), "z".repeat(60)), &["cannot", "--out"]),
        (format!("{}/{}", folders(20), "z".repeat(30)), &["cannot"]),
    ] {
        run(&dir, &STUDY, name.as_ref()).fails(1, words);
    }
    run(&dir, &["show"], folders(45).as_ref()).fails(1, &["cannot read the run directory"]);
    run(&dir, &["report"], folders(45).as_ref()).fails(1, &["no study in"]);
}

#[test]
#[cfg(unix)]
fn a_link_to_nowhere_is_named() {
    let dir = Dir::new();
    std::os::unix::fs::symlink("gone/away", dir.path().join("link")).unwrap();
    for out in ["link", "link/deeper"] {
        run(&dir, &STUDY, OsStr::new(out))
            .fails(1, &["link is a link to gone/away, which is not there: make that folder"]);
    }
}
