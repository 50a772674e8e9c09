//! `spec/ledger.md`: what is folded stays, to the last bit, and counts once.
#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::time::Duration;

use headcount_collect::collector::{Collector, FileVersion, Suspicion};
use headcount_collect::fold::{Fold, NotFolded, read_back};
use headcount_collect::report::{LedgerState, Liveness};
use headcount_collect::rules::{Pattern, Rule, Rules};
use headcount_format::identity::BootId;
use headcount_format::layout::LEDGER_NAME;
use headcount_format::{MetricType, Mode};
use proptest::prelude::*;

use crate::entries::gitlab;
use crate::pool::{Directory, Pass, Pool, watch};
use crate::python::{PythonFile, counter, gauge, histogram};
use crate::store::{Writer, family, state_set};

const SECOND: u64 = 1_000_000_000;
const NOW: u64 = 1_800_000_000 * SECOND;
const HOUR: Duration = Duration::from_secs(3600);

/// What a file is now.
fn version(file: &File) -> FileVersion {
    FileVersion::of(&file.metadata().unwrap())
}

/// The bytes of a new ledger that holds these files, too.
fn image(directory: &Directory, names: &[String], now: u64, time_to_live: Duration) -> Vec<u8> {
    let ledger = File::open(directory.join(LEDGER_NAME)).ok();
    let mut fold = Fold::begin(ledger.as_ref(), BootId::current()).unwrap();
    for name in names {
        let file = File::open(directory.join(name)).unwrap();
        fold.add(name.as_ref(), &file, version(&file), now, None)
            .unwrap();
    }
    fold.write(now, time_to_live).unwrap()
}

/// Folds as a folder does: the new ledger takes the place of the old one, and the files go.
fn fold_at(directory: &Directory, names: &[String], now: u64, time_to_live: Duration) {
    let bytes = image(directory, names, now, time_to_live);
    directory.replace(LEDGER_NAME, &bytes);
    let ledger = File::open(directory.join(LEDGER_NAME)).unwrap();
    read_back(&ledger, BootId::current()).unwrap();
    names.iter().for_each(|name| directory.remove(name));
}

fn fold(directory: &Directory, names: &[String]) {
    fold_at(directory, names, NOW, HOUR);
}

/// A pass of a collector that begins anew, in which all are dead.
fn fresh(directory: &Directory) -> Pass {
    pass_at(&mut watch(directory), NOW)
}

fn pass_at(collector: &mut Collector, now: u64) -> Pass {
    collector.set_boot(BootId::current());
    collector.set_now(now);
    Pass(collector.collect(|_| Liveness::Dead))
}

/// A store with a counter, a histogram with these bounds and a summary; its name.
fn store(directory: &Directory, values: &[f64], bounds: &[f64]) -> (Writer, String) {
    let mut writer = Writer::new(directory, 7);
    let jobs = writer.family(family(MetricType::Counter, "jobs"));
    let mut seconds = family(MetricType::Histogram, "seconds");
    seconds.bounds = bounds.to_vec();
    let seconds = writer.family(seconds);
    let sizes = writer.family(family(MetricType::Summary, "sizes"));
    let value = |index: usize| values[index % values.len()];
    let place = writer.series(jobs, &[], 0);
    writer.set(place, &[value(0)]);
    let place = writer.series(seconds, &[], 0);
    let cells: Vec<f64> = (0..bounds.len() + 2)
        .map(|index| value(index + 1))
        .collect();
    writer.set(place, &cells);
    let place = writer.series(sizes, &[], 0);
    writer.set(place, &[value(2), value(3)]);
    let name = writer.file_name();
    (writer, name)
}

fn python(values: &[f64]) -> Vec<u8> {
    let value = |index: usize| values[index % values.len()];
    let buckets = [("0.5", value(0)), ("3.0", value(1)), ("+Inf", value(2))];
    PythonFile::new()
        .histogram("seconds", value(3), &buckets)
        .on_disk()
}

