//! Which operators a program may call, and what hw1 does of its own with some: it leaves assertions out, sets dropout
//! aside, and knows which make tensors of no input's kind. Knows names, no tensors.

use super::dispatch::Operator;
use super::symbolic::Symbolic;
use std::ffi::CStr;

/// What a node does.
#[derive(Clone, Debug)]
pub enum Call {
    Operator(&'static Operator, Own),
    Symbolic(Symbolic),
    /// A tensor's size along a dimension.
    Size,
    /// How many elements a tensor has.
    Elements,
    /// An assertion of what held where the model was exported.
    Nothing,
    /// A graph within the graph, behind a first operand that says whether derivatives are wanted there.
    WithGrad,
    /// The same where the first operand says nothing here: autocast, in which nothing is enabled.
    Inner,
}

/// What is done with an operator beside calling it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    Nothing,
    /// Its argument that says it is training is false, and any probability of dropping is 0.
    Deterministic,
    /// Normalises by a batch where it is told to, else by running statistics.
    BatchNorm,
    /// Attention: libtorch's fused forms have no second derivative, its plain formula has.
    Attention,
    /// relu6(x + 3) / 6: libtorch's own form has no second derivative.
    HardSigmoid,
    /// Makes a tensor: of libtorch's default kind where it is given none.
    Factory,
    /// The same, of whole numbers where it is made of such.
    FactoryByValue,
}

/// Why a target cannot be called.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// libtorch has none of that name.
    Unknown,
    /// It draws random numbers.
    Random,
    /// It reaches beyond its arguments.
    NotAllowed,
}

/// Assertions.
const NOTHING: [&str; 9] = [
    "_assert_async",
    "_assert_scalar",
    "_assert_tensor_metadata",
    "_check_is_size",
    "_functional_assert_async",
    "_functional_assert_scalar",
    "sym_constrain_range",
    "sym_constrain_range_for_size",
    "_guards_fn",
];

/// Those that drop or draw where they are told that they are training, and nothing else.
const DETERMINISTIC: [&str; 15] = [
    "alpha_dropout",
    "alpha_dropout_",
    "dropout",
    "dropout_",
    "feature_alpha_dropout",
    "feature_alpha_dropout_",
    "feature_dropout",
    "feature_dropout_",
    "native_dropout",
    "rrelu",
    "rrelu_",
    "lstm",
    "gru",
    "rnn_tanh",
    "rnn_relu",
];

const BATCH_NORMS: [&str; 6] = [
    "batch_norm",
    "native_batch_norm",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_functional",
    "cudnn_batch_norm",
    "instance_norm",
];

const FACTORIES: [&str; 8] =
    ["empty", "eye", "linspace", "logspace", "ones", "scalar_tensor", "zeros", "empty_permuted"];

/// Those whose kind the values decide.
const FACTORIES_BY_VALUE: [&str; 2] = ["arange", "full"];

/// Internal ones that graphs have: after decompositions, or because Python calls them so.
const INTERNAL: [&str; 39] = [
    "__and__",
    "__or__",
    "__xor__",
    "__lshift__",
    "__rshift__",
    "__iand__",
    "__ior__",
    "__ixor__",
    "__ilshift__",
    "__irshift__",
    "_weight_norm_interface",
    "_fused_rms_norm",
    "_adaptive_avg_pool2d",
    "_adaptive_avg_pool3d",
    "_cdist_forward",
    "_convolution",
    "_euclidean_dist",
    "_fft_c2c",
    "_log_softmax",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_functional",
    "_native_batch_norm_legit_no_training",
    "_reshape_copy",
    "_safe_softmax",
    "_scaled_dot_product_attention_math",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_shape_as_tensor",
    "_softmax",
    "_thnn_fused_gru_cell",
    "_to_copy",
    "_unsafe_index",
    "_unsafe_view",
    "_upsample_bicubic2d_aa",
    "_upsample_bilinear2d_aa",
    "_upsample_nearest_exact1d",
    "_upsample_nearest_exact2d",
    "_upsample_nearest_exact3d",
    "_weight_norm",
    "_trilinear",
];

/// They read files, or change what a tensor is made of.
const REFUSED: [&str; 12] = [
    "as_strided_",
    "from_file",
    "record_stream",
    "rename_",
    "requires_grad_",
    "resize",
    "resize_",
    "resize_as_",
    "set",
    "set_",
    "set_data",
    "retain_grad",
];

