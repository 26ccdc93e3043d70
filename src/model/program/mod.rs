//! Programs: the networks of others, as torch.export writes them (`.pt2`), read once and run over libtorch.
//!
//! A [`Program`] is what a file says; a [`ProgramModel`] runs it in a kind of numbers, on a device. θ is the file's
//! parameters in their order, tied ones once; buffers that training changes stand beside it; what is fixed (constants,
//! whole numbers, buffers that are no part of the state) is the program's own.

mod archive;
mod dispatch;
mod format;
mod graph;
mod operators;
mod origin;
mod run;
mod symbolic;
#[cfg(test)]
mod tests;

pub use archive::convert;

use super::{Initial, Layout, Model, Pass, Weights};
use anyhow::{Context as _, Result, bail, ensure};
use archive::{Archive, Stored};
use dispatch::Value;
use format::{Extent, InputSpec};
use graph::Graph;
use run::Run;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tch::{Device, Kind, Tensor};

/// A network that PyTorch exported.
pub struct Program {
    graph: Graph,
    layout: Layout,
    /// What each input of the graph is.
    feeds: Vec<Feed>,
    /// Numbers that no weights file changes, in the file's kinds.
    fixed: Mutex<Vec<Tensor>>,
    /// The numbers of θ's slices and of the buffers, likewise.
    saved: Mutex<[Vec<Tensor>; 2]>,
    /// Other names of slices: tied weights.
    pub tied: BTreeMap<String, String>,
    /// Names that a state of the model has beside the layout's, each with its place in `fixed`: buffers of whole numbers.
    others: BTreeMap<String, usize>,
    pub input: Input,
    /// Which of the graph's outputs are the model's, by their places there.
    outputs: Vec<usize>,
    /// "2.11.0".
    pub torch_version: String,
}

#[derive(Clone, Copy, Debug)]
enum Feed {
    Slice(usize),
    Buffer(usize),
    Fixed(usize),
    Input,
    /// Nothing: a constant that the graph does not use.
    Nothing,
}

/// What a program takes.
#[derive(Clone, Debug)]
pub struct Input {
    pub kind: Kind,
    /// Of an input without its batch: fixed sizes, or any.
    pub sizes: Vec<Option<i64>>,
    /// How many inputs a call may take.
    pub batch: [i64; 2],
}

impl Input {
    /// Whether it takes tokens: whole numbers.
    pub fn is_of_tokens(&self) -> bool {
        matches!(self.kind, Kind::Int64 | Kind::Int)
    }

    /// How many inputs each call takes, where it takes no other number.
    pub fn fixed_batch(&self) -> Option<i64> {
        let [least, most] = self.batch;
        (least == most).then_some(least)
    }
}

/// "[n, 3, 32, 32]".
impl std::fmt::Display for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let batch = self.fixed_batch().map_or("n".to_owned(), |batch| batch.to_string());
        let sizes = self.sizes.iter().map(|size| size.map_or("any".to_owned(), |size| size.to_string()));
        let all: Vec<String> = std::iter::once(batch).chain(sizes).collect();
        write!(f, "[{}]", all.join(", "))
    }
}

