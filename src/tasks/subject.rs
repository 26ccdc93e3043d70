//! What is analysed: a program of PyTorch's or a network of our grammar, with one or several solutions' weights, on a data
//! set. As settings name them; a trial has them by content, and finds what the settings opened in this process. Weights
//! stay in their files until a trial reads them.

use super::solutions::{FINAL, check_finite, names, of_file, stem, weights_in};
use crate::data::{Access, DataOptions, DataSpec, Dataset as _, Set, Signature};
use crate::error::usage;
use crate::files::sha256;
use crate::model::program::Program;
use crate::model::{Architecture, Layout, Model, Weights};
use crate::study::{Settings, Wrong, open_with, spell_out, take};
use anyhow::{Context as _, Result, anyhow, bail, ensure};
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
    /// The paths of .safetensors, or of further .pt2 of the same layout, a solution each; none for the weights that a
    /// program has itself.
    pub weights: Vec<String>,
    /// Which of the weights that a file of hw1's own holds: "final", "initial", "snapshot.3".
    pub which: String,
    /// Which of a program's outputs, counted from 0.
    pub output: usize,
    /// Read with the settings: one for each of `weights`, or the program's own.
    #[serde(skip)]
    pub solutions: Vec<Solution>,
    /// The weights that a program has itself.
    #[serde(skip)]
    own: Option<Solution>,
}

/// A solution: weights of the model.
#[derive(Clone, Debug)]
pub struct Solution {
    /// What a person calls it, among the others: the file's stem, with its folder where others have the same.
    pub name: String,
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
    /// The file of the weights; `None` of a program's own.
    file: Option<PathBuf>,
    /// How they are cut.
    layout: Layout,
    /// What its user should know, a sentence each.
    pub notes: Vec<String>,
}

#[derive(Clone)]
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

/// One text, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Several(Vec<String>),
}

impl Texts {
    fn take(table: &mut Table, key: &'static str) -> Result<Vec<String>, Wrong> {
        let texts = match take(table, key)? {
            Self::One(text) => vec![text],
            Self::Several(texts) => texts,
        };
        Ok(texts.into_iter().filter(|text| !text.is_empty()).collect())
    }
}

