//! Kinds of models and of data that hw1 does not know join by its seams, [`Model`] and [`Dataset`], and go through its
//! tasks: fit, evaluation, gradient, spectrum, slices, sharpness, line, sensitivity. Each number against PyTorch's, from
//! tests/goldens/kinds.py, which has the formulas of weights and data.

use anyhow::{Result, bail};
use hw1::analysis::hessian::Spectrum;
use hw1::analysis::sensitivity::{input_gradient_norm, jacobian_norm};
use hw1::analysis::surface::Normalise;
use hw1::data::{Access, Data, Dataset, Samples, Signature, Target};
use hw1::error::Interrupted;
use hw1::files::sha256;
use hw1::model::{Initial, Layout, Model, Network, Pass, Weights};
use hw1::objective::{Objective, Splits, over};
use hw1::store::checkpoint::State;
use hw1::store::weights::{Tensors, encode};
use hw1::study::{CheckpointStore, Context, Measurements, Progress};
use hw1::tasks::classifier::MiniBatch;
use hw1::tasks::newton::Newton;
use hw1::tasks::sharpness::Search;
use hw1::tasks::spectrum::SpectrumProbes;
use hw1::tasks::{Source, line, slices};
use hw1::train::{OptimizerName, Stopping, Watched, train};
use serde_json::Value;
use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tch::{Device, Kind, Tensor};

// ------------------------------------------------------------------------------------- data

fn q(i: i64) -> i64 {
    (7 * i * i + 37 * i + 11) % 251
}

fn reals(count: i64, shift: i64, divisor: f32) -> Tensor {
    Tensor::from_slice(&(0..count).map(|i| (q(i + shift) - 125) as f32 / divisor).collect::<Vec<f32>>())
}

/// Data that only this test knows.
#[derive(Clone)]
struct Own {
    signature: Signature,
    sizes: [usize; 2],
}

impl Own {
    fn new(input: &[i64], tokens: Option<i64>, target: Target, sizes: [usize; 2]) -> Self {
        Self { signature: Signature { input: input.to_vec(), tokens, target }, sizes }
    }

    fn images() -> Self {
        Self::new(&[3, 8, 8], None, Target::Classes(5), [24, 10])
    }

    fn tokens() -> Self {
        Self::new(&[6], Some(11), Target::Classes(4), [20, 8])
    }

    /// A class of each of six tokens.
    fn by_place() -> Self {
        Self::new(&[6], Some(11), Target::ClassesByPlace(4), [20, 8])
    }

    fn values() -> Self {
        Self::new(&[3], None, Target::Values(2), [16, 6])
    }
}

impl Dataset for Own {
    fn identity(&self) -> String {
        format!("own {:?}", self.signature)
    }

    fn title(&self) -> &str {
        "samples of a test"
    }

    fn signature(&self) -> Signature {
        self.signature.clone()
    }

    fn sizes(&self) -> [usize; 2] {
        self.sizes
    }

    fn load(&self, _: &Access) -> Result<[Samples; 2]> {
        let Signature { input, tokens, target } = &self.signature;
        let [train, test] = self.sizes.map(|size| size as i64);
        let n = train + test;
        let count = n * self.signature.numbers();
        let inputs = match tokens {
            Some(tokens) => Tensor::from_slice(&(0..count).map(|i| q(i) % tokens).collect::<Vec<i64>>()),
            None => reals(count, 0, 64.0),
        };
        let targets = match target {
            Target::Classes(classes) => Tensor::from_slice(&(0..n).map(|i| q(i + 500) % classes).collect::<Vec<i64>>()),
            Target::Values(values) => reals(n * values, 1000, 128.0).view([n, *values]),
            Target::ClassesByPlace(classes) => {
                let shape = [&[n], &self.signature.target_shape()[..]].concat();
                let labels: Vec<i64> = (0..shape.iter().product()).map(|i| q(i + 500) % classes).collect();
                Tensor::from_slice(&labels).view(&shape[..])
            }
        };
        let inputs = inputs.view(&[&[n], &input[..]].concat()[..]);
        let part = |start, size| {
            let part = |tensor: &Tensor| tensor.narrow(0, start, size);
            Samples::new(part(&inputs), part(&targets), *target)
        };
        Ok([part(0, train), part(train, test)])
    }
}

// ----------------------------------------------------------------------------------- models

