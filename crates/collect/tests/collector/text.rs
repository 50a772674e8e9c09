//! `spec/dialects.md`, chapter 6: text files beside the files of workers.

use std::fs::File;
use std::time::{Duration, SystemTime};

use headcount_collect::model::MetricType;
use headcount_collect::report::FileState;
use headcount_collect::rules::{Pattern, Rule, Rules};

use crate::pool::{Pass, Pool};
use crate::python::{counter, gauge, histogram};

/// A pool with these texts, by their names without the suffix.
fn with(texts: &[(&str, &str)]) -> Pool {
    let pool = Pool::new();
    for (stem, text) in texts {
        pool.directory
            .replace(&format!("{stem}.prom"), text.as_bytes());
    }
    pool
}

/// The file as its writer replaces it.
fn rewrite(pool: &Pool, text: &str) {
    pool.directory.replace("a.prom", text.as_bytes());
}

/// The file as an editor writes it, over the old one.
fn overwrite(pool: &Pool, text: &str) {
    std::fs::write(pool.directory.join("a.prom"), text).expect("a file can be written");
}

/// Says when a file was written, in seconds since 1970.
fn set_written(pool: &Pool, name: &str, seconds: u64) {
    let file = File::options().write(true).open(pool.directory.join(name));
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let set = file.and_then(|file| file.set_modified(time));
    set.expect("its time can be set");
}

// [text.source] [merge.counter] [merge.histogram.mixed] [merge.summary]
#[test]
fn a_text_counts_beside_the_workers() {
    let mut pool = with(&[(
        "a",
        "# HELP jobs_total Jobs of the script.\n# TYPE jobs_total counter\njobs_total 2\n\
         # TYPE took histogram\ntook_bucket{le=\"1\"} 1\ntook_bucket{le=\"+Inf\"} 3\n\
         took_sum 5\ntook_count 3\n# TYPE size summary\nsize_sum 9\nsize_count 4\n",
    )]);
    pool.directory.write("counter_1.db", &counter("jobs", 3.0));
    let took = histogram("took", 0.5, &[("1.0", 2.0), ("+Inf", 1.0)]);
    pool.directory.write("histogram_1.db", &took);
    let expected = [
        "jobs_total 5.0",
        "size_sum 9.0",
        "size_count 4.0",
        "took_bucket{le=\"1.0\"} 3.0",
        "took_bucket{le=\"+Inf\"} 6.0",
        "took_sum 5.5",
        "took_count 6.0",
    ];
    let mut expected = expected.map(str::to_owned);
    let pass = pool.pass();
    let mut served = pass.lines();
    served.sort();
    expected.sort();
    assert_eq!(served, expected);
    assert!(pass.file("a.prom").worker.is_none());
    assert_eq!(pass.state("a.prom"), "good");
}

// [text.source] [merge.gauge.mostrecent]
#[test]
fn of_two_texts_the_gauge_that_was_written_last_is_served() {
    let mut pool = with(&[
        ("a", "# TYPE g gauge\ng 1\n"),
        ("b", "# TYPE g gauge\ng 2\n"),
    ]);
    set_written(&pool, "a.prom", 2_000_000_000);
    set_written(&pool, "b.prom", 1_000_000_000);
    assert_eq!(pool.pass().lines(), ["g 1.0"]);
    // The sample's own time goes before the file's.
    pool.directory
        .replace("b.prom", b"# TYPE g gauge\ng 2 2500000000000\n");
    set_written(&pool, "b.prom", 1_000_000_000);
    assert_eq!(pool.pass().lines(), ["g 2.0"]);
}

// [text.source] [merge.conflict.mode]
#[test]
fn a_gauge_has_the_mode_that_workers_declare() {
    let mut pool = with(&[("backup", "# TYPE g gauge\ng 5\n")]);
    pool.directory
        .write("gauge_sum_1.db", &gauge("g", 2.0, 0.0));
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["g 7.0"]);
    assert!(pass.conflicts().is_empty());

    let mut pool = with(&[("backup", "# TYPE g gauge\ng 5\n")]);
    pool.directory
        .write("gauge_all_1.db", &gauge("g", 2.0, 0.0));
    assert_eq!(
        pool.pass().lines(),
        ["g{pid=\"1\"} 2.0", "g{pid=\"backup\"} 5.0"]
    );
}

// [text.rewritten] [merge.counter.fall]
#[test]
fn a_text_that_is_rewritten_keeps_counters_and_drops_gauges() {
    let mut pool = with(&[(
        "a",
        "# TYPE c_total counter\nc_total{q=\"a\"} 5\nc_total{q=\"b\"} 7\n\
         # TYPE g gauge\ng{q=\"a\"} 1\ng{q=\"b\"} 2\n",
    )]);
    assert_eq!(pool.pass().samples().len(), 4);
    rewrite(
        &pool,
        "# TYPE c_total counter\nc_total{q=\"a\"} 6\n# TYPE g gauge\ng{q=\"b\"} 3\n",
    );
    let expected = [
        "c_total{q=\"a\"} 6.0",
        "c_total{q=\"b\"} 7.0",
        "g{q=\"b\"} 3.0",
    ];
    for _ in 0..2 {
        assert_eq!(pool.pass().lines(), expected);
    }
    // It begins again: 6 and 2 more.
    rewrite(&pool, "# TYPE c_total counter\nc_total{q=\"a\"} 2\n");
    for _ in 0..2 {
        assert_eq!(
            pool.pass().lines(),
            ["c_total{q=\"a\"} 8.0", "c_total{q=\"b\"} 7.0"]
        );
    }
}

