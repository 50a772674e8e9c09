//! `spec/merge.md`, chapter 1: files that are given another name, or go and come back.

use crate::pool::Pool;
use crate::python::PythonFile;

/// A file of which one entry says nothing.
fn with_a_senseless_entry() -> Vec<u8> {
    let file = PythonFile::new().counter("a", "{}", 5.0);
    let key = r#"["c", "c_total", {"l": 1}, "Help."]"#;
    file.entry(key, 2.0, 0.0).on_disk()
}

fn rename(pool: &Pool, from: &str, to: &str) {
    let (from, to) = (pool.directory.join(from), pool.directory.join(to));
    std::fs::rename(from, to).expect("a file can be given another name");
}

// [merge.file.identity] [python.left-out]
#[test]
fn a_file_with_an_entry_that_is_left_out_counts_once_under_another_name() {
    let mut pool = Pool::with(&[("counter_1.db", with_a_senseless_entry())]);
    assert_eq!(pool.pass().lines(), ["a_total 5.0"]);
    rename(&pool, "counter_1.db", "counter_2.db");
    for _ in 0..2 {
        assert_eq!(pool.pass().lines(), ["a_total 5.0"]);
    }
}

// [python.left-out]
#[test]
fn an_entry_that_is_put_right_is_let_in() {
    let mut pool = Pool::with(&[("counter_1.db", with_a_senseless_entry())]);
    let pass = pool.pass();
    assert_eq!(pass.state("counter_1.db"), "malformed");
    let key = r#"["c", "c_total", {"l":""}, "Help."]"#;
    let file = PythonFile::new().counter("a", "{}", 6.0);
    let file = file.entry(key, 3.0, 0.0).on_disk();
    pool.directory.write("counter_1.db", &file);
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["a_total 6.0", "c_total{l=\"\"} 3.0"]);
    assert_eq!(pass.state("counter_1.db"), "good");
}

// [merge.file.returned] [python.left-out]
#[test]
fn a_file_with_an_entry_that_is_left_out_counts_once_when_it_returns() {
    let mut pool = Pool::with(&[("counter_1.db", with_a_senseless_entry())]);
    pool.pass();
    rename(&pool, "counter_1.db", "away");
    assert_eq!(pool.pass().lines(), ["a_total 5.0"]);
    rename(&pool, "away", "counter_1.db");
    assert_eq!(pool.pass().lines(), ["a_total 5.0"]);
}

// [merge.file.identity] [text.rewritten]
#[test]
fn a_text_file_counts_once_under_another_name() {
    let text = b"# TYPE jobs_total counter\njobs_total 5\n".to_vec();
    let mut pool = Pool::with(&[("a.prom", text)]);
    assert_eq!(pool.pass().lines(), ["jobs_total 5.0"]);
    rename(&pool, "a.prom", "b.prom");
    for _ in 0..2 {
        assert_eq!(pool.pass().lines(), ["jobs_total 5.0"]);
    }
}
