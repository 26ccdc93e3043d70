//! The runner on a small study of its own: trials that build on others, fail, panic or cannot be
//! saved; none of them stops the rest or is waited for.

use anyhow::{Result, bail};
use hw1::backend::device::DeviceChoice;
use hw1::data::Access;
use hw1::model::Mlp;
use hw1::runner::{Job, Options, ProgressMode, Signals, identity, run};
use hw1::store::RunDir;
use hw1::store::Stored;
use hw1::study::{
    Context, Experiment, Findings, Fingerprint, Measurements, Record, Records, Size, Study, Trial as TrialTrait,
};
use serde::{Deserialize, Serialize, Serializer};
use std::sync::atomic::{AtomicUsize, Ordering};
use tch::{Device, Kind};

hw1::settings! {
    #[derive(Serialize)]
    struct Toy {
        /// What each trial of the first stage does.
        behaviours: Vec<Behaviour>;
        /// How often it was asked for its trials.
        asked: AtomicUsize
    }
}

impl Toy {
    fn new(behaviours: Vec<Behaviour>) -> Self {
        Self { behaviours, asked: AtomicUsize::new(0) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Behaviour {
    Succeed,
    Fail,
    Panic,
    /// Its record panics on its way to JSON.
    PanicInRecord,
}

#[derive(Clone, Serialize, Deserialize)]
enum ToyTrial {
    First {
        seed: u64,
        behaviour: Behaviour,
    },
    /// Reads the weights of a first one.
    Second {
        seed: u64,
        parent: Fingerprint,
    },
}

impl TrialTrait for ToyTrial {
    fn seed(&self) -> u64 {
        match self {
            Self::First { seed, .. } | Self::Second { seed, .. } => *seed,
        }
    }

    fn cost(&self, _: Option<&dyn hw1::data::Dataset>) -> f64 {
        self.seed() as f64
    }
}

#[derive(Deserialize)]
struct ToyRecord {
    measurements: Measurements,
    #[serde(default)]
    panics: bool,
}

impl Serialize for ToyRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert!(!self.panics, "no way into JSON");
        #[derive(Serialize)]
        struct Plain<'a> {
            measurements: &'a Measurements,
        }
        Plain { measurements: &self.measurements }.serialize(serializer)
    }
}

impl Record for ToyRecord {
    fn measurements(&self) -> &Measurements {
        &self.measurements
    }
}

fn model() -> Mlp {
    "1-3-1".parse().unwrap()
}

impl Experiment for Toy {
    const NAME: &'static str = "toy";
    const ABOUT: &'static str = "";
    const SETTINGS: &'static str = "";
    const VERSION: u32 = 1;
    type Trial = ToyTrial;
    type Record = ToyRecord;

    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    fn size(&self) -> Size {
        Size::of_seeds(self.behaviours.len() as u64, 2, "")
    }

    fn label(&self, trial: &ToyTrial) -> String {
        match trial {
            ToyTrial::First { .. } => "first".into(),
            ToyTrial::Second { .. } => "second".into(),
        }
    }

    fn trials(&self, done: &Records<Self>) -> Result<Vec<ToyTrial>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let first = (0..).zip(&self.behaviours).map(|(seed, &behaviour)| ToyTrial::First { seed, behaviour });
        let second = done.0.iter().filter_map(|done| match &done.trial {
            ToyTrial::First { seed, .. } => Some(ToyTrial::Second { seed: *seed, parent: done.fingerprint.clone() }),
            ToyTrial::Second { .. } => None,
        });
        Ok(first.chain(second).collect())
    }

    fn run_trial(trial: &ToyTrial, cx: &mut Context) -> Result<ToyRecord> {
        let layout = model().layout();
        let mut measurements = Measurements { parameters: layout.parameters(), ..Measurements::default() };
        let mut panics = false;
        match trial {
            ToyTrial::First { seed, behaviour } => {
                match behaviour {
                    Behaviour::Succeed => {}
                    Behaviour::Fail => bail!("a failure of its own"),
                    Behaviour::Panic => panic!("a panic of its own"),
                    Behaviour::PanicInRecord => panics = true,
                }
                let theta = layout.initial(*seed, "toy", Kind::Float, cx.device);
                cx.save_weights("final", &layout, &theta.into())?;
            }
            ToyTrial::Second { seed, parent } => {
                let theta = cx.saved(parent)?.weights("final", &layout)?.theta;
                let same = theta == layout.initial(*seed, "toy", Kind::Float, cx.device);
                measurements.scalars.insert("same".into(), f64::from(u8::from(same)));
                assert!(cx.saved(parent)?.weights("initial", &layout).is_err());
            }
        }
        Ok(ToyRecord { measurements, panics })
    }

    fn findings(&self, _: &Records<Self>) -> Result<Findings> {
        Ok(Findings::default())
    }
}

