//! Damped Newton down to a vanishing gradient, in float64, with the exact Hessian (Levenberg 1944,
//! Marquardt 1963; damping after Nielsen 1999). Knows a function with two derivatives, nothing of networks.
//!
//! A ReLU network's loss is smooth only between kinks, where ∇L jumps: a step across them may gain
//! nothing, and a minimum on a kink has no vanishing gradient. Such paths end as [`Ending::Stalled`]
//! or [`Ending::LastStep`]; they are results too.

use crate::objective::norm;
use anyhow::Result;
use tch::Tensor;

/// A function of a flat θ [P] in float64 with its derivatives.
pub trait TwiceDifferentiable {
    /// L and ∇L [P]; the tensor is the caller's.
    fn loss_and_gradient(&mut self, theta: &Tensor) -> Result<(f64, Tensor)>;

    /// ∇²L [P, P].
    fn hessian(&mut self, theta: &Tensor) -> Result<Tensor>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// ‖∇L‖ is as small as wanted.
    Reached,
    /// No step, however short, lowers the loss.
    Stalled,
    LastStep,
}

/// The path of a descent.
#[derive(Debug)]
pub struct Path {
    /// Where it ended.
    pub theta: Tensor,
    /// Before each step and at the end.
    pub loss: Vec<f64>,
    /// ‖∇L‖₂, likewise.
    pub gradient_norm: Vec<f64>,
    pub ending: Ending,
}

impl Path {
    /// Steps tried, those that were refused among them.
    pub fn steps(&self) -> usize {
        self.loss.len().saturating_sub(1)
    }
}

/// Where a path is.
struct Point {
    theta: Tensor,
    loss: f64,
    gradient: Tensor,
    norm: f64,
}

impl Point {
    fn at(theta: Tensor, function: &mut impl TwiceDifferentiable) -> Result<Self> {
        let (loss, gradient) = function.loss_and_gradient(&theta)?;
        let norm = gradient.f_norm()?.f_double_value(&[])?;
        Ok(Self { theta, loss, gradient, norm })
    }

    fn moved(&self, step: &Tensor, function: &mut impl TwiceDifferentiable) -> Result<Self> {
        Self::at(self.theta.f_add(step)?, function)
    }
}

/// Every so many steps a descent is asked whether Newton's step alone ends it.
const BETWEEN_POLISHES: usize = 50;

/// From `theta` [P] in float64 down to ‖∇L‖ ≤ `tolerance`, in at most `steps` steps.
///
/// Steps -(∇²L + μI)⁻¹∇L by Cholesky, with μ raised until that is positive definite and the loss falls,
/// and lowered as the quadratic model proves right (its gain ratio): this goes to minima, and past saddles.
/// Every 50 steps and at the end [`polish`] tries to finish, since along directions of hardly any
/// curvature the descent is slow; at the end it goes on below `tolerance` as far as it gets. A gradient or Hessian that is not finite ends it as stalled.
///
/// # Errors
/// The function's, and those of `observe`, which is called before each step with (steps done, loss).
pub fn minimise(
    theta: &Tensor,
    tolerance: f64,
    steps: usize,
    function: &mut impl TwiceDifferentiable,
    mut observe: impl FnMut(usize, f64) -> Result<()>,
) -> Result<Path> {
    let _no_grad = tch::no_grad_guard();
    let mut now = Point::at(theta.f_detach()?.copy(), function)?;
    let mut path = Path { theta: theta.shallow_clone(), loss: vec![], gradient_norm: vec![], ending: Ending::LastStep };
    let mut hessian = function.hessian(&now.theta)?;
    let mut scale = largest_diagonal(&hessian)?;
    // Undamped to begin with: on a quadratic the first step is the last.
    let (mut damping, mut growth) = (0.0, 2.0);
    while now.norm > tolerance && path.loss.len() < steps {
        let done = path.loss.len();
        observe(done, now.loss)?;
        path.loss.push(now.loss);
        path.gradient_norm.push(now.norm);
        if !(now.norm.is_finite() && now.loss.is_finite() && scale.is_finite()) {
            path.ending = Ending::Stalled;
            break;
        }
        if done % BETWEEN_POLISHES == BETWEEN_POLISHES - 1
            && let Some(end) = polish(&now, &hessian, tolerance, function)?
        {
            now = end;
            break;
        }
        let next = match damped_step(&hessian, damping, &now.gradient)? {
            Some(step) => {
                let curved = step.f_dot(&hessian.f_mv(&step)?)?.f_double_value(&[])?;
                let promised = -step.f_dot(&now.gradient)?.f_double_value(&[])? - 0.5 * curved;
                let next = now.moved(&step, function)?;
                let gain = (now.loss - next.loss) / promised;
                // At the bottom the loss has no digits left to fall by, the gradient still has.
                let is_level = (next.loss - now.loss).abs() <= 1e-14 * now.loss.abs() && next.norm < now.norm;
                (gain > 1e-4 || is_level).then_some((next, gain))
            }
            None => None,
        };
        match next {
            Some((next, gain)) => {
                now = next;
                hessian = function.hessian(&now.theta)?;
                scale = largest_diagonal(&hessian)?;
                damping *=
                    if gain > 1e-4 { (1.0 - (2.0 * gain.min(2.0) - 1.0).powi(3)).clamp(1.0 / 3.0, 2.0) } else { 1.0 };
                growth = 2.0;
            }
            None if damping == 0.0 => damping = 1e-8 * scale.max(f64::MIN_POSITIVE),
            None => {
                damping *= growth;
                growth = (growth * 2.0f64).min(1e3);
            }
        }
        if damping > 1e10 * scale.max(f64::MIN_POSITIVE) {
            path.ending = Ending::Stalled;
            break;
        }
    }
    if steps > 0
        && let Some(end) = polish(&now, &hessian, tolerance, function)?
    {
        now = end;
    }
    path.loss.push(now.loss);
    path.gradient_norm.push(now.norm);
    if now.norm <= tolerance {
        path.ending = Ending::Reached;
    }
    path.theta = now.theta;
    Ok(path)
}

