//! `hw1 show`, `claims`, `compare`, `doctor` and `completions` through the binary.

use crate::common::{Dir, Ran};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

const SIN_SQ: [&str; 5] = ["simulate", "--preset", "smoke", "--fn", "sin-sq"];
const METRICS: &str = "runs/smoke/simulate-sin-sq/metrics.json";

/// A folder with one finished study in `runs/smoke`.
fn with_a_study() -> Dir {
    let dir = Dir::new();
    dir.succeed(&SIN_SQ);
    dir
}

/// Runs with a terminal's width.
fn at_width(dir: &Dir, columns: &str, arguments: &[&str]) -> String {
    let ran = Ran::new(dir.command(arguments).env("COLUMNS", columns).output().unwrap());
    assert_eq!(ran.code(), 0, "{arguments:?}: {}", ran.stderr());
    ran.stdout()
}

fn parsed(dir: &Dir, arguments: &[&str]) -> Value {
    serde_json::from_str(&dir.succeed(&[arguments, &["--json"]].concat()).stdout()).unwrap()
}

/// Changes a metrics.json.
fn edit(dir: &Dir, path: &str, change: impl FnOnce(&mut Value)) {
    let mut metrics = dir.json(path);
    change(&mut metrics);
    fs::write(dir.path().join(path), metrics.to_string()).unwrap();
}

/// Every file below, with its contents.
fn tree(dir: &Dir) -> Vec<(PathBuf, Vec<u8>)> {
    fn collect(folder: PathBuf, files: &mut Vec<(PathBuf, Vec<u8>)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { collect(path, files) } else { files.push((path.clone(), fs::read(path).unwrap())) }
        }
    }
    let mut files = Vec::new();
    collect(dir.path().to_owned(), &mut files);
    files.sort();
    files
}

#[test]
fn show_lists_what_there_is() {
    let dir = Dir::new();
    dir.succeed(&["simulate", "--preset", "smoke", "--repeats", "2", "--seed", "3"]);
    dir.succeed(&["params-sweep", "--preset", "smoke", "--epochs", "1"]);
    fs::write(dir.path().join("runs/smoke/report.html"), "").unwrap();
    fs::create_dir(dir.path().join("runs/smoke/notes")).unwrap();
    let before = tree(&dir);
    let text = dir.succeed(&["show", "--preset", "smoke"]).stdout();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines[0], lines.len()), ("runs/smoke: 3 studies", 5), "{text}");
    for (line, words) in [
        (lines[2], ["params-sweep", "11 of 11", "smoke", "0", "synthetic digits"]),
        (lines[4], ["simulate-sin-sq", "6 of 6", "smoke", "3 to 4", "-"]),
    ] {
        assert!(words.iter().all(|word| line.contains(word)), "{line}");
    }
    let listing = parsed(&dir, &["show", "--out", "runs/smoke"]);
    let study = &listing["studies"][2];
    assert_eq!((&study["study"], &study["state"]), (&"simulate-sin-sq".into(), &"complete".into()));
    assert_eq!((&study["trials_done"], &study["seeds"]), (&6.into(), &json!([3, 4])));
    assert!(study["end"].is_string() && study["seconds"].is_number() && study["command"].is_null(), "{study}");
    assert!(tree(&dir) == before, "looking changes nothing");
}

#[test]
fn an_unfinished_study_is_listed_and_the_command_goes_on_with_it() {
    let dir = with_a_study();
    let study = dir.path().join("runs/smoke/simulate-sin-sq");
    fs::remove_file(study.join("metrics.json")).unwrap();
    let record = fs::read_dir(study.join("trials")).unwrap().map(|entry| entry.unwrap().path());
    fs::remove_file(record.filter(|path| path.extension().unwrap() == "json").min().unwrap()).unwrap();
    let show = ["show", "--preset", "smoke"];

    let text = dir.succeed(&show).stdout();
    assert!(text.contains("1 study, 1 unfinished") && text.contains("unfinished, 2 of 3 trials are done"), "{text}");
    let command = parsed(&dir, &show)["studies"][0]["command"].as_str().unwrap().to_owned();
    assert!(text.contains(&format!("go on: {command}")), "{text}");
    let claims = dir.succeed(&["claims", "--preset", "smoke"]).stdout();
    assert!(claims.contains("simulate-sin-sq: unfinished (2 records)"), "{claims}");

    let arguments: Vec<&str> = command.strip_prefix("hw1 ").unwrap().split(' ').collect();
    let ran = dir.succeed(&arguments);
    assert!(ran.stderr().contains("2 of 3 trials were done before"), "{}", ran.stderr());
    assert_eq!(parsed(&dir, &show)["studies"][0]["state"], "complete");
}

