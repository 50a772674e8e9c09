//! `spec/merge.md`, chapter 1: what becomes of the files.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use headcount_collect::collector::Collector;
use headcount_collect::exposition::Format;
use headcount_collect::report::Liveness;
use headcount_format::MetricType;
use headcount_format::identity::BootId;

use crate::pool::{Directory, Pass, Pool, collect_once, watch};
use crate::python::{PythonFile, counter, gauge, histogram};
use crate::store::{Writer, family};

// [merge.directory.listing]
#[test]
fn only_names_that_workers_give_are_looked_at() {
    let mut pool = Pool::with(&[
        ("counter_1.db", counter("c", 1.0)),
        (".counter_2.db", counter("c", 10.0)),
        ("counter_3.db.bak", counter("c", 100.0)),
        ("counter_4.dbx", counter("c", 1000.0)),
        ("notes.txt", b"c_total 7".to_vec()),
    ]);
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["c_total 1.0"]);
    assert_eq!(pass.0.files.len(), 1);
}

// [merge.directory.listing]
#[test]
fn what_grows_and_what_comes_is_read_at_the_next_pass() {
    let mut pool = Pool::with(&[("counter_1.db", counter("c", 1.0))]);
    assert_eq!(pool.pass().lines(), ["c_total 1.0"]);

    // The same file, past its first 64 KiB.
    let mut file = PythonFile::new().counter("c", "{}", 2.0);
    for number in 0..1000 {
        let labels = format!(r#"{{"queue": "a queue with a long name, number {number}"}}"#);
        file = file.counter("jobs", &labels, f64::from(number));
    }
    assert!(file.bytes.len() > 1 << 16);
    pool.directory.write("counter_1.db", &file.on_disk());
    pool.directory.write("counter_2.db", &counter("c", 0.5));
    let samples = pool.pass().samples();
    assert_eq!(samples.len(), 1001);
    assert_eq!(samples["c_total"], 2.5);
    assert_eq!(
        samples["jobs_total{queue=\"a queue with a long name, number 999\"}"],
        999.0
    );
}

// [merge.directory.missing]
#[test]
fn a_directory_may_come_late_and_go_without_taking_its_counts() {
    let parent = Directory::new();
    let path = parent.join("pool");
    let mut collector = Collector::new();
    collector.add_directory(&path);
    let pass = Pass(collector.collect(|_| Liveness::Unknown));
    assert!(pass.0.directories[0].error.is_some());
    assert!(pass.lines().is_empty());

    fs::create_dir(&path).unwrap();
    fs::write(path.join("counter_1.db"), counter("c", 3.0)).unwrap();
    fs::write(path.join("gauge_sum_1.db"), gauge("g", 2.0, 0.0)).unwrap();
    let pass = Pass(collector.collect(|_| Liveness::Unknown));
    assert!(pass.0.directories[0].error.is_none());
    assert_eq!(pass.lines(), ["c_total 3.0", "g 2.0"]);

    let elsewhere = parent.join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    let grown = PythonFile::new().counter("c", "{}", 4.0);
    fs::write(elsewhere.join("counter_1.db"), grown.on_disk()).unwrap();
    let pass = Pass(collector.collect(|_| Liveness::Unknown));
    assert!(pass.0.directories[0].error.is_some());
    assert_eq!(pass.lines(), ["c_total 4.0", "g 2.0"]);

    fs::rename(&elsewhere, &path).unwrap();
    let pass = Pass(collector.collect(|_| Liveness::Unknown));
    assert!(pass.0.directories[0].error.is_none());
    assert_eq!(pass.0.directories[0].replaced, 0);
    assert_eq!(pass.lines(), ["c_total 4.0", "g 2.0"]);
}

// [merge.directory.missing]
#[test]
fn a_file_in_the_place_of_a_directory_is_an_error_of_the_directory() {
    let parent = Directory::new();
    parent.write("pool", b"");
    let mut collector = Collector::new();
    collector.add_directory(parent.join("pool"));
    let collection = collector.collect(|_| Liveness::Unknown);
    assert!(collection.directories[0].error.is_some());
}

// [merge.directory.replaced]
#[test]
fn another_directory_in_its_place_is_another_pool() {
    let parent = Directory::new();
    let path = parent.join("pool");
    let fill = |count| {
        fs::create_dir(&path).unwrap();
        fs::write(path.join("counter_1.db"), counter("c", count)).unwrap();
        fs::write(path.join("counter_2.db"), counter("c", 100.0)).unwrap();
    };
    fill(1000.0);
    let mut collector = Collector::new();
    collector.add_directory(&path);
    let pass = Pass(collector.collect(|_| Liveness::Unknown));
    assert_eq!(pass.lines(), ["c_total 1100.0"]);
    // What has departed goes as well.
    fs::remove_file(path.join("counter_2.db")).unwrap();
    let pass = Pass(collector.collect(|_| Liveness::Unknown));
    assert_eq!(pass.lines(), ["c_total 1100.0"]);

    fs::remove_dir_all(&path).unwrap();
    fill(5.0);
    let pass = Pass(collector.collect(|_| Liveness::Unknown));
    assert_eq!(pass.lines(), ["c_total 105.0"]);
    assert_eq!(pass.0.directories[0].replaced, 1);
}

// [merge.directory.replaced] [merge.directory.several]
#[test]
fn one_of_several_directories_is_replaced_alone() {
    let (first, parent) = (Directory::new(), Directory::new());
    let second = parent.join("pool");
    fs::create_dir(&second).unwrap();
    first.write("counter_1.db", &counter("c", 1.0));
    first.write("gauge_all_1.db", &gauge("g", 1.0, 0.0));
    fs::write(second.join("counter_1.db"), counter("c", 10.0)).unwrap();
    fs::write(second.join("gauge_all_2.db"), gauge("g", 2.0, 0.0)).unwrap();
    let mut collector = watch(&first);
    collector.add_directory(&second);
    let pass = Pass(collector.collect(|_| Liveness::Unknown));
    assert_eq!(
        pass.lines(),
        ["c_total 11.0", "g{pid=\"1\"} 1.0", "g{pid=\"2\"} 2.0"]
    );

    fs::remove_dir_all(&second).unwrap();
    fs::create_dir(&second).unwrap();
    fs::write(second.join("counter_9.db"), counter("c", 4.0)).unwrap();
    let pass = Pass(collector.collect(|_| Liveness::Unknown));
    assert_eq!(pass.lines(), ["c_total 5.0", "g{pid=\"1\"} 1.0"]);
    let replaced: Vec<_> = pass.0.directories.iter().map(|own| own.replaced).collect();
    assert_eq!(replaced, [0, 1]);
}

// [merge.file.open] [merge.file.damage]
#[test]
fn only_a_regular_file_with_one_name_is_opened() {
    let mut pool = Pool::with(&[
        ("counter_1.db", counter("c", 1.0)),
        ("counter_2.db", counter("c", 10.0)),
        ("elsewhere", counter("c", 100.0)),
    ]);
    let at = |name: &str| pool.directory.join(name);
    fs::create_dir(at("counter_3.db")).unwrap();
    symlink("elsewhere", at("counter_4.db")).unwrap();
    symlink("nowhere", at("counter_5.db")).unwrap();
    fs::hard_link(at("counter_2.db"), at("counter_6.db")).unwrap();
    let _socket = UnixListener::bind(at("counter_7.db")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at("counter_8.db"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["c_total 1.0"]);
    for number in 2..=8 {
        let name = format!("counter_{number}.db");
        assert_eq!(pass.state(&name), "hostile", "{name}");
    }

    // Each is looked at anew.
    fs::remove_file(pool.directory.join("counter_6.db")).unwrap();
    fs::remove_dir(pool.directory.join("counter_3.db")).unwrap();
    pool.directory.write("counter_3.db", &counter("c", 1000.0));
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["c_total 1011.0"]);
    assert_eq!(pass.state("counter_2.db"), "good");
}

// [merge.file.open]
#[test]
fn a_second_name_for_a_file_that_is_read_does_not_count_again() {
    let mut pool = Pool::with(&[("counter_1.db", counter("c", 1.0))]);
    pool.pass();
    let at = |name: &str| pool.directory.join(name);
    fs::hard_link(at("counter_1.db"), at("counter_2.db")).unwrap();
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["c_total 1.0"]);
    assert_eq!(pass.state("counter_2.db"), "hostile");
}

