//! `hw1 slurm`: a study, or all, as an array job of Slurm: one script, which shards the trials and submits itself.

use crate::backend::device::DeviceChoice;
use crate::cli::all::{self, All};
use crate::cli::memory::Need;
use crate::cli::print_path;
use crate::cli::registry::{Entry, REGISTRY, Studies};
use crate::cli::run::{self, Common};
use crate::error::{Exit, say, usage};
use crate::files::{sha256, write_atomically};
use crate::output::{show::path_word, typed::typed};
use crate::runner::{Expected, Signals};
use crate::store::{RunDir, progress::duration};
use crate::terminal::{counted, shell_word};
use anyhow::{Context as _, Result, anyhow};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches as _};
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::time::Duration;
use std::{env, fs, io};

// (clap would take a doc comment for the subcommand's own text.)
#[derive(Args)]
struct Slurm {
    /// Tasks of the array, each a part of the trials [default: about ten minutes of work each]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..), help_heading = HEADING)]
    tasks: Option<u32>,
    /// Tasks at a time, at most [default: as many as there is room for]
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u32).range(1..), help_heading = HEADING)]
    at_once: Option<u32>,
    /// Minutes of a task; what it has not done by then it goes on with in its next turn [default: twice what is expected, 15
    /// at least]
    #[arg(long, value_name = "MIN", value_parser = clap::value_parser!(u32).range(1..), help_heading = HEADING)]
    time: Option<u32>,
    /// Cores of a task [default: --jobs, else 1; 4 beside a GPU]
    #[arg(long, value_name = "C", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = HEADING)]
    cpus: Option<u16>,
    /// Memory of a task, as sbatch takes it: 800M, 4G [default: what its trials hold, and room beside it]
    #[arg(long, value_name = "M", value_parser = memory_word, help_heading = HEADING)]
    mem: Option<String>,
    /// Submit the script, too
    #[arg(long, help_heading = HEADING)]
    submit: bool,
    /// Options of sbatch, for every job: -- --partition=short --account=lab
    #[arg(last = true, value_name = "SBATCH OPTIONS", help_heading = HEADING)]
    options: Vec<String>,
}

const HEADING: &str = "Slurm";

/// Of the study's arguments those that the script has in other places.
const ELSEWHERE: [&str; 3] = ["out", "device", "jobs"];

/// Those that make no sense in an array.
const NONE_OF: [&str; 5] = ["shard", "force", "json", "dry_run", "preflight"];

fn memory_word(text: &str) -> Result<String, String> {
    let digits = text.trim_end_matches(['K', 'M', 'G', 'T']);
    let is_one =
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && text.len() <= digits.len() + 1;
    is_one.then(|| text.to_owned()).ok_or_else(|| "it must be a whole number of M or G, such as 800M or 4G".to_owned())
}

/// The subcommand, with one for every study.
pub fn command() -> Command {
    let of = |study: Command| {
        NONE_OF.iter().fold(Slurm::augment_args(study), |study, id| study.mut_arg(id, |arg| arg.hide(true)))
    };
    Command::new("slurm")
        .about("Write a study as an array job of Slurm, and submit it")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand_value_name("STUDY")
        .subcommand_help_heading("Studies")
        .disable_help_subcommand(true)
        .subcommand(of(all::with_own_help(All::augment_args(Command::new(ALL)))))
        .subcommands(REGISTRY.iter().map(|entry| of(run::command(entry))))
}

const ALL: &str = "all";

