//! `hw1 all`: every study as one run, with a page at its end.

use crate::cli::registry::{REGISTRY, Studies};
use crate::cli::run::{Common, made, run_or_list};
use crate::cli::{print_path, report::write_page};
use crate::data::{DataOptions, DataSpec};
use crate::error::{Exit, Usage, one_line, say, usage};
use crate::output::page::Format;
use crate::runner::Signals;
use crate::study::DATASET_FLAG;
use crate::study::settings::{DEFAULT_PRESET, Layers, option};
use crate::terminal::print;
use anyhow::Result;
use clap::builder::PossibleValuesParser;
use clap::{ArgAction, Args, Command};
use toml::Table;

/// All studies as one run, with a verdict on every claim
#[derive(Args)]
pub struct All {
    /// Only these, by subcommand, separated by commas
    #[arg(long, value_name = "STUDY", action = ArgAction::Set, value_delimiter = ',', value_parser = names())]
    only: Vec<String>,
    /// What all studies of classes learn from, as they have it [default: mnist; synthetic in the smoke preset]
    #[arg(long, value_name = "NAME|PATH", visible_alias = "dataset")]
    data: Option<String>,
    /// All but these
    #[arg(long, value_name = "STUDY", action = ArgAction::Set, value_delimiter = ',', value_parser = names())]
    skip: Vec<String>,
    #[command(flatten)]
    common: Common,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(REGISTRY.iter().filter(|entry| entry.in_all).map(|entry| entry.name))
}

/// What some of the common flags are here.
pub fn with_own_help(command: Command) -> Command {
    command
        .mut_arg("config", |arg| arg.hide(true))
        .mut_arg("sets", |arg| {
            arg.value_name("STUDY.KEY=VALUE").help("Any setting of a study, as TOML; may be repeated")
        })
        .mut_arg("repeats", |arg| {
            arg.help("Seeds to run of every study [default: the preset's, else 5 of simulate, grad-norm and params-sweep, 1 of the others]")
        })
}

pub fn run(all: &All) -> Result<()> {
    let common = &all.common;
    let signals = Signals::install()?;
    let (studies, preset) = all.wanted(&signals)?;
    let run_dir = common.run_dir(preset);
    let ran = run_or_list(&studies, &run_dir, common, &signals, preset);
    if common.dry_run
        || common.preflight
        || common.shard.is_some()
        || ran.as_ref().is_err_and(|error| error.is::<Exit>())
    {
        return ran;
    }
    // Also where a trial failed: the page shows what there is.
    let page = write_page(&run_dir, None, Format::Html);
    ran?;
    let path = page?;
    if signals.stopped() {
        say(&format!("hw1: interrupted once all was done: {}", path.display()));
        return Err(Exit(signals.exit_code()).into());
    }
    if common.json {
        say(&format!("hw1: {}", path.display()));
        return Ok(());
    }
    print("\n")?;
    print_path(&path)
}

impl All {
    /// The studies that are asked for, and their preset.
    pub fn wanted(&self, signals: &Signals) -> Result<(Studies, &str)> {
        let preset = self.common.preset.as_deref().unwrap_or(DEFAULT_PRESET);
        Ok((made(signals, || self.studies(signals))?, preset))
    }

    fn studies(&self, signals: &Signals) -> Result<Studies> {
        let Self { only, skip, data, common } = self;
        if common.config.is_some() {
            return Err(usage("--config is for one study; here use --set study.key=value"));
        }
        let is_in = |names: &[String], name: &str| names.iter().any(|other| other == name);
        let wanted = |name: &str| (only.is_empty() || is_in(only, name)) && !is_in(skip, name);
        let mut sets: Vec<(&str, String)> = Vec::new();
        // How data is read is the same for all that learn from it.
        let (of_data, of_studies): (Vec<&String>, Vec<&String>) =
            common.sets.iter().partition(|assignment| assignment.starts_with("data."));
        for assignment in of_studies {
            let found = assignment.split_once('=').and_then(|(key, value)| Some((key.split_once('.')?, value)));
            let study = found.and_then(|((study, _), _)| {
                REGISTRY.iter().filter(|entry| entry.in_all).find(|entry| entry.name == study.trim())
            });
            let (Some(((_, key), value)), Some(entry)) = (found, study) else {
                let names: Vec<&str> = REGISTRY.iter().filter(|entry| entry.in_all).map(|entry| entry.name).collect();
                return Err(usage(format!(
                    "--set {assignment}: write --set study.key=value; the studies are {}",
                    names.join(", ")
                )));
            };
            sets.push((entry.name, format!("{key}={value}")));
        }
        let mut studies = Studies::new();
        if let Some(data) = data {
            // What is wrong with it is said once.
            let mut options = Table::new();
            of_data.iter().try_for_each(|assignment| option(assignment, &mut options))?;
            DataSpec::open(data, [1, 1], DataOptions::read(options).map_err(usage)?, &common.access(signals))?;
        }
        for entry in REGISTRY.iter().filter(|entry| entry.in_all && wanted(entry.name)) {
            let of_entry = sets.iter().filter(|(name, _)| *name == entry.name).map(|(_, set)| set.clone());
            let (preset, repeats) = (common.preset.clone(), Some(entry.repeats_in_all));
            let access = common.access(signals);
            let flag = entry.flags.iter().find(|flag| flag.setting == DATASET_FLAG.setting);
            let of_data = of_data.iter().filter(|_| flag.is_some()).map(|set| (*set).clone());
            let sets = of_entry.chain(of_data).collect();
            let mut layers = Layers { preset, repeats, sets, access, ..Layers::default() };
            common.add_numbers(&mut layers)?;
            if let (Some(data), Some(flag)) = (data, flag) {
                layers.flags.push(("--data".to_owned(), flag.setting.to_owned(), data.clone().into()));
            }
            match (entry.studies)(&layers) {
                Ok(made) => studies.extend(made),
                // The defaults of a study need not fit a set of one's own; what is said of it by hand is a slip.
                Err(error) if data.is_some() && flag.is_some() && layers.sets.is_empty() && error.is::<Usage>() => {
                    say(&format!("hw1: {} is left out: {}", entry.name, one_line(&error)));
                }
                Err(error) => return Err(error),
            }
        }
        if studies.is_empty() {
            return Err(usage("no study is left: see --only and --skip"));
        }
        Ok(studies)
    }
}