// [merge.file.empty] [merge.file.damage] [python.header]
#[test]
fn files_of_a_few_bytes_cost_themselves() {
    let mut pool = Pool::with(&[
        ("counter_0.db", Vec::new()),
        ("counter_3.db", vec![8, 0, 0]),
        ("counter_7.db", vec![8, 0, 0, 0, 0, 0, 0]),
        ("counter_8.db", vec![8, 0, 0, 0, 0, 0, 0, 0]),
        ("counter_9.db", vec![0; 1 << 16]),
        ("counter_10.db", counter("c", 1.0)),
        ("000102030405060708090a0b0c0d0e0f.store", Vec::new()),
        (
            "100102030405060708090a0b0c0d0e0f.store",
            vec![0x89, b'H', b'C'],
        ),
    ]);
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["c_total 1.0"]);
    let state = |name| pass.state(name);
    assert_eq!(state("counter_0.db"), "empty");
    assert_eq!(state("counter_3.db"), "truncated");
    assert_eq!(state("counter_7.db"), "truncated");
    assert_eq!(state("counter_8.db"), "empty");
    assert_eq!(state("counter_9.db"), "empty");
    assert_eq!(state("000102030405060708090a0b0c0d0e0f.store"), "truncated");
    assert_eq!(state("100102030405060708090a0b0c0d0e0f.store"), "truncated");
}

