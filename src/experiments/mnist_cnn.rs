//! `hw1 mnist-cnn`, task 1-2 of the report: convolutional networks of three sizes learn digits.

use crate::analysis::statistics::{PairedComparison, half_of_share, highest, trend_over_epochs};
use crate::data::batches::{DataSpec, DatasetName, Samples, grey};
use crate::model::{Classifier, Named};
use crate::plot::{Axis, Content, Figure, HeatMap, Images as ImageGrid, Panel};
use crate::study::claim::{Claim, Claimed, Quantity, SEEDS};
use crate::study::models_flag;
use crate::study::old::{Curve, ends, panel};
use crate::study::seeds;
use crate::study::{
    Cell, Context, DATASET_FLAG, Done, Experiment, Findings, Flag, Measurements, Record as RecordTrait, Records, Size,
    cell, check,
};
use crate::tasks::classifier::{ClassifierTraining, MiniBatch};
use crate::train::OptimizerName;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

// ---------------------------------------------------------------------------------- settings

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MnistCnn {
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

/// The curves, and what the final network makes of the test images.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    #[serde(flatten)]
    measurements: Measurements,
    /// Test images by true digit (rows) and predicted digit (columns), 10 × 10.
    confusion: Vec<u64>,
    /// The most confident of the wrong predictions, the most confident first.
    misclassified: Vec<Misclassified>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Misclassified {
    /// Place in the test set.
    index: i64,
    truth: u8,
    predicted: u8,
    /// Probability of the predicted digit.
    confidence: f64,
    /// 784 grey values, 0 background.
    pixels: Vec<u8>,
}

impl RecordTrait for Record {
    fn measurements(&self) -> &Measurements {
        &self.measurements
    }
}

const CLASSES: usize = 10;
/// Misclassified digits that are kept.
const KEPT: usize = 20;

crate::settings_as_before!(MnistCnn);

impl Experiment for MnistCnn {
    const NAME: &'static str = "mnist-cnn";
    const ABOUT: &'static str = "Convolutional networks of three sizes learn digits (task 1-2)";
    const SETTINGS: &'static str = include_str!("../../experiments/mnist-cnn.toml");
    const VERSION: u32 = 3;
    const FLAGS: &'static [Flag] = &[
        DATASET_FLAG,
        models_flag("A network, like conv16-conv32-128-10 or wide=784-256-10; replaces the report's three"),
    ];

    type Trial = ClassifierTraining;
    type Record = Record;

    fn check(&self) -> Result<(), String> {
        self.spec().check()?;
        Named::check(&self.models)?;
        for named in &self.models {
            self.trial(&named.model, self.seed).check()?;
        }
        check::seeds(self.seed, self.repeats)
    }

    fn size(&self) -> Size {
        Size::of_seeds(self.repeats, self.models.len() as u128, "lower --repeats, or name fewer models")
    }

    fn data(&self) -> Option<DataSpec> {
        Some(self.spec())
    }

    fn label(&self, trial: &ClassifierTraining) -> String {
        Named::find(&self.models, &trial.model).0
    }

    fn trials(&self, _: &Records<Self>) -> Result<Vec<ClassifierTraining>> {
        let of_seed = |seed: u64| self.models.iter().map(move |named| self.trial(&named.model, seed));
        Ok((self.seed..self.seed + self.repeats).flat_map(of_seed).collect())
    }

    fn run_trial(trial: &ClassifierTraining, cx: &mut Context) -> Result<Record> {
        let train = cx.images()?.train.on(cx.device);
        let (objective, measurements) = trial.run(cx, &train)?;
        let test = &cx.images()?.test;
        // Of one forward pass: the matrix's diagonal is the accuracy beside it.
        let (found, predicted, confidence) = objective.classify(test);
        let measurements = measurements.and([("final_test_loss", found.loss), ("final_test_accuracy", found.accuracy)]);
        let predicted: Vec<i64> = predicted.f_to_device(Device::Cpu)?.try_into()?;
        let confidence: Vec<f64> = confidence.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?.try_into()?;
        let (confusion, misclassified) = errors(&predicted, &confidence, test)?;
        Ok(Record { measurements, confusion, misclassified })
    }

    fn findings(&self, done: &Records<Self>) -> Result<Findings> {
        report(self, &done.0)
    }
}

impl MnistCnn {
    fn spec(&self) -> DataSpec {
        DataSpec { dataset: self.dataset, train_size: self.train_size, test_size: self.test_size }
    }

    fn trial(&self, model: &Classifier, seed: u64) -> ClassifierTraining {
        ClassifierTraining {
            model: model.clone(),
            fit: MiniBatch {
                optimizer: self.optimizer,
                learning_rate: self.learning_rate,
                batch_size: self.batch_size,
                shuffle: self.shuffle,
                epochs: self.epochs,
            },
            seed,
        }
    }
}

