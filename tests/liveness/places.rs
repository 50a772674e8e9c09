//! The workers of every client in one pool, on each file system where a pool may lie.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::worker::{Client, jobs, known_by, level, new_files, serve, start, wait_for_release};
use crate::support::sidecar::{Sidecar, check};
use crate::support::{TempDir, eventually, files, unshown};

// [life.verdict] [life.lease] [life.lock]
#[test]
fn a_killed_worker_of_any_client_is_out_of_the_live_gauges_on_a_tmpfs() {
    let memory = Path::new("/dev/shm");
    assert!(
        memory.is_dir(),
        "this test needs a tmpfs at {}",
        memory.display()
    );
    let place = TempDir::new();
    each_is_dropped_when_it_is_killed(place.path());
}

// [life.verdict] [life.lease] [life.lock]
#[test]
fn a_killed_worker_of_any_client_is_out_of_the_live_gauges_on_a_local_disk() {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let place = place.join(format!("liveness-{}", std::process::id()));
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).unwrap();
    each_is_dropped_when_it_is_killed(&place);
    fs::remove_dir_all(&place).unwrap();
}

// [life.overlay]
#[test]
fn a_killed_worker_of_any_client_is_out_of_the_live_gauges_on_overlayfs() {
    if let Some(overlay) = Overlay::new() {
        each_is_dropped_when_it_is_killed(&overlay.pool);
    }
}

fn each_is_dropped_when_it_is_killed(pool: &Path) {
    let rules = TempDir::new();
    let sidecar = Sidecar::start(serve(pool, &rules));
    // Powers of two: the sum tells whose values are in it.
    let levels = (0..).map(|exponent| 1 << exponent);
    let mut workers = Vec::new();
    for (client, own_level) in Client::ALL.into_iter().zip(levels) {
        let before = files::named(pool, "");
        let worker = start(client, pool, own_level);
        workers.push((client, own_level, worker, new_files(pool, &before)));
    }
    let mut expected: u32 = workers.iter().map(|(_, own_level, ..)| own_level).sum();
    let served = sidecar.metrics();
    assert_eq!((level(&served), jobs(&served)), (f64::from(expected), 4.0));
    let own = sidecar.self_metrics();
    for method in ["lease", "lock", "none", "proc"] {
        let own_files = workers
            .iter()
            .filter(|(client, ..)| client.method() == method);
        let count: usize = own_files.map(|(.., files)| files.len()).sum();
        assert_eq!(known_by(&own, method), count as f64, "{method} in {own:?}");
    }
    for (client, own_level, mut worker, files) in workers {
        worker.kill();
        wait_for_release(&files);
        expected -= own_level;
        let served = sidecar.metrics();
        assert_eq!(level(&served), f64::from(expected), "{client:?}");
        assert_eq!(jobs(&served), 4.0, "{client:?}");
    }
    // What the dead worker of a store has left is folded; other clients' files rest.
    eventually("the store to be folded", || {
        let own = sidecar.self_metrics();
        let dead = own.value("headcount_workers{state=\"dead\"}");
        (dead == Some(3.0) && own.sum("headcount_ledger_files", &[]) == 1.0).then_some(())
    });
    let own = sidecar.self_metrics();
    assert_eq!(known_by(&own, "none"), 0.0, "{own:?}");
    let told = check(pool).stdout;
    assert!(
        told.contains("workers: 0 running, 3 ended, 0 not known\n  ended: "),
        "{told}"
    );
    assert!(told.contains("\n  folded: "), "{told}");
    assert!(told.contains("\nliveness: 6 files by lease\n"), "{told}");
    assert_eq!(
        (level(&sidecar.metrics()), jobs(&sidecar.metrics())),
        (0.0, 4.0)
    );
}

/// A pool's directory on overlayfs, over two directories in memory; unmounted on drop.
#[derive(Debug)]
struct Overlay {
    pool: PathBuf,
    mounted: PathBuf,
    _place: TempDir,
}

impl Overlay {
    /// `None` where the machine has none to give.
    fn new() -> Option<Overlay> {
        let place = TempDir::new();
        for name in ["lower", "upper", "work", "merged"] {
            fs::create_dir(place.join(name)).expect("a directory can be made");
        }
        let below = place.path().display();
        let options =
            format!("lowerdir={below}/lower,upperdir={below}/upper,workdir={below}/work\0");
        let options = std::ffi::CStr::from_bytes_with_nul(options.as_bytes())
            .expect("it ends in the only zero");
        let mounted = place.join("merged");
        if let Err(error) = mount("overlay", &mounted, "overlay", MountFlags::empty(), options) {
            let advice = "run this test as root, as CI does, with CAP_SYS_ADMIN";
            unshown::tell("who lives on overlayfs", &format_args!("{error}; {advice}"));
            return None;
        }
        let pool = mounted.join("pool");
        fs::create_dir(&pool).expect("a directory can be made");
        Some(Overlay {
            pool,
            mounted,
            _place: place,
        })
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        // Detached, so that whoever still has a file there does not keep it.
        let _ = unmount(&self.mounted, UnmountFlags::DETACH);
    }
}
