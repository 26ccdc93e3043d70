//! A program's graph, ready to run: each value has a place, each node its call and its arguments, and it is known after
//! which node a value is no longer needed. Reads what format.rs has; runs nothing.

use super::dispatch::Value;
use super::format::{self, Argument};
use super::operators::{self, Call, Own, Refused};
use super::origin::origin;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use tch::Kind;

/// A graph: from the values of its inputs to those of its outputs.
#[derive(Debug)]
pub struct Graph {
    /// How many values there are.
    pub places: usize,
    pub inputs: Vec<usize>,
    pub outputs: Vec<Arg>,
    pub nodes: Vec<Node>,
    /// Inputs that some node changes in place, itself or through a view.
    pub changed: BTreeSet<usize>,
}

#[derive(Debug)]
pub struct Node {
    pub call: Call,
    /// "aten.conv2d.default", for errors.
    pub target: String,
    pub arguments: Vec<(CString, Arg)>,
    pub outputs: Vec<Out>,
    /// Places whose values nobody needs afterwards.
    pub last: Vec<usize>,
    /// Where in the user's code it comes from; may be empty.
    pub origin: String,
}

/// An argument.
#[derive(Debug)]
pub enum Arg {
    Place(usize),
    /// Tensors; where an operator takes such, some are none.
    Places(Vec<Option<usize>>),
    /// Sizes, of which some are computed.
    Sizes(Vec<Size>),
    Plain(Plain),
    Kind(Kind),
    /// The one that the program runs on, whatever the file says.
    Device,
    Graph(Box<Graph>),
}

/// A value that stands in the file.
#[derive(Clone, Debug)]
pub enum Plain {
    None,
    Int(i64),
    Ints(Vec<i64>),
    Float(f64),
    Floats(Vec<f64>),
    Bool(bool),
    Bools(Vec<bool>),
    Text(String),
}

