//! `spec/dialects.md`: what is read as which dialect, and what is not.

use std::collections::BTreeMap;

use headcount_collect::budget::Budget;

use crate::pool::{Pass, Pool, collect_once};
use crate::python::{PythonFile, counter};

/// A file with entries of these keys and values, each value this many bytes before the next entry.
fn entries(keys: &[&str], value_bytes: usize) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    for (value, key) in (1..).zip(keys) {
        bytes.extend((key.len() as u32).to_le_bytes());
        bytes.extend(key.as_bytes());
        bytes.push(b' ');
        while !bytes.len().is_multiple_of(8) {
            bytes.push(b' ');
        }
        bytes.extend(f64::from(value).to_le_bytes());
        bytes.extend(vec![0; value_bytes - 8]);
    }
    let used = bytes.len() as u32;
    bytes[..4].copy_from_slice(&used.to_le_bytes());
    bytes.resize(1 << 16, 0);
    bytes
}

fn pass_over(name: &str, bytes: &[u8]) -> Pass {
    let pool = Pool::with(&[
        (name, bytes.to_vec()),
        ("counter_77.db", counter("sibling", 7.0)),
    ]);
    let pass = collect_once(&pool.directory);
    assert_eq!(pass.value("sibling_total"), Some(7.0));
    pass
}

// [python.header] [python.entry] [python.key]
#[test]
fn a_file_that_the_client_wrote_is_read() {
    // prometheus_client 0.26.0, CPython 3.11, x86-64:
    // Gauge("g", "help", multiprocess_mode="livemostrecent").set(7)
    let mut bytes = vec![0; 1 << 16];
    bytes[..64].copy_from_slice(&[
        0x38, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x16, 0x00, 0x00, 0x00, 0x5b, 0x22, 0x67,
        0x22, 0x2c, 0x20, 0x22, 0x67, 0x22, 0x2c, 0x20, 0x7b, 0x7d, 0x2c, 0x20, 0x22, 0x68, 0x65,
        0x6c, 0x70, 0x22, 0x5d, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x1c, 0x40, 0xf4, 0x49, 0xcd, 0x2c, 0x31, 0xc0, 0xda, 0x41, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00,
    ]);
    let key = r#"["g", "g", {}, "help"]"#;
    let by_hand = PythonFile::new().entry(key, 7.0, f64::from_bits(0x41da_c031_2ccd_49f4));
    assert_eq!(by_hand.on_disk(), bytes);
    let pass = pass_over("gauge_livemostrecent_123.db", &bytes);
    assert_eq!(pass.lines(), ["g 7.0", "sibling_total 7.0"]);
    assert_eq!(&*pass.0.families[0].help, "help");
}

// [python.name]
#[test]
fn a_name_that_no_worker_gives_is_foreign() {
    let content = counter("c", 1.0);
    for name in [
        "foo.db",
        "counter.db",
        "counters_1.db",
        "gauge_1.db",
        "gauge_median_1.db",
        "info_1.db",
        "stateset_1.db",
        "unknown_1.db",
        "Counter_1.db",
        "metric_c.bin",
        "metric___1.bin",
        "c___1.bin",
        "foo.store",
        "000102030405060708090A0B0C0D0E0F.store",
    ] {
        let pass = pass_over(name, &content);
        assert_eq!(pass.state(name), "foreign", "{name}");
        assert_eq!(pass.lines(), ["sibling_total 7.0"], "{name}");
    }
}

// [dialect.suffix] [merge.file.dialect]
#[test]
fn a_name_that_is_not_utf_8_is_foreign() {
    use std::os::unix::ffi::OsStrExt;
    let pool = Pool::with(&[("counter_77.db", counter("sibling", 7.0))]);
    let name = std::ffi::OsStr::from_bytes(b"counter_\xff.db");
    std::fs::write(pool.directory.path().join(name), counter("c", 1.0)).unwrap();
    let pass = collect_once(&pool.directory);
    assert_eq!(pass.lines(), ["sibling_total 7.0"]);
    assert_eq!(pass.0.files.len(), 2);
}

