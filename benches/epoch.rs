//! Milliseconds of one full-batch epoch (loss, gradient, Adam step) of the report's models on one
//! core: the product's explicit gradient beside plain autograd, interleaved. Then of one step at
//! batch 128 of the classifiers, of the Jacobian norm over 1000 digits beside plain autograd, and of
//! one exact Hessian.
//!
//!     cargo bench --bench epoch [MODEL…]

use hw1::analysis::hessian::{Spectrum, by_double_backward, of_mean_squared_error};
use hw1::analysis::sensitivity::jacobian_norm;
use hw1::data::batches::{DataSpec, DatasetName, Samples};
use hw1::data::functions::{Target, evenly_spaced};
use hw1::model::{Classifier, Mlp};
use hw1::objective::{CrossEntropy, MeanSquaredError, Objective};
use hw1::train::{MiniBatches, OptimizerName, train_epoch};
use std::time::Instant;
use tch::{Device, Kind, Tensor};

const WORKLOADS: [(&str, &str, usize); 6] = [
    ("dnn1", "1-10-20-20-20-20-20-20-1", 4000),
    ("dnn2", "1-10-20-30-20-1", 4000),
    ("dnn3", "1-20-30-1", 4000),
    ("nl1", "1-5-10-10-10-10-10-5-1", 6000),
    ("nl2", "1-10-18-15-4-1", 6000),
    ("nl3", "1-190-1", 6000),
];
const ROUNDS: usize = 15;
const EPOCHS: usize = 60;

