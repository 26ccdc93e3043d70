//! Cross entropy of a classifier over mini-batches, and its accuracy.

use super::feedforward::{Layer, Room};
use super::{in_kernels, numbers};
use crate::backend::cpu::conv::{self, Convolutions};
use crate::data::{CLASSES, PIXELS, SIDE, batches::Samples};
use crate::model::{Classifier, Layout, Mlp};
use std::cell::RefCell;
use tch::{Device, Kind, Tensor};

/// Cross entropy of a classifier over mini-batches.
pub struct CrossEntropy {
    model: Classifier,
    layout: Layout,
    theta: Tensor,
    way: Way,
}

enum Way {
    /// Float32 on a CPU: our own convolutions, and matrix products into buffers made once.
    Explicit(RefCell<Explicit>),
    /// θ's slices: leaves of the graph that share its memory. One gradient for each is far cheaper
    /// than one for θ, which would be padded to full length for every slice.
    Autograd(Vec<Tensor>),
}

/// Sums over some samples, as tensors on the device: read once an epoch, not once a batch.
pub struct BatchSums {
    /// Sum of the samples' losses.
    pub loss: Tensor,
    /// How many were classified right.
    pub correct: Tensor,
}

/// Means over a set of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    pub loss: f64,
    /// In 0…1.
    pub accuracy: f64,
}

impl CrossEntropy {
    #[must_use]
    pub fn new(model: &Classifier, theta: Tensor) -> Self {
        if in_kernels(&theta) { Self::explicit(model, theta) } else { Self::by_autograd(model, theta) }
    }

    fn explicit(model: &Classifier, theta: Tensor) -> Self {
        let way = Way::Explicit(RefCell::new(Explicit::new(model, &theta)));
        Self { model: model.clone(), layout: model.layout(), theta, way }
    }

    fn by_autograd(model: &Classifier, theta: Tensor) -> Self {
        let layout = model.layout();
        let leaves = layout.views(&theta).iter().map(|view| view.detach().set_requires_grad(true)).collect();
        Self { model: model.clone(), layout, theta, way: Way::Autograd(leaves) }
    }

    /// θ, flat; change it in place.
    pub fn theta(&self) -> &Tensor {
        &self.theta
    }

    /// The gradient, flat, of the mean cross entropy over a batch `x` [n, 784], `labels` [n]; and
    /// the batch's sums, without a graph.
    pub fn gradient(&self, x: &Tensor, labels: &Tensor) -> (Tensor, BatchSums) {
        self.with_gradient(x, labels, Tensor::copy)
    }

    /// What `visit` makes of [`Self::gradient`], of which no copy is made; it cannot evaluate this objective.
    pub fn with_gradient<R>(&self, x: &Tensor, labels: &Tensor, visit: impl FnOnce(&Tensor) -> R) -> (R, BatchSums) {
        let leaves = match &self.way {
            Way::Explicit(explicit) => {
                let explicit = &mut *explicit.borrow_mut();
                let sums = explicit.differentiate(&self.theta, x, labels);
                return (visit(&explicit.gradient), sums);
            }
            Way::Autograd(leaves) => leaves,
        };
        let logits = self.model.logits(leaves, x);
        let loss = logits.cross_entropy_for_logits(labels);
        let gradients = Tensor::run_backward(&[&loss], leaves, false, false);
        let _no_grad = tch::no_grad_guard();
        let flat: Vec<Tensor> = gradients.iter().map(|gradient| gradient.reshape(-1)).collect();
        let samples = labels.size()[0] as f64;
        let sums = BatchSums { loss: loss.detach() * samples, correct: correct(&logits, labels) };
        (visit(&Tensor::cat(&flat, 0)), sums)
    }

    /// Loss and accuracy over all of `samples`, in blocks small enough for the cache.
    #[must_use]
    pub fn evaluate(&self, samples: &Samples) -> Accuracy {
        self.evaluate_and(samples, |_| {})
    }

