//! Memory into which a file is read so that no word is split on the way.
//!
//! Owns the alignment that keeps the kernel's copy whole (`[store.read.aligned]`): offset,
//! length and destination are all multiples of eight, and here of more. Knows no format.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytemuck::{Pod, Zeroable};

use crate::layout::PAGE_BYTES;

/// Bytes of which every read takes a multiple, from an offset that is one.
pub const READ_UNIT: u64 = 64;

/// Memory of whole pages, which grows with what is read into it.
#[derive(Default)]
pub struct PageBuffer {
    pages: Vec<Page>,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(4096))]
struct Page([u8; PAGE_BYTES as usize]);

impl PageBuffer {
    /// An empty one.
    pub fn new() -> PageBuffer {
        PageBuffer::default()
    }

    /// Reads the bytes from `start` to `end`, or as many of them as the file has.
    ///
    /// # Errors
    ///
    /// When the operating system refuses.
    pub fn read(&mut self, file: &File, start: u64, end: u64) -> io::Result<&[u8]> {
        let first = start - start % READ_UNIT;
        let wanted = end.saturating_sub(first).next_multiple_of(READ_UNIT);
        let wanted = usize::try_from(wanted).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let bytes = self.bytes(wanted);
        let mut read = 0;
        while read < wanted {
            match file.read_at(&mut bytes[read..], first + read as u64) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let skipped = usize::try_from(start - first).unwrap_or(read).min(read);
        let kept = usize::try_from(end - first).unwrap_or(read).min(read);
        Ok(&self.bytes(wanted)[skipped..kept.max(skipped)])
    }

    /// As words, `count` of them, whose content is whatever it was.
    pub(crate) fn words(&mut self, count: usize) -> &mut [u64] {
        bytemuck::cast_slice_mut(self.bytes(8 * count))
    }

    /// The words that [`PageBuffer::words`] has handed out, `count` of them at most.
    pub(crate) fn held(&self, count: usize) -> &[u64] {
        let words: &[u64] = bytemuck::cast_slice(&self.pages);
        &words[..count.min(words.len())]
    }

    fn bytes(&mut self, count: usize) -> &mut [u8] {
        let pages = count.div_ceil(size_of::<Page>());
        if self.pages.len() < pages {
            self.pages.resize(pages, Page::zeroed());
        }
        &mut bytemuck::cast_slice_mut(&mut self.pages)[..count]
    }
}

impl fmt::Debug for PageBuffer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PageBuffer")
            .field("pages", &self.pages.len())
            .finish()
    }
}