// [merge.file.damage] [merge.file.dialect]
#[test]
fn a_torn_tail_is_tried_again_and_heals() {
    let whole = PythonFile::new()
        .counter("a", "{}", 1.0)
        .counter("b", "{}", 2.0)
        .counter("c", "{}", 3.0);
    let start = whole.places[0] + 16;
    let mut torn = whole.clone();
    torn.bytes[start..].fill(0);
    let mut pool = Pool::with(&[("counter_1.db", torn.on_disk())]);
    for _ in 0..2 {
        let pass = pool.pass();
        assert_eq!(pass.lines(), ["a_total 1.0"]);
        assert_eq!(pass.state("counter_1.db"), "torn_tail");
    }
    let part = whole.places[1] + 16;
    torn.bytes[start..part].copy_from_slice(&whole.bytes[start..part]);
    pool.directory.write("counter_1.db", &torn.bytes);
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["a_total 1.0", "b_total 2.0"]);
    assert_eq!(pass.state("counter_1.db"), "torn_tail");

    pool.directory.write("counter_1.db", &whole.bytes);
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["a_total 1.0", "b_total 2.0", "c_total 3.0"]);
    assert_eq!(pass.state("counter_1.db"), "good");
}

// [merge.file.kept] [merge.file.damage]
#[test]
fn a_truncated_file_keeps_its_last_good_values_and_heals() {
    let mut file = PythonFile::new()
        .counter("a", "{}", 5.0)
        .counter("b", "{}", 7.0);
    let mut pool = Pool::with(&[
        ("counter_1.db", file.on_disk()),
        ("counter_2.db", counter("a", 1.0)),
        ("gauge_sum_1.db", gauge("g", 4.0, 0.0)),
    ]);
    let expected = ["a_total 6.0", "b_total 7.0", "g 4.0"];
    assert_eq!(pool.pass().lines(), expected);
    for length in [100, 8, 7, 1, 0] {
        pool.directory.truncate("counter_1.db", length);
        pool.directory.truncate("gauge_sum_1.db", length);
        let pass = pool.pass();
        assert_eq!(pass.lines(), expected, "{length} bytes");
        assert_eq!(pass.state("counter_1.db"), "truncated");
        assert_eq!(pass.state("counter_2.db"), "good");
    }
    // A page of zeros, as a truncation and a growth leave it.
    pool.directory.truncate("counter_1.db", 1 << 16);
    assert_eq!(pool.pass().lines(), expected);

    file.set(0, 6.0);
    pool.directory.write("counter_1.db", &file.bytes);
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["a_total 7.0", "b_total 7.0", "g 4.0"]);
    assert_eq!(pass.state("counter_1.db"), "good");
}

