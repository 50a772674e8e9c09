//! A store, as a reader has it: read, never mapped, and never believed.
//!
//! Owns the order of a reader's steps (`spec/store.md`, chapter 6) and the shape of its reads: page
//! by page into aligned memory, so that the kernel's copy splits no word. Knows nothing of metrics
//! beyond the catalog, and nothing of the other files of a pool.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::catalog::{Catalog, CatalogError};
use crate::layout::{
    CATALOG_OFFSET, FIRST_SEGMENT_END, HEADER_BYTES, Header, HeaderError, MAX_STORE_BYTES,
    PAGE_BYTES, STAMPED_CELLS, block_kind,
};
use crate::pages::PageBuffer;
use crate::publication::{Source, read_stamped, read_used};
use crate::record::{Block, RECORD_HEADER_BYTES, Record};

/// A store that is being read.
#[derive(Debug)]
pub struct StoreReader {
    header: Header,
    catalog: Catalog,
    /// How many bytes of the catalog have been taken in, and where the next record stands.
    used: u64,
    record: u64,
    segment_end: u64,
    refused: u64,
    /// How many series there were when the file had all that the blocks claim.
    backed_series: usize,
    /// The words of every block of known kind, in the order of the catalog; the pass before beside
    /// the newest.
    current: Values,
    previous: Values,
}

/// The cells of one block, after a pass.
#[derive(Clone, Copy, Debug)]
pub struct CellBlock<'a> {
    /// The number of the first cell.
    pub first: u64,
    /// The lane; zero for the one that all threads share.
    pub lane: u32,
    /// The cells, as they stand in the file: little-endian bits of an f64 each.
    pub words: &'a [u64],
    /// The same cells as the pass before read them; empty if it did not.
    pub before: &'a [u64],
}

/// The words of one pass.
#[derive(Debug, Default)]
struct Values {
    buffer: PageBuffer,
    /// How many of the buffer's words the pass has read.
    words: usize,
    /// Value and time of each stamped register that has one.
    stamped: Vec<Option<(f64, f64)>>,
}

/// Why a store cannot be read, or cannot be read to its end.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// A record cannot follow those before it.
    Catalog {
        /// Where the record stands, in bytes from the start of the file.
        offset: u64,
        /// What is wrong with it.
        source: CatalogError,
    },
    /// The header is not one.
    Header(HeaderError),
    /// The operating system refuses.
    Io(io::Error),
    /// Larger than any store.
    TooLarge {
        /// Its size, in bytes.
        bytes: u64,
    },
    /// It ends before what it says it holds.
    Truncated {
        /// Bytes that it should have at least.
        expected: u64,
        /// Bytes that it has.
        bytes: u64,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Catalog { offset, source } => {
                write!(formatter, "the record at byte {offset} is wrong: {source}")
            }
            ReadError::Header(HeaderError::Magic) => {
                formatter.write_str("it does not begin as a store does")
            }
            ReadError::Header(HeaderError::Version(version)) => write!(
                formatter,
                "it is a store of version {version}, which a newer release reads"
            ),
            ReadError::Header(HeaderError::Checksum) => {
                formatter.write_str("the checksum of its header is wrong")
            }
            ReadError::Header(HeaderError::Field(field)) => {
                write!(formatter, "the field {field} of its header is out of range")
            }
            ReadError::Io(error) => write!(formatter, "failed to read it: {error}"),
            ReadError::TooLarge { bytes } => write!(
                formatter,
                "it has {bytes} bytes, and no store has more than {MAX_STORE_BYTES}"
            ),
            ReadError::Truncated { expected, bytes } => write!(
                formatter,
                "it has {bytes} bytes, and should have {expected} at least"
            ),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ReadError::Catalog { source, .. } => Some(source),
            ReadError::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        ReadError::Io(error)
    }
}

impl StoreReader {
    /// Reads the header of `file`, and no more.
    ///
    /// # Errors
    ///
    /// [`ReadError`] for what is not a store that this release reads.
    pub fn open(file: &File) -> Result<StoreReader, ReadError> {
        let bytes = size(file)?;
        let mut buffer = PageBuffer::new();
        if bytes < HEADER_BYTES {
            return Err(ReadError::Truncated {
                expected: FIRST_SEGMENT_END,
                bytes,
            });
        }
        let read = buffer.read(file, 0, HEADER_BYTES)?;
        let header = read.first_chunk().ok_or(ReadError::Truncated {
            expected: HEADER_BYTES,
            bytes: read.len() as u64,
        })?;
        Ok(StoreReader {
            header: Header::decode(header).map_err(ReadError::Header)?,
            catalog: Catalog::default(),
            used: 0,
            record: CATALOG_OFFSET,
            segment_end: FIRST_SEGMENT_END,
            refused: 0,
            backed_series: 0,
            current: Values::default(),
            previous: Values::default(),
        })
    }

