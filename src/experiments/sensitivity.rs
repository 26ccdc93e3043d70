//! `hw1 sensitivity`, task 3-3-2 of the report: trainings with small to large batches, and how strongly the networks
//! answer to small changes of their input. Where trainings end once the labels are fitted, also whether that goes with
//! the generalization gap, over networks of many widths, optimizers, rates, batch sizes, and on random labels (Novak et
//! al. 2018). Whole, for both ask the same trainings: one set of settings, one record and one table.

use crate::analysis::sensitivity::highest_by_lowest;
use crate::analysis::statistics::PairedComparison;
use crate::data::{DataSpec, Dataset};
use crate::model::Architecture;
use crate::plot::{Axis, Color, Mark, Panel, Series};
use crate::settings;
use crate::study::claim::{Claim, SEEDS, Unit};
use crate::study::seeds::means_at_points;
use crate::study::table::FINAL;
use crate::study::trust::{self, Doubts};
use crate::study::{
    Context, DATASET_FLAG, Done, Experiment, Findings, Flag, Held, MODEL_FLAG, Measurements, Records, Seeds, Size,
    Table, With, check, curves, points,
};
use crate::tasks::classifier::parameters;
use crate::tasks::recipe::Recipe;
use crate::tasks::sensitivity::{FINAL_INPUT_GRADIENT, FINAL_JACOBIAN, INPUT_GRADIENT, JACOBIAN, MeasuredTraining};
use crate::tasks::sharpness::memory_of_gradient;
use crate::train::OptimizerName;
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

// ---------------------------------------------------------------------------------- settings

settings! {
    #[derive(Clone, Debug, Serialize)]
    pub struct Sensitivity(spec: DataSpec, seeds: Seeds) {
        model: Architecture,
        trainings: Vec<Recipe>,
        shuffle: bool,
        epochs: u64,
        /// Each training ends once it gets this share of its training labels right, 0…1; 0: at the last epoch.
        fitted: f64,
        /// Each epoch's `jacobian_norm` is over the first so many test images.
        probe_size: usize,
    }
}

// ---------------------------------------------------------------------- trial, record and run

impl Experiment for Sensitivity {
    const NAME: &'static str = "sensitivity";
    const ABOUT: &'static str = "Sensitivity to the input against batch size (task 3-3-2)";
    const SETTINGS: &'static str = include_str!("../../experiments/sensitivity.toml");
    const VERSION: u32 = 4;
    const FLAGS: &'static [Flag] = &[
        DATASET_FLAG,
        MODEL_FLAG,
        Flag::new(
            "training",
            "RECIPE",
            "trainings",
            "Batch size, optimizer, learning rate, and if wanted a network and random-labels, like \"32 adam 1e-3\"; \
             replaces the report's five",
        )
        .repeatable(),
    ];

    type Trial = MeasuredTraining;
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        self.spec.check()?;
        if self.trainings.is_empty() {
            return Err("trainings is empty: name at least one with --training".into());
        }
        let test_size = self.spec.test_size;
        for (index, recipe) in self.trainings.iter().enumerate() {
            let training = self.trial(recipe, self.seeds.seed).training;
            training.check(&self.spec).map_err(|what| format!("trainings: '{recipe}': {what}"))?;
            match self.trainings[..index].iter().find(|other| other.trains_as(recipe)) {
                Some(other) if other == recipe => return Err(format!("trainings: '{recipe}' is given twice")),
                Some(other) => {
                    return Err(format!(
                        "trainings: float32 cannot tell the learning rates of '{other}' and '{recipe}' apart"
                    ));
                }
                None => {}
            }
            if recipe.batch_size as usize > test_size {
                return Err(format!(
                    "test_size is {test_size}; input_gradient_norm needs at least one full batch of {} test samples: \
                     name smaller batches with --training, or leave this study out of hw1 all with --skip sensitivity",
                    recipe.batch_size
                ));
            }
        }
        if !(0.0..=1.0).contains(&self.fitted) {
            return Err(format!("fitted is {}; it must be from 0 (train all epochs) to 1", self.fitted));
        }
        check::at_least_1(&[("probe_size", self.probe_size as u64)])?;
        self.seeds.check()
    }

    fn size(&self) -> Size {
        self.seeds.size(self.trainings.len(), "lower --repeats, or name fewer trainings")
    }

    fn data(&self) -> Option<Arc<dyn Dataset>> {
        Some(Arc::new(self.spec.clone()))
    }

    fn memory(&self) -> Result<Vec<Held>, String> {
        // What the outputs derive to by each input is the largest beside a batch.
        let network = self.model.network(&self.spec.signature())?;
        let of = |recipe| {
            let held = self.trial(recipe, self.seeds.seed).training.memory(&self.spec)?;
            Ok(Held { bytes: held.bytes + memory_of_gradient(&network).bytes, ..held })
        };
        self.trainings.iter().map(of).collect()
    }

    /// By the batch size, where that says which.
    fn label(&self, trial: &MeasuredTraining) -> String {
        let recipe = self.recipe(trial);
        match self.trainings.iter().filter(|other| other.batch_size == recipe.batch_size).count() {
            0 | 1 => format!("batch-{}", recipe.batch_size),
            _ => format!("batch-{}", recipe.to_string().replace(' ', "-")),
        }
    }

    fn trials(&self, _: &Records<Self>) -> Result<Vec<MeasuredTraining>> {
        Ok(self.seeds.each(&self.trainings, |recipe, seed| self.trial(recipe, seed)))
    }

    fn run_trial(trial: &MeasuredTraining, cx: &mut Context) -> Result<Measurements> {
        trial.run(cx)
    }

    fn findings(&self, done: &Records<Self>) -> Result<Findings> {
        let mut findings = Findings::of(self)?;
        let table = Table::new("training", &done.0)
            .column("optimizer", |done| Ok(self.recipe(&done.trial).optimization().into()))
            .seed()
            .after_training(&FINAL)
            .after_training(&[("input gradient", FINAL_INPUT_GRADIENT), ("Jacobian", FINAL_JACOBIAN)]);
        findings.table(table)?;
        if self.fitted > 0.0 {
            self.show_configurations(done, &mut findings)?;
        } else {
            self.show_trainings(done, &mut findings)?;
            findings.claims = self.claims(done, &findings)?;
        }
        findings.summarise("parameters", parameters(&self.model, Some(&self.spec)) as i64);
        Ok(findings)
    }
}

