//! `spec/merge.md`, chapter 7: places of workers, which the next one takes over.
#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::time::Duration;

use headcount_collect::collector::Collector;
use headcount_collect::fold::Fold;
use headcount_collect::report::Liveness;
use headcount_collect::rules::{Pattern, Rule, Rules, WorkerLabel};
use headcount_format::MetricType;
use headcount_format::identity::BootId;
use headcount_format::layout::{LEDGER_NAME, SLOTS_NAME};

use crate::pool::{Directory, Pass, watch};
use crate::python::{counter, gauge};
use crate::store::{Writer, family};

const NOW: u64 = 1_800_000_000_000_000_000;

fn by_slot(pattern: &str) -> Rules {
    Rules {
        rules: vec![Rule {
            pattern: Pattern::new(pattern),
            worker_label: Some(WorkerLabel::Slot),
            ..Rule::default()
        }],
    }
}

/// A worker with one gauge of its own; its file's name.
fn worker(directory: &Directory, started: u64, value: f64) -> (Writer, String) {
    let mut writer = Writer::new(directory, started);
    let level = writer.family(family(MetricType::Gauge, "level"));
    let place = writer.series(level, &[], 0);
    writer.set(place, &[value]);
    let name = writer.file_name();
    (writer, name)
}

/// A pass in which those of these names are dead.
fn pass(collector: &mut Collector, dead: &BTreeSet<String>) -> Vec<String> {
    collector.set_boot(BootId::current());
    collector.set_now(NOW);
    let collection = collector.collect(|file| {
        let name = file.path.file_name().unwrap().to_str().unwrap();
        match dead.contains(name) {
            true => Liveness::Dead,
            false => Liveness::Live,
        }
    });
    Pass(collection).lines()
}

// [life.place] [rules.worker-label] [merge.gauge.youngest]
#[test]
fn workers_that_come_and_go_make_no_new_series() {
    let directory = Directory::new();
    let mut collector = watch(&directory);
    collector.set_rules(by_slot("*"));
    let mut dead = BTreeSet::new();
    let (_first, first) = worker(&directory, 1, 1.0);
    assert_eq!(pass(&mut collector, &dead), ["level{worker=\"0\"} 1.0"]);
    let (_second, _) = worker(&directory, 2, 2.0);
    let both = ["level{worker=\"0\"} 1.0", "level{worker=\"1\"} 2.0"];
    assert_eq!(pass(&mut collector, &dead), both);
    // The dead worker's value stays until another has its place.
    dead.insert(first.clone());
    assert_eq!(pass(&mut collector, &dead), both);
    for number in 3..40 {
        let (_worker, name) = worker(&directory, number, number as f64);
        let lines = pass(&mut collector, &dead);
        let expected = format!("level{{worker=\"0\"}} {number}.0");
        assert_eq!(lines, [&*expected, both[1]]);
        dead.insert(name);
    }
}

// [rules.worker-label]
#[test]
fn a_rule_says_it_of_one_family_and_another_of_the_others() {
    let directory = Directory::new();
    directory.write("gauge_all_7.db", &gauge("level", 3.0, 0.0));
    directory.write("gauge_liveall_7.db", &gauge("load", 4.0, 0.0));
    let mut collector = watch(&directory);
    collector.set_rules(by_slot("load"));
    let lines = pass(&mut collector, &BTreeSet::new());
    assert_eq!(lines, ["level{pid=\"7\"} 3.0", "load{worker=\"0\"} 4.0"]);
    collector.set_rules(by_slot("le*"));
    let lines = pass(&mut collector, &BTreeSet::new());
    assert_eq!(lines, ["level{worker=\"0\"} 3.0", "load{pid=\"7\"} 4.0"]);
}

// [life.place]: of those who came and went between two passes nobody knows the place.
#[test]
fn a_worker_that_was_never_met_alive_has_no_place() {
    let directory = Directory::new();
    let mut collector = watch(&directory);
    collector.set_rules(by_slot("*"));
    let mut dead = BTreeSet::new();
    for number in 1..20 {
        let (_worker, name) = worker(&directory, number, 1.0);
        dead.insert(name);
    }
    let (_living, _) = worker(&directory, 20, 5.0);
    assert_eq!(pass(&mut collector, &dead), ["level{worker=\"0\"} 5.0"]);
    // One of them turns out to live, as a successor that has taken over a file does.
    directory.write("gauge_all_7.db", &gauge("level", 3.0, 0.0));
    dead.insert("gauge_all_7.db".into());
    assert_eq!(pass(&mut collector, &dead).len(), 1);
    dead.remove("gauge_all_7.db");
    let both = ["level{worker=\"0\"} 5.0", "level{worker=\"1\"} 3.0"];
    assert_eq!(pass(&mut collector, &dead), both);
}