    /// The part of the header that never changes.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What the catalog says, as far as the last [`StoreReader::refresh`] got.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// How many bytes of the catalog have been taken in.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// How many series of the catalog, from the first on, have cells that the file has had: those
    /// after them may be numbered as high as they like.
    pub fn backed_series(&self) -> usize {
        self.backed_series
    }

    /// How many series have found no room in the store and count in their worker's memory alone.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// `[store.read]`: takes in what the catalog has gained, and reads all values.
    ///
    /// # Errors
    ///
    /// [`ReadError`]; the values are then those of the last pass that succeeded, and the catalog may
    /// have gained series, whose values read as zero.
    pub fn refresh(&mut self, file: &File) -> Result<(), ReadError> {
        check_size(file, self.catalog.blocks())?;
        let (used, refused) = read_used(file)?;
        let read = self.read_catalog(file, used);
        // Before there is memory for what the blocks claim.
        let checked = check_size(file, self.catalog.blocks());
        if checked.is_ok() {
            self.backed_series = self.catalog.series().len();
        }
        read.and(checked)?;
        let mut values = std::mem::take(&mut self.previous);
        let outcome = values.read(file, self.catalog.blocks());
        // A file that was truncated meanwhile may have read as zeros.
        match outcome.and_then(|()| check_size(file, self.catalog.blocks())) {
            Ok(()) => {
                values.keep_stamps(&self.current);
                self.refused = refused;
                self.previous = std::mem::replace(&mut self.current, values);
                Ok(())
            }
            Err(error) => {
                // What is half read is no pass to compare with.
                values.words = 0;
                self.previous = values;
                Err(error)
            }
        }
    }

    /// The additive cells of the last pass, block by block in the order of the catalog. A cell that
    /// several lanes have comes several times; its value is their sum.
    pub fn additive(&self) -> impl Iterator<Item = CellBlock<'_>> {
        self.blocks_of(block_kind::ADDITIVE)
    }

    /// The registers of the last pass, block by block in the order of the catalog.
    pub fn registers(&self) -> impl Iterator<Item = CellBlock<'_>> {
        self.blocks_of(block_kind::REGISTER)
    }

    /// Value and time, in seconds since 1970, of a stamped register; `None` before it was set.
    pub fn stamped(&self, register: u32) -> Option<(f64, f64)> {
        let index = usize::try_from(register).ok()?;
        self.current.stamped.get(index).copied().flatten()
    }

    fn blocks_of(&self, kind: u32) -> impl Iterator<Item = CellBlock<'_>> {
        let mut current = self.current.buffer.held(self.current.words);
        let mut previous = self.previous.buffer.held(self.previous.words);
        let read = self.catalog.blocks().iter().filter(|block| is_read(block));
        read.filter_map(move |block| {
            // Blocks that a failed pass has learned of have no values yet.
            let (words, after) = current.split_at_checked(word_count(block))?;
            current = after;
            let before = previous.split_off(..word_count(block)).unwrap_or(&[]);
            (block.kind == kind).then_some(CellBlock {
                first: block.first,
                lane: block.lane,
                words,
                before,
            })
        })
    }

    /// `[store.read.catalog]`: reads records up to `used`, and takes in each as a whole.
    fn read_catalog(&mut self, file: &File, used: u64) -> Result<(), ReadError> {
        while self.used < used {
            let wanted = (used - self.used).min(self.segment_end - self.record);
            let expected = self.record + wanted;
            let bytes = size(file)?;
            if bytes < expected {
                return Err(ReadError::Truncated { expected, bytes });
            }
            let mut buffer = PageBuffer::new();
            let mut rest = buffer.read(file, self.record, expected)?;
            let segment = self.segment_end;
            while !rest.is_empty() && self.segment_end == segment {
                rest = self.read_record(rest)?;
            }
            if self.used < used && self.segment_end == segment {
                return Err(self.wrong("the catalog runs past its segment"));
            }
        }
        if self.used > used {
            return Err(self.wrong("the catalog has become shorter"));
        }
        Ok(())
    }

    /// Takes in the record that `bytes` begin with, and returns what follows.
    fn read_record<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], ReadError> {
        let short = "a record is longer than what is published";
        let Some((header, _)) = bytes.split_first_chunk::<RECORD_HEADER_BYTES>() else {
            return Err(self.wrong(short));
        };
        let [l0, l1, l2, l3, k0, k1, k2, k3] = *header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let kind = u32::from_le_bytes([k0, k1, k2, k3]);
        let record_bytes = usize::try_from(length).unwrap_or(usize::MAX);
        if record_bytes < RECORD_HEADER_BYTES || record_bytes % 8 != 0 {
            return Err(self.wrong("a record has an impossible length"));
        }
        let Some((record, rest)) = bytes.split_at_checked(record_bytes) else {
            return Err(self.wrong(short));
        };
        let applied = Record::decode(kind, &record[RECORD_HEADER_BYTES..])
            .map_err(CatalogError::from)
            .and_then(|record| {
                let segment = match record {
                    Record::Segment { offset, length } => Some((offset, length)),
                    _ => None,
                };
                self.catalog.apply(record).map(|()| segment)
            });
        let segment = applied.map_err(|source| ReadError::Catalog {
            offset: self.record,
            source,
        })?;
        self.used += u64::from(length);
        self.record += u64::from(length);
        if let Some((offset, length)) = segment {
            self.record = offset;
            self.segment_end = offset + length;
        }
        Ok(rest)
    }

    fn wrong(&self, what: &'static str) -> ReadError {
        ReadError::Catalog {
            offset: self.record,
            source: CatalogError::Contradiction(what),
        }
    }
}

