//! What the log says of the pool: each thing once, when it changes.
//!
//! Owns what has been said already, and that a pass with thousands of bad files is a few lines.
//! Decides nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use headcount_collect::budget::Budget;
use headcount_collect::collector::Collection;
use headcount_collect::report::{
    Conflict, Damage, DamageReason, FileReport, FileState, LedgerState,
};
use tracing::{error, info, warn};

use crate::findings::{ConflictKind, flag};
use crate::fold::FoldFailure;
use crate::pool::Pass;
use crate::pool::left_out::LeftOut;
use crate::print::Count;

/// What the last pass found, as far as it was worth a message.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    conflicts: BTreeSet<Conflict>,
    /// Files that are set aside, by what reason, and whether that was said.
    aside: HashMap<PathBuf, (&'static str, bool)>,
    /// Files that are sound and not read.
    passed_over: HashSet<PathBuf>,
    /// Files whose workers count in memory alone what has no room in them.
    refused: HashSet<PathBuf>,
    /// Budgets that leave something out.
    exceeded: BTreeSet<Budget>,
    /// Files that two workers write.
    shared: HashSet<PathBuf>,
    /// What was said of ledgers, by directory.
    ledgers: HashMap<PathBuf, &'static str>,
    /// Directories that cannot be read, and why.
    unreadable: HashMap<PathBuf, String>,
}

