//! Forks: a child finds every handle usable, begins at zero in a store of its own, and never
//! touches its parent's.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, id};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use headcount_format::lock::Probe;
use headcount_writer::{Buckets, Counter, Family, Gauge, Histogram, Mode, Registry};

use crate::support::actor::{say, told};
use crate::support::old_kernel::{refuse_to_wipe_on_fork, wipes_on_fork};
use crate::support::raw::{Way, spawn, wait};
use crate::support::stores::{self, Contents, probe};
use crate::support::{TempDir, actor, eventually};

#[test]
fn parent_children_and_grandchildren_each_count_exactly_in_their_own_store() {
    let directory = TempDir::new();
    let mut family = actor("family", directory.path());
    let pid = family.pid();
    let parents: f64 = family.ask("go").parse().unwrap();
    family.finish();

    let (parent, others): (Vec<_>, Vec<_>) = stores::read_all(directory.path())
        .into_iter()
        .partition(|store| store.header.pid == pid);
    assert_eq!(parent.len(), 1);
    assert_eq!(parent[0].series, counted(parents));
    let ways = Way::ALL.len();
    let mut expected = vec![GRANDCHILD; ways * ways * GENERATIONS];
    expected.extend(vec![CHILD + 1.0; ways * GENERATIONS]);
    let mut found: Vec<f64> = others.iter().map(|store| store.value("jobs")).collect();
    found.sort_by(f64::total_cmp);
    assert_eq!(found, expected);
    for store in others {
        assert_eq!(store.series, counted(store.value("jobs")));
    }
}

#[test]
fn a_parents_store_is_bit_for_bit_as_it_was_after_its_children_have_counted() {
    let directory = TempDir::new();
    let mut clerk = actor("clerk", directory.path());
    clerk.ask("count 5");
    let path = stores::only(directory.path());
    let before = fs::read(&path).unwrap();
    for way in WAYS {
        assert_eq!(clerk.ask(&format!("{way} 7")), "done");
        assert!(fs::read(&path).unwrap() == before, "{way} changed it");
    }
    let mut jobs = values_of_others(directory.path(), &path);
    jobs.sort_by(f64::total_cmp);
    assert_eq!(jobs, [[7.0; WAYS.len()], [8.0; WAYS.len()]].concat());
    clerk.ask("count 1");
    assert_eq!(Contents::read(&path).series, counted(6.0));
    clerk.finish();
}

#[test]
fn children_of_a_parent_that_never_counted_count_for_themselves() {
    let directory = TempDir::new();
    let mut clerk = actor("clerk", directory.path());
    for way in WAYS {
        assert_eq!(clerk.ask(&format!("{way} 3")), "done");
    }
    clerk.finish();
    let jobs: f64 = stores::read_all(directory.path())
        .iter()
        .map(|store| store.value("jobs"))
        .sum();
    assert_eq!(jobs, WAYS.len() as f64 * (3.0 + 4.0));
}

#[test]
fn a_child_that_only_looks_makes_no_store() {
    let directory = TempDir::new();
    let mut clerk = actor("clerk", directory.path());
    for way in WAYS {
        assert_eq!(clerk.ask(&format!("look {way}")), "done");
        assert!(stores::paths(directory.path()).is_empty(), "{way}");
    }
    clerk.ask("count 1");
    for way in WAYS {
        assert_eq!(clerk.ask(&format!("look {way}")), "done");
        stores::only(directory.path());
    }
    clerk.finish();
}

#[test]
fn a_child_that_becomes_another_program_makes_no_store_and_holds_no_lock() {
    let directory = TempDir::new();
    let mut clerk = actor("clerk", directory.path());
    clerk.ask("count 1");
    for way in ["spawn"].into_iter().chain(WAYS) {
        assert_eq!(clerk.ask(&format!("exec {way}")), "done");
        stores::only(directory.path());
    }
    let path = stores::only(directory.path());
    assert_eq!(clerk.ask("program"), "started");
    clerk.kill();
    eventually("the lock to be free", || {
        (probe(&path) == Probe::Free).then_some(())
    });
}

#[test]
fn a_handle_from_before_the_fork_and_one_from_after_it_are_one_series() {
    let directory = TempDir::new();
    let mut clerk = actor("clerk", directory.path());
    clerk.ask("count 1");
    let path = stores::only(directory.path());
    for way in WAYS {
        assert_eq!(clerk.ask(&format!("both {way}")), "done");
    }
    clerk.finish();
    for other in stores::paths(directory.path()) {
        if other != path {
            assert_eq!(Contents::read(&other).value("queued/mail"), 2.0);
        }
    }
}

