//! A pre-forked pool: metrics registered once, before the fork, and counted in every worker.
//!
//! The supervisor opens the registry, forks the workers and puts another in the place of one that
//! dies. Each worker counts in a store of its own, which it makes at its first update; nothing that
//! a killed worker had counted is lost.
//!
//! ```sh
//! headcount run -- cargo run --example prefork_pool
//! curl -s http://127.0.0.1:14323/metrics | grep -e jobs -e workers
//! pkill --signal KILL --newest prefork_pool   # and ask again: jobs_total has not fallen
//! ```
//!
//! Ctrl-C ends all of it.

// The standard library does not fork. Where a server does that for you, none of this is needed.
#![expect(
    unsafe_code,
    clippy::print_stdout,
    reason = "forks, and tells the person at the terminal what happens"
)]

use std::error::Error;
use std::io;
use std::os::unix::process::parent_id;
use std::thread;
use std::time::Duration;

use headcount_writer::{Counter, Family, Gauge, Histogram, Mode, Registry};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitOptions, wait};

const WORKERS: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::from_env()?;
    let metrics = Metrics::register(&registry)?;
    println!("the supervisor is {}", std::process::id());
    for _ in 0..WORKERS {
        start_worker(&metrics)?;
    }
    loop {
        let worker = wait_for_any()?;
        println!("worker {} has ended", worker.as_raw_nonzero());
        metrics.replaced.inc();
        // A worker that fails at once must not keep the machine busy.
        thread::sleep(Duration::from_millis(200));
        start_worker(&metrics)?;
    }
}

/// Everything that the pool counts. The handles are usable on both sides of a fork.
struct Metrics {
    jobs: Family<Counter, 1>,
    seconds: Histogram,
    live: Gauge,
    replaced: Counter,
}

impl Metrics {
    fn register(registry: &Registry) -> Result<Metrics, Box<dyn Error>> {
        let jobs = registry.counter("jobs", "Jobs done, by kind.");
        let seconds = registry.histogram("job_seconds", "Time to do a job.");
        let live = registry.gauge("workers", "Workers that run right now.");
        let replaced = registry.counter("workers_replaced", "Workers that had to be replaced.");
        Ok(Metrics {
            jobs: jobs.register_family(["kind"])?,
            seconds: seconds.register()?,
            // Only the living are added up, so a killed worker leaves the sum by itself.
            live: live.mode(Mode::LiveSum).register()?,
            replaced: replaced.register()?,
        })
    }
}

/// What a worker does until it is killed.
fn work(metrics: &Metrics) -> ! {
    metrics.live.set(1.0);
    // Looked up once: from here on an update is a few instructions.
    let (mails, reports) = (metrics.jobs.with(["mail"]), metrics.jobs.with(["report"]));
    loop {
        for _ in 0..9 {
            metrics
                .seconds
                .time(|| thread::sleep(Duration::from_millis(5)));
            mails.inc();
        }
        metrics
            .seconds
            .time(|| thread::sleep(Duration::from_millis(50)));
        reports.inc();
    }
}

fn start_worker(metrics: &Metrics) -> io::Result<()> {
    let supervisor = std::process::id();
    // SAFETY: this program has one thread, so the child finds no lock taken.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            end_with(supervisor)?;
            work(metrics)
        }
        worker => {
            println!("worker {worker} has started");
            Ok(())
        }
    }
}

/// Has the kernel end this worker when its supervisor ends, however that comes.
fn end_with(supervisor: u32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    // It may have ended before that.
    if parent_id() != supervisor {
        std::process::exit(0);
    }
    Ok(())
}

/// Waits until any worker ends.
fn wait_for_any() -> io::Result<Pid> {
    let ended = retry_on_intr(|| wait(WaitOptions::empty()))?;
    let (worker, _status) = ended.expect("without an option it waits until there is one");
    Ok(worker)
}
