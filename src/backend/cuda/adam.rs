//! A step of Adam in one launch, for trainings whose gradient is libtorch's. The kernel is `kernels/adam.cu`.

use super::{Card, Launch, Source};
use crate::backend::cpu::adam::Step;
use anyhow::Result;
use std::sync::Arc;

const THREADS: usize = 256;

pub(super) fn source() -> Source {
    Source { name: "adam", prefix: format!("constexpr unsigned THREADS = {THREADS};\n") }
}

/// Takes a step behind what libtorch has under way on the card, and does not wait for it.
///
/// # Errors
/// The card's, and for more numbers than a launch has.
///
/// # Safety
/// At each address are `count` float32 on the card: θ, its gradient, its means and those of its squares.
pub unsafe fn step(card: &Arc<dyn Card>, addresses: [u64; 4], count: usize, step: &Step) -> Result<()> {
    let numbers =
        [1.0 - step.beta_1, step.beta_2, 1.0 - step.beta_2, step.step_size, step.root_of_correction, step.epsilon];
    let mut arguments = addresses.to_vec();
    arguments.push(u64::from(u32::try_from(count)?));
    arguments.extend(numbers.map(|number| u64::from((number as f32).to_bits())));
    let blocks = count.div_ceil(THREADS);
    if blocks == 0 {
        return Ok(());
    }
    // SAFETY: the kernel's arguments, by the caller's addresses.
    unsafe {
        card.kernel(&source())?.queue(Launch { blocks, together: 1, threads: THREADS, shared_bytes: 0 }, &arguments)
    }
}
