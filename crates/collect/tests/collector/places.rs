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
    pass_at(collector, dead, NOW)
}

fn pass_at(collector: &mut Collector, dead: &BTreeSet<String>, now: u64) -> Vec<String> {
    collector.set_boot(BootId::current());
    collector.set_now(now);
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
    fold_dead(&directory, &collector, NOW);
    // Both have one pid, as in two containers, and each its own place.
    assert_eq!(pass(&mut collector, &dead), before);
    let _third = worker(&directory, 3, 3.0);
    let lines = pass(&mut collector, &dead);
    assert!(
        lines.contains(&"level{worker=\"0\"} 3.0".to_owned()),
        "{lines:?}"
    );
}

/// Folds what the dead have left.
fn fold_dead(directory: &Directory, collector: &Collector, now: u64) {
    let ledger = File::open(directory.join(LEDGER_NAME)).ok();
    let mut fold = Fold::begin(ledger.as_ref(), BootId::current()).unwrap();
    let files = collector.dead();
    for file in &files {
        let opened = File::open(directory.join(file.name.to_str().unwrap())).unwrap();
        fold.add(&file.name, &opened, file.version, file.died, file.place)
            .unwrap();
    }
    let ledger = fold.write(now, Duration::from_secs(600)).unwrap();
    directory.replace(LEDGER_NAME, &ledger);
    for file in &files {
        directory.remove(file.name.to_str().unwrap());
    }
}

// [ledger.level] [merge.gauge.youngest]: of workers that had one place the last counts, and no sum.
#[test]
fn of_the_dead_that_had_one_place_the_last_prevails_folded_or_not() {
    for folds in [true, false] {
        follow_each_other(folds);
    }
}

fn follow_each_other(folds: bool) {
    let directory = Directory::new();
    let mut collector = watch(&directory);
    collector.set_rules(by_slot("*"));
    let mut dead = BTreeSet::new();
    for number in 7..14u64 {
        // Of every client in turn; a Python worker has another pid each time, a store the same.
        let name = match number % 2 {
            0 => worker(&directory, number, 100.0 * number as f64).1,
            _ => {
                let name = format!("gauge_all_{number}.db");
                directory.write(&name, &gauge("level", 100.0 * number as f64, 0.0));
                name
            }
        };
        let now = NOW + number * 1_000_000_000;
        let expected = [format!("level{{worker=\"0\"}} {number}00.0")];
        assert_eq!(pass_at(&mut collector, &dead, now), expected);
        dead.insert(name);
        assert_eq!(pass_at(&mut collector, &dead, now), expected);
        if !folds {
            continue;
        }
        fold_dead(&directory, &collector, now);
        assert_eq!(pass_at(&mut collector, &dead, now), expected);
        let mut fresh = watch(&directory);
        fresh.set_rules(by_slot("*"));
        assert_eq!(pass_at(&mut fresh, &dead, now), expected);
    }
}

// [life.place.file]: whose a file of another client is, is known once it has been read.
#[test]
fn places_of_python_workers_are_kept_through_a_restart() {
    let directory = Directory::new();
    let file = |pid: u32| {
        let name = format!("gauge_all_{pid}.db");
        directory.write(&name, &gauge("level", f64::from(pid), 0.0));
        name
    };
    let slots = "headcount slots, version 1\n2 7\n5 8\n9 11\n";
    fs::write(directory.join(SLOTS_NAME), slots).unwrap();
    file(7);
    file(8);
    let mut collector = watch(&directory);
    collector.set_rules(by_slot("*"));
    let kept = ["level{worker=\"2\"} 7.0", "level{worker=\"5\"} 8.0"];
    // The watch looks at who has died before anybody scrapes.
    collector.attend(|_| Liveness::Live);
    assert_eq!(pass(&mut collector, &BTreeSet::new()), kept);
    assert_eq!(pass(&mut collector, &BTreeSet::new()), kept);
    file(9);
    assert_eq!(
        pass(&mut collector, &BTreeSet::new())[0],
        "level{worker=\"0\"} 9.0"
    );
    // Who is not there any more has no place.
    assert!(!collector.places(0).unwrap().contains("11"));
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
