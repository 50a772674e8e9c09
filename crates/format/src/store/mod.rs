//! A store, as its writer has it: made, held and grown.
//!
//! Owns the order in which a store comes into being and grows (`spec/store.md`, chapters 1 and 6),
//! and the only file descriptor that a worker keeps. Whoever uses it keeps it behind a lock;
//! updates of cells do not pass through here.

mod descriptor;
mod error;

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, FallocateFlags, RenameFlags};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::catalog::{Cells, cells_of};
use crate::fork::PerProcess;
use crate::identity::{BootId, Incarnation};
use crate::layout::{
    self, CATALOG_OFFSET, CELLS_PER_PAGE, FIRST_SEGMENT_END, Header, INITIAL_BYTES, LockKind,
    PAGE_BYTES, REFUSED_OFFSET, Role, STAMPED_CELLS, block_kind,
};
use crate::lock;
use crate::mapping::CellMemory;
use crate::publication::{self, Words};
use crate::record::{Block, Family, Label, Record, Series};
use crate::sync::Ordering;
use descriptor::Descriptor;
pub use error::StoreError;

/// Bytes of the record that says where the catalog goes on: each segment keeps room for it.
const SEGMENT_RECORD_BYTES: u64 = 24;

/// Bytes of the record that names a block.
const BLOCK_RECORD_BYTES: u64 = 40;

/// Bytes by which a store grows at most at a time, if it can do with less.
const LARGEST_STEP: u64 = 1 << 20;

/// Pages of the largest block of cells, if no series asks for more.
const LARGEST_BLOCK_PAGES: u64 = 64;

/// What a store says of its worker when it is made.
#[derive(Clone, Debug)]
pub struct NewStore<'a> {
    /// The directory that the pool shares.
    pub directory: &'a Path,
    /// Labels of every series.
    pub labels: &'a [Label],
    /// Now, in nanoseconds since 1970.
    pub started: u64,
    /// Who writes it.
    pub role: Role,
}

/// One incarnation's store, open for writing.
#[derive(Debug)]
pub struct Store {
    descriptor: Descriptor,
    path: PathBuf,
    header: Header,
    memory: Arc<CellMemory>,
    /// Bytes of the file that are allocated.
    backed: u64,
    /// Where the next block or segment begins.
    end: u64,
    /// Where the next record goes, and where the segment ends.
    record: u64,
    segment: std::ops::Range<u64>,
    used: u64,
    additive: Run,
    registers: Run,
    stamped: Run,
    families: u32,
    series: u32,
}

/// The cells of one kind: numbered over all blocks, handed out from the last.
#[derive(Debug, Default)]
struct Run {
    /// The number of the next free cell, and that of the first cell of no block.
    next: u64,
    capacity: u64,
    /// The number of the first cell of the last block, its offset in the file, and its pages.
    block_first: u64,
    block_offset: u64,
    pages: u64,
}

/// Where a series has its cells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// The number of the series.
    pub series: u32,
    /// Bytes from the start of the store to its first cell; zero for a series without cells.
    pub offset: u64,
}

impl Store {
    /// `[store.file.new]`: makes a store: under a name that readers pass over, allocated, locked
    /// and complete, and only then under its own.
    ///
    /// The lock that it holds is closed in a forked child of `process`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Create`] when the directory refuses; nothing is left behind then.
    pub fn create<T: Send + Sync>(
        new: &NewStore<'_>,
        process: &PerProcess<T>,
    ) -> Result<Store, StoreError> {
        let failed = |source| StoreError::Create {
            directory: new.directory.to_owned(),
            source,
        };
        // [store.identity]
        let incarnation = Incarnation::random().map_err(failed)?;
        let unfinished = new
            .directory
            .join(layout::unfinished_file_name(incarnation));
        let store = Store::finish(new, incarnation, &unfinished);
        if store.is_err() {
            // It may never have come into being; what matters is that it is not left behind.
            let _removed = std::fs::remove_file(&unfinished);
        }
        let mut store = store.map_err(failed)?;
        if let Ok(file) = store.descriptor.file() {
            process.page().close_in_child(file);
        }
        if !new.labels.is_empty()
            && let Err(error) = store.append(&Record::Labels(new.labels.to_vec()))
        {
            // Before the descriptor is closed: a child must not close who has it then.
            process.page().keep_in_child();
            let _removed = std::fs::remove_file(&store.path);
            return Err(error);
        }
        Ok(store)
    }

