//! Runs a graph: each node one call of libtorch, differentiable as often as the operators are. What depends on where and
//! for what it runs is decided here: devices, kinds of numbers, batch statistics, forms that have second derivatives.

use super::dispatch::{Operator, Value, number};
use super::graph::{Arg, Graph, Node, Out, Plain, Size, at};
use super::operators::{Call, DROPPING, Own, PLAIN_ATTENTION};
use crate::model::Pass;
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use std::ffi::CStr;
use tch::{Device, Kind, Tensor};

/// Where and for what a graph runs.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub pass: Pass,
    /// What float32 and what is narrower becomes: float32 or float64.
    pub kind: Kind,
    pub device: Device,
    /// BatchNorm normalises by the statistics of what it is given, not by the running ones.
    pub batch_statistics: bool,
    /// BatchNorm normalises by the batch, and moves its running statistics by this share of the way there.
    pub recalibration: Option<f64>,
}

impl Run {
    /// What a kind of the file is here.
    pub fn kind(&self, kind: Kind) -> Kind {
        match kind {
            Kind::Half | Kind::BFloat16 => self.kind,
            Kind::Float if self.kind == Kind::Double => Kind::Double,
            other => other,
        }
    }

    /// What a graph gives of the values of its inputs, in their order; `seen` is shown each tensor that a node gives.
    ///
    /// # Errors
    /// In a line: the node that went wrong, where it comes from in the user's code, and libtorch's words.
    pub fn graph(&self, graph: &Graph, inputs: Vec<Value>, seen: &mut dyn FnMut(&Tensor)) -> Result<Vec<Value>> {
        let mut own = Vec::with_capacity(inputs.len());
        for (place, value) in graph.inputs.iter().zip(inputs) {
            own.push(match value {
                // What is changed in place stays as it is for others.
                Value::Tensor(tensor) if graph.changed.contains(place) => {
                    Value::Tensor(tensor.f_to_dtype(tensor.f_kind()?, false, true)?)
                }
                other => other,
            });
        }
        self.body(graph, own, seen)
    }

    /// The same, whose inputs may be changed: of a graph within a graph they are the outer one's own.
    fn body(&self, graph: &Graph, inputs: Vec<Value>, seen: &mut dyn FnMut(&Tensor)) -> Result<Vec<Value>> {
        ensure!(inputs.len() == graph.inputs.len(), "{} inputs of {}", inputs.len(), graph.inputs.len());
        let mut values: Vec<Value> = (0..graph.places).map(|_| Value::None).collect();
        for (&place, value) in graph.inputs.iter().zip(inputs) {
            values[place] = value;
        }
        for node in &graph.nodes {
            let results = self.node(node, &values, seen).map_err(|error| self.blame(node, &values, error))?;
            for result in &results {
                match result {
                    Value::Tensor(tensor) => seen(tensor),
                    Value::Tensors(tensors) => tensors.iter().flatten().for_each(&mut *seen),
                    _ => {}
                }
            }
            put(node, results, &mut values)?;
            for &place in &node.last {
                values[place] = Value::None;
            }
        }
        graph.outputs.iter().map(|output| self.value(output, &values)).collect()
    }

    fn blame(&self, node: &Node, values: &[Value], error: anyhow::Error) -> anyhow::Error {
        let shapes: Vec<String> = node
            .arguments
            .iter()
            .filter_map(|(_, arg)| match arg {
                Arg::Place(place) => match &values[*place] {
                    Value::Tensor(tensor) => Some(format!("{:?}", tensor.size())),
                    _ => None,
                },
                _ => None,
            })
            .collect();
        let of = if shapes.is_empty() { String::new() } else { format!(" of {}", shapes.join(", ")) };
        anyhow!("{}{of}{}: {}", node.target, at(&node.origin), crate::error::one_line(&error))
    }

