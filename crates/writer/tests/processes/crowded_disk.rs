//! Several workers on one small disk, which they fill themselves: nobody dies, nothing that fitted
//! is lost, and with room everything is there.

use std::fs;
use std::path::{Path, PathBuf};

use headcount_writer::Registry;

use crate::full_disk::{Worker, fill, free};
use crate::support::actor::{Actor, say, told};
use crate::support::grounds::Ground;
use crate::support::raw::{Way, spawn, wait};
use crate::support::stores::{self, Contents};
use crate::support::{actor, eventually};

// [store.grow.refused]
#[test]
fn workers_that_fill_a_disk_live_on_and_lose_nothing() {
    let disk = Ground::tmpfs("1m");
    let directory = disk.pool();
    let ballast = directory.with_file_name("ballast");
    fs::write(&ballast, vec![1; BALLAST_BYTES]).unwrap();
    let mut tenants: Vec<Actor> = (0..TENANTS).map(|_| actor("tenant", directory)).collect();
    // In turns, so that all of them are growing when the disk is full.
    while !said_by_all(&mut tenants, "grow", "refused") {}
    // What is too little for any of them, too.
    fill(directory);
    tenants.push(actor("tenant", directory));
    assert_eq!(tenants[TENANTS].ask("grow"), "refused");
    for _ in 0..3 {
        assert!(said_by_all(&mut tenants, "count", "counted"));
    }
    let fitted = stores::paths(directory);
    assert_eq!(fitted.len(), TENANTS);
    assert!(said_by_all(&mut tenants, "fork", "forked"));
    // Only what found no room is missing, and each store says how much that is.
    assert!(said_by_all(&mut tenants[..TENANTS], "fits", "fits"));

    free(directory);
    fs::remove_file(ballast).unwrap();
    eventually("all to find room", || {
        said_by_all(&mut tenants, "count", "counted");
        said_by_all(&mut tenants, "waits", "nothing").then_some(())
    });
    assert!(said_by_all(&mut tenants, "whole", "whole"));
    let paths = stores::paths(directory);
    assert_eq!(paths.len(), TENANTS + 1);
    assert!(fitted.iter().all(|path| paths.contains(path)));
    let told: f64 = tenants
        .iter_mut()
        .map(|tenant| tenant.ask("total").parse::<f64>().unwrap())
        .sum();
    let stored: f64 = stores::read_all(directory)
        .iter()
        .flat_map(|store| store.series.values().flatten())
        .sum();
    assert_eq!(stored, told);
    tenants.into_iter().for_each(|tenant| drop(tenant.finish()));
}

/// Whether each of them answers so.
fn said_by_all(tenants: &mut [Actor], line: &str, answer: &str) -> bool {
    // All of them are told, and work at the same time, before any is heard.
    tenants.iter_mut().for_each(|tenant| tenant.tell(line));
    let answers: Vec<String> = tenants.iter_mut().map(Actor::answer).collect();
    answers.iter().all(|said| said == answer)
}

/// Grows and counts on a disk that others fill, too.
pub(crate) fn tenant() {
    let directory = PathBuf::from(std::env::var_os("HEADCOUNT_DIR").unwrap());
    let mut worker = Worker::open(&directory);
    for line in told() {
        match &*line {
            "grow" => {
                worker.grow(25);
                match waits(&worker.registry) {
                    true => say("refused"),
                    false => say("room"),
                }
            }
            "count" => {
                worker.count_in_all();
                say("counted");
            }
            "fork" => {
                for way in Way::ALL {
                    // What waits in the memory of its parent is its parent's.
                    let child = spawn(way, || worker.assert_at_zero());
                    assert_eq!(wait(child).exit_status(), Some(0), "{way:?}");
                }
                say("forked");
            }
            "fits" => {
                let store = own_store(&directory);
                let expected = worker.expected();
                for (name, value) in &store.series {
                    assert_eq!(expected.get(name), Some(value), "{name}");
                }
                let missing = expected.len() - store.series.len();
                assert!(missing > 0);
                assert_eq!(store.refused, missing as u64);
                say("fits");
            }
            "waits" => say(match waits(&worker.registry) {
                true => "something",
                false => "nothing",
            }),
            "whole" => {
                let store = own_store(&directory);
                assert_eq!((store.refused, store.series), (0, worker.expected()));
                say("whole");
            }
            "total" => say(worker.expected().values().flatten().sum::<f64>()),
            other => panic!("{other}"),
        }
    }
}

fn waits(registry: &Registry) -> bool {
    registry.trouble().is_some()
}

fn own_store(directory: &Path) -> Contents {
    let own = std::process::id();
    let mut stores = stores::read_all(directory).into_iter();
    let store = stores.find(|store| store.header.pid == own);
    store.expect("it has a store")
}

const TENANTS: usize = 4;

/// Three quarters of the disk: a store that grows takes as much as it has, if there is so much.
const BALLAST_BYTES: usize = 768 << 10;