impl Sensitivity {
    /// Test samples that the Jacobian is over after each epoch: so many, or all there are.
    fn probe_size(&self) -> usize {
        self.probe_size.min(self.spec.test_size)
    }

    fn trial(&self, recipe: &Recipe, seed: u64) -> MeasuredTraining {
        MeasuredTraining {
            probe_size: self.probe_size(),
            fitted: (self.fitted > 0.0).then_some(self.fitted),
            random_labels: recipe.random_labels,
            training: recipe.training(&self.model, self.shuffle, self.epochs, seed),
        }
    }

    /// A trial's place among the trainings, for its colour.
    fn place(&self, trial: &MeasuredTraining) -> usize {
        let is_of =
            |recipe: &Recipe| recipe.random_labels == trial.random_labels && recipe.is_of(&trial.training, &self.model);
        self.trainings.iter().position(is_of).unwrap_or(0)
    }

    fn recipe(&self, trial: &MeasuredTraining) -> &Recipe {
        &self.trainings[self.place(trial)]
    }

    /// The finished trainings of each recipe, of all seeds.
    fn by_recipe<'a>(&self, done: &'a [Done<Self>]) -> Vec<(&Recipe, Vec<&'a Done<Self>>)> {
        let mut groups: Vec<_> = self.trainings.iter().map(|recipe| (recipe, Vec::new())).collect();
        for done in done {
            groups[self.place(&done.trial)].1.push(done);
        }
        groups
    }

    /// Whether the trainings differ in nothing but their batch sizes.
    fn is_of_one_optimizer(&self) -> bool {
        let all_but_batch = |recipe: &Recipe| (recipe.optimization(), recipe.model.clone(), recipe.random_labels);
        let is_same = |pair: &[Recipe]| all_but_batch(&pair[0]) == all_but_batch(&pair[1]);
        self.trainings.len() > 1 && self.trainings.windows(2).all(is_same)
    }
}

// ----------------------------------------------------------------- figures of the trainings

impl Sensitivity {
    fn show_trainings(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        let first_only = Doubts::of([trust::first_of(SEEDS, self.seeds.groups(done).len())]);
        for done in done.iter().filter(|done| done.seed() == self.seeds.seed) {
            self.show_training(done, findings)?;
            findings.doubt(&format!("training-{}", done.label), &first_only);
        }
        let look = |done: &Done<Self>| (done.label.clone(), self.place(&done.trial));
        let of_input = curves::of_series(Axis::log("input gradient norm"), done, INPUT_GRADIENT, look)?;
        // One legend serves both panels.
        let look = |done: &Done<Self>| (String::new(), self.place(&done.trial));
        let of_outputs = curves::of_series(Axis::log("Jacobian norm"), done, JACOBIAN, look)?;
        findings.figure("sensitivity", &[("probe_size", &self.probe_size())], 2, vec![of_input, of_outputs])?;
        self.show_final_numbers(done, findings)?;
        if self.is_of_one_optimizer() { self.show_gap(done, findings) } else { Ok(()) }
    }