    fn node(&self, node: &Node, values: &[Value], seen: &mut dyn FnMut(&Tensor)) -> Result<Vec<Value>> {
        let first = || self.value(&node.arguments.first().context("no operand")?.1, values);
        Ok(match &node.call {
            Call::Nothing => Vec::new(),
            Call::Symbolic(symbolic) => {
                let operands = node.arguments.iter().map(|(_, arg)| self.value(arg, values));
                vec![symbolic.of(&operands.collect::<Result<Vec<_>>>()?)?]
            }
            Call::Size => {
                let Value::Tensor(tensor) = first()? else { bail!("a size of what is no tensor") };
                let sizes = tensor.size();
                let dim = match node.arguments.get(1).map(|(_, arg)| self.value(arg, values)).transpose()? {
                    Some(Value::Int(dim)) => {
                        if dim < 0 {
                            dim + sizes.len() as i64
                        } else {
                            dim
                        }
                    }
                    _ => bail!("a size along no dimension"),
                };
                let size = usize::try_from(dim).ok().and_then(|dim| sizes.get(dim));
                vec![Value::Int(*size.with_context(|| format!("dimension {dim} of a tensor of {sizes:?}"))?)]
            }
            Call::Elements => {
                let Value::Tensor(tensor) = first()? else { bail!("the size of what is no tensor") };
                vec![Value::Int(tensor.numel() as i64)]
            }
            Call::WithGrad => {
                let Value::Bool(wanted) = first()? else { bail!("no word of whether derivatives are wanted") };
                // Within a pass that wants none there are none.
                let _no_grad = (!wanted).then(tch::no_grad_guard);
                self.inner(node, values, 1, seen)?
            }
            Call::Inner => {
                let enabled = node.arguments.iter().find_map(|(_, arg)| match arg {
                    Arg::Plain(Plain::Bool(enabled)) => Some(*enabled),
                    _ => None,
                });
                ensure!(enabled == Some(false), "autocast: export the model without it, in float32");
                let graph = node.arguments.iter().position(|(_, arg)| matches!(arg, Arg::Graph(_)));
                self.inner(node, values, graph.context("no graph")?, seen)?
            }
            Call::Operator(operator, own) => self.operator(node, operator, *own, values)?,
        })
    }

    /// The graph that is argument `at`, of those behind it.
    fn inner(&self, node: &Node, values: &[Value], at: usize, seen: &mut dyn FnMut(&Tensor)) -> Result<Vec<Value>> {
        let Some((_, Arg::Graph(graph))) = node.arguments.get(at) else { bail!("no graph where one is expected") };
        let operands = node.arguments[at + 1..].iter().map(|(_, arg)| self.value(arg, values));
        let results = self.body(graph, operands.collect::<Result<_>>()?, seen)?;
        // As the node names them: one list, or one by one.
        if let [Out::Places(places)] = &node.outputs[..]
            && !matches!(&results[..], [Value::Tensors(_)])
        {
            ensure!(places.len() == results.len(), "{} results of {}", results.len(), places.len());
            let tensor = |value| if let Value::Tensor(tensor) = value { Some(tensor) } else { None };
            return Ok(vec![Value::Tensors(results.into_iter().map(tensor).collect())]);
        }
        Ok(results)
    }

    fn operator(&self, node: &Node, operator: &Operator, own: Own, values: &[Value]) -> Result<Vec<Value>> {
        let mut arguments: Vec<(&CStr, Value)> = Vec::with_capacity(node.arguments.len() + 1);
        for (name, arg) in &node.arguments {
            arguments.push((name.as_c_str(), self.value(arg, values)?));
        }
        match own {
            Own::Nothing => {}
            Own::Deterministic => {
                deterministic(&mut arguments);
                // cuDNN has derivatives of a recurrent network in training alone; nothing is dropped there.
                let is_recurrent =
                    ["aten::lstm", "aten::gru", "aten::rnn_"].iter().any(|of| operator.schema.starts_with(of));
                if is_recurrent && self.device != Device::Cpu {
                    for (_, value) in arguments.iter_mut().filter(|(name, _)| name.to_bytes() == b"train") {
                        *value = Value::Bool(true);
                    }
                }
            }
            Own::BatchNorm => self.batch_norm(&mut arguments),
            Own::Factory => self.factory(&mut arguments, false),
            Own::FactoryByValue => self.factory(&mut arguments, true),
            Own::Attention => {
                deterministic(&mut arguments);
                let is_elsewhere = self.device != Device::Cpu && operator.schema.contains("_for_cpu(");
                if self.pass == Pass::Curvature || is_elsewhere {
                    return plain_attention(arguments, node.outputs.len());
                }
            }
            // In float64 libtorch's own derivative is off by 1e-8: it takes a sixth in float32.
            Own::HardSigmoid if self.pass == Pass::Curvature || self.kind == Kind::Double => {
                return hard_sigmoid(arguments, operator);
            }
            Own::HardSigmoid => {}
        }
        let results = operator.call(&arguments)?;
        if self.kind == Kind::Double { in_float64(operator, arguments, results) } else { Ok(results) }
    }