/// The confusion matrix, and the most confident errors with their pixels.
fn errors(predicted: &[i64], confidence: &[f64], test: &Samples) -> Result<(Vec<u64>, Vec<Misclassified>)> {
    let labels: Vec<i64> = test.labels.f_to_device(Device::Cpu)?.try_into()?;
    let mut confusion = vec![0; CLASSES * CLASSES];
    let mut wrong = Vec::new();
    for (index, (&truth, &predicted)) in labels.iter().zip(predicted).enumerate() {
        confusion[truth as usize * CLASSES + predicted as usize] += 1;
        if truth != predicted {
            wrong.push(index);
        }
    }
    // The first in the set where two are equally sure.
    wrong.sort_by(|&a, &b| confidence[b].total_cmp(&confidence[a]).then(a.cmp(&b)));
    wrong.truncate(KEPT);
    let mut kept = Vec::new();
    for index in wrong {
        kept.push(Misclassified {
            index: index as i64,
            truth: labels[index] as u8,
            predicted: predicted[index] as u8,
            confidence: confidence[index],
            pixels: grey(&test.images.f_select(0, index as i64)?)?,
        });
    }
    Ok((confusion, kept))
}

// ------------------------------------------------------------------------------------ report

type DoneTrial = Done<MnistCnn>;

fn report(settings: &MnistCnn, done: &[DoneTrial]) -> Result<Findings> {
    let mut report = Findings::default();
    let columns = [
        "model",
        "parameters",
        "seed",
        "running loss, epoch 1",
        "running accuracy, epoch 1",
        "train loss",
        "train accuracy",
        "test loss",
        "test accuracy",
    ];
    report.columns = columns.map(str::to_owned).to_vec();
    for trial in done {
        let record = &trial.record.measurements;
        report.rows.push(vec![
            trial.label.clone().into(),
            Cell::Count(record.parameters as f64),
            Cell::Seed(trial.trial.seed),
            cell(ends(record, "train_loss")?.0),
            cell(ends(record, "train_accuracy")?.0),
            cell(record.after_training("final_train_loss")?),
            cell(record.after_training("final_train_accuracy")?),
            cell(record.after_training("final_test_loss")?),
            cell(record.after_training("final_test_accuracy")?),
        ]);
    }
    if settings.dataset == DatasetName::Mnist {
        report.notes.push(
            "Reported, all as running means over an epoch while training: CNN_1 starts at train loss 0.335, accuracy \
             0.907; CNN_3 ends at 0.0098, 0.9968."
                .to_owned(),
        );
    }
    let data = settings.spec().title();
    for (set, name) in [("train", "training"), ("test", "test")] {
        report.figures.push(Figure {
            name: format!("{name}-curves"),
            title: format!("{} on {data}", if set == "train" { "ClassifierTraining" } else { "Test" }),
            caption: format!(
                "Loss and accuracy on the {name} images of {data} after each epoch{}.{}",
                if set == "train" { ", running means while training" } else { "" },
                seeds::caption(settings.repeats)
            ),
            columns: 2,
            panels: vec![
                curves(settings, done, &format!("{set}_loss"), Axis::log(format!("{name} loss (cross entropy)")))?,
                curves(settings, done, &format!("{set}_accuracy"), Axis::linear(format!("{name} accuracy")))?,
            ],
        });
    }
    for trial in done.iter().filter(|trial| trial.trial.seed == settings.seed) {
        report.figures.extend(error_figures(trial, data));
    }
    report.summary.insert("data".into(), data.into());
    report.claims = claims(settings, done)?;
    Ok(report)
}

fn curves(settings: &MnistCnn, done: &[DoneTrial], name: &str, y: Axis) -> Result<Panel> {
    let mut curves = Vec::new();
    for trial in done {
        let (label, color) = Named::find(&settings.models, &trial.trial.model);
        let label = if trial.trial.seed == settings.seed { label } else { String::new() };
        curves.push(Curve { label, color, dashed: color >= 6, values: trial.record.measurements.series(name)? });
    }
    Ok(panel(y, &curves))
}

/// The confusion matrix and the most confident errors of one network.
fn error_figures(trial: &DoneTrial, data: &str) -> Vec<Figure> {
    let (label, record) = (&trial.label, &trial.record);
    let digits: Vec<String> = (0..CLASSES).map(|digit| digit.to_string()).collect();
    // The diagonal would drown the errors: it has no shade.
    let shades = (0..CLASSES * CLASSES)
        .map(|at| if at / CLASSES == at % CLASSES { f64::NAN } else { record.confusion[at] as f64 })
        .collect();
    let confusion = HeatMap {
        x: "predicted digit".into(),
        y: "true digit".into(),
        columns: digits.clone(),
        rows: digits,
        counts: record.confusion.clone(),
        shades,
    };
    let stem = label.to_ascii_lowercase();
    let mut figures = vec![Figure {
        name: format!("confusion-{stem}"),
        title: format!("Confusion matrix of {label}, {data}"),
        caption: format!("Test images of {data} by true and predicted digit; the darker, the more errors."),
        columns: 1,
        panels: vec![Panel { title: String::new(), content: Content::HeatMap(confusion) }],
    }];
    if !record.misclassified.is_empty() {
        let images = record.misclassified.iter().map(|wrong| {
            let caption = format!("true {},\npredicted {} ({:.2})", wrong.truth, wrong.predicted, wrong.confidence);
            (caption, wrong.pixels.clone())
        });
        figures.push(Figure {
            name: format!("misclassified-{stem}"),
            title: format!("Most confident errors of {label}, {data}"),
            caption: format!("Test images of {data} that {label} misclassifies with the highest probability."),
            columns: 1,
            panels: vec![Panel {
                title: String::new(),
                content: Content::Images(ImageGrid { size: (28, 28), columns: 5, images: images.collect() }),
            }],
        });
    }
    figures
}

