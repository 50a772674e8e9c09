//! Who folds: whoever can, and nobody who cannot stands in the way; and what comes of what somebody
//! does to a folder's files meanwhile.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use headcount_format::layout::LEDGER_NAME;
use rustix::process::Signal;

use super::death::{
    compact, fold_once, fold_state, jobs, kill, lives_and_dies, names, wait_for_state,
    wait_until_all_is_folded,
};
use crate::liveness::worker::{Client, at_work};
use crate::pool::worker::tell;
use crate::sidecar::life::stranger;
use crate::support::exposition::Exposition;
use crate::support::processes::{Process, run};
use crate::support::sidecar::{ANY_PORT, Sidecar, collect, headcount};
use crate::support::{TempDir, eventually, files};

// [fold.lock] [fold.deny]
#[test]
fn a_sidecar_that_may_only_read_leaves_folding_to_whoever_can() {
    let (_program, stranger) = stranger();
    let pool = TempDir::new();
    files::set_mode(pool.path(), 0o755);
    let mut serve = stranger("serve");
    serve.arg(ANY_PORT).arg(pool.path());
    let sidecar = Sidecar::start(serve);
    lives_and_dies(pool.path(), 5);
    readable(pool.path());
    wait_for_state(&sidecar, "memory");
    let finished = compact(pool.path(), &[]);
    assert!(finished.status.success(), "{finished:?}");
    assert_eq!(names(pool.path()), [LEDGER_NAME]);
    readable(pool.path());
    assert_eq!(jobs(&sidecar), 5.0);
}

// [fold.lock] [ledger.version]
#[test]
fn a_sidecar_that_refuses_a_ledger_leaves_it_to_whoever_can_read_it() {
    let pool = TempDir::new();
    fold_once(pool.path(), 5);
    let ledger = pool.join(LEDGER_NAME);
    let good = fs::read(&ledger).unwrap();
    let mut bad = good.clone();
    bad[8] = 2;
    fs::write(&ledger, &bad).unwrap();
    let sidecar = Sidecar::serve(pool.path());
    lives_and_dies(pool.path(), 2);
    wait_for_state(&sidecar, "refused");
    // It says what is wrong, and not that somebody folds here.
    let finished = compact(pool.path(), &[]);
    assert_eq!(finished.status.code(), Some(2));
    assert!(finished.stderr.contains("version 2"), "{finished:?}");
    let unready = sidecar.get("/-/ready");
    assert_eq!(unready.status, 503);
    assert!(unready.text().contains("a ledger"), "{}", unready.text());
    fs::write(&ledger, &good).unwrap();
    eventually("the sidecar to be ready", || {
        (sidecar.get("/-/ready").status == 200).then_some(())
    });
    wait_until_all_is_folded(pool.path());
    assert_eq!(jobs(&sidecar), 7.0);
}

// [fold.lock]
#[test]
fn compact_beside_a_sidecar_says_what_that_leaves() {
    let pool = TempDir::new();
    let sidecar = Sidecar::serve(pool.path());
    lives_and_dies(pool.path(), 5);
    wait_until_all_is_folded(pool.path());
    python_dies(pool.path(), "1", 4);
    let finished = compact(pool.path(), &[]);
    assert!(finished.status.success(), "{finished:?}");
    // A sidecar that cannot give way.
    sidecar.process.signal(Signal::STOP);
    let finished = compact(pool.path(), &["--fold"]);
    sidecar.process.signal(Signal::CONT);
    assert_eq!(finished.status.code(), Some(2), "{finished:?}");
    for part in ["another headcount folds", "2 files", "--fold"] {
        assert!(finished.stderr.contains(part), "{part}: {finished:?}");
    }
    assert_eq!(jobs(&sidecar), 9.0);
    // One that can.
    let finished = compact(pool.path(), &["--fold"]);
    assert!(finished.status.success(), "{finished:?}");
    assert_eq!(names(pool.path()), [LEDGER_NAME]);
    assert_eq!(jobs(&sidecar), 9.0);
    kill(sidecar);
    let sidecar = Sidecar::serve_with(pool.path(), &["--fold"]);
    python_dies(pool.path(), "2", 1);
    wait_for_state(&sidecar, "folds");
    let finished = compact(pool.path(), &["--fold"]);
    assert!(finished.status.success(), "{finished:?}");
    assert_eq!(names(pool.path()), [LEDGER_NAME]);
    assert_eq!(jobs(&sidecar), 10.0);
}

