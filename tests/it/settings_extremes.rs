//! Settings of any size, of every study: a number that nobody means is refused at once, with a sentence, and
//! nothing that is accepted panics, fills the memory or takes for ever to name its trials. Which settings there are
//! is read off the studies themselves, so that a new one is tried too.

use crate::common::memory::LARGEST;
use crate::common::{Dir, Ran};
use hw1::cli::{Maker, experiments};
use hw1::error::Usage;
use hw1::study::settings::Layers;
use hw1::study::{Finished, MOST_TRIALS, Planned, Study};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use toml::Value as Setting;

/// Longest piece of memory that settings and the names of trials may take.
const MOST_MEMORY: usize = 128 << 20;
/// Of a refusal, and of naming all trials of what is accepted; of this thread's own time, as others are at work.
const MOST_REFUSAL: Duration = Duration::from_secs(1);
const MOST_NAMING: Duration = Duration::from_secs(8);

/// Of studies with fewer trials also those are named that only records name.
const FEW: u128 = 100;

/// Time that this thread has computed.
fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the struct it is given.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

// ----------------------------------------------------------------------------------- settings

const WHOLE: [i64; 15] = [
    0,
    1,
    2,
    -1,
    7,
    1000,
    100_000,
    1 << 31,
    1 << 32,
    5_000_000_000,
    1 << 53,
    1 << 62,
    i64::MAX - 1,
    i64::MAX,
    i64::MIN,
];

const REAL: [f64; 16] =
    [0.0, -0.0, 0.1, 0.5, 1.0, -1.0, 1e-30, 1e-45, 5e-324, 1e30, 4e38, 1e300, 1e308, -1e308, f64::NAN, f64::INFINITY];

const TEXT: [&str; 16] = [
    "1-4000000000-1",
    "1-9223372036854775807-1",
    "1-3000000-1",
    "784-12000-10",
    "784-4000000000-10",
    "conv4000000000-10",
    "conv4096-10",
    "conv4096-conv4096-10",
    "conv8-4000000000-10",
    "4294967295 adam 1e-3",
    "4294967296 adam 1e-3",
    "32 adam 5e-324",
    "32 sgd inf",
    "lanczos",
    "synthetic",
    "none",
];

fn whole() -> impl Iterator<Item = Setting> {
    WHOLE.into_iter().map(Setting::Integer)
}

fn real() -> impl Iterator<Item = Setting> {
    REAL.into_iter().map(Setting::Float)
}

/// What a setting is tried as, by what it is now.
fn extremes(now: &Value) -> Vec<Setting> {
    match now {
        Value::Number(number) if number.is_f64() => whole().chain(real()).collect(),
        // A float in the place of a whole number is a type of its own.
        Value::Number(_) => whole().chain([Setting::Float(1e308), Setting::Float(f64::NAN)]).collect(),
        Value::String(_) => TEXT.into_iter().map(Setting::from).collect(),
        Value::Bool(is) => vec![Setting::Boolean(!is)],
        Value::Array(entries) => of_list(entries),
        _ => panic!("a setting of a kind that is not tried: {now}"),
    }
}

/// An entry in place of each of a list's own, lists of one value, of two, of none, and long ones.
fn of_list(entries: &[Value]) -> Vec<Setting> {
    let toml = |value: &Value| Setting::try_from(value).unwrap();
    let mut lists = vec![Vec::new()];
    // Where a list is empty numbers are tried.
    let values = entries.first().map_or_else(|| real().collect(), extremes);
    for value in values {
        for at in 0..entries.len().min(3) {
            let mut list: Vec<Setting> = entries.iter().map(toml).collect();
            list[at] = value.clone();
            lists.push(list);
        }
        lists.push(vec![value.clone()]);
        lists.push(vec![value.clone(), value]);
    }
    let small = |i: usize| Setting::Float((i + 1) as f64 / 1e6);
    lists.push((0..1000).map(small).collect());
    lists.push((0..1000).map(|i| Setting::from(format!("784-{}-10", i + 1))).collect());
    lists.push(vec![Setting::Integer(5); 20_000]);
    lists.push(vec![Setting::from("784-5-10"); 20_000]);
    lists.into_iter().map(Setting::Array).collect()
}

