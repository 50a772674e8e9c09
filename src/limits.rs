//! What the operating system allows this process.
//!
//! Owns raising the limit of open files. A process that is started after that inherits it, and a
//! program that walks over all descriptors it may have would feel it: `run` raises it once its
//! command has started.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::debug;

/// Lets this process open as many files as it may at most: the collector keeps one for each worker.
pub(crate) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        debug!(%error, "Kept the limit of open files as it was.");
    }
}

/// How many files of workers may stay open between passes: half of what this process may open, so
/// that scrapes find descriptors, too.
pub(crate) fn descriptors_for_files() -> usize {
    // The hard limit: the soft one is raised to it, if not yet, then soon.
    let limit = getrlimit(Resource::Nofile).maximum;
    limit.map_or(MANY, |limit| {
        usize::try_from(limit / 2).unwrap_or(MANY).min(MANY)
    })
}

/// How many connections are served at a time: a quarter of what this process may open.
pub(crate) fn connections() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let quarter = limit.and_then(|limit| usize::try_from(limit / 4).ok());
    quarter
        .unwrap_or(MOST_CONNECTIONS)
        .clamp(4, MOST_CONNECTIONS)
}

/// Far more than the scrapers of one pool.
const MOST_CONNECTIONS: usize = 512;

/// More workers than that on one machine are unheard of.
const MANY: usize = 65_536;
