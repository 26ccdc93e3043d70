//! `hw1 export tensorboard`: TensorBoard itself reads what was written, number by number; and what an export leaves
//! alone.

use crate::common::{Dir, Ran};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Python with TensorBoard: the one that `HW1_TENSORBOARD` names, else the first in the path.
fn python() -> Option<String> {
    let python = std::env::var("HW1_TENSORBOARD").unwrap_or_else(|_| "python3".to_owned());
    let has_it = Command::new(&python).args(["-c", "import tensorboard"]).output();
    let has_it = has_it.is_ok_and(|output| output.status.success());
    if !has_it {
        eprintln!("skipped: there is no Python with tensorboard here; HW1_TENSORBOARD names one");
    }
    has_it.then_some(python)
}

/// Compares what TensorBoard reads of an export with metrics.json, and prints as JSON what else it reads: of each run its
/// settings, and its images as tag, step and SHA-256.
const COMPARE: &str = r#"
import hashlib, json, os, sys
import numpy
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import metadata
run_dir, logdir = sys.argv[1:]
read, compared = {}, 0
for folder, _, files in os.walk(logdir):
    if not any("tfevents" in name for name in files):
        continue
    everything = {kind: 0 for kind in ("scalars", "images", "tensors", "compressedHistograms", "histograms", "audio")}
    run = event_accumulator.EventAccumulator(folder, size_guidance=everything)
    run.Reload()
    scalars = {tag: [(event.step, event.value) for event in run.Scalars(tag)] for tag in run.Tags()["scalars"]}
    images = [[tag, event.step, hashlib.sha256(event.encoded_image_string).hexdigest(), event.width]
              for tag in run.Tags()["images"] for event in run.Images(tag)]
    content = run.summary_metadata.get("_hparams_/session_start_info")
    settings = {}
    if content:
        started = metadata.parse_session_start_info_plugin_data(content.plugin_data.content)
        settings = {name: getattr(value, value.WhichOneof("kind")) for name, value in started.hparams.items()}
        ended = run.summary_metadata["_hparams_/session_end_info"].plugin_data.content
        assert metadata.parse_session_end_info_plugin_data(ended).status == 1
    read[os.path.relpath(folder, logdir)] = dict(scalars=scalars, images=images, settings=settings)
def same(run, tag, values):
    global compared
    steps, got = zip(*run["scalars"].pop(tag)) if values else ((), ())
    assert list(steps) == list(range(len(values))), (tag, steps)
    values = [numpy.nan if value is None else value for value in values]
    with numpy.errstate(over="ignore"):
        wanted = numpy.array(values, dtype=numpy.float64).astype(numpy.float32)
    numpy.testing.assert_array_equal(numpy.array(got, dtype=numpy.float32), wanted)
    compared += len(values)
for study in sorted(os.listdir(run_dir)):
    path = os.path.join(run_dir, study, "metrics.json")
    if not os.path.exists(path):
        continue
    metrics = json.load(open(path))
    for trial in metrics["trials"]:
        of = [run for run in read.values() if run["settings"].get("study") == study
              and run["settings"]["trial"] == trial["label"] and run["settings"]["seed"] == trial["seed"]]
        assert len(of) == 1, (study, trial["label"], len(of))
        for tag, value in {**trial["scalars"], "parameters": trial["parameters"]}.items():
            same(of[0], "scalar/" + tag if tag in trial["series"] else tag, [value])
        for tag, values in trial["series"].items():
            same(of[0], tag, values)
        assert not of[0]["scalars"], of[0]["scalars"].keys()
print(json.dumps(dict(compared=compared, runs={
    name: dict(settings=run["settings"], images=run["images"]) for name, run in read.items()})))
"#;

/// What TensorBoard reads of the export of a run directory, which it has compared with metrics.json.
fn read(python: &str, dir: &Dir, run_dir: &str, logdir: &str) -> Value {
    let mut command = Command::new(python);
    command.args(["-c", COMPARE]).args([run_dir, logdir]).current_dir(dir.path());
    let ran = Ran::new(command.output().unwrap());
    assert_eq!(ran.code(), 0, "{}", ran.stderr());
    serde_json::from_str(&ran.stdout()).unwrap()
}

/// Every file below a folder, with its bytes.
fn tree(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(tree(&path)) } else { files.push((path.clone(), fs::read(&path).unwrap())) }
    }
    files.sort();
    files
}

/// A small study of two models.
const STUDY: [&str; 9] = [
    "simulate",
    "--preset",
    "smoke",
    "--quiet",
    "--fn",
    "sin-sq",
    "--set",
    "epochs=4",
    "--set=models=[\"A=1-2-1\", \"B_2=1-3-1\"]",
];
const FOLDER: &str = "runs/smoke/simulate-sin-sq";
const EXPORT: [&str; 5] = ["export", "tensorboard", "--preset", "smoke", "--json"];

