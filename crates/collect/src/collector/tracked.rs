//! One file that is known.
//!
//! Owns whether a name still leads to the file that it led to, and what is told of the file. Knows
//! no dialect and no other file.

use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use headcount_format::identity::BootId;

use super::departed::Gone;
use super::{Suspicion, WorkerFile};
use crate::dialect::{self, Left, Opened, Shared, Source};
use crate::directory::{FileIdentity, FileVersion};
use crate::intake::{DirectoryId, Intake};
use crate::report::{Damage, DamageReason, FileReport, FileState, Liveness, Verdict};
use crate::table::Table;

/// One file that is known.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) path: PathBuf,
    /// Which file it was when it was opened first.
    pub(super) identity: Option<FileIdentity>,
    /// Kept open as long as descriptors allow.
    pub(super) file: Option<File>,
    pub(super) source: Option<Box<dyn Source>>,
    pub(super) state: FileState,
    pub(super) verdict: Verdict,
    bytes: u64,
    /// Of when what was read of it is.
    pub(super) version: Option<FileVersion>,
    /// Whether all of it was read in the last pass.
    pub(super) is_whole: bool,
    /// Whether it may be one that is gone, and has come back.
    pub(super) is_new: bool,
    /// `[merge.file.returned]`: whether what it has left when it went stands for it.
    pub(super) is_withheld: bool,
    /// When its worker was found dead, in nanoseconds since 1970.
    pub(super) died: Option<u64>,
    /// `[merge.rest]`: whether all of it has been read, and its worker was dead by then.
    pub(super) rests: bool,
    /// `[merge.dead.ttl]`: whether its levels are not told any more.
    pub(super) has_expired: bool,
    /// Whether it rested, and was read once more at the last look.
    pub(super) is_read_anew: bool,
    /// What there is to ask for at the next reading.
    pub(super) suspicion: Option<Suspicion>,
    /// Whether the last reading found that the name leads to it no more.
    pub(super) is_missed: bool,
    /// `[ledger.forget]`: whether it has gone, and the ledger may hold it without listing it.
    pub(super) may_be_folded: bool,
}

/// What a reading goes by.
pub(super) struct Look<'a, F> {
    pub(super) boot: BootId,
    /// Now, in nanoseconds since 1970.
    pub(super) now: u64,
    /// What there is to ask for of every file.
    pub(super) suspicion: Option<Suspicion>,
    pub(super) reading: Reading,
    pub(super) liveness: &'a mut F,
}

/// Which files are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reading {
    All,
    /// Those whose worker is asked for, if it turns out to be dead.
    Suspects,
}

impl Tracked {
    /// `None` for a name that is gone already.
    pub(super) fn new(
        path: PathBuf,
        name: &OsString,
        opened: Result<Option<File>, Damage>,
        directory: DirectoryId,
    ) -> Option<Tracked> {
        let mut tracked = Tracked {
            path,
            identity: None,
            file: None,
            source: None,
            state: FileState::Empty,
            verdict: Liveness::Unknown.into(),
            bytes: 0,
            version: None,
            is_whole: false,
            is_new: true,
            is_withheld: false,
            died: None,
            rests: false,
            has_expired: false,
            is_read_anew: false,
            suspicion: Some(Suspicion::Opened),
            is_missed: false,
            may_be_folded: false,
        };
        match opened {
            Ok(None) => return None,
            Ok(Some(file)) => {
                if let Ok(metadata) = file.metadata() {
                    tracked.identity = Some(FileIdentity::of(&metadata));
                    tracked.bytes = metadata.len();
                }
                match dialect::open(name, &file, directory) {
                    Ok(Opened::Source(source)) => tracked.source = Some(source),
                    Ok(Opened::PassedOver(why)) => tracked.state = FileState::PassedOver(why),
                    Err(damage) => tracked.state = FileState::Damaged(damage),
                }
                tracked.file = Some(file);
            }
            Err(damage) => tracked.state = FileState::Damaged(damage),
        }
        Some(tracked)
    }

    pub(super) fn is(&self, file: &File) -> bool {
        let metadata = file.metadata().ok();
        self.identity.is_some()
            && metadata.map(|metadata| FileIdentity::of(&metadata)) == self.identity
    }

