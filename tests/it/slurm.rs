//! `hw1 slurm`: its script, on a real Slurm where one can be started here (root, slurmctld, slurmd, munge).

use crate::common::slurm::{Slurm, logs};
use crate::common::{self, Dir, Ran, shim};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Studies whose trials stand alone, and such that build on others.
const RUN: [&str; 9] = [
    "all",
    "--preset",
    "smoke",
    "--only",
    "simulate,interpolate,pca-weights,min-ratio",
    "--set",
    "min-ratio.trainings=2",
    "--set",
    "pca-weights.grid=3",
];

/// All records and weights, by study and name; checkpoints of tasks that were killed aside.
fn trials(runs: &Path) -> BTreeMap<String, Vec<u8>> {
    common::trials(runs).into_iter().filter(|(name, _)| !name.ends_with(".checkpoint")).collect()
}

fn slurm(dir: &Dir, slurm: &Slurm, words: &[&str]) -> Ran {
    let mut command = dir.command(&[&["slurm"], words].concat());
    Ran::new(slurm.of(&mut command).output().unwrap())
}

fn edit(path: &Path, pairs: &[(&str, &str)]) {
    let mut text = fs::read_to_string(path).unwrap();
    for (from, to) in pairs {
        assert!(text.contains(from), "{from}: {text}");
        text = text.replace(from, to);
    }
    fs::write(path, text).unwrap();
}

#[test]
fn where_there_is_no_slurm_the_script_is_written_and_says_what_it_does() {
    let dir = Dir::new();
    let run = |words: &[&str]| {
        let mut command = dir.command(&[&["slurm"], words].concat());
        Ran::new(command.env("PATH", dir.path()).output().unwrap())
    };
    let words = [
        "simulate",
        "--preset",
        "smoke",
        "--fn",
        "sin(9*x)",
        "--repeats",
        "3",
        "--out",
        "a run",
        "--at-once",
        "2",
        "--time",
        "7",
    ];
    let ran = run(&[&words[..], &["--", "--partition=short", "--comment=it's"]].concat());
    assert_eq!((ran.code(), ran.stdout().as_str()), (0, "a run/hw1.slurm\n"), "{}", ran.stderr());
    let said = ran.stderr();
    assert!(
        said.contains("9 trials are left") && said.contains("by rule of thumb: 1 task of 1 core, 7 minutes"),
        "{said}"
    );
    assert!(said.contains("no Slurm answers here") && said.contains("to submit it: bash 'a run/hw1.slurm'"), "{said}");
    let path = dir.path().join("a run/hw1.slurm");
    let script = fs::read_to_string(&path).unwrap();
    for line in [
        "study=(simulate --fn 'sin(9*x)' --repeats 3 --preset smoke)",
        "out='a run'",
        "tasks=1  ",
        "at_once=2  ",
        "minutes=7  ",
        "gpus=0  ",
        r"options=(--partition=short '--comment=it'\''s')  ",
    ] {
        assert!(script.contains(line), "{line}: {script}");
    }
    let checked = std::process::Command::new("bash").arg("-n").arg(&path).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    // Asked to submit it says so, and the script is there; nothing ran.
    let ran = run(&[&words[..], &["--tasks", "4", "--submit"]].concat());
    assert_eq!(ran.code(), 1);
    assert!(
        ran.stderr().contains("no sbatch here") && ran.stderr().contains("bash 'a run/hw1.slurm'"),
        "{}",
        ran.stderr()
    );
    assert!(fs::read_to_string(&path).unwrap().contains("tasks=4  "));
    assert_eq!(fs::read_dir(dir.path().join("a run")).unwrap().count(), 1);
    // What is done is not left, and tells how long the rest takes.
    dir.succeed(&["simulate", "--preset", "smoke", "--fn", "sin(9*x)", "--repeats", "2", "--out", "a run", "--quiet"]);
    let said = run(&words).stderr();
    assert!(said.contains("3 trials are left") && !said.contains("rule of thumb"), "{said}");
    // What somebody changed stays.
    edit(&path, &[("notice=120", "notice=60")]);
    let ran = run(&words);
    assert!(ran.code() == 1 && ran.stderr().contains("has been edited, and stays as it is"), "{}", ran.stderr());
    assert!(fs::read_to_string(&path).unwrap().contains("notice=60"));
    // On a GPU a task has one, and room for what CUDA holds.
    let ran = run(&["simulate", "--preset", "smoke", "--device", "cuda", "--out", "gpu"]);
    let script = fs::read_to_string(dir.path().join("gpu/hw1.slurm")).unwrap();
    assert!(ran.code() == 0 && script.contains("gpus=1  ") && script.contains("cpus=4  "), "{script}");
    assert!(!script.contains("--device cuda)"), "the script says of which");
    for (words, said) in [
        (&["simulate", "--shard", "0/2"][..], "--shard is for a run"),
        (&["simulate", "--dry-run"], "--dry-run is for a run"),
        (&["all", "--force"], "--force is for a run"),
        (&["simulate", "--config", "-"], "--config - cannot be read by each task"),
        (&["simulate", "--mem", "4GB"], "a whole number of M or G"),
        (&["simulate", "--tasks", "0"], "0 is not in"),
        (&["simulate", "--fn", "nonsense("], "nonsense("),
        (&["all", "--only", "walk"], "walk"),
    ] {
        let ran = run(&[words, &["--out", "none"]].concat());
        assert!(ran.code() == 2 && ran.stderr().contains(said), "{words:?}: {} {}", ran.code(), ran.stderr());
    }
    assert!(!dir.path().join("none").exists());
}