    /// The report's two panels of one training: loss with sensitivity, accuracy with sensitivity.
    fn show_training(&self, done: &Done<Self>, findings: &mut Findings) -> Result<()> {
        let values = done.record.series(INPUT_GRADIENT)?;
        let with_sensitivity = |panel: Panel| {
            let sensitivity = curves::curve(("sensitivity".into(), 1), false, values);
            panel.right(Axis::linear("input gradient norm"), vec![sensitivity])
        };
        let panels = curves::of_both_sets([done], |_, set, quantity| (format!("{set} {quantity}"), 0))?;
        let panels = panels.into_iter().map(with_sensitivity).collect();
        let recipe = self.recipe(&done.trial);
        let optimization = recipe.optimization();
        let with: With = &[("label", &done.label), ("batch_size", &recipe.batch_size), ("optimization", &optimization)];
        findings.figure("training", with, 2, panels)
    }

    /// What remains at the end against batch size.
    fn show_final_numbers(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        let (all, mut seen) = (self.trainings.iter().map(Recipe::optimization), BTreeSet::new());
        let optimizations: Vec<String> = all.filter(|each| seen.insert(each.clone())).collect();
        let mut by_batch_size: Vec<&Done<Self>> = done.iter().collect();
        by_batch_size.sort_by(|a, b| a.trial.batch_size().total_cmp(&b.trial.batch_size()));
        let panel = |y, names: &[&str], has_legend: bool| -> Result<Panel> {
            let mut series = Vec::new();
            for (color, optimization) in optimizations.iter().enumerate() {
                let is_of = |done: &&Done<Self>| self.recipe(&done.trial).optimization() == *optimization;
                let trainings: Vec<_> = by_batch_size.iter().copied().filter(is_of).collect();
                for (name, (set, mark)) in names.iter().zip([("train", Mark::LinePoints), ("test", Mark::Dashed)]) {
                    let label = if has_legend { format!("{optimization}, {set}") } else { String::new() };
                    let point = |done: &Done<Self>| Ok((done.trial.batch_size(), done.record.after_training(name)?));
                    let line = points::of_each_seed(self.seeds, &trainings, (label, color), mark, point)?;
                    if mark == Mark::Dashed {
                        // Its points beside it.
                        let beside = |line: &Series| Series { label: String::new(), ..line.clone() }.mark(Mark::Points);
                        series.extend(line.iter().map(beside));
                    }
                    series.extend(line);
                }
            }
            Ok(Panel::plot("", batch_axis(done), y, means_at_points(series)))
        };
        let panels = vec![
            panel(Axis::log("final loss (cross entropy)"), &["final_train_loss", "final_test_loss"], false)?,
            // One legend serves all four panels.
            panel(Axis::linear("final accuracy"), &["final_train_accuracy", "final_test_accuracy"], true)?,
            panel(Axis::log("input gradient norm"), &[FINAL_INPUT_GRADIENT], false)?,
            panel(Axis::log("Jacobian norm"), &[FINAL_JACOBIAN], false)?,
        ];
        findings.figure("overview", &[], 2, panels)
    }

    /// The generalization gap at the final weights against the Jacobian's norm, each training a point.
    fn show_gap(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        let (mut by_batch, mut by_gap) = (Vec::new(), Vec::new());
        for (color, (recipe, trials)) in self.by_recipe(done).into_iter().enumerate() {
            let norm = |done: &Done<Self>| done.record.scalar(FINAL_JACOBIAN);
            let gap = |done: &Done<Self>| Ok((norm(done)?, done.record.loss_gap()?));
            let batch = |done: &Done<Self>| Ok((done.trial.batch_size(), norm(done)?));
            let mark = if color < 6 { Mark::Points } else { Mark::Circles };
            by_gap.push(points::of_each((format!("batch {}", recipe.batch_size), color), mark, trials.clone(), gap)?);
            by_batch.push(points::of_each((String::new(), color), mark, trials, batch)?);
        }
        let panels = vec![
            Panel::plot("", batch_axis(done), Axis::linear("Jacobian norm"), by_batch),
            Panel::plot("", Axis::linear("Jacobian norm"), Axis::linear("test loss − train loss"), by_gap),
        ];
        findings.figure("gap", &[], 2, panels)
    }
}