impl Program {
    /// Of the bytes of a .pt2 file.
    ///
    /// # Errors
    /// In a line: what is wrong with the file, or which operators are not known.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let archive = Archive::open(bytes)?;
        let module = &archive.model.graph_module;
        let graph = Graph::new(&module.graph)?;
        let mut parts = Parts { left: bytes.len() as u64 + BEYOND_FILE, ..Parts::default() };
        let mut feeds = Vec::new();
        let mut inputs = Vec::new();
        let names = module.graph.inputs.iter().map(|input| input.name().unwrap_or(""));
        for (spec, name) in module.signature.input_specs.iter().zip(names) {
            ensure!(
                spec.name() == name,
                "its signature and its graph name different inputs: {:.60} and {name:.60}",
                spec.name()
            );
            feeds.push(match spec {
                InputSpec::Parameter { parameter_name: name, .. } => parts.parameter(name, archive.weight(name)?)?,
                InputSpec::Buffer { buffer_name: name, persistent, .. } => {
                    parts.buffer(name, archive.weight(name)?, *persistent)?
                }
                InputSpec::TensorConstant { tensor_constant_name: name, .. } => parts.fix(archive.weight(name)?)?,
                InputSpec::UserInput { arg } if arg.what == "as_tensor" => {
                    inputs.push(arg.name().unwrap_or("").to_owned());
                    Feed::Input
                }
                InputSpec::UserInput { arg } if arg.what == "as_none" => Feed::Nothing,
                InputSpec::UserInput { arg } => bail!("it takes an input that is no tensor ({}): wrap the model in one that takes its inputs alone", arg.what),
                InputSpec::ConstantInput { .. } | InputSpec::Token { .. } => Feed::Nothing,
                InputSpec::CustomObj { custom_obj_name, .. } => {
                    bail!("it holds an object of a class of its own ({custom_obj_name:.60}), which only its own code can run")
                }
            });
        }
        let (signed, there) = (module.signature.input_specs.len(), graph.inputs.len());
        ensure!(signed == there, "its signature has {signed} inputs and its graph {there}");
        let [input] = &inputs[..] else {
            bail!(
                "it takes {} inputs ({}), and hw1 gives one: wrap the model in a module whose forward takes one tensor",
                inputs.len(),
                inputs.join(", ")
            )
        };
        let input = self::input(&archive, input)?;
        let specs = &module.signature.output_specs;
        let outputs: Vec<usize> = specs
            .iter()
            .enumerate()
            .filter(|(_, spec)| {
                spec.what == "user_output" && spec.value.get("arg").is_some_and(|arg| arg.get("as_tensor").is_some())
            })
            .map(|(at, _)| at)
            .collect();
        ensure!(!outputs.is_empty(), "none of its outputs is a tensor");
        ensure!(
            graph.outputs.len() == specs.len(),
            "its signature has {} outputs and its graph {}",
            specs.len(),
            graph.outputs.len()
        );
        ensure!(
            parts.layout.parameters() > 0,
            "it has no parameters that require gradients: nothing can be derived by them"
        );
        let Parts { layout, slices, buffers, fixed, tied, others, .. } = parts;
        let torch_version = archive.model.torch_version.chars().filter(|c| c.is_ascii_graphic()).take(20).collect();
        let (fixed, saved) = (Mutex::new(fixed), Mutex::new([slices, buffers]));
        Ok(Self { graph, layout, feeds, fixed, saved, tied, others, input, outputs, torch_version })
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How many of its results are tensors.
    pub fn outputs(&self) -> usize {
        self.outputs.len()
    }

    /// Its operators by name, each with how often it stands there.
    pub fn operators(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        self.graph.count(&mut counts);
        counts
    }

    /// Whether it normalises by running statistics among its buffers, which can be taken anew.
    pub fn has_running_statistics(&self) -> bool {
        // Those that change the buffers which they are given.
        const IN_PLACE: [&str; 3] = ["aten.batch_norm.", "aten.native_batch_norm.", "aten.cudnn_batch_norm."];
        let is_such = |name: &String| IN_PLACE.iter().any(|of| name.starts_with(of));
        self.layout.buffer_numbers() > 0 && self.operators().keys().any(is_such)
    }

    /// Float64 where the file has weights of that, else float32.
    pub fn precision(&self) -> Kind {
        let saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        if saved[0].iter().any(|slice| slice.kind() == Kind::Double) { Kind::Double } else { Kind::Float }
    }

    /// The weights that the file has.
    ///
    /// # Errors
    /// libtorch's.
    pub fn weights(&self, kind: Kind, device: Device) -> Result<Weights> {
        let saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let flat = |tensors: &[Tensor]| -> Result<Tensor> {
            // One copy, filled slice by slice: a network may be large.
            let total = tensors.iter().map(|tensor| tensor.numel() as i64).sum::<i64>();
            let flat = Tensor::f_empty([total], (kind, device))?;
            let mut start = 0;
            for tensor in tensors {
                let length = tensor.numel() as i64;
                flat.f_narrow(0, start, length)?.f_copy_(&tensor.f_reshape([-1])?)?;
                start += length;
            }
            Ok(flat)
        };
        let [slices, buffers] = &*saved;
        Ok(Weights { theta: flat(slices)?, buffers: flat(buffers)? })
    }

    /// Whether a state may have a tensor of this name beside the layout's, with these numbers: the file's own.
    pub fn has_fixed(&self, name: &str, numbers: &Tensor) -> Option<bool> {
        let place = self.others.get(name)?;
        // How many batches a training saw, which no evaluation looks at.
        let is_counter = name.ends_with("num_batches_tracked");
        let fixed = self.fixed.lock().unwrap_or_else(PoisonError::into_inner);
        let own = fixed.get(*place)?;
        let is_same = || own.size() == numbers.size() && own.to_kind(Kind::Double) == numbers.to_kind(Kind::Double);
        Some(is_counter || is_same())
    }

