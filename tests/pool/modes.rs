//! How the values of three workers become one, before and after one of them is killed.

use std::collections::BTreeMap;

use super::actor::Actor;
use super::worker::{STATES, start, state_set_modes, tell};
use crate::support::TempDir;
use crate::support::exposition::Exposition;
use crate::support::sidecar::Sidecar;

#[test]
fn every_gauge_mode_has_its_value_before_and_after_the_death_of_a_worker() {
    let directory = TempDir::new();
    let sidecar = Sidecar::serve(directory.path());
    let mut workers = three_workers(&directory);
    let [first, second, third] = pids(&workers);
    // The second is the last to set, and so the most recent.
    for (worker, value) in [(0, 3.0), (2, 5.0), (1, 7.0)] {
        tell(&mut workers[worker], &format!("gauges {value}"));
    }
    let all = |mode: &str, values: &[(u32, f64)]| -> Vec<(String, f64)> {
        let sample = |&(pid, value)| (format!("level_{mode}{{pid=\"{pid}\"}}"), value);
        values.iter().map(sample).collect()
    };
    let one = |mode: &str, value: f64| vec![(format!("level_{mode}"), value)];
    let each = [(first, 3.0), (second, 7.0), (third, 5.0)];
    let lasting = [
        all("all", &each),
        one("max", 7.0),
        one("min", 3.0),
        one("mostrecent", 7.0),
        one("sum", 15.0),
    ];
    let live = [
        all("liveall", &each),
        one("livemax", 7.0),
        one("livemin", 3.0),
        one("livemostrecent", 7.0),
        one("livesum", 15.0),
    ];
    assert_eq!(served(&sidecar, "level_"), flat([&lasting, &live]));

    workers[1].kill();
    let live = [
        all("liveall", &[(first, 3.0), (third, 5.0)]),
        one("livemax", 5.0),
        one("livemin", 3.0),
        one("livemostrecent", 5.0),
        one("livesum", 8.0),
    ];
    assert_eq!(served(&sidecar, "level_"), flat([&lasting, &live]));

    workers[0].kill();
    let live = [
        all("liveall", &[(third, 5.0)]),
        one("livemax", 5.0),
        one("livemin", 5.0),
        one("livemostrecent", 5.0),
        one("livesum", 5.0),
    ];
    assert_eq!(served(&sidecar, "level_"), flat([&lasting, &live]));

    // With nobody alive there is nothing to say, and a zero would be a lie.
    workers[2].kill();
    assert_eq!(served(&sidecar, "level_"), flat([&lasting, &[]]));
}

#[test]
fn a_gauge_that_is_the_first_thing_that_a_worker_sets_has_no_twin() {
    // The first update of a process put its series into the store twice, and the twin, at zero,
    // was the minimum.
    for (mode, value) in [("min", 4.0), ("max", -4.0), ("livemin", 4.0)] {
        let directory = TempDir::new();
        let sidecar = Sidecar::serve(directory.path());
        let mut worker = start(directory.path(), "");
        tell(&mut worker, &format!("gauge {mode} {value}"));
        let expected = BTreeMap::from([(format!("level_{mode}"), value)]);
        assert_eq!(served(&sidecar, "level_"), expected);
    }
}

#[test]
fn state_sets_merge_by_their_mode_before_and_after_the_death_of_a_worker() {
    let directory = TempDir::new();
    let sidecar = Sidecar::serve(directory.path());
    let mut workers = three_workers(&directory);
    let [first, second, third] = pids(&workers);
    // The second is the last to set, and so the most recent.
    for (worker, state) in [(0, "running"), (2, "running"), (1, "stopped")] {
        tell(&mut workers[worker], &format!("states {state}"));
    }
    let each = [(first, "running"), (second, "stopped"), (third, "running")];
    let expected = |live: bool, each: &[(u32, &str)], shared: [&[&str]; 3]| {
        let mut samples = BTreeMap::new();
        for mode in state_set_modes().filter(|mode| mode.is_live() == live) {
            let name = format!("task_{mode}");
            let shared = match mode.name().trim_start_matches("live") {
                "max" => shared[0],
                "min" => shared[1],
                "mostrecent" => shared[2],
                _ => {
                    for (pid, held) in each {
                        let pid = format!(",pid=\"{pid}\"");
                        samples.extend(state_samples(&name, &pid, &[held]));
                    }
                    continue;
                }
            };
            samples.extend(state_samples(&name, "", shared));
        }
        samples
    };
    // A state holds if any worker is in it, if all are, or if it is the latest.
    let shared: [&[&str]; 3] = [&["running", "stopped"], &[], &["stopped"]];
    let lasting = expected(false, &each, shared);
    let mut all = expected(true, &each, shared);
    all.extend(lasting.clone());
    assert_eq!(served(&sidecar, "task_"), all);

    workers[1].kill();
    let each = [(first, "running"), (third, "running")];
    let mut all = expected(true, &each, [&["running"]; 3]);
    all.extend(lasting);
    assert_eq!(served(&sidecar, "task_"), all);
}