// [merge.file.kept]
#[test]
fn a_store_that_is_cut_or_overwritten_keeps_its_last_good_values() {
    let mut pool = Pool::with(&[("counter_1.db", counter("c", 1.0))]);
    let mut writer = Writer::new(&pool.directory, 5);
    let name = writer.file_name();
    let number = writer.family(family(MetricType::Counter, "c"));
    let place = writer.series(number, &[], 0);
    writer.set(place, &[41.0]);
    // Its worker is gone: nothing has the file mapped when it is cut.
    drop(writer);
    let whole = fs::read(pool.directory.join(&name)).unwrap();
    assert_eq!(pool.pass().lines(), ["c_total 42.0"]);
    for length in [5000, 4096, 64, 3, 0] {
        pool.directory.truncate(&name, length);
        let pass = pool.pass();
        assert_eq!(pass.lines(), ["c_total 42.0"], "{length} bytes");
        assert_eq!(pass.state(&name), "truncated");
    }
    pool.directory.write(&name, &vec![0xff; whole.len()]);
    assert_eq!(pool.pass().lines(), ["c_total 42.0"]);
    pool.directory.write(&name, &whole);
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["c_total 42.0"]);
    assert_eq!(pass.state(&name), "good");
}

// [merge.departed] [merge.file.nameless]
#[test]
fn a_deleted_file_keeps_its_counts_and_loses_its_levels() {
    let mut pool = Pool::with(&[
        ("counter_1.db", counter("c", 2.0)),
        ("counter_2.db", counter("c", 3.0)),
        ("gauge_all_1.db", gauge("all", 1.0, 0.0)),
        ("gauge_sum_1.db", gauge("sum", 1.0, 0.0)),
        ("gauge_sum_2.db", gauge("sum", 5.0, 0.0)),
        (
            "histogram_1.db",
            histogram("h", 0.5, &[("1.0", 1.0), ("+Inf", 2.0)]),
        ),
        (
            "summary_1.db",
            PythonFile::new().summary("s", 2.0, 9.0).on_disk(),
        ),
    ]);
    let counts = [
        "c_total 5.0",
        "h_bucket{le=\"1.0\"} 1.0",
        "h_bucket{le=\"+Inf\"} 3.0",
        "h_sum 0.5",
        "h_count 3.0",
        "s_count 2.0",
        "s_sum 9.0",
    ];
    let before = pool.pass().lines();
    assert!(before.iter().any(|line| line == "sum 6.0"), "{before:?}");
    // It counted on until it went.
    let last = PythonFile::new().counter("c", "{}", 2.5).bytes;
    pool.directory.write("counter_1.db", &last);
    for name in [
        "counter_1.db",
        "gauge_all_1.db",
        "gauge_sum_1.db",
        "histogram_1.db",
        "summary_1.db",
    ] {
        pool.directory.remove(name);
    }
    for _ in 0..3 {
        let pass = pool.pass();
        let mut expected = counts.map(str::to_owned).to_vec();
        expected[0] = "c_total 5.5".to_owned();
        expected.push("sum 5.0".to_owned());
        assert_eq!(pass.lines(), expected);
        assert_eq!(pass.0.files.len(), 2);
    }
    // Another worker with the same pid is another file.
    pool.directory.write("counter_1.db", &counter("c", 1.0));
    assert_eq!(pool.pass().value("c_total"), Some(6.5));
}

