//! `hw1 params-sweep`, task 3-2 of the report: loss and accuracy of networks 784-2k-k-10 against
//! their number of parameters.

use crate::analysis::statistics::{Estimate, slope, spearman, spearman_with_interval};
use crate::classify::{Curve, Training, models_flag, panel};
use crate::data::batches::{DataSpec, DatasetName};
use crate::experiment::{
    Cell, Claim, Context, DATASET_FLAG, Done, Effect, Experiment, Flag, Measurements, Records, Report, Verdict, cell,
    check,
};
use crate::model::{Classifier, Named};
use crate::plot::{Axis, Color, Figure, Mark, Panel, Series};
use crate::repeats::{self, together};
use crate::train::OptimizerName;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::json;

// ---------------------------------------------------------------------------------- settings

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamsSweep {
    dataset: DatasetName,
    train_size: usize,
    test_size: usize,
    models: Vec<Named<Classifier>>,
    optimizer: OptimizerName,
    learning_rate: f64,
    batch_size: u32,
    shuffle: bool,
    epochs: u64,
    seed: u64,
    repeats: u64,
}

// -------------------------------------------------------------------- trial, record and run

impl Experiment for ParamsSweep {
    const NAME: &'static str = "params-sweep";
    const ABOUT: &'static str = "Loss and accuracy against the number of parameters (task 3-2)";
    const SETTINGS: &'static str = include_str!("../../experiments/params-sweep.toml");
    const VERSION: u32 = 1;
    const FLAGS: &'static [Flag] =
        &[DATASET_FLAG, models_flag("A network, like 784-20-10-10; replaces the report's eleven")];

    type Trial = Training;
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        self.spec().check()?;
        Named::check(&self.models)?;
        for named in &self.models {
            self.trial(&named.model, self.seed).check()?;
        }
        check::seeds(self.seed, self.repeats)
    }

    fn data(&self) -> Option<DataSpec> {
        Some(self.spec())
    }

    fn label(&self, trial: &Training) -> String {
        Named::find(&self.models, &trial.model).0
    }

    fn trials(&self, _: &Records<Self>) -> Result<Vec<Training>> {
        let of_seed = |seed: u64| self.models.iter().map(move |named| self.trial(&named.model, seed));
        Ok((self.seed..self.seed + self.repeats).flat_map(of_seed).collect())
    }

    fn run_trial(trial: &Training, cx: &mut Context) -> Result<Measurements> {
        let train = cx.images()?.train.on(cx.device);
        Ok(trial.run(cx, &train)?.1)
    }

    fn report(&self, done: &Records<Self>) -> Result<Report> {
        report(self, &done.0)
    }
}

impl ParamsSweep {
    fn spec(&self) -> DataSpec {
        DataSpec { dataset: self.dataset, train_size: self.train_size, test_size: self.test_size }
    }

    fn trial(&self, model: &Classifier, seed: u64) -> Training {
        Training {
            model: model.clone(),
            optimizer: self.optimizer,
            learning_rate: self.learning_rate,
            batch_size: self.batch_size,
            shuffle: self.shuffle,
            epochs: self.epochs,
            seed,
        }
    }
}

// ------------------------------------------------------------------------------------ report

type DoneTrial = Done<ParamsSweep>;

const FINAL: [&str; 4] = ["final_train_loss", "final_train_accuracy", "final_test_loss", "final_test_accuracy"];

fn report(settings: &ParamsSweep, done: &[DoneTrial]) -> Result<Report> {
    let mut report = Report::default();
    let columns = ["model", "parameters", "seed", "train loss", "train accuracy", "test loss", "test accuracy"];
    report.columns = columns.map(str::to_owned).to_vec();
    for trial in done {
        let mut row =
            vec![trial.label.clone().into(), Cell::Count(trial.record.parameters as f64), Cell::Seed(trial.trial.seed)];
        for name in FINAL {
            row.push(cell(trial.record.scalar(name)?));
        }
        report.rows.push(row);
    }
    let data = settings.spec().title();
    report.figures = vec![size_figure(settings, done, data)?, curve_figure(settings, done, data)?];
    let mut correlations = serde_json::Map::new();
    for name in FINAL {
        correlations.insert(name.to_owned(), json!(size_correlation(done, name)?));
    }
    report.summary.insert("spearman_with_parameters".into(), correlations.into());
    report.summary.insert("data".into(), data.into());
    report.claims = claims(done)?;
    Ok(report)
}

fn size_figure(settings: &ParamsSweep, done: &[DoneTrial], data: &str) -> Result<Figure> {
    let mut panels = Vec::new();
    for (quantity, y) in
        [("loss", Axis::linear("final loss (cross entropy)")), ("accuracy", Axis::linear("final accuracy"))]
    {
        let mut series = Vec::new();
        let mut all = Vec::new();
        for (color, set) in ["train", "test"].into_iter().enumerate() {
            let mut of_all = Vec::new();
            for seed in settings.seed..settings.seed + settings.repeats {
                let mut points = Vec::new();
                for trial in done.iter().filter(|trial| trial.trial.seed == seed) {
                    let value = trial.record.scalar(&format!("final_{set}_{quantity}"))?;
                    points.push((trial.record.parameters as f64, value));
                }
                points.sort_by(|a, b| a.0.total_cmp(&b.0));
                of_all.extend_from_slice(&points);
                let mark = if settings.repeats > 1 { Mark::Line } else { Mark::LinePoints };
                series.push(Series::new(set, Color::Cycle(color), points).mark(mark));
            }
            if settings.repeats > 1 {
                all.push(Series::new("", Color::Cycle(color), of_all).mark(Mark::Points));
            }
        }
        let mut series = together(series);
        series.extend(all);
        panels.push(Panel::plot("", Axis::linear("parameters"), y, series));
    }
    Ok(Figure {
        name: "size".into(),
        title: format!("Loss and accuracy against size, {data}"),
        caption: format!(
            "Final loss and accuracy on the training and test images of {data} against the number of parameters, \
             after {} epochs.{}",
            settings.epochs,
            repeats::caption(settings.repeats)
        ),
        columns: 2,
        panels,
    })
}

