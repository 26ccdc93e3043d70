//! Mean and deviation of the training inputs. Knows no targets.

use crate::data::raw::{Kind, Numbers};
use serde::{Deserialize, Serialize};

/// How numbers are made small: (x / unit - mean) / deviation, by channel or by feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// 255 of bytes, else 1.
    pub unit: f64,
    /// Where they are not to be normalised: x / as_is.
    pub as_is: f64,
    /// Over the training samples, of x / unit.
    pub mean: Vec<f64>,
    /// Population standard deviation; 1 where all are equal.
    pub deviation: Vec<f64>,
    /// The least and the greatest x over the training samples.
    pub range: [f64; 2],
}

impl Scale {
    /// Mean and deviation over all training inputs, by channel of images and by column of features.
    pub(super) fn over(inputs: &Numbers, shape: &[usize], kind: Kind, divisor: f32) -> Self {
        let groups = if kind == Kind::Tokens { 1 } else { shape[0] };
        let inner: usize = shape[1..].iter().product();
        // Of whatever the bytes were, the same numbers give the same bits.
        let unit = if matches!(inputs, Numbers::Bytes(_)) { 255.0 } else { 1.0 };
        let (mean, deviation) = (vec![0.0; groups], vec![1.0; groups]);
        let mut scale = Self { unit, as_is: f64::from(divisor), mean, deviation, range: [0.0, 1.0] };
        match inputs {
            Numbers::Bytes(all) => {
                // By counts of each value: exact, and so the same in whatever order the samples are.
                let mut histograms = vec![[0u64; 256]; groups];
                for (at, plane) in all.chunks_exact(inner).enumerate() {
                    let histogram = &mut histograms[at % groups];
                    plane.iter().for_each(|byte| histogram[usize::from(*byte)] += 1);
                }
                for (group, histogram) in histograms.iter().enumerate() {
                    let n: u64 = histogram.iter().sum();
                    let moment = |power: u32| -> u64 { (0u64..).zip(histogram).map(|(x, n)| x.pow(power) * n).sum() };
                    let (sum, squares) = (moment(1), moment(2));
                    // n² times the variance, without rounding.
                    let spread = u128::from(n) * u128::from(squares) - u128::from(sum) * u128::from(sum);
                    scale.mean[group] = sum as f64 / n as f64 / unit;
                    if spread > 0 {
                        scale.deviation[group] = (spread as f64).sqrt() / n as f64 / unit;
                    }
                }
                let seen = |at: usize| histograms.iter().any(|histogram| histogram[at] > 0);
                let ends = [(0..256).find(|at| seen(*at)), (0..256).rev().find(|at| seen(*at))];
                scale.range = ends.map(|at| at.unwrap_or(0) as f64);
            }
            Numbers::Floats(all) => {
                let n = (all.len() / groups) as f64;
                let mut sums = vec![0.0f64; groups];
                for (at, plane) in all.chunks_exact(inner).enumerate() {
                    sums[at % groups] += plane.iter().map(|x| f64::from(*x)).sum::<f64>();
                }
                let means: Vec<f64> = sums.iter().map(|sum| sum / n).collect();
                let mut squares = vec![0.0f64; groups];
                for (at, plane) in all.chunks_exact(inner).enumerate() {
                    let mean = means[at % groups];
                    squares[at % groups] += plane.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>();
                }
                for group in 0..groups {
                    let deviation = (squares[group] / n).sqrt();
                    scale.mean[group] = means[group];
                    // Of equal values only their rounding is left.
                    if deviation > 1e-7 * means[group].abs() {
                        scale.deviation[group] = deviation;
                    }
                }
                let ends =
                    all.iter().fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], x| [low.min(*x), high.max(*x)]);
                scale.range = ends.map(f64::from);
            }
            Numbers::Whole(_) => {}
        }
        scale
    }
}
