//! Operators, sizes and whole networks against PyTorch's goldens (tests/goldens/operators.py, networks.py).

use super::dispatch::Value;
use super::format::{self, InputSpec};
use super::graph::Graph;
use super::run::Run;
use super::*;
use serde::Deserialize;
use serde_json::Value as Json;

#[derive(Clone, Deserialize)]
pub struct Array {
    dtype: String,
    shape: Vec<i64>,
    data: Vec<Json>,
}

impl Array {
    pub fn tensor(&self) -> Tensor {
        let number = |json: &Json| match json {
            Json::Bool(is) => f64::from(u8::from(*is)),
            Json::String(word) => word.parse().unwrap(),
            number => number.as_f64().unwrap(),
        };
        let values: Vec<f64> = self.data.iter().map(number).collect();
        let kind = match self.dtype.as_str() {
            "float64" => Kind::Double,
            "float32" => Kind::Float,
            "int64" => Kind::Int64,
            "int32" => Kind::Int,
            "uint8" => Kind::Uint8,
            "int8" => Kind::Int8,
            "int16" => Kind::Int16,
            "bool" => Kind::Bool,
            "float16" => Kind::Half,
            "bfloat16" => Kind::BFloat16,
            other => panic!("{other}"),
        };
        Tensor::from_slice(&values).to_kind(kind).view(self.shape.as_slice())
    }
}

#[derive(Deserialize)]
struct Case {
    name: String,
    model: Json,
    #[serde(default)]
    constants: BTreeMap<String, Array>,
    inputs: Vec<Array>,
    outputs: Vec<Array>,
    #[serde(default)]
    gradients: Vec<Option<Array>>,
    #[serde(default)]
    second: Vec<Option<Array>>,
}

fn far(found: &Tensor, expected: &Tensor, tolerance: f64) -> Option<String> {
    if found.size() != expected.size() || found.kind() != expected.kind() {
        return Some(format!("{:?} {:?}, not {:?} {:?}", found.kind(), found.size(), expected.kind(), expected.size()));
    }
    if found.numel() == 0 {
        return None;
    }
    let [a, b] = [found, expected].map(|tensor| tensor.to_kind(Kind::Double).nan_to_num(-7e77, 8e88, -9e99));
    let error = ((&a - &b).abs() / (b.abs() + 1.0)).max().double_value(&[]);
    (error > tolerance).then(|| format!("an error of {error:e}"))
}

/// ∂root/∂inputs, 0 where there is none.
fn gradients(root: &Tensor, inputs: &[Tensor], again: bool) -> Result<Vec<Tensor>> {
    if !root.requires_grad() {
        return Ok(inputs.iter().map(Tensor::zeros_like).collect());
    }
    let found = Tensor::f_run_backward(&[root], inputs, true, again)?;
    Ok(found.into_iter().zip(inputs).map(|(g, x)| if g.defined() { g } else { x.zeros_like() }).collect())
}

/// Σ of each tensor times a function of its elements' numbers.
fn weighted(tensors: &[(usize, Tensor)], of: impl Fn(Tensor) -> Tensor) -> Tensor {
    let zero = Tensor::zeros([], (Kind::Double, Device::Cpu));
    tensors.iter().fold(zero, |sum, (k, tensor)| {
        let at = Tensor::arange(tensor.numel() as i64, (Kind::Double, Device::Cpu)) + *k as f64;
        sum + (tensor.reshape([-1]) * of(at)).sum(Kind::Double)
    })
}

