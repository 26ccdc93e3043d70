//! `hw1 analyse`: any trained network, a program that PyTorch exported or layers with a file of weights, and how the loss
//! looks around it, between several solutions and along a training's path. Here what is asked and what runs; what the
//! records show stands in the files beside this one, by kind. Longer than others, and whole: one list of settings and of
//! trials.

mod around;
mod between;
mod checks;
mod claims;
mod point;
mod trusted;

use crate::analysis::sharpness::Norm;
use crate::analysis::surface::Normalise;
use crate::data::{Dataset, Signature, Target};
use crate::model::Layout;
use crate::settings;
use crate::study::claim::Unit;
use crate::study::{Context, DATASET_FLAG, Experiment, Findings, Flag, Held, Records, Seeds, Size, check};
use crate::tasks::analyse::{
    Along, Analysed, Analysis, LossName, MatrixName, Measure, Over, Precision, Probes, Region, Split,
};
use crate::tasks::line;
use crate::tasks::subject::{Content, Solution, Subject};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

// ---------------------------------------------------------------------------------- settings

settings! {
    #[derive(Clone, Debug, Serialize)]
    pub struct Analyse(subject: Subject, seeds: Seeds) {
        name: String,
        measure: Measures,
        loss: LossSetting,
        split: Split,
        /// So many of the split's, drawn; 0 for all.
        samples: usize,
        precision: Precision,
        batch_norm: BatchNorm,
        block_size: usize,
        matrix: MatrixName,
        by_layer: bool,
        eigenvalues: usize,
        tolerance: f64,
        trace_probes: usize,
        density_probes: usize,
        density_steps: usize,
        gradient_batch: u32,
        /// α of a line, evenly spaced; 0 and 1 are added.
        alphas: usize,
        alpha_min: f64,
        alpha_max: f64,
        /// Samples of a batch that running statistics are taken anew of; 0 for never.
        recalibration_batch: u32,
        directions: Directions,
        normalise: Normalise,
        /// How far slices and surfaces reach to either side.
        range: f64,
        slice_directions: u64,
        slice_points: usize,
        /// Pairs of directions, a surface each, and lines of its grid each way.
        pairs: u64,
        grid: usize,
        /// Boxes and balls of the sharpness.
        epsilons: Vec<f64>,
        rhos: Vec<f64>,
        adaptive_norm: Norm,
        sharpness_starts: u64,
        sharpness_steps: u64,
    }
}

/// What is to be measured; none for all that apply.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Measures(Vec<MeasureName>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum MeasureName {
    Accuracy,
    Gradient,
    Spectrum,
    Sensitivity,
    Line,
    Path,
    Slices,
    Surface,
    Sharpness,
}

/// In the order of trials and tables.
const MEASURES: [MeasureName; 9] = [
    MeasureName::Accuracy,
    MeasureName::Gradient,
    MeasureName::Spectrum,
    MeasureName::Sensitivity,
    MeasureName::Line,
    MeasureName::Path,
    MeasureName::Slices,
    MeasureName::Surface,
    MeasureName::Sharpness,
];

impl MeasureName {
    /// Without being asked for: what takes seconds or minutes, of any network.
    fn is_usual(self) -> bool {
        matches!(self, Self::Accuracy | Self::Gradient | Self::Spectrum | Self::Sensitivity)
    }
}

