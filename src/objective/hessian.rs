//! The exact Hessian ∇²L of a network's loss.
//!
//! [`of_mean_squared_error`] is the fast one for ReLU MLPs, in closed form; [`by_double_backward`]
//! the general one for any loss, and the oracle of the first. Both in the kind of the tensors they
//! are given: float64 for spectra, where rounding must not look like curvature.

use crate::data::blocks;
use crate::model::{Layout, Mlp};
use anyhow::Result;
use tch::{Kind, Tensor};

/// The Hessian [P, P] of L(θ) = (1/n) Σᵢ ‖f(θ, xᵢ) - yᵢ‖² for a ReLU network f, with `x` [inputs, n],
/// `y` [outputs, n] and a flat `theta` of P parameters, all of one kind on one device.
///
/// A ReLU network is piecewise linear, so away from its kinks, with r = f - y of one output, J = ∂f/∂θ,
/// layers z_l = W_l h_{l-1} + b_l and h_l = max(z_l, 0),
///
/// ```text
/// ∇²L = (2/n) Σᵢ [ JᵢᵀJᵢ + rᵢ ∇²fᵢ ],    ∂f/∂W_l = δ_l ⊗ h_{l-1},    δ_l = ∂f/∂z_l,
/// ∂²f / ∂W_l ∂W_k = δ_l ⊗ (∂h_{l-1}/∂z_k) ⊗ h_{k-1}  for k < l, and 0 for k = l
/// ```
///
/// (biases: the same with a 1 in h's place): a few matrix products where row by row would be P
/// backward passes. On a kink the derivative of ReLU counts as 0, as PyTorch has it.
///
/// With one input, the points between two kinks are condensed into two: see `condense`.
///
/// # Errors
/// libtorch's: memory, or shapes that do not fit.
pub(super) fn of_mean_squared_error(model: &Mlp, theta: &Tensor, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let _no_grad = tch::no_grad_guard();
    let network = Network::new(model, theta);
    let parameters = network.layout.parameters();
    let n = x.size()[1];
    let mut hessian = Tensor::f_zeros([parameters, parameters], (theta.kind(), theta.device()))?;
    let points = Points::new(&network, x, y)?;
    let points = if x.size()[0] == 1 { points.condensed()? } else { points };
    let (tile, total) = (network.tile(), points.x.size()[1]);
    for (start, samples) in blocks(total, tile) {
        network.add_second_derivatives(&points.narrow(start, samples), &mut hessian)?;
    }
    // The products give each mixed block once, below the diagonal, and JᵀJ/2: the other half is
    // the transpose, so the result is symmetric to the bit.
    let transposed = hessian.f_tr()?.copy();
    Ok(hessian.f_add_(&transposed)?.f_mul_scalar_(2.0 / n as f64)?)
}

/// θ's layers.
struct Network {
    layout: Layout,
    widths: Vec<i64>,
    /// [out, in] of each linear layer.
    weights: Vec<Tensor>,
    /// [out, 1].
    biases: Vec<Tensor>,
}

/// Points with their weight in JᵀJ and their residuals.
pub(super) struct Points {
    /// [inputs, n].
    pub x: Tensor,
    /// ReLU's derivatives of each hidden layer, [width, n], 0 or 1.
    pub masks: Vec<Tensor>,
    /// [1, n].
    pub weight: Tensor,
    /// f - y, [outputs, n]; of condensed points already summed.
    pub residual: Tensor,
}

impl Points {
    fn new(network: &Network, x: &Tensor, y: &Tensor) -> Result<Self> {
        let mut masks = Vec::new();
        let mut h = x.shallow_clone();
        for (layer, (weight, bias)) in network.weights.iter().zip(&network.biases).enumerate() {
            let z = bias.f_addmm(weight, &h)?;
            if layer + 1 < network.weights.len() {
                masks.push(z.f_gt(0.0)?.f_to_kind(z.kind())?);
                h = z.f_relu()?;
            } else {
                h = z;
            }
        }
        let residual = h.f_sub(y)?;
        Ok(Self { x: x.shallow_clone(), masks, weight: Tensor::f_ones_like(&x.narrow(0, 0, 1))?, residual })
    }

    /// Those of a network of one input on points `x` [1, n] and `y` [outputs, n], as few as give the same sums.
    ///
    /// # Errors
    /// libtorch's.
    pub fn condensed_of(model: &Mlp, theta: &Tensor, x: &Tensor, y: &Tensor) -> Result<Self> {
        Self::new(&Network::new(model, theta), x, y)?.condensed()
    }

