//! Sharpness of a minimum: how far the loss can rise within a small box around it (Keskar et al. 2017, "On Large-Batch
//! Training for Deep Learning", Metric 2.1), or within a ball in which each parameter is measured by its own size, so that
//! rescaling changes nothing (Kwon et al. 2021, "ASAM"). Knows a loss and its gradient as a function, no network.

use super::statistics::{highest, larger, lowest};
use crate::rng::{Purpose, Rng};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// The largest rise found.
#[derive(Clone, Debug, PartialEq)]
pub struct Sharpness {
    /// L(θ).
    pub loss: f64,
    /// Of each start the sharpness it reached, in the order of the starts; see [`sharpness`].
    pub by_start: Vec<f64>,
    /// Gradients that were taken.
    pub gradients: u64,
    /// Starts whose gradients were used up before a step no longer paid.
    pub cut_off: u64,
}

impl Sharpness {
    /// The largest of the starts: a lower bound of the true sharpness. NaN where one is.
    pub fn best(&self) -> f64 {
        highest(&self.by_start).unwrap_or(f64::NEG_INFINITY)
    }

    /// Largest minus smallest over the starts: how far they disagree.
    pub fn spread(&self) -> f64 {
        self.best() - lowest(&self.by_start).unwrap_or(f64::INFINITY)
    }
}

/// Where the step no longer pays: 2⁻⁶ of a box's half-width.
const SMALLEST_STEP: f64 = 1.0 / 64.0;

/// The ε-box sharpness of a loss L at `theta`, flat:
///
/// ```text
/// φ(ε) = 100 · max { L(θ + y) - L(θ) : |yᵢ| ≤ ε (|θᵢ| + 1) } / (1 + L(θ))
/// ```
///
/// (Keskar et al.'s with A the identity, in per cent.) `loss_and_gradient` gives L and ∇L, flat and in
/// θ's kind, at a point.
///
/// The maximum is sought by projected ascent in the norm of the box: y ← clip(y + η b sign ∇L) with b the
/// half-widths, from η = 2, which leads to a corner in one step, halved whenever L does not rise; for a convex L each
/// step rises until a corner is a local maximum. It starts from y = 0 and from `starts` - 1 points drawn uniformly in
/// the box, keyed by (seed, name); each start takes at most `steps` gradients. A maximum of a loss that is not convex
/// is not sure to be found, so φ is bounded from below only.
///
/// # Errors
/// Those of `loss_and_gradient`.
pub fn sharpness(
    theta: &Tensor,
    epsilon: f64,
    (starts, steps): (u64, u64),
    (seed, name): (u64, &str),
    mut loss_and_gradient: impl FnMut(&Tensor) -> Result<(f64, Tensor)>,
) -> Result<Sharpness> {
    let theta = theta.f_detach()?;
    let half = theta.f_abs()?.f_add_scalar(1.0)?.f_mul_scalar(epsilon)?;
    let found = sought(&theta, &Region::Box { half }, (starts, steps), (seed, name), &mut loss_and_gradient)?;
    let per_cent = |best: f64| 100.0 * (best - found.loss) / (1.0 + found.loss);
    Ok(Sharpness { by_start: found.by_start.into_iter().map(per_cent).collect(), ..found })
}

/// Which norm bounds a ball.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "NumberOrText")]
pub enum Norm {
    #[serde(rename = "2")]
    Two,
    #[serde(rename = "inf")]
    Infinity,
}

/// In TOML 2 and inf are numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(f64),
    Text(String),
}

impl TryFrom<NumberOrText> for Norm {
    type Error = String;

    fn try_from(given: NumberOrText) -> Result<Self, String> {
        match given {
            NumberOrText::Number(2.0) => Ok(Self::Two),
            NumberOrText::Number(f64::INFINITY) => Ok(Self::Infinity),
            NumberOrText::Text(text) if text == "2" => Ok(Self::Two),
            NumberOrText::Text(text) if text == "inf" => Ok(Self::Infinity),
            NumberOrText::Number(other) => Err(format!("{other} is no norm of adaptive sharpness: use 2 or inf")),
            NumberOrText::Text(other) => Err(format!("'{other}' is no norm of adaptive sharpness: use 2 or inf")),
        }
    }
}