pub fn run(matches: &ArgMatches) -> Result<()> {
    let (name, matches) = matches.subcommand().context("no study")?;
    let (slurm, common) = (Slurm::from_arg_matches(matches)?, Common::from_arg_matches(matches)?);
    let flag = |id: &&&str| matches.value_source(id) == Some(ValueSource::CommandLine);
    if let Some(id) = NONE_OF.iter().find(flag) {
        return Err(usage(format!("--{} is for a run, and here one is shared out among tasks", id.replace('_', "-"))));
    }
    if common.config.as_deref() == Some(Path::new("-")) {
        return Err(usage("--config - cannot be read by each task: name a file that all nodes see"));
    }
    let signals = Signals::install()?;
    let (studies, preset) = studies(name, &common, &signals, matches)?;
    let run_dir = common.run_dir(&preset);
    let mut of_study = command().find_subcommand(name).map(|study| words(name, study, matches)).unwrap_or_default();
    // Who submits the script another day may not have it set.
    let is_named = common.data_dir.is_some() || studies.iter().all(|study| study.data().is_none());
    if let Some(folder) = env::var_os("HW1_DATA_DIR").filter(|_| !is_named) {
        of_study.extend(["--data-dir".to_owned(), path_word(Path::new(&folder))]);
    }
    let script = script(&slurm, &common, &studies, (&run_dir, &preset), &of_study)?;
    let path = run_dir.root().join("hw1.slurm");
    write(&path, &script.text)?;
    say(&format!("hw1: {}", script.told));
    if !slurm.submit {
        say(&format!("hw1: to submit it: bash {}", path_word(&path)));
        return print_path(&path);
    }
    submit(&path)
}

fn studies(name: &str, common: &Common, signals: &Signals, matches: &ArgMatches) -> Result<(Studies, String)> {
    if name == ALL {
        let all = All::from_arg_matches(matches)?;
        let (studies, preset) = all.wanted(signals)?;
        return Ok((studies, preset.to_owned()));
    }
    let entry: Option<&Entry> = REGISTRY.iter().find(|entry| entry.name == name);
    run::studies(entry.context("a subcommand without an experiment")?, common, signals, matches)
}

/// The study's subcommand with its arguments as they were given, but for those that the script has elsewhere.
fn words(name: &str, study: &Command, matches: &ArgMatches) -> Vec<String> {
    let (mut positional, mut flags) = (Vec::new(), Vec::new());
    let own = |arg: &Arg| arg.get_help_heading() == Some(HEADING) || ELSEWHERE.contains(&arg.get_id().as_str());
    let given = |arg: &&Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    for arg in study.get_arguments().filter(|arg| !own(arg)).filter(given) {
        let occurrences = matches.get_raw_occurrences(arg.get_id().as_str()).into_iter().flatten();
        let occurrences: Vec<Vec<String>> = occurrences.map(|values| values.map(typed).collect()).collect();
        let Some(long) = arg.get_long() else {
            positional.extend(occurrences.into_iter().flatten());
            continue;
        };
        let takes_values = arg.get_action().takes_values() && arg.get_num_args().is_none_or(|n| n.takes_values());
        for values in if takes_values { occurrences } else { vec![Vec::new()] } {
            let values = match arg.get_value_delimiter() {
                Some(delimiter) => vec![values.join(&delimiter.to_string())],
                None => values,
            };
            match &values[..] {
                // Else it would be taken for a flag.
                [value] if value.starts_with('-') => flags.push(format!("--{long}={value}")),
                values => {
                    flags.push(format!("--{long}"));
                    flags.extend_from_slice(values);
                }
            }
        }
    }
    [vec![name.to_owned()], positional, flags].concat()
}

/// What is written, and what is said of it.
struct Script {
    text: String,
    told: String,
}

