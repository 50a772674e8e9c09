//! A full disk: the worker lives, counts on in memory, tells, and moves into the store what
//! waited, as soon as there is room.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use headcount_writer::{Buckets, Counter, Family, Mode, Registry};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::support::actor::{say, told};
use crate::support::grounds::Ground;
use crate::support::raw::{Way, spawn, wait};
use crate::support::stores::{self, Contents};
use crate::support::{TempDir, actor, eventually};

#[test]
fn what_finds_no_room_on_a_full_disk_waits_in_memory_and_moves_when_there_is_room() {
    let disk = Ground::tmpfs("64k");
    let mut limited = actor("limited", disk.pool());
    assert_eq!(limited.ask("grow on a full disk"), "done");
    limited.finish();
}

/// ext4 with blocks smaller than a page keeps what it had found room for when the disk was full, and
/// the file then ended inside a page: readers set the whole store aside, with all that had fitted.
// [store.grow.whole]
#[test]
fn a_store_that_grew_by_half_a_page_before_the_disk_was_full_is_still_read() {
    for spare in 0..4 {
        let Some(disk) = Ground::ext4_of_small_blocks() else {
            return;
        };
        let mut limited = actor("limited", disk.pool());
        let answer = limited.ask(&format!("grow until {spare} KiB are left"));
        assert_eq!(answer, "done", "{spare} KiB");
        limited.finish();
    }
}

#[test]
fn a_worker_that_begins_on_a_full_disk_has_its_store_when_there_is_room() {
    let disk = Ground::tmpfs("64k");
    let mut limited = actor("limited", disk.pool());
    assert_eq!(limited.ask("begin on a full disk"), "done");
    limited.finish();
}

#[test]
fn a_limit_on_the_size_of_files_does_not_kill_a_worker() {
    let directory = TempDir::new();
    let mut limited = actor("limited", directory.path());
    assert_eq!(limited.ask("grow"), "done");
    limited.finish();
}

#[test]
fn a_limit_below_the_smallest_store_does_not_kill_a_worker() {
    let directory = TempDir::new();
    let mut limited = actor("limited", directory.path());
    assert_eq!(limited.ask("begin"), "done");
    limited.finish();
}

#[test]
fn an_info_that_found_no_room_is_told_of_and_moves_when_there_is_room() {
    let directory = TempDir::new();
    let mut limited = actor("limited", directory.path());
    assert_eq!(limited.ask("info"), "done");
    limited.finish();
}

#[test]
fn a_state_set_that_found_no_room_is_in_its_first_state_when_there_is_room() {
    let directory = TempDir::new();
    let mut limited = actor("limited", directory.path());
    assert_eq!(limited.ask("state"), "done");
    limited.finish();
}

/// A store that was made when the disk was almost full had only some of the metrics without labels,
/// and never got the others, which nobody had updated: they were not there at zero.
#[test]
fn a_metric_that_found_no_room_at_zero_is_there_at_zero_when_there_is_room() {
    let directory = TempDir::new();
    let mut limited = actor("limited", directory.path());
    assert_eq!(limited.ask("zero"), "done");
    limited.finish();
}

#[test]
fn a_store_without_room_for_the_labels_of_all_series_is_not_left_behind() {
    let directory = TempDir::new();
    let mut limited = actor("limited", directory.path());
    assert_eq!(limited.ask("labels"), "done");
    limited.finish();
}

#[test]
fn a_child_keeps_the_descriptors_that_are_not_the_writers() {
    let directory = TempDir::new();
    let mut limited = actor("limited", directory.path());
    assert_eq!(limited.ask("descriptors"), "done");
    limited.finish();
}

/// Works where there is little room: on a full disk, or under a limit on the size of files, which a
/// whole process has. Who touches memory that the disk has no room for dies of it, and so must be a
/// process of its own.
pub(crate) fn limited() {
    let directory = PathBuf::from(std::env::var_os("HEADCOUNT_DIR").unwrap());
    for line in told() {
        match &*line {
            "grow on a full disk" => {
                let mut worker = Worker::open(&directory);
                worker.grow(3);
                fill(&directory);
                worker.endures(|| free(&directory));
            }
            line if line.starts_with("grow until") => {
                let mut worker = Worker::open(&directory);
                worker.grow(3);
                fill(&directory);
                let spare = line.split(' ').nth(2).unwrap().parse::<u64>().unwrap();
                give_back(&directory, spare << 10);
                worker.endures(|| free(&directory));
            }
            "begin on a full disk" => {
                fill(&directory);
                let mut worker = Worker::open(&directory);
                worker.begins_without_a_store(|| free(&directory));
            }
            "grow" => {
                let mut worker = Worker::open(&directory);
                worker.grow(3);
                let bytes = fs::metadata(stores::only(&directory)).unwrap().len();
                limit(Some(bytes));
                worker.endures(|| limit(None));
            }
            "begin" => {
                limit(Some(4096));
                let mut worker = Worker::open(&directory);
                worker.begins_without_a_store(|| limit(None));
            }
            "info" => info_waits(&directory),
            "state" => state_set_waits(&directory),
            "zero" => zero_waits(&directory),
            "labels" => {
                counts_without_room_for_labels(&directory);
                assert!(stores::paths(&directory).is_empty(), "it is left behind");
            }
            "descriptors" => {
                let _registry = counts_without_room_for_labels(&directory);
                let others = File::open("/dev/null").unwrap();
                let child = spawn(Way::Fork, || {
                    others.metadata().expect("the descriptor is still open");
                });
                assert_eq!(wait(child).exit_status(), Some(0));
            }
            other => panic!("{other}"),
        }
        say("done");
    }
}

