//! The collector: the files of a pool in, its families out.
//!
//! Owns which files there are, what becomes of a file that goes, and the order of a pass
//! (`spec/merge.md`, chapter 1). Knows neither the bytes of a dialect nor how values are merged, and
//! has no clock and no way to tell who lives: that is told to it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headcount_format::identity::BootId;
use headcount_format::layout::LockKind;

use crate::dialect::{Reader, Shared};
use crate::directory::{self, Directory, Entry, FileIdentity, Listing};
use crate::exact::ExactSum;
use crate::merge::Plan;
use crate::model::Family;
use crate::report::{Conflict, Damage, Dialect, FileReport, FileState, Liveness};
use crate::table::{SlotId, Table};

/// How many files stay open between passes, unless another number is set.
const DESCRIPTORS: usize = 128;

/// Reads the files of a pool's directories and merges them.
///
/// ```no_run
/// use headcount_collect::collector::Collector;
/// use headcount_collect::exposition::{Format, encode};
/// use headcount_collect::report::Liveness;
///
/// let mut collector = Collector::new();
/// collector.add_directory("/dev/shm/pool");
/// let collection = collector.collect(|_| Liveness::Unknown);
/// let mut text = Vec::new();
/// encode(&collection.families, Format::Text, &mut text);
/// ```
#[derive(Debug)]
pub struct Collector {
    directories: Vec<Pool>,
    shared: Shared,
    plan: Plan,
    boot: BootId,
    descriptors: usize,
}

/// The outcome of one pass.
#[derive(Clone, Debug)]
pub struct Collection {
    /// Ordered by name.
    pub families: Vec<Family>,
    /// Ordered by directory and name.
    pub files: Vec<FileReport>,
    /// Ordered; each once.
    pub conflicts: Vec<Conflict>,
    /// In the order in which they were added.
    pub directories: Vec<DirectoryReport>,
}

/// How a directory fares.
#[derive(Clone, Debug)]
pub struct DirectoryReport {
    /// As it was given.
    pub path: PathBuf,
    /// Why it could not be opened or listed, if so.
    pub error: Option<String>,
    /// How often another directory has taken its place.
    pub replaced: u64,
}

/// A file whose worker may be asked for.
#[derive(Debug)]
pub struct WorkerFile<'a> {
    /// Open for reading.
    pub file: &'a File,
    /// Its format.
    pub dialect: Dialect,
    /// How a store's worker holds it; [`LockKind::Missing`] for other dialects.
    pub lock: LockKind,
    /// Where it lies.
    pub path: &'a Path,
}

/// One directory, its files, and what is left of those that are gone.
#[derive(Debug)]
struct Pool {
    directory: Directory,
    files: BTreeMap<OsString, Tracked>,
    /// Files whose name is gone: read once more, and for as long as their worker lives.
    nameless: Vec<Tracked>,
    /// `[merge.departed]`: what contributors have left that are there no more.
    departed: HashMap<SlotId, ExactSum>,
    /// The last files that went, the oldest first.
    gone: VecDeque<Gone>,
    error: Option<String>,
    replaced: u64,
}

/// What a file that is gone has left in the totals, in case it returns.
#[derive(Debug)]
struct Gone {
    identity: Option<FileIdentity>,
    /// Of a store, which says itself which one it is.
    incarnation: Option<Arc<str>>,
    left: Vec<(SlotId, f64)>,
}

/// How many files that are gone are remembered: a tool that moves files away and back moves few.
const REMEMBERED: usize = 64;

/// One file that is known.
#[derive(Debug)]
struct Tracked {
    path: PathBuf,
    /// Which file it was when it was opened first.
    identity: Option<FileIdentity>,
    /// Kept open as long as descriptors allow.
    file: Option<File>,
    reader: Option<Reader>,
    state: FileState,
    liveness: Liveness,
    bytes: u64,
    /// Whether it has not been read to its end yet.
    is_new: bool,
}

