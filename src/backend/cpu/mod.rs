//! Training's inner loops in float32 on a CPU, where a matrix library has too little to bite on: narrow
//! fully connected networks, convolutions of few channels, Adam.
//!
//! Everywhere samples lie in the lanes of the vectors. One source for all instruction sets, chosen at run
//! time. Knows numbers only, no tensors; [`crate::objective`] decides where these run, and its way through
//! libtorch is their oracle.

// What is unsafe here goes by addresses, strides and sizes that a safe function has checked, once a call; sizes
// that overflow panic before memory is taken for them (the profiles have overflow checks, a test below sees to it).

// Indices into sums in registers; matrices as pointers, strides and sizes, as is usual.
#![allow(clippy::needless_range_loop, clippy::too_many_arguments)]

pub mod adam;
pub mod conv;
pub mod dense;
pub mod patches;
pub mod pieces;
pub mod schedule;

use aligned_vec::AVec;
use pulp::{Arch, Simd, WithSimd};
use std::ops::{Deref, DerefMut};

/// `HW1_KERNELS=0` sends everything through libtorch, for comparison.
pub fn wanted() -> bool {
    static WANTED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *WANTED.get_or_init(|| std::env::var_os("HW1_KERNELS").is_none_or(|value| value != "0"))
}

/// The variable that keeps kernels and libraries to narrower vectors than the processor's widest, and its one value.
pub const VECTOR: (&str, &str) = ("HW1_VECTOR", "avx2");

/// Whether narrower vectors than the widest are asked for.
pub fn are_narrow_wanted() -> bool {
    std::env::var_os(VECTOR.0).is_some_and(|value| value == VECTOR.1)
}

/// The widest vectors of this processor, or those that are asked for.
fn arch() -> Arch {
    #[cfg(test)]
    if let Some(arch) = TEST_ARCH.get() {
        return arch;
    }
    static CHOSEN: std::sync::OnceLock<Arch> = std::sync::OnceLock::new();
    *CHOSEN.get_or_init(|| {
        #[cfg(target_arch = "x86_64")]
        if let Some(narrow) = pulp::x86::V3::try_new().filter(|_| are_narrow_wanted()) {
            return Arch::V3(narrow);
        }
        Arch::new()
    })
}

/// Width of the vectors that the kernels use on this processor: sums have other orders at another width.
pub fn vector_bits() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;

        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    32 * arch().dispatch(Lanes)
}

#[cfg(test)]
thread_local! {
    /// Other vectors than the widest, on this thread.
    static TEST_ARCH: std::cell::Cell<Option<Arch>> = const { std::cell::Cell::new(None) };
}

/// Runs `test` on the narrower kinds of vectors.
#[cfg(test)]
pub fn on_narrow_vectors(mut test: impl FnMut()) {
    let mut archs = vec![Arch::Scalar];
    #[cfg(target_arch = "x86_64")]
    archs.extend(pulp::x86::V3::try_new().map(Arch::V3));
    for arch in archs {
        TEST_ARCH.set(Some(arch));
        test();
        TEST_ARCH.set(None);
    }
}

/// Numbers that begin with a line of the cache: a vector that straddles two lines takes twice as long.
struct AlignedVec(AVec<f32>);

impl AlignedVec {
    fn filled(len: usize, value: f32) -> Self {
        let mut numbers = Self::default();
        numbers.resize(len, value);
        numbers
    }

    /// Makes it so many zeros. (`AVec::resize` writes number by number, and its length with each.)
    fn zero(&mut self, len: usize) {
        self.resize(len, 0.0);
        self.fill(0.0);
    }
}

impl Default for AlignedVec {
    fn default() -> Self {
        Self(AVec::new(0))
    }
}

impl Deref for AlignedVec {
    type Target = AVec<f32>;

    fn deref(&self) -> &AVec<f32> {
        &self.0
    }
}

impl DerefMut for AlignedVec {
    fn deref_mut(&mut self) -> &mut AVec<f32> {
        &mut self.0
    }
}

/// Rows of sums that fit the registers of a processor with 32 of them, beside what they are made of.
const MOST_ROWS: usize = 6;

/// Runs `$call` with `$rows` as the constant `$R`: sums in registers need a number known to the compiler.
macro_rules! by_rows {
    ($rows:expr, $R:ident => $call:expr) => {
        by_rows!($rows, $R => $call, 1 2 3 4 5)
    };
    ($rows:expr, $R:ident => $call:expr, $($count:literal)*) => {
        match $rows {
            $($count => {
                const $R: usize = $count;
                $call
            })*
            _ => {
                const $R: usize = $crate::backend::cpu::MOST_ROWS;
                $call
            }
        }
    };
}
use by_rows;

/// Cuts `count` rows into the fewest parts of at most `most`, all but equal: (start, rows) of each.
fn parts(count: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let number = count.div_ceil(most);
    (0..number).map(move |part| {
        let (start, end) = (part * count / number, (part + 1) * count / number);
        (start, end - start)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_is_that_of_the_vectors_in_use() {
        TEST_ARCH.set(Some(Arch::Scalar));
        let narrow = vector_bits();
        TEST_ARCH.set(None);
        assert_eq!(narrow, 32);
        #[cfg(target_arch = "x86_64")]
        if pulp::x86::V3::try_new().is_some() {
            assert_eq!(vector_bits(), if pulp::x86::V4::try_new().is_some() { 512 } else { 256 });
        }
    }

    #[test]
    fn sizes_that_overflow_panic() {
        let most = std::hint::black_box(usize::MAX);
        assert!(std::panic::catch_unwind(|| std::hint::black_box(most + 1)).is_err());
        assert!(std::panic::catch_unwind(|| std::hint::black_box(most * 2)).is_err());
    }

    #[test]
    fn zeros_are_as_many_as_asked_for() {
        let mut numbers = AlignedVec::filled(5, 1.0);
        for len in [5, 3, 0, 9, 9] {
            numbers.zero(len);
            assert_eq!(**numbers, vec![0.0; len]);
            numbers.fill(1.0);
        }
    }

    #[test]
    fn parts_cover_all_rows_once() {
        for count in 1..200 {
            for most in 1..=MOST_ROWS {
                let mut next = 0;
                for (start, rows) in parts(count, most) {
                    assert!(start == next && (1..=most).contains(&rows), "{count} by {most}");
                    next += rows;
                }
                assert_eq!(next, count);
            }
        }
    }
}
