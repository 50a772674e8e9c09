//! The running pool: a collector, asked by one scrape at a time.
//!
//! Owns the order in which passes and changes of the rules happen, what is said of them in the log,
//! and headcount's own metrics. Knows nothing of HTTP, and never how a file is read or merged.

mod clash;
mod folding;
mod journal;
mod left_out;
mod liveness;
mod ruling;
mod self_metrics;
mod suspects;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use headcount_collect::budget::Budgets;
use headcount_collect::collector::{Collection, Collector};
use headcount_collect::model::Family;
use headcount_collect::rules::{Rules, WorkerLabel};
use headcount_format::identity::BootId;
use tokio::sync::{Mutex, Notify};
use tokio::task::{JoinError, spawn_blocking};

use folding::Folding;
use journal::Journal;
use ruling::Ruling;

use crate::fold::{self, FoldOptions};
use crate::limits;
use crate::rules::{RulesError, RulesFile};
use crate::settings::Settings;

pub(crate) use folding::FoldState;
pub(crate) use left_out::LeftOut;
pub(crate) use liveness::{Methods, Proofs};
pub(crate) use self_metrics::{Census, count_workers};
pub(crate) use suspects::Suspects;

/// The pool of some directories.
#[derive(Debug)]
pub(crate) struct Pool {
    directories: Vec<PathBuf>,
    /// Where the rules file is, if there is one.
    rules: Option<PathBuf>,
    /// An asynchronous lock, so that scrapes that wait for it hold no thread.
    passes: Arc<Mutex<Passes>>,
    suspects: Arc<Suspects>,
    /// Has the watch look at once.
    hint: Arc<Notify>,
    folding: Arc<Folding>,
    ready: Arc<AtomicBool>,
}

/// What one pass found.
#[derive(Debug)]
pub(crate) struct Pass {
    /// The families, files, conflicts and directories.
    pub(crate) collection: Collection,
    /// How long the merge took.
    pub(crate) duration: Duration,
    /// How reading the rules file went before it; `None` where there is none.
    pub(crate) ruling: Option<Ruling>,
    /// How much was taken in at most.
    pub(crate) budgets: Budgets,
    /// How folding fares, by directory; empty where nobody folds.
    pub(crate) folds: Vec<FoldState>,
    /// `[life.shared]`: files that two workers write.
    pub(crate) shared: Vec<PathBuf>,
    /// `[ledger.version]`: whether the totals lack what the dead have counted.
    pub(crate) lacks_ledger: bool,
}

/// What became of reading the rules file again.
#[derive(Debug)]
pub(crate) enum Reload {
    /// It applies from the next pass on.
    Done(RulesFile),
    /// The pool has none.
    NoFile,
    /// Everything stays as it was.
    Refused(RulesError),
}

/// A collector for `directories`, and one pass over it.
pub(crate) fn collect_once(directories: &[PathBuf], settings: Settings) -> Pass {
    Passes::new(directories, &settings).pass()
}

impl Pool {
    /// The pool of `directories`, none of which has been looked at yet.
    pub(crate) fn new(directories: Vec<PathBuf>, settings: Settings, fold: FoldOptions) -> Pool {
        let folding = Arc::new(Folding::new(&directories, fold));
        let passes = Arc::new(Mutex::new(Passes::new(&directories, &settings)));
        let rules = settings.rules.map(|file| file.path().to_path_buf());
        Pool {
            directories,
            rules,
            passes,
            suspects: Arc::default(),
            hint: Arc::default(),
            folding,
            ready: Arc::default(),
        }
    }

    /// What has the watch look at once.
    pub(crate) fn hint(&self) -> &Arc<Notify> {
        &self.hint
    }

    /// Where a watch says which workers may have died or begun.
    pub(crate) fn suspects(&self) -> &Arc<Suspects> {
        &self.suspects
    }

    /// Where the workers write.
    pub(crate) fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Whether every directory has been read, once at least, and what is served lacks no ledger.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Compares the listing of each directory with what is known, and folds what the dead have left;
    /// after how long there is more to fold, if that is known. While a directory has never been read
    /// this is a whole pass, which tells whether it can be by now.
    ///
    /// # Errors
    ///
    /// When the pass panicked, or the runtime ends.
    pub(crate) async fn attend(&self) -> Result<Option<Duration>, JoinError> {
        if !self.is_ready() {
            self.scrape(drop).await?;
        }
        let mut passes = Arc::clone(&self.passes).lock_owned().await;
        let (suspects, folding) = (Arc::clone(&self.suspects), Arc::clone(&self.folding));
        spawn_blocking(move || {
            passes.prepare(&suspects, &folding);
            passes.collector.set_now(fold::now());
            let mut proofs = Proofs::default();
            passes.collector.attend(|file| proofs.verdict(file));
            let dead = passes.collector.dead();
            let directories = 0..passes.directories;
            let places = directories.map(|directory| passes.collector.places(directory));
            let places = places.collect();
            // A scrape need not wait for a disk.
            drop(passes);
            let next = folding.rounds(&dead);
            folding.keep_places(places);
            next
        })
        .await
    }

