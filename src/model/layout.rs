//! How θ is cut into named tensors, and what it begins as.

use crate::rng::{Purpose, Rng};
use tch::{Device, Kind, Tensor};

/// One named slice of θ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    pub name: String,
    pub shape: Vec<i64>,
    pub offset: i64,
    /// Inputs of the unit that the slice belongs to; sets the range of its initial values.
    pub fan_in: i64,
}

impl Slot {
    pub fn len(&self) -> i64 {
        self.shape.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How θ is cut into named tensors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    pub slots: Vec<Slot>,
}

impl Layout {
    pub(super) fn push(&mut self, name: String, shape: &[i64], fan_in: i64) {
        let offset = self.parameters();
        self.slots.push(Slot { name, shape: shape.to_vec(), offset, fan_in });
    }

    /// Adds another layout's slices behind its own.
    pub(super) fn append(&mut self, other: Self) {
        for slot in other.slots {
            self.push(slot.name, &slot.shape, slot.fan_in);
        }
    }

    /// All slices of `theta`, sharing memory.
    pub fn views(&self, theta: &Tensor) -> Vec<Tensor> {
        (0..self.slots.len()).map(|index| self.view(theta, index)).collect()
    }

    /// The length of θ.
    pub fn parameters(&self) -> i64 {
        self.slots.last().map_or(0, |slot| slot.offset + slot.len())
    }

    /// Slice `index` of `theta` in its own shape, sharing memory.
    pub fn view(&self, theta: &Tensor, index: usize) -> Tensor {
        let slot = &self.slots[index];
        theta.narrow(0, slot.offset, slot.len()).view(slot.shape.as_slice())
    }

    /// Initial θ by PyTorch's default for `nn.Linear` and `nn.Conv2d`: weights and biases uniform
    /// in ±1/√fan_in (Kaiming uniform with a = √5).
    ///
    /// `trial` names what shares its starting point: see [`Rng::keyed`].
    pub fn initial(&self, seed: u64, trial: &str, kind: Kind, device: Device) -> Tensor {
        let mut rng = Rng::keyed(seed, trial, Purpose::InitialWeights, 0);
        let mut values = Vec::new();
        for slot in &self.slots {
            let bound = 1.0 / (slot.fan_in as f64).sqrt();
            values.extend((0..slot.len()).map(|_| rng.uniform_in(-bound, bound)));
        }
        Tensor::from_slice(&values).to_kind(kind).to_device(device)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Mlp;
    use super::*;

    #[test]
    fn layout_names_slices_as_pytorch_does() {
        let layout = "2-3-1".parse::<Mlp>().unwrap().layout();
        let names: Vec<_> = layout.slots.iter().map(|s| (s.name.as_str(), s.shape.as_slice(), s.offset)).collect();
        assert_eq!(
            names,
            [
                ("fc1.weight", &[3, 2][..], 0),
                ("fc1.bias", &[3][..], 6),
                ("fc2.weight", &[1, 3][..], 9),
                ("fc2.bias", &[1][..], 12)
            ]
        );
    }

    #[test]
    fn initial_weights_are_uniform_within_one_over_root_fan_in() {
        let layout = "4-5000-9-1".parse::<Mlp>().unwrap().layout();
        let theta = layout.initial(0, "test", Kind::Double, Device::Cpu);
        assert_eq!(theta, layout.initial(0, "test", Kind::Double, Device::Cpu));
        assert_ne!(theta, layout.initial(1, "test", Kind::Double, Device::Cpu));
        for (index, slot) in layout.slots.iter().enumerate() {
            let bound = 1.0 / (slot.fan_in as f64).sqrt();
            let mut values: Vec<f64> = layout.view(&theta, index).reshape(-1).try_into().unwrap();
            assert!(values.iter().all(|v| v.abs() <= bound), "{}", slot.name);
            if slot.len() < 1000 {
                continue;
            }
            // Kolmogorov-Smirnov against the uniform distribution, at the level of 1e-4.
            values.sort_by(f64::total_cmp);
            let n = values.len() as f64;
            let distance = values
                .iter()
                .enumerate()
                .map(|(i, v)| ((v / bound + 1.0) / 2.0 - (i as f64 + 0.5) / n).abs())
                .fold(0.0, f64::max);
            assert!(distance < 2.23 / n.sqrt(), "{}: {distance}", slot.name);
        }
    }
}