// [dialect.store] [merge.file.dialect]
#[test]
fn a_python_file_named_as_a_store_and_the_reverse_are_foreign() {
    let name = "000102030405060708090a0b0c0d0e0f.store";
    assert_eq!(pass_over(name, &counter("c", 1.0)).state(name), "foreign");
    let mut store = vec![0; 1 << 14];
    store[..8].copy_from_slice(b"\x89HCNT\r\n\x1a");
    let pass = pass_over("counter_1.db", &store);
    assert_eq!(pass.state("counter_1.db"), "foreign");
}

// [vinted.exemplar] [merge.file.passed-over]
#[test]
fn exemplars_are_passed_over_and_said_so() {
    let pass = pass_over("exemplar_1-0.db", &counter("c", 1.0));
    assert_eq!(pass.state("exemplar_1-0.db"), "passed_over");
    assert_eq!(pass.lines(), ["sibling_total 7.0"]);
}

// [dialect.walk] [dialect.key]
#[test]
fn the_releases_of_python_and_ruby_are_told_apart_by_content() {
    let object = [r#"["a", "a_total", {}]"#, r#"["b", "b_total", {"l": "x"}]"#];
    let help = [
        r#"["a", "a_total", {}, "Help."]"#,
        r#"["b", "b_total", {"l": "x"}, "Help."]"#,
    ];
    let arrays = [r#"["a", "a", [], []]"#, r#"["b", "b", ["l"], ["x"]]"#];
    let gitlab = [r#"["a","a",[],[]]"#, r#"["b_total","b_total",["l"],["x"]]"#];
    for (keys, stride, client, names) in [
        (
            object,
            8,
            "prometheus_client 0.4 to 0.15",
            ["a_total", "b_total"],
        ),
        (
            help,
            8,
            "prometheus_client 0.16 to 0.17",
            ["a_total", "b_total"],
        ),
        (
            help,
            16,
            "prometheus_client 0.18 to 0.26",
            ["a_total", "b_total"],
        ),
        (arrays, 8, "prometheus_client 0.0.20 to 0.3", ["a", "b"]),
        (
            gitlab,
            8,
            "prometheus-client-mmap 0.16 to 1.x",
            ["a", "b_total"],
        ),
    ] {
        let lines = [
            format!("{} 1.0", names[0]),
            format!("{}{{l=\"x\"}} 2.0", names[1]),
            "sibling_total 7.0".to_owned(),
        ];
        let whole = entries(&keys, stride);
        // A file with one entry, with both, and with a second that is not all there yet.
        let mut torn = whole.clone();
        let second = 8 + (keys[0].len() + 4) / 8 * 8 + 8 + stride;
        torn[second + 9..].fill(0);
        for (content, count, state) in [
            (&entries(&keys[..1], stride), 1, "good"),
            (&whole, 2, "good"),
            (&torn, 1, "torn_tail"),
        ] {
            let pass = pass_over("counter_1.db", content);
            let file = pass.file("counter_1.db");
            assert_eq!(file.client, client, "{keys:?}");
            assert_eq!(pass.state("counter_1.db"), state, "{keys:?}");
            let expected = lines
                .iter()
                .enumerate()
                .filter(|&(at, _)| at < count || at == 2);
            let expected: Vec<_> = expected.map(|(_, line)| line).collect();
            assert_eq!(
                pass.lines().iter().collect::<Vec<_>>(),
                expected,
                "{keys:?}"
            );
        }
    }
}

// [dialect.key] [dialect.foreign]
#[test]
fn a_key_that_no_client_writes_is_foreign() {
    for key in [
        r#"["a", "a_total"]"#,
        r#"["a", 1, {}]"#,
        r#"["a", "a", [], [], []]"#,
    ] {
        let pass = pass_over("counter_1.db", &entries(&[key], 8));
        assert_eq!(pass.state("counter_1.db"), "foreign", "{key}");
        assert_eq!(pass.lines(), ["sibling_total 7.0"], "{key}");
    }
}

// [python.header]
#[test]
fn a_count_of_used_bytes_that_cannot_be_is_damage() {
    let whole = counter("c", 1.0);
    for (used, state) in [
        (-1, "foreign"),
        (1, "foreign"),
        (7, "foreign"),
        (65_537, "truncated"),
        (i32::MAX, "foreign"),
        (16, "foreign"),
    ] {
        let mut bytes = whole.clone();
        bytes[..4].copy_from_slice(&i32::to_le_bytes(used));
        let pass = pass_over("counter_1.db", &bytes);
        assert_eq!(pass.state("counter_1.db"), state, "{used}");
        assert_eq!(pass.lines(), ["sibling_total 7.0"], "{used}");
    }
}

// [python.key] [python.left-out]
#[test]
fn an_entry_that_says_nothing_sensible_is_left_out_alone() {
    for key in [
        r#"["c", "c_total", {"l": 1}, "Help."]"#,
        r#"["c", "c_total", {"l": null}, "Help."]"#,
        r#"["c", "c_total", {"l": "\ud800"}, "Help."]"#,
        r#"["c", "c_total", {}, "Help."#,
        r#"["c", "d_total", {}, "Help."]"#,
        r#"["c", "c", {}, "Help."]"#,
        r#"["c", "c_total", {}]"#,
        r#"["c", "c_total", {}, "Help.", 1]"#,
    ] {
        let file = PythonFile::new()
            .counter("a", "{}", 1.0)
            .entry(key, 2.0, 0.0)
            .counter("b", "{}", 3.0);
        let pass = pass_over("counter_1.db", &file.on_disk());
        assert_eq!(
            pass.lines(),
            ["a_total 1.0", "b_total 3.0", "sibling_total 7.0"],
            "{key}"
        );
        assert!(
            ["malformed", "foreign"].contains(&pass.state("counter_1.db")),
            "{key}"
        );
    }
}

// [python.sample] [python.bound] [python.left-out]
#[test]
fn a_bucket_needs_a_bound_that_is_a_number() {
    for labels in [
        "{}",
        r#"{"le": "abc"}"#,
        r#"{"le": "NaN"}"#,
        r#"{"le": ""}"#,
    ] {
        let key = format!(r#"["h", "h_bucket", {labels}, "Seconds."]"#);
        let file = PythonFile::new()
            .histogram("h", 1.0, &[("-Inf", 1.0), (" 1e6 ", 2.0), ("+Inf", 3.0)])
            .entry(&key, 100.0, 0.0);
        let pass = pass_over("histogram_1.db", &file.on_disk());
        let expected = [
            "h_bucket{le=\"-Inf\"} 1.0",
            "h_bucket{le=\"1e+06\"} 3.0",
            "h_bucket{le=\"+Inf\"} 6.0",
            "h_sum 1.0",
            "h_count 6.0",
            "sibling_total 7.0",
        ];
        assert_eq!(pass.lines(), expected);
        assert_eq!(pass.state("histogram_1.db"), "malformed", "{labels}");
    }
}

// [python.limit] [merge.budget.labels] [merge.budget.label-bytes] [merge.budget.report]
#[test]
fn texts_and_labels_have_limits() {
    let labels = |count: usize| {
        let pairs: Vec<_> = (0..count)
            .map(|number| format!(r#""l{number:03}": "x""#))
            .collect();
        format!("{{{}}}", pairs.join(", "))
    };
    let file = PythonFile::new()
        .counter("a", &labels(64), 1.0)
        .counter("b", &labels(65), 2.0)
        .counter("c", &format!(r#"{{"l": "{}"}}"#, "x".repeat(16_383)), 3.0)
        .counter("d", &format!(r#"{{"l": "{}"}}"#, "x".repeat(16_384)), 4.0)
        .counter("e", &format!(r#"{{"l": "{}"}}"#, "x".repeat(1 << 20)), 5.0)
        .counter(&"n".repeat(65_536), "{}", 6.0)
        .counter("f", "{}", 7.0);
    let pass = pass_over("counter_1.db", &file.on_disk());
    let names: Vec<_> = pass.0.families.iter().map(|family| &*family.name).collect();
    assert_eq!(names, ["a", "c", "f", "sibling"]);
    assert_eq!(pass.state("counter_1.db"), "too_large");
    let left_out = &pass.file("counter_1.db").left_out;
    let expected = [(Budget::LabelBytes, 2), (Budget::Labels, 1)];
    assert_eq!(*left_out, BTreeMap::from(expected));
}

// [python.publish] [python.killed] [python.walk]
#[test]
fn a_writer_that_is_killed_between_any_two_steps_leaves_what_was_written() {
    let whole = PythonFile::new()
        .gauge("a", "{}", 1.0, 5.0)
        .gauge("b", "{}", 2.0, 6.0);
    let (entry, value) = (whole.places[0] + 16, whole.places[1]);
    let mut file = vec![0; 1 << 16];
    let mut steps: Vec<(Vec<u8>, &str, Vec<&str>)> = vec![
        (Vec::new(), "empty", vec![]),
        (file.clone(), "empty", vec![]),
    ];
    file[0] = 8;
    // [dialect.undecided]
    steps.push((file.clone(), "empty", vec![]));
    // The first entry, whole; then the second, byte by byte, before it is published.
    file[..entry].copy_from_slice(&whole.bytes[..entry]);
    file[..4].copy_from_slice(&(entry as u32).to_le_bytes());
    for end in entry..=value {
        file[entry..end].copy_from_slice(&whole.bytes[entry..end]);
        steps.push((file.clone(), "good", vec!["a 1.0"]));
    }
    file[..4].copy_from_slice(&whole.bytes[..4]);
    // Published, never set; set, but for the time; set.
    steps.push((file.clone(), "good", vec!["a 1.0"]));
    file[value..value + 8].copy_from_slice(&whole.bytes[value..value + 8]);
    steps.push((file.clone(), "good", vec!["a 1.0"]));
    file[..whole.bytes.len()].copy_from_slice(&whole.bytes);
    steps.push((file.clone(), "good", vec!["a 1.0", "b 2.0"]));
    file.resize(1 << 17, 0);
    steps.push((file, "good", vec!["a 1.0", "b 2.0"]));
    let mut watched = Pool::new();
    for (number, (bytes, state, lines)) in steps.iter().enumerate() {
        watched.directory.write("gauge_mostrecent_1.db", bytes);
        for pass in [watched.pass(), collect_once(&watched.directory)] {
            assert_eq!(pass.state("gauge_mostrecent_1.db"), *state, "step {number}");
            assert_eq!(&pass.lines(), lines, "step {number}");
        }
    }
}

// [python.publish] [python.walk]
//
// On a machine that reorders stores the count of used bytes may be seen before all of the entry:
// here its middle is still zero. It is no wrong entry but a late one.
#[test]
fn an_entry_of_which_a_part_is_not_there_yet_is_tried_again() {
    let whole =
        PythonFile::new()
            .counter("a", "{}", 1.0)
            .counter("b", r#"{"queue": "a queue"}"#, 2.0);
    let start = whole.places[0] + 16;
    let mut late = whole.clone();
    late.bytes[start + 12..start + 28].fill(0);
    let mut pool = Pool::with(&[("counter_1.db", late.on_disk())]);
    assert_eq!(pool.pass().lines(), ["a_total 1.0"]);
    pool.directory.write("counter_1.db", &whole.bytes);
    let pass = pool.pass();
    assert_eq!(
        pass.lines(),
        ["a_total 1.0", "b_total{queue=\"a queue\"} 2.0"]
    );
    assert_eq!(pass.state("counter_1.db"), "good");
}

// [python.fork] [python.pid-reuse]
#[test]
fn a_child_begins_at_zero_and_a_successor_goes_on() {
    let mut file = PythonFile::new().counter("c", "{}", 5.0);
    let mut pool = Pool::with(&[("counter_1.db", file.on_disk())]);
    // The child has made every series of its parent anew.
    pool.directory.write("counter_2.db", &counter("c", 0.0));
    assert_eq!(pool.pass().lines(), ["c_total 5.0"]);
    // A process with the pid of a dead one opens its file and counts on.
    file.set(0, 6.0);
    pool.directory.write("counter_1.db", &file.bytes);
    assert_eq!(pool.pass().lines(), ["c_total 6.0"]);
}
