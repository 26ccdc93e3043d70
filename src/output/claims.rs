//! `hw1 claims`: every claim of a run directory, its verdict and the numbers behind it; as text and as JSON.

use crate::output::metrics::{Claim, Effect};
use crate::output::{number, study_folder::StudyFolder};
use crate::study::claim::Verdict;
use crate::terminal::{counted, paragraph, plain};
use serde::Serialize;
use std::path::Path;

/// All claims of a run directory.
#[derive(Serialize)]
pub struct Claims<'a> {
    run_dir: String,
    studies: Vec<StudyClaims<'a>>,
}

#[derive(Serialize)]
struct StudyClaims<'a> {
    study: &'a str,
    claims: Vec<ListedClaim<'a>>,
    /// Why there is none, or none of the last call.
    problem: Option<String>,
}

/// A claim without its evidence, and without what is not stated.
#[derive(Serialize)]
struct ListedClaim<'a> {
    id: &'a str,
    statement: &'a str,
    verdict: Verdict,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect_of: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<[Option<f64>; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_change: Option<&'a str>,
}

impl<'a> From<&'a Claim> for ListedClaim<'a> {
    fn from(claim: &'a Claim) -> Self {
        let Claim { id, statement, verdict, detail, would_change, .. } = claim;
        let Effect { effect, effect_of, interval, n } = &claim.effect;
        let (verdict, effect, interval, n) = (*verdict, *effect, *interval, *n);
        let (effect_of, would_change) = (effect_of.as_deref(), would_change.as_deref());
        Self { id, statement, verdict, detail, effect, effect_of, interval, n, would_change }
    }
}

impl<'a> Claims<'a> {
    pub fn new(run_dir: &Path, folders: &'a [StudyFolder]) -> Self {
        let of_study = |folder: &'a StudyFolder| StudyClaims {
            study: &folder.name,
            claims: folder.metrics().into_iter().flat_map(|metrics| &metrics.claims).map(ListedClaim::from).collect(),
            problem: folder.problem().or_else(|| {
                let without = folder.metrics().is_some_and(|metrics| metrics.claims.is_empty());
                without.then(|| "makes no claim with these settings".into())
            }),
        };
        Self { run_dir: run_dir.display().to_string(), studies: folders.iter().map(of_study).collect() }
    }

    /// A block for each claim, under its study.
    pub fn text(&self, width: Option<usize>) -> String {
        let all: Vec<&ListedClaim> = self.studies.iter().flat_map(|study| &study.claims).collect();
        let with = |verdict| all.iter().filter(|claim| claim.verdict == verdict).count();
        let verdicts = [Verdict::Supported, Verdict::Refuted, Verdict::Inconclusive];
        let tally: Vec<String> = verdicts.iter().map(|&verdict| format!("{} {verdict}", with(verdict))).collect();
        let claims = counted(all.len(), "claim", "claims");
        let mut text = format!("{}: {claims} ({})\n", plain(&self.run_dir), tally.join(", "));
        for study in self.studies.iter().filter(|study| !study.claims.is_empty()) {
            text.push_str(&format!("\n{}\n", plain(study.study)));
            for claim in &study.claims {
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

/// Verdict and name, then all that is said of it, indented.
fn block(claim: &ListedClaim, width: Option<usize>) -> String {
    const INDENT: usize = 16;
    let mut text = format!("  {:12}  {}\n", claim.verdict.to_string(), plain(claim.id));
    text.push_str(&paragraph(&plain(&format!("{} {}", claim.statement, claim.detail)), INDENT, width));
    let mut numbers = Vec::new();
    if let Some(effect) = claim.effect {
        let of = claim.effect_of.map_or(String::new(), |of| format!(" ({})", plain(of)));
        numbers.push(format!("Effect {}{of}", number(effect)));
    }
    if let Some(ends) = claim.interval {
        let [low, high] = ends.map(|end| end.map_or_else(|| "not finite".into(), number));
        numbers.push(format!("{} {low} to {high}", if numbers.is_empty() { "Interval" } else { "interval" }));
    }
    numbers.extend(claim.n.map(|n| format!("n = {n}")));
    if !numbers.is_empty() {
        text.push_str(&paragraph(&format!("{}.", numbers.join(", ")), INDENT, width));
    }
    if let Some(would_change) = claim.would_change {
        text.push_str(&paragraph(&format!("What would change it: {}", plain(would_change)), INDENT, width));
    }
    text
}
