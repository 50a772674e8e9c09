//! Workers in containers of their own, each of which has a pid 1.

use std::process::Command;
use std::time::SystemTime;

use rustix::process::Signal;

use super::actor::Actor;
use super::worker::{command, start_as, tell};
use crate::support::processes::{children, exists, kill};
use crate::support::sidecar::{Sidecar, collect};
use crate::support::{TempDir, eventually};

#[test]
fn two_workers_with_one_pid_are_never_two_samples_of_one_series() {
    let directory = TempDir::new();
    let sidecar = Sidecar::serve(directory.path());
    let mut older = start_in_namespace(&directory);
    tell(&mut older, "gauges 3");
    tell(&mut older, "states running");
    tell(&mut older, "work 3");
    // [merge.gauge.youngest]: workers are told apart by the second in which they began.
    let second = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let began = second();
    eventually("the next second", || (second() > began).then_some(()));
    let mut younger = start_in_namespace(&directory);
    tell(&mut younger, "gauges 7");
    tell(&mut younger, "states stopped");
    tell(&mut younger, "work 4");

    // The parser takes no sample twice.
    let served = sidecar.metrics();
    // Both are pid 1, and so one series; the younger worker prevails.
    for mode in ["all", "liveall"] {
        let name = format!("level_{mode}");
        assert_eq!(served.value(&format!("{name}{{pid=\"1\"}}")), Some(7.0));
        assert_eq!(served.sum(&name, &[]), 7.0, "{name}");
        let stopped = format!("task_{mode}{{pid=\"1\",task_{mode}=\"stopped\"}}");
        assert_eq!(served.value(&stopped), Some(1.0), "{served:?}");
        assert_eq!(served.sum(&format!("task_{mode}"), &[]), 1.0);
    }
    // What is added up has both.
    assert_eq!(served.value("level_sum"), Some(10.0));
    assert_eq!(served.value("level_livesum"), Some(10.0));
    assert_eq!(served.value("jobs_total"), Some(7.0));
    assert!(collect(directory.path(), "text").contains("jobs_total 7.0\n"));

    // Who is dead is told apart by the lock, not by the pid.
    let [worker] = children(younger.pid())[..] else {
        panic!("unshare has one child")
    };
    kill(worker, Signal::KILL);
    eventually("the worker to be gone", || (!exists(worker)).then_some(()));
    let served = sidecar.metrics();
    assert_eq!(served.value("level_all{pid=\"1\"}"), Some(3.0));
    assert_eq!(served.value("level_liveall{pid=\"1\"}"), Some(3.0));
    assert_eq!(served.value("level_livesum"), Some(3.0));
    assert_eq!(served.value("jobs_total"), Some(7.0));
}

/// A worker that is pid 1 of a namespace of its own.
fn start_in_namespace(directory: &TempDir) -> Actor {
    let worker = command(directory.path());
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--"]);
    command.arg(worker.get_program()).args(worker.get_args());
    for (name, value) in worker.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    // As root or not at all: a failure ends with what unshare says.
    start_as(command, "")
}
