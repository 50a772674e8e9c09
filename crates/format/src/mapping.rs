//! Cells in memory: a window onto a store, or private memory where there is no store.
//!
//! Owns the mapping of a file and hands out nothing but atomics: no slice of plain bytes ever
//! covers memory that another process writes. Knows no offsets: what stands where is
//! [`crate::layout`]'s and [`crate::store`]'s business.
#![expect(
    unsafe_code,
    reason = "mapped memory is reached through pointers; each is checked here"
)]

use std::fmt;
use std::slice;

#[cfg(target_os = "linux")]
use std::{
    fs::File,
    io,
    sync::atomic::{AtomicU64 as Length, Ordering},
};

#[cfg(target_os = "linux")]
use memmap2::{Advice, MmapOptions, MmapRaw};

#[cfg(target_os = "linux")]
use crate::layout::MAX_STORE_BYTES;
use crate::publication::Words;
use crate::sync::AtomicU64;

/// Memory that holds cells, at addresses that stay as long as it lives.
///
/// # Forks
///
/// A store's memory is not there in a forked child, which must neither use nor drop it. What a
/// [`PerProcess`](crate::PerProcess) keeps never reaches a child.
pub struct CellMemory(Kind);

enum Kind {
    /// A store's file.
    #[cfg(target_os = "linux")]
    Mapped(Window),
    /// This process alone sees it.
    Private(Box<[AtomicU64]>),
}

impl CellMemory {
    /// Cells that only this process sees, all of them zero.
    pub fn private(cells: usize) -> CellMemory {
        CellMemory(Kind::Private(
            (0..cells).map(|_| AtomicU64::new(0)).collect(),
        ))
    }

    /// `count` cells from `offset` bytes on.
    ///
    /// # Panics
    ///
    /// When they do not lie inside, or `offset` is not a multiple of eight.
    pub fn cells(&self, offset: u64, count: usize) -> &[AtomicU64] {
        match &self.0 {
            Kind::Private(cells) => {
                assert!(
                    offset.is_multiple_of(8),
                    "cells begin at a multiple of eight bytes"
                );
                let first = usize::try_from(offset / 8).expect("an index of cells in memory");
                &cells[first..][..count]
            }
            #[cfg(target_os = "linux")]
            Kind::Mapped(window) => {
                let first = window.pointer(offset, count as u64);
                // SAFETY: `pointer` has checked that the cells lie in the part of the window that
                // is backed by the file, which is mapped readable and writable until `self` is
                // dropped, and that they are aligned. They are only ever accessed as atomics, by
                // this process and by no other: readers use `pread`.
                unsafe { slice::from_raw_parts(first, count) }
            }
        }
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn mapped(file: &File) -> io::Result<CellMemory> {
        Ok(CellMemory(Kind::Mapped(Window::new(file)?)))
    }

    /// Says that the file now has `bytes` allocated bytes.
    #[cfg(target_os = "linux")]
    pub(crate) fn set_backed(&self, bytes: u64) {
        if let Kind::Mapped(window) = &self.0 {
            window.backed.store(bytes, Ordering::Relaxed);
        }
    }

    /// Bytes that the store can grow to beneath this window.
    #[cfg(target_os = "linux")]
    pub(crate) fn limit(&self) -> u64 {
        match &self.0 {
            Kind::Private(cells) => 8 * cells.len() as u64,
            Kind::Mapped(window) => window.raw.len() as u64,
        }
    }
}

impl Words for CellMemory {
    fn word(&self, offset: u64) -> &AtomicU64 {
        &self.cells(offset, 1)[0]
    }
}

impl fmt::Debug for CellMemory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CellMemory").finish_non_exhaustive()
    }
}

/// A mapping larger than its file, so that the file grows beneath it and no address ever moves.
#[cfg(target_os = "linux")]
struct Window {
    raw: MmapRaw,
    /// Bytes of the file that are allocated, and so may be touched.
    backed: Length,
}

#[cfg(target_os = "linux")]
impl Window {
    /// `[store.grow.window]`: maps as much as a store may grow to, or less where the address space
    /// is limited.
    fn new(file: &File) -> io::Result<Window> {
        const SMALLEST: u64 = 1 << 24;
        let mut bytes = MAX_STORE_BYTES;
        let raw = loop {
            let length = usize::try_from(bytes).unwrap_or(usize::MAX / 4);
            match MmapOptions::new().len(length).map_raw(file) {
                Ok(raw) => break raw,
                Err(error) if bytes <= SMALLEST => return Err(error),
                Err(_) => bytes /= 2,
            }
        };
        // [store.fork.mapping]: a child must not write to its parent's store.
        raw.advise(Advice::DontFork)?;
        Ok(Window {
            raw,
            backed: Length::new(0),
        })
    }

    fn pointer(&self, offset: u64, cells: u64) -> *const AtomicU64 {
        let bytes = cells.checked_mul(8);
        let end = bytes.and_then(|bytes| offset.checked_add(bytes));
        // Relaxed: a thread learns of a place in the file only through a lock or an acquire load,
        // after `set_backed`.
        let inside = end.is_some_and(|end| end <= self.backed.load(Ordering::Relaxed));
        assert!(
            inside && offset.is_multiple_of(8),
            "{cells} cells at byte {offset} lie outside the store"
        );
        let offset = usize::try_from(offset).expect("the window fits into memory");
        self.raw.as_ptr().wrapping_add(offset).cast::<AtomicU64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "out of range")]
    fn cells_past_the_end_are_never_handed_out() {
        CellMemory::private(4).cells(8, 4);
    }

    #[cfg(target_os = "linux")]
    #[test]
    #[should_panic(expected = "lie outside the store")]
    fn cells_that_no_disk_block_backs_are_never_handed_out() {
        let path = std::env::temp_dir().join(format!("headcount-window-{}", std::process::id()));
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .unwrap();
        std::fs::remove_file(&path).unwrap();
        CellMemory::mapped(&file).unwrap().cells(0, 1);
    }
}
