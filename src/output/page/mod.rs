//! The page: all studies of a run directory as one report.html, or as report.md for a repository. Reads metrics.json and
//! figures as any other program would, and knows no experiment. Here is what both formats show, for the templates
//! `templates/page.html` and `templates/page.md`; askama escapes all that goes in.

mod against;
mod beside;
mod explore;
mod html;
pub mod markdown;
mod names;
mod thin;
mod words;

use crate::error::{one_line, say};
use crate::output::compare::Answer;
use crate::output::figures::{self, is_file_name, is_whole_png, is_whole_svg};
use crate::output::metrics::{Claim, Figure, Metrics, Table, Trial};
use crate::store::{RunDir, StudyDir};
use crate::study::{claim::Verdict, number::whole_or_significant, settings::DEFAULT_PRESET};
use crate::terminal::{counted, is_number};
use crate::{plot, runner};
use against::{Against, OfBoth};
use anyhow::{Context as _, Result, bail};
use askama::Template as _;
use html::{Html, Image};
use markdown::MarkdownText;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::PathBuf;
use words::{capitalised, plain};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Html,
    Markdown,
}

/// A study as the report has it: its place on the page, and the settings to hold a run's against.
pub struct Reference {
    pub experiment: String,
    pub folder: String,
    pub settings: Value,
}

/// The page of `run_dir`; `references` give the order. Where `against` names another run directory, or this one is of
/// preset `canonical` and a folder `report` stands beside it, a table holds the claims of both against each other. The
/// same run directories give the same bytes. Beside the page there are the figures of both runs, each by its study.
///
/// # Errors
/// Where there is no study in it or in `against`. A study that cannot be read is a line on the page, and on standard error.
pub fn render(
    run_dir: &RunDir,
    against: Option<&RunDir>,
    references: &[Reference],
    format: Format,
) -> Result<Rendered> {
    let mut page = Page::read(run_dir, references, format)?;
    let beside = || {
        let is_canonical = |study: &Study| study.preset() == Some(CANONICAL_PRESET);
        let report = RunDir::new(run_dir.root().parent()?.join(DEFAULT_PRESET));
        let other = report.root() != run_dir.root() && report.studies().is_ok_and(|studies| !studies.is_empty());
        (other && page.studies.iter().any(is_canonical)).then_some(report)
    };
    let found = if against.is_some() { None } else { beside() };
    if let Some(other) = against.or(found.as_ref()) {
        page.against = Some(Against::read(run_dir, other, references, page.figures() + 1, format)?);
    }
    for (folder, why) in &page.broken {
        say(&format!("hw1: {folder} is without results on the page: {why}"));
    }
    let text = match format {
        Format::Html => Html { page: &page }.render()?,
        Format::Markdown => MarkdownText { page: &page }.render()?,
    };
    Ok(Rendered { text, of_both: page.against.map(|against| against.of_both).unwrap_or_default() })
}

/// A page, and the figures of two runs that are on it.
pub struct Rendered {
    pub text: String,
    of_both: Vec<OfBoth>,
}

impl Rendered {
    /// Writes the page into its run directory, and the figures of two runs, as PNG, SVG and JSON, below `against/`.
    ///
    /// # Errors
    /// What cannot be drawn or written.
    pub fn write(&self, run_dir: &RunDir, name: &str) -> Result<PathBuf> {
        let drawn = self.of_both.iter().filter_map(|of| Some((of, of.svg.as_deref()?)));
        let mut written: Vec<_> = drawn.map(|drawn| (drawn, Ok(figures::Digests::new()))).collect();
        runner::side_by_side(&mut written, 1, |((of, svg), written)| {
            *written = run_dir.beside(&of.study).and_then(|dir| figures::write(&of.figure, svg, &dir));
        });
        written.into_iter().try_for_each(|(_, written)| written.map(drop))?;
        run_dir.write(name, self.text.as_bytes())
    }
}

/// Trials listed one by one; there is metrics.csv for more.
const MOST_TRIALS: usize = 500;

/// Parameter counts told one by one.
const MOST_COUNTS: usize = 12;

/// Settings that choose which samples of the same thing are drawn.
const SEEDS: [&str; 2] = ["repeats", "seed"];

/// The preset that asks the report's questions as the literature does.
const CANONICAL_PRESET: &str = "canonical";

struct Page {
    /// What a reader must know before believing the numbers.
    warnings: Vec<String>,
    against: Option<Against>,
    studies: Vec<Study>,
    /// Folders of studies that have no results, and why.
    broken: Vec<(String, String)>,
}

