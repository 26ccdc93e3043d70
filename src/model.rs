//! Models as pure functions of one flat θ: an architecture, and the layout that names each slice
//! of θ as PyTorch would (`fc1.weight`, `fc1.bias`). Knows nothing of losses or training.

use crate::rng::{Purpose, Rng};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use tch::{Device, Kind, Tensor};

/// A fully connected ReLU network by its widths, written `1-20-30-1`: linear layers between
/// neighbouring widths, ReLU after each but the last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mlp {
    widths: Vec<i64>,
}

/// More parameters than this are a slip of the pen, not a network for this tool.
const MOST_PARAMETERS: i64 = 10_000_000;

impl FromStr for Mlp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let explain = |what: &str| {
            format!("model '{}': {what}; write the widths from input to output, like 1-20-30-1", shorten(text))
        };
        let mut widths = Vec::new();
        for part in text.split('-') {
            let width: i64 = part
                .parse()
                .ok()
                .filter(|_| part.bytes().all(|b| b.is_ascii_digit()))
                .ok_or_else(|| explain(&format!("'{}' is not a width", shorten(part))))?;
            if width == 0 {
                return Err(explain("a width of 0"));
            }
            widths.push(width);
        }
        if widths.len() < 2 {
            return Err(explain("it needs an input and an output"));
        }
        let parameters = widths
            .windows(2)
            .try_fold(0i64, |sum, pair| pair[0].checked_add(1)?.checked_mul(pair[1])?.checked_add(sum));
        match parameters {
            Some(count) if count <= MOST_PARAMETERS => Ok(Self { widths }),
            _ => Err(explain("more than 10 million parameters")),
        }
    }
}

/// Names from the user appear in error messages: long ones are cut.
fn shorten(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST).chain(['…']).collect() }
}

impl TryFrom<String> for Mlp {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Mlp> for String {
    fn from(model: Mlp) -> Self {
        model.to_string()
    }
}

impl fmt::Display for Mlp {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let words: Vec<String> = self.widths.iter().map(i64::to_string).collect();
        f.write_str(&words.join("-"))
    }
}

impl Mlp {
    #[must_use]
    pub fn widths(&self) -> &[i64] {
        &self.widths
    }

    /// `fc1.weight` [out, in], `fc1.bias` [out], `fc2.weight` …, in PyTorch's order.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        for (index, pair) in self.widths.windows(2).enumerate() {
            let (fan_in, fan_out) = (pair[0], pair[1]);
            layout.push(format!("fc{}.weight", index + 1), &[fan_out, fan_in], fan_in);
            layout.push(format!("fc{}.bias", index + 1), &[fan_out], fan_in);
        }
        layout
    }

    /// The network's outputs, [outputs, samples], for `x` [inputs, samples].
    ///
    /// Feature-major, the transpose of PyTorch's: on narrow networks its long contiguous rows
    /// make every kernel 2-4 times as fast. Differentiable in `theta`.
    pub fn forward(&self, theta: &Tensor, x: &Tensor) -> Tensor {
        let layout = self.layout();
        let last = self.widths.len() - 2;
        let mut h = x.shallow_clone();
        for layer in 0..=last {
            let weight = layout.view(theta, 2 * layer);
            let bias = layout.view(theta, 2 * layer + 1).unsqueeze(1);
            h = bias.addmm(&weight, &h);
            if layer < last {
                h = h.relu();
            }
        }
        h
    }
}

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
    #[must_use]
    pub fn len(&self) -> i64 {
        self.shape.iter().product()
    }

    #[must_use]
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
    fn push(&mut self, name: String, shape: &[i64], fan_in: i64) {
        let offset = self.parameters();
        self.slots.push(Slot { name, shape: shape.to_vec(), offset, fan_in });
    }

    /// The length of θ.
    #[must_use]
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
    use super::*;

    fn mlp(text: &str) -> Mlp {
        text.parse().unwrap()
    }

    #[test]
    fn architectures_parse_print_and_count() {
        let model = mlp("1-20-30-1");
        assert_eq!(model.widths(), [1, 20, 30, 1]);
        assert_eq!(model.to_string(), "1-20-30-1");
        assert_eq!(model.layout().parameters(), 701);
    }

    #[test]
    fn bad_architectures_are_refused_with_a_reason() {
        for (bad, reason) in [
            ("", "'' is not a width"),
            ("1", "input and an output"),
            ("1--1", "'' is not a width"),
            ("1-x-1", "'x' is not a width"),
            ("1-+5-1", "'+5' is not a width"),
            ("1-0-1", "width of 0"),
            ("1-99999999999-1", "10 million"),
            ("1-9223372036854775807-9223372036854775807", "10 million"),
            ("1-99999999999999999999-1", "is not a width"),
        ] {
            let error = bad.parse::<Mlp>().unwrap_err();
            assert!(error.contains(reason), "{bad}: {error}");
        }
        let long = "1-".repeat(5000);
        assert!(long.parse::<Mlp>().unwrap_err().len() < 300);
    }

    #[test]
    fn layout_names_slices_as_pytorch_does() {
        let layout = mlp("2-3-1").layout();
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
    fn forward_is_the_textbook_network() {
        // 2-2-1 by hand: z = W x + b, h = max(z, 0), y = v·h + c.
        let theta = Tensor::from_slice(&[1.0, -1.0, 0.5, 2.0, 0.1, -3.0, 2.0, -1.0, 0.25]);
        let x = Tensor::from_slice(&[1.0, 2.0, 0.5, 1.0]).view([2, 2]); // samples (1, 0.5), (2, 1)
        let y: Vec<f64> = mlp("2-2-1").forward(&theta, &x).view(-1).try_into().unwrap();
        // z1 = 1-0.5+0.1 = 0.6, 2-1+0.1 = 1.1; z2 = 0.5+1-3 < 0, 1+2-3 = 0.
        assert!((y[0] - 1.45).abs() < 1e-15 && (y[1] - 2.45).abs() < 1e-15, "{y:?}");
    }

    #[test]
    fn initial_weights_are_uniform_within_one_over_root_fan_in() {
        let layout = mlp("4-5000-9-1").layout();
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