impl Values {
    /// `[store.read.stamped]`: a register that was being set keeps the value of the pass before; one
    /// that was never set has none there either.
    fn keep_stamps(&mut self, before: &Values) {
        for (stamped, before) in self.stamped.iter_mut().zip(&before.stamped) {
            *stamped = stamped.or(*before);
        }
    }

    /// `[store.read.values]`: reads every block whose kind is known.
    fn read(&mut self, file: &File, blocks: &[Block]) -> Result<(), ReadError> {
        let read = || blocks.iter().filter(|block| is_read(block));
        self.words = read().map(word_count).sum();
        self.stamped.clear();
        let mut rest = self.buffer.words(self.words);
        for block in read() {
            let (words, after) = rest.split_at_mut(word_count(block));
            rest = after;
            if block.kind == block_kind::STAMPED {
                read_stamps(file, block, words, &mut self.stamped)?;
            } else {
                Source::read(file, block.offset, words)?;
            }
        }
        Ok(())
    }
}

/// A register that is being set at this moment is tried again.
fn read_stamps(
    file: &File,
    block: &Block,
    words: &mut [u64],
    stamped: &mut Vec<Option<(f64, f64)>>,
) -> Result<(), ReadError> {
    const TRIES: usize = 8;
    let start = stamped.len();
    stamped.resize(start + words.len() / STAMPED_CELLS as usize, None);
    let (mut slots, mut after) = (PageBuffer::new(), PageBuffer::new());
    let count = words.len();
    for _ in 0..TRIES {
        let buffers = [&mut *words, slots.words(count), after.words(count)];
        read_stamped(file, block.offset, buffers, |index, value, time| {
            stamped[start + index] = Some((value, time));
        })?;
        let versions = words
            .chunks_exact(STAMPED_CELLS as usize)
            .map(|cells| cells[0]);
        let complete = versions
            .zip(&stamped[start..])
            .all(|(version, value)| version == 0 || value.is_some());
        if complete {
            break;
        }
    }
    Ok(())
}

impl Source for File {
    type Error = ReadError;

    fn read(&self, offset: u64, words: &mut [u64]) -> Result<(), ReadError> {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(words);
        self.read_exact_at(bytes, offset).map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                ReadError::Truncated {
                    expected: offset + bytes.len() as u64,
                    bytes: size(self).unwrap_or(0),
                }
            } else {
                ReadError::Io(error)
            }
        })
    }
}

/// `[store.read.size]`: whole pages, no more than the limit, and all that the blocks claim.
fn check_size(file: &File, blocks: &[Block]) -> Result<(), ReadError> {
    let bytes = size(file)?;
    let claimed = blocks.last().map_or(FIRST_SEGMENT_END, |block| {
        block.offset.saturating_add(block.length)
    });
    if bytes < claimed || !bytes.is_multiple_of(PAGE_BYTES) {
        return Err(ReadError::Truncated {
            expected: claimed.max(bytes.next_multiple_of(PAGE_BYTES)),
            bytes,
        });
    }
    Ok(())
}

fn size(file: &File) -> Result<u64, ReadError> {
    let bytes = file.metadata()?.len();
    if bytes > MAX_STORE_BYTES {
        return Err(ReadError::TooLarge { bytes });
    }
    Ok(bytes)
}

fn is_read(block: &Block) -> bool {
    matches!(
        block.kind,
        block_kind::ADDITIVE | block_kind::REGISTER | block_kind::STAMPED
    )
}

fn word_count(block: &Block) -> usize {
    // A block lies inside a file of at most 2^30 bytes.
    (block.length / 8) as usize
}
