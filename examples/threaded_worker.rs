//! One worker with many threads, which share its metrics.
//!
//! Handles are cheap to clone and usable from every thread; what several threads count in one
//! series is exact. Shown are timers, a gauge of what is in progress, and the counting of errors.
//!
//! ```sh
//! headcount run -- cargo run --example threaded_worker
//! curl -s http://127.0.0.1:14323/metrics | grep -e parse -e lines
//! ```
//!
//! It ends by itself after half a minute, or after as many seconds as its argument says, and
//! prints what it has counted: a worker can read its own metrics back.

#![expect(
    clippy::print_stdout,
    reason = "tells the person at the terminal what it has counted"
)]

use std::error::Error;
use std::num::ParseIntError;
use std::thread;
use std::time::{Duration, Instant};

use headcount_writer::{Buckets, Counter, Gauge, Histogram, Mode, Registry};

const THREADS: u64 = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let seconds = std::env::args()
        .nth(1)
        .map_or(Ok(30), |seconds| seconds.parse())?;
    let deadline = Instant::now() + Duration::from_secs(seconds);

    let registry = Registry::from_env()?;
    let metrics = Metrics::register(&registry)?;
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let metrics = metrics.clone();
            thread::spawn(move || {
                let mut line = thread;
                while Instant::now() < deadline {
                    line += THREADS;
                    // What does not parse has been counted; there is nothing more to do about it.
                    let _ = metrics.read(&text(line));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| "a thread has panicked")?;
    }

    println!(
        "{} lines, {} of them wrong",
        metrics.lines.get(),
        metrics.errors.get()
    );
    println!("{:.3} seconds spent on them", metrics.seconds.sum());
    println!("{} in progress", metrics.in_progress.get());
    Ok(())
}

/// What the threads share; a clone leads to the same series.
#[derive(Clone)]
struct Metrics {
    lines: Counter,
    errors: Counter,
    in_progress: Gauge,
    seconds: Histogram,
}

impl Metrics {
    fn register(registry: &Registry) -> Result<Metrics, Box<dyn Error>> {
        let in_progress = registry.gauge("parse_in_progress", "Lines being parsed right now.");
        let seconds = registry.histogram("parse_seconds", "Time to parse a line.");
        Ok(Metrics {
            lines: registry.counter("lines", "Lines read.").register()?,
            errors: registry
                .counter("parse_errors", "Lines that did not parse.")
                .register()?,
            // What a killed worker had in progress is in progress no more.
            in_progress: in_progress.mode(Mode::LiveSum).register()?,
            seconds: seconds
                .buckets(Buckets::exponential(0.001, 2.0, 8)?)
                .register()?,
        })
    }

    /// Parses one line.
    fn read(&self, line: &str) -> Result<i64, ParseIntError> {
        // Both guards do their part however this function ends.
        let _in_progress = self.in_progress.track_in_progress();
        let _timer = self.seconds.start_timer();
        self.lines.inc();
        thread::sleep(Duration::from_millis(1 + line.len() as u64));
        self.errors.count_errors(|| line.parse())
    }
}

/// One line in ten is no number.
fn text(line: u64) -> String {
    match line % 10 {
        0 => format!("line {line}"),
        _ => line.to_string(),
    }
}