#[test]
fn a_later_call_that_was_cut_short_is_told() {
    let dir = with_a_study();
    let settings = dir.path().join("runs/smoke/simulate-sin-sq/settings.toml");
    let text = fs::read_to_string(&settings).unwrap();
    assert!(text.contains("repeats = 1\n"), "{text}");
    fs::write(&settings, text.replace("repeats = 1\n", "repeats = 4\n")).unwrap();
    let text = dir.succeed(&["show", "--preset", "smoke"]).stdout();
    assert!(text.contains("unfinished, 3 of 12 trials are done"), "{text}");
    let claims = dir.succeed(&["claims", "--preset", "smoke"]).stdout();
    assert!(
        claims.contains("metrics.json is of an earlier call") && claims.contains("simulate-sin-sq-depth"),
        "{claims}"
    );

    // Settings that no experiment of this version has.
    fs::write(&settings, "depth = 7\n").unwrap();
    let text = dir.succeed(&["show", "--preset", "smoke"]).stdout();
    assert!(text.contains("3 of ?") && text.contains("cannot be told") && text.contains("'depth'"), "{text}");
}

#[test]
fn damaged_metrics_are_named_and_the_rest_is_shown() {
    let dir = with_a_study();
    dir.succeed(&["simulate", "--preset", "smoke", "--fn", "x"]);
    let path = dir.path().join(METRICS);
    let good = fs::read(&path).unwrap();
    let text = String::from_utf8(good.clone()).unwrap();
    let bad = [
        Vec::new(),
        b"{}".to_vec(),
        b"\xff\xfe".to_vec(),
        good[..good.len() / 2].to_vec(),
        b"[".repeat(100_000),
        text.replace("\"schema\":1", "\"schema\":99").into_bytes(),
        text.replace("\"inconclusive\"", "\"perhaps\"").into_bytes(),
    ];
    for bytes in bad {
        assert!(bytes != good);
        fs::write(&path, bytes).unwrap();
        for command in [
            &["show", "--preset", "smoke"][..],
            &["claims", "--preset", "smoke"],
            &["compare", "runs/smoke", "runs/smoke"],
        ] {
            let ran = dir.succeed(command);
            let damaged: Vec<String> = ran
                .stdout()
                .lines()
                .filter(|line| line.contains("metrics.json is damaged: "))
                .map(Into::into)
                .collect();
            assert_eq!(damaged.len(), if command[0] == "compare" { 2 } else { 1 }, "{}", ran.stdout());
            assert!(damaged[0].starts_with("simulate-sin-sq"), "{damaged:?}");
            assert!(ran.stdout().contains("simulate-x-"), "{}", ran.stdout());
        }
    }
    let listing = parsed(&dir, &["show", "--preset", "smoke"]);
    assert_eq!(listing["studies"][0]["state"], "damaged");
    assert_eq!(listing["studies"][0]["trials_done"], 3);
    // A folder in the file's place.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(dir.succeed(&["show", "--preset", "smoke"]).stdout().contains("damaged: it is no file"));
}