/// There the handler of the C library wipes what the kernel does not.
// [store.fork.handler]
#[test]
fn a_fork_counts_for_itself_where_the_kernel_knows_no_memory_that_a_fork_wipes() {
    let directory = TempDir::new();
    let mut clerk = actor("old kernel", directory.path());
    clerk.ask("count 5");
    let path = stores::only(directory.path());
    let before = fs::read(&path).unwrap();
    assert_eq!(clerk.ask("look fork"), "done");
    assert_eq!(clerk.ask("fork 7"), "done");
    assert!(fs::read(&path).unwrap() == before);
    let mut jobs = values_of_others(directory.path(), &path);
    jobs.sort_by(f64::total_cmp);
    assert_eq!(jobs, [7.0, 8.0]);
    clerk.finish();
}

#[test]
fn a_parents_lock_ends_with_the_parent_although_a_child_lives() {
    let counting = WAYS.map(|way| format!("{way} that counts"));
    for how in ["fork"]
        .into_iter()
        .chain(counting.iter().map(|how| &**how))
    {
        let directory = TempDir::new();
        let mut parent = actor("outlived", directory.path());
        let child = parent.ask(how);
        let (own, others): (Vec<_>, Vec<_>) = stores::paths(directory.path())
            .into_iter()
            .partition(|path| Contents::read(path).header.pid == parent.pid());
        assert_eq!(own.len(), 1, "{how}");
        assert_eq!(others.len(), usize::from(how != "fork"), "{how}");
        assert_eq!(probe(&own[0]), Probe::Held, "{how}");
        parent.kill();
        eventually("the lock to be free", || {
            (probe(&own[0]) == Probe::Free).then_some(())
        });
        assert!(lives(&child), "{how}");
        for store in &others {
            assert_eq!(probe(store), Probe::Held, "{how}");
        }
    }
}

/// Counts in two threads while it makes children and grandchildren, and tells what it counted.
pub(crate) fn family() {
    let metrics = Metrics::register(&Registry::from_env().unwrap());
    metrics.count(BEFORE);
    let stop = AtomicBool::new(false);
    let hammer = || {
        let mut counted = 0.0;
        while !stop.load(Ordering::Relaxed) {
            // Allocates nothing, as a raw clone demands.
            metrics.count(1.0);
            counted += 1.0;
        }
        counted
    };
    let grandchild = || {
        assert_eq!(metrics.jobs.get(), 0.0);
        metrics.count(GRANDCHILD);
        assert_eq!(metrics.jobs.get(), GRANDCHILD);
    };
    let child = || {
        assert_eq!(metrics.jobs.get(), 0.0);
        metrics.count(CHILD);
        for way in Way::ALL {
            assert_eq!(wait(spawn(way, grandchild)).exit_status(), Some(0));
        }
        metrics.count(1.0);
        assert_eq!(metrics.jobs.get(), CHILD + 1.0);
    };
    let mut line = told();
    line.next();
    let counted = thread::scope(|scope| {
        let hammers = [scope.spawn(hammer), scope.spawn(hammer)];
        for _ in 0..GENERATIONS {
            for way in Way::ALL {
                assert_eq!(wait(spawn(way, child)).exit_status(), Some(0));
            }
        }
        stop.store(true, Ordering::Relaxed);
        hammers.map(|hammer| hammer.join().unwrap())
    });
    let counted = BEFORE + counted[0] + counted[1];
    assert_eq!(metrics.jobs.get(), counted);
    say(counted);
}

/// Does what the other clerk does.
pub(crate) fn clerk_on_an_old_kernel() {
    assert!(wipes_on_fork());
    refuse_to_wipe_on_fork();
    assert!(!wipes_on_fork());
    clerk();
}

