//! The two passes through fully connected layers as matrix products into buffers made once: shared by both
//! objectives. Feature-major: [features, samples].

use crate::model::{Layout, Mlp};
use tch::{Kind, Tensor};

/// Views of one layer's weights and biases, and of their gradients.
pub struct Layer {
    weight: Tensor,
    weight_transposed: Tensor,
    bias_column: Tensor,
    weight_gradient: Tensor,
    bias_gradient: Tensor,
}

impl Layer {
    /// Of the linear layers whose slices begin with number `first` of the layout.
    pub fn all(layout: &Layout, first: usize, theta: &Tensor, gradient: &Tensor) -> Vec<Self> {
        (first..layout.slots.len())
            .step_by(2)
            .map(|slot| Self {
                weight: layout.view(theta, slot),
                weight_transposed: layout.view(theta, slot).tr(),
                bias_column: layout.view(theta, slot + 1).unsqueeze(1),
                weight_gradient: layout.view(gradient, slot),
                bias_gradient: layout.view(gradient, slot + 1),
            })
            .collect()
    }
}

/// Space for all that the two passes over a tile compute.
pub struct Room {
    /// Output of each layer, [width, samples], after ReLU; of the last, without.
    pub outputs: Vec<Tensor>,
    outputs_transposed: Vec<Tensor>,
    /// ∂L/∂z of each layer, [width, samples], in two buffers by turns.
    pub deltas: Vec<Tensor>,
}

impl Room {
    /// For tiles of so many samples, of the kind and on the device of `theta`.
    pub fn new(model: &Mlp, samples: i64, theta: &Tensor) -> Self {
        let space = |width: i64| Tensor::zeros([width, samples], (theta.kind(), theta.device()));
        let widths = &model.widths()[1..];
        let outputs: Vec<Tensor> = widths.iter().map(|&width| space(width)).collect();
        let outputs_transposed = outputs.iter().map(Tensor::tr).collect();
        let widest = widths.iter().copied().max().unwrap_or(1);
        let turns = [space(widest), space(widest)];
        let deltas = widths.iter().enumerate().map(|(layer, &width)| turns[layer % 2].narrow(0, 0, width)).collect();
        Self { outputs, outputs_transposed, deltas }
    }

    /// Fills `outputs` for the inputs `x` [inputs, samples].
    pub fn forward(&mut self, x: &Tensor, layers: &[Layer]) {
        let last = layers.len() - 1;
        for (index, layer) in layers.iter().enumerate() {
            let (before, here) = self.outputs.split_at_mut(index);
            let (input, output) = (before.last().unwrap_or(x), &mut here[0]);
            let _ = layer.bias_column.addmm_out(output, &layer.weight, input);
            if index < last {
                let _ = output.relu_();
            }
        }
    }

    /// From the last of `deltas` downwards; adds to ∇L, or sets it where this is the first tile.
    pub fn backward(&mut self, x_transposed: &Tensor, layers: &mut [Layer], first: bool) {
        for (index, layer) in layers.iter_mut().enumerate().rev() {
            let delta = &self.deltas[index];
            let input_transposed = if index == 0 { x_transposed } else { &self.outputs_transposed[index - 1] };
            if first {
                let _ = delta.mm_out(&layer.weight_gradient, input_transposed);
                let _ = delta.sum_intlist_out(&layer.bias_gradient, 1, false, None::<Kind>);
            } else {
                let _ = layer.weight_gradient.addmm_(delta, input_transposed);
                let _ = layer.bias_gradient.g_add_(&delta.sum_dim_intlist(1, false, None::<Kind>));
            }
            if index > 0 {
                let below = &self.deltas[index - 1];
                let _ = layer.weight_transposed.mm_out(below, delta);
                // ReLU's derivative, read off its output.
                let _ = self.outputs[index - 1].threshold_backward_grad_input(below, below, 0.0);
            }
        }
    }

    /// ∂L/∂x into `delta` [inputs, samples], after [`Self::backward`].
    pub fn by_input(&self, layers: &[Layer], delta: &Tensor) {
        let _ = layers[0].weight_transposed.mm_out(delta, &self.deltas[0]);
    }
}