fn script(
    slurm: &Slurm,
    common: &Common,
    studies: &[Box<dyn crate::study::Study>],
    (run_dir, preset): (&RunDir, &str),
    of_study: &[String],
) -> Result<Script> {
    let on_gpu = common.device != DeviceChoice::Cpu;
    let cpus = slurm.cpus.or(common.jobs).unwrap_or(if on_gpu { CORES_BESIDE_GPU } else { 1 });
    // On a GPU what is expected is of many trials side by side.
    let side_by_side = if on_gpu { 1 } else { common.jobs.unwrap_or(cpus).min(cpus).into() };
    let expected = Expected::of(&mut common.jobs(studies, run_dir, preset)?, common.device.kind())?;
    let most = most_tasks();
    let tasks = match slurm.tasks {
        Some(tasks) if tasks > most.unwrap_or(u32::MAX) => {
            return Err(usage(format!(
                "--tasks {tasks}: this Slurm takes at most {}, its MaxArraySize",
                counted(most.unwrap_or(0) as usize, "task", "tasks")
            )));
        }
        Some(tasks) => tasks,
        None => {
            let wanted = (expected.seconds() / (WORK_OF_TASK.as_secs_f64() * side_by_side as f64)).ceil();
            let families = u32::try_from(expected.families()).unwrap_or(u32::MAX);
            (wanted as u32).min(families).min(most.unwrap_or(USUAL_MOST)).max(1)
        }
    };
    let longest = expected.longest(tasks, side_by_side);
    let minutes = slurm.time.unwrap_or(((2.0 * longest / 60.0).ceil() as u32).clamp(LEAST_MINUTES, MOST_MINUTES));
    let memory = match &slurm.mem {
        Some(memory) => memory.clone(),
        None => {
            let workers = common.jobs.map_or(if on_gpu { run::MOST_JOBS } else { side_by_side }, usize::from);
            memory_of(Need::of(studies, workers, common.memory)?.bytes(), on_gpu)
        }
    };
    let here = env::current_dir().context("the working directory is gone; change to another")?;
    let hw1 = env::current_exe().context("cannot tell where hw1 is")?;
    let out = path_word(run_dir.root());
    let options: Vec<String> = slurm.options.iter().map(|option| shell_word(option)).collect();
    let number = |number: Option<String>| number.unwrap_or_default();
    let values = [
        ("what", one_line(&of_study.join(" "))),
        ("script", path_word(&run_dir.root().join("hw1.slurm"))),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("folder", path_word(&here)),
        ("hw1", path_word(&hw1)),
        ("study", of_study.join(" ")),
        ("out", out.clone()),
        ("tasks", tasks.to_string()),
        ("at_once", number(slurm.at_once.map(|n| n.to_string()))),
        ("cpus", cpus.to_string()),
        ("jobs", number(common.jobs.map(|n| n.to_string()))),
        ("gpus", u8::from(on_gpu).to_string()),
        ("minutes", minutes.to_string()),
        ("memory", memory.clone()),
        ("options", options.join(" ")),
    ];
    let told = format!(
        "{} left, about {} of work on {}{}: {} of {}, {} and {memory} each{}",
        counted(expected.due(), "trial is", "trials are"),
        duration(expected.seconds().ceil().max(1.0)),
        if on_gpu { "a GPU" } else { "one core" },
        if expected.is_measured { "" } else { " by rule of thumb" },
        counted(tasks as usize, "task", "tasks"),
        counted(cpus.into(), "core", "cores"),
        counted(minutes as usize, "minute", "minutes"),
        if most.is_none() { "; no Slurm answers here, so how many tasks it takes is not known" } else { "" },
    );
    Ok(Script { text: filled(&values), told })
}

/// Of trials that take a task about so long.
const WORK_OF_TASK: Duration = Duration::from_secs(600);
const LEAST_MINUTES: u32 = 15;
/// A day: few partitions let a job have more, and a task goes on in its next turn.
const MOST_MINUTES: u32 = 24 * 60;
const CORES_BESIDE_GPU: u16 = 4;

/// Slurm's own default of MaxArraySize.
const USUAL_MOST: u32 = 1001;

/// So much of what is free a run takes at most, and as much room again for what is not counted.
const ROOM: f64 = 1.1 / 0.8;

/// What a CUDA context and libtorch's libraries for it hold on the host.
const OF_GPU: u128 = 4 << 30;

/// Whole hundreds of mebibytes.
fn memory_of(bytes: u128, on_gpu: bool) -> String {
    let bytes = (bytes + if on_gpu { OF_GPU } else { 0 }) as f64 * ROOM;
    format!("{}M", (bytes / f64::from(100 << 20)).ceil() * 100.0)
}

/// Tasks that an array may have: MaxArraySize caps the last index, and the first is 0. `None` where no Slurm answers.
fn most_tasks() -> Option<u32> {
    let told = process::Command::new("scontrol").args(["show", "config"]).stdin(Stdio::null()).output().ok()?;
    max_array_size(&String::from_utf8_lossy(&told.stdout))
}

