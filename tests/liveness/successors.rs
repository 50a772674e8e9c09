//! What comes after a worker: a child that has inherited its files, a successor that opens them
//! again, and an application that tells of the death itself.

use std::fs;
use std::slice;

use rustix::process::Signal;

use super::worker::{Client, at_work, jobs, level, serve, start, wait_for_release};
use crate::pool::worker::tell;
use crate::support::processes::{exists, kill};
use crate::support::sidecar::Sidecar;
use crate::support::{TempDir, eventually, files};

// [life.inherited]
#[test]
fn a_child_that_has_inherited_the_files_of_a_worker_keeps_it_live_until_it_ends() {
    let (pool, rules) = (TempDir::new(), TempDir::new());
    let sidecar = Sidecar::start(serve(pool.path(), &rules));
    let mut worker = start(Client::Python, pool.path(), 3);
    let child: u32 = worker.ask("fork").parse().expect("it says a pid");
    worker.kill();
    for _ in 0..3 {
        assert_eq!(level(&sidecar.metrics()), 3.0);
    }
    assert!(exists(child), "nobody has ended it");
    kill(child, Signal::KILL);
    wait_for_release(&files::named(pool.path(), ""));
    let served = sidecar.metrics();
    assert_eq!((level(&served), jobs(&served)), (0.0, 1.0));
}

// [life.again]
#[test]
fn a_successor_of_the_same_identifier_is_live_again_in_the_same_file() {
    for client in [Client::GitLab, Client::Python] {
        let (pool, rules) = (TempDir::new(), TempDir::new());
        let sidecar = Sidecar::start(serve(pool.path(), &rules));
        let start = |level| at_work(client.command(pool.path(), &["slot"]), level);
        let mut worker = start(3);
        assert_eq!(level(&sidecar.metrics()), 3.0, "{client:?}");
        worker.kill();
        let before = files::named(pool.path(), "");
        wait_for_release(&before);
        assert_eq!(level(&sidecar.metrics()), 0.0, "{client:?}");
        let _successor = start(5);
        assert_eq!(
            files::named(pool.path(), ""),
            before,
            "it has files of its own"
        );
        // [life.hint]: that it has opened them is told a moment later.
        eventually("the successor to be seen", || {
            let served = sidecar.metrics();
            ((level(&served), jobs(&served)) == (5.0, 2.0)).then_some(())
        });
    }
}

// [merge.live.dead]: before a scrape has seen the death, and after one.
#[test]
fn an_application_may_call_mark_process_dead_all_the_same() {
    let (pool, rules) = (TempDir::new(), TempDir::new());
    let sidecar = Sidecar::start(serve(pool.path(), &rules));
    let mut supervisor = start(Client::Python, pool.path(), 1);
    for is_seen_before in [false, true] {
        let mut worker = start(Client::Python, pool.path(), 2);
        let pid = worker.pid();
        assert_eq!(level(&sidecar.metrics()), 3.0);
        let gauges = pool.join(format!("gauge_livesum_{pid}.db"));
        worker.kill();
        wait_for_release(slice::from_ref(&gauges));
        if is_seen_before {
            assert_eq!(level(&sidecar.metrics()), 1.0);
        }
        tell(&mut supervisor, &format!("mark {pid}"));
        assert!(!fs::exists(&gauges).expect("the pool can be read"));
        for _ in 0..2 {
            assert_eq!(level(&sidecar.metrics()), 1.0);
        }
    }
    assert_eq!(jobs(&sidecar.metrics()), 3.0);
    let own = sidecar.self_metrics();
    assert_eq!(
        own.value("headcount_workers{state=\"dead\"}"),
        Some(2.0),
        "{own:?}"
    );
}

// [merge.file.nameless]: its gauge counts as long as it runs, whoever has deleted the file.
#[test]
fn a_live_worker_whose_files_were_deleted_counts_until_it_is_killed() {
    let (pool, rules) = (TempDir::new(), TempDir::new());
    let sidecar = Sidecar::start(serve(pool.path(), &rules));
    let mut worker = start(Client::Python, pool.path(), 3);
    assert_eq!(level(&sidecar.metrics()), 3.0);
    for file in files::named(pool.path(), "") {
        fs::remove_file(file).expect("a file can be deleted");
    }
    tell(&mut worker, "gauge livesum 5");
    tell(&mut worker, "work 1");
    let served = sidecar.metrics();
    assert_eq!((level(&served), jobs(&served)), (5.0, 2.0));
    worker.kill();
    // Its files have no name by which they could be asked about.
    eventually("its gauge to be dropped", || {
        (level(&sidecar.metrics()) == 0.0).then_some(())
    });
    assert_eq!(jobs(&sidecar.metrics()), 2.0);
}
