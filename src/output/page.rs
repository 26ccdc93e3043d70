//! The page: all studies of a run directory as one report.html, or as report.md for a repository.
//! Reads metrics.json and figures as any other program would, and knows no experiment. The
//! templates are `templates/page.html` and `templates/page.md`; askama escapes all that goes in.
//!
//! Figures go into the page as `data:` images, not as elements: what stands in an SVG cannot run,
//! load or restyle anything there, and the image has an alternative text as any other. Escaped by
//! percent signs they grow by a twentieth, in base64 by a third.

use crate::backend::Said;
use crate::error::one_line;
use crate::output::metrics::{self, Answer, LinedUp, lined_up, read_run_dir};
use crate::store::run_dir::{RunDir, StudyDir};
use crate::study::claim::Verdict;
use crate::study::number::{significant, whole_or_significant};
use crate::terminal::{counted, is_number, shell_word};
use anyhow::{Context as _, Result, bail};
use askama::Template;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

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

/// Writes the page of `run_dir` into it and returns its path; `references` give the order. Where `against`
/// names another run directory, or this one is of preset `canonical` and a folder `report` stands beside
/// it, a table holds the claims of both against each other. The same run directories give the same bytes.
///
/// # Errors
/// Where there is no study in it or in `against`, or the page cannot be written. A study that cannot be
/// read is a line on the page.
pub fn write(run_dir: &RunDir, against: Option<&RunDir>, references: &[Reference], format: Format) -> Result<PathBuf> {
    let mut page = Page::read(run_dir, references, format)?;
    let beside = || {
        let is_canonical = |study: &Study| study.metrics.provenance.preset == CANONICAL_PRESET;
        let report = RunDir::new(run_dir.root().parent()?.join(REPORT_PRESET));
        let other = report.root() != run_dir.root() && report.studies().is_ok_and(|studies| !studies.is_empty());
        (other && page.studies.iter().any(is_canonical)).then_some(report)
    };
    let found = if against.is_some() { None } else { beside() };
    if let Some(other) = against.or(found.as_ref()) {
        page.against = Some(Against::read(run_dir, other, references)?);
    }
    match format {
        Format::Html => run_dir.write("report.html", Html { page: &page }.render()?.as_bytes()),
        Format::Markdown => run_dir.write("report.md", MarkdownText { page: &page }.render()?.as_bytes()),
    }
}

#[derive(Template)]
#[template(path = "page.html")]
struct Html<'a> {
    page: &'a Page,
}

#[derive(Template)]
#[template(path = "page.md")]
struct MarkdownText<'a> {
    page: &'a Page,
}

/// The escaper of `.md` templates: what would be markup is text, on one line, also in a table.
#[derive(Clone, Copy)]
pub struct Markdown;

impl askama::filters::Escaper for Markdown {
    fn write_escaped_str<W: fmt::Write>(&self, mut out: W, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.write_escaped_char(&mut out, c))
    }

    fn write_escaped_char<W: fmt::Write>(&self, mut out: W, c: char) -> fmt::Result {
        match c {
            c if c.is_control() => out.write_char(' '),
            c if "\\`*_{}[]<>#|~&!$".contains(c) => write!(out, "\\{c}"),
            c => out.write_char(c),
        }
    }
}

/// Trials listed one by one; there is metrics.csv for more.
const MOST_TRIALS: usize = 500;

/// Numbers shown of a claim's evidence; there is metrics.json for more.
const MOST_EVIDENCE: usize = 40;

/// Parameter counts told one by one.
const MOST_COUNTS: usize = 12;

/// Settings that choose which samples of the same thing are drawn.
const SEEDS: [&str; 2] = ["repeats", "seed"];

const REPORT_PRESET: &str = "report";

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
    /// Whether the report has it, under whatever settings.
    in_report: bool,
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
    /// For the HTML page: `data:` URI, width and height. None where the file is missing.
    svg: Option<(String, u32, u32)>,
    /// For Markdown: the path from the run directory. None where there is no such file.
    png: Option<String>,
}

/// What the page needs of metrics.json; all else, the series above all, is skipped.
#[derive(Deserialize)]
struct Metrics {
    experiment: String,
    asked: String,
    settings: Map<String, Value>,
    provenance: Provenance,
    trials: Vec<Trial>,
    table: Table,
    figures: Vec<Figure>,
    claims: Vec<Claim>,
    /// Of trials that failed.
    #[serde(default)]
    failures: Vec<metrics::Failure>,
}

