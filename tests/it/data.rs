//! `hw1 data` through the binary. No test needs MNIST itself.

use crate::common::{Dir, Ran};
use hw1::data::mnist::FILES;
use std::fs;
use std::path::{Path, PathBuf};
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

/// MNIST's files by name: where they are looked for nobody looks into them.
fn put_all(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (i, file) in FILES.iter().enumerate() {
        fs::write(folder.join(format!("{}{}", file.name, ["", ".gz"][i % 2])), "").unwrap();
    }
}

#[test]
fn folders_are_looked_at_in_order() {
    let dir = Dir::new();
    let path = |name: &str| dir.path().join(name);
    let (xdg, home) = (path("xdg/hw1/mnist"), path("home/.cache/hw1/mnist"));
    let run = |data_dir: Option<&Path>, variable: &str, arguments: &[&str]| {
        let mut command = alone(&dir, &["data"]);
        command.args(arguments).env("HW1_DATA_DIR", variable);
        command.env("XDG_CACHE_HOME", path("xdg")).env("HOME", path("home"));
        command.args(data_dir.into_iter().flat_map(|folder| [Path::new("--data-dir"), folder]));
        let ran = Ran::new(command.output().unwrap());
        let found = if ran.code() == 0 { Ok(ran.stdout().trim_end().into()) } else { Err(ran.stderr()) };
        found as Result<PathBuf, String>
    };
    let find = |data_dir, variable: &str| run(data_dir, variable, &["path"]);
    // Where a download would go; the folder is made before a mirror is asked, and this one is refused.
    let goes_to = |data_dir, variable: &str, folder: &Path| {
        let error = run(data_dir, variable, &["fetch", "--mirror", "http://mirror.invalid/"]).unwrap_err();
        assert!(error.contains("only https is asked"), "{error}");
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
        fs::remove_file(folder.join(".lock")).unwrap();
        assert!(fs::remove_dir(folder).is_ok());
    };

    // Caches: the first that has all.
    assert!(find(None, "").unwrap_err().contains("MNIST is not on this machine"));
    goes_to(None, "", &xdg);
    put_all(&home);
    assert_eq!(find(None, "").unwrap(), home);
    put_all(&xdg);
    assert_eq!(find(None, "").unwrap(), xdg);
    fs::remove_file(xdg.join(FILES[0].name)).unwrap();
    assert_eq!(find(None, "").unwrap(), home);

    // A named folder is the one, or an error.
    let (flag, variable) = (path("flag"), path("variable"));
    for (data_dir, folder, by) in [(None, &variable, "HW1_DATA_DIR"), (Some(&*flag), &flag, "--data-dir")] {
        let find = || find(data_dir, variable.to_str().unwrap());
        goes_to(data_dir, variable.to_str().unwrap(), folder);
        let error = find().unwrap_err();
        assert!(error.contains(&format!("named by {by}, has no train-images-idx3-ubyte")), "{error}");
        put_all(folder);
        fs::remove_file(folder.join("t10k-images-idx3-ubyte")).unwrap();
        let error = find().unwrap_err();
        assert!(error.contains("has no t10k-images-idx3-ubyte (plain or .gz)"), "{error}");
        put_all(folder);
        assert_eq!(find().unwrap(), *folder);
    }
}

#[test]
fn mnist_is_found_where_and_as_others_unpack_it() {
    let dir = Dir::new();
    let named = |folder: &str, name: &dyn Fn(&str) -> String| {
        let folder = dir.path().join(folder);
        fs::create_dir_all(&folder).unwrap();
        FILES.iter().for_each(|file| fs::write(folder.join(name(file.name)), "").unwrap());
        folder
    };
    let dotted = |name: &str| name.replace("-idx", ".idx");
    for (data_dir, at) in [
        ("unzipped", named("unzipped", &dotted)),
        ("packed", named("packed", &|name| format!("{}.gz", dotted(name)))),
        ("torch", named("torch/MNIST/raw", &str::to_owned)),
        ("raw", named("raw/raw", &|name| format!("{name}.gz"))),
    ] {
        let ran = Ran::new(alone(&dir, &["data", "path", "--data-dir", data_dir]).output().unwrap());
        // As it was named, and what lies below.
        let found = dir.path().join(ran.stdout().trim_end());
        assert_eq!(found, at, "{}", ran.stderr());
    }
}

#[test]
fn no_home_is_no_cache() {
    let dir = Dir::new();
    for home in [None, Some(""), Some("relative")] {
        let run = |arguments: &[&str]| {
            let mut command = alone(&dir, arguments);
            match home {
                Some(home) => command.env("HOME", home),
                None => command.env_remove("HOME"),
            };
            Ran::new(command.output().unwrap())
        };
        run(&["data", "path"]).fails(1, &["MNIST is not on this machine"]);
        run(&["data", "fetch"]).fails(1, &["HOME is not set: name a folder with --data-dir"]);
    }
}