/// A worker that knows what it has counted.
pub(crate) struct Worker {
    directory: PathBuf,
    pub(crate) registry: Registry,
    family: Family<Counter, 1>,
    counters: Vec<Counter>,
    counted: Vec<f64>,
}

impl Worker {
    pub(crate) fn open(directory: &Path) -> Worker {
        let registry = Registry::open(directory).unwrap();
        let family = registry.counter("jobs", "Jobs by number.");
        Worker {
            directory: directory.to_owned(),
            family: family.register_family(["number"]).unwrap(),
            registry,
            counters: Vec::new(),
            counted: Vec::new(),
        }
    }

    /// Counts in as many new series.
    pub(crate) fn grow(&mut self, series: usize) {
        for _ in 0..series {
            let number = self.counters.len();
            let counter = self.family.with([&number.to_string()]);
            counter.inc_by(1000.0 + number as f64);
            self.counted.push(1000.0 + number as f64);
            self.counters.push(counter);
        }
    }

    /// Counts one in the series with this number.
    fn count(&mut self, number: usize) {
        self.counters[number].inc();
        self.counted[number] += 1.0;
        assert_eq!(self.counters[number].get(), self.counted[number]);
    }

    pub(crate) fn count_in_all(&mut self) {
        (0..self.counters.len()).for_each(|number| self.count(number));
    }

    /// In a child that has not counted.
    pub(crate) fn assert_at_zero(&self) {
        assert!(self.counters.iter().all(|counter| counter.get() == 0.0));
    }

    pub(crate) fn expected(&self) -> BTreeMap<String, Vec<f64>> {
        let counted = self.counted.iter().enumerate();
        counted
            .map(|(number, &counted)| (format!("jobs/{number}"), vec![counted]))
            .collect()
    }

    /// Goes on where the store cannot grow, until `give_room` and for a while after.
    fn endures(&mut self, give_room: impl FnOnce()) {
        while self.registry.trouble().is_none() {
            assert!(self.counters.len() < 10_000, "the disk is never full");
            self.grow(1);
        }
        self.grow(10);
        self.count_in_all();
        self.count_in_all();
        let trouble = self.registry.trouble().unwrap();
        assert!(trouble.contains("failed to grow"), "{trouble}");
        let path = stores::only(&self.directory);
        let store = Contents::read(&path);
        let expected = self.expected();
        assert!(store.series.len() < expected.len());
        for (name, value) in &store.series {
            assert_eq!(expected.get(name), Some(value), "{name}");
        }
        // The series that is refused first, and at least the ten after it.
        let refused = expected.len() - store.series.len();
        assert_eq!(store.refused, refused as u64);
        assert!(refused > 10, "{refused}");

        give_room();
        self.moves_into_the_store();
        assert_eq!(stores::only(&self.directory), path);
    }

    /// Begins where not even a new store has room.
    fn begins_without_a_store(&mut self, give_room: impl FnOnce()) {
        self.grow(10);
        self.count_in_all();
        let trouble = self.registry.trouble().unwrap();
        assert!(trouble.contains("failed to create"), "{trouble}");
        assert!(
            stores::paths(&self.directory).is_empty(),
            "it is left behind"
        );
        give_room();
        self.moves_into_the_store();
    }

    /// One series after the other, of every kind, is in the store once one of them has been
    /// updated, since that tries again when a second has passed.
    fn moves_into_the_store(&mut self) {
        let late = self.registry.histogram("late_seconds", "Seconds.");
        let late = late.buckets(Buckets::new([1.0]).unwrap()).register();
        let late = late.unwrap();
        late.observe(0.5);
        late.observe(4.0);
        let last = self.counters.len() - 1;
        eventually("what waited to move into the store", || {
            self.count(last);
            self.registry.trouble().is_none().then_some(())
        });
        let mut expected = self.expected();
        expected.insert("late_seconds".to_owned(), vec![4.5, 1.0, 1.0]);
        let store = Contents::read(&stores::only(&self.directory));
        assert_eq!(store.refused, 0);
        assert_eq!(store.series, expected);
        // And there they go on counting.
        self.count_in_all();
        let store = Contents::read(&stores::only(&self.directory));
        assert_eq!(store.value(&format!("jobs/{last}")), self.counted[last]);
    }
}

