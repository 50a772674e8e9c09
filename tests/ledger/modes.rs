//! Gauges, state sets and infos of dead workers: before the fold, after it, for a sidecar that begins
//! anew, and once their time is over.

use std::collections::BTreeMap;
use std::fs::File;

use rustix::fs::{FlockOperation, flock};

use super::death::{kill, names, wait_for_state, wait_until_all_is_folded};
use crate::pool::actor::Actor;
use crate::pool::worker::{STATES, start, tell};
use crate::support::sidecar::Sidecar;
use crate::support::{TempDir, eventually, files};

type Samples = BTreeMap<String, f64>;

// [merge.dead.ttl] [ledger.level] [merge.live.dead]
#[test]
fn the_levels_of_the_dead_are_the_same_before_and_after_the_fold() {
    let pool = TempDir::new();
    // As long as we hold the lock nobody folds.
    let lock = hold(&pool);
    let sidecar = Sidecar::serve(pool.path());
    let mut workers = three_workers(&pool);
    let [first, second, third] = workers.each_ref().map(|worker| worker.pid());
    workers[1].kill();
    workers[0].kill();

    let mut expected = Samples::new();
    let pids = [(first, 3.0), (second, 7.0), (third, 5.0)];
    expected.extend(pids.map(|(pid, level)| (format!("level_all{{pid=\"{pid}\"}}"), level)));
    for (mode, level) in [
        ("max", 7.0),
        ("min", 3.0),
        ("mostrecent", 7.0),
        ("sum", 15.0),
    ] {
        expected.insert(format!("level_{mode}"), level);
    }
    let held = [(first, "running"), (second, "stopped"), (third, "running")];
    for (pid, state) in held {
        expected.extend(states("all", Some(pid), &[state]));
    }
    expected.extend(states("max", None, &["running", "stopped"]));
    expected.extend(states("min", None, &[]));
    expected.extend(states("mostrecent", None, &["stopped"]));
    expected.extend([3, 5, 7].map(|level| (format!("build_info{{version=\"{level}\"}}"), 1.0)));
    expected.extend(of_the_living(third));
    wait_for_state(&sidecar, "elsewhere");
    assert_eq!(levels(&sidecar), expected, "before the fold");
    assert_eq!(levels(&Sidecar::serve(pool.path())), expected, "begun anew");
    assert_eq!(names(pool.path()).len(), 3);

    drop(lock);
    stir(&pool);
    eventually("the dead to be folded", || {
        (names(pool.path()).len() == 2).then_some(())
    });
    assert_eq!(levels(&sidecar), expected, "after the fold");
    kill(sidecar);
    let sidecar = Sidecar::serve(pool.path());
    assert_eq!(levels(&sidecar), expected, "after the fold, begun anew");
    kill(sidecar);
}

// [merge.dead.ttl]
#[test]
fn the_levels_of_the_dead_go_in_time_and_nothing_else_does() {
    let pool = TempDir::new();
    let sidecar = Sidecar::serve_with(pool.path(), &["--gauge.ttl=2s"]);
    let mut workers = three_workers(&pool);
    let third = workers[2].pid();
    workers[1].kill();
    workers[0].kill();
    let mut expected = Samples::from([(format!("level_all{{pid=\"{third}\"}}"), 5.0)]);
    for mode in ["max", "min", "mostrecent", "sum"] {
        expected.insert(format!("level_{mode}"), 5.0);
    }
    expected.extend(states("all", Some(third), &["running"]));
    for mode in ["max", "min", "mostrecent"] {
        expected.extend(states(mode, None, &["running"]));
    }
    expected.insert("build_info{version=\"5\"}".to_owned(), 1.0);
    expected.extend(of_the_living(third));
    eventually("the levels of the dead to go", || {
        assert_eq!(sidecar.metrics().value("jobs_total"), Some(3.0));
        (levels(&sidecar) == expected).then_some(())
    });
    workers[2].kill();
    wait_until_all_is_folded(pool.path());
    eventually("the last levels to go", || {
        assert_eq!(sidecar.metrics().value("jobs_total"), Some(3.0));
        levels(&sidecar).is_empty().then_some(())
    });
    // And the ledger holds them no more, whoever asks: the next fold leaves them out.
    let mut last = start(pool.path(), "");
    tell(&mut last, "work 1");
    last.kill();
    wait_until_all_is_folded(pool.path());
    kill(sidecar);
    let served = Sidecar::serve(pool.path()).metrics();
    assert_eq!(served.value("jobs_total"), Some(4.0));
    assert!(!served.samples.keys().any(|name| name.starts_with("level_")));
}

/// Three that have a value in everything that is no total, and one job each.
fn three_workers(pool: &TempDir) -> [Actor; 3] {
    let mut workers = std::array::from_fn(|_| start(pool.path(), ""));
    // The second is the last to set, and so the most recent.
    for (worker, level, state) in [(0, 3, "running"), (2, 5, "running"), (1, 7, "stopped")] {
        tell(&mut workers[worker], &format!("gauges {level}"));
        tell(&mut workers[worker], &format!("states {state}"));
        tell(&mut workers[worker], &format!("info {level}"));
        tell(&mut workers[worker], "work 1");
    }
    workers
}

/// Takes the lock that who folds must have.
fn hold(pool: &TempDir) -> File {
    let directory = File::open(pool.path()).expect("a directory can be opened");
    flock(&directory, FlockOperation::NonBlockingLockExclusive).expect("nobody folds yet");
    directory
}

/// Lets the watch see that something happens, so that nobody waits for its leisure.
fn stir(pool: &TempDir) {
    let file = pool.join("stirred");
    files::write(&file, b"");
    std::fs::remove_file(file).expect("a file can be deleted");
}

/// What the third worker has in the modes for the living alone.
fn of_the_living(pid: u32) -> Samples {
    let mut samples = Samples::from([(format!("level_liveall{{pid=\"{pid}\"}}"), 5.0)]);
    for mode in ["livemax", "livemin", "livemostrecent", "livesum"] {
        samples.insert(format!("level_{mode}"), 5.0);
    }
    samples.extend(states("liveall", Some(pid), &["running"]));
    for mode in ["livemax", "livemin", "livemostrecent"] {
        samples.extend(states(mode, None, &["running"]));
    }
    samples
}

fn states(mode: &str, pid: Option<u32>, held: &[&str]) -> Samples {
    let name = format!("task_{mode}");
    let pid = pid.map_or(String::new(), |pid| format!("pid=\"{pid}\","));
    let sample = |state: &str| {
        let holds = f64::from(u8::from(held.contains(&state)));
        (format!("{name}{{{pid}{name}=\"{state}\"}}"), holds)
    };
    STATES.into_iter().map(sample).collect()
}

/// The samples of one scrape that are no totals.
fn levels(sidecar: &Sidecar) -> Samples {
    let served = sidecar.metrics();
    let is_level = |name: &&String| {
        let prefixes = ["level_", "task_", "build_info"];
        prefixes.iter().any(|prefix| name.starts_with(prefix))
    };
    let names = served.samples.keys().filter(is_level);
    names
        .map(|name| (name.clone(), served.value(name).expect("it is there")))
        .collect()
}
