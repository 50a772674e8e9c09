//! The collector: the files of a pool in, its families out.
//!
//! Owns which files there are, what becomes of a file that goes, and the order of a pass
//! (`spec/merge.md`, chapter 1). Knows neither the bytes of a dialect nor how values are merged, and
//! has no clock and no way to tell who lives: that is told to it.

mod departed;
mod ledger;
mod pool;
mod tracked;

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use headcount_format::identity::BootId;
use headcount_format::layout::LockKind;

use crate::budget::Budgets;
use crate::dialect::{Share, Shared, Source, Tally};
use crate::directory;
pub use crate::directory::FileVersion;
use crate::intake::DirectoryId;
use crate::merge::Plan;
use crate::model::{Family, Labels};
use crate::report::{Conflict, Dialect, FileReport, LedgerReport, Liveness, Verdict};
use crate::rules::Rules;
use crate::table::{Contributor, Table};
use pool::{LOOKS, Pool, Room};
use tracked::{Look, Reading, Tracked};

/// How many files stay open between passes, unless another number is set.
const DESCRIPTORS: usize = 128;

/// `[merge.dead.ttl]`: for how long the levels of a dead worker are told, unless another time is set.
pub const TIME_TO_LIVE: Duration = Duration::from_secs(3600);

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
    rules: Rules,
    boot: BootId,
    descriptors: usize,
    /// Now, in nanoseconds since 1970; zero as long as nobody says.
    now: u64,
    /// `[merge.dead.ttl]`, in nanoseconds.
    time_to_live: u64,
    /// Whether somebody tells whose workers to ask for.
    is_hinted: bool,
    /// What there is to ask for of all files in the next pass.
    of_all: Option<Suspicion>,
    /// How many contributors the table's passes begin with, and from when on the dead among them
    /// told levels.
    settled: (u32, u64),
    /// Whether rules, labels or budgets have changed since the last pass.
    is_unsettled: bool,
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
    /// How many of its files are left out, since there is no room for them in the budget.
    pub files_left_out: u64,
    /// How its ledger fares.
    pub ledger: LedgerReport,
}

/// A file of a dead worker.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeadFile {
    /// The number of its directory, in the order of adding.
    pub directory: usize,
    /// Its name there.
    pub name: OsString,
    /// Its format; `None` for a file into which nothing was written.
    pub dialect: Option<Dialect>,
    /// How a store's worker held it; [`LockKind::Missing`] for other dialects.
    pub lock: LockKind,
    /// When its worker was found dead, in nanoseconds since 1970.
    pub died: u64,
    /// The place that its worker had in the pool, if it had one (`[life.place]`).
    pub place: Option<u32>,
    /// Of when what was read of it is.
    pub version: FileVersion,
}

/// What may have happened to a file (`[life.hint]`); the later one is the graver.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Suspicion {
    /// Its worker may have died, or another begun to write it: the pass asks for it.
    Opened,
    /// A worker may have come and gone: a file that rests is read once more, too.
    Closed,
}

