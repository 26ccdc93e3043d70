//! The commands that look: at runs (show, claims, compare), at the machine (doctor, bench), at the command
//! line itself (completions). None trains anything, and none writes to a run directory.

use super::{command, print, study_in};
use crate::backend::device::DeviceChoice;
use crate::cli::bench;
use crate::cli::doctor;
use crate::error::say;
use crate::output::claims::Claims;
use crate::output::compare::Comparison;
use crate::output::provenance::Call;
use crate::output::show::{Listing, Unfinished};
use crate::output::study_folder::{StudyFolder, read_run_dir};
use crate::runner::Job;
use crate::store::RunDir;
use crate::study::number::significant;
use crate::study::settings::DEFAULT_PRESET;
use crate::terminal;
use anyhow::{Context as _, Result, bail};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use clap_complete::Shell;
use serde::Serialize;
use serde_json::json;
use std::path::PathBuf;

/// Their part of the command line.
pub(super) fn commands() -> Vec<Command> {
    let folder = |name: &'static str| Arg::new(name).value_name("DIR").value_parser(value_parser!(PathBuf));
    let out = || folder("out").long("out").help("Run directory [default: runs/<preset>]");
    let preset = Arg::new("preset")
        .long("preset")
        .value_name("NAME")
        .conflicts_with("out")
        .help("Whose run directory, runs/<NAME> [default: report]");
    let count = |name: &'static str, help: &'static str| {
        let number = value_parser!(u16).range(1..=1024);
        Arg::new(name).long(name).value_name("N").value_parser(number).default_value("1").help(help)
    };
    let json = || Arg::new("json").long("json").action(ArgAction::SetTrue).help("A line of JSON instead of text");
    vec![
        Command::new("show").about("List the studies of a run directory: how far, of what, when").args([
            out(),
            preset.clone(),
            json(),
        ]),
        Command::new("claims").about("Print every claim of a run directory with its verdict").args([
            out(),
            preset.clone(),
            json(),
        ]),
        Command::new("compare")
            .about("Put two run directories side by side: what differs, and by how much")
            .arg(folder("a").value_name("DIR_A").required(true).help("Run directory to compare with"))
            .arg(folder("b").value_name("DIR_B").required(true).help("Run directory compared with it: B - A"))
            .arg(Arg::new("all").long("all").action(ArgAction::SetTrue).help("Scalars that agree, too"))
            .arg(json()),
        Command::new("doctor")
            .about("Check this machine: libtorch, processor, CUDA, MNIST, where runs go")
            .args([out(), preset, json()])
            .arg(folder("data-dir").long("data-dir").help("MNIST's folder [default: HW1_DATA_DIR, else the cache]")),
        Command::new("bench")
            .about("Measure this machine: the cost of a unit of each workload, beside what it could be")
            .after_help(
                "A unit is an epoch on points, a step on 128 digits, an evaluation of 10000, a Hessian. The limit is \
                 what libtorch's own product of large matrices reaches at that moment.",
            )
            .args([
                Arg::new("workload")
                    .value_name("WORKLOAD")
                    .num_args(0..)
                    .value_parser(PossibleValuesParser::new(bench::WORKLOADS.iter().map(|workload| workload.name)))
                    .help("Which [default: all]"),
                count("threads", "Cores of a trial, which share its work"),
                count("trials", "Trials side by side, as a study's run"),
                folder("data-dir")
                    .long("data-dir")
                    .help("MNIST's folder [default: HW1_DATA_DIR, else the cache; without, synthetic digits]"),
                json(),
            ]),
        Command::new("completions")
            .about("Print a shell's completion script")
            .arg(Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell))),
    ]
}

/// Runs one of them; `None` where `name` is none of theirs.
pub(super) fn run(name: &str, matches: &ArgMatches) -> Option<Result<()>> {
    Some(match name {
        "show" => show(matches),
        "claims" => claims(matches),
        "compare" => compare(matches),
        "doctor" => doctor(matches),
        "bench" => bench(matches),
        "completions" => completions(matches),
        _ => return None,
    })
}

