//! `hw1 pca-weights`, task 2-1 of the report: several trainings of one network, and the paths of
//! their weights in the plane of the two principal components of all snapshots together. With a
//! `grid`, also each training's path on the loss surface of its own plane (Li et al. 2018).

use crate::analysis::paths::{Ends, from_their_cluster, mean_distance};
use crate::analysis::statistics::RANKED_ALIKE;
use crate::data::{DataSpec, Dataset};
use crate::model::{Architecture, Model as _};
use crate::plot::Axis;
use crate::settings;
use crate::study::claim::{TRAININGS, Unit};
use crate::study::number::{percent, some_of};
use crate::study::surface::{PathOnSurface, Paths, beside_the_plane};
use crate::study::table::FINAL;
use crate::study::trust::{self, Doubts};
use crate::study::{
    Context, DATASET_FLAG, Done, Experiment, Findings, Flag, Held, MODEL_FLAG, Measurements, Records, Seeds, Size,
    TRAININGS_FLAG, Table, Trial as TrialTrait, With, check, curves, seeds,
};
use crate::tasks::Source;
use crate::tasks::classifier::{ClassifierTraining, MiniBatch, network, objective, parameters};
use crate::tasks::paths::{self, Frame, Rows};
use anyhow::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::iter::zip;
use std::sync::Arc;

// ---------------------------------------------------------------------------------- settings

settings! {
    #[derive(Clone, Debug, Serialize)]
    pub struct PcaWeights(spec: DataSpec, fit: MiniBatch, seeds: Seeds) {
        model: Architecture,
        /// Of each repeat.
        trainings: u64,
        /// Weights are kept after the first epoch and every so many from there.
        snapshot_every: u64,
        /// Points along either side of each training's loss surface; 0 for none.
        grid: usize,
        /// The first so many training images, or all: the loss of the surface is over these.
        surface_size: usize,
        /// Points of the grid that one trial evaluates.
        block_size: usize,
    }
}

/// More points along a side than this are a slip of the pen.
const MOST_GRID: usize = 301;
/// The Gram matrix of all snapshots grows with the square of their number.
const MOST_SNAPSHOTS: u64 = 5_000;
/// Of all repeats together.
const MOST_NAMED: u128 = 1_000_000;

impl PcaWeights {
    /// The epochs after which weights are kept, counted from 1.
    fn snapshots(&self) -> Vec<u64> {
        paths::epochs(self.fit.epochs, self.snapshot_every).collect()
    }

    fn check_snapshots(&self) -> Result<(), String> {
        check::at_least_1(&[("snapshot_every", self.snapshot_every)])?;
        let each = self.fit.epochs.div_ceil(self.snapshot_every);
        let snapshots = self.trainings.saturating_mul(each);
        if snapshots > MOST_SNAPSHOTS {
            return Err(format!(
                "{snapshots} snapshots of all trainings: at most {MOST_SNAPSHOTS} are analysed; raise snapshot_every"
            ));
        }
        // Each is named in the trials that look at it.
        check::product(&[("repeats", self.seeds.repeats.into()), ("snapshots of each", snapshots.into())], MOST_NAMED)?;
        paths::memory(&self.model.network(&self.spec.signature())?, snapshots, each).iter().try_for_each(Held::check)
    }

    fn check_surface(&self) -> Result<(), String> {
        if self.grid == 1 || self.grid > MOST_GRID {
            return Err(format!("grid is {}; it must be from 2 to {MOST_GRID}, or 0 for no surface", self.grid));
        }
        check::at_least_1(&[("surface_size", self.surface_size as u64), ("block_size", self.block_size as u64)])
    }
}

// ------------------------------------------------------------------------------------- trial