    /// The same, with the class that each of `samples` is taken for, [n] in int64, and its probability, [n]: of the
    /// one forward pass that loss and accuracy are of.
    pub fn classify(&self, samples: &Samples) -> (Accuracy, Tensor, Tensor) {
        let (mut classes, mut probabilities) = (Vec::new(), Vec::new());
        let found = self.evaluate_and(samples, |logits| {
            // By the logits, as accuracy counts: probabilities of two of them may be the same.
            let class = logits.argmax(-1, false);
            probabilities.push(logits.softmax(-1, Kind::Float).gather(1, &class.unsqueeze(1), false).squeeze_dim(1));
            classes.push(class);
        });
        (found, Tensor::cat(&classes, 0), Tensor::cat(&probabilities, 0))
    }

    /// Loss and accuracy, while `visit` sees each block's logits [block, 10].
    fn evaluate_and(&self, samples: &Samples, mut visit: impl FnMut(&Tensor)) -> Accuracy {
        let _no_grad = tch::no_grad_guard();
        let mut sums = BatchSums::zero(samples.labels.device());
        let slices = self.layout.views(&self.theta);
        for_blocks(samples, |x, labels| {
            sums.add(match &self.way {
                Way::Explicit(explicit) => {
                    let mut explicit = explicit.borrow_mut();
                    let sums = explicit.sums(&self.theta, x, labels);
                    visit(&explicit.last_logits(x.size()[0]));
                    sums
                }
                Way::Autograd(_) => {
                    let logits = self.model.logits(&slices, x);
                    let log_p = logits.log_softmax(-1, Kind::Float);
                    let loss = -log_p.gather(1, &labels.unsqueeze(1), false).sum(Kind::Double);
                    visit(&logits);
                    BatchSums { loss, correct: correct(&logits, labels) }
                }
            });
        });
        sums.means(samples.len())
    }
}

/// Forward and backward pass of a classifier without a graph: convolutions in [`crate::backend::cpu`], linear
/// layers as matrix products, feature-major, [features, samples].
struct Explicit {
    convolutions: Option<Convolutions>,
    head: Mlp,
    /// Views of θ and of the gradient.
    layers: Vec<Layer>,
    gradient: Tensor,
    /// Buffers by the samples of a batch: an epoch has two sizes, an evaluation of its own two more.
    buffers: Vec<Buffers>,
}

/// Sizes of batches whose buffers are kept.
const MOST_SIZES: usize = 4;

struct Buffers {
    samples: usize,
    room: Room,
    convolved: Option<Convolved>,
}

/// What lies between convolutions and head, [features, samples up to a multiple of the kernels' blocks].
struct Convolved {
    room: conv::Workspace,
    features: Tensor,
    features_transposed: Tensor,
    deltas: Tensor,
}

impl Explicit {
    fn new(model: &Classifier, theta: &Tensor) -> Self {
        let (convolutions, head) = match model {
            Classifier::Mlp(mlp) => (None, mlp.clone()),
            Classifier::Cnn(cnn) => {
                let channels: Vec<usize> = cnn.channels().iter().map(|&channels| channels as usize).collect();
                (Some(Convolutions::new(SIDE, &channels)), cnn.head().clone())
            }
        };
        let gradient = theta.zeros_like();
        let layout = model.layout();
        let first = layout.slots.len() - 2 * (head.widths().len() - 1);
        Self { convolutions, layers: Layer::all(&layout, first, theta, &gradient), head, gradient, buffers: Vec::new() }
    }

    /// The buffers for so many samples, the last used in front.
    fn buffers(&mut self, samples: usize) -> &mut Buffers {
        if let Some(index) = self.buffers.iter().position(|buffers| buffers.samples == samples) {
            self.buffers[..=index].rotate_right(1);
        } else {
            let space = |features: usize, columns: i64| {
                Tensor::zeros([features as i64, columns], (self.gradient.kind(), self.gradient.device()))
            };
            let columns = samples.next_multiple_of(conv::BLOCK) as i64;
            let convolved = self.convolutions.as_ref().map(|convolutions| {
                let features = space(convolutions.features(), columns);
                Convolved {
                    room: conv::Workspace::default(),
                    features_transposed: features.tr(),
                    features,
                    deltas: space(convolutions.features(), columns),
                }
            });
            let columns = if convolved.is_some() { columns } else { samples as i64 };
            let room = Room::new(&self.head, columns, &self.gradient);
            self.buffers.truncate(MOST_SIZES - 1);
            self.buffers.insert(0, Buffers { samples, room, convolved });
        }
        &mut self.buffers[0]
    }

