//! Fully connected networks.

use super::{Initial, Layout, Network};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// A fully connected ReLU network by its widths, written `1-20-30-1`: linear layers between
/// neighbouring widths, ReLU after each but the last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mlp {
    pub(super) widths: Vec<i64>,
}

impl Mlp {
    pub fn widths(&self) -> &[i64] {
        &self.widths
    }

    /// `fc1.weight` [out, in], `fc1.bias` [out], `fc2.weight` …, in PyTorch's order.
    pub fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        for (index, pair) in self.widths.windows(2).enumerate() {
            let (fan_in, fan_out) = (pair[0], pair[1]);
            let initial = Initial::by_fan_in(fan_in);
            layout.push(format!("fc{}.weight", index + 1), &[fan_out, fan_in], initial);
            layout.push(format!("fc{}.bias", index + 1), &[fan_out], initial);
        }
        layout
    }

    /// The network, of inputs [widths…] and as many outputs as it has.
    pub fn network(&self) -> Network {
        Network::new(self.widths[..1].to_vec(), Vec::new(), self.clone())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forward_is_the_textbook_network() {
        // 2-2-1 by hand: z = W x + b, h = max(z, 0), y = v·h + c.
        let theta = Tensor::from_slice(&[1.0, -1.0, 0.5, 2.0, 0.1, -3.0, 2.0, -1.0, 0.25]);
        let x = Tensor::from_slice(&[1.0, 2.0, 0.5, 1.0]).view([2, 2]); // samples (1, 0.5), (2, 1)
        let y: Vec<f64> = "2-2-1".parse::<Mlp>().unwrap().forward(&theta, &x).view(-1).try_into().unwrap();
        // z1 = 1-0.5+0.1 = 0.6, 2-1+0.1 = 1.1; z2 = 0.5+1-3 < 0, 1+2-3 = 0.
        assert!((y[0] - 1.45).abs() < 1e-15 && (y[1] - 2.45).abs() < 1e-15, "{y:?}");
    }
}
