//! `hw1 mnist-cnn`, task 1-2 of the report: convolutional networks of three sizes learn digits.

use crate::analysis::statistics::{PairedComparison, half_of_share, highest, trend_over_epochs};
use crate::data::{DataSpec, Dataset};
use crate::model::{Architecture, Named};
use crate::plot::{Axis, Content, HeatMap, Images, Panel};
use crate::settings;
use crate::study::claim::{Claim, Quantity, SEEDS};
use crate::study::number::shortened_apart;
use crate::study::table::FINAL;
use crate::study::trust::{self, Doubts};
use crate::study::{
    Context, DATASET_FLAG, Done, Experiment, Findings, Flag, Held, MODELS_FLAG, Measurements, Record as RecordTrait,
    Records, Seeds, Size, Table, curves,
};
use crate::tasks::classifier::{ClassifierTraining, MiniBatch, parameters};
use crate::tasks::confusion::Confusion;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

// ---------------------------------------------------------------------------------- settings

settings! {
    #[derive(Clone, Debug, Serialize)]
    pub struct MnistCnn(spec: DataSpec, fit: MiniBatch, seeds: Seeds) {
        models: Vec<Named<Architecture>>,
    }
}

// -------------------------------------------------------------------- trial, record and run

/// The curves, and what the final network makes of the test images.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    #[serde(flatten)]
    measurements: Measurements,
    #[serde(flatten)]
    errors: Confusion,
}

impl RecordTrait for Record {
    fn measurements(&self) -> &Measurements {
        &self.measurements
    }
}

impl Experiment for MnistCnn {
    const NAME: &'static str = "mnist-cnn";
    const ABOUT: &'static str = "Convolutional networks of three sizes learn digits (task 1-2)";
    const SETTINGS: &'static str = include_str!("../../experiments/mnist-cnn.toml");
    const VERSION: u32 = 4;
    const FLAGS: &'static [Flag] = &[DATASET_FLAG, MODELS_FLAG];

    type Trial = ClassifierTraining;
    type Record = Record;

    fn check(&self) -> Result<(), String> {
        self.spec.check()?;
        Named::check(&self.models)?;
        self.models.iter().try_for_each(|named| self.fit.of(&named.model, self.seeds.seed).check(&self.spec))?;
        self.seeds.check()
    }

    fn size(&self) -> Size {
        self.seeds.size(self.models.len(), "lower --repeats, or name fewer models")
    }

    fn data(&self) -> Option<Arc<dyn Dataset>> {
        Some(Arc::new(self.spec.clone()))
    }

    fn memory(&self) -> Result<Vec<Held>, String> {
        self.models.iter().map(|named| self.fit.of(&named.model, self.seeds.seed).memory(&self.spec)).collect()
    }

    fn label(&self, trial: &ClassifierTraining) -> String {
        Named::find(&self.models, &trial.model).0
    }

    fn trials(&self, _: &Records<Self>) -> Result<Vec<ClassifierTraining>> {
        Ok(self.seeds.each(&self.models, |named, seed| self.fit.of(&named.model, seed)))
    }

    fn run_trial(trial: &ClassifierTraining, cx: &mut Context) -> Result<Record> {
        let train = cx.data()?.train.share();
        let (mut splits, measurements) = trial.run(cx, &train)?;
        let (found, errors) = Confusion::of(&mut *splits.test, cx.data()?)?;
        let measurements = measurements.and([("final_test_loss", found.loss), ("final_test_accuracy", found.accuracy)]);
        Ok(Record { measurements, errors })
    }

    fn findings(&self, done: &Records<Self>) -> Result<Findings> {
        let mut findings = Findings::of(self)?;
        let table = Table::new("model", done)
            .parameters()
            .seed()
            .number("running loss, epoch 1", |record| Ok(record.first_and_last("train_loss")?.0))
            .number("running accuracy, epoch 1", |record| Ok(record.first_and_last("train_accuracy")?.0));
        findings.table(table.after_training(&FINAL))?;
        for (set, name) in [("train", "training"), ("test", "test")] {
            let panel = |quantity: &str, y| {
                curves::of_series(y, done, &format!("{set}_{quantity}"), |done| {
                    let (label, color) = Named::find(&self.models, &done.trial.model);
                    (self.seeds.legend(done.seed(), label), color)
                })
            };
            let panels = vec![
                panel("loss", Axis::log(format!("{name} loss (cross entropy)")))?,
                panel("accuracy", Axis::linear(format!("{name} accuracy")))?,
            ];
            findings.figure(&format!("{name}-curves"), &[], 2, panels)?;
        }
        let first_only = Doubts::of([trust::first_of(SEEDS, self.seeds.groups(done).len())]);
        for done in done.iter().filter(|done| done.seed() == self.seeds.seed) {
            let before = findings.figures.len();
            show_errors(&self.spec, done, &mut findings)?;
            let names: Vec<String> = findings.figures[before..].iter().map(|figure| figure.name.clone()).collect();
            names.iter().for_each(|name| findings.doubt(name, &first_only));
        }
        findings.claims = self.claims(done, &findings)?;
        Ok(findings)
    }
}

// ---------------------------------------------------------------------------------- findings

