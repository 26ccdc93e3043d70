//! Looks at what runs have left: a list of the studies in a run directory, their claims, and two run
//! directories side by side; each as text and as JSON. Reads metrics.json, never a record.

use crate::analysis::statistics;
use crate::output::metrics::{Answer, Claim, LinedUp, Metrics, State, StudyFolder, Trial, lined_up};
use crate::study::claim::Verdict;
use crate::study::number::whole_or_significant;
use crate::terminal::{counted, paragraph, plain, shell_word, table};
use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// How far the last call of a study is.
pub struct Progress {
    /// Its subcommand.
    pub experiment: &'static str,
    pub preset: String,
    pub device_kind: &'static str,
    pub done: usize,
    /// Trials that can be named so far.
    pub total: usize,
}

// What there is: `hw1 show`.

/// The studies of a run directory.
#[derive(Serialize)]
pub struct Listing {
    run_dir: String,
    /// Whether another process works in it.
    in_use: bool,
    studies: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    study: String,
    state: Completeness,
    trials_done: usize,
    /// Null where it cannot be told.
    trials_total: Option<usize>,
    records: usize,
    preset: Option<String>,
    seeds: Vec<u64>,
    data: Option<String>,
    start: Option<String>,
    /// Of the last call that came to its end, else of the last record.
    end: Option<String>,
    seconds: Option<f64>,
    problems: Vec<String>,
    /// Goes on with what is unfinished.
    command: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Completeness {
    Complete,
    Unfinished,
    Damaged,
}

impl Listing {
    /// `progress` is asked for each study whose last call did not come to its end.
    #[must_use]
    pub fn new(
        run_dir: &Path,
        folders: &[StudyFolder],
        in_use: bool,
        progress: &dyn Fn(&StudyFolder) -> Result<Progress>,
    ) -> Self {
        let studies = folders.iter().map(|folder| Listed::new(folder, run_dir, progress)).collect();
        Self { run_dir: run_dir.display().to_string(), in_use, studies }
    }

    /// A table, and a line for each study that is not complete.
    #[must_use]
    pub fn text(&self, width: Option<usize>) -> String {
        let unfinished = self.studies.iter().filter(|study| study.state != Completeness::Complete).count();
        let mut text = format!("{}: {}", plain(&self.run_dir), counted(self.studies.len(), "study", "studies"));
        if unfinished > 0 {
            text.push_str(&format!(", {unfinished} unfinished"));
        }
        text.push_str(if self.in_use { "; another hw1 works here now\n" } else { "\n" });
        let columns = ["study", "trials", "preset", "seeds", "data", "ended", "took"].map(String::from);
        let rows: Vec<Vec<String>> = self.studies.iter().map(Listed::row).collect();
        text.push_str(&table(&columns, &rows, width));
        text.push('\n');
        for study in &self.studies {
            text.push_str(&study.remarks(self.in_use, width));
        }
        text
    }
}

impl Listed {
    fn new(folder: &StudyFolder, run_dir: &Path, progress: &dyn Fn(&StudyFolder) -> Result<Progress>) -> Self {
        let metrics = folder.metrics();
        let provenance = metrics.map(|metrics| &metrics.provenance);
        let mut problems = Vec::new();
        let mut state = if folder.is_complete() { Completeness::Complete } else { Completeness::Unfinished };
        if let State::Damaged(reason) = &folder.state {
            state = Completeness::Damaged;
            problems.push(format!("metrics.json is damaged: {reason}"));
        }
        let (mut done, mut total, mut command) = (folder.records, None, None);
        let mut preset = provenance.and_then(|provenance| provenance.preset.clone());
        if state == Completeness::Complete {
            done = metrics.map_or(0, |metrics| metrics.trials.len());
            total = Some(done);
        } else {
            match progress(folder) {
                Ok(progress) => {
                    (done, total, preset) = (progress.done, Some(progress.total), Some(progress.preset));
                    let config = folder.path.join("settings.toml");
                    let mut words = ["hw1", progress.experiment, "--config"].join(" ");
                    for word in [&config.to_string_lossy(), "--out", &run_dir.to_string_lossy()] {
                        words.push_str(&format!(" {}", shell_word(word)));
                    }
                    if progress.device_kind != "cpu" {
                        words.push_str(&format!(" --device {}", progress.device_kind));
                    }
                    command = Some(words);
                }
                Err(error) => problems.push(format!("how many trials it has cannot be told: {error:#}")),
            }
        }
        let of_record = || folder.last_record.map(|time| humantime::format_rfc3339_seconds(time).to_string());
        let text = |field: &Option<String>| field.as_deref().map(plain);
        Self {
            study: folder.name.clone(),
            state,
            trials_done: done,
            trials_total: total,
            records: folder.records,
            preset: text(&preset),
            seeds: metrics.map(seeds).unwrap_or_default(),
            data: provenance.and_then(|provenance| provenance.data.as_ref()).map(|data| plain(&data.name)),
            start: provenance.and_then(|provenance| text(&provenance.start)),
            end: provenance.and_then(|provenance| text(&provenance.end)).or_else(of_record),
            seconds: provenance.and_then(|provenance| provenance.seconds),
            problems,
            command,
        }
    }

