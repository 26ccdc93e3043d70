//! `hw1 compare`: two run directories, A and B, side by side, as text and as JSON; and the claims of both lined up,
//! which the page shows too. Reads metrics.json, never a record.

use crate::analysis::statistics;
use crate::output::metrics::{Claim, Metrics, Trial};
use crate::output::{number, study_folder::StudyFolder};
use crate::study::{claim::Verdict, number::whole_or_significant};
use crate::terminal::{counted, paragraph, plain, table};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A claim of two run directories: of one study, by its id.
#[derive(Serialize)]
pub struct PairedClaim {
    pub study: String,
    pub id: String,
    /// As B has it, else as A has it.
    pub statement: String,
    pub a: Option<Verdict>,
    pub b: Option<Verdict>,
    pub answer: Answer,
}

/// What two run directories say of one claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Agree,
    Differ,
    OnlyInA,
    OnlyInB,
}

/// All claims of two run directories, lined up by study and id: each study's as B has them, then those that only A has.
pub fn paired_claims<'a>(a: &'a [StudyFolder], b: &'a [StudyFolder]) -> Vec<PairedClaim> {
    let names: BTreeSet<&str> = a.iter().chain(b).map(|folder| folder.name.as_str()).collect();
    let claims = |folders: &'a [StudyFolder], name: &str| -> &'a [Claim] {
        let folder = folders.iter().find(|folder| folder.name == name);
        folder.and_then(StudyFolder::metrics).map_or(&[], |metrics| &metrics.claims)
    };
    let verdict = |claims: &[Claim], id: &str| claims.iter().find(|claim| claim.id == id).map(|claim| claim.verdict);
    let mut paired = Vec::new();
    for name in names {
        let (in_a, in_b) = (claims(a, name), claims(b, name));
        let only_in_a = in_a.iter().filter(|claim| verdict(in_b, &claim.id).is_none());
        for Claim { id, statement, .. } in in_b.iter().chain(only_in_a) {
            let (a, b) = (verdict(in_a, id), verdict(in_b, id));
            let answer = match (a, b) {
                (Some(a), Some(b)) if a == b => Answer::Agree,
                (Some(_), Some(_)) => Answer::Differ,
                (Some(_), None) => Answer::OnlyInA,
                (None, _) => Answer::OnlyInB,
            };
            let (study, id, statement) = (name.to_owned(), id.clone(), statement.clone());
            paired.push(PairedClaim { study, id, statement, a, b, answer });
        }
    }
    paired
}

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
    claims: Vec<PairedClaim>,
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
    settings: Vec<Difference>,
    provenance: Vec<Difference>,
    claims: Vec<Difference>,
    labels_only_in_a: Vec<String>,
    labels_only_in_b: Vec<String>,
    /// All of them, in the order of A's trials.
    scalars: Vec<Scalar>,
    differing: usize,
}

/// A value that differs; null where there is none.
#[derive(PartialEq, Serialize)]
pub struct Difference {
    pub name: String,
    pub a: Value,
    pub b: Value,
}