    /// Reads the rules file again. A pass that is under way ends with the rules that it began with.
    ///
    /// # Errors
    ///
    /// When the reading panicked, or the runtime ends.
    pub(crate) async fn reload(&self) -> Result<Reload, JoinError> {
        let Some(path) = self.rules.clone() else {
            return Ok(Reload::NoFile);
        };
        let directories = self.directories.clone();
        // Read before the lock is taken: a slow disk holds up no scrape.
        let (file, directories) = spawn_blocking(move || {
            let file = RulesFile::read(&path, &directories);
            (file, directories)
        })
        .await?;
        let mut passes = Arc::clone(&self.passes).lock_owned().await;
        spawn_blocking(move || match file {
            Ok(file) => {
                let passes = &mut *passes;
                let (label, collector) = (passes.worker_label, &mut passes.collector);
                passes.ruling = Some(Ruling::apply(&file, &directories, label, collector));
                Reload::Done(file)
            }
            Err(error) => {
                if let Some(ruling) = &mut passes.ruling {
                    ruling.is_current = false;
                }
                Reload::Refused(error)
            }
        })
        .await
    }

    /// Reads every value, merges them, and hands the outcome to `then`, on a thread that may take
    /// its time.
    ///
    /// # Errors
    ///
    /// When the pass or `then` panicked, or the runtime ends.
    pub(crate) async fn scrape<T: Send + 'static>(
        &self,
        then: impl FnOnce(Pass) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let mut passes = Arc::clone(&self.passes).lock_owned().await;
        let ready = Arc::clone(&self.ready);
        let (suspects, folding) = (Arc::clone(&self.suspects), Arc::clone(&self.folding));
        let hint = Arc::clone(&self.hint);
        spawn_blocking(move || {
            passes.prepare(&suspects, &folding);
            let mut pass = passes.pass();
            // Another directory is watched only once somebody has seen it.
            let replaced = pass.collection.directories.iter();
            let replaced = replaced.map(|directory| directory.replaced).sum();
            if std::mem::replace(&mut passes.replaced, replaced) != replaced {
                hint.notify_one();
            }
            pass.folds = folding.states();
            let mut directories = pass.collection.directories.iter();
            if pass.lacks_ledger {
                ready.store(false, Ordering::Relaxed);
            } else if directories.all(|directory| directory.error.is_none()) {
                ready.store(true, Ordering::Relaxed);
            }
            passes.journal.tell(&pass);
            // The next pass need not wait until this one is written out.
            drop(passes);
            then(pass)
        })
        .await
    }
}

impl Pass {
    /// headcount's own families, about this pass.
    pub(crate) fn own_families(&self) -> Vec<Family> {
        self_metrics::families(self)
    }

    /// The pool's families, and with them each of headcount's own whose names the pool leaves free.
    pub(crate) fn all_families(self) -> Vec<Family> {
        let mut own = self.own_families();
        let mut families = self.collection.families;
        own.retain(|family| !clash::claims_a_name_of(family, &families));
        families.append(&mut own);
        families.sort_by(|left, right| left.name.cmp(&right.name));
        families
    }
}

#[derive(Debug)]
struct Passes {
    collector: Collector,
    journal: Journal,
    ruling: Option<Ruling>,
    budgets: Budgets,
    worker_label: WorkerLabel,
    /// How many directories there are, and how often others have taken their places.
    directories: usize,
    replaced: u64,
    /// `[life.shared]`: those that were found at the last look at all processes.
    shared: Vec<PathBuf>,
    /// Whether the next pass looks at all processes.
    looks_for_shared: bool,
}

impl Passes {
    fn new(directories: &[PathBuf], settings: &Settings) -> Passes {
        let mut collector = Collector::new();
        collector.set_boot(BootId::current());
        collector.set_descriptors(limits::descriptors_for_files());
        collector.set_budgets(settings.budgets);
        collector.set_time_to_live(settings.time_to_live);
        for directory in directories {
            collector.add_directory(directory);
        }
        let worker_label = settings.worker_label;
        collector.set_rules(ruling::complete(Rules::default(), worker_label));
        let rules = settings.rules.as_ref();
        let ruling =
            rules.map(|file| Ruling::apply(file, directories, worker_label, &mut collector));
        Passes {
            collector,
            journal: Journal::default(),
            ruling,
            budgets: settings.budgets,
            worker_label,
            directories: directories.len(),
            replaced: 0,
            shared: Vec::new(),
            looks_for_shared: true,
        }
    }

    /// Has the next look ask for those workers of which something tells to ask, and go by the places
    /// that another sidecar gives.
    fn prepare(&mut self, suspects: &Suspects, folding: &Folding) {
        for (directory, state) in folding.states().iter().enumerate() {
            let is_elsewhere = state.name == FoldState::ELSEWHERE;
            self.collector.follow_places(directory, is_elsewhere);
        }
        self.collector.expect_hints();
        self.looks_for_shared |= suspects.hand_over(&mut self.collector);
    }

    fn pass(&mut self) -> Pass {
        let start = Instant::now();
        self.collector.set_now(fold::now());
        let mut proofs = Proofs::default();
        let collection = self.collector.collect(|file| proofs.verdict(file));
        if std::mem::take(&mut self.looks_for_shared) {
            self.shared = proofs.shared(&collection);
        }
        Pass {
            collection,
            duration: start.elapsed(),
            ruling: self.ruling,
            budgets: self.budgets,
            folds: Vec::new(),
            shared: self.shared.clone(),
            lacks_ledger: self.collector.lacks_ledger(),
        }
    }
}