fn max_array_size(config: &str) -> Option<u32> {
    let line = config.lines().find_map(|line| line.trim_start().strip_prefix("MaxArraySize"))?;
    line.trim_start().strip_prefix('=')?.trim().parse().ok().filter(|most| *most > 0)
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}

const TEMPLATE: &str = include_str!("../../templates/slurm.sh");

/// What the line that says who wrote a script begins with; the digest ends it.
const WRITTEN: &str = "# Written by hw1 ";

fn filled(values: &[(&str, String)]) -> String {
    let text: String = TEMPLATE
        .split_inclusive('\n')
        .map(|line| match line.split_once(REMARK) {
            Some((setting, remark)) => format!("{:COLUMN$}{REMARK}{remark}", put_in(setting, values)),
            None => put_in(line, values),
        })
        .collect();
    let digest = sha256(text.as_bytes());
    with_digest(&text, &digest[..DIGITS])
}

/// A piece of the template with values in the places of their names.
fn put_in(mut rest: &str, values: &[(&str, String)]) -> String {
    let mut text = String::new();
    // Piece by piece: a value may hold what looks like a name.
    while let Some((before, behind)) = rest.split_once('@') {
        text.push_str(before);
        let named = |name: &str| behind.strip_prefix(name)?.strip_prefix('@');
        rest = match values.iter().find_map(|(name, value)| Some((value.as_str(), named(name)?))) {
            Some((value, after)) => {
                text.push_str(value);
                after
            }
            // Of the script itself.
            None => named("digest").unwrap_or_else(|| {
                text.push('@');
                behind
            }),
        };
    }
    text + rest
}

/// Before the remark behind a setting, which stands in one column with the others where there is room.
const REMARK: &str = "  # ";
const COLUMN: usize = 26;

const DIGITS: usize = 16;

fn with_digest(text: &str, digest: &str) -> String {
    let lines = text.split_inclusive('\n').map(|line| match line.trim_end().strip_prefix(WRITTEN) {
        Some(_) => format!("{}{digest}\n", line.trim_end_matches('\n')),
        None => line.to_owned(),
    });
    lines.collect()
}

/// Whether a script stands as hw1 wrote it.
fn is_untouched(text: &str) -> bool {
    let line = text.lines().find(|line| line.starts_with(WRITTEN));
    let Some((start, digest)) = line.and_then(|line| line.split_at_checked(line.len().saturating_sub(DIGITS))) else {
        return false;
    };
    let without = text.replacen(&format!("{start}{digest}\n"), &format!("{start}\n"), 1);
    sha256(without.as_bytes()).get(..DIGITS) == Some(digest)
}

/// Writes it, unless that would cost somebody's changes.
fn write(path: &Path, text: &str) -> Result<()> {
    match fs::read(path) {
        Ok(stands) if !std::str::from_utf8(&stands).is_ok_and(is_untouched) => {
            let word = path_word(path);
            return Err(anyhow!(
                "{} has been edited, and stays as it is: submit it with bash {word}, or give it another name for a new one",
                path.display()
            ));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(anyhow!("cannot read {}: {error}", path.display()));
        }
        _ => {}
    }
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
    fs::create_dir_all(&folder)
        .map_err(|error| anyhow!("cannot make {}: {error}; name another with --out", folder.display()))?;
    write_atomically(path, text.as_bytes()).map_err(|error| anyhow!("cannot write {}: {error}", path.display()))
}