/// Which directions slices and surfaces are along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Directions {
    Random,
    Hessian,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LossSetting {
    Auto,
    CrossEntropy,
    Bce,
    Mse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum BatchNorm {
    Running,
    Batch,
}

/// More are a slip of the pen.
const MOST_EIGENVALUES: u64 = 200;
const MOST_PROBES: u64 = 10_000;
const MOST_STEPS: u64 = 10_000;

// ---------------------------------------------------------------------- trial, record and run

impl Experiment for Analyse {
    const NAME: &'static str = "analyse";
    const ABOUT: &'static str =
        "Any trained network, a .pt2 of PyTorch or layers: its loss, gradient and spectrum, and the loss around it";
    const SETTINGS: &'static str = include_str!("../../../experiments/analyse.toml");
    const VERSION: u32 = 3;
    const CASE: Option<Unit> = None;
    const IN_ALL: bool = false;
    const FLAGS: &'static [Flag] = &[
        Flag::new("model", "MODEL", "model", "A .pt2 file of torch.export, or layers such as conv8-conv16-128-classes")
            .several()
            .positional(),
        DATASET_FLAG,
        Flag::new(
            "weights",
            "FILE",
            "weights",
            "A .safetensors file, or several: a solution each (or further .pt2 of one layout) [default: the program's own]",
        )
        .several(),
        Flag::new("which", "NAME", "which", "Which weights of a file that hw1 saved: final, initial, snapshot.N").offering(|| vec!["final", "initial"]),
        Flag::new("name", "NAME", "name", "The folder is analyse-NAME [default: the file's stem]"),
        Flag::new(
            "measure",
            "LIST",
            "measure",
            "Of accuracy, gradient, spectrum, sensitivity, line, path, slices, surface, sharpness, with commas between \
             [default: the first four, as they apply]",
        )
        .parsed(list)
        .offering(|| {
            let of_one = ["accuracy", "gradient", "spectrum", "sensitivity"];
            [&of_one[..], &["line", "path", "slices", "surface", "sharpness"]].concat()
        }),
        Flag::new(
            "loss",
            "LOSS",
            "loss",
            "cross-entropy, bce or mse [default: cross-entropy of classes, mse of values]",
        )
        .offering(|| vec!["cross-entropy", "bce", "mse"]),
        Flag::new("split", "SPLIT", "split", "train or test: what gradient and spectrum are over").offering(|| vec!["train", "test"]),
        Flag::new("samples", "N", "samples", "So many of the split's samples, each class by its share [default: all]")
            .parsed(Flag::whole),
        Flag::new("precision", "KIND", "precision", "float32 or float64").offering(|| vec!["float32", "float64"]),
        Flag::new("batch-norm", "BY", "batch_norm", "running or batch: the statistics that BatchNorm normalises by").offering(|| vec!["running", "batch"]),
        Flag::new("matrix", "MATRIX", "matrix", "hessian, or ggn: the generalised Gauss-Newton matrix").offering(|| vec!["hessian", "ggn"]),
        Flag::new("by-layer", "", "by_layer", "Also the spectrum of each layer's own block").parsed(Flag::switch),
        Flag::new("directions", "KIND", "directions", "Of slices and surfaces: random, or hessian for its leading eigenvectors").offering(|| vec!["random", "hessian"]),
        Flag::new("normalise", "BY", "normalise", "filter, layer or none: what of a random direction is as long as the weights").offering(|| vec!["filter", "layer", "none"]),
        Flag::new("grid", "N", "grid", "Lines of a surface each way, half of them where the loss bends").parsed(Flag::whole),
    ];

    type Trial = Analysis;
    type Record = Analysed;

    fn check(&self) -> Result<(), String> {
        self.subject.spec.check()?;
        check::within("eigenvalues", self.eigenvalues as u64, 0..=MOST_EIGENVALUES)?;
        check::within("trace_probes", self.trace_probes as u64, 0..=MOST_PROBES)?;
        check::within("density_probes", self.density_probes as u64, 0..=MOST_PROBES)?;
        check::within("density_steps", self.density_steps as u64, 1..=MOST_STEPS)?;
        check::at_least_1(&[("gradient_batch", self.gradient_batch.into())])?;
        if !(self.tolerance > 0.0 && self.tolerance < 1.0) {
            return Err(format!("tolerance is {}; it must be above 0 and below 1", self.tolerance));
        }
        let loss = self.loss();
        if let Some(what) = loss_does_not_fit(loss, self.signature().target) {
            return Err(format!("loss is {}, {what}", loss.name()));
        }
        if self.size_of(self.split) == 0 {
            return Err("split is test, and the data has one split only: leave --split away".into());
        }
        self.check_landscape()?;
        self.held().iter().try_for_each(Held::check)?;
        if let (Some(why), true) = (self.insensitive(), self.measure.0.contains(&MeasureName::Sensitivity)) {
            return Err(format!("sensitivity is {why}: leave it out of --measure"));
        }
        if self.seeds.repeats > 1 && !self.measures().iter().any(|name| self.is_repeated(*name)) {
            if !self.is_all(self.split) {
                let what = "and accuracy, surface and path are of the first seed alone";
                return Err(format!(
                    "repeats is {}, {what}: add another measure, or leave it away",
                    self.seeds.repeats
                ));
            }
            return Err(format!(
                "repeats is {}, and each is over a subset of its own: name its size with --samples, below {}",
                self.seeds.repeats,
                self.size_of(self.split)
            ));
        }
        if self.batch_norm == BatchNorm::Batch {
            if self.block_size == 0 {
                return Err("batch_norm is batch, and the numbers depend on the blocks then: say how many samples one has with --set block_size".into());
            }
            if self.subject.has_running_statistics_alone() {
                return Err("batch_norm is batch, and the program was exported after decompositions, which leave running statistics alone: export it without run_decompositions".into());
            }
        }
        if self.subject.is_double() && self.precision == Precision::Float32 {
            return Err("precision is float32, and the model computes in float64: add --precision float64".into());
        }
        let unseen = if self.samples == 0 { usize::MAX } else { self.samples }.min(self.size_of(self.unseen()));
        if self.measures().contains(&MeasureName::Sensitivity) && self.gradient_batch as usize > unseen {
            return Err(format!(
                "gradient_batch is {}; sensitivity is over {unseen} samples: lower it",
                self.gradient_batch
            ));
        }
        if let Some(batch) = self.subject.fixed_batch().filter(|_| self.batch_norm == BatchNorm::Batch) {
            return Err(format!(
                "batch_norm is batch, and the program runs in batches of {batch} alone: export it with a dynamic batch"
            ));
        }
        self.seeds.check()
    }

    fn data(&self) -> Option<Arc<dyn Dataset>> {
        Some(Arc::new(self.subject.spec.clone()))
    }

    fn folder(&self) -> String {
        let name = if self.name.is_empty() { self.subject.name() } else { self.name.clone() };
        let letters: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let words: Vec<&str> = letters.split('-').filter(|word| !word.is_empty()).collect();
        format!("{}-{}", Self::NAME, if words.is_empty() { "model".to_owned() } else { words.join("-") })
    }

    fn memory(&self) -> Result<Vec<Held>, String> {
        Ok(self.held())
    }

    fn label(&self, trial: &Analysis) -> String {
        let of = |kind: String| match self.solution(trial) {
            Some(solution) if self.subject.solutions.len() > 1 => format!("{kind}-{}", solution.name),
            _ => kind,
        };
        match &trial.measure {
            Measure::Accuracy {} => of("accuracy".into()),
            Measure::Gradient { .. } => of("gradient".into()),
            Measure::Spectrum { probes: Probes { layer: None, .. }, .. } => of("spectrum".into()),
            Measure::Spectrum { probes: Probes { layer: Some(layer), .. }, .. } => of(format!("spectrum-{layer}")),
            Measure::Sensitivity { .. } => of("sensitivity".into()),
            Measure::Line { .. } => match self.ends(trial) {
                Some([one, other]) if self.subject.ends().len() > 2 => format!("line-{one}-{other}"),
                _ => "line".into(),
            },
            Measure::Path { .. } => "path".into(),
            Measure::Slices { .. } => of("slices".into()),
            Measure::Surface { pair: 1, .. } => of("surface".into()),
            Measure::Surface { pair, .. } => of(format!("surface-{pair}")),
            Measure::Sharpness { over, region: Region::Box { epsilon }, .. } => {
                of(format!("sharpness-{epsilon:e}-{}", over.split.prefix()))
            }
            Measure::Sharpness { over, region: Region::Adaptive { rho, .. }, .. } => {
                of(format!("adaptive-{rho}-{}", over.split.prefix()))
            }
        }
    }

    fn size(&self) -> Size {
        let layers = if self.by_layer { self.layers().len() } else { 0 };
        let regions = 2 * (self.epsilons.len() + self.rhos.len());
        let solutions = self.subject.solutions.len();
        let of_each = if self.measure.0.is_empty() { 4 } else { 5 + regions + self.pairs as usize };
        let asks = |name| self.measure.0.contains(&name);
        let ends = self.subject.ends().len();
        let lines = if asks(MeasureName::Line) { ends * ends.saturating_sub(1) / 2 } else { 0 };
        let trials = (of_each + layers) * solutions + lines + 1;
        self.seeds.size(trials, "lower --repeats, name fewer --weights, or leave --by-layer away")
    }

    fn trials(&self, _: &Records<Self>) -> Result<Vec<Analysis>> {
        Ok(self.seeds.all().flat_map(|seed| self.all_trials(seed)).collect())
    }

    fn run_trial(trial: &Analysis, cx: &mut Context) -> Result<Analysed> {
        trial.run(cx)
    }

    fn findings(&self, done: &Records<Self>) -> Result<Findings> {
        let mut findings = Findings::of(self)?;
        findings.notes.extend(self.subject.opened().notes.clone());
        findings.notes.extend(self.notes());
        for note in done.iter().flat_map(|done| &done.record.notes) {
            if !findings.notes.contains(note) {
                findings.notes.push(note.clone());
            }
        }
        if self.measure.0.is_empty()
            && let Some(why) = self.insensitive()
        {
            findings.notes.push(format!("Sensitivity was left out: it is {why}."));
        }
        self.fill_table(done, &mut findings)?;
        self.show_spectrum(done, &mut findings)?;
        self.show_layers(done, &mut findings)?;
        self.show_lines(done, &mut findings)?;
        self.show_path(done, &mut findings)?;
        self.show_slices(done, &mut findings)?;
        self.show_surfaces(done, &mut findings)?;
        self.show_sharpness(done, &mut findings)?;
        self.claim(done, &mut findings)?;
        let layout = self.layout();
        findings.summarise("model", self.subject.name());
        if self.subject.solutions.len() > 1 {
            let names = self.subject.solutions.iter().map(|solution| solution.name.clone());
            findings.summarise("solutions", names.collect::<Vec<_>>());
        }
        findings.summarise("parameters", layout.parameters());
        findings.summarise("layers", self.layers());
        Ok(findings)
    }
}

