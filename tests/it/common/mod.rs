//! The harness: runs the real binary in a folder of its own.

pub mod browser;
pub mod memory;
pub mod sets;
pub mod shim;
pub mod slurm;
pub mod tiny;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// hw1 keeps ignoring what it was started to ignore; tests may run under nohup, or in the background of a script.
#[cfg(unix)]
fn heeds_signals(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    // SAFETY: between fork and exec, where only such calls are made.
    unsafe {
        command.pre_exec(|| {
            for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        });
    }
}

/// A working folder that goes away with its test.
pub struct Dir(TempDir);

/// All records and weights, by study and name.
pub fn trials(runs: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let mut all = std::collections::BTreeMap::new();
    let entries = |path: &Path| std::fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
    for study in entries(runs) {
        for path in entries(&study.join("trials")) {
            all.insert(path.strip_prefix(runs).unwrap().display().to_string(), std::fs::read(&path).unwrap());
        }
    }
    all
}

/// The weights that a trial's record names, beside it.
#[track_caller]
pub fn weights_of(record: &Path) -> PathBuf {
    let stem = format!("{}.", record.file_stem().unwrap().to_str().unwrap());
    let entries = std::fs::read_dir(record.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let is_its = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(&stem) && name.ends_with(".safetensors")
    };
    let found: Vec<PathBuf> = entries.filter(is_its).collect();
    assert_eq!(found.len(), 1, "{}: {found:?}", record.display());
    found[0].clone()
}

impl Dir {
    /// The weights of a trial, by the folder of its study.
    #[track_caller]
    pub fn weights(&self, study: &str, trial: &serde_json::Value) -> PathBuf {
        let fingerprint = trial["fingerprint"].as_str().unwrap();
        weights_of(&self.path().join(study).join(format!("trials/{fingerprint}.json")))
    }

    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A command that runs hw1 here.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hw1"));
        command.args(arguments).current_dir(self.path()).env_remove("RUST_BACKTRACE");
        #[cfg(unix)]
        heeds_signals(&mut command);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran(self.command(arguments).output().unwrap())
    }

    /// Runs hw1 and requires success.
    pub fn succeed(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code(), 0, "hw1 {arguments:?}: {}", ran.stderr());
        ran
    }

    pub fn json(&self, path: &str) -> Value {
        let path = self.path().join(path);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_str(&text).unwrap()
    }

    /// Files of a folder by name, with their contents.
    pub fn files(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(self.path().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (name(&path), std::fs::read(&path).unwrap()))
            .collect();
        files.sort();
        files
    }

    /// The name of the only study's folder in a run directory.
    pub fn only_study(&self, run_dir: &str) -> String {
        let mut names: Vec<String> = std::fs::read_dir(self.path().join(run_dir))
            .unwrap()
            .map(|entry| name(&entry.unwrap().path()))
            .filter(|name| !name.starts_with('.'))
            .collect();
        assert_eq!(names.len(), 1, "{names:?}");
        names.remove(0)
    }

    /// The only record of a study's folder.
    pub fn only_record(&self, folder: &str) -> PathBuf {
        let trials = self.path().join(folder).join("trials");
        let mut records: Vec<PathBuf> = std::fs::read_dir(trials)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        assert_eq!(records.len(), 1, "{records:?}");
        records.remove(0)
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Requires that a study's smoke run, which `metrics` makes, leaves the same bytes with one trial at a time and with two.
pub fn assert_jobs_change_nothing(study: &str, metrics: impl Fn(&Dir, &[&str]) -> Value) {
    let (one, two) = (Dir::new(), Dir::new());
    metrics(&one, &[study, "--jobs", "1"]);
    metrics(&two, &[study, "--jobs", "2"]);
    let folder = format!("runs/smoke/{study}/trials");
    assert!(one.files(&folder) == two.files(&folder), "{study} differs");
}

/// What a run of the binary left.
pub struct Ran(Output);

impl Ran {
    pub fn new(output: Output) -> Self {
        Self(output)
    }

    pub fn code(&self) -> i32 {
        self.0.status.code().unwrap_or(-1)
    }

    pub fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }

    /// Requires an exit code and one line of error that holds every one of `words`.
    pub fn fails(&self, code: i32, words: &[&str]) {
        let stderr = self.stderr();
        assert_eq!(self.code(), code, "{stderr}");
        let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("hw1: error: ")).collect();
        assert_eq!(errors.len(), 1, "one line of error: {stderr}");
        for word in words {
            assert!(errors[0].contains(word), "'{word}' in: {}", errors[0]);
        }
        assert!(!stderr.contains("panicked") && !stderr.contains("backtrace"), "{stderr}");
    }
}
