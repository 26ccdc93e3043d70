//! `hw1 interpolate`, task 3-3-1 of the report: two trainings with small and large batches, and the
//! loss along the line through their solutions, θ(α) = (1-α)θ₁ + αθ₂ (Keskar et al. 2017). Where the
//! settings ask for it also how flat the loss is around either solution: its ε-box sharpness (Keskar et
//! al.), slices along filter-normalised random directions (Li et al. 2018) and the Hessian's spectrum
//! (Sagun et al. 2018). Longer than others, and whole: what is measured around the solutions is claimed of the same
//! pairs as the line between them.

use crate::analysis::spectrum::outliers;
use crate::analysis::statistics::{PairedComparison, RANKED_ALIKE, highest, lowest};
use crate::data::{DataSpec, Dataset};
use crate::model::Architecture;
use crate::plot::{Axis, Mark, Panel, Series};
use crate::settings;
use crate::study::claim::{Claim, Quantity, SEEDS};
use crate::study::curves::{self, Look};
use crate::study::seeds::caption_of_median;
use crate::study::table::FINAL;
use crate::study::trust::{self, Doubts};
use crate::study::{
    Cell, Context, DATASET_FLAG, Done, Experiment, Findings, Fingerprint, Flag, Held, MODEL_FLAG, Measurements,
    Records, Seeds, Size, Table, Trial as TrialTrait, With, cell, check, landscape, points,
};
use crate::tasks::Source;
use crate::tasks::around::{Around, Measure, Measures};
use crate::tasks::classifier::{ClassifierTraining, MiniBatch, objective, parameters, splits};
use crate::tasks::line::{self, Alphas, CLOSE, FEWEST_ALPHAS, Line};
use crate::tasks::sharpness::memory_of_gradient;
use crate::tasks::slices::Slices;
use crate::train::OptimizerName;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

// ---------------------------------------------------------------------------------- settings

settings! {
    #[derive(Clone, Debug, Serialize)]
    pub struct Interpolate(spec: DataSpec, line: Alphas, around: Measures, seeds: Seeds) {
        model: Architecture,
        optimizer: OptimizerName,
        learning_rate: f64,
        /// Of the solutions at α = 0 and at α = 1.
        batch_sizes: [u32; 2],
        shuffle: bool,
        epochs: u64,
        /// The second training takes so many times `epochs`: with large batches an epoch has few steps.
        second_epochs_factor: u64,
    }
}

/// α of all repeats together, each of which stands in a trial: more are a slip of the pen.
const MOST_ALPHAS_IN_ALL: u128 = 2_000_000;

// ------------------------------------------------------------------------------------- trial

/// A training, a block of α on the line through the solutions of two, or a look around one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trial {
    Training(ClassifierTraining),
    Block {
        model: Architecture,
        /// The trainings whose solutions are at α = 0 and at α = 1.
        solutions: [Source; 2],
        alphas: Vec<f64>,
        seed: u64,
    },
    /// A measure of the loss around one solution.
    Probe {
        model: Architecture,
        solution: Source,
        /// Of the training that led to the solution.
        batch_size: u32,
        measure: Measure,
        /// Training images that the loss is over.
        samples: usize,
        seed: u64,
    },
}

impl TrialTrait for Trial {
    fn seed(&self) -> u64 {
        match self {
            Self::Training(training) => training.seed,
            Self::Block { seed, .. } | Self::Probe { seed, .. } => *seed,
        }
    }

    fn cost(&self, data: Option<&dyn Dataset>) -> f64 {
        let all = data.map_or(0, |set| set.sizes().iter().sum());
        match self {
            Self::Training(training) => training.cost(data),
            Self::Block { model, alphas, .. } => line::cost(parameters(model, data), alphas, all),
            Self::Probe { model, measure, samples, .. } => measure.cost(parameters(model, data), *samples),
        }
    }
}

// ----------------------------------------------------------------------------- record and run

impl Experiment for Interpolate {
    const NAME: &'static str = "interpolate";
    const ABOUT: &'static str = "Loss along the line between two solutions (task 3-3-1)";
    const SETTINGS: &'static str = include_str!("../../experiments/interpolate.toml");
    const VERSION: u32 = 4;
    const FLAGS: &'static [Flag] = &[DATASET_FLAG, MODEL_FLAG];