/// `accuracy,spectrum` as a list.
fn list(text: &str) -> Result<toml::Value, String> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let words: Vec<toml::Value> = words.map(Into::into).collect();
    if words.is_empty() { Err("it names no measure".into()) } else { Ok(toml::Value::Array(words)) }
}

/// Why a loss is none of such targets.
fn loss_does_not_fit(loss: LossName, target: Target) -> Option<&'static str> {
    match (loss, target) {
        (LossName::CrossEntropy, Target::Values(_)) => {
            Some("and the data has values to be learned, no classes: use mse or bce")
        }
        (LossName::Mse, Target::Classes(_) | Target::ClassesByPlace(_)) => {
            Some("and the data has classes, no values: use cross-entropy")
        }
        (LossName::Bce, Target::ClassesByPlace(_)) => Some("and the data has a class at each place: use cross-entropy"),
        _ => None,
    }
}

impl Analyse {
    fn signature(&self) -> Signature {
        self.subject.spec.signature()
    }

    fn sizes(&self) -> [usize; 2] {
        self.subject.spec.sizes()
    }

    fn loss(&self) -> LossName {
        match (self.loss, self.signature().target) {
            (LossSetting::Auto, Target::Values(_)) => LossName::Mse,
            (LossSetting::Auto | LossSetting::CrossEntropy, _) => LossName::CrossEntropy,
            (LossSetting::Bce, _) => LossName::Bce,
            (LossSetting::Mse, _) => LossName::Mse,
        }
    }

