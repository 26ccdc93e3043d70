//! Whole trainings and measurements against PyTorch's, from tests/goldens/make.py.

use hw1::analysis::hessian::{Spectrum, by_double_backward, of_mean_squared_error};
use hw1::analysis::interpolation::point;
use hw1::analysis::pca::pca;
use hw1::analysis::sensitivity::{input_gradient_norm, jacobian_norm};
use hw1::data::batches::Samples;
use hw1::data::functions::{Target, evenly_spaced};
use hw1::model::{Classifier, Layout, Mlp};
use hw1::objective::{CrossEntropy, MeanSquaredError};
use hw1::train::{OptimizerName, Stopping, train};
use serde::Deserialize;
use tch::{Kind, Tensor};

#[derive(Deserialize)]
struct Golden {
    function: Target,
    model: Mlp,
    train_loss: Vec<f64>,
}

/// The script's `knuth`: number `index`, from 1, in [-1, 1).
fn knuth(index: u64) -> f64 {
    (index * 2_654_435_761 % (1 << 32)) as f64 / 2f64.powi(31) - 1.0
}

/// The script's initial weights, scaled by 1/√fan_in.
fn initial(layout: &Layout) -> Tensor {
    scrambled(layout, 1).to_kind(Kind::Float)
}

/// The script's `scramble`: weights from number `first` on, in float64.
fn scrambled(layout: &Layout, first: u64) -> Tensor {
    let mut values = Vec::new();
    for slot in &layout.slots {
        for _ in 0..slot.len() {
            values.push(knuth(values.len() as u64 + first) / (slot.fan_in as f64).sqrt());
        }
    }
    Tensor::from_slice(&values)
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
        let mut objective = MeanSquaredError::new(&golden.model, initial(&golden.model.layout()), &row(&x), &row(&y));
        let mut adam = OptimizerName::Adam.with_learning_rate(1e-3);
        let training = train(&mut objective, &mut adam, 100, &Stopping::NEVER, &mut (), |_| Ok(())).unwrap();
        for (epoch, (ours, theirs)) in training.train_loss.iter().zip(&golden.train_loss).enumerate() {
            let error = (ours - theirs).abs() / theirs;
            assert!(error < 1e-4, "{}, epoch {epoch}: {ours} against {theirs}", golden.model);
        }
    }
}

#[derive(Deserialize)]
struct ClassifierGolden {
    model: Classifier,
    batch_size: i64,
    loss: Vec<f64>,
}

#[test]
fn batch_losses_of_every_classifier_are_pytorchs() {
    tch::set_num_threads(1);
    let goldens: Vec<ClassifierGolden> = serde_json::from_str(include_str!("goldens/classifiers.json")).unwrap();
    assert_eq!(goldens.len(), 4);
    for golden in goldens {
        let samples = golden.batch_size * golden.loss.len() as i64;
        let pixels: Vec<f64> = (1..=samples as u64 * 784).map(knuth).collect();
        let images = Tensor::from_slice(&pixels).to_kind(Kind::Float).view([samples, 784]);
        let labels = (Tensor::arange(samples, (Kind::Int64, tch::Device::Cpu)) * 7).remainder(10);
        let objective = CrossEntropy::new(&golden.model, initial(&golden.model.layout()));
        let mut adam = OptimizerName::Adam.with_learning_rate(1e-3);
        for (batch, theirs) in golden.loss.iter().enumerate() {
            let start = batch as i64 * golden.batch_size;
            let (x, y) = (images.narrow(0, start, golden.batch_size), labels.narrow(0, start, golden.batch_size));
            let (gradient, sums) = objective.gradient(&x, &y);
            adam.step(objective.theta(), &gradient);
            let ours = sums.means(golden.batch_size).loss;
            assert!((ours - theirs).abs() < 1e-4 * theirs, "{}, batch {batch}: {ours} against {theirs}", golden.model);
        }
    }
}

/// The script's `scrambled_images` and their labels, in float64.
fn scrambled_images() -> Samples {
    let pixels: Vec<f64> = (1..=48 * 784).map(|index| knuth(index).max(0.0) * 3.0 - 0.4242).collect();
    let labels = (Tensor::arange(48, (Kind::Int64, tch::Device::Cpu)) * 7).remainder(10);
    Samples { images: Tensor::from_slice(&pixels).view([48, 784]), labels }
}

#[derive(Deserialize)]
struct SensitivityGolden {
    model: Classifier,
    batch_size: i64,
    input_gradient_norm: f64,
    jacobian_norm: f64,
}

#[test]
fn sensitivities_are_pytorchs() {
    tch::set_num_threads(1);
    let goldens: Vec<SensitivityGolden> = serde_json::from_str(include_str!("goldens/sensitivity.json")).unwrap();
    assert_eq!(goldens.len(), 2);
    let images = scrambled_images().images;
    for golden in goldens {
        let theta = scrambled(&golden.model.layout(), 1);
        // Float32 on a CPU goes through oneDNN's layout, float64 through plain tensors.
        for (kind, tolerance) in [(Kind::Double, 1e-10), (Kind::Float, 1e-4)] {
            let (theta, images) = (theta.to_kind(kind), images.to_kind(kind));
            let input = input_gradient_norm(&golden.model, &theta, &images, golden.batch_size, || Ok(())).unwrap();
            let jacobian = jacobian_norm(&golden.model, &theta, &images, || Ok(())).unwrap();
            for (ours, theirs) in [(input, golden.input_gradient_norm), (jacobian, golden.jacobian_norm)] {
                assert!((ours - theirs).abs() < tolerance * theirs, "{}, {kind:?}: {ours}, {theirs}", golden.model);
            }
        }
    }
}

