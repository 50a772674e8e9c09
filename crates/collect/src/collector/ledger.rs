//! The ledger of one directory, as a collector holds it.
//!
//! Owns which generation is held, and which files it lists (`spec/ledger.md`, chapters 1 and 2).
//! Never writes one.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::sync::Arc;

use headcount_format::identity::{BootId, Incarnation};
use headcount_format::layout::{LEDGER_NAME, incarnation_of};

use super::departed::Gone;
use super::tracked::Tracked;
use crate::dialect::{Share, Source, StoreFile, Tally};
use crate::directory::{Directory, FileIdentity};
use crate::intake::{DirectoryId, Intake};
use crate::report::{Damage, DamageReason, FoldedReport, LedgerReport, LedgerState};
use crate::table::{Contributor, Table};

/// What lies under a ledger's name.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Which file was looked at last.
    identity: Option<FileIdentity>,
    /// The last one that could be read.
    held: Option<Held>,
    state: LedgerState,
}

/// What a look at a ledger has found.
#[derive(Debug)]
pub(super) enum Seen {
    Other(Switch),
    Same,
}

/// From one ledger to another.
#[derive(Debug)]
pub(super) struct Switch {
    /// What the one before has left, if this one does not follow on it.
    pub(super) left: Option<Gone>,
    /// `[ledger.forget]`: whether files may have been folded in between that this one does not list
    /// any more.
    pub(super) has_forgotten: bool,
}

#[derive(Debug)]
struct Held {
    /// Of which first generation it is.
    root: Arc<str>,
    source: StoreFile,
    folded: Folded,
    /// What it lists, to be shown.
    listed: Arc<[FoldedReport]>,
    bytes: u64,
}

/// `[ledger.folded]`: what a ledger lists.
#[derive(Debug, Default)]
pub(crate) struct Folded {
    stores: HashSet<Incarnation>,
    /// Inode number and time of birth in nanoseconds since 1970.
    files: HashSet<(u64, u64)>,
}

impl Folded {
    pub(crate) fn of(ledger: &StoreFile) -> Folded {
        let catalog = ledger.catalog();
        let stores = catalog.folded_stores().iter();
        let files = catalog.folded_files().iter();
        Folded {
            stores: stores.map(|store| store.incarnation).collect(),
            files: files.map(|file| (file.inode, file.born)).collect(),
        }
    }

    /// Whether the store of this name is listed.
    pub(crate) fn lists_name(&self, name: &OsStr) -> bool {
        let incarnation = incarnation_of(name.as_encoded_bytes());
        incarnation.is_some_and(|incarnation| self.stores.contains(&incarnation))
    }

    /// Whether this file is listed, whatever its name.
    pub(crate) fn lists_file(&self, identity: FileIdentity) -> bool {
        let key = identity.key();
        key.is_some_and(|key| self.files.contains(&key))
    }

    /// Whether a file is listed of which these are known.
    pub(super) fn lists(
        &self,
        identity: Option<FileIdentity>,
        incarnation: Option<&Arc<str>>,
    ) -> bool {
        let incarnation = incarnation.and_then(|digits| Incarnation::parse(digits));
        incarnation.is_some_and(|incarnation| self.stores.contains(&incarnation))
            || identity.is_some_and(|identity| self.lists_file(identity))
    }
}

impl Ledger {
    /// Looks at what lies under the name now.
    ///
    /// `[ledger.version]`: one that cannot be read is never held, and the one before stays.
    pub(super) fn look(
        &mut self,
        directory: &Directory,
        number: DirectoryId,
        boot: BootId,
        intake: &mut Intake,
    ) -> Seen {
        let identity = directory.identity_of(LEDGER_NAME.as_ref());
        let is_settled = !matches!(self.state, LedgerState::Refused(_));
        if identity == self.identity && is_settled {
            return Seen::Same;
        }
        let opened = match directory.open(&OsString::from(LEDGER_NAME)) {
            Ok(Some(file)) => file,
            // It is never deleted but by hand; what is known of it stays, as of any file.
            Ok(None) => {
                self.identity = None;
                self.state = match self.held {
                    Some(_) => LedgerState::Gone,
                    None => LedgerState::Missing,
                };
                return Seen::Same;
            }
            Err(damage) => {
                self.identity = identity;
                self.state = LedgerState::Refused(damage);
                return Seen::Same;
            }
        };
        let metadata = opened.metadata().ok();
        self.identity = metadata.as_ref().map(FileIdentity::of);
        let bytes = metadata.map_or(0, |metadata| metadata.len());
        match StoreFile::open_ledger(&opened, number, boot, intake) {
            Ok(Some(source)) => self.hold(source, bytes, intake),
            // [ledger.boot]
            Ok(None) => {
                self.state = LedgerState::EarlierBoot;
                Seen::Same
            }
            Err(damage) => {
                self.state = LedgerState::Refused(damage);
                Seen::Same
            }
        }
    }

