//! The fuzz targets' functions over a few thousand mutations of real files, the same at each run.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::entry::{self, Bench};
use crate::pool::Pool;

/// Mutations of each kind of file; the fuzzer makes as many in a second.
const RUNS: usize = 3000;

// [dialect.hostile] [merge.file.damage]
#[test]
fn mutated_python_files_cost_themselves() {
    mutate("python", entry::python);
}

// [dialect.hostile] [merge.file.damage]
#[test]
fn mutated_stores_cost_themselves() {
    mutate("store", entry::store);
}

// [dialect.hostile]
//
// A file of 512 MiB that occupies one page, and says that all of it is in use: whoever can write
// into the directory could otherwise have the sidecar killed for want of memory.
#[test]
fn a_hole_costs_no_memory() {
    const ALONE: &str = "HEADCOUNT_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        // The peak is the whole process's, so this test has one of its own.
        let test = std::env::current_exe().expect("a test has a program");
        let arguments = ["--exact", "hostile::a_hole_costs_no_memory"];
        let outcome = Command::new(test).args(arguments).env(ALONE, "1").output();
        let outcome = outcome.expect("the program runs again");
        assert!(
            outcome.status.success(),
            "{}",
            String::from_utf8_lossy(&outcome.stdout)
        );
        return;
    }
    let mut pool = Pool::new();
    let bytes: i32 = 512 << 20;
    pool.directory.write("counter_1.db", &bytes.to_le_bytes());
    pool.directory
        .truncate("counter_1.db", u64::from(bytes.unsigned_abs()));
    let before = peak_bytes();
    pool.pass();
    let grown = peak_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more than before");
}

fn mutate(kind: &str, entry: fn(&Bench, &[u8])) {
    let bench = Bench::new(&format!("hostile-{kind}"));
    let seeds = seeds(kind);
    for seed in &seeds {
        entry(&bench, seed);
    }
    let before = peak_bytes();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for run in 0..RUNS {
        let mut bytes = seeds[run % seeds.len()].clone();
        for _ in 0..=random.below(4) {
            random.mutate(&mut bytes, &seeds);
        }
        entry(&bench, &bytes);
    }
    // No file here has more than 128 KiB; whatever it claims, it costs no more than a few of those.
    let grown = peak_bytes().saturating_sub(before);
    assert!(grown < 256 << 20, "{grown} bytes more than before");
}

/// Files that workers wrote, from `fuzz/seeds`.
fn seeds(kind: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(kind);
    let entries = fs::read_dir(&directory).expect("fuzz/seeds holds files of each kind");
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{}", directory.display());
    paths
        .iter()
        .map(|path| fs::read(path).expect("a seed can be read"))
        .collect()
}

/// The most memory that this process has ever had in use, in bytes.
fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    1024 * kibibytes
        .and_then(|number| number.parse::<u64>().ok())
        .expect("VmHWM is a number")
}

/// Xorshift: numbers that are the same at each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Less than `end`, which is not zero.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        if bytes.is_empty() {
            bytes.push(0);
        }
        // Most of what matters stands at the start.
        let end = match self.below(4) {
            0 => bytes.len(),
            _ => bytes.len().min(512),
        };
        let at = self.below(end);
        match self.below(8) {
            0 | 1 => bytes[at] ^= 1 << self.below(8),
            2 => bytes[at] = self.next() as u8,
            3 => {
                let number = INTERESTING[self.below(INTERESTING.len())].to_le_bytes();
                let at = at / 4 * 4;
                let width = [4, 8][self.below(2)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&number[..width]);
            }
            4 => bytes.truncate(at),
            5 => {
                let length = self.below(64).min(bytes.len() - at);
                let copied = bytes[at..at + length].to_vec();
                bytes.splice(at..at, copied);
            }
            6 => {
                let length = self.below(64).min(bytes.len() - at);
                bytes.drain(at..at + length);
            }
            _ => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len().max(1)).min(other.len());
                let length = self
                    .below(256)
                    .min(other.len() - from)
                    .min(bytes.len() - at);
                bytes[at..at + length].copy_from_slice(&other[from..from + length]);
            }
        }
        bytes.truncate(1 << 17);
    }
}

const INTERESTING: [u64; 10] = [
    0,
    1,
    7,
    8,
    64,
    4096,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];
