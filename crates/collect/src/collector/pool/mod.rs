//! One directory of a pool, its files, and what is left of those that are gone.
//!
//! Owns the look at a directory and the reading of what is there (`spec/merge.md`, chapter 1). Knows
//! neither dialects nor how values are merged.

mod names;

use std::cell::LazyCell;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::hash::Hash;
use std::mem;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use headcount_format::identity::BootId;
use headcount_format::layout::SLOTS_NAME;

use super::departed::{Departed, Gone};
use super::ledger::{Ledger, Seen, Switch};
use super::tracked::{Look, Reading, Tracked};
use super::{DeadFile, DirectoryReport, Suspicion, WorkerFile};
use crate::dialect::Shared;
use crate::directory::{Directory, Entry, FileIdentity, Listing};
use crate::intake::{DirectoryId, Intake};
use crate::model::Labels;
use crate::places::Places;
use crate::report::{FileState, Liveness, Verdict};
use crate::table::{Contributor, Table};

/// One directory.
#[derive(Debug)]
pub(super) struct Pool {
    number: DirectoryId,
    directory: Directory,
    /// `[rules.labels]`.
    pub(super) labels: Labels,
    files: BTreeMap<OsString, Tracked>,
    /// Files whose name is gone: read once more, and for as long as their worker lives.
    nameless: Vec<Tracked>,
    /// `[text.rewritten]`: files that are gone and go on if one of their name comes, the oldest
    /// first.
    asleep: VecDeque<(OsString, Tracked)>,
    departed: Departed,
    ledger: Ledger,
    /// `[ledger.forget]`: whether what is gone at the next listing may have been folded, although
    /// the ledger does not list it.
    has_forgotten: bool,
    /// The list of places that was looked at last; `None` before the first look.
    places: Option<Option<FileIdentity>>,
    /// `[life.place.file]`: whether another keeps that list.
    pub(super) follows_places: bool,
    /// `[life.place.file]`: whether all files have been read since, and so have told whose they are.
    has_met: bool,
    /// Whether what does not change from pass to pass has changed.
    is_changed: bool,
    error: Option<String>,
    replaced: u64,
    /// How many files the budget has no room for.
    files_left_out: u64,
}

/// `[merge.dead.own]`: of how many workers, the last that died, own levels are told.
const OWN_LEVELS: usize = 64;

/// How often a snapshot is tried. Each time but the first another ledger has come, and a folder
/// waits for much longer than a look takes.
pub(super) const LOOKS: usize = 100;

/// How much room there is for files.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// How many there may be in this directory.
    pub(super) files: usize,
    /// How many more may stay open.
    pub(super) descriptors: usize,
}

impl Pool {
    pub(super) fn new(number: DirectoryId, path: PathBuf) -> Pool {
        Pool {
            number,
            directory: Directory::new(path),
            labels: Labels::default(),
            files: BTreeMap::new(),
            nameless: Vec::new(),
            asleep: VecDeque::new(),
            departed: Departed::default(),
            ledger: Ledger::default(),
            has_forgotten: false,
            places: None,
            follows_places: false,
            has_met: false,
            is_changed: true,
            error: None,
            replaced: 0,
            files_left_out: 0,
        }
    }

    /// Every file that is read or has been, those that are gone first.
    pub(super) fn tracked(&self) -> impl Iterator<Item = &Tracked> {
        let asleep = self.asleep.iter().map(|(_, tracked)| tracked);
        asleep.chain(&self.nameless).chain(self.files.values())
    }

    /// How many files take room, of which there is `limit`.
    pub(super) fn count(&self, limit: usize) -> usize {
        self.files.len() + self.nameless_count(limit)
    }

    /// How many files without a name take room: those that are read on, since their worker lives.
    ///
    /// One that goes after one more look takes none from the files that come in its place. It may
    /// have to wait for that look, so that beyond `limit` of such files each takes room after all:
    /// files that come and go between two passes pile up no further.
    fn nameless_count(&self, limit: usize) -> usize {
        let stays = |old: &&Tracked| old.file.is_some() && old.verdict.liveness == Liveness::Live;
        let staying = self.nameless.iter().filter(stays).count();
        staying + (self.nameless.len() - staying).saturating_sub(limit)
    }

    pub(super) fn open_files(&self) -> usize {
        self.tracked().filter(|file| file.file.is_some()).count()
    }

    pub(super) fn reports(&self) -> impl Iterator<Item = crate::report::FileReport> {
        self.files
            .values()
            .chain(&self.nameless)
            .map(Tracked::report)
    }

