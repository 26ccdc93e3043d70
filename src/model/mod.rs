//! Models as pure functions of one flat θ: an architecture, and the layout that names each slice
//! of θ as PyTorch would (`conv1.weight`, `fc1.bias`). Knows nothing of losses or training.

use crate::rng::{Purpose, Rng};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;
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
/// And more layers.
const MOST_LAYERS: usize = 200;

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
        if widths.len() - 1 > MOST_LAYERS {
            return Err(explain(&format!("more than {MOST_LAYERS} layers")));
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

/// A model with a name to call it by, written `deep = 1-8-8-1`, or `1-8-8-1` to go by its widths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String", bound = "M: Clone + FromStr<Err = String> + fmt::Display")]
pub struct Named<M> {
    name: Option<String>,
    pub model: M,
}

impl<M: FromStr<Err = String>> TryFrom<String> for Named<M> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let Some((name, widths)) = text.split_once('=') else {
            return Ok(Self { name: None, model: text.trim().parse()? });
        };
        let name = name.trim();
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if name.is_empty() || name.len() > 40 || !name.chars().all(allowed) {
            return Err(format!("model name '{}': use 1 to 40 letters, digits, '_', '-' or '.'", shorten(name)));
        }
        Ok(Self { name: Some(name.to_owned()), model: widths.trim().parse()? })
    }
}

impl<M: fmt::Display> From<Named<M>> for String {
    fn from(named: Named<M>) -> Self {
        named.name.map_or_else(|| named.model.to_string(), |name| format!("{name} = {}", named.model))
    }
}

impl<M: fmt::Display + PartialEq> Named<M> {
    #[must_use]
    pub fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.model.to_string())
    }

    /// # Errors
    /// Where there is no model, or two have the same name or are the same.
    pub fn check(models: &[Self]) -> Result<(), String> {
        if models.is_empty() {
            return Err("models is empty: name at least one with --model".into());
        }
        for (index, named) in models.iter().enumerate() {
            let label = named.label();
            if models[..index].iter().any(|other| other.label() == label || other.model == named.model) {
                return Err(format!("model '{label}' is given twice: each needs its own name and widths"));
            }
        }
        Ok(())
    }

    /// What a model is called, and its place in the list.
    #[must_use]
    pub fn find(models: &[Self], model: &M) -> (String, usize) {
        let index = models.iter().position(|named| named.model == *model);
        index.map_or_else(|| (model.to_string(), 0), |index| (models[index].label(), index))
    }
}

/// A classifier of 28×28 digits: a fully connected network, `784-128-64-10`, or a convolutional one,
/// `conv16-conv32-128-10`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Classifier {
    Mlp(Mlp),
    Cnn(Cnn),
}

/// Convolutions of 3×3 with padding 1, each with ReLU and 2×2 max pooling, then linear layers with
/// ReLU between them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cnn {
    /// Output channels of each convolution.
    channels: Vec<i64>,
    /// From the flattened last pooling to the classes.
    head: Mlp,
}

impl Cnn {
    /// Output channels of each convolution.
    #[must_use]
    pub fn channels(&self) -> &[i64] {
        &self.channels
    }

    /// The linear layers, from the flattened last pooling to the classes.
    #[must_use]
    pub fn head(&self) -> &Mlp {
        &self.head
    }
}

/// Rows and columns of a digit, and its classes.
const SIDE: i64 = 28;
const CLASSES: i64 = 10;

impl FromStr for Classifier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let explain = |what: &str| {
            format!("model '{}': {what}; write it like 784-128-64-10 or conv16-conv32-128-10", shorten(text))
        };
        if !text.starts_with("conv") {
            let mlp: Mlp = text.parse()?;
            let (first, last) = (mlp.widths.first(), mlp.widths.last());
            if first != Some(&(SIDE * SIDE)) || last != Some(&CLASSES) {
                return Err(explain("a digit has 784 pixels and is one of 10 classes"));
            }
            return Ok(Self::Mlp(mlp));
        }
        let (mut channels, mut rest) = (Vec::new(), text);
        while let Some(after) = rest.strip_prefix("conv") {
            let (number, more) = after.split_once('-').ok_or_else(|| explain("it has no linear layer"))?;
            let count = number.parse().ok().filter(|count| (1..=4096).contains(count));
            channels.push(count.ok_or_else(|| explain("the channels of a convolution are from 1 to 4096"))?);
            rest = more;
        }
        // Each pooling halves the side: 28, 14, 7, 3, 1.
        if channels.len() > 4 {
            return Err(explain("after four poolings nothing is left of a digit"));
        }
        let side = SIDE >> channels.len();
        let pixels = side * side * channels.last().copied().unwrap_or(1);
        let head: Mlp = format!("{pixels}-{rest}").parse().map_err(|_| explain("its linear layers are not widths"))?;
        if head.widths.last() != Some(&CLASSES) {
            return Err(explain("a digit is one of 10 classes"));
        }
        // Each part of it is bounded already: nothing here overflows.
        let model = Self::Cnn(Cnn { channels, head });
        if model.layout().parameters() > MOST_PARAMETERS {
            return Err(explain("more than 10 million parameters"));
        }
        Ok(model)
    }
}

