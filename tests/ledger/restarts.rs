//! A pool, its directory, its machine and its sidecar begin anew.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use headcount_format::identity::BootId;
use headcount_format::layout::{EARLIER_LEDGER_NAME, LEDGER_NAME};

use super::death::{fold_once, jobs, kill, lives_and_dies, names, patch, wait_until_all_is_folded};
use crate::pool::actor::Actor;
use crate::pool::worker::{start, tell};
use crate::support::prometheus::Prometheus;
use crate::support::sidecar::{Sidecar, check};
use crate::support::{TempDir, eventually, files};

// [merge.directory.replaced]: and of a pool that begins anew where it was, nobody sees anything.
#[test]
fn prometheus_sees_no_reset_where_the_pool_restarts_and_one_where_its_directory_is_replaced() {
    let parent = TempDir::new();
    let pool = parent.join("pool");
    fs::create_dir(&pool).unwrap();
    let sidecar = Sidecar::serve(&pool);
    let prometheus = Prometheus::scraping(sidecar.address);
    let sees = |total: u32| {
        eventually("Prometheus to see what was acknowledged", || {
            let seen = prometheus.single("sum(jobs_total)")?;
            (seen == f64::from(total)).then_some(())
        });
    };
    let mut total = 0;
    for generation in [[30, 12], [5, 3], [0, 1]] {
        let mut workers = [start(&pool, ""), start(&pool, "")];
        for (worker, own) in workers.iter_mut().zip(generation) {
            tell(worker, &format!("work {own}"));
            total += own;
        }
        sees(total);
        workers.iter_mut().for_each(Actor::kill);
        wait_until_all_is_folded(&pool);
        assert_eq!(jobs(&sidecar), f64::from(total));
    }
    assert_eq!(total, 51);
    let resets = || prometheus.single("sum(resets(jobs_total[1h]))");
    assert_eq!(resets(), Some(0.0));

    // One of the old pool goes on, and is nobody's concern any more.
    let mut old = start(&pool, "");
    tell(&mut old, "work 4");
    sees(55);
    fs::rename(&pool, parent.join("old")).unwrap();
    fs::create_dir(&pool).unwrap();
    tell(&mut old, "work 100");
    let mut new = start(&pool, "");
    tell(&mut new, "work 7");
    sees(7);
    tell(&mut new, "work 2");
    sees(9);
    new.kill();
    wait_until_all_is_folded(&pool);
    assert_eq!(jobs(&sidecar), 9.0);
    assert_eq!(resets(), Some(1.0));
    for counter in ["jobs_total", "seconds_bucket", "seconds_count", "sizes_sum"] {
        for (labels, values) in prometheus.range(counter) {
            let falls = values.windows(2).filter(|pair| pair[1] < pair[0]).count();
            let scale = if counter == "sizes_sum" { 100.0 } else { 1.0 };
            // A bucket below every observation has nothing to lose.
            let is_empty = values.iter().all(|value| *value == 0.0);
            assert_eq!(falls, usize::from(!is_empty), "{labels:?}: {values:?}");
            let known = [0, 30, 42, 47, 50, 51, 55, 7, 9].map(|jobs| f64::from(jobs) * scale);
            let odd: Vec<_> = values
                .iter()
                .filter(|value| !known.contains(value))
                .collect();
            assert!(odd.is_empty(), "{labels:?}: {odd:?}");
        }
    }
    assert_eq!(prometheus.single("min_over_time(up[1h])"), Some(1.0));
}

