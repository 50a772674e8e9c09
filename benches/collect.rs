//! What a scrape costs the sidecar, beside prometheus_client's MultiProcessCollector.
//!
//! Owns what is measured, and the table. The files of a corpus are merged and written out as text
//! 0.0.4 again and again; all contestants take turns, and CPU time counts. benches/README.md says
//! how to run it and how to read the table.

#[path = "support/corpus.rs"]
mod corpus;
mod support;

use std::env;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use headcount_collect::collector::Collector;
use headcount_collect::exposition::{Format, encode};
use headcount_collect::report::Liveness;
use rustix::time::ClockId;

use crate::corpus::{Corpus, PeerScraper, Size, Trouble, WORKER, interpreter, work};
use crate::support::{median, time};

/// How many workers, how many values each of them keeps, and how many rounds.
const CORPORA: [(Size, usize); 2] = [
    (
        Size {
            workers: 16,
            values: 1000,
        },
        25,
    ),
    (
        Size {
            workers: 16,
            values: 10_000,
        },
        11,
    ),
];

/// Warm scrapes in each round, since one is short.
const WARM: usize = 5;

#[expect(clippy::print_stderr, reason = "a bench tells what it lacks")]
fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [WORKER, directory, counted] => work(directory, counted),
        ref others if others.contains(&"--bench") => bench(others),
        // `cargo test --benches` only asks whether it starts.
        _ => Ok(()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("failed to measure: {trouble}");
            ExitCode::FAILURE
        }
    }
}

/// Measures the corpora whose names hold one of the words among `arguments`, or all.
#[expect(clippy::print_stdout, reason = "the table is what a bench is for")]
fn bench(arguments: &[&str]) -> Result<(), Trouble> {
    let python = interpreter()?;
    let words: Vec<&&str> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let mut tables = Vec::new();
    for (size, rounds) in CORPORA {
        let name = format!("{}x{}", size.workers, size.values);
        if words.is_empty() || words.iter().any(|word| name.contains(**word)) {
            tell_progress(&name);
            tables.push(measure(&name, size, rounds, &python)?);
        }
    }
    println!("\n| corpus | one scrape | CPU ms, median | min | max | Python takes times as long |");
    println!("|---|---|---:|---:|---:|---:|");
    tables.iter().for_each(|table| print!("{table}"));
    Ok(())
}

#[expect(clippy::print_stderr, reason = "the table comes only at the end")]
fn tell_progress(name: &str) {
    eprintln!("{name}: making the corpus, unless it is there, and measuring");
}

/// The rows of one corpus.
fn measure(name: &str, size: Size, rounds: usize, python: &Path) -> Result<String, Trouble> {
    let corpus = Corpus::new(size, python)?;
    let mut peer = PeerScraper::start(python, corpus.python.path())?;
    let mut of_files = Scraper::new(corpus.python.path());
    let mut of_stores = Scraper::new(corpus.stores.path());
    // Nobody's first scrape counts, but where it is the point.
    let samples = peer.scrape()?.samples;
    of_files.scrape();
    of_stores.scrape();
    agree(&of_files, &of_stores, samples)?;

    let mut rows = Rows::default();
    let mut buffer = Vec::new();
    for _ in 0..rounds {
        rows.add(PEER, peer.scrape()?.cpu_seconds);
        rows.add(FILES_COLD, Scraper::new(corpus.python.path()).scrape());
        rows.add(STORES_COLD, Scraper::new(corpus.stores.path()).scrape());
        for _ in 0..WARM {
            rows.add(FILES_WARM, of_files.scrape());
            rows.add(STORES_WARM, of_stores.scrape());
        }
        rows.add(BYTES, read_all(corpus.python.path(), &mut buffer)?);
    }
    Ok(rows.table(name))
}

/// A collector and the text that it fills.
struct Scraper {
    collector: Collector,
    text: Vec<u8>,
}

impl Scraper {
    fn new(directory: &Path) -> Scraper {
        let mut collector = Collector::new();
        collector.add_directory(directory);
        Scraper {
            collector,
            text: Vec::new(),
        }
    }

    /// CPU seconds of one scrape.
    fn scrape(&mut self) -> f64 {
        let start = time(ClockId::ProcessCPUTime);
        let collection = self.collector.collect(|_| Liveness::Live);
        self.text.clear();
        encode(&collection.families, Format::Text, &mut self.text);
        drop(collection);
        (time(ClockId::ProcessCPUTime) - start).as_secs_f64()
    }

    /// The samples that do not tell which process they come from, in order; and how many there are
    /// of all.
    fn samples(&self) -> (Vec<&str>, usize) {
        let text = str::from_utf8(&self.text).expect("names and labels are text");
        let samples = || text.lines().filter(|line| !line.starts_with('#'));
        let mut shared: Vec<&str> = samples().filter(|line| !line.contains("pid=\"")).collect();
        shared.sort_unstable();
        (shared, samples().count())
    }
}

/// What is measured side by side must be the same work.
fn agree(of_files: &Scraper, of_stores: &Scraper, peer: usize) -> Result<(), Trouble> {
    let ((of_files, files), (of_stores, stores)) = (of_files.samples(), of_stores.samples());
    if (files, stores) != (peer, peer) {
        let told = format!("{peer} samples of the peer's, {files} of files, {stores} of stores");
        return Err(told.into());
    }
    match of_files
        .iter()
        .zip(&of_stores)
        .find(|(one, other)| one != other)
    {
        Some((one, other)) => Err(format!("{one} from files is {other} from stores").into()),
        None => Ok(()),
    }
}

/// CPU seconds that it takes to read every byte in the directory once.
fn read_all(directory: &Path, buffer: &mut Vec<u8>) -> Result<f64, Trouble> {
    let start = time(ClockId::ProcessCPUTime);
    for entry in fs::read_dir(directory)? {
        buffer.clear();
        File::open(entry?.path())?.read_to_end(buffer)?;
    }
    Ok((time(ClockId::ProcessCPUTime) - start).as_secs_f64())
}

/// Seconds of each contestant, in the order of their first scrapes.
#[derive(Debug, Default)]
struct Rows(Vec<(&'static str, Vec<f64>)>);

impl Rows {
    fn add(&mut self, name: &'static str, seconds: f64) {
        match self.0.iter_mut().find(|row| row.0 == name) {
            Some(row) => row.1.push(seconds),
            None => self.0.push((name, vec![seconds])),
        }
    }

    fn table(&self, corpus: &str) -> String {
        let peer = self.0.iter().find(|row| row.0 == PEER);
        let peer = peer.map_or(f64::NAN, |row| median(&row.1));
        let row = |(name, seconds): &(&str, Vec<f64>)| {
            let least = seconds.iter().copied().fold(f64::INFINITY, f64::min) * 1e3;
            let most = seconds.iter().copied().fold(0.0, f64::max) * 1e3;
            let (middle, ratio) = (median(seconds) * 1e3, peer / median(seconds));
            format!("| {corpus} | {name} | {middle:.2} | {least:.2} | {most:.2} | {ratio:.1} |\n")
        };
        self.0.iter().map(row).collect()
    }
}

const PEER: &str = "Python: MultiProcessCollector, generate_latest";
const FILES_COLD: &str = "headcount, its files, cold";
const FILES_WARM: &str = "headcount, its files, warm";
const STORES_COLD: &str = "headcount, own stores, cold";
const STORES_WARM: &str = "headcount, own stores, warm";
const BYTES: &str = "reading every byte of its files once";
