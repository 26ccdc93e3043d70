//! Named tensors as bytes, and the safetensors files that hold them. A leaf: knows nothing of what they mean.

use anyhow::{Context as _, Result, bail, ensure};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::{BTreeMap, HashMap};
use tch::{Device, Kind, Tensor};

/// By name; a file holds them in this order, so that equal ones give equal bytes.
pub type Tensors = BTreeMap<String, NamedTensor>;

/// One tensor on its way to or from a file: kind, shape and little-endian bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    pub kind: Kind,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// Those that are written are the first three; files of others have the rest, too.
const KINDS: [(Kind, Dtype); 10] = [
    (Kind::Float, Dtype::F32),
    (Kind::Double, Dtype::F64),
    (Kind::Int64, Dtype::I64),
    (Kind::Half, Dtype::F16),
    (Kind::BFloat16, Dtype::BF16),
    (Kind::Int, Dtype::I32),
    (Kind::Int16, Dtype::I16),
    (Kind::Int8, Dtype::I8),
    (Kind::Uint8, Dtype::U8),
    (Kind::Bool, Dtype::BOOL),
];

impl NamedTensor {
    /// A copy of a tensor, on whatever device.
    pub fn copy_of(tensor: &Tensor) -> Result<Self> {
        let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
        let kind = tensor.f_kind()?;
        let mut bytes = vec![0; tensor.numel() * kind.elt_size_in_bytes()];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        let shape = tensor.size().into_iter().map(usize::try_from).collect::<Result<_, _>>()?;
        Ok(Self { kind, shape, bytes })
    }

    /// [n], exact whatever the numbers are.
    pub fn of_numbers(numbers: &[f64]) -> Self {
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        Self { kind: Kind::Double, shape: vec![numbers.len()], bytes }
    }

    /// One whole number, of shape [].
    pub fn of_count(count: u64) -> Self {
        Self { kind: Kind::Int64, shape: Vec::new(), bytes: count.to_le_bytes().to_vec() }
    }

    /// What [`Self::of_numbers`] was given.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        let (numbers, rest) = self.bytes.as_chunks::<8>();
        let fits = self.kind == Kind::Double && self.shape.len() == 1 && rest.is_empty();
        fits.then(|| numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
    }

    /// What [`Self::of_count`] was given.
    pub fn count(&self) -> Option<u64> {
        let bytes = (self.kind == Kind::Int64).then(|| self.bytes.as_slice().try_into().ok())??;
        Some(u64::from_le_bytes(bytes))
    }

    /// A tensor of these numbers, on the CPU.
    ///
    /// # Errors
    /// Where there are more or fewer bytes than kind and shape say; and libtorch's.
    pub fn tensor(&self) -> Result<Tensor> {
        let numbers = self.shape.iter().try_fold(1usize, |product, &length| product.checked_mul(length));
        let bytes = numbers.and_then(|numbers| numbers.checked_mul(self.kind.elt_size_in_bytes()));
        // libtorch copies as many bytes as the shape says, wherever they end.
        ensure!(
            bytes == Some(self.bytes.len()),
            "{} bytes are no tensor of shape {:?} and kind {:?}",
            self.bytes.len(),
            self.shape,
            self.kind
        );
        let shape: Vec<i64> = self.shape.iter().map(|&length| i64::try_from(length)).collect::<Result<_, _>>()?;
        Ok(Tensor::f_from_data_size(&self.bytes, &shape, self.kind)?)
    }

    /// Writes it over a tensor of its kind and shape.
    ///
    /// # Errors
    /// Where kind or shape differ; and those of [`Self::tensor`].
    pub fn write_over(&self, tensor: &Tensor) -> Result<()> {
        let shape: Vec<i64> = self.shape.iter().map(|&length| i64::try_from(length)).collect::<Result<_, _>>()?;
        ensure!(
            shape == tensor.size() && self.kind == tensor.kind(),
            "{:?} {shape:?} is not {:?} {:?}",
            self.kind,
            tensor.kind(),
            tensor.size()
        );
        let _no_grad = tch::no_grad_guard();
        tensor.shallow_clone().f_copy_(&self.tensor()?)?;
        Ok(())
    }

