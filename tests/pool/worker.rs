//! A worker that does what it is told, with one metric of every kind.

use std::path::Path;
use std::process::Command;

use headcount_writer::{Buckets, Gauge, Mode, Registry, StateSet};

use super::actor::{Actor, program, say, told};

/// Starts a worker whose series all have the label `service`, unless that is empty.
pub(crate) fn start(directory: &Path, service: &str) -> Actor {
    start_as(command(directory), service)
}

/// Starts what is, or becomes, a worker.
pub(crate) fn start_as(command: Command, service: &str) -> Actor {
    let mut worker = Actor::start(command);
    assert_eq!(worker.ask(&format!("open {service}")), "done");
    worker
}

/// The command that starts a worker.
pub(crate) fn command(directory: &Path) -> Command {
    actor("worker", directory)
}

/// The command that starts an actor with a pool's directory in its environment.
pub(crate) fn actor(part: &str, directory: &Path) -> Command {
    let mut command = program("pool::an_actor_acts_the_part_that_it_is_given", part);
    command.env("HEADCOUNT_DIR", directory);
    command
}

/// Tells a worker to do something.
pub(crate) fn tell(worker: &mut Actor, line: &str) {
    assert_eq!(worker.ask(line), "done", "{line}");
}

/// The states of `task_*`.
pub(crate) const STATES: [&str; 3] = ["starting", "running", "stopped"];

/// A state set has no sum.
pub(crate) fn state_set_modes() -> impl Iterator<Item = Mode> {
    let summed = |mode: &Mode| matches!(mode, Mode::Sum | Mode::LiveSum);
    Mode::ALL.into_iter().filter(move |mode| !summed(mode))
}

/// Acts a worker.
pub(crate) fn worker() {
    let mut registry = Registry::private();
    for line in told() {
        let (verb, object) = line.split_once(' ').unwrap_or((&line, ""));
        match verb {
            "open" => {
                let builder = Registry::builder();
                let builder = match object {
                    "" => builder,
                    service => builder.label("service", service),
                };
                registry = builder.from_env().unwrap();
            }
            "gauges" => {
                for mode in Mode::ALL {
                    gauge(&registry, mode).set(object.parse().unwrap());
                }
            }
            "gauge" => {
                let (mode, value) = object.split_once(' ').unwrap();
                gauge(&registry, mode.parse().unwrap()).set(value.parse().unwrap());
            }
            "states" => {
                for mode in state_set_modes() {
                    assert!(state_set(&registry, mode).set(object));
                }
            }
            "info" => {
                let build = registry.info("build", "What runs.").register().unwrap();
                build.set([("version", object)]).unwrap();
            }
            "observe" => observe(&registry, object),
            "work" => work(&registry, object.parse().unwrap()),
            other => panic!("{other}"),
        }
        say("done");
    }
}

fn gauge(registry: &Registry, mode: Mode) -> Gauge {
    let gauge = registry.gauge(&format!("level_{mode}"), "A level.");
    gauge.mode(mode).register().unwrap()
}

fn state_set(registry: &Registry, mode: Mode) -> StateSet {
    let task = registry.state_set(&format!("task_{mode}"), "What a task does.", STATES);
    task.mode(mode).register().unwrap()
}

/// Bounds and values, like `1,2,4 0.5,3`.
fn observe(registry: &Registry, object: &str) {
    let numbers =
        |list: &str| -> Vec<f64> { list.split(',').map(|item| item.parse().unwrap()).collect() };
    let (bounds, values) = object.split_once(' ').unwrap();
    let wait = registry.histogram("wait_seconds", "Seconds waited.");
    let wait = wait.buckets(Buckets::new(numbers(bounds)).unwrap());
    let wait = wait.register().unwrap();
    for value in numbers(values) {
        wait.observe(value);
    }
}

/// Counts in each metric that has a total, as the peer does too.
fn work(registry: &Registry, times: u32) {
    let jobs = registry.counter("jobs", "Jobs done.").register().unwrap();
    let seconds = registry.histogram("seconds", "Seconds taken.");
    let seconds = seconds.register().unwrap();
    let sizes = registry.summary("sizes", "Bytes sent.").register().unwrap();
    let own = registry.counter("own_jobs", "Jobs that only Rust does.");
    let own = own.register().unwrap();
    for _ in 0..times {
        jobs.inc();
        seconds.observe(0.5);
        sizes.observe(100.0);
        own.inc();
    }
}
