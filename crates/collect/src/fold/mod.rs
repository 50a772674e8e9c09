//! What dead workers have counted, added up into a ledger.
//!
//! Owns what is taken in and what a ledger lists (`spec/ledger.md`). Knows no clock, deletes
//! nothing and gives no file its name: the order of steps that keeps a fold from counting twice is
//! the business of whoever folds.

mod directory;
mod table;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use headcount_format::identity::{BootId, Incarnation};
use headcount_format::layout::incarnation_of;
use headcount_format::record::{FoldedFile, FoldedStore, Level};
use headcount_format::{LedgerError, LedgerImage, StoreReader};

use crate::budget::Budgets;
use crate::dialect::{self, Opened, Share, Shared, Source, StoreFile, Tally};
use crate::directory::{FileIdentity, FileVersion};
use crate::intake::{Intake, folded_worker};
use crate::report::{Damage, Dialect, FileState};
use crate::table::Contributor;

pub use directory::FoldDirectory;

/// A ledger that is being written anew, with what more dead workers have counted.
///
/// ```no_run
/// use std::fs::File;
/// use std::time::Duration;
///
/// use headcount_collect::collector::FileVersion;
/// use headcount_collect::fold::Fold;
/// use headcount_format::identity::BootId;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut fold = Fold::begin(None, BootId::current())?;
/// let name = "000102030405060708090a0b0c0d0e0f.store";
/// let file = File::open(name)?;
/// let version = FileVersion::of(&file.metadata()?);
/// let now = 1_700_000_000_000_000_000;
/// fold.add(name.as_ref(), &file, version, now, None)?;
/// let ledger: Vec<u8> = fold.write(now, Duration::from_secs(3600))?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Fold {
    boot: BootId,
    shared: Shared,
    ledger: Option<StoreFile>,
    added: Vec<Box<dyn Source>>,
    stores: HashMap<Incarnation, FoldedStore>,
    files: HashMap<FileKey, FoldedFile>,
    /// What is listed and was seen, and so must stay listed.
    seen_stores: HashSet<Incarnation>,
    seen_files: HashSet<FileKey>,
    fresh: Vec<Fresh>,
    /// How each worker died that has levels of its own, by what identifies it.
    deaths: HashMap<Arc<str>, Death>,
}

/// How a worker died.
#[derive(Clone, Debug)]
struct Death {
    /// When that was found, in nanoseconds since 1970; `None` for one whose levels say it.
    died: Option<u64>,
    /// When it began, in nanoseconds since 1970.
    started: u64,
    pid: Arc<str>,
    /// The place that it had in the pool, if any.
    place: Option<u32>,
}

/// Inode number and time of birth.
type FileKey = (u64, u64);

/// What this fold adds to the list, but for the time.
#[derive(Clone, Debug)]
enum Fresh {
    File(FoldedFile),
    Store(FoldedStore),
}

/// Why a file stays where it is.
#[derive(Debug)]
#[non_exhaustive]
pub enum NotFolded {
    /// `[fold.same]`: it is not what it was when it was read before.
    Changed,
    /// `[fold.dead]`: not all of it can be read.
    Damaged(Damage),
    /// It was written before the machine last started.
    EarlierBoot,
    /// `[fold.peer.born]`: its file system does not tell when it was born.
    Unborn,
    /// It has labels that are too long or too many for a store.
    TooLong,
    /// `[fold.peer.text]`: no worker writes it, or it holds nothing that is merged.
    Workerless,
}

impl fmt::Display for NotFolded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotFolded::Changed => formatter.write_str("it has changed since it was read"),
            NotFolded::Damaged(damage) => damage.fmt(formatter),
            NotFolded::EarlierBoot => {
                formatter.write_str("it was written before this machine last started")
            }
            NotFolded::Unborn => formatter.write_str(
                "its file system does not tell when a file was made, so that it could not be told \
                 from the next with its inode number",
            ),
            NotFolded::TooLong => {
                formatter.write_str("it has labels that are too long or too many for a ledger")
            }
            NotFolded::Workerless => formatter.write_str("no worker writes it"),
        }
    }
}

impl std::error::Error for NotFolded {}

/// Why there is no new ledger.
#[derive(Debug)]
#[non_exhaustive]
pub enum FoldError {
    /// The operating system gives no random bytes.
    Random(io::Error),
    /// It would be no store.
    Ledger(LedgerError),
}

