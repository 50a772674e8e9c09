//! Files that go and come back, and are not as they were: stories that `no_fall` has found.

use std::fs;

use headcount_format::MetricType;

use crate::entries::{Entries, Form};
use crate::pool::{Directory, Pool};
use crate::python::PythonFile;
use crate::store::{Writer, family};

/// Moves a file out of the pool's directory, and looks.
fn leave(pool: &mut Pool, away: &Directory, name: &str) {
    fs::rename(pool.directory.join(name), away.join(name)).expect("a file can be moved");
    pool.pass();
}

fn come_back(pool: &Pool, away: &Directory, name: &str) {
    fs::rename(away.join(name), pool.directory.join(name)).expect("a file can be moved");
}

fn counters(value: f64) -> PythonFile {
    PythonFile::new()
        .counter("a", "{}", value)
        .counter("b", "{}", 1.0)
        .counter("c", "{}", 2.0)
}

// [merge.file.returned] [merge.counter.fall]
//
// What a file had left was taken back as soon as it came back, whatever it told by then: a counter
// that had begun again meanwhile took its total from 100 to 30.
#[test]
fn a_counter_that_began_again_while_it_was_away_keeps_what_it_had() {
    let mut pool = Pool::with(&[("counter_1.db", counters(100.0).on_disk())]);
    let away = Directory::new();
    pool.pass();
    leave(&mut pool, &away, "counter_1.db");
    away.write("counter_1.db", &counters(30.0).bytes);
    come_back(&pool, &away, "counter_1.db");
    for _ in 0..2 {
        let expected = ["a_total 130.0", "b_total 1.0", "c_total 2.0"];
        assert_eq!(pool.pass().lines(), expected);
    }
}

// [merge.file.returned] [merge.file.kept]
//
// A file that came back damaged was served as far as it could be read, beside what it had left, and
// when it had healed the total fell to what it was.
#[test]
fn what_comes_back_damaged_counts_once() {
    let whole = counters(100.0);
    let mut pool = Pool::with(&[("counter_1.db", whole.on_disk())]);
    let away = Directory::new();
    let expected = pool.pass().lines();
    leave(&mut pool, &away, "counter_1.db");
    let mut torn = whole.clone();
    torn.bytes[whole.places[0] + 20..].fill(0);
    away.write("counter_1.db", &torn.bytes);
    come_back(&pool, &away, "counter_1.db");
    for _ in 0..2 {
        let pass = pool.pass();
        assert_eq!(pass.state("counter_1.db"), "torn_tail");
        assert_eq!(pass.lines(), expected);
    }
    // It goes and comes back in that state, too.
    leave(&mut pool, &away, "counter_1.db");
    assert_eq!(pool.pass().lines(), expected);
    come_back(&pool, &away, "counter_1.db");
    assert_eq!(pool.pass().lines(), expected);
    pool.directory.write("counter_1.db", &whole.bytes);
    assert_eq!(pool.pass().lines(), expected);
    pool.directory.write("counter_1.db", &counters(101.0).bytes);
    assert_eq!(pool.pass().value("a_total"), Some(101.0));
}