#[test]
fn a_task_that_gets_on_goes_on_and_one_that_cannot_be_requeued_says_so() {
    let dir = Dir::new();
    let path = |name: &str| dir.path().join(name);
    let mut command = dir.command(&["slurm", "simulate", "--preset", "smoke", "--device", "cuda", "--out", "runs"]);
    assert!(command.output().unwrap().status.success());
    fs::create_dir_all(path("bin")).unwrap();
    // A turn of two parts: what each says, and its code. Of the parts one ends before the other.
    let turns = [("0 30", "0 5"), ("2", "0 10"), ("2", "0 15"), ("2", "0 20"), ("2", "2")];
    let program = |name: &str, text: &str| {
        fs::write(path(name), format!("#!/bin/bash\n{text}\n")).unwrap();
        std::process::Command::new("chmod").arg("+x").arg(path(name)).status().unwrap();
    };
    program("bin/sleep", "exit 0");
    program("bin/scontrol", "[[ ! -e refuses ]]");
    program(
        "hw1",
        "echo \"$*\" >>calls; [[ $1 != report ]] || exit 0; shard=$(sed 's/.*--shard \\([^ ]*\\).*/\\1/' <<<\"$*\")\n\
         read -r records epochs <\"says-${shard%/*}\"\n\
         if [[ $epochs ]]; then echo \"shard $shard: interrupted with $records of its 2 trials done, and $epochs epochs of others in \
         checkpoints\"; exit 138; fi; echo \"shard $shard: $records of its 2 trials done; when all shards are: hw1 report\"",
    );
    edit(
        &path("runs/hw1.slurm"),
        &[(&format!("hw1={}", env!("CARGO_BIN_EXE_hw1")), "hw1=./hw1"), ("gpus=1 ", "gpus=2 ")],
    );
    fs::create_dir_all(path("runs/slurm")).unwrap();
    let role = |words: &[&str]| {
        let mut command = std::process::Command::new("bash");
        let places = format!("{}:{}", path("bin").display(), std::env::var("PATH").unwrap());
        command.arg("runs/hw1.slurm").args(words).current_dir(dir.path()).env("PATH", places);
        for (name, value) in [("SLURM_JOB_ID", "7"), ("SLURM_ARRAY_JOB_ID", "6"), ("SLURM_ARRAY_TASK_ID", "0")] {
            command.env(name, value);
        }
        Ran::new(command.output().unwrap())
    };
    for (turn, (first, second)) in turns.iter().enumerate() {
        fs::write(path("says-0"), format!("{first}\n")).unwrap();
        fs::write(path("says-1"), format!("{second}\n")).unwrap();
        let ran = role(&["task"]);
        let code = if turn + 1 < turns.len() { 138 } else { 0 };
        assert!(ran.code() == code && ran.stderr().is_empty(), "{turn}: {} {}", ran.code(), ran.stderr());
    }
    let calls = fs::read_to_string(path("calls")).unwrap();
    assert!(calls.contains("--shard 0/2 --device cuda:0") && calls.contains("--shard 1/2 --device cuda:1"), "{calls}");
    assert_eq!(fs::read_dir(path("runs/slurm")).unwrap().count(), 0);
    // Where Slurm refuses, the results are made all the same.
    fs::write(path("refuses"), "").unwrap();
    fs::write(path("says-1"), "0 20\n").unwrap();
    let ran = role(&["report", "6"]);
    assert!(ran.code() == 1 && ran.stderr().contains("job 7 could not be put back into the queue"), "{}", ran.stderr());
    assert!(fs::read_to_string(path("calls")).unwrap().ends_with("report --out runs\n"));
    // And where it cannot write, a task does not pass for one that is done.
    fs::remove_dir(path("runs/slurm")).unwrap();
    let ran = role(&["task"]);
    assert!(ran.code() == 1 && ran.stderr().contains("runs/slurm/of-6_0.0"), "{}", ran.stderr());
}