/// Few sizes, each with its tick.
fn batch_axis(done: &[Done<Sensitivity>]) -> Axis {
    Axis::log("batch size").levels(done.iter().map(|done| done.trial.batch_size()))
}

// ------------------------------------------------------------------- claims of the trainings

/// The report's.
const EPOCHS: u64 = 10;

impl Sensitivity {
    /// The report's sentences. Trainings with one optimizer are judged by the Jacobian's norm, which does not depend
    /// on the batch size by its definition, and by what that goes with.
    fn claims(&self, done: &[Done<Self>], findings: &Findings) -> Result<Vec<Claim>> {
        let is_long = self.epochs >= EPOCHS;
        // Of a training with this optimizer: the running mean of the first epoch, and the number at the end.
        let first_and_final = |done: &Done<Self>, optimizer, quantity: &str| -> Result<Option<(f64, f64)>> {
            let (first, _) = done.record.first_and_last(&format!("train_{quantity}"))?;
            let last = done.record.after_training(&format!("final_train_{quantity}"))?;
            Ok((done.trial.training.fit.optimizer == optimizer).then_some((first, last)))
        };
        let n = self.trainings.len();
        // Too short ones tell nothing, however many.
        let enough = if is_long { n } else { usize::MAX };
        let fallen = self.seeds.cases(done, enough, |done| {
            Ok(first_and_final(done, OptimizerName::Adam, "loss")?.map(|(first, last)| last / first))
        })?;
        let risen = self.seeds.cases(done, enough, |done| {
            Ok(first_and_final(done, OptimizerName::Sgd, "accuracy")?.map(|(first, last)| last - first))
        })?;
        let one_optimizer = self.is_of_one_optimizer();
        let (series, name) =
            if one_optimizer { (JACOBIAN, "Jacobian norm") } else { (INPUT_GRADIENT, "input gradient norm") };
        let ratio = self.seeds.cases(done, enough, |done| Ok(Some(highest_by_lowest(done.record.series(series)?))))?;
        let note = if is_long { String::new() } else { format!("Fewer than {EPOCHS} epochs tell nothing.") };
        let [adam, sgd] = [OptimizerName::Adam, OptimizerName::Sgd].map(|optimizer| self.curves_with(done, optimizer));
        let [falls, rises] =
            ["sensitivity-adam-loss-falls", "sensitivity-sgd-accuracy-rises"].map(|key| findings.claim(key, &[]));
        let mut claims = vec![
            falls?.shown_in(adam).worst_within(SEEDS, &fallen).noting(&note),
            rises?.shown_in(sgd).worst_within(SEEDS, &risen).noting(&note),
            findings.claim("sensitivity-constant", &[("name", &name)])?.worst_within(SEEDS, &ratio).noting(&note),
        ];
        if one_optimizer {
            let norm = |done: &Done<Self>| done.record.after_training(FINAL_JACOBIAN);
            let gaps = self.seeds.cases(done, n, |done| Ok(Some((norm(done)?, done.record.loss_gap()?))))?;
            let norms = self.seeds.cases(done, n, |done| Ok(Some((done.trial.batch_size(), norm(done)?))))?;
            claims.push(findings.claim("sensitivity-loss-gap", &[])?.correlated_within(SEEDS, &gaps));
            claims.push(findings.claim("sensitivity-falls-with-batch-size", &[])?.correlated_within(SEEDS, &norms));
        }
        Ok(claims)
    }
}

impl Sensitivity {
    /// The figures of the trainings with this optimizer.
    fn curves_with(&self, done: &[Done<Self>], optimizer: OptimizerName) -> Vec<String> {
        let of_first = done.iter().filter(|done| done.seed() == self.seeds.seed);
        let its = of_first.filter(|done| done.trial.training.fit.optimizer == optimizer);
        its.map(|done| format!("training-{}", done.label)).collect()
    }
}

// ----------------------------------------------------------- trainings that end where they fit

/// What is repeated where networks are compared with each other, each the mean of its seeds.
const CONFIGURATIONS: Unit = Unit { one: "configuration", many: "configurations", more: "" };