// ------------------------------------------------------------------------------------ claims

/// A gap of this much between train and test accuracy is little overfitting.
const LITTLE: f64 = 0.02;
/// From here on a loss falls throughout, in rank correlation with the epoch.
const FALLS: f64 = -0.9;

fn claims(settings: &MnistCnn, done: &[DoneTrial]) -> Result<Vec<Claim>> {
    let mut falls = Vec::new();
    for seed in settings.seed..settings.seed + settings.repeats {
        let trends = done.iter().filter(|trial| trial.trial.seed == seed).map(|trial| {
            let record = &trial.record.measurements;
            // A training that diverged did not fall, whatever it did before.
            let diverged = record.diverged();
            Ok(if diverged { f64::INFINITY } else { trend_over_epochs(record.series("train_loss")?) })
        });
        let trends = trends.collect::<Result<Vec<f64>>>()?;
        // Of a model whose trial failed it cannot be told.
        let all = trends.len() == settings.models.len();
        falls.extend(highest(&trends).map(|highest| (all && !highest.is_nan()).then_some(highest <= FALLS)));
    }
    let mut claims = vec![
        Claim::counted(
            "mnist-cnn-loss-falls",
            &format!(
                "The training loss falls with every model: its running mean and the epoch correlate at {FALLS} or below."
            ),
            SEEDS,
            &falls,
            &format!("Spearman's correlation of epoch and running training loss at most {FALLS} with every model"),
        ),
        overfitting(settings, done)?,
    ];
    let mut models: Vec<_> = settings.models.iter().collect();
    models.sort_by_key(|named| named.model.layout().parameters());
    let mut pairs = Vec::new();
    type Of = fn(&Measurements) -> Result<f64>;
    for pair in models.windows(2) {
        for (quantity, of) in [
            ("running train loss of epoch 1", (|record| Ok(ends(record, "train_loss")?.0)) as Of),
            ("final train loss", |record| record.after_training("final_train_loss")),
            ("running train error of epoch 1", |record| Ok(1.0 - ends(record, "train_accuracy")?.0)),
            ("final train error", |record| Ok(1.0 - record.after_training("final_train_accuracy")?)),
        ] {
            let of_model = |model: &Classifier| -> Result<Vec<(u64, f64)>> {
                let trials = done.iter().filter(|trial| trial.trial.model == *model);
                trials.map(|trial| Ok((trial.trial.seed, of(&trial.record.measurements)?))).collect()
            };
            let (small, large) = (of_model(&pair[0].model)?, of_model(&pair[1].model)?);
            let name = |named: &Named<Classifier>| format!("{quantity} of {}", named.label());
            pairs.push(PairedComparison::of_losses((&name(pair[1]), &large), (&name(pair[0]), &small)));
        }
    }
    if !pairs.is_empty() {
        claims.push(Claim::compared(
            "mnist-cnn-larger-is-better",
            "The larger the model, the lower the training loss and the higher the accuracy, from the first epoch on.",
            SEEDS,
            &pairs,
            "losses and error rates of neighbours in size: the first epoch's running means, and those after training",
        ));
    }
    Ok(claims)
}

/// The gap between train and test accuracy of every model. The test images are a sample of all there could be,
/// the same one for all seeds.
fn overfitting(settings: &MnistCnn, done: &[DoneTrial]) -> Result<Claim> {
    let mut gaps = Vec::new();
    for named in &settings.models {
        let (mut of_model, mut half) = (Vec::new(), 0f64);
        for trial in done.iter().filter(|trial| trial.trial.model == named.model) {
            let after = |name: &str| trial.record.measurements.after_training(name);
            let (train, test) = (after("final_train_accuracy")?, after("final_test_accuracy")?);
            of_model.push(train - test);
            half = half.max(half_of_share(test, settings.test_size));
        }
        let name = format!("gap of {}", named.label());
        gaps.push(Quantity::new(name, of_model).range([-1.0, 1.0]).further_half(half));
    }
    Ok(Claim::interval(
        "mnist-cnn-little-overfitting",
        &format!("There is little overfitting: train and test accuracy are less than {LITTLE} apart."),
        SEEDS,
        &gaps,
        Claimed::Below(LITTLE),
        "final train accuracy minus final test accuracy of each model, its interval widened by that of the test images",
    ))
}
