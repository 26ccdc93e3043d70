//! The command line: clap, the registry of experiments, and the way from arguments to a run.

pub mod bench;
pub mod doctor;
mod look;

use crate::backend::device::DeviceChoice;
use crate::data::fetch::{self, fetch};
use crate::data::mnist;
use crate::error::{Interrupted, one_line, say, usage};
use crate::experiments::grad_norm::GradNorm;
use crate::experiments::interpolate::Interpolate;
use crate::experiments::min_ratio::MinRatio;
use crate::experiments::mnist_cnn::MnistCnn;
use crate::experiments::params_sweep::ParamsSweep;
use crate::experiments::pca_weights::PcaWeights;
use crate::experiments::random_labels::RandomLabels;
use crate::experiments::sensitivity::Sensitivity;
use crate::experiments::simulate::Simulate;
use crate::output;
use crate::output::page::{self, Format, Reference};
use crate::output::provenance::Call;
use crate::runner::verify;
use crate::runner::{self, Job, Options, ProgressMode, Signals};
use crate::store::{RunDir, StudyDir};
use crate::study::settings::{DEFAULT_PRESET, Layers};
use crate::study::{Experiment, Fingerprint, Flag, Study};
use anyhow::{Context as _, Result, bail};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches as _, ValueEnum};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{ErrorKind, Read as _, Write as _};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;
use toml::Value;

/// What the command line needs of an experiment, its types left behind.
struct Entry {
    name: &'static str,
    about: &'static str,
    flags: &'static [Flag],
    repeats_in_all: u64,
    studies: Maker,
}

/// What an experiment becomes: one study, or more.
pub type Studies = Vec<Box<dyn Study>>;

/// All experiments, in the order of the report. To add one: a file in `src/experiments`, a TOML
/// in `experiments`, a line here.
static REGISTRY: &[Entry] = &[
    entry::<Simulate>(),
    entry::<MnistCnn>(),
    entry::<PcaWeights>(),
    entry::<GradNorm>(),
    entry::<MinRatio>(),
    entry::<RandomLabels>(),
    entry::<ParamsSweep>(),
    entry::<Interpolate>(),
    entry::<Sensitivity>(),
];

const fn entry<E: Experiment>() -> Entry {
    Entry {
        name: E::NAME,
        about: E::ABOUT,
        flags: E::FLAGS,
        repeats_in_all: E::REPEATS_IN_ALL,
        studies: |layers| layers.studies::<E>(),
    }
}

/// What makes an experiment's studies of settings.
pub type Maker = fn(&Layers) -> Result<Studies>;

/// All experiments by name.
pub fn experiments() -> impl Iterator<Item = (&'static str, Maker)> {
    REGISTRY.iter().map(|entry| (entry.name, entry.studies))
}

/// Flags that every experiment has.
#[derive(Args)]
struct Common {
    /// Where to train: cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: DeviceChoice,
    /// Run directory [default: runs/<preset>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// First seed
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
    /// Seeds to run: seed, seed + 1, …
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    repeats: Option<u64>,
    /// Epochs, at most
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    epochs: Option<u64>,
    /// report (as the report says), canonical (as the literature asks) or smoke (tiny) [default: report]
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Folder with MNIST's files, for studies on digits [default: HW1_DATA_DIR, else the cache]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Settings from a TOML file, such as a run's settings.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Any setting, as TOML; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Trials at a time [default: all cores on CPU, 1 on CUDA]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Run finished trials again
    #[arg(long)]
    force: bool,
    /// List the trials and whether each is done, and stop
    #[arg(long)]
    dry_run: bool,
    /// Progress on standard error: auto is bars on a terminal, lines elsewhere
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    progress: When,
    /// Nothing but results and errors
    #[arg(long, short)]
    quiet: bool,
    /// Name every trial
    #[arg(long, short, conflicts_with = "quiet")]
    verbose: bool,
    /// The metrics on standard output instead of the table, a line of JSON a study
    #[arg(long)]
    json: bool,
}

