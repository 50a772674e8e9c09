//! What stays as it is when something else changes: admitted series, rules that do not apply, types
//! that are the operator's to say.

use headcount_collect::budget::Budgets;
use headcount_collect::model::{Labels, MetricType, Mode};
use headcount_collect::report::Liveness;
use headcount_collect::rules::{Pattern, Rule, Rules};

use crate::entries::direct;
use crate::pool::{Directory, Pass, Pool, watch};
use crate::python::{PythonFile, counter, gauge, histogram};
use crate::store::{Writer, state_set};

fn obey(pool: &mut Pool, rules: Vec<Rule>) {
    pool.collector.set_rules(Rules { rules });
}

fn dropped(pattern: &str) -> Rule {
    Rule {
        pattern: Pattern::new(pattern),
        drop: Some(true),
        ..Rule::default()
    }
}

fn set_family_series(pool: &mut Pool, series: usize) {
    let mut budgets = Budgets::default();
    budgets.family_series = series;
    pool.collector.set_budgets(budgets);
}

/// A gauge of mode sum with a series for each of these.
fn levels(labels: &[&str]) -> Vec<u8> {
    let file = labels
        .iter()
        .zip(1..)
        .fold(PythonFile::new(), |file, (label, value)| {
            file.gauge(
                "level",
                &format!(r#"{{"l": "{label}"}}"#),
                f64::from(value),
                0.0,
            )
        });
    file.on_disk()
}

// [merge.budget.whole]
#[test]
fn what_is_admitted_stays_when_another_gauge_changes_its_mode() {
    let mut pool = Pool::with(&[
        ("gauge_sum_1.db", levels(&["a", "b", "c"])),
        ("gauge_all_1.db", gauge("other", 5.0, 0.0)),
    ]);
    set_family_series(&mut pool, 2);
    let admitted = ["level{l=\"a\"} 1.0", "level{l=\"b\"} 2.0"];
    assert_eq!(pool.pass().lines()[..2], admitted);
    pool.directory
        .write("gauge_max_2.db", &gauge("other", 7.0, 0.0));
    for _ in 0..2 {
        let pass = pool.pass();
        assert_eq!(pass.lines()[..2], admitted);
        assert_eq!(pass.lines()[2..], ["other 7.0"]);
        assert_eq!(pass.file("gauge_sum_1.db").left_out.len(), 1);
    }
}

// [merge.budget.whole]
#[test]
fn what_is_admitted_stays_under_a_smaller_budget() {
    let mut pool = Pool::with(&[("gauge_sum_1.db", levels(&["a", "b"]))]);
    let before = pool.pass().lines();
    set_family_series(&mut pool, 1);
    assert_eq!(pool.pass().lines(), before);
}

// [rules.match]
#[test]
fn a_suffix_in_a_pattern_is_that_of_the_samples() {
    let mut pool = Pool::with(&[
        ("counter_1.db", counter("jobs", 1.0)),
        ("gauge_sum_1.db", gauge("level", 3.0, 0.0)),
        ("histogram_1.db", histogram("took", 1.0, &[("+Inf", 1.0)])),
    ]);
    let all = pool.pass().lines();
    obey(&mut pool, vec![dropped("*_info"), dropped("level_total")]);
    assert_eq!(pool.pass().lines(), all);
    obey(&mut pool, vec![dropped("*_total")]);
    assert_eq!(pool.pass().lines(), all[1..]);
}

// [rules.type] [rules.reload]
#[test]
fn a_type_that_a_reload_gives_is_that_of_what_is_known() {
    let mut pool = Pool::with(&[("metric_sent___7.bin", direct(&[("", 2.0)]))]);
    assert_eq!(pool.pass().0.families[0].metric_type, MetricType::Unknown);
    let typed = Rule {
        pattern: Pattern::new("sent"),
        metric_type: Some(MetricType::Counter),
        ..Rule::default()
    };
    obey(&mut pool, vec![typed]);
    let pass = pool.pass();
    assert_eq!(pass.0.families[0].metric_type, MetricType::Counter);
    assert_eq!(pass.lines(), ["sent 2.0"]);
    pool.directory
        .write("metric_sent___8.bin", &direct(&[("", 4.0)]));
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["sent 6.0"]);
    assert!(pass.conflicts().is_empty());
}

// [direct.type]
#[test]
fn a_pid_of_another_worker_is_no_sign_of_a_mode() {
    let file = direct(&[("pid=8", 3.0)]);
    let mut pool = Pool::with(&[("metric_jobs___7.bin", file.clone())]);
    assert_eq!(pool.pass().0.families[0].metric_type, MetricType::Unknown);
    pool.directory.remove("metric_jobs___7.bin");
    pool.pass();
    pool.directory.write("metric_jobs___8.bin", &file);
    let pass = pool.pass();
    assert_eq!(pass.0.families[0].metric_type, MetricType::Gauge);
    assert_eq!(pass.lines(), ["jobs{pid=\"8\"} 3.0"]);
}

