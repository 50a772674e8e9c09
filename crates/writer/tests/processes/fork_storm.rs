//! Thousands of forks in every way, from a parent whose threads count all the while: each process
//! counts exactly, in a store of its own, whatever the file system.

use std::collections::{BTreeMap, VecDeque};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use headcount_writer::{Counter, Registry};

use crate::support::actor;
use crate::support::actor::{say, told};
use crate::support::grounds::Ground;
use crate::support::raw::{Way, spawn, wait};
use crate::support::stores;

#[test]
fn a_storm_of_forks_counts_exactly_in_memory() {
    count_exactly(&Ground::memory());
}

#[test]
fn a_storm_of_forks_counts_exactly_on_the_disk() {
    count_exactly(&Ground::disk());
}

#[test]
fn a_storm_of_forks_counts_exactly_on_an_overlay() {
    if let Some(overlay) = Ground::overlay() {
        count_exactly(&overlay);
    }
}

// [store.fork] [store.fork.mapping]
fn count_exactly(ground: &Ground) {
    let mut multitude = actor("multitude", ground.pool());
    let pid = multitude.pid();
    // What the threads of the parent were told that they had counted, one by one.
    let acknowledged: f64 = multitude.ask("go").parse().unwrap();
    multitude.finish();

    let mut found: BTreeMap<u64, usize> = BTreeMap::new();
    let mut parents = Vec::new();
    for store in stores::read_all(ground.pool()) {
        assert_eq!(store.refused, 0);
        assert_eq!(store.series.len(), 1, "{store:?}");
        let counted = store.value("jobs");
        if store.header.pid == pid {
            parents.push(counted);
        } else {
            assert_eq!(counted.fract(), 0.0, "{store:?}");
            *found.entry(counted as u64).or_default() += 1;
        }
    }
    assert_eq!(parents, [acknowledged]);
    let expected = BTreeMap::from([(CHILD, FORKS), (GRANDCHILD, FORKS / PARENTS)]);
    assert_eq!(found, expected);
    // The threads must have counted during the storm, not only before it.
    assert!(acknowledged > 10.0 * FORKS as f64, "{acknowledged}");
}

/// Counts in two threads while it forks, and tells what they have counted.
pub(crate) fn multitude() {
    let registry = Registry::from_env().unwrap();
    let jobs = registry.counter("jobs", "Jobs.").register().unwrap();
    jobs.inc();
    let stop = AtomicBool::new(false);
    let hammer = || {
        let mut acknowledged = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            // Allocates nothing, as the ways that are not `fork` demand.
            jobs.inc();
            acknowledged += 1;
            if acknowledged.is_multiple_of(64) {
                // Or two cores would do little else.
                thread::yield_now();
            }
        }
        acknowledged
    };
    told().next();
    let acknowledged = thread::scope(|scope| {
        let hammers = [scope.spawn(hammer), scope.spawn(hammer)];
        let mut running = VecDeque::new();
        for number in 0..FORKS {
            if running.len() == AT_A_TIME {
                end(running.pop_front());
            }
            let way = way(number);
            let has_child = number.is_multiple_of(PARENTS);
            running.push_back((number, spawn(way, || child(&jobs, way, has_child))));
            if number.is_multiple_of(PROGRAMS) {
                // By `posix_spawn`, whose child shares the parent's memory until it is another
                // program: it makes no store.
                assert!(Command::new("true").status().unwrap().success());
            }
        }
        while !running.is_empty() {
            end(running.pop_front());
        }
        stop.store(true, Ordering::Relaxed);
        hammers.map(|hammer| hammer.join().unwrap())
    });
    let acknowledged = 1 + acknowledged[0] + acknowledged[1];
    assert_eq!(jobs.get(), acknowledged as f64);
    say(acknowledged);
}

/// A third by `fork`, a third by `clone`, and a third by what is left.
fn way(number: usize) -> Way {
    match number % 6 {
        0 | 3 => Way::Fork,
        1 | 4 => Way::RawClone,
        2 => Way::RawClone3,
        _ => Way::BareFork,
    }
}

fn child(jobs: &Counter, way: Way, has_child: bool) {
    count(jobs, CHILD);
    if has_child {
        let grandchild = spawn(way, || count(jobs, GRANDCHILD));
        assert_eq!(wait(grandchild).exit_status(), Some(0));
        assert_eq!(jobs.get(), CHILD as f64);
    }
}

/// Begins at zero, for what its parent counted is its parent's.
fn count(jobs: &Counter, times: u64) {
    assert_eq!(jobs.get(), 0.0);
    for _ in 0..times {
        jobs.inc();
    }
    assert_eq!(jobs.get(), times as f64);
}

fn end(child: Option<(usize, rustix::process::Pid)>) {
    let (number, child) = child.expect("some child runs");
    assert_eq!(wait(child).exit_status(), Some(0), "child {number}");
}

const FORKS: usize = 3000;
const CHILD: u64 = 1000;
const GRANDCHILD: u64 = 500;

/// One child in so many has a child of its own; no multiple of two or three, so that the parents
/// are of every way.
const PARENTS: usize = 5;

/// One program is started for so many forks.
const PROGRAMS: usize = 100;

/// Children that run at the same time.
const AT_A_TIME: usize = 8;