impl Default for Collector {
    fn default() -> Collector {
        Collector::new()
    }
}

impl Collector {
    /// A collector without a directory.
    pub fn new() -> Collector {
        Collector {
            directories: Vec::new(),
            shared: Shared::default(),
            plan: Plan::default(),
            boot: BootId::default(),
            descriptors: DESCRIPTORS,
        }
    }

    /// Says which boot this is, so that stores of an earlier one are set aside. Unless it is said,
    /// every store counts.
    pub fn set_boot(&mut self, boot: BootId) {
        self.boot = boot;
    }

    /// Sets how many files stay open between passes; the others are opened anew at each. What is
    /// deleted is read once more only if it was open.
    pub fn set_descriptors(&mut self, count: usize) {
        self.descriptors = count;
    }

    /// Adds a directory, which need not exist yet.
    pub fn add_directory(&mut self, path: impl Into<PathBuf>) {
        self.directories.push(Pool {
            directory: Directory::new(path.into()),
            files: BTreeMap::new(),
            nameless: Vec::new(),
            departed: HashMap::new(),
            gone: VecDeque::new(),
            error: None,
            replaced: 0,
        });
    }

    /// Compares the listing of each directory with what is known: opens what is new, and keeps what
    /// has lost its name for one more look.
    ///
    /// [`Collector::collect`] does so too; call this as soon as a watch says that something came or
    /// went, so that a short-lived file is not missed.
    pub fn sync(&mut self) {
        for index in 0..self.directories.len() {
            self.sync_directory(index);
        }
    }

    /// Reads every value and merges them, as far as `liveness` has the workers live.
    ///
    /// [`Liveness::Dead`] is for ever: a file is not asked about again after it.
    pub fn collect(&mut self, mut liveness: impl FnMut(&WorkerFile<'_>) -> Liveness) -> Collection {
        self.sync();
        for pool in &mut self.directories {
            pool.read(&mut self.shared, self.boot, &mut liveness);
        }
        if self.shared.table.is_stale {
            self.shared.table.forget_slots();
            let pools = self.directories.iter_mut();
            for reader in pools
                .flat_map(Pool::tracked_mut)
                .filter_map(|file| file.reader.as_mut())
            {
                reader.rebind(&mut self.shared.table);
            }
        }
        self.merge();
        let (families, conflicts) = self.plan.families(&mut self.shared.table);
        let pools = self.directories.iter();
        let files = pools
            .flat_map(|pool| pool.tracked().map(Tracked::report))
            .collect();
        let directories = self.directories.iter().map(Pool::report).collect();
        Collection {
            families,
            files,
            conflicts,
            directories,
        }
    }

    fn sync_directory(&mut self, index: usize) {
        let others = self.directories.len() > 1;
        let open: usize = self.directories.iter().map(Pool::open_files).sum();
        let spare = self.descriptors.saturating_sub(open);
        let pool = &mut self.directories[index];
        let names = match pool.directory.list() {
            Ok(Listing::Names(names)) => names,
            Ok(Listing::Replaced(names)) => {
                pool.files.clear();
                pool.nameless.clear();
                pool.departed.clear();
                pool.gone.clear();
                pool.replaced += 1;
                // [merge.directory.replaced]: another pool, so nothing of the one before stays.
                if others {
                    self.shared.table.forget_creation();
                } else {
                    self.shared = Shared::default();
                    self.plan = Plan::default();
                }
                names
            }
            Err(error) => {
                pool.error = Some(error.to_string());
                return;
            }
        };
        pool.error = None;
        pool.sync(names, spare);
    }

    /// Adds up what all files say: the younger of two workers later, so that it prevails.
    fn merge(&mut self) {
        let table = &mut self.shared.table;
        table.begin_pass();
        let tracked = self.directories.iter().flat_map(Pool::tracked);
        let mut readers: Vec<(&Tracked, &Reader)> = tracked
            .filter_map(|file| Some((file, file.reader.as_ref()?)))
            .collect();
        readers.sort_by(|(_, left), (_, right)| {
            let age = |reader: &Reader| reader.worker().started;
            age(left)
                .cmp(&age(right))
                .then_with(|| left.worker().id.cmp(&right.worker().id))
        });
        for (file, reader) in readers {
            let is_dead = file.liveness == Liveness::Dead;
            reader.values(&mut |slot, value, stamp| table.contribute(slot, value, stamp, is_dead));
        }
        for pool in &self.directories {
            for (&slot, departed) in &pool.departed {
                table.add_departed(slot, departed);
            }
        }
    }
}

/// What one file holds, merged with nothing.
#[derive(Clone, Debug)]
pub struct FileContents {
    /// Ordered by name.
    pub families: Vec<Family>,
    /// The file and its state.
    pub report: FileReport,
}

/// Reads one file, wherever it lies, as a collector would.
///
/// # Errors
///
/// When there is no such file. What is wrong with one that is there stands in its report.
pub fn read_file(path: &Path) -> std::io::Result<FileContents> {
    let not_found = std::io::Error::from(std::io::ErrorKind::NotFound);
    let Some(name) = path.file_name() else {
        return Err(not_found);
    };
    let opened = directory::open_path(path);
    let Some(mut tracked) = Tracked::new(path.to_owned(), &name.to_owned(), opened) else {
        return Err(not_found);
    };
    let mut shared = Shared::default();
    if let (Some(reader), Some(file)) = (&mut tracked.reader, &tracked.file) {
        let outcome = reader.refresh(file, &mut shared);
        tracked.state = outcome.state;
        let table = &mut shared.table;
        table.begin_pass();
        reader.values(&mut |slot, value, stamp| table.contribute(slot, value, stamp, false));
    }
    let (families, _) = Plan::default().families(&mut shared.table);
    Ok(FileContents {
        families,
        report: tracked.report(),
    })
}

impl Pool {
    fn tracked(&self) -> impl Iterator<Item = &Tracked> {
        self.files.values().chain(&self.nameless)
    }