/// The adaptive sharpness of a loss L at `theta`, flat:
///
/// ```text
/// max { L(θ + y) - L(θ) : ‖T⁻¹ y‖ₚ ≤ ρ },  T = diag |θ|
/// ```
///
/// (Kwon et al. 2021, definition 1, with p = 2 or ∞). It is the same for networks that are the same function after a
/// rescaling of their filters, of one layer up and of the next one down; a parameter that is 0 is not moved.
///
/// The maximum is sought by projected ascent in u = T⁻¹ y: for p = 2 along the gradient T ∇L, u ← P(u + η ρ T∇L / ‖T∇L‖),
/// of which one step with η = 1 from 0 is Kwon et al.'s own; for p = ∞ along its signs, as in [`sharpness`]. η, starts and
/// steps as there; starts are uniform in the box for p = ∞, and on the sphere for p = 2, where nearly all of a ball in many
/// dimensions is. A lower bound again.
///
/// # Errors
/// Those of `loss_and_gradient`.
pub fn adaptive_sharpness(
    theta: &Tensor,
    (rho, norm): (f64, Norm),
    (starts, steps): (u64, u64),
    (seed, name): (u64, &str),
    mut loss_and_gradient: impl FnMut(&Tensor) -> Result<(f64, Tensor)>,
) -> Result<Sharpness> {
    let theta = theta.f_detach()?;
    let size = theta.f_abs()?;
    let region = match norm {
        Norm::Infinity => Region::Box { half: size.f_mul_scalar(rho)? },
        Norm::Two => Region::Ball { size, rho },
    };
    let found = sought(&theta, &region, (starts, steps), (seed, name), &mut loss_and_gradient)?;
    let rise = |best: f64| best - found.loss;
    Ok(Sharpness { by_start: found.by_start.into_iter().map(rise).collect(), ..found })
}

/// Where a loss is sought around θ.
enum Region {
    /// |yᵢ| ≤ halfᵢ.
    Box { half: Tensor },
    /// ‖y / size‖₂ ≤ ρ.
    Ball { size: Tensor, rho: f64 },
}

impl Region {
    /// A random y on it or in it, of draws for each parameter.
    fn start(&self, rng: &mut Rng, theta: &Tensor) -> Result<Tensor> {
        let mut draw = |of: &mut dyn FnMut(&mut Rng) -> f64| -> Result<Tensor> {
            let draws: Vec<f64> = (0..theta.numel()).map(|_| of(rng)).collect();
            Ok(Tensor::from_slice(&draws).f_to_kind(theta.kind())?.f_to_device(theta.device())?)
        };
        Ok(match self {
            Self::Box { half } => draw(&mut |rng| rng.uniform_in(-1.0, 1.0))?.f_mul(half)?,
            Self::Ball { size, rho } => {
                let normal = draw(&mut Rng::bell)?;
                let length = normal.f_norm()?.f_double_value(&[])?;
                normal.f_mul(size)?.f_mul_scalar(if length > 0.0 { rho / length } else { 0.0 })?
            }
        })
    }

    /// From y a step up along the gradient there, and back into the region.
    fn step(&self, y: &Tensor, gradient: &Tensor, step: f64) -> Result<Tensor> {
        Ok(match self {
            Self::Box { half } => {
                let moved = y.f_add(&gradient.f_sign()?.f_mul(half)?.f_mul_scalar(step)?)?;
                moved.f_maximum(&half.f_neg()?)?.f_minimum(half)?
            }
            Self::Ball { size, rho } => {
                let slope = gradient.f_mul(size)?;
                let steepness = slope.f_to_kind(Kind::Double)?.f_norm()?.f_double_value(&[])?;
                let scale = if steepness > 0.0 { step * rho / steepness } else { 0.0 };
                let moved = y.f_add(&slope.f_mul(size)?.f_mul_scalar(scale)?)?;
                // Of a parameter that is 0 nothing has moved.
                let u = moved.f_div(&size.f_masked_fill(&size.f_eq(0.0)?, 1.0)?)?;
                let length = u.f_to_kind(Kind::Double)?.f_norm()?.f_double_value(&[])?;
                if length > *rho { moved.f_mul_scalar(rho / length)? } else { moved }
            }
        })
    }
}

