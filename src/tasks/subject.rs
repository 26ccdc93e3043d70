//! What is analysed: a program of PyTorch's or a network of our grammar, with its weights, on a data set. As settings name
//! them; a trial has them by content, and finds what the settings opened in this process.

use super::fitted::fitted;
use crate::data::{Access, DataOptions, DataSpec, Dataset as _, Set, Signature};
use crate::error::{one_line, usage};
use crate::files::sha256;
use crate::model::program::{Program, convert};
use crate::model::{Architecture, Layout, Model, Weights};
use crate::store::weights::decode;
use crate::study::{Settings, Wrong, open_with, spell_out, take};
use anyhow::{Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tch::{Device, Kind, Tensor};
use toml::Table;

/// A model, its weights and the data, as settings name them.
#[derive(Clone, Debug, Serialize)]
pub struct Subject {
    #[serde(flatten)]
    pub spec: DataSpec,
    /// The path of a .pt2, or layers.
    pub model: String,
    /// The path of a .safetensors; empty for those that a program has itself.
    pub weights: String,
    /// Which of the weights that a file of hw1's own holds: "final", "initial", "snapshot.3".
    pub which: String,
    /// Which of a program's outputs, counted from 0.
    pub output: usize,
    /// Read with the settings, and never again.
    #[serde(skip)]
    pub opened: Arc<Opened>,
}

/// The same, as a trial has it: by content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Content {
    /// Of a program the SHA-256 of its file; else layers.
    pub model: String,
    /// The SHA-256 of a weights file, and which of its weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<[String; 2]>,
    #[serde(default, skip_serializing_if = "is_first")]
    pub output: usize,
}

fn is_first(output: &usize) -> bool {
    *output == 0
}

/// What was read.
pub struct Opened {
    pub content: Content,
    pub what: What,
    /// Of a weights file, on the CPU, in float64 where it has such, else in float32; a program has its own.
    weights: Option<Mutex<Weights>>,
    /// What its user should know, a sentence each.
    pub notes: Vec<String>,
}

pub enum What {
    Program(Arc<Program>),
    Network(Architecture),
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.content.fmt(f)
    }
}

/// What the settings of this process opened.
static OPENED: Mutex<BTreeMap<Content, Arc<Opened>>> = Mutex::new(BTreeMap::new());

impl Settings for Subject {
    fn read(table: &mut Table, access: &Access) -> Result<Self, Wrong> {
        let failed = |key, error: anyhow::Error| Wrong { key, why: String::new(), failed: Some(error) };
        let mut model: String = take(table, "model")?;
        let mut weights: String = take(table, "weights")?;
        let (which, output): (String, usize) = (take(table, "which")?, take(table, "output")?);
        if model.is_empty() {
            let why = "no model: name a .pt2 file of torch.export, or --model LAYERS with --weights FILE";
            return Err(failed("model", usage(why)));
        }
        let program = if is_path(&model) {
            model = absolute(&model);
            Some(program(Path::new(&model)).map_err(|error| failed("model", error))?)
        } else {
            None
        };
        let spec = of_data(program.as_ref().map(|(program, _)| &**program), table, access)?;
        if program.is_none() {
            table.insert("model".into(), model.into());
            spell_out(table, &spec.signature());
            model = take(table, "model")?;
        }
        if !weights.is_empty() {
            weights = absolute(&weights);
        }
        let named = Named { model: &model, weights: &weights, which: &which, output };
        let opened = named.opened(program, &spec.signature()).map_err(|error| failed("model", error))?;
        let mut all = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = all.entry(opened.content.clone()).or_insert(Arc::new(opened)).clone();
        Ok(Self { spec, model, weights, which, output, opened })
    }
}

/// Whether a model is named by a file.
fn is_path(model: &str) -> bool {
    let ending = Path::new(model).extension().map(|ending| ending.to_string_lossy().to_lowercase());
    let is_known =
        matches!(ending.as_deref(), Some("pt2" | "pt" | "pth" | "onnx" | "bin" | "ckpt" | "safetensors" | "zip"));
    is_known || model.contains(std::path::MAIN_SEPARATOR) || Path::new(model).is_file()
}

fn absolute(path: &str) -> String {
    std::path::absolute(path).map_or(path.to_owned(), |path| path.to_string_lossy().into_owned())
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| usage(format!("cannot read {}: {error}", path.display())))
}

/// A program, and the SHA-256 of its file.
///
/// # Errors
/// In a line that names the file.
pub fn program(path: &Path) -> Result<(Arc<Program>, String)> {
    let bytes = bytes(path)?;
    let program = Program::read(&bytes).map_err(|error| usage(format!("{}: {}", path.display(), one_line(&error))))?;
    Ok((Arc::new(program), sha256(&bytes)))
}

