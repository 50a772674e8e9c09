//! Damaged files in a pool's directory: each is counted and named, and costs only itself.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::exposition::Exposition;
use crate::support::files::{self, cut_off, random_bytes, write};
use crate::support::prometheus::promtool_check_metrics;
use crate::support::python::Corpus;
use crate::support::sidecar::{ANY_PORT, Sidecar, check, headcount};
use crate::support::{eventually, workspace};

#[test]
fn a_file_without_a_byte_is_a_worker_that_is_about_to_write() {
    let pool = Corpus::start("pool");
    File::create(pool.directory.join("counter_1.db")).unwrap();
    let sidecar = Sidecar::serve(&pool.directory);
    assert_served(&sidecar, &pool);
    let own = sidecar.self_metrics();
    assert_eq!(own.sum("headcount_bad_files", &[]), 0.0);
    assert_eq!(own.sum("headcount_files", &["state=\"empty\""]), 1.0);
    assert_eq!(check(&pool.directory).status.code(), Some(0));
}

#[test]
fn a_file_of_three_bytes_costs_only_itself() {
    costs_only_itself("counter_1.db", &["truncated"], |path| {
        write(path, b"\x40\0\0")
    });
}

#[test]
fn a_file_of_seven_bytes_costs_only_itself() {
    let header = b"\x40\0\0\0\0\0\0";
    costs_only_itself("counter_1.db", &["truncated"], |path| write(path, header));
}

#[test]
fn a_file_cut_off_in_the_middle_costs_only_itself() {
    costs_only_itself("counter_1.db", &["torn_tail", "truncated"], |path| {
        write(path, &cut_off(&a_counter_file(path)));
    });
}

#[test]
fn a_file_of_random_bytes_costs_only_itself() {
    costs_only_itself("gauge_all_2.db", &[], |path| {
        write(path, &random_bytes(65536))
    });
}

#[test]
fn a_store_of_random_bytes_costs_only_itself() {
    costs_only_itself(STORE, &["foreign"], |path| {
        write(path, &random_bytes(65536))
    });
}

#[test]
fn files_of_other_programs_are_left_alone() {
    let pool = Corpus::start("pool");
    for name in [
        "README",
        ".hidden",
        "counter_1.db~",
        "core.4711",
        "-rf",
        "counter_1.tmp",
    ] {
        fs::write(pool.directory.join(name), random_bytes(100)).unwrap();
    }
    let sidecar = Sidecar::serve(&pool.directory);
    assert_served(&sidecar, &pool);
    assert_eq!(sidecar.self_metrics().sum("headcount_bad_files", &[]), 0.0);
}

#[test]
fn a_file_that_is_damaged_while_it_is_served_keeps_its_last_good_counts() {
    let pool = Corpus::start("pool");
    let sidecar = Sidecar::serve(&pool.directory);
    assert_served(&sidecar, &pool);
    let victim = files::named(&pool.directory, "counter_").swap_remove(0);
    File::options()
        .write(true)
        .open(&victim)
        .unwrap()
        .set_len(16)
        .unwrap();
    eventually("the damage to be counted", || {
        // A scrape that is under way when the file shrinks must not fail either.
        assert_eq!(
            sidecar.metrics().value("jobs_total{queue=\"mail\"}"),
            Some(6.0)
        );
        (sidecar.self_metrics().sum("headcount_bad_files", &[]) >= 1.0).then_some(())
    });
    assert_served(&sidecar, &pool);
}

#[test]
fn a_label_value_of_a_mebibyte_costs_at_most_itself() {
    let pool = Corpus::start("long_label");
    let sidecar = Sidecar::serve(&pool.directory);
    let response = sidecar.get("/metrics");
    assert_eq!(response.status, 200);
    let text = response.text();
    let served = Exposition::parse(&text);
    // Worker 1 has the long label, in an entry behind its own share of the mails.
    let mails = served.value("jobs_total{queue=\"mail\"}");
    assert!(mails == Some(6.0) || mails == Some(4.0), "{mails:?}");
    if mails == Some(4.0) {
        assert_eq!(sidecar.self_metrics().sum("headcount_bad_files", &[]), 1.0);
    }
    for sample in served
        .samples
        .keys()
        .filter(|sample| sample.starts_with("jobs_total"))
    {
        assert!(
            pool.exposition().samples.contains_key(sample),
            "a label value was cut off"
        );
    }
    assert!(matches!(
        promtool_check_metrics(&text).status.code(),
        Some(0 | 3)
    ));
}

#[test]
fn one_name_with_three_types_is_served_in_a_form_that_prometheus_takes() {
    let pool = Corpus::start("conflict");
    let sidecar = Sidecar::serve(&pool.directory);
    let text = sidecar.get("/metrics").text();
    assert!(
        matches!(promtool_check_metrics(&text).status.code(), Some(0 | 3)),
        "{text}"
    );
    assert_eq!(Exposition::parse(&text).value("helped_total"), Some(3.0));
    let found = check(&pool.directory);
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    assert!(found.stdout.contains("clash"), "{found:?}");
    let conflicts = |kind| {
        let own = sidecar.self_metrics();
        own.sum("headcount_conflicts", &[&format!("kind=\"{kind}\"")])
    };
    assert!(conflicts("name") >= 1.0);
    assert_eq!(conflicts("worker"), 0.0);
}

