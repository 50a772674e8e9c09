//! Real files of every dialect, and what can be done to their bytes.
//!
//! Owns where they come from, and the kinds of damage. Knows no collector.

use std::fs;
use std::path::{Path, PathBuf};

use headcount_format::identity::Incarnation;
use headcount_format::layout::file_name;

use crate::entry::with_header;

/// A file that a client wrote.
#[derive(Debug)]
pub(crate) struct Seed {
    /// Its dialect; splices between two of one are likelier to be read.
    pub(crate) dialect: &'static str,
    /// Its name, with `@` for what tells workers apart.
    name: String,
    /// Up to the last that is in use.
    pub(crate) bytes: Vec<u8>,
}

impl Seed {
    /// Its name for the worker with this number, and `bytes` as that one's file. Where the name and
    /// the header of a store belong together, `is_repaired` has it so.
    pub(crate) fn plant(
        &self,
        number: u32,
        bytes: Vec<u8>,
        is_repaired: bool,
    ) -> (String, Vec<u8>) {
        if self.dialect != "store" {
            return (self.name.replace('@', &number.to_string()), bytes);
        }
        let mut incarnation = [1; 16];
        incarnation[..4].copy_from_slice(&number.to_le_bytes());
        let incarnation = Incarnation(incarnation);
        let name = file_name(incarnation);
        match is_repaired {
            true => (name, with_header(&bytes, incarnation)),
            false => (name, bytes),
        }
    }
}

/// All of them, in one order.
pub(crate) fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folders = entries(&root.join("spec/vectors/dialects"));
    for folder in folders.into_iter().filter(|path| path.is_dir()) {
        for path in entries(&folder).into_iter().filter(|path| path.is_file()) {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or("");
            if name == "expected.txt" {
                let bytes = fs::read(&path).expect("a vector can be read");
                seeds.push(seed("text", "@.prom".to_owned(), bytes));
            } else if let Some(name) = name.strip_suffix(".hex") {
                let hex = fs::read_to_string(&path).expect("a vector can be read");
                seeds.push(vector(name, assemble(&hex)));
            }
        }
    }
    for case in entries(&root.join("spec/vectors/store")) {
        if let Ok(hex) = fs::read_to_string(case.join("file.hex")) {
            seeds.push(seed("store", String::new(), assemble(&hex)));
        }
    }
    let real = |folder| entries(&root.join("fuzz/seeds").join(folder));
    for path in real("store") {
        seeds.push(seed("store", String::new(), read(&path)));
    }
    for path in real("text") {
        seeds.push(seed("text", "@.prom".to_owned(), read(&path)));
    }
    seeds
}

/// The files of one of the folders of `fuzz/seeds`.
pub(crate) fn seeds_of(target: &str) -> Vec<Vec<u8>> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let paths = entries(&seeds.join(target));
    assert!(!paths.is_empty(), "{target} has no seeds");
    paths.iter().map(|path| read(path)).collect()
}

fn seed(dialect: &'static str, name: String, bytes: Vec<u8>) -> Seed {
    Seed {
        dialect,
        name,
        bytes,
    }
}

/// A vector, by the name that its client gave it.
fn vector(name: &str, mut bytes: Vec<u8>) -> Seed {
    let used = bytes.first_chunk().map(|used| u32::from_le_bytes(*used));
    bytes.truncate(
        used.and_then(|used| usize::try_from(used).ok())
            .unwrap_or(0),
    );
    let (stem, suffix) = name.rsplit_once('.').expect("a vector has a suffix");
    if let Some((metric, _)) = stem.rsplit_once("___") {
        return seed("direct", format!("{metric}___@.{suffix}"), bytes);
    }
    let kept = match stem.starts_with("gauge_") {
        true => 2,
        false => 1,
    };
    let parts: Vec<&str> = stem.split('_').take(kept).collect();
    match stem.rsplit_once('-') {
        Some(_) => seed("gitlab", format!("{}_puma_@-0.db", parts.join("_")), bytes),
        None => seed("python", format!("{}_@.db", parts.join("_")), bytes),
    }
}