/// A study, and its settings as they are in a preset.
struct Subject {
    name: &'static str,
    make: Maker,
    preset: &'static str,
    settings: Vec<(String, Value)>,
}

fn subjects() -> Vec<Subject> {
    let mut subjects = Vec::new();
    for (name, make) in experiments() {
        // Tiny; and with all that a study can measure.
        for preset in ["smoke", "canonical"] {
            let layers = Layers { preset: Some(preset.to_owned()), ..Layers::default() };
            let (_, settings) = make(&layers).unwrap()[0].settings().unwrap();
            let settings = settings.as_object().unwrap().clone().into_iter().collect();
            subjects.push(Subject { name, make, preset, settings });
        }
    }
    assert!(subjects.len() >= 18);
    subjects
}

impl Subject {
    /// A dry run with these settings: what comes of it, if it is as it should be.
    fn dry_run(&self, sets: &[(&str, &Setting)]) -> Result<Outcome, String> {
        let shown = || {
            let sets = sets.iter().map(|(key, value)| format!(" {key}={:.80}", value.to_string()));
            format!("{} --preset {}{}", self.name, self.preset, sets.collect::<String>())
        };
        let flags = sets.iter().map(|(key, value)| ("--set".to_owned(), (*key).to_owned(), (*value).clone()));
        let layers = Layers { preset: Some(self.preset.to_owned()), flags: flags.collect(), ..Layers::default() };
        LARGEST.set(0);
        let begin = thread_time();
        let ended = catch_unwind(AssertUnwindSafe(|| -> anyhow::Result<Named> {
            let named = |study: Box<dyn Study>| Ok((study.plan(&[], &Finished::new(), "cpu")?, study));
            let studies = (self.make)(&layers)?.into_iter().map(named).collect::<anyhow::Result<Vec<_>>>()?;
            for (_, study) in studies.iter().filter(|(_, study)| study.size().trials < FEW) {
                complete(study.as_ref());
            }
            Ok(studies.into_iter().map(|(planned, study)| (study, planned)).collect())
        }));
        let (took, largest) = (thread_time() - begin, LARGEST.get());
        let ended = ended.map_err(|_| format!("{}: panicked", shown()))?;
        let most = if ended.is_err() { MOST_REFUSAL } else { MOST_NAMING };
        if took > most || largest > MOST_MEMORY {
            return Err(format!("{}: {took:?}, {largest} bytes", shown()));
        }
        match ended {
            Ok(studies) => {
                let named: u128 = studies.iter().map(|(_, planned)| planned.len() as u128).sum();
                let sizes: u128 = studies.iter().map(|(study, _)| study.size().trials).sum();
                if named > sizes || sizes > MOST_TRIALS {
                    return Err(format!("{}: {named} trials of {sizes}", shown()));
                }
                Ok(Outcome::Accepted(studies))
            }
            Err(error) if error.is::<Usage>() => {
                let text = format!("{error:#}");
                let fits = text.len() < 2000 && !text.contains("null") && !text.contains("overflow");
                if fits { Ok(Outcome::Refused(text)) } else { Err(format!("{}: {text:.400}", shown())) }
            }
            Err(error) => Err(format!("{}: no refusal but {error:#}", shown())),
        }
    }
}

/// Studies, each with the trials that its settings name.
type Named = Vec<(Box<dyn Study>, Vec<Planned>)>;

enum Outcome {
    Accepted(Named),
    Refused(String),
}

// -------------------------------------------------------------------------------------- tests