    fn finish(
        new: &NewStore<'_>,
        incarnation: Incarnation,
        unfinished: &Path,
    ) -> io::Result<Store> {
        let file = File::options()
            .read(true)
            .write(true)
            // [store.identity.reopen]
            .create_new(true)
            .mode(0o640)
            .open(unfinished)?;
        // [store.file.mode]: the umask may have taken the group's right to read, which the sidecar may need.
        file.set_permissions(std::fs::Permissions::from_mode(0o640))?;
        allocate(&file, 0, INITIAL_BYTES)?;
        let header = Header {
            incarnation,
            boot: BootId::current(),
            started: new.started,
            pid: std::process::id(),
            role: new.role,
            lock: lock::take(&file)?,
        };
        file.write_all_at(&header.encode(), 0)?;
        let memory = CellMemory::mapped(&file)?;
        memory.set_backed(INITIAL_BYTES);
        let path = new.directory.join(layout::file_name(incarnation));
        let descriptor = Descriptor::new(file)?;
        rename(unfinished, &path)?;
        Ok(Store {
            descriptor,
            path,
            header,
            memory: Arc::new(memory),
            backed: INITIAL_BYTES,
            end: FIRST_SEGMENT_END,
            record: CATALOG_OFFSET,
            segment: CATALOG_OFFSET..FIRST_SEGMENT_END,
            used: 0,
            additive: Run::default(),
            registers: Run::default(),
            stamped: Run::default(),
            families: 0,
            series: 0,
        })
    }

    /// Where the store lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The part of the header that never changes.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How the store is held: by anything but [`LockKind::Description`], its life cannot be proved.
    pub fn lock(&self) -> LockKind {
        self.header.lock
    }

    /// The memory that [`Place::offset`] counts from.
    pub fn memory(&self) -> &Arc<CellMemory> {
        &self.memory
    }

    /// Adds a family and returns its number.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot grow; it is then as before.
    pub fn add_family(&mut self, family: &Family) -> Result<u32, StoreError> {
        self.append(&Record::Family(family.clone()))?;
        self.families += 1;
        Ok(self.families - 1)
    }

    /// Adds a series, whose `cell` is set here, to `family`, which is the one of its number.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot grow; readers then see nothing of the series.
    pub fn add_series(&mut self, mut series: Series, family: &Family) -> Result<Place, StoreError> {
        let (run, cells) = match cells_of(family) {
            Cells::None => (None, 0),
            Cells::Additive(count) => (Some(block_kind::ADDITIVE), count),
            Cells::Register => (Some(block_kind::REGISTER), 1),
            Cells::Stamped => (Some(block_kind::STAMPED), 1),
        };
        let (first, offset) = match run {
            None => (0, 0),
            Some(kind) => self.find_cells(kind, cells)?,
        };
        series.cell = u32::try_from(first).map_err(|_| self.full())?;
        self.append(&Record::Series(series))?;
        // Only now, so that a series that found no room takes no cells either.
        if let Some(kind) = run {
            self.run(kind).next = first + cells;
        }
        self.series += 1;
        let series = self.series - 1;
        Ok(Place { series, offset })
    }

    /// Says that a series is no more.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot grow; the series then stays.
    pub fn remove_series(&mut self, series: u32) -> Result<(), StoreError> {
        self.append(&Record::Removal { series })
    }

    /// `[store.refused]`: says how many series have found no room here.
    pub fn set_refused(&self, series: u64) {
        // Relaxed: it stands for itself.
        self.memory
            .word(REFUSED_OFFSET)
            .store(series.to_le(), Ordering::Relaxed);
    }

