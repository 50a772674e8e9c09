//! One file that is known.
//!
//! Owns whether a name still leads to the file that it led to, and what is told of the file. Knows
//! no dialect and no other file.

use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use headcount_format::identity::BootId;

use super::WorkerFile;
use super::departed::Gone;
use crate::dialect::{self, Left, Opened, Shared, Source};
use crate::directory::FileIdentity;
use crate::intake::{DirectoryId, Intake};
use crate::report::{Damage, DamageReason, FileReport, FileState, Liveness};

/// One file that is known.
#[derive(Debug)]
pub(super) struct Tracked {
    path: PathBuf,
    /// Which file it was when it was opened first.
    pub(super) identity: Option<FileIdentity>,
    /// Kept open as long as descriptors allow.
    pub(super) file: Option<File>,
    pub(super) source: Option<Box<dyn Source>>,
    pub(super) state: FileState,
    pub(super) liveness: Liveness,
    bytes: u64,
    /// Whether all of it was read in the last pass.
    pub(super) is_whole: bool,
    /// Whether it may be one that is gone, and has come back.
    pub(super) is_new: bool,
    /// `[merge.file.returned]`: whether what it has left when it went stands for it.
    pub(super) is_withheld: bool,
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
            liveness: Liveness::Unknown,
            bytes: 0,
            is_whole: false,
            is_new: true,
            is_withheld: false,
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

    /// Whether both are of one incarnation.
    pub(super) fn is_incarnation_of(&self, other: &Tracked) -> bool {
        let incarnation =
            |tracked: &Tracked| tracked.source.as_ref()?.incarnation().map(Arc::clone);
        incarnation(self).is_some_and(|own| incarnation(other) == Some(own))
    }

    /// Reads the file; yields what counted lower than before. What is there may be open already.
    pub(super) fn read(
        &mut self,
        opened: Option<File>,
        shared: &mut Shared,
        boot: BootId,
        liveness: &mut impl FnMut(&WorkerFile<'_>) -> Liveness,
    ) -> Vec<Left> {
        let (Some(file), Some(source)) = (opened.as_ref().or(self.file.as_ref()), &mut self.source)
        else {
            return Vec::new();
        };
        // [merge.store.boot]
        if source.is_of_other_boot(boot) {
            self.state = FileState::EarlierBoot;
            self.source = None;
            return Vec::new();
        }
        // Asked before it is read, so that what is read of the dead is the last there is.
        if self.liveness != Liveness::Dead {
            self.liveness = liveness(&WorkerFile {
                file,
                dialect: source.dialect(),
                lock: source.lock(),
                path: &self.path,
            });
        }
        // [merge.budget.file-bytes]
        let bytes = file.metadata().map_or(0, |metadata| metadata.len());
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
        let outcome = source.refresh(file, shared);
        self.is_whole = outcome.is_whole;
        self.state = outcome.state;
        self.bytes = outcome.bytes;
        outcome.falls
    }

    /// What the file leaves in the totals.
    pub(super) fn leave(&mut self, intake: &mut Intake) -> Option<Gone> {
        let source = self.source.as_mut()?;
        let left = source.lasting();
        let carried = source.carried();
        source.release(intake);
        // What stands for it stays.
        (!self.is_withheld).then(|| Gone {
            identity: self.identity,
            incarnation: source.incarnation().cloned(),
            left,
            carried,
            stands_in: false,
        })
    }

    pub(super) fn report(&self) -> FileReport {
        let source = self.source.as_deref();
        FileReport {
            path: self.path.clone(),
            dialect: source.and_then(Source::dialect),
            state: self.state.clone(),
            worker: source.and_then(Source::worker).cloned(),
            liveness: self.liveness,
            bytes: self.bytes,
            series: source.map_or(0, Source::series),
            refused: source.map_or(0, Source::refused),
            client: source.map_or("", Source::client),
            left_out: source.map_or_else(Default::default, |source| source.left_out().clone()),
        }
    }
}
