//! Where to look at a loss as a function of one or two numbers: the plane of the principal components
//! of a training's path, and normalised random directions (Li et al. 2018, "Visualizing the
//! Loss Landscape of Neural Nets"). Knows θ and its layout, no loss.

use super::pca::{Pca, pca, pca_of_rows};
use crate::model::Layout;
use crate::rng::{Purpose, Rng};
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// A plane through the last row of a path, along the path's principal components.
pub struct PathPlane {
    /// The last row, [parameters] in float64.
    pub origin: Tensor,
    /// Orthonormal, [parameters] in float64; zeros where the path spans less than a plane.
    pub directions: [Tensor; 2],
    /// Of each row its coordinates: the inner products of row - origin with the directions.
    pub coordinates: Vec<(f64, f64)>,
    /// Of each row its Euclidean distance from the plane; 0 for the last.
    pub distance: Vec<f64>,
    /// Of each row its Euclidean distance from the origin.
    pub distance_from_origin: Vec<f64>,
    /// Share of the rows' variance along each direction, 0…1.
    pub explained_variance_ratio: [f64; 2],
}

impl PathPlane {
    /// Through the last of `rows`, along the first two principal components of all of them. The
    /// components are those of the centred rows, which are also those of the rows minus the last one,
    /// as Li et al. take them: centring removes what is subtracted from all.
    ///
    /// # Errors
    /// Those of [`pca`].
    pub fn of_path(rows: &[Tensor]) -> Result<Self> {
        Self::along(&pca(rows, 2)?, rows.len(), &mut |at| Ok(rows[at].shallow_clone()))
    }

    /// The same of rows that are read one by one, at most `at_once` of them in memory beside a few more.
    ///
    /// # Errors
    /// Those of [`pca_of_rows`].
    pub fn of_rows(count: usize, at_once: usize, row: &mut dyn FnMut(usize) -> Result<Tensor>) -> Result<Self> {
        Self::along(&pca_of_rows(count, at_once, 2, row)?, count, row)
    }

    fn along(found: &Pca, count: usize, row: &mut dyn FnMut(usize) -> Result<Tensor>) -> Result<Self> {
        let _no_grad = tch::no_grad_guard();
        let flat = |row: Tensor| -> Result<Tensor> { Ok(row.f_view(-1)?.f_to_kind(Kind::Double)?) };
        let origin = flat(row(count.saturating_sub(1))?)?;
        let mut directions: Vec<Tensor> = Vec::new();
        for scores in &found.scores {
            // With scores Xv of the centred rows X, Xᵀ Xv = λv; a common shift falls out, as the scores
            // of one component sum to zero.
            let mut sum = origin.f_zeros_like()?;
            for (at, score) in scores.iter().enumerate() {
                let difference = flat(row(at)?)?.f_sub(&origin)?;
                sum = sum.f_add(&difference.f_mul_scalar(*score)?)?;
            }
            // The scores' rounding leaves a little of the first direction in the second.
            for before in &directions {
                sum = sum.f_sub(&before.f_mul(&sum.f_dot(before)?)?)?;
            }
            let length = sum.f_norm()?.f_double_value(&[])?;
            directions.push(if length > 0.0 { sum.f_div_scalar(length)? } else { sum });
        }
        let [one, two] = <[Tensor; 2]>::try_from(directions).map_err(|_| anyhow::anyhow!("no two directions"))?;
        let (mut coordinates, mut distance, mut distance_from_origin) = (Vec::new(), Vec::new(), Vec::new());
        for at in 0..count {
            let difference = flat(row(at)?)?.f_sub(&origin)?;
            let (x, y) = (difference.f_dot(&one)?, difference.f_dot(&two)?);
            let off = difference.f_sub(&one.f_mul(&x)?)?.f_sub(&two.f_mul(&y)?)?;
            coordinates.push((x.f_double_value(&[])?, y.f_double_value(&[])?));
            distance.push(off.f_norm()?.f_double_value(&[])?);
            distance_from_origin.push(difference.f_norm()?.f_double_value(&[])?);
        }
        let explained_variance_ratio = [found.explained_variance_ratio[0], found.explained_variance_ratio[1]];
        Ok(Self {
            origin,
            directions: [one, two],
            coordinates,
            distance,
            distance_from_origin,
            explained_variance_ratio,
        })
    }