fn info_waits(directory: &Path) {
    let registry = Registry::open(directory).unwrap();
    let jobs = registry.counter("jobs", "Jobs.").register().unwrap();
    jobs.inc();
    let path = stores::only(directory);
    limit(Some(fs::metadata(&path).unwrap().len()));
    let build = registry.info("build", "What runs.").register().unwrap();
    let long = "x".repeat(20_000);
    build.set([("version", &*long)]).unwrap();
    let trouble = registry.trouble();
    limit(None);
    let name = format!("build/version={long}");
    assert!(!Contents::read(&path).series.contains_key(&name));
    assert!(trouble.is_some(), "silence about what is not in the store");
    // A slow update, so that there is an occasion to try again.
    let queued = registry.counter("queued", "Jobs by queue.");
    let queued = queued.register_family(["queue"]).unwrap();
    let mut number = 0;
    eventually("the info to move into the store", || {
        number += 1;
        queued.with([&number.to_string()]).inc();
        Contents::read(&path).series.get(&name).map(drop)
    });
    assert_eq!(registry.trouble(), None);
}

fn state_set_waits(directory: &Path) {
    let registry = Registry::open(directory).unwrap();
    let jobs = registry.counter("jobs", "Jobs.").register().unwrap();
    jobs.inc();
    let path = stores::only(directory);
    limit(Some(fs::metadata(&path).unwrap().len()));
    let help = "x".repeat(20_000);
    let task = registry.state_set("task", &help, ["starting", "running"]);
    let task = task.mode(Mode::MostRecent).register().unwrap();
    assert_eq!(task.get(), "starting");
    assert!(registry.trouble().is_some());
    limit(None);
    let queued = registry.counter("queued", "Jobs by queue.");
    let queued = queued.register_family(["queue"]).unwrap();
    let mut number = 0;
    eventually("the state set to move into the store", || {
        number += 1;
        queued.with([&number.to_string()]).inc();
        registry.trouble().is_none().then_some(())
    });
    assert_eq!(Contents::read(&path).series.get("task"), Some(&vec![0.0]));
}

fn zero_waits(directory: &Path) {
    limit(Some(16_384));
    let registry = Registry::open(directory).unwrap();
    let early = registry.counter("early", "Early.").register().unwrap();
    let help = "x".repeat(20_000);
    let long = registry.counter("long", &help).register().unwrap();
    let jobs = registry.counter("jobs", "Jobs.").register().unwrap();
    jobs.inc();
    let path = stores::only(directory);
    let store = Contents::read(&path);
    // What is small fits beside what does not.
    assert_eq!((store.value("early"), store.value("jobs")), (0.0, 1.0));
    assert_eq!((store.series.len(), store.refused), (2, 1));
    assert!(registry.trouble().is_some());
    limit(None);
    // A slow update, so that there is an occasion to try again.
    let queued = registry.counter("queued", "Jobs by queue.");
    let queued = queued.register_family(["queue"]).unwrap();
    let mut number = 0;
    eventually("all to move into the store", || {
        number += 1;
        queued.with([&number.to_string()]).inc();
        registry.trouble().is_none().then_some(())
    });
    let store = Contents::read(&path);
    assert_eq!((store.value("long"), store.refused), (0.0, 0));
    for counter in [early, long] {
        counter.inc();
        assert_eq!(counter.get(), 1.0);
    }
    assert_eq!(Contents::read(&path).value("long"), 1.0);
}

/// The labels of all series are more than a new store holds, and it may not grow.
fn counts_without_room_for_labels(directory: &Path) -> Registry {
    limit(Some(16_384));
    let builder = Registry::builder().label("service", &"x".repeat(10_000));
    let registry = builder.open(directory).unwrap();
    let jobs = registry.counter("jobs", "Jobs.").register().unwrap();
    jobs.inc();
    assert_eq!(jobs.get(), 1.0);
    assert!(registry.trouble().is_some());
    registry
}

/// Limits the size of the files that this process writes.
fn limit(bytes: Option<u64>) {
    let mut limits = getrlimit(Resource::Fsize);
    limits.current = bytes.or(limits.maximum);
    setrlimit(Resource::Fsize, limits).expect("the soft limit may move below the hard one");
}

/// Leaves no room on the disk that the pool's directory lies on.
pub(crate) fn fill(directory: &Path) {
    let mut filler = File::create(filler(directory)).expect("an empty file takes no room");
    let error = loop {
        if let Err(error) = filler.write_all(&[1; 1024]) {
            break error;
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

/// Gives a part of the room back.
fn give_back(directory: &Path, bytes: u64) {
    let filler = File::options().write(true).open(filler(directory)).unwrap();
    let length = filler.metadata().unwrap().len();
    filler.set_len(length - bytes).unwrap();
    // The blocks are free for others once the disk knows.
    filler.sync_all().unwrap();
}

/// Gives the room back.
pub(crate) fn free(directory: &Path) {
    fs::remove_file(filler(directory)).expect("the filler can be deleted");
}

fn filler(directory: &Path) -> PathBuf {
    directory.with_file_name("filler")
}
