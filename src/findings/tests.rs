use std::collections::BTreeMap;

use headcount_collect::collector::DirectoryReport;
use headcount_collect::report::{Damage, Liveness};

use super::*;

fn file(name: &str, state: FileState) -> FileReport {
    FileReport {
        path: format!("/pool/{name}").into(),
        dialect: None,
        state,
        worker: None,
        verdict: Liveness::Unknown.into(),
        bytes: 3,
        series: 0,
        refused: 0,
        client: "",
        left_out: BTreeMap::new(),
    }
}

fn damaged(name: &str, reason: DamageReason, detail: &str) -> FileReport {
    let detail = detail.into();
    file(name, FileState::Damaged(Damage { reason, detail }))
}

fn directory(path: &str) -> DirectoryReport {
    DirectoryReport {
        path: path.into(),
        error: None,
        replaced: 0,
        files_left_out: 0,
        ledger: Default::default(),
    }
}

fn collection(files: Vec<FileReport>) -> Collection {
    Collection {
        families: Vec::new(),
        files,
        conflicts: Vec::new(),
        directories: vec![directory("/pool")],
    }
}

fn findings(collection: &Collection) -> Vec<Finding> {
    Findings::of(collection, &Budgets::default()).0
}

fn kinds(findings: &[Finding]) -> Vec<Kind> {
    findings.iter().map(|finding| finding.kind).collect()
}

#[test]
fn every_kind_that_is_known_has_its_place() {
    let damaged = DamageReason::ALL.map(Kind::Damaged).into_iter();
    let left_out = Budget::ALL.map(Kind::LeftOut);
    let conflicts = ConflictKind::ALL.map(Kind::Conflict);
    for kind in damaged.chain(left_out).chain(conflicts) {
        assert!(WORST_FIRST.contains(&kind), "{kind:?}");
    }
    for (index, kind) in WORST_FIRST.into_iter().enumerate() {
        assert_eq!(kind.rank(), index, "{kind:?} stands twice");
    }
    assert!(Kind::Conflict(ConflictKind::Other).rank() < Kind::PassedOver.rank());
}

#[test]
fn a_good_pool_has_none() {
    let files = vec![file("a", FileState::Good), file("b", FileState::Empty)];
    assert!(findings(&collection(files)).is_empty());
}

#[test]
fn what_loses_counts_comes_before_what_stands_still_conflicts_and_notes() {
    let mut refusing = file("r", FileState::Good);
    refusing.refused = 2;
    let mut wide = file("w", FileState::Good);
    wide.left_out = BTreeMap::from([(Budget::Labels, 4)]);
    let mut collection = collection(vec![
        file("e", FileState::EarlierBoot),
        damaged("f", DamageReason::Foreign, "no format"),
        damaged("h", DamageReason::Hostile, "it is a directory"),
        file("p", FileState::PassedOver("it holds exemplars")),
        refusing,
        damaged("t", DamageReason::TornTail, "half"),
        damaged("u", DamageReason::Unreadable, "denied"),
        wide,
    ]);
    collection.conflicts = vec![
        Conflict::Buckets { family: "b".into() },
        Conflict::Worker {
            family: "w".into(),
            label: "pid",
            value: "7".into(),
        },
    ];
    collection.directories[0].error = Some("denied".into());
    collection.directories[0].files_left_out = 9;
    let found = findings(&collection);
    assert_eq!(
        kinds(&found),
        [
            Kind::Directory,
            Kind::LeftOut(Budget::Files),
            Kind::Damaged(DamageReason::Unreadable),
            Kind::Refused,
            Kind::LeftOut(Budget::Labels),
            Kind::Damaged(DamageReason::Hostile),
            Kind::Damaged(DamageReason::TornTail),
            Kind::Damaged(DamageReason::Foreign),
            Kind::Conflict(ConflictKind::Worker),
            Kind::Conflict(ConflictKind::Buckets),
            Kind::EarlierBoot,
            Kind::PassedOver,
        ]
    );
    assert!(
        found
            .iter()
            .rev()
            .skip(1)
            .all(|each| each.kind.is_trouble())
    );
    assert_eq!(found[1].extent(), "9 files beyond --budget.files");
    assert_eq!(found[3].extent(), "2 series of 1 file");
    assert_eq!(
        found[4].extent(),
        "4 samples of 1 file beyond --budget.labels"
    );
}

#[test]
fn few_are_named_each_with_its_detail_and_of_many_the_first() {
    let many = |count: usize| {
        let files = (0..count).map(|number| {
            let mut file = damaged(
                &format!("counter_{number}.db"),
                DamageReason::Truncated,
                &format!("detail {number}"),
            );
            file.series = usize::from(number == 0);
            file
        });
        findings(&collection(files.collect())).swap_remove(0)
    };
    let few = many(FEW);
    assert!(few.is_few());
    assert_eq!(few.first[4].name, "counter_4.db");
    assert_eq!(few.first[4].detail, "detail 4");
    assert_eq!(few.extent(), "5 files, 1 of them served in part");

    let crowd = many(5000);
    assert!(!crowd.is_few());
    assert_eq!(crowd.first.len(), FEW);
    let examples = ["counter_0.db", "counter_1.db", "counter_2.db"];
    assert_eq!(crowd.examples(), examples);
    assert_eq!(crowd.extent(), "5,000 files, 1 of them served in part");
}

#[test]
fn of_several_directories_each_file_is_named_with_its_own() {
    let mut collection = collection(vec![file("e", FileState::EarlierBoot)]);
    collection.directories.push(directory("/other"));
    assert_eq!(findings(&collection)[0].first[0].name, "/pool/e");
}

#[test]
fn a_file_that_is_too_large_for_the_budget_is_told_apart_from_one_that_is_damaged() {
    let mut large = damaged("l", DamageReason::TooLarge, "over the budget");
    large.bytes = Budgets::default().file_bytes + 1;
    let odd = damaged("o", DamageReason::TooLarge, "a length of 2^31");
    let found = findings(&collection(vec![large, odd]));
    let kind = Kind::Damaged(DamageReason::TooLarge);
    assert_eq!(kinds(&found), [Kind::LeftOut(Budget::FileBytes), kind]);
    assert_eq!(found[0].extent(), "1 file over --budget.file-bytes");
    assert_eq!(found[0].title(), found[1].title());
}

#[test]
fn no_name_and_no_detail_is_longer_than_a_line_or_two() {
    let detail = "x\n".repeat(10_000);
    let name = format!("{}\u{1b}[2J.db", "y".repeat(200));
    let found = findings(&collection(vec![damaged(
        &name,
        DamageReason::Malformed,
        &detail,
    )]));
    let Item { name, detail } = &found[0].first[0];
    assert_eq!((name.len(), detail.len()), (NAME, DETAIL));
    assert!(!detail.contains('\n') && detail.ends_with("..."));
}