    fn size_of(&self, split: Split) -> usize {
        self.sizes()[usize::from(split == Split::Test)]
    }

    /// Whether a split is looked at whole.
    fn is_all(&self, split: Split) -> bool {
        self.samples == 0 || self.samples >= self.size_of(split)
    }

    /// The split that sensitivity is over: where there is one, that which the model was not trained on.
    fn unseen(&self) -> Split {
        if self.size_of(Split::Test) > 0 { Split::Test } else { Split::Train }
    }

    fn layout(&self) -> Layout {
        self.subject.opened().layout().clone()
    }

    fn layers(&self) -> Vec<String> {
        self.layout().layers().into_iter().map(|(name, _)| name).collect()
    }

    /// Why there is no sensitivity here.
    fn insensitive(&self) -> Option<&'static str> {
        if self.batch_norm == BatchNorm::Batch {
            return Some("of one input at a time, and with batch statistics inputs touch each other");
        }
        match self.signature() {
            Signature { tokens: Some(_), .. } => Some("the answer to small changes of an input, and tokens have none"),
            Signature { target: Target::Classes(_), .. } if self.loss() == LossName::CrossEntropy => None,
            _ => Some("that of probabilities of classes, and here are none"),
        }
    }

    fn measures(&self) -> Vec<MeasureName> {
        let applies = |name: &MeasureName| *name != MeasureName::Sensitivity || self.insensitive().is_none();
        let wanted = |name: &MeasureName| match self.measure.0.is_empty() {
            true => name.is_usual(),
            false => self.measure.0.contains(name),
        };
        MEASURES.into_iter().filter(|name| wanted(name) && applies(name)).collect()
    }

    fn probes(&self, layer: Option<String>) -> Probes {
        let &Self { matrix, eigenvalues, tolerance, trace_probes, density_probes, density_steps, .. } = self;
        // Of a layer no more than its largest eigenvalue and its trace: there are many.
        let of_layer = layer.is_some();
        Probes {
            matrix,
            eigenvalues: if of_layer { eigenvalues.min(1) } else { eigenvalues },
            tolerance,
            trace_probes,
            density_probes: if of_layer { 0 } else { density_probes },
            density_steps,
            layer,
        }
    }

    /// All of a seed.
    fn all_trials(&self, seed: u64) -> Vec<Analysis> {
        let mut trials = Vec::new();
        let due = |name: &MeasureName| seed == self.seeds.seed || self.is_repeated(*name);
        for name in self.measures().into_iter().filter(due) {
            match name {
                MeasureName::Line => trials.extend(self.lines(seed)),
                MeasureName::Path => trials.extend(self.path(seed)),
                _ => {
                    for solution in &self.subject.solutions {
                        let measures = self.of_solution(name).into_iter();
                        trials.extend(measures.map(|measure| self.trial(solution, measure, seed)));
                    }
                }
            }
        }
        trials
    }

    /// Whether the solutions are the checkpoints of one training, and no rivals.
    fn is_path_alone(&self) -> bool {
        !self.measure.0.is_empty() && self.measure.0.iter().all(|name| *name == MeasureName::Path)
    }

    /// Whether further seeds find something else: other samples, or other directions.
    fn is_repeated(&self, name: MeasureName) -> bool {
        match name {
            MeasureName::Accuracy | MeasureName::Path | MeasureName::Surface => false,
            MeasureName::Slices => self.directions == Directions::Random || !self.is_all(self.split),
            MeasureName::Gradient | MeasureName::Spectrum => !self.is_all(self.split),
            MeasureName::Sensitivity => !self.is_all(self.unseen()),
            MeasureName::Line | MeasureName::Sharpness => !self.is_all(Split::Train),
        }
    }

    fn trial(&self, solution: &Solution, measure: Measure, seed: u64) -> Analysis {
        Analysis {
            content: solution.opened.content.clone(),
            loss: self.loss(),
            precision: self.precision,
            batch_statistics: self.batch_norm == BatchNorm::Batch,
            block_size: self.block_size,
            measure,
            seed,
        }
    }

    /// What is measured at one solution under a name.
    fn of_solution(&self, name: MeasureName) -> Vec<Measure> {
        let of_split = |split| Over { split, samples: self.samples };
        let over = || of_split(self.split);
        match name {
            MeasureName::Accuracy => vec![Measure::Accuracy {}],
            MeasureName::Gradient => vec![Measure::Gradient { over: over() }],
            MeasureName::Spectrum => {
                let layers = if self.by_layer { self.layers() } else { Vec::new() };
                let each = std::iter::once(None).chain(layers.into_iter().map(Some));
                each.map(|layer| Measure::Spectrum { over: over(), probes: self.probes(layer) }).collect()
            }
            MeasureName::Sensitivity => {
                vec![Measure::Sensitivity { over: of_split(self.unseen()), batch_size: self.gradient_batch }]
            }
            MeasureName::Slices => {
                let (directions, points, range) = (self.slice_directions, self.slice_points, self.range);
                vec![Measure::Slices { over: over(), along: self.along(), directions, points, range }]
            }
            MeasureName::Surface => {
                let (grid, range) = (self.grid, self.range);
                let surface = |pair| Measure::Surface { over: over(), along: self.along(), pair, grid, range };
                (1..=self.pairs()).map(surface).collect()
            }
            MeasureName::Sharpness => {
                let splits = [Split::Train, Split::Test].into_iter().filter(|split| self.size_of(*split) > 0);
                let (starts, steps) = (self.sharpness_starts, self.sharpness_steps);
                let each = splits.flat_map(|split| self.regions().map(move |region| (split, region)));
                let search = |(split, region)| Measure::Sharpness { over: of_split(split), region, starts, steps };
                each.map(search).collect()
            }
            MeasureName::Line | MeasureName::Path => Vec::new(),
        }
    }

    fn along(&self) -> Along {
        match self.directions {
            Directions::Random => Along::Random { normalise: self.normalise },
            Directions::Hessian => Along::Hessian { tolerance: self.tolerance },
        }
    }

    /// The leading eigenvectors are one pair.
    fn pairs(&self) -> u64 {
        if self.directions == Directions::Hessian { 1 } else { self.pairs }
    }

    fn regions(&self) -> impl Iterator<Item = Region> {
        let boxes = self.epsilons.iter().map(|&epsilon| Region::Box { epsilon });
        boxes.chain(self.rhos.iter().map(|&rho| Region::Adaptive { rho, norm: self.adaptive_norm }))
    }

    fn all_alphas(&self) -> Vec<f64> {
        line::even(self.alphas, [self.alpha_min, self.alpha_max])
    }

    /// Samples of a batch that running statistics are taken anew of, where they can be.
    fn recalibration(&self) -> Option<u32> {
        let can_be = self.subject.has_running_statistics()
            && self.batch_norm == BatchNorm::Running
            && self.subject.fixed_batch().is_none();
        Some(self.recalibration_batch).filter(|batch| *batch > 0 && can_be)
    }

    /// Between all pairs of solutions.
    fn lines(&self, seed: u64) -> Vec<Analysis> {
        let (ends, alphas, recalibration) = (self.subject.ends(), self.all_alphas(), self.recalibration());
        let pairs =
            ends.iter().enumerate().flat_map(|(at, first)| ends[at + 1..].iter().map(move |other| (first, other)));
        let line = |(first, other): (&Solution, &Solution)| {
            let (second, alphas) = (other.opened.content.clone(), alphas.clone());
            self.trial(first, Measure::Line { second, samples: self.samples, alphas, recalibration }, seed)
        };
        pairs.map(line).collect()
    }

    fn path(&self, seed: u64) -> Option<Analysis> {
        let checkpoints = self.subject.in_order();
        let last = checkpoints.last()?;
        let contents = checkpoints.iter().map(|solution| solution.opened.content.clone()).collect();
        let over = Over { split: self.split, samples: self.samples };
        Some(self.trial(last, Measure::Path { checkpoints: contents, over, grid: self.grid }, seed))
    }

    /// Of which solution a trial is.
    fn solution(&self, trial: &Analysis) -> Option<&Solution> {
        self.subject.solutions.iter().find(|solution| solution.opened.content == trial.content)
    }

    /// What the solutions at the ends of a line are called.
    fn ends(&self, trial: &Analysis) -> Option<[String; 2]> {
        let Measure::Line { second, .. } = &trial.measure else { return None };
        let ends = self.subject.ends();
        let name = |content: &Content| Some(ends.iter().find(|end| end.opened.content == *content)?.name.clone());
        Some([name(&trial.content)?, name(second)?])
    }

    /// What its user should know of the settings.
    fn notes(&self) -> Option<String> {
        let asks = self.measures().contains(&MeasureName::Line) && self.recalibration_batch > 0;
        if !asks || self.batch_norm == BatchNorm::Batch {
            return None;
        }
        if self.subject.has_running_statistics() && self.subject.fixed_batch().is_some() {
            let why = "the program takes batches of one size alone: export it with a dynamic batch";
            return Some(format!("BatchNorm's statistics were not taken anew along the line: {why}."));
        }
        self.subject.has_running_statistics_alone().then(|| {
            "BatchNorm's statistics were not taken anew along the line: the program was exported after decompositions, \
             which leave running statistics alone."
                .to_owned()
        })
    }
}