    /// To be run with numbers of this kind, float32 or float64, on a device.
    ///
    /// # Errors
    /// libtorch's, and an output that the program does not have.
    pub fn model(
        self: &Arc<Self>,
        output: usize,
        kind: Kind,
        device: Device,
        batch_statistics: bool,
    ) -> Result<ProgramModel> {
        let place = self.outputs.get(output).copied();
        let place = place
            .with_context(|| format!("output {output} of a model of {} outputs, counted from 0", self.outputs.len()))?;
        let run = Run { pass: Pass::Evaluate, kind, device, batch_statistics, recalibration: None };
        let fixed = self.fixed.lock().unwrap_or_else(PoisonError::into_inner);
        let there = fixed.iter().map(|tensor| Ok(tensor.f_to_kind(run.kind(tensor.f_kind()?))?.f_to_device(device)?));
        let fixed = there.collect::<Result<_>>()?;
        Ok(ProgramModel { program: self.clone(), output: place, run, fixed: Arc::new(Mutex::new(fixed)) })
    }
}

/// A larger least batch is a slip.
const MOST_BATCH: i64 = 1 << 16;

/// The one input: its kind and sizes, and how many there may be at a time.
fn input(archive: &Archive, name: &str) -> Result<Input> {
    let graph = &archive.model.graph_module.graph;
    let meta = graph.tensor_values.get(name).context("nothing is said of its input")?;
    let extents = meta.extents();
    let Some((batch, sizes)) = extents.split_first() else { bail!("its input is a number without a batch") };
    let kind = format::kind(meta.dtype)?;
    let is_read = matches!(kind, Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16 | Kind::Int64 | Kind::Int);
    ensure!(
        is_read,
        "it takes inputs of kind {kind:?}, and hw1 gives float32 or int64 (tokens): wrap the model in one that converts them"
    );
    let batch = match batch {
        Extent::Fixed(batch) => [*batch, *batch],
        Extent::Symbol(name) => {
            let range = archive.model.range_constraints.get(name).copied().unwrap_or_default();
            [range.min_val.unwrap_or(1).max(1), range.max_val.unwrap_or(i64::MAX)]
        }
    };
    ensure!(
        (1..=MOST_BATCH).contains(&batch[0]) && batch[0] <= batch[1],
        "it takes batches of {} to {}",
        batch[0],
        batch[1]
    );
    let is_size = |extent: &Extent| !matches!(extent, Extent::Fixed(size) if *size < 1);
    ensure!(sizes.iter().all(is_size), "it takes inputs without numbers");
    let sizes = sizes.iter().map(|extent| if let Extent::Fixed(size) = extent { Some(*size) } else { None }).collect();
    Ok(Input { kind, sizes, batch })
}

/// Tensors may take so many bytes more than the file: some are expanded.
const BEYOND_FILE: u64 = 64 << 20;

/// What is read of a file, part by part.
#[derive(Default)]
struct Parts<'a> {
    /// Bytes that further tensors may take.
    left: u64,
    layout: Layout,
    slices: Vec<Tensor>,
    buffers: Vec<Tensor>,
    fixed: Vec<Tensor>,
    tied: BTreeMap<String, String>,
    others: BTreeMap<String, usize>,
    /// Weights so far, where they are in the file: of tied ones the first.
    seen: Vec<(String, Stored<'a>, Feed)>,
}

impl<'a> Parts<'a> {
    /// A copy of the numbers, as long as all copies are not much more than the file.
    fn tensor(&mut self, stored: &Stored) -> Result<Tensor> {
        let left = self.left.checked_sub(stored.bytes()?);
        self.left = left.context("its tensors are views of the same numbers, many times more than the file has")?;
        stored.tensor()
    }

