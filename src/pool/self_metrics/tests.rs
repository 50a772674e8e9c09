use std::time::Duration;

use headcount_collect::budget::Budgets;
use headcount_collect::collector::DirectoryReport;
use headcount_collect::report::{Conflict, Damage, FileReport, Method};

use super::*;

fn file(id: &str, liveness: Liveness, state: FileState) -> FileReport {
    FileReport {
        path: format!("/pool/{id}").into(),
        dialect: Some(Dialect::Store),
        state,
        worker: Some(Worker {
            id: id.into(),
            pid: "1".into(),
            started: 0,
        }),
        verdict: liveness.into(),
        bytes: 4096,
        series: 1,
        refused: 0,
        client: "",
        left_out: BTreeMap::new(),
    }
}

fn pass(files: Vec<FileReport>, ruling: Option<Ruling>) -> Pass {
    Pass {
        collection: collection(files),
        duration: Duration::from_millis(250),
        ruling,
        budgets: Budgets::default(),
        folds: Vec::new(),
        shared: Vec::new(),
        lacks_ledger: false,
    }
}

fn collection(files: Vec<FileReport>) -> Collection {
    let directory = DirectoryReport {
        path: "/pool".into(),
        error: None,
        replaced: 0,
        files_left_out: 0,
        ledger: Default::default(),
    };
    Collection {
        families: Vec::new(),
        files,
        conflicts: Vec::new(),
        directories: vec![directory],
    }
}

fn value(families: &[Family], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let family = families.iter().find(|family| &*family.name == name)?;
    let wanted = Labels::new(
        labels
            .iter()
            .map(|&(name, value)| (name.into(), value.into())),
    );
    let series = family
        .series
        .iter()
        .find(|series| *series.labels == wanted)?;
    match series.value {
        Value::Gauge(value) => Some(value),
        _ => None,
    }
}

#[test]
fn a_worker_with_many_files_counts_once_and_lives_if_one_of_them_says_so() {
    let collection = collection(vec![
        file("a", Liveness::Dead, FileState::Good),
        file("a", Liveness::Live, FileState::Good),
        file("b", Liveness::Dead, FileState::Good),
        file("c", Liveness::Unknown, FileState::Good),
    ]);
    assert_eq!(
        count_workers(&collection),
        Census {
            dead: 1,
            live: 1,
            unknown: 1
        }
    );
}

#[test]
fn two_directories_may_hold_two_workers_of_one_pid() {
    let mut other = file("a", Liveness::Live, FileState::Good);
    other.path = "/other/a".into();
    let census = count_workers(&collection(vec![
        file("a", Liveness::Dead, FileState::Good),
        other,
    ]));
    assert_eq!((census.dead, census.live), (1, 1));
}

#[test]
fn a_worker_is_degraded_while_it_runs_and_has_found_no_room() {
    let refusing = |id, liveness, refused| {
        let mut file = file(id, liveness, FileState::Good);
        file.refused = refused;
        file
    };
    let degraded = |files| {
        let families = families(&pass(files, None));
        value(&families, "headcount_degraded_workers", &[])
    };
    assert_eq!(degraded(Vec::new()), Some(0.0));
    let files = vec![
        refusing("a", Liveness::Live, 3),
        refusing("b", Liveness::Live, 0),
        refusing("c", Liveness::Dead, 5),
        refusing("d", Liveness::Unknown, 1),
    ];
    assert_eq!(degraded(files), Some(2.0));
}

#[test]
fn what_is_left_out_and_in_conflict_is_told_by_budget_and_kind_from_the_first_scrape_on() {
    let mut long = file("a", Liveness::Live, FileState::Good);
    long.left_out = [(Budget::Labels, 3)].into();
    let too_large = Damage {
        reason: DamageReason::TooLarge,
        detail: "it has more bytes than the budget".into(),
    };
    let mut large = file("b", Liveness::Live, FileState::Damaged(too_large.clone()));
    large.bytes = Budgets::default().file_bytes + 1;
    let odd = file("c", Liveness::Live, FileState::Damaged(too_large));
    let mut pass = pass(vec![long, large, odd], None);
    pass.collection.directories[0].files_left_out = 7;
    pass.collection.conflicts = vec![Conflict::States { family: "a".into() }];
    let families = families(&pass);
    let value = |name, label, word| value(&families, name, &[(label, word)]);
    for (budget, files) in [("files", 7.0), ("file_bytes", 1.0)] {
        let found = value("headcount_left_out_files", "budget", budget);
        assert_eq!(found, Some(files), "{budget}");
    }
    for budget in ["family_series", "label_bytes", "labels", "series"] {
        let samples = if budget == "labels" { 3.0 } else { 0.0 };
        let found = value("headcount_left_out_samples", "budget", budget);
        assert_eq!(found, Some(samples), "{budget}");
    }
    for kind in [
        "buckets", "help", "mode", "name", "states", "times", "unit", "worker",
    ] {
        let conflicts = f64::from(u8::from(kind == "states"));
        let found = value("headcount_conflicts", "kind", kind);
        assert_eq!(found, Some(conflicts), "{kind}");
    }
}