    pub fn narrow(&self, start: i64, samples: i64) -> Self {
        let cut = |tensor: &Tensor| tensor.narrow(1, start, samples);
        Self {
            x: cut(&self.x),
            masks: self.masks.iter().map(cut).collect(),
            weight: cut(&self.weight),
            residual: cut(&self.residual),
        }
    }

    /// The same sums from far fewer points, for networks of one input.
    ///
    /// Between two kinks δ is constant and h is affine in x, so what is summed over the points there is a polynomial
    /// of degree 2 in x (for JᵀJ), or r times one of degree 1. The two nodes of Gauss's quadrature for these points
    /// and the residuals' moments give both exactly: see [`condense`].
    fn condensed(&self) -> Result<Self> {
        let n = self.x.size()[1];
        if n < 2 {
            return self.sorted((0..n).collect());
        }
        let xs: Vec<f64> = self.x.f_view(-1)?.f_to_kind(Kind::Double)?.try_into()?;
        let mut order: Vec<i64> = (0..n).collect();
        order.sort_by(|&a, &b| xs[a as usize].total_cmp(&xs[b as usize]));
        let sorted = self.sorted(order)?;
        if sorted.masks.is_empty() {
            return sorted.in_groups(&[0, n as usize]);
        }
        let patterns = Tensor::f_cat(&sorted.masks, 0)?;
        let changes = patterns.f_narrow(1, 1, n - 1)?.f_ne_tensor(&patterns.f_narrow(1, 0, n - 1)?)?;
        let changes: Vec<bool> = changes.f_any_dim(0, false)?.try_into()?;
        let mut starts = vec![0];
        starts.extend((1..).zip(changes).filter_map(|(at, change)| change.then_some(at)));
        starts.push(n as usize);
        sorted.in_groups(&starts)
    }

    fn sorted(&self, order: Vec<i64>) -> Result<Self> {
        let order = Tensor::f_from_slice(&order)?.f_to_device(self.x.device())?;
        let pick = |tensor: &Tensor| tensor.f_index_select(1, &order);
        Ok(Self {
            x: pick(&self.x)?,
            masks: self.masks.iter().map(pick).collect::<Result<_, _>>()?,
            weight: pick(&self.weight)?,
            residual: pick(&self.residual)?,
        })
    }

    /// Condenses each run of points from one entry of `starts` to the next.
    fn in_groups(&self, starts: &[usize]) -> Result<Self> {
        let (kind, device) = (self.x.kind(), self.x.device());
        let host =
            |tensor: &Tensor| -> Result<Vec<f64>> { Ok(tensor.f_reshape(-1)?.f_to_kind(Kind::Double)?.try_into()?) };
        let xs = host(&self.x)?;
        let outputs = self.residual.size()[0];
        let residuals: Vec<Vec<f64>> =
            (0..outputs).map(|output| host(&self.residual.select(0, output))).collect::<Result<_>>()?;
        let (mut x, mut weight, mut first) = (Vec::new(), Vec::new(), Vec::new());
        let mut sums = vec![Vec::new(); residuals.len()];
        for group in starts.windows(2) {
            let inside = group[0]..group[1];
            let of_outputs: Vec<&[f64]> = residuals.iter().map(|residual| &residual[inside.clone()]).collect();
            for node in condense(&xs[inside], &of_outputs) {
                x.push(node.x);
                weight.push(node.weight);
                first.push(group[0] as i64);
                for (sums, residual) in sums.iter_mut().zip(node.residuals) {
                    sums.push(residual);
                }
            }
        }
        let row = |values: &[f64]| -> Result<Tensor> {
            Ok(Tensor::f_from_slice(values)?.f_view([1, -1])?.f_to_kind(kind)?.f_to_device(device)?)
        };
        let first = Tensor::f_from_slice(&first)?.f_to_device(device)?;
        let residual: Vec<Tensor> = sums.iter().map(|sums| row(sums)).collect::<Result<_>>()?;
        Ok(Self {
            x: row(&x)?,
            masks: self.masks.iter().map(|mask| mask.f_index_select(1, &first)).collect::<Result<_, _>>()?,
            weight: row(&weight)?,
            residual: Tensor::f_cat(&residual, 0)?,
        })
    }
}

/// A point that stands for several.
struct Node {
    x: f64,
    weight: f64,
    residuals: Vec<f64>,
}