    pub(super) fn report(&self) -> DirectoryReport {
        DirectoryReport {
            path: self.directory.path().to_owned(),
            error: self.error.clone(),
            replaced: self.replaced,
            files_left_out: self.files_left_out,
            ledger: self.ledger.report(),
        }
    }

    /// Whether what does not change from pass to pass has changed since this was asked last, levels
    /// of the dead that went in this time among it.
    pub(super) fn take_change(&mut self, expired: &Range<u64>) -> bool {
        let is_changed = mem::take(&mut self.is_changed);
        self.departed.take_change() | is_changed | self.ledger.has_levels_of(expired)
    }

    /// Adds what nobody tells any more to the totals, and what the ledger holds, as contributors from
    /// this one on; how many that are.
    pub(super) fn contribute_settled(
        &self,
        died: &Range<u64>,
        table: &mut Table,
        by: Contributor,
    ) -> u32 {
        self.departed.contribute(table);
        self.ledger.tell(died, table, by)
    }

    /// `[merge.dead.own]`: of which dead workers the own levels are told; `None` for all of them.
    pub(super) fn heirs(&self) -> Option<HashSet<&Arc<str>>> {
        let dead = self.tracked().filter(|file| !file.has_expired);
        let dead = dead.filter_map(|file| Some((file.died?, file.source.as_ref()?.worker()?)));
        let mut dead: Vec<_> = dead.map(|(died, worker)| (died, &worker.id)).collect();
        dead.sort_unstable_by(|one, other| other.cmp(one));
        let mut heirs = HashSet::new();
        for (_, worker) in dead {
            if heirs.len() == OWN_LEVELS && !heirs.contains(worker) {
                return Some(heirs);
            }
            heirs.insert(worker);
        }
        None
    }

    /// `[merge.dead.ttl]`: has the levels go of workers that died before `oldest`.
    pub(super) fn expire(&mut self, oldest: u64, intake: &mut Intake) {
        for tracked in self.files.values_mut().chain(&mut self.nameless) {
            self.is_changed |= tracked.expire(oldest, intake);
        }
    }

    /// `[life.hint]`: has the worker of a file be asked for at the next reading.
    pub(super) fn suspect(&mut self, name: &OsStr, suspicion: Suspicion) {
        if let Some(tracked) = self.files.get_mut(name) {
            tracked.suspicion = tracked.suspicion.max(Some(suspicion));
        }
    }

    /// The files that rest, all of whose directory has the number `directory`.
    pub(super) fn dead(&self, directory: usize, places: &Places) -> impl Iterator<Item = DeadFile> {
        let rests = self.files.iter().filter(|(_, tracked)| tracked.rests);
        rests.filter_map(move |(name, tracked)| {
            let source = tracked.source.as_ref()?;
            Some(DeadFile {
                directory,
                name: name.clone(),
                dialect: source.dialect(),
                lock: source.lock(),
                died: tracked.died.unwrap_or(0),
                version: tracked.version?,
                place: source
                    .worker()
                    .and_then(|worker| places.find(self.number, &worker.id)),
            })
        })
    }

    /// Has every file ask anew where its values go; with `reconsiders`, also what was left out.
    pub(super) fn rebind(&mut self, intake: &mut Intake, reconsiders: bool) {
        let asleep = self.asleep.iter_mut().map(|(_, tracked)| tracked);
        let tracked = asleep
            .chain(&mut self.nameless)
            .chain(self.files.values_mut());
        for tracked in tracked {
            tracked.rebind(intake, reconsiders);
        }
        self.ledger.rebind(intake, reconsiders);
        self.departed.rebind(intake);
        self.is_changed = true;
    }

    /// Has every file say again how many buckets each histogram has.
    pub(super) fn note_buckets(&self, intake: &mut Intake) {
        for source in self.tracked().filter_map(|file| file.source.as_ref()) {
            source.note_buckets(intake);
        }
        self.ledger.note_buckets(intake);
    }

    /// Opens what the path of the directory leads to now; whether another directory has taken the
    /// place of the one that was known, of which nothing is left then.
    pub(super) fn renew(&mut self) -> bool {
        match self.directory.renew() {
            Ok(is_replaced) => {
                self.error = None;
                if is_replaced {
                    self.files.clear();
                    self.nameless.clear();
                    self.asleep.clear();
                    self.departed = Departed::default();
                    self.ledger = Ledger::default();
                    self.has_forgotten = false;
                    self.places = None;
                    self.has_met = false;
                    self.is_changed = true;
                    self.replaced += 1;
                }
                is_replaced
            }
            Err(error) => {
                self.error = Some(error.to_string());
                false
            }
        }
    }

