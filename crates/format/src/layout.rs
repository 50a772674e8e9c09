//! Where things stand in a store: the header, the names of files, the kinds of records and blocks.
//!
//! Owns every offset and every number that a file holds (`spec/store.md`, chapters 2 to 4). Knows
//! nothing of files, mappings or atomics.

use bytemuck::{Pod, Zeroable};

use crate::identity::{BootId, Incarnation};

/// `[store.header.magic]`: a byte outside ASCII, four letters, CR LF and an end-of-file mark, so
/// that a transfer as text is noticed.
pub const MAGIC: [u8; 8] = *b"\x89HCNT\r\n\x1a";

/// `[store.header.version]` `[store.version.read]`: the version that this release writes, and the
/// only one that there is to read.
pub const VERSION: u32 = 1;

/// Bytes in the part of the header that never changes.
pub const HEADER_BYTES: u64 = 64;

/// `[store.used]`: where the count of published catalog bytes stands, at the start of a cache line
/// that no cell shares.
pub const USED_OFFSET: u64 = 64;

/// `[store.refused]`: where the count of series that found no room stands.
pub const REFUSED_OFFSET: u64 = 72;

/// `[store.catalog.first]`: where the first segment of the catalog begins.
pub const CATALOG_OFFSET: u64 = 128;

/// `[store.grow]`: a file grows by whole pages of this many bytes and never shrinks.
pub const PAGE_BYTES: u64 = 4096;

/// `[store.file.new]`: bytes of a new store, all of them allocated: two pages of header and
/// catalog, two for the first cells.
pub const INITIAL_BYTES: u64 = 4 * PAGE_BYTES;

/// `[store.catalog.first]`: where the first segment of the catalog ends, and blocks may begin.
pub const FIRST_SEGMENT_END: u64 = 2 * PAGE_BYTES;

/// `[store.limit.file]`: bytes that a store has at most.
pub const MAX_STORE_BYTES: u64 = 1 << 30;

/// `[store.limit.text]`: bytes that a name, a help text or a label value has at most.
pub const MAX_TEXT_BYTES: usize = 65_535;

/// `[store.limit.labels]`: labels that a series has at most.
pub const MAX_LABELS: usize = 128;

/// `[store.limit.parts]`: buckets or states that a family has at most.
pub const MAX_PARTS: usize = 4096;

/// `[store.cells.page]`: additive cells that one page holds; lanes are divided at these bounds.
pub const CELLS_PER_PAGE: u64 = PAGE_BYTES / 8;

/// `[store.stamped]`: cells of one stamped register: a version and two slots of value and time.
pub const STAMPED_CELLS: u64 = 5;

/// `[store.file.name]`: what the name of a store ends with.
pub const EXTENSION: &str = "store";

/// `[ledger.name]`: the name of a directory's ledger.
pub const LEDGER_NAME: &str = "headcount.ledger";

/// `[ledger.whole]`: the name of a ledger that is not finished.
pub const UNFINISHED_LEDGER_NAME: &str = ".headcount.ledger.new";

/// `[life.place.file]`: the name of the list of workers' places.
pub const SLOTS_NAME: &str = "headcount.slots";

/// `[ledger.boot]`: the name that the ledger of an earlier boot gets.
pub const EARLIER_LEDGER_NAME: &str = "headcount.ledger.earlier-boot";

/// `[store.file.name]`: the name of a store, or `None` for any other name.
///
/// ```
/// use headcount_format::layout::incarnation_of;
///
/// assert!(incarnation_of(b"000102030405060708090a0b0c0d0e0f.store").is_some());
/// assert!(incarnation_of(b"counter_7.db").is_none());
/// assert!(incarnation_of(b".000102030405060708090a0b0c0d0e0f.new").is_none());
/// ```
pub fn incarnation_of(file_name: &[u8]) -> Option<Incarnation> {
    let stem = file_name
        .strip_suffix(EXTENSION.as_bytes())?
        .strip_suffix(b".")?;
    Incarnation::parse(std::str::from_utf8(stem).ok()?)
}

/// `[store.file.name]`: the public name of an incarnation's store.
pub fn file_name(incarnation: Incarnation) -> String {
    format!("{incarnation}.{EXTENSION}")
}

/// `[store.file.new]`: the name of a store that is not finished; readers pass over it.
pub fn unfinished_file_name(incarnation: Incarnation) -> String {
    format!(".{incarnation}.new")
}

/// What the catalog of a store says in one record (`spec/store.md`, chapter 4).
pub mod record_kind {
    /// `[store.record.segment]`: the catalog goes on elsewhere.
    pub const SEGMENT: u32 = 1;
    /// `[store.record.labels]`: labels of every series of this store.
    pub const LABELS: u32 = 2;
    /// `[store.record.family]`: a family.
    pub const FAMILY: u32 = 3;
    /// `[store.record.series]`: a series of a family.
    pub const SERIES: u32 = 4;
    /// `[store.record.block]`: a block.
    pub const BLOCK: u32 = 5;
    /// `[store.record.removal]`: a series that is no more.
    pub const REMOVAL: u32 = 6;
    /// `[store.record.folded]`: stores that a ledger holds.
    pub const FOLDED_STORES: u32 = 8;
    /// `[store.record.folded]`: files of other clients that a ledger holds.
    pub const FOLDED_FILES: u32 = 9;
    /// `[ledger.level]`: whose the value of a series of a ledger is that is no total.
    pub const LEVEL: u32 = 10;
    /// `[ledger.root]`: of which first generation a ledger is.
    pub const ROOT: u32 = 11;
}

