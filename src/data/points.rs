//! Points that were measured, as a data set: a share of them is held out, x and y are standardised. The points make it,
//! not the file's name, nor their order there.

use super::formats::csv;
use super::samples::permute;
use super::{Access, Dataset, Samples, Signature, Target};
use crate::files::sha256;
use crate::rng::{Purpose, Rng};
use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::path::Path;
use tch::{Device, Kind};

/// x and y.
pub type Point = (f64, f64);

/// Measured points in two splits.
#[derive(Debug)]
pub struct MeasuredPoints {
    title: String,
    digest: String,
    /// To learn from, and held out; each by x, and by y where that is the same.
    splits: [Vec<Point>; 2],
    range: [f64; 2],
    standardised: Standardised,
}

/// What x and y were standardised by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standardised {
    pub x: Scale,
    pub y: Scale,
}

/// Mean and standard deviation of the points that are learned from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    pub mean: f64,
    pub deviation: f64,
}

impl Scale {
    /// `None` of numbers that are all the same, or so far apart that their deviation is no number.
    fn of(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        let mean: f64 = values.iter().map(|value| value / n).sum();
        let centred = || values.iter().map(|value| value - mean);
        let largest = centred().fold(0f64, |largest, value| largest.max(value.abs()));
        // Of shares of the largest: squares of the values themselves may be too large or too small for a number.
        let deviation = largest * (centred().map(|value| (value / largest).powi(2)).sum::<f64>() / n).sqrt();
        let is_constant = values.windows(2).all(|pair| pair[0] == pair[1]);
        (!is_constant && deviation.is_normal()).then_some(Self { mean, deviation })
    }

    pub fn standardised(self, value: f64) -> f64 {
        (value - self.mean) / self.deviation
    }

    /// The number that was standardised to this one.
    pub fn original(self, standardised: f64) -> f64 {
        self.mean + self.deviation * standardised
    }
}

/// Two to learn from have a deviation, and one is held out.
const FEWEST: usize = 3;

impl MeasuredPoints {
    /// Reads a file.
    ///
    /// # Errors
    /// Where it cannot be read, or is of no points that something can be learned of.
    pub fn read(path: &Path, validation_share: f64) -> Result<Self> {
        let title = path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy());
        let points = csv::points(path)?;
        Self::new(title.into_owned(), points, validation_share).with_context(|| format!("points {}", path.display()))
    }

    /// Holds a share out: which points is drawn, keyed by all of them.
    pub(crate) fn new(title: String, mut points: Vec<Point>, validation_share: f64) -> Result<Self> {
        let n = points.len();
        ensure!(
            validation_share > 0.0 && validation_share < 1.0,
            "validation_share is {validation_share}; it must be above 0 and below 1"
        );
        ensure!(n >= FEWEST, "{n} points are too few: give {FEWEST} at least");
        if let Some((x, y)) = points.iter().find(|(x, y)| !(x.is_finite() && y.is_finite())) {
            bail!("the point ({x}, {y}) is not finite");
        }
        // -0 is 0.
        points.iter_mut().for_each(|point| *point = (point.0 + 0.0, point.1 + 0.0));
        points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let bytes: Vec<u8> = points.iter().flat_map(|(x, y)| [x, y]).flat_map(|number| number.to_le_bytes()).collect();
        let digest = sha256(&bytes);

        let held_out = ((validation_share * n as f64).round() as usize).max(1);
        ensure!(
            held_out + 2 <= n,
            "a validation_share of {validation_share} holds out {held_out} of {n} points, and fewer than 2 are left to \
             learn from: lower it"
        );
        let mut order: Vec<usize> = (0..n).collect();
        permute(&mut order, &mut Rng::keyed(0, &digest, Purpose::HeldOut, 0));
        let splits = [&order[held_out..], &order[..held_out]].map(|split| {
            let mut split = split.to_vec();
            split.sort_unstable();
            split.into_iter().map(|at| points[at]).collect::<Vec<_>>()
        });

        let scale = |name: &str, of: fn(&Point) -> f64| {
            let values: Vec<f64> = splits[0].iter().map(of).collect();
            Scale::of(&values).with_context(|| {
                let (learned_from, first) = (values.len(), values[0]);
                format!(
                    "of the {learned_from} points to learn from, which begin with {name} = {first:?}, {name} has no \
                     standard deviation above 0: nothing can be learned of them"
                )
            })
        };
        let standardised = Standardised { x: scale("x", |point| point.0)?, y: scale("y", |point| point.1)? };
        Ok(Self { title, digest, splits, range: [points[0].0, points[n - 1].0], standardised })
    }

    /// The lowest and the highest x.
    pub fn range(&self) -> [f64; 2] {
        self.range
    }

    pub fn standardised(&self) -> Standardised {
        self.standardised
    }

    /// The points to learn from.
    pub fn train(&self) -> &[Point] {
        &self.splits[0]
    }

    /// The points held out.
    pub fn validation(&self) -> &[Point] {
        &self.splits[1]
    }
}

impl Dataset for MeasuredPoints {
    fn identity(&self) -> String {
        let [train, held_out] = self.sizes();
        format!("points {} train {train} held out {held_out}", self.digest)
    }

    fn title(&self) -> &str {
        &self.title
    }

    fn one(&self) -> &str {
        "point"
    }

    fn signature(&self) -> Signature {
        Signature { input: vec![1], tokens: None, target: Target::Values(1) }
    }

    fn sizes(&self) -> [usize; 2] {
        [self.train().len(), self.validation().len()]
    }