/// A training with snapshots, or what is measured at those of finished trainings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Trial {
    Training {
        #[serde(flatten)]
        training: ClassifierTraining,
        snapshot_every: u64,
    },
    Pca {
        model: Architecture,
        /// In this order their snapshots are the rows.
        trainings: Vec<Source>,
        /// The epochs after which each has a snapshot.
        snapshots: Vec<u64>,
        /// Of the first training.
        seed: u64,
    },
    /// The plane of one training's path from its initial to its final weights.
    Plane {
        model: Architecture,
        training: Source,
        snapshots: Vec<u64>,
        /// Of the training; the path ends there.
        epochs: u64,
        /// Training images that the loss is over.
        samples: usize,
        seed: u64,
    },
    /// The loss at some points of the grid over a plane, counted row by row.
    Surface { model: Architecture, plane: Source, grid: usize, first: usize, points: usize, samples: usize, seed: u64 },
}

impl TrialTrait for Trial {
    fn seed(&self) -> u64 {
        match self {
            Self::Training { training, .. } => training.seed,
            Self::Pca { seed, .. } | Self::Plane { seed, .. } | Self::Surface { seed, .. } => *seed,
        }
    }

    fn cost(&self, data: Option<&dyn Dataset>) -> f64 {
        let (model, samples) = match self {
            Self::Training { training, .. } => return training.cost(data),
            Self::Pca { model, trainings, snapshots, .. } => (model, (trainings.len() * snapshots.len()) as f64),
            // A pass forward is a third of a step.
            Self::Plane { model, snapshots, samples, .. } => (model, (2 * snapshots.len() * samples) as f64 / 3.0),
            Self::Surface { model, points, samples, .. } => (model, (points * samples) as f64 / 3.0),
        };
        parameters(model, data) * samples
    }
}

impl PcaWeights {
    /// The analysis of the trainings of a group, from its first seed on, once all of them are done. One that diverged
    /// has no weights to show.
    fn pca(&self, first: u64, of_group: &[&Done<Self>]) -> Option<Trial> {
        let whole = of_group.iter().filter(|done| !done.record.diverged());
        let trainings: Vec<Source> = whole.map(|done| done.fingerprint.clone().into()).collect();
        let is_due = of_group.len() as u64 == self.trainings && !trainings.is_empty();
        is_due.then(|| Trial::Pca { model: self.model.clone(), trainings, snapshots: self.snapshots(), seed: first })
    }

    /// The plane of a finished training's path; a training that diverged has none.
    fn plane(&self, done: &Done<Self>) -> Option<Trial> {
        (!done.record.diverged()).then(|| Trial::Plane {
            model: self.model.clone(),
            training: done.fingerprint.clone().into(),
            snapshots: self.snapshots(),
            epochs: self.fit.epochs,
            samples: self.surface_size.min(self.spec.train_size),
            seed: done.seed(),
        })
    }

    /// The blocks of a finished plane's surface.
    fn surface(&self, done: &Done<Self>) -> Vec<Trial> {
        let Trial::Plane { model, samples, seed, .. } = &done.trial else { return Vec::new() };
        let all = self.grid * self.grid;
        let block = |first: usize| Trial::Surface {
            model: model.clone(),
            plane: done.fingerprint.clone().into(),
            grid: self.grid,
            first,
            points: self.block_size.min(all - first),
            samples: *samples,
            seed: *seed,
        };
        (0..all).step_by(self.block_size).map(block).collect()
    }

    /// Of a training, from 1, within its group.
    fn number(&self, seed: u64) -> u64 {
        (seed - self.seeds.seed) % self.trainings + 1
    }
}

fn trainings(done: &[Done<PcaWeights>]) -> impl Iterator<Item = &Done<PcaWeights>> + Clone {
    done.iter().filter(|done| matches!(done.trial, Trial::Training { .. }))
}

// ----------------------------------------------------------------------------- record and run

