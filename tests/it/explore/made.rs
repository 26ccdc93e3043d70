//! What the pages show: one run directory of small studies, made once by the binary, and numbers as a reader meets them.

use crate::common::Dir;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The smallest settings that still have the figure.
const STUDIES: [&str; 7] = [
    "simulate --fn sin-sq --repeats 3 --set epochs=30",
    "grad-norm --repeats 2 --set epochs=30 --set train_size=100 --set validation_size=100",
    "min-ratio --set epochs=30",
    "interpolate --set model=conv2-16-classes --set train_size=256 --set test_size=100 --set block_size=8",
    "pca-weights --set model=inputs-8-classes --set train_size=256 --set test_size=100 --set trainings=2 --set grid=7 \
     --set surface_size=100",
    "params-sweep --set label_noise=[0.0,0.2] --set train_size=256 --set test_size=200",
    "mnist-cnn --set models=[\"CNN_1=conv2-16-classes\",\"CNN_2=conv3-16-classes\"] \
     --set train_size=256 --set test_size=200",
];

pub const SIMULATE: &str = "simulate-sin-sq";

pub struct Made {
    folder: PathBuf,
}

/// The run directory with its page.
pub fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("explore");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let made = Made { folder };
        for study in STUDIES {
            let words: Vec<&str> = study.split_whitespace().collect();
            made.succeed(&[&words[..], &["--preset", "smoke", "--out", "run", "--quiet"]].concat());
        }
        made.succeed(&["report", "--out", "run"]);
        made
    })
}

impl Made {
    fn succeed(&self, arguments: &[&str]) {
        let output =
            Command::new(env!("CARGO_BIN_EXE_hw1")).args(arguments).current_dir(&self.folder).output().unwrap();
        assert!(output.status.success(), "hw1 {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub fn page(&self) -> PathBuf {
        self.folder.join("run/report.html")
    }

    /// A file of a study's folder.
    pub fn file(&self, study: &str, path: &str) -> PathBuf {
        self.folder.join("run").join(study).join(path)
    }

    fn json(&self, study: &str, path: &str) -> Value {
        serde_json::from_slice(&fs::read(self.file(study, path)).unwrap()).unwrap()
    }

    pub fn figure(&self, study: &str, name: &str) -> Value {
        self.json(study, &format!("figures/{name}.json"))
    }

    pub fn metrics(&self, study: &str) -> Value {
        self.json(study, "metrics.json")
    }

    /// The names of all figures, study by study.
    pub fn figures(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        for folder in fs::read_dir(self.folder.join("run")).unwrap().map(|entry| entry.unwrap().path()) {
            let study = folder.file_name().unwrap().to_str().unwrap().to_owned();
            if !folder.join("metrics.json").is_file() {
                continue;
            }
            for figure in self.metrics(&study)["figures"].as_array().unwrap() {
                all.push((study.clone(), figure["name"].as_str().unwrap().to_owned()));
            }
        }
        assert!(all.len() > 15, "{all:?}");
        all.sort();
        all
    }

    /// A copy of some studies, to be changed, in `run` of a folder of a test's own.
    pub fn copy(&self, studies: &[&str]) -> Dir {
        let dir = Dir::new();
        for study in studies {
            copy(&self.folder.join("run").join(study), &dir.path().join("run").join(study));
        }
        dir
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// The points of a figure's series, by panel and label.
pub fn points(figure: &Value, panel: usize, label: &str) -> Vec<(f64, f64)> {
    let plot = &figure["panels"][panel]["plot"];
    let right = plot["right"][1].as_array();
    let mut all = plot["series"].as_array().unwrap().iter().chain(right.into_iter().flatten());
    let series = all.find(|series| series["label"] == label && series["mark"] != "band");
    points_of(series.unwrap_or_else(|| panic!("no {label:?} in {figure:.2000}")))
}

/// What is not finite stands there as null.
pub fn points_of(series: &Value) -> Vec<(f64, f64)> {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    series["points"].as_array().unwrap().iter().map(|point| (number(&point[0]), number(&point[1]))).collect()
}

/// The value of a curve at an x that it has.
pub fn at(points: &[(f64, f64)], x: f64) -> f64 {
    points.iter().find(|point| point.0 == x).unwrap_or_else(|| panic!("no {x} in {points:?}")).1
}

/// A number as the page writes it.
pub fn number(shown: &str) -> f64 {
    shown.replace('−', "-").parse().unwrap_or_else(|_| panic!("no number: {shown:?}"))
}

/// Whether what is shown is a number to the digits shown, and has enough of them.
pub fn agrees(shown: &str, exact: f64) -> bool {
    let text = shown.replace('−', "-");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let unit = 10f64.powi(exponent.parse::<i32>().unwrap() - i32::try_from(decimals).unwrap());
    let is_whole = exact.fract() == 0.0 && decimals == 0;
    (number(shown) - exact).abs() <= 0.5 * unit * (1.0 + 1e-9) && (is_whole || digits >= 4)
}

#[test]
fn numbers_agree_to_the_digits_shown() {
    for (shown, exact, agree) in [
        ("0.1235", 0.123_456, true),
        ("0.1234", 0.123_456, false),
        ("−2.000", -2.0001, true),
        ("2.000", -2.0001, false),
        ("3", 3.0, true),
        ("3", 3.2, false),
        ("0.12", 0.12, false),
        ("1.234e−7", 1.2341e-7, true),
        ("1.234e−7", 1.2346e-7, false),
    ] {
        assert_eq!(agrees(shown, exact), agree, "{shown} {exact}");
    }
}
