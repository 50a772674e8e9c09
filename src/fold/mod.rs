//! The fold: what dead workers have counted goes into the ledger, and their files go.
//!
//! Owns the order of its steps, the lock that says who folds, and with it every change of a pool's
//! directory (`spec/ledger.md`, chapter 3): no other room of the sidecar deletes or renames what
//! workers have made. Knows no bytes: what is added up, and how a ledger is written, is the
//! collector's.

mod error;
mod files;
mod step;

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use headcount_collect::collector::{DeadFile, WorkerFile};
use headcount_collect::fold::{self, Fold, FoldDirectory};
use headcount_collect::report::{Dialect, Liveness};
use headcount_format::identity::BootId;
use headcount_format::layout::{
    EARLIER_LEDGER_NAME, LEDGER_NAME, SLOTS_NAME, UNFINISHED_LEDGER_NAME,
};
use headcount_format::lock::{is_marked, mark};

pub(crate) use error::{FoldFailure, Trouble};
use files::Readers;
use step::{Step, reached};

use crate::pool::Proofs;

/// What is folded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoldOptions {
    /// Whether other clients' files are, too.
    pub(crate) peers: bool,
    /// `[merge.dead.ttl]`: for how long the levels of the dead stay.
    pub(crate) time_to_live: Duration,
}

/// Folds one directory, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    options: FoldOptions,
    /// The directory, as long as its lock is held.
    held: Option<FoldDirectory>,
    /// The directory, as long as another folds there who folds less.
    marked: Option<FoldDirectory>,
    /// Which directory it was that was held last.
    identity: Option<Identity>,
    /// Whether nothing that the ledger lists is left, as far as is known.
    is_clean: bool,
    /// When a peer's file was seen first under its folding name.
    aside: HashMap<OsString, Instant>,
    /// The last ledger that it has seen, and when that was written, in nanoseconds since 1970.
    last: Option<(File, u64)>,
    /// When the next round may begin.
    due: Instant,
    /// Who has which place, as long as it has not been written down.
    places: Option<String>,
}

/// What a round has done.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// How many files it has folded.
    pub(crate) files: usize,
    /// How many bytes they had, together.
    pub(crate) bytes: u64,
    /// How many it has left for a later round.
    pub(crate) pending: usize,
    /// Whether there are more files than a round takes.
    pub(crate) is_full: bool,
    /// What has kept it from one of the files, the first of them.
    pub(crate) trouble: Option<Trouble>,
}

