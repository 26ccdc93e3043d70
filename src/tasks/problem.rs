//! What a network learns of one variable: a function, or points that were measured. As settings have it and as trials
//! do; its samples, and its words.

use super::classifier;
use crate::data::functions::{self, NamedFunction, evenly_spaced, evenly_spaced_point};
use crate::data::points::{MeasuredPoints, Point, Standardised};
use crate::data::{Access, Dataset, Samples};
use crate::files::sha256;
use crate::settings;
use crate::study::{Context, Findings, POINTS, Settings, Wrong, check, take};
use anyhow::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use tch::{Device, Kind};
use toml::Table;

/// What is learned, as settings say it.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Problem {
    Function(OnDomain),
    Points(Measured),
}

settings! {
    /// A function on a range, at evenly spaced points, both ends among them.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub struct OnDomain {
        pub function: functions::Target,
        /// Lowest and highest x.
        pub domain: [f64; 2],
        pub train_size: usize,
        pub validation_size: usize,
    }
}

/// The points of a file, some of them held out.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// The file.
    points: String,
    validation_share: f64,
    /// Read with the settings, and never again: the file may change while trials run.
    #[serde(skip)]
    set: Arc<MeasuredPoints>,
}

impl Settings for Problem {
    fn read(table: &mut Table, access: &Access) -> Result<Self, Wrong> {
        if POINTS.is_given(table) {
            Settings::read(table, access).map(Self::Points)
        } else {
            Settings::read(table, access).map(Self::Function)
        }
    }
}

impl Settings for Measured {
    fn read(table: &mut Table, _: &Access) -> Result<Self, Wrong> {
        let (points, validation_share): (String, f64) = (take(table, "points")?, take(table, "validation_share")?);
        if !(validation_share > 0.0 && validation_share < 1.0) {
            let why = format!("validation_share is {validation_share}; it must be above 0 and below 1");
            return Err(Wrong { key: "validation_share", why, failed: None });
        }
        // Settings mean the same wherever they are read.
        let points = std::path::absolute(&points).map_or(points, |path| path.to_string_lossy().into_owned());
        let set = MeasuredPoints::read(Path::new(&points), validation_share).map_err(|error| Wrong {
            key: "points",
            why: String::new(),
            failed: Some(error),
        })?;
        Ok(Self { points, validation_share, set: Arc::new(set) })
    }
}

/// Beyond these, a slip of the pen is more likely than a wish.
const MOST_POINTS: u64 = 10_000_000;
/// Points that a check looks at together.
const PIECE: usize = 10_000;

impl OnDomain {
    fn check(&self) -> Result<(), String> {
        let [low, high] = self.domain;
        if !(low < high && (high - low).is_finite()) {
            return Err(format!(
                "domain {low}:{high} is no range: two finite numbers, the lower first, as in --domain -1:1"
            ));
        }
        let sizes = [("train_size", self.train_size), ("validation_size", self.validation_size)];
        for (name, size) in sizes {
            check::within(name, size as u64, 2..=MOST_POINTS)?;
        }
        for (_, size) in sizes {
            let mut last = f64::NAN;
            // In pieces: all points of all studies are looked at before the first trial.
            for start in (0..size).step_by(PIECE) {
                let piece = start..size.min(start + PIECE);
                let xs: Vec<f64> = piece.map(|i| evenly_spaced_point(self.domain, size, i)).collect();
                let ys = self.function.values(&xs)?;
                // Networks compute in float32, whose largest number is 3.4e38.
                let fits = |x: f64, y: f64| (x as f32).is_finite() && (y as f32).is_finite();
                if let Some((x, y)) = xs.iter().zip(&ys).find(|(x, y)| !fits(**x, **y)) {
                    return Err(format!("function '{}' is too large for float32 at x = {x}: {y}", self.function));
                }
                if let Some((one, other)) =
                    [last].iter().chain(&xs).zip(&xs).find(|(x, next)| **x as f32 == **next as f32)
                {
                    return Err(format!(
                        "domain {low}:{high} has {size} points, and float32, in which networks compute, cannot tell x = \
                         {one} from {other}: choose a wider domain nearer 0, or fewer points"
                    ));
                }
                last = xs.last().copied().unwrap_or(last);
            }
        }
        Ok(())
    }