/// Every setting, one at a time.
#[test]
fn any_value_of_any_setting_is_refused_or_planned() {
    let (mut wrong, mut accepted, mut refused) = (Vec::new(), 0, 0);
    for subject in subjects() {
        for (key, now) in &subject.settings {
            for value in extremes(now) {
                match subject.dry_run(&[(key, &value)]) {
                    Ok(Outcome::Accepted(_)) => accepted += 1,
                    Ok(Outcome::Refused(_)) => refused += 1,
                    Err(what) => wrong.push(what),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), accepted + refused, wrong.join("\n"));
    assert!(accepted > 1000 && refused > 2000, "{accepted} accepted, {refused} refused");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Two or three at once find products.
    #[test]
    fn any_values_of_several_settings_are_refused_or_planned(
        which in any::<prop::sample::Index>(),
        picks in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 2..4),
    ) {
        let subjects = subjects_once();
        let subject = which.get(subjects);
        let chosen: Vec<(&str, Setting)> = picks.iter().map(|(setting, value)| {
            let (key, now) = setting.get(&subject.settings);
            let values = extremes(now);
            (key.as_str(), value.get(&values).clone())
        }).collect();
        let sets: Vec<(&str, &Setting)> = chosen.iter().map(|(key, value)| (*key, value)).collect();
        if let Err(what) = subject.dry_run(&sets) {
            prop_assert!(false, "{what}");
        }
    }
}

fn subjects_once() -> &'static [Subject] {
    static SUBJECTS: std::sync::OnceLock<Vec<Subject>> = std::sync::OnceLock::new();
    SUBJECTS.get_or_init(subjects)
}

/// A record of a training that went well, for all studies: no more than what names further trials.
const RECORD: &str =
    r#"{"parameters": 1, "scalars": {"diverged": 0}, "series": {}, "confusion": [], "misclassified": []}"#;

/// Names all trials that a study will ever have, as its records come in.
fn complete(study: &dyn Study) -> Vec<Planned> {
    let (mut planned, mut finished) = (Vec::new(), Finished::new());
    loop {
        planned = study.plan(&planned, &finished, "cpu").unwrap();
        if finished.len() == planned.len() {
            return planned;
        }
        for trial in &planned {
            let record = || study.decode(serde_json::from_str(RECORD).unwrap()).unwrap();
            finished.entry(trial.fingerprint.clone()).or_insert_with(record);
        }
    }
}

/// Trials that only records name are counted beforehand; and all are told apart.
#[test]
fn what_is_counted_is_what_is_named() {
    let mut sets: Vec<(&str, &[(&str, i64)])> = vec![
        ("pca-weights", &[("grid", 5), ("block_size", 7), ("repeats", 3), ("trainings", 2)]),
        ("interpolate", &[("alphas", 17), ("block_size", 3), ("repeats", 3)]),
        ("interpolate", &[("alphas", 500), ("block_size", 1)]),
    ];
    sets.extend(experiments().map(|(name, _)| (name, &[][..])));
    for (name, sets) in sets {
        for subject in subjects_once().iter().filter(|subject| subject.name == name) {
            let sets: Vec<(&str, Setting)> = sets.iter().map(|(key, value)| (*key, Setting::Integer(*value))).collect();
            let sets: Vec<(&str, &Setting)> = sets.iter().map(|(key, value)| (*key, value)).collect();
            let Ok(Outcome::Accepted(studies)) = subject.dry_run(&sets) else { panic!("{name}: refused") };
            for (study, first) in studies {
                let planned = complete(study.as_ref());
                assert!(planned.len() >= first.len());
                // Of the α two may or may not be 0 and 1, and so one block.
                let counted = study.size().trials;
                let repeats = study.settings().unwrap().1["repeats"].as_u64().unwrap();
                let spare = if name == "interpolate" { u128::from(2 * repeats) } else { 0 };
                let named = planned.len() as u128;
                assert!((named..=named + spare).contains(&counted), "{name}: {counted} counted, {named} named");
                let fingerprints: BTreeSet<_> = planned.iter().map(|planned| &planned.fingerprint).collect();
                let names: BTreeSet<_> = planned.iter().map(Planned::name).collect();
                assert_eq!((fingerprints.len(), names.len()), (planned.len(), planned.len()), "{name}");
            }
        }
    }
}

