//! Whether a word can be read half old and half new: not in the shape in which stores are read, and
//! often in others, which is how this test knows that it would notice.
//!
//! Nothing but measurement says so: no manual promises that a kernel's copy keeps a word whole. So
//! it is measured wherever the tests run.
#![cfg(all(target_os = "linux", not(loom)))]
#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use headcount_format::layout::Role;
use headcount_format::record::{Family, Series};
use headcount_format::{MetricType, Mode, NewStore, PerProcess, Store, StoreReader};

// [store.read.aligned]
#[test]
fn no_word_is_ever_read_half_written() {
    // One after the other, since each needs two cores.
    for parent in ["/dev/shm", env!("CARGO_TARGET_TMPDIR")] {
        check(Path::new(parent));
    }
}

fn check(parent: &Path) {
    let cores = thread::available_parallelism().unwrap().get();
    assert!(
        cores > 1,
        "a word is torn only where one core writes while another reads, and there is one core here"
    );
    let pool = Pool::new(parent);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
        scope.spawn(|| flip(pool.cells(), &stop));
        let torn = positive_control(&pool);
        let words = (FACTOR * torn.words / torn.tears).max(LEAST_WORDS);
        let whole = read_as_stores_are_read(&pool, words);
        assert_eq!(
            whole.tears, 0,
            "of {} words; control: {torn:?}",
            whole.words
        );
    });
}

/// Writes one value into all cells, then the other, and so on.
fn flip(cells: &[AtomicU64], stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        for value in VALUES {
            for cell in cells {
                // Relaxed: a plain aligned store, as that of a counter.
                cell.store(value.to_le(), Ordering::Relaxed);
            }
        }
    }
}

/// Reads in shapes that no store is read in, until enough words were torn.
fn positive_control(pool: &Pool) -> Seen {
    let mut bytes = vec![0; 8 * CELLS + 64];
    // From here on the memory is aligned as that of a reader.
    let start = bytes.as_ptr().align_offset(64);
    let deadline = Instant::now() + WATCHDOG;
    let mut seen = Seen::default();
    while seen.tears < ENOUGH_TEARS {
        for (file_offset, memory_offset) in WRONG_SHAPES {
            let count = CELLS - 1;
            let into = &mut bytes[start + memory_offset..][..8 * count];
            let at = pool.offset + file_offset as u64;
            pool.file.read_exact_at(into, at).unwrap();
            // The first word that is there from its first byte on.
            let skipped = (8 - file_offset) % 8;
            for word in into[skipped..].as_chunks::<8>().0 {
                seen.check(u64::from_le_bytes(*word));
            }
        }
        if cfg!(not(target_arch = "x86_64")) {
            // Other kernels may align what they read from; two halves are two reads anywhere.
            for cell in 0..CELLS as u64 {
                let mut word = [0; 8];
                let (low, high) = word.split_at_mut(4);
                pool.file
                    .read_exact_at(low, pool.offset + 8 * cell)
                    .unwrap();
                pool.file
                    .read_exact_at(high, pool.offset + 8 * cell + 4)
                    .unwrap();
                seen.check(u64::from_le_bytes(word));
            }
        }
        assert!(
            Instant::now() < deadline,
            "the control saw {seen:?}, and a test that sees no tear proves nothing; are two cores \
             free?"
        );
    }
    seen
}

/// Reads so many words as a collector does.
fn read_as_stores_are_read(pool: &Pool, words: u64) -> Seen {
    let mut reader = StoreReader::open(&pool.file).unwrap();
    let mut seen = Seen::default();
    // Passes that met the writer on its way from one value to the other.
    let mut mixed = 0;
    while seen.words < words || mixed < LEAST_MIXED {
        reader.refresh(&pool.file).unwrap();
        let block = reader.additive().last().unwrap();
        let cells = &block.words[..CELLS];
        for &word in cells {
            seen.check(u64::from_le(word));
        }
        mixed += u64::from(cells.iter().any(|word| *word != cells[0]));
    }
    seen
}

#[derive(Debug, Default)]
struct Seen {
    words: u64,
    tears: u64,
}

impl Seen {
    fn check(&mut self, word: u64) {
        self.words += 1;
        self.tears += u64::from(word != VALUES[0] && word != VALUES[1]);
    }
}

/// A store with one large histogram.
struct Pool {
    directory: PathBuf,
    store: Store,
    /// Where its cells begin, in bytes from the start of the file.
    offset: u64,
    /// Open for reading, as a collector has it.
    file: File,
    _process: PerProcess<()>,
}

impl Pool {
    fn new(parent: &Path) -> Pool {
        let directory = parent.join(format!("headcount-tearing-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let process = PerProcess::new().unwrap();
        process.get_or_init(|| ());
        let new = NewStore {
            directory: &directory,
            labels: &[],
            started: 0,
            role: Role::Worker,
        };
        let mut store = Store::create(&new, &process).unwrap();
        let family = Family {
            metric_type: MetricType::Histogram,
            mode: Mode::All,
            name: "seconds".into(),
            help: "".into(),
            unit: "".into(),
            label_names: Vec::new(),
            // Beside the buckets there are the sum and the bucket above the last bound.
            bounds: (0..CELLS - 2).map(|bound| bound as f64).collect(),
            states: Vec::new(),
            is_bare: false,
        };
        let number = store.add_family(&family).unwrap();
        let series = Series {
            family: number,
            cell: 0,
            created: 0,
            label_values: Vec::new(),
            extra_labels: Vec::new(),
        };
        let offset = store.add_series(series, &family).unwrap().offset;
        let pool = Pool {
            file: File::open(store.path()).unwrap(),
            directory,
            store,
            offset,
            _process: process,
        };
        for cell in pool.cells() {
            cell.store(VALUES[0].to_le(), Ordering::Relaxed);
        }
        pool
    }

    fn cells(&self) -> &[AtomicU64] {
        self.store.memory().cells(self.offset, CELLS)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Any mixture of the two shows, whichever bytes it has from which.
const VALUES: [u64; 2] = [0x1111_1111_2222_2222, 0xaaaa_aaaa_bbbb_bbbb];

/// Offsets in the file and in memory, not both of which are multiples of eight.
const WRONG_SHAPES: [(usize, usize); 3] = [(4, 0), (0, 1), (0, 19)];

const CELLS: usize = 512;
const ENOUGH_TEARS: u64 = 20;

/// In so many words as are read in the right shape, a wrong one would be torn so often.
const FACTOR: u64 = 50;
const LEAST_WORDS: u64 = 50_000_000;
const LEAST_MIXED: u64 = 1000;
const WATCHDOG: Duration = Duration::from_secs(120);