// [fold.lock]
#[test]
fn a_sidecar_that_folds_more_takes_over_as_long_as_it_runs() {
    let pool = TempDir::new();
    let less = Sidecar::serve(pool.path());
    wait_for_state(&less, "folds");
    let more = Sidecar::serve_with(pool.path(), &["--fold"]);
    for round in 1..=3 {
        python_dies(pool.path(), "1", 2);
        lives_and_dies(pool.path(), 1);
        wait_until_all_is_folded(pool.path());
        wait_for_state(&more, "folds");
        wait_for_state(&less, "elsewhere");
        for sidecar in [&less, &more] {
            assert_eq!(jobs(sidecar), f64::from(3 * round));
        }
    }
    kill(more);
    lives_and_dies(pool.path(), 1);
    wait_until_all_is_folded(pool.path());
    wait_for_state(&less, "folds");
    assert_eq!(jobs(&less), 10.0);
}

// [fold.peer]: a name to which nothing can be added; the others' are folded.
#[test]
fn a_file_that_cannot_be_renamed_keeps_no_other_from_being_folded() {
    let pool = TempDir::new();
    let long = "a".repeat(235);
    python_dies(pool.path(), &long, 4);
    python_dies(pool.path(), "zz", 2);
    lives_and_dies(pool.path(), 1);
    let finished = compact(pool.path(), &["--fold"]);
    assert_eq!(finished.status.code(), Some(2), "{finished:?}");
    let (told, counter) = (&finished.stdout, format!("counter_{long}.db"));
    assert!(told.contains("folded 3 files"), "{told}");
    assert!(told.contains("cannot be renamed"), "{told}");
    assert_eq!(
        names(pool.path()),
        [
            counter,
            format!("gauge_livesum_{long}.db"),
            LEDGER_NAME.into()
        ]
    );
    let sidecar = Sidecar::serve_with(pool.path(), &["--fold"]);
    wait_for_state(&sidecar, "failed");
    lives_and_dies(pool.path(), 3);
    eventually("the store to be folded", || {
        (names(pool.path()).len() == 3).then_some(())
    });
    assert_eq!(jobs(&sidecar), 10.0);
    assert_eq!(fold_state(&sidecar.self_metrics()), "failed");
}

// [fold.order]: who may make files and not delete those of others, as in a sticky directory.
#[test]
fn files_that_are_folded_and_cannot_be_deleted_count_once_and_are_told_of() {
    let (_program, stranger) = stranger();
    let pool = TempDir::new();
    files::set_mode(pool.path(), 0o1777);
    lives_and_dies(pool.path(), 5);
    readable(pool.path());
    let mut serve = stranger("serve");
    serve.arg(ANY_PORT).arg(pool.path());
    let sidecar = Sidecar::start(serve);
    let line = sidecar
        .process
        .wait_for_line("the fold", |line| line.contains("Cannot fold."));
    assert!(line.contains("cannot be deleted"), "{line}");
    assert_eq!(names(pool.path()).len(), 2);
    assert_eq!(jobs(&sidecar), 5.0);
    assert!(collect(pool.path(), "text").contains("jobs_total 5.0\n"));
    let unchanged = fs::metadata(pool.join(LEDGER_NAME)).unwrap().ino();
    // As long as they stay there is something to do, and the state does not change.
    for name in ["a", "b", "c"] {
        fs::write(pool.join(name), "").unwrap();
        sidecar.metrics();
        assert_eq!(fold_state(&sidecar.self_metrics()), "failed");
    }
    assert_eq!(
        fs::metadata(pool.join(LEDGER_NAME)).unwrap().ino(),
        unchanged
    );
    for store in files::named(pool.path(), "") {
        if store.extension().is_some_and(|end| end == "store") {
            fs::remove_file(store).unwrap();
        }
    }
    wait_for_state(&sidecar, "folds");
    assert_eq!(jobs(&sidecar), 5.0);
}

// [ledger.lineage]
#[test]
fn a_ledger_that_somebody_deletes_is_written_again_with_the_next_fold() {
    let pool = TempDir::new();
    let sidecar = Sidecar::serve(pool.path());
    lives_and_dies(pool.path(), 5);
    wait_until_all_is_folded(pool.path());
    let ledger = pool.join(LEDGER_NAME);
    let older = fs::read(&ledger).unwrap();
    assert_eq!(jobs(&sidecar), 5.0);
    for (died, total) in [(2, 7.0), (1, 8.0)] {
        fs::remove_file(&ledger).unwrap();
        assert_eq!(jobs(&sidecar), total - f64::from(died));
        lives_and_dies(pool.path(), died);
        wait_until_all_is_folded(pool.path());
        assert_eq!(jobs(&sidecar), total);
        assert_eq!(jobs(&Sidecar::serve(pool.path())), total);
    }
    // An earlier one in its place is refused.
    fs::remove_file(&ledger).unwrap();
    assert_eq!(jobs(&sidecar), 8.0);
    fs::write(&ledger, older).unwrap();
    lives_and_dies(pool.path(), 1);
    wait_for_state(&sidecar, "refused");
    assert_eq!(jobs(&sidecar), 9.0);
    fs::remove_file(&ledger).unwrap();
    wait_until_all_is_folded(pool.path());
    assert_eq!(jobs(&sidecar), 9.0);
    assert_eq!(jobs(&Sidecar::serve(pool.path())), 9.0);
}