fn export(dir: &Dir, more: &[&str]) -> Value {
    serde_json::from_str(&dir.succeed(&[&EXPORT[..], more].concat()).stdout()).unwrap()
}

/// Trials and figures of an export's only study, and those that are new.
fn counts(exported: &Value) -> [u64; 4] {
    let study = &exported["studies"][0];
    ["trials", "new_trials", "figures", "new_figures"].map(|count| study[count].as_u64().unwrap())
}

#[test]
fn tensorboard_reads_every_number_and_figure() {
    let Some(python) = python() else { return };
    let dir = Dir::new();
    dir.succeed(&[&STUDY[..], &["--repeats", "2"]].concat());
    dir.succeed(&["min-ratio", "--preset", "smoke", "--quiet", "--set", "trainings=2", "--set", "epochs=3"]);
    // A training that diverged: numbers that are none.
    let diverged = ["--set", "optimizer=sgd", "--set", "learning_rate=1e9", "--fn", "x^2", "--model", "1-4-1"];
    dir.succeed(&[&["simulate", "--preset", "smoke", "--quiet", "--set", "epochs=30"][..], &diverged].concat());
    let exported = export(&dir, &[]);
    let told = read(&python, &dir, "runs/smoke", "runs/smoke/tensorboard");
    assert!(told["compared"].as_u64().unwrap() > 100, "{}", told["compared"]);
    let text = fs::read_to_string(dir.path().join("runs/smoke/tensorboard").join("../min-ratio/metrics.json")).unwrap();
    let metrics: Value = serde_json::from_str(&text).unwrap();
    for study in exported["studies"].as_array().unwrap() {
        assert_eq!(study["trials"], study["new_trials"]);
        let folder = study["study"].as_str().unwrap();
        // Each figure once, as it stands in its file.
        let images = told["runs"][folder]["images"].as_array().unwrap();
        assert_eq!(images.len() as u64, study["figures"].as_u64().unwrap());
        for image in images {
            let png = format!("runs/smoke/{folder}/figures/{}.png", image[0].as_str().unwrap());
            let png = fs::read(dir.path().join(png)).unwrap();
            assert_eq!((&image[1], &image[2]), (&json!(0), &json!(hw1::files::sha256(&png))));
            assert!(image[3].as_u64().unwrap() > 100);
        }
    }
    let run = &told["runs"]["min-ratio/training-1-seed0"];
    assert_eq!(run["settings"]["optimizer"], metrics["settings"]["optimizer"]);
    assert_eq!(run["settings"]["learning_rate"], metrics["settings"]["learning_rate"]);
    assert_eq!(run["settings"]["domain"], "[1.0,5.0]");
    assert!(told["runs"]["simulate-sin-sq/B_2-seed1"].is_object());
    eprintln!("numbers that TensorBoard reads as they are: {}", told["compared"]);
}

#[test]
fn a_second_export_adds_what_is_new_and_nothing_else() {
    let dir = Dir::new();
    let logdir = dir.path().join("runs/smoke/tensorboard");
    dir.succeed(&[&STUDY[..], &["--repeats", "1"]].concat());
    let [trials, new_trials, figures, new_figures] = counts(&export(&dir, &[]));
    assert_eq!((trials, figures), (new_trials, new_figures));
    assert!(trials == 2 && figures > 0);
    let first = tree(&logdir);

    // Nothing changed: nothing is written, and that is said.
    let ran = dir.succeed(&["export", "tensorboard", "--preset", "smoke"]);
    assert!(ran.stdout().contains("nothing is new, and nothing was written"), "{}", ran.stdout());
    assert!(ran.stdout().contains("tensorboard --logdir runs/smoke/tensorboard\n"), "{}", ran.stdout());
    assert!(tree(&logdir) == first);
    // The same run directory, the same bytes, wherever they are written.
    export(&dir, &["--to", "elsewhere"]);
    let bytes = |files: &[(PathBuf, Vec<u8>)]| files.iter().map(|(_, bytes)| bytes.clone()).collect::<Vec<_>>();
    assert!(bytes(&tree(&dir.path().join("elsewhere"))) == bytes(&first));

    // Further seeds: further trials, and figures that were drawn anew, as a further step.
    dir.succeed(&[&STUDY[..], &["--repeats", "2"]].concat());
    let [trials, new_trials, figures, new_figures] = counts(&export(&dir, &[]));
    assert_eq!((trials, new_trials), (4, 2));
    assert!(figures >= new_figures && new_figures > 0);
    let second = tree(&logdir);
    assert!(first.iter().all(|file| second.contains(file)));
    assert_eq!(second.len(), first.len() + 3);
    // The other commands pass the folder over.
    dir.succeed(&["verify", "--preset", "smoke"]);
    assert!(dir.succeed(&["show", "--preset", "smoke"]).stdout().contains("1 study"));

    let Some(python) = python() else { return };
    let told = read(&python, &dir, "runs/smoke", "runs/smoke/tensorboard");
    let images = told["runs"]["simulate-sin-sq"]["images"].as_array().unwrap();
    assert_eq!(images.len() as u64, figures + new_figures);
    let steps: Vec<u64> = images.iter().map(|image| image[1].as_u64().unwrap()).collect();
    assert_eq!(steps.iter().filter(|step| **step == 1).count() as u64, new_figures);
}

