//! `spec/rules.md`: what an operator wants otherwise than the workers say.

use headcount_collect::budget::Budgets;
use headcount_collect::model::{Labels, Mode};
use headcount_collect::report::Liveness;
use headcount_collect::rules::{Pattern, Rule, Rules};
use headcount_format::MetricType;
use headcount_format::record::Family;

use crate::pool::{Directory, Pass, Pool, watch};
use crate::python::{PythonFile, counter, gauge};
use crate::store::{Writer, family, state_set};

fn rule(pattern: &str) -> Rule {
    Rule {
        pattern: Pattern::new(pattern),
        ..Rule::default()
    }
}

fn renamed(pattern: &str, old: &str, new: &str) -> Rule {
    Rule {
        renamed_labels: vec![(old.into(), new.into())],
        ..rule(pattern)
    }
}

fn without(pattern: &str, label: &str) -> Rule {
    Rule {
        dropped_labels: vec![label.into()],
        ..rule(pattern)
    }
}

fn moded(pattern: &str, mode: Mode) -> Rule {
    Rule {
        mode: Some(mode),
        ..rule(pattern)
    }
}

fn obey(pool: &mut Pool, rules: Vec<Rule>) {
    pool.collector.set_rules(Rules { rules });
}

/// Two workers that count by code and path.
fn requests() -> Pool {
    let file = |first, second, third| {
        PythonFile::new()
            .counter("requests", r#"{"code": "200", "path": "/a"}"#, first)
            .counter("requests", r#"{"code": "200", "path": "/b"}"#, second)
            .counter("requests", r#"{"code": "500", "path": "/a"}"#, third)
            .on_disk()
    };
    Pool::with(&[
        ("counter_1.db", file(1.0, 2.0, 4.0)),
        ("counter_2.db", file(8.0, 16.0, 32.0)),
    ])
}

// [rules.drop-label] [rules.rename-label] [rules.match]
#[test]
fn labels_that_are_dropped_or_renamed_merge_what_becomes_equal() {
    let mut pool = requests();
    for pattern in ["requests", "requests_total", "req*", "?equests"] {
        obey(&mut pool, vec![without(pattern, "path")]);
        let expected = [
            "requests_total{code=\"200\"} 27.0",
            "requests_total{code=\"500\"} 36.0",
        ];
        assert_eq!(pool.pass().lines(), expected, "{pattern}");
    }
    // The pattern is the whole name.
    obey(&mut pool, vec![without("request", "path")]);
    assert_eq!(pool.pass().lines().len(), 3);
    obey(
        &mut pool,
        vec![without("r*", "path"), renamed("requests", "code", "status")],
    );
    let expected = [
        "requests_total{status=\"200\"} 27.0",
        "requests_total{status=\"500\"} 36.0",
    ];
    assert_eq!(pool.pass().lines(), expected);
    // It takes the place of what is there.
    obey(&mut pool, vec![renamed("requests", "code", "path")]);
    let expected = [
        "requests_total{path=\"200\"} 27.0",
        "requests_total{path=\"500\"} 36.0",
    ];
    assert_eq!(pool.pass().lines(), expected);
}

// [rules.first]
#[test]
fn the_first_rule_that_says_something_prevails() {
    let mut pool = requests();
    let helped = |pattern: &str, help: &str| Rule {
        help: Some(help.into()),
        ..rule(pattern)
    };
    obey(
        &mut pool,
        vec![
            renamed("requests", "path", "route"),
            without("r*", "path"),
            without("*", "code"),
            helped("*", "First."),
            helped("requests", "Second."),
        ],
    );
    let pass = pool.pass();
    let expected = [
        "requests_total{route=\"/a\"} 45.0",
        "requests_total{route=\"/b\"} 18.0",
    ];
    assert_eq!(pass.lines(), expected);
    // [rules.help]
    assert_eq!(&*pass.0.families[0].help, "First.");
}

// [rules.mode] [rules.drop-label]
#[test]
fn a_gauge_goes_by_the_rules_mode() {
    let level = |a, b| {
        PythonFile::new()
            .gauge("level", r#"{"zone": "a"}"#, a, 0.0)
            .gauge("level", r#"{"zone": "b"}"#, b, 0.0)
            .on_disk()
    };
    let mut pool = Pool::with(&[
        ("gauge_all_1.db", level(1.0, 2.0)),
        ("gauge_all_2.db", level(4.0, 8.0)),
    ]);
    // In the mode all, what one worker has in several series is added up.
    obey(&mut pool, vec![without("level", "zone")]);
    let each = ["level{pid=\"1\"} 3.0", "level{pid=\"2\"} 12.0"];
    for _ in 0..2 {
        let pass = pool.pass();
        assert_eq!(pass.lines(), each);
        assert!(pass.conflicts().is_empty());
    }
    for (mode, value) in [(Mode::Max, 8.0), (Mode::Min, 1.0), (Mode::Sum, 15.0)] {
        obey(
            &mut pool,
            vec![without("level", "zone"), moded("level", mode)],
        );
        assert_eq!(pool.pass().lines(), [format!("level {value:?}")], "{mode}");
    }
    obey(&mut pool, vec![moded("level", Mode::Max)]);
    assert_eq!(
        pool.pass().lines(),
        ["level{zone=\"a\"} 4.0", "level{zone=\"b\"} 8.0"]
    );
    // No value has a time.
    obey(&mut pool, vec![moded("level", Mode::MostRecent)]);
    assert!(pool.pass().lines().is_empty());
    obey(&mut pool, Vec::new());
    assert_eq!(pool.pass().lines().len(), 4);
}

// [rules.mode] [merge.conflict.mode]
#[test]
fn a_rule_settles_what_workers_do_not_agree_about() {
    let mut pool = Pool::with(&[
        ("gauge_sum_1.db", gauge("level", 1.0, 0.0)),
        ("gauge_all_2.db", gauge("level", 2.0, 0.0)),
    ]);
    assert_eq!(pool.pass().conflicts().len(), 1);
    obey(&mut pool, vec![moded("level", Mode::Max)]);
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["level 2.0"]);
    assert!(pass.conflicts().is_empty());
}

// [rules.drop] [rules.reload]
#[test]
fn a_family_that_is_dropped_comes_back_with_its_total() {
    let mut pool = Pool::with(&[
        ("counter_1.db", counter("a", 1.0)),
        ("counter_2.db", counter("b", 2.0)),
    ]);
    let dropped = Rule {
        drop: Some(true),
        ..rule("a")
    };
    assert_eq!(pool.pass().lines(), ["a_total 1.0", "b_total 2.0"]);
    obey(&mut pool, vec![dropped]);
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["b_total 2.0"]);
    assert_eq!(pass.state("counter_1.db"), "good");
    assert!(pass.file("counter_1.db").left_out.is_empty());
    obey(&mut pool, Vec::new());
    assert_eq!(pool.pass().lines(), ["a_total 1.0", "b_total 2.0"]);
}

// [rules.drop] [rules.first]
#[test]
fn an_exception_stands_before_the_rule() {
    let mut pool = Pool::with(&[
        ("counter_1.db", counter("http_errors", 1.0)),
        ("counter_2.db", counter("http_requests", 2.0)),
    ]);
    let drop = |drop, pattern| Rule {
        drop: Some(drop),
        ..rule(pattern)
    };
    obey(
        &mut pool,
        vec![drop(false, "http_errors"), drop(true, "http_*")],
    );
    assert_eq!(pool.pass().lines(), ["http_errors_total 1.0"]);
}

// [rules.reload] [merge.departed]
#[test]
fn a_reload_keeps_what_the_departed_have_counted() {
    let mut pool = requests();
    pool.pass();
    pool.directory.remove("counter_2.db");
    pool.pass();
    for (rules, expected) in [
        (vec![without("requests", "path")], vec![27.0, 36.0]),
        (vec![without("requests", "code")], vec![45.0, 18.0]),
        (vec![moded("other", Mode::Max)], vec![9.0, 18.0, 36.0]),
        (vec![without("*", "path"), without("*", "code")], vec![63.0]),
    ] {
        obey(&mut pool, rules);
        for _ in 0..2 {
            let served: Vec<f64> = pool.pass().samples().into_values().collect();
            assert_eq!(served, expected);
        }
    }
}

// [rules.drop] [rules.first]
#[test]
fn what_is_dropped_from_the_start_takes_nothing_of_a_budget() {
    let mut pool = Pool::with(&[
        ("counter_1.db", counter("a", 1.0)),
        ("counter_2.db", counter("b", 2.0)),
        ("gauge_all_1.db", gauge("level", 5.0, 0.0)),
        ("gauge_all_2.db", gauge("level", 7.0, 0.0)),
    ]);
    let dropped = Rule {
        drop: Some(true),
        ..rule("a")
    };
    // Of two modes the first, too.
    let first = moded("level", Mode::Max);
    obey(&mut pool, vec![dropped, first, moded("*", Mode::Min)]);
    let mut budgets = Budgets::default();
    budgets.series = 2;
    pool.collector.set_budgets(budgets);
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["b_total 2.0", "level 7.0"]);
    assert!(pass.0.files.iter().all(|file| file.left_out.is_empty()));
}

/// Two directories with labels of their own.
fn labelled(first: &Directory, second: &Directory) -> headcount_collect::collector::Collector {
    let mut collector = watch(first);
    collector.add_directory(second.path());
    for (index, app) in ["web", "mail"].into_iter().enumerate() {
        let labels = Labels::new([("app".into(), app.into())]);
        collector.set_directory_labels(index, labels);
    }
    collector
}

// [rules.labels] [merge.worker.twice]
#[test]
fn constant_labels_tell_directories_apart() {
    let (first, second) = (Directory::new(), Directory::new());
    let file = PythonFile::new()
        .counter("c", "{}", 1.0)
        .counter("c", r#"{"app": "own"}"#, 2.0)
        .counter("c", r#"{"app": "own", "exported_app": "older"}"#, 4.0);
    for directory in [&first, &second] {
        directory.write("counter_1.db", &file.on_disk());
        directory.write("gauge_all_1.db", &gauge("g", 5.0, 0.0));
    }
    let mut collector = labelled(&first, &second);
    let pass = Pass(collector.collect(|_| Liveness::Unknown));
    let of = |app: &str| {
        [
            format!("c_total{{app=\"{app}\"}} 1.0"),
            format!(
                "c_total{{app=\"{app}\",exported_app=\"older\",exported_exported_app=\"own\"}} 4.0"
            ),
            format!("c_total{{app=\"{app}\",exported_app=\"own\"}} 2.0"),
            format!("g{{app=\"{app}\",pid=\"1\"}} 5.0"),
        ]
    };
    let mut expected = [of("web"), of("mail")].concat();
    let mut served = pass.lines();
    expected.sort();
    served.sort();
    assert_eq!(served, expected);
    assert!(pass.conflicts().is_empty());
    // After labels were renamed: a label that is renamed to that of the directory gives way.
    let rules = vec![renamed("c", "exported_app", "app")];
    collector.set_rules(Rules { rules });
    let pass = Pass(collector.collect(|_| Liveness::Unknown));
    assert_eq!(
        pass.value("c_total{app=\"web\",exported_app=\"older\"}"),
        Some(4.0)
    );
    assert_eq!(
        pass.value("c_total{app=\"mail\",exported_app=\"own\"}"),
        Some(2.0)
    );
}

// [merge.labels.reserved]
#[test]
fn labels_with_a_meaning_of_their_own_are_dropped() {
    let mut pool = Pool::new();
    let mut writer = Writer::new(&pool.directory, 5);
    let labelled = |family: Family, label: &str| Family {
        label_names: vec![label.into()],
        ..family
    };
    let mut add = |family: Family, label: &str, values: &[&[f64]]| {
        let number = writer.family(labelled(family, label));
        for (value, cells) in ["x", "y"].into_iter().zip(values) {
            let place = writer.series(number, &[value], 0);
            writer.set(place, cells);
        }
    };
    let took = Family {
        bounds: vec![1.0],
        ..family(MetricType::Histogram, "took")
    };
    add(took, "le", &[&[0.5, 1.0, 0.0], &[0.25, 2.0, 4.0]]);
    let size = family(MetricType::Summary, "size");
    add(size, "quantile", &[&[3.0, 1.0], &[4.0, 2.0]]);
    let task = state_set(Mode::Max, "task", &["idle", "busy"]);
    add(task, "task", &[&[1.0]]);
    let mut served = pool.pass().lines();
    served.sort();
    let expected = [
        "size_count 3.0",
        "size_sum 7.0",
        "task{task=\"busy\"} 1.0",
        "task{task=\"idle\"} 0.0",
        "took_bucket{le=\"+Inf\"} 7.0",
        "took_bucket{le=\"1.0\"} 3.0",
        "took_count 7.0",
        "took_sum 0.75",
    ];
    assert_eq!(served, expected);
}
