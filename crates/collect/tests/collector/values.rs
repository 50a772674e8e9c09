//! `spec/merge.md`, chapters 2, 3 and 5: what is one series, and what its value is.

use headcount_collect::model::{Mode, Value};
use headcount_collect::report::Liveness;
use headcount_format::MetricType;
use headcount_format::record::Family;

use crate::pool::{Directory, Pass, Pool, collect_once, watch};
use crate::python::{PythonFile, counter, gauge, histogram};
use crate::store::{Writer, family, state_set};

// [merge.family.identity] [merge.counter] [merge.worker]
#[test]
fn workers_of_all_dialects_count_into_one_family() {
    let mut pool = Pool::with(&[
        ("counter_1.db", counter("c", 1.0)),
        ("counter_web_worker_0.db", counter("c", 10.0)),
        ("gauge_all_web_worker_0.db", gauge("g", 7.0, 0.0)),
    ]);
    let mut writer = Writer::new(&pool.directory, 5);
    let number = writer.family(Family {
        help: "Things.".into(),
        ..family(MetricType::Counter, "c")
    });
    let place = writer.series(number, &[], 0);
    writer.set(place, &[100.0]);
    let pass = pool.pass();
    assert_eq!(
        pass.lines(),
        ["c_total 111.0", "g{pid=\"web_worker_0\"} 7.0"]
    );
    assert!(pass.0.conflicts.is_empty());
    let worker = pass.file(&writer.file_name()).worker.clone().unwrap();
    assert_eq!(*worker.pid, std::process::id().to_string());
    assert_eq!(worker.started, 5_000_000_000);
    let worker = pass
        .file("gauge_all_web_worker_0.db")
        .worker
        .clone()
        .unwrap();
    assert_eq!(
        (&*worker.id, &*worker.pid),
        ("web_worker_0", "web_worker_0")
    );
}

