//! How strongly a classifier answers to small changes of its input, by two measures: the report's
//! gradient of the loss, and the Jacobian of the probabilities (Novak et al. 2018). Knows the network as its
//! outputs and their derivative by its inputs.

use super::statistics::{highest, lowest};
use crate::data::Samples;
use crate::objective::InputVjp;
use anyhow::Result;
use tch::{Kind, Tensor};

/// Samples at a time, so that activations stay in the cache.
pub const BLOCK: i64 = 128;

/// Mean over the full batches of the inputs of `samples` [n, input…], in their order, of √Σ(∂ℓ/∂x)² over the batch,
/// with ℓ the batch's mean cross entropy against the model's own predictions: the report's measure.
/// NaN where they do not fill one batch.
///
/// Samples do not touch each other, so ∂ℓ/∂xᵢ = (1/B) Jᵢᵀ(pᵢ - e), with Jᵢ = ∂zᵢ/∂xᵢ, p = softmax(z)
/// and e the unit vector of the largest p: one pass over blocks serves every batch size B. The mean
/// over a batch makes the number fall as 1/√B between networks that are equally sensitive.
///
/// # Errors
/// Those of `observe`, which is called after every block, and of `network`.
pub fn input_gradient_norm(
    network: &mut dyn InputVjp,
    samples: &Samples,
    batch_size: i64,
    observe: impl FnMut() -> Result<()>,
) -> Result<f64> {
    input_gradient_norm_by(network, samples, batch_size, BLOCK, observe)
}

/// The same with so many samples at a time.
///
/// # Errors
/// As [`input_gradient_norm`].
pub fn input_gradient_norm_by(
    network: &mut dyn InputVjp,
    samples: &Samples,
    batch_size: i64,
    block: i64,
    mut observe: impl FnMut() -> Result<()>,
) -> Result<f64> {
    let batches = samples.len() / batch_size;
    if batches == 0 {
        return Ok(f64::NAN);
    }
    let mut squares = Vec::new();
    for block in samples.first((batches * batch_size) as usize).blocks(block) {
        let (x, _) = block?;
        let p = network.outputs(&x)?.softmax(-1, x.kind());
        let cotangents = &p - p.argmax(-1, false).one_hot(p.size()[1]);
        squares.push(square_norms(&network.vjp(&cotangents)?));
        observe()?;
    }
    let of_batches = Tensor::cat(&squares, 0).view([batches, batch_size]).sum_dim_intlist(1, false, None::<Kind>);
    Ok((of_batches.sqrt() / batch_size as f64).mean(Kind::Double).double_value(&[]))
}

/// Mean over the inputs of `samples` [n, input…] of the Frobenius norm of ∂softmax/∂x, [classes, numbers] at each input (Novak
/// et al. 2018, "Sensitivity and generalization in neural networks").
///
/// Exact, a backward pass a class through a block of samples: ∂p_k/∂x = Jᵀ p_k(e_k - p). The last
/// class needs none, as probabilities sum to 1 and their gradients to 0.
///
/// # Errors
/// Those of `observe`, which is called after every block, and of `network`.
pub fn jacobian_norm(
    network: &mut dyn InputVjp,
    samples: &Samples,
    observe: impl FnMut() -> Result<()>,
) -> Result<f64> {
    jacobian_norm_by(network, samples, BLOCK, observe)
}

/// The same with so many samples at a time.
///
/// # Errors
/// As [`jacobian_norm`].
pub fn jacobian_norm_by(
    network: &mut dyn InputVjp,
    samples: &Samples,
    block: i64,
    mut observe: impl FnMut() -> Result<()>,
) -> Result<f64> {
    let mut norms = Vec::new();
    for block in samples.blocks(block) {
        let (x, _) = block?;
        let p = network.outputs(&x)?.softmax(-1, x.kind());
        // [samples, classes, classes], row k the gradient of p_k by the logits.
        let by_logits = p.diag_embed(0, -2, -1) - p.unsqueeze(2) * p.unsqueeze(1);
        let mut sum = x.flatten(1, -1).zeros_like();
        let mut squares = Tensor::zeros([x.size()[0]], (Kind::Double, x.device()));
        for class in 0..p.size()[1] - 1 {
            let row = network.vjp(&by_logits.select(1, class))?;
            squares += square_norms(&row);
            sum += row;
        }
        squares += square_norms(&sum);
        norms.push(squares.sqrt());
        observe()?;
    }
    Ok(Tensor::cat(&norms, 0).mean(Kind::Double).double_value(&[]))
}

/// How far a measure varies: its highest value by its lowest. NaN where a number is none, or there are none.
pub fn highest_by_lowest(values: &[f64]) -> f64 {
    highest(values).zip(lowest(values)).map_or(f64::NAN, |(high, low)| high / low)
}

