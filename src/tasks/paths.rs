//! Paths of trainings through their weights: snapshots that are kept on the way, the principal components of those of
//! several trainings together (Lorch 2016), the plane of one path, and the loss surface over that (Li et al. 2018).

use super::classifier::ClassifierTraining;
use crate::analysis::pca::{BLOCK, Gram, Pca};
use crate::analysis::surface::PathPlane;
use crate::data::blocks;
use crate::files::Scratch;
use crate::model::{Layout, Model as _, Network, Weights};
use crate::objective::{Objective, Scalar, read_all};
use crate::store::weights::NamedTensor;
use crate::study::{Context, Held, Measurements, SavedWeights};
use anyhow::{Context as _, Result, ensure};
use std::ops::{ControlFlow, Range};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// The epochs after which weights are kept, counted from 1: the first, and every so many from there.
pub fn epochs(epochs: u64, every: u64) -> impl Iterator<Item = u64> {
    (1..=epochs).step_by(usize::try_from(every).unwrap_or(usize::MAX))
}

fn prefix(epoch: u64) -> String {
    format!("snapshot.{epoch}")
}

/// Trains on the study's training samples, and saves snapshots after [`epochs`] beside the initial and the final weights.
pub fn train(training: &ClassifierTraining, every: u64, cx: &mut Context) -> Result<Measurements> {
    let train = cx.data()?.train.share();
    let trained = training.run_observed(1, cx, &train, |cx, epoch, splits, _| {
        if (epoch - 1).is_multiple_of(every) {
            cx.save_weights(&prefix(epoch), splits.train.layout(), splits.weights())?;
        }
        Ok(ControlFlow::Continue(()))
    });
    Ok(trained?.1)
}

/// The weights after this epoch.
pub fn snapshot(saved: &SavedWeights, layout: &Layout, epoch: u64) -> Result<Weights> {
    saved.weights(&prefix(epoch), layout)
}

/// A training's path: epochs, and the weights after each. It begins with the initial weights, after epoch 0, and ends with
/// those after the `last` one.
pub fn path(saved: &SavedWeights, layout: &Layout, snapshots: &[u64], last: u64) -> Result<(Vec<u64>, Vec<Weights>)> {
    let mut epochs = [&[0], snapshots].concat();
    let mut rows = vec![saved.weights("initial", layout)?];
    for epoch in snapshots {
        rows.push(snapshot(saved, layout, *epoch)?);
    }
    if epochs.last() != Some(&last) {
        epochs.push(last);
        rows.push(saved.weights("final", layout)?);
    }
    Ok((epochs, rows))
}

/// What is analysed, by its name in records: the first layer's weights, under the name of that layer, and all of θ.
pub fn parts(layout: &Layout) -> Result<[String; 2]> {
    let (first, _) = layout.layers().into_iter().next().context("a model without weights")?;
    Ok([first, "full".to_owned()])
}

/// What is held of so many snapshots of all trainings, so many `each`, beside what a training itself takes: by a training
/// until it has saved its own, by the analysis of all, and by the plane of one path.
pub fn memory(network: &Network, snapshots: u64, each: u64) -> [Held; 3] {
    let parameters = network.layout().parameters().unsigned_abs() as u128;
    let (all, of_one) = (u128::from(snapshots), u128::from(each) + 2);
    let what = |count: u64| format!("{count} snapshots of the {parameters} parameters of model '{network}'");
    // A file of one training, as bytes and as tensors.
    let file = 2 * 4 * parameters * of_one;
    // The Gram matrix, its eigenvectors and what they are computed by; before, a block of columns in float64.
    let square = 8 * all * all;
    let columns = 2 * 8 * all * parameters.min(BLOCK.unsigned_abs().into());
    let analysis = (4 * all * parameters).min(ROWS_IN_MEMORY) + file.max(2 * square + columns).max(6 * square);
    let lower = "raise snapshot_every, or lower trainings";
    [
        Held::new(what(each), file, "raise snapshot_every"),
        Held::new(what(snapshots), analysis, lower),
        // Its rows, and each of them in float64 for a while.
        Held::new(
            what(each),
            file + 4 * parameters * of_one + columns / all.max(1) * of_one + 8 * 8 * parameters,
            lower,
        ),
    ]
}

