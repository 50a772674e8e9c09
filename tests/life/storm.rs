//! A storm of kills: writers of two languages die by the hundred, and the sidecar with them.

use std::collections::BTreeMap;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use headcount_collect::exact::ExactSum;
use headcount_writer::{Buckets, Counter, Histogram, Registry};
use rustix::process::{Pid, Signal, kill_process};

use super::{await_fold, part};
use crate::pool::actor::{Actor, say, told};
use crate::pool::raw::{Way, spawn, wait};
use crate::support::exposition::{Exposition, number};
use crate::support::random::{Random, seed};
use crate::support::sidecar::{Sidecar, collect};
use crate::support::{TempDir, eventually, http, python, workspace};

// [ledger.sums] [fold.order] [fold.peer] [merge.departed]
#[test]
fn a_storm_of_kills_loses_nothing_and_no_counter_falls() {
    let seed = seed();
    let directory = TempDir::new();
    let address = Arc::new(Mutex::new(None));
    let is_over = Arc::new(AtomicBool::new(false));
    let (kills, scrapes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let killer = {
        let (directory, address) = (directory.path().to_owned(), Arc::clone(&address));
        let (is_over, kills) = (Arc::clone(&is_over), Arc::clone(&kills));
        thread::spawn(move || kill_sidecars(&directory, &address, &is_over, &kills, seed))
    };
    let scraper = {
        let (address, is_over) = (Arc::clone(&address), Arc::clone(&is_over));
        let scrapes = Arc::clone(&scrapes);
        thread::spawn(move || watch_for_falls(&address, &is_over, &scrapes, seed))
    };
    let mut rust = Actor::start(part("breeder", directory.path()));
    let mut python = Actor::start(python_breeder(directory.path()));
    rust.tell(&format!("storm {} {RUST_KILLS}", seed));
    python.tell(&format!("storm {} {PYTHON_KILLS}", seed + 1));
    let pools = [
        ("rust", Told::read(&rust.answer())),
        ("python", Told::read(&python.answer())),
    ];
    // A storm of workers that is over early goes on for the sidecars and their scraper.
    await_growth(&kills, SIDECAR_KILLS);
    await_growth(&scrapes, SCRAPES);
    rust.finish();
    python.finish();
    is_over.store(true, Ordering::Release);
    let sidecar: Sidecar = killer.join().unwrap();
    scraper.join().unwrap();

    // Nothing is left of anybody, but what has been folded.
    await_fold(directory.path());
    let served = sidecar.metrics();
    for (pool, told) in &pools {
        told.check(pool, &served, seed);
    }
    let collected = collect(directory.path(), "text");
    for (sample, value) in Exposition::parse(&collected).samples {
        assert_eq!(served.samples[&sample], value, "seed {seed}: {sample}");
    }
}

/// Waits until there are so many, for as long as there are more and more.
fn await_growth(count: &AtomicUsize, wanted: usize) {
    while count.load(Ordering::Acquire) < wanted {
        let before = count.load(Ordering::Acquire);
        eventually("one more", || {
            (count.load(Ordering::Acquire) > before).then_some(())
        });
    }
}

/// Kills the sidecar again and again, each time after a while, and yields the last one.
fn kill_sidecars(
    directory: &Path,
    address: &Mutex<Option<SocketAddr>>,
    is_over: &AtomicBool,
    kills: &AtomicUsize,
    seed: u64,
) -> Sidecar {
    let mut random = Random::new(seed + 2);
    let tell = |to: Option<SocketAddr>| {
        *address.lock().unwrap_or_else(PoisonError::into_inner) = to;
    };
    loop {
        let mut sidecar = Sidecar::serve_with(directory, &["--fold"]);
        tell(Some(sidecar.address));
        if kills.load(Ordering::Acquire) >= SIDECAR_KILLS && is_over.load(Ordering::Acquire) {
            return sidecar;
        }
        // A moment that nobody could poll for.
        thread::sleep(Duration::from_millis(random.below(LIFE)));
        sidecar.process.signal(Signal::KILL);
        sidecar.process.exit_status();
        tell(None);
        kills.fetch_add(1, Ordering::AcqRel);
    }
}

/// Scrapes whoever serves, and compares each total with the one before.
fn watch_for_falls(
    address: &Mutex<Option<SocketAddr>>,
    is_over: &AtomicBool,
    scrapes: &AtomicUsize,
    seed: u64,
) {
    let mut seen: BTreeMap<String, f64> = BTreeMap::new();
    while !is_over.load(Ordering::Acquire) {
        let to = *address.lock().unwrap_or_else(PoisonError::into_inner);
        // Killed before or while it answers.
        let Some(Ok(response)) = to.map(|to| http::get(to, "/metrics", &[])) else {
            thread::yield_now();
            continue;
        };
        assert_eq!(response.status, 200, "seed {seed}: {}", response.text());
        scrapes.fetch_add(1, Ordering::AcqRel);
        let exposition = Exposition::parse(&response.text());
        for (sample, value) in exposition.samples {
            if !is_total(&sample) {
                continue;
            }
            let value = number(&value);
            let before = seen.insert(sample.clone(), value).unwrap_or(0.0);
            assert!(
                value >= before,
                "seed {seed}: {sample} fell from {before} to {value}"
            );
        }
        for sample in seen.keys() {
            let is_there = exposition.types.keys().any(|name| sample.starts_with(name));
            assert!(is_there, "seed {seed}: {sample} has gone");
        }
    }
}

fn is_total(sample: &str) -> bool {
    let name = sample.split_once('{').map_or(sample, |(name, _)| name);
    let suffixes = ["_total", "_bucket", "_count", "_sum"];
    !name.starts_with("headcount") && suffixes.iter().any(|suffix| name.ends_with(suffix))
}

/// What a breeder says of its workers.
#[derive(Debug)]
struct Told {
    /// What those acknowledged that were killed in flight, by worker.
    in_flight: Vec<u64>,
    /// What those acknowledged that were at rest when they were killed.
    at_rest: Vec<u64>,
}

impl Told {
    fn read(line: &str) -> Told {
        let (in_flight, at_rest) = line.split_once(' ').unwrap();
        let numbers = |list: &str| {
            list.split(',')
                .map(|number| number.parse().unwrap())
                .collect()
        };
        Told {
            in_flight: numbers(in_flight),
            at_rest: numbers(at_rest),
        }
    }

    fn check(&self, pool: &str, served: &Exposition, seed: u64) {
        let value = |name: &str| {
            let value = served.value(&format!("{pool}_{name}"));
            value.unwrap_or_else(|| panic!("seed {seed}: {pool}_{name} is missing"))
        };
        // At rest: to the last bit.
        let jobs: u64 = self.at_rest.iter().sum();
        let mut amount = ExactSum::new();
        self.at_rest
            .iter()
            .for_each(|&jobs| amount.add(amount_of(jobs)));
        assert_eq!(value("rest_jobs_total"), jobs as f64, "seed {seed}, {pool}");
        assert_eq!(
            value("rest_amount_total"),
            amount.value(),
            "seed {seed}, {pool}"
        );
        assert_eq!(
            value("rest_seconds_count"),
            jobs as f64,
            "seed {seed}, {pool}"
        );
        assert_eq!(
            value("rest_seconds_sum"),
            amount.value(),
            "seed {seed}, {pool}"
        );
        // In flight: what was counted and not yet acknowledged may be there, once a kill.
        let least: u64 = self.in_flight.iter().sum();
        let most = least + self.in_flight.len() as u64;
        let between = |name: &str, least: f64, most: f64| {
            let value = value(name);
            let is_between = (least..=most).contains(&value);
            assert!(
                is_between,
                "seed {seed}: {pool}_{name} {value} of {least} to {most}"
            );
        };
        between("flight_jobs_total", least as f64, most as f64);
        between("flight_seconds_count", least as f64, most as f64);
        let (mut least, mut most) = (ExactSum::new(), ExactSum::new());
        for &jobs in &self.in_flight {
            least.add(amount_of(jobs));
            most.add(amount_of(jobs + 1));
        }
        between("flight_amount_total", least.value(), most.value());
        between("flight_seconds_sum", least.value(), most.value());
    }
}

/// What so many jobs add up to in one worker, which rounds at each.
fn amount_of(jobs: u64) -> f64 {
    (1..=jobs).map(amount).fold(0.0, |sum, amount| sum + amount)
}

/// A fraction that no float holds, another for each job.
fn amount(job: u64) -> f64 {
    (job % 97 + 1) as f64 * 0.1
}

fn python_breeder(directory: &Path) -> Command {
    let mut command = Command::new(python::interpreter());
    command.arg(workspace().join("tests/peers/storm.py"));
    command.env("PROMETHEUS_MULTIPROC_DIR", directory);
    command
}

/// Breeds workers, kills them, and tells what they had acknowledged.
pub(super) fn breeder() {
    let registry = Registry::from_env().unwrap();
    let [rest, flight] = ["rest", "flight"].map(|kind| Metrics::register(&registry, kind));
    for line in told() {
        let words: Vec<&str> = line.split(' ').collect();
        let ["storm", seed, kills] = words[..] else {
            panic!("{line}");
        };
        let mut random = Random::new(seed.parse().unwrap());
        let mut workers: Vec<Worker> = Vec::new();
        let (mut in_flight, mut at_rest) = (Vec::new(), Vec::new());
        for kill in 0..kills.parse::<u64>().unwrap() {
            while workers.len() < WORKERS {
                let way = Way::ALL[random.below(Way::ALL.len() as u64) as usize];
                workers.push(Worker::fork(way, u64::MAX, &flight));
            }
            if kill % 4 == 0 {
                let jobs = random.below(200) + 1;
                let way = Way::ALL[random.below(Way::ALL.len() as u64) as usize];
                let worker = Worker::fork(way, jobs, &rest);
                at_rest.push(worker.killed_after(jobs));
            } else {
                // A moment that nobody could poll for.
                thread::sleep(Duration::from_micros(random.below(20_000)));
                let victim = random.below(workers.len() as u64) as usize;
                in_flight.push(workers.swap_remove(victim).killed());
            }
        }
        in_flight.extend(workers.into_iter().map(Worker::killed));
        say(format_args!("{} {}", list(&in_flight), list(&at_rest)));
    }
}

fn list(numbers: &[u64]) -> String {
    let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
    numbers.join(",")
}

#[derive(Clone, Debug)]
struct Metrics {
    jobs: Counter,
    amount: Counter,
    seconds: Histogram,
}

impl Metrics {
    fn register(registry: &Registry, kind: &str) -> Metrics {
        let jobs = registry.counter(&format!("rust_{kind}_jobs"), "Jobs done.");
        let amount = registry.counter(&format!("rust_{kind}_amount"), "What they amount to.");
        let seconds = registry.histogram(&format!("rust_{kind}_seconds"), "Time taken.");
        let seconds = seconds.buckets(Buckets::new([0.5, 2.0, 5.0]).unwrap());
        Metrics {
            jobs: jobs.register().unwrap(),
            amount: amount.register().unwrap(),
            seconds: seconds.register().unwrap(),
        }
    }

    fn count(&self, job: u64) {
        self.jobs.inc();
        self.amount.inc_by(amount(job));
        self.seconds.observe(amount(job));
    }
}

/// A worker that acknowledges each job with a byte.
struct Worker {
    pid: Pid,
    acknowledged: PipeReader,
    /// Keeps a worker that has done its jobs from coming to its end.
    _rest: PipeWriter,
}

impl Worker {
    fn fork(way: Way, jobs: u64, metrics: &Metrics) -> Worker {
        let (acknowledged, mut said) = io::pipe().unwrap();
        let (mut rest, kept) = io::pipe().unwrap();
        let pid = spawn(way, || {
            for job in 1..=jobs {
                metrics.count(job);
                said.write_all(b".").unwrap();
            }
            let _ended = rest.read(&mut [0]);
        });
        Worker {
            pid,
            acknowledged,
            _rest: kept,
        }
    }

    /// Kills it, and yields how many jobs it had acknowledged.
    fn killed(mut self) -> u64 {
        kill_process(self.pid, Signal::KILL).unwrap();
        wait(self.pid);
        let mut bytes = Vec::new();
        self.acknowledged.read_to_end(&mut bytes).unwrap();
        bytes.len() as u64
    }

    /// Kills it once it has done so many jobs, and does no more.
    fn killed_after(mut self, jobs: u64) -> u64 {
        let mut bytes = vec![0; usize::try_from(jobs).unwrap()];
        self.acknowledged.read_exact(&mut bytes).unwrap();
        assert_eq!(self.killed(), 0);
        jobs
    }
}

/// How many workers are in flight.
const WORKERS: usize = 6;

const RUST_KILLS: usize = 600;
const PYTHON_KILLS: usize = 400;
const SIDECAR_KILLS: usize = 100;
const SCRAPES: usize = 100;

/// How long a sidecar lives at most, in milliseconds.
const LIFE: u64 = 250;