    /// Fills the buffers' logits for a batch `x` [n, 784].
    fn forward(&mut self, theta: &Tensor, x: &Tensor) {
        let x = x.contiguous();
        let samples = x.size()[0] as usize;
        self.buffers(samples);
        let Self { convolutions, layers, buffers, .. } = self;
        let Buffers { room, convolved, .. } = &mut buffers[0];
        if let (Some(convolutions), Some(convolved)) = (convolutions, convolved) {
            let columns = samples.next_multiple_of(conv::BLOCK);
            // SAFETY: the features are a buffer that nobody else knows; the kernel knows numbers only, and this thread
            // does nothing with tensors meanwhile.
            let ([theta, x], [features]) = unsafe { numbers([theta, &x], [&convolved.features]) };
            convolutions.forward(&theta[..convolutions.parameters()], x, &mut convolved.room, features, columns);
            room.forward(&convolved.features, layers);
        } else {
            room.forward(&x.tr(), layers);
        }
    }

    fn sums(&mut self, theta: &Tensor, x: &Tensor, labels: &Tensor) -> BatchSums {
        self.forward(theta, x);
        softmax(&self.buffers[0].room.outputs[self.layers.len() - 1], labels, None)
    }

    /// Fills `gradient` for a batch.
    fn differentiate(&mut self, theta: &Tensor, x: &Tensor, labels: &Tensor) -> BatchSums {
        let _no_grad = tch::no_grad_guard();
        self.forward(theta, x);
        let Self { convolutions, layers, buffers, gradient, .. } = self;
        let Buffers { samples, room, convolved } = &mut buffers[0];
        let last = layers.len() - 1;
        let sums = softmax(&room.outputs[last], labels, Some(&room.deltas[last]));
        if let (Some(convolutions), Some(Convolved { room: inner, features, features_transposed, deltas })) =
            (convolutions, convolved)
        {
            room.backward(features_transposed, layers, true, Some(deltas));
            let columns = samples.next_multiple_of(conv::BLOCK);
            let parameters = convolutions.parameters();
            // SAFETY: as in `forward`; that θ is not the gradient is checked.
            let ([theta, features, deltas], [gradient]) = unsafe { numbers([theta, features, deltas], [gradient]) };
            let part = &mut gradient[..parameters];
            convolutions.backward(&theta[..parameters], inner, [features, deltas], columns, part);
        } else {
            room.backward(x, layers, true, None);
        }
        sums
    }

    /// The logits [n, 10] of a batch `x` [n, 784].
    fn logits(&mut self, theta: &Tensor, x: &Tensor) -> Tensor {
        self.forward(theta, x);
        self.last_logits(x.size()[0]).copy()
    }

    /// The logits [n, 10] of the last forward pass, of so many samples: a view of the buffers.
    fn last_logits(&self, samples: i64) -> Tensor {
        self.buffers[0].room.outputs[self.layers.len() - 1].narrow(1, 0, samples).tr()
    }

    /// Jᵀ·seed of each sample of the last forward pass, [n, 784], with `seeds` [n, 10].
    fn pull_back(&mut self, theta: &Tensor, seeds: &Tensor) -> Tensor {
        let Self { convolutions, layers, buffers, .. } = self;
        let Buffers { samples, room, convolved } = &mut buffers[0];
        let samples = *samples as i64;
        let delta = &mut room.deltas[layers.len() - 1];
        let _ = delta.zero_();
        delta.narrow(1, 0, samples).copy_(&seeds.tr());
        match (convolutions, convolved) {
            (Some(convolutions), Some(Convolved { room: inner, features, deltas, .. })) => {
                room.pull_back(layers, deltas);
                // Zeros, as a slice is of numbers that are there.
                let images = Tensor::zeros([samples, PIXELS as i64], (seeds.kind(), seeds.device()));
                let columns = deltas.size()[1] as usize;
                let theta_alone = convolutions.parameters();
                // SAFETY: as in `forward`; the images are new.
                let ([theta, features, deltas], [pixels]) = unsafe { numbers([theta, features, deltas], [&images]) };
                convolutions.vjp(&theta[..theta_alone], inner, [features, deltas], columns, pixels);
                images
            }
            _ => {
                let images = Tensor::empty([PIXELS as i64, samples], (seeds.kind(), seeds.device()));
                room.pull_back(layers, &images);
                images.tr()
            }
        }
    }
}