impl Experiment for PcaWeights {
    const NAME: &'static str = "pca-weights";
    const ABOUT: &'static str = "Paths of trainings in the plane of their principal components (task 2-1)";
    const SETTINGS: &'static str = include_str!("../../experiments/pca-weights.toml");
    const VERSION: u32 = 4;
    const CASE: Option<Unit> = Some(TRAININGS);
    const FLAGS: &'static [Flag] = &[DATASET_FLAG, MODEL_FLAG, TRAININGS_FLAG];

    type Trial = Trial;
    /// Of an analysis see [`paths::principal_components`], its rows in the order of trainings, then epochs; of a plane
    /// [`paths::plane`], of a part of its surface [`paths::surface`].
    type Record = Measurements;

    fn check(&self) -> Result<(), String> {
        self.spec.check()?;
        check::within("trainings", self.trainings, 1..=MOST_SNAPSHOTS)?;
        self.check_snapshots()?;
        self.fit.of(&self.model, self.seeds.seed).check(&self.spec)?;
        self.check_surface()?;
        self.seeds.check_groups(self.trainings)
    }

    fn size(&self) -> Size {
        // A training, its plane, and the blocks of that.
        let blocks = (self.grid as u128 * self.grid as u128).div_ceil(self.block_size.max(1) as u128);
        let trials_each = if self.grid == 0 { 1 } else { 2 + blocks };
        let trials = trials_each.saturating_mul(self.trainings.into()).saturating_add(1);
        Size::of_seeds(self.seeds.repeats, trials, "lower --repeats, trainings or grid, or raise block_size")
    }

    fn data(&self) -> Option<Arc<dyn Dataset>> {
        Some(Arc::new(self.spec.clone()))
    }

    fn memory(&self) -> Result<Vec<Held>, String> {
        let network = self.model.network(&self.spec.signature())?;
        let each = self.fit.epochs.div_ceil(self.snapshot_every);
        let trainings = u128::from(self.seeds.repeats) * u128::from(self.trainings);
        let training = self.fit.of(&self.model, self.seeds.seed).memory(&self.spec)?;
        let kinds = paths::memory(&network, self.trainings.saturating_mul(each), each);
        let [saved, analysis, plane] = kinds;
        let saved = Held { bytes: saved.bytes + training.bytes, ..saved }.by(trainings);
        let plane = plane.by(if self.grid == 0 { 0 } else { trainings });
        Ok(vec![training, saved, analysis.by(self.seeds.repeats), plane])
    }

    fn label(&self, trial: &Trial) -> String {
        let number = self.number(trial.seed());
        match trial {
            Trial::Training { .. } => format!("training-{number}"),
            Trial::Pca { .. } => "pca".to_owned(),
            Trial::Plane { .. } => format!("plane-{number}"),
            Trial::Surface { first, .. } => format!("surface-{number}-{}", first / self.block_size + 1),
        }
    }

    fn trials(&self, done: &Records<Self>) -> Result<Vec<Trial>> {
        let finished: BTreeMap<u64, &Done<Self>> = trainings(done).map(|done| (done.seed(), done)).collect();
        let snapshot_every = self.snapshot_every;
        let training = |seed| Trial::Training { training: self.fit.of(&self.model, seed), snapshot_every };
        let mut trials = Vec::new();
        for group in 0..self.seeds.repeats {
            let first = self.seeds.seed + group * self.trainings;
            let seeds = first..first + self.trainings;
            trials.extend(seeds.clone().map(training));
            let of_group: Vec<&Done<Self>> = finished.range(seeds).map(|(_, done)| *done).collect();
            trials.extend(self.pca(first, &of_group));
        }
        if self.grid > 0 {
            trials.extend(trainings(done).filter_map(|done| self.plane(done)));
            trials.extend(done.iter().flat_map(|done| self.surface(done)));
        }
        Ok(trials)
    }

    fn family(&self, trial: &Trial) -> Option<u64> {
        Some((trial.seed().saturating_sub(self.seeds.seed)) / self.trainings.max(1))
    }

