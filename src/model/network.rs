//! Networks of our grammar, fully connected or convolutional, through libtorch.

use super::{Architecture, Initial, Layout, Mlp, Model, Pass};
use crate::data::Signature;
use anyhow::Result;
use std::fmt;
use std::sync::OnceLock;
use tch::{Device, Kind, Tensor};

/// An [`Architecture`] on a data set: convolutions of 3×3 with padding 1, if any, each with ReLU and 2×2 max pooling,
/// then linear layers with ReLU between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Shape of an input; of one with convolutions [channels, height, width].
    input: Vec<i64>,
    /// Output channels of each convolution.
    convolutions: Vec<i64>,
    /// The linear layers, from the flattened input or last pooling to the outputs.
    head: Mlp,
}

impl Network {
    pub(super) fn new(input: Vec<i64>, convolutions: Vec<i64>, head: Mlp) -> Self {
        Self { input, convolutions, head }
    }

    /// # Errors
    /// Where the text is no architecture, or not one for such a data set.
    pub fn parse(text: &str, data: &Signature) -> Result<Self, String> {
        text.parse::<Architecture>()?.network(data)
    }

    /// Shape of an input.
    pub fn input(&self) -> &[i64] {
        &self.input
    }

    /// Output channels of each convolution.
    pub fn convolutions(&self) -> &[i64] {
        &self.convolutions
    }

    /// The linear layers.
    pub fn head(&self) -> &Mlp {
        &self.head
    }

    /// Of each convolution its input's channels and places, and its output's channels.
    fn conv_sizes(&self) -> Vec<[i64; 3]> {
        let [mut inputs, mut height, mut width] = self.input[..] else { return Vec::new() };
        let mut sizes = Vec::new();
        for &outputs in &self.convolutions {
            sizes.push([inputs, height * width, outputs]);
            (inputs, height, width) = (outputs, height / 2, width / 2);
        }
        sizes
    }

    /// Numbers of an input and of what all layers make of it, before pooling.
    pub fn activations(&self) -> i64 {
        let of_convolutions = self.conv_sizes().into_iter().map(|[_, places, outputs]| places * outputs);
        of_convolutions.chain(self.head.widths.iter().copied()).sum()
    }

    /// Additions and multiplications of each layer on one input.
    pub fn products(&self) -> Vec<f64> {
        let convolutions =
            self.conv_sizes().into_iter().map(|[inputs, places, outputs]| 2 * 9 * inputs * outputs * places);
        let linear = self.head.widths.windows(2).map(|pair| 2 * pair[0] * pair[1]);
        convolutions.chain(linear).map(|products| products as f64).collect()
    }

    /// About how much memory a step of training over a batch of so many samples takes; in bytes.
    pub fn memory_of_batch(&self, samples: u64) -> u128 {
        let widths = &self.head.widths;
        let mut numbers = widths.iter().sum::<i64>() + 2 * widths.iter().max().unwrap_or(&0);
        for [inputs, places, outputs] in self.conv_sizes() {
            // Inputs, and the argmax of the pooling.
            numbers += inputs * places + outputs * (places / 4);
        }
        // Each of the kernels' blocks of samples has a gradient of its own.
        numbers += (self.layout().parameters() - self.head.layout().parameters()) / 16;
        4 * u128::from(samples) * numbers.unsigned_abs() as u128
    }
}

impl Model for Network {
    fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        for (index, [inputs, _, outputs]) in (1..).zip(self.conv_sizes()) {
            let initial = Initial::by_fan_in(inputs * 9);
            layout.push(format!("conv{index}.weight"), &[outputs, inputs, 3, 3], initial);
            layout.push(format!("conv{index}.bias"), &[outputs], initial);
        }
        layout.append(self.head.layout());
        layout
    }

    /// On a CPU in float32 convolutions go through oneDNN's own layout, with pooling before ReLU: equal to the bit by
    /// monotonicity, a quarter of the work, twice as fast. Elsewhere, and where second derivatives are wanted, which
    /// that layout has none of, through plain tensors.
    fn outputs(&self, slices: &[Tensor], _buffers: &[Tensor], x: &Tensor, pass: Pass) -> Result<Tensor> {
        let (convolutions, linear) = slices.split_at(2 * self.convolutions.len());
        let one_dnn = !convolutions.is_empty()
            && pass != Pass::Curvature
            && x.device() == Device::Cpu
            && x.kind() == Kind::Float
            && one_dnn_wanted();
        let mut h = if one_dnn { x.f_to_mkldnn(None::<Kind>)? } else { x.shallow_clone() };
        for pair in convolutions.chunks_exact(2) {
            h = h.f_conv2d(&pair[0], Some(&pair[1]), 1, 1, 1, 1)?.f_max_pool2d(2, 2, 0, 1, false)?.f_relu()?;
        }
        if h.is_mkldnn() {
            h = h.f_to_dense(None, false)?;
        }
        h = h.f_flatten(1, -1)?.f_linear(&linear[0], Some(&linear[1]))?;
        for pair in linear[2..].chunks_exact(2) {
            h = h.f_relu()?.f_linear(&pair[0], Some(&pair[1]))?;
        }
        Ok(h)
    }

    fn network(&self) -> Option<&Network> {
        Some(self)
    }
}