    type Trial = Trial;
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        self.spec.check()?;
        check::at_least_1(&[
            ("block_size", self.line.block_size as u64),
            ("second_epochs_factor", self.second_epochs_factor),
            ("probe_size", self.around.probe_size as u64),
        ])?;
        for (name, batch_size) in ["epochs", "epochs · second_epochs_factor"].into_iter().zip(self.batch_sizes) {
            let checked = self.training(batch_size, self.seeds.seed).check(&self.spec);
            checked.map_err(|what| what.strip_prefix("epochs").map_or(what.clone(), |rest| format!("{name}{rest}")))?;
        }
        let samples = self.spec.train_size;
        if self.batch_sizes.iter().all(|batch_size| *batch_size as usize >= samples) {
            let [one, two] = self.batch_sizes;
            return Err(format!(
                "batch_sizes {one} and {two} are both all of {samples} training samples; name a smaller one with \
                 --set batch_sizes=[{},{samples}]",
                (samples / 8).max(1)
            ));
        }
        if self.batch_sizes[0] == self.batch_sizes[1] {
            return Err(format!("batch_sizes are both {}; they must differ", self.batch_sizes[0]));
        }
        self.line.check()?;
        let alphas = [("repeats", self.seeds.repeats.into()), ("alphas", self.line.alphas as u128)];
        check::product(&alphas, MOST_ALPHAS_IN_ALL)?;
        self.around.check(&self.model.network(&self.spec.signature())?)?;
        self.seeds.check()
    }

    fn size(&self) -> Size {
        let trials = 2 + self.line.most_blocks() + 2 * self.around.all().len();
        self.seeds.size(trials, "lower --repeats or alphas, or raise block_size")
    }

    fn data(&self) -> Option<Arc<dyn Dataset>> {
        Some(Arc::new(self.spec.clone()))
    }

    fn memory(&self) -> Result<Vec<Held>, String> {
        let network = self.model.network(&self.spec.signature())?;
        let of = |batch_size| self.training(batch_size, self.seeds.seed).memory(&self.spec);
        let mut kinds: Vec<Held> = self.batch_sizes.into_iter().map(of).collect::<Result<_, _>>()?;
        // What is looked at around both solutions of a seed.
        let around = [Some(memory_of_gradient(&network)), self.around.spectrum.memory(&network)];
        kinds.extend(around.into_iter().flatten().map(|held| held.by(2 * u128::from(self.seeds.repeats))));
        Ok(kinds)
    }

    fn label(&self, trial: &Trial) -> String {
        match trial {
            Trial::Training(training) => format!("batch-{}", training.fit.batch_size),
            Trial::Block { alphas, .. } => format!("alphas-{}", self.line.number_of(alphas)),
            Trial::Probe { batch_size, measure, .. } => match measure {
                Measure::Sharpness(search) => format!("sharpness-{batch_size}-{:e}", search.epsilon),
                Measure::Slices(_) => format!("slices-{batch_size}"),
                Measure::Spectrum(_) => format!("spectrum-{batch_size}"),
            },
        }
    }

    fn trials(&self, done: &Records<Self>) -> Result<Vec<Trial>> {
        let of_training = |done: &Done<Self>| match &done.trial {
            Trial::Training(training) => Some(((training.seed, training.fit.batch_size), done.fingerprint.clone())),
            Trial::Block { .. } | Trial::Probe { .. } => None,
        };
        let solutions: BTreeMap<(u64, u32), Fingerprint> = done.iter().filter_map(of_training).collect();
        let (model, samples) = (&self.model, self.images());
        let mut trials = Vec::new();
        for seed in self.seeds.all() {
            trials.extend(self.batch_sizes.map(|batch_size| Trial::Training(self.training(batch_size, seed))));
            let ends = self.batch_sizes.map(|batch_size| solutions.get(&(seed, batch_size)));
            let [Some(first), Some(second)] = ends else { continue };
            trials.extend(self.line.blocks().map(|alphas| {
                let solutions = [first, second].map(|solution| solution.clone().into());
                Trial::Block { model: model.clone(), solutions, alphas: alphas.to_vec(), seed }
            }));
            for (solution, batch_size) in [first, second].into_iter().zip(self.batch_sizes) {
                trials.extend(self.around.all().into_iter().map(|measure| {
                    let (model, solution) = (model.clone(), solution.clone().into());
                    Trial::Probe { model, solution, batch_size, measure, samples, seed }
                }));
            }
        }
        Ok(trials)
    }

    fn family(&self, trial: &Trial) -> Option<u64> {
        Some(trial.seed())
    }

    fn run_trial(trial: &Trial, cx: &mut Context) -> Result<Measurements> {
        match trial {
            Trial::Training(training) => {
                let train = cx.data()?.train.share();
                Ok(training.run(cx, &train)?.1)
            }
            Trial::Block { model, solutions: [first, second], alphas, .. } => {
                let mut splits = splits(model, cx, |layout| first.solution(layout, cx))?;
                let second = second.solution(splits.train.layout(), cx)?;
                line::evaluate(&mut splits, &second, alphas, cx)
            }
            Trial::Probe { model, solution, measure, samples, seed, .. } => {
                let mut at = objective(model, *samples, cx, |layout| solution.solution(layout, cx))?;
                // What is random in it is the same at both solutions of a seed.
                measure.measure(&mut *at, (*seed, Self::NAME), cx)
            }
        }
    }

    fn findings(&self, done: &Records<Self>) -> Result<Findings> {
        let mut findings = Findings::of(self)?;
        let (lines, solutions) = (self.lines(done), Solution::all(done));
        self.fill_table(&solutions, &mut findings)?;
        if done.iter().any(|done| done.record.diverged()) {
            let text = "Of a solution that diverged nothing on the line to it is finite but the other solution, nor \
                        what is measured around it.";
            findings.notes.push(text.to_owned());
        }
        for (seed, line) in &lines {
            let what = format!("Test loss along α, seed {seed}");
            findings.notes.push(landscape::extremes(
                &what,
                line.measured.series("alpha")?,
                line.measured.series("test_loss")?,
            ));
        }
        self.show_trainings(&solutions, &mut findings)?;
        self.show_lines(&lines, &mut findings)?;
        if !self.around.all().is_empty() {
            for solution in &solutions {
                findings.notes.extend(solution.sharpness_note()?);
            }
            findings.claims.push(barrier_between(&lines, &findings)?);
            self.show_sharpness(&solutions, &mut findings)?;
            self.show_slices(&solutions, &mut findings)?;
            self.show_spectrum(&solutions, &mut findings)?;
            let around = solutions.iter().map(|solution| solution.json(&self.around.boxes.epsilons));
            findings.summarise("around_the_solutions", around.collect::<Result<Vec<_>>>()?);
            let barrier =
                |(seed, line): &(u64, Line)| Ok(json!({"seed": seed, "train_loss_barrier": line.loss_barrier()?}));
            findings.summarise("barriers", lines.iter().map(barrier).collect::<Result<Vec<_>>>()?);
        }
        Ok(findings)
    }
}

