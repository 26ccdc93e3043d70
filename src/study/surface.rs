//! Paths of trainings in planes of principal components: of several in one plane; and of one on its loss surface, from
//! the numbers measured in the plane of the path and all over it. Pictures, what a plane leaves out, numbers as JSON.

use super::findings::cell;
use super::measurements::Measurements;
use super::number::percent;
use super::points::line;
use super::seeds::means_over_epochs;
use super::trust::{self, Doubts};
use crate::analysis::paths::Path;
use crate::analysis::statistics::{highest, spearman};
use crate::data::functions::evenly_spaced;
use crate::plot::{Axis, Color, Contours, Mark, Panel, Series};
use anyhow::Result;
use serde_json::{Value, json};
use std::iter::zip;

/// The path of a training in the plane of its two principal components, and the loss all over the plane.
pub struct PathOnSurface {
    /// Of the training.
    pub seed: u64,
    /// Where the grid's columns are, and its rows.
    x: Vec<f64>,
    y: Vec<f64>,
    /// The loss at the grid's points, row by row.
    losses: Vec<f64>,
    /// Shares of the path's variance along x and y.
    explained: [f64; 2],
    /// Of each point of the path, which begins at the initial weights: the epoch, its place in the plane, its distance
    /// from the plane and from the final weights, the loss there and at its place.
    epochs: Vec<f64>,
    places: Vec<(f64, f64)>,
    distance: Vec<f64>,
    from_final: Vec<f64>,
    true_loss: Vec<f64>,
    projected_loss: Vec<f64>,
}

impl PathOnSurface {
    /// From the record of the plane of a training of this seed, and the losses at `grid` x `grid` points of its frame,
    /// row by row.
    pub fn of(seed: u64, plane: &Measurements, grid: usize, losses: Vec<f64>) -> Result<Self> {
        let places = |low: &str, high: &str| -> Result<Vec<f64>> {
            Ok(evenly_spaced([plane.scalar(low)?, plane.scalar(high)?], grid))
        };
        let series = |name: &str| -> Result<Vec<f64>> { Ok(plane.series(name)?.to_vec()) };
        Ok(Self {
            seed,
            x: places("left", "right")?,
            y: places("bottom", "top")?,
            losses,
            explained: [plane.scalar("explained_variance_1")?, plane.scalar("explained_variance_2")?],
            epochs: series("epoch")?,
            places: series("component_1")?.into_iter().zip(series("component_2")?).collect(),
            distance: series("distance_from_plane")?,
            from_final: series("distance_from_final")?,
            true_loss: series("train_loss")?,
            projected_loss: series("projected_train_loss")?,
        })
    }

    /// How many points of the path are behind the initial weights.
    pub fn steps(&self) -> usize {
        self.places.len().saturating_sub(1)
    }

    /// Share of the path's variance that its plane holds; NaN where the path does not move.
    pub fn explained(&self) -> f64 {
        self.explained.iter().sum()
    }

    /// Over the path: Spearman's correlation of the loss at the weights and at their projection; `None` where it is
    /// undefined.
    pub fn correlation(&self) -> Option<f64> {
        spearman(&self.true_loss.iter().copied().zip(self.projected_loss.iter().copied()).collect::<Vec<_>>())
    }

    /// What speaks against the picture.
    pub fn doubts(&self) -> Doubts {
        let mut doubts = Doubts::default();
        doubts.add(trust::projected(self.explained()));
        let far = self.y.iter().flat_map(|y| self.x.iter().map(move |x| x.hypot(*y)));
        doubts.add(trust::not_finite(&self.losses, &far.collect::<Vec<_>>(), ""));
        doubts
    }

    /// How much of the path its plane shows, in words.
    pub fn sentence(&self) -> String {
        let [from_plane, from_final] =
            [&self.distance, &self.from_final].map(|values| highest(values).unwrap_or(f64::NAN));
        format!(
            "the plane of its own path holds {} of the path's variance; the path is at most {} from it, {} of the way it \
             goes.",
            percent(self.explained()),
            cell(from_plane),
            percent(from_plane / from_final),
        )
    }

    /// Level lines of the loss over the plane, with the path (figure 9 of Li et al. 2018).
    pub fn panel(&self) -> Panel {
        let Self { x, y, losses, places, .. } = self;
        let contours = Contours { x: x.clone(), y: y.clone(), z: losses.clone(), levels: Contours::log_levels(losses) };
        let end = |point: Option<&(f64, f64)>| point.copied().into_iter().collect::<Vec<_>>();
        let series = vec![
            Series::new("path of the training", Color::Cycle(1), places.clone()).mark(Mark::Path),
            Series::new("initial weights", Color::Ink, end(places.first())).mark(Mark::Circles),
            Series::new("final weights", Color::Ink, end(places.last())).mark(Mark::Crosses),
        ];
        let [x, y] = component_axes(self.explained, "the path's variance");
        Panel::plot("", x, y, series).contours(contours)
    }

    pub fn json(&self) -> Value {
        json!({
            "seed": self.seed, "x": self.x, "y": self.y, "train_loss": self.losses,
            "explained_variance_ratio": self.explained,
            "path": {
                "epoch": self.epochs, "components": self.places, "distance_from_plane": self.distance,
                "distance_from_final": self.from_final, "train_loss": self.true_loss,
                "projected_train_loss": self.projected_loss,
            },
        })
    }
}

