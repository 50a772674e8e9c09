//! What the fuzz targets run, and `hostile` too: any bytes as files of a pool.
//!
//! Each function panics if the bytes do more than cost themselves. It knows nothing of how the
//! bytes were found, and uses nothing but this file.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use headcount_collect::collector::{Collection, Collector};
use headcount_collect::exposition::{Format, encode};
use headcount_collect::parser;
use headcount_collect::report::{FileState, Liveness};
use headcount_format::StoreReader;
use headcount_format::identity::{BootId, Incarnation};
use headcount_format::layout::{HEADER_BYTES, Header, LEDGER_NAME, LockKind, Role, file_name};

/// A file of a pool: its name, and what it holds.
pub(crate) type Planted<'a> = (&'a str, &'a [u8]);

/// A directory for the files of one run after another, beside a sibling that nothing is done to.
#[derive(Debug)]
pub(crate) struct Bench {
    directory: PathBuf,
    /// Runs a pass, which may be watched.
    around: fn(&mut dyn FnMut()),
}

impl Bench {
    /// In memory where there is such a place; `name` is nobody else's.
    pub(crate) fn new(name: &str) -> Bench {
        Bench::watched(name, |pass| pass())
    }

    /// The same, with every pass run by `around`.
    pub(crate) fn watched(name: &str, around: fn(&mut dyn FnMut())) -> Bench {
        let shared_memory = Path::new("/dev/shm");
        let parent = match shared_memory.is_dir() {
            true => shared_memory.to_owned(),
            false => std::env::temp_dir(),
        };
        let directory = parent.join(format!("headcount-{name}-{}", std::process::id()));
        // An earlier run that was killed may have had the same pid.
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir(&directory).expect("a directory can be made");
        Bench { directory, around }
    }

