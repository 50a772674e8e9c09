//! `spec/merge.md`, chapter 5: how much a pool may hold.

use headcount_collect::budget::{Budget, Budgets};
use headcount_collect::exposition::Format;
use headcount_collect::report::Liveness;
use proptest::prelude::*;

use crate::entries::gitlab;
use crate::pool::{Directory, Pass, Pool, collect_once, watch};
use crate::python::{PythonFile, counter, gauge, histogram};

/// A pool with these files, and a change to the budgets.
fn with(files: &[(&str, Vec<u8>)], change: impl Fn(&mut Budgets)) -> Pool {
    let mut pool = Pool::with(files);
    limit(&mut pool, change);
    pool
}

fn limit(pool: &mut Pool, change: impl Fn(&mut Budgets)) {
    let mut budgets = Budgets::default();
    change(&mut budgets);
    pool.collector.set_budgets(budgets);
}

/// A counter `c` with a series for each letter.
fn letters(letters: &str, value: f64) -> Vec<u8> {
    let add = |file: PythonFile, letter: char| {
        file.counter("c", &format!(r#"{{"l": "{letter}"}}"#), value)
    };
    letters.chars().fold(PythonFile::new(), add).on_disk()
}

// [merge.budget.family-series] [merge.budget.whole] [merge.budget.order] [merge.budget.report]
#[test]
fn whole_series_are_admitted_over_all_workers() {
    // The first file and its first entries decide; the second has the same series in another order.
    let mut pool = with(
        &[
            ("counter_1.db", letters("abcd", 1.0)),
            ("counter_2.db", letters("dcba", 10.0)),
            ("counter_3.db", counter("other", 7.0)),
        ],
        |budgets| budgets.family_series = 2,
    );
    let expected = [
        "c_total{l=\"a\"} 11.0",
        "c_total{l=\"b\"} 11.0",
        "other_total 7.0",
    ];
    for _ in 0..2 {
        let pass = pool.pass();
        assert_eq!(pass.lines(), expected);
        for name in ["counter_1.db", "counter_2.db"] {
            assert_eq!(pass.file(name).left_out[&Budget::FamilySeries], 2, "{name}");
        }
        assert!(pass.file("counter_3.db").left_out.is_empty());
    }
    // What is admitted stays, and goes on without the one who brought it.
    pool.directory.remove("counter_1.db");
    assert_eq!(pool.pass().lines(), expected);
    // Room alone lets nothing in, and new budgets do.
    limit(&mut pool, |budgets| budgets.family_series = 3);
    let wider = pool.pass().samples();
    assert_eq!(wider.len(), 4);
    assert_eq!(wider["c_total{l=\"d\"}"], 10.0);
}

// [merge.budget.series] [merge.budget.whole]
#[test]
fn the_series_of_all_families_have_a_budget_too() {
    let mut pool = with(
        &[
            ("counter_1.db", letters("ab", 1.0)),
            ("gauge_sum_1.db", gauge("level", 3.0, 0.0)),
            ("histogram_1.db", histogram("took", 1.0, &[("+Inf", 1.0)])),
        ],
        |budgets| budgets.series = 3,
    );
    let pass = pool.pass();
    let expected = ["c_total{l=\"a\"} 1.0", "c_total{l=\"b\"} 1.0", "level 3.0"];
    assert_eq!(pass.lines(), expected);
    // A sum and a bucket.
    assert_eq!(pass.file("histogram_1.db").left_out[&Budget::Series], 2);
    limit(&mut pool, |_| {});
    let pass = pool.pass();
    assert_eq!(pass.value("took_count"), Some(1.0));
    assert!(pass.file("histogram_1.db").left_out.is_empty());
}

// [merge.budget.whole]
#[test]
fn the_series_of_a_worker_makes_room_when_it_goes() {
    let level = |value| gauge("level", value, 0.0);
    let mut pool = with(
        &[
            ("gauge_all_1.db", level(1.0)),
            ("gauge_all_2.db", level(2.0)),
        ],
        |budgets| budgets.family_series = 2,
    );
    let both = ["level{pid=\"1\"} 1.0", "level{pid=\"2\"} 2.0"];
    assert_eq!(pool.pass().lines(), both);
    pool.directory.write("gauge_all_3.db", &level(3.0));
    let pass = pool.pass();
    assert_eq!(pass.lines(), both);
    assert_eq!(
        pass.file("gauge_all_3.db").left_out[&Budget::FamilySeries],
        1
    );
    pool.directory.remove("gauge_all_1.db");
    pool.pass();
    pool.directory.write("gauge_all_4.db", &level(4.0));
    let pass = pool.pass();
    assert_eq!(pass.value("level{pid=\"4\"}"), Some(4.0));
    assert_eq!(pass.lines().len(), 2);
}

// [merge.budget.labels] [merge.budget.label-bytes]
#[test]
fn the_labels_of_a_series_have_budgets() {
    let file = PythonFile::new()
        .counter("c", "{}", 1.0)
        .counter("c", r#"{"ab": "cde"}"#, 2.0)
        .counter("c", r#"{"ab": "cdef"}"#, 3.0)
        .counter("c", r#"{"a": "x", "b": "y"}"#, 4.0);
    let files = [("counter_1.db", file.on_disk())];
    let mut pool = with(&files, |budgets| {
        budgets.labels = 1;
        budgets.label_bytes = 5;
    });
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["c_total 1.0", "c_total{ab=\"cde\"} 2.0"]);
    let left_out = &pass.file("counter_1.db").left_out;
    assert_eq!(
        left_out.iter().collect::<Vec<_>>(),
        [(&Budget::LabelBytes, &1), (&Budget::Labels, &1)]
    );
    let mut pool = with(&files, |budgets| budgets.labels = 0);
    assert_eq!(pool.pass().lines(), ["c_total 1.0"]);
}

// [merge.budget.files] [merge.budget.order]
#[test]
fn files_are_taken_in_by_name_and_stay() {
    let files: Vec<(String, Vec<u8>)> = ["b", "a", "d", "c"]
        .map(|ident| (format!("counter_{ident}.db"), counter(ident, 1.0)))
        .into();
    let named: Vec<_> = files
        .iter()
        .map(|(name, file)| (&**name, file.clone()))
        .collect();
    let mut pool = with(&named, |budgets| budgets.files = 2);
    for _ in 0..2 {
        let pass = pool.pass();
        assert_eq!(pass.lines(), ["a_total 1.0", "b_total 1.0"]);
        assert_eq!(pass.0.directories[0].files_left_out, 2);
    }
    // A lesser name comes: who is in stays.
    pool.directory.write("counter_0.db", &counter("z", 1.0));
    assert_eq!(pool.pass().lines(), ["a_total 1.0", "b_total 1.0"]);
    pool.directory.remove("counter_b.db");
    pool.pass();
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["a_total 1.0", "b_total 1.0", "z_total 1.0"]);
    assert_eq!(pass.0.directories[0].files_left_out, 2);
}

// [merge.budget.files] [fold.peer]: as a file that waits to be folded gets another name.
#[test]
fn a_file_that_gets_another_name_keeps_its_room() {
    let mut pool = with(&[("counter_9.db", counter("a", 1.0))], |budgets| {
        budgets.files = 1;
    });
    assert_eq!(pool.pass().lines(), ["a_total 1.0"]);
    pool.directory.write("counter_0.db", &counter("z", 1.0));
    let join = |name: &str| pool.directory.join(name);
    std::fs::rename(join("counter_9.db"), join("counter_9.db.1-2.folding")).unwrap();
    for _ in 0..2 {
        let pass = pool.pass();
        assert_eq!(pass.lines(), ["a_total 1.0"]);
        assert_eq!(pass.0.directories[0].files_left_out, 1);
        assert_eq!(pass.0.files.len(), 1);
    }
}

// [merge.budget.file-bytes] [merge.file.kept]
#[test]
fn a_file_that_is_larger_than_the_budget_keeps_what_it_had() {
    let mut pool = with(
        &[
            ("counter_1.db", counter("c", 1.0)),
            ("counter_2.db", vec![0; 70_000]),
        ],
        |budgets| budgets.file_bytes = 1 << 16,
    );
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["c_total 1.0"]);
    assert_eq!(pass.state("counter_2.db"), "too_large");
    let mut grown = counter("c", 2.0);
    grown.push(0);
    pool.directory.write("counter_1.db", &grown);
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["c_total 1.0"]);
    assert_eq!(pass.state("counter_1.db"), "too_large");
    limit(&mut pool, |_| {});
    assert_eq!(pool.pass().lines(), ["c_total 2.0"]);
}

/// Files that disagree about everything; of each what its name begins with.
fn quarrel() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let helped = |help: &str| {
        let key = format!(r#"["c", "c_total", {{"l": "x"}}, "{help}"]"#);
        PythonFile::new().entry(&key, 1.0, 0.0).on_disk()
    };
    vec![
        ("counter", ".db", helped("Old.")),
        ("counter", ".db", helped("New.")),
        ("gauge_sum", ".db", gauge("c", 5.0, 0.0)),
        ("gauge_sum", ".db", gauge("g", 1.0, 0.0)),
        ("gauge_max", ".db", gauge("g", 2.0, 0.0)),
        (
            "histogram",
            ".db",
            histogram("h", 1.0, &[("1.0", 1.0), ("+Inf", 2.0)]),
        ),
        (
            "histogram",
            ".db",
            histogram("h", 1.0, &[("2.0", 4.0), ("+Inf", 8.0)]),
        ),
        ("gauge_min", ".db", gauge("h_count", 3.0, 0.0)),
        (
            "counter",
            ".db",
            gitlab(&[(r#"["bare","bare",[],[]]"#, 2.0)]),
        ),
        ("counter", ".db", counter("bare", 4.0)),
        (
            "text",
            ".prom",
            b"# TYPE g counter\ng 7\n# TYPE c gauge\nc 8\n".to_vec(),
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    // [merge.order.fresh] [merge.conflict.report]
    #[test]
    fn files_in_any_order_agree_about_what_they_disagree_about(
        order in Just((0..11_usize).collect::<Vec<_>>()).prop_shuffle(),
        idents in Just((10..21_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let outcome = |order: &[usize], idents: &[usize]| {
            let directory = Directory::new();
            let files = quarrel();
            for &index in order {
                let (prefix, suffix, content) = &files[index];
                directory.write(&format!("{prefix}_{}{suffix}", idents[index]), content);
            }
            let pass = collect_once(&directory);
            (pass.encoded(Format::OpenMetrics), pass.encoded(Format::Text), pass.conflicts())
        };
        let plain: Vec<usize> = (0..11).collect();
        let expected = outcome(&plain, &(10..21).collect::<Vec<_>>());
        prop_assert!(expected.2.len() >= 5, "{:?}", expected.2);
        prop_assert_eq!(outcome(&order, &idents), expected);
    }

    // [merge.budget.order]
    #[test]
    fn a_collector_that_begins_anew_admits_the_same(
        order in Just(vec!["counter_1.db", "counter_2.db", "counter_3.db"]).prop_shuffle(),
        limit in 0..8_usize,
    ) {
        let directory = Directory::new();
        for name in order {
            let content = match name {
                "counter_1.db" => letters("gb", 1.0),
                "counter_2.db" => letters("baf", 10.0),
                _ => letters("cgde", 100.0),
            };
            directory.write(name, &content);
        }
        let mut collector = watch(&directory);
        let mut budgets = Budgets::default();
        budgets.family_series = limit;
        collector.set_budgets(budgets);
        let pass = Pass(collector.collect(|_| Liveness::Unknown));
        let all = [("g", 101.0), ("b", 11.0), ("a", 10.0), ("f", 10.0), ("c", 100.0), ("d", 100.0), ("e", 100.0)];
        let expected = all.into_iter().take(limit);
        let expected = expected.map(|(letter, value)| (format!("c_total{{l=\"{letter}\"}}"), value));
        prop_assert_eq!(pass.samples(), expected.collect());
    }
}
