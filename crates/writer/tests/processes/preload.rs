//! An application that is loaded once and forked often: its children pay for nothing but what they
//! count themselves.

use std::collections::BTreeMap;
use std::fs;

use headcount_writer::{Counter, Registry};

use crate::support::actor::{say, told};
use crate::support::raw::{Way, spawn, wait};
use crate::support::stores::{self, Contents};
use crate::support::{TempDir, actor};

// [store.fork] [store.fork.mapping]
#[test]
fn a_child_of_a_preloaded_application_pays_nothing_until_it_counts() {
    let directory = TempDir::new();
    let mut preloaded = actor("preloaded", directory.path());
    for way in 0..Way::ALL.len() {
        assert_eq!(preloaded.ask(&format!("look {way}")), "0 mappings");
        assert!(stores::paths(directory.path()).is_empty(), "{way}");
    }
    preloaded.ask("count");
    let path = stores::only(directory.path());
    let before = fs::read(&path).unwrap();
    assert_eq!(Contents::read(&path).series.len(), SERIES + 1);
    for way in 0..Way::ALL.len() {
        assert_eq!(preloaded.ask(&format!("look {way}")), "0 mappings");
        stores::only(directory.path());
        assert!(fs::read(&path).unwrap() == before, "{way} changed it");
    }
    preloaded.finish();
}

#[test]
fn the_first_update_of_a_child_makes_a_store_with_that_series_and_none_of_the_thousands() {
    for counts in [false, true] {
        let directory = TempDir::new();
        let mut preloaded = actor("preloaded", directory.path());
        let mut parents = Vec::new();
        if counts {
            preloaded.ask("count");
            parents.push(stores::only(directory.path()));
        }
        for way in 0..Way::ALL.len() {
            assert_eq!(preloaded.ask(&format!("one {way}")), "done");
        }
        preloaded.finish();
        let paths = stores::paths(directory.path());
        let children: Vec<_> = paths
            .iter()
            .filter(|path| !parents.contains(path))
            .collect();
        assert_eq!(children.len(), Way::ALL.len());
        // A metric without labels is there from the start, at zero.
        let expected = BTreeMap::from([
            ("jobs".to_owned(), vec![0.0]),
            (format!("queued/{ONE}"), vec![1.0]),
        ]);
        for path in children {
            let series = Contents::read(path).series;
            // Said in a line where it fails: thousands of series fill a screen.
            assert_eq!(series.len(), expected.len());
            assert_eq!(series, expected);
            assert_eq!(fs::metadata(path).unwrap().len(), SMALLEST_STORE);
        }
    }
}

/// Has thousands of series, and forks.
pub(crate) fn preloaded() {
    let registry = Registry::from_env().unwrap();
    let jobs = registry.counter("jobs", "Jobs.").register().unwrap();
    let queued = registry.counter("queued", "Jobs by queue.");
    let queued = queued.register_family(["queue"]).unwrap();
    let counters: Vec<Counter> = (0..SERIES)
        .map(|number| queued.with([&number.to_string()]))
        .collect();
    for line in told() {
        let (verb, object) = line.split_once(' ').unwrap_or((&line, ""));
        match verb {
            "count" => counters.iter().for_each(Counter::inc),
            "look" => {
                let child = spawn(way(object), || {
                    assert_eq!(counters[ONE].get(), 0.0);
                    let mappings = fs::read_to_string("/proc/self/maps").unwrap();
                    let stores = mappings.lines().filter(|line| line.ends_with(".store"));
                    say(format_args!("{} mappings", stores.count()));
                });
                assert_eq!(wait(child).exit_status(), Some(0));
                continue;
            }
            "one" => {
                let child = spawn(way(object), || counters[ONE].inc());
                assert_eq!(wait(child).exit_status(), Some(0));
                assert_eq!(jobs.get(), 0.0);
            }
            other => panic!("{other}"),
        }
        say("done");
    }
}

fn way(number: &str) -> Way {
    Way::ALL[number.parse::<usize>().unwrap()]
}

const SERIES: usize = 5000;

/// The series that a child counts in.
const ONE: usize = 1234;

/// Header, first segment of the catalog, and two pages more.
const SMALLEST_STORE: u64 = 16_384;