#[test]
fn an_unfinished_study_has_its_trials_and_takes_the_rest_later() {
    let dir = Dir::new();
    dir.succeed(&[&STUDY[..], &["--repeats", "2"]].concat());
    let metrics = dir.path().join(FOLDER).join("metrics.json");
    let text = fs::read_to_string(&metrics).unwrap();
    fs::remove_file(&metrics).unwrap();
    let trials: Vec<PathBuf> =
        tree(&dir.path().join(FOLDER).join("trials")).into_iter().map(|(path, _)| path).collect();
    let records: Vec<&PathBuf> = trials.iter().filter(|path| path.extension().unwrap() == "json").collect();
    // One is not done yet, one is cut off, and one the log does not name.
    fs::remove_file(records[0]).unwrap();
    fs::write(records[1], "{\"schema\":1,").unwrap();
    let log = dir.path().join(FOLDER).join("log.jsonl");
    let unnamed = records[2].file_stem().unwrap().to_str().unwrap();
    let lines = fs::read_to_string(&log).unwrap();
    fs::write(
        &log,
        lines.lines().filter(|line| !line.contains(unnamed)).map(|line| format!("{line}\n")).collect::<String>(),
    )
    .unwrap();
    let exported = export(&dir, &[]);
    assert_eq!(counts(&exported), [2, 2, 0, 0]);
    let notes = exported["studies"][0]["notes"].to_string();
    assert!(notes.contains("no metrics.json yet") && notes.contains("is no record"), "{notes}");
    let logdir = dir.path().join("runs/smoke/tensorboard/simulate-sin-sq");
    assert!(logdir.join(unnamed).is_dir());
    // A damaged metrics.json is told.
    fs::write(&metrics, &text[..100]).unwrap();
    assert!(export(&dir, &[])["studies"][0]["notes"].to_string().contains("metrics.json is damaged"));

    // The study goes on to its end: what is there stays, under the name it has.
    fs::remove_file(&metrics).unwrap();
    let before = tree(&logdir);
    dir.succeed(&[&STUDY[..], &["--repeats", "2"]].concat());
    let [trials, new_trials, figures, new_figures] = counts(&export(&dir, &[]));
    assert_eq!((trials, new_trials), (4, 2));
    assert!(figures == new_figures && figures > 0);
    assert!(before.iter().all(|file| tree(&logdir).contains(file)));
}

/// A run directory of one study that an older version left: no fingerprints, no list of figures, no records.
fn older(dir: &Dir, points: usize) -> Value {
    let folder = dir.path().join("old/simulate-x");
    fs::create_dir_all(folder.join("figures")).unwrap();
    let loss: Vec<Value> =
        (0..points).map(|at| if at % 1000 == 7 { Value::Null } else { json!(1.0 / (at as f64 + 3.0)) }).collect();
    let metrics = json!({
        "schema": 1, "experiment": "simulate", "folder": "simulate-x", "settings": {}, "provenance": {},
        "trials": [
            {"label": "a/b", "seed": 0, "parameters": 16_777_217, "non_finite": 1,
             "scalars": {"huge": 1e300, "tiny": 1e-300, "none": null, "loss": 1},
             "series": {"loss": loss, "alpha": [0.5, 1]}},
            {"label": "a_b", "seed": 0, "parameters": 1, "scalars": {}, "series": {"empty": []}, "non_finite": 0},
        ],
        "table": null, "summary": {}, "claims": [],
    });
    fs::write(folder.join("metrics.json"), metrics.to_string()).unwrap();
    let header = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\0\0\0\x01\0\x08\x06\0\0\0";
    fs::write(folder.join("figures/drawn.png"), [&header[..], b"0000IEND\xae\x42\x60\x82"].concat()).unwrap();
    fs::write(folder.join("figures/cut-off.png"), header).unwrap();
    metrics
}

