//! `spec/merge.md`, chapter 4: workers that do not agree.

use headcount_collect::exposition::Format;
use headcount_collect::model::Mode;
use headcount_collect::report::Liveness;
use headcount_collect::rules::{Pattern, Rule, Rules};
use headcount_format::MetricType;
use headcount_format::record::Family;

use crate::pool::{Directory, Pass, Pool, collect_once};
use crate::python::{PythonFile, counter, gauge, histogram};
use crate::store::{Writer, family, state_set};

/// What a collector that begins anew makes of these files: their identifiers, and so the order in
/// which they are read, are dealt out in every way.
fn in_every_order(files: &[(&str, Vec<u8>)]) -> Pass {
    let mut passes: Vec<Pass> = Vec::new();
    for order in orders(files.len()) {
        let directory = Directory::new();
        for (ident, index) in order.into_iter().enumerate() {
            let (prefix, content) = &files[index];
            directory.write(&format!("{prefix}_{ident}.db"), content);
        }
        passes.push(collect_once(&directory));
    }
    let first = passes.remove(0);
    for other in passes {
        assert_eq!(
            other.encoded(Format::OpenMetrics),
            first.encoded(Format::OpenMetrics)
        );
        assert_eq!(other.conflicts(), first.conflicts());
    }
    first
}

fn orders(count: usize) -> Vec<Vec<usize>> {
    match count {
        0 => vec![Vec::new()],
        _ => {
            let shorter = orders(count - 1).into_iter();
            let insert = |order: Vec<usize>| {
                (0..count).map(move |at| {
                    let mut order = order.clone();
                    order.insert(at, count - 1);
                    order
                })
            };
            shorter.flat_map(insert).collect()
        }
    }
}

// [merge.conflict.name] [merge.conflict.report] [merge.order.fresh]
#[test]
fn of_two_types_the_one_that_must_not_fall_is_served() {
    let pass = in_every_order(&[
        ("counter", counter("x", 1.0)),
        ("gauge_max", gauge("x", 5.0, 0.0)),
        ("counter", counter("x", 2.0)),
    ]);
    assert_eq!(pass.lines(), ["x_total 3.0"]);
    let report = "counter x and gauge x want one name: gauge x is left out";
    assert_eq!(pass.conflicts(), [report]);

    let pass = in_every_order(&[
        (
            "summary",
            PythonFile::new().summary("x", 2.0, 9.0).on_disk(),
        ),
        ("histogram", histogram("x", 1.0, &[("+Inf", 1.0)])),
    ]);
    assert_eq!(pass.value("x_count"), Some(1.0));
    let report = "histogram x and summary x want one name: summary x is left out";
    assert_eq!(pass.conflicts(), [report]);
}

// [merge.conflict.name]
#[test]
fn names_clash_with_their_suffixes_and_as_they_are_written() {
    let pass = in_every_order(&[
        ("gauge_max", gauge("h_count", 5.0, 0.0)),
        ("histogram", histogram("h", 1.0, &[("+Inf", 1.0)])),
    ]);
    assert_eq!(pass.value("h_count"), Some(1.0));
    assert_eq!(pass.0.families.len(), 1);

    let pass = in_every_order(&[
        ("gauge_max", gauge("a_b", 1.0, 0.0)),
        ("gauge_max", gauge("a-b", 2.0, 0.0)),
    ]);
    // `-` is less than `_`.
    assert_eq!(pass.lines(), ["a_b 2.0"]);
    assert_eq!(pass.0.conflicts.len(), 1);
}

// [merge.conflict.name]
#[test]
fn who_has_been_served_keeps_the_name() {
    let mut pool = Pool::with(&[("gauge_max_1.db", gauge("x", 5.0, 0.0))]);
    assert_eq!(pool.pass().lines(), ["x 5.0"]);
    pool.directory.write("counter_2.db", &counter("x", 1.0));
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["x 5.0"]);
    let report = "gauge x and counter x want one name: counter x is left out";
    assert_eq!(pass.conflicts(), [report]);
    assert_eq!(collect_once(&pool.directory).lines(), ["x_total 1.0"]);
    // When the gauge goes, the counter comes with all that it has counted, and stays.
    pool.directory.remove("gauge_max_1.db");
    assert_eq!(pool.pass().lines(), ["x_total 1.0"]);
    pool.directory
        .write("gauge_max_1.db", &gauge("x", 5.0, 0.0));
    assert_eq!(pool.pass().lines(), ["x_total 1.0"]);
}

