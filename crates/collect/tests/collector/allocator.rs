//! An allocator that counts, for the tests that say how much memory a pass takes.
//!
//! Owns the only unsafe code of these tests: a global allocator cannot be had without it. It counts
//! for each thread by itself, so that tests that run beside each other do not mix; memory that one
//! thread takes and another gives back is counted wrong, and no test here does so.
#![expect(unsafe_code, reason = "`GlobalAlloc` is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

thread_local! {
    /// Bytes that this thread has taken and not given back.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    /// The most of them since [`mark`].
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// How many bytes this thread has taken and not given back.
pub(crate) fn live() -> isize {
    LIVE.get()
}

/// The most that [`live`] has been since [`reset_peak`].
pub(crate) fn peak() -> isize {
    PEAK.get()
}

/// Has [`peak`] begin anew.
pub(crate) fn reset_peak() {
    PEAK.set(LIVE.get());
}

fn count(bytes: isize) {
    // A thread that ends has no cells any more, and nothing that is measured.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

// SAFETY: every call is the system allocator's own, with the arguments as they came; what is
// counted beside it takes no memory, since the cells are constants and have no destructors.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: `pointer` came from `System` with this layout, for nothing else is behind us.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc_zeroed`, which is the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both are there while the content moves.
        count(size.cast_signed());
        count(-layout.size().cast_signed());
        // SAFETY: `pointer` came from `System` with this layout, and the caller vouches for `size`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
