//! `hw1 interpolate`, task 3-3-1 of the report: two trainings with small and large batches, and the
//! loss along the line through their solutions, θ(α) = (1-α)θ₁ + αθ₂ (Keskar et al. 2017).

use crate::analysis::interpolation::{point, with_solutions};
use crate::analysis::statistics::{Estimate, spearman};
use crate::classify::{Curve, Training, model_flag, panel};
use crate::data::batches::{DataSpec, DatasetName, TEST_SIZE, TRAIN_SIZE};
use crate::data::functions::evenly_spaced;
use crate::experiment::{
    Cell, Claim, Context, DATASET_FLAG, Done, Effect, Experiment, Fingerprint, Flag, Measurements, Records, Report,
    Trial as TrialTrait, Verdict, cell, check,
};
use crate::model::Classifier;
use crate::objective::{Accuracy, CrossEntropy};
use crate::plot::{Axis, Color, Figure, Mark, Panel, Series};
use crate::repeats::{self, together};
use crate::train::OptimizerName;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

// ---------------------------------------------------------------------------------- settings

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interpolate {
    dataset: DatasetName,
    train_size: usize,
    test_size: usize,
    model: Classifier,
    optimizer: OptimizerName,
    learning_rate: f64,
    /// Of the solutions at α = 0 and at α = 1.
    batch_sizes: [u32; 2],
    shuffle: bool,
    epochs: u64,
    /// So many α, evenly spaced from `alpha_min` to `alpha_max`; 0 and 1 are added.
    alphas: usize,
    alpha_min: f64,
    alpha_max: f64,
    /// α that one trial evaluates.
    block_size: usize,
    seed: u64,
    repeats: u64,
}

/// More than this are a slip of the pen.
const MOST_ALPHAS: usize = 100_000;

// ------------------------------------------------------------------------------------- trial

/// A training, or a block of α on the solutions of two.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trial {
    Training(Training),
    Block(Block),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Block {
    model: Classifier,
    /// The trainings whose solutions are at α = 0 and at α = 1.
    solutions: [Fingerprint; 2],
    alphas: Vec<f64>,
    seed: u64,
}

impl TrialTrait for Trial {
    fn seed(&self) -> u64 {
        match self {
            Self::Training(training) => training.seed,
            Self::Block(block) => block.seed,
        }
    }

    fn cost(&self) -> f64 {
        match self {
            Self::Training(training) => training.cost(),
            // A pass forward is a third of a step.
            Self::Block(block) => {
                let evaluations = block.alphas.len() * (TRAIN_SIZE + TEST_SIZE);
                block.model.layout().parameters() as f64 * evaluations as f64 / 3.0
            }
        }
    }
}

// ----------------------------------------------------------------------------- record and run

impl Experiment for Interpolate {
    const NAME: &'static str = "interpolate";
    const ABOUT: &'static str = "Loss along the line between two solutions (task 3-3-1)";
    const SETTINGS: &'static str = include_str!("../../experiments/interpolate.toml");
    const VERSION: u32 = 1;
    const FLAGS: &'static [Flag] = &[DATASET_FLAG, model_flag("The network, like conv8-conv16-128-10 or 784-128-10")];