/// Flags of `hw1 verify`.
#[derive(Args)]
struct VerifyArgs {
    /// Run directory [default: runs/<preset>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The preset whose run directory to check [default: report]
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Run up to N finished trials of each study again, from scratch, and compare bytes
    #[arg(long, value_name = "N", default_value_t = 0)]
    recompute: usize,
    /// Folder with MNIST's files [default: HW1_DATA_DIR, else the cache]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

/// The whole command line, also for `--help`.
#[must_use]
pub fn command() -> Command {
    let mut command = Command::new("hw1")
        .version(env!("CARGO_PKG_VERSION"))
        .about("See how neural networks learn: each experiment trains, measures, writes JSON and draws figures")
        .subcommand_required(true)
        .arg_required_else_help(true);
    let folder = Arg::new("data-dir")
        .long("data-dir")
        .value_name("DIR")
        .value_parser(clap::value_parser!(PathBuf))
        .help("MNIST's folder [default: HW1_DATA_DIR, else the cache]");
    let mirror = Arg::new("mirror")
        .long("mirror")
        .value_name("URL")
        .action(ArgAction::Append)
        .help("Where to fetch from instead of the usual places; may be repeated");
    command = command.subcommand(
        Command::new("data")
            .about("Fetch, check or find MNIST")
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand(Command::new("fetch").about("Download what is missing").arg(folder.clone()).arg(mirror))
            .subcommand(Command::new("verify").about("Check all four files").arg(folder.clone()))
            .subcommand(Command::new("path").about("Print the folder in use").arg(folder)),
    );
    command = command.subcommand(
        VerifyArgs::augment_args(Command::new("verify")).about("Check a run directory: records, weights, checkpoints"),
    );
    let names = || PossibleValuesParser::new(REGISTRY.iter().map(|entry| entry.name));
    let which = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("STUDY").value_delimiter(',').value_parser(names()).help(help)
    };
    let all = Command::new(ALL)
        .arg(which("only", "Only these, by subcommand, separated by commas"))
        .arg(which("skip", "All but these"));
    command = command.subcommand(
        Common::augment_args(all)
            .about("All studies as one run, with a verdict on every claim")
            .mut_arg("config", |arg| arg.hide(true))
            .mut_arg("sets", |arg| {
                arg.value_name("STUDY.KEY=VALUE").help("Any setting of a study, as TOML; may be repeated")
            })
            .mut_arg("repeats", |arg| {
                arg.help("Seeds to run of every study [default: the preset's, else 5 of simulate, grad-norm and params-sweep, 1 of the others]")
            }),
    );
    command = command.subcommand(
        Command::new("report")
            .about("Put all studies of a run directory on one page")
            .arg(
                Arg::new("out")
                    .long("out")
                    .value_name("DIR")
                    .value_parser(clap::value_parser!(PathBuf))
                    .help("Run directory [default: runs/<preset>]"),
            )
            .arg(
                Arg::new("preset")
                    .long("preset")
                    .value_name("NAME")
                    .default_value(DEFAULT_PRESET)
                    .help("Preset whose run directory it is, where --out names none"),
            )
            .arg(
                Arg::new("against").long("against").value_name("DIR").value_parser(clap::value_parser!(PathBuf)).help(
                    "Run directory whose verdicts stand beside [default: of preset canonical, its neighbour report]",
                ),
            )
            .arg(
                Arg::new("format")
                    .long("format")
                    .value_name("FORMAT")
                    .value_parser(["html", "markdown"])
                    .default_value("html")
                    .help("html: report.html, one file that needs no other; markdown: report.md, beside its figures"),
            ),
    );
    for entry in REGISTRY {
        let own = entry.flags.iter().map(|flag| {
            let arg = Arg::new(flag.name).long(flag.name).help(flag.help);
            if flag.value_name.is_empty() {
                return arg.num_args(0).default_missing_value("").action(ArgAction::Set);
            }
            let action = if flag.repeatable { ArgAction::Append } else { ArgAction::Set };
            // Values like -3:3 and -x^2 begin with a hyphen.
            arg.value_name(flag.value_name).action(action).allow_hyphen_values(true)
        });
        // Last, as augment_args brings the text of Common's own comment.
        command = command.subcommand(Common::augment_args(Command::new(entry.name).args(own)).about(entry.about));
    }
    command.subcommands(look::commands())
}