impl Case {
    /// What is wrong, if anything.
    fn check(&self, pass: Pass) -> Result<()> {
        let model: format::Model = serde_json::from_value(self.model.clone())?;
        let graph = Graph::new(&model.graph_module.graph)?;
        // Constants are of float32 in the file, and of float64 in the oracle.
        let tolerance = if self.constants.is_empty() { 1e-9 } else { 1e-8 };
        let tensors: Vec<Tensor> = self.inputs.iter().map(Array::tensor).collect();
        let is_wanted = |at: usize| self.gradients.get(at).is_some_and(Option::is_some);
        let leaves: Vec<Tensor> =
            tensors.iter().enumerate().map(|(at, x)| x.set_requires_grad(is_wanted(at))).collect();
        let mut given = leaves.iter();
        let values = model.graph_module.signature.input_specs.iter().map(|spec| match spec {
            InputSpec::UserInput { .. } => Value::Tensor(given.next().unwrap().shallow_clone()),
            InputSpec::TensorConstant { tensor_constant_name: name, .. }
            | InputSpec::Buffer { buffer_name: name, .. } => {
                let constant = self.constants[name].tensor();
                let kind = if constant.kind() == Kind::Float { Kind::Double } else { constant.kind() };
                Value::Tensor(constant.to_kind(kind))
            }
            _ => panic!("{}", spec.name()),
        });
        let run = Run { pass, kind: Kind::Double, device: Device::Cpu, batch_statistics: false, recalibration: None };
        let values = values.collect();
        let found = tch::with_grad(|| run.graph(&graph, values, &mut |_| {}))?;
        let tensor =
            |value: &Value| if let Value::Tensor(tensor) = value { Some(tensor.shallow_clone()) } else { None };
        let found: Vec<Tensor> = found.iter().filter_map(tensor).collect();
        ensure!(found.len() == self.outputs.len(), "{} outputs", found.len());
        for (found, expected) in found.iter().zip(&self.outputs) {
            if let Some(error) = far(found, &expected.tensor(), tolerance) {
                bail!("an output: {error}");
            }
        }
        let inputs: Vec<Tensor> = leaves.iter().filter(|x| x.requires_grad()).map(Tensor::shallow_clone).collect();
        let expected: Vec<&Array> = self.gradients.iter().flatten().collect();
        if expected.is_empty() {
            return Ok(());
        }
        let real = found.into_iter().enumerate().filter(|(_, output)| output.kind() == Kind::Double);
        let real: Vec<(usize, Tensor)> = real.collect();
        let twice = pass == Pass::Curvature && self.second.iter().any(Option::is_some);
        let first = tch::with_grad(|| gradients(&weighted(&real, |at| at.cos()), &inputs, twice))?;
        ensure!(first.len() == expected.len(), "{} gradients", first.len());
        for (found, expected) in first.iter().zip(expected) {
            if let Some(error) = far(found, &expected.tensor(), tolerance) {
                bail!("a gradient: {error}");
            }
        }
        if !twice {
            return Ok(());
        }
        let places = (0..leaves.len()).filter(|at| is_wanted(*at));
        let first: Vec<(usize, Tensor)> = places.zip(first).collect();
        let second = tch::with_grad(|| gradients(&weighted(&first, |at| at.sin()), &inputs, false))?;
        for (found, expected) in second.iter().zip(self.second.iter().flatten()) {
            if let Some(error) = far(found, &expected.tensor(), tolerance) {
                bail!("a second derivative: {error}");
            }
        }
        Ok(())
    }
}

