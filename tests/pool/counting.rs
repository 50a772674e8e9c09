//! A forked pool, driven through pipes: Prometheus gets to see exactly what was acknowledged, while
//! workers are killed and replaced.

use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Write};

use headcount_writer::{Counter, Family, Histogram, Registry};
use rustix::process::{Pid, Signal, kill_process};

use super::actor::{Actor, say, told};
use super::raw::{Way, spawn, wait};
use super::worker::actor;
use crate::support::prometheus::Prometheus;
use crate::support::sidecar::Sidecar;
use crate::support::{TempDir, eventually};

#[test]
fn prometheus_sees_exactly_what_was_acknowledged_while_workers_are_killed() {
    let directory = TempDir::new();
    let mut supervisor = Actor::start(actor("supervisor", directory.path()));
    let sidecar = Sidecar::serve(directory.path());
    let prometheus = Prometheus::scraping(sidecar.address);
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        for place in 0..WORKERS {
            let jobs = 100 * round + 7 * place + 1;
            let answer = supervisor.ask(&format!("count {place} {jobs}"));
            assert_eq!(answer, jobs.to_string());
            acknowledged += jobs;
        }
        // Seen before the kill, so that anything that the kill took away would be a reset.
        eventually("Prometheus to see what was acknowledged", || {
            let seen = prometheus.single("sum(jobs_total)")?;
            assert!(seen <= f64::from(acknowledged), "{seen} is too much");
            (seen == f64::from(acknowledged)).then_some(())
        });
        supervisor.ask(&format!("kill {}", round % WORKERS));
        let served = sidecar.metrics();
        assert_eq!(served.sum("jobs_total", &[]), f64::from(acknowledged));
        let seconds = served.value("job_seconds_count");
        assert_eq!(seconds, Some(f64::from(acknowledged)));
        // Each worker holds one; the killed one does no more.
        eventually("the new worker to be live", || {
            let live = sidecar.metrics().value("workers")?;
            (live == f64::from(WORKERS)).then_some(())
        });
    }
    // One more scrape at least, after the last kill.
    let scrapes = "count_over_time(up[1h])";
    let before = prometheus.single(scrapes);
    eventually("another scrape", || {
        (prometheus.single(scrapes) > before).then_some(())
    });
    assert_eq!(
        prometheus.single("sum(jobs_total)"),
        Some(f64::from(acknowledged))
    );
    for counter in ["jobs_total", "job_seconds_bucket", "job_seconds_sum"] {
        let resets = prometheus.query(&format!("sum(resets({counter}[1h]))"));
        assert_eq!(resets.len(), 1, "{counter}");
        assert_eq!(resets[0].1, 0.0, "{counter}");
        for (labels, values) in prometheus.range(counter) {
            assert!(values.is_sorted(), "{labels:?} fell: {values:?}");
        }
    }
    assert_eq!(prometheus.single("min_over_time(up[1h])"), Some(1.0));
    supervisor.finish();
}

/// Opens a registry, forks workers, passes on what they are told, and replaces who is killed.
pub(crate) fn supervisor() {
    let metrics = Metrics::register(&Registry::from_env().unwrap());
    let mut workers: Vec<Worker> = (0..WORKERS)
        .map(|place| Worker::fork(place, &metrics))
        .collect();
    for line in told() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["count", place, jobs] => {
                let worker = &mut workers[place.parse::<usize>().unwrap()];
                say(worker.ask(jobs));
            }
            ["kill", place] => {
                let place = place.parse().unwrap();
                let worker = &mut workers[place as usize];
                worker.kill();
                *worker = Worker::fork(place, &metrics);
                say("replaced");
            }
            _ => panic!("{line}"),
        }
    }
    workers.iter().for_each(Worker::kill);
}

struct Metrics {
    jobs: Family<Counter, 1>,
    seconds: Histogram,
    registry: Registry,
}

impl Metrics {
    fn register(registry: &Registry) -> Metrics {
        let jobs = registry.counter("jobs", "Jobs done, by parity.");
        let seconds = registry.histogram("job_seconds", "Seconds taken.");
        Metrics {
            jobs: jobs.register_family(["parity"]).unwrap(),
            seconds: seconds.register().unwrap(),
            registry: registry.clone(),
        }
    }

    fn count(&self, job: u32) {
        self.jobs.with([["even", "odd"][job as usize % 2]]).inc();
        self.seconds.observe(0.25);
    }
}

/// A worker, as the supervisor has it.
struct Worker {
    pid: Pid,
    commands: PipeWriter,
    answers: BufReader<PipeReader>,
}

impl Worker {
    fn fork(place: u32, metrics: &Metrics) -> Worker {
        let (heard, commands) = io::pipe().unwrap();
        let (answers, said) = io::pipe().unwrap();
        let pid = spawn(Way::ALL[place as usize % Way::ALL.len()], || {
            let live = metrics.registry.gauge("workers", "Workers that live.");
            let live = live.mode(headcount_writer::Mode::LiveSum);
            live.register().unwrap().set(1.0);
            for line in BufReader::new(&heard).lines() {
                let jobs: u32 = line.unwrap().parse().unwrap();
                (0..jobs).for_each(|job| metrics.count(job));
                writeln!(&said, "{jobs}").unwrap();
            }
        });
        Worker {
            pid,
            commands,
            answers: BufReader::new(answers),
        }
    }

    fn ask(&mut self, jobs: &str) -> String {
        writeln!(self.commands, "{jobs}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }

    fn kill(&self) {
        kill_process(self.pid, Signal::KILL).unwrap();
        wait(self.pid);
    }
}

const WORKERS: u32 = 4;
const ROUNDS: u32 = 6;
