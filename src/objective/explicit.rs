//! Forward and backward pass of a classifier without a graph, for float32 on a CPU.

use super::feedforward::{Layer, Workspace};
use super::{Sums, float_slices};
use crate::backend::cpu::conv::{self, Convolutions};
use crate::model::{Mlp, Model as _, Network};
use tch::Tensor;

/// Forward and backward pass of a classifier without a graph: convolutions in [`crate::backend::cpu`], linear
/// layers as matrix products, feature-major, [features, samples].
pub(super) struct Explicit {
    convolutions: Option<Convolutions>,
    head: Mlp,
    /// Numbers of an input.
    numbers: i64,
    /// Views of θ and of the gradient.
    layers: Vec<Layer>,
    pub(super) gradient: Tensor,
    /// Buffers by the samples of a batch: an epoch has two sizes, an evaluation of its own two more.
    buffers: Vec<Buffers>,
}

/// Sizes of batches whose buffers are kept.
const MOST_SIZES: usize = 4;

struct Buffers {
    samples: usize,
    workspace: Workspace,
    convolved: Option<Convolved>,
}

/// What lies between convolutions and head, [features, samples up to a multiple of the kernels' blocks].
struct Convolved {
    workspace: conv::Workspace,
    features: Tensor,
    features_transposed: Tensor,
    deltas: Tensor,
}

impl Explicit {
    /// `None` of a network that is not for these kernels: convolutions are of square images.
    pub(super) fn new(network: &Network, theta: &Tensor) -> Option<Self> {
        let convolutions = match (network.convolutions(), network.input()) {
            ([], _) => None,
            (outputs, &[channels, height, width]) if height == width => {
                let outputs: Vec<usize> = outputs.iter().map(|&outputs| outputs as usize).collect();
                Some(Convolutions::new(channels as usize, height as usize, &outputs)?)
            }
            _ => return None,
        };
        let (gradient, layout, head) = (theta.zeros_like(), network.layout(), network.head().clone());
        let first = layout.slots.len() - 2 * (head.widths().len() - 1);
        let layers = Layer::all(&layout, first, theta, &gradient);
        let numbers = network.input().iter().product();
        Some(Self { convolutions, layers, head, numbers, gradient, buffers: Vec::new() })
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
                    workspace: conv::Workspace::default(),
                    features_transposed: features.tr(),
                    features,
                    deltas: space(convolutions.features(), columns),
                }
            });
            let columns = if convolved.is_some() { columns } else { samples as i64 };
            let workspace = Workspace::new(&self.head, columns, &self.gradient);
            self.buffers.truncate(MOST_SIZES - 1);
            self.buffers.insert(0, Buffers { samples, workspace, convolved });
        }
        &mut self.buffers[0]
    }

    /// Fills the buffers' logits for a batch `x` [n, input…].
    fn forward(&mut self, theta: &Tensor, x: &Tensor) {
        let x = x.contiguous();
        let samples = x.size()[0] as usize;
        self.buffers(samples);
        let Self { convolutions, layers, buffers, .. } = self;
        let Buffers { workspace, convolved, .. } = &mut buffers[0];
        if let (Some(convolutions), Some(convolved)) = (convolutions, convolved) {
            let columns = samples.next_multiple_of(conv::BLOCK);
            // SAFETY: the features are a buffer that nobody else knows; the kernel knows numbers only, and this thread
            // does nothing with tensors meanwhile.
            let ([theta, x], [features]) = unsafe { float_slices([theta, &x], [&convolved.features]) };
            convolutions.forward(&theta[..convolutions.parameters()], x, &mut convolved.workspace, features, columns);
            workspace.forward(&convolved.features, layers);
        } else {
            workspace.forward(&x.flatten(1, -1).tr(), layers);
        }
    }

    pub(super) fn sums(&mut self, theta: &Tensor, x: &Tensor, labels: &Tensor) -> Sums {
        self.forward(theta, x);
        softmax(&self.buffers[0].workspace.outputs[self.layers.len() - 1], labels, None)
    }

    /// Fills `gradient` for a batch.
    pub(super) fn differentiate(&mut self, theta: &Tensor, x: &Tensor, labels: &Tensor) -> Sums {
        let _no_grad = tch::no_grad_guard();
        self.forward(theta, x);
        let Self { convolutions, layers, buffers, gradient, .. } = self;
        let Buffers { samples, workspace, convolved } = &mut buffers[0];
        let last = layers.len() - 1;
        let sums = softmax(&workspace.outputs[last], labels, Some(&workspace.deltas[last]));
        if let (Some(convolutions), Some(Convolved { workspace: inner, features, features_transposed, deltas })) =
            (convolutions, convolved)
        {
            workspace.backward(features_transposed, layers, true, Some(deltas));
            let columns = samples.next_multiple_of(conv::BLOCK);
            let parameters = convolutions.parameters();
            // SAFETY: as in `forward`; that θ is not the gradient is checked.
            let ([theta, features, deltas], [gradient]) =
                unsafe { float_slices([theta, features, deltas], [gradient]) };
            let part = &mut gradient[..parameters];
            convolutions.backward(&theta[..parameters], inner, [features, deltas], columns, part);
        } else {
            workspace.backward(&x.flatten(1, -1), layers, true, None);
        }
        sums
    }

    /// The logits [n, classes] of a batch `x` [n, input…].
    pub(super) fn logits(&mut self, theta: &Tensor, x: &Tensor) -> Tensor {
        self.forward(theta, x);
        self.last_logits(x.size()[0]).copy()
    }

    /// The logits [n, classes] of the last forward pass, of so many samples: a view of the buffers.
    pub(super) fn last_logits(&self, samples: i64) -> Tensor {
        self.buffers[0].workspace.outputs[self.layers.len() - 1].narrow(1, 0, samples).tr()
    }

    /// Jᵀ·c of each sample of the last forward pass, [n, numbers of an input], with `cotangents` [n, classes]; `None` where
    /// there was no such pass.
    pub(super) fn vjp(&mut self, theta: &Tensor, cotangents: &Tensor) -> Option<Tensor> {
        let Self { convolutions, layers, buffers, numbers, .. } = self;
        let Buffers { samples, workspace, convolved } = buffers.first_mut()?;
        let samples = *samples as i64;
        let delta = &mut workspace.deltas[layers.len() - 1];
        let _ = delta.zero_();
        delta.narrow(1, 0, samples).copy_(&cotangents.tr());
        match (convolutions, convolved) {
            (Some(convolutions), Some(Convolved { workspace: inner, features, deltas, .. })) => {
                workspace.vjp(layers, deltas);
                // Zeros, as a slice is of numbers that are there.
                let images = Tensor::zeros([samples, *numbers], (cotangents.kind(), cotangents.device()));
                let columns = deltas.size()[1] as usize;
                let theta_alone = convolutions.parameters();
                // SAFETY: as in `forward`; the images are new.
                let ([theta, features, deltas], [pixels]) =
                    unsafe { float_slices([theta, features, deltas], [&images]) };
                convolutions.vjp(&theta[..theta_alone], inner, [features, deltas], columns, pixels);
                Some(images)
            }
            _ => {
                let images = Tensor::empty([*numbers, samples], (cotangents.kind(), cotangents.device()));
                workspace.vjp(layers, &images);
                Some(images.tr())
            }
        }
    }
}

