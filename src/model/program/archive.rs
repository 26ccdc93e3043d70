//! A .pt2 file: a zip of a graph in JSON and of raw weights, as torch.export.save of PyTorch 2.9 and newer writes it.
//! Nothing in it is compressed, so that nothing takes more memory than the file. Knows bytes and tensors, no graphs.

use super::format::{self, Model, Payload, Payloads};
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rawzip::{CompressionMethod, ZipArchive};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// Where a member of the zip stands in the file.
type Members = BTreeMap<String, (usize, usize)>;

/// What a file holds.
pub struct Archive<'a> {
    bytes: &'a [u8],
    members: Members,
    /// Before the names of all members.
    folder: String,
    pub model: Model,
    weights: Payloads,
    constants: Payloads,
}

/// More files than a program has.
const MOST_MEMBERS: u64 = 100_000;

impl<'a> Archive<'a> {
    /// # Errors
    /// In a line: a file that is none of torch.export's, and what it is instead; a damaged or compressed one.
    pub fn open(bytes: &'a [u8]) -> Result<Self> {
        let members = members(bytes)?;
        let folder = folder(&members)?;
        let read = |name: &str| members.get(&format!("{folder}{name}")).map(|&(start, end)| &bytes[start..end]);
        let model = format::parse(read("models/model.json").context("it has no models/model.json")?)?;
        let payloads = |name: &str| match read(name) {
            Some(json) => {
                serde_json::from_slice(json).with_context(|| format!("its {name} is not as torch.export writes it"))
            }
            None => Ok(Payloads::default()),
        };
        let weights = payloads("data/weights/model_weights_config.json")?;
        let constants = payloads("data/constants/model_constants_config.json")?;
        Ok(Self { bytes, members, folder, model, weights, constants })
    }

    /// A weight, a buffer or a constant by its name in the model.
    ///
    /// # Errors
    /// Where it is not there, or not as large as it is said to be.
    pub fn weight(&self, name: &str) -> Result<Stored<'a>> {
        let payload = self.weights.config.get(name).map(|payload| ("weights", payload));
        // Buffers that are no part of the state stand among the constants.
        let payload = payload.or_else(|| self.constants.config.get(name).map(|payload| ("constants", payload)));
        let (of, payload) = payload.with_context(|| format!("it has no numbers of {name:.80}"))?;
        self.stored(of, payload).with_context(|| format!("its {name:.80}"))
    }

    fn stored(&self, of: &str, payload: &Payload) -> Result<Stored<'a>> {
        ensure!(
            !payload.use_pickle,
            "is pickled, as PyTorch 2.8 and older save weights, and subclasses of tensors are: export the model anew by \
             PyTorch 2.9 or newer, of plain tensors"
        );
        let meta = payload.tensor_meta.as_ref().context("has neither shape nor kind")?;
        let path = format!("data/{of}/{}", payload.path_name);
        let place = self.members.get(&format!("{}{path}", self.folder));
        let &(start, end) = place.with_context(|| format!("is missing: {path:.80}"))?;
        let storage = &self.bytes[start..end];
        let (sizes, strides, offset) = meta.strided()?;
        let span = span(&sizes, &strides, offset).context("has a shape that is too large")?;
        let kind = format::kind(meta.dtype)?;
        let elements = storage.len() / kind.elt_size_in_bytes();
        ensure!(
            span.1 <= elements as i64,
            "needs {} numbers, and its storage {path:.80} has {elements}: the file is damaged or truncated",
            span.1
        );
        Ok(Stored { storage, path, kind, sizes, strides, span, requires_grad: meta.requires_grad })
    }
}

/// Numbers in a file: in a storage, from which element up to which, at which strides.
pub struct Stored<'a> {
    storage: &'a [u8],
    path: String,
    pub kind: Kind,
    pub sizes: Vec<i64>,
    strides: Vec<i64>,
    span: (i64, i64),
    pub requires_grad: bool,
}

/// Expanded tensors take more memory than the file; so many numbers they may have.
const MOST_EXPANDED: i64 = 1 << 20;

impl Stored<'_> {
    /// Whether both are the very same numbers, as tied weights are.
    pub fn is_same(&self, other: &Self) -> bool {
        let of = |stored: &Self| (stored.span, stored.kind);
        self.path == other.path && of(self) == of(other) && self.sizes == other.sizes && self.strides == other.strides
    }

    /// Whether they have numbers in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        let ((start, end), (other_start, other_end)) = (self.span, other.span);
        self.path == other.path && start < other_end && other_start < end
    }

    /// How many bytes a copy takes.
    ///
    /// # Errors
    /// Where that cannot be counted.
    pub fn bytes(&self) -> Result<u64> {
        let numbers = self.sizes.iter().try_fold(1i64, |product, size| product.checked_mul(*size));
        let bytes = numbers.and_then(|numbers| numbers.checked_mul(self.kind.elt_size_in_bytes() as i64));
        bytes.map(i64::unsigned_abs).context("has a shape that is too large")
    }

    /// A contiguous copy, in the kind of the file.
    ///
    /// # Errors
    /// libtorch's, and a shape of more numbers than there are.
    pub fn tensor(&self) -> Result<Tensor> {
        let (size, (start, end)) = (self.kind.elt_size_in_bytes(), self.span);
        let bytes = &self.storage[start as usize * size..end as usize * size];
        let numbers = self.sizes.iter().try_fold(1i64, |product, size| product.checked_mul(*size));
        ensure!(
            numbers.is_some_and(|numbers| numbers <= MOST_EXPANDED.max(end - start)),
            "{} is an expanded tensor: export the model with it contiguous",
            self.path
        );
        let flat = Tensor::f_from_data_size(bytes, &[end - start], self.kind)?;
        Ok(flat.f_as_strided(&self.sizes, &self.strides, 0)?.f_contiguous()?)
    }
}