    /// With the statistics that the pass normalises by.
    fn batch_norm(&self, arguments: &mut Vec<(&CStr, Value)>) {
        let has_running = arguments
            .iter()
            .any(|(name, value)| name.to_bytes() == b"running_mean" && matches!(value, Value::Tensor(_)));
        let is_of_instances = arguments.iter().any(|(name, _)| name.to_bytes() == b"use_input_stats");
        for (name, value) in arguments {
            match name.to_bytes() {
                b"training" | b"use_input_stats" => {
                    *value = Value::Bool(self.batch_statistics || self.pass == Pass::Train || !has_running)
                }
                b"momentum" | b"exponential_average_factor" if self.recalibration.is_some() && !is_of_instances => {
                    *value = Value::Float(self.recalibration.unwrap_or_default());
                }
                // Where they are not given, none are changed.
                b"running_mean" | b"running_var" if self.batch_statistics && self.recalibration.is_none() => {
                    *value = Value::None
                }
                _ => {}
            }
        }
    }

    /// With a kind where none is given and libtorch would take its default; of whole numbers alone, where the value
    /// decides, they stay whole.
    fn factory(&self, arguments: &mut Vec<(&CStr, Value)>, by_value: bool) {
        let given = |name: &[u8], arguments: &[(&CStr, Value)]| {
            arguments.iter().any(|(known, value)| known.to_bytes() == name && !matches!(value, Value::None))
        };
        let deciding = [&b"start"[..], b"end", b"step", b"fill_value"];
        let mut values = arguments.iter().filter(|(name, _)| deciding.contains(&name.to_bytes()));
        let is_whole = by_value && values.all(|(_, value)| matches!(value, Value::Int(_) | Value::Bool(_)));
        if !given(b"dtype", arguments) && !is_whole {
            arguments.retain(|(name, _)| name.to_bytes() != b"dtype");
            arguments.push((c"dtype", Value::Int(number(self.kind))));
        }
        if !given(b"device", arguments) {
            arguments.retain(|(name, _)| name.to_bytes() != b"device");
            arguments.push((c"device", Value::Device(self.device)));
        }
    }

    /// What an argument is now.
    fn value(&self, arg: &Arg, values: &[Value]) -> Result<Value> {
        Ok(match arg {
            Arg::Place(place) => values[*place].share(),
            Arg::Places(places) => {
                let tensor = |place: &Option<usize>| match place.map(|place| &values[place]) {
                    None | Some(Value::None) => Ok(None),
                    Some(Value::Tensor(tensor)) => Ok(Some(tensor.shallow_clone())),
                    Some(_) => bail!("a list of tensors with what is none"),
                };
                Value::Tensors(places.iter().map(tensor).collect::<Result<_>>()?)
            }
            Arg::Sizes(sizes) => {
                let whole = |size: &Size| match size {
                    Size::Fixed(number) => Ok(*number),
                    Size::Place(place) => match values[*place] {
                        Value::Int(number) => Ok(number),
                        _ => bail!("a size that is no whole number"),
                    },
                };
                Value::Ints(sizes.iter().map(whole).collect::<Result<_>>()?)
            }
            Arg::Plain(plain) => plain.into(),
            Arg::Kind(kind) => Value::Int(number(self.kind(*kind))),
            Arg::Device => Value::Device(self.device),
            Arg::Graph(_) => bail!("a graph where a value is expected"),
        })
    }
}

fn is_float(value: &Value) -> bool {
    matches!(value, Value::Tensor(tensor) if tensor.kind() == Kind::Float)
}