// [text.rewritten]
#[test]
fn a_text_that_goes_leaves_its_counts_and_goes_on_from_them() {
    let text =
        |count: u32| format!("# TYPE c_total counter\nc_total {count}\n# TYPE g gauge\ng 1\n");
    let mut pool = with(&[("a", &text(5))]);
    assert_eq!(pool.pass().lines(), ["c_total 5.0", "g 1.0"]);
    for (count, total) in [(6, 6.0), (8, 8.0), (1, 9.0)] {
        pool.directory.remove("a.prom");
        let gone = pool.pass();
        assert_eq!(gone.lines().len(), 1, "{:?}", gone.lines());
        assert!(gone.0.files.is_empty());
        rewrite(&pool, &text(count));
        let total = format!("c_total {total:?}");
        assert_eq!(pool.pass().lines(), [&total, "g 1.0"]);
    }
}

// [text.unfinished]
#[test]
fn a_last_line_that_does_not_end_is_not_taken() {
    let mut pool = with(&[(
        "a",
        "# TYPE c_total counter\nc_total{q=\"a\"} 5\nc_total{q=\"b\"} 1",
    )]);
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["c_total{q=\"a\"} 5.0"]);
    assert_eq!(pass.state("a.prom"), "torn_tail");
    rewrite(
        &pool,
        "# TYPE c_total counter\nc_total{q=\"a\"} 5\nc_total{q=\"b\"} 12\n",
    );
    let pass = pool.pass();
    assert_eq!(
        pass.lines(),
        ["c_total{q=\"a\"} 5.0", "c_total{q=\"b\"} 12.0"]
    );
    assert_eq!(pass.state("a.prom"), "good");
    // A value that is half-written takes nothing back, and neither does a gauge go.
    rewrite(
        &pool,
        "# TYPE c_total counter\nc_total{q=\"a\"} 6\nc_total{q=\"b\"} 1",
    );
    assert_eq!(
        pool.pass().lines(),
        ["c_total{q=\"a\"} 6.0", "c_total{q=\"b\"} 12.0"]
    );
}

// [text.bad-line]
#[test]
fn a_bad_line_costs_itself_and_is_told_with_its_number() {
    let mut pool = with(&[(
        "a",
        "# TYPE c_total counter\nc_total{q=\"a\"} 5\nc_total{q=b} 6\n",
    )]);
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["c_total{q=\"a\"} 5.0"]);
    assert_eq!(pass.state("a.prom"), "malformed");
    let state = format!("{:?}", pass.file("a.prom").state);
    assert!(state.contains("line 3"), "{state}");
}

// [text.source]
#[test]
fn a_quantile_is_served_of_one_source_alone() {
    let text = |median: f64, count: u32| {
        format!("# TYPE s summary\ns{{quantile=\"0.5\"}} {median}\ns_sum 2\ns_count {count}\n")
    };
    let mut pool = with(&[("a", &text(0.25, 3))]);
    let sorted = |pass: &Pass| {
        let mut lines = pass.lines();
        lines.sort();
        lines
    };
    let one = ["s_count 3.0", "s_sum 2.0", "s{quantile=\"0.5\"} 0.25"];
    assert_eq!(sorted(&pool.pass()), one);
    pool.directory.replace("b.prom", text(0.75, 4).as_bytes());
    assert_eq!(sorted(&pool.pass()), ["s_count 7.0", "s_sum 4.0"]);
    pool.directory.remove("b.prom");
    let alone = ["s_count 7.0", "s_sum 4.0", "s{quantile=\"0.5\"} 0.25"];
    assert_eq!(sorted(&pool.pass()), alone);
}

// [rules.type] [merge.unknown] [text.rewritten]
#[test]
fn a_sample_without_a_type_has_a_rules_or_none() {
    let mut pool = with(&[("a", "c_total 5\n")]);
    let pass = pool.pass();
    assert_eq!(pass.0.families[0].metric_type, MetricType::Unknown);
    assert_eq!(pass.lines(), ["c_total 5.0"]);

    let mut pool = with(&[("a", "c_total 5\n")]);
    let rules = vec![Rule {
        pattern: Pattern::new("c"),
        metric_type: Some(MetricType::Counter),
        ..Rule::default()
    }];
    pool.collector.set_rules(Rules { rules });
    let pass = pool.pass();
    assert_eq!(pass.0.families[0].metric_type, MetricType::Counter);
    pool.directory.remove("a.prom");
    pool.pass();
    assert_eq!(pool.pass().lines(), ["c_total 5.0"]);
}

