//! Two containers on one volume whose workers have one pid, and so write one file.

use std::process::Command;

use rustix::process::Signal;

use crate::liveness::worker::{Client, at_work, start, started_by};
use crate::pool::actor::Actor;
use crate::pool::worker::tell;
use crate::support::processes::{children, exists, kill};
use crate::support::sidecar::{Sidecar, check};
use crate::support::{TempDir, eventually};

// [life.shared]
#[test]
fn two_workers_of_one_pid_that_write_one_file_are_reported() {
    let pool = TempDir::new();
    let first = contained(&pool);
    assert_eq!(shared(&pool), 0.0, "one is as it should be");
    let second = contained(&pool);
    let sidecar = Sidecar::serve(pool.path());
    let own = sidecar.self_metrics();
    assert_eq!(own.value("headcount_shared_files"), Some(2.0), "{own:?}");
    for name in ["counter_1.db", "gauge_livesum_1.db"] {
        sidecar.process.wait_for_line(name, |line| {
            line.contains("Two workers of one pid write one file") && line.contains(name)
        });
    }
    sidecar.metrics();
    let log = sidecar.process.stderr.text();
    assert_eq!(log.matches("Two workers of one pid").count(), 2, "{log}");
    let checked = check(pool.path());
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    let told = "2 findings:\n\ntwo writers: 2 files\n";
    assert!(checked.stdout.starts_with(told), "{checked:?}");
    for part in ["counter_1.db", "gauge_livesum_1.db", "process_identifier"] {
        assert!(checked.stdout.contains(part), "{part} in {checked:?}");
    }

    end(second);
    assert_eq!(shared(&pool), 0.0, "the other is gone");
    assert_eq!(check(pool.path()).status.code(), Some(0));
    end(first);
}

// [life.shared]: its pid is another.
#[test]
fn a_forked_child_that_has_inherited_the_files_of_its_parent_is_no_second_writer() {
    let pool = TempDir::new();
    let mut worker = start(Client::Python, pool.path(), 1);
    let child: u32 = worker.ask("fork").parse().unwrap();
    assert!(exists(child));
    let mut contained = contained(&pool);
    let own_child = contained.ask("fork");
    assert_eq!(own_child, "2", "it is told in its own namespace");
    assert_eq!(shared(&pool), 0.0);
    let checked = check(pool.path());
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    kill(child, Signal::KILL);
}

/// A Python worker that is pid 1 of a namespace of its own.
fn contained(pool: &TempDir) -> Actor {
    let command: Command = Client::Python.command(pool.path(), &[]);
    // As root or not at all: a failure ends with what unshare says.
    let container = ["--pid", "--fork", "--mount", "--mount-proc", "--"];
    let mut worker = at_work(started_by("unshare", &container, &command), 1);
    tell(&mut worker, "work 1");
    worker
}

/// Kills what runs in the container, and with it the container.
fn end(outer: Actor) {
    let [worker] = children(outer.pid())[..] else {
        panic!("unshare has one child")
    };
    kill(worker, Signal::KILL);
    eventually("the worker to be gone", || (!exists(worker)).then_some(()));
}

/// How many files a sidecar that begins now finds to have two writers.
fn shared(pool: &TempDir) -> f64 {
    let own = Sidecar::serve(pool.path()).self_metrics();
    own.value("headcount_shared_files").unwrap()
}