    type Trial = Trial;
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        self.spec().check()?;
        for batch_size in self.batch_sizes {
            self.training(batch_size, self.seed).check()?;
        }
        if self.batch_sizes[0] == self.batch_sizes[1] {
            return Err(format!("batch_sizes are both {}; they must differ", self.batch_sizes[0]));
        }
        if !(2..=MOST_ALPHAS).contains(&self.alphas) {
            return Err(format!("alphas is {}; it must be from 2 to {MOST_ALPHAS}", self.alphas));
        }
        let (min, max) = (self.alpha_min, self.alpha_max);
        if !(min.is_finite() && max.is_finite() && min < max) {
            return Err(format!("alpha_min is {min} and alpha_max {max}; it must be below, and both finite"));
        }
        if self.block_size == 0 {
            return Err("block_size is 0; it must be at least 1".into());
        }
        check::seeds(self.seed, self.repeats)
    }

    fn data(&self) -> Option<DataSpec> {
        Some(self.spec())
    }

    fn label(&self, trial: &Trial) -> String {
        match trial {
            Trial::Training(training) => format!("batch-{}", training.batch_size),
            Trial::Block(block) => {
                let place = self.grid().iter().position(|alpha| block.alphas.first() == Some(alpha)).unwrap_or(0);
                format!("alphas-{}", place / self.block_size + 1)
            }
        }
    }

    fn trials(&self, done: &Records<Self>) -> Result<Vec<Trial>> {
        let mut trials = Vec::new();
        for seed in self.seed..self.seed + self.repeats {
            trials.extend(self.batch_sizes.map(|batch_size| Trial::Training(self.training(batch_size, seed))));
            let [Some(first), Some(second)] = self.batch_sizes.map(|batch_size| solution(&done.0, seed, batch_size))
            else {
                continue;
            };
            trials.extend(self.grid().chunks(self.block_size).map(|alphas| {
                Trial::Block(Block {
                    model: self.model.clone(),
                    solutions: [first.fingerprint.clone(), second.fingerprint.clone()],
                    alphas: alphas.to_vec(),
                    seed,
                })
            }));
        }
        Ok(trials)
    }

    fn run_trial(trial: &Trial, cx: &mut Context) -> Result<Measurements> {
        match trial {
            Trial::Training(training) => {
                let train = cx.images()?.train.on(cx.device);
                Ok(training.run(cx, &train)?.1)
            }
            Trial::Block(block) => evaluate(block, cx),
        }
    }

    fn report(&self, done: &Records<Self>) -> Result<Report> {
        report(self, &done.0)
    }
}

impl Interpolate {
    fn spec(&self) -> DataSpec {
        DataSpec { dataset: self.dataset, train_size: self.train_size, test_size: self.test_size }
    }

    fn training(&self, batch_size: u32, seed: u64) -> Training {
        Training {
            model: self.model.clone(),
            optimizer: self.optimizer,
            learning_rate: self.learning_rate,
            batch_size,
            shuffle: self.shuffle,
            epochs: self.epochs,
            seed,
        }
    }

    /// All α, ascending.
    fn grid(&self) -> Vec<f64> {
        with_solutions(evenly_spaced([self.alpha_min, self.alpha_max], self.alphas))
    }
}

/// The finished training with this seed and batch size.
fn solution(done: &[DoneTrial], seed: u64, batch_size: u32) -> Option<&DoneTrial> {
    done.iter().find(|done| match &done.trial {
        Trial::Training(training) => (training.seed, training.batch_size) == (seed, batch_size),
        Trial::Block(_) => false,
    })
}

/// Loss and accuracy of each θ(α) over both whole sets.
fn evaluate(block: &Block, cx: &Context) -> Result<Measurements> {
    let layout = block.model.layout();
    let [first, second] = &block.solutions;
    let (theta_1, theta_2) = (cx.saved_weights(first, "final", &layout)?, cx.saved_weights(second, "final", &layout)?);
    let images = cx.images()?;
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for (done, &alpha) in (1..).zip(&block.alphas) {
        let objective = CrossEntropy::new(&block.model, point(&theta_1, &theta_2, alpha));
        for (set, found) in [(&images.train, &mut train), (&images.test, &mut test)] {
            let Accuracy { loss, accuracy } = objective.evaluate(set);
            // Outputs that are no numbers rank no classes: their accuracy would be that of class 0.
            found.push(Accuracy { loss, accuracy: if loss.is_finite() { accuracy } else { f64::NAN } });
            cx.check_stop()?;
        }
        cx.step_done(done, block.alphas.len() as u64, test.last().map_or(f64::NAN, |found| found.loss))?;
    }
    let losses = |found: &[Accuracy]| found.iter().map(|found| found.loss).collect();
    let accuracies = |found: &[Accuracy]| found.iter().map(|found| found.accuracy).collect();
    let series = [
        ("alpha", block.alphas.clone()),
        ("train_loss", losses(&train)),
        ("train_accuracy", accuracies(&train)),
        ("test_loss", losses(&test)),
        ("test_accuracy", accuracies(&test)),
    ];
    Ok(Measurements::new(layout.parameters(), [], series))
}

