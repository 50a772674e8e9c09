//! A process that appends to its catalog as fast as it can, and one that reads it meanwhile: each
//! record that is published is whole. Read in the wrong order it often is not, which is how this
//! test knows that it would notice.
#![cfg(all(target_os = "linux", not(loom)))]
#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::fs::{self, File};
use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use headcount_format::layout::{CATALOG_OFFSET, FIRST_SEGMENT_END, Role, USED_OFFSET};
use headcount_format::record::{Family, RECORD_HEADER_BYTES, Record, Series};
use headcount_format::{MetricType, Mode, NewStore, PageBuffer, PerProcess, Store, StoreReader};

// [store.publish.record] [store.publish.used] [store.read.used] [store.read.catalog]
#[test]
fn each_record_that_is_published_is_whole() {
    if let Some(directory) = env::var_os(DIRECTORY) {
        return append(Path::new(&directory));
    }
    for parent in ["/dev/shm", env!("CARGO_TARGET_TMPDIR")] {
        let mut writer = Writer::start(Path::new(parent));
        let file = File::open(writer.store()).unwrap();
        let mut reader = StoreReader::open(&file).unwrap();
        let mut control = Control::new();
        // Passes that met the writer in the middle of a burst.
        let (mut bursts, mut checked, mut met) = (0, 0, 0);
        let deadline = Instant::now() + WATCHDOG;
        while bursts < BURSTS || met < LEAST_MET || control.partial < LEAST_PARTIAL {
            assert!(
                Instant::now() < deadline,
                "{met} passes met the writer, and the control saw {} records half written; a test \
                 that sees none proves nothing; are two cores free?",
                control.partial
            );
            bursts += 1;
            writer.go();
            while checked < bursts * RECORDS {
                writer.assert_lives();
                reader.refresh(&file).unwrap();
                let series = reader.catalog().series();
                series[checked..].iter().for_each(assert_whole);
                checked = series.len();
                met += usize::from(!checked.is_multiple_of(RECORDS));
                control.pass(&file);
            }
        }
    }
}

/// The writer's process: appends so many records each time that it is told to.
fn append(directory: &Path) {
    let process = PerProcess::new().unwrap();
    process.get_or_init(|| ());
    let new = NewStore {
        directory,
        labels: &[],
        started: 0,
        role: Role::Worker,
    };
    let mut store = Store::create(&new, &process).unwrap();
    // An info has no cells, so that there is nothing but the catalog.
    let family = Family {
        metric_type: MetricType::Info,
        mode: Mode::All,
        name: "build".into(),
        help: "".into(),
        unit: "".into(),
        label_names: vec!["text".into(), "twice".into()],
        bounds: Vec::new(),
        states: Vec::new(),
        is_bare: false,
    };
    let number = store.add_family(&family).unwrap();
    let told = io::stdin().lines();
    for record in told.flat_map(|_| 0..RECORDS) {
        let text = format!("{record}-").repeat(record % 7 + 1);
        let series = Series {
            family: number,
            cell: 0,
            created: 0,
            label_values: vec![text.as_str().into(), text.repeat(2).into()],
            extra_labels: Vec::new(),
        };
        store.add_series(series, &family).unwrap();
    }
}

fn is_whole(series: &Series) -> bool {
    let [text, twice] = &series.label_values[..] else {
        return false;
    };
    !text.is_empty() && **twice == *text.repeat(2)
}

fn assert_whole(series: &Series) {
    assert!(is_whole(series), "{series:?}");
}

/// A reader that does what the specification forbids: it reads the records first, and then how many
/// of them are published.
struct Control {
    /// How far it has come.
    used: u64,
    record: u64,
    segment_end: u64,
    buffer: PageBuffer,
    partial: usize,
}

impl Control {
    fn new() -> Control {
        Control {
            used: 0,
            record: CATALOG_OFFSET,
            segment_end: FIRST_SEGMENT_END,
            buffer: PageBuffer::new(),
            partial: 0,
        }
    }

