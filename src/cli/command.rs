//! The command line as a whole: the list of subcommands, and the way to each. A group of them is a file beside this
//! one, with its arguments as types.

use crate::cli::look::{self, Compare, Look};
use crate::cli::registry::{self, REGISTRY};
use crate::cli::{all, analyse, bench, data, doctor, export, report, run, slurm, verify};
use crate::error::Exit;
use crate::study::{DATASET_FLAG, Experiment};
use crate::terminal::print;
use anyhow::{Context as _, Result, anyhow, bail};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use clap_complete::Shell;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

/// Print a shell's completion script
#[derive(Args)]
struct Completions {
    shell: Shell,
}

/// Write the manual pages of all subcommands into a folder
#[derive(Args)]
struct Man {
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// The command line with what a shell completes values to. Not for parsing: most of these take other values, too, and
/// say more of those that they refuse.
fn offering(mut command: Command) -> Result<Command> {
    let mut vocabularies = BTreeMap::new();
    for entry in REGISTRY {
        vocabularies.insert(entry.name, (entry.vocabulary)()?);
    }
    let all_presets: BTreeSet<&String> = vocabularies.values().flat_map(|[presets, _]| presets).collect();
    let names: Vec<String> = command.get_subcommands().map(|study| study.get_name().to_owned()).collect();
    for name in &names {
        let of_study = vocabularies.get(name.as_str());
        let entry = REGISTRY.iter().find(|entry| entry.name == name);
        let flag = |id: &str| entry.and_then(|entry| entry.flags.iter().find(|flag| flag.name == id));
        let values = |id: &str| -> Vec<String> {
            match (id, of_study) {
                ("preset", Some([presets, _])) => presets.clone(),
                ("preset", None) => all_presets.iter().copied().cloned().collect(),
                ("device", _) => ["cpu", "cuda"].map(str::to_owned).into(),
                ("sets", Some([_, keys])) => keys.iter().map(|key| format!("{key}=")).collect(),
                ("sets", None) => {
                    let in_all = REGISTRY.iter().filter(|entry| entry.in_all);
                    let of_each = in_all.filter_map(|entry| Some((entry.name, vocabularies.get(entry.name)?)));
                    of_each
                        .flat_map(|(study, [_, keys])| keys.iter().map(move |key| format!("{study}.{key}=")))
                        .collect()
                }
                ("data", None) => (DATASET_FLAG.offers)().into_iter().map(str::to_owned).collect(),
                _ => flag(id).map(|flag| (flag.offers)()).unwrap_or_default().into_iter().map(str::to_owned).collect(),
            }
        };
        command = command.mut_subcommand(name, |study| {
            study.mut_args(|arg| {
                let values = values(arg.get_id().as_str());
                let takes_one = arg.get_action().takes_values() && arg.get_num_args().is_none_or(|n| n.takes_values());
                if values.is_empty() || !takes_one { arg } else { arg.value_parser(PossibleValuesParser::new(values)) }
            })
        });
    }
    Ok(command)
}

/// A subcommand with the arguments and the text of a type.
fn of<A: Args>(name: &'static str) -> Command {
    A::augment_args(Command::new(name))
}

/// The whole command line, also for `--help`.
pub fn command() -> Command {
    Command::new("hw1")
        .version(env!("CARGO_PKG_VERSION"))
        .about("See how neural networks learn: each experiment trains, measures, writes JSON and draws figures")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(of::<data::Data>("data"))
        .subcommand(of::<verify::Verify>("verify"))
        .subcommand(all::with_own_help(of::<all::All>("all")))
        .subcommand(of::<report::Report>("report"))
        .subcommands(REGISTRY.iter().map(run::command))
        .mut_subcommand("analyse", |command| {
            let help = "Say what a .pt2 is and whether all of it can be run, and stop";
            command.arg(Arg::new(analyse::CHECK).long(analyse::CHECK).action(ArgAction::SetTrue).help(help))
        })
        .subcommand(slurm::command())
        .subcommand(of::<Look>("show").about("List the studies of a run directory: how far, of what, when"))
        .subcommand(of::<Look>("claims").about("Print every claim of a run directory with its verdict"))
        .subcommand(of::<Compare>("compare"))
        .subcommand(of::<export::Export>("export"))
        .subcommand(of::<doctor::Doctor>("doctor"))
        .subcommand(of::<bench::Bench>("bench"))
        .subcommand(of::<Completions>("completions"))
        .subcommand(of::<Man>("man").hide(true))
}

/// Runs the process's command line.
///
/// # Errors
/// [`crate::error::Usage`] for what makes no sense, [`Exit`] where clap or a signal has had the
/// last word, anything else for a failure.
pub fn main(arguments: impl Iterator<Item = OsString>) -> Result<()> {
    let matches = parsed(command(), arguments)?;
    let Some((name, matches)) = matches.subcommand() else { bail!("no subcommand") };
    match name {
        "data" => data::run(typed(matches)?),
        "verify" => verify::run(&typed(matches)?),
        "all" => all::run(&typed(matches)?),
        "report" => report::run(typed(matches)?),
        "slurm" => slurm::run(matches),
        "show" => look::show(&typed(matches)?),
        "claims" => look::claims(&typed(matches)?),
        "compare" => look::compare(&typed(matches)?),
        "export" => export::run(&typed(matches)?),
        "doctor" => doctor::run(&typed(matches)?),
        "bench" => bench::run(&typed(matches)?),
        "completions" => completions(&typed(matches)?),
        "man" => man(&typed(matches)?),
        _ => {
            let entry = REGISTRY.iter().find(|entry| entry.name == name);
            if name == "analyse" && analyse::checked(matches)? {
                return Ok(());
            }
            run::run(entry.context("a subcommand without an experiment")?, matches)
        }
    }
}

/// Runs the process's command line as that of one study alone.
///
/// # Errors
/// Those of [`main`].
pub fn main_of_study<E: Experiment, A: Iterator<Item = OsString>>(arguments: A) -> Result<()> {
    let entry = registry::entry::<E>();
    run::run(&entry, &parsed(run::command(&entry), arguments)?)
}

fn parsed(command: Command, arguments: impl Iterator<Item = OsString>) -> Result<ArgMatches> {
    command.try_get_matches_from(arguments).map_err(|error| {
        let printed = error.print().and_then(|()| io::stdout().flush());
        match printed {
            // Help and version are results: where they cannot be written is a failure.
            Err(failed) if !error.use_stderr() && failed.kind() != io::ErrorKind::BrokenPipe => {
                anyhow::Error::from(failed).context("cannot write to standard output")
            }
            _ => Exit(u8::try_from(error.exit_code()).unwrap_or(2)).into(),
        }
    })
}

fn typed<A: FromArgMatches>(matches: &ArgMatches) -> Result<A> {
    Ok(A::from_arg_matches(matches)?)
}

fn completions(Completions { shell }: &Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(*shell, &mut offering(command())?, "hw1", &mut script);
    print(&String::from_utf8(script)?)
}

fn man(Man { dir }: &Man) -> Result<()> {
    let written = fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command(), dir));
    written.map_err(|error| anyhow!("cannot write manual pages into {}: {error}", dir.display()))
}