/// A classifier's logits, and the way back from them to the images: what its answers to small changes of an
/// image are made of. θ carries no gradient here, so that no training can notice.
pub struct Probe {
    model: Classifier,
    theta: Tensor,
    way: WayBack,
}

enum WayBack {
    Explicit(Explicit),
    /// θ's slices. After a forward pass, the first layer's output z₁ and the logits with a graph down to it:
    /// the first layer is linear in x, so the way from there to x is a plain product.
    Autograd(Vec<Tensor>, Option<(Tensor, Tensor)>),
}

impl Probe {
    #[must_use]
    pub fn new(model: &Classifier, theta: &Tensor) -> Self {
        let theta = theta.detach();
        let way = if in_kernels(&theta) {
            WayBack::Explicit(Explicit::new(model, &theta))
        } else {
            WayBack::Autograd(model.layout().views(&theta), None)
        };
        Self { model: model.clone(), theta, way }
    }

    /// [n, 10], without a graph, of `x` [n, 784].
    pub fn logits(&mut self, x: &Tensor) -> Tensor {
        match &mut self.way {
            WayBack::Explicit(explicit) => explicit.logits(&self.theta, x),
            WayBack::Autograd(slices, passed) => {
                let z1 = self.model.first(slices, &x.detach()).set_requires_grad(true);
                let logits = self.model.rest(slices, &z1);
                passed.insert((z1, logits)).1.detach()
            }
        }
    }

    /// Jᵀ·seed of each sample of the last [`Self::logits`], [n, 784], with J = ∂logits/∂x and `seeds` [n, 10].
    ///
    /// # Panics
    /// Where there was no forward pass.
    pub fn pull_back(&mut self, seeds: &Tensor) -> Tensor {
        match &mut self.way {
            WayBack::Explicit(explicit) => explicit.pull_back(&self.theta, seeds),
            WayBack::Autograd(_, None) => panic!("a way back before the way forward"),
            WayBack::Autograd(slices, Some((z1, logits))) => {
                let root = (&*logits * seeds).sum(logits.kind());
                let delta = Tensor::run_backward(&[root], &[&*z1], true, false).remove(0);
                let _no_grad = tch::no_grad_guard();
                self.model.first_transposed(slices, &delta)
            }
        }
    }
}

/// Cross entropy and accuracy of `logits` [10, samples or more], summed over the samples; and into `delta`,
/// where there is one, the derivative of the mean by the logits, 0 beyond the samples.
fn softmax(logits: &Tensor, labels: &Tensor, delta: Option<&Tensor>) -> BatchSums {
    let mut own = vec![0i64; labels.numel()];
    labels.copy_data(&mut own, labels.numel());
    let shape = [logits.size()[0], logits.size()[1]].map(|length| length as usize);
    // SAFETY: buffers that nobody else knows, and no operation of libtorch in `softmax_of_numbers`.
    let (loss, correct) = unsafe {
        match delta {
            Some(delta) => {
                let ([logits], [delta]) = numbers([logits], [delta]);
                softmax_of_numbers(logits, shape, &own, Some(delta))
            }
            None => softmax_of_numbers(numbers([logits], []).0[0], shape, &own, None),
        }
    };
    BatchSums { loss: Tensor::from(loss), correct: Tensor::from(correct) }
}