// [merge.file.nameless]
#[test]
fn a_live_worker_counts_on_into_a_file_without_a_name() {
    let mut pool = Pool::new();
    let mut writer = Writer::new(&pool.directory, 5);
    let counts = writer.family(family(MetricType::Counter, "c"));
    let levels = writer.family(family(MetricType::Gauge, "g"));
    let (count, level) = (writer.series(counts, &[], 0), writer.series(levels, &[], 0));
    writer.set(count, &[1.0]);
    writer.set(level, &[9.0]);
    let pid = std::process::id();
    let gauge = format!("g{{pid=\"{pid}\"}} 9.0");
    let both = |count: &str| vec![count.to_owned(), gauge.clone()];
    assert_eq!(
        pool.pass_with(|_| Liveness::Live).lines(),
        both("c_total 1.0")
    );
    pool.directory.remove(&writer.file_name());
    for number in 2..5 {
        writer.set(count, &[f64::from(number)]);
        let pass = pool.pass_with(|_| Liveness::Live);
        assert_eq!(pass.lines(), both(&format!("c_total {number}.0")));
    }
    writer.set(count, &[10.0]);
    let pass = pool.pass_with(|_| Liveness::Dead);
    assert_eq!(pass.lines(), ["c_total 10.0"]);
    assert!(pass.0.files.is_empty());
    // Read for the last time.
    writer.set(count, &[11.0]);
    assert_eq!(pool.pass().lines(), ["c_total 10.0"]);
}

// [merge.file.nameless] [merge.departed]
#[test]
fn a_file_that_another_takes_the_name_of_is_read_once_more() {
    let mut pool = Pool::with(&[("counter_1.db", counter("c", 1.0))]);
    assert_eq!(pool.pass().lines(), ["c_total 1.0"]);
    pool.directory.write("counter_1.db", &counter("c", 2.0));
    pool.directory.replace("counter_1.db", &counter("c", 10.0));
    assert_eq!(pool.pass().lines(), ["c_total 12.0"]);
    assert_eq!(pool.pass().lines(), ["c_total 12.0"]);
}

// [merge.file.nameless] [merge.file.identity]
//
// An operator sets the files of the old pool aside, into a directory beside them, and starts the
// new one: the old files still have a name, but not this one.
#[test]
fn a_file_that_is_moved_away_makes_room_for_the_next_of_its_name() {
    let mut pool = Pool::with(&[("counter_1.db", counter("c", 1.0))]);
    assert_eq!(pool.pass().lines(), ["c_total 1.0"]);
    let old = pool.directory.join("old");
    fs::create_dir(&old).unwrap();
    fs::rename(
        pool.directory.join("counter_1.db"),
        old.join("counter_1.db"),
    )
    .unwrap();
    pool.directory.write("counter_1.db", &counter("c", 10.0));
    assert_eq!(pool.pass().lines(), ["c_total 11.0"]);
}

// [merge.file.identity]
//
// A file that gets another name inside its directory, as by a tool that folds files, is the same
// file, and has counted the same things once.
#[test]
fn a_file_that_gets_another_name_does_not_count_twice() {
    let mut pool = Pool::with(&[("counter_1.db", counter("c", 1.0))]);
    assert_eq!(pool.pass().lines(), ["c_total 1.0"]);
    let at = |name: &str| pool.directory.join(name);
    fs::rename(at("counter_1.db"), at("counter_2.db")).unwrap();
    assert_eq!(pool.pass().lines(), ["c_total 1.0"]);
    assert_eq!(pool.pass().lines(), ["c_total 1.0"]);
}