    /// Whether the name, which leads to this inode, may lead elsewhere than when it was opened. What
    /// is not read is looked at anew each time.
    pub(super) fn may_have_lost_name(&self, inode: u64) -> bool {
        let Some(identity) = self.identity.filter(|identity| identity.inode() == inode) else {
            return true;
        };
        match (&self.file, &self.source) {
            (_, None) => !matches!(
                self.state,
                FileState::EarlierBoot | FileState::PassedOver(_)
            ),
            // An inode that is held open is nobody else's.
            (Some(_), Some(_)) => false,
            (None, Some(_)) => {
                let found = std::fs::symlink_metadata(&self.path);
                found.map_or(true, |found| FileIdentity::of(&found) != identity)
            }
        }
    }

    /// Whether this is the file that `other` is, and is read.
    pub(super) fn is_read_as(&self, other: &Tracked) -> bool {
        let both_read = self.source.is_some() && other.source.is_some();
        both_read && self.identity.is_some() && self.identity == other.identity
    }

    /// Whether a file of the same name goes on from what it had (`[text.rewritten]`).
    pub(super) fn goes_on_by_name(&self) -> bool {
        let source = self.source.as_ref();
        source.is_some_and(|source| source.goes_on_by_name())
    }

    /// Which file it is, if it is read.
    pub(super) fn read_identity(&self) -> Option<FileIdentity> {
        self.identity.filter(|_| self.source.is_some())
    }

    /// Which incarnation it is of, if it is a store.
    pub(super) fn incarnation(&self) -> Option<&Arc<str>> {
        self.source.as_ref()?.incarnation()
    }

    /// Whether both are of one incarnation.
    pub(super) fn is_incarnation_of(&self, other: &Tracked) -> bool {
        let incarnation = self.incarnation();
        incarnation.is_some() && incarnation == other.incarnation()
    }

