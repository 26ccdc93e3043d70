//! Any operator that libtorch knows, called by name with arguments by name: the Rust side of dispatch.cpp. libtorch's own
//! schema says what an argument is and what it defaults to. Knows values and operators, nothing of graphs.

use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;
use std::sync::{Mutex, PoisonError};
use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

/// What an operator is given, or gives.
#[derive(Debug)]
pub enum Value {
    None,
    Tensor(Tensor),
    /// Where an operator takes such, some are none.
    Tensors(Vec<Option<Tensor>>),
    /// Also dtypes, layouts and memory formats, by libtorch's own numbers.
    Int(i64),
    Ints(Vec<i64>),
    Float(f64),
    Floats(Vec<f64>),
    Bool(bool),
    Bools(Vec<bool>),
    Text(String),
    Device(Device),
}

impl Value {
    /// Another handle of the same.
    pub fn share(&self) -> Self {
        match self {
            Self::None => Self::None,
            Self::Tensor(tensor) => Self::Tensor(tensor.shallow_clone()),
            Self::Tensors(tensors) => {
                Self::Tensors(tensors.iter().map(|tensor| tensor.as_ref().map(Tensor::shallow_clone)).collect())
            }
            Self::Int(number) => Self::Int(*number),
            Self::Ints(numbers) => Self::Ints(numbers.clone()),
            Self::Float(number) => Self::Float(*number),
            Self::Floats(numbers) => Self::Floats(numbers.clone()),
            Self::Bool(is) => Self::Bool(*is),
            Self::Bools(are) => Self::Bools(are.clone()),
            Self::Text(text) => Self::Text(text.clone()),
            Self::Device(device) => Self::Device(*device),
        }
    }
}

/// A kind by libtorch's number (c10/core/ScalarType.h).
pub fn number(kind: Kind) -> i64 {
    match kind {
        Kind::Uint8 => 0,
        Kind::Int8 => 1,
        Kind::Int16 => 2,
        Kind::Int => 3,
        Kind::Int64 => 4,
        Kind::Half => 5,
        Kind::Float => 6,
        Kind::Double => 7,
        Kind::ComplexHalf => 8,
        Kind::ComplexFloat => 9,
        Kind::ComplexDouble => 10,
        Kind::Bool => 11,
        Kind::QInt8 => 12,
        Kind::QUInt8 => 13,
        Kind::QInt32 => 14,
        Kind::BFloat16 => 15,
        Kind::Float8e5m2 => 23,
        Kind::Float8e4m3fn => 24,
        Kind::Float8e5m2fnuz => 25,
        Kind::Float8e4m3fnuz => 26,
    }
}

/// `hw1_value`: its kinds, and what the fields mean, stand in dispatch.cpp.
#[repr(C)]
#[derive(Clone, Copy)]
struct Raw {
    kind: i32,
    index: i32,
    whole: i64,
    real: f64,
    items: *const c_void,
    count: usize,
}

#[repr(C)]
struct RawArgument {
    name: *const c_char,
    value: Raw,
}

const NONE: i32 = 0;
const TENSOR: i32 = 1;
const TENSORS: i32 = 2;
const INT: i32 = 3;
const INTS: i32 = 4;
const FLOAT: i32 = 5;
const FLOATS: i32 = 6;
const BOOL: i32 = 7;
const BOOLS: i32 = 8;
const TEXT: i32 = 9;
const DEVICE: i32 = 10;

unsafe extern "C" {
    fn hw1_free(memory: *mut c_void);
    fn hw1_operator(name: *const c_char, overload: *const c_char) -> *const c_void;
    fn hw1_schema(handle: *const c_void) -> *mut c_char;
    fn hw1_is_random(handle: *const c_void) -> bool;
    fn hw1_call(
        handle: *const c_void,
        arguments: *const RawArgument,
        count: usize,
        results: *mut Raw,
        most: usize,
        found: *mut usize,
    ) -> *mut c_char;
}

/// More results than any operator has.
const MOST_RESULTS: usize = 16;