/// A recipe with what its trainings came to, over the seeds that fitted their labels.
struct Configuration {
    recipe: Recipe,
    /// The study's where the recipe names none.
    model: String,
    seeds: usize,
    fitted: usize,
    /// Mean norm of the Jacobian over the test images; NaN where no seed fitted.
    jacobian: f64,
    /// Mean of train accuracy minus test accuracy.
    gap: f64,
}

impl Sensitivity {
    fn show_configurations(&self, done: &[Done<Self>], findings: &mut Findings) -> Result<()> {
        let configurations = self.configurations(done)?;
        let left_out = self.left_out(&configurations);
        let with: With = &[("share", &(100.0 * self.fitted)), ("left_out", &left_out)];
        findings.figure("gap-of-configurations", with, 2, configuration_panels(&configurations))?;
        let fitted: usize = configurations.iter().map(|each| each.fitted).sum();
        let is_partial = fitted < configurations.iter().map(|each| each.seeds).sum();
        findings.doubt("gap", &Doubts::of([is_partial.then(|| left_out.clone())]));
        findings.notes.push(left_out);
        findings.claims = configuration_claims(&configurations, findings)?;
        Ok(())
    }

    /// One a recipe that has a training, in their order.
    fn configurations(&self, done: &[Done<Self>]) -> Result<Vec<Configuration>> {
        let mut all = Vec::new();
        for (recipe, trials) in self.by_recipe(done).into_iter().filter(|(_, trials)| !trials.is_empty()) {
            let (mut norms, mut gaps) = (Vec::new(), Vec::new());
            for done in &trials {
                let after = |name: &str| done.record.after_training(name);
                let (train, test) = (after("final_train_accuracy")?, after("final_test_accuracy")?);
                if train >= self.fitted {
                    norms.push(after(FINAL_JACOBIAN)?);
                    gaps.push(train - test);
                }
            }
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
            all.push(Configuration {
                recipe: recipe.clone(),
                model: recipe.network(&self.model).to_string(),
                seeds: trials.len(),
                fitted: norms.len(),
                jacobian: mean(&norms),
                gap: mean(&gaps),
            });
        }
        Ok(all)
    }

    fn left_out(&self, configurations: &[Configuration]) -> String {
        let trainings: usize = configurations.iter().map(|each| each.seeds).sum();
        let fitted: usize = configurations.iter().map(|each| each.fitted).sum();
        let none = configurations.iter().filter(|each| each.fitted == 0).count();
        format!(
            "{fitted} of {trainings} trainings got {} % of their labels right within {} epochs; the others, all those \
             of {none} of {} configurations among them, are left out of figure and claims.",
            100.0 * self.fitted,
            self.epochs,
            configurations.len()
        )
    }
}

/// The generalization gap against the Jacobian's norm, and that against the batch size; a point a configuration.
fn configuration_panels(configurations: &[Configuration]) -> Vec<Panel> {
    let models: BTreeSet<&str> = configurations.iter().map(|each| each.model.as_str()).collect();
    let (mut by_gap, mut by_batch) = (Vec::new(), Vec::new());
    for (color, model) in models.into_iter().enumerate() {
        for (random, labels, mark) in [(false, "true", Mark::Points), (true, "random", Mark::Crosses)] {
            let is_of = |each: &&Configuration| {
                each.fitted > 0 && (each.model.as_str(), each.recipe.random_labels) == (model, random)
            };
            let of_kind: Vec<&Configuration> = configurations.iter().filter(is_of).collect();
            if of_kind.is_empty() {
                continue;
            }
            let gaps = of_kind.iter().map(|each| (each.jacobian, each.gap)).collect();
            let norms = of_kind.iter().map(|each| (f64::from(each.recipe.batch_size), each.jacobian)).collect();
            by_gap.push(Series::new(format!("{model}, {labels} labels"), Color::Cycle(color), gaps).mark(mark));
            by_batch.push(Series::new("", Color::Cycle(color), norms).mark(mark));
        }
    }
    let batch_sizes = configurations.iter().map(|each| f64::from(each.recipe.batch_size));
    vec![
        Panel::plot("", Axis::log("Jacobian norm"), Axis::linear("train accuracy − test accuracy"), by_gap),
        Panel::plot("", Axis::log("batch size").levels(batch_sizes), Axis::log("Jacobian norm"), by_batch),
    ]
}

