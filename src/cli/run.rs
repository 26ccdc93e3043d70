//! A study by its subcommand: flags to layers of settings, studies to a run, and what is told of it.

use crate::backend::{cpu, cuda, device::DeviceChoice};
use crate::cli::memory::{Allowed, Need};
use crate::cli::registry::{Entry, Studies, log_data_dir, read_settings};
use crate::cli::run_dir;
use crate::data::Access;
use crate::error::{Exit, Interrupted, one_line, say, usage};
use crate::output::{self, provenance::Call, show::path_word};
use crate::runner::{self, Job, Options, ProgressMode, Signals, Watcher, shard::Shard};
use crate::store::RunDir;
use crate::study::{Fingerprint, Study, settings::Layers, whole};
use crate::terminal::{counted, print};
use anyhow::{Context as _, Result, bail};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches as _, ValueEnum};
use std::sync::{Arc, atomic::Ordering};
use std::{collections::BTreeSet, num::NonZeroUsize, path::PathBuf, time::Duration};
use toml::Value;

// Flags that every experiment has. (clap would take a doc comment for the subcommand's own text.)
#[derive(Args)]
pub struct Common {
    /// Where to train: cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: DeviceChoice,
    /// Run directory [default: runs/<preset>]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// First seed
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole)]
    pub seed: Option<u64>,
    /// Seeds to run: seed, seed + 1, …
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole)]
    pub repeats: Option<u64>,
    /// Epochs, at most
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole)]
    pub epochs: Option<u64>,
    /// report (as the report says), canonical (as the literature asks) or smoke (tiny) [default: report]
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Folder with the files of a data set with a name [default: HW1_DATA_DIR, else the cache]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Settings from a TOML file, such as a run's settings.toml; - is standard input
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Any setting, as TOML; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Trials at a time [default: all cores on CPU, 16 or, of studies on points, 128 on CUDA]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Memory that the run may take, in gigabytes [default: 80 % of what is free]
    #[arg(long, value_name = "GB")]
    pub memory: Option<Allowed>,
    /// Only the i-th of K parts of the trials, counted from 0, beside the others in the same run directory; hw1 report makes
    /// the results of all
    #[arg(long, value_name = "i/K", conflicts_with_all = ["force", "json"])]
    pub shard: Option<Shard>,
    /// Open all that a run needs (settings, data, memory, device), and stop: of batch systems' scripts
    #[arg(long, hide = true)]
    pub preflight: bool,
    /// Run finished trials again
    #[arg(long)]
    pub force: bool,
    /// List the trials and whether each is done, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Progress on standard error: auto is bars on a terminal, lines elsewhere
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub progress: When,
    /// Nothing but results and errors
    #[arg(long, short)]
    pub quiet: bool,
    /// Name every trial
    #[arg(long, short, conflicts_with = "quiet")]
    pub verbose: bool,
    /// The metrics on standard output instead of the table, a line of JSON a study
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum When {
    Auto,
    Always,
    Never,
}

/// The subcommand of an experiment: its own flags are built, since the registry names them, those of all derived.
pub fn command(entry: &Entry) -> Command {
    let own = entry.flags.iter().map(|flag| {
        let arg = Arg::new(flag.name).long(flag.name).visible_aliases(flag.alias).help(flag.help);
        if flag.value_name.is_empty() {
            return arg.num_args(0).default_missing_value("").action(ArgAction::Set);
        }
        if flag.several {
            // What begins with a hyphen is the next flag.
            return arg.value_name(flag.value_name).action(ArgAction::Append).num_args(1..);
        }
        let action = if flag.repeatable { ArgAction::Append } else { ArgAction::Set };
        // Values like -3:3 and -x^2 begin with a hyphen.
        arg.value_name(flag.value_name).action(action).allow_hyphen_values(true)
    });
    let positional = entry.flags.iter().filter(|flag| flag.positional).map(|flag| {
        let arg = Arg::new(flag.value_name).value_name(flag.value_name).help(flag.help).conflicts_with(flag.name);
        if flag.several { arg.action(ArgAction::Append).num_args(1..) } else { arg }
    });
    Common::augment_args(Command::new(entry.name).about(entry.about).args(own).args(positional))
}

/// Runs an experiment.
pub fn run(entry: &Entry, matches: &ArgMatches) -> Result<()> {
    let common = Common::from_arg_matches(matches)?;
    let signals = Signals::install()?;
    let (studies, preset) = studies(entry, &common, &signals, matches)?;
    run_or_list(&studies, &common.run_dir(&preset), &common, &signals, &preset)
}

