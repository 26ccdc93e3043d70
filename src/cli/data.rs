//! `hw1 data`: the sets that have a name, fetched, checked or found; and any set shown.

use crate::cli::print_path;
use crate::data::{Access, Data as Loaded, DataOptions, DataSpec, SETS, Set};
use crate::error::{Exit, Interrupted, say, usage};
use crate::output::data_sheet;
use crate::runner::{ProgressMode, Signals, Watcher, with_download_bar};
use crate::study::settings::option;
use crate::terminal::{self, print};
use anyhow::{Context as _, Result, bail};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::sync::Arc;
use toml::Table;

/// List, fetch, check, find or show data sets
#[derive(Args)]
pub struct Data {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Subcommand)]
enum DataCommand {
    /// The sets that have a name, and which of them are on this machine
    List(Folder),
    /// Download what is missing
    Fetch {
        #[command(flatten)]
        set: Named,
        /// Where to fetch from instead of the usual places; may be repeated
        #[arg(long = "mirror", value_name = "URL")]
        mirrors: Vec<String>,
        /// Rename files in the folder that have the set's names and are not the set's; without this they are refused
        #[arg(long)]
        set_aside: bool,
    },
    /// Check all files
    Verify(Named),
    /// Print the folder in use
    Path(Named),
    /// Draw samples of each class, and print counts, mean and deviation
    Show {
        /// A name, or the path of a set of your own
        #[arg(value_name = "NAME|PATH", default_value = "mnist")]
        data: String,
        #[command(flatten)]
        folder: Folder,
        /// How a set of your own is read, as in a study: data.label=NAME; may be repeated
        #[arg(long = "set", value_name = "KEY=VALUE")]
        sets: Vec<String>,
        /// The picture [default: <name>.png here]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Args)]
struct Folder {
    /// The set's folder [default: HW1_DATA_DIR, else the cache]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Args)]
struct Named {
    /// Which set
    #[arg(value_name = "NAME", default_value = "mnist", value_parser = names())]
    name: String,
    #[command(flatten)]
    folder: Folder,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(SETS.iter().map(|set| set.name))
}

impl Named {
    fn set(&self) -> Result<&'static Set> {
        Set::named(&self.name).with_context(|| format!("no data set is called {}", self.name))
    }

    /// Where the set is, or how to get it.
    fn found(&self) -> Result<(&'static Set, PathBuf)> {
        let set = self.set()?;
        if set.is_drawn() {
            bail!("hw1 draws {} itself: it lies in no folder", set.title);
        }
        let folder = set.find(self.folder.data_dir.as_deref())?.with_context(|| {
            let title = set.title;
            format!(
                "{title} is not on this machine: fetch it with `{}`, or name its folder with --data-dir",
                set.command()
            )
        })?;
        Ok((set, folder))
    }
}

pub fn run(Data { command }: Data) -> Result<()> {
    match command {
        DataCommand::List(folder) => list(&folder),
        DataCommand::Fetch { set: named, mirrors, set_aside } => {
            let set = named.set()?;
            let mirrors = if mirrors.is_empty() { set.mirrors() } else { mirrors };
            let folder = set.fetch_folder(named.folder.data_dir.as_deref())?;
            let signals = Signals::install()?;
            if set_aside {
                for [from, to] in set.set_aside(&folder)? {
                    say(&format!("hw1: {} is now {}", from.display(), to.display()));
                }
            }
            let fetched =
                with_download_bar(ProgressMode::auto(), |bar| set.fetch(&folder, &mirrors, signals.flag(), bar));
            match fetched {
                Err(error) if error.is::<Interrupted>() => {
                    say("hw1: interrupted; what was fetched is kept, the same command goes on from there");
                    Err(Exit(signals.exit_code()).into())
                }
                fetched => fetched.and_then(|()| print_path(&folder)),
            }
        }
        DataCommand::Verify(named) => verify(&named),
        DataCommand::Path(named) => print_path(&named.found()?.1),
        DataCommand::Show { data, folder, sets, out } => show(&data, folder, &sets, out),
    }
}

fn list(folder: &Folder) -> Result<()> {
    let columns = ["name", "input", "classes", "train", "test", "what", "where"].map(str::to_owned);
    let rows: Vec<Vec<String>> = SETS
        .iter()
        .map(|set| {
            let place = match set.find(folder.data_dir.as_deref()) {
                _ if set.is_drawn() => "drawn when asked for".to_owned(),
                Ok(Some(folder)) => folder.display().to_string(),
                Ok(None) | Err(_) => format!("not here: {}", set.command()),
            };
            let [train, test] = set.sizes.map(|size| size.to_string());
            let input = set.input.map(|side| side.to_string()).join("×");
            vec![set.name.into(), input, set.classes.to_string(), train, test, set.about.into(), place]
        })
        .collect();
    let table = terminal::table(&columns, &rows, terminal::width());
    print(&format!(
        "{table}\nOr the path of your own: IDX files, .npz, CIFAR's binary batches, a folder of classes, .csv\n"
    ))
}

fn verify(named: &Named) -> Result<()> {
    let (set, folder) = named.found()?;
    set.refuse_others(&folder)?;
    let checks = set.verify(&folder);
    for check in &checks {
        let path = check.path.as_ref().map_or(check.name.to_owned(), |path| path.display().to_string());
        print(&format!("{path}: {}\n", check.problem.as_deref().unwrap_or("ok")))?;
    }
    let bad = checks.iter().filter(|check| check.problem.is_some()).count();
    if bad > 0 {
        bail!("{bad} of {} files in {} are not {}'s", checks.len(), folder.display(), set.title);
    }
    Ok(())
}

/// A sheet of samples, and what a set's numbers are.
fn show(data: &str, folder: Folder, sets: &[String], out: Option<PathBuf>) -> Result<()> {
    let signals = Signals::install()?;
    let watch = Watcher::new(ProgressMode::auto(), &signals);
    let access = Access { data_dir: folder.data_dir, watch: Some(Arc::new(watch)) };
    let mut options = Table::new();
    for assignment in sets {
        option(assignment, &mut options)?;
    }
    let options = DataOptions::read(options).map_err(usage)?;
    let loaded = DataSpec::open(data, [usize::MAX; 2], options, &access).and_then(|spec| {
        let loaded = Loaded::load(Arc::new(spec.clone()), &access)?;
        Ok((spec, loaded))
    });
    if signals.flag().load(std::sync::atomic::Ordering::Relaxed) {
        say("hw1: interrupted");
        return Err(Exit(signals.exit_code()).into());
    }
    let (spec, loaded) = loaded?;
    print(&data_sheet::text(&spec, &loaded, terminal::width())?)?;
    let path = out.unwrap_or_else(|| data_sheet::file_name(&spec).into());
    if data_sheet::draw(&loaded, &path)? {
        print_path(&path)?;
    }
    Ok(())
}
