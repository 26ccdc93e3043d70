//! What a thread asks of memory: the allocator counts, for every test.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

// Plain numbers: they need no memory themselves, and stand until the thread has ended.
thread_local! {
    /// The largest piece, since this was last set to 0.
    pub static LARGEST: Cell<usize> = const { Cell::new(0) };
    /// What was asked for and not yet given back.
    pub static HELD: Cell<isize> = const { Cell::new(0) };
    /// The most of it, since this was last set.
    pub static MOST_HELD: Cell<isize> = const { Cell::new(0) };
}

fn taken(size: usize) {
    LARGEST.set(LARGEST.get().max(size));
    HELD.set(HELD.get() + size as isize);
    MOST_HELD.set(MOST_HELD.get().max(HELD.get()));
}

fn given_back(size: usize) {
    HELD.set(HELD.get() - size as isize);
}

// SAFETY: hands everything to the system's allocator, as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller's promises are the system's allocator's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller's promises are the system's allocator's.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        given_back(layout.size());
        // SAFETY: the caller's promises are the system's allocator's.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both at once where it moves.
        taken(size);
        given_back(layout.size());
        // SAFETY: the caller's promises are the system's allocator's.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
