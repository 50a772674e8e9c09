//! Names that come, go, and lead to other files than before.
//!
//! Owns what becomes of a file whose name does (`spec/merge.md`, chapter 1). Reads no values but for
//! the last time.

use std::collections::HashSet;
use std::ffi::OsString;

use headcount_format::identity::BootId;

use super::Pool;
use crate::collector::WorkerFile;
use crate::collector::tracked::{Look, Reading, Tracked};
use crate::dialect::{self, Shared};
use crate::directory::{Entry, FileIdentity};

/// How many text files that are gone go on if one of their name comes back.
const ASLEEP: usize = 256;

impl Pool {
    /// Takes in the names that are there now; `spare` files more may stay open. How many of them
    /// lead nowhere any more: such a file may have got another name.
    pub(super) fn take_in(
        &mut self,
        entries: Vec<Entry>,
        spare: &mut usize,
        shared: &mut Shared,
    ) -> usize {
        for Entry { name, .. } in &entries {
            self.follow_aside(name);
        }
        let is_there = |name: &OsString| {
            let found = entries.binary_search_by(|entry| entry.name.cmp(name));
            found.is_ok()
        };
        let names = self.files.keys();
        let gone: Vec<OsString> = names.filter(|name| !is_there(name)).cloned().collect();
        let mut nameless: HashSet<_> = self
            .nameless
            .iter()
            .filter_map(Tracked::read_identity)
            .collect();
        for name in gone {
            if let Some(old) = self.files.remove(&name) {
                self.lose(name, old, &mut nameless, shared);
            }
        }
        let mut missed = 0;
        for Entry { name, inode } in entries {
            // [ledger.folded]
            if self.ledger.lists_name(&name) {
                continue;
            }
            let known = self.files.get(&name);
            if known.is_some_and(|known| !known.may_have_lost_name(inode)) {
                continue;
            }
            let opened = self.directory.open(&name);
            let path = self.directory.path().join(&name);
            let Some(mut fresh) = Tracked::new(path, &name, opened, self.number) else {
                missed += 1;
                continue;
            };
            if known.is_some_and(|known| known.is_read_as(&fresh)) {
                continue;
            }
            let known = self.files.remove(&name);
            // [ledger.folded]: a peer's file, whose name does not tell which one it is.
            if self.ledger.lists(&fresh) {
                if let Some(old) = known {
                    self.lose(name, old, &mut nameless, shared);
                }
                continue;
            }
            match known {
                // A known file whose name another file has now is a file without a name.
                Some(old) => self.follow(&name, old, &mut fresh, &mut nameless, shared),
                None => self.wake(&name, &mut fresh),
            }
            match spare.checked_sub(1) {
                Some(fewer) => *spare = fewer,
                None => fresh.file = None,
            }
            self.files.insert(name, fresh);
        }
        missed
    }

    /// `[fold.peer]`: has a file that waits to be folded go on under the name that it has got for that.
    fn follow_aside(&mut self, name: &OsString) {
        let before = dialect::own_name(name);
        if before == name || self.files.contains_key(name) {
            return;
        }
        let old = self.files.get(before);
        let identity = old.and_then(Tracked::read_identity);
        if identity.is_some()
            && identity == self.directory.identity_of(name)
            && let Some(mut tracked) = self.files.remove(before)
        {
            tracked.path = self.directory.path().join(name);
            self.files.insert(name.clone(), tracked);
        }
    }

    /// Has `fresh` take the name of `old`; `nameless` has which files have lost theirs.
    fn follow(
        &mut self,
        name: &OsString,
        mut old: Tracked,
        fresh: &mut Tracked,
        nameless: &mut HashSet<FileIdentity>,
        shared: &mut Shared,
    ) {
        // [text.rewritten]
        if old.goes_on_by_name() && fresh.goes_on_by_name() {
            self.read_out(&mut old, shared);
            std::mem::swap(&mut old.source, &mut fresh.source);
        } else {
            self.lose(name.clone(), old, nameless, shared);
            self.wake(name, fresh);
        }
    }

    /// Keeps what has lost its name.
    fn lose(
        &mut self,
        name: OsString,
        mut old: Tracked,
        nameless: &mut HashSet<FileIdentity>,
        shared: &mut Shared,
    ) {
        self.is_changed |= old.rests;
        old.may_be_folded = self.has_forgotten;
        if !old.goes_on_by_name() {
            let is_known = old
                .read_identity()
                .is_some_and(|identity| !nameless.insert(identity));
            if old.source.is_none() {
                return;
            }
            // A name that comes and goes between two passes leads to one file all the time.
            match is_known {
                true => old.forget(&mut shared.intake),
                false => self.nameless.push(old),
            }
            return;
        }
        // [merge.file.nameless]
        self.read_out(&mut old, shared);
        let Some(source) = &mut old.source else {
            return;
        };
        source.sleep(&mut shared.intake);
        self.asleep.push_back((name, old));
        if self.asleep.len() > ASLEEP
            && let Some((_, mut oldest)) = self.asleep.pop_front()
            && let Some(gone) = oldest.leave(&mut shared.intake)
        {
            self.departed.bury(gone, &mut shared.intake);
        }
    }

    /// Reads a file, which goes on by its name, for the last time before it goes.
    fn read_out(&mut self, old: &mut Tracked, shared: &mut Shared) {
        // Who lives is not asked here, and a text is of no boot.
        let verdict = old.verdict.clone();
        let mut look = Look {
            boot: BootId::default(),
            now: 0,
            suspicion: None,
            reading: Reading::All,
            liveness: &mut |_: &WorkerFile<'_>| verdict.clone(),
        };
        let falls = old.read(None, shared, &mut look);
        self.departed.add(falls, &mut shared.intake);
        old.file = None;
    }

    /// `[text.rewritten]`: has a file go on from what one of its name has left.
    fn wake(&mut self, name: &OsString, fresh: &mut Tracked) {
        let Some(source) = fresh
            .source
            .as_mut()
            .filter(|source| source.goes_on_by_name())
        else {
            return;
        };
        let by_name = self.asleep.iter().position(|(asleep, _)| asleep == name);
        // [merge.file.identity]: it may have been given another name.
        let is_same = |(_, before): &(OsString, Tracked)| {
            before.identity.is_some() && before.identity == fresh.identity
        };
        let before = by_name.or_else(|| self.asleep.iter().position(is_same));
        let before = before.and_then(|index| self.asleep.remove(index));
        if let Some(before) = before.and_then(|(_, before)| before.source) {
            *source = before;
            source.wake(name);
        }
    }
}