/// `spec/vectors/README.md`: the bytes of an annotated file.
fn assemble(hex: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in hex.lines() {
        let line = line.split('#').next().unwrap_or("").trim();
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let number = |text: &str| text.trim().parse().expect("a vector has numbers");
        if key == "size" {
            bytes.resize(number(value), 0);
            continue;
        }
        let offset: usize = number(key);
        for (place, digits) in bytes[offset..].iter_mut().zip(value.split_whitespace()) {
            *place = u8::from_str_radix(digits, 16).expect("a vector has bytes");
        }
    }
    bytes
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).expect("a seed can be read")
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Xorshift: numbers that are the same at each run.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Less than `end`, which is not zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// A seed with one to five things done to it, the first of the kind with the number `kind`.
    pub(crate) fn mutation(&mut self, seeds: &[Seed], seed: &Seed, kind: usize) -> Vec<u8> {
        let mut bytes = seed.bytes.clone();
        self.mutate(&mut bytes, seeds, seed, kind);
        for _ in 0..self.below(5) {
            let kind = self.below(KINDS);
            self.mutate(&mut bytes, seeds, seed, kind);
        }
        bytes
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>, seeds: &[Seed], seed: &Seed, kind: usize) {
        if bytes.is_empty() {
            bytes.push(0);
        }
        // Most of what matters stands at the start.
        let end = match self.below(4) {
            0 => bytes.len(),
            _ => bytes.len().min(512),
        };
        let at = self.below(end);
        match kind % KINDS {
            // Bits.
            0 | 1 => bytes[at] ^= 1 << self.below(8),
            2 => bytes[at] = self.next() as u8,
            // Interesting numbers.
            3 => {
                let number = INTERESTING[self.below(INTERESTING.len())].to_le_bytes();
                let at = at / 4 * 4;
                let width = [4, 8][self.below(2)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&number[..width]);
            }
            // Truncation, by any amount, and by a little.
            4 => bytes.truncate(at),
            5 => bytes.truncate(bytes.len() - self.below(bytes.len().min(24))),
            // Repetition.
            6 => {
                let length = self.below(64).min(bytes.len() - at);
                let copied = bytes[at..at + length].repeat(1 + self.below(4));
                bytes.splice(at..at, copied);
            }
            // A gap.
            7 => {
                let length = self.below(64).min(bytes.len() - at);
                bytes.drain(at..at + length);
            }
            // Splices: with a file of the same dialect, and with one of any.
            8 => {
                let mut other = self.below(seeds.len());
                while seeds[other].dialect != seed.dialect {
                    other = (other + 1) % seeds.len();
                }
                self.splice(bytes, at, &seeds[other].bytes);
            }
            _ => {
                let other = self.below(seeds.len());
                self.splice(bytes, at, &seeds[other].bytes);
            }
        }
        bytes.truncate(LARGEST_BYTES);
    }

    /// Puts a part of `other` at a place, or all of it that follows.
    fn splice(&mut self, bytes: &mut Vec<u8>, at: usize, other: &[u8]) {
        let from = self.below(other.len() + 1);
        if self.below(4) == 0 {
            // Entries begin at multiples of eight.
            let (at, from) = (at / 8 * 8, from / 8 * 8);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
            return;
        }
        let length = self.below(256);
        let length = length.min(other.len() - from).min(bytes.len() - at);
        bytes[at..at + length].copy_from_slice(&other[from..from + length]);
    }
}

/// How many kinds of damage there are.
const KINDS: usize = 10;

/// Of a mutated file.
const LARGEST_BYTES: usize = 1 << 17;

const INTERESTING: [u64; 12] = [
    0,
    1,
    7,
    8,
    64,
    4096,
    0x7fff_ffff,
    0xffff_ffff,
    0x7ff0_0000_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];