#[test]
fn an_array_leaves_what_one_process_leaves() {
    let Some(cluster) = Slurm::start(4) else { return };
    let dir = Dir::new();
    let runs = dir.path().join("runs");
    // At most MaxArraySize, asked for or not.
    let ran = slurm(&dir, &cluster, &[&RUN[..], &["--out", "runs", "--tasks", "5"]].concat());
    assert!(ran.code() == 2 && ran.stderr().contains("at most 4 tasks, its MaxArraySize"), "{}", ran.stderr());
    let ran = slurm(&dir, &cluster, &["simulate", "--repeats", "50", "--epochs", "10000000", "--out", "long"]);
    let script = fs::read_to_string(dir.path().join("long/hw1.slurm")).unwrap();
    assert!(ran.code() == 0 && script.contains("\ntasks=4 "), "{}", ran.stderr());

    let ran = slurm(&dir, &cluster, &[&RUN[..], &["--out", "runs", "--tasks", "4", "--submit"]].concat());
    assert!(ran.code() == 0 && ran.stdout().contains("(check)"), "{} {}", ran.stdout(), ran.stderr());
    dir.succeed(&[&RUN[..], &["--out", "alone", "--quiet"]].concat());
    cluster.wait_for_all(&dir);
    let expected = trials(&dir.path().join("alone"));
    assert!(trials(&runs) == expected, "{}", logs(&runs));
    assert!(runs.join("report.html").exists());
    assert_eq!(dir.succeed(&["report", "--out", "runs"]).stderr(), "");
    dir.succeed(&["verify", "--out", "runs"]);
    let said = logs(&runs);
    let done: Vec<&str> = said.lines().filter(|line| line.starts_with("shard ")).collect();
    // Each task, and the report's look at what is missing.
    assert!(done.len() == 5 && done.iter().all(|line| line.contains(" done; when all shards are")), "{said}");
    assert!(!said.contains("error") && !runs.join("slurm/probe").exists());

    // Two at once on a run directory without locks, and again: nothing is done twice in the end.
    fs::remove_dir_all(&runs).unwrap();
    for _ in 0..2 {
        let words = [&["slurm"], &RUN[..], &["--out", "runs", "--tasks", "3", "--submit"]].concat();
        let Some(mut command) = shim::command(&dir, &[("SHIM_FLOCK", "38")], &words) else { return };
        let ran = Ran::new(cluster.of(&mut command).output().unwrap());
        assert!(ran.code() == 0 && ran.stdout().contains("(3 tasks)"), "{}", ran.stderr());
    }
    cluster.wait_for_all(&dir);
    dir.succeed(&["report", "--out", "runs"]);
    assert!(trials(&runs) == expected, "{}", logs(&runs));
    dir.succeed(&["verify", "--out", "runs"]);
}

