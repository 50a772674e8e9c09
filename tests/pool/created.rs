//! When a series began to count: told where every worker tells, and else not at all.

use std::process::Command;
use std::time::SystemTime;

use super::worker::{start, tell};
use crate::support::TempDir;
use crate::support::processes::Process;
use crate::support::python::{interpreter, parse_openmetrics};
use crate::support::sidecar::{Sidecar, collect};
use crate::support::workspace;

#[test]
fn openmetrics_tells_when_a_series_was_created_unless_a_worker_does_not_know() {
    let directory = TempDir::new();
    let before = now();
    let mut workers = [start(directory.path(), ""), start(directory.path(), "")];
    tell(&mut workers[0], "work 2");
    let between = now();
    tell(&mut workers[1], "work 3");
    workers[0].kill();

    let sidecar = Sidecar::serve(directory.path());
    let rust = scrape(&sidecar);
    let shared = ["jobs_created", "seconds_created", "sizes_created"];
    for name in shared.into_iter().chain(["own_jobs_created"]) {
        let created = value(&rust, name).unwrap_or_else(|| panic!("no {name} in\n{rust}"));
        // The earlier of the two, although its worker is dead.
        assert!((before..=between).contains(&created), "{name} is {created}");
    }
    assert_eq!(value(&rust, "jobs_total"), Some(5.0));

    let mut command = Command::new(interpreter());
    let script = workspace().join("tests/pool/peer.py");
    command.arg("-B").arg(script).arg(directory.path()).arg("4");
    let peer = Process::start(command);
    peer.stdout
        .wait_for_line("the peer's word", |line| line == "counted");
    for mixed in [scrape(&sidecar), collect(directory.path(), "openmetrics")] {
        for name in shared {
            assert_eq!(value(&mixed, name), None, "{mixed}");
        }
        assert_eq!(
            value(&mixed, "own_jobs_created"),
            value(&rust, "own_jobs_created")
        );
        assert_eq!(value(&mixed, "jobs_total"), Some(9.0));
        assert_eq!(value(&mixed, "seconds_count"), Some(9.0));
        assert_eq!(value(&mixed, "seconds_sum"), Some(4.5));
        assert_eq!(value(&mixed, "sizes_count"), Some(9.0));
        assert_eq!(value(&mixed, "sizes_sum"), Some(900.0));
    }
}

/// An exposition in OpenMetrics, which the strict parser takes.
fn scrape(sidecar: &Sidecar) -> String {
    let accept = "application/openmetrics-text; version=1.0.0";
    let response = sidecar.get_with("/metrics", &[("Accept", accept)]);
    assert_eq!(response.status, 200);
    let text = response.text();
    parse_openmetrics(&text);
    text
}

/// The value of a sample without labels.
fn value(text: &str, name: &str) -> Option<f64> {
    let mut values = text
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = values.next().map(|value| value.parse().expect("a number"));
    assert_eq!(values.next(), None, "{name} occurs twice");
    value
}

fn now() -> f64 {
    let now = SystemTime::UNIX_EPOCH.elapsed();
    now.expect("the clock is past 1970").as_secs_f64()
}
