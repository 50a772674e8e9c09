//! What the fuzz targets run, and `hostile` too: any bytes as a file of a pool.
//!
//! Each function panics if the bytes do more than cost themselves. It knows nothing of how the
//! bytes were found, and uses nothing but this file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use headcount_collect::collector::{Collection, Collector};
use headcount_collect::exposition::{Format, encode};
use headcount_collect::report::{FileState, Liveness};
use headcount_format::StoreReader;
use headcount_format::identity::{BootId, Incarnation};
use headcount_format::layout::{HEADER_BYTES, Header, LockKind, Role, file_name};

/// A directory for the files of one run after another.
#[derive(Debug)]
pub(crate) struct Bench(PathBuf);

impl Bench {
    /// In memory where there is such a place; `name` is nobody else's.
    pub(crate) fn new(name: &str) -> Bench {
        let shared_memory = Path::new("/dev/shm");
        let parent = match shared_memory.is_dir() {
            true => shared_memory.to_owned(),
            false => std::env::temp_dir(),
        };
        let path = parent.join(format!("headcount-{name}-{}", std::process::id()));
        // An earlier run that was killed may have had the same pid.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a directory can be made");
        fs::write(path.join("counter_77.db"), sibling()).expect("a file can be written");
        Bench(path)
    }

    /// A new file, so that nothing is left of the run before.
    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        self.take(name);
        fs::write(&path, bytes).expect("a file can be written");
        path
    }

    fn take(&self, name: &str) {
        let _ = fs::remove_file(self.0.join(name));
    }

    fn collector(&self) -> Collector {
        let mut collector = Collector::new();
        collector.add_directory(&self.0);
        collector
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The bytes as a store: as they are, and behind a header that is right.
pub(crate) fn store(bench: &Bench, bytes: &[u8]) {
    read_store(bench, bytes);
    if let Some(rest) = bytes.get(HEADER_BYTES as usize..) {
        let header = Header {
            incarnation: Incarnation([7; 16]),
            boot: BootId::default(),
            started: 1,
            pid: 1,
            role: Role::Worker,
            lock: LockKind::Missing,
        };
        let mut whole = header.encode().to_vec();
        whole.extend_from_slice(rest);
        read_store(bench, &whole);
    }
}

/// The bytes as files of prometheus_client: of every type, first a half of them and then all.
pub(crate) fn python(bench: &Bench, bytes: &[u8]) {
    let mut collector = bench.collector();
    for length in [bytes.len() / 2, bytes.len()] {
        for name in PYTHON_NAMES {
            let path = bench.0.join(name);
            match fs::exists(&path) {
                // In place, as a worker writes.
                Ok(true) => fs::write(&path, &bytes[..length]).expect("a file can be written"),
                _ => drop(bench.put(name, &bytes[..length])),
            }
        }
        look(&mut collector);
        look(&mut bench.collector());
    }
    for name in PYTHON_NAMES {
        bench.take(name);
    }
    look(&mut collector);
}

fn read_store(bench: &Bench, bytes: &[u8]) {
    let path = bench.put(".store", bytes);
    let file = File::open(&path).expect("a file can be opened");
    let Ok(mut reader) = StoreReader::open(&file) else {
        return;
    };
    for _ in 0..2 {
        // Whether it succeeds is the bytes' affair.
        let _ = reader.refresh(&file);
        let cells = reader.additive().chain(reader.registers());
        let count: usize = cells.map(|block| block.words.len()).sum();
        assert!(8 * count <= bytes.len(), "more cells than there are bytes");
        for series in reader.catalog().series() {
            reader.stamped(series.cell);
        }
    }
    let name = file_name(reader.header().incarnation);
    bench.put(&name, bytes);
    let mut collector = bench.collector();
    look(&mut collector);
    look(&mut collector);
    bench.take(&name);
    look(&mut collector);
}

/// A pass: every exposition is written, and the sibling is in it.
fn look(collector: &mut Collector) {
    let collection = collector.collect(|_| Liveness::Unknown);
    for format in [Format::Text, Format::OpenMetrics, Format::Json] {
        let mut text = Vec::new();
        encode(&collection.families, format, &mut text);
        let text = String::from_utf8(text).expect("an exposition is UTF-8");
        assert!(text.contains(SIBLING), "the sibling is missing in {text}");
    }
    let is_good = |collection: &Collection| {
        let own =
            |file: &&headcount_collect::report::FileReport| file.path.ends_with("counter_77.db");
        let sibling = collection.files.iter().find(own);
        sibling.is_some_and(|file| matches!(file.state, FileState::Good))
    };
    assert!(is_good(&collection), "{:?}", collection.files);
}

/// A file of prometheus_client with one counter.
fn sibling() -> Vec<u8> {
    let key = format!(r#"["{SIBLING}", "{SIBLING}_total", {{}}, "Served."]"#);
    let mut bytes = vec![0; 8];
    bytes.extend((key.len() as u32).to_le_bytes());
    bytes.extend(key.as_bytes());
    bytes.push(b' ');
    while !bytes.len().is_multiple_of(8) {
        bytes.push(b' ');
    }
    bytes.extend(7.0_f64.to_le_bytes());
    bytes.extend([0; 8]);
    let used = bytes.len() as u32;
    bytes[..4].copy_from_slice(&used.to_le_bytes());
    bytes
}

const PYTHON_NAMES: [&str; 4] = [
    "counter_1.db",
    "gauge_all_1.db",
    "gauge_mostrecent_1.db",
    "histogram_1.db",
];

/// A name that nobody finds by turning bits.
const SIBLING: &str = "sibling_6f1d2c";
