//! Models as pure functions of one flat θ: an architecture, and the layout that names each slice
//! of θ as PyTorch would (`conv1.weight`, `fc1.bias`). Knows nothing of losses or training.

mod classifier;
mod layout;
mod mlp;
mod parse;

pub use classifier::{Classifier, Cnn, one_dnn_wanted};
pub use layout::{Layout, Slot};
pub use mlp::Mlp;
pub use parse::Named;
pub(crate) use parse::as_text;
