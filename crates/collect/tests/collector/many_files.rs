//! Pools in which many files come and go at once, and files that are larger than they look.

use std::fs;

use headcount_collect::budget::Budgets;
use headcount_collect::report::Liveness;

use crate::allocator;
use crate::pool::Pool;
use crate::python::{PythonFile, counter};

fn with_files(count: usize, files: &[(&str, Vec<u8>)]) -> Pool {
    let mut pool = Pool::with(files);
    let mut budgets = Budgets::default();
    budgets.files = count;
    pool.collector.set_budgets(budgets);
    pool
}

/// Two files, for which there is just room.
fn full() -> Pool {
    let mut pool = with_files(
        2,
        &[
            ("counter_1.db", counter("c", 1.0)),
            ("counter_2.db", counter("c", 2.0)),
        ],
    );
    assert_eq!(pool.pass().lines(), ["c_total 3.0"]);
    pool
}

// [merge.budget.files]
//
// What there was room for was once worked out before the names that are gone were taken off, so
// that each generation of workers but the first was left out for one pass.
#[test]
fn a_file_that_is_gone_makes_room_in_the_same_pass() {
    let mut pool = full();
    pool.directory.remove("counter_1.db");
    pool.directory.remove("counter_2.db");
    for name in ["counter_3.db", "counter_4.db", "counter_5.db"] {
        pool.directory.write(name, &counter("c", 10.0));
    }
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["c_total 23.0"]);
    assert_eq!(pass.0.directories[0].files_left_out, 1);
    assert_eq!(pass.0.files.len(), 2);
    // The third comes in with the next that goes.
    pool.directory.remove("counter_3.db");
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["c_total 33.0"]);
    assert_eq!(pass.0.directories[0].files_left_out, 0);
}

// [merge.budget.files]
#[test]
fn a_file_that_a_watch_has_seen_go_makes_room_too() {
    let mut pool = full();
    pool.directory.remove("counter_1.db");
    pool.collector.sync();
    pool.directory.write("counter_3.db", &counter("c", 10.0));
    pool.collector.sync();
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["c_total 13.0"]);
    assert_eq!(pass.0.directories[0].files_left_out, 0);
}

// [merge.budget.files]
#[test]
fn names_in_a_full_directory_stay_known_and_greater_ones_wait() {
    // The order of the listing is nobody's: known names are between those that are not.
    let mut pool = with_files(3, &[("counter_5.db", counter("c", 1.0))]);
    assert_eq!(pool.pass().lines(), ["c_total 1.0"]);
    for number in [9, 2, 7, 1, 8, 3, 6, 4] {
        let name = format!("counter_{number}.db");
        pool.directory.write(&name, &counter("c", 10.0));
    }
    let pass = pool.pass();
    let names = ["counter_1.db", "counter_2.db", "counter_5.db"];
    assert_eq!(pass.0.files.len(), names.len());
    for name in names {
        assert_eq!(pass.state(name), "good");
    }
    assert_eq!(pass.0.directories[0].files_left_out, 6);
}

// [merge.budget.files] [merge.file.nameless]
#[test]
fn a_file_without_a_name_takes_room_as_long_as_its_worker_lives() {
    let mut pool = with_files(1, &[("counter_1.db", counter("c", 1.0))]);
    assert_eq!(pool.pass_with(|_| Liveness::Live).lines(), ["c_total 1.0"]);
    pool.directory.remove("counter_1.db");
    pool.pass_with(|_| Liveness::Live);
    pool.directory.write("counter_2.db", &counter("c", 10.0));
    let lives = |name: &str| match name {
        "counter_1.db" => Liveness::Live,
        _ => Liveness::Unknown,
    };
    let pass = pool.pass_with(lives);
    assert_eq!(pass.lines(), ["c_total 1.0"]);
    assert_eq!(pass.0.directories[0].files_left_out, 1);
    let ends = |_: &str| Liveness::Dead;
    pool.pass_with(ends);
    assert_eq!(pool.pass_with(ends).lines(), ["c_total 11.0"]);
}