    fn run_trial(trial: &Trial, cx: &mut Context) -> Result<Measurements> {
        match trial {
            Trial::Training { training, snapshot_every } => paths::train(training, *snapshot_every, cx),
            Trial::Pca { model, trainings, snapshots, .. } => {
                let layout = network(model, cx.data()?)?.layout();
                let mut rows = Rows::new(trainings.len() * snapshots.len(), &layout, cx.scratch())?;
                for training in trainings {
                    let saved = training.read(cx)?;
                    snapshots
                        .iter()
                        .try_for_each(|epoch| rows.push(&paths::snapshot(&saved, &layout, *epoch)?.theta))?;
                    cx.check_stop()?;
                }
                paths::principal_components(&layout, &rows, cx)
            }
            Trial::Plane { model, training, snapshots, epochs, samples, .. } => {
                let saved = training.read(cx)?;
                let mut at = objective(model, *samples, cx, |layout| saved.weights("final", layout))?;
                let (epochs, rows) = paths::path(&saved, at.layout(), snapshots, *epochs)?;
                paths::plane(&mut *at, (&epochs, &rows), cx)
            }
            Trial::Surface { model, plane, grid, first, points, samples, .. } => {
                let saved = plane.read(cx)?;
                let mut at = objective(model, *samples, cx, |layout| saved.weights(Frame::CORNER, layout))?;
                let frame = Frame::read(&saved, at.layout())?;
                paths::surface(&mut *at, &frame, *grid, *first..first + points, cx)
            }
        }
    }

    fn findings(&self, done: &Records<Self>) -> Result<Findings> {
        let mut findings = Findings::of(self)?;
        findings.table(Table::new("training", trainings(done)).parameters().seed().after_training(&FINAL))?;
        findings.summarise("snapshot_epochs", self.snapshots());
        let (analyses, surfaces) = (self.analyses(done)?, self.surfaces(done)?);
        self.draw_surfaces(&surfaces, &mut findings)?;
        self.draw_paths(&analyses, &mut findings)?;
        let of_first_group = trainings(done).filter(|done| done.seed() - self.seeds.seed < self.trainings);
        let panels = curves::of_each_quantity(Axis::log, of_first_group, |done| {
            let number = self.number(done.seed());
            (format!("training {number}"), number as usize - 1)
        })?;
        findings.figure("curves", &[], 2, panels)?;
        findings.doubt("curves", &Doubts::of([trust::first_of(REPEATS, analyses.len())]));

        if !surfaces.is_empty() {
            let note = |path: &PathOnSurface| format!("Training {}: {}", self.number(path.seed), path.sentence());
            findings.notes.extend(surfaces.iter().map(note));
            findings.summarise("surfaces", surfaces.iter().map(PathOnSurface::json).collect::<Vec<_>>());
        }
        claim_of_paths(&analyses, &mut findings)?;
        if self.grid > 0 {
            claim_of_surfaces(&surfaces, &mut findings)?;
        }
        Ok(findings)
    }
}

// ---------------------------------------------------------------------------------- findings

/// Groups of trainings, each with its analysis.
const REPEATS: Unit = Unit { one: "repeat", many: "repeats", more: "" };
/// What all of the weights are called in figures.
const WHOLE: &str = "All weights and biases";
/// What records of before call the first layer, whatever it is.
const OLD_FIRST: &str = "fc1";
/// Li et al. 2018, section 7: "between 40% and 90% of the variation in the descent paths lies in a space of
/// only 2 dimensions".
const LOW_DIMENSIONAL: f64 = 0.4;

impl PcaWeights {
    /// Names of the analysed parts, in the order of an analysis.
    fn parts(&self) -> Result<[String; 2]> {
        paths::parts(&self.model.network(&self.spec.signature()).map_err(Error::msg)?.layout())
    }