// [merge.file.returned]
#[test]
fn a_file_that_goes_and_comes_back_counts_once() {
    let mut pool = Pool::with(&[("counter_1.db", counter("c", 1.0))]);
    let mut writer = crate::store::Writer::new(&pool.directory, 5);
    let number = writer.family(crate::store::family(MetricType::Counter, "c"));
    let place = writer.series(number, &[], 0);
    writer.set(place, &[10.0]);
    let away = Directory::new();
    for _ in 0..3 {
        assert_eq!(pool.pass().lines(), ["c_total 11.0"]);
        for name in ["counter_1.db".to_owned(), writer.file_name()] {
            fs::rename(pool.directory.join(&name), away.join(&name)).unwrap();
            assert_eq!(pool.pass().lines(), ["c_total 11.0"]);
            assert_eq!(pool.pass().lines(), ["c_total 11.0"]);
            fs::rename(away.join(&name), pool.directory.join(&name)).unwrap();
            assert_eq!(pool.pass().lines(), ["c_total 11.0"]);
        }
    }
}

// [merge.file.returned]
//
// What is infinite cannot be taken back: infinity less infinity is no number.
#[test]
fn an_infinite_counter_that_comes_back_is_infinite() {
    let mut pool = Pool::with(&[("counter_1.db", counter("c", f64::INFINITY))]);
    let away = Directory::new();
    let (here, there) = (
        pool.directory.join("counter_1.db"),
        away.join("counter_1.db"),
    );
    assert_eq!(pool.pass().lines(), ["c_total +Inf"]);
    fs::rename(&here, &there).unwrap();
    assert_eq!(pool.pass().lines(), ["c_total +Inf"]);
    fs::rename(&there, &here).unwrap();
    assert_eq!(pool.pass().lines(), ["c_total +Inf"]);
}

// [merge.file.identity] [merge.departed]
//
// Under a name that no dialect has, a file is no longer read, and so it is gone.
#[test]
fn a_file_that_gets_a_name_of_no_dialect_leaves_its_counts() {
    for strange in ["junk_1.db", "backup.store"] {
        let mut pool = Pool::with(&[("counter_1.db", counter("c", 1.0))]);
        assert_eq!(pool.pass().lines(), ["c_total 1.0"]);
        let at = |name: &str| pool.directory.join(name);
        fs::rename(at("counter_1.db"), at(strange)).unwrap();
        assert_eq!(pool.pass().lines(), ["c_total 1.0"], "{strange}");
        assert_eq!(pool.pass().lines(), ["c_total 1.0"], "{strange}");
    }
}

// [merge.file.descriptors]
#[test]
fn few_descriptors_read_the_same_values() {
    let directory = Directory::new();
    for number in 0..20 {
        let name = format!("counter_{number}.db");
        directory.write(&name, &counter("c", 1.0));
        directory.write(&format!("gauge_all_{number}.db"), &gauge("g", 2.0, 0.0));
    }
    for descriptors in [0, 1, 7] {
        let mut collector = watch(&directory);
        collector.set_descriptors(descriptors);
        let open = open_files(&directory);
        let first = Pass(collector.collect(|_| Liveness::Unknown));
        assert!(open_files(&directory) <= open + descriptors);
        assert_eq!(first.value("c_total"), Some(20.0));
        assert_eq!(first.lines().len(), 21);
        let second = Pass(collector.collect(|_| Liveness::Unknown));
        assert_eq!(second.lines(), first.lines());
    }
    let mut collector = watch(&directory);
    collector.set_descriptors(0);
    collector.collect(|_| Liveness::Unknown);
    directory.remove("counter_3.db");
    directory.remove("gauge_all_3.db");
    directory.replace("counter_4.db", &counter("c", 5.0));
    let pass = Pass(collector.collect(|_| Liveness::Unknown));
    assert_eq!(pass.value("c_total"), Some(25.0));
    assert_eq!(pass.value("g{pid=\"3\"}"), None);
}

