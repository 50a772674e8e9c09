//! What a registry and all its handles share.
//!
//! Owns the way to this process's [`State`], which a forked child finds empty. Everything else here
//! is written once and never changed, so that a child may read it whatever the parent's other
//! threads were doing at the fork.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use headcount_format::record::{Family, Label};
use headcount_format::{Kept, PerProcess, PushList};

use crate::family::Table;
use crate::series::SeriesCore;
use crate::state::State;

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) process: PerProcess<Mutex<State>>,
    /// Where the stores are made; none to count in private memory.
    pub(crate) directory: Option<PathBuf>,
    /// Labels of every series.
    pub(crate) labels: Vec<Label>,
    /// The newest first.
    pub(crate) registered: PushList<Registered>,
}

/// A metric that has been registered.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) family: Arc<FamilyCore>,
    /// The series of a metric without labels.
    pub(crate) lone: Option<Arc<SeriesCore>>,
}

/// A family, and the series of it that this process has asked for.
#[derive(Debug)]
pub(crate) struct FamilyCore {
    /// Tells the families of this process apart.
    pub(crate) id: u64,
    pub(crate) description: Family,
    pub(crate) table: Kept<RwLock<Table>>,
    /// Every series, for the table of a forked child: it may hold handles of its parent's.
    pub(crate) series: PushList<Arc<SeriesCore>>,
}

impl Core {
    /// This process's state, made if there is none yet.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.process.get_or_init(|| Mutex::new(State::new()));
        // Nothing that panics leaves the state half changed in a way that matters to counting.
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nanoseconds since 1970; zero where the clock stands before that.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}
