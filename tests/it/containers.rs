//! Containers: a share of a machine, and a root with little on it.

use crate::common::{Dir, Ran, shim};
use serde_json::Value;
use std::fs;

/// A machine's files, below a folder.
fn machine(dir: &Dir, name: &str, files: &[(&str, &str)]) -> String {
    let root = dir.path().join(name);
    for (name, text) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root.display().to_string()
}

const MEMORY: (&str, &str) = ("proc/meminfo", "MemTotal: 268435456 kB\nMemAvailable: 134217728 kB\n");

/// Two of 64 cores and 3 GB of memory, by either version of control groups; the first as a container sees it, which is
/// told of a path outside.
fn shares(dir: &Dir) -> [String; 2] {
    let second = [
        MEMORY,
        ("proc/self/cgroup", "0::/pod/app\n"),
        ("sys/fs/cgroup/pod/cpu.max", "200000 100000\n"),
        ("sys/fs/cgroup/pod/app/cgroup.controllers", "cpu memory\n"),
        ("sys/fs/cgroup/pod/app/cpu.max", "max 100000\n"),
        ("sys/fs/cgroup/pod/memory.max", "3000000000\n"),
        ("sys/fs/cgroup/pod/memory.current", "1000000000\n"),
        ("sys/fs/cgroup/pod/app/memory.max", "max\n"),
    ];
    let first = [
        MEMORY,
        ("proc/self/cgroup", "9:cpu,cpuacct:/\n4:memory:/docker/1234\n"),
        ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n"),
        ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "3000000000\n"),
        ("sys/fs/cgroup/memory/memory.usage_in_bytes", "1000000000\n"),
    ];
    [machine(dir, "second", &second), machine(dir, "first", &first)]
}

#[test]
fn as_many_jobs_as_a_container_has_cores_and_as_much_memory() {
    let dir = Dir::new();
    for root in shares(&dir) {
        let machine = [("SHIM_ROOT", &*root), ("SHIM_CPUS", "64")];
        let Some(mut command) = shim::command(&dir, &machine, &["doctor", "--json"]) else { return };
        let checks: Vec<Value> = serde_json::from_str(&Ran::new(command.output().unwrap()).stdout()).unwrap();
        let text = |name: &str| checks.iter().find(|check| check["name"] == name).unwrap()["text"].to_string();
        assert!(text("processor").contains("2 cores, as many trials at a time"), "{}", text("processor"));
        assert!(text("memory").contains("2.0 GB free of 3.0 GB, the limit of this"), "{}", text("memory"));
        let study = ["simulate", "--preset", "smoke", "--fn", "sin-sq", "--epochs", "1", "--json"];
        let ran = Ran::new(shim::command(&dir, &machine, &study).unwrap().output().unwrap());
        let metrics: Value = serde_json::from_str(&ran.stdout()).unwrap();
        assert_eq!(metrics["provenance"]["jobs"], 2, "{}", ran.stderr());
    }
}

#[test]
fn what_a_container_has_no_memory_for_is_refused_with_the_number_and_the_way_out() {
    let dir = Dir::new();
    let large = ["pca-weights", "--set", "dataset=synthetic", "--set", "snapshot_every=1", "--epochs", "600"];
    let large = [&large[..], &["--trainings", "8", "--out", "runs"]].concat();
    for root in shares(&dir) {
        let machine = [("SHIM_ROOT", &*root), ("SHIM_CPUS", "64")];
        let run = |more: &[&str]| {
            let arguments = [&large[..], more].concat();
            Some(Ran::new(shim::command(&dir, &machine, &arguments)?.output().unwrap()))
        };
        let Some(ran) = run(&[]) else { return };
        ran.fails(1, &["4800 snapshots", "2.0 GB are free", "80 %", "raise snapshot_every", "with --memory 2."]);
        assert!(!dir.path().join("runs").exists());
        run(&["--memory", "0.5"]).unwrap().fails(1, &["--memory allows 500 MB", "raise snapshot_every"]);
        let told = run(&["--dry-run"]).unwrap().stdout();
        assert!(told.contains("They hold at most 2.") && told.contains("They would be refused"), "{told}");
        let told = run(&["--dry-run", "--memory", "4"]).unwrap().stdout();
        assert!(told.contains("They hold at most 2.") && !told.contains("refused"), "{told}");
        let told = run(&["--dry-run", "--set", "snapshot_every=10"]).unwrap().stdout();
        assert!(!told.contains("refused"), "{told}");
    }
    let ran = dir.run(&["simulate", "--memory", "much"]);
    assert!(ran.code() == 2 && ran.stderr().contains("gigabytes"), "{}", ran.stderr());
    let ran = dir.succeed(&["simulate", "--preset", "smoke", "--fn", "sin-sq", "--epochs", "1"]);
    assert!(ran.stderr().starts_with("hw1: at most 2"), "{}", ran.stderr());
    // What is done needs none.
    let done = ["simulate", "--preset", "smoke", "--fn", "sin-sq", "--epochs", "1", "--quiet", "--memory", "0.001"];
    assert_eq!(dir.succeed(&done).stderr(), "");
    dir.run(&[&done[..], &["--force"]].concat()).fails(1, &["--memory allows 1 MB"]);
}

#[test]
fn figures_are_drawn_by_no_more_threads_than_there_are_jobs() {
    let dir = Dir::new();
    let study = ["simulate", "--preset", "smoke", "--fn", "sin-sq", "--epochs", "1", "--quiet", "--jobs", "1"];
    // The one that waits for signals, and the one of the trials.
    let Some(mut command) = shim::command(&dir, &[("SHIM_THREADS", "2")], &study) else { return };
    let ran = Ran::new(command.output().unwrap());
    assert_eq!(ran.code(), 0, "{}", ran.stderr());
    assert!(dir.files("runs/smoke/simulate-sin-sq/figures").len() > 2 * 2);
}

/// A user whom the system does not know, without a home, a folder for temporary files or anything in the environment; the
/// root cannot be written but for one folder.
#[cfg(target_os = "linux")]
#[test]
fn nobody_without_a_home_runs_in_one_writable_folder() {
    use std::os::unix::fs::{PermissionsExt as _, chown};
    use std::os::unix::process::CommandExt as _;

    let dir = Dir::new();
    let writable = dir.path().join("writable");
    fs::create_dir(&writable).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let is_root = chown(&writable, Some(54_321), Some(54_321)).is_ok();
    let run = |arguments: &[&str]| {
        let mut command = dir.command(arguments);
        command.env_clear().env("TMPDIR", "/nowhere").current_dir("/");
        if is_root {
            command.uid(54_321).gid(54_321);
        }
        command.output()
    };
    if let Err(error) = run(&["--version"]) {
        eprintln!("skipped: another user cannot run what is built here: {error}");
        return;
    }
    let out = writable.display().to_string();
    for arguments in [
        &["simulate", "--preset", "smoke", "--fn", "sin-sq", "--epochs", "3", "--out", &out][..],
        &["pca-weights", "--preset", "smoke", "--set", "dataset=synthetic", "--epochs", "2", "--out", &out],
        &["show", "--out", &out],
        &["report", "--out", &out],
        &["verify", "--out", &out, "--recompute", "1"],
        &["doctor", &out],
    ] {
        let ran = Ran::new(run(arguments).unwrap());
        assert_eq!(ran.code(), 0, "{arguments:?}: {}", ran.stderr());
    }
    Ran::new(run(&["simulate", "--preset", "smoke", "--fn", "sin-sq"]).unwrap())
        .fails(1, &["cannot create the folder runs/smoke", "--out"]);
}