fn options(workers: usize) -> Options {
    Options {
        workers,
        force: false,
        choice: DeviceChoice::Cpu,
        device: Device::Cpu,
        progress: ProgressMode::Silent,
        verbose: false,
        access: Access::default(),
        checkpoint_every: std::time::Duration::from_secs(30),
        shard: None,
    }
}

/// Runs a study; how many trials were reused and finished, and the failures.
fn run_toy(toy: &Toy, folder: &std::path::Path, jobs: usize) -> (usize, usize, Vec<(String, String)>) {
    let run_dir = RunDir::new(folder.to_owned());
    let mut job = [Job::new(toy as &dyn Study, &run_dir, "report")];
    run(&mut job, &run_dir, &Signals::default(), &options(jobs)).unwrap();
    let [job] = job;
    for record in job.finished.values() {
        let same = Study::measurements(toy, record).unwrap().scalars.get("same");
        assert!(same.is_none_or(|&same| same == 1.0), "the parent's weights came back changed");
    }
    (job.reused, job.finished.len(), job.failures)
}

#[test]
fn trials_build_on_the_weights_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut toy = Toy::new(vec![Behaviour::Succeed; 3]);
    assert_eq!(run_toy(&toy, folder.path(), 2), (0, 6, vec![]));
    assert_eq!(run_toy(&toy, folder.path(), 2), (6, 6, vec![]));
    toy.behaviours.push(Behaviour::Succeed);
    assert_eq!(run_toy(&toy, folder.path(), 2), (6, 8, vec![]));
}

#[test]
fn failures_and_panics_are_told_and_stop_nobody_else() {
    for jobs in [1, 2, 4] {
        let folder = tempfile::tempdir().unwrap();
        let toy = Toy::new(vec![
            Behaviour::Panic,
            Behaviour::Succeed,
            Behaviour::Fail,
            Behaviour::PanicInRecord,
            Behaviour::Succeed,
        ]);
        // Both successes and what builds on them; the others again with every call.
        for reused in [0, 4] {
            let (again, finished, mut failures) = run_toy(&toy, folder.path(), jobs);
            assert_eq!((again, finished), (reused, 4));
            failures.sort();
            let expected = ["a panic of its own", "a failure of its own", "no way into JSON"];
            let expected: Vec<(String, String)> =
                [0, 2, 3].iter().zip(expected).map(|(seed, why)| (format!("first, seed {seed}"), why.into())).collect();
            assert_eq!(failures, expected);
        }
        let log = std::fs::read_to_string(folder.path().join("toy/log.jsonl")).unwrap();
        assert_eq!(log.matches("\"event\":\"failed\"").count(), 6);
        assert!(log.contains("\"reason\":\"a panic of its own\""), "{log}");
    }
}

