//! Files of other clients, whose real workers come and go, with `--fold` and without it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use headcount_format::layout::LEDGER_NAME;

use super::death::{compact, jobs, kill, lives_and_dies, names, wait_until_all_is_folded};
use crate::liveness::worker::{Client, at_work, level, start, wait_for_release};
use crate::pool::actor::Actor;
use crate::pool::worker::tell;
use crate::support::processes::Process;
use crate::support::sidecar::{ANY_PORT, Sidecar, collect, headcount};
use crate::support::{TempDir, eventually, files};

/// Those who write `counter_*.db` and reopen it under a name of their own choice.
const PEERS: [Client; 2] = [Client::GitLab, Client::Python];

// [fold.peer]
#[test]
fn workers_of_other_clients_that_come_and_go_are_folded_exactly() {
    let pool = TempDir::new();
    let sidecar = Sidecar::serve_with(pool.path(), &["--fold"]);
    let mut total = 0;
    for round in 1..=4 {
        let mut workers = PEERS.map(|client| start(client, pool.path(), round));
        for (worker, own) in workers.iter_mut().zip([round, 10 * round]) {
            tell(worker, &format!("work {own}"));
            // And one at the start.
            total += own + 1;
        }
        let served = sidecar.metrics();
        assert_eq!(level(&served), f64::from(2 * round));
        assert_eq!(served.sum("jobs_total", &[]), f64::from(total));
        workers.iter_mut().for_each(Actor::kill);
        // The files are renamed, waited for and folded meanwhile.
        while names(pool.path()) != [LEDGER_NAME] {
            let left = names(pool.path());
            assert_eq!(jobs(&sidecar), f64::from(total), "{left:?}");
            eventually("something to happen", || {
                let is_over = names(pool.path()) == [LEDGER_NAME];
                (is_over || names(pool.path()) != left).then_some(())
            });
        }
        let served = sidecar.metrics();
        assert_eq!((level(&served), jobs(&sidecar)), (0.0, f64::from(total)));
    }
    assert_eq!(total, 118);
    kill(sidecar);
    assert_eq!(jobs(&Sidecar::serve(pool.path())), f64::from(total));
}

// [merge.rest] [merge.rest.wake] [gitlab.reuse] [python.pid-reuse]
#[test]
fn without_fold_no_file_is_touched_and_a_successor_goes_on_in_the_one_of_its_name() {
    for client in PEERS {
        let pool = TempDir::new();
        let sidecar = Sidecar::serve(pool.path());
        let mut total = 0;
        let mut left = Vec::new();
        for round in 1..=4 {
            let mut worker = at_work(client.command(pool.path(), &["slot_0"]), 2);
            tell(&mut worker, &format!("work {round}"));
            let before = f64::from(total);
            total += round + 1;
            // [life.hint]: that it was opened is told a moment later.
            eventually("the successor to be seen", || {
                let seen = jobs(&sidecar);
                assert!(before <= seen && seen <= f64::from(total), "{client:?}");
                (seen == f64::from(total)).then_some(())
            });
            worker.kill();
            eventually("the worker to rest", || {
                let own = sidecar.self_metrics();
                (own.value("headcount_workers{state=\"dead\"}") == Some(1.0)).then_some(())
            });
            for _ in 0..2 {
                assert_eq!(jobs(&sidecar), f64::from(total), "{client:?}");
            }
            assert!(left.is_empty() || left == names(pool.path()), "{left:?}");
            left = names(pool.path());
            assert!(!left.is_empty());
        }
        assert_eq!(jobs(&Sidecar::serve(pool.path())), 14.0, "{client:?}");
        assert_eq!(names(pool.path()), left);
    }
}

// [merge.rest.wake]: it has counted, whether or not anybody has looked meanwhile.
#[test]
fn what_a_successor_counts_between_two_looks_is_not_missed() {
    for client in PEERS {
        let pool = TempDir::new();
        let sidecar = Sidecar::serve(pool.path());
        let mut total = 0;
        for round in 1..=4 {
            let mut worker = at_work(client.command(pool.path(), &["slot_0"]), 2);
            tell(&mut worker, &format!("work {round}"));
            total += round + 1;
            worker.kill();
            eventually("what it counted to be seen", || {
                (jobs(&sidecar) == f64::from(total)).then_some(())
            });
        }
    }
}

// [fold.peer]: whoever is faster.
#[test]
fn a_worker_that_takes_the_name_of_one_that_is_being_folded_loses_nothing() {
    let pool = TempDir::new();
    let sidecar = Sidecar::serve_with(pool.path(), &["--fold"]);
    let seen = |is_there: bool| {
        eventually("the predecessor to be folded", || {
            let aside = aside(pool.path());
            (aside.iter().any(|path| is_jobs(path)) == is_there).then_some(())
        });
    };
    let start = |identifier: &str| {
        let command = Client::Python.command(pool.path(), &[identifier]);
        at_work(command, 0)
    };
    let mut worker = start("slot");
    let mut total = 1;
    for round in 0..9 {
        // Ready to open the file of that name at once.
        let mut successor = start(&format!("spare_{round}"));
        tell(&mut worker, "work 5");
        total += 6;
        assert_eq!(jobs(&sidecar), f64::from(total), "{round}");
        worker.kill();
        match round % 3 {
            0 => {}
            1 => seen(true),
            _ => {
                seen(true);
                seen(false);
            }
        }
        tell(&mut successor, "become slot");
        tell(&mut successor, "work 10");
        total += 10;
        for _ in 0..3 {
            assert_eq!(jobs(&sidecar), f64::from(total), "{round}");
        }
        worker = successor;
    }
    worker.kill();
    wait_until_all_is_folded(pool.path());
    assert_eq!(jobs(&sidecar), 145.0);
    kill(sidecar);
    assert_eq!(jobs(&Sidecar::serve(pool.path())), 145.0);
}