fn largest_diagonal(hessian: &Tensor) -> Result<f64> {
    Ok(hessian.f_diagonal(0, 0, 1)?.f_abs()?.f_max()?.f_double_value(&[])?)
}

/// -(H + μI)⁻¹g; `None` where that is not positive definite.
fn damped_step(hessian: &Tensor, damping: f64, gradient: &Tensor) -> Result<Option<Tensor>> {
    let damped = hessian.copy();
    let _ = damped.f_diagonal(0, 0, 1)?.f_add_scalar_(damping)?;
    let (factor, info) = damped.f_linalg_cholesky_ex(false, false)?;
    if info.f_int64_value(&[])? != 0 {
        return Ok(None);
    }
    let step = gradient.f_neg()?.f_unsqueeze(1)?.f_cholesky_solve(&factor, false)?.f_squeeze_dim(1)?;
    let is_finite = step.f_isfinite()?.f_all()?.f_int64_value(&[])? == 1;
    Ok(is_finite.then_some(step))
}

/// Newton's steps on ∇L = 0 from nearby, by the eigenvectors of H: -Σ λc/(λ² + (κ‖H‖)²) u with c = uᵀ∇L, for
/// cutoffs κ of many sizes, the one that leaves the smallest gradient, on while it halves: to rounding, where
/// it can. Where that is within the tolerance and the loss within a hundredth of before, the end.
fn polish(
    from: &Point,
    hessian: &Tensor,
    tolerance: f64,
    function: &mut impl TwiceDifferentiable,
) -> Result<Option<Point>> {
    const MOST: usize = 6;
    const CUTOFFS: [f64; 9] = [1e-14, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-4];
    let mut now = Point { theta: from.theta.copy(), gradient: from.gradient.copy(), ..*from };
    let mut hessian = hessian.copy();
    for _ in 0..MOST {
        if hessian.f_isfinite()?.f_all()?.f_int64_value(&[])? != 1 {
            return Ok(None);
        }
        let (values, vectors) = hessian.f_linalg_eigh("L")?;
        let largest = values.f_abs()?.f_max()?.f_double_value(&[])?;
        let weighted = vectors.f_tr()?.f_mv(&now.gradient)?.f_mul(&values)?;
        let mut best: Option<Point> = None;
        for cutoff in CUTOFFS {
            let squares = values.f_square()?.f_add_scalar((cutoff * largest).powi(2))?;
            let step = vectors.f_mv(&weighted.f_div(&squares)?)?.f_neg()?;
            let next = now.moved(&step, function)?;
            if next.norm.is_finite() && best.as_ref().is_none_or(|best| next.norm < best.norm) {
                best = Some(next);
            }
        }
        match best {
            Some(next) if next.norm <= 0.5 * now.norm => now = next,
            _ => break,
        }
        hessian = function.hessian(&now.theta)?;
    }
    let is_near = (now.loss - from.loss).abs() <= 0.01 * from.loss.abs();
    Ok((now.norm <= tolerance && now.norm < from.norm && is_near).then_some(now))
}