/// Of each start the highest loss it reached, in the place of its sharpness.
fn sought(
    theta: &Tensor,
    region: &Region,
    (starts, steps): (u64, u64),
    (seed, name): (u64, &str),
    loss_and_gradient: &mut dyn FnMut(&Tensor) -> Result<(f64, Tensor)>,
) -> Result<Sharpness> {
    let (base, at_theta) = loss_and_gradient(theta)?;
    let mut found = Sharpness { loss: base, by_start: Vec::new(), gradients: 1, cut_off: 0 };
    for start in 0..starts {
        let mut gradients = 0;
        let (mut y, mut loss, mut gradient) = (theta.f_zeros_like()?, base, at_theta.shallow_clone());
        if start > 0 {
            y = region.start(&mut Rng::keyed(seed, name, Purpose::SharpnessStart, start), theta)?;
            (loss, gradient) = loss_and_gradient(&theta.f_add(&y)?)?;
            gradients += 1;
        }
        let mut best = larger(loss, base);
        let mut step = 2.0;
        while gradients < steps && step >= SMALLEST_STEP {
            let next = region.step(&y, &gradient, step)?;
            let (there, its_gradient) = loss_and_gradient(&theta.f_add(&next)?)?;
            gradients += 1;
            if there > loss {
                (y, loss, gradient) = (next, there, its_gradient);
            } else {
                step /= 2.0;
            }
            best = larger(best, there);
        }
        found.gradients += gradients;
        found.cut_off += u64::from(step >= SMALLEST_STEP);
        found.by_start.push(best);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    const KEY: (u64, &str) = (0, "sharpness");

    fn theta() -> Tensor {
        Tensor::from_slice(&[0.5, -2.0, 0.0, 10.0])
    }

    /// ε (|θ| + 1).
    fn half(epsilon: f64) -> Vec<f64> {
        [0.5, 2.0, 0.0, 10.0].iter().map(|t: &f64| epsilon * (t + 1.0)).collect()
    }

    #[test]
    fn a_linear_loss_is_largest_at_its_corner() {
        let slope = [3.0, -1.0, 0.25, 0.0];
        let found = sharpness(&theta(), 1e-2, (3, 10), KEY, |at| {
            let slope = Tensor::from_slice(&slope);
            Ok((7.0 + at.dot(&slope).double_value(&[]), slope))
        })
        .unwrap();
        let base = 7.0 + 3.0 * 0.5 + 2.0;
        let rise: f64 = slope.iter().zip(half(1e-2)).map(|(s, b)| f64::abs(*s) * b).sum();
        assert_eq!(found.loss, base);
        for value in &found.by_start {
            assert!((value - 100.0 * rise / (1.0 + base)).abs() < 1e-10, "{found:?}");
        }
        assert!(found.spread().abs() < 1e-10);
    }

    #[test]
    fn a_bowl_in_a_box_is_highest_at_every_corner() {
        // ½ Σ hᵢ (θᵢ - θ*ᵢ)² at its minimum: the gradient there is 0, so the first start stays.
        let curvature = Tensor::from_slice(&[100.0, 4.0, 0.0, 1.0]);
        let found = sharpness(&theta(), 5e-2, (4, 10), KEY, |at| {
            let off = at - theta();
            Ok(((&curvature * &off * &off).sum(Kind::Double).double_value(&[]) / 2.0, &curvature * off))
        })
        .unwrap();
        let rise: f64 = [100.0, 4.0, 0.0, 1.0].iter().zip(half(5e-2)).map(|(h, b)| 0.5 * h * b * b).sum();
        assert!((found.best() - 100.0 * rise).abs() < 1e-10, "{found:?}");
        assert_eq!(found.by_start[0], 0.0);
        assert!(found.by_start[1..].iter().all(|value| (value - found.best()).abs() < 1e-10));
        assert!((found.spread() - found.best()).abs() < 1e-12);
    }

    #[test]
    fn coupled_quadratics_reach_the_best_of_all_corners() {
        // A convex quadratic with a slope is largest at one of the 2⁴ corners: all of them are tried.
        let factor = Tensor::from_slice2(&[[2.0, 1.0, -1.0, 0.5], [0.0, 3.0, 1.0, -2.0], [1.0, 0.0, 1.0, 1.0]]);
        let matrix = factor.tr().matmul(&factor);
        let slope = Tensor::from_slice(&[0.3, -0.1, 0.2, 0.05]);
        let loss = |at: &Tensor| {
            let off = at - theta();
            let bent = matrix.matmul(&off);
            ((off.dot(&bent) / 2.0 + off.dot(&slope)).double_value(&[]), bent + &slope)
        };
        let b = half(0.1);
        let corner = |bits: u32| -> Vec<f64> {
            (0..4).map(|i| if bits >> i & 1 == 1 { b[i as usize] } else { -b[i as usize] }).collect()
        };
        let highest = (0..16).map(|bits| loss(&(theta() + Tensor::from_slice(&corner(bits)))).0).fold(0.0, f64::max);
        let found = sharpness(&theta(), 0.1, (8, 30), KEY, |at| Ok(loss(at))).unwrap();
        assert!((found.best() - 100.0 * highest).abs() < 1e-9, "{found:?} {highest}");
    }

    #[test]
    fn a_hilltop_inside_the_box_is_found_and_nothing_outside() {
        // Highest at θ + c, inside the box; the rise there is ½ Σ cᵢ².
        let c = Tensor::from_slice(&[0.05, -0.1, 0.02, 0.3]);
        let top = theta() + &c;
        let mut outside = 0;
        let found = sharpness(&theta(), 0.1, (3, 60), KEY, |at| {
            let beyond = (at - theta()).abs() - Tensor::from_slice(&half(0.1));
            outside += usize::from(beyond.max().double_value(&[]) > 1e-12);
            let off = at - &top;
            Ok((1.0 - off.square().sum(Kind::Double).double_value(&[]) / 2.0, -off))
        })
        .unwrap();
        let rise = c.square().sum(Kind::Double).double_value(&[]) / 2.0;
        let expected = 100.0 * rise / (2.0 - rise);
        assert!(found.best() <= expected + 1e-9 && found.best() > 0.95 * expected, "{found:?} {expected}");
        assert_eq!(outside, 0);
        assert!(found.gradients <= 1 + 3 * 60);
    }

    #[test]
    fn one_nan_makes_its_start_nan() {
        // At the start, at the first step, at a later one: whatever comes behind.
        for first in [2, 3, 5, 8] {
            let mut calls = 0;
            let found = sharpness(&theta(), 0.1, (3, 6), KEY, |at| {
                calls += 1;
                let loss = if calls == first { f64::NAN } else { f64::from(calls) };
                Ok((loss, at.copy()))
            })
            .unwrap();
            assert!(found.best().is_nan(), "call {first}: {found:?}");
            assert_eq!(found.by_start.iter().filter(|value| value.is_nan()).count(), 1, "call {first}: {found:?}");
        }
    }

    #[test]
    fn a_loss_of_nan_has_a_sharpness_of_nan() {
        let found = sharpness(&theta(), 0.1, (2, 9), KEY, |at| Ok((f64::NAN, at.copy()))).unwrap();
        assert!(found.best().is_nan() && found.spread().is_nan());
    }

    /// L = Σ aᵢ θᵢ: the maximum over ‖u‖ ≤ ρ of Σ aᵢ |θᵢ| uᵢ in closed form.
    #[test]
    fn adaptive_sharpness_of_a_plane_is_a_dual_norm() {
        let a = Tensor::from_slice(&[1.0, -3.0, 5.0, 0.25]);
        let plane = |theta: &Tensor| Ok(((theta * &a).sum(Kind::Double).double_value(&[]), a.copy()));
        for norm in [Norm::Two, Norm::Infinity] {
            let found = adaptive_sharpness(&theta(), (0.3, norm), (3, 40), KEY, plane).unwrap();
            let slopes = [0.5, 6.0, 0.0, 2.5];
            let expected = match norm {
                Norm::Two => 0.3 * slopes.iter().map(|s: &f64| s * s).sum::<f64>().sqrt(),
                Norm::Infinity => 0.3 * slopes.iter().sum::<f64>(),
            };
            assert!((found.best() - expected).abs() < 1e-9, "{norm:?}: {} against {expected}", found.best());
            assert!(found.spread() < 1e-3 * expected && found.by_start.len() == 3);
        }
        // One step from the centre, as Kwon et al. take it.
        let one = adaptive_sharpness(&theta(), (0.3, Norm::Two), (1, 1), KEY, plane).unwrap();
        assert!((one.best() - 0.3 * (0.25f64 + 36.0 + 6.25).sqrt()).abs() < 1e-9 && one.gradients == 2);
    }

    /// L = ½ Σ hᵢ θᵢ² at 0 ≠ θ, and a point whose coordinates are measured in other units.
    #[test]
    fn adaptive_sharpness_does_not_see_the_units_and_the_box_does() {
        let (h, c) = (Tensor::from_slice(&[1.0, 4.0, 2.0, 0.5]), Tensor::from_slice(&[10.0, 0.1, 3.0, 1.0]));
        let bowl = |units: &Tensor, theta: &Tensor| {
            let own = theta / units;
            Ok(((own.square() * &h * 0.5).sum(Kind::Double).double_value(&[]), &own * &h / units))
        };
        let ones = c.ones_like();
        for norm in [Norm::Two, Norm::Infinity] {
            let of = |units: &Tensor| {
                adaptive_sharpness(&(theta() * units), (0.2, norm), (4, 30), KEY, |at| bowl(units, at)).unwrap()
            };
            let (one, other) = (of(&ones), of(&c));
            assert!((one.loss - other.loss).abs() < 1e-12);
            for (a, b) in one.by_start.iter().zip(&other.by_start) {
                assert!((a - b).abs() < 1e-9 * a.abs() && *a > 0.0, "{norm:?}: {a} against {b}");
            }
        }
        let of = |units: &Tensor| sharpness(&(theta() * units), 0.01, (4, 30), KEY, |at| bowl(units, at)).unwrap();
        assert!((of(&ones).best() / of(&c).best() - 1.0).abs() > 0.1);
    }

    /// A bowl whose highest point on the ellipsoid is known: along the axis with the largest hᵢ θᵢ².
    #[test]
    fn a_search_in_a_ball_finds_the_steepest_axis() {
        let h = Tensor::from_slice(&[8.0, 1.0, 1.0, 0.01]);
        // At the origin of the bowl's own coordinates the gradient is 0: starts beside it find the rise.
        let bowl = |at: &Tensor| {
            let far = at - theta();
            Ok(((far.square() * &h * 0.5).sum(Kind::Double).double_value(&[]), far * &h))
        };
        let found = adaptive_sharpness(&theta(), (0.5, Norm::Two), (4, 200), KEY, bowl).unwrap();
        // ½ ρ² max hᵢ θᵢ² = 0.125 · max(2, 4, 0, 1).
        assert!((found.best() - 0.5).abs() < 1e-3, "{found:?}");
        assert_eq!(found.by_start[0], 0.0, "from the middle nothing rises");
        assert_eq!(found.cut_off, 0);
        let few = adaptive_sharpness(&theta(), (0.5, Norm::Two), (4, 3), KEY, bowl).unwrap();
        assert_eq!(few.cut_off, 4);
        let norm = |json: &str| serde_json::from_str::<Norm>(json).unwrap();
        assert_eq!([norm("\"2\""), norm("2"), norm("\"inf\"")], [Norm::Two, Norm::Two, Norm::Infinity]);
        assert_eq!(serde_json::to_string(&Norm::Infinity).unwrap(), "\"inf\"");
        assert!(serde_json::from_str::<Norm>("3").unwrap_err().to_string().contains("use 2 or inf"));
    }
}
