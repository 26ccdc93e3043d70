//! The convolutional part of a classifier, forward and backward: layers of 3×3 convolutions with padding 1,
//! 2×2 max pooling and ReLU.
//!
//! Forward, samples lie in the lanes of the vectors, a block of them at a time, so that a convolution is
//! broadcast weights times vectors of samples: no shuffles, no waste with few channels. A window of 2×2
//! convolutions is pooled in registers and never stored; it takes 16 products a channel instead of 36 ([`winograd`]), but
//! in a layer of one input channel ([`direct`]). Backward, pooling has left at most one derivative in four, and ReLU fewer:
//! only those are visited ([`sparse`]), sample by sample, channels in the lanes, but in such a layer. Planes have a
//! border of zeros. Knows numbers only, no tensors.

mod backward;
mod direct;
mod forward;
mod pooling;
mod sparse;
mod winograd;

use self::backward::{Backward, Upstream, Vjp};
use self::forward::{Features, Forward};
use self::sparse::Nonzero;
use self::winograd::transform_filters;
use super::{AlignedVec, arch, pieces};
use pulp::Arch;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};

/// Places of a kernel.
pub(super) const TAPS: usize = 9;

/// Samples a block: what the widest vectors hold. A block is a piece of work.
pub const BLOCK: usize = 16;

/// Side, channels and planes of one layer.
#[derive(Clone, Copy)]
struct Layer {
    /// Channels in and out.
    inputs: usize,
    outputs: usize,
    /// Side of the input; that of the output is half of it.
    side: usize,
    /// Side of a plane with its border: even, so that windows of 2×2 cover it.
    plane: usize,
    /// Where its weights begin in θ; its biases follow them.
    weights: usize,
    /// Where its input planes and the argmax of its pooling begin in a block's memory.
    planes: usize,
    argmax: usize,
}

impl Layer {
    /// Whether it is convolved as it is written: of one channel Winograd's transforms would cost more than they save.
    fn is_direct(&self) -> bool {
        self.inputs == 1
    }

    fn biases(&self) -> usize {
        self.weights + self.inputs * self.outputs * TAPS
    }

    /// Weights and biases in θ or in a gradient.
    fn split<'a>(&self, parameters: &'a mut [f32]) -> (&'a mut [f32], &'a mut [f32]) {
        let (weights, biases) = parameters[self.weights..].split_at_mut(self.biases() - self.weights);
        (weights, &mut biases[..self.outputs])
    }

    /// What stands for each place of a pooling's window, in reading order: its offset from the first, in numbers of a
    /// sample's input planes, channel by channel. Exact in float32.
    fn argmax_offsets(&self) -> [f32; 4] {
        [0, 1, self.plane, self.plane + 1].map(|offset| (offset * self.inputs) as f32)
    }

    fn plane_len(&self) -> usize {
        plane_len(self.plane)
    }

    /// Numbers of an output plane.
    fn outputs_len(&self) -> usize {
        (self.side / 2) * (self.side / 2)
    }
}

/// Vectors from one plane to the next: not a power of two, else the same pixel of all planes would want the
/// same few lines of the cache.
fn plane_len(plane: usize) -> usize {
    plane * plane + 4
}

/// Offsets into a sample's numbers are kept as float32, which has all whole numbers up to here.
const LARGEST_EXACT: usize = 1 << 24;

/// Layers by their channels.
pub struct Convolutions {
    /// The image's side, its channels and each layer's: all that sizes and offsets depend on.
    shape: Vec<usize>,
    layers: Vec<Layer>,
    parameters: usize,
    /// Vectors of a block's part of the workspace.
    block_len: usize,
    features: usize,
    /// Channels and side of an image.
    channels: usize,
    image: usize,
}

/// What a forward pass leaves for a backward one, and memory for that.
#[derive(Default)]
pub struct Workspace {
    /// [`Convolutions::shape`] of those it was last used by: all borders of zeros are where theirs are.
    shape: Vec<usize>,
    /// The vectors of the last forward pass, where it came to its end. A backward pass takes argmax from
    /// `blocks` and goes there unchecked: they have to be its own network's.
    passed: Option<Arch>,
    blocks: Vec<BlockWorkspace>,
    filters: Vec<Vec<f32>>,
    /// One for each thread that was at work.
    scratch: Mutex<Vec<(ThreadId, Scratch)>>,
}

#[derive(Default)]
struct BlockWorkspace {
    /// Input planes of each layer, and the argmax of its pooling.
    planes: AlignedVec,
    gradient: Vec<f32>,
}