/// The studies of an experiment that the command line asks for, and their preset.
pub fn studies(entry: &Entry, common: &Common, signals: &Signals, matches: &ArgMatches) -> Result<(Studies, String)> {
    let layers = layers(entry, common, signals, matches)?;
    let studies = made(signals, || (entry.studies)(&layers))?;
    Ok((studies, layers.preset().to_owned()))
}

/// What is made of settings, which may take reading or fetching data.
pub fn made<T>(signals: &Signals, make: impl FnOnce() -> Result<T>) -> Result<T> {
    match make() {
        // Told by what was asked for: an error of settings has been put into words already.
        Err(_) if signals.flag().load(Ordering::Relaxed) => {
            say("hw1: interrupted while data was read or fetched; no study has begun");
            Err(Exit(signals.exit_code()).into())
        }
        made => made,
    }
}

/// The settings that the command line gives, by layer.
fn layers(entry: &Entry, common: &Common, signals: &Signals, matches: &ArgMatches) -> Result<Layers> {
    let access = common.access(signals);
    let mut layers = Layers { preset: common.preset.clone(), sets: common.sets.clone(), access, ..Layers::default() };
    if let Some(path) = &common.config {
        let text =
            read_settings(path).map_err(|error| usage(format!("cannot read --config {}: {error}", path.display())))?;
        layers.read_config(path.clone(), &text)?;
    }
    for flag in entry.flags {
        let name = format!("--{}", flag.name);
        let mut values = Vec::new();
        let unnamed = flag.positional.then(|| matches.get_many::<String>(flag.value_name)).flatten();
        for text in matches.get_many::<String>(flag.name).or(unnamed).into_iter().flatten() {
            values.push((flag.parse)(text).map_err(|error| usage(format!("{name}: {error}")))?);
        }
        let is_list = flag.repeatable || flag.several && values.len() > 1;
        let value = if is_list { Value::Array(values) } else { values.pop().unwrap_or(Value::Array(Vec::new())) };
        if value.as_array().is_none_or(|values| !values.is_empty()) {
            layers.flags.push((name, flag.setting.to_owned(), value));
        }
    }
    common.add_numbers(&mut layers)?;
    Ok(layers)
}

impl Common {
    /// Adds the settings that have a flag in every study.
    pub fn add_numbers(&self, layers: &mut Layers) -> Result<()> {
        for (key, value) in [("seed", self.seed), ("repeats", self.repeats), ("epochs", self.epochs)] {
            if let Some(value) = value {
                let value = Value::Integer(i64::try_from(value).context("a flag's value is too large")?);
                layers.flags.push((format!("--{key}"), key.to_owned(), value));
            }
        }
        Ok(())
    }

    /// Where the run is, alone or beside other shards.
    pub fn run_dir(&self, preset: &str) -> RunDir {
        let run_dir = run_dir(self.out.as_deref(), preset);
        if self.shard.is_some() { run_dir.among_others() } else { run_dir }
    }

    /// What is shown of progress.
    fn progress(&self) -> ProgressMode {
        match self.progress {
            _ if self.quiet => ProgressMode::Silent,
            When::Auto => ProgressMode::auto(),
            When::Always => ProgressMode::Bars,
            When::Never => ProgressMode::Silent,
        }
    }

    /// How data is got at: the folder that was named, and who shows what takes long.
    pub fn access(&self, signals: &Signals) -> Access {
        let watcher = Watcher::new(self.progress(), signals).of_dry_run(self.dry_run);
        Access { data_dir: self.data_dir.clone(), watch: Some(Arc::new(watcher)) }
    }

    /// The studies with their places on disk, of all their trials or a shard's.
    pub fn jobs<'a>(&self, studies: &'a [Box<dyn Study>], run_dir: &RunDir, preset: &'a str) -> Result<Vec<Job<'a>>> {
        let mut jobs: Vec<Job> = studies.iter().map(|study| Job::new(study.as_ref(), run_dir, preset)).collect();
        if let Some(shard) = self.shard {
            Job::shard(&mut jobs, shard, self.device.kind())?;
        }
        Ok(jobs)
    }

    /// Trials of these studies at a time.
    pub fn workers(&self, studies: &[Box<dyn Study>]) -> usize {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        // On a GPU trials of one shape go together, and each of a launch has a multiprocessor of its own. Through libtorch
        // alone a second trial would wait for the first.
        let of_device = || match self.device {
            DeviceChoice::Cpu => cores.get(),
            DeviceChoice::Cuda(_) if self.dry_run => MOST_JOBS,
            DeviceChoice::Cuda(index) => match cuda::card(index) {
                Ok(card) if cpu::wanted() => {
                    // What is on points is small; what is on pictures takes as much memory as it does side by side on cores.
                    let most =
                        if studies.iter().all(|study| study.data().is_none()) { JOBS_ON_POINTS } else { MOST_JOBS };
                    let room = card.limits().memory_bytes / MEMORY_OF_JOB;
                    usize::try_from(room).unwrap_or(most).clamp(1, most)
                }
                _ => 1,
            },
        };
        self.jobs.map_or_else(of_device, usize::from)
    }
}

