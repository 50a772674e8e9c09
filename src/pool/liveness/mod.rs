//! Whether the process that writes a file still runs, as far as the kernel tells.
//!
//! Owns whom to ask, in which order, and what to say where nobody answers (`spec/merge.md`, chapter
//! 7). Never looks at a pid, and decides nothing about what a dead worker's values are good for.

mod doubt;
mod methods;
mod processes;

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use headcount_collect::collector::{Collection, WorkerFile};
use headcount_collect::report::{Dialect, Liveness, Method, Verdict};
use headcount_format::lease::{self, Lease};
use headcount_format::lock::{self, Probe};
use rustix::fs::fstatfs;

use crate::filesystem::{self, FileSystem};
use doubt::Doubt;
use processes::Writers;

pub(crate) use methods::Methods;

/// What is proved in one pass.
#[derive(Debug, Default)]
pub(crate) struct Proofs {
    /// `[life.proc]`: read when the first file needs it.
    writers: Option<Writers>,
    /// What was said already, since thousands of files may have one reason.
    told: HashMap<Doubt, Arc<str>>,
}

impl Proofs {
    /// Whether the writer of `file` runs.
    pub(crate) fn verdict(&mut self, file: &WorkerFile<'_>) -> Verdict {
        match file.dialect {
            // [life.text]
            Some(Dialect::Text) => return Liveness::Unknown.into(),
            // [life.lock]
            Some(Dialect::Store) => match lock::probe(file.file, file.lock) {
                Probe::Held => return Verdict::by(Method::Lock, Liveness::Live),
                Probe::Free => return Verdict::by(Method::Lock, Liveness::Dead),
                Probe::Unknown => {}
            },
            _ => {}
        }
        self.by_lease(file, file_system(file), || lease::probe(file.file))
    }

    /// `[life.lease]`, also where a client has a lock of its own: one that is free proves nothing
    /// (`[gitlab.fork]`), and to ask for it would be to take it.
    fn by_lease(
        &mut self,
        file: &WorkerFile<'_>,
        system: FileSystem,
        ask: impl FnOnce() -> Lease,
    ) -> Verdict {
        // [life.local]
        if let FileSystem::Network(name) = system {
            return self.by_processes(file, |_| Doubt::Elsewhere(name));
        }
        match ask() {
            Lease::Held => Verdict::by(Method::Lease, Liveness::Live),
            Lease::Free if system == FileSystem::UserSpace => {
                self.unknown(Doubt::Elsewhere("FUSE"))
            }
            // [life.overlay] is no exception here: every client that is read keeps its descriptor.
            Lease::Free => Verdict::by(Method::Lease, Liveness::Dead),
            Lease::Untold(error) => self.by_processes(file, |owner| Doubt::of(&error, owner)),
        }
    }

    /// `[life.proc]`: who is found is live. Who is not found is not dead for that, even if every
    /// process could be looked at: while one is read, the file may pass from another to a third; a
    /// ring of io_uring and a message that is under way hold a file without a descriptor; btrfs
    /// shows another device there than `stat` does; and processes may be hidden. Then `doubt` is
    /// told, by the owner of the file.
    fn by_processes(&mut self, file: &WorkerFile<'_>, doubt: impl FnOnce(u32) -> Doubt) -> Verdict {
        let metadata = match file.file.metadata() {
            Ok(metadata) => metadata,
            Err(error) => return self.unknown(Doubt::other(&error)),
        };
        let writers = self.writers.get_or_insert_with(Writers::read);
        match writers.have(&metadata) {
            true => Verdict::by(Method::Proc, Liveness::Live),
            false => self.unknown(doubt(metadata.uid())),
        }
    }

    /// `[life.shared]`: the files of `collection` that two live workers of one pid write.
    pub(crate) fn shared(&mut self, collection: &Collection) -> Vec<PathBuf> {
        let mut shared = Vec::new();
        for file in &collection.files {
            let is_peers = file
                .dialect
                .is_some_and(|dialect| dialect != Dialect::Store);
            let pid = file
                .worker
                .as_ref()
                .and_then(|worker| worker.pid.parse().ok());
            let Some(pid) = pid.filter(|_| is_peers && file.verdict.liveness == Liveness::Live)
            else {
                continue;
            };
            let writers = self.writers.get_or_insert_with(Writers::read);
            let metadata = std::fs::symlink_metadata(&file.path);
            if metadata.is_ok_and(|metadata| writers.share(&metadata, pid)) {
                shared.push(file.path.clone());
            }
        }
        shared
    }

    /// `[life.unknown]`
    fn unknown(&mut self, doubt: Doubt) -> Verdict {
        let told = self.told.entry(doubt);
        Verdict::unknown(Arc::clone(told.or_insert_with(|| doubt.to_string().into())))
    }
}