/// The confusion matrix and the most confident errors of one network.
fn show_errors(set: &dyn Dataset, done: &Done<MnistCnn>, findings: &mut Findings) -> Result<()> {
    let (label, Confusion { confusion, misclassified }) = (&done.label, &done.record.errors);
    let (one, names) = (set.one(), set.class_names());
    // The diagonal would drown the errors: it has no shade.
    let is_right = |at: usize| at / names.len() == at % names.len();
    let shade = |(at, count): (usize, &u64)| if is_right(at) { f64::NAN } else { *count as f64 };
    let matrix = HeatMap {
        x: format!("predicted {one}"),
        y: format!("true {one}"),
        columns: names.clone(),
        shades: confusion.iter().enumerate().map(shade).collect(),
        rows: names.clone(),
        counts: confusion.clone(),
    };
    let stem = label.to_ascii_lowercase();
    let panel = |content| vec![Panel { title: String::new(), content }];
    findings.figure("confusion", &[("label", label), ("stem", &stem)], 1, panel(Content::HeatMap(matrix)))?;
    let Some([height, width]) = set.signature().shown() else { return Ok(()) };
    // Nothing, where samples are no pictures or none is wrong.
    if misclassified.iter().all(|wrong| wrong.pixels.is_empty()) {
        return Ok(());
    }
    let shown = shortened_apart(&names, LONGEST_NAME);
    let image = misclassified.iter().map(|wrong| {
        let [truth, predicted] = [wrong.truth, wrong.predicted].map(|class| &shown[class as usize]);
        (format!("true {truth},\npredicted {predicted} ({:.2})", wrong.confidence), wrong.pixels.clone())
    });
    let images = Images::of((width, height), 5, image.collect(), one == "digit");
    findings.figure("misclassified", &[("label", label), ("stem", &stem)], 1, panel(Content::Images(images)))
}

/// Letters of a class's name above a picture, with its probability.
const LONGEST_NAME: usize = 13;

/// Of the epoch and the running train loss, of the model whose loss falls least.
const TREND: &str = "highest rank correlation";

/// From here on a loss falls throughout, in rank correlation with the epoch.
const FALLS: f64 = -0.9;

impl MnistCnn {
    fn claims(&self, done: &[Done<Self>], findings: &Findings) -> Result<Vec<Claim>> {
        // Of each seed the model whose loss falls least; of a model whose trial failed it cannot be told.
        let trends = self.seeds.numbers(done, self.models.len(), |trials| {
            let trend = |done: &&Done<Self>| {
                let record = done.measured();
                // A training that diverged did not fall, whatever it did before.
                Ok(if record.diverged() { f64::INFINITY } else { trend_over_epochs(record.series("train_loss")?) })
            };
            let trends = trials.iter().map(trend).collect::<Result<Vec<f64>>>()?;
            Ok(highest(&trends).unwrap_or(f64::NAN))
        })?;
        let falls: Vec<_> = trends.iter().map(|trend| (!trend.is_nan()).then_some(*trend <= FALLS)).collect();
        let mut claims = vec![
            findings.claim("mnist-cnn-loss-falls", &[("falls", &FALLS)])?.counted(SEEDS, &falls).beside(TREND, &trends),
            findings.claim("mnist-cnn-little-overfitting", &[])?.interval(SEEDS, &self.overfitting(done)?),
        ];
        let pairs = self.neighbours_in_size(done)?;
        if !pairs.is_empty() {
            claims.push(findings.claim("mnist-cnn-larger-is-better", &[])?.compared(SEEDS, &pairs));
        }
        Ok(claims)
    }

    /// The gap between train and test accuracy of every model. The test images are a sample of all there could be,
    /// the same one for all seeds.
    fn overfitting(&self, done: &[Done<Self>]) -> Result<Vec<Quantity>> {
        let of_model = |named: &Named<Architecture>| {
            let (mut gaps, mut half) = (Vec::new(), 0f64);
            for done in done.iter().filter(|done| done.trial.model == named.model) {
                let after = |name: &str| done.measured().after_training(name);
                let (train, test) = (after("final_train_accuracy")?, after("final_test_accuracy")?);
                gaps.push(train - test);
                half = half.max(half_of_share(test, self.spec.test_size));
            }
            Ok(Quantity::new(format!("gap of {}", named.label()), gaps).range([-1.0, 1.0]).further_half(half))
        };
        self.models.iter().map(of_model).collect()
    }

    /// Losses and errors of each model and the next larger one, by seed.
    fn neighbours_in_size(&self, done: &[Done<Self>]) -> Result<Vec<PairedComparison>> {
        type Of = fn(&Measurements) -> Result<f64>;
        let quantities: [(&str, Of); 4] = [
            ("running train loss of epoch 1", |record| Ok(record.first_and_last("train_loss")?.0)),
            ("final train loss", |record| record.after_training("final_train_loss")),
            ("running train error of epoch 1", |record| Ok(1.0 - record.first_and_last("train_accuracy")?.0)),
            ("final train error", |record| Ok(1.0 - record.after_training("final_train_accuracy")?)),
        ];
        let mut models: Vec<_> = self.models.iter().collect();
        let size = |named: &Named<Architecture>| parameters(&named.model, Some(&self.spec));
        models.sort_by(|a, b| size(a).total_cmp(&size(b)));
        let mut pairs = Vec::new();
        for pair in models.windows(2) {
            for (quantity, of) in quantities {
                let of_model = |named: &Named<Architecture>| -> Result<_> {
                    let trials = done.iter().filter(|done| done.trial.model == named.model);
                    let values = trials.map(|done| Ok((done.seed(), of(done.measured())?)));
                    Ok((format!("{quantity} of {}", named.label()), values.collect::<Result<Vec<_>>>()?))
                };
                let (small, large) = (of_model(pair[0])?, of_model(pair[1])?);
                pairs.push(PairedComparison::of_losses((&large.0, &large.1), (&small.0, &small.1)));
            }
        }
        Ok(pairs)
    }
}