// [text.limit] [merge.file.kept]
#[test]
fn a_text_of_more_than_eight_mebibytes_keeps_what_it_had() {
    let mut pool = with(&[("a", "# TYPE c_total counter\nc_total 5\n")]);
    assert_eq!(pool.pass().lines(), ["c_total 5.0"]);
    let comment = format!("#{}\n", "x".repeat(1023));
    let mut long = String::from("# TYPE c_total counter\nc_total 6\n");
    while long.len() + comment.len() <= 8 << 20 {
        long.push_str(&comment);
    }
    rewrite(&pool, &long);
    assert_eq!(pool.pass().lines(), ["c_total 6.0"]);
    long.push_str("c_total 7\n");
    long.push_str(&comment);
    rewrite(&pool, &long);
    let pass = pool.pass();
    assert_eq!(pass.state("a.prom"), "too_large");
    assert_eq!(pass.lines(), ["c_total 6.0"]);
    rewrite(&pool, "# TYPE c_total counter\nc_total 7\n");
    assert_eq!(pool.pass().lines(), ["c_total 7.0"]);
}

// [text.cumulative] [merge.histogram.inf]
#[test]
fn a_histogram_without_its_last_bucket_has_its_count_there() {
    let text = |count: &str| {
        format!(
            "# TYPE h histogram\nh_bucket{{le=\"1\"}} 2\nh_bucket{{le=\"2\"}} 3\nh_sum 4\n{count}"
        )
    };
    let mut pool = with(&[("a", &text("h_count 7\n"))]);
    let expected = |last: &str| {
        vec![
            "h_bucket{le=\"1.0\"} 2.0".to_owned(),
            "h_bucket{le=\"2.0\"} 3.0".to_owned(),
            format!("h_bucket{{le=\"+Inf\"}} {last}"),
            "h_sum 4.0".to_owned(),
            format!("h_count {last}"),
        ]
    };
    assert_eq!(pool.pass().lines(), expected("7.0"));
    // A count beside the last bucket is not used; with neither, what there is is all.
    for (rest, last) in [("h_bucket{le=\"+Inf\"} 5\nh_count 6\n", "5.0"), ("", "3.0")] {
        assert_eq!(with(&[("a", &text(rest))]).pass().lines(), expected(last));
    }
}

// [text.cumulative] [merge.counter.fall]
#[test]
fn a_histogram_that_begins_again_keeps_what_it_had() {
    let text = |low: u32, all: u32| {
        format!("# TYPE h histogram\nh_bucket{{le=\"1\"}} {low}\nh_bucket{{le=\"+Inf\"}} {all}\n")
    };
    let mut pool = with(&[("a", &text(2, 5))]);
    pool.pass();
    // 2 and 1 of at most 1, and 5 and 3 in all.
    rewrite(&pool, &text(1, 3));
    let expected = [
        "h_bucket{le=\"1.0\"} 3.0",
        "h_bucket{le=\"+Inf\"} 8.0",
        "h_count 8.0",
    ];
    for _ in 0..2 {
        assert_eq!(pool.pass().lines(), expected);
    }
    pool.directory.remove("a.prom");
    assert_eq!(pool.pass().lines(), expected);
    // It goes on from what it had.
    rewrite(&pool, &text(2, 4));
    let after = [
        "h_bucket{le=\"1.0\"} 4.0",
        "h_bucket{le=\"+Inf\"} 9.0",
        "h_count 9.0",
    ];
    assert_eq!(pool.pass().lines(), after);
}

// [text.empty] [text.rewritten]
#[test]
fn a_text_that_is_about_to_be_written_says_what_it_said() {
    let text = "# TYPE c_total counter\nc_total 5\n# TYPE g gauge\ng 1\n";
    let mut pool = with(&[("a", text)]);
    let before = pool.pass().lines();
    assert_eq!(before, ["c_total 5.0", "g 1.0"]);
    // Emptied in place, then written as it was; and both by rename.
    for way in [overwrite, rewrite] {
        way(&pool, "");
        let pass = pool.pass();
        assert_eq!(pass.lines(), before);
        assert_eq!(pass.state("a.prom"), "empty");
        way(&pool, text);
        let pass = pool.pass();
        assert_eq!(pass.lines(), before);
        assert_eq!(pass.state("a.prom"), "good");
    }
}

// [text.unfinished] [text.rewritten]
#[test]
fn a_text_that_is_damaged_heals_with_the_same_bytes() {
    let text = "# TYPE c_total counter\nc_total 5\n";
    let mut pool = with(&[("a", text)]);
    pool.pass();
    overwrite(&pool, "# TYPE c_total cou");
    assert_eq!(pool.pass().state("a.prom"), "torn_tail");
    overwrite(&pool, text);
    assert_eq!(pool.pass().state("a.prom"), "good");
}

// [text.blank]
#[test]
fn a_carriage_return_is_named() {
    let mut pool = with(&[("a", "# TYPE c_total counter\r\nc_total 5\r\n")]);
    let pass = pool.pass();
    let FileState::Damaged(damage) = &pass.file("a.prom").state else {
        panic!("{:?}", pass.file("a.prom"));
    };
    assert!(damage.detail.contains("carriage return"), "{damage}");
}
