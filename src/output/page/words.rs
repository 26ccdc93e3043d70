//! What the page says in words of settings, of claims and of where numbers come from. Knows no page.

use crate::backend::Said;
use crate::output::metrics::{Claim, Provenance};
use crate::output::typed::typed;
use crate::study::claim::Point;
use crate::study::number::significant;
use crate::terminal::counted;
use serde_json::Value;
use std::collections::BTreeSet;

/// Members of a list on one line; longer ones have a line each.
const MOST_ON_A_LINE: usize = 12;

/// Numbers shown of a claim's evidence; there is metrics.json for more.
const MOST_EVIDENCE: usize = 40;

/// A setting as TOML would have it, lists without brackets.
pub fn plain(value: &Value) -> String {
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

/// Numbers and words with the names of where they stand; short lists, and members of longer ones, on one line each.
pub fn flatten(name: &str, value: &Value, out: &mut Vec<(String, String)>) {
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
        Value::Array(items) if items.len() > MOST_ON_A_LINE || holds_lists(value) => {
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

/// With a capital in front.
pub fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// A measured number in four digits, anything else as it is.
fn scalar(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => significant(number.as_f64().unwrap_or(f64::NAN), 4),
        Value::Null => "none".to_owned(),
        value => plain(value),
    }
}

impl Claim {
    /// "Effect 0.4300, 95 % interval 0.2100 to 0.6500, n = 10 (mean of …)."; empty where none is stated.
    pub(super) fn measured(&self) -> String {
        let Some(effect) = self.effect.effect else { return String::new() };
        let mut text = format!("Effect {}", significant(effect, 4));
        if let Some(ends) = self.effect.interval {
            let [low, high] = ends.map(|end| end.map_or_else(|| "none".to_owned(), |end| significant(end, 4)));
            text.push_str(&format!(", 95 % interval {low} to {high}"));
        }
        if let Some(n) = self.effect.n {
            text.push_str(&format!(", n = {n}"));
        }
        if let Some(effect_of) = &self.effect.effect_of {
            text.push_str(&format!(" ({effect_of})"));
        }
        text + "."
    }

    /// The numbers behind the verdict, by name.
    pub(super) fn evidence(&self) -> Vec<(String, String)> {
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

/// Cases of a claim listed one by one; there is metrics.json for more.
const MOST_POINTS: usize = 200;

impl Claim {
    /// "10 cases".
    pub(super) fn count_points(&self) -> String {
        counted(self.points.len(), "case", "cases")
    }

    pub(super) fn listed_points(&self) -> &[Point] {
        &self.points[..self.points.len().min(MOST_POINTS)]
    }

    /// What was known of any case.
    pub(super) fn point_names(&self) -> BTreeSet<&str> {
        self.points.iter().flat_map(|point| point.values.keys().map(String::as_str)).collect()
    }

    pub(super) fn point_cell(&self, point: &Point, name: &str) -> String {
        let value = point.values.get(name);
        value.map_or(String::new(), |value| value.map_or_else(|| "not known".into(), |value| significant(value, 4)))
    }
}

impl Provenance {
    /// The command as it would be typed, on one line.
    pub(super) fn command(&self) -> String {
        let mut words = self.command.iter().flatten();
        let program = words.next().map(|path| typed(path.rsplit('/').next().unwrap_or_default().as_ref()));
        let words = program.into_iter().chain(words.map(|word| typed(word.as_ref())));
        let command = words.collect::<Vec<_>>().join(" ");
        if command.is_empty() { "the command is not told".into() } else { command }
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

    /// "hw1 0.1.0 (1a2b3c4d), libtorch 2.11.0, cpu (Intel Xeon, …), 2 at a time, preset report".
    pub(super) fn made_by(&self) -> String {
        let [version, commit, device, preset, libtorch] =
            [&self.version, &self.commit, &self.device, &self.preset, &self.backend.libtorch]
                .map(|text| text.as_deref().unwrap_or(UNKNOWN));
        let (by, jobs) = (self.computed_by(), self.jobs.map_or(UNKNOWN.into(), |jobs| jobs.to_string()));
        format!("hw1 {version} ({commit}), libtorch {libtorch}, {device} ({by}), {jobs} at a time, preset {preset}")
    }

    /// "The last call ended 2026-01-01T00:00:00Z and took 3 s".
    pub(super) fn ended(&self) -> String {
        let end = self.end.as_deref().unwrap_or("at an unknown time");
        let took = self.seconds.map_or_else(|| "an unknown time".into(), took);
        format!("The last call ended {end} and took {took}")
    }

    /// "2 trials were computed before by cpu …, kernels libtorch, …"; empty where all are of this backend.
    pub(super) fn reused(&self) -> String {
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
}

/// What stands in the place of what metrics.json does not say.
const UNKNOWN: &str = "unknown";

fn took(seconds: f64) -> String {
    let seconds = seconds.round().max(0.0) as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) => "less than a second".to_owned(),
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}