fn run_dir(matches: &ArgMatches) -> RunDir {
    let preset = matches.get_one::<String>("preset").map_or(DEFAULT_PRESET, String::as_str);
    super::run_dir(matches.get_one("out"), preset)
}

/// As JSON or as text, as asked.
fn answer(matches: &ArgMatches, value: &impl Serialize, text: impl FnOnce(Option<usize>) -> String) -> Result<()> {
    if matches.get_flag("json") {
        print(&format!("{}\n", serde_json::to_string(value)?))
    } else {
        print(&text(terminal::width()))
    }
}

fn show(matches: &ArgMatches) -> Result<()> {
    let run_dir = run_dir(matches);
    let folders = read_run_dir(run_dir.root())?;
    let listing = Listing::new(run_dir.root(), &folders, run_dir.is_in_use(), &|folder| progress(&run_dir, folder));
    answer(matches, &listing, |width| listing.text(width))
}

/// How far the last call of a study is, by the settings that it left.
fn progress(run_dir: &RunDir, folder: &StudyFolder) -> Result<Unfinished> {
    let (entry, layers, study) = study_in(&folder.name, &run_dir.study(&folder.name))?;
    let mut furthest: Option<Unfinished> = None;
    for device_kind in ["cpu", "cuda"] {
        let mut job = Job::new(study.as_ref(), run_dir, layers.preset());
        job.due(device_kind, false)?;
        let (done, total) = (job.finished.len(), job.planned.len());
        if furthest.as_ref().is_none_or(|furthest| furthest.done < done) {
            let preset = layers.preset().to_owned();
            furthest = Some(Unfinished { experiment: entry.name, preset, device_kind, done, total });
        }
    }
    furthest.context("no device")
}

fn claims(matches: &ArgMatches) -> Result<()> {
    let run_dir = run_dir(matches);
    let folders = read_run_dir(run_dir.root())?;
    let claims = Claims::new(run_dir.root(), &folders);
    answer(matches, &claims, |width| claims.text(width))
}

fn compare(matches: &ArgMatches) -> Result<()> {
    let side = |name| matches.get_one::<PathBuf>(name).context("a run directory is missing");
    let (a, b) = (side("a")?, side("b")?);
    let (in_a, in_b) = (read_run_dir(a)?, read_run_dir(b)?);
    let comparison = Comparison::new((a, &in_a), (b, &in_b));
    answer(matches, &comparison, |width| comparison.text(matches.get_flag("all"), width))
}

fn doctor(matches: &ArgMatches) -> Result<()> {
    let data_dir = matches.get_one::<PathBuf>("data-dir").map(PathBuf::as_path);
    let checks = doctor::examine(run_dir(matches).root(), data_dir);
    answer(matches, &checks, |width| doctor::text(&checks, width))?;
    let problems = checks.iter().filter(|check| check.state == doctor::State::Problem).count();
    if problems > 0 {
        bail!("{problems} of {} checks found a problem, see above", checks.len());
    }
    Ok(())
}

fn bench(matches: &ArgMatches) -> Result<()> {
    let number = |name| matches.get_one::<u16>(name).map_or(1, |&number| usize::from(number));
    let options = bench::Options {
        workloads: matches.get_many::<String>("workload").into_iter().flatten().map(String::as_str).collect(),
        threads: number("threads"),
        trials: number("trials"),
        data_dir: matches.get_one::<PathBuf>("data-dir").map(PathBuf::as_path),
    };
    let call = Call::now(DeviceChoice::Cpu, options.trials, "bench");
    // Minutes pass: each result as it comes, for those who watch.
    let measured = bench::run(&options, |measured| {
        say(&format!("{}: {} ms", measured.workload, significant(measured.milliseconds, 3)));
        Ok(())
    })?;
    let provenance = call.provenance(Some(&bench::data(options.data_dir)?))?;
    let value = json!({"workloads": measured, "provenance": provenance});
    answer(matches, &value, |width| bench::text(&measured, width))
}

fn completions(matches: &ArgMatches) -> Result<()> {
    let shell = *matches.get_one::<Shell>("shell").context("a shell is missing")?;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "hw1", &mut script);
    print(&String::from_utf8(script)?)
}