// ------------------------------------------------------------------------------------ report

type DoneTrial = Done<Interpolate>;

const SERIES: [&str; 5] = ["alpha", "train_loss", "train_accuracy", "test_loss", "test_accuracy"];

/// What the blocks of one seed measured together, by [`SERIES`].
struct Line {
    seed: u64,
    series: [Vec<f64>; 5],
}

impl Line {
    /// One for each seed that has blocks, α ascending.
    fn all(settings: &Interpolate, done: &[DoneTrial]) -> Result<Vec<Self>> {
        let mut lines = Vec::new();
        for seed in settings.seed..settings.seed + settings.repeats {
            let mut series: [Vec<f64>; 5] = Default::default();
            for trial in done.iter().filter(|trial| trial.trial.seed() == seed) {
                if matches!(trial.trial, Trial::Block(_)) {
                    for (all, name) in series.iter_mut().zip(SERIES) {
                        all.extend(trial.record.series(name)?);
                    }
                }
            }
            if !series[0].is_empty() {
                lines.push(Self { seed, series });
            }
        }
        Ok(lines)
    }

    fn alphas(&self) -> &[f64] {
        &self.series[0]
    }

    fn get(&self, name: &str) -> &[f64] {
        let index = SERIES.iter().position(|series| *series == name).unwrap_or(0);
        &self.series[index]
    }

    fn json(&self) -> Value {
        let mut map = Map::new();
        map.insert("seed".into(), self.seed.into());
        map.extend(SERIES.iter().zip(&self.series).map(|(name, values)| ((*name).to_owned(), json!(values))));
        map.into()
    }
}

fn report(settings: &Interpolate, done: &[DoneTrial]) -> Result<Report> {
    let mut report = Report::default();
    let columns =
        ["training", "parameters", "seed", "epochs", "train loss", "train accuracy", "test loss", "test accuracy"];
    report.columns = columns.map(str::to_owned).to_vec();
    for trial in done {
        let Trial::Training(training) = &trial.trial else { continue };
        let record = &trial.record;
        let mut row = vec![
            trial.label.clone().into(),
            Cell::Count(record.parameters as f64),
            Cell::Seed(training.seed),
            Cell::Count(record.scalar("epochs_run")?),
        ];
        for name in ["final_train_loss", "final_train_accuracy", "final_test_loss", "final_test_accuracy"] {
            row.push(cell(record.scalar(name)?));
        }
        report.rows.push(row);
        if record.scalar("diverged")? == 1.0 {
            report.notes.push(format!(
                "{}, seed {}, diverged: its weights may not be finite, nor any θ(α) but the other solution.",
                trial.label, training.seed
            ));
        }
    }
    let lines = Line::all(settings, done)?;
    report.notes.extend(lines.iter().map(extremes));
    let data = settings.spec().title();
    report.figures = vec![curve_figure(settings, done, data)?, line_figure(settings, &lines, data)];
    report.summary.insert("data".into(), data.into());
    if let Some((first, further)) = lines.split_first() {
        report.summary.insert("interpolation".into(), first.json());
        report.summary.insert("interpolation_further_seeds".into(), further.iter().map(Line::json).collect());
    }
    report.claims = vec![trains_well(settings, done)?, moves_together(&lines)];
    Ok(report)
}