#[test]
fn what_is_passed_over_is_told_and_is_nothing_to_worry_about() {
    let pool = Corpus::start("pool");
    let exemplars = "exemplar_1-0.db";
    write(&pool.directory.join(exemplars), &random_bytes(4096));
    let sidecar = Sidecar::serve(&pool.directory);
    for _ in 0..2 {
        assert_served(&sidecar, &pool);
    }
    let own = sidecar.self_metrics();
    assert_eq!(own.sum("headcount_bad_files", &[]), 0.0);
    assert_eq!(own.sum("headcount_files", &["state=\"passed_over\""]), 1.0);
    let found = check(&pool.directory);
    assert_eq!(found.status.code(), Some(0), "{found:?}");
    assert!(found.stdout.contains("nothing is wrong"), "{found:?}");
    assert!(found.stdout.contains(exemplars), "{found:?}");
    let line = "Passed a file over";
    let log = sidecar.process.stderr.text();
    assert_eq!(log.matches(line).count(), 1, "{log}");
}

#[test]
fn two_thousand_files_are_summed() {
    let crowd = crowd(2000);
    let sidecar = Sidecar::serve(&crowd.directory);
    assert_crowd_is_served(&sidecar, 2000);
}

#[test]
fn two_thousand_files_are_summed_with_256_descriptors() {
    let crowd = crowd(2000);
    let mut command = Command::new("sh");
    let serve = headcount("serve");
    command.args(["-c", "ulimit -n 256; exec \"$0\" \"$@\""]);
    command.arg(serve.get_program()).args(serve.get_args());
    command
        .arg(ANY_PORT)
        .arg(&crowd.directory)
        .current_dir(workspace());
    let sidecar = Sidecar::start(command);
    for _ in 0..3 {
        assert_crowd_is_served(&sidecar, 2000);
    }
}

/// Plants something under `name` beside a healthy pool: the pool is served to the last bit, the
/// damage is counted under one of `reasons` (any, if there are none), and `check` names it.
fn costs_only_itself(name: &str, reasons: &[&str], plant: impl Fn(&Path)) {
    let pool = Corpus::start("pool");
    plant(&pool.directory.join(name));
    let sidecar = Sidecar::serve(&pool.directory);
    for _ in 0..2 {
        assert_served(&sidecar, &pool);
    }
    let own = sidecar.self_metrics();
    assert_eq!(own.sum("headcount_bad_files", &[]), 1.0, "{own:?}");
    if !reasons.is_empty() {
        let counted = |reason: &&str| {
            own.sum("headcount_bad_files", &[&format!("reason=\"{reason}\"")]) == 1.0
        };
        assert!(
            reasons.iter().any(counted),
            "none of {reasons:?} in {own:?}"
        );
    }
    assert_eq!(
        own.sum("headcount_files", &["state=\"damaged\""]),
        1.0,
        "{own:?}"
    );

    let found = check(&pool.directory);
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    assert!(found.stdout.contains(name), "{found:?}");
    let page = sidecar.get("/").text();
    assert!(
        page.contains("<h2>Quarantine</h2>") && page.contains(name),
        "{page}"
    );
}

/// The whole pool is served, each value exact.
pub(super) fn assert_served(sidecar: &Sidecar, pool: &Corpus) {
    let (served, wanted) = (sidecar.metrics(), pool.exposition());
    for (sample, value) in &wanted.samples {
        assert_eq!(served.samples.get(sample), Some(value), "{sample}");
    }
    for (family, metric_type) in &wanted.types {
        assert_eq!(served.types.get(family), Some(metric_type), "{family}");
    }
}

/// The counter file of the worker with the lowest pid, in the directory of `path`.
fn a_counter_file(path: &Path) -> PathBuf {
    let directory = path.parent().expect("an entry has a directory");
    files::named(directory, "counter_").swap_remove(0)
}

/// A pool of `workers`, all but one of which are gone.
fn crowd(workers: u32) -> Corpus {
    let crowd = Corpus::start("crowd");
    files::multiply(&crowd.directory, "counter_", workers - 1);
    crowd
}

fn assert_crowd_is_served(sidecar: &Sidecar, workers: u32) {
    let served = sidecar.metrics();
    assert_eq!(
        served.value("jobs_total{queue=\"mail\"}"),
        Some(f64::from(3 * workers))
    );
    let own = sidecar.self_metrics();
    assert_eq!(own.sum("headcount_bad_files", &[]), 0.0, "{own:?}");
    // One more: the gauge file of the worker that lives.
    assert_eq!(
        own.sum("headcount_files", &["state=\"good\""]),
        f64::from(workers + 1),
        "{own:?}"
    );
}

const STORE: &str = "0123456789abcdef0123456789abcdef.store";