impl Convolutions {
    /// Layers of so many `outputs` each on square images of `channels` channels, `side` wide. `None` where there is no layer
    /// or no pixel, or a sample has more than 2²⁴ numbers before or behind a layer.
    pub fn new(channels: usize, side: usize, outputs: &[usize]) -> Option<Self> {
        if outputs.is_empty() || channels == 0 || !(1..4096).contains(&side) {
            return None;
        }
        let shape = [&[side, channels], outputs].concat();
        let mut layers = Vec::new();
        let (mut inputs, mut size, mut parameters, mut block_len) = (channels, side, 0, 0);
        for &outputs in outputs {
            let plane = size.next_multiple_of(2) + 2;
            inputs.max(outputs).checked_mul(plane_len(plane)).filter(|most| *most <= LARGEST_EXACT)?;
            let planes = block_len;
            let argmax = planes + inputs * plane_len(plane);
            block_len = argmax + outputs * (size / 2) * (size / 2);
            layers.push(Layer { inputs, outputs, side: size, plane, weights: parameters, planes, argmax });
            parameters += (inputs * TAPS + 1) * outputs;
            (inputs, size) = (outputs, size / 2);
        }
        Some(Self { shape, layers, parameters, block_len, features: inputs * size * size, channels, image: side })
    }

    /// Numbers of an image.
    fn pixels(&self) -> usize {
        self.channels * self.image * self.image
    }

    /// Length of its part of θ: weights [out, in, 3, 3] and biases of each layer in turn.
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Numbers a sample has behind the last layer.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Lengths that all passes rely on: of θ, and of matrices [features, stride] with columns for whole blocks.
    fn check(&self, theta: &[f32], samples: usize, stride: usize, matrices: &[&[f32]]) {
        assert!(stride.is_multiple_of(BLOCK) && samples <= stride, "{samples} samples in rows of {stride}");
        let len = self.features * stride;
        assert!(theta.len() == self.parameters && matrices.iter().all(|matrix| matrix.len() == len));
    }

    /// Features [channels · side · side, stride] of `images` [samples, channels, side, side], a sample a column; columns up to
    /// the next multiple of [`BLOCK`] are written.
    ///
    /// # Panics
    /// Where a length is not the network's, or the stride no multiple of [`BLOCK`].
    pub fn forward(
        &self,
        theta: &[f32],
        images: &[f32],
        workspace: &mut Workspace,
        features: &mut [f32],
        stride: usize,
    ) {
        let pixels = self.pixels();
        let samples = images.len() / pixels;
        self.check(theta, samples, stride, &[features]);
        if workspace.shape != self.shape {
            *workspace = Workspace { shape: self.shape.clone(), ..Workspace::default() };
        }
        let Workspace { passed, blocks, filters, scratch: scratches, .. } = workspace;
        *passed = None;
        blocks.resize_with(samples.div_ceil(BLOCK), BlockWorkspace::default);
        filters.resize_with(self.layers.len(), Vec::new);
        for (layer, filters) in self.layers.iter().zip(&mut *filters).filter(|(layer, _)| !layer.is_direct()) {
            transform_filters(layer, &theta[layer.weights..], filters);
        }
        let arch = arch();
        let features = Features::new(features, stride);
        pieces::for_each(blocks, |index, block| {
            block.planes.resize(self.block_len * BLOCK, 0.0);
            let images = &images[index * BLOCK * pixels..samples.min((index + 1) * BLOCK) * pixels];
            let planes = &mut block.planes;
            with_scratch(scratches, |scratch| {
                arch.dispatch(Forward { net: self, theta, filters, images, index, planes, scratch, features });
            });
        });
        *passed = Some(arch);
    }

    /// The vectors of the forward pass that a backward pass starts from: this network's, and whole.
    fn passed(&self, workspace: &Workspace) -> Arch {
        match workspace.passed {
            Some(arch) if workspace.shape == self.shape => arch,
            _ => panic!("a backward pass without its forward pass"),
        }
    }

    /// ∂L/∂θ into `gradient`, from `features` and ∂L/∂features in `deltas`, for the last [`Self::forward`] of as
    /// many samples; columns of `deltas` without a sample hold zeros.
    ///
    /// # Panics
    /// Where a length is not the network's, or there was no forward pass.
    pub fn backward(
        &self,
        theta: &[f32],
        workspace: &mut Workspace,
        [features, deltas]: [&[f32]; 2],
        stride: usize,
        gradient: &mut [f32],
    ) {
        let arch = self.passed(workspace);
        let Workspace { blocks, scratch: scratches, .. } = workspace;
        self.check(theta, blocks.len() * BLOCK, stride, &[features, deltas]);
        assert!(gradient.len() == self.parameters);
        pieces::for_each(blocks, |index, block| {
            block.gradient.clear();
            block.gradient.resize(self.parameters, 0.0);
            let upstream = Upstream { theta, index, features, deltas, stride };
            with_scratch(scratches, |scratch| arch.dispatch(Backward { net: self, upstream, block, scratch }));
        });
        gradient.fill(0.0);
        for block in blocks {
            gradient.iter_mut().zip(&block.gradient).for_each(|(sum, value)| *sum += value);
        }
    }

