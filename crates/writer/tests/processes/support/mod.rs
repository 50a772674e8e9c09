//! What the tests share: directories, processes, and stores as a reader sees them.
//!
//! Knows nothing of what is tested. Whatever starts here ends when its guard is dropped.

pub(crate) mod actor;
pub(crate) mod descriptors;
pub(crate) mod grounds;
pub(crate) mod old_kernel;
pub(crate) mod raw;
pub(crate) mod stores;
pub(crate) mod unshown;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use actor::Actor;

/// An actor with a pool's directory in its environment.
pub(crate) fn actor(part: &str, directory: &Path) -> Actor {
    let mut command = actor::program(ENTRY, part);
    command.env("HEADCOUNT_DIR", directory);
    Actor::start(command)
}

/// An actor that knows of no directory.
pub(crate) fn actor_without_directory(part: &str) -> Actor {
    Actor::start(actor::program(ENTRY, part))
}

/// Asks again and again until there is an answer.
///
/// # Panics
///
/// When the watchdog runs out, with `what` was waited for.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + WATCHDOG;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(BETWEEN_POLLS);
    }
}

/// A directory of its own for a test, in memory where there is such a place, removed on drop.
#[derive(Debug)]
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> TempDir {
        let shared_memory = Path::new("/dev/shm");
        match shared_memory.is_dir() {
            true => TempDir::within(shared_memory),
            false => TempDir::within(&env::temp_dir()),
        }
    }

    pub(crate) fn within(parent: &Path) -> TempDir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("headcount-writer-test-{}-{number}", process::id()));
        // An earlier run that was killed may have had the same pid.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        TempDir(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The test through which an actor acts.
pub(crate) const ENTRY: &str = "an_actor_acts_the_part_that_it_is_given";

const WATCHDOG: Duration = Duration::from_secs(60);

const BETWEEN_POLLS: Duration = Duration::from_millis(20);