// [merge.conflict.help] [merge.conflict.report]
#[test]
fn the_least_help_is_served_and_none_is_no_help() {
    let file = |help: &str| {
        let key = format!(r#"["c", "c_total", {{}}, "{help}"]"#);
        ("counter", PythonFile::new().entry(&key, 1.0, 0.0).on_disk())
    };
    let pass = in_every_order(&[file("New words."), file("Old words."), file("")]);
    assert_eq!(&*pass.0.families[0].help, "New words.");
    assert_eq!(pass.lines(), ["c_total 3.0"]);
    let report = r#"c has two help texts: "New words." is served, "Old words." is not"#;
    assert_eq!(pass.conflicts(), [report]);
}

// [merge.conflict.unit]
#[test]
fn the_least_unit_is_served() {
    let mut pool = Pool::new();
    for unit in ["seconds", "", "bytes"] {
        let mut writer = Writer::new(&pool.directory, 5);
        let number = writer.family(Family {
            unit: unit.into(),
            ..family(MetricType::Counter, "c")
        });
        writer.series(number, &[], 0);
    }
    let pass = pool.pass();
    assert_eq!(&*pass.0.families[0].unit, "bytes");
    let report = r#"c has two units: "bytes" is served, "seconds" is not"#;
    assert_eq!(pass.conflicts(), [report]);
}

/// The ten modes, the one that prevails first.
const MODES: [&str; 10] = [
    "sum",
    "livesum",
    "max",
    "livemax",
    "min",
    "livemin",
    "mostrecent",
    "livemostrecent",
    "liveall",
    "all",
];

// [merge.conflict.mode] [merge.conflict.report]
#[test]
fn of_two_modes_the_one_that_says_more_is_used_for_all() {
    let prefixes = MODES.map(|mode| format!("gauge_{mode}"));
    // The last two do not merge, and are left to the test below.
    for (rank, mode) in MODES.iter().enumerate().take(8) {
        for other in rank + 1..MODES.len() {
            let pass = in_every_order(&[
                (&prefixes[other], gauge("x", 4.0, 20.0)),
                (&prefixes[rank], gauge("x", 1.0, 30.0)),
            ]);
            let expected = match mode.trim_start_matches("live") {
                "sum" => 5.0,
                "max" => 4.0,
                _ => 1.0,
            };
            assert_eq!(
                pass.lines(),
                [format!("x {expected:?}")],
                "{mode} {}",
                MODES[other]
            );
            let served = format!("{mode} is used for all workers, {} is not", MODES[other]);
            assert_eq!(
                pass.conflicts(),
                [format!("x has two multiprocess modes: {served}")]
            );
        }
    }
}

// [merge.conflict.mode] [merge.conflict.lasting]
#[test]
fn a_deployment_changes_a_mode_once() {
    let mut pool = Pool::with(&[
        ("gauge_all_1.db", gauge("x", 1.0, 0.0)),
        ("gauge_all_2.db", gauge("x", 2.0, 0.0)),
    ]);
    assert_eq!(
        pool.pass().lines(),
        ["x{pid=\"1\"} 1.0", "x{pid=\"2\"} 2.0"]
    );
    pool.directory
        .write("gauge_max_3.db", &gauge("x", 3.0, 0.0));
    assert_eq!(pool.pass().lines(), ["x 3.0"]);
    pool.directory.remove("gauge_all_1.db");
    assert_eq!(pool.pass().lines(), ["x 3.0"]);
    pool.directory.remove("gauge_max_3.db");
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["x 2.0"]);
    assert_eq!(pass.0.conflicts.len(), 1);
    assert_eq!(collect_once(&pool.directory).lines(), ["x{pid=\"2\"} 2.0"]);
}

// [merge.conflict.mode]
#[test]
fn a_live_mode_that_prevails_holds_for_the_others_too() {
    let mut pool = Pool::with(&[
        ("gauge_max_1.db", gauge("x", 4.0, 0.0)),
        ("gauge_livesum_2.db", gauge("x", 1.0, 0.0)),
    ]);
    let pass = pool.pass_with(|name| match name {
        "gauge_max_1.db" => Liveness::Dead,
        _ => Liveness::Live,
    });
    assert_eq!(pass.lines(), ["x 1.0"]);

    let mut pool = Pool::with(&[
        ("gauge_all_1.db", gauge("x", 4.0, 0.0)),
        ("gauge_liveall_2.db", gauge("x", 1.0, 0.0)),
    ]);
    let pass = pool.pass_with(|name| match name {
        "gauge_all_1.db" => Liveness::Dead,
        _ => Liveness::Live,
    });
    assert_eq!(pass.lines(), ["x{pid=\"2\"} 1.0"]);
    let report = "x has two multiprocess modes: liveall is used for all workers, all is not";
    assert_eq!(pass.conflicts(), [report]);
}