#[derive(Deserialize)]
struct InterpolationGolden {
    model: Classifier,
    /// α, loss, accuracy.
    points: Vec<(f64, f64, f64)>,
}

#[test]
fn losses_along_a_line_are_pytorchs() {
    tch::set_num_threads(1);
    let goldens: Vec<InterpolationGolden> = serde_json::from_str(include_str!("goldens/interpolation.json")).unwrap();
    assert_eq!(goldens.len(), 2);
    let Samples { images, labels } = scrambled_images();
    let samples = Samples { images: images.to_kind(Kind::Float), labels };
    for golden in goldens {
        let layout = golden.model.layout();
        let (theta_1, theta_2) = (scrambled(&layout, 1), scrambled(&layout, 1 + layout.parameters() as u64));
        for (alpha, loss, accuracy) in golden.points {
            let theta = point(&theta_1.to_kind(Kind::Float), &theta_2.to_kind(Kind::Float), alpha);
            let found = CrossEntropy::new(&golden.model, theta).evaluate(&samples);
            assert!((found.loss - loss).abs() < 1e-4 * loss, "{} at {alpha}: {found:?}, {loss}", golden.model);
            assert!((found.accuracy - accuracy).abs() < 1e-9, "{} at {alpha}: {found:?}, {accuracy}", golden.model);
        }
    }
}

#[derive(Deserialize)]
struct HessianGolden {
    model: Mlp,
    points: usize,
    loss: f64,
    product: Vec<f64>,
    entries: Option<Vec<f64>>,
    eigenvalues: Vec<f64>,
}

#[test]
fn hessians_are_torch_funcs() {
    tch::set_num_threads(1);
    let goldens: Vec<HessianGolden> = serde_json::from_str(include_str!("goldens/hessians.json")).unwrap();
    assert_eq!(goldens.len(), 2);
    for golden in goldens {
        let model = &golden.model;
        let xs = evenly_spaced([1.0, 5.0], golden.points);
        let ys: Vec<f64> = xs.iter().map(|x| x.cos() / x).collect();
        let (x, y) = (Tensor::from_slice(&xs).unsqueeze(0), Tensor::from_slice(&ys).unsqueeze(0));
        // The script's model has its weights in float32.
        let theta = initial(&model.layout()).to_kind(Kind::Double);
        let loss = |theta: &Tensor| (model.forward(theta, &x) - &y).square().mean(Kind::Double);
        assert!((loss(&theta).double_value(&[]) - golden.loss).abs() < 1e-12 * golden.loss);

        let hessian = of_mean_squared_error(model, &theta, &x, &y).unwrap();
        let largest = golden.eigenvalues.last().unwrap();
        let close = |ours: &Tensor, theirs: &[f64], what: &str| {
            let theirs = Tensor::from_slice(theirs);
            let error = (ours.view(-1) - &theirs).norm().double_value(&[]) / theirs.norm().double_value(&[]);
            assert!(error < 1e-8, "{model}, {what}: {error}");
        };
        let vector: Vec<f64> = (1..=theta.numel() as u64).map(knuth).collect();
        close(&hessian.mv(&Tensor::from_slice(&vector)), &golden.product, "product");
        if let Some(entries) = &golden.entries {
            close(&hessian, entries, "entries");
            close(&by_double_backward(&theta, loss).unwrap(), entries, "entries by double backward");
        }
        for (ours, theirs) in Spectrum::of(&hessian).unwrap().eigenvalues.iter().zip(&golden.eigenvalues) {
            assert!((ours - theirs).abs() < 1e-11 * largest, "{model}: eigenvalue {ours} against {theirs}");
        }
    }
}

#[derive(Deserialize)]
struct PcaGolden {
    rows: i64,
    length: i64,
    scores: Vec<Vec<f64>>,
    explained_variance_ratio: Vec<f64>,
}

#[test]
fn principal_components_are_scikit_learns() {
    let golden: PcaGolden = serde_json::from_str(include_str!("goldens/pca.json")).unwrap();
    let numbers: Vec<f64> = (1..=(golden.rows * golden.length) as u64).map(knuth).collect();
    let columns = Tensor::arange(golden.length, (Kind::Double, tch::Device::Cpu));
    let scale = (&columns * (-3.0 / (golden.length - 1) as f64) * std::f64::consts::LN_10).exp();
    let x = Tensor::from_slice(&numbers).view([golden.rows, golden.length]) * scale + columns / 100.0;
    let rows: Vec<Tensor> = (0..golden.rows).map(|row| x.get(row)).collect();
    let found = pca(&rows, 3).unwrap();
    for component in 0..3 {
        let share = golden.explained_variance_ratio[component];
        assert!((found.explained_variance_ratio[component] - share).abs() < 1e-12, "{share}");
        let (ours, theirs) = (&found.scores[component], &golden.scores[component]);
        let sign = ours.iter().zip(theirs).map(|(a, b)| a * b).sum::<f64>().signum();
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert!((ours * sign - theirs).abs() < 1e-10, "component {component}: {ours} against {theirs}");
        }
    }
}