/// The data set that settings name. A program's numbers are as they are, unless the settings say by what they were
/// normalised; what is not split is one split.
fn of_data(program: Option<&Program>, table: &mut Table, access: &Access) -> Result<DataSpec, Wrong> {
    let dataset: String = take(table, "dataset")?;
    let sizes = [take(table, "train_size")?, take(table, "test_size")?]
        .map(|size: usize| if size == 0 { usize::MAX } else { size });
    let adjust = |options: DataOptions| match program {
        Some(program) if program.input.is_of_tokens() && Set::named(&dataset).is_none() => {
            options.as_is_by_default().with_kind("tokens").whole()
        }
        Some(_) => options.as_is_by_default().whole(),
        None => options,
    };
    open_with(&dataset, sizes, table, access, adjust)
}

/// What settings name, on its way to being opened.
struct Named<'a> {
    model: &'a str,
    weights: &'a str,
    which: &'a str,
    output: usize,
}

impl Named<'_> {
    fn opened(&self, program: Option<(Arc<Program>, String)>, data: &Signature) -> Result<Opened> {
        let &Self { model, weights, which, output } = self;
        let mut notes = Vec::new();
        ensure!(
            !weights.is_empty() || which == FINAL,
            usage(format!("which is '{which}', and no weights file of hw1's own is named: leave --which away"))
        );
        let (what, layout, model) = match program {
            Some((program, sha256)) => {
                ensure!(
                    output < program.outputs(),
                    usage(format!("output is {output}; {model} has {} outputs, counted from 0", program.outputs()))
                );
                check_input(&program, data, &mut notes)?;
                let layout = program.layout().clone();
                (What::Program(program), layout, sha256)
            }
            None => {
                let architecture: Architecture = model.parse().map_err(|what| usage(format!("--model: {what}")))?;
                let network = architecture.network(data).map_err(usage)?;
                ensure!(
                    !weights.is_empty(),
                    usage(format!(
                        "model '{model}' has no weights of its own: name a .safetensors file with --weights"
                    ))
                );
                (What::Network(architecture), network.layout(), model.to_owned())
            }
        };
        let (read, weights) = if weights.is_empty() {
            let What::Program(program) = &what else { bail!("a model without weights") };
            check_finite(&program.weights(program.precision(), Device::Cpu)?, &layout)?;
            (None, None)
        } else {
            let path = Path::new(weights);
            let bytes = bytes(path)?;
            let tensors =
                decode(&bytes).map_err(|error| usage(format!("{}: {}", path.display(), no_weights(&bytes, &error))))?.0;
            let program = if let What::Program(program) = &what { Some(&**program) } else { None };
            let found = fitted(&tensors, which, &layout, program);
            let (weights, which) = found.map_err(|error| usage(format!("{}: {}", path.display(), one_line(&error))))?;
            check_finite(&weights, &layout)?;
            (Some(Mutex::new(weights)), Some([sha256(&bytes), which]))
        };
        Ok(Opened { content: Content { model, weights, output }, what, weights: read, notes })
    }
}

/// Which weights need no naming.
const FINAL: &str = "final";

/// Why bytes are no weights.
fn no_weights(bytes: &[u8], error: &anyhow::Error) -> String {
    if bytes.starts_with(b"PK") || bytes.first() == Some(&0x80) {
        return format!(
            "it is no .safetensors file but one of torch.save, a pickle, which can run code of others: {}",
            convert()
        );
    }
    format!("it is no .safetensors file, or a truncated one: {}", one_line(error))
}

/// That a program takes the inputs of a data set.
fn check_input(program: &Program, data: &Signature, notes: &mut Vec<String>) -> Result<()> {
    let (input, sides) = (&program.input, &data.input);
    let shape = || sides.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    if input.is_of_tokens() != data.tokens.is_some() {
        let [takes, has] = if input.is_of_tokens() {
            ["tokens (whole numbers)", "measured numbers"]
        } else {
            ["measured numbers", "tokens"]
        };
        bail!(usage(format!("the model takes {takes}, and the data has {has}: name other data with --data")));
    }
    let fits = input.sizes.len() == sides.len()
        && input.sizes.iter().zip(sides).all(|(size, side)| size.is_none_or(|size| size == *side));
    if !fits {
        let fixed = input.sizes.iter().try_fold(1i64, |product, size| product.checked_mul((*size)?));
        ensure!(
            fixed == Some(data.numbers()),
            usage(format!(
                "the model takes inputs {input}, and the data has [n, {}]: name other data with --data",
                shape()
            ))
        );
        notes.push(format!("Inputs [n, {}] are given to the model as {input}.", shape()));
    }
    if let Some(batch) = input.fixed_batch() {
        notes.push(format!(
            "The model was exported for batches of {batch} alone, and runs in such: export it with a dynamic batch, as \
             python/hw1_export.py does, and it runs faster."
        ));
    }
    Ok(())
}