#[test]
fn every_info_that_a_worker_has_told_is_served_once() {
    let directory = TempDir::new();
    let sidecar = Sidecar::serve(directory.path());
    let mut workers = three_workers(&directory);
    tell(&mut workers[0], "info 1.0");
    tell(&mut workers[1], "info 2.0");
    tell(&mut workers[2], "info 1.0");
    let expected = [
        ("build_info{version=\"1.0\"}".to_owned(), 1.0),
        ("build_info{version=\"2.0\"}".to_owned(), 1.0),
    ];
    assert_eq!(served(&sidecar, "build"), BTreeMap::from(expected));
    // What an info told before is no more.
    tell(&mut workers[1], "info 3.0");
    let expected = [
        ("build_info{version=\"1.0\"}".to_owned(), 1.0),
        ("build_info{version=\"3.0\"}".to_owned(), 1.0),
    ];
    assert_eq!(served(&sidecar, "build"), BTreeMap::from(expected));
}

#[test]
fn histograms_with_different_buckets_are_served_with_the_union_of_their_bounds() {
    let directory = TempDir::new();
    let sidecar = Sidecar::serve(directory.path());
    let mut workers = three_workers(&directory);
    tell(&mut workers[0], "observe 1,2,4 0.5,1.5,3,9");
    tell(&mut workers[1], "observe 1,2,4 2,2");
    tell(&mut workers[2], "observe 1,3 2,3,4");
    // Each observation is in the buckets from the first bound of its own worker's that it is not
    // above.
    let buckets = [("1.0", 1.0), ("2.0", 4.0), ("3.0", 6.0), ("4.0", 7.0)];
    let mut expected: BTreeMap<String, f64> = buckets
        .into_iter()
        .chain([("+Inf", 9.0)])
        .map(|(bound, count)| (format!("wait_seconds_bucket{{le=\"{bound}\"}}"), count))
        .collect();
    expected.insert("wait_seconds_count".to_owned(), 9.0);
    expected.insert("wait_seconds_sum".to_owned(), 27.0);
    assert_eq!(served(&sidecar, "wait_seconds"), expected);
    workers[2].kill();
    assert_eq!(served(&sidecar, "wait_seconds"), expected);
}

#[test]
fn labels_that_all_series_of_a_worker_have_tell_its_counters_apart() {
    let directory = TempDir::new();
    let sidecar = Sidecar::serve(directory.path());
    let mut api = [
        start(directory.path(), "api"),
        start(directory.path(), "api"),
    ];
    let mut mail = start(directory.path(), "mail");
    tell(&mut api[0], "work 3");
    tell(&mut api[1], "work 4");
    tell(&mut mail, "work 5");
    let expected = BTreeMap::from([
        ("jobs_total{service=\"api\"}".to_owned(), 7.0),
        ("jobs_total{service=\"mail\"}".to_owned(), 5.0),
    ]);
    assert_eq!(served(&sidecar, "jobs"), expected);
    api[0].kill();
    assert_eq!(served(&sidecar, "jobs"), expected);
}

fn three_workers(directory: &TempDir) -> [Actor; 3] {
    std::array::from_fn(|_| start(directory.path(), ""))
}

fn pids(workers: &[Actor; 3]) -> [u32; 3] {
    std::array::from_fn(|index| workers[index].pid())
}

/// The samples of one scrape whose names begin with `prefix`.
fn served(sidecar: &Sidecar, prefix: &str) -> BTreeMap<String, f64> {
    let served: Exposition = sidecar.metrics();
    let samples = served.samples.keys();
    let samples = samples.filter(|sample| sample.starts_with(prefix));
    samples
        .map(|sample| (sample.clone(), served.value(sample).expect("it is there")))
        .collect()
}

fn flat(groups: [&[Vec<(String, f64)>]; 2]) -> BTreeMap<String, f64> {
    groups.into_iter().flatten().flatten().cloned().collect()
}

fn state_samples(name: &str, pid: &str, held: &[&str]) -> Vec<(String, f64)> {
    let sample = |state: &&str| {
        let holds = held.contains(state);
        let labels = match pid.strip_prefix(',') {
            Some(pid) => format!("{pid},{name}=\"{state}\""),
            None => format!("{name}=\"{state}\""),
        };
        (format!("{name}{{{labels}}}"), f64::from(u8::from(holds)))
    };
    STATES.iter().map(sample).collect()
}