    /// The finished analyses, each of [`Self::parts`].
    fn analyses(&self, done: &[Done<Self>]) -> Result<Vec<[Paths; 2]>> {
        let mut analyses = Vec::new();
        for analysis in done {
            let Trial::Pca { trainings, .. } = &analysis.trial else { continue };
            let seed = |source: &Source| done.iter().find(|done| source.is(&done.fingerprint)).map(Done::seed);
            let numbers: Vec<u64> = trainings.iter().filter_map(seed).map(|seed| self.number(seed)).collect();
            let [first, whole] = self.parts()?;
            let is_known = analysis.record.series.contains_key(&format!("{first}_component_1"));
            let first = if is_known { first.as_str() } else { OLD_FIRST };
            let [first, whole] = [first, &whole].map(|part| Paths::of(&analysis.record, part, numbers.clone()));
            analyses.push([first?, whole?]);
        }
        Ok(analyses)
    }

    /// Of each training whose blocks are all done, in their order.
    fn surfaces(&self, done: &[Done<Self>]) -> Result<Vec<PathOnSurface>> {
        let mut surfaces = Vec::new();
        for finished in done.iter().filter(|done| matches!(done.trial, Trial::Plane { .. })) {
            let mut losses = Vec::new();
            for block in done {
                if matches!(&block.trial, Trial::Surface { plane, .. } if plane.is(&finished.fingerprint)) {
                    losses.extend(block.record.series("train_loss")?);
                }
            }
            if losses.len() == self.grid * self.grid {
                surfaces.push(PathOnSurface::of(finished.seed(), &finished.record, self.grid, losses)?);
            }
        }
        Ok(surfaces)
    }

    /// The first training's path on its surface, and of all what their planes leave out.
    fn draw_surfaces(&self, surfaces: &[PathOnSurface], findings: &mut Findings) -> Result<()> {
        let Some(first) = surfaces.first() else { return Ok(()) };
        let samples = self.surface_size.min(self.spec.train_size);
        let doubts = first.doubts();
        let with: With = &[("samples", &samples), ("steps", &first.steps()), ("doubts", &doubts.caption())];
        findings.figure("surface", with, 1, vec![first.panel()])?;
        findings.notes.extend(doubts.notes("surface"));
        findings.doubt("surface", &doubts);
        findings.doubt("surface", &Doubts::of([trust::first_of(TRAININGS, surfaces.len())]));
        let hold = surfaces.iter().map(|surface| trust::projected(surface.explained()));
        let little = hold.flatten().count();
        let most = 100.0 * trust::MOST_OF_IT;
        let what = format!("planes hold less than {most:.0} % of their path's variance: see the distance.");
        let little = some_of(little, surfaces.len(), &what);
        findings.doubt("plane", &Doubts::of([trust::said(little)]));
        let over_trainings = seeds::caption(surfaces.len() as u64, TRAININGS);
        findings.figure("plane", &[("over_trainings", &over_trainings)], 2, beside_the_plane(surfaces))
    }

    /// The first group's paths, and the numbers of all.
    fn draw_paths(&self, analyses: &[[Paths; 2]], findings: &mut Findings) -> Result<()> {
        let Some(first) = analyses.first() else { return Ok(()) };
        let [of_first_layer, whole] = first;
        // One legend serves both panels.
        let parts = self.parts()?;
        let titles = [&format!("First layer's weights ({})", parts[0]), WHOLE];
        let panels = vec![of_first_layer.panel(titles[0], false), whole.panel(titles[1], true)];
        let last = self.snapshots().last().copied().unwrap_or(1);
        let explained = |(name, paths): (&str, &Paths)| trust::two_components(name, paths.explained.iter().sum());
        findings.doubt("paths", &Doubts::of(zip(titles, first).map(explained)));
        findings.doubt("paths", &Doubts::of([trust::first_of(REPEATS, analyses.len())]));
        findings.figure("paths", &[("shown", &whole.paths.len()), ("last", &last)], 2, panels)?;
        findings.notes.extend(zip(titles, first).map(|(title, paths)| {
            let explained = percent(paths.explained.iter().sum());
            format!("{title}: two components explain {explained} of the variance of all snapshots.")
        }));
        let json = |of: &[Paths; 2]| -> Value { zip(&parts, of).map(|(part, of)| (part.clone(), of.json())).collect() };
        findings.summarise("pca", json(first));
        if analyses.len() > 1 {
            findings.summarise("pca_of_repeats", analyses.iter().map(json).collect::<Vec<_>>());
        }
        Ok(())
    }
}

