//! Whole trainings against PyTorch's, from tests/goldens/make.py.

use hw1::data::functions::{Target, evenly_spaced};
use hw1::model::Mlp;
use hw1::objective::MeanSquaredError;
use hw1::train::{Convergence, OptimizerName, train};
use serde::Deserialize;
use tch::{Kind, Tensor};

#[derive(Deserialize)]
struct Golden {
    function: Target,
    model: Mlp,
    train_loss: Vec<f64>,
}

/// The script's initial weights: Knuth's multiplicative hash, scaled by 1/√fan_in.
fn initial(model: &Mlp) -> Tensor {
    let mut values = Vec::new();
    for slot in model.layout().slots {
        for _ in 0..slot.len() {
            let hash = (values.len() as u64 + 1) * 2_654_435_761 % (1 << 32);
            values.push((hash as f64 / 2f64.powi(31) - 1.0) / (slot.fan_in as f64).sqrt());
        }
    }
    Tensor::from_slice(&values).to_kind(Kind::Float)
}

#[test]
fn the_first_100_losses_of_every_report_model_are_pytorchs() {
    tch::set_num_threads(1);
    let goldens: Vec<Golden> = serde_json::from_str(include_str!("goldens/simulate.json")).unwrap();
    assert_eq!(goldens.len(), 6);
    for golden in goldens {
        let (domain, points) =
            if golden.function.to_string() == "sin-sq" { ([-2.0, 2.0], 4000) } else { ([-1.0, 1.0], 6000) };
        let x = evenly_spaced(domain, points);
        let y = golden.function.values(&x).unwrap();
        let row = |values: &[f64]| Tensor::from_slice(values).to_kind(Kind::Float).unsqueeze(0);
        let mut objective = MeanSquaredError::new(&golden.model, initial(&golden.model), &row(&x), &row(&y));
        let never = Convergence { tolerance: 0.0, patience: 1 };
        let mut adam = OptimizerName::Adam.with_learning_rate(1e-3);
        let training =
            train(&mut objective, &mut adam, 100, never, |_| Ok(std::ops::ControlFlow::Continue(()))).unwrap();
        for (epoch, (ours, theirs)) in training.train_loss.iter().zip(&golden.train_loss).enumerate() {
            let error = (ours - theirs).abs() / theirs;
            assert!(error < 1e-4, "{}, epoch {epoch}: {ours} against {theirs}", golden.model);
        }
    }
}