impl Interpolate {
    fn training(&self, batch_size: u32, seed: u64) -> ClassifierTraining {
        let is_second = batch_size == self.batch_sizes[1];
        let epochs = self.epochs.saturating_mul(if is_second { self.second_epochs_factor } else { 1 });
        let &Self { optimizer, learning_rate, shuffle, .. } = self;
        MiniBatch { optimizer, learning_rate, batch_size, shuffle, epochs }.of(&self.model, seed)
    }
}

// ---------------------------------------------------------------------------------- findings

/// A finished training, and what was measured around its solution.
struct Solution<'a> {
    done: &'a Done<Interpolate>,
    batch_size: u32,
    around: Around<'a>,
}

impl<'a> Solution<'a> {
    /// Of each finished training, in their order.
    fn all(done: &'a [Done<Interpolate>]) -> Vec<Self> {
        let of_training = |end: &'a Done<Interpolate>| {
            let Trial::Training(training) = &end.trial else { return None };
            let measured = done.iter().filter_map(|done| match &done.trial {
                Trial::Probe { solution, measure, .. } if solution.is(&end.fingerprint) => {
                    Some((measure, &*done.record))
                }
                _ => None,
            });
            Some(Self { done: end, batch_size: training.fit.batch_size, around: Around::of(measured) })
        };
        done.iter().filter_map(of_training).collect()
    }

    fn seed(&self) -> u64 {
        self.done.seed()
    }

    /// A number of the trained network: see [`Measurements::after_training`].
    fn trained(&self, name: &str) -> Result<f64> {
        self.done.record.after_training(name)
    }

    fn test_error(&self) -> Result<f64> {
        self.done.record.final_error("test")
    }

    /// "Batch 256, seed 0: sharpness 20 % in the box of 1e-3 (spread over starts 0.4)."
    fn sharpness_note(&self) -> Result<Option<String>> {
        let sharpness = self.around.sharpness_in_words()?;
        Ok(sharpness.map(|words| format!("Batch {}, seed {}: {words}.", self.batch_size, self.seed())))
    }

    fn json(&self, epsilons: &[f64]) -> Result<Value> {
        let mut value = self.around.json(epsilons)?;
        value["batch_size"] = json!(self.batch_size);
        value["seed"] = json!(self.seed());
        value["test_error"] = json!(self.test_error()?);
        value["generalization_gap"] = json!(self.done.record.loss_gap()?);
        Ok(value)
    }
}