    fn tracked_mut(&mut self) -> impl Iterator<Item = &mut Tracked> {
        self.files.values_mut().chain(&mut self.nameless)
    }

    fn open_files(&self) -> usize {
        self.tracked().filter(|file| file.file.is_some()).count()
    }

    fn report(&self) -> DirectoryReport {
        DirectoryReport {
            path: self.directory.path().to_owned(),
            error: self.error.clone(),
            replaced: self.replaced,
        }
    }

    /// Takes in the names that are there now; `spare` files more may stay open.
    fn sync(&mut self, entries: Vec<Entry>, mut spare: usize) {
        let is_there = |name: &OsString| {
            let found = entries.binary_search_by(|entry| entry.name.cmp(name));
            found.is_ok()
        };
        let names = self.files.keys();
        let gone: Vec<OsString> = names.filter(|name| !is_there(name)).cloned().collect();
        let gone = gone.iter().filter_map(|name| self.files.remove(name));
        let mut nameless: Vec<Tracked> = gone.collect();
        for Entry { name, inode } in entries {
            let known = self.files.get(&name);
            if known.is_some_and(|known| !known.may_have_lost_name(inode)) {
                continue;
            }
            let opened = self.directory.open(&name);
            let path = self.directory.path().join(&name);
            let Some(mut fresh) = Tracked::new(path, &name, opened) else {
                continue;
            };
            let is_same = known.is_some_and(|known| known.is_read_as(&fresh));
            if is_same {
                continue;
            }
            // A known file whose name another file has now is a file without a name.
            nameless.extend(self.files.remove(&name));
            match spare.checked_sub(1) {
                Some(fewer) => spare = fewer,
                None => fresh.file = None,
            }
            self.files.insert(name, fresh);
        }
        nameless.retain(|old| old.reader.is_some());
        self.nameless.append(&mut nameless);
    }