/// Rows that take more than this are in a file, and only a block of their columns in memory; in bytes.
const ROWS_IN_MEMORY: u128 = 256 << 20;

/// Rows of θ, each written once and read in blocks of columns.
pub struct Rows {
    length: i64,
    count: i64,
    kept: Vec<Tensor>,
    file: Option<Scratch>,
}

impl Rows {
    /// For so many rows of these weights; what has no place in memory goes to the disk of the folder.
    ///
    /// # Errors
    /// Where no file can be made there.
    pub fn new(count: usize, layout: &Layout, folder: &Path) -> Result<Self> {
        let length = layout.parameters();
        let is_large = 4 * count as u128 * u128::from(length.unsigned_abs()) > ROWS_IN_MEMORY;
        let file = is_large.then(|| Scratch::new(folder)).transpose();
        let file = file.with_context(|| format!("{count} snapshots need a file in {}", folder.display()))?;
        Ok(Self { length, count: 0, kept: Vec::new(), file })
    }

    /// Adds a row in float32.
    ///
    /// # Errors
    /// Where it has another length, or the disk no place for it.
    pub fn push(&mut self, row: &Tensor) -> Result<()> {
        ensure!(row.numel() as i64 == self.length && row.kind() == Kind::Float, "rows of different length or kind");
        match &mut self.file {
            None => self.kept.push(row.shallow_clone()),
            Some(file) => {
                let bytes = NamedTensor::copy_of(row)?.bytes;
                let gigabytes = file.written() as f64 / 1e9;
                let full = || format!("no snapshot of {} bytes could be written after {gigabytes:.1} GB", bytes.len());
                file.append(&bytes).with_context(|| full() + ": make room there, or raise snapshot_every")?;
            }
        }
        self.count += 1;
        Ok(())
    }

    /// Columns of all rows, [rows, columns] in float64 on the CPU.
    fn columns(&self, start: i64, columns: i64) -> Result<Tensor> {
        let block = Tensor::f_zeros([self.count, columns], (Kind::Double, Device::Cpu))?;
        let mut bytes = vec![0; 4 * columns.unsigned_abs() as usize];
        for at in 0..self.count {
            let row = match &self.file {
                None => self.kept[at as usize].f_view(-1)?.f_narrow(0, start, columns)?,
                Some(file) => {
                    file.read_at(4 * (at * self.length + start).unsigned_abs(), &mut bytes)?;
                    let numbers = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
                    Tensor::f_from_slice(&numbers.collect::<Vec<f32>>())?
                }
            };
            block.f_select(0, at)?.f_copy_(&row)?;
        }
        Ok(block)
    }
}

/// The first two components of the θ of the snapshots `rows`, for each of [`parts`]: series
/// `<part>_component_1` and `_2`, one number a row, and scalars `<part>_explained_variance_1` and `_2`, shares from 0
/// to 1.
pub fn principal_components(layout: &Layout, rows: &Rows, cx: &Context) -> Result<Measurements> {
    let _no_grad = tch::no_grad_guard();
    let first = layout.slots.first().context("a model without weights")?;
    ensure!(first.offset == 0, "the first layer's weights are not the first of θ");
    // The first layer's columns are the first of all: both parts share the products of those.
    let (mut of_first, mut whole) = (None, Gram::new(rows.count)?);
    for (start, columns) in blocks(layout.parameters(), BLOCK) {
        cx.check_stop()?;
        cx.note(format!("products of {} snapshots: column {start} of {}", rows.count, layout.parameters()));
        let end = first.len();
        if (start..start + columns).contains(&end) {
            let mut gram = whole.copy();
            if end > start {
                gram.add(rows.columns(start, end - start)?)?;
            }
            of_first = Some(gram);
        }
        whole.add(rows.columns(start, columns)?)?;
    }
    let mut measured = Measurements::new(layout.parameters(), [], []);
    let of_first = of_first.unwrap_or_else(|| whole.copy());
    for (part, gram) in parts(layout)?.into_iter().zip([of_first, whole]) {
        let Pca { scores, explained_variance_ratio } = gram.pca(2)?;
        for (component, (scores, share)) in (1..).zip(scores.into_iter().zip(explained_variance_ratio)) {
            measured.scalars.insert(format!("{part}_explained_variance_{component}"), share);
            measured.series.insert(format!("{part}_component_{component}"), scores);
        }
    }
    Ok(measured)
}

