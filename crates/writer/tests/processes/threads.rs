//! Many threads on the same series: nothing is lost, nothing is counted twice.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;

use headcount_collect::collector::Collector;
use headcount_collect::model::Value;
use headcount_collect::report::Liveness;
use headcount_writer::{Buckets, Mode, Registry};

use crate::support::TempDir;
use crate::support::stores::{self, Contents};

#[test]
fn many_threads_times_many_updates_are_exactly_so_many() {
    let directory = TempDir::new();
    let registry = Registry::open(directory.path()).unwrap();
    let jobs = registry.counter("jobs", "Jobs.").register().unwrap();
    let by_queue = registry
        .counter("queued", "Jobs by queue.")
        .register_family(["queue"])
        .unwrap();
    let level = registry
        .gauge("level", "A level.")
        .mode(Mode::Sum)
        .register()
        .unwrap();
    let stamped = registry
        .gauge("stamped", "A level with its time.")
        .mode(Mode::MostRecent)
        .register()
        .unwrap();
    let seconds = registry
        .histogram("seconds", "Seconds.")
        .buckets(Buckets::new([1.0, 2.0, 3.0]).unwrap())
        .register()
        .unwrap();
    let bytes = registry.summary("bytes", "Bytes.").register().unwrap();
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (start, by_queue) = (&start, &by_queue);
            let (jobs, level, stamped) = (jobs.clone(), level.clone(), stamped.clone());
            let (seconds, bytes) = (seconds.clone(), bytes.clone());
            scope.spawn(move || {
                start.wait();
                for round in 0..ROUNDS {
                    jobs.inc();
                    // Every thread meets every queue, at first all of them at once.
                    by_queue
                        .with([QUEUES[(round + thread) % QUEUES.len()]])
                        .inc();
                    level.inc_by(2.0);
                    level.dec();
                    stamped.inc();
                    seconds.observe((round % 4) as f64 + 0.5);
                    bytes.observe(3.0);
                }
            });
        }
    });

    let all = (THREADS * ROUNDS) as f64;
    let quarter = all / 4.0;
    assert_eq!(jobs.get(), all);
    assert_eq!(level.get(), all);
    assert_eq!(stamped.get(), all);
    assert_eq!((seconds.count(), seconds.sum()), (all, 2.0 * all));
    assert_eq!((bytes.count(), bytes.sum()), (all, 3.0 * all));
    for queue in QUEUES {
        assert_eq!(by_queue.with([queue]).get(), quarter, "{queue}");
    }

    let store = Contents::read(&stores::only(directory.path()));
    let mut expected = BTreeMap::from([
        ("jobs".to_owned(), vec![all]),
        ("level".to_owned(), vec![all]),
        ("stamped".to_owned(), vec![all]),
        ("bytes".to_owned(), vec![3.0 * all, all]),
    ]);
    let buckets = [2.0 * all, quarter, quarter, quarter, quarter];
    expected.insert("seconds".to_owned(), buckets.to_vec());
    for queue in QUEUES {
        expected.insert(format!("queued/{queue}"), vec![quarter]);
    }
    assert_eq!(store.series, expected);

    let mut collector = Collector::new();
    collector.add_directory(directory.path());
    let collection = collector.collect(|_| Liveness::Live);
    let jobs = collection.families.iter().find(|f| &*f.name == "jobs");
    assert_eq!(jobs.unwrap().series[0].value, Value::Counter(all));
}

#[test]
fn threads_that_race_to_the_first_update_of_a_registry_make_one_store() {
    for _ in 0..REGISTRIES {
        let directory = TempDir::new();
        let registry = Registry::open(directory.path()).unwrap();
        let start = Barrier::new(THREADS);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    start.wait();
                    // Registered by all at once, too: the same description is the same metric.
                    let jobs = registry.counter("jobs", "Jobs.").register().unwrap();
                    let queued = registry.counter("queued", "Jobs by queue.");
                    let queued = queued.register_family(["queue"]).unwrap();
                    jobs.inc();
                    queued.with(["mail"]).inc();
                });
            }
        });
        let store = Contents::read(&stores::only(directory.path()));
        assert_eq!(store.value("jobs"), THREADS as f64);
        assert_eq!(store.value("queued/mail"), THREADS as f64);
    }
}

const THREADS: usize = 8;
const ROUNDS: usize = 20_000;
const REGISTRIES: usize = 50;
const QUEUES: [&str; 4] = ["fax", "mail", "post", "wire"];