#[test]
fn tasks_that_are_told_to_stop_or_lose_their_node_go_on() {
    let Some(cluster) = Slurm::start(1001) else { return };
    let dir = Dir::new();
    let runs = dir.path().join("runs");
    let study = ["simulate", "--fn", "sin-sq", "--set", "convergence=0", "--epochs", EPOCHS, "--set", "train_size=200"];
    let mut command = dir.command(&[&["slurm"], &study[..], &["--out", "runs", "--tasks", "3", "--submit"]].concat());
    let ran = Ran::new(cluster.of(command.env("HW1_CHECKPOINT_SECONDS", "0.3")).output().unwrap());
    assert_eq!(ran.code(), 0, "{}", ran.stderr());
    let checkpoints = || {
        let files = fs::read_dir(runs.join("simulate-sin-sq/trials")).into_iter().flatten();
        files.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "checkpoint")).count()
    };
    cluster.wait(&dir, "all under way", || checkpoints() == 3);
    let shown = dir.succeed(&["show", "--out", "runs"]).stdout();
    assert!(shown.contains("another hw1 works here now"), "{shown}");
    let array = cluster.ask(&["squeue", "-h", "-n", "hw1-tasks", "-o", "%F"])[0].clone();
    let task = |index: u32| format!("{array}_{index}");
    cluster.tell(&["scancel", "--signal=USR1", "--batch", &task(0)]);
    cluster.tell(&["scancel", "--signal=USR1", "--full", &task(1)]);
    cluster.tell(&["scontrol", "requeue", &task(2)]);
    cluster.wait(&dir, "told", || logs(&runs).matches("interrupted with").count() >= 2);
    // Back again; then a node goes.
    let running = || cluster.ask(&["squeue", "-h", "-t", "R", "-n", "hw1-tasks", "-o", "%N"]);
    cluster.wait(&dir, "back", || running().len() == 3);
    let before = checkpoints();
    cluster.kill_node("n1");
    cluster.wait_for_all(&dir);
    dir.succeed(&[&study[..], &["--out", "alone", "--quiet"]].concat());
    assert!(before > 0 && trials(&runs) == trials(&dir.path().join("alone")), "{}", logs(&runs));
    assert!(runs.join("report.html").exists(), "{}", logs(&runs));
    let log = fs::read_to_string(runs.join("simulate-sin-sq/log.jsonl")).unwrap();
    assert!(log.matches("\"resumed\"").count() >= 3, "{log}");
    assert_eq!(checkpoints(), 0);
    dir.succeed(&["verify", "--out", "runs"]);
}

/// Some seconds.
const EPOCHS: &str = "80000";