/// Fewer epochs than the report's refute nothing.
const EPOCHS: u64 = 15;

impl Interpolate {
    /// One for each seed that has blocks.
    fn lines(&self, done: &[Done<Self>]) -> Vec<(u64, Line)> {
        let blocks = self.seeds.groups(done.iter().filter(|done| matches!(done.trial, Trial::Block { .. })));
        let line = |blocks: Vec<&Done<Self>>| Line::of(&self.line, blocks.iter().map(|block| &*block.record));
        blocks.into_iter().map(|(seed, blocks)| (seed, line(blocks))).collect()
    }

    /// The solutions of each batch size, with its name and its place in the colour cycle.
    fn by_batch_size<'a>(&self, solutions: &'a [Solution<'a>]) -> [(Look, Vec<&'a Solution<'a>>); 2] {
        [0, 1].map(|place| {
            let batch_size = self.batch_sizes[place];
            let of_size = solutions.iter().filter(|solution| solution.batch_size == batch_size);
            ((format!("batch {batch_size}"), place), of_size.collect())
        })
    }

    fn fill_table(&self, solutions: &[Solution], findings: &mut Findings) -> Result<()> {
        let trainings = solutions.iter().map(|solution| solution.done);
        let mut table =
            Table::new("training", trainings).parameters().seed().count("epochs", "epochs_run").after_training(&FINAL);
        let of = |done: &Done<Self>| solutions.iter().find(|solution| solution.done.fingerprint == done.fingerprint);
        for &epsilon in &self.around.boxes.epsilons {
            table = table.column(&format!("sharpness {epsilon:e}"), |done| {
                let sharpness = of(done).map(|solution| solution.around.in_box(epsilon)).transpose()?;
                Ok(sharpness.flatten().map_or(Cell::Undefined, |(sharpness, _)| cell(sharpness)))
            });
        }
        if self.around.spectrum.eigenvalues > 0 {
            table = table.column("largest eigenvalue", |done| {
                let eigenvalues = of(done).map_or(Ok(&[][..]), |solution| solution.around.eigenvalues())?;
                Ok(eigenvalues.first().copied().map_or(Cell::Undefined, cell))
            });
        }
        findings.table(table)
    }

    /// Learning curves, and that both solutions are good ones.
    fn show_trainings(&self, solutions: &[Solution], findings: &mut Findings) -> Result<()> {
        let trainings = solutions.iter().map(|solution| solution.done);
        let panels = curves::of_both_sets(trainings, |done, set, _| {
            let is_second = |training: &ClassifierTraining| training.fit.batch_size == self.batch_sizes[1];
            let place = usize::from(matches!(&done.trial, Trial::Training(training) if is_second(training)));
            (self.seeds.legend(done.seed(), format!("batch {}, {set}", self.batch_sizes[place])), place)
        })?;
        findings.figure("curves", &[], 2, panels)?;
        let mut accuracies = Vec::new();
        for ((name, _), of_size) in self.by_batch_size(solutions) {
            let of_size = of_size.iter().map(|solution| solution.trained("final_test_accuracy"));
            let name = format!("test accuracy with {name}");
            accuracies.push(Quantity::new(name, of_size.collect::<Result<_>>()?).range([0.0, 1.0]));
        }
        let claim = findings.claim("interpolate-both-train-well", &[])?.interval(SEEDS, &accuracies);
        findings.claims.push(claim.unless_too_short(self.epochs < EPOCHS, EPOCHS));
        Ok(())
    }