fn milliseconds(mut epoch: impl FnMut()) -> f64 {
    let begin = Instant::now();
    (0..EPOCHS).for_each(|_| epoch());
    begin.elapsed().as_secs_f64() * 1e3 / EPOCHS as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

const CLASSIFIERS: [(&str, &str, usize); 5] = [
    ("cnn1", "conv5-conv15-128-10", 20),
    ("cnn2", "conv16-conv32-128-10", 20),
    ("cnn3", "conv32-conv64-256-128-10", 8),
    ("cnn-8-16", "conv8-conv16-128-10", 20),
    ("mlp-256", "784-256-128-64-10", 40),
];

fn classifiers(wanted: &[String]) {
    let spec = DataSpec { dataset: DatasetName::Synthetic, train_size: 128 * 40, test_size: 1 };
    let samples = spec.load(None, |_| Ok(())).expect("synthetic digits").train;
    for (name, layers, steps) in CLASSIFIERS {
        if !wanted.is_empty() && !wanted.iter().any(|word| word == name) {
            continue;
        }
        let model: Classifier = layers.parse().expect("layers");
        let theta = model.layout().initial(0, "bench", Kind::Float, Device::Cpu);
        let objective = CrossEntropy::new(&model, theta);
        let mut adam = OptimizerName::Adam.with_learning_rate(1e-3);
        let size = 128 * steps as i64;
        let part = Samples { images: samples.images.narrow(0, 0, size), labels: samples.labels.narrow(0, 0, size) };
        let batches = MiniBatches { samples: &part, batch_size: 128, shuffle: Some((0, "bench")) };
        let mut rounds = Vec::new();
        for round in 0..7 {
            let begin = Instant::now();
            train_epoch(&objective, &mut adam, &batches, round, || Ok(())).expect("an epoch");
            rounds.push(begin.elapsed().as_secs_f64() * 1e3 / steps as f64);
        }
        println!("{name:8} {:9.4}", median(rounds));
    }
}

/// The Hessian of min-ratio's 901 parameters in float64: the closed form, its eigenvalues, one backward
/// pass (of which the plain way takes 901 through a graph twice as deep), and the plain way itself.
fn hessian() {
    let model: Mlp = "1-10-20-30-1".parse().expect("a model");
    let xs = evenly_spaced([1.0, 5.0], 2000);
    let ys: Vec<f64> = xs.iter().map(|x| x.cos() / x).collect();
    let (x, y) = (Tensor::from_slice(&xs).unsqueeze(0), Tensor::from_slice(&ys).unsqueeze(0));
    let theta = model.layout().initial(0, "bench", Kind::Double, Device::Cpu);
    let loss = |theta: &Tensor| (model.forward(theta, &x) - &y).square().mean(Kind::Double);
    let once = |work: &mut dyn FnMut()| {
        let begin = Instant::now();
        work();
        begin.elapsed().as_secs_f64() * 1e3
    };
    let mut times = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..5 {
        let mut closed = None;
        times[0].push(once(&mut || closed = of_mean_squared_error(&model, &theta, &x, &y).ok()));
        let closed = closed.expect("a Hessian");
        times[1].push(once(&mut || assert!(Spectrum::of(&closed).is_ok())));
        let leaf = theta.copy().set_requires_grad(true);
        times[2].push(once(&mut || {
            for _ in 0..100 {
                let _ = Tensor::run_backward(&[loss(&leaf)], &[&leaf], false, false);
            }
        }));
        times[3].push(once(&mut || assert!(by_double_backward(&theta, loss).is_ok())));
    }
    let [closed, spectrum, backward, double] = times.map(median);
    let backward = backward / 100.0;
    println!(
        "hessian   closed form {closed:.1} ms, eigenvalues {spectrum:.1}, double backward {double:.0}; 901 backward \
         passes {:.0}: {:.4} of them (float64)",
        901.0 * backward,
        closed / (901.0 * backward)
    );
}

fn jacobian(wanted: &[String]) {
    const CLASSES: i64 = 10;
    if !wanted.is_empty() && !wanted.iter().any(|word| word == "jacobian") {
        return;
    }
    let spec = DataSpec { dataset: DatasetName::Synthetic, train_size: 1, test_size: 1000 };
    let images = spec.load(None, |_| Ok(())).expect("synthetic digits").test.images;
    let model: Classifier = "conv8-conv16-128-10".parse().expect("layers");
    let theta = model.layout().initial(0, "bench", Kind::Float, Device::Cpu);
    let ours = || {
        jacobian_norm(&model, &theta, &images, || Ok(())).expect("a norm");
    };
    let slices = model.layout().views(&theta);
    let autograd = || {
        for x in images.split(100, 0) {
            let x = x.detach().set_requires_grad(true);
            let p = model.logits(&slices, &x).softmax(-1, Kind::Float);
            for class in 0..CLASSES {
                let row = Tensor::run_backward(&[p.select(1, class).sum(Kind::Float)], &[&x], true, false).remove(0);
                let _ = std::hint::black_box(row.square().sum_dim_intlist(1, false, None::<Kind>));
            }
        }
    };
    let milliseconds = |measure: &dyn Fn()| {
        let begin = Instant::now();
        measure();
        begin.elapsed().as_secs_f64() * 1e3
    };
    let (mut fast, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        fast.push(milliseconds(&ours));
        plain.push(milliseconds(&autograd));
    }
    let (fast, plain) = (median(fast), median(plain));
    println!("jacobian {fast:7.1} {plain:9.1} {:6.2}", plain / fast);
}

fn main() {
    hw1::device::set_up_process();
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    println!("{:6} {:>9} {:>9} {:>6}", "model", "explicit", "autograd", "ratio");
    for (name, widths, points) in WORKLOADS {
        if !wanted.is_empty() && !wanted.iter().any(|word| word == name) {
            continue;
        }
        let model: Mlp = widths.parse().expect("widths");
        let target: Target = "sin-sq".parse().expect("a function");
        let grid = evenly_spaced([-2.0, 2.0], points);
        let row = |values: &[f64]| Tensor::from_slice(values).to_kind(Kind::Float).unsqueeze(0);
        let (x, y) = (row(&grid), row(&target.values(&grid).expect("finite")));
        let initial = || model.layout().initial(0, "bench", Kind::Float, Device::Cpu);

        let mut objective = MeanSquaredError::new(&model, initial(), &x, &y);
        let mut adam = OptimizerName::Adam.with_learning_rate(1e-3);
        let mut explicit = || {
            objective.loss_and_gradient();
            adam.step(objective.theta(), objective.gradient());
        };
        let theta = initial().set_requires_grad(true);
        let mut adam = OptimizerName::Adam.with_learning_rate(1e-3);
        let mut autograd = || {
            let loss = (model.forward(&theta, &x) - &y).square().mean(Kind::Float);
            let gradient = Tensor::run_backward(&[&loss], &[&theta], false, false).remove(0);
            loss.double_value(&[]);
            adam.step(&theta, &gradient);
        };
        let (mut ours, mut plain) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(milliseconds(&mut explicit));
            plain.push(milliseconds(&mut autograd));
        }
        let (ours, plain) = (median(ours), median(plain));
        println!("{name:6} {ours:9.4} {plain:9.4} {:6.2}", plain / ours);
    }
    classifiers(&wanted);
    jacobian(&wanted);
    if wanted.is_empty() || wanted.iter().any(|word| word == "hessian") {
        hessian();
    }
}