#[test]
fn every_method_is_told_by_directory_from_the_first_scrape_on() {
    let mut leased = file("a", Liveness::Live, FileState::Good);
    leased.verdict.method = Method::Lease;
    let untold = file("b", Liveness::Unknown, FileState::Good);
    let mut text = file("c", Liveness::Unknown, FileState::Good);
    text.worker = None;
    let families = families(&pass(vec![leased, untold, text], None));
    for (method, files) in [("lease", 1.0), ("lock", 0.0), ("none", 1.0), ("proc", 0.0)] {
        let labels = [("directory", "/pool"), ("method", method)];
        let found = value(&families, "headcount_liveness_files", &labels);
        assert_eq!(found, Some(files), "{method}");
    }
}

#[test]
fn every_state_is_told_from_the_first_scrape_on() {
    let damage = Damage {
        reason: DamageReason::Truncated,
        detail: "cut".into(),
    };
    let files = vec![
        file("a", Liveness::Live, FileState::Good),
        file("b", Liveness::Dead, FileState::Damaged(damage)),
        file("c", Liveness::Unknown, FileState::PassedOver("exemplars")),
    ];
    let families = families(&pass(files, None));
    let value = |name, labels| value(&families, name, labels);
    let files = "headcount_files";
    assert_eq!(
        value(files, &[("dialect", "store"), ("state", "good")]),
        Some(1.0)
    );
    assert_eq!(
        value(files, &[("dialect", "store"), ("state", "damaged")]),
        Some(1.0)
    );
    assert_eq!(
        value(files, &[("dialect", "python"), ("state", "empty")]),
        Some(0.0)
    );
    assert_eq!(
        value(files, &[("dialect", "store"), ("state", "passed_over")]),
        Some(1.0)
    );
    assert_eq!(
        value(files, &[("dialect", "unknown"), ("state", "earlier_boot")]),
        Some(0.0)
    );
    assert_eq!(
        value("headcount_bad_files", &[("reason", "truncated")]),
        Some(1.0)
    );
    assert_eq!(
        value("headcount_bad_files", &[("reason", "foreign")]),
        Some(0.0)
    );
    assert_eq!(
        value("headcount_directories_up", &[("directory", "/pool")]),
        Some(1.0)
    );
    assert_eq!(
        value("headcount_directory_bytes", &[("directory", "/pool")]),
        Some(12288.0)
    );
    assert_eq!(value("headcount_scrape_duration_seconds", &[]), Some(0.25));
}

#[test]
fn a_rules_file_that_cannot_be_used_leaves_the_time_of_the_one_that_applies() {
    let ruling = Ruling {
        is_current: false,
        since: UNIX_EPOCH + Duration::from_millis(1500),
    };
    let with = families(&pass(Vec::new(), Some(ruling)));
    let value = |name| value(&with, name, &[]);
    assert_eq!(value("headcount_rules_reload_successful"), Some(0.0));
    assert_eq!(
        value("headcount_rules_last_reload_success_timestamp_seconds"),
        Some(1.5)
    );
    let without = families(&pass(Vec::new(), None));
    assert!(without.iter().all(|family| !family.name.contains("rules")));
}

#[test]
fn families_are_ordered_and_named_so_that_clashes_are_found() {
    let ruling = Ruling {
        is_current: true,
        since: UNIX_EPOCH,
    };
    let families = families(&pass(Vec::new(), Some(ruling)));
    assert!(families.is_sorted_by(|left, right| left.name < right.name));
    assert!(
        families
            .iter()
            .all(|family| family.name.starts_with(super::super::clash::PREFIX))
    );
}