/// Runs the process's command line.
///
/// # Errors
/// [`crate::error::Usage`] for what makes no sense, [`Exit`] where clap or a signal has had the
/// last word, anything else for a failure.
pub fn main(arguments: impl Iterator<Item = OsString>) -> Result<()> {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return Err(Exit(u8::try_from(error.exit_code()).unwrap_or(2)).into());
        }
    };
    let Some((name, matches)) = matches.subcommand() else { bail!("no subcommand") };
    match name {
        "data" => return data(matches),
        "report" => return report(matches),
        _ => {}
    }
    if let Some(result) = look::run(name, matches) {
        return result;
    }
    if name == "verify" {
        return verify(&VerifyArgs::from_arg_matches(matches)?);
    }
    let common = Common::from_arg_matches(matches)?;
    let (studies, preset) = if name == ALL {
        all_studies(&common, matches)?
    } else {
        let entry = REGISTRY.iter().find(|entry| entry.name == name).context("a subcommand without an experiment")?;
        let layers = layers(entry, &common, matches)?;
        ((entry.studies)(&layers)?, layers.preset().to_owned())
    };
    let run_dir = run_dir(common.out.as_ref(), &preset);
    if common.dry_run {
        return dry_run(&studies, &run_dir, &common, &preset);
    }
    let ran = run(&studies, &run_dir, &common, &preset);
    if name != ALL || ran.as_ref().is_err_and(|error| error.is::<Exit>()) {
        return ran;
    }
    // Also where a trial failed: the page shows what there is.
    let page = write_page(&run_dir, None, Format::Html);
    match (ran, page) {
        (Err(error), _) | (Ok(()), Err(error)) => Err(error),
        (Ok(()), Ok(path)) if common.json => {
            say(&format!("hw1: {}", path.display()));
            Ok(())
        }
        (Ok(()), Ok(path)) => print(&format!("\n{}\n", path.display())),
    }
}

/// `hw1 all`, beside the subcommands of the registry.
const ALL: &str = "all";

/// The studies of `hw1 all`, and their preset.
fn all_studies(common: &Common, matches: &ArgMatches) -> Result<(Studies, String)> {
    if common.config.is_some() {
        return Err(usage("--config is for one study; here use --set study.key=value".to_owned()));
    }
    let named = |flag: &str| -> Vec<&String> { matches.get_many(flag).into_iter().flatten().collect() };
    let (only, skip) = (named("only"), named("skip"));
    let wanted = |name: &str| (only.is_empty() || only.iter().any(|o| *o == name)) && !skip.iter().any(|s| *s == name);
    let mut sets: Vec<(&str, String)> = Vec::new();
    for assignment in &common.sets {
        let found = assignment.split_once('=').and_then(|(key, value)| Some((key.split_once('.')?, value)));
        let study = found.and_then(|((study, _), _)| REGISTRY.iter().find(|entry| entry.name == study.trim()));
        let (Some(((_, key), value)), Some(entry)) = (found, study) else {
            let names: Vec<&str> = REGISTRY.iter().map(|entry| entry.name).collect();
            return Err(usage(format!(
                "--set {assignment}: write --set study.key=value; the studies are {}",
                names.join(", ")
            )));
        };
        sets.push((entry.name, format!("{key}={value}")));
    }
    let mut studies = Studies::new();
    for entry in REGISTRY.iter().filter(|entry| wanted(entry.name)) {
        let of_entry = sets.iter().filter(|(name, _)| *name == entry.name).map(|(_, set)| set.clone());
        let mut layers = Layers { preset: common.preset.clone(), sets: of_entry.collect(), ..Layers::default() };
        layers.repeats = Some(entry.repeats_in_all);
        add_numbers(common, &mut layers)?;
        studies.extend((entry.studies)(&layers)?);
    }
    if studies.is_empty() {
        return Err(usage("no study is left: see --only and --skip".to_owned()));
    }
    Ok((studies, common.preset.clone().unwrap_or_else(|| DEFAULT_PRESET.to_owned())))
}

/// The process is to end with this code; all that there is to say has been said.
#[derive(Debug)]
pub struct Exit(pub u8);

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "exit code {}", self.0)
    }
}