/// The settings of a study that two runs have otherwise.
pub fn setting_differences(a: &Metrics, b: &Metrics) -> Vec<Difference> {
    pairs(&a.settings, &b.settings)
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
    fn of(values: &[f64]) -> Self {
        let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
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
    pub fn new(a: (&Path, &[StudyFolder]), b: (&Path, &[StudyFolder])) -> Self {
        let only = |here: &[StudyFolder], there: &[StudyFolder]| -> Vec<String> {
            let names = here.iter().map(|folder| &folder.name);
            names.filter(|name| !there.iter().any(|other| other.name == **name)).cloned().collect()
        };
        let (mut studies, mut problems) = (Vec::new(), Vec::new());
        for in_a in a.1 {
            let Some(in_b) = b.1.iter().find(|folder| folder.name == in_a.name) else { continue };
            for (side, folder) in [("A", in_a), ("B", in_b)] {
                problems.extend(folder.problem().map(|problem| format!("{} in {side}: {problem}", folder.name)));
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
        let claims = paired_claims(a.1, b.1);
        let (a, b) = (shown(a.0), shown(b.0));
        Self { a, b, only_in_a, only_in_b, problems, studies, claims, presets_differ, same }
    }

    /// Whether nothing at all that is compared differs.
    pub fn is_same(&self) -> bool {
        self.same
    }

    /// What differs; with `all`, every scalar.
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
        let everywhere: Vec<&Difference> = match self.studies.split_first() {
            Some((first, rest)) if !rest.is_empty() => {
                let in_rest = |pair: &&Difference| rest.iter().all(|study| study.provenance.contains(pair));
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
        let row = |claim: &PairedClaim| {
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

impl Difference {
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
            settings: setting_differences(a, b),
            provenance: pairs(&provenance(a), &provenance(b)),
            claims: pairs(&verdicts(a), &verdicts(b)),
            labels_only_in_a: labels(&a.trials, &b.trials),
            labels_only_in_b: labels(&b.trials, &a.trials),
            differing: scalars.iter().filter(|scalar| scalar.differs()).count(),
            scalars,
        }
    }

    fn is_same(&self) -> bool {
        [&self.settings, &self.provenance, &self.claims].iter().all(|differences| differences.is_empty())
            && [&self.labels_only_in_a, &self.labels_only_in_b].iter().all(|labels| labels.is_empty())
            && self.differing == 0
    }

    fn text(&self, all: bool, said: &[&Difference], width: Option<usize>) -> String {
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
        let most = format!("; the {MOST} that differ most are shown, --all shows all");
        let most = if hidden > 0 { most.as_str() } else { "" };
        let foot = " ± is half of the 95 % interval of the mean (Student's t).";
        let foot = if text.contains(" ± ") { foot } else { "" };
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

fn pairs(a: &Map<String, Value>, b: &Map<String, Value>) -> Vec<Difference> {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    names.iter().filter_map(|name| Difference::new(name, a.get(*name).cloned(), b.get(*name).cloned())).collect()
}

/// What may change results, under the names of metrics.json.
fn provenance(metrics: &Metrics) -> Map<String, Value> {
    let of = &metrics.provenance;
    let data = of.data.as_ref().map(|data| data.identity.clone());
    let fields = [
        ("version", json!(of.version)),
        ("commit", json!(of.commit)),
        ("device", json!(of.device)),
        ("other_backends", if of.other_backends.is_empty() { Value::Null } else { json!(of.other_backends) }),
        ("preset", json!(of.preset)),
        ("data", json!(data)),
    ];
    let backend = serde_json::to_value(&of.backend).ok().and_then(|said| said.as_object().cloned());
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
    fields.chain(backend.unwrap_or_default()).collect()
}

/// Every scalar of the labels that both have, and the number of parameters with them.
fn scalars(a: &[Trial], b: &[Trial]) -> Vec<Scalar> {
    type Values = BTreeMap<String, Vec<f64>>;
    let by_label = |trials: &[Trial]| -> BTreeMap<String, Values> {
        let mut sorted: Vec<&Trial> = trials.iter().collect();
        // The same seeds add up to the same mean, in whatever order they were named.
        sorted.sort_by_key(|trial| trial.seed);
        let mut labels: BTreeMap<String, Values> = BTreeMap::new();
        for trial in sorted {
            let values = labels.entry(trial.label.clone()).or_default();
            values.entry("parameters".into()).or_default().push(trial.parameters as f64);
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
    fn a_spread_is_over_what_is_finite() {
        let spread = Spread::of(&[1.0, f64::NAN, 3.0]);
        assert_eq!((spread.mean, spread.n, spread.not_finite), (Some(2.0), 2, 1));
        // scipy.stats.t.ppf(0.975, 1) · √2 / √2
        assert!((spread.half_interval.unwrap() - 12.706_204_736_174_7).abs() < 1e-9);
        assert_eq!(spread.text(), "2 ± 13, 1 of 3 not finite");
        assert_eq!(Spread::of(&[f64::NAN]).text(), "not finite");
    }

    #[test]
    fn differences_are_b_minus_a_and_relative_to_a() {
        let spread = |value| Some(Spread::of(&[value]));
        let scalar = |a, b| Scalar::new("t", "m", spread(a), spread(b));
        let fell = scalar(-2.0, -3.0);
        assert_eq!((fell.difference, fell.relative), (Some(-1.0), Some(-0.5)));
        assert_eq!(scalar(0.0, 1.0).relative, None);
        assert!(scalar(f64::NAN, 1.0).differs() && !scalar(f64::NAN, f64::NAN).differs());
        assert_eq!(Scalar::new("t", "m", None, spread(1.0)).difference, None);
    }
}