    /// The points that are learned from, of this kind.
    pub fn train(&self, kind: Kind, device: Device) -> Result<Samples> {
        self.samples(self.train_size, kind, device)
    }

    fn samples(&self, count: usize, kind: Kind, device: Device) -> Result<Samples> {
        let (x, y) = self.at(count)?;
        Samples::of_numbers(&x, &y, kind, device)
    }

    /// So many x, and the function there.
    fn at(&self, count: usize) -> Result<(Vec<f64>, Vec<f64>)> {
        let x = evenly_spaced(self.domain, count);
        let y = self.function.values(&x).map_err(Error::msg)?;
        Ok((x, y))
    }
}

impl Problem {
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Function(on) => on.check(),
            // They were when they were read.
            Self::Points(_) => Ok(()),
        }
    }

    /// As a trial has it.
    pub fn learned(&self) -> Learned {
        match self {
            Self::Function(on) => Learned::Function(on.clone()),
            Self::Points(Measured { set, .. }) => {
                Learned::Points { standardised: set.standardised(), range: set.range() }
            }
        }
    }

    /// See [`crate::study::Experiment::data`].
    pub fn data(&self) -> Option<Arc<dyn Dataset>> {
        self.measured().map(|set| set.clone() as _)
    }

    /// The points, where they were measured.
    pub fn measured(&self) -> Option<&Arc<MeasuredPoints>> {
        match self {
            Self::Function(_) => None,
            Self::Points(Measured { set, .. }) => Some(set),
        }
    }

    /// The name or the expression of a function; empty of points.
    pub fn function(&self) -> String {
        match self {
            Self::Function(on) => on.function.to_string(),
            Self::Points(_) => String::new(),
        }
    }

    pub fn train_size(&self) -> usize {
        match self {
            Self::Function(on) => on.train_size,
            Self::Points(Measured { set, .. }) => set.train().len(),
        }
    }

    /// What makes it smaller.
    pub fn smaller(&self) -> &'static str {
        match self {
            Self::Function(_) => "lower train_size",
            Self::Points(_) => "give fewer points",
        }
    }

    /// The points that are learned from, in their own units.
    pub fn train_points(&self) -> Result<Vec<Point>> {
        match self {
            Self::Function(on) => on.at(on.train_size).map(|(x, y)| x.into_iter().zip(y).collect()),
            Self::Points(Measured { set, .. }) => Ok(set.train().to_vec()),
        }
    }

    /// The points of a record's predictions, in their own units.
    pub fn validation_points(&self) -> Result<Vec<Point>> {
        match self {
            Self::Function(on) => on.at(on.validation_size).map(|(x, y)| x.into_iter().zip(y).collect()),
            Self::Points(Measured { set, .. }) => Ok(set.validation().to_vec()),
        }
    }
}

// ------------------------------------------------------------------------------------- trials

/// What is learned, as a trial has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Learned {
    Function(OnDomain),
    /// The points of the study's data set, whose identity fingerprints cover.
    Points {
        standardised: Standardised,
        /// The lowest and the highest x.
        range: [f64; 2],
    },
}

impl Learned {
    pub fn train_size(&self, data: Option<&dyn Dataset>) -> f64 {
        match self {
            Self::Function(on) => on.train_size as f64,
            Self::Points { .. } => classifier::train_size(data),
        }
    }

    /// The points that are learned from, of this kind; measured ones standardised.
    pub fn train(&self, kind: Kind, device: Device, cx: &Context) -> Result<Samples> {
        match self {
            Self::Function(on) => on.train(kind, device),
            Self::Points { .. } => Ok(cx.data()?.train.cast(kind, device)),
        }
    }