impl std::error::Error for Exit {}

/// Bytes read of a settings file; what is longer is none.
const LONGEST_CONFIG: u64 = 1 << 20;

/// `hw1 data fetch|verify|path`.
fn data(matches: &ArgMatches) -> Result<()> {
    let Some((name, matches)) = matches.subcommand() else { bail!("no subcommand") };
    let named = matches.get_one::<PathBuf>("data-dir").map(PathBuf::as_path);
    match name {
        "fetch" => {
            let mirrors: Vec<String> = matches.get_many("mirror").into_iter().flatten().cloned().collect();
            let mirrors = if mirrors.is_empty() { fetch::mirrors() } else { mirrors };
            let folder = mnist::fetch_folder(named)?;
            let signals = Signals::install()?;
            let fetched = runner::with_download_bar(ProgressMode::auto(), |progress| {
                fetch(&folder, &mirrors, signals.flag(), progress)
            });
            match fetched {
                Err(error) if error.is::<Interrupted>() => {
                    say("hw1: interrupted; what was fetched is kept, the same command goes on from there");
                    Err(Exit(signals.exit_code()).into())
                }
                fetched => fetched.and_then(|()| print(&format!("{}\n", folder.display()))),
            }
        }
        "verify" => {
            let folder = found(named)?;
            let checks = mnist::verify(&folder);
            for check in &checks {
                let path = check.path.as_ref().map_or(check.name.to_owned(), |path| path.display().to_string());
                print(&format!("{path}: {}\n", check.problem.as_deref().unwrap_or("ok")))?;
            }
            let bad = checks.iter().filter(|check| check.problem.is_some()).count();
            if bad > 0 {
                bail!("{bad} of {} files in {} are not MNIST's", checks.len(), folder.display());
            }
            Ok(())
        }
        _ => print(&format!("{}\n", found(named)?.display())),
    }
}

/// `hw1 report`.
fn report(matches: &ArgMatches) -> Result<()> {
    let preset: &String = matches.get_one("preset").context("a preset")?;
    let run_dir = run_dir(matches.get_one("out"), preset);
    let markdown = matches.get_one::<String>("format").is_some_and(|format| format == "markdown");
    let against = matches.get_one::<PathBuf>("against").map(|dir| RunDir::new(dir.clone()));
    let path = write_page(&run_dir, against.as_ref(), if markdown { Format::Markdown } else { Format::Html })?;
    print(&format!("{}\n", path.display()))
}

/// Writes the page of a run directory; returns its path.
fn write_page(run_dir: &RunDir, against: Option<&RunDir>, format: Format) -> Result<PathBuf> {
    let mut references = Vec::new();
    for entry in REGISTRY {
        for study in (entry.studies)(&Layers::default())? {
            let (experiment, (_, settings)) = (study.experiment().to_owned(), study.settings()?);
            references.push(Reference { experiment, folder: study.folder(), settings });
        }
    }
    page::write(run_dir, against, &references, format)
}

