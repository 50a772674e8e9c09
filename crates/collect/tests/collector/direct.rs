//! `spec/dialects.md`, chapter 5: what Ruby's DirectFileStore writes.

use headcount_collect::model::{MetricType, Mode};
use headcount_collect::rules::{Pattern, Rule, Rules};

use crate::entries::{Entries, Form, direct, filled};
use crate::pool::{Pass, Pool};
use crate::python::gauge;

/// What a collector that begins anew makes of these files under these rules.
fn read(files: &[(&str, Vec<u8>)], rules: Vec<Rule>) -> Pass {
    let mut pool = Pool::with(files);
    pool.collector.set_rules(Rules { rules });
    pool.pass()
}

fn rule(pattern: &str) -> Rule {
    Rule {
        pattern: Pattern::new(pattern),
        ..Rule::default()
    }
}

fn typed(pattern: &str, metric_type: MetricType) -> Rule {
    Rule {
        metric_type: Some(metric_type),
        ..rule(pattern)
    }
}

/// The type of the only family.
fn type_of(pass: &Pass) -> MetricType {
    assert_eq!(pass.0.families.len(), 1);
    pass.0.families[0].metric_type
}

// [direct.type]
#[test]
fn the_type_is_guessed_from_the_keys_and_the_name() {
    for (name, keys, metric_type, lines) in [
        (
            "metric_took___7.bin",
            &[
                ("le=1&q=a", 2.0),
                ("le=sum&q=a", 1.5),
                ("le=%2BInf&q=a", 1.0),
            ][..],
            MetricType::Histogram,
            &[
                "took_bucket{le=\"1.0\",q=\"a\"} 2.0",
                "took_bucket{le=\"+Inf\",q=\"a\"} 3.0",
                "took_sum{q=\"a\"} 1.5",
                "took_count{q=\"a\"} 3.0",
            ][..],
        ),
        (
            "metric_size___7.bin",
            &[("quantile=count", 2.0), ("quantile=sum", 9.0)],
            MetricType::Summary,
            &["size_sum 9.0", "size_count 2.0"],
        ),
        (
            "metric_level___7.bin",
            &[("pid=7&zone=a", 4.0)],
            MetricType::Gauge,
            &["level{pid=\"7\",zone=\"a\"} 4.0"],
        ),
        (
            "metric_jobs_total___7.bin",
            &[("", 3.0)],
            MetricType::Counter,
            &["jobs_total 3.0"],
        ),
        (
            "metric_jobs___7.bin",
            &[("", 3.0)],
            MetricType::Unknown,
            &["jobs 3.0"],
        ),
        // Another worker's pid is a label as any other.
        (
            "metric_jobs___7.bin",
            &[("pid=8", 3.0)],
            MetricType::Unknown,
            &["jobs{pid=\"8\"} 3.0"],
        ),
    ] {
        let pass = read(&[(name, direct(keys))], Vec::new());
        let mut served = pass.lines();
        let mut expected: Vec<_> = lines.iter().map(|&line| line.to_owned()).collect();
        served.sort();
        expected.sort();
        assert_eq!(served, expected, "{name}");
        assert_eq!(type_of(&pass), metric_type, "{name}");
        assert_eq!(pass.state(name), "good", "{name}");
    }
}

// [direct.type] [rules.type] [rules.help] [direct.help]
#[test]
fn a_rule_knows_type_and_help() {
    let file = [("metric_jobs___7.bin", direct(&[("", 3.0)]))];
    let pass = read(&file, vec![typed("jobs", MetricType::Counter)]);
    assert_eq!(type_of(&pass), MetricType::Counter);
    assert_eq!(pass.lines(), ["jobs 3.0"]);
    assert_eq!(&*pass.0.families[0].help, "");

    let helped = Rule {
        help: Some("Jobs done.".into()),
        ..typed("jobs", MetricType::Gauge)
    };
    let pass = read(&file, vec![helped]);
    assert_eq!(type_of(&pass), MetricType::Gauge);
    assert_eq!(&*pass.0.families[0].help, "Jobs done.");

    // A file that says its type knows it.
    let pass = read(
        &[("gauge_max_7.db", gauge("jobs", 3.0, 0.0))],
        vec![typed("jobs", MetricType::Counter)],
    );
    assert_eq!(type_of(&pass), MetricType::Gauge);
}