    fn pass(&mut self, file: &File) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let end = self.segment_end.min(self.record + CONTROL_BYTES);
        let mut records = buffer.read(file, self.record, end).unwrap();
        let mut used = [0; 8];
        file.read_exact_at(&mut used, USED_OFFSET).unwrap();
        let used = u64::from_le_bytes(used);
        while self.used < used && records.len() >= RECORD_HEADER_BYTES {
            match self.record(records) {
                ControlFlow::Continue(length) => records = &records[length..],
                ControlFlow::Break(()) => break,
            }
        }
        self.buffer = buffer;
    }

    /// The length of the record that `records` begin with, unless nothing follows it there or it is
    /// not whole; the next pass tries that again.
    fn record(&mut self, records: &[u8]) -> ControlFlow<(), usize> {
        let header: &[u8; RECORD_HEADER_BYTES] = records.first_chunk().unwrap();
        let [length, kind] = [0, 4].map(|at| {
            let bytes = header[at..].first_chunk().unwrap();
            u32::from_le_bytes(*bytes)
        });
        if length as usize > records.len() {
            return ControlFlow::Break(());
        }
        let body = records.get(RECORD_HEADER_BYTES..length as usize);
        match body.and_then(|body| Record::decode(kind, body).ok()) {
            Some(Record::Segment { offset, length }) => {
                (self.record, self.segment_end) = (offset, offset + length);
                self.used += 24;
                return ControlFlow::Break(());
            }
            Some(Record::Family(_)) => {}
            Some(Record::Series(series)) if is_whole(&series) => {}
            _ => {
                self.partial += 1;
                return ControlFlow::Break(());
            }
        }
        self.record += u64::from(length);
        self.used += u64::from(length);
        ControlFlow::Continue(length as usize)
    }
}

/// This very test, as a process of its own; killed on drop.
struct Writer {
    child: Child,
    directory: PathBuf,
}

impl Writer {
    fn start(parent: &Path) -> Writer {
        let name = format!("headcount-publication-{}", std::process::id());
        let directory = parent.join(name);
        fs::create_dir(&directory).unwrap();
        let child = Command::new(env::current_exe().unwrap())
            .args(["each_record_that_is_published_is_whole", "--exact"])
            .env(DIRECTORY, &directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Writer { child, directory }
    }

    /// Its store, once it has one.
    fn store(&mut self) -> PathBuf {
        let deadline = Instant::now() + WATCHDOG;
        loop {
            let entries = fs::read_dir(&self.directory).unwrap();
            let mut paths = entries.map(|entry| entry.unwrap().path());
            let store = paths.find(|path| path.extension().is_some_and(|end| end == "store"));
            if let Some(store) = store.filter(|path| is_named(path)) {
                return store;
            }
            assert!(Instant::now() < deadline, "no store");
            self.assert_lives();
            thread::yield_now();
        }
    }

    /// Has it append.
    fn go(&mut self) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(b"\n").unwrap();
    }

    fn assert_lives(&mut self) {
        let status = self.child.try_wait().unwrap();
        assert!(status.is_none(), "{status:?}");
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Not the name under which it is made.
fn is_named(store: &Path) -> bool {
    let name = store.file_name().unwrap_or_default();
    !name.as_encoded_bytes().starts_with(b".")
}

/// Tells the writer where to write.
const DIRECTORY: &str = "HEADCOUNT_PUBLICATION_DIR";

/// More of them where the machine is busy.
const BURSTS: usize = 500;
const LEAST_MET: usize = 100;

/// In each burst.
const RECORDS: usize = 200;
const LEAST_PARTIAL: usize = 20;

/// What the control reads at a time: little, so that it keeps up.
const CONTROL_BYTES: u64 = 16_384;
const WATCHDOG: Duration = Duration::from_secs(120);