    fn row(&self) -> Vec<String> {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let total = self.trials_total.map_or_else(|| "?".into(), |total| total.to_string());
        // To the minute, and one word.
        let minute = |time: &String| time.get(..16).map_or_else(|| time.clone(), |minute| format!("{minute}Z"));
        vec![
            plain(&self.study),
            format!("{} of {total}", self.trials_done),
            or_none(self.preset.clone()),
            if self.seeds.is_empty() { "-".into() } else { ranges(&self.seeds) },
            or_none(self.data.clone()),
            or_none(self.end.as_ref().map(minute)),
            or_none(self.seconds.and_then(took)),
        ]
    }

    fn remarks(&self, in_use: bool, width: Option<usize>) -> String {
        let name = plain(&self.study);
        let mut text = String::new();
        for problem in &self.problems {
            text.push_str(&paragraph(&format!("{name}: {}", plain(problem)), 0, width));
        }
        if self.state == Completeness::Complete || self.trials_total.is_none() {
            return text;
        }
        let go_on = match &self.command {
            Some(command) if !in_use => format!("; go on: {}", plain(command)),
            _ => String::new(),
        };
        let state = if self.state == Completeness::Damaged { "" } else { "unfinished, " };
        let records = match self.records.saturating_sub(self.trials_done) {
            0 => String::new(),
            other => format!(" ({} of other settings beside)", counted(other, "record", "records")),
        };
        let total = self.trials_total.unwrap_or_default();
        // Not wrapped: a command is to be copied.
        text.push_str(&format!("{name}: {state}{} of {total} trials are done{records}{go_on}\n", self.trials_done));
        text
    }
}

fn seeds(metrics: &Metrics) -> Vec<u64> {
    let seeds: BTreeSet<u64> = metrics.trials.iter().map(|trial| trial.seed).collect();
    seeds.into_iter().collect()
}

/// "0 to 9, 20" of sorted numbers.
fn ranges(numbers: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let text =
        |(first, last): &(u64, u64)| if first == last { first.to_string() } else { format!("{first} to {last}") };
    runs.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// "4m 12s"; tenths below ten seconds. `None` where it is no duration.
fn took(seconds: f64) -> Option<String> {
    let rounded = if seconds < 10.0 { (seconds * 10.0).round() / 10.0 } else { seconds.round() };
    let duration = Duration::try_from_secs_f64(rounded).ok()?;
    Some(if rounded < 10.0 { format!("{rounded:.1}s") } else { humantime::format_duration(duration).to_string() })
}

// What held: `hw1 claims`.

/// All claims of a run directory.
#[derive(Serialize)]
pub struct Claims<'a> {
    run_dir: String,
    studies: Vec<StudyClaims<'a>>,
}

#[derive(Serialize)]
struct StudyClaims<'a> {
    study: &'a str,
    claims: &'a [Claim],
    /// Why there is none, or none of the last call.
    problem: Option<String>,
}