/// An operator of libtorch.
#[derive(Debug)]
pub struct Operator {
    /// Never null; what it points to stays for ever and is only read.
    handle: *const c_void,
    /// "aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor".
    pub schema: String,
    /// Whether it draws random numbers.
    pub is_random: bool,
}

// SAFETY: the handle is a pointer into libtorch's table of operators, which any thread may call.
unsafe impl Send for Operator {}
// SAFETY: as above.
unsafe impl Sync for Operator {}

impl Operator {
    /// By a name such as "aten::add" and an overload such as "Tensor", which may be empty.
    pub fn find(name: &str, overload: &str) -> Option<&'static Self> {
        /// Those that were found: a handle is never given back.
        static FOUND: Mutex<BTreeMap<String, &'static Operator>> = Mutex::new(BTreeMap::new());
        let key = format!("{name}.{overload}");
        let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(operator) = found.get(&key) {
            return Some(operator);
        }
        let operator: &'static Self = Box::leak(Box::new(Self::look_up(name, overload)?));
        found.insert(key, operator);
        Some(operator)
    }

    fn look_up(name: &str, overload: &str) -> Option<Self> {
        let (name, overload) = (CString::new(name).ok()?, CString::new(overload).ok()?);
        // SAFETY: both are texts that end in 0.
        let handle = unsafe { hw1_operator(name.as_ptr(), overload.as_ptr()) };
        if handle.is_null() {
            return None;
        }
        // SAFETY: the handle is one.
        let (schema, is_random) = unsafe { (text(hw1_schema(handle)), hw1_is_random(handle)) };
        Some(Self { handle, schema: schema.unwrap_or_default(), is_random })
    }

    /// The names of its arguments, in their order.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.declared().map(|(_, name)| name)
    }

    /// What stands between the parentheses of its schema, and its results.
    fn halves(&self) -> (&str, &str) {
        let inner = self.schema.split_once('(').map_or("", |(_, rest)| rest);
        inner.split_once(") ->").unwrap_or((inner, ""))
    }

    /// Its arguments in their order, each with its type.
    fn declared(&self) -> impl Iterator<Item = (&str, &str)> {
        // "Tensor(a!) self", "*", "int[2] stride=[1, 1]", "str? rounding_mode=None".
        self.halves().0.split(", ").filter_map(|part| {
            let (of, word) = part.rsplit_once(' ')?;
            let name = word.split('=').next()?;
            name.chars().next().filter(|c| c.is_alphabetic() || *c == '_').map(|_| (of, name))
        })
    }

    /// The names of arguments whose memory a result may share, and of those that are changed in place.
    pub fn shared_and_changed(&self) -> (Vec<&str>, Vec<&str>) {
        let named = |mark: &str| self.declared().filter(|(of, _)| of.contains(mark)).map(|(_, name)| name).collect();
        // "Tensor(a!) self" is changed; "-> Tensor(a)" shares with "Tensor(a) self".
        let changed = named("!)");
        let shared = if self.halves().1.contains('(') { named("(") } else { Vec::new() };
        (shared, changed)
    }

    /// Its results. What is not given is as the schema defaults it.
    ///
    /// # Errors
    /// In libtorch's words, on a line: an argument that is unknown or missing, or whatever it refuses.
    pub fn call(&self, arguments: &[(&CStr, Value)]) -> Result<Vec<Value>> {
        // What the raw arguments point to.
        let pointers: Vec<Vec<*const c_void>> = arguments.iter().map(|(_, value)| pointers(value)).collect();
        let raw: Vec<RawArgument> = arguments
            .iter()
            .zip(&pointers)
            .map(|((name, value), pointers)| RawArgument { name: name.as_ptr(), value: raw(value, pointers) })
            .collect();
        let nothing = Raw { kind: NONE, index: 0, whole: 0, real: 0.0, items: ptr::null(), count: 0 };
        let (mut results, mut found) = ([nothing; MOST_RESULTS], 0);
        // SAFETY: the arguments and what they point to outlive the call; as many results fit as are announced.
        let error = unsafe {
            text(hw1_call(self.handle, raw.as_ptr(), raw.len(), results.as_mut_ptr(), MOST_RESULTS, &mut found))
        };
        // SAFETY: `found` results were written, each to be taken over once.
        let values = results[..found].iter().map(|raw| unsafe { taken(raw) }).collect();
        match error {
            Some(error) => bail!("{}", error.lines().next().unwrap_or("libtorch says nothing of what went wrong")),
            None => Ok(values),
        }
    }
}