struct Study {
    /// What links to it name: unique on the page.
    anchor: String,
    folder: String,
    /// Whether it may be taken for one of the report's and is none: the report has another of its kind.
    is_other: bool,
    metrics: Metrics,
    settings: Vec<Setting>,
    figures: Vec<Drawn>,
}

struct Setting {
    name: String,
    value: String,
    /// The report's, where it is another.
    report: Option<String>,
}

struct Drawn {
    /// Of all on the page, from 1.
    number: usize,
    figure: Figure,
    /// For the HTML page. None where the file is missing or cut off.
    svg: Option<Image>,
    /// What it shows, for the page's script. None where an older version drew it.
    block: Option<explore::Block>,
    /// For Markdown: the path from the run directory. None where there is no such file, or not all of it.
    png: Option<String>,
}

impl Page {
    fn read(run_dir: &RunDir, references: &[Reference], format: Format) -> Result<Self> {
        let (mut read, mut broken) = (Vec::new(), Vec::new());
        let standing = if run_dir.root().exists() { run_dir.studies()? } else { Vec::new() };
        for (folder, dir) in standing {
            match read_metrics(&dir) {
                Ok(metrics) => read.push((folder, metrics)),
                Err(error) => broken.push((folder, one_line(&error))),
            }
        }
        if read.is_empty() && broken.is_empty() {
            bail!(
                "there is no study in {}: run one first, such as `hw1 simulate`, or name another run directory with \
                 --out or --preset",
                run_dir.root().display()
            );
        }
        read.sort_by_cached_key(|(folder, metrics)| place(references, &metrics.experiment, folder));
        broken.sort();

        let mut anchors = BTreeSet::from(ANCHORS.map(str::to_owned));
        let mut figures = 0;
        let mut studies = Vec::new();
        for (folder, mut metrics) in read {
            let reference = references.iter().find(|reference| reference.folder == folder);
            let drawn = metrics.figures.take().into_iter().flatten().map(|figure| {
                figures += 1;
                Drawn::read(figures, figure, &folder, &run_dir.study(&folder), format)
            });
            studies.push(Study {
                figures: drawn.collect(),
                anchor: anchor(&folder, &mut anchors),
                is_other: reference.is_none() && references.iter().any(|other| other.experiment == metrics.experiment),
                settings: settings(&metrics.settings, reference),
                folder,
                metrics,
            });
        }
        Ok(Self { warnings: warnings(&studies, &broken), against: None, studies, broken })
    }

    /// How many figures its studies have.
    fn figures(&self) -> usize {
        self.studies.iter().map(|study| study.figures.len()).sum()
    }

    /// Where a study is on this page, if it is.
    fn anchor_of(&self, folder: &str) -> Option<&str> {
        self.studies.iter().find(|study| study.folder == folder).map(|study| study.anchor.as_str())
    }

    fn claims(&self) -> impl Iterator<Item = (&Study, &Claim)> {
        self.studies.iter().flat_map(|study| study.metrics.claims.iter().map(move |claim| (study, claim)))
    }

    fn has_figures_of_both(&self) -> bool {
        self.against.as_ref().is_some_and(|against| {
            !against.figures.is_empty() || !against.without.is_empty() || !against.single.is_empty()
        })
    }

    /// Whether any study here claims something.
    fn has_claims(&self) -> bool {
        self.claims().next().is_some()
    }

    /// "8 studies".
    fn count(&self) -> String {
        counted(self.studies.len(), "study", "studies")
    }

    fn tally(&self) -> String {
        let claims = self.claims().count();
        format!("{}: {}", counted(claims, "claim", "claims"), verdicts(self.claims().map(|(_, claim)| claim)))
    }
}

impl Answer {
    /// Of another run, A, and the one that the page is of.
    fn word(self) -> &'static str {
        match self {
            Self::Agree => "agrees",
            Self::Differ => "differs",
            Self::OnlyInA => "only there",
            Self::OnlyInB => "only here",
        }
    }
}

impl Verdict {
    /// Verdicts are told apart without colour, too.
    fn mark(self) -> &'static str {
        match self {
            Self::Supported => "✓",
            Self::Refuted => "✗",
            Self::Inconclusive => "?",
        }
    }
}

/// Names of places that every page has.
const ANCHORS: [&str; 8] =
    ["against", "claims", "contents", "contents-heading", "main", "of-both", "warnings-heading", "without-results"];

/// A name for links that is none of `taken`, and is taken now.
fn anchor(folder: &str, taken: &mut BTreeSet<String>) -> String {
    // Figures and claims have names of their own.
    let own = if ["figure-", "claim-"].iter().any(|own| folder.starts_with(own)) { "study-" } else { "" };
    let plain: String =
        own.chars().chain(folder.chars()).map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let numbered = (2..).map(|number| format!("{plain}-{number}"));
    let free = std::iter::once(plain.clone()).chain(numbered).find(|name| !taken.contains(name));
    let name = free.unwrap_or(plain);
    taken.insert(name.clone());
    name
}