fn check_all(text: &str, least: usize) {
    tch::set_num_threads(1);
    let cases: Vec<Case> = serde_json::from_str(text).unwrap();
    assert!(cases.len() >= least, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        // Its batch's statistics are asked for.
        let of_batch = case.name == "batch_norm.running";
        for pass in if of_batch { vec![Pass::Train] } else { vec![Pass::Curvature, Pass::Evaluate] } {
            if let Err(error) = case.check(pass) {
                wrong.push(format!("{} {pass:?}: {}", case.name, crate::error::one_line(&error)));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn operators_are_pytorchs_with_their_derivatives() {
    check_all(include_str!("../../../tests/goldens/operators.json"), 400);
}

#[test]
fn sizes_are_computed_for_batches_that_were_not_traced() {
    check_all(include_str!("../../../tests/goldens/sizes.json"), 10);
}

/// A network's oracle, as tests/goldens/networks.py writes it.
#[derive(Deserialize)]
struct Network {
    x: Array,
    y: Array,
    #[serde(default)]
    parameters: BTreeMap<String, Json>,
    #[serde(default)]
    outputs: Option<Array>,
    #[serde(default)]
    loss: f64,
    #[serde(default)]
    gradient_norm: f64,
    #[serde(default)]
    curvature_along_gradient: f64,
    #[serde(default)]
    gradient: Vec<f64>,
    #[serde(default)]
    refused: Option<String>,
}

fn read(name: &str) -> (Result<Arc<Program>>, Network) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/networks");
    let bytes = |ending: &str| std::fs::read(folder.join(format!("{name}.{ending}"))).unwrap();
    (Program::read(&bytes("pt2")).map(Arc::new), serde_json::from_slice(&bytes("json")).unwrap())
}

#[test]
fn networks_have_pytorchs_outputs_gradients_and_curvature() {
    tch::set_num_threads(1);
    let names = [
        "bert",
        "bfloat16",
        "fixed",
        "frozen",
        "gpt2",
        "gru",
        "inplace",
        "kan",
        "llama",
        "lstm",
        "mobilenet",
        "no_grad",
        "opt",
        "resnet",
        "siren",
        "strided",
        "tied",
        "transformer_encoder",
        "unet",
        "masked",
        "no_grad_inplace",
    ];
    let mut wrong = Vec::new();
    for name in names {
        let (program, golden) = read(name);
        let found = program.and_then(|program| compare(&program, &golden));
        match found {
            Ok(error) if error < 1e-8 => {}
            Ok(error) => wrong.push(format!("{name}: {error:e}")),
            Err(error) => wrong.push(format!("{name}: {}", crate::error::one_line(&error))),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The largest relative error of all that an oracle gives.
fn compare(program: &Arc<Program>, golden: &Network) -> Result<f64> {
    let layout = program.layout();
    let shapes: BTreeMap<String, Json> =
        layout.slots.iter().map(|slot| (slot.name.clone(), serde_json::json!(slot.shape))).collect();
    ensure!(shapes == golden.parameters, "parameters {shapes:?}");
    let model = program.model(0, Kind::Double, Device::Cpu, false)?;
    let weights = program.weights(Kind::Double, Device::Cpu)?;
    let x = golden.x.tensor();
    let x = if x.is_floating_point() { x.to_kind(Kind::Double) } else { x };
    let (slices, buffers) = (layout.views(&weights.theta), layout.buffer_views(&weights.buffers));
    let leaves: Vec<Tensor> = slices.iter().map(|slice| slice.detach().set_requires_grad(true)).collect();
    let before = weights.each(Tensor::copy);
    let outputs = model.outputs(&leaves, &buffers, &x, Pass::Curvature)?;
    let expected = golden.outputs.as_ref().context("no outputs")?.tensor();
    let near = |a: &Tensor, b: &Tensor| ((a - b).norm() / b.norm()).double_value(&[]);
    let fused = model.outputs(&slices, &buffers, &x, Pass::Evaluate)?;
    let mut errors = vec![near(&outputs, &expected), near(&fused, &expected)];
    let classes = outputs.size()[outputs.dim() - 1];
    let log_p = outputs.reshape([-1, classes]).log_softmax(-1, Kind::Double);
    let loss = log_p.nll_loss(&golden.y.tensor().reshape([-1]));
    let gradient = gradients(&loss, &leaves, true)?;
    let flat = |tensors: &[Tensor]| {
        let flat: Vec<Tensor> = tensors.iter().map(|tensor| tensor.reshape([-1])).collect();
        Tensor::cat(&flat, 0)
    };
    let g = flat(&gradient).detach();
    let root = (flat(&gradient) * &g).sum(Kind::Double);
    let product = flat(&gradients(&root, &leaves, false)?);
    let squares = g.dot(&g);
    errors.push(near(&g, &Tensor::from_slice(&golden.gradient)));
    for (found, expected) in [
        (loss, golden.loss),
        (g.norm(), golden.gradient_norm),
        (product.dot(&g) / squares, golden.curvature_along_gradient),
    ] {
        errors.push((found.double_value(&[]) / expected - 1.0).abs());
    }
    ensure!(weights.theta == before.theta && weights.buffers == before.buffers, "the weights have changed");
    Ok(errors.into_iter().fold(0.0, f64::max))
}

#[test]
fn what_cannot_be_run_is_refused_by_name() {
    for (name, words) in [
        ("custom", "hw1_goldens.twice"),
        ("random", "aten.rand.default (draws random numbers); export the model in eval mode"),
        ("two_inputs", "it takes 2 inputs"),
    ] {
        let (program, golden) = read(name);
        let error = crate::error::one_line(&program.err().unwrap());
        assert!(error.contains(words) && golden.refused.is_some(), "{name}: {error}");
    }
}

#[test]
fn a_program_of_a_training_runs_as_an_evaluation() {
    let (program, golden) = read("train");
    let program = program.unwrap();
    let model = program.model(0, Kind::Float, Device::Cpu, false).unwrap();
    let weights = program.weights(Kind::Float, Device::Cpu).unwrap();
    let layout = program.layout();
    let slices = layout.views(&weights.theta);
    let run = |pass| model.outputs(&slices, &layout.buffer_views(&weights.buffers), &golden.x.tensor(), pass).unwrap();
    let (before, first) = (weights.buffers.copy(), run(Pass::Evaluate));
    // Nothing is dropped, nothing is updated.
    assert_eq!((run(Pass::Evaluate), run(Pass::Curvature)), (first.copy(), first.copy()));
    assert_eq!(weights.buffers, before);
    // Each input by itself: no statistics of the batch.
    let one = model.outputs(
        &slices,
        &layout.buffer_views(&weights.buffers),
        &golden.x.tensor().narrow(0, 3, 1),
        Pass::Evaluate,
    );
    assert!((one.unwrap() - first.narrow(0, 3, 1)).abs().max().double_value(&[]) < 1e-6);
    // Where it is asked for, by the batch's, and the running ones are updated in training alone.
    let by_batch = program.model(0, Kind::Float, Device::Cpu, true).unwrap();
    let others = by_batch.outputs(&slices, &layout.buffer_views(&weights.buffers), &golden.x.tensor(), Pass::Evaluate);
    assert_ne!(others.unwrap(), first);
    assert_eq!(weights.buffers, before);
    let _ = run(Pass::Train);
    assert_ne!(weights.buffers, before);
}

/// What PyTorch's update_bn leaves, by tests/goldens/recalibration.py.
#[test]
fn running_statistics_taken_anew_are_those_of_update_bn() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/goldens/recalibration.json")).unwrap();
    let mut checked = 0;
    for (name, by_size) in golden["update_bn"].as_object().unwrap() {
        let (program, own) = read(name);
        let program = program.unwrap();
        assert!(program.has_running_statistics());
        let (layout, x) = (program.layout(), own.x.tensor().to_kind(Kind::Double));
        // Neither the exported momentum nor what the statistics were before has a part in it.
        for batch_statistics in [false, true] {
            let model = program.model(0, Kind::Double, Device::Cpu, batch_statistics).unwrap();
            for (size, expected) in by_size.as_object().unwrap() {
                let weights = program.weights(Kind::Double, Device::Cpu).unwrap();
                let (slices, buffers) = (layout.views(&weights.theta), layout.buffer_views(&weights.buffers));
                let theta = weights.theta.copy();
                for (batch, number) in x.split(size.parse().unwrap(), 0).iter().zip(1..) {
                    model.recalibrate(&slices, &buffers, batch, 1.0 / f64::from(number)).unwrap();
                }
                assert_eq!(weights.theta, theta);
                for slot in &layout.buffers {
                    let numbers = expected["buffers"][&slot.name].as_array().unwrap();
                    let numbers: Vec<f64> = numbers.iter().map(|number| number.as_f64().unwrap()).collect();
                    let apart = slot.view(&weights.buffers).reshape([-1]) - Tensor::from_slice(&numbers);
                    assert!(apart.abs().max().double_value(&[]) < 1e-9, "{name} {size} {}", slot.name);
                    checked += 1;
                }
                if !batch_statistics {
                    let outputs = model.outputs(&slices, &buffers, &x, Pass::Evaluate).unwrap().reshape([-1]);
                    let numbers: Vec<f64> =
                        expected["outputs"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect();
                    let apart = (outputs - Tensor::from_slice(&numbers)).abs().max().double_value(&[]);
                    assert!(apart < 1e-8, "{name} {size}: {apart}");
                }
            }
        }
    }
    assert!(checked > 50, "{checked}");
    assert!(!read("fixed").0.unwrap().has_running_statistics());
}

#[test]
fn a_batch_of_any_size_runs_in_calls_of_a_fixed_one() {
    let (program, golden) = read("fixed");
    let program = program.unwrap();
    assert_eq!((program.input.fixed_batch(), program.input.to_string().as_str()), (Some(4), "[4, 6]"));
    let model = program.model(0, Kind::Double, Device::Cpu, false).unwrap();
    let weights = program.weights(Kind::Double, Device::Cpu).unwrap();
    let (slices, x) = (program.layout().views(&weights.theta), golden.x.tensor().to_kind(Kind::Double));
    let expected = golden.outputs.unwrap().tensor();
    for n in [1, 3, 4, 5, 8] {
        let outputs = model.outputs(&slices, &[], &x.narrow(0, 0, n), Pass::Evaluate).unwrap();
        assert!((outputs - expected.narrow(0, 0, n)).abs().max().double_value(&[]) < 1e-9, "{n}");
    }
    let error = model.outputs(&slices, &[], &x.narrow(1, 0, 5), Pass::Evaluate).unwrap_err().to_string();
    assert_eq!(error, "the model takes inputs [4, 6], and the data has [n, 5]");
}

/// A place in a JSON tree, drawn.
fn place<'a>(json: &'a mut Json, rng: &mut crate::rng::Rng) -> &'a mut Json {
    let inner = match json {
        Json::Array(list) => list.len(),
        Json::Object(map) => map.len(),
        _ => 0,
    };
    if inner == 0 || rng.below(8) == 0 {
        return json;
    }
    let at = rng.below(inner);
    match json {
        Json::Array(list) => place(&mut list[at], rng),
        Json::Object(map) => place(map.values_mut().nth(at).unwrap(), rng),
        _ => unreachable!(),
    }
}

/// Files that are almost programs: read or refused, without a panic. HW1_FUZZ says how many.
#[test]
fn almost_programs_are_read_or_refused() {
    let count = std::env::var("HW1_FUZZ").map_or(2000, |count| count.parse::<u64>().unwrap());
    let mut rng = crate::rng::Rng::keyed(count, "fuzz", crate::rng::Purpose::Split, 0);
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/networks");
    let whole: Vec<Vec<u8>> =
        ["kan", "tied", "strided"].map(|name| std::fs::read(folder.join(format!("{name}.pt2"))).unwrap()).into();
    let graphs: Vec<Json> = {
        let cases: Vec<Case> = serde_json::from_str(include_str!("../../../tests/goldens/operators.json")).unwrap();
        cases.into_iter().step_by(40).map(|case| case.model).collect()
    };
    let strange = [
        serde_json::json!(null),
        serde_json::json!(-1),
        serde_json::json!(i64::MAX),
        serde_json::json!(1e300),
        serde_json::json!(""),
        serde_json::json!("\u{0}x"),
        serde_json::json!([]),
        serde_json::json!({}),
        serde_json::json!({"as_name": "x"}),
        serde_json::json!([[1]]),
        serde_json::json!(true),
    ];
    let mut read = 0u64;
    for _ in 0..count {
        if rng.below(2) == 0 {
            let mut bytes = whole[rng.below(whole.len())].clone();
            for _ in 0..1 + rng.below(4) {
                let at = rng.below(bytes.len());
                match rng.below(4) {
                    0 => bytes[at] = rng.below(256) as u8,
                    1 => bytes[at] ^= 1 << rng.below(8),
                    2 => bytes.truncate(at + 1),
                    _ => bytes.extend_from_within(at..(at + 40).min(bytes.len())),
                }
            }
            // The directory at the end says where all is.
            let near_end = bytes.len().saturating_sub(1 + rng.below(600));
            bytes[near_end] = bytes[near_end].wrapping_add(rng.below(3) as u8);
            read += u64::from(Program::read(&bytes).is_ok());
        } else {
            let mut json = graphs[rng.below(graphs.len())].clone();
            for _ in 0..1 + rng.below(3) {
                *place(&mut json, &mut rng) = strange[rng.below(strange.len())].clone();
            }
            let text = json.to_string();
            read += u64::from(
                format::parse(text.as_bytes()).is_ok_and(|model| Graph::new(&model.graph_module.graph).is_ok()),
            );
        }
    }
    println!("{read} of {count} were read");
}