impl TryFrom<String> for Classifier {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Classifier> for String {
    fn from(model: Classifier) -> Self {
        model.to_string()
    }
}

impl fmt::Display for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Mlp(mlp) => mlp.fmt(f),
            Self::Cnn(cnn) => {
                for channels in &cnn.channels {
                    write!(f, "conv{channels}-")?;
                }
                let head: Vec<String> = cnn.head.widths[1..].iter().map(i64::to_string).collect();
                f.write_str(&head.join("-"))
            }
        }
    }
}

impl Classifier {
    #[must_use]
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
    #[must_use]
    pub fn memory_of_batch(&self, samples: u64) -> u128 {
        let linears = |mlp: &Mlp| mlp.widths.iter().sum::<i64>() + 2 * mlp.widths.iter().max().unwrap_or(&0);
        let numbers = match self {
            Self::Mlp(mlp) => linears(mlp),
            Self::Cnn(cnn) => {
                let (mut side, mut inputs, mut numbers) = (SIDE, 1, linears(&cnn.head));
                for &outputs in &cnn.channels {
                    // Inputs, and the places of the maxima.
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
    /// On a CPU in float32 convolutions go through oneDNN's own layout, with pooling before ReLU:
    /// equal to the bit by monotonicity, a quarter of the work, twice as fast. Elsewhere through
    /// plain tensors.
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
    /// As a matrix product and a sum over the 3×3 places a pixel is seen from: oneDNN has no fast
    /// kernel for the gradient of a single input channel, and takes three times as long.
    pub fn first_transposed(&self, slices: &[Tensor], delta: &Tensor) -> Tensor {
        match self {
            Self::Mlp(_) => delta.matmul(&slices[0]),
            Self::Cnn(cnn) => {
                let delta = if delta.is_mkldnn() { delta.to_dense(None, false) } else { delta.shallow_clone() };
                let taps = slices[0].view([cnn.channels[0], 9]).tr();
                let places = taps.matmul(&delta.flatten(2, -1));
                places.col2im([SIDE, SIDE], [3, 3], [1, 1], [1, 1], [1, 1]).flatten(1, -1)
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
#[must_use]
pub fn one_dnn_wanted() -> bool {
    static WANTED: OnceLock<bool> = OnceLock::new();
    *WANTED.get_or_init(|| std::env::var_os("HW1_ONEDNN_LAYOUT").is_none_or(|value| value != "0"))
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

    /// Adds another layout's slices behind its own.
    fn append(&mut self, other: Self) {
        for slot in other.slots {
            self.push(slot.name, &slot.shape, slot.fan_in);
        }
    }

    /// All slices of `theta`, sharing memory.
    pub fn views(&self, theta: &Tensor) -> Vec<Tensor> {
        (0..self.slots.len()).map(|index| self.view(theta, index)).collect()
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
            ("1-4000000000-1", "10 million"),
            (&["1"; 202].join("-"), "200 layers"),
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
    fn classifiers_parse_print_and_count() {
        for (text, parameters) in [
            ("conv5-conv15-128-10", 96_238),
            ("conv16-conv32-128-10", 206_922),
            ("conv32-conv64-256-128-10", 856_074),
            ("784-2-1-10", 1593),
            ("784-22-11-10", 17_643),
            ("784-128-64-10", 109_386),
            ("784-256-128-64-10", 242_762),
        ] {
            let model: Classifier = text.parse().unwrap();
            assert_eq!((model.to_string().as_str(), model.layout().parameters()), (text, parameters));
        }
        let layout = "conv8-conv16-10".parse::<Classifier>().unwrap().layout();
        let names: Vec<_> = layout.slots.iter().map(|s| (s.name.as_str(), s.shape.as_slice(), s.fan_in)).collect();
        assert_eq!(names[2], ("conv2.weight", &[16, 8, 3, 3][..], 72));
        assert_eq!(names[4], ("fc1.weight", &[10, 784][..], 784));
    }

    #[test]
    fn bad_classifiers_are_refused_with_a_reason() {
        for (bad, reason) in [
            ("1-20-1", "784 pixels"),
            ("784-20-9", "10 classes"),
            ("conv8", "no linear layer"),
            ("conv0-10", "from 1 to 4096"),
            ("conv8-conv-10", "from 1 to 4096"),
            ("conv8-x-10", "not widths"),
            ("conv8-20", "10 classes"),
            ("conv8-conv8-conv8-conv8-conv8-10", "four poolings"),
            ("conv4000000000-10", "from 1 to 4096"),
            ("conv4096-conv4096-10", "10 million"),
            ("conv8-4000000000-10", "not widths"),
        ] {
            let error = bad.parse::<Classifier>().unwrap_err();
            assert!(error.contains(reason), "{bad}: {error}");
        }
    }

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
