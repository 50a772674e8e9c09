//! `spec/merge.md`, chapter 1: values that are less than they were, or no values at all.

use headcount_format::MetricType;

use crate::pool::Pool;
use crate::python::{PythonFile, counter};
use crate::store::{Writer, family};

// [merge.counter.fall]
#[test]
fn a_counter_that_begins_again_in_place_keeps_what_it_had() {
    let mut file = PythonFile::new()
        .counter("a", "{}", 100.0)
        .counter("b", "{}", 1.0);
    let mut pool = Pool::with(&[("counter_1.db", file.on_disk())]);
    let mut total = |value: f64| {
        file.set(0, value);
        pool.directory.write("counter_1.db", &file.bytes);
        let pass = pool.pass();
        assert_eq!(pass.state("counter_1.db"), "good");
        assert_eq!(pass.value("b_total"), Some(1.0));
        pass.value("a_total").unwrap()
    };
    assert_eq!(total(100.0), 100.0);
    assert_eq!(total(0.0), 100.0);
    assert_eq!(total(30.0), 130.0);
    assert_eq!(total(20.0), 150.0);
    assert_eq!(total(20.0), 150.0);
    assert_eq!(total(21.0), 151.0);
    pool.directory.remove("counter_1.db");
    assert_eq!(pool.pass().value("a_total"), Some(151.0));
}

// [merge.counter.fall]
#[test]
fn a_store_whose_counter_begins_again_keeps_what_it_had() {
    let mut pool = Pool::new();
    let mut writer = Writer::new(&pool.directory, 5);
    let number = writer.family(family(MetricType::Counter, "c"));
    let place = writer.series(number, &[], 0);
    for (value, total) in [(8.0, 8.0), (3.0, 11.0), (4.0, 12.0), (0.0, 12.0)] {
        writer.set(place, &[value]);
        assert_eq!(pool.pass().value("c_total"), Some(total), "{value}");
    }
}

// [merge.counter.fall]
//
// No counter is negative or NaN but by damage, which must not take from the total either: for
// Prometheus a total that falls has been reset.
#[test]
fn a_counter_that_turns_negative_or_nan_takes_nothing_away() {
    for damaged in [-5.0, f64::NEG_INFINITY, f64::NAN] {
        let mut file = PythonFile::new().counter("a", "{}", 100.0);
        let mut pool = Pool::with(&[("counter_1.db", file.on_disk())]);
        assert_eq!(pool.pass().value("a_total"), Some(100.0));
        file.set(0, damaged);
        pool.directory.write("counter_1.db", &file.bytes);
        let during = pool.pass().value("a_total").unwrap();
        // What it shows meanwhile is no fall if it is no number.
        assert!(during >= 100.0 || during.is_nan(), "{damaged}: {during}");
        file.set(0, 101.0);
        pool.directory.write("counter_1.db", &file.bytes);
        let after = pool.pass().value("a_total").unwrap();
        assert!(after >= 101.0, "{damaged}: {after}");
    }
}

// [merge.counter.fall] [merge.histogram.sum]
#[test]
fn the_sum_of_a_histogram_may_fall_and_its_buckets_may_not() {
    let mut file = PythonFile::new().histogram("h", 3.0, &[("1.0", 2.0), ("+Inf", 1.0)]);
    let mut pool = Pool::with(&[("histogram_1.db", file.on_disk())]);
    assert_eq!(pool.pass().value("h_sum"), Some(3.0));
    // An observation of -7.
    file.set(0, -4.0);
    file.set(1, 3.0);
    pool.directory.write("histogram_1.db", &file.bytes);
    let pass = pool.pass();
    assert_eq!(pass.value("h_sum"), Some(-4.0));
    assert_eq!(pass.value("h_count"), Some(4.0));
    // The buckets begin again.
    file.set(1, 0.0);
    file.set(2, 0.0);
    pool.directory.write("histogram_1.db", &file.bytes);
    let pass = pool.pass();
    assert_eq!(pass.value("h_bucket{le=\"1.0\"}"), Some(3.0));
    assert_eq!(pass.value("h_count"), Some(4.0));
}

// [python.overwritten] [merge.file.kept]
//
// A file that is copied over another, as by `cp`, has the same inode and other keys: what stands
// where a value stood is text, and no value that anyone wrote.
#[test]
fn a_file_that_is_overwritten_by_another_tells_nothing_that_was_never_written() {
    let first = PythonFile::new().counter("a", "{}", 5.0);
    let labels = r#"{"queue": "mail", "strategy": "a strategy with a long name"}"#;
    let second = PythonFile::new().counter("jobs_of_the_second_worker", labels, 1.0);
    let mut pool = Pool::with(&[("counter_1.db", first.on_disk())]);
    assert_eq!(pool.pass().lines(), ["a_total 5.0"]);
    pool.directory.write("counter_1.db", &second.on_disk());
    for (sample, value) in pool.pass().samples() {
        assert!([1.0, 5.0].contains(&value), "{sample} {value:e}");
    }
}

// [merge.file.returned]
//
// Found by swapping a file and a link 60,000 times under a sidecar: a file that came back and went
// again between two passes was taken for another one, and what it had left was counted once more
// each time.
#[test]
fn a_file_that_returns_and_goes_between_two_passes_counts_once() {
    let mut pool = Pool::with(&[("counter_1.db", counter("c", 3.0))]);
    let (name, aside) = (
        pool.directory.join("counter_1.db"),
        pool.directory.join(".aside"),
    );
    assert_eq!(pool.pass().value("c_total"), Some(3.0));
    std::fs::rename(&name, &aside).unwrap();
    assert_eq!(pool.pass().value("c_total"), Some(3.0));
    for returns in 1..4 {
        for _ in 0..returns {
            std::fs::rename(&aside, &name).unwrap();
            pool.collector.sync();
            std::fs::rename(&name, &aside).unwrap();
            pool.collector.sync();
        }
        assert_eq!(pool.pass().value("c_total"), Some(3.0), "{returns}");
    }
    std::fs::rename(&aside, &name).unwrap();
    assert_eq!(pool.pass().value("c_total"), Some(3.0));
}

// [text.rewritten]
//
// Found by mutations: of a text that was gone the levels were forgotten, and its buckets looked for
// where they had been before, which panicked at every pass.
#[test]
fn a_text_with_levels_before_its_buckets_may_go() {
    let text = b"a 1\nb 2\n# TYPE h histogram\nh_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 4\nh_sum 5\nh_count 4\n";
    let mut pool = Pool::with(&[("a.prom", text.to_vec())]);
    assert_eq!(pool.pass().value("h_bucket{le=\"1.0\"}"), Some(3.0));
    pool.directory.remove("a.prom");
    for _ in 0..2 {
        let pass = pool.pass();
        assert_eq!(pass.value("a"), None);
        assert_eq!(pass.value("h_bucket{le=\"1.0\"}"), Some(3.0));
        assert_eq!(pass.value("h_count"), Some(4.0));
    }
}