/// From which element of a storage up to which; `None` where that cannot be counted.
fn span(sizes: &[i64], strides: &[i64], offset: i64) -> Option<(i64, i64)> {
    if sizes.contains(&0) {
        return Some((0, 0));
    }
    let mut last = offset;
    for (size, stride) in sizes.iter().zip(strides) {
        last = last.checked_add((size - 1).checked_mul(*stride)?)?;
    }
    Some((offset, last.checked_add(1)?))
}

/// All members of a zip, each with where its bytes are.
fn members(bytes: &[u8]) -> Result<Members> {
    let broken = |error: rawzip::Error| anyhow!("{} ({error})", no_zip(bytes));
    let archive = ZipArchive::from_slice(bytes).map_err(broken)?;
    ensure!(archive.entries_hint() <= MOST_MEMBERS, "it holds {} files, more than any program", archive.entries_hint());
    let mut members = Members::new();
    for entry in archive.entries() {
        let entry = entry.map_err(broken)?;
        let name = String::from_utf8_lossy(entry.file_path().as_bytes()).into_owned();
        let shown: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
        let place =
            archive.get_entry(entry.wayfinder()).map_err(|error| anyhow!("its {shown} is damaged ({error})"))?;
        ensure!(
            entry.compression_method() == CompressionMethod::STORE,
            "its {shown} is compressed: leave the file as torch.export.save writes it"
        );
        let data = place.data();
        // What is read is what was written.
        let mut reader = place.verifying_reader(data);
        std::io::copy(&mut reader, &mut std::io::sink())
            .map_err(|error| anyhow!("its {shown} is damaged ({error}): save or copy the file anew"))?;
        let start = data.as_ptr().addr() - bytes.as_ptr().addr();
        members.insert(name, (start, start + data.len()));
    }
    Ok(members)
}

/// What a file is that is no zip.
fn no_zip(bytes: &[u8]) -> String {
    const PICKLE: &str = "it is a pickle, as torch.save writes them, which can run code of others: ";
    match bytes {
        [] => "it is empty".into(),
        [0x80, 2..=5, ..] => format!("{PICKLE}{}", convert()),
        [b'P', b'K', 3, 4, ..] => "it is truncated: save or copy the file anew".into(),
        _ => "it is no .pt2 file of torch.export.save".into(),
    }
}

/// How weights of a pickle become safetensors.
pub fn convert() -> String {
    "convert it by python -c \"import sys, torch, safetensors.torch as s; s.save_file({k: v.contiguous() for k, v in \
     torch.load(sys.argv[1], weights_only=True).items()}, sys.argv[2])\" model.pth model.safetensors"
        .into()
}

/// What stands before the names of a program's files.
fn folder(members: &Members) -> Result<String> {
    const EXPORT: &str = "export the model by torch.export.save of PyTorch 2.9 or newer, or by python/hw1_export.py";
    let ends_with = |suffix: &str| members.keys().find_map(|name| name.strip_suffix(suffix).map(str::to_owned));
    if let Some(folder) = ends_with("models/model.json") {
        let older = members.contains_key(&format!("{folder}data/weights/model.pt"));
        ensure!(!older, "its weights are pickled, as PyTorch 2.8 and older save them: {EXPORT}");
        return Ok(folder);
    }
    let models: Vec<&str> =
        members.keys().filter_map(|name| name.split_once("models/")?.1.strip_suffix(".json")).take(5).collect();
    if !models.is_empty() {
        bail!("it holds no model called model, but {}: save one alone by torch.export.save", models.join(", "));
    }
    if ends_with("serialized_exported_program.json").is_some() {
        bail!("it is of PyTorch 2.7 or older: {EXPORT}");
    }
    if members.keys().any(|name| name.contains("aotinductor")) {
        bail!("it is compiled by AOTInductor, which has no derivatives: {EXPORT}");
    }
    if members.keys().any(|name| name.ends_with("constants.pkl") || name.contains("/code/")) {
        bail!("it is TorchScript, which is deprecated and not read: {EXPORT}");
    }
    if ends_with("data.pkl").is_some() {
        bail!(
            "it is a pickle, as torch.save writes them, which can run code of others, and has weights without a model: {}",
            convert()
        );
    }
    bail!("it is a zip, but none of torch.export.save: {EXPORT}")
}