/// Where a study stands: as the report has it, its like behind it, and the unknown last.
fn place(references: &[Reference], experiment: &str, folder: &str) -> (usize, bool, String) {
    let own = references.iter().position(|reference| reference.folder == folder);
    let like = || references.iter().rposition(|reference| reference.experiment == experiment);
    (own.or_else(like).unwrap_or(usize::MAX), own.is_none(), folder.to_owned())
}

fn settings(settings: &Map<String, Value>, reference: Option<&Reference>) -> Vec<Setting> {
    let setting = |(name, value): (&String, &Value)| {
        let report = reference.map(|reference| reference.settings.get(name)).filter(|report| *report != Some(value));
        let report = report.map(|report| report.map_or_else(|| "none".to_owned(), plain));
        Setting { name: name.clone(), value: plain(value), report }
    };
    settings.iter().map(setting).collect()
}

fn warnings(studies: &[Study], broken: &[(String, String)]) -> Vec<String> {
    let folders = |wanted: &dyn Fn(&Study) -> bool| {
        let folders: Vec<&str> = studies.iter().filter(|s| wanted(s)).map(|s| s.folder.as_str()).collect();
        match folders.len() {
            0 => None,
            n if n == studies.len() && n > 1 => Some(format!("all {n} studies")),
            _ => Some(folders.join(", ")),
        }
    };
    let mut warnings = Vec::new();
    let mut warn = |what: &str, of: Option<String>| warnings.extend(of.map(|folders| format!("{what}: {folders}.")));
    let substitute = |study: &Study| study.metrics.provenance.data.as_ref()?.substitution();
    for said in studies.iter().filter_map(substitute).collect::<BTreeSet<String>>() {
        warn(&capitalised(&said), folders(&|study| substitute(study).as_ref() == Some(&said)));
    }
    warn("Partial, as some trials failed", folders(&|study| !study.metrics.failures.is_empty()));
    warn("Partial, as some trials have not run yet", folders(&|study| study.metrics.missing > 0));
    let presets: BTreeSet<&str> = studies.iter().filter_map(Study::preset).collect();
    for preset in presets.into_iter().filter(|preset| *preset != DEFAULT_PRESET) {
        let of = folders(&|study| study.preset() == Some(preset));
        warn(&format!("Preset {preset}, not the report's settings"), of);
    }
    // Of another preset that has been said.
    let is_changed =
        |study: &Study| study.preset().is_none_or(|preset| preset == DEFAULT_PRESET) && !study.changed().is_empty();
    warn("Some settings are not the report's", folders(&is_changed));
    warn("Not among the report's studies", folders(&|study| study.is_other));
    let folders: Vec<&str> = broken.iter().map(|(folder, _)| folder.as_str()).collect();
    warn("Without results", (!broken.is_empty()).then(|| folders.join(", ")));
    warnings
}

impl Study {
    fn preset(&self) -> Option<&str> {
        self.metrics.provenance.preset.as_deref()
    }

    /// Names of the settings that make it another study than the report's.
    fn changed(&self) -> Vec<&str> {
        let changed = self.settings.iter().filter(|setting| setting.report.is_some());
        changed.map(|setting| setting.name.as_str()).filter(|name| !SEEDS.contains(name)).collect()
    }

    /// What links to one of its claims name.
    fn claim_anchor(&self, place: impl std::fmt::Display) -> String {
        format!("claim-{}-{place}", self.anchor)
    }

    /// The numbers of the figures that show a claim.
    fn shown_in(&self, claim: &Claim) -> Vec<usize> {
        let shows = |drawn: &&Drawn| claim.figures.contains(&drawn.figure.name);
        self.figures.iter().filter(shows).map(|drawn| drawn.number).collect()
    }

    fn verdicts(&self) -> String {
        verdicts(self.metrics.claims.iter())
    }

    /// "30, seeds 0 to 9".
    fn trials(&self) -> String {
        let seeds = || self.metrics.trials.iter().map(|trial| trial.seed);
        match (self.metrics.trials.len(), seeds().min(), seeds().max()) {
            (n, Some(first), Some(last)) if first < last => format!("{n}, seeds {first} to {last}"),
            (n, Some(seed), _) => format!("{n}, seed {seed}"),
            _ => "none".to_owned(),
        }
    }