#[test]
fn an_older_run_and_a_hundred_thousand_points_are_read() {
    let Some(python) = python() else { return };
    let dir = Dir::new();
    let metrics = older(&dir, 100_000);
    let arguments = ["export", "tensorboard", "--out", "old", "--to", "new\u{1b} & old"];
    let ran = dir.succeed(&arguments);
    assert!(!ran.stdout().contains('\u{1b}') && ran.stdout().contains("2 trials and 1 figure"), "{}", ran.stdout());
    assert!(ran.stdout().contains("figure cut-off is no PNG"), "{}", ran.stdout());
    let told = read(&python, &dir, "old", "new\u{1b} & old");
    assert_eq!(told["compared"].as_u64().unwrap(), 100_000 + 2 + 4 + 2);
    let runs = told["runs"].as_object().unwrap();
    assert_eq!(runs.len(), metrics["trials"].as_array().unwrap().len() + 1);
    let images = runs["simulate-x"]["images"].as_array().unwrap();
    assert_eq!((images.len(), &images[0][0], &images[0][3]), (1, &json!("drawn"), &json!(512)));
    assert!(dir.succeed(&arguments).stdout().contains("nothing is new"));
}

#[test]
fn what_is_not_hw1s_stays_as_it_is() {
    let dir = Dir::new();
    older(&dir, 3);
    let to = |to: &str| dir.run(&["export", "tensorboard", "--out", "old", "--to", to]);
    to("old").fails(1, &["the run directory itself", "--to"]);
    to("old/simulate-x").fails(1, &["in the folder of a study", "--to"]);
    to("old/simulate-x/trials").fails(1, &["in the folder of a study"]);
    to("old/simulate-x/metrics.json").fails(1, &["in the folder of a study"]);
    fs::write(dir.path().join("file"), "theirs").unwrap();
    to("file").fails(1, &["file", "is no folder", "--to"]);
    dir.run(&["export", "tensorboard", "--out", "none"]).fails(1, &["there is no run directory none"]);
    assert_eq!(dir.run(&["export", "tensorboard", "--out", "old", "--preset", "x"]).code(), 2);
    assert_eq!(dir.run(&["export", "numpy"]).code(), 2);
    assert_eq!(tree(&dir.path().join("old")).len(), 3);

    // Runs of another program in the same folder, and of the same name.
    for run in ["theirs", "simulate-x", "simulate-x/a_b-seed0"] {
        fs::create_dir_all(dir.path().join("both").join(run)).unwrap();
        fs::write(dir.path().join("both").join(run).join("events.out.tfevents.1.host.0"), "theirs").unwrap();
    }
    let theirs = tree(&dir.path().join("both"));
    assert_eq!(to("both").code(), 0);
    let both = tree(&dir.path().join("both"));
    assert!(theirs.iter().all(|file| both.contains(file)) && both.len() == theirs.len() + 3);
    let own: Vec<&PathBuf> =
        both.iter().map(|(path, _)| path).filter(|path| path.to_str().unwrap().contains("hw1-")).collect();
    assert!(own.iter().all(|path| !path.parent().unwrap().ends_with("a_b-seed0")), "{own:?}");

    // What was cut off is written again; what only has such a name is not.
    let whole = fs::read(own[0]).unwrap();
    fs::write(own[0], &whole[..whole.len() - 3]).unwrap();
    assert_eq!(to("both").code(), 0);
    assert!(tree(&dir.path().join("both")) == both);
    fs::write(own[0], "theirs").unwrap();
    to("both").fails(1, &["is none", "--to"]);
    assert_eq!(fs::read(own[0]).unwrap(), b"theirs");
}

#[test]
fn a_study_in_a_folder_of_any_name_is_exported() {
    let dir = Dir::new();
    older(&dir, 2);
    fs::rename(dir.path().join("old/simulate-x"), dir.path().join("old/é: *\u{1b}")).unwrap();
    let ran = dir.succeed(&["export", "tensorboard", "--out", "old"]);
    assert!(
        !ran.stdout().contains('\u{1b}') && ran.stdout().contains("new: 2 trials and 1 figure"),
        "{}",
        ran.stdout()
    );
    for (path, _) in tree(&dir.path().join("old/tensorboard")) {
        let name = path.strip_prefix(dir.path()).unwrap().to_str().unwrap();
        assert!(name.is_ascii() && !name.contains([':', '*', '\u{1b}']), "{name}");
    }
    assert!(dir.succeed(&["export", "tensorboard", "--out", "old"]).stdout().contains("nothing is new"));
}