/// What libtorch computes in float32 though nothing it is given is: it takes that for what whole numbers become where
/// they are divided, say. In float64 then, of whole numbers in float64.
fn in_float64(operator: &Operator, arguments: Vec<(&CStr, Value)>, results: Vec<Value>) -> Result<Vec<Value>> {
    if !results.iter().any(is_float) || arguments.iter().any(|(_, value)| is_float(value)) {
        return Ok(results);
    }
    let mut doubled = Vec::with_capacity(arguments.len());
    for (name, value) in arguments {
        doubled.push((
            name,
            match value {
                Value::Tensor(tensor)
                    if matches!(tensor.kind(), Kind::Int64 | Kind::Int | Kind::Int16 | Kind::Int8 | Kind::Uint8) =>
                {
                    Value::Tensor(tensor.f_to_kind(Kind::Double)?)
                }
                other => other,
            },
        ));
    }
    // What can be done with whole numbers alone stays as it was.
    let results = operator.call(&doubled).unwrap_or(results);
    let double = |value: Value| match value {
        Value::Tensor(tensor) if tensor.kind() == Kind::Float => Ok(Value::Tensor(tensor.f_to_kind(Kind::Double)?)),
        other => Ok(other),
    };
    results.into_iter().map(double).collect()
}

/// Puts results where the node says.
fn put(node: &Node, results: Vec<Value>, values: &mut [Value]) -> Result<()> {
    if matches!(node.call, Call::Nothing) {
        return Ok(());
    }
    let mut results = results.into_iter();
    for out in &node.outputs {
        match (out, results.next().unwrap_or(Value::None)) {
            (Out::Ignored, _) => {}
            (Out::Place(place), value) => values[*place] = value,
            (Out::Places(places), Value::Tensors(tensors)) => {
                ensure!(
                    places.len() == tensors.len(),
                    "{} gives {} tensors, and the graph has names for {}: the sizes differ from those of the export",
                    node.target,
                    tensors.len(),
                    places.len()
                );
                for (&place, tensor) in places.iter().zip(tensors) {
                    values[place] = tensor.map_or(Value::None, Value::Tensor);
                }
            }
            (Out::Places(_), _) => bail!("{} gives no list of tensors", node.target),
        }
    }
    Ok(())
}

/// Nothing is dropped.
fn deterministic(arguments: &mut [(&CStr, Value)]) {
    for (name, value) in arguments {
        if matches!(name.to_bytes(), b"train" | b"training") {
            *value = Value::Bool(false);
        }
        if let Some((_, never)) = DROPPING.iter().find(|(dropping, _)| dropping == name) {
            *value = Value::Float(*never);
        }
    }
}

/// By softmax(QKᵀ·scale + mask)·V, which can be differentiated twice.
fn plain_attention(mut arguments: Vec<(&CStr, Value)>, results: usize) -> Result<Vec<Value>> {
    let plain = Operator::find(PLAIN_ATTENTION, "");
    arguments.retain(|(name, _)| name.to_bytes() != b"return_debug_mask");
    let kind = arguments
        .iter()
        .find_map(|(_, value)| if let Value::Tensor(query) = value { query.f_kind().ok() } else { None });
    for (name, value) in &mut arguments {
        // What may be seen, as what is added: the formula itself would take a yes for a 1.
        if name.to_bytes() == b"attn_mask"
            && let Value::Tensor(mask) = value
            && mask.f_kind()? == Kind::Bool
        {
            let zeros = Tensor::f_zeros(mask.size(), (kind.context("attention without a query")?, mask.device()))?;
            *value = Value::Tensor(zeros.f_masked_fill(&mask.f_logical_not()?, f64::NEG_INFINITY)?);
        }
    }
    let mut found = plain.context("this libtorch has no plain attention")?.call(&arguments)?;
    // The others are of the fused form alone.
    found.truncate(1);
    found.extend((1..results).map(|_| Value::None));
    Ok(found)
}

fn hard_sigmoid(arguments: Vec<(&CStr, Value)>, operator: &Operator) -> Result<Vec<Value>> {
    let Some((_, Value::Tensor(x))) = arguments.into_iter().next() else { bail!("no tensor") };
    let found = x.f_add_scalar(3.0)?.f_clamp(0.0, 6.0)?.f_div_scalar(6.0)?;
    let is_in_place = operator.schema.starts_with("aten::hardsigmoid_(");
    Ok(vec![Value::Tensor(if is_in_place { x.shallow_clone().f_copy_(&found).map(|()| x)? } else { found })])
}
