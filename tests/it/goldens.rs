//! Whole trainings and measurements against PyTorch's, from tests/goldens/make.py.

use crate::common::sets::{Set, write_cifar};
use hw1::analysis::hessian::Spectrum;
use hw1::analysis::interpolation::point;
use hw1::analysis::pca::pca;
use hw1::analysis::sensitivity::{input_gradient_norm, jacobian_norm};
use hw1::data::functions::{self, evenly_spaced};
use hw1::data::{Access, DataOptions, DataSpec, Dataset as _, Normalisation, Samples, Signature, Target};
use hw1::model::{Architecture, Initial, Layout, Mlp, Model as _, Network};
use hw1::objective::{CrossEntropy, MeanSquaredError, Objective as _, by_double_backward};
use hw1::train::{OptimizerName, Stopping, Watched, train};
use serde::Deserialize;
use tch::{Kind, Tensor};

#[derive(Deserialize)]
struct Golden {
    function: functions::Target,
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
        let Initial::Uniform(bound) = slot.initial else { panic!("{} is not uniform", slot.name) };
        for _ in 0..slot.len() {
            values.push(knuth(values.len() as u64 + first) * bound);
        }
    }
    Tensor::from_slice(&values)
}

#[test]
fn the_first_100_losses_of_every_report_model_are_pytorchs() {
    tch::set_num_threads(1);
    let goldens: Vec<Golden> = serde_json::from_str(include_str!("../goldens/simulate.json")).unwrap();
    assert_eq!(goldens.len(), 6);
    for golden in goldens {
        let (domain, points) =
            if golden.function.to_string() == "sin-sq" { ([-2.0, 2.0], 4000) } else { ([-1.0, 1.0], 6000) };
        let x = evenly_spaced(domain, points);
        let y = golden.function.values(&x).unwrap();
        let theta = initial(&golden.model.layout());
        let mut objective = MeanSquaredError::new(&golden.model.network(), theta, &curve(&x, &y)).unwrap();
        let mut adam = OptimizerName::Adam.with_learning_rate(1e-3);
        let training = train(&mut objective, &mut adam, 100, &Stopping::NEVER, &mut (), Watched::default()).unwrap();
        for (epoch, (ours, theirs)) in training.train_loss.iter().zip(&golden.train_loss).enumerate() {
            let error = (ours - theirs).abs() / theirs;
            assert!(error < 1e-4, "{}, epoch {epoch}: {ours} against {theirs}", golden.model);
        }
    }
}

fn curve(x: &[f64], y: &[f64]) -> Samples {
    let column = |values: &[f64]| Tensor::from_slice(values).unsqueeze(1);
    Samples::new(column(x), column(y), Target::Values(1))
}

/// On digits.
fn network(model: &Architecture) -> Network {
    let data = Signature { input: vec![1, 28, 28], tokens: None, target: Target::Classes(10) };
    model.network(&data).unwrap()
}

/// Pictures with labels that follow each other.
fn pictures(pixels: &[f64]) -> Samples {
    let inputs = Tensor::from_slice(pixels).view([-1, 1, 28, 28]);
    let targets = (Tensor::arange(inputs.size()[0], (Kind::Int64, tch::Device::Cpu)) * 7).remainder(10);
    Samples::new(inputs, targets, Target::Classes(10))
}

#[derive(Deserialize)]
struct ClassifierGolden {
    model: Architecture,
    batch_size: i64,
    loss: Vec<f64>,
}

#[test]
fn batch_losses_of_every_classifier_are_pytorchs() {
    tch::set_num_threads(1);
    let goldens: Vec<ClassifierGolden> = serde_json::from_str(include_str!("../goldens/classifiers.json")).unwrap();
    assert_eq!(goldens.len(), 4);
    for golden in goldens {
        let samples = golden.batch_size * golden.loss.len() as i64;
        let pixels: Vec<f64> = (1..=samples as u64 * 784).map(knuth).collect();
        let model = network(&golden.model);
        let mut objective = CrossEntropy::new(&model, initial(&model.layout()), &pictures(&pixels)).unwrap();
        let mut adam = OptimizerName::Adam.with_learning_rate(1e-3);
        for (batch, theirs) in golden.loss.iter().enumerate() {
            let start = batch as i64 * golden.batch_size;
            let index = Tensor::arange_start(start, start + golden.batch_size, (Kind::Int64, tch::Device::Cpu));
            let sums = objective.batch(&index).unwrap();
            adam.step(objective.theta(), objective.gradient());
            let ours = sums.means().unwrap().loss;
            assert!((ours - theirs).abs() < 1e-4 * theirs, "{}, batch {batch}: {ours} against {theirs}", golden.model);
        }
    }
}

/// The script's `scrambled_images` and their labels, in float64.
fn scrambled_images() -> Samples {
    let pixels: Vec<f64> = (1..=48 * 784).map(|index| knuth(index).max(0.0) * 3.0 - 0.4242).collect();
    pictures(&pixels)
}

#[derive(Deserialize)]
struct SensitivityGolden {
    model: Architecture,
    batch_size: i64,
    input_gradient_norm: f64,
    jacobian_norm: f64,
}