    /// The points in between, or held out, likewise.
    pub fn validation(&self, kind: Kind, device: Device, cx: &Context) -> Result<Samples> {
        match self {
            Self::Function(on) => on.samples(on.validation_size, kind, device),
            Self::Points { .. } => Ok(cx.data()?.test.cast(kind, device)),
        }
    }
}

// -------------------------------------------------------------------------------------- words

/// What captions say of a problem, by the names that stand in braces.
pub struct Words {
    /// Of a function; of points the file's name.
    pub formula: String,
    train_size: usize,
    validation_size: usize,
    range: [f64; 2],
    /// Where the validation points are.
    between: &'static str,
    /// What losses are measured in.
    pub standardised: &'static str,
}

impl Words {
    pub fn with(&self) -> [(&'static str, &dyn Display); 7] {
        let Self { formula, train_size, validation_size, range: [low, high], between, standardised } = self;
        [
            ("formula", formula),
            ("train_size", train_size),
            ("validation_size", validation_size),
            ("low", low),
            ("high", high),
            ("between", between),
            ("standardised", standardised),
        ]
    }
}

/// Letters of an expression or of a file's name that become part of a folder's.
const LONGEST_SLUG: usize = 24;
/// Digits of a hash there.
const HASH: usize = 8;

impl Problem {
    pub fn words(&self) -> Words {
        match self {
            Self::Function(OnDomain { function, domain, train_size, validation_size }) => Words {
                formula: function.formula().to_owned(),
                train_size: *train_size,
                validation_size: *validation_size,
                range: *domain,
                between: "between them",
                standardised: "",
            },
            Self::Points(Measured { set, .. }) => {
                let ([train_size, validation_size], range) = (set.sizes(), set.range());
                let formula = set.title().to_owned();
                let standardised = " x and y are standardised: 1 is the loss of predicting the mean.";
                Words { formula, train_size, validation_size, range, between: "at those held out", standardised }
            }
        }
    }

    /// Puts into a study's findings what was learned; of points also which were held out, what they were standardised
    /// by, and what that makes of the numbers.
    pub fn tell(&self, findings: &mut Findings) {
        let Self::Points(Measured { set, .. }) = self else {
            return findings.summarise("function", self.words().formula);
        };
        findings.summarise("held_out", json!(set.validation()));
        findings.summarise("standardised", json!(set.standardised()));
        let [train, held_out] = set.sizes();
        findings.notes.push(format!(
            "Learned from {train} points; {held_out} are held out to validate by. x and y are standardised by mean and \
             standard deviation of the {train}: losses are in units of y's variance there, and predicting the mean has a \
             loss of 1. Predictions and their errors are in y's own units."
        ));
    }

    /// For the name of a folder: letters, digits and '-'; a hash of the whole where these do not tell it from others.
    pub fn slug(&self) -> String {
        let (text, key) = match self {
            Self::Function(OnDomain { function: functions::Target::Named(NamedFunction { name, .. }), .. }) => {
                return (*name).to_owned();
            }
            Self::Function(OnDomain { function: functions::Target::Expression(text), .. }) => {
                (text.clone(), text.clone())
            }
            Self::Points(Measured { points, .. }) => {
                let stem = Path::new(points).file_stem().unwrap_or_default().to_string_lossy().into_owned();
                let key = format!("points {stem}");
                (stem, key)
            }
        };
        let words: Vec<&str> =
            text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let whole = words.join("-").to_ascii_lowercase();
        let short: String = whole.chars().take(LONGEST_SLUG).collect();
        let short = short.trim_end_matches('-');
        // As a function's folder has it: named, or by an expression with its hash.
        let is_named = matches!(short.parse(), Ok(functions::Target::Named(_)));
        let is_hash = |word: &str| word.len() == HASH && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let like_function = is_named || short.rsplit('-').next().is_some_and(is_hash);
        if self.measured().is_some() && short.len() == whole.len() && !short.is_empty() && !like_function {
            return whole;
        }
        let hash = &sha256(key.as_bytes())[..HASH];
        if short.is_empty() { hash.to_owned() } else { format!("{short}-{hash}") }
    }
}