/// How the gradient lies to the Hessian: ‖H∇L‖ / (‖H‖‖∇L‖), in 0…1, with ‖H‖ the largest |eigenvalue|. Near
/// 0 the gradient lies where there is no curvature: a second-order method then stalls at what is no
/// critical point, but gradient-flat (Frye et al. 2021).
pub fn flatness(product: &Tensor, gradient: &Tensor, largest: f64) -> Result<f64> {
    Ok(norm(product)?.get()? / (largest * norm(gradient)?.get()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::hessian::Spectrum;
    use crate::model::Mlp;
    use crate::objective::by_double_backward;
    use tch::{Device, Kind};

    /// Any loss, by autograd.
    struct Loss<F>(F);

    impl<F: Fn(&Tensor) -> Tensor> TwiceDifferentiable for Loss<F> {
        fn loss_and_gradient(&mut self, theta: &Tensor) -> Result<(f64, Tensor)> {
            tch::with_grad(|| {
                let theta = theta.copy().set_requires_grad(true);
                let loss = (self.0)(&theta);
                Ok((loss.double_value(&[]), Tensor::run_backward(&[loss], &[&theta], false, false).remove(0)))
            })
        }

        fn hessian(&mut self, theta: &Tensor) -> Result<Tensor> {
            tch::with_grad(|| by_double_backward(theta, &self.0))
        }
    }

    fn list(theta: &Tensor) -> Vec<f64> {
        theta.try_into().unwrap()
    }

    fn calm(_: usize, _: f64) -> Result<()> {
        Ok(())
    }

    #[test]
    fn a_quadratic_takes_one_step() {
        let matrix = Tensor::from_slice(&[4.0, 1.0, 0.0, 1.0, 3.0, 0.5, 0.0, 0.5, 1e-3]).view([3, 3]);
        let goal = Tensor::from_slice(&[1.0, -2.0, 30.0]);
        // The smallest eigenvalue is below 0: not this one.
        assert!(Spectrum::of(&matrix).unwrap().eigenvalues[0] < 0.0);
        let matrix = matrix + Tensor::eye(3, (Kind::Double, Device::Cpu)) * 0.2;
        let mut quadratic = Loss(|theta: &Tensor| {
            let from = theta - &goal;
            from.dot(&matrix.mv(&from)) * 0.5
        });
        let start = Tensor::from_slice(&[7.0, 7.0, 7.0]);
        let path = minimise(&start, 1e-10, 100, &mut quadratic, calm).unwrap();
        assert_eq!((path.ending, path.steps()), (Ending::Reached, 1));
        assert!((&path.theta - &goal).norm().double_value(&[]) < 1e-12, "{:?}", list(&path.theta));
        assert_eq!(list(&start), [7.0; 3], "θ of the caller stays");
    }

    #[test]
    fn rosenbrocks_valley_is_followed_to_its_end() {
        let mut valley = Loss(|theta: &Tensor| {
            let (x, y) = (theta.get(0), theta.get(1));
            (&y - x.square()).square() * 100.0 + (x - 1.0).square()
        });
        let path = minimise(&Tensor::from_slice(&[-1.2, 1.0]), 1e-10, 100, &mut valley, calm).unwrap();
        assert_eq!(path.ending, Ending::Reached);
        assert!(path.loss.windows(2).all(|pair| pair[1] <= pair[0]), "downhill only: {:?}", path.loss);
        let end = list(&path.theta);
        assert!((end[0] - 1.0).abs() < 1e-9 && (end[1] - 1.0).abs() < 1e-9, "{end:?}");
        assert!(path.steps() < 50 && path.gradient_norm.len() == path.steps() + 1);
        let cut = minimise(&Tensor::from_slice(&[-1.2, 1.0]), 1e-10, 3, &mut valley, calm).unwrap();
        assert_eq!((cut.ending, cut.steps()), (Ending::LastStep, 3));
    }

    #[test]
    fn saddles_are_left_and_flat_directions_do_no_harm() {
        // A double well in x, a bowl in y, nothing in z.
        let mut wells = Loss(|theta: &Tensor| {
            let (x, y) = (theta.get(0), theta.get(1));
            x.square().square() * 0.25 - x.square() * 0.5 + y.square() + theta.get(2) * 0.0
        });
        let path = minimise(&Tensor::from_slice(&[0.1, 3.0, 5.0]), 1e-10, 100, &mut wells, calm).unwrap();
        assert_eq!(path.ending, Ending::Reached);
        let end = list(&path.theta);
        assert!((end[0] - 1.0).abs() < 1e-9 && end[1].abs() < 1e-9 && end[2] == 5.0, "{end:?}");
    }

    #[test]
    fn polishing_ends_a_descent_along_hardly_any_curvature() {
        // Curvature 1 and 1e-9, and a gradient along both.
        let mut bowl = Loss(|theta: &Tensor| theta.square().dot(&Tensor::from_slice(&[0.5, 0.5e-9])) + 1.0);
        let start = Point::at(Tensor::from_slice(&[1e-3, 30.0]), &mut bowl).unwrap();
        let hessian = bowl.hessian(&start.theta).unwrap();
        let end = polish(&start, &hessian, 1e-12, &mut bowl).unwrap().unwrap();
        assert!(end.norm <= 1e-12 && end.theta.norm().double_value(&[]) < 1e-3, "{:?}", list(&end.theta));
        // Not where the critical point is another one, far above.
        let mut far = Loss(|theta: &Tensor| -theta.square().sum(Kind::Double) + 5.0);
        let start = Point::at(Tensor::from_slice(&[2.0]), &mut far).unwrap();
        let hessian = far.hessian(&start.theta).unwrap();
        assert!(polish(&start, &hessian, 1e-12, &mut far).unwrap().is_none());
    }

    #[test]
    fn a_kink_stalls_and_nothing_finite_ends() {
        let mut kink = Loss(|theta: &Tensor| theta.abs().sum(Kind::Double) + theta.square().sum(Kind::Double) * 0.5);
        let path = minimise(&Tensor::from_slice(&[1.0, 0.3]), 1e-8, 2000, &mut kink, calm).unwrap();
        assert_ne!(path.ending, Ending::Reached);
        assert!(path.theta.norm().double_value(&[]) < 0.4 && path.gradient_norm[path.steps()] >= 1.0);
        let mut cliff = Loss(|theta: &Tensor| theta.log().sum(Kind::Double));
        let path = minimise(&Tensor::from_slice(&[-1.0]), 1e-8, 50, &mut cliff, calm).unwrap();
        assert_eq!(path.ending, Ending::Stalled);
    }

    #[test]
    fn a_small_network_reaches_a_minimum() {
        let model: Mlp = "1-4-1".parse().unwrap();
        let x = Tensor::linspace(-1.0, 1.0, 40, (Kind::Double, Device::Cpu)).view([1, 40]);
        let y = x.abs() * 2.0 - 0.3;
        let theta = model.layout().initial(3, "newton", Kind::Double, Device::Cpu);
        let mut network = Loss(|theta: &Tensor| (model.forward(theta, &x) - &y).square().mean(Kind::Double));
        let path = minimise(&theta, 1e-8, 1000, &mut network, calm).unwrap();
        assert_eq!(path.ending, Ending::Reached, "{:?}", path.gradient_norm.last());
        assert!(path.loss[path.steps()] < 0.1 * path.loss[0]);
        let (_, gradient) = network.loss_and_gradient(&path.theta).unwrap();
        assert!(gradient.norm().double_value(&[]) <= 1e-8);
        let hessian = network.hessian(&path.theta).unwrap();
        let eigenvalues = Spectrum::of(&hessian).unwrap().eigenvalues;
        assert!(eigenvalues[0] > -1e-6 * eigenvalues[eigenvalues.len() - 1], "{eigenvalues:?}");
        assert!(minimise(&theta, 1e-8, 10, &mut network, |_, _| anyhow::bail!("enough")).is_err());
    }

    #[test]
    fn flatness_is_that_of_an_eigenvector() {
        let hessian = Tensor::from_slice(&[4.0, 1e-3, 0.0]).diag(0);
        for (gradient, expected) in [([1.0, 0.0, 0.0], 1.0), ([0.0, 7.0, 0.0], 2.5e-4), ([0.0, 0.0, 1.0], 0.0)] {
            let gradient = Tensor::from_slice(&gradient);
            let found = flatness(&hessian.mv(&gradient), &gradient, 4.0).unwrap();
            assert!((found - expected).abs() < 1e-15, "{found}");
        }
    }
}
