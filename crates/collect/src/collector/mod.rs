//! The collector: the files of a pool in, its families out.
//!
//! Owns which files there are, what becomes of a file that goes, and the order of a pass
//! (`spec/merge.md`, chapter 1). Knows neither the bytes of a dialect nor how values are merged, and
//! has no clock and no way to tell who lives: that is told to it.

mod departed;
mod pool;
mod tracked;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headcount_format::identity::BootId;
use headcount_format::layout::LockKind;

use crate::budget::Budgets;
use crate::dialect::{Shared, Source, Tally};
use crate::directory;
use crate::intake::DirectoryId;
use crate::merge::Plan;
use crate::model::{Family, Labels};
use crate::report::{Conflict, Dialect, FileReport, Liveness};
use crate::rules::Rules;
use crate::table::Contributor;
use pool::{Pool, Room};
use tracked::Tracked;

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
    rules: Rules,
    boot: BootId,
    descriptors: usize,
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

    /// Reads every value and merges them, as far as `liveness` has the workers live.
    ///
    /// [`Liveness::Dead`] is for ever: a file is not asked about again after it.
    pub fn collect(&mut self, mut liveness: impl FnMut(&WorkerFile<'_>) -> Liveness) -> Collection {
        self.sync();
        for pool in &mut self.directories {
            pool.read(&mut self.shared, self.boot, &mut liveness);
        }
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
        let is_replaced = self.directories[index].sync(&mut self.shared, room);
        // [merge.directory.replaced]: another pool, so nothing of the one before stays.
        if is_replaced && others {
            self.shared.intake.table.forget_creation();
        } else if is_replaced {
            let budgets = *self.shared.intake.budgets();
            self.shared = Shared::default();
            self.shared.intake.set_budgets(budgets);
            self.plan = Plan::default();
            self.settle();
        }
    }

    /// Adds up what all files say: the younger of two workers later, so that it prevails.
    fn merge(&mut self) {
        let table = &mut self.shared.intake.table;
        table.begin_pass();
        let tracked = self.directories.iter().flat_map(Pool::tracked);
        let mut sources: Vec<(&Tracked, &dyn Source)> = tracked
            .filter(|file| !file.is_withheld)
            .filter_map(|file| Some((file, file.source.as_deref()?)))
            .collect();
        let age = |source: &dyn Source| {
            let worker = source.worker();
            worker.map(|worker| (worker.started, Arc::clone(&worker.id)))
        };
        sources.sort_by_cached_key(|(_, source)| age(*source));
        for (number, (file, source)) in (1..).zip(sources) {
            let is_dead = file.liveness == Liveness::Dead;
            let by = Contributor { number, is_dead };
            source.tell(&mut Tally { table, by });
        }
        for pool in &self.directories {
            pool.contribute_departed(table);
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
    let Some(mut tracked) = Tracked::new(path.to_owned(), &name.to_owned(), opened, 0) else {
        return Err(not_found);
    };
    let mut shared = Shared::default();
    // What it counted before is not known, so that nothing can fall.
    tracked.read(None, &mut shared, BootId::default(), &mut |_| {
        Liveness::Unknown
    });
    let table = &mut shared.intake.table;
    table.begin_pass();
    if let Some(source) = &tracked.source {
        let by = Contributor::default();
        source.tell(&mut Tally { table, by });
    }
    let (families, _) = Plan::default().families(table);
    Ok(FileContents {
        families,
        report: tracked.report(),
    })
}