// [ledger.forget]
#[test]
fn a_folded_store_that_comes_back_goes_again_with_the_next_fold() {
    let pool = TempDir::new();
    lives_and_dies(pool.path(), 5);
    let store = &files::named(pool.path(), "")[0];
    let bytes = fs::read(store).unwrap();
    let sidecar = Sidecar::serve(pool.path());
    wait_until_all_is_folded(pool.path());
    fs::write(store, bytes).unwrap();
    assert_eq!(jobs(&sidecar), 5.0);
    lives_and_dies(pool.path(), 1);
    wait_until_all_is_folded(pool.path());
    assert_eq!(jobs(&sidecar), 6.0);
    assert_eq!(jobs(&Sidecar::serve(pool.path())), 6.0);
}

// [ledger.forget] [ledger.switch] [ledger.snapshot] [merge.directory.renamed]
#[test]
fn who_has_missed_more_than_a_ledger_lists_counts_nothing_twice() {
    for pool in [TempDir::new(), TempDir::on_disk()] {
        stands_still(&pool);
    }
}

/// Folds more than a ledger lists while one reader stands still and others look once.
fn stands_still(pool: &TempDir) {
    let (_program, stranger) = stranger();
    files::set_mode(pool.path(), 0o755);
    python_dies(pool.path(), "1", 1);
    // Twice as many as are folded at once, and as are listed.
    files::multiply(pool.path(), "counter_1", 2200);
    readable(pool.path());
    let mut serve = stranger("serve");
    serve.arg(ANY_PORT).arg(pool.path());
    let sidecar = Sidecar::start(serve);
    let total = jobs(&sidecar);
    assert!(total > 2200.0, "{total}");
    sidecar.process.signal(Signal::STOP);
    let mut command = headcount("compact");
    command.arg("--fold").arg(pool.path());
    let mut folder = Process::start(command);
    while folder.is_running() {
        let told = collect(pool.path(), "text");
        assert_eq!(Exposition::parse(&told).sum("jobs_total", &[]), total);
    }
    let finished = folder.wait();
    assert!(finished.status.success(), "{finished:?}");
    assert_eq!(names(pool.path()), [LEDGER_NAME]);
    readable(pool.path());
    sidecar.process.signal(Signal::CONT);
    for _ in 0..3 {
        assert_eq!(jobs(&sidecar), total);
    }
}

// [ledger.mode]
#[test]
fn a_ledger_is_for_whoever_could_read_what_is_in_it() {
    let pool = TempDir::new();
    let mode = || {
        let metadata = fs::metadata(pool.join(LEDGER_NAME)).unwrap();
        (metadata.mode() & 0o777, metadata.gid())
    };
    // Another group's, and more than the folder's umask lets be.
    python_dies(pool.path(), "1", 1);
    for file in files::named(pool.path(), "") {
        files::set_mode(&file, 0o644);
        chown(&file, None, Some(4711)).expect("root gives files away: run the tests as root");
    }
    // A container says so in its environment, in any of the usual words.
    let mut command = headcount("compact");
    command.arg(pool.path()).env("HEADCOUNT_FOLD", "1");
    assert!(run(command).status.success());
    assert_eq!(mode(), (0o644, 4711));
    lives_and_dies(pool.path(), 1);
    assert!(compact(pool.path(), &[]).status.success());
    assert_eq!(mode(), (0o640, 4711));
    python_dies(pool.path(), "2", 1);
    for file in files::named(pool.path(), "counter") {
        files::set_mode(&file, 0o600);
    }
    assert!(compact(pool.path(), &["--fold"]).status.success());
    assert_eq!(mode(), (0o600, 4711));
}

/// Lets a worker of Python's client count so many jobs, and kills it.
fn python_dies(pool: &Path, name: &str, jobs: u32) {
    let mut worker = at_work(Client::Python.command(pool, &[name]), 2);
    tell(&mut worker, &format!("work {}", jobs - 1));
    worker.kill();
}

/// Lets everybody read what lies in a directory.
fn readable(directory: &Path) {
    for file in files::named(directory, "") {
        files::set_mode(&file, 0o644);
    }
}