/// The largest studies are named in seconds, from the settings and from their records.
#[test]
fn the_most_trials_are_named_in_seconds() {
    for (name, sets, with_records, least) in [
        ("min-ratio", &[("repeats", 10), ("trainings", 10_000)][..], false, 100_000),
        ("simulate", &[("train_size", 10_000_000), ("repeats", 1)], false, 3),
        ("interpolate", &[("repeats", 4), ("alphas", 99_000), ("block_size", 20)], true, 19_000),
        ("pca-weights", &[("repeats", 200), ("trainings", 5), ("grid", 41), ("block_size", 99)], true, 19_000),
    ] {
        let subject = subjects_once().iter().find(|s| (s.name, s.preset) == (name, "smoke")).unwrap();
        let sets: Vec<(&str, Setting)> = sets.iter().map(|(key, value)| (*key, Setting::Integer(*value))).collect();
        let sets: Vec<(&str, &Setting)> = sets.iter().map(|(key, value)| (*key, value)).collect();
        let outcome = subject.dry_run(&sets).unwrap_or_else(|what| panic!("{what}"));
        let Outcome::Accepted(studies) = outcome else { panic!("{name}: refused") };
        let begin = thread_time();
        let named = |(study, first): &(Box<dyn Study>, Vec<Planned>)| {
            if with_records { complete(study.as_ref()).len() } else { first.len() }
        };
        let named: usize = studies.iter().map(named).sum();
        let took = thread_time() - begin;
        assert!(named >= least, "{name}: {named}");
        assert!(took < MOST_NAMING, "{name}: {took:?} for {named}");
    }
}

/// A chain, each link of which is named by the record before, is not named anew from its start for each.
#[test]
fn a_long_chain_is_named_in_seconds() {
    let subject = subjects_once().iter().find(|s| (s.name, s.preset) == ("min-ratio", "smoke")).unwrap();
    let (warm, trainings) = (Setting::Boolean(true), Setting::Integer(200));
    let outcome = subject.dry_run(&[("warm", &warm), ("trainings", &trainings)]).unwrap();
    let Outcome::Accepted(studies) = outcome else { panic!("refused") };
    let begin = thread_time();
    assert_eq!(complete(studies[0].0.as_ref()).len(), 200);
    assert!(thread_time() - begin < MOST_NAMING, "{:?}", thread_time() - begin);
    let Ok(Outcome::Refused(why)) = subject.dry_run(&[("warm", &warm), ("trainings", &Setting::Integer(1001))]) else {
        panic!("accepted")
    };
    assert!(why.contains("trainings is 1001; it must be from 1 to 1000"), "{why}");
}

/// What is refused is named, with the way out.
#[test]
fn refusals_say_what_would_be_valid() {
    for (name, sets, words) in [
        ("interpolate", &["alpha_max=5e-324"][..], &["alpha_max is 5e-324", "float32"][..]),
        ("interpolate", &["alpha_min=1e16", "alpha_max=1.0000000000000002e16"], &["is 1e16", "too near", "6 α"]),
        ("interpolate", &["second_epochs_factor=9223372036854775807"], &["epochs · second_epochs_factor is"]),
        ("interpolate", &["repeats=1000", "alphas=90000", "block_size=90000"], &["repeats · alphas is 90000000"]),
        (
            "interpolate",
            &["eigenvalues=1", "density_probes=9999", "density_steps=9999"],
            &["density_probes · density_steps is 99980001"],
        ),
        (
            "interpolate",
            &["eigenvalues=200", "model='784-12000-10'"],
            &["200 eigenvalues", "GB of memory", "lower eigenvalues"],
        ),
        ("min-ratio", &["seed=9223372036854775800", "repeats=9"], &["seed is 9223372036854775800", "9 repeats of 4"]),
        ("pca-weights", &["seed=9223372036854775805"], &["seed is 9223372036854775805", "3 trainings"]),
        ("pca-weights", &["grid=301", "block_size=1"], &["would be 271810 trials", "raise block_size"]),
        (
            "pca-weights",
            &["model='784-12000-10'", "epochs=1600", "snapshot_every=1"],
            &["1600 snapshots of the 9540010 parameters", "GB of memory", "raise snapshot_every"],
        ),
        (
            "pca-weights",
            &["epochs=1600", "snapshot_every=1", "repeats=1000"],
            &["repeats · snapshots of each is 4800000"],
        ),
        (
            "mnist-cnn",
            &["models=['conv4096-10']", "batch_size=60000", "train_size=60000"],
            &["GB of memory", "lower batch_size"],
        ),
        ("mnist-cnn", &["models=['conv4096-conv4096-10']"], &["more than 10 million parameters"]),
        (
            "min-ratio",
            &["curvature=lanczos", "model=1-3000-3000-1", "lanczos_steps=100000"],
            &["100000 lanczos_steps", "GB of memory", "lower lanczos_steps"],
        ),
        (
            "min-ratio",
            &["curvature=lanczos", "model=1-3000-3000-1", "train_size=1000000"],
            &["over 1000000 points", "GB of memory", "lower train_size"],
        ),
        ("simulate", &["epochs=9223372036854775807"], &["epochs is 9223372036854775807", "from 1 to 100000000"]),
        ("simulate", &["learning_rate=5e-324"], &["learning_rate is 5e-324", "from 1e-36 to 1e36"]),
        ("simulate", &["convergence=inf"], &["convergence is inf"]),
        ("sensitivity", &["trainings=['32 adam 1e-40']"], &["learning_rate is 1e-40"]),
    ] {
        let subject = subjects_once().iter().find(|s| (s.name, s.preset) == (name, "smoke")).unwrap();
        let layers = Layers {
            preset: Some("smoke".to_owned()),
            sets: sets.iter().map(ToString::to_string).collect(),
            ..Layers::default()
        };
        let error = (subject.make)(&layers).err().unwrap_or_else(|| panic!("{name} {sets:?}: accepted"));
        assert!(error.is::<Usage>(), "{error:#}");
        let text = format!("{error:#}");
        assert!(words.iter().all(|word| text.contains(word)), "{name} {sets:?}: {text}");
    }
}