    /// One collector over one step after another: each writes files as their workers do, in place,
    /// and a pass follows it; at last all of them are gone. The sibling counts on at each step.
    pub(crate) fn run(&self, steps: &[Vec<Planted<'_>>]) {
        let mut collector = self.collector();
        let mut count = FIRST_COUNT;
        for step in steps {
            for &(name, bytes) in step {
                self.write(name, bytes);
            }
            self.look(&mut collector, count);
            count += 1.0;
        }
        for &(name, _) in steps.iter().flatten() {
            self.take(name);
        }
        self.look(&mut collector, count);
    }

    /// A file that grows: a half of each, then more of it, then all; and all of it at once.
    pub(crate) fn grow(&self, files: &[Planted<'_>]) {
        let steps = [2, 3, 4].map(|quarters| shares(files, quarters));
        self.run(&steps);
        self.run(&[files.to_vec()]);
    }

    pub(crate) fn collector(&self) -> Collector {
        let mut collector = Collector::new();
        collector.add_directory(&self.directory);
        collector
    }

    /// A pass: every exposition is written and sound, and the sibling is in it with `count`.
    pub(crate) fn look(&self, collector: &mut Collector, count: f64) {
        self.write(SIBLING_FILE, &sibling(count));
        self.write(SIBLING_TEXT_FILE, sibling_text(count).as_bytes());
        let mut found = None;
        (self.around)(&mut || found = Some(pass(collector)));
        let (collection, texts) = found.expect("a pass was made");
        check(&collection, texts, count);
    }

    /// Writes into the file that there is, or into a new one, without a moment in which it is
    /// empty.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let mut options = File::options();
        let options = options.write(true).create(true).truncate(false);
        let written = options
            .open(self.directory.join(name))
            .and_then(|file| -> io::Result<()> {
                file.write_all_at(bytes, 0)?;
                file.set_len(bytes.len() as u64)
            });
        written.expect("a file can be written");
    }

    pub(crate) fn take(&self, name: &str) {
        let _ = fs::remove_file(self.directory.join(name));
    }

    fn read_store(&self, bytes: &[u8]) {
        self.write(".store", bytes);
        let file = File::open(self.directory.join(".store")).expect("a file can be opened");
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
        self.run(&[vec![(&name, bytes)], vec![(&name, bytes)]]);
    }

    /// The bytes as a ledger: what it holds is the sidecar's own word, so that it may say anything
    /// of the sibling too, and what is written out is sound all the same.
    fn read_ledger(&self, bytes: &[u8]) {
        self.write(LEDGER_NAME, bytes);
        let mut collector = self.collector();
        (self.around)(&mut || {
            for _ in 0..2 {
                let (collection, [text, ..]) = pass(&mut collector);
                let text = String::from_utf8(text).expect("an exposition is UTF-8");
                assert!(collection.directories[0].error.is_none());
                assert!(text.is_empty() || text.ends_with('\n'));
            }
        });
        self.take(LEDGER_NAME);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The bytes as a store: as they are, and behind a header that is right.
pub(crate) fn store(bench: &Bench, bytes: &[u8]) {
    bench.read_store(bytes);
    bench.read_store(&with_header(bytes, Incarnation([7; 16])));
    bench.read_ledger(bytes);
    bench.read_ledger(&headed(bytes, Incarnation([7; 16]), Role::Ledger));
}

/// The bytes as files of prometheus_client, of every release: their content tells which.
pub(crate) fn python(bench: &Bench, bytes: &[u8]) {
    bench.grow(&PYTHON_NAMES.map(|name| (name, bytes)));
}

/// The bytes as files of GitLab's client, and of Vinted's fork.
pub(crate) fn gitlab(bench: &Bench, bytes: &[u8]) {
    bench.grow(&GITLAB_NAMES.map(|name| (name, bytes)));
}

/// The bytes as files of a DirectFileStore, with and without times.
pub(crate) fn direct(bench: &Bench, bytes: &[u8]) {
    bench.grow(&DIRECT_NAMES.map(|name| (name, bytes)));
}

/// The bytes as a text file.
pub(crate) fn text(bench: &Bench, bytes: &[u8]) {
    bench.grow(&[("text.prom", bytes)]);
}

/// The bytes as several files of all dialects: of each a byte that tells the name, two with its
/// length, and its content. A name that comes again is the same file, written over.
pub(crate) fn pool(bench: &Bench, bytes: &[u8]) {
    let names = [&PYTHON_NAMES[..], &GITLAB_NAMES, &DIRECT_NAMES, &TEXT_NAMES];
    let names = names.concat();
    let store = file_name(Incarnation([7; 16]));
    let mut stores = Vec::new();
    let mut files = Vec::new();
    let mut rest = bytes;
    while let Some((&[number, low, high], content)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([low, high])).min(content.len());
        let (content, next) = content.split_at(length);
        match names.get(usize::from(number) % (names.len() + 1)) {
            Some(name) => files.push((*name, content)),
            None => stores.push(with_header(content, Incarnation([7; 16]))),
        }
        rest = next;
    }
    files.extend(stores.iter().map(|content| (&*store, &**content)));
    bench.grow(&files);
}

/// So many quarters of each file.
pub(crate) fn shares<'a>(files: &[Planted<'a>], quarters: usize) -> Vec<Planted<'a>> {
    let share = |&(name, bytes): &Planted<'a>| (name, &bytes[..bytes.len() * quarters / 4]);
    files.iter().map(share).collect()
}

/// The bytes with a header of a store, in the place of what they begin with.
pub(crate) fn with_header(bytes: &[u8], incarnation: Incarnation) -> Vec<u8> {
    headed(bytes, incarnation, Role::Worker)
}

fn headed(bytes: &[u8], incarnation: Incarnation, role: Role) -> Vec<u8> {
    let header = Header {
        incarnation,
        boot: BootId::default(),
        started: 1,
        pid: 1,
        role,
        lock: LockKind::Missing,
    };
    let mut whole = header.encode().to_vec();
    whole.extend_from_slice(bytes.get(HEADER_BYTES as usize..).unwrap_or(&[]));
    whole
}