    /// Asks for the worker, if something tells to, before the file is read.
    pub(super) fn ask(
        &mut self,
        of_all: Option<Suspicion>,
        liveness: &mut impl FnMut(&WorkerFile<'_>) -> Verdict,
    ) {
        let (Some(file), Some(source)) = (&self.file, &self.source) else {
            return;
        };
        let is_final = self.is_dead() && source.incarnation().is_some();
        if of_all.max(self.suspicion).is_some() && !is_final {
            self.verdict = liveness(&WorkerFile {
                file,
                dialect: source.dialect(),
                lock: source.lock(),
                path: &self.path,
            });
        }
    }

    /// Reads the file; yields what counted lower than before. What is there may be open already.
    pub(super) fn read<F: FnMut(&WorkerFile<'_>) -> Verdict>(
        &mut self,
        opened: Option<File>,
        shared: &mut Shared,
        look: &mut Look<'_, F>,
    ) -> Vec<Left> {
        let (Some(file), Some(source)) = (opened.as_ref().or(self.file.as_ref()), &mut self.source)
        else {
            return Vec::new();
        };
        // [merge.store.boot]
        if source.is_of_other_boot(look.boot) {
            self.state = FileState::EarlierBoot;
            self.source = None;
            return Vec::new();
        }
        // Asked before it is read, so that what is read of the dead is the last there is.
        let suspicion = look.suspicion.max(self.suspicion.take());
        self.is_read_anew = false;
        let is_told = suspicion.is_some();
        if is_asked(&self.verdict, &**source, is_told, &shared.intake.table) {
            self.verdict = (look.liveness)(&WorkerFile {
                file,
                dialect: source.dialect(),
                lock: source.lock(),
                path: &self.path,
            });
        }
        if look.reading == Reading::Suspects
            && self.verdict.liveness != Liveness::Dead
            && !self.rests
        {
            return Vec::new();
        }
        let metadata = file.metadata().ok();
        let version = metadata.as_ref().map(FileVersion::of);
        // [merge.rest.wake]: another worker may have come and gone since it was read.
        let is_same = suspicion < Some(Suspicion::Closed) && version == self.version;
        match self.verdict.liveness {
            Liveness::Dead if self.rests && is_same => return Vec::new(),
            Liveness::Dead => self.died = self.died.or(Some(look.now)),
            // [merge.rest.wake]
            _ => {
                let was_dead = self.died.take().is_some();
                let has_expired = std::mem::take(&mut self.has_expired);
                shared.intake.reads_dead = false;
                if was_dead && !has_expired {
                    source.release(&mut shared.intake);
                }
                if was_dead {
                    source.rebind(&mut shared.intake);
                }
            }
        }
        shared.intake.reads_dead = self.verdict.liveness == Liveness::Dead;
        self.is_read_anew = std::mem::take(&mut self.rests);
        // [merge.budget.file-bytes]
        let bytes = metadata.map_or(0, |metadata| metadata.len());
        let limit = shared.intake.budgets().file_bytes;
        if bytes > limit {
            self.bytes = bytes;
            self.is_whole = false;
            let detail = format!("it has {bytes} bytes, and the budget is {limit}");
            self.state = FileState::Damaged(Damage {
                reason: DamageReason::TooLarge,
                detail,
            });
            return Vec::new();
        }
        let was_known = source.dialect().is_some();
        // What has expired has given back its places, and has none for what is new either.
        if self.has_expired {
            source.rebind(&mut shared.intake);
        }
        self.version = version;
        let outcome = source.refresh(file, shared);
        if self.has_expired {
            source.release(&mut shared.intake);
        }
        // Whom to ask, and how, hangs on the dialect.
        if !was_known && source.dialect().is_some() {
            self.suspicion = Some(Suspicion::Opened);
        }
        self.is_whole = outcome.is_whole;
        self.state = outcome.state;
        self.bytes = outcome.bytes;
        // [merge.rest]
        let is_sound = matches!(self.state, FileState::Good | FileState::Empty);
        self.rests = self.is_dead() && is_sound && !self.is_withheld;
        outcome.falls
    }

    pub(super) fn is_dead(&self) -> bool {
        self.verdict.liveness == Liveness::Dead
    }

    /// `[merge.dead.ttl]`: has a dead worker's levels go if it died before `oldest`; whether they
    /// have gone now.
    pub(super) fn expire(&mut self, oldest: u64, intake: &mut Intake) -> bool {
        let is_over = self.died.is_some_and(|died| died < oldest);
        let Some(source) = self
            .source
            .as_mut()
            .filter(|_| is_over && !self.has_expired)
        else {
            return false;
        };
        source.release(intake);
        self.has_expired = true;
        true
    }

    /// Asks anew where each value goes.
    pub(super) fn rebind(&mut self, intake: &mut Intake, reconsiders: bool) {
        let Some(source) = &mut self.source else {
            return;
        };
        intake.reads_dead = self.verdict.liveness == Liveness::Dead;
        source.rebind(intake);
        if self.has_expired {
            source.release(intake);
        }
        if reconsiders {
            source.reconsider();
            // What was left out is in the file alone.
            self.rests = false;
        }
    }

    /// Gives back what belongs to its worker alone.
    pub(super) fn forget(&mut self, intake: &mut Intake) {
        if let Some(source) = self.source.as_mut().filter(|_| !self.has_expired) {
            source.release(intake);
        }
        self.has_expired = true;
    }

    /// What the file leaves in the totals.
    pub(super) fn leave(&mut self, intake: &mut Intake) -> Option<Gone> {
        let source = self.source.as_ref()?;
        let gone = Gone {
            identity: self.identity,
            incarnation: source.incarnation().cloned(),
            left: source.lasting(),
            carried: source.carried(),
            stands_in: false,
        };
        self.forget(intake);
        // What stands for it stays.
        (!self.is_withheld).then_some(gone)
    }

    pub(super) fn report(&self) -> FileReport {
        let source = self.source.as_deref();
        FileReport {
            path: self.path.clone(),
            dialect: source.and_then(Source::dialect),
            state: self.state.clone(),
            worker: source.and_then(Source::worker).cloned(),
            verdict: self.verdict.clone(),
            bytes: self.bytes,
            series: source.map_or(0, Source::series),
            refused: source.map_or(0, Source::refused),
            client: source.map_or("", Source::client),
            left_out: source.map_or_else(Default::default, |source| source.left_out().clone()),
        }
    }
}

/// Whether a worker is to be asked for; `is_told` where something tells to.
fn is_asked(verdict: &Verdict, source: &dyn Source, is_told: bool, table: &Table) -> bool {
    match (verdict.liveness, source.incarnation()) {
        // [life.again]: a store's worker is dead for ever.
        (Liveness::Dead, Some(_)) => false,
        (Liveness::Dead, None) => is_told,
        _ => is_told || source.has_live_levels(table),
    }
}
