//! 200,000 mutations of real files, the same at each run, and what they may cost at most.
//!
//! Owns how many there are of each kind, and the bound on memory. What holds at each pass is in
//! `entry`, which the fuzz targets run too.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::allocator;
use crate::entry::{self, Bench, FIRST_COUNT, Planted, shares};
use crate::pool::Pool;
use crate::seeds::{Random, Seed, seeds, seeds_of};

/// Mutated files that grow between passes: a half, three quarters, all; or are there at once.
const GROWING: usize = 150_000;
/// Mutated files that another mutation is written over, in place.
const CHANGING: usize = 30_000;
/// Mutated files that a thread writes while the collector reads.
const RACING: usize = 20_000;
const _: () = assert!(GROWING + CHANGING + RACING == 200_000);

/// How many mutated files lie in the directory at a time; a pass over one costs as much as one over
/// fifty, but for what is in them.
const AT_ONCE: usize = 50;

/// Hangs are failures, slowness is not.
const WATCHDOG: Duration = Duration::from_secs(900);

/// What a pass may have in memory at most, for each byte of the files, the collector's own and the
/// expositions' included: what is known of a series, beside its text, is some 600 bytes, and real
/// files have an entry for every 50 bytes or more. Found: 20.3.
const OF_REAL: usize = 24;

/// The same where each entry is as small as it can be, and of a family of its own, of which 1,300
/// bytes are known: the smallest has 40. Found: 33.3.
const OF_ENTRIES: usize = 40;

/// The same of a text, whose smallest line with a family of its own has six bytes here, and of which
/// the document, the family, its cell and what is written of it have 2,000. Found: 330.
const OF_TEXT: usize = 360;

/// What a pass has over an empty directory: the siblings, and a page to read into.
const OF_NOTHING: usize = 64 << 10;

// [dialect.hostile] [merge.file.damage]
#[test]
fn mutated_files_that_grow_cost_themselves() {
    halves(GROWING, "growing", 1, |files, batch| {
        let files: Vec<Planted<'_>> = planted(files).collect();
        match batch % 2 {
            0 => [2, 3, 4].map(|quarters| shares(&files, quarters)).into(),
            _ => vec![files],
        }
    });
}

// [dialect.hostile] [merge.file.damage] [python.overwritten]
#[test]
fn mutated_files_that_change_cost_themselves() {
    halves(CHANGING, "changing", 2, |files, _| {
        let (one, other) = (planted(files).step_by(2), planted(files).skip(1).step_by(2));
        vec![one.clone().collect(), other.collect(), one.collect()]
    });
}

// [dialect.hostile] [merge.file.damage]
#[test]
fn mutated_files_that_are_being_written_cost_themselves() {
    watched(|| {
        let bench = Bench::new("hostile-racing");
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let (seeds, mut random) = (seeds(), Random(0x2545_f491_4f6c_dd1d));
                for first in (0..RACING).step_by(AT_ONCE) {
                    for (name, bytes) in mutations(&seeds, &mut random, first, 1) {
                        bench.write(&name, &bytes[..bytes.len() / 2]);
                        bench.write(&name, &bytes);
                        // Some go, and some stay to be written over.
                        if bytes.len().is_multiple_of(3) {
                            bench.take(&name);
                        }
                    }
                }
                is_over.store(true, Ordering::Release);
            });
            while !is_over.load(Ordering::Acquire) {
                let mut collector = bench.collector();
                for step in 0..20 {
                    bench.look(&mut collector, FIRST_COUNT + f64::from(step));
                }
            }
        });
    });
}

// [dialect.hostile]
#[test]
fn the_seeds_of_every_fuzz_target_cost_themselves() {
    watched(|| {
        let targets: [(&str, Target); 6] = [
            ("direct", entry::direct),
            ("gitlab", entry::gitlab),
            ("pool", entry::pool),
            ("python", entry::python),
            ("store", entry::store),
            ("text", entry::text),
        ];
        for (target, run) in targets {
            let bench = Bench::new(&format!("hostile-seeds-{target}"));
            for bytes in seeds_of(target) {
                run(&bench, &bytes);
            }
        }
    });
}

// [dialect.hostile]
#[test]
fn the_smallest_entries_cost_no_more_than_any() {
    watched(|| {
        for (name, bytes) in dearest() {
            let bench = Bench::watched(&format!("hostile-{name}"), measured);
            let multiple = match name.ends_with(".prom") {
                true => OF_TEXT,
                false => OF_ENTRIES,
            };
            within_bound(multiple * bytes.len(), || {
                bench.run(&[vec![(name, &bytes)]])
            });
        }
    });
}

// [dialect.hostile]
//
// A file of 512 MiB that occupies one page, and says that all of it is in use: whoever can write
// into the directory could otherwise have the sidecar killed for want of memory.
#[test]
fn a_hole_costs_no_memory() {
    let mut pool = Pool::new();
    let bytes: u32 = 256 << 20;
    for name in ["counter_1.db", "metric_a___1.bin"] {
        pool.directory.write(name, &bytes.to_le_bytes());
        pool.directory.truncate(name, bytes.into());
    }
    allocator::reset_peak();
    let before = allocator::live();
    pool.pass();
    let grown = allocator::peak() - before;
    assert!(grown < 4 << 20, "{grown} bytes");
}