type Texts = [Vec<u8>; 3];

fn pass(collector: &mut Collector) -> (Collection, Texts) {
    let collection = collector.collect(|_| Liveness::Unknown);
    let texts = [Format::Text, Format::OpenMetrics, Format::Json].map(|format| {
        let mut text = Vec::new();
        encode(&collection.families, format, &mut text);
        text
    });
    (collection, texts)
}

fn check(collection: &Collection, texts: Texts, count: f64) {
    let [text, open_metrics, json] = texts.map(|text| {
        let text = String::from_utf8(text);
        text.expect("an exposition is UTF-8")
    });
    let is_about = |line: &str| line.starts_with('#') && line.contains('\0');
    assert!(!text.lines().any(is_about), "Prometheus refuses {text:?}");
    // In a label's value it takes a zero byte, which our parser does not.
    let document = parser::parse(text.replace('\0', "\u{10f8ab}\u{10f8ac}").as_bytes());
    assert!(
        document.errors.is_empty(),
        "{:?} in {text}",
        document.errors
    );
    assert!(!document.is_cut);
    assert!(open_metrics.ends_with("\n# EOF\n"));
    for name in [SIBLING, SIBLING_TEXT] {
        let line = format!("\n{name}_total {count:?}\n");
        assert!(text.contains(&line), "no {line:?} in {text}");
        assert!(
            open_metrics.contains(&line),
            "no {line:?} in {open_metrics}"
        );
        assert!(json.contains(name), "no {name} in {json}");
    }
    for name in [SIBLING_FILE, SIBLING_TEXT_FILE] {
        let own = |file: &&headcount_collect::report::FileReport| file.path.ends_with(name);
        let sibling = collection.files.iter().find(own);
        let is_good = sibling.is_some_and(|file| matches!(file.state, FileState::Good));
        assert!(is_good, "{:?}", collection.files);
    }
}

/// A file of prometheus_client with one counter.
fn sibling(count: f64) -> Vec<u8> {
    let key = format!(r#"["{SIBLING}", "{SIBLING}_total", {{}}, "Served."]"#);
    let mut bytes = vec![0; 8];
    bytes.extend((key.len() as u32).to_le_bytes());
    bytes.extend(key.as_bytes());
    bytes.push(b' ');
    while !bytes.len().is_multiple_of(8) {
        bytes.push(b' ');
    }
    bytes.extend(count.to_le_bytes());
    bytes.extend([0; 8]);
    let used = bytes.len() as u32;
    bytes[..4].copy_from_slice(&used.to_le_bytes());
    bytes
}

fn sibling_text(count: f64) -> String {
    format!("# TYPE {SIBLING_TEXT}_total counter\n{SIBLING_TEXT}_total {count}\n")
}

const PYTHON_NAMES: [&str; 5] = [
    "counter_1.db",
    "gauge_all_1.db",
    "gauge_mostrecent_1.db",
    "histogram_1.db",
    "summary_1.db",
];

const GITLAB_NAMES: [&str; 5] = [
    "counter_puma_1-0.db",
    "exemplar_puma_1-0.db",
    "gauge_livesum_puma_1-0.db",
    "histogram_puma_1-0.db",
    "summary_puma_1-0.db",
];

const DIRECT_NAMES: [&str; 3] = [
    "metric_jobs_total___301.bin",
    "metric_level_all___301.bin",
    "metric_took_seconds___301.bin",
];

const TEXT_NAMES: [&str; 2] = ["one.prom", "two.prom"];

/// Names that nobody finds by turning bits.
const SIBLING: &str = "sibling_6f1d2c";
const SIBLING_TEXT: &str = "sibling_text_6f1d2c";
const SIBLING_FILE: &str = "counter_77.db";
const SIBLING_TEXT_FILE: &str = "sibling.prom";

/// What the sibling has counted at the first pass of a collector.
pub(crate) const FIRST_COUNT: f64 = 7.0;