/// As its architecture is written.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        Architecture::of(self).fmt(f)
    }
}

/// `HW1_ONEDNN_LAYOUT=0` sends convolutions through plain tensors, for comparison.
pub fn one_dnn_wanted() -> bool {
    static WANTED: OnceLock<bool> = OnceLock::new();
    *WANTED.get_or_init(|| std::env::var_os("HW1_ONEDNN_LAYOUT").is_none_or(|value| value != "0"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Target;

    fn network(text: &str) -> Network {
        let data = Signature { input: vec![1, 28, 28], tokens: None, target: Target::Classes(10) };
        Network::parse(text, &data).unwrap()
    }

    #[test]
    fn a_batchs_memory_is_that_of_its_layers() {
        let of = |text: &str| network(text).memory_of_batch(1000);
        // 784 + 100 + 10 outputs, and two deltas of the widest.
        assert_eq!(of("784-100-10"), 4 * 1000 * (894 + 2 * 784));
        let small = of("conv8-conv16-128-10");
        assert!(of("conv16-conv32-128-10") > 3 * small / 2 && small > of("784-128-10"));
        assert!(of("conv4096-10") > 1 << 32);
    }

    #[test]
    fn one_dnns_layout_gives_the_plain_losses_and_gradients() {
        let model = network("conv5-conv15-32-10");
        let layout = model.layout();
        let theta = layout.initial(1, "onednn", Kind::Float, Device::Cpu);
        let x = Tensor::linspace(-3.0, 5.0, 32 * 784, (Kind::Float, Device::Cpu)).sin().view([32, 1, 28, 28]);
        let labels = Tensor::arange(32, (Kind::Int64, Device::Cpu)).remainder(10);
        let by = |pass| {
            let slices: Vec<Tensor> =
                layout.views(&theta).iter().map(|slice| slice.detach().set_requires_grad(true)).collect();
            let loss = model.outputs(&slices, &[], &x, pass).unwrap().cross_entropy_for_logits(&labels);
            (loss.double_value(&[]), Tensor::run_backward(&[&loss], &slices, false, false))
        };
        let ((plain_loss, plain), (loss, fast)) = (by(Pass::Curvature), by(Pass::Train));
        assert!((loss - plain_loss).abs() <= 1e-6 * plain_loss, "{loss} against {plain_loss}");
        for (fast, plain) in fast.iter().zip(&plain) {
            let error = (fast - plain).norm().double_value(&[]) / plain.norm().double_value(&[]);
            assert!(error < 1e-5, "{error}");
        }
    }

    #[test]
    fn a_sides_odd_place_is_left_out_of_the_pooling() {
        // 7×5 becomes 3×2, 1×1.
        let data = Signature { input: vec![2, 7, 5], tokens: None, target: Target::Values(3) };
        let model = Network::parse("conv4-conv6-3", &data).unwrap();
        let theta = model.layout().initial(1, "odd", Kind::Float, Device::Cpu);
        let x = Tensor::ones([4, 2, 7, 5], (Kind::Float, Device::Cpu));
        let outputs = model.outputs(&model.layout().views(&theta), &[], &x, Pass::Evaluate).unwrap();
        assert_eq!(outputs.size(), [4, 3]);
        assert_eq!(model.products(), [2.0 * 9.0 * 8.0 * 35.0, 2.0 * 9.0 * 24.0 * 6.0, 36.0]);
        assert_eq!(model.activations(), 4 * 35 + 6 * 6 + 6 + 3);
    }
}