impl<'a> Claims<'a> {
    #[must_use]
    pub fn new(run_dir: &Path, folders: &'a [StudyFolder]) -> Self {
        let of_study = |folder: &'a StudyFolder| StudyClaims {
            study: &folder.name,
            claims: folder.metrics().map_or(&[], |metrics| metrics.claims.as_slice()),
            problem: unread(folder).or_else(|| {
                let without = folder.metrics().is_some_and(|metrics| metrics.claims.is_empty());
                without.then(|| "makes no claim with these settings".into())
            }),
        };
        Self { run_dir: run_dir.display().to_string(), studies: folders.iter().map(of_study).collect() }
    }

    /// A block for each claim, under its study.
    #[must_use]
    pub fn text(&self, width: Option<usize>) -> String {
        let all: Vec<&Claim> = self.studies.iter().flat_map(|study| study.claims).collect();
        let with = |verdict| all.iter().filter(|claim| claim.verdict == verdict).count();
        let verdicts = [Verdict::Supported, Verdict::Refuted, Verdict::Inconclusive];
        let tally: Vec<String> = verdicts.iter().map(|&verdict| format!("{} {verdict}", with(verdict))).collect();
        let claims = counted(all.len(), "claim", "claims");
        let mut text = format!("{}: {claims} ({})\n", plain(&self.run_dir), tally.join(", "));
        for study in self.studies.iter().filter(|study| !study.claims.is_empty()) {
            text.push_str(&format!("\n{}\n", plain(study.study)));
            for claim in study.claims {
                text.push_str(&block(claim, width));
            }
        }
        let mut begun = false;
        for study in &self.studies {
            if let Some(problem) = &study.problem {
                let line = paragraph(&format!("{}: {}", plain(study.study), plain(problem)), 0, width);
                text.push_str(if begun { "" } else { "\n" });
                text.push_str(&line);
                begun = true;
            }
        }
        text
    }
}

/// Why a study has no metrics, or none of its last call.
fn unread(folder: &StudyFolder) -> Option<String> {
    match &folder.state {
        State::Reported(_) if folder.is_complete() => None,
        State::Reported(metrics) if !metrics.failures.is_empty() => Some(format!(
            "partial: {} failed, and this is what the others show",
            counted(metrics.failures.len(), "trial", "trials")
        )),
        State::Reported(_) => {
            Some("metrics.json is of an earlier call; the last one, with other settings, is unfinished".into())
        }
        State::Unreported => Some(format!(
            "unfinished ({}), so it has no metrics.json yet",
            counted(folder.records, "record", "records")
        )),
        State::Damaged(reason) => Some(format!("metrics.json is damaged: {reason}")),
    }
}

/// Verdict and name, then all that is said of it, indented.
fn block(claim: &Claim, width: Option<usize>) -> String {
    const INDENT: usize = 16;
    let mut text = format!("  {:12}  {}\n", claim.verdict.to_string(), plain(&claim.id));
    text.push_str(&paragraph(&plain(&format!("{} {}", claim.statement, claim.detail)), INDENT, width));
    let mut numbers = Vec::new();
    if let Some(effect) = claim.effect {
        let of = claim.effect_of.as_ref().map_or(String::new(), |of| format!(" ({})", plain(of)));
        numbers.push(format!("Effect {}{of}", number(effect)));
    }
    if let Some(ends) = claim.interval {
        let [low, high] = ends.map(|end| end.map_or_else(|| "not finite".into(), number));
        numbers.push(format!("{} {low} to {high}", if numbers.is_empty() { "Interval" } else { "interval" }));
    }
    numbers.extend(claim.n.map(|n| format!("n = {n}")));
    if numbers.is_empty() { text } else { text + &paragraph(&format!("{}.", numbers.join(", ")), INDENT, width) }
}