/// Cross entropy and accuracy of `logits` [classes, samples or more], summed over the samples; and into `delta`,
/// where there is one, the derivative of the mean by the logits, 0 beyond the samples.
fn softmax(logits: &Tensor, labels: &Tensor, delta: Option<&Tensor>) -> Sums {
    let mut own = vec![0i64; labels.numel()];
    labels.copy_data(&mut own, labels.numel());
    let shape = [logits.size()[0], logits.size()[1]].map(|length| length as usize);
    // SAFETY: buffers that nobody else knows, and no operation of libtorch in `softmax_of_slices`.
    let (loss, correct) = unsafe {
        match delta {
            Some(delta) => {
                let ([logits], [delta]) = float_slices([logits], [delta]);
                softmax_of_slices(logits, shape, &own, Some(delta))
            }
            None => softmax_of_slices(float_slices([logits], []).0[0], shape, &own, None),
        }
    };
    Sums { loss: Tensor::from(loss), correct: Some(Tensor::from(correct)), counted: own.len() as i64 }
}

/// [`softmax`]'s sums of losses and of right answers, with `logits` and `delta` of one shape.
fn softmax_of_slices(
    logits: &[f32],
    [classes, columns]: [usize; 2],
    labels: &[i64],
    mut delta: Option<&mut [f32]>,
) -> (f64, i64) {
    let samples = labels.len();
    if let Some(delta) = &mut delta {
        delta.fill(0.0);
    }
    let (mut loss, mut correct, mut p) = (0.0, 0, vec![0f32; classes]);
    for (sample, &label) in labels.iter().enumerate() {
        let label = label as usize;
        let z = |class: usize| logits[class * columns + sample];
        let (mut best, mut most) = (0, z(0));
        for class in 1..classes {
            if z(class) > most {
                (best, most) = (class, z(class));
            }
        }
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

#[cfg(test)]
mod tests {
    use super::super::tests::{batch, network, relative, rough_batch, step};
    use super::super::{CrossEntropy, Objective as _};
    use crate::backend::cpu::{on_narrow_vectors, pieces};
    use crate::data::{Samples, Signature, Target};
    use crate::model::{Model as _, Network};
    use tch::{Device, Kind, Tensor};

    fn is_autograds(model: &Network, samples: [Samples; 2]) {
        // As a trial's thread: with several of libtorch's threads a product that a helper takes has another order of sums.
        crate::backend::device::set_up_thread();
        let theta = model.layout().initial(3, "explicit", Kind::Float, Device::Cpu);
        let [one, two] = samples.each_ref();
        let mut explicit = samples.each_ref().map(|samples| CrossEntropy::new(model, theta.copy(), samples).unwrap());
        // Back and forth: the buffers hold other numbers then.
        for (turn, samples) in [one, two, one].into_iter().enumerate() {
            let explicit = &mut explicit[turn % 2];
            assert!(explicit.is_explicit(), "{model}");
            let (gradient, found) = step(explicit);
            let mut autograd = CrossEntropy::new(model, theta.to_kind(Kind::Double), samples).unwrap();
            let (expected, means) = step(&mut autograd);
            assert!((found.loss - means.loss).abs() < 1e-5, "{model}: {found:?}, {means:?}");
            assert_eq!(found.accuracy, means.accuracy, "{model}");
            let error = relative(&gradient, &expected);
            assert!(error < 1e-5, "{model} on {}: {error}", samples.len());
            let _core = pieces::lend();
            assert_eq!(step(explicit).0, gradient, "{model}");
            let evaluated = explicit.evaluate().unwrap();
            assert!((evaluated.loss - found.loss).abs() < 1e-6 && evaluated.accuracy == found.accuracy, "{model}");
        }
    }

    #[test]
    fn explicit_passes_are_autograds_on_any_number_of_cores() {
        for (model, batches) in [
            ("784-10", [5, 128]),
            ("784-22-11-10", [128, 3]),
            ("conv8-10", [17, 16]),
            ("conv5-conv15-32-10", [128, 96]),
            ("conv3-conv7-conv10-12-10", [33, 1]),
            ("conv2-conv3-conv4-conv5-10", [20, 128]),
            ("conv32-conv64-32-10", [16, 5]),
        ] {
            is_autograds(&network(model), batches.map(batch));
        }
    }

    /// Of this shape, in so many classes.
    fn other(shape: &[i64], classes: i64, samples: i64) -> (Signature, Samples) {
        let data = Signature { input: shape.to_vec(), tokens: None, target: Target::Classes(classes) };
        let x = (Tensor::arange(samples * data.numbers(), (Kind::Double, Device::Cpu)) * 12.9898).sin() * 43758.5453;
        let x = ((&x - x.floor()) * 4.0 - 1.0).to_kind(Kind::Float);
        let targets = Tensor::arange(samples, (Kind::Int64, Device::Cpu)).remainder(classes);
        let inputs = x.view(&[&[samples], shape].concat()[..]);
        (data, Samples::new(inputs, targets, Target::Classes(classes)))
    }

    #[test]
    fn kernels_know_no_digit_and_decline_what_they_do_not_know() {
        for (shape, classes, model, is_known) in [
            (&[3, 8, 8][..], 5, "192-7-5", true),
            (&[6], 23, "6-9-23", true),
            (&[1, 9, 9], 3, "conv4-conv3-3", true),
            (&[3, 8, 8], 5, "conv4-6-5", true),
            (&[3, 32, 32], 10, "conv5-conv7-12-10", true),
            (&[2, 9, 9], 3, "conv4-3", true),
            (&[5, 6, 6], 3, "conv2-conv9-3", true),
            (&[1, 8, 12], 5, "conv4-6-5", false),
        ] {
            let (data, samples) = other(shape, classes, 40);
            let model = Network::parse(model, &data).unwrap();
            if is_known {
                is_autograds(&model, [samples, other(shape, classes, 7).1]);
            } else {
                let theta = model.layout().initial(3, "explicit", Kind::Float, Device::Cpu);
                let mut objective = CrossEntropy::new(&model, theta, &samples).unwrap();
                assert!(!objective.is_explicit() && objective.evaluate().unwrap().loss.is_finite());
            }
        }
    }

    #[test]
    fn narrow_vectors_give_what_wide_ones_do() {
        for model in ["conv8-10", "conv5-conv15-32-10", "conv3-conv7-conv10-12-10", "conv32-conv40-10"] {
            let model = network(model);
            let theta = model.layout().initial(3, "narrow", Kind::Float, Device::Cpu);
            let samples = rough_batch(21);
            let cotangents = Tensor::linspace(0.0, 50.0, 210, (Kind::Float, Device::Cpu)).cos().view([21, 10]);
            let measure = || {
                let mut objective = CrossEntropy::new(&model, theta.copy(), &samples).unwrap();
                let gradient = step(&mut objective).0;
                let mut by_inputs = objective.by_inputs().unwrap();
                let logits = by_inputs.outputs(&samples.inputs().unwrap()).unwrap();
                [gradient, logits, by_inputs.vjp(&cotangents).unwrap()]
            };
            let wide = measure();
            on_narrow_vectors(|| {
                for (narrow, wide) in measure().iter().zip(&wide) {
                    let error = relative(narrow, wide);
                    assert!(error < 1e-5, "{model}: {error}");
                }
            });
        }
    }
}
