//! What befalls the directory of a pool while a sidecar looks at it: it is deleted, closed, mounted
//! over, and noisier than the kernel's watch can bear.
//!
//! Mounts and other users need root; a test that may not make them fails and says so.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::Signal;

use super::life::stranger;
use crate::liveness::worker::started_by;
use crate::pool::actor::Actor;
use crate::pool::worker::{start, tell};
use crate::support::sidecar::{ANY_PORT, Sidecar, headcount};
use crate::support::{TempDir, eventually, files};

// [merge.directory.missing] [merge.directory.replaced] [merge.file.nameless]
#[test]
fn a_directory_that_is_deleted_goes_on_counting_until_there_is_another() {
    let parent = TempDir::new();
    let pool = parent.join("pool");
    fs::create_dir(&pool).unwrap();
    let sidecar = Sidecar::serve(&pool);
    worker(&pool, 4).kill();
    folds(&pool);
    let mut old = worker(&pool, 5);
    assert_eq!(told(&sidecar), (9.0, 5.0));
    fs::remove_dir_all(&pool).unwrap();
    says(
        &sidecar,
        "The directory has gone; what was read of it is kept.",
    );
    for _ in 0..3 {
        assert_eq!(told(&sidecar), (9.0, 5.0));
    }
    tell(&mut old, "work 1");
    assert_eq!(told(&sidecar), (10.0, 5.0));
    assert_eq!(up(&sidecar), 0.0);

    fs::create_dir(&pool).unwrap();
    let mut new = worker(&pool, 2);
    says(&sidecar, "The directory has appeared.");
    eventually("the new pool", || {
        (told(&sidecar) == (2.0, 2.0)).then_some(())
    });
    tell(&mut old, "work 1");
    tell(&mut new, "work 1");
    assert_eq!(told(&sidecar), (3.0, 2.0));
    assert_eq!(up(&sidecar), 1.0);
    new.kill();
    folds(&pool);
    assert_eq!(told(&sidecar), (3.0, 0.0));
}

// [merge.directory.replaced]
#[test]
fn a_directory_that_is_replaced_brings_its_own_ledger_and_leaves_the_other() {
    let parent = TempDir::new();
    let [pool, next] = ["pool", "next"].map(|name| parent.join(name));
    for directory in [&pool, &next] {
        fs::create_dir(directory).unwrap();
    }
    // Each has dead and living workers.
    let elsewhere = Sidecar::serve(&next);
    worker(&next, 30).kill();
    folds(&next);
    let sidecar = Sidecar::serve(&pool);
    worker(&pool, 4).kill();
    folds(&pool);
    let _workers = [worker(&pool, 5), worker(&next, 6)];
    assert_eq!(told(&sidecar), (9.0, 5.0));
    drop(elsewhere);
    for expected in [(36.0, 6.0), (9.0, 5.0), (36.0, 6.0)] {
        let between = parent.join("between");
        fs::rename(&pool, &between).unwrap();
        fs::rename(&next, &pool).unwrap();
        fs::rename(&between, &next).unwrap();
        assert_eq!(told(&sidecar), expected);
    }
    // A watch that looks between two renames finds none for a moment.
    let told = [
        "Another directory has taken the place",
        "The directory has appeared.",
    ];
    sidecar.process.wait_for_line("another directory", |line| {
        told.iter().any(|told| line.contains(told))
    });
}

// [merge.directory.missing]
#[test]
fn a_directory_that_is_closed_and_opened_again_has_lost_nothing() {
    let (_program, stranger) = stranger();
    let pool = TempDir::new();
    files::set_mode(pool.path(), 0o755);
    let mut serve = stranger("serve");
    serve.arg(ANY_PORT).arg(pool.path());
    let sidecar = Sidecar::start(serve);
    let readable = || {
        for file in files::named(pool.path(), "") {
            files::set_mode(&file, 0o644);
        }
    };
    let mut mortal = worker(pool.path(), 4);
    let mut worker = self::worker(pool.path(), 5);
    readable();
    assert_eq!(told(&sidecar), (9.0, 9.0));

    files::set_mode(pool.path(), 0o000);
    eventually("the directory to be closed", || {
        (up(&sidecar) == 0.0).then_some(())
    });
    // What is open is read on.
    tell(&mut worker, "work 1");
    let _late = self::worker(pool.path(), 20);
    readable();
    assert_eq!(told(&sidecar), (10.0, 9.0));
    says(
        &sidecar,
        "Cannot read a directory; it is tried again and again.",
    );
    mortal.kill();
    tell(&mut worker, "work 1");
    eventually("the dead worker to be missed", || {
        (told(&sidecar) == (11.0, 5.0)).then_some(())
    });

    files::set_mode(pool.path(), 0o755);
    assert_eq!(told(&sidecar), (31.0, 25.0));
    assert_eq!(up(&sidecar), 1.0);
    says(&sidecar, "The directory can be read now.");
}