// [direct.gauge] [merge.gauge.sum]
#[test]
fn a_gauge_has_a_series_for_each_worker_or_is_merged_by_a_rule() {
    let all = [
        ("metric_level___7.bin", direct(&[("pid=7&zone=a", 4.0)])),
        ("metric_level___8.bin", direct(&[("pid=8&zone=a", 6.0)])),
    ];
    let each = [
        "level{pid=\"7\",zone=\"a\"} 4.0",
        "level{pid=\"8\",zone=\"a\"} 6.0",
    ];
    assert_eq!(read(&all, Vec::new()).lines(), each);
    let most = Rule {
        mode: Some(Mode::Max),
        ..rule("level")
    };
    assert_eq!(read(&all, vec![most]).lines(), ["level{zone=\"a\"} 6.0"]);

    let plain = [
        ("metric_level___7.bin", direct(&[("zone=a", 4.0)])),
        ("metric_level___8.bin", direct(&[("zone=a", 6.0)])),
    ];
    let pass = read(&plain, vec![typed("level", MetricType::Gauge)]);
    assert_eq!(pass.lines(), ["level{zone=\"a\"} 10.0"]);
    let pass = read(&plain, Vec::new());
    assert_eq!(type_of(&pass), MetricType::Unknown);
    assert_eq!(pass.lines(), ["level{zone=\"a\"} 10.0"]);
}

// [direct.time] [merge.gauge.mostrecent]
#[test]
fn the_most_recent_is_told_by_a_monotonic_time() {
    let recent = |value, time| Entries::new(Form::Query16).timed("", value, time).on_disk();
    let rules = vec![Rule {
        mode: Some(Mode::MostRecent),
        ..typed("level", MetricType::Gauge)
    }];
    let files = [
        ("metric_level___7.bin", recent(4.0, 5000.5)),
        ("metric_level___8.bin", recent(3.0, 5000.75)),
        ("metric_level___9.bin", recent(9.0, 4999.0)),
        // No time at all.
        (
            "metric_level___10.bin",
            filled(Form::Query8, &[("", 100.0)]),
        ),
    ];
    assert_eq!(read(&files, rules.clone()).lines(), ["level 3.0"]);
    // Any time since 1970 is later.
    let mut mixed = files.to_vec();
    mixed.push((
        "gauge_mostrecent_1.db",
        gauge("level", 1.0, 1_790_000_000.0),
    ));
    assert_eq!(read(&mixed, rules).lines(), ["level 1.0"]);
}

// [direct.buckets] [rules.buckets]
#[test]
fn a_rule_brings_the_bounds_that_nobody_has_hit() {
    let file = [(
        "metric_took___7.bin",
        direct(&[("le=1&q=a", 2.0), ("le=sum&q=a", 1.5)]),
    )];
    let bounds = Rule {
        buckets: Some([0.5, 1.0, 5.0].into()),
        ..rule("took")
    };
    let expected = [
        "took_bucket{le=\"0.5\",q=\"a\"} 0.0",
        "took_bucket{le=\"1.0\",q=\"a\"} 2.0",
        "took_bucket{le=\"5.0\",q=\"a\"} 2.0",
        "took_bucket{le=\"+Inf\",q=\"a\"} 2.0",
        "took_sum{q=\"a\"} 1.5",
        "took_count{q=\"a\"} 2.0",
    ];
    let pass = read(&file, vec![bounds]);
    assert_eq!(pass.lines(), expected);
    assert!(pass.conflicts().is_empty());
    // Which bounds were hit is no conflict.
    let other = direct(&[("le=8&q=a", 1.0)]);
    let pass = read(
        &[file[0].clone(), ("metric_took___8.bin", other)],
        Vec::new(),
    );
    assert_eq!(pass.value("took_bucket{le=\"8.0\",q=\"a\"}"), Some(3.0));
    assert!(pass.conflicts().is_empty());
}

