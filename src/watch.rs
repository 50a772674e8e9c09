//! The watch over the pool's directories: hints that a file came or went.
//!
//! Owns inotify, and when to look without a hint. A hint decides nothing: it only makes the pool
//! compare its listing early, so that a file that lives shorter than the time between two scrapes
//! is not missed, and ask for a worker that may have died. Whatever fails here costs that and no
//! more; values are read at each scrape.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use headcount_collect::collector::Suspicion;
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::directories::{self, DirectoryError};
use crate::filesystem::FileSystem;
use crate::pool::{Pool, Suspects};

/// Watches until it is dropped.
pub(crate) async fn watch(pool: Arc<Pool>) {
    let hint = Arc::clone(pool.hint());
    let mut watches = Watches::new(&pool, &hint);
    let mut rescan = Instant::now() + RESCAN;
    loop {
        // Watched first and listed then: what comes in between is in the listing.
        watches = match spawn_blocking(move || watches.renewed()).await {
            Ok(renewed) => renewed,
            Err(error) => {
                error!(%error, "Lost the watch over the directories; scrapes go on.");
                return;
            }
        };
        let more = match pool.attend().await {
            Ok(more) => more,
            Err(error) => {
                error!(%error, "Could not compare the listings; the next scrape does.");
                None
            }
        };
        // [life.hint]: what no event has told is found at leisure.
        if rescan <= Instant::now() {
            pool.suspects().add_all(Suspicion::Opened);
            rescan = Instant::now() + RESCAN;
        }
        let due = if watches.all_present() && pool.is_ready() {
            RESCAN
        } else {
            RETRY
        };
        let due = more.map_or(due, |more| more.min(due));
        tokio::select! {
            // What comes in a burst, such as a pool's start, is looked at together.
            () = hint.notified() => sleep(COALESCE).await,
            () = sleep(due) => {}
        }
    }
}

#[derive(Debug)]
struct Watches {
    /// `None` where the operating system has no instance left.
    watcher: Option<RecommendedWatcher>,
    hint: Arc<Notify>,
    suspects: Arc<Suspects>,
    directories: Vec<Watched>,
    /// Whether trouble with the watcher itself was told.
    told: bool,
}

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    /// What was at `path` when it was last looked at.
    present: Option<Identity>,
    /// What is watched.
    watched: Option<Identity>,
    /// Whether trouble with this directory was told.
    told: bool,
}

/// Device and inode.
type Identity = (u64, u64);

impl Watches {
    fn new(pool: &Pool, hint: &Arc<Notify>) -> Watches {
        // A directory that is there from the start was examined then.
        let directories = pool.directories().iter().map(|path| Watched {
            path: path.clone(),
            present: identity(path),
            watched: None,
            told: false,
        });
        Watches {
            watcher: None,
            hint: Arc::clone(hint),
            suspects: Arc::clone(pool.suspects()),
            directories: directories.collect(),
            told: false,
        }
    }

    fn all_present(&self) -> bool {
        self.directories
            .iter()
            .all(|directory| directory.present.is_some())
    }

    /// Watches what is there now: a directory that came, or that took the place of another.
    fn renewed(mut self) -> Watches {
        if self.watcher.is_none() {
            self.watcher = self.new_watcher();
        }
        for directory in &mut self.directories {
            directory.look();
            if let Some(watcher) = &mut self.watcher {
                directory.watch(watcher);
            }
        }
        let is_watched = |directory: &Watched| directory.watched == directory.present;
        let all = self.watcher.is_some() && self.directories.iter().all(is_watched);
        self.suspects.set_watched(all);
        self
    }

    fn new_watcher(&mut self) -> Option<RecommendedWatcher> {
        let hint = Arc::clone(&self.hint);
        let suspects = Arc::clone(&self.suspects);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            take_note(&event, &suspects);
            // An error is a reason to look, too.
            if event.as_ref().map_or(true, is_hint) {
                hint.notify_one();
            }
        });
        match watcher {
            Ok(watcher) => {
                self.told = false;
                Some(watcher)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.told, true) {
                    let hint = "fs.inotify.max_user_instances may be used up";
                    warn!(%error, hint, "Cannot watch directories; a scrape finds each file.");
                }
                None
            }
        }
    }
}

