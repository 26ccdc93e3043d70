//! What stands in a program's model.json, as far as it is needed (torch/_export/serde/schema.py, schema version 8). Fields
//! that are not named here are passed over; what an argument is stays as it is until its place is known.

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use tch::Kind;

/// The major version that is read: another one is another format.
const MAJOR: u64 = 8;

#[derive(Deserialize)]
pub struct Model {
    pub graph_module: GraphModule,
    #[serde(default)]
    pub range_constraints: BTreeMap<String, Range>,
    #[serde(default)]
    pub torch_version: String,
}

/// Of a symbolic size.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Range {
    pub min_val: Option<i64>,
    pub max_val: Option<i64>,
}

#[derive(Deserialize)]
pub struct GraphModule {
    pub graph: Graph,
    pub signature: Signature,
}

#[derive(Deserialize)]
pub struct Graph {
    pub inputs: Vec<Argument>,
    pub outputs: Vec<Argument>,
    pub nodes: Vec<Node>,
    #[serde(default)]
    pub tensor_values: BTreeMap<String, TensorMeta>,
}

#[derive(Deserialize)]
pub struct Node {
    pub target: String,
    pub inputs: Vec<NamedArgument>,
    pub outputs: Vec<Argument>,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub struct NamedArgument {
    pub name: String,
    pub arg: Argument,
}

/// `{"as_int": 3}`: what it is, and its value.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Map<String, Json>")]
pub struct Argument {
    pub what: String,
    pub value: Json,
}

impl TryFrom<Map<String, Json>> for Argument {
    type Error = String;

    fn try_from(map: Map<String, Json>) -> Result<Self, String> {
        let mut entries = map.into_iter();
        match (entries.next(), entries.next()) {
            (Some((what, value)), None) => Ok(Self { what, value }),
            _ => Err("an argument that is not of one kind".into()),
        }
    }
}

impl Argument {
    /// The name of a value.
    pub fn name(&self) -> Option<&str> {
        self.value.get("name").or_else(|| self.value.get("as_name"))?.as_str()
    }
}

#[derive(Deserialize)]
pub struct Signature {
    pub input_specs: Vec<InputSpec>,
    pub output_specs: Vec<Argument>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputSpec {
    UserInput { arg: Argument },
    Parameter { arg: Named, parameter_name: String },
    Buffer { arg: Named, buffer_name: String, persistent: bool },
    TensorConstant { arg: Named, tensor_constant_name: String },
    ConstantInput { name: String },
    CustomObj { arg: Named, custom_obj_name: String },
    Token { arg: Named },
}

impl InputSpec {
    /// The input of the graph that it says something of.
    pub fn name(&self) -> &str {
        match self {
            Self::UserInput { arg } => arg.name().unwrap_or(""),
            Self::Parameter { arg, .. }
            | Self::Buffer { arg, .. }
            | Self::TensorConstant { arg, .. }
            | Self::CustomObj { arg, .. }
            | Self::Token { arg } => &arg.name,
            Self::ConstantInput { name } => name,
        }
    }
}

#[derive(Deserialize)]
pub struct Named {
    pub name: String,
}

/// Of a tensor, or of a weight in its storage.
#[derive(Clone, Debug, Deserialize)]
pub struct TensorMeta {
    pub dtype: u64,
    pub sizes: Vec<Json>,
    #[serde(default)]
    pub strides: Vec<Json>,
    #[serde(default)]
    pub storage_offset: Json,
    #[serde(default)]
    pub requires_grad: bool,
}

/// A size: fixed, or a symbol.
#[derive(Clone, Debug, PartialEq)]
pub enum Extent {
    Fixed(i64),
    /// Its name where the size is a symbol alone; empty of an expression.
    Symbol(String),
}

impl TensorMeta {
    pub fn extents(&self) -> Vec<Extent> {
        self.sizes.iter().map(extent).collect()
    }