#[test]
#[cfg(unix)]
fn hostile_names_do_not_reach_the_terminal() {
    use std::os::unix::ffi::OsStrExt as _;
    let dir = with_a_study();
    let runs = dir.path().join("runs/smoke");
    for name in [&b"evil\x1b[2J\nok  all is well"[..], b"simulate-\xff\xfe", b"-rf", "simulate-\u{202e}qs".as_bytes()] {
        let folder = runs.join(std::ffi::OsStr::from_bytes(name));
        fs::create_dir_all(folder.join("trials")).unwrap();
        fs::write(folder.join("trials/x.json"), "{}").unwrap();
    }
    edit(&dir, METRICS, |metrics| {
        metrics["claims"][0]["statement"] = "\u{1b}]0;title\u{7} a\nb".into();
        metrics["claims"][0]["id"] = "\u{1b}[31mid".into();
        metrics["trials"][0]["label"] = "\r\u{1b}[2K".into();
        metrics["provenance"]["preset"] = "\u{1b}c".into();
        metrics["provenance"]["end"] = "µµµµµµµµµµµµ".into();
        metrics["provenance"]["seconds"] = (-1e300).into();
    });
    let other = with_a_study();
    let other = other.path().join("runs/smoke");
    for command in [
        &["show", "--preset", "smoke"][..],
        &["claims", "--preset", "smoke"],
        &["compare", "runs/smoke", other.to_str().unwrap(), "--all"],
    ] {
        for columns in ["80", "1", "99999999"] {
            let text = at_width(&dir, columns, command);
            assert!(!text.contains(['\u{1b}', '\r', '\u{7}', '\u{202e}']), "{text:?}");
        }
        parsed(&dir, command);
    }
}

#[test]
fn a_run_directory_that_is_none_is_one_error_with_the_way_out() {
    let dir = with_a_study();
    fs::create_dir(dir.path().join("empty")).unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    for command in ["show", "claims"] {
        dir.run(&[command]).fails(1, &["no run directory runs/report", "beside it: runs/smoke"]);
        dir.run(&[command, "--out", "nowhere"]).fails(1, &["no run directory nowhere"]);
        dir.run(&[command, "--out", "empty"]).fails(1, &["empty holds no study", "hw1 simulate"]);
        dir.run(&[command, "--out", "file"]).fails(1, &["cannot read the run directory file"]);
        dir.run(&[command, "--out", "runs/smoke/simulate-sin-sq"]).fails(1, &["one study", "runs/smoke"]);
        dir.run(&[command, "--out", "runs"]).fails(1, &["runs holds no study"]);
        assert_eq!(dir.run(&[command, "--out", "runs/smoke", "--preset", "smoke"]).code(), 2);
    }
    dir.run(&["compare", "runs/smoke", "nowhere"]).fails(1, &["no run directory nowhere"]);
    assert_eq!(dir.run(&["compare", "runs/smoke"]).code(), 2);
}

#[test]
fn claims_have_their_numbers_and_keep_to_the_width() {
    let dir = with_a_study();
    edit(&dir, METRICS, |metrics| {
        let claim = &mut metrics["claims"][0];
        (claim["effect"], claim["effect_of"]) = (0.123_456.into(), "median log10 ratio of losses".into());
        (claim["interval"], claim["n"]) = (json!([-0.5, null]), 10.into());
    });
    let whole = dir.succeed(&["claims", "--preset", "smoke"]).stdout();
    assert!(whole.starts_with("runs/smoke: 1 claim (0 supported, 0 refuted, 1 inconclusive)\n"), "{whole}");
    assert!(whole.contains("\nsimulate-sin-sq\n  inconclusive  simulate-sin-sq-depth\n"), "{whole}");
    let numbers = "Effect 0.1235 (median log10 ratio of losses), interval -0.5000 to not finite, n = 10.";
    assert!(whole.contains(numbers), "{whole}");
    for columns in ["60", "80", "160"] {
        let text = at_width(&dir, columns, &["claims", "--preset", "smoke"]);
        assert!(text.lines().all(|line| line.chars().count() <= columns.parse().unwrap()), "{text}");
        assert!(text.split_whitespace().eq(whole.split_whitespace()), "{text}");
    }
    let claims = parsed(&dir, &["claims", "--preset", "smoke"]);
    let claim = &claims["studies"][0]["claims"][0];
    assert_eq!((&claim["verdict"], &claim["n"]), (&"inconclusive".into(), &10.into()));
}

#[test]
fn a_reader_who_goes_away_is_told_nothing() {
    let dir = with_a_study();
    for arguments in [
        &["show", "--preset", "smoke"][..],
        &["claims", "--preset", "smoke"],
        &["compare", "runs/smoke", "runs/smoke", "--all"],
        &["completions", "bash"],
        &["doctor"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = dir.command(arguments).stdout(writer).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(141), &b""[..]), "{arguments:?}");
    }
}