#[test]
fn what_fails_beforehand_fails_in_a_line_and_a_task_that_gets_nowhere_stops() {
    let Some(cluster) = Slurm::start(1001) else { return };
    let dir = Dir::new();
    let runs = dir.path().join("runs");
    let words = ["simulate", "--preset", "smoke", "--fn", "sin-sq", "--out", "runs", "--tasks", "2"];
    assert_eq!(slurm(&dir, &cluster, &words).code(), 0);
    let script = runs.join("hw1.slurm");
    let hw1 = format!("hw1={}", env!("CARGO_BIN_EXE_hw1"));
    let submit = || {
        let mut command = std::process::Command::new("bash");
        Ran::new(cluster.of(command.arg(&script).current_dir("/")).output().unwrap())
    };
    for (from, to, said) in [
        (hw1.as_str(), "hw1=/nowhere/hw1", "/nowhere/hw1 does not run: "),
        ("clocks=60", "clocks=-1", "the clock is 0 s ahead of that of runs"),
        ("--fn sin-sq", "--fn 'sin('", "function \"sin(\": unexpected end"),
        ("--fn sin-sq", "--epohcs 5", "unexpected argument '--epohcs'"),
        ("simulate --fn sin-sq", "mnist-cnn --data mnist --data-dir /nowhere", "/nowhere"),
        ("--preset smoke)", "--preset smoke --memory 0.001)", "it would hold"),
    ] {
        edit(&script, &[(from, to)]);
        let ran = submit();
        assert_eq!(ran.code(), 0, "{}", ran.stderr());
        cluster.wait_for_all(&dir);
        let told = logs(&runs);
        let lines: Vec<&str> = told.lines().filter(|line| line.starts_with("hw1: ")).collect();
        assert!(
            lines.len() == 1 && lines[0].starts_with("hw1: no task is started: on ") && lines[0].contains(said),
            "{told}"
        );
        assert!(!told.contains("shard ") && !runs.join("simulate-sin-sq").exists());
        edit(&script, &[(to, from)]);
        fs::remove_dir_all(runs.join("slurm")).unwrap();
    }
    // What sbatch answers stands as it is.
    edit(&script, &[("options=()", "options=(--partition=none)")]);
    let ran = submit();
    assert!(ran.code() != 0 && ran.stderr().contains("invalid partition specified: none"), "{}", ran.stderr());
    edit(&script, &[("options=(--partition=none)", "options=()")]);
    // Who cancels an array wants no more of it: the report is of what there is.
    let stub = dir.path().join("stub");
    let make = |text: &str| {
        fs::write(&stub, format!("#!/bin/bash\necho \"$*\" >>{}/calls\n{text}\n", dir.path().display())).unwrap();
        std::process::Command::new("chmod").arg("+x").arg(&stub).status().unwrap();
    };
    make("case \"$*\" in *--preflight*) ;; *--shard*) exec sleep 600 ;; esac");
    edit(&script, &[(hw1.as_str(), &format!("hw1={}", stub.display()))]);
    assert_eq!(submit().code(), 0);
    let array = || cluster.ask(&["squeue", "-h", "-t", "R", "-n", "hw1-tasks", "-o", "%F"]);
    cluster.wait(&dir, "under way", || array().len() == 2);
    cluster.tell(&["scancel", &array()[0]]);
    cluster.wait_for_all(&dir);
    assert!(logs(&runs).contains("tasks were cancelled: the report is of what there is"), "{}", logs(&runs));
    let calls = fs::read_to_string(dir.path().join("calls")).unwrap();
    assert!(calls.contains("report --out runs") && !calls.contains("--shard 0/1 --jobs 1\n"), "{calls}");
    fs::remove_dir_all(runs.join("slurm")).unwrap();
    // One that checkpoints for ever, at the same place.
    make(
        "case \"$*\" in *--preflight*) ;; *--shard*0/2*) echo 'shard 0/2: interrupted with 1 of its 3 trials done, and 5 epochs of \
         others in checkpoints'; exit 138 ;; esac",
    );
    assert_eq!(submit().code(), 0);
    cluster.wait_for_all(&dir);
    let told = logs(&runs);
    assert_eq!(told.matches("interrupted with 1 of").count(), 4, "{told}");
    assert_eq!(
        told.matches("was requeued three times without a new record or a later checkpoint").count(),
        1,
        "{told}"
    );
    assert!(
        fs::read_dir(runs.join("slurm")).unwrap().all(|entry| entry
            .unwrap()
            .path()
            .extension()
            .is_some_and(|end| end == "log"))
    );
}