    /// Sizes, strides and offset, in elements.
    ///
    /// # Errors
    /// Where one is no number from 0 up, or there are not as many strides as sizes.
    pub fn strided(&self) -> Result<(Vec<i64>, Vec<i64>, i64)> {
        let whole = |json: &Json| match extent(json) {
            Extent::Fixed(number) if number >= 0 => Ok(number),
            _ => bail!("a size, stride or offset that is no number from 0 up"),
        };
        let of = |list: &[Json]| list.iter().map(whole).collect::<Result<Vec<i64>>>();
        let (sizes, strides) = (of(&self.sizes)?, of(&self.strides)?);
        ensure!(sizes.len() == strides.len(), "{} strides of {} sizes", strides.len(), sizes.len());
        let offset = if self.storage_offset.is_null() { 0 } else { whole(&self.storage_offset)? };
        Ok((sizes, strides, offset))
    }
}

fn extent(json: &Json) -> Extent {
    if let Some(number) = json.get("as_int").and_then(Json::as_i64) {
        return Extent::Fixed(number);
    }
    let text = json.get("as_expr").and_then(|expr| expr.get("expr_str")).and_then(Json::as_str).unwrap_or("");
    // "Symbol('s77', positive=True, integer=True)".
    let name = text.strip_prefix("Symbol('").and_then(|rest| rest.split_once('\''));
    let alone = name.filter(|(_, rest)| rest.matches(['(', ')']).count() == 1);
    Extent::Symbol(alone.map(|(name, _)| name.to_owned()).unwrap_or_default())
}

/// model_weights_config.json, and that of constants.
#[derive(Default, Deserialize)]
pub struct Payloads {
    pub config: BTreeMap<String, Payload>,
}

/// Where a tensor's storage is.
#[derive(Deserialize)]
pub struct Payload {
    pub path_name: String,
    #[serde(default)]
    pub use_pickle: bool,
    pub tensor_meta: Option<TensorMeta>,
}

/// A program's JSON.
///
/// # Errors
/// Where it is none, or of another major version.
pub fn parse(json: &[u8]) -> Result<Model> {
    #[derive(Deserialize)]
    struct Version {
        major: u64,
        minor: u64,
    }
    #[derive(Deserialize)]
    struct Head {
        schema_version: Option<Version>,
    }
    let head: Head = serde_json::from_slice(json).context("it is no JSON of torch.export's")?;
    match head.schema_version {
        Some(Version { major: MAJOR, .. }) => {}
        Some(Version { major, minor }) => bail!(
            "it is of schema version {major}.{minor}, and {MAJOR} is read (PyTorch 2.9 to 2.11 write it): export the \
             model anew by one of these"
        ),
        None => bail!("it has no schema version: export the model by torch.export.save of PyTorch 2.9 or newer"),
    }
    serde_json::from_slice(json).context("its graph is not as torch.export writes it")
}

/// A dtype by torch.export's number.
///
/// # Errors
/// Where libtorch has such numbers and tch has not.
pub fn kind(dtype: u64) -> Result<Kind> {
    Ok(match dtype {
        1 => Kind::Uint8,
        2 => Kind::Int8,
        3 => Kind::Int16,
        4 => Kind::Int,
        5 => Kind::Int64,
        6 => Kind::Half,
        7 => Kind::Float,
        8 => Kind::Double,
        12 => Kind::Bool,
        13 => Kind::BFloat16,
        9..=11 => bail!("complex numbers are not read"),
        other => bail!("dtype {other} of torch.export is not read"),
    })
}

/// A memory format by torch.export's number, as libtorch's own.
pub fn memory_format(number: u64) -> Option<i64> {
    // ContiguousFormat, ChannelsLast, ChannelsLast3d, PreserveFormat.
    Some(match number {
        1 => 0,
        2 => 2,
        3 => 3,
        4 => 1,
        _ => return None,
    })
}

/// Strided, by torch.export's number.
pub const STRIDED: u64 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_or_symbols() {
        for (text, expected) in [
            (r#"{"as_int": 4}"#, Extent::Fixed(4)),
            (
                r#"{"as_expr": {"expr_str": "Symbol('s77', positive=True, integer=True)", "hint": {"as_int": 2}}}"#,
                Extent::Symbol("s77".into()),
            ),
            (
                r#"{"as_expr": {"expr_str": "Mul(Integer(5), Symbol('s77', positive=True))"}}"#,
                Extent::Symbol("".into()),
            ),
            (r#"{"as_expr": {"expr_str": "Symbol('u0') + Symbol('u1')"}}"#, Extent::Symbol("".into())),
        ] {
            assert_eq!(extent(&serde_json::from_str(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn another_version_is_refused_and_says_what_to_do() {
        let of = |text: &str| parse(text.as_bytes()).err().map(|error| format!("{error:#}")).unwrap();
        assert!(of(r#"{"schema_version": {"major": 9, "minor": 0}}"#).contains("schema version 9.0, and 8 is read"));
        assert!(of("{}").contains("no schema version"));
        assert!(of("[").contains("no JSON"));
        assert!(of(r#"{"schema_version": {"major": 8, "minor": 1}}"#).contains("graph is not as"));
    }
}