#[derive(Deserialize)]
struct Provenance {
    version: String,
    commit: String,
    device: String,
    #[serde(flatten)]
    backend: Said,
    /// What computed trials that were reused, with their number.
    #[serde(default)]
    other_backends: Vec<Map<String, Value>>,
    jobs: u32,
    preset: String,
    command: Vec<String>,
    end: String,
    seconds: f64,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    name: String,
    identity: String,
    synthetic: bool,
}

#[derive(Deserialize)]
struct Trial {
    label: String,
    seed: u64,
    parameters: i64,
    /// Null where not finite.
    scalars: BTreeMap<String, Option<f64>>,
}

#[derive(Deserialize)]
struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

#[derive(Deserialize)]
struct Figure {
    name: String,
    title: String,
    caption: String,
}

#[derive(Deserialize)]
struct Claim {
    statement: String,
    verdict: Verdict,
    detail: String,
    evidence: Value,
    // Where a study states them; null where not, or where not finite.
    #[serde(default)]
    effect_of: Option<String>,
    #[serde(default)]
    effect: Value,
    #[serde(default)]
    interval: Value,
    #[serde(default)]
    n: Value,
}

impl Page {
    fn read(run_dir: &RunDir, references: &[Reference], format: Format) -> Result<Self> {
        let (mut read, mut broken) = (Vec::new(), Vec::new());
        let standing = if run_dir.root().exists() { run_dir.studies()? } else { Vec::new() };
        for (folder, dir) in standing {
            match Metrics::read(&dir) {
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
            let drawn = std::mem::take(&mut metrics.figures).into_iter().map(|figure| {
                figures += 1;
                Drawn::read(figures, figure, &folder, &run_dir.study(&folder), format)
            });
            studies.push(Study {
                figures: drawn.collect(),
                anchor: anchor(&folder, &mut anchors),
                in_report: reference.is_some(),
                settings: settings(&metrics.settings, reference),
                folder,
                metrics,
            });
        }
        Ok(Self { warnings: warnings(&studies, &broken), against: None, studies, broken })
    }

    /// Where a study is on this page, if it is.
    fn anchor_of(&self, folder: &str) -> Option<&str> {
        self.studies.iter().find(|study| study.folder == folder).map(|study| study.anchor.as_str())
    }

    fn claims(&self) -> impl Iterator<Item = (&Study, &Claim)> {
        self.studies.iter().flat_map(|study| study.metrics.claims.iter().map(move |claim| (study, claim)))
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

/// The claims of this run directory held against another's.
struct Against {
    /// "preset report", or the folder's name where both are of one preset.
    there: String,
    here: String,
    rows: Vec<Row>,
}

struct Row {
    claim: LinedUp,
    there: Option<Given>,
    here: Option<Given>,
}

/// A verdict with its mark.
struct Given {
    verdict: Verdict,
}

impl Against {
    fn read(run_dir: &RunDir, other: &RunDir, references: &[Reference]) -> Result<Self> {
        let (there, here) = (read_run_dir(other.root())?, read_run_dir(run_dir.root())?);
        let name = |run_dir: &RunDir, folders: &[metrics::StudyFolder]| {
            let presets = folders.iter().filter_map(|folder| folder.metrics()?.provenance.preset.as_deref());
            let presets: BTreeSet<&str> = presets.collect();
            let presets: Vec<&str> = presets.into_iter().collect();
            let folder = run_dir.root().file_name().map(|name| name.to_string_lossy().into_owned());
            (format!("preset {}", presets.join(", ")), folder.unwrap_or_default())
        };
        let (names_there, names_here) = (name(other, &there), name(run_dir, &here));
        let (name_there, name_here) =
            if names_there.0 == names_here.0 { (names_there.1, names_here.1) } else { (names_there.0, names_here.0) };
        let mut claims = lined_up(&there, &here);
        let experiment = |study: &str| {
            let folder = here.iter().chain(&there).find(|folder| folder.name == study);
            folder.and_then(|folder| folder.metrics()).map_or("", |metrics| metrics.experiment.as_str())
        };
        // Stable: within a study the claims stay in their order.
        claims.sort_by_cached_key(|claim| place(references, experiment(&claim.study), &claim.study));
        let given = |verdict: Option<Verdict>| verdict.map(|verdict| Given { verdict });
        let rows = claims.into_iter().map(|claim| Row { there: given(claim.a), here: given(claim.b), claim });
        Ok(Self { there: name_there, here: name_here, rows: rows.collect() })
    }

    fn count(&self, answer: Answer) -> usize {
        self.rows.iter().filter(|row| row.claim.answer == answer).count()
    }

    /// "12 of 16 claims agree, 4 differ; 9 are only here, 1 is only there".
    fn tally(&self) -> String {
        let [agree, differ, there, here] =
            [Answer::Agree, Answer::Differ, Answer::OnlyInA, Answer::OnlyInB].map(|answer| self.count(answer));
        let both = counted(agree + differ, "claim", "claims");
        format!("Of {both} made in both, {agree} agree and {differ} differ; {here} only here, {there} only there")
    }
}

impl Row {
    fn answer(&self) -> &'static str {
        match self.claim.answer {
            Answer::Agree => "agrees",
            Answer::Differ => "differs",
            Answer::OnlyInA => "only there",
            Answer::OnlyInB => "only here",
        }
    }

    fn differs(&self) -> bool {
        self.claim.answer == Answer::Differ
    }
}

impl Given {
    fn mark(&self) -> &'static str {
        mark(self.verdict)
    }
}

/// Verdicts are told apart without colour, too.
fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Supported => "✓",
        Verdict::Refuted => "✗",
        Verdict::Inconclusive => "?",
    }
}

