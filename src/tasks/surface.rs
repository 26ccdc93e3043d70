//! The loss surface over a plane (Li et al. 2018): the loss at the points of a grid, in blocks that run side by side.

use super::plane::Frame;
use crate::data::batches::Samples;
use crate::model::Classifier;
use crate::objective::CrossEntropy;
use crate::study::{Context, Measurements};
use anyhow::Result;
use std::ops::Range;

/// The loss over the samples, series `train_loss`, at these of the `grid` x `grid` points of the frame, counted row by
/// row. A grid has at least two points along a side.
pub fn measure(
    model: &Classifier,
    Frame { corner, sides: [side_1, side_2] }: &Frame,
    grid: usize,
    points: Range<usize>,
    samples: &Samples,
    cx: &Context,
) -> Result<Measurements> {
    let mut losses = Vec::new();
    let total = points.len() as u64;
    for (done, point) in (1..).zip(points) {
        let [u, v] = [point % grid, point / grid].map(|place| place as f64 / (grid - 1) as f64);
        let theta = corner + side_1 * u + side_2 * v;
        let loss = CrossEntropy::new(model, theta).evaluate(samples).loss;
        losses.push(loss);
        cx.step_done(done, total, loss)?;
    }
    Ok(Measurements::new(model.layout().parameters(), [], [("train_loss", losses)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::batches::{DataSpec, DatasetName};
    use crate::study::Progress;
    use std::sync::atomic::AtomicBool;
    use tch::{Device, Kind};

    #[test]
    fn the_corners_of_a_surface_are_those_of_its_frame() {
        let (progress, stop) = (Progress::default(), AtomicBool::new(false));
        let no_weights = |_: &_| anyhow::bail!("no weights");
        let cx = Context::new(Device::Cpu, &progress, &stop, &no_weights, None);
        let spec = DataSpec { dataset: DatasetName::Synthetic, train_size: 50, test_size: 1 };
        let samples = spec.load(None, |_| Ok(())).unwrap().train;
        let model: Classifier = "784-4-10".parse().unwrap();
        let theta = |seed| model.layout().initial(seed, "surface", Kind::Float, Device::Cpu);
        let frame = Frame { corner: theta(0), sides: [theta(1), theta(2)] };
        let measured = |points| {
            let found = measure(&model, &frame, 3, points, &samples, &cx).unwrap();
            found.series("train_loss").unwrap().to_vec()
        };
        let losses = measured(0..9);
        let Frame { corner, sides: [one, two] } = &frame;
        let corners = [corner + one * 0.0, corner + one, corner + two, corner + one + two];
        for (place, theta) in [0, 2, 6, 8].into_iter().zip(corners) {
            assert!((losses[place] - CrossEntropy::new(&model, theta).evaluate(&samples).loss).abs() < 1e-6, "{place}");
        }
        assert_eq!([measured(0..4), measured(4..9)].concat(), losses);
    }
}