/// [`softmax`]'s sums of losses and of right answers, with `logits` and `delta` of one shape.
fn softmax_of_numbers(
    logits: &[f32],
    [classes, columns]: [usize; 2],
    labels: &[i64],
    mut delta: Option<&mut [f32]>,
) -> (f64, i64) {
    let samples = labels.len();
    if let Some(delta) = &mut delta {
        delta.fill(0.0);
    }
    let (mut loss, mut correct) = (0.0, 0);
    for (sample, &label) in labels.iter().enumerate() {
        let label = label as usize;
        let z = |class: usize| logits[class * columns + sample];
        let (mut best, mut most) = (0, z(0));
        for class in 1..classes {
            if z(class) > most {
                (best, most) = (class, z(class));
            }
        }
        let mut p = [0.0f32; CLASSES as usize];
        p.iter_mut().enumerate().for_each(|(class, p)| *p = (z(class) - most).exp());
        let sum: f32 = p.iter().sum();
        loss += f64::from(sum.ln() - (z(label) - most));
        correct += i64::from(best == label);
        if let Some(delta) = &mut delta {
            for (class, p) in p.iter().enumerate() {
                let target = if class == label { 1.0 } else { 0.0 };
                delta[class * columns + sample] = (p / sum - target) / samples as f32;
            }
        }
    }
    (loss, correct)
}

/// Samples at a time in an evaluation: the fastest of those that were tried.
const BLOCK: i64 = 128;

fn for_blocks(samples: &Samples, mut visit: impl FnMut(&Tensor, &Tensor)) {
    let n = samples.len();
    let mut start = 0;
    while start < n {
        let size = BLOCK.min(n - start);
        visit(&samples.images.narrow(0, start, size), &samples.labels.narrow(0, start, size));
        start += size;
    }
}

fn correct(logits: &Tensor, labels: &Tensor) -> Tensor {
    logits.argmax(-1, false).eq_tensor(labels).sum(Kind::Int64)
}

impl BatchSums {
    #[must_use]
    pub fn zero(device: Device) -> Self {
        Self { loss: Tensor::zeros([], (Kind::Float, device)), correct: Tensor::zeros([], (Kind::Int64, device)) }
    }

    /// Adds another batch's, on the device.
    pub fn add(&mut self, other: Self) {
        self.loss = &self.loss + other.loss;
        self.correct = &self.correct + other.correct;
    }