#[test]
fn a_run_is_the_same_as_itself() {
    let dir = with_a_study();
    let compared = parsed(&dir, &["compare", "runs/smoke", "runs/smoke"]);
    assert_eq!((&compared["same"], &compared["studies"][0]["differing"]), (&true.into(), &0.into()));
    assert_eq!(compared["studies"][0]["scalars"].as_array().unwrap().len(), 3 * 8);
    let text = dir.succeed(&["compare", "runs/smoke", "runs/smoke"]).stdout();
    assert!(text.ends_with("No differences: simulate-sin-sq\n"), "{text}");
    let all = dir.succeed(&["compare", "runs/smoke", "runs/smoke", "--all"]).stdout();
    assert!(all.contains("parameters") && all.contains("2361") && all.contains("0 of 24 scalars differ"), "{all}");
    // So it is when it is run again elsewhere: the same seed, the same numbers.
    dir.succeed(&[&SIN_SQ[..], &["--out", "again"]].concat());
    assert_eq!(parsed(&dir, &["compare", "runs/smoke", "again"])["same"], true);
}

#[test]
fn what_differs_is_told_with_its_size() {
    let dir = with_a_study();
    dir.succeed(&[&SIN_SQ[..], &["--seed", "5", "--repeats", "2", "--out", "b"]].concat());
    dir.succeed(&["simulate", "--preset", "smoke", "--fn", "x", "--out", "b"]);
    let compared = parsed(&dir, &["compare", "runs/smoke", "b"]);
    assert_eq!(compared["same"], false);
    assert!(compared["only_in_b"][0].as_str().unwrap().starts_with("simulate-x-"));
    let study = &compared["studies"][0];
    assert_eq!(study["settings"], json!([{"name": "repeats", "a": 1, "b": 2}, {"name": "seed", "a": 0, "b": 5}]));
    let scalars = study["scalars"].as_array().unwrap();
    let loss =
        scalars.iter().find(|scalar| scalar["label"] == "DNN_2" && scalar["metric"] == "final_train_loss").unwrap();
    let of = |path: &str, label: &str| -> Vec<f64> {
        let metrics = dir.json(path);
        let trials = metrics["trials"].as_array().unwrap().iter().filter(|trial| trial["label"] == label);
        trials.map(|trial| trial["scalars"]["final_train_loss"].as_f64().unwrap()).collect()
    };
    let (a, b) = (of(METRICS, "DNN_2"), of("b/simulate-sin-sq/metrics.json", "DNN_2"));
    let mean = (b[0] + b[1]) / 2.0;
    // scipy.stats.t.ppf(0.975, 1) times the standard error of two.
    let half = 12.706_204_736_174_7 * (b[0] - b[1]).abs() / 2.0;
    let close =
        |value: &Value, expected: f64| assert!((value.as_f64().unwrap() / expected - 1.0).abs() < 1e-11, "{loss}");
    close(&loss["a"]["mean"], a[0]);
    close(&loss["b"]["mean"], mean);
    close(&loss["b"]["half_interval"], half);
    close(&loss["difference"], mean - a[0]);
    close(&loss["relative"], (mean - a[0]) / a[0]);
    assert_eq!((&loss["a"]["n"], &loss["b"]["n"]), (&1.into(), &2.into()));

    let text = at_width(&dir, "80", &["compare", "runs/smoke", "b"]);
    for words in ["Only in B: simulate-x-", " Setting seed: 0 → 5", "DNN_2", "final_train_loss", "1, 2"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    assert!(!text.contains("parameters") && text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn verdicts_machines_and_labels_that_differ_are_told() {
    let dir = with_a_study();
    dir.succeed(&["simulate", "--preset", "smoke", "--fn", "x"]);
    let studies: Vec<String> = fs::read_dir(dir.path().join("runs/smoke"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("simulate"))
        .collect();
    assert_eq!(studies.len(), 2);
    for study in &studies {
        let path = |run: &str| dir.path().join(run).join(study);
        fs::create_dir_all(path("b")).unwrap();
        fs::copy(path("runs/smoke").join("metrics.json"), path("b").join("metrics.json")).unwrap();
    }
    for study in &studies {
        edit(&dir, &format!("b/{study}/metrics.json"), |metrics| metrics["provenance"]["libtorch"] = "9.9.9".into());
    }
    edit(&dir, "b/simulate-sin-sq/metrics.json", |metrics| {
        metrics["claims"][0]["verdict"] = "refuted".into();
        metrics["trials"][0]["label"] = "DNN_9".into();
        metrics["trials"][1]["scalars"]["final_train_loss"] = Value::Null;
        metrics["trials"][2]["scalars"].as_object_mut().unwrap().remove("maximum_error");
    });
    let text = dir.succeed(&["compare", "runs/smoke", "b"]).stdout();
    assert_eq!(text.matches("9.9.9").count(), 1, "what all studies share is said once: {text}");
    for words in [
        "All studies: libtorch: 2.",
        " Claim simulate-sin-sq-depth: inconclusive → refuted\n",
        " Trials only in A: DNN_1\n",
        " Trials only in B: DNN_9\n",
        "not finite",
        "2 of 16 scalars differ",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
}

#[test]
fn many_differences_are_cut_to_the_largest() {
    let dir = Dir::new();
    let sweep = ["params-sweep", "--preset", "smoke", "--epochs", "1"];
    dir.succeed(&sweep);
    dir.succeed(&[&sweep[..], &["--seed", "1", "--out", "b"]].concat());
    let rows = |text: &str| text.lines().filter(|line| line.starts_with("  ")).count();
    let text = dir.succeed(&["compare", "runs/smoke", "b"]).stdout();
    assert!(rows(&text) == 20 && text.contains("the 20 that differ most are shown, --all shows all"), "{text}");
    let all = dir.succeed(&["compare", "runs/smoke", "b", "--all"]).stdout();
    assert!(rows(&all) > 40 && !all.contains("differ most"), "{all}");
}

#[test]
fn completions_are_there_for_every_shell() {
    let dir = Dir::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = dir.succeed(&["completions", shell]).stdout();
        for word in ["simulate", "compare", "completions", "dry-run"] {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
    }
    let ran = dir.run(&["completions", "csh"]);
    assert!(ran.code() == 2 && ran.stderr().contains("powershell"), "{}", ran.stderr());
}

/// The doctor's word on one thing, with nothing of the user's in the environment.
fn doctor(dir: &Dir, arguments: &[&str], name: &str) -> (i32, String, String) {
    let mut command = dir.command(&[&["doctor", "--json"], arguments].concat());
    command.env_remove("HW1_DATA_DIR").env_remove("XDG_CACHE_HOME").env("HOME", dir.path());
    let ran = Ran::new(command.output().unwrap());
    let checks: Vec<Value> = serde_json::from_str(&ran.stdout()).unwrap();
    let check = checks.iter().find(|check| check["name"] == name).unwrap();
    let field = |key: &str| check[key].as_str().unwrap().to_owned();
    (ran.code(), field("state"), field("text"))
}

#[test]
fn the_doctor_finds_a_sound_machine_sound_and_leaves_nothing() {
    let dir = Dir::new();
    let text = at_width(&dir, "80", &["doctor"]);
    for name in ["hw1", "system", "libtorch", "processor", "memory", "CUDA", "MNIST", "runs", "files"] {
        assert!(text.lines().any(|line| line.split_whitespace().nth(1) == Some(name)), "{name} in {text}");
    }
    assert!(text.contains("runs/report would be made"), "{text}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

    let (code, state, text) = doctor(&dir, &[], "MNIST");
    assert_eq!((code, state.as_str()), (0, "warning"), "{text}");
    assert!(text.contains(".cache/hw1/mnist") && text.contains("hw1 data fetch"), "{text}");
    let (_, state, text) = doctor(&dir, &[], "libtorch");
    assert!(state == "ok" && text.contains("2.11") && text.contains("lib"), "{text}");
}

#[test]
fn the_doctor_names_problems_and_exits_with_1() {
    let dir = Dir::new();
    fs::write(dir.path().join("file"), "").unwrap();
    let ran = dir.run(&["doctor", "--out", "file/runs"]);
    ran.fails(1, &["1 of 8 checks found a problem"]);
    assert!(ran.stdout().contains("problem") && ran.stdout().contains("file is no folder"), "{}", ran.stdout());
    let (code, state, text) = doctor(&dir, &["--out", "/proc/hw1"], "runs");
    assert_eq!((code, state.as_str()), (1, "problem"), "{text}");
    assert!(text.contains("/proc") && text.contains("--out"), "{text}");

    let (code, state, text) = doctor(&dir, &["--data-dir", "nowhere"], "MNIST");
    assert_eq!((code, state.as_str()), (1, "problem"), "{text}");
    assert!(text.contains("nowhere, named by --data-dir"), "{text}");
    for name in
        ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]
    {
        fs::write(dir.path().join(name), "spoilt").unwrap();
    }
    let (code, state, text) = doctor(&dir, &["--data-dir", "."], "MNIST");
    assert_eq!((code, state.as_str()), (1, "problem"), "{text}");
    assert!(text.starts_with("4 of 4 files are bad"), "{text}");
}

#[test]
fn bench_measures_what_it_is_asked_and_keeps_its_schema() {
    let dir = Dir::new();
    let ran = dir.succeed(&["bench", "dnn3", "mlp-22", "hessian", "--threads", "2", "--json"]);
    let found: Value = serde_json::from_str(&ran.stdout()).unwrap();
    let workloads = found["workloads"].as_array().unwrap();
    let names: Vec<&str> = workloads.iter().map(|workload| workload["workload"].as_str().unwrap()).collect();
    assert_eq!(names, ["dnn3", "mlp-22", "hessian"]);
    for workload in workloads {
        assert!(workload["milliseconds"].as_f64().unwrap() > 0.0 && workload["spread"].as_f64().unwrap() >= 0.0);
        assert_eq!(workload["threads"], 2);
        let exact = workload["workload"] == "hessian";
        assert_eq!(workload["dtype"], if exact { "float64" } else { "float32" });
        assert_eq!(workload["gflops"].is_null() && workload["share_of_limit"].is_null(), exact);
    }
    assert!(found["provenance"]["cpu"].is_string() && found["provenance"]["data"]["synthetic"] == true);
    assert!(!dir.path().join("runs").exists());
    let text = dir.succeed(&["bench", "nl3", "--trials", "2"]).stdout();
    assert!(text.contains("nl3") && text.ends_with('\n'), "{text:?}");
    // One core's pieces laid out on several: never slower than what they save there, never free.
    let ran = dir.succeed(&["bench", "grad-norm", "--schedule", "16", "--json"]);
    let found: Value = serde_json::from_str(&ran.stdout()).unwrap();
    let workload = &found["workloads"][0];
    let (alone, scheduled) = (workload["milliseconds"].as_f64().unwrap(), workload["scheduled"].as_f64().unwrap());
    assert!(scheduled > 0.0 && scheduled < alone, "{scheduled} of {alone}");
    assert!(dir.run(&["bench", "nl3", "--schedule", "4", "--threads", "2"]).stderr().contains("cannot be used with"));
}

#[test]
fn a_study_takes_its_own_time_and_not_the_whole_runs() {
    let dir = Dir::new();
    dir.succeed(&["all", "--preset", "smoke", "--only", "simulate,params-sweep", "--jobs", "1", "--repeats", "1"]);
    let found: Value = serde_json::from_str(&dir.succeed(&["show", "--preset", "smoke", "--json"]).stdout()).unwrap();
    let studies = found["studies"].as_array().unwrap();
    let own: f64 = studies.iter().map(|study| study["seconds"].as_f64().unwrap()).sum();
    let whole = dir.json("runs/smoke/params-sweep/metrics.json")["provenance"]["seconds"].as_f64().unwrap();
    // One trial at a time: together no more than all of it, but for the clock's grain.
    assert!(studies.len() == 3 && own > 0.0 && own <= whole + 0.05, "{own} of {whole}");
}