/// Whole numbers whole, others with four significant digits.
fn number(value: f64) -> String {
    whole_or_significant(value, 4)
}

// Two side by side: `hw1 compare`.

/// Two run directories, A and B.
#[derive(Serialize)]
pub struct Comparison {
    a: String,
    b: String,
    only_in_a: Vec<String>,
    only_in_b: Vec<String>,
    /// Studies that cannot be read on one side, and why.
    problems: Vec<String>,
    studies: Vec<Compared>,
    /// Every claim of both, lined up.
    claims: Vec<LinedUp>,
    /// Whether the two are of different presets: the same questions, asked otherwise.
    #[serde(skip)]
    presets_differ: bool,
    /// Whether nothing at all that is compared differs.
    same: bool,
}

/// A study that both have.
#[derive(Serialize)]
struct Compared {
    study: String,
    settings: Vec<Pair>,
    provenance: Vec<Pair>,
    claims: Vec<Pair>,
    labels_only_in_a: Vec<String>,
    labels_only_in_b: Vec<String>,
    /// All of them, in the order of A's trials.
    scalars: Vec<Scalar>,
    differing: usize,
}

/// A value that differs; null where there is none.
#[derive(PartialEq, Serialize)]
struct Pair {
    name: String,
    a: Value,
    b: Value,
}

/// A scalar of the trials of one label, over their seeds.
#[derive(Serialize)]
struct Scalar {
    label: String,
    metric: String,
    a: Option<Spread>,
    b: Option<Spread>,
    /// B - A, of the means.
    difference: Option<f64>,
    /// By A's absolute value; null where that is 0.
    relative: Option<f64>,
}

/// Over the seeds whose value is finite.
#[derive(Serialize)]
struct Spread {
    /// Null where none is finite.
    mean: Option<f64>,
    /// Half of the mean's 95 % interval (Student's t); null below two.
    half_interval: Option<f64>,
    n: usize,
    not_finite: usize,
}

impl Spread {
    fn of(values: &[Option<f64>]) -> Self {
        let finite: Vec<f64> = values.iter().copied().flatten().collect();
        let n = finite.len();
        let estimate = statistics::mean(&finite);
        let mean = estimate.map(|estimate| estimate.value);
        let half_interval = estimate.and_then(|estimate| Some(estimate.interval?[1] - estimate.value));
        Self { mean, half_interval, n, not_finite: values.len() - n }
    }

    fn text(&self) -> String {
        let text = match (self.mean, self.half_interval) {
            (None, _) => return "not finite".into(),
            (Some(mean), None | Some(0.0)) => number(mean),
            (Some(mean), Some(half)) => format!("{} ± {}", number(mean), whole_or_significant(half, 2)),
        };
        match self.not_finite {
            0 => text,
            left_out => format!("{text}, {left_out} of {} not finite", self.n + left_out),
        }
    }
}

impl Scalar {
    fn new(label: &str, metric: &str, a: Option<Spread>, b: Option<Spread>) -> Self {
        let means = (a.as_ref().and_then(|a| a.mean), b.as_ref().and_then(|b| b.mean));
        let difference = if let (Some(a), Some(b)) = means { Some(b - a) } else { None };
        let relative = means.0.filter(|&a| a != 0.0).and_then(|a| Some(difference? / a.abs()));
        Self { label: label.to_owned(), metric: metric.to_owned(), a, b, difference, relative }
    }

    /// The number of seeds alone is no difference.
    fn differs(&self) -> bool {
        let what = |side: &Spread| (side.mean, side.half_interval.unwrap_or(0.0), side.not_finite > 0);
        self.a.as_ref().map(what) != self.b.as_ref().map(what)
    }

