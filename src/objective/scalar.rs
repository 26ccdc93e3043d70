//! A number that may still be on its way on a device: who reads it waits for all that was asked of the device before.

use anyhow::Result;
use std::ops::{Add, Div};
use tch::{Device, Kind, Tensor};

/// One number, here or still on a device.
#[derive(Debug)]
pub enum Scalar {
    Host(f64),
    /// Of one element, without a graph.
    Device(Tensor),
}

impl From<f64> for Scalar {
    fn from(value: f64) -> Self {
        Self::Host(value)
    }
}

/// Of a tensor of one element, no other: on the CPU it is read at once, elsewhere it stays where it is.
impl From<Tensor> for Scalar {
    fn from(tensor: Tensor) -> Self {
        if tensor.device() == Device::Cpu { Self::Host(tensor.double_value(&[])) } else { Self::Device(tensor) }
    }
}

impl Scalar {
    /// The number, where that needs no waiting; else NaN.
    pub fn if_here(&self) -> f64 {
        if let Self::Host(value) = self { *value } else { f64::NAN }
    }

    /// The number; waits for the device. Many are read faster by [`read_all`].
    pub fn get(&self) -> Result<f64> {
        match self {
            Self::Host(value) => Ok(*value),
            Self::Device(tensor) => Ok(tensor.f_double_value(&[])?),
        }
    }
}

/// In float64, wherever it is.
impl Add for Scalar {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        match (self, other) {
            (Self::Host(a), Self::Host(b)) => Self::Host(a + b),
            (Self::Host(a), Self::Device(b)) | (Self::Device(b), Self::Host(a)) => {
                Self::Device(b.to_kind(Kind::Double) + a)
            }
            (Self::Device(a), Self::Device(b)) => Self::Device(a.to_kind(Kind::Double) + b.to_kind(Kind::Double)),
        }
    }
}

/// In float64, wherever it is.
impl Div<f64> for Scalar {
    type Output = Self;

    fn div(self, divisor: f64) -> Self {
        match self {
            Self::Host(value) => Self::Host(value / divisor),
            Self::Device(tensor) => Self::Device(tensor.to_kind(Kind::Double) / divisor),
        }
    }
}

/// The numbers in their order; those on a device, which must be one, come by one transfer.
pub fn read_all(scalars: &[Scalar]) -> Result<Vec<f64>> {
    let (mut values, mut places, mut waiting) = (Vec::with_capacity(scalars.len()), Vec::new(), Vec::new());
    for (place, scalar) in scalars.iter().enumerate() {
        values.push(match scalar {
            Scalar::Host(value) => *value,
            Scalar::Device(tensor) => {
                places.push(place);
                waiting.push(tensor.f_to_kind(Kind::Double)?.f_reshape([0; 0])?);
                f64::NAN
            }
        });
    }
    if !waiting.is_empty() {
        let read: Vec<f64> = Tensor::f_stack(&waiting, 0)?.f_to_device(Device::Cpu)?.try_into()?;
        places.into_iter().zip(read).for_each(|(place, value)| values[place] = value);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As if it were on a device.
    fn far(value: f64, kind: Kind) -> Scalar {
        Scalar::Device(Tensor::from(value).to_kind(kind))
    }

    #[test]
    fn a_tensor_on_the_cpu_is_read_at_once() {
        let number = Tensor::from(0.1f32);
        let scalar = Scalar::from(number.shallow_clone());
        let _ = number.shallow_clone().fill_(7.0);
        assert!(matches!(scalar, Scalar::Host(value) if value == f64::from(0.1f32)), "{scalar:?}");
    }

    #[test]
    fn numbers_come_in_their_order_wherever_they_are() {
        let scalars = [
            far(0.1, Kind::Float),
            2.5.into(),
            far(1e300, Kind::Double),
            far(f64::NAN, Kind::Float),
            far(3.0, Kind::Int64),
        ];
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let expected = [f64::from(0.1f32), 2.5, 1e300, f64::NAN, 3.0];
        assert_eq!(bits(&read_all(&scalars).unwrap()), bits(&expected));
        assert_eq!(bits(&scalars.map(|scalar| scalar.get().unwrap())), bits(&expected));
        assert!(read_all(&[]).unwrap().is_empty());
        // Of one element, in whatever shape.
        assert_eq!(read_all(&[Scalar::Device(Tensor::from_slice(&[4.0])), 5.0.into()]).unwrap(), [4.0, 5.0]);
        assert!(read_all(&[Scalar::Device(Tensor::from_slice(&[4.0, 5.0]))]).is_err());
    }

    #[test]
    fn arithmetic_is_that_of_float64_wherever_they_are() {
        let (a, b) = (f64::from(0.1f32), f64::from(0.7f32));
        let both: fn(f64) -> [Scalar; 2] = |value| [value.into(), far(value, Kind::Float)];
        for first in both(a) {
            assert_eq!((first / 3.0).get().unwrap(), a / 3.0);
        }
        for second in [0, 1] {
            for first in both(a) {
                let [here, there] = both(b);
                let sum = first + if second == 0 { here } else { there };
                assert_eq!(sum.get().unwrap(), a + b);
            }
        }
    }
}