impl Settings for Subject {
    fn read(table: &mut Table, access: &Access) -> Result<Self, Wrong> {
        let failed = |key, error: anyhow::Error| Wrong { key, why: String::new(), failed: Some(error) };
        let (models, mut weights) = (Texts::take(table, "model")?, Texts::take(table, "weights")?);
        let (which, output): (String, usize) = (take(table, "which")?, take(table, "output")?);
        let Some(mut model) = models.first().cloned() else {
            let swallowed = weights.last().filter(|last| last.ends_with(".pt2"));
            let why = match swallowed {
                Some(model) => {
                    format!("no model: what follows --weights are weights; put {model} before it, or behind --model")
                }
                None => "no model: name a .pt2 file of torch.export, or --model LAYERS with --weights FILE".to_owned(),
            };
            return Err(failed("model", usage(why)));
        };
        if models.len() > 1 {
            // Several programs: a solution each, of the first one's layout.
            if let Some(other) = models.iter().find(|model| !is_path(model)) {
                return Err(failed("model", usage(format!("{other} is no file: name one model, or several .pt2"))));
            }
            weights = [models, weights].concat();
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
        let weights: Vec<String> = weights.iter().map(|path| absolute(path)).collect();
        if let Some((_, twice)) = weights.iter().enumerate().find(|(at, path)| weights[..*at].contains(path)) {
            return Err(failed("weights", usage(format!("weights has {twice} twice: name each solution once"))));
        }
        let named = Named { model: &model, weights: &weights, which: &which, output };
        let (own, solutions) = named.opened(program, &spec.signature()).map_err(|error| failed("model", error))?;
        let mut all = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        for solution in own.iter().chain(&solutions) {
            all.insert(solution.opened.content.clone(), solution.opened.clone());
        }
        Ok(Self { spec, model, weights, which, output, solutions, own })
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
    std::fs::read(path).map_err(|error| {
        let hint = if path.is_dir() { "; name its files, as in FOLDER/*.safetensors" } else { "" };
        usage(format!("cannot read {}: {error}{hint}", path.display()))
    })
}

/// A program, and the SHA-256 of its file.
///
/// # Errors
/// In a line that names the file.
pub fn program(path: &Path) -> Result<(Arc<Program>, String)> {
    let bytes = bytes(path)?;
    let program = Program::read(&bytes).map_err(|error| of_file(path, &error))?;
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
    weights: &'a [String],
    which: &'a str,
    output: usize,
}

impl Named<'_> {
    /// A program's own weights, and the solutions.
    fn opened(
        &self,
        program: Option<(Arc<Program>, String)>,
        data: &Signature,
    ) -> Result<(Option<Solution>, Vec<Solution>)> {
        let &Self { model, weights, which, output } = self;
        let mut notes = Vec::new();
        ensure!(
            !weights.is_empty() || which == FINAL,
            usage(format!("which is '{which}', and no weights file of hw1's own is named: leave --which away"))
        );
        let (what, layout, id) = match program {
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
        let opened = |weights, file| {
            let content = Content { model: id.clone(), weights, output };
            let (what, layout, notes) = (what.clone(), layout.clone(), notes.clone());
            Arc::new(Opened { content, what, file, layout, notes })
        };
        // A program is called by its own name beside those of the weights, unless it is one of them: a line may begin there.
        let is_beside = matches!(what, What::Program(_)) && !weights.iter().any(|path| path == model);
        let paths = if is_beside { [&[model.to_owned()], weights].concat() } else { weights.to_vec() };
        let mut names = names(&paths).into_iter();
        let own_name = if is_beside { names.next() } else { None }.unwrap_or_else(|| stem(model));
        let own = match &what {
            What::Program(_) => Some(Solution { name: own_name, opened: opened(None, None) }),
            What::Network(_) => None,
        };
        let mut solutions = Vec::new();
        for (path, name) in weights.iter().zip(names) {
            let file = Path::new(path);
            let bytes = bytes(file)?;
            let (found, which) = weights_in(file, &bytes, which, &what, &layout)?;
            check_finite(&found, &layout).map_err(|error| of_file(file, &error))?;
            let sha256 = sha256(&bytes);
            // A program may be its own solution.
            let opened = match own.as_ref().filter(|own| own.opened.content.model == sha256) {
                Some(own) => own.opened.clone(),
                None => opened(Some([sha256, which]), Some(file.to_owned())),
            };
            solutions.push(Solution { name, opened });
        }
        if solutions.is_empty() {
            solutions.extend(own.clone());
        }
        if let Some(own) = &own
            && (weights.len() < 2 || solutions.iter().any(|solution| solution.opened.content == own.opened.content))
        {
            let weights = own.opened.weights(own.opened.precision(), Device::Cpu)?;
            check_finite(&weights, &layout).map_err(|error| of_file(Path::new(model), &error))?;
        }
        Ok((own, solutions))
    }
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
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How many inputs the model takes at a time, at least and at most.
    pub fn batches(&self) -> [i64; 2] {
        match &self.what {
            What::Program(program) => program.input.batch,
            What::Network(_) => [1, i64::MAX],
        }
    }

    /// Of a program's own weights float64 where they are of that, else float32.
    fn precision(&self) -> Kind {
        match &self.what {
            What::Program(program) => program.precision(),
            What::Network(_) => Kind::Float,
        }
    }

    /// The weights in a kind, on a device: a copy, read from their file.
    ///
    /// # Errors
    /// Where the file is no longer there, or another; libtorch's.
    pub fn weights(&self, kind: Kind, device: Device) -> Result<Weights> {
        let weights = match (&self.file, &self.content.weights, &self.what) {
            (Some(file), Some([named, which]), what) => {
                let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
                ensure!(
                    *named == sha256(&bytes),
                    "{} has changed since it was named: put the other file back, or start again",
                    file.display()
                );
                weights_in(file, &bytes, if which.is_empty() { FINAL } else { which }, what, &self.layout)?.0
            }
            (.., What::Program(program)) => return program.weights(kind, device),
            (.., What::Network(_)) => bail!("a network without weights"),
        };
        let there = |flat: &Tensor| flat.f_to_device(device)?.f_to_dtype(kind, false, false);
        Ok(Weights { theta: there(&weights.theta)?, buffers: there(&weights.buffers)? })
    }

    /// The model for such data.
    ///
    /// # Errors
    /// libtorch's, with the node of a program where it went wrong.
    pub fn model(
        &self,
        data: &Signature,
        kind: Kind,
        device: Device,
        batch_statistics: bool,
    ) -> Result<Arc<dyn Model>> {
        Ok(match &self.what {
            What::Program(program) => Arc::new(program.model(self.content.output, kind, device, batch_statistics)?),
            What::Network(architecture) => Arc::new(architecture.network(data).map_err(anyhow::Error::msg)?),
        })
    }

    /// How many bytes the model keeps of one input on its way forward, about.
    ///
    /// # Errors
    /// As of [`Self::model`].
    pub fn bytes_of_sample(&self, data: &Signature, weights: &Weights, x: &Tensor) -> Result<u64> {
        match &self.what {
            What::Program(program) => {
                let (kind, device) = (weights.theta.kind(), weights.theta.device());
                program.model(self.content.output, kind, device, false)?.bytes_of_sample(weights, x)
            }
            What::Network(architecture) => {
                let network = architecture.network(data).map_err(anyhow::Error::msg)?;
                Ok(u64::try_from(network.memory_of_batch(1)).unwrap_or(u64::MAX))
            }
        }
    }
}

impl Subject {
    /// The first solution, of whose model all are.
    pub fn opened(&self) -> &Arc<Opened> {
        &self.solutions[0].opened
    }

    /// The ends of lines: all solutions, and before one that is alone the program's own weights.
    pub fn ends(&self) -> Vec<Solution> {
        let own = self.own.iter().filter(|_| self.weights.len() == 1);
        own.chain(&self.solutions).cloned().collect()
    }

    /// The solutions in the natural order of their names: "step-9" before "step-10".
    pub fn in_order(&self) -> Vec<Solution> {
        let mut solutions: Vec<(&String, &Solution)> = self.weights.iter().zip(&self.solutions).collect();
        solutions.sort_by(|a, b| natord::compare(a.0, b.0));
        solutions.into_iter().map(|(_, solution)| solution.clone()).collect()
    }

    /// How many inputs a program takes at a time, where it takes no other number.
    pub fn fixed_batch(&self) -> Option<i64> {
        match &self.opened().what {
            What::Program(program) => program.input.fixed_batch(),
            What::Network(_) => None,
        }
    }

    /// Whether a program has an operator that normalises by running statistics and cannot do otherwise.
    pub fn has_running_statistics_alone(&self) -> bool {
        let is_such = |name: &String| name.starts_with("aten._native_batch_norm_legit_no_training");
        matches!(&self.opened().what, What::Program(program) if program.operators().keys().any(is_such))
    }

    /// Whether a program normalises by running statistics that can be taken anew.
    pub fn has_running_statistics(&self) -> bool {
        let What::Program(program) = &self.opened().what else { return false };
        program.has_running_statistics()
    }

    /// Whether a program's own weights are of float64.
    pub fn is_double(&self) -> bool {
        self.opened().precision() == Kind::Double
    }

    /// What a person calls the model: the file's stem, or the layers.
    pub fn name(&self) -> String {
        match &self.opened().what {
            What::Program(_) => stem(&self.model),
            What::Network(_) => self.model.clone(),
        }
    }
}