fn linear(layout: &mut Layout, name: &str, [inputs, outputs]: [i64; 2]) {
    layout.push(format!("{name}.weight"), &[outputs, inputs], Initial::by_fan_in(inputs));
    layout.push(format!("{name}.bias"), &[outputs], Initial::by_fan_in(inputs));
}

fn norm(layout: &mut Layout, name: &str, channels: i64) {
    layout.push(format!("{name}.weight"), &[channels], Initial::Constant(1.0));
    layout.push(format!("{name}.bias"), &[channels], Initial::Constant(0.0));
}

/// Convolutions with a residual connection and batch normalisation.
#[derive(Clone)]
struct Residual;

impl Model for Residual {
    fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        for (index, inputs) in [(1, 3), (2, 4)] {
            let initial = Initial::by_fan_in(9 * inputs);
            layout.push(format!("conv{index}.weight"), &[4, inputs, 3, 3], initial);
            layout.push(format!("conv{index}.bias"), &[4], initial);
            norm(&mut layout, &format!("bn{index}"), 4);
            layout.push_buffer(format!("bn{index}.running_mean"), &[4], 0.0);
            layout.push_buffer(format!("bn{index}.running_var"), &[4], 1.0);
        }
        linear(&mut layout, "fc", [4, 5]);
        layout
    }

    fn outputs(&self, slices: &[Tensor], buffers: &[Tensor], x: &Tensor, pass: Pass) -> Result<Tensor> {
        let block = |x: &Tensor, slices: &[Tensor], buffers: &[Tensor]| {
            let h = x.f_conv2d(&slices[0], Some(&slices[1]), 1, 1, 1, 1)?;
            let (weight, bias) = (Some(&slices[2]), Some(&slices[3]));
            let (mean, variance) = (Some(&buffers[0]), Some(&buffers[1]));
            h.f_batch_norm(weight, bias, mean, variance, pass == Pass::Train, 0.1, 1e-5, false)
        };
        let h = block(x, &slices[..4], &buffers[..2])?.relu();
        let h = (block(&h, &slices[4..8], &buffers[2..])? + h).relu();
        Ok(h.mean_dim(&[2i64, 3][..], false, None::<Kind>).f_linear(&slices[8], Some(&slices[9]))?)
    }
}

/// A bag of tokens, each embedded and normalised.
#[derive(Clone)]
struct Bag;

impl Model for Bag {
    fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        layout.push("embed.weight", &[11, 5], Initial::Bell(1.0));
        norm(&mut layout, "norm", 5);
        linear(&mut layout, "fc1", [5, 6]);
        linear(&mut layout, "fc2", [6, 4]);
        layout
    }

    fn outputs(&self, slices: &[Tensor], _: &[Tensor], x: &Tensor, _: Pass) -> Result<Tensor> {
        let h = Tensor::f_embedding(&slices[0], x, -1, false, false)?;
        let h = h.f_layer_norm([5], Some(&slices[1]), Some(&slices[2]), 1e-5, false)?;
        let h = h.f_linear(&slices[3], Some(&slices[4]))?.tanh();
        Ok(h.mean_dim(1, false, None::<Kind>).f_linear(&slices[5], Some(&slices[6]))?)
    }
}

/// A smooth network of real values.
#[derive(Clone)]
struct Tanh;

impl Model for Tanh {
    fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        linear(&mut layout, "fc1", [3, 5]);
        linear(&mut layout, "fc2", [5, 2]);
        layout
    }

    fn outputs(&self, slices: &[Tensor], _: &[Tensor], x: &Tensor, _: Pass) -> Result<Tensor> {
        Ok(x.f_linear(&slices[0], Some(&slices[1]))?.tanh().f_linear(&slices[2], Some(&slices[3]))?)
    }
}

/// The script's initial weights, in float64.
fn initial(layout: &Layout) -> Weights {
    let formula = |j: i64| ((11 * j * j + 53 * j + 29) % 257 - 128) as f64 / 512.0;
    let theta = Tensor::from_slice(&(0..layout.parameters()).map(formula).collect::<Vec<f64>>());
    for (index, slot) in layout.slots.iter().enumerate() {
        if ["bn1.weight", "bn2.weight", "norm.weight"].contains(&slot.name.as_str()) {
            let _ = layout.view(&theta, index).g_add_scalar_(1.0);
        }
    }
    Weights::initial(layout, 0, "kinds", Kind::Double, Device::Cpu).at(theta)
}