/// The part of a plane that a picture shows: the points corner + u · side_1 + v · side_2, u and v in [0, 1].
pub struct Frame {
    /// With the buffers of the path's end.
    pub corner: Weights,
    pub sides: [Tensor; 2],
}

impl Frame {
    /// What is saved of one, by prefix.
    const SAVED: [&str; 3] = [Self::CORNER, "side_1", "side_2"];
    pub const CORNER: &str = "corner";

    /// Of [`plane`], as it was saved.
    pub fn read(saved: &SavedWeights, layout: &Layout) -> Result<Self> {
        let [corner, side_1, side_2] = Self::SAVED.map(|name| saved.weights(name, layout));
        Ok(Self { corner: corner?, sides: [side_1?.theta, side_2?.theta] })
    }
}

/// A picture reaches this much of its path's extent beyond it, at either end.
const MARGIN: f64 = 0.3;

/// Of the path `rows`, the weights after each of `epochs`, in the plane through its end. Series, one number a point of the
/// path: `epoch`, `component_1` and `component_2` (0 at the end), `distance_from_plane`, `distance_from_final`,
/// `train_loss` there, and `projected_train_loss` at its projection onto the plane. Scalars: the shares of the path's
/// variance, and `left`, `right`, `bottom` and `top` of the plane's [`Frame`], which is saved.
pub fn plane(
    objective: &mut dyn Objective,
    (epochs, rows): (&[u64], &[Weights]),
    cx: &mut Context,
) -> Result<Measurements> {
    let (layout, kind) = (objective.layout().clone(), objective.theta().kind());
    let end = rows.last().context("a path of no points")?;
    let thetas: Vec<Tensor> = rows.iter().map(|row| row.theta.shallow_clone()).collect();
    let plane = PathPlane::of_path(&thetas)?;
    let (mut losses, mut projected) = (Vec::new(), Vec::new());
    for (done, (row, place)) in (1..).zip(rows.iter().zip(&plane.coordinates)) {
        // On the surface, which has the buffers of the end.
        let shadow = end.at(plane.point(*place)?.f_to_kind(kind)?);
        for (weights, found) in [(row, &mut losses), (&shadow, &mut projected)] {
            objective.move_to(weights)?;
            found.push(objective.loss()?);
            cx.check_stop()?;
        }
        cx.step_done(done, rows.len() as u64, losses.last().map_or(f64::NAN, Scalar::if_here))?;
    }
    let [(left, right), (bottom, top)] = plane.frame(MARGIN);
    let [one, two] = &plane.directions;
    let frame = [plane.point((left, bottom))?, one * (right - left), two * (top - bottom)];
    for (name, theta) in Frame::SAVED.iter().zip(frame) {
        cx.save_weights(name, &layout, &end.at(theta.f_to_kind(kind)?))?;
    }
    let (x, y) = plane.coordinates.iter().copied().unzip();
    let [first, second] = plane.explained_variance_ratio;
    let scalars = [
        ("explained_variance_1", first),
        ("explained_variance_2", second),
        ("left", left),
        ("right", right),
        ("bottom", bottom),
        ("top", top),
    ];
    let series = [
        ("epoch", epochs.iter().map(|&epoch| epoch as f64).collect()),
        ("component_1", x),
        ("component_2", y),
        ("distance_from_plane", plane.distance),
        ("distance_from_final", plane.distance_from_origin),
        ("train_loss", read_all(&losses)?),
        ("projected_train_loss", read_all(&projected)?),
    ];
    Ok(Measurements::new(layout.parameters(), scalars, series))
}