/// Through the binary: exit code 2 and one line, at once, and in little memory.
#[test]
fn the_binary_refuses_at_once_and_in_one_line() {
    let dir = Dir::new();
    let search = ["--set", "sharpness_starts=5000000000", "--set", "sharpness_steps=5000000000"];
    let search = [&["interpolate", "--preset", "smoke", "--set", "epsilons=[1e-3]"][..], &search].concat();
    for (arguments, words) in [
        (&search[..], &["sharpness_starts is 5000000000", "from 1 to 10000"][..]),
        (
            &["min-ratio", "--trainings", "10000", "--repeats", "10000", "--dry-run"],
            &["min-ratio would be 100000000 trials; at most 100000: lower --repeats or trainings"],
        ),
        (
            &["interpolate", "--set", "alpha_min=-1e308", "--set", "alpha_max=1e308"],
            &["alpha_min is -1e308", "float32"],
        ),
        (&["all", "--set", "min-ratio.trainings=9223372036854775807"], &["trainings is 9223372036854775807"]),
    ] {
        let begin = Instant::now();
        let (ran, peak) = run_and_weigh(&dir, arguments);
        ran.fails(2, words);
        assert!(peak < 1 << 20, "{arguments:?}: {peak} kB");
        // Others are at work on this machine too: what takes long here takes for ever.
        assert!(begin.elapsed() < Duration::from_secs(20), "{arguments:?}: {:?}", begin.elapsed());
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let (ran, peak) = run_and_weigh(&dir, &["min-ratio", "--trainings", "1000", "--repeats", "10", "--dry-run"]);
    assert_eq!(ran.code(), 0, "{}", ran.stderr());
    assert!(peak < 1 << 20, "{peak} kB");
}

/// What a run of the binary leaves, and the most memory that it held, in kB: its own, whatever else this process
/// has started and waited for.
#[allow(clippy::zombie_processes)] // wait4 waits
fn run_and_weigh(dir: &Dir, arguments: &[&str]) -> (Ran, i64) {
    let mut command = dir.command(arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    child.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
    child.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
    let (id, mut status) = (i32::try_from(child.id()).unwrap(), 0);
    // SAFETY: all zeros is a value of it.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: a child that nobody else waits for; both places are written, and stand as long as the call.
    assert_eq!(unsafe { libc::wait4(id, &raw mut status, 0, &raw mut usage) }, id);
    (Ran::new(Output { status: ExitStatus::from_raw(status), stdout, stderr }), usage.ru_maxrss)
}