    pub(super) fn number(&self) -> DirectoryId {
        self.number
    }

    /// Asks for the workers of which something tells to ask.
    pub(super) fn ask(
        &mut self,
        of_all: Option<Suspicion>,
        liveness: &mut impl FnMut(&WorkerFile<'_>) -> Verdict,
    ) {
        for tracked in self.files.values_mut() {
            tracked.ask(of_all, liveness);
        }
    }

    /// `[life.place]`: frees the places of workers none of whose files is live or may be.
    pub(super) fn free_places(&self, intake: &mut Intake) {
        let (mut living, mut known) = (HashSet::new(), HashSet::new());
        for file in self.files.values().chain(&self.nameless) {
            if let Some(worker) = file.source.as_ref().and_then(|source| source.worker()) {
                known.insert(&worker.id);
                if !file.is_dead() {
                    living.insert(&worker.id);
                }
            }
        }
        let sources = self.files.values().filter_map(|file| file.source.as_ref());
        let is_told = self.has_met || sources.into_iter().all(|source| source.dialect().is_some());
        let places = &mut intake.places;
        intake.table.is_stale |= places.update(self.number, &living, &known, is_told);
    }

    /// `[life.place.file]`: takes over who has which place, at the first look and, where another keeps
    /// the list, whenever that has changed.
    fn look_for_places(&mut self, intake: &mut Intake) {
        if self.places.is_some() && !self.follows_places {
            return;
        }
        let found = self.directory.identity_of(SLOTS_NAME.as_ref());
        let is_first = self.places.is_none();
        if self.places.replace(found) == Some(found) {
            return;
        }
        let Some(text) = self.directory.read_small(SLOTS_NAME.as_ref()) else {
            return;
        };
        if is_first {
            intake.places.restore(self.number, &text);
            return;
        }
        intake.places.follow(self.number, &text);
        intake.table.is_stale = true;
        self.has_met = false;
    }

    /// Compares the ledger and the listing with what is known.
    pub(super) fn sync(&mut self, shared: &mut Shared, room: Room, boot: BootId) {
        if self.error.is_some() {
            return;
        }
        self.look_for_places(&mut shared.intake);
        let mut spare = room.descriptors;
        let mut missed = usize::MAX;
        // [ledger.snapshot]: each fold that gets in between costs one look more, and folds are rare.
        for _ in 0..LOOKS {
            let Pool {
                directory, ledger, ..
            } = self;
            let seen = ledger.look(directory, self.number, boot, &mut shared.intake);
            if let Seen::Other(switch) = seen {
                self.switch(switch, &mut shared.intake);
            }
            let limit = room.files.saturating_sub(self.nameless_count(room.files));
            // [merge.budget.files]: what is known stays so under another name.
            let inodes = LazyCell::new(|| {
                let files = self.files.values();
                let inodes = files.filter_map(|file| Some(file.read_identity()?.inode()));
                inodes.collect::<HashSet<u64>>()
            });
            let is_known = |entry: &Entry| {
                self.files.contains_key(&entry.name) || inodes.contains(&entry.inode)
            };
            let listed = self.directory.list(is_known, limit);
            let Listing { entries, left_out } = match listed {
                Ok(listing) => listing,
                Err(error) => {
                    self.error = Some(error.to_string());
                    return;
                }
            };
            // What is not in the listing has gone only if nothing was folded before it.
            if !self.is_current() {
                continue;
            }
            self.files_left_out = left_out;
            let before = mem::replace(&mut missed, self.take_in(entries, &mut spare, shared));
            self.has_forgotten = false;
            if self.is_current() && (missed == 0 || missed >= before) {
                return;
            }
        }
    }

    /// `[ledger.switch]`: takes out what another ledger tells from now on.
    fn switch(&mut self, switch: Switch, intake: &mut Intake) {
        self.is_changed = true;
        self.has_forgotten |= switch.has_forgotten;
        let Pool {
            ledger,
            files,
            nameless,
            departed,
            ..
        } = self;
        let mut stays = |tracked: &mut Tracked| {
            let is_listed = ledger.lists(tracked);
            if is_listed {
                tracked.forget(intake);
            }
            !is_listed
        };
        files.retain(|_, tracked| stays(tracked));
        nameless.retain_mut(stays);
        let root = ledger.root();
        if let Some(folded) = ledger.folded() {
            let is_told = |gone: &Gone| {
                folded.lists(gone.identity, gone.incarnation.as_ref())
                    || (root.is_some() && gone.incarnation.as_ref() == root)
            };
            departed.take_back(is_told, intake);
        }
        // [ledger.lineage]
        if let Some(left) = switch.left {
            departed.bury(left, intake);
        }
    }

    /// `[ledger.snapshot]`: how many files have gone since the listing: each may have been folded, or
    /// have got another name.
    pub(super) fn missed(&self) -> usize {
        let missed = self.files.values().filter(|tracked| tracked.is_missed);
        missed.count()
    }

    /// `[ledger.snapshot]`: whether the ledger that was read is the one that lies there.
    pub(super) fn is_current(&self) -> bool {
        self.ledger.is_current(&self.directory)
    }

    /// `[ledger.version]`: whether there is a ledger that has never been read.
    pub(super) fn lacks_ledger(&self) -> bool {
        self.ledger.is_refused()
    }

    /// Reads every file, and lets go of those that are gone for good.
    pub(super) fn read<F: FnMut(&WorkerFile<'_>) -> Verdict>(
        &mut self,
        shared: &mut Shared,
        look: &mut Look<'_, F>,
    ) {
        for (name, tracked) in &mut self.files {
            let mut opened = None;
            tracked.is_missed = false;
            let is_told = tracked.suspicion.max(look.suspicion).is_some();
            if !is_told && (tracked.rests || look.reading == Reading::Suspects) {
                continue;
            }
            if tracked.file.is_none() {
                match self.directory.open(name) {
                    Ok(Some(file)) if tracked.is(&file) => opened = Some(file),
                    // Gone, or another file by now: the next listing tells.
                    Ok(_) => {
                        tracked.is_missed = true;
                        continue;
                    }
                    Err(damage) => {
                        tracked.is_whole = false;
                        tracked.state = FileState::Damaged(damage);
                        continue;
                    }
                }
            }
            let was_withheld = tracked.is_withheld;
            let rested = tracked.rests;
            let falls = tracked.read(opened, shared, look);
            self.is_changed |= rested != tracked.rests || tracked.is_read_anew;
            // What stands for it has not fallen.
            if !was_withheld {
                self.departed.add(falls, &mut shared.intake);
            }
        }
        self.has_met |= look.reading == Reading::All;
        let Pool {
            files,
            departed,
            nameless,
            is_changed,
            ..
        } = self;
        // Many files may be replaced at once, so that none is looked for among all the others.
        let by_identity: HashMap<FileIdentity, &Tracked> = match nameless.is_empty() {
            true => HashMap::new(),
            false => by_key(files.values(), Tracked::read_identity),
        };
        nameless.retain_mut(|old| {
            // [merge.file.nameless]
            let rested = old.rests;
            let falls = old.read(None, shared, look);
            *is_changed |= rested != old.rests || old.is_read_anew;
            if !old.is_withheld {
                departed.add(falls, &mut shared.intake);
            }
            // It may have returned and gone again since the last pass.
            *is_changed |= departed.welcome(old, false, &mut shared.intake);
            // [merge.file.identity]: it goes on under its new name.
            let renamed = old.identity.and_then(|identity| by_identity.get(&identity));
            let is_renamed = renamed.is_some_and(|new| old.is_read_as(new));
            if old.file.is_some() && old.verdict.liveness == Liveness::Live && !is_renamed {
                // [fold.dead]
                old.may_be_folded = false;
                return true;
            }
            *is_changed |= old.rests;
            // [ledger.forget]
            if old.may_be_folded {
                old.forget(&mut shared.intake);
                return false;
            }
            // [merge.departed]
            if let Some(gone) = old.leave(&mut shared.intake) {
                departed.bury(gone, &mut shared.intake);
            }
            false
        });
        let by_incarnation = by_key(nameless.iter(), Tracked::incarnation);
        for tracked in files.values_mut().filter(|tracked| tracked.is_new) {
            let told = tracked
                .incarnation()
                .and_then(|own| by_incarnation.get(own));
            let is_told = told.is_some_and(|old| tracked.is_incarnation_of(old));
            *is_changed |= departed.welcome(tracked, is_told, &mut shared.intake);
        }
    }
}

/// Those that have a key, by it.
fn by_key<'a, K: Eq + Hash>(
    all: impl Iterator<Item = &'a Tracked>,
    key: impl Fn(&'a Tracked) -> Option<K>,
) -> HashMap<K, &'a Tracked> {
    all.filter_map(|tracked| Some((key(tracked)?, tracked)))
        .collect()
}
