//! kill -9 at any moment: what was counted stays, and what is left behind can be read.

use std::io::{self, Read, Write};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fs, hint};

use headcount_collect::collector::Collector;
use headcount_collect::model::{Family, Value};
use headcount_collect::report::{FileState, Liveness};
use headcount_writer::{Buckets, Registry};
use rustix::process::{Signal, kill_process};

use crate::support::actor::{say, told};
use crate::support::raw::{Way, spawn, wait};
use crate::support::{TempDir, actor};

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_acknowledged() {
    let directory = TempDir::new();
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = seed.as_nanos() as u64 | 1;
    let mut storm = actor("storm", directory.path());
    let acknowledged: f64 = storm.ask(&seed.to_string()).parse().unwrap();
    storm.finish();

    let mut collector = Collector::new();
    collector.add_directory(directory.path());
    let collection = collector.collect(|_| Liveness::Dead);
    for file in &collection.files {
        let readable = matches!(file.state, FileState::Good | FileState::Empty);
        assert!(readable, "seed {seed}: {file:?}");
    }
    let total = |name: &str| -> f64 {
        let family = collection.families.iter().find(|f| &*f.name == name);
        family.unwrap().series.iter().map(|s| count(&s.value)).sum()
    };
    let least = acknowledged;
    let most = acknowledged + KILLS as f64;
    for name in ["jobs", "queued", "seconds"] {
        let total = total(name);
        assert!(
            (least..=most).contains(&total),
            "seed {seed}: {name} is {total}, and should be {least} to {most}"
        );
    }
    check_labels(&collection.families, seed);
    // Most of the kills must have hit workers that counted.
    let stores = fs::read_dir(directory.path()).unwrap().count();
    assert!(stores > KILLS / 2, "seed {seed}: {stores} stores");
    assert!(
        acknowledged > 100.0 * KILLS as f64,
        "seed {seed}: {acknowledged}"
    );
}

/// Kills one child after the other, and tells how many updates they had acknowledged.
pub(crate) fn storm() {
    let registry = Registry::from_env().unwrap();
    let jobs = registry.counter("jobs", "Jobs.").register().unwrap();
    let queued = registry.counter("queued", "Jobs by queue.");
    let queued = queued.register_family(["queue", "twice"]).unwrap();
    let seconds = registry.histogram("seconds", "Seconds.");
    let seconds = seconds
        .buckets(Buckets::linear(0.0, 1.0, 5).unwrap())
        .register()
        .unwrap();
    let mut random = Random(told().next().unwrap().parse().unwrap());
    let mut acknowledged = 0;
    for kill in 0..KILLS {
        let (mut heard, acknowledge) = io::pipe().unwrap();
        let child = spawn(Way::ALL[kill / 4 % Way::ALL.len()], || {
            for update in 0_u64.. {
                // The store grows all the time, so that kills hit that, too.
                let queue = format!("q{}", update / 4);
                jobs.inc();
                queued.with([&queue, &queue.repeat(2)]).inc();
                seconds.observe((update % 6) as f64);
                (&acknowledge).write_all(b".").unwrap();
            }
        });
        drop(acknowledge);
        // One in four is killed while it begins.
        if kill % 4 != 0 {
            let mut some = vec![0; random.below(4000) as usize];
            heard.read_exact(&mut some).unwrap();
            acknowledged += some.len();
        }
        for _ in 0..random.below(100_000) {
            hint::spin_loop();
        }
        kill_process(child, Signal::KILL).unwrap();
        let status = wait(child);
        assert_eq!(status.terminating_signal(), Some(Signal::KILL.as_raw()));
        let mut rest = Vec::new();
        acknowledged += heard.read_to_end(&mut rest).unwrap();
    }
    say(acknowledged);
}

/// No name is torn: both labels were written together.
fn check_labels(families: &[Family], seed: u64) {
    for series in families.iter().flat_map(|family| &family.series) {
        if let Some(queue) = series.labels.get("queue") {
            let twice = series.labels.get("twice");
            assert_eq!(twice, Some(&*queue.repeat(2)), "seed {seed}");
        }
    }
}

fn count(value: &Value) -> f64 {
    match value {
        Value::Counter(count) => *count,
        Value::Histogram { buckets, .. } => buckets.last().map_or(0.0, |last| last.count),
        other => panic!("{other:?}"),
    }
}

/// xorshift64; the seed is in every message, so that a failure can be had again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

const KILLS: usize = 160;