// [merge.labels.order] [merge.labels.empty]
#[test]
fn labels_are_a_set_and_an_empty_one_is_none() {
    let file = PythonFile::new()
        .counter("c", r#"{"b": "2", "a": "1"}"#, 1.0)
        .counter("c", r#"{"a": "1", "b": "2", "z": ""}"#, 10.0)
        .counter("c", r#"{"z": "", "b": "2", "a": "1"}"#, 100.0)
        .counter("c", r#"{"z": ""}"#, 1000.0);
    let mut pool = Pool::with(&[("counter_1.db", file.on_disk())]);
    assert_eq!(
        pool.pass().lines(),
        ["c_total{a=\"1\",b=\"2\"} 111.0", "c_total{z=\"\"} 1000.0"]
    );
    pool.directory.write("counter_2.db", &counter("c", 1.0));
    assert_eq!(
        pool.pass().lines(),
        ["c_total 1001.0", "c_total{a=\"1\",b=\"2\"} 111.0"]
    );
}

// [merge.gauge.pid]
#[test]
fn a_gauges_own_label_pid_is_dropped() {
    let one = PythonFile::new().gauge("a", r#"{"pid": "mine", "q": "x"}"#, 5.0, 0.0);
    let two = PythonFile::new()
        .gauge("m", r#"{"pid": "mine"}"#, 3.0, 0.0)
        .gauge("m", r#"{"pid": "yours"}"#, 4.0, 0.0);
    let mut pool = Pool::with(&[
        ("gauge_all_7.db", one.on_disk()),
        ("gauge_sum_7.db", two.on_disk()),
        (
            "counter_7.db",
            PythonFile::new()
                .counter("c", r#"{"pid": "mine"}"#, 1.0)
                .on_disk(),
        ),
    ]);
    let expected = [
        "a{pid=\"7\",q=\"x\"} 5.0",
        "c_total{pid=\"mine\"} 1.0",
        "m 7.0",
    ];
    assert_eq!(pool.pass().lines(), expected);
}

// [merge.sum.exact] [merge.counter]
#[test]
fn sums_are_exact_and_rounded_once() {
    // In f64, added in this order: 0.0, 0.0, 2.0 and Inf.
    let terms = [
        ("a", [1e100, 1.0, -1e100], 1.0),
        ("b", [1e16, 1.0, -1e16], 1.0),
        ("c", [9007199254740992.0, 1.0, 1.0], 9007199254740994.0),
        ("d", [f64::MAX, f64::MAX, -f64::MAX], f64::MAX),
        ("e", [f64::INFINITY, 1.0, 2.0], f64::INFINITY),
    ];
    for order in [[0, 1, 2], [1, 2, 0], [2, 1, 0]] {
        let pool = Pool::new();
        for (file, term) in order.into_iter().enumerate() {
            let mut bytes = PythonFile::new();
            for (name, values, _) in terms {
                bytes = bytes.gauge(name, "{}", values[term], 0.0);
            }
            pool.directory
                .write(&format!("gauge_sum_{file}.db"), &bytes.on_disk());
        }
        let pass = collect_once(&pool.directory);
        for (name, _, expected) in terms {
            assert_eq!(pass.value(name), Some(expected), "{name} {order:?}");
        }
    }
    let pool = Pool::with(&[
        ("gauge_sum_1.db", gauge("x", f64::INFINITY, 0.0)),
        ("gauge_sum_2.db", gauge("x", f64::NEG_INFINITY, 0.0)),
        ("gauge_livesum_1.db", gauge("y", -0.0, 0.0)),
    ]);
    assert_eq!(collect_once(&pool.directory).lines(), ["x NaN", "y 0.0"]);
}

/// A gauge `g` in three files of one mode, with these values and times.
fn merged(mode: &str, values: [(f64, f64); 3]) -> Vec<String> {
    let mut directories = Vec::new();
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let directory = Directory::new();
        for (file, index) in order.into_iter().enumerate() {
            let (value, time) = values[index];
            directory.write(&format!("gauge_{mode}_{file}.db"), &gauge("g", value, time));
        }
        directories.push(collect_once(&directory).lines());
    }
    directories.dedup();
    assert_eq!(directories.len(), 1, "{mode}: {directories:?}");
    directories.remove(0)
}

// [merge.gauge.sum] [merge.gauge.extreme] [merge.gauge.nan] [merge.gauge.mostrecent]
#[test]
fn the_eight_modes_that_merge_do_so_in_every_order() {
    let nan = f64::NAN;
    for live in ["", "live"] {
        let merged = |mode: &str, values| merged(&format!("{live}{mode}"), values);
        assert_eq!(
            merged("sum", [(1.0, 0.0), (2.0, 0.0), (4.0, 0.0)]),
            ["g 7.0"]
        );
        assert_eq!(
            merged("min", [(1.0, 0.0), (-2.0, 0.0), (4.0, 0.0)]),
            ["g -2.0"]
        );
        assert_eq!(
            merged("max", [(1.0, 0.0), (-2.0, 0.0), (4.0, 0.0)]),
            ["g 4.0"]
        );
        assert_eq!(
            merged("min", [(nan, 0.0), (3.0, 0.0), (nan, 0.0)]),
            ["g 3.0"]
        );
        assert_eq!(
            merged("max", [(nan, 0.0), (3.0, 0.0), (nan, 0.0)]),
            ["g 3.0"]
        );
        assert_eq!(
            merged("max", [(nan, 0.0), (nan, 0.0), (nan, 0.0)]),
            ["g NaN"]
        );
        assert_eq!(
            merged("mostrecent", [(9.0, 1.5), (2.0, 2.5), (4.0, 2.25)]),
            ["g 2.0"]
        );
        assert_eq!(
            merged("mostrecent", [(9.0, 1.5), (2.0, 2.5), (4.0, 2.5)]),
            ["g 4.0"]
        );
        assert_eq!(
            merged("mostrecent", [(nan, 2.5), (2.0, 2.5), (4.0, 1.0)]),
            ["g 2.0"]
        );
        assert_eq!(
            merged("mostrecent", [(9.0, 0.0), (2.0, nan), (4.0, 0.5)]),
            ["g 4.0"]
        );
        let never: [&str; 0] = [];
        assert_eq!(
            merged("mostrecent", [(9.0, 0.0), (2.0, nan), (4.0, -1.0)]),
            never
        );
    }
}

// [merge.gauge.all] [merge.order]
#[test]
fn the_two_modes_that_do_not_merge_have_a_series_for_each_worker() {
    for mode in ["all", "liveall"] {
        let pool = Pool::new();
        for (pid, value) in [("10", 1.0), ("9", 2.0), ("w_1", f64::NAN)] {
            pool.directory
                .write(&format!("gauge_{mode}_{pid}.db"), &gauge("g", value, 0.0));
        }
        let expected = [
            "g{pid=\"10\"} 1.0",
            "g{pid=\"9\"} 2.0",
            "g{pid=\"w_1\"} NaN",
        ];
        assert_eq!(collect_once(&pool.directory).lines(), expected);
    }
}

// [merge.gauge.youngest]
#[test]
fn of_two_workers_with_one_pid_the_younger_is_served() {
    let mut pool = Pool::new();
    let mut writers = Vec::new();
    for (started, value) in [(30, 3.0), (10, 1.0), (20, 2.0)] {
        let mut writer = Writer::new(&pool.directory, started);
        let number = writer.family(Family {
            help: "A level.".into(),
            ..family(MetricType::Gauge, "g")
        });
        let place = writer.series(number, &[], 0);
        writer.set(place, &[value]);
        writers.push(writer);
    }
    let pid = std::process::id();
    pool.directory
        .write(&format!("gauge_all_{pid}.db"), &gauge("g", 9.0, 0.0));
    let line = |value: &str| [format!("g{{pid=\"{pid}\"}} {value}")];
    assert_eq!(pool.pass().lines(), line("3.0"));
    for (expected, gone) in [("2.0", 0), ("1.0", 2), ("9.0", 1)] {
        pool.directory.remove(&writers[gone].file_name());
        assert_eq!(pool.pass().lines(), line(expected));
    }
}

// [merge.gauge.youngest] [merge.directory.several]
#[test]
fn of_two_directories_with_one_pid_the_later_is_served() {
    let (first, second) = (Directory::new(), Directory::new());
    first.write("gauge_all_7.db", &gauge("g", 1.0, 0.0));
    second.write("gauge_all_7.db", &gauge("g", 2.0, 0.0));
    let mut collector = watch(&first);
    collector.add_directory(second.path());
    let mut lines = || Pass(collector.collect(|_| Liveness::Unknown)).lines();
    assert_eq!(lines(), ["g{pid=\"7\"} 2.0"]);
    second.remove("gauge_all_7.db");
    assert_eq!(lines(), ["g{pid=\"7\"} 1.0"]);
}

// [merge.live.dead] [merge.live.unknown]
#[test]
fn the_dead_leave_live_gauges_and_nothing_else() {
    let mut pool = Pool::new();
    let modes = [
        "all",
        "liveall",
        "max",
        "livemax",
        "min",
        "livemin",
        "mostrecent",
        "livemostrecent",
        "sum",
        "livesum",
    ];
    for (pid, value) in [("1", 1.0), ("2", 2.0), ("3", 3.0)] {
        for mode in modes {
            let name = format!("gauge_{mode}_{pid}.db");
            pool.directory
                .write(&name, &gauge(&format!("g_{mode}"), value, value));
        }
        pool.directory
            .write(&format!("counter_{pid}.db"), &counter("c", value));
    }
    let of = |pid: &'static str, liveness| {
        move |name: &str| match name.ends_with(&format!("_{pid}.db")) {
            true => liveness,
            false => Liveness::Live,
        }
    };
    let all = pool.pass_with(|_| Liveness::Live).lines();
    assert_eq!(pool.pass_with(of("3", Liveness::Unknown)).lines(), all);
    let expected = [
        "c_total 6.0",
        "g_all{pid=\"1\"} 1.0",
        "g_all{pid=\"2\"} 2.0",
        "g_all{pid=\"3\"} 3.0",
        "g_liveall{pid=\"1\"} 1.0",
        "g_liveall{pid=\"2\"} 2.0",
        "g_livemax 2.0",
        "g_livemin 1.0",
        "g_livemostrecent 2.0",
        "g_livesum 3.0",
        "g_max 3.0",
        "g_min 1.0",
        "g_mostrecent 3.0",
        "g_sum 6.0",
    ];
    assert_eq!(pool.pass_with(of("3", Liveness::Dead)).lines(), expected);
    let pass = pool.pass_with(|_| Liveness::Dead);
    assert!(pass.lines().iter().all(|line| !line.contains("live")));
    assert_eq!(pass.value("c_total"), Some(6.0));
}

// [merge.histogram.cumulate] [merge.histogram.inf] [merge.histogram.bound] [merge.histogram.sum]
#[test]
fn buckets_are_added_by_their_bounds_and_cumulated() {
    let pool = Pool::with(&[
        (
            "histogram_1.db",
            histogram("h", 1.5, &[("1", 1.0), ("2.5", 2.0), ("-0.0", 0.0)]),
        ),
        (
            "histogram_2.db",
            histogram("h", 0.25, &[("1e0", 10.0), ("2.50", 20.0), ("0.0", 5.0)]),
        ),
    ]);
    let expected = [
        "h_bucket{le=\"0.0\"} 5.0",
        "h_bucket{le=\"1.0\"} 16.0",
        "h_bucket{le=\"2.5\"} 38.0",
        "h_bucket{le=\"+Inf\"} 38.0",
        "h_sum 1.75",
        "h_count 38.0",
    ];
    assert_eq!(collect_once(&pool.directory).lines(), expected);
}

// [merge.histogram.count] [merge.histogram.sum]
#[test]
fn a_stored_count_is_not_used_and_a_missing_sum_is_not_made_up() {
    let bucket = r#"["h", "h_bucket", {"le": "+Inf"}, "Help."]"#;
    let count = r#"["h", "h_count", {}, "Help."]"#;
    let file = PythonFile::new()
        .entry(count, 99.0, 0.0)
        .entry(bucket, 2.0, 0.0);
    let pool = Pool::with(&[("histogram_1.db", file.on_disk())]);
    let expected = ["h_bucket{le=\"+Inf\"} 2.0", "h_count 2.0"];
    assert_eq!(collect_once(&pool.directory).lines(), expected);
}

// [merge.family.empty]
#[test]
fn what_has_no_value_is_not_declared() {
    let pool = Pool::with(&[
        ("gauge_mostrecent_1.db", gauge("never_set", 1.0, 0.0)),
        ("histogram_1.db", histogram("no_buckets", 1.0, &[])),
        ("counter_1.db", PythonFile::new().on_disk()),
    ]);
    assert!(collect_once(&pool.directory).0.families.is_empty());
}

// [merge.summary]
#[test]
fn summaries_are_added_part_by_part() {
    let key = r#"["s", "s_sum", {"l": "x"}, "Bytes."]"#;
    let pool = Pool::with(&[
        (
            "summary_1.db",
            PythonFile::new().summary("s", 2.0, 0.1).on_disk(),
        ),
        (
            "summary_2.db",
            PythonFile::new().summary("s", 3.0, 0.2).on_disk(),
        ),
        (
            "summary_3.db",
            PythonFile::new().entry(key, 1.0, 0.0).on_disk(),
        ),
    ]);
    // 0.1 + 0.2 rounded once is what f64 has for it.
    let expected = [
        "s_count 5.0",
        "s_sum 0.30000000000000004",
        "s_sum{l=\"x\"} 1.0",
    ];
    assert_eq!(collect_once(&pool.directory).lines(), expected);
}

// [merge.info]
#[test]
fn an_info_is_there_once_and_as_long_as_a_worker_has_it() {
    let mut pool = Pool::new();
    let info = Family {
        label_names: vec!["version".into()],
        ..family(MetricType::Info, "build")
    };
    let mut writers = Vec::new();
    for version in ["1", "1", "2"] {
        let mut writer = Writer::new(&pool.directory, 5);
        let number = writer.family(info.clone());
        writer.series(number, &[version], 0);
        writers.push(writer.file_name());
    }
    let expected = [
        "build_info{version=\"1\"} 1.0",
        "build_info{version=\"2\"} 1.0",
    ];
    assert_eq!(pool.pass().lines(), expected);
    pool.directory.remove(&writers[0]);
    assert_eq!(pool.pass().lines(), expected);
    pool.directory.remove(&writers[1]);
    assert_eq!(pool.pass().lines(), expected[1..]);
}

/// The lines of a state set `task` whose workers are in these states.
fn states_of(mode: Mode, states: &[f64]) -> Vec<String> {
    let mut pool = Pool::new();
    let mut writers = Vec::new();
    for (age, &state) in (1..).zip(states) {
        let mut writer = Writer::new(&pool.directory, age);
        let number = writer.family(state_set(mode, "task", &["idle", "busy"]));
        let place = writer.series(number, &[], 0);
        match mode.is_most_recent() {
            true => writer.stamp(place, state, age as f64),
            false => writer.set(place, &[state]),
        }
        writers.push(writer);
    }
    pool.pass().lines()
}

// [merge.state-set]
#[test]
fn a_state_set_is_merged_state_by_state() {
    let lines = |idle: u8, busy: u8| {
        [
            format!("task{{task=\"idle\"}} {idle}.0"),
            format!("task{{task=\"busy\"}} {busy}.0"),
        ]
    };
    for (any, every, latest) in [
        (Mode::Max, Mode::Min, Mode::MostRecent),
        (Mode::LiveMax, Mode::LiveMin, Mode::LiveMostRecent),
    ] {
        assert_eq!(states_of(any, &[1.0, 0.0]), lines(1, 1));
        assert_eq!(states_of(any, &[1.0, 1.0]), lines(0, 1));
        assert_eq!(states_of(every, &[1.0, 0.0]), lines(0, 0));
        assert_eq!(states_of(every, &[1.0, 1.0]), lines(0, 1));
        assert_eq!(states_of(latest, &[1.0, 0.0]), lines(1, 0));
        assert_eq!(states_of(latest, &[0.0, 1.0]), lines(0, 1));
    }
    let pid = std::process::id();
    let own = [
        format!("task{{pid=\"{pid}\",task=\"idle\"}} 0.0"),
        format!("task{{pid=\"{pid}\",task=\"busy\"}} 1.0"),
    ];
    assert_eq!(states_of(Mode::All, &[0.0, 1.0]), own);
}

// [merge.state-set]
//
// Two workers that are in the state make a sum of 2, which is not less true than 1.
#[test]
fn a_state_that_several_workers_are_in_holds_in_a_sum() {
    for mode in [Mode::Sum, Mode::LiveSum] {
        let expected = ["task{task=\"idle\"} 0.0", "task{task=\"busy\"} 1.0"];
        assert_eq!(states_of(mode, &[1.0]), expected);
        assert_eq!(states_of(mode, &[1.0, 1.0]), expected);
    }
}

// [merge.state-set]
#[test]
fn the_only_state_of_a_state_set_holds() {
    let mut pool = Pool::new();
    let mut writer = Writer::new(&pool.directory, 5);
    let number = writer.family(state_set(Mode::Max, "task", &["busy"]));
    let place = writer.series(number, &[], 0);
    writer.set(place, &[0.0]);
    assert_eq!(pool.pass().lines(), ["task{task=\"busy\"} 1.0"]);
}

// [merge.unknown]
#[test]
fn values_of_unknown_type_are_added_and_go() {
    let mut pool = Pool::new();
    let mut writers = Vec::new();
    for value in [1.0, 2.5] {
        let mut writer = Writer::new(&pool.directory, 5);
        let number = writer.family(family(MetricType::Unknown, "u"));
        let place = writer.series(number, &[], 0);
        writer.set(place, &[value]);
        writers.push(writer);
    }
    assert_eq!(pool.pass().lines(), ["u 3.5"]);
    pool.directory.remove(&writers[0].file_name());
    assert_eq!(pool.pass().lines(), ["u 2.5"]);
}

// [merge.created]
#[test]
fn a_series_is_as_old_as_its_first_contributor_if_all_say_so() {
    let mut pool = Pool::new();
    let mut writers = Vec::new();
    for created in [2_500_000_000, 1_500_000_000, 3_000_000_000] {
        let mut writer = Writer::new(&pool.directory, 5);
        let number = writer.family(family(MetricType::Counter, "c"));
        writer.series(number, &[], created);
        writers.push(writer);
    }
    let created = |pass: Pass| pass.0.families[0].series[0].created;
    assert_eq!(created(pool.pass()), Some(1.5));
    pool.directory.write("counter_1.db", &counter("c", 1.0));
    assert_eq!(created(pool.pass()), None);
}

// [merge.removed]
#[test]
fn a_removed_series_leaves_with_its_last_holder() {
    let mut pool = Pool::new();
    let mut writers = Vec::new();
    for value in [1.0, 2.0] {
        let mut writer = Writer::new(&pool.directory, 5);
        let counts = writer.family(family(MetricType::Counter, "c"));
        let levels = writer.family(Family {
            mode: Mode::Sum,
            ..family(MetricType::Gauge, "g")
        });
        let (count, level) = (writer.series(counts, &[], 0), writer.series(levels, &[], 0));
        writer.set(count, &[value]);
        writer.set(level, &[value]);
        writers.push(writer);
    }
    assert_eq!(pool.pass().lines(), ["c_total 3.0", "g 3.0"]);
    let mut remove = |writer: usize| {
        for series in 0..2 {
            writers[writer].store.remove_series(series).unwrap();
        }
        pool.pass().lines()
    };
    assert_eq!(remove(0), ["c_total 2.0", "g 2.0"]);
    assert!(remove(1).is_empty());
}

// [merge.order]
#[test]
fn families_and_series_are_in_the_order_of_their_bytes() {
    let file = PythonFile::new()
        .counter("zeta", "{}", 1.0)
        .counter("alpha", r#"{"b": "1"}"#, 1.0)
        .counter("alpha", r#"{"a": "2"}"#, 1.0)
        .counter("alpha", r#"{"a": "10", "b": "1"}"#, 1.0)
        .counter("alpha", r#"{"a": "10"}"#, 1.0)
        .counter("alpha", "{}", 1.0)
        .counter("Beta", "{}", 1.0);
    let pool = Pool::with(&[("counter_1.db", file.on_disk())]);
    let expected = [
        "Beta_total 1.0",
        "alpha_total 1.0",
        "alpha_total{a=\"10\"} 1.0",
        "alpha_total{a=\"10\",b=\"1\"} 1.0",
        "alpha_total{a=\"2\"} 1.0",
        "alpha_total{b=\"1\"} 1.0",
        "zeta_total 1.0",
    ];
    assert_eq!(collect_once(&pool.directory).lines(), expected);
}

// [merge.order.fresh] [merge.labels.order]
#[test]
fn the_names_of_files_do_not_move_what_is_merged() {
    let contents: Vec<Vec<u8>> = (1..=6)
        .map(|number| {
            let value = 0.1 * f64::from(number);
            let labels = format!(r#"{{"l": "{}"}}"#, number % 3);
            PythonFile::new()
                .counter("c", "{}", value)
                .counter("d", &labels, value)
                .on_disk()
        })
        .collect();
    let mut idents = ["1", "22", "3", "web_4", "05", "a"];
    let mut seen: Vec<Vec<headcount_collect::model::Family>> = Vec::new();
    for _ in 0..idents.len() {
        idents.rotate_left(1);
        let directory = Directory::new();
        for (ident, content) in idents.iter().zip(&contents) {
            directory.write(&format!("counter_{ident}.db"), content);
        }
        seen.push(collect_once(&directory).0.families);
    }
    seen.dedup();
    assert_eq!(seen.len(), 1);
    // 2.1 to the nearest f64, where adding one by one gives 2.0999999999999996 or 2.1.
    assert_eq!(seen[0][0].series[0].value, Value::Counter(2.1));
}