    /// The means over `n` samples: waits for the device.
    #[must_use]
    pub fn means(&self, n: i64) -> Accuracy {
        Accuracy {
            loss: self.loss.double_value(&[]) / n as f64,
            accuracy: self.correct.int64_value(&[]) as f64 / n as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::relative;
    use super::*;

    /// A batch of `samples` pictures that are no digits.
    fn batch(samples: i64) -> (Tensor, Tensor) {
        let x = Tensor::linspace(-3.0, 5.0, samples * 784, (Kind::Float, Device::Cpu)).sin().view([samples, 784]);
        (x, (Tensor::arange(samples, (Kind::Int64, Device::Cpu)) * 7).remainder(10))
    }

    /// One without close neighbours, between whose convolutions rounding could decide.
    fn rough_batch(samples: i64) -> Tensor {
        let x = (Tensor::arange(samples * 784, (Kind::Double, Device::Cpu)) * 12.9898).sin() * 43758.5453;
        ((&x - x.floor()) * 4.0 - 1.0).to_kind(Kind::Float).view([samples, 784])
    }

    #[test]
    fn explicit_passes_are_autograds_whoever_computes_their_pieces() {
        use crate::backend::cpu::pieces;
        for (model, batches) in [
            ("784-10", [5, 128]),
            ("784-22-11-10", [128, 3]),
            ("conv8-10", [17, 16]),
            ("conv5-conv15-32-10", [128, 96]),
            ("conv3-conv7-conv10-12-10", [33, 1]),
            ("conv2-conv3-conv4-conv5-10", [20, 128]),
            ("conv32-conv64-32-10", [16, 5]),
        ] {
            let model: Classifier = model.parse().unwrap();
            let theta = model.layout().initial(3, "explicit", Kind::Float, Device::Cpu);
            let explicit = CrossEntropy::explicit(&model, theta.copy());
            let autograd = CrossEntropy::by_autograd(&model, theta.to_kind(Kind::Double));
            // Back and forth: the buffers hold other numbers then.
            for samples in [batches[0], batches[1], batches[0]] {
                let (x, labels) = batch(samples);
                let (gradient, sums) = explicit.gradient(&x, &labels);
                let (expected, expected_sums) = autograd.gradient(&x.to_kind(Kind::Double), &labels);
                let (found, expected_means) = (sums.means(samples), expected_sums.means(samples));
                assert!((found.loss - expected_means.loss).abs() < 1e-5, "{model}: {found:?}, {expected_means:?}");
                assert_eq!(found.accuracy, expected_means.accuracy, "{model}");
                let error = relative(&gradient, &expected);
                assert!(error < 1e-5, "{model} on {samples}: {error}");
                let _core = pieces::lend();
                assert_eq!(explicit.gradient(&x, &labels).0, gradient, "{model}");
                let samples = Samples { images: x, labels };
                let evaluated = explicit.evaluate(&samples);
                assert!((evaluated.loss - found.loss).abs() < 1e-6 && evaluated.accuracy == found.accuracy, "{model}");
            }
        }
    }

    #[test]
    fn the_way_back_to_the_images_is_autograds() {
        for model in ["784-10", "784-22-11-10", "conv8-10", "conv5-conv15-32-10", "conv3-conv7-conv10-12-10"] {
            let model: Classifier = model.parse().unwrap();
            let theta = model.layout().initial(3, "probe", Kind::Float, Device::Cpu);
            let (mut explicit, mut autograd) =
                (Probe::new(&model, &theta), Probe::new(&model, &theta.to_kind(Kind::Double)));
            assert!(matches!(explicit.way, WayBack::Explicit(_)) && matches!(autograd.way, WayBack::Autograd(..)));
            for samples in [20, 128, 1] {
                let x = rough_batch(samples);
                let logits = [explicit.logits(&x), autograd.logits(&x.to_kind(Kind::Double))];
                assert!(relative(&logits[0], &logits[1]) < 1e-5, "{model}");
                for turn in 0..2 {
                    let seeds = (Tensor::arange(samples * 10, (Kind::Double, Device::Cpu)) + turn).cos();
                    let seeds = seeds.view([samples, 10]);
                    let found = explicit.pull_back(&seeds.to_kind(Kind::Float));
                    let error = relative(&found, &autograd.pull_back(&seeds));
                    assert!(found.size() == [samples, 784] && error < 1e-5, "{model} on {samples}: {error}");
                }
            }
        }
    }

    #[test]
    fn narrow_vectors_give_what_wide_ones_do() {
        use crate::backend::cpu::TEST_ARCH;
        let mut archs = vec![pulp::Arch::Scalar];
        #[cfg(target_arch = "x86_64")]
        archs.extend(pulp::x86::V3::try_new().map(pulp::Arch::V3));
        for model in ["conv8-10", "conv5-conv15-32-10", "conv3-conv7-conv10-12-10", "conv32-conv40-10"] {
            let model: Classifier = model.parse().unwrap();
            let theta = model.layout().initial(3, "narrow", Kind::Float, Device::Cpu);
            let (x, labels) = (rough_batch(21), batch(21).1);
            let seeds = Tensor::linspace(0.0, 50.0, 210, (Kind::Float, Device::Cpu)).cos().view([21, 10]);
            let measure = || {
                let gradient = CrossEntropy::explicit(&model, theta.copy()).gradient(&x, &labels).0;
                let mut probe = Probe::new(&model, &theta);
                [gradient, probe.logits(&x), probe.pull_back(&seeds)]
            };
            let wide = measure();
            for arch in &archs {
                TEST_ARCH.set(Some(*arch));
                let narrow = measure();
                TEST_ARCH.set(None);
                for (narrow, wide) in narrow.iter().zip(&wide) {
                    let error = relative(narrow, wide);
                    assert!(error < 1e-5, "{model}: {error}");
                }
            }
        }
    }

    #[test]
    fn accuracy_is_the_diagonal_of_the_confusion_matrix_to_the_last_sample() {
        // Many near ties: all but equal rows of a last layer, where another way of adding decides otherwise.
        for model in ["784-16-10", "conv8-conv16-12-10"] {
            let model: Classifier = model.parse().unwrap();
            let theta = model.layout().initial(5, "ties", Kind::Float, Device::Cpu) * 1e-3;
            let samples = Samples { images: rough_batch(1500), labels: batch(1500).1 };
            for objective in
                [CrossEntropy::explicit(&model, theta.copy()), CrossEntropy::by_autograd(&model, theta.copy())]
            {
                let (found, classes, _) = objective.classify(&samples);
                let right = classes.eq_tensor(&samples.labels).sum(Kind::Int64).int64_value(&[]);
                assert_eq!(found.accuracy, right as f64 / 1500.0, "{model}");
                assert_eq!(found, objective.evaluate(&samples), "{model}");
            }
        }
    }

    #[test]
    fn a_loss_that_is_no_number_is_not_hidden() {
        for model in ["784-4-10", "conv2-10"] {
            let model: Classifier = model.parse().unwrap();
            let theta = model.layout().initial(3, "nan", Kind::Float, Device::Cpu);
            let _ = theta.get(0).fill_(f64::NAN);
            let (x, labels) = batch(20);
            assert!(CrossEntropy::explicit(&model, theta).gradient(&x, &labels).1.means(20).loss.is_nan());
        }
    }

    #[test]
    fn cross_entropy_is_the_textbooks() {
        let model: Classifier = "784-3-10".parse().unwrap();
        let theta = model.layout().initial(2, "entropy", Kind::Float, Device::Cpu);
        let objective = CrossEntropy::new(&model, theta.copy());
        let x = Tensor::linspace(-1.0, 1.0, 130 * 784, (Kind::Float, Device::Cpu)).cos().view([130, 784]);
        let labels = Tensor::arange(130, (Kind::Int64, Device::Cpu)).remainder(10);
        // -log softmax by hand, in f64, sample by sample.
        let slices = model.layout().views(&theta);
        let logits: Vec<f64> = model.logits(&slices, &x).view(-1).to_kind(Kind::Double).try_into().unwrap();
        let logits_by_hand = logits.clone();
        let (mut loss, mut right) = (0.0, 0);
        for (sample, logits) in logits.chunks_exact(10).enumerate() {
            let sum: f64 = logits.iter().map(|z| z.exp()).sum();
            loss += sum.ln() - logits[sample % 10];
            right += usize::from(logits.iter().all(|z| *z <= logits[sample % 10]));
        }
        let samples = Samples { images: x.shallow_clone(), labels: labels.shallow_clone() };
        let found = objective.evaluate(&samples);
        assert!((found.loss - loss / 130.0).abs() < 1e-6, "{} against {}", found.loss, loss / 130.0);
        assert_eq!(found.accuracy, right as f64 / 130.0);
        let (gradient, sums) = objective.gradient(&x, &labels);
        assert!((sums.means(130).loss - found.loss).abs() < 1e-6);
        assert_eq!(sums.means(130).accuracy, found.accuracy);
        // The classes and probabilities beside them, of the same pass.
        let (again, classes, probabilities) = objective.classify(&samples);
        assert_eq!(again, found);
        let classes: Vec<i64> = classes.try_into().unwrap();
        let probabilities: Vec<f64> = probabilities.to_kind(Kind::Double).try_into().unwrap();
        for (sample, logits) in logits_by_hand.chunks_exact(10).enumerate() {
            let sum: f64 = logits.iter().map(|z| z.exp()).sum();
            let class = classes[sample] as usize;
            assert!(logits.iter().all(|z| *z <= logits[class] + 1e-6));
            assert!((probabilities[sample] - logits[class].exp() / sum).abs() < 1e-6);
        }
        // The gradient of θ as one leaf.
        let whole = theta.copy().set_requires_grad(true);
        let logits = model.logits(&model.layout().views(&whole), &x);
        let expected = Tensor::run_backward(&[logits.cross_entropy_for_logits(&labels)], &[&whole], false, false);
        assert!(relative(&gradient, &expected[0]) < 1e-6);
    }
}
