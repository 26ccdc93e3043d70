//! The numbers of a tensor, for kernels: where safe tensors become slices.

use std::ptr::NonNull;
use tch::kind::Element;
use tch::{Device, Tensor};

/// The numbers of contiguous float32 tensors on the CPU: see [`slices`].
///
/// # Panics
/// As there.
///
/// # Safety
/// As there.
#[allow(clippy::mut_from_ref)] // who borrows a handle does not own its numbers
pub(crate) unsafe fn float_slices<'a, const R: usize, const W: usize>(
    read: [&'a Tensor; R],
    written: [&'a Tensor; W],
) -> ([&'a [f32]; R], [&'a mut [f32]; W]) {
    // SAFETY: as promised.
    unsafe { slices(read, written) }
}

/// The numbers of contiguous tensors of one kind on the CPU: of some to be read, of others to be written.
///
/// A tensor is a handle, and others may share its memory: that one is borrowed says nothing of its numbers. That
/// none of those written is another's, too, is checked here.
///
/// # Panics
/// Where a tensor is of another kind, or shares memory with one to be written.
///
/// # Safety
/// As long as the slices live nobody else uses what is written, and nobody writes or resizes what is read: no
/// operation of libtorch on tensors that share their memory, on any thread. (Operations of libtorch have the same
/// need, unchecked: a tensor that two threads know is not to be changed.)
#[allow(clippy::mut_from_ref)] // who borrows a handle does not own its numbers
pub(crate) unsafe fn slices<'a, T: Element, const R: usize, const W: usize>(
    read: [&'a Tensor; R],
    written: [&'a Tensor; W],
) -> ([&'a [T]; R], [&'a mut [T]; W]) {
    let (reads, writes) = (read.map(raw_slice), written.map(raw_slice));
    let apart = |a: *mut [T], b: *mut [T]| {
        let end = |slice: *mut [T]| slice.addr() + size_of::<T>() * slice.len();
        end(a) <= b.addr() || end(b) <= a.addr()
    };
    for (index, write) in writes.iter().enumerate() {
        assert!(reads.iter().chain(&writes[..index]).all(|other| apart(*write, *other)), "tensors share memory");
    }
    // SAFETY: memory of living tensors, which outlive the slices, in whole numbers; no slice to be written meets
    // another here, nor, as promised, elsewhere.
    unsafe { (reads.map(|slice| &*slice), writes.map(|slice| &mut *slice)) }
}

/// A tensor's numbers in memory.
fn raw_slice<T: Element>(tensor: &Tensor) -> *mut [T] {
    assert!(tensor.device() == Device::Cpu && tensor.kind() == T::KIND && tensor.is_contiguous());
    let (start, len) = (tensor.data_ptr().cast::<T>(), tensor.numel());
    assert!(len == 0 || !start.is_null(), "a tensor without memory");
    // libtorch gives an empty tensor no address; a slice always has one.
    let start = if len == 0 { NonNull::dangling().as_ptr() } else { start };
    std::ptr::slice_from_raw_parts_mut(start, len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    fn zeros(shape: &[i64]) -> Tensor {
        Tensor::zeros(shape, (Kind::Float, Device::Cpu))
    }

    #[test]
    fn slices_are_the_tensors_own() {
        let (a, b) = (zeros(&[2, 3]), zeros(&[4]));
        {
            // SAFETY: nobody else knows these tensors.
            let ([a], [b]) = unsafe { float_slices([&a], [&b]) };
            assert_eq!(a, [0.0; 6]);
            b.fill(1.0);
        }
        assert_eq!(b.sum(Kind::Float).double_value(&[]), 4.0);
        let [upper, lower] = [0, 1].map(|row| a.get(row));
        // SAFETY: as above.
        let ([upper], [lower]) = unsafe { float_slices([&upper], [&lower]) };
        assert_eq!((upper.len(), lower.len()), (3, 3), "neighbours share nothing");
    }

    #[test]
    fn an_empty_slice_has_an_address_all_the_same() {
        let nothing = zeros(&[0, 5]);
        assert!(nothing.data_ptr().is_null());
        // SAFETY: there is nothing that another could use.
        let ([read, _], [written]) = unsafe { float_slices([&nothing, &nothing], [&nothing]) };
        let address = |slice: &[f32]| std::hint::black_box(slice.as_ptr()).addr();
        assert!(read.is_empty() && written.is_empty() && address(read) > 0 && address(written) > 0);
    }

    #[test]
    fn what_cannot_be_borrowed_is_refused() {
        let a = zeros(&[4, 4]);
        let b = zeros(&[4, 4]);
        let refused = |read: &Tensor, written: &Tensor| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                // SAFETY: nobody else knows these tensors, and the slices are gone at once.
                let _ = unsafe { float_slices([read], [written]) };
            }))
            .is_err()
        };
        assert!(!refused(&a, &b));
        for (read, written) in [
            (&a, &a),
            (&a, &a.get(3)),
            (&a.narrow(0, 0, 2), &a.narrow(0, 1, 2)),
            (&b, &a.tr()),
            (&b.to_kind(Kind::Double), &a),
        ] {
            assert!(refused(read, written));
        }
        // SAFETY: as above.
        let twice = || unsafe { float_slices([], [&a, &a]) }.1.len();
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(twice)).is_err());
    }
}
