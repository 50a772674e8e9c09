//! `spec/dialects.md`, chapter 3: what GitLab's prometheus-client-mmap writes.

use crate::entries::{Entries, Form, gitlab};
use crate::pool::{Pass, Pool, collect_once};
use crate::python::{counter, gauge, histogram};

/// A histogram of the gem: the sum, and what is stored of each bound.
fn took(sum: f64, buckets: &[(&str, f64)]) -> Entries {
    let file = Entries::new(Form::Json8).entry(r#"["took","took_sum",[],[]]"#, sum);
    buckets.iter().fold(file, |file, (le, count)| {
        let key = format!(r#"["took","took_bucket",["le"],["{le}"]]"#);
        file.entry(&key, *count)
    })
}

/// What a collector that begins anew makes of these files.
fn read(files: &[(&str, Vec<u8>)]) -> Pass {
    collect_once(&Pool::with(files).directory)
}

// [gitlab.key] [merge.labels.empty]
#[test]
fn label_values_of_every_kind_mean_their_text() {
    let pass = read(&[(
        "counter_1-0.db",
        gitlab(&[
            (r#"["a_total","a_total",["l"],["x"]]"#, 1.0),
            (r#"["b_total","b_total",["l"],[8080]]"#, 2.0),
            (r#"["c_total","c_total",["l"],[1.5]]"#, 3.0),
            (r#"["d_total","d_total",["l"],[true]]"#, 4.0),
            (r#"["e_total","e_total",["l"],[false]]"#, 5.0),
            // A symbol is written as a text, an empty text and nothing are no label.
            (r#"["f_total","f_total",["l"],["web"]]"#, 6.0),
            (r#"["g_total","g_total",["l"],[null]]"#, 7.0),
            (r#"["g_total","g_total",["l"],[""]]"#, 8.0),
            (r#"["g_total","g_total",[],[]]"#, 9.0),
        ]),
    )]);
    let expected = [
        "a_total{l=\"x\"} 1.0",
        "b_total{l=\"8080\"} 2.0",
        "c_total{l=\"1.5\"} 3.0",
        "d_total{l=\"true\"} 4.0",
        "e_total{l=\"false\"} 5.0",
        "f_total{l=\"web\"} 6.0",
        "g_total 24.0",
    ];
    assert_eq!(pass.lines(), expected);
    assert_eq!(pass.state("counter_1-0.db"), "good");
}

// [gitlab.key] [merge.labels.empty]
#[test]
fn a_number_means_its_source_text() {
    let pass = read(&[(
        "counter_1-0.db",
        gitlab(&[
            (r#"["a_total","a_total",["l"],[1.50]]"#, 1.0),
            (r#"["b_total","b_total",["l"],[1e3]]"#, 2.0),
            (
                r#"["c_total","c_total",["l"],[123456789012345678901]]"#,
                3.0,
            ),
        ]),
    )]);
    let expected = [
        "a_total{l=\"1.50\"} 1.0",
        "b_total{l=\"1e3\"} 2.0",
        "c_total{l=\"123456789012345678901\"} 3.0",
    ];
    assert_eq!(pass.lines(), expected);
}

// [gitlab.key] [python.left-out]
#[test]
fn a_key_that_names_nothing_costs_itself() {
    for key in [
        r#"["a_total","a_total",["l"],[[1]]]"#,
        r#"["a_total","a_total",["l"],[{}]]"#,
        r#"["a_total","a_total",["l","m"],["x"]]"#,
        r#"["a_total","b_total",[],[]]"#,
    ] {
        let file = gitlab(&[
            (r#"["c_total","c_total",[],[]]"#, 1.0),
            (key, 2.0),
            (r#"["d_total","d_total",[],[]]"#, 3.0),
        ]);
        let pass = read(&[("counter_1-0.db", file)]);
        assert_eq!(pass.lines(), ["c_total 1.0", "d_total 3.0"], "{key}");
        assert_eq!(pass.state("counter_1-0.db"), "malformed", "{key}");
    }
}

// [gitlab.cumulative] [merge.histogram.cumulate] [merge.histogram.count]
#[test]
fn cumulative_buckets_are_served_as_they_are() {
    // Three observations, of which one is at most 0.5 and two are at most 1; the stored count, one
    // ahead, is not used.
    let file = took(4.0, &[("+Inf", 3.0), ("0.5", 1.0), ("1", 2.0)])
        .entry(r#"["took","took_count",[],[]]"#, 4.0);
    let pass = read(&[("histogram_1-0.db", file.on_disk())]);
    let expected = [
        "took_bucket{le=\"0.5\"} 1.0",
        "took_bucket{le=\"1.0\"} 2.0",
        "took_bucket{le=\"+Inf\"} 3.0",
        "took_sum 4.0",
        "took_count 3.0",
    ];
    assert_eq!(pass.lines(), expected);
    assert!(pass.conflicts().is_empty());
}

// [gitlab.cumulative]
#[test]
fn an_observation_that_is_half_written_takes_nothing_away() {
    // 1, 2 and 3 at bounds 1, 2 and +Inf, and one more of at most 1, of which not all is written:
    // +Inf first and the others from below, or from above.
    for (stored, served) in [
        ([1.0, 2.0, 4.0], [1.0, 2.0, 4.0]),
        ([2.0, 2.0, 4.0], [2.0, 2.0, 4.0]),
        ([1.0, 3.0, 4.0], [1.0, 3.0, 4.0]),
        ([2.0, 3.0, 3.0], [2.0, 3.0, 3.0]),
        // Three more of at most 1, and nothing else: no bucket is below the one before it.
        ([4.0, 2.0, 3.0], [4.0, 4.0, 4.0]),
    ] {
        let mut file = took(0.0, &[("1", 1.0), ("2", 2.0), ("+Inf", 3.0)]);
        let mut pool = Pool::with(&[("histogram_1-0.db", file.on_disk())]);
        assert_eq!(pool.pass().value("took_count"), Some(3.0));
        for (entry, value) in (1..).zip(stored) {
            file.set(entry, value);
        }
        pool.directory.write("histogram_1-0.db", &file.bytes);
        let buckets = |pass: &Pass| {
            ["1.0", "2.0", "+Inf"]
                .map(|le| pass.value(&format!("took_bucket{{le=\"{le}\"}}")).unwrap())
        };
        assert_eq!(buckets(&pool.pass()), served, "{stored:?}");
        // All of it is.
        for (entry, value) in (1..).zip([4.0, 5.0, 6.0]) {
            file.set(entry, value);
        }
        pool.directory.write("histogram_1-0.db", &file.bytes);
        assert_eq!(buckets(&pool.pass()), [4.0, 5.0, 6.0], "{stored:?}");
    }
}

// [gitlab.cumulative] [merge.counter.fall]
#[test]
fn buckets_that_begin_again_in_place_keep_what_they_had() {
    let mut file = took(9.0, &[("1", 2.0), ("2", 3.0), ("+Inf", 5.0)]);
    let mut pool = Pool::with(&[("histogram_1-0.db", file.on_disk())]);
    assert_eq!(pool.pass().value("took_count"), Some(5.0));
    // The successor has one of at most 2.
    for (entry, value) in (1..).zip([0.0, 1.0, 1.0]) {
        file.set(entry, value);
    }
    pool.directory.write("histogram_1-0.db", &file.bytes);
    let expected = [
        "took_bucket{le=\"1.0\"} 2.0",
        "took_bucket{le=\"2.0\"} 4.0",
        "took_bucket{le=\"+Inf\"} 6.0",
    ];
    for _ in 0..2 {
        assert_eq!(pool.pass().lines()[..3], expected);
    }
    pool.directory.remove("histogram_1-0.db");
    for _ in 0..2 {
        assert_eq!(pool.pass().lines()[..3], expected);
    }
}

// [merge.conflict.buckets] [merge.histogram.mixed]
#[test]
fn two_workers_with_different_bounds_are_served_with_the_union() {
    // Of the first: one at most 1, one more at most 10, one above. Of the second: two at most 2.5,
    // three more above.
    let pass = read(&[
        (
            "histogram_1-0.db",
            took(1.0, &[("1", 1.0), ("10", 2.0), ("+Inf", 3.0)]).on_disk(),
        ),
        (
            "histogram_2-0.db",
            took(2.0, &[("2.5", 2.0), ("+Inf", 5.0)]).on_disk(),
        ),
    ]);
    let expected = [
        "took_bucket{le=\"1.0\"} 1.0",
        "took_bucket{le=\"2.5\"} 3.0",
        "took_bucket{le=\"10.0\"} 4.0",
        "took_bucket{le=\"+Inf\"} 8.0",
        "took_sum 3.0",
        "took_count 8.0",
    ];
    assert_eq!(pass.lines(), expected);
    let report = "took has different buckets in different workers: their union is served";
    assert_eq!(pass.conflicts(), [report]);
}

// [merge.histogram.mixed] [merge.histogram.count] [merge.conflict.buckets]
#[test]
fn a_histogram_of_python_and_of_ruby_is_one() {
    // Python: 4 at most 1, 2 more at most 5, 1 above. Ruby: 1 at most 2, 2 more at most 5, 3 above.
    let python = histogram("took", 1.5, &[("1.0", 4.0), ("5.0", 2.0), ("+Inf", 1.0)]);
    let ruby = took(2.5, &[("2", 1.0), ("5", 3.0), ("+Inf", 6.0)]).on_disk();
    for [first, second] in [[1, 2], [2, 1]] {
        let pass = read(&[
            (&format!("histogram_{first}.db"), python.clone()),
            (&format!("histogram_{second}-0.db"), ruby.clone()),
        ]);
        let expected = [
            "took_bucket{le=\"1.0\"} 4.0",
            "took_bucket{le=\"2.0\"} 5.0",
            "took_bucket{le=\"5.0\"} 9.0",
            "took_bucket{le=\"+Inf\"} 13.0",
            "took_sum 4.0",
            "took_count 13.0",
        ];
        assert_eq!(pass.lines(), expected);
        let report = "took has different buckets in different workers: their union is served";
        assert_eq!(pass.conflicts(), [report]);
        assert_eq!(&*pass.0.families[0].help, "Seconds.");
    }
}

// [gitlab.sample] [merge.counter.bare] [python.no-help]
#[test]
fn a_counter_without_its_suffix_is_a_bare_one() {
    use headcount_collect::exposition::Format;
    let file = gitlab(&[(r#"["jobs","jobs",[],[]]"#, 2.0)]);
    let pass = read(&[("counter_1-0.db", file.clone()), ("counter_2-0.db", file)]);
    let text = pass.encoded(Format::Text);
    assert_eq!(text, "# HELP jobs \n# TYPE jobs counter\njobs 4.0\n");
    let text = pass.encoded(Format::OpenMetrics);
    assert!(text.contains("# TYPE jobs unknown\n"), "{text}");
    assert!(text.contains("\njobs 4.0\n"), "{text}");
}

// [gitlab.name] [merge.worker]
#[test]
fn the_pid_of_a_worker_is_its_identifier_without_the_number_of_the_file() {
    let level = gitlab(&[(r#"["level","level",[],[]]"#, 3.0)]);
    for (name, pid) in [
        ("gauge_all_worker_id_0-0.db", "worker_id_0"),
        ("gauge_all_1234-0.db", "1234"),
        ("gauge_all_host-12_9-0.db", "host_9"),
    ] {
        let pass = read(&[(name, level.clone())]);
        assert_eq!(pass.lines(), [format!("level{{pid=\"{pid}\"}} 3.0")]);
    }
    // [gitlab.entry]: the gem has no such mode.
    let pass = read(&[("gauge_mostrecent_1-0.db", level)]);
    assert_eq!(pass.state("gauge_mostrecent_1-0.db"), "foreign");
}

// [gitlab.reuse] [merge.worker.twice] [merge.gauge.youngest]
#[test]
fn a_worker_and_its_successor_in_two_files_are_both_counted() {
    let counter = |value| gitlab(&[(r#"["jobs_total","jobs_total",[],[]]"#, value)]);
    let level = |value| gitlab(&[(r#"["level","level",[],[]]"#, value)]);
    let pass = read(&[
        ("counter_puma_0-0.db", counter(5.0)),
        ("counter_puma_0-1.db", counter(2.0)),
        ("gauge_all_puma_0-0.db", level(7.0)),
        ("gauge_all_puma_0-1.db", level(8.0)),
        ("gauge_max_puma_0-0.db", gauge_of("most", 7.0)),
        ("gauge_max_puma_0-1.db", gauge_of("most", 6.0)),
    ]);
    let expected = ["jobs_total 7.0", "level{pid=\"puma_0\"} 8.0", "most 7.0"];
    assert_eq!(pass.lines(), expected);
    let report = "level has two workers with pid=\"puma_0\": the younger one's value is served";
    assert_eq!(pass.conflicts(), [report]);
}

fn gauge_of(name: &str, value: f64) -> Vec<u8> {
    gitlab(&[(&format!(r#"["{name}","{name}",[],[]]"#), value)])
}

// [gitlab.publish] [dialect.undecided]
#[test]
fn a_file_that_ends_before_what_it_uses_heals() {
    let file = gitlab(&[
        (r#"["jobs_total","jobs_total",["queue"],["a"]]"#, 5.0),
        (r#"["jobs_total","jobs_total",["queue"],["b"]]"#, 6.0),
    ]);
    let mut pool = Pool::with(&[
        ("counter_1-0.db", vec![0; 4096]),
        ("gauge_all_7.db", gauge("g", 1.0, 0.0)),
    ]);
    assert_eq!(pool.pass().state("counter_1-0.db"), "empty");
    pool.directory.write("counter_1-0.db", &file);
    assert_eq!(pool.pass().value("jobs_total{queue=\"b\"}"), Some(6.0));
    pool.directory.truncate("counter_1-0.db", 80);
    let pass = pool.pass();
    assert_eq!(pass.state("counter_1-0.db"), "truncated");
    assert_eq!(pass.value("jobs_total{queue=\"b\"}"), Some(6.0));
    pool.directory.write("counter_1-0.db", &file);
    assert_eq!(pool.pass().state("counter_1-0.db"), "good");
}

// [merge.counter.bare] [merge.conflict.name]
#[test]
fn a_bare_counter_gives_way_to_the_counter_and_both_are_told_by_their_names() {
    let key = r#"["events","events",[],[]]"#;
    let bare = gitlab(&[(key, 1.0)]);
    let mut pool = Pool::with(&[
        ("counter_1-0.db", bare),
        ("counter_2.db", counter("events", 2.0)),
    ]);
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["events_total 2.0"]);
    let told = "counter events_total and counter events want one name: counter events is left out";
    assert_eq!(pass.conflicts(), [told]);
}