#[test]
fn sensitivities_are_pytorchs() {
    tch::set_num_threads(1);
    let goldens: Vec<SensitivityGolden> = serde_json::from_str(include_str!("../goldens/sensitivity.json")).unwrap();
    assert_eq!(goldens.len(), 2);
    let images = scrambled_images();
    for golden in goldens {
        let model = network(&golden.model);
        let theta = scrambled(&model.layout(), 1);
        // Float32 on a CPU goes through oneDNN's layout, float64 through plain tensors.
        for (kind, tolerance) in [(Kind::Double, 1e-10), (Kind::Float, 1e-4)] {
            let theta = theta.to_kind(kind);
            let (x, objective) = (images.of_kind(&theta), CrossEntropy::new(&model, theta, &images));
            let objective = objective.unwrap();
            let mut by_inputs = objective.by_inputs().unwrap();
            let input = input_gradient_norm(&mut *by_inputs, &x, golden.batch_size, || Ok(())).unwrap();
            let jacobian = jacobian_norm(&mut *by_inputs, &x, || Ok(())).unwrap();
            for (ours, theirs) in [(input, golden.input_gradient_norm), (jacobian, golden.jacobian_norm)] {
                assert!((ours - theirs).abs() < tolerance * theirs, "{}, {kind:?}: {ours}, {theirs}", golden.model);
            }
        }
    }
}

#[derive(Deserialize)]
struct InterpolationGolden {
    model: Architecture,
    /// α, loss, accuracy.
    points: Vec<(f64, f64, f64)>,
}

#[test]
fn losses_along_a_line_are_pytorchs() {
    tch::set_num_threads(1);
    let goldens: Vec<InterpolationGolden> =
        serde_json::from_str(include_str!("../goldens/interpolation.json")).unwrap();
    assert_eq!(goldens.len(), 2);
    for golden in goldens {
        let model = network(&golden.model);
        let layout = model.layout();
        let (theta_1, theta_2) = (scrambled(&layout, 1), scrambled(&layout, 1 + layout.parameters() as u64));
        for (alpha, loss, accuracy) in golden.points {
            let theta = point(&theta_1.to_kind(Kind::Float), &theta_2.to_kind(Kind::Float), alpha);
            let found = CrossEntropy::new(&model, theta, &scrambled_images()).unwrap().evaluate().unwrap();
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
    let goldens: Vec<HessianGolden> = serde_json::from_str(include_str!("../goldens/hessians.json")).unwrap();
    assert_eq!(goldens.len(), 2);
    for golden in goldens {
        let model = &golden.model;
        let xs = evenly_spaced([1.0, 5.0], golden.points);
        let ys: Vec<f64> = xs.iter().map(|x| x.cos() / x).collect();
        let samples = curve(&xs, &ys);
        let (x, y) = (samples.inputs().unwrap().tr(), samples.targets.tr());
        // The script's model has its weights in float32.
        let theta = initial(&model.layout()).to_kind(Kind::Double);
        let loss = |theta: &Tensor| (model.forward(theta, &x) - &y).square().mean(Kind::Double);
        assert!((loss(&theta).double_value(&[]) - golden.loss).abs() < 1e-12 * golden.loss);

        let objective = MeanSquaredError::new(&model.network(), theta.copy(), &samples).unwrap();
        let hessian = objective.whole_hessian(&mut || Ok(())).unwrap();
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
    let golden: PcaGolden = serde_json::from_str(include_str!("../goldens/pca.json")).unwrap();
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

#[derive(Deserialize)]
struct CifarGolden {
    mean: Vec<f64>,
    deviation: Vec<f64>,
    batch_size: i64,
    loss: Vec<f64>,
}

/// The script's `cifar_byte`.
fn cifar_byte(i: u64) -> u8 {
    let noise = (i.wrapping_mul(2_654_435_761) % (1 << 32)) >> 25;
    let (image, number) = (i / 3072, i % 3072);
    let (channel, place) = (number / 1024, number % 1024);
    let (row, column, label) = (place / 32, place % 32, image * 7 % 10);
    let is_lit = row / 7 == label % 4 && column / 11 == label / 4 && channel != label % 3;
    (noise + 100 * u64::from(is_lit)) as u8
}

#[test]
fn a_hundred_steps_on_cifars_binary_batches_are_pytorchs() {
    tch::set_num_threads(1);
    let golden: CifarGolden = serde_json::from_str(include_str!("../goldens/cifar.json")).unwrap();
    let images: u64 = 640;
    let bytes: Vec<u8> = (0..images * 3072).map(cifar_byte).collect();
    let labels = (0..images).map(|image| (image * 7 % 10) as u8).collect();
    let set = Set { shape: [3, 32, 32], images: bytes, labels };
    let folder = tempfile::tempdir().unwrap();
    write_cifar(folder.path(), [&set, &set.picked(&[0, 1, 2])]);
    let path = folder.path().to_str().unwrap();
    let spec = DataSpec::open(path, [usize::MAX; 2], DataOptions::default(), &Access::default()).unwrap();
    let Normalisation { unit, mean, deviation } = spec.normalisation().unwrap();
    assert_eq!(unit, 255.0);
    for (ours, theirs) in mean.iter().zip(&golden.mean).chain(deviation.iter().zip(&golden.deviation)) {
        assert!((ours - theirs).abs() < 1e-12, "{ours} against {theirs}");
    }
    let [train, _] = spec.load(&Access::default()).unwrap();
    let model = Network::parse("conv32-conv64-256-10", &spec.signature()).unwrap();
    let mut objective = CrossEntropy::new(&model, initial(&model.layout()), &train).unwrap();
    let mut adam = OptimizerName::Adam.with_learning_rate(1e-4);
    assert_eq!(golden.loss.len(), 100);
    let batches = images as i64 / golden.batch_size;
    for (step, theirs) in (0..).zip(&golden.loss) {
        let start = step % batches * golden.batch_size;
        let index = Tensor::arange_start(start, start + golden.batch_size, (Kind::Int64, tch::Device::Cpu));
        let sums = objective.batch(&index).unwrap();
        adam.step(objective.theta(), objective.gradient());
        let ours = sums.means().unwrap().loss;
        assert!((ours - theirs).abs() < 1e-4 * theirs, "step {step}: {ours} against {theirs}");
    }
}