/// The call of a target such as "torch.ops.aten.add.Tensor".
///
/// # Errors
/// Why there is none.
pub fn call(target: &str) -> Result<Call, Refused> {
    if let Some(symbolic) = Symbolic::named(target) {
        return Ok(Call::Symbolic(symbolic));
    }
    let name = target.strip_prefix("torch.ops.").ok_or(Refused::Unknown)?;
    match name {
        "higher_order.wrap_with_set_grad_enabled" => return Ok(Call::WithGrad),
        "higher_order.wrap_with_autocast" => return Ok(Call::Inner),
        _ => {}
    }
    let name = name.strip_prefix("aten.").ok_or(Refused::Unknown)?;
    let (name, overload) = name.split_once('.').unwrap_or((name, ""));
    let overload = if overload == "default" { "" } else { overload };
    match name {
        "sym_size" => return Ok(Call::Size),
        "sym_numel" => return Ok(Call::Elements),
        _ if NOTHING.contains(&name) => return Ok(Call::Nothing),
        _ => {}
    }
    // Those that write into what they are given beside others.
    let writes = overload == "out" || overload.ends_with("_out");
    if REFUSED.contains(&name) || writes || name.starts_with('_') && !INTERNAL.contains(&name) {
        let exists = Operator::find(&format!("aten::{name}"), overload).is_some();
        return Err(if exists { Refused::NotAllowed } else { Refused::Unknown });
    }
    // Whether a tensor can be viewed so depends on how another form of an operator laid it out; what it holds does not.
    let name = if name == "view" && overload.is_empty() { "reshape" } else { name };
    let operator = Operator::find(&format!("aten::{name}"), overload).ok_or(Refused::Unknown)?;
    let own = match name {
        "scaled_dot_product_attention" | "_scaled_dot_product_flash_attention_for_cpu" => Own::Attention,
        "hardsigmoid" | "hardsigmoid_" => Own::HardSigmoid,
        _ if DETERMINISTIC.contains(&name) => Own::Deterministic,
        _ if BATCH_NORMS.contains(&name) => Own::BatchNorm,
        _ if FACTORIES.contains(&name) => Own::Factory,
        _ if FACTORIES_BY_VALUE.contains(&name) => Own::FactoryByValue,
        _ => Own::Nothing,
    };
    if operator.is_random && matches!(own, Own::Nothing | Own::Factory) {
        return Err(Refused::Random);
    }
    Ok(Call::Operator(operator, own))
}

/// Attention by its formula, (query, key, value, attn_mask, dropout_p, is_causal, dropout_mask, scale, enable_gqa).
pub const PLAIN_ATTENTION: &str = "aten::_scaled_dot_product_attention_math";

/// Arguments of those that are [`Own::Deterministic`] or [`Own::Attention`] that drop, and what they are then.
pub const DROPPING: [(&CStr, f64); 3] = [(c"p", 0.0), (c"dropout", 0.0), (c"dropout_p", 0.0)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_called_or_refused_for_a_reason() {
        let of = |target: &str| match call(target) {
            Ok(Call::Operator(operator, own)) => format!("{} {own:?}", operator.schema.split('(').next().unwrap()),
            Ok(other) => format!("{other:?}"),
            Err(refused) => format!("{refused:?}"),
        };
        for (target, expected) in [
            ("torch.ops.aten.conv2d.default", "aten::conv2d Nothing"),
            ("torch.ops.aten.conv2d.padding", "aten::conv2d.padding Nothing"),
            ("torch.ops.aten.add_.Tensor", "aten::add_.Tensor Nothing"),
            ("torch.ops.aten.dropout.default", "aten::dropout Deterministic"),
            ("torch.ops.aten.lstm.input", "aten::lstm.input Deterministic"),
            ("torch.ops.aten.batch_norm.default", "aten::batch_norm BatchNorm"),
            ("torch.ops.aten.zeros.default", "aten::zeros Factory"),
            ("torch.ops.aten.zeros_like.default", "aten::zeros_like Nothing"),
            ("torch.ops.aten.hardsigmoid_.default", "aten::hardsigmoid_ HardSigmoid"),
            ("torch.ops.aten.scaled_dot_product_attention.default", "aten::scaled_dot_product_attention Attention"),
            ("torch.ops.aten._to_copy.default", "aten::_to_copy Nothing"),
            ("torch.ops.aten._assert_tensor_metadata.default", "Nothing"),
            ("torch.ops.aten.sym_size.int", "Size"),
            ("torch.ops.higher_order.wrap_with_set_grad_enabled", "WithGrad"),
            ("_operator.mul", "Symbolic(Mul)"),
            ("torch.ops.aten.rand.default", "Random"),
            ("torch.ops.aten.bernoulli_.float", "Random"),
            ("torch.ops.aten.randn_like.default", "Random"),
            ("torch.ops.aten.from_file.default", "NotAllowed"),
            ("torch.ops.aten.set_.source_Storage", "NotAllowed"),
            ("torch.ops.aten._cudnn_rnn.default", "NotAllowed"),
            ("torch.ops.aten.add.out", "NotAllowed"),
            ("torch.ops.aten._reshape_alias.default", "NotAllowed"),
            ("torch.ops.aten._no_such.default", "Unknown"),
            ("torch.ops.aten.no_such.default", "Unknown"),
            ("torch.ops.aten.add.no_such", "Unknown"),
            ("torch.ops.torchvision.nms.default", "Unknown"),
            ("torch.ops.higher_order.cond", "Unknown"),
            ("builtins.open", "Unknown"),
        ] {
            assert_eq!(of(target), expected, "{target}");
        }
    }

    #[test]
    fn every_operator_that_is_named_here_is_one() {
        let all = NOTHING.iter().chain(&DETERMINISTIC).chain(&BATCH_NORMS).chain(&FACTORIES).chain(&FACTORIES_BY_VALUE);
        let all = all.chain(&INTERNAL);
        let overloads =
            ["", "input", "start", "dim", "Scalar", "self_int", "int", "tensor", "msg", "memory_format", "Tensor"];
        for name in all.filter(|name| {
            !["sym_constrain_range", "sym_constrain_range_for_size", "_guards_fn", "_check_is_size"].contains(name)
        }) {
            let found = overloads.iter().any(|overload| Operator::find(&format!("aten::{name}"), overload).is_some());
            assert!(found, "{name}");
        }
        assert!(Operator::find(PLAIN_ATTENTION, "").is_some());
    }
}