/// The script's v(k).
fn vector(k: i64, count: i64) -> Tensor {
    let formula = |j: i64| (((2 * k + 3) * j * j + (19 + k) * j + 5 * k + 7) % 127 - 63) as f64 / 64.0;
    Tensor::from_slice(&(0..count).map(formula).collect::<Vec<f64>>())
}

// ------------------------------------------------------------------------------- comparison

/// What the script found of one model.
struct Golden {
    name: String,
    found: Value,
    /// Of long vectors so many entries stand for one.
    every: i64,
}

impl Golden {
    fn of(case: &str, model: &str) -> Self {
        let goldens: Value = serde_json::from_str(include_str!("../goldens/kinds.json")).unwrap();
        let found = goldens["cases"][case][model].clone();
        Self { name: format!("{case}/{model}"), every: found["every"].as_i64().unwrap(), found }
    }

    fn number(&self, path: &str) -> f64 {
        self.found.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{}: no {path}", self.name))
    }

    fn numbers(&self, path: &str) -> Vec<f64> {
        let list = self.found.pointer(path).and_then(Value::as_array).unwrap_or_else(|| panic!("no {path}"));
        list.iter().flat_map(|item| item.as_array().cloned().unwrap_or(vec![item.clone()])).map(number).collect()
    }

    fn close(&self, found: f64, path: &str, tolerance: f64) {
        let expected = self.number(path);
        let error = (found - expected).abs() / expected.abs().max(1.0);
        assert!(error <= tolerance, "{}{path}: {found} against {expected}", self.name);
    }

    /// By the largest of the expected numbers.
    fn all_close(&self, found: &[f64], path: &str, tolerance: f64) {
        let expected = self.numbers(path);
        assert_eq!(found.len(), expected.len(), "{}{path}", self.name);
        let largest = expected.iter().fold(0f64, |largest, x| largest.max(x.abs()));
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let error = (found - expected).abs() / largest;
            assert!(error <= tolerance, "{}{path}[{at}]: {found} against {expected}", self.name);
        }
    }

    /// A vector over θ, of which the script keeps a part of the entries.
    fn vector_close(&self, found: &Tensor, path: &str, tolerance: f64) {
        let found: Vec<f64> = found.to_kind(Kind::Double).try_into().unwrap();
        let kept: Vec<f64> = found.into_iter().step_by(self.every as usize).collect();
        self.all_close(&kept, path, tolerance);
    }
}

fn number(value: Value) -> f64 {
    value.as_f64().unwrap()
}

fn doubles(tensor: &Tensor) -> Vec<f64> {
    tensor.to_kind(Kind::Double).reshape([-1]).try_into().unwrap()
}

fn data(set: &Own) -> Data {
    Data::load(Arc::new(set.clone()), &Access::default()).unwrap()
}

fn with_context<T>(set: &Own, run: impl FnOnce(&mut Context) -> Result<T>) -> T {
    let (progress, stop) = (Progress::default(), AtomicBool::new(false));
    let none = |_: &_| bail!("no trial has any");
    run(&mut Context::new(Device::Cpu, &progress, &stop, &none, Some(data(set)))).unwrap()
}