/// How much was said in one pass.
#[derive(Debug, Default)]
struct Pages(BTreeMap<&'static str, u64>);

impl Pages {
    /// Whether there is room for one more line of this kind.
    fn has_room(&mut self, kind: &'static str) -> bool {
        let count = self.0.entry(kind).or_default();
        *count += 1;
        *count <= LINES
    }

    /// Tells how much was not told.
    fn close(self) {
        for (kind, count) in self.0 {
            let more = count.saturating_sub(LINES);
            match kind {
                _ if more == 0 => {}
                HEALED | PASSED_OVER => info!(kind, more, "{MORE}"),
                _ => warn!(kind, more, "{MORE}"),
            }
        }
    }
}

/// What is served of a file that is set aside.
enum Served {
    Nothing,
    /// What can be read of it now.
    Part,
    /// What it said when it was whole.
    Past,
}

impl Journal {
    /// Logs what is new in a pass.
    pub(crate) fn tell(&mut self, pass: &Pass) {
        let (collection, budgets) = (&pass.collection, &pass.budgets);
        let mut pages = Pages::default();
        self.tell_directories(collection);
        self.tell_ledgers(collection);
        self.tell_shared(&pass.shared, &mut pages);
        self.tell_files(collection, &mut pages);
        self.tell_passed_over(collection, &mut pages);
        self.tell_refused(collection, &mut pages);
        self.tell_budgets(&LeftOut::of(collection, budgets));
        for conflict in &collection.conflicts {
            let kind = ConflictKind::of(conflict).name();
            if !self.conflicts.contains(conflict) && pages.has_room(kind) {
                warn!(%conflict, "Workers do not agree about a metric.");
            }
        }
        self.conflicts = collection.conflicts.iter().cloned().collect();
        pages.close();
    }

    fn tell_directories(&mut self, collection: &Collection) {
        for directory in &collection.directories {
            let path = directory.path.display();
            match &directory.error {
                // That one is missing, and that it comes, is told by the watch.
                Some(_) if is_missing(&directory.path) => {}
                Some(reason) if self.unreadable.get(&directory.path) != Some(reason) => {
                    error!(%path, %reason, "Cannot read a directory; it is tried again and again.");
                    self.unreadable
                        .insert(directory.path.clone(), reason.clone());
                }
                Some(_) => {}
                None if self.unreadable.remove(&directory.path).is_some() => {
                    info!(%path, "The directory can be read now.");
                }
                None => {}
            }
        }
    }

    fn tell_ledgers(&mut self, collection: &Collection) {
        for directory in &collection.directories {
            let name = directory.ledger.state.name();
            let before = self.ledgers.insert(directory.path.clone(), name);
            if before == Some(name) {
                continue;
            }
            let path = directory.path.display();
            match &directory.ledger.state {
                LedgerState::Refused(damage) => {
                    let failure = FoldFailure::Refused(damage.clone());
                    error!(%path, reason = %failure, "Cannot read the ledger.");
                }
                LedgerState::EarlierBoot => {
                    info!(%path, "Set aside the ledger of an earlier boot.");
                }
                LedgerState::Gone => {
                    warn!(%path, "The ledger has gone; what it held is kept in memory.");
                }
                _ if before == Some("refused") => info!(%path, "The ledger can be read now."),
                _ => {}
            }
        }
    }

    fn tell_shared(&mut self, shared: &[PathBuf], pages: &mut Pages) {
        for path in shared {
            if !self.shared.contains(path) && pages.has_room("shared") {
                let path = path.display();
                error!(%path, "Two workers of one pid write one file, and lose each other's counts: give each container a directory of its own, or name its workers apart.");
            }
        }
        self.shared = shared.iter().cloned().collect();
    }

    fn tell_files(&mut self, collection: &Collection, pages: &mut Pages) {
        let mut aside = HashMap::new();
        for file in &collection.files {
            let path = file.path.display();
            let (reason, detail) = match &file.state {
                FileState::Damaged(damage) => (damage.reason.name(), &*damage.detail),
                FileState::EarlierBoot => (EARLIER_BOOT, "written before the last boot"),
                _ => {
                    let was_said = matches!(self.aside.get(&file.path), Some((_, true)));
                    if was_said && pages.has_room(HEALED) {
                        info!(%path, "A file that was set aside reads well.");
                    }
                    continue;
                }
            };
            let before = self.aside.get(&file.path);
            let before = before.filter(|(known, _)| *known == reason);
            // A worker that adds a series is often met half-way; one that died there stays so.
            let is_passing = reason == TORN_TAIL && before.is_none();
            let was_said = before.is_some_and(|&(_, said)| said);
            if !was_said && !is_passing && pages.has_room(reason) {
                match served(file) {
                    Served::Part => {
                        warn!(%path, reason, detail, "A file is damaged; what could be read of it is served.");
                    }
                    Served::Past => {
                        warn!(%path, reason, detail, "A file is damaged; what it said before is served.");
                    }
                    Served::Nothing => {
                        warn!(%path, reason, detail, "Set a file aside; everything else is served.");
                    }
                }
            }
            aside.insert(file.path.clone(), (reason, !is_passing));
        }
        self.aside = aside;
    }

    fn tell_passed_over(&mut self, collection: &Collection, pages: &mut Pages) {
        let mut passed_over = HashSet::new();
        for file in &collection.files {
            let FileState::PassedOver(reason) = &file.state else {
                continue;
            };
            if !self.passed_over.contains(&file.path) && pages.has_room(PASSED_OVER) {
                let path = file.path.display();
                info!(%path, reason, "Passed a file over; nothing is wrong with it.");
            }
            passed_over.insert(file.path.clone());
        }
        self.passed_over = passed_over;
    }

    fn tell_refused(&mut self, collection: &Collection, pages: &mut Pages) {
        let files = collection.files.iter().filter(|file| file.refused > 0);
        let mut refused = HashSet::new();
        for file in files {
            if !self.refused.contains(&file.path) && pages.has_room("refused") {
                let (path, series) = (file.path.display(), file.refused);
                warn!(%path, series, "A worker counts in memory alone; its standard error says why, most often a full disk.");
            }
            refused.insert(file.path.clone());
        }
        self.refused = refused;
    }

    fn tell_budgets(&mut self, left_out: &LeftOut) {
        for (budget, what, count) in left_out.iter() {
            let flag = flag(budget);
            if count == 0 {
                if self.exceeded.remove(&budget) {
                    info!(flag, "Nothing is left out by this budget any more.");
                }
            } else if self.exceeded.insert(budget) {
                let left_out = Count(count, what).to_string();
                warn!(
                    flag,
                    left_out, "The pool is over a budget; `headcount check DIR` says what to do."
                );
            }
        }
    }
}

fn served(file: &FileReport) -> Served {
    let is_read = |damage: &Damage| {
        matches!(
            damage.reason,
            DamageReason::Malformed | DamageReason::TornTail
        )
    };
    match &file.state {
        _ if file.series == 0 => Served::Nothing,
        FileState::Damaged(damage) if is_read(damage) => Served::Part,
        _ => Served::Past,
    }
}

fn is_missing(path: &Path) -> bool {
    fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// How many lines of a kind one pass may write.
const LINES: u64 = 10;

/// [`DamageReason::TornTail`](headcount_collect::report::DamageReason::TornTail) by its name.
const TORN_TAIL: &str = "torn_tail";

/// [`FileState::EarlierBoot`] by its name.
const EARLIER_BOOT: &str = "earlier_boot";

/// [`FileState::PassedOver`] by its name.
const PASSED_OVER: &str = "passed_over";

const MORE: &str = "And more of this kind: `headcount check DIR` sums them up, and `headcount \
                    collect DIR` names each file.";

/// The kind of the good news.
const HEALED: &str = "healed";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_has_room_for_ten_lines_of_a_kind() {
        let mut pages = Pages::default();
        let told = (0..5000).filter(|_| pages.has_room("foreign")).count();
        assert_eq!(told, 10);
        assert!(pages.has_room("truncated"));
    }
}