type Target = fn(&Bench, &[u8]);
type Files = Vec<(String, Vec<u8>)>;

/// What is done with mutated files: what is written before each pass. It is told how many batches
/// went before.
type Plan = for<'a> fn(&'a [(String, Vec<u8>)], usize) -> Vec<Vec<Planted<'a>>>;

/// Has `plan` for every batch of `count` mutations, `same` of which have one name and one seed; a
/// half of them on a thread of its own.
fn halves(count: usize, name: &'static str, same: usize, plan: Plan) {
    watched(move || {
        thread::scope(|scope| {
            for half in 0..2 {
                scope.spawn(move || {
                    let bench = Bench::watched(&format!("hostile-{name}-{half}"), measured);
                    let (seeds, mut random) = (seeds(), Random(0x9e37_79b9_7f4a_7c15 + half));
                    let first = (0..count).step_by(AT_ONCE).enumerate();
                    for (batch, first) in first.filter(|(batch, _)| batch / 2 % 2 == half as usize)
                    {
                        let files = mutations(&seeds, &mut random, first, same);
                        let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
                        let steps = plan(&files, batch);
                        within_bound(OF_REAL * bytes, || bench.run(&steps));
                    }
                });
            }
        });
    });
}

/// The mutations from `first` on that lie in the directory at a time; each seed and each kind of
/// damage has its turn.
fn mutations(seeds: &[Seed], random: &mut Random, first: usize, same: usize) -> Files {
    let mutated = (first..first + AT_ONCE).map(|number| {
        let seed = &seeds[number / same % seeds.len()];
        // Another kind each time that it is the seed's turn.
        let kind = number + number / seeds.len();
        let bytes = random.mutation(seeds, seed, kind);
        let name = u32::try_from(number / same).expect("there are not so many");
        seed.plant(name, bytes, random.below(4) > 0)
    });
    mutated.collect()
}

fn planted(files: &[(String, Vec<u8>)]) -> impl Iterator<Item = Planted<'_>> + Clone {
    files.iter().map(|(name, bytes)| (&**name, &**bytes))
}

/// Files of the smallest entries that there are, each of another series or family.
fn dearest() -> [(&'static str, Vec<u8>); 5] {
    let letters = || {
        let letters = || b'a'..=b'z';
        let words = letters().flat_map(move |one| letters().map(move |two| [one, two]));
        words.flat_map(move |[one, two]| {
            letters().map(move |three| [one, two, three].map(char::from))
        })
    };
    let words: Vec<String> = letters()
        .map(|word| word.iter().collect())
        .take(4000)
        .collect();
    let entry = |key: &str, padded: usize, is_counted: bool, value_bytes: usize| {
        let length = if is_counted { padded } else { key.len() };
        let mut bytes = u32::try_from(length)
            .expect("a key is short")
            .to_le_bytes()
            .to_vec();
        bytes.extend(format!("{key:<padded$}").bytes());
        bytes.resize(bytes.len() + value_bytes, 0);
        bytes
    };
    let file = |entries: &dyn Fn(&str) -> Vec<u8>| {
        let mut bytes = vec![0; 8];
        bytes.extend(words.iter().flat_map(|word| entries(word)));
        let used = u32::try_from(bytes.len()).expect("a file is short");
        bytes[..4].copy_from_slice(&used.to_le_bytes());
        bytes
    };
    let text: String = words.iter().map(|word| format!("{word} 1\n")).collect();
    [
        // 16 bytes for a series of a counter.
        (
            "metric_a_total___1.bin",
            file(&|word| entry(&format!("{}={}", &word[..1], &word[1..2]), 4, true, 8)),
        ),
        (
            "metric_b_total___1.bin",
            file(&|word| entry(&format!("{word}="), 12, true, 8)),
        ),
        // 32 bytes for a family with a gauge of one worker.
        (
            "gauge_all_1.db",
            file(&|word| entry(&format!(r#"["{word}","{word}",[],[]]"#), 28, false, 8)),
        ),
        (
            "histogram_1.db",
            file(&|word| entry(&format!(r#"["{word}", "{word}_sum", {{}}]"#), 28, false, 8)),
        ),
        // Six bytes for a family.
        ("dearest.prom", text.into_bytes()),
    ]
}

thread_local! {
    /// What was live before a run, and the most that any of its passes has had beside it.
    static BEFORE: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

/// Notes how much memory a pass has, with all that the collector keeps, and the expositions.
fn measured(pass: &mut dyn FnMut()) {
    allocator::reset_peak();
    pass();
    let own = allocator::peak() - BEFORE.get();
    MOST.set(MOST.get().max(own));
}

/// Asserts that no pass of a run has more memory than so many bytes, and what nothing costs.
fn within_bound(bytes: usize, run: impl FnOnce()) {
    BEFORE.set(allocator::live());
    MOST.set(0);
    run();
    let most = MOST.get().unsigned_abs();
    let bound = bytes + OF_NOTHING;
    assert!(
        most <= bound,
        "a pass had {most} bytes, and {bound} is the bound"
    );
}

/// Runs `work` on a thread of its own, and fails if it does not end.
fn watched(work: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let worker = thread::spawn(move || {
        work();
        let _ = done.send(());
    });
    match ended.recv_timeout(WATCHDOG) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("a mutated file made the collector hang"),
        _ => worker.join().expect("no run panics"),
    }
}