/// Trials on a GPU at a time: on points as many as a large one has multiprocessors; as have memory to evaluate a
/// convolutional network each.
const JOBS_ON_POINTS: usize = 128;
pub const MOST_JOBS: usize = 16;
const MEMORY_OF_JOB: u64 = 640 << 20;

/// Runs what is due of studies and tells what came of it, or lists it for `--dry-run`.
pub fn run_or_list(
    studies: &[Box<dyn Study>],
    run_dir: &RunDir,
    common: &Common,
    signals: &Signals,
    preset: &str,
) -> Result<()> {
    if common.dry_run {
        return list(studies, run_dir, common, preset);
    }
    // Before anything asks for a GPU.
    let device = common.device.open()?;
    let options = Options {
        workers: common.workers(studies),
        force: common.force,
        choice: common.device,
        device,
        progress: common.progress(),
        verbose: common.verbose,
        access: common.access(signals),
        checkpoint_every: runner::checkpoint_interval()?,
        shard: common.shard,
    };
    if let (DeviceChoice::Cuda(index), true) = (options.choice, cpu::wanted())
        && let Err(error) = cuda::card(index)
    {
        let why = one_line(&error);
        say(&format!(
            "hw1: warning: hw1's own engine is off on {}, since {why}: fully connected networks train through libtorch, \
             several times slower; --device cpu may be faster",
            options.choice
        ));
    }
    let need = Need::of(studies, options.workers, common.memory)?;
    if need.is_too_much() && is_any_due(studies, run_dir, common, preset)? {
        need.check()?;
    }
    if common.preflight {
        return runner::preflight(studies, &options);
    }
    if options.progress != ProgressMode::Silent {
        say(&format!("hw1: {}", need.told()));
    }
    let call = Call::now(options.choice, options.workers, preset);
    let mut jobs = common.jobs(studies, run_dir, preset)?;
    let ran = runner::lock(run_dir, signals, &options).and_then(|lock| {
        if let Some(why) = lock.missing() {
            let folder = run_dir.root().display();
            say(&format!(
                "hw1: warning: the file system of {folder} has no locks ({why}): goes on without, and leaves alone what a \
                 killed process may have left{}",
                match common.shard {
                    Some(_) => "",
                    None => "; run one hw1 at a time there, as two would do the same work twice",
                }
            ));
        }
        jobs.iter().try_for_each(|job| lock.remove_leftovers(&job.dir))?;
        if lock.is_alone() {
            tidy(run_dir, &jobs)?;
        }
        for job in jobs.iter().filter(|job| job.study.data().is_some()) {
            log_data_dir(&job.dir, common.data_dir.as_deref())?;
        }
        runner::run(&mut jobs, run_dir, signals, &options)?;
        Ok(lock)
    });
    let _lock = match ran {
        Err(error) if error.is::<Interrupted>() => {
            let done: usize = jobs.iter().map(|job| job.finished.len()).sum();
            let all: usize = jobs.iter().map(|job| job.planned.len()).sum();
            let by = signals.by();
            if let Some(shard) = common.shard {
                // What batch systems' scripts read.
                let epochs: u64 = jobs.iter().map(Job::epochs_kept).sum();
                print(&format!(
                    "shard {shard}: interrupted with {done} of its {all} trials done, and {epochs} epochs of others in \
                     checkpoints\n"
                ))?;
            }
            say(&format!(
                "hw1: interrupted{by}; {done} of {all} trials are done and kept, the same command goes on from there"
            ));
            return Err(Exit(signals.exit_code()).into());
        }
        ran => ran?,
    };
    if let Some(shard) = common.shard {
        return end_shard(shard, &jobs, run_dir);
    }
    let mut failures = Vec::new();
    let all_written = output::write_all(&jobs, &call, options.workers, signals);
    if signals.stopped() {
        let by = signals.by();
        say(&format!(
            "hw1: interrupted{by} while figures were drawn; what is done is kept, the same command writes the rest"
        ));
        return Err(Exit(signals.exit_code()).into());
    }
    for (index, (job, written)) in all_written.into_iter().enumerate() {
        match written {
            Ok(metrics) if common.json => print(&format!("{}\n", serde_json::to_string(&metrics)?))?,
            Ok(metrics) => {
                let table = output::table(&metrics, &job.dir.figures());
                print(&format!("{}{table}", if index > 0 { "\n" } else { "" }))?;
            }
            Err(error) => failures.push(format!("{}: {}", job.study.folder(), one_line(&error))),
        }
    }
    failures.extend(failed(&jobs));
    fail_of(&failures)
}