    fn load(&self, _: &Access) -> Result<[Samples; 2]> {
        let Standardised { x, y } = self.standardised;
        let samples = |points: &[Point]| {
            let standardised = |(at, value): &Point| (x.standardised(*at), y.standardised(*value));
            let (inputs, targets): (Vec<_>, Vec<_>) = points.iter().map(standardised).unzip();
            Samples::of_numbers(&inputs, &targets, Kind::Float, Device::Cpu)
        };
        Ok([samples(self.train())?, samples(self.validation())?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(points: Vec<Point>, share: f64) -> MeasuredPoints {
        MeasuredPoints::new("measured.csv".into(), points, share).unwrap()
    }

    /// y = 3x - 7 at irregular x, some twice.
    fn line(n: u32) -> Vec<Point> {
        let x = |i: u32| f64::from(i / 2 * 7 % 31) + f64::from(i % 2) * 0.25;
        (0..n).map(|i| (x(i), 3.0 * x(i) - 7.0)).collect()
    }

    #[test]
    fn every_point_is_learned_from_or_held_out() {
        let set = of(line(50), 0.3);
        assert_eq!(set.sizes(), [35, 15]);
        let mut all = [set.train(), set.validation()].concat();
        let mut expected = line(50);
        for points in [&mut all, &mut expected] {
            points.sort_by(|a, b| a.partial_cmp(b).unwrap());
        }
        assert_eq!(all, expected);
        assert!([set.train(), set.validation()].iter().all(|split| split.is_sorted_by_key(|point| point.0)));
        // Neither the ends alone nor every so many-th.
        let place = |point: &Point| expected.iter().position(|other| other == point).unwrap();
        let gaps: Vec<usize> =
            set.validation().windows(2).map(|pair| place(&pair[1]).abs_diff(place(&pair[0]))).collect();
        assert!(gaps.iter().any(|gap| *gap != gaps[0]), "{gaps:?}");
    }

    #[test]
    fn the_points_are_the_identity() {
        let set = of(line(20), 0.2);
        let mut others = line(20);
        others.reverse();
        let renamed = MeasuredPoints::new("other.csv".into(), others.clone(), 0.2).unwrap();
        assert_eq!((renamed.identity(), renamed.train()), (set.identity(), set.train()));
        others[3].1 += 1e-9;
        for other in [of(others, 0.2), of(line(20), 0.3), of(line(19), 0.2)] {
            assert_ne!(other.identity(), set.identity());
        }
        assert_eq!(of(vec![(0.0, 1.0), (1.0, 0.0), (2.0, 0.5)], 0.2).identity(), {
            of(vec![(-0.0, 1.0), (1.0, -0.0), (2.0, 0.5)], 0.2).identity()
        });
    }

    #[test]
    fn what_is_learned_from_has_mean_0_and_deviation_1() {
        for (shift, factor) in [(0.0, 1.0), (1950.0, 1e6), (-1e6, 1e-3), (0.0, 1e300), (0.0, 1e-300)] {
            let points = line(40).into_iter().map(|(x, y)| (x * factor + shift, y / factor)).collect();
            let set = of(points, 0.25);
            let [train, held_out] = set.load(&Access::default()).unwrap();
            for numbers in [&train.inputs().unwrap(), &train.targets] {
                let numbers = numbers.to_kind(Kind::Double);
                let mean = numbers.mean(Kind::Double).double_value(&[]);
                let variance = (&numbers * &numbers).mean(Kind::Double).double_value(&[]);
                assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-5, "{shift} {factor}: {mean} {variance}");
            }
            // What is held out by the same numbers, and back again.
            let Standardised { x, y } = set.standardised();
            for (at, (of_x, of_y)) in set.validation().iter().enumerate() {
                let number = |tensor: &tch::Tensor| tensor.double_value(&[at as i64, 0]);
                let back = (x.original(number(&held_out.inputs().unwrap())), y.original(number(&held_out.targets)));
                assert!((back.0 - of_x).abs() < 1e-6 * x.deviation + 1e-15 * of_x.abs(), "{back:?} {of_x}");
                assert!((back.1 - of_y).abs() < 1e-6 * y.deviation, "{back:?} {of_y}");
            }
        }
        // The two of 1, 2, 3, 4 whose mean is 2.5: population's deviation.
        let scale = Scale::of(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!((scale.mean, scale.deviation), (2.5, 1.25f64.sqrt()));
    }

    #[test]
    fn what_nothing_can_be_learned_of_is_refused() {
        let refused = |points: Vec<Point>, share: f64, word: &str| {
            let error = MeasuredPoints::new("m.csv".into(), points, share).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        };
        refused(line(2), 0.2, "2 points are too few");
        refused((0..9).map(|i| (0.1, f64::from(i))).collect(), 0.2, "x has no standard deviation");
        refused((0..9).map(|i| (f64::from(i), 0.1)).collect(), 0.2, "y has no standard deviation");
        refused(vec![(-1.7e308, 0.0), (1.7e308, 1.0), (1.6e308, 2.0), (-1.6e308, 3.0)], 0.2, "x has no");
        refused(line(10), 0.95, "holds out 10 of 10 points");
        for share in [0.0, 1.0, -1.0, f64::NAN] {
            refused(line(10), share, "above 0 and below 1");
        }
        refused(vec![(0.0, 1.0), (1.0, f64::INFINITY), (2.0, 1.0)], 0.2, "not finite");
        assert_eq!(of(line(3), 0.2).sizes(), [2, 1]);
    }
}