    /// The point of the plane with these coordinates, [parameters] in float64.
    pub fn point(&self, (x, y): (f64, f64)) -> Result<Tensor> {
        let [one, two] = &self.directions;
        Ok(self.origin.f_add(&one.f_mul_scalar(x)?)?.f_add(&two.f_mul_scalar(y)?)?)
    }

    /// The lowest and highest x and y of a picture of the path: its bounding box with `margin` times the
    /// box's own side added at either end. A side that is 0 becomes as long as the other, or 1.
    pub fn frame(&self, margin: f64) -> [(f64, f64); 2] {
        let bounds = |of: fn(&(f64, f64)) -> f64| {
            let values = self.coordinates.iter().map(of);
            (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max))
        };
        let sides = [bounds(|c| c.0), bounds(|c| c.1)];
        let longest = sides.iter().map(|(low, high)| high - low).fold(0.0, f64::max);
        sides.map(|(low, high)| {
            let side = if high > low { high - low } else { longest };
            let air = if side > 0.0 { margin * side } else { 0.5 };
            (low - air, high + air)
        })
    }
}

/// What of a direction is made as long as the same of θ (Li et al. 2018, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normalise {
    /// The weights of one unit: of a convolution's output channel or of a linear layer's output.
    Filter,
    /// Each tensor.
    Layer,
    /// Nothing.
    None,
}