/// The loss, series `train_loss`, at these of the `grid` x `grid` points of the frame, counted row by row. A grid has at
/// least two points along a side.
pub fn surface(
    objective: &mut dyn Objective,
    Frame { corner, sides: [side_1, side_2] }: &Frame,
    grid: usize,
    points: Range<usize>,
    cx: &Context,
) -> Result<Measurements> {
    let mut losses = Vec::new();
    let total = points.len() as u64;
    for (done, point) in (1..).zip(points) {
        let [u, v] = [point % grid, point / grid].map(|place| place as f64 / (grid - 1) as f64);
        objective.move_to(&corner.at(&corner.theta + side_1 * u + side_2 * v))?;
        let loss = objective.loss()?;
        cx.step_done(done, total, loss.if_here())?;
        losses.push(loss);
    }
    Ok(Measurements::new(objective.layout().parameters(), [], [("train_loss", read_all(&losses)?)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Access, Built, DataSpec, Dataset as _};
    use crate::objective::over;
    use crate::study::Progress;
    use std::sync::atomic::AtomicBool;
    use tch::{Device, Kind};

    /// The loss of a small network over digits, and θ by seed.
    fn network() -> (Box<dyn Objective>, impl Fn(u64) -> Tensor) {
        let spec = DataSpec::of(Built::Synthetic, [50, 1]);
        let model = Network::parse("784-4-10", &spec.signature()).unwrap();
        let layout = model.layout();
        let theta = move |seed| layout.initial(seed, "path", Kind::Float, Device::Cpu);
        let [train, _] = spec.load(&Access::default()).unwrap();
        (over(&model, theta(0), &train).unwrap(), theta)
    }

    fn with_context<T>(run: impl FnOnce(Context) -> T) -> T {
        let (progress, stop) = (Progress::default(), AtomicBool::new(false));
        run(Context::new(Device::Cpu, &progress, &stop, &|_| anyhow::bail!("no weights"), None))
    }

    #[test]
    fn snapshots_are_taken_after_the_first_epoch_and_every_so_many() {
        let epochs = |last, every| super::epochs(last, every).collect::<Vec<_>>();
        assert_eq!(epochs(8, 3), [1, 4, 7]);
        assert_eq!(epochs(7, 3), [1, 4, 7]);
        assert_eq!(epochs(3, 1), [1, 2, 3]);
        assert_eq!(epochs(3, u64::MAX), [1]);
    }

    #[test]
    fn the_first_layer_has_its_own_name() {
        let network =
            |model: &str| Network::parse(model, &DataSpec::of(Built::Synthetic, [50, 1]).signature()).unwrap();
        assert_eq!(parts(&network("784-4-10").layout()).unwrap(), ["fc1", "full"]);
        let layout = network("conv2-conv3-10").layout();
        assert_eq!(parts(&layout).unwrap(), ["conv1", "full"]);
        let mut rows = Rows::new(3, &layout, Path::new(".")).unwrap();
        (0..3).for_each(|seed| rows.push(&layout.initial(seed, "pca", Kind::Float, Device::Cpu)).unwrap());
        let found = with_context(|cx| principal_components(&layout, &rows, &cx)).unwrap();
        assert!(found.series("conv1_component_1").is_ok() && found.series("fc1_component_1").is_err());
        assert!(parts(&Layout::default()).is_err());
    }

    #[test]
    fn what_an_analysis_holds_does_not_grow_with_the_parameters_of_many_snapshots() {
        let of = |model: &str, snapshots| {
            let signature = DataSpec::of(Built::Synthetic, [50, 1]).signature();
            memory(&Network::parse(model, &signature).unwrap(), snapshots, 600)[1].bytes
        };
        // All rows, and thrice in float64 a block of their columns, were 4.7 GB.
        assert!(of("784-128-10", 4800) < 2_400_000_000, "{}", of("784-128-10", 4800));
        assert!(of("784-256-10", 4800) < of("784-128-10", 4800) * 5 / 4 && of("784-128-10", 10) < of("784-128-10", 40));
    }

    #[test]
    fn both_parts_are_analysed_each_by_itself() {
        let layout = "784-3-10".parse::<crate::model::Mlp>().unwrap().layout();
        let start = layout.initial(0, "pca", Kind::Float, Device::Cpu);
        // Rows that differ in the last biases alone: the first layer does not move.
        let of = |file: Option<Scratch>| {
            let mut rows = Rows { file, ..Rows::new(3, &layout, Path::new(".")).unwrap() };
            for row in 0..3 {
                let moved = start.copy();
                let _ = moved.narrow(0, layout.parameters() - 1, 1).fill_(f64::from(row));
                rows.push(&moved).unwrap();
            }
            assert!(rows.push(&Tensor::zeros([3], (Kind::Float, Device::Cpu))).is_err());
            with_context(|cx| principal_components(&layout, &rows, &cx)).unwrap()
        };
        let found = of(None);
        // Rows in a file give the same bits.
        let folder = tempfile::tempdir().unwrap();
        let json = |found: &Measurements| serde_json::to_string(found).unwrap();
        assert_eq!(json(&of(Some(Scratch::new(folder.path()).unwrap()))), json(&found));
        assert_eq!(found.parameters, layout.parameters());
        assert!((found.scalar("full_explained_variance_1").unwrap() - 1.0).abs() < 1e-9);
        let scores = found.series("full_component_1").unwrap();
        assert!(scores.iter().zip([1.0, 0.0, 1.0]).all(|(score, far)| (score.abs() - far).abs() < 1e-6), "{scores:?}");
        assert!(found.scalar("fc1_explained_variance_1").unwrap().is_nan());
        assert_eq!(found.series("fc1_component_2").unwrap(), [0.0; 3]);
    }

    /// Three points lie in one plane: each is its own projection.
    #[test]
    fn a_path_of_three_points_lies_in_its_plane() {
        let (mut objective, theta) = network();
        let path: Vec<Weights> = (0..3).map(|seed| theta(seed).into()).collect();
        let (found, saved) = with_context(|mut cx| {
            let found = plane(&mut *objective, (&[0, 1, 4], &path), &mut cx).unwrap();
            (found, cx.into_weights())
        });
        assert_eq!(found.series("epoch").unwrap(), [0.0, 1.0, 4.0]);
        let series = |name: &str| found.series(name).unwrap();
        for (loss, projected) in series("train_loss").iter().zip(series("projected_train_loss")) {
            assert!((loss - projected).abs() < 1e-5, "{loss} {projected}");
        }
        assert!(series("distance_from_plane").iter().all(|distance| *distance < 1e-5));
        assert_eq!((series("component_1")[2], series("distance_from_final")[2]), (0.0, 0.0));
        let names: Vec<String> = saved.into_keys().collect();
        assert_eq!(names.iter().filter(|name| name.ends_with("fc1.weight")).count(), 3, "{names:?}");
    }

    #[test]
    fn the_corners_of_a_surface_are_those_of_its_frame() {
        let (mut objective, theta) = network();
        let frame = Frame { corner: theta(0).into(), sides: [theta(1), theta(2)] };
        let mut measured = |points| {
            let found = with_context(|cx| surface(&mut *objective, &frame, 3, points, &cx)).unwrap();
            found.series("train_loss").unwrap().to_vec()
        };
        let losses = measured(0..9);
        assert_eq!([measured(0..4), measured(4..9)].concat(), losses);
        let Frame { corner, sides: [one, two] } = &frame;
        let at = &corner.theta;
        let corners = [at.copy(), at + one, at + two, at + one + two];
        for (place, theta) in [0, 2, 6, 8].into_iter().zip(corners) {
            objective.move_to(&corner.at(theta)).unwrap();
            assert!((losses[place] - objective.evaluate().unwrap().loss).abs() < 1e-6, "{place}");
        }
    }
}