/// Names of places that every page has.
const ANCHORS: [&str; 7] =
    ["against", "claims", "contents", "contents-heading", "main", "warnings-heading", "without-results"];

/// A name for links that is none of `taken`, and is taken now.
fn anchor(folder: &str, taken: &mut BTreeSet<String>) -> String {
    let plain: String = folder.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
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
    let report = |name: &str, value: &Value| {
        let report = reference?.settings.get(name)?;
        (report != value).then(|| plain(report))
    };
    let setting = |(name, value): (&String, &Value)| Setting {
        name: name.clone(),
        value: plain(value),
        report: report(name, value),
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
    if let Some(folders) = folders(&Study::is_synthetic) {
        warnings.push(format!("Synthetic digits in place of MNIST: {folders}."));
    }
    if let Some(folders) = folders(&|study| !study.metrics.failures.is_empty()) {
        warnings.push(format!("Partial, as some trials failed: {folders}."));
    }
    let presets: BTreeSet<&str> = studies.iter().map(|study| study.metrics.provenance.preset.as_str()).collect();
    for preset in presets.into_iter().filter(|preset| *preset != REPORT_PRESET) {
        if let Some(folders) = folders(&|study| study.metrics.provenance.preset == preset) {
            warnings.push(format!("Preset {preset}, not the report's settings: {folders}."));
        }
    }
    // Of another preset that has been said.
    if let Some(folders) =
        folders(&|study| study.metrics.provenance.preset == REPORT_PRESET && !study.changed().is_empty())
    {
        warnings.push(format!("Some settings are not the report's: {folders}."));
    }
    if let Some(folders) = folders(&|study| !study.in_report) {
        warnings.push(format!("Not among the report's studies: {folders}."));
    }
    if !broken.is_empty() {
        let folders: Vec<&str> = broken.iter().map(|(folder, _)| folder.as_str()).collect();
        warnings.push(format!("Without results: {}.", folders.join(", ")));
    }
    warnings
}

impl Study {
    fn is_synthetic(&self) -> bool {
        self.metrics.provenance.data.as_ref().is_some_and(|data| data.synthetic)
    }

    /// Names of the settings that make it another study than the report's.
    fn changed(&self) -> Vec<&str> {
        let changed = self.settings.iter().filter(|setting| setting.report.is_some());
        changed.map(|setting| setting.name.as_str()).filter(|name| !SEEDS.contains(name)).collect()
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
        self.scalars.get(scalar).map_or(String::new(), |value| whole_or_significant(value.unwrap_or(f64::NAN), 4))
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

impl Claim {
    fn mark(&self) -> &'static str {
        mark(self.verdict)
    }

    /// "Effect 0.4300, 95 % interval 0.2100 to 0.6500, n = 10 (mean of …)."; empty where none is stated.
    fn measured(&self) -> String {
        if self.effect.is_null() {
            return String::new();
        }
        let mut text = format!("Effect {}", scalar(&self.effect));
        if let Some([low, high]) = self.interval.as_array().map(Vec::as_slice) {
            text.push_str(&format!(", 95 % interval {} to {}", scalar(low), scalar(high)));
        }
        if !self.n.is_null() {
            text.push_str(&format!(", n = {}", scalar(&self.n)));
        }
        if let Some(effect_of) = &self.effect_of {
            text.push_str(&format!(" ({effect_of})"));
        }
        text + "."
    }

    /// The numbers behind the verdict, by name.
    fn evidence(&self) -> Vec<(String, String)> {
        let mut numbers = Vec::new();
        flatten("", &self.evidence, &mut numbers);
        // What decides before what it decided on.
        numbers.sort_by_key(|(name, _)| !["rule", "protocol"].contains(&name.as_str()));
        if numbers.len() > MOST_EVIDENCE {
            let more = numbers.split_off(MOST_EVIDENCE).len();
            numbers.push(("…".to_owned(), format!("{more} more in metrics.json")));
        }
        numbers
    }
}

impl Provenance {
    /// The command as it would be typed, on one line.
    fn command(&self) -> String {
        let mut words = self.command.iter();
        let program = words.next().map(|path| path.rsplit('/').next().unwrap_or_default().to_owned());
        program
            .into_iter()
            .chain(words.map(|word| shell_word(word)))
            .collect::<Vec<_>>()
            .join(" ")
            .replace(char::is_control, " ")
    }

    /// "Intel Xeon, 512-bit vectors, MKL native, …": as far as it is said.
    fn computed_by(&self) -> String {
        let Said { cpu, gpu, vector_bits, mkl, kernels, layout, libtorch: _, environment } = &self.backend;
        let named = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name} {value}"));
        let words = [
            cpu.clone(),
            gpu.clone(),
            vector_bits.map(|bits| format!("{bits}-bit vectors")),
            named("MKL", mkl),
            named("kernels", kernels),
            named("layout", layout),
        ];
        let set = environment.iter().flatten().map(|(name, value)| format!("{name}={value}"));
        words.into_iter().flatten().chain(set).collect::<Vec<_>>().join(", ")
    }

    fn libtorch(&self) -> &str {
        self.backend.libtorch.as_deref().unwrap_or("unknown")
    }

    /// "2 trials were computed before by cpu …, kernels libtorch, …"; empty where all are of this backend.
    fn reused(&self) -> String {
        let told = self.other_backends.iter().map(|other| {
            let trials = other.get("trials").and_then(Value::as_u64).unwrap_or(0);
            let is_part = |(name, _): &(&String, &Value)| name.as_str() != "trials";
            let parts = other.iter().filter(is_part).map(|(name, value)| match value {
                Value::String(text) => format!("{name} {text}"),
                other => format!("{name} {other}"),
            });
            let parts: Vec<String> = parts.collect();
            format!("{} computed before by {}", counted(trials as usize, "trial was", "trials were"), parts.join(", "))
        });
        told.collect::<Vec<_>>().join("; ")
    }

    fn took(&self) -> String {
        let seconds = self.seconds.round().max(0.0) as u64;
        match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
            (0, 0, 0) => "less than a second".to_owned(),
            (0, 0, seconds) => format!("{seconds} s"),
            (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
            (hours, minutes, _) => format!("{hours} h {minutes} min"),
        }
    }
}

impl Metrics {
    fn read(dir: &StudyDir) -> Result<Self> {
        let read = metrics::read(&dir.metrics()).context(
            "metrics.json is not what this version of hw1 writes; the study's command, again, writes it anew",
        )?;
        read.context("there is no metrics.json: its run did not end, and the same command goes on")
    }
}

impl Drawn {
    fn read(number: usize, figure: Figure, folder: &str, dir: &StudyDir, format: Format) -> Self {
        let mut drawn = Self { number, svg: None, png: None, figure };
        let name = &drawn.figure.name;
        // A name, not a path to elsewhere.
        if name.starts_with('.') || name.contains(['/', '\\']) {
            return drawn;
        }
        match format {
            Format::Html => {
                let text = std::fs::read_to_string(dir.figures().join(format!("{name}.svg")));
                drawn.svg =
                    text.ok().and_then(|text| size(&text).map(|(width, height)| (data_uri(&text), width, height)));
            }
            Format::Markdown if dir.figures().join(format!("{name}.png")).is_file() => {
                let [folder, name] = [folder, name].map(|part| percent_encoded(part, LINK));
                drawn.png = Some(format!("{folder}/figures/{name}.png"));
            }
            Format::Markdown => {}
        }
        drawn
    }

    /// Whether two fit beside each other.
    fn is_narrow(&self) -> bool {
        self.svg.as_ref().is_some_and(|(_, width, _)| *width < 700)
    }
}

/// Width and height of an SVG in CSS pixels.
fn size(svg: &str) -> Option<(u32, u32)> {
    let tag = svg.split_once("<svg ")?.1.split_once('>')?.0;
    let length = |name: &str| {
        let value = tag.split_once(name)?.1.split_once('"')?.0;
        let value = value.parse::<f64>().ok().filter(|value| (1.0..1e5).contains(value))?;
        Some(value.round() as u32)
    };
    Some((length("width=\"")?, length("height=\"")?))
}

/// Stay as they are in a `data:` URI within quotes, beside letters and digits.
const DATA: &str = " -_.!*()/:;,=?@+$";

/// Stay as they are in a relative link.
const LINK: &str = "-_.";

fn data_uri(svg: &str) -> String {
    format!("data:image/svg+xml,{}", percent_encoded(svg.trim(), DATA))
}

fn percent_encoded(text: &str, keep: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + text.len() / 16);
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || keep.as_bytes().contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// A setting as TOML would have it, lists without brackets.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Number(number) if number.is_f64() => {
            let value = number.as_f64().unwrap_or(f64::NAN);
            // 1e-5, but 0.001 and 2.
            if value != 0.0 && value.abs() < 1e-3 { format!("{value:e}") } else { value.to_string() }
        }
        other => other.to_string(),
    }
}

