//! What a run will hold in memory: told before it begins, and held against what is free.

use crate::data::{Memory, memory, memory_of_set};
use crate::study::{Held, Study, memory::together};
use anyhow::{Result, bail};
use std::collections::BTreeMap;

/// The share of what is free that a run may take, where nobody says otherwise.
const SHARE: f64 = 0.8;

/// libtorch and the program itself.
const PROGRAM: u128 = 200 << 20;

/// Memory that a run may take, as `--memory` gives it.
#[derive(Clone, Copy, Debug)]
pub struct Allowed(f64);

impl std::str::FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let gigabytes = text.trim_end_matches("GB").trim_end().parse().ok();
        let gigabytes = gigabytes.filter(|gigabytes: &f64| gigabytes.is_finite() && *gigabytes > 0.0);
        gigabytes.map(Self).ok_or_else(|| "it must be gigabytes, above 0, such as 6.5".to_owned())
    }
}

/// What studies hold together, at the most.
pub struct Need {
    bytes: u128,
    workers: usize,
    /// What of all holds most, and whose it is.
    largest: Option<(String, Held)>,
    free: Option<Memory>,
    allowed: Option<f64>,
}

impl Need {
    pub fn of(studies: &[Box<dyn Study>], workers: usize, allowed: Option<Allowed>) -> Result<Self> {
        let (mut kinds, mut sets, mut largest) = (Vec::new(), BTreeMap::new(), None::<(String, Held)>);
        for study in studies {
            sets.extend(study.data().map(|set| (set.identity(), memory_of_set(set.as_ref()))));
            for held in study.memory()?.into_iter().filter(|held| held.trials > 0) {
                if largest.as_ref().is_none_or(|(_, most)| most.bytes < held.bytes) {
                    largest = Some((study.folder(), held.clone()));
                }
                kinds.push(held);
            }
        }
        let bytes = PROGRAM + sets.values().sum::<u128>() + together(kinds, workers);
        let free = memory();
        let share = free.map(|memory| memory.free as f64 * SHARE);
        Ok(Self { bytes, workers, largest, free, allowed: allowed.map(|Allowed(gigabytes)| gigabytes * 1e9).or(share) })
    }

    /// All together.
    pub fn bytes(&self) -> u128 {
        self.bytes
    }

    /// Whether it is more than may be taken.
    pub fn is_too_much(&self) -> bool {
        self.allowed.is_some_and(|allowed| self.bytes as f64 > allowed)
    }

    /// A sentence without its full stop.
    pub fn told(&self) -> String {
        let at_once = if self.workers == 1 { "1 trial".into() } else { format!("{} trials", self.workers) };
        let mut text = format!("at most {} of memory, with {at_once} at a time", size(self.bytes));
        if let Some((folder, held)) = &self.largest {
            text.push_str(&format!("; {folder} the most: {}, {}", held.what, size(held.bytes)));
        }
        text + &self.free.map_or(String::new(), |memory| format!("; {} are free", size(memory.free.into())))
    }

    /// # Errors
    /// Where it is more than may be taken: with the number, what lowers it, and what allows it.
    pub fn check(&self) -> Result<()> {
        let (true, Some(allowed), Some((folder, held))) = (self.is_too_much(), self.allowed, &self.largest) else {
            return Ok(());
        };
        let of_what = match self.free {
            Some(memory) if allowed == memory.free as f64 * SHARE => {
                format!("{} are free here, and a run takes at most {} %", size(memory.free.into()), 100.0 * SHARE)
            }
            _ => format!("--memory allows {}", size(allowed as u128)),
        };
        let jobs = if self.workers > 1 && held.trials > 1 { ", lower --jobs" } else { "" };
        bail!(
            "it would hold {} of memory ({folder}: {}, {} a trial), and {of_what}: {}{jobs}, or allow it with --memory {}",
            size(self.bytes),
            held.what,
            size(held.bytes),
            held.smaller,
            (self.bytes as f64 / 1e8).ceil() / 10.0
        )
    }
}

/// Decimal gigabytes, or megabytes.
pub fn size(bytes: u128) -> String {
    let megabytes = bytes as f64 / 1e6;
    if megabytes < 1000.0 { format!("{megabytes:.0} MB") } else { format!("{:.1} GB", megabytes / 1000.0) }
}