    /// "DNN_1 2361, DNN_2 1511, DNN_3 701".
    fn parameters(&self) -> String {
        let mut counts: Vec<(&str, i64)> = Vec::new();
        for trial in &self.metrics.trials {
            if !counts.iter().any(|(label, _)| *label == trial.label) {
                counts.push((&trial.label, trial.parameters));
            }
        }
        let least = counts.iter().map(|(_, count)| *count).min().unwrap_or_default();
        let most = counts.iter().map(|(_, count)| *count).max().unwrap_or_default();
        if least == most {
            format!("{least}{}", if counts.len() > 1 { " each" } else { "" })
        } else if counts.len() <= MOST_COUNTS {
            let counts: Vec<String> = counts.iter().map(|(label, count)| format!("{label} {count}")).collect();
            counts.join(", ")
        } else {
            format!("{least} to {most}")
        }
    }

    fn scalar_names(&self) -> BTreeSet<&str> {
        self.metrics.trials.iter().flat_map(|trial| trial.scalars.keys().map(String::as_str)).collect()
    }

    fn listed_trials(&self) -> &[Trial] {
        &self.metrics.trials[..self.metrics.trials.len().min(MOST_TRIALS)]
    }
}

impl Trial {
    fn cell(&self, scalar: &str) -> String {
        self.scalars.get(scalar).map_or(String::new(), |value| whole_or_significant(*value, 4))
    }
}

impl Table {
    /// The classes of the cells of each column: `number` to the right, words to the left; `reported`
    /// where it is not measured.
    fn classes(&self) -> Vec<&'static str> {
        let numeric = |cell: &String| is_number(cell);
        let classes = self.columns.iter().enumerate().map(|(column, name)| {
            match (self.rows.iter().all(|row| row.get(column).is_some_and(numeric)), name.starts_with("reported")) {
                (true, true) => "number reported",
                (true, false) => "number",
                (false, true) => "reported",
                (false, false) => "words",
            }
        });
        classes.collect()
    }
}

/// The metrics of a study. What they do not say of where they come from, the page does not either.
fn read_metrics(dir: &StudyDir) -> Result<Metrics> {
    const OTHER: &str =
        "metrics.json is not what this version of hw1 writes; the study's command, again, writes it anew";
    let metrics = Metrics::read(&dir.metrics()).context(OTHER)?;
    metrics.context("there is no metrics.json: its run did not end, and the same command goes on")
}

/// What a figure shows. What cannot be read is a figure that does not answer, and is seen all the same; so is what calls
/// itself otherwise, since files are named by it.
fn read_figure(dir: &StudyDir, name: &str) -> Option<plot::Figure> {
    let json = is_file_name(name).then(|| std::fs::read(dir.figures().join(format!("{name}.json"))))?.ok()?;
    plot::Figure::from_json(&json).ok().filter(|figure| figure.name == name)
}

impl Drawn {
    fn read(number: usize, figure: Figure, folder: &str, dir: &StudyDir, format: Format) -> Self {
        let mut drawn = Self { number, svg: None, block: None, png: None, figure };
        let name = &drawn.figure.name;
        if !is_file_name(name) {
            return drawn;
        }
        match format {
            Format::Html => {
                let text = std::fs::read_to_string(dir.figures().join(format!("{name}.svg")));
                drawn.svg = text.ok().filter(|text| is_whole_svg(text)).and_then(|text| Image::of(&text));
                drawn.block = read_figure(dir, name).and_then(|figure| explore::block(&figure).ok());
            }
            Format::Markdown => {
                let path = dir.figures().join(format!("{name}.png"));
                let is_there = path.is_file() && std::fs::read(path).is_ok_and(|bytes| is_whole_png(&bytes));
                drawn.png = is_there.then(|| markdown::link(folder, name));
            }
        }
        drawn
    }

    /// Points of a curve, and how many of them the script draws.
    fn thinned(&self) -> Option<(usize, usize)> {
        self.block.as_ref()?.thinned
    }

    /// What speaks against it, as far as its caption does not say it.
    fn doubts(&self) -> Vec<&str> {
        let said = |doubt: &&str| !self.figure.caption.contains(doubt);
        self.figure.doubts.iter().map(String::as_str).filter(said).collect()
    }

    /// Whether two fit beside each other.
    fn is_narrow(&self) -> bool {
        self.svg.as_ref().is_some_and(|image| image.width < 700)
    }
}

/// "2 supported, 1 inconclusive".
fn verdicts<'a>(claims: impl Iterator<Item = &'a Claim>) -> String {
    let given: Vec<Verdict> = claims.map(|claim| claim.verdict).collect();
    let told = [Verdict::Supported, Verdict::Refuted, Verdict::Inconclusive].into_iter().filter_map(|verdict| {
        let count = given.iter().filter(|given| **given == verdict).count();
        (count > 0).then(|| format!("{count} {verdict}"))
    });
    told.collect::<Vec<_>>().join(", ")
}
