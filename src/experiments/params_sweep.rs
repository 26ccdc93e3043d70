//! `hw1 params-sweep`, task 3-2 of the report: loss and accuracy of networks 784-2k-k-10 against
//! their number of parameters.

use crate::analysis::statistics::spearman;
use crate::classify::{Curve, Training, panel};
use crate::data::batches::{DataSpec, DatasetName};
use crate::experiment::{
    Claim, Context, DATASET_FLAG, Done, Experiment, Flag, Measurements, Records, Report, Verdict, cell, check,
};
use crate::model::{Classifier, Named};
use crate::plot::{Axis, Color, Figure, Mark, Panel, Series};
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
    const FLAGS: &'static [Flag] = &[
        DATASET_FLAG,
        Flag {
            name: "model",
            value_name: "LAYERS",
            setting: "models",
            repeatable: true,
            parse: Flag::text,
            help: "A network, like 784-20-10-10; replaces the report's eleven",
        },
    ];

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
        let mut row = vec![trial.label.clone(), trial.record.parameters.to_string(), trial.trial.seed.to_string()];
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
        for seed in settings.seed..settings.seed + settings.repeats {
            for (color, set) in ["train", "test"].into_iter().enumerate() {
                let mut points = Vec::new();
                for trial in done.iter().filter(|trial| trial.trial.seed == seed) {
                    let value = trial.record.scalar(&format!("final_{set}_{quantity}"))?;
                    points.push((trial.record.parameters as f64, value));
                }
                points.sort_by(|a, b| a.0.total_cmp(&b.0));
                let label = if seed == settings.seed { set } else { "" };
                series.push(Series::new(label, Color::Cycle(color), points).mark(Mark::LinePoints));
            }
        }
        panels.push(Panel::plot("", Axis::linear("parameters"), y, series));
    }
    Ok(Figure {
        name: "size".into(),
        title: format!("Loss and accuracy against size, {data}"),
        caption: format!(
            "Final loss and accuracy on the training and test images of {data} against the number of parameters, \
             after {} epochs.",
            settings.epochs
        ),
        columns: 2,
        panels,
    })
}

fn curve_figure(settings: &ParamsSweep, done: &[DoneTrial], data: &str) -> Result<Figure> {
    let mut panels = Vec::new();
    for (set, quantity) in [("train", "loss"), ("train", "accuracy"), ("test", "loss"), ("test", "accuracy")] {
        let mut curves = Vec::new();
        for trial in done.iter().filter(|trial| trial.trial.seed == settings.seed) {
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
             epoch, seed {}.",
            settings.seed
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
    let small: Vec<&DoneTrial> = done.iter().filter(|trial| trial.record.parameters <= LEVELS_OFF).collect();
    let mut pairs = Vec::new();
    for trial in &small {
        pairs.push((trial.record.parameters as f64, trial.record.scalar("final_train_accuracy")?));
    }
    let rise = spearman(&pairs);
    // Gain in accuracy for each thousand parameters, on either side.
    let gain = |low: i64, high: i64| -> Result<Option<f64>> {
        let mut inside: Vec<(f64, f64)> = Vec::new();
        for trial in done.iter().filter(|trial| (low..=high).contains(&trial.record.parameters)) {
            inside.push((trial.record.parameters as f64, trial.record.scalar("final_train_accuracy")?));
        }
        inside.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(match (inside.first(), inside.last()) {
            (Some(first), Some(last)) if last.0 > first.0 => Some((last.1 - first.1) / (last.0 - first.0) * 1000.0),
            _ => None,
        })
    };
    let (before, after) = (gain(0, LEVELS_OFF)?, gain(LEVELS_OFF, i64::MAX)?);
    let rise_verdict = match rise {
        Some(rise) if rise >= 0.8 => Verdict::Supported,
        Some(rise) if rise <= 0.0 => Verdict::Refuted,
        _ => Verdict::Inconclusive,
    };
    let level_verdict = match (before, after) {
        (Some(before), Some(after)) if before > 0.0 && after < 0.25 * before => Verdict::Supported,
        (Some(before), Some(after)) if before > 0.0 && after >= before => Verdict::Refuted,
        _ => Verdict::Inconclusive,
    };
    let shown = |value: Option<f64>| value.map_or("unknown".to_owned(), cell);
    Ok(vec![
        Claim {
            id: "params-sweep-improves".into(),
            statement: "Up to about 10000 parameters loss falls and accuracy rises with size.".into(),
            verdict: rise_verdict,
            detail: format!("Spearman correlation of size and train accuracy there: {}.", shown(rise)),
            evidence: json!({"spearman": rise, "n": small.len()}),
        },
        Claim {
            id: "params-sweep-levels-off".into(),
            statement: "Beyond 10000 parameters both level off.".into(),
            verdict: level_verdict,
            detail: format!(
                "Train accuracy gained for each thousand parameters: {} below, {} beyond.",
                shown(before),
                shown(after)
            ),
            evidence: json!({"gain_below": before, "gain_beyond": after}),
        },
    ])
}