/// `hw1 verify`: a line a study and a line a problem.
fn verify(arguments: &VerifyArgs) -> Result<()> {
    let preset = arguments.preset.as_deref().unwrap_or(DEFAULT_PRESET);
    let run_dir = run_dir(arguments.out.as_ref(), preset);
    let signals = Signals::install()?;
    let mut studies = run_dir.studies().context("name a run directory with --out or --preset")?;
    studies.retain(|(_, dir)| dir.has_trials());
    if studies.is_empty() {
        bail!("no study has run in {}; name a run directory with --out or --preset", run_dir.root().display());
    }
    let mut problems = 0;
    for (folder, dir) in studies {
        let mut lines = Vec::new();
        match study_in(&folder, &dir) {
            Err(error) => lines.push(format!("settings.toml: {}", one_line(&error))),
            Ok((_, _, study)) => {
                let found = verify::check(study.as_ref(), &dir)?;
                let mut summary = format!("{folder}: {} records", found.records);
                if arguments.recompute > 0 {
                    let data_dir = arguments.data_dir.as_deref();
                    let most = arguments.recompute;
                    let again = match verify::recompute(study.as_ref(), &dir, &found, most, data_dir, signals.flag()) {
                        Err(error) if error.is::<Interrupted>() => return Err(Exit(signals.exit_code()).into()),
                        again => again?,
                    };
                    summary.push_str(&format!(", {} run again with the same bytes", again.same));
                    if again.same < most && !again.passed_over.is_empty() {
                        summary.push_str(&format!(", {} cannot be compared here", again.passed_over.len()));
                        for line in &again.passed_over {
                            say(&format!("hw1: not run again: {folder}/trials/{line}"));
                        }
                    }
                    lines.extend(again.problems.into_iter().map(|line| format!("trials/{line}")));
                }
                if found.set_aside > 0 {
                    summary.push_str(&format!(", {} files set aside earlier", found.set_aside));
                }
                lines.extend(found.problems.into_iter().map(|line| format!("trials/{line}")));
                print(&format!("{summary}: {}\n", if lines.is_empty() { "ok" } else { "not as it should be" }))?;
            }
        }
        for line in &lines {
            print(&format!("{folder}/{line}\n"))?;
        }
        problems += lines.len();
    }
    if problems > 0 {
        let them = if problems == 1 { "1 problem".to_owned() } else { format!("{problems} problems") };
        bail!("{them} in {}; the command that made it sets aside what is damaged", run_dir.root().display());
    }
    Ok(())
}

/// The run directory that `--out` names, else that of the preset.
fn run_dir(out: Option<&PathBuf>, preset: &str) -> RunDir {
    RunDir::new(out.cloned().unwrap_or_else(|| PathBuf::from("runs").join(preset)))
}