// [fold.peer]
#[test]
fn a_ruby_worker_in_the_slot_of_one_that_is_being_folded_loses_nothing() {
    let pool = TempDir::new();
    let sidecar = Sidecar::serve_with(pool.path(), &["--fold"]);
    for round in 1..=5 {
        let mut worker = at_work(Client::GitLab.command(pool.path(), &["puma_0"]), 1);
        tell(&mut worker, "work 9");
        assert_eq!(jobs(&sidecar), f64::from(10 * round));
        worker.kill();
    }
    wait_until_all_is_folded(pool.path());
    assert_eq!(jobs(&sidecar), 50.0);
}

// [fold.peer.writer]
#[test]
fn a_file_that_gets_a_writer_before_it_is_folded_is_read_until_that_lets_go() {
    let pool = TempDir::new();
    let mut worker = at_work(Client::Python.command(pool.path(), &["slot"]), 0);
    tell(&mut worker, "work 4");
    worker.kill();
    // Both of its files, or either might be the first.
    wait_for_release(&files::named(pool.path(), ""));
    let mut command = headcount("serve");
    command
        .args([ANY_PORT, "--fold"])
        .arg(pool.path())
        .env("HEADCOUNT_ABORT_AFTER", "set-aside");
    let status = Process::start(command).exit_status();
    assert!(!status.success(), "{status}");
    let [set_aside] = &aside(pool.path())[..] else {
        panic!("it ended after the first")
    };
    assert!(is_jobs(set_aside), "{}", set_aside.display());

    // Someone who had found the old name.
    let late = File::options()
        .read(true)
        .write(true)
        .open(set_aside)
        .unwrap();
    let sidecar = Sidecar::serve_with(pool.path(), &["--fold"]);
    assert_eq!(jobs(&sidecar), 5.0);
    count(&late, 9.0);
    assert_eq!(jobs(&sidecar), 9.0);
    // Somebody else's files are set aside and folded meanwhile, and so is its gauge.
    start(Client::Python, pool.path(), 1).kill();
    let left = [
        set_aside
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned(),
        LEDGER_NAME.into(),
    ];
    eventually("everybody else to be folded", || {
        (names(pool.path()) == left).then_some(())
    });
    assert_eq!(jobs(&sidecar), 10.0);
    count(&late, 12.0);
    assert_eq!(jobs(&sidecar), 13.0);
    // A new worker of that name has a file of its own.
    let mut successor = at_work(Client::Python.command(pool.path(), &["slot"]), 0);
    assert_eq!(jobs(&sidecar), 14.0);
    kill(sidecar);
    let sidecar = Sidecar::serve_with(pool.path(), &["--fold"]);
    assert_eq!(jobs(&sidecar), 14.0);
    assert!(fs::exists(set_aside).unwrap());
    count(&late, 20.0);
    drop(late);
    eventually("it to be folded", || {
        (!fs::exists(set_aside).unwrap()).then_some(())
    });
    assert_eq!(jobs(&sidecar), 22.0);
    successor.kill();
    wait_until_all_is_folded(pool.path());
    assert_eq!(jobs(&sidecar), 22.0);
}

// [fold.peer]: off unless the operator says so.
#[test]
fn compact_folds_the_files_of_other_clients_only_when_told_to() {
    let pool = TempDir::new();
    for client in PEERS {
        start(client, pool.path(), 3).kill();
    }
    let peers = names(pool.path());
    assert_eq!(peers.len(), 4);
    lives_and_dies(pool.path(), 5);
    let jobs = || {
        let text = collect(pool.path(), "text");
        let line = text.lines().find(|line| line.starts_with("jobs_total "));
        line.map(str::to_owned)
    };
    assert_eq!(jobs().as_deref(), Some("jobs_total 7.0"));
    let folds = |flags: &[&str]| {
        let finished = compact(pool.path(), flags);
        assert!(finished.status.success(), "{finished:?}");
        assert_eq!(jobs().as_deref(), Some("jobs_total 7.0"));
        let (_, told) = finished.stdout.split_once(": ").unwrap();
        told.to_owned()
    };
    let told = folds(&[]);
    assert!(
        told.starts_with("folded 1 file of dead workers, "),
        "{told}"
    );
    let mut left = peers.clone();
    left.push(LEDGER_NAME.to_owned());
    left.sort();
    assert_eq!(names(pool.path()), left);
    assert_eq!(folds(&[]), "nothing to fold\n");
    let told = folds(&["--fold"]);
    assert!(
        told.starts_with("folded 4 files of dead workers, "),
        "{told}"
    );
    assert_eq!(names(pool.path()), [LEDGER_NAME]);
    assert_eq!(folds(&["--fold"]), "nothing to fold\n");
}

/// The files that have their folding names.
fn aside(directory: &Path) -> Vec<PathBuf> {
    let mut paths = files::named(directory, "");
    paths.retain(|path| path.extension().is_some_and(|suffix| suffix == "folding"));
    paths
}

fn is_jobs(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("counter_slot.db.")
}

/// Raises the only value of a counter's file of prometheus_client, as its worker would.
fn count(file: &File, value: f64) {
    let mut used = [0; 4];
    file.read_exact_at(&mut used, 0).expect("it has a header");
    // The entry ends in the value and its time.
    let offset = u64::from(u32::from_le_bytes(used)) - 16;
    file.write_all_at(&value.to_le_bytes(), offset)
        .expect("it can be written");
}
