//! Life, proved by the kernel on every file system that a pool may lie on.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use headcount_format::layout::LockKind;
use headcount_format::lock::Probe;
use headcount_writer::Registry;

use crate::support::actor::{Actor, say, told};
use crate::support::descriptors::{close, descriptor_of};
use crate::support::grounds::Ground;
use crate::support::raw::{Way, spawn, wait};
use crate::support::stores::{self, Contents, probe};
use crate::support::{actor, eventually};

// [store.lock] [store.lock.probe]
#[test]
fn a_writers_lock_is_held_as_long_as_it_lives_on_every_file_system() {
    let grounds = [
        Some(Ground::memory()),
        Some(Ground::disk()),
        Ground::overlay(),
        Ground::ext4_of_small_blocks(),
    ];
    for ground in grounds.into_iter().flatten() {
        let (mut holder, path) = start(&ground);
        assert_eq!(Contents::read(&path).header.lock, LockKind::Description);
        assert_eq!(probe(&path), Probe::Held, "{ground:?}");
        // The holder, too, sees its own lock, through a descriptor that asks and is closed.
        assert_eq!(holder.ask("probe"), "Held", "{ground:?}");
        assert_eq!(probe(&path), Probe::Held, "{ground:?}");
        // Growing, and children that come and go, take nothing from it.
        assert_eq!(holder.ask("grow"), "done");
        for way in 0..Way::ALL.len() {
            assert_eq!(holder.ask(&format!("child {way}")), "done");
            assert_eq!(probe(&path), Probe::Held, "{ground:?}");
        }
        holder.kill();
        eventually("the lock to be free", || {
            (probe(&path) == Probe::Free).then_some(())
        });
    }
}

/// Why the descriptor is kept: there are file systems on which a mapping alone holds no lock.
#[test]
fn it_is_the_descriptor_that_holds_the_lock_on_an_overlay() {
    for (ground, without_descriptor) in [
        (Some(Ground::memory()), Probe::Held),
        (Ground::overlay(), Probe::Free),
    ] {
        let Some(ground) = ground else {
            continue;
        };
        let (mut holder, path) = start(&ground);
        assert_eq!(probe(&path), Probe::Held);
        assert_eq!(holder.ask("close"), "done");
        assert_eq!(probe(&path), without_descriptor, "{ground:?}");
        holder.kill();
    }
}

/// A process that becomes a daemon closes what it does not know, and opens files of its own, which
/// then have the numbers of what was closed: the registry closed one of those when it was dropped.
#[test]
fn a_registry_never_closes_a_descriptor_that_another_file_has_taken_over() {
    let ground = Ground::memory();
    let mut daemon = actor("daemon", ground.pool());
    assert_eq!(daemon.ask("go"), "done");
    daemon.finish();
}

// [store.file.mode]
#[test]
fn a_store_may_be_read_by_its_group_whatever_the_umask() {
    let grounds = [
        Some(Ground::memory()),
        Some(Ground::disk()),
        Ground::overlay(),
    ];
    for ground in grounds.into_iter().flatten() {
        let (mut holder, path) = start(&ground);
        let permissions = fs::metadata(&path).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, 0o640, "{ground:?}");
        holder.kill();
    }
}

fn start(ground: &Ground) -> (Actor, PathBuf) {
    let mut holder = actor("holder", ground.pool());
    assert_eq!(holder.ask("count"), "done");
    (holder, stores::only(ground.pool()))
}

/// Holds a store.
pub(crate) fn holder() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let registry = Registry::from_env().unwrap();
    let jobs = registry.counter("jobs", "Jobs.").register().unwrap();
    let queued = registry.counter("queued", "Jobs by queue.");
    let queued = queued.register_family(["queue"]).unwrap();
    let directory = PathBuf::from(std::env::var_os("HEADCOUNT_DIR").unwrap());
    for line in told() {
        match &*line {
            "count" => jobs.inc(),
            "grow" => (0..5000).for_each(|number| queued.with([&number.to_string()]).inc()),
            "probe" => {
                say(format_args!("{:?}", probe(&stores::only(&directory))));
                continue;
            }
            "close" => close(descriptor_of(&stores::only(&directory))),
            child => {
                let number = child.strip_prefix("child ").expect("it is told of a child");
                let way = Way::ALL[number.parse::<usize>().unwrap()];
                let child = spawn(way, || {
                    jobs.inc();
                    fs::remove_file(own_store(&directory)).unwrap();
                });
                assert_eq!(wait(child).exit_status(), Some(0));
            }
        }
        say("done");
    }
}

/// Closes the descriptor of its store, and has another file take it over.
pub(crate) fn daemon() {
    let directory = PathBuf::from(std::env::var_os("HEADCOUNT_DIR").unwrap());
    told().next();
    let registry = Registry::from_env().unwrap();
    let jobs = registry.counter("jobs", "Jobs.").register().unwrap();
    jobs.inc();
    let descriptor = descriptor_of(&stores::only(&directory));
    close(descriptor);
    let own = File::open("/dev/null").unwrap();
    assert_eq!(own.as_raw_fd(), descriptor);
    jobs.inc();
    assert_eq!(jobs.get(), 2.0);
    drop((registry, jobs));
    own.metadata().expect("the descriptor is still open");
    say("done");
}

fn own_store(directory: &Path) -> PathBuf {
    let own = std::process::id();
    let mut paths = stores::paths(directory).into_iter();
    let path = paths.find(|path| Contents::read(path).header.pid == own);
    path.expect("it has counted")
}