// [merge.conflict.buckets] [merge.conflict.report]
#[test]
fn buckets_that_differ_are_served_as_their_union() {
    // client_python's own union of the same: 1.0 -> 11, 1.5 -> 21, 2.0 -> 22, +Inf -> 33.
    let pass = in_every_order(&[
        (
            "histogram",
            histogram("h", 0.5, &[("1.0", 1.0), ("2.0", 1.0), ("+Inf", 1.0)]),
        ),
        (
            "histogram",
            histogram("h", 0.5, &[("1.0", 10.0), ("1.5", 10.0), ("+Inf", 10.0)]),
        ),
    ]);
    let expected = [
        "h_bucket{le=\"1.0\"} 11.0",
        "h_bucket{le=\"1.5\"} 21.0",
        "h_bucket{le=\"2.0\"} 22.0",
        "h_bucket{le=\"+Inf\"} 33.0",
        "h_sum 1.0",
        "h_count 33.0",
    ];
    assert_eq!(pass.lines(), expected);
    let report = "h has different buckets in different workers: their union is served";
    assert_eq!(pass.conflicts(), [report]);
}

// [merge.conflict.buckets]
#[test]
fn buckets_that_agree_are_no_conflict_whatever_their_spelling() {
    let pass = in_every_order(&[
        (
            "histogram",
            histogram("h", 0.5, &[("1", 1.0), ("+Inf", 1.0)]),
        ),
        (
            "histogram",
            histogram("h", 0.5, &[("1.0", 1.0), ("inf", 1.0)]),
        ),
    ]);
    assert_eq!(pass.value("h_count"), Some(4.0));
    assert!(pass.conflicts().is_empty());
}

// [merge.state-set.states] [merge.conflict.report]
#[test]
fn states_that_differ_are_served_as_their_union() {
    for flip in [false, true] {
        let mut pool = Pool::new();
        let mut lists = [(vec!["run", "idle"], 0.0), (vec!["run", "broken"], 1.0)];
        if flip {
            lists.reverse();
        }
        for (states, state) in lists {
            let mut writer = Writer::new(&pool.directory, 5);
            let number = writer.family(state_set(Mode::Max, "task", &states));
            let place = writer.series(number, &[], 0);
            writer.set(place, &[state]);
        }
        let pass = pool.pass();
        let expected = [
            "task{task=\"broken\"} 1.0",
            "task{task=\"idle\"} 0.0",
            "task{task=\"run\"} 1.0",
        ];
        assert_eq!(pass.lines(), expected);
        let report = "task has different states in different workers: their union is served";
        assert_eq!(pass.conflicts(), [report]);
    }
}

// [merge.conflict.lasting] [merge.directory.replaced]
#[test]
fn a_new_pool_has_no_old_conflicts() {
    let parent = Directory::new();
    let path = parent.join("pool");
    let fill = |names: &[&str]| {
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        for name in names {
            std::fs::write(path.join(name), gauge("x", 1.0, 0.0)).unwrap();
        }
    };
    fill(&["gauge_all_1.db", "gauge_max_2.db"]);
    let mut collector = headcount_collect::collector::Collector::new();
    collector.add_directory(&path);
    assert_eq!(collector.collect(|_| Liveness::Unknown).conflicts.len(), 1);
    fill(&["gauge_all_1.db"]);
    let pass = Pass(collector.collect(|_| Liveness::Unknown));
    assert_eq!(pass.lines(), ["x{pid=\"1\"} 1.0"]);
    assert!(pass.0.conflicts.is_empty());
}

// [rules.mode] [merge.gauge.mostrecent]
#[test]
fn a_rule_that_needs_times_where_there_are_none_is_told() {
    let mut pool = Pool::with(&[("gauge_all_1.db", gauge("g", 1.0, 0.0))]);
    let rule = Rule {
        pattern: Pattern::new("g"),
        mode: Some(Mode::MostRecent),
        ..Rule::default()
    };
    pool.collector.set_rules(Rules { rules: vec![rule] });
    let pass = pool.pass();
    assert_eq!(pass.lines(), [""; 0]);
    let told =
        "g has the mode mostrecent by a rule, but no value of it has a time: it is not served";
    assert_eq!(pass.conflicts(), [told]);
    let file = gauge("g", 2.0, 5.0);
    pool.directory.write("gauge_mostrecent_2.db", &file);
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["g 2.0"]);
    assert_eq!(pass.conflicts(), [""; 0]);
}