// [direct.entry] [direct.walk] [dialect.key]
#[test]
fn values_with_and_without_a_time_are_told_apart() {
    for (form, client) in [
        (Form::Query8, "prometheus-client (Ruby) 0.10 to 2.0"),
        (Form::Query16, "prometheus-client (Ruby) 2.1 and later"),
    ] {
        for keys in [
            &[("", 1.0), ("a=b", 2.0), ("a=c&d=e", 4.0)][..],
            &[("", 1.0), ("a=b", 2.0)],
            &[("a=b", 3.0)],
        ] {
            let pass = read(
                &[("metric_c_total___7.bin", filled(form, keys))],
                Vec::new(),
            );
            let total: f64 = pass.samples().values().sum();
            assert_eq!(
                total,
                keys.iter().map(|key| key.1).sum::<f64>(),
                "{form:?} {keys:?}"
            );
            assert_eq!(pass.file("metric_c_total___7.bin").client, client);
        }
    }
}

// [direct.name]
#[test]
fn a_name_is_split_at_its_last_underscores() {
    let pass = read(
        &[
            ("metric_c___7.bin", direct(&[("", 1.0)])),
            ("metric_c___x___7.bin", direct(&[("", 2.0)])),
        ],
        Vec::new(),
    );
    assert_eq!(pass.lines(), ["c 1.0", "c___x 2.0"]);
    let worker = pass.file("metric_c___x___7.bin").worker.as_ref();
    assert_eq!(worker.map(|worker| &*worker.pid), Some("7"));
}

// [direct.key] [direct.walk]
#[test]
fn keys_are_unescaped_and_may_have_a_tilde() {
    let file = direct(&[
        ("path=%2Fhome%2F~user&q=a+b", 1.0),
        ("path=~", 2.0),
        ("path=caf%C3%A9", 3.0),
    ]);
    let pass = read(&[("metric_c_total___7.bin", file)], Vec::new());
    let expected = [
        "c_total{path=\"/home/~user\",q=\"a b\"} 1.0",
        "c_total{path=\"caf\u{e9}\"} 3.0",
        "c_total{path=\"~\"} 2.0",
    ];
    assert_eq!(pass.lines(), expected);
}

// [direct.key] [direct.type] [python.left-out]
#[test]
fn a_key_that_names_nothing_costs_itself() {
    for (name, good, bad) in [
        ("metric_c_total___7.bin", "a=b", "novalue"),
        ("metric_c_total___7.bin", "a=b", "a=%FF"),
        ("metric_c_total___7.bin", "a=b", "a=%4"),
        ("metric_took___7.bin", "le=1", "le=big"),
    ] {
        let file = direct(&[(good, 1.0), (bad, 2.0)]);
        let pass = read(&[(name, file)], Vec::new());
        let total: f64 = pass.0.families.len() as f64;
        assert_eq!(total, 1.0, "{bad}");
        assert!(pass.samples().values().all(|&value| value == 1.0), "{bad}");
        assert_eq!(pass.state(name), "malformed", "{bad}");
    }
}

// [direct.type]
//
// A rule that makes a counter of a family with the label `le` leaves the label as it is.
#[test]
fn a_rule_prevails_over_the_keys() {
    let file = direct(&[("le=1", 2.0)]);
    let pass = read(
        &[("metric_took___7.bin", file)],
        vec![typed("took", MetricType::Counter)],
    );
    assert_eq!(pass.lines(), ["took{le=\"1\"} 2.0"]);
}