/// That trainings leave a common cluster, and lie closer to the origin in the plane of all weights.
fn claim_of_paths(analyses: &[[Paths; 2]], findings: &mut Findings) -> Result<()> {
    let (mut spread, mut closer) = (Vec::new(), Vec::new());
    let (mut ways, mut distances) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for of_group in analyses {
        let [first, whole] = of_group.each_ref().map(|of| from_their_cluster(&of.paths));
        let leaves = |ends: &Option<Ends>| ends.as_ref().map(Ends::leave);
        spread.extend(zip(&first, &whole).map(|(first, whole)| Some(leaves(first)? && leaves(whole)?)));
        let way = |ends: &Option<Ends>| ends.map_or(f64::NAN, |ends| ends.last / ends.first);
        zip(&mut ways, [first, whole]).for_each(|(ways, ends)| ways.extend(ends.iter().map(way)));
        let [first, whole] = of_group.each_ref().map(|of| of.paths.iter().map(|path| mean_distance(path)).collect());
        let [first, whole]: [Vec<f64>; 2] = [first, whole];
        let is_closer =
            |(first, whole): (&f64, &f64)| (first.is_finite() && whole.is_finite()).then_some(whole < first);
        closer.extend(zip(&first, &whole).map(is_closer));
        zip(&mut distances, [first, whole]).for_each(|(all, its)| all.extend(its));
    }
    let [spreads, is_closer] = ["pca-weights-spread", "pca-weights-whole-closer"].map(|key| findings.claim(key, &[]));
    let spreads = spreads?.counted(TRAININGS, &spread);
    let is_closer = is_closer?.counted(TRAININGS, &closer);
    findings.claims.extend([
        spreads
            .beside("last by first distance, first layer", &ways[0])
            .beside("last by first distance, whole", &ways[1]),
        is_closer.beside("mean distance, first layer", &distances[0]).beside("mean distance, whole", &distances[1]),
    ]);
    Ok(())
}

/// That a path is flat, and that its plane shows how the loss falls.
fn claim_of_surfaces(surfaces: &[PathOnSurface], findings: &mut Findings) -> Result<()> {
    let shares: Vec<f64> = surfaces.iter().map(PathOnSurface::explained).collect();
    let flat: Vec<_> = shares.iter().map(|share| share.is_finite().then_some(*share >= LOW_DIMENSIONAL)).collect();
    let trends: Vec<Option<f64>> = surfaces.iter().map(PathOnSurface::correlation).collect();
    let alike: Vec<_> = trends.iter().map(|trend| Some((*trend)? >= RANKED_ALIKE)).collect();
    let trends: Vec<f64> = trends.into_iter().map(|trend| trend.unwrap_or(f64::NAN)).collect();
    let is_low_dimensional = findings.claim("pca-weights-low-dimensional", &[("share", &(100.0 * LOW_DIMENSIONAL))])?;
    let ranks = findings.claim("pca-weights-plane-ranks-losses", &[("alike", &RANKED_ALIKE)])?;
    let is_low_dimensional = is_low_dimensional.counted(TRAININGS, &flat).beside("share of the variance", &shares);
    let ranks = ranks.counted(TRAININGS, &alike).beside("rank correlation of the losses", &trends);
    findings.claims.extend([is_low_dimensional, ranks]);
    Ok(())
}