    /// `[ledger.lineage]`
    fn hold(&mut self, source: StoreFile, bytes: u64, intake: &mut Intake) -> Seen {
        let root = root(&source);
        let mut left = None;
        let forgotten = source.catalog().forgotten();
        let mut has_forgotten = forgotten > 0;
        if let Some(before) = &mut self.held {
            let is_kin = root == before.root;
            if is_kin && source.header().started < before.source.header().started {
                self.state = LedgerState::Refused(Damage {
                    reason: DamageReason::Foreign,
                    detail: "it is older than the one that was read before".to_owned(),
                });
                return Seen::Same;
            }
            left = (!is_kin).then(|| Gone {
                identity: None,
                incarnation: Some(Arc::clone(&before.root)),
                left: before.source.lasting(),
                carried: Vec::new(),
                stands_in: false,
            });
            has_forgotten = forgotten > before.source.header().started;
            before.source.release(intake);
        }
        self.held = Some(Held {
            root,
            folded: Folded::of(&source),
            listed: folded(&source).into(),
            source,
            bytes,
        });
        self.state = LedgerState::Good;
        Seen::Other(Switch {
            left,
            has_forgotten,
        })
    }

    /// Of which first generation the one is that is held.
    pub(super) fn root(&self) -> Option<&Arc<str>> {
        self.held.as_ref().map(|held| &held.root)
    }

    /// `[ledger.snapshot]`: whether what was looked at is what lies there still.
    pub(super) fn is_current(&self, directory: &Directory) -> bool {
        directory.identity_of(LEDGER_NAME.as_ref()) == self.identity
    }

    /// `[ledger.version]`: whether there is one that has never been read.
    pub(super) fn is_refused(&self) -> bool {
        self.held.is_none() && matches!(self.state, LedgerState::Refused(_))
    }

    /// What it lists.
    pub(super) fn folded(&self) -> Option<&Folded> {
        self.held.as_ref().map(|held| &held.folded)
    }

    /// Whether it lists the store of this name.
    pub(super) fn lists_name(&self, name: &OsStr) -> bool {
        self.folded().is_some_and(|folded| folded.lists_name(name))
    }

    /// Whether it lists a file.
    pub(super) fn lists(&self, tracked: &Tracked) -> bool {
        self.folded()
            .is_some_and(|folded| folded.lists(tracked.identity, tracked.incarnation()))
    }

    /// Tells its totals, and the levels of those who died in this time, as contributors from this one
    /// on; how many it has taken.
    pub(super) fn tell(&self, died: &Range<u64>, table: &mut Table, by: Contributor) -> u32 {
        let Some(Held { source, .. }) = &self.held else {
            return 0;
        };
        let share = Share::Totals;
        source.tell(&mut Tally { table, by, share });
        let share = Share::Levels;
        source.tell_levels_of(died, &mut Tally { table, by, share });
        source.contributors()
    }

    /// Whether it has levels of workers that died in this time.
    pub(super) fn has_levels_of(&self, died: &Range<u64>) -> bool {
        let levels = self
            .held
            .iter()
            .flat_map(|held| held.source.catalog().levels());
        levels.into_iter().any(|level| died.contains(&level.died))
    }

    /// Asks anew where each value goes.
    pub(super) fn rebind(&mut self, intake: &mut Intake, reconsiders: bool) {
        if let Some(held) = &mut self.held {
            held.source.rebind(intake);
            if reconsiders {
                held.source.settle(intake);
            }
        }
    }

    pub(super) fn note_buckets(&self, intake: &mut Intake) {
        if let Some(held) = &self.held {
            held.source.note_buckets(intake);
        }
    }

    pub(super) fn report(&self) -> LedgerReport {
        let held = self.held.as_ref();
        LedgerReport {
            state: self.state.clone(),
            bytes: held.map_or(0, |held| held.bytes),
            series: held.map_or(0, |held| held.source.series()),
            folded: held.map_or_else(Default::default, |held| Arc::clone(&held.listed)),
            written: held.map_or(0, |held| held.source.header().started),
            left_out: held.map_or_else(Default::default, |held| held.source.left_out().clone()),
        }
    }
}

/// What a ledger lists, the last one first.
fn folded(ledger: &StoreFile) -> Vec<FoldedReport> {
    let catalog = ledger.catalog();
    let stores = catalog.folded_stores().iter().map(|store| FoldedReport {
        name: store.pid.to_string().into(),
        started: store.started,
        when: store.when,
        bytes: store.bytes.into(),
    });
    let files = catalog.folded_files().iter().map(|file| FoldedReport {
        name: file.name.clone(),
        started: file.born,
        when: file.when,
        bytes: file.bytes,
    });
    let mut all: Vec<FoldedReport> = stores.chain(files).collect();
    all.sort_by_key(|folded| std::cmp::Reverse(folded.when));
    all
}

/// Of which first generation a ledger is: itself, if it does not say.
fn root(ledger: &StoreFile) -> Arc<str> {
    let root = ledger.catalog().root();
    root.unwrap_or(ledger.header().incarnation)
        .to_string()
        .into()
}