    /// `[store.publish.record]` `[store.publish.used]`: writes a record and makes it part of the
    /// catalog.
    fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        let bytes = record.encode();
        let length = bytes.len() as u64;
        self.reserve(length)?;
        publication::write_record(&*self.memory, self.record, &bytes);
        self.record += length;
        self.used += length;
        publication::publish(&*self.memory, self.used);
        Ok(())
    }

    /// Makes sure that a record of so many bytes fits into the segment that is being written.
    fn reserve(&mut self, record_bytes: u64) -> Result<(), StoreError> {
        if self.record + record_bytes + SEGMENT_RECORD_BYTES > self.segment.end {
            self.begin_segment(record_bytes)?;
        }
        Ok(())
    }

    /// `[store.catalog.segment]`: has the catalog go on behind all that there is, in a segment
    /// twice as large.
    fn begin_segment(&mut self, record_bytes: u64) -> Result<(), StoreError> {
        let doubled = 2 * (self.segment.end - self.segment.start).next_multiple_of(PAGE_BYTES);
        let length = (record_bytes + SEGMENT_RECORD_BYTES)
            .max(doubled.min(LARGEST_STEP))
            .next_multiple_of(PAGE_BYTES);
        let offset = self.end;
        self.back(offset + length)?;
        let record = Record::Segment { offset, length }.encode();
        publication::write_record(&*self.memory, self.record, &record);
        self.used += record.len() as u64;
        self.end += length;
        self.segment = offset..offset + length;
        self.record = offset;
        Ok(())
    }

    /// The number of so many free cells or registers in a row, and where the first of them stands.
    ///
    /// `[store.cells.page]`: additive cells cross from one page to the next only if no page would
    /// hold them, and then begin one.
    fn find_cells(&mut self, kind: u32, count: u64) -> Result<(u64, u64), StoreError> {
        let run = self.run(kind);
        let mut first = run.next;
        if kind == block_kind::ADDITIVE && first % CELLS_PER_PAGE + count > CELLS_PER_PAGE {
            first = first.next_multiple_of(CELLS_PER_PAGE);
        }
        if first + count > run.capacity {
            let pages = (count * words_of(kind)).div_ceil(CELLS_PER_PAGE);
            self.add_block(kind, pages)?;
            first = self.run(kind).block_first;
        }
        let run = self.run(kind);
        let offset = run.block_offset + 8 * words_of(kind) * (first - run.block_first);
        Ok((first, offset))
    }

    fn run(&mut self, kind: u32) -> &mut Run {
        match kind {
            block_kind::ADDITIVE => &mut self.additive,
            block_kind::REGISTER => &mut self.registers,
            _ => &mut self.stamped,
        }
    }

    /// Adds a block of at least `pages` pages, twice as large as the last of its kind.
    fn add_block(&mut self, kind: u32, pages: u64) -> Result<(), StoreError> {
        let run = self.run(kind);
        let pages = pages.max((2 * run.pages).clamp(1, LARGEST_BLOCK_PAGES));
        let first = run.capacity;
        let length = pages * PAGE_BYTES;
        // [store.block.ascending]: the record may need a segment, which then comes before the block.
        self.reserve(BLOCK_RECORD_BYTES)?;
        let offset = self.end;
        self.back(offset + length)?;
        self.append(&Record::Block(Block {
            kind,
            lane: 0,
            offset,
            length,
            first,
        }))?;
        self.end += length;
        let run = self.run(kind);
        run.next = first;
        run.capacity = first + length / 8 / words_of(kind);
        run.block_first = first;
        run.block_offset = offset;
        run.pages = pages;
        Ok(())
    }

    fn full(&self) -> StoreError {
        StoreError::Full {
            path: self.path.clone(),
            limit: self.memory.limit(),
        }
    }

    /// `[store.grow]`: allocates the file up to `bytes` at least, before anything there is touched.
    fn back(&mut self, bytes: u64) -> Result<(), StoreError> {
        if bytes <= self.backed {
            return Ok(());
        }
        if bytes > self.memory.limit() {
            return Err(self.full());
        }
        let failed = |source| StoreError::Grow {
            path: self.path.clone(),
            source,
        };
        let file = self.descriptor.file().map_err(failed)?;
        let ample = (self.backed + self.backed.clamp(INITIAL_BYTES, LARGEST_STEP))
            .max(bytes)
            .min(self.memory.limit())
            .next_multiple_of(PAGE_BYTES);
        let backed = match allocate(file, self.backed, ample) {
            Ok(()) => ample,
            Err(_) if bytes < ample => {
                allocate(file, self.backed, bytes).map_err(failed)?;
                bytes
            }
            Err(error) => return Err(failed(error)),
        };
        self.backed = backed;
        self.memory.set_backed(backed);
        Ok(())
    }
}

/// Words of one cell or register of a block.
fn words_of(kind: u32) -> u64 {
    match kind {
        block_kind::STAMPED => STAMPED_CELLS,
        _ => 1,
    }
}

/// Makes the file own its bytes from `start` to `end`, or fails without a signal.
fn allocate(file: &File, start: u64, end: u64) -> io::Result<()> {
    // Past the limit the kernel sends SIGXFSZ, which ends the worker.
    if getrlimit(Resource::Fsize)
        .current
        .is_some_and(|limit| end > limit)
    {
        return Err(Errno::FBIG.into());
    }
    // [store.grow.whole]: ext4 with blocks of 1 KiB keeps those that it found before the disk was
    // full, and a file that ends inside a page is no store.
    if file.metadata()?.len() < end {
        file.set_len(end)?;
    }
    loop {
        return match rustix::fs::fallocate(file, FallocateFlags::empty(), start, end - start) {
            Err(Errno::INTR) => continue,
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                let zeros = [0; PAGE_BYTES as usize];
                (start..end)
                    .step_by(zeros.len())
                    .try_for_each(|offset| file.write_all_at(&zeros, offset))
            }
            outcome => Ok(outcome?),
        };
    }
}

/// Never over an existing file, where the file system can promise that.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => std::fs::rename(from, to),
        outcome => Ok(outcome?),
    }
}

#[cfg(test)]
mod tests;