    /// Reads every file, and lets go of those that are gone for good.
    fn read(
        &mut self,
        shared: &mut Shared,
        boot: BootId,
        liveness: &mut impl FnMut(&WorkerFile<'_>) -> Liveness,
    ) {
        for (name, tracked) in &mut self.files {
            let opened;
            let file = match &tracked.file {
                Some(file) => file,
                None => match self.directory.open(name) {
                    Ok(Some(file)) if tracked.is(&file) => {
                        opened = file;
                        &opened
                    }
                    // Gone, or another file by now: the next listing tells.
                    Ok(_) => continue,
                    Err(damage) => {
                        tracked.state = FileState::Damaged(damage);
                        continue;
                    }
                },
            };
            if let Some(reader) = &mut tracked.reader {
                if is_of_other_boot(reader, boot) {
                    tracked.state = FileState::EarlierBoot;
                    tracked.reader = None;
                    continue;
                }
                if tracked.liveness != Liveness::Dead {
                    tracked.liveness = liveness(&worker_file(reader, file, &tracked.path));
                }
                let outcome = reader.refresh(file, shared);
                tracked.state = outcome.state;
                tracked.bytes = outcome.bytes;
                depart(&mut self.departed, outcome.falls);
                if tracked.is_new && matches!(tracked.state, FileState::Good) {
                    tracked.is_new = false;
                    let returned = self.gone.iter().position(|gone| gone.is(tracked));
                    // [merge.file.returned]
                    if let Some(gone) = returned.and_then(|index| self.gone.remove(index)) {
                        // What is infinite or no number stays so, whatever is taken from it.
                        let finite = gone.left.into_iter().filter(|left| left.1.is_finite());
                        let taken_back = finite.map(|(slot, value)| (slot, -value));
                        depart(&mut self.departed, taken_back.collect());
                    }
                }
            }
        }
        let files = &self.files;
        let departed = &mut self.departed;
        self.nameless.retain_mut(|old| {
            // [merge.file.identity]: it goes on under its new name, and leaves nothing under the old.
            let is_good = |new: &Tracked| matches!(new.state, FileState::Good);
            if files
                .values()
                .any(|new| old.is_read_as(new) && is_good(new))
            {
                old.release(&mut shared.table);
                return false;
            }
            match old.read_once_more(shared, departed, liveness) {
                None => true,
                Some(gone) => {
                    self.gone.push_back(gone);
                    false
                }
            }
        });
        let forgotten = self.gone.len().saturating_sub(REMEMBERED);
        self.gone.drain(..forgotten);
    }
}

impl Tracked {
    /// `None` for a name that is gone already.
    fn new(
        path: PathBuf,
        name: &OsString,
        opened: Result<Option<File>, Damage>,
    ) -> Option<Tracked> {
        let mut tracked = Tracked {
            path,
            identity: None,
            file: None,
            reader: None,
            state: FileState::Empty,
            liveness: Liveness::Unknown,
            bytes: 0,
            is_new: true,
        };
        match opened {
            Ok(None) => return None,
            Ok(Some(file)) => {
                if let Ok(metadata) = file.metadata() {
                    tracked.identity = Some(FileIdentity::of(&metadata));
                    tracked.bytes = metadata.len();
                }
                match Reader::open(name, &file) {
                    Ok(reader) => tracked.reader = Some(reader),
                    Err(damage) => tracked.state = FileState::Damaged(damage),
                }
                tracked.file = Some(file);
            }
            Err(damage) => tracked.state = FileState::Damaged(damage),
        }
        Some(tracked)
    }

    fn is(&self, file: &File) -> bool {
        let metadata = file.metadata().ok();
        self.identity.is_some()
            && metadata.map(|metadata| FileIdentity::of(&metadata)) == self.identity
    }