/// A text that C made, freed.
///
/// # Safety
/// It is null or one of dispatch.cpp's.
unsafe fn text(raw: *mut c_char) -> Option<String> {
    if raw.is_null() {
        return None;
    }
    // SAFETY: a text that ends in 0, and is the caller's.
    unsafe {
        let text = CStr::from_ptr(raw).to_string_lossy().into_owned();
        hw1_free(raw.cast());
        Some(text)
    }
}

/// Of a list of tensors where each is; null for none.
fn pointers(value: &Value) -> Vec<*const c_void> {
    match value {
        Value::Tensors(tensors) => {
            tensors.iter().map(|tensor| tensor.as_ref().map_or(ptr::null(), |tensor| tensor.as_ptr().cast())).collect()
        }
        _ => Vec::new(),
    }
}

fn raw(value: &Value, pointers: &[*const c_void]) -> Raw {
    let of = |kind, items: *const c_void, count| Raw { kind, index: 0, whole: 0, real: 0.0, items, count };
    let whole = |kind, whole| Raw { whole, ..of(kind, ptr::null(), 0) };
    match value {
        Value::None => of(NONE, ptr::null(), 0),
        Value::Tensor(tensor) => of(TENSOR, tensor.as_ptr().cast(), 1),
        Value::Tensors(_) => of(TENSORS, pointers.as_ptr().cast(), pointers.len()),
        Value::Int(number) => whole(INT, *number),
        Value::Ints(numbers) => of(INTS, numbers.as_ptr().cast(), numbers.len()),
        Value::Float(real) => Raw { real: *real, ..of(FLOAT, ptr::null(), 0) },
        Value::Floats(numbers) => of(FLOATS, numbers.as_ptr().cast(), numbers.len()),
        Value::Bool(is) => whole(BOOL, i64::from(*is)),
        // A bool is a byte, 0 or 1.
        Value::Bools(are) => of(BOOLS, are.as_ptr().cast(), are.len()),
        Value::Text(text) => of(TEXT, text.as_ptr().cast(), text.len()),
        Value::Device(device) => {
            // c10::DeviceType, and which of them.
            let (kind, index) = match device {
                Device::Cuda(index) => (1, *index as i32),
                _ => (0, -1),
            };
            Raw { index, ..whole(DEVICE, kind) }
        }
    }
}