/// Of each row of [n, m], in float64: [n].
fn square_norms(rows: &Tensor) -> Tensor {
    rows.square().sum_dim_intlist(-1, false, Kind::Double)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Target;
    use crate::model::{Model as _, Network, Pass};
    use crate::objective::{over, tests};
    use tch::Device;

    const MODELS: [&str; 4] = ["784-10", "784-7-10", "conv2-5-10", "conv2-conv3-6-10"];

    fn problem(model: &str, samples: i64, kind: Kind) -> (Network, Tensor, Tensor) {
        let model = tests::network(model);
        let theta = model.layout().initial(4, "sensitivity", kind, Device::Cpu);
        let x = Tensor::linspace(0.0, 77.0, samples * 784, (kind, Device::Cpu)).sin() * 2.0;
        (model, theta, x.view([samples, 1, 28, 28]))
    }

    fn logits(model: &Network, theta: &Tensor, x: &Tensor) -> Tensor {
        model.outputs(&model.layout().views(theta), &[], x, Pass::Curvature).unwrap()
    }

    fn with_network<T>(
        model: &Network,
        theta: &Tensor,
        x: &Tensor,
        of: impl FnOnce(&mut dyn InputVjp, &Samples) -> T,
    ) -> T {
        let targets = Tensor::zeros([x.size()[0]], (Kind::Int64, Device::Cpu));
        let samples = Samples::new(x.shallow_clone(), targets, Target::Classes(10));
        let objective = over(model, theta.shallow_clone(), &samples).unwrap();
        let mut network = objective.by_inputs().unwrap();
        of(&mut *network, &samples)
    }

    fn jacobian(model: &Network, theta: &Tensor, x: &Tensor) -> f64 {
        with_network(model, theta, x, |network, x| jacobian_norm(network, x, calm).unwrap())
    }

    fn input_gradient(model: &Network, theta: &Tensor, x: &Tensor, batch_size: i64) -> f64 {
        with_network(model, theta, x, |network, x| input_gradient_norm(network, x, batch_size, calm).unwrap())
    }

    fn calm() -> Result<()> {
        Ok(())
    }

    #[test]
    fn jacobian_norm_is_that_of_finite_differences() {
        for text in MODELS {
            let (model, theta, x) = problem(text, 3, Kind::Double);
            let step = 1e-6;
            let mut norm = 0.0;
            for sample in 0..3 {
                let x = x.narrow(0, sample, 1);
                // All 784 pixels moved at once, one in each row.
                let moves = (Tensor::eye(784, (Kind::Double, Device::Cpu)) * step).view([784, 1, 28, 28]);
                let probabilities = |x: &Tensor| logits(&model, &theta, x).softmax(-1, x.kind());
                let change = probabilities(&(&x + &moves)) - probabilities(&(&x - &moves));
                norm += (change / (2.0 * step)).norm().double_value(&[]) / 3.0;
            }
            let found = jacobian(&model, &theta, &x);
            assert!((found - norm).abs() < 1e-6 * norm, "{text}: {found} against {norm}");
        }
    }

    #[test]
    fn input_gradient_norm_is_autograds_batch_by_batch() {
        for text in MODELS {
            let (model, theta, x) = problem(text, 130, Kind::Double);
            for batch_size in [1, 32, 130] {
                let mut norms = Vec::new();
                for batch in 0..130 / batch_size {
                    let x = x.narrow(0, batch * batch_size, batch_size).copy().set_requires_grad(true);
                    let logits = logits(&model, &theta, &x);
                    let loss = logits.log_softmax(-1, Kind::Double).nll_loss(&logits.argmax(-1, false));
                    norms.push(Tensor::run_backward(&[loss], &[&x], false, false)[0].norm().double_value(&[]));
                }
                let expected = norms.iter().sum::<f64>() / norms.len() as f64;
                let found = input_gradient(&model, &theta, &x, batch_size);
                assert!((found - expected).abs() < 1e-12 * expected, "{text}: {found} against {expected}");
            }
            assert!(input_gradient(&model, &theta, &x, 131).is_nan());
        }
    }

    #[test]
    fn float32_agrees_with_float64() {
        for text in ["conv8-conv16-32-10", "conv5-12-10", "conv3-conv7-conv10-12-10", "784-30-20-10"] {
            let (model, theta, x) = problem(text, 130, Kind::Float);
            // Rough: between pixels that are all but equal rounding decides which one pooling takes.
            let x = (x * 1e5).sin();
            let (exact_theta, exact_x) = (theta.to_kind(Kind::Double), x.to_kind(Kind::Double));
            let pairs = [
                (jacobian(&model, &theta, &x), jacobian(&model, &exact_theta, &exact_x)),
                (input_gradient(&model, &theta, &x, 64), input_gradient(&model, &exact_theta, &exact_x, 64)),
            ];
            for (found, expected) in pairs {
                assert!((found - expected).abs() < 1e-4 * expected, "{text}: {found} against {expected}");
            }
        }
    }

    #[test]
    fn weights_that_are_not_finite_give_no_number_and_no_panic() {
        let (model, theta, x) = problem("conv2-5-10", 8, Kind::Float);
        let theta = theta * f64::NAN;
        assert!(jacobian(&model, &theta, &x).is_nan());
        assert!(input_gradient(&model, &theta, &x, 4).is_nan());
    }

    #[test]
    fn a_ratio_with_a_number_that_is_none_is_none() {
        assert_eq!(highest_by_lowest(&[2.0, 1.0, 3.0]), 3.0);
        assert!(highest_by_lowest(&[2.0, f64::NAN, 3.0]).is_nan() && highest_by_lowest(&[]).is_nan());
    }

    #[test]
    fn an_observer_may_end_a_measurement() {
        let (model, theta, x) = problem("784-10", 8, Kind::Float);
        with_network(&model, &theta, &x, |network, x| {
            assert!(jacobian_norm(network, x, || anyhow::bail!("enough")).is_err());
            assert!(input_gradient_norm(network, x, 4, || anyhow::bail!("enough")).is_err());
        });
    }
}