/// Two panels over epochs of what the planes of paths leave out: the loss at each point of a path and at its
/// projection, and how far they are apart. Several paths become a mean with a band.
pub fn beside_the_plane(surfaces: &[PathOnSurface]) -> Vec<Panel> {
    // A label, a mark and what it shows of each surface.
    type Kind<'a> = (&'a str, Mark, fn(&PathOnSurface) -> &[f64]);
    let panel = |y: Axis, kinds: [Kind; 2]| {
        let mut series = Vec::new();
        for (color, (label, mark, of)) in kinds.into_iter().enumerate() {
            let of_each = |path: &PathOnSurface| line((label.into(), color), &path.epochs, of(path)).mark(mark);
            series.extend(surfaces.iter().map(of_each));
        }
        Panel::plot("", Axis::linear("epoch"), y, means_over_epochs(series))
    };
    let losses: [Kind; 2] = [
        ("at the weights", Mark::Line, |surface| &surface.true_loss),
        ("at their projection", Mark::Dashed, |surface| &surface.projected_loss),
    ];
    let distances: [Kind; 2] = [
        ("from the plane", Mark::Line, |surface| &surface.distance),
        ("from the final weights", Mark::Dashed, |surface| &surface.from_final),
    ];
    vec![
        panel(Axis::log("train loss (cross entropy)"), losses),
        panel(Axis::linear("distance of the weights"), distances),
    ]
}

/// The paths of several trainings in the plane of the first two components of all their points.
pub struct Paths {
    /// Shares of the variance along either.
    pub explained: [f64; 2],
    /// Of each training its number, from 1, and its path.
    numbers: Vec<u64>,
    pub paths: Vec<Path>,
}

impl Paths {
    /// From the record of an analysis of that part of the weights, with the numbers of its trainings.
    pub fn of(record: &Measurements, part: &str, numbers: Vec<u64>) -> Result<Self> {
        let component = |number: u32| record.series(&format!("{part}_component_{number}"));
        let points: Path = zip(component(1)?, component(2)?).map(|(x, y)| (*x, *y)).collect();
        let share = |number: u32| record.scalar(&format!("{part}_explained_variance_{number}"));
        let length = (points.len() / numbers.len().max(1)).max(1);
        let paths = points.chunks(length).map(<[_]>::to_vec).collect();
        Ok(Self { explained: [share(1)?, share(2)?], numbers, paths })
    }

    pub fn panel(&self, title: &str, has_legend: bool) -> Panel {
        let path = |(number, path): (&u64, &Path)| {
            let index = *number as usize - 1;
            // The colours repeat after six: hollow discs keep the next six apart.
            let mark = if (index / 6).is_multiple_of(2) { Mark::Path } else { Mark::OpenPath };
            let label = if has_legend { format!("training {number}") } else { String::new() };
            Series::new(label, Color::Cycle(index), path.clone()).mark(mark)
        };
        let [x, y] = component_axes(self.explained, "the variance");
        Panel::plot(title, x, y, zip(&self.numbers, &self.paths).map(path).collect())
    }

    pub fn json(&self) -> Value {
        json!({"components": self.paths.concat(), "explained_variance_ratio": self.explained})
    }
}

/// The axes of a plane of two principal components, with the share of "the variance" that each explains.
pub fn component_axes(explained: [f64; 2], of: &str) -> [Axis; 2] {
    [1, 2].map(|number| {
        let share = percent(explained[number - 1]);
        Axis::linear(format!("component {number} ({share} of {of})"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_beside_its_surface() {
        let scalars = [
            ("explained_variance_1", 0.75),
            ("explained_variance_2", 0.125),
            ("left", -1.0),
            ("right", 5.0),
            ("bottom", 0.0),
            ("top", 2.0),
        ];
        let series = [
            ("epoch", vec![0.0, 1.0, 3.0]),
            ("component_1", vec![4.0, 3.0, 0.0]),
            ("component_2", vec![0.0, 1.0, 0.0]),
            ("distance_from_plane", vec![0.5, 0.25, 0.0]),
            ("distance_from_final", vec![4.0, 3.0, 0.0]),
            ("train_loss", vec![2.0, 1.0, 0.5]),
            ("projected_train_loss", vec![1.9, 0.4, 0.5]),
        ];
        let surface = PathOnSurface::of(7, &Measurements::new(3, scalars, series), 3, vec![1.0; 9]).unwrap();
        assert_eq!((surface.steps(), surface.explained()), (2, 0.875));
        let sentence = "the plane of its own path holds 87.5 % of the path's variance; the path is at most 0.5000 from it, \
                        12.5 % of the way it goes.";
        assert_eq!(surface.sentence(), sentence);
        // Ranks 3, 2, 1 and 3, 1, 2.
        assert!((surface.correlation().unwrap() - 0.5).abs() < 1e-12);
        let json = surface.json();
        assert_eq!((&json["x"], &json["y"]), (&json!([-1.0, 2.0, 5.0]), &json!([0.0, 1.0, 2.0])));
        assert_eq!(json["path"]["components"][1], json!([3.0, 1.0]));
        let incomplete = Measurements::new(3, [], []);
        assert!(PathOnSurface::of(7, &incomplete, 3, vec![1.0; 9]).is_err());
    }
}