    /// As [`Self::backward`], but the derivatives by the images, into `images` [samples, channels, side, side].
    ///
    /// # Panics
    /// Where a length is not the network's, or there was no forward pass.
    pub fn vjp(
        &self,
        theta: &[f32],
        workspace: &mut Workspace,
        [features, deltas]: [&[f32]; 2],
        stride: usize,
        images: &mut [f32],
    ) {
        let arch = self.passed(workspace);
        let Workspace { blocks, scratch: scratches, .. } = workspace;
        self.check(theta, blocks.len() * BLOCK, stride, &[features, deltas]);
        let of_block = BLOCK * self.pixels();
        assert!(images.len().div_ceil(of_block) == blocks.len());
        let mut blocks: Vec<_> = blocks.iter_mut().zip(images.chunks_mut(of_block)).collect();
        pieces::for_each(&mut blocks, |index, (block, images)| {
            let upstream = Upstream { theta, index, features, deltas, stride };
            let planes = &mut block.planes;
            with_scratch(scratches, |scratch| {
                arch.dispatch(Vjp { net: self, upstream, planes, scratch, images });
            });
        });
    }
}

/// Lends a scratch that no other thread has at that moment, if possible the one that this thread had before.
fn with_scratch(scratches: &Mutex<Vec<(ThreadId, Scratch)>>, work: impl FnOnce(&mut Scratch)) {
    let lock = || scratches.lock().unwrap_or_else(PoisonError::into_inner);
    let me = thread::current().id();
    let own = |scratches: &mut Vec<(ThreadId, Scratch)>| {
        let mine = scratches.iter().position(|(owner, _)| *owner == me);
        mine.map(|index| scratches.swap_remove(index)).or_else(|| scratches.pop())
    };
    let mut scratch = own(&mut lock()).map(|(_, scratch)| scratch).unwrap_or_default();
    work(&mut scratch);
    lock().push((me, scratch));
}

/// A thread's space for a pass through some samples, one in each lane; what a layer leaves, the next overwrites.
#[derive(Default)]
struct Scratch {
    /// By lane and channel: what pooling passed on, and where each channel's list ends.
    nonzeros: Vec<Nonzero>,
    channel_ends: Vec<usize>,
    /// A layer's inputs by sample, [side, side, channels] with a border of zeros, and the derivatives by them.
    inputs: Vec<AlignedVec>,
    deltas: AlignedVec,
    /// A layer's weights by output channel, [3, 3 · inputs], rows padded to whole vectors; derivatives as well.
    weights: AlignedVec,
    sums: AlignedVec,
    /// Derivatives by a layer's outputs, as vectors of samples.
    below: AlignedVec,
    /// Winograd's transforms of a row of windows, and products with those of the filters.
    transformed: AlignedVec,
    products: AlignedVec,
    /// Derivatives of the first layer's convolutions, some channels at a time; their borders stay 0.
    planes: AlignedVec,
}

#[cfg(test)]
mod tests {
    use super::super::on_narrow_vectors;
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Numbers from -1 to 1 without a pattern.
    fn rough(len: usize, shift: f32) -> Vec<f32> {
        (0..len).map(|i| (i as f32 * 12.9898 + shift).sin()).collect()
    }

    /// Features, gradient and derivatives by the images of one forward and one backward pass.
    fn passes(net: &Convolutions, workspace: &mut Workspace, samples: usize) -> [Vec<f32>; 3] {
        let (theta, images) = (rough(net.parameters(), 0.5), rough(samples * net.pixels(), 0.25));
        let stride = samples.next_multiple_of(BLOCK);
        let mut features = vec![0.0; net.features() * stride];
        net.forward(&theta, &images, workspace, &mut features, stride);
        let mut deltas = rough(features.len(), 0.75);
        deltas.chunks_exact_mut(stride).for_each(|row| row[samples..].fill(0.0));
        let (mut gradient, mut by_images) = (vec![0.0; theta.len()], vec![0.0; images.len()]);
        net.backward(&theta, workspace, [&features, &deltas], stride, &mut gradient);
        net.vjp(&theta, workspace, [&features, &deltas], stride, &mut by_images);
        // Columns without a sample show what the workspace held before.
        features.chunks_exact_mut(stride).for_each(|row| row[samples..].fill(0.0));
        [features, gradient, by_images]
    }