// [merge.gauge.pid] [rules.drop-label]
#[test]
fn series_that_lose_a_pid_of_their_own_are_added_up() {
    let text = b"# TYPE g gauge\ng{pid=\"1\"} 1\ng{pid=\"2\"} 2\n";
    let mut pool = Pool::with(&[("a.prom", text.to_vec())]);
    assert_eq!(
        pool.pass().lines(),
        ["g{pid=\"1\"} 1.0", "g{pid=\"2\"} 2.0"]
    );
    let all = Rule {
        pattern: Pattern::new("g"),
        mode: Some(Mode::All),
        ..Rule::default()
    };
    obey(&mut pool, vec![all]);
    assert_eq!(pool.pass().lines(), ["g{pid=\"a\"} 3.0"]);
}

// [merge.labels.reserved] [rules.labels]
#[test]
fn a_state_set_keeps_its_own_label_before_that_of_a_directory() {
    let directories = [Directory::new(), Directory::new()];
    let mut writers = Vec::new();
    for (directory, state) in directories.iter().zip([0.0, 1.0]) {
        let mut writer = Writer::new(directory, 5);
        let family = writer.family(state_set(Mode::Max, "app", &["idle", "busy"]));
        let place = writer.series(family, &[], 0);
        writer.set(place, &[state]);
        writers.push(writer);
    }
    let mut collector = watch(&directories[0]);
    collector.add_directory(directories[1].path());
    for (number, app) in ["web", "mail"].into_iter().enumerate() {
        let labels = [("app".into(), app.into()), ("at".into(), "home".into())];
        collector.set_directory_labels(number, Labels::new(labels));
    }
    let pass = Pass(collector.collect(|_| Liveness::Unknown));
    let expected = [
        "app{app=\"idle\",at=\"home\"} 1.0",
        "app{app=\"busy\",at=\"home\"} 1.0",
    ];
    assert_eq!(pass.lines(), expected);
}

// [merge.conflict.buckets]
#[test]
fn a_histogram_that_was_met_while_it_was_made_is_no_conflict_for_long() {
    let whole = histogram("h", 0.0, &[("1.0", 1.0), ("2.0", 0.0), ("+Inf", 0.0)]);
    let part = histogram("h", 0.0, &[("1.0", 0.0)]);
    let mut pool = Pool::with(&[("histogram_1.db", whole.clone()), ("histogram_2.db", part)]);
    assert_eq!(pool.pass().conflicts().len(), 1);
    pool.directory.write("histogram_2.db", &whole);
    let pass = pool.pass();
    assert_eq!(pass.value("h_count"), Some(2.0));
    assert!(pass.conflicts().is_empty());
}

// [merge.counter.fall]
#[test]
fn what_is_no_count_counts_nothing_from_the_first() {
    let text = b"# TYPE c_total counter\nc_total NaN\n";
    let mut pool = Pool::with(&[
        ("a.prom", text.to_vec()),
        ("counter_1.db", counter("c", 10.0)),
        ("counter_2.db", counter("c", -4.0)),
    ]);
    assert_eq!(pool.pass().lines(), ["c_total 10.0"]);
}

// [merge.departed] [rules.drop] [rules.reload]
#[test]
fn what_goes_while_it_is_dropped_is_there_when_the_rule_is_lifted() {
    let mut pool = Pool::with(&[("counter_1.db", counter("c", 10.0))]);
    pool.pass();
    obey(&mut pool, vec![dropped("c")]);
    assert_eq!(pool.pass().lines(), [""; 0]);
    pool.directory.remove("counter_1.db");
    pool.pass();
    obey(&mut pool, Vec::new());
    assert_eq!(pool.pass().lines(), ["c_total 10.0"]);
}

// [text.part-twice]
#[test]
fn a_bucket_that_a_text_tells_twice_counts_once() {
    let text =
        b"# TYPE h histogram\nh_bucket{le=\"1\"} 6\nh_bucket{le=\"1.0\"} 4\nh_count{a=\"\"} 6\n";
    let mut pool = Pool::with(&[("a.prom", text.to_vec())]);
    for _ in 0..3 {
        let pass = pool.pass();
        assert_eq!(pass.value("h_count"), Some(6.0));
        assert_eq!(pass.state("a.prom"), "malformed");
        pool.directory.replace("a.prom", text);
    }
}