fn open_files(directory: &Directory) -> usize {
    let links = fs::read_dir("/proc/self/fd").expect("Linux tells");
    let leads_here = |link: &fs::DirEntry| {
        fs::read_link(link.path())
            .is_ok_and(|path| path.starts_with(directory.path()) && path != directory.path())
    };
    links.flatten().filter(leads_here).count()
}

// [merge.file.identity] [merge.file.descriptors]
//
// Where inode numbers are used again at once, as on ext4, a file that is not kept open and its
// successor of the same name are told apart by when they were born.
#[test]
fn a_successor_that_has_its_inode_is_another_file() {
    let directory = Directory::on_disk();
    let first = PythonFile::new().counter("a", "{}", 5.0);
    // Longer, and with other keys: the value of the first stands amid the text of the second.
    let labels = r#"{"queue": "mail", "strategy": "a strategy with a long name"}"#;
    let second = PythonFile::new().counter("jobs_of_the_second_worker", labels, 1.0);
    directory.write("counter_1.db", &first.on_disk());
    let mut collector = watch(&directory);
    collector.set_descriptors(0);
    collector.collect(|_| Liveness::Unknown);
    directory.remove("counter_1.db");
    directory.write("counter_1.db", &second.on_disk());
    let samples = Pass(collector.collect(|_| Liveness::Unknown)).samples();
    assert_eq!(
        samples.values().copied().collect::<Vec<_>>(),
        [5.0, 1.0],
        "{samples:?}"
    );
}

// [merge.store.name]
#[test]
fn the_copy_of_a_store_does_not_count() {
    let mut pool = Pool::new();
    let mut writer = Writer::new(&pool.directory, 5);
    let number = writer.family(family(MetricType::Counter, "c"));
    let place = writer.series(number, &[], 0);
    writer.set(place, &[3.0]);
    let copy = "000102030405060708090a0b0c0d0e0f.store";
    fs::copy(writer.store.path(), pool.directory.join(copy)).unwrap();
    let pass = pool.pass();
    assert_eq!(pass.lines(), ["c_total 3.0"]);
    assert_eq!(pass.state(copy), "foreign");
    assert_eq!(pass.state(&writer.file_name()), "good");
}

// [merge.store.boot]
#[test]
fn stores_of_an_earlier_boot_are_set_aside_where_the_boot_is_known() {
    let directory = Directory::new();
    let mut writer = Writer::new(&directory, 5);
    let number = writer.family(family(MetricType::Counter, "c"));
    let place = writer.series(number, &[], 0);
    writer.set(place, &[3.0]);
    directory.write("counter_1.db", &counter("c", 1.0));
    let after = |boot| {
        let mut collector = watch(&directory);
        collector.set_boot(boot);
        Pass(collector.collect(|_| Liveness::Unknown))
    };
    assert_eq!(after(writer.store.header().boot).lines(), ["c_total 4.0"]);
    assert_eq!(after(BootId::default()).lines(), ["c_total 4.0"]);
    let pass = after(BootId([7; 16]));
    assert_eq!(pass.lines(), ["c_total 1.0"]);
    assert_eq!(pass.state(&writer.file_name()), "earlier_boot");
}

// [merge.order.fresh]
#[test]
fn two_passes_over_the_same_files_are_equal_byte_for_byte() {
    let mut pool = Pool::new();
    for number in 0..10 {
        let value = 0.1 * f64::from(number);
        let file = PythonFile::new()
            .counter("c", r#"{"l": "x"}"#, value)
            .counter("b", "{}", value);
        pool.directory
            .write(&format!("counter_{number}.db"), &file.on_disk());
        pool.directory.write(
            &format!("gauge_liveall_{number}.db"),
            &gauge("g", value, 0.0),
        );
    }
    for format in [Format::Text, Format::OpenMetrics, Format::Json] {
        let first = pool.pass().encoded(format);
        assert_eq!(pool.pass().encoded(format), first);
        assert_eq!(collect_once(&pool.directory).encoded(format), first);
    }
}