/// At most two nodes x̂ with weights w and residuals r̂ such that Σ w p(x̂) = Σ p(xᵢ) for p of degree 3
/// and less, and Σ r̂ p(x̂) = Σ rᵢ p(xᵢ) for p of degree 1 and less.
///
/// The nodes are those of Gauss's quadrature for the sum over the points: with t = x - mean and m_k the
/// mean of tᵏ, the roots of t² - (m₃/m₂) t - m₂. They lie between the points.
fn condense(xs: &[f64], residuals: &[&[f64]]) -> Vec<Node> {
    if xs.len() <= 2 {
        let node =
            |(i, &x): (usize, &f64)| Node { x, weight: 1.0, residuals: residuals.iter().map(|r| r[i]).collect() };
        return xs.iter().enumerate().map(node).collect();
    }
    let n = xs.len() as f64;
    let mean = xs.iter().sum::<f64>() / n;
    let moment = |power: i32| xs.iter().map(|x| (x - mean).powi(power)).sum::<f64>() / n;
    let variance = moment(2);
    if variance <= 0.0 {
        return vec![Node { x: mean, weight: n, residuals: residuals.iter().map(|r| r.iter().sum()).collect() }];
    }
    let skew = moment(3) / variance;
    let root = (skew * skew + 4.0 * variance).sqrt();
    let (low, high) = ((skew - root) / 2.0, (skew + root) / 2.0);
    // Lagrange's basis of the two nodes: 1 at the one, 0 at the other.
    let node = |own: f64, other: f64| {
        let basis = |x: f64| (x - mean - other) / (own - other);
        let moment = |r: &&[f64]| xs.iter().zip(*r).map(|(x, r)| r * basis(*x)).sum();
        Node { x: mean + own, weight: -n * other / (own - other), residuals: residuals.iter().map(moment).collect() }
    };
    vec![node(low, high), node(high, low)]
}

impl Network {
    fn new(model: &Mlp, theta: &Tensor) -> Self {
        let layout = model.layout();
        let views = layout.views(theta);
        Self {
            widths: model.widths().to_vec(),
            weights: views.iter().step_by(2).map(Tensor::shallow_clone).collect(),
            biases: views.iter().skip(1).step_by(2).map(|bias| bias.unsqueeze(1)).collect(),
            layout,
        }
    }

    /// Samples at a time: what is stored for each is its row of J and ∂h/∂z of all pairs of layers.
    fn tile(&self) -> i64 {
        const NUMBERS: i64 = 8_000_000;
        let hidden: i64 = self.widths[1..self.widths.len() - 1].iter().sum();
        (NUMBERS / (self.layout.parameters() + hidden * hidden)).max(16)
    }

    /// Adds Σᵢ wᵢ JᵢᵀJᵢ / 2 and, below the diagonal, the mixed blocks of Σᵢ rᵢ ∇²fᵢ.
    fn add_second_derivatives(&self, points: &Points, hessian: &mut Tensor) -> Result<()> {
        let n = points.x.size()[1];
        let layers = self.weights.len();
        // h_0 = x, h_1, ... each [width, n].
        let mut h = vec![points.x.shallow_clone()];
        for (layer, mask) in points.masks.iter().enumerate() {
            h.push(self.biases[layer].f_addmm(&self.weights[layer], &h[layer])?.f_mul(mask)?);
        }
        // ∂h_j/∂z_k as [width_j, width_k, n], for hidden layers k <= j (both counted from 1).
        let mut inner: Vec<Vec<Tensor>> = Vec::new();
        for k in 1..layers {
            let mask = &points.masks[k - 1];
            let eye = Tensor::f_eye(self.widths[k], (mask.kind(), mask.device()))?;
            let mut of_k = vec![eye.f_unsqueeze(2)?.f_mul(&mask.f_unsqueeze(0)?)?];
            for j in k + 1..layers {
                let before = of_k[j - k - 1].f_reshape([self.widths[j - 1], -1])?;
                let product = self.weights[j - 1].f_mm(&before)?.f_view([self.widths[j], self.widths[k], n])?;
                of_k.push(product.f_mul(&points.masks[j - 1].f_unsqueeze(1)?)?);
            }
            inner.push(of_k);
        }
        let root_of_half_weight = points.weight.f_mul_scalar(0.5)?.f_sqrt()?;
        for output in 0..self.widths[layers] {
            // δ_l for l = 1 ... layers, at index l - 1.
            let mut deltas = vec![self.unit(output, &points.x)?];
            for l in (1..layers).rev() {
                let above = &deltas[deltas.len() - 1];
                deltas.push(self.weights[l].f_tr()?.f_mm(above)?.f_mul(&points.masks[l - 1])?);
            }
            deltas.reverse();

            let mut rows = Vec::new();
            for (delta, input) in deltas.iter().zip(&h) {
                rows.push(outer(delta, input)?);
                rows.push(delta.shallow_clone());
            }
            let jacobian = Tensor::f_cat(&rows, 0)?.f_mul(&root_of_half_weight)?;
            *hessian = hessian.f_addmm_(&jacobian, &jacobian.f_tr()?)?;

            let residual = points.residual.f_narrow(0, output, 1)?;
            for l in 2..=layers {
                let weighted = deltas[l - 1].f_mul(&residual)?;
                for k in 1..l {
                    let inner = &inner[k - 1][l - 1 - k];
                    self.add_mixed_block((l, k), &weighted, inner, &h[k - 1], hessian)?;
                }
            }
        }
        Ok(())
    }

