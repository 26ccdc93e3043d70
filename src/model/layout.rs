//! How θ, and the buffers beside it, are cut into named tensors, and what they begin as.

use crate::rng::{Purpose, Rng};
use tch::{Device, Kind, Tensor};

/// One named slice of θ, or of the buffers.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    pub name: String,
    pub shape: Vec<i64>,
    pub offset: i64,
    pub initial: Initial,
}

/// What the numbers of a slice begin as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initial {
    /// Uniform in ± this.
    Uniform(f64),
    /// Bell-shaped with mean 0 and this standard deviation: [`Rng::bell`].
    Bell(f64),
    /// All the same.
    Constant(f64),
}

impl Initial {
    /// PyTorch's default for weights and biases of `nn.Linear` and `nn.Conv2d`, whose units have so many inputs: uniform
    /// in ±1/√fan_in (Kaiming uniform with a = √5).
    pub fn by_fan_in(fan_in: i64) -> Self {
        Self::Uniform(1.0 / (fan_in as f64).sqrt())
    }
}

impl Slot {
    pub fn len(&self) -> i64 {
        self.shape.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its part of the flat numbers, in its own shape, sharing memory.
    pub fn view(&self, flat: &Tensor) -> Tensor {
        flat.narrow(0, self.offset, self.len()).view(self.shape.as_slice())
    }

    /// Its numbers to begin with.
    fn initial_values(&self, rng: &mut Rng) -> Vec<f64> {
        let mut number = || match self.initial {
            Initial::Uniform(bound) => rng.uniform_in(-bound, bound),
            Initial::Bell(deviation) => deviation * rng.bell(),
            Initial::Constant(value) => value,
        };
        (0..self.len()).map(|_| number()).collect()
    }
}

/// How θ and the buffers are cut into named tensors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    pub slots: Vec<Slot>,
    /// Of the buffers: running means and their like, which no optimizer changes.
    pub buffers: Vec<Slot>,
}

fn end(slots: &[Slot]) -> i64 {
    slots.last().map_or(0, |slot| slot.offset + slot.len())
}

impl Layout {
    /// Adds a slice of θ behind the others.
    pub fn push(&mut self, name: impl Into<String>, shape: &[i64], initial: Initial) {
        self.slots.push(Slot { name: name.into(), shape: shape.to_vec(), offset: self.parameters(), initial });
    }

    /// Adds a buffer behind the others.
    pub fn push_buffer(&mut self, name: impl Into<String>, shape: &[i64], value: f64) {
        let (offset, initial) = (end(&self.buffers), Initial::Constant(value));
        self.buffers.push(Slot { name: name.into(), shape: shape.to_vec(), offset, initial });
    }

    /// Adds another layout's slices behind its own.
    pub fn append(&mut self, other: Self) {
        for slot in other.slots {
            self.push(slot.name, &slot.shape, slot.initial);
        }
        for Slot { name, shape, initial, .. } in other.buffers {
            let offset = end(&self.buffers);
            self.buffers.push(Slot { name, shape, offset, initial });
        }
    }

    /// Slices by the layer that they are of, in their order: what stands before the last dot of their names, or the name.
    pub fn layers(&self) -> Vec<(String, Vec<usize>)> {
        let mut layers: Vec<(String, Vec<usize>)> = Vec::new();
        for (index, slot) in self.slots.iter().enumerate() {
            let layer = slot.name.rsplit_once('.').map_or(slot.name.as_str(), |(layer, _)| layer);
            match layers.iter_mut().find(|(name, _)| name == layer) {
                Some((_, slots)) => slots.push(index),
                None => layers.push((layer.to_owned(), vec![index])),
            }
        }
        layers
    }

    /// All slices of `theta`, sharing memory.
    pub fn views(&self, theta: &Tensor) -> Vec<Tensor> {
        (0..self.slots.len()).map(|index| self.view(theta, index)).collect()
    }

    /// The length of θ.
    pub fn parameters(&self) -> i64 {
        end(&self.slots)
    }

    /// How many numbers the buffers are.
    pub fn buffer_numbers(&self) -> i64 {
        end(&self.buffers)
    }

    /// Slice `index` of `theta` in its own shape, sharing memory.
    pub fn view(&self, theta: &Tensor, index: usize) -> Tensor {
        self.slots[index].view(theta)
    }

    /// The buffers, sharing memory with their flat form.
    pub fn buffer_views(&self, buffers: &Tensor) -> Vec<Tensor> {
        self.buffers.iter().map(|slot| slot.view(buffers)).collect()
    }

    /// Initial θ, slice by slice as [`Slot::initial`] has it.
    ///
    /// `trial` names what shares its starting point: see [`Rng::keyed`].
    pub fn initial(&self, seed: u64, trial: &str, kind: Kind, device: Device) -> Tensor {
        let mut rng = Rng::keyed(seed, trial, Purpose::InitialWeights, 0);
        let values: Vec<f64> = self.slots.iter().flat_map(|slot| slot.initial_values(&mut rng)).collect();
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
    fn layers_are_slices_of_one_module() {
        let mut layout = Layout::default();
        for name in ["cls", "body.0.weight", "body.0.bias", "head.weight", "body.0.scale"] {
            layout.push(name, &[2], Initial::Constant(0.0));
        }
        let layers = layout.layers();
        let layers: Vec<(&str, &[usize])> = layers.iter().map(|(name, slots)| (name.as_str(), &slots[..])).collect();
        assert_eq!(layers, [("cls", &[0][..]), ("body.0", &[1, 2, 4]), ("head", &[3])]);
    }

    #[test]
    fn initial_weights_are_uniform_within_one_over_root_fan_in() {
        let layout = "4-5000-9-1".parse::<Mlp>().unwrap().layout();
        let theta = layout.initial(0, "test", Kind::Double, Device::Cpu);
        assert_eq!(theta, layout.initial(0, "test", Kind::Double, Device::Cpu));
        assert_ne!(theta, layout.initial(1, "test", Kind::Double, Device::Cpu));
        for (index, slot) in layout.slots.iter().enumerate() {
            let bound = 1.0 / f64::sqrt([4.0, 5000.0, 9.0][index / 2]);
            assert_eq!(slot.initial, Initial::Uniform(bound));
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
