//! Of which files something tells that their workers may have died, or that another begins.
//!
//! Owns what the watch has seen and no pass has heard of yet (`[life.hint]`). Decides nothing: a
//! suspicion only makes a pass ask the kernel.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::sync::{Mutex, PoisonError};

use headcount_collect::collector::Collector;

/// What a pass is to be told.
#[derive(Debug)]
pub(crate) struct Suspects(Mutex<Names>);

#[derive(Debug)]
struct Names {
    names: HashSet<OsString>,
    /// Whether every file is suspect.
    all: bool,
    /// Whether the watch sees all that happens.
    is_watched: bool,
}

impl Default for Suspects {
    fn default() -> Suspects {
        let names = HashSet::new();
        Suspects(Mutex::new(Names {
            names,
            all: true,
            is_watched: false,
        }))
    }
}

impl Suspects {
    /// Takes note of a file by its name, in whichever directory it lies.
    pub(crate) fn add(&self, name: &OsStr) {
        self.with(|suspects| match suspects.names.len() < MOST {
            true => _ = suspects.names.insert(name.to_owned()),
            false => suspects.all = true,
        });
    }

    /// Suspects every file, once.
    pub(crate) fn add_all(&self) {
        self.with(|suspects| suspects.all = true);
    }

    /// Says whether the watch sees all that happens; as long as it does not, every pass asks for
    /// every worker.
    pub(crate) fn set_watched(&self, is_watched: bool) {
        self.with(|suspects| suspects.is_watched = is_watched);
    }

    /// Tells the collector, which is about to look; whether every file was suspect.
    pub(crate) fn hand_over(&self, collector: &mut Collector) -> bool {
        let (names, all) = self.with(|suspects| {
            let all = std::mem::take(&mut suspects.all) || !suspects.is_watched;
            (std::mem::take(&mut suspects.names), all)
        });
        if all {
            collector.suspect_all();
        }
        for name in names {
            collector.suspect(&name);
        }
        all
    }

    fn with<T>(&self, work: impl FnOnce(&mut Names) -> T) -> T {
        // Nothing in here panics half-way.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How many names are kept; beyond it all are asked for, which costs as much.
const MOST: usize = 4096;
