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

pub(crate) use error::FoldFailure;
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
    /// The directory, once its lock is held.
    held: Option<FoldDirectory>,
    /// Whether nothing that the ledger lists is left, as far as is known.
    is_clean: bool,
    /// When a peer's file was seen first under its folding name.
    aside: HashMap<OsString, Instant>,
    /// When the last ledger was written that it has seen, in nanoseconds since 1970.
    written: u64,
    /// When the next round may begin.
    due: Instant,
    /// Who has which place, as long as it has not been written down.
    places: Option<String>,
}

/// What a round has done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Round {
    /// How many files it has folded.
    pub(crate) files: usize,
    /// How many bytes they had, together.
    pub(crate) bytes: u64,
    /// How many it has left for a later round.
    pub(crate) pending: usize,
    /// Whether there are more files than a round takes.
    pub(crate) is_full: bool,
    /// Whether a file that is folded could not be deleted.
    pub(crate) is_stuck: bool,
}

impl Folder {
    pub(crate) fn new(path: PathBuf, options: FoldOptions) -> Folder {
        Folder {
            path,
            options,
            held: None,
            is_clean: false,
            aside: HashMap::new(),
            written: 0,
            due: Instant::now(),
            places: None,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is something to do where these have died.
    pub(crate) fn has_work(&self, dead: &[DeadFile]) -> bool {
        !self.is_clean || dead.iter().any(|file| may_fold(file, &self.options))
    }

    /// Folds as many of the files of these dead workers as a round takes.
    ///
    /// # Errors
    ///
    /// [`FoldFailure`]; nothing is lost, and what has not been folded stays where it is.
    pub(crate) fn round(&mut self, dead: &[DeadFile]) -> Result<Round, FoldFailure> {
        let start = Instant::now();
        let outcome = self.steps(dead);
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
            written,
            ..
        } = self
        else {
            return Err(FoldFailure::NotOurs);
        };
        files::check_access(directory)?;
        reached(Step::Lock);
        let boot = BootId::current();
        let ledger = directory.open_file(LEDGER_NAME.as_ref());
        let ledger = ledger.map_err(FoldFailure::Refused)?;
        let mut fold = Fold::begin(ledger.as_ref(), boot).map_err(FoldFailure::Refused)?;
        // [ledger.lineage]
        if fold.written() > 0 && fold.written() < *written {
            return Err(FoldFailure::Older);
        }
        *written = fold.written().max(*written);
        let present: HashSet<&OsStr> = dead.iter().map(|file| &*file.name).collect();
        aside.retain(|name, _| present.contains(&**name));
        let mut round = Round::default();
        if !*is_clean {
            *is_clean = files::clean(directory, &mut fold)?;
            reached(Step::Clean);
        }
        let mut folded = Vec::new();
        let mut bytes = 0;
        for file in dead.iter().filter(|file| may_fold(file, options)) {
            if folded.len() == MOST {
                round.is_full = true;
                round.pending += 1;
                continue;
            }
            match take_in(directory, file, &mut fold, aside)? {
                Taken::In(size) => {
                    folded.push(&*file.name);
                    bytes += size;
                }
                Taken::Later => round.pending += 1,
                Taken::Not => {}
            }
        }
        if folded.is_empty() {
            return Ok(round);
        }
        reached(Step::Read);
        let image = fold.write(now(), options.time_to_live)?;
        if let Some(ledger) = &ledger
            && fold::is_of_other_boot(ledger, boot)
        {
            files::rename(
                directory,
                LEDGER_NAME.as_ref(),
                EARLIER_LEDGER_NAME.as_ref(),
            )?;
        }
        *written = publish(directory, &image, boot)?;
        for name in &folded {
            round.is_stuck |= !files::delete(directory, name);
            aside.remove(*name);
            reached(Step::Delete);
        }
        *is_clean &= !round.is_stuck;
        round.files = folded.len();
        round.bytes = bytes;
        Ok(round)
    }

    /// `[fold.lock]`: holds the lock of the directory that the path leads to now.
    fn hold(&mut self) -> Result<(), FoldFailure> {
        let missing = |source| FoldFailure::Missing { source };
        let there = identity(&std::fs::metadata(&self.path).map_err(missing)?);
        let held = self.held.as_ref();
        let known = held.and_then(|held| held.handle().metadata().ok());
        // [merge.directory.replaced]: another directory's lock is another one.
        if known.is_none_or(|known| identity(&known) != there) {
            self.is_clean = false;
            self.written = 0;
            self.aside.clear();
            self.held = None;
            let directory = FoldDirectory::open(&self.path).map_err(missing)?;
            files::lock(&directory)?;
            self.held = Some(directory);
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

/// Device and inode number.
fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Whether a file is of a kind that is folded.
fn may_fold(file: &DeadFile, options: &FoldOptions) -> bool {
    file.dialect == Some(Dialect::Store) || options.peers
}

/// What became of a file.
enum Taken {
    /// It is in the fold; its size, in bytes.
    In(u64),
    Later,
    Not,
}

/// Adds the file of a dead worker to the fold.
fn take_in(
    directory: &FoldDirectory,
    dead: &DeadFile,
    fold: &mut Fold,
    aside: &mut HashMap<OsString, Instant>,
) -> Result<Taken, FoldFailure> {
    let name = &*dead.name;
    // What is gone, or planted since, is for the next look.
    let Ok(Some(file)) = directory.open_file(name) else {
        return Ok(Taken::Not);
    };
    let is_store = dead.dialect == Some(Dialect::Store);
    if fold.lists_store(name) || (!is_store && fold.lists_file(&file)) {
        files::delete(directory, name);
        return Ok(Taken::Not);
    }
    // [fold.dead] [fold.peer.writer]
    if !is_dead(dead, &file, directory) {
        aside.remove(name);
        return Ok(Taken::Not);
    }
    if !is_store && !files::is_set_aside(name) {
        let Some(set_aside) = files::folding_name(name, &file) else {
            return Ok(Taken::Not);
        };
        files::rename(directory, name, &set_aside)?;
        reached(Step::SetAside);
        aside.insert(set_aside, Instant::now());
        return Ok(Taken::Later);
    }
    // [fold.peer]
    if !is_store {
        let since = aside.entry(dead.name.clone()).or_insert_with(Instant::now);
        if since.elapsed() < ASIDE {
            return Ok(Taken::Later);
        }
    }
    let bytes = file.metadata().map_or(0, |metadata| metadata.len());
    Ok(match fold.add(name, &file, dead.died, dead.place) {
        Ok(()) => Taken::In(bytes),
        // It rests in memory, and `check` tells what is wrong with it.
        Err(_) => Taken::Not,
    })
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

/// `[fold.order]`: from the step `write` to the step `settle`; when the ledger was written.
fn publish(directory: &FoldDirectory, image: &[u8], boot: BootId) -> Result<u64, FoldFailure> {
    let unfinished: &OsStr = UNFINISHED_LEDGER_NAME.as_ref();
    let written = files::write(directory, unfinished, image)?;
    reached(Step::Write);
    let failed = |source| FoldFailure::Change {
        what: "synchronise the new ledger to the disk",
        source,
    };
    written.sync_all().map_err(failed)?;
    reached(Step::Sync);
    // What no reader could read must not take the place of what every reader can.
    let when = fold::read_back(&written, boot).map_err(FoldFailure::Unreadable)?;
    files::rename(directory, unfinished, LEDGER_NAME.as_ref())?;
    reached(Step::Publish);
    directory.handle().sync_all().map_err(failed)?;
    reached(Step::Settle);
    Ok(when)
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