    /// Adds Σ r δ_l[a] ∂h_{l-1}[b]/∂z_k[c] h_{k-1}[d] to the block of W_l[a, b] with W_k[c, d], and
    /// the same without h to that with b_k[c].
    fn add_mixed_block(
        &self,
        (l, k): (usize, usize),
        weighted_delta: &Tensor,
        inner: &Tensor,
        input: &Tensor,
        hessian: &mut Tensor,
    ) -> Result<()> {
        let (a, b, c, d) = (self.widths[l], self.widths[l - 1], self.widths[k], self.widths[k - 1]);
        let left = Tensor::f_cat(&[outer(weighted_delta, input)?, weighted_delta.shallow_clone()], 0)?;
        let product = left.f_mm(&inner.f_reshape([b * c, -1])?.f_tr()?)?;
        let with_weights = product.f_narrow(0, 0, a * d)?.f_view([a, d, b, c])?.f_permute([0, 2, 3, 1])?;
        let with_bias = product.f_narrow(0, a * d, a)?;
        let slots = &self.layout.slots;
        let row = slots[2 * (l - 1)].offset;
        let rows = hessian.f_narrow(0, row, a * b)?;
        for (slot, block) in
            [(2 * (k - 1), with_weights.f_reshape([a * b, c * d])?), (2 * k - 1, with_bias.f_reshape([a * b, c])?)]
        {
            let _ = rows.f_narrow(1, slots[slot].offset, slots[slot].len())?.f_add_(&block)?;
        }
        Ok(())
    }

    /// ∂f_output/∂z of the last layer, [outputs, n].
    fn unit(&self, output: i64, x: &Tensor) -> Result<Tensor> {
        let unit = Tensor::f_zeros([self.widths[self.widths.len() - 1], x.size()[1]], (x.kind(), x.device()))?;
        let _ = unit.f_select(0, output)?.f_fill_(1.0)?;
        Ok(unit)
    }
}

/// Products of all rows of `a` [p, n] with all rows of `b` [q, n], [p · q, n].
fn outer(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let n = a.size()[1];
    Ok(a.f_unsqueeze(1)?.f_mul(&b.f_unsqueeze(0)?)?.f_reshape([-1, n])?)
}