    /// How much it differs, for a choice of those to show: what has no ratio comes first.
    fn weight(&self) -> f64 {
        if self.difference == Some(0.0) { 0.0 } else { self.relative.map_or(f64::INFINITY, f64::abs) }
    }
}

impl Comparison {
    #[must_use]
    pub fn new(a: (&Path, &[StudyFolder]), b: (&Path, &[StudyFolder])) -> Self {
        let only = |here: &[StudyFolder], there: &[StudyFolder]| -> Vec<String> {
            let names = here.iter().map(|folder| &folder.name);
            names.filter(|name| !there.iter().any(|other| other.name == **name)).cloned().collect()
        };
        let (mut studies, mut problems) = (Vec::new(), Vec::new());
        for in_a in a.1 {
            let Some(in_b) = b.1.iter().find(|folder| folder.name == in_a.name) else { continue };
            for (side, folder) in [("A", in_a), ("B", in_b)] {
                problems.extend(unread(folder).map(|problem| format!("{} in {side}: {problem}", folder.name)));
            }
            if let (Some(in_a_metrics), Some(in_b_metrics)) = (in_a.metrics(), in_b.metrics()) {
                studies.push(Compared::new(&in_a.name, in_a_metrics, in_b_metrics));
            }
        }
        let (only_in_a, only_in_b) = (only(a.1, b.1), only(b.1, a.1));
        let same = [&only_in_a, &only_in_b, &problems].iter().all(|list| list.is_empty())
            && studies.iter().all(Compared::is_same);
        let shown = |path: &Path| path.display().to_string();
        let presets = |folders: &[StudyFolder]| -> BTreeSet<Option<String>> {
            folders.iter().filter_map(StudyFolder::metrics).map(|metrics| metrics.provenance.preset.clone()).collect()
        };
        let presets_differ = presets(a.1) != presets(b.1);
        let claims = lined_up(a.1, b.1);
        let (a, b) = (shown(a.0), shown(b.0));
        Self { a, b, only_in_a, only_in_b, problems, studies, claims, presets_differ, same }
    }

    /// What differs; with `all`, every scalar.
    #[must_use]
    pub fn text(&self, all: bool, width: Option<usize>) -> String {
        let mut text = format!("A: {}\nB: {}\n", plain(&self.a), plain(&self.b));
        for (side, names) in [("A", &self.only_in_a), ("B", &self.only_in_b)] {
            if !names.is_empty() {
                text.push_str(&paragraph(&format!("Only in {side}: {}", plain(&names.join(", "))), 0, width));
            }
        }
        for problem in &self.problems {
            text.push_str(&paragraph(&plain(problem), 0, width));
        }
        // What differs in all studies alike is said once.
        let everywhere: Vec<&Pair> = match self.studies.split_first() {
            Some((first, rest)) if !rest.is_empty() => {
                let in_rest = |pair: &&Pair| rest.iter().all(|study| study.provenance.contains(pair));
                first.provenance.iter().filter(in_rest).collect()
            }
            _ => Vec::new(),
        };
        for pair in &everywhere {
            text.push_str(&paragraph(&format!("All studies: {}", pair.text()), 0, width));
        }
        for study in self.studies.iter().filter(|study| all || !study.is_same()) {
            text.push_str(&study.text(all, &everywhere, width));
        }
        let same: Vec<&str> =
            self.studies.iter().filter(|study| study.is_same()).map(|study| study.study.as_str()).collect();
        if !same.is_empty() {
            let line = format!("No differences: {}", plain(&same.join(", ")));
            text.push_str(&format!("\n{}", paragraph(&line, 0, width)));
        }
        if (all || self.presets_differ) && !self.claims.is_empty() {
            text.push_str(&self.claims_table(width));
        }
        text
    }