    /// Whether the name, which leads to this inode, may lead elsewhere than when it was opened. What
    /// is not read is looked at anew each time.
    fn may_have_lost_name(&self, inode: u64) -> bool {
        let Some(identity) = self.identity.filter(|identity| identity.inode() == inode) else {
            return true;
        };
        match (&self.file, &self.reader) {
            (_, None) => !matches!(self.state, FileState::EarlierBoot),
            // An inode that is held open is nobody else's.
            (Some(_), Some(_)) => false,
            (None, Some(_)) => {
                let found = std::fs::symlink_metadata(&self.path);
                found.map_or(true, |found| FileIdentity::of(&found) != identity)
            }
        }
    }

    /// Whether this is the file that `other` is, and is read.
    fn is_read_as(&self, other: &Tracked) -> bool {
        let both_read = self.reader.is_some() && other.reader.is_some();
        both_read && self.identity.is_some() && self.identity == other.identity
    }

    fn release(&mut self, table: &mut Table) {
        if let Some(reader) = &mut self.reader {
            reader.release(table);
        }
    }

    /// `[merge.file.nameless]`: reads a file without a name for the last time, and yields what it has
    /// left; `None` where its worker still writes it.
    fn read_once_more(
        &mut self,
        shared: &mut Shared,
        departed: &mut HashMap<SlotId, ExactSum>,
        liveness: &mut impl FnMut(&WorkerFile<'_>) -> Liveness,
    ) -> Option<Gone> {
        let reader = self.reader.as_mut()?;
        if let Some(file) = &self.file {
            // Asked before it is read, so that what is read of the dead is the last there is.
            if self.liveness != Liveness::Dead {
                self.liveness = liveness(&worker_file(reader, file, &self.path));
            }
            let outcome = reader.refresh(file, shared);
            self.state = outcome.state;
            depart(departed, outcome.falls);
            if self.liveness == Liveness::Live {
                return None;
            }
        }
        let table = &shared.table;
        let mut left = Vec::new();
        reader.values(&mut |slot, value, _| {
            if table.is_lasting(slot) {
                left.push((slot, value));
            }
        });
        depart(departed, left.clone());
        reader.release(&mut shared.table);
        Some(Gone {
            identity: self.identity,
            incarnation: reader.incarnation().cloned(),
            left,
        })
    }

    fn report(&self) -> FileReport {
        let reader = self.reader.as_ref();
        FileReport {
            path: self.path.clone(),
            dialect: reader.map(Reader::dialect),
            state: self.state.clone(),
            worker: reader.and_then(Reader::worker_of_pool).cloned(),
            liveness: self.liveness,
            bytes: self.bytes,
            series: reader.map_or(0, Reader::series),
            refused: reader.map_or(0, Reader::refused),
        }
    }
}

impl Gone {
    fn is(&self, file: &Tracked) -> bool {
        let incarnation = file.reader.as_ref().and_then(Reader::incarnation);
        (self.identity.is_some() && self.identity == file.identity)
            || (self.incarnation.is_some() && self.incarnation.as_ref() == incarnation)
    }
}

fn worker_file<'a>(reader: &Reader, file: &'a File, path: &'a Path) -> WorkerFile<'a> {
    let lock = match reader {
        Reader::Store(store) => store.lock(),
        Reader::Python(_) => LockKind::Missing,
    };
    WorkerFile {
        file,
        dialect: reader.dialect(),
        lock,
        path,
    }
}

fn is_of_other_boot(reader: &Reader, boot: BootId) -> bool {
    match reader {
        Reader::Store(store) => store.is_of_other_boot(boot),
        Reader::Python(_) => false,
    }
}

fn depart(departed: &mut HashMap<SlotId, ExactSum>, left: Vec<(SlotId, f64)>) {
    for (slot, value) in left {
        departed.entry(slot).or_default().add(value);
    }
}