    /// Loss and accuracy along the lines, and that both sets agree on them.
    fn show_lines(&self, lines: &[(u64, Line)], findings: &mut Findings) -> Result<()> {
        let curves = |quantity: &str, color: usize| -> Result<Vec<Series>> {
            let mut all = Vec::new();
            for (seed, line) in lines {
                for (set, mark) in [("train", Mark::Line), ("test", Mark::Dashed)] {
                    let look = (self.seeds.legend(*seed, format!("{set} {quantity}")), color);
                    let values = line.measured.series(&format!("{set}_{quantity}"))?;
                    all.push(points::line(look, line.measured.series("alpha")?, values).mark(mark));
                }
            }
            Ok(all)
        };
        let names = self.batch_sizes.map(|batch_size| format!("batch {batch_size}"));
        let panel = landscape::along_line(curves("loss", 0)?, curves("accuracy", 1)?, names);
        let [first, second] = &self.batch_sizes;
        let ends = [self.line.alpha_min, self.line.alpha_max];
        findings.doubt("interpolation", &Doubts::of([trust::extrapolated(ends)]));
        findings.figure("interpolation", &[("first", first), ("second", second)], 1, vec![panel])?;
        let json = |(seed, line): &(u64, Line)| {
            let mut value = json!(line.measured.series);
            value["seed"] = json!(seed);
            value
        };
        if let Some((first, further)) = lines.split_first() {
            findings.summarise("interpolation", json(first));
            findings.summarise("interpolation_further_seeds", further.iter().map(json).collect::<Vec<_>>());
        }
        findings.claims.push(moves_together(lines, findings)?);
        Ok(())
    }

    /// That small batches end in flatter minima, and that these are no better for it.
    fn show_sharpness(&self, solutions: &[Solution], findings: &mut Findings) -> Result<()> {
        let Some(&epsilon) = self.around.boxes.epsilons.first() else { return Ok(()) };
        let shown = format!("{epsilon:e}");
        let panels = self.sharpness_panels(epsilon, solutions)?;
        let of_scale = "The boxes go by the weights' own size: a network with rescaled layers computes the same, and has another \
             sharpness (Dinh et al. 2017).";
        findings.doubt("sharpness", &Doubts::of([Some(of_scale.to_owned())]));
        findings.figure("sharpness", &[("images", &self.images()), ("epsilon", &shown)], 2, panels)?;

        let flatter = findings.claim("interpolate-small-batch-flatter", &[("epsilon", &shown)])?;
        let pair = self.compared(solutions, |solution| solution.around.sharpness(epsilon))?;
        findings.claims.push(flatter.compared(SEEDS, &[pair]));

        let pair = |solution: &Solution| Ok((solution.around.sharpness(epsilon)?, solution.test_error()?));
        let pairs = solutions.iter().map(pair).collect::<Result<Vec<_>>>()?;
        let accuracies = solutions.iter().map(|solution| solution.trained("final_train_accuracy"));
        // Those of a seed start from the same weights: the seeds count.
        let seeds: BTreeSet<u64> = solutions.iter().map(Solution::seed).collect();
        let claim = findings.claim("interpolate-sharpness-generalization", &[])?;
        let name = |solution: &Solution| format!("seed {}, batch {}", solution.seed(), solution.batch_size);
        let claim = claim.named(solutions.iter().map(name)).correlated((SEEDS, seeds.len()), &pairs);
        findings.claims.push(claim.and("train_accuracy", accuracies.collect::<Result<Vec<_>>>()?));
        Ok(())
    }

