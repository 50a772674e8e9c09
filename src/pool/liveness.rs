//! Whether the process that writes a file still runs, as far as the kernel tells.
//!
//! Owns the choice of whom to ask. Never looks at a pid, and decides nothing about what a dead
//! worker's values are good for.

use headcount_collect::collector::WorkerFile;
use headcount_collect::report::{Dialect, Liveness};
use headcount_format::lock::{Probe, probe};

/// Whether the writer of `file` runs.
pub(crate) fn of(file: &WorkerFile<'_>) -> Liveness {
    // A peer holds no lock on its file, or one that proves nothing when it is free: [gitlab.fork].
    if file.dialect != Some(Dialect::Store) {
        return Liveness::Unknown;
    }
    match probe(file.file, file.lock) {
        Probe::Held => Liveness::Live,
        Probe::Free => Liveness::Dead,
        Probe::Unknown => Liveness::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;

    use headcount_format::layout::LockKind;
    use headcount_writer::Registry;

    use super::*;
    use crate::scratch::Scratch;

    fn ask(path: &Path, dialect: Dialect) -> Liveness {
        of(&WorkerFile {
            file: &File::open(path).unwrap(),
            dialect: Some(dialect),
            lock: LockKind::Description,
            path,
        })
    }

    #[test]
    fn a_writer_lives_until_it_lets_go_of_its_store() {
        let scratch = Scratch::new().unwrap();
        let registry = Registry::open(scratch.path()).unwrap();
        let jobs = registry.counter("jobs", "Jobs done.").register().unwrap();
        jobs.inc();
        let mut entries = fs::read_dir(scratch.path()).unwrap();
        let store = entries.next().unwrap().unwrap().path();
        assert_eq!(ask(&store, Dialect::Store), Liveness::Live);
        assert_eq!(ask(&store, Dialect::Python), Liveness::Unknown);
        drop(registry);
        assert_eq!(
            ask(&store, Dialect::Store),
            Liveness::Live,
            "a handle is left"
        );
        drop(jobs);
        assert_eq!(ask(&store, Dialect::Store), Liveness::Dead);
    }
}