// [merge.directory.replaced]
#[test]
fn a_file_system_mounted_over_the_directory_is_another_pool_until_it_is_unmounted() {
    let parent = TempDir::new();
    let pool = parent.join("pool");
    fs::create_dir(&pool).unwrap();
    let sidecar = Sidecar::serve(&pool);
    worker(&pool, 4).kill();
    folds(&pool);
    let mut below = worker(&pool, 5);
    assert_eq!(told(&sidecar), (9.0, 5.0));
    let over = Mounted::over(&pool);
    assert_eq!(told(&sidecar), (0.0, 0.0));
    let _above = worker(&pool, 3);
    tell(&mut below, "work 1");
    assert_eq!(told(&sidecar), (3.0, 3.0));
    drop(over);
    assert_eq!(told(&sidecar), (10.0, 5.0));
    below.kill();
    assert_eq!(told(&sidecar), (10.0, 0.0));
    folds(&pool);
    assert_eq!(told(&sidecar), (10.0, 0.0));
}

// [life.hint]
#[test]
fn events_that_the_kernel_has_dropped_cost_no_death_and_no_birth() {
    let pool = TempDir::new();
    let mut mortal = worker(pool.path(), 4);
    let _worker = worker(pool.path(), 5);
    let sidecar = Sidecar::serve(pool.path());
    assert_eq!(told(&sidecar), (9.0, 9.0));
    // It takes no event from the queue meanwhile.
    sidecar.process.signal(Signal::STOP);
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: u32 = limit.trim().parse().unwrap();
    // Two events each at least.
    for number in 0..limit.max(20_000) {
        let path = pool.join(format!("noise_{number}"));
        files::write(&path, b"");
        fs::remove_file(path).unwrap();
    }
    mortal.kill();
    let _late = worker(pool.path(), 20);
    sidecar.process.signal(Signal::CONT);
    assert_eq!(told(&sidecar), (29.0, 25.0));
    eventually("the dead worker to be folded", || {
        let stores = files::named(pool.path(), "").into_iter();
        let stores = stores.filter(|path| path.extension().is_some_and(|end| end == "store"));
        (stores.count() == 2).then_some(())
    });
    assert_eq!(told(&sidecar), (29.0, 25.0));
}

// [life.hint]
#[test]
fn a_sidecar_without_a_watch_finds_the_dead_and_the_new_at_each_scrape() {
    let pool = TempDir::new();
    let mut inner = Command::new("sh");
    let serve = headcount("serve");
    inner.args(["-c", NO_WATCH, "sh"]);
    inner.arg(serve.get_program()).args(serve.get_args());
    inner.arg(ANY_PORT).arg(pool.path());
    // A namespace of users has limits of its own.
    let mut command = started_by("unshare", &["--user", "--map-root-user", "--"], &inner);
    command.env_remove("HEADCOUNT_DIR");
    let sidecar = Sidecar::start(command);
    says(
        &sidecar,
        "Cannot watch directories; a scrape finds each file.",
    );
    let mut total = 0;
    let mut predecessor: Option<Actor> = None;
    for jobs in 1..=10 {
        let worker = worker(pool.path(), jobs);
        total += jobs;
        let both = jobs + jobs.saturating_sub(1);
        assert_eq!(told(&sidecar), (f64::from(total), f64::from(both)));
        if let Some(mut predecessor) = predecessor.replace(worker) {
            predecessor.kill();
            assert_eq!(told(&sidecar), (f64::from(total), f64::from(jobs)));
        }
    }
    let log = sidecar.process.stderr.text();
    assert_eq!(log.matches("Cannot watch").count(), 1, "{log}");
}

/// A worker that has done so many jobs, and has as many in a gauge for the living.
fn worker(directory: &Path, jobs: u32) -> Actor {
    let mut worker = start(directory, "");
    tell(&mut worker, &format!("gauge livesum {jobs}"));
    tell(&mut worker, &format!("work {jobs}"));
    worker
}

/// The jobs of all, and the gauge of the living.
fn told(sidecar: &Sidecar) -> (f64, f64) {
    let served = sidecar.metrics();
    (
        served.sum("jobs_total", &[]),
        served.sum("level_livesum", &[]),
    )
}

/// Whether the only directory can be read.
fn up(sidecar: &Sidecar) -> f64 {
    sidecar.self_metrics().sum("headcount_directories_up", &[])
}

fn says(sidecar: &Sidecar, what: &str) {
    sidecar
        .process
        .wait_for_line(what, |line| line.contains(what));
}

/// Waits until the directory holds the ledger alone.
fn folds(directory: &Path) {
    eventually("the dead to be folded", || {
        let left = files::named(directory, "");
        (left == [directory.join("headcount.ledger")]).then_some(())
    });
}

/// A file system in memory, over a directory; unmounted on drop.
struct Mounted<'a>(&'a Path);

impl Mounted<'_> {
    fn over(path: &Path) -> Mounted<'_> {
        if let Err(error) = mount("tmpfs", path, "tmpfs", MountFlags::empty(), None) {
            panic!(
                "failed to mount a tmpfs: {error}; run this test as root, as CI does, in a \
                 container with CAP_SYS_ADMIN"
            );
        }
        Mounted(path)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        // Detached, so that whoever still has a file there does not keep it.
        let _ = unmount(self.0, UnmountFlags::DETACH);
    }
}

/// Leaves no instance of inotify, and starts the rest.
const NO_WATCH: &str = r#"
echo 0 >/proc/sys/user/max_inotify_instances || exit
exec "$@"
"#;