impl From<&Plain> for Value {
    fn from(plain: &Plain) -> Self {
        match plain.clone() {
            Plain::None => Self::None,
            Plain::Int(number) => Self::Int(number),
            Plain::Ints(numbers) => Self::Ints(numbers),
            Plain::Float(number) => Self::Float(number),
            Plain::Floats(numbers) => Self::Floats(numbers),
            Plain::Bool(is) => Self::Bool(is),
            Plain::Bools(are) => Self::Bools(are),
            Plain::Text(text) => Self::Text(text),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Size {
    Fixed(i64),
    Place(usize),
}

/// Where a result goes.
#[derive(Debug)]
pub enum Out {
    Place(usize),
    Places(Vec<usize>),
    Ignored,
}

/// How deep graphs may stand within graphs.
const MOST_DEPTH: usize = 8;

impl Graph {
    /// # Errors
    /// In a line: an operator that is unknown (all of them, by name and the line they come from), an argument that is not
    /// read, a value that nothing gives.
    pub fn new(graph: &format::Graph) -> Result<Self> {
        Self::within(graph, 0)
    }

    fn within(graph: &format::Graph, depth: usize) -> Result<Self> {
        ensure!(depth < MOST_DEPTH, "graphs within graphs, more than {MOST_DEPTH} deep");
        refuse_unknown(graph)?;
        let mut names = Names::default();
        let mut inputs = Vec::new();
        for input in &graph.inputs {
            // An input that is None, say, has no name and no use.
            inputs.push(names.define(input.name().unwrap_or("")));
        }
        let mut nodes: Vec<Node> = Vec::new();
        let mut roots = Roots::new(&inputs);
        for node in &graph.nodes {
            let made = of_node(node, &mut names, depth)
                .with_context(|| format!("{}{}", short(&node.target), at(&origin(&node.metadata))))?;
            roots.follow(&made);
            nodes.push(made);
        }
        let outputs: Vec<Arg> = graph.outputs.iter().map(|output| names.arg(output, depth)).collect::<Result<_>>()?;
        let places = names.places;
        let mut kept: BTreeSet<usize> = outputs.iter().flat_map(used).collect();
        for node in nodes.iter_mut().rev() {
            let all = node.arguments.iter().flat_map(|(_, arg)| used(arg)).chain(node.outputs.iter().flat_map(given));
            node.last = all.filter(|place| kept.insert(*place)).collect();
        }
        Ok(Self { places, inputs, outputs, nodes, changed: roots.changed })
    }

    /// Its operators by name, each with how often it stands here.
    pub fn count(&self, counts: &mut BTreeMap<String, usize>) {
        for node in &self.nodes {
            *counts.entry(node.target.clone()).or_default() += 1;
            for (_, arg) in &node.arguments {
                if let Arg::Graph(inner) = arg {
                    inner.count(counts);
                }
            }
        }
    }
}

/// " at net.py:3"; nothing of nothing.
pub fn at(origin: &str) -> String {
    if origin.is_empty() { String::new() } else { format!(" at {origin}") }
}

/// A target without what all have.
fn short(target: &str) -> String {
    let target = target.strip_prefix("torch.ops.").unwrap_or(target);
    target.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// All operators are known, or all that are not are named.
fn refuse_unknown(graph: &format::Graph) -> Result<()> {
    /// More are counted, not named.
    const MOST_NAMED: usize = 5;
    let mut refused: BTreeMap<String, (Refused, String)> = BTreeMap::new();
    for node in &graph.nodes {
        if let Err(why) = operators::call(&node.target) {
            refused.entry(short(&node.target)).or_insert_with(|| (why, origin(&node.metadata)));
        }
    }
    if refused.is_empty() {
        return Ok(());
    }
    let named = refused.iter().take(MOST_NAMED).map(|(name, (why, origin))| {
        let why = match why {
            Refused::Unknown => "",
            Refused::Random => " (draws random numbers)",
            Refused::NotAllowed => " (is not allowed)",
        };
        format!("{name}{why}{}", at(origin))
    });
    let named: Vec<String> = named.collect();
    let more = refused.len().saturating_sub(MOST_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let advice = if refused.values().all(|(why, _)| *why == Refused::Random) {
        "export the model in eval mode: model.eval()"
    } else {
        "write that part of the model by torch's own functions, and export it anew"
    };
    bail!("it has operators that hw1 does not run: {}{more}; {advice}", named.join("; "))
}

/// Names of values, each with its place.
#[derive(Default)]
struct Names {
    by_name: BTreeMap<String, usize>,
    places: usize,
}

impl Names {
    fn define(&mut self, name: &str) -> usize {
        let place = self.places;
        self.places += 1;
        self.by_name.insert(name.to_owned(), place);
        place
    }

    fn place(&self, name: Option<&str>) -> Result<usize> {
        let name = name.context("an argument without the name of its value")?;
        self.by_name.get(name).copied().with_context(|| format!("nothing gives the value {name:.60}"))
    }

    fn arg(&self, argument: &Argument, depth: usize) -> Result<Arg> {
        let Argument { what, value } = argument;
        let broken = || format!("an argument {what:.30} that is none");
        let list = || value.as_array().with_context(broken);
        Ok(match what.as_str() {
            "as_none" => Arg::Plain(Plain::None),
            "as_tensor" => Arg::Place(self.place(argument.name())?),
            "as_tensors" => {
                let place = |json: &Json| self.place(json.get("name").and_then(Json::as_str)).map(Some);
                Arg::Places(list()?.iter().map(place).collect::<Result<_>>()?)
            }
            "as_optional_tensors" => {
                Arg::Places(list()?.iter().map(|json| self.optional(json)).collect::<Result<_>>()?)
            }
            "as_optional_tensor" => match self.optional(value)? {
                Some(place) => Arg::Place(place),
                None => Arg::Plain(Plain::None),
            },
            "as_int" => Arg::Plain(Plain::Int(value.as_i64().with_context(broken)?)),
            "as_ints" => {
                let ints = list()?.iter().map(|json| json.as_i64().with_context(broken));
                Arg::Plain(Plain::Ints(ints.collect::<Result<_>>()?))
            }
            "as_float" => Arg::Plain(Plain::Float(float(value).with_context(broken)?)),
            "as_floats" => {
                let floats = list()?.iter().map(|json| float(json).with_context(broken));
                Arg::Plain(Plain::Floats(floats.collect::<Result<_>>()?))
            }
            "as_bool" => Arg::Plain(Plain::Bool(value.as_bool().with_context(broken)?)),
            "as_bools" => {
                let bools = list()?.iter().map(|json| json.as_bool().with_context(broken));
                Arg::Plain(Plain::Bools(bools.collect::<Result<_>>()?))
            }
            "as_string" => Arg::Plain(Plain::Text(value.as_str().with_context(broken)?.to_owned())),
            "as_sym_int" | "as_sym_float" | "as_sym_bool" => self.symbolic(value).with_context(broken)?,
            "as_sym_ints" => {
                let sizes = list()?.iter().map(|json| match self.symbolic(json)? {
                    Arg::Place(place) => Ok(Size::Place(place)),
                    Arg::Plain(Plain::Int(number)) => Ok(Size::Fixed(number)),
                    _ => bail!(broken()),
                });
                Arg::Sizes(sizes.collect::<Result<_>>()?)
            }
            "as_scalar_type" => Arg::Kind(format::kind(value.as_u64().with_context(broken)?)?),
            "as_memory_format" => {
                let number = value.as_u64().and_then(format::memory_format).with_context(broken)?;
                Arg::Plain(Plain::Int(number))
            }
            "as_layout" => {
                ensure!(value.as_u64() == Some(format::STRIDED), "tensors that are not strided (sparse ones, say)");
                Arg::Plain(Plain::Int(0))
            }
            "as_device" => Arg::Device,
            "as_graph" => {
                let graph = value.get("graph").with_context(broken)?;
                let graph: format::Graph = serde_json::from_value(graph.clone()).with_context(broken)?;
                Arg::Graph(Box::new(Graph::within(&graph, depth + 1)?))
            }
            other => bail!("an argument {other:.30}, which is not read"),
        })
    }

    fn optional(&self, json: &Json) -> Result<Option<usize>> {
        match json.get("as_tensor") {
            Some(tensor) => self.place(tensor.get("name").and_then(Json::as_str)).map(Some),
            None => Ok(None),
        }
    }

    /// `{"as_name": …}`, or a value that is known.
    fn symbolic(&self, json: &Json) -> Result<Arg> {
        if let Some(name) = json.get("as_name") {
            return Ok(Arg::Place(self.place(name.as_str())?));
        }
        let of = |key: &str| json.get(key);
        let known = of("as_int").and_then(Json::as_i64).map(Plain::Int);
        let known = known.or_else(|| of("as_float").and_then(float).map(Plain::Float));
        let known = known.or_else(|| of("as_bool").and_then(Json::as_bool).map(Plain::Bool));
        Ok(Arg::Plain(known.context("a size that is neither computed nor known")?))
    }

    fn out(&mut self, argument: &Argument) -> Result<Out> {
        Ok(match argument.what.as_str() {
            "as_tensor" | "as_sym_int" | "as_sym_float" | "as_sym_bool" => {
                Out::Place(self.define(argument.name().unwrap_or("")))
            }
            "as_tensors" => {
                let names = argument.value.as_array().context("results that are no list")?;
                let names = names.iter().map(|json| json.get("name").and_then(Json::as_str).unwrap_or(""));
                Out::Places(names.map(|name| self.define(name)).collect())
            }
            "as_optional_tensor" => match argument.value.get("as_tensor") {
                Some(tensor) => Out::Place(self.define(tensor.get("name").and_then(Json::as_str).unwrap_or(""))),
                None => Out::Ignored,
            },
            "as_none" | "as_int" | "as_float" | "as_bool" => Out::Ignored,
            other => bail!("a result {other:.30}, which is not read"),
        })
    }
}

/// JSON has no infinities: they are words.
fn float(json: &Json) -> Option<f64> {
    match json {
        Json::String(word) => match word.as_str() {
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            "NaN" => Some(f64::NAN),
            _ => None,
        },
        number => number.as_f64(),
    }
}

fn of_node(node: &format::Node, names: &mut Names, depth: usize) -> Result<Node> {
    let Ok(call) = operators::call(&node.target) else { bail!("it is not known") };
    let mut arguments = Vec::new();
    if !matches!(call, Call::Nothing) {
        for named in &node.inputs {
            let arg = names.arg(&named.arg, depth).with_context(|| format!("argument '{:.40}'", named.name))?;
            arguments.push((CString::new(argument_name(node, named)).context("a name with a 0 in it")?, arg));
        }
    }
    if let Call::Operator(operator, _) = &call {
        let is_known =
            |named: &&format::NamedArgument| operator.arguments().any(|known| known == argument_name(node, named));
        let unknown = node.inputs.iter().find(|named| !is_known(named));
        if let Some(named) = unknown {
            let known: Vec<&str> = operator.arguments().collect();
            bail!("argument '{:.40}' is unknown to libtorch: it has {}", named.name, known.join(", "));
        }
    }
    if matches!(call, Call::WithGrad | Call::Inner) {
        let graphs = arguments.iter().filter(|(_, arg)| matches!(arg, Arg::Graph(_))).count();
        ensure!(graphs == 1, "{graphs} graphs where one is expected");
    }
    let outputs = node.outputs.iter().map(|output| names.out(output)).collect::<Result<_>>()?;
    Ok(Node { call, target: short(&node.target), arguments, outputs, last: Vec::new(), origin: origin(&node.metadata) })
}

/// An argument by its name in the operator that is called: reshape in the place of view.
fn argument_name<'a>(node: &format::Node, named: &'a format::NamedArgument) -> &'a str {
    let is_view = node.target == "torch.ops.aten.view.default";
    if is_view && named.name == "size" { "shape" } else { &named.name }
}

/// The places that an argument needs.
fn used(arg: &Arg) -> Vec<usize> {
    match arg {
        Arg::Place(place) => vec![*place],
        Arg::Places(places) => places.iter().flatten().copied().collect(),
        Arg::Sizes(sizes) => {
            let place = |size: &Size| if let Size::Place(place) = size { Some(*place) } else { None };
            sizes.iter().filter_map(place).collect()
        }
        Arg::Plain(_) | Arg::Kind(_) | Arg::Device | Arg::Graph(_) => Vec::new(),
    }
}

fn given(out: &Out) -> Vec<usize> {
    match out {
        Out::Place(place) => vec![*place],
        Out::Places(places) => places.clone(),
        Out::Ignored => Vec::new(),
    }
}

/// Which values may share an input's memory.
struct Roots {
    /// Of a value the inputs.
    of: BTreeMap<usize, BTreeSet<usize>>,
    changed: BTreeSet<usize>,
}

impl Roots {
    fn new(inputs: &[usize]) -> Self {
        let of = inputs.iter().map(|&input| (input, BTreeSet::from([input]))).collect();
        Self { of, changed: BTreeSet::new() }
    }

    fn roots<'a>(&self, args: impl IntoIterator<Item = &'a Arg>) -> BTreeSet<usize> {
        let places = args.into_iter().flat_map(used);
        places.filter_map(|place| self.of.get(&place)).flatten().copied().collect()
    }

    fn follow(&mut self, node: &Node) {
        let shared = match &node.call {
            Call::Operator(operator, own) => {
                let (shared, changed) = operator.shared_and_changed();
                let named = |names: &[&str]| {
                    let is = |name: &CString| names.iter().any(|known| known.as_bytes() == name.as_bytes());
                    self.roots(node.arguments.iter().filter(|(name, _)| is(name)).map(|(_, arg)| arg))
                };
                let changed = if *own == Own::BatchNorm { BTreeSet::new() } else { named(&changed) };
                // Some give back what they were given without saying so.
                let silent = *own == Own::Deterministic || operator.schema.starts_with("aten::type_as(");
                let shared =
                    if silent { self.roots(node.arguments.iter().map(|(_, arg)| arg).take(1)) } else { named(&shared) };
                self.changed.extend(changed);
                shared
            }
            Call::WithGrad | Call::Inner => {
                let operands = node.arguments.iter().skip_while(|(_, arg)| !matches!(arg, Arg::Graph(_)));
                let operands: Vec<&Arg> = operands.map(|(_, arg)| arg).collect();
                let Some((Arg::Graph(graph), operands)) = operands.split_first() else { return };
                // What is changed within is changed here.
                for (place, operand) in graph.inputs.iter().zip(operands) {
                    if graph.changed.contains(place) {
                        let roots = self.roots([*operand]);
                        self.changed.extend(roots);
                    }
                }
                self.roots(operands.iter().copied())
            }
            _ => return,
        };
        for place in node.outputs.iter().flat_map(given) {
            self.of.insert(place, shared.clone());
        }
    }
}