// [merge.budget.files]
//
// A watch looks at the directory at each change, and nobody may ask for values for days.
#[test]
fn files_that_come_and_go_between_two_passes_do_not_pile_up() {
    let mut pool = with_files(2, &[]);
    for number in 0..20 {
        let name = format!("counter_{number}.db");
        pool.directory.write(&name, &counter("c", 1.0));
        pool.collector.sync();
        pool.directory.remove(&name);
        pool.collector.sync();
    }
    // The two that may be there, and as many that wait to be read once more.
    let lines = pool.pass().lines();
    assert_eq!(lines, ["c_total 4.0"]);
}

// [merge.file.nameless] [merge.departed]
//
// Each file that came was once looked for among all that had gone, and each that went among all
// that had come: a deployment of thousands of workers took seconds.
#[test]
fn many_files_that_are_replaced_at_once_count_on() {
    const FILES: usize = 1_000;
    let mut pool = Pool::new();
    pool.collector.set_descriptors(FILES / 2);
    let name = |number: usize| format!("counter_{number}.db");
    let bytes = PythonFile::new().counter("c", "{}", 1.0).bytes;
    for number in 0..FILES {
        pool.directory.write(&name(number), &bytes);
    }
    assert_eq!(pool.pass().value("c_total"), Some(1_000.0));
    // A third gets other names, a third is replaced, and a third stays.
    for number in (0..FILES).step_by(3) {
        let renamed = pool.directory.join(&name(number + FILES));
        fs::rename(pool.directory.join(&name(number)), renamed).unwrap();
    }
    for number in (1..FILES).step_by(3) {
        pool.directory.replace(&name(number), &bytes);
    }
    for _ in 0..2 {
        let pass = pool.pass_with(|_| Liveness::Live);
        assert_eq!(pass.value("c_total"), Some(1_333.0));
    }
    assert_eq!(pool.pass().value("c_total"), Some(1_333.0));
}

// [dialect.key]
//
// The first key was once made into values to see what it is: one of 64 MiB took 850 MiB.
#[test]
fn a_first_key_of_millions_of_elements_is_foreign_and_cheap() {
    for (key, last) in [(r#"["","#, "[]]"), (r#"["","",{},"#, "[]]"), ("[", "[]]")] {
        let key = format!("{key}{}{last}", "[],".repeat(1 << 20));
        let file = PythonFile::new().entry(&key, 1.0, 0.0);
        let mut pool = Pool::with(&[("counter_1.db", file.bytes)]);
        allocator::reset_peak();
        let before = allocator::live();
        let pass = pool.pass();
        let grown = (allocator::peak() - before).unsigned_abs();
        assert_eq!(pass.state("counter_1.db"), "foreign");
        assert!(grown < 4 * key.len(), "{grown} bytes");
    }
}

fn text(value: u32) -> Vec<u8> {
    format!("# TYPE jobs_total counter\njobs_total {value}\n").into_bytes()
}

/// A text that is within the budget, and then is not any more.
fn outgrown() -> Pool {
    let mut pool = Pool::with(&[("a.prom", text(1))]);
    let mut budgets = Budgets::default();
    budgets.file_bytes = 128;
    pool.collector.set_budgets(budgets);
    assert_eq!(pool.pass().lines(), ["jobs_total 1.0"]);
    let mut large = text(5);
    large.extend(format!("# {}\n", "x".repeat(256)).into_bytes());
    fs::write(pool.directory.join("a.prom"), large).expect("a file can be written");
    pool
}

// [merge.budget.file-bytes] [text.rewritten]
//
// What was read of a text as it lost its name was once read whatever its size.
#[test]
fn a_text_that_is_too_large_when_it_goes_leaves_what_it_had() {
    let mut pool = outgrown();
    pool.directory.remove("a.prom");
    assert_eq!(pool.pass().lines(), ["jobs_total 1.0"]);
    let mut pool = outgrown();
    pool.directory.replace("a.prom", &text(2));
    assert_eq!(pool.pass().lines(), ["jobs_total 2.0"]);
}
