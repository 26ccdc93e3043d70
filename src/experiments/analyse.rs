//! `hw1 analyse`: loss and accuracy, gradient, spectrum and sensitivity at the weights of any trained network: a program
//! that PyTorch exported, or layers with a file of weights. Longer than others, and whole: what is asked of any network,
//! and how it is told.

use crate::analysis::spectrum::outliers;
use crate::analysis::statistics::mean;
use crate::data::{Dataset, Signature, Target};
use crate::model::Layout;
use crate::plot::{Axis, Color, Mark, Panel, Series};
use crate::settings;
use crate::study::number::{significant, some_of};
use crate::study::seeds::means_at_points;
use crate::study::{
    Cell, Context, DATASET_FLAG, Done, Experiment, Findings, Flag, Records, Seeds, Size, check, landscape,
};
use crate::tasks::analyse::{
    Analysed, Analysis, LossName, MatrixName, Measure, Over, Precision, Probes, Split, memory,
};
use crate::tasks::subject::Subject;
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
}

const MEASURES: [MeasureName; 4] =
    [MeasureName::Accuracy, MeasureName::Gradient, MeasureName::Spectrum, MeasureName::Sensitivity];

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
        "Loss, gradient, spectrum and sensitivity of a trained network: a .pt2 of PyTorch, or layers";
    const SETTINGS: &'static str = include_str!("../../experiments/analyse.toml");
    const VERSION: u32 = 1;
    const IN_ALL: bool = false;
    const FLAGS: &'static [Flag] = &[
        Flag::new("model", "MODEL", "model", "A .pt2 file of torch.export, or layers such as conv8-conv16-128-classes")
            .positional(),
        DATASET_FLAG,
        Flag::new("weights", "FILE", "weights", "A .safetensors file [default: the program's own weights]"),
        Flag::new("which", "NAME", "which", "Which weights of a file that hw1 saved: final, initial, snapshot.N"),
        Flag::new("name", "NAME", "name", "The folder is analyse-NAME [default: the file's stem]"),
        Flag::new(
            "measure",
            "LIST",
            "measure",
            "Of accuracy, gradient, spectrum, sensitivity, with commas between [default: all that apply]",
        )
        .parsed(list),
        Flag::new(
            "loss",
            "LOSS",
            "loss",
            "cross-entropy, bce or mse [default: cross-entropy of classes, mse of values]",
        ),
        Flag::new("split", "SPLIT", "split", "train or test: what gradient and spectrum are over"),
        Flag::new("samples", "N", "samples", "So many of the split's samples, each class by its share [default: all]")
            .parsed(Flag::whole),
        Flag::new("precision", "KIND", "precision", "float32 or float64"),
        Flag::new("batch-norm", "BY", "batch_norm", "running or batch: the statistics that BatchNorm normalises by"),
        Flag::new("matrix", "MATRIX", "matrix", "hessian, or ggn: the generalised Gauss-Newton matrix"),
        Flag::new("by-layer", "", "by_layer", "Also the spectrum of each layer's own block").parsed(Flag::switch),
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
        if self.measures().contains(&MeasureName::Spectrum) {
            let parameters = self.layout().parameters();
            let what = format!("{0} largest and {0} smallest eigenvalues of {parameters} parameters", self.eigenvalues);
            let smaller = "lower --set eigenvalues (0: trace and density alone), or leave spectrum out of --measure";
            check::memory(&what, memory(parameters, self.eigenvalues, self.precision), smaller)?;
        }
        if let (Some(why), true) = (self.insensitive(), self.measure.0.contains(&MeasureName::Sensitivity)) {
            return Err(format!("sensitivity is {why}: leave it out of --measure"));
        }
        if self.seeds.repeats > 1 && self.is_all(self.split) {
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

    fn label(&self, trial: &Analysis) -> String {
        match &trial.measure {
            Measure::Accuracy {} => "accuracy".into(),
            Measure::Gradient { .. } => "gradient".into(),
            Measure::Spectrum { probes: Probes { layer: None, .. }, .. } => "spectrum".into(),
            Measure::Spectrum { probes: Probes { layer: Some(layer), .. }, .. } => format!("spectrum-{layer}"),
            Measure::Sensitivity { .. } => "sensitivity".into(),
        }
    }

    fn size(&self) -> Size {
        let layers = if self.by_layer { self.layers().len() } else { 0 };
        self.seeds.size(4 + layers, "lower --repeats, or leave --by-layer away")
    }

    fn trials(&self, _: &Records<Self>) -> Result<Vec<Analysis>> {
        let over = || Over { split: self.split, samples: self.samples };
        let mut trials = Vec::new();
        for seed in self.seeds.all() {
            for name in self.measures() {
                match name {
                    // Of the whole splits: the same for each seed.
                    MeasureName::Accuracy if seed != self.seeds.seed => {}
                    MeasureName::Accuracy => trials.push(self.trial(Measure::Accuracy {}, seed)),
                    MeasureName::Gradient => trials.push(self.trial(Measure::Gradient { over: over() }, seed)),
                    MeasureName::Spectrum => {
                        let layers = if self.by_layer { self.layers() } else { Vec::new() };
                        for layer in std::iter::once(None).chain(layers.into_iter().map(Some)) {
                            let probes = self.probes(layer);
                            trials.push(self.trial(Measure::Spectrum { over: over(), probes }, seed));
                        }
                    }
                    // All of a split are the same for each seed.
                    MeasureName::Sensitivity if self.is_all(self.unseen()) && seed != self.seeds.seed => {}
                    MeasureName::Sensitivity => {
                        let over = Over { split: self.unseen(), samples: self.samples };
                        trials.push(self.trial(Measure::Sensitivity { over, batch_size: self.gradient_batch }, seed));
                    }
                }
            }
        }
        Ok(trials)
    }

    fn run_trial(trial: &Analysis, cx: &mut Context) -> Result<Analysed> {
        trial.run(cx)
    }

    fn findings(&self, done: &Records<Self>) -> Result<Findings> {
        let mut findings = Findings::of(self)?;
        findings.notes.extend(self.subject.opened.notes.clone());
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
        let layout = self.layout();
        findings.summarise("model", self.subject.name());
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
        self.subject.opened.layout(&self.signature()).unwrap_or_default()
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
        let wanted = |name: &MeasureName| self.measure.0.is_empty() || self.measure.0.contains(name);
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

    fn trial(&self, measure: Measure, seed: u64) -> Analysis {
        Analysis {
            content: self.subject.opened.content.clone(),
            loss: self.loss(),
            precision: self.precision,
            batch_statistics: self.batch_norm == BatchNorm::Batch,
            block_size: self.block_size,
            measure,
            seed,
        }
    }
}

// ---------------------------------------------------------------------------------- findings

/// A scalar of some trials, as the table shows it.
struct Row {
    quantity: &'static str,
    name: &'static str,
    /// The scalar that is its standard error, where one has it.
    error: Option<&'static str>,
}

const ROWS: [Row; 6] = [
    Row { quantity: "loss", name: "loss", error: None },
    Row { quantity: "gradient norm ‖g‖", name: "gradient_norm", error: None },
    Row { quantity: "curvature along g", name: "gradient_curvature", error: None },
    Row { quantity: "trace", name: "trace", error: Some("trace_standard_error") },
    Row { quantity: "input gradient norm", name: "input_gradient_norm", error: None },
    Row { quantity: "Jacobian norm", name: "jacobian_norm", error: None },
];

/// Those of the sensitivity.
const SENSITIVITY: [&str; 2] = ["input_gradient_norm", "jacobian_norm"];

impl Analyse {
    /// "1000 of 50000 training samples".
    fn over(&self, split: Split) -> String {
        let (all, what) = (self.size_of(split), format!("{} samples", split.name()));
        if self.is_all(split) { format!("all {all} {what}") } else { some_of(self.samples, all, &what) }
    }

    fn fill_table(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        findings.columns = ["quantity", "value", "", "over"].map(str::to_owned).to_vec();
        let over = self.over(self.split);
        for (split, size) in ["train", "test"].into_iter().zip(self.sizes()) {
            for done in done.iter().filter(|done| matches!(done.trial.measure, Measure::Accuracy {})) {
                let scalars = &done.record.measured.scalars;
                let of = |name: &str| scalars.get(&format!("{split}_{name}")).copied();
                let over = format!("all {size} {} samples", if split == "train" { "training" } else { "test" });
                if let Some(loss) = of("loss") {
                    findings.rows.push(vec![
                        format!("{split} loss").into(),
                        Cell::Number(loss),
                        "".into(),
                        over.clone().into(),
                    ]);
                }
                if let (Some(accuracy), Some(low), Some(high)) =
                    (of("accuracy"), of("accuracy_low"), of("accuracy_high"))
                {
                    let interval = format!("{low:.4} to {high:.4}");
                    findings.rows.push(vec![
                        format!("{split} accuracy").into(),
                        Cell::Number(accuracy),
                        interval.into(),
                        over.into(),
                    ]);
                }
            }
        }
        let whole = |done: &&Done<Self>| !matches!(&done.trial.measure, Measure::Spectrum { probes, .. } if probes.layer.is_some());
        let whole: Vec<&Done<Self>> = done.iter().filter(whole).collect();
        for Row { quantity, name, error } in &ROWS {
            let values: Vec<f64> =
                whole.iter().filter_map(|done| done.record.measured.scalars.get(*name).copied()).collect();
            let mut errors = whole.iter().filter_map(|done| done.record.measured.scalars.get((*error)?).copied());
            let error = errors.next_back().map(|error| format!("standard error {}", significant(error, 2)));
            let over = if SENSITIVITY.contains(name) { self.over(self.unseen()) } else { over.clone() };
            self.push_row(findings, quantity, &values, error, &over);
        }
        for (series, residuals, what) in
            [("top_eigenvalues", "top_residuals", "largest"), ("bottom_eigenvalues", "bottom_residuals", "smallest")]
        {
            for rank in 0..self.eigenvalues {
                let at = |name: &str| -> Vec<f64> {
                    whole.iter().filter_map(|done| done.record.measured.series.get(name)?.get(rank).copied()).collect()
                };
                let residual = at(residuals).first().map(|residual| format!("residual {}", significant(*residual, 2)));
                self.push_row(findings, &format!("eigenvalue, {what} {}", rank + 1), &at(series), residual, &over);
            }
        }
        for done in &whole {
            if let Some(top) = done.record.measured.series.get("top_eigenvalues")
                && let (Some(count), true) = (outliers(top), done.seed() == self.seeds.seed)
            {
                findings.notes.push(format!(
                    "Of the {} largest eigenvalues {count} lie above the widest gap, as a ratio of neighbours.",
                    top.len()
                ));
            }
        }
        for done in done {
            if done.record.measured.scalars.get("converged") == Some(&0.0) {
                let label = self.label(&done.trial);
                findings.notes.push(format!(
                    "{label}: Lanczos ended before its residuals were within the tolerance (seed {}): an eigenvalue lies no farther \
                     from what is shown than its residual.",
                    done.seed()
                ));
            }
        }
        Ok(())
    }

    /// Of one seed a number with its own error, of several their mean with its interval.
    fn push_row(&self, findings: &mut Findings, quantity: &str, values: &[f64], error: Option<String>, over: &str) {
        let Some(first) = values.first() else { return };
        let (value, error) = match mean(values).filter(|_| values.len() > 1) {
            None => (*first, error.unwrap_or_default()),
            Some(estimate) => {
                let interval =
                    estimate.interval.map(|[low, high]| format!("{} to {}", significant(low, 4), significant(high, 4)));
                (estimate.value, interval.unwrap_or_default())
            }
        };
        findings.rows.push(vec![quantity.into(), Cell::Number(value), error.into(), over.into()]);
    }

    fn matrix_name(&self) -> &'static str {
        match self.matrix {
            MatrixName::Hessian => "Hessian",
            MatrixName::Ggn => "Gauss-Newton matrix",
        }
    }

    fn show_spectrum(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        let of = |done: &&Done<Self>| matches!(&done.trial.measure, Measure::Spectrum { probes, .. } if probes.layer.is_none());
        let found: Vec<&Done<Self>> = done.iter().filter(of).collect();
        let series = |name: &'static str| {
            found
                .iter()
                .filter_map(move |done| done.record.measured.series.get(name).map(|values| (done.seed(), values)))
        };
        let mut panels = Vec::new();
        let nodes: Vec<_> = series("density_eigenvalues").zip(series("density_weights")).collect();
        if !nodes.is_empty() {
            // Of several seeds that of the first: nodes do not lie at the same places.
            let least = landscape::least_density(self.layout().parameters() as f64, nodes[0].0.1);
            let first =
                nodes.iter().take(1).map(|((_, nodes), (_, weights))| ((String::new(), 0), &nodes[..], &weights[..]));
            panels.push(landscape::densities_above(least, first));
        }
        let top: Vec<_> = series("top_eigenvalues").collect();
        if top.iter().any(|(_, values)| !values.is_empty()) {
            let curves = top.iter().map(|(_, values)| ((String::new(), 0), &values[..]));
            // As many outliers as classes, or nearly (Sagun et al. 2018): where that many are shown.
            let is_near = |classes: i64| classes as usize <= 2 * self.eigenvalues;
            let target = Some(self.signature().target).filter(|target| target.classes().is_some_and(is_near));
            panels.push(landscape::eigenvalues(curves, target.unwrap_or(Target::Values(1))));
        }
        if panels.is_empty() {
            return Ok(());
        }
        let (network, loss_name, over) = (self.subject.name(), self.loss().name(), self.over(self.split));
        findings.figure(
            "spectrum",
            &[("network", &network), ("of", &self.matrix_name()), ("loss_name", &loss_name), ("over", &over)],
            2,
            panels,
        )
    }

    /// Norms and curvatures of each layer, in their order.
    fn show_layers(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        let layers = self.layers();
        if layers.len() < 2 {
            return Ok(());
        }
        let ranks = |values: &[f64]| -> Vec<(f64, f64)> { (1..).map(f64::from).zip(values.iter().copied()).collect() };
        let norms = done.iter().filter_map(|done| done.record.measured.series.get("layer_gradient_norms"));
        let norms: Vec<Series> =
            norms.map(|values| Series::new("", Color::Cycle(0), ranks(values)).mark(Mark::LinePoints)).collect();
        let mut panels = Vec::new();
        if !norms.is_empty() {
            panels.push(Panel::plot("", Axis::linear("layer"), Axis::log("gradient norm"), means_at_points(norms)));
        }
        let mut points: [Vec<(f64, f64)>; 2] = [Vec::new(), Vec::new()];
        for done in done.iter().filter(|done| done.seed() == self.seeds.seed) {
            let Measure::Spectrum { probes: Probes { layer: Some(layer), .. }, .. } = &done.trial.measure else {
                continue;
            };
            let Some(place) = layers.iter().position(|name| name == layer) else { continue };
            let measured = &done.record.measured;
            if let Some(top) = measured.series.get("top_eigenvalues").and_then(|values| values.first()) {
                points[0].push((place as f64 + 1.0, *top));
            }
            if let Some(trace) = measured.scalars.get("trace") {
                points[1].push((place as f64 + 1.0, *trace));
            }
        }
        let [top, trace] = points;
        let has_blocks = !top.is_empty() || !trace.is_empty();
        if has_blocks {
            let series = vec![
                Series::new("largest eigenvalue", Color::Cycle(0), top).mark(Mark::LinePoints),
                Series::new("trace", Color::Cycle(1), trace).mark(Mark::LinePoints),
            ];
            let axis = Axis::log(format!("{} of a layer", self.matrix_name()));
            panels.push(Panel::plot("", Axis::linear("layer"), axis, series));
        }
        if panels.is_empty() {
            return Ok(());
        }
        let (network, loss_name, over) = (self.subject.name(), self.loss().name(), self.over(self.split));
        let words = if has_blocks {
            format!(", and of its own block of the {} the largest eigenvalue and the trace", self.matrix_name())
        } else {
            String::new()
        };
        findings.figure(
            "layers",
            &[("network", &network), ("loss_name", &loss_name), ("over", &over), ("by_layer_words", &words)],
            2,
            panels,
        )
    }
}