/// Numbers and words with the names of where they stand; short lists, and members of longer ones, on
/// one line each.
fn flatten(name: &str, value: &Value, out: &mut Vec<(String, String)>) {
    let holds_lists = |value: &Value| match value {
        Value::Object(map) => map.values().any(|value| value.is_object() || value.is_array()),
        Value::Array(items) => items.iter().any(|value| value.is_object() || value.is_array()),
        _ => false,
    };
    match value {
        Value::Null => {}
        Value::Object(map) => {
            for (key, value) in map {
                flatten(&if name.is_empty() { key.clone() } else { format!("{name}.{key}") }, value, out);
            }
        }
        Value::Array(items) if items.len() > MOST_COUNTS || holds_lists(value) => {
            for (index, item) in items.iter().enumerate() {
                let name = format!("{name}.{}", index + 1);
                match item {
                    Value::Object(map) if !holds_lists(item) => {
                        let members = map.iter().map(|(key, value)| format!("{key} {}", scalar(value)));
                        out.push((name, members.collect::<Vec<_>>().join(", ")));
                    }
                    item => flatten(&name, item, out),
                }
            }
        }
        Value::Array(items) => out.push((name.to_owned(), items.iter().map(scalar).collect::<Vec<_>>().join(", "))),
        value => out.push((name.to_owned(), scalar(value))),
    }
}

/// A measured number in four digits, anything else as it is.
fn scalar(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => significant(number.as_f64().unwrap_or(f64::NAN), 4),
        Value::Null => "none".to_owned(),
        value => plain(value),
    }
}

/// "2 supported, 1 inconclusive".
fn verdicts<'a>(claims: impl Iterator<Item = &'a Claim>) -> String {
    let given: Vec<Verdict> = claims.map(|claim| claim.verdict).collect();
    let count = |verdict| given.iter().filter(|given| **given == verdict).count();
    let verdicts = [Verdict::Supported, Verdict::Refuted, Verdict::Inconclusive];
    let counts = verdicts.map(|verdict| (count(verdict), verdict)).into_iter().filter(|(count, _)| *count > 0);
    counts.map(|(count, verdict)| format!("{count} {verdict}")).collect::<Vec<_>>().join(", ")
}