/// Names the slice whose numbers are not all finite.
fn check_finite(weights: &Weights, layout: &Layout) -> Result<()> {
    // A mask of attention is a buffer with -∞.
    let is_good = |flat: &Tensor, of_theta: bool| -> Result<bool> {
        let good = if of_theta { flat.f_isfinite()? } else { flat.f_isnan()?.f_logical_not()? };
        Ok(good.f_all()?.f_int64_value(&[])? == 1)
    };
    for (slots, flat, of_theta) in [(&layout.slots, &weights.theta, true), (&layout.buffers, &weights.buffers, false)] {
        if is_good(flat, of_theta)? {
            continue;
        }
        let bad = slots.iter().find(|slot| !is_good(&slot.view(flat), of_theta).unwrap_or(true));
        let name = bad.map_or("a weight", |slot| &slot.name);
        bail!(usage(format!(
            "{name} has a value that is no finite number: the training diverged, or the file is damaged; take other weights"
        )));
    }
    Ok(())
}

// ------------------------------------------------------------------------------------- trials

impl Content {
    /// What settings of this process opened.
    ///
    /// # Errors
    /// Where none did.
    pub fn opened(&self) -> Result<Arc<Opened>> {
        let all = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(self).cloned().ok_or_else(|| anyhow!("the model of this trial is not open: start from its settings"))
    }
}

impl Opened {
    pub fn layout(&self, data: &Signature) -> Result<Layout> {
        Ok(match &self.what {
            What::Program(program) => program.layout().clone(),
            What::Network(architecture) => architecture.network(data).map_err(anyhow::Error::msg)?.layout(),
        })
    }

    /// The weights in a kind, on a device: a copy.
    ///
    /// # Errors
    /// libtorch's.
    pub fn weights(&self, kind: Kind, device: Device) -> Result<Weights> {
        let weights = match (&self.weights, &self.what) {
            (Some(weights), _) => weights.lock().unwrap_or_else(PoisonError::into_inner),
            (None, What::Program(program)) => return program.weights(kind, device),
            (None, What::Network(_)) => bail!("a network without weights"),
        };
        let there = |flat: &Tensor| flat.f_to_device(device)?.f_to_dtype(kind, false, true);
        Ok(Weights { theta: there(&weights.theta)?, buffers: there(&weights.buffers)? })
    }

    /// The model for such data, and how many bytes it keeps of one input on its way forward, about.
    ///
    /// # Errors
    /// libtorch's, with the node of a program where it went wrong.
    pub fn model(
        &self,
        data: &Signature,
        weights: &Weights,
        x: &Tensor,
        batch_statistics: bool,
    ) -> Result<(Arc<dyn Model>, u64)> {
        Ok(match &self.what {
            What::Program(program) => {
                let (kind, device) = (weights.theta.kind(), weights.theta.device());
                let model = program.model(self.content.output, kind, device, batch_statistics)?;
                let bytes = model.bytes_of_sample(weights, x)?;
                (Arc::new(model), bytes)
            }
            What::Network(architecture) => {
                let network = architecture.network(data).map_err(anyhow::Error::msg)?;
                let bytes = u64::try_from(network.memory_of_batch(1)).unwrap_or(u64::MAX);
                (Arc::new(network), bytes)
            }
        })
    }
}

impl Subject {
    /// How many inputs a program takes at a time, where it takes no other number.
    pub fn fixed_batch(&self) -> Option<i64> {
        match &self.opened.what {
            What::Program(program) => program.input.fixed_batch(),
            What::Network(_) => None,
        }
    }

    /// Whether a program has an operator that normalises by running statistics and cannot do otherwise.
    pub fn has_running_statistics_alone(&self) -> bool {
        let is_such = |name: &String| name.starts_with("aten._native_batch_norm_legit_no_training");
        matches!(&self.opened.what, What::Program(program) if program.operators().keys().any(is_such))
    }

    /// Whether a program's own weights are of float64.
    pub fn is_double(&self) -> bool {
        matches!(&self.opened.what, What::Program(program) if program.precision() == Kind::Double)
    }

    /// What a person calls it: the file's stem, or the layers.
    pub fn name(&self) -> String {
        match &self.opened.what {
            What::Program(_) => {
                let path = PathBuf::from(&self.model);
                path.file_stem().map_or(self.model.clone(), |stem| stem.to_string_lossy().into_owned())
            }
            What::Network(_) => self.model.clone(),
        }
    }
}