fn curve_figure(settings: &ParamsSweep, done: &[DoneTrial], data: &str) -> Result<Figure> {
    let mut panels = Vec::new();
    for (set, quantity) in [("train", "loss"), ("train", "accuracy"), ("test", "loss"), ("test", "accuracy")] {
        let mut curves = Vec::new();
        for trial in done {
            let (_, color) = Named::find(&settings.models, &trial.trial.model);
            // One legend serves all four panels.
            let label = if (set, quantity) == ("train", "accuracy") { trial.label.clone() } else { String::new() };
            curves.push(Curve {
                label,
                color,
                dashed: color >= 6,
                values: trial.record.series(&format!("{set}_{quantity}"))?,
            });
        }
        panels.push(panel(Axis::linear(format!("{set} {quantity}")), &curves));
    }
    Ok(Figure {
        name: "curves".into(),
        title: format!("Loss and accuracy over epochs, {data}"),
        caption: format!(
            "Loss and accuracy on the training images (means while training) and test images of {data} after each \
             epoch.{}",
            repeats::caption(settings.repeats)
        ),
        columns: 2,
        panels,
    })
}

// ------------------------------------------------------------------------------------ claims

/// Spearman's correlation of a final value with the number of parameters, over all trials.
fn size_correlation(done: &[DoneTrial], name: &str) -> Result<Option<f64>> {
    let mut pairs = Vec::new();
    for trial in done {
        pairs.push((trial.record.parameters as f64, trial.record.scalar(name)?));
    }
    Ok(spearman(&pairs))
}

/// Below this size the report sees improvement, beyond it none.
const LEVELS_OFF: i64 = 10_000;

fn claims(done: &[DoneTrial]) -> Result<Vec<Claim>> {
    // Size in thousands of parameters, and train accuracy.
    let within = |low: i64, high: i64| -> Result<Vec<(f64, f64)>> {
        let inside = done.iter().filter(|trial| (low..=high).contains(&trial.record.parameters));
        inside
            .map(|trial| Ok((trial.record.parameters as f64 / 1000.0, trial.record.scalar("final_train_accuracy")?)))
            .collect()
    };
    let (small, large) = (within(0, LEVELS_OFF)?, within(LEVELS_OFF + 1, i64::MAX)?);
    let rise = spearman_with_interval(&small);
    let rise_verdict = match rise.and_then(|rise| rise.interval) {
        Some([low, _]) if low > 0.0 => Verdict::Supported,
        Some([_, high]) if high < 0.0 => Verdict::Refuted,
        _ => Verdict::Inconclusive,
    };
    // How much of the slope below is left beyond.
    let (before, after) = (slope(&small), slope(&large));
    let left = before
        .zip(after)
        .filter(|(before, _)| before.value > 0.0)
        .map(|(before, after)| after.map(|slope| slope / before.value));
    let level_verdict = match left.and_then(|left| left.interval) {
        Some([_, high]) if high < LITTLE => Verdict::Supported,
        Some([low, _]) if low > LITTLE => Verdict::Refuted,
        _ => Verdict::Inconclusive,
    };
    let shown = |estimate: Option<Estimate>| match estimate {
        Some(Estimate { value, interval: Some([low, high]), .. }) => {
            format!("{} ({} to {})", cell(value), cell(low), cell(high))
        }
        _ => "unknown".to_owned(),
    };
    Ok(vec![
        Claim {
            id: "params-sweep-improves".into(),
            statement: "Up to about 10000 parameters loss falls and accuracy rises with size.".into(),
            verdict: rise_verdict,
            effect: rise.and_then(|rise| {
                Effect::new(
                    "Spearman's correlation of size and train accuracy up to 10000 parameters (Fisher's z)",
                    rise,
                )
            }),
            detail: format!("Spearman's correlation of size and train accuracy there: {}.", shown(rise)),
            evidence: json!({"rule": "the interval of the correlation above 0; refuted where it is below"}),
        },
        Claim {
            id: "params-sweep-levels-off".into(),
            statement: "Beyond 10000 parameters both level off.".into(),
            verdict: level_verdict,
            effect: left.and_then(|left| {
                Effect::new(
                    "slope of train accuracy beyond 10000 parameters by that below (Student's t, of the former)",
                    left,
                )
            }),
            detail: format!(
                "Train accuracy gained for each thousand parameters: {} below, {} beyond.",
                shown(before),
                shown(after)
            ),
            evidence: json!({
                "rule": format!("the interval of the slope beyond below {LITTLE} of the slope before; refuted where above"),
                "slope_below": before, "slope_beyond": after,
            }),
        },
    ])
}

/// A slope of this share of the one before is level.
const LITTLE: f64 = 0.25;
