//! The plane of the two principal components of a training's path, and how much of the path it shows (Li et al. 2018,
//! section 7).

use crate::analysis::surface::PathPlane;
use crate::data::batches::Samples;
use crate::model::{Classifier, Layout};
use crate::objective::CrossEntropy;
use crate::study::{Context, Measurements, SavedWeights};
use anyhow::Result;
use tch::{Kind, Tensor};

/// The part of a plane that a picture shows: the points corner + u · side_1 + v · side_2, u and v in [0, 1].
pub struct Frame {
    pub corner: Tensor,
    pub sides: [Tensor; 2],
}

impl Frame {
    /// What is saved of one, by prefix.
    const SAVED: [&str; 3] = ["corner", "side_1", "side_2"];

    /// Of [`measure`]'s plane, as it was saved.
    ///
    /// # Errors
    /// Where it was not, or does not fit the layout.
    pub fn read(saved: &SavedWeights, layout: &Layout) -> Result<Self> {
        let [corner, side_1, side_2] = Self::SAVED.map(|name| saved.theta(name, layout));
        Ok(Self { corner: corner?, sides: [side_1?, side_2?] })
    }
}

/// A picture reaches this much of its path's extent beyond it, at either end.
const MARGIN: f64 = 0.3;

/// Of the path `rows`, θ after each of `epochs`, in the plane through its end. Series, one number a point of the path:
/// `epoch`, `component_1` and `component_2` (0 at the end), `distance_from_plane`, `distance_from_final`, `train_loss`
/// over the samples there, and `projected_train_loss` at its projection onto the plane. Scalars: the shares of the
/// path's variance, and `left`, `right`, `bottom` and `top` of the plane's [`Frame`], which is saved.
pub fn measure(
    model: &Classifier,
    (epochs, rows): (&[u64], &[Tensor]),
    samples: &Samples,
    cx: &mut Context,
) -> Result<Measurements> {
    let layout = model.layout();
    let plane = PathPlane::of_path(rows)?;
    let (mut losses, mut projected) = (Vec::new(), Vec::new());
    for (done, (row, place)) in (1..).zip(rows.iter().zip(&plane.coordinates)) {
        for (theta, found) in
            [(row.shallow_clone(), &mut losses), (plane.point(*place)?.f_to_kind(Kind::Float)?, &mut projected)]
        {
            found.push(CrossEntropy::new(model, theta).evaluate(samples).loss);
            cx.check_stop()?;
        }
        cx.step_done(done, rows.len() as u64, losses.last().copied().unwrap_or(f64::NAN))?;
    }
    let [(left, right), (bottom, top)] = plane.frame(MARGIN);
    let [one, two] = &plane.directions;
    let frame = [plane.point((left, bottom))?, one * (right - left), two * (top - bottom)];
    for (name, theta) in Frame::SAVED.iter().zip(frame) {
        cx.save_weights(name, &layout, &theta.f_to_kind(Kind::Float)?)?;
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
        ("train_loss", losses),
        ("projected_train_loss", projected),
    ];
    Ok(Measurements::new(layout.parameters(), scalars, series))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::batches::{DataSpec, DatasetName};
    use crate::study::Progress;
    use std::sync::atomic::AtomicBool;
    use tch::Device;

    /// Three points lie in one plane: each is its own projection.
    #[test]
    fn a_path_of_three_points_lies_in_its_plane() {
        let (progress, stop) = (Progress::default(), AtomicBool::new(false));
        let no_weights = |_: &_| anyhow::bail!("no weights");
        let mut cx = Context::new(Device::Cpu, &progress, &stop, &no_weights, None);
        let spec = DataSpec { dataset: DatasetName::Synthetic, train_size: 50, test_size: 1 };
        let samples = spec.load(None, |_| Ok(())).unwrap().train;
        let model: Classifier = "784-4-10".parse().unwrap();
        let path: Vec<Tensor> =
            (0..3).map(|seed| model.layout().initial(seed, "plane", Kind::Float, Device::Cpu)).collect();
        let found = measure(&model, (&[0, 1, 4], &path), &samples, &mut cx).unwrap();
        assert_eq!(found.series("epoch").unwrap(), [0.0, 1.0, 4.0]);
        let series = |name: &str| found.series(name).unwrap();
        for (loss, projected) in series("train_loss").iter().zip(series("projected_train_loss")) {
            assert!((loss - projected).abs() < 1e-5, "{loss} {projected}");
        }
        assert!(series("distance_from_plane").iter().all(|distance| *distance < 1e-5));
        assert_eq!((series("component_1")[2], series("distance_from_final")[2]), (0.0, 0.0));
        let names: Vec<String> = cx.into_weights().into_keys().collect();
        assert_eq!(names.iter().filter(|name| name.ends_with("fc1.weight")).count(), 3, "{names:?}");
    }
}