/// The Hessian [P, P] of any differentiable `loss` (a scalar) of a flat `theta`: P backward passes
/// through the graph of the gradient.
///
/// # Errors
/// libtorch's, and a loss that does not depend on θ.
pub fn by_double_backward(theta: &Tensor, loss: impl Fn(&Tensor) -> Tensor) -> Result<Tensor> {
    let theta = theta.f_detach()?.copy().f_set_requires_grad(true)?;
    let gradient = Tensor::f_run_backward(&[loss(&theta)], &[&theta], true, true)?.remove(0);
    let rows: Vec<Tensor> = (0..theta.size()[0])
        .map(|index| Ok(Tensor::f_run_backward(&[gradient.f_get(index)?], &[&theta], true, false)?.remove(0)))
        .collect::<Result<_>>()?;
    Ok(Tensor::f_stack(&rows, 0)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::tests::{columns, relative};
    use crate::objective::{MeanSquaredError, Objective as _};
    use tch::Device;

    fn problem(widths: &str, samples: i64) -> (Mlp, Tensor, Tensor, Tensor) {
        let model: Mlp = widths.parse().unwrap();
        let double = (Kind::Double, Device::Cpu);
        let (inputs, outputs) = (model.widths()[0], *model.widths().last().unwrap());
        // Not in order, for the networks of one input.
        let x = (Tensor::arange(inputs * samples, double) * 1.7).sin().view([inputs, samples]) * 2.0;
        let y = Tensor::linspace(0.0, 9.0, outputs * samples, double).view([outputs, samples]).sin();
        let theta = model.layout().initial(5, "hessian", Kind::Double, Device::Cpu);
        (model, theta, x, y)
    }

    #[test]
    fn closed_form_is_double_backward() {
        for widths in ["1-1", "1-7-1", "1-5-4-3-1", "1-3-4-5-2", "2-4-3-1", "3-5-4-2"] {
            for samples in [1, 2, 3, 50] {
                let (model, theta, x, y) = problem(widths, samples);
                let general = by_double_backward(&theta, |theta| {
                    (model.forward(theta, &x) - &y).square().sum(Kind::Double) / samples as f64
                })
                .unwrap();
                let closed = of_mean_squared_error(&model, &theta, &x, &y).unwrap();
                let error = relative(&closed, &general);
                assert!(error < 1e-12, "{widths} with {samples} points: {error}");
                assert_eq!(relative(&closed.tr(), &closed), 0.0, "{widths} is symmetric");
            }
        }
    }

    #[test]
    fn closed_form_is_the_finite_difference_of_the_gradient() {
        let (model, theta, x, y) = problem("1-6-5-4-1", 60);
        let hessian = of_mean_squared_error(&model, &theta, &x, &y).unwrap();
        let step = 1e-6;
        let gradient_at = |theta: Tensor| {
            let mut objective = MeanSquaredError::new(&model.network(), theta, &columns(&x, &y)).unwrap();
            objective.loss_and_gradient().unwrap();
            objective.gradient().copy()
        };
        for index in 0..theta.size()[0] {
            let moved = |by: f64| {
                let theta = theta.copy();
                let _ = theta.get(index).g_add_scalar_(by);
                gradient_at(theta)
            };
            let difference = (moved(step) - moved(-step)) / (2.0 * step);
            let error = (difference - hessian.get(index)).abs().max().double_value(&[]);
            assert!(error < 1e-7, "column {index}: {error}");
        }
    }

    #[test]
    fn tiles_add_up() {
        // More numbers than one tile holds: 2 inputs, so nothing is condensed.
        let (model, theta, x, y) = problem("2-60-60-1", 1700);
        let network = Network::new(&model, &theta);
        assert!(network.tile() < 1700);
        let closed = of_mean_squared_error(&model, &theta, &x, &y).unwrap();
        // Hessian times a direction, by double backward.
        let direction = (Tensor::arange(theta.size()[0], (Kind::Double, Device::Cpu)) * 0.37).cos();
        let leaf = theta.copy().set_requires_grad(true);
        let loss = (model.forward(&leaf, &x) - &y).square().sum(Kind::Double) / 1700.0;
        let gradient = Tensor::run_backward(&[loss], &[&leaf], true, true).remove(0);
        let expected = Tensor::run_backward(&[gradient.dot(&direction)], &[&leaf], false, false).remove(0);
        assert!(relative(&closed.mv(&direction), &expected) < 1e-12);
    }

    #[test]
    fn condensed_points_keep_the_moments() {
        let xs = [0.1, 0.1, 0.2, 0.7, 0.75, 1.9];
        let residual = [1.0, -2.0, 0.5, 4.0, -1.0, 0.3];
        let nodes = condense(&xs, &[&residual]);
        assert_eq!(nodes.len(), 2);
        for power in 0..=3 {
            let expected: f64 = xs.iter().map(|x| x.powi(power)).sum();
            let found: f64 = nodes.iter().map(|node| node.weight * node.x.powi(power)).sum();
            assert!((found - expected).abs() < 1e-12, "degree {power}: {found} against {expected}");
        }
        for power in 0..=1 {
            let expected: f64 = xs.iter().zip(residual).map(|(x, r)| r * x.powi(power)).sum();
            let found: f64 = nodes.iter().map(|node| node.residuals[0] * node.x.powi(power)).sum();
            assert!((found - expected).abs() < 1e-12, "residuals, degree {power}: {found} against {expected}");
        }
        assert!(nodes.iter().all(|node| (0.1..=1.9).contains(&node.x) && node.weight > 0.0));
        let equal = condense(&[0.3; 4], &[&[1.0, 2.0, 3.0, 4.0]]);
        assert_eq!((equal.len(), equal[0].weight, equal[0].residuals[0]), (1, 4.0, 10.0));
    }
}