impl Folder {
    pub(crate) fn new(path: PathBuf, options: FoldOptions) -> Folder {
        Folder {
            path,
            options,
            held: None,
            marked: None,
            identity: None,
            is_clean: false,
            aside: HashMap::new(),
            last: None,
            due: Instant::now(),
            places: None,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is something to do where these have died.
    pub(crate) fn has_work(&self, dead: &[DeadFile]) -> bool {
        !self.is_clean || self.count(dead) > 0 || self.gives_way()
    }

    /// `[fold.lock]`: whether somebody waits for the lock who folds more.
    fn gives_way(&self) -> bool {
        let held = self.held.as_ref().filter(|_| !self.options.peers);
        held.is_some_and(|held| is_marked(held.handle()))
    }

    /// How many of these files are of a kind that is folded.
    pub(crate) fn count(&self, dead: &[DeadFile]) -> usize {
        let foldable = dead.iter().filter(|file| may_fold(file, &self.options));
        foldable.count()
    }

    /// Folds as many of the files of these dead workers as a round takes.
    ///
    /// # Errors
    ///
    /// [`FoldFailure`]; nothing is lost, and what has not been folded stays where it is.
    pub(crate) fn round(&mut self, dead: &[DeadFile]) -> Result<Round, FoldFailure> {
        let start = Instant::now();
        let outcome = self.steps(dead);
        // [fold.lock]: who cannot fold stands in nobody's way.
        if let Err(FoldFailure::Denied { .. } | FoldFailure::Older | FoldFailure::Refused(_)) =
            outcome
        {
            self.held = None;
        }
        // [fold.pace]
        let pause = match &outcome {
            // What is left for want of room in this round is worth the next.
            Ok(round) if round.is_full => Duration::ZERO,
            Ok(_) => PACE * start.elapsed(),
            Err(_) => RETRY,
        };
        self.due = Instant::now() + pause;
        outcome
    }

    /// `[fold.order]`
    fn steps(&mut self, dead: &[DeadFile]) -> Result<Round, FoldFailure> {
        self.hold()?;
        let Folder {
            options,
            held: Some(directory),
            is_clean,
            aside,
            last,
            ..
        } = self
        else {
            return Err(FoldFailure::NotOurs);
        };
        reached(Step::Lock);
        let boot = BootId::current();
        let found = directory.open_file(LEDGER_NAME.as_ref());
        let found = found.map_err(FoldFailure::Refused)?;
        // [ledger.boot]
        let (earlier, found) = match found {
            Some(ledger) if fold::is_of_other_boot(&ledger, boot) => (Some(ledger), None),
            found => (None, found),
        };
        // [ledger.lineage]: one that somebody has deleted is written again.
        let ledger = found.as_ref().or(last.as_ref().map(|(ledger, _)| ledger));
        let mut fold = Fold::begin(ledger, boot).map_err(FoldFailure::Refused)?;
        if last
            .as_ref()
            .is_some_and(|(_, seen)| fold.written() < *seen)
        {
            return Err(FoldFailure::Older);
        }
        let mut readers = Readers::of(ledger);
        if let Some(ledger) = found {
            *last = Some((ledger, fold.written()));
        }
        let present: HashSet<&OsStr> = dead.iter().map(|file| &*file.name).collect();
        aside.retain(|name, _| present.contains(&**name));
        let mut round = Round {
            trouble: files::clean(directory, &mut fold)?,
            ..Round::default()
        };
        *is_clean = round.trouble.is_none();
        reached(Step::Clean);
        let mut folded = Vec::new();
        for file in dead.iter().filter(|file| may_fold(file, options)) {
            if folded.len() == MOST {
                round.is_full = true;
                round.pending += 1;
                continue;
            }
            match take_in(directory, file, &mut fold, aside) {
                Taken::In(metadata) => {
                    folded.push(&*file.name);
                    round.bytes += metadata.len();
                    readers.narrow(&metadata);
                }
                Taken::Later => round.pending += 1,
                Taken::Not => {}
                Taken::Troubled(trouble) => round.trouble = round.trouble.or(Some(trouble)),
            }
        }
        if folded.is_empty() {
            return Ok(round);
        }
        reached(Step::Read);
        let image = fold.write(now(), options.time_to_live)?;
        if earlier.is_some() {
            let (from, to) = (LEDGER_NAME.as_ref(), EARLIER_LEDGER_NAME.as_ref());
            files::rename(directory, from, to).map_err(|source| FoldFailure::Change {
                what: "rename the ledger of an earlier boot",
                source,
            })?;
        }
        *last = Some(publish(directory, &image, &readers, boot)?);
        for name in &folded {
            if let Err(trouble) = files::delete(directory, name) {
                *is_clean = false;
                round.trouble = round.trouble.or(Some(trouble));
            }
            aside.remove(*name);
            reached(Step::Delete);
        }
        round.files = folded.len();
        Ok(round)
    }

    /// `[fold.lock]`: holds the lock of the directory that the path leads to now.
    fn hold(&mut self) -> Result<(), FoldFailure> {
        if self.gives_way() {
            self.held = None;
        }
        let missing = |source| FoldFailure::Missing { source };
        let there = identity(&std::fs::metadata(&self.path).map_err(missing)?);
        let held = self.held.as_ref();
        let known = held.and_then(|held| held.handle().metadata().ok());
        if let Some(directory) = &self.held
            && known.is_some_and(|known| identity(&known) == there)
        {
            return files::check_access(directory);
        }
        // [merge.directory.replaced]: another directory's lock is another one.
        if self.identity.replace(there) != Some(there) {
            self.last = None;
        }
        self.is_clean = false;
        self.aside.clear();
        self.held = None;
        let has_called = self.marked.take().is_some();
        let directory = FoldDirectory::open(&self.path).map_err(missing)?;
        files::check_access(&directory)?;
        match self.options.peers {
            // Where there are no such locks, whoever comes first folds.
            true => _ = mark(directory.handle()),
            false if is_marked(directory.handle()) => return Err(FoldFailure::NotOurs),
            false => {}
        }
        match files::lock(&directory) {
            Ok(()) => self.held = Some(directory),
            Err(error) => {
                if self.options.peers && !has_called {
                    files::call(&directory);
                }
                self.marked = Some(directory).filter(|_| self.options.peers);
                return Err(error);
            }
        }
        Ok(())
    }

    /// `[life.place.file]`: writes down who has which place, if it is this process that folds here.
    /// Where it cannot be written, places are kept in memory alone, as everything is.
    pub(crate) fn keep_places(&mut self, changed: Option<String>) {
        self.places = changed.or(self.places.take());
        if let Some(directory) = &self.held
            && let Some(text) = self.places.take()
        {
            let _kept = files::replace(directory, SLOTS_NAME.as_ref(), text.as_bytes());
        }
    }

    /// Whether a round may begin by now.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }
}

/// Device, inode number, which the next directory may have, and time of birth where that is told.
type Identity = (u64, u64, Option<SystemTime>);

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino(), metadata.created().ok())
}