// [merge.file.returned] [python.left-out]
#[test]
fn what_comes_back_with_an_entry_that_is_left_out_counts_once() {
    let file = |value| counters(value).entry(r#"["d", "d_total", {"l": 1}, "Things."]"#, 9.0, 0.0);
    let mut pool = Pool::with(&[("counter_1.db", file(5.0).on_disk())]);
    let away = Directory::new();
    pool.pass();
    leave(&mut pool, &away, "counter_1.db");
    away.write("counter_1.db", &file(6.0).bytes);
    come_back(&pool, &away, "counter_1.db");
    let pass = pool.pass();
    assert_eq!(pass.state("counter_1.db"), "malformed");
    assert_eq!(pass.value("a_total"), Some(6.0));
}

// [merge.file.returned] [merge.file.identity] [gitlab.cumulative] [merge.counter.fall]
//
// What a cumulative bucket had counted before it began again was known to the file's reader alone,
// and gone with it.
#[test]
fn buckets_that_began_again_keep_what_they_had_through_another_name_and_back() {
    let took = |low: f64, all: f64| {
        Entries::new(Form::Json8)
            .entry(r#"["took","took_sum",[],[]]"#, 1.0)
            .entry(r#"["took","took_bucket",["le"],["1"]]"#, low)
            .entry(r#"["took","took_bucket",["le"],["+Inf"]]"#, all)
    };
    let mut pool = Pool::with(&[("histogram_1-0.db", took(2.0, 5.0).on_disk())]);
    let away = Directory::new();
    pool.pass();
    pool.directory
        .write("histogram_1-0.db", &took(1.0, 1.0).bytes);
    let buckets = |pool: &mut Pool| {
        let pass = pool.pass();
        ["1.0", "+Inf"].map(|le| pass.value(&format!("took_bucket{{le=\"{le}\"}}")).unwrap())
    };
    assert_eq!(buckets(&mut pool), [3.0, 6.0]);
    let at = |name: &str| pool.directory.join(name);
    fs::rename(at("histogram_1-0.db"), at("histogram_2-0.db")).unwrap();
    assert_eq!(buckets(&mut pool), [3.0, 6.0]);
    leave(&mut pool, &away, "histogram_2-0.db");
    assert_eq!(buckets(&mut pool), [3.0, 6.0]);
    come_back(&pool, &away, "histogram_2-0.db");
    assert_eq!(buckets(&mut pool), [3.0, 6.0]);
    pool.directory
        .write("histogram_2-0.db", &took(1.0, 2.0).bytes);
    assert_eq!(buckets(&mut pool), [3.0, 7.0]);
}

// [merge.file.returned]
//
// A backup of a store that was put back by `rename` was read before the one whose place it took had
// gone, and both counted.
#[test]
fn a_store_whose_copy_takes_its_place_counts_once() {
    let mut pool = Pool::new();
    let mut writer = Writer::new(&pool.directory, 5);
    let number = writer.family(family(MetricType::Counter, "c"));
    let place = writer.series(number, &[], 0);
    writer.set(place, &[41.0]);
    let name = writer.file_name();
    drop(writer);
    assert_eq!(pool.pass().lines(), ["c_total 41.0"]);
    let copy = fs::read(pool.directory.join(&name)).unwrap();
    pool.directory.replace(&name, &copy);
    for _ in 0..2 {
        assert_eq!(pool.pass().lines(), ["c_total 41.0"]);
    }
}

// [python.overwritten]
//
// Only the entries before the first wrong one were taken for those that stand, so that one bit in
// the first key made another worker's file of it, and all the others counted twice.
#[test]
fn one_wrong_key_does_not_make_another_workers_file() {
    let whole = counters(100.0);
    let mut pool = Pool::with(&[("counter_1.db", whole.on_disk())]);
    let expected = pool.pass().lines();
    let mut flipped = whole.clone();
    // `["a` becomes `["q`.
    assert_eq!(flipped.bytes[14], b'a');
    flipped.bytes[14] = b'q';
    write_later(&pool, &flipped.bytes);
    let pass = pool.pass();
    assert_eq!(pass.state("counter_1.db"), "malformed");
    assert_eq!(pass.lines(), expected);
    write_later(&pool, &whole.bytes);
    let pass = pool.pass();
    assert_eq!(pass.state("counter_1.db"), "good");
    assert_eq!(pass.lines(), expected);
}

/// Writes the file, at a time that differs from the one before.
fn write_later(pool: &Pool, bytes: &[u8]) {
    let path = pool.directory.join("counter_1.db");
    let before = fs::metadata(&path).and_then(|metadata| metadata.modified());
    let later = before.expect("it has a time") + std::time::Duration::from_secs(1);
    pool.directory.write("counter_1.db", bytes);
    let file = fs::File::options()
        .write(true)
        .open(path)
        .expect("a file can be opened");
    file.set_modified(later).expect("its time can be set");
}