/// "Test loss along α, seed 0: lowest 0.05 at α = 1, highest 3e8 at α = 20."
fn extremes(line: &Line) -> String {
    let points = line.alphas().iter().zip(line.get("test_loss")).filter(|(_, loss)| loss.is_finite());
    let lowest = points.clone().min_by(|a, b| a.1.total_cmp(b.1));
    let highest = points.max_by(|a, b| a.1.total_cmp(b.1));
    let at = |(alpha, loss): (&f64, &f64)| format!("{} at α = {}", cell(*loss), (alpha * 1e4).round() / 1e4);
    match (lowest, highest) {
        (Some(low), Some(high)) => {
            format!("Test loss along α, seed {}: lowest {}, highest {}.", line.seed, at(low), at(high))
        }
        _ => format!("Test loss along α, seed {}: nowhere finite.", line.seed),
    }
}

fn curve_figure(settings: &Interpolate, done: &[DoneTrial], data: &str) -> Result<Figure> {
    let mut panels = Vec::new();
    for (quantity, y) in [("loss", Axis::log("loss (cross entropy)")), ("accuracy", Axis::linear("accuracy"))] {
        let mut curves = Vec::new();
        for trial in done {
            let Trial::Training(training) = &trial.trial else { continue };
            let color = usize::from(training.batch_size != settings.batch_sizes[0]);
            for set in ["train", "test"] {
                let label = format!("batch {}, {set}", training.batch_size);
                curves.push(Curve {
                    label: if training.seed == settings.seed { label } else { String::new() },
                    color,
                    dashed: set == "test",
                    values: trial.record.series(&format!("{set}_{quantity}"))?,
                });
            }
        }
        panels.push(panel(y, &curves));
    }
    Ok(Figure {
        name: "curves".into(),
        title: format!("Training with small and large batches, {data}"),
        caption: format!(
            "Loss and accuracy on the training images (means while training) and test images of {data} after each \
             epoch, for both batch sizes.{}",
            repeats::caption(settings.repeats)
        ),
        columns: 2,
        panels,
    })
}

/// Loss on the left axis, accuracy on the right one, against α.
fn line_figure(settings: &Interpolate, lines: &[Line], data: &str) -> Figure {
    let curves = |quantity: &str, color: usize| {
        let mut all = Vec::new();
        for line in lines {
            for (set, mark) in [("train", Mark::Line), ("test", Mark::Dashed)] {
                let label = if line.seed == settings.seed { format!("{set} {quantity}") } else { String::new() };
                let values = line.get(&format!("{set}_{quantity}"));
                let points = line.alphas().iter().copied().zip(values.iter().copied()).collect();
                all.push(Series::new(label, Color::Cycle(color), points).mark(mark));
            }
        }
        all
    };
    let losses = curves("loss", 0);
    let finite: Vec<f64> = (losses.iter().flat_map(|series| &series.points))
        .filter_map(|&(_, loss)| (loss.is_finite() && loss > 0.0).then_some(loss))
        .collect();
    let lowest = finite.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = finite.iter().copied().fold(0.0, f64::max);
    let label = "loss (cross entropy)";
    // Far outside the segment the loss grows by powers of ten.
    let y = if highest > 20.0 * lowest { Axis::log(label) } else { Axis::linear(label) };
    let [first, second] = settings.batch_sizes;
    Figure {
        name: "interpolation".into(),
        title: format!("The line through batch {first} (α = 0) and batch {second} (α = 1), {data}"),
        caption: format!(
            "Loss (left axis) and accuracy (right axis) of θ(α) = (1-α)θ₁ + αθ₂ over all training images (solid) and \
             test images (dashed) of {data}; θ₁ is the solution with batch size {first}, θ₂ the one with {second}, \
             both marked.{}",
            repeats::caption(settings.repeats)
        ),
        columns: 1,
        panels: vec![
            Panel::plot("", Axis::linear("α"), y, together(losses))
                .right(Axis::linear("accuracy"), together(curves("accuracy", 1)))
                .rules(vec![(0.0, format!("batch {first}")), (1.0, format!("batch {second}"))]),
        ],
    }
}

// ------------------------------------------------------------------------------------ claims