    /// Sharpness by seed, and for the first ε beside the test error.
    fn sharpness_panels(&self, first: f64, solutions: &[Solution]) -> Result<Vec<Panel>> {
        /// A mark an ε; with more of them than marks, the next colours.
        const MARKS: [Mark; 3] = [Mark::Points, Mark::Circles, Mark::Crosses];
        let (mut by_seed, mut by_error) = (Vec::new(), Vec::new());
        for ((name, color), of_size) in self.by_batch_size(solutions) {
            for (index, &epsilon) in self.around.boxes.epsilons.iter().enumerate() {
                let look = (format!("{name}, ε = {epsilon:e}"), color + 2 * (index / MARKS.len()));
                by_seed.push(points::of_each(look, MARKS[index % MARKS.len()], &of_size, |solution| {
                    Ok((solution.seed() as f64, solution.around.sharpness(epsilon)?))
                })?);
            }
            by_error.push(points::of_each((name, color), Mark::Points, of_size, |solution| {
                Ok((solution.around.sharpness(first)?, 100.0 * solution.test_error()?))
            })?);
        }
        let sharpness = Axis::log(format!("sharpness (%), ε = {first:e}"));
        let seeds = solutions.iter().map(|solution| solution.seed() as f64);
        Ok(vec![
            Panel::plot("", Axis::linear("seed").levels(seeds), Axis::log("sharpness (%)"), by_seed),
            Panel::plot("", sharpness, Axis::linear("test error (%)"), by_error),
        ])
    }

    /// That along random directions, too, small batches end in flatter minima.
    fn show_slices(&self, solutions: &[Solution], findings: &mut Findings) -> Result<()> {
        if self.around.slices.directions == 0 {
            return Ok(());
        }
        let (mut curves, mut doubts) = (Vec::new(), Doubts::default());
        for (look, of_size) in self.by_batch_size(solutions) {
            for record in of_size.iter().filter_map(|solution| solution.around.slices) {
                let (steps, slices) = (record.series("step")?, Slices::losses(record));
                let far: Vec<f64> = steps.iter().map(|step| step.abs()).collect();
                slices.iter().for_each(|losses| doubts.add(trust::not_finite(losses, &far, "")));
                doubts.add(trust::apart_along(steps, &slices));
                curves.extend(slices.into_iter().map(|losses| points::line(look.clone(), steps, losses)));
            }
        }
        let with: With = &[("images", &self.images()), ("doubts", &doubts.caption())];
        findings.figure("slices", with, 1, vec![landscape::slices(curves)])?;
        findings.notes.extend(doubts.notes("slices"));
        findings.doubt("slices", &doubts);
        let flatter = findings.claim("interpolate-slices-flatter", &[])?;
        findings.claims.push(flatter.compared(SEEDS, &[self.compared(solutions, |solution| solution.around.rise())?]));
        Ok(())
    }