/// A result, taken over.
///
/// # Safety
/// It was written by `hw1_call`, and is taken once.
unsafe fn taken(raw: &Raw) -> Value {
    // SAFETY: a tensor that is the caller's.
    let tensor = |items: *const c_void| unsafe { Tensor::from_ptr(items.cast_mut().cast::<C_tensor>()) };
    match raw.kind {
        TENSOR => Value::Tensor(tensor(raw.items)),
        TENSORS => {
            // SAFETY: so many pointers, in memory that is the caller's.
            let tensors = unsafe { std::slice::from_raw_parts(raw.items.cast::<*const c_void>(), raw.count) };
            let tensors = tensors.iter().map(|&items| Some(tensor(items))).collect();
            // SAFETY: as above; the tensors are taken over.
            unsafe { hw1_free(raw.items.cast_mut()) };
            Value::Tensors(tensors)
        }
        INT => Value::Int(raw.whole),
        FLOAT => Value::Float(raw.real),
        BOOL => Value::Bool(raw.whole != 0),
        _ => Value::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, overload: &str, arguments: Vec<(&CStr, Value)>) -> Result<Vec<Value>> {
        Operator::find(name, overload).unwrap().call(&arguments)
    }

    fn one(results: Vec<Value>) -> Tensor {
        match results.into_iter().next() {
            Some(Value::Tensor(tensor)) => tensor,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn operators_are_called_by_name_with_defaults_of_their_schema() {
        let x = Tensor::from_slice(&[1.0, 2.0]);
        let tensor = |x: &Tensor| Value::Tensor(x.shallow_clone());
        let sum = call("aten::add", "Tensor", vec![(c"other", tensor(&x)), (c"self", tensor(&x))]).unwrap();
        assert_eq!(one(sum), &x * 2.0);
        let scaled = [(c"self", tensor(&x)), (c"other", tensor(&x)), (c"alpha", Value::Float(0.5))];
        assert_eq!(one(Operator::find("aten::add", "Tensor").unwrap().call(&scaled).unwrap()), &x * 1.5);
        let parts = call("aten::split", "Tensor", vec![(c"self", tensor(&x)), (c"split_size", Value::Int(1))]).unwrap();
        assert!(matches!(&parts[..], [Value::Tensors(parts)] if parts.len() == 2));
        let both = call("aten::max", "dim", vec![(c"self", tensor(&x)), (c"dim", Value::Int(0))]).unwrap();
        assert_eq!(both.len(), 2);
        let picked = Value::Tensors(vec![Some(Tensor::from_slice(&[1i64]))]);
        let picked = call("aten::index", "Tensor", vec![(c"self", tensor(&x)), (c"indices", picked)]).unwrap();
        assert_eq!(one(picked), Tensor::from_slice(&[2.0]));
        let made = vec![
            (c"size", Value::Ints(vec![2, 3])),
            (c"dtype", Value::Int(number(Kind::Double))),
            (c"device", Value::Device(Device::Cpu)),
        ];
        let made = one(call("aten::ones", "", made).unwrap());
        assert_eq!((made.size(), made.kind()), (vec![2, 3], Kind::Double));
        let text = vec![
            (c"self", tensor(&x)),
            (c"other", Value::Tensor(Tensor::from(0.75))),
            (c"rounding_mode", Value::Text("floor".into())),
        ];
        assert_eq!(one(call("aten::div", "Tensor_mode", text).unwrap()), Tensor::from_slice(&[1.0, 2.0]));
    }

    #[test]
    fn what_libtorch_refuses_is_an_error_of_a_line() {
        assert!(Operator::find("aten::no_such", "").is_none() && Operator::find("aten::add", "none").is_none());
        let x = || Value::Tensor(Tensor::from_slice(&[1.0, 2.0]));
        for (arguments, words) in [
            (vec![(c"self", x())], "argument 'other' is missing"),
            (vec![(c"self", x()), (c"other", x()), (c"beta", Value::Int(1))], "does not have"),
            (vec![(c"self", x()), (c"other", Value::Text("x".into()))], ""),
            (vec![(c"self", x()), (c"other", Value::Tensor(Tensor::from_slice(&[1.0; 3])))], "must match the size"),
        ] {
            let error = call("aten::add", "Tensor", arguments).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains('\n') && !error.is_empty(), "{error}");
        }
    }

    #[test]
    fn schemas_name_arguments_and_say_what_is_random() {
        let names = |name: &str, overload: &str| -> Vec<String> {
            Operator::find(name, overload).unwrap().arguments().map(str::to_owned).collect()
        };
        assert_eq!(names("aten::add_", "Tensor"), ["self", "other", "alpha"]);
        assert_eq!(names("aten::conv2d", ""), ["input", "weight", "bias", "stride", "padding", "dilation", "groups"]);
        assert_eq!(names("aten::div", "Tensor_mode"), ["self", "other", "rounding_mode"]);
        let of = |name: &str, overload: &str| Operator::find(name, overload).unwrap().shared_and_changed();
        assert_eq!(of("aten::add_", "Tensor"), (vec!["self"], vec!["self"]));
        assert_eq!(of("aten::transpose", "int"), (vec!["self"], vec![]));
        assert_eq!(of("aten::add", "Tensor"), (vec![], vec![]));
        assert_eq!(of("aten::unbind", "int").0, ["self"]);
        let is_random = |name: &str, overload| Operator::find(name, overload).unwrap().is_random;
        assert!(is_random("aten::rand", "") && is_random("aten::dropout", "") && !is_random("aten::relu", ""));
    }
}