fn configuration_claims(configurations: &[Configuration], findings: &Findings) -> Result<Vec<Claim>> {
    let fitted: Vec<&Configuration> = configurations.iter().filter(|each| each.fitted > 0).collect();
    let gap = |key: &str, is_of: fn(&Configuration) -> bool| -> Result<Claim> {
        let of_kind: Vec<_> = fitted.iter().filter(|each| is_of(each)).collect();
        let pairs: Vec<(f64, f64)> = of_kind.iter().map(|each| (each.jacobian, each.gap)).collect();
        let names = of_kind.iter().map(|each| each.recipe.to_string());
        Ok(findings.claim(key, &[])?.named(names).correlated((CONFIGURATIONS, pairs.len()), &pairs))
    };
    // Each that has one beside it, of several that of the next larger batch, is a case.
    let compared = |key: &str, names: [&str; 2], is_beside: fn(&Recipe, &Recipe) -> bool| -> Result<Claim> {
        let (mut own, mut others, mut cases) = (Vec::new(), Vec::new(), Vec::new());
        for (case, each) in (0..).zip(&fitted) {
            let kind = |each: &Configuration| (each.model.clone(), each.recipe.optimization());
            let is_beside =
                |other: &&&Configuration| kind(each) == kind(other) && is_beside(&each.recipe, &other.recipe);
            if let Some(other) = fitted.iter().filter(is_beside).min_by_key(|other| other.recipe.batch_size) {
                own.push((case, each.jacobian));
                others.push((case, other.jacobian));
                cases.push(format!("{} beside {}", each.recipe, other.recipe));
            }
        }
        let pair = PairedComparison::of_numbers((names[0], &own), (names[1], &others));
        Ok(findings.claim(key, &[])?.named(cases).compared(CONFIGURATIONS, &[pair]))
    };
    let labels = ["the Jacobian norm on true labels", "that on random labels"];
    let batches = ["the Jacobian norm with the smaller batch", "that with the larger"];
    Ok(vec![
        gap("sensitivity-generalization-gap", |_| true)?,
        gap("sensitivity-generalization-gap-true-labels", |each| !each.recipe.random_labels)?,
        compared("sensitivity-random-labels", labels, |own, other| {
            !own.random_labels && other.random_labels && own.batch_size == other.batch_size
        })?,
        compared("sensitivity-rises-with-batch-size", batches, |own, other| {
            own.random_labels == other.random_labels && own.batch_size < other.batch_size
        })?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Access;
    use crate::study::Settings as _;

    fn configuration(recipe: &str, jacobian: f64, gap: f64) -> Configuration {
        let recipe: Recipe = recipe.parse().unwrap();
        let model = recipe.model.as_ref().map_or("784-10".to_owned(), ToString::to_string);
        Configuration { recipe, model, seeds: 2, fitted: usize::from(!jacobian.is_nan()), jacobian, gap }
    }

    #[test]
    fn configurations_are_compared_with_those_that_differ_in_one_thing() {
        use crate::study::claim::Verdict::{Inconclusive, Refuted, Supported};
        let mut all = Vec::new();
        for (i, optimization) in ["adam 1e-3", "adam 1e-2", "sgd 1e-1", "sgd 1e-2", "sgd 1e-3"].iter().enumerate() {
            let up = i as f64 / 100.0;
            for (batch, labels, norm) in
                [(32, "", 1.0), (256, "", 2.0), (32, " random-labels", 4.0), (256, " random-labels", 3.0)]
            {
                // The gap rises with the norm among all, and falls with it on true labels.
                let gap = if labels.is_empty() { 0.1 - norm / 100.0 - up } else { 0.5 + norm + up };
                all.push(configuration(&format!("{batch} {optimization}{labels}"), norm + up, gap));
            }
        }
        // What did not fit has no part in it.
        all.push(configuration("32 sgd 1e-9", f64::NAN, f64::NAN));
        let study = Sensitivity::read(&mut Sensitivity::SETTINGS.parse().unwrap(), &Access::default()).unwrap();
        let findings = Findings::of(&study).unwrap();
        let claims = |of: &[Configuration]| configuration_claims(of, &findings).unwrap();
        let verdicts: Vec<_> = claims(&all).iter().map(|claim| claim.verdict).collect();
        assert_eq!(verdicts, [Supported, Refuted, Supported, Inconclusive]);
        let few: Vec<_> = claims(&all[..4]).iter().map(|claim| claim.verdict).collect();
        assert_eq!(few, [Inconclusive; 4]);
        // Five true-label pairs say larger batches are more sensitive, five random ones the opposite.
        let detail = &claims(&all)[3].detail;
        assert!(detail.contains("in 5 of 10"), "{detail}");
    }
}