impl fmt::Display for FoldError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FoldError::Random(error) => write!(formatter, "no random bytes: {error}"),
            FoldError::Ledger(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for FoldError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            FoldError::Random(error) => Some(error),
            FoldError::Ledger(error) => Some(error),
        }
    }
}

impl Fold {
    /// Begins with what `ledger` holds, if there is one; one of another boot than `boot` counts as
    /// none.
    ///
    /// # Errors
    ///
    /// `[ledger.version]`: [`Damage`] for a ledger that cannot be read. It must not be replaced.
    pub fn begin(ledger: Option<&File>, boot: BootId) -> Result<Fold, Damage> {
        let mut shared = Shared::default();
        shared.intake.set_budgets(boundless());
        shared.intake.tells_workers = true;
        let open = |file| StoreFile::open_ledger(file, 0, boot, &mut shared.intake);
        let ledger = ledger.map(open).transpose()?.flatten();
        let catalog = ledger.as_ref().map(StoreFile::catalog);
        let stores = catalog.map_or(&[][..], |catalog| catalog.folded_stores());
        let files = catalog.map_or(&[][..], |catalog| catalog.folded_files());
        let levels = catalog.map_or(&[][..], |catalog| catalog.levels());
        let death = |level: &Level| {
            let death = Death {
                died: None,
                started: level.started,
                pid: (*level.pid).into(),
                place: level.place,
            };
            (folded_worker(&level.pid, level.place), death)
        };
        let own = levels.iter().filter(|level| !level.pid.is_empty());
        let deaths = own.map(death).collect();
        Ok(Fold {
            boot,
            stores: stores
                .iter()
                .map(|store| (store.incarnation, *store))
                .collect(),
            files: files
                .iter()
                .map(|file| ((file.inode, file.born), file.clone()))
                .collect(),
            shared,
            ledger,
            added: Vec::new(),
            seen_stores: HashSet::new(),
            seen_files: HashSet::new(),
            fresh: Vec::new(),
            deaths,
        })
    }

    /// `[ledger.folded]`: whether the ledger lists the store of this name, which then may go, and
    /// stays listed as long as it has not gone.
    pub fn lists_store(&mut self, name: &OsStr) -> bool {
        let incarnation = incarnation_of(name.as_encoded_bytes());
        let listed = incarnation.filter(|incarnation| self.stores.contains_key(incarnation));
        self.seen_stores.extend(listed);
        listed.is_some()
    }

    /// [`Fold::lists_store`], for a file of another client, whatever its name.
    pub fn lists_file(&mut self, file: &File) -> bool {
        let listed = file_key(file).filter(|key| self.files.contains_key(key));
        self.seen_files.extend(listed);
        listed.is_some()
    }

    /// Adds what a dead worker's file holds, if it is as it was when a reader took in what it held, at
    /// `version`. That its worker is dead must be proved before; `died` is when that was found, in
    /// nanoseconds since 1970, and `place` the one that it had in the pool, if any (`[life.place]`).
    ///
    /// # Errors
    ///
    /// [`NotFolded`]; the file is then as if it had not been looked at.
    pub fn add(
        &mut self,
        name: &OsStr,
        file: &File,
        version: FileVersion,
        died: u64,
        place: Option<u32>,
    ) -> Result<(), NotFolded> {
        let mut source = match dialect::open(name, file, 0).map_err(NotFolded::Damaged)? {
            Opened::Source(source) => source,
            Opened::PassedOver(_) => return Err(NotFolded::Workerless),
        };
        if source.is_of_other_boot(self.boot) {
            return Err(NotFolded::EarlierBoot);
        }
        if source.dialect() == Some(Dialect::Text) {
            return Err(NotFolded::Workerless);
        }
        let fresh = fresh(name, file, &*source).ok_or(NotFolded::Unborn)?;
        let outcome = source.refresh(file, &mut self.shared);
        // [fold.same]
        let found = file.metadata().ok();
        if found.is_none_or(|found| FileVersion::of(&found) != version) {
            return Err(NotFolded::Changed);
        }
        if !source.left_out().is_empty() {
            return Err(NotFolded::TooLong);
        }
        match outcome.state {
            FileState::Good | FileState::Empty => {}
            FileState::Damaged(damage) => return Err(NotFolded::Damaged(damage)),
            _ => return Err(NotFolded::Workerless),
        }
        if let Some(worker) = source.worker() {
            let death = Death {
                died: Some(died),
                started: worker.started,
                pid: Arc::clone(&worker.pid),
                place,
            };
            self.deaths.insert(Arc::clone(&worker.id), death);
        }
        self.added.push(source);
        self.fresh.push(fresh);
        Ok(())
    }

