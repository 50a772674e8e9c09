//! A worker that nobody has given a directory.

use headcount_writer::Registry;

use crate::support::actor::{say, told};
use crate::support::actor_without_directory;

#[test]
fn without_a_directory_a_worker_counts_in_memory_and_says_so_once() {
    let mut stranger = actor_without_directory("stranger");
    assert_eq!(stranger.ask("count"), "1");
    assert_eq!(stranger.ask("count"), "2");
    let stderr = stranger.finish();
    let mut said = stderr
        .lines()
        .filter(|line| line.starts_with("headcount: "));
    let line = said.next().unwrap_or_else(|| panic!("silence: {stderr}"));
    assert!(line.contains("HEADCOUNT_DIR"), "{line}");
    assert!(line.contains("PROMETHEUS_MULTIPROC_DIR"), "{line}");
    assert!(line.contains("memory"), "{line}");
    assert_eq!(said.next(), None, "it says so twice");
}

#[test]
fn an_empty_variable_is_one_that_is_not_set() {
    let mut command = crate::support::actor::program(crate::support::ENTRY, "stranger");
    command.env("HEADCOUNT_DIR", "");
    let mut stranger = crate::support::actor::Actor::start(command);
    assert_eq!(stranger.ask("count"), "1");
    assert!(stranger.finish().contains("headcount: neither"));
}

/// Opens a second registry, as a library within a program might, and counts in both.
pub(crate) fn stranger() {
    let registry = Registry::from_env().expect("no directory is no error");
    let other = Registry::from_env().expect("no directory is no error");
    assert_eq!(registry.directory(), None);
    let jobs = registry.counter("jobs", "Jobs done.").register().unwrap();
    let others = other.counter("jobs", "Jobs done.").register().unwrap();
    for _ in told() {
        jobs.inc();
        others.inc();
        assert_eq!(jobs.get(), others.get());
        assert_eq!(registry.trouble(), None);
        say(jobs.get());
    }
}