    /// A row for each claim: what A says, what B says, and whether they agree.
    fn claims_table(&self, width: Option<usize>) -> String {
        let words = |answer| match answer {
            Answer::Agree => "agree",
            Answer::Differ => "differ",
            Answer::OnlyInA => "only in A",
            Answer::OnlyInB => "only in B",
        };
        let verdict = |verdict: Option<Verdict>| verdict.map_or_else(|| "-".to_owned(), |verdict| verdict.to_string());
        let columns = ["claim", "A", "B", "A and B"].map(String::from);
        let row = |claim: &LinedUp| {
            vec![plain(&claim.id), verdict(claim.a), verdict(claim.b), words(claim.answer).to_owned()]
        };
        let rows: Vec<Vec<String>> = self.claims.iter().map(row).collect();
        let count = |answer| self.claims.iter().filter(|claim| claim.answer == answer).count();
        let answers = [Answer::Agree, Answer::Differ, Answer::OnlyInA, Answer::OnlyInB];
        let tally: Vec<String> = answers.map(|answer| format!("{} {}", count(answer), words(answer))).to_vec();
        let claims = counted(self.claims.len(), "claim", "claims");
        format!("\nAll claims\n{}\n{claims}: {}\n", table(&columns, &rows, width), tally.join(", "))
    }
}

impl Pair {
    fn new(name: &str, a: Option<Value>, b: Option<Value>) -> Option<Self> {
        let (a, b) = (a.unwrap_or(Value::Null), b.unwrap_or(Value::Null));
        (a != b).then(|| Self { name: name.to_owned(), a, b })
    }

    fn text(&self) -> String {
        let value = |value: &Value| match value {
            Value::Null => "none".to_owned(),
            Value::String(text) => plain(text),
            other => plain(&other.to_string()),
        };
        format!("{}: {} → {}", plain(&self.name), value(&self.a), value(&self.b))
    }
}

impl Compared {
    fn new(study: &str, a: &Metrics, b: &Metrics) -> Self {
        let scalars = scalars(&a.trials, &b.trials);
        let labels = |trials: &[Trial], others: &[Trial]| -> Vec<String> {
            let others: BTreeSet<&str> = others.iter().map(|trial| trial.label.as_str()).collect();
            let mut labels: Vec<String> = trials.iter().map(|trial| trial.label.clone()).collect();
            let mut seen = BTreeSet::new();
            labels.retain(|label| !others.contains(label.as_str()) && seen.insert(label.clone()));
            labels
        };
        let verdicts = |metrics: &Metrics| -> Map<String, Value> {
            metrics.claims.iter().map(|claim| (claim.id.clone(), claim.verdict.to_string().into())).collect()
        };
        Self {
            study: study.to_owned(),
            settings: pairs(&a.settings, &b.settings),
            provenance: pairs(&provenance(a), &provenance(b)),
            claims: pairs(&verdicts(a), &verdicts(b)),
            labels_only_in_a: labels(&a.trials, &b.trials),
            labels_only_in_b: labels(&b.trials, &a.trials),
            differing: scalars.iter().filter(|scalar| scalar.differs()).count(),
            scalars,
        }
    }

    fn is_same(&self) -> bool {
        [&self.settings, &self.provenance, &self.claims].iter().all(|pairs| pairs.is_empty())
            && self.labels_only_in_a.is_empty()
            && self.labels_only_in_b.is_empty()
            && self.differing == 0
    }