// [life.place.file]
#[test]
fn places_are_kept_through_a_restart() {
    let directory = Directory::new();
    let mut workers: Vec<(Writer, String)> = Vec::new();
    let mut collector = watch(&directory);
    collector.set_rules(by_slot("*"));
    for number in 0..8 {
        workers.push(worker(&directory, 9 - number, number as f64));
        pass(&mut collector, &BTreeSet::new());
    }
    // One whose place is free at the restart.
    let dead: BTreeSet<String> = [workers[3].1.clone()].into();
    pass(&mut collector, &dead);
    directory.remove(&workers[3].1);
    let before = pass(&mut collector, &BTreeSet::new());
    let text = collector.places(0).unwrap();
    assert_eq!(text.lines().count(), 1 + 7, "{text}");
    assert_eq!(collector.places(0), None, "nothing has changed");
    fs::write(directory.join(SLOTS_NAME), text).unwrap();
    let mut fresh = watch(&directory);
    fresh.set_rules(by_slot("*"));
    assert_eq!(pass(&mut fresh, &BTreeSet::new()), before);
    let _ninth = worker(&directory, 10, 9.0);
    let lines = pass(&mut fresh, &BTreeSet::new());
    assert!(
        lines.contains(&"level{worker=\"3\"} 9.0".to_owned()),
        "{lines:?}"
    );
    // Without it, the order of the names decides.
    directory.remove(SLOTS_NAME);
    let mut fresh = watch(&directory);
    fresh.set_rules(by_slot("*"));
    assert_eq!(pass(&mut fresh, &BTreeSet::new()).len(), 8);
}

// [life.place] [ledger.level]
#[test]
fn a_place_outlives_the_fold_of_its_worker() {
    let directory = Directory::new();
    let mut collector = watch(&directory);
    collector.set_rules(by_slot("*"));
    let (_first, first) = worker(&directory, 1, 1.0);
    let (_second, second) = worker(&directory, 2, 2.0);
    pass(&mut collector, &BTreeSet::new());
    let dead: BTreeSet<String> = [first.clone(), second].into();
    let before = pass(&mut collector, &dead);
    assert_eq!(before.len(), 2);
    let files = collector.dead();
    let mut fold = Fold::begin(None, BootId::current()).unwrap();
    for file in &files {
        let opened = File::open(directory.join(file.name.to_str().unwrap())).unwrap();
        fold.add(&file.name, &opened, file.version, file.died, file.place)
            .unwrap();
    }
    let ledger = fold.write(NOW, Duration::from_secs(60)).unwrap();
    directory.replace(LEDGER_NAME, &ledger);
    for file in &files {
        directory.remove(file.name.to_str().unwrap());
    }
    // Both tests' workers have one pid, so that one value is left of two.
    let after = pass(&mut collector, &dead);
    assert_eq!(after.len(), 1);
    assert!(before.contains(&after[0]), "{after:?} of {before:?}");
    let _third = worker(&directory, 3, 3.0);
    let lines = pass(&mut collector, &dead);
    assert!(
        lines.contains(&"level{worker=\"0\"} 3.0".to_owned()),
        "{lines:?}"
    );
}

// [life.place]: a worker of several files lives as long as one of them does.
#[test]
fn a_worker_with_a_file_that_is_live_keeps_its_place() {
    let directory = Directory::new();
    let mut collector = watch(&directory);
    collector.set_rules(by_slot("*"));
    for pid in ["7", "8"] {
        directory.write(&format!("gauge_all_{pid}.db"), &gauge("level", 3.0, 0.0));
        directory.write(&format!("counter_{pid}.db"), &counter("sent", 1.0));
    }
    let both = [
        "level{worker=\"0\"} 3.0",
        "level{worker=\"1\"} 3.0",
        "sent_total 2.0",
    ];
    assert_eq!(pass(&mut collector, &BTreeSet::new()), both);
    let dead: BTreeSet<String> = ["gauge_all_7.db".to_owned()].into();
    pass(&mut collector, &dead);
    directory.write("gauge_all_9.db", &gauge("level", 4.0, 0.0));
    let lines = pass(&mut collector, &dead);
    assert!(
        lines.contains(&"level{worker=\"2\"} 4.0".to_owned()),
        "{lines:?}"
    );
}