impl Watched {
    fn look(&mut self) {
        let found = identity(&self.path);
        let path = self.path.display();
        match (self.present, found) {
            (None, Some(_)) => info!(%path, "The directory has appeared."),
            (Some(_), None) => warn!(%path, "The directory has gone; what was read of it is kept."),
            (Some(old), Some(new)) if old != new => {
                info!(%path, "Another directory has taken the place of the one before.");
            }
            _ => return self.present = found,
        }
        self.present = found;
        if found.is_some() {
            warn_of(&self.path);
        }
    }

    fn watch(&mut self, watcher: &mut RecommendedWatcher) {
        if self.watched == self.present {
            return;
        }
        if self.watched.take().is_some() {
            // It fails where the directory has gone, and the watch with it.
            let _ = watcher.unwatch(&self.path);
        }
        if self.present.is_none() {
            return;
        }
        match watcher.watch(&self.path, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.told = false;
                // What was watched is what is there only if nothing changed meanwhile.
                self.watched = self
                    .present
                    .filter(|_| identity(&self.path) == self.present);
            }
            Err(error) => {
                if !std::mem::replace(&mut self.told, true) {
                    let path = self.path.display();
                    warn!(%path, %error, "Cannot watch a directory; a scrape finds each file.");
                }
            }
        }
    }
}

/// Looks at a directory that came later as `serve` does at its start, where it could still refuse.
pub(crate) fn warn_of(path: &Path) {
    match directories::examine(path) {
        Ok(FileSystem::UserSpace) => warn!(
            path = %path.display(),
            "The directory lies on FUSE, where mappings may be seen late; tmpfs is safe."
        ),
        Ok(_) | Err(DirectoryError::Missing { .. }) => {}
        Err(error) => error!(%error, "The directory cannot be used as it is."),
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// `[life.hint]`: remembers whose worker may have died, or that another opens its file, which may be
/// a reader; where events were lost, that may be anybody.
fn take_note(event: &notify::Result<Event>, suspects: &Suspects) {
    match event {
        Ok(event) if !event.need_rescan() => {
            let suspicion = match event.kind {
                EventKind::Access(AccessKind::Open(_)) => Suspicion::Opened,
                _ if is_hint(event) => Suspicion::Closed,
                _ => return,
            };
            let names = event.paths.iter().filter_map(|path| path.file_name());
            names.for_each(|name| suspects.add(name, suspicion));
        }
        Ok(_) => {
            info!("Lost events of the watch; every file is looked at.");
            suspects.add_all(Suspicion::Closed);
        }
        Err(_) => suspects.add_all(Suspicion::Closed),
    }
}

/// Whether the listing may have changed, or a writer has gone: its file is closed then. Opening and
/// reading are our own doing, and a write through a mapping is never reported.
fn is_hint(event: &Event) -> bool {
    event.need_rescan()
        || matches!(
            event.kind,
            EventKind::Access(AccessKind::Close(AccessMode::Write))
                | EventKind::Create(_)
                | EventKind::Modify(ModifyKind::Name(_))
                | EventKind::Remove(_)
        )
}

/// Long enough for a pool that starts, far below the time between two scrapes.
const COALESCE: Duration = Duration::from_millis(20);

/// While every directory is there.
const RESCAN: Duration = Duration::from_secs(30);

/// While a directory is missing: nothing tells that it comes.
const RETRY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, Flag, RemoveKind, RenameMode};

    use super::*;

    #[test]
    fn only_what_changes_the_listing_or_ends_a_writer_is_a_hint() {
        for (kind, expected) in [
            (EventKind::Create(CreateKind::File), true),
            (EventKind::Remove(RemoveKind::File), true),
            (EventKind::Remove(RemoveKind::Folder), true),
            (EventKind::Modify(ModifyKind::Name(RenameMode::To)), true),
            (
                EventKind::Access(AccessKind::Close(AccessMode::Write)),
                true,
            ),
            (
                EventKind::Access(AccessKind::Close(AccessMode::Read)),
                false,
            ),
            (EventKind::Access(AccessKind::Open(AccessMode::Any)), false),
            (EventKind::Modify(ModifyKind::Data(DataChange::Any)), false),
        ] {
            assert_eq!(is_hint(&Event::new(kind)), expected, "{kind:?}");
        }
        assert!(is_hint(
            &Event::new(EventKind::Other).set_flag(Flag::Rescan)
        ));
    }
}
