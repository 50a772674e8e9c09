//! Contests: several ways to do one thing, measured in rounds and printed side by side.
//!
//! Owns how an operation is timed, and the table at the end. Knows no metrics.
//!
//! Criterion runs the samples and prints each; every sample here is CPU time of the thread, which
//! other programs on the machine lengthen far less than they lengthen wall time. All contestants
//! run once before any runs again, so that a slow minute meets all of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, hint, thread};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode};
use rustix::time::ClockId;

use crate::support::{median, time};

/// How often all contestants run.
const ROUNDS: usize = 3;

/// Samples of each contestant in a round.
const SAMPLES: usize = 20;

/// A sample that took less says more about the clock.
const LEAST: Duration = Duration::from_micros(200);

/// How many operations two threads do in one bout: few, so that many a bout is not disturbed.
const BOUT: u64 = 20_000;

/// How many bouts may be disturbed for one that is not.
const TRIES: u64 = 4;

/// One contest in one round.
pub(crate) struct Contest<'a, 'b> {
    group: BenchmarkGroup<'a, WallTime>,
    results: &'b mut Results,
}

/// Nanoseconds for each operation, by contestant.
#[derive(Debug, Default)]
struct Results {
    order: Vec<String>,
    samples: BTreeMap<String, Vec<f64>>,
}

/// What a contest is called, and who takes part.
pub(crate) type Entry = (&'static str, fn(&mut Contest<'_, '_>));

/// Runs all contests in rounds and prints the table.
pub(crate) fn run(contests: &[Entry]) {
    let is_bench = env::args().any(|argument| argument == "--bench");
    let mut results: Vec<Results> = contests.iter().map(|_| Results::default()).collect();
    for round in 1..=if is_bench { ROUNDS } else { 1 } {
        // A baseline for each round keeps criterion from comparing one with the other.
        let mut criterion = Criterion::default()
            .sample_size(SAMPLES)
            .warm_up_time(Duration::from_millis(150))
            .measurement_time(Duration::from_millis(400))
            .nresamples(2000)
            .without_plots()
            .configure_from_args()
            .save_baseline(format!("round-{round}"));
        for ((name, fill), results) in contests.iter().zip(&mut results) {
            let mut group = criterion.benchmark_group(*name);
            group.sampling_mode(SamplingMode::Flat);
            let mut contest = Contest { group, results };
            fill(&mut contest);
            contest.group.finish();
        }
    }
    if is_bench {
        print(contests, &results);
    }
}

impl Contest<'_, '_> {
    /// Enters an operation that one thread does again and again.
    pub(crate) fn enter(&mut self, name: &str, mut operation: impl FnMut()) {
        self.enter_timed(name, |count| {
            let start = time(ClockId::ThreadCPUTime);
            for _ in 0..count {
                operation();
            }
            time(ClockId::ThreadCPUTime) - start
        });
    }

    /// Enters an operation that two threads do at once. Only what both did at the same time counts.
    pub(crate) fn enter_pair(&mut self, name: &str, operation: impl Fn() + Sync) {
        self.enter_sampled(name, |count| {
            let wanted = count.div_ceil(BOUT);
            let bout = count.min(BOUT);
            let bouts = (0..wanted * TRIES).map(|_| pair(bout, &operation));
            let clean = bouts.filter_map(|(taken, is_clean)| is_clean.then_some(taken));
            let clean: Vec<f64> = clean
                .take(usize::try_from(wanted).expect("few bouts"))
                .map(|taken| taken.as_secs_f64() / bout as f64)
                .collect();
            match median(&clean) {
                each if each.is_finite() => (Duration::from_secs_f64(each * count as f64), true),
                _ => (pair(count, &operation).0, false),
            }
        });
    }

    /// Enters what does so many operations and says how long that took.
    pub(crate) fn enter_timed(&mut self, name: &str, mut timed: impl FnMut(u64) -> Duration) {
        self.enter_sampled(name, |count| (timed(count), true));
    }

    fn enter_sampled(&mut self, name: &str, mut sample: impl FnMut(u64) -> (Duration, bool)) {
        if !self.results.samples.contains_key(name) {
            self.results.order.push(name.to_owned());
        }
        let samples = self.results.samples.entry(name.to_owned()).or_default();
        self.group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| {
                let (taken, is_clean) = sample(count);
                if is_clean && taken >= LEAST {
                    samples.push(taken.as_nanos() as f64 / count as f64);
                }
                taken
            });
        });
    }
}

/// The mean CPU time of two threads that each do `count` operations, and whether they did them at
/// the same time: both began together, and neither was stopped.
fn pair(count: u64, operation: &(impl Fn() + Sync)) -> (Duration, bool) {
    let waiting = AtomicU32::new(2);
    let lane = || {
        waiting.fetch_sub(1, Ordering::AcqRel);
        while waiting.load(Ordering::Acquire) > 0 {
            hint::spin_loop();
        }
        let (start, cpu_start) = (Instant::now(), time(ClockId::ThreadCPUTime));
        for _ in 0..count {
            operation();
        }
        let taken = time(ClockId::ThreadCPUTime) - cpu_start;
        (start, start.elapsed(), taken)
    };
    let (one, other) = thread::scope(|scope| {
        let other = scope.spawn(lane);
        (lane(), other.join().expect("an operation does not panic"))
    });
    let taken = (one.2 + other.2) / 2;
    let apart = one.0.max(other.0) - one.0.min(other.0);
    let ran_through = |(_, wall, cpu): (Instant, Duration, Duration)| wall < cpu * 11 / 10;
    let is_clean = apart < taken / 10 && ran_through(one) && ran_through(other);
    (taken, is_clean)
}

/// Ratios are to the first contestant, which is the floor, and to ours.
#[expect(clippy::print_stdout, reason = "the table is what a bench is for")]
fn print(contests: &[Entry], results: &[Results]) {
    println!("\n| ns for each operation | median | times the floor | times ours | samples |");
    println!("|---|---:|---:|---:|---:|");
    for ((name, _), results) in contests.iter().zip(results) {
        let of = |contestant: &str| {
            let samples = results.samples.get(contestant);
            samples.map_or(f64::NAN, |samples| median(samples))
        };
        // Left out by a filter, or two threads were never left alone.
        if results.samples.values().all(Vec::is_empty) {
            println!("| **{name}**: nothing was measured | | | | |");
            continue;
        }
        println!("| **{name}** | | | | |");
        let is_floor = |contestant: &&String| contestant.starts_with(FLOOR);
        let floor = results.order.iter().find(is_floor).map(|floor| of(floor));
        for contestant in &results.order {
            let taken = of(contestant);
            let to_floor = floor.map_or(String::new(), |floor| format!("{:.2}", taken / floor));
            let to_ours = taken / of(OURS);
            let count = results.samples.get(contestant).map_or(0, Vec::len);
            println!("| {contestant} | {taken:.2} | {to_floor} | {to_ours:.2} | {count} |");
        }
    }
}

/// What our own contestant is called.
pub(crate) const OURS: &str = "headcount";

/// How the name of a floor begins; the first of a contest is the one that ratios are to.
const FLOOR: &str = "floor";
