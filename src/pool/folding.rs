//! The folders of a pool's directories, and how each fares.
//!
//! Owns when a round is done and what the log says of it. Knows not how a file is folded.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use headcount_collect::collector::DeadFile;
use tracing::{debug, info, warn};

use crate::fold::{FoldFailure, FoldOptions, Folder, Round};

/// All folders, in the order of the directories.
#[derive(Debug)]
pub(super) struct Folding {
    folders: Mutex<Vec<Folder>>,
    /// Apart from them, so that nobody waits for a disk to learn it.
    states: Mutex<Vec<FoldState>>,
}

/// How folding fares in a directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct FoldState {
    /// One of [`FoldState::NAMES`].
    pub(crate) name: &'static str,
    /// Why, and what to do about it; empty where all is well.
    pub(crate) detail: String,
}

impl FoldState {
    /// Where another process folds.
    pub(crate) const ELSEWHERE: &'static str = "elsewhere";

    /// Every word for it, in order.
    pub(crate) const NAMES: [&'static str; 7] = [
        FoldState::ELSEWHERE,
        "failed",
        "folds",
        "memory",
        "missing",
        "refused",
        "waits",
    ];

    fn of(outcome: &Result<Round, FoldFailure>) -> FoldState {
        match outcome {
            Ok(Round {
                trouble: Some(trouble),
                ..
            }) => FoldState {
                name: "failed",
                detail: trouble.to_string(),
            },
            Ok(_) => FoldState {
                name: "folds",
                detail: String::new(),
            },
            Err(failure) => FoldState {
                name: failure.name(),
                detail: failure.to_string(),
            },
        }
    }
}

impl Folding {
    pub(super) fn new(directories: &[PathBuf], options: FoldOptions) -> Folding {
        let folders = directories.iter();
        let folders = folders.map(|path| Folder::new(path.clone(), options));
        let waits = FoldState {
            name: "waits",
            detail: String::new(),
        };
        Folding {
            folders: Mutex::new(folders.collect()),
            states: Mutex::new(vec![waits; directories.len()]),
        }
    }

    /// How each directory fares.
    pub(super) fn states(&self) -> Vec<FoldState> {
        lock(&self.states).clone()
    }

    /// Does a round in each directory where there is work and that may by now; after how long there
    /// is more to do, if that is known.
    pub(super) fn rounds(&self, dead: &[DeadFile]) -> Option<Duration> {
        let mut next: Option<Instant> = None;
        for (number, folder) in lock(&self.folders).iter_mut().enumerate() {
            let dead: Vec<DeadFile> = dead
                .iter()
                .filter(|file| file.directory == number)
                .cloned()
                .collect();
            if !folder.has_work(&dead) {
                continue;
            }
            let mut is_more = true;
            if folder.due() <= Instant::now() {
                let outcome = folder.round(&dead);
                is_more = outcome.as_ref().is_ok_and(|round| round.pending > 0);
                self.tell(number, folder, &outcome);
            }
            if is_more {
                let due = folder.due();
                next = Some(next.map_or(due, |next| next.min(due)));
            }
        }
        next.map(|next| next.saturating_duration_since(Instant::now()))
    }

    /// `[life.place.file]`: writes down who has which place, where that has changed.
    pub(super) fn keep_places(&self, places: Vec<Option<String>>) {
        for (folder, places) in lock(&self.folders).iter_mut().zip(places) {
            folder.keep_places(places);
        }
    }

    fn tell(&self, number: usize, folder: &Folder, outcome: &Result<Round, FoldFailure>) {
        let directory = folder.path().display();
        if let Ok(Round { files, bytes, .. }) = outcome
            && *files > 0
        {
            debug!(%directory, files, bytes, "Folded files of dead workers into the ledger.");
        }
        let state = FoldState::of(outcome);
        let before = std::mem::replace(&mut lock(&self.states)[number], state.clone());
        if before == state {
            return;
        }
        let FoldState { name, detail } = state;
        match name {
            "folds" => info!(%directory, "Folds what dead workers counted into the ledger."),
            FoldState::ELSEWHERE => info!(%directory, detail, "Does not fold here."),
            // That it is missing, and that it comes, is told by the watch.
            "missing" => {}
            _ => warn!(%directory, detail, "Cannot fold."),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