    fn parameter(&mut self, name: &str, stored: Stored<'a>) -> Result<Feed> {
        if let Some((first, _, feed)) = self.seen.iter().find(|(_, seen, _)| seen.is_same(&stored)) {
            self.tied.insert(name.to_owned(), first.clone());
            return Ok(*feed);
        }
        if let Some((other, ..)) = self.seen.iter().find(|(_, seen, _)| seen.overlaps(&stored)) {
            bail!(
                "its parameters {other:.80} and {name:.80} are different views of the same numbers, which are not read"
            );
        }
        let is_real = matches!(stored.kind, Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16);
        let feed = match (stored.requires_grad, is_real) {
            (true, true) => {
                self.layout.push(name, &stored.sizes, Initial::Constant(0.0));
                let tensor = self.tensor(&stored)?;
                self.slices.push(tensor);
                Feed::Slice(self.slices.len() - 1)
            }
            // Frozen: it is no direction that a training could take.
            (false, true) => {
                self.layout.push_buffer(name, &stored.sizes, 0.0);
                let tensor = self.tensor(&stored)?;
                self.buffers.push(tensor);
                Feed::Buffer(self.buffers.len() - 1)
            }
            (_, false) => {
                self.others.insert(name.to_owned(), self.fixed.len());
                return self.fix(stored);
            }
        };
        self.seen.push((name.to_owned(), stored, feed));
        Ok(feed)
    }

    fn buffer(&mut self, name: &str, stored: Stored<'a>, persistent: bool) -> Result<Feed> {
        // A buffer that is a parameter, too, is differentiated with it.
        if let Some((first, _, feed)) = self.seen.iter().find(|(_, seen, _)| seen.is_same(&stored)) {
            self.tied.insert(name.to_owned(), first.clone());
            return Ok(*feed);
        }
        if let Some((other, ..)) = self.seen.iter().find(|(_, seen, _)| seen.overlaps(&stored)) {
            bail!(
                "its parameter {other:.80} and its buffer {name:.80} share numbers, which is not read: export copies"
            );
        }
        let is_real = matches!(stored.kind, Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16);
        if persistent && is_real {
            self.layout.push_buffer(name, &stored.sizes, 0.0);
            let tensor = self.tensor(&stored)?;
            self.buffers.push(tensor);
            return Ok(Feed::Buffer(self.buffers.len() - 1));
        }
        if persistent {
            self.others.insert(name.to_owned(), self.fixed.len());
        }
        self.fix(stored)
    }

    fn fix(&mut self, stored: Stored<'a>) -> Result<Feed> {
        let tensor = self.tensor(&stored)?;
        self.fixed.push(tensor);
        Ok(Feed::Fixed(self.fixed.len() - 1))
    }
}

/// A program that runs with numbers of a kind on a device.
#[derive(Clone)]
pub struct ProgramModel {
    program: Arc<Program>,
    /// Which of the graph's outputs is the model's.
    output: usize,
    run: Run,
    /// The program's fixed numbers, there and of that kind.
    fixed: Arc<Mutex<Vec<Tensor>>>,
}

impl ProgramModel {
    /// One call of the graph; `seen` is shown each result in it.
    fn call(
        &self,
        slices: &[Tensor],
        buffers: &[Tensor],
        x: &Tensor,
        pass: Pass,
        seen: &mut dyn FnMut(&Tensor),
    ) -> Result<Tensor> {
        self.called([slices, buffers], x, Run { pass, ..self.run }, seen)
    }

    fn called(
        &self,
        [slices, buffers]: [&[Tensor]; 2],
        x: &Tensor,
        run: Run,
        seen: &mut dyn FnMut(&Tensor),
    ) -> Result<Tensor> {
        let Program { graph, feeds, .. } = &*self.program;
        let fixed: Vec<Tensor> = {
            let fixed = self.fixed.lock().unwrap_or_else(PoisonError::into_inner);
            fixed.iter().map(Tensor::shallow_clone).collect()
        };
        let value = |feed: &Feed| {
            let (of, at) = match feed {
                Feed::Slice(at) => (slices, at),
                Feed::Buffer(at) => (buffers, at),
                Feed::Fixed(at) => (&fixed[..], at),
                Feed::Input => return Ok(Value::Tensor(x.shallow_clone())),
                Feed::Nothing => return Ok(Value::None),
            };
            of.get(*at).map(|tensor| Value::Tensor(tensor.shallow_clone())).context("weights of another model")
        };
        let inputs = feeds.iter().map(value).collect::<Result<Vec<_>>>()?;
        match run.graph(graph, inputs, seen)?.into_iter().nth(self.output) {
            Some(Value::Tensor(outputs)) => Ok(outputs),
            _ => bail!("the program gives no tensor"),
        }
    }