/// What a block of a store holds (`spec/store.md`, chapter 5).
pub mod block_kind {
    /// `[store.block.additive]`: cells whose lanes are added.
    pub const ADDITIVE: u32 = 1;
    /// `[store.block.register]`: cells that hold what was written last.
    pub const REGISTER: u32 = 2;
    /// `[store.block.stamped]`: registers that know when they were written.
    pub const STAMPED: u32 = 3;
}

/// How a writer holds its store, so that a reader knows how to ask whether it lives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LockKind {
    /// An open-file-description lock: held as long as the writer lives.
    Description,
    /// A lock by `flock`, which cannot be asked for without taking it: proves nothing.
    Flock,
    /// None could be had.
    Missing,
}

/// Who writes a store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// A worker.
    Worker,
    /// A sidecar, which keeps here what dead workers counted.
    Ledger,
}

/// The part of a store's header that never changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// Which life of which worker the store belongs to.
    pub incarnation: Incarnation,
    /// `[store.header.boot]`: the boot during which it was written.
    pub boot: BootId,
    /// `[store.header.started]`: when it was created, in nanoseconds since 1970; zero where the clock stood before that.
    pub started: u64,
    /// `[store.header.pid]`: the worker's pid in its own namespace, to be shown and never to be
    /// trusted.
    pub pid: u32,
    /// `[store.header.role]`: who writes it.
    pub role: Role,
    /// `[store.header.lock]`: how its writer holds it.
    pub lock: LockKind,
}

/// Why 64 bytes are not the header of a store that can be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HeaderError {
    /// The checksum disagrees.
    Checksum,
    /// A field holds a number that this version does not define.
    Field(&'static str),
    /// The magic bytes are missing.
    Magic,
    /// Another version, newer than [`VERSION`] or zero.
    Version(u32),
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct RawHeader {
    magic: [u8; 8],
    version: [u8; 4],
    checksum: [u8; 4],
    incarnation: [u8; 16],
    boot: [u8; 16],
    started: [u8; 8],
    pid: [u8; 4],
    role: u8,
    lock: u8,
    zero: [u8; 2],
}

const _: () = assert!(size_of::<RawHeader>() as u64 == HEADER_BYTES);
const _: () = assert!(std::mem::offset_of!(RawHeader, version) == 8);
const _: () = assert!(std::mem::offset_of!(RawHeader, incarnation) == 16);
const _: () = assert!(std::mem::offset_of!(RawHeader, started) == 48);
const _: () = assert!(std::mem::offset_of!(RawHeader, role) == 60);

impl Header {
    /// `[store.header]`: the bytes of the header.
    pub fn encode(&self) -> [u8; HEADER_BYTES as usize] {
        let mut raw = RawHeader {
            magic: MAGIC,
            version: VERSION.to_le_bytes(),
            checksum: [0; 4],
            incarnation: self.incarnation.0,
            boot: self.boot.0,
            started: self.started.to_le_bytes(),
            pid: self.pid.to_le_bytes(),
            role: match self.role {
                Role::Worker => 0,
                Role::Ledger => 1,
            },
            lock: match self.lock {
                LockKind::Missing => 0,
                LockKind::Description => 1,
                LockKind::Flock => 2,
            },
            zero: [0; 2],
        };
        raw.checksum = crc32fast::hash(bytemuck::bytes_of(&raw)).to_le_bytes();
        bytemuck::cast(raw)
    }

    /// `[store.header]`: the header that `bytes` hold.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] for what is not a header of a version that this release reads.
    pub fn decode(bytes: &[u8; HEADER_BYTES as usize]) -> Result<Header, HeaderError> {
        let mut raw: RawHeader = bytemuck::cast(*bytes);
        if raw.magic != MAGIC {
            return Err(HeaderError::Magic);
        }
        let version = u32::from_le_bytes(raw.version);
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        let checksum = u32::from_le_bytes(std::mem::take(&mut raw.checksum));
        if crc32fast::hash(bytemuck::bytes_of(&raw)) != checksum {
            return Err(HeaderError::Checksum);
        }
        Ok(Header {
            incarnation: Incarnation(raw.incarnation),
            boot: BootId(raw.boot),
            started: u64::from_le_bytes(raw.started),
            pid: u32::from_le_bytes(raw.pid),
            role: match raw.role {
                0 => Role::Worker,
                1 => Role::Ledger,
                _ => return Err(HeaderError::Field("role")),
            },
            lock: match raw.lock {
                0 => LockKind::Missing,
                1 => LockKind::Description,
                2 => LockKind::Flock,
                _ => return Err(HeaderError::Field("lock")),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            incarnation: Incarnation(*b"0123456789abcdef"),
            boot: BootId([7; 16]),
            started: 1_700_000_000_123_456_789,
            pid: 4711,
            role: Role::Worker,
            lock: LockKind::Description,
        }
    }

    // [store.header]
    #[test]
    fn a_header_reads_back_as_it_was_written() {
        assert_eq!(Header::decode(&header().encode()), Ok(header()));
    }

    // [store.header.checksum]
    #[test]
    fn a_flipped_bit_anywhere_is_noticed() {
        let bytes = header().encode();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&damaged).is_err(), "bit {bit}");
        }
    }

    // [store.header.version]
    #[test]
    fn another_version_is_named() {
        let mut bytes = header().encode();
        bytes[8] = 2;
        assert_eq!(Header::decode(&bytes), Err(HeaderError::Version(2)));
    }

    // [store.file.name]
    #[test]
    fn only_32_lower_case_digits_and_the_extension_name_a_store() {
        let name = file_name(Incarnation([0xab; 16]));
        assert_eq!(
            incarnation_of(name.as_bytes()),
            Some(Incarnation([0xab; 16]))
        );
        for other in ["", ".store", "ab.store", &name.to_uppercase(), &name[1..]] {
            assert_eq!(incarnation_of(other.as_bytes()), None, "{other}");
        }
    }
}