    /// When the ledger that it began with was written, in nanoseconds since 1970; zero where there was
    /// none.
    pub fn written(&self) -> u64 {
        let ledger = self.ledger.as_ref();
        ledger.map_or(0, |ledger| ledger.header().started)
    }

    /// How many files have been added.
    pub fn count(&self) -> usize {
        self.added.len()
    }

    /// The bytes of the new ledger, in which levels stay for `time_to_live` from `now` on, which is
    /// in nanoseconds since 1970.
    ///
    /// # Errors
    ///
    /// [`FoldError`].
    pub fn write(mut self, now: u64, time_to_live: Duration) -> Result<Vec<u8>, FoldError> {
        let before = self.ledger.as_ref();
        let root = before.and_then(|ledger| ledger.catalog().root());
        // [ledger.root]: later than the one before, whatever the clock says.
        let when = before.map_or(now, |ledger| now.max(ledger.header().started + 1));
        let image = LedgerImage::new(self.boot, when, root);
        let mut image = image.map_err(FoldError::Random)?;
        if std::mem::take(&mut self.shared.intake.table.is_stale) {
            self.shared.intake.table.forget_slots();
            self.rebind();
        }
        let mut writer = table::Writer::new(&mut image);
        self.tell(Share::Totals);
        writer.totals(&self.shared.intake.table);
        let time_to_live = u64::try_from(time_to_live.as_nanos()).unwrap_or(u64::MAX);
        if time_to_live > 0 {
            // [merge.dead.cohort]
            let cohort = now.next_multiple_of((time_to_live / COHORTS).max(SECOND));
            let oldest = now.saturating_sub(time_to_live) + 1;
            let mut cohorts: BTreeSet<u64> = [cohort].into();
            let levels = self
                .ledger
                .iter()
                .flat_map(|ledger| ledger.catalog().levels());
            cohorts.extend(
                levels
                    .map(|level| level.died)
                    .filter(|&died| died >= oldest),
            );
            let mut levels: Vec<(u64, Vec<table::Found>)> = Vec::new();
            for died in cohorts {
                self.tell_levels(died, died == cohort);
                levels.push((died, table::levels(&self.shared.intake.table)));
            }
            writer.levels(&self.shared.intake.table, levels, &self.deaths);
        }
        let (stores, files, forgotten) = self.list(when);
        image.set_folded(stores, files, forgotten);
        image.encode().map_err(FoldError::Ledger)
    }

    fn rebind(&mut self) {
        let intake = &mut self.shared.intake;
        if let Some(ledger) = &mut self.ledger {
            ledger.rebind(intake);
        }
        for source in &mut self.added {
            source.rebind(intake);
        }
    }

    fn tell(&mut self, share: Share) {
        let table = &mut self.shared.intake.table;
        table.begin_pass();
        let by = by(0);
        if let Some(ledger) = &self.ledger {
            ledger.tell(&mut Tally { table, by, share });
        }
        self.tell_added(share);
    }

    fn tell_added(&mut self, share: Share) {
        let table = &mut self.shared.intake.table;
        let ledger = self.ledger.as_ref().map_or(1, StoreFile::contributors);
        for (number, source) in (ledger..).zip(&self.added) {
            let by = by(number);
            source.tell(&mut Tally { table, by, share });
        }
    }

    /// Tells the levels of those who died then.
    fn tell_levels(&mut self, died: u64, is_now: bool) {
        let table = &mut self.shared.intake.table;
        table.begin_pass();
        let (by, share) = (by(0), Share::Levels);
        if let Some(ledger) = &self.ledger {
            ledger.tell_levels_of(&(died..died + 1), &mut Tally { table, by, share });
        }
        if is_now {
            self.tell_added(share);
        }
    }

