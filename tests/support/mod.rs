//! What the tests share: directories, processes, an HTTP client, and the real peers.
//!
//! Knows nothing of what is tested. Whatever starts here ends when its guard is dropped.

pub(crate) mod exposition;
pub(crate) mod files;
pub(crate) mod http;
pub(crate) mod processes;
pub(crate) mod prometheus;
pub(crate) mod python;
pub(crate) mod random;
pub(crate) mod sidecar;
#[path = "../../crates/writer/tests/processes/support/unshown.rs"]
pub(crate) mod unshown;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

/// The root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
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
        if shared_memory.is_dir() {
            TempDir::within(shared_memory)
        } else {
            TempDir::on_disk()
        }
    }

    /// Where programs may be executed, which `/dev/shm` often forbids.
    pub(crate) fn on_disk() -> TempDir {
        TempDir::within(&env::temp_dir())
    }

    fn within(parent: &Path) -> TempDir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("headcount-test-{}-{number}", process::id()));
        // An earlier run that was killed may have had the same pid.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        TempDir(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Hangs are failures, slowness is not: far beyond what any step takes on a loaded machine.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(60);

const BETWEEN_POLLS: Duration = Duration::from_millis(20);