impl Normalise {
    /// A direction in which each filter, or layer, is as long as that of `theta`: d ← d / ‖dⱼ‖ · ‖θⱼ‖ for every
    /// filter j, so that the same step changes networks of any scale alike. Tensors of fewer than two dimensions
    /// (biases, the weights of normalisations) are not moved: their code's `biasbn`. Flat, [parameters], in the kind of
    /// `theta`; that of `direction` is float64.
    ///
    /// # Errors
    /// Where one does not fit the layout.
    pub fn applied(self, layout: &Layout, theta: &Tensor, direction: &Tensor) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        for flat in [theta, direction] {
            let (shape, parameters) = (flat.size(), layout.parameters());
            ensure!(shape == [parameters], "θ, or a direction, of shape {shape:?} for {parameters} parameters");
        }
        let mut slices = Vec::new();
        for (index, slot) in layout.slots.iter().enumerate() {
            let slice = layout.view(direction, index);
            let own = layout.view(theta, index).f_to_kind(Kind::Double)?;
            let lengths = |of: &Tensor| of.f_norm_scalaropt_dim(2, 1, true);
            slices.push(match self {
                _ if slot.shape.len() < 2 => slice.f_zeros_like()?.f_reshape([-1])?,
                Self::None => slice.f_reshape([-1])?,
                Self::Layer | Self::Filter => {
                    let rows = |of: &Tensor| match self {
                        Self::Layer => of.f_reshape([1, -1]),
                        _ => of.f_flatten(1, -1),
                    };
                    let (slice, own) = (rows(&slice)?, rows(&own)?);
                    let factor = lengths(&own)?.f_div(&lengths(&slice)?)?;
                    slice.f_mul(&factor)?.f_reshape([-1])?
                }
            });
        }
        Ok(Tensor::f_cat(&slices, 0)?.f_to_kind(theta.kind())?)
    }

    /// A random direction, likewise. Drawn on the host, keyed by `seed`, `name` and `index`.
    ///
    /// # Errors
    /// Where `theta` does not fit the layout.
    pub fn random(self, layout: &Layout, theta: &Tensor, (seed, name, index): (u64, &str, u64)) -> Result<Tensor> {
        let mut rng = Rng::keyed(seed, name, Purpose::RandomDirection, index);
        let draws: Vec<f64> = (0..layout.parameters()).map(|_| rng.bell()).collect();
        self.applied(layout, theta, &Tensor::f_from_slice(&draws)?.f_to_device(theta.device())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model as _;
    use crate::objective::tests::network;
    use tch::Device;

    fn numbers(tensor: &Tensor) -> Vec<f64> {
        tensor.to_kind(Kind::Double).view(-1).try_into().unwrap()
    }

    #[test]
    fn a_path_in_a_tilted_plane_is_in_its_plane() {
        // Rows c + a·u + b·v with orthonormal u, v, and one row off the plane along w.
        let (u, v, w) = ([0.6, 0.8, 0.0, 0.0], [-0.8, 0.6, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]);
        let points = [(-8.0, 1.0, 0.0), (-5.0, -2.0, 0.0), (-2.0, -1.0, 0.1), (-1.0, 1.0, 0.0), (0.0, 0.0, 0.0)];
        let rows: Vec<Tensor> = points
            .iter()
            .map(|(a, b, c)| Tensor::from_slice(&[0, 1, 2, 3].map(|i| 7.0 + a * u[i] + b * v[i] + c * w[i])))
            .collect();
        let plane = PathPlane::of_path(&rows).unwrap();
        let [one, two] = &plane.directions;
        let dot = |a: &Tensor, b: &Tensor| a.dot(b).double_value(&[]);
        assert!(
            (dot(one, one) - 1.0).abs() < 1e-12 && (dot(two, two) - 1.0).abs() < 1e-12 && dot(one, two).abs() < 1e-12
        );
        for (row, &(a, b, c)) in points.iter().enumerate() {
            let (x, y) = plane.coordinates[row];
            // Distances within the plane are those of (a, b) up to the small tilt of the one row.
            assert!((x.hypot(y) - f64::hypot(a, b)).abs() < 5e-3, "{row}");
            assert!((plane.distance[row] - f64::abs(c)).abs() < 0.05, "{row}: {}", plane.distance[row]);
            assert!((plane.distance_from_origin[row] - (a * a + b * b + c * c).sqrt()).abs() < 1e-12);
            // Pythagoras, and the projection.
            assert!((x * x + y * y + plane.distance[row].powi(2) - (a * a + b * b + c * c)).abs() < 1e-9);
            let off = (rows[row].shallow_clone() - plane.point((x, y)).unwrap()).norm().double_value(&[]);
            assert!((off - plane.distance[row]).abs() < 1e-9);
        }
        assert_eq!((plane.coordinates[4], plane.distance[4]), ((0.0, 0.0), 0.0));
        let [(left, right), (low, high)] = plane.frame(0.5);
        for (x, y) in &plane.coordinates {
            assert!(left < *x && *x < right && low < *y && *y < high);
        }
    }

    #[test]
    fn explained_variance_and_scores_are_those_of_the_analysis() {
        let layout = network("784-3-10").layout();
        let rows: Vec<Tensor> = (0..6).map(|seed| layout.initial(seed, "plane", Kind::Float, Device::Cpu)).collect();
        let (plane, pca) = (PathPlane::of_path(&rows).unwrap(), pca(&rows, 2).unwrap());
        assert_eq!(plane.explained_variance_ratio.to_vec(), pca.explained_variance_ratio);
        for row in 0..6 {
            let (x, y) = plane.coordinates[row];
            assert!((x - (pca.scores[0][row] - pca.scores[0][5])).abs() < 1e-9);
            assert!((y - (pca.scores[1][row] - pca.scores[1][5])).abs() < 1e-9);
        }
    }

    #[test]
    fn paths_that_span_no_plane_have_a_frame() {
        let rows = |values: &[f64]| values.iter().map(|&x| Tensor::from_slice(&[x, 2.0 * x])).collect::<Vec<_>>();
        let line = PathPlane::of_path(&rows(&[0.0, 1.0, 3.0])).unwrap();
        assert!(line.directions[1].norm().double_value(&[]) < 1e-6);
        let [x, y] = line.frame(0.25);
        assert!(x.0 < x.1 && y.0 < y.1 && y.1 - y.0 < x.1 - x.0);
        assert_eq!(PathPlane::of_path(&rows(&[1.0])).unwrap().frame(0.25), [(-0.5, 0.5); 2]);
        assert!(PathPlane::of_path(&[]).is_err());
    }

    #[test]
    fn every_filter_of_a_direction_is_as_long_as_thetas() {
        for model in ["conv3-conv4-6-10", "784-5-10"] {
            let layout = network(model).layout();
            let theta = layout.initial(1, "filters", Kind::Double, Device::Cpu);
            let key = |seed, index| Normalise::Filter.random(&layout, &theta, (seed, "a", index)).unwrap();
            let direction = key(0, 0);
            assert_eq!(direction, key(0, 0));
            assert!(direction != key(1, 0) && direction != key(0, 1));
            // The slow way: number by number.
            let mut rng = Rng::keyed(0, "a", Purpose::RandomDirection, 0);
            let draws: Vec<f64> = (0..layout.parameters()).map(|_| rng.bell()).collect();
            let (found, own) = (numbers(&direction), numbers(&theta));
            for slot in &layout.slots {
                let filters = if slot.shape.len() > 1 { slot.shape[0] } else { 0 };
                if filters == 0 {
                    let range = slot.offset as usize..(slot.offset + slot.len()) as usize;
                    assert!(found[range].iter().all(|x| *x == 0.0), "{}", slot.name);
                    continue;
                }
                let size = (slot.len() / filters) as usize;
                for filter in 0..filters as usize {
                    let start = slot.offset as usize + filter * size;
                    let length = |of: &[f64]| of[start..start + size].iter().map(|x| x * x).sum::<f64>().sqrt();
                    let factor = length(&own) / length(&draws);
                    for i in start..start + size {
                        assert!((found[i] - draws[i] * factor).abs() < 1e-12, "{} {i}", slot.name);
                    }
                }
            }
            // A layer ten times as large is moved ten times as far.
            let larger = Normalise::Filter.random(&layout, &(&theta * 10.0), (0, "a", 0)).unwrap();
            assert!(larger.allclose(&(&direction * 10.0), 1e-12, 0.0, false));
        }
        let layout = network("784-5-10").layout();
        assert!(Normalise::Filter.random(&layout, &Tensor::from_slice(&[1.0]), (0, "a", 0)).is_err());
    }

    #[test]
    fn layers_are_as_long_as_thetas_or_as_they_were_drawn() {
        let layout = network("conv3-conv4-6-10").layout();
        let theta = layout.initial(1, "layers", Kind::Double, Device::Cpu);
        let mut rng = Rng::keyed(3, "a", Purpose::RandomDirection, 7);
        let draws: Vec<f64> = (0..layout.parameters()).map(|_| rng.bell()).collect();
        let of = |by: Normalise| numbers(&by.random(&layout, &theta, (3, "a", 7)).unwrap());
        let (by_layer, plain, own) = (of(Normalise::Layer), of(Normalise::None), numbers(&theta));
        for slot in &layout.slots {
            let range = slot.offset as usize..(slot.offset + slot.len()) as usize;
            let length = |of: &[f64]| of[range.clone()].iter().map(|x| x * x).sum::<f64>().sqrt();
            let is_moved = slot.shape.len() > 1;
            let factor = if is_moved { length(&own) / length(&draws) } else { 0.0 };
            for i in range.clone() {
                assert!((by_layer[i] - draws[i] * factor).abs() < 1e-12, "{} {i}", slot.name);
                assert_eq!(plain[i], if is_moved { draws[i] } else { 0.0 }, "{} {i}", slot.name);
            }
        }
    }

    #[test]
    fn a_path_that_is_read_row_by_row_has_the_same_plane() {
        let layout = network("784-3-10").layout();
        let rows: Vec<Tensor> = (0..6).map(|seed| layout.initial(seed, "plane", Kind::Float, Device::Cpu)).collect();
        let whole = PathPlane::of_path(&rows).unwrap();
        for at_once in [1, 3, 100] {
            let read = PathPlane::of_rows(6, at_once, &mut |at| Ok(rows[at].shallow_clone())).unwrap();
            for (a, b) in read.directions.iter().zip(&whole.directions) {
                assert!((a - b).norm().double_value(&[]) < 1e-9);
            }
            for (a, b) in read.coordinates.iter().zip(&whole.coordinates) {
                assert!((a.0 - b.0).abs() < 1e-9 && (a.1 - b.1).abs() < 1e-9);
            }
            assert_eq!(read.distance_from_origin, whole.distance_from_origin);
        }
    }
}