/// Numbers whose sums are rarely exact.
fn numbers() -> impl Strategy<Value = Vec<f64>> {
    let number = prop_oneof![
        4 => (0..10_000u32).prop_map(|number| f64::from(number) * 0.1),
        2 => 0.0..1e17f64,
        1 => prop::sample::select(&[1e-300, 1e300, 5e-324, 9007199254740993.0, 0.1]),
    ];
    prop::collection::vec(number, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    // [ledger.sums] [ledger.bounds] [ledger.switch] [merge.rest]
    #[test]
    fn a_fold_moves_no_bit_of_any_total_in_any_order(
        stores in prop::collection::vec((numbers(), prop::collection::btree_set(1..9i32, 0..4)), 1..7),
        pythons in prop::collection::vec(numbers(), 0..5),
        order in any::<u64>(),
    ) {
        let directory = Directory::new();
        let mut names = Vec::new();
        for (values, bounds) in &stores {
            let bounds: Vec<f64> = bounds.iter().map(|&bound| f64::from(bound)).collect();
            names.push(store(&directory, values, &bounds).1);
        }
        for (number, values) in pythons.iter().enumerate() {
            let name = format!("histogram_{number}.db");
            directory.write(&name, &python(values));
            names.push(name);
        }
        let mut running = watch(&directory);
        let before = pass_at(&mut running, NOW).lines();
        prop_assert_eq!(&fresh(&directory).lines(), &before);
        // Some at a time, in some order.
        let mut seed = order | 1;
        while !names.is_empty() {
            let mut some = Vec::new();
            for _ in 0..=seed % 3 {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                if !names.is_empty() {
                    some.push(names.swap_remove((seed >> 33) as usize % names.len()));
                }
            }
            fold(&directory, &some);
            prop_assert_eq!(&pass_at(&mut running, NOW).lines(), &before);
            prop_assert_eq!(&fresh(&directory).lines(), &before);
        }
        prop_assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}

// [ledger.folded] [fold.order]: the steps `publish` and `delete`.
#[test]
fn a_file_that_the_ledger_lists_counts_once_whether_it_is_there_or_not() {
    let directory = Directory::new();
    let (_, one) = store(&directory, &[2.5], &[1.0]);
    directory.write("counter_7.db", &counter("sent", 4.0));
    let names = [one, "counter_7.db".to_owned()];
    let mut running = watch(&directory);
    let before = pass_at(&mut running, NOW).lines();
    let bytes = image(&directory, &names, NOW, HOUR);
    directory.replace(LEDGER_NAME, &bytes);
    // A peer's file is deleted under its folding name alone.
    let aside = "counter_7.db.1-2.folding";
    fs::rename(directory.join("counter_7.db"), directory.join(aside)).unwrap();
    for name in [&*names[0], aside] {
        assert_eq!(fresh(&directory).lines(), before, "before {name} goes");
        assert_eq!(pass_at(&mut running, NOW).lines(), before);
        directory.remove(name);
    }
    assert_eq!(fresh(&directory).lines(), before);
    assert_eq!(pass_at(&mut running, NOW).lines(), before);
}

// [ledger.switch]: what departed, went without a name or came back is told by the ledger alone.
#[test]
fn a_file_that_had_gone_before_it_was_folded_counts_once() {
    let directory = Directory::new();
    let (_, name) = store(&directory, &[2.5], &[1.0]);
    directory.write("counter_7.db", &counter("sent", 4.0));
    let names = [name, "counter_7.db".to_owned()];
    let mut running = watch(&directory);
    let before = pass_at(&mut running, NOW).lines();
    let bytes = image(&directory, &names, NOW, HOUR);
    for name in &names {
        fs::rename(directory.join(name), directory.join(".away")).unwrap();
        assert_eq!(
            pass_at(&mut running, NOW).lines(),
            before,
            "{name} has departed"
        );
    }
    directory.replace(LEDGER_NAME, &bytes);
    assert_eq!(pass_at(&mut running, NOW).lines(), before);
    fs::rename(directory.join(".away"), directory.join("counter_7.db")).unwrap();
    assert_eq!(pass_at(&mut running, NOW).value("jobs_total"), Some(2.5));
}

// [ledger.snapshot]: a listing with a name in it that leads nowhere by the time it is opened.
#[test]
fn a_file_that_is_folded_between_the_listing_and_its_reading_is_found_in_the_ledger() {
    let directory = Directory::new();
    let (_, one) = store(&directory, &[2.5], &[1.0]);
    let (_, two) = store(&directory, &[4.0], &[1.0]);
    let mut collector = watch(&directory);
    // Each file is opened anew at the pass, after the listing.
    collector.set_descriptors(0);
    collector.set_boot(BootId::current());
    let names = [one, two];
    let mut is_folded = false;
    let pass = collector.collect(|_| {
        if !std::mem::replace(&mut is_folded, true) {
            fold(&directory, &names);
        }
        Liveness::Dead
    });
    assert_eq!(Pass(pass).value("jobs_total"), Some(6.5));
}

// [ledger.forget] [ledger.switch]: who stood still while more was folded than a ledger lists.
#[test]
fn a_reader_that_has_missed_generations_takes_what_is_gone_for_folded_and_not_for_departed() {
    let directory = Directory::new();
    let mut names = Vec::new();
    for number in 0..2400 {
        if number % 2 == 0 {
            let name = format!("counter_{number}.db");
            directory.write(&name, &counter("jobs", 1.0));
            names.push(name);
        } else {
            names.push(store(&directory, &[1.0], &[]).1);
        }
    }
    // One with a descriptor for each file, and one with none.
    let mut readers = [2400, 0].map(|descriptors| {
        let mut reader = watch(&directory);
        reader.set_descriptors(descriptors);
        reader
    });
    let total = |reader: &mut Collector| pass_at(reader, NOW).value("jobs_total");
    for reader in &mut readers {
        assert_eq!(total(reader), Some(2400.0));
    }
    for (number, names) in names.chunks(800).enumerate() {
        fold_at(&directory, names, NOW + number as u64, HOUR);
    }
    for reader in &mut readers {
        assert_eq!(total(reader), Some(2400.0));
        assert_eq!(total(reader), Some(2400.0));
    }
    // What goes while the reader looks on has departed, as ever.
    let (_, late) = store(&directory, &[2.0], &[]);
    for reader in &mut readers {
        assert_eq!(total(reader), Some(2402.0));
    }
    directory.remove(&late);
    for reader in &mut readers {
        assert_eq!(total(reader), Some(2402.0));
    }
}

// [fold.peer] [merge.file.identity]: more at once than files are remembered that have gone.
#[test]
fn files_that_wait_to_be_folded_go_on_under_their_new_names_however_many_they_are() {
    let directory = Directory::new();
    let mut names: Vec<String> = (0..9000).map(|pid| format!("counter_{pid}.db")).collect();
    for name in &names {
        directory.write(name, &counter("jobs", 1.0));
    }
    let mut collector = watch(&directory);
    collector.set_descriptors(100);
    let total = |collector: &mut Collector| pass_at(collector, NOW).value("jobs_total");
    assert_eq!(total(&mut collector), Some(9000.0));
    for name in &mut names {
        let aside = format!("{name}.1-2.folding");
        fs::rename(directory.join(&*name), directory.join(&aside)).unwrap();
        *name = aside;
    }
    // Another worker has one of the old names by now.
    directory.write("counter_7.db", &counter("jobs", 2.0));
    for _ in 0..2 {
        assert_eq!(total(&mut collector), Some(9002.0));
    }
    fold(&directory, &names);
    for _ in 0..2 {
        assert_eq!(total(&mut collector), Some(9002.0));
    }
}

// [ledger.forget]: what lives was not folded, and departs when it dies.
#[test]
fn a_deleted_file_whose_worker_lives_is_no_folded_one_whatever_the_ledger_has_forgotten() {
    let directory = Directory::new();
    let (_, name) = store(&directory, &[5.0], &[]);
    let mut reader = watch(&directory);
    reader.set_boot(BootId::current());
    let mut total = |liveness: Liveness| Pass(reader.collect(|_| liveness)).value("jobs_total");
    assert_eq!(total(Liveness::Live), Some(5.0));
    let dead: Vec<String> = (0..1200)
        .map(|_| store(&directory, &[1.0], &[]).1)
        .collect();
    for (number, names) in dead.chunks(600).enumerate() {
        fold_at(&directory, names, NOW + number as u64, HOUR);
    }
    directory.remove(&name);
    assert_eq!(total(Liveness::Live), Some(1205.0));
    assert_eq!(total(Liveness::Dead), Some(1205.0));
    assert_eq!(total(Liveness::Dead), Some(1205.0));
}

// [ledger.level] [merge.dead.ttl] [merge.dead.cohort]
#[test]
fn levels_of_the_dead_follow_their_mode_before_and_after_a_fold_and_then_go() {
    let directory = Directory::new();
    let mut names = Vec::new();
    for (pid, value) in [("7", 3.0), ("8", 5.0)] {
        for mode in Mode::ALL {
            let name = format!("gauge_{mode}_{pid}.db");
            directory.write(&name, &gauge(&format!("level_{mode}"), value, value));
            names.push(name);
        }
    }
    // By hand: what is for the living goes with them.
    let expected = [
        "level_all{pid=\"7\"} 3.0",
        "level_all{pid=\"8\"} 5.0",
        "level_max 5.0",
        "level_min 3.0",
        "level_mostrecent 5.0",
        "level_sum 8.0",
    ];
    let mut running = watch(&directory);
    assert_eq!(pass_at(&mut running, NOW).lines(), expected);
    fold(&directory, &names);
    assert_eq!(pass_at(&mut running, NOW).lines(), expected);
    // A quarter of the time more for those that may have died a little later.
    let (still, over) = (NOW + 3600 * SECOND - 1, NOW + 4500 * SECOND);
    assert_eq!(pass_at(&mut watch(&directory), still).lines(), expected);
    assert_eq!(pass_at(&mut running, still).lines(), expected);
    assert!(pass_at(&mut watch(&directory), over).lines().is_empty());
    assert!(pass_at(&mut running, over).lines().is_empty());
}

// [merge.dead.cohort]: what a fold keeps of those before it.
#[test]
fn levels_of_several_folds_go_each_in_its_time() {
    let directory = Directory::new();
    let mut running = watch(&directory);
    for (time, pid, value) in [(0, 7, 9.0), (1000, 8, 3.0), (2000, 9, 5.0), (2500, 10, 1.0)] {
        let name = format!("gauge_max_{pid}.db");
        directory.write(&name, &gauge("level", value, 0.0));
        let now = NOW + time * SECOND;
        pass_at(&mut running, now);
        fold_at(&directory, &[name], now, HOUR);
        for reader in [&mut running, &mut watch(&directory)] {
            assert_eq!(pass_at(reader, now).lines(), ["level 9.0"], "{time}");
        }
    }
    // A quarter of an hour at most after theirs is over: by hand, from when each died.
    for (time, left) in [
        (3599, Some(9.0)),
        (4600, Some(5.0)),
        (5599, Some(5.0)),
        (7000, None),
    ] {
        let now = NOW + time * SECOND;
        for reader in [&mut running, &mut watch(&directory)] {
            assert_eq!(pass_at(reader, now).value("level"), left, "{time}");
        }
    }
}

// [merge.dead.ttl]
#[test]
fn levels_of_files_that_rest_go_after_their_time_and_at_once_if_that_is_none() {
    for (seconds, stays) in [(60, true), (0, false)] {
        let directory = Directory::new();
        directory.write("gauge_max_7.db", &gauge("level", 3.0, 0.0));
        directory.write("gauge_all_7.db", &gauge("own", 4.0, 0.0));
        directory.write("counter_7.db", &counter("sent", 4.0));
        let mut collector = watch(&directory);
        collector.set_time_to_live(Duration::from_secs(seconds));
        let all = ["level 3.0", "own{pid=\"7\"} 4.0", "sent_total 4.0"];
        let kept = if stays { &all[..] } else { &all[2..] };
        assert_eq!(pass_at(&mut collector, NOW).lines(), kept, "{seconds}");
        let later = NOW + 60 * SECOND;
        assert_eq!(
            pass_at(&mut collector, later - 1).lines(),
            kept,
            "{seconds}"
        );
        assert_eq!(pass_at(&mut collector, later).lines(), &all[2..]);
    }
}

// [merge.dead.own]
#[test]
fn own_levels_of_the_dead_do_not_pile_up() {
    let directory = Directory::new();
    let mut running = watch(&directory);
    for pid in 1000..1200 {
        let name = format!("gauge_all_{pid}.db");
        directory.write(&name, &gauge("level", f64::from(pid), 0.0));
        directory.write(&format!("counter_{pid}.db"), &counter("sent", 1.0));
        let now = NOW + u64::from(pid as u32) * SECOND;
        if pid % 2 == 0 {
            let names = [name, format!("counter_{pid}.db")];
            fold_at(&directory, &names, now, HOUR);
        }
        pass_at(&mut running, now);
    }
    let now = NOW + 1200 * SECOND;
    let (fresh, running) = (
        pass_at(&mut watch(&directory), now),
        pass_at(&mut running, now),
    );
    for pass in [fresh, running] {
        let own = pass
            .lines()
            .iter()
            .filter(|line| line.starts_with("level"))
            .count();
        // Of the ledger, and of the files that rest.
        assert!((64..=128).contains(&own), "{own}");
        assert_eq!(pass.value("level{pid=\"1199\"}"), Some(1199.0));
        assert_eq!(pass.value("level{pid=\"1198\"}"), Some(1198.0));
        assert_eq!(pass.value("level{pid=\"1000\"}"), None);
        assert_eq!(pass.value("sent_total"), Some(200.0));
    }
}

// [ledger.level]
#[test]
fn states_infos_and_values_of_unknown_type_are_kept_as_levels() {
    let directory = Directory::new();
    let mut names = Vec::new();
    for (started, state) in [(7, 0.0), (8, 2.0)] {
        let mut writer = Writer::new(&directory, started);
        for mode in [Mode::All, Mode::Max, Mode::Min] {
            let name = format!("task_{mode}");
            let task = writer.family(state_set(mode, &name, &["a", "b", "c"]));
            let place = writer.series(task, &[], 0);
            writer.set(place, &[state]);
        }
        let build = writer.family({
            let mut build = family(MetricType::Info, "build");
            build.label_names = vec!["version".into()];
            build
        });
        writer.series(build, &[&format!("{state}")], 0);
        let odd = writer.family(family(MetricType::Unknown, "odd"));
        let place = writer.series(odd, &[], 0);
        writer.set(place, &[state + 0.5]);
        names.push(writer.file_name());
    }
    let before = fresh(&directory).lines();
    // By hand: unknown values add up, and nobody agrees about the least state.
    assert!(before.contains(&"odd 3.0".to_owned()), "{before:?}");
    assert!(before.contains(&"build_info{version=\"2\"} 1.0".to_owned()));
    assert!(before.contains(&"task_max{task_max=\"b\"} 0.0".to_owned()));
    assert!(before.contains(&"task_max{task_max=\"c\"} 1.0".to_owned()));
    assert!(before.contains(&"task_min{task_min=\"c\"} 0.0".to_owned()));
    fold(&directory, &names[..1]);
    assert_eq!(fresh(&directory).lines(), before);
    fold(&directory, &names[1..]);
    assert_eq!(fresh(&directory).lines(), before);
}

// [ledger.created]
#[test]
fn a_series_keeps_its_earliest_creation_and_loses_it_to_one_that_does_not_say() {
    let directory = Directory::new();
    let store = |created| {
        let mut writer = Writer::new(&directory, 7);
        let jobs = writer.family(family(MetricType::Counter, "jobs"));
        let place = writer.series(jobs, &[], created);
        writer.set(place, &[1.0]);
        writer.file_name()
    };
    let created = || fresh(&directory).0.families[0].series[0].created;
    let later = store(9 * SECOND);
    fold(&directory, &[later]);
    assert_eq!(created(), Some(9.0));
    let earlier = store(8 * SECOND);
    fold(&directory, &[earlier]);
    assert_eq!(created(), Some(8.0));
    let silent = store(0);
    fold(&directory, &[silent]);
    assert_eq!(created(), None);
}

// [ledger.bare]
#[test]
fn a_counter_without_its_suffix_keeps_its_name() {
    let directory = Directory::new();
    let bare = gitlab(&[(r#"["jobs","jobs",[],[]]"#, 3.0)]);
    directory.write("counter_7-0.db", &bare);
    let before = fresh(&directory);
    assert_eq!(before.lines(), ["jobs 3.0"]);
    fold(&directory, &["counter_7-0.db".into()]);
    let format = headcount_collect::exposition::Format::Text;
    assert_eq!(fresh(&directory).encoded(format), before.encoded(format));
}

// [ledger.origin]
#[test]
fn what_rules_and_budgets_leave_out_today_is_there_tomorrow() {
    let directory = Directory::new();
    let file = PythonFile::new()
        .counter("jobs", r#"{"user": "a"}"#, 1.0)
        .counter("jobs", r#"{"user": "b"}"#, 2.0)
        .counter("debug", "{}", 5.0);
    directory.write("counter_7.db", &file.on_disk());
    fold(&directory, &["counter_7.db".into()]);
    let mut collector = watch(&directory);
    collector.set_rules(Rules {
        rules: vec![
            Rule {
                pattern: Pattern::new("debug"),
                drop: Some(true),
                ..Rule::default()
            },
            Rule {
                pattern: Pattern::new("jobs"),
                dropped_labels: vec!["user".into()],
                ..Rule::default()
            },
        ],
    });
    assert_eq!(pass_at(&mut collector, NOW).lines(), ["jobs_total 3.0"]);
    collector.set_rules(Rules::default());
    let all = [
        "debug_total 5.0",
        "jobs_total{user=\"a\"} 1.0",
        "jobs_total{user=\"b\"} 2.0",
    ];
    assert_eq!(pass_at(&mut collector, NOW).lines(), all);
    let mut budgets = headcount_collect::budget::Budgets::default();
    budgets.series = 1;
    let mut collector = watch(&directory);
    collector.set_budgets(budgets);
    assert_eq!(pass_at(&mut collector, NOW).lines().len(), 1);
    collector.set_budgets(Default::default());
    assert_eq!(pass_at(&mut collector, NOW).lines(), all);
}

// [ledger.version] [ledger.name]
#[test]
fn a_ledger_that_cannot_be_read_is_refused_and_what_was_read_of_one_before_stays() {
    let directory = Directory::new();
    let (_, name) = store(&directory, &[2.5], &[1.0]);
    fold(&directory, &[name]);
    let good = fs::read(directory.join(LEDGER_NAME)).unwrap();
    let mut running = watch(&directory);
    let before = pass_at(&mut running, NOW).lines();
    let (_worker, name) = store(&directory, &[1.0], &[1.0]);
    let worker = fs::read(directory.join(&name)).unwrap();
    directory.remove(&name);
    let damaged = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        bytes
    };
    for (bytes, reason) in [
        (damaged(&|bytes| bytes[8] = 2), "version"),
        (damaged(&|bytes| bytes[60] = 7), "malformed"),
        (damaged(&|bytes| bytes[128] = 1), "malformed"),
        (damaged(&|bytes| bytes.truncate(8192)), "truncated"),
        (worker, "foreign"),
        (b"no ledger".to_vec(), "truncated"),
    ] {
        directory.replace(LEDGER_NAME, &bytes);
        let pass = pass_at(&mut running, NOW);
        assert_eq!(pass.lines(), before, "{reason}");
        let state = &pass.0.directories[0].ledger.state;
        assert!(
            matches!(state, LedgerState::Refused(damage) if damage.reason.name() == reason),
            "{state:?} is not {reason}"
        );
        assert!(!running.lacks_ledger());
        let mut fresh = watch(&directory);
        pass_at(&mut fresh, NOW);
        assert!(fresh.lacks_ledger(), "{reason}");
        let ledger = File::open(directory.join(LEDGER_NAME)).unwrap();
        let begun = Fold::begin(Some(&ledger), BootId::current());
        assert_eq!(begun.unwrap_err().reason.name(), reason);
        assert_eq!(fs::read(directory.join(LEDGER_NAME)).unwrap(), bytes);
    }
    directory.replace(LEDGER_NAME, &good);
    let (_, name) = store(&directory, &[1.0], &[1.0]);
    assert_eq!(pass_at(&mut running, NOW).value("jobs_total"), Some(3.5));
    fold(&directory, &[name]);
    assert_eq!(pass_at(&mut running, NOW).value("jobs_total"), Some(3.5));
    // A ledger under the name of a store would count beside itself.
    let twin = "000102030405060708090a0b0c0d0e0f.store";
    directory.write(twin, &good);
    let pass = fresh(&directory);
    assert_eq!(pass.state(twin), "foreign");
    assert_eq!(pass.value("jobs_total"), Some(3.5));
}

// [ledger.version]: what was read of one that somebody deletes stays, as of any file.
#[test]
fn a_ledger_that_is_deleted_leaves_its_totals() {
    let directory = Directory::new();
    let (_, name) = store(&directory, &[2.5], &[1.0]);
    fold(&directory, &[name]);
    let mut running = watch(&directory);
    assert_eq!(pass_at(&mut running, NOW).value("jobs_total"), Some(2.5));
    directory.remove(LEDGER_NAME);
    let pass = pass_at(&mut running, NOW);
    assert_eq!(pass.value("jobs_total"), Some(2.5));
    assert!(matches!(
        pass.0.directories[0].ledger.state,
        LedgerState::Gone
    ));
}

// [ledger.lineage]
#[test]
fn a_ledger_that_begins_anew_is_added_to_the_one_that_was_deleted() {
    let directory = Directory::new();
    let (_, name) = store(&directory, &[2.5], &[1.0]);
    fold(&directory, &[name]);
    let first = fs::read(directory.join(LEDGER_NAME)).unwrap();
    let mut running = watch(&directory);
    let (_, name) = store(&directory, &[4.0], &[1.0]);
    let all = pass_at(&mut running, NOW).lines();
    directory.remove(LEDGER_NAME);
    fold(&directory, &[name]);
    assert_eq!(pass_at(&mut running, NOW).lines(), all);
    // Who begins now knows no more than what is there.
    assert_eq!(fresh(&directory).value("jobs_total"), Some(4.0));
    // The first one comes back in place of the second, which stays in memory.
    directory.replace(LEDGER_NAME, &first);
    assert_eq!(pass_at(&mut running, NOW).lines(), all);
}

// [ledger.lineage]
#[test]
fn a_ledger_that_is_older_than_the_one_that_was_read_is_refused() {
    let directory = Directory::new();
    let (_, name) = store(&directory, &[2.5], &[1.0]);
    fold(&directory, &[name]);
    let older = fs::read(directory.join(LEDGER_NAME)).unwrap();
    let (_, name) = store(&directory, &[4.0], &[1.0]);
    // [ledger.root]: the clock may have been set back meanwhile.
    fold_at(&directory, &[name], NOW - SECOND, HOUR);
    let newer = fs::read(directory.join(LEDGER_NAME)).unwrap();
    let mut running = watch(&directory);
    let all = pass_at(&mut running, NOW).lines();
    directory.replace(LEDGER_NAME, &older);
    let pass = pass_at(&mut running, NOW);
    assert_eq!(pass.lines(), all);
    assert_eq!(pass.0.directories[0].ledger.state.name(), "refused");
    directory.replace(LEDGER_NAME, &newer);
    let pass = pass_at(&mut running, NOW);
    assert_eq!(pass.lines(), all);
    assert_eq!(pass.0.directories[0].ledger.state.name(), "good");
}

// [ledger.boot]
#[test]
fn a_ledger_of_another_boot_is_set_aside() {
    let directory = Directory::new();
    let (_, name) = store(&directory, &[2.5], &[1.0]);
    fold(&directory, &[name]);
    let mut collector = watch(&directory);
    collector.set_boot(BootId([9; 16]));
    let pass = Pass(collector.collect(|_| Liveness::Dead));
    assert!(pass.lines().is_empty());
    let state = &pass.0.directories[0].ledger.state;
    assert!(matches!(state, LedgerState::EarlierBoot), "{state:?}");
    assert!(!collector.lacks_ledger());
}

// [ledger.forget]
#[test]
fn what_went_long_ago_is_listed_no_more_and_what_is_there_still_is() {
    let directory = Directory::new();
    let worker = |value: f64| {
        let name = format!("counter_{value}.db");
        directory.write(&name, &counter("sent", value));
        name
    };
    let listed = |directory: &Directory| {
        let pass = fresh(directory);
        let folded = &pass.0.directories[0].ledger.folded;
        folded
            .iter()
            .map(|each| each.name.to_string())
            .collect::<Vec<_>>()
    };
    let (gone, stays) = (worker(1.0), worker(2.0));
    let bytes = image(&directory, &[gone.clone(), stays.clone()], NOW, HOUR);
    directory.replace(LEDGER_NAME, &bytes);
    directory.remove(&gone);
    let day = 86_400 * SECOND;
    for (now, expected) in [
        (
            NOW + day - 1,
            vec!["counter_3.db", "counter_1.db", "counter_2.db"],
        ),
        (
            NOW + day,
            vec!["counter_4.db", "counter_3.db", "counter_2.db"],
        ),
    ] {
        let name = worker(3.0 + ((now - NOW) / day) as f64);
        let ledger = File::open(directory.join(LEDGER_NAME)).unwrap();
        let mut fold = Fold::begin(Some(&ledger), BootId::current()).unwrap();
        // A folder that cannot delete it says so.
        assert!(fold.lists_file(&File::open(directory.join(&stays)).unwrap()));
        let file = File::open(directory.join(&name)).unwrap();
        assert!(!fold.lists_file(&file));
        fold.add(name.as_ref(), &file, version(&file), NOW, None)
            .unwrap();
        let bytes = fold.write(now, HOUR).unwrap();
        directory.replace(LEDGER_NAME, &bytes);
        directory.remove(&name);
        let mut found = listed(&directory);
        found.sort_by_key(|name| expected.iter().position(|known| known == name));
        assert_eq!(found, expected);
    }
    for number in 10..1100 {
        let name = worker(f64::from(number));
        fold_at(
            &directory,
            &[name],
            NOW + 2 * day + u64::from(number as u32),
            HOUR,
        );
    }
    assert_eq!(listed(&directory).len(), 1024);
}

// [fold.dead] [fold.peer.text]
#[test]
fn what_is_damaged_or_of_no_worker_is_not_folded() {
    let directory = Directory::new();
    directory.write("counter_7.db", b"\x10\0\0");
    directory.write("state.prom", b"a 1\n");
    let mut torn = counter("sent", 4.0);
    torn[0] += 40;
    directory.write("counter_8.db", &torn);
    let mut fold = Fold::begin(None, BootId::current()).unwrap();
    for name in ["counter_7.db", "counter_8.db"] {
        let file = File::open(directory.join(name)).unwrap();
        let outcome = fold.add(name.as_ref(), &file, version(&file), NOW, None);
        assert!(matches!(outcome, Err(NotFolded::Damaged(_))), "{name}");
    }
    let file = File::open(directory.join("state.prom")).unwrap();
    let outcome = fold.add("state.prom".as_ref(), &file, version(&file), NOW, None);
    assert!(matches!(outcome, Err(NotFolded::Workerless)));
    assert_eq!(fold.count(), 0);
}

// [ledger.bounds]
#[test]
fn a_histogram_with_more_bounds_than_a_family_can_have_is_folded_whole() {
    let directory = Directory::new();
    for worker in 0..2 {
        let bounds: Vec<String> = (0..3000)
            .map(|bound| format!("{}", 2 * bound + worker))
            .collect();
        let mut buckets: Vec<(&str, f64)> = bounds.iter().map(|bound| (&**bound, 1.0)).collect();
        buckets.push(("+Inf", 1.0));
        directory.write(
            &format!("histogram_{worker}.db"),
            &histogram("seconds", 1.5, &buckets),
        );
    }
    let before = fresh(&directory).samples();
    assert_eq!(before["seconds_count"], 6002.0);
    fold(
        &directory,
        &["histogram_0.db".into(), "histogram_1.db".into()],
    );
    assert_eq!(fresh(&directory).samples(), before);
}

// [merge.rest] [life.hint]
#[test]
fn a_file_that_rests_is_not_read_again_until_something_tells_to_ask() {
    let directory = Directory::new();
    directory.write("counter_7.db", &counter("sent", 4.0));
    let mut collector = watch(&directory);
    collector.expect_hints();
    let mut asked = BTreeMap::new();
    let mut pass = |collector: &mut Collector, liveness| {
        let pass = collector.collect(|file| {
            let name = file.path.file_name().unwrap().to_str().unwrap().to_owned();
            *asked.entry(name).or_insert(0) += 1;
            liveness
        });
        (
            Pass(pass).value("sent_total"),
            asked.get("counter_7.db").copied(),
        )
    };
    // Asked for first by its name, and once more when the content has told whose it is.
    assert_eq!(pass(&mut collector, Liveness::Dead), (Some(4.0), Some(1)));
    assert_eq!(pass(&mut collector, Liveness::Dead).0, Some(4.0));
    let (_, times) = pass(&mut collector, Liveness::Dead);
    directory.write("counter_7.db", &counter("sent", 9.0));
    assert_eq!(pass(&mut collector, Liveness::Live), (Some(4.0), times));
    // [merge.rest.wake]
    collector.suspect("counter_7.db".as_ref(), Suspicion::Opened);
    assert_eq!(pass(&mut collector, Liveness::Live).0, Some(9.0));
    directory.write("counter_7.db", &counter("sent", 10.0));
    assert_eq!(pass(&mut collector, Liveness::Live).0, Some(10.0));
}

// [merge.rest.wake] [life.hint]: whoever came and went between two looks has counted.
#[test]
fn a_file_that_rests_is_read_once_more_after_a_writer_has_closed_it() {
    let directory = Directory::new();
    directory.write("counter_7.db", &counter("sent", 4.0));
    let since = fs::metadata(directory.join("counter_7.db")).unwrap();
    // As through a mapping: of that, no time tells on every file system.
    let write = |value: f64| {
        directory.write("counter_7.db", &counter("sent", value));
        let path = directory.join("counter_7.db");
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(since.modified().unwrap()).unwrap();
    };
    let mut collector = watch(&directory);
    collector.expect_hints();
    let pass =
        |collector: &mut Collector| Pass(collector.collect(|_| Liveness::Dead)).value("sent_total");
    pass(&mut collector);
    assert_eq!(pass(&mut collector), Some(4.0));
    write(9.0);
    collector.suspect("counter_7.db".as_ref(), Suspicion::Opened);
    assert_eq!(pass(&mut collector), Some(4.0));
    collector.suspect("counter_7.db".as_ref(), Suspicion::Closed);
    assert_eq!(pass(&mut collector), Some(9.0));
    write(11.0);
    collector.suspect_all(Suspicion::Opened);
    assert_eq!(pass(&mut collector), Some(9.0));
    collector.suspect_all(Suspicion::Closed);
    assert_eq!(pass(&mut collector), Some(11.0));
    assert_eq!(pass(&mut collector), Some(11.0));
}

// [fold.same] [merge.rest.wake]
#[test]
fn what_is_cut_off_after_it_was_read_is_read_again_and_not_folded_before() {
    let directory = Directory::new();
    let (_, name) = store(&directory, &[50.0], &[]);
    let mut collector = watch(&directory);
    collector.expect_hints();
    assert_eq!(pass_at(&mut collector, NOW).value("jobs_total"), Some(50.0));
    let [dead] = &collector.dead()[..] else {
        panic!("it rests")
    };
    // Header and catalog are as they were, and every cell is zero: it only looks whole.
    let bytes = fs::metadata(directory.join(&name)).unwrap().len();
    directory.truncate(&name, 8192);
    directory.truncate(&name, bytes);
    let file = File::open(directory.join(&name)).unwrap();
    let mut fold = Fold::begin(None, BootId::current()).unwrap();
    let outcome = fold.add(name.as_ref(), &file, dead.version, NOW, None);
    assert!(matches!(outcome, Err(NotFolded::Changed)), "{outcome:?}");
    assert_eq!(fold.count(), 0);
    // [merge.counter.fall]: what it had counted stays, before and after it is folded.
    collector.suspect_all(Suspicion::Opened);
    assert_eq!(pass_at(&mut collector, NOW).value("jobs_total"), Some(50.0));
    fold_at(&directory, &[name], NOW, HOUR);
    assert_eq!(pass_at(&mut collector, NOW).value("jobs_total"), Some(50.0));
}

// [merge.rest.wake]: a client that reopens its file goes on from what is in it; whoever counts
// anew in it begins at zero, and nothing that it had counted is lost or counts twice.
#[test]
fn a_successor_that_takes_over_a_file_goes_on_from_it() {
    let mut pool = Pool::with(&[
        ("counter_7.db", counter("sent", 4.0)),
        ("gauge_all_7.db", gauge("level", 3.0, 0.0)),
        ("gauge_liveall_7.db", gauge("live", 3.0, 0.0)),
    ]);
    let dead = ["level{pid=\"7\"} 3.0", "sent_total 4.0"];
    assert_eq!(pool.pass_with(|_| Liveness::Dead).lines(), dead);
    assert_eq!(pool.pass_with(|_| Liveness::Dead).lines(), dead);
    pool.directory.write("counter_7.db", &counter("sent", 5.0));
    pool.directory
        .write("gauge_liveall_7.db", &gauge("live", 1.0, 0.0));
    let alive = [
        "level{pid=\"7\"} 3.0",
        "live{pid=\"7\"} 1.0",
        "sent_total 5.0",
    ];
    assert_eq!(pool.pass_with(|_| Liveness::Live).lines(), alive);
    pool.directory.write("counter_7.db", &counter("sent", 1.0));
    assert_eq!(
        pool.pass_with(|_| Liveness::Live).value("sent_total"),
        Some(6.0)
    );
    assert_eq!(
        pool.pass_with(|_| Liveness::Dead).value("sent_total"),
        Some(6.0)
    );
    pool.directory.remove("counter_7.db");
    assert_eq!(
        pool.pass_with(|_| Liveness::Dead).value("sent_total"),
        Some(6.0)
    );
}

// [merge.rest]: what rests has room for nobody else's value, and gives it up with the rules.
#[test]
fn rules_and_modes_reach_what_rests() {
    let mut pool = Pool::with(&[
        ("gauge_all_7.db", gauge("level", 3.0, 0.0)),
        (
            "counter_7.db",
            PythonFile::new()
                .counter("sent", r#"{"to": "a"}"#, 4.0)
                .on_disk(),
        ),
    ]);
    let lines = ["level{pid=\"7\"} 3.0", "sent_total{to=\"a\"} 4.0"];
    for _ in 0..2 {
        assert_eq!(pool.pass_with(|_| Liveness::Dead).lines(), lines);
    }
    pool.collector.set_rules(Rules {
        rules: vec![
            Rule {
                pattern: Pattern::new("level"),
                mode: Some(Mode::Max),
                ..Rule::default()
            },
            Rule {
                pattern: Pattern::new("sent"),
                dropped_labels: vec!["to".into()],
                ..Rule::default()
            },
        ],
    });
    for _ in 0..2 {
        let lines = pool.pass_with(|_| Liveness::Dead).lines();
        assert_eq!(lines, ["level 3.0", "sent_total 4.0"]);
    }
    // A living worker whose mode prevails changes what the dead contribute to.
    pool.collector.set_rules(Rules::default());
    pool.directory
        .write("gauge_sum_8.db", &gauge("level", 4.0, 0.0));
    let by_name = |name: &str| match name {
        "gauge_sum_8.db" => Liveness::Live,
        _ => Liveness::Dead,
    };
    for _ in 0..2 {
        let lines = pool.pass_with(by_name).lines();
        assert_eq!(lines, ["level 7.0", "sent_total{to=\"a\"} 4.0"]);
    }
}