    fn text(&self, all: bool, said: &[&Pair], width: Option<usize>) -> String {
        /// Rows of a study that can still be read.
        const MOST: usize = 20;
        let mut text = format!("\n{}\n", plain(&self.study));
        let mut line = |line: String| text.push_str(&paragraph(&line, 1, width));
        for (kind, pairs) in [("Setting", &self.settings), ("Made by", &self.provenance), ("Claim", &self.claims)] {
            for pair in pairs.iter().filter(|pair| !said.contains(pair)) {
                line(format!("{kind} {}", pair.text()));
            }
        }
        for (side, labels) in [("A", &self.labels_only_in_a), ("B", &self.labels_only_in_b)] {
            if !labels.is_empty() {
                line(format!("Trials only in {side}: {}", plain(&labels.join(", "))));
            }
        }
        let shared = self.scalars.iter().filter(|scalar| scalar.a.is_some() || scalar.b.is_some());
        let mut shown: Vec<&Scalar> = shared.filter(|scalar| all || scalar.differs()).collect();
        let hidden = if all { 0 } else { shown.len().saturating_sub(MOST) };
        if hidden > 0 {
            // Stable: of those that weigh the same the first stay; then back into their order.
            let mut order: Vec<usize> = (0..shown.len()).collect();
            order.sort_by(|&a, &b| shown[b].weight().total_cmp(&shown[a].weight()));
            order.truncate(MOST);
            order.sort_unstable();
            shown = order.into_iter().map(|index| shown[index]).collect();
        }
        if shown.is_empty() {
            text.push_str(&format!(" All {} scalars are the same.\n", self.scalars.len()));
            return text;
        }
        text.push_str(&Self::table(&shown, width));
        let most = if hidden > 0 {
            format!("; the {MOST} that differ most are shown, --all shows all")
        } else {
            String::new()
        };
        let foot =
            if text.contains(" ± ") { " ± is half of the 95 % interval of the mean (Student's t)." } else { "" };
        let last = format!("{} of {} scalars differ{most}.{foot}", self.differing, self.scalars.len());
        text.push('\n');
        text.push_str(&paragraph(&last, 1, width));
        text
    }

    /// A row for each label, and under it one for each of its scalars.
    fn table(shown: &[&Scalar], width: Option<usize>) -> String {
        let sizes = |scalar: &Scalar| {
            [&scalar.a, &scalar.b].map(|side| side.as_ref().map_or(0, |side| side.n + side.not_finite))
        };
        let several = shown.iter().any(|scalar| sizes(scalar).iter().any(|&n| n > 1));
        let mut columns = ["trial", "A", "B", "B - A", "relative"].map(String::from).to_vec();
        if several {
            columns.push("n".into());
        }
        let signed = |value: f64, digits| match whole_or_significant(value, digits) {
            text if value > 0.0 => format!("+{text}"),
            text => text,
        };
        let side = |side: &Option<Spread>| side.as_ref().map_or_else(|| "-".into(), Spread::text);
        let mut rows = Vec::new();
        let mut label = None;
        for scalar in shown {
            if label != Some(&scalar.label) {
                label = Some(&scalar.label);
                let mut row = vec![String::new(); columns.len()];
                row[0] = plain(&scalar.label);
                rows.push(row);
            }
            let mut row = vec![format!(" {}", plain(&scalar.metric)), side(&scalar.a), side(&scalar.b)];
            row.push(scalar.difference.map_or_else(|| "-".into(), |difference| signed(difference, 3)));
            row.push(
                scalar.relative.map_or_else(|| "-".into(), |relative| format!("{} %", signed(100.0 * relative, 2))),
            );
            if several {
                let [a, b] = sizes(scalar);
                row.push(if a == b { a.to_string() } else { format!("{a}, {b}") });
            }
            rows.push(row);
        }
        table(&columns, &rows, width)
    }
}

fn pairs(a: &Map<String, Value>, b: &Map<String, Value>) -> Vec<Pair> {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    names.iter().filter_map(|name| Pair::new(name, a.get(*name).cloned(), b.get(*name).cloned())).collect()
}

/// What may change results, under the names of metrics.json.
fn provenance(metrics: &Metrics) -> Map<String, Value> {
    let of = &metrics.provenance;
    let data = of.data.as_ref().map(|data| data.identity.clone());
    let fields = [
        ("version", json!(of.version)),
        ("commit", json!(of.commit)),
        ("device", json!(of.device)),
        ("other_backends", json!(of.other_backends)),
        ("preset", json!(of.preset)),
        ("data", json!(data)),
    ];
    let backend = serde_json::to_value(&of.backend).ok().and_then(|said| said.as_object().cloned());
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
    fields.chain(backend.unwrap_or_default()).collect()
}