    /// Outputs, one for each input.
    fn of_each(&self, outputs: Tensor, x: &Tensor) -> Result<Tensor> {
        let (found, n) = (outputs.size(), x.size()[0]);
        ensure!(
            found.first() == Some(&n),
            "the model gives outputs of shape {found:?} for {n} inputs: the first dimension is to be the batch"
        );
        Ok(outputs)
    }

    /// How many bytes all results of one input are together, which is about what a pass forward keeps of it for the way
    /// back.
    ///
    /// # Errors
    /// Those of [`Model::outputs`].
    pub fn bytes_of_sample(&self, weights: &Weights, x: &Tensor) -> Result<u64> {
        let _no_grad = tch::no_grad_guard();
        let layout = &self.program.layout;
        let (slices, buffers) = (layout.views(&weights.theta), layout.buffer_views(&weights.buffers));
        let [least, _] = self.program.input.batch;
        let x = self.given(&x.f_narrow(0, 0, 1)?)?.f_repeat_interleave_self_int(least, 0, None)?;
        let mut bytes = 0;
        let mut seen = |result: &Tensor| bytes += (result.numel() * result.kind().elt_size_in_bytes()) as u64;
        let _ = self.call(&slices, &buffers, &x, Pass::Curvature, &mut seen)?;
        Ok(bytes / least.unsigned_abs())
    }

    /// Inputs as the program takes them: of its kind, and of its shape where they have as many numbers.
    fn given(&self, x: &Tensor) -> Result<Tensor> {
        let Input { kind, sizes, .. } = &self.program.input;
        let found = x.size();
        let fits = found.len() == sizes.len() + 1
            && sizes.iter().zip(&found[1..]).all(|(size, found)| size.is_none_or(|size| size == *found));
        let x = if fits {
            x.shallow_clone()
        } else {
            let fixed: Option<Vec<i64>> = sizes.iter().copied().collect();
            let product = |sizes: &[i64]| sizes.iter().try_fold(1i64, |product, size| product.checked_mul(*size));
            let fixed = fixed.filter(|fixed| product(fixed) == product(&found[1..]));
            let sizes = fixed.with_context(|| {
                let found: Vec<String> = found[1..].iter().map(i64::to_string).collect();
                format!("the model takes inputs {}, and the data has [n, {}]", self.program.input, found.join(", "))
            })?;
            x.f_reshape([&[-1], &sizes[..]].concat())?
        };
        Ok(x.f_to_kind(self.run.kind(*kind))?)
    }
}

impl Model for ProgramModel {
    fn layout(&self) -> Layout {
        self.program.layout.clone()
    }

    /// In calls of as many inputs as the program takes; where there are fewer, the last one is repeated and its copies'
    /// outputs are left out.
    fn outputs(&self, slices: &[Tensor], buffers: &[Tensor], x: &Tensor, pass: Pass) -> Result<Tensor> {
        let x = self.given(x)?;
        let [least, most] = self.program.input.batch;
        let n = x.size()[0];
        if (least..=most).contains(&n) {
            return self.of_each(self.call(slices, buffers, &x, pass, &mut |_| {})?, &x);
        }
        ensure!(
            !self.run.batch_statistics,
            "blocks of {n} samples, and the program takes {least} to {most}: with batch statistics choose --set block_size so \
             that each block, the last one too, is of as many"
        );
        let mut all = Vec::new();
        for (start, size) in crate::data::blocks(n, most) {
            let mut block = x.f_narrow(0, start, size)?;
            if size < least {
                let copies = block.f_narrow(0, size - 1, 1)?.f_repeat_interleave_self_int(least - size, 0, None)?;
                block = Tensor::f_cat(&[block, copies], 0)?;
            }
            all.push(
                self.of_each(self.call(slices, buffers, &block, pass, &mut |_| {})?, &block)?.f_narrow(0, 0, size)?,
            );
        }
        Ok(Tensor::f_cat(&all, 0)?)
    }

    fn has_running_statistics(&self) -> bool {
        self.program.has_running_statistics()
    }

    fn recalibrate(&self, slices: &[Tensor], buffers: &[Tensor], x: &Tensor, share: f64) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let (x, [least, most]) = (self.given(x)?, self.program.input.batch);
        let n = x.size()[0];
        ensure!(
            (least..=most).contains(&n),
            "a batch of {n} samples, whose statistics are to be taken, and the program takes {least} to {most}"
        );
        let run = Run { pass: Pass::Train, recalibration: Some(share), ..self.run };
        self.called([slices, buffers], &x, run, &mut |_| {}).map(drop)
    }
}