/// "mnist-cnn, CNN_1, seed 3: why" of each trial that failed.
fn failed<'a>(jobs: &'a [Job]) -> impl Iterator<Item = String> + 'a {
    jobs.iter().flat_map(|job| {
        let failed = job.failures.iter();
        failed.map(|(trial, reason)| format!("{}, {trial}: {reason}", job.study.folder()))
    })
}

fn fail_of(failures: &[String]) -> Result<()> {
    if let Some((last, rest)) = failures.split_last() {
        for failure in rest {
            say(&format!("hw1: error: {failure}"));
        }
        bail!("{last}; the same command goes on with what is missing");
    }
    Ok(())
}

/// What shards before left: a log of each, and what the killed ones last told.
fn tidy(run_dir: &RunDir, jobs: &[Job]) -> Result<()> {
    run_dir.forget_shards();
    jobs.iter().filter(|job| job.dir.root().is_dir()).try_for_each(|job| job.dir.gather_logs())
}

/// What is said of a shard that is done.
fn end_shard(shard: Shard, jobs: &[Job], run_dir: &RunDir) -> Result<()> {
    let planned: usize = jobs.iter().map(|job| job.planned.len()).sum();
    let done: usize = jobs.iter().map(|job| job.finished.len()).sum();
    let trials = counted(planned, "trial", "trials");
    let out = path_word(run_dir.root());
    print(&format!("shard {shard}: {done} of its {trials} done; when all shards are: hw1 report --out {out}\n"))?;
    fail_of(&failed(jobs).collect::<Vec<_>>())
}

/// Whether anything is left to do. Reads all records, and so is asked only where it matters.
fn is_any_due(studies: &[Box<dyn Study>], run_dir: &RunDir, common: &Common, preset: &str) -> Result<bool> {
    for mut job in common.jobs(studies, run_dir, preset)? {
        if !job.due(common.device.kind(), common.force)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `--dry-run`: the trials, whether each is done, and about how long the others will take.
fn list(studies: &[Box<dyn Study>], run_dir: &RunDir, common: &Common, preset: &str) -> Result<()> {
    let (mut text, mut trials, mut seconds, mut unknown) = (String::new(), 0, 0.0, Vec::new());
    for mut job in common.jobs(studies, run_dir, preset)? {
        let study = job.study;
        job.due(common.device.kind(), false)?;
        let invalid: BTreeSet<&Fingerprint> = job.invalid.iter().map(|(planned, _)| &planned.fingerprint).collect();
        let took = job.dir.durations()?;
        let (mut due, mut cost_due, mut cost_done, mut seconds_done) = (0, 0.0, 0.0, 0.0);
        for planned in &job.planned {
            let done = job.finished.contains_key(&planned.fingerprint);
            let state = match (done, common.force) {
                (true, true) => "done, would run again",
                (true, false) => "done",
                (false, _) if invalid.contains(&planned.fingerprint) => "due: its record is damaged",
                (false, _) => "due",
            };
            text.push_str(&format!("{}  {}  {}  {state}\n", study.folder(), planned.fingerprint, planned.name()));
            if common.force || !done {
                due += 1;
                cost_due += planned.cost;
            }
            if let Some(seconds) = took.get(&planned.fingerprint) {
                cost_done += planned.cost;
                seconds_done += seconds;
            }
        }
        trials += due;
        // Judged by how long the finished trials of the same study took.
        if due > 0 && cost_done > 0.0 {
            seconds += seconds_done * cost_due / cost_done;
        } else if due > 0 {
            unknown.push(study.folder());
        }
    }
    if trials == 0 {
        return print(&(text + "Nothing is left to do.\n"));
    }
    text.push_str(&format!("{} to run", counted(trials, "trial", "trials")));
    let workers = common.workers(studies);
    if seconds > 0.0 {
        let time = humantime::format_duration(Duration::from_secs((seconds / workers as f64).ceil() as u64));
        text.push_str(&format!(", about {time} with {workers} at a time"));
    }
    if !unknown.is_empty() {
        text.push_str(&format!("; no trial has finished yet, to judge by, of {}", unknown.join(", ")));
    }
    let need = Need::of(studies, workers, common.memory)?;
    text.push_str(&format!(".\nThey hold {}.\n", need.told()));
    if let Err(error) = need.check() {
        text.push_str(&format!("They would be refused: {error}.\n"));
    }
    print(&text)
}