// [merge.store.boot] [ledger.boot]
#[test]
fn what_another_boot_has_left_is_set_aside_and_told_and_never_counted() {
    let pool = TempDir::new();
    fold_once(pool.path(), 5);
    lives_and_dies(pool.path(), 3);
    let ledger = pool.join(LEDGER_NAME);
    let [store] = &files::named(pool.path(), "")
        .into_iter()
        .filter(|path| *path != ledger)
        .collect::<Vec<_>>()[..]
    else {
        panic!("a dead worker leaves one store")
    };
    for path in [&ledger, store] {
        patch(path, |header| header.boot = BootId([7; 16]));
    }
    let earlier = fs::read(&ledger).unwrap();

    let mut worker = start(pool.path(), "");
    tell(&mut worker, "work 2");
    let sidecar = Sidecar::serve(pool.path());
    assert_eq!(jobs(&sidecar), 2.0);
    let of_ledger = |line: &str| line.contains("Set aside the ledger of an earlier boot.");
    sidecar.process.wait_for_line("the ledger", of_ledger);
    let name = store.file_name().unwrap().to_string_lossy();
    let of_store = |line: &str| line.contains(&*name) && line.contains("earlier_boot");
    sidecar.process.wait_for_line("the store", of_store);
    let finished = check(pool.path());
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    let told = "2 findings:\n\nearlier_boot: 2 files\n";
    assert!(finished.stdout.starts_with(told), "{finished:?}");
    for name in [LEDGER_NAME, &name] {
        assert!(finished.stdout.contains(name), "{finished:?}");
    }
    assert_eq!(fs::read(&ledger).unwrap(), earlier, "it was touched");

    worker.kill();
    eventually("the next fold", || {
        fs::exists(pool.join(EARLIER_LEDGER_NAME))
            .unwrap()
            .then_some(())
    });
    let left = || {
        let mut left = vec![LEDGER_NAME.to_owned(), EARLIER_LEDGER_NAME.to_owned()];
        left.push(name.clone().into_owned());
        left.sort();
        left
    };
    eventually("the worker to be folded", || {
        (names(pool.path()) == left()).then_some(())
    });
    assert_eq!(fs::read(pool.join(EARLIER_LEDGER_NAME)).unwrap(), earlier);
    assert_eq!(jobs(&sidecar), 2.0);
    kill(sidecar);
    assert_eq!(jobs(&Sidecar::serve(pool.path())), 2.0);
    assert!(!check(pool.path()).stdout.contains(LEDGER_NAME));
}

// [ledger.snapshot]: a new sidecar has no past, and still nothing is missing.
#[test]
fn the_first_scrape_of_a_sidecar_after_a_kill_has_all_that_was_acknowledged_under_load() {
    let pool = TempDir::new();
    let (acknowledged, begun, ends) =
        (AtomicU32::new(0), AtomicU32::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let (pool, acknowledged, begun, ends) = (pool.path(), &acknowledged, &begun, &ends);
        // However the scope ends, the workers do.
        let end = Ends(ends);
        for _ in 0..3 {
            scope.spawn(move || {
                while !ends.load(Ordering::Relaxed) {
                    let mut worker = start(pool, "");
                    for _ in 0..20 {
                        begun.fetch_add(10, Ordering::SeqCst);
                        tell(&mut worker, "work 10");
                        acknowledged.fetch_add(10, Ordering::SeqCst);
                    }
                    worker.kill();
                }
            });
        }
        let mut last = 0.0;
        for _ in 0..8 {
            let sidecar = Sidecar::serve(pool);
            for _ in 0..5 {
                let least = acknowledged.load(Ordering::SeqCst);
                let seen = jobs(&sidecar);
                let most = begun.load(Ordering::SeqCst);
                assert!(f64::from(least) <= seen, "{seen} of {least}");
                assert!(seen <= f64::from(most), "{seen} of {most}");
                assert!(last <= seen, "{seen} after {last}");
                last = seen;
            }
            kill(sidecar);
        }
        drop(end);
    });
    let total = acknowledged.into_inner();
    assert!(total > 0);
    let sidecar = Sidecar::serve(pool.path());
    assert_eq!(jobs(&sidecar), f64::from(total));
    wait_until_all_is_folded(pool.path());
    assert_eq!(jobs(&sidecar), f64::from(total));
}

/// Raises a flag when it goes.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
