//! What the log says of the pool: each thing once, when it changes.
//!
//! Owns what has been said already. Decides nothing.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use headcount_collect::collector::Collection;
use headcount_collect::report::{Conflict, DamageReason, FileState};
use tracing::{error, info, warn};

/// What the last pass found, as far as it was worth a message.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    conflicts: BTreeSet<Conflict>,
    /// Files that are set aside, why, and whether that was said.
    aside: HashMap<PathBuf, (Aside, bool)>,
    /// Files whose workers count in memory alone what has no room in them.
    refused: HashSet<PathBuf>,
    /// Directories that cannot be read, and why.
    unreadable: HashMap<PathBuf, String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Aside {
    Damaged(DamageReason),
    EarlierBoot,
}

impl Journal {
    /// Logs what is new in `collection`.
    pub(crate) fn tell(&mut self, collection: &Collection) {
        self.tell_directories(collection);
        self.tell_files(collection);
        self.tell_refused(collection);
        for conflict in &collection.conflicts {
            if !self.conflicts.contains(conflict) {
                warn!(%conflict, "Workers do not agree about a metric.");
            }
        }
        self.conflicts = collection.conflicts.iter().cloned().collect();
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

    fn tell_files(&mut self, collection: &Collection) {
        let mut aside = HashMap::new();
        for file in &collection.files {
            let (state, detail) = match &file.state {
                FileState::Damaged(damage) => (Aside::Damaged(damage.reason), &*damage.detail),
                FileState::EarlierBoot => (Aside::EarlierBoot, "written before the last boot"),
                _ => {
                    if let Some((_, true)) = self.aside.get(&file.path) {
                        info!(path = %file.path.display(), "A file that was set aside reads well.");
                    }
                    continue;
                }
            };
            let before = self
                .aside
                .get(&file.path)
                .filter(|(known, _)| *known == state);
            // A worker that adds a series is often met half-way; one that died there stays so.
            let is_passing = state == Aside::Damaged(DamageReason::TornTail) && before.is_none();
            let said = before.is_some_and(|&(_, said)| said);
            if !said && !is_passing {
                let (path, reason) = (file.path.display(), reason(&file.state));
                if file.series > 0 {
                    warn!(%path, reason, detail, "A file is damaged; what could be read of it is served.");
                } else {
                    warn!(%path, reason, detail, "Set a file aside; everything else is served.");
                }
            }
            aside.insert(file.path.clone(), (state, !is_passing));
        }
        self.aside = aside;
    }

    fn tell_refused(&mut self, collection: &Collection) {
        let files = collection.files.iter().filter(|file| file.refused > 0);
        let mut refused = HashSet::new();
        for file in files {
            if !self.refused.contains(&file.path) {
                let (path, series) = (file.path.display(), file.refused);
                warn!(%path, series, "A worker counts in memory alone; its standard error says why, most often a full disk.");
            }
            refused.insert(file.path.clone());
        }
        self.refused = refused;
    }
}

fn is_missing(path: &Path) -> bool {
    fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn reason(state: &FileState) -> &'static str {
    match state {
        FileState::Damaged(damage) => damage.reason.name(),
        state => state.name(),
    }
}
