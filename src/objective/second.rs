//! That libtorch does not know the second derivative of an operator, told from its message. Fused operators (attention,
//! recurrent networks) often have a first one only. Knows no model.

use anyhow::Error;
use std::fmt;
use tch::TchError;

/// A curvature takes an operator's second derivative, and libtorch has none: accuracy and gradient are there all the same.
/// Holds the operator's name, such as `_scaled_dot_product_flash_attention_for_cpu`.
#[derive(Debug)]
pub struct NoSecondDerivative(pub String);

impl fmt::Display for NoSecondDerivative {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self(operator) = self;
        write!(
            f,
            "libtorch has no second derivative of {operator}: without curvature, or with it written in plain operators"
        )
    }
}

impl std::error::Error for NoSecondDerivative {}

/// An error of a product, as [`NoSecondDerivative`] where it is that.
pub(super) fn explained(error: impl Into<Error>) -> Error {
    let error = error.into();
    let operator = error.chain().find_map(|cause| operator(&cause.downcast_ref::<TchError>()?.to_string()));
    operator.map_or(error, |operator| NoSecondDerivative(operator).into())
}

/// The operator that a message of libtorch is about.
fn operator(message: &str) -> Option<String> {
    // Of a node that is marked so, or of an argument in quotes; a model in TorchScript puts a traceback before it.
    let of_operator = message.lines().find_map(|line| {
        let (_, rest) = line.split_once("derivative for ")?;
        let (name, _) = rest.split_once(" is not implemented")?;
        let name = name.trim_matches('\'');
        let name = name.strip_prefix("aten::").unwrap_or(name);
        Some(name.strip_suffix("_backward").unwrap_or(name).to_owned())
    });
    let once = || {
        let is_once = message.to_ascii_lowercase().contains("trying to differentiate twice");
        is_once.then(|| "a function that is marked once_differentiable".to_owned())
    };
    of_operator.or_else(once)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn the_operator_is_read_off_libtorchs_message() {
        let flash = "_scaled_dot_product_flash_attention_for_cpu";
        for (message, expected) in [
            (&*format!("derivative for aten::{flash}_backward is not implemented\nException raised"), Some(flash)),
            ("the derivative for '_cudnn_rnn_backward' is not implemented. Double backwards is", Some("_cudnn_rnn")),
            ("Traceback of TorchScript\nRuntimeError: derivative for aten::fold is not implemented", Some("fold")),
            (
                "Trying to differentiate twice a function that was marked with @once_differentiable",
                Some("a function that is marked once_differentiable"),
            ),
            (
                "trying to differentiate twice a function that was marked with @once_differentiable",
                Some("a function that is marked once_differentiable"),
            ),
            ("mat1 and mat2 shapes cannot be multiplied", None),
            ("derivative for what", None),
        ] {
            let error = Err::<(), _>(TchError::Torch(message.to_owned())).context("block 3").map_err(explained);
            let error = error.unwrap_err();
            let found = error.downcast_ref::<NoSecondDerivative>().map(|NoSecondDerivative(operator)| &**operator);
            assert_eq!(found, expected, "{message}");
            assert_eq!(error.to_string().lines().count(), 1);
        }
        // What is not libtorch's is none of it.
        let other = explained(anyhow::anyhow!("derivative for aten::relu is not implemented"));
        assert!(!other.is::<NoSecondDerivative>());
    }
}