fn splits(model: &(impl Model + Clone + 'static), weights: Weights, data: &Data) -> Splits {
    Splits::new(model, weights, [&data.train, &data.test]).unwrap()
}

const FITS: [(&str, OptimizerName, f64); 2] = [("sgd", OptimizerName::Sgd, 0.05), ("adam", OptimizerName::Adam, 0.01)];

fn how(optimizer: OptimizerName, learning_rate: f64) -> MiniBatch {
    MiniBatch { optimizer, learning_rate, batch_size: 8, shuffle: false, epochs: 3 }
}

const KEY: (u64, &str) = (0, "kinds");

/// Fits a model as the script does; the weights it ends with, by either optimizer.
fn fitted(
    model: &(impl Model + Clone + 'static),
    set: &Own,
    golden: &Golden,
    kind: Kind,
    tolerance: f64,
) -> [Weights; 2] {
    let is_classifier = set.signature.target.classes().is_some();
    let layout = model.layout();
    FITS.map(|(name, optimizer, learning_rate)| {
        let (record, weights) = with_context(set, |cx| {
            let weights = initial(&layout).each(|flat| flat.to_kind(kind));
            let mut splits = splits(model, weights, cx.data()?);
            let go_on = |_: &mut Context, _, _: &mut Splits, _: &mut _| Ok(ControlFlow::Continue(()));
            let record = how(optimizer, learning_rate).run(&mut splits, 1, KEY, cx, go_on)?;
            Ok((record, splits.weights().each(Tensor::copy)))
        });
        let path = |what: &str| format!("/fit/{name}/{what}");
        golden.all_close(record.series("train_loss").unwrap(), &path("epoch_loss"), tolerance);
        // Before a normalisation a bias has no gradient but rounding, of which Adam makes steps in float32: in training they
        // cancel, by running statistics they do not.
        if kind == Kind::Float && name == "adam" && weights.buffers.numel() > 0 {
            return weights;
        }
        for split in ["train", "test"] {
            golden.close(
                record.scalar(&format!("final_{split}_loss")).unwrap(),
                &path(&format!("{split}/loss")),
                tolerance,
            );
            assert_eq!(record.scalars.contains_key(&format!("final_{split}_accuracy")), is_classifier);
            if is_classifier {
                let accuracy = record.scalar(&format!("final_{split}_accuracy")).unwrap();
                // In float32 a sample may be at a tie.
                golden.close(
                    accuracy,
                    &path(&format!("{split}/accuracy")),
                    if kind == Kind::Double { 1e-12 } else { 0.1 },
                );
            }
        }
        if kind == Kind::Float {
            return weights;
        }
        if name == "sgd" {
            golden.all_close(&doubles(&weights.theta), &path("theta"), tolerance);
        } else {
            golden.vector_close(&weights.theta, &path("theta"), tolerance);
        }
        if weights.buffers.numel() > 0 {
            golden.all_close(&doubles(&weights.buffers), &path("buffers"), tolerance);
        }
        weights
    })
}

/// All that is measured at the weights of a fit, in float64.
fn measured(model: &(impl Model + Clone + 'static), set: &Own, golden: &Golden, [sgd, adam]: &[Weights; 2]) {
    let (data, layout) = (data(set), model.layout());
    let n = layout.parameters();
    assert_eq!(n as f64, golden.number("/parameters"));
    let has_classes = set.signature.target.classes().is_some();
    let at = || over(model, sgd.each(Tensor::copy), &data.train).unwrap();

    let mut objective = at();
    let found = objective.evaluate().unwrap();
    golden.close(found.loss, "/loss", 1e-11);
    assert_eq!(found.accuracy.is_nan(), !has_classes);
    if has_classes {
        golden.close(found.accuracy, "/accuracy", 1e-12);
    }
    golden.close(objective.loss_and_gradient().unwrap().get().unwrap(), "/loss", 1e-11);
    golden.vector_close(objective.gradient(), "/gradient", 1e-9);
    golden.close(objective.gradient().norm().double_value(&[]), "/norms/gradient", 1e-10);

    // Three products at once.
    let vectors = Tensor::stack(&[0, 1, 2].map(|k| vector(k, n)), 0);
    let products = objective.hessian().unwrap().times(&vectors, &mut || Ok(())).unwrap();
    for k in 0..3 {
        golden.vector_close(&products.get(k), &format!("/products/{k}"), 1e-9);
        golden.close(products.get(k).norm().double_value(&[]), &format!("/norms/products/{k}"), 1e-9);
    }
    let whole = objective.whole_hessian(&mut || Ok(())).unwrap();
    if golden.found.get("hessian").is_some() {
        golden.all_close(&doubles(&whole), "/hessian", 1e-9);
    }
    golden.all_close(&Spectrum::of(&whole).unwrap().eigenvalues, "/eigenvalues", 1e-9);
    golden.close(whole.trace().double_value(&[]), "/trace", 1e-9);

    with_context(set, |cx| {
        let probes = 20;
        let record = SpectrumProbes { eigenvalues: 3, probes, steps: 20, block: 1 }.measure(&mut *at(), KEY, cx)?;
        let found = record.series("top_eigenvalues")?.iter().zip(record.series("residuals")?);
        for ((value, residual), expected) in found.zip(golden.numbers("/top")) {
            assert!((value - expected).abs() <= residual + 1e-9 * expected, "{}: {value}, {expected}", golden.name);
        }
        // The variance of a probe's vᵀHv is at most 2 ‖H‖².
        let squares: f64 = golden.numbers("/eigenvalues").iter().map(|value| value * value).sum();
        let error = record.scalar("mean_eigenvalue")? * n as f64 - golden.number("/trace");
        assert!(error.abs() < 5.0 * (2.0 * squares / probes as f64).sqrt(), "{}: {error}", golden.name);

        let record = Search { epsilon: 1e-2, starts: 1, steps: 6 }.measure(&mut *at(), KEY, cx)?;
        golden.close(record.scalar("sharpness")?, "/sharpness/percent", 1e-9);
        golden.close(record.scalar("gradients")?, "/sharpness/gradients", 0.0);

        let steps = golden.numbers("/slices/t");
        let losses = slices::along(&mut *at(), sgd, &(vector(3, n) / 4.0), &steps, cx)?;
        golden.all_close(&losses, "/slices/loss", 1e-10);
        let direction = Normalise::Filter.applied(&layout, &sgd.theta, &vector(4, n))?;
        golden.vector_close(&direction, "/filter_normalised", 1e-9);
        // The study's own slices go where that leads, from the loss here.
        let record = slices::Slices { directions: 2, points: 11 }.measure(&mut *at(), KEY, cx)?;
        assert_eq!(record.series("slice_1")?.len(), 11);
        golden.close(record.series("slice_2")?[5], "/loss", 1e-11);

        let mut splits = splits(model, sgd.each(Tensor::copy), cx.data()?);
        let alphas = golden.numbers("/line/alpha");
        let record = line::evaluate(&mut splits, adam, &alphas, cx)?;
        for split in ["train", "test"] {
            for at in 0..alphas.len() {
                let loss = record.series(&format!("{split}_loss"))?[at];
                golden.close(loss, &format!("/line/{split}/{at}/loss"), 1e-9);
                if has_classes {
                    let accuracy = record.series(&format!("{split}_accuracy"))?[at];
                    golden.close(accuracy, &format!("/line/{split}/{at}/accuracy"), 1e-12);
                }
            }
            assert_eq!(record.series.contains_key(&format!("{split}_accuracy")), has_classes);
        }
        Ok(())
    });
    sensitivity(model, set, golden, sgd);
}

fn sensitivity(model: &(impl Model + Clone + 'static), set: &Own, golden: &Golden, weights: &Weights) {
    let test = data(set).test;
    let objective = over(model, weights.each(Tensor::copy), &test).unwrap();
    let mut by_inputs = objective.by_inputs().unwrap();
    if set.signature.tokens.is_some() {
        let error = by_inputs.outputs(&test.inputs().unwrap()).unwrap_err().to_string();
        assert!(error.contains("nothing can be derived by inputs that are whole numbers"), "{error}");
        return;
    }
    let in_double = test.of_kind(&Tensor::zeros([1], (Kind::Double, Device::Cpu)));
    let inputs = in_double.inputs().unwrap();
    let outputs = by_inputs.outputs(&inputs).unwrap();
    golden.all_close(&doubles(&outputs.narrow(0, 0, 3)), "/outputs", 1e-11);
    match set.signature.target {
        Target::Classes(_) => {
            let norm = jacobian_norm(&mut *by_inputs, &in_double, || Ok(())).unwrap();
            golden.close(norm, "/sensitivity/jacobian_norm", 1e-10);
            let norm = input_gradient_norm(&mut *by_inputs, &in_double, 4, || Ok(())).unwrap();
            golden.close(norm, "/sensitivity/input_gradient_norm", 1e-10);
        }
        Target::Values(values) => {
            let mut squares = Tensor::zeros([test.len()], (Kind::Double, Device::Cpu));
            for value in 0..values {
                let unit = outputs.zeros_like();
                let _ = unit.select(1, value).fill_(1.0);
                squares += by_inputs.vjp(&unit).unwrap().square().sum_dim_intlist(1, false, Kind::Double);
            }
            let norm = squares.sqrt().mean(Kind::Double).double_value(&[]);
            golden.close(norm, "/sensitivity/jacobian_norm_of_outputs", 1e-10);
        }
        Target::ClassesByPlace(_) => unreachable!("no model here learns them"),
    }
}

// ------------------------------------------------------------------------------------ tests

fn goes_through(model: &(impl Model + Clone + 'static), set: &Own, case: &str, name: &str) {
    tch::set_num_threads(1);
    let golden = Golden::of(case, name);
    let slots: Vec<Value> =
        model.layout().slots.iter().map(|slot| serde_json::json!([slot.name, slot.shape])).collect();
    assert_eq!(golden.found["slots"], Value::from(slots), "{case}/{name}");
    let weights = fitted(model, set, &golden, Kind::Double, 1e-9);
    measured(model, set, &golden, &weights);
    fitted(model, set, &golden, Kind::Float, 2e-3);
}

#[test]
fn a_network_with_a_residual_connection_and_batch_normalisation_goes_through_all_tasks() {
    // As who does not know the type has it.
    let model: Arc<dyn Model> = Arc::new(Residual);
    goes_through(&model, &Own::images(), "residual", "residual");
}

#[test]
fn networks_of_our_grammar_learn_other_images() {
    let set = Own::images();
    for (name, text) in [("mlp", "192-7-5"), ("cnn", "conv4-6-5")] {
        goes_through(&Network::parse(text, &set.signature).unwrap(), &set, "pictures", name);
    }
}

#[test]
fn a_network_of_tokens_goes_through_all_tasks_but_sensitivity() {
    goes_through(&Bag, &Own::tokens(), "tokens", "bag");
}

#[test]
fn a_network_of_values_goes_through_all_tasks() {
    goes_through(&Tanh, &Own::values(), "values", "tanh");
}

#[test]
fn newtons_method_goes_down_on_a_network_of_ones_own() {
    tch::set_num_threads(1);
    let set = Own::values();
    let mut objective = over(&Tanh, initial(&Tanh.layout()), &data(&set).train).unwrap();
    let record = with_context(&set, |cx| Newton { steps: 40, threshold: 1e-9 }.descend(&mut *objective, 0, cx));
    let losses = record.series("newton_loss").unwrap();
    assert!(
        losses.windows(2).all(|pair| pair[1] <= pair[0]) && losses[losses.len() - 1] < 0.2 * losses[0],
        "{losses:?}"
    );
    // Where it left the objective.
    let loss = objective.loss_and_gradient().unwrap().get().unwrap();
    assert_eq!(Some(&loss), losses.last());
    let norms = record.series("newton_gradient_norm").unwrap();
    assert_eq!(Some(&objective.gradient().norm().double_value(&[])), norms.last());
}

/// A checkpoint in memory.
#[derive(Default)]
struct Kept(RefCell<Option<(State, Tensors)>>);

impl CheckpointStore for Kept {
    fn load(&self) -> Result<Option<(State, Tensors)>> {
        Ok(self.0.borrow().clone())
    }

    fn save(&self, state: &State, weights: &Tensors) -> Result<()> {
        *self.0.borrow_mut() = Some((state.clone(), weights.clone()));
        Ok(())
    }
}

/// A fit of the residual network, stopped after so many epochs where that is asked for.
fn run(kept: &Kept, stop_after: Option<u64>) -> Result<(Measurements, Tensors)> {
    let (progress, stop) = (Progress::default(), AtomicBool::new(false));
    let none = |_: &_| bail!("no trial has any");
    let set = Own::images();
    let mut cx =
        Context::new(Device::Cpu, &progress, &stop, &none, Some(data(&set))).with_checkpoints(kept, Duration::ZERO);
    let weights = Weights::initial(&Residual.layout(), 3, "residual", Kind::Float, Device::Cpu);
    let mut splits = splits(&Residual, weights, cx.data()?);
    let record = how(OptimizerName::Adam, 0.01).run(&mut splits, 1, KEY, &mut cx, |_, epoch, _, _| {
        stop.store(Some(epoch) == stop_after, Ordering::Relaxed);
        Ok(ControlFlow::Continue(()))
    });
    Ok((record?, cx.into_weights()))
}

#[test]
fn buffers_are_saved_beside_theta_and_resumed() {
    let whole = run(&Kept::default(), None).unwrap();
    let buffers = Residual.layout().buffers;
    assert_eq!(buffers.len(), 4);
    for slot in &buffers {
        let [initial, end] = ["initial", "final"].map(|prefix| &whole.1[&format!("{prefix}.{}", slot.name)]);
        assert!(initial != end && end.shape == [4], "{} moves", slot.name);
    }
    for stop_after in [1, 2] {
        let kept = Kept::default();
        assert!(run(&kept, Some(stop_after)).unwrap_err().is::<Interrupted>());
        assert!(run(&kept, None).unwrap() == whole, "stopped after {stop_after}");
    }
}

#[test]
fn weights_come_from_a_file_by_its_digest() {
    let (_, saved) = run(&Kept::default(), None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let layout = Residual.layout();
    let read = |name: &str, tensors: &Tensors| {
        let (path, bytes) = (folder.path().join(name), encode(tensors, None).unwrap());
        std::fs::write(&path, &bytes).unwrap();
        let source = Source::File { path, sha256: sha256(&bytes) };
        // As a trial names it.
        let again: Source = serde_json::from_value(serde_json::to_value(&source).unwrap()).unwrap();
        assert_eq!(again, source);
        (with_context(&Own::images(), |cx| Ok(source.solution(&layout, cx).map_err(|error| error.to_string()))), source)
    };
    let ours = read("ours.safetensors", &saved).0.unwrap();
    assert_eq!((ours.theta.size(), ours.buffers.size()), (vec![301], vec![16]));
    // As PyTorch names them.
    let bare: Tensors = saved
        .iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix("final.")?.to_owned(), tensor.clone())))
        .collect();
    let (theirs, source) = read("theirs.safetensors", &bare);
    let theirs = theirs.unwrap();
    assert!(theirs.theta == ours.theta && theirs.buffers == ours.buffers);

    let mut lacking = bare.clone();
    lacking.remove("bn2.running_var");
    let error = read("lacking.safetensors", &lacking).0.unwrap_err();
    assert!(error.contains("bn2.running_var") && error.contains("lacking.safetensors"), "{error}");
    std::fs::write(folder.path().join("theirs.safetensors"), "changed").unwrap();
    let error = with_context(&Own::images(), |cx| Ok(source.solution(&layout, cx).unwrap_err().to_string()));
    assert!(error.contains("has changed since it was named"), "{error}");
}

/// Outputs of another shape than the data needs.
#[derive(Clone)]
struct Misfit(fn(&Tensor) -> Tensor);

impl Model for Misfit {
    fn layout(&self) -> Layout {
        Tanh.layout()
    }

    fn outputs(&self, slices: &[Tensor], buffers: &[Tensor], x: &Tensor, pass: Pass) -> Result<Tensor> {
        Ok(self.0(&Tanh.outputs(slices, buffers, x, pass)?))
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_says_so() {
    let values = Own::values();
    let said = |result: Result<()>| result.unwrap_err().to_string();
    // Broadcasting would make [16, 16] of these.
    let misfits: [fn(&Tensor) -> Tensor; 3] = [|all| all.select(1, 0), |all| all.narrow(1, 0, 1), |all| all.get(0)];
    for of in misfits {
        let mut objective = over(&Misfit(of), initial(&Tanh.layout()), &data(&values).train).unwrap();
        for error in [said(objective.loss_and_gradient().map(drop)), said(objective.evaluate().map(drop))] {
            assert!(error.contains("the data needs [16, 2]"), "{error}");
        }
        assert!(said(objective.hessian().unwrap().times(&vector(0, 32), &mut || Ok(())).map(drop)).contains("[16, 2]"));
    }
    // More logits than classes.
    let targets = data(&Own::images()).train.targets.narrow(0, 0, 16);
    let samples = Samples::new(data(&values).train.inputs().unwrap(), targets, Target::Classes(5));
    let mut objective = over(&Tanh, initial(&Tanh.layout()), &samples).unwrap();
    assert!(said(objective.evaluate().map(drop)).contains("outputs of shape [16, 2]; the data needs [16, 5]"));
    // Weights of another model.
    let other = Weights::from(vector(0, 31));
    assert!(said(over(&Tanh, other.share(), &samples).map(drop)).contains("[31]"));
    assert!(said(objective.move_to(&other)).contains("[31]"));
    // A model with running statistics trained in full batches.
    let mut objective = over(&Residual, initial(&Residual.layout()), &data(&Own::images()).train).unwrap();
    let error = with_context(&Own::images(), |cx| {
        let mut optimizer = OptimizerName::Adam.with_learning_rate(0.1);
        Ok(said(train(&mut *objective, &mut optimizer, 1, &Stopping::NEVER, cx, Watched::default()).map(drop)))
    });
    assert!(error.contains("mini-batches"), "{error}");
}

/// With other inputs.
fn with(samples: &mut Samples, inputs: impl Fn(&Tensor) -> Tensor) {
    *samples = Samples::new(inputs(&samples.inputs().unwrap()), samples.targets.shallow_clone(), samples.target);
}

/// Announces what it does not give.
struct Liar(Own, Lie);

type Lie = fn(&mut Samples);

impl Dataset for Liar {
    fn identity(&self) -> String {
        self.0.identity()
    }

    fn title(&self) -> &str {
        "lies"
    }

    fn signature(&self) -> Signature {
        self.0.signature()
    }

    fn sizes(&self) -> [usize; 2] {
        self.0.sizes()
    }

    fn load(&self, access: &Access) -> Result<[Samples; 2]> {
        let mut splits = self.0.load(access)?;
        self.1(&mut splits[1]);
        Ok(splits)
    }
}

#[test]
fn data_that_is_not_as_announced_is_refused() {
    let lies: [(Own, Lie, &str); 12] = [
        (
            Own::images(),
            |samples| with(samples, |inputs| inputs.flatten(1, -1)),
            "inputs of shape [10, 192], not [10, 3, 8, 8]",
        ),
        (Own::images(), |samples| samples.targets = samples.targets.narrow(0, 0, 9), "targets of shape [9]"),
        (Own::images(), |samples| samples.targets = &samples.targets + 1, "a label of 5, and 5 are named from 0"),
        (Own::images(), |samples| samples.targets = &samples.targets - 1, "a label of -1"),
        (Own::images(), |samples| samples.targets = samples.targets.to_kind(Kind::Float), "Classes(5)"),
        (Own::tokens(), |samples| with(samples, |inputs| inputs + 1), "a token of 11, and 11 are named from 0"),
        (Own::values(), |samples| samples.targets = samples.targets.select(1, 0), "targets of shape [6], not [6, 2]"),
        (Own::new(&[3], None, Target::Values(2), [16, 0]), |_| {}, "are none"),
        (Own::by_place(), |samples| samples.targets = samples.targets.select(1, 0), "of shape [8], not [8, 6]"),
        (
            Own::by_place(),
            |samples| samples.targets = &samples.targets + 1,
            "a label of 4, and 4 are named from 0; -100",
        ),
        (Own::by_place(), |samples| samples.targets = &samples.targets - 1, "a label of -1"),
        (Own::by_place(), |samples| samples.targets = samples.targets.to_kind(Kind::Float), "ClassesByPlace(4)"),
    ];
    // Places that have no class are as announced.
    let ignored = |samples: &mut Samples| drop(samples.targets.narrow(1, 0, 2).fill_(-100));
    Data::load(Arc::new(Liar(Own::by_place(), ignored)), &Access::default()).unwrap();
    for (own, lie, what) in lies {
        let error = Data::load(Arc::new(Liar(own, lie)), &Access::default()).err().unwrap();
        let error = format!("{error:#}");
        assert!(error.contains("the test samples of lies") && error.contains(what), "{error}");
    }
}

/// A loss that is none of a model: a bowl whose lowest point is at 3 in every direction.
struct Bowl {
    layout: Layout,
    weights: Weights,
    gradient: Tensor,
}

impl Objective for Bowl {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn samples(&self) -> i64 {
        1
    }

    fn gradient(&self) -> &Tensor {
        &self.gradient
    }

    fn loss_and_gradient(&mut self) -> Result<hw1::objective::Scalar> {
        let off = &self.weights.theta - 3.0;
        self.gradient = &off * 2.0;
        Ok(off.square().sum(Kind::Double).into())
    }
}

#[test]
fn an_objective_of_ones_own_is_trained_and_looked_at() {
    let mut layout = Layout::default();
    linear(&mut layout, "only", [3, 2]);
    let theta = Tensor::zeros([8], (Kind::Double, Device::Cpu));
    let mut bowl = Bowl { layout, gradient: theta.zeros_like(), weights: theta.into() };
    with_context(&Own::images(), |cx| {
        let fit = hw1::tasks::until_threshold::UntilThreshold {
            threshold: 1e-6,
            epochs: 1000,
            optimizer: OptimizerName::Sgd,
            learning_rate: 0.1,
        };
        let record = fit.run(&mut bowl, cx)?;
        assert_eq!(record.scalar("met_threshold")?, 1.0);
        assert!((bowl.theta() - 3.0).abs().max().double_value(&[]) < 1e-6);
        // Highest at the corners of the box: Σ (ε (3 + 1))².
        let sharp = Search { epsilon: 0.1, starts: 3, steps: 10 }.measure(&mut bowl, KEY, cx)?;
        let rise = 8.0 * 0.4f64.powi(2);
        assert!((sharp.scalar("sharpness")? / (100.0 * rise) - 1.0).abs() < 1e-5, "{sharp:?}");
        // What it declines is said.
        assert!(bowl.hessian().err().unwrap().to_string().contains("no products with its Hessian"));
        Ok(())
    });
}