    /// Sides that pooling divides and others, one channel and more than registers hold.
    const NETWORKS: [(usize, usize, &[usize]); 8] = [
        (1, 28, &[8, 16]),
        (1, 9, &[7]),
        (1, 7, &[3, 2]),
        (1, 12, &[1, 20, 5]),
        (1, 2, &[1]),
        (1, 14, &[13, 4]),
        (3, 14, &[5, 4]),
        (2, 7, &[3]),
    ];

    #[test]
    fn a_workspace_goes_from_network_to_network() {
        let test = || {
            let mut shared = Workspace::default();
            for turn in 0..2 {
                for (channels, side, outputs) in NETWORKS {
                    let net = Convolutions::new(channels, side, outputs).unwrap();
                    for samples in [17, 3 + turn] {
                        let found = passes(&net, &mut shared, samples);
                        assert!(
                            found == passes(&net, &mut Workspace::default(), samples),
                            "{channels}, {side}, {outputs:?}"
                        );
                        assert!(
                            found.iter().flatten().all(|number| number.is_finite()),
                            "{channels}, {side}, {outputs:?}"
                        );
                    }
                }
            }
        };
        test();
        on_narrow_vectors(test);
    }

    #[test]
    fn a_backward_pass_without_its_own_forward_pass_is_refused() {
        // Of the second network's workspace, nothing is where the first would look for it.
        let (net, other) = (Convolutions::new(1, 28, &[8, 16]).unwrap(), Convolutions::new(1, 28, &[16, 8]).unwrap());
        let (theta, stride) = (vec![0.5; net.parameters()], BLOCK);
        let matrix = vec![0.5; net.features() * stride];
        let mut gone = Workspace::default();
        passes(&other, &mut gone, BLOCK);
        for mut workspace in [Workspace::default(), gone] {
            let mut refused = |pass: &mut dyn FnMut(&mut Workspace)| {
                catch_unwind(AssertUnwindSafe(|| pass(&mut workspace))).unwrap_err().downcast::<&str>().unwrap()
            };
            let both = [&matrix[..], &matrix[..]];
            let (mut gradient, mut images) = (vec![0.0; theta.len()], vec![0.0; BLOCK * 784]);
            let said = refused(&mut |workspace| net.backward(&theta, workspace, both, stride, &mut gradient));
            assert_eq!(*said, "a backward pass without its forward pass");
            let said = refused(&mut |workspace| net.vjp(&theta, workspace, both, stride, &mut images));
            assert_eq!(*said, "a backward pass without its forward pass");
        }
    }

    #[test]
    fn lengths_that_are_not_the_networks_are_refused() {
        let net = Convolutions::new(1, 4, &[2]).unwrap();
        let (mut workspace, stride) = (Workspace::default(), BLOCK);
        passes(&net, &mut workspace, BLOCK);
        let len = net.features() * stride;
        let (theta, long) = (vec![0.5; net.parameters()], vec![0.5; 2 * len]);
        let mut refused = |theta: &[f32], features: &[f32], deltas: &[f32], stride: usize, gradient: usize| {
            let mut gradient = vec![0.0; gradient];
            let pass = || net.backward(theta, &mut workspace, [features, deltas], stride, &mut gradient);
            catch_unwind(AssertUnwindSafe(pass)).is_err()
        };
        let fits = &long[..len];
        assert!(!refused(&theta, fits, fits, stride, theta.len()));
        assert!(refused(&theta[1..], fits, fits, stride, theta.len()));
        assert!(refused(&theta, &long[1..len], fits, stride, theta.len()));
        assert!(refused(&theta, fits, &long, stride, theta.len()));
        assert!(refused(&theta, &long[..len / 2], &long[..len / 2], stride / 2, theta.len()));
        assert!(refused(&theta, fits, fits, stride, theta.len() - 1));
        for (images, features, stride) in [(BLOCK + 1, len, stride), (1, len - 1, stride), (1, len / 2, stride / 2)] {
            let (images, mut features) = (vec![0.5; 16 * images], vec![0.0; features]);
            let pass = || net.forward(&theta, &images, &mut Workspace::default(), &mut features, stride);
            assert!(catch_unwind(AssertUnwindSafe(pass)).is_err());
        }
    }

    #[test]
    fn networks_whose_argmax_would_not_be_exact_are_declined() {
        // The largest that `--model` takes.
        assert!(Convolutions::new(1, 28, &[4096; 4]).is_some());
        for (channels, side, outputs) in [
            (1, 28, &[][..]),
            (1, 0, &[1]),
            (0, 28, &[1]),
            (1, 4096, &[1]),
            (1, 4000, &[4, 4]),
            (3, 4000, &[1]),
            (1, usize::MAX, &[1]),
            (usize::MAX, 28, &[1]),
            (1, 28, &[8, usize::MAX]),
        ] {
            assert!(Convolutions::new(channels, side, outputs).is_none(), "{channels}, {side}, {outputs:?}");
        }
    }
}