/// Where that is not told, the lease has the say.
fn file_system(file: &WorkerFile<'_>) -> FileSystem {
    let system = fstatfs(file.file);
    // Its numbers are of 32 bits, whatever the type.
    system.map_or(FileSystem::Local, |system| {
        filesystem::classify(system.f_type as u32)
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;

    use headcount_format::layout::LockKind;
    use headcount_writer::Registry;
    use rustix::io::Errno;

    use super::*;
    use crate::scratch::Scratch;

    fn with_file<T>(
        path: &Path,
        dialect: Option<Dialect>,
        lock: LockKind,
        ask: impl FnOnce(&mut Proofs, &WorkerFile<'_>) -> T,
    ) -> T {
        let file = &File::open(path).unwrap();
        let file = WorkerFile {
            file,
            dialect,
            lock,
            path,
        };
        ask(&mut Proofs::default(), &file)
    }

    fn ask(path: &Path, dialect: Dialect, lock: LockKind) -> (Method, Liveness) {
        let verdict = with_file(path, Some(dialect), lock, Proofs::verdict);
        assert_eq!(verdict.doubt, None);
        (verdict.method, verdict.liveness)
    }

    /// As if the file lay there, and the kernel had said so.
    fn told(path: &Path, system: FileSystem, lease: Lease) -> Verdict {
        let (dialect, lock) = (Some(Dialect::Python), LockKind::Missing);
        with_file(path, dialect, lock, |proofs, file| {
            proofs.by_lease(file, system, || lease)
        })
    }

    fn refused(path: &Path, number: Errno) -> Verdict {
        told(path, FileSystem::Local, Lease::Untold(number.into()))
    }

    // [life.verdict] [life.lock]
    #[test]
    fn a_writer_lives_until_it_lets_go_of_its_store() {
        let scratch = Scratch::new().unwrap();
        let registry = Registry::open(scratch.path()).unwrap();
        let jobs = registry.counter("jobs", "Jobs done.").register().unwrap();
        jobs.inc();
        let mut entries = fs::read_dir(scratch.path()).unwrap();
        let store = &entries.next().unwrap().unwrap().path();
        let by_lock = || ask(store, Dialect::Store, LockKind::Description);
        // [life.lease]: where the lock proves nothing.
        let by_lease = || ask(store, Dialect::Store, LockKind::Missing);
        assert_eq!(by_lock(), (Method::Lock, Liveness::Live));
        assert_eq!(by_lease(), (Method::Lease, Liveness::Live));
        drop(registry);
        assert_eq!(
            by_lock(),
            (Method::Lock, Liveness::Live),
            "a handle is left"
        );
        drop(jobs);
        assert_eq!(by_lock(), (Method::Lock, Liveness::Dead));
        assert_eq!(by_lease(), (Method::Lease, Liveness::Dead));
    }

    // [life.text]
    #[test]
    fn nobody_is_asked_about_a_text_file() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().join("a.prom");
        let _writer = File::create(&path).unwrap();
        let asked = ask(&path, Dialect::Text, LockKind::Missing);
        assert_eq!(asked, (Method::None, Liveness::Unknown));
    }

    // [life.proc]
    #[test]
    fn where_no_lease_is_to_be_had_the_process_table_tells_who_lives_and_never_who_is_dead() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().join("counter_1.db");
        let writer = File::create(&path).unwrap();
        let found = Verdict::by(Method::Proc, Liveness::Live);
        assert_eq!(refused(&path, Errno::ACCESS), found);
        drop(writer);
        let not_found = refused(&path, Errno::ACCESS);
        assert_eq!(not_found.method, Method::None);
        assert_eq!(not_found.liveness, Liveness::Unknown);
    }

    // [life.local]
    #[test]
    fn a_lease_proves_nothing_on_a_network_and_no_death_on_fuse() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().join("counter_1.db");
        fs::write(&path, b"").unwrap();
        let network = FileSystem::Network("NFS");
        let doubtful = [
            (network, Lease::Free, "NFS,"),
            // As NFS refuses it to everybody.
            (network, Lease::Held, "NFS,"),
            (FileSystem::UserSpace, Lease::Free, "FUSE,"),
        ];
        for (system, lease, name) in doubtful {
            let verdict = told(&path, system, lease);
            assert_eq!(
                (verdict.method, verdict.liveness),
                (Method::None, Liveness::Unknown)
            );
            let doubt = verdict.doubt.unwrap();
            assert!(doubt.starts_with(name), "{doubt}");
        }
        let live = Verdict::by(Method::Lease, Liveness::Live);
        assert_eq!(told(&path, FileSystem::UserSpace, Lease::Held), live);
    }
}
