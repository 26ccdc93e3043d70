//! Classifiers of digits, fully connected or convolutional, through libtorch.

use super::{Layout, Mlp};
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;
use tch::{Device, Kind, Tensor};

/// A classifier of 28×28 digits: a fully connected network, `784-128-64-10`, or a convolutional one,
/// `conv16-conv32-128-10`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Classifier {
    Mlp(Mlp),
    Cnn(Cnn),
}

/// Convolutions of 3×3 with padding 1, each with ReLU and 2×2 max pooling, then linear layers with ReLU between them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cnn {
    /// Output channels of each convolution.
    pub(super) channels: Vec<i64>,
    /// From the flattened last pooling to the classes.
    pub(super) head: Mlp,
}

impl Cnn {
    /// Output channels of each convolution.
    pub fn channels(&self) -> &[i64] {
        &self.channels
    }

    /// The linear layers, from the flattened last pooling to the classes.
    pub fn head(&self) -> &Mlp {
        &self.head
    }
}

/// Rows and columns of a digit, and its classes.
pub(super) const SIDE: i64 = 28;
pub(super) const CLASSES: i64 = 10;

impl Classifier {
    pub fn layout(&self) -> Layout {
        match self {
            Self::Mlp(mlp) => mlp.layout(),
            Self::Cnn(cnn) => {
                let mut layout = Layout::default();
                let mut inputs = 1;
                for (index, &outputs) in cnn.channels.iter().enumerate() {
                    let fan_in = inputs * 9;
                    layout.push(format!("conv{}.weight", index + 1), &[outputs, inputs, 3, 3], fan_in);
                    layout.push(format!("conv{}.bias", index + 1), &[outputs], fan_in);
                    inputs = outputs;
                }
                layout.append(cnn.head.layout());
                layout
            }
        }
    }

    /// About how much memory a step of training over a batch of so many samples takes; in bytes.
    pub fn memory_of_batch(&self, samples: u64) -> u128 {
        let linears = |mlp: &Mlp| mlp.widths.iter().sum::<i64>() + 2 * mlp.widths.iter().max().unwrap_or(&0);
        let numbers = match self {
            Self::Mlp(mlp) => linears(mlp),
            Self::Cnn(cnn) => {
                let (mut side, mut inputs, mut numbers) = (SIDE, 1, linears(&cnn.head));
                for &outputs in &cnn.channels {
                    // Inputs, and the argmax of the pooling.
                    numbers += inputs * side * side + outputs * (side / 2) * (side / 2);
                    (side, inputs) = (side / 2, outputs);
                }
                // Each of the kernels' blocks of samples has a gradient of its own.
                numbers + (self.layout().parameters() - cnn.head.layout().parameters()) / 16
            }
        };
        4 * u128::from(samples) * numbers.unsigned_abs() as u128
    }

    /// Logits [samples, 10] of `x` [samples, 784]; `slices` are θ's, as the layout cuts it.
    ///
    /// On a CPU in float32 convolutions go through oneDNN's own layout, with pooling before ReLU: equal to the bit by
    /// monotonicity, a quarter of the work, twice as fast. Elsewhere through plain tensors.
    pub fn logits(&self, slices: &[Tensor], x: &Tensor) -> Tensor {
        self.rest(slices, &self.first(slices, x))
    }

    /// The same through plain tensors everywhere: twice differentiable, as oneDNN's layout is not.
    pub fn plain_logits(&self, slices: &[Tensor], x: &Tensor) -> Tensor {
        self.rest(slices, &self.first_by(slices, x, false))
    }

    /// The first layer's output z₁ = W₁x + b₁ of `x` [samples, 784], before ReLU: [samples, width],
    /// or [samples, channels, 28, 28], then in oneDNN's layout where [`Self::logits`] uses that.
    pub fn first(&self, slices: &[Tensor], x: &Tensor) -> Tensor {
        self.first_by(slices, x, x.device() == Device::Cpu && x.kind() == Kind::Float && one_dnn_wanted())
    }

    fn first_by(&self, slices: &[Tensor], x: &Tensor, one_dnn: bool) -> Tensor {
        match self {
            Self::Mlp(_) => x.linear(&slices[0], Some(&slices[1])),
            Self::Cnn(_) => {
                let x = x.view([-1, 1, SIDE, SIDE]);
                convolution(&if one_dnn { x.to_mkldnn() } else { x }, &slices[..2])
            }
        }
    }

    /// The logits [samples, 10] that follow from z₁.
    pub fn rest(&self, slices: &[Tensor], z1: &Tensor) -> Tensor {
        let mut h = z1.shallow_clone();
        let linears = match self {
            Self::Mlp(_) => slices,
            Self::Cnn(cnn) => {
                let (convolutions, head) = slices.split_at(2 * cnn.channels.len());
                h = pool(&h);
                for pair in convolutions[2..].chunks_exact(2) {
                    h = pool(&convolution(&h, pair));
                }
                if h.is_mkldnn() {
                    h = h.to_dense(None, false);
                }
                h = h.flatten(1, -1).linear(&head[0], Some(&head[1]));
                head
            }
        };
        for pair in linears[2..].chunks_exact(2) {
            h = h.relu().linear(&pair[0], Some(&pair[1]));
        }
        h
    }