    /// Whether all its numbers are finite.
    pub fn is_finite(&self) -> bool {
        match self.kind {
            Kind::Float => self.bytes.as_chunks::<4>().0.iter().all(|bytes| f32::from_le_bytes(*bytes).is_finite()),
            Kind::Double => self.bytes.as_chunks::<8>().0.iter().all(|bytes| f64::from_le_bytes(*bytes).is_finite()),
            _ => true,
        }
    }
}

/// The safetensors file of these tensors, with a text beside them under `note`.
///
/// # Errors
/// Where a tensor is of a kind that has no place here.
pub fn encode(tensors: &Tensors, note: Option<&str>) -> Result<Vec<u8>> {
    encode_each(tensors, note)
}

/// The same of tensors that stand in several places.
pub(super) fn encode_each<'a>(
    tensors: impl IntoIterator<Item = (&'a String, &'a NamedTensor)>,
    note: Option<&str>,
) -> Result<Vec<u8>> {
    let mut views = Vec::new();
    for (name, tensor) in tensors {
        let Some((_, dtype)) = KINDS.iter().find(|(kind, _)| *kind == tensor.kind) else {
            bail!("{name}: tensors of kind {:?} have no place in a file", tensor.kind);
        };
        views.push((name, TensorView::new(*dtype, tensor.shape.clone(), &tensor.bytes)?));
    }
    let note = note.map(|note| HashMap::from([("note".to_owned(), note.to_owned())]));
    Ok(safetensors::serialize(views, note)?)
}

/// The tensors of a safetensors file, and its note. What its header says is held against the bytes
/// that are there before any memory is taken for it.
///
/// # Errors
/// Where the bytes are no such file, or hold tensors of other kinds.
pub fn decode(bytes: &[u8]) -> Result<(Tensors, Option<String>)> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let note = header.metadata().as_ref().and_then(|texts| texts.get("note").cloned());
    let mut tensors = Tensors::new();
    for (name, view) in SafeTensors::deserialize(bytes)?.iter() {
        let kind = KINDS.iter().find(|(_, dtype)| *dtype == view.dtype());
        let (kind, _) = kind.with_context(|| format!("{name} is of type {:?}", view.dtype()))?;
        let tensor = NamedTensor { kind: *kind, shape: view.shape().to_vec(), bytes: view.data().to_vec() };
        tensors.insert(name.to_owned(), tensor);
    }
    Ok((tensors, note))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_what_the_shape_says_make_no_tensor() {
        let whole = NamedTensor { kind: Kind::Float, shape: vec![2, 3], bytes: vec![0; 24] };
        assert_eq!(whole.tensor().unwrap().size(), [2, 3]);
        let target = Tensor::ones([2, 3], (Kind::Float, Device::Cpu));
        whole.write_over(&target).unwrap();
        assert_eq!(target.sum(Kind::Float).double_value(&[]), 0.0);

        for bytes in [0, 4, 23, 25, 48] {
            let other = NamedTensor { bytes: vec![0; bytes], ..whole.clone() };
            assert!(other.tensor().unwrap_err().to_string().contains("[2, 3]"), "{bytes}");
            assert!(other.write_over(&target).is_err(), "{bytes}");
        }
        for shape in [vec![usize::MAX], vec![usize::MAX, 2], vec![1 << 62, 8], vec![1 << 40]] {
            let other = NamedTensor { shape, ..whole.clone() };
            assert!(other.tensor().is_err(), "{:?}", other.shape);
        }
        let nothing = NamedTensor { kind: Kind::Double, shape: vec![0, 7], bytes: Vec::new() };
        assert_eq!(nothing.tensor().unwrap().size(), [0, 7]);
    }
}