/// Does one thing at a time.
pub(crate) fn clerk() {
    let registry = Registry::from_env().unwrap();
    let metrics = Metrics::register(&registry);
    // Whoever started this process ends them.
    let mut programs = Vec::new();
    for line in told() {
        let (verb, object) = line.split_once(' ').unwrap_or((&line, ""));
        match verb {
            "count" => metrics.count(object.parse().unwrap()),
            verb if WAYS.contains(&verb) => {
                let count: f64 = object.parse().unwrap();
                ends_well(way(verb), || {
                    metrics.count(count);
                    ends_well(way(verb), || metrics.count(count + 1.0));
                });
            }
            "look" => ends_well(way(object), || {
                assert_eq!(metrics.jobs.get(), 0.0);
                assert_eq!(metrics.queued.with(["new"]).get(), 0.0);
                assert_eq!(registry.trouble(), None);
                registry.counter("later", "Later.").register().unwrap();
            }),
            "both" => ends_well(way(object), || {
                let mail = metrics.queued.with(["mail"]);
                metrics.mail.inc();
                mail.inc();
                assert_eq!((metrics.mail.get(), mail.get()), (2.0, 2.0));
            }),
            "exec" if object == "spawn" => {
                assert!(Command::new("true").status().unwrap().success());
            }
            "exec" => ends_well(way(object), || {
                panic!("{}", Command::new("true").exec());
            }),
            "program" => {
                programs.push(Command::new("sleep").arg("1000").spawn().unwrap());
                say("started");
                continue;
            }
            other => panic!("{other}"),
        }
        say("done");
    }
}

/// Counts, makes a child that stays, and tells the child's pid.
pub(crate) fn outlived() {
    let metrics = Metrics::register(&Registry::from_env().unwrap());
    metrics.count(1.0);
    for line in told() {
        let (way_name, counts) = line.split_once(' ').unwrap_or((&line, ""));
        spawn(way(way_name), || {
            if !counts.is_empty() {
                metrics.count(1.0);
            }
            say(id());
            loop {
                thread::park();
            }
        });
    }
}

/// One metric of each way to keep a value, so that all of them cross the fork.
struct Metrics {
    jobs: Counter,
    queued: Family<Counter, 1>,
    /// One of `queued`.
    mail: Counter,
    level: Gauge,
    stamped: Gauge,
    seconds: Histogram,
}

impl Metrics {
    fn register(registry: &Registry) -> Metrics {
        let queued = registry.counter("queued", "Jobs by queue.");
        let queued = queued.register_family(["queue"]).unwrap();
        let stamped = registry.gauge("stamped", "A level with its time.");
        let seconds = registry.histogram("seconds", "Seconds.");
        Metrics {
            jobs: registry.counter("jobs", "Jobs.").register().unwrap(),
            mail: queued.with(["mail"]),
            queued,
            level: registry.gauge("level", "A level.").register().unwrap(),
            stamped: stamped.mode(Mode::MostRecent).register().unwrap(),
            seconds: seconds
                .buckets(Buckets::new([1.0, 2.0]).unwrap())
                .register()
                .unwrap(),
        }
    }

    fn count(&self, times: f64) {
        for _ in 0..times as u64 {
            self.jobs.inc();
            self.mail.inc();
            self.level.inc();
            // Behind the registry's lock, which a fork must not find taken.
            self.stamped.inc();
            self.seconds.observe(1.5);
        }
    }
}

/// What a store holds after so many counts.
fn counted(times: f64) -> BTreeMap<String, Vec<f64>> {
    BTreeMap::from([
        ("jobs".to_owned(), vec![times]),
        ("queued/mail".to_owned(), vec![times]),
        ("level".to_owned(), vec![times]),
        ("stamped".to_owned(), vec![times]),
        ("seconds".to_owned(), vec![1.5 * times, 0.0, times, 0.0]),
    ])
}

fn values_of_others(directory: &Path, own: &Path) -> Vec<f64> {
    let others = stores::paths(directory);
    let others = others.iter().filter(|path| *path != own);
    others
        .map(|path| Contents::read(path).value("jobs"))
        .collect()
}

fn way(name: &str) -> Way {
    let place = WAYS.iter().position(|way| *way == name);
    Way::ALL[place.unwrap_or_else(|| panic!("{name} is no way"))]
}

fn ends_well(way: Way, work: impl FnOnce()) {
    assert_eq!(wait(spawn(way, work)).exit_status(), Some(0), "{way:?}");
}

/// Whether there is such a process, other than as a zombie.
fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| &rest[..1]);
    state.is_some_and(|state| state != "Z" && state != "X")
}

/// The words for [`Way::ALL`].
const WAYS: [&str; 4] = ["fork", "raw", "raw3", "bare"];

const BEFORE: f64 = 7.0;
const CHILD: f64 = 1000.0;
const GRANDCHILD: f64 = 500.0;
const GENERATIONS: usize = 10;
