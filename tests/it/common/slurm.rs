//! A Slurm of two nodes on this machine: tests/slurm/cluster.py starts it, and its end with a test ends it.

use super::Dir;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub struct Slurm(TempDir);

/// Not above what munge trusts with its files: nobody else may write there.
fn folder() -> TempDir {
    tempfile::Builder::new().prefix("hw1-slurm-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

impl Slurm {
    /// `None`, said aloud, where it cannot be had.
    pub fn start(max_array_size: u32) -> Option<Self> {
        let slurm = Self(folder());
        let started = slurm.cluster("start", &[&max_array_size.to_string()]);
        if started.status.success() {
            return Some(slurm);
        }
        let why = String::from_utf8_lossy(&started.stderr).trim().to_owned();
        assert_eq!(started.status.code(), Some(3), "{why}");
        eprintln!("skipped: {why}");
        None
    }

    fn cluster(&self, verb: &str, more: &[&str]) -> Output {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slurm/cluster.py");
        Command::new("python3").arg(script).arg(verb).arg(self.0.path()).args(more).output().unwrap()
    }

    fn conf(&self) -> PathBuf {
        self.0.path().join("slurm.conf")
    }

    /// What commands have to know of it.
    pub fn of<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("SLURM_CONF", self.conf())
    }

    /// The lines that a command of Slurm answers.
    pub fn ask(&self, words: &[&str]) -> Vec<String> {
        let told = self.of(Command::new(words[0]).args(&words[1..])).output().unwrap();
        String::from_utf8_lossy(&told.stdout).lines().map(str::to_owned).collect()
    }

    /// That it does something.
    pub fn tell(&self, words: &[&str]) {
        let told = self.of(Command::new(words[0]).args(&words[1..])).output().unwrap();
        assert!(told.status.success(), "{words:?}: {}", String::from_utf8_lossy(&told.stderr));
    }

    /// Waits until it is so.
    pub fn wait(&self, dir: &Dir, what: &str, is_so: impl Fn() -> bool) {
        let begin = Instant::now();
        while !is_so() {
            if begin.elapsed() > Duration::from_secs(180) {
                let queue = self.ask(&["squeue"]).join("\n");
                let nodes = self.ask(&["sinfo"]).join("\n");
                panic!("not {what} in time:\n{queue}\n{nodes}\n{}", logs(dir.path()));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    pub fn wait_for_all(&self, dir: &Dir) {
        self.wait(dir, "done", || self.ask(&["squeue", "-h"]).is_empty());
    }

    /// Ends a node as a power cut does, and what runs there; then it is started again.
    pub fn kill_node(&self, node: &str) {
        let (conf, node_name) = (format!("SLURM_CONF={}", self.conf().display()), format!("SLURMD_NODENAME={node}"));
        let mut doomed = vec![std::fs::read_to_string(self.0.path().join(format!("slurmd.{node}.pid"))).unwrap()];
        for process in std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path()) {
            let text = |name: &str| std::fs::read(process.join(name)).unwrap_or_default();
            let environment = text("environ");
            let has = |word: &str| environment.split(|byte| *byte == 0).any(|part| part == word.as_bytes());
            if has(&conf) && has(&node_name) {
                let stat = String::from_utf8_lossy(&text("stat")).into_owned();
                let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)).unwrap_or("1");
                doomed.extend([parent.to_owned(), super::name(&process)]);
            }
        }
        doomed.retain(|process| process.trim() != "1");
        let _ = Command::new("kill").arg("-9").args(doomed.iter().map(|process| process.trim())).output();
        assert!(self.cluster("slurmd", &[node]).status.success());
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        self.cluster("stop", &[]);
    }
}

/// What jobs said.
pub fn logs(runs: &Path) -> String {
    let mut all = String::new();
    for path in walk(runs).into_iter().filter(|path| path.extension().is_some_and(|end| end == "log")) {
        all.push_str(&format!("{}:\n{}\n", path.display(), std::fs::read_to_string(&path).unwrap_or_default()));
    }
    all
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