/// Every scalar of the labels that both have, and the number of parameters with them.
fn scalars(a: &[Trial], b: &[Trial]) -> Vec<Scalar> {
    type Values = BTreeMap<String, Vec<Option<f64>>>;
    let by_label = |trials: &[Trial]| -> BTreeMap<String, Values> {
        let mut sorted: Vec<&Trial> = trials.iter().collect();
        // The same seeds add up to the same mean, in whatever order they were named.
        sorted.sort_by_key(|trial| trial.seed);
        let mut labels: BTreeMap<String, Values> = BTreeMap::new();
        for trial in sorted {
            let values = labels.entry(trial.label.clone()).or_default();
            values.entry("parameters".into()).or_default().push(Some(trial.parameters as f64));
            for (name, value) in &trial.scalars {
                values.entry(name.clone()).or_default().push(*value);
            }
        }
        labels
    };
    let (of_b, mut of_a) = (by_label(b), by_label(a));
    let mut scalars = Vec::new();
    for trial in a {
        // Each label at its first trial.
        let (Some(in_a), Some(in_b)) = (of_a.remove(&trial.label), of_b.get(&trial.label)) else { continue };
        let names: BTreeSet<&String> = in_a.keys().chain(in_b.keys()).collect();
        for name in names {
            let spread = |values: &Values| values.get(name).map(|values| Spread::of(values));
            scalars.push(Scalar::new(&trial.label, name, spread(&in_a), spread(in_b)));
        }
    }
    scalars
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_told_as_ranges() {
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0 to 2, 5, 7 to 8");
        assert_eq!(ranges(&[u64::MAX]), u64::MAX.to_string());
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(took(0.44).as_deref(), Some("0.4s"));
        assert_eq!(took(252.4).as_deref(), Some("4m 12s"));
        assert_eq!(took(-1.0), None);
        assert_eq!(took(f64::NAN), None);
    }

    #[test]
    fn numbers_have_the_digits_that_matter() {
        let four =
            [(60.0, "60"), (0.333_333, "0.3333"), (-1_234_567.8, "-1.235e6"), (2e-7, "2.000e-7"), (9.99999, "10.00")];
        for (value, text) in four {
            assert_eq!(number(value), text);
        }
        assert_eq!([9.96, 2345.6, 0.0501].map(|value| whole_or_significant(value, 2)), ["10", "2346", "0.050"]);
        assert_eq!(number(f64::INFINITY), "not finite");
    }

    #[test]
    fn a_spread_is_over_what_is_finite() {
        let spread = Spread::of(&[Some(1.0), None, Some(3.0)]);
        assert_eq!((spread.mean, spread.n, spread.not_finite), (Some(2.0), 2, 1));
        // scipy.stats.t.ppf(0.975, 1) · √2 / √2
        assert!((spread.half_interval.unwrap() - 12.706_204_736_174_7).abs() < 1e-9);
        assert_eq!(spread.text(), "2 ± 13, 1 of 3 not finite");
        assert_eq!(Spread::of(&[None]).text(), "not finite");
    }

    #[test]
    fn differences_are_b_minus_a_and_relative_to_a() {
        let spread = |value| Some(Spread::of(&[value]));
        let scalar = |a, b| Scalar::new("t", "m", spread(a), spread(b));
        let fell = scalar(Some(-2.0), Some(-3.0));
        assert_eq!((fell.difference, fell.relative), (Some(-1.0), Some(-0.5)));
        assert_eq!(scalar(Some(0.0), Some(1.0)).relative, None);
        assert!(scalar(None, Some(1.0)).differs() && !scalar(None, None).differs());
        assert_eq!(Scalar::new("t", "m", None, spread(Some(1.0))).difference, None);
    }
}
