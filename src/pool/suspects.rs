//! Of which files something tells that their workers may have died, or that another begins.
//!
//! Owns what the watch has seen and no pass has heard of yet (`[life.hint]`). Decides nothing: a
//! suspicion only makes a pass ask the kernel.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::sync::{Mutex, PoisonError};

use headcount_collect::collector::{Collector, Suspicion};

/// What a pass is to be told.
#[derive(Debug)]
pub(crate) struct Suspects(Mutex<Names>);

#[derive(Debug)]
struct Names {
    names: HashMap<OsString, Suspicion>,
    /// What may have happened to every file.
    of_all: Option<Suspicion>,
    /// Whether the watch sees all that happens.
    is_watched: bool,
}

impl Default for Suspects {
    fn default() -> Suspects {
        Suspects(Mutex::new(Names {
            names: HashMap::new(),
            of_all: Some(Suspicion::Opened),
            is_watched: false,
        }))
    }
}

impl Suspects {
    /// Takes note of what may have happened to a file, in whichever directory it lies.
    pub(crate) fn add(&self, name: &OsStr, suspicion: Suspicion) {
        self.with(|suspects| {
            let names = &mut suspects.names;
            if let Some(known) = names.get_mut(name) {
                *known = suspicion.max(*known);
            } else if names.len() < MOST {
                names.insert(name.to_owned(), suspicion);
            } else {
                suspects.of_all = suspects.of_all.max(Some(suspicion));
            }
        });
    }

    /// Takes note of what may have happened to every file.
    pub(crate) fn add_all(&self, suspicion: Suspicion) {
        self.with(|suspects| suspects.of_all = suspects.of_all.max(Some(suspicion)));
    }

    /// Says whether the watch sees all that happens; as long as it does not, anything may have
    /// happened to every file before each pass.
    pub(crate) fn set_watched(&self, is_watched: bool) {
        self.with(|suspects| suspects.is_watched = is_watched);
    }

    /// Tells the collector, which is about to look; whether every file was suspect.
    pub(crate) fn hand_over(&self, collector: &mut Collector) -> bool {
        let (names, of_all) = self.with(|suspects| {
            let of_all = suspects.of_all.take();
            let of_all = match suspects.is_watched {
                true => of_all,
                false => Some(Suspicion::Closed),
            };
            (std::mem::take(&mut suspects.names), of_all)
        });
        if let Some(suspicion) = of_all {
            collector.suspect_all(suspicion);
        }
        for (name, suspicion) in names {
            collector.suspect(&name, suspicion);
        }
        of_all.is_some()
    }

    fn with<T>(&self, work: impl FnOnce(&mut Names) -> T) -> T {
        // Nothing in here panics half-way.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How many names are kept; beyond it all are asked for, which costs as much.
const MOST: usize = 4096;