/// A file whose worker may be asked for.
#[derive(Debug)]
pub struct WorkerFile<'a> {
    /// Open for reading.
    pub file: &'a File,
    /// Its format; `None` where its content does not tell.
    pub dialect: Option<Dialect>,
    /// How a store's worker holds it; [`LockKind::Missing`] for other dialects.
    pub lock: LockKind,
    /// Where it lies.
    pub path: &'a Path,
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
            rules: Rules::default(),
            boot: BootId::default(),
            descriptors: DESCRIPTORS,
            now: 0,
            time_to_live: TIME_TO_LIVE.as_nanos() as u64,
            is_hinted: false,
            of_all: None,
            settled: (0, 0),
            is_unsettled: false,
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

    /// Says what time it is, in nanoseconds since 1970. Unless it is said, no level of the dead goes
    /// for its age.
    pub fn set_now(&mut self, now: u64) {
        self.now = now;
    }

    /// `[merge.dead.ttl]`: sets for how long the levels of a dead worker are told that are not for
    /// the living alone; zero has them go with it. An hour unless it is set.
    pub fn set_time_to_live(&mut self, time: Duration) {
        self.time_to_live = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    }

    /// `[life.hint]`: says that somebody will tell which workers may have died or begun
    /// ([`Collector::suspect`], [`Collector::suspect_all`]), so that a pass asks for these alone and
    /// for those on whose life a value hangs. Unless it is said, a pass asks for all.
    pub fn expect_hints(&mut self) {
        self.is_hinted = true;
    }

    /// Says what may have happened to a file of this name.
    pub fn suspect(&mut self, name: &OsStr, suspicion: Suspicion) {
        for pool in &mut self.directories {
            pool.suspect(name, suspicion);
        }
    }

    /// Says what may have happened to every file.
    pub fn suspect_all(&mut self, suspicion: Suspicion) {
        self.of_all = self.of_all.max(Some(suspicion));
    }

    /// What there is to ask for of all files in this pass.
    fn take_suspicion(&mut self) -> Option<Suspicion> {
        match self.is_hinted {
            true => self.of_all.take(),
            false => Some(Suspicion::Closed),
        }
    }

    /// `[ledger.version]`: whether a directory has a ledger that has never been read, so that the
    /// totals lack what its dead have counted.
    pub fn lacks_ledger(&self) -> bool {
        self.directories.iter().any(Pool::lacks_ledger)
    }

    /// Adds a directory, which need not exist yet.
    pub fn add_directory(&mut self, path: impl Into<PathBuf>) {
        let number = DirectoryId::try_from(self.directories.len()).expect("fewer than 2^32 paths");
        self.directories.push(Pool::new(number, path.into()));
        self.is_unsettled = true;
    }

    /// `[rules.reload]`: has families and series be as `rules` want them, from the next pass on.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
        self.is_unsettled = true;
    }

    /// `[rules.labels]`: gives every series of a directory these labels, from the next pass on; the
    /// first that was added has the number 0.
    ///
    /// # Panics
    ///
    /// When there is no directory of this number.
    pub fn set_directory_labels(&mut self, directory: usize, labels: Labels) {
        self.directories[directory].labels = labels;
        self.is_unsettled = true;
    }

    /// Sets how much is taken in, from the next pass on. What is in stays.
    pub fn set_budgets(&mut self, budgets: Budgets) {
        self.shared.intake.set_budgets(budgets);
        self.is_unsettled = true;
    }

    /// Compares the listing of each directory with what is known: opens what is new, and keeps what
    /// has lost its name for one more look.
    ///
    /// [`Collector::collect`] does so too; call this as soon as a watch says that something came or
    /// went, so that a short-lived file is not missed.
    pub fn sync(&mut self) {
        if std::mem::take(&mut self.is_unsettled) {
            self.settle();
        }
        for index in 0..self.directories.len() {
            self.sync_directory(index);
        }
    }

    /// Compares the listings, asks for the workers of which something tells to ask, and reads for
    /// the last time what the dead have left. Costs nothing for all others.
    pub fn attend<V: Into<Verdict>>(&mut self, mut liveness: impl FnMut(&WorkerFile<'_>) -> V) {
        self.sync();
        let suspicion = self.take_suspicion();
        self.read(suspicion, Reading::Suspects, |file| liveness(file).into());
    }

    /// The files whose workers are dead and of which all has been read, so that they can be folded.
    pub fn dead(&self) -> Vec<DeadFile> {
        let pools = self.directories.iter().enumerate();
        pools
            .flat_map(|(directory, pool)| pool.dead(directory, &self.shared.intake.places))
            .collect()
    }

    /// `[life.place.file]`: says whether another process keeps the list of places in a directory, which
    /// this collector then goes by.
    ///
    /// # Panics
    ///
    /// When there is no directory of this number.
    pub fn follow_places(&mut self, directory: usize, is_kept: bool) {
        self.directories[directory].follows_places = is_kept;
    }

    /// `[life.place.file]`: the list of who has which place in a directory, if that has changed since
    /// this was asked last; `None` where nobody has one.
    ///
    /// # Panics
    ///
    /// When there is no directory of this number.
    pub fn places(&mut self, directory: usize) -> Option<String> {
        let number = self.directories[directory].number();
        self.shared.intake.places.written(number)
    }

    /// Reads every value and merges them, as far as `liveness` has the workers live.
    ///
    /// What it yields is a [`Verdict`] or, of who does not say how it is known, a [`Liveness`]. A
    /// file is asked about at each pass, unless hints are expected ([`Collector::expect_hints`]) or
    /// its worker is dead for ever: that of a store, which nobody opens again (`[life.again]`).
    pub fn collect<V: Into<Verdict>>(
        &mut self,
        mut liveness: impl FnMut(&WorkerFile<'_>) -> V,
    ) -> Collection {
        self.sync();
        let suspicion = self.take_suspicion();
        self.read(suspicion, Reading::All, |file| liveness(file).into());
        let intake = &mut self.shared.intake;
        if intake.table.is_stale {
            intake.table.forget_slots();
            for pool in &mut self.directories {
                pool.rebind(intake, false);
            }
        }
        // A worker that was met while it made its buckets has all of them by now.
        if intake.table.forget_bucket_conflicts() {
            for pool in &self.directories {
                pool.note_buckets(intake);
            }
        }
        self.merge();
        let (families, conflicts) = self.plan.families(&mut self.shared.intake.table);
        let files = self.directories.iter().flat_map(Pool::reports).collect();
        let directories = self.directories.iter().map(Pool::report).collect();
        Collection {
            families,
            files,
            conflicts,
            directories,
        }
    }

    fn read(
        &mut self,
        suspicion: Option<Suspicion>,
        reading: Reading,
        mut liveness: impl FnMut(&WorkerFile<'_>) -> Verdict,
    ) {
        for index in 0..self.directories.len() {
            // [life.place]: who has died makes room before anybody is met.
            if self.shared.intake.places.is_used() {
                let pool = &mut self.directories[index];
                pool.ask(suspicion, &mut liveness);
                pool.free_places(&mut self.shared.intake);
            }
            let mut missed = usize::MAX;
            for _ in 0..LOOKS {
                let mut look = Look {
                    boot: self.boot,
                    now: self.now,
                    suspicion,
                    reading,
                    liveness: &mut liveness,
                };
                self.directories[index].read(&mut self.shared, &mut look);
                // [ledger.snapshot]
                let before = std::mem::replace(&mut missed, self.directories[index].missed());
                if missed == 0 || (missed >= before && self.directories[index].is_current()) {
                    break;
                }
                self.sync_directory(index);
            }
        }
    }

    /// Makes of everything that is known what rules, labels and budgets want now.
    fn settle(&mut self) {
        let labels = self
            .directories
            .iter()
            .map(|pool| Arc::new(pool.labels.clone()));
        let intake = &mut self.shared.intake;
        intake.set_rules(self.rules.clone(), labels.collect());
        for pool in &mut self.directories {
            pool.rebind(intake, true);
        }
    }

    fn sync_directory(&mut self, index: usize) {
        let others = self.directories.len() > 1;
        let is_replaced = self.directories[index].renew();
        // [merge.directory.replaced]: another pool, so nothing of the one before stays.
        if is_replaced && others {
            self.shared.intake.table.forget_creation();
            let number = self.directories[index].number();
            self.shared.intake.places.forget(number);
        } else if is_replaced {
            let budgets = *self.shared.intake.budgets();
            self.shared = Shared::default();
            self.shared.intake.set_budgets(budgets);
            self.plan = Plan::default();
            self.settle();
        }
        let open: usize = self.directories.iter().map(Pool::open_files).sum();
        // [merge.budget.files]: what this directory has is worked out once its listing is there,
        // for a file that is gone from it makes room at once.
        let budget = self.shared.intake.budgets().files;
        let elsewhere = self.directories.iter().enumerate();
        let elsewhere = elsewhere.filter(|&(other, _)| other != index);
        let known: usize = elsewhere.map(|(_, pool)| pool.count(budget)).sum();
        let room = Room {
            files: budget.saturating_sub(known),
            descriptors: self.descriptors.saturating_sub(open),
        };
        self.directories[index].sync(&mut self.shared, room, self.boot);
    }

    /// Adds up what all files say: the younger of two workers later, so that it prevails.
    fn merge(&mut self) {
        self.settle_the_dead();
        let table = &mut self.shared.intake.table;
        table.begin_pass();
        let awake = sources(&self.directories, |file| !file.rests);
        // Only of the dead it matters whether they are among the last.
        let heirs = match awake.iter().any(|(_, file, _)| file.is_dead()) {
            true => self.directories.iter().map(Pool::heirs).collect(),
            false => vec![None; self.directories.len()],
        };
        for (number, (pool, file, source)) in (self.settled.0..).zip(awake) {
            tell(number, file, source, heirs[pool].as_ref(), table);
        }
    }

    /// `[merge.rest]`: has each pass begin with what does not change any more.
    fn settle_the_dead(&mut self) {
        // [merge.dead.ttl]: who died before this tells no levels any more. Where nobody says what time
        // it is, all do.
        let oldest = match self.now {
            0 => 0,
            now => now.saturating_sub(self.time_to_live) + 1,
        };
        let expired = self.settled.1..oldest;
        let intake = &mut self.shared.intake;
        let mut is_changed = false;
        for pool in &mut self.directories {
            pool.expire(oldest, intake);
            is_changed |= pool.take_change(&expired);
        }
        let table = &mut intake.table;
        if table.has_base() && !is_changed {
            return;
        }
        table.forget_base();
        table.begin_pass();
        let mut number = 1;
        for pool in &self.directories {
            let (is_dead, died) = (true, 0);
            let by = Contributor {
                number,
                is_dead,
                died,
            };
            number += pool.contribute_settled(&(oldest..u64::MAX), table, by);
        }
        let heirs: Vec<_> = self.directories.iter().map(Pool::heirs).collect();
        for (pool, file, source) in sources(&self.directories, |file| file.rests) {
            tell(number, file, source, heirs[pool].as_ref(), table);
            number += 1;
        }
        table.keep_base();
        self.settled = (number, oldest);
    }
}

/// What is told, with the number of its directory, the older worker first.
fn sources(
    pools: &[Pool],
    is_wanted: impl Fn(&Tracked) -> bool,
) -> Vec<(usize, &Tracked, &dyn Source)> {
    let tracked = pools.iter().enumerate();
    let tracked = tracked.flat_map(|(index, pool)| pool.tracked().map(move |file| (index, file)));
    let mut sources: Vec<_> = tracked
        .filter(|(_, file)| !file.is_withheld && is_wanted(file))
        .filter_map(|(pool, file)| Some((pool, file, file.source.as_deref()?)))
        .collect();
    sources.sort_by_cached_key(|(_, _, source)| {
        let worker = source.worker();
        worker.map(|worker| (worker.started, Arc::clone(&worker.id)))
    });
    sources
}

/// Has a file tell what it has to: of the dead, what is left of it.
fn tell(
    number: u32,
    file: &Tracked,
    source: &dyn Source,
    heirs: Option<&HashSet<&Arc<str>>>,
    table: &mut Table,
) {
    let is_dead = file.is_dead();
    let is_heir = || {
        let worker = source.worker();
        heirs.is_none_or(|heirs| worker.is_none_or(|worker| heirs.contains(&worker.id)))
    };
    let share = match (is_dead, file.has_expired) {
        (false, _) => Share::All,
        (true, true) => Share::Totals,
        (true, false) if is_heir() => Share::All,
        (true, false) => Share::AllButOwn,
    };
    let by = Contributor {
        number,
        is_dead,
        died: file.died.unwrap_or(0),
    };
    source.tell(&mut Tally { table, by, share });
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
    let Some(mut tracked) = Tracked::new(path.to_owned(), &name.to_owned(), opened, 0) else {
        return Err(not_found);
    };
    let mut shared = Shared::default();
    // What it counted before is not known, so that nothing can fall.
    let mut look = Look {
        boot: BootId::default(),
        now: 0,
        suspicion: None,
        reading: Reading::All,
        liveness: &mut |_: &WorkerFile<'_>| Liveness::Unknown.into(),
    };
    tracked.read(None, &mut shared, &mut look);
    let table = &mut shared.intake.table;
    table.begin_pass();
    if let Some(source) = &tracked.source {
        let by = Contributor::default();
        let share = Share::All;
        source.tell(&mut Tally { table, by, share });
    }
    let (families, _) = Plan::default().families(table);
    Ok(FileContents {
        families,
        report: tracked.report(),
    })
}
