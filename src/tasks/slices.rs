//! The loss around a solution along filter-normalised random directions (Li et al. 2018).

use super::around::MOST_NUMBERS;
use crate::analysis::surface::Normalise;
use crate::data::functions::evenly_spaced;
use crate::model::Weights;
use crate::objective::{Objective, read_all};
use crate::settings;
use crate::study::{Context, Measurements, check};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::Tensor;

settings! {
    /// Along how many directions, and at how many points of each.
    #[derive(Clone, Debug, Serialize)]
    pub struct Directions {
        /// 0 for none.
        pub directions: u64,
        pub slice_points: usize,
    }
}

/// More than these are a slip of the pen.
const MOST_DIRECTIONS: u64 = 1000;
const MOST_POINTS: usize = 10_001;
/// Where slices are compared: a step that moves every filter by a fifth of its length.
pub const NEAR: f64 = 0.2;
/// Of evenly spaced points from -1 to 1, [`NEAR`] and -NEAR are two where their distance goes into 0.2: so many
/// points are one more than a multiple of this.
const PERIOD: usize = 10;

impl Directions {
    pub fn check(&self) -> Result<(), String> {
        check::within("directions", self.directions, 0..=MOST_DIRECTIONS)?;
        self.check_points()?;
        let numbers = [("directions", self.directions.into()), ("slice_points", self.slice_points as u128)];
        check::product(&numbers, MOST_NUMBERS)
    }

    fn check_points(&self) -> Result<(), String> {
        let (points, most) = (self.slice_points, MOST_POINTS);
        if (PERIOD + 1..=most).contains(&points) && (points - 1).is_multiple_of(PERIOD) {
            return Ok(());
        }
        let below = (points.clamp(PERIOD + 1, most) - 1) / PERIOD * PERIOD + 1;
        let nearest = match below + PERIOD {
            above if (below..above).contains(&points) && above <= most => format!("{below} or {above}"),
            _ => below.to_string(),
        };
        Err(format!(
            "slice_points is {points}; 0 and ±{NEAR}, where slices are compared, must be among them, as among 11, 21, \
             31, … to {most}: try {nearest}"
        ))
    }

    /// The slices, where there are to be any.
    pub fn slices(&self) -> Option<Slices> {
        (self.directions > 0).then_some(Slices { directions: self.directions, points: self.slice_points })
    }
}

/// Slices through one solution.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Slices {
    pub directions: u64,
    pub points: usize,
}

impl Slices {
    /// L(θ + t d) by series `slice_1` and so on, a direction d each, keyed by seed and name; t from -1
    /// to 1 in `step`, of which 1 moves every filter by its own length. Leaves the objective at the last.
    pub fn measure(
        &self,
        objective: &mut dyn Objective,
        (seed, name): (u64, &str),
        cx: &Context,
    ) -> Result<Measurements> {
        let solution = objective.weights().each(Tensor::copy);
        let (layout, theta) = (objective.layout().clone(), &solution.theta);
        let steps = evenly_spaced([-1.0, 1.0], self.points);
        let mut measured = Measurements::new(layout.parameters(), [], [("step", steps.clone())]);
        for index in 1..=self.directions {
            let direction = Normalise::Filter.random(&layout, theta, (seed, name, index))?;
            let losses = along(objective, &solution, &direction, &steps, cx)?;
            cx.step_done(index, self.directions, losses.last().copied().unwrap_or(f64::NAN))?;
            measured.series.insert(format!("slice_{index}"), losses);
        }
        Ok(measured)
    }

    /// What [`Self::measure`] found: the losses along each direction, in the order of the directions.
    pub fn losses(record: &Measurements) -> Vec<&[f64]> {
        (1..).map_while(|index| record.series(&format!("slice_{index}")).ok()).collect()
    }
}

/// L(θ + t d) at these t of one direction d [P], from a `solution` that is not the objective's own: that moves.
pub fn along(
    objective: &mut dyn Objective,
    solution: &Weights,
    direction: &Tensor,
    steps: &[f64],
    cx: &Context,
) -> Result<Vec<f64>> {
    let theta = &solution.theta;
    let loss_at = |&t: &f64| {
        objective.move_to(&solution.at(if t == 0.0 { theta.shallow_clone() } else { theta + direction * t }))?;
        cx.check_stop()?;
        objective.loss()
    };
    read_all(&steps.iter().map(loss_at).collect::<Result<Vec<_>>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_have_the_middle_and_both_sides_among_them() {
        let checked = |slice_points| Directions { directions: 1, slice_points }.check();
        for points in [11, 21, 41, 10_001] {
            assert_eq!(checked(points), Ok(()));
            let steps = evenly_spaced([-1.0, 1.0], points);
            let has = |t: f64| steps.iter().any(|step| (step - t).abs() < 1e-12);
            assert!(has(0.0) && has(NEAR) && has(-NEAR), "{points}");
        }
        for (points, advice) in [(0, "try 11"), (12, "try 11 or 21"), (40, "try 31 or 41"), (10_002, "try 10001")] {
            let error = checked(points).unwrap_err();
            assert!(error.ends_with(advice), "{error}");
        }
    }

    #[test]
    fn losses_come_in_the_order_of_the_directions() {
        let mut record = Measurements::default();
        for index in 1..=11 {
            record.series.insert(format!("slice_{index}"), vec![f64::from(index)]);
        }
        let found: Vec<f64> = Slices::losses(&record).concat();
        assert_eq!(found, (1..=11).map(f64::from).collect::<Vec<_>>());
        assert!(Slices::losses(&Measurements::default()).is_empty());
    }
}
