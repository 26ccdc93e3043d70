//! Paths of trainings through their weights: snapshots that are kept on the way, the principal components of those of
//! several trainings together (Lorch 2016), the plane of one path, and the loss surface over that (Li et al. 2018).

use super::classifier::ClassifierTraining;
use crate::analysis::pca::{Pca, pca};
use crate::analysis::surface::PathPlane;
use crate::model::{Layout, Model as _, Network, Weights};
use crate::objective::{Objective, Scalar, read_all};
use crate::study::{Context, Measurements, SavedWeights, check};
use anyhow::{Context as _, Result};
use std::ops::{ControlFlow, Range};
use tch::Tensor;

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

/// The weights after each of these epochs.
pub fn read(saved: &SavedWeights, layout: &Layout, epochs: &[u64]) -> Result<Vec<Weights>> {
    epochs.iter().map(|epoch| saved.weights(&prefix(*epoch), layout)).collect()
}

/// A training's path: epochs, and the weights after each. It begins with the initial weights, after epoch 0, and ends with
/// those after the `last` one.
pub fn path(saved: &SavedWeights, layout: &Layout, snapshots: &[u64], last: u64) -> Result<(Vec<u64>, Vec<Weights>)> {
    let mut epochs = [&[0], snapshots].concat();
    let mut rows = vec![saved.weights("initial", layout)?];
    rows.extend(read(saved, layout, snapshots)?);
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

/// That so many snapshots fit into memory: those of all trainings, and one file as it is read, of so many `each` with
/// the initial and the final weights.
pub fn check_memory(network: &Network, snapshots: u64, each: u64) -> Result<(), String> {
    let parameters = network.layout().parameters().unsigned_abs() as u128;
    let held = u128::from(snapshots) + 2 * (u128::from(each) + 2);
    let what = format!("{snapshots} snapshots of the {parameters} parameters of model '{network}'");
    check::memory(&what, 4 * parameters * held, "raise snapshot_every, or lower trainings")
}

/// The first two components of the θ of the snapshots `rows`, for each of [`parts`]: series
/// `<part>_component_1` and `_2`, one number a row, and scalars `<part>_explained_variance_1` and `_2`, shares from 0
/// to 1.
pub fn principal_components(layout: &Layout, rows: &[Weights]) -> Result<Measurements> {
    let first = layout.slots.first().context("a model without weights")?;
    let rows: Vec<Tensor> = rows.iter().map(|row| row.theta.shallow_clone()).collect();
    let of_first: Vec<Tensor> =
        rows.iter().map(|row| row.f_narrow(0, first.offset, first.len())).collect::<Result<_, _>>()?;
    let mut measured = Measurements::new(layout.parameters(), [], []);
    for (part, rows) in parts(layout)?.into_iter().zip([&of_first, &rows]) {
        let Pca { scores, explained_variance_ratio } = pca(rows, 2)?;
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
        let rows: Vec<Weights> =
            (0..3).map(|seed| layout.initial(seed, "pca", Kind::Float, Device::Cpu).into()).collect();
        let found = principal_components(&layout, &rows).unwrap();
        assert!(found.series("conv1_component_1").is_ok() && found.series("fc1_component_1").is_err());
        assert!(parts(&Layout::default()).is_err());
    }

    #[test]
    fn both_parts_are_analysed_each_by_itself() {
        let layout = "784-3-10".parse::<crate::model::Mlp>().unwrap().layout();
        let start = layout.initial(0, "pca", Kind::Float, Device::Cpu);
        // Rows that differ in the last biases alone: the first layer does not move.
        let rows: Vec<Weights> = (0..3)
            .map(|row| {
                let moved = start.copy();
                let _ = moved.narrow(0, layout.parameters() - 1, 1).fill_(f64::from(row));
                moved.into()
            })
            .collect();
        let found = principal_components(&layout, &rows).unwrap();
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
