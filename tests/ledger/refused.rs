//! A ledger that cannot be read: nothing is served rather than totals without the dead, nothing is
//! touched, and who knew the totals goes on with them.

use std::fs;

use headcount_format::layout::LEDGER_NAME;

use super::death::{compact, fold_state, jobs, names, wait_for_state, wait_until_all_is_folded};
use super::death::{fold_once, kill};
use crate::pool::worker::{start, tell};
use crate::support::processes::run;
use crate::support::sidecar::{Sidecar, check, headcount};
use crate::support::{TempDir, eventually, files};

// [ledger.version]
#[test]
fn a_ledger_of_a_newer_version_is_refused_until_one_that_can_be_read_is_there() {
    is_refused(|bytes| bytes[8] = 2, "version 2");
}

// [ledger.version]
#[test]
fn a_damaged_ledger_is_refused_until_one_that_can_be_read_is_there() {
    is_refused(|bytes| bytes[20] ^= 1, "checksum");
}

// [ledger.version]
#[test]
fn a_truncated_ledger_is_refused_until_one_that_can_be_read_is_there() {
    is_refused(|bytes| bytes.truncate(bytes.len() / 2), "");
}

// [ledger.name]
#[test]
fn a_store_under_the_name_of_a_ledger_is_refused() {
    let elsewhere = TempDir::new();
    let mut worker = start(elsewhere.path(), "");
    tell(&mut worker, "work 3");
    let store = &files::named(elsewhere.path(), "")[0];
    let store = fs::read(store).unwrap();
    is_refused(|bytes| bytes.clone_from(&store), "");
}

/// Spoils a ledger while one sidecar has read it, and starts one that has not.
fn is_refused(spoil: impl FnOnce(&mut Vec<u8>), reason: &str) {
    let pool = TempDir::new();
    fold_once(pool.path(), 5);
    let mut worker = start(pool.path(), "");
    tell(&mut worker, "work 3");
    let witness = Sidecar::serve(pool.path());
    assert_eq!(jobs(&witness), 8.0);

    let ledger = pool.join(LEDGER_NAME);
    let good = fs::read(&ledger).unwrap();
    let mut bad = good.clone();
    spoil(&mut bad);
    // As every ledger comes to its name: by a rename.
    let put = |bytes: &[u8]| {
        let new = pool.join(".new");
        fs::write(&new, bytes).unwrap();
        fs::rename(new, &ledger).unwrap();
    };
    put(&bad);
    let before = (names(pool.path()), fs::metadata(&ledger).unwrap());
    worker.kill();
    wait_for_state(&witness, "refused");
    assert_eq!(jobs(&witness), 8.0);

    let newcomer = Sidecar::serve(pool.path());
    let response = newcomer.get("/metrics");
    assert_eq!(response.status, 503, "{}", response.text());
    assert_eq!(newcomer.get("/-/healthy").status, 200);
    let own = newcomer.self_metrics();
    assert_eq!(own.sum("headcount_ledger_refused", &[]), 1.0, "{own:?}");
    assert_eq!(own.samples.len(), own_samples(&witness), "{own:?}");
    let line = newcomer.process.wait_for_line("the ledger", |line| {
        line.contains("Cannot read the ledger.")
    });
    let collected = run_on("collect", &pool);
    assert_eq!(collected.0, Some(2), "{}", collected.1);
    // [fold.lock]: who refuses it folds nothing, and stands in nobody's way.
    let compacted = eventually("the sidecars to let go", || {
        let compacted = compact(pool.path(), &[]);
        (!compacted.stderr.contains("another headcount")).then_some(compacted)
    });
    assert_eq!(compacted.stdout, "");
    assert_eq!(compacted.status.code(), Some(2), "{compacted:?}");
    assert_eq!(fs::read(&ledger).unwrap(), bad);
    // Who scrapes is told where to look, and a person what to do.
    for part in [
        "ledger of a directory cannot be read",
        "headcount check DIR",
    ] {
        assert!(response.text().contains(part), "{}", response.text());
    }
    for told in [&line, &collected.1, &compacted.stderr] {
        for part in ["headcount.ledger cannot be read", reason, "move it away"] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }

    // Whatever else is wrong, this comes first.
    files::write(&pool.join("counter_1.db"), &files::random_bytes(4096));
    let checked = check(pool.path());
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    let first = "2 findings of 2 kinds, worst first:\n\nledger refused: 1 file\n";
    assert!(checked.stdout.starts_with(first), "{checked:?}");
    assert!(checked.stdout.contains(reason), "{checked:?}");
    fs::remove_file(pool.join("counter_1.db")).unwrap();

    for _ in 0..3 {
        assert_eq!(jobs(&witness), 8.0);
        assert_eq!(newcomer.get("/metrics").status, 503);
    }
    assert_eq!(fold_state(&witness.self_metrics()), "refused");
    let after = fs::metadata(&ledger).unwrap();
    assert_eq!(names(pool.path()), before.0);
    assert_eq!(fs::read(&ledger).unwrap(), bad);
    assert_eq!(after.modified().unwrap(), before.1.modified().unwrap());

    put(&good);
    // Who waits for nothing goes on at its next look.
    for sidecar in [&newcomer, &witness] {
        assert_eq!(jobs(sidecar), 8.0);
        let own = sidecar.self_metrics();
        assert_eq!(own.sum("headcount_ledger_refused", &[]), 0.0, "{own:?}");
    }
    wait_until_all_is_folded(pool.path());
    for sidecar in [newcomer, witness] {
        assert_eq!(jobs(&sidecar), 8.0);
        kill(sidecar);
    }
    assert_eq!(jobs(&Sidecar::serve(pool.path())), 8.0);
}

/// How many samples a sidecar has of itself.
fn own_samples(sidecar: &Sidecar) -> usize {
    sidecar.self_metrics().samples.len()
}

fn run_on(subcommand: &str, pool: &TempDir) -> (Option<i32>, String) {
    let mut command = headcount(subcommand);
    command.arg(pool.path());
    let finished = run(command);
    assert_eq!(finished.stdout, "", "nothing rather than half of it");
    (finished.status.code(), finished.stderr)
}