/// Whether a file is of a kind that is folded.
fn may_fold(file: &DeadFile, options: &FoldOptions) -> bool {
    file.dialect == Some(Dialect::Store) || options.peers
}

/// What became of a file.
enum Taken {
    /// It is in the fold.
    In(Metadata),
    Later,
    Not,
    Troubled(Trouble),
}

/// Adds the file of a dead worker to the fold.
fn take_in(
    directory: &FoldDirectory,
    dead: &DeadFile,
    fold: &mut Fold,
    aside: &mut HashMap<OsString, Instant>,
) -> Taken {
    let name = &*dead.name;
    // What is gone, or planted since, is for the next look; so is what the ledger lists.
    let Ok(Some(file)) = directory.open_file(name) else {
        return Taken::Not;
    };
    let is_store = dead.dialect == Some(Dialect::Store);
    if fold.lists_store(name) || (!is_store && fold.lists_file(&file)) {
        return Taken::Not;
    }
    // [fold.dead] [fold.peer.writer]
    if !is_dead(dead, &file, directory) {
        aside.remove(name);
        return Taken::Not;
    }
    if !is_store && !files::is_set_aside(name) {
        let Some(set_aside) = files::folding_name(name, &file) else {
            return Taken::Not;
        };
        if let Err(error) = files::rename(directory, name, &set_aside) {
            return Taken::Troubled(Trouble::unmoved(name, error));
        }
        reached(Step::SetAside);
        aside.insert(set_aside, Instant::now());
        return Taken::Later;
    }
    // [fold.peer]
    if !is_store {
        let since = aside.entry(dead.name.clone()).or_insert_with(Instant::now);
        if since.elapsed() < ASIDE {
            return Taken::Later;
        }
    }
    // What cannot be folded rests in memory, and `check` tells what is wrong with it.
    let added = fold.add(name, &file, dead.version, dead.died, dead.place);
    match (added, file.metadata()) {
        (Ok(()), Ok(metadata)) => Taken::In(metadata),
        _ => Taken::Not,
    }
}

fn is_dead(dead: &DeadFile, file: &File, directory: &FoldDirectory) -> bool {
    let asked = WorkerFile {
        file,
        dialect: dead.dialect,
        lock: dead.lock,
        path: &directory.path().join(&dead.name),
    };
    Proofs::default().verdict(&asked).liveness == Liveness::Dead
}

/// `[fold.order]`: from the step `write` to the step `settle`; the ledger, and when it was written.
fn publish(
    directory: &FoldDirectory,
    image: &[u8],
    readers: &Readers,
    boot: BootId,
) -> Result<(File, u64), FoldFailure> {
    let unfinished: &OsStr = UNFINISHED_LEDGER_NAME.as_ref();
    let written = files::write(directory, unfinished, image, readers);
    let bytes = image.len();
    let written = written.map_err(|source| FoldFailure::Write { bytes, source })?;
    reached(Step::Write);
    let failed = |what| move |source| FoldFailure::Change { what, source };
    let synchronise = "synchronise the new ledger to the disk";
    written.sync_all().map_err(failed(synchronise))?;
    reached(Step::Sync);
    // What no reader could read must not take the place of what every reader can.
    let when = fold::read_back(&written, boot).map_err(FoldFailure::Unreadable)?;
    let renamed = files::rename(directory, unfinished, LEDGER_NAME.as_ref());
    renamed.map_err(failed("rename the new ledger"))?;
    reached(Step::Publish);
    let settled = directory.handle().sync_all();
    settled.map_err(failed(synchronise))?;
    reached(Step::Settle);
    Ok((written, when))
}

/// In nanoseconds since 1970; zero on a machine whose clock stands before that.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

/// `[fold.pace]`: how many times as long as a round took the next one waits.
const PACE: u32 = 20;

/// For how long a round waits after one that failed.
const RETRY: Duration = Duration::from_secs(1);

/// How many files one round folds: what they hold is in memory meanwhile.
const MOST: usize = 1024;

/// `[fold.peer]`: for how long a file has its folding name before it is folded.
pub(crate) const ASIDE: Duration = Duration::from_millis(100);