    /// `[ledger.forget]`: what is listed from now on, and until when that is not all.
    ///
    /// `when` is later than in each ledger before, so that entries have the order of their folds
    /// whatever the clock did.
    fn list(&self, when: u64) -> (Vec<FoldedStore>, Vec<FoldedFile>, u64) {
        let mut stores: Vec<FoldedStore> = self.stores.values().copied().collect();
        let mut files: Vec<FoldedFile> = self.files.values().cloned().collect();
        for fresh in self.fresh.iter().cloned() {
            match fresh {
                Fresh::Store(store) => stores.push(FoldedStore { when, ..store }),
                Fresh::File(file) => files.push(FoldedFile { when, ..file }),
            }
        }
        stores.sort_unstable_by_key(|store| (std::cmp::Reverse(store.when), store.incarnation));
        files.sort_unstable_by_key(|file| (std::cmp::Reverse(file.when), file.inode, file.born));
        let ledger = self.ledger.as_ref();
        let mut forgotten = ledger.map_or(0, |ledger| ledger.catalog().forgotten());
        let mut is_kept = |index: usize, folded: u64, is_seen: bool| {
            let is_late = index < LISTED && folded.saturating_add(DAY) > when;
            let is_kept = folded == when || is_late || is_seen;
            if !is_kept {
                forgotten = forgotten.max(folded);
            }
            is_kept
        };
        let mut index = 0..;
        stores.retain(|store| {
            let is_seen = self.seen_stores.contains(&store.incarnation);
            is_kept(index.next().unwrap_or(LISTED), store.when, is_seen)
        });
        let mut index = 0..;
        files.retain(|file| {
            let is_seen = self.seen_files.contains(&(file.inode, file.born));
            is_kept(index.next().unwrap_or(LISTED), file.when, is_seen)
        });
        (stores, files, forgotten)
    }
}

/// When the ledger in `file` was written, in nanoseconds since 1970, if any reader can read it.
///
/// # Errors
///
/// [`Damage`] for what is not a ledger of this boot.
pub fn read_back(file: &File, boot: BootId) -> Result<u64, Damage> {
    let mut intake = Intake::default();
    let ledger = StoreFile::open_ledger(file, 0, boot, &mut intake)?;
    Ok(ledger.map_or(0, |ledger| ledger.header().started))
}

/// `[ledger.boot]`: whether `file` is the ledger of another boot.
pub fn is_of_other_boot(file: &File, boot: BootId) -> bool {
    let header = StoreReader::open(file).map(|reader| *reader.header());
    header.is_ok_and(|header| header.boot.differs_from(boot))
}

/// All have died, so that what is for the living alone is not told.
fn by(number: u32) -> Contributor {
    Contributor {
        number,
        is_dead: true,
        died: 0,
    }
}

/// What is listed of a file that is added; `None` where it could not be told from another.
fn fresh(name: &OsStr, file: &File, source: &dyn Source) -> Option<Fresh> {
    let bytes = file.metadata().map_or(0, |metadata| metadata.len());
    let incarnation = source.incarnation().and_then(|id| Incarnation::parse(id));
    let Some(incarnation) = incarnation else {
        let (inode, born) = file_key(file)?;
        let name = dialect::own_name(name).to_string_lossy();
        return Some(Fresh::File(FoldedFile {
            inode,
            born,
            when: 0,
            bytes,
            name: name.into(),
        }));
    };
    let worker = source.worker();
    Some(Fresh::Store(FoldedStore {
        incarnation,
        when: 0,
        started: worker.map_or(0, |worker| worker.started),
        pid: worker.map_or(0, |worker| worker.pid.parse().unwrap_or(0)),
        bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
    }))
}

fn file_key(file: &File) -> Option<FileKey> {
    FileIdentity::of(&file.metadata().ok()?).key()
}

/// `[ledger.origin]`: nothing is left out, but for what no store can hold.
fn boundless() -> Budgets {
    Budgets {
        files: usize::MAX,
        file_bytes: u64::MAX,
        series: usize::MAX,
        family_series: usize::MAX,
        labels: headcount_format::layout::MAX_LABELS,
        label_bytes: headcount_format::layout::MAX_TEXT_BYTES,
    }
}

/// `[ledger.forget]`: how many files are listed at most that are gone.
const LISTED: usize = 1024;

/// `[ledger.forget]`: for how long they are listed, in nanoseconds.
const DAY: u64 = 86_400 * SECOND;

/// `[merge.dead.cohort]`: into how many parts a time to live is divided.
const COHORTS: u64 = 4;

/// In nanoseconds.
const SECOND: u64 = 1_000_000_000;