#[test]
fn the_report_of_what_did_not_fail_is_written_and_says_so() {
    use hw1::backend::device::DeviceChoice;
    use hw1::output::provenance::Call;
    use hw1::output::{table, write, write_all};
    let folder = tempfile::tempdir().unwrap();
    let toy = Toy::new(vec![Behaviour::Panic, Behaviour::Succeed, Behaviour::Fail]);
    let run_dir = RunDir::new(folder.path().to_owned());
    let mut jobs = [Job::new(&toy, &run_dir, "report")];
    run(&mut jobs, &run_dir, &Signals::default(), &options(2)).unwrap();
    let call = Call::now(DeviceChoice::Cpu, 2, "report");
    let metrics = write_all(&jobs, &call, 1, &Signals::default()).remove(0).1.unwrap();
    assert_eq!(metrics.trials.len(), 2);
    assert_eq!(metrics.failures.len(), 2);
    let text = table(&metrics, &jobs[0].dir.figures());
    assert!(text.contains("Partial: 2 of 4 trials failed"), "{text}");
    assert!(text.contains("a panic of its own") || text.contains("a failure of its own"), "{text}");
    let folders = hw1::output::study_folder::read_run_dir(folder.path()).unwrap();
    assert!(!folders[0].is_complete() && folders[0].metrics().unwrap().failures.len() == 2);

    // Of nothing there is no report.
    let toy = Toy::new(vec![Behaviour::Fail]);
    let elsewhere = tempfile::tempdir().unwrap();
    let run_dir = RunDir::new(elsewhere.path().to_owned());
    let mut jobs = [Job::new(&toy, &run_dir, "report")];
    run(&mut jobs, &run_dir, &Signals::default(), &options(1)).unwrap();
    let error = write(&jobs[0], &call, &Signals::default()).map(drop).unwrap_err();
    assert!(error.to_string().contains("no trial was finished"), "{error}");
    assert!(!elsewhere.path().join("toy/metrics.json").exists());
}

#[test]
fn settings_stand_before_the_first_trial_ends() {
    let folder = tempfile::tempdir().unwrap();
    run_toy(&Toy::new(vec![Behaviour::Fail]), folder.path(), 1);
    let settings = std::fs::read_to_string(folder.path().join("toy/settings.toml")).unwrap();
    assert!(settings.contains("preset = \"report\"") && settings.contains("Fail"), "{settings}");
}

#[test]
fn the_longest_trials_start_first() {
    let folder = tempfile::tempdir().unwrap();
    run_toy(&Toy::new(vec![Behaviour::Fail; 4]), folder.path(), 1);
    let log = std::fs::read_to_string(folder.path().join("toy/log.jsonl")).unwrap();
    let seeds: Vec<u64> = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["seed"].as_u64().unwrap())
        .collect();
    assert_eq!(seeds, [3, 2, 1, 0]);
}

#[test]
fn a_study_is_not_asked_for_its_trials_after_each_of_them() {
    // Naming n trials n times took 44 s for 1500 trials of a few milliseconds.
    let folder = tempfile::tempdir().unwrap();
    let toy = Toy::new(vec![Behaviour::Succeed; 60]);
    assert_eq!(run_toy(&toy, folder.path(), 2), (0, 120, vec![]));
    let asked = toy.asked.load(Ordering::Relaxed);
    assert!(asked < 60, "{asked} times for 120 trials");
}

#[test]
fn a_record_cut_at_any_byte_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let toy = Toy::new(vec![Behaviour::Succeed]);
    run_toy(&toy, folder.path(), 1);
    let dir = RunDir::new(folder.path().to_owned()).study("toy");
    let planned = &Study::plan(&toy, &[], &hw1::study::Finished::new(), "cpu").unwrap()[0];
    let path = folder.path().join(format!("toy/trials/{}.json", planned.fingerprint));
    let good = std::fs::read(&path).unwrap();
    let of_trial = || identity(&toy, &planned.trial, "cpu");
    let load = || dir.load(&planned.fingerprint, of_trial, |record| toy.decode(record)).unwrap();
    for length in 0..good.len() - 1 {
        std::fs::write(&path, &good[..length]).unwrap();
        assert!(matches!(load(), Stored::Invalid(_)), "cut at {length}");
    }
    std::fs::write(&path, &good).unwrap();
    assert!(matches!(load(), Stored::Valid(_)));
}

#[test]
fn a_line_cut_short_in_the_log_swallows_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::new(folder.path().to_owned()).study("toy");
    dir.prepare().unwrap();
    std::fs::write(folder.path().join("toy/log.jsonl"), "{\"event\":\"do").unwrap();
    for n in [1, 2] {
        dir.log(&serde_json::json!({ "n": n })).unwrap();
    }
    let log = std::fs::read_to_string(folder.path().join("toy/log.jsonl")).unwrap();
    assert_eq!(log.lines().skip(1).collect::<Vec<_>>(), ["{\"n\":1}", "{\"n\":2}"]);
}