/// Has the script submit itself; what sbatch answers stands as it is.
fn submit(path: &Path) -> Result<()> {
    let there = process::Command::new("sbatch").arg("--version").stdin(Stdio::null()).output();
    if there.is_err() {
        return Err(anyhow!("no sbatch here, so nothing is submitted; where there is one: bash {}", path_word(path)));
    }
    let ran = process::Command::new("bash").arg(path).stdin(Stdio::null()).status().context("cannot start bash")?;
    if ran.success() {
        return Ok(());
    }
    say(&format!("hw1: nothing is submitted; the script is {}", path_word(path)));
    Err(Exit(ran.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Vec<(&'static str, String)> {
        vec![("what", "all --set a=@out@".into()), ("out", "runs/x".into()), ("study", "all".into())]
    }

    #[test]
    fn a_script_knows_whether_it_was_edited() {
        let text = filled(&values());
        assert!(text.contains("# hw1 all --set a=@out@, as jobs") && text.contains("\nout=runs/x\n"), "{text}");
        assert!(is_untouched(&text));
        for edited in
            [text.replace("notice=120", "notice=60"), text.replacen("# Written by hw1", "#", 1), String::new()]
        {
            assert!(!is_untouched(&edited));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/hw1.slurm");
        write(&path, &text).unwrap();
        write(&path, &filled(&values()[1..])).unwrap();
        std::fs::write(&path, text.replace("notice=120", "notice=60")).unwrap();
        let error = write(&path, &text).unwrap_err().to_string();
        assert!(error.contains("has been edited") && error.contains("bash "), "{error}");
    }

    #[test]
    fn every_value_of_the_template_has_a_name_that_the_script_gives() {
        let is_name = |piece: &&str| piece.starts_with(|c: char| c.is_ascii_lowercase()) && !piece.contains(' ');
        let head = TEMPLATE.lines().take_while(|line| !line.starts_with("# A signal"));
        let names: std::collections::BTreeSet<&str> =
            head.flat_map(|line| line.split('@').skip(1).step_by(2)).filter(is_name).collect();
        let all = "at_once cpus digest folder gpus hw1 jobs memory minutes options out script study tasks version what";
        assert_eq!(names.into_iter().collect::<Vec<_>>().join(" "), all);
    }

    #[test]
    fn max_array_size_is_read_off_slurms_settings() {
        for (config, most) in [
            ("MailProg = /bin/mail\nMaxArraySize            = 1001\nMaxJobCount = 10000\n", Some(1001)),
            ("  MaxArraySize=4\n", Some(4)),
            ("MaxArraySize = 0\n", None),
            ("MaxArraySize = many\n", None),
            ("slurm_load_ctl_conf error: Unable to contact slurm controller\n", None),
            ("", None),
        ] {
            assert_eq!(max_array_size(config), most, "{config}");
        }
    }

    #[test]
    fn memory_is_room_for_what_trials_hold_in_whole_hundreds() {
        assert_eq!(memory_of(200 << 20, false), "300M");
        assert_eq!(memory_of(1 << 30, false), "1500M");
        assert_eq!(memory_of(1 << 30, true), "7100M");
        for (text, is_one) in [
            ("800M", true),
            ("4G", true),
            ("4000", true),
            ("", false),
            ("M", false),
            ("4GB", false),
            ("1.5G", false),
            ("-1", false),
        ] {
            assert_eq!(memory_word(text).is_ok(), is_one, "{text}");
        }
    }

    #[test]
    fn arguments_come_out_as_they_went_in() {
        let round = |given: &[&str]| {
            let matches = command().try_get_matches_from([&["slurm"], given].concat()).unwrap();
            let (name, matches) = matches.subcommand().unwrap();
            words(name, command().find_subcommand(name).unwrap(), matches).join(" ")
        };
        for (given, found) in [
            (&["simulate"][..], "simulate"),
            (
                &["all", "--only", "simulate,grad-norm", "--tasks", "3", "--out", "x", "--jobs=2"],
                "all --only simulate,grad-norm",
            ),
            (
                &[
                    "simulate", "--fn", "sin(9*x)", "--domain", "-3:3", "--set", "a=1", "--set", "b='x y'", "--", "-p",
                    "short",
                ],
                "simulate --fn 'sin(9*x)' --domain=-3:3 --set a=1 --set 'b='\\''x y'\\'''",
            ),
            (&["min-ratio", "--warm", "--device", "cuda", "--quiet"], "min-ratio --warm --quiet"),
            (
                &["analyse", "m.pt2", "--weights", "a", "b", "--data", "x.npz"],
                "analyse m.pt2 --weights a b --data x.npz",
            ),
        ] {
            let again = round(given);
            // Flags stand in the order in which help lists them.
            let sorted = |text: &str| {
                let mut words: Vec<String> = text.split(" --").map(str::to_owned).collect();
                words.sort();
                words
            };
            assert_eq!(sorted(&again), sorted(found), "{again}");
        }
    }
}
