//! By hand: a folder of networks that people bring, each with its loss, gradient norm and curvature in float64.
//!
//!     HW1_ZOO=FOLDER cargo test --release --test it zoo -- --ignored --nocapture

use hw1::model::program::Program;
use hw1::model::{Model, Pass};
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

#[derive(Deserialize)]
struct Facts {
    parameters: i64,
    loss: f64,
    gradient_norm: f64,
    curvature_along_gradient: f64,
}

fn check(stem: &Path) -> anyhow::Result<[f64; 3]> {
    let facts: Facts = serde_json::from_slice(&std::fs::read(stem.with_extension("json"))?)?;
    let program = Arc::new(Program::read(&std::fs::read(stem.with_extension("pt2"))?)?);
    let arrays = Tensor::read_npz(stem.with_extension("npz"))?;
    let of = |name: &str| arrays.iter().find(|(known, _)| known == name).map(|(_, t)| t.shallow_clone()).unwrap();
    let (x, y) = (of("x_train"), of("y_train"));
    let x = if x.kind() == Kind::Float { x.to_kind(Kind::Double) } else { x };
    let weights = program.weights(Kind::Double, Device::Cpu)?;
    anyhow::ensure!(program.layout().parameters() == facts.parameters, "{} parameters", program.layout().parameters());
    let model = program.model(0, Kind::Double, Device::Cpu, false)?;
    let layout = model.layout();
    let leaves: Vec<Tensor> = layout.views(&weights.theta).iter().map(|v| v.detach().set_requires_grad(true)).collect();
    let logits = model.outputs(&leaves, &layout.buffer_views(&weights.buffers), &x, Pass::Curvature)?;
    let classes = *logits.size().last().unwrap();
    let loss = logits.reshape([-1, classes]).log_softmax(-1, Kind::Double).nll_loss(&y.reshape([-1]));
    let zeros = |found: Vec<Tensor>| -> Vec<Tensor> {
        found.into_iter().zip(&leaves).map(|(g, l)| if g.defined() { g } else { l.zeros_like() }).collect()
    };
    let g = zeros(Tensor::f_run_backward(&[&loss], &leaves, true, true)?);
    let d: Vec<Tensor> = g.iter().map(Tensor::detach).collect();
    let dot = |a: &[Tensor], b: &[Tensor]| -> Tensor { a.iter().zip(b).map(|(a, b)| (a * b).sum(Kind::Double)).sum() };
    let norm2 = dot(&d, &d).double_value(&[]);
    let h = zeros(Tensor::f_run_backward(&[dot(&g, &d)], &leaves, false, false)?);
    let curvature = dot(&h, &d).double_value(&[]) / norm2;
    let loss = loss.double_value(&[]);
    let relative = |a: f64, b: f64| (a / b - 1.0).abs();
    Ok([
        relative(loss, facts.loss),
        relative(norm2.sqrt(), facts.gradient_norm),
        relative(curvature, facts.curvature_along_gradient),
    ])
}

#[test]
#[ignore = "by hand"]
fn all_of_a_zoo_are_read_and_agree() {
    tch::set_num_threads(1);
    let folder = std::env::var("HW1_ZOO").unwrap();
    let mut stems: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .collect();
    stems.sort();
    let mut bad = 0;
    for stem in &stems {
        let name = stem.file_stem().unwrap().to_string_lossy().into_owned();
        match check(stem) {
            Ok(errors) => {
                let worst = errors.iter().fold(0f64, |a, b| a.max(*b));
                let is_good = worst < 1e-8;
                bad += usize::from(!is_good);
                println!(
                    "{name:30} {:.1e} {:.1e} {:.1e}{}",
                    errors[0],
                    errors[1],
                    errors[2],
                    if is_good { "" } else { "  !!" }
                );
            }
            Err(error) => {
                bad += 1;
                println!("{name:30} {}", hw1::error::one_line(&error));
            }
        }
    }
    assert_eq!(bad, 0);
}