/// From here on a network of digits counts as trained well, and below that as not.
const GOOD: f64 = 0.95;
const BAD: f64 = 0.9;
/// The report's.
const EPOCHS: u64 = 15;

/// Every training ends with a test accuracy of at least 0.95; one below 0.9 after the report's
/// epochs refutes.
fn trains_well(settings: &Interpolate, done: &[DoneTrial]) -> Result<Claim> {
    let mut evidence = Vec::new();
    let mut worst = f64::INFINITY;
    for trial in done {
        if let Trial::Training(training) = &trial.trial {
            let accuracy = trial.record.scalar("final_test_accuracy")?;
            worst = worst.min(accuracy);
            evidence.push(
                json!({"batch_size": training.batch_size, "seed": training.seed, "final_test_accuracy": accuracy}),
            );
        }
    }
    let verdict = match worst {
        worst if worst >= GOOD && !evidence.is_empty() => Verdict::Supported,
        worst if worst < BAD && settings.epochs >= EPOCHS => Verdict::Refuted,
        _ => Verdict::Inconclusive,
    };
    Ok(Claim {
        id: "interpolate-both-train-well".into(),
        statement: "Both batch sizes train well.".into(),
        verdict,
        effect: Effect::new("lowest final test accuracy", Estimate { value: worst, interval: None, n: evidence.len() }),
        detail: format!("Lowest test accuracy of {} trainings: {}.", evidence.len(), cell(worst)),
        evidence: json!({"trainings": evidence, "supported_from": GOOD, "refuted_below": BAD}),
    })
}

/// Fewer α than this show no curve.
const FEWEST_ALPHAS: usize = 10;

/// In every seed Spearman's correlation of train and test loss over α is at least 0.9, and their
/// accuracies differ nowhere by more than 0.05 (far outside the segment both lie at chance, where
/// ranks would be noise); a correlation below 0.5 or a gap above 0.2 refutes.
fn moves_together(lines: &[Line]) -> Claim {
    let (mut lowest, mut widest) = (f64::INFINITY, 0f64);
    let mut evidence = Vec::new();
    for line in lines {
        let pairs = |quantity: &str| {
            let (train, test) = (line.get(&format!("train_{quantity}")), line.get(&format!("test_{quantity}")));
            train.iter().copied().zip(test.iter().copied()).collect::<Vec<_>>()
        };
        let correlation = spearman(&pairs("loss")).unwrap_or(f64::NAN);
        let gap = pairs("accuracy").iter().map(|(train, test)| (train - test).abs()).fold(0.0, nan_or_larger);
        // A number that is none stays so: nothing can be said then.
        lowest = if correlation.is_nan() { f64::NAN } else { lowest.min(correlation) };
        widest = nan_or_larger(widest, gap);
        evidence.push(json!({
            "seed": line.seed, "alphas": line.alphas().len(), "loss_spearman": correlation, "widest_accuracy_gap": gap,
        }));
    }
    let enough = lines.iter().all(|line| line.alphas().len() >= FEWEST_ALPHAS) && !lines.is_empty();
    let verdict = if enough && lowest >= 0.9 && widest <= 0.05 {
        Verdict::Supported
    } else if enough && (lowest < 0.5 || widest > 0.2) {
        Verdict::Refuted
    } else {
        Verdict::Inconclusive
    };
    Claim {
        id: "interpolate-move-together".into(),
        statement: "Train and test curves move together along α.".into(),
        verdict,
        effect: Effect::new(
            "lowest Spearman correlation of train and test loss over α",
            Estimate { value: lowest, interval: None, n: lines.len() },
        ),
        detail: if lowest.is_finite() && widest.is_finite() {
            let (lowest, widest) = (cell(lowest), cell(widest));
            format!(
                "Spearman correlation of the losses over α at least {lowest}; accuracies differ by at most {widest}."
            )
        } else {
            "Some losses are not finite.".into()
        },
        evidence: json!({"by_seed": evidence}),
    }
}

fn nan_or_larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}