    /// That the Hessian has as many outliers as there are classes.
    fn show_spectrum(&self, solutions: &[Solution], findings: &mut Findings) -> Result<()> {
        if self.around.spectrum.eigenvalues == 0 {
            return Ok(());
        }
        let mut doubts = Doubts::default();
        let records = solutions.iter().filter_map(|solution| solution.around.spectrum);
        records.for_each(|record| doubts.add(trust::unconverged(record.scalars.get("converged").copied())));
        let of_seeds = caption_of_median(self.seeds.repeats, "final train loss");
        let with: With = &[("images", &self.images()), ("of_seeds", &of_seeds), ("doubts", &doubts.caption())];
        findings.figure("spectrum", with, 2, self.spectrum_panels(solutions)?)?;
        findings.notes.extend(doubts.notes("spectrum"));
        findings.doubt("spectrum", &doubts);
        let count = |solution: &Solution| Ok((solution.seed(), outliers(solution.around.eigenvalues()?)));
        let counts = solutions.iter().map(count).collect::<Result<Vec<(u64, Option<usize>)>>>()?;
        let mean_of = |seed| {
            let of_seed = counts.iter().filter(|(of, _)| *of == seed);
            let numbers: Vec<f64> = of_seed.map(|(_, count)| count.map_or(f64::NAN, |count| count as f64)).collect();
            (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
        };
        let means = self.seeds.all().filter_map(mean_of).collect();
        let means = Quantity::new("outliers, mean of a seed's solutions", means);
        let classes = self.spec.signature().target.outputs() as f64;
        let bounds = [0.8 * classes, 1.2 * classes];
        let stated = findings.claim("interpolate-outliers-classes", &[("fewest", &bounds[0]), ("most", &bounds[1])])?;
        let claim = stated.within(bounds).interval(SEEDS, &[means]);
        let shown = |(_, count): &(u64, Option<usize>)| count.map_or("unknown".to_owned(), |count| count.to_string());
        let all: Vec<String> = counts.iter().map(shown).collect();
        let note = if all.is_empty() { String::new() } else { format!("Of each solution: {}.", all.join(", ")) };
        findings.claims.push(claim.noting(&note));
        Ok(())
    }

    /// The largest eigenvalues, and the density of all at the first seed's solutions.
    fn spectrum_panels(&self, solutions: &[Solution]) -> Result<Vec<Panel>> {
        let (mut ranked, mut densities) = (Vec::new(), Vec::new());
        for (look, of_size) in self.by_batch_size(solutions) {
            for solution in &of_size {
                let loss = solution.trained("final_train_loss")?;
                ranked.push((look.clone(), solution.around.eigenvalues()?, loss));
            }
            let of_first_seed = of_size.iter().find(|solution| solution.seed() == self.seeds.seed);
            if let Some(record) = of_first_seed.and_then(|solution| solution.around.spectrum) {
                densities.push((look, record.series("node")?, record.series("weight")?));
            }
        }
        Ok(vec![landscape::eigenvalues_of_seeds(ranked, self.spec.signature().target), landscape::densities(densities)])
    }

    /// A number around the first batch size's solutions, said to be lower than around the second's.
    fn compared(&self, solutions: &[Solution], of: impl Fn(&Solution) -> Result<f64>) -> Result<PairedComparison> {
        let number = |solution: &&Solution| Ok((solution.seed(), of(solution)?));
        let [((first, _), its), ((second, _), others)] = self.by_batch_size(solutions);
        let [its, others] = [its, others].map(|of_size| of_size.iter().map(number).collect::<Result<Vec<_>>>());
        Ok(PairedComparison::of_numbers((&first, &its?), (&second, &others?)))
    }

    /// How many the loss is over in what is measured around solutions.
    fn images(&self) -> usize {
        self.around.probe_size.min(self.spec.train_size)
    }
}

fn moves_together(lines: &[(u64, Line)], findings: &Findings) -> Result<Claim> {
    let (mut held, mut correlations, mut gaps) = (Vec::new(), Vec::new(), Vec::new());
    for (_, line) in lines {
        let (correlation, gap) = (line.loss_correlation()?, line.widest_accuracy_gap()?);
        held.push(line.moves_together()?);
        correlations.push(correlation);
        gaps.push(gap);
    }
    let note = match (lowest(&correlations), highest(&gaps)) {
        (Some(correlation), Some(gap)) if correlation.is_finite() && gap.is_finite() => {
            let (correlation, gap) = (cell(correlation), cell(gap));
            format!("Lowest correlation of the losses {correlation}, widest gap of the accuracies {gap}.")
        }
        (Some(_), Some(_)) => "Some losses are not finite.".to_owned(),
        _ => String::new(),
    };
    let bounds: With = &[("ranked_alike", &RANKED_ALIKE), ("close", &CLOSE), ("fewest_alphas", &FEWEST_ALPHAS)];
    let claim = findings.claim("interpolate-move-together", bounds)?.counted(SEEDS, &held).noting(&note);
    let claim = claim.beside("rank correlation of the losses", &correlations).beside("widest gap of accuracies", &gaps);
    Ok(claim.and("loss_spearman", correlations).and("widest_accuracy_gap", gaps))
}

/// Whether the error rises on the way from one solution to the other by what Frankle et al. call a barrier.
fn barrier_between(lines: &[(u64, Line)], findings: &Findings) -> Result<Claim> {
    let of_errors = lines.iter().map(|(_, line)| line.error_hill()).collect::<Result<_>>()?;
    let of_losses = lines.iter().map(|(_, line)| line.loss_barrier()).collect::<Result<Vec<_>>>()?;
    let note = match of_losses.len() {
        0 => String::new(),
        n => format!("Mean barrier of the train loss: {}.", cell(of_losses.iter().sum::<f64>() / n as f64)),
    };
    let quantity = Quantity::new("barrier of the train error", of_errors).range([-1.0, 1.0]);
    let claim = findings.claim("interpolate-barrier", &[])?.interval(SEEDS, &[quantity]);
    Ok(claim.noting(&note).and("train_loss_barriers", of_losses))
}