/// The study that a folder of a run directory is of, by the settings that stand there; with those, and
/// its subcommand's entry.
fn study_in(folder: &str, dir: &StudyDir) -> Result<(&'static Entry, Layers, Box<dyn Study>)> {
    let of_folder = |entry: &&Entry| folder == entry.name || folder.starts_with(&format!("{}-", entry.name));
    // The longest name that fits.
    let entry = REGISTRY.iter().filter(of_folder).max_by_key(|entry| entry.name.len());
    let entry = entry.with_context(|| format!("no study is called {folder}"))?;
    let path = dir.root().join("settings.toml");
    let text = read_settings(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut layers = Layers::default();
    layers.read_config(path, &text)?;
    let studies = (entry.studies)(&layers)?;
    let study = studies.into_iter().find(|study| study.folder() == folder).context("it is of another study")?;
    Ok((entry, layers, study))
}

/// A settings file's text.
fn read_settings(path: &std::path::Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(LONGEST_CONFIG).read_to_string(&mut text)?;
    Ok(text)
}

/// MNIST's folder, or how to get one.
fn found(named: Option<&std::path::Path>) -> Result<PathBuf> {
    mnist::find(named)?
        .context("MNIST is not on this machine: fetch it with `hw1 data fetch`, or name its folder with --data-dir")
}

/// The settings that the command line gives, by layer.
fn layers(entry: &Entry, common: &Common, matches: &ArgMatches) -> Result<Layers> {
    let mut layers = Layers { preset: common.preset.clone(), sets: common.sets.clone(), ..Layers::default() };
    if let Some(path) = &common.config {
        let text =
            read_settings(path).map_err(|error| usage(format!("cannot read --config {}: {error}", path.display())))?;
        layers.read_config(path.clone(), &text)?;
    }
    for flag in entry.flags {
        let name = format!("--{}", flag.name);
        let mut values = Vec::new();
        for text in matches.get_many::<String>(flag.name).into_iter().flatten() {
            values.push((flag.parse)(text).map_err(|error| usage(format!("{name}: {error}")))?);
        }
        let value =
            if flag.repeatable { Value::Array(values) } else { values.pop().unwrap_or(Value::Array(Vec::new())) };
        if value.as_array().is_none_or(|values| !values.is_empty()) {
            layers.flags.push((name, flag.setting.to_owned(), value));
        }
    }
    add_numbers(common, &mut layers)?;
    Ok(layers)
}

/// The settings that have a flag in every study.
fn add_numbers(common: &Common, layers: &mut Layers) -> Result<()> {
    for (key, value) in [("seed", common.seed), ("repeats", common.repeats), ("epochs", common.epochs)] {
        if let Some(value) = value {
            let value = Value::Integer(i64::try_from(value).context("a flag's value is too large")?);
            layers.flags.push((format!("--{key}"), key.to_owned(), value));
        }
    }
    Ok(())
}

fn dry_run(studies: &[Box<dyn Study>], run_dir: &RunDir, common: &Common, preset: &str) -> Result<()> {
    let kind = common.device.kind();
    let mut text = String::new();
    let mut left = TimeLeft::default();
    for study in studies {
        let mut job = Job::new(study.as_ref(), run_dir, preset);
        job.due(kind, false)?;
        left.add(&job, common.force)?;
        let invalid: BTreeSet<&Fingerprint> = job.invalid.iter().map(|(planned, _)| &planned.fingerprint).collect();
        for planned in &job.planned {
            let done = job.finished.contains_key(&planned.fingerprint);
            let state = match (done, common.force) {
                (true, true) => "done, would run again",
                (true, false) => "done",
                (false, _) if invalid.contains(&planned.fingerprint) => "due: its record is damaged",
                (false, _) => "due",
            };
            text.push_str(&format!("{}  {}  {}  {state}\n", study.folder(), planned.fingerprint, planned.name()));
        }
    }
    text.push_str(&left.sentence(workers(common)));
    print(&text)
}

/// Trials at a time.
fn workers(common: &Common) -> usize {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    // Threads share one queue on a GPU: a second trial there waits for the first.
    let of_device = if common.device == DeviceChoice::Cpu { cores } else { NonZeroUsize::MIN };
    common.jobs.map_or(of_device.get(), usize::from)
}

/// What is left to do, by how long the finished trials of the same study took.
#[derive(Default)]
struct TimeLeft {
    trials: usize,
    seconds: f64,
    /// Studies with trials to run of which none has ever finished.
    unknown: Vec<String>,
}

impl TimeLeft {
    fn add(&mut self, job: &Job, force: bool) -> Result<()> {
        let (mut due, mut cost_due, mut cost_done, mut seconds_done) = (0, 0.0, 0.0, 0.0);
        let took = job.dir.durations()?;
        for planned in &job.planned {
            if force || !job.finished.contains_key(&planned.fingerprint) {
                due += 1;
                cost_due += planned.cost;
            }
            if let Some(seconds) = took.get(&planned.fingerprint) {
                cost_done += planned.cost;
                seconds_done += seconds;
            }
        }
        self.trials += due;
        if due > 0 && cost_done > 0.0 {
            self.seconds += seconds_done * cost_due / cost_done;
        } else if due > 0 {
            self.unknown.push(job.study.folder());
        }
        Ok(())
    }

    fn sentence(&self, workers: usize) -> String {
        if self.trials == 0 {
            return "Nothing is left to do.\n".to_owned();
        }
        let all = if self.seconds > 0.0 {
            let time = Duration::from_secs((self.seconds / workers as f64).ceil() as u64);
            format!(
                "{} trials to run, about {} with {workers} at a time",
                self.trials,
                humantime::format_duration(time)
            )
        } else {
            format!("{} trials to run", self.trials)
        };
        match self.unknown.as_slice() {
            [] => format!("{all}.\n"),
            unknown => format!("{all}; no trial has finished yet, to judge by, of {}.\n", unknown.join(", ")),
        }
    }
}

fn run(studies: &[Box<dyn Study>], run_dir: &RunDir, common: &Common, preset: &str) -> Result<()> {
    let signals = Signals::install()?;
    let options = Options {
        workers: workers(common),
        force: common.force,
        choice: common.device,
        device: common.device.open()?,
        progress: match common.progress {
            _ if common.quiet => ProgressMode::Silent,
            When::Auto => ProgressMode::auto(),
            When::Always => ProgressMode::Bars,
            When::Never => ProgressMode::Silent,
        },
        verbose: common.verbose,
        data_dir: common.data_dir.clone(),
        checkpoint_every: runner::checkpoint_interval()?,
    };
    let call = Call::now(options.choice, options.workers, preset);
    let mut jobs: Vec<Job> = studies.iter().map(|study| Job::new(study.as_ref(), run_dir, preset)).collect();
    let ran = runner::lock(run_dir, &signals, &options).and_then(|lock| {
        runner::run(&mut jobs, &signals, &options)?;
        Ok(lock)
    });
    let _lock = match ran {
        Err(error) if error.is::<Interrupted>() => {
            let done: usize = jobs.iter().map(|job| job.finished.len()).sum();
            let all: usize = jobs.iter().map(|job| job.planned.len()).sum();
            say(&format!(
                "hw1: interrupted; {done} of {all} trials are done and kept, the same command goes on from there"
            ));
            return Err(Exit(signals.exit_code()).into());
        }
        ran => ran?,
    };
    let mut failures = Vec::new();
    for (index, (job, written)) in output::write_all(&jobs, &call, options.workers).into_iter().enumerate() {
        match written {
            Ok(metrics) if common.json => print(&format!("{}\n", serde_json::to_string(&metrics)?))?,
            Ok(metrics) => {
                let table = output::table(&metrics, &job.dir.figures());
                print(&format!("{}{table}", if index > 0 { "\n" } else { "" }))?;
            }
            Err(error) => failures.push(format!("{}: {}", job.study.folder(), one_line(&error))),
        }
    }
    for job in &jobs {
        let failed = job.failures.iter();
        failures.extend(failed.map(|(trial, reason)| format!("{}, {trial}: {reason}", job.study.folder())));
    }
    if let Some((last, rest)) = failures.split_last() {
        for failure in rest {
            say(&format!("hw1: error: {failure}"));
        }
        bail!("{last}; the same command goes on with what is missing");
    }
    Ok(())
}

/// To standard output; a reader who has gone away is no error.
fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot write to standard output"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::{Fingerprint, Finished, RAISED, version};
    use std::collections::BTreeSet;

    /// Folder and fingerprint of every study's first trial under the report's settings.
    fn first_trials() -> Vec<(String, Fingerprint)> {
        let studies = REGISTRY.iter().flat_map(|entry| (entry.studies)(&Layers::default()).unwrap());
        let first = |study: &dyn Study| study.plan(&[], &Finished::new(), "cpu").unwrap().remove(0).fingerprint;
        studies.map(|study| (study.folder(), first(study.as_ref()))).collect()
    }

    #[test]
    fn every_studys_fingerprints_are_pinned() {
        // Other ones mean that no record of before counts: only where results change.
        let pinned = [
            ("simulate-sin-sq", "d12542636d6f9a5bf54b451f"),
            ("simulate-sign-sin", "eabfaa10f2939715002386ba"),
            ("mnist-cnn", "d9e46e423da5a33e0490caa8"),
            ("pca-weights", "c1e5cea254430506e8f7b8d5"),
            ("grad-norm", "5e996695c91514a13cefd0d5"),
            ("min-ratio", "ef127aa60879a2a896470685"),
            ("random-labels", "0c987247ead6a0a5ffbd1cad"),
            ("params-sweep", "a3b034687ea2d0599842b56d"),
            ("interpolate", "4f1862b06ad802efcc911b18"),
            ("sensitivity", "ebc08dda24b8ee5041648dfa"),
        ];
        let found = first_trials();
        let found: Vec<(&str, &str)> = found.iter().map(|(folder, first)| (folder.as_str(), first.as_str())).collect();
        assert_eq!(found, pinned);
    }

    #[test]
    fn a_raised_shared_version_changes_every_studys_fingerprints() {
        let before = first_trials();
        RAISED.set(Some(1));
        let raised = first_trials();
        RAISED.set(None);
        for ((folder, before), (_, raised)) in before.iter().zip(&raised) {
            assert_ne!(before, raised, "{folder}");
        }
        assert_eq!(first_trials(), before);
        // Whichever is raised, there is no way back to a version of before.
        let versions: Vec<u32> = [(3, 0), (3, 1), (4, 1), (4, 2)].map(|(study, shared)| version(study, shared)).into();
        assert_eq!(versions.iter().collect::<BTreeSet<_>>().len(), versions.len());
        assert!(versions.is_sorted());
    }
}