    /// The first layer's transpose: W₁ᵀδ [samples, 784] of `delta` in z₁'s shape, which turns a
    /// gradient by z₁ into one by x.
    ///
    /// As a matrix product and a sum over the 3×3 outputs that see a pixel: oneDNN has no fast
    /// kernel for the gradient of a single input channel, and takes three times as long.
    pub fn first_transposed(&self, slices: &[Tensor], delta: &Tensor) -> Tensor {
        match self {
            Self::Mlp(_) => delta.matmul(&slices[0]),
            Self::Cnn(cnn) => {
                let delta = if delta.is_mkldnn() { delta.to_dense(None, false) } else { delta.shallow_clone() };
                let taps = slices[0].view([cnn.channels[0], 9]).tr();
                let columns = taps.matmul(&delta.flatten(2, -1));
                columns.col2im([SIDE, SIDE], [3, 3], [1, 1], [1, 1], [1, 1]).flatten(1, -1)
            }
        }
    }
}

/// 3×3 with padding 1; `pair` is weight and bias.
fn convolution(h: &Tensor, pair: &[Tensor]) -> Tensor {
    h.conv2d(&pair[0], Some(&pair[1]), 1, 1, 1, 1)
}

fn pool(h: &Tensor) -> Tensor {
    h.max_pool2d(2, 2, 0, 1, false).relu()
}

/// `HW1_ONEDNN_LAYOUT=0` sends convolutions through plain tensors, for comparison.
pub fn one_dnn_wanted() -> bool {
    static WANTED: OnceLock<bool> = OnceLock::new();
    *WANTED.get_or_init(|| std::env::var_os("HW1_ONEDNN_LAYOUT").is_none_or(|value| value != "0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batchs_memory_is_that_of_its_layers() {
        let of = |text: &str| text.parse::<Classifier>().unwrap().memory_of_batch(1000);
        // 784 + 100 + 10 outputs, and two deltas of the widest.
        assert_eq!(of("784-100-10"), 4 * 1000 * (894 + 2 * 784));
        let small = of("conv8-conv16-128-10");
        assert!(of("conv16-conv32-128-10") > 3 * small / 2 && small > of("784-128-10"));
        assert!(of("conv4096-10") > 1 << 32);
    }

    #[test]
    fn one_dnns_layout_gives_the_plain_losses_and_gradients() {
        let model: Classifier = "conv5-conv15-32-10".parse().unwrap();
        let layout = model.layout();
        let theta = layout.initial(1, "onednn", Kind::Float, Device::Cpu);
        let x = Tensor::linspace(-3.0, 5.0, 32 * 784, (Kind::Float, Device::Cpu)).sin().view([32, 784]);
        let labels = Tensor::arange(32, (Kind::Int64, Device::Cpu)).remainder(10);
        let by = |one_dnn| {
            let slices: Vec<Tensor> =
                layout.views(&theta).iter().map(|slice| slice.detach().set_requires_grad(true)).collect();
            let logits = model.rest(&slices, &model.first_by(&slices, &x, one_dnn));
            let loss = logits.cross_entropy_for_logits(&labels);
            (loss.double_value(&[]), Tensor::run_backward(&[&loss], &slices, false, false))
        };
        let ((plain_loss, plain), (loss, fast)) = (by(false), by(true));
        assert!((loss - plain_loss).abs() <= 1e-6 * plain_loss, "{loss} against {plain_loss}");
        for (fast, plain) in fast.iter().zip(&plain) {
            let error = (fast - plain).norm().double_value(&[]) / plain.norm().double_value(&[]);
            assert!(error < 1e-5, "{error}");
        }
    }

    #[test]
    fn first_transposed_is_autograds() {
        for model in ["conv5-32-10", "784-6-10", "784-10"] {
            let model: Classifier = model.parse().unwrap();
            let layout = model.layout();
            let slices = layout.views(&layout.initial(1, "transposed", Kind::Float, Device::Cpu));
            let x = Tensor::linspace(-3.0, 5.0, 4 * 784, (Kind::Float, Device::Cpu)).sin().view([4, 784]);
            let x = x.set_requires_grad(true);
            let z1 = model.first_by(&slices, &x, false);
            let delta = Tensor::linspace(0.0, 9.0, z1.numel() as i64, (Kind::Float, Device::Cpu)).cos().view_as(&z1);
            let expected = Tensor::run_backward(&[(z1 * &delta).sum(Kind::Float)], &[&x], false, false).remove(0);
            let error = (model.first_transposed(&slices, &delta) - &expected).norm().double_value(&[]);
            assert!(error < 1e-5 * expected.norm().double_value(&[]), "{model}: {error}");
        }
    }
}
