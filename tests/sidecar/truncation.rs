//! Files that are cut off and lengthened again while they are read, thousands of times: the sidecar
//! lives, answers each scrape, and no counter falls.
//!
//! The files are those of workers that are gone: what maps a file dies of its truncation, and so
//! would a worker. The sidecar maps none.
#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::pool::worker;
use crate::support::exposition::{Exposition, number};
use crate::support::files;
use crate::support::http::Connection;
use crate::support::python::Corpus;
use crate::support::sidecar::Sidecar;

// [store.read] [store.read.size]
#[test]
fn no_truncation_at_any_moment_ends_the_sidecar_or_lets_a_counter_fall() {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = seed.as_nanos() as u64 | 1;
    let mut pool = Corpus::start("pool");
    pool.end_workers();
    for _ in 0..STORES {
        let mut dead = worker::start(&pool.directory, "");
        worker::tell(&mut dead, "work 50");
        worker::tell(&mut dead, "observe 1,2,4 0.5,3,3");
        dead.kill();
    }
    let victims = Victim::all(&pool.directory);
    assert!(victims.len() > STORES, "there are files of both kinds");
    let mut live = worker::start(&pool.directory, "");
    worker::tell(&mut live, "work 1");

    let mut sidecar = Sidecar::serve(&pool.directory);
    let mut seen = Seen::default();
    seen.check(&sidecar.metrics(), seed);
    let (stop, truncations) = (AtomicBool::new(false), AtomicUsize::new(0));
    let truncate = || {
        let mut random = Random(seed);
        while !stop.load(Ordering::Relaxed) {
            victims[random.below(victims.len() as u64) as usize].truncate(&mut random);
            truncations.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        // Ends the other thread, too, when a check fails here.
        let _stop = StopOnDrop(&stop);
        scope.spawn(truncate);
        let mut connection = Connection::open(sidecar.address).unwrap();
        for scrape in 0.. {
            if scrape >= SCRAPES && truncations.load(Ordering::Relaxed) >= TRUNCATIONS {
                break;
            }
            let response = connection.request("GET", "/metrics", &[]).unwrap();
            assert_eq!(response.status, 200, "seed {seed}");
            seen.check(&Exposition::parse(&response.text()), seed);
            if scrape % 10 == 0 {
                worker::tell(&mut live, "work 1");
            }
        }
    });
    // The damage was seen, or the test has shown nothing.
    assert!(seen.damaged > SCRAPES / 10, "seed {seed}: {}", seen.damaged);
    victims.iter().for_each(Victim::restore);
    let after = sidecar.metrics();
    seen.check(&after, seed);
    assert_eq!(after.sum("headcount_bad_files", &[]), 0.0, "seed {seed}");
    assert!(sidecar.process.is_running(), "seed {seed}");
}

/// A file of a worker that is gone.
struct Victim {
    path: PathBuf,
    file: File,
    content: Vec<u8>,
}

impl Victim {
    fn all(directory: &Path) -> Vec<Victim> {
        let paths = files::named(directory, "").into_iter();
        paths
            .map(|path| Victim {
                file: File::options().write(true).open(&path).unwrap(),
                content: fs::read(&path).unwrap(),
                path,
            })
            .collect()
    }

    /// Cuts the file off anywhere, then lengthens it or has it as it was.
    fn truncate(&self, random: &mut Random) {
        let length = self.content.len() as u64;
        let cut = match random.below(4) {
            0 => 0,
            // What only looks whole.
            1 => random.below(length / 4096 + 1) * 4096,
            _ => random.below(length + 1),
        };
        self.set_length(cut);
        match random.below(4) {
            0 => self.restore(),
            1 => self.set_length(random.below(4 * length)),
            2 => self.set_length(length),
            _ => {}
        }
    }

    fn restore(&self) {
        let told = |error| panic!("{}: {error}", self.path.display());
        let written = self.file.write_all_at(&self.content, 0);
        written.unwrap_or_else(told);
        self.set_length(self.content.len() as u64);
    }

    fn set_length(&self, bytes: u64) {
        let set = self.file.set_len(bytes);
        set.unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
    }
}

/// What every scrape so far has shown.
#[derive(Default)]
struct Seen {
    counts: BTreeMap<String, f64>,
    /// Scrapes that found a file damaged.
    damaged: usize,
}

impl Seen {
    fn check(&mut self, scrape: &Exposition, seed: u64) {
        for (sample, before) in &self.counts {
            let value = scrape.value(sample).unwrap_or(f64::NEG_INFINITY);
            assert!(
                value >= *before,
                "seed {seed}: {sample} fell from {before} to {value}"
            );
        }
        let counts = scrape.samples.iter().filter(|(sample, _)| {
            let name = sample.split('{').next().unwrap_or_default();
            let is_count = ["_total", "_count", "_bucket"];
            is_count.iter().any(|suffix| name.ends_with(suffix))
        });
        self.counts
            .extend(counts.map(|(sample, value)| (sample.clone(), number(value))));
        assert!(!self.counts.is_empty(), "seed {seed}");
        self.damaged += usize::from(scrape.sum("headcount_bad_files", &[]) > 0.0);
    }
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// xorshift64; the seed is in every message, so that a failure can be had again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

const STORES: usize = 4;
const SCRAPES: usize = 500;
const TRUNCATIONS: usize = 5000;
